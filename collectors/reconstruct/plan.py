"""What is asked for: a grid of moments, in stretches that stand for themselves; how much it will be. Pure."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from collectors.config import Context
from collectors.signals.catalogue import Preset

STRETCH_S = 3600.0
STRETCH_STEPS = 240
"""A stretch is an hour, or so many steps where they are long: what is lost if it is killed."""

FRAMES_MOST = 200_000
BYTES_MOST = 2 * 10**9
SECONDS_MOST = 3 * 3600.0
"""More frames, bytes or seconds of work are not begun without being asked for twice."""

LONGEST_S = 99 * 86_400.0
"""Longest span of one file: its times are counted from its beginning, in 10 ms and 31 bits."""

LEAST_STEP_S, LONGEST_STEP_S = 1.0, 3600.0

BYTES_A_READING = 1.5
"""Value, bounds, time and coverage of a reading that changes from one frame to the next."""


class PlanError(Exception):
    """What was asked for cannot be done: what, why, what to ask for. A mistake of whoever asks."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Moments at whole multiples of a step: stores that keep answers keep them by such times.

    step_ms: milliseconds between two; first, last: of the steps, `last` is not part of it
    """

    step_ms: int
    first: int
    last: int

    @classmethod
    def between(cls, start: float, end: float, step_s: float) -> "Grid":
        """All moments from `start` to `end`, both included."""
        step_ms = round(step_s * 1000)
        return cls(step_ms, math.ceil(start * 1000 / step_ms), math.floor(end * 1000 / step_ms) + 1)

    @property
    def step_s(self) -> float:
        """Seconds between two moments."""
        return self.step_ms / 1000

    @property
    def frames(self) -> int:
        """How many moments."""
        return max(0, self.last - self.first)

    def time_of(self, step: int) -> float:
        """Seconds since the epoch."""
        return step * self.step_ms / 1000

    def stretches(self, steps: int = 0) -> Iterator[tuple[int, int]]:
        """(first step, step behind the last one) of each stretch. steps: in one, 0 for as many as is usual"""
        steps = steps or max(STRETCH_STEPS, math.ceil(STRETCH_S / self.step_s))
        for first in range(self.first, self.last, steps):
            yield first, min(first + steps, self.last)


class Asked(NamedTuple):
    """What a reconstruction is of. What is not in it must not change a byte of its file.

    start, end: seconds since the epoch; step_s: as asked for, None for that of the scrapes
    log: the plane's log as it was given, "" for none
    """

    name: str
    context: Context
    presets: Sequence[Preset]
    start: float
    end: float
    step_s: float | None
    log: str = ""

    def digest(self, version: str) -> str:
        """64 hexadecimal digits that stand for all of it."""
        told = {
            "version": version,
            "name": self.name,
            "context": self.context.model_dump(mode="json", exclude={"plane", "writes", "presets"}),
            "presets": hashlib.sha256(repr(tuple(self.presets)).encode()).hexdigest(),
            "start": round(self.start * 1000),
            "end": round(self.end * 1000),
            "step": None if self.step_s is None else round(self.step_s * 1000),
            "log": hashlib.sha256(self.log.encode()).hexdigest(),
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def checked(start: float, end: float, now: float, step_s: float | None) -> None:
    """raises: PlanError for a span that is none, lies ahead, or is longer than a file can be"""
    if start >= end:
        raise PlanError("--from is not before --to: there is nothing between them")
    if end > now + 1:
        raise PlanError("--to is in the future, and nothing is kept of that: give a time up to now")
    if end - start > LONGEST_S:
        days = (end - start) / 86_400
        raise PlanError(f"that is {days:.0f} days, and one file holds at most 99: make several")
    if step_s is not None and not LEAST_STEP_S <= step_s <= LONGEST_STEP_S:
        raise PlanError(f"--step is from {LEAST_STEP_S:g} to {LONGEST_STEP_S:g} seconds")


class Cost(NamedTuple):
    """What it will come to, roughly. series: readings of a frame"""

    frames: int
    series: int
    size_bytes: float
    seconds: float

    @property
    def is_much(self) -> bool:
        """Whether somebody should think twice."""
        return self.frames > FRAMES_MOST or self.size_bytes > BYTES_MOST or self.seconds > SECONDS_MOST

    def sentence(self) -> str:
        """For the screen."""
        return (
            f"{self.frames:,} frames of about {self.series:,} readings: some {_size(self.size_bytes)} and "
            f"{_span(self.seconds)}"
        )


def cost(frames: int, series: int, seconds_a_frame: float) -> Cost:
    """The cost of so many frames."""
    return Cost(frames, series, frames * series * BYTES_A_READING + 50_000, frames * seconds_a_frame)


def _size(size: float) -> str:
    for unit, of in (("GB", 1e9), ("MB", 1e6)):
        if size >= of:
            return f"{size / of:.1f} {unit}"
    return f"{max(size / 1e3, 1):.0f} kB"


def _span(seconds: float) -> str:
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} hours"
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{max(seconds, 1):.0f} seconds"


def facts_of(asked: Asked, grid: Grid, version: str) -> Mapping[str, Any]:
    """What the file says of itself: nothing of the machine or the moment that it was made on."""
    return {
        "source": "backfill",
        "context": asked.name,
        "app": f"tidegate {version}",
        "zone": "UTC",
        "poll_s": grid.step_s,
        "simulated": asked.context.simulated,
    }
