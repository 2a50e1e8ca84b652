"""How large recordings are beside other ways to keep the same numbers: `python -m benchmarks.recording_size`.

An hour of the data set of `recording_data` goes through the recorder's own stream, without exceptions:
file header, schemas, snapshots, INDEXes and FOOTER are in the size. Exit status 1 if a budget is missed.
Times are of one frame, compressed, hashed and appended, without waiting for the disk.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from benchmarks import recording_data as data
from benchmarks.recording_rivals import gorilla, json_stream, sqlite_rows
from collectors.fleet import Frame
from collectors.recording import stream as streams
from collectors.recording.codec import NO_EXCEPTIONS, Numbers
from collectors.recording.redact import Redaction
from collectors.recording.ring import RingLimits
from collectors.recording.shape import Shaped
from collectors.recording.stream import Stamp, Stream

BUDGETS = {"dense": 0.80, "scrape16s": 0.25}
"""Bytes a sample, of the whole file."""

START_US = 1_795_269_600 * 10**6
TICKS_S = 100
SQLITE_FRAMES = 120
"""A row costs the same in every frame: so many are enough."""

_SOURCE_SEED = 16


class Written(NamedTuple):
    """A file: its bytes a sample, and milliseconds for a frame."""

    bytes_per_sample: float
    p50_ms: float
    p95_ms: float


class _Numbers:
    """Stands where a `Shaper` does: numbers are there already, in rows."""

    def __init__(self, numbers: Numbers, times: Numbers) -> None:
        self._rows, self._times = numbers, times
        self._schema, self._is_first = data.schema(), True

    def take(self, frame: Frame) -> Shaped:
        is_first, self._is_first = self._is_first, False
        row, times = self._rows[frame.tick], self._times[frame.tick]
        return Shaped(self._schema, is_first, row, times, NO_EXCEPTIONS, (), {})

    def state(self) -> dict[str, Any]:
        return {"set": {}, "order": {}, "reasons": []}

    def is_new(self, frame: Frame) -> bool:
        return True


def source_times(frames: int, every: int) -> Numbers:
    """Ticks at which 60 sources were last read: each in a turn of its own, a few ticks late or early."""
    chance = np.random.default_rng(_SOURCE_SEED)
    frame = np.arange(frames)[:, None]
    turn = chance.integers(0, every, data.SOURCES)
    late = chance.integers(0, int(data.FRAME_S * TICKS_S), data.SOURCES)
    read_at = np.maximum(0, (frame - turn) // every * every + turn)
    jitter = chance.integers(-3, 4, (frames, data.SOURCES))
    ticks = read_at * int(data.FRAME_S * TICKS_S) - late + np.take_along_axis(jitter, read_at, axis=0)
    return ticks.astype(np.int32)


def written(numbers: Numbers, every: int, path: Path) -> Written:
    """The numbers as a recording at `path`."""
    times = source_times(len(numbers), every)
    facts = {
        "context": "benchmark",
        "app": "0.1.0",
        "host": "localhost",
        "zone": "UTC",
        "poll_s": data.FRAME_S,
    }
    took = []
    with patch.object(streams, "Shaper", lambda t0_wall_us: _Numbers(numbers, times)):
        stream = Stream(None, path, RingLimits(), facts, Redaction())
        stream.claim()
        for place in range(len(numbers)):
            at_us = int(place * data.FRAME_S * 1e6)
            frame, stamp = Frame(0.0, place, "", (), ()), Stamp(START_US + at_us, at_us)
            began = time.perf_counter()
            stream.frame(frame, stamp)
            took.append(1e3 * (time.perf_counter() - began))
        stream.close(stamp)
    p50, p95 = np.quantile(took, [0.5, 0.95])
    return Written(path.stat().st_size / numbers.size, float(p50), float(p95))


def measured(name: str, numbers: Numbers, every: int) -> dict[str, Any]:
    """One line of the table."""
    rivals: dict[str, Callable[[Numbers], float]] = {"json_zstd": json_stream, "gorilla_xor": gorilla}
    with tempfile.TemporaryDirectory() as folder:
        ours = written(numbers, every, Path(folder) / "size.tgrec")
    some = numbers[:SQLITE_FRAMES]
    return {
        "data": name,
        "tgrec": ours.bytes_per_sample,
        "budget": BUDGETS[name],
        **{rival: size(numbers) / numbers.size for rival, size in rivals.items()},
        "sqlite_rows": sqlite_rows(some) / some.size,
        "encode_p50_ms": ours.p50_ms,
        "encode_p95_ms": ours.p95_ms,
    }


def main() -> int:
    """Print the table and a JSON object. Returns 1 if a size is over its budget."""
    argparse.ArgumentParser(prog="python -m benchmarks.recording_size", description=__doc__).parse_args()
    sets = (
        ("dense", data.dense(), data.CRC_DENSE, 1),
        ("scrape16s", data.scraped(), data.CRC_SCRAPED, data.SCRAPE_FRAMES),
    )
    rows = []
    for name, numbers, crc, every in sets:
        if data.checksum(numbers) != crc:
            print(f"{name}: this NumPy draws other numbers: sizes would mean nothing", file=sys.stderr)
            return 1
        rows.append(measured(name, numbers, every))
    print("bytes a sample            tgrec  budget  JSON+zstd  Gorilla XOR  SQLite rows  encode p50, p95")
    for row in rows:
        print(
            f"{row['data']:22} {row['tgrec']:8.3f} {row['budget']:7.2f} {row['json_zstd']:10.3f} "
            f"{row['gorilla_xor']:12.3f} {row['sqlite_rows']:12.2f}  "
            f"{row['encode_p50_ms']:.2f}, {row['encode_p95_ms']:.2f} ms"
        )
    print(json.dumps({"sizes": rows}))
    return 1 if any(row["tgrec"] > row["budget"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
