"""The one dialog on a cockpit: its rows and keys, what `y` needs, what keys never do, what becomes of it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from syrupy.assertion import SnapshotAssertion
from textual import events
from textual._context import visible_screen_stack

from collectors.intents import Difference, Intent, Outcome, OutcomeKind, Rehearsal
from collectors.readings import reading
from tests.dialog_parts import (
    VIEWER,
    CellForm,
    Opened,
    Recorded,
    ended,
    opened,
    operated_frame,
    would_apply,
)
from tests.frames import AT
from tests.screens.test_app import plain_environment, screen_text, still_clock
from tui import guards
from tui.app import CockpitApp
from tui.dialogs import dialog as dialogs
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


async def test_y_sends_one_decision_and_shows_what_became_of_it() -> None:
    """A digit picks the reason; each target has its key, all have one decision id; the result stays."""
    async with opened(lambda frame: CellForm(frame, tiers=("team", "free"))) as d:
        await d.keys("2", "y")
        await d.until(lambda: "images/free  sent" in d.text or d.text.count("applied") == 2)
        await d.until(lambda: d.text.count("✔ applied: admit 30% until 14:32:11Z") == 2)
        (sent,) = d.operator.carried
        assert [str(one.target) for one in sent] == ["images/team", "images/free"]
        assert {one.reason for one in sent} == {"queue is short again"}
        assert len({one.key for one in sent}) == 2
        assert len({one.decision_id for one in sent}) == 1
        assert "done: esc closes" in d.text
        await d.keys("y")
        assert "sent already: it is never sent twice" in d.text
        await d.keys("enter")
        assert isinstance(d.app.screen, FleetScreen)
        assert len(d.operator.carried) == 1


@pytest.mark.parametrize(
    "keys", [("y", "y"), ("y", "enter", "y"), ("y", "ctrl+r", "y"), ("y", "1", "y", "y")]
)
async def test_nothing_sends_twice(keys: tuple[str, ...]) -> None:
    """Whatever is pressed behind `y`, while it is on its way and after: one decision."""
    operator = Recorded(is_held=True)
    async with opened(operator=operator) as d:
        await d.keys("1", keys[0])
        await d.until(lambda: bool(operator.carried))
        await d.keys(*keys[1:])
        operator.release()
        await d.until(lambda: operator.ended == 1)
        await d.keys("y")
        assert len(operator.carried) == 1


async def test_unarmed_it_rehearses_and_says_why_it_does_not_apply() -> None:
    """S6: the dry run is there, `y` is off with its reason; W arms inside the dialog."""
    async with opened(armed=False) as d:
        assert "the plane would apply it: 1 change, no warnings of its own" in d.text
        assert "y is off: writes are off: W arms them for 10 min" in d.text
        await d.keys("1", "y")
        assert "y is off: writes are off" in d.text
        await d.keys("W")
        assert "writes are on for 10 min; W ends it" in d.text
        assert d.app.armed_text.startswith("[ARMED alice ")
        assert "[ARMED alice " in whole_picture(d.app)
        await d.keys("W", "y")
        assert "y is off: writes are off" in d.text
        assert d.operator.carried == []


async def test_arming_in_production_asks_for_the_name() -> None:
    """S6: the same dialog, local: the name is typed, then `y`; then the dialog below goes on."""
    async with opened(frame=PRODUCTION, armed=False) as d:
        below = d.dialog
        await d.keys("W")
        await d.until(lambda: d.dialog is not below)
        assert "Arm writes · PROD us-east" in d.text
        assert "DRY RUN" not in d.text.split("Arm writes")[1].split("[ Cancel ]")[0]
        await d.keys("y")
        assert "type us-east in the row above" in d.text
        await d.keys("tab", *"us-east")
        assert "✔ typed" in d.text
        assert "›[ Cancel ]" in d.text
        assert not d.app.is_armed
        await d.keys("y")
        await d.until(lambda: d.app.screen is below)
        assert d.app.is_armed
        assert d.operator.carried == []


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


async def test_keys_right_after_opening_are_dropped() -> None:
    """S4: and after the terminal was left, or the cockpit suspended."""
    async with opened() as d:
        await d.keys("1")
        for change in (d.dialog.hold_keys, lambda: d.app.post_message(events.AppFocus()), d.app._resumed):
            change()
            await d.pilot.pause()
            await d.pilot.press("y")
            assert "y came too early and was dropped" in d.text
        await d.keys("y")
        await d.until(lambda: bool(d.operator.carried))


async def test_a_dialog_that_was_just_opened_holds_keys_back() -> None:
    """By the time of the key, not by when it is read."""
    async with opened() as d:
        await d.keys("escape")
        d.app.open_dialog(CellForm(operated_frame()))
        await d.until(lambda: "DRY RUN" in d.text)
        assert d.app.guard.is_early(d.app.clock())


@pytest.mark.parametrize("text", ["yes please apply it", "y\ny\ny\ny\ny\n", "1y2y3y", "Wy1y apply now"])
@pytest.mark.parametrize("apart_s", [0.0, 0.004])
async def test_a_paste_without_brackets_never_applies(text: str, apart_s: float) -> None:
    """S5: in one piece or in several, `y` first, last or alone among others."""
    async with opened() as d:
        await d.keys("1")
        d.app.guard = guards.KeyGuard()
        await d.burst(text, apart_s)
        await d.pilot.pause(2 * guards.HOLD_S)
        assert d.operator.carried == []


async def test_a_burst_is_swallowed_and_said() -> None:
    """Until there is quiet; then keys count again."""
    async with opened() as d:
        await d.burst("abcdefghijk2")
        assert guards.PASTED in d.text.replace("\n", " ").replace("│", "") or "taken for a paste" in d.text
        assert "Reason     -" in d.text
        await d.keys("2")
        assert "Reason     queue is short again" in d.text


async def test_y_with_a_key_right_behind_it_is_dropped() -> None:
    """S5: the first character of a paste is told from a person's `y` by what follows."""
    async with opened() as d:
        await d.keys("1")
        d.app.guard = guards.KeyGuard()
        await d.burst("yx", 0.003)
        await d.pilot.pause(2 * guards.HOLD_S)
        assert d.operator.carried == []
        assert "x does nothing" in d.text or "not in a dialog" in d.text or "right behind y" in d.text


async def test_y_right_behind_another_key_is_dropped_and_said() -> None:
    """It asks for quiet before it, so that no later character of a paste is the one."""
    async with opened() as d:
        await d.keys("1")
        d.app.guard = guards.KeyGuard()
        await d.burst("3y", 0.2)
        await d.pilot.pause(2 * guards.HOLD_S)
        assert d.operator.carried == []
        assert "apply needs 0.4 s without a key before it" in d.text


async def test_a_paste_goes_into_the_reason_only() -> None:
    """S5: with brackets it is text for the reason or an entry; at the buttons, or for the phrase, nothing."""
    async with opened(phrased, frame=PRODUCTION) as d:
        d.app.post_message(events.Paste("y\ny"))
        await d.pilot.pause()
        assert "a paste presses no keys" in d.text
        await d.keys("shift+tab")
        d.app.post_message(events.Paste("throttle 2"))
        await d.pilot.pause()
        assert "to be typed, not pasted" in d.text
        await d.keys("shift+tab")
        d.app.post_message(events.Paste("queue\nis\x1b[31m long"))
        await d.pilot.pause()
        assert "queue is[31m long_" in d.text
        assert d.operator.carried == []


async def test_a_phrase_that_came_too_fast_is_taken_back() -> None:
    """A burst into its row is a paste as well: it has to be typed."""
    async with opened(phrased, frame=PRODUCTION) as d:
        await d.keys("1", "shift+tab")
        await d.burst("throttle")
        assert "to go on:   _" in d.text
        assert "the phrase is to be typed, not pasted: nothing of it was taken" in d.text


async def test_letters_are_text_in_a_row_of_text_and_nothing_elsewhere() -> None:
    """S3: `y`, `W`, digits, space in the reason are its text; on a choice a letter says where it counts."""
    async with opened(armed=False) as d:
        await d.keys("shift+tab", *"yW 1y")
        assert "yW 1y_" in d.text
        assert not d.app.is_armed
        await d.keys("tab", "tab", "y")
        assert "y applies at the buttons only" in d.text
        await d.keys("W")
        assert "letters count at the buttons only" in d.text
        assert not d.app.is_armed


async def test_a_half_typed_reason_comes_back() -> None:
    """S3: in the dialog of the same name; once sent it is offered as the first of the recent ones."""
    async with opened() as d:
        await d.keys("shift+tab", *"stor", "escape")
        d.app.open_dialog(CellForm(operated_frame()))
        await d.until(lambda: "Reason     stor" in d.text)
        await d.ready()
        await d.keys("shift+tab", "m", "tab", "y")
        await d.until(lambda: "applied" in d.text)
        await d.keys("escape")
        d.app.open_dialog(CellForm(operated_frame()))
        await d.until(lambda: "1 storm" in d.text)
        assert "Reason     -" in d.text


async def test_what_somebody_else_changed_is_shown_and_asked_again() -> None:
    """S8: keys are held back, the difference is shown, the dry run is of the new rev."""
    async with opened() as d:
        await d.keys("1")
        later = operated_frame(0.2, "t-9")
        d.source.send(later)
        await d.until(lambda: "CHANGED while this was open" in d.text)
        assert "images/free level: admit 50% → admit 20%" in d.text
        assert "rev t-9free ──┐" in d.text
        await d.pilot.press("y")
        assert "y came too early" in d.text
        await d.until(lambda: "(server, rev t-9free)" in d.text)
        assert d.operator.rehearsed[-1][0].etag == "t-9free"
        await d.keys("y")
        assert "somebody changed it" in d.text
        assert d.operator.carried == []
        await d.keys("ctrl+r", "y")
        await d.until(lambda: bool(d.operator.carried))
        assert d.operator.carried[0][0].etag == "t-9free"


async def test_a_frame_between_y_and_its_sending_stops_it() -> None:
    """What moved in that moment was not what was confirmed."""
    async with opened() as d:
        await d.keys("1")
        d.app.guard = guards.KeyGuard()
        d.dialog._confirm()
        assert d.dialog._confirming is not None
        d.dialog._see(operated_frame(0.2, "t-9"))
        await d.pilot.pause(2 * guards.HOLD_S)
        assert d.operator.carried == []


def refusing(intent: Intent) -> Rehearsal:
    moved = (Difference("level", "admit 50%", "admit 10%"),)
    return replace(would_apply(intent), refusal="bob moved it; look again", code="stale-level", moved=moved)


async def test_a_dry_run_that_would_not_apply_keeps_y_off() -> None:
    """S9: the plane's sentence, and what moved, before and now."""
    async with opened(operator=Recorded(answers=refusing)) as d:
        assert "would be refused" in d.text
        assert "images/free: bob moved it; look again" in d.text
        assert "level: admit 50% → admit 10%" in d.text
        await d.keys("1", "y")
        assert "the dry run says no to images/free" in d.text
        assert d.operator.carried == []


async def test_an_old_dry_run_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """S9: by itself while somebody is there, by ctrl-r always; an old one keeps `y` off."""
    monkeypatch.setattr(dialogs, "TOUCHED_S", 30.0)
    async with opened() as d:
        await d.keys("1")
        real, late = d.app.clock, 0.0
        d.app.clock = lambda: real() + late
        asked = len(d.operator.rehearsed)
        late = 12.0
        d.dialog._tick()
        await d.until(lambda: len(d.operator.rehearsed) == asked + 1)
        late = 100.0
        d.dialog._tick()
        await d.pilot.pause()
        assert len(d.operator.rehearsed) == asked + 1
        assert "y is off: the dry run is" in d.text
        assert "old: ctrl-r asks again" in d.text
        await d.keys("ctrl+r")
        await d.until(lambda: len(d.operator.rehearsed) == asked + 2)
        await d.until(lambda: "0s ago" in d.text)


def failing(intent: Intent) -> Rehearsal:
    raise RuntimeError("broken in here")


async def test_a_dry_run_that_breaks_is_shown() -> None:
    """Whatever an operator raises: a sentence, the cockpit stays, `y` is off."""
    async with opened(operator=Recorded(answers=failing)) as d:
        assert "RuntimeError: broken in here." in d.text
        await d.keys("1", "y")
        assert "y is off: no dry run" in d.text


async def test_targets_are_told_one_by_one() -> None:
    """S10, S11: the first unknown while it is looked for, then conflict; the second was not sent."""

    def outcomes(intent: Intent) -> list[Outcome]:
        if intent.target.tier == "free":
            return [replace(ended(intent, OutcomeKind.REFUSED, "the one before ended so"), was_sent=False)]
        return [
            ended(intent, OutcomeKind.UNKNOWN, "no answer in 20 s", is_final=False),
            replace(
                ended(intent, OutcomeKind.CONFLICT, "bob was first"),
                moved=(Difference("level", "admit 50%", "admit 10%"),),
            ),
        ]

    operator = Recorded(outcomes=outcomes)
    async with opened(lambda frame: CellForm(frame, tiers=("team", "free")), operator=operator) as d:
        await d.keys("1", "y")
        await d.until(lambda: "done: esc closes" in d.text)
        assert "images/team sent → ✖ conflict: bob was first" in d.text
        assert "level: admit 50% → admit 10%" in d.text
        assert "images/free not sent: ✖ refused: the one before ended so" in d.text


async def test_closing_leaves_what_is_on_its_way() -> None:
    """How it ends is told on whatever screen is on top, and `q` asks once while it lasts."""
    operator = Recorded(is_held=True)
    async with opened(operator=operator) as d:
        await d.keys("1", "y")
        await d.until(lambda: bool(operator.carried))
        assert "sent: it goes on if this is closed" in d.text
        await d.keys("escape")
        await d.until(lambda: isinstance(d.app.screen, FleetScreen))
        await d.keys("q")
        assert "an action is under way: q again quits" in d.text
        assert d.app.return_code is None
        d.app.open_dialog(CellForm(operated_frame()))
        await d.ready()
        await d.keys("1", "y")
        assert "an earlier action on images/free is still under way" in d.text
        await d.keys("escape")
        operator.release()
        await d.until(lambda: "images/free: applied: admit 30% until 14:32:11Z" in d.text)
        assert d.app.link.in_flight == 0
        assert d.app.under_way == frozenset()
        assert len(operator.carried) == 1


async def test_without_an_operator_nothing_was_sent() -> None:
    """A source that went away between dry run and `y`: refused in words, not unknown."""
    async with opened() as d:
        await d.keys("1")
        d.source.operator = None
        await d.keys("y")
        await d.until(lambda: "not sent: ✖ refused: no control plane is connected" in d.text)
        assert d.operator.carried == []


def breaking(intent: Intent) -> list[Outcome]:
    raise RuntimeError("broken in here")


async def test_an_operator_that_breaks_leaves_the_target_unknown() -> None:
    """Nobody knows whether it landed: never said to have failed."""
    async with opened(operator=Recorded(outcomes=breaking)) as d:
        await d.keys("1", "y")
        await d.until(lambda: "? UNKNOWN: RuntimeError: broken in here." in d.text)
        assert "Look whether it landed" in d.text


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


async def test_the_mouse_gives_a_row_the_keys_and_applies_nothing() -> None:
    """S16: a click on a row, and on everything else."""
    async with opened() as d:
        await d.keys("1")
        place = next(n for n, line in enumerate(screen_text(d.app)) if "Reason" in line)
        await d.pilot.click(offset=(30, place))
        await d.pilot.pause()
        assert "›Reason" in d.text
        for row, line in enumerate(screen_text(d.app)):
            for word in ("Cancel", "apply", "why", "dry run again"):
                if word in line:
                    await d.pilot.click(offset=(line.index(word), row))
        await d.pilot.pause(2 * guards.HOLD_S)
        assert d.operator.carried == []


CONTROL = [f"ctrl+{letter}" for letter in "abdefghijklmnopqrstuvwxyz"]


@pytest.mark.parametrize("rows", [0, 1, 4], ids=["buttons", "choice", "reason"])
async def test_no_ctrl_letter_and_no_enter_applies(rows: int) -> None:
    """S1: in a dialog that is ready to apply, and below it: no write arrives, nothing quits."""
    async with opened(size=(80, 24)) as d:
        await d.keys("1", *["tab"] * rows)
        for key in (*CONTROL, "enter", "escape", "enter"):
            d.app.guard = guards.KeyGuard()
            await d.pilot.press(key)
        assert d.operator.carried == []
        assert d.app.return_code is None


async def test_no_other_thing_opens_over_a_decision() -> None:
    """`t`, `a`, `q`, `?` in a dialog: said, or its own meaning; q cancels it like everywhere."""
    async with opened() as d:
        dialog = d.dialog
        for key in "taA/:":
            await d.keys(key)
            assert d.app.screen is dialog
            assert "not in a dialog" in d.text
        await d.keys("?")
        assert "WHY y applies when all of this holds" in d.text
        await d.keys("q")
        assert isinstance(d.app.screen, FleetScreen)


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


async def test_arming_shows_in_the_header_and_ends_with_the_context() -> None:
    """S6: W on the fleet; another context in a frame disarms."""
    async with opened(armed=False) as d:
        await d.keys("escape", "W")
        assert "writes are on for 10 min" in d.text
        assert d.app.is_armed
        other = replace(operated_frame(), context="eu-west")
        d.source.send(other)
        await d.until(lambda: d.app.latest is other)
        assert not d.app.is_armed
        await d.keys("W", "W")
        assert "writes are off" in d.text


@pytest.mark.parametrize(("writes", "words"), [("never", 'writes = "never"'), ("on", "writes are always on")])
async def test_writes_by_configuration(writes: str, words: str) -> None:
    """W says why it does nothing."""
    async with opened(armed=False, writes=writes) as d:
        await d.keys("1", "W")
        assert words in d.text
        await d.keys("y")
        if writes == "on":
            await d.until(lambda: bool(d.operator.carried))
        else:
            assert d.operator.carried == []
            assert "y is off: this context is only watched" in d.text
