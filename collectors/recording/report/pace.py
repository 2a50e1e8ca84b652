"""How far apart the frames of a window are."""

import itertools
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from collectors.sessions import Gap

REGULAR_SHARE, REGULAR_WITHIN = 0.95, 0.2
"""Frames come regularly if this part of their distances is within this share of the median."""


class Pace(NamedTuple):
    """Distances of frames, seconds, gaps aside: the median and the longest; 0 where there are none."""

    usual_s: float
    longest_s: float
    is_regular: bool


def pace_of(times: Sequence[float], gaps: Sequence[Gap] = ()) -> Pace:
    """How far apart frames are. A distance that a gap lies in is none.

    times: of frames, in order of their numbers, seconds: the clock can go back
    """
    missing, next_gap, steps = sorted(gaps), 0, list[float]()
    for before, after in itertools.pairwise(times):
        while next_gap < len(missing) and missing[next_gap].end <= before:
            next_gap += 1
        has_gap = next_gap < len(missing) and missing[next_gap].start < after
        if after > before and not has_gap:
            steps.append(after - before)
    if not steps:
        return Pace(0.0, 0.0, False)
    usual = statistics.median(steps)
    near = sum(abs(step - usual) <= REGULAR_WITHIN * usual for step in steps)
    return Pace(usual, max(steps), near >= REGULAR_SHARE * len(steps))
