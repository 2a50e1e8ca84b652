"""Looking into a day's recording: to open it, to jump with the ten minutes before, and memory meanwhile.

    python -m benchmarks.recording_seek [--seeks N]

43,200 frames of 4,550 numbers: the hour of `recording_data`, again and again. A process of its own opens the
file, warm in the page cache, and jumps to random times. A jump is the frame that was last at a time, with all
its readings, and 300 frames decoded; the series of a model are gathered from them. Exit status 1 if a budget
is missed. With `noise` above 1.2 the machine is busy: then times tell more of that than of the reader, and
the jump is judged by its CPU time.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import recording_data as data
from benchmarks.ptymeter import noise
from benchmarks.recording_size import source_times
from collectors.recording.layout import Kind
from collectors.recording.reader import Recording
from collectors.recording.walk import Ahead, Budget, File, walked
from tests.recording_files import T0, Tape

FRAMES = 43_200
WINDOW = 300
QUIET = 1.2
BUDGETS = {
    "open_s": 1.0,
    "open_without_footer_s": 2.0,
    "seek_p95_ms": 50.0,
    "timeline_s": 0.5,
    "anonymous_mb": 200.0,
}


def build(path: Path, frames: int = FRAMES) -> None:
    """The recording of a day."""
    numbers, schema = data.dense(), data.schema()
    times = source_times(data.FRAMES, 1)
    tape = Tape(at=T0)
    tape.schema(schema)
    models = {
        name: {"tiers": list(schema.blocks[0].axes[1].labels)} for name in schema.blocks[0].axes[0].labels
    }
    tape.note(0, {"set": {"models": models, "frame": {"context": "benchmark"}}, "order": {}, "reasons": []})
    for place in range(frames):
        tape.at = T0 + place * data.FRAME_S
        at = place % len(numbers)
        tape.numbers(numbers[at], times[at])
    tape.footer()
    tape.write(path)


def measured(path: Path, seeks: int) -> dict[str, Any]:
    """Times of one file, and the anonymous memory that it took."""
    recording, open_s, open_cpu_s = timed(lambda: Recording.open(path))
    _, first_s, _ = timed(lambda: recording.frame(recording.frames - 1))
    chance = random.Random(5)
    wall, cpu = [], []
    for _ in range(seeks):
        at = chance.uniform(recording.start + 600, recording.end)
        _, took, spent = timed(lambda at=at: jump(recording, at))  # type: ignore[misc]  # the default binds it
        wall.append(1e3 * took)
        cpu.append(1e3 * spent)
    line, timeline_s, _ = timed(lambda: recording.timeline(120))
    assert recording.frames == FRAMES and line.worst
    return {
        "open_s": open_s,
        "open_cpu_s": open_cpu_s,
        "first_frame_s": open_s + first_s,
        "seek_p50_ms": statistics.median(wall),
        "seek_p95_ms": statistics.quantiles(wall, n=20)[-1],
        "seek_cpu_p50_ms": statistics.median(cpu),
        "seek_cpu_p95_ms": statistics.quantiles(cpu, n=20)[-1],
        "timeline_s": timeline_s,
        "anonymous_mb": anonymous_mb(),
    }


def jump(recording: Recording, at: float) -> None:
    """What a replay does when it goes to a time."""
    number = recording.index_at(at)
    recording.frame(number)
    window = recording.window(number - WINDOW + 1, number)
    assert len(window.times) == WINDOW
    for tier in ("enterprise", "pro", "plus", "team", "free"):
        assert window.values("model-07", tier, "answer_time_p99") is not None


def timed(what: Callable[[], Any]) -> tuple[Any, float, float]:
    """What it returns, seconds it took, and seconds of CPU."""
    began, spent = time.perf_counter(), time.process_time()
    found = what()
    return found, time.perf_counter() - began, time.process_time() - spent


def anonymous_mb() -> float:
    """Anonymous memory of this process now: files that are mapped are not in it."""
    for line in Path("/proc/self/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) / 1024
    return 0.0


def without_footer(path: Path, cut: Path) -> dict[str, Any]:
    """Times of the same file, cut off in its footer: by its INDEX records, and by headers alone."""
    content = path.read_bytes()
    cut.write_bytes(content[:-100])
    recording, open_s, _ = timed(lambda: Recording.open(cut))
    _, first_s, _ = timed(lambda: recording.frame(recording.frames - 1))
    assert recording.frames == FRAMES and not recording.is_closed
    first = recording.segments[0].first
    recording.close()
    file = File(cut)
    walk = walked(Ahead(file), first, file.size, Budget())
    count, walk_s, _ = timed(lambda: sum(place.record.kind <= Kind.DELTA for place in walk))
    file.close()
    assert count >= FRAMES
    return {"open_without_footer_s": open_s + first_s, "header_walk_s": walk_s}


def main() -> int:
    """Print the figures and a JSON object. Returns 1 if a budget is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recording_seek", description=__doc__)
    parser.add_argument("--seeks", type=int, default=200)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.file is not None:
        print(json.dumps(measured(asked.file, asked.seeks)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "day.tgrec"
        _, build_s, _ = timed(lambda: build(path))
        command = [sys.executable, "-m", "benchmarks.recording_seek", "--file", str(path)]
        done = subprocess.run([*command, f"--seeks={asked.seeks}"], stdout=subprocess.PIPE, check=True)
        figures = {
            "file_mb": path.stat().st_size / 2**20,
            "build_s": build_s,
            **json.loads(done.stdout),
            **without_footer(path, path.with_name("cut.tgrec")),
            "noise": noise(),
            "load": os.getloadavg()[0],
        }
    is_busy = figures["noise"] > QUIET
    judged = figures | ({"seek_p95_ms": figures["seek_cpu_p95_ms"]} if is_busy else {})
    missed = [name for name, most in BUDGETS.items() if judged[name] > most]
    for name, figure in figures.items():
        budget = f"   budget {BUDGETS[name]:g}" if name in BUDGETS else ""
        print(f"{name.replace('_', ' '):28} {figure:10.3f}{budget}")
    if is_busy:
        print("the machine is busy: the jump is judged by its CPU time")
    print(f"missed: {', '.join(missed)}" if missed else "every budget holds")
    print(json.dumps({"day": figures}))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
