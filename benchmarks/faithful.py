"""Whether replays draw what was seen live: demos recorded while their screens are looked at, then replayed.

    python -m benchmarks.faithful [--instants N] [--speed X]

Instants are spread over three sizes and three screens. Prints a table and one JSON line; exit status 1 if any
cell differs, the lines aside that tell the clock and the mode.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from collectors.demo import DemoOptions
from tests.faithful import differences, recorded

SHOWN = 5
"""Differences that are told."""

EVERY = (0.3, 1.2)
"""Seconds between two looks."""


def main(arguments: list[str] | None = None) -> int:
    """Record, look, replay, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--instants", type=int, default=201, metavar="N", help="looks (201)")
    parser.add_argument(
        "--speed", type=float, default=8.0, metavar="X", help="simulated seconds a real one (8)"
    )
    given = parser.parse_args(arguments)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "demo.tgrec"
        seen = asyncio.run(recorded(file, DemoOptions(speed=given.speed), given.instants, EVERY))
        wrong = asyncio.run(differences(file, seen))
        size = file.stat().st_size
    span = max(one.at for one in seen) - min(one.at for one in seen)
    cells = sum(one.size[0] * one.size[1] for one in seen)
    print(f"{'instants':26} {len(seen)} in {span / 60:.0f} recorded minutes, {size / 1e6:.2f} MB")
    print(f"{'cells compared':26} {cells}")
    print(f"{'rows that differ':26} {len(wrong)}  {'ok' if not wrong else 'MISSED'}")
    for one in wrong[:SHOWN]:
        print(one)
    report = {
        "instants": len(seen),
        "recorded_s": round(span),
        "bytes": size,
        "cells": cells,
        "rows_that_differ": len(wrong),
        "seconds": round(time.monotonic() - started, 1),
    }
    print(json.dumps(report))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
