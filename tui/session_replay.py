"""The recording of the running session: the way from what is live into a replay of it, and back."""

from typing import TYPE_CHECKING, cast

from tui.replaying import BOOKMARK, Replaying
from tui.stream import Stream

if TYPE_CHECKING:
    from collectors.fleet import Source
    from collectors.sessions import Player
    from tui.app import CockpitApp
    from tui.screens.base import CockpitScreen

LAST_MINUTES_S = 300.0
"""So far back a replay of the running session begins."""


def open_replay(app: "CockpitApp") -> None:
    """Open the recording of the running session, a few minutes back or where it was left. It is shown when
    its first frame is there, and until then all is live; from now on nothing can be written."""
    if app.opening is not None:
        app.say("opening the recording of this session")
        return
    if why := _why_not(app):
        app.say(why)
        return
    app.arming.disarm()
    stream = _stream(app, app.left_at if app.left_at is not None else app.now - LAST_MINUTES_S)
    app.opening = Replaying(app, stream, has_live=True)
    stream.feed.start()
    app.say("opening the recording of this session")


def leave_replay(app: "CockpitApp") -> None:
    """Back to what is live, as it was left; the time of the replay is remembered."""
    from tui.app import LIVE, REPLAY

    if (opening := app.opening) is not None:
        app.opening = None
        app.close_stream(opening.stream)
        app.say("the recording is not opened: the screen stays live")
        return
    replaying = app.replaying
    if replaying is None or not replaying.has_live:
        app.say("the screen is live" if replaying is None else "nothing here is live: q quits")
        return
    if (position := replaying.position) is not None and position.frames:
        app.left_at = position.at
    app.replaying = None
    replaying.end()
    app.shown = app.live
    app.switch_mode(LIVE)
    app.remove_mode(REPLAY)
    app.close_stream(replaying.stream)
    app.draw_all()


def ask_bookmark(app: "CockpitApp") -> None:
    """A bookmark in the recording of the running session, at this time."""
    recorder, frame, at = app.recorder, app.latest, app.now
    if recorder is None or frame is None:
        app.say("this session is not recorded: nothing to bookmark")
        return
    actor = frame.plane.actor if frame.plane is not None else ""

    def keep(text: str) -> str:
        from collectors.sessions import Mark
        from collectors.text import clean

        recorder.mark(Mark(at, actor, clean(text.strip())))
        app.say("bookmarked")
        return ""

    cast("CockpitScreen", app.screen).ask(*BOOKMARK, keep)


def _why_not(app: "CockpitApp") -> str:
    """Why the running session cannot be replayed, a sentence; "" where it can."""
    if app.recorder is None or app.replay is None:
        return "this session is not recorded: there is nothing to replay"
    state = app.recorder.state
    if not state.file:
        return f"nothing has been recorded yet{f': {state.trouble}' if state.trouble else ''}"
    return "" if app.latest is not None else "nothing to replay yet: waiting for the first frame"


def _stream(app: "CockpitApp", at: float) -> Stream:
    """The running recording as a source, at a recorded time, playing."""
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
        return source

    return Stream(connect, app.post_message, is_replay=True, once=True)
