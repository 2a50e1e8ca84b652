"""The cockpit's memory of past frames."""

import math
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest

from collectors.fleet import ALL_TIERS, Event, EventKind, Frame, Past
from tests.frames import AT, TIERS, bare_frame, big_frame, demo_frame, lost, model, stale
from tests.newcomer_frames import mixed_frame
from tui import store
from tui.store import EVENTS, GAP, PAST_AT_ONCE, PAST_IN_PLACE, SIGNAL, STEP_S, STEPS, History

OPEN = ((1.0, 1.3, 1.1), (2.0, 2.5, 2.3), (3.2, 4.0, 3.8), (5.0, 7.0, 6.0))


def frame_at(at: float, estimate: float | None) -> Frame:
    """One model whose pro tier waits `estimate` seconds; None: it has no data."""
    one = model("m", ((0.1, 90.0, estimate or 1.0), *OPEN[1:]), at=at)
    return replace(demo_frame(at), models=(one if estimate is not None else lost(one),), events=())


def test_a_span_keeps_its_worst_value() -> None:
    """D5: a short peak inside a span is seen, and the newest span comes last."""
    history = History()
    start = AT // 60 * 60
    for second, value in ((0, 1.0), (20, 9.0), (40, 2.0), (60, 3.0)):
        history.add(frame_at(start + second, value))
    assert history.spark_values("m", "pro", 10)[-2:] == (9.0, 3.0)
    assert set(history.spark_values("m", "pro", 10)[:-2]) == {GAP}


def test_missing_and_stale_readings_are_gaps() -> None:
    """A gap is a gap: no value is carried on."""
    history = History()
    start = AT // 60 * 60
    history.add(frame_at(start, 2.0))
    history.add(frame_at(start + 60, None))
    late = frame_at(start + 120, 2.0)
    history.add(replace(late, models=(stale(late.models[0]),)))
    history.add(frame_at(start + 180, 4.0))
    assert history.spark_values("m", "pro", 10)[-4:] == (2.0, GAP, GAP, 4.0)


def test_a_jump_in_time_leaves_no_old_values() -> None:
    """Values of ten minutes ago never come back as new ones, whichever way time jumps."""
    history = History()
    for second in range(0, 600, STEP_S):
        history.add(frame_at(AT + second, 5.0))
    history.add(frame_at(AT + 900, 1.0))
    values = history.spark_values("m", "pro", STEPS)
    assert values[-1] == 1.0
    assert values[-60:-1] == (GAP,) * 59
    history.add(frame_at(AT, 2.0))
    assert [v for v in history.spark_values("m", "pro", STEPS) if v != GAP] == [2.0]


def test_the_window_slides_in_steps_of_a_span() -> None:
    """D17: the same values a second later draw the same spark."""
    history = History()
    start = AT // 60 * 60
    history.add(frame_at(start, 2.0))
    before = history.spark_values("m", "pro", 10)
    history.add(frame_at(start + 7, 2.0))
    assert history.spark_values("m", "pro", 10) == before


def test_the_worst_tier_is_a_share_of_its_objective() -> None:
    """D4: free waits longest, but team is nearest to what it was promised."""
    history = History()
    one = model("m", ((0.1, 0.2, 0.1), (0.1, 0.2, 0.1), (3.2, 4.0, 3.6), (4.0, 5.0, 4.2)))
    history.add(replace(demo_frame(), models=(one,)))
    assert history.is_scaled("m")
    assert abs(history.spark_values("m", None, 10)[-1] - 3.6 / 3.0) < 1e-6


def test_without_objectives_the_worst_is_in_seconds() -> None:
    """No objective, no share."""
    history = History()
    history.add(replace(demo_frame(), models=(model("m", OPEN, objectives={}),)))
    assert not history.is_scaled("m")
    assert history.spark_values("m", None, 10)[-1] == 6.0


def test_the_worst_tier_is_never_all_of_them_beside_their_own() -> None:
    """What stands under `all` are the same requests: it is the worst only of a model that tells no tiers."""
    frame, history = mixed_frame(), History()
    history.add(frame)
    assert history.spark_values("llama-3-70b", None, 4)[-1] == pytest.approx(1.4)
    assert history.spark_values("llama-3-70b", ALL_TIERS, 4)[-1] == pytest.approx(7.0)
    assert history.spark_values("sglang-mix", None, 4)[-1] == pytest.approx(9.0)
    names = ("llama-3-70b", "sglang-mix")
    past = tuple(Past(name, "", "queue_wait_p99", AT - 300, 20.0) for name in names)
    history.add(replace(frame, past=past))
    assert max(history.spark_values("llama-3-70b", None, 4)) == pytest.approx(1.4)
    assert max(history.spark_values("llama-3-70b", ALL_TIERS, 4)) == pytest.approx(20.0)
    assert max(history.spark_values("sglang-mix", None, 4)) == pytest.approx(20.0)


def test_events_are_bounded_and_in_order() -> None:
    """The last 500 events stay, oldest first."""
    history, frame = History(), demo_frame()
    for number in range(EVENTS + 20):
        history.add(replace(frame, events=(Event(number, EventKind.NOTE, "a", "b", str(number)),)))
    assert len(history.events) == EVENTS
    assert history.events[0].text == "20"
    assert history.events[-1].text == str(EVENTS + 19)


def test_models_that_left_are_forgotten_after_the_window() -> None:
    """Names come and go; memory stays bounded."""
    history, frame = History(), demo_frame()
    for step in range(3 * STEPS):
        one = model(f"m{step}", OPEN)
        history.add(replace(frame, at=AT + step * STEP_S, models=(one,), events=()))
    assert len(history._rings) <= (len(TIERS) + 1) * (STEPS + 1)
    assert history.spark_values("m0", "pro", 10) == (GAP,) * 10


def test_memory_at_five_hundred_models_is_a_few_megabytes() -> None:
    """The budget of the whole cockpit is 100 MB."""
    history = History()
    history.add(big_frame(500, 6, 8))
    assert sum(ring.itemsize * len(ring) for ring in history._rings.values()) < 2_000_000


def test_a_spark_asked_for_before_still_learns_of_worse() -> None:
    """Within one step the worst stays, also when it comes after a first look and before a better value."""
    history = History()
    start = AT // 60 * 60
    seen = []
    for second, value in ((0, 1.0), (1, 7.0), (2, 3.0)):
        history.add(frame_at(start + second, value))
        seen.append(history.spark_values("m", "pro", 10)[-1])
    assert seen == [1.0, 7.0, 7.0]


def minutes_of_past(name: str, tier: str, seconds: float, *, signal: str = SIGNAL) -> tuple[Past, ...]:
    """A value each 15 s of the ten minutes before `AT`, all of them `seconds`."""
    return tuple(Past(name, tier, signal, AT - 600 + 15 * n, seconds) for n in range(1, 41))


def test_what_was_before_anybody_watched_fills_the_spark() -> None:
    """The first picture has no gap; the worst tier is a share of its objective, as for what is watched."""
    history = History()
    past = (*minutes_of_past("m", "pro", 1.0), *minutes_of_past("m", "free", 9.0))
    history.add(replace(demo_frame(), models=(model("m", OPEN),), events=(), past=past))
    assert history.spark_values("m", "free", 20) == (9.0,) * 20
    worst = history.spark_values("m", None, 20)
    assert worst == (1.5,) * 20


def test_the_past_never_hides_what_is_watched_and_keeps_to_its_signal_and_window() -> None:
    """The worst of a step stays (D5), whoever tells it; other signals and other times are nothing."""
    history = History()
    start = AT // 60 * 60
    history.add(frame_at(start, 5.0))
    assert history.spark_values("m", "pro", 10)[:-1] == (GAP,) * 9
    better, worse = Past("m", "pro", SIGNAL, start, 1.0), Past("m", "pro", SIGNAL, start - 60, 7.0)
    other = Past("m", "pro", "first_token_p99", start - 120, 8.0)
    old, ahead = Past("m", "pro", SIGNAL, start - 600, 6.0), Past("m", "pro", SIGNAL, start + 60, 6.0)
    none = Past("m", "pro", SIGNAL, start - 180, float("nan"))
    history.add(replace(frame_at(start, 5.0), past=(better, worse, other, old, ahead, none)))
    assert history.spark_values("m", "pro", 10) == (*(GAP,) * 8, 7.0, 5.0)
    history.add(frame_at(start + 60, 2.0))
    assert history.spark_values("m", "pro", 10)[-3:] == (7.0, 5.0, 2.0)


def test_past_without_a_tier_is_that_of_the_one_there_is() -> None:
    """Engines alone have no tiers: what was before goes into the one column there is, in seconds."""
    history, frame = History(), bare_frame()
    history.add(replace(frame, past=minutes_of_past("qwen-2", "", 0.7)))
    assert history.spark_values("qwen-2", ALL_TIERS, 10)[:-1] == pytest.approx((0.7,) * 9)
    assert history.spark_values("qwen-2", None, 10)[:-1] == pytest.approx((0.7,) * 9)


def test_the_past_of_a_model_that_is_gone_is_forgotten_with_it() -> None:
    """Memory stays bounded, though no frame ever names the model."""
    history = History()
    history.add(replace(frame_at(AT, 1.0), past=minutes_of_past("gone", "pro", 1.0)))
    assert history.spark_values("gone", "pro", 10)[0] == 1.0
    for step in range(STEPS + 1):
        history.add(frame_at(AT + step * STEP_S, 1.0))
    assert ("gone", "pro") not in history._rings


def test_a_large_past_delays_neither_the_frame_nor_who_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is taken in beside: `add` is back before, and while it rests nobody waits for the lock."""
    resting, go_on, rests = threading.Event(), threading.Event(), []

    def rest(seconds: float) -> None:
        rests.append(seconds)
        resting.set()
        assert go_on.wait(60)

    monkeypatch.setattr(store, "time", SimpleNamespace(sleep=rest))
    frame, history = big_frame(60, 6, 8), History()
    past = tuple(
        Past(m.name, t.name, SIGNAL, AT - 15 * n, 0.5)
        for n in range(40)
        for m in frame.models
        for t in frame.tiers
    )
    assert len(past) > PAST_IN_PLACE
    history.add(replace(frame, past=past))
    assert resting.wait(60)
    assert min(history.spark_values("model-059", "tier5", 20)) == GAP, "most of it is still to come"
    go_on.set()
    history.settle()
    assert min(history.spark_values("model-059", "tier5", 20)) == 0.5
    assert len(rests) == math.ceil(len(past) / PAST_AT_ONCE)


def test_a_wait_at_a_time_is_kept_for_ten_minutes() -> None:
    """Of its step, or one just before; a gap before anybody watched, ahead, and after the window."""
    history = History()
    history.add(demo_frame())
    history.add(replace(demo_frame(AT + 8), models=()))
    assert history.value_at("aurora-5", "pro", AT) == pytest.approx(1.1)
    assert history.value_at("aurora-5", "pro", AT + 8) == pytest.approx(1.1)
    assert history.value_at("aurora-5", "pro", AT - 60) == GAP
    assert history.value_at("aurora-5", "pro", AT + 600) == GAP
    assert history.value_at("nothing", "pro", AT) == GAP
    history.add(replace(demo_frame(AT + 700), models=()))
    assert history.value_at("aurora-5", "pro", AT) == GAP
