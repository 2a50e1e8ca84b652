"""The records of a file as columns of numbers, and the INDEX pages that they are read from."""

from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collectors.recording.layout import HLEN, INDEX_COLUMNS, INDEX_HEAD, BadRecord

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
