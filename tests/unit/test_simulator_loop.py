"""A throttle set in the control plane ends the wait of people who have nothing to do with what it cuts."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from collectors.readings import Interval
from collectors.scrape.evaluate import evaluate
from collectors.scrape.history import TargetHistory
from collectors.scrape.page import read_page
from collectors.signals.catalogue import Buckets, Definition, window_s
from collectors.signals.presets import read_presets
from collectors.signals.promql import series_name
from collectors.signals.quantiles import interval
from collectors.simulator.exporter import Exporter
from collectors.simulator.measures import age_quantiles
from collectors.simulator.scenario import read_scenario
from collectors.simulator.simulation import Simulation

POLL_S = 5.0
PRIORITIES = ("100", "50", "0", "-10")
Act = Callable[[Simulation], None]


class Seen(NamedTuple):
    """What one poll sees of Aurora 5: of each tier, the p99 of its queue wait as the fleet screen shows it,
    and the true p99 of chat alone, seconds, over the same window."""

    shown: dict[str, Interval]
    true_s: dict[str, float]


def wait_definition() -> Definition:
    """How the endpoint picker's wait is read."""
    picker = next(one for one in read_presets() if one.stack == "endpoint-picker")
    return next(one for one in picker.definitions if one.signal == "queue_wait")


def lived(seed: int, until_minute: float, acts: dict[float, Act]) -> dict[float, Seen]:
    """The demo's scenario, by the minute, with what is done at which minute. Polled in the window before each
    full minute."""
    simulation = Simulation(read_scenario("melting-gpus"), seed, "scenario", 1.0)
    world, exporter = simulation.world, Exporter(simulation.world)
    c, definition = world.classes, wait_definition()
    names = {series_name(definition, metric) for metric in definition.metrics}
    page = next(page for page in exporter.pages if page.job == "llm-d-epp")
    history, window, popped, found = TargetHistory(page.labels), window_s(POLL_S), [], {}
    left = dict(acts)
    while world.time_s < until_minute * 60:
        for minute in [minute for minute in left if world.time_s >= minute * 60]:
            left.pop(minute)(simulation)
        simulation.step()
        if world.time_s <= 0:
            continue
        popped.append(world.popped)
        if world.time_s % POLL_S or 0 < world.time_s % 60 < 60 - window:
            continue
        at = simulation.now()
        text = exporter.text(page).encode()
        history.record(read_page(text, names), round(at * 1000), round(2000 * window))
        if world.time_s % 60:
            continue
        shown = {}
        for row in evaluate(definition, [history], at, window):
            assert isinstance(row.value, Buckets)
            if row.labels["model_name"] == "aurora-5":
                one = interval(row.value, 0.99)
                assert one is not None
                shown[c.tiers[PRIORITIES.index(row.labels["priority"])]] = one
        k, age, amount = (np.concatenate(column) for column in zip(*popped[-40:], strict=True))
        chat = (c.feature[k] == c.features.index("chat")) & (c.model[k] == c.models.index("aurora-5"))
        p99 = age_quantiles(c.tier[k][chat], age[chat], amount[chat], 0.99, len(c.tiers))
        found[world.time_s / 60] = Seen(shown, dict(zip(c.tiers, p99.tolist(), strict=True)))
    simulation.close()
    return found


def admit(level: float) -> Act:
    """Set the throttle of free images, as the key does."""

    def act(simulation: Simulation) -> None:
        simulation.store.set_level(
            "image-generation", "free", level, now=simulation.now(), actor="alice", reason="queues grow"
        )

    return act


@pytest.mark.slow
def test_nobody_acts() -> None:
    """Ten minutes into the surge the p99 wait of every tier is past 30 s, and its bound says so."""
    seen = lived(1, 13, {})
    assert set(seen[2].shown) == {"pro", "plus", "team", "free"}
    assert all(one.hi < 0.25 for one in seen[2].shown.values())
    assert all(one.hi > 30 and one.lo >= 30 for one in seen[13].shown.values())
    assert all(wait_s > 30 for wait_s in seen[13].true_s.values())


@pytest.mark.parametrize(
    "seed", [1, pytest.param(4, marks=pytest.mark.slow), pytest.param(13, marks=pytest.mark.slow)]
)
def test_admitting_30_percent_of_free_images_ends_the_wait(seed: int) -> None:
    """Set at minute 8, when chat waits 20 s, it brings every tier's upper bound below 2.5 s in ten minutes,
    and the truth agrees with what is shown all the way."""
    seen = lived(seed, 18, {8: admit(0.3)})
    assert all(one.hi >= 30 and one.lo >= 10 for one in seen[8].shown.values())
    below = [
        minute
        for minute, one in seen.items()
        if minute > 8 and max(shown.hi for shown in one.shown.values()) < 2.5
    ]
    assert below and below[0] <= 18
    for one in seen.values():
        for tier, shown in one.shown.items():
            if tier != "free":  # its images wait as well: that tier's p99 is not chat's alone
                assert shown.lo - 0.5 <= one.true_s[tier] <= shown.hi + 0.5
    assert max(seen[below[0]].true_s.values()) < 2.5
    assert not any(math.isinf(one.hi) for one in seen[18].shown.values())


@pytest.mark.slow
def test_too_little_does_not_end_it() -> None:
    """Admitting 70 % leaves more work than the fleet can do: ten minutes later it still waits."""
    seen = lived(1, 18, {8: admit(0.7)})
    assert min(one.lo for one in seen[18].shown.values()) >= 10


@pytest.mark.slow
def test_opened_too_early_it_comes_back() -> None:
    """While images are still asked for 4.5 times as often, lifting the throttle brings the wait back."""
    seen = lived(1, 24, {8: admit(0.3), 19: admit(1.0)})
    assert max(one.hi for one in seen[18].shown.values()) < 2.5
    assert min(one.lo for one in seen[24].shown.values()) >= 10


def opened(plan: dict[float, str], until_minute: float) -> dict[float, tuple[float, float]]:
    """Deep research opening to the free tier, by which stage at which minute. By the minute: Aurora 5's rho,
    averaged over it, and the longest true wait, p99 by tier, of its chat in the last of it."""
    simulation = Simulation(read_scenario("feature-opening"), 1, "scenario", 1.0)
    simulation.prewarm()
    world, c, found = simulation.world, simulation.world.classes, {}
    paid = (c.feature == c.features.index("deep-research")) & (c.tier != c.tiers.index("free"))
    for minute in range(1, round(until_minute) + 1):
        if minute - 1 in plan:
            simulation.store.move_to(
                "deep-research", plan[minute - 1], now=simulation.now(), actor="alice", reason="steady"
            )
        rho = []
        for _ in range(120):
            simulation.step()
            rho.append(float(c.by_model(world.rho)[0]))
            assert (world.rate[paid] > 0).all(), "paid tiers keep what they have"
        k, age, amount = world.popped
        chat = (c.feature[k] == c.features.index("chat")) & (c.model[k] == c.models.index("aurora-5"))
        p99 = age_quantiles(c.tier[k][chat], age[chat], amount[chat], 0.99, len(c.tiers))
        found[float(minute)] = (float(np.mean(rho)), float(p99.max()))
    simulation.close()
    return found


@pytest.mark.slow
def test_a_feature_opened_as_capacity_allows() -> None:
    """Saturation .75 with paid tiers alone, .80 with a quarter of the free tier, .92 with all of it after the
    delivery; chat never waits longer than 2 s."""
    seen = opened({5: "free@5", 20: "free@25", 50: "free@100"}, 65)
    assert all(wait_s <= 2.0 for _, wait_s in seen.values())

    def rho(first: float, last: float) -> float:
        return float(np.mean([rho for minute, (rho, _) in seen.items() if first < minute <= last]))

    assert rho(0, 5) == pytest.approx(0.75, abs=0.03)
    assert rho(6, 20) == pytest.approx(0.76, abs=0.03)
    assert rho(21, 45) == pytest.approx(0.80, abs=0.03)
    assert rho(51, 65) == pytest.approx(0.92, abs=0.03)


@pytest.mark.slow
def test_a_feature_opened_too_early() -> None:
    """All of the free tier before the delivery: .97, too much for demand that wanders by as much."""
    seen = opened({5: "free@100"}, 40)
    assert np.mean([rho for minute, (rho, _) in seen.items() if minute > 10]) == pytest.approx(0.97, abs=0.03)
    assert max(wait_s for _, wait_s in seen.values()) > 0
