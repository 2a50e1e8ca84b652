"""How a replay moves over recorded time."""

import bisect
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.recording.playing import (
    Moved,
    Standing,
    advanced,
    due_s,
    looped,
    skipped,
    sought,
    speed_after,
    stepped,
    time_at,
)
from collectors.sessions import SPEEDS


class Tape:
    """Frames at these times."""

    def __init__(self, *times: float, end: float | None = None) -> None:
        self.times = times
        self.start, self.end, self.frames = min(times), max(*times, end or 0.0, 0.0), len(times)

    def time_of(self, number: int) -> float:
        """Of a frame."""
        return self.times[number]

    def index_at(self, at: float) -> int:
        """The last one at or before."""
        return max(bisect.bisect_right(self.times, at) - 1, 0)


TAPE = Tape(100.0, 101.0, 102.0, 110.0, 111.0, end=112.0)
PLAYING = Standing(is_playing=True)


def test_it_plays_at_its_speed() -> None:
    """Recorded seconds a second; between two frames the first one stays."""
    assert advanced(PLAYING, 0.5, TAPE) == Moved(replace(PLAYING, since=0.5))
    assert advanced(replace(PLAYING, speed=4.0), 0.75, TAPE).to == replace(
        PLAYING, speed=4.0, number=2, since=1.0
    )
    assert advanced(replace(PLAYING, speed=0.25), 1.0, TAPE).to.since == 0.25
    assert advanced(Standing(since=0.25), 1.0, TAPE).to == Standing(since=0.25)


def test_it_stops_at_the_end_and_not_before() -> None:
    """The last frame stands until the end of the recording; following it waits there, and goes on."""
    near = replace(PLAYING, number=4, since=0.5)
    assert advanced(near, 0.4, TAPE).way == "on"
    way = advanced(near, 0.6, TAPE)
    assert way.way == "ended"
    assert (time_at(way.to, TAPE), way.to.is_playing, way.to.is_at_end) == (112.0, False, True)
    follows = advanced(replace(near, follows=True), 0.6, TAPE)
    assert (follows.way, follows.to.is_playing, follows.to.is_at_end) == ("on", True, False)
    assert due_s(follows.to, TAPE) is None
    longer = Tape(*TAPE.times, 112.5, end=113.0)
    assert time_at(advanced(follows.to, 1.0, longer).to, longer) == 113.0


def test_a_loop_begins_again_where_it_began() -> None:
    """Also where its end is the end of the recording; outside of it nothing is looped."""
    one = looped(PLAYING, 102.5, 101.0, TAPE)
    assert (one.loop_from, one.loop_to, one.number) == (101.0, 102.5, 1)
    way = advanced(replace(one, number=2, since=0.25), 0.5, TAPE)
    assert (way.way, time_at(way.to, TAPE), way.to.is_playing) == ("looped", 101.0, True)
    last = looped(replace(PLAYING, number=4), 110.5, 200.0, TAPE)
    assert last.loop_to == 112.0
    assert advanced(replace(last, since=0.9), 0.5, TAPE).way == "looped"
    behind = sought(one, 110.0, TAPE)
    assert advanced(behind, 1.0, TAPE).way == "on"
    assert due_s(replace(one, number=2, since=0.25), TAPE) == 0.25


def test_a_loop_needs_two_ends_apart() -> None:
    """With one of them nothing is looped; too near is refused with a sentence."""
    half = looped(PLAYING, 101.0, None, TAPE)
    assert (half.loop_from, half.loop_to) == (101.0, None)
    assert advanced(replace(half, number=1, since=0.9), 0.5, TAPE).way == "on"
    with pytest.raises(ValueError, match="further apart"):
        looped(half, 101.0, 101.5, TAPE)
    assert looped(half, None, None, TAPE).loop_from is None


def test_a_step_stands_still_and_stays_inside() -> None:
    """Frames on or back, from the frame shown."""
    now = replace(PLAYING, number=2, since=4.0)
    assert stepped(now, 1, TAPE) == Standing(number=3)
    assert stepped(now, -1, TAPE) == Standing(number=1)
    assert stepped(now, -9, TAPE) == Standing()
    assert stepped(now, 64, TAPE) == Standing(number=4)


def test_a_seek_goes_to_the_nearest_time_there_is() -> None:
    """Between frames, before the first and after the last."""
    assert time_at(sought(PLAYING, 106.0, TAPE), TAPE) == 106.0
    assert sought(PLAYING, 106.0, TAPE).is_playing
    assert time_at(sought(PLAYING, 0.0, TAPE), TAPE) == 100.0
    assert time_at(sought(PLAYING, 500.0, TAPE), TAPE) == 112.0


def test_idle_stretches_are_skipped_to_what_is_new() -> None:
    """To the next frame or event, and the skipped time is told; short ones are played."""
    idle = replace(PLAYING, number=2, since=1.0, skips_idle=True)
    assert skipped(idle, None, TAPE) == (replace(idle, number=3, since=0.0), 7.0)
    to, seconds = skipped(idle, 109.0, TAPE)
    assert (time_at(to, TAPE), seconds) == (109.0, 6.0)
    assert skipped(idle, 107.5, TAPE) == (idle, 0.0)
    assert skipped(replace(idle, skips_idle=False), None, TAPE)[1] == 0.0
    assert skipped(replace(idle, is_playing=False), None, TAPE)[1] == 0.0
    assert skipped(replace(idle, number=4, since=0.0), None, Tape(*TAPE.times, end=900.0))[1] == 0.0


def test_marks_and_loops_are_not_moved_by_speed_or_skipping() -> None:
    """They are times of the recording; a loop's end is not skipped over."""
    now = replace(PLAYING, number=2, loop_from=101.0, loop_to=109.0, mark=105.0, skips_idle=True, speed=64.0)
    to, seconds = skipped(now, None, TAPE)
    assert (time_at(to, TAPE), seconds, to.mark) == (109.0, 7.0, 105.0)
    assert advanced(to, 0.1, TAPE).way == "looped"


def test_a_clock_that_was_set_back_does_not_stop_it() -> None:
    """Frames are passed in their order: the one behind the step follows at once."""
    tape = Tape(100.0, 160.0, 100.5, 101.5, end=160.0)
    way = advanced(replace(PLAYING, speed=64.0), 1.0, tape)
    assert (way.to.number, way.to.since) == (3, 3.0)
    assert stepped(replace(PLAYING, number=1), 1, tape).number == 2


def test_a_program_that_was_stopped_does_not_leap() -> None:
    """An hour with the terminal suspended is no hour of the recording; nor do equal times hang it."""
    assert time_at(advanced(PLAYING, 3600.0, TAPE).to, TAPE) == 101.0
    same = Tape(*[100.0] * 5_000, end=101.0)
    assert advanced(PLAYING, 0.5, same).to.number == 1_000


@given(
    st.lists(st.floats(0.0, 30.0), min_size=1, max_size=20),
    st.lists(st.floats(0.01, 1.0), max_size=40),
    st.sampled_from((0.25, 1.0, 8.0, 64.0)),
)
def test_it_never_goes_back_and_keeps_time(lengths: list[float], turns: list[float], speed: float) -> None:
    """Whatever the frames and the turns: recorded time is the sum of the turns, up to the end."""
    times = [1_000.0]
    for length in lengths:
        times.append(times[-1] + length)
    tape = Tape(*times, end=times[-1])
    now, at = replace(PLAYING, speed=speed), 1_000.0
    for turn in turns:
        now = advanced(now, turn, tape).to
        at = min(at + turn * speed, tape.end)
        assert time_at(now, tape) == pytest.approx(at, abs=1e-6)
        assert now.number == tape.index_at(time_at(now, tape) + 1e-9) or now.since > 0
    assert now.is_playing or at > tape.end - 1e-6


def test_speeds_are_steps_of_one_list() -> None:
    """Both ends stay."""
    assert speed_after(1.0, 1) == 2.0
    assert speed_after(SPEEDS[-1], 1) == SPEEDS[-1]
    assert speed_after(SPEEDS[0], -1) == SPEEDS[0]
