"""A recording as a source of frames: it plays, stands still, steps and jumps, and can write to nothing."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Literal

from collectors.daemon import in_daemon
from collectors.fleet import Event, Frame
from collectors.recording.layout import RecordingError
from collectors.recording.places import Recorded
from collectors.recording.playing import Standing
from collectors.recording.showing import COUNT_S, Memory, Showing
from collectors.sessions import Position, Series, Target, Timeline
from collectors.text import clean

FRAME_S = 0.1
"""Least real seconds between two frames while it plays."""

TIMELINE_PARTS = 240
"""Parts of a timeline: no terminal shows more."""

TIMELINE_S, TIMELINE_SHARE = 3.0, 20.0
"""Least real seconds between two looks at the whole of a file that grows, and how many times as long as the
last one took: a long recording is not read all the time."""


class ReplaySource:
    """Plays a recording: a `fleet.Source` and a `sessions.Player`. Commands may come from any thread.

    open: opens the recording; called on a thread of its own, and once more for the timeline
    at: recorded time to begin at; None: its start, or the end of one that is followed
    follow: the file is still written: at its end, wait for more
    playing: begin to play at once

    series: readings of the ten minutes before, as numbers; event_history: the up to 500 events before;
    jumps: how often both were renewed: after every jump, and while it plays faster than sparks can follow.
        All three are set before the frame that they belong to is yielded; that one has no events of its own
    timeline: of the whole recording, once it is known
    """

    def __init__(
        self,
        open: Callable[[], Recorded],
        at: float | None = None,
        *,
        follow: bool = False,
        playing: bool = False,
    ) -> None:
        self.series: Series | None = None
        self.event_history: tuple[Event, ...] = ()
        self.jumps = 0
        self.timeline: Timeline | None = None
        self._open, self._at, self._follow, self._plays = open, at, follow, playing
        self._showing: Showing | None = None
        self._asked: deque[Callable[[Showing], None]] = deque()
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._is_closed = False
        self._renewed = self._looked = self._look_cost_s = 0.0
        self._looking: asyncio.Task[None] | None = None
        self._noted: list[str] = []

    @classmethod
    def of(
        cls, path: Path, at: float | None = None, *, follow: bool = False, playing: bool = False
    ) -> "ReplaySource":
        """Of a file, or of the newest recording in a folder."""

        def opened() -> Recorded:
            from collectors.recording.reader import Recording

            return Recording.open(path)

        return cls(opened, at, follow=follow, playing=playing)

    @property
    def operator(self) -> None:
        """None: nothing can be written from a replay, for there is nothing to write with (S14)."""
        return None

    @property
    def position(self) -> Position:
        """Where it stands: another object each time that it changes."""
        if self._showing is None:
            at = self._at or 0.0
            return Position("", at, at, at, 0, 0, self._plays)
        return self._showing.position

    @property
    def mark_frame(self) -> Frame | None:
        """What was shown at the mark, to measure differences from."""
        return None if self._showing is None else self._showing.mark_frame

    async def frames(self) -> AsyncIterator[Frame]:
        """A frame at once, then one whenever what is shown changes; until closed.

        Frame.at is the time shown. Events that were passed on the way are in the frame they lead to. A frame
        that is shown again has neither events nor past.
        raises: RecordingError, OSError if the recording cannot be opened, or holds nothing
        """
        self._loop = asyncio.get_running_loop()
        await self._begin()
        while not self._is_closed and (showing := self._showing) is not None:
            self._news.clear()
            turned = time.monotonic()
            frame, due_s = await in_daemon(self._turn, showing)
            if frame is not None:
                yield frame
            if self._is_memory_wanted(showing) and (renewed := await self._renew(showing)) is not None:
                yield renewed
            self._look_at_the_whole(showing)
            now = time.monotonic()
            waits = [] if due_s is None else [turned + max(due_s, FRAME_S) - now]
            if showing.has_grown and not self._is_looking:
                waits.append(self._look_due - now)
            await self._rest(min(waits, default=None))

    async def aclose(self) -> None:
        """Stop, and close the recording once nothing reads it any more."""
        if self._is_closed:
            return
        self._is_closed = True
        self._news.set()
        if self._looking is not None:
            self._looking.cancel()
        await in_daemon(self._close)

    def play(self) -> None:
        """Go on from here; at the end, stay."""
        self._post(Showing.play)

    def pause(self) -> None:
        """Stand still."""
        self._post(lambda showing: showing.set(is_playing=False))

    def play_or_pause(self) -> None:
        """Go on where it stands still, else stand still."""
        self._post(Showing.play_or_pause)

    def change_speed(self, by: int) -> None:
        """So many of SPEEDS up, or down; the last one stays, and that is told."""
        self._post(lambda showing: showing.change_speed(by))

    def turn_skipping(self) -> None:
        """Skip stretches in which nothing is new, or do so no more."""
        self._post(Showing.turn_skipping)

    def step(self, frames: int) -> None:
        """So many frames on, or back; then stand still."""
        self._post(lambda showing: showing.step(frames))

    def seek(self, at: float) -> None:
        """To a recorded time, the nearest there is."""
        self._post(lambda showing: showing.seek(at))

    def seek_second(self, at: float) -> None:
        """To what was shown in the second from `at` on; where no frame is in it, as `seek`."""
        self._post(lambda showing: showing.seek_second(at))

    def move(self, seconds: float) -> None:
        """So many recorded seconds on, or back, from where it stands by then."""
        self._post(lambda showing: showing.move(seconds))

    def seek_next(self, target: Target, direction: Literal[1, -1]) -> None:
        """To the next alert, action or bookmark that way; where there is none, it is told."""
        self._post(lambda showing: showing.seek_next(target, direction))

    def set_loop(self, at: float, *, is_start: bool) -> None:
        """Begin, or end, of a stretch that is played again and again; again at the same place: no loop."""
        self._post(lambda showing: showing.set_loop(at, is_start=is_start))

    def restore(self, left: Position) -> None:
        """The mark and the loop of a replay of the same session that was left."""
        self._post(lambda showing: showing.restore(left.mark, left.loop_from, left.loop_to))

    def set_mark(self, at: float | None) -> None:
        """Where differences are measured from."""
        self._post(lambda showing: showing.set_mark(at))

    def bookmark(self, note: str) -> None:
        """Mark the time that is shown."""
        self._post(lambda showing: showing.bookmark(note))

    def tell(self, sentence: str) -> None:
        """Have this told with the next frame."""
        self._post(lambda showing: showing.tell(sentence))

    def _post(self, command: Callable[[Showing], None]) -> None:
        """The next turn carries it out; one that comes before a frame was shown counts instead of it."""
        self._asked.append(command)
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._news.set)
            except RuntimeError:
                pass  # the loop was closed in between: nobody watches any more

    async def _begin(self) -> None:
        while self._showing is None and not self._is_closed:
            self._showing = await in_daemon(self._opened)
            if self._showing is None:
                await self._rest(COUNT_S)

    def _opened(self) -> Showing | None:
        """None for a file that is followed, and holds nothing yet."""
        recording = self._open()
        with self._lock:
            if not self._is_closed and recording.frames:
                # By its number: where the clock was set back, neither is the earliest or the latest time.
                number = recording.frames - 1 if self._follow else 0
                now = Standing(number, is_playing=self._plays, follows=self._follow)
                return Showing(recording, now, self._at, self._asked)
        path = recording.path
        recording.close()
        if not self._follow:
            raise RecordingError(f"{path} holds no frame: there is nothing to replay.")
        return None

    def _close(self) -> None:
        with self._lock:
            if self._showing is not None:
                self._showing.recording.close()

    def _turn(self, showing: Showing) -> tuple[Frame | None, float | None]:
        with self._lock:
            if self._is_closed:
                return None, None
            return showing.turn(), showing.due_s()

    def _is_memory_wanted(self, showing: Showing) -> bool:
        if self._asked or self._is_closed or not showing.is_series_due:
            return False
        is_at_once = showing.is_series_asked or not showing.now.is_playing
        return is_at_once or time.monotonic() - self._renewed >= COUNT_S

    async def _renew(self, showing: Showing) -> Frame | None:
        """The frame once more, with what was before it; None where something newer was asked for by now."""

        def remembered() -> Memory | None:
            with self._lock:
                return None if self._is_closed else showing.remember()

        found = await in_daemon(remembered)
        if found is None or showing.last is None:
            return None
        if self._asked:
            showing.is_series_due = True
            return None
        self.series, self.event_history, past = found
        self.jumps += 1
        self._renewed = time.monotonic()
        return replace(showing.last, events=(), past=past)

    def _look_at_the_whole(self, showing: Showing) -> None:
        """Have the timeline made beside: it reads all of the recording, which nothing is to wait for."""
        has_grown = showing.has_grown and time.monotonic() >= self._look_due
        if self._is_closed or self._is_looking or not (showing.is_timeline_due or has_grown):
            return
        showing.is_timeline_due = showing.has_grown = False
        self._looked = time.monotonic()
        self._looking = asyncio.create_task(self._look())

    @property
    def _is_looking(self) -> bool:
        return self._looking is not None and not self._looking.done()

    @property
    def _look_due(self) -> float:
        """When a file that has grown may be looked at again, by the clock that never goes back."""
        return self._looked + max(TIMELINE_S, TIMELINE_SHARE * self._look_cost_s)

    async def _look(self) -> None:
        def looked() -> tuple[Timeline, tuple[str, ...]]:
            began = time.monotonic()
            recording = self._open()
            try:
                return recording.timeline(TIMELINE_PARTS), recording.notices
            finally:
                recording.close()
                self._look_cost_s = time.monotonic() - began

        try:
            self.timeline, notices = await in_daemon(looked)
        except (RecordingError, OSError) as error:
            self.tell(clean(f"There is no timeline: {error}", 300))
        else:
            self._post(Showing.show_again)
            self._note(notices)

    def _note(self, notices: Sequence[str]) -> None:
        """Tell, once, what is not as it should be in the file, but that its last record was cut off."""
        found = [one for one in notices if not one.startswith("tail of ")]
        if found and found != self._noted:
            more = f" ({len(found) - 1} more: see `tidegate recording info`)" if len(found) > 1 else ""
            self.tell(clean(f"{found[0][:1].upper()}{found[0][1:]}{more}", 300))
        self._noted = found

    async def _rest(self, wait_s: float | None) -> None:
        """Until a command comes, or so many seconds."""
        if self._asked or self._is_closed:
            return
        try:
            async with asyncio.timeout(wait_s):
                await self._news.wait()
        except TimeoutError:
            pass  # that is what was waited for
