"""What the operator looked at, as it is recorded and as a replay follows it."""

from dataclasses import replace

import pytest

from collectors.sessions import View
from tests.replay_cockpit import live, replaying, text, to_replay
from tests.replay_parts import FakeReplay, recorded
from tests.screens.test_app import plain_environment, press, screen_text, until
from tui.dialogs.dialog import DialogScreen
from tui.screens.alerts import AlertsScreen
from tui.screens.fleet import FleetScreen
from tui.screens.model import ModelScreen

__all__ = ["plain_environment"]


SEEN = View("model", "delta-code", "free", dialog="Throttle · images · 2 models", width=100, height=30)


async def test_as_the_operator_saw_it() -> None:
    """Screen, subject, filter, sort, panel and cursor follow the recording; dialog and size are told."""
    player = FakeReplay(recorded(), SEEN)
    fleet = View("fleet", cursor="embed-2", panel="fleet", filter="e", sort="severity", width=120, height=40)
    player.views[5] = fleet
    player.views[9] = View("alerts", filter="team", width=120, height=40)
    player._stand()
    async with replaying(player) as (app, pilot):
        await until(pilot, lambda: isinstance(app.screen, ModelScreen))
        await until(
            pilot, lambda: "seen: dialog Throttle · images · 2 models, 100x30" in screen_text(app)[-1]
        )
        assert app.screen.view() == View("model", "delta-code", "free")  # type: ignore[attr-defined]
        player.step(5)
        await until(pilot, lambda: isinstance(app.screen, FleetScreen))
        await until(
            pilot, lambda: isinstance(app.screen, FleetScreen) and app.screen.view().cursor == "embed-2"
        )
        assert isinstance(app.screen, FleetScreen)
        assert replace(fleet, width=0, height=0) == app.screen.view()
        assert "as seen" in text(app)
        player.step(4)
        await until(pilot, lambda: isinstance(app.screen, AlertsScreen))
        assert "/team" in text(app)


async def test_what_is_typed_is_not_taken_away() -> None:
    """While a line is typed, the recorded view waits; then it is followed again."""
    player = FakeReplay(recorded(), SEEN)
    player.views[1] = View("fleet", sort="name", panel="fleet", width=120, height=40)
    player._stand()
    async with replaying(player) as (app, pilot):
        await until(pilot, lambda: isinstance(app.screen, ModelScreen))
        await pilot.press("b", "o")
        player.step(1)
        await until(pilot, lambda: app.now == player.all[1].at)
        assert "bookmark: o_" in text(app)
        await pilot.press("escape")
        player.step(1)
        await until(pilot, lambda: isinstance(app.screen, FleetScreen))


async def test_an_own_look_is_free_until_V() -> None:
    """Any key that moves ends the following and says so; V begins it again, where the recording is then."""
    player = FakeReplay(recorded(), SEEN)
    async with replaying(player) as (app, pilot):
        await until(pilot, lambda: isinstance(app.screen, ModelScreen))
        press(app, "escape")
        await until(pilot, lambda: isinstance(app.screen, FleetScreen))
        await until(pilot, lambda: "free look: V follows again" in text(app))
        player.step(1)
        await pilot.pause()
        assert isinstance(app.screen, FleetScreen)
        press(app, "V")
        await until(pilot, lambda: isinstance(app.screen, ModelScreen))
        assert "as the operator saw it" in text(app)


async def test_playing_and_seeking_are_no_own_look() -> None:
    """The keys of the player leave it as the operator saw it; so does reading the help."""
    async with replaying(FakeReplay(recorded(), SEEN)) as (app, pilot):
        for key in ("space", "]", ".", "+", "?"):
            press(app, key)
            await pilot.pause()
        press(app, "j")
        press(app, "escape")
        await until(pilot, lambda: isinstance(app.screen, ModelScreen))
        assert app.replaying is not None
        assert app.replaying.is_following


@pytest.mark.slow
async def test_views_are_recorded_as_they_change() -> None:
    """Screen, cursor, filter, a dialog's title and size; in a replay, that it is one; nothing typed."""
    async with live() as (app, pilot, _, _, recorder):
        press(app, "j")
        app.note_view()
        assert recorder.views[-1] == View(
            "fleet", cursor="aurora-5-mini", panel="fleet", sort="name", width=120, height=40
        )
        known = len(recorder.views)
        app.draw_all()
        assert len(recorder.views) == known
        press(app, "t")
        await until(pilot, lambda: isinstance(app.screen, DialogScreen))
        app.note_view()
        assert recorder.views[-1].screen == "fleet"
        assert recorder.views[-1].dialog.startswith("Throttle · ")
        press(app, "escape")
        await until(pilot, lambda: isinstance(app.screen, FleetScreen))
        await pilot.resize_terminal(100, 30)
        await until(pilot, lambda: recorder.views[-1].width == 100)
        await to_replay(app, pilot)
        app.note_view()
        assert recorder.views[-1] == View("replay", width=100, height=30)


async def test_an_own_look_is_told_only_where_there_is_another() -> None:
    """Of a recording without views there is nothing to follow again."""
    async with replaying(FakeReplay(recorded())) as (app, pilot):
        press(app, "j")
        await pilot.pause()
        assert "follows again" not in text(app)
