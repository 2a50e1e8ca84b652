"""One clock for world and control plane, and a fleet that does what the plane says."""

import asyncio
import io
import json

import httpx
import numpy as np
import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from collectors.control import wire
from collectors.control.server.access import Access, Token
from collectors.simulator import simulation as simulation_module
from collectors.simulator.exporter import Exporter
from collectors.simulator.gateway import METRIC
from collectors.simulator.orders import mixed, orders_of
from collectors.simulator.scenario import STEP_S, read_scenario
from collectors.simulator.serve import Stamped, simulator_app
from collectors.simulator.simulation import SLICE_S, Simulation
from collectors.simulator.truth import Truth
from collectors.simulator.world import PREWARM_STEPS


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


def observed(simulation: Simulation, release: str, tier: str) -> float | None:
    """What the plane was last told of a tier."""
    status = simulation.store.held.releases[release].status
    return next(one.observed for one in status.exposure if one.tier == tier)


def test_a_release_opens_a_model(calm: Simulation) -> None:
    """A stage reached in the plane brings its tier's demand."""
    calm.step()
    assert exposure(calm, "delta-code", "free") == pytest.approx(0.25, rel=0.2)
    assert exposure(calm, "cirrus-vision", "plus") == 0.0
    calm.store.move_to("cirrus-vision", "plus@5", now=calm.now(), actor="alice", reason="test")
    calm.step()
    assert exposure(calm, "cirrus-vision", "plus") == pytest.approx(0.05, rel=0.2)


@pytest.mark.parametrize(
    ("release", "stage", "tier", "first", "then"),
    [
        ("delta-code", "free@100", "free", 0.25, 1.0),
        ("cirrus-vision", "plus@5", "plus", 0.0, 0.05),
        ("fable-voice", "team@100", "team", 0.0, 1.0),
    ],
)
def test_what_is_seen_follows_what_is_asked(
    calm: Simulation, release: str, stage: str, tier: str, first: float, then: float
) -> None:
    """Nothing is seen before the scenario begins; then what the gateway did, to the noise of its draws; after
    a stage the old share, a mix within five seconds, and the new share within fifteen."""
    calm.step()
    assert observed(calm, release, tier) is None
    calm.prewarm()
    assert observed(calm, release, tier) == pytest.approx(first, abs=0.03)
    for _ in range(5):
        calm.step()
    calm.store.move_to(release, stage, now=calm.now(), actor="alice", reason="test")
    seen = []
    for _ in range(30):
        calm.step()
        seen.append(observed(calm, release, tier))
    shares = [share for share in dict.fromkeys(seen) if share is not None]
    assert shares[0] == pytest.approx(first, abs=0.03)
    assert first < shares[1] < then
    assert shares[-1] == pytest.approx(then, abs=0.03)
    assert len(shares) <= 4


def test_what_is_seen_is_what_the_pages_say(calm: Simulation) -> None:
    """The share that the plane is told is that of the exported counters' growth over the same ten seconds."""
    calm.prewarm()
    exporter = Exporter(calm.world)
    page = next(page for page in exporter.pages if page.job == "llm-d-epp")

    def counted() -> dict[str, float]:
        return {
            sample.labels["decision"]: sample.value
            for family in text_string_to_metric_families(exporter.text(page))
            for sample in family.samples
            if sample.name == METRIC
            and (sample.labels["subject"], sample.labels["tier"]) == ("delta-code", "free")
        }

    before = counted()
    for _ in range(20):
        calm.step()
    gained = {decision: value - before[decision] for decision, value in counted().items()}
    share = gained["candidate"] / sum(gained.values())
    assert observed(calm, "delta-code", "free") == pytest.approx(share, abs=5e-4)
    assert share != 0.25


def test_seldom_asked_for_is_seldom_seen(calm: Simulation) -> None:
    """A share of a few requests is none: deep research of the pro tier, one in twenty seconds."""
    calm.prewarm()
    assert observed(calm, "deep-research", "pro") is None
    assert observed(calm, "deep-research", "plus") == 1.0
    assert observed(calm, "deep-research", "free") == 0.0


def test_a_new_candidate_begins_at_nought(calm: Simulation) -> None:
    """What an earlier revision served is not counted for the one that follows it."""
    calm.prewarm()
    assert observed(calm, "aurora-5", "free") == 1.0
    held = calm.store.held.releases["aurora-5"]
    shares = tuple(replace(one, desired=0.1) for one in held.status.exposure)
    calm.store.put_release(
        replace(held, candidate="r43", stable="r42", status=replace(held.status, exposure=shares)),
        now=calm.now(),
    )
    calm.step()
    assert exposure(calm, "aurora-5", "free") == pytest.approx(1.0, rel=0.2)
    for _ in range(10):
        calm.step()
    assert observed(calm, "aurora-5", "free") == pytest.approx(0.05, abs=0.02)
    for _ in range(10):
        calm.step()
    assert observed(calm, "aurora-5", "free") == pytest.approx(0.1, abs=0.01)


async def test_a_ramp_is_followed_as_it_steps(calm: Simulation) -> None:
    """While a throttle ramps, by a real write, the fleet admits at each step what is in force then: never all
    of the way at once, never longer than ten seconds the same, until it has arrived."""
    token = Token.fresh("alice")
    app = simulator_app(calm, Exporter(calm.world), "http://base", Access([token]))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://base")
    calm.step()
    answer = await client.post(
        "/v1/throttles/chat/free:set",
        json={"from": {"level": 1.0}, "level": 0.4, "ramp_per_min": 0.6, "reason": "queues grow"},
        headers={
            "Authorization": f"Bearer {token.secret}",
            "Idempotency-Key": "one",
            "If-Match": f'"{calm.store.held.throttles["chat", "free"].etag}"',
        },
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "ramping"
    at, levels = calm.world.classes.names().index("aurora-5/free/chat"), []
    for _ in range(140):
        calm.step()
        levels.append(calm.world.level[at])
        assert levels[-1] == calm.store.held.throttles["chat", "free"].effective_level
    assert levels == sorted(levels, reverse=True)
    assert levels[0] > 0.85
    assert levels[60] == pytest.approx(0.7, abs=0.1)
    assert levels[-1] == 0.4
    assert max(levels[:110].count(level) for level in levels[:110]) <= 20
    refused = calm.world.totals.rejected[at]
    calm.step()
    assert calm.world.totals.rejected[at] - refused == pytest.approx(0.6 * calm.world.attempted[at])


def test_a_feature_release_opens_every_model_that_serves_it(calm: Simulation) -> None:
    """Free deep research is asked of Aurora 5 and of Boreal 4 from the step on that opens it."""
    calm.step()
    c = calm.world.classes
    free = (c.feature == c.features.index("deep-research")) & (c.tier == c.tiers.index("free"))
    assert calm.world.rate[free].tolist() == [0, 0]
    calm.store.move_to("deep-research", "free@25", now=calm.now(), actor="alice", reason="test")
    calm.step()
    assert calm.world.rate[free] == pytest.approx(0.25 * c.full_rate[free], rel=0.2)


def test_a_partition_parts_asked_from_done() -> None:
    """Where orders reach a third of the gateways, a third of them is done, and seen; healed, all is."""
    simulation = Simulation(read_scenario("control-partition"), 1, "scenario", 1.0)
    world = simulation.world
    at = world.classes.names().index("aurora-5/free/image-generation")

    def live_until(minute: float) -> None:
        while world.time_s < minute * 60:
            simulation.step()

    live_until(3.9)
    simulation.store.set_level(
        "image-generation", "free", 0.9, now=simulation.now(), actor="alice", reason="test"
    )
    live_until(5)
    assert world.level[at] == 0.9
    simulation.store.set_level(
        "image-generation", "free", 0.3, now=simulation.now(), actor="alice", reason="test"
    )
    simulation.store.move_to("delta-code", "free@100", now=simulation.now(), actor="alice", reason="test")
    live_until(8.9)
    assert world.level[at] == pytest.approx(0.9 - 0.3333 * 0.6)
    assert simulation.store.held.throttles["image-generation", "free"].level == 0.3
    assert exposure(simulation, "delta-code", "free") == pytest.approx(0.5, rel=0.2)
    assert observed(simulation, "delta-code", "free") == pytest.approx(0.5, abs=0.03)
    live_until(9.5)
    assert world.level[at] == 0.3
    assert observed(simulation, "delta-code", "free") == 1.0


def test_a_gateway_that_hears_nothing_stays_as_it_was(calm: Simulation) -> None:
    """Cut off wholly, it neither opens what is new to it nor closes what it knows."""
    old = orders_of(calm.world, calm.store.held)
    calm.store.move_to("cirrus-vision", "plus@100", now=calm.now(), actor="alice", reason="test")
    calm.store.set_level("chat", "free", 0.0, now=calm.now(), actor="alice", reason="test")
    new = orders_of(calm.world, calm.store.held)
    assert new.routes != old.routes
    kept = mixed(old, new, 0.0)
    assert kept.routes == old.routes
    assert kept.level.tolist() == old.level.tolist()
    assert kept.exposure.tolist() == old.exposure.tolist()
    whole = mixed(old, new, 1.0)
    assert whole.routes == new.routes
    assert whole.level.tolist() == new.level.tolist()


def test_somebody_else_acts_at_the_same_plane() -> None:
    """The scenario's other operator changes cell and etag under whoever is looking, with name and reason."""
    simulation = Simulation(read_scenario("two-operators"), 1, "scenario", 1.0)
    seen: list[wire.Throttle] = []
    for _ in range(PREWARM_STEPS + 14 * 120 + 2):
        cell = simulation.store.held.throttles["image-generation", "free"]
        if not seen or seen[-1].etag != cell.etag:
            seen.append(cell)
        simulation.step()
    simulation.close()
    assert [cell.level for cell in seen] == [1.0, 0.7, 0.3, 0.5]
    assert all(cell.last_change and cell.last_change.actor == "alice@example.com" for cell in seen[1:])
    minutes = [
        (wire.read_time(cell.last_change.at) - simulation.epoch) / 60 for cell in seen if cell.last_change
    ]
    assert minutes == [5, 6.5, 14]


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


class Clock:
    """Time that passes in sleeps and steps alone. turns: for how long each time nobody else had a turn."""

    STEP_S = 0.003

    def __init__(self, monkeypatch: pytest.MonkeyPatch, until_s: float) -> None:
        self.passed, self.until_s, self.turns = 0.0, until_s, [0.0]
        monkeypatch.setattr(simulation_module, "time", self)
        monkeypatch.setattr(simulation_module, "asyncio", self)

    def monotonic(self) -> float:
        return self.passed

    def time(self) -> float:
        return 1.8e9 + self.passed

    async def sleep(self, seconds: float) -> None:
        if self.passed >= self.until_s:
            raise asyncio.CancelledError
        self.passed += max(seconds, 1e-6)
        self.turns.append(0.0)

    def stepping(self, simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let every step take its time."""
        step = simulation.step

        def slow() -> None:
            self.passed += self.STEP_S
            self.turns[-1] += self.STEP_S
            step()

        monkeypatch.setattr(simulation, "step", slow)


async def test_it_keeps_to_its_speed(calm: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 100 times its speed half a second brings 50, and nobody else waits longer than a slice."""
    clock, at = Clock(monkeypatch, until_s=0.5), calm.now()
    clock.stepping(calm, monkeypatch)
    calm.speed = 100.0
    with pytest.raises(asyncio.CancelledError):
        await calm.run()
    assert calm.now() - at == pytest.approx(100 * clock.passed, abs=100 * (SLICE_S + Clock.STEP_S) + STEP_S)
    assert Clock.STEP_S <= max(clock.turns) < SLICE_S + Clock.STEP_S


async def test_the_wall_s_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a real Prometheus simulated time is the wall's, to a step."""
    clock = Clock(monkeypatch, until_s=3.2)
    simulation = Simulation(read_scenario("calm"), 1, "wall", 1.0)
    while simulation.world.tick < 0:
        simulation.step()
    with pytest.raises(asyncio.CancelledError):
        await simulation.run()
    assert abs(simulation.now() - clock.time()) <= STEP_S


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
