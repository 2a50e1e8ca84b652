"""Whether a table that was read from an INDEX tells what stands in the file, by the records themselves.

An INDEX can be whole and say what is not so. The header of each record tells the same once more.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from collectors.recording.layout import (
    HAPPENED,
    HLEN,
    HLEN_MOST,
    NOTED,
    BadRecord,
    Footer,
    Kind,
    Record,
    Tag,
    unpack_record,
)
from collectors.recording.noted import Allowance, tag_of
from collectors.recording.table import TIME_MOST, Table
from collectors.recording.walk import HEADER, File

_NOTED = tuple(int(kind) for kind in NOTED)
_AT_ONCE = 8_192
_SAME = ("seq", "key_seq", "ref_seq", "t_mono", "kind")
_READ_ANYWAY = tuple(int(tag) for tag in HAPPENED | {Tag.SNAPSHOT, Tag.STATE, Tag.REASON, Tag.PAST})
"""Tags of EVENTs that are read wherever they matter: it shows then that one is another."""


def is_same(table: Table, row: int, record: Record) -> bool:
    """Whether a row tells what the header of its record does."""
    return bool(
        record.kind == table.kind[row]
        and record.seq == table.seq[row]
        and record.size == table.size[row]
        and min(max(record.t_wall, 0), TIME_MOST) == table.t_wall[row]
        and record.ref_seq == table.ref_seq[row]
        and record.key_seq == table.key_seq[row]
        and record.t_mono == table.t_mono[row]
    )


def is_likely(table: Table, footer: Footer | None) -> bool:
    """Whether a table has the records that the footer counts, and a snapshot before its first frame.

    footer: None where the table is not of the whole file, or there is none
    """
    # The footer does not count itself, which is the last record.
    is_frame = (table.kind >= Kind.KEY) & (table.kind <= Kind.DELTA)
    counts = table.rows - 1, int(is_frame.sum()), int(np.isin(table.kind, _NOTED).sum())
    if footer is not None and counts != (footer.records, footer.frames, footer.events):
        return False
    is_snapshot = (table.kind == Kind.EVENT) & (table.tag == Tag.SNAPSHOT)
    return not is_frame.any() or bool(is_snapshot[: int(np.argmax(is_frame))].any())


def is_contradicted(file: File, table: Table, rows: NDArray[np.int64]) -> bool:
    """Whether the header of a record, one that is whole, tells another thing than its row in the table."""
    return any(_differs(file, table, rows[at : at + _AT_ONCE]) for at in range(0, len(rows), _AT_ONCE))


def _differs(file: File, table: Table, rows: NDArray[np.int64]) -> bool:
    data = b"".join(_head(file, at) for at in table.offset[rows].tolist())
    found = np.frombuffer(data, HEADER)
    differs = found["hlen"].astype(np.int64) + found["stored"] != table.size[rows]
    differs |= np.clip(found["t_wall"], 0, TIME_MOST) != table.t_wall[rows]
    for name in _SAME:
        differs |= found[name] != getattr(table, name)[rows]
    # Where a header is damaged nothing contradicts the INDEX.
    return any(_is_record(file, at) for at in table.offset[rows[differs]].tolist())


def is_unread(table: Table, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of these nobody would read, for what its row tells of it, and so see that it is another."""
    kinds, tags = table.kind[rows], table.tag[rows]
    is_one: NDArray[np.bool_] = np.isin(kinds, _NOTED)
    is_one &= (kinds != Kind.EVENT) | ~np.isin(tags, _READ_ANYWAY)
    return is_one


def has_other_tags(
    table: Table, rows: NDArray[np.int64], payload: Callable[[int], bytes], allowance: Allowance
) -> bool:
    """Whether one of these records has another tag in truth than its row tells.

    payload: of a row, raises BadRecord; allowance: of its bytes
    """
    for row in rows[np.isin(table.kind[rows], _NOTED)].tolist():
        if allowance.is_spent:
            return False
        try:
            data = payload(row)
            if allowance.takes(len(data)) and tag_of(data) != table.tag[row]:
                return True
        except BadRecord:
            continue  # a damaged record contradicts nothing
    return False


def _head(file: File, offset: int) -> bytes:
    try:
        return file.read(offset, HLEN).ljust(HLEN, b"\0")
    except BadRecord:
        return bytes(HLEN)


def _is_record(file: File, offset: int) -> bool:
    try:
        unpack_record(file.read(offset, HLEN_MOST))
    except BadRecord:
        return False
    return True
