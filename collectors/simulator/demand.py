"""How many requests arrive: the timeline's surges, the hour of the day, and the slow wander of demand."""

import math
from collections.abc import Callable

import numpy as np

from collectors.simulator.classes import Classes, Flags, Floats
from collectors.simulator.scenario import STEP_S, Scenario, Surge

NORMAL_ABOVE = 50.0
"""Poisson counts with a greater mean are drawn from the normal distribution."""


def day_shape(hour: float) -> float:
    """Demand at an hour of the day (0..24), mean 1; its peak is 1.345 at 22:41, its trough .593 at 08:04."""
    return (
        1 + 0.35 * math.sin(2 * math.pi * (hour - 15) / 24) + 0.08 * math.sin(4 * math.pi * (hour - 10) / 24)
    )


def surge_factor(surge: Surge, minute: float) -> float:
    """How many times its usual demand a surging feature has at a minute of the scenario."""
    passed = minute - surge.minute
    if passed <= 0:
        return 1.0
    if surge.rise == "linear":
        risen = min(1.0, passed / surge.minutes)
    else:
        # Half way at half the time; a sixth of it as time constant leaves 5 % at either end.
        risen = 1 / (1 + math.exp(-(passed - surge.minutes / 2) / (surge.minutes / 6)))
    factor = 1 + (surge.factor - 1) * risen
    after = passed - surge.minutes
    if surge.half_life_hours is not None and after > 0:
        factor = 1 + (factor - 1) * 2 ** (-after / 60 / surge.half_life_hours)
    return factor


def counts(rng: np.random.Generator, mean: Floats) -> Floats:
    """Poisson counts of the given means, (K,)."""
    drawn = np.rint(mean + np.sqrt(mean) * rng.standard_normal(len(mean)))
    small = np.flatnonzero(mean <= NORMAL_ABOVE)
    drawn[small] = rng.poisson(mean[small])
    return np.maximum(drawn, 0.0)


class Demand:
    """Arrivals of first attempts, step by step."""

    def __init__(self, scenario: Scenario, classes: Classes, rng: np.random.Generator) -> None:
        self._classes, self._rng = classes, rng
        script = scenario.script
        start = script.starts_at
        self._first_hour = start.hour + start.minute / 60 + start.second / 3600
        self._diurnal = script.demand.diurnal
        self._surges: list[tuple[Flags, Callable[[float], float]]] = [
            (_hit(classes, one), lambda minute, one=one: surge_factor(one, minute))  # type: ignore[misc]  # binds
            for one in script.timeline
            if isinstance(one, Surge)
        ]
        streams = len(classes.models) * len(classes.features)
        self._stream = classes.model * len(classes.features) + classes.feature
        self._noise = script.demand.noise
        self._keep = math.exp(-STEP_S / script.demand.noise_s)
        self._wander = self._noise * rng.standard_normal(streams)

    def rates(self, minute: float) -> Floats:
        """First attempts a second that each class would make if it were wholly open, (K,), at a minute of the
        scenario (before 0: as at 0)."""
        rate = self._classes.full_rate
        for hit, factor in self._surges:
            if (times := factor(minute)) != 1.0:
                rate = np.where(hit, rate * times, rate)
        if self._diurnal:
            rate = rate * day_shape((self._first_hour + minute / 60) % 24)
        wandered: Floats = rate * np.exp(self._wander - self._noise**2 / 2)[self._stream]
        return wandered

    def arrivals(self, rates: Floats) -> Floats:
        """How many arrive in one step at these rates, (K,); demand wanders on."""
        push = self._noise * math.sqrt(1 - self._keep**2)
        self._wander = self._wander * self._keep + push * self._rng.standard_normal(len(self._wander))
        return counts(self._rng, rates * STEP_S)


def _hit(classes: Classes, surge: Surge) -> Flags:
    hit: Flags = classes.feature == classes.features.index(surge.feature)
    if surge.models:
        hit &= np.isin(classes.model, [classes.models.index(name) for name in surge.models])
    if surge.tiers:
        hit &= np.isin(classes.tier, [classes.tiers.index(name) for name in surge.tiers])
    return hit
