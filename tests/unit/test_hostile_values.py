"""Values no exporter should send cost their own reading, and no more."""

import math

import pytest

from collectors.readings import Interval, Quality, Reading, Reason, aged, quantised, reading, worded
from collectors.signals.assemble import MAX_MODELS
from collectors.signals.catalogue import Buckets, ScrapeTarget
from collectors.signals.keys import Key
from collectors.signals.quantiles import buckets
from tests.unit.test_assemble import AURORA, answer, see

HUGE = 1.7e308


@pytest.mark.parametrize("signal", ["queue_wait_p99", "tokens_out", "errors", "waiting"])
@pytest.mark.parametrize("value", [HUGE, math.inf, -math.inf, 1.797e308])
def test_a_value_too_large_never_raises(signal: str, value: float) -> None:
    """It has no number to show, and says why."""
    one = reading(signal, value, 1.0)
    assert (one.value, one.quality, one.reason.code) == (None, Quality.MISSING, "not-a-number")


def test_an_overflow_is_missing_and_says_what_it_was() -> None:
    """In text, as JSON has no infinity."""
    assert reading("queue_wait_p99", HUGE, 1.0) == Reading(
        None, 1.0, Quality.MISSING, Reason("not-a-number", ("1.7e+308",))
    )
    assert worded(reading("running", math.inf, 1.0).reason) == "inf is no usable number"
    with pytest.raises(ValueError, match="cannot be rounded"):
        quantised("queue_wait_p99", HUGE)


@pytest.mark.parametrize(
    "interval",
    [Interval(1e308, HUGE, 1.3e308), Interval(math.inf, math.inf, math.inf), Interval(0.0, 1.0, math.nan)],
)
def test_an_absurd_interval_is_missing(interval: Interval) -> None:
    """Bounds of a histogram are text from a page, too."""
    one = reading("queue_wait_p99", interval, 1.0)
    assert (one.value, one.quality, one.reason.code) == (None, Quality.MISSING, "not-a-number")


@pytest.mark.parametrize(
    ("signal", "value", "words"),
    [
        ("waiting", -7.0, "impossible value -7"),
        ("arrivals", -0.5, "impossible value -0.5"),
        ("tokens_out", -3.0, "impossible value -3"),
        ("kv_ratio", 17.5, "impossible value 17.5"),
        ("busy_ratio", 1.01, "impossible value 1.01"),
        ("queue_wait_p99", Interval(-2.0, -1.0, -1.5), "impossible value -1.5"),
    ],
)
def test_the_impossible_is_suspect_and_has_no_number(
    signal: str, value: float | Interval, words: str
) -> None:
    """Nobody can have measured it: it is not shown as if it were true."""
    one = reading(signal, value, 1.0)
    assert (one.value, one.quality, worded(one.reason)) == (None, Quality.SUSPECT, words)


def test_a_hair_of_rounding_passes() -> None:
    """Up to 1.005 is 1; a pool may be more than full, and cold is possible."""
    assert reading("kv_ratio", 1.004, 1.0) == Reading(1.0, 1.0)
    assert reading("errors", 1.0049, 1.0) == Reading(1.0, 1.0)
    assert reading("waiting", -1e-12, 1.0) == Reading(0.0, 1.0)
    assert reading("pool_saturation", 1.7, 1.0).value == 1.7
    assert reading("temperature_c", -4, 1.0).value == -4


@pytest.mark.parametrize("at", [math.inf, math.nan, -math.inf])
def test_a_time_that_is_none_ages_nothing(at: float) -> None:
    """It cannot be told how old the value is, so it is not shown."""
    one = aged(Reading(3.0, at), 100.0, 5.0)
    assert (one.value, one.quality) == (None, Quality.MISSING)


def test_bad_rates_of_buckets_are_left_out() -> None:
    """A counter that fell below zero, or is no number, is as if it were not there."""
    assert buckets([("1", -2.0), ("2", math.inf), ("5", math.nan), ("+Inf", 3.0)]) == Buckets(
        (math.inf,), (3.0,)
    )


def test_buckets_without_an_end_are_not_idle() -> None:
    """How many there were is not known: the quantile is missing, with its reason."""
    seen = see(
        answer(
            "engine",
            "queue_wait",
            (AURORA, Buckets((), ())),
            ({"model_name": "b"}, Buckets((1.0, math.inf), (0.0, 0.0))),
            kind="histogram",
            quantiles=(0.99,),
        )
    )
    one = seen.readings[Key("aurora-5", "", "queue_wait_p99")]
    assert (one.value, one.quality, one.reason.code) == (None, Quality.MISSING, "not-a-number")
    assert seen.readings[Key("b", "", "queue_wait_p99")].reason.code == "idle"


def test_absurd_depths_do_not_end_a_poll() -> None:
    """Two queues whose sum is infinite: that reading is missing, the stalled wait still says so."""
    nothing = Buckets((1.0, math.inf), (0.0, 0.0))
    seen = see(
        answer("engine", "waiting", (AURORA, HUGE), (AURORA, HUGE)),
        answer("engine", "queue_wait", (AURORA, nothing), kind="histogram", quantiles=(0.99,)),
        answer("engine", "running", (AURORA, 4.0)),
    )
    assert seen.readings[Key("aurora-5", "", "waiting")].reason.code == "not-a-number"
    assert seen.readings[Key("aurora-5", "", "queue_wait_p99")].reason.code == "stalled"
    assert seen.readings[Key("aurora-5", "", "running")].value == 4


def test_a_sum_does_not_hide_an_impossible_part() -> None:
    """-5 and 7 are no 2; the fleet's total is of the models that can be believed."""
    seen = see(answer("engine", "running", (AURORA, -5.0), (AURORA, 7.0), ({"model_name": "b"}, 3.0)))
    one = seen.readings[Key("aurora-5", "", "running")]
    assert (one.value, one.quality, one.reason) == (None, Quality.SUSPECT, Reason("impossible", (-5.0,)))
    assert seen.readings[Key("", "", "running")].value == 3


@pytest.mark.parametrize("busy", [HUGE, -0.2, 3.0])
def test_a_cell_of_the_map_is_missing_where_its_value_is_absurd(busy: float) -> None:
    """The other accelerators of the host stay."""
    rows = [({"Hostname": "n", "gpu": str(i), "UUID": str(i)}, v) for i, v in enumerate((busy, 0.5))]
    seen = see(answer("heat", "busy_ratio", *rows))
    assert seen.nodes is not None
    assert seen.nodes[0].busy == bytes([255, 50])


def test_the_number_of_models_is_bounded() -> None:
    """The first by name are kept, and how many there are is said."""
    rows = [({"model_name": f"m{i:05}"}, 1.0) for i in range(MAX_MODELS + 5)]
    seen = see(answer("engine", "running", *rows))
    assert len(seen.models) == MAX_MODELS
    assert seen.truncated_models == MAX_MODELS + 5
    assert "m00000" in seen.models
    assert f"m{MAX_MODELS + 4:05}" not in seen.models
    assert see(answer("engine", "running", *rows[:5])).truncated_models == 0


def test_coverage_is_of_the_models_a_page_carried() -> None:
    """Without pods to go by: a model whose own page is up lacks nothing, the other one says what it lacks."""
    up, down = (
        ScrapeTarget({"instance": name, "job": "scrape"}, is_up, 100.0, frozenset({"engine"}), carried)
        for name, is_up, carried in (
            ("a", True, ({"model_name": "up"}, {"model_name": "shared"})),
            ("b", False, ({"model_name": "shared"},)),
        )
    )
    rows = [({"model_name": name}, 1.0) for name in ("up", "shared", "other")]
    seen = see(answer("engine", "running", *rows), targets=(up, down))
    assert seen.readings[Key("up", "", "running")] == reading("running", 1, 100.0, coverage=(1, 1))
    shared = seen.readings[Key("shared", "", "running")]
    assert (shared.value, shared.quality, shared.reason) == (1, Quality.GOOD, Reason("coverage", (1, 2)))
    # Nothing tells where it comes from: all targets of its stack count.
    assert seen.readings[Key("other", "", "running")].coverage == (1, 2)
