"""Scenarios are data: what comes with tidegate is sound, and what is wrong with a file is said."""

from pathlib import Path

import numpy as np
import pytest

from collectors.config import Settings
from collectors.control.server.seed import checked
from collectors.simulator.classes import classes_of, full_batch_tokens
from collectors.simulator.context import context_toml, prometheus_yaml
from collectors.simulator.demand import day_shape, surge_factor
from collectors.simulator.exporter import Page
from collectors.simulator.orders import orders_of
from collectors.simulator.scenario import Surge, read_scenario, scenario_names, seed_document
from collectors.simulator.simulation import Simulation
from collectors.toml_file import FileError, checked_toml

DATA = Path(__file__).parents[1] / "data" / "simulator"

SCRIPT = """
title = "A scenario"
fleet = "demo"
starts_at = 2026-03-25T17:00:00Z
"""


def test_those_that_come_with_tidegate() -> None:
    """Every scenario can be read, and those that commands default to are there."""
    assert {
        "calm", "melting-gpus", "feature-opening", "control-partition", "two-operators", "bench-50x5-10k"
    } <= set(scenario_names())  # fmt: skip
    for name in scenario_names():
        assert read_scenario(name).name == name


def test_the_demo_fleet_is_as_described() -> None:
    """Seven models, four tiers and features, 10,000 accelerators of two kinds, twelve engine pages."""
    fleet = read_scenario("calm").fleet
    served = fleet.served()
    assert (len(served), len(fleet.tiers), len(fleet.features)) == (7, 4, 4)
    assert sum(spec.accelerators for spec in served.values()) == 10_000
    assert {pool.kind for spec in served.values() for pool in spec.pools} == {"gpu", "asic"}
    assert sum(spec.pages for spec in served.values()) == 12
    assert len({f"{spec.org}/{spec.served_as}" for spec in served.values()}) == 7


@pytest.mark.parametrize("name", scenario_names())
def test_demand_follows_from_base_rho(name: str) -> None:
    """At its opening, with every feature open, each model offers its base rho times what it can deliver."""
    classes = classes_of(read_scenario(name).fleet)
    offered = classes.full_rate * classes.open[classes.model, classes.tier] * classes.tokens
    deliverable = [full_batch_tokens(s, s.accelerators / s.accelerators_per_replica) for s in classes.specs]
    assert classes.by_model(offered) / deliverable == pytest.approx(
        np.array([s.base_rho for s in classes.specs])
    )


def test_the_reference_pool_gets_its_requests() -> None:
    """Pool 4o at base: 4,200 chats, 2 deep researches, 150 voice requests and 560 images a second."""
    classes = classes_of(read_scenario(str(DATA / "pool-4o.toml")).fleet)
    by_feature = np.bincount(classes.feature, classes.full_rate)
    assert by_feature == pytest.approx([4200, 2, 150, 560], rel=1e-4)


@pytest.mark.parametrize("name", scenario_names())
def test_the_control_plane_takes_the_seed(name: str) -> None:
    """The seed document passes the control plane's own check."""
    seed = checked(seed_document(read_scenario(name).fleet))
    assert seed.tiers[0] in {"pro", "enterprise"}


@pytest.mark.parametrize("name", [name for name in scenario_names() if name != "bench-50x5-10k"])
def test_the_seeded_exposure_is_the_fleet_s_opening(name: str) -> None:
    """What the plane says of a model or feature as it is seeded is what that is open to, and so what the
    world begins with."""
    simulation = Simulation(read_scenario(name), 1, "scenario", 1.0)
    seeded, begun = orders_of(simulation.world, simulation.store.held), simulation.world.open_orders()
    simulation.close()
    assert len(seeded.routes) == 5
    assert seeded.exposure.tolist() == begun.exposure.tolist()
    assert seeded.opened.tolist() == begun.opened.tolist()


def test_an_operator_can_go_on_at_once() -> None:
    """When the demo begins, a model and a feature wait at gates that are open, and others at closed ones."""
    simulation = Simulation(read_scenario("melting-gpus"), 1, "scenario", 1.0)
    simulation.store.tick(simulation.epoch)
    gates = {
        name: (release.status.phase, release.status.stage, release.status.gate.state)
        for name, release in simulation.store.held.releases.items()
    }
    simulation.close()
    assert gates == {
        "aurora-5": ("completed", "free@100", "open"),
        "cirrus-vision": ("paused", "pro@100", "closed"),
        "deep-research": ("paused", "team@100", "open"),
        "delta-code": ("paused", "free@25", "open"),
        "fable-voice": ("paused", "plus@100", "closed"),
    }


def test_a_scenario_s_releases_take_the_place_of_the_fleet_s(tmp_path: Path) -> None:
    """By id; one that the fleet does not have is added."""
    file = tmp_path / "s.toml"
    file.write_text(
        SCRIPT
        + """
[[releases]]
id = "delta-code"
subject = { kind = "model", name = "delta-code" }
candidate = "r20"
stages = [{ id = "all", tier = "*", weight = 1.0 }]

[[releases]]
id = "voice"
subject = { kind = "feature", name = "voice" }
candidate = "open-1"
stages = [{ id = "all", tier = "*", weight = 1.0 }]
"""
    )
    releases = {one["id"]: one for one in seed_document(read_scenario(str(file)).fleet)["releases"]}
    assert releases["delta-code"]["candidate"] == "r20"
    assert set(releases) == {
        "aurora-5", "cirrus-vision", "deep-research", "delta-code", "fable-voice", "voice"
    }  # fmt: skip


def test_a_name_nobody_knows() -> None:
    """The error names what there is, and what was probably meant."""
    with pytest.raises(
        FileError, match=r"no scenario 'melting-gpu'; did you mean 'melting-gpus'\? there are: "
    ):
        read_scenario("melting-gpu")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("speed = 3", r"speed: no such key"),
        (
            '[[timeline]]\nevent = "surge"\nminute = 1\nminutes = 1\nfactor = 2',
            r"s\.toml:5: timeline\.0.*feature",
        ),
        ('[[timeline]]\nevent = "storm"\nminute = 1', r"s\.toml:5: timeline\.0.*'surge'"),
        (
            '[[timeline]]\nevent = "operator"\nminute = 1\nactor = "alice"\nfeature = "chat"\n'
            'tier = "gold"\nlevel = 0.5\nreason = "test"',
            r"timeline\.0\.tier: no tier 'gold'; there are: ",
        ),
        (
            '[[timeline]]\nevent = "partition"\nminute = 1\nminutes = 2\nreached = 3',
            r"s\.toml:5: timeline\.0.*reached",
        ),
        (
            '[[timeline]]\nevent = "patch"\nminute = 1\nmodel = "aurora"\ngain = 0.1',
            r"no model 'aurora'; there are: ",
        ),
    ],
)
def test_a_wrong_file_is_explained(tmp_path: Path, change: str, said: str) -> None:
    """File, line, key and what is allowed; never a traceback."""
    file = tmp_path / "s.toml"
    file.write_text(f"{SCRIPT}{change}\n")
    with pytest.raises(FileError, match=said):
        read_scenario(str(file))


def test_the_day() -> None:
    """Mean 1; peak 1.345 at 22:41, trough .593 at 08:04."""
    hours = np.arange(0, 24, 1 / 60)
    shape = np.array([day_shape(hour) for hour in hours])
    assert shape.mean() == pytest.approx(1, abs=1e-9)
    assert shape.max() == pytest.approx(1.345, abs=5e-4)
    assert hours[shape.argmax()] == pytest.approx(22 + 41 / 60, abs=0.02)
    assert shape.min() == pytest.approx(0.593, abs=5e-4)
    assert hours[shape.argmin()] == pytest.approx(8 + 4 / 60, abs=0.02)


def test_a_surge_rises_and_halves() -> None:
    """Linear: from 1 to its factor in its minutes; with a half-life, the excess halves."""
    surge = Surge(event="surge", minute=3, minutes=5, feature="chat", factor=4.5, half_life_hours=18.0)
    assert [surge_factor(surge, minute) for minute in (0, 3, 5.5, 8)] == [1, 1, 2.75, 4.5]
    assert surge_factor(surge, 8 + 18 * 60) == pytest.approx(1 + 3.5 / 2)
    logistic = surge.model_copy(update={"rise": "logistic"})
    assert surge_factor(logistic, 5.5) == pytest.approx(2.75)
    assert surge_factor(logistic, 8) == pytest.approx(4.5, rel=0.05)


def test_the_context_fits_the_fleet() -> None:
    """The configuration accepts the context; rows times what each stands for are the accelerators."""
    scenario = read_scenario("calm")
    settings = checked_toml(context_toml(scenario, "http://127.0.0.1:9900"), "context", Settings)
    name, context = settings.context(None)
    assert (name, context.simulated, context.tiers) == ("demo", True, ("pro", "plus", "team", "free"))
    assert context.objectives.of("embed-2")["pro"] == 1.0
    assert context.objectives.of("aurora-5")["free"] == 6.0
    rows = {f"{m}/{p.kind}": p.nodes * 8 for m, spec in scenario.fleet.served().items() for p in spec.pools}
    assert sum(pool.stands_for * rows[pool.name] for pool in context.pools) == pytest.approx(10_000)


def test_prometheus_yaml_groups_by_job() -> None:
    """One scrape job each, every page with its path and its labels, the job not repeated as a label."""
    pages = [Page("vllm", "a", {"job": "vllm", "pod": "a"}), Page("epp", "b", {"job": "epp", "pod": "b"})]
    text = prometheus_yaml(pages, "127.0.0.1:9900")
    assert text.count("job_name") == 2
    assert '__metrics_path__: "/pages/vllm/a/metrics"' in text
    assert "scrape_interval: 5s" in text
    assert "\n          job:" not in text
