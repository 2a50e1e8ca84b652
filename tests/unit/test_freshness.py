"""The lines around the screen."""

from dataclasses import replace

import pytest

from collectors.fleet import Quality, SourceHealth, SourceState, reading
from tests.frames import AT, bare_frame, demo_frame, healthy_frame, worst_frame
from tui.format import ASCII, width_of
from tui.widgets.freshness import header_lines, note_lines, status_line
from tui.widgets.lines import Cell


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_production_and_simulated_are_words(width: int) -> None:
    """D15: seen without any colour, at every size; so is the time, in UTC."""
    text = header_lines(demo_frame(), width)[0].text
    assert "PROD/us-" in text
    assert "SIMULATED" in text
    assert "[READ-ONLY]" in text
    assert "14:02:11Z" in text


def test_a_narrow_header_keeps_what_must_be_seen() -> None:
    """Below any size tier: production, not real, what alerts, the time; and never silence about armed."""
    text = header_lines(demo_frame(), 40)[0].text
    assert text.startswith("PROD/")
    assert "SIM" in text
    assert text.endswith("■1 ▲2 ▼1 ~1  14:02:11Z")
    assert "[ARMED]" in header_lines(demo_frame(), 60, writes=Cell("[ARMED]", "armed"))[0].text


def test_a_calm_header_has_no_badge_and_no_colour() -> None:
    """D1."""
    cells = header_lines(healthy_frame(), 120)[0].cells
    assert "PROD" not in "".join(c.text for c in cells)
    assert {c.role for c in cells} <= {"text", "title", "muted", "read-only", "unknown"}


def test_numbers_appear_as_there_is_room() -> None:
    """Accelerators, then busy time, then headroom, which says that nobody knows it."""
    assert "GPUs" not in header_lines(demo_frame(), 60)[0].text
    assert "2 464 GPUs" in header_lines(demo_frame(), 80)[0].text
    assert "headroom UNKNOWN" in header_lines(demo_frame(), 200)[0].text
    assert "GPUs" not in header_lines(bare_frame(), 200)[0].text


def test_alerts_of_the_whole_fleet_are_counted() -> None:
    """D13: by severity, and models without data beside them."""
    assert "■1 ▲2 ▼1 ~1" in header_lines(demo_frame(), 80)[0].text
    assert "!1 *2 v1 ~1" in header_lines(demo_frame(), 80, ASCII)[0].text
    assert "no alerts" in header_lines(healthy_frame(), 80)[0].text


def test_the_write_badge_is_the_callers() -> None:
    """Armed, by whom, for how long."""
    line = header_lines(demo_frame(), 120, writes=Cell("[ARMED alice 9m]", "armed"))[0]
    assert Cell("[ARMED alice 9m]", "armed") in line.cells


def test_the_status_line_gives_every_sources_age() -> None:
    """D10: age everywhere; latency and coverage where there is room."""
    assert "LIVE  prom 0s  plane 0s" in status_line(healthy_frame(), 80).text
    assert "prom 3s (40ms) 57/57" in status_line(healthy_frame(), 120, now=AT + 2.5).text


def test_trouble_is_said_before_the_details() -> None:
    """The state first, then what there is room for of the error; in full it is a note."""
    narrow, wide = status_line(worst_frame(), 80).text, status_line(worst_frame(), 200).text
    assert "prom LOST 90s" in narrow
    assert "plane connecting" in narrow
    assert "5 of 8 models stale" in narrow
    assert "prom LOST 90s: connection refused by 10.0.0.1" in wide
    assert "1/9 PARTIAL" in wide
    assert note_lines(worst_frame(), 80)[0].text.startswith(" prom: connection refused by 10.0.0.1")


def test_missing_targets_show_at_every_size() -> None:
    """Coverage below all is never left out."""
    partly = SourceHealth("prom", "prometheus", SourceState.OK, AT, 0.04, 5.0, targets=(55, 57))
    line = status_line(replace(healthy_frame(), sources=(partly,)), 80)
    assert Cell("prom 0s 55/57", "missing") in line.cells


def test_a_source_that_never_answered_says_so() -> None:
    """Not zero seconds ago."""
    lost = SourceHealth("prom", "prometheus", SourceState.LOST)
    assert "prom LOST never" in status_line(replace(healthy_frame(), sources=(lost,)), 80).text
    assert "no source" in status_line(replace(healthy_frame(), sources=()), 80).text


def test_a_frozen_display_says_for_how_long() -> None:
    """And the ages count on."""
    line = status_line(demo_frame(), 80, now=AT + 12, frozen_s=12, sort="name")
    assert line.text.startswith("FROZEN 10s  prom 10s")
    assert line.text.endswith("sort:name")
    assert width_of(line.text) == 80


def test_notes_tell_how_to_get_what_is_missing() -> None:
    """No tiers, no plane: each with what to do."""
    assert [line.text.strip() for line in note_lines(bare_frame(), 80)] == [
        "no metric tells tiers apart: map one in [contexts.default.identity]",
        "no control plane: give --plane URL",
    ]


def test_stale_totals_are_marked() -> None:
    """The header's numbers age like all others."""
    late = replace(reading("busy_ratio", 0.85, AT), quality=Quality.STALE)
    frame = replace(healthy_frame(), totals={"busy_ratio": late})
    assert "util ~85%" in header_lines(frame, 120)[0].text


def test_nothing_measured_is_no_calm() -> None:
    """`no alerts` is said only where somebody looked; with nothing measured it is `no data`."""
    looked = demo_frame()
    blind = replace(looked, models=(), alerts=())
    assert "no data" in header_lines(blind, 120)[0].text
    assert "no alerts" not in header_lines(blind, 120)[0].text
    assert "no alerts" in header_lines(healthy_frame(), 120)[0].text
