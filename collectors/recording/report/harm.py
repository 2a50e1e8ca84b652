"""What waits cost the users of a tier, from quantiles that are only known as intervals. Pure.

W is the wait of a request in the queue, O the objective of its tier, Q(u) the quantile function of W. Then

    requests over the objective  = integral of r(t) x P(W > O) dt
    request-seconds over it      = integral of r(t) x E[max(W - O, 0)] dt
    E[max(W - O, 0)]             = integral of max(Q(u) - O, 0) du, u from 0 to 1

with r the requests a second that were let in. Only Q(.50), Q(.95) and Q(.99) are known, each within the
bucket (lo, hi] that it fell in, and Q never falls. So Q(u) is at least the lo of the nearest known quantile
at or below u, and at most the hi of the nearest one above. Past .99 nothing limits it: what is said to be
the most leaves the slowest 1 % out. Both integrals run over the time in which the promise was not surely
kept: while the p99 is surely within the objective, the slowest 1 % are within the promise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import NamedTuple

from collectors.fleet import Model
from collectors.readings import Quality, Reading, Standing, bounds_of, standing

WAITS = (("queue_wait_p50", 0.50), ("queue_wait_p95", 0.95), ("queue_wait_p99", 0.99))
"""Signals of the wait, and which part of the requests waits no longer."""


class State(StrEnum):
    """A tier of a model against its objective, for some time.

    breach: 1 % or more surely waited longer; kept: at least 99 % surely did not; straddles: the bucket spans
    the objective; stalled: requests wait and none leaves the queue; idle: nobody asked; closed: not open to
    this tier, or without an objective; unknown: no good reading
    """

    BREACH = "breach"
    KEPT = "kept"
    STRADDLES = "straddles"
    STALLED = "stalled"
    IDLE = "idle"
    CLOSED = "closed"
    UNKNOWN = "unknown"


class Known(NamedTuple):
    """One quantile: `part` of the requests waits at most something in (lo, hi] seconds."""

    part: float
    lo: float
    hi: float


class Span(NamedTuple):
    """A stretch of time in which readings stayed as they were. Seconds, and requests a second.

    asked: requests that came; refused: of these, turned away; None where not known
    """

    start: float
    end: float
    state: State
    objective: float | None
    known: tuple[Known, ...] = ()
    asked: float | None = None
    refused: float | None = None


@dataclass(frozen=True, slots=True)
class Harm:
    """What a stretch of time cost. `+` adds two stretches that do not overlap.

    *_s: seconds spent in each state
    asked, refused: requests that came, and of these turned away, while that was known
    over_least, over_most: requests that waited longer than the objective
    excess_least, excess_most: request-seconds beyond the objective; most leaves out the slowest 1 %
    uncounted_s: seconds in breach, spanning or stalled in which nobody knows how many requests came
    unlimited_s: seconds of which nothing limits the most, because a wait was past the last bucket
    refused_known_s: seconds in which it was known how many were turned away; of the rest nothing is said
    asked_then: of `asked`, those that came while some were turned away
    """

    breach_s: float = 0.0
    kept_s: float = 0.0
    straddles_s: float = 0.0
    stalled_s: float = 0.0
    idle_s: float = 0.0
    closed_s: float = 0.0
    unknown_s: float = 0.0
    asked: float = 0.0
    refused: float = 0.0
    over_least: float = 0.0
    over_most: float = 0.0
    excess_least: float = 0.0
    excess_most: float = 0.0
    uncounted_s: float = 0.0
    unlimited_s: float = 0.0
    refused_known_s: float = 0.0
    asked_then: float = 0.0

    def __add__(self, other: "Harm") -> "Harm":
        return Harm(*(getattr(self, name) + getattr(other, name) for name in _NAMES))

    @property
    def judged_s(self) -> float:
        """Seconds of which it is known how the tier stood, or that nobody asked."""
        return self.breach_s + self.kept_s + self.straddles_s + self.stalled_s + self.idle_s

    @property
    def is_harm(self) -> bool:
        """Whether anybody surely waited too long."""
        return self.breach_s > 0 or self.stalled_s > 0 or self.over_least > 0


_NAMES = tuple(one.name for one in fields(Harm))
NONE = Harm()


def harm_of(span: Span) -> Harm:
    """What one span cost; nothing for one that does not last."""
    return Harm(**parts_of(span))


def parts_of(span: Span) -> dict[str, float]:
    """The same by name, without what is nothing: for who adds up many."""
    length = span.end - span.start
    if not length > 0:
        return {}
    asked = (span.asked or 0.0) * length
    refused = min((span.refused or 0.0) * length, asked) if asked else (span.refused or 0.0) * length
    found = {_TIMES[span.state]: length, "asked": asked, "refused": refused}
    if span.refused is not None:
        found |= {"refused_known_s": length, "asked_then": asked if refused else 0.0}
    if span.state not in COUNTED or span.objective is None:
        return found
    if span.asked is None or span.state is State.STALLED:
        return found | {"uncounted_s": length}
    share_least, share_most = share_over(span.known, span.objective)
    excess_least, excess_most = excess_over(span.known, span.objective)
    if span.state is not State.BREACH:
        share_least = excess_least = 0.0
    # Those turned away did not wait. Whether a source counts them among those that came is its own affair, so
    # the least leaves them out and the most does not.
    let_in = asked - refused
    has_limit = math.isfinite(excess_most)
    return found | {
        "over_least": share_least * let_in,
        "over_most": share_most * asked,
        "excess_least": excess_least * let_in,
        "excess_most": excess_most * asked if has_limit else 0.0,
        "unlimited_s": 0.0 if has_limit else length,
    }


COUNTED = frozenset({State.BREACH, State.STRADDLES, State.STALLED})
"""States that can cost something: in all others nobody waits longer than is promised, or nobody knows."""

_TIMES = {state: f"{state.value}_s" for state in State}


def share_over(known: Sequence[Known], objective: float) -> tuple[float, float]:
    """Least and most share of the requests that waited longer than `objective`, 0..1.

    known: in order of `part`
    """
    least = max((1 - one.part for one in known if one.lo > objective), default=0.0)
    most = min((1 - one.part for one in known if one.hi <= objective), default=1.0)
    return least, max(least, most)


def excess_over(known: Sequence[Known], objective: float) -> tuple[float, float]:
    """Least and most of the mean of max(W - objective, 0), seconds; the most leaves the slowest 1 % out.

    known: in order of `part`. The most is infinite if the last bucket has no end, or too little is known.
    """
    least, floor = 0.0, 0.0
    for n, one in enumerate(known):
        floor = max(floor, one.lo)
        until = known[n + 1].part if n + 1 < len(known) else 1.0
        least += (until - one.part) * max(floor - objective, 0.0)
    if not known or known[-1].part < _MOST_PART:
        return least, math.inf
    most, ceiling = 0.0, math.inf
    for n in reversed(range(len(known))):
        ceiling = min(ceiling, known[n].hi)
        below = known[n - 1].part if n else 0.0
        most += (known[n].part - below) * max(ceiling - objective, 0.0)
    return least, max(least, most)


_MOST_PART = 0.99


def state_of(model: Model, tier: str) -> State:
    """How a tier of a model stands now, by its p99 of the queue wait."""
    one, objective = model.reading("queue_wait_p99", tier), model.objectives.get(tier)
    code = one.reason.code
    if objective is None or code == "not-open":
        return State.CLOSED
    if code == "stalled" and one.quality is not Quality.STALE:
        return State.STALLED
    if code == "idle" and one.value is None:
        return State.IDLE
    return _STATES[standing(one, objective)]


_STATES = {
    Standing.OK: State.KEPT,
    Standing.BREACH: State.BREACH,
    Standing.STRADDLES: State.STRADDLES,
    Standing.UNKNOWN: State.UNKNOWN,
}


def quantiles(model: Model, tier: str) -> tuple[Known, ...]:
    """The quantiles of a tier's wait that are known, in order; only good readings are."""
    found: dict[float, Known] = {}
    for signal, part in WAITS:
        one = model.reading(signal, tier)
        if one.value is None or one.quality is not Quality.GOOD:
            continue
        lo, hi = bounds_of(one.value)
        # A p95 in place of a p99 is what it is; of the p99 it says nothing but that it is no smaller.
        part = 0.95 if one.reason.code == "p95" else part
        found.setdefault(part, Known(part, lo, hi))
    return tuple(found[part] for part in sorted(found))


def good(one: Reading) -> float | None:
    """The estimate of a good reading; 0 of an idle one; None where it is not known."""
    if one.quality is Quality.GOOD and one.value is not None:
        return one.estimate
    return 0.0 if one.reason.code == "idle" else None


def span_of(model: Model, tier: str, start: float, end: float) -> Span:
    """What `model` says of `tier`, as a span from `start` to `end`."""
    state = state_of(model, tier)
    return Span(
        start,
        end,
        state,
        model.objectives.get(tier),
        quantiles(model, tier) if state in COUNTED else (),
        good(model.reading("arrivals", tier)),
        good(model.reading("rejected", tier)),
    )
