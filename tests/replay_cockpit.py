"""The cockpit on a replay: of a recording alone, and of a session that is live behind it."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textual.pilot import Pilot

from collectors.fleet import Frame
from tests.operated_frames import operated_frame
from tests.replay_parts import FakeRecorder, FakeReplay, recorded
from tests.screens.test_app import Scripted, press, screen_text, until
from tui.app import CockpitApp


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


@asynccontextmanager
async def opening() -> AsyncIterator[
    tuple[CockpitApp, Pilot[int], FakeReplay, FakeRecorder, threading.Event]
]:
    """A live session whose recording is just being opened: that goes on once the last of these is set."""
    may, recorder = threading.Event(), FakeRecorder()
    recorder.flush = lambda: may.wait(5)  # type: ignore[method-assign, assignment]
    async with live(recorder=recorder) as (app, pilot, _, player, _):
        press(app, "space")
        try:
            yield app, pilot, player, recorder, may
        finally:
            may.set()


async def to_replay(app: CockpitApp, pilot: Pilot[int]) -> None:
    """Open the replay of a live session, and wait until it is shown."""
    press(app, "space")
    await until(pilot, lambda: app.latest is not None and app.latest.mode == "REPLAY")
    await until(pilot, lambda: "REPLAY" in "\n".join(screen_text(app)))


def text(app: CockpitApp) -> str:
    """All that is on the screen."""
    return "\n".join(screen_text(app))
