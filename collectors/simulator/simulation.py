"""One simulated clock that drives the world, its control plane and its pages."""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Literal

import numpy as np

from collectors.control import wire
from collectors.control.server.state import Held
from collectors.control.server.store import Store
from collectors.simulator.classes import Floats
from collectors.simulator.scenario import STEP_S, Scenario, seed_document
from collectors.simulator.truth import Truth
from collectors.simulator.world import PREWARM_STEPS, Orders, World

SLICE_S = 0.008
"""Longest run of steps before whoever waits for a page gets a turn."""

BEHIND_S = 1.0
"""A world that is further behind its schedule gives the lost time up, rather than hurry after it."""

_OBSERVE_STEPS = 10
_OBSERVED_S = 5.0


class Simulation:
    """A world under the orders of an embedded control plane, with one clock for both.

    epoch: `scenario`: minute 0 is when the scenario says; `wall`: minute 0 is now
    """

    def __init__(
        self, scenario: Scenario, seed: int, epoch: Literal["scenario", "wall"], speed: float
    ) -> None:
        self.scenario, self.seed, self.speed = scenario, seed, speed
        self.world = World(scenario, seed)
        self.truth: Truth | None = None
        self._follows_wall = epoch == "wall"
        start = time.time() if self._follows_wall else scenario.starts_at.timestamp()
        self.epoch = math.floor(start / STEP_S) * STEP_S
        self.store = Store.open(None)
        self.store.seed(seed_document(scenario.fleet), self.now())
        self._held: Held | None = None
        self._orders = self.world.open_orders()
        self._observed = {name: _desired(release) for name, release in self.store.held.releases.items()}

    def now(self) -> float:
        """Simulated time, seconds since the epoch: that of the last step, so that rates come out exact."""
        return self.epoch + self.world.time_s

    def step(self) -> None:
        """Move everything on by one step."""
        now = self.now() + STEP_S
        self.store.tick(now)
        if self.store.held is not self._held:
            self._held = self.store.held
            self._orders = orders_of(self.world, self._held)
        self.world.advance(self._orders)
        if self.world.tick % _OBSERVE_STEPS == 0:
            self._observe(now)
        if self.truth is not None:
            self.truth.write(now)

    def prewarm(self, progress: Callable[[float], None] | None = None) -> None:
        """Live through the minutes before the scenario, so that windows have history.

        progress: told the share done, now and then
        """
        while self.world.tick < 0:
            self.step()
            if progress is not None and self.world.tick % 20 == 0:
                progress(1 + self.world.tick / PREWARM_STEPS)

    async def run(self) -> None:
        """Keep to the schedule, in short slices, for ever."""
        began, first = time.monotonic(), self.world.tick
        if self._follows_wall:
            began -= (time.time() - self.now()) / self.speed
        while True:
            due = first + math.floor((time.monotonic() - began) * self.speed / STEP_S)
            until = time.monotonic() + SLICE_S
            while self.world.tick < due and time.monotonic() < until:
                self.step()
            behind_s = (due - self.world.tick) * STEP_S / self.speed
            if behind_s > BEHIND_S:
                began += behind_s
            next_at = began + (self.world.tick + 1 - first) * STEP_S / self.speed
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))

    def close(self) -> None:
        """Complete the truth, and close the store."""
        if self.truth is not None:
            self.truth.close()
        self.store.close()

    def _observe(self, now: float) -> None:
        """Tell the plane which share of each tier was seen to have a release's subject: a few seconds late,
        as a metric over a window would."""
        keep = math.exp(-_OBSERVE_STEPS * STEP_S / _OBSERVED_S)
        for name, release in self.store.held.releases.items():
            wanted = _desired(release)
            seen = self._observed.get(name, np.zeros_like(wanted))
            self._observed[name] = wanted + (seen - wanted) * keep
            shares = np.round(self._observed[name], 3).tolist()
            tiers = [one.tier for one in release.status.exposure]
            self.store.observe(name, dict(zip(tiers, shares, strict=True)), now=now)


def _desired(release: wire.Release) -> Floats:
    return np.array([one.desired for one in release.status.exposure], dtype=np.float64)


def orders_of(world: World, held: Held) -> Orders:
    """What the fleet is to do, by the control plane's state.

    Outside its exposure a model that has a stable revision serves that one: it stays open. Cells that say
    nothing, and models without a release, are as the scenario has them.
    """
    c, orders = world.classes, world.open_orders()
    tiers = {name: number for number, name in enumerate(c.tiers)}
    features = {name: number for number, name in enumerate(c.features)}
    models = {name: number for number, name in enumerate(c.models)}
    for (feature, tier), cell in held.throttles.items():
        level = cell.level if cell.effective_level is None else cell.effective_level
        if feature in features and tier in tiers and level is not None:
            orders.level[features[feature], tiers[tier]] = level
    for release in held.releases.values():
        kind, name = release.subject.kind, release.subject.name
        for one in release.status.exposure:
            if one.tier not in tiers:
                continue
            if kind == "feature" and name in features:
                orders.opened[features[name], tiers[one.tier]] = one.desired
            elif kind == "model" and name in models:
                share = 1.0 if release.stable is not None else one.desired
                orders.exposure[models[name], tiers[one.tier]] = share
    return orders
