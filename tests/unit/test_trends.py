"""Ten minutes of what the model page shows, in bounded memory."""

from dataclasses import replace

import pytest

from collectors.fleet import Model
from collectors.readings import Quality, reading
from tests.frames import AT, healthy_frame
from tui.screens.trends import GAP, STEP_S, STEPS, Trends

START = AT // STEP_S * STEP_S


def fed(*points: tuple[float, float], quality: Quality = Quality.GOOD) -> Trends:
    """Trends of one model "m" with these (seconds after the start, busy share)."""
    trends = Trends()
    for offset, busy in points:
        at = START + offset
        model = Model("m", {"busy_ratio": reading("busy_ratio", busy, at, quality)}, {})
        trends.add(replace(healthy_frame(at), models=(model,)))
    return trends


def test_lowest_highest_and_the_worst_of_each_part() -> None:
    """Two values of one step count both: the extremes of a window are those of its frames."""
    span = fed((0, 0.5), (1, 0.9), (2, 0.2), (60, 0.4)).span("m", "busy_ratio", 12)
    assert span is not None
    assert (span.low, span.high) == pytest.approx((0.2, 0.9))
    assert span.highs[-2:] == pytest.approx((0.9, 0.4))
    assert span.highs[:-2] == (GAP,) * 10


def test_what_is_older_than_the_window_is_gone() -> None:
    """Ten minutes later only the newer value is left."""
    span = fed((0, 0.9), (STEP_S * STEPS - 1, 0.3)).span("m", "busy_ratio", 12)
    assert span is not None
    assert span.high == pytest.approx(0.9)
    span = fed((0, 0.9), (5, 0.3), (STEP_S * STEPS, 0.3)).span("m", "busy_ratio", 12)
    assert span is not None
    assert span.high == pytest.approx(0.3)


def test_only_good_readings_count() -> None:
    """A stale value is no news, and draws nothing."""
    assert fed((0, 0.9), quality=Quality.STALE).span("m", "busy_ratio", 12) is None


def test_nothing_is_known_of_other_models_and_signals() -> None:
    """The page asks for anything; what is not kept is None."""
    trends = fed((0, 0.5))
    assert trends.span("other", "busy_ratio", 12) is None
    assert trends.span("m", "temperature_c", 12) is None
    assert trends.span("m", "kv_ratio", 12) is None


def test_a_model_that_did_not_change_carries_on() -> None:
    """Unchanged readings come as the same object: its line goes on without being read again."""
    trends = Trends()
    model = Model("m", {"busy_ratio": reading("busy_ratio", 0.5, START)}, {})
    for offset in range(0, 100, STEP_S):
        trends.add(replace(healthy_frame(START + offset), models=(model,)))
    span = trends.span("m", "busy_ratio", 60)
    assert span is not None
    assert span.highs[-10:] == (0.5,) * 10


def test_time_that_goes_back_starts_afresh() -> None:
    """A jump back shows nothing from the future."""
    span = fed((300, 0.9), (0, 0.4)).span("m", "busy_ratio", 12)
    assert span is not None
    assert span.high == pytest.approx(0.4)


def test_a_clock_that_was_corrected_takes_nothing_away() -> None:
    """Back by less than a minute: what was there stays, and what comes counts as of now."""
    span = fed((300, 0.9), (270, 0.4)).span("m", "busy_ratio", 12)
    assert span is not None
    assert span.high == pytest.approx(0.9)
    assert span.low == pytest.approx(0.4)


def test_memory_is_bounded() -> None:
    """500 models for a long time stay within a few megabytes; models that left are forgotten."""
    trends = Trends()
    base = healthy_frame().models[0]
    for offset in range(0, 1_000, 100):
        models = tuple(replace(base, name=f"m{n}-{offset // 300}") for n in range(500))
        trends.add(replace(healthy_frame(START + offset), models=models))
    held = [ring for rings in trends._rings.values() for ring in rings]
    assert len(held) == 2 * 500
    assert sum(len(ring) * ring.itemsize for ring in held) < 3.5e6
    assert trends.span("m0-0", "busy_ratio", 12) is None
    assert trends.span("m0-3", "busy_ratio", 12) is not None
