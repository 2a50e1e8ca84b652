"""One simulated clock that drives the world, its control plane and its pages."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from collectors.control.server.state import Held
from collectors.control.server.store import Store
from collectors.simulator.gateway import SAMPLE_STEPS, Seen
from collectors.simulator.orders import mixed, orders_of
from collectors.simulator.scenario import STEP_S, Operator, Partition, Scenario, seed_document
from collectors.simulator.truth import Truth
from collectors.simulator.world import PREWARM_STEPS, World

SLICE_S = 0.008
"""Longest run of steps before whoever waits for a page gets a turn."""

BEHIND_S = 1.0
"""A world that is further behind its schedule gives the lost time up, rather than hurry after it."""


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
        self._cut: Partition | None = None
        self._told = self._orders = self.world.open_orders()
        self._seen = Seen(self.world.gateway, self.world.classes.tiers)
        timeline = scenario.script.timeline
        self._partitions = [one for one in timeline if isinstance(one, Partition)]
        self._operators = deque(
            sorted((one for one in timeline if isinstance(one, Operator)), key=lambda one: one.minute)
        )

    def now(self) -> float:
        """Simulated time, seconds since the epoch: that of the last step, so that rates come out exact."""
        return self.epoch + self.world.time_s

    def step(self) -> None:
        """Move everything on by one step."""
        now = self.now() + STEP_S
        self._operate(now)
        self.store.tick(now)
        self._hear()
        self.world.advance(self._orders)
        if self.world.tick % SAMPLE_STEPS == 0:
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

    def _operate(self, now: float) -> None:
        """Do what the scenario's other operators do by now."""
        while self._operators and self._operators[0].minute * 60 <= now - self.epoch:
            one = self._operators.popleft()
            self.store.set_level(
                one.feature,
                one.tier,
                one.level,
                now=now,
                actor=one.actor,
                reason=one.reason,
                ttl_s=None if one.minutes is None else one.minutes * 60,
            )

    def _hear(self) -> None:
        """Take the control plane's newest orders, as far as they reach the gateways."""
        minute = (self.world.tick + 1) * STEP_S / 60
        cut = next((p for p in self._partitions if p.minute <= minute < p.minute + p.minutes), None)
        if self.store.held is self._held and cut is self._cut:
            return
        self._held, self._cut = self.store.held, cut
        newest = orders_of(self.world, self._held)
        if cut is None:
            self._told = self._orders = newest
        else:
            self._orders = mixed(self._told, newest, cut.reached)

    def _observe(self, now: float) -> None:
        """Tell the plane what the gateway's counters say of each release: from the scenario's start on,
        before which nobody listens."""
        self._seen.sample()
        if self.world.tick < 0:
            return
        for name, release in self.store.held.releases.items():
            self.store.observe(name, self._seen.shares(release.subject.name, release.candidate), now=now)
