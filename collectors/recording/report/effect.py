"""What followed an action: how the waits of what it was about went, as measured, without saying why."""

import math

from collectors.recording.report.acts import FOLLOWED_S, Decision
from collectors.recording.report.facts import Facts
from collectors.recording.report.ledger import BINS, Tracked
from collectors.recording.report.words import clock, length, seconds

LEAST_S = 60.0
"""Sooner than this nothing is told: waits are of the last minutes."""

TIERS = 6
"""Most tiers that are told."""


def effect(one: Decision, facts: Facts) -> str:
    """How the waits of what was acted on stood before, and ten minutes after. Only what was measured."""
    if one.applied_at is None:
        return ""
    after_at = min(one.at + FOLLOWED_S, facts.end)
    if after_at - one.at < LEAST_S:
        return "The recording ends too soon after it to tell."
    told = []
    for model, tier, tracked in facts.ledger.judged():
        if not facts.ledger.names_of(model) & one.subjects:
            continue
        before, after = one.before.get((model, tier)), one.after.get((model, tier))
        if before is None or after is None:
            continue
        longer = max(before.estimate, after.estimate)
        peak = _peak(tracked, facts, one.at, after_at, longer)
        if peak or longer >= 0.1 * (tracked.objective or 0):
            told.append(f"{model} {tier} from {seconds(*before.wait)} to {seconds(*after.wait)}{peak}")
    if not told:
        return ""
    more = f"; and {len(told) - TIERS} more" if len(told) > TIERS else ""
    return f"The p99 wait went, in the {length(after_at - one.at)} after it: {'; '.join(told[:TIERS])}{more}."


def _peak(tracked: Tracked, facts: Facts, start: float, end: float, most: float) -> str:
    """The longest wait between two moments, where it was longer than at both, and matters."""
    width = (facts.end - facts.start) / BINS
    # Of a part that begins before the first of them nobody can tell that its worst came after it.
    first, last = math.ceil((start - facts.start) / width), math.floor((end - facts.start) / width)
    between = [(p.estimate, n, p) for n in range(first, last) if (p := tracked.points[n]) is not None]
    if not between:
        return ""
    estimate, n, point = max(between, key=lambda found: found[:2])
    if estimate <= most * 1.05 or estimate < 0.1 * (tracked.objective or 0):
        return ""
    return f", with {seconds(*point.wait)} in between (about {clock(facts.start + n * width)})"
