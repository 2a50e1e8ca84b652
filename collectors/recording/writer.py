"""The recorder of a session: takes frames and notes at once, and writes them on a thread of its own.

Trouble with a disk is told, and never holds up a frame, a key or an action. Source: docs/tgrec.md, "Writer".
"""

import math
import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from pathlib import Path
from typing import Any

from collectors.fleet import Event, EventKind, Frame
from collectors.recording.file import RemovedError
from collectors.recording.layout import Kind, RecordingError, Tag
from collectors.recording.notes import event_json, mark_json, view_json
from collectors.recording.redact import Redaction
from collectors.recording.ring import RingLimits, warning
from collectors.recording.signing import read_signer
from collectors.recording.stream import Stamp, Stream
from collectors.recording.succession import own_facts
from collectors.recording.trouble import trouble, trouble_at_end, trouble_behind
from collectors.sessions import Mark, RecorderState, View
from collectors.text import clean

QUEUE_FRAMES = 10
"""Frames that wait for the disk, at most: the oldest goes first."""

KEPT_S = 60.0
"""Seconds of frames that are kept in memory while nothing can be written."""

KEPT_FRAMES = 600
"""Most of these frames, where many come a second."""

NOTES_MOST = 100_000
"""Events, actions and bookmarks that are kept while nothing can be written: hours of them."""

SYNC_S, RETRY_S, CLOSE_S, FLUSH_S = 10.0, 1.0, 2.0, 1.0

TOLD_S = 10.0
"""How long trouble is told that is over, but has cost something."""

STILL_S = 15.0
"""Time without a frame from which on it is told as a gap: ticks come each second."""

PAST_AT_ONCE = 5_000
"""Values of the past in one record."""

_UNHURRIED = frozenset({Tag.SNAPSHOT, Tag.STATE, Tag.REASON, Tag.PAST, Tag.VIEW})
"""Events that are parts of frames, or many: they wait for the disk as frames do."""


class _Item:
    """One thing to write: a frame, or a note, or nothing but a wish to be told (`done`)."""

    __slots__ = ("body", "done", "frame", "is_held", "kind", "stamp", "tag")

    def __init__(
        self,
        stamp: Stamp,
        frame: Frame | None = None,
        kind: Kind = Kind.EVENT,
        tag: int = -1,
        body: Mapping[str, Any] | None = None,
        done: "Future[None] | None" = None,
    ) -> None:
        self.stamp, self.frame, self.kind, self.tag, self.body = stamp, frame, kind, tag, body
        self.done = done
        self.is_held = False

    @property
    def is_urgent(self) -> bool:
        """Whether it has to be on the disk before anything else happens."""
        return self.frame is None and not (self.kind is Kind.EVENT and self.tag in _UNHURRIED)


class RecordingWriter:
    """A `sessions.Recorder` into a ring of segments, or into one file. Its methods are for any thread.

    warning: what to tell about the place it records to, "" for nothing; known once the first frame came
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        file: Path | None = None,
        limits: RingLimits = RingLimits(),  # noqa: B008 - frozen
        facts: Mapping[str, Any],
        redaction: Redaction,
        simulated: bool = False,
        signing_key: Path | None = None,
        if_closed: bool = True,
    ) -> None:
        """Either `folder`, of a ring, or `file`. facts: for the file header: context, zone, poll_s, ...

        simulated: both clocks follow the frames' own; if_closed: whether a closed `file` is gone on with
        """
        if (folder is None) == (file is None):
            raise ValueError("a recording needs either a folder or a file")
        self._folder, self._single, self._limits = folder, file, limits
        self._facts, self._redaction, self._simulated = dict(facts), redaction, simulated
        self._signing_key, self._if_closed = signing_key, if_closed
        self.warning = ""
        self._changed = threading.Condition()
        self._queue: deque[_Item] = deque()
        self._frames: deque[_Item] = deque()
        self._stream: Stream | None = None
        self._thread = threading.Thread(target=self._run, name="tidegate-recorder", daemon=True)
        self._is_closing = self._has_ended = self._has_begun = False
        self._trouble = ""
        self._behind, self._told_until = "", 0.0
        self._since = self._until = 0.0
        self._dropped = self._untold = 0
        # What was kept in trouble is not let go while it is written at last.
        self._is_behind = False
        self._path: Path | None = None
        self._size = self._written = 0
        self._last_view: View | None = None
        # When the last frame came, and by which clocks.
        self._came_at, self._came_tick = 0.0, 0
        # Of the thread alone. What the next gap says; "" where there is none to tell.
        self._gap_why = ""
        self._is_dirty, self._synced = False, 0.0
        self._written_at: float | None = None
        self._waiting: list[Future[None]] = []

    def start(self) -> None:
        """Begin. One file is opened and locked now; a ring's with the first frame.

        raises: RecordingError if the file cannot be recorded into, or the signing key not be used
        """
        signer = read_signer(self._signing_key) if self._signing_key is not None else None
        stream = Stream(
            self._folder,
            self._single,
            self._limits,
            {**own_facts(), **self._facts},
            self._redaction,
            simulated=self._simulated,
            signer=signer,
            if_closed=self._if_closed,
        )
        stream.claim()
        self._stream, self._path = stream, stream.path
        self._thread.start()

    @property
    def path(self) -> Path | None:
        """The segment that is written, or was last; None before there is one."""
        return self._path

    @property
    def state(self) -> RecorderState:
        """How it stands now."""
        return RecorderState(
            file=str(self._path) if self._path is not None else "",
            is_on=self._stream is not None and not self._is_closing and not self._has_ended,
            since=self._since,
            seconds=max(0.0, self._until - self._since),
            size_bytes=self._size,
            frames=self._written,
            dropped=self._dropped,
            trouble=self._trouble or self._still_told(),
        )

    def _still_told(self) -> str:
        is_told = self._has_ended or time.monotonic() < self._told_until
        return self._behind if is_told else ""

    def put(self, frame: Frame) -> None:
        """Record a frame, with its events. Never waits: what the disk cannot take is dropped, and counted."""
        at = frame.at if math.isfinite(frame.at) else time.time()
        with self._changed:
            if self._is_closing or self._has_ended or self._stream is None:
                return
            stamp = self._stamped(at)
            if not self._has_begun:
                self._since, self._has_begun = at, True
                # What came before was stamped by our own clock: nobody knew the watched one.
                for item in self._queue:
                    item.stamp = stamp
            elif not self._simulated and stamp.tick - self._came_tick > STILL_S * 1e6:
                body = _gap(self._came_at, at, 0, "no frame came: the machine slept, or tidegate stood still")
                self._queue.append(_Item(stamp, None, Kind.EVENT, Tag.GAP, body))
            self._until, self._came_at, self._came_tick = at, at, stamp.tick
            self._queue.extend(self._happened(frame, stamp))
            item = _Item(stamp, frame)
            self._queue.append(item)
            self._frames.append(item)
            self._shed(stamp)
            self._changed.notify_all()

    def append(self, kind: Kind, tag: int, body: Mapping[str, Any]) -> "Future[None]":
        """Record a note; the future is done once it is on the disk, or it is known that it is not to be.

        Never waits. What comes before the first frame is written with it.
        """
        done: Future[None] = Future()
        clean_body = self._redaction.value(dict(body))
        with self._changed:
            if self._is_closing or self._has_ended or self._stream is None:
                done.set_result(None)
                return done
            item = _Item(self._now(), None, kind, int(tag), clean_body, done)
            self._queue.append(item)
            if self._trouble or not self._has_begun:
                done.set_result(None)  # it is kept; nobody waits for a disk that does not answer
                item.done = None
            self._shed(item.stamp)
            self._changed.notify_all()
        return done

    def note(self, kind: Kind, tag: int, body: Mapping[str, Any], *, wait_s: float = 0.0) -> None:
        """As `append`, and wait so long at most until it is on the disk."""
        done = self.append(kind, tag, body)
        if wait_s > 0:
            with suppress(TimeoutError):
                done.result(wait_s)

    def view(self, view: View) -> None:
        """The operator looks at something else."""
        if view != self._last_view:
            self._last_view = view
            self.append(Kind.EVENT, Tag.VIEW, view_json(view))

    def mark(self, mark: Mark) -> None:
        """A bookmark."""
        self.append(Kind.MARK, Tag.BOOKMARK, mark_json(mark))

    def flush(self) -> None:
        """All that came so far can be read in the file. Waits at most 1 s; not for the screen's thread."""
        done: Future[None] = Future()
        with self._changed:
            if self._has_ended or self._stream is None or self._trouble or not self._has_begun:
                return
            self._queue.append(_Item(self._now(), done=done))
            self._changed.notify_all()
        with suppress(TimeoutError):
            done.result(FLUSH_S)

    def close(self) -> None:
        """Write what is left, end the run and close the file. Waits at most 2 s. Safe to call twice."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(CLOSE_S)

    def _stamped(self, at: float) -> Stamp:
        """Both clocks, as a frame of that time comes."""
        wall = round(min(max(at, 0.0), _LATEST) * 1e6)
        return Stamp(wall, wall if self._simulated else _boot_us())

    def _now(self) -> Stamp:
        """Both clocks now: of the demo, those of its last frame."""
        if self._simulated or not self._has_begun:
            return self._stamped(self._came_at if self._has_begun else time.time())
        return self._stamped(self._came_at + (_boot_us() - self._came_tick) / 1e6)

    def _happened(self, frame: Frame, stamp: Stamp) -> list[_Item]:
        """The events of a frame, each a note of its own: they are kept where the frame is not."""
        made = []
        for event in frame.events:
            body = self._redaction.value(event_json(event))
            made.append(_Item(stamp, None, Kind.EVENT, tag_of(event), body))
        for start in range(0, len(frame.past), PAST_AT_ONCE):
            part = frame.past[start : start + PAST_AT_ONCE]
            made.append(_Item(stamp, None, Kind.EVENT, Tag.PAST, {"past": part}))
        return made

    def _shed(self, stamp: Stamp) -> None:
        """Let the oldest frames go where there are too many. Under the lock."""
        waiting = self._frames
        most = KEPT_FRAMES if self._is_behind else QUEUE_FRAMES
        while waiting:
            oldest = waiting[0]
            is_old = bool(self._trouble) and stamp.tick - oldest.stamp.tick > KEPT_S * 1e6
            if len(waiting) <= most and not is_old:
                break
            if oldest.is_held:
                # It is being written now: the next one goes.
                if len(waiting) <= most or len(waiting) < 2:
                    break
                oldest = waiting[1]
                del waiting[1]
            else:
                waiting.popleft()
            oldest.frame = None
            self._dropped += 1
            self._untold += 1
        if len(self._queue) > NOTES_MOST + KEPT_FRAMES:
            oldest = self._queue.popleft()
            if waiting and waiting[0] is oldest:
                waiting.popleft()
            if oldest.done is not None:
                _tell(oldest.done)

    def _run(self) -> None:
        stream = self._stream
        assert stream is not None
        try:
            self._work(stream)
        except Exception as error:  # a fault of ours is told on the screen; it must not end the cockpit
            said = clean(f"{type(error).__name__}: {error}", 200)
            self._trouble = (
                f"recording has stopped, by a fault of tidegate ({said}). What was recorded before is "
                "whole; ctrl-r begins again"
            )
        finally:
            stream.abandon()
            with self._changed:
                self._has_ended = True
                waiting = [item.done for item in self._queue if item.done is not None]
                self._queue.clear()
                self._frames.clear()
            for done in (*waiting, *self._waiting):
                _tell(done)

    def _work(self, stream: Stream) -> None:
        while True:
            item = self._next()
            if item is None:
                if self._is_closing:
                    break
                self._sync(stream)
                continue
            try:
                self._write(stream, item)
            except RemovedError as error:
                self._lose(error, stream)
                continue  # into another file: an intent that waits is still on the disk in time
            except (OSError, RecordingError) as error:
                self._meet(error, item)
                if self._is_closing:
                    break
                with self._changed:
                    self._changed.wait_for(lambda: self._is_closing, RETRY_S)
                continue
            self._done(stream, item)
        try:
            if self._has_begun:
                self._size = stream.close(self._now()) or self._size
        except (OSError, RecordingError) as error:
            self._written = stream.frames
            self._trouble = trouble_at_end(error, self._place())

    def _next(self) -> _Item | None:
        """The oldest item, held; None when there is none, and it is time to look at the disk or to end."""
        with self._changed:
            patience = None if not self._is_dirty else max(0.0, self._synced + SYNC_S - time.monotonic())
            self._changed.wait_for(lambda: self._is_closing or self._is_ready(), patience)
            while self._is_ready():
                item = self._queue[0]
                if item.frame is None and item.tag < 0 and item.done is None:
                    self._queue.popleft()  # a frame that was let go
                    continue
                item.is_held = True
                return item
            return None

    def _is_ready(self) -> bool:
        # What comes before the first frame has no time yet by the watched clock.
        return bool(self._queue) and self._has_begun

    def _write(self, stream: Stream, item: _Item) -> None:
        if item.frame is not None:
            self._write_frame(stream, item, item.frame)
        elif item.tag >= 0 and item.body is not None:
            body = item.body if item.tag != Tag.PAST else self._redaction.value(dict(item.body))
            stream.note(item.kind, item.tag, body, item.stamp)
            self._is_dirty = True
        self._written, self._size = stream.frames, stream.size
        if stream.path is not None and stream.path != self._path:
            self._path = stream.path
            self.warning = warning(stream.path.parent)

    def _write_frame(self, stream: Stream, item: _Item, frame: Frame) -> None:
        """The frame, behind what tells of those before it that are not in the file."""
        lost, gap = self._untold, None
        start = self._written_at if self._written_at is not None else frame.at
        if self._gap_why:
            # Where every frame was kept, nothing is missing, and nothing is drawn.
            gap = _gap(start if lost else frame.at, frame.at, lost, self._gap_why)
        elif lost:
            text = f"{lost} frames were dropped: the disk was too slow"
            body = {"frames": lost, "from": start, "to": frame.at, "text": text}
            stream.note(Kind.EVENT, Tag.DROPPED, body, item.stamp)
            self._told(lost)
        if stream.frame(frame, item.stamp, gap):
            self._written_at, self._is_dirty = frame.at, True
        if gap is not None:
            self._gap_why = ""
            self._told(lost)

    def _told(self, lost: int) -> None:
        with self._changed:
            self._untold -= lost

    def _done(self, stream: Stream, item: _Item) -> None:
        with self._changed:
            if self._queue and self._queue[0] is item:
                self._queue.popleft()
            if self._frames and self._frames[0] is item:
                self._frames.popleft()
            if item.frame is not None or not self._frames:
                self._trouble = ""
            self._is_behind = bool(self._trouble) or (self._is_behind and len(self._frames) > QUEUE_FRAMES)
            has_more = bool(self._queue)
        if item.tag < 0 and item.done is not None:
            _tell(item.done)
        elif item.is_urgent:
            self._synced = -math.inf
            if item.done is not None:
                self._waiting.append(item.done)
        # What is queued is synchronised together, and a file that never rests is all the same.
        is_due = time.monotonic() - self._synced >= SYNC_S
        if is_due and (not has_more or len(self._waiting) > QUEUE_FRAMES):
            self._sync(stream)

    def _sync(self, stream: Stream) -> None:
        """What was written is on the disk; after a failure nobody knows, and another segment begins."""
        self._synced = time.monotonic()
        if self._is_dirty:
            self._is_dirty = False
            try:
                stream.sync()
            except OSError:
                stream.fail_over()
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            _tell(done)

    def _lose(self, error: RemovedError, stream: Stream) -> None:
        """What was written is gone: say it, here and in the gap that the next frame tells."""
        self._gap_why, self._written_at = "its file was removed", error.since
        self._written, self._size = stream.frames, 0
        self._behind, self._told_until = trouble_behind(error), time.monotonic() + TOLD_S
        with self._changed:
            self._untold += error.frames

    def _meet(self, error: OSError | RecordingError, item: _Item) -> None:
        """Trouble: say it, keep what can be kept, hold nobody up."""
        self._gap_why = self._gap_why or "nothing could be written"
        with self._changed:
            item.is_held = False
            self._is_behind = True
            self._trouble = trouble(error, self._place())
            waiting = [one.done for one in self._queue if one.done is not None]
            for one in self._queue:
                one.done = None
            waiting += self._waiting
            self._waiting = []
        for done in waiting:
            _tell(done)

    def _place(self) -> Path:
        return self._path or self._single or self._folder or Path()


_LATEST = 32_503_680_000.0
"""The year 3000, in seconds: later no recording is from."""


def _boot_us() -> int:
    """µs of a clock that is never set and does not stop while the machine sleeps."""
    return time.clock_gettime_ns(_CLOCK) // 1000


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def tag_of(event: Event) -> Tag:
    """What kind of event it is, so that an index finds it without reading."""
    if event.kind is EventKind.ALERT:
        return Tag.ALERT_CLEARED if event.actor in {"cleared", "forgotten"} else Tag.ALERT
    if event.kind is EventKind.RELEASE:
        return Tag.STAGE
    if event.kind is EventKind.SOURCE and event.text.startswith("lost"):
        return Tag.POLL_FAILURE
    if event.kind is EventKind.SOURCE and event.text == "answers again":
        return Tag.RECOVERY
    return Tag.HAPPENED


def _gap(start: float, end: float, frames: int, why: str) -> dict[str, Any]:
    return {"from": start, "to": end, "frames": frames, "why": why, "text": f"not recorded: {why}"}


def _tell(done: "Future[None]") -> None:
    # Who waited for it may have gone on meanwhile.
    with suppress(InvalidStateError):
        done.set_result(None)
