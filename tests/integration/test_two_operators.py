"""Two operators at one moment: one stage moves, one level is set, and the second is told by whom.

`python -m benchmarks.operating` runs the same with 1,000 rounds.
"""

import pytest

from collectors.control.native import NativePlane
from collectors.control.server.access import Token
from collectors.control.server.app import Limits
from collectors.control.server.store import Store
from tests.campaigns import race_for_levels, race_for_stages
from tests.integration.control_serving import NOW, seeded, serving

pytestmark = pytest.mark.slow

ROUNDS = 200
ANN = Token("secret-of-ann", "ann@example.com", "release-admin")
BEN = Token("secret-of-ben", "ben@example.com", "release-admin")
RELEASE = {
    "id": "raced",
    "subject": {"kind": "model", "name": "raced"},
    "candidate": "r1",
    "stages": [
        {"id": f"s{number}", "tier": "*", "weight": number / 10, "gate": {"kind": "manual", "hold_s": 0}}
        for number in range(1, 11)
    ],
}


async def test_two_who_press_advance_at_once_move_one_stage() -> None:
    """Of every round one is applied and one stage moves; the other is told who moved it."""
    store = seeded()
    store.seed(
        {"tiers": list(store.held.config.tiers), "features": _features(store), "releases": [RELEASE]}, NOW
    )
    async with serving(store, limits=Limits(writes_per_min=100_000), tokens=[ANN, BEN]) as plane:
        planes = {one.actor: NativePlane(plane.url, lambda one=one: one.secret) for one in (ANN, BEN)}
        try:
            counts = await race_for_stages(planes, "raced", ROUNDS, seed=1)
        finally:
            for each in planes.values():
                await each.aclose()
    assert counts == {"rounds": ROUNDS, "applied": ROUNDS, "moved": ROUNDS, "told": ROUNDS}


async def test_two_who_throttle_at_once_lose_no_update() -> None:
    """Of every round one is applied and stands; the other changed nothing and is told by whom."""
    async with serving(limits=Limits(writes_per_min=100_000), tokens=[ANN, BEN]) as plane:
        planes = {one.actor: NativePlane(plane.url, lambda one=one: one.secret) for one in (ANN, BEN)}
        try:
            counts = await race_for_levels(planes, "voice", "free", ROUNDS, seed=2)
        finally:
            for each in planes.values():
                await each.aclose()
    assert counts == {"rounds": ROUNDS, "applied": ROUNDS, "told": ROUNDS, "lost": 0}


def _features(store: Store) -> list[dict[str, object]]:
    return [
        {"id": one.id, "title": one.title, "models": list(one.models)} for one in store.held.config.features
    ]
