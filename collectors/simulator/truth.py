"""The world's own state, a JSON line a step, so that readings can be compared with what was so."""

import json
from collections import deque
from pathlib import Path
from typing import IO, Any

import numpy as np

from collectors.simulator.classes import ratio
from collectors.simulator.cohorts import Popped
from collectors.simulator.measures import age_quantiles
from collectors.simulator.scenario import STEP_S
from collectors.simulator.world import World

WINDOW_STEPS = 120
"""Quantiles of waits are over the starts of this many steps: one minute."""

_BUFFER_BYTES = 1 << 18


class Truth:
    """Writes the truth of one world. Buffered: complete once closed.

    A line holds `t` (seconds since the epoch); `classes`: model/tier/feature -> n running, Q waiting, lambda
    attempts a second in this step, W mean wait of this step's starts (null without), x share rejected, rho;
    `models`: R replicas, X tokens a second, err error rate, accelerators, busy; `pairs`: model/tier -> p50
    and p99 of the waits of the last minute's starts, seconds (null without).
    """

    def __init__(self, world: World, file: IO[str]) -> None:
        self._world, self._file = world, file
        self._window: deque[Popped] = deque(maxlen=WINDOW_STEPS)
        c = world.classes
        self._names = c.names()
        self._pairs = [f"{model}/{tier}" for model in c.models for tier in c.tiers]
        self._errors = c.of_models("error_rate").tolist()

    @classmethod
    def open(cls, world: World, path: Path) -> "Truth":
        """Start a new file. raises: OSError."""
        return cls(world, path.open("w", encoding="utf-8", buffering=_BUFFER_BYTES))

    def write(self, now: float) -> None:
        """The line of the step just done, `now` being its time."""
        self._window.append(self._world.popped)
        self._file.write(json.dumps(self.line(now), separators=(",", ":"), allow_nan=False) + "\n")

    def close(self) -> None:
        """Complete the file."""
        self._file.close()

    def line(self, now: float) -> dict[str, Any]:
        """What `write` writes."""
        world, c = self._world, self._world.classes
        at, age, amount = world.popped
        started = np.bincount(at, amount, len(c))
        waited = np.bincount(at, amount * age * STEP_S, len(c))
        wait = ratio(waited.astype(np.float64), started.astype(np.float64), np.nan)
        columns = {
            "n": world.running,
            "Q": world.waiting,
            "lambda": world.attempted / STEP_S,
            "W": wait,
            "x": 1 - world.level,
            "rho": world.rho,
        }
        models = {
            "R": world.supply.replicas,
            "X": world.deliverable,
            "accelerators": world.supply.accelerators,
            "busy": world.busy,
        }
        line: dict[str, Any] = {
            "t": now,
            "classes": _rows(self._names, columns),
            "models": _rows(c.models, models),
            "pairs": _rows(self._pairs, self._quantiles()),
        }
        for name, err in zip(c.models, self._errors, strict=True):
            line["models"][name]["err"] = err
        return line

    def _quantiles(self) -> dict[str, Any]:
        classes, ages, amounts = (np.concatenate(column) for column in zip(*self._window, strict=True))
        pairs = self._world.classes.pair[classes]
        return {
            f"p{round(100 * q)}": age_quantiles(pairs, ages, amounts, q, len(self._pairs))
            for q in (0.5, 0.99)
        }


def _rows(names: Any, columns: dict[str, Any]) -> dict[str, dict[str, float | None]]:
    lists = [
        [None if number != number else number for number in np.round(values, 6).tolist()]
        for values in columns.values()
    ]
    return {
        name: dict(zip(columns, numbers, strict=True)) for name, *numbers in zip(names, *lists, strict=True)
    }
