"""The file of a reconstruction: written as a live one is, a stretch at a time.

Each stretch opens the file anew and tells all that a reader has to know. So it does not matter whether the
one before was written a moment ago or by a process that was killed: the bytes are the same.
"""

import fcntl
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from collectors.fleet import Frame
from collectors.recording.file import SegmentFile
from collectors.recording.layout import BadRecord, FileHeader, Kind, RecordingError, Tag
from collectors.recording.notes import event_json
from collectors.recording.redact import Redaction
from collectors.recording.ring import RingLimits
from collectors.recording.stream import Stamp, Stream
from collectors.recording.writer import tag_of


class Stretch(Stream):
    """The file, open behind what is whole of it. Its clocks are those of the frames."""

    def __init__(self, file: Path, facts: Mapping[str, Any], *, is_first: bool) -> None:
        """raises: RecordingError if it cannot be written"""
        super().__init__(
            None, file, RingLimits(), facts, Redaction(), simulated=facts.get("simulated") is True
        )
        self._is_first = is_first
        self.claim()

    def put(self, frame: Frame) -> None:
        """Write a frame and what happened in it. raises: OSError"""
        stamp = _stamp(frame.at)
        for event in frame.events:
            body = self._redaction.value(event_json(event))
            self.note(Kind.EVENT, tag_of(event), body, stamp)
        self.frame(frame, stamp)

    def tell_gap(self, start: float, end: float) -> None:
        """Of the time in between no server kept anything. raises: OSError"""
        why = "no server kept anything of it"
        body = {"from": start, "to": end, "frames": 0, "why": why, "text": f"not recorded: {why}"}
        self.note(Kind.EVENT, Tag.GAP, body, _stamp(end))

    def end(self, at: float) -> None:
        """Nothing comes any more: the file is whole. raises: OSError"""
        self._ready(_stamp(at))
        self.close(_stamp(at))

    def _open(self, stamp: Stamp) -> None:
        super()._open(stamp)
        if not self._is_first:
            # To a reader it is one run.
            self._due.clear()


def prepare(file: Path, facts: Mapping[str, Any], recording: str, start: float, size: int) -> None:
    """Leave of a file what is to be gone on from; of a new one, make its header.

    size: bytes that are whole, 0 for none. raises: RecordingError if another process writes it, or it is
    another's; OSError
    """
    _cut(file, size, recording)
    if size:
        return
    made = SegmentFile.create(file)
    try:
        own = {
            **facts,
            "host": "",
            "boot": "",
            "recording": recording,
            "segment": 0,
            "t0_wall": _stamp(start).wall,
            "redaction": Redaction().policy,
            "simulated": facts.get("simulated") is True,
            "prev_chain": "",
        }
        made.begin(own)
        made.sync()
    finally:
        made.close()


def must_be_writable(file: Path) -> None:
    """raises: OSError if neither the file nor one beside it can be written"""
    if file.exists():
        with file.open("r+b"):
            return
    with tempfile.TemporaryFile(dir=file.parent):
        return


def _cut(file: Path, size: int, recording: str) -> None:
    try:
        opened = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    with os.fdopen(opened, "r+b") as found:
        try:
            fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecordingError(f"{file} is being written by another process: wait for it") from None
        if size:
            found.truncate(size)
            return
        header = header_of(file)
        if found.seek(0, os.SEEK_END) and (header is None or header.facts.get("recording") != recording):
            raise RecordingError(f"{file} is there, and was not changed. Name another file, or remove it")
        file.unlink()


def _stamp(at: float) -> Stamp:
    wall = round(at * 1e6)
    return Stamp(wall, wall)


def header_of(file: Path) -> FileHeader | None:
    """What a file says of itself; None where there is none, or it says nothing. raises: OSError"""
    try:
        with file.open("rb") as found:
            return FileHeader.unpack(found.read(65_536))[0]
    except FileNotFoundError:
        return None
    except (BadRecord, RecordingError):
        return None
