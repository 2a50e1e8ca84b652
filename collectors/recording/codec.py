"""Numbers of frames as bytes, and back: packed differences of int32, and what is exceptional about them.

Arithmetic is modulo 2**32. Source of the layout: docs/tgrec.md, "Frame payload".
"""

import struct
import threading
from collections.abc import Iterable, Iterator
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

_PIECE = 2**13
"""Numbers that are packed at a time, whole bytes of a bitmap: copies of half a million take megabytes."""

_LEVEL, _WINDOW_LOG = 3, 17

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


Base: TypeAlias = tuple[Numbers, Numbers]
"""Values and times of a frame that another one refers to."""


class Payload(NamedTuple):
    """A frame's payload: numbers themselves, or differences to the frame it refers to.

    values: one for each place of the schema; times: one for each of its sources, in ticks of 10 ms
    """

    schema_id: int
    values: Numbers
    times: Numbers
    exceptions: Exceptions


def packed_frame(payload: Payload, base: Base | None = None) -> bytes:
    """The payload's bytes, before compression; with a `base`, of its differences to that."""
    of_values, of_times = (None, None) if base is None else base
    values, times = packed(payload.values, of_values), packed(payload.times, of_times)
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


def packed(numbers: Numbers, base: Numbers | None = None) -> bytes:
    """int32 numbers, less those of `base`, as a block: zigzag, byte planes, a bitmap of those that are not 0
    where most are."""
    bitmap: list[bytes] = []
    known: list[NDArray[np.uint32]] = []
    for piece in _zigzag(numbers, base):
        is_set = piece != 0
        bitmap.append(np.packbits(is_set).tobytes())
        known.append(piece[is_set])
    most = max((int(piece.max()) for piece in known if len(piece)), default=0)
    if sum(map(len, known)) >= SPARSE * len(numbers):
        return b"\0" + _planes(_zigzag(numbers, base), most)
    return b"".join((b"\1", *bitmap, _planes(known, most)))


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


def _zigzag(numbers: Numbers, base: Numbers | None) -> Iterator[NDArray[np.uint32]]:
    """The numbers, less those of `base`, so that small ones either side of 0 are small; piece by piece."""
    for at in range(0, len(numbers), _PIECE):
        piece = numbers[at : at + _PIECE]
        if base is not None:
            piece = piece - base[at : at + _PIECE]
        yield ((piece << 1) ^ (piece >> 31)).view(np.uint32)


def _planes(pieces: Iterable[NDArray[np.uint32]], most: int) -> bytes:
    """The width that `most`, the largest of them, needs, and the numbers byte by byte, lowest first."""
    width = 1 if most < 1 << 8 else 2 if most < 1 << 16 else 4
    planes = [bytearray() for _ in range(width)]
    for piece in pieces:
        octets = piece.astype("<u4", copy=False).view(np.uint8).reshape(-1, 4)
        for place, plane in enumerate(planes):
            plane += octets[:, place].tobytes()
    return b"".join((bytes((width,)), *planes))


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
    # What the library returns keeps the room that the worst of data would have taken.
    return bytes(memoryview(_compressor().compress(data)))


def unpacked_text(data: bytes) -> bytes:
    """As `decompressed`, of what is no numbers. raises: BadRecord for a bomb as well"""
    return decompressed(data, min(max(TEXT_TIMES * len(data), TEXT_FREE), PAYLOAD_MOST))


_THREAD = threading.local()


def _compressor() -> zstandard.ZstdCompressor:
    """This thread's own: it works in 2 MB, and given back each second these are not given to others."""
    if not hasattr(_THREAD, "compressor"):
        _THREAD.compressor = zstandard.ZstdCompressor(
            compression_params=zstandard.ZstdCompressionParameters(
                compression_level=_LEVEL, window_log=_WINDOW_LOG, write_content_size=True
            )
        )
    found: zstandard.ZstdCompressor = _THREAD.compressor
    return found


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
