"""Two recordings of one incident on one timeline.

Numbers are never mixed: at any time they are of one recording, the one that covers more, and of the other
where the first has nothing. Events, actions and marks are of both; what both told of one thing stands once.
"""

import heapq
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from collectors.fleet import Event, EventKind
from collectors.recording.draft import draft
from collectors.recording.layout import HAPPENED, SLIGHT_S, Kind, RecordingError, Tag
from collectors.recording.noted import Noted
from collectors.recording.notes import event_json, mark_json
from collectors.recording.redact import Redaction
from collectors.recording.rewriting import (
    Moment,
    Progress,
    Rewriter,
    facts_of,
    is_simulated,
    look_through,
    moments,
    no_progress,
    origin,
)
from collectors.recording.ring import RingLimits
from collectors.recording.state_json import time
from collectors.recording.stream import Stamp, Stream
from collectors.recording.times import counted
from collectors.sessions import Gap, Mark
from collectors.text import clean

if TYPE_CHECKING:
    from collectors.recording.reader import Recording

SAME_S = 15.0
"""An event that both tell within so many seconds is one: each polls in its own time."""

NOISE_S = 2.0
"""Clocks that seem to differ by less are taken as one: polling alone makes as much."""

_SHARED_MOST = 10_000


class Offset(NamedTuple):
    """How far the second clock is ahead of the first, seconds, by so many things that both saw."""

    seconds: float
    shared: int


class Span(NamedTuple):
    """A stretch of the timeline whose frames are of one recording: 0 or 1."""

    start: float
    end: float
    whose: int


def merge(
    one: "Recording",
    other: "Recording",
    out: Path,
    *,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> tuple[str, ...]:
    """Write both into one recording, on the first one's clock. Returns sentences about what was written.

    raises: RecordingError if they do not belong together, or `out` cannot be written
    """
    both = (one, other)
    _refuse(one, other)
    offset = offset_of(one, other)
    contexts = _contexts(one, other, offset)
    for recording in both:
        # Where one is damaged the other's frames stand, if it has any.
        look_through(recording)
    shift = offset.seconds if abs(offset.seconds) >= NOISE_S else 0.0
    covered = (_covered(one, 0.0), _covered(other, shift))
    first = 1 if _length(covered[1]) > _length(covered[0]) else 0
    spans = _spans(covered, first)
    facts = facts_of(both[first].header.facts, [origin("merge", r, r.start, r.end) for r in both])
    told = [_told(offset, shift), *contexts, f"numbers are of {_name(both[first], first)} where it has any"]
    simulated, redaction = is_simulated(one), Redaction()
    with draft(out, overwrite=overwrite, sources=(*one.paths, *other.paths)) as path:
        stream = Stream(None, path, RingLimits(), facts, redaction, simulated=simulated)
        rewriter = Rewriter(stream, redaction)
        try:
            stream.claim()
            of_second, twice = _written(both, shift, spans, first, rewriter, progress, told[0])
            rewriter.close()
        finally:
            stream.abandon()
        if not rewriter.frames:
            raise RecordingError("no frame of either recording can be read")
    told.append(f"{counted(rewriter.frames, 'frame')}, {of_second} of them of {_name(other, 1)}")
    what = (
        "event or action that both told stands" if twice == 1 else "events and actions that both told stand"
    )
    told += [f"{twice} {what} once"] if twice else []
    lost = sum(int(segment.unreadable.sum()) for recording in both for segment in recording.segments)
    told += [f"{counted(lost, 'frame')} could not be read"] if lost else []
    return tuple(told)


def offset_of(one: "Recording", other: "Recording") -> Offset:
    """The median difference of the times at which both recorded the same audit entries, decisions and events
    of the plane. Without any: 0, of 0."""
    seen, also = _sightings(one), _sightings(other)
    differences = [also[key] - at for key, at in seen.items() if key in also]
    return Offset(median(differences) if differences else 0.0, len(differences))


def _sightings(recording: "Recording") -> dict[object, float]:
    """When each thing that another recording can have too was first told."""
    found: dict[object, float] = {}
    tags = {Tag.STATE, Tag.HAPPENED, Tag.STAGE, Tag.RESULT}
    for one in recording.noted(recording.start, recording.end, {Kind.EVENT, Kind.ACTION}, tags):
        for key in _keys(one):
            found.setdefault(key, one.at)
        if len(found) >= _SHARED_MOST:
            break
    return found


def _keys(one: Noted) -> Iterator[object]:
    body = one.body
    if one.kind == Kind.ACTION:
        if audit := body.get("audit_id"):
            yield "audit", str(audit)
    elif one.tag == Tag.STATE:
        changed = body.get("set")
        for part in ("releases", "throttles"):
            items = changed.get(part) if isinstance(changed, Mapping) else None
            for item in items.values() if isinstance(items, Mapping) else ():
                change = item.get("last_change") if isinstance(item, Mapping) else None
                if isinstance(change, list) and change and change[0]:
                    yield "audit", str(change[0])


def _refuse(one: "Recording", other: "Recording") -> None:
    is_copy = one.id and one.id == other.id and one.segments[0].number == other.segments[0].number
    if is_copy or any(path.samefile(also) for path in one.paths for also in other.paths):
        raise RecordingError("both are the same recording: give two operators' recordings")
    if not one.frames or not other.frames:
        raise RecordingError("one of them has no frames: there is nothing to join")
    clocks = [is_simulated(r) for r in (one, other)]
    if clocks[0] != clocks[1]:
        raise RecordingError("one of them is of a simulated fleet, the other is not")


def _contexts(one: "Recording", other: "Recording", offset: Offset) -> list[str]:
    """A sentence where their contexts have different names: each operator names them in his own settings.

    raises: RecordingError if nothing tells that they are of one fleet
    """
    named = [clean(str(r.header.facts.get("context") or "none"), 120) for r in (one, other)]
    if named[0] == named[1]:
        return []
    if not offset.shared:
        raise RecordingError(
            f"one is of context {named[0]}, the other of {named[1]}, and no action was seen by both: nothing "
            "tells that they are of one fleet"
        )
    return [f"their contexts are {named[0]} and {named[1]}: both saw the same actions"]


def _covered(recording: "Recording", shift: float) -> list[tuple[float, float]]:
    """Stretches with frames, in order, on the first one's clock."""
    found, at = [], recording.start
    for gap in recording.gaps:
        if gap.start > at:
            found.append((at - shift, gap.start - shift))
        at = max(at, gap.end)
    return [*found, (at - shift, recording.end - shift)]


def _length(covered: list[tuple[float, float]]) -> float:
    return sum(end - start for start, end in covered)


def _spans(covered: tuple[list[tuple[float, float]], list[tuple[float, float]]], first: int) -> list[Span]:
    """Whose frames are taken when: the first one's wherever it has any, the other's between."""
    spans = [Span(start, end, first) for start, end in covered[first]]
    edges = [-math.inf, *(edge for span in spans for edge in span[:2]), math.inf]
    free = list(zip(edges[::2], edges[1::2], strict=True))
    for start, end in covered[1 - first]:
        for low, high in free:
            if max(start, low) < min(end, high):
                spans.append(Span(max(start, low), min(end, high), 1 - first))
    return sorted(spans)


def _written(
    both: "tuple[Recording, Recording]",
    shift: float,
    spans: list[Span],
    first: int,
    rewriter: Rewriter,
    progress: Progress,
    told: str,
) -> tuple[int, int]:
    """Write all of both. Returns frames of the second one, and notes that stood in both."""
    seen = _Seen()
    place, whose, of_second, done = 0, -1, 0, 0
    began: float | None = None
    tick = 0
    at = -math.inf
    lines = heapq.merge(
        ((m.at, 0, m) for m in _in_order(both[0], 0.0)),
        ((m.at, 1, m) for m in _in_order(both[1], shift)),
        key=lambda line: line[:2],
    )
    for _, who, moment in lines:
        at = max(at, moment.at)
        began = at if began is None else began
        tick = round((at - began) * 1e6)
        stamp = Stamp(round(at * 1e6), tick)
        while place < len(spans) - 1 and _is_over(spans[place], spans[place + 1], at, first):
            before, place = spans[place], place + 1
            if spans[place].start > before.end:
                rewriter.gap(Gap(before.end, spans[place].start, "neither recording has it"), stamp)
        span = spans[place]
        is_shown = span.whose == who and span.start - SLIGHT_S <= at <= span.end + SLIGHT_S
        if moment.note is not None:
            is_wanted = is_shown if moment.note.tag in _OF_SHOWN else moment.note.tag not in _OF_ONE
            if is_wanted and not seen.has(who, moment.note, at):
                rewriter.note(moment.note, stamp, {"recorded_by": _name(both[who], who)})
            continue
        if not is_shown:
            continue
        done += 1
        progress("frames", done, both[0].frames + both[1].frames)
        if (frame := rewriter.read(both[who], moment.number)) is None:
            continue
        if whose != who:
            text = f"numbers from here on: {_name(both[who], who)}" + (f"; {told}" if whose < 0 else "")
            note = Event(at, EventKind.NOTE, "tidegate", "", clean(text, 300))
            rewriter.event(Tag.HAPPENED, event_json(note), stamp)
            whose = who
        of_second += who
        rewriter.frame(frame, stamp)
    return of_second, seen.twice


def _is_over(now: Span, after: Span, at: float, first: int) -> bool:
    """Whether the next stretch has begun: a time that both have is of the one that covers more."""
    return at > now.end + SLIGHT_S if now.whose == first else at >= after.start - SLIGHT_S


_OF_ONE = frozenset({Tag.GAP, Tag.DROPPED})
"""What is true of one recording alone: gaps of both are told anew."""

_BY_THE_PLANE = frozenset({EventKind.ACTION.value, EventKind.RELEASE.value, EventKind.THROTTLE.value})
_OF_SHOWN = frozenset({Tag.VIEW, Tag.PAST})
"""What belongs to the frames beside it."""


def _in_order(recording: "Recording", shift: float) -> Iterator[Moment]:
    """All of a recording on the first one's clock; where its clock was set back, time stands still. Marks
    stand at the time that they were made for."""
    at = -math.inf
    beside = list(recording.marks())
    start, end = recording.start, recording.end
    for moment in moments(recording, range(recording.frames), start, end):
        if moment.note is not None and moment.note.kind == Kind.MARK:
            continue
        at = max(at, moment.at - shift)
        while beside and beside[0].at - shift <= at:
            yield _of_mark(beside.pop(0), at, shift)
        yield moment._replace(at=at, note=moment.note and _moved(moment.note, shift))
    yield from (_of_mark(mark, at, shift) for mark in beside)


def _of_mark(mark: Mark, at: float, shift: float) -> Moment:
    body = mark_json(mark._replace(at=mark.at - shift))
    return Moment(at, 0, -1, Noted(at, Kind.MARK, Tag.BOOKMARK, 0, body))


class _Seen:
    """What was written already, so that it stands once. twice: notes that both recordings have."""

    def __init__(self) -> None:
        self._events: dict[object, tuple[float, int]] = {}
        self.twice = 0

    def has(self, who: int, note: Noted, at: float) -> bool:
        """Whether the other recording told the same. Of one recording nothing is left out."""
        key = _identity(note)
        if key is None:
            return False
        was = self._events.get(key)
        is_near = was is not None and (note.kind == Kind.ACTION or at - was[0] <= SAME_S)
        if was is not None and is_near and was[1] != who:
            self.twice += 1
            return True
        self._events[key] = (at, who)
        return False


def _identity(note: Noted) -> object:
    body = note.body
    if note.kind == Kind.EVENT and note.tag in HAPPENED:
        # How long an alert fired differs by a poll.
        told = ["subject"] if note.tag == Tag.ALERT_CLEARED else ["actor", "subject", "text"]
        return note.tag, *(str(body.get(name, "")) for name in ("kind", *told))
    if note.kind == Kind.ACTION:
        intent = body.get("intent")
        asked = intent if isinstance(intent, Mapping) else body
        became = (str(body.get(name, "")) for name in ("kind", "code", "audit_id", "is_final"))
        return note.tag, str(asked.get("key", "")), *became
    return None


def _moved(note: Noted, shift: float) -> Noted:
    """The note on the first one's clock; what the plane tells has the plane's time, on which both agree."""
    at = time(note.body.get("at"))
    if not shift or at is None or note.body.get("kind") in _BY_THE_PLANE:
        return note
    return note._replace(body={**note.body, "at": at - shift})


def _name(recording: "Recording", who: int) -> str:
    host = recording.header.facts.get("host")
    return clean(f"recording {'AB'[who]}" + (f" ({host})" if host else ""), 120)


def _told(offset: Offset, shift: float) -> str:
    if not offset.shared:
        return "no action that both saw: their clocks are taken as one"
    by = f"by {offset.shared} action{'s' if offset.shared > 1 else ''} that both saw"
    if not shift:
        return f"their clocks agree within {NOISE_S:g} s, {by}"
    way = "ahead of" if shift > 0 else "behind"
    return f"the second clock is {abs(shift):.1f} s {way} the first, {by}: it was set to the first"
