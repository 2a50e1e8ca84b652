"""How long it takes to make a recording of a past day: 50 models of 5 tiers, scraped every 15 s.

    python -m benchmarks.reconstruct [--hours H] [--models N] [--tiers N] [--step S]

Makes the past (as OpenMetrics text, into blocks by promtool), starts Debian's Prometheus on it, and runs the
command in a process of its own. Then the recording is read back: every moment must be there, and at some two
hundred of them every cell must be what the generator says. Exit status 1 if one is not.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from collectors.readings import Interval, Reading
from collectors.recording.reader import Recording
from tests.backfill import Fleet, context_toml, remembering

RATES_FROM_S = 120.0
"""Rates need some scrapes: so long after the first of all there are enough for sure."""

P99 = Interval(2.0, 2.5, 0.0)
"""The bucket that holds the p99 of every wait: half of the waits are below the first bound, and half of
the rest below each next one, so 1 - 2**-6 = 98.4 % up to 2.0 s and 1 - 2**-7 = 99.2 % up to 2.5 s."""

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
            "values": found.values,
            "bytes_a_value": round(out.stat().st_size / max(found.values, 1), 3),
            "missing_moments": found.missing_moments,
            "cells_checked": found.cells,
            "missing_cells": found.missing,
            "wrong_cells": found.wrong,
            "seconds_to_make_the_past": round(made_s, 1),
        }
    for name, value in report.items():
        print(f"{name.replace('_', ' '):28} {value}")
    print(json.dumps(report))
    return 1 if found.missing_moments or found.missing or found.wrong else 0


@dataclass
class Judged:
    """values: in all frames together, by those that were looked at

    cells: looked at; missing: of these without a value; wrong: with another than the generator's
    """

    values: int = 0
    missing_moments: int = 0
    cells: int = 0
    missing: int = 0
    wrong: int = 0

    def cell(self, one: Reading | None, true: float | Interval) -> None:
        """Look at a cell, whose value must be the one that is true. Of an interval its bounds count."""
        self.cells += 1
        if one is None or one.value is None:
            self.missing += 1
            return
        value = replace(one.value, estimate=0.0) if isinstance(one.value, Interval) else one.value
        self.wrong += value != true


def judged(file: Path, fleet: Fleet, moments: int) -> Judged:
    """The recording against what it was made of, at some two hundred moments."""
    found = Judged()
    recording = Recording.open(file)
    try:
        found.missing_moments = abs(recording.frames - moments)
        every = max(1, recording.frames // 200)
        for number in range(0, recording.frames, every):
            frame = recording.frame(number)
            models = {model.name: model for model in frame.models}
            for place in range(fleet.models):
                model = models.get(f"m-{place:02}")
                for tier, name in enumerate(fleet.tiers):
                    readings = model.tiers.get(name, {}) if model is not None else {}
                    found.cell(readings.get("waiting"), fleet.waiting(place, tier, frame.at))
                    found.cell(readings.get("running"), fleet.running(place, tier, frame.at))
                    if frame.at - fleet.start >= RATES_FROM_S:
                        found.cell(readings.get("queue_wait_p99"), P99)
            found.values += every * sum(
                one.value is not None
                for model in frame.models
                for some in (model.readings, *model.tiers.values())
                for one in some.values()
            )
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
