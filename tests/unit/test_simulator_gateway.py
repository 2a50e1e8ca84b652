"""The gateway counts what it does, request by request, and shares are taken of its counters alone."""

import numpy as np
import pytest

from collectors.simulator.classes import classes_of
from collectors.simulator.gateway import ENOUGH, WINDOWS, Gateway, Route, Seen, Series
from collectors.simulator.scenario import read_scenario

CLASSES = classes_of(read_scenario("calm").fleet)
NOBODY = np.zeros(len(CLASSES))
SHARES = (1.0, 1.0, 0.5, 0.25)


def counted(gateway: Gateway, *series: str) -> list[int]:
    """One counter's value in each tier."""
    return [int(count) for count in gateway.counts[gateway.series[Series(*series)]]]  # type: ignore[arg-type]  # literals


def asked(per_class: float) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """As many requests of every class."""
    return np.full(len(CLASSES), per_class)


def test_a_second_revision_takes_its_share() -> None:
    """Nobody is turned away: what does not get the candidate gets the stable revision, drawn request by
    request."""
    gateway = Gateway(CLASSES, np.random.default_rng(1))
    route = Route("embed-2", "model", "r2", "r1", SHARES)
    for _ in range(100):
        gateway.step((route,), asked(20), NOBODY, NOBODY)
    candidate, stable = (
        counted(gateway, "embed-2", "candidate", "r2"),
        counted(gateway, "embed-2", "stable", "r1"),
    )
    assert [a + b for a, b in zip(candidate, stable, strict=True)] == [2000] * 4
    assert candidate[:2] == [2000, 2000]
    assert candidate[2] == pytest.approx(1000, abs=5 * np.sqrt(500))
    assert candidate[3] == pytest.approx(500, abs=5 * np.sqrt(375))
    assert candidate[2:] != [1000, 500], "draws, not shares"


def test_without_one_they_are_turned_away() -> None:
    """Whoever was served got the candidate, and the others are counted as closed to it."""
    gateway = Gateway(CLASSES, np.random.default_rng(1))
    route = Route("embed-2", "model", "r2", None, SHARES)
    for _ in range(100):
        gateway.step((route,), asked(3), asked(18), NOBODY)
    assert counted(gateway, "embed-2", "candidate", "r2") == [300] * 4
    assert counted(gateway, "embed-2", "closed", "") == pytest.approx([900] * 4, abs=150)


def test_a_feature_is_counted_on_every_model() -> None:
    """Deep research is served by two models: both count, and no other feature does."""
    gateway = Gateway(CLASSES, np.random.default_rng(1))
    route = Route("deep-research", "feature", "open-2", None, SHARES)
    gateway.step((route,), asked(7), NOBODY, NOBODY)
    assert counted(gateway, "deep-research", "open", "") == [14] * 4
    assert counted(gateway, "deep-research", "closed", "") == [0] * 4


def test_a_subject_that_nobody_serves() -> None:
    """A release of something that this fleet does not have counts nothing, and nothing breaks."""
    gateway = Gateway(CLASSES, np.random.default_rng(1))
    unknown = Route("zebra-9", "model", "r1", None, SHARES)
    gateway.step((unknown,), asked(7), NOBODY, NOBODY)
    gateway.step((unknown, Route("voice", "feature", "v", None, SHARES)), asked(7), NOBODY, NOBODY)
    assert list(gateway.series) == [Series("voice", "open", ""), Series("voice", "closed", "")]
    assert Seen(gateway, CLASSES.tiers).shares("zebra-9", "r1") == dict.fromkeys(CLASSES.tiers)


def test_the_shortest_window_with_enough_requests() -> None:
    """A share is of the last ten seconds; where those have too few requests of the last minute, or five; of
    nothing at all where even those are too few."""
    gateway = Gateway(CLASSES, np.random.default_rng(1))
    seen = Seen(gateway, CLASSES.tiers)
    tier_of_class = CLASSES.tier
    # By tier: plenty; enough in a minute; enough in five; never enough.
    often = np.array([ENOUGH, ENOUGH / 10, ENOUGH / 50, ENOUGH / 100])

    def sampled(route: Route, samples: int) -> None:
        for number in range(samples):
            due = np.floor(often * (number + 1)) - np.floor(often * number)
            gateway.step((route,), due[tier_of_class], NOBODY, NOBODY)
            seen.sample()

    old = Route("embed-2", "model", "r2", "r1", (0.0,) * 4)
    sampled(old, 1)
    assert seen.shares("embed-2", "r2") == dict.fromkeys(CLASSES.tiers), "before the first window"
    sampled(old, WINDOWS[-1])
    assert seen.shares("embed-2", "r2") == {"pro": 0.0, "plus": 0.0, "team": 0.0, "free": None}
    new = old._replace(shares=(1.0,) * 4)
    sampled(new, WINDOWS[0])
    shares = seen.shares("embed-2", "r2")
    assert shares["pro"] == 1.0
    assert shares["plus"] == pytest.approx(WINDOWS[0] / WINDOWS[1], abs=0.05)
    assert shares["team"] is not None and shares["team"] < 0.1
    assert shares["free"] is None
