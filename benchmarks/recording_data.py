"""The numbers that sizes of recordings are measured with: an hour of a fleet at a frame each 2 s.

50 models in 5 tiers with 10 signals each, 2,000 accelerators, a release stage for each model: 4,550 numbers a
frame. `dense`: everything is new in every frame; `scraped`: each exporter is read every 8th frame, at a time
of its own. Every draw of the seeded generator stands in the order that the checksums below were made with.
"""

import zlib

import numpy as np
from numpy.typing import NDArray

from collectors.recording.codec import Numbers
from collectors.recording.schema import Axis, Block, Column, Schema

SEED = 7
FRAMES = 1_800
FRAME_S = 2.0
MODELS, TIERS, ACCELERATORS, SOURCES = 50, 5, 2_000, 60
SCRAPE_FRAMES = 8
COLUMNS = (
    Column("arrivals", "1/s", 0.1),
    Column("waiting", "count", 1.0),
    Column("answer_time_p50", "s", 0.001),
    Column("answer_time_p95", "s", 0.001),
    Column("answer_time_p99", "s", 0.001),
    Column("first_token_p95", "s", 0.001),
    Column("tokens_out", "tok/s", 10.0),
    Column("errors", "ratio", 0.0001),
    Column("throttle", "ratio", 0.01),
    Column("replicas", "count", 1.0),
)
CRC_DENSE, CRC_SCRAPED = 1_367_977_331, 356_567_977
"""CRC-32 of all numbers as little-endian int32, frame after frame (NumPy 2.4)."""

_CELLS = MODELS * TIERS
_DAY_FRAMES = 900
Floats = NDArray[np.float64]


def dense() -> Numbers:
    """The numbers, one row a frame: about 76 % differ from the row before."""
    return _fleet(1)


def scraped() -> Numbers:
    """The same fleet, read every 16 s: about 10 % differ from the row before."""
    return _fleet(SCRAPE_FRAMES)


def checksum(numbers: Numbers) -> int:
    """CRC-32 of the numbers, to be held against the figures above."""
    return zlib.crc32(numbers.astype("<i4", copy=False).tobytes())


def _fleet(every: int) -> Numbers:
    chance = np.random.default_rng(SEED)
    metrics = _metrics(chance)
    if every > 1:
        metrics = _read_every(metrics, every, chance)
    return np.concatenate([metrics, _stages(chance)], axis=1)


def _metrics(chance: np.random.Generator) -> Numbers:
    demand = chance.lognormal(5, 1.2, _CELLS)
    walk, queue = np.zeros(_CELLS), np.zeros(_CELLS)
    usual = chance.lognormal(6, 0.5, _CELLS)
    throttle = np.full(_CELLS, 100)
    replicas = chance.integers(1, 40, _CELLS)
    busy = chance.uniform(30, 95, ACCELERATORS)
    found = np.empty((FRAMES, _CELLS * len(COLUMNS) + ACCELERATORS), np.int32)
    for frame in range(FRAMES):
        walk = 0.995 * walk + chance.normal(0, 0.02, _CELLS)
        rate = demand * np.exp(walk) * (1 + 0.1 * np.sin(2 * np.pi * frame / _DAY_FRAMES))
        load = np.clip(rate / (demand * 1.05), 0.2, 3)
        grown = np.where(load > 1, 60 * (load - 1), 0)
        queue = np.maximum(0, 0.9 * queue + chance.normal(0, 2, _CELLS) + grown)
        answer = usual * load * np.exp(chance.normal(0, 0.03, _CELLS))
        errors = np.where(chance.random(_CELLS) < 0.03, chance.integers(1, 40, _CELLS), 0)
        is_set = chance.random(_CELLS) < 0.0005
        throttle = np.where(is_set, chance.choice([25, 50, 75, 100], _CELLS), throttle)
        is_scaled = chance.random(_CELLS) < 0.002
        replicas = np.maximum(1, replicas + np.where(is_scaled, chance.integers(-2, 3, _CELLS), 0))
        p95 = answer * 1.9 * np.exp(chance.normal(0, 0.02, _CELLS))
        p99 = answer * 3 * np.exp(chance.normal(0, 0.05, _CELLS))
        signals = (
            rate * 10, queue, answer, p95, p99, answer * 0.6, rate * 3.5, errors, throttle, replicas
        )  # fmt: skip
        found[frame, :-ACCELERATORS] = np.rint(np.stack(signals, axis=1)).ravel()
        busy = np.clip(busy + chance.normal(0, 0.5, ACCELERATORS), 5, 99)
        noisy = busy + chance.normal(0, 3, ACCELERATORS)
        found[frame, -ACCELERATORS:] = np.rint(np.clip(noisy, 0, 100))
    return found


def _read_every(metrics: Numbers, every: int, chance: np.random.Generator) -> Numbers:
    """What is known of `metrics` where each ten neighbours are read together, once in `every` frames."""
    width = metrics.shape[1]
    frame = np.arange(FRAMES)[:, None]
    turn = np.repeat(chance.integers(0, every, width // 10 + 1), 10)[:width]
    read_at = np.maximum(0, (frame - turn) // every * every + turn)
    return np.take_along_axis(metrics, np.minimum(read_at, frame), axis=0)


def _stages(chance: np.random.Generator) -> Numbers:
    found = np.empty((FRAMES, MODELS), np.int32)
    stage = chance.integers(0, 6, MODELS)
    for frame in range(FRAMES):
        if chance.random() < 0.01:
            # The place is drawn after the stage: the right side of an assignment comes first.
            moved = chance.integers(0, 6)
            stage[chance.integers(MODELS)] = moved
        found[frame] = stage
    return found


def schema() -> Schema:
    """What the numbers are, for the SCHEMA record: names as long as real ones."""
    models = tuple(f"model-{n:02}" for n in range(MODELS))
    tiers = ("enterprise", "pro", "plus", "team", "free")
    accelerators = tuple(f"node-{n // 8:03}/{n % 8}" for n in range(ACCELERATORS))
    return Schema(
        1,
        tuple(f"source-{n:02}" for n in range(SOURCES)),
        (
            Block("readings", (Axis("model", models), Axis("tier", tiers)), COLUMNS),
            Block("accelerators", (Axis("accelerator", accelerators),), (Column("busy", "code"),)),
            Block("stages", (Axis("model", models),), (Column("stage", "code"),)),
        ),
    )
