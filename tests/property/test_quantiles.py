"""What holds for every histogram."""

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from collectors.signals.catalogue import Buckets
from collectors.signals.quantiles import buckets, interval, merged, observations

shares = st.floats(0, 1)


@st.composite
def histograms(draw: st.DrawFn, bounds: tuple[float, ...] | None = None) -> Buckets:
    """Cumulative buckets with an infinite last bound."""
    if bounds is None:
        bounds = tuple(sorted(draw(st.sets(st.floats(0.001, 1000), min_size=1, max_size=20))))
    each = draw(st.lists(st.floats(0, 1000), min_size=len(bounds) + 1, max_size=len(bounds) + 1))
    rates = [math.fsum(each[: i + 1]) for i in range(len(each))]
    return Buckets((*bounds, math.inf), tuple(rates))


@given(histograms(), shares)
def test_the_estimate_lies_in_the_interval(one: Buckets, q: float) -> None:
    """lo <= estimate <= hi, and lo and hi are neighbours among the bounds."""
    found = interval(one, q)
    if observations(one) == 0:
        assert found is None
        return
    assert found is not None
    assert found.lo <= found.estimate <= found.hi
    edges = (0.0, *one.bounds)
    assert edges.index(found.hi) == edges.index(found.lo) + 1


@given(histograms(), shares, shares)
def test_a_higher_quantile_is_never_lower(one: Buckets, a: float, b: float) -> None:
    """Quantiles do not cross."""
    low, high = (interval(one, q) for q in sorted((a, b)))
    if low is not None and high is not None:
        assert low.estimate <= high.estimate + 1e-9


@given(histograms(), shares)
def test_the_interval_holds_the_rank(one: Buckets, q: float) -> None:
    """At most q of the observations are at or below lo; at least q are at or below hi."""
    found = interval(one, q)
    if found is None:
        return
    below = dict(zip(one.bounds, one.rates, strict=True))
    rank = q * one.rates[-1]
    assert below.get(found.lo, 0.0) <= rank or found.lo == 0
    assert below[found.hi] >= rank


@given(st.data())
def test_merging_adds_observations_in_any_order(data: st.DataObject) -> None:
    """Equal bounds: sums, whatever the order; the quantile lies between those of the parts."""
    bounds = (0.1, 1.0, 10.0)
    one, other = data.draw(histograms(bounds)), data.draw(histograms(bounds))
    both = merged([one, other])
    assert both == merged([other, one])
    assert observations(both) == observations(one) + observations(other)
    parts = [found for one in (one, other) if (found := interval(one, 0.9)) is not None]
    if together := interval(both, 0.9):
        assert min(p.lo for p in parts) <= together.lo
        assert together.hi <= max(p.hi for p in parts)


@given(histograms(), st.randoms())
def test_rows_may_come_in_any_order(one: Buckets, order: random.Random) -> None:
    """As text and shuffled, the same buckets come back."""
    rows = [(repr(bound), rate) for bound, rate in zip(one.bounds, one.rates, strict=True)]
    order.shuffle(rows)
    assert buckets(rows) == one
