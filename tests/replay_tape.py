"""A recording in memory, for tests of a replay."""

import bisect
from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from collectors.fleet import Event, EventKind, Frame
from collectors.recording.layout import Kind, RecordingError, Tag
from collectors.recording.notes import event_json
from collectors.recording.playing import Standing
from collectors.recording.showing import Showing
from collectors.sessions import Gap, Mark, Series, Timeline, View
from tests.frames import AT, bare_frame

BARE = bare_frame()


class Noted(NamedTuple):
    """A record that is no frame."""

    at: float
    kind: int
    tag: int
    body: dict[str, Any]


class Stretch:
    """The series of a window: what it was asked for."""

    def __init__(self, tape: "Tape", first: int, last: int) -> None:
        self.first, self.last = first, last
        self.times: Sequence[float] = [one.at for one in tape.shot[first : last + 1]]
        self.gaps: Sequence[Gap] = tape.gaps

    def values(self, model: str, tier: str, signal: str) -> None:
        """Nothing."""

    def shares(self, model: str) -> dict[str, Sequence[float]]:
        """Nothing."""
        return {}


class Tape:
    """A recording in memory.

    unreadable: numbers of frames that cannot be decoded; reading: called before each decoding
    """

    path = Path("monday.tgrec")

    def __init__(self, *shot: Frame, gaps: Sequence[Gap] = (), end: float = 0.0) -> None:
        self.shot, self.gaps, self.end_at = list(shot), tuple(gaps), end
        self.more: list[Frame] = []
        self.kept: list[Mark] = []
        self.others: list[Noted] = []
        self.unreadable: set[int] = set()
        self.decoded: list[int] = []
        self.reading: Callable[[int], object] = lambda number: None
        self.is_closed = False
        self.notices: tuple[str, ...] = ()

    @property
    def start(self) -> float:
        """Of the first frame."""
        return self.shot[0].at if self.shot else 0.0

    @property
    def end(self) -> float:
        """Of the last frame, or later."""
        return max(self.shot[-1].at, self.end_at) if self.shot else 0.0

    @property
    def frames(self) -> int:
        """How many."""
        return len(self.shot)

    def time_of(self, number: int) -> float:
        """Of a frame."""
        return self.shot[number].at

    def index_at(self, at: float) -> int:
        """The last one at or before."""
        return max(bisect.bisect_right([one.at for one in self.shot], at + 5e-7) - 1, 0)

    def frame(self, number: int) -> Frame:
        """Decoded."""
        assert not self.is_closed
        self.reading(number)
        self.decoded.append(number)
        if number in self.unreadable:
            raise RecordingError(f"frame {number} is damaged: verify tells more")
        return replace(self.shot[number], mode="REPLAY")

    def picture(self, number: int) -> Frame:
        """Without what happened before it."""
        return replace(self.frame(number), events=(), past=())

    def times_at(self, at: float) -> tuple[int, ...]:
        """One frame, or one of each run of the clock."""
        begins = [n for n, one in enumerate(self.shot) if not n or one.at < self.shot[n - 1].at]
        runs = zip(begins, [*begins[1:], len(self.shot)], strict=True)
        found = []
        for first, behind in runs:
            times = [one.at for one in self.shot[first:behind]]
            place = bisect.bisect_right(times, at) - 1
            if place >= 0 and at <= times[-1]:
                found.append(first + place)
        return tuple(found)

    def window(self, first: int, last: int) -> Series:
        """Its numbers."""
        return Stretch(self, first, last)

    def noted(
        self,
        start: float,
        end: float,
        kinds: Container[Kind] = tuple(Kind),
        tags: Container[int] | None = None,
    ) -> Iterator[Noted]:
        """Events of frames, and what was put beside them."""
        found = [
            Noted(frame.at, Kind.EVENT, _tag(event), event_json(event))
            for frame in self.shot
            for event in frame.events
        ]
        past = [Noted(frame.at, Kind.EVENT, Tag.PAST, {}) for frame in self.shot if frame.past]
        for one in sorted(found + past + self.others, key=lambda one: one.at):
            if start <= one.at <= end and one.kind in kinds and (tags is None or one.tag in tags):
                yield one

    def times_noted(
        self, start: float, end: float, kinds: Container[Kind], tags: Container[int]
    ) -> Iterator[float]:
        """When these were."""
        return (one.at for one in self.noted(start, end, kinds, tags))

    def noted_before(
        self, until: float, kinds: Container[Kind] = tuple(Kind), tags: Container[int] | None = None
    ) -> Iterator[Noted]:
        """The same, the latest first."""
        return reversed(list(self.noted(-1.0, until, kinds, tags)))

    def view_at(self, at: float, number: int | None = None) -> View | None:
        """The model screen from the first second on."""
        return View("model") if self.shot and at >= self.start + 1 else None

    def timeline(self, parts: int) -> Timeline:
        """Nothing on it but marks."""
        return Timeline(self.start, self.end, (-1.0,) * parts, (), (), (), self.gaps)

    def marks(self) -> tuple[Mark, ...]:
        """All that were made."""
        return tuple(self.kept)

    def add_mark(self, mark: Mark, number: int | None = None) -> None:
        """One more."""
        self.kept.append(mark)

    def refresh(self) -> bool:
        """What was written since."""
        self.shot += self.more
        has_grown, self.more = bool(self.more), []
        return has_grown

    def close(self) -> None:
        """No reading from now on."""
        self.is_closed = True


class Deck:
    """A `Showing` with a clock that goes only when it is told to."""

    def __init__(self, tape: Tape, at: float | None = None, **now: Any) -> None:
        self.now_s, self.asked = 50.0, deque[Callable[[Showing], None]]()
        self.showing = Showing(tape, Standing(**now), at, self.asked, lambda: self.now_s)

    def turn(self, seconds: float = 0.0, *commands: Callable[[Showing], None]) -> Frame | None:
        """A turn so much later."""
        self.now_s += seconds
        self.asked.extend(commands)
        return self.showing.turn()

    @property
    def after(self) -> float:
        """Seconds of the recording that are shown."""
        return round(self.showing.position.at - AT, 6)

    @property
    def told(self) -> str:
        """What the position tells."""
        return self.showing.position.told


def _tag(event: Event) -> Tag:
    return Tag.ALERT if event.kind is EventKind.ALERT else Tag.HAPPENED


def event(at: float, text: str, kind: EventKind = EventKind.NOTE) -> Event:
    """Something that happened."""
    return Event(at, kind, "a", "m", text)


def shot(*times: float, events: dict[float, EventKind] | None = None) -> list[Frame]:
    """Frames at so many seconds after the begin; each one's tick is its place."""
    found = []
    for number, after in enumerate(times):
        kind = (events or {}).get(after)
        told = () if kind is None else (event(AT + after, f"at {after:g}", kind),)
        found.append(replace(BARE, at=AT + after, tick=number, events=told))
    return found
