"""What is shown when nothing newer comes."""

import pytest

from collectors.ageing import counted_on, held
from collectors.readings import Quality
from tests.cluster_frames import clusters_frame
from tests.frames import AT, demo_frame
from tests.operated_frames import operated_frame
from tui.screens.late import StillHistory
from tui.store import History


def test_readings_of_a_silent_source_age_and_go() -> None:
    """D10: past two intervals stale, past five gone; the frame's clock goes on."""
    frame = demo_frame()
    soon, later, gone = (counted_on(frame, AT + s) for s in (5, 15, 60))
    qualities = [f.models[0].readings["busy_ratio"].quality for f in (soon, later, gone)]
    assert qualities == [Quality.GOOD, Quality.STALE, Quality.MISSING]
    assert gone.models[0].tiers["pro"]["queue_wait_p99"].value is None
    assert gone.totals["busy_ratio"].value is None
    assert gone.at == AT + 60


def test_features_age_with_the_rest() -> None:
    """D10: what a feature waits is no fact any more when its source is silent."""
    silent = counted_on(clusters_frame(), AT + 60).models[0].by_feature
    assert {one.value for readings in silent.values() for one in readings.values()} == {None}
    cells = counted_on(operated_frame(), AT + 60).models[4].cells["images"]
    assert {one.value for readings in cells.values() for one in readings.values()} == {None}


def test_a_held_frame_keeps_its_values() -> None:
    """Frozen by the operator: values stay, the clock goes on."""
    frame = demo_frame()
    assert held(frame, AT + 60).models is frame.models
    assert held(frame, AT + 60).at == AT + 60


def test_still_history_answers_as_it_first_did() -> None:
    """Sparks and events behind a frozen display do not move."""
    live = History()
    live.add(demo_frame())
    still = StillHistory(live)
    before = still.spark_values("aurora-5", None, 8)
    live.add(demo_frame(AT + 300))
    assert live.spark_values("aurora-5", None, 8) != before
    assert still.spark_values("aurora-5", None, 8) == before
    assert still.is_scaled("aurora-5")
    assert still.value_at("aurora-5", "pro", AT) == live.value_at("aurora-5", "pro", AT) == pytest.approx(1.1)
    assert len(still.events) == 3
    assert len(live.events) == 6
