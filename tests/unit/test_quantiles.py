"""Quantiles: the bucket they fell in, with values computed by hand."""

import math

import pytest

from collectors.readings import Interval
from collectors.signals.catalogue import Buckets
from collectors.signals.quantiles import buckets, interval, merged, observations, quantile_signal

BOUNDS = (1.0, 2.0, 5.0, 10.0, 30.0, math.inf)


def counted(*each: float) -> Buckets:
    """Buckets 1, 2, 5, 10, 30 from the number of observations in each."""
    sums = [sum(each[: i + 1]) for i in range(len(each))]
    return Buckets(BOUNDS, (*sums, sums[-1]))


def test_merged_replicas_have_the_quantile_of_all_their_observations() -> None:
    """1000 and 100 observations: rank 1089 is the 9th of 20 in (10, 30], so 10 + 20 * 9 / 20."""
    both = merged([counted(900, 90, 10, 0, 0), counted(0, 0, 20, 60, 20)])
    assert both.rates == (900, 990, 1020, 1080, 1100, 1100)
    assert interval(both, 0.99) == Interval(10.0, 30.0, pytest.approx(19.0))


def test_the_first_bucket_begins_at_nought() -> None:
    """All of 10 wait below 0.3 s: the estimate is 0.15, the interval says that it may be up to 0.3."""
    one = buckets([("0.3", 10.0), ("0.5", 10.0), ("+Inf", 10.0)])
    assert interval(one, 0.5) == Interval(0.0, 0.3, pytest.approx(0.15))


def test_past_the_last_bound_nothing_is_known_but_that_bound() -> None:
    """Half are above 60 s: p99 is at least 60, and no more can be said."""
    one = buckets([("60", 5.0), ("+Inf", 10.0)])
    assert interval(one, 0.99) == Interval(60.0, math.inf, 60.0)
    assert interval(one, 0.5) == Interval(0.0, 60.0, 60.0)


def test_a_first_bound_at_or_below_nought_is_its_own_estimate() -> None:
    """Prometheus returns the bound where the first one is not above 0."""
    one = buckets([("0", 5.0), ("1", 5.0), ("+Inf", 5.0)])
    assert interval(one, 0.5) == Interval(0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [("1", 0.0), ("+Inf", 0.0)],
        [("+Inf", 4.0)],
        [("1", 4.0), ("2", 4.0)],
        [("1", math.nan), ("+Inf", math.nan)],
    ],
    ids=["none", "idle", "only infinite", "not infinite", "not numbers"],
)
def test_without_observations_there_is_no_quantile(rows: list[tuple[str, float]]) -> None:
    """Nothing counted, or nobody knows how many: no interval, not 0."""
    assert interval(buckets(rows), 0.99) is None


def test_rows_are_read_whatever_their_order_and_form() -> None:
    """`le` is a number: 10 comes after 9, 5 and 5.0 are one bound; what is no number is left out."""
    rows = [("10", 9.0), ("+Inf", 9.0), ("9", 8.0), ("5", 1.0), ("5.0", 2.0), ("le", 7.0), ("nan", 7.0)]
    assert buckets(rows) == Buckets((5.0, 9.0, 10.0, math.inf), (3.0, 8.0, 9.0, 9.0))


def test_a_wider_bucket_never_holds_less() -> None:
    """Buckets scraped at different moments may seem to shrink: they are held up."""
    one = buckets([("1", 5.0), ("2", 4.0), ("+Inf", 6.0)])
    assert one.rates == (5.0, 5.0, 6.0)
    assert observations(one) == 6.0


def test_buckets_of_other_bounds_merge_at_the_bounds_they_share() -> None:
    """Sums are exact at shared bounds, so the interval is wider and still true."""
    one = Buckets((1.0, 5.0, math.inf), (4.0, 8.0, 10.0))
    other = Buckets((2.0, 5.0, math.inf), (1.0, 2.0, 2.0))
    assert merged([one, other]) == Buckets((5.0, math.inf), (10.0, 12.0))
    assert merged([one, Buckets((), ())]) == one
    assert merged([]) == Buckets((), ())


def test_a_share_outside_nought_to_one_is_refused() -> None:
    """A quantile of 99 is a percentage that somebody forgot to divide."""
    with pytest.raises(ValueError, match="need 0 <= q <= 1"):
        interval(counted(1, 1, 1, 1, 1), 99)


def test_quantiles_have_signals_of_their_own() -> None:
    """The ids are those of the catalogue of signals."""
    assert [quantile_signal("queue_wait", q) for q in (0.5, 0.95, 0.99)] == [
        "queue_wait_p50",
        "queue_wait_p95",
        "queue_wait_p99",
    ]
