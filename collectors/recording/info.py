"""What is in a recording, told from its tables of records: nothing is decoded but schemas and the header."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from collectors.fleet import clean
from collectors.recording.layout import FRAMES, BadRecord, Kind, RecordingError, Tag
from collectors.recording.noted import read_json
from collectors.recording.ring import SUFFIX
from collectors.recording.schema import SchemaError, from_json
from collectors.recording.segment import Segment
from collectors.recording.signing import NO_SIGNATURE

HAPPENED = (
    Tag.ALERT,
    Tag.ALERT_CLEARED,
    Tag.STAGE,
    Tag.POLL_FAILURE,
    Tag.RECOVERY,
    Tag.HAPPENED,
)
"""Tags of events that tell of the fleet; the others tell of the recording itself."""


class Info(NamedTuple):
    """What one file holds.

    facts: of its header, cleaned; start, end: seconds since the epoch, None without a record
    values: numbers of all frames together; schemas: numbers of a frame, for each schema in order
    gaps: stretches that it tells were not recorded; dropped: times that frames were dropped
    is_closed: it ends in a footer; is_signed: with a signature, which is not checked here
    notices: what is to be told about it, in sentences
    """

    file: str
    facts: Mapping[str, Any]
    start: float | None
    end: float | None
    frames: int
    events: int
    actions: int
    marks: int
    gaps: int
    dropped: int
    size_bytes: int
    values: int
    schemas: tuple[int, ...]
    is_closed: bool
    is_signed: bool
    notices: tuple[str, ...]

    @property
    def bytes_per_value(self) -> float | None:
        """None without a value."""
        return self.size_bytes / self.values if self.values else None


def info(path: Path) -> Info:
    """Of one file. raises: RecordingError if it cannot be read, NewerFormat if it needs a newer reader"""
    segment = Segment(path)
    try:
        return _info(segment)
    finally:
        segment.close()


def files_of(path: Path) -> tuple[Path, ...]:
    """The files that are meant: one, or those of a folder in order of name.

    raises: RecordingError if there are none
    """
    if not path.is_dir():
        return (path,)
    try:
        found = tuple(sorted(one for one in path.iterdir() if one.suffix == SUFFIX and one.is_file()))
    except OSError as error:
        raise RecordingError(f"{clean(str(path), 500)} cannot be read: {error.strerror}") from error
    if not found:
        raise RecordingError(f"{clean(str(path), 500)} holds no recording: no file in it ends in {SUFFIX}")
    return found


def _info(segment: Segment) -> Info:
    table = segment.table
    tags = table.tag[table.kind == Kind.EVENT]
    schemas, values = _sizes(segment)
    footer = segment.footer
    notices = list(segment.notices)
    if segment.damages:
        lost = sum(one.size for one in segment.damages)
        notices.append(f"{lost} bytes are damaged: `tidegate recording verify` tells where")
    if segment.tail:
        notices.append(f"tail of {segment.tail} bytes ignored: a record that was cut off")
    return Info(
        file=clean(str(segment.path), 500),
        facts=segment.header.facts,
        start=int(table.t_wall[0]) / 1e6 if table.rows else None,
        end=int(table.t_wall[-1]) / 1e6 if table.rows else None,
        frames=len(segment.frame_rows),
        events=int(np.isin(tags, HAPPENED).sum()),
        actions=int((table.tag == Tag.INTENT).sum()),
        marks=int((table.kind == Kind.MARK).sum()),
        gaps=int((tags == Tag.GAP).sum()),
        dropped=int((tags == Tag.DROPPED).sum()),
        size_bytes=segment.file.size,
        values=values,
        schemas=schemas,
        is_closed=footer is not None,
        is_signed=footer is not None and footer.signature != NO_SIGNATURE,
        notices=tuple(clean(one, 500) for one in notices),
    )


def _sizes(segment: Segment) -> tuple[tuple[int, ...], int]:
    """Numbers of a frame by each schema, in order; numbers of all frames: each is of the schema before it."""
    sizes: dict[int, int] = {}
    values, size = 0, 0
    table = segment.table
    at_schemas = np.flatnonzero(table.kind == Kind.SCHEMA)
    is_frame = np.isin(table.kind, list(FRAMES))
    read: dict[int, int] = {}
    for place, row in enumerate(at_schemas):
        try:
            record, _ = segment.stored(int(row))
            if record.pcrc not in read:
                schema = from_json(read_json(segment.payload(int(row))))
                sizes[schema.id] = read[record.pcrc] = schema.size
            size = read[record.pcrc]
        except (BadRecord, SchemaError):
            pass  # its twin beside it tells the same
        until = int(at_schemas[place + 1]) if place + 1 < len(at_schemas) else table.rows
        values += size * int(is_frame[int(row) : until].sum())
    return tuple(sizes.values()), values


def as_dict(found: Info) -> dict[str, Any]:
    """Its members as plain values, for JSON."""
    return {**found._asdict(), "facts": dict(found.facts), "bytes_per_value": found.bytes_per_value}
