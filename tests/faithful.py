"""Whether a replay draws what was seen live: a demo is recorded while its screen is looked at, then replayed.

Every cell counts, its glyph and its style, but for the lines that tell the mode and the clock: the first row
(time, badge), the last two (hints, and the status or where the replay stands).
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from textual.pilot import Pilot

from collectors.demo import DemoOptions, DemoSource, start_simulator
from collectors.fleet import Source
from collectors.recording.replay import ReplaySource
from tui.app import CockpitApp
from tui.kept import Keeping, SessionRecorder
from tui.screens.base import CockpitScreen

SIZES = ((80, 24), (120, 40), (200, 60))
VIEWS = ((), ("enter",), ("A",))
"""Keys from the fleet to what is looked at: the fleet itself, the page of a model, the alerts."""

BACK = ("escape", "escape")
TOLD, BELOW = 1, 2
"""Rows above and below that tell the mode and the clock."""


@dataclass(frozen=True)
class Seen:
    """What a screen showed: the frame's time, and each row as pieces of text and style."""

    at: float
    size: tuple[int, int]
    keys: tuple[str, ...]
    rows: tuple[tuple[tuple[str, str], ...], ...]


@dataclass(frozen=True)
class Difference:
    """A row that a replay draws otherwise."""

    seen: Seen
    row: int
    live: str
    replayed: str

    def __str__(self) -> str:
        return (
            f"{self.seen.size} {self.seen.keys} at {self.seen.at:.2f}, row {self.row}:\n"
            f"  live     {self.live!r}\n  replayed {self.replayed!r}"
        )


def looked(app: CockpitApp, keys: tuple[str, ...]) -> Seen:
    """What it shows now."""
    frame = app.latest
    assert frame is not None
    rows = []
    for strip in app.screen._compositor.render_strips():
        pieces: list[tuple[str, str]] = []
        for segment in strip:
            style = str(segment.style) if segment.style else ""
            if pieces and pieces[-1][1] == style:
                pieces[-1] = (pieces[-1][0] + segment.text, style)
            else:
                pieces.append((segment.text, style))
        rows.append(tuple(pieces))
    return Seen(frame.at, app.size, keys, tuple(rows))


async def until(pilot: Pilot[int], holds: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, what
        await pilot.pause(0.01)


def press(app: CockpitApp, *keys: str) -> None:
    """Keys by their names in the keymap."""
    for key in keys:
        assert isinstance(app.screen, CockpitScreen)
        app.screen.press(key)


async def recorded(file: Path, options: DemoOptions, instants: int, every: tuple[float, float]) -> list[Seen]:
    """Record a demo in `file`, and look at it so often, `every` so many seconds at random, at all sizes."""
    rng = random.Random(options.seed)
    recorder = SessionRecorder(Keeping("demo", simulated=True, file=file))

    def connect() -> Source:
        return DemoSource(start_simulator(options), options)

    app = CockpitApp(recorder.around(connect), context="demo", recorder=recorder)
    found: list[Seen] = []
    async with app.run_test(size=SIZES[1]) as pilot:
        await until(pilot, lambda: app.latest is not None and bool(app.latest.models), "no frame came")
        for number in range(instants):
            await asyncio.sleep(rng.uniform(*every))
            size, keys = SIZES[number % 3], VIEWS[number // 3 % 3]
            await pilot.resize_terminal(*size)
            press(app, *BACK, *keys)
            await pilot.pause()
            before = app.latest
            await until(pilot, lambda before=before: app.latest is not before, "no newer frame")  # type: ignore[misc]
            await pilot.pause()
            found.append(looked(app, keys))
    return found


async def differences(file: Path, seen: Sequence[Seen]) -> list[Difference]:
    """Where a replay shows something else, of what was seen."""
    app = CockpitApp(lambda: ReplaySource.of(file), context="demo", is_replay=True)
    wrong: list[Difference] = []
    async with app.run_test(size=SIZES[1]) as pilot:
        replaying = app.replaying
        assert replaying is not None
        await until(pilot, lambda: app.latest is not None, "no frame came")
        replaying.shows_lanes = replaying.is_following = False
        for one in random.Random(1).sample(list(seen), len(seen)):
            await pilot.resize_terminal(*one.size)
            press(app, *BACK, *one.keys)
            await replayed_at(app, pilot, one.at)
            wrong += _compared(one, looked(app, one.keys))
    return wrong


async def replayed_at(app: CockpitApp, pilot: Pilot[int], at: float, frame_at: float | None = None) -> None:
    """Show a time, with all the sparks of the ten minutes before it.

    frame_at: of the frame that is shown then, where it is an earlier one
    """
    source = app.live.feed.source
    assert isinstance(source, ReplaySource)
    jumps, shown = source.jumps, at if frame_at is None else frame_at
    source.seek(at)

    def is_there() -> bool:
        # Sparks of the place before can still be on their way.
        if source.series is None or app.latest is None or source.jumps == jumps:
            return False
        is_filled = app.live._jumps == source.jumps and abs(source.series.times[-1] - shown) < 0.01
        return is_filled and abs(app.latest.at - at) < 0.01

    await until(pilot, is_there, f"never came to {at}")
    # The frame was drawn before its sparks were known, and a replay rests between two drawings.
    app.draw_all()
    await pilot.pause()


def _compared(live: Seen, replayed: Seen) -> list[Difference]:
    last = len(live.rows) - BELOW
    return [
        Difference(live, row, _plain(live.rows[row]), _plain(replayed.rows[row]))
        for row in range(TOLD, last)
        if live.rows[row] != replayed.rows[row]
    ]


def _plain(row: tuple[tuple[str, str], ...]) -> str:
    return "".join(text for text, _ in row).rstrip()
