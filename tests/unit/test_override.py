"""What an operator's own query is over."""

import pytest

from collectors.prometheus.override import window_s


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        ("sum by (le) (rate(wait_bucket[1m]))", 60),
        ("sum by (le) (rate(wait_bucket[1m30s]))", 90),
        ("max_over_time(rate(wait_bucket[2m])[10m:15s])", 600),
        ("sum by (le) (rate(a_bucket[30s])) or sum by (le) (rate(b_bucket[ 5m ]))", 300),
        ("our:wait_bucket:rate5m", 60),
        ('sum by (le) (rate(wait_bucket{pod=~"[ab]"}[250ms]))', 0.25),
    ],
)
def test_the_longest_range_is_what_a_query_is_over(query: str, seconds: float) -> None:
    """Observations are its rate times this; without a range a minute is taken."""
    assert window_s(query) == pytest.approx(seconds)
