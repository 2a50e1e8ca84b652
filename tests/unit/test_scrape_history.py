"""What is kept of scrapes: labels, staleness, bounds, rates."""

import math

import pytest

from collectors.scrape.history import LOOKBACK_S, MAX_SCRAPES, Series, TargetHistory, merged_labels
from collectors.scrape.page import read_page

T0 = 1_700_000_000_000


def scraped(history: TargetHistory, at_ms: int, text: str, keep_ms: int = 60_000) -> None:
    """Record a page of metric `m`."""
    history.record(read_page(text.encode(), {"m"}), at_ms, keep_ms)


def counter(*samples: tuple[float, float]) -> Series:
    """A series from (seconds after T0, value)."""
    series = Series("m", {})
    for at, value in samples:
        series.add(T0 + round(at * 1000), value)
    return series


@pytest.mark.parametrize(
    ("exposed", "target", "merged"),
    [
        ({"a": "1"}, {"job": "j"}, {"a": "1", "job": "j"}),
        ({"pod": "user"}, {"pod": "exporter"}, {"pod": "exporter", "exported_pod": "user"}),
        ({"pod": "same"}, {"pod": "same"}, {"pod": "same", "exported_pod": "same"}),
        (
            {"pod": "user", "exported_pod": "taken"},
            {"pod": "exporter"},
            {"pod": "exporter", "exported_pod": "taken", "exported_exported_pod": "user"},
        ),
        ({"pod": "user"}, {"pod": ""}, {"pod": "user"}),
    ],
)
def test_merged_labels(exposed: dict[str, str], target: dict[str, str], merged: dict[str, str]) -> None:
    """The target's labels win, and what they push aside gets `exported_`, as with honor_labels off."""
    assert merged_labels(exposed, target) == merged


# By hand from the rules: window 10 s; what is missing at an edge is extrapolated if less than 1.1 gaps, else
# by half a gap.
@pytest.mark.parametrize(
    ("samples", "rate"),
    [
        (((0, 100), (5, 150), (10, 200)), 10.0),
        (((1, 100), (5, 140), (9, 180)), 10.0),
        (((0, 100), (2, 120), (4, 140)), 40 * (4 + 1) / 4 / 10),
        (((6, 100), (8, 120), (10, 140)), 40 * (4 + 1) / 4 / 10),
        (((1, 5), (5, 45), (9, 85)), 80 * (8 + 0.5 + 1) / 8 / 10),
        (((0, 100), (5, 10), (10, 30)), (30 - 100 + 100) / 10),
        (((0, 5), (5, 5), (10, 5)), 0.0),
        (((-1, 0), (0, 7), (10, 17)), 1.0),
    ],
)
def test_rate(samples: tuple[tuple[float, float], ...], rate: float) -> None:
    """Resets, extrapolation to the edges, its limit of half a gap, the zero clamp, closed edges."""
    assert counter(*samples).rate(T0, T0 + 10_000) == pytest.approx(rate, rel=1e-12)


def test_one_sample_is_no_rate() -> None:
    """A rate needs two samples inside the window."""
    assert counter((5, 1)).rate(T0, T0 + 10_000) is None
    assert counter((-5, 1), (5, 2), (15, 3)).rate(T0, T0 + 10_000) is None


def test_reset_before_the_window_does_not_count() -> None:
    """Only resets between samples of the window are added."""
    series = counter((-10, 1000), (-5, 0), (0, 50), (5, 100), (10, 150))
    assert series.rate(T0, T0 + 10_000) == pytest.approx(10.0)


def test_value_at() -> None:
    """The newest sample at or before the time, and nothing that is as old as the look-back."""
    series = counter((0, 1), (10, 2))
    assert series.value_at(T0 + 10_000) == 2
    assert series.value_at(T0 + 9_999) == 1
    assert series.value_at(T0 - 1) is None
    assert series.value_at(T0 + 10_000 + round(LOOKBACK_S * 1000) - 1) == 2
    assert series.value_at(T0 + 10_000 + round(LOOKBACK_S * 1000)) is None


def test_first_of_two_equal_series_counts() -> None:
    """A page that names a series twice gives its first value, as in Prometheus."""
    history = TargetHistory({})
    scraped(history, T0, 'm{a="1"} 1\nm{a="1"} 2\n')
    scraped(history, T0 + 1000, 'm{a="1"} 3\nm{a="1"} 4\n')
    (series,) = history.named("m")
    assert series.values == [1, 3]


def test_series_gone_from_the_page_is_not_current() -> None:
    """Missing from the newest scrape is gone; its samples still serve rates; back again, it goes on."""
    history = TargetHistory({})
    scraped(history, T0, 'm{a="1"} 1\nm{a="2"} 1\n')
    scraped(history, T0 + 1000, 'm{a="2"} 2\n')
    assert [s.labels["a"] for s in history.named("m") if s.scrape == history.scrape] == ["2"]
    assert history.carries("m")
    scraped(history, T0 + 2000, "m2 1\n")
    assert not history.carries("m")
    scraped(history, T0 + 3000, 'm{a="1"} 4\n')
    assert [s.values for s in history.named("m") if s.scrape == history.scrape] == [[1, 4]]


def test_failed_scrape() -> None:
    """A failed scrape is a target that is down; the time of its last good word stays."""
    history = TargetHistory({})
    assert not history.up
    scraped(history, T0, "m 1\n")
    assert history.up
    history.fail()
    assert (history.up, history.at_ms) == (False, T0)


def test_history_is_bounded_in_age_and_number() -> None:
    """Old samples and series that went away are forgotten; no clock makes it keep more than its number."""
    history = TargetHistory({})
    for i in range(200):
        scraped(history, T0 + 1000 * i, f'm{{a="stays"}} {i}\nm{{a="{i}"}} 1\n', keep_ms=20_000)
    assert len(history.scrapes_since(0)) <= 30
    assert len(history.named("m")) <= 31
    stays = next(s for s in history.named("m") if s.labels["a"] == "stays")
    assert len(stays.times_ms) == len(stays.values) <= 30
    assert stays.times_ms[0] >= T0 + 1000 * 199 - 28_000
    for i in range(2 * MAX_SCRAPES):
        scraped(history, T0 + 300_000 + i, f'm{{a="stays"}} {i}\n', keep_ms=10**9)
    assert len(stays.times_ms) <= MAX_SCRAPES


def test_plans_are_dropped_when_series_come_or_go() -> None:
    """What readers worked out holds as long as the set of series, and no longer."""
    history = TargetHistory({})
    scraped(history, T0, "m 1\n")
    history.plans["mine"] = 1
    scraped(history, T0 + 1000, "m 2\n")
    assert history.plans == {"mine": 1}
    scraped(history, T0 + 2000, 'm 2\nm{a="new"} 1\n')
    assert not history.plans


def test_clock_set_back_begins_anew() -> None:
    """A scrape before the last one is another world: no rate may span the two."""
    history = TargetHistory({})
    scraped(history, T0, "m 100\n")
    scraped(history, T0 + 1000, "m 200\n")
    scraped(history, T0 - 5000, "m 1\n")
    assert history.scrapes_since(0) == [T0 - 5000]
    assert [s.values for s in history.named("m")] == [[1]]


def test_standing_clock_brings_nothing_new() -> None:
    """A paused world answers the same time again: up, but no second sample."""
    history = TargetHistory({})
    scraped(history, T0, "m 1\n")
    history.fail()
    scraped(history, T0, "m 1\n")
    assert history.up
    assert [s.values for s in history.named("m")] == [[1]]
    assert history.named("m")[0].scrape == history.scrape


def test_own_times_of_samples() -> None:
    """A sample with its own time is kept at that time, and one that is not newer is dropped."""
    history = TargetHistory({})
    scraped(history, T0, f"m 1 {T0 - 7000}\n")
    scraped(history, T0 + 1000, f"m 2 {T0 - 7000}\n")
    scraped(history, T0 + 2000, f"m 3 {T0 - 1000}\n")
    (series,) = history.named("m")
    assert (series.times_ms, series.values) == ([T0 - 7000, T0 - 1000], [1, 3])


def test_nan_is_a_sample() -> None:
    """NaN is kept like any value and is no reset."""
    series = counter((0, 1), (5, math.nan), (10, 3))
    assert series.reset_ms == -1
    assert series.rate(T0, T0 + 10_000) == pytest.approx(0.2)
