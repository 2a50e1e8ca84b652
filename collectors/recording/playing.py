"""How a replay moves: pure steps from one standing to the next, by the seconds that went by."""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol

from collectors.sessions import SPEEDS

ELAPSED_MOST_S = 1.0
"""A longer time than this did not pass for a replay: the program was stopped in between."""

PASSED_MOST = 1_000
"""Most frames passed in one move: frames of one and the same time would else never end."""

IDLE_S = 5.0
"""Recorded seconds without anything new that are skipped, where idle stretches are."""

LOOP_LEAST_S = 1.0
"""Shortest stretch that is played again and again, in recorded seconds."""


class Course(Protocol):
    """When the frames of a recording are, in seconds of the watched clock."""

    @property
    def start(self) -> float:
        """Begin of the recording."""
        ...

    @property
    def end(self) -> float:
        """Its end; of one that is still written, so far."""
        ...

    @property
    def frames(self) -> int:
        """How many frames there are; at least one."""
        ...

    def time_of(self, number: int) -> float:
        """Time of a frame, by its number from 0."""
        ...

    def index_at(self, at: float) -> int:
        """Number of the last frame at or before `at`; 0 before the first."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a replay stands, by frames: a clock that was set back in the recording cannot confuse it.

    number: of the frame shown, from 0; since: recorded seconds that it has been shown for
    follows: at the end it waits for more, as the file is still written
    """

    number: int = 0
    since: float = 0.0
    is_playing: bool = False
    speed: float = 1.0
    skips_idle: bool = False
    loop_from: float | None = None
    loop_to: float | None = None
    mark: float | None = None
    is_at_end: bool = False
    follows: bool = False


class Moved(NamedTuple):
    """The next standing, and what there is to tell of the way there."""

    to: Standing
    way: Literal["on", "looped", "ended"] = "on"


def time_at(now: Standing, course: Course) -> float:
    """The recorded time that is shown."""
    return course.time_of(now.number) + now.since


def shown_for(number: int, course: Course) -> float:
    """Recorded seconds until the next frame, of the last one until the end; 0 where the clock went back."""
    following = course.time_of(number + 1) if number + 1 < course.frames else course.end
    return max(0.0, following - course.time_of(number))


def advanced(now: Standing, elapsed_s: float, course: Course) -> Moved:
    """The standing `elapsed_s` real seconds later. At the end it stops; in a loop it begins again."""
    if not now.is_playing:
        return Moved(now)
    number, since, left = now.number, now.since, min(elapsed_s, ELAPSED_MOST_S) * now.speed
    is_over = False
    for _ in range(PASSED_MOST):
        room = max(0.0, shown_for(number, course) - since)
        if left < room:
            since += left
            break
        if number + 1 >= course.frames:
            since, is_over = since + room, True
            break
        number, since, left = number + 1, 0.0, left - room
    later = replace(now, number=number, since=since, is_at_end=False)
    if _is_looped(now, later, is_over, course):
        assert now.loop_from is not None
        return Moved(sought(now, now.loop_from, course), "looped")
    if is_over and not now.follows:
        return Moved(replace(later, is_playing=False, is_at_end=True), "ended")
    return Moved(later)


def _is_looped(before: Standing, later: Standing, is_over: bool, course: Course) -> bool:
    if before.loop_from is None or before.loop_to is None:
        return False
    is_inside = before.loop_from <= time_at(before, course) <= before.loop_to
    return is_inside and (is_over or time_at(later, course) >= before.loop_to)


def sought(now: Standing, at: float, course: Course, number: int | None = None) -> Standing:
    """At a recorded time, the nearest there is; it plays on if it played.

    number: of the frame that is shown then, where the clock told that time more than once
    """
    if number is None:
        number = course.index_at(min(max(at, course.start), course.end))
    since = min(max(0.0, at - course.time_of(number)), shown_for(number, course))
    return replace(now, number=number, since=since, is_at_end=False)


def moved(now: Standing, seconds: float, course: Course) -> Standing:
    """So many recorded seconds on or back, frame by frame: where the clock was set back that is not the time
    that it told. It plays on if it played."""
    number, since = now.number, now.since + seconds
    for _ in range(PASSED_MOST):
        if since < 0 and number > 0:
            number -= 1
            since += shown_for(number, course)
        elif number + 1 < course.frames and since >= (room := shown_for(number, course)):
            number, since = number + 1, since - room
        else:
            break
    since = min(max(since, 0.0), shown_for(number, course))
    return replace(now, number=number, since=since, is_at_end=False)


def speed_after(speed: float, by: int) -> float:
    """The speed `by` steps up or down from `speed`; the last one stays."""
    place = min(range(len(SPEEDS)), key=lambda n: abs(SPEEDS[n] - speed))
    return SPEEDS[min(max(place + by, 0), len(SPEEDS) - 1)]


def stepped(now: Standing, frames: int, course: Course) -> Standing:
    """So many frames on, or back; standing still."""
    number = min(max(now.number + frames, 0), course.frames - 1)
    return replace(now, number=number, since=0.0, is_playing=False, is_at_end=False)


def looped(now: Standing, start: float | None, end: float | None, course: Course) -> Standing:
    """With a loop from A to B, whichever is first; one that stands outside of it goes to its begin.

    With only one of the two the other is still to be set, and nothing is looped.
    raises: ValueError for a loop shorter than LOOP_LEAST_S
    """
    if start is None or end is None:
        return replace(now, loop_from=start, loop_to=end)
    start, end = sorted((max(start, course.start), min(end, course.end)))
    if end - start < LOOP_LEAST_S:
        raise ValueError(
            f"A loop of less than {LOOP_LEAST_S:g} s is none: set its start and its end further apart."
        )
    made = replace(now, loop_from=start, loop_to=end)
    return made if start <= time_at(now, course) < end else sought(made, start, course)


def skipped(now: Standing, happens_at: float | None, course: Course) -> tuple[Standing, float]:
    """Over a stretch in which nothing is new, and the recorded seconds that it lasted; 0.0: there is none.

    happens_at: time of the first event after now and before the next frame; None if there is none. Nothing
        is skipped at the end, and not past the end of a loop that it is in.
    """
    if not (now.is_playing and now.skips_idle) or now.number + 1 >= course.frames:
        return now, 0.0
    at, room = time_at(now, course), shown_for(now.number, course)
    until = at - now.since + room
    to = until if happens_at is None else min(happens_at, until)
    if now.loop_from is not None and now.loop_to is not None and now.loop_from <= at <= now.loop_to:
        to = min(to, now.loop_to)
    if to - at <= IDLE_S:
        return now, 0.0
    if to >= until:
        return replace(now, number=now.number + 1, since=0.0), to - at
    return replace(now, since=now.since + to - at), to - at


def due_s(now: Standing, course: Course) -> float | None:
    """Real seconds until something else is to be shown; None while it stands still, or waits for more."""
    if not now.is_playing or (now.number + 1 >= course.frames and now.follows):
        return None
    left = max(0.0, shown_for(now.number, course) - now.since)
    if now.loop_to is not None:
        left = min(left, max(0.0, now.loop_to - time_at(now, course)) or left)
    return left / now.speed
