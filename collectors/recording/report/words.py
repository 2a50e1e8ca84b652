"""Quantities as words in a report: for a reader who was not there, so with units, without signs of ours."""

import math
from collections.abc import Sequence

from collectors.recording import times

_JOINED = "\N{NO-BREAK SPACE}"
"""Between a number and its unit, so that no line breaks there."""

FINEST_S = 0.01
"""Waits are not told apart below this."""


def seconds(estimate: float, lo: float | None = None, hi: float | None = None) -> str:
    """A wait: `3.8 s`, with its bucket `3.8 s (3.2 to 4)`, past the last one `over 60 s`."""
    if hi is not None and lo is not None:
        if math.isinf(hi):
            return f"over {number(lo)}{_JOINED}s"
        if hi > lo and (lo <= 0 or hi < FINEST_S):
            return f"under {number(max(hi, FINEST_S))}{_JOINED}s"
        if hi > lo:
            return f"{number(estimate)}{_JOINED}s ({number(lo)} to {number(hi)})"
    return f"{number(estimate)}{_JOINED}s"


def about(estimate: float, lo: float, hi: float) -> str:
    """A wait without its bucket: `3.8 s`; where the estimate says more than is known, `under 0.01 s`."""
    return seconds(estimate) if math.isfinite(hi) and hi >= FINEST_S else seconds(estimate, lo, hi)


def surely(estimate: float, lo: float, hi: float) -> str:
    """What the slowest waited at least, and by estimate: `over 10 s, about 28 s by estimate`."""
    if math.isfinite(hi) and 0 < lo < hi:
        return f"over {number(lo)}{_JOINED}s, about {number(estimate)}{_JOINED}s by estimate"
    told = seconds(estimate, lo, hi)
    return told if math.isinf(hi) or lo < hi else f"about {told}"


def as_told(value: float) -> float:
    """A wait to the two digits that it is told in: what reads the same is the same."""
    return float(f"{value:.2g}")


def number(value: float) -> str:
    """Two to four digits, thousands apart: `0.25`, `3.8`, `12`, `4 200`, `1.2 million`."""
    size = abs(value)
    if size >= 999_500:
        return f"{value / 1e6:.3g}{_JOINED}million" if size < 1e9 else f"{value / 1e9:.3g}{_JOINED}billion"
    if size >= 1000:
        whole = round(value, -1) if size < 9_995 else round(value, -2)
        return f"{whole:,.0f}".replace(",", _JOINED)
    return f"{value:.0f}" if size >= 99.5 else f"{value:.2g}" if size < 9.95 else f"{value:.0f}"


def length(spent: float) -> str:
    """A length of time in two units at most: `12 s`, `2 min 9 s`, `3 h 5 min`, `2 d 4 h`."""
    return times.span(spent).replace(" ", _JOINED)


def share(part: float) -> str:
    """A share of time or of requests: `0.4%`, `12%`."""
    percent = part * 100
    return f"{percent:.1f}%" if 0 < percent < 9.95 else f"{percent:.0f}%"


def portion(level: float) -> str:
    """A share that somebody set: `100%`, `2.5%`."""
    return f"{level * 100:.3g}%" if math.isfinite(level) else "unknown"


def admitted(level: object) -> str:
    """A throttle's level in a sentence: `admit 30%`."""
    known = isinstance(level, int | float) and math.isfinite(level)
    return f"admit {float(level) * 100:.3g}%" if known else "admission unknown"  # type: ignore[arg-type]  # known is a number


def paced(per_min: float | None) -> str:
    """How fast a throttle moves, behind where it moves to: `, by 10% a minute`; empty where not known."""
    return "" if per_min is None else f", by {per_min * 100:.3g}% a minute"


def between(least: float, most: float) -> str:
    """Two bounds of one quantity, in one unit: `1 200 to 4 500`, `0.88 to 2.6 million`."""
    if math.isclose(least, most, rel_tol=0.005, abs_tol=0.5):
        return number(most)
    for size, unit in ((1e9, "billion"), (1e6, "million")):
        if most >= size and least >= size / 100:
            return f"{number(least / size)} to {number(most / size)}{_JOINED}{unit}"
    return f"{number(least)} to {number(most)}"


COARSE_S = 5.0
"""Frames that are further apart than this are told: no time is known better."""


def after(since: float, step_s: float) -> str:
    """How long after something, as well as frames tell it: `after 30 s`, `at the same moment`."""
    if since >= max(0.5, step_s if step_s >= COARSE_S else 0.0):
        return f"after {length(since)}"
    return f"within the same {length(step_s)}" if step_s >= COARSE_S else "at the same moment"


def coarse(step_s: float) -> str:
    """What to know of times that frames tell no better, as a sentence behind others; else nothing."""
    if step_s < COARSE_S:
        return ""
    return f" These times are to the nearest {length(step_s)}: frames came that far apart."


def who(actor: str) -> str:
    """Who did something: a person by their name, a machine by what it is, else `not recorded`."""
    if actor.startswith(_SYSTEM):
        return f"the control plane ({actor.removeprefix(_SYSTEM)})"
    return _MACHINES.get(actor, actor) or "not recorded"


def is_machine(actor: str) -> bool:
    """Whether events say by this name that no person did it."""
    return actor in {"", "cleared", *_MACHINES} or actor.startswith(_SYSTEM)


_SYSTEM = "system:"
_MACHINES = {"ctl": "the control plane", "gpu": "an accelerator"}


def clock(at: float) -> str:
    """Time of day in UTC: `14:02:11`."""
    return times.clock(at).removesuffix("Z")


def day(at: float) -> str:
    """The date in UTC: `2026-11-21`."""
    return times.stamp(at).partition(" ")[0]


def stamp(at: float) -> str:
    """Date and time: `2026-11-21 14:02:11Z`."""
    return times.stamp(at)


def listed(names: Sequence[str], most: int = 6) -> str:
    """Names in a sentence: `a`, `a and b`, `a, b and 3 more`."""
    if not names:
        return "none"
    shown = list(names[:most])
    rest = len(names) - len(shown)
    if rest:
        shown.append(f"{rest} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def plural(count: int, word: str) -> str:
    """`1 action`, `2 actions`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
