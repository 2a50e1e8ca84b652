"""Frames of a watched fleet, second by second, and those of them that a recording keeps."""

import bisect
import math
import random
from dataclasses import replace

from collectors.fleet import ALL_TIERS, Frame, Model
from collectors.readings import SIGNALS as SIGNALS_OF
from collectors.readings import Interval, Quality, Reading, Reason, reading
from tests.frames import AT, bare_frame
from tui.screens.trends import SIGNALS
from tui.store import SIGNAL

TIERS = ("pro", "plus", "free")
FEATURES = ("chat", "images")
BOUNDS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, math.inf)
START = AT // 60 * 60
BARE = bare_frame()


class Fleet:
    """A fleet whose readings change at random, and are the same objects where they do not."""

    def __init__(self, seed: int, models: int = 2) -> None:
        self.random = random.Random(seed)
        self.objectives = [
            {tier: self.random.choice((0.5, 2.0, 3.0)) for tier in TIERS if self.random.random() < 0.7}
            if self.random.random() < 0.6
            else {}
            for _ in range(models)
        ]
        self.tiers = [(*TIERS, ALL_TIERS) if self.random.random() < 0.6 else TIERS for _ in range(models)]
        self.models: list[Model] = []

    def reading(self, signal: str) -> Reading:
        """Any reading there can be."""
        most = 1 if SIGNALS_OF[signal].unit == "ratio" else 30
        value, chance = self.random.random() * most, self.random.random()
        if chance < 0.1:
            return Reading(None, AT, Quality.MISSING, Reason("idle"))
        if chance < 0.2:
            return reading(signal, value, AT, Quality.STALE, Reason("stale", (12, 5)))
        if chance < 0.3:
            return reading(signal, value, AT, Quality.SUSPECT, Reason("suspect"))
        if chance < 0.65 and signal.endswith("_p99"):
            place = bisect.bisect_right(BOUNDS, value)
            return reading(signal, Interval(BOUNDS[place - 1], BOUNDS[place], value), AT)
        return reading(signal, value, AT)

    def model(self, number: int) -> Model:
        """Any model."""
        return Model(
            f"m{number}",
            {**{signal: self.reading(signal) for signal in SIGNALS}, "arrivals": self.arrivals()},
            {tier: {SIGNAL: self.reading(SIGNAL)} for tier in self.tiers[number]},
            self.objectives[number],
            by_feature={feature: {"arrivals": self.arrivals()} for feature in FEATURES} if number % 2 else {},
        )

    def arrivals(self) -> Reading:
        """Good, or not there."""
        value = self.random.random() * 50
        if self.random.random() < 0.8:
            return reading("arrivals", value, AT)
        return Reading(None, AT, Quality.MISSING, Reason("idle"))

    def frame(self, at: float, change: float = 1.0) -> tuple[Frame, bool]:
        """The frame of a tick, and whether anything in it is new."""
        before = self.models
        if not before:
            self.models = [self.model(number) for number in range(len(self.tiers))]
        elif self.random.random() < change:
            self.models = [
                self.model(number) if self.random.random() < 0.5 else one for number, one in enumerate(before)
            ]
        is_new = len(before) != len(self.models) or any(
            a is not b for a, b in zip(before, self.models, strict=True)
        )
        return replace(BARE, at=at, models=tuple(self.models), simulated=False), is_new


def watched(seed: int, seconds: int, change: float) -> tuple[list[Frame], list[Frame]]:
    """All frames of a live watch, one a second and a little, and those of them that a recording keeps."""
    fleet, phase = Fleet(seed), random.Random(seed).random()
    live, kept = [], []
    for second in range(seconds):
        frame, is_new = fleet.frame(round(START + phase + second, 6), change)
        live.append(frame)
        if is_new:
            kept.append(frame)
    return live, kept
