"""What a session at the cockpit leaves behind, as types: views, marks, the state of its recording, a replay.

Frozen and of standard-library parts, as `fleet`: screens import it before anything of weight.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from collectors.text import clean


@dataclass(frozen=True, slots=True)
class View:
    """What the operator looked at: recorded, so that a review sees what they saw. Texts are cleaned.

    screen: NAME of the screen on top; subject: model or feature that it is about, "" for none
    cursor: id of the row that has the cursor; panel: the one that keys move in
    dialog: title of the dialog on top of it, "" for none
    width, height: cells of the terminal
    """

    screen: str = "fleet"
    subject: str = ""
    tier: str = ""
    cursor: str = ""
    panel: str = ""
    filter: str = ""
    sort: str = ""
    is_reversed: bool = False
    heat_page: int = 0
    dialog: str = ""
    is_frozen: bool = False
    width: int = 0
    height: int = 0


class Mark(NamedTuple):
    """A bookmark: when (seconds, watched clock), by whom, and a note, which may be empty."""

    at: float
    actor: str
    note: str


NOTE_MOST = 1024
"""Longest note of a bookmark, in characters."""


def note_of(typed: str) -> tuple[str, str]:
    """A bookmark's note of what was typed, and what is to be told of it: that it was cut, or ""."""
    typed = typed.strip()
    note = clean(typed, NOTE_MOST)
    is_cut = note != clean(typed, max(len(typed), 1))
    return note, f"its note was cut to {NOTE_MOST:,} characters" if is_cut else ""


@dataclass(frozen=True, slots=True)
class RecorderState:
    """How the recording of this session stands.

    file: path of the segment that is written, "" for none
    since, seconds: when it began, and how long it is, by the watched clock
    trouble: why nothing is being written, with what to do; "" while all is well
    dropped: frames that were not recorded because the disk was too slow
    """

    file: str = ""
    is_on: bool = False
    since: float = 0.0
    seconds: float = 0.0
    size_bytes: int = 0
    frames: int = 0
    dropped: int = 0
    trouble: str = ""


class Recorder(Protocol):
    """What a screen may ask of whatever records its session. No call waits for a disk."""

    @property
    def state(self) -> RecorderState:
        """How it stands now."""
        ...

    def view(self, view: View) -> None:
        """The operator looks at something else."""
        ...

    def mark(self, mark: Mark) -> None:
        """A bookmark."""
        ...

    def flush(self) -> None:
        """Let whoever opens the file from now on find all that was recorded so far. Waits at most 1 s; not
        for the screen's thread."""
        ...


class Gap(NamedTuple):
    """A stretch of which nothing was recorded, in seconds of the watched clock, and why."""

    start: float
    end: float
    why: str


class Tick(NamedTuple):
    """Something on a lane of the timeline: when, one glyph's meaning, and a line that tells it.

    kind: "P1", "P2", "P3", "cleared", "lost", "action", "stage", "throttle", "mark"
    """

    at: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """A recording at a glance: `worst` in equal parts from `start` to `end`, ticks and gaps in order of time.

    worst: greatest share of an objective (or of the greatest wait, without objectives) in each part; -1: none
    """

    start: float
    end: float
    worst: tuple[float, ...]
    alerts: tuple[Tick, ...]
    actions: tuple[Tick, ...]
    marks: tuple[Tick, ...]
    gaps: tuple[Gap, ...]


SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Recorded seconds a second, that a replay can go at."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a replay stands.

    at: recorded time that is shown; start, end: of the whole recording, seconds, watched clock
    frame, frames: number of the frame shown, from 1, and how many there are
    loop_from, loop_to: marks A and B; None where not set
    mark: where `d` measures from; None where not set
    is_at_end: it stopped because there is nothing newer
    told: a sentence about the last jump or about damage, "" for none; tellings: how many were told so far, so
        that one that is told again is seen to be new
    view: what the operator looked at, at that time; None where it was not recorded
    """

    file: str
    at: float
    start: float
    end: float
    frame: int
    frames: int
    is_playing: bool = False
    speed: float = 1.0
    skips_idle: bool = False
    loop_from: float | None = None
    loop_to: float | None = None
    mark: float | None = None
    is_at_end: bool = False
    told: str = ""
    tellings: int = 0
    view: View | None = None


Target = Literal["alert", "action", "bookmark"]
"""What a replay can go to the next or the last one of."""


class Series(Protocol):
    """Readings of a stretch of time as numbers: what sparks and trends are filled from after a jump."""

    @property
    def times(self) -> Sequence[float]:
        """Recorded time of each frame, rising."""
        ...

    @property
    def gaps(self) -> Sequence[Gap]:
        """Stretches of which nothing was recorded."""
        ...

    def values(self, model: str, tier: str, signal: str) -> Sequence[float] | None:
        """One estimate for each of `times`, as `Reading.estimate`; NaN where the reading was neither good nor
        suspect, or had no value. tier: "" for the whole model. None if the series was never recorded."""
        ...

    def shares(self, model: str) -> "dict[str, Sequence[float]]":
        """Feature -> its arrivals (1/s) at each of `times`, NaN where unknown; of models told by feature."""
        ...


class Player(Protocol):
    """What keys do to a replay. Every call returns at once; what comes of it is seen in the next frame."""

    @property
    def position(self) -> Position:
        """Where it stands."""
        ...

    def play(self) -> None:
        """Go on from here; at the end, stay."""
        ...

    def pause(self) -> None:
        """Stand still."""
        ...

    def play_or_pause(self) -> None:
        """Go on where it stands still, else stand still."""
        ...

    def change_speed(self, by: int) -> None:
        """So many of SPEEDS up, or down where negative; the last one stays, and that is told."""
        ...

    def turn_skipping(self) -> None:
        """Skip stretches in which nothing changes, or do so no more."""
        ...

    def step(self, frames: int) -> None:
        """So many frames on, or back where negative; then stand still."""
        ...

    def seek(self, at: float) -> None:
        """To a recorded time, the nearest there is."""
        ...

    def seek_second(self, at: float) -> None:
        """To what was shown in the second from `at` on; where no frame is in it, as `seek`."""
        ...

    def move(self, seconds: float) -> None:
        """So many recorded seconds on, or back where negative, from where it stands by then."""
        ...

    def seek_next(self, target: Target, direction: Literal[1, -1]) -> None:
        """To the next alert, action or bookmark that way; where there is none, it is told."""
        ...

    def set_loop(self, at: float, *, is_start: bool) -> None:
        """Begin, or end, of a stretch that is played again and again; again at the same place: no loop."""
        ...

    def restore(self, left: Position) -> None:
        """The mark and the loop of a replay of the same session that was left, where they are recorded."""
        ...

    def set_mark(self, at: float | None) -> None:
        """Where differences are measured from."""
        ...

    def bookmark(self, note: str) -> None:
        """Mark the time that is shown: in a file beside a recording that was closed."""
        ...
