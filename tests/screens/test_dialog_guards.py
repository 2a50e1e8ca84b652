"""What never applies in a dialog: keys that come too early or too fast, pastes, the mouse; and arming."""

from dataclasses import replace

import pytest
from textual import events

from tests.dialog_parts import CellForm, opened, operated_frame
from tests.screens.test_app import plain_environment, screen_text, still_clock
from tests.screens.test_dialog import PRODUCTION, phrased, whole_picture
from tui import guards
from tui.screens.fleet import FleetScreen

__all__ = ["plain_environment", "still_clock"]


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
        assert "[ARMED alice " in whole_picture(d.app)
        assert d.operator.carried == []


@pytest.mark.parametrize("delay_s", [0.5, 0.66, 1.0])
async def test_a_held_y_that_was_refused_does_not_apply_when_it_repeats_itself(delay_s: float) -> None:
    """S4: a keyboard waits longer before its first repetition than a person between two keys."""
    async with opened() as d:
        await d.keys("1")
        at = d.app.clock()
        await d.burst("1", start=at)
        await d.burst("y", start=at + 0.1)
        assert guards.HURRIED in d.text
        await d.burst("y", start=at + 0.1 + delay_s)
        assert guards.HELD[:40] in d.text
        assert not d.dialog._confirming.is_held
        await d.keys("y")
        await d.until(lambda: bool(d.operator.carried))
        assert len(d.operator.carried) == 1


async def test_keys_right_after_opening_are_dropped() -> None:
    """S4: and after the terminal was left, or the cockpit suspended."""
    async with opened() as d:
        await d.keys("1")
        back_on_top = d.dialog._confirming.hold_keys
        for change in (back_on_top, lambda: d.app.post_message(events.AppFocus()), d.app._resumed):
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


async def test_a_frame_between_y_and_its_sending_stops_it() -> None:
    """What moved in that moment was not what was confirmed."""
    async with opened() as d:
        await d.keys("1")
        d.app.guard = guards.KeyGuard()
        d.dialog._confirm()
        assert d.dialog._confirming.is_held
        d.dialog._see(operated_frame(0.2, "t-9"))
        await d.pilot.pause(2 * guards.HOLD_S)
        assert d.operator.carried == []


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
