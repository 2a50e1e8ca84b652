"""The lines around the screen."""

from dataclasses import replace

import pytest

from collectors.fleet import SourceHealth, SourceState
from collectors.readings import Quality, Reason, reading
from collectors.sessions import RecorderState
from tests.cluster_frames import clusters_frame
from tests.frames import AT, bare_frame, demo_frame, healthy_frame, worst_frame
from tui.format import ASCII, width_of
from tui.store import History
from tui.widgets.fleet_table import FleetView, fleet_lines
from tui.widgets.freshness import header_lines, note_lines, recording_cell, status_line
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
    assert text.startswith("┃PROD/us-e")
    assert "[RO] SIM" in text
    assert text.endswith("■1 ▲2 ▼1 ~1 14:02Z")
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


def test_a_fleet_without_metrics_says_what_to_give() -> None:
    """Not that it has no objective: nothing could be held against one."""
    frame = replace(bare_frame(), models=bare_frame().models[:1], notes=(Reason("no-metrics"),))
    wanted = "no metrics source: give --prometheus URL or --scrape URL"
    assert note_lines(frame, 80)[0].text.strip() == wanted
    assert wanted in "\n".join(line.text for line in fleet_lines(frame, History(), FleetView(), 80))


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


def test_many_sources_come_worst_first_and_the_rest_are_counted() -> None:
    """D13: six sources at 80 cells; the lost one is seen whatever its place, and no line is wider."""
    frame = clusters_frame()
    narrow = status_line(frame, 80, sort="name").text
    assert narrow.startswith("DEMO  prom us-east-2 LOST 90s  +5  1 of 6 models stale")
    for width in range(1, 301):
        assert width_of(status_line(frame, width, sort="name").text) <= width
    wide = status_line(frame, 300).text
    assert "prom eu-west-1 2s (40ms) 57/57  prom us-east-2 LOST 90s: connection refused" in wide
    assert "alertmanager eu 1s (20ms)  nvml 0s (1ms)  plane 0s (8ms)" in wide


def test_a_lost_prometheus_is_one_source_not_two() -> None:
    """Its alerts come from the same address; those of another cluster, or lost alone, are told."""

    def status(*named: tuple[str, str, SourceState]) -> str:
        found = tuple(SourceHealth(name, kind, state, AT) for name, kind, state in named)  # type: ignore[arg-type]  # kinds of a source
        return status_line(replace(healthy_frame(), sources=found), 200).text

    lost, well = SourceState.LOST, SourceState.OK
    us, eu = ("prom us", "prometheus", lost), ("prom eu", "prometheus", well)
    text = status(us, ("prom-alerts@us", "alerts", lost), eu, ("prom-alerts@eu", "alerts", well))
    assert text.rstrip() == "LIVE  prom us LOST 0s  prom eu 0s  prom-alerts@eu 0s"
    assert "prom-alerts@eu LOST" in status(us, eu, ("prom-alerts@eu", "alerts", lost))
    alone = ("prom-alerts", "alerts", lost)
    assert status(("prometheus", "prometheus", lost), alone).rstrip() == "LIVE  prometheus LOST 0s"
    assert "prom-alerts LOST" in status(("prometheus", "prometheus", well), alone)
    refused = "connection refused by http://prom.us:9090"
    both = (
        SourceHealth("prom us", "prometheus", lost, AT, error=refused),
        SourceHealth("prom-alerts@us", "alerts", lost, AT, error=refused),
    )
    assert len(note_lines(replace(healthy_frame(), sources=both), 200)) == 1
    assert "alertmanager LOST" in status(us, ("alertmanager", "alerts", lost))


def test_one_of_a_kind_is_told_as_one() -> None:
    """Grammar: `1 GPU`, `1 of 1 model`."""
    only = replace(demo_frame(), models=demo_frame().models[-1:])
    assert "1 of 1 model stale" in status_line(only, 200).text
    assert (
        " 1 GPU "
        in header_lines(replace(only, totals={"accelerators": reading("accelerators", 1, AT)}), 120)[0].text
    )


def test_what_is_counted_away_says_when_it_is_not_well() -> None:
    """A second lost source that has no room is no quiet number."""
    frame = clusters_frame()
    lost = tuple(replace(one, state=SourceState.LOST) for one in frame.sources)
    assert Cell("+5", "muted") in status_line(frame, 80, sort="name").cells
    cells = status_line(replace(frame, sources=lost), 80, sort="name").cells
    assert [cell.role for cell in cells if cell.text.startswith("+")] == ["missing"]


def test_silenced_alerts_are_counted_apart() -> None:
    """D8: the header counts them whatever is filtered, and calm stays calm."""
    assert "■1 ▲1 ~1 z1" in header_lines(clusters_frame(), 80)[0].text
    loud = clusters_frame().alerts[2]
    calm = replace(healthy_frame(), alerts=(loud,))
    assert "no alerts z1" in header_lines(calm, 80)[0].text


def test_a_total_without_a_lost_source_says_so() -> None:
    """A sum over the clusters that answer is not the fleet's."""
    assert "2 464* GPUs" in header_lines(clusters_frame(), 80)[0].text


def test_the_recording_of_the_session_is_told() -> None:
    """How long and how large where there is room; what was dropped, and that nothing is written, always."""
    frame = demo_frame()
    on = RecorderState("x.tgrec", True, AT - 4364, 4364.0, 38_400_000, 4364)
    assert "rec ● 01:12:44 38 MB" in status_line(frame, 120, recorder=on).text
    assert "rec ●" in status_line(frame, 80, recorder=on).text
    assert "rec o 01:12:44" in status_line(frame, 120, ASCII, recorder=on).text
    dropped = status_line(frame, 120, recorder=replace(on, dropped=3))
    assert "3 dropped" in dropped.text
    assert "unrecorded" in {cell.role for cell in dropped.cells}
    off = replace(on, is_on=False, trouble="the disk is full: free some")
    assert "rec ✖ OFF" in status_line(frame, 80, recorder=off).text
    assert note_lines(frame, 80, recorder=off)[0].text.startswith(
        " not recorded: the disk is full: free some"
    )
    assert "rec" not in status_line(frame, 120).text
    assert not any("not recorded" in line.text for line in note_lines(frame, 120, recorder=on))


def test_sizes_of_recordings_have_a_unit() -> None:
    """From a few kilobytes to gigabytes, in few digits."""
    sizes = (0, 44_000, 999_400, 999_600, 38_000_000, 1_234_000_000)
    told = [
        recording_cell(RecorderState("x", True, size_bytes=size), True).text.split(" ", 3)[3]
        for size in sizes
    ]
    assert told == ["0 kB", "44 kB", "999 kB", "1 MB", "38 MB", "1.2 GB"]
