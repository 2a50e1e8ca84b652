"""What of a recording is no number, as it stood at a record: a snapshot, and what changed since."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collectors.readings import NO_REASON, Reason
from collectors.recording.layout import BadRecord, Kind, Tag
from collectors.recording.noted import Allowance, parts_of, read_body, read_reason, reasons_in
from collectors.recording.segment import Segment
from collectors.recording.state import ITEMS_MOST, ORDER, applied
from collectors.recording.table import UNTOLD

_TELLING = (Tag.SNAPSHOT, Tag.STATE, Tag.REASON, UNTOLD)
_TRIED = 16
"""Snapshots that are tried, from the latest back, where some are damaged."""

_LATER = 16
"""Rows behind the one that is asked for: what these refer to was a frame, also where it is lost."""

_MISSING_MOST = 100_000
"""Lost records that are looked at one by one."""

_BODIES_BYTES = 2 * 2**20
"""Unpacked JSON that is kept read."""

_SINCE_PARTS = 1_500_000
"""Commas and brackets of a snapshot and of what changed since: no more is applied, for each can become an
object in memory."""


class NoState(BadRecord):
    """There is no snapshot that the state at a record could begin at."""


class Stood(NamedTuple):
    """The state at a record; read it before the next one is asked for, which changes it.

    lost_from: seconds, from when on changes are lost, so that some of it may be out of date; None if none are
    """

    state: Mapping[str, Any]
    reasons: Mapping[int, Reason]
    lost_from: float | None


class StateAt:
    """The state at records of one segment. To go on costs what changed; to go back, half a page of events.

    is_cut: there was more of it than is kept
    """

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._rows: NDArray[np.int64] = np.empty(0, np.int64)
        self._snapshots: NDArray[np.int64] = np.empty(0, np.int64)
        self._known = -1
        self._bodies: dict[int, tuple[dict[str, Any] | None, int, int]] = {}
        self._bytes = 0
        self._base = self._place = -2
        self._state: dict[str, Any] = {}
        self._reasons: dict[int, Reason] = {}
        self._lost_from: float | None = None
        self._parts = 0
        self.is_cut = False

    def at(self, row: int) -> Stood:
        """As it stood at a row of the table. raises: NoState if no snapshot before it can be read"""
        self._look()
        last = int(np.searchsorted(self._rows, row, "right"))
        base = self._snapshot_before(row)
        self._segment.compare(max(base, 0), row + 1)
        if base < 0:
            raise NoState("a frame whose state is lost: there is no snapshot before it")
        if base != self._base or last < self._place:
            self._restart(base)
        for place in range(self._place, last):
            self._apply(int(self._rows[place]))
        self._place = last
        return Stood(self._state, self._reasons, self._lost_from or self._missing(row))

    def snapshots(self) -> NDArray[np.int64]:
        """Rows of the snapshots."""
        self._look()
        return self._snapshots

    def snapshot(self, row: int, allowance: Allowance) -> Mapping[str, Any]:
        """The state that a snapshot tells; nothing where it is damaged, or over the allowance."""
        body, size, _ = self._body(row)
        return applied({}, body if body is not None and allowance.takes(size) else {})

    def _look(self) -> None:
        table = self._segment.table
        if table.rows == self._known:
            return
        events = table.kind == Kind.EVENT
        self._rows = np.flatnonzero(events & np.isin(table.tag, _TELLING))
        self._snapshots = self._rows[table.tag[self._rows] == Tag.SNAPSHOT]
        self._known = table.rows
        self._base = -2

    def _snapshot_before(self, row: int) -> int:
        """The row of the latest snapshot that can be read; -1 if there is none."""
        place = int(np.searchsorted(self._snapshots, row, "right"))
        for one in self._snapshots[:place][::-1][:_TRIED]:
            if self._body(int(one))[0] is not None:
                return int(one)
        return -1

    def _restart(self, base: int) -> None:
        table = self._segment.table
        self._base, self._lost_from, self._parts = base, None, 0
        self._state, self._reasons = {}, {0: NO_REASON}
        self._place = 0 if base < 0 else int(np.searchsorted(self._rows, base, "left"))
        if base < 0 and table.rows and table.seq[0] > 0:
            self._lost_from = int(table.t_wall[0]) / 1e6

    def _stands_before(self, row: int) -> bool:
        """Whether a row is a snapshot right behind another one, which can be read."""
        tags = self._segment.table.tag
        is_second = row - 1 in self._snapshots and tags[row] == Tag.SNAPSHOT
        return is_second and self._body(row - 1)[0] is not None

    def _apply(self, row: int) -> None:
        table = self._segment.table
        (body, _, parts), tag = self._body(row), table.tag[row]
        if tag == Tag.SNAPSHOT and body is not None:
            self._parts = 0
        self._parts += parts
        if self._parts > _SINCE_PARTS:
            self.is_cut, body = True, None
        if body is None:
            # A reason that is lost is told as such wherever it is used; the first snapshot stands twice.
            if tag != Tag.REASON and not self._stands_before(row):
                self._lost_from = self._lost_from or int(table.t_wall[row]) / 1e6
        elif tag == Tag.SNAPSHOT:
            self._state, self._reasons, self._lost_from = applied({}, body), reasons_in(body), None
            self._look_for_cut()
        elif tag == Tag.STATE:
            applied(self._state, body)
            self._look_for_cut()
        elif tag == Tag.REASON and (
            found := read_reason(body.get("id"), body.get("code"), body.get("parameters"))
        ):
            self._reasons[found[0]] = found[1]

    def _look_for_cut(self) -> None:
        if any(len(items) >= ITEMS_MOST for name, items in self._state.items() if name != ORDER):
            self.is_cut = True

    def _missing(self, row: int) -> float | None:
        """When records were lost between the snapshot and `row`: any of them can have been a change."""
        table, base = self._segment.table, max(self._base, 0)
        first, last = int(table.seq[base]), int(table.seq[row])
        if last - first == row - base:
            return None
        near = slice(base, row + _LATER)
        known = table.seq[base : row + 1]
        gone = np.setdiff1d(np.arange(first, min(last, first + _MISSING_MOST), dtype=np.int64), known)
        # What others refer to was a frame, and no change.
        gone = gone[~np.isin(gone, table.ref_seq[near]) & ~np.isin(gone, table.key_seq[near])]
        if not len(gone):
            return None if last - first < _MISSING_MOST else int(table.t_wall[base]) / 1e6
        return int(table.t_wall[base + int(np.searchsorted(known, gone[0])) - 1]) / 1e6

    def _body(self, row: int) -> tuple[dict[str, Any] | None, int, int]:
        """What an event says, None where it is damaged; its bytes, and its commas and brackets."""
        if known := self._bodies.get(row):
            return known
        body, size, parts = None, 0, 0
        try:
            data = self._segment.payload(row)
            body, size, parts = read_body(data), len(data), parts_of(data)
        except BadRecord:
            pass  # told by `lost_from`; kept, so that it is not read again for each frame
        self._bytes += size
        while self._bytes > _BODIES_BYTES and self._bodies:
            oldest = next(iter(self._bodies))
            self._bytes -= self._bodies.pop(oldest)[1]
        self._bodies[row] = body, size, parts
        return self._bodies[row]
