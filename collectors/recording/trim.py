"""A stretch of a recording as a recording of its own."""

import bisect
import math
from pathlib import Path
from typing import TYPE_CHECKING

from collectors.recording.draft import draft
from collectors.recording.layout import SLIGHT_S, Kind, RecordingError, Tag
from collectors.recording.noted import Noted
from collectors.recording.notes import mark_json, view_json
from collectors.recording.redact import Redaction
from collectors.recording.rewriting import (
    Moment,
    Progress,
    Rewriter,
    facts_of,
    is_simulated,
    moments,
    no_progress,
    numbers,
    origin,
)
from collectors.recording.ring import RingLimits
from collectors.recording.state_json import number
from collectors.recording.stream import Stamp, Stream
from collectors.recording.times import counted, stamp
from collectors.sessions import Gap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.recording.reader import Recording


def trim(
    recording: "Recording",
    start: float,
    end: float,
    out: Path,
    *,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> tuple[str, ...]:
    """Write the frame that is shown at `start`, all up to `end`, and events, actions and marks of that time.

    Returns sentences about what was written. raises: RecordingError if there is no such stretch, or `out`
    cannot be written; nothing is left behind then
    """
    wanted = numbers(recording, start, end)
    began, ended = recording.time_of(wanted[0]), recording.time_of(wanted[-1])
    facts = facts_of(recording.header.facts, [origin("trim", recording, began, ended)])
    simulated, redaction = is_simulated(recording), Redaction()
    with draft(out, overwrite=overwrite, sources=recording.paths) as path:
        stream = Stream(None, path, RingLimits(), facts, redaction, simulated=simulated)
        rewriter = Rewriter(stream, redaction)
        try:
            stream.claim()
            before, told_gaps = math.inf, list[_Stretch]()
            for one in _with_marks(recording, wanted, start, end):
                at = Stamp(round(one.at * 1e6), one.tick)
                if one.note is not None:
                    rewriter.note(one.note, at)
                    told_gaps += _gap_in(one.note)
                    continue
                progress("frames", rewriter.frames + rewriter.lost, len(wanted))
                if (frame := rewriter.read(recording, one.number)) is None:
                    continue
                for gap in _untold(recording, before, one.at, told_gaps):
                    rewriter.gap(gap, at)
                rewriter.frame(frame, at)
                before, told_gaps = one.at, []
            rewriter.close()
        finally:
            stream.abandon()
        if not rewriter.frames:
            raise RecordingError(f"no frame from {stamp(start)} to {stamp(end)} can be read")
    told = [counted(rewriter.frames, "frame")]
    told += [f"{counted(rewriter.lost, 'frame')} could not be read"] if rewriter.lost else []
    if began < start - SLIGHT_S:
        told.append(f"it begins at {stamp(began)}, with the whole frame that was shown at {stamp(start)}")
    return tuple(told)


_Stretch = tuple[float, float]


def _gap_in(note: Noted) -> "Iterator[_Stretch]":
    """The stretch that an event tells nothing was recorded in, if it does."""
    if note.kind == Kind.EVENT and note.tag in (Tag.GAP, Tag.DROPPED):
        edges = [number(note.body.get(name)) for name in ("from", "to")]
        if edges[0] is not None and edges[1] is not None:
            yield edges[0], edges[1]


def _untold(recording: "Recording", since: float, until: float, told: list[_Stretch]) -> "Iterator[Gap]":
    """Gaps between two frames that no event of the recording tells: between its runs, and what is damaged."""
    # They are asked for each time: what is damaged shows when it is read.
    gaps = recording.gaps
    place = bisect.bisect_left(gaps, (since - SLIGHT_S,))
    while place < len(gaps) and gaps[place].start < until - SLIGHT_S:
        gap = gaps[place]
        place += 1
        is_told = any(abs(a - gap.start) < SLIGHT_S and abs(b - gap.end) < SLIGHT_S for a, b in told)
        if gap.end <= until + SLIGHT_S and not is_told:
            yield gap


def _with_marks(recording: "Recording", wanted: list[int], start: float, end: float) -> "Iterator[Moment]":
    """What was recorded, with what the operator looked at when it began, and the marks beside the file."""
    added = [mark for mark in recording.marks() if start <= mark.at <= end]
    is_first = True
    for one in moments(recording, wanted, start, end):
        if one.note is not None and one.note.kind == Kind.MARK:
            continue  # among those that were made later
        while added and one.number >= 0 and added[0].at <= one.at:
            mark = added.pop(0)
            yield one._replace(number=-1, note=Noted(one.at, Kind.MARK, Tag.BOOKMARK, 0, mark_json(mark)))
        if is_first and (view := recording.view_at(one.at)) is not None:
            yield one._replace(number=-1, note=Noted(one.at, Kind.EVENT, Tag.VIEW, 0, view_json(view)))
        is_first = False
        yield one
        newest = one
    for mark in added:
        yield newest._replace(number=-1, note=Noted(newest.at, Kind.MARK, Tag.BOOKMARK, 0, mark_json(mark)))
