"""The one dialog on a cockpit: its pictures, its rows and keys, how it is drawn, and what opens it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from syrupy.assertion import SnapshotAssertion
from textual import events
from textual._context import visible_screen_stack

from collectors.readings import reading
from tests.dialog_parts import VIEWER, CellForm, Opened, calm, opened, operated_frame
from tests.frames import AT
from tests.screens.test_app import plain_environment, screen_text, still_clock
from tui.app import CockpitApp
from tui.dialogs import box
from tui.dialogs.drawing import Drawn, dialog_lines
from tui.dialogs.shown import Shown
from tui.screens import fleet as fleet_screen
from tui.screens.base import Selection
from tui.screens.fleet import FleetScreen
from tui.widgets.fleet_table import SORTS
from tui.widgets.lines import Cell, Line

__all__ = ["plain_environment", "still_clock"]

SIZES = [(80, 24), (120, 40), (200, 60)]
PRODUCTION = operated_frame(production=True)


def phrased(frame: object) -> CellForm:
    """Two cells of production, with a phrase."""
    return CellForm(frame, tiers=("team", "free"), phrase="throttle 2")  # type: ignore[arg-type]


class TallForm(CellForm):
    """With more to know than a small terminal has rows."""

    def facts(self, width: int, glyphs: str) -> Sequence[Line]:
        return tuple(Line((Cell(f"fact {number}"),)) for number in range(40))


def whole_picture(app: CockpitApp) -> str:
    """The screen with what is seen below the dialog, as the terminal is sent it."""
    visible_screen_stack.set(app._background_screens)
    return "\n".join(screen_text(app))


@pytest.mark.parametrize("glyphs", ["unicode", "ascii"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_a_dialog_at_every_tier(
    size: tuple[int, int], glyphs: str, snapshot: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T4: over the fleet where there is room, else the whole screen; in ASCII nothing else is drawn."""
    monkeypatch.setattr("tui.arming.Arming.badge", lambda self, frame: "[ARMED alice 09:12 left]")
    async with opened(phrased, frame=PRODUCTION, size=size, glyphs=glyphs) as d:
        d.app.clock = lambda: 0.0
        d.dialog.draw()
        await d.pilot.pause()
        picture = whole_picture(d.app)
        assert "›[ Cancel ]" in picture if glyphs == "unicode" else ">[ Cancel ]" in picture
        assert "PROD us-east" in picture
        if glyphs == "ascii":
            assert "Throttle . images" in picture
        box = d.dialog.query_one("#box").region
        lines = picture.splitlines()[box.y : box.bottom]
        assert "\n".join(line[box.x : box.right] for line in lines) == snapshot


async def test_it_opens_at_cancel_with_its_dry_run() -> None:
    """S2: Enter at once sends nothing and closes it; so does esc from any row."""
    async with opened() as d:
        assert "›[ Cancel ]" in d.text
        assert [one.seen for one in d.operator.rehearsed[0]] == [{"level": 0.5}]
        await d.keys("enter")
        assert isinstance(d.app.screen, FleetScreen)
        assert d.operator.carried == []


async def test_the_keys_go_from_row_to_row() -> None:
    """tab and down forward, shift-tab and up back, round; Enter goes on from a row and never applies."""
    async with opened(phrased, frame=PRODUCTION) as d:
        for key, row in (
            ("tab", "›Tier"),
            ("down", "›Admit"),
            ("enter", "›For"),
            ("enter", "›Reason"),
            ("enter", "›Type"),
            ("enter", "›[ Cancel ]"),
            ("shift+tab", "›Type"),
            ("up", "›Reason"),
        ):
            await d.keys(key)
            assert row in d.text, (key, row)
        await d.keys("escape")
        assert isinstance(d.app.screen, FleetScreen)
        assert d.operator.carried == []


async def test_left_and_right_change_the_main_choice_at_the_buttons() -> None:
    """And any other at its own row; each change is asked about anew, once it stands."""
    async with opened() as d:
        await d.keys("right")
        await d.until(lambda: "admit 50% → admit 10%" in d.text)
        await d.keys("left", "left", "left", "left")
        await d.until(lambda: "admit 50% → admit 100%" in d.text)
        assert [run[0].arguments["level"] for run in d.operator.rehearsed][-1] == 1.0


async def test_space_ticks_and_a_closed_option_says_why() -> None:
    """In a row of boxes left and right only point."""
    async with opened() as d:
        await d.keys("tab", "space")
        assert "Pro: not open there" in d.text
        await d.keys("right", "space")
        assert "[x] Team" in d.text
        await d.until(lambda: "images/team level" in d.text)
        await d.keys("space", "right", "space")
        await d.until(lambda: "no tier is ticked: tick one" in d.text)
        assert "not asked: nothing to do as it stands" in d.text


async def test_a_viewer_is_told_so() -> None:
    """S15: the role's own reason, and W says that there is nothing to arm."""
    async with opened(frame=operated_frame(plane=VIEWER), armed=False) as d:
        await d.keys("1", "W")
        assert "your role here, viewer, may change nothing" in d.text
        await d.keys("y")
        assert "y is off: your role, viewer, may not: needs operator" in d.text


async def test_the_phrase_is_typed_and_locks() -> None:
    """S3: while it is typed letters are text; when it matches, the buttons have the keys, and S4 restarts."""
    async with opened(phrased, frame=PRODUCTION) as d:
        await d.keys("1", "y")
        assert "y is off: type throttle 2 in the row above" in d.text
        await d.keys("shift+tab", *"throttle yy", "backspace", "backspace")
        assert "to go on:   throttle _" in d.text
        assert d.operator.carried == []
        await d.pilot.press("2")
        assert "✔ typed" in d.text
        await d.pilot.press("y")
        assert "y came too early" in d.text
        await d.keys("y")
        await d.until(lambda: bool(d.operator.carried))


async def test_another_plan_wants_its_phrase_again() -> None:
    """What was typed confirmed what was seen then."""
    async with opened(phrased, frame=PRODUCTION) as d:
        await d.keys("1", "shift+tab", *"throttle 2")
        assert "✔ typed" in d.text
        await d.keys("right")
        assert "✔ typed" not in d.text
        await d.until(lambda: "y is off: type throttle 2" in d.text)


async def test_enter_behind_a_typed_phrase_cancels_only_when_repeated() -> None:
    """The Enter that ends the typing loses nothing: it says what applies; any key between asks again."""
    async with opened(phrased, frame=PRODUCTION) as d:
        dialog = d.dialog
        await d.keys("1", "shift+tab", *"throttle 2", "enter")
        assert d.app.screen is dialog
        assert "y applies; enter again or esc cancels" in d.text
        await d.keys("ctrl+r", "enter")
        assert d.app.screen is dialog
        await d.keys("enter")
        assert isinstance(d.app.screen, FleetScreen)
        assert d.operator.carried == []


async def test_enter_behind_a_typed_phrase_says_why_y_is_off() -> None:
    """And esc cancels at once."""
    async with opened(phrased, frame=PRODUCTION) as d:
        await d.keys("shift+tab", *"throttle 2", "enter")
        assert "enter again or esc cancels; y is off: a reason is missing" in d.text
        await d.keys("escape")
        assert isinstance(d.app.screen, FleetScreen)


async def test_esc_closes_the_reasons_before_the_dialog() -> None:
    """What was asked for last goes first; then esc cancels."""
    async with opened() as d:
        dialog = d.dialog
        await d.keys("?")
        assert "WHY y applies" in d.text
        assert "? close why" in d.text
        await d.keys("escape")
        assert d.app.screen is dialog
        assert "WHY y applies" not in d.text
        await d.keys("escape")
        assert isinstance(d.app.screen, FleetScreen)


async def test_the_screen_below_offers_none_of_its_keys() -> None:
    """D16: at the bottom stand the dialog's, once sent nothing; the fleet's are back when it is closed."""
    async with opened() as d:
        below = fleet_of(d).panel("hints").lines[0].text
        assert "throttle" not in below
        assert "esc cancel" in below
        await d.keys("escape")
        assert "throttle" in fleet_of(d).panel("hints").lines[0].text


async def test_a_small_terminal_has_all_that_y_needs_in_sight() -> None:
    """At 80x24 the rest is below the fold, counted, with its key; the verdict is never scrolled away."""

    def long(frame: object) -> TallForm:
        return TallForm(frame, tiers=("team", "free"), phrase="throttle 2")  # type: ignore[arg-type]

    async with opened(long, frame=PRODUCTION, size=(80, 24)) as d:
        for word in ("Reason ", "Type ", "y is off", "the plane would apply it", "below · PgDn"):
            assert word in d.text, word
        await d.keys("pagedown")
        assert "above, " in d.text
        assert "below · PgUp PgDn" in d.text
        assert "the plane would apply it" in d.text
        await d.keys("tab")
        assert "›Tier" in d.text
        assert "above" not in d.text


async def test_a_key_draws_a_dialog_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """B5: whatever it changes, also where the row that gets the keys has to be scrolled to."""
    drawings: list[str] = []

    def counted(shown: Shown, width: int, glyphs: str) -> Drawn:
        drawings.append(shown.focus)
        return dialog_lines(shown, width, glyphs)

    monkeypatch.setattr(box, "dialog_lines", counted)
    moves = ("tab", "down", "shift+tab", "up", "tab", "space", "right", "space", "down", "left", "enter")
    typing = (*"5", "backspace", "enter", *"spike", "enter", *"throttle 2")
    async with opened(phrased, frame=PRODUCTION, size=(80, 12)) as d:
        for key in (*moves, *typing, "2", "?", "?", "pagedown", "pageup", "ctrl+r", "up", "enter"):
            d.app.guard = calm(d.app.guard)
            d.dialog._answer = ""  # one that goes away is drawn on its own, before the key
            drawings.clear()
            # At once, so that no dry run's answer and no second's tick comes between.
            d.dialog.on_key(events.Key(key, key if len(key) == 1 else " " if key == "space" else None))
            assert len(drawings) == 1, (key, drawings)
            await d.pilot.pause()


async def test_a_half_typed_reason_comes_back() -> None:
    """S3: in the dialog of the same name; once sent it is offered behind the usual ones, which stay."""
    async with opened() as d:
        await d.keys("shift+tab", *"stor", "escape")
        d.app.open_dialog(CellForm(operated_frame()))
        await d.until(lambda: "Reason     stor" in d.text)
        await d.ready()
        await d.keys("shift+tab", "m", "tab", "y")
        await d.until(lambda: "applied" in d.text)
        await d.keys("escape")
        d.app.open_dialog(CellForm(operated_frame()))
        await d.until(lambda: "6 storm" in d.text)
        assert "1 spike is over" in d.text
        assert "Reason     -" in d.text
        await d.ready()
        await d.keys("6")
        assert "Reason     storm" in d.text


async def test_the_fleet_below_lives_and_keeps_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """S7: a row that would go first stays where it is, with its new values, until the dialog is closed."""
    async with opened() as d:
        fleet = fleet_of(d)
        await d.keys("escape", *["s"] * SORTS.index("busy"))
        d.app.open_dialog(CellForm(operated_frame()))
        await d.until(lambda: "DRY RUN" in d.text)
        order = [line.id for line in fleet.panel("fleet").lines if line.id]
        later = operated_frame()
        busy = tuple(
            replace(one, readings={**one.readings, "busy_ratio": reading("busy_ratio", share, AT)})
            for one, share in zip(later.models, (0.01, 0.11, 0.21, 0.31, 0.41, 0.51, 0.61), strict=True)
        )
        later = replace(later, models=busy)
        d.source.send(later)
        await d.until(lambda: any(" 61%" in line.text for line in fleet.panel("fleet").lines))
        assert [line.id for line in fleet.panel("fleet").lines if line.id] == order
        monkeypatch.setattr(fleet_screen, "STILL_S", 0.0)
        await d.keys("escape")
        fleet.draw()
        assert [line.id for line in fleet.panel("fleet").lines if line.id] != order


def fleet_of(d: Opened) -> FleetScreen:
    (fleet,) = [one for one in d.app.screen_stack if isinstance(one, FleetScreen)]
    return fleet


async def test_a_resize_keeps_the_dialog_and_its_buttons() -> None:
    """T3: what is too tall scrolls, the buttons stay, at any size."""
    async with opened(phrased, frame=PRODUCTION) as d:
        await d.keys("1", "shift+tab")
        for size in ((80, 24), (60, 12), (200, 60), (30, 8), (120, 40), (10, 3)):
            await d.pilot.resize_terminal(*size)
            await d.pilot.pause()
            lines = screen_text(d.app)
            assert len(lines) == size[1]
            assert max(map(len, lines)) <= size[0]
            if size[0] >= 60:
                assert "[ Cancel ]" in "\n".join(lines)
                assert "Type" in "\n".join(lines)


@pytest.mark.parametrize("key", ["t", "a", "p", "B", "u"])
@pytest.mark.parametrize(
    ("plane", "words"), [(None, "no control plane is connected"), (VIEWER, "your role, viewer, may not")]
)
async def test_a_key_that_cannot_do_it_says_why(
    key: str, plane: object, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S15, D16: without a plane, or for the role; own actions can be looked at by anyone."""
    if key == "u" and plane is VIEWER:
        pytest.skip("own actions are read")
    async with opened(frame=operated_frame(plane=plane), armed=False) as d:  # type: ignore[arg-type]
        await d.keys("escape", key)
        assert isinstance(d.app.screen, FleetScreen)
        assert words in d.text


async def test_t_opens_what_the_cursor_stands_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The selection is handed to the form's maker; a sentence of its is said."""
    seen: list[object] = []

    def throttle_form(frame: object, selection: Selection, trends: object) -> object:
        seen.append(selection)
        return "nothing to throttle here" if len(seen) == 1 else CellForm(operated_frame())

    monkeypatch.setattr("tui.dialogs.throttle.throttle_form", throttle_form)
    monkeypatch.setattr(FleetScreen, "selected", lambda self: Selection(feature="images"))
    async with opened() as d:
        await d.keys("escape", "t")
        assert "nothing to throttle here" in d.text
        await d.keys("t")
        await d.until(lambda: "Throttle · images" in d.text)
        assert seen == [Selection(feature="images")] * 2
