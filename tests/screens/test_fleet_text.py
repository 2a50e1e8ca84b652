"""The pieces of the fleet screen as plain text, at every size tier (T4)."""

from dataclasses import replace

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from collectors.fleet import Frame
from collectors.readings import Interval, Quality, Reading, Reason
from tests.cluster_frames import clusters_frame
from tests.frames import bare_frame, demo_frame, healthy_frame
from tests.newcomer_frames import mixed_frame, newcomer_frame
from tests.operated_frames import operated_frame
from tests.unit.test_control_lines import feature_page
from tests.unit.test_model_lines import page
from tui.effects import Effects
from tui.format import GLYPHS, width_of
from tui.screens.feature_lines import feature_page_lines
from tui.screens.model_lines import model_header, model_lines
from tui.store import History
from tui.widgets.badges import writes_badge
from tui.widgets.ending import ending_lines
from tui.widgets.fleet_table import FleetView, fleet_lines
from tui.widgets.freshness import header_lines, note_lines, status_line
from tui.widgets.heat_map import heat_lines
from tui.widgets.timeline import alert_lines, event_lines

FRAMES = {
    "demo": demo_frame,
    "healthy": healthy_frame,
    "bare": bare_frame,
    "clusters": clusters_frame,
    "newcomer": newcomer_frame,
    "mixed": mixed_frame,
    "operated": operated_frame,
}


class Text(SingleFileSnapshotExtension):
    """One readable file for each screen."""

    file_extension = "txt"
    _write_mode = WriteMode.TEXT


def rising(frame: Frame) -> History:
    """Ten minutes in which every wait grew from a third to what it is."""
    history = History()
    for step in range(120):
        share = (1 + 2 * step / 119) / 3
        models = tuple(
            replace(
                model,
                tiers={
                    tier: {
                        signal: replace(one, value=Interval(0.0, one.value.hi, one.value.estimate * share))
                        if isinstance(one.value, Interval)
                        else one
                        for signal, one in readings.items()
                    }
                    for tier, readings in model.tiers.items()
                },
            )
            for model in frame.models
        )
        history.add(replace(frame, at=frame.at - 595 + 5 * step, models=models, events=()))
    return history


def screen(name: str, width: int, height: int, glyphs_name: str) -> str:
    """Header, table, heat map, alerts, events and status, in one column of `height` lines."""
    frame, glyphs = FRAMES[name](), GLYPHS[glyphs_name]
    history, effects = rising(frame), Effects()
    top = [
        *header_lines(frame, width, glyphs, writes=writes_badge("[ARMED alice 09:12 left]")),
        *ending_lines(frame, frame.at, width, glyphs),
        *fleet_lines(frame, history, FleetView(), width, glyphs),
    ]
    bottom = [
        *alert_lines(frame, width, 5 if height < 32 else 7, glyphs),
        *event_lines(
            frame.events,
            width,
            0 if height < 32 else 6,
            glyphs,
            after=lambda event: effects.of(event, frame, history, frame.at, glyphs),
        ),
        *note_lines(frame, width, glyphs),
        status_line(frame, width, glyphs, sort="name"),
    ]
    heat = heat_lines(frame.nodes, width, height - len(top) - len(bottom), glyphs)
    lines = [line.text.rstrip() for line in (*top, *heat, *bottom)]
    assert len(lines) <= height
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "size", [(40, 24), (80, 24), (120, 40), (200, 60), (300, 80)], ids=lambda s: f"{s[0]}x{s[1]}"
)
@pytest.mark.parametrize("name", sorted(FRAMES))
def test_pieces_of_the_fleet_screen(name: str, size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    """Each fleet at each size tier, in Unicode."""
    assert screen(name, *size, "unicode") == snapshot(extension_class=Text)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("name", ["demo", "clusters", "operated"])
def test_pieces_of_the_fleet_screen_in_ascii(
    name: str, size: tuple[int, int], snapshot: SnapshotAssertion
) -> None:
    """The other glyph set, in nothing but ASCII."""
    text = screen(name, *size, "ascii")
    assert text.isascii()
    assert text == snapshot(extension_class=Text)


@pytest.mark.parametrize("glyphs", sorted(GLYPHS))
@pytest.mark.parametrize("width", [80, 120, 200])
def test_pages_of_what_is_operated(width: int, glyphs: str, snapshot: SnapshotAssertion) -> None:
    """What is set, in force and seen of a model and of a feature, at each size tier."""
    frame = operated_frame()
    shown = replace(
        page(frame, "delta-code", width=width, glyphs=GLYPHS[glyphs]), writes=writes_badge("[READ-ONLY]")
    )
    of_feature = feature_page(frame, "deep-research", width, glyphs)
    lines = [*model_header(shown), *model_lines(shown)]
    lines += [*model_header(of_feature), *feature_page_lines(of_feature)]
    text = "\n".join(line.text.rstrip() for line in lines) + "\n"
    assert glyphs == "unicode" or text.isascii()
    assert text == snapshot(extension_class=Text)


def part(one: Reading) -> Reading:
    """The same, of two targets of three."""
    if one.value is None or one.quality is not Quality.GOOD:
        return one
    return replace(one, coverage=(2, 3), reason=Reason("coverage", (2, 3)))


@pytest.mark.parametrize("width", [80, 120, 200, 300])
@pytest.mark.parametrize("glyphs_name", ["unicode", "ascii"])
def test_a_row_shows_that_targets_are_missing(width: int, glyphs_name: str) -> None:
    """Every value on the row that only some targets went into has the sign, and no line gets wider."""
    frame, glyphs = demo_frame(), GLYPHS[glyphs_name]
    models = tuple(
        replace(
            model,
            readings={signal: part(one) for signal, one in model.readings.items()},
            tiers={
                tier: {signal: part(one) for signal, one in readings.items()}
                for tier, readings in model.tiers.items()
            },
        )
        for model in frame.models
    )
    whole = fleet_lines(frame, rising(frame), FleetView(), width, glyphs)
    some = fleet_lines(replace(frame, models=models), rising(frame), FleetView(), width, glyphs)
    names = {model.name for model in models}
    assert [width_of(line.text) for line in some] == [width_of(line.text) for line in whole]
    for before, after in zip(whole, some, strict=True):
        assert (glyphs.some in after.text) == (before.id in names and before.text != after.text), after.text
        assert before.text == after.text or glyphs.some in after.text
    row = next(line.text for line in some if line.id == "delta-code")
    assert row.count(glyphs.some) >= 2, row
