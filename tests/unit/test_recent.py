"""Few observations, and Little's law."""

import math

import pytest

from collectors.readings import Quality, Reason
from collectors.signals.catalogue import Buckets
from collectors.signals.keys import Key
from collectors.signals.recent import Recent, judged

KEY = Key("aurora-5", "pro", "queue_wait")
WINDOW_S = 60.0


def distribution(rate: float, share_fast: float = 0.5) -> Buckets:
    """So many observations a second, a share of them within a second, all within ten."""
    return Buckets((1.0, 10.0, math.inf), (rate * share_fast, rate, rate))


def test_a_busy_window_is_taken_as_it_is() -> None:
    """A thousand observations are enough: nothing of before is added, and nothing is kept."""
    recent = Recent()
    seen = recent.seen(KEY, distribution(20), WINDOW_S, 1000.0)
    assert (seen.number, seen.seconds) == (1200, 60)
    assert judged("queue_wait_p99", 0.99, seen, WINDOW_S) == (0.99, Reason())


def test_few_observations_get_the_windows_before() -> None:
    """Five a second are 300 in a minute; four windows that do not overlap make 1,200."""
    recent = Recent()
    for at in (0.0, 15.0, 30.0, 45.0, 60.0, 120.0):
        recent.seen(KEY, distribution(5), WINDOW_S, at)
    seen = recent.seen(KEY, distribution(5), WINDOW_S, 180.0)
    assert (seen.number, seen.seconds) == (1200, 240)
    assert judged("queue_wait_p99", 0.99, seen, WINDOW_S) == (0.99, Reason("longer", (240, 1200)))


def test_what_is_added_is_weighed_by_time() -> None:
    """Windows count by their seconds: 60 s of slow and 60 s of fast are half and half."""
    recent = Recent()
    recent.seen(KEY, distribution(4, share_fast=0.0), WINDOW_S, 0.0)
    seen = recent.seen(KEY, distribution(4, share_fast=1.0), WINDOW_S, 60.0)
    assert seen.buckets.rates == pytest.approx((2.0, 4.0, 4.0))


def test_too_few_show_a_p95_or_nothing() -> None:
    """Under 1,000 the p95 stands in for the p99 and says so; under 200 there is none."""
    recent = Recent()
    some = recent.seen(KEY, distribution(5), WINDOW_S, 0.0)
    assert judged("queue_wait_p99", 0.99, some, WINDOW_S) == (0.95, Reason("p95", (300, 60, 1000)))
    few = recent.seen(KEY._replace(tier="free"), distribution(1), WINDOW_S, 0.0)
    assert judged("queue_wait_p99", 0.99, few, WINDOW_S) == (None, Reason("few", (60, 60, 200)))
    assert judged("queue_wait_p50", 0.5, few, WINDOW_S)[0] == 0.5


def test_an_idle_window_stays_idle() -> None:
    """No request in the newest window is idle, whatever was before."""
    recent = Recent()
    recent.seen(KEY, distribution(5), WINDOW_S, 0.0)
    assert recent.seen(KEY, distribution(0), WINDOW_S, 60.0).number == 0
    assert recent.seen(KEY, distribution(5), WINDOW_S, 120.0).seconds == 60


def test_nothing_older_than_five_minutes_is_added() -> None:
    """A window of six minutes ago says nothing of now, nor does one after a clock was set back."""
    recent = Recent()
    recent.seen(KEY, distribution(5), WINDOW_S, 0.0)
    assert recent.seen(KEY, distribution(5), WINDOW_S, 301.0).seconds == 60
    assert recent.seen(KEY, distribution(5), WINDOW_S, 100.0).seconds == 60


@pytest.mark.parametrize(
    ("by_law", "error", "quality"),
    [(48.0, 0.04, Quality.GOOD), (40.0, 0.2, Quality.GOOD), (36.0, 0.28, Quality.SUSPECT)],
)
def test_little_holds_counts_against_times(by_law: float, error: float, quality: Quality) -> None:
    """n = 50 against rate x mean time of 48 (grade A), 40 (B) and 36: the last is suspect, and says so."""
    recent = Recent()
    for at in (0.0, 15.0, 30.0, 45.0):
        recent.little("aurora-5", 50.0, by_law, 4.0, WINDOW_S, at)
    one = recent.little("aurora-5", 50.0, by_law, 4.0, WINDOW_S, 60.0)
    assert one is not None
    assert (one.value, one.quality) == (error, quality)
    assert one.reason == (Reason("little", (28,)) if quality is Quality.SUSPECT else Reason())


def test_little_says_nothing_of_a_drifting_population() -> None:
    """From 50 to 90 in a minute, where 240 left: that is no steady state."""
    recent = Recent()
    for at, present in ((0.0, 50.0), (15.0, 60.0), (30.0, 70.0), (45.0, 80.0)):
        recent.little("aurora-5", present, 70.0, 4.0, WINDOW_S, at)
    one = recent.little("aurora-5", 90.0, 70.0, 4.0, WINDOW_S, 60.0)
    assert one is not None
    assert (one.value, one.quality, one.reason.code) == (None, Quality.UNKNOWN, "drifting")


def test_little_waits_for_its_window() -> None:
    """Two looks, or looks over a moment, are no mean."""
    recent = Recent()
    assert recent.little("aurora-5", 50.0, 50.0, 4.0, WINDOW_S, 0.0) is None
    assert recent.little("aurora-5", 50.0, 50.0, 4.0, WINDOW_S, 1.0) is None
    assert recent.little("aurora-5", 50.0, 50.0, 4.0, WINDOW_S, 2.0) is None
