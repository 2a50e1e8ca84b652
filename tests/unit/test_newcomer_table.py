"""The fleet table on a first day: priorities for tiers, nothing staged, waits that no tier tells."""

from dataclasses import replace

import pytest

from collectors.fleet import Frame, Throttle
from collectors.readings import Quality, Reading, Reason
from tests.frames import AT, NOT_OPEN, release, sources
from tests.newcomer_frames import PRIORITIES, mixed_frame, newcomer_frame
from tui.store import History
from tui.widgets.fleet_columns import fleet_columns
from tui.widgets.fleet_table import FleetView, fleet_lines
from tui.widgets.lines import Line

BY_NAME = FleetView()


def drawn(frame: Frame, width: int, view: FleetView = BY_NAME) -> tuple[Line, ...]:
    """The table of a frame that was the only one so far."""
    history = History()
    history.add(frame)
    return fleet_lines(frame, history, view, width)


def row(frame: Frame, width: int, id: str) -> Line:
    """One row of it."""
    return next(line for line in drawn(frame, width) if line.id == id)


def test_priorities_can_be_told_apart_at_every_width() -> None:
    """The word that all four begin with goes first: never `prio 1…` twice, in the stages least of all."""
    frame = newcomer_frame()
    staged = replace(frame, releases=(release("qwen-2", (1, 0.5, 0, 0), tiers=PRIORITIES),))
    for width in range(60, 301):
        for one_frame in (frame, staged, mixed_frame()):
            heading = drawn(one_frame, width)[0].text
            assert "…" not in heading, (width, heading)
            assert "pi" not in heading, (width, heading)
    assert " 100      10       0     -10 " in drawn(frame, 100)[0].text
    assert "prio 100  prio 10   prio 0 prio -10" in drawn(frame, 120)[0].text
    assert "│prio -10 p50 p99" in drawn(frame, 200)[0].text
    lines = drawn(staged, 80)
    assert "100 10 0 -10  WT%" in lines[0].text
    assert "●   ◐  ○ ○     50" in lines[2].text
    assert "-10   ≈1.4" in row(frame, 80, "qwen-2").text


def test_columns_that_nothing_can_fill_are_left_out() -> None:
    """No plane and no rollouts: their room goes to GPUs; a release, a throttle, a plane bring them back."""
    bare, plane = newcomer_frame(), sources()
    release_of = (release("qwen-2", (1, 0.5, 0, 0), tiers=PRIORITIES),)
    throttle = (Throttle("chat", "0", 1, "t", 0.5),)
    throttled = (replace(bare.models[0], throttle=0.5), *bare.models[1:])
    for width in (80, 120, 200):
        for frame, there in (
            (bare, ("GPUs",)),
            (replace(bare, releases=release_of), ("WT%",)),
            (replace(bare, throttles=throttle), ("GPUs", "THR")),
            (replace(bare, models=throttled), ("GPUs", "THR")),
            (replace(bare, sources=plane), ("WT%", "THR")),
        ):
            heading = drawn(frame, width)[0].text
            found = {word for word in ("GPUs", "WT%", "THR") if word in heading}
            assert found >= set(there), (width, heading)
            assert found <= {*there, "GPUs"}, (width, heading)


def test_a_whole_wait_stands_in_only_where_no_tier_has_one() -> None:
    """`all` holds the same requests again: it is no worst tier of a model whose tiers are told."""
    frame = mixed_frame()
    told, whole_one = (row(frame, 80, name).text for name in ("llama-3-70b", "sglang-mix"))
    assert "-10   ≈1.4" in told
    assert "All   ≈9.0" in whole_one
    assert [line.id for line in drawn(frame, 80, FleetView("worst"))][1:3] == ["sglang-mix", "llama-3-70b"]
    tiers = frame.models[0].tiers
    idle = {tier: {"queue_wait_p99": Reading(None, AT, Quality.MISSING, Reason("idle"))} for tier in tiers}
    idle["all"] = tiers["all"]
    quiet = replace(frame.models[0], tiers=idle)
    assert "All" not in row(replace(frame, models=(quiet,)), 80, quiet.name).text
    closed = replace(frame.models[1], tiers={"100": {"queue_wait_p99": NOT_OPEN}, **frame.models[1].tiers})
    assert "All   ≈9.0" in row(replace(frame, models=(closed,)), 80, closed.name).text
    assert "All p99" in drawn(frame, 120)[0].text
    for name, wait in (("llama-3-70b", "≈7.0"), ("sglang-mix", "≈9.0")):
        assert wait in row(frame, 120, name).text


def test_a_column_of_whole_waits_is_no_stage() -> None:
    """No release opens it."""
    frame = replace(mixed_frame(), releases=(release("sglang-mix", (1, 0.5, 0, 0), tiers=PRIORITIES),))
    assert "100 10 0 -10 " in drawn(frame, 80)[0].text
    assert "●   ◐  ○ ○ " in row(frame, 80, "sglang-mix").text
    assert "All" not in row(frame, 200, "sglang-mix").text


@pytest.mark.parametrize("staged", [False, True])
def test_a_fleet_without_tiers_has_columns_at_every_width(staged: bool) -> None:
    """The first frames have no model and no tier yet."""
    for width in range(1, 301):
        fleet_columns(width, (), 0, staged=staged, throttled=staged)


def test_the_first_frames_of_a_real_cluster_are_drawn_at_every_width() -> None:
    """Before any source has answered there is no model, no tier and no host."""
    first = Frame(at=AT, tick=1, context="direct", tiers=(), models=(), sources=sources())
    for width in range(20, 301):
        assert all(len(line.text) <= width for line in drawn(first, width))
