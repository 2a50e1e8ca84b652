"""A recording, open for reading: its frames by number and by time, windows of it, and what else it tells.

Nothing is written, but bookmarks beside the file. Whatever a file holds, only RecordingError comes of it.
Not for two threads at once. Source: docs/tgrec.md, "Reader".
"""

import bisect
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np

from collectors.fleet import Event, Frame, Past
from collectors.recording import marks as sidecars
from collectors.recording.folder import following, newest
from collectors.recording.gaps import GAPS_MOST, PAUSE_S
from collectors.recording.layout import NOTED, BadRecord, FileHeader, Kind, RecordingError, Tag
from collectors.recording.noted import Allowance, Noted
from collectors.recording.notes import mark_from, view_from
from collectors.recording.parts import Part, micros
from collectors.recording.segment import Segment
from collectors.recording.state_at import NoState, StateAt
from collectors.recording.table import Table
from collectors.recording.window import WORK_MOST, Stretch, Window
from collectors.sessions import Gap, Mark, Timeline, View

EAGER = 3
"""Segments whose tables are read at once: of more, they are read when they are needed."""

TABLES_MOST = 1_500_000
"""Records of all tables that are kept in memory."""

MARKS_MOST = 10_000
"""Bookmarks in one recording that are shown: of more, the first ones."""

NOTED_BYTES, LATEST_BYTES, THINNED_BYTES, MARKS_BYTES = 256 * 2**20, 16 * 2**20, 8 * 2**20, 4 * 2**20
"""JSON that is read at once: on the way through all, back from a time, for a timeline, for bookmarks."""

T = TypeVar("T")

Row: TypeAlias = tuple[Part, Table, int]
"""A row of a segment's table as it was found: what is read meanwhile can show that the table is wrong."""

_SLACK_S = 60.0
_TRIES = 64


class Recording:
    """Frames are numbered from 0 over all segments; a frame that is damaged keeps its number.

    header: of the first segment; id: of the recording; notices: sentences on what is not as it should be
    """

    def __init__(self, path: Path, segments: Sequence[Segment], notices: Sequence[str] = ()) -> None:
        """Of open segments, in order. Use `open`."""
        self.path = path
        self._notices = tuple(notices)
        is_eager = len(segments) <= EAGER
        # The last one can grow, and is the likeliest to be looked at.
        self.parts = [Part(one, is_eager=is_eager or one is segments[-1]) for one in segments]
        self._chains = self._broken_chains()
        self._gaps_key: tuple[int, ...] | None = None
        self._gaps: tuple[Gap, ...] = ()
        self._number()

    @classmethod
    def open(cls, path: Path) -> "Recording":
        """A file, or of a folder all segments of its newest recording.

        raises: RecordingError if there is none that can be read; NewerFormat if it needs a newer reader
        """
        segments: list[Segment] = []
        try:
            if not path.is_dir():
                segments = [Segment(path)]
                return cls(path, segments)
            segments, notices = newest(path)
            return cls(path, segments, notices)
        except BadRecord as error:
            _close(segments)
            raise RecordingError(f"{path} cannot be read: {error}") from error
        except BaseException:
            _close(segments)
            raise

    @property
    def header(self) -> FileHeader:
        """Of the first segment."""
        return self.parts[0].segment.header

    @property
    def id(self) -> str:
        """Of the recording."""
        return self.parts[0].segment.id

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Its files, in order."""
        return tuple(part.segment for part in self.parts)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Of its files, in order."""
        return tuple(one.path for one in self.segments)

    @property
    def start(self) -> float:
        """Earliest recorded time, seconds."""
        return min(part.span[0] for part in self.parts)

    @property
    def end(self) -> float:
        """Latest recorded time, seconds."""
        return max(part.span[1] for part in self.parts)

    @property
    def frames(self) -> int:
        """How many there are."""
        return self._starts[-1]

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(part.segment.file.size for part in self.parts)

    @property
    def is_closed(self) -> bool:
        """Whether it was brought to its end; what is not can still grow."""
        return self.parts[-1].segment.footer is not None

    @property
    def notices(self) -> tuple[str, ...]:
        """What is not as it should be, in sentences; by what is known so far."""
        told = list(self._notices) + self._chains
        for part in self.parts:
            name = f"{part.segment.path.name}: " if len(self.parts) > 1 else ""
            told += [name + one for one in part.notices]
        return tuple(told)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Stretches of which nothing was recorded or can be read, as far as is known, in order of time."""
        key = tuple(part.segment.version for part in self.parts)
        if key != self._gaps_key:
            found = self._true(lambda: [gap for part in self.parts for gap in part.gaps] + self._between())
            key = tuple(part.segment.version for part in self.parts)
            self._gaps, self._gaps_key = tuple(sorted(found)[:GAPS_MOST]), key
        return self._gaps

    def index_at(self, at: float) -> int:
        """Number of the last frame at or before `at`; 0 before the first.

        Of a time that the clock told twice, the later one; see `times_at`.
        """
        return self._true(lambda: self._index_at(at))

    def _index_at(self, at: float) -> int:
        if found := self._times_at(at):
            return found[-1]
        best = (-1, 0)
        for place, part in enumerate(self.parts):
            # What ends before the best one so far need not be read.
            can_be = part.frames and part.span[0] <= at and part.span[1] * 1e6 >= best[0]
            if can_be and (one := part.before(at)) is not None:
                best = max(best, (one[0], self._starts[place] + min(one[1], part.frames - 1)))
                part.look(one[1])
        return best[1]

    def times_at(self, at: float) -> tuple[int, ...]:
        """Numbers of the frames that a time can mean: more than one where the clock was set back."""
        return self._true(lambda: self._times_at(at))

    def _times_at(self, at: float) -> tuple[int, ...]:
        found = []
        for start, part in zip(self._starts[:-1], self.parts, strict=True):
            if part.frames and part.span[0] <= at <= part.span[1]:
                for local in part.within(at):
                    part.look(local)
                    found.append(start + min(local, part.frames - 1))
        return tuple(found)

    def time_of(self, number: int) -> float:
        """Recorded time of a frame, seconds. raises: RecordingError if there is no such frame"""
        return self._true(lambda: self._time_of(number))

    def _time_of(self, number: int) -> float:
        part, local = self._placed(number)
        part.look(local)
        return int(part.walls[local]) / 1e6

    def frame(self, number: int) -> Frame:
        """A frame, with the events since the one before it.

        In place of one that is damaged stands the last one before it that can be read, else the first one
        behind it, with its own time; `gaps` then tells of it.
        raises: RecordingError if there is no such frame, or none of its segment can be read
        """
        return self._true(lambda: self._shown(number))

    def _shown(self, number: int) -> Frame:
        part, local = self._placed(number)
        return self._built(number, part, local, *part.happened(local))

    def picture(self, number: int) -> Frame:
        """As `frame`, without what happened before it: that can be a hundred times as much to read."""
        return self._true(lambda: self._built(number, *self._placed(number)))

    def _built(
        self, number: int, part: Part, local: int, events: tuple[Event, ...] = (), past: tuple[Past, ...] = ()
    ) -> Frame:
        for _ in range(_TRIES):
            near = part.readable(local)
            if near < 0:
                break
            try:
                return part.frame(near, events, past)
            except NoState:
                part.note_stateless(near)
            except BadRecord:
                part.segment.note_lost(near)
        raise RecordingError(
            f"{part.segment.path}: no frame near number {number + 1} can be read. "
            "`tidegate recording verify` tells why"
        )

    def numbered(self) -> Iterator[tuple[int, Part]]:
        """Each segment, with the number of its first frame. Where it is damaged, its own frames can be fewer
        than count, or more."""
        for place, part in enumerate(self.parts):
            # Who goes through all of it has no use for a table that becomes another on the way.
            part.segment.compare_tags()
            self._compare(part)
            yield self._starts[place], part

    def window(self, first: int, last: int) -> Window:
        """The frames from number `first` to `last` as numbers. raises: RecordingError"""
        return self._true(lambda: self._window(first, last))

    def _window(self, first: int, last: int) -> Window:
        first, last = max(first, 0), min(last, self.frames - 1)
        stretches = []
        for place, part in enumerate(self.parts):
            low, high = max(first, self._starts[place]), min(last, self._starts[place + 1] - 1)
            if low <= high:
                begin, end = part.local(low - self._starts[place]), part.local(high - self._starts[place])
                stretches.append(Stretch(part.segment, part.decoder, np.arange(begin, end + 1)))
        share = WORK_MOST // max(len(stretches), 1)
        return Window([one.within(share) for one in stretches], self._gaps_between)

    def noted(
        self,
        start: float,
        end: float,
        kinds: Container[Kind] = NOTED,
        tags: Container[int] | None = None,
    ) -> Iterator[Noted]:
        """EVENTs, ACTIONs and MARKs from `start` to `end`, both included, in order of their numbers.

        Those of no such kind or tag are not read; those that are damaged are left out.
        """
        return _read(self._noted_rows(start, end, kinds, tags), NOTED_BYTES)

    def times_noted(
        self, start: float, end: float, kinds: Container[Kind], tags: Container[int]
    ) -> Iterator[float]:
        """When they were, as `noted`; nothing of them is read."""
        for _, table, row in self._noted_rows(start, end, kinds, tags):
            yield int(table.t_wall[row]) / 1e6

    def noted_before(
        self, until: float, kinds: Container[Kind] = NOTED, tags: Container[int] | None = None
    ) -> Iterator[Noted]:
        """As `noted`, of all up to `until`, the latest first: of each segment by time."""
        return _read(self._rows_before(until, kinds, tags), LATEST_BYTES)

    def thinned(
        self, start: float, end: float, kinds: Container[Kind], tags: Container[int], most: int
    ) -> Iterator[Noted]:
        """As `noted`, no more than `most`: of more, every second, third ... one."""
        rows = list(self._noted_rows(start, end, kinds, tags))
        return _read(rows[:: max(1, -(-len(rows) // most))], THINNED_BYTES)

    def view_at(self, at: float, number: int | None = None) -> View | None:
        """What the operator looked at; None where it was not recorded.

        number: of the frame that is shown then, where the clock told that time more than once
        """
        if not self.frames:
            return None
        part, local = self._placed(self.index_at(at) if number is None else number)
        segment = part.segment
        table, rows = segment.table, segment.frame_rows
        behind = int(rows[local + 1]) if local + 1 < len(rows) else table.rows
        views = np.flatnonzero((table.kind[:behind] == Kind.EVENT) & (table.tag[:behind] == Tag.VIEW))
        for row in views[::-1][:64].tolist():
            is_later = row > rows[local] and int(table.t_wall[row]) > micros(at)
            if is_later or (one := part.noted(row)) is None:
                continue
            return view_from(one.body)
        return None

    def timeline(self, parts: int) -> Timeline:
        """The recording at a glance, in so many equal parts. raises: RecordingError"""
        from collectors.recording.timeline import timeline

        for part in self.parts:
            self._compare(part)
        return timeline(self, parts)

    def marks(self) -> tuple[Mark, ...]:
        """Bookmarks in the recording and beside its files, in order of time."""
        found: list[Mark] = []
        for one in _read(self._noted_rows(self.start, self.end, {Kind.MARK}, None), MARKS_BYTES):
            if len(found) >= MARKS_MOST:
                self.parts[0].left_out.add("bookmarks")
                break
            if (mark := mark_from(one.body)) is not None:
                found.append(mark)
        for part in self.parts:
            beside = sidecars.read_marks(part.segment.path, part.segment.id)
            found += [one.mark for one in beside if one.segment == part.segment.number]
        return tuple(sorted(set(found)))

    def add_mark(self, mark: Mark, number: int | None = None) -> None:
        """Keep a bookmark beside the file; number: as in `view_at`.

        raises: RecordingError if that cannot be done
        """
        part, local = self._placed(self.index_at(mark.at) if number is None else number)
        segment = part.segment
        if segment.file.is_gone:
            raise RecordingError(f"{segment.path} was removed: no bookmark can be kept beside it")
        row = segment.frame_rows[local]
        seq, t_mono = int(segment.table.seq[row]), max(int(segment.table.t_mono[row]), 0)
        sidecars.add_mark(segment.path, sidecars.Marked(mark, segment.id, segment.number, seq, t_mono))

    def refresh(self) -> bool:
        """Read on in a recording that is still written. True if there is more than before.

        raises: RecordingError, NewerFormat
        """
        part = self.parts[-1]
        had, was = part.segment.frame_rows, part.segment.table.rows
        has_grown = part.segment.refresh()
        if part.segment.table.rows < was or len(part.segment.frame_rows) < len(had):
            part.decoder.forget()
            part.states = StateAt(part.segment)
        part.frames = len(part.segment.frame_rows)
        if self.path.is_dir():
            more = following(self.path, part.segment)
            self.parts += [Part(one, is_eager=True) for one in more]
            has_grown = has_grown or bool(more)
        self._number()
        return has_grown

    def close(self) -> None:
        """Let go of the files. Safe to call twice."""
        _close(self.segments)

    def _true(self, work: Callable[[], T]) -> T:
        """What `work` gives, done again where a record that it read told that an INDEX lies."""
        while True:
            try:
                found = work()
            except RecordingError:
                if not self._settle():
                    raise
                continue
            if not self._settle():
                return found

    def _settle(self) -> bool:
        """True if what is known of a segment is new: each INDEX is given up once at most."""
        settled = [part.settle() for part in self.parts]
        if any(settled):
            self._number()
        return any(settled)

    def _compare(self, part: Part) -> None:
        """Look at the header of every record: who searches for a kind reads no others."""
        part.segment.compare()
        self._settle()

    def _number(self) -> None:
        self._starts = [0]
        for part in self.parts:
            self._starts.append(self._starts[-1] + part.frames)
        self._gaps_key = None

    def _placed(self, number: int) -> tuple[Part, int]:
        """The segment of a frame, loaded, and the frame's number in it. raises: RecordingError"""
        if not 0 <= number < self.frames:
            raise RecordingError(f"{self.path} has {self.frames} frames: there is no number {number}")
        place = bisect.bisect_right(self._starts, number) - 1
        part = self.parts[place]
        self._make_room(part)
        local = part.local(number - self._starts[place])
        if local < 0:
            raise RecordingError(f"{part.segment.path}: its footer tells of frames, and it has none")
        return part, local

    def _make_room(self, part: Part) -> None:
        """Forget tables of others, where all would take too much memory."""
        if part.segment.is_loaded:
            return
        others = [one for one in self.parts[:-1] if one.segment.is_loaded]
        while others and sum(one.segment.table.rows for one in others) > TABLES_MOST:
            gone = others.pop(0)
            gone.segment.unload()

    def _noted_rows(
        self, start: float, end: float, kinds: Container[Kind], tags: Container[int] | None
    ) -> Iterator[Row]:
        for part in self.parts:
            begin, stop = part.span
            # Notes can come before the first frame, and a footer's times are of other records.
            if end >= begin - _SLACK_S and start <= stop + _SLACK_S:
                self._compare(part)
                table = part.segment.table
                for row in part.noted_rows(start, end, kinds, tags).tolist():
                    yield part, table, row

    def _rows_before(
        self, until: float, kinds: Container[Kind], tags: Container[int] | None
    ) -> Iterator[Row]:
        for part in reversed(self.parts):
            if until >= part.span[0] - _SLACK_S:
                self._compare(part)
                rows = part.noted_rows(-1.0, until, kinds, tags)
                table = part.segment.table
                by_time = np.argsort(table.t_wall[rows], kind="stable")
                for row in rows[by_time[::-1]].tolist():
                    yield part, table, row

    def _gaps_between(self, start: float, end: float) -> tuple[Gap, ...]:
        return tuple(gap for gap in self.gaps if gap.end > start and gap.start < end)

    def _between(self) -> list[Gap]:
        """Between the segments."""
        found = []
        for before, after in zip(self.parts, self.parts[1:], strict=False):
            start, end = before.span[1], after.span[0]
            missing = after.segment.number - before.segment.number - 1
            if missing > 0:
                why = f"{missing} segment{'s are' if missing > 1 else ' is'} missing"
                found.append(Gap(start, max(end, start), why))
            elif end - start > PAUSE_S:
                found.append(Gap(start, end, "nobody recorded"))
        return [gap for gap in found if gap.end > gap.start]

    def _broken_chains(self) -> list[str]:
        """Notices on segments that do not follow the one before."""
        found = []
        for before, after in zip(self.parts, self.parts[1:], strict=False):
            told, heads = after.segment.header.facts.get("prev_chain"), before.segment.heads()
            is_next = after.segment.number == before.segment.number + 1
            if is_next and heads and told not in {head.hex() for head in heads}:
                found.append(
                    f"{after.segment.path.name} does not follow {before.segment.path.name} by its chain: one "
                    "of them was changed or replaced"
                )
        return found


def _read(rows: Iterable[Row], size: int) -> Iterator[Noted]:
    """What these rows tell, as far as `size` bytes go; those that are damaged are left out."""
    allowance = Allowance(size)
    for part, table, row in rows:
        if (one := part.noted(row, allowance, table)) is not None:
            yield one
        elif allowance.is_spent:
            part.left_out.add("events, actions and bookmarks")
            return


def _close(segments: Sequence[Segment]) -> None:
    for one in segments:
        one.close()
