"""Recordings that were cut and damaged: everything that is still shown is what was recorded."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.recording.layout import FRAMES, Kind, RecordingError
from collectors.recording.reader import Recording
from collectors.recording.verify import verify
from tests.recording_files import Tape, simple_frames, tape_of, without
from tests.recording_judge import Judge, exercised

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(tape_of(simple_frames(150), index_every=128))


def cuts(tape: Tape) -> Iterator[tuple[int, int]]:
    """Every length that ends in the last two records, and how many frames it holds."""
    last = tape.entries[-2:]
    for end in range(last[0].offset, len(tape.data)):
        yield end, sum(one.kind in FRAMES and one.offset + one.size <= end for one in tape.entries)


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_cut_anywhere_leaves_all_complete_frames(tmp_path: Path, is_closed: bool) -> None:
    """At every byte of the last two records, with a footer and without: exactly those; the tail is told."""
    tape = tape_of(simple_frames(70), index_every=64)
    if is_closed:
        tape.footer()
    path = tape.write(tmp_path / "cut.tgrec")
    for end, frames in reversed(list(cuts(tape))):
        with path.open("r+b") as file:
            file.truncate(end)
        recording = Recording.open(path)
        assert recording.frames == frames
        whole = max(one.offset + one.size for one in tape.entries if one.offset + one.size <= end)
        tail = (f"tail of {end - whole} bytes ignored",) if end > whole else ()
        assert recording.notices == tail
        assert recording.gaps == ()
        assert recording.frame(frames - 1) == without(tape.frames[frames - 1])
        if end % 16 == 0:
            assert verify(path).is_sound
        recording.close()
    assert [Recording.open(path).frame(number) for number in range(frames)] == [
        without(frame) for frame in tape.frames[:frames]
    ]


def test_a_bit_that_flips_never_shows_a_wrong_number(tmp_path: Path, judge: Judge) -> None:
    """All are detected: at most 10 frames are lost, 60 of a KEY, none of other kinds; the gap is told."""
    chance = random.Random(20_240_101)
    found = [judge.flipped(tmp_path / "flip.tgrec", chance) for _ in range(60)]
    assert max(one.lost for one in found) > 0
    assert [one for one in found if not one.is_fair] == []


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_whatever_is_done_to_a_file_nothing_wrong_is_shown(
    tmp_path_factory: pytest.TempPathFactory, judge: Judge, chance: random.Random
) -> None:
    """Bytes cut out, put in, zeroed, copied and flipped: frames are as recorded, or not there."""
    path = tmp_path_factory.getbasetemp() / "mutated.tgrec"
    path.write_bytes(judge.mutated(chance))
    try:
        judge.shown(path)
        verify(path)
    except RecordingError as error:
        assert str(path) in str(error)


def test_30_days_of_segments_open_at_once(tmp_path: Path) -> None:
    """Tables are read when they are needed, and forgotten again: neither time nor memory grows with days."""
    tape = tape_of(simple_frames(60))
    tape.footer()
    day = 86_400.0
    for number in range(30):
        moved = Tape({"segment": number}, at=tape.frames[0].at + number * day)
        for frame in tape.frames:
            moved.frame(replace(frame, at=frame.at + number * day))
        moved.footer()
        moved.write(tmp_path / f"202401{number + 1:02}T000000Z-0123456789ab-{number:04}.tgrec")
    recording = Recording.open(tmp_path)
    assert recording.frames == 30 * 60
    assert sum(segment.is_loaded for segment in recording.segments) == 1
    for number in (0, 17):
        at = tape.frames[30].at + number * day
        assert recording.time_of(recording.index_at(at + 1)) == at
    assert sum(segment.is_loaded for segment in recording.segments) == 3
    assert len(recording.timeline(30).worst) == 30
    exercised(recording)


def test_damage_in_one_segment_leaves_the_numbering_of_others(tmp_path: Path) -> None:
    """Its footer counts its frames; those that are gone stand for the last one before."""
    tapes = []
    for number in range(5):
        tape = tape_of(simple_frames(20, 1.7e9 + 100 * number), facts={"segment": number})
        tape.footer()
        tapes.append(tape)
        tape.write(tmp_path / f"2024010{number + 1}T000000Z-0123456789ab-{number:04}.tgrec")
    path = tmp_path / "20240102T000000Z-0123456789ab-0001.tgrec"
    data = bytearray(tapes[1].data)
    index, delta = tapes[1].of_kind(Kind.INDEX)[-1], tapes[1].of_kind(Kind.DELTA)[5]
    data[index.offset + 60] ^= 1
    data[delta.offset + 9] ^= 1
    path.write_bytes(data)
    recording = Recording.open(tmp_path)
    shown = [recording.frame(number) for number in range(recording.frames)]
    assert len(shown) == 100
    assert shown[:20] + shown[40:] == [
        without(frame) for tape in (*tapes[:1], *tapes[2:]) for frame in tape.frames
    ]
    recorded = {frame.at: without(frame).models for frame in tapes[1].frames}
    assert all(frame.models == recorded[frame.at] for frame in shown[20:40])
    assert len(recording.gaps) > 0
