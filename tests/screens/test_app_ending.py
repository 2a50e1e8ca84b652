"""Keys that come in one batch, and errors of our own: neither breaks more than it must."""

import re

import pytest
from textual.events import Key

from tests.frames import demo_frame
from tests.screens.test_app import cockpit
from tui.screens.fleet import FleetScreen


@pytest.mark.parametrize(
    "keys",
    [("question_mark", "q", "q"), ("enter", "escape", "escape", "escape"), ("enter", "enter", "escape", "j")],
    ids=" ".join,
)
async def test_keys_in_one_batch_reach_one_screen(keys: tuple[str, ...]) -> None:
    """Keys that were on their way when a screen came or went are dropped: none pops or pushes it twice."""
    async with cockpit([demo_frame()]) as (app, pilot, _):
        for _ in range(3):
            for key in keys:
                app.screen.post_message(
                    Key(key, "?" if key == "question_mark" else key if len(key) == 1 else None)
                )
            await pilot.pause(0.1)
            for _ in range(2):
                screen = app.screen
                screen.post_message(Key("escape", None))
                screen.post_message(Key("escape", None))
                await pilot.pause(0.1)
            assert isinstance(app.screen, FleetScreen)
            assert len(app.screen_stack) == 1
        assert app.return_code is None


def fail_with_a_secret() -> None:
    """Something of ours that goes wrong with a secret at hand."""
    secret = "hunter2"
    raise ZeroDivisionError(secret)


async def test_an_error_of_our_own_ends_it_with_status_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence with the error's type and place, no text of it and no locals."""
    with pytest.raises(ZeroDivisionError):
        async with cockpit([demo_frame()], (200, 40)) as (app, pilot, _):
            monkeypatch.setattr(app, "_freeze", fail_with_a_secret)
            await pilot.press("f")
            await pilot.pause()
    assert app.return_code == 1
    said = " ".join(capsys.readouterr().err.split())
    assert re.search(
        r"error of its own: ZeroDivisionError in tui\.screens\.base:\d+; please report it$", said
    )
    assert "hunter2" not in said
