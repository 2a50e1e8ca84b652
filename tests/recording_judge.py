"""Recordings that were damaged, and a judge of what is shown of them."""

import random
import time
from pathlib import Path
from typing import Any, NamedTuple

from collectors.fleet import Frame
from collectors.readings import Quality
from collectors.recording.layout import Kind, RecordingError
from collectors.recording.parts import STATE_LOST
from collectors.recording.reader import Recording
from collectors.recording.verify import verify
from tests.recording_files import Tape, without

LOSS_MOST = {Kind.KEY: 60, Kind.SUBKEY: 10, Kind.DELTA: 10}
"""Frames that one flipped bit may cost, by kind of the record; none in others."""


class Flip(NamedTuple):
    """What one bit cost. kind: of the record; None: the file header; stale: frames that say they are old"""

    offset: int
    kind: int | None
    lost: int
    stale: int
    is_detected: bool
    has_gap: bool

    @property
    def is_fair(self) -> bool:
        """Detected, no more lost than may be, and told."""
        most = LOSS_MOST.get(Kind(self.kind), 0) if self.kind is not None else 0
        return self.is_detected and self.lost <= most and (self.has_gap or not self.lost)


class Judge:
    """Knows what a recording held, and compares what is shown with it.

    slowest: most seconds of CPU for all that was done with one file besides showing every frame
    """

    def __init__(self, tape: Tape) -> None:
        self.frames = {frame.at: frame for frame in tape.frames}
        self.open = bytes(tape.data)
        tape.footer()
        self.closed = bytes(tape.data)
        self._tape = tape
        self.slowest = 0.0

    def flipped(self, path: Path, chance: random.Random) -> Flip:
        """One bit of a file, at random. raises: AssertionError if a wrong number is shown"""
        data = bytearray(chance.choice([self.open, self.closed]))
        bit = chance.randrange(len(data) * 8)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        hit = next(
            (one for one in self._tape.entries if one.offset <= bit // 8 < one.offset + one.size), None
        )
        shown, stale, has_gap = self.shown(path)
        # Behind the last record of a file that was not closed nothing shows that it is missing.
        is_end = len(data) == len(self.open) == (hit.offset + hit.size if hit else 0)
        return Flip(
            bit // 8,
            hit.kind if hit else None,
            len(self.frames) - shown,
            stale,
            not verify(path).is_sound,
            has_gap or is_end,
        )

    def mutated(self, chance: random.Random) -> bytes:
        """A file with up to five stretches cut out, put in, zeroed or doubled."""
        data = bytearray(chance.choice([self.open, self.closed]))
        for _ in range(chance.randrange(1, 6)):
            at, size = chance.randrange(len(data) + 1), chance.randrange(1, 5_000)
            way = chance.randrange(5)
            if way == 0:
                del data[at : at + size]
            elif way == 1:
                data[at:at] = chance.randbytes(size)
            elif way == 2:
                data[at : at + size] = bytes(len(data[at : at + size]))
            elif way == 3:
                begin = chance.randrange(len(data) + 1)
                data[at:at] = data[begin : begin + size]
            else:
                del data[at:]
        return bytes(data)

    def shown(self, path: Path) -> tuple[int, int, bool]:
        """Frames that are shown, those that say that their state is old, and whether gaps are told.

        raises: AssertionError if one is not as recorded; RecordingError if nothing can be read
        """
        recording = Recording.open(path)
        shown: dict[float, Frame] = {}
        for number in range(recording.frames):
            try:
                frame = recording.frame(number)
            except RecordingError:
                continue
            shown[frame.at] = frame
        stale = sum(not self._is_right(frame) for frame in shown.values())
        began = time.process_time()
        exercised(recording)
        self._check_window(recording)
        self.slowest = max(self.slowest, time.process_time() - began)
        has_gaps = bool(recording.gaps)
        recording.close()
        return len(shown), stale, has_gaps

    def _is_right(self, frame: Frame) -> bool:
        """False where it says that part of it is old or lost. raises: AssertionError if it is wrong"""
        recorded = self.frames.get(frame.at)
        assert recorded is not None, f"a frame at {frame.at}, when there was none"
        if frame == without(recorded):
            return True
        assert STATE_LOST in frame.notes or "not-recorded" in repr(frame), (
            f"wrong, and does not say so: {frame}"
        )
        known = _numbers(recorded)
        for place, number in _numbers(frame).items():
            assert known[place] == number, f"{place} of {frame.at}: {number}, it was {known[place]}"
        return False

    def _check_window(self, recording: Recording) -> None:
        window = recording.window(0, recording.frames - 1)
        for model in ("alpha", "beta"):
            found = window.values(model, "gold", "queue_wait_p99") or ()
            for at, value in zip(window.times, found, strict=bool(found)):
                recorded = self.frames.get(at)
                assert recorded is not None
                known = next(one for one in recorded.models if one.name == model)
                wait = known.tiers["gold"]["queue_wait_p99"].estimate
                assert value in (wait,) or value != value, f"{model} at {at}: {value}, it was {wait}"


def _numbers(frame: Frame) -> dict[tuple[str, str, str], tuple[Any, Quality]]:
    return {
        (model.name, tier, signal): (one.value, one.quality)
        for model in frame.models
        for tier, some in (("", model.readings), *model.tiers.items())
        for signal, one in some.items()
    }


def exercised(recording: Recording) -> None:
    """All else that can be asked of a recording."""
    list(recording.noted(recording.start, recording.end))
    recording.timeline(60)
    recording.marks()
    recording.view_at(recording.end)
    recording.index_at((recording.start + recording.end) / 2)
    assert all(gap.end >= gap.start for gap in recording.gaps)
    assert all(isinstance(notice, str) for notice in recording.notices)
