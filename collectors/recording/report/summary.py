"""The first page: what happened, to whom, who did what, and what is still open, in sentences."""

from collections.abc import Iterable

from collectors.fleet import Throttle
from collectors.recording.report.acts import Decision
from collectors.recording.report.document import Figure, Figures, Paragraph, Section
from collectors.recording.report.episodes import Episode
from collectors.recording.report.facts import Facts
from collectors.recording.report.harm import NONE, Harm
from collectors.recording.report.words import (
    admitted,
    between,
    clock,
    day,
    length,
    listed,
    number,
    plural,
    seconds,
    share,
    stamp,
)


def total(facts: Facts) -> Harm:
    """The harm of all tiers that have an objective."""
    return sum((one.harm for _, _, one in facts.ledger.judged()), NONE)


def in_short(facts: Facts) -> Section:
    """Figures, then a sentence or two about each question that somebody who was not there would ask."""
    blocks = (
        Paragraph(_headline(facts), tone="lead"),
        _figures(facts),
        Paragraph(_what(facts), "What this is."),
        Paragraph(_hurt(facts), "Who waited."),
        Paragraph(_cost(facts), "What it cost them."),
        Paragraph(_done(facts.decisions, facts), "What was done."),
        Paragraph(_speed(facts), "How fast."),
        Paragraph(_open(facts), "What is still open."),
        Paragraph(_unknown(facts), "What is not known."),
    )
    return Section("In short", blocks)


def _headline(facts: Facts) -> str:
    """The whole story in three sentences."""
    if not any(True for _ in facts.ledger.judged()):
        told = "Nobody can say who waited too long: no tier has an objective in this recording."
    elif not facts.episodes:
        told = "No user surely waited longer than promised."
    else:
        longest = max(facts.episodes, key=lambda e: _lasted(e, facts))
        until = ", and still did at the end" if longest.end is None else ""
        more = len({e.model for e in facts.episodes}) - 1
        others = f" Users of {plural(more, 'other model')} did so too." if more else ""
        told = (
            f"For {length(_lasted(longest, facts))} from {clock(longest.start)} users of {longest.model}"
            f" waited longer than promised{until}{_at_most(longest, facts)}.{others}"
        )
    acts = len(facts.decisions)
    did = (
        f" {plural(acts, 'action')} {'was' if acts == 1 else 'were'} taken."
        if acts
        else " No action is recorded."
    )
    if facts.header.get("source") == "backfill":
        did = " What was done is not recorded."
    count = _open_count(facts)
    still = f" {plural(count, 'thing')} still open at the end." if count else " Nothing was left open."
    return told + did + still


def _at_most(one: Episode, facts: Facts) -> str:
    if one.worst is None:
        return ""
    tier, top = one.worst
    objective = facts.ledger.tiers[one.model, tier].objective or 0.0
    point = top.point
    worst = seconds(point.estimate, point.lo, point.hi)
    return f": up to {worst} where {seconds(objective)} is promised (p99, {tier})"


def span(start: float, end: float) -> str:
    """A stretch of time in words, the date once."""
    if day(start) == day(end):
        return f"{day(start)} {clock(start)} to {clock(end)} UTC"
    return f"{stamp(start)} to {stamp(end)}"


def _figures(facts: Facts) -> Figures:
    harm = total(facts)
    worst = max(_worst(facts), key=lambda w: w[0], default=None)
    judged = any(True for _ in facts.ledger.judged())
    worst_figure = (
        Figure("worst p99 wait", "not known", "no good reading of it was recorded", "muted")
        if worst is None
        else Figure("worst p99 wait", worst[1], worst[2], "bad" if worst[3] else "")
    )
    if not judged:
        over = Figure("waited too long", "not known", "no tier has an objective", "muted")
    elif harm.breach_s == 0:
        over = Figure("waited too long", "nobody, surely", "no tier was surely above its objective", "good")
    else:
        over = Figure(
            "waited too long",
            between(harm.over_least, harm.over_most),
            "requests, over their objective",
            "bad",
        )
    open_now = _open_count(facts)
    return Figures(
        (
            Figure("length", length(facts.end - facts.start), span(facts.start, facts.end)),
            worst_figure,
            over,
            Figure("turned away", number(harm.refused), "requests, of the tiers with an objective"),
            Figure("actions", str(len(facts.decisions)), _endings(facts.decisions)),
            Figure("still open", str(open_now), "at the end of it", "warn" if open_now else "good"),
        )
    )


def _worst(facts: Facts) -> Iterable[tuple[float, str, str, bool]]:
    """Of each tier: its worst wait by the objective, in words, what to know of it, whether it was above."""
    for model, tier, one in facts.ledger.judged():
        if one.worst is not None:
            point = one.worst.point
            above = one.objective is not None and point.lo > one.objective
            text = seconds(point.estimate) if point.hi != float("inf") else seconds(0, point.lo, point.hi)
            note = f"{model}, {tier}, at {clock(one.worst.at)}; promised {seconds(one.objective or 0)}"
            yield point.estimate / (one.objective or 1.0), text, note, above


def _what(facts: Facts) -> str:
    context = str(facts.header.get("context") or "") or (facts.last.context if facts.last else "")
    told = f"What tidegate showed of {context or 'a fleet'}, {span(facts.start, facts.end)}, as recorded."
    whole = facts.recorded
    if (facts.start, facts.end) != whole:
        told += f" The whole recording runs from {stamp(whole[0])} to {stamp(whole[1])}."
    last = facts.last
    if last is not None and last.simulated:
        told += " The fleet is simulated: no real user waited."
    if facts.header.get("source") == "backfill":
        told += " It was made from a metrics history afterwards: nobody watched this screen then."
    return told


def _hurt(facts: Facts) -> str:
    judged = list(facts.ledger.judged())
    if not judged:
        return (
            "No tier of any model has an objective in this recording, so nobody can say who waited too long."
        )
    if not facts.episodes:
        return "No tier of any model was surely above its objective."
    hurt = sorted({e.model for e in facts.episodes})
    worst = max(facts.episodes, key=lambda e: _lasted(e, facts))
    models = {name for name, _, _ in judged}
    told = (
        f"Users of {len(hurt)} of {plural(len(models), 'model')} waited longer than promised: {listed(hurt)}."
    )
    tiers = f"tier {worst.tiers[0]}" if len(worst.tiers) == 1 else f"tiers {listed(worst.tiers)}"
    until = (
        f"and still did when the recording ends, after {length(facts.end - worst.start)}"
        if worst.end is None
        else f"until {clock(worst.end)}, {length(worst.end - worst.start)} later"
    )
    since = "from before the first reading on" if worst.is_cut else f"from {clock(worst.start)}"
    told += f" The longest was {worst.model} ({tiers}), {since} {until}."
    if worst.worst is not None:
        tier, top = worst.worst
        objective = facts.ledger.tiers[worst.model, tier].objective
        point = top.point
        told += (
            f" At its worst, at {clock(top.at)}, one request in a hundred of tier {tier} waited longer than"
            f" {seconds(point.estimate, point.lo, point.hi)}; promised were {seconds(objective or 0)}."
        )
    return told


def _lasted(one: Episode, facts: Facts) -> float:
    return (one.end if one.end is not None else facts.end) - one.start


def _cost(facts: Facts) -> str:
    harm = total(facts)
    if not harm.judged_s:
        return "Not known: no wait of a tier with an objective was recorded."
    if not harm.breach_s and not harm.straddles_s and not harm.stalled_s:
        return "Nothing beyond what was promised, for as long as it is known."
    told = (
        f"At least {number(harm.over_least)} and at most {number(harm.over_most)} requests waited longer than"
        f" promised, by at least {number(harm.excess_least)} request-seconds in all"
    )
    if harm.unlimited_s:
        told += f"; for {length(harm.unlimited_s)} of tier-time nothing limits the most"
    elif harm.excess_most:
        told += f" and at most {number(harm.excess_most)}, the slowest 1% left aside"
    told += f". {number(harm.refused)} requests were turned away"
    told += f", {share(harm.refused / harm.asked)} of those that came." if harm.asked else "."
    if harm.uncounted_s:
        told += (
            f" For {length(harm.uncounted_s)} of tier-time above an objective nobody knows how many came:"
            " the true cost is higher."
        )
    return told


def _endings(found: Iterable[Decision]) -> str:
    counts: dict[str, int] = {}
    for one in found:
        for kind in one.kinds:
            counts[kind] = counts.get(kind, 0) + 1
    return ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "none is recorded"


def _done(found: tuple[Decision, ...], facts: Facts) -> str:
    if facts.header.get("source") == "backfill":
        return "Not recorded: a metrics history holds no actions."
    if not found:
        return "Nothing: no action from this cockpit is recorded, and no control plane told of one elsewhere."
    told = []
    for one in found[:4]:
        who = one.actor or "somebody (not recorded who)"
        what = "; ".join(f"{aim.name} ({aim.asked})" for aim in one.aims[:3])
        more = f" and {plural(len(one.aims) - 3, 'more target')}" if len(one.aims) > 3 else ""
        why = f"; reason given: “{one.reason}”." if one.reason else "; no reason is recorded."
        where = " elsewhere" if one.is_told else ""
        told.append(f"At {clock(one.at)} {who} {one.deed} {what}{more}{where}: {', '.join(one.kinds)}{why}")
    if len(found) > 4:
        told.append(f"{plural(len(found) - 4, 'more action')} are listed below.")
    return " ".join(told)


def _speed(facts: Facts) -> str:
    if not facts.episodes:
        return "Nothing to measure: no tier was surely above its objective."
    one = max(facts.episodes, key=lambda e: (e.decision is not None, _lasted(e, facts)))
    parts = []
    if one.is_cut:
        parts.append(
            f"{one.model} was above its objective at the first reading, so when it began is not recorded"
        )
    else:
        parts.append(f"{one.model} went above its objective at {clock(one.start)}")
    for moment, done, missing in (
        (one.alert, "the first alert was on the screen", "no alert named it"),
        (one.look, "somebody opened it", ""),
        (one.intent, "the first action was confirmed", "no action on it is recorded"),
        (one.applied, "it was applied", ""),
    ):
        if moment.at is not None:
            since = moment.at - one.start
            told = f"{length(since)} after that" if since >= 0.5 else "at the same moment"
            parts.append(f"{done} {told}" + (f" ({moment.words})" if moment.words else ""))
        elif missing:
            parts.append(missing)
    parts.append(
        "it was still above when the recording ends"
        if one.end is None
        else f"it was no longer surely above {length(one.end - one.start)} after it began"
    )
    return "; ".join(parts) + "."


def _open_count(facts: Facts) -> int:
    above = [e for e in facts.episodes if e.end is None]
    return len(facts.open_throttles()) + len(facts.halted_releases()) + len(above)


def _open(facts: Facts) -> str:
    told = []
    above = [e.model for e in facts.episodes if e.end is None]
    if above:
        told.append(f"{listed(above)} {'is' if len(above) == 1 else 'are'} still above an objective.")
    throttles = facts.open_throttles()
    if throttles:
        cells = [f"{t.feature} for {t.tier} ({admitted(t.in_force)}, {_until(t)})" for t in throttles]
        told.append(f"{plural(len(throttles), 'throttle')} still in force: {listed(cells)}.")
    releases = facts.halted_releases()
    if releases:
        told.append(f"Stopped releases: {listed([f'{r.id} ({r.phase})' for r in releases])}.")
    alerts = facts.open_alerts()
    if alerts:
        told.append(f"{plural(len(alerts), 'alert')} still on the screen.")
    if facts.last is not None and facts.last.plane is None and not throttles:
        told.append("Throttles and releases are not recorded: no control plane was connected.")
    return " ".join(told) or "Nothing: no throttle, no halted release, no alert, no breach at the end."


def _until(one: Throttle) -> str:
    by = f"set by {one.last_change.actor}, " if one.last_change is not None else ""
    if one.state == "ramping":
        return f"{by}ramping to {admitted(one.level)}"
    return by + (f"until {clock(one.expires_at)}" if one.expires_at is not None else "without an end")


def _unknown(facts: Facts) -> str:
    told = []
    if facts.gaps:
        told.append(
            f"{length(facts.unknown_s)} of {length(facts.end - facts.start)} were not recorded, in"
            f" {plural(len(facts.gaps), 'gap')}; nothing is assumed about them."
        )
    if not facts.is_closed:
        told.append("The recording was not closed: what came after its last moment is not in it.")
    if facts.notices:
        told.append(f"The file itself: {'; '.join(facts.notices[:3])}.")
    lost = facts.lost_sources()
    if lost:
        told.append(f"At the end {listed([s.name for s in lost])} did not answer.")
    if not facts.has_views:
        told.append("What the operator looked at was not recorded.")
    unknown = total(facts).unknown_s
    if unknown:
        told.append(f"For {length(unknown)} of tier-time no good reading of the wait was there.")
    return " ".join(told) or "Nothing is missing: every second of it is recorded."
