"""Native histograms of an answer as buckets that can be added up. Pure.

A native histogram sends only buckets with a population, of a resolution of its own, so two of them seldom
have the same bounds. Between its buckets nothing was observed: how many were below a bound is known there
exactly, and inside a bucket it is not. Every group of an answer is told at all bounds of the answer it knows.
"""

import itertools
import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from collectors.prometheus.wire import Sample
from collectors.signals.catalogue import Buckets

Population = tuple[float, float, float]
"""(low, high, observations a second) of one bucket."""

Key = TypeVar("Key", bound=Hashable)


def counted_once(samples: Iterable[Sample], replicas: Sequence[str]) -> list[Sample]:
    """The samples that have a histogram; of those equal but for the labels of equal Prometheus, the one that
    saw most."""
    most: dict[frozenset[tuple[str, str]], tuple[float, Sample]] = {}
    for sample in samples:
        if sample.histogram is None:
            continue
        key = frozenset(pair for pair in sample.metric.items() if pair[0] not in replicas)
        seen = sum(held for _, _, held in sample.histogram[1].populations())
        if key not in most or seen > most[key][0]:
            most[key] = seen, sample
    return [sample for _, sample in most.values()]


def aligned(groups: Mapping[Key, Sequence[Population]]) -> dict[Key, Buckets]:
    """Cumulative buckets of each group, its histograms added up, at all the groups' bounds that it knows."""
    every = {bound for held in groups.values() for low, high, _ in held for bound in (low, high)}
    bounds = sorted(bound for bound in every if math.isfinite(bound))
    return {key: _cumulative(held, bounds) for key, held in groups.items()}


def _cumulative(held: Sequence[Population], bounds: Sequence[float]) -> Buckets:
    by_high = sorted((high, rate) for _, high, rate in held)
    highs = [high for high, _ in by_high]
    below = [0.0, *itertools.accumulate(rate for _, rate in by_high)]
    # A bucket of one point spans nothing.
    wide = [(low, high) for low, high, _ in held if low < high]
    lows, ends = sorted(low for low, _ in wide), sorted(high for _, high in wide)
    known = [bound for bound in bounds if bisect_left(lows, bound) == bisect_right(ends, bound)]
    rates = [below[bisect_right(highs, bound)] for bound in known]
    return Buckets((*known, math.inf), (*rates, below[-1]))


def populations(samples: Iterable[tuple[Key, Sample]]) -> dict[Key, list[Population]]:
    """The buckets of all histograms of each group, those of one span added up."""
    found: dict[Key, dict[tuple[float, float], float]] = defaultdict(lambda: defaultdict(float))
    for key, sample in samples:
        group = found[key]
        if sample.histogram is not None:
            for low, high, held in sample.histogram[1].populations():
                group[low, high] += held
    return {key: [(*span, held) for span, held in group.items()] for key, group in found.items()}
