"""The first page: what happened, to whom, who did what, and what is still open, in sentences."""

from collections.abc import Iterable
from typing import NamedTuple

from collectors.recording.report import deeds, left_open, missing
from collectors.recording.report.document import Figure, Figures, Paragraph, Section
from collectors.recording.report.episodes import BEFORE, OPEN, OPEN_THEN, STOOD, Episode
from collectors.recording.report.facts import Facts
from collectors.recording.report.harm_told import cost, total
from collectors.recording.report.ledger import Point, Worst
from collectors.recording.report.words import (
    about,
    after,
    as_told,
    between,
    clock,
    coarse,
    length,
    listed,
    number,
    plural,
    seconds,
    stamp,
    surely,
)


def in_short(facts: Facts) -> Section:
    """Figures, then a sentence or two about each question that somebody who was not there would ask."""
    blocks = (
        Paragraph(_headline(facts), tone="lead"),
        _figures(facts),
        Paragraph(_what(facts), "What this is."),
        Paragraph(_hurt(facts), "Who waited."),
        Paragraph(cost(facts), "What it cost them."),
        Paragraph(deeds.in_sentences(facts), "What was done."),
        Paragraph(_speed(facts), "How fast."),
        Paragraph(left_open.in_sentences(facts), "What is still open."),
        Paragraph(missing.in_sentences(facts), "What is not known."),
    )
    return Section("In short", blocks)


def _headline(facts: Facts) -> str:
    """The whole story in three sentences."""
    if not any(True for _ in facts.ledger.judged()):
        read = "" if facts.is_read else "no wait was read in this time, and "
        told = f"Nobody can say who waited too long: {read}no tier has an objective in this recording."
    elif not total(facts).judged_s:
        told = "Nobody can say who waited too long: no wait was read in this time."
    elif not facts.episodes:
        told = "No user surely waited longer than promised."
    else:
        longest = _longest(facts)
        until = ", and still did at the end" if longest.end is None else ""
        more = len({e.model for e in facts.episodes}) - 1
        others = f" Users of {plural(more, 'other model')} did so too." if more else ""
        told = (
            f"For {_seen(longest, facts)} users of {longest.model} waited longer than promised{until}"
            f"{_at_worst(longest, facts)}.{others}"
        )
    told += missing.lacking(facts, _longest(facts) if facts.episodes else None)
    acts = len(facts.decisions)
    did = (
        f" {plural(acts, 'action')} {'was' if acts == 1 else 'were'} taken."
        if acts
        else " No action is recorded."
    )
    if facts.is_reconstructed and not facts.has_log:
        did = " What was done is not recorded."
    nothing = "Nothing was left open." if facts.is_read else "What was left open is not known."
    left = left_open.counted(facts)
    return told + did + (f" {left} at the end." if left else f" {nothing}")


def _longest(facts: Facts) -> Episode:
    return max(facts.episodes, key=lambda e: e.above_s)


def _seen(one: Episode, facts: Facts) -> str:
    """How long an episode was seen to last, from when on, and, where that is less, within how much time."""
    lasted = _lasted(one, facts)
    is_missing = missing.within(one, facts) >= missing.LEAST_S
    least = "at least " if (one.is_lost or one.is_cut) and not is_missing else ""
    seen = f"{least}{length(one.above_s)}" + (" that were recorded" if is_missing else "")
    is_whole = lasted - one.above_s < missing.LEAST_S
    since = f"from {clock(one.start)}"
    return f"{seen} {since}" if is_whole else f"{seen}, within {length(lasted)} {since},"


def _lasted(one: Episode, facts: Facts) -> float:
    return (one.end if one.end is not None else facts.end) - one.start


def _at_worst(one: Episode, facts: Facts) -> str:
    """The longest wait, and the one furthest beyond its promise where that is of another tier."""
    if one.worst is None:
        return ""
    told = f": at worst {_promised(one, one.worst, facts)}"
    if one.furthest is not None and one.furthest[0] != one.worst[0]:
        told += f"; furthest beyond its promise, {_promised(one, one.furthest, facts)}"
    return told


def _promised(one: Episode, top: tuple[str, Worst], facts: Facts) -> str:
    """`the slowest 1% of tier pro waited over 30 s, about 59 s by estimate, where 2 s is promised`."""
    tier, worst = top
    objective = facts.ledger.tiers[one.model, tier].objective or 0.0
    waited = surely(*worst.point.wait)
    waited += "," if "," in waited else ""
    slowest = "5%" if worst.point.is_p95 else "1%"
    return f"the slowest {slowest} of tier {tier} waited {waited} where {seconds(objective)} is promised"


def _figures(facts: Facts) -> Figures:
    return Figures(
        (
            Figure("length", length(facts.end - facts.start), _pace(facts)),
            _worst_figure(facts),
            _over_figure(facts),
            _refused_figure(facts),
            _actions_figure(facts),
            _open_figure(facts),
        )
    )


def _pace(facts: Facts) -> str:
    """How often the fleet was looked at: nothing is known better."""
    if facts.frames == 1:
        return "1 picture of the fleet"
    told = f"{number(facts.frames)} pictures of the fleet in {length(facts.end - facts.start)}"
    pace = facts.pace
    if not pace.usual_s:
        return told
    besides = ", gaps aside" if facts.gaps else ""
    apart = pace.usual_s if pace.is_regular else pace.longest_s
    if apart < missing.LEAST_S:
        return f"{told}, several a second{besides}"
    return f"{told}, " + (
        f"one every {length(apart)}{besides}" if pace.is_regular else f"up to {length(apart)} apart{besides}"
    )


class _Peak(NamedTuple):
    """The longest wait of a tier; share: of its objective; note: whose it was."""

    estimate: float
    share: float
    point: Point
    note: str
    is_above: bool


def _worst_figure(facts: Facts) -> Figure:
    waits = list(_peaks(facts))
    if not waits:
        return Figure("longest p99 wait", "not known", "no good reading of it was recorded", "muted")
    worst = max(waits, key=lambda w: (w.estimate, w.share))
    furthest = max(waits, key=lambda w: (w.share, w.estimate))
    note = worst.note
    if furthest.is_above and furthest.note != worst.note:
        note += f". Furthest beyond its promise: {about(*furthest.point.wait)}, {furthest.note}"
    label = "longest p95 wait" if worst.point.is_p95 else "longest p99 wait"
    return Figure(label, about(*worst.point.wait), note, "bad" if worst.is_above else "")


def _peaks(facts: Facts) -> Iterable[_Peak]:
    for model, tier, one in facts.ledger.judged():
        if one.worst is not None:
            point, objective = one.worst.point, one.objective or 0.0
            note = f"{model}, {tier}, at {clock(one.worst.at)}; promised {seconds(objective)}"
            share = point.estimate / (objective or 1.0)
            yield _Peak(as_told(point.estimate), share, point, note, point.lo > objective)


def _over_figure(facts: Facts) -> Figure:
    label, harm = "waited too long", total(facts)
    if not any(True for _ in facts.ledger.judged()):
        return Figure(label, "not known", "no tier has an objective", "muted")
    if not harm.judged_s:
        return Figure(label, "not known", "no wait was read in this time", "muted")
    if harm.over_least:
        return Figure(
            label, between(harm.over_least, harm.over_most), "requests, longer than promised", "bad"
        )
    if harm.breach_s or harm.stalled_s:
        return Figure(label, "not known", "how many came while it was too long", "bad")
    if harm.over_most:
        note = "requests; no tier was surely above its objective"
        return Figure(label, f"at most {number(harm.over_most)}", note)
    return Figure(label, "none known", "no tier was surely above its objective", "good")


def _refused_figure(facts: Facts) -> Figure:
    harm = total(facts)
    if not harm.refused_known_s:
        return Figure("turned away", "not known", "no reading of it was recorded", "muted")
    return Figure("turned away", number(harm.refused), "requests, of the tiers with an objective")


def _actions_figure(facts: Facts) -> Figure:
    if facts.is_reconstructed and not facts.has_log:
        return Figure("actions", "not known", "a metrics history holds none", "muted")
    return Figure("actions", str(len(facts.decisions)), deeds.endings(facts.decisions))


def _open_figure(facts: Facts) -> Figure:
    things, alerts = left_open.count(facts), len(facts.open_alerts())
    if not facts.is_read and not things:
        return Figure("still open", "not known", "no wait was read in this time", "muted")
    standing = f"and {plural(alerts, 'alert')} standing, at the end" if alerts else "at the end of it"
    return Figure("still open", str(things), standing, "warn" if things or alerts else "good")


def _what(facts: Facts) -> str:
    showed = "showed" if facts.is_watched else "would have shown"
    told = f"What tidegate {showed} of {facts.context or 'a fleet'}, as recorded; times are UTC."
    whole = facts.recorded
    if (facts.start, facts.end) != whole:
        told += f" The whole recording runs from {stamp(whole[0])} to {stamp(whole[1])}."
    last = facts.last
    if last is not None and last.simulated:
        told += " The fleet is simulated: no real user waited."
    if facts.is_reconstructed:
        told += " It was made from a metrics history afterwards: nobody watched then."
    elif not facts.is_watched:
        told += " It was recorded without a screen: whether anybody watched is not recorded."
    return told


def _hurt(facts: Facts) -> str:
    judged = list(facts.ledger.judged())
    if not judged:
        if not facts.is_read:
            return "Not known: no wait of any tier was read in this time."
        return (
            "No tier of any model has an objective in this recording, so nobody can say who waited too long."
        )
    if not total(facts).judged_s:
        return "Not known: no wait of a tier with an objective was read in this time."
    if not facts.episodes:
        return "No tier of any model was surely above its objective."
    hurt = sorted({e.model for e in facts.episodes})
    worst = _longest(facts)
    # A release may be of a feature: of its name there is no wait, so it is no model of which any is known.
    models = {name for name, _, one in judged if one.harm.judged_s}
    told = (
        f"Users of {len(hurt)} of {plural(len(models), 'model')} waited longer than promised: {listed(hurt)}"
    )
    tiers = f"tier {worst.tiers[0]}" if len(worst.tiers) == 1 else f"tiers {listed(worst.tiers)}"
    told += f". For the longest those of {worst.model}" if len(facts.episodes) > 1 else ""
    told += f" ({tiers}), {_stretch(worst, facts)}."
    if worst.worst is not None:
        at, point = worst.worst[1]
        told += (
            f" It was worst at {clock(at)}. Of a wait like {seconds(*point.wait)}"
            " the first number is an estimate; those in brackets are the bounds it was measured between."
        )
    return told


def _stretch(one: Episode, facts: Facts) -> str:
    """From when until when: `from 14:04:00 until 14:10:00`."""
    since = f"from before {clock(one.start)}, the first reading" if one.is_cut else f"from {clock(one.start)}"
    if (lacking := missing.within(one, facts)) >= missing.LEAST_S:
        since += f" ({length(lacking)} of what follows were not recorded)"
    since += "," if one.is_cut else ""
    if one.end is None:
        return f"{since} until the end, and still then"
    if one.is_lost:
        return f"{since} until {clock(one.end)} at least, and of what came next nothing is known"
    return f"{since} until {clock(one.end)}"


def _speed(facts: Facts) -> str:
    if not facts.is_read:
        return "Not known: no wait was read in this time."
    if not facts.episodes:
        return "Nothing to measure: no tier was surely above its objective."
    one = max(facts.episodes, key=lambda e: (e.decision is not None, _lasted(e, facts)))
    told = (
        f"{one.model} was above its objective at the first reading, {clock(one.start)}, so when it began is"
        " not recorded."
        if one.is_cut
        else f"{one.model} went above the objective of a tier at {clock(one.start)}."
    )
    parts = []
    for moment, done in (
        (
            one.alert,
            f"the first alert {'was' if facts.is_watched else 'would have been'} on the screen",
        ),
        (one.look, "somebody opened its screen"),
        (one.intent, "the first action was confirmed"),
        (one.applied, "one was applied"),
    ):
        if moment.at is None:
            parts.append(moment.words)
        elif moment.words in EARLIER:
            parts.append(EARLIER[moment.words])
        else:
            since = after(moment.at - one.start, facts.step_s)
            parts.append(f"{done} {since}" + (f" ({moment.words})" if moment.words else ""))
    if one.end is None:
        parts.append("it was still above when the recording ends")
    elif one.is_lost:
        parts.append(f"after {length(one.end - one.start)} nothing more is known of it")
    else:
        parts.append(f"after {length(one.end - one.start)} it was not known to be above any more")
    return f"{told} Counted from then: {'; '.join(filter(None, parts))}.{coarse(facts.step_s)}"


EARLIER = {
    BEFORE: "an alert of it was on the screen before",
    STOOD: "an alert of it stood already when this stretch begins",
    OPEN: "somebody had it open before the alert",
    OPEN_THEN: "somebody had it open already when this stretch begins",
}
"""What came before, in the sentence about how fast."""
