"""What a throttle's setting, its end and its ramp mean: pure functions from one state to the next.

Source: control contract, section 4.
"""

from math import copysign, floor
from typing import Literal

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from collectors.control import wire
from collectors.control.server.rules import share

STEP_S = 5.0
"""Seconds from one step of a ramp to the next. The contract's most is 10: a late step still keeps to it."""

RETURN_PER_MIN = 0.1
"""Share a minute of the way back, unless a setting says otherwise."""

_EARLY_S = 0.001
"""A step may come this early: times on the wire have milliseconds, and sums of floats a little less."""


class Ramp(Struct, frozen=True):
    """A level under way: from `start` at the time `began`, by `per_min` (share a minute, > 0).

    The setting's level is where it goes.
    """

    start: float
    began: float
    per_min: float


def throttled(
    cell: wire.Throttle,
    level: float,
    *,
    expires_at: str | None = None,
    revert_to: Literal["previous", "open"] = "previous",
    ramp_per_min: float | None = None,
    return_ramp_per_min: float | UnsetType | None = UNSET,
) -> wire.Throttle:
    """The cell with a new setting; what is in force is not moved yet, see `set_off`.

    The setting it replaces is remembered, with its own end, unless the new one goes back to `open`. Setting
    the level that is set already changes times and ramp only: what was remembered stays so.
    """
    level = share(level)
    if cell.level == level:
        remembered = cell.revert_to
    elif revert_to == "open" or cell.level is None or cell.level == 1.0:
        remembered = UNSET
    else:
        remembered = wire.Revert(cell.level, cell.expires_at)
    return replace(
        _at_level(cell, level),
        ramp_per_min=ramp_per_min,
        return_ramp_per_min=RETURN_PER_MIN if return_ramp_per_min is UNSET else return_ramp_per_min,
        expires_at=expires_at,
        revert_to=remembered,
    )


def at_once(cell: wire.Throttle, level: float, *, now: float, ttl_s: float | None) -> wire.Throttle:
    """The cell set to `level`, in force from `now`, for `ttl_s` seconds or for ever."""
    ends = None if ttl_s is None else wire.render_time(now + ttl_s)
    back = cell.return_ramp_per_min
    return set_off(cell, throttled(cell, level, expires_at=ends, return_ramp_per_min=back), None, now, None)[
        0
    ]


def reverted(cell: wire.Throttle, now: float, *, to_open: bool = False) -> wire.Throttle:
    """The cell gone back: to the setting it remembers while that has time left, else to level 1.0.

    What is in force is not moved yet, see `set_off`; the way back has the pace of the setting that ends.
    """
    back = cell.revert_to
    if (
        to_open
        or not isinstance(back, wire.Revert)
        or back.level is None
        or (back.expires_at is not None and wire.read_time(back.expires_at) <= now)
    ):
        return replace(_at_level(cell, 1.0), ramp_per_min=None, expires_at=None, revert_to=UNSET)
    return replace(
        _at_level(cell, back.level),
        ramp_per_min=None,
        # "At once" was meant for the setting that ends, not for the one that comes back and has its own end.
        return_ramp_per_min=cell.return_ramp_per_min or RETURN_PER_MIN,
        expires_at=back.expires_at,
        revert_to=UNSET,
    )


def set_off(
    before: wire.Throttle, cell: wire.Throttle, per_min: float | None, at: float, running: Ramp | None
) -> tuple[wire.Throttle, Ramp | None]:
    """The cell on its way from what is in force to its level, since `at`; with its ramp, None once there.

    before: the cell before its new setting; running: its ramp, which goes on if nothing about it changes
    per_min: share a minute; None applies at once
    """
    start = before.effective_level
    if per_min is None or start is None or cell.level is None or start == cell.level:
        return replace(cell, effective_level=cell.level, state="applied"), None
    ramp = Ramp(start, at, per_min)
    if running is not None and running.per_min == per_min and before.level == cell.level:
        ramp = running
    return replace(cell, effective_level=start, state="ramping"), ramp


def stepped(cell: wire.Throttle, ramp: Ramp, now: float) -> tuple[wire.Throttle, Ramp | None]:
    """The cell as its ramp has it at `now`: moved by whole steps, never back and never past its level.

    At the level it is `applied`, and the ramp is None.
    """
    held = cell.effective_level
    if cell.level is None or held is None:
        return replace(cell, effective_level=cell.level, state="applied"), None
    elapsed = max(now - ramp.began, 0.0) + _EARLY_S
    way = cell.level - ramp.start
    steps_s = floor(elapsed / STEP_S) * STEP_S
    level = share(ramp.start + copysign(min(ramp.per_min * steps_s / 60, abs(way)), way))
    # A clock that stepped back must not take back what is in force.
    level = max(level, held) if way > 0 else min(level, held)
    if elapsed >= _way_s(cell.level, ramp) or level == cell.level:
        return replace(cell, effective_level=cell.level, state="applied"), None
    return replace(cell, effective_level=level), ramp


def resumed(ramp: Ramp, in_force: float | None, at: float) -> Ramp:
    """A ramp that began before `at` and stood still until then: from what is in force, at the same pace."""
    return ramp if in_force is None or ramp.began >= at else Ramp(in_force, at, ramp.per_min)


def next_step(level: float, ramp: Ramp, now: float) -> float:
    """When the ramp to `level` moves next, after `now`."""
    steps = floor((now - ramp.began + _EARLY_S) / STEP_S) + 1
    return ramp.began + min(steps * STEP_S, _way_s(level, ramp))


def is_due(cell: wire.Throttle, now: float) -> bool:
    """Whether the cell's time has run out at `now`."""
    return cell.expires_at is not None and wire.read_time(cell.expires_at) <= now


def controlled(cell: wire.Throttle) -> object:
    """What a cell's etag stands for: its setting, less `effective_level` and the state of getting there."""
    return (
        cell.level,
        cell.unit,
        cell.limit,
        cell.baseline,
        cell.ramp_per_min,
        cell.return_ramp_per_min,
        cell.expires_at,
        cell.revert_to,
    )


def _way_s(level: float, ramp: Ramp) -> float:
    return abs(level - ramp.start) / ramp.per_min * 60


def _at_level(cell: wire.Throttle, level: float) -> wire.Throttle:
    limit = cell.limit if cell.baseline is None else level * cell.baseline
    return replace(cell, level=level, limit=limit)
