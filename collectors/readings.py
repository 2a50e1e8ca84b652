"""Readings: what was measured, in which unit, when it was true, and how far to believe it.

Everything is frozen and made of standard-library parts, so importing this module costs nothing.
Times are seconds since the epoch (UTC) by the clock of whoever measured; durations are seconds;
shares and ratios are 0..1. A number is quantised once, when a reading is built, so that live,
recorded and replayed values are identical.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, NamedTuple

from collectors.text import clean


class Quality(StrEnum):
    """How far a reading can be believed."""

    GOOD = "good"
    STALE = "stale"
    MISSING = "missing"
    SUSPECT = "suspect"
    UNKNOWN = "unknown"


class Reason(NamedTuple):
    """Why a reading is not simply good: a code with parameters, worded by `worded`."""

    code: str = ""
    parameters: tuple[str | int | float, ...] = ()


NO_REASON = Reason()

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "": "",
        "collecting": "collecting {0}/{1} scrapes",
        "never": "no sample yet",
        "stale": "{0} s old, expected every {1} s",
        "removed": "no sample for {0} s",
        "idle": "idle: no traffic in the window",
        "stalled": "stalled: {0} waiting and none left the queue",
        "first-bucket": "below the first bucket, {0} s",
        "last-bucket": "past the last bucket, {0} s",
        "no-metric": "{0} exports no {1}",
        "no-source": "no source exports {0}",
        "no-tiers": "no metric tells tiers apart: map one in [contexts.{0}.identity]",
        "no-tier": "{0} tells no tiers apart",
        "no-objective": "no objective: set one in [contexts.{0}.objectives]",
        "no-plane": "no control plane: give --plane URL",
        "no-metrics": "no metrics source: give --prometheus URL or --scrape URL",
        "no-accelerators": "no accelerator page names this model's pods",
        "not-open": "not open to this tier",
        "not-observed": "no metric observes it",
        "no-capacity-model": "needs the capacity model, not in this version",
        "source-lost": "{0} is not answering",
        "query-failed": "{0} refused the query: {1}",
        "partial": "partial answer: {0}",
        "coverage": "{0} of {1} targets answer",
        "rung": "measured as {0}",
        "unmatched": "{0} holds accelerators and matches no model: alias it in [contexts.{1}.identity]",
        "clock": "clocks differ by {0} s",
        "impossible": "impossible value {0:g}",
        "not-a-number": "{0} is no usable number",
        "truncated": "{0} of {1} shown",
        "models-cut": "{0} of {1} models shown: watch fewer at once",
        "sampled": "each cell of the map stands for many accelerators, in {0} pools",
        "few": "{0} observations in {1} s: a quantile needs {2}",
        "p95": "the p95: {0} observations in {1} s, a p99 needs {2}",
        "longer": "over {0} s, to have {1} observations",
        "little": "Little's law is off by {0} %: counts and times do not belong together",
        "drifting": "changing too fast for Little's law",
        "part-lost": "without {0}, which is not answering",
        "not-exported": "{0}",
        "recorded": "by the recording rule {0}",
        "not-recorded": "not recorded",
        "redacted": "left out of the recording",
        "clamped": "larger than a recording holds",
        "plane-not-recorded": "the control plane was not recorded: give its log with --audit",
    }
)
"""Every reason code with its sentence; parameters are positional and cleaned before they get here."""


def worded(reason: Reason) -> str:
    """The sentence for the screen. An unknown code, from a newer recording, is shown as it is."""
    template = REASONS.get(reason.code)
    if template is not None:
        try:
            return clean(template.format(*reason.parameters), 256)
        except (IndexError, KeyError, ValueError, OverflowError):
            pass  # no parameters of such a reason: whoever reads it makes of them what he can
    return clean(f"{reason.code} {' '.join(map(str, reason.parameters))}".strip())


@dataclass(frozen=True, slots=True)
class Signal:
    """A named measured quantity. `quantum` is its display precision, in `unit`."""

    id: str
    title: str
    unit: Literal["s", "ratio", "count", "1/s", "tok/s", "W", "°C", "bytes"]
    quantum: float


def _signals(*rows: tuple[str, str, str, float]) -> Mapping[str, Signal]:
    return MappingProxyType({i: Signal(i, title, unit, quantum) for i, title, unit, quantum in rows})  # type: ignore[arg-type]  # rows below hold only the literals


SIGNALS: Mapping[str, Signal] = _signals(
    ("queue_wait_p50", "queue wait p50", "s", 0.001),
    ("queue_wait_p95", "queue wait p95", "s", 0.001),
    ("queue_wait_p99", "queue wait p99", "s", 0.001),
    ("answer_time_p50", "answer time p50", "s", 0.001),
    ("answer_time_p99", "answer time p99", "s", 0.001),
    ("first_token_p99", "time to first token p99", "s", 0.001),
    ("token_gap_p99", "inter-token latency p99", "s", 0.001),
    ("waiting", "waiting", "count", 1),
    ("running", "running", "count", 1),
    ("arrivals", "arrivals", "1/s", 0.1),
    ("served", "served", "1/s", 0.1),
    ("rejected", "rejected", "1/s", 0.1),
    ("errors", "errors", "ratio", 0.0001),
    ("preemptions", "preemptions", "1/s", 0.01),
    ("tokens_in", "prompt tokens", "tok/s", 10),
    ("tokens_out", "generated tokens", "tok/s", 10),
    ("kv_ratio", "KV cache used", "ratio", 0.01),
    ("pool_saturation", "pool saturation", "ratio", 0.01),
    ("replicas", "replicas", "count", 1),
    ("accelerators", "accelerators", "count", 1),
    ("busy_ratio", "accelerator busy time", "ratio", 0.01),
    ("memory_ratio", "accelerator memory used", "ratio", 0.01),
    ("power_w", "accelerator power", "W", 1),
    ("temperature_c", "hottest accelerator", "°C", 1),
    ("faults", "faulty accelerators", "count", 1),
    ("queue_wait_mean", "mean queue wait", "s", 0.001),
    ("answer_time_mean", "mean answer time", "s", 0.001),
    ("engine_population", "requests in engines", "count", 1),
    ("little_population", "requests in engines by Little's law", "count", 0.1),
    ("little_error", "error of Little's law", "ratio", 0.01),
    ("replicas_desired", "replicas desired", "count", 1),
    ("tensor_ratio", "tensor cores active", "ratio", 0.01),
    ("slices", "accelerator slices", "count", 1),
    ("accelerators_allocatable", "accelerators allocatable", "count", 1),
    ("accelerators_requested", "accelerators requested", "count", 1),
    ("saturation_rho", "saturation (rho)", "ratio", 0.01),
    ("headroom_ratio", "headroom", "ratio", 0.01),
)
"""Every signal a frame can carry, by id."""


def quantised(signal: str, value: float) -> float:
    """`value` rounded to the signal's quantum: what is shown is what is kept and recorded.

    raises: KeyError for an unknown signal, ValueError when `value` is not finite or has more than 2**53
        quanta: no float tells them apart, and nothing that can be measured has as many.
    """
    quantum = SIGNALS[signal].quantum
    if not abs(value / quantum) <= _MOST_QUANTA:
        raise ValueError(f"{value!r} cannot be rounded to {quantum:g}")
    steps = round(value / quantum)
    if not steps and SIGNALS[signal].unit == "1/s":
        return float(f"{value:.1g}")  # a few a minute are not none
    # Dividing by the whole reciprocal keeps 0.07 printing as 0.07, not 0.07000000000000001.
    return float(steps * quantum) if quantum >= 1 else steps / round(1 / quantum)


_MOST_QUANTA = 2**53

_SHARES = frozenset({"kv_ratio", "busy_ratio", "memory_ratio", "tensor_ratio", "errors"})
_SIGNED = frozenset({"temperature_c", "headroom_ratio"})
_HAIR_BELOW, _HAIR_ABOVE = -1e-9, 1.005


def impossible(signal: str, value: float) -> bool:
    """True for what no exporter can have measured: a count, rate or time below 0, a share above 1.

    A share up to 1.005, and a hair below 0, come of rounding and pass; pools may be more than full.
    """
    if signal not in _SIGNED and value < _HAIR_BELOW:
        return True
    return signal in _SHARES and value > _HAIR_ABOVE


def _possible(signal: str, value: float) -> float:
    """A value that is not impossible, without the hair of rounding."""
    value = value if signal in _SIGNED else max(value, 0.0)
    return min(value, 1.0) if signal in _SHARES else value


@dataclass(frozen=True, slots=True)
class Interval:
    """A quantile from merged buckets: it lies in (lo, hi]; `hi` is infinite past the last bucket."""

    lo: float
    hi: float
    estimate: float


def bounds_of(value: float | Interval) -> tuple[float, float]:
    """Where a value lies, least and most: the bounds of a quantile, or a plain number twice."""
    return (value.lo, value.hi) if isinstance(value, Interval) else (value, value)


@dataclass(frozen=True, slots=True)
class Reading:
    """A signal's value for some (model, tier, pool), and how far to believe it.

    value: in the signal's unit, quantised; None when there is nothing true to show
    at: when it was true, by the oldest scrape that feeds it; None if never
    coverage: targets that answered and targets there are, (n, m)
    """

    value: float | Interval | None
    at: float | None
    quality: Quality = Quality.GOOD
    reason: Reason = NO_REASON
    coverage: tuple[int, int] | None = None

    @property
    def estimate(self) -> float | None:
        """The point to sort and draw sparks by."""
        return self.value.estimate if isinstance(self.value, Interval) else self.value


NEVER = Reading(None, None, Quality.MISSING, Reason("never"))


def ticked(at: float | None) -> float | None:
    """A time as it is kept and recorded: to 10 ms."""
    return None if at is None else round(at, 2)


def reading(
    signal: str,
    value: float | Interval | None,
    at: float | None,
    quality: Quality = Quality.GOOD,
    reason: Reason = NO_REASON,
    coverage: tuple[int, int] | None = None,
) -> Reading:
    """A reading, quantised, its time too. Bucket bounds are exact and stay; only the estimate is rounded.

    NaN becomes None and the reading `missing`: idle, unless a reason was given. What is too large to be a
    number becomes `missing` too, and what is impossible `suspect`, each with its own reason: no such value
    is shown as if it were true.
    raises: KeyError for an unknown signal.
    """
    at = ticked(at)
    if value is None:
        return Reading(None, at, quality, reason, coverage)
    estimate = value.estimate if isinstance(value, Interval) else value
    if isinstance(value, float | int) and math.isnan(value):
        why = reason if reason.code else Reason("idle")
        return Reading(None, at, Quality.MISSING if quality is Quality.GOOD else quality, why, coverage)
    try:
        rounded = quantised(signal, estimate)
    except ValueError:
        return Reading(None, at, Quality.MISSING, Reason("not-a-number", (f"{estimate:g}",)), coverage)
    if impossible(signal, estimate):
        return Reading(None, at, Quality.SUSPECT, Reason("impossible", (float(f"{estimate:.6g}"),)), coverage)
    if isinstance(value, Interval):
        bounded = min(max(rounded, value.lo), value.hi)
        return Reading(Interval(value.lo, value.hi, bounded), at, quality, reason, coverage)
    return Reading(_possible(signal, rounded), at, quality, reason, coverage)


CLOCK_S = 10 * 365.25 * 86_400.0
"""A clock this far from ours is no clock, but a fault or a trick."""


def believable(at: float, ours: float) -> bool:
    """True if `at`, seconds by another's clock, is within ten years of `ours`: also not NaN or infinite."""
    return abs(at - ours) <= CLOCK_S


GRADE_A, GRADE_B = 0.10, 0.25
"""Errors of Little's law up to which counts and times belong together well, and well enough."""

_OF_ITS_TIME = frozenset({"idle", "stalled", "few", "drifting"})
"""Reasons that were true at the time of the reading, and need not be any more."""

STALE_INTERVALS = 2.0
REMOVED_INTERVALS = 5.0


def aged(one: Reading, now: float, interval_s: float) -> Reading:
    """The reading as it stands at `now`: stale past 2 scrape intervals, its value removed past 5.

    What was said in place of a value (idle, stalled, too few) goes with it: nobody knows that any more. A
    reading without a time, or that said why there is none, is returned as it is. Source: design rule D10.
    """
    if one.at is None or not is_timed(one):
        return one
    age = now - one.at
    if not math.isfinite(age):
        return Reading(None, one.at, Quality.MISSING, Reason("not-a-number", ("its time",)), one.coverage)
    if age <= STALE_INTERVALS * interval_s:
        return one
    if age <= REMOVED_INTERVALS * interval_s and one.value is None:
        return one
    if age <= REMOVED_INTERVALS * interval_s:
        # What the value is stays said: a p95 that has grown old is no p99.
        why = one.reason if one.reason.code == "p95" else Reason("stale", (round(age), round(interval_s)))
        return Reading(one.value, one.at, Quality.STALE, why, one.coverage)
    return Reading(None, one.at, Quality.MISSING, Reason("removed", (round(age),)), one.coverage)


def is_timed(one: Reading) -> bool:
    """True for a reading that looks different as time goes by, if nothing new is said."""
    return one.at is not None and (one.value is not None or one.reason.code in _OF_ITS_TIME)


class Standing(StrEnum):
    """A reading against its objective. A bucket that spans the objective decides nothing."""

    OK = "ok"
    BREACH = "breach"
    STRADDLES = "straddles"
    UNKNOWN = "unknown"


def standing(one: Reading, objective: float | None) -> Standing:
    """Breach needs the lower bound above the objective, ok needs the upper bound at or below it (D18).

    No colour comes from stale data: only a good reading is judged. A p95 in place of a p99 can break the
    objective, for the p99 is no smaller, but cannot keep it: nobody knows then.
    """
    if objective is None or one.value is None or one.quality is not Quality.GOOD:
        return Standing.UNKNOWN
    lo, hi = bounds_of(one.value)
    if lo > objective:
        return Standing.BREACH
    if hi <= objective:
        return Standing.UNKNOWN if one.reason.code == "p95" else Standing.OK
    return Standing.STRADDLES
