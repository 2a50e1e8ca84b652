"""The bytes of a recording, format 1.0: file header, records, index, footer. Pure: bytes in, values out.

Little-endian; unsigned unless said; CRCs are `zlib.crc32`; times are microseconds. Source: docs/tgrec.md.
"""

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

MAGIC = b"\x89TGREC\r\n"
SYNC = b"\xf5TGREC\r\n"
TAIL = b"TGFT"
MAJOR, MINOR = 1, 0

PAYLOAD_MOST = 16 * 2**20
"""Most bytes of a payload, stored or unpacked."""

HEADER_MOST = 2**20
"""Most bytes of the file header's JSON."""

FILE_HEADER = struct.Struct("<8sHHHHIII")
RECORD = struct.Struct("<8sBBHIIIIqqI")
_CRC = struct.Struct("<I")
HLEN = RECORD.size + _CRC.size
HLEN_MOST = 256
INDEX_HEAD = struct.Struct("<IIQ32s")
INDEX_COLUMNS = (
    ("offset", "<u8"),
    ("size", "<u4"),
    ("seq", "<u4"),
    ("key_seq", "<u4"),
    ("ref_seq", "<u4"),
    ("t_wall", "<i8"),
    ("t_mono", "<i8"),
    ("kind", "u1"),
    ("tag", "u1"),
)
DIRECTORY = struct.Struct("<Qqq")
FOOTER = struct.Struct("<IIIIqqq32s8s64sI4s")

ZSTD, BACKFILLED, REQUIRED = 0x01, 0x02, 0x80
"""Flags of a record: its payload is compressed; it was filled in from history; who cannot read it stops."""


class Kind(IntEnum):
    """What a record is."""

    SCHEMA = 1
    KEY = 2
    SUBKEY = 3
    DELTA = 4
    EVENT = 5
    ACTION = 6
    MARK = 7
    INDEX = 8
    FOOTER = 9


FRAMES = frozenset({Kind.KEY, Kind.SUBKEY, Kind.DELTA})
NOTED = frozenset({Kind.EVENT, Kind.ACTION, Kind.MARK})
"""Kinds whose payload is JSON with a tag."""


class Tag(IntEnum):
    """What an EVENT, ACTION or MARK tells. 0 to 12, 32, 33 and 48 as the format defines them."""

    SNAPSHOT = 0
    RUN_START = 1
    RUN_STOP = 2
    ALERT = 3
    ALERT_CLEARED = 4
    STAGE = 5
    POLL_FAILURE = 6
    RECOVERY = 7
    GAP = 8
    DROPPED = 9
    CLOCK_STEP = 10
    TAIL_DROPPED = 11
    REASON = 12
    STATE = 13
    PAST = 14
    VIEW = 15
    HAPPENED = 16
    INTENT = 32
    RESULT = 33
    BOOKMARK = 48


HAPPENED = frozenset({Tag.ALERT, Tag.ALERT_CLEARED, Tag.STAGE, Tag.POLL_FAILURE, Tag.RECOVERY, Tag.HAPPENED})
"""Tags of events of the fleet, whose body is an event of a frame; others tell of the recording itself."""

SLIGHT_S = 1e-5
"""Times that differ by less are one: they are whole microseconds in the file, and floats in memory."""


class RecordingError(Exception):
    """A recording that cannot be read or written: what, where, what to do."""


class TakenError(RecordingError):
    """A name that is taken: what is there was not changed, and another name has to be given, or a consent."""


class NewerFormat(RecordingError):
    """A recording that needs a newer reader; str() names the version that it needs."""


class BadRecord(Exception):
    """Bytes that are no valid record. str() says what is wrong with them."""


@dataclass(frozen=True, slots=True)
class FileHeader:
    """The first bytes of a file: what it is, who may read it, and a JSON object of facts.

    facts: recording (id), segment (number), app, host, zone, boot, poll_s, t0_wall (µs), redaction, source
        ("live" or "backfill"), prev_chain (hex), context; readers ignore members they do not know
    """

    facts: Mapping[str, Any]
    major: int = MAJOR
    minor: int = MINOR
    least_major: int = MAJOR
    least_minor: int = 0

    def pack(self) -> bytes:
        """Its bytes."""
        text = json.dumps(self.facts, ensure_ascii=False, separators=(",", ":")).encode()
        head = FILE_HEADER.pack(
            MAGIC,
            self.major,
            self.minor,
            self.least_major,
            self.least_minor,
            len(text),
            zlib.crc32(text),
            0,
        )
        return head[:24] + _CRC.pack(zlib.crc32(head[:24])) + text

    @classmethod
    def unpack(cls, data: bytes) -> "tuple[FileHeader, int]":
        """The header at the start of `data`, and its length in bytes.

        raises: BadRecord if it is damaged or no recording; NewerFormat if this reader is too old
        """
        if len(data) < FILE_HEADER.size or data[:8] != MAGIC:
            raise BadRecord("it does not begin as one")
        _, major, minor, least_major, least_minor, size, text_crc, crc = FILE_HEADER.unpack_from(data)
        if zlib.crc32(data[:24]) != crc:
            raise BadRecord("the file header is damaged")
        if (least_major, least_minor) > (MAJOR, MINOR):
            raise NewerFormat(
                f"format {major}.{minor} needs a reader of {least_major}.{least_minor}; this one reads "
                f"{MAJOR}.{MINOR}: use a newer tidegate"
            )
        text = data[FILE_HEADER.size : FILE_HEADER.size + size]
        if size > HEADER_MOST or len(text) < size or zlib.crc32(text) != text_crc:
            raise BadRecord("the file header's description is damaged")
        try:
            facts = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadRecord("the file header's description is no JSON") from error
        if not isinstance(facts, dict):
            raise BadRecord("the file header's description is no object")
        return cls(facts, major, minor, least_major, least_minor), FILE_HEADER.size + size


class Record(NamedTuple):
    """A record's header. Sequence numbers count records of any kind from 0 in each segment.

    stored: bytes of payload behind it; key_seq: of the group's KEY; ref_seq: frame this delta applies to; of
        another kind the latest frame; its own seq before any frame
    t_wall: µs since the epoch; t_mono: µs of recording time, never decreasing
    pcrc: CRC of the stored payload; hlen: bytes of this header
    """

    kind: int
    flags: int
    stored: int
    seq: int
    key_seq: int
    ref_seq: int
    t_wall: int
    t_mono: int
    pcrc: int
    hlen: int = HLEN

    @property
    def size(self) -> int:
        """Bytes of the whole record."""
        return self.hlen + self.stored

    def pack(self) -> bytes:
        """Its bytes, of this version's length."""
        body = RECORD.pack(
            SYNC,
            self.kind,
            self.flags,
            HLEN,
            self.stored,
            self.seq,
            self.key_seq,
            self.ref_seq,
            self.t_wall,
            self.t_mono,
            self.pcrc,
        )
        return body + _CRC.pack(zlib.crc32(body))


def unpack_record(data: bytes | memoryview, offset: int = 0) -> Record:
    """The record header at `offset`. raises: BadRecord if it is damaged, or there are too few bytes."""
    if len(data) - offset < HLEN:
        raise BadRecord("cut off in a record's header")
    sync, kind, flags, hlen, stored, seq, key_seq, ref_seq, t_wall, t_mono, pcrc = RECORD.unpack_from(
        data, offset
    )
    if sync != SYNC or not HLEN <= hlen <= HLEN_MOST:
        raise BadRecord("no record begins here")
    crc_at = offset + hlen - _CRC.size
    if len(data) < crc_at + _CRC.size:
        raise BadRecord("cut off in a record's header")
    if zlib.crc32(data[offset:crc_at]) != _CRC.unpack_from(data, crc_at)[0]:
        raise BadRecord("a record's header is damaged")
    if stored > PAYLOAD_MOST:
        raise BadRecord(f"a record claims {stored} bytes")
    return Record(kind, flags, stored, seq, key_seq, ref_seq, t_wall, t_mono, pcrc, hlen)


def chained(chain: bytes, record: bytes, payload: bytes) -> bytes:
    """The chain's next value: SHA-256 over the one before, the record's header and its stored payload."""
    return hashlib.sha256(chain + record + payload).digest()


def first_chain(file_header: bytes) -> bytes:
    """The chain before the first record: SHA-256 of the file header with its JSON."""
    return hashlib.sha256(file_header).digest()


class Footer(NamedTuple):
    """The fixed block at the end of a file that was closed.

    indexes, frames, records, events: counts; times in µs; chain: before the FOOTER record; key_id, signature:
        of Ed25519 over the directory and this block up to the signature; zeros where unsigned
    size: of the whole FOOTER record
    """

    indexes: int
    frames: int
    records: int
    events: int
    first_wall: int
    last_wall: int
    last_mono: int
    chain: bytes
    key_id: bytes
    signature: bytes
    size: int

    def pack(self) -> bytes:
        """Its bytes: the last of the file."""
        return FOOTER.pack(*self, TAIL)

    @classmethod
    def unpack(cls, data: bytes) -> "Footer":
        """From the last bytes of a file. raises: BadRecord if it was not closed."""
        if len(data) < FOOTER.size or data[-4:] != TAIL:
            raise BadRecord("no footer: it was not closed")
        return cls(*FOOTER.unpack(data[-FOOTER.size :])[:-1])
