"""A segment of a recording with all that reads it: decoder, states, gaps."""

from collections.abc import Container
from dataclasses import replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from collectors.fleet import Event, Frame, Past
from collectors.readings import Reason
from collectors.recording.built import Builder
from collectors.recording.decode import Decoder
from collectors.recording.gaps import gaps_of
from collectors.recording.layout import HAPPENED, HLEN, NOTED, BadRecord, Kind, Tag
from collectors.recording.noted import (
    JSON_MOST,
    NOTE_BYTES,
    PAST_MOST,
    Allowance,
    Noted,
    past_from,
    read_body,
)
from collectors.recording.notes import event_from
from collectors.recording.segment import Segment
from collectors.recording.state import ITEMS_MOST
from collectors.recording.state_at import StateAt
from collectors.recording.table import TIME_MOST, Table
from collectors.recording.window import runs
from collectors.sessions import Gap

# A member of an enumeration is looked up each time that it is named, here once for each of very many rows.
_EVENT, _PAST = int(Kind.EVENT), int(Tag.PAST)
_EVENTS_MOST = 5_000
_DAMAGES_MOST = 16
_HAPPENED_BYTES = 6 * 2**20
"""JSON that is read for the events of one frame: the first one can tell a long past."""


STATE_LOST = Reason(
    "not-exported",
    ("part of the recording is damaged before this: what is no number may be out of date",),
)
"""Stands among a frame's notes until the next snapshot."""


class Part:
    """A segment, and what decodes it.

    frames: how many it counts for in the numbering of its recording
    left_out: what there is more of than is read, in a few words
    """

    def __init__(self, segment: Segment, *, is_eager: bool) -> None:
        """is_eager: read its table now; else its footer is believed, if it has one"""
        self.segment = segment
        self.decoder = Decoder(segment)
        self.states = StateAt(segment)
        self.builder = Builder()
        self.left_out: set[str] = set()
        self._gaps: tuple[int, list[Gap]] = (-1, [])
        footer = segment.footer
        if is_eager or footer is None:
            self.frames = len(segment.frame_rows)
        else:
            self.frames = min(footer.frames, segment.file.size // HLEN)

    def settle(self) -> bool:
        """Read the records one by one where an INDEX was seen to lie. True if what is known is new."""
        if not self.segment.settle():
            return False
        self.decoder.forget()
        self.states = StateAt(self.segment)
        # A number that was given out stays one.
        self.frames = max(self.frames, len(self.segment.frame_rows))
        return True

    def look(self, local: int) -> None:
        """Compare a frame's row with its record's header: its time is taken from there."""
        row = int(self.segment.frame_rows[local])
        self.segment.compare(row, row + 1)

    def local(self, number: int) -> int:
        """The frame of that number, of those that there are in truth; -1 if there is none at all."""
        return min(number, len(self.segment.frame_rows) - 1)

    @property
    def walls(self) -> NDArray[np.int64]:
        """Time of each frame, µs."""
        return self.segment.table.t_wall[self.segment.frame_rows]

    @property
    def span(self) -> tuple[float, float]:
        """Earliest and latest time, seconds; by its footer while its table is not loaded."""
        segment = self.segment
        if not segment.is_loaded and segment.footer is not None:
            first, last = (min(max(at, 0), TIME_MOST) for at in segment.footer[4:6])
            return min(first, last) / 1e6, max(first, last) / 1e6
        walls = segment.table.t_wall
        if not len(walls):
            return segment.t0_wall / 1e6, segment.t0_wall / 1e6
        begin = self.walls if len(segment.frame_rows) else walls
        return int(begin.min()) / 1e6, int(walls.max()) / 1e6

    @property
    def gaps(self) -> list[Gap]:
        """Those that are known of."""
        segment = self.segment
        if not segment.is_loaded:
            return []
        if self._gaps[0] != segment.version:
            self._gaps = segment.version, gaps_of(segment)
        return self._gaps[1]

    @property
    def notices(self) -> list[str]:
        """What is not as it should be, in sentences; by what is known so far."""
        segment = self.segment
        told = list(segment.notices)
        if segment.tail:
            told.append(f"tail of {segment.tail} bytes ignored")
        told += [
            f"{damage.size} bytes at {damage.offset} are {damage.what} and left out"
            for damage in segment.damages[:_DAMAGES_MOST]
        ]
        if lost := int(segment.unreadable.sum()):
            told.append(f"{lost} frames cannot be read: damaged")
        if self.states.is_cut:
            told.append(
                f"more than {ITEMS_MOST:,} alerts, nodes or other items of one kind at one time: "
                "the first ones are shown"
            )
        if segment.file.is_gone:
            told.append("its file was removed: it can be looked at until this is closed")
        if self.left_out:
            told.append(f"left out, for there are too many: {', '.join(sorted(self.left_out))}")
        return told

    def size_of(self, local: int) -> int:
        """Numbers of a frame; 1 if it cannot be read."""
        try:
            return self.decoder.frame(local).schema.size
        except BadRecord:
            return 1

    def within(self, at: float) -> list[int]:
        """Frames that a time can mean: the last one at or before it, of each run of the clock around it."""
        walls = self.walls
        found = []
        for first, behind in runs(walls):
            local = first + int(np.searchsorted(walls[first:behind], micros(at), "right")) - 1
            if local >= first and at <= int(walls[behind - 1]) / 1e6:
                found.append(local)
        return found

    def before(self, at: float) -> tuple[int, int] | None:
        """Time and number of the latest frame at or before `at`; None if all are later."""
        walls = self.walls
        earlier = np.flatnonzero(walls <= micros(at))
        if not len(earlier):
            return None
        # Of several of one time, the last one.
        local = len(earlier) - 1 - int(np.argmax(walls[earlier][::-1]))
        return int(walls[earlier[local]]), int(earlier[local])

    def frame(self, local: int, events: tuple[Event, ...], past: tuple[Past, ...]) -> Frame:
        """A frame, with these events. raises: BadRecord if it is damaged, NoState if no snapshot tells it"""
        decoded = self.decoder.frame(local)
        segment = self.segment
        row = int(segment.frame_rows[local])
        stood = self.states.at(row)
        frame = self.builder.frame(
            decoded.schema,
            decoded.values,
            decoded.times,
            decoded.exceptions,
            stood.reasons,
            stood.state,
            int(segment.table.t_wall[row]) / 1e6,
            segment.t0_wall,
            events,
            past,
        )
        return frame if stood.lost_from is None else replace(frame, notes=(*frame.notes, STATE_LOST))

    def readable(self, local: int) -> int:
        """The frame, or the nearest one before it that is not lost, or behind it; -1 if all are."""
        lost = self.segment.unreadable
        if not lost[local]:
            return local
        before = np.flatnonzero(~lost[:local])
        if len(before):
            return int(before[-1])
        behind = np.flatnonzero(~lost[local:])
        return local + int(behind[0]) if len(behind) else -1

    def note_stateless(self, local: int) -> None:
        """A frame has no state, nor have the others between the snapshots around it."""
        rows, snapshots = self.segment.frame_rows, self.states.snapshots()
        place = int(np.searchsorted(snapshots, rows[local]))
        first = int(np.searchsorted(rows, snapshots[place - 1])) if place else 0
        behind = int(np.searchsorted(rows, snapshots[place])) if place < len(snapshots) else len(rows)
        self.segment.note_stateless(first, behind)

    def happened(self, local: int) -> tuple[tuple[Event, ...], tuple[Past, ...]]:
        """What happened between the frame before and this one."""
        rows, table = self.segment.frame_rows, self.segment.table
        begin = int(rows[local - 1]) + 1 if local else 0
        events: list[Event] = []
        past: list[Past] = []
        self.segment.compare(begin, min(int(rows[local]), begin + _EVENTS_MOST) + 1)
        allowance = Allowance(_HAPPENED_BYTES)
        for row in range(begin, min(int(rows[local]), begin + _EVENTS_MOST)):
            tag = int(table.tag[row])
            if table.kind[row] != _EVENT or not (tag in HAPPENED or tag == _PAST):
                continue
            if (one := self.noted(row, allowance)) is None:
                continue
            if tag == _PAST:
                past += islice(past_from(one.body), PAST_MOST - len(past))
            elif (event := event_from(one.body)) is not None:
                events.append(event)
        if allowance.is_spent:
            self.left_out.add("events at one time")
        return tuple(events), tuple(past)

    def noted(self, row: int, allowance: Allowance | None = None, of: Table | None = None) -> Noted | None:
        """What an EVENT, ACTION or MARK tells; None if it is damaged, too long, or over the allowance.

        of: the table that the row was found in; since then the segment can have been given another one
        """
        table = self.segment.table
        if of is not None and of is not table and (row := self.segment.row_of(int(of.seq[row]))) < 0:
            return None
        try:
            data = self.segment.payload(row)
            is_left_out = allowance is not None and not allowance.takes(len(data))
            if is_left_out or len(data) > (JSON_MOST if table.tag[row] == _PAST else NOTE_BYTES):
                return None
            body = read_body(data)
        except BadRecord:
            return None
        at, kind, tag, seq = table.t_wall[row], table.kind[row], table.tag[row], table.seq[row]
        return Noted(int(at) / 1e6, int(kind), int(tag), int(seq), body)

    def noted_rows(
        self, start: float, end: float, kinds: Container[Kind], tags: Container[int] | None
    ) -> NDArray[np.int64]:
        """Rows of EVENTs, ACTIONs and MARKs of a stretch of time, in order."""
        table = self.segment.table
        wanted = [int(kind) for kind in NOTED if kind in kinds]
        is_one = np.isin(table.kind, wanted) & (table.t_wall >= micros(start)) & (table.t_wall <= micros(end))
        if tags is not None:
            is_one &= np.isin(table.tag, [tag for tag in range(256) if tag in tags])
        return np.flatnonzero(is_one)


def micros(at: float) -> int:
    """Seconds in µs, rounded: floats are not exact."""
    return round(min(max(at, -1.0), 1e11) * 1e6) if at == at else -1
