"""From one record's header to the next, and the way back after damage. Reads, and never writes.

Whatever a file holds, the work is bounded: by a budget of headers that are looked at and bytes that are
searched.
"""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from collectors.recording.layout import (
    HLEN,
    HLEN_MOST,
    SYNC,
    BadRecord,
    Kind,
    Record,
    RecordingError,
    unpack_record,
)

_FIRST_CHUNK, _CHUNK = 2**12, 2**20
_BACK_CHUNK = 4 * 2**20
_EXTENTS_MOST = 1024
_FAILED = 8
"""What a header costs that is none: a file can be full of them, and none leads on."""


class Place(NamedTuple):
    """A record's header, and the offset of its first byte."""

    offset: int
    record: Record


@dataclass
class Budget:
    """How much of a file may still be looked at: headers, and bytes searched for one."""

    headers: int = 400_000
    bytes: int = 512 * 2**20
    back_bytes: int = 128 * 2**20

    @property
    def is_spent(self) -> bool:
        """Nothing more may be looked at."""
        return self.headers <= 0 or self.bytes <= 0


class File:
    """A regular file that is read by offset: never mapped, since a cut under a mapping kills the process."""

    def __init__(self, path: Path) -> None:
        """raises: RecordingError if there is none, it cannot be opened, or is no regular file"""
        try:
            # Without O_NONBLOCK a pipe would be waited for.
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            said = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
            raise RecordingError(
                f"{path} cannot be opened: {said}. Give a .tgrec file or a folder"
            ) from error
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            os.close(self._fd)
            raise RecordingError(f"{path} is no regular file. Give a .tgrec file or a folder")
        self.path = path
        self.size = self.measured()

    def measured(self) -> int:
        """Its size now."""
        return os.fstat(self._fd).st_size

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`. raises: BadRecord if the disk cannot read them"""
        try:
            return os.pread(self._fd, size, offset)
        except OSError as error:
            raise BadRecord(f"the disk cannot read it: {os.strerror(error.errno or errno.EIO)}") from error

    def data_from(self, offset: int) -> int:
        """The first byte at or after `offset` that is in no hole; the file's size if there is none."""
        return self._sought(offset, os.SEEK_DATA)

    def extents(self, start: int, end: int) -> list[tuple[int, int]]:
        """Stretches of [start, end) that are in no hole, in order; the last ones, where there are many."""
        found: list[tuple[int, int]] = []
        while start < end and len(found) < _EXTENTS_MOST:
            start = self._sought(start, os.SEEK_DATA)
            stop = min(self._sought(start, os.SEEK_HOLE), end)
            if start >= stop:
                break
            found.append((start, stop))
            start = stop
        return found

    def _sought(self, offset: int, whence: int) -> int:
        try:
            return os.lseek(self._fd, offset, whence)
        except OSError as error:
            # No data from here on; a file system that knows no holes has data everywhere.
            return self.size if error.errno == errno.ENXIO or whence == os.SEEK_HOLE else offset

    def close(self) -> None:
        """Let go of it. Safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def record_at(file: File, offset: int, end: int) -> Record:
    """The header at `offset` of a record that is complete before `end`. raises: BadRecord"""
    found = unpack_record(file.read(offset, min(HLEN_MOST, end - offset)))
    if offset + found.size > end:
        raise BadRecord("cut off in a record's payload")
    return found


def walked(file: File, start: int, end: int, budget: Budget, seq: int = -1) -> Iterator[Place]:
    """Complete records in [start, end), each with a number after the one before.

    seq: number of the record before the first; -1 where it is not known.

    After damage it goes on with the next header that is whole and can be the next: of a number that is
    higher, by no more than records that fit in between.
    """
    at, good = start, start
    while end - at >= HLEN and not budget.is_spent:
        try:
            found = record_at(file, at, end)
            is_next = seq < found.seq <= seq + 1 + (at - good) // HLEN or (seq < 0 and at == start)
        except BadRecord:
            is_next = False
        budget.headers -= 1 if is_next else _FAILED
        if not is_next:
            at = _next_sync(file, at + 1, end, budget)
            continue
        yield Place(at, found)
        at, seq = at + found.size, found.seq
        good = at


def _next_sync(file: File, start: int, end: int, budget: Budget) -> int:
    """Offset of the next mark of a record's beginning in [start, end), holes left out; `end` if none."""
    # What a search finds at once should not cost the reading of a large chunk.
    chunk = _FIRST_CHUNK
    while start < end and budget.bytes > 0:
        start = file.data_from(start)
        try:
            data = file.read(start, min(chunk, end - start))
        except BadRecord:
            data = b""
        chunk = min(2 * chunk, _CHUNK)
        place = data.find(SYNC)
        budget.bytes -= len(data) if place < 0 else place + 1
        if place >= 0:
            return start + place
        start += max(len(data) - len(SYNC) + 1, 1) if data else _CHUNK
    return end


def last_index(file: File, start: int, end: int, budget: Budget) -> Place | None:
    """The last complete INDEX in [start, end), from behind; None if none is near the end."""
    for low, high in reversed(file.extents(start, end)):
        stop = high
        while stop > low and budget.back_bytes > 0 and budget.headers > 0:
            begin = max(low, stop - _BACK_CHUNK)
            try:
                data = file.read(begin, stop - begin + len(SYNC) - 1)
            except BadRecord:
                data = b""
            budget.back_bytes -= max(len(data), 1)
            if found := _last_index_of(file, data, begin, end, budget):
                return found
            stop = begin
    return None


def _last_index_of(file: File, data: bytes, begin: int, end: int, budget: Budget) -> Place | None:
    place = data.rfind(SYNC)
    while place >= 0 and budget.headers > 0:
        budget.headers -= _FAILED if data[place + 8 : place + 9] == bytes((Kind.INDEX,)) else 1
        # The kind stands behind the mark: most records need no closer look.
        if place + 8 >= len(data) or data[place + 8] == Kind.INDEX:
            try:
                found = record_at(file, begin + place, end)
            except BadRecord:
                found = None
            if found is not None and found.kind == Kind.INDEX:
                return Place(begin + place, found)
        place = data.rfind(SYNC, 0, place + len(SYNC) - 1)
    return None
