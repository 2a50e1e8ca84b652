"""What the screens say of writes, of throttles that end, and of what is selected; features as pages."""

from dataclasses import replace

import pytest
from rich.cells import cell_len

from collectors.fleet import Event, EventKind, Frame
from tests.frames import AT
from tests.operated_frames import OPERATOR, operated_frame, worst_operated_frame
from tests.screens.test_app import cockpit, plain_environment, press, screen_text, still_clock, until
from tui.app import CockpitApp
from tui.screens.alerts import AlertsScreen
from tui.screens.base import CockpitScreen, Selection
from tui.screens.fleet import FleetScreen
from tui.screens.model import FeatureScreen, ModelScreen
from tui.widgets.fleet_table import FEATURE

__all__ = ["plain_environment", "still_clock"]

SIZES = [(40, 12), (80, 24), (120, 40), (200, 60), (300, 80)]


def selected(app: CockpitApp) -> Selection:
    assert isinstance(app.screen, CockpitScreen)
    return app.screen.selected()


def go_to(app: CockpitApp, id: str) -> None:
    assert isinstance(app.screen, FleetScreen)
    assert app.screen.panel("fleet").go_to(id)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_every_screen_says_production_and_whether_writes_are_on(size: tuple[int, int]) -> None:
    """D15, S6: as words on the first line of each screen, at each size."""
    async with cockpit([operated_frame()], size) as (app, pilot, _):
        for keys in ("", "enter", "A"):
            while not isinstance(app.screen, FleetScreen):
                await app.pop_screen()
            if keys:
                press(app, keys)
                await pilot.pause()
            first = screen_text(app)[0]
            assert "┃PROD/" in first, first
            assert "[READ-ONLY]" in first or "[RO]" in first, first


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_a_throttle_that_ends_is_announced_on_fleet_and_pages(size: tuple[int, int]) -> None:
    """S12: five minutes before, wherever the operator looks; when nothing ends, no row is lost to it."""
    frame = operated_frame()
    async with cockpit([frame], size) as (app, pilot, source):
        for _ in range(2):
            assert any("longctx/team" in line and "1m40s" in line for line in screen_text(app)[:3])
            press(app, "enter")
            await pilot.pause()
        quiet = replace(frame, at=AT + 1, throttles=frame.throttles[:1])
        source.send(quiet)
        await until(pilot, lambda: app.latest is quiet)
        assert all("ends in" not in line for line in screen_text(app)[:3])


async def test_the_own_last_action_stays_in_sight() -> None:
    """At 80x24, where events have no room: with its undo while its throttle is in force, else 30 min.

    Where the events show it, it has no row of its own; where newer events push it away, it has.
    """
    frame = operated_frame()
    noise = tuple(Event(AT - n, EventKind.ALERT, "bob", f"m{n}", "alert began") for n in range(9))

    async def own(size: tuple[int, int], shown: Frame) -> list[str]:
        async with cockpit([shown], size) as (app, _, _):
            assert isinstance(app.screen, FleetScreen)
            rows = [line for line in screen_text(app) if "images/free" in line]
            assert len(rows) <= 1
            panel = app.screen.panel("own")
            return [line.text for line in panel.lines] if panel.display else []

    (line,) = await own((80, 24), frame)
    assert line.startswith(" 13:")
    assert line.endswith("u undo 25m48s")
    assert await own((120, 40), frame) == []
    assert len(await own((120, 40), replace(frame, events=(*frame.events, *noise)))) == 1
    assert await own((60, 20), frame) == []
    others = replace(frame, plane=replace(OPERATOR, actor="carol"))
    assert await own((80, 24), others) == []
    opened = replace(frame, throttles=())
    (line,) = await own((80, 24), opened)
    assert "undo" not in line
    old = tuple(replace(e, at=e.at - 1800) for e in frame.events)
    assert await own((80, 24), replace(opened, events=old)) == []


async def test_the_keys_that_matter_are_hinted_at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pause and undo among them; the key that arms says what it does now."""
    async with cockpit([operated_frame()], (80, 24)) as (app, pilot, _):
        for keys in ("", "enter", "A"):
            while not isinstance(app.screen, FleetScreen):
                await app.pop_screen()
            if keys:
                press(app, keys)
                await pilot.pause()
            hints = screen_text(app)[-2]
            for hint in ("t throttle", "a advance", "p pause", "u undo", "W arm", "? help"):
                assert hint in hints, hints
            with monkeypatch.context() as patched:
                patched.setattr(CockpitApp, "is_armed", property(lambda self: True))
                app.screen.draw_bottom()
                await pilot.pause()
                assert "W disarm" in screen_text(app)[-2]


async def test_a_dialog_opens_for_what_the_cursor_stands_on() -> None:
    """Ids of the model, feature, tier and release: on a row, on a page, in the alerts."""
    async with cockpit([operated_frame()]) as (app, pilot, _):
        assert selected(app) == Selection("aurora-5", release="aurora-5-rollout")
        go_to(app, FEATURE + "deep-research")
        assert selected(app) == Selection(feature="deep-research", release="deep-research-rollout")
        press(app, "enter")
        await until(pilot, lambda: isinstance(app.screen, FeatureScreen))
        assert selected(app) == Selection(feature="deep-research", release="deep-research-rollout")
        press(app, "escape")
        await until(pilot, lambda: isinstance(app.screen, FleetScreen))
        assert selected(app).feature == "deep-research"
        press(app, "tab")
        assert selected(app) == Selection("delta-code", tier="free", release="delta-code-rollout")
        press(app, "tab")
        assert selected(app) == Selection()
        press(app, "A")
        await until(pilot, lambda: isinstance(app.screen, AlertsScreen))
        assert selected(app) == Selection("delta-code", tier="free", release="delta-code-rollout")
        press(app, "enter")
        await until(pilot, lambda: isinstance(app.screen, ModelScreen))
        assert selected(app) == Selection("delta-code", tier="free", release="delta-code-rollout")


async def test_a_feature_that_is_gone_says_so() -> None:
    """Its page stays, and tells what to do."""
    frame = operated_frame()
    async with cockpit([frame]) as (app, pilot, source):
        go_to(app, FEATURE + "deep-research")
        press(app, "enter")
        await until(pilot, lambda: isinstance(app.screen, FeatureScreen))
        assert "deep-research" in screen_text(app)[0]
        gone = replace(frame, releases=(), features=(), throttles=())
        source.send(gone)
        await until(pilot, lambda: app.latest is gone)
        assert "not in the fleet any more" in screen_text(app)[0]
        assert selected(app) == Selection(feature="deep-research")


async def test_no_row_moves_under_a_dialog() -> None:
    """S7, D12: a fleet sorted by severity keeps its rows while it is drawn below a dialog, and only then."""
    frame = operated_frame()
    worse = replace(frame.alerts[0], model="embed-2", id="new")
    moved = replace(frame, at=AT + 1, alerts=(worse,))
    async with cockpit([frame]) as (app, _, _):
        assert isinstance(app.screen, FleetScreen)
        press(app, "s")
        fleet = app.screen.panel("fleet")
        before = [line.id for line in fleet.lines]
        app.screen._key_at, app.latest = -1e9, moved
        assert app.screen.draw_below()
        assert [line.id for line in fleet.lines] == before
        app.screen._key_at = -1e9
        app.screen.draw()
        assert [line.id for line in fleet.lines] != before


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("glyphs", ["unicode", "ascii"])
async def test_the_worst_that_can_be_operated_fits(size: tuple[int, int], glyphs: str) -> None:
    """T4: eight tiers, hostile names in every cell, on the fleet, a model's page and a feature's."""
    async with cockpit([worst_operated_frame()], size, glyphs=glyphs) as (app, pilot, _):
        for keys in ("", "enter", "G"):
            if keys:
                press(app, keys)
                await pilot.pause()
            lines = screen_text(app)
            assert len(lines) == size[1]
            assert max(map(cell_len, lines)) <= size[0]
            assert ("┃PROD/" if glyphs == "unicode" else "|PROD/") in lines[0]


async def test_beside_a_very_wide_fleet_stands_the_page_of_the_feature_under_the_cursor() -> None:
    """As of a model: what throttles it is seen without opening it; its badges are the fleet's."""
    async with cockpit([operated_frame()], (300, 80)) as (app, pilot, _):
        go_to(app, FEATURE + "images")
        await pilot.pause()
        beside = [line[200:] for line in screen_text(app)]
        assert "images" in beside[0]
        assert "READ-ONLY" not in beside[0]
        assert any("images/team" in line and "97%" in line for line in beside)
