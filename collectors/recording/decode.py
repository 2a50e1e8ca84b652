"""Frames of one segment as numbers: each from the KEY of its group by differences.

A frame is given out only if every record that it is made of is whole.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

import numpy as np
import zstandard
from numpy.typing import NDArray

from collectors.recording.codec import (
    HEAD,
    Exceptions,
    Numbers,
    decompressed,
    exceptions_of,
    head_of,
    unpacked,
    unpacked_frame,
)
from collectors.recording.layout import ZSTD, BadRecord, Kind
from collectors.recording.schema import Schema
from collectors.recording.segment import Segment

CHAIN_MOST = 128
"""Most frames that a frame is made of; a writer chains 11."""

_KEY = int(Kind.KEY)
_CACHE_BYTES = 32 * 2**20
_CACHE_LEAST = 2
_SLACK = 2**16


class Decoded(NamedTuple):
    """One frame: its numbers, its times in ticks, and what is exceptional."""

    schema: Schema
    values: Numbers
    times: Numbers
    exceptions: Exceptions


class Held(NamedTuple):
    """A frame's numbers without its times."""

    schema: Schema
    values: Numbers
    exceptions: Exceptions


T = TypeVar("T")


class Decoder:
    """Decodes frames of a segment by their number in it, and keeps the last ones."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._cache: OrderedDict[int, Decoded] = OrderedDict()
        self._bytes = 0
        self._refs: NDArray[np.int64] = np.empty(0, np.int64)
        self._refs_of: object = None

    def frame(self, local: int) -> Decoded:
        """One frame. raises: BadRecord if it, or one that it refers to, is damaged: it is noted as lost"""
        self._look()
        chain, base = self._chain(local, self._known)
        for one in reversed(chain):
            base = self._step(one, base, self._decoded)
            self._keep(one, base)
        assert base is not None
        return base

    def numbers(self, wanted: Iterable[int]) -> Iterator[tuple[int, Held]]:
        """Of these frames, rising, the place in `wanted` and their numbers; the damaged ones are left out.

        In one pass: of each group no more is decoded than is needed, and nothing twice.
        """
        self._look()
        kinds = self._segment.table.kind[self._segment.frame_rows]
        # What comes later refers to the last KEY, the last SUBKEY after it, or the last frame.
        held: dict[int, Held] = {}
        of_kind: dict[int, int] = {}
        for place, local in enumerate(wanted):
            try:
                chain, base = self._chain(int(local), held.get)
                for one in reversed(chain):
                    base = self._step(one, base, self._stepped)
                    kind = int(kinds[one])
                    for old in [other for other in of_kind if other >= kind]:
                        held.pop(of_kind.pop(old), None)
                    of_kind[kind], held[one] = one, base
            except BadRecord:
                continue
            assert base is not None
            yield place, base

    def _look(self) -> None:
        """Learn which frame each refers to: -1 for one that is not there, -2 where none is needed."""
        table, rows = self._segment.table, self._segment.frame_rows
        if self._refs_of is table:
            return
        seqs, refs = table.seq[rows], table.ref_seq[rows]
        found = np.searchsorted(seqs, refs)
        near = np.minimum(found, max(len(seqs) - 1, 0))
        is_there = (seqs[near] == refs) & (near < np.arange(len(seqs)))
        self._refs = np.where(table.kind[rows] == _KEY, -2, np.where(is_there, near, -1))
        self._refs_of = table

    def _chain(self, local: int, known: Callable[[int], T | None]) -> tuple[list[int], T | None]:
        """Frames that have to be decoded for one, from it back, and what the last of them is applied to.

        raises: BadRecord if one of them is lost
        """
        chain: list[int] = []
        lost, at = self._segment.lost, local
        while (base := known(at)) is None:
            ref = int(self._refs[at])
            if lost[at] or ref == -1 or len(chain) >= CHAIN_MOST:
                self._segment.note_lost(at)
                self._segment.note_lost(local)
                raise BadRecord("a frame that is lost, or refers to one that is")
            chain.append(at)
            if ref == -2:
                break
            at = ref
        return chain, base

    def _step(self, local: int, base: T | None, decoded: Callable[[int, T | None], T]) -> T:
        """One frame of a chain. raises: BadRecord; then it, and all that refer to it, are noted as lost"""
        try:
            return decoded(int(self._segment.frame_rows[local]), base)
        except BadRecord:
            self._segment.note_lost(local)
            raise

    def _stepped(self, row: int, base: Held | None) -> Held:
        schema, data = self._payload(row, base.schema if base else None)
        _, _, value_bytes, time_bytes, n = head_of(data)
        at = HEAD.size + value_bytes
        values = unpacked(data[HEAD.size : at], schema.size)
        if base is not None:
            values += base.values
        return Held(schema, values, exceptions_of(data, at + time_bytes, n, schema.size))

    def _decoded(self, row: int, base: Decoded | None) -> Decoded:
        schema, data = self._payload(row, base.schema if base else None)
        _, values, times, exceptions = unpacked_frame(data, schema.size, len(schema.sources))
        if base is not None:
            values += base.values
            times += base.times
        return Decoded(schema, values, times, exceptions)

    def _payload(self, row: int, base: Schema | None) -> tuple[Schema, bytes]:
        """A frame's schema and payload. raises: BadRecord if they do not belong together, or to its base"""
        segment = self._segment
        record, stored = segment.stored(row)
        if base is not None and record.flags & ZSTD:
            _check_size(stored, base)
        data = decompressed(stored) if record.flags & ZSTD else stored
        schema_id, count, *_ = head_of(data)
        schema = base if base is not None else segment.schema(schema_id, row)
        if schema.id != schema_id or schema.size != count:
            raise BadRecord("a frame of another schema than the one it refers to")
        return schema, data

    def _known(self, local: int) -> Decoded | None:
        if (found := self._cache.get(local)) is not None:
            self._cache.move_to_end(local)
        return found

    def _keep(self, local: int, one: Decoded) -> None:
        self._cache[local] = one
        self._bytes += _size(one)
        while self._bytes > _CACHE_BYTES and len(self._cache) > _CACHE_LEAST:
            self._bytes -= _size(self._cache.popitem(last=False)[1])

    def forget(self) -> None:
        """The file is another one now."""
        self._cache.clear()
        self._bytes = 0


def _size(one: Decoded) -> int:
    return int(one.values.nbytes + 7 * len(one.exceptions.places))


def _check_size(stored: bytes, schema: Schema) -> None:
    """raises: BadRecord if it would unpack to more than a frame of this schema can have"""
    try:
        size = zstandard.frame_content_size(stored)
    except zstandard.ZstdError as error:
        raise BadRecord("a payload that cannot be unpacked") from error
    if size > 13 * schema.size + 5 * len(schema.sources) + _SLACK:
        raise BadRecord(f"a frame that would unpack to {size} bytes")
