"""The records of a file as columns of numbers, and the INDEX pages that they are read from."""

from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collectors.recording.layout import HLEN, INDEX_COLUMNS, INDEX_HEAD, BadRecord

TIME_MOST = 32_503_680_000 * 10**6
"""The year 3000, in µs: no recording is from before 1970 or from after this."""

UNTOLD = 255
"""Stands for a tag that could not be read."""

PAGE_MOST = 65_536
"""Records that one INDEX may list; a writer lists about 512."""

_TYPES = tuple(np.dtype(wire).newbyteorder("=") for _, wire in INDEX_COLUMNS)
_TABLE_TYPES = (np.dtype(np.int64), *_TYPES[1:])


class Table(NamedTuple):
    """A file's records in order, a column each: offset and size of the whole record, the rest as in `Record`;
    tag of EVENT, ACTION and MARK."""

    offset: NDArray[np.int64]
    size: NDArray[np.uint32]
    seq: NDArray[np.uint32]
    key_seq: NDArray[np.uint32]
    ref_seq: NDArray[np.uint32]
    t_wall: NDArray[np.int64]
    t_mono: NDArray[np.int64]
    kind: NDArray[np.uint8]
    tag: NDArray[np.uint8]

    @property
    def rows(self) -> int:
        """How many records."""
        return len(self.offset)

    @property
    def end(self) -> int:
        """Offset behind the last record."""
        return int(self.offset[-1]) + int(self.size[-1])

    def covers(self, start: int, end: int) -> bool:
        """Whether no byte of [start, end) and no number is left out between its records."""
        ends = self.offset + self.size.astype(np.int64)
        return bool(
            self.rows
            and int(self.offset[0]) == start
            and int(ends[-1]) == end
            and (ends[:-1] == self.offset[1:]).all()
            and (np.diff(self.seq.astype(np.int64)) == 1).all()
        )

    def lists(self, others: "Table") -> bool:
        """Whether all of the other's records, whose offsets rise, are in it just so, but for tags untold."""
        others = others.only(others.tag != UNTOLD)
        places = np.minimum(np.searchsorted(self.offset, others.offset), max(self.rows - 1, 0))
        return not others.rows or bool(
            self.rows
            and all((getattr(self, name)[places] == getattr(others, name)).all() for name in self._fields)
        )

    def only(self, wanted: NDArray[np.bool_]) -> "Table":
        """Some of its rows."""
        return _of_columns([column[wanted] for column in self])


def joined(parts: Sequence[Sequence[NDArray[Any]]]) -> Table:
    """One table of several, each in columns."""
    if not parts:
        return of_rows(array("q"))
    return _of_columns([np.concatenate([part[at] for part in parts]) for at in range(len(INDEX_COLUMNS))])


def _of_columns(columns: Sequence[NDArray[Any]]) -> Table:
    return Table(*columns)


def of_rows(numbers: "array[int]") -> Table:
    """A table of rows, one after another: as many objects as rows would cost a hundred MB."""
    rows = np.frombuffer(numbers, np.int64).reshape(-1, len(INDEX_COLUMNS))
    columns = (column.astype(kind) for column, kind in zip(rows.T, _TABLE_TYPES, strict=True))
    return Table(*columns)


def resized(known: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """As much of it as there is now, and false for what is new."""
    return np.concatenate((known[:size], np.zeros(max(size - len(known), 0), np.bool_)))


def read_page(payload: bytes, first: int, end: int) -> tuple[int | None, Table]:
    """What an INDEX lists, and the offset of the INDEX before it, None if it is the first.

    raises: BadRecord if it cannot be of records in [first, end), in order
    """
    if len(payload) < INDEX_HEAD.size:
        raise BadRecord("an index without a head")
    count, _, previous, _ = INDEX_HEAD.unpack_from(payload)
    width = sum(kind.itemsize for kind in _TYPES)
    if not 0 < count <= PAGE_MOST or len(payload) < INDEX_HEAD.size + width * count:
        raise BadRecord("an index that is shorter than it says")
    columns: list[NDArray[Any]] = []
    at = INDEX_HEAD.size
    for (_, wire), kind in zip(INDEX_COLUMNS, _TABLE_TYPES, strict=True):
        columns.append(np.frombuffer(payload, wire, count, at).astype(kind, copy=False))
        at += np.dtype(wire).itemsize * count
    offsets, sizes = columns[0], columns[1]
    low = previous or first
    if not first <= low < end or int(offsets[0]) < low or int(offsets.max()) >= end:
        raise BadRecord("an index that points out of its stretch")
    ends = offsets + sizes.astype(np.int64)
    if (sizes < HLEN).any() or (ends[:-1] > offsets[1:]).any() or int(ends[-1]) > end:
        raise BadRecord("an index of records that overlap")
    return previous or None, Table(*columns)
