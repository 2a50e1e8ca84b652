"""Replay of the running session: what is live stays behind it as it was, and nothing can be written."""

from dataclasses import replace

import pytest
from textual import events

from collectors.intents import Intent, Outcome, OutcomeKind, Target
from collectors.sessions import NOTE_MOST, RecorderState
from tests.frames import AT, healthy_frame
from tests.operated_frames import operated_frame
from tests.replay_cockpit import live, opening, text, to_replay
from tests.replay_parts import FILE, FakeRecorder, FakeReplay, recorded
from tests.screens.test_app import plain_environment, press, screen_text, until
from tui.dialogs.dialog import DialogScreen
from tui.dialogs.help import HelpScreen
from tui.link import NoOperator
from tui.messages import OutcomeArrived
from tui.screens.alerts import AlertsScreen
from tui.screens.fleet import FleetScreen
from tui.screens.model import ModelScreen
from tui.session_replay import LAST_MINUTES_S

__all__ = ["plain_environment"]

CUT = "bookmarked; its note was cut to 1,024 characters"
INTENT = Intent("throttle.set", Target("throttle", "images", "free"), {"level": 0.3}, {"level": 0.5}, "t-8")


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
        told = "writes were disarmed when the replay opened; W arms them"
        await until(pilot, lambda: told in text(app))
        assert "READ-ONLY" in text(app)
        app.replay = lambda file: FakeReplay(recorded())
        await to_replay(app, pilot)
        press(app, "L")
        await until(pilot, lambda: app.shown is app.live)
        assert told not in text(app)


async def test_arming_that_ended_is_told_also_where_no_replay_came() -> None:
    """It was left before its first frame, or could not be opened."""
    told = "writes were disarmed when the replay opened; W arms them"

    def refuse(file: str) -> FakeReplay:
        raise OSError(5, "Input/output error")

    async with live(replay=refuse) as (app, pilot, _, _, _):
        assert app.latest is not None
        app.arming.arm(app.latest)
        press(app, "space")
        await until(pilot, lambda: told in text(app) and "no replay: OSError" in text(app))
    async with opening() as (app, pilot, _, _, may):
        press(app, "L")
        await pilot.pause()
        assert told not in text(app)
        assert app.latest is not None
        app.arming.arm(app.latest)
        press(app, "space")
        press(app, "L")
        may.set()
        await until(pilot, lambda: told in text(app))


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


async def test_each_replay_begins_near_now_with_the_mark_and_the_loop_of_the_last() -> None:
    """However long ago the last one was left, and wherever."""
    async with live() as (app, pilot, _, player, _):
        await to_replay(app, pilot)
        press(app, ".")
        await until(pilot, lambda: app.now == AT - 230)
        player.stand(mark=AT - 200, loop_from=AT - 100, loop_to=AT - 50)
        press(app, "L")
        await until(pilot, lambda: player.is_closed)
        again = FakeReplay(recorded())
        app.replay = lambda file: again
        press(app, "space")
        await until(pilot, lambda: app.shown is not app.live)
        latest = app.live.latest
        assert latest is not None
        assert again.asked[0][0] == "seek"
        assert latest.at - LAST_MINUTES_S <= float(str(again.asked[0][1])) < latest.at - LAST_MINUTES_S + 5
        assert again.asked[1:] == [("play",), ("restore", AT - 200, AT - 100, AT - 50)]


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
        for key in ",.<>eE'\"M+-{}i@mdV":
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


@pytest.mark.parametrize(("length", "told"), [(NOTE_MOST, "bookmarked"), (3_000, CUT)])
async def test_a_long_note_is_kept_up_to_its_limit_and_a_cut_is_told(length: int, told: str) -> None:
    """No text is lost without a word."""
    async with live() as (app, pilot, _, _, recorder):
        await pilot.press("b")
        app.screen.post_message(events.Paste("n" * length))
        await pilot.press("enter")
        await until(pilot, lambda: told in [line.strip() for line in screen_text(app)])
        (mark,) = recorder.marks
        assert mark.note == ("n" * length if length <= NOTE_MOST else "n" * (NOTE_MOST - 1) + "…")


async def test_an_outcome_from_before_is_still_told() -> None:
    """S11: what was sent goes on; its end is told on the bottom line, whatever is shown."""
    async with live() as (app, pilot, _, _, _):
        await to_replay(app, pilot)
        outcome = Outcome(INTENT, OutcomeKind.APPLIED, AT, "admit 30%")
        app.post_message(OutcomeArrived(outcome))
        await until(pilot, lambda: "applied: admit 30%" in screen_text(app)[-1])


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
    async with opening() as (app, pilot, _, _, may):
        press(app, "A")
        await until(pilot, lambda: isinstance(app.screen, AlertsScreen))
        assert app.shown is app.live
        may.set()
        await until(pilot, lambda: app.shown is not app.live)
        assert isinstance(app.screen, AlertsScreen)


async def test_while_it_opens_all_is_live() -> None:
    """Until the first frame no word of a replay stands beside live numbers, and keys mean what they do live;
    but nothing can be written any more. What was said of the opening is not found again afterwards."""
    async with opening() as (app, pilot, player, _, may):
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
    async with opening() as (app, pilot, player, recorder, may):
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
    async with opening() as (app, pilot, _, _, may):
        assert app.opening is not None
        feed = app.opening.stream.feed
        press(app, "L")
        may.set()
        await feed.close()
        await pilot.pause()
        assert app.shown is app.live
        assert app.replaying is None
        assert app.opening is None
        assert "REPLAY" not in text(app)
