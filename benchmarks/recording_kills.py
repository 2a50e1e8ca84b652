"""Kills a process that records, at random moments, and looks at what is left.

    python -m benchmarks.recording_kills [--runs N] [--first N]

Prints a table and one JSON line; exit status 1 if a frame is lost whose write had returned, more than the
last record is cut off, or the next run does not go on with the same file.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.recording_kills import Killed, fault, killed

RUNS = 200


def main() -> int:
    """Kill, look, print, judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=RUNS, metavar="N", help=f"kills ({RUNS})")
    parser.add_argument("--first", type=int, default=1, metavar="N", help="the first seed (1)")
    given = parser.parse_args()
    found: list[Killed] = []
    faults: dict[int, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(given.first, given.first + given.runs):
            path = Path(folder) / f"{seed}.tgrec"
            try:
                found.append(killed(path, seed))
                said = fault(found[-1])
            except AssertionError as error:
                said = f"the file is damaged: {error}"
            if said:
                faults[seed] = said
            path.unlink(missing_ok=True)
    report = {
        "runs": given.runs,
        "frames_told": sum(one.told for one in found),
        "frames_kept": sum(len(one.kept) for one in found),
        "files_cut_in_a_record": sum(one.rest > 0 for one in found),
        "killed_before_the_first_frame": sum(not one.kept for one in found),
        "faults": faults,
    }
    for name, value in report.items():
        print(f"{name.replace('_', ' '):36} {value}")
    print(json.dumps(report))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
