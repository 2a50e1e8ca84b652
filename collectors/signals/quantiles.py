"""Quantiles from merged cumulative buckets, told as the bucket they fell in."""

import math
from bisect import bisect_left
from collections.abc import Iterable

from collectors.readings import Interval
from collectors.signals.catalogue import Buckets


def quantile_signal(family: str, q: float) -> str:
    """Id of the signal for quantile `q` of a family: ("queue_wait", 0.99) -> "queue_wait_p99"."""
    return f"{family}_p{round(q * 100)}"


def buckets(rows: Iterable[tuple[str, float]]) -> Buckets:
    """Buckets from (text of `le`, observations a second at or below it), in any order.

    Rows that are NaN, infinite or negative, or whose `le` is no number, are left out: no counter grows like
    that. Rates are made non-decreasing: scrapes of
    different times can make a wider bucket look smaller. Two rows of one bound ("5", "5.0") add up.
    returns: bounds ascending; no bounds where no row is usable
    """
    found: dict[float, float] = {}
    for text, rate in rows:
        try:
            bound = float(text)
        except ValueError:
            continue
        if not math.isnan(bound) and 0 <= rate < math.inf:
            found[bound] = found.get(bound, 0.0) + rate
    bounds = tuple(sorted(found))
    rates: list[float] = []
    for bound in bounds:
        rates.append(max(found[bound], rates[-1] if rates else 0.0))
    return Buckets(bounds, tuple(rates))


def observations(one: Buckets) -> float:
    """Observations a second; 0 without buckets."""
    return one.rates[-1] if one.rates else 0.0


def merged(many: Iterable[Buckets]) -> Buckets:
    """All observations together. Buckets without bounds add nothing.

    Where the sets of bounds differ, only the bounds that all have are kept: at those the sums are exact, and
    the quantile's interval gets wider instead of wrong. Nothing in common leaves no bounds.
    """
    some = [one for one in many if one.bounds]
    if not some:
        return Buckets((), ())
    first = some[0].bounds
    if all(one.bounds == first for one in some):
        # Nearly always: as many exporters of one release.
        rates = (
            some[0].rates
            if len(some) == 1
            else tuple(map(sum, zip(*(one.rates for one in some), strict=True)))
        )
        return Buckets(first, rates)
    shared = set(some[0].bounds).intersection(*(one.bounds for one in some[1:]))
    sums = dict.fromkeys(sorted(shared), 0.0)
    for one in some:
        for bound, rate in zip(one.bounds, one.rates, strict=True):
            if bound in sums:
                sums[bound] += rate
    return Buckets(tuple(sums), tuple(sums.values()))


def interval(one: Buckets, q: float) -> Interval | None:
    """The bucket that quantile `q` falls in, (lo, hi], with the estimate inside it.

    The estimate is linear inside the bucket, as Prometheus makes it (promql/quantile.go, bucketQuantile). The
    first bucket begins at 0 when its bound is above 0, otherwise it is the bound alone. Past the last finite
    bound: lo and estimate are that bound and hi is infinite.
    returns: None without observations, or without an infinite last bound: nobody knows how many there were
    raises: ValueError unless 0 <= q <= 1
    """
    if not 0 <= q <= 1:
        raise ValueError(f"interval: {q=}: need 0 <= q <= 1")
    if len(one.bounds) < 2 or one.bounds[-1] != math.inf or one.rates[-1] <= 0:
        return None
    rank = q * one.rates[-1]
    at = min(bisect_left(one.rates, rank), len(one.rates) - 1)
    if at == len(one.bounds) - 1:
        last = one.bounds[-2]
        return Interval(last, math.inf, last)
    hi = one.bounds[at]
    if at == 0:
        if hi <= 0:
            return Interval(hi, hi, hi)
        lo, below = 0.0, 0.0
    else:
        lo, below = one.bounds[at - 1], one.rates[at - 1]
    inside = one.rates[at] - below
    share = (rank - below) / inside if inside > 0 else 0.0
    return Interval(lo, hi, min(max(lo + (hi - lo) * share, lo), hi))
