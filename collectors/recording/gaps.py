"""Stretches of which nothing is recorded, or of which it is damaged."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from collectors.recording.layout import BadRecord, Kind, Tag
from collectors.recording.noted import NOTE_BYTES, Allowance, read_body
from collectors.recording.segment import Segment
from collectors.sessions import Gap
from collectors.text import clean

GAPS_MOST = 2_000
"""Gaps that are told."""

_READ_BYTES = 4 * 2**20

PAUSE_S = 5.0
"""Between two runs: a shorter time is no gap."""


def gaps_of(segment: Segment) -> list[Gap]:
    """Those within a segment, in order of its records."""
    table = segment.table
    walls = table.t_wall
    found: list[tuple[int, Gap]] = []
    for row in np.flatnonzero(np.diff(table.seq.astype(np.int64)) > 1)[:GAPS_MOST].tolist():
        lost = int(table.seq[row + 1]) - int(table.seq[row]) - 1
        why = f"{lost} record{'s are' if lost > 1 else ' is'} damaged"
        found.append((row, _gap(walls[row], walls[row + 1], why)))
    told = np.flatnonzero(
        (table.kind == Kind.EVENT) & np.isin(table.tag, (Tag.GAP, Tag.DROPPED, Tag.RUN_START))
    )
    allowance = Allowance(_READ_BYTES)
    said = ((row, _told(segment, row, allowance)) for row in told[:GAPS_MOST].tolist())
    found += [(row, gap) for row, gap in said if gap is not None]
    found += _lost(segment)
    return [gap for _, gap in sorted(found, key=lambda one: one[0]) if gap.end > gap.start]


def _told(segment: Segment, row: int, allowance: Allowance) -> Gap | None:
    """What an event tells; from the record before it, where it does not say."""
    table = segment.table
    if row == 0:
        return None
    before, now = table.t_wall[row - 1], table.t_wall[row]
    if table.tag[row] == Tag.RUN_START:
        is_pause = now - before > PAUSE_S * 1e6
        return _gap(before, now, "nobody recorded") if is_pause else None
    body: Mapping[str, Any] = {}
    try:
        data = b"" if allowance.is_spent else segment.payload(row)
        if allowance.takes(len(data)) and 0 < len(data) <= NOTE_BYTES:
            body = read_body(data)
    except BadRecord:
        pass  # when it was is known all the same
    start, end = _time(body, ("start", "from", "since")), _time(body, ("end", "to", "until"))
    why = next((body[name] for name in ("why", "text") if isinstance(body.get(name), str)), "")
    return Gap(
        int(before) / 1e6 if start is None else start,
        int(now) / 1e6 if end is None else end,
        clean(why, 256) or "the recorder says that it could not write",
    )


def _time(body: Mapping[str, Any], names: Sequence[str]) -> float | None:
    for name in names:
        found = body.get(name)
        if isinstance(found, int | float) and not isinstance(found, bool) and 0 <= found < 1e11:
            return float(found)
    return None


def _lost(segment: Segment) -> list[tuple[int, Gap]]:
    """Runs of frames that cannot be decoded: from the last good one before to the first good one behind."""
    if not segment.unreadable.any():
        return []
    rows, walls = segment.frame_rows, segment.table.t_wall
    edges = np.flatnonzero(np.diff(np.concatenate(([False], segment.unreadable, [False])).astype(np.int8)))
    found = []
    for first, behind in edges.reshape(-1, 2)[:GAPS_MOST].tolist():
        start = rows[max(first - 1, 0)]
        end = rows[behind] if behind < len(rows) else len(walls) - 1
        count = behind - first
        why = f"{count} frame{'s' if count > 1 else ''} cannot be read: damaged"
        found.append((int(start), _gap(walls[start], walls[end], why)))
    return found


def _gap(start: np.int64, end: np.int64, why: str) -> Gap:
    return Gap(int(start) / 1e6, int(end) / 1e6, why)
