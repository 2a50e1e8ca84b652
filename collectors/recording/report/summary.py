"""The first page: what happened, to whom, who did what, and what is still open, in sentences."""

from collections.abc import Iterable
from dataclasses import replace

from collectors.fleet import Throttle
from collectors.recording.report.acts import Decision
from collectors.recording.report.document import Figure, Figures, Paragraph, Section
from collectors.recording.report.episodes import BEFORE, OPEN, OPEN_THEN, STOOD, Episode
from collectors.recording.report.facts import Facts
from collectors.recording.report.harm import NONE, Harm
from collectors.recording.report.ledger import Level, Worst
from collectors.recording.report.words import (
    COARSE_S,
    admitted,
    after,
    as_told,
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
        read = "" if is_read(facts) else "no wait was read in this time, and "
        told = f"Nobody can say who waited too long: {read}no tier has an objective in this recording."
    elif not total(facts).judged_s:
        told = "Nobody can say who waited too long: no wait was read in this time."
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
    if facts.is_reconstructed and not facts.has_log:
        did = " What was done is not recorded."
    nothing = "Nothing was left open." if is_read(facts) else "What was left open is not known."
    still = f" {_left(facts)} at the end." if _left(facts) else f" {nothing}"
    return told + did + still


def is_read(facts: Facts) -> bool:
    """Whether any wait was read at all."""
    return any(one.worst is not None or one.harm.judged_s for one in facts.ledger.tiers.values())


def _left(facts: Facts) -> str:
    """What is open at the end, counted: `1 thing was still open, and 2 alerts stood`; empty if nothing."""
    things, alerts = _open_count(facts), len(facts.open_alerts())
    told = []
    if things:
        told.append(f"{plural(things, 'thing')} {'was' if things == 1 else 'were'} still open")
    if alerts:
        told.append(f"{plural(alerts, 'alert')} stood")
    return ", and ".join(told)


def _at_most(one: Episode, facts: Facts) -> str:
    """The longest wait, and the one furthest beyond its promise where that is of another tier."""
    if one.worst is None:
        return ""
    told = f": up to {_promised(one, one.worst, facts)}"
    if one.furthest is not None and one.furthest[0] != one.worst[0]:
        told += f"; furthest beyond its promise: {_promised(one, one.furthest, facts)}"
    return told


def _promised(one: Episode, top: tuple[str, Worst], facts: Facts) -> str:
    tier, worst = top
    objective = facts.ledger.tiers[one.model, tier].objective or 0.0
    point = worst.point
    waited = seconds(point.estimate, point.lo, point.hi)
    return f"{waited} where {seconds(objective)} is promised (p99, {tier})"


def span(start: float, end: float) -> str:
    """A stretch of time in words, the date once."""
    if day(start) == day(end):
        return f"{day(start)} {clock(start)} to {clock(end)} UTC"
    return f"{stamp(start)} to {stamp(end)}"


def _figures(facts: Facts) -> Figures:
    harm = total(facts)
    waits = list(_worst(facts))
    worst = max(waits, key=lambda w: w[:2], default=None)
    furthest = max(waits, key=lambda w: (w[1], w[0]), default=None)
    judged = any(True for _ in facts.ledger.judged())
    worst_figure = (
        Figure("longest p99 wait", "not known", "no good reading of it was recorded", "muted")
        if worst is None
        else Figure("longest p99 wait", worst[2], worst[3], "bad" if worst[4] else "")
    )
    if worst is not None and furthest is not None and furthest[4] and furthest[3] != worst[3]:
        note = f"{worst_figure.note}. Furthest beyond its promise: {furthest[2]}, {furthest[3]}"
        worst_figure = replace(worst_figure, note=note)
    lasting = Figure("length", length(facts.end - facts.start), span(facts.start, facts.end))
    if not judged:
        over = Figure("waited too long", "not known", "no tier has an objective", "muted")
    elif not harm.judged_s:
        over = Figure("waited too long", "not known", "no wait was read in this time", "muted")
    elif harm.breach_s == 0:
        over = Figure("waited too long", "nobody, surely", "no tier was surely above its objective", "good")
    else:
        over = Figure(
            "waited too long",
            between(harm.over_least, harm.over_most),
            "requests, over their objective",
            "bad",
        )
    open_now, alerts = _open_count(facts), len(facts.open_alerts())
    refused = (
        Figure("turned away", number(harm.refused), "requests, of the tiers with an objective")
        if harm.refused_known_s
        else Figure("turned away", "not known", "no reading of it was recorded", "muted")
    )
    actions = Figure("actions", str(len(facts.decisions)), _endings(facts.decisions))
    if facts.is_reconstructed and not facts.has_log:
        actions = Figure("actions", "not known", "a metrics history holds none", "muted")
    standing = f"and {plural(alerts, 'alert')} standing, at the end" if alerts else "at the end of it"
    still = Figure("still open", str(open_now), standing, "warn" if open_now or alerts else "good")
    if not is_read(facts) and not open_now:
        still = Figure("still open", "not known", "no wait was read in this time", "muted")
    return Figures((lasting, worst_figure, over, refused, actions, still))


def _worst(facts: Facts) -> Iterable[tuple[float, float, str, str, bool]]:
    """Of each tier: its longest wait, that by its objective, in words, what to know, whether it was above."""
    for model, tier, one in facts.ledger.judged():
        if one.worst is not None:
            point = one.worst.point
            above = one.objective is not None and point.lo > one.objective
            text = seconds(point.estimate) if point.hi != float("inf") else seconds(0, point.lo, point.hi)
            note = f"{model}, {tier}, at {clock(one.worst.at)}; promised {seconds(one.objective or 0)}"
            yield as_told(point.estimate), point.estimate / (one.objective or 1.0), text, note, above


def _what(facts: Facts) -> str:
    context = str(facts.header.get("context") or "") or (facts.last.context if facts.last else "")
    told = f"What tidegate showed of {context or 'a fleet'}, {span(facts.start, facts.end)}, as recorded."
    whole = facts.recorded
    if (facts.start, facts.end) != whole:
        told += f" The whole recording runs from {stamp(whole[0])} to {stamp(whole[1])}."
    last = facts.last
    if last is not None and last.simulated:
        told += " The fleet is simulated: no real user waited."
    if facts.is_reconstructed:
        told += " It was made from a metrics history afterwards: nobody watched this screen then."
    return told


def _hurt(facts: Facts) -> str:
    judged = list(facts.ledger.judged())
    if not judged:
        if not is_read(facts):
            return "Not known: no wait of any tier was read in this time."
        return (
            "No tier of any model has an objective in this recording, so nobody can say who waited too long."
        )
    if not total(facts).judged_s:
        return "Not known: no wait of a tier with an objective was read in this time."
    if not facts.episodes:
        return "No tier of any model was surely above its objective."
    hurt = sorted({e.model for e in facts.episodes})
    worst = max(facts.episodes, key=lambda e: _lasted(e, facts))
    # A release may be of a feature: of its name there is no wait, so it is no model of which any is known.
    models = {name for name, _, one in judged if one.harm.judged_s}
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
        if worst.furthest is not None and worst.furthest[0] != tier:
            told += f" Furthest beyond its promise: {_promised(worst, worst.furthest, facts)}."
    return told


def _lasted(one: Episode, facts: Facts) -> float:
    return (one.end if one.end is not None else facts.end) - one.start


def _cost(facts: Facts) -> str:
    harm = total(facts)
    if not harm.judged_s:
        return "Not known: no wait of a tier with an objective was recorded."
    if not harm.breach_s and not harm.straddles_s and not harm.stalled_s:
        return f"Nothing beyond what was promised, for as long as it is known. {_turned(facts)}"
    told = (
        f"At least {number(harm.over_least)} and at most {number(harm.over_most)} requests waited longer than"
        f" promised, by at least {number(harm.excess_least)} request-seconds in all"
    )
    if harm.unlimited_s:
        told += f"; for {length(harm.unlimited_s)}, added up over the tiers, nothing limits the most"
    elif harm.excess_most:
        told += f" and at most {number(harm.excess_most)}, the slowest 1% left aside"
    told += f". {_turned(facts)}"
    if harm.uncounted_s:
        told += (
            f" For {length(harm.uncounted_s)} above an objective, added up over the tiers, nobody knows how"
            " many came: the true cost is higher."
        )
    return told


def _turned(facts: Facts) -> str:
    """How many were turned away, of whose requests, and which throttle was in force then."""
    harm = total(facts)
    if not harm.refused_known_s:
        return "How many requests were turned away is not known."
    if not harm.refused:
        return "No request is known to have been turned away."
    told = f"{number(harm.refused)} requests were turned away"
    tiers = [(one.harm, f"{model} {tier}") for model, tier, one in facts.ledger.judged() if one.harm.refused]
    most, name = max(tiers, key=lambda pair: pair[0].refused)
    told += f", {'all' if len(tiers) == 1 else f'{number(most.refused)} of them'} of {name}"
    then = most.asked_then
    told += f": {share(most.refused / then)} of what came for it in that time." if then else "."
    cells = sorted(facts.ledger.turned.items(), key=lambda item: (-item[1].refused, item[0]))
    if cells:
        (model, feature, tier), cell = cells[0]
        told += (
            f" Of the {feature} requests of {tier} for {model}, {share(cell.refused / cell.asked)} were"
            " turned away while any were."
        )
    return told + _by_throttles(facts)


def _by_throttles(facts: Facts) -> str:
    """Which throttles held something back while requests were turned away."""
    held = [
        f"{feature} for {tier} (down to {admitted(min(levels))}, {since})"
        for (feature, tier), steps in sorted(facts.ledger.levels.items(), key=lambda item: item[0])
        if (levels := [step.level for step in steps if step.level is not None and step.level < 1])
        for since in [_since(steps, facts)]
    ]
    if not held:
        return " No throttle is recorded that did it."
    return (
        f" What a throttle does not admit is turned away; in force was {listed(held)}. Who else may have"
        " turned some away is not recorded."
    )


def _since(steps: Iterable[Level], facts: Facts) -> str:
    first = next(step.at for step in steps if step.level is not None and step.level < 1)
    return f"from {clock(first)} on" if first > facts.start else "already when this stretch begins"


def _endings(found: Iterable[Decision]) -> str:
    counts: dict[str, int] = {}
    for one in found:
        for kind in one.kinds:
            counts[kind] = counts.get(kind, 0) + 1
    return ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "none is recorded"


def _done(found: tuple[Decision, ...], facts: Facts) -> str:
    if not found and facts.is_reconstructed:
        return (
            "Nothing, by the control plane's log that was given."
            if facts.has_log
            else "Not recorded: a metrics history holds no actions."
        )
    if not found:
        return "Nothing: no action from this cockpit is recorded, and no control plane told of one elsewhere."
    told = []
    for one in found[:4]:
        who = one.actor or "somebody (not recorded who)"
        what = "; ".join(f"{aim.name} ({aim.asked})" for aim in one.aims[:3])
        more = f" and {plural(len(one.aims) - 3, 'more target')}" if len(one.aims) > 3 else ""
        why = f"; reason given: “{one.reason}”." if one.reason else "; no reason is recorded."
        where = " elsewhere" if one.is_told and not facts.is_reconstructed else ""
        told.append(f"At {clock(one.at)} {who} {one.deed} {what}{more}{where}: {', '.join(one.kinds)}{why}")
    if len(found) > 4:
        told.append(f"{plural(len(found) - 4, 'more action')} are listed below.")
    return " ".join(told)


def _speed(facts: Facts) -> str:
    if not is_read(facts):
        return "Not known: no wait was read in this time."
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
        (
            one.alert,
            f"the first alert {'would have been' if facts.is_reconstructed else 'was'} on the screen",
            "no alert named it",
        ),
        (one.look, "somebody opened it", ""),
        (one.intent, "the first action was confirmed", "no action on it is recorded"),
        (one.applied, "it was applied", ""),
    ):
        if moment.at is not None and moment.words in EARLIER:
            parts.append(EARLIER[moment.words])
        elif moment.at is not None:
            told = after(moment.at - one.start, facts.step_s)
            parts.append(f"{done} {told}" + (f" ({moment.words})" if moment.words else ""))
        elif missing:
            parts.append(missing)
    parts.append(
        "it was still above when the recording ends"
        if one.end is None
        else f"from {length(one.end - one.start)} after it began it was not known to be above any more"
    )
    told = "; ".join(parts) + "."
    if facts.step_s >= COARSE_S:
        told += f" These times are to the nearest {length(facts.step_s)}: frames came that far apart."
    return told


EARLIER = {
    BEFORE: "an alert of it was on the screen before",
    STOOD: "an alert of it stood already when this stretch begins",
    OPEN: "somebody had it open before the alert",
    OPEN_THEN: "somebody had it open already when this stretch begins",
}
"""What came before, in the sentence about how fast."""


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
        told.append(f"{plural(len(alerts), 'alert')} still standing.")
    if facts.last is not None and facts.last.plane is None and not throttles:
        told.append(NO_PLANE if not facts.has_log else "")
    if not is_read(facts):
        told.append("Whether anybody still waited too long is not known.")
    return (
        " ".join(filter(None, told))
        or "Nothing: no throttle, no halted release, no alert, no breach at the end."
    )


NO_PLANE = "Throttles are not recorded: no control plane was connected."


def lost(facts: Facts) -> list[str]:
    """Stretches in which a source gave nothing, a sentence each."""
    told = []
    for one in facts.ledger.lost:
        end = one.end if one.end is not None else facts.end
        why = f" ({one.error})" if one.error else ""
        told.append(
            f"from {one.source} nothing was read for {length(end - one.start)}, from {clock(one.start)} to"
            f" {clock(end)}: source lost{why}"
        )
    return told


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
    told += [f"{sentence[0].upper()}{sentence[1:]}." for sentence in lost(facts)[:3]]
    still = facts.lost_sources()
    if still:
        told.append(f"At the end {listed([s.name for s in still])} did not answer.")
    if not facts.has_views:
        told.append("What the operator looked at was not recorded.")
    unknown = total(facts).unknown_s
    if unknown:
        told.append(f"For {length(unknown)}, added up over all tiers, no good reading of the wait was there.")
    return " ".join(told) or "Nothing is missing: every second of it is recorded."
