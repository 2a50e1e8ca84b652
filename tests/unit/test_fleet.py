"""The shared types: quantising, ageing, judging, cleaning."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.readings import (
    SIGNALS,
    Interval,
    Quality,
    Reading,
    Reason,
    Standing,
    aged,
    quantised,
    reading,
    standing,
    worded,
)
from collectors.text import clean


@given(st.text(max_size=400))
def test_cleaned_text_is_safe_to_draw(text: str) -> None:
    """No control, no bidirectional control, bounded, encodable, and cleaning twice changes nothing."""
    once = clean(text)
    assert clean(once) == once
    assert len(once) <= 128
    once.encode("utf-8")
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0x202A <= ord(c) <= 0x202E for c in once)


@given(st.text(alphabet=st.characters(categories=("Cc", "Cf", "Cs", "Zl", "Zp")), max_size=40))
def test_what_nobody_could_see_is_empty(text: str) -> None:
    """Tags, signs without width, marks of byte order, separators of lines: no name, and no part of one."""
    assert clean(text) == ""
    assert clean(f"a{text}b\u00e9") == "ab\u00e9"


def test_what_can_be_seen_stays() -> None:
    """Letters of any script, their accents, and emoji; of a joined one the parts."""
    for text in ("e\u0301", "模型", "❤\ufe0f", "नमस्ते"):
        assert clean(text) == text
    assert clean("👩\u200d🚀") == "👩🚀"
    for sign in "\u200b\u200c\u200d\u2060\ufeff\u00ad\U000e0041\u2028\u2029\u061c":
        assert clean(f"llama{sign}") == "llama"


def test_ten_thousand_characters_are_cut() -> None:
    """A label may be any length; what is kept is bounded and says that it was cut."""
    assert clean("x" * 10_000) == "x" * 127 + "…"
    assert clean("\x1b]0;evil\x07name") == "]0;evilname"


@pytest.mark.parametrize("signal", sorted(SIGNALS))
@given(value=st.floats(0, 1e6))
def test_quantising_twice_changes_nothing(signal: str, value: float) -> None:
    """Live, recorded and replayed values are identical, and within half a quantum of what was measured."""
    once = quantised(signal, value)
    assert quantised(signal, once) == once
    assert abs(once - value) <= SIGNALS[signal].quantum * 0.5000001 + value * 1e-12


def test_a_value_that_is_no_number_is_missing_not_zero() -> None:
    """NaN and infinity leave no value behind, but a reason."""
    for value in (math.nan, math.inf):
        one = reading("waiting", value, 1.0)
        assert one.value is None
        assert one.quality is Quality.MISSING
        assert one.reason.code


def test_a_reading_turns_stale_then_loses_its_value() -> None:
    """Past 2 scrape intervals it is stale with its age, past 5 its value is gone (D10)."""
    one = reading("waiting", 7, 100.0)
    assert aged(one, 110.0, 5.0) == one
    stale = aged(one, 111.0, 5.0)
    assert (stale.value, stale.quality, worded(stale.reason)) == (
        7,
        Quality.STALE,
        "11 s old, expected every 5 s",
    )
    gone = aged(one, 126.0, 5.0)
    assert (gone.value, gone.quality, worded(gone.reason)) == (None, Quality.MISSING, "no sample for 26 s")


@pytest.mark.parametrize(
    ("value", "objective", "expected"),
    [
        (Interval(2.5, 5.0, 3.0), 2.0, Standing.BREACH),
        (Interval(1.0, 2.5, 2.4), 2.0, Standing.STRADDLES),
        (Interval(1.0, 2.0, 1.9), 2.0, Standing.OK),
        (Interval(60.0, math.inf, 60.0), 6.0, Standing.BREACH),
        (Interval(1.0, 2.0, 1.9), None, Standing.UNKNOWN),
        (2.1, 2.0, Standing.BREACH),
        (None, 2.0, Standing.UNKNOWN),
    ],
)
def test_standing_needs_the_whole_bucket(
    value: float | Interval, objective: float, expected: Standing
) -> None:
    """Breach: lower bound above; ok: upper bound at or below; else it straddles (D18)."""
    assert standing(Reading(value, 1.0), objective) is expected


def test_a_p95_can_break_an_objective_but_not_keep_it() -> None:
    """A p99 is no smaller than its p95: above is broken, below nothing is known."""
    reason = Reason("p95", (300, 60, 1000))
    assert standing(Reading(Interval(2.5, 5.0, 3.0), 1.0, reason=reason), 2.0) is Standing.BREACH
    assert standing(Reading(Interval(0.0, 0.5, 0.2), 1.0, reason=reason), 2.0) is Standing.UNKNOWN
    old = aged(Reading(3.0, 100.0, reason=reason), 115.0, 5.0)
    assert (old.quality, old.reason) == (Quality.STALE, reason)


@pytest.mark.parametrize("reason", [Reason("idle"), Reason("stalled", (3,)), Reason("few", (3, 60, 200))])
def test_what_stands_for_a_value_goes_when_its_time_has_passed(reason: Reason) -> None:
    """Idle, stalled and too few were true then: nobody knows after. A lasting reason stays."""
    one = Reading(None, 100.0, Quality.GOOD, reason)
    assert aged(one, 110.0, 5.0) is one
    gone = aged(one, 126.0, 5.0)
    assert (gone.quality, gone.reason.code) == (Quality.MISSING, "removed")
    never = Reading(None, 100.0, Quality.MISSING, Reason("no-metric", ("tgi", "it")))
    assert aged(never, 1000.0, 5.0) is never


def test_no_judgement_from_stale_data() -> None:
    """A stale breach is no breach: nobody knows."""
    assert standing(Reading(9.0, 1.0, Quality.STALE), 2.0) is Standing.UNKNOWN


def test_an_unknown_reason_is_shown_not_hidden() -> None:
    """A recording from a newer version may hold codes this one does not know."""
    assert worded(Reason("from-the-future", (3,))) == "from-the-future 3"
    assert worded(Reason("stale", (1,))) == "stale 1"


def test_a_parameter_that_is_too_large_to_be_worded_is_shown_as_it_is() -> None:
    """No float holds it: the code stands with its figures, as far as they fit."""
    told = worded(Reason("impossible", (10**400,)))
    assert told.startswith("impossible 1000")
    assert len(told) == 128


@given(st.floats(0, 1e4), st.floats(0, 1e4), st.floats(0, 1e4))
def test_an_estimate_stays_inside_its_interval(a: float, b: float, c: float) -> None:
    """Rounding an estimate never moves it out of the bucket it fell in."""
    lo, middle, hi = sorted((a, b, c))
    one = reading("queue_wait_p99", Interval(lo, hi, middle), 1.0)
    assert isinstance(one.value, Interval)
    assert lo <= one.value.estimate <= hi
