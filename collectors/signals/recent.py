"""What the last minutes of a source said, where one rate window holds too few observations to judge by.

A p99 of 300 observations is the third largest of them. With few, the windows before are added, up to five
minutes, until there are enough; what is shown then says over how long it is.
"""

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from collectors.readings import GRADE_B, Quality, Reading, Reason, reading
from collectors.signals.catalogue import Buckets
from collectors.signals.keys import Key
from collectors.signals.quantiles import merged, observations

FEW, ENOUGH = 200, 1000
"""Observations that a p95 needs, and a p99: with n of them, n/100 lie above the p99."""

LONGEST_S = 300.0
"""No older observation is added: a wait of six minutes ago says nothing of now."""

DRIFT = 0.05
"""Little's law holds where the population changes by less than this share of what left in the window."""

_LEAST_SAMPLES = 3


class Seen(NamedTuple):
    """A distribution with its base: the number of observations, and over how many seconds."""

    buckets: Buckets
    number: float
    seconds: float


class _Window(NamedTuple):
    at: float
    seconds: float
    buckets: Buckets


class Recent:
    """Memory of one source: distributions by key in windows that do not overlap, populations by model."""

    def __init__(self) -> None:
        self._windows: dict[Key, deque[_Window]] = {}
        self._populations: dict[str, deque[tuple[float, float]]] = {}

    def seen(self, key: Key, newest: Buckets, window_s: float, at: float) -> Seen:
        """The newest window, with those before it where it has too few observations.

        newest: rates over the last `window_s` seconds before `at`; idle ones stay idle, whatever was before
        """
        count = observations(newest) * window_s
        if count <= 0 or count >= ENOUGH:
            self._windows.pop(key, None)
            return Seen(newest, count, window_s)
        kept = self._windows.setdefault(key, deque())
        while kept and (at - kept[0].at > LONGEST_S or kept[0].at > at):
            kept.popleft()
        parts = [_Window(at, window_s, newest)]
        for one in reversed(kept):
            if count >= ENOUGH:
                break
            # Windows that overlap would count the same requests twice.
            if one.at <= parts[-1].at - parts[-1].seconds + 0.5 and at - one.at + one.seconds <= LONGEST_S:
                parts.append(one)
                count += observations(one.buckets) * one.seconds
        if not kept or at >= kept[-1].at + window_s - 0.5:
            same = kept[-1].buckets.bounds if kept and kept[-1].buckets.bounds == newest.bounds else None
            kept.append(_Window(at, window_s, Buckets(same, newest.rates) if same else newest))
        if len(parts) == 1:
            return Seen(newest, count, window_s)
        seconds = sum(one.seconds for one in parts)
        return Seen(_averaged(parts, seconds), count, seconds)

    def little(
        self, model: str, present: float, by_law: float, leaving: float, window_s: float, at: float
    ) -> Reading | None:
        """How far counts and times are apart: |n - L| / max(n, 1), L the mean population by Little's law.

        present: requests in the engines now; by_law: rate of the sum of their times, which is rate times mean
        leaving: requests that left a second
        returns: None until the window is known. Suspect above 25 %: one of the metrics does not say what it
            should. Unknown while the population drifts: the law is of a steady one
        source: Little (1961); mean of the population over the window against rate times mean time in it
        """
        kept = self._populations.setdefault(model, deque())
        kept.append((at, present))
        while kept[0][0] < at - window_s - 0.5:
            kept.popleft()
        if len(kept) < _LEAST_SAMPLES or at - kept[0][0] < window_s / 2:
            return None
        mean = sum(n for _, n in kept) / len(kept)
        drift = abs(kept[-1][1] - kept[0][1])
        error = abs(mean - by_law) / max(mean, 1.0)
        if not math.isfinite(error):
            return None
        if drift > max(DRIFT * leaving * window_s, 1.0):
            return reading("little_error", None, at, Quality.UNKNOWN, Reason("drifting"))
        if error > GRADE_B:
            why = Reason("little", (round(100 * error),))
            return reading("little_error", error, at, Quality.SUSPECT, why)
        return reading("little_error", error, at)

    def forget(self, at: float) -> None:
        """Let go of what nobody has asked for in the longest time."""
        self._windows = {
            k: kept for k, kept in self._windows.items() if kept and at - kept[-1].at <= LONGEST_S
        }
        self._populations = {
            m: kept for m, kept in self._populations.items() if at - kept[-1][0] <= LONGEST_S
        }


def _averaged(parts: Sequence[_Window], seconds: float) -> Buckets:
    """Rates over all of the windows together."""
    weighed = [
        Buckets(one.buckets.bounds, tuple(rate * one.seconds / seconds for rate in one.buckets.rates))
        for one in parts
    ]
    return merged(weighed)


def judged(signal: str, q: float, seen: Seen, window_s: float) -> tuple[float | None, Reason]:
    """The quantile that so many observations allow, and what is to be said of it.

    returns: (q, ""), or (0.95, "p95") in place of a p99, or (None, "few"); `window_s`: what is usual
    """
    if not math.isfinite(seen.number):
        return None, Reason("not-a-number", ("the number of observations",))
    base = (int(seen.number), round(seen.seconds))
    if q >= 0.9 and seen.number < FEW:
        return None, Reason("few", (*base, FEW))
    if q >= 0.99 and seen.number < ENOUGH:
        return 0.95, Reason("p95", (*base, ENOUGH))
    if seen.seconds > window_s * 1.5:
        return q, Reason("longer", base[::-1])
    return q, Reason()
