"""Whatever is done to it, the world keeps its books, and its queues their ages."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.simulator.cohorts import Cohorts
from collectors.simulator.exposition import cumulative, part, whole
from collectors.simulator.scenario import STEP_S, read_scenario
from collectors.simulator.world import Orders, World

PATIENCE_S = (20.0, 900.0)
STEPS = st.lists(
    st.tuples(*(st.floats(0, 50).map(lambda n: 0.0 if n < 10 else n) for _ in range(4))), max_size=60
)


@given(STEPS)
def test_queues_agree_with_a_list(steps: list[tuple[float, ...]]) -> None:
    """Each class of `Cohorts` is a list of (born, mass) served from the front, decaying at its patience."""
    cohorts = Cohorts(np.array(PATIENCE_S), cells=64)
    lists: list[deque[list[float]]] = [deque(), deque()]
    for tick, (join_a, join_b, pop_a, pop_b) in enumerate(steps):
        cohorts.join(tick, np.array([join_a, join_b]))
        taken: list[dict[int, float]] = [{}, {}]
        popped = cohorts.pop(tick, np.array([pop_a, pop_b]))
        assert (np.diff(popped.classes) >= 0).all()
        for k, age, amount in zip(*popped, strict=True):
            taken[k][int(age)] = taken[k].get(int(age), 0.0) + float(amount)
        for k, (joined, wanted) in enumerate(((join_a, pop_a), (join_b, pop_b))):
            if joined:
                lists[k].append([tick, joined])
            expected: dict[int, float] = {}
            while lists[k] and wanted > 1e-6:
                born, mass = lists[k][0]
                fade = np.exp(-(tick - born) * STEP_S / PATIENCE_S[k])
                amount = min(mass * fade, wanted)
                expected[int(tick - born)] = amount
                wanted -= amount
                lists[k][0][1] -= amount / fade
                if mass * fade - amount <= 1e-6:
                    lists[k].popleft()
            solid = {age: mass for age, mass in expected.items() if mass > 1e-5}
            assert {age: mass for age, mass in taken[k].items() if mass > 1e-5} == pytest.approx(
                solid, abs=1e-4
            )


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 2**32),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=6),
)
def test_books_balance_at_every_step(seed: int, phases: list[tuple[float, float, float]]) -> None:
    """Under any orders, per class and step, nobody is lost or made; nothing is negative."""
    world = World(read_scenario("melting-gpus"), seed)
    world.tick = 900  # in the middle of the surge
    c = world.classes
    running = world.running.copy()
    for level, exposure, opened in phases:
        orders = Orders(
            np.full((len(c.features), len(c.tiers)), level),
            np.full((len(c.models), len(c.tiers)), exposure),
            np.full((len(c.features), len(c.tiers)), opened),
        )
        for _ in range(20):
            world.advance(orders)
            t = world.totals
            assert t.attempts == pytest.approx(t.admitted + t.rejected, rel=1e-9)
            assert t.admitted == pytest.approx(t.started + t.abandoned + world.waiting, rel=1e-9, abs=1e-4)
            ended = t.ok + t.wasted + t.errors
            assert t.started + running == pytest.approx(ended + world.running, rel=1e-9, abs=1e-6)
            assert min(world.running.min(), world.waiting.min()) >= 0
            full = world.supply.replicas * c.of_models("slots")
            assert (c.by_model(world.running) <= full * (1 + 1e-9) + 1e-6).all()


@given(st.integers(1, 64), st.lists(st.integers(0, 10**12), min_size=1, max_size=20))
def test_parts_add_up_and_grow(parts: int, totals: list[int]) -> None:
    """Shares of whole numbers add up exactly; where a total grows no share falls."""
    numbers = np.sort(np.array(totals))
    shares = np.stack([part(numbers, number, parts) for number in range(parts)])
    assert (shares.sum(axis=0) == numbers).all()
    assert (np.diff(shares, axis=1) >= 0).all()


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=20))
def test_cumulative_never_exceeds_the_count(masses: list[float]) -> None:
    """Buckets made of sums stay in order under rounding, with `+Inf` the largest."""
    below = np.cumsum(np.array(masses))[None, :]
    counts = cumulative(below, np.array([float(np.sum(masses[::-1]))]))[0]
    assert (np.diff(counts) >= 0).all()
    assert counts[-1] == whole(np.array(np.sum(masses[::-1])))
