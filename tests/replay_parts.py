"""A recording that is a list of frames, with a player: what the cockpit's replay is tried on."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from collectors.fleet import Event, Frame
from collectors.recording.playing import speed_after
from collectors.sessions import (
    Gap,
    Mark,
    Position,
    RecorderState,
    Series,
    Target,
    Tick,
    Timeline,
    View,
)
from tests.frames import AT, demo_frame

FILE = "/var/lib/tidegate/incident-2026-11-21.tgrec"


@dataclass(frozen=True)
class Nothing:
    """A series of which nothing was recorded."""

    times: Sequence[float] = ()
    gaps: Sequence[Gap] = ()

    def values(self, model: str, tier: str, signal: str) -> Sequence[float] | None:
        return None

    def shares(self, model: str) -> dict[str, Sequence[float]]:
        return {}


def recorded(count: int = 240, start: float = AT - 240) -> list[Frame]:
    """Frames a second apart, as a replay shows them; the alerts come in the second half."""
    base = replace(demo_frame(start), mode="REPLAY", events=())
    early = replace(base, alerts=())
    return [
        replace(early if n < count / 2 else base, at=start + n, tick=n, models=base.models)
        for n in range(count)
    ]


def timeline(start: float = AT - 240, end: float = AT, parts: int = 120) -> Timeline:
    """Waits that rise, a gap, two alerts, two actions and a bookmark."""
    span = end - start
    return Timeline(
        start=start,
        end=end,
        worst=tuple(
            -1.0 if 30 <= n < 34 else 0.2 + 0.1 * math.sin(n) + (n / parts) ** 4 for n in range(parts)
        ),
        alerts=(
            Tick(start + 0.5 * span, "P1", "delta-code Free p99"),
            Tick(start + 0.53 * span, "P2", "aurora-5 Team p99"),
            Tick(start + 0.6 * span, "lost", "fable-voice"),
        ),
        actions=(
            Tick(start + 0.3 * span, "stage", "aurora-5"),
            Tick(start + 0.9 * span, "throttle", "images/free"),
        ),
        marks=(Tick(start + 0.95 * span, "mark", "here"),),
        gaps=(Gap(start + span / 4, start + span / 4 + 8, "the disk was full"),),
    )


class FakeReplay:
    """A `Replayed`: it moves when told, never by itself, and answers at once.

    asked: every call of a player, by name and arguments
    """

    def __init__(self, frames: Sequence[Frame], view: View | None = None, at: int = 0) -> None:
        self.all, self.views = list(frames), {0: view} if view is not None else {}
        self.series: Series | None = Nothing()
        self.event_history: tuple[Event, ...] = ()
        self.jumps = 0
        self.mark_frame: Frame | None = None
        self.timeline: Timeline | None = timeline(frames[0].at, frames[-1].at)
        self.asked: list[tuple[object, ...]] = []
        self.is_closed = False
        self.place = at
        self.loop_: asyncio.AbstractEventLoop | None = None
        self.news = asyncio.Event()
        self._position = Position(FILE, 0.0, 0.0, 0.0, 0, 0)
        self._stand()

    @property
    def operator(self) -> None:
        return None

    @property
    def position(self) -> Position:
        return self._position

    async def frames(self) -> AsyncIterator[Frame]:
        self.loop_ = asyncio.get_running_loop()
        while not self.is_closed:
            self.news.clear()
            yield self.all[self.place]
            await self.news.wait()

    async def aclose(self) -> None:
        self.is_closed = True

    def stand(self, **changes: object) -> None:
        """Any other position, as if it had come to that by itself."""
        self._position = replace(self._position, **changes)  # type: ignore[arg-type]
        if self.loop_ is not None:
            self.loop_.call_soon_threadsafe(self.news.set)

    def _stand(self, **changes: object) -> None:
        seen = [number for number in self.views if number <= self.place]
        self.stand(
            at=self.all[self.place].at,
            start=self.all[0].at,
            end=self.all[-1].at,
            frame=self.place + 1,
            frames=len(self.all),
            view=self.views[max(seen)] if seen else None,
            **changes,
        )

    def play(self) -> None:
        self.asked.append(("play",))
        self._stand(is_playing=True)

    def pause(self) -> None:
        self.asked.append(("pause",))
        self._stand(is_playing=False)

    def play_or_pause(self) -> None:
        if self.position.is_playing:
            self.pause()
        else:
            self.play()

    def change_speed(self, by: int) -> None:
        self.asked.append(("speed", by))
        self._stand(speed=speed_after(self.position.speed, by))

    def turn_skipping(self) -> None:
        self.asked.append(("idle",))
        self._stand(skips_idle=not self.position.skips_idle)

    def move(self, seconds: float) -> None:
        self.asked.append(("move", seconds))
        self._go(self.position.at + seconds)

    def step(self, frames: int) -> None:
        self.asked.append(("step", frames))
        self.place = min(max(self.place + frames, 0), len(self.all) - 1)
        self._stand(is_playing=False)

    def seek(self, at: float) -> None:
        self.asked.append(("seek", at))
        self._go(at)

    def seek_second(self, at: float) -> None:
        self.asked.append(("second", at))
        self._go(at)

    def _go(self, at: float) -> None:
        self.place = max((n for n, frame in enumerate(self.all) if frame.at <= at), default=0)
        self.jumps += 1
        self._stand()

    def seek_next(self, target: Target, direction: Literal[1, -1]) -> None:
        self.asked.append(("next", target, direction))
        told = f"There is no {'later' if direction > 0 else 'earlier'} {target} in this recording."
        self._stand(tellings=self.position.tellings + 1, told=told)

    def set_loop(self, at: float, *, is_start: bool) -> None:
        self.asked.append(("loop", at, is_start))

    def restore(self, left: Position) -> None:
        self.asked.append(("restore", left.mark, left.loop_from, left.loop_to))

    def set_mark(self, at: float | None) -> None:
        self.asked.append(("mark", at))
        self.mark_frame = self.all[self.place] if at is not None else None
        self._stand(mark=at)

    def bookmark(self, note: str) -> None:
        self.asked.append(("bookmark", note))


class FakeRecorder:
    """Remembers what it was told."""

    def __init__(self, state: RecorderState | None = None) -> None:
        self.state = state or RecorderState(FILE, True, AT - 4364, 4364.0, 38_000_000, 4364)
        self.views: list[View] = []
        self.marks: list[Mark] = []
        self.flushes = 0

    def view(self, view: View) -> None:
        self.views.append(view)

    def mark(self, mark: Mark) -> None:
        self.marks.append(mark)

    def flush(self) -> None:
        self.flushes += 1
