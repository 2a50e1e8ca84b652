"""An INDEX of a segment: where its records are, and what each of them is. Source: docs/tgrec.md, "INDEX"."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from collectors.recording.layout import FRAMES, INDEX_COLUMNS, INDEX_HEAD, NOTED, BadRecord

_ENTRY_BYTES = sum(int(form[-1]) for _, form in INDEX_COLUMNS)


class Entry(NamedTuple):
    """One line of an INDEX: where a record is, and what. size: with its header."""

    offset: int
    size: int
    seq: int
    key_seq: int
    ref_seq: int
    t_wall: int
    t_mono: int
    kind: int
    tag: int


class Totals(NamedTuple):
    """What a FOOTER counts, over the whole file. Times in µs; -1: none yet."""

    frames: int = 0
    records: int = 0
    events: int = 0
    first_wall: int = -1
    last_wall: int = -1

    def plus(self, entry: Entry) -> "Totals":
        """With one more record."""
        is_first = self.first_wall < 0
        return Totals(
            self.frames + (entry.kind in FRAMES),
            self.records + 1,
            self.events + (entry.kind in NOTED),
            entry.t_wall if is_first else self.first_wall,
            entry.t_wall,
        )


def packed_index(before: int, chain: bytes, entries: Sequence[Entry]) -> bytes:
    """An INDEX's payload, before compression. before, chain: as `read_index` returns them"""
    columns = (
        np.array([entry[place] for entry in entries], form).tobytes()
        for place, (_, form) in enumerate(INDEX_COLUMNS)
    )
    return INDEX_HEAD.pack(len(entries), 0, before, chain) + b"".join(columns)


def read_index(data: bytes) -> tuple[int, bytes, list[Entry]]:
    """An INDEX's payload: place of the one before (0: none), chain before it, entries. raises: BadRecord"""
    if len(data) < INDEX_HEAD.size:
        raise BadRecord("an index without a head")
    n, _, before, chain = INDEX_HEAD.unpack_from(data)
    if len(data) < INDEX_HEAD.size + n * _ENTRY_BYTES:
        raise BadRecord("an index that is shorter than it says")
    at, columns = INDEX_HEAD.size, []
    for _, form in INDEX_COLUMNS:
        column = np.frombuffer(data, form, n, at)
        columns.append(column.tolist())
        at += column.nbytes
    return before, chain, [Entry(*row) for row in zip(*columns, strict=True)]
