"""A clock that goes back by little, as one that is corrected: what was before it stays."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collectors.fleet import Frame
from collectors.recording.layout import Kind, Tag
from collectors.recording.reader import Recording
from collectors.recording.window import BACK_S
from tests.recording_files import T0, simple_frame
from tests.recording_parts import put_all, recording
from tui.store import GAP, STEP_S, STEPS, History

START, EVERY_S = T0 // STEP_S * STEP_S, 20.0
COUNT, BACK_AT = 36, 33
"""Twelve minutes of a demo that runs at twenty times its speed; near their end its clock goes back."""

FULL = STEPS * STEP_S / EVERY_S
"""Steps of ten minutes in which there is a frame."""


def frames_of(back_s: float) -> Iterator[Frame]:
    """Frames whose clock goes back by so much between two of them."""
    for n in range(COUNT):
        at = START + n * EVERY_S - (back_s + EVERY_S if n >= BACK_AT else 0)
        yield replace(simple_frame(n, at), simulated=True)


def recorded(path: Path, back_s: float) -> Recording:
    with recording(path) as one:
        put_all(one, frames_of(back_s))
    return Recording.open(path)


def known(history: History) -> int:
    """Steps of the last ten minutes of which something is remembered."""
    return sum(value != GAP for value in history.spark_values("alpha", "gold", STEPS))


def refilled(found: Recording, number: int) -> History:
    """What a replay remembers that has jumped to this frame."""
    history = History()
    history.refill(found.window(0, number), found.frame(number), ())
    return history


@pytest.mark.parametrize(("back_s", "is_told"), [(0.4, False), (0.6, True), (40.0, True)])
def test_a_correction_is_told_from_half_a_second_on(tmp_path: Path, back_s: float, is_told: bool) -> None:
    """Less than that no clock was set."""
    found = recorded(tmp_path / "a.tgrec", back_s)
    steps = [one.body["step_s"] for one in found.noted(START, START + 9_999, {Kind.EVENT}, {Tag.CLOCK_STEP})]
    assert steps == [pytest.approx(-back_s)] * is_told
    found.close()


@pytest.mark.parametrize("back_s", [0.4, 8.0, BACK_S])
def test_a_small_correction_takes_nothing_from_memory(back_s: float) -> None:
    """Live, the sparks are as full behind it as before."""
    history, lengths = History(), []
    for frame in frames_of(back_s):
        history.add(frame)
        lengths.append(known(history))
    assert lengths[BACK_AT - 1] == FULL
    assert min(lengths[BACK_AT:]) >= FULL - 1


@pytest.mark.parametrize("back_s", [0.4, 8.0, BACK_S])
def test_a_small_correction_takes_nothing_from_a_replay(tmp_path: Path, back_s: float) -> None:
    """A window goes on over it, its times rising up to that of the frame shown; the sparks stay full."""
    found = recorded(tmp_path / "a.tgrec", back_s)
    for number in range(BACK_AT - 1, COUNT):
        window = found.window(0, number)
        assert len(window.times) == number + 1
        assert list(window.times) == sorted(window.times) and window.times[-1] == found.time_of(number)
        values = window.values("alpha", "gold", "queue_wait_p99")
        shown = (found.frame(one).models[0] for one in range(number + 1))
        assert values == [model.reading("queue_wait_p99", "gold").estimate for model in shown]
        # Where times came twice, steps are fewer.
        assert known(refilled(found, number)) >= FULL - BACK_S / EVERY_S - 1
    found.close()


def test_a_clock_that_was_set_back_begins_anew(tmp_path: Path) -> None:
    """By more than a minute what was before is later, and not past."""
    found, history = recorded(tmp_path / "a.tgrec", BACK_S + 1), History()
    assert len(found.window(0, COUNT - 1).times) == COUNT - BACK_AT
    for frame in frames_of(BACK_S + STEP_S):
        history.add(frame)
    assert known(history) == known(refilled(found, COUNT - 1)) == COUNT - BACK_AT
    found.close()
