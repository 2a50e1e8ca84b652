"""What a replay shows of its recording: moved by turns, each one giving the next frame, or nothing new."""

import getpass
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from collectors.ageing import counted_on
from collectors.fleet import Event, Frame, Past
from collectors.recording import playing
from collectors.recording.layout import SLIGHT_S, RecordingError
from collectors.recording.places import (
    WINDOW_S,
    Recorded,
    begin_of,
    events_before,
    first_news,
    found_next,
    gap_at,
    gap_told,
    passed,
    past_told,
)
from collectors.recording.playing import Standing
from collectors.recording.times import clock, span
from collectors.sessions import Mark, Position, Series, Target, note_of
from collectors.text import clean

COUNT_S = 1.0
"""Real seconds between two frames while nothing new is shown: ages count on. Also between two looks at a file
that is still written."""

TOLD_S = 10.0
"""Real seconds that a sentence stands while it plays."""

HELD_S = 0.25
"""Longest that newer commands keep a frame from being shown: a key held down shows where it has come to."""

CARRIED_S = 4.0
"""Recorded seconds between two frames from which on sparks are filled from the recording: steps of 5 s would
be left out."""

AGAIN_S = 5.0
"""Real seconds after a jump in which a search back begins where it led to, however far it has played on: the
key that goes one back would else find the same place again and again."""

UNREADABLE_MOST = 60
"""Most frames that are passed over at the begin, to find one that can be read."""

Memory = tuple[Series, tuple[Event, ...], tuple[Past, ...]]


class Showing:
    """One recording, where the replay of it stands, and what was last shown. For one thread at a time.

    at: recorded time to begin at; None: where `now` stands
    monotonic: a clock in seconds that never goes back
    asked: commands that came since the last turn; each is a method of this, with its arguments bound
    position: where it stands: replaced, never changed, so that any thread may read it
    mark_frame: what was shown at the mark; None where there is none
    has_grown: the file had more than was known when it was last looked at
    is_series_due: what was before is not that of the frame shown, and `is_series_asked`: after a jump
    """

    def __init__(
        self,
        recording: Recorded,
        now: Standing,
        at: float | None,
        asked: "deque[Callable[[Showing], None]]",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.recording = recording
        self.now = now if at is None else playing.sought(now, at, recording)
        self.mark_frame: Frame | None = None
        self.last: Frame | None = None
        self.is_series_due = self.is_series_asked = True
        self.is_timeline_due, self.has_grown = True, False
        self._told, self._told_since, self._tellings = "", 0.0, 0
        self.position = self._stands(playing.time_at(self.now, recording), "")
        self._asked, self._monotonic = asked, monotonic
        self._base: Frame | None = None
        self._loop_key: tuple[bool, float] | None = None
        self._number = self._shown = -1
        self._before = self.now
        self._is_damaged, self._jumped, self._is_asked_again = False, True, False
        self._turned = self._yielded = self._refreshed = monotonic()
        # Where the last jump led to, and when, until another key moves on from there.
        self._landed: tuple[float, float] | None = None

    def turn(self) -> Frame | None:
        """Move by the time that went by and by what was asked; the frame to show, None for nothing new.

        What cannot be read is told, and the replay stands still where it was.
        raises: RecordingError, OSError if not even a first frame can be read
        """
        now = self._monotonic()
        elapsed, self._turned = now - self._turned, now
        try:
            self._refresh(now)
            self._move(elapsed, now)
            return self._picture(now)
        except (RecordingError, OSError) as error:
            if self.last is None:
                raise
            back = self._before
            self.now = replace(self.now, number=back.number, since=back.since, is_playing=False)
            self._jumped, self._landed = False, None
            return self._say(_sentence(error))

    def due_s(self) -> float | None:
        """Real seconds from the last turn until the next one; None: until a command comes."""
        due = playing.due_s(self.now, self.recording)
        if self.now.is_playing or self.now.follows:
            return COUNT_S if due is None else min(due, COUNT_S)
        return None

    def remember(self) -> Memory | None:
        """Readings, events, and the past as sources told it, before the frame shown; None: it is told why."""
        last = self.last
        self.is_series_due = self.is_series_asked = False
        if last is None:
            return None
        try:
            since, recording = last.at - WINDOW_S, self.recording
            series = recording.window(begin_of(recording, since, self._shown), self._shown)
            return series, events_before(recording, last.at), past_told(recording, since, last.at)
        except (RecordingError, OSError) as error:
            self._say(_sentence(error))
            return None

    def play(self) -> None:
        """Go on from here; at the end, stay."""
        now = self.now
        is_last = now.number + 1 >= self.recording.frames and not now.follows and now.loop_to is None
        if is_last and now.since >= playing.shown_for(now.number, self.recording):
            self.now = replace(now, is_playing=False, is_at_end=True)
            self.tell("This is the end of the recording.")
        else:
            self.now = replace(now, is_playing=True, is_at_end=False)

    def play_or_pause(self) -> None:
        """Go on where it stands still, else stand still."""
        if self.now.is_playing:
            self.set(is_playing=False)
        else:
            self.play()

    def change_speed(self, by: int) -> None:
        """So many speeds up or down; the last one stays."""
        speed = playing.speed_after(self.now.speed, by)
        if speed == self.now.speed:
            self.tell(f"{speed:g}x is the {'fastest' if by > 0 else 'slowest'} there is.")
        self.set(speed=speed)

    def turn_skipping(self) -> None:
        """Skip stretches in which nothing is new, or do so no more."""
        self.set(skips_idle=not self.now.skips_idle)
        self.tell(
            "Stretches without news are skipped." if self.now.skips_idle else "Idle stretches are played."
        )

    def set(self, **changes: Any) -> None:
        """Members of the standing."""
        self.now = replace(self.now, **changes)

    def step(self, frames: int) -> None:
        """So many frames on, or back; then stand still."""
        now, made = self.now, playing.stepped(self.now, frames, self.recording)
        self._landed = None
        if made.number == now.number and frames > 0:
            self.now = replace(now, is_playing=False, is_at_end=True)
            self.tell("This is the last frame.")
        elif made.number > now.number:
            self.now = made
        else:
            if made.number == now.number and not now.since:
                self.tell("This is the first frame.")
            self._jump(made)

    def seek(self, at: float) -> None:
        """To a recorded time, the nearest there is.

        Of a time that the clock told more than once it is the last one; from there, the one before it.
        """
        number, places = None, self.recording.times_at(at)
        if len(places) > 1:
            number = self._other_of(places, at)
            nth = places.index(number) + 1
            self.tell(
                f"{clock(at)} came {len(places)} times: this is time {nth} of {len(places)}; go there again "
                "for another. The clock was set back."
            )
        if at > self.recording.end + SLIGHT_S:
            self.tell(f"{clock(at)} is after the end of the recording: this is its end.")
        elif at < self.recording.start - SLIGHT_S:
            self.tell(f"{clock(at)} is before the recording begins: this is its start.")
        self._jump(playing.sought(self.now, at, self.recording, number))

    def seek_second(self, at: float) -> None:
        """To what was shown in the second from `at` on: the last frame in it; without any, as `seek`."""
        shown = self.recording.time_of(self.recording.index_at(at + 1 - SLIGHT_S))
        self.seek(shown if at < shown < at + 1 else at)

    def move(self, seconds: float) -> None:
        """So many recorded seconds on, or back."""
        made = playing.moved(self.now, seconds, self.recording)
        if made.number + 1 == self.recording.frames and seconds > 0:
            room = playing.shown_for(made.number, self.recording)
            if made.since >= room:
                self.tell("This is the end of the recording.")
        elif not made.number and not made.since and seconds < 0:
            self.tell("This is the start of the recording.")
        self._jump(made)

    def _other_of(self, places: Sequence[int], at: float) -> int:
        """The frame of that time which is not shown yet."""
        shown = self.now.number
        is_there = shown in places and abs(playing.time_at(self.now, self.recording) - at) < SLIGHT_S
        return places[places.index(shown) - 1] if is_there else places[-1]

    def seek_next(self, target: Target, direction: Literal[1, -1]) -> None:
        """To the nearest alert, action or bookmark that way; where there is none, it is told.

        Back from a place that it has just come to, which it may have played on from: to the one before that.
        """
        at = playing.time_at(self.now, self.recording)
        if direction < 0 and self._landed is not None and self._monotonic() - self._landed[1] < AGAIN_S:
            at = min(at, self._landed[0])
        found = found_next(self.recording, target, direction, at)
        if found is None:
            what = "action of an operator of this cockpit" if target == "action" else target
            self.tell(f"There is no {'later' if direction > 0 else 'earlier'} {what} in this recording.")
        else:
            self.seek(found[0])
            self.tell(found[1])

    def set_loop(self, at: float, *, is_start: bool) -> None:
        """Begin or end of a stretch that is played again and again, or another one; the same again at the
        same place: no loop. Whichever of the two is first is the begin."""
        start, end = self.now.loop_from, self.now.loop_to
        pressed = self._loop_key if self._loop_key is not None and self._loop_key[0] is is_start else None
        # Where A and B changed places, the end that was set last is not called by its key any more.
        known = (start if is_start else end, pressed[1] if pressed is not None else None)
        if any(one is not None and abs(one - at) < playing.LOOP_LEAST_S for one in known):
            self._loop_key = None
            self.set(loop_from=None, loop_to=None)
            self.tell("No loop any more.")
            return
        start, end = (at, end) if is_start else (start, at)
        if start is None or end is None:
            self.set(loop_from=start, loop_to=end)
            self._loop_key = (is_start, at)
            self.tell(
                "The start of a loop is set; its end makes it one."
                if is_start
                else "The end of a loop is set; its start makes it one."
            )
            return
        try:
            made = playing.looped(self.now, start, end, self.recording)
        except ValueError as error:
            self.tell(str(error))
            return
        self._loop_key = (is_start, at)
        self.tell(f"Loop {clock(min(start, end))} to {clock(max(start, end))}.")
        if (made.number, made.since) == (self.now.number, self.now.since):
            self.now = made
        else:
            self._jump(made)

    def restore(self, mark: float | None, loop_from: float | None, loop_to: float | None) -> None:
        """The mark and the loop of a replay that was left, where this recording has them; nothing moves."""
        start, end = self.recording.start - SLIGHT_S, self.recording.end + SLIGHT_S
        if all(one is None or start <= one <= end for one in (loop_from, loop_to)):
            self.set(loop_from=loop_from, loop_to=loop_to)
        if mark is None or not start <= mark <= end:
            return
        try:
            self.set_mark(mark)
        except (RecordingError, OSError) as error:
            # Before the first frame it would end a replay that can do without its mark.
            self.tell(_sentence(error))

    def set_mark(self, at: float | None) -> None:
        """Where differences are measured from."""
        if at is None:
            self.mark_frame, self.now = None, replace(self.now, mark=None)
            return
        there = playing.sought(self.now, at, self.recording)
        exact = playing.time_at(there, self.recording)
        frame = self.recording.picture(there.number)
        if gap_at(self.recording, there.number, exact):
            frame = counted_on(frame, exact)
        self.mark_frame = replace(frame, at=exact, mode="REPLAY")
        self.now = replace(self.now, mark=exact)

    def bookmark(self, note: str) -> None:
        """Mark the time that is shown, in the name of who uses this machine."""
        at, (text, cut) = playing.time_at(self.now, self.recording), note_of(note)
        self.recording.add_mark(Mark(at, _user(), text), self.now.number)
        self.is_timeline_due = True
        told = f"Marked {clock(at)}{f'; {cut}' if cut else ''}"
        self.tell(f"{told}{f': {text}' if text else ''}.")

    def tell(self, sentence: str) -> None:
        """Have this in `position.told`, from the next frame on."""
        # What no command asked for, such as the same trouble each second, is new only once.
        self._tellings += sentence != self._told
        self._told, self._told_since = sentence, self._monotonic()

    def show_again(self) -> None:
        """Something beside the frame is new: have it drawn."""
        self._is_asked_again = True

    def _jump(self, to: Standing) -> None:
        self.now, self._jumped, self.is_series_asked = to, True, True
        self._landed = playing.time_at(to, self.recording), self._monotonic()

    def _say(self, sentence: str) -> Frame | None:
        """Show what is shown, with a sentence; None if it is told already."""
        self.tell(sentence)
        before, self.position = self.position, self._stands(self.position.at, sentence)
        same = before.tellings == self._tellings and before.is_playing == self.position.is_playing
        return None if same or self.last is None else replace(self.last, events=(), past=())

    def _refresh(self, now: float) -> None:
        """Look for more in the file: where it is followed, and before what was asked for is done: a replay of
        a running session stops at what was its end, and goes on from there."""
        if (self.now.follows or self._asked) and now - self._refreshed >= COUNT_S:
            self._refreshed = now
            self.has_grown = self.recording.refresh() or self.has_grown

    def _move(self, elapsed: float, now: float) -> None:
        if self._told and self.now.is_playing and now - self._told_since > TOLD_S:
            self._told = ""
        if self.last is not None:
            moved = playing.advanced(self.now, elapsed, self.recording)
            self.now, self._jumped = moved.to, self._jumped or moved.way == "looped"
        while self._asked:
            self._told = ""
            self._asked.popleft()(self)
            if self._monotonic() - now >= HELD_S:
                break  # a key held down, and each press takes long: show where it has come to
        self._skip()

    def _skip(self) -> None:
        now, recording = self.now, self.recording
        at = playing.time_at(now, recording)
        until = at - now.since + playing.shown_for(now.number, recording)
        if not (now.skips_idle and now.is_playing) or until - at <= playing.IDLE_S:
            return
        self.now, skipped = playing.skipped(now, first_news(recording, at, until), recording)
        if skipped:
            is_gap = gap_at(recording, now.number, until) is not None
            why = "of which nothing was recorded" if is_gap else "in which nothing changed"
            self.tell(f"Skipped {span(skipped)} {why}.")

    def _picture(self, now: float) -> Frame | None:
        """What is to be shown, and the position that says so; None while it is what is shown already."""
        self._load()
        base, number, before = self._base, self.now.number, self.position
        assert base is not None, "the first frame is read, or its error raised"
        at = playing.time_at(self.now, self.recording)
        gap = gap_at(self.recording, number, at)
        position = self._stands(at, " ".join(one for one in (self._told, gap_told(gap)) if one))
        is_new = self._jumped or number != self._shown
        if not (is_new or self._is_other(position, now)):
            self.position = replace(before, end=position.end, frames=position.frames)
            return None
        self.position = position
        if self._jumped and self._asked and self.last is not None and now - self._yielded < HELD_S:
            return None
        events, past = (base.events, base.past) if is_new and not self._is_damaged else ((), ())
        if is_new and not self._jumped:
            events = (*passed(self.recording, self._shown, number), *events)
        is_far = self.last is None or number > self._shown + 1 or abs(at - self.last.at) >= CARRIED_S
        self.is_series_due = self.is_series_due or self._jumped or is_far
        aged = counted_on(base, at) if gap is not None or self._is_damaged else base
        frame = replace(aged, at=at, mode="REPLAY", events=events, past=past)
        self._before, self._shown, self._jumped, self.last, self._yielded = (
            self.now,
            number,
            False,
            frame,
            now,
        )
        return frame

    def _is_other(self, position: Position, now: float) -> bool:
        """Whether it differs from the last one in more than the time, or that has gone on for a second."""
        before, is_asked, self._is_asked_again = self.position, self._is_asked_again, False
        if is_asked or replace(position, at=0.0, end=0.0, frames=0) != replace(
            before, at=0.0, end=0.0, frames=0
        ):
            return True
        has_waited = now - self._yielded >= COUNT_S - 0.05
        return (
            self.last is not None and position.at != self.last.at and (has_waited or not position.is_playing)
        )

    def _load(self) -> None:
        """Decode the frame that is shown; of one that cannot be read, the one before stays, and ages."""
        number = self.now.number
        if number == self._number and not (self._jumped and self._is_damaged):
            return
        try:
            self._base, self._is_damaged = self.recording.frame(number), False
        except RecordingError as error:
            if self.last is None:
                self._base = self._first_readable(number, error)
                return
            if self._jumped:
                raise
            self._is_damaged = True
            self.tell(_sentence(error))
        self._number = number

    def _first_readable(self, number: int, error: RecordingError) -> Frame:
        for later in range(number + 1, min(number + 1 + UNREADABLE_MOST, self.recording.frames)):
            try:
                frame = self.recording.frame(later)
            except RecordingError:
                continue
            self.now, self._number = replace(self.now, number=later, since=0.0), later
            self.tell(_sentence(error))
            return frame
        raise error

    def _stands(self, at: float, told: str) -> Position:
        now, recording = self.now, self.recording
        return Position(
            file=str(recording.path),
            at=at,
            start=recording.start,
            end=recording.end,
            frame=now.number + 1,
            frames=recording.frames,
            is_playing=now.is_playing,
            speed=now.speed,
            skips_idle=now.skips_idle,
            loop_from=now.loop_from,
            loop_to=now.loop_to,
            mark=now.mark,
            is_at_end=now.is_at_end,
            told=told,
            tellings=self._tellings,
            view=recording.view_at(at, now.number),
        )


def _user() -> str:
    try:
        return clean(getpass.getuser(), 64)
    except (KeyError, OSError):
        # A user id without a name, as in a container.
        return "unknown"


def _sentence(error: Exception) -> str:
    text = clean(str(error).strip(), 300) or type(error).__name__
    return text if text.endswith((".", "!", "?")) else f"{text}."
