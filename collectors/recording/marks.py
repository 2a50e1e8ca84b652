"""Bookmarks made on a recording after it was written: a file beside it, a line of JSON each.

The recording itself is never touched. Members of a line: recording, segment, seq, t_mono, at, actor, note.
"""

import json
import os
import stat
from pathlib import Path
from typing import NamedTuple

from collectors.recording.layout import BadRecord, RecordingError
from collectors.recording.noted import read_json
from collectors.recording.ring import MARKS
from collectors.sessions import NOTE_MOST, Mark
from collectors.text import clean

BYTES_MOST = 2**20
MARKS_MOST = 10_000


class Marked(NamedTuple):
    """A bookmark, and the record that it stands at. t_mono: µs of recording time"""

    mark: Mark
    recording: str
    segment: int
    seq: int
    t_mono: int


def sidecar(path: Path) -> Path:
    """The file with the bookmarks of a segment."""
    return path.with_name(path.name + MARKS)


def read_marks(path: Path, recording: str) -> tuple[Marked, ...]:
    """The bookmarks beside a segment of that recording, in order of time; what is none is left out.

    No link is followed, and no more than `BYTES_MOST` are read.
    """
    try:
        opened = os.open(sidecar(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ()
    with os.fdopen(opened, "rb") as file:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            return ()
        data = file.read(BYTES_MOST)
    found = (_marked(line) for line in data.split(b"\n")[:MARKS_MOST])
    return tuple(
        sorted(
            (one for one in found if one is not None and one.recording == recording),
            key=lambda one: one.mark.at,
        )
    )


def add_mark(path: Path, marked: Marked) -> None:
    """Append a bookmark beside a segment. raises: RecordingError if that cannot be done"""
    beside = sidecar(path)
    line = json.dumps(
        {
            "recording": marked.recording,
            "segment": marked.segment,
            "seq": marked.seq,
            "t_mono": marked.t_mono,
            "at": marked.mark.at,
            "actor": clean(marked.mark.actor),
            "note": clean(marked.mark.note, NOTE_MOST),
        },
        ensure_ascii=False,
    ).encode()
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        opened = os.open(beside, flags, 0o600)
        try:
            _append(opened, beside, line)
        finally:
            os.close(opened)
    except OSError as error:
        raise RecordingError(
            f"{beside} cannot be written: {os.strerror(error.errno or 0)}. The bookmark is not kept"
        ) from error


def _append(opened: int, beside: Path, line: bytes) -> None:
    status = os.fstat(opened)
    if not stat.S_ISREG(status.st_mode):
        raise RecordingError(f"{beside} is no regular file: the bookmark is not kept")
    if status.st_size + len(line) + 1 > BYTES_MOST:
        raise RecordingError(f"{beside} is full, at {BYTES_MOST // 2**20} MB: the bookmark is not kept")
    # A line that was cut off stays alone: the new one begins on its own.
    is_open = status.st_size > 0 and os.pread(opened, 1, status.st_size - 1) != b"\n"
    whole = (b"\n" if is_open else b"") + line + b"\n"
    if os.write(opened, whole) < len(whole):
        raise RecordingError(
            f"{beside}: only a part could be written, the disk is full. The bookmark is not kept"
        )


def _marked(line: bytes) -> Marked | None:
    if not line.strip() or len(line) > 16_384:
        return None
    try:
        found = read_json(line)
    except BadRecord:
        return None
    if not isinstance(found, dict):
        return None
    at, recording = found.get("at"), found.get("recording")
    segment, seq, t_mono = (_number(found.get(name)) for name in ("segment", "seq", "t_mono"))
    if not isinstance(at, int | float) or not 0 <= at < 1e11 or not isinstance(recording, str):
        return None
    if segment is None or seq is None or t_mono is None:
        return None
    actor, note = found.get("actor"), found.get("note")
    mark = Mark(
        float(at),
        clean(actor) if isinstance(actor, str) else "",
        clean(note, NOTE_MOST) if isinstance(note, str) else "",
    )
    return Marked(mark, clean(recording), segment, seq, t_mono)


def _number(found: object) -> int | None:
    return found if isinstance(found, int) and 0 <= found < 2**63 else None
