"""Replay in the cockpit: of a file, and of the running session; what is live stays as it was behind it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from rich.cells import cell_len
from syrupy.assertion import SnapshotAssertion
from textual import events
from textual.pilot import Pilot

from collectors.fleet import Frame
from collectors.intents import Intent, Outcome, OutcomeKind, Target
from collectors.sessions import RecorderState, View
from tests.frames import AT, healthy_frame
from tests.operated_frames import operated_frame
from tests.replay_parts import FILE, FakeRecorder, FakeReplay, recorded
from tests.screens.test_app import Scripted, plain_environment, press, screen_text, until
from tui.app import CockpitApp
from tui.dialogs.dialog import DialogScreen
from tui.dialogs.help import HelpScreen
from tui.link import NoOperator
from tui.messages import OutcomeArrived
from tui.replaying import LAST_MINUTES_S
from tui.screens.alerts import AlertsScreen
from tui.screens.base import CockpitScreen
from tui.screens.differences import DifferencesScreen
from tui.screens.fleet import FleetScreen
from tui.screens.model import ModelScreen

__all__ = ["plain_environment"]

SIZES = [(80, 24), (120, 40), (200, 60)]
INTENT = Intent("throttle.set", Target("throttle", "images", "free"), {"level": 0.3}, {"level": 0.5}, "t-8")
ODD_SIZES = [(1, 1), (2, 2), (20, 5), (79, 24), (40, 9), (300, 80), (500, 20), (81, 31)]


@asynccontextmanager
async def replaying(
    player: FakeReplay, size: tuple[int, int] = (120, 40), **options: object
) -> AsyncIterator[tuple[CockpitApp, Pilot[int]]]:
    """`tidegate replay FILE`: nothing but the recording."""
    app = CockpitApp(lambda: player, context="incident", is_replay=True, **options)  # type: ignore[arg-type]
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.latest is not None)
        yield app, pilot


@asynccontextmanager
async def live(
    frame: Frame | None = None, size: tuple[int, int] = (120, 40), **options: object
) -> AsyncIterator[tuple[CockpitApp, Pilot[int], Scripted, FakeReplay, FakeRecorder]]:
    """A live session that is recorded."""
    frame = frame or operated_frame()
    source, player, recorder = Scripted([frame]), FakeReplay(recorded()), FakeRecorder()
    given: dict[str, object] = {"recorder": recorder, "replay": lambda file: player, **options}
    app = CockpitApp(lambda: source, context="us-east", **given)  # type: ignore[arg-type]
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.latest is frame)
        yield app, pilot, source, player, recorder


async def to_replay(app: CockpitApp, pilot: Pilot[int]) -> None:
    press(app, "space")
    await until(pilot, lambda: app.latest is not None and app.latest.mode == "REPLAY")
    await until(pilot, lambda: "REPLAY" in "\n".join(screen_text(app)))


def text(app: CockpitApp) -> str:
    return "\n".join(screen_text(app))


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
        assert player.asked[-1] == ("bookmark", "n" * 199 + "…")


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


async def test_nothing_can_be_written_and_each_key_says_so() -> None:
    """S14, D16: no dialog opens, nothing is armed, and the way to a plane is shut."""
    async with live(operated_frame(), writes="on") as (app, pilot, _, _, _):
        assert app.is_armed
        await to_replay(app, pilot)
        assert not app.is_armed
        for key in "tapBuW":
            press(app, key)
            await pilot.pause()
            assert "a replay cannot write" in screen_text(app)[-1], key
            assert not any(isinstance(screen, DialogScreen) for screen in app.screen_stack)
        assert "[ALL WRITES OFF]" in screen_text(app)[0]
        with pytest.raises(NoOperator, match="a replay cannot write"):
            await app.link.rehearse([INTENT])
        press(app, "f")
        await pilot.pause()
        assert app.frozen is None
        assert "space pauses" in screen_text(app)[-1]


async def test_arming_ends_when_a_replay_begins() -> None:
    """S6: also for the time in which it is only being opened, and it does not come back."""
    async with live() as (app, pilot, _, _, _):
        assert app.latest is not None
        app.arming.arm(app.latest)
        assert app.is_armed
        press(app, "space")
        assert app.arming.left_s == 0
        press(app, "t")
        assert not isinstance(app.screen, DialogScreen)
        await until(pilot, lambda: app.latest is not None and app.latest.mode == "REPLAY")
        press(app, "L")
        await until(pilot, lambda: app.shown is app.live)
        assert app.arming.left_s == 0


async def test_space_opens_the_last_minutes_and_L_goes_back() -> None:
    """The recording is flushed before it is opened, and played from a few minutes ago."""
    async with live() as (app, pilot, _, player, recorder):
        latest = app.latest
        assert latest is not None
        press(app, "space")
        await until(pilot, lambda: app.shown is not app.live)
        assert recorder.flushes == 1
        assert player.asked[0][0] == "seek"
        assert latest.at - LAST_MINUTES_S <= float(str(player.asked[0][1])) < latest.at - LAST_MINUTES_S + 5
        assert player.asked[1] == ("play",)
        await until(pilot, lambda: "from now)" in text(app))
        press(app, "L")
        await until(pilot, lambda: "REPLAY" not in text(app))
        assert app.latest is latest
        await until(pilot, lambda: player.is_closed)
        press(app, "L")
        await pilot.pause()
        assert "the screen is live" in text(app)


async def test_live_is_found_as_it_was_left() -> None:
    """Screen, filter, sort, order and cursor: what is done in the replay stays there."""
    async with live() as (app, pilot, _, _, _):
        await pilot.press("slash", "e", "enter", "s", "S", "j", "j")
        home = app.screen
        assert isinstance(home, FleetScreen)
        before = home.view()
        press(app, "enter")
        await until(pilot, lambda: isinstance(app.screen, ModelScreen))
        page = app.screen
        await to_replay(app, pilot)
        assert isinstance(app.screen, ModelScreen)
        assert app.screen is not page
        assert app.screen.view() == page.view()
        press(app, "escape")
        await until(pilot, lambda: isinstance(app.screen, FleetScreen))
        assert app.screen is not home
        press(app, "s")
        press(app, "k")
        press(app, "A")
        await until(pilot, lambda: isinstance(app.screen, AlertsScreen))
        press(app, "L")
        await until(pilot, lambda: app.shown is app.live)
        assert app.screen is page
        press(app, "escape")
        await until(pilot, lambda: app.screen is home)
        assert home.view() == before


async def test_esc_at_the_fleet_goes_back_to_live() -> None:
    """First the filter, then the panel, then the replay."""
    async with live() as (app, pilot, _, _, _):
        await to_replay(app, pilot)
        press(app, "tab")
        await pilot.pause()
        press(app, "escape")
        assert app.shown is not app.live
        press(app, "escape")
        await until(pilot, lambda: app.shown is app.live)


async def test_where_the_replay_was_left_is_remembered() -> None:
    """The next `space` goes on from there."""
    async with live() as (app, pilot, _, player, _):
        await to_replay(app, pilot)
        press(app, ".")
        await until(pilot, lambda: app.now == AT - 230)
        press(app, "L")
        await until(pilot, lambda: player.is_closed)
        again = FakeReplay(recorded())
        app.replay = lambda file: again
        press(app, "space")
        await until(pilot, lambda: app.shown is not app.live)
        assert again.asked[0] == ("seek", AT - 230)


async def test_live_and_recorded_never_mix() -> None:
    """The live feed goes on behind, into its own memory; frame, history, trends and time are all of one."""
    async with live() as (app, pilot, source, _, _):
        history, trends = app.history, app.trends
        await to_replay(app, pilot)
        shown, was = app.latest, app.history
        assert was is not history
        assert app.trends is not trends
        later = replace(healthy_frame(AT + 40), context="us-east")
        source.send(later)
        await until(pilot, lambda: app.live.latest is later)
        await pilot.pause()
        assert app.latest is shown
        assert app.now == shown.at if shown else False
        assert "delta-code" in text(app)
        assert "REPLAY" in text(app)
        press(app, "L")
        await until(pilot, lambda: app.latest is later)
        assert app.history is history
        assert app.trends is trends
        assert "delta-code" not in text(app)


async def test_a_recording_that_cannot_be_opened_leaves_the_screen_live() -> None:
    """Its sentence is told, once; nothing is tried again behind the operator's back."""
    tries: list[str] = []

    def refuse(file: str) -> FakeReplay:
        tries.append(file)
        raise OSError(5, "Input/output error \x1b[31m")

    async with live(replay=refuse) as (app, pilot, _, _, _):
        press(app, "space")
        await until(pilot, lambda: "no replay: OSError" in text(app))
        assert "\x1b" not in text(app)
        assert app.replaying is None
        assert app.shown is app.live
        assert tries == [FILE]
        press(app, "t")
        await pilot.pause()
        assert "a replay cannot write" not in text(app)


async def test_nothing_recorded_is_nothing_to_replay() -> None:
    """Each with its reason."""
    async with live(recorder=None) as (app, pilot, _, _, _):
        for key in ("space", "b"):
            press(app, key)
            await pilot.pause()
            assert "this session is not recorded" in text(app)
    state = RecorderState(trouble="the disk is full")
    async with live(recorder=FakeRecorder(state)) as (app, pilot, _, _, _):
        press(app, "space")
        await pilot.pause()
        assert "nothing has been recorded yet: the disk is full" in text(app)


async def test_keys_of_a_replay_say_where_they_work() -> None:
    """D16: live, each tells how to open one; the pair that steps turns pages there."""
    async with live() as (app, pilot, _, _, _):
        for key in ",.<>eE+-{}i@mdV":
            press(app, key)
            await pilot.pause()
            assert "in a replay; space opens one" in screen_text(app)[-2], key
        before = text(app)
        press(app, "]")
        await pilot.pause()
        assert text(app) != before
        press(app, "?")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        press(app, "G")
        await pilot.pause()
        assert "IN A REPLAY" in "\n".join(line.text for line in app.screen.query_one("#help").lines)  # type: ignore[attr-defined]


async def test_a_bookmark_in_a_live_session() -> None:
    """At the time the key was pressed, by whoever the plane knows."""
    async with live() as (app, pilot, _, _, recorder):
        assert app.latest is not None
        at = app.latest.at
        await pilot.press("b", "x", "enter")
        (mark,) = recorder.marks
        assert at <= mark.at < at + 5
        assert (mark.actor, mark.note) == (app.latest.plane.actor, "x") if app.latest.plane else False


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
        ):
            assert words in lines, words
        for words in ("back to live", "IN A DIALOG", "freeze the display"):
            assert words not in lines, words


async def test_an_outcome_from_before_is_still_told() -> None:
    """S11: what was sent goes on; its end is told on the bottom line, whatever is shown."""
    async with live() as (app, pilot, _, _, _):
        await to_replay(app, pilot)
        outcome = Outcome(INTENT, OutcomeKind.APPLIED, AT, "admit 30%")
        app.post_message(OutcomeArrived(outcome))
        await until(pilot, lambda: "applied: admit 30%" in screen_text(app)[-1])


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


async def test_the_recording_is_told_while_live() -> None:
    """`rec ● 01:12:44 38 MB`; while nothing is written, amber with its sentence; without one, nothing."""
    async with live() as (app, _, _, _, _):
        assert "rec ● 01:12:44 38 MB" in screen_text(app)[-1]
    full = RecorderState(FILE, trouble="the disk is full: free some space, it goes on by itself")
    async with live(recorder=FakeRecorder(full)) as (app, _, _, _, _):
        assert "rec ✖ OFF" in screen_text(app)[-1]
        assert "not recorded: the disk is full" in text(app)
        assert isinstance(app.screen, FleetScreen)
        roles = {cell.role for line in app.screen.panel("notes").lines for cell in line.cells}
        assert "unrecorded" in roles
    async with live(recorder=None) as (app, _, _, _, _):
        assert "rec" not in screen_text(app)[-1].split()


async def test_a_flush_that_takes_its_time_holds_no_key() -> None:
    """The disk is waited for on another thread: keys are answered meanwhile."""
    import threading

    may = threading.Event()
    recorder = FakeRecorder()
    recorder.flush = lambda: may.wait(5)  # type: ignore[method-assign, assignment, return-value]
    async with live(recorder=recorder) as (app, pilot, _, _, _):
        press(app, "space")
        press(app, "A")
        await until(pilot, lambda: isinstance(app.screen, AlertsScreen))
        assert app.shown is app.live
        may.set()
        await until(pilot, lambda: app.shown is not app.live)
        assert isinstance(app.screen, AlertsScreen)


async def test_while_it_opens_all_is_live() -> None:
    """Until the first frame no word of a replay stands beside live numbers, and keys mean what they do live;
    but nothing can be written any more. What was said of the opening is not found again afterwards."""
    import threading

    may = threading.Event()
    recorder = FakeRecorder()
    recorder.flush = lambda: may.wait(5)  # type: ignore[method-assign, assignment, return-value]
    async with live(recorder=recorder) as (app, pilot, _, player, _):
        press(app, "space")
        app.draw_all()
        await pilot.pause()
        assert "REPLAY" not in text(app)
        assert "rec ●" in screen_text(app)[-1]
        press(app, "m")
        await pilot.pause()
        assert "in a replay" in screen_text(app)[-2]
        press(app, "t")
        await pilot.pause()
        assert "a replay cannot write" in screen_text(app)[-2]
        press(app, "space")
        await pilot.pause()
        assert "opening the recording" in screen_text(app)[-2]
        may.set()
        await until(pilot, lambda: app.shown is not app.live)
        assert player.asked[1:] == [("play",)]
        press(app, "L")
        await until(pilot, lambda: "REPLAY" not in text(app))
        assert "opening the recording" not in text(app)


async def test_a_line_that_is_typed_is_finished_before_a_replay_is_shown() -> None:
    """Its letters would be keys there: `q` in a note must not quit."""
    import threading

    may = threading.Event()
    recorder = FakeRecorder()
    recorder.flush = lambda: may.wait(5)  # type: ignore[method-assign, assignment, return-value]
    async with live(recorder=recorder) as (app, pilot, _, player, _):
        press(app, "space")
        await pilot.press("b", "s", "e")
        may.set()
        await until(pilot, lambda: app.opening is not None and app.opening.stream.latest is not None)
        await pilot.press("q")
        assert app.shown is app.live
        await pilot.press("enter")
        assert [mark.note for mark in recorder.marks] == ["seq"]
        player.step(1)
        await until(pilot, lambda: app.shown is not app.live)


async def test_leaving_while_it_opens_stays_live() -> None:
    """L before the first frame: what comes later is not shown."""
    import threading

    may = threading.Event()
    recorder = FakeRecorder()
    recorder.flush = lambda: may.wait(5)  # type: ignore[method-assign, assignment, return-value]
    async with live(recorder=recorder) as (app, pilot, _, _, _):
        press(app, "space")
        press(app, "L")
        may.set()
        await asyncio.sleep(0.1)
        await pilot.pause()
        assert app.shown is app.live
        assert app.replaying is None
        assert app.opening is None
        assert "REPLAY" not in text(app)


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


async def test_an_answer_goes_also_while_nothing_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay that stands still draws nothing by itself, and shows its keys again all the same."""
    monkeypatch.setattr("tui.screens.base.ANSWER_S", 0.6)
    async with replaying(FakeReplay(recorded())) as (app, pilot):
        press(app, "d")
        await until(pilot, lambda: "no mark yet" in text(app))
        await until(pilot, lambda: "no mark yet" not in text(app) and "space play" in text(app))


async def test_an_own_look_is_told_only_where_there_is_another() -> None:
    """Of a recording without views there is nothing to follow again."""
    async with replaying(FakeReplay(recorded())) as (app, pilot):
        press(app, "j")
        await pilot.pause()
        assert "follows again" not in text(app)


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
