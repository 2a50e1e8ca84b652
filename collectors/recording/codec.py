"""Numbers of frames as bytes, and back: packed differences of int32, and what is exceptional about them.

Arithmetic is modulo 2**32. Source of the layout: docs/tgrec.md, "Frame payload".
"""

import struct
import threading
from typing import NamedTuple, TypeAlias

import numpy as np
import zstandard
from numpy.typing import NDArray

from collectors.recording.layout import PAYLOAD_MOST, BadRecord

Numbers: TypeAlias = NDArray[np.int32]

HEAD = struct.Struct("<IIIII")
SPARSE = 0.35
"""Share of numbers that are not 0 below which a bitmap tells which ones."""

CLAMP = 2**30
"""Largest number that is stored, either side of 0; what lies beyond is flagged."""

_LEVEL = 3

TEXT_TIMES, TEXT_FREE = 100, 16_384
"""Text unpacks to no more than so many times its bytes, or to so many bytes: what a recorder writes, to less
than half of that."""


class Exceptions(NamedTuple):
    """What is not simply good, in order of place in the vector: one entry a place.

    places: uint32, rising; states: uint8, as in `States`; reasons: uint16, 0 for none, else an id that an
        EVENT of tag REASON defined
    """

    places: NDArray[np.uint32]
    states: NDArray[np.uint8]
    reasons: NDArray[np.uint16]


NO_EXCEPTIONS = Exceptions(np.empty(0, np.uint32), np.empty(0, np.uint8), np.empty(0, np.uint16))


class Payload(NamedTuple):
    """A frame's payload: numbers as stored, of a KEY, or differences to the frame it refers to.

    values: one for each place of the schema; times: one for each of its sources, in ticks of 10 ms
    """

    schema_id: int
    values: Numbers
    times: Numbers
    exceptions: Exceptions


def packed_frame(payload: Payload) -> bytes:
    """The payload's bytes, before compression."""
    values, times = packed(payload.values), packed(payload.times)
    places, states, reasons = payload.exceptions
    gaps = np.diff(places, prepend=np.uint32(0)).astype("<u4")
    head = HEAD.pack(payload.schema_id, len(payload.values), len(values), len(times), len(places))
    return b"".join(
        (head, values, times, gaps.tobytes(), states.tobytes(), reasons.astype("<u2", copy=False).tobytes())
    )


def unpacked_frame(data: bytes, size: int, sources: int) -> Payload:
    """A payload from its bytes, of a schema of `size` numbers and `sources` sources.

    Bytes behind it are ignored. raises: BadRecord if it does not fit.
    """
    schema_id, count, value_bytes, time_bytes, n = head_of(data)
    if count != size:
        raise BadRecord(f"a frame of {count} numbers, its schema has {size}")
    at = HEAD.size
    values = unpacked(data[at : at + value_bytes], size)
    at += value_bytes
    times = unpacked(data[at : at + time_bytes], sources)
    return Payload(schema_id, values, times, exceptions_of(data, at + time_bytes, n, size))


def head_of(data: bytes) -> tuple[int, int, int, int, int]:
    """Schema id, numbers, bytes of values, bytes of times, exceptions. raises: BadRecord"""
    if len(data) < HEAD.size:
        raise BadRecord("a frame without a head")
    found = HEAD.unpack_from(data)
    schema_id, count, value_bytes, time_bytes, n = found
    if HEAD.size + value_bytes + time_bytes + 7 * n > len(data):
        raise BadRecord("a frame that is shorter than it says")
    return schema_id, count, value_bytes, time_bytes, n


def exceptions_of(data: bytes, at: int, n: int, size: int) -> Exceptions:
    """The `n` exceptions that stand at `at`. raises: BadRecord if one is out of place."""
    if not n:
        return NO_EXCEPTIONS
    gaps = np.frombuffer(data, "<u4", n, at)
    places = np.cumsum(gaps, dtype=np.uint64)
    if int(places[-1]) >= size or (n > 1 and not gaps[1:].all()):
        raise BadRecord("an exception that is out of place")
    states = np.frombuffer(data, np.uint8, n, at + 4 * n)
    reasons = np.frombuffer(data, "<u2", n, at + 5 * n)
    return Exceptions(places.astype(np.uint32), states, reasons.astype(np.uint16, copy=False))


def packed(numbers: Numbers) -> bytes:
    """int32 numbers as a block: zigzag, byte planes, a bitmap of those that are not 0 where most are."""
    signed = numbers << 1
    signed ^= numbers >> 31
    zigzag = signed.view(np.uint32)
    known = np.count_nonzero(zigzag)
    if known >= SPARSE * len(zigzag):
        return b"\0" + _planes(zigzag)
    is_set = zigzag != 0
    return b"\1" + np.packbits(is_set).tobytes() + _planes(zigzag[is_set])


def unpacked(data: bytes, size: int) -> Numbers:
    """`size` numbers from a block. raises: BadRecord if it does not hold as many."""
    if not data:
        raise BadRecord("an empty block")
    if data[0] == 0:
        return _signed(_from_planes(data, 1, size))
    if data[0] != 1:
        raise BadRecord(f"a block of kind {data[0]}")
    end = 1 + (size + 7) // 8
    if len(data) < end:
        raise BadRecord("a block without its bitmap")
    is_set = np.unpackbits(np.frombuffer(data, np.uint8, end - 1, 1), count=size).view(bool)
    found = np.zeros(size, np.int32)
    found[is_set] = _signed(_from_planes(data, end, int(np.count_nonzero(is_set))))
    return found


def _planes(zigzag: NDArray[np.uint32]) -> bytes:
    most = int(zigzag.max()) if len(zigzag) else 0
    width = 1 if most < 1 << 8 else 2 if most < 1 << 16 else 4
    octets = zigzag.astype("<u4", copy=False).view(np.uint8).reshape(-1, 4)
    return bytes((width,)) + octets[:, :width].T.tobytes()


def _from_planes(data: bytes, at: int, n: int) -> NDArray[np.uint32]:
    width = data[at] if at < len(data) else 0
    if width not in (1, 2, 4) or len(data) < at + 1 + width * n:
        raise BadRecord("a block that is shorter than it says")
    planes = np.frombuffer(data, np.uint8, width * n, at + 1).reshape(width, n)
    found: NDArray[np.uint32] = planes[0].astype(np.uint32)
    for place in range(1, width):
        found |= planes[place].astype(np.uint32) << np.uint32(8 * place)
    return found


def _signed(zigzag: NDArray[np.uint32]) -> Numbers:
    return ((zigzag >> 1) ^ (np.uint32(0) - (zigzag & 1))).view(np.int32)


def compressed(data: bytes) -> bytes:
    """zstd, with the size of its content declared."""
    return zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True).compress(data)


def unpacked_text(data: bytes) -> bytes:
    """As `decompressed`, of what is no numbers. raises: BadRecord for a bomb as well"""
    return decompressed(data, min(max(TEXT_TIMES * len(data), TEXT_FREE), PAYLOAD_MOST))


_THREAD = threading.local()


def _decompressor() -> zstandard.ZstdDecompressor:
    """This thread's own: to make one costs as much as to unpack a frame."""
    if not hasattr(_THREAD, "decompressor"):
        _THREAD.decompressor = zstandard.ZstdDecompressor()
    found: zstandard.ZstdDecompressor = _THREAD.decompressor
    return found


def decompressed(data: bytes, most: int = PAYLOAD_MOST) -> bytes:
    """What was compressed. raises: BadRecord if it is damaged or declares no size that may be unpacked.

    The size is looked at first: the library unpacks whatever is declared.
    """
    try:
        size = zstandard.frame_content_size(data)
        if not 0 <= size <= most:
            raise BadRecord(f"a payload of {len(data)} bytes that would unpack to {size}")
        return _decompressor().decompress(data, allow_extra_data=False) if size else b""
    except zstandard.ZstdError as error:
        raise BadRecord(f"a payload that cannot be unpacked: {error}") from error
