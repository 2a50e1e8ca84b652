"""The recording of the running session: the way from what is live into a replay of it, and back."""

from typing import TYPE_CHECKING, cast

from tui.replaying import BOOKMARK, NOTED_MOST, Replaying
from tui.stream import Stream

if TYPE_CHECKING:
    from collectors.fleet import Source
    from collectors.sessions import Player, Position
    from tui.app import CockpitApp
    from tui.screens.base import CockpitScreen

LAST_MINUTES_S = 300.0
"""So far back a replay of the running session begins."""


def open_replay(app: "CockpitApp") -> None:
    """Open the recording of the running session, a few minutes back, with the mark and the loop of the last
    replay. It is shown when its first frame is there, and until then all is live; from now on nothing can be
    written."""
    if app.opening is not None:
        app.say("opening the recording of this session")
        return
    if why := _why_not(app):
        app.say(why)
        return
    was_armed = app.arming.writes == "arm" and app.is_armed
    app.arming.disarm()
    stream = _stream(app, app.now - LAST_MINUTES_S, app.left)
    app.opening = Replaying(app, stream, has_live=True, has_disarmed=was_armed)
    stream.feed.start()
    app.say("opening the recording of this session")


def leave_replay(app: "CockpitApp") -> None:
    """Back to what is live, as it was left, with writes off; mark and loop of the replay are remembered."""
    from tui.app import LIVE, REPLAY

    if (opening := app.opening) is not None:
        app.opening = None
        app.close_stream(opening.stream)
        app.say(opening.with_arming("the recording is not opened: the screen stays live"))
        return
    replaying = app.replaying
    if replaying is None or not replaying.has_live:
        app.say("the screen is live" if replaying is None else "nothing here is live: q quits")
        return
    if (position := replaying.position) is not None and position.frames:
        app.left = position
    app.replaying = None
    replaying.end()
    app.shown = app.live
    app.switch_mode(LIVE)
    app.remove_mode(REPLAY)
    app.close_stream(replaying.stream)
    app.draw_all()
    if told := replaying.with_arming(""):
        app.say(told)


def ask_bookmark(app: "CockpitApp") -> None:
    """A bookmark in the recording of the running session, at this time."""
    recorder, frame, at = app.recorder, app.latest, app.now
    if recorder is None or frame is None:
        app.say("this session is not recorded: nothing to bookmark")
        return
    actor = frame.plane.actor if frame.plane is not None else ""

    def keep(text: str) -> str:
        from collectors.sessions import Mark, note_of

        note, cut = note_of(text)
        recorder.mark(Mark(at, actor, note))
        app.say(f"bookmarked; {cut}" if cut else "bookmarked")
        return ""

    cast("CockpitScreen", app.screen).ask(*BOOKMARK, keep, most=NOTED_MOST)


def _why_not(app: "CockpitApp") -> str:
    """Why the running session cannot be replayed, a sentence; "" where it can."""
    if app.recorder is None or app.replay is None:
        return "this session is not recorded: there is nothing to replay"
    state = app.recorder.state
    if not state.file:
        return f"nothing has been recorded yet{f': {state.trouble}' if state.trouble else ''}"
    return "" if app.latest is not None else "nothing to replay yet: waiting for the first frame"


def _stream(app: "CockpitApp", at: float, left: "Position | None") -> Stream:
    """The running recording as a source, at a recorded time, playing. left: where the last replay was"""
    recorder, opened = app.recorder, app.replay
    assert recorder is not None
    assert opened is not None
    file = recorder.state.file

    def connect() -> "Source":
        # On the thread of the replay's feed: a flush waits for the disk.
        recorder.flush()
        source = opened(file)
        player = cast("Player", source)
        player.seek(at)
        player.play()
        if left is not None:
            player.restore(left)
        return source

    return Stream(connect, app.post_message, is_replay=True, once=True)
