"""Which recorded frame was shown at each tick: memories are filled from that after a jump in a replay.

numpy is imported only when a replay jumps: it costs more than the first paint may take.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from collectors.fleet import Frame
    from collectors.sessions import Series

    Numbers = NDArray[np.float64]
    Places = NDArray[np.intp]

WINDOW_S = 620.0
"""Recorded seconds before the frame that are looked at: ten minutes, and the steps that they begin in."""

TICK_S = 1.0
"""Seconds between two frames of a live source, which are recorded only where something is new."""


@dataclass(frozen=True, slots=True)
class Ticks:
    """The ticks of a window, cut into steps of equal length.

    steps: number of each step (seconds since the epoch over its length) in which there was a tick, rising
    places: of each tick, the frame's place in the series, in order of time
    starts: of each step, the first of its ticks
    frames: how many of the series' frames count: those up to the frame
    """

    steps: "Places"
    places: "Places"
    starts: "Places"
    frames: int

    @property
    def lengths(self) -> "Places":
        """How many ticks each step has."""
        import numpy as np

        return np.diff(self.starts, append=len(self.places))

    def highest(self, values: "Numbers") -> "Numbers":
        """Of each step and row the highest number, -inf without any. values: rows x frames; NaN: none"""
        import numpy as np

        if not len(self.steps):
            return np.empty((len(values), 0))
        known = np.where(np.isnan(values), -np.inf, values)
        found: Numbers = np.maximum.reduceat(known[:, self.places], self.starts, axis=1)
        return found

    def lowest(self, values: "Numbers") -> "Numbers":
        """Of each step and row the lowest number, inf without any."""
        return -self.highest(-values)


def ticks_of(series: "Series", frame: "Frame", step_s: int, *, counts_before: bool = False) -> Ticks:
    """The ticks of the ten minutes up to `frame`: each frame stood until the next one, or until a gap.

    counts_before: to the ticks of a step belongs the last one before it, unless a gap parts them: a memory
        that carries what it holds into a new step, before it looks at what is new
    """
    import numpy as np

    times = np.asarray(series.times, np.float64)
    times = times[: int(np.searchsorted(times, frame.at, "right"))]
    if not len(times):
        nothing = np.empty(0, np.intp)
        return Ticks(nothing, nothing, nothing, 0)
    every_s = tick_s(times, is_simulated=frame.simulated)
    after, is_parted = _ticks_after(times, series, frame.at, every_s)
    first = np.maximum(0, np.ceil((frame.at - WINDOW_S - times) / every_s)).astype(np.int64)
    counts = np.maximum(0, after - first + 1)
    places = np.repeat(np.arange(len(times)), counts)
    nth = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
    steps = (times[places] + nth * every_s).astype(np.int64) // step_s
    if counts_before:
        begins = np.flatnonzero((steps[1:] != steps[:-1]) & ~is_parted[places[:-1]]) + 1
        places = np.insert(places, begins, places[begins - 1])
        steps = np.insert(steps, begins, steps[begins])
    found, starts = np.unique(steps, return_index=True)
    return Ticks(found, places, starts, len(times))


def _ticks_after(
    times: "Numbers", series: "Series", until: float, every_s: float
) -> "tuple[NDArray[np.int64], NDArray[np.bool_]]":
    """How many ticks each frame stood for besides its own, and whether a gap follows it."""
    import numpy as np

    # The next frame came with a tick, give or take; the last one stands until now.
    after = np.maximum(0, np.append(np.rint(np.diff(times) / every_s) - 1, 0)).astype(np.int64)
    after[-1] = int((until - times[-1]) / every_s + 1e-6)
    is_parted = np.zeros(len(times), np.bool_)
    for gap in series.gaps:
        place = int(np.searchsorted(times, gap.start, "right")) - 1
        if place >= 0 and gap.start < until and gap.end > times[place]:
            seen = max(0, math.ceil((gap.start - times[place]) / every_s) - 1)
            after[place], is_parted[place] = min(after[place], seen), True
    return after, is_parted


def tick_s(times: "Numbers", *, is_simulated: bool) -> float:
    """Seconds of the watched clock between two ticks: more than one where a demo's time runs faster."""
    import numpy as np

    if not is_simulated or len(times) < 2:
        return TICK_S
    # Nearly all: what came of the operator's own action was shown between two ticks.
    return max(TICK_S, float(np.quantile(np.diff(times), 0.1)))
