"""Everything that a report says, read from a recording in one pass: `gather`. No words here, only facts."""

import math
import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from collectors.fleet import Alert, Event, EventKind, Frame, Release, SourceHealth, SourceState, Throttle
from collectors.recording import notes
from collectors.recording.layout import NOTED, FileHeader, Kind, RecordingError, Tag
from collectors.recording.places import Noted
from collectors.recording.report.acts import (
    FOLLOWED_S,
    Asked,
    Became,
    Decision,
    Look,
    decisions,
    repeats,
    with_screen,
)
from collectors.recording.report.episodes import Episode, episodes
from collectors.recording.report.ledger import Ledger
from collectors.recording.report.pace import Pace, pace_of
from collectors.recording.report.runs import OtherRun, longest_run, other_runs
from collectors.recording.report.taken import Taken
from collectors.recording.report.words import length, stamp
from collectors.sessions import Gap, Mark, View
from collectors.text import clean

HOLD_LEAST_S, HOLD_TIMES = 60.0, 10.0
"""A frame is taken to hold for so many times the usual distance of frames, and for so long in any case: what
is longer was not recorded, whether or not the recording says so."""

ROUNDED_S = 0.001
"""Times of records are whole microseconds: an event of the very first frame may seem a hair before it."""

FRAMES_MOST = 20_000
"""Frames that are read: of more, every second, third ... one, which the report says."""

NOTED_MOST = 20_000
"""Notes of one kind that are read: a file from outside may hold any number."""


class Recorded(Protocol):
    """What a report needs of a recording; `recording.reader.Recording` has it."""

    @property
    def header(self) -> FileHeader: ...
    @property
    def id(self) -> str: ...
    @property
    def start(self) -> float: ...
    @property
    def end(self) -> float: ...
    @property
    def frames(self) -> int: ...
    @property
    def gaps(self) -> Sequence[Gap]: ...
    @property
    def notices(self) -> Sequence[str]: ...
    @property
    def is_closed(self) -> bool: ...
    def index_at(self, at: float) -> int:
        """Number of the last frame at or before `at`; 0 before the first."""
        ...

    def time_of(self, number: int) -> float:
        """Time of a frame, seconds."""
        ...

    def frame(self, number: int) -> Frame:
        """A frame."""
        ...

    def noted(
        self, start: float, end: float, kinds: Container[Kind] = NOTED, tags: Container[int] | None = None
    ) -> Iterable[Noted]:
        """Notes of a stretch, in order."""
        ...

    def view_at(self, at: float) -> View | None:
        """What the operator looked at; None where that is not recorded."""
        ...

    def marks(self) -> Sequence[Mark]:
        """Bookmarks, in the file and beside it."""
        ...


@dataclass(frozen=True, slots=True)
class Happened:
    """One line of the timeline. kind: `alert P1`, cleared, release, throttle, source, fault, clock, run."""

    at: float
    kind: str
    who: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What a report says.

    file: the recording's name; start, end: of the window, seconds; recorded: of the whole recording
    frames: how many there are in the window; every: which of them were read: 1 for all, 2 every second
    gaps: stretches of the window of which nothing is known, and why
    ledger: how every tier stood, added up; first, last: frames of the window, None without any
    has_views: whether the recording tells what the operator looked at
    left_out: notes that were not read, because there are more than any session leaves
    pace: how far apart frames are: no time is known better
    other_runs: what the file holds of the same time besides, where its clock went back
    """

    file: str
    id: str
    header: Mapping[str, Any]
    is_closed: bool
    notices: tuple[str, ...]
    start: float
    end: float
    recorded: tuple[float, float]
    frames: int
    every: int
    gaps: tuple[Gap, ...]
    ledger: Ledger
    decisions: tuple[Decision, ...]
    episodes: tuple[Episode, ...]
    happened: tuple[Happened, ...]
    left_out: int
    looks: tuple[Look, ...]
    marks: tuple[Mark, ...]
    has_views: bool
    pace: Pace
    other_runs: tuple[OtherRun, ...]

    @property
    def step_s(self) -> float:
        """Usual time between frames, seconds; 0 where there is only one."""
        return self.pace.usual_s

    @property
    def is_watched(self) -> bool:
        """Whether somebody had tidegate's screen before them, as far as is recorded."""
        did = any(not one.is_told for one in self.decisions)
        return not self.is_reconstructed and (self.has_views or did)

    @property
    def operator(self) -> str:
        """Who sat before the screen, where only one name is recorded; else empty."""
        names = {one.actor for one in self.decisions if not one.is_told} | {one.actor for one in self.marks}
        if self.last is not None and self.last.plane is not None:
            names.add(self.last.plane.actor)
        names.discard("")
        return names.pop() if len(names) == 1 else ""

    @property
    def context(self) -> str:
        """What was watched, by its name; "" where that is not recorded."""
        return str(self.header.get("context") or "") or (self.last.context if self.last else "")

    @property
    def is_reconstructed(self) -> bool:
        """Whether it was made from a metrics history afterwards: nobody watched then."""
        return self.header.get("source") == "backfill"

    @property
    def has_log(self) -> bool:
        """Whether a control plane, or its log, told of what was done."""
        last = self.last
        known = last is not None and (last.plane is not None or last.throttles or last.releases)
        return bool(self.decisions or known)

    @property
    def first(self) -> Frame | None:
        """The first frame of the window."""
        return self.ledger.first

    @property
    def last(self) -> Frame | None:
        """The last one."""
        return self.ledger.last

    @property
    def is_read(self) -> bool:
        """Whether any wait was read at all."""
        return any(one.worst is not None or one.harm.judged_s for one in self.ledger.tiers.values())

    @property
    def is_outdated(self) -> bool:
        """Whether what is no number may have been out of date when the window ended."""
        return any(end >= self.end for _, end in self.ledger.outdated)

    @property
    def unknown_s(self) -> float:
        """Seconds of the window that were not recorded."""
        return sum(gap.end - gap.start for gap in self.gaps)

    def open_throttles(self) -> tuple[Throttle, ...]:
        """Cells that admitted less than all when the window ended."""
        cells = self.last.throttles if self.last else ()
        return tuple(
            c for c in cells if c.limit is not None or _holds_back(c.level) or _holds_back(c.in_force)
        )

    def halted_releases(self) -> tuple[Release, ...]:
        """Releases that somebody or something had stopped when the window ended."""
        found = self.last.releases if self.last else ()
        return tuple(
            r
            for r in found
            if r.phase in {"aborted", "degraded"} or (r.phase == "paused" and r.pause_reason != "gate")
        )

    def waiting_releases(self) -> tuple[Release, ...]:
        """Releases that waited at the gate of a stage when the window ended, as is planned."""
        found = self.last.releases if self.last else ()
        return tuple(r for r in found if r.phase == "paused" and r.pause_reason == "gate")

    def taken_back(self) -> tuple[Taken, ...]:
        """What releases opened in the window, and did not when it ended."""
        return self.ledger.shifts.taken(self.last.releases if self.last else ())

    def open_alerts(self) -> tuple[Alert, ...]:
        """Alerts on the screen when the window ended, the gravest first."""
        found = self.last.alerts if self.last else ()
        return tuple(sorted(found, key=lambda a: (a.severity.value, a.since)))

    def lost_sources(self) -> tuple[SourceHealth, ...]:
        """Sources that did not answer when the window ended."""
        return tuple(s for s in (self.last.sources if self.last else ()) if s.state is SourceState.LOST)


def _holds_back(level: float | None) -> bool:
    return level is not None and level < 1


def gather(
    recording: Recorded,
    file: str,
    start: float | None = None,
    end: float | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Facts:
    """The facts of a recording, or of its stretch from `start` to `end`.

    progress: called now and then with frames done, and how many there are
    raises: RecordingError if nothing was recorded in that stretch
    """
    start = recording.start if start is None else max(start, recording.start)
    end = recording.end if end is None else min(end, recording.end)
    if recording.frames == 0 or start > end:
        raise RecordingError(f"{file}: nothing was recorded in that time; {_range(recording)}")
    # Of a clock that was set back the end can be an earlier frame than the start.
    first, last = sorted((recording.index_at(start), recording.index_at(end)))
    asked = range(first, last + 1)
    numbers = longest_run(recording.time_of, asked)
    others = other_runs(recording.time_of, numbers, recording.frames, start, end)
    if len(numbers) < len(asked):
        start = max(start, recording.time_of(numbers[0]))
        end = min(end, recording.time_of(numbers[-1]))
    every = math.ceil(len(numbers) / FRAMES_MOST)
    read = numbers[::every]
    gaps = _gaps(recording, numbers, start, end)
    ledger = _added_up(recording, read, gaps, start, end, progress)
    # Which frames are damaged shows when they are read: then all is added up again, without them.
    if (found := _gaps(recording, numbers, start, end)) != gaps:
        gaps = found
        ledger = _added_up(recording, read, gaps, start, end, progress)
    noted = _Noted()
    for note in recording.noted(start, end, NOTED, _TAGS):
        noted.take(note)
    before = recording.view_at(start)
    looks = (*((Look(start, before),) if before is not None else ()), *noted.looks)
    has_views = bool(looks)
    # What the control plane logged before is not of this window, though it was first told in it.
    events = [event for event in noted.events if start - ROUNDED_S <= event.at <= end + ROUNDED_S]
    simulated = bool(recording.header.facts.get("simulated"))
    acts = decisions(
        noted.asked,
        noted.became,
        events,
        _releases(ledger),
        lambda at: recording.frame(recording.index_at(at)),
        simulated=simulated,
    )
    done = tuple(_with_screen(one, recording, looks, gaps, end) for one in acts)
    happened = [_happened(event) for event in events if not any(repeats(event, one) for one in done)]
    marks = tuple(sorted((m for m in recording.marks() if start <= m.at <= end), key=lambda m: m.at))
    return Facts(
        file=file,
        id=recording.id,
        header=recording.header.facts,
        is_closed=recording.is_closed,
        notices=tuple(recording.notices),
        start=start,
        end=end,
        recorded=(recording.start, recording.end),
        frames=len(numbers),
        every=every,
        gaps=gaps,
        ledger=ledger,
        decisions=done,
        episodes=episodes(ledger, done, looks, has_views=has_views),
        happened=tuple(sorted((*noted.own, *happened), key=lambda one: one.at)),
        left_out=noted.left_out,
        looks=looks,
        marks=marks,
        has_views=has_views,
        pace=pace_of([recording.time_of(n) for n in numbers], gaps),
        other_runs=others,
    )


def _range(recording: Recorded) -> str:
    if recording.frames == 0:
        return "it holds no frame"
    return f"it runs from {stamp(recording.start)} to {stamp(recording.end)}"


def _with_screen(
    one: Decision, recording: Recorded, looks: Sequence[Look], gaps: Sequence[Gap], end: float
) -> Decision:
    """The decision with what the screen showed then, and how the waits stood after it."""

    def is_lost(at: float) -> bool:
        return any(gap.start <= at < gap.end for gap in gaps)

    later = min(one.at + FOLLOWED_S, end)
    return with_screen(
        one,
        recording.frame(recording.index_at(one.seen_at)),
        _view(looks, one.seen_at),
        is_older=is_lost(one.seen_at),
        later=None if is_lost(later) else recording.frame(recording.index_at(later)),
    )


def _view(looks: Sequence[Look], at: float) -> View | None:
    return next((look.view for look in reversed(looks) if look.at <= at), None)


def _releases(ledger: Ledger) -> dict[str, Release]:
    return {r.id: r for frame in (ledger.first, ledger.last) if frame is not None for r in frame.releases}


def _gaps(recording: Recorded, numbers: range, start: float, end: float) -> tuple[Gap, ...]:
    """What the window lacks: before its first frame, where the recording says so, where no frames are."""
    found = [
        Gap(max(g.start, start), min(g.end, end), g.why)
        for g in recording.gaps
        if g.end > start and g.start < end
    ]
    times = [recording.time_of(n) for n in numbers]
    hold = max(HOLD_LEAST_S, HOLD_TIMES * pace_of(times).usual_s)
    if times[0] > start:
        found.append(Gap(start, times[0], "nothing was recorded before"))
    for before, after in zip(times, [*times[1:], end], strict=True):
        before = max(before, start)
        if after - before > hold and not any(g.start < after and g.end > before for g in found):
            found.append(Gap(before + hold, after, "no frame was recorded"))
    return _merged(sorted((g for g in found if g.end > g.start), key=lambda g: g.start))


def _merged(gaps: Iterable[Gap]) -> tuple[Gap, ...]:
    """Gaps in order, those that overlap as one: no second is missing twice."""
    merged: list[Gap] = []
    for gap in gaps:
        if merged and gap.start < merged[-1].end:
            merged[-1] = merged[-1]._replace(end=max(merged[-1].end, gap.end))
        else:
            merged.append(gap)
    return tuple(merged)


def _added_up(
    recording: Recorded,
    numbers: range,
    gaps: Sequence[Gap],
    start: float,
    end: float,
    progress: Callable[[int, int], None],
) -> Ledger:
    ledger = Ledger(start, end)
    pending = list(reversed(gaps))
    missing_until = -math.inf
    for done, n in enumerate(numbers):
        at = max(recording.time_of(n), start)
        while pending and pending[-1].start <= at:
            gap = pending.pop()
            ledger.pause(gap.start)
            missing_until = gap.end
        if at >= missing_until:
            # Only once: a clock that is set back behind a gap is no gap.
            missing_until = -math.inf
            ledger.take(recording.frame(n), at)
        if done % 200 == 0:
            progress(done, len(numbers))
    for gap in reversed(pending):
        ledger.pause(gap.start)
    ledger.pause(end)
    return ledger


_TAGS = frozenset(Tag) - {Tag.SNAPSHOT, Tag.REASON, Tag.STATE, Tag.PAST}
"""What a note may tell that a report needs: not what frames are made of."""

_EVENTS: Mapping[EventKind, str] = {
    EventKind.ACTION: "action",
    EventKind.RELEASE: "release",
    EventKind.THROTTLE: "throttle",
    EventKind.SOURCE: "source",
    EventKind.FAULT: "fault",
    EventKind.CLOCK: "clock",
    EventKind.NOTE: "note",
}


class _Noted:
    """What notes tell, sorted by what it is about. `left_out`: notes behind the most that are read."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.became: list[Became] = []
        self.looks: list[Look] = []
        self.events: list[Event] = []
        self.own: list[Happened] = []
        self.left_out = 0

    def take(self, note: Noted) -> None:
        """One note; what cannot be read is no note."""
        full = max(len(self.asked), len(self.became), len(self.looks), len(self.events)) >= NOTED_MOST
        if full:
            self.left_out += 1
        elif note.tag == Tag.INTENT:
            if (intent := notes.intent_from(note.body)) is not None:
                self.asked.append(Asked(note.at, _actor(note.body), intent))
        elif note.tag == Tag.RESULT:
            if (outcome := notes.outcome_from(note.body)) is not None:
                self.became.append(Became(note.at, outcome))
        elif note.tag == Tag.VIEW:
            if (view := notes.view_from(note.body)) is not None:
                self.looks.append(Look(note.at, view))
        elif note.tag in _OWN:
            self.own.append(Happened(note.at, *_OWN[note.tag], "", _told(Tag(note.tag), note.body)))
        elif note.tag != Tag.BOOKMARK and (event := notes.event_from(note.body)) is not None:
            self.events.append(event)


_LASTED = re.compile(r"after (\d{1,9}) s", re.ASCII)
"""How the log of events tells for how long an alert stood."""


def _happened(event: Event) -> Happened:
    if event.kind is EventKind.ALERT:
        # The log of events names the severity where others name who did it.
        kind = "cleared" if event.actor == "cleared" else f"alert {event.actor}"
        lasted = _LASTED.fullmatch(event.text)
        text = f"after {length(float(lasted[1]))}" if lasted else event.text
        return Happened(event.at, kind, "", event.subject, text)
    return Happened(event.at, _EVENTS[event.kind], event.actor, event.subject, event.text)


def _actor(body: Mapping[str, Any]) -> str:
    actor = body.get("actor")
    return clean(actor) if isinstance(actor, str) else ""


def _told(tag: Tag, body: Mapping[str, Any]) -> str:
    why = body.get("why")
    return _SENTENCES[tag] + (f": {clean(why, 256)}" if isinstance(why, str) and why else "")


_SENTENCES: Mapping[Tag, str] = {
    Tag.RUN_START: "recording began",
    Tag.RUN_STOP: "recording ended",
    Tag.GAP: "nothing could be recorded for a while",
    Tag.DROPPED: "frames were left out, because the disk was slow",
    Tag.TAIL_DROPPED: "a last record that was cut off was dropped",
    Tag.CLOCK_STEP: "the clock was set",
}

_OWN: Mapping[int, tuple[str, str]] = {
    Tag.RUN_START: ("run", "tidegate"),
    Tag.RUN_STOP: ("run", "tidegate"),
    Tag.GAP: ("lost", "tidegate"),
    Tag.DROPPED: ("lost", "tidegate"),
    Tag.TAIL_DROPPED: ("lost", "tidegate"),
    Tag.CLOCK_STEP: ("clock", "tidegate"),
}
"""What the recording tells of itself: kind and actor."""
