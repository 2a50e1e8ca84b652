"""A recording in the cockpit: what is drawn of it at every size, and what its keys do."""

import asyncio
import time
from dataclasses import replace

import pytest
from rich.cells import cell_len
from syrupy.assertion import SnapshotAssertion
from textual import events

from collectors.fleet import Node
from collectors.sessions import View
from tests.frames import AT
from tests.replay_cockpit import replaying, text
from tests.replay_parts import FakeReplay, recorded
from tests.screens.test_app import plain_environment, press, screen_text, until
from tui.dialogs.help import HelpScreen
from tui.replaying import NOTED_MOST
from tui.screens.alerts import AlertsScreen
from tui.screens.base import CockpitScreen
from tui.screens.differences import DifferencesScreen
from tui.screens.fleet import FleetScreen

__all__ = ["plain_environment"]

SIZES = [(80, 24), (120, 40), (200, 60)]
ODD_SIZES = [(1, 1), (2, 2), (20, 5), (79, 24), (40, 9), (300, 80), (500, 20), (81, 31)]


@pytest.mark.parametrize("glyphs", ["unicode", "ascii"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_the_fleet_in_a_replay(size: tuple[int, int], glyphs: str, snapshot: SnapshotAssertion) -> None:
    """The mock-up at each size; the other panels keep working; nothing sticks out."""
    async with replaying(FakeReplay(recorded(), at=200), size, glyphs=glyphs) as (app, _):
        lines = screen_text(app)
        assert len(lines) == size[1]
        assert max(map(cell_len, lines)) <= size[0]
        assert glyphs == "unicode" or all(line.isascii() for line in lines)
        assert "\n".join(lines) == snapshot


@pytest.mark.parametrize("opener", ["enter", "A", "?", "d"], ids=["model", "alerts", "help", "differences"])
async def test_every_screen_says_that_it_is_a_replay(opener: str) -> None:
    """Mode, file, state, time and that nothing can be written, at any size that has a row for it."""
    async with replaying(FakeReplay(recorded(), at=200)) as (app, pilot):
        press(app, "m")
        await until(pilot, lambda: app.replaying is not None and app.replaying.mark_frame is not None)
        press(app, opener)
        await pilot.pause()
        last = screen_text(app)[-1]
        for words in ("REPLAY", "paused", "14:01:31Z", "(-00:00:39 from end)", "ALL WRITES OFF"):
            assert words in last, last
        strip = app.screen._compositor.render_strips()[-1]
        styles = [segment.style for segment in strip if "REPLAY" in segment.text]
        assert all(style is not None and style.reverse for style in styles), styles
        for size in ODD_SIZES:
            await pilot.resize_terminal(*size)
            await pilot.pause()
            lines = screen_text(app)
            assert len(lines) == size[1]
            assert max(map(cell_len, lines)) <= size[0]
            if size[0] >= 42 and size[1] >= 5:
                assert "REPLAY" in lines[-1], lines[-1]
                assert "-00:00:39" in lines[-1], lines[-1]


@pytest.mark.parametrize("size", ODD_SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_any_size_shows_a_replay(size: tuple[int, int]) -> None:
    """T1: it never refuses; with a row to spare the mode is told."""
    async with replaying(FakeReplay(recorded(), at=200), size) as (app, _):
        lines = screen_text(app)
        assert len(lines) == size[1]
        assert max(map(cell_len, lines)) <= size[0]
        if size[0] >= 20 and size[1] >= 5:
            assert "REPLAY" in text(app)


async def test_keys_move_the_replay() -> None:
    """Each key asks the player for what the table of keys says."""
    async with replaying(FakeReplay(recorded(), at=100)) as (app, pilot):
        player = app.live.feed.source
        assert isinstance(player, FakeReplay)
        at = player.position.at
        expected: list[tuple[str, tuple[object, ...]]] = [
            ("space", ("play",)),
            ("space", ("pause",)),
            (".", ("move", 10.0)),
            (",", ("move", -10.0)),
            (">", ("next", "alert", 1)),
            ("<", ("next", "alert", -1)),
            ("e", ("next", "action", 1)),
            ("E", ("next", "action", -1)),
            ("+", ("speed", 1)),
            ("-", ("speed", -1)),
            ("{", ("loop", at, True)),
            ("}", ("loop", at, False)),
            ("i", ("idle",)),
            ("m", ("mark", at)),
            ("]", ("step", 1)),
            ("[", ("step", -1)),
        ]
        for key, asked in expected:
            press(app, key)
            await pilot.pause()
            assert player.asked[-1] == asked, key
        assert not any("step" in one for one in player.asked[:-2])


async def test_a_held_step_accelerates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Presses close to each other go ever further; a rest, or the other way, begins anew."""
    async with replaying(FakeReplay(recorded(), at=0)) as (app, _):
        player, now = app.live.feed.source, 100.0
        assert isinstance(player, FakeReplay)
        app.clock = lambda: now
        for _ in range(20):
            press(app, "]")
            now += 0.03
        steps = [one[1] for one in player.asked]
        assert steps[0] == 1
        assert steps[-1] == 4
        press(app, "[")
        assert player.asked[-1] == ("step", -1)
        now += 1
        press(app, "[")
        assert player.asked[-1] == ("step", -1)


async def test_frames_move_time_and_nothing_else_does() -> None:
    """The clock of a replay is the frame's; paused, no reading ages and nothing is late."""
    async with replaying(FakeReplay(recorded(), at=100)) as (app, pilot):
        assert app.latest is not None
        at = app.now
        assert at == app.latest.at
        app.shown.arrived_at -= 1000
        app._count_on()
        assert app.frame is app.latest
        assert app.now == at
        press(app, "]")
        await until(pilot, lambda: app.now == at + 1)


async def test_frames_that_take_long_to_draw_leave_keys_their_turn() -> None:
    """After each drawing it rests for as long as that took; what came meanwhile is drawn once, and last."""
    async with replaying(FakeReplay(recorded(), at=10)) as (app, pilot):
        await pilot.pause(0.5)
        drawn: list[float] = []

        def draw() -> None:
            drawn.append(app.now)
            time.sleep(0.2)

        app.draw_all = draw  # type: ignore[method-assign]  # a fleet that takes long to draw
        player = app.live.feed.source
        assert isinstance(player, FakeReplay)
        player.step(1)
        await until(pilot, lambda: len(drawn) == 1)
        for _ in range(5):
            player.step(1)
            await asyncio.sleep(0.01)
        assert len(drawn) == 1
        await until(pilot, lambda: len(drawn) >= 2)
        assert drawn == [player.all[11].at, player.all[16].at]


async def test_a_time_looks_the_same_wherever_it_was_come_to_from() -> None:
    """What is drawn of a frame hangs on no frame before it, near the edge between two shades neither."""
    frames = [
        replace(one, nodes=(Node("n1", "gpu", bytes([busy] * 8), " " * 8, ("delta-code",)),))
        for one, busy in zip(recorded(3), (50, 61, 90), strict=True)
    ]
    async with replaying(FakeReplay(frames, at=0)) as (app, pilot):
        player = app.live.feed.source
        assert isinstance(player, FakeReplay)
        looks = []
        for before in (0, 2):
            for place in (before, 1):
                player.seek(frames[place].at)
                await until(pilot, lambda at=frames[place].at: app.now == at)  # type: ignore[misc]  # the default binds the time
            await pilot.pause(0.2)
            looks.append([line for line in screen_text(app) if line.startswith("n1")])
        assert looks[0] == looks[1]
        assert "▓▓▓▓▓▓▓▓" in looks[0][0]


@pytest.mark.parametrize("opener", ["A", "enter", "?", "M", "d"])
async def test_a_screen_that_is_just_being_closed_draws_nothing(opener: str) -> None:
    """It has lost its panels by then, and neither a tick, an answer nor a frame may end the cockpit."""
    async with replaying(FakeReplay(recorded(40), at=20)) as (app, pilot):
        press(app, "m")
        player = app.live.feed.source
        assert isinstance(player, FakeReplay)
        await until(pilot, lambda: player.mark_frame is not None)
        press(app, opener)
        await until(pilot, lambda: len(app.screen_stack) > 1)
        closing = app.screen
        assert isinstance(closing, CockpitScreen)
        await until(pilot, lambda: closing.has_panels)
        await closing.remove_children()
        closing.say("an answer to a key")
        closing.draw_bottom()
        closing.draw_status()
        closing.draw()
        app.note_view()
        await pilot.pause(0.5)
        assert app.return_code is None


async def test_a_click_on_a_lane_goes_there() -> None:
    """Columns are times; the line of words is none."""
    async with replaying(FakeReplay(recorded(), at=10)) as (app, pilot):
        player = app.live.feed.source
        assert isinstance(player, FakeReplay)
        rows = screen_text(app)
        lane = next(n for n, line in enumerate(rows) if line.startswith(" alerts"))
        await pilot.click(offset=(rows[lane].index("■"), lane))
        await pilot.pause()
        assert player.asked[-1][0] == "seek"
        assert abs(float(str(player.asked[-1][1])) - (AT - 120)) < 3
        asked = len(player.asked)
        await pilot.click(offset=(40, lane - 2))
        await pilot.pause()
        assert len(player.asked) == asked


async def test_a_time_is_typed() -> None:
    """`@`: letters are text there; what is no time is told in the line, and it stays; then it goes there."""
    async with replaying(FakeReplay(recorded(), at=10)) as (app, pilot):
        player = app.live.feed.source
        assert isinstance(player, FakeReplay)
        await pilot.press("@", "q", "x")
        assert "go to: qx_" in text(app)
        await pilot.press("enter")
        assert "'qx' is no time" in text(app)
        assert app.return_code is None
        assert player.asked == []
        await pilot.press("backspace", "backspace", "1", "4", ":", "0", "0", "enter")
        await pilot.pause()
        assert player.asked == [("seek", AT - 131)]  # 14:00:00Z
        assert "go to" not in text(app)
        await pilot.press("@", "9", "escape")
        await pilot.pause()
        assert len(player.asked) == 1
        assert "go to" not in text(app)


async def test_a_second_is_asked_for_as_one() -> None:
    """A time that was read off a header is what was seen then; any other is gone to exactly."""
    player = FakeReplay(recorded(), at=10)
    seconds: list[float] = []
    player.seek_second = seconds.append  # type: ignore[attr-defined]  # a fake goes nowhere by it
    async with replaying(player) as (app, pilot):
        await pilot.press("@", *"14:00:30", "enter")
        await pilot.pause()
        assert (seconds, player.asked) == ([AT - 101], [])
        assert "go to" not in text(app)
        await pilot.press("@", *"13:00:30", "enter")
        await pilot.pause()
        assert (seconds, player.asked) == ([AT - 101], [("seek", AT - 240)])
        assert "is before this recording begins" in text(app)


async def test_a_pasted_time_is_text() -> None:
    """S5: a paste presses no key, and the line takes it."""
    async with replaying(FakeReplay(recorded(), at=10)) as (app, pilot):
        app.screen.post_message(events.Paste("qqq"))
        await pilot.pause()
        assert app.return_code is None
        await pilot.press("@")
        app.screen.post_message(events.Paste("14:00:30\x1b[31m"))
        await pilot.pause()
        assert "go to: 14:00:30[31m_" in text(app)


async def test_the_end_of_a_long_line_is_seen_and_what_is_wrong_with_it() -> None:
    """The next letter, and why it is no time, however long it is; a note has its bound."""
    async with replaying(FakeReplay(recorded(), at=10), (80, 24)) as (app, pilot):
        await pilot.press("@")
        app.screen.post_message(events.Paste("x" * 300 + "yz漢"))
        await pilot.pause()
        app.screen.post_message(events.Paste("more"))
        await pilot.press("enter")
        await pilot.pause()
        last = screen_text(app)[-1]
        assert "xxx…_" in last
        assert "too long for a time" in last
        await pilot.press("escape", "b")
        app.screen.post_message(events.Paste("n" * 5000))
        await pilot.press("enter")
        await pilot.pause()
        player = app.live.feed.source
        assert isinstance(player, FakeReplay)
        assert player.asked[-1] == ("bookmark", "n" * (NOTED_MOST - 1) + "…")


async def test_a_bookmark_is_of_the_time_that_was_seen() -> None:
    """It stands still while the note is typed, and plays on if it played."""
    async with replaying(FakeReplay(recorded(), at=10)) as (app, pilot):
        player = app.live.feed.source
        assert isinstance(player, FakeReplay)
        press(app, "space")
        await pilot.pause()
        await pilot.press("b", "o", "k", "enter")
        assert player.asked == [("play",), ("pause",), ("bookmark", "ok"), ("play",)]


async def test_what_is_different_from_the_mark() -> None:
    """`m` sets it, `d` lists; without one it says how to set it."""
    async with replaying(FakeReplay(recorded(), at=100)) as (app, pilot):
        press(app, "d")
        await pilot.pause()
        assert "no mark yet: m sets one" in text(app)
        press(app, "m")
        await pilot.pause()
        assert "mark set; d tells" in text(app)
        for _ in range(3):
            press(app, ".")
        await until(pilot, lambda: app.now == AT - 110)
        press(app, "d")
        await until(pilot, lambda: isinstance(app.screen, DifferencesScreen))
        shown = text(app)
        assert "DIFFERENCES from the mark, 13:59:51Z → 14:00:21Z: 4 differences" in shown
        assert "ALERTS" in shown
        assert "delta-code free" in shown
        press(app, "[")
        await until(pilot, lambda: "14:00:20Z" in text(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, FleetScreen))


async def test_keys_that_change_what_is_below_say_so() -> None:
    """V and T over the screen of the replay: nothing that is seen there changes."""
    async with replaying(FakeReplay(recorded(), at=100, view=View("fleet"))) as (app, pilot):
        press(app, "m")
        await until(pilot, lambda: app.replaying is not None and app.replaying.mark_frame is not None)
        press(app, "d")
        await until(pilot, lambda: isinstance(app.screen, DifferencesScreen) and app.screen.has_panels)
        press(app, "T")
        await until(pilot, lambda: "the lanes of the fleet screen are hidden" in text(app))
        press(app, "T")
        await until(pilot, lambda: "the lanes of the fleet screen are shown" in text(app))
        press(app, "V")
        await until(pilot, lambda: "free look: V follows again" in text(app))
        press(app, "V")
        await until(pilot, lambda: "as the operator saw it, below this: esc closes it" in text(app))


async def test_help_tells_the_keys_of_each_mode() -> None:
    """In a replay: what they do there, and what is off."""
    async with replaying(FakeReplay(recorded())) as (app, pilot):
        press(app, "?")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        lines = "\n".join(line.text for line in app.screen.query_one("#help").lines)  # type: ignore[attr-defined]
        for words in (
            "play or pause",
            "step a frame",
            "go to a time",
            "OFF: a replay cannot write",
            "t throttle",
            "LANES",
            "actions: a bookmark",
        ):
            assert words in lines, words
        assert lines.index("play or pause") < lines.index("KEYS of the fleet screen") < lines.index("filter")
        for words in ("back to live", "IN A DIALOG", "freeze the display"):
            assert words not in lines, words


async def test_what_the_player_tells_is_told() -> None:
    """Where there is no later alert, and what was skipped or damaged."""
    async with replaying(FakeReplay(recorded())) as (app, pilot):
        press(app, ">")
        await until(pilot, lambda: "There is no later alert in this recording." in text(app))
        press(app, "T")
        app.say("")
        await pilot.pause()
        press(app, ">")
        await until(pilot, lambda: "There is no later alert in this recording." in text(app))


async def test_whatever_is_told_is_drawn_with_the_glyphs_of_the_terminal() -> None:
    """An answer, what a replay tells, and what is typed: none has a glyph that an ASCII terminal may lack."""
    async with replaying(FakeReplay(recorded(), at=10), glyphs="ascii") as (app, pilot):
        player = app.live.feed.source
        assert isinstance(player, FakeReplay)
        player.stand(tellings=1, told="Action at 14:00:00Z: aurora-5: stage free@25 → free@50 · ≥ 1 …")
        await until(pilot, lambda: "stage free@25 -> free@50 . >= 1 .." in screen_text(app)[-1])
        app.say("1 → 2")
        await until(pilot, lambda: "1 -> 2" in screen_text(app)[-1])
        await pilot.press("b")
        app.screen.post_message(events.Paste("2 → 3"))
        await until(pilot, lambda: "bookmark: 2 -> 3_" in screen_text(app)[-1])


async def test_an_answer_goes_also_while_nothing_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay that stands still draws nothing by itself, and shows its keys again all the same."""
    monkeypatch.setattr("tui.screens.base.ANSWER_S", 0.6)
    async with replaying(FakeReplay(recorded())) as (app, pilot):
        press(app, "d")
        await until(pilot, lambda: "no mark yet" in text(app))
        await until(pilot, lambda: "no mark yet" not in text(app) and "space play" in text(app))


async def test_space_on_other_screens_plays() -> None:
    """Pages, alerts and differences are watched as well."""
    async with replaying(FakeReplay(recorded())) as (app, pilot):
        player = app.live.feed.source
        assert isinstance(player, FakeReplay)
        press(app, "A")
        await until(pilot, lambda: isinstance(app.screen, AlertsScreen))
        press(app, "space")
        await until(pilot, lambda: "▶ 1x" in screen_text(app)[-1])
        assert player.asked == [("play",)]
        assert isinstance(app.screen, CockpitScreen)


@pytest.mark.slow
async def test_every_key_answers_in_a_replay() -> None:
    """D16: each bound key does something or says why not, on each screen; none ends in an error."""
    async with replaying(FakeReplay(recorded(40), at=20), (80, 24)) as (app, pilot):
        for opener in ("", "A"):
            for action, key in {action: key for key, action in app.all_keys.items()}.items():
                if action in ("quit", "quit.ask"):
                    continue
                while len(app.screen_stack) > 1:
                    await app.pop_screen()
                if opener:
                    press(app, opener)
                    await pilot.pause()
                press(app, key)
                await pilot.pause()
                assert isinstance(app.screen, CockpitScreen)
                app.screen.takes_text("escape", None)
        assert app.return_code is None
