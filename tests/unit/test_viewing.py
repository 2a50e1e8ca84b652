"""What is recorded of a view, and what two frames differ in."""

from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from collectors.fleet import Frame, SourceHealth, SourceState, Throttle
from collectors.readings import Interval, Quality, Reading, Reason
from collectors.sessions import View
from tests.frames import AT, bare_frame, demo_frame, healthy_frame, worst_frame
from tests.operated_frames import operated_frame
from tui.format import GLYPHS
from tui.screens.base import CockpitScreen
from tui.viewing import view_of
from tui.widgets.frame_changes import Change, change_lines, frame_changes


class Place:
    """A screen as far as a view is concerned."""

    title: str | None = None

    def __init__(self, view: View, title: str | None = None) -> None:
        self._view, self.title = view, title

    def view(self) -> View:
        return self._view


def stack(*places: Place) -> list[CockpitScreen]:
    return cast("list[CockpitScreen]", list(places))


FLEET = Place(View("fleet", cursor="delta-code", panel="fleet", filter="co", sort="severity"))
MODEL = Place(View("model", "delta-code", "free"))


def test_the_view_is_of_the_screen_on_top() -> None:
    """With the size of the terminal, and whether the display stands still."""
    view = view_of(stack(FLEET), 120, 40, True)
    assert view == View("fleet", "", "", "delta-code", "fleet", "co", "severity", False, 0, "", True, 120, 40)
    assert view_of(stack(FLEET, MODEL), 80, 24, False) == View(
        "model", "delta-code", "free", width=80, height=24
    )


def test_a_dialog_is_a_title_over_what_lies_below() -> None:
    """Of several, the one on top; never what it asks, and cleaned as any text."""
    dialog = Place(View("dialog"), "Throttle · images \x1b[31m")
    arming = Place(View("dialog"), "Arm writes")
    view = view_of(stack(FLEET, MODEL, dialog), 80, 24, False)
    assert (view.screen, view.subject, view.dialog) == ("model", "delta-code", "Throttle · images [31m")
    assert view_of(stack(FLEET, dialog, arming), 80, 24, False).dialog == "Arm writes"
    assert view_of(stack(FLEET, dialog, arming), 80, 24, False).filter == "co"


def test_a_replay_is_told_and_nothing_of_it() -> None:
    """What was looked at in a replay was not live."""
    assert view_of(stack(FLEET, MODEL), 80, 24, False, elsewhere="replay") == View(
        "replay", width=80, height=24
    )


def test_nothing_on_the_screen_is_a_view_of_nothing() -> None:
    """At the very end of a session."""
    assert view_of(stack(), 80, 24, False) == View(width=80, height=24)


def changes(before: Frame, after: Frame) -> list[tuple[str, ...]]:
    return [tuple(one) for one in frame_changes(before, after)]


def at_tier(frame: Frame, model: str, tier: str, one: Reading) -> Frame:
    models = tuple(
        replace(m, tiers={**m.tiers, tier: {**m.tiers[tier], "queue_wait_p99": one}})
        if m.name == model
        else m
        for m in frame.models
    )
    return replace(frame, models=models)


def test_the_same_differs_in_nothing() -> None:
    """Time alone is no difference."""
    frame = operated_frame()
    assert changes(frame, replace(frame, at=AT + 60, tick=9)) == []
    lines, count = change_lines(frame, replace(frame, at=AT + 60), 100)
    assert count == 0
    assert "nothing differs" in lines[0].text


def test_a_wait_differs_where_the_intervals_do_not_meet() -> None:
    """D18: within the same bucket, or in one that spans the other, nobody knows that anything changed."""
    frame = demo_frame()
    model = frame.models[0].name
    tier = next(iter(frame.models[0].tiers))

    def between(one: Interval | float | None, other: Interval | float | None) -> bool:
        was, now = (at_tier(frame, model, tier, Reading(value, AT)) for value in (one, other))
        return any(change.where == model for change in frame_changes(was, now))

    assert not between(Interval(2.0, 3.0, 2.2), Interval(2.0, 3.0, 2.9))
    assert not between(Interval(2.0, 3.0, 2.9), Interval(2.5, 4.0, 3.8))
    assert between(Interval(2.0, 3.0, 2.9), Interval(3.0, 4.0, 3.1))
    assert between(Interval(3.0, 4.0, 3.1), Interval(2.0, 3.0, 2.9))
    assert between(Interval(2.0, 3.0, 2.9), None)
    assert between(0.5, 0.9)
    assert not between(0.5, 0.5)
    assert not between(120.1, 120.3)


@pytest.mark.parametrize(
    ("quality", "role"), [(Quality.GOOD, "breach"), (Quality.STALE, "text"), (Quality.SUSPECT, "text")]
)
def test_only_a_good_wait_breaks_an_objective(quality: Quality, role: str) -> None:
    """D18: no colour comes from stale data."""
    frame = demo_frame()
    model = frame.models[0]
    tier = next(tier for tier in model.tiers if model.objectives.get(tier))
    calm = at_tier(frame, model.name, tier, Reading(0.001, AT))
    far = at_tier(frame, model.name, tier, Reading(1000.0, AT, quality))
    (change,) = frame_changes(calm, far)
    assert change.role == role


def test_waits_stand_in_the_order_of_the_tiers() -> None:
    """As everywhere, and not as a source happened to tell them."""
    frame = demo_frame()
    model = frame.models[0]
    turned = replace(model, tiers=dict(reversed(model.tiers.items())))
    worse = {tier: {**found, "queue_wait_p99": Reading(1000.0, AT)} for tier, found in turned.tiers.items()}
    after = replace(frame, models=(replace(turned, tiers=worse), *frame.models[1:]))
    found = [change.what for change in frame_changes(frame, after) if change.where == model.name]
    assert found == [tier.title for tier in frame.tiers if tier.name in worse]


def test_what_is_gone_says_why() -> None:
    """Missing is not zero, and not silence."""
    frame = demo_frame()
    model, tier = frame.models[0].name, next(iter(frame.models[0].tiers))
    gone = at_tier(frame, model, tier, Reading(None, AT, Quality.MISSING, Reason("removed", (40,))))
    (change,) = frame_changes(frame, gone)
    assert change.after == "none: no sample for 40 s"


def test_stages_throttles_alerts_and_sources_are_compared() -> None:
    """Each by its id, in its section."""
    before = operated_frame()
    release = before.releases[0]
    moved = replace(release, stage_index=0, phase="aborted")
    first = before.throttles[0]
    cell = replace(first, level=0.1)
    new = Throttle("voice", "free", 1, "t", 0.5)
    lost = SourceHealth("ctl", "plane", SourceState.LOST, error="connection refused")
    after = replace(
        before,
        releases=(moved, *before.releases[1:]),
        throttles=(cell, *before.throttles[1:], new),
        alerts=before.alerts[1:],
        sources=(*before.sources, lost),
    )
    found = frame_changes(before, after)
    assert [one.section for one in found] == sorted(
        (one.section for one in found), key=["RELEASES", "THROTTLES", "ALERTS", "SOURCES"].index
    )
    told = {(one.section, one.what): (one.before, one.after) for one in found}
    assert told["RELEASES", "phase"] == (release.phase, "aborted")
    assert any(one.after == "admit 10%" for one in found)
    assert any(one.where.startswith("voice/") and one.before == "not there" for one in found)
    assert any(one.section == "ALERTS" and one.after == "over" for one in found)
    assert Change("SOURCES", "ctl", "", "not there", "lost: connection refused", "lost") in found


def test_a_fault_is_told_with_its_accelerators() -> None:
    """Which host, which mark, which of them."""
    before = demo_frame()
    node = before.nodes[0]
    after = replace(before, nodes=(replace(node, marks="X" + node.marks[1:]), *before.nodes[1:]))
    (change,) = frame_changes(before, after)
    assert (change.section, change.where, change.role) == ("ACCELERATORS", node.name, "fault")
    assert "X 0" in change.after


FRAMES = [demo_frame(), healthy_frame(), bare_frame(), worst_frame(), operated_frame()]


@pytest.mark.parametrize("glyphs", ["unicode", "ascii"])
@given(st.sampled_from(FRAMES), st.sampled_from(FRAMES), st.integers(1, 220))
def test_any_two_frames_are_compared_at_any_width(
    glyphs: str, before: Frame, after: Frame, width: int
) -> None:
    """Every line is exactly as wide as it may be."""
    lines, _ = change_lines(before, after, width, GLYPHS[glyphs])
    assert {cell_len(line.text) for line in lines} == {width}
