"""What serves: accelerators that are delivered, patched, away for a while, or broken."""

import math
from dataclasses import dataclass

import numpy as np

from collectors.simulator.classes import Classes, Floats
from collectors.simulator.scenario import (
    ROWS_PER_NODE,
    STEP_S,
    Delivery,
    Outage,
    Patch,
    Scenario,
)

DRAINED = 8
"""Accelerators that one fault takes out of service: its node."""

XID = ((48, 0.25), (63, 0.15), (74, 0.10), (79, 0.30), (94, 0.15), (95, 0.05))
"""Codes that mean a broken accelerator, and their shares."""

REPLACED = 0.2
_SPREAD = 0.5
_HISTORY_DAYS = 14.0


@dataclass(frozen=True, slots=True)
class PoolState:
    """Accelerators of one kind of one model. `rows_at_most`: exported ones after all deliveries."""

    model: int
    kind: str
    accelerators: float
    stands_for: float
    rows_at_most: int

    @property
    def rows(self) -> int:
        """Rows exported for the accelerators in service."""
        return min(self.rows_at_most, math.floor(self.accelerators / self.stands_for + 1e-9))


@dataclass(frozen=True, slots=True)
class Fault:
    """A broken accelerator: `place` 0..1 within the first accelerators of its pool; repaired at `until_s`."""

    pool: int
    place: float
    xid: int
    until_s: float


class Supply:
    """Accelerators of every pool and replicas of every model, step by step."""

    def __init__(self, scenario: Scenario, classes: Classes, rng: np.random.Generator, time_s: float) -> None:
        self._rng = rng
        self._rules = scenario.script.faults
        timeline = scenario.script.timeline
        index = {name: number for number, name in enumerate(classes.models)}
        self._deliveries = [(index[one.model], one) for one in timeline if isinstance(one, Delivery)]
        self._patches = [(index[one.model], one) for one in timeline if isinstance(one, Patch)]
        self._outages = [(index[one.model], one) for one in timeline if isinstance(one, Outage)]
        self._per_replica = classes.of_models("accelerators_per_replica")
        self._first: list[PoolState] = []
        for number, spec in enumerate(classes.specs):
            for pool in spec.pools:
                coming = sum(
                    one.accelerators * one.ready
                    for model, one in self._deliveries
                    if model == number and one.kind == pool.kind
                )
                more = math.floor(coming / pool.stands_for + 1e-9)
                rows = pool.nodes * ROWS_PER_NODE
                self._first.append(
                    PoolState(number, pool.kind, pool.accelerators, pool.stands_for, rows + more)
                )
        self.pools = tuple(self._first)
        self._weights = np.array([pool.accelerators for pool in self._first], dtype=np.float64)
        self._fault_rate = self._rules.per_accelerator_hour * float(self._weights.sum()) / 3600
        self.faults: tuple[Fault, ...] = self._history(time_s)
        self.gain = np.ones(len(classes.models))
        self._settle(time_s)

    def advance(self, time_s: float) -> None:
        """Move to `time_s`, seconds from minute 0: deliveries ramp, patches land, parts break and heal."""
        changed = bool(self._deliveries or self._patches or self._outages)
        if self._fault_rate:
            broken = [self._fault(time_s) for _ in range(self._rng.poisson(self._fault_rate * STEP_S))]
            if broken or any(fault.until_s <= time_s for fault in self.faults):
                lasting = tuple(fault for fault in self.faults if fault.until_s > time_s)
                self.faults = (*lasting, *broken)
                changed = True
        if changed:
            self._settle(time_s)

    def _settle(self, time_s: float) -> None:
        self.pools = tuple(
            self._delivered(pool, time_s) if self._deliveries else pool for pool in self._first
        )
        for model, patch in self._patches:
            if time_s >= patch.minute * 60:
                self.gain[model] = 1 + patch.gain
        installed: Floats = np.bincount(
            [pool.model for pool in self.pools],
            weights=[pool.accelerators for pool in self.pools],
            minlength=len(self.gain),
        ).astype(np.float64)
        working = installed.copy()
        for model, outage in self._outages:
            if outage.minute * 60 <= time_s < (outage.minute + outage.minutes) * 60:
                working[model] *= 1 - outage.share
        for fault in self.faults:
            working[self.pools[fault.pool].model] -= DRAINED
        self.accelerators = installed
        self.replicas = np.maximum(working, 0.0) / self._per_replica

    def _delivered(self, pool: PoolState, time_s: float) -> PoolState:
        arrived = sum(
            one.accelerators
            * one.ready
            * (1 - math.exp(-(time_s - one.minute * 60) / (one.ramp_minutes * 60)))
            for model, one in self._deliveries
            if model == pool.model and one.kind == pool.kind and time_s > one.minute * 60
        )
        if not arrived:
            return pool
        return PoolState(
            pool.model, pool.kind, pool.accelerators + arrived, pool.stands_for, pool.rows_at_most
        )

    def _history(self, time_s: float) -> tuple[Fault, ...]:
        """Faults of the last two weeks that are not mended yet: a fleet never starts whole."""
        span_s = _HISTORY_DAYS * 86_400
        count = self._rng.poisson(self._fault_rate * span_s)
        broken = [self._fault(time_s - span_s * self._rng.random()) for _ in range(count)]
        return tuple(fault for fault in broken if fault.until_s > time_s)

    def _fault(self, at_s: float) -> Fault:
        rng, rules = self._rng, self._rules
        pool = int(rng.choice(len(self._weights), p=self._weights / self._weights.sum()))
        codes, shares = zip(*XID, strict=True)
        hours = rules.replace_hours if rng.random() < REPLACED else rules.repair_hours
        lasting_s = hours * 3600 * math.exp(_SPREAD * rng.standard_normal())
        return Fault(pool, float(rng.random()), int(rng.choice(codes, p=shares)), at_s + lasting_s)


def busy_ratio(occupancy: Floats) -> Floats:
    """Share of time with a kernel running, from the share of slots in use: high long before saturation.

    A simplification: replicas' batches differ, and a quarter-full one is busy most of the time.
    """
    return 1 - np.exp(-4 * np.clip(occupancy, 0.0, 1.0))
