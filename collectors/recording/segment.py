"""One `.tgrec` file as a table of its records, and what they hold: header, index, footer, schemas.

Every payload's CRC is checked before it is used. Not for two threads at once.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from collectors.recording.compared import has_other_tags, is_contradicted, is_likely, is_same, is_unread
from collectors.recording.layout import (
    DIRECTORY,
    FILE_HEADER,
    FOOTER,
    HEADER_MOST,
    HLEN,
    MAJOR,
    MINOR,
    NOTED,
    REQUIRED,
    ZSTD,
    BadRecord,
    FileHeader,
    Footer,
    Kind,
    NewerFormat,
    Record,
    RecordingError,
    chained,
    unpack_record,
)
from collectors.recording.noted import Allowance, cleaned, read_json, tag_of
from collectors.recording.payload import checked, payload_at, unfolded
from collectors.recording.scan import repeated_header, scanned
from collectors.recording.schema import Schema, SchemaError, from_json
from collectors.recording.table import TIME_MOST, Table, joined, read_page, resized
from collectors.recording.walk import (
    Budget,
    Damage,
    File,
    Place,
    last_index,
    record_at,
)

RECORDS_MOST = 1_000_000
"""Records of one file that are shown: of a longer one, the last ones."""

_KEY = int(Kind.KEY)
_GROUP_MOST = 256
_LOOKS = 64
_UNKNOWN_MOST = 10_000
_SAMPLES = 32
_TAGS_BYTES = 64 * 2**20
_LIE = "its index does not tell what is there: {}. `tidegate recording verify` tells more"
_READ = "its records were read one by one"
_READ_AT_FIRST = "its first {} records were read one by one, and what follows can be other than it tells"
_UNSEARCHED = "not all of it was searched"
_MISSING = " are missing between others, by their numbers"
_SKIPPED = " of a newer kind skipped"


class Segment:
    """A file that is open for reading. Its table is loaded at need; a live file can grow, see `refresh`.

    header: facts are cleaned; is_header_lost: it was damaged, and a schema told what it was
    first: offset of the first record; end: behind the last complete one
    notices: what is to be told about the file as such, in sentences; damages: found by walking
    lost: for each frame whether it is known that it cannot be decoded; see `note_lost`
    stateless: for each frame whether it is known that no snapshot tells of what it is
    version: rises whenever its table, or what is known to be lost, becomes another
    """

    def __init__(self, path: Path) -> None:
        """raises: RecordingError if it is no recording, NewerFormat if it needs a newer reader"""
        self.file = File(path)
        self.path = path
        self.notices: list[str] = []
        self.damages: list[Damage] = []
        self.lost: NDArray[np.bool_] = np.empty(0, np.bool_)
        self.stateless: NDArray[np.bool_] = np.empty(0, np.bool_)
        self.version = 0
        self._schemas: dict[int, Schema] = {}
        self._read_schemas: set[int] = set()
        self._table: Table | None = None
        self._frame_rows: NDArray[np.int64] = np.empty(0, np.int64)
        self._directory: tuple[int, ...] = ()
        self.is_header_lost = False
        self._is_indexed = self._is_doubted = self._is_unsearched = False
        self._compared: NDArray[np.bool_] = np.empty(0, np.bool_)
        self._tags = Allowance(_TAGS_BYTES)
        try:
            self.header, self.first = self._header()
            self.end = self.first
            self._beginning = self.file.read(0, self.first)
            self.footer = self._footer()
            self._notices = tuple(self.notices)
        except BaseException:
            self.file.close()
            raise

    @property
    def id(self) -> str:
        """Of the recording that it belongs to; "" where it is not told."""
        found = self.header.facts.get("recording")
        return found if isinstance(found, str) else ""

    @property
    def number(self) -> int:
        """Its place in the recording."""
        found = self.header.facts.get("segment")
        return found if isinstance(found, int) and 0 <= found < 2**31 else 0

    @property
    def t0_wall(self) -> int:
        """Wall time of its beginning, µs."""
        found = self.header.facts.get("t0_wall")
        return int(min(max(found, 0), TIME_MOST)) if isinstance(found, int | float) else 0

    @property
    def tail(self) -> int:
        """Bytes behind the last complete record; 0 where nobody looked whether there is another."""
        is_known = self._table is not None and not self._is_unsearched
        return max(self.file.size - self.end, 0) if is_known else 0

    @property
    def is_loaded(self) -> bool:
        """Its table is in memory."""
        return self._table is not None

    @property
    def table(self) -> Table:
        """Its records. raises: RecordingError, NewerFormat"""
        if self._table is None:
            self._load()
        assert self._table is not None
        return self._table

    @property
    def frame_rows(self) -> NDArray[np.int64]:
        """Row of each frame in the table."""
        _ = self.table
        return self._frame_rows

    def unload(self) -> None:
        """Forget the table; it is loaded again at need."""
        self._table = None
        self.damages.clear()

    def close(self) -> None:
        """Let go of the file."""
        self.file.close()

    def _header(self) -> tuple[FileHeader, int]:
        try:
            data = self.file.read(0, FILE_HEADER.size + HEADER_MOST)
            header, end = FileHeader.unpack(data)
        except BadRecord as error:
            header, end = repeated_header(self.file, str(error))
            self.is_header_lost = True
            self.notices.append("its file header is damaged: what it told was found in a schema")
        except NewerFormat as error:
            raise NewerFormat(f"{self.path}: {error}") from error
        if (header.major, header.minor) > (MAJOR, MINOR):
            self.notices.append(
                f"written in format {header.major}.{header.minor}, newer than the {MAJOR}.{MINOR} of this "
                "tidegate: what it adds is not shown"
            )
        facts = cleaned(header.facts)
        return FileHeader(facts, header.major, header.minor, header.least_major, header.least_minor), end

    def _footer(self) -> Footer | None:
        """The footer, if the file ends in one that is whole; learns where its INDEX records are."""
        try:
            footer = Footer.unpack(self.file.read(max(self.file.size - FOOTER.size, 0), FOOTER.size))
            at = self.file.size - footer.size
            if at < self.first:
                return None
            record = record_at(self.file, at, self.file.size)
            is_whole = record.kind == Kind.FOOTER and record.size == footer.size
            if not is_whole or record.flags & ZSTD or record.stored < FOOTER.size:
                return None
            payload = payload_at(self.file, Place(at, record))
        except BadRecord:
            return None
        size = len(payload) - FOOTER.size
        offsets = [entry[0] for entry in DIRECTORY.iter_unpack(payload[: size - size % DIRECTORY.size])]
        is_rising = all(a < b for a, b in zip([0, *offsets], [*offsets, at], strict=True))
        self._directory = tuple(offsets) if is_rising else ()
        return footer

    def _load(self) -> None:
        self.notices[:] = self._notices
        self.damages.clear()
        self._compared = np.empty(0, np.bool_)
        self._is_indexed = False
        budget = Budget()
        table = self._listed(budget)
        # Where bytes are missing, the footer's directory points into the midst of records.
        is_astray = bool(self._directory and self.damages) and not self._is_indexed
        if self._is_doubted or is_astray or (self._is_indexed and not self._can_be(table)):
            table = self._believed(table)
        self._is_indexed = self._is_indexed and not self._is_doubted
        self.end = table.end if table.rows else self.first
        self._is_unsearched = budget.is_spent and self.end < self.file.size
        self._take(table)

    def _believed(self, listed: Table) -> Table:
        """What is there by the records themselves; as far as they were not looked at, by the INDEXes."""
        damages, budget = self.damages[:], Budget()
        self.damages.clear()
        walked = self._walk(self.first, self.file.size, budget)
        if not self._is_doubted and listed.lists(walked):
            self.damages[:] = damages
            return listed
        self._is_doubted = True
        self.notices.append(_LIE.format(_READ_AT_FIRST.format(walked.rows) if budget.is_spent else _READ))
        if not budget.is_spent:
            return walked
        reached = walked.end if walked.rows else self.first
        self.damages[:] = [one for one in self.damages if one.offset < reached]
        self.damages += [one for one in damages if one.offset >= reached]
        return joined([walked, listed.only(listed.offset >= reached)])

    def _listed(self, budget: Budget) -> Table:
        """Read the INDEX pages from the last to the first, walk where one is damaged and behind the last."""
        at = self._index_before(self.file.size, budget)
        found = None if at is None else self._page(at)
        last = int(found[1].seq[-1]) if found else -1
        # What is newest comes first, lest the rest leaves no budget for it.
        parts = [self._walk(self.first if at is None else at, self.file.size, budget, last)]
        count = parts[0].rows
        is_false = False
        while at is not None:
            found = self._page(at)
            below = found[0] if found else self._index_before(at, budget)
            low = self.first if below is None else below
            if found is not None and found[1].covers(low, at):
                page = found[1]
                self._is_indexed = True
            else:
                page = self._walk(low, at, budget)
                if found is not None and not found[1].lists(page):
                    is_false = True
            parts.append(page)
            count += page.rows
            at = below
            if count > RECORDS_MOST and at is not None:
                self.notices.append(f"it is very long: only its last {count} records are shown")
                break
        # An INDEX that lies once is believed nowhere.
        self._is_doubted = self._is_doubted or is_false
        return joined(parts[::-1])

    def _can_be(self, table: Table) -> bool:
        """Whether what the INDEXes tell can be true; notes it if a record contradicts them."""
        footer = self.footer if table.rows and int(table.offset[0]) == self.first else None
        if not is_likely(table, footer):
            return False
        rows = np.linspace(0, table.rows - 1, min(table.rows, _SAMPLES)).astype(np.int64)
        self._is_doubted = is_contradicted(self.file, table, rows)
        return not self._is_doubted

    def _index_before(self, high: int, budget: Budget) -> int | None:
        """Offset of the last INDEX below `high`: by the footer's directory, else searched for."""
        if self._directory:
            return next((offset for offset in reversed(self._directory) if offset < high), None)
        found = last_index(self.file, self.first, high, budget)
        return found.offset if found else None

    def _page(self, offset: int) -> tuple[int | None, Table] | None:
        """The INDEX before this one, and what this one lists; None if it is damaged or cannot be true."""
        try:
            record = record_at(self.file, offset, self.file.size)
            if record.kind != Kind.INDEX:
                return None
            return read_page(payload_at(self.file, Place(offset, record)), self.first, offset)
        except BadRecord:
            return None

    def _walk(self, start: int, end: int, budget: Budget, seq: int = -1) -> Table:
        """The records in [start, end), by their headers; `seq`: of the one before."""
        table, damages = scanned(self.file, self.first, start, end, budget, seq)
        self.damages += damages
        return table

    def _take(self, table: Table) -> None:
        """Make it this file's table: numbers rise, times are within reason."""
        if table.rows and not (table.seq[1:] > table.seq[:-1]).all():
            highest = np.maximum.accumulate(table.seq)
            is_new = np.concatenate(([True], table.seq[1:] > highest[:-1]))
            self.notices.append(f"{table.rows - int(is_new.sum())} records repeat a number and are left out")
            table = table.only(is_new)
        if table.rows and (int(table.t_wall.min()) < 0 or int(table.t_wall.max()) > TIME_MOST):
            self.notices.append("some of its times cannot be true")
            table = table._replace(t_wall=np.clip(table.t_wall, 0, TIME_MOST))
        self._note_unknown(table)
        self._note_unsearched()
        self._note_missing(table)
        self._table = table
        self._frame_rows = np.flatnonzero((table.kind >= Kind.KEY) & (table.kind <= Kind.DELTA))
        self.lost = resized(self.lost, len(self._frame_rows))
        self.stateless = resized(self.stateless, len(self._frame_rows))
        self._compared = resized(self._compared, table.rows)
        self.version += 1

    def _note_unknown(self, table: Table) -> None:
        """raises: NewerFormat if a record of a kind that is not known must be understood"""
        strange = np.flatnonzero((table.kind < Kind.SCHEMA) | (table.kind > Kind.FOOTER))
        for row in strange[:_UNKNOWN_MOST]:
            try:
                record = record_at(self.file, int(table.offset[row]), self.file.size)
            except BadRecord:
                continue
            if record.flags & REQUIRED:
                raise NewerFormat(
                    f"{self.path}: it holds records of kind {record.kind} that must be understood, and "
                    f"format {MAJOR}.{MINOR} of this reader has none: it is of format "
                    f"{self.header.major}.{self.header.minor}, use a newer tidegate"
                )
        self.notices = [one for one in self.notices if not one.endswith(_SKIPPED)]
        if len(strange):
            self.notices.append(f"{len(strange)} records{_SKIPPED}")

    def _note_missing(self, table: Table) -> None:
        missing = int(table.seq[-1]) - int(table.seq[0]) + 1 - table.rows if table.rows else 0
        self.notices = [one for one in self.notices if not one.endswith(_MISSING)]
        if missing and not self.damages:
            self.notices.append(f"{missing} records{_MISSING}")

    def _note_unsearched(self) -> None:
        known = max([self.end, *(one.offset + one.size for one in self.damages)])
        missed = sum(one.size for one in self.damages if one.what == "not searched")
        missed += self.file.size - known if self._is_unsearched else 0
        self.notices = [one for one in self.notices if not one.startswith(_UNSEARCHED)]
        if missed:
            self.notices.append(
                f"{_UNSEARCHED}: it has too many records that no INDEX lists, or is damaged over long "
                f"stretches; {missed} bytes are not shown"
            )

    def refresh(self) -> bool:
        """Read on where it has grown or not all was searched. True if there are other records now.

        raises: RecordingError if another recording stands in the file now
        """
        size = self.file.measured()
        if self._table is None or (size == self.file.size and not self._is_unsearched):
            return False
        if not self._begins_as_before():
            raise RecordingError(f"{self.path} was written over with another recording: open it again")
        is_cut = size < self.end
        self.file.size, self._directory = size, ()
        self.footer = self._footer()
        if is_cut:
            self._table = None
            self._load()
            return True
        before = self._table
        budget = Budget()
        more = self._walk(self.end, size, budget, int(before.seq[-1]) if before.rows else -1)
        # Where nothing was found, to search there again finds nothing either.
        can_go_on = more.rows > 0 and before.rows + more.rows < RECORDS_MOST
        self._is_unsearched = budget.is_spent and can_go_on
        if not more.rows:
            self._note_unsearched()
            return False
        self.end = more.end
        self._take(joined([before, more]))
        return True

    def _begins_as_before(self) -> bool:
        try:
            return self.file.read(0, self.first) == self._beginning
        except BadRecord:
            return False

    def stored(self, row: int) -> tuple[Record, bytes]:
        """A record and its payload as it is stored. raises: BadRecord if it is damaged, or another one"""
        table = self.table
        size = int(table.size[row])
        data = self.file.read(int(table.offset[row]), size)
        record = unpack_record(data)
        if not is_same(table, row, record):
            self._is_doubted = self._is_doubted or self._is_indexed
            raise BadRecord("a record that is not the one in the index")
        return record, checked(record, data[record.hlen :])

    def payload(self, row: int) -> bytes:
        """The payload of a row that is no frame, unpacked. raises: BadRecord, as `stored`"""
        data = unfolded(*self.stored(row))
        if self._is_indexed and self.table.kind[row] in NOTED:
            try:
                tag = tag_of(data)
            except BadRecord:
                return data  # who reads it tells what is wrong
            if tag != self.table.tag[row]:
                self._is_doubted = True
                raise BadRecord("a record that is not the one in the index")
        return data

    def compare(self, first: int = 0, behind: int | None = None) -> None:
        """Look, once, whether rows in [first, behind) are what the file holds; see `settle`."""
        table = self.table
        rows = first + np.flatnonzero(~self._compared[first:behind])
        if not self._is_indexed or self._is_doubted or not len(rows):
            return
        self._compared[rows] = True
        self._is_doubted = is_contradicted(self.file, table, rows)
        self.compare_tags(rows[is_unread(table, rows)])

    def compare_tags(self, rows: NDArray[np.int64] | None = None) -> None:
        """Look whether these have the tags that an INDEX tells, all of them unless given; see `settle`."""
        table = self.table
        if self._is_indexed and not self._is_doubted:
            wanted = np.arange(table.rows) if rows is None else rows
            self._is_doubted = has_other_tags(
                table, wanted, lambda row: unfolded(*self.stored(row)), self._tags
            )

    def settle(self) -> bool:
        """Walk the records where an INDEX was seen to lie since the table was loaded. True if it was."""
        if not (self._is_doubted and self._is_indexed):
            return False
        self.lost = self.stateless = np.empty(0, np.bool_)
        self._load()
        return True

    def row_of(self, seq: int) -> int:
        """The row of a record by its number; -1 if there is none."""
        table = self.table
        row = int(np.searchsorted(table.seq, np.uint32(seq)))
        return row if row < table.rows and table.seq[row] == seq else -1

    def schema(self, number: int, row: int) -> Schema:
        """The schema of that id, of the records nearest to `row`. raises: BadRecord if it is lost"""
        if found := self._schemas.get(number):
            return found
        rows = np.flatnonzero(self.table.kind == Kind.SCHEMA)
        middle = int(np.searchsorted(rows, row))
        # A schema is written twice before its first frame, and repeated behind each INDEX.
        for one in (*rows[max(middle - _LOOKS, 0) : middle][::-1], *rows[middle : middle + _LOOKS]):
            try:
                record, stored = self.stored(int(one))
                if record.pcrc in self._read_schemas:
                    continue
                made = from_json(read_json(unfolded(record, stored)))
            except (BadRecord, SchemaError):
                continue
            self._read_schemas.add(record.pcrc)
            self._schemas.setdefault(made.id, made)
            if made.id == number:
                return self._schemas[number]
        raise BadRecord(f"a frame of schema {number}, which is lost")

    def note_lost(self, local: int) -> None:
        """A frame cannot be decoded: nor can those that refer to it."""
        table, rows = self.table, self.frame_rows
        if self.lost[local]:
            return
        gone = {int(table.seq[rows[local]])}
        self.lost[local] = True
        self.version += 1
        # Of a longer group, which no recorder writes, it shows when they are decoded.
        near = rows[local + 1 : local + 1 + _GROUP_MOST]
        refs, seqs, kinds = (column[near].tolist() for column in (table.ref_seq, table.seq, table.kind))
        for place, (ref, seq, kind) in enumerate(zip(refs, seqs, kinds, strict=True), local + 1):
            if kind == _KEY:
                break
            if ref in gone:
                gone.add(seq)
                self.lost[place] = True

    @property
    def unreadable(self) -> NDArray[np.bool_]:
        """For each frame whether it is known that it cannot be shown."""
        return self.lost | self.stateless

    def note_stateless(self, first: int, behind: int) -> None:
        """These frames cannot be shown; those that refer to them can be, once there is a state again."""
        self.stateless[first:behind] = True
        self.version += 1

    def heads(self) -> tuple[bytes, ...]:
        """The chain before and behind the footer; none where only a walk could tell."""
        if self.footer is None:
            return ()
        data = self.file.read(self.file.size - self.footer.size, self.footer.size)
        return self.footer.chain, chained(self.footer.chain, data[:HLEN], data[HLEN:])
