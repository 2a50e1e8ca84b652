"""Runs of frames: between two of them the clock went back, so that a file holds the same time twice."""

import itertools
from collections.abc import Callable
from typing import NamedTuple

BACK_S = 60.0
"""A clock that is set back by less begins no new run: the report goes on."""

RUNS_MOST = 20
"""Other runs of the same time that are told."""


class OtherRun(NamedTuple):
    """What a file holds of the same time besides: first and last time, seconds, and how many frames."""

    start: float
    end: float
    frames: int


def longest_run(time_of: Callable[[int], float], numbers: range) -> range:
    """The most frames in a row between which the clock was not set back.

    time_of: of a frame by its number, seconds
    """
    back = [n for n in numbers[1:] if time_of(n) < time_of(n - 1) - BACK_S]
    edges = [numbers.start, *back, numbers.stop]
    return max((range(first, behind) for first, behind in itertools.pairwise(edges)), key=len)


def other_runs(
    time_of: Callable[[int], float], numbers: range, count: int, start: float, end: float
) -> tuple[OtherRun, ...]:
    """Stretches of frames that are not among `numbers`, though they are of the time from `start` to `end`.

    count: frames of the whole recording
    """
    found: list[OtherRun] = []
    before = -1
    for n in itertools.chain(range(numbers.start), range(numbers.stop, count)):
        at = time_of(n)
        if not start <= at <= end:
            continue
        if found and n == before + 1 and at >= found[-1].end:
            found[-1] = OtherRun(found[-1].start, at, found[-1].frames + 1)
        elif len(found) < RUNS_MOST:
            found.append(OtherRun(at, at, 1))
        before = n
    return tuple(found)
