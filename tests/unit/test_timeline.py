"""Alerts, events, and the strip of marks."""

from dataclasses import replace

from collectors.fleet import Alert, Event, EventKind, Severity
from tests.cluster_frames import clusters_frame
from tests.frames import AT, demo_frame, worst_frame
from tui.format import ASCII, clock, width_of
from tui.widgets.timeline import MARKS, alert_lines, event_lines, strip_line


def test_the_first_alert_of_a_model_is_on_top_and_what_followed_below() -> None:
    """D7: by worst severity, then by time."""
    lines = alert_lines(demo_frame(), 120, 9)
    assert [line.id for line in lines] == ["", "a1", "a3", "a2", "a4"]
    assert lines[2].text.split()[3] == "└delta-code"


def test_a_folded_group_keeps_its_worst_mark_and_its_count() -> None:
    """D7: the worst is told though the first one was milder; the time is the first one's."""
    first = Alert("x", Severity.P3, "delta-code", "", AT - 999, "mild")
    frame = replace(demo_frame(), alerts=(first, *demo_frame().alerts))
    lines = alert_lines(frame, 120, 4)
    assert lines[1].cells[1].text == "■"
    assert "queue p99" in lines[1].text
    assert "mild" not in lines[1].text
    assert lines[1].text.split()[1] == clock(AT - 999)
    assert "+2 folded" in lines[1].text
    assert [line.id for line in lines[1:]] == ["a1", "a2", "a4"]


def test_a_group_unfolds_as_far_as_rows_are_free() -> None:
    """No row stays empty while alerts are folded: the first and the worst are shown, in order of time."""
    fault = Alert("f", Severity.P2, "aurora-5", "", AT - 720, "2 faulty accelerators")
    mild = Alert("m", Severity.P3, "aurora-5", "", AT - 500, "mild")
    waits = [Alert(f"w{n}", Severity.P1, "aurora-5", "pro", AT - n, "queue p99 30 s > 2 s") for n in (90, 60)]
    frame = replace(demo_frame(), alerts=(fault, mild, *waits))

    def ids(height: int) -> list[str]:
        return [line.id for line in alert_lines(frame, 80, height)][1:]

    assert [ids(height) for height in (2, 3, 4, 5, 6)] == [
        ["w90"],
        ["f", "w90"],
        ["f", "w90", "w60"],
        ["f", "m", "w90", "w60"],
        ["f", "m", "w90", "w60"],
    ]
    assert alert_lines(frame, 80, 2)[1].text.split()[:2] == ["■", clock(AT - 720)]
    assert alert_lines(frame, 80, 3)[2].text.rstrip().endswith("+2 folded")
    assert "folded" not in alert_lines(frame, 80, 3)[1].text


def test_alerts_that_do_not_fit_are_counted() -> None:
    """D13: the heading counts all, the last line those not shown."""
    lines = alert_lines(worst_frame(), 120, 5)
    assert len(lines) == 5
    assert lines[0].text.startswith("─ ALERTS 24 ")
    assert "+15 more" in lines[4].text
    assert alert_lines(worst_frame(), 120, 0) == ()
    assert len(alert_lines(worst_frame(), 120, 1)) == 1


def test_the_alarm_rate_is_shown() -> None:
    """D9: what began in the last ten minutes, with the aim beside it."""
    old = Alert("old", Severity.P2, "embed-2", "", AT - 7200, "old")
    frame = replace(demo_frame(), alerts=(*demo_frame().alerts, old))
    assert "ALERTS 5 · rate 4/10 min (aim 1, flood > 10)" in alert_lines(frame, 120, 9)[0].text


def test_signs_in_summaries_switch_with_the_glyph_set() -> None:
    """No stray ambiguous glyph in an ASCII screen."""
    for line in (*alert_lines(demo_frame(), 120, 9, ASCII), *event_lines(demo_frame().events, 120, 9, ASCII)):
        assert line.text.isascii(), line.text


def test_the_newest_event_is_first() -> None:
    """Whatever order they came in; who, what kind, on what."""
    lines = event_lines(demo_frame().events, 120, 3)
    assert [line.text.split()[0] for line in lines[1:]] == ["14:01:50Z", "13:30:02Z"]
    assert lines[1].text.split()[1:4] == ["alice", "action", "images/free"]
    assert event_lines((), 80, 3)[0].text.startswith("─ EVENTS & AUDIT ─")
    assert event_lines((), 80, 0) == ()


def test_a_strip_shows_the_event_that_matters_most_in_each_span() -> None:
    """A fault is not hidden by a note in the same cell; what is out of the window is not drawn."""
    events = [
        Event(AT - 5, EventKind.NOTE, "", "", ""),
        Event(AT - 4, EventKind.FAULT, "", "", ""),
        Event(AT - 900, EventKind.THROTTLE, "", "", ""),
        Event(AT - 9000, EventKind.ALERT, "", "", ""),
    ]
    text = strip_line(events, AT, 1800, 70).text
    assert text.count("X") == text.count("T") == 1
    assert "n" not in text.removesuffix("now")
    assert "!" not in text
    assert 30 <= text.index("T") <= 42
    assert text.index("X") > 60


def test_marks_of_a_strip_do_not_creep() -> None:
    """D17: a second later the same picture."""
    events = [Event(AT - 900, EventKind.THROTTLE, "", "", "")]
    start = AT // 60 * 60
    assert strip_line(events, start + 1, 3600, 67) == strip_line(events, start + 2, 3600, 67)


def test_every_kind_has_a_mark_of_its_own() -> None:
    """D2."""
    assert MARKS.keys() == set(EventKind)
    assert len(set(MARKS.values())) == len(MARKS)


def test_no_line_exceeds_the_width() -> None:
    """T4, at every width."""
    frame = worst_frame()
    for width in range(1, 200, 7):
        lines = (
            *alert_lines(frame, width, 9),
            *event_lines(frame.events, width, 9),
            strip_line(frame.events, frame.at, 1800, width),
        )
        assert all(width_of(line.text) <= width for line in lines), width


def test_silenced_alerts_come_last_dim_and_apart_from_the_count() -> None:
    """D8: with their end; who silenced them, and who told an alert, where there is room."""
    narrow, wide = alert_lines(clusters_frame(), 80, 9), alert_lines(clusters_frame(), 160, 9)
    assert narrow[0].text.startswith("─ ALERTS 2 (+1 silenced) · first-out on top")
    assert [line.id for line in narrow[1:]] == ["a1", "b1", "b2"]
    assert narrow[3].text.startswith(" z ")
    assert "silenced 17m more: GPU is hot" in narrow[3].text
    assert {cell.role for cell in narrow[3].cells if cell.text.strip()} == {"shelved", "muted"}
    assert "silenced 17m more by bob: fan swap: GPU is hot" in wide[3].text
    assert wide[2].text.endswith("  alertmanager eu-west")
    assert wide[3].text.endswith("  prom")
    assert "tidegate" not in wide[1].text
    assert "rate 2/10 min" in wide[0].text


def test_silences_of_any_length_are_drawn() -> None:
    """One that never ends, and one that ended: a clock elsewhere must not end the cockpit."""
    for until in (AT - 60, AT + 1e12, float("inf"), 0.0):
        one = replace(clusters_frame().alerts[2], silenced_until=until)
        assert "silenced" in alert_lines(replace(demo_frame(), alerts=(one,)), 80, 3)[1].text
    assert "first-out" not in alert_lines(replace(demo_frame(), alerts=(one,)), 80, 3)[0].text
