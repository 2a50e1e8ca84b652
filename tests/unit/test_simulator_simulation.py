"""One clock for world and control plane, and a fleet that does what the plane says."""

import asyncio
import io
import json
import time

import httpx
import numpy as np
import pytest

from collectors.control.server.access import Access, Token
from collectors.simulator.exporter import Exporter
from collectors.simulator.scenario import STEP_S, read_scenario
from collectors.simulator.serve import Stamped, simulator_app
from collectors.simulator.simulation import Simulation
from collectors.simulator.truth import Truth


@pytest.fixture
def calm() -> Simulation:
    """The demo fleet, at the scenario's own time, just built."""
    return Simulation(read_scenario("calm"), 1, "scenario", 1.0)


def exposure(simulation: Simulation, model: str, tier: str) -> float:
    """Share of first attempts that the world asks of a model's tier, of what it would at full opening."""
    c = simulation.world.classes
    asked = (c.model == c.models.index(model)) & (c.tier == c.tiers.index(tier))
    noise = simulation.world.rate[c.model == c.models.index(model)].sum()
    return float(simulation.world.rate[asked].sum() / c.full_rate[asked].sum()) if noise else 0.0


def test_prewarming_ends_at_minute_nought(calm: Simulation) -> None:
    """Before it listens, five minutes have passed and the clock stands where the scenario begins."""
    start = calm.scenario.starts_at.timestamp()
    assert calm.now() == start - 300
    told: list[float] = []
    calm.prewarm(told.append)
    assert calm.now() == start
    assert calm.world.totals.started.sum() > 1000
    assert told == sorted(told) and told[-1] == 1.0


def test_a_throttle_takes_hold_at_the_next_step(calm: Simulation) -> None:
    """A cell of the plane rejects on every model that serves the feature, and lets go at its expiry."""
    c = calm.world.classes
    calm.step()
    assert calm.world.totals.rejected.sum() == 0
    calm.store.set_level("chat", "free", 0.25, now=calm.now(), actor="alice", reason="test", ttl_s=30)
    calm.step()
    hit = (c.feature == c.features.index("chat")) & (c.tier == c.tiers.index("free"))
    assert (calm.world.level == np.where(hit, 0.25, 1.0)).all()
    refused = calm.world.totals.rejected.copy()
    assert refused[hit] == pytest.approx(0.75 * calm.world.attempted[hit])
    assert len(np.unique(c.model[refused > 0])) >= 5
    for _ in range(60 * 20):
        calm.step()
    assert (calm.world.level == 1.0).all()


def test_a_release_opens_a_model(calm: Simulation) -> None:
    """A stage reached in the plane brings its tier's demand; what is seen of it follows seconds later."""
    calm.step()
    assert exposure(calm, "delta-code", "free") == pytest.approx(0.25, rel=0.2)
    assert exposure(calm, "cirrus-vision", "plus") == 0.0
    calm.store.move_to("cirrus-vision", "plus@5", now=calm.now(), actor="alice", reason="test")
    calm.step()
    assert exposure(calm, "cirrus-vision", "plus") == pytest.approx(0.05, rel=0.2)

    def observed() -> float | None:
        status = calm.store.held.releases["cirrus-vision"].status
        return next(one.observed for one in status.exposure if one.tier == "plus")

    assert observed() is None
    seen = []
    for _ in range(120):
        calm.step()
        seen.append(observed())
    shares = [share for share in seen if share is not None]
    assert shares[0] < 0.05
    assert shares[-1] == 0.05
    assert shares == sorted(shares)


def test_a_completed_release_serves_everyone(calm: Simulation) -> None:
    """At its last stage the candidate is stable, and the model is open to all."""
    calm.store.move_to("delta-code", "free@100", now=calm.now(), actor="alice", reason="test")
    calm.step()
    assert exposure(calm, "delta-code", "free") == pytest.approx(1.0, rel=0.2)


def test_same_seed_same_pages() -> None:
    """Two simulations told the same at the same steps show the same bytes."""
    pages = []
    for _ in range(2):
        simulation = Simulation(read_scenario("calm"), 4, "scenario", 1.0)
        exporter = Exporter(simulation.world)
        for step in range(100):
            if step == 50:
                simulation.store.set_level(
                    "voice", "free", 0.5, now=simulation.now(), actor="alice", reason="test"
                )
            simulation.step()
        pages.append([exporter.text(page) for page in exporter.pages])
    assert pages[0] == pages[1]


async def test_it_keeps_to_its_speed(calm: Simulation) -> None:
    """At 100 times its speed half a second brings 50, and nobody else waits longer than a slice."""
    calm.speed = 100.0
    began, at = time.monotonic(), calm.now()
    task = asyncio.create_task(calm.run())
    worst = 0.0
    while time.monotonic() - began < 0.5:
        before = time.monotonic()
        await asyncio.sleep(0)
        worst = max(worst, time.monotonic() - before)
    passed = time.monotonic() - began
    task.cancel()
    assert calm.now() - at == pytest.approx(100 * passed, rel=0.2)
    assert worst < 0.1


async def test_the_wall_s_epoch(calm: Simulation) -> None:
    """For a real Prometheus simulated time is the wall's, to a step."""
    simulation = Simulation(read_scenario("calm"), 1, "wall", 1.0)
    while simulation.world.tick < 0:
        simulation.step()
    task = asyncio.create_task(simulation.run())
    await asyncio.sleep(0.05)
    assert abs(simulation.now() - time.time()) <= 2 * STEP_S
    task.cancel()


async def test_every_answer_says_that_it_is_simulated(calm: Simulation) -> None:
    """Pages, their list, the plane's answers and its refusals carry the simulated time and the word."""
    token = Token.fresh("alice")
    app = simulator_app(calm, Exporter(calm.world), "http://base", Access([token]))
    transport = httpx.ASGITransport(Stamped(app, calm))
    client = httpx.AsyncClient(transport=transport, base_url="http://base")
    known = (await client.get("/targets")).json()
    paths = ["/targets", known[0]["url"].removeprefix("http://base"), "/healthz", "/v1/throttles", "/nowhere"]
    for path in paths:
        headers = (await client.get(path)).headers
        assert headers["Tidegate-Time"] == "2026-03-25T16:55:00.000Z", path
        assert headers["Tidegate-Simulated"] == "calm/1", path
    assert (await client.get("/v1/throttles")).status_code == 401
    cells = await client.get("/v1/throttles", headers={"Authorization": f"Bearer {token.secret}"})
    assert {cell["level"] for cell in cells.json()["items"]} == {1.0}


def test_truth_is_the_world(calm: Simulation) -> None:
    """Each number of a line is the world's own, to six decimals."""
    file = io.StringIO()
    calm.truth = Truth(calm.world, file)
    calm.step()
    world, line = calm.world, json.loads(file.getvalue())
    assert line["t"] == calm.now()
    c = world.classes
    assert list(line["classes"]) == c.names()
    one = line["classes"]["aurora-5/plus/chat"]
    at = c.names().index("aurora-5/plus/chat")
    assert one["n"] == pytest.approx(world.running[at], abs=1e-6)
    assert one["lambda"] == pytest.approx(world.attempted[at] / STEP_S)
    assert one["rho"] == pytest.approx(world.rho[at], abs=1e-6)
    assert (one["x"], one["W"], one["Q"]) == (0, 0, 0)
    model = line["models"]["aurora-5"]
    assert model["R"] == pytest.approx(world.supply.replicas[0])
    assert model["X"] == pytest.approx(world.deliverable[0])
    assert (model["accelerators"], model["err"]) == (8000, 0.005)
