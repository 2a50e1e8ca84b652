"""Times as people type them, and as sentences tell them: UTC unless an offset is given."""

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from collectors.text import clean

FORMS = "14:03, 14:03:11+02:00, 11-21 14:03, 2026-11-21T14:03Z, -5m, +30s, 3m ago, seconds since 1970"
"""What can be typed, as errors list it."""

LONGEST = 64
"""Most characters of a time."""

DAY_S = 86_400.0

_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": DAY_S}
_PART = r"(\d{1,9}(?:\.\d{1,6})?)\s*(s|min|m|h|d)"
_PARTS = re.compile(_PART, re.ASCII)
_SPAN = rf"((?:{_PART}\s*)+)"
_MOVED = re.compile(rf"([+-])\s*{_SPAN}", re.ASCII)
_AGO = re.compile(rf"{_SPAN}\s*ago", re.ASCII)
_EPOCH = re.compile(r"@?(\d{9,14}(?:\.\d{1,6})?)", re.ASCII)
_MILLISECONDS = 1e11
_CLOCK = r"(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d{1,6})?))?"
_ZONE = r"\s*(z|utc|([+-])(\d{2}):?(\d{2})?)?"
_OF_DAY = re.compile(_CLOCK + _ZONE, re.ASCII)
_OF_YEAR = re.compile(rf"(\d{{1,2}})-(\d{{1,2}})[t ]\s*({_CLOCK}{_ZONE})", re.ASCII)
_SECOND = re.compile(r"(?:^|[t ])\d{1,2}(:?)\d{2}\1\d{2}(?=$|[zu+-]| )|^@?\d{9,10}$", re.ASCII)
"""Times to the second, and no finer."""


class TimeError(ValueError):
    """A time that cannot be gone to. str() is a sentence with what to do."""


class Asked(NamedTuple):
    """A time of the recording, in seconds; `told`: a sentence where it is not quite what was asked, or ""."""

    at: float
    told: str = ""


class Shown(NamedTuple):
    """A time to show, as `Asked`; is_second: what was shown in the second that begins then."""

    at: float
    told: str = ""
    is_second: bool = False


def parse_shown(text: str, at: float, start: float, end: float, *, now: float | None = None) -> Shown:
    """As `parse_time`, for a replay to show: a whole second is what was shown in it.

    It is read off a header or a list, whose clocks tell no more, while frames come in the midst of a second.
    A minute, and whatever counts from another time, is gone to exactly, to be watched from there on.
    """
    if not _SECOND.search(text.strip().lower()):
        return Shown(*parse_time(text, at, start, end, now=now))
    # The second that a recording begins in is of it.
    asked = parse_time(text, at, math.floor(start), end, now=now)
    return Shown(max(asked.at, start), asked.told) if asked.told else Shown(asked.at, is_second=True)


def parse_time(
    text: str,
    at: float,
    start: float,
    end: float,
    *,
    now: float | None = None,
    runs: Sequence[tuple[float, float]] = (),
) -> Asked:
    """The time that `text` names in a recording from `start` to `end`, seconds since the epoch.

    at: where the replay stands, which `-5m` and `+30s` count from
    now: what `3m ago` counts from; the recording's end, where it is not given
    runs: first and last time of each stretch between steps of the clock, in order; nothing: it was never set

    A time of day is the one that lies in the recording. What lies outside is moved to its start or end, and
    told. raises: TimeError for what is no time, or occurs more than once
    """
    asked = text.strip().lower()
    if len(asked) > LONGEST:
        raise TimeError(f"That is too long for a time. Type one of: {FORMS}.")
    if asked in ("start", "end", "now"):
        return Asked(start if asked == "start" else end)
    if moved := _MOVED.fullmatch(asked):
        seconds = _seconds(moved[2])
        return _inside(at - seconds if moved[1] == "-" else at + seconds, start, end)
    if ago := _AGO.fullmatch(asked):
        return _inside((end if now is None else now) - _seconds(ago[1]), start, end)
    if epoch := _EPOCH.fullmatch(asked):
        number = float(epoch[1])
        return _inside(number / 1000 if number >= _MILLISECONDS else number, start, end)
    if of_day := _OF_DAY.fullmatch(asked):
        found = _only(_days(_of_day(of_day, text), start, end), text, start, end)
    elif of_year := _OF_YEAR.fullmatch(asked):
        found = _only(_years(of_year, text, start, end), text, start, end)
    else:
        found = _full(text)
    _refuse_twice(found, runs)
    return _inside(found, start, end)


def stamp(at: float) -> str:
    """A time with its date: `2026-11-21 14:03:11Z`."""
    return _written(at, "%Y-%m-%d %H:%M:%SZ")


def clock(at: float) -> str:
    """A time of day: `14:03:11Z`."""
    return _written(at, "%H:%M:%SZ")


def span(seconds: float) -> str:
    """A length of time in its two largest units: `42 s`, `3 min 5 s`, `2 h 10 min`, `1 d 3 h`."""
    whole = max(0, round(seconds)) if math.isfinite(seconds) else 0
    units = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    largest = next((place for place, (_, size) in enumerate(units) if whole >= size), 3)
    parts: list[str] = []
    for unit, size in units[largest : largest + 2]:
        count, whole = divmod(whole, size)
        if count or not parts:
            parts.append(f"{count} {unit}")
    return " ".join(parts)


def counted(count: int, word: str) -> str:
    """A number with what it counts: `1 frame`, `1,200 frames`."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def size(count: int) -> str:
    """Bytes in the unit that fits: `1.5 MB`, `12.0 kB`, `480 bytes`."""
    for unit, least in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= least:
            return f"{count / least:.1f} {unit}"
    return counted(count, "byte")


def _written(at: float, form: str) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return f"{at:.0f} s since 1970"


def _seconds(text: str) -> float:
    return sum(float(number) * _UNITS[unit] for number, unit in _PARTS.findall(text))


def _of_day(found: "re.Match[str]", text: str) -> float:
    """Seconds since midnight UTC; below 0 and above a day where the offset says so."""
    hours, minutes, seconds = int(found[1]), int(found[2]), float(found[3] or 0)
    if hours > 23 or minutes > 59 or seconds >= 60:
        raise _no_time(text)
    return hours * 3600 + minutes * 60 + seconds - _offset(found, text)


def _offset(found: "re.Match[str]", text: str) -> float:
    if not found[5]:
        return 0.0
    hours, minutes = int(found[6]), int(found[7] or 0)
    if hours > 23 or minutes > 59:
        raise _no_time(text)
    return (1 if found[5] == "+" else -1) * (hours * 3600 + minutes * 60)


def _days(of_day: float, start: float, end: float) -> list[float]:
    """The times of day in the recording, the first four; without any, the one nearest to it."""
    first = start + (of_day - start) % DAY_S
    found = [one for n in range(4) if (one := first + n * DAY_S) <= end]
    return found or [first if first - end < start - (first - DAY_S) else first - DAY_S]


def _years(found: "re.Match[str]", text: str, start: float, end: float) -> list[float]:
    month, day = int(found[1]), int(found[2])
    clock_of = _OF_DAY.fullmatch(found[3])
    if clock_of is None:
        raise _no_time(text)
    of_day, days = _of_day(clock_of, text), []
    try:
        first, last = (datetime.fromtimestamp(edge, UTC).year for edge in (start, end))
    except (ValueError, OverflowError, OSError) as error:
        raise TimeError("This recording's years are none: type a time of day, or `-5m`.") from error
    # 29 February is in one year of four.
    for year in range(first - 4, min(last, first + 400) + 5):
        try:
            midnight = datetime(year, month, day, tzinfo=UTC)
        except ValueError:
            continue
        days.append(midnight.timestamp() + of_day)
    inside = [one for one in days if start <= one <= end]
    if not days:
        raise _no_time(text)
    return inside or [min(days, key=lambda one: max(start - one, one - end))]


def _full(text: str) -> float:
    """A date, or a date and a time, in the forms of ISO 8601."""
    given = text.strip().upper().replace(" UTC", "Z")
    try:
        found = datetime.fromisoformat(given)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise _no_time(text) from error


def _only(found: Sequence[float], text: str, start: float, end: float) -> float:
    if len(found) == 1:
        return found[0]
    which = ", ".join(stamp(one) for one in found[:-1])
    raise TimeError(
        f"{clean(text.strip(), 40)} occurs more than once from {stamp(start)} to {stamp(end)}: "
        f"{which} and {stamp(found[-1])}. Type it with its date."
    )


def _refuse_twice(found: float, runs: Sequence[tuple[float, float]]) -> None:
    holding = [(first, last) for first, last in runs if first <= found <= last]
    if len(holding) > 1:
        set_back = f"the clock was set back at {stamp(holding[0][1])} to {stamp(holding[1][0])}"
        raise TimeError(
            f"{stamp(found)} occurs twice, for {set_back}. Go near it and count from there, as in -5m."
        )


def _inside(found: float, start: float, end: float) -> Asked:
    if found < start:
        return Asked(
            start, f"{stamp(found)} is before this recording begins: this is its start, {stamp(start)}."
        )
    if found > end:
        return Asked(end, f"{stamp(found)} is after this recording ends: this is its end, {stamp(end)}.")
    return Asked(found)


def _no_time(text: str) -> TimeError:
    return TimeError(f"{clean(text.strip(), 40)!r} is no time. Type one of: {FORMS}.")
