"""Whether a recording is what was written: every byte of it walked, and what evidence there is of that.

CRCs find damage. The chain finds changes, but whoever can write the file can compute it anew: only a
signature, or a head that was kept elsewhere, is evidence.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from collectors.recording.codec import decompressed
from collectors.recording.file import SIGNED_OF_FOOTER
from collectors.recording.folder import newest, recordings
from collectors.recording.layout import (
    DIRECTORY,
    FOOTER,
    FRAMES,
    HLEN,
    HLEN_MOST,
    INDEX_HEAD,
    NOTED,
    ZSTD,
    BadRecord,
    Footer,
    Kind,
    Record,
    RecordingError,
    chained,
    first_chain,
    unpack_record,
)
from collectors.recording.noted import Allowance, look_at_json, read_json, told_of
from collectors.recording.payload import unfolded
from collectors.recording.rewriting import Progress, no_progress
from collectors.recording.schema import SchemaError, from_json
from collectors.recording.segment import Segment
from collectors.recording.table import PAGE_MOST, TIME_MOST, Table, read_page
from collectors.recording.walk import Ahead, Budget, File, Place, walked
from collectors.text import clean

HEADERS_MOST = 2_500_000
"""Records of one file that are walked."""

SCHEMA_BYTES = 8 * 2**20
"""JSON of different schemas, of one file, whose every name is looked at."""

FAULTS_MOST = 200
"""Faults that are told, of one file."""

_TOLD_BYTES = 2**20
"""Bytes from one telling of how far it is to the next."""


class Fault(NamedTuple):
    """Something that is not as it was written. offset: byte in the file

    at: recorded time near it, seconds; None where nothing tells
    """

    file: str
    offset: int
    at: float | None
    text: str

    @property
    def line(self) -> str:
        """It in one line."""
        when = (
            "" if self.at is None else f", near {datetime.fromtimestamp(self.at, UTC):%Y-%m-%d %H:%M:%S} UTC"
        )
        return f"{self.file}: byte {self.offset}{when}: {self.text}"


@dataclass(frozen=True, slots=True)
class Report:
    """What was found. lines: all of it, to be printed

    counts: files, bytes, records, frames, events, indexes, tail (bytes that are ignored)
    is_signed: every file has a footer with a valid signature of the key that was given
    head: the chain's last value, in hex
    """

    path: str
    lines: tuple[str, ...]
    counts: Mapping[str, int]
    faults: tuple[Fault, ...]
    is_signed: bool
    head: str

    @property
    def is_sound(self) -> bool:
        """Nothing is amiss; a tail that was cut off is no fault."""
        return not self.faults


def verify(
    path: Path,
    key: Path | None = None,
    head: str = "",
    *,
    progress: Progress = no_progress,
    note_bytes: int | None = None,
) -> Report:
    """Walk a file, or all segments of the newest recording in a folder.

    key: file with a public Ed25519 key (PEM); head: value of the chain that was kept, in hex
    progress: told of bytes
    note_bytes: unpacked bytes of EVENTs, ACTIONs and MARKs that are looked into, None for all: of what is
    beyond, only the CRC is checked, and not what an INDEX tells of it
    raises: RecordingError if it is no recording, or the key cannot be read; NewerFormat
    """
    public, wanted = _public(key), _kept(head)
    segments, notices = newest(path) if path.is_dir() else ([Segment(path)], [])
    return _verified(path, segments, notices, public, wanted, progress, note_bytes)


def verify_all(
    folder: Path, key: Path | None = None, *, progress: Progress = no_progress
) -> tuple[tuple[Report, ...], tuple[str, ...]]:
    """Walk each recording in a folder, in order of time; sentences on files that cannot be read.

    progress: told of bytes, of one recording after the other
    raises: RecordingError if there is none that can be read, or the key cannot be
    """
    public = _public(key)
    groups, unread = recordings(folder)
    reports: list[Report] = []
    for paths in groups:
        segments: list[Segment] = []
        for path in paths:
            try:
                segments.append(Segment(path))
            except RecordingError as error:
                unread.append(clean(str(error), 512))
        if segments:
            named = segments[0].path if len(segments) == 1 else folder / f"recording {segments[0].id}"
            reports.append(_verified(named, segments, [], public, b"", progress))
    if not reports:
        first = f" ({unread[0]})" if unread else ""
        raise RecordingError(f"{clean(str(folder), 512)} holds no recording that can be read{first}")
    return tuple(reports), tuple(unread)


def _public(key: Path | None) -> object | None:
    """raises: RecordingError"""
    if key is None:
        return None
    from collectors.recording.signing import read_public

    return read_public(key)


def _verified(
    path: Path,
    segments: Sequence[Segment],
    notices: Sequence[str],
    public: object | None,
    wanted: bytes,
    progress: Progress,
    note_bytes: int | None = None,
) -> Report:
    """What was found in the segments of one recording, in order; they are closed."""
    try:
        notes = None if note_bytes is None else Allowance(note_bytes)
        checks = [_Check(segment, wanted, notes) for segment in segments]
        before, most = 0, sum(segment.file.size for segment in segments)
        for check in checks:
            check.run(lambda done, before=before: progress("bytes", before + done, most))  # type: ignore[misc]  # the default binds it
            before += check.segment.file.size
        for one, following in pairwise(checks):
            following.follow(one)
        signed = [_signature(check, public) for check in checks]
    finally:
        for segment in segments:
            segment.close()
    is_signed = public is not None and all(line == _VALID for line in signed)
    faults = [fault for check in checks for fault in check.faults]
    evidence, missing = _evidence(checks, signed, wanted)
    if missing:
        faults.append(Fault(path.name, 0, None, missing))
    counts = {name: sum(check.counts[name] for check in checks) for name in checks[0].counts}
    last = checks[-1].chain.hex()
    lines = (
        f"{clean(str(path), 512)}: {counts['records']} records, {counts['frames']} frames, "
        f"{counts['events']} events in {counts['files']} file{'s' if counts['files'] > 1 else ''}, "
        f"{counts['bytes']} bytes",
        *notices,
        *(note for check in checks for note in check.notes),
        *(fault.line for fault in faults),
        "sound: every record is whole and follows the one before"
        if not faults
        else f"not sound: {len(faults)} fault{'s' if len(faults) > 1 else ''}",
        *evidence,
        f"head: {last}",
    )
    return Report(
        str(path), tuple(clean(line, 1024) for line in lines), counts, tuple(faults), is_signed, last
    )


@dataclass
class _Check:
    """The walk of one file. chain: over what is there, up to the last record

    wanted: a head that was kept, or its beginning; met: the record that the chain had it behind, if any
    looked_into: bytes of notes that may be; None: all
    """

    segment: Segment
    wanted: bytes = b""
    looked_into: Allowance | None = None
    met: int | None = None
    chain: bytes = b""
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    footer: tuple[Footer, bytes] | None = None
    _running: bytes = b""
    _rows: list[tuple[int, ...]] = field(default_factory=list)
    _indexes: list[tuple[int, int, int]] = field(default_factory=list)
    _schemas: set[int] = field(default_factory=set)
    _allowance: Allowance = field(default_factory=lambda: Allowance(SCHEMA_BYTES))
    _at: float | None = None
    _damaged: bool = False

    def run(self, progress: Callable[[int], None]) -> None:
        """Walk it all. progress: told how many bytes are done"""
        segment, file = self.segment, self.segment.file
        names = ("records", "frames", "events", "indexes", "tail")
        self.counts = {"files": 1, "bytes": file.size, **dict.fromkeys(names, 0)}
        self.chain = self._running = first_chain(file.read(0, segment.first))
        if segment.is_header_lost:
            self._fault(0, "the file header is damaged")
        self.notes += segment.notices
        budget = Budget(headers=HEADERS_MOST, bytes=4 * 2**30)
        end, seq, t_mono, told_at = segment.first, -1, 0, 0
        ahead = Ahead(file)
        for place in walked(ahead, segment.first, file.size, budget):
            record = place.record
            if place.offset >= told_at:
                progress(place.offset)
                told_at = place.offset + _TOLD_BYTES
            self._at = _seconds(record.t_wall)
            if place.offset > end:
                self._lose(end, f"{place.offset - end} bytes are no record")
            if seq >= 0 and record.seq != seq + 1:
                self._lose(
                    place.offset, f"{record.seq - seq - 1} records before number {record.seq} are missing"
                )
            elif seq < 0 and record.seq:
                self._fault(place.offset, f"it begins with record {record.seq}: those before are missing")
            if record.t_mono < t_mono:
                self._fault(place.offset, "its recording time goes back")
            end, seq, t_mono = place.offset + record.size, record.seq, max(t_mono, record.t_mono)
            try:
                self._take(place, ahead.read(place.offset, record.size))
            except BadRecord as error:
                self._lose(place.offset, str(error))
        if budget.is_spent:
            self._fault(end, "not all of it was looked at: it is too long, or too damaged")
        self.counts["tail"] = file.size - end
        if _is_cut_off(file, end):
            self.notes.append(f"tail of {file.size - end} bytes ignored: a record that was cut off")
        elif file.size > end:
            self._fault(end, f"the last {file.size - end} bytes are no record")
        if self.footer is None:
            self.notes.append(
                "not closed: it has no footer; it is being written, or its recorder was stopped"
            )

    def follow(self, before: "_Check") -> None:
        """Check that this file goes on where the one before ended."""
        facts = self.segment.header.facts
        missing = self.segment.number - before.segment.number - 1
        if missing > 0:
            self._fault(0, f"{missing} segments before it are missing")
        elif facts.get("prev_chain") != before.chain.hex():
            self._fault(
                0, f"it does not follow {before.segment.path.name}: one of them was changed or replaced"
            )

    def _take(self, place: Place, data: bytes) -> None:
        """Check one record, header and payload, and count it."""
        record = place.record
        head, stored = data[: record.hlen], data[record.hlen :]
        if zlib.crc32(stored) != record.pcrc:
            self._damaged = True
            self._fault(
                place.offset, f"the payload of record {record.seq} ({_named(record.kind)}) is damaged"
            )
        else:
            try:
                self._look_into(place, _unpacked(record, stored))
            except (BadRecord, SchemaError) as error:
                self._fault(place.offset, f"record {record.seq} ({_named(record.kind)}): {error}")
        is_one = self._running == self.chain
        self.chain = chained(self.chain, head, stored)
        self._running = self.chain if is_one else chained(self._running, head, stored)
        if self.wanted and self.chain.startswith(self.wanted):
            self.met = record.seq
        self.counts["records"] += 1
        self.counts["frames"] += record.kind in FRAMES
        self.counts["events"] += record.kind in NOTED
        self.counts["indexes"] += record.kind == Kind.INDEX

    def _look_into(self, place: Place, payload: bytes) -> None:
        """Check what a payload says of the file. raises: BadRecord, SchemaError"""
        offset, record = place
        tag = 0
        if record.kind in NOTED:
            if self.looked_into is None or self.looked_into.takes(len(payload)):
                tag, told = told_of(payload)
                if record.kind == Kind.ACTION and told is not None:
                    self._compare(offset, record, told)
        elif record.kind == Kind.SCHEMA:
            # The same one follows each INDEX.
            if record.pcrc not in self._schemas:
                if self._allowance.takes(len(payload)):
                    from_json(read_json(payload))
                else:
                    look_at_json(payload)
            self._schemas.add(record.pcrc)
        elif record.kind == Kind.INDEX:
            self._index(offset, record, payload)
        elif record.kind == Kind.FOOTER:
            self._foot(offset, record, payload)
        if record.kind == Kind.INDEX:
            self._rows = []
        if len(self._rows) <= PAGE_MOST:
            self._rows.append((offset, record.size, *record[3:8], record.kind, tag))

    def _compare(self, offset: int, record: Record, told: str) -> None:
        """The chain that a record carries, against what stands before it."""
        if told == self._running.hex():
            return
        why = "what stands before it was damaged" if self._damaged else "something before it was changed"
        self._fault(offset, f"the chain does not lead to record {record.seq} ({_named(record.kind)}): {why}")
        # From here on it is checked against itself, so that each change is told once.
        try:
            self._running = bytes.fromhex(told)
        except ValueError:
            pass  # told above; the chain that was computed goes on
        self._damaged = False

    def _index(self, offset: int, record: Record, payload: bytes) -> None:
        previous, listed = read_page(payload, self.segment.first, offset)
        # Where records are lost the INDEX is right, and that they are lost was told.
        if not self._damaged and (previous or 0) != (self._indexes[-1][0] if self._indexes else 0):
            self._fault(offset, "an INDEX that points to another one than the one before it")
        is_known = not (self._damaged or (self.looked_into is not None and self.looked_into.is_spent))
        if is_known and not self._lists(listed):
            self._fault(offset, "an INDEX that lists other records than those that are there")
        self._compare(offset, record, INDEX_HEAD.unpack_from(payload)[3].hex())
        self._indexes.append((offset, int(listed.t_mono[0]), int(listed.seq[0])))

    def _lists(self, listed: Table) -> bool:
        return [tuple(row) for row in zip(*(column.tolist() for column in listed), strict=True)] == self._rows

    def _foot(self, offset: int, record: Record, payload: bytes) -> None:
        footer = Footer.unpack(payload)
        directory = payload[: len(payload) - FOOTER.size]
        self._compare(offset, record, footer.chain.hex())
        if footer.size != record.size or list(DIRECTORY.iter_unpack(directory)) != self._indexes:
            self._fault(offset, "the footer's directory is not that of the INDEX records that are there")
        told = {"indexes": footer.indexes, "frames": footer.frames, "records": footer.records}
        for name, number in {**told, "events": footer.events}.items():
            if number != self.counts[name]:
                self._fault(offset, f"the footer tells of {number} {name}, there are {self.counts[name]}")
        # Another record behind it makes it no footer of the whole file.
        is_last = offset + record.size == self.segment.file.size
        self.footer = (footer, directory + payload[len(directory) :][:SIGNED_OF_FOOTER]) if is_last else None

    def _lose(self, offset: int, text: str) -> None:
        self._damaged = True
        self._fault(offset, text)

    def _fault(self, offset: int, text: str) -> None:
        if len(self.faults) < FAULTS_MOST:
            self.faults.append(Fault(self.segment.path.name, offset, self._at, clean(text, 512)))


_VALID = "signed: the signature is valid for the key that was given"


def _signature(check: _Check, public: object | None) -> str:
    """What is to be said of a file's signature. A wrong one is a fault of the file."""
    name = check.segment.path.name
    if check.footer is None:
        if public is not None:
            text = "it is not signed: it was not closed, or its end is gone"
            check.faults.append(Fault(name, check.segment.file.size, None, text))
        return "unsigned: it has no footer"
    footer, signed = check.footer
    if not any(footer.signature):
        if public is not None:
            check.faults.append(Fault(name, check.segment.file.size - footer.size, None, "it is not signed"))
        return "unsigned"
    if public is None:
        return f"signed by key {footer.key_id.hex()}, not checked: give its public key"
    from collectors.recording.signing import is_signed_by

    if is_signed_by(public, footer.signature, signed):  # type: ignore[arg-type]  # a key of `read_public`
        return _VALID
    text = "the signature is not valid: it was changed, or signed by another key"
    check.faults.append(Fault(name, check.segment.file.size - footer.size, None, text))
    return text


def _kept(head: str) -> bytes:
    """A head that was kept, or its beginning. raises: RecordingError if it is none"""
    try:
        wanted = bytes.fromhex(head)
    except ValueError as error:
        raise RecordingError(f"{clean(head)!r} is no head: 64 hexadecimal digits are one") from error
    if head and len(wanted) < 8:
        raise RecordingError(f"{clean(head)!r} is too short for a head: give at least 16 hexadecimal digits")
    return wanted


def _evidence(checks: list[_Check], signed: list[str], wanted: bytes) -> tuple[list[str], str]:
    """What speaks for it, in sentences, and what is wrong about a head that was kept."""
    lines = list(dict.fromkeys(signed))
    lines = [
        f"{line}: whoever can write the file can rewrite the chain" if line.startswith("unsigned") else line
        for line in lines
    ]
    if not wanted:
        return lines, ""
    if checks[-1].chain.startswith(wanted):
        return [*lines, "kept head: it is the end of the chain, so nothing was changed since"], ""
    for check in checks:
        if check.met is not None:
            name = f"record {check.met} of {check.segment.path.name}"
            return [*lines, f"kept head: it is the chain behind {name}; all before that is unchanged"], ""
    return lines, "the kept head is nowhere in its chain: it was changed, or the head is another recording's"


def _is_cut_off(file: File, end: int) -> bool:
    """Whether what is behind the last record is the beginning of one."""
    try:
        data = file.read(end, HLEN_MOST)
        return bool(data) and (len(data) < HLEN or unpack_record(data).stored > 0)
    except BadRecord:
        return False


def _unpacked(record: Record, stored: bytes) -> bytes:
    """raises: BadRecord"""
    if not record.flags & ZSTD:
        return stored
    return decompressed(stored) if record.kind in FRAMES else unfolded(record, stored)


def _named(kind: int) -> str:
    return Kind(kind).name if kind in list(Kind) else f"kind {kind}"


def _seconds(t_wall: int) -> float | None:
    return t_wall / 1e6 if 0 <= t_wall < TIME_MOST else None
