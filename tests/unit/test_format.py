"""Quantities as text."""

from dataclasses import fields, replace

import pytest

from collectors.readings import Interval, Quality, Reading, Reason
from tui.format import (
    ASCII,
    MEAN,
    UNICODE,
    absent,
    admit,
    age,
    bar,
    bounds,
    clock,
    count,
    counted,
    duration,
    fit,
    is_partial,
    joined,
    latency,
    level,
    objective,
    percent,
    quantile,
    rate,
    said,
    shown,
    stamp,
    stands_in,
    wait,
    wide_quantile,
    width_of,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0.0"), (0.04, "0.04"), (0.6, "0.6"), (3.75, "3.8"), (14.94, "14.9"), (120, "120"), (1000, "17m")],
)
def test_a_wait_takes_at_most_four_cells(value: float, text: str) -> None:
    """Waits keep the digits that matter at their size."""
    assert wait(value) == text


@pytest.mark.parametrize("exponent", range(-4, 8))
def test_no_wait_is_wider_than_its_column(exponent: int) -> None:
    """Whatever the value, four cells hold it."""
    for digit in (1, 4.96, 9.96):
        assert len(wait(digit * 10**exponent)) <= 4
        assert len(objective(digit * 10**exponent)) <= 4


@pytest.mark.parametrize(
    ("value", "narrow", "wide"),
    [
        (Interval(3.2, 4.0, 3.8), "≈3.8", "3.8 (3.2-4.0)"),
        (Interval(13.0, 16.0, 14.9), "≈14.9", "14.9 (13-16)"),
        (Interval(0.0, 0.3, 0.2), "<0.3", "<0.3"),
        (Interval(60.0, float("inf"), 60.0), "≥60", "≥60"),
        (3.8, "3.8", "3.8"),
    ],
)
def test_a_quantile_shows_its_bucket_where_there_is_room(
    value: float | Interval, narrow: str, wide: str
) -> None:
    """D18: narrow screens show the estimate, wide ones the bucket; both ends of the scale say so."""
    assert quantile(value) == narrow
    assert wide_quantile(value) == wide


def test_bounds_are_silent_where_the_quantile_tells_already() -> None:
    """No bucket is drawn twice."""
    assert bounds(Interval(3.2, 4.0, 3.8)) == "(3.2-4.0)"
    assert bounds(Interval(0, 0.3, 0.2)) == "" == bounds(2.0)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (640, "640"), (1812, "1 812"), (12_345, "12.3k"), (12_345_678, "12.3M"), (1e15, ">999G")],
)
def test_counts_group_then_scale(value: float, text: str) -> None:
    """A count takes at most five cells."""
    assert count(value) == text
    assert len(count(value)) <= 5


def test_shares_and_levels() -> None:
    """T-names where they exist, exact shares where they do not, and never a made-up number."""
    assert [percent(r) for r in (0.914, -0.03, 25.0, -2)] == ["91%", "-3%", ">999%", "<-99%"]
    assert [level(s) for s in (1.0, 0.7, 0.5, 0.3, 0.1, 0.0, 0.37, None)] == [
        "–", "T1", "T2", "T3", "T4", "T5", "37%", "?",
    ]  # fmt: skip
    assert admit(0.3) == "admit 30%"
    assert admit(None) == "admission unknown"


def test_times_are_utc_and_say_so() -> None:
    """D11."""
    assert clock(1_795_269_731.0) == "14:02:11Z"
    assert stamp(1_795_269_731.0) == "2026-11-21 14:02:11Z"


def test_ages_change_seldom() -> None:
    """D17: an age's text changes in steps that grow with it; time running backwards is no negative age."""
    assert [age(s) for s in (-5, 0.8, 9.9, 94, 131, 7300, 200_000)] == [
        "0s",
        "0s",
        "9s",
        "90s",
        "2m",
        "2h",
        "2d",
    ]
    assert len({age(s) for s in range(120, 7200)}) == 118
    assert [duration(s) for s in (12, 129, 11_100, 187_200)] == ["12s", "2m09s", "3h05m", "2d04h"]
    assert [latency(s) for s in (0.0004, 0.042, 0.34, 12.3)] == ["1ms", "40ms", "0.3s", "12s"]


def test_a_bar_ends_at_its_limit() -> None:
    """A bar never runs over, and 96 % of six cells is six."""
    assert bar(0.91, 6) == "█████·"
    assert bar(0.96, 6) == bar(7.0, 6) == "██████"
    assert bar(-1, 3) == "···"


def test_each_reason_to_have_no_value_has_its_own_shape() -> None:
    """D2: without colour, not open, idle, stalled, collecting, unknown and gone still differ."""
    readings = [
        Reading(None, None, Quality.MISSING, Reason("not-open")),
        Reading(None, 1.0, Quality.MISSING, Reason("idle")),
        Reading(None, 1.0, Quality.MISSING, Reason("stalled", (4,))),
        Reading(None, 1.0, Quality.MISSING, Reason("collecting", (2, 4))),
        Reading(None, None, Quality.UNKNOWN, Reason("no-capacity-model")),
        Reading(None, 1.0, Quality.MISSING, Reason("removed", (94,))),
    ]
    for glyphs in (UNICODE, ASCII):
        assert len({absent(one, glyphs)[0] for one in readings}) == len(readings)


def test_a_p95_is_never_taken_for_a_p99() -> None:
    """Where the word fits it is said; else one letter; beside the signs of quality, in both glyph sets."""
    one = Reading(Interval(3.2, 4.0, 3.8), 1.0, reason=Reason("p95", (412, 60, 1000)))
    assert shown(one, "≈3.8", room=7) == ("p95 3.8", "text")
    assert shown(one, "≈3.8", room=6) == shown(one, "≈3.8") == ("p3.8", "text")
    assert shown(one, "=3.8", ASCII) == ("p3.8", "text")
    assert shown(one, ">=60", ASCII) == ("p>60", "text")
    assert shown(replace(one, quality=Quality.STALE), "≈3.8", room=8) == ("~p95 3.8", "stale")
    assert shown(replace(one, coverage=(1, 2)), "≈14.9", room=6) == ("p14.9*", "text")
    assert shown(Reading(0.4, 1.0), "0.4", room=7, instead=MEAN) == ("avg 0.4", "text")
    assert shown(Reading(0.4, 1.0), "0.4", instead=MEAN) == ("a0.4", "text")
    assert stands_in(replace(one, value=None)) == ""


def test_few_observations_are_neither_nothing_nor_zero() -> None:
    """A quantile of 37 observations is not drawn, and that is no trouble."""
    few = Reading(None, 1.0, Quality.MISSING, Reason("few", (37, 300, 200)))
    for glyphs in (UNICODE, ASCII):
        assert absent(few, glyphs) == ("few", "muted")
    assert absent(Reading(None, None, Quality.MISSING, Reason("not-exported", ("why",)))) == ("--", "muted")


def test_a_signal_nobody_exports_is_no_alarm() -> None:
    """D1: what was never measured here has no colour; what was and is gone has."""
    assert absent(Reading(None, None, Quality.MISSING, Reason("no-source", ("kv_ratio",)))) == ("--", "muted")
    assert absent(Reading(None, 1.0, Quality.MISSING, Reason("removed", (94,)))) == ("--", "missing")


def test_quality_shows_beside_the_value() -> None:
    """Stale and suspect values carry a sign besides their role."""
    assert shown(Reading(3.8, 1.0, Quality.STALE), "≈3.8") == ("~3.8", "stale")
    assert shown(Reading(3.8, 1.0, Quality.SUSPECT), "3.8") == ("3.8?", "suspect")
    assert shown(Reading(3.8, 1.0), "3.8") == ("3.8", "text")
    assert shown(Reading(3.8, 1.0, coverage=(57, 57)), "3.8") == ("3.8", "text")


def test_a_value_of_some_targets_has_a_sign() -> None:
    """By its coverage or by its reason; a stale or suspect one has the sign of that, which says more."""
    some = Reading(3.8, 1.0, coverage=(56, 57))
    assert shown(some, "3.8") == ("3.8*", "text")
    assert shown(some, "3.8", ASCII) == ("3.8&", "text")
    for why in (Reason("coverage", (2, 3)), Reason("part-lost", ("prom eu",))):
        assert shown(Reading(3.8, 1.0, reason=why), "3.8") == ("3.8*", "text")
    assert shown(replace(some, quality=Quality.STALE), "3.8") == ("~3.8", "stale")
    assert not is_partial(Reading(None, 1.0, coverage=(0, 3)))


@pytest.mark.parametrize(
    ("text", "width", "fitted"),
    [
        ("abc", 5, "abc  "),
        ("abcdef", 4, "abc…"),
        ("北京大模型", 6, "北京… "),
        ("北京大模型", 5, "北京…"),
        ("abc", 1, "a"),
        ("abc", 0, ""),
        ("[/nope]", 7, "[/nope]"),
    ],
)
def test_fitted_text_is_exactly_as_wide_as_asked(text: str, width: int, fitted: str) -> None:
    """D13: cut text ends in an ellipsis, and a wide glyph is never halved."""
    assert fit(text, width) == fitted
    assert width_of(fit(text, width)) == width


def test_few_a_second_are_not_none() -> None:
    """A request a minute is no zero, and a zero is one."""
    assert [rate(value) for value in (0.0, 0.001, 0.013, 0.05, 0.4, 640)] == [
        "0",
        "<0.1",
        "<0.1",
        "0.1",
        "0.4",
        "640",
    ]


def test_one_thing_is_not_several() -> None:
    """However its number is marked."""
    assert [counted(text, "replica") for text in ("1", "~1", "1*", "0", "2", "1/3")] == [
        "1 replica",
        "~1 replica",
        "1* replica",
        "0 replicas",
        "2 replicas",
        "1/3 replicas",
    ]


def test_joined_counts_what_it_leaves_out() -> None:
    """D13: nothing vanishes silently."""
    assert joined(("alpha", "beta", "gamma"), 100) == "alpha  beta  gamma"
    assert joined(("alpha", "beta", "gamma"), 15) == "alpha  beta  +1"
    assert joined((), 10) == ""


def test_the_ascii_set_is_ascii_and_complete() -> None:
    """Both sets have every glyph, of the same number of cells, but for those that may be two."""
    double = {"arrow", "enter", "passed", "ellipsis", "at_least", "at_most"}
    for field in fields(ASCII):
        plain, full = getattr(ASCII, field.name), getattr(UNICODE, field.name)
        assert plain.isascii()
        if field.name not in double:
            assert width_of(plain) == width_of(full), field.name


def test_sentences_of_ours_become_ascii_too() -> None:
    """Signs inside a summary switch with the set."""
    assert said("queue p99 ≈14.9 s → worse", ASCII) == "queue p99 =14.9 s -> worse"
    assert said("queue p99 ≈14.9 s", UNICODE) == "queue p99 ≈14.9 s"


def test_a_wait_of_microseconds_has_a_true_upper_bound() -> None:
    """A picker's first buckets end far below what the screen tells apart: `<.00` would say nothing."""
    assert quantile(Interval(0.0, 0.0001, 0.00005)) == "<.01"
    assert wide_quantile(Interval(0.0001, 0.0005, 0.0003)) == "<.01"
