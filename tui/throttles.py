"""What a throttle admits now, what it would admit after a change, and the words for both. Pure.

A cell's course is what it admits from now on if nobody touches it: its level until its time is up, then the
setting it remembers for what is left of that one's time, then 1, for ever. Ramps are left out of a course.
Source: control contract, section 4.
"""

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import NamedTuple

from collectors.fleet import Throttle
from collectors.text import clean
from tui.format import PRESETS, admit, duration

ALIKE = 0.00005
"""Levels closer than this are one: a plane compares them rounded to four decimals."""

AT_ONCE, SLOWLY = "0", "10"
"""Ids of the ramps that tightening and loosening have by default: cut fast, reopen slowly."""

RAMPS: tuple[tuple[str, str, float | None], ...] = (
    (AT_ONCE, "at once", None),
    ("5", "5", 0.05),
    (SLOWLY, "10", 0.1),
    ("20", "20 %/min", 0.2),
)
"""Id, label and share a minute of every ramp that is offered."""

_PERCENT = re.compile(r"([0-9]{1,6})(?:\.([0-9]*))?\s*%?")
_DECIMALS = 2


class Step(NamedTuple):
    """`level` is admitted until a time, seconds since the epoch; None: nobody knows how much."""

    level: float | None
    until: float


Course = tuple[Step, ...]
"""Steps in order of time; the last one has no end."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is asked of a cell.

    clears: back to what was before, or open; else `level` is set
    ends_at: when its time would be up; None has no end
    to_open: goes back to 1 instead of to the setting before
    """

    clears: bool
    level: float | None
    ends_at: float | None
    to_open: bool


@dataclass(frozen=True, slots=True)
class Move:
    """One cell and what a change would make of it.

    level: that is admitted then; None if nobody knows
    course: what it would admit from then on
    rises: it would admit more than now or than is set, or for longer; False where it only tightens
    later_rise: it admits no more at once, but more than is planned now at this later time; None if never
    """

    cell: Throttle
    level: float | None
    course: Course
    rises: bool
    later_rise: float | None = None

    @property
    def stays(self) -> bool:
        """True where the level is what it was, and only times or the ramp change."""
        return alike(self.level, self.cell.level)


def alike(one: float | None, other: float | None) -> bool:
    """Whether two levels are the same to a plane; unknown ones never are."""
    return one is not None and other is not None and abs(one - other) < ALIKE


def in_force(cell: Throttle) -> bool:
    """Whether something keeps the cell from being open for good."""
    return not alike(cell.level, 1.0) or cell.expires_at is not None or cell.revert_to is not None


def course_now(cell: Throttle) -> Course:
    """What the cell admits from now on."""
    first = Step(cell.level, inf if cell.expires_at is None else cell.expires_at)
    return _course(first, *_remembered(cell))


def changed(cell: Throttle, change: Change, now: float) -> Move:
    """What the change would make of the cell, at the time `now`."""
    if change.clears:
        steps = [] if change.to_open else [step for step in _remembered(cell) if step.until > now]
    else:
        first = Step(change.level, inf if change.ends_at is None else change.ends_at)
        if alike(change.level, cell.level):
            # A plane keeps what it remembers where the level does not change.
            steps = [first, *_remembered(cell)]
        elif change.to_open:
            steps = [first]
        else:
            steps = [first, Step(cell.level, inf if cell.expires_at is None else cell.expires_at)]
    course = _course(*steps)
    level, before = course[0].level, course_now(cell)
    rise = _first_rise(course, before, now)
    if alike(level, cell.level):
        # Only times change: more time for a level that lets in more is a rise too.
        return Move(cell, level, course, rise is not None or _jumps(cell, level))
    rises = level is None or cell.level is None or level > cell.level + ALIKE or _jumps(cell, level)
    return Move(cell, level, course, rises, None if rises else rise)


def _jumps(cell: Throttle, level: float | None) -> bool:
    """Whether the level is above what a ramp lets in at this moment."""
    held = cell.effective_level if cell.state == "ramping" else None
    return held is not None and (level is None or level > held + ALIKE)


def _remembered(cell: Throttle) -> tuple[Step, ...]:
    back = cell.revert_to
    return () if back is None else (Step(back.level, inf if back.expires_at is None else back.expires_at),)


def _course(*steps: Step) -> Course:
    kept: list[Step] = []
    for step in (*steps, Step(1.0, inf)):
        if not kept or step.until > kept[-1].until:
            kept.append(step)
    return tuple(kept)


def _first_rise(new: Course, old: Course, now: float) -> float | None:
    """When `new` first admits more than `old`; None if never, as far as levels are known."""
    times = sorted({now, *(step.until for step in (*new, *old) if now < step.until < inf)})
    return next((at for at in times if _is_more(_at(new, at), _at(old, at))), None)


def _is_more(new: float | None, old: float | None) -> bool:
    return new is not None and old is not None and new > old + ALIKE


def _at(course: Course, at: float) -> float | None:
    return next(step.level for step in course if step.until > at or step.until == inf)


def read_percent(text: str) -> float | str:
    """The share that a typed percentage is, `12.5` or `12.5%`; a sentence why it is none.

    Never rounds: a third decimal of a percentage is more than a plane compares.
    """
    typed = text.strip()
    found = _PERCENT.fullmatch(typed)
    if found is None:
        if re.fullmatch(r"-\s*[0-9.]+\s*%?", typed):
            return f"{_quoted(typed)} is below 0: give a percentage from 0 to 100"
        return f"{_quoted(typed)} is no percentage: give one from 0 to 100, such as 12.5"
    decimals = (found[2] or "").rstrip("0")
    if len(decimals) > _DECIMALS:
        return f"{_quoted(typed)} is too fine: give two decimals at most, such as 12.25"
    value = float(f"{found[1]}.{decimals or '0'}")
    if value > 100:
        return f"{_quoted(typed)} is above 100: give a percentage from 0 to 100"
    return round(value / 100, 4)


def _quoted(text: str) -> str:
    return f"'{clean(text, 24)}'"


def percentage(level: float) -> str:
    """A level as it is typed: `12.5`."""
    return f"{round(level * 100, 2):g}"


def preset(level: float | None) -> str:
    """The name of a level that has one: `T3`; else empty."""
    return next((name for share, name in PRESETS.items() if alike(share, level)), "")


def admits(level: float | None) -> str:
    """A level in a sentence, exact to what a plane compares: `admit 12.25%`."""
    return admit(None) if level is None else f"admit {percentage(level)}%"


def named_level(level: float | None) -> str:
    """A level with its preset before it: `T3 admit 30%`."""
    return f"{name} {admits(level)}" if (name := preset(level)) else admits(level)


def span(levels: Iterable[float | None]) -> str:
    """Several levels in a sentence: `admit 30%`, `admit 10% to 50%`; unknown ones are said."""
    found = list(levels)
    known = sorted({round(level, 4) for level in found if level is not None})
    if not known:
        return admit(None)
    text = admits(known[0]) if len(known) == 1 else f"{admits(known[0])} to {percentage(known[-1])}%"
    return text if len(known) and None not in found else f"{text} or unknown"


def minutes(seconds: float) -> str:
    """A length of time in a sentence: `30 min`, `1 h`, else as `12m30s`."""
    if not isfinite(seconds):
        return "ever"
    whole = max(0, round(seconds))
    if whole and whole % 3600 == 0:
        return f"{whole // 3600} h"
    return f"{whole // 60} min" if whole and whole % 60 == 0 else duration(whole)


def moment(at: float) -> str:
    """A time to come, in UTC (D11), to the minute, so that a time which moves with ours is calm: `14:32Z`."""
    return time.strftime("%H:%MZ", time.gmtime(at))


def afterwards(course: Course, was: float | None) -> str:
    """What comes after the first step of a course, in words: `then back to admit 50% until 15:00Z, then admit
    100%`; empty if nothing does. `was`: the level set now."""
    parts: list[str] = []
    for step in course[1:]:
        to = "back to " if not parts and alike(step.level, was) else ""
        until = f" until {moment(step.until)}" if step.until < inf else ""
        parts.append(f"then {to}{admits(step.level)}{until}")
    return ", ".join(parts)


def by_privilege(moves: Sequence[Move], tiers: Sequence[str]) -> tuple[Move, ...]:
    """In the order they are to be sent: first what tightens, the least privileged tier first; then what
    loosens, the most privileged first. So a refusal half way leaves the better-served side of it."""
    places = {tier: place for place, tier in enumerate(tiers)}

    def place(move: Move) -> int:
        return places.get(move.cell.tier, len(places))

    tightened = sorted((move for move in moves if not move.rises), key=place, reverse=True)
    return (*tightened, *sorted((move for move in moves if move.rises), key=place))
