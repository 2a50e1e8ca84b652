"""The simulated fleet: queues, engines and clients, moved on in steps of half a second.

Requests have no identity: a class (model, tier, feature) is how many wait, how long they have waited, and how
many run. The world is a function of scenario, seed and what is done to it; it never reads a clock.
"""

from dataclasses import dataclass

import numpy as np

from collectors.simulator.classes import Classes, Floats, classes_of, full_batch_tokens, ratio
from collectors.simulator.cohorts import FAINT, NOBODY, Cohorts
from collectors.simulator.demand import Demand
from collectors.simulator.gateway import Gateway, Route
from collectors.simulator.measures import Measures
from collectors.simulator.scenario import STEP_S, Scenario
from collectors.simulator.supply import Supply, busy_ratio

PREWARM_STEPS = 600
"""Five minutes: the longest window that readers estimate over."""

CELLS = 4096
"""Steps with arrivals that a queue remembers: at least 34 minutes."""

_NORMAL_ABOVE = 30.0


@dataclass(frozen=True)
class Orders:
    """What the control plane asks of the fleet.

    level: (F, T) share of a feature's requests that is admitted
    exposure: (M, T) share of a tier that a model is open to; opened: (F, T) likewise for a feature
    routes: what the gateway is told of each release, which it counts by; agrees with the two above
    """

    level: Floats
    exposure: Floats
    opened: Floats
    routes: tuple[Route, ...] = ()


@dataclass
class Totals:
    """Requests (tokens where named so) of each class since the world began, (K,).

    new: first attempts; attempts: with returning ones; a queue's admitted = started + abandoned + waiting;
    started = ok + wasted + errors + running (less those running at the beginning)
    """

    new: Floats
    attempts: Floats
    rejected: Floats
    admitted: Floats
    started: Floats
    abandoned: Floats
    ok: Floats
    wasted: Floats
    errors: Floats
    tokens: Floats
    prompt_tokens: Floats


@dataclass(frozen=True)
class Draws:
    """Independent streams of random numbers, so that a fault does not change who arrives."""

    demand: np.random.Generator
    service: np.random.Generator
    supply: np.random.Generator
    gateway: np.random.Generator


def _draws(scenario: str, seed: int) -> Draws:
    root = np.random.SeedSequence([seed, *scenario.encode()])
    return Draws(*(np.random.Generator(np.random.PCG64(one)) for one in root.spawn(4)))


class World:
    """State of the fleet after `tick` steps; minute 0 of the scenario is tick 0, the pre-warming lies before.

    running, waiting: (K,) requests; batch_step_s: (M,) seconds of a decode step
    popped: what left the queues in the last step; rate: (K,) first attempts a second in it
    """

    def __init__(self, scenario: Scenario, seed: int) -> None:
        draws = _draws(scenario.name, seed)
        self.scenario, self.seed = scenario, seed
        self.classes: Classes = classes_of(scenario.fleet)
        self.tick = -PREWARM_STEPS
        c = self.classes
        self.supply = Supply(scenario, c, draws.supply, self.tick * STEP_S)
        self._demand = Demand(scenario, c, draws.demand)
        self.gateway = Gateway(c, draws.gateway)
        self._rng = draws.service
        self._cohorts = Cohorts(c.patience_s, CELLS)
        self._stay = np.exp(-STEP_S / c.patience_s)
        self._base_step, self._per_request = c.of_models("step_s"), c.of_models("step_per_request_s")
        self._slots, self._kv = c.of_models("slots"), c.of_models("kv_tokens")
        self._error = c.of_models("error_rate")[c.model]
        retry = scenario.script.retry
        self._after_failure, self._after_rejection = retry.after_failure, retry.after_rejection
        self._delay = max(1, round(retry.delay_s / STEP_S))
        self._due = np.zeros((4 * self._delay + 1, len(c)))
        self._deadline_s = retry.deadline_s
        self._doomed = np.zeros(len(c))
        rank = c.tier * len(c.features) + c.feature
        strict = scenario.script.discipline == "strict"
        self._groups = [(rank == one) * 1.0 for one in np.unique(rank)] if strict else [np.ones(len(c))]
        self.waiting = np.zeros(len(c))
        self.running = self._balance()
        self.level = np.ones(len(c))
        self.rate = np.zeros(len(c))
        self.attempted = np.zeros(len(c))
        self.popped = NOBODY
        self.totals = Totals(*(np.zeros(len(c)) for _ in range(11)))
        self.measures = Measures(len(c), len(c.models), engines_queue=not scenario.fleet.flow_control)
        self._derive()

    def open_orders(self) -> Orders:
        """Nothing throttled, every model and feature as open as the scenario says."""
        c = self.classes
        return Orders(np.ones_like(c.opened), c.open.copy(), c.opened.copy())

    @property
    def time_s(self) -> float:
        """Seconds since minute 0 of the scenario, a whole number of steps."""
        return self.tick * STEP_S

    @property
    def deliverable(self) -> Floats:
        """Tokens a second of each model at full batch, (M,)."""
        full = [full_batch_tokens(spec, 1.0) for spec in self.classes.specs]
        tokens: Floats = self.supply.replicas * self.supply.gain * np.array(full)
        return tokens

    @property
    def rho(self) -> Floats:
        """Offered work over deliverable work of each class, (K,): first attempts that pass the throttle, with
        the rejected ones that come back."""
        c, cut = self.classes, 1 - self.level
        offered = self.rate * self.level / (1 - self._after_rejection * cut) * c.tokens
        return ratio(offered, self.deliverable[c.model])

    @property
    def oldest_wait_s(self) -> Floats:
        """Age of the oldest waiting request of each class, (K,)."""
        return self._cohorts.oldest_age(self.tick).astype(np.float64) * STEP_S

    def advance(self, orders: Orders) -> None:
        """One step under `orders`."""
        c, totals = self.classes, self.totals
        self.tick += 1
        failed = self._complete()

        slot = self.tick % len(self._due)
        returning = self._due[slot].copy()
        self._due[slot] = 0.0
        wanted = self._demand.rates(self.time_s / 60)
        exposure, opened = orders.exposure[c.model, c.tier], orders.opened[c.feature, c.tier]
        self.rate = wanted * exposure * opened
        new = self._demand.arrivals(self.rate)
        no_model, no_feature = wanted * (1 - exposure) * opened, wanted * exposure * (1 - opened)
        self.gateway.step(orders.routes, new, no_model, no_feature)
        self.level = orders.level[c.feature, c.tier]
        self.attempted = new + returning
        rejected = self.attempted * (1 - self.level)
        admitted = self.attempted - rejected

        failed += self._lose_patience()
        self.waiting = self.waiting + admitted
        lost = self._cohorts.join(self.tick, admitted)
        if lost.any():
            self.waiting = self.waiting - lost
            totals.abandoned += lost
            failed += lost
        self._start()
        failed += self._resupply()

        self._due[(slot + self._delay) % len(self._due)] += failed * self._after_failure
        self._due[(slot + 4 * self._delay) % len(self._due)] += rejected * self._after_rejection
        totals.new += new
        totals.attempts += self.attempted
        totals.rejected += rejected
        totals.admitted += admitted
        self._derive()

    def _balance(self) -> Floats:
        """Requests that run when nothing changes, (K,). Source: b = y t0 / (1 - y t1), y tokens a second and
        replica; a full batch at saturation."""
        c = self.classes
        work = c.full_rate * c.open[c.model, c.tier] * c.opened[c.feature, c.tier] * c.tokens
        offered = c.by_model(work)
        full = self._slots / (self._base_step + self._per_request * self._slots)
        y: Floats = np.minimum(ratio(offered, self.supply.replicas), full)
        batch = np.minimum(y * self._base_step / (1 - y * self._per_request), self._slots)
        running: Floats = ratio(work, offered[c.model]) * (batch * self.supply.replicas)[c.model]
        return running

    def _derive(self) -> None:
        """What follows from who runs: batch, decode step, occupancy, busy time, cache."""
        c, replicas = self.classes, self.supply.replicas
        running = c.by_model(self.running)
        batch = ratio(running, replicas)
        self.batch_step_s = (self._base_step + self._per_request * batch) / self.supply.gain
        self.occupancy = batch / self._slots
        self.busy = busy_ratio(self.occupancy)
        held = c.by_model(self.running * c.held_kv)
        self.kv_ratio = ratio(held, replicas * self._kv)
        self.service_s = c.tokens * self.batch_step_s[c.model]

    def _complete(self) -> Floats:
        """Finish what finishes. Returns how many failed or were served in vain, (K,)."""
        c, totals = self.classes, self.totals
        generated = self.running * (STEP_S / self.batch_step_s[c.model])
        totals.tokens += generated
        self.measures.generated(c.by_model(generated), self.batch_step_s)
        done = self._finished(np.minimum(1.0, STEP_S / self.service_s))
        errors = done * self._error
        in_vain = ratio(self._doomed, self.running)
        wasted = (done - errors) * np.minimum(in_vain, 1.0)
        self._doomed -= done * in_vain
        self.running = self.running - done
        totals.errors += errors
        totals.wasted += wasted
        totals.ok += done - errors - wasted
        return errors + wasted

    def _finished(self, chance: Floats) -> Floats:
        """Binomial draws from the running requests. The part below one request finishes in proportion."""
        whole = np.floor(self.running)
        mean = whole * chance
        drawn = np.rint(mean + np.sqrt(mean * (1 - chance)) * self._rng.standard_normal(len(mean)))
        small = np.flatnonzero(mean <= _NORMAL_ABOVE)
        drawn[small] = self._rng.binomial(whole[small].astype(np.int64), chance[small])
        return np.clip(drawn, 0.0, whole) + (self.running - whole) * chance

    def _lose_patience(self) -> Floats:
        """Those who give up waiting, (K,)."""
        stay = self.waiting * self._stay
        faint = np.flatnonzero((stay < FAINT) & (self.waiting > 0))
        if faint.size:
            stay[faint] = 0.0
            self._cohorts.clear(faint)
        abandoned = self.waiting - stay
        self.waiting = stay
        self.totals.abandoned += abandoned
        return abandoned

    def _start(self) -> None:
        """Fill free slots from the queues: in proportion to them, which is nearly one global queue; or
        strictly by tier, within a tier by feature."""
        c = self.classes
        free = np.maximum(self.supply.replicas * self._slots - c.by_model(self.running), 0.0)
        room = np.maximum(self.supply.replicas * self._kv - c.by_model(self.running * c.held_kv), 0.0)
        wanted = np.zeros(len(c))
        for group in self._groups:
            asking = self.waiting * group
            heads, caches = c.by_model(asking), c.by_model(asking * c.held_kv)
            share = np.ones(len(free))
            np.divide(free, heads, out=share, where=heads > free)
            tight = caches * share > room
            np.divide(room, caches, out=share, where=tight)
            taken = asking * share[c.model]
            wanted += taken
            free, room = free - heads * share, room - caches * share
        self.popped = self._cohorts.pop(self.tick, wanted)
        at, age, amount = self.popped
        started = np.bincount(at, amount, len(c))
        self.measures.started(self.popped, self.service_s)
        if self._deadline_s is not None:
            rest_s = self._deadline_s - age * STEP_S
            late = np.exp(-np.maximum(rest_s, 0.0) / self.service_s[at])
            self._doomed += np.bincount(at, amount * late, len(c))
        self.waiting = np.maximum(self.waiting - started, 0.0)
        self.running = self.running + started
        self.totals.started += started
        self.totals.prompt_tokens += started * c.prompt

    def _resupply(self) -> Floats:
        """Move the supply on. Returns what failed because its replica went away, (K,)."""
        before = self.supply.replicas
        self.supply.advance(self.time_s)
        gone = ratio(np.maximum(before - self.supply.replicas, 0.0), before)[self.classes.model]
        lost: Floats = self.running * gone
        self.running = self.running - lost
        self._doomed *= 1 - gone
        self.totals.errors += lost
        return lost
