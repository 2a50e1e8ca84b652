"""Recordings made from recordings: frames and notes written anew, by the recorder's own stream.

What is made has an id of its own and no signature, and its header tells what it was made from.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from collectors.fleet import Frame
from collectors.recording.layout import FRAMES, NOTED, SLIGHT_S, Kind, RecordingError, Tag
from collectors.recording.noted import Allowance, Noted
from collectors.recording.redact import Redaction
from collectors.recording.stream import Stamp, Stream
from collectors.recording.succession import TICKS_MOST_US
from collectors.recording.table import TIME_MOST
from collectors.recording.times import stamp as told_time
from collectors.sessions import Gap
from collectors.text import clean

if TYPE_CHECKING:
    from collectors.recording.reader import Recording

MADE_FROM = "made_from"
"""Member of the file header: a list of {how, recording, host, context, from, to, frames}."""

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told as work goes on: what is counted, how many are done, of how many."""

OF_THE_STREAM = frozenset(
    {Tag.SNAPSHOT, Tag.STATE, Tag.REASON, Tag.RUN_START, Tag.RUN_STOP, Tag.CLOCK_STEP, Tag.TAIL_DROPPED}
)
"""Events that belong to the file they stand in: a new file has its own."""

_KEPT_FACTS = ("app", "host", "boot", "zone", "poll_s", "context", "source")
_NOT_COPIED = frozenset({"tag", "chain"})
_ORIGINS_MOST = 8

_PAST_BYTES = 6 * 2**20
"""JSON of what was before anybody watched that is copied."""


def is_simulated(recording: "Recording") -> bool:
    """Whether a simulated fleet was watched: as its header tells, or, where that could not know, its last
    frame that can be read."""
    if recording.header.facts.get("simulated") is True:
        return True
    try:
        return recording.frames > 0 and recording.picture(recording.frames - 1).simulated
    except RecordingError:
        return False


def no_progress(what: str, done: int, most: int) -> None:
    """Says nothing."""


def facts_of(header: Mapping[str, Any], origins: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The facts of a new file: what still holds of the old one's, and what it was made from."""
    kept = {name: header[name] for name in _KEPT_FACTS if name in header}
    return {**kept, "policy_before": header.get("redaction", ""), MADE_FROM: [dict(one) for one in origins]}


def origin(how: str, recording: "Recording", start: float, end: float) -> dict[str, Any]:
    """One entry of `made_from`; start, end: of the frames that were taken, seconds."""
    facts = recording.header.facts
    return {
        "how": how,
        "recording": recording.id,
        "host": facts.get("host", ""),
        "context": facts.get("context", ""),
        "from": start,
        "to": end,
        "frames": recording.frames,
        "earlier": facts.get(MADE_FROM, []),
    }


def origins(facts: Mapping[str, Any]) -> list[str]:
    """What a header says that its file was made from, a sentence each; text from outside, cleaned."""
    listed = facts.get(MADE_FROM)
    found = []
    for one in listed[:_ORIGINS_MOST] if isinstance(listed, list) else ():
        if not isinstance(one, Mapping):
            continue
        words = {"trim": "cut from", "merge": "joined from"}.get(str(one.get("how")), "made from")
        edges = [one.get(name) for name in ("from", "to")]
        times = [
            told_time(edge)
            for edge in edges
            if isinstance(edge, int | float) and 0 <= edge <= TIME_MOST / 1e6
        ]
        host = f" of {one['host']}" if one.get("host") else ""
        span = f", {times[0]} to {times[1]}" if len(times) == 2 else ""
        found.append(clean(f"{words} recording {one.get('recording', '?')}{host}{span}", 300))
    return found


class Moment(NamedTuple):
    """A frame or a note of a recording. at: seconds; tick: µs of recording time

    number: of the frame, -1 of a note
    """

    at: float
    tick: int
    number: int
    note: Noted | None


def numbers(recording: "Recording", start: float, end: float) -> list[int]:
    """Numbers of the frames from `start` to `end`, in order, and of the one that is shown at `start`.

    raises: RecordingError if there are none
    """
    found: list[int] = []
    for first, part in recording.numbered():
        begin, stop = part.span
        if stop < start - SLIGHT_S or begin > end + SLIGHT_S:
            continue
        walls = part.walls[: part.frames] / 1e6
        is_in = (walls >= start - SLIGHT_S) & (walls <= end + SLIGHT_S)
        found += (np.flatnonzero(is_in) + first).tolist()
    if recording.frames and start <= end and recording.time_of(shown := recording.index_at(start)) <= end:
        found = sorted({*found, shown})
    if not found:
        raise RecordingError(
            f"no frame from {told_time(start)} to {told_time(end)}; there are some from "
            f"{told_time(recording.start)} to {told_time(recording.end)}"
        )
    return found


def moments(recording: "Recording", wanted: Sequence[int], start: float, end: float) -> Iterator[Moment]:
    """The frames of those numbers and the notes from `start` to `end`, in the order they were recorded in.

    Notes that are damaged are left out, and so is what only the file it stands in needs.
    """
    first, last, kept = wanted[0], wanted[-1], frozenset(wanted)
    past = Allowance(_PAST_BYTES)
    for base, part in recording.numbered():
        behind = base + part.frames
        if last < base or first >= behind:
            continue
        table, rows = part.segment.table, part.segment.frame_rows
        # From the first frame's events on, which stand before it, to what follows the last one.
        before, after = min(first - base, len(rows)) - 1, last - base + 1
        low = int(rows[before]) + 1 if before >= 0 else 0
        high = int(rows[after]) if after < len(rows) else table.rows
        number = base + before + 1 if before >= 0 else base
        for row in range(low, high):
            at, tick, kind = int(table.t_wall[row]) / 1e6, int(table.t_mono[row]), int(table.kind[row])
            if kind in FRAMES:
                # A footer may count fewer frames than there are: the next number is another segment's.
                if number in kept and number < behind:
                    yield Moment(at, tick, number, None)
                number += 1
                continue
            tag = int(table.tag[row])
            if kind not in NOTED or (kind == Kind.EVENT and tag in OF_THE_STREAM) or not start <= at <= end:
                continue
            if (one := part.noted(row, past if tag == Tag.PAST else None, table)) is not None:
                yield Moment(at, tick, -1, one)


def look_through(recording: "Recording") -> None:
    """Decode every frame, so that `gaps` knows of all that is damaged: else it knows of what was read."""
    for _, part in recording.numbered():
        for _ in part.decoder.numbers(range(len(part.segment.frame_rows))):
            pass


class Rewriter:
    """Appends to a stream what comes from recordings. Calls raise OSError as the stream does.

    frames, lost: written, and not to be read
    """

    def __init__(self, stream: Stream, redaction: Redaction) -> None:
        self._stream, self._redaction = stream, redaction
        self._stamp: Stamp | None = None
        self._began: int | None = None
        self.frames = self.lost = 0

    def read(self, recording: "Recording", number: int) -> Frame | None:
        """A frame of a recording; None if it cannot be read."""
        try:
            frame = recording.frame(number)
            # In place of a damaged one a reader gives the frame before it, which has its own time.
            if abs(frame.at - recording.time_of(number)) < SLIGHT_S:
                return frame
        except RecordingError:
            pass  # counted, and told at the end
        self.lost += 1
        return None

    def frame(self, frame: Frame, stamp: Stamp) -> None:
        """Write a frame, at this time. raises: RecordingError if the clock leaps too far for one file"""
        self._stamp = stamp
        self._began = stamp.wall if self._began is None else self._began
        if abs(stamp.wall - self._began) > TICKS_MOST_US // 2:
            # A stream would go on in another file, which nobody asked for.
            raise RecordingError(
                f"its clock leaps from {told_time(self._began / 1e6)} to {told_time(stamp.wall / 1e6)}: "
                "cut out what lies before or behind, with --from and --to"
            )
        at = stamp.wall / 1e6
        self.frames += self._stream.frame(frame if frame.at == at else replace(frame, at=at), stamp)

    def note(self, one: Noted, stamp: Stamp, more: Mapping[str, Any] | None = None) -> None:
        """An event, action or mark. more: members that it has not"""
        self._stamp = stamp
        body = {name: value for name, value in one.body.items() if name not in _NOT_COPIED}
        # It was redacted when it was recorded; by now there may be more rules.
        self._stream.note(Kind(one.kind), one.tag, self._redaction.value({**(more or {}), **body}), stamp)

    def event(self, tag: Tag, body: Mapping[str, Any], stamp: Stamp) -> None:
        """An event of our own."""
        self._stream.note(Kind.EVENT, tag, body, stamp)

    def gap(self, gap: Gap, stamp: Stamp) -> None:
        """A stretch without frames, before the next one."""
        body = {"from": gap.start, "to": gap.end, "why": gap.why, "text": f"not recorded: {gap.why}"}
        self.event(Tag.GAP, body, stamp)

    def close(self) -> None:
        """End the file."""
        if self._stamp is not None:
            self._stream.close(self._stamp)
