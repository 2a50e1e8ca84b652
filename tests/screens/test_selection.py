"""Which row of the fleet is selected before, and after, somebody chooses one."""

from dataclasses import replace

import pytest

from tests.frames import demo_frame
from tests.screens.test_app import cockpit, plain_environment, still_clock, until
from tui.app import CockpitApp
from tui.screens import fleet
from tui.screens.fleet import FleetScreen

__all__ = ["plain_environment", "still_clock"]

WHOLE = demo_frame()
LATE = replace(WHOLE, models=WHOLE.models[2:4])
"""What is there when only one of several sources has answered."""


def selected(app: CockpitApp) -> str:
    assert isinstance(app.screen, FleetScreen)
    return app.screen.panel("fleet").cursor_id


async def test_the_first_row_is_selected_whoever_answers_first() -> None:
    """Rows that come above later do not push the selection down, until somebody moves it."""
    async with cockpit([LATE]) as (app, pilot, source):
        assert selected(app) == LATE.models[0].name
        source.send(WHOLE)
        await until(pilot, lambda: app.latest is WHOLE)
        assert selected(app) == WHOLE.models[0].name


@pytest.mark.parametrize(
    ("keys", "stays"),
    [(("j",), True), (("enter", "escape"), True), (("tab", "j"), False), (("f", "f"), False)],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
async def test_a_row_that_was_chosen_stays_selected(
    keys: tuple[str, ...], stays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D12: moved to, or opened, it is followed wherever it goes; a move among the alerts chooses no model."""
    monkeypatch.setattr(fleet, "STILL_S", 0.0)
    async with cockpit([LATE]) as (app, pilot, source):
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        await until(pilot, lambda: isinstance(app.screen, FleetScreen))
        chosen = selected(app)
        source.send(WHOLE)
        await until(pilot, lambda: app.latest is WHOLE)
        assert (selected(app) == chosen) is stays
