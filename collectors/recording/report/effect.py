"""What followed an action: how the waits of what it was about went, as measured, without saying why."""

from collectors.recording.report.acts import Decision
from collectors.recording.report.facts import Facts
from collectors.recording.report.ledger import BINS, Point, Tracked
from collectors.recording.report.words import clock, length, seconds

EFFECT_S = 600.0
"""How long after an action its effect is looked at."""


def effect(one: Decision, facts: Facts) -> str:
    """How the waits of what was acted on stood before, and ten minutes after. Only what was measured."""
    if one.applied_at is None:
        return ""
    after_at = min(one.at + EFFECT_S, facts.end)
    if after_at - one.at < 60:
        return "The recording ends too soon after it to tell."
    told = []
    for model, tier, tracked in facts.ledger.judged():
        if not {model, model.partition("@")[0], *facts.ledger.served_by.get(model, ())} & one.subjects:
            continue
        before, after = _around(tracked, facts, one.at), _around(tracked, facts, after_at)
        if (
            before is None
            or after is None
            or max(before.estimate, after.estimate) < 0.1 * (tracked.objective or 0)
        ):
            continue
        told.append(
            f"{model} {tier} from {seconds(*_bounds(before))} to {seconds(*_bounds(after))}"
            + _peak(tracked, facts, one.at, after_at, max(before.estimate, after.estimate))
        )
    if not told:
        return ""
    return f"The p99 wait went, in the {length(after_at - one.at)} after it: {'; '.join(told[:6])}."


def _peak(tracked: Tracked, facts: Facts, start: float, end: float, most: float) -> str:
    """The longest wait between two moments, where it was longer than at both."""
    width = (facts.end - facts.start) / BINS
    first, last = (min(max(int((at - facts.start) / width), 0), BINS - 1) for at in (start, end))
    between = [(p.estimate, n, p) for n in range(first, last + 1) if (p := tracked.points[n]) is not None]
    estimate, n, point = max(between, key=lambda found: found[:2])
    if estimate <= most * 1.05:
        return ""
    return f", with {seconds(*_bounds(point))} in between (about {clock(facts.start + n * width)})"


def _around(tracked: Tracked, facts: Facts, at: float) -> Point | None:
    part = (at - facts.start) / (facts.end - facts.start) if facts.end > facts.start else 0.0
    return tracked.points[min(max(int(part * BINS), 0), BINS - 1)]


def _bounds(point: Point) -> tuple[float, float, float]:
    return point.estimate, point.lo, point.hi
