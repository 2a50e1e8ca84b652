"""What damage costs: bits that flip and bytes that go astray, and what is shown then.

    python -m benchmarks.recording_damage [--flips N] [--mutations N]

Each file is read to its end after one bit was flipped, closed and not closed; everything that is shown is
held against what was recorded, number by number. Then files are mutated in many places at once. Exit status 1
if a wrong number is shown, damage goes undetected, more is lost than may be, or a file takes too long.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

from collectors.recording.layout import Kind, RecordingError
from collectors.recording.verify import verify
from tests.recording_files import simple_frames, tape_of
from tests.recording_judge import Flip, Judge

FRAMES = 240
SECONDS_MOST = 2.0
"""Of CPU, for all that is done with one file besides showing every frame."""


def main() -> int:
    """Print what was lost and a JSON object. Returns 1 if anything is worse than it may be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recording_damage", description=__doc__)
    parser.add_argument("--flips", type=int, default=1_000)
    parser.add_argument("--mutations", type=int, default=300)
    asked = parser.parse_args()
    judge, chance = Judge(tape_of(simple_frames(FRAMES), index_every=192)), random.Random(11)
    unfair: list[Flip] = []
    lost: dict[str, list[int]] = {}
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.tgrec"
        for _ in range(asked.flips):
            one = judge.flipped(path, chance)
            lost.setdefault(Kind(one.kind).name if one.kind is not None else "file header", []).append(
                one.lost
            )
            if not one.is_fair:
                unfair.append(one)
        refused = 0
        for _ in range(asked.mutations):
            path.write_bytes(judge.mutated(chance))
            try:
                judge.shown(path)
                verify(path)
            except RecordingError:
                refused += 1
    print("flipped in        files   frames lost: mean   most")
    for name, losses in sorted(lost.items()):
        print(f"{name:14} {len(losses):8} {sum(losses) / len(losses):19.1f} {max(losses):6}")
    print(f"{asked.mutations} mutated files: nothing wrong was shown; {refused} could not be read at all")
    for flip in unfair:
        print(f"unfair: {flip}")
    report = {
        "flips": asked.flips,
        "unfair": len(unfair),
        "mean_lost": sum(map(sum, lost.values())) / max(asked.flips, 1),
        "mutations": asked.mutations,
        "refused": refused,
        "slowest_s": judge.slowest,
        "cpu_s": time.process_time() - began,
    }
    is_slow = judge.slowest > SECONDS_MOST
    if is_slow:
        print(f"one file took {judge.slowest:.1f} s of CPU: {SECONDS_MOST} s is the most")
    print(json.dumps(report))
    return 1 if unfair or is_slow else 0


if __name__ == "__main__":
    sys.exit(main())
