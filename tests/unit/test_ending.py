"""The banner of throttles that are about to end, and the badges in words."""

from dataclasses import replace

import pytest

from collectors.fleet import Frame, Revert
from collectors.intents import PlaneFacts
from tests.frames import AT, demo_frame, healthy_frame
from tests.operated_frames import OPERATOR, cell, operated_frame, worst_operated_frame
from tui.format import ASCII, UNICODE, width_of
from tui.widgets.badges import clock_cell, operator_text, page_badges, place, shorter, writes_badge
from tui.widgets.ending import ending_lines, ending_soon
from tui.widgets.freshness import header_lines, status_line

ARMED = "[ARMED alice 09:12 left]"
WIDTHS = (20, 30, 40, 60, 79, 80, 100, 120, 200, 300)


def with_throttle(ttl: float | None, **changed: object) -> Frame:
    return replace(demo_frame(), throttles=(cell("image-generation", "free", 0.3, ttl=ttl, **changed),))  # type: ignore[arg-type]  # of cell


def test_it_is_announced_five_minutes_before() -> None:
    """S12: what ends when, what comes then and how fast, and which keys let it go on."""
    assert ending_lines(with_throttle(301), AT, 120) == ()
    text = ending_lines(with_throttle(252), AT, 120)[0].text.strip()
    assert text == (
        "T image-generation/free: admit 30% ends in 4m12s, then admit 100% by 10 %/min · u or t extends"
    )
    back = ending_lines(with_throttle(252, revert=Revert(0.5, None)), AT, 120)[0].text
    assert "then admit 50% by 10 %/min" in back
    assert ending_lines(with_throttle(None), AT, 120) == ()
    assert ending_lines(healthy_frame(), AT, 120) == ()


def test_the_soonest_is_told_and_the_others_are_counted() -> None:
    """Whatever order the plane tells them in."""
    frame = operated_frame()
    assert [one.tier for one in ending_soon(frame.throttles, AT)] == ["team", "plus"]
    assert "longctx/team: admit 50% ends in 1m40s" in ending_lines(frame, AT, 120)[0].text
    assert ending_lines(frame, AT, 120)[0].text.rstrip().endswith("+1 more")


def test_one_that_should_have_ended_stays_told() -> None:
    """It does not vanish when its time is up, but says so."""
    assert "ends in 0s" in ending_lines(with_throttle(-2), AT, 120)[0].text
    assert "should have ended 2m00s ago" in ending_lines(with_throttle(-120), AT, 120)[0].text


@pytest.mark.parametrize("width", WIDTHS)
def test_the_banner_always_fits_and_always_says_when(width: int) -> None:
    """From all there is to say to the time alone; hostile names included."""
    for glyphs in (UNICODE, ASCII):
        for frame in (operated_frame(), worst_operated_frame(), with_throttle(252)):
            text = ending_lines(frame, AT, width, glyphs)[0].text
            assert width_of(text) == width
            assert "4m12s" in text or "1m40s" in text or "10m00s" in text, text
    assert ending_lines(operated_frame(), AT, width, ASCII)[0].text.isascii()


def test_other_keys_are_named_as_they_are_bound() -> None:
    """A keymap of one's own is told; an action without a key is not offered."""
    assert "· F5 extends" in ending_lines(with_throttle(252), AT, 120, keys=("F5",))[0].text
    assert "extends" not in ending_lines(with_throttle(252), AT, 120, keys=())[0].text


@pytest.mark.parametrize(
    ("text", "role", "short"),
    [
        (ARMED, "armed", "[ARMED]"),
        ("[WRITES ON alice]", "armed", "[RW]"),
        ("[READ-ONLY]", "read-only", "[RO]"),
        ("[WRITES OFF: role viewer]", "read-only", "[RO]"),
        ("[ALL WRITES OFF]", "read-only", "[RO]"),
    ],
)
def test_a_badge_is_shortened_but_never_left_out(text: str, role: str, short: str) -> None:
    """D15: at every size it is a word whether writes are on, and whether this is production."""
    badge = writes_badge(text)
    assert badge.role == role
    assert shorter(text)[-1] == short
    for width in WIDTHS:
        for frame in (operated_frame(), worst_operated_frame()):
            for glyphs in (UNICODE, ASCII):
                line = header_lines(frame, width, glyphs, writes=badge)[0].text
                assert width_of(line) <= width
                assert any(one in line for one in shorter(text)), (width, line)
                assert f"{glyphs.edge}PROD/" in line


def test_production_has_edges_and_others_have_none() -> None:
    """D15: text and edges, in mono as well."""
    assert place(demo_frame(), "us-east", UNICODE).text == "┃PROD/us-east┃"
    assert place(demo_frame(), "us-east", ASCII).text == "|PROD/us-east|"
    assert place(healthy_frame(), "us-east", UNICODE).text == "us-east"


def test_a_page_of_its_own_has_the_badges_too() -> None:
    """Shorter where the name of the model wants the room."""
    wide = [cell.text for cell in page_badges(demo_frame(), writes_badge(ARMED), 80, UNICODE)]
    assert wide == ["┃PROD/us-east┃", ARMED, "SIMULATED"]
    narrow = [cell.text for cell in page_badges(demo_frame(), writes_badge(ARMED), 26, UNICODE)]
    assert narrow == ["┃PROD/us-…┃", "[ARMED]", "SIM"]


def test_the_status_line_says_who_we_are_and_what_we_may_do() -> None:
    """By the plane's word; abilities where there is room; nothing without a plane."""
    wide = status_line(operated_frame(), 200).text
    assert "you: alice@example.com (operator)  throttle ✔ abort ✔ advance ✖" in wide
    assert "you: alice (operator)" in status_line(operated_frame(), 80, sort="name").text
    assert "you:" not in status_line(demo_frame(), 200).text
    assert operator_text(OPERATOR, 12, UNICODE) == "you: alice"
    assert operator_text(OPERATOR, 5, UNICODE) == ""
    assert operator_text(PlaneFacts(), 80, UNICODE) == ""
    assert operator_text(OPERATOR, 200, ASCII).isascii()


def test_a_clock_that_is_off_is_said() -> None:
    """Above two seconds: countdowns go by it. A simulated fleet has a clock of its own."""
    real = replace(operated_frame(), simulated=False)
    assert clock_cell(real) is None
    ahead = clock_cell(replace(real, plane=replace(OPERATOR, clock_offset_s=3661.0)))
    assert ahead is not None and ahead.text == "plane clock 61m ahead"
    behind = clock_cell(replace(real, plane=replace(OPERATOR, clock_offset_s=-2.5)))
    assert behind is not None and behind.text == "plane clock 2s behind"
    assert clock_cell(worst_operated_frame()) is None
    line = status_line(replace(real, plane=replace(OPERATOR, clock_offset_s=3661.0)), 80).text
    assert "plane clock 61m ahead" in line
    assert width_of(line) <= 80
