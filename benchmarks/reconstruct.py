"""How long it takes to make a recording of a past day: 50 models of 5 tiers, scraped every 15 s.

    python -m benchmarks.reconstruct [--hours H] [--models N] [--tiers N] [--step S]

Makes the past (as OpenMetrics text, into blocks by promtool), starts Debian's Prometheus on it, and runs the
command in a process of its own. Then the recording is read back: every moment must be there, and a sample of
readings must be what the generator says. Exit status 1 if one is not.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from collectors.recording.reader import Recording
from tests.backfill import Fleet, context_toml, remembering

TIERS = ("gold", "silver", "bronze", "free", "batch", "test", "spare")

COMMAND = """
import resource, sys
from tui.cli import main
status = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
sys.exit(status)
"""
"""The command, which tells its peak of memory (kB) as its last line."""


def main() -> int:
    """Measure, check, print a table and JSON."""
    options = parsed()
    seconds = options.hours * 3600
    start = (time.time() - seconds - 7200) // 3600 * 3600
    fleet = Fleet(options.models, TIERS[: options.tiers], start, seconds)
    with tempfile.TemporaryDirectory(prefix="tidegate-reconstruct-") as folder:
        place = Path(folder)
        began = time.monotonic()
        with remembering(place / "past", fleet.lines()) as url:
            made_s = time.monotonic() - began
            config, out = place / "context.toml", place / "day.tgrec"
            config.write_text(context_toml(url, fleet.tiers), encoding="utf-8")
            asked = [
                "--from",
                f"@{start:.0f}",
                "--to",
                f"@{start + seconds:.0f}",
                "--step",
                f"{options.step:g}",
            ]
            began = time.monotonic()
            files = ["--out", str(out), "--config", str(config), "--yes"]
            command = [sys.executable, "-c", COMMAND, "reconstruct", *asked, *files]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            took_s = time.monotonic() - began
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            return done.returncode
        peak_kb = int(done.stderr.split()[-1])
        moments = int(seconds / options.step) + 1
        found = judged(out, fleet, moments)
        report = {
            "models": options.models,
            "tiers": options.tiers,
            "hours": options.hours,
            "moments": moments,
            "seconds": round(took_s, 1),
            "seconds_a_day": round(took_s / options.hours * 24, 1),
            "ms_a_moment": round(took_s / moments * 1000, 1),
            "peak_memory_mb": round(peak_kb / 1024),
            "file_mb": round(out.stat().st_size / 1e6, 2),
            "bytes_a_reading": round(out.stat().st_size / max(found.readings, 1), 2),
            "wrong": found.wrong,
            "seconds_to_make_the_past": round(made_s, 1),
        }
    for name, value in report.items():
        print(f"{name.replace('_', ' '):28} {value}")
    print(json.dumps(report))
    return 1 if found.wrong else 0


class Judged:
    """readings: in all frames together; wrong: moments that are missing, and readings that are not true"""

    def __init__(self) -> None:
        self.readings = self.wrong = 0


def judged(file: Path, fleet: Fleet, moments: int) -> Judged:
    """The recording against what it was made of, at some two hundred moments."""
    found = Judged()
    recording = Recording.open(file)
    try:
        found.wrong += abs(recording.frames - moments)
        every = max(1, recording.frames // 200)
        for number in range(0, recording.frames, every):
            frame = recording.frame(number)
            for place, model in enumerate(frame.models):
                for tier, name in enumerate(fleet.tiers):
                    readings = model.tiers[name]
                    found.readings += len(readings) * every
                    found.wrong += readings["waiting"].value != fleet.waiting(place, tier, frame.at)
                    found.wrong += readings["running"].value != fleet.running(place, tier, frame.at)
    finally:
        recording.close()
    return found


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reconstruct", description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--tiers", type=int, default=5, choices=range(1, len(TIERS) + 1))
    parser.add_argument("--step", type=float, default=15.0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
