"""One segment, open for appending: every record is whole on disk or not there at all.

Nothing here knows a frame: bytes of payloads come in. Not safe for two threads. Calls raise OSError as the
system does; what was written before stays whole. Source: docs/tgrec.md, "Writer".
"""

import errno
import fcntl
import json
import os
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from collectors.recording import layout
from collectors.recording.codec import compressed, decompressed
from collectors.recording.index import Entry, Totals, packed_index, read_index
from collectors.recording.layout import (
    DIRECTORY,
    FRAMES,
    HLEN,
    HLEN_MOST,
    NOTED,
    PAYLOAD_MOST,
    ZSTD,
    BadRecord,
    FileHeader,
    Footer,
    Kind,
    Record,
    RecordingError,
    TakenError,
)
from collectors.recording.signing import NO_KEY_ID, NO_SIGNATURE, Signer
from collectors.text import clean

INDEX_EVERY = 512
"""Records from one INDEX to the next."""

SIGNED_OF_FOOTER = layout.FOOTER.size - len(NO_SIGNATURE) - 8
"""Bytes of the footer's fixed block that are signed, behind the directory."""

_LOOK_BACK = 4 * 2**20
_TAIL_MOST = 2 * PAYLOAD_MOST
"""Longest incomplete tail that is dropped; more is no tail, but a file that something else wrote."""


class HeldError(RecordingError):
    """Another process writes this file."""


class RemovedError(RecordingError):
    """Somebody removed the file that was written, and all that was in it.

    since: seconds, wall clock, from when on it was written; frames: that this run had written into it
    """

    def __init__(self, path: Path, since: float, frames: int) -> None:
        super().__init__(f"{path} was removed while it was written, and what was in it is gone")
        self.since, self.frames = since, frames


class SegmentFile:
    """A file that is locked, and appended to record by record.

    header: what it began with; None until `begin`; seq: of the next record; end: bytes that are good
    chain: over all of them; key_seq, ref_seq: of the last KEY and the last frame, None before any
    t_mono: of the last record; dropped: bytes of an incomplete tail that were cut off when it was reopened
    was_closed: it ended in a FOOTER when it was reopened
    """

    def __init__(self, path: Path, opened: int) -> None:
        self.path = path
        self.header: FileHeader | None = None
        self.seq = self.end = self.dropped = 0
        self.was_closed = False
        self.t_mono = 0
        self.chain = b""
        self.key_seq: int | None = None
        self.ref_seq: int | None = None
        self.totals = Totals()
        self._opened = opened
        self._is_torn = False
        self._readable = 0
        self._together: bytearray | None = None
        self._entries: list[Entry] = []
        self._directory: list[tuple[int, int, int]] = []

    @classmethod
    def create(cls, path: Path) -> "SegmentFile":
        """A new, empty, locked file that only its owner can read.

        raises: FileExistsError, and OSError besides; HeldError if somebody was quicker to lock it
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = cls(path, os.open(path, flags, 0o600))
        try:
            _lock(file._opened, path)
            _sync_folder(path.parent)
        except RecordingError:  # somebody else has it
            file.close()
            raise
        except BaseException:
            file.discard()
            raise
        return file

    @classmethod
    def reopen(
        cls,
        path: Path,
        refused: Callable[[FileHeader], str] = lambda _: "",
        *,
        if_closed: bool = True,
    ) -> "SegmentFile":
        """A file that exists, locked and checked, with an incomplete tail cut off.

        An empty one is as a new one. refused: why one with such a header is not gone on with, and is left as
        it is; "" if it is. if_closed: whether one that ends in a FOOTER is gone on with, too
        raises: HeldError; TakenError for one that was closed; RecordingError if it is not to be appended to;
        OSError
        """
        try:
            opened = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise RecordingError(f"{path} is a symbolic link: name the file itself") from error
            raise
        file = cls(path, opened)
        try:
            status = os.fstat(opened)
            if not stat.S_ISREG(status.st_mode):
                raise RecordingError(f"{path} is no regular file: choose another name")
            if status.st_uid != os.geteuid():
                raise RecordingError(f"{path} belongs to someone else: choose another name")
            _lock(opened, path)
            if status.st_size:
                file._take_up(os.fstat(opened).st_size, refused)
                if file.was_closed and not if_closed:
                    raise closed_error(path)
            if status.st_mode & 0o077:
                os.fchmod(opened, 0o600)
        except BaseException:
            os.close(opened)
            raise
        return file

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Write the file header. raises: OSError, and the file is empty as before"""
        header = FileHeader(facts)
        data = header.pack()
        self._write(data)
        self.header, self.chain = header, layout.first_chain(data)

    @property
    def needs_index(self) -> bool:
        """Whether an INDEX is due."""
        return len(self._entries) >= INDEX_EVERY

    def append(
        self, kind: Kind, payload: bytes, t_wall: int, t_mono: int, *, flags: int = 0, tag: int = 0
    ) -> Record:
        """Write one record; `payload` as it is stored. The header's references follow from what was written.

        raises: OSError, and the file and what is known of it are as before
        """
        if len(payload) > PAYLOAD_MOST:
            raise BadRecord(f"a payload of {len(payload)} bytes")
        key_seq, ref_seq = self._references(kind)
        record = Record(
            kind,
            flags,
            len(payload),
            self.seq,
            key_seq,
            ref_seq,
            t_wall,
            max(t_mono, self.t_mono),
            zlib.crc32(payload),
        )
        head, offset = record.pack(), self.end
        self._write(head + payload)
        self.chain = layout.chained(self.chain, head, payload)
        self._count(Entry(offset, record.size, *record[3:8], kind, tag))
        return record

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is appended within is written at the end, by one write: all of it, or nothing.

        raises: OSError, as `append`
        """
        before = (
            self.seq, self.end, self.t_mono, self.chain, self.key_seq, self.ref_seq, self.totals,
            list(self._entries), list(self._directory),
        )  # fmt: skip
        self._together = bytearray()
        try:
            yield
            data, self._together = bytes(self._together), None
            self.end = before[1]
            self._write(data)
        except BaseException:
            self._together = None
            (
                self.seq, self.end, self.t_mono, self.chain, self.key_seq, self.ref_seq, self.totals,
                self._entries, self._directory,
            ) = before  # fmt: skip
            raise

    def index(self, t_wall: int, t_mono: int) -> None:
        """Write an INDEX of all since and including the one before. raises: OSError, as `append`"""
        before = self._directory[-1][0] if self._directory else 0
        first, offset = self._entries[0] if self._entries else None, self.end
        payload = compressed(packed_index(before, self.chain, self._entries))
        record = self.append(Kind.INDEX, payload, t_wall, t_mono, flags=ZSTD)
        self._entries = self._entries[-1:]
        at, seq = (first.t_mono, first.seq) if first is not None else (record.t_mono, record.seq)
        self._directory.append((offset, at, seq))

    def footer(self, t_wall: int, t_mono: int, signer: Signer | None = None) -> None:
        """Write the FOOTER, after an INDEX. raises: OSError, as `append`"""
        directory = b"".join(DIRECTORY.pack(*one) for one in self._directory)
        footer = Footer(
            len(self._directory),
            self.totals.frames,
            self.totals.records,
            self.totals.events,
            max(self.totals.first_wall, 0),
            max(self.totals.last_wall, 0),
            max(t_mono, self.t_mono),
            self.chain,
            signer.key_id if signer is not None else NO_KEY_ID,
            NO_SIGNATURE,
            HLEN + len(directory) + layout.FOOTER.size,
        )
        if signer is not None:
            signed = directory + footer.pack()[:SIGNED_OF_FOOTER]
            footer = footer._replace(signature=signer.sign(signed))
        self.append(Kind.FOOTER, directory + footer.pack(), t_wall, t_mono)

    def sync(self) -> None:
        """All that was written is on the disk. raises: OSError; nobody knows then what is on it"""
        os.fdatasync(self._opened)

    @property
    def is_gone(self) -> bool:
        """Whether somebody removed the file, so that what is written goes nowhere."""
        return os.fstat(self._opened).st_nlink == 0

    def discard(self) -> None:
        """Remove the file, unless another one has its name by now, and let go of it."""
        with suppress(OSError):
            if os.path.samestat(os.fstat(self._opened), os.lstat(self.path)):
                self.path.unlink()
        self.close()

    def close(self) -> None:
        """Let go of the lock and the file. Safe to call twice."""
        if self._opened >= 0:
            opened, self._opened = self._opened, -1
            os.close(opened)

    def _write(self, data: bytes) -> None:
        """One write at the end, whole or not at all."""
        if self._together is not None:
            self._together += data
            self.end += len(data)
            return
        if self._is_torn:
            self._cut()
        try:
            written = os.pwrite(self._opened, data, self.end)
            if written < len(data):
                # A disk that takes half does not say why: asked for the rest, it does.
                written += os.pwrite(self._opened, data[written:], self.end + written)
            if written < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        except OSError:
            self._cut_if_possible()
            raise
        self.end += written

    def _cut_if_possible(self) -> None:
        self._is_torn = True
        with suppress(OSError):  # tried again before the next write; a reader takes it for a cut-off tail
            self._cut()

    def _cut(self) -> None:
        os.ftruncate(self._opened, self.end)
        self._is_torn = False

    def _references(self, kind: int) -> tuple[int, int]:
        """key_seq and ref_seq of the next record."""
        own = self.seq
        if kind == Kind.KEY:
            return own, own
        key_seq = own if self.key_seq is None else self.key_seq
        if kind == Kind.SUBKEY:
            return key_seq, key_seq
        return key_seq, own if self.ref_seq is None else self.ref_seq

    def _count(self, entry: Entry) -> None:
        self._entries.append(entry)
        self.totals = self.totals.plus(entry)
        self.seq, self.t_mono = entry.seq + 1, entry.t_mono
        if entry.kind == Kind.KEY:
            self.key_seq = entry.seq
        if entry.kind in FRAMES:
            self.ref_seq = entry.seq

    def _take_up(self, size: int, refused: Callable[[FileHeader], str]) -> None:
        """Learn where to go on, from the last INDEX; cut an incomplete tail. raises: RecordingError"""
        head = os.pread(self._opened, layout.FILE_HEADER.size + layout.HEADER_MOST, 0)
        try:
            self.header, start = FileHeader.unpack(head)
        except BadRecord as error:
            raise RecordingError(f"{self.path} is not appended to: {error}. Choose another name") from error
        if (self.header.major, self.header.minor) != (layout.MAJOR, layout.MINOR):
            raise RecordingError(
                f"{self.path} is of format {self.header.major}.{self.header.minor}, this is "
                f"{layout.MAJOR}.{layout.MINOR}: choose another name"
            )
        if why := refused(self.header):
            raise RecordingError(f"{self.path} {clean(why, 300)}: choose another name")
        self.end, self.chain = start, layout.first_chain(head[:start])
        self._readable = 4 * size + _LOOK_BACK
        found = self._last_index(size, start)
        if found is not None:
            self._take_index(*found)
        self._walk(size)
        last = self._entries[-1].kind if self._entries else None
        self.was_closed = last == Kind.FOOTER and not self.dropped

    def _last_index(self, size: int, start: int) -> tuple[int, Record, bytes] | None:
        """The INDEX nearest the end that is whole: its place, its header, its payload as stored."""
        mark = layout.SYNC + bytes((Kind.INDEX,))
        until = size
        while until > start:
            since = max(start, until - _LOOK_BACK)
            data = os.pread(self._opened, until - since + len(mark) - 1, since)
            at = data.rfind(mark)
            while at >= 0:
                if (whole := self._whole(since + at)) is not None:
                    return since + at, *whole
                at = data.rfind(mark, 0, at)
            until = since
        return None

    def _whole(self, offset: int) -> tuple[Record, bytes] | None:
        """The record that stands there and its payload; None if it is damaged or cut off."""
        head = os.pread(self._opened, HLEN_MOST, offset)
        try:
            record = layout.unpack_record(head)
        except BadRecord:
            return None
        # Marks of records that overlap would have the same bytes read again and again.
        self._readable -= HLEN_MOST + record.stored
        if self._readable < 0:
            raise self._damaged(offset)
        payload = os.pread(self._opened, record.stored, offset + record.hlen)
        if len(payload) < record.stored or zlib.crc32(payload) != record.pcrc:
            return None
        return record, payload

    def _take_index(self, offset: int, record: Record, stored: bytes) -> None:
        """Go on behind an INDEX; those before it are read along their links, for directory and totals."""
        pages = [self._page(stored)]
        places = [offset]
        while (before := pages[-1][0]) != 0:
            if before >= places[-1] or (whole := self._whole(before)) is None:
                raise self._damaged(before)
            places.append(before)
            pages.append(self._page(whole[1]))
        for place, (_, _, entries) in zip(reversed(places), reversed(pages), strict=True):
            first = entries[0] if entries else None
            self._directory.append((place, first.t_mono if first else 0, first.seq if first else 0))
            # Each page begins with the INDEX before it, which the first page has not.
            for entry in entries:
                self._count(entry)
        self._entries = []
        self.end, self.chain = offset, pages[0][1]
        self._pass(offset, record, stored)

    def _page(self, stored: bytes) -> tuple[int, bytes, list[Entry]]:
        """Place of the INDEX before, chain before this one, entries. raises: RecordingError"""
        try:
            return read_index(decompressed(stored))
        except BadRecord as error:
            raise RecordingError(f"{self.path} is not appended to: {error}. Choose another name") from error

    def _walk(self, size: int) -> None:
        """Check every record from `end` on; cut what is no whole record at the very end."""
        while self.end < size:
            whole = self._whole(self.end)
            if whole is None or whole[0].seq != self.seq:
                if size - self.end > _TAIL_MOST or self._has_record_after(self.end, size):
                    raise self._damaged(self.end)
                self.dropped = size - self.end
                self._cut()
                return
            self._pass(self.end, *whole)

    def _pass(self, offset: int, record: Record, stored: bytes) -> None:
        """Count a record that is there already."""
        head = os.pread(self._opened, record.hlen, offset)
        self.chain = layout.chained(self.chain, head, stored)
        self._count(Entry(offset, record.size, *record[3:8], record.kind, _tag(record, stored)))
        self.end = offset + record.size

    def _has_record_after(self, offset: int, size: int) -> bool:
        data = os.pread(self._opened, size - offset, offset)
        at = data.find(layout.SYNC, 1)
        while at >= 0:
            with suppress(BadRecord):
                if offset + at + layout.unpack_record(data, at).size <= size:
                    return True
            at = data.find(layout.SYNC, at + 1)
        return False

    def _damaged(self, offset: int) -> RecordingError:
        return RecordingError(
            f"{self.path} is damaged at byte {offset} and is not appended to. Choose another name; "
            "`tidegate recording verify` tells what can still be read"
        )


def closed_error(path: Path) -> TakenError:
    """Why a file that somebody ended is not gone on with unasked."""
    shown = clean(str(path), 500)
    return TakenError(f"{shown} is there and was closed: give another name, or --append to go on in it")


def _tag(record: Record, stored: bytes) -> int:
    """The tag in a payload of JSON; 0 for what has none."""
    if record.kind not in NOTED:
        return 0
    try:
        tag = json.loads(decompressed(stored) if record.flags & ZSTD else stored).get("tag", 0)
    except (BadRecord, ValueError, AttributeError, RecursionError):
        return 0
    return tag if isinstance(tag, int) and 0 <= tag < 256 else 0


def _lock(opened: int, path: Path) -> None:
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise HeldError(f"another process records into {path}: choose another name") from error
    if os.fstat(opened).st_nlink == 0:
        raise HeldError(f"{path} was removed just now: try again")


def _sync_folder(folder: Path) -> None:
    """A new name survives a crash only once its folder is on the disk."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # a file system without it
            raise
    finally:
        os.close(opened)
