"""The cockpit's memory of past frames."""

from dataclasses import replace

from collectors.fleet import Event, EventKind, Frame
from tests.frames import AT, TIERS, big_frame, demo_frame, lost, model, stale
from tui.store import EVENTS, GAP, STEP_S, STEPS, History

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


def test_events_are_bounded_and_in_order() -> None:
    """The last 500 events stay, oldest first."""
    history = History()
    for number in range(EVENTS + 20):
        history.add(replace(demo_frame(), events=(Event(number, EventKind.NOTE, "a", "b", str(number)),)))
    assert len(history.events) == EVENTS
    assert history.events[0].text == "20"
    assert history.events[-1].text == str(EVENTS + 19)


def test_models_that_left_are_forgotten_after_the_window() -> None:
    """Names come and go; memory stays bounded."""
    history = History()
    for step in range(3 * STEPS):
        one = model(f"m{step}", OPEN)
        history.add(replace(demo_frame(AT + step * STEP_S), models=(one,), events=()))
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
