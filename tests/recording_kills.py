"""Recordings whose process is killed at a random moment, and what is left of them."""

import random
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from collectors.recording.layout import Tag
from tests.recording_parts import changing, recording, walk

FRAMES_MOST = 100_000


class Killed(NamedTuple):
    """What a kill left. told: frames whose write had returned; kept: those in the file, in order

    rest: bytes of a record that was cut off; dropped: those that the next run told it had dropped
    """

    told: int
    kept: list[int]
    rest: int
    dropped: int
    after: list[int]


def killed(path: Path, seed: int, most_s: float = 0.5) -> Killed:
    """Record, kill at a moment drawn by `seed`, look, go on with the same file. raises: AssertionError"""
    command = [sys.executable, "-m", "tests.recording_process", str(path), str(FRAMES_MOST), "0"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == b"start\n"
        time.sleep(random.Random(seed).uniform(0.0, most_s))
    finally:
        child.kill()
        lines = child.stdout.read().split(b"\n")
        child.stdout.close()
        child.wait()
    # The last line is cut off, or empty.
    told = int(lines[-2]) if len(lines) > 1 else 0
    if not path.exists() or not path.stat().st_size:
        return Killed(told, [], 0, 0, _gone_on(path))
    left = walk(path)
    kept = [number - 100 for number in left.waiting]
    after = _gone_on(path)
    dropped = sum(one.body["bytes"] for one in walk(path).tags(Tag.TAIL_DROPPED))
    return Killed(told, kept, left.rest, dropped, after)


def _gone_on(path: Path) -> list[int]:
    """Numbers of all frames, after ten more were recorded into the same file."""
    with recording(path) as one:
        for frame in changing(10, first=FRAMES_MOST):
            one.put(frame)
        one.flush()
    found = walk(path)
    assert found.rest == 0
    return [number - 100 for number in found.waiting]


def fault(one: Killed) -> str:
    """What is wrong with what a kill left; "" if it is as it must be."""
    if one.kept != list(range(len(one.kept))):
        return "frames are missing in between"
    if len(one.kept) < one.told:
        return f"{one.told - len(one.kept)} frames are lost whose write had returned"
    if len(one.kept) > one.told + 1:
        return f"{len(one.kept)} frames where {one.told} were told"
    if one.after != [*one.kept, *range(FRAMES_MOST, FRAMES_MOST + 10)]:
        return "the next run did not go on with it"
    return "" if one.dropped == one.rest else "what was dropped was not told"
