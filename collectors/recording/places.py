"""What a replay looks up in a recording: what happened before a time, and where to jump to."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from collectors.fleet import Event, EventKind, Frame, Past, Severity
from collectors.intents import Intent
from collectors.recording.layout import HAPPENED, SLIGHT_S, Kind, Tag
from collectors.recording.noted import PAST_MOST
from collectors.recording.notes import event_from, intent_from, outcome_from
from collectors.recording.playing import Course
from collectors.recording.times import clock, span
from collectors.sessions import Gap, Mark, Series, Target, Timeline, View
from collectors.text import clean

WINDOW_S = 600.0
"""Recorded seconds before a jump that sparks and trends are filled from."""

EVENTS = 500
"""Most events before a jump that are handed on."""

PASTS = 10
"""Most frames that are asked for what was before anybody watched."""

LOOKED_AT = 25_000
"""Most notes that are read to find one alert or action: a file from outside may hold any number of others."""

ALERTS = frozenset({Tag.ALERT, Tag.ALERT_CLEARED})

ALERT_WORDS = frozenset({*(severity.value for severity in Severity), "cleared", "forgotten"})
"""What the actor of an alert's event says of it: how severe it is, or how it ended."""

ACTIONS = frozenset({Tag.INTENT, Tag.RESULT})

NEWS = HAPPENED | ACTIONS | {Tag.BOOKMARK}
"""Tags of what is never skipped as idle."""

Place = tuple[float, str]
"""A recorded time to go to, and the sentence that tells what is there."""


class Told(NamedTuple):
    """What a note says: what it is, when that happened, and what was done to whom. The frame that first shows
    it can be a later one."""

    what: str
    at: float
    text: str


class Noted(Protocol):
    """A record that is no frame: when, what, and its JSON object."""

    @property
    def at(self) -> float: ...
    @property
    def kind(self) -> int: ...
    @property
    def tag(self) -> int: ...
    @property
    def body(self) -> Mapping[str, Any]: ...


class Recorded(Course, Protocol):
    """What a replay asks of a recording, as `reader.Recording` answers. Calls may block, one at a time.

    raises: RecordingError, OSError where something cannot be read
    """

    @property
    def path(self) -> Path: ...
    @property
    def gaps(self) -> tuple[Gap, ...]: ...
    @property
    def notices(self) -> tuple[str, ...]: ...
    def frame(self, number: int) -> Frame: ...
    def picture(self, number: int) -> Frame: ...
    def times_at(self, at: float) -> tuple[int, ...]: ...
    def window(self, first: int, last: int) -> Series: ...
    def noted(
        self, start: float, end: float, kinds: Container[Kind] = ..., tags: Container[int] | None = ...
    ) -> Iterator[Noted]: ...
    def times_noted(
        self, start: float, end: float, kinds: Container[Kind], tags: Container[int]
    ) -> Iterator[float]: ...
    def noted_before(
        self, until: float, kinds: Container[Kind] = ..., tags: Container[int] | None = ...
    ) -> Iterator[Noted]: ...
    def view_at(self, at: float, number: int | None = None) -> View | None: ...
    def timeline(self, parts: int) -> Timeline: ...
    def marks(self) -> tuple[Mark, ...]: ...
    def add_mark(self, mark: Mark, number: int | None = None) -> None: ...
    def refresh(self) -> bool: ...
    def close(self) -> None: ...


def landing(course: Course, at: float) -> int:
    """Number of the frame that first shows what happened at `at`."""
    number = course.index_at(at)
    is_before = course.time_of(number) + SLIGHT_S < at
    return number + 1 if is_before and number + 1 < course.frames else number


def landing_of(course: Course, one: "Noted") -> int:
    """Number of the frame that first shows what a note tells: the first one behind it.

    The events of a frame stand before it, with its time. All else is noted while a frame is shown, and where
    the clock stands still between two frames, as a simulated one does, it has the time of that frame.
    """
    number = landing(course, one.at)
    is_before = one.kind != Kind.EVENT and course.time_of(number) < one.at + SLIGHT_S
    return number + 1 if is_before and number + 1 < course.frames else number


def begin_of(recording: Recorded, since: float, shown: int) -> int:
    """Number of the frame that was shown at `since`, not after the one that is shown."""
    found = [number for number in recording.times_at(since) if number <= shown]
    return found[-1] if found else min(recording.index_at(since), shown)


def gap_at(recording: Recorded, number: int, at: float) -> Gap | None:
    """The stretch without a recording between a frame and the time that it is shown at."""
    begun = recording.time_of(number)
    return next((gap for gap in recording.gaps if gap.start < at and gap.end > begun), None)


def gap_told(gap: Gap | None) -> str:
    """The sentence about it; "" for none."""
    if gap is None:
        return ""
    why = f": {gap.why}" if gap.why else ""
    return f"Nothing was recorded from {clock(gap.start)} to {clock(gap.end)}{why}."


def passed(recording: Recorded, shown: int, number: int) -> tuple[Event, ...]:
    """Events of the frames between two frames, without those of either."""
    if number <= shown + 1:
        return ()
    start, end = recording.time_of(shown), recording.time_of(number - 1)
    found = _happened(recording, start, end)
    return tuple(event for one, event in found if shown < landing(recording, one.at) < number)


def first_news(recording: Recorded, after: float, until: float) -> float | None:
    """When something first happens in that stretch; None if nothing does."""
    found = recording.noted(after, until, {Kind.EVENT, Kind.ACTION, Kind.MARK}, NEWS)
    return next((one.at for one in found if one.at > after + SLIGHT_S), None)


def events_before(recording: Recorded, until: float) -> tuple[Event, ...]:
    """The last EVENTS events up to `until`, oldest first."""
    latest = islice(recording.noted_before(until, {Kind.EVENT}, HAPPENED), LOOKED_AT)
    found = (event for one in latest if (event := event_from(one.body)) is not None)
    return tuple(islice(found, EVENTS))[::-1]


def past_told(recording: Recorded, start: float, until: float) -> tuple[Past, ...]:
    """What sources told, from `start` to `until`, of the time before anybody watched."""
    numbers: dict[int, None] = {}
    for at in recording.times_noted(start, until, {Kind.EVENT}, {Tag.PAST}):
        numbers[landing(recording, at)] = None
        if len(numbers) == PASTS:
            break
    found = (past for number in numbers for past in recording.frame(number).past)
    return tuple(islice(found, PAST_MOST))


def found_next(recording: Recorded, target: Target, direction: Literal[1, -1], at: float) -> Place | None:
    """The nearest alert, action or bookmark on that side of `at`; None if there is none.

    Where very much else happened it is as far as was looked, which its sentence tells.
    """
    if target == "bookmark":
        bookmarks = _bookmarks(recording)
        return _next_after(bookmarks, at) if direction > 0 else _last_before(bookmarks, at)
    told, tags = (_alert_told, ALERTS) if target == "alert" else (_action_told, HAPPENED | ACTIONS)
    kinds = {Kind.EVENT, Kind.ACTION}
    if direction > 0:
        # What was noted since the frame that is shown is seen in the next one.
        since = min(at, recording.time_of(recording.index_at(at)))
        notes = recording.noted(since, recording.end, kinds, tags)
        return _next_after(_places(recording, target, told, notes), at)
    before = _places(recording, target, told, recording.noted_before(at, kinds, tags))
    found = next((one for one in before if one[0] < at - SLIGHT_S), None)
    return found or (_last_before(_firing(recording), at) if target == "alert" else None)


def _happened(recording: Recorded, start: float, end: float) -> Iterator[tuple[Noted, Event]]:
    for one in recording.noted(start, end, {Kind.EVENT}, HAPPENED):
        event = event_from(one.body)
        if event is not None:
            yield one, event


def _bookmarks(recording: Recorded) -> list[Place]:
    return [
        (one.at, f"Bookmark of {one.actor} at {clock(one.at)}{f': {one.note}' if one.note else ''}.")
        for one in sorted(recording.marks())
    ]


def _places(
    recording: Recorded,
    target: Target,
    told: "Callable[[Noted], Told | None]",
    notes: Iterable[Noted],
) -> Iterator[Place]:
    """Where frames first show an alert or an action, of these notes; the last can be where looking ends.

    told: what a note says; None for one that is no place
    """
    for count, one in enumerate(notes):
        found = told(one)
        is_over = count >= LOOKED_AT
        if found is None and not is_over:
            continue
        at = recording.time_of(landing_of(recording, one))
        if found is None:
            yield at, f"No {target} among {LOOKED_AT:,} events up to {clock(at)}: again to look further."
        else:
            yield at, clean(f"{found.what} at {clock(found.at)}: {found.text}", 256)
        if is_over:
            return


def _firing(recording: Recorded) -> Iterator[Place]:
    """The first frame, where alerts were firing in it."""
    found = recording.picture(0).alerts if recording.frames else ()
    if found:
        at = recording.time_of(0)
        worst = min(found, key=lambda alert: alert.severity.value)
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        text = f"Alert at {clock(at)}: {worst.summary}{more}, firing when the recording began"
        yield at, clean(text, 256)


def _alert_told(one: Noted) -> Told | None:
    event = event_from(one.body)
    if event is None or event.kind is not EventKind.ALERT:
        return None
    return Told(f"Alert {event.actor}" if event.actor in ALERT_WORDS else "Alert", event.at, _said(event))


def _said(event: Event) -> str:
    return f"{event.subject}: {event.text}" if event.subject else event.text


def _action_told(one: Noted) -> Told | None:
    if one.kind == Kind.EVENT:
        event = event_from(one.body) if one.body.get("kind") == EventKind.ACTION else None
        return None if event is None else Told("Action", event.at, _said(event))
    if one.tag == Tag.INTENT:
        intent = intent_from(one.body)
        text = "asked for" if intent is None else f"{intent.target}: asked to {_asked(intent)}"
        return Told("Action", one.at, text)
    outcome = outcome_from(one.body)
    if outcome is None:
        return Told("Action", one.at, "answered")
    return Told("Action", one.at, f"{outcome.intent.target}: {outcome.kind.value}: {outcome.text}")


def _asked(intent: Intent) -> str:
    """What it asks for, in the words that events have for what was done."""
    kind, _, verb = intent.operation.partition(".")
    before, after = _setting(intent.seen), _setting(intent.arguments)
    if kind == "throttle" and after and before == after:
        return f"keep admit {after}, {_until(intent.arguments)}"
    if kind == "throttle" and after:
        return f"admit {before} → {after}" if before else f"admit {after}"
    return (verb or intent.operation).replace("_", " ")


def _until(arguments: Mapping[str, object]) -> str:
    ttl_s, ends = arguments.get("ttl_s"), arguments.get("expires_at")
    if isinstance(ends, str):
        try:
            return f"to {clock(_utc(datetime.fromisoformat(ends)).timestamp())}"
        except (ValueError, OverflowError, OSError):
            return "to a time that cannot be read"
    return f"to {span(ttl_s)} from then" if isinstance(ttl_s, int | float) else "until cleared"


def _utc(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _setting(members: Mapping[str, object]) -> str:
    level, limit = members.get("level"), members.get("limit")
    if isinstance(level, int | float):
        return f"{round(level * 100, 2):g}%"
    return f"{limit:g}" if isinstance(limit, int | float) else ""


def _next_after(places: Iterable[Place], at: float) -> Place | None:
    return next((one for one in places if one[0] > at + SLIGHT_S), None)


def _last_before(places: Iterable[Place], at: float) -> Place | None:
    return max((one for one in places if one[0] < at - SLIGHT_S), key=lambda one: one[0], default=None)
