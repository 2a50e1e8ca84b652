"""Readings as integers and codes, and back: what a recording keeps of each is exactly what was shown.

Four kinds of readings stand in four blocks: "readings" (axes model, tier; tier "" is the whole model),
"features" (rows model and feature), "cells" (model, feature, tier) and "totals" (one row). A signal has one
column, or, where it is a quantile, three: `X.lo` and `X.hi` point into the column's bounds (-1: a plain
number), `X` is the estimate. Beside each block stand three of the same rows with one column a signal:
".at" (ticks of 10 ms since the header's t0_wall), ".answered" and ".known" (coverage, -1 for none), and
".parameter1" to ".parameter3": what a reason counts (observations, seconds, scrapes) is another number each
second, so up to three whole numbers stand here, each plus 1, and the reason is defined without; 0 for none.

A place at a reading's first column has an exception where the reading is not simply good: a state, NO_VALUE
and NO_TIME beside it, and the id of a reason. Source: docs/tgrec.md.
"""

import math
from collections.abc import Iterable
from enum import IntEnum
from typing import Final, NamedTuple

from collectors.readings import NO_REASON, SIGNALS, Interval, Quality, Reading, Reason
from collectors.recording.codec import CLAMP
from collectors.recording.schema import SEPARATOR

READINGS, FEATURES, CELLS, TOTALS = "readings", "features", "cells", "totals"
FAMILIES: Final = (READINGS, FEATURES, CELLS, TOTALS)
"""Ids of the blocks that hold readings."""

MODELS, RELEASES, EXPOSURE, THROTTLES, SOURCES, PLANE, ACCELERATORS = (
    "models", "releases", "exposure", "throttles", "sources", "plane", "accelerators",
)  # fmt: skip
PLAIN: Final = (MODELS, RELEASES, EXPOSURE, THROTTLES, SOURCES, PLANE, ACCELERATORS)
"""Ids of the blocks of plain numbers."""

SHARES: Final = 10_000
"""Parts of 1 that a share is kept in."""

PARAMETERS: Final = 3
"""Most whole numbers of a reason that stand apart from it."""

SIDES: Final = ("at", "answered", "known", *(f"parameter{n + 1}" for n in range(PARAMETERS)))
"""Blocks that stand beside one of readings."""

TICKS_S: Final = 100
"""Ticks in a second."""

BOUNDS_MOST: Final = 2048
"""Most bucket bounds that a family of quantiles has in a schema."""


USUAL_BOUNDS: Final = (
    0.0, 0.001, 0.002, 0.0025, 0.004, 0.005, 0.006, 0.008, 0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04,
    0.05, 0.06, 0.075, 0.08, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.75, 0.8, 0.9, 1.0, 1.25, 1.5, 2.0,
    2.5, 3.0, 4.0, 5.0, 6.0, 7.5, 8.0, 10.0, 15.0, 20.0, 30.0, 40.0, 45.0, 50.0, 60.0, 80.0, 90.0, 100.0,
    120.0, 160.0, 180.0, 200.0, 240.0, 300.0, 360.0, 400.0, 480.0, 500.0, 600.0, 640.0, 900.0, 960.0,
    1200.0, 1800.0, 1920.0, 2400.0, 2560.0, 2700.0, 3600.0, 7680.0, math.inf,
)  # fmt: skip
"""Bounds that engines, routers and gateways have by default: known from the start, a schema is seldom new."""


class States(IntEnum):
    """How far a number can be believed: the low bits of an exception's state.

    ABSENT: the frame has no such reading
    """

    GOOD = 0
    NEVER = 1
    STALE = 2
    FAILED = 3
    NOT_APPLICABLE = 4
    REDACTED = 5
    CLAMPED = 6
    NOT_RECORDED = 7
    SUSPECT = 8
    UNKNOWN = 9
    MISSING = 10
    ABSENT = 11


NO_VALUE, NO_TIME, STATE_BITS = 0x80, 0x40, 0x3F
"""Beside a state: there is no value; the reading has no time."""

ABSENT: Final = States.ABSENT | NO_VALUE

STATE_OF: Final = {
    Quality.GOOD: States.GOOD,
    Quality.STALE: States.STALE,
    Quality.SUSPECT: States.SUSPECT,
    Quality.UNKNOWN: States.UNKNOWN,
    Quality.MISSING: States.MISSING,
}
QUALITY_OF: Final = {
    States.GOOD: Quality.GOOD,
    States.NEVER: Quality.MISSING,
    States.STALE: Quality.STALE,
    States.FAILED: Quality.MISSING,
    States.NOT_APPLICABLE: Quality.MISSING,
    States.REDACTED: Quality.MISSING,
    States.CLAMPED: Quality.SUSPECT,
    States.NOT_RECORDED: Quality.UNKNOWN,
    States.SUSPECT: Quality.SUSPECT,
    States.UNKNOWN: Quality.UNKNOWN,
    States.MISSING: Quality.MISSING,
}
"""Of a state of a newer version nothing is known: `Quality.UNKNOWN`."""

_MISSING_AS: Final = {
    "never": States.NEVER,
    "source-lost": States.FAILED,
    "query-failed": States.FAILED,
    "not-open": States.NOT_APPLICABLE,
}
REASON_OF: Final = {
    States.NEVER: Reason("never"),
    States.REDACTED: Reason("redacted"),
    States.CLAMPED: Reason("clamped"),
    States.NOT_RECORDED: Reason("not-recorded"),
}
"""The reason of a state that comes without one."""

VALUELESS: Final = frozenset(
    {States.NEVER, States.FAILED, States.NOT_APPLICABLE, States.REDACTED, States.NOT_RECORDED, States.ABSENT}
)
"""States that never have a value, whatever number stands there."""

UNTOLD: Final = Reason("not-recorded")
"""Stands for a reason whose definition was lost."""


def state_of(one: Reading) -> int:
    """The reading's state, without the bits beside it."""
    if one.quality is Quality.MISSING and one.value is None:
        return _MISSING_AS.get(one.reason.code, States.MISSING)
    return STATE_OF[one.quality]


def reason_kept(one: Reading, state: int) -> Reason:
    """The reason that has to be told beside the state; none where the state alone says it."""
    return NO_REASON if REASON_OF.get(States(state)) == one.reason else one.reason


def counts(reason: Reason) -> tuple[int, ...]:
    """The parameters that stand apart from the reason, one more each; () if it keeps them."""
    told = reason.parameters
    if len(told) > PARAMETERS or not all(type(one) is int and 0 <= one < CLAMP for one in told):
        return ()
    return tuple(int(one) + 1 for one in told)


class Scale(NamedTuple):
    """How a signal's values become integers.

    parts: of a unit in one quantum, where that is below 1; quantum: where it is 1 or more
    is_rate: below one quantum one digit is kept, as `fleet.quantised` does
    """

    parts: int
    quantum: float
    is_rate: bool


def scale(unit: str, quantum: float) -> Scale:
    """The scale of a column."""
    inverse = 1 / quantum
    parts = round(inverse) if quantum < 1 and math.isfinite(inverse) else 0
    return Scale(parts, quantum, unit == "1/s")


def scale_of(signal: str) -> Scale:
    """The scale of a signal of ours; one that is not known counts in ones."""
    known = SIGNALS.get(signal)
    return scale(known.unit, known.quantum) if known else Scale(0, 1.0, False)


def steps(value: float, by: Scale) -> int:
    """`value` in quanta, or the code of one digit below a quantum: -(10 e + d) for d x 10**-e.

    returns: a number beyond CLAMP for what is too large or cannot be told
    """
    if not math.isfinite(value):
        return 2 * CLAMP
    found = round(value * by.parts) if by.parts else round(value / by.quantum)
    if by.is_rate:
        if value < 0:
            return 2 * CLAMP
        if not found and value:
            digit, _, exponent = f"{value:.0e}".partition("e")
            return 10 * int(exponent) - int(digit)
    return found


def value_of(number: int, by: Scale) -> float:
    """The value of a stored number."""
    if by.is_rate and number < 0:
        exponent, digit = divmod(-number, 10)
        return float(f"{digit}e-{exponent}")
    return number / by.parts if by.parts else float(number * by.quantum)


def estimate_steps(one: Interval, by: Scale) -> int:
    """The estimate in quanta, so that rounding and then keeping within the bounds gives it back exactly.

    An estimate at a bound that is no whole number of quanta lies between two: the one outside is stored.
    """
    found = steps(one.estimate, by)
    for near in (found, found - 1, found + 1):
        if min(max(value_of(near, by), one.lo), one.hi) == one.estimate:
            return near
    return found


def clamped(number: int) -> int:
    """The number as it can be stored."""
    return min(max(number, -CLAMP), CLAMP)


def stem(signal: str) -> str:
    """Of a quantile the family whose buckets it is of: "queue_wait_p99" -> "queue_wait"; "" of others."""
    family, _, quantile = signal.rpartition("_p")
    return family if quantile.isdigit() else ""


def ticks(at: float) -> int:
    """A time in ticks since the epoch."""
    return round(at * TICKS_S) if abs(at) < 2**53 / TICKS_S else 0


def era_of(tick: int) -> tuple[int, int]:
    """A tick that is far from the first one as (era, tick in it): era * CLAMP + tick; era 0 if it is near."""
    return (0, tick) if -CLAMP <= tick <= CLAMP else divmod(tick, CLAMP)


def first_tick(t0_wall_us: int) -> int:
    """The tick that a recording's times count from."""
    return t0_wall_us // (1_000_000 // TICKS_S)


def keyed(names: Iterable[str]) -> Iterable[str]:
    """Each name, once: of two the same, the second one is numbered."""
    seen: dict[str, int] = {}
    for name in names:
        number = seen[name] = seen.get(name, 0) + 1
        yield name if number == 1 else f"{name}{SEPARATOR}{number}"


def named(key: str, parts: int = 1) -> list[str]:
    """The names in a key of so many parts; "" where there are too few."""
    found = key.split(SEPARATOR, parts)[:parts]
    return found + [""] * (parts - len(found))
