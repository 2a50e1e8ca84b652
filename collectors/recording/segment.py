"""One `.tgrec` file as a table of its records, and what they hold: header, index, footer, schemas.

Every payload's CRC is checked before it is used. Not for two threads at once.
"""

import zlib
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collectors.recording.codec import unpacked_text
from collectors.recording.compared import has_other_tags, is_contradicted, is_likely, is_same
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
from collectors.recording.schema import Schema, SchemaError, from_json
from collectors.recording.table import TIME_MOST, UNTOLD, Table, joined, of_rows, read_page, resized
from collectors.recording.walk import Ahead, Budget, Damage, File, Place, last_index, record_at, walked

RECORDS_MOST = 1_000_000
"""Records of one file that are shown: of a longer one, the last ones."""

_KEY = int(Kind.KEY)
_GROUP_MOST = 256
_LOOKS = 64
_UNKNOWN_MOST = 10_000
_SAMPLES = 32
_TAGS_BYTES = 64 * 2**20
_LIE = (
    "its index does not tell what is there: its records were read one by one. "
    "`tidegate recording verify` tells more"
)
_SKIPPED = " of a newer kind skipped"


def unfolded(record: Record, stored: bytes) -> bytes:
    """A payload that is no frame, from what is stored of it. raises: BadRecord"""
    return unpacked_text(stored) if record.flags & ZSTD else stored


def _checked(record: Record, stored: bytes) -> bytes:
    """raises: BadRecord if it is not what was written"""
    if len(stored) < record.stored or zlib.crc32(stored) != record.pcrc:
        raise BadRecord("a payload that is damaged")
    return stored


def _payload_at(file: File | Ahead, place: Place) -> bytes:
    """The payload of a record that is no frame, unpacked. raises: BadRecord if it is damaged"""
    record = place.record
    stored = file.read(place.offset + record.hlen, record.stored)
    return unfolded(record, _checked(record, stored))


def _tag(ahead: Ahead, place: Place) -> int:
    if place.record.kind not in NOTED:
        return 0
    try:
        return tag_of(_payload_at(ahead, place))
    except BadRecord:
        return UNTOLD


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
            header, end = self._second_header(str(error))
        except NewerFormat as error:
            raise NewerFormat(f"{self.path}: {error}") from error
        if (header.major, header.minor) > (MAJOR, MINOR):
            self.notices.append(
                f"written in format {header.major}.{header.minor}, newer than the {MAJOR}.{MINOR} of this "
                "tidegate: what it adds is not shown"
            )
        facts = cleaned(header.facts)
        return FileHeader(facts, header.major, header.minor, header.least_major, header.least_minor), end

    def _second_header(self, said: str) -> tuple[FileHeader, int]:
        """From a SCHEMA, which repeats it. raises: RecordingError if there is none near the beginning"""
        first = -1
        limit = min(self.file.size, FILE_HEADER.size + 8 * HEADER_MOST)
        ahead = Ahead(self.file)
        for place in walked(ahead, 0, limit, Budget(headers=20_000, bytes=8 * HEADER_MOST)):
            first = place.offset if first < 0 else first
            if place.record.kind != Kind.SCHEMA:
                continue
            try:
                found = read_json(_payload_at(ahead, place))
            except BadRecord:
                continue
            facts = found.get("header") if isinstance(found, dict) else None
            if isinstance(facts, dict):
                self.is_header_lost = True
                self.notices.append("its file header is damaged: what it told was found in a schema")
                return FileHeader(facts), first
        if first < 0:
            raise RecordingError(f"{self.path} is no recording of tidegate: {said}")
        raise RecordingError(
            f"{self.path} cannot be read: {said}, and no schema repeats it. "
            "`tidegate recording verify` tells what else is in it"
        )

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
            payload = _payload_at(self.file, Place(at, record))
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
        table = self._walk(self.first, self.file.size, budget) if self._is_doubted else self._listed(budget)
        if self._is_indexed and (self._is_doubted or not self._can_be(table)):
            damages, budget = self.damages[:], Budget()
            self.damages.clear()
            walked = self._walk(self.first, self.file.size, budget)
            if self._is_doubted or not (budget.is_spent or table.lists(walked)):
                table, self._is_indexed, self._is_doubted = walked, False, True
            else:
                self.damages[:] = damages
        if self._is_doubted:
            self.notices.append(_LIE)
        self.end = table.end if table.rows else self.first
        self._is_unsearched = budget.is_spent
        if budget.is_spent:
            self.notices.append(
                "not all of it was searched: it has too many records that no INDEX lists, or is damaged over "
                f"long stretches; its last {self.file.size - self.end} bytes are not shown"
            )
        self._take(table)

    def _listed(self, budget: Budget) -> Table:
        """Read the INDEX pages from the last to the first, walk where one is damaged and behind the last."""
        parts: list[Sequence[NDArray[Any]]] = []
        count = 0
        is_false = False
        at = self._index_before(self.file.size, budget)
        tail_from = self.first if at is None else at
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
        parts.reverse()
        before = joined(parts)
        last = int(before.seq[-1]) if before.rows else -1
        # An INDEX that lies once is believed nowhere.
        self._is_doubted = self._is_doubted or is_false
        return joined([before, self._walk(tail_from, self.file.size, budget, last)])

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
            return read_page(_payload_at(self.file, Place(offset, record)), self.first, offset)
        except BadRecord:
            return None

    def _walk(self, start: int, end: int, budget: Budget, seq: int = -1) -> Table:
        """The records in [start, end), by their headers; `seq`: of the one before."""
        rows = array("q")
        after = start
        ahead = Ahead(self.file)
        for place in walked(ahead, start, end, budget, seq):
            offset, record = place
            if offset > after:
                self.damages.append(Damage(after, offset - after))
            size = record.size
            after = offset + size
            rows.extend((offset, size, *record[3:8], record.kind, _tag(ahead, place)))
        if after < end < self.file.size:
            self.damages.append(Damage(after, end - after, "not searched" if budget.is_spent else "damaged"))
        return of_rows(rows)

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

    def refresh(self) -> bool:
        """Read on where a live file has grown. True if it holds other records than before."""
        size = self.file.measured()
        if self._table is None or size == self.file.size:
            return False
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
        self._is_unsearched = budget.is_spent
        if not more.rows:
            return False
        self.end = more.end
        self._take(joined([before, more]))
        return True

    def stored(self, row: int) -> tuple[Record, bytes]:
        """A record and its payload as it is stored. raises: BadRecord if it is damaged, or another one"""
        table = self.table
        size = int(table.size[row])
        data = self.file.read(int(table.offset[row]), size)
        record = unpack_record(data)
        if not is_same(table, row, record):
            self._is_doubted = self._is_doubted or self._is_indexed
            raise BadRecord("a record that is not the one in the index")
        return record, _checked(record, data[record.hlen :])

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
        self._is_doubted = is_contradicted(self.file, table, rows) or has_other_tags(
            table, rows, lambda row: unfolded(*self.stored(row)), self._tags
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
