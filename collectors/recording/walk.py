"""From one record's header to the next, and the way back after damage. Reads, and never writes.

Whatever a file holds, the work is bounded: by a budget of headers that are looked at and bytes that are
searched.
"""

import errno
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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

_AHEAD = 2**17
_BACK_CHUNK = 4 * 2**20
_UNREADABLE = 2**20
"""Bytes that are passed over where the disk cannot read."""

_INDEX_MARK = SYNC + bytes((Kind.INDEX,))
_EXTENTS_MOST = 1024
_FAILED = 8
"""What a header costs that is none: a file can be full of them, and none leads on."""

RUN_LEAST = 16
"""Records that are worth looking at together."""

HEADER = np.dtype(
    [
        ("sync", "<u8"),
        ("kind", "u1"),
        ("flags", "u1"),
        ("hlen", "<u2"),
        ("stored", "<u4"),
        ("seq", "<u4"),
        ("key_seq", "<u4"),
        ("ref_seq", "<u4"),
        ("t_wall", "<i8"),
        ("t_mono", "<i8"),
        ("pcrc", "<u4"),
        ("hcrc", "<u4"),
    ]
)
"""A record's header as it is stored, of the length that this version writes."""

_SYNC, _CRC_AT = int.from_bytes(SYNC, "little"), HLEN - 4
_LENGTHS, _LENGTHS_AT = struct.Struct("<HI"), len(SYNC) + 2


class Place(NamedTuple):
    """A record's header, and the offset of its first byte."""

    offset: int
    record: Record


class Damage(NamedTuple):
    """Bytes of a file that are no record, or were not searched for one: where, how many, and why."""

    offset: int
    size: int
    what: str = "damaged"


@dataclass
class Budget:
    """How much of a file may still be looked at: headers, and bytes searched for one.

    headers: a recorder lists every 512 records in an INDEX, so a file that is not damaged has few to walk; as
        many as this cost over half a second
    """

    headers: int = 250_000
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

    @property
    def is_gone(self) -> bool:
        """Whether it was removed: it can be read for as long as it is open."""
        return self._fd >= 0 and os.fstat(self._fd).st_nlink == 0

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


class Ahead:
    """A file that is read from front to back: one large read serves many small ones.

    What it holds is as the file was when it was read: one walk, one of these.
    """

    def __init__(self, file: File) -> None:
        self.file = file
        self._start, self._data = 0, b""

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`. raises: BadRecord if the disk cannot read them"""
        data, at = self.at(offset, size)
        return data[at : at + size]

    def at(self, offset: int, size: int) -> tuple[bytes, int]:
        """Bytes in which up to `size` from `offset` are, and where in them. raises: as `read`"""
        if not self.holds(offset, size):
            self._data = self.file.read(offset, max(size, _AHEAD))
            self._start = offset
        return self._data, offset - self._start

    def find(self, mark: bytes, start: int) -> tuple[int, int]:
        """Offset of the next `mark` at or after `start`, no further than is read at once, and where to search
        on; -1 where there is none so far. raises: BadRecord if the disk cannot read it"""
        data, at = self.at(start, len(mark))
        place = data.find(mark, at)
        behind = self._start + len(self._data)
        return (-1, max(behind - len(mark), start) + 1) if place < 0 else (self._start + place,) * 2

    def holds(self, offset: int, size: int) -> bool:
        """Whether so many bytes from there are in memory."""
        return self._start <= offset and offset + size <= self._start + len(self._data)


def record_at(file: File, offset: int, end: int) -> Record:
    """The header at `offset` of a record that is complete before `end`. raises: BadRecord"""
    found = unpack_record(file.read(offset, min(HLEN_MOST, end - offset)))
    if offset + found.size > end:
        raise BadRecord("cut off in a record's payload")
    return found


def run_at(
    ahead: Ahead, at: int, end: int, seq: int, budget: Budget, most: int
) -> tuple[NDArray[np.int64], NDArray[Any], bool]:
    """Offsets and headers of up to `most` whole records, one behind the other from `at` on, as far as they
    are read at once, and whether damage ended them.

    seq: number of the record before

    There are none where they are too few to be worth it: `walked` takes one at a time, and finds the way back
    after damage.
    """
    data, begin = ahead.at(at, min(HLEN_MOST, end - at))
    shift, place, stop = at - begin, begin, min(len(data), begin + end - at)
    places: list[int] = []
    while place + HLEN <= stop and len(places) < most:
        hlen, stored = _LENGTHS.unpack_from(data, place + _LENGTHS_AT)
        behind = place + HLEN + stored
        if hlen != HLEN or behind > stop:
            break
        places.append(place)
        place = behind
    if len(places) < RUN_LEAST:
        return np.empty(0, np.int64), np.empty(0, HEADER), True
    budget.headers -= len(places)
    where = np.array(places, np.int64)
    octets = np.frombuffer(data, np.uint8)[where[:, None] + np.arange(HLEN)]
    headers = octets.view(HEADER)[:, 0]
    crcs = np.fromiter((zlib.crc32(data[one : one + _CRC_AT]) for one in places), np.uint32, len(places))
    is_whole = (headers["sync"] == _SYNC) & (headers["hcrc"] == crcs)
    is_whole &= headers["seq"] == seq + 1 + np.arange(len(places))
    count = len(places) if is_whole.all() else int(np.argmin(is_whole))
    return where[:count] + shift, headers[:count], count < len(places)


def walked(
    ahead: Ahead, start: int, end: int, budget: Budget, seq: int = -1, first: int | None = None
) -> Iterator[Place]:
    """Complete records in [start, end), each with a number after the one before.

    seq: number of the record before the first; -1 where it is not known
    first: offset of the file's first record, which has number 0; `start` unless given

    After damage it goes on with the next header that is whole and can be of a later record: its number is
    higher, by no more than records that fit in between. Where bytes are missing it can be more, if the record
    behind it has the next number: what was copied there from elsewhere in the file has none such behind it.
    """
    at = good = start
    if first is not None and seq < 0:
        good = first
    while end - at >= HLEN and not budget.is_spent:
        budget.headers -= 1
        try:
            found = unpack_record(*ahead.at(at, min(HLEN_MOST, end - at)))
        except BadRecord:
            budget.headers -= _FAILED
            at = _next_sync(ahead, at + 1, end, budget)
            continue
        behind = at + found.size
        can_be = seq < found.seq <= seq + 1 + (at - good) // HLEN or (seq < 0 and at == start)
        if behind <= end and found.seq > seq and not can_be:
            budget.headers -= 1
            can_be = behind == end or _number_at(ahead, behind, end) == found.seq + 1
        if behind > end or not can_be:
            at = _next_sync(ahead, at + 1, end, budget)
            continue
        yield Place(at, found)
        at = good = behind
        seq = found.seq


def _number_at(ahead: Ahead, at: int, end: int) -> int:
    try:
        return unpack_record(*ahead.at(at, min(HLEN_MOST, end - at))).seq
    except BadRecord:
        return -1


def _next_sync(ahead: Ahead, start: int, end: int, budget: Budget) -> int:
    """Offset of the next mark of a record's beginning in [start, end), holes left out; `end` if none."""
    while start < end and budget.bytes > 0:
        if not ahead.holds(start, len(SYNC)):
            start = ahead.file.data_from(start)
        try:
            place, behind = ahead.find(SYNC, start)
        except BadRecord:
            start += _UNREADABLE
            continue
        budget.bytes -= behind - start + 1
        if place >= 0:
            return place
        start = behind
    return end


def last_index(file: File, start: int, end: int, budget: Budget) -> Place | None:
    """The last complete INDEX in [start, end), from behind; None if none is near the end."""
    for low, high in reversed(file.extents(start, end)):
        stop = high
        while stop > low and budget.back_bytes > 0 and budget.headers > 0:
            begin = max(low, stop - _BACK_CHUNK)
            try:
                data = file.read(begin, stop - begin + len(_INDEX_MARK) - 1)
            except BadRecord:
                data = b""
            budget.back_bytes -= max(len(data), 1)
            if found := _last_index_of(file, data, begin, end, budget):
                return found
            stop = begin
    return None


def _last_index_of(file: File, data: bytes, begin: int, end: int, budget: Budget) -> Place | None:
    place = data.rfind(_INDEX_MARK)
    while place >= 0 and budget.headers > 0:
        budget.headers -= _FAILED
        try:
            return Place(begin + place, record_at(file, begin + place, end))
        except BadRecord:
            place = data.rfind(_INDEX_MARK, 0, place + len(_INDEX_MARK) - 1)
    return None
