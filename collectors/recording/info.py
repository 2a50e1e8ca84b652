"""What is in a recording, told from its tables of records: nothing is decoded but schemas and the header."""

from collections.abc import Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from collectors.recording.layout import FRAMES, HAPPENED, SLIGHT_S, BadRecord, Kind, RecordingError, Tag
from collectors.recording.noted import Allowance, read_json
from collectors.recording.payload import unfolded
from collectors.recording.reader import Recording
from collectors.recording.rewriting import is_simulated
from collectors.recording.ring import SUFFIX
from collectors.recording.schema import SchemaError, from_json
from collectors.recording.segment import Segment
from collectors.recording.signing import NO_SIGNATURE
from collectors.recording.times import counted, stamp
from collectors.text import clean

if TYPE_CHECKING:
    from collectors.recording.verify import Fault

SCHEMA_BYTES, SCHEMAS_MOST = 8 * 2**20, 2_000
"""JSON of schemas that is read, and how many different ones."""

CHECKED_RECORDS, CHECKED_BYTES, CHECKED_NOTE_BYTES = 20_000, 2**20, 16 * 2**20
"""A longer file is not searched for damage, and notes that unpack to more are not looked into: `verify` is
there for that."""

_PLACES_MOST, _FRAMES_MOST = 20, 100
_RUNS_MOST = 5


class Info(NamedTuple):
    """What one file holds.

    facts: of its header, cleaned; start, end: its earliest and latest time, which are not its first and last
    where the clock went back: seconds since the epoch, None without a record
    events: of the fleet; records that tell of the recording itself are not among them
    values: numbers of all frames together; schemas: numbers of a frame, for each schema in order
    marks: in the file and beside it
    gaps: stretches that were not recorded, or are damaged; longest_gap_s: of them; dropped: times that frames
    were dropped
    is_simulated: by its header, or by its frames
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
    longest_gap_s: float
    dropped: int
    size_bytes: int
    values: int
    schemas: tuple[int, ...]
    is_closed: bool
    is_signed: bool
    is_simulated: bool
    notices: tuple[str, ...]

    @property
    def bytes_per_value(self) -> float | None:
        """None without a value."""
        return self.size_bytes / self.values if self.values else None


def info(path: Path) -> Info:
    """Of one file. raises: RecordingError if it cannot be read, NewerFormat if it needs a newer reader"""
    recording = Recording(path, [Segment(path)])
    try:
        return _info(recording)
    finally:
        recording.close()


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


def _info(recording: Recording) -> Info:
    (segment,) = recording.segments
    table = segment.table
    tags = table.tag[table.kind == Kind.EVENT]
    schemas, values = _sizes(segment)  # which can add to the notices
    footer = segment.footer
    notices = [*segment.notices, *_clock_went_back(segment)]
    faults = _looked_for_damage(recording)
    if segment.damages:
        lost, first = sum(one.size for one in segment.damages), segment.damages[0].offset
        where = f"at byte {first}" if len(segment.damages) == 1 else f"from byte {first} on"
        what = " or ".join(dict.fromkeys(one.what for one in segment.damages))
        notices.append(f"{lost} bytes are {what} {where}: `tidegate recording verify` tells more")
    elif faults:
        told = counted(len(faults), "fault")
        notices.append(f"damaged at byte {faults[0].offset}, {told}: `tidegate recording verify` tells more")
    if segment.tail:
        notices.append(f"tail of {segment.tail} bytes ignored: a record that was cut off")
    simulated, gaps = is_simulated(recording), recording.gaps
    return Info(
        file=clean(str(segment.path), 500),
        facts=segment.header.facts,
        start=int(table.t_wall.min()) / 1e6 if table.rows else None,
        end=int(table.t_wall.max()) / 1e6 if table.rows else None,
        frames=len(segment.frame_rows),
        events=int(np.isin(tags, list(HAPPENED)).sum()),
        actions=int((table.tag == Tag.INTENT).sum()),
        marks=len(recording.marks()) if table.rows else 0,
        gaps=len(gaps),
        longest_gap_s=max((gap.end - gap.start for gap in gaps), default=0.0),
        dropped=int((tags == Tag.DROPPED).sum()),
        size_bytes=segment.file.size,
        values=values,
        schemas=schemas,
        is_closed=footer is not None,
        is_signed=footer is not None and footer.signature != NO_SIGNATURE,
        is_simulated=simulated,
        notices=tuple(clean(one, 500) for one in notices),
    )


def _clock_went_back(segment: Segment) -> list[str]:
    """A sentence, where a run begins at an earlier time than the one before it had come to.

    Each run of a simulated fleet begins at one time: on a timeline two of them lie over one another.
    """
    table, frames = segment.table, segment.frame_rows
    starts = np.flatnonzero((table.kind == Kind.EVENT) & (table.tag == Tag.RUN_START))
    parts = np.split(table.t_wall[frames], np.searchsorted(frames, starts))
    runs = [(int(part.min()) / 1e6, int(part.max()) / 1e6) for part in parts if len(part)]
    if all(later[0] >= before[1] for before, later in pairwise(runs)):
        return []
    told = "; ".join(f"{stamp(start)} to {stamp(end)}" for start, end in runs[:_RUNS_MOST])
    more = f"; {len(runs) - _RUNS_MOST} more" if len(runs) > _RUNS_MOST else ""
    return [f"it holds {len(runs)} runs, and the clock goes back between them: {told}{more}"]


def _looked_for_damage(recording: Recording) -> "tuple[Fault, ...]":
    """What `verify` finds in a closed file that is not too long for it, and so its gaps are known.

    An index leads a reader past what it does not need: damage there shows when it is read.
    """
    (segment,) = recording.segments
    table = segment.table
    if segment.footer is None or table.rows > CHECKED_RECORDS or segment.file.size > CHECKED_BYTES:
        return ()
    from collectors.recording.verify import verify

    faults = verify(segment.path, note_bytes=CHECKED_NOTE_BYTES).faults
    for fault in faults[:_PLACES_MOST]:
        row = int(np.searchsorted(table.offset, fault.offset, side="right")) - 1
        number = int(np.searchsorted(segment.frame_rows, row))
        with suppress(RecordingError):
            # What is found not to be readable is a gap from then on.
            for each in range(number, min(number + _FRAMES_MOST, recording.frames)):
                if abs(recording.picture(each).at - recording.time_of(each)) < SLIGHT_S:
                    break
    return faults


def _sizes(segment: Segment) -> tuple[tuple[int, ...], int]:
    """Numbers of a frame by each schema, in order; numbers of all frames: each is of the schema before it."""
    sizes: dict[int, int] = {}
    values, size = 0, 0
    allowance = Allowance(SCHEMA_BYTES)
    table = segment.table
    at_schemas = np.flatnonzero(table.kind == Kind.SCHEMA)
    is_frame = np.isin(table.kind, list(FRAMES))
    read: dict[int, int] = {}
    for place, row in enumerate(at_schemas):
        try:
            record, stored = segment.stored(int(row))
            if record.pcrc not in read:
                data = unfolded(record, stored)
                if len(read) >= SCHEMAS_MOST or not allowance.takes(len(data)):
                    segment.notices.append("it has very many schemas: not all of its numbers are counted")
                    break
                schema = from_json(read_json(data))
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
