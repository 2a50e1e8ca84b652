"""The records of a stretch of a file as a table, from their headers alone: no INDEX is asked."""

import zlib
from array import array
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collectors.recording.codec import unpacked_text
from collectors.recording.layout import (
    FILE_HEADER,
    HEADER_MOST,
    HLEN,
    NOTED,
    ZSTD,
    BadRecord,
    FileHeader,
    Kind,
    RecordingError,
)
from collectors.recording.noted import read_json, tag_of
from collectors.recording.payload import payload_at
from collectors.recording.table import UNTOLD, Table, joined, of_rows
from collectors.recording.walk import RUN_LEAST, Ahead, Budget, Damage, File, run_at, walked

# A member of an enumeration is looked up each time that it is named.
_NOTED = frozenset(map(int, NOTED))
_STEPS = 16
_RUN_MOST = 4096


def scanned(
    file: File, first: int, start: int, end: int, budget: Budget, seq: int = -1
) -> tuple[Table, list[Damage]]:
    """The records in [start, end), as far as the budget goes, and the bytes between them that are none.

    first: offset of the file's first record; seq: number of the one before `start`, -1 where it is not known
    """
    parts: list[Table] = []
    damages: list[Damage] = []
    at, ahead, most = start, Ahead(file), RUN_LEAST
    while not budget.is_spent:
        offsets, headers, is_cut = run_at(ahead, at, end, seq, budget, most)
        # Near damage little is looked at in vain.
        most = RUN_LEAST if is_cut else min(2 * most, _RUN_MOST)
        if len(offsets):
            part = _of_run(ahead, offsets, headers)
        else:
            part, passed = _stepped(ahead, first, at, end, budget, seq)
            damages += passed
        if not part.rows:
            break
        parts.append(part)
        at, seq = part.end, int(part.seq[-1])
    # What is behind the last record of a file can still become one.
    if at < end < file.size:
        damages.append(Damage(at, end - at, "not searched" if budget.is_spent else "damaged"))
    return joined(parts), damages


def repeated_header(file: File, said: str) -> tuple[FileHeader, int]:
    """A file header from a SCHEMA, which repeats it, and the offset of the first record.

    said: what is wrong with the header itself; raises: RecordingError if there is none near the beginning
    """
    first = -1
    limit = min(file.size, FILE_HEADER.size + 8 * HEADER_MOST)
    ahead = Ahead(file)
    for place in walked(ahead, 0, limit, Budget(headers=20_000, bytes=8 * HEADER_MOST)):
        first = place.offset if first < 0 else first
        if place.record.kind != Kind.SCHEMA:
            continue
        try:
            found = read_json(payload_at(ahead, place))
        except BadRecord:
            continue
        facts = found.get("header") if isinstance(found, dict) else None
        if isinstance(facts, dict):
            return FileHeader(facts), first
    if first < 0:
        raise RecordingError(f"{file.path} is no recording of tidegate: {said}")
    raise RecordingError(
        f"{file.path} cannot be read: {said}, and no schema repeats it. "
        "`tidegate recording verify` tells what else is in it"
    )


def _stepped(
    ahead: Ahead, first: int, start: int, end: int, budget: Budget, seq: int
) -> tuple[Table, list[Damage]]:
    """The next records in [start, end), one by one, with the way back after damage."""
    rows = array("q")
    damages = []
    after = start
    for offset, record in islice(walked(ahead, start, end, budget, seq, first), _STEPS):
        if offset > after:
            damages.append(Damage(after, offset - after))
        size = record.size
        after = offset + size
        payload = ahead.read(offset + record.hlen, record.stored) if record.kind in _NOTED else b""
        tag = _tag(payload, record.kind, record.flags, record.stored, record.pcrc)
        rows.extend((offset, size, *record[3:8], record.kind, tag))
    return of_rows(rows), damages


def _of_run(ahead: Ahead, offsets: NDArray[np.int64], headers: NDArray[Any]) -> Table:
    """Records one behind the other, as `run_at` gives them."""
    sizes = headers["stored"] + np.uint32(HLEN)
    start, end = int(offsets[0]), int(offsets[-1]) + int(sizes[-1])
    data, begin = ahead.at(start, end - start)
    payloads = (
        data[at + HLEN : at + size]
        for at, size in zip((offsets - start + begin).tolist(), sizes.tolist(), strict=True)
    )
    told = (headers[name].tolist() for name in ("kind", "flags", "stored", "pcrc"))
    tags = np.fromiter(map(_tag, payloads, *told), np.uint8, len(offsets))
    columns = (headers[name] for name in ("seq", "key_seq", "ref_seq", "t_wall", "t_mono", "kind"))
    return joined([[offsets, sizes, *columns, tags]])


def _tag(payload: bytes, kind: int, flags: int, stored: int, pcrc: int) -> int:
    """Of a record with this payload as it is stored; 0 of a kind that has none."""
    if kind not in _NOTED:
        return 0
    if len(payload) < stored or zlib.crc32(payload) != pcrc:
        return UNTOLD
    try:
        return tag_of(unpacked_text(payload) if flags & ZSTD else payload)
    except BadRecord:
        return UNTOLD
