"""Frames and notes as records, one after another, in segments that follow each other.

Everything here is of one thread and may wait for a disk; every call that writes raises OSError, RemovedError
where somebody removed the file, and RecordingError where none can be begun; the same call may be repeated
after each. What was written before stays whole. Source: docs/tgrec.md.
"""

import json
import math
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from collectors.fleet import Frame
from collectors.recording.codec import Base, Numbers, Payload, compressed, packed_frame
from collectors.recording.file import RemovedError, SegmentFile
from collectors.recording.layout import BACKFILLED, ZSTD, Kind, Tag
from collectors.recording.redact import Redaction
from collectors.recording.ring import RingLimits
from collectors.recording.schema import Schema, to_json
from collectors.recording.shape import Shaped, Shaper
from collectors.recording.signing import Signer
from collectors.recording.succession import TICKS_MOST_US, Succession, whole_fact
from collectors.recording.table import TIME_MOST

KEY_EVERY, SUBKEY_EVERY = 60, 10
STEP_US = 500_000
"""Difference of the deltas of both clocks from which on it is told as a step; going back by less is none."""

_PIECE = 4096
"""Numbers that are copied at a time."""

COMPRESSED_FROM = 256
"""Bytes of JSON from which on it is compressed."""


class Stamp(NamedTuple):
    """When something came. wall: µs since the epoch, watched clock; tick: µs of a clock that is never set"""

    wall: int
    tick: int


class Stream:
    """What is written of one session.

    path: of the segment being written; None before the first frame and after the end
    frames: written so far, without those that were removed with their file
    """

    def __init__(
        self,
        folder: Path | None,
        file: Path | None,
        limits: RingLimits,
        facts: Mapping[str, Any],
        redaction: Redaction,
        *,
        simulated: bool = False,
        signer: Signer | None = None,
        if_closed: bool = True,
    ) -> None:
        """Either `folder`, for a ring, or `file`. simulated: both clocks follow the frames' own

        if_closed: as of `Succession`
        """
        self._files = Succession(folder, file, limits, facts, redaction, simulated, if_closed=if_closed)
        self._has_limits, self._limits = folder is not None, limits
        self._redaction, self._signer = redaction, signer
        self._flags = BACKFILLED if facts.get("source") == "backfill" else 0
        self.frames = 0
        self._file: SegmentFile | None = None
        # When the file was opened, in µs of the watched clock, and how many frames had been written by then.
        self._opened_at, self._frames_before = 0, 0
        self._due: deque[tuple[Kind, int, dict[str, Any]]] = deque()
        self._view: dict[str, Any] | None = None
        self._mono, self._tick, self._began, self._t0_wall = 0, 0, 0, 0
        self._offset: int | None = None
        self._last_wall = -1
        self._shaper: Shaper | None = None
        self._taken: tuple[Frame, Shaped] | None = None
        self._restate()

    def _restate(self) -> None:
        """Whatever a reader has to know is told before the next frame: nothing of it is in the file."""
        # Its number, and its record's payload: it is told again behind each INDEX.
        self._schema: tuple[int, bytes] | None = None
        self._needs_snapshot = self._needs_key = True
        self._needs_schema = False
        self._count = 0
        self._key = self._last = _NO_NUMBERS

    @property
    def path(self) -> Path | None:
        """The segment that is written."""
        return self._file.path if self._file is not None else self._files.claimed

    @property
    def size(self) -> int:
        """Its bytes."""
        return self._file.end if self._file is not None else 0

    def claim(self) -> None:
        """As `Succession.claim`."""
        self._files.claim()

    def frame(self, frame: Frame, stamp: Stamp, gap: Mapping[str, Any] | None = None) -> bool:
        """Write a frame, unless nothing in it is new. True if it was written. raises: OSError

        gap: body of a GAP that stands before it: both are written, or neither. A disk that has room for the
        one alone would be told of the gap again and again.
        """
        self._ready(stamp, is_frame=True)
        if gap is None:
            return self._put(frame, stamp)
        assert self._file is not None
        try:
            with self._file.together():
                self._write_note(Kind.EVENT, Tag.GAP, gap, stamp)
                self._needs_key = True
                return self._put(frame, stamp)
        except OSError:
            self._restate()
            raise

    def _put(self, frame: Frame, stamp: Stamp) -> bool:
        shaper = self._shaper
        assert shaper is not None
        if self._taken is None or self._taken[0] is not frame:
            if self._schema is not None and not shaper.is_new(frame):
                return False
            self._taken = frame, shaper.take(frame)
        try:
            self._write_frame(*self._taken, stamp)
        except OSError:
            self._needs_key = True
            raise
        self._taken = None
        self._last_wall = stamp.wall
        self.frames += 1
        return True

    def note(self, kind: Kind, tag: int, body: Mapping[str, Any], stamp: Stamp) -> None:
        """Write an EVENT, ACTION or MARK; after a gap the next frame is a KEY. `body`: without secrets.

        raises: OSError
        """
        self._ready(stamp)
        self._write_note(kind, tag, body, stamp)
        if kind is Kind.EVENT and tag == Tag.VIEW:
            self._view = dict(body)
        if kind is Kind.EVENT and tag == Tag.GAP:
            self._needs_key = True
        self._index_if_due(stamp)

    def sync(self) -> None:
        """All that was written is on the disk. raises: OSError; call `fail_over` then"""
        if self._file is not None:
            self._file.sync()

    def fail_over(self) -> None:
        """Leave the segment as it is: nobody knows what of it is on the disk. The next frame begins
        another."""
        if self._file is not None:
            self._files.left(self._file)
            self._file = None
        self._restate()

    def close(self, stamp: Stamp) -> int:
        """End the run: INDEX, FOOTER, all on the disk. Returns the file's bytes, 0 where there is none.

        raises: OSError, RemovedError; the file is closed all the same
        """
        try:
            self._look_for_file()
            if self._file is not None:
                self._write_note(Kind.EVENT, Tag.RUN_STOP, {"text": "the recording ended"}, stamp)
                self._finish(stamp)
            return self.size
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of everything, without another byte. Safe to call twice."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._files.abandon()

    def _ready(self, stamp: Stamp, is_frame: bool = False) -> None:
        """A file that can be appended to, with all in it that had to come first."""
        passed = max(0, stamp.tick - self._tick) if self._files.is_begun else 0
        # A copy of a file from outside can have ticks of which none is true.
        self._mono = min(self._mono + passed, TIME_MOST)
        self._tick = stamp.tick
        self._look_for_file()
        if self._file is not None and is_frame and self._is_full(stamp):
            self._leave(stamp)
        if self._file is None:
            self._open(stamp)
        assert self._file is not None
        if is_frame:
            self._look_at_clocks(stamp)
        while self._due:
            self._write_note(*self._due[0], stamp)
            self._due.popleft()
        if self._needs_schema:
            self._tell_schema(stamp)

    def _look_for_file(self) -> None:
        """raises: RemovedError if the file was removed; the next call begins another"""
        file = self._file
        if file is not None and file.is_gone:
            lost, self.frames = self.frames - self._frames_before, self._frames_before
            self.fail_over()
            raise RemovedError(file.path, self._opened_at / 1e6, lost)

    def _is_full(self, stamp: Stamp) -> bool:
        assert self._file is not None
        if abs(stamp.wall - self._t0_wall) > TICKS_MOST_US:
            return True
        limits = self._limits
        if not self._has_limits:
            return False
        return self._file.end >= limits.segment_most or self._mono - self._began >= limits.segment_s * 1e6

    def _leave(self, stamp: Stamp) -> None:
        """Close the segment; a disk that is full leaves it without a footer, and whole."""
        with suppress(OSError):
            self._finish(stamp)
        self.fail_over()

    def _finish(self, stamp: Stamp) -> None:
        file = self._file
        assert file is not None
        file.index(stamp.wall, self._mono)
        file.footer(stamp.wall, self._mono, self._signer)
        file.sync()

    def _open(self, stamp: Stamp) -> None:
        is_first = not self._files.is_begun
        file, is_appended = self._files.next(stamp.wall)
        assert file.header is not None
        self._file, self._t0_wall = file, whole_fact(file.header, "t0_wall")
        self._opened_at, self._frames_before = stamp.wall, self.frames
        self._began = self._mono
        if is_appended:
            totals = file.totals
            passed = max(0, stamp.wall - totals.last_wall) if totals.last_wall >= 0 else 0
            self._mono, self._last_wall = file.t_mono + passed, totals.last_wall
            self._began = self._mono - max(0, stamp.wall - self._t0_wall)
        if is_first:
            self._due.appendleft((Kind.EVENT, Tag.RUN_START, self._run()))
        elif self._view is not None:
            self._due.appendleft((Kind.EVENT, Tag.VIEW, self._view))
        if file.dropped:
            text = f"{file.dropped} bytes of a record that was cut off were dropped"
            self._due.appendleft((Kind.EVENT, Tag.TAIL_DROPPED, {"bytes": file.dropped, "text": text}))
        self._shaper, self._taken = Shaper(self._t0_wall), None
        self._restate()
        self._files.prune(file.path)

    def _run(self) -> dict[str, Any]:
        told = {name: self._files.facts[name] for name in ("app", "host", "boot")}
        return {**told, "text": "the recording began"}

    def _look_at_clocks(self, stamp: Stamp) -> None:
        """A clock that was set is told, and nothing else happens."""
        offset, before = stamp.wall - stamp.tick, self._offset
        step = 0 if before is None else offset - before
        if abs(step) > STEP_US or (0 <= stamp.wall < self._last_wall - STEP_US):
            step = step or stamp.wall - self._last_wall
            way = "back" if step < 0 else "forward"
            body = {"step_s": step / 1e6, "text": f"the clock went {way} by {abs(step) / 1e6:.1f} s"}
            self._due.append((Kind.EVENT, Tag.CLOCK_STEP, body))
            self._last_wall = stamp.wall
        # From frame to frame: a clock that is a hair slow for a day is not set.
        self._offset = offset

    def _write_frame(self, frame: Frame, shaped: Shaped, stamp: Stamp) -> None:
        """What it needs, then the frame. What was told of it is not told again when a disk has to be asked
        twice: each try would fill it further."""
        file = self._file
        assert file is not None
        if shaped.is_new_schema:
            self._schema = None
        shaped = shaped._replace(is_new_schema=False)
        if self._schema is None:
            self._tell_new_schema(shaped.schema, stamp)
        self._taken = frame, shaped
        if self._needs_snapshot:
            # Twice, as the schema: nothing before it tells the same.
            self._tell_state(stamp)
            self._tell_state(stamp)
        else:
            self._tell_changes(shaped, stamp)
        self._taken = frame, shaped._replace(reasons=(), changed={})
        assert self._schema is not None
        kind, base = self._next_kind()
        numbers = Payload(self._schema[0], shaped.values, shaped.times, shaped.exceptions)
        payload = compressed(packed_frame(numbers, base))
        file.append(kind, payload, stamp.wall, self._mono, flags=ZSTD | self._flags)
        self._last = _copied(shaped.values, self._last[0]), _copied(shaped.times, self._last[1])
        if kind is Kind.KEY:
            self._key = _copied(shaped.values, self._key[0]), _copied(shaped.times, self._key[1])
            self._count, self._needs_key = 0, False
        self._count += 1
        self._index_if_due(stamp)

    def _next_kind(self) -> tuple[Kind, Base | None]:
        """What the next frame is, and the numbers that it is told against."""
        if self._needs_key or self._count >= KEY_EVERY:
            return Kind.KEY, None
        if self._count % SUBKEY_EVERY == 0:
            return Kind.SUBKEY, self._key
        return Kind.DELTA, self._last

    def _tell_new_schema(self, schema: Schema, stamp: Stamp) -> None:
        """Twice, for all behind it hangs on it. Its number is its place in the file: rising, and never used
        before, also by an earlier run."""
        file = self._file
        assert file is not None and file.header is not None
        own = replace(schema, id=file.seq)
        payload = compressed(_json(self._redaction.value(to_json(own, file.header.facts))))
        for _ in range(2):
            file.append(Kind.SCHEMA, payload, stamp.wall, self._mono, flags=ZSTD)
        self._schema = own.id, payload
        self._needs_key, self._needs_schema = True, False

    def _tell_schema(self, stamp: Stamp) -> None:
        """What follows each INDEX: the schema once, and the whole state."""
        if self._schema is not None:
            assert self._file is not None
            self._file.append(Kind.SCHEMA, self._schema[1], stamp.wall, self._mono, flags=ZSTD)
            self._tell_state(stamp)
        self._needs_schema = False

    def _tell_state(self, stamp: Stamp) -> None:
        assert self._shaper is not None
        self._needs_snapshot = True
        self._write_note(Kind.EVENT, Tag.SNAPSHOT, self._redaction.value(self._shaper.state()), stamp)
        self._needs_snapshot = False

    def _tell_changes(self, shaped: Shaped, stamp: Stamp) -> None:
        # Where this breaks off, the whole state is told instead.
        self._needs_snapshot = bool(shaped.reasons or shaped.changed)
        for number, reason in shaped.reasons:
            body = {"id": number, "code": reason.code, "parameters": _finite(reason.parameters)}
            self._write_note(Kind.EVENT, Tag.REASON, self._redaction.value(body), stamp)
        if shaped.changed:
            self._write_note(Kind.EVENT, Tag.STATE, self._redaction.value(shaped.changed), stamp)
        self._needs_snapshot = False

    def _write_note(self, kind: Kind, tag: int, body: Mapping[str, Any], stamp: Stamp) -> None:
        file = self._file
        assert file is not None
        whole: dict[str, Any] = {"tag": int(tag), "at": stamp.wall / 1e6, **body}
        if kind is Kind.ACTION:
            whole["chain"] = file.chain.hex()
        data, flags = _json(whole), self._flags
        if len(data) >= COMPRESSED_FROM:
            data, flags = compressed(data), flags | ZSTD
        file.append(kind, data, stamp.wall, self._mono, flags=flags, tag=int(tag))

    def _index_if_due(self, stamp: Stamp) -> None:
        """An INDEX, where it is time for one. What fails here is done before the next record."""
        file = self._file
        assert file is not None
        if not file.needs_index:
            return
        try:
            file.index(stamp.wall, self._mono)
            self._needs_schema = True
            self._tell_schema(stamp)
        except OSError:
            pass  # the record itself is written; the next one meets the same trouble and tells it
        self._files.prune(file.path)


_NO_NUMBERS: Base = np.empty(0, np.int32), np.empty(0, np.int32)


def _copied(numbers: Numbers, before: Numbers) -> Numbers:
    """Numbers apart from those that the next frame changes, in the room of those of before: of a large fleet
    most are always 0, and pages of memory that nobody wrote to take none."""
    kept = before if len(before) == len(numbers) else np.zeros_like(numbers)
    for at in range(0, len(numbers), _PIECE):
        one, other = numbers[at : at + _PIECE], kept[at : at + _PIECE]
        if not np.array_equal(one, other):
            other[:] = one
    return kept


def _json(value: object) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return text.encode("utf-8", "replace")


def _finite(parameters: Sequence[object]) -> list[object]:
    """Parameters of a reason: JSON knows no infinity."""
    return [str(one) if isinstance(one, float) and not math.isfinite(one) else one for one in parameters]
