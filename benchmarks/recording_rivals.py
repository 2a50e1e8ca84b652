"""What the same numbers cost elsewhere: JSON lines under zstd, rows of SQLite, Gorilla's XOR of floats."""

import json
import sqlite3
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import zstandard
from numpy.typing import NDArray

from benchmarks.recording_data import FRAME_S
from collectors.recording.codec import Numbers

Words = NDArray[np.uint64]


def json_stream(numbers: Numbers) -> int:
    """Bytes of one zstd stream (level 3) of a JSON line for each frame."""
    packer = zstandard.ZstdCompressor(level=3).compressobj()
    size = 0
    for place, row in enumerate(numbers):
        line = json.dumps({"at": place * FRAME_S, "values": row.tolist()}, separators=(",", ":"))
        size += len(packer.compress(f"{line}\n".encode()))
    return size + len(packer.flush())


def sqlite_rows(numbers: Numbers) -> int:
    """Bytes of a SQLite file with a row for each number: (series, time) -> value, no other index."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.db"
        database = sqlite3.connect(file)
        database.execute("CREATE TABLE rows (at INTEGER, series INTEGER, value INTEGER)")
        for place, row in enumerate(numbers):
            at = int(place * FRAME_S)
            database.executemany(
                "INSERT INTO rows VALUES (?, ?, ?)",
                ((at, series, value) for series, value in enumerate(row.tolist())),
            )
        database.commit()
        database.close()
        return file.stat().st_size


def gorilla(numbers: Numbers) -> float:
    """Bytes of Gorilla's XOR coding of the numbers as float64: values alone, no times, counted to the bit.

    Each value is XORed with the one before it of its series. Nothing differs: a bit 0. The bits that differ
    lie within the window of the last one: bits 1 0, then the window. Else bits 1 1, 5 bits of leading zeros,
    6 bits of length, then what differs. Source: Pelkonen et al., Gorilla, VLDB 2015, section 4.1.2.
    """
    words = numbers.astype(np.float64).view(np.uint64)
    series = words.shape[1]
    bits = 64 * series
    window = np.zeros(series, np.int64)
    leading, trailing = np.full(series, 65), np.zeros(series, np.int64)
    for before, row in pairwise(words):
        differs = before ^ row
        is_new = differs != 0
        lead, trail = np.minimum(_bits_before(differs), 31), _bits_behind(differs)
        fits = is_new & (lead >= leading) & (trail >= trailing)
        moves = is_new & ~fits
        leading, trailing = np.where(moves, lead, leading), np.where(moves, trail, trailing)
        window = np.where(moves, 64 - lead - trail, window)
        bits += series + int(is_new.sum()) + 11 * int(moves.sum()) + int(window[is_new].sum())
    return bits / 8


def _bits_before(words: Words) -> NDArray[np.int64]:
    """Zeros above the highest bit that is set."""
    high, low = words >> np.uint64(32), words & np.uint64(0xFFFFFFFF)
    # A float holds 32 bits exactly; its exponent is their length.
    _, long_high = np.frexp(high.astype(np.float64))
    _, long_low = np.frexp(low.astype(np.float64))
    return 64 - np.where(high != 0, 32 + long_high, long_low).astype(np.int64)


def _bits_behind(words: Words) -> NDArray[np.int64]:
    """Zeros below the lowest bit that is set; 0 where none is."""
    lowest = words & (~words + np.uint64(1))
    _, length = np.frexp(lowest.astype(np.float64))
    return np.maximum(length - 1, 0).astype(np.int64)
