"""No accident writes: no burst, no paste, not Ctrl, Alt or Enter, not the mouse; anywhere, armed or not.

What counts as an accident, for a tool that does write when it is told to:

- A burst, a paste with brackets, and what trickles in with less than 400 ms between its keys never confirm
  anything, whatever they hold and however much is ready for a `y`. One limit is meant, and known: the first
  key of a burst is a person's for all that anyone can tell, if the second comes more than 10 ms behind it. So
  a trickle of these tests does not begin with `y`.
- While writes are off, no keys write and none turns writes on; in production that takes the typed name.
- While they are on, keys at a person's pace confirm a decision only as it is meant: by a single `y` after
  400 ms of quiet, on a screen that says `y apply`, with a reason, and what leaves is what was shown. Where a
  phrase is asked for, only if it was typed on purpose. Anything else that leaves is an accident.
- Ctrl or Alt with any key, Enter, function keys and the mouse confirm nothing at all.
"""

from pathlib import Path

import pytest

from tests.accident_places import DIALOGS, PLACES, SCREENS, Place
from tests.accidents import (
    NEAR,
    NEVER,
    Tally,
    accidents,
    clicked,
    places,
    sitting,
    struck,
)
from tests.screens.test_app import plain_environment, still_clock
from tui.cli import main
from tui.dialogs.drawing import BUTTONS, PHRASE
from tui.keymap import DEFAULT_KEYS, with_keys
from tui.screens.fleet import FleetScreen

__all__ = ["plain_environment", "still_clock"]

BY_NAME = {place.name: place for place in PLACES}
PHRASED = ("several looser", "fleet-wide looser", "advance", "override", "weight up", "roll back", "retry")


def named(place: Place) -> str:
    return place.name


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "armed"), [(1, True), (2, False)], ids=["armed", "unarmed"])
async def test_no_keys_and_no_pastes_write(seed: int, armed: bool) -> None:
    """S1 to S6: random ones, on every screen and in every dialog; half of the dialogs wait only for `y`.

    Some decisions are confirmed as they are meant to be: so the search gets as far as where it matters.
    """
    tally = Tally()
    async with sitting(armed) as sat:
        for place in places(armed):
            tally.add(await accidents(sat, place, seed, 50))
    assert not tally.accidents, "\n".join(tally.accidents)
    if armed:
        assert tally.confirmed > 0
    else:
        assert not sat.operator.carried


@pytest.mark.parametrize("place", DIALOGS, ids=named)
async def test_what_is_meant_is_done_once(place: Place) -> None:
    """Reason, phrase, `y`: one decision; so all of these tests would see one that nobody meant."""
    async with sitting(not place.arms) as sat:
        await sat.go(place)
        assert not sat.operator.carried
        await sat.prepare()
        assert not sat.operator.carried
        await sat.type("y")
        await sat.type("y")
        assert len(sat.operator.carried) == (0 if place.arms else 1)
        assert sat.app.is_armed


@pytest.mark.parametrize("name", PHRASED)
async def test_only_the_very_phrase_confirms(name: str) -> None:
    """Short of a letter, in capitals, with a blank before it, or pasted: `y` is off."""
    async with sitting(True) as sat:
        await sat.go(BY_NAME[name])
        await sat.type("1")
        await sat.to(PHRASE)
        assert sat.dialog is not None
        wanted = sat.dialog._decision.wanted_phrase
        assert wanted
        for wrong in (wanted[:-1], wanted.upper(), f" {wanted}", f"{wanted[:-1]}x", wanted[::-1]):
            await sat.type(*wrong)
            await sat.to(BUTTONS)
            await sat.type("y")
            await sat.to(PHRASE)
            await sat.type(*["\x7f"] * len(wrong))
        sat.post(f"\x1b[200~{wanted}\x1b[201~")
        await sat.settle()
        assert sat.dialog._decision.phrase == ""
        await sat.to(BUTTONS)
        await sat.type("y")
        assert not sat.operator.carried
        await sat.prepare()
        await sat.type("y")
        assert len(sat.operator.carried) == 1


@pytest.mark.slow
async def test_no_held_key_and_no_enter_writes_in_a_dialog() -> None:
    """S1: Ctrl, Alt and Enter at Cancel in every dialog, where all is ready for `y`; in one at every row."""
    tally = Tally()
    async with sitting(True) as sat:
        for place in places(True):
            if place.is_dialog:
                tally.add(await struck(sat, place, NEAR, (BUTTONS,)))
        tally.add(await struck(sat, BY_NAME["advance"], NEAR))
        tally.add(await struck(sat, BY_NAME["abort"], NEVER[::4], (BUTTONS,)))
    async with sitting(False) as sat:
        tally.add(await struck(sat, BY_NAME["arm"], NEVER[::4], (BUTTONS,)))
    assert not tally.accidents, "\n".join(tally.accidents)


@pytest.mark.slow
async def test_no_held_key_and_no_enter_writes_on_a_screen() -> None:
    """S1: Ctrl and Alt with anything, Enter in all its forms, function keys, on every screen."""
    tally = Tally()
    async with sitting(True) as sat:
        for place in SCREENS:
            tally.add(await struck(sat, place, NEVER))
    assert not tally.accidents, "\n".join(tally.accidents)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fleet", "alerts", "own actions", "extend", "override", "arm"])
async def test_no_click_writes(name: str) -> None:
    """S16: double clicks with any button, and the wheel, all over; in a dialog all is ready for `y`."""
    place = BY_NAME[name]
    async with sitting(not place.arms) as sat:
        tally = await clicked(sat, place, 23)
    assert not tally.accidents, "\n".join(tally.accidents)


async def test_a_cancel_with_a_key_close_behind_it_is_no_confirmation() -> None:
    """esc and `y` in one piece are Alt and `y` to a terminal: the dialog closes, and nothing was sent."""
    async with sitting(True) as sat:
        await sat.go(BY_NAME["pause"])
        await sat.prepare()
        sat.post("\x1by")
        await sat.settle()
        assert not sat.operator.carried
        await sat.rest()
        await sat.type("y")
        assert not sat.operator.carried


async def test_a_colleague_is_heard_under_a_frozen_display() -> None:
    """S4, S8: what changed is shown and holds keys back, though the screen below stands still."""
    async with sitting(True) as sat:
        await sat.type("f")
        assert sat.app.frozen is not None
        await sat.go(BY_NAME["abort"])
        await sat.prepare()
        sat.change()
        sat.post("y")
        await sat.settle()
        assert not sat.operator.carried
        assert "y came too early" in sat.text


async def test_the_dialog_that_arms_does_not_open_on_itself() -> None:
    """S6: else to cancel it would leave one below, where the name is typed and `y` alone is missing."""
    async with sitting(False) as sat:
        await sat.go(BY_NAME["arm"])
        await sat.prepare()
        await sat.type("W")
        await sat.rest()
        await sat.type("\x1b[27u")
        assert isinstance(sat.app.screen, FleetScreen)
        await sat.type("y")
        assert not sat.app.is_armed


ODD_KEYS = {
    "t": "quit",
    "a": "move.down",
    "q": "throttle.edit",
    "W": "nothing",
    "w": "arm",
    "1": "undo",
    "2": "arm",
    "3": "quit",
    "tab": "throttle.edit",
    "shift+tab": "nothing",
    "up": "quit",
    "down": "quit",
    "left": "stage.advance",
    "right": "stage.pause",
    "space": "stage.back_out",
    "enter": "nothing",
    "escape": "nothing",
    "?": "freeze",
    "y": "nothing",
    "j": "nothing",
    "ctrl+r": "redraw",
}


async def test_no_keymap_takes_a_dialog_its_own_keys() -> None:
    """S2: `y`, digits, tab, arrows, space, `?`, ctrl-r, Enter and esc mean the same on any keymap."""
    async with sitting(True, keymap=with_keys(ODD_KEYS, "keymap.toml")) as sat:
        place = BY_NAME["throttle looser"]
        await sat.go(place)
        dialog = sat.dialog
        assert dialog is not None
        assert "›T0 100%" in sat.text
        await sat.type("\x1b[D", "\x1b[D", "\x1b[C", "3")
        assert sat.dialog is dialog
        assert "›T1 70%" in sat.text
        assert "Reason     capacity is back" in sat.text
        await sat.type("\t", "\x1b[B", "\x1b[A", "\x1b[B", " ", "\x1b[C", " ", "\x1b[Z", "\r")
        assert dialog._focus == "field:tier"
        await sat.to(BUTTONS)
        await sat.type("?")
        assert "WHY y applies when all of this holds" in sat.text
        assert sat.app.frozen is None
        asked = len(sat.operator.rehearsed)
        await sat.type("?", "\x12")
        assert len(sat.operator.rehearsed) == asked + 1
        await sat.type("\x1b[27u")
        assert isinstance(sat.app.screen, FleetScreen)
        await sat.go(place)
        await sat.type("\r")
        assert isinstance(sat.app.screen, FleetScreen)
        await sat.go(place)
        assert sat.dialog is not None
        second = sat.dialog._offered[1]
        await sat.type("2", "y")
        assert [one.reason for one in sat.operator.carried[0]] == [second]


@pytest.mark.slow
async def test_no_keymap_lets_an_accident_write() -> None:
    """The search again, with operations on whatever keys they may be bound to."""
    odd = with_keys({**ODD_KEYS, "f1": "stage.advance", "delete": "arm", "3": "throttle.edit"}, "keymap.toml")
    tally = Tally()
    for armed in (True, False):
        async with sitting(armed, keymap=odd) as sat:
            for name in ("fleet", "own actions", "throttle tighter", "advance", "pause"):
                tally.add(await accidents(sat, BY_NAME[name], 3, 60))
    assert not tally.accidents, "\n".join(tally.accidents)


@pytest.mark.parametrize(
    ("binding", "words"),
    [
        ('"enter" = "stage.advance"', "key 'enter' may not be bound to 'stage.advance'"),
        ('"ctrl+y" = "throttle.edit"', "key 'ctrl+y' may not be bound to 'throttle.edit'"),
        ('"ctrl+m" = "arm"', "key 'ctrl+m' may not be bound to 'arm'"),
        ('"ctrl+j" = "undo"', "key 'ctrl+j' may not be bound to 'undo'"),
        ('"y" = "stage.back_out"', "key 'y' may not be bound: it means apply in a dialog, and nothing else"),
        ('"y" = "freeze"', "key 'y' may not be bound: it means apply in a dialog, and nothing else"),
        ('"alt+y" = "arm"', "key 'alt+y' is no key"),
        ('"yy" = "arm"', "key 'yy' is no key"),
    ],
)
def test_a_keymap_that_invites_accidents_is_refused_at_start(
    binding: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """S1, S2: in a sentence with the file, before anything is drawn."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    file = tmp_path / "tidegate" / "keymap.toml"
    file.parent.mkdir()
    file.write_text(f"[keys]\n{binding}\n", encoding="utf-8")
    assert main(["keys"]) == 2
    assert f"{file}: {words}" in capsys.readouterr().err


def test_the_defaults_leave_the_dialogs_keys_free() -> None:
    """`y` and the digits are bound to nothing, so that no hand is used to another meaning of them."""
    assert not {*"y0123456789"} & DEFAULT_KEYS.keys()
    held = {action for key, action in DEFAULT_KEYS.items() if key.startswith("ctrl+")}
    assert held == {"refresh", "redraw", "suspend", "quit.ask"}
