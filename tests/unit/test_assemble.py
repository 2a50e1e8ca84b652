"""From one poll to readings of models, tiers and nodes."""

import math
from collections.abc import Mapping

import pytest

from collectors.config import Identity, Pool
from collectors.fleet import MISSING_CELL, SourceHealth, SourceState
from collectors.readings import Interval, Quality
from collectors.signals.assemble import Observed, observed
from collectors.signals.catalogue import (
    Answer,
    Buckets,
    Definition,
    Kind,
    Metric,
    Poll,
    Role,
    Row,
    ScrapeTarget,
)
from collectors.signals.identity import Names
from collectors.signals.keys import Key

AURORA = {"model_name": "acme/Aurora-5"}
PICKED = {"target_model_name": "aurora-5", "inference_pool": "aurora-5-pool"}


def answer(
    role: Role,
    signal: str,
    *rows: tuple[Mapping[str, str], float | Buckets],
    kind: Kind = "gauge",
    quantiles: tuple[float, ...] = (),
    collecting: tuple[int, int] | None = None,
    stack: str = "",
) -> Answer:
    definition = Definition(
        signal,
        stack or role,
        role,
        kind,
        (Metric("m"),),
        (),
        quantiles=quantiles,
        lane="heat" if role == "heat" else "fast",
    )
    return Answer(definition, tuple(Row(labels, value) for labels, value in rows), 100.0, collecting)


def see(
    *answers: Answer,
    identity: Identity | None = None,
    pools: tuple[Pool, ...] = (),
    targets: tuple[ScrapeTarget, ...] = (),
) -> Observed:
    health = SourceHealth("p", "prometheus", SourceState.OK)
    poll = Poll("p", 101.0, 5.0, answers, targets, (), health)
    names = Names(identity or Identity(priority={"100": "pro", "0": "free"}), pools).learned(answers)
    return observed(poll, names)


def test_waiting_is_the_sum_of_both_queues() -> None:
    """Requests wait at the router, then in an engine; every replica counts once."""
    seen = see(
        answer("engine", "waiting", (AURORA, 3.0), (AURORA, 4.0)),
        answer(
            "router", "waiting", ({**PICKED, "priority": "100"}, 10.0), ({**PICKED, "priority": "0"}, 20.0)
        ),
    )
    assert seen.readings[Key("aurora-5", "", "waiting")].value == 37
    assert seen.readings[Key("aurora-5", "pro", "waiting")].value == 10
    assert seen.readings[Key("aurora-5", "free", "waiting")].value == 20
    assert seen.tiers == {"pro", "free"}


def test_quantiles_come_from_merged_buckets() -> None:
    """Two unequal replicas give 19, not the 15.5 that averaging two quantiles would (V40)."""
    bounds = (1.0, 2.0, 5.0, 10.0, 30.0, math.inf)
    one = Buckets(bounds, (900, 990, 1000, 1000, 1000, 1000))
    two = Buckets(bounds, (0, 0, 20, 80, 100, 100))
    seen = see(
        answer("engine", "queue_wait", (AURORA, one), (AURORA, two), kind="histogram", quantiles=(0.99,))
    )
    value = seen.readings[Key("aurora-5", "", "queue_wait_p99")].value
    assert value == Interval(10.0, 30.0, 19.0)


def test_the_wait_is_the_routers_where_there_is_one() -> None:
    """Histograms of two queues are never merged."""
    slow = Buckets((1.0, 2.0, math.inf), (0.0, 10.0, 10.0))
    fast = Buckets((1.0, 2.0, math.inf), (10.0, 10.0, 10.0))
    seen = see(
        answer("engine", "queue_wait", (AURORA, fast), kind="histogram", quantiles=(0.5,)),
        answer(
            "router", "queue_wait", ({**PICKED, "priority": "0"}, slow), kind="histogram", quantiles=(0.5,)
        ),
    )
    assert seen.readings[Key("aurora-5", "", "queue_wait_p50")].value == Interval(1.0, 2.0, 1.5)
    assert seen.readings[Key("aurora-5", "free", "queue_wait_p50")].value == Interval(1.0, 2.0, 1.5)


@pytest.mark.parametrize(
    ("depth", "quality", "code"), [(0.0, Quality.GOOD, "idle"), (5.0, Quality.SUSPECT, "stalled")]
)
def test_idle_and_stalled_are_told_apart(depth: float, quality: Quality, code: str) -> None:
    """No wait seen with an empty queue is idle; with a queue nothing moves."""
    nothing = Buckets((1.0, math.inf), (0.0, 0.0))
    seen = see(
        answer("engine", "queue_wait", (AURORA, nothing), kind="histogram", quantiles=(0.99,)),
        answer("engine", "waiting", (AURORA, depth)),
    )
    one = seen.readings[Key("aurora-5", "", "queue_wait_p99")]
    assert (one.value, one.quality, one.reason.code) == (None, quality, code)


def test_one_replica_with_nan_does_not_blank_its_model() -> None:
    """What the others say stands; only when all are silent is the value gone."""
    seen = see(answer("engine", "running", (AURORA, math.nan), (AURORA, 4.0)))
    assert seen.readings[Key("aurora-5", "", "running")].value == 4
    seen = see(answer("engine", "running", (AURORA, math.nan)))
    assert seen.readings[Key("aurora-5", "", "running")].quality is Quality.MISSING


def test_the_worst_is_shown_not_the_mean() -> None:
    """One full cache among empty ones must show (D5)."""
    seen = see(answer("engine", "kv_ratio", (AURORA, 0.1), (AURORA, 0.97)))
    assert seen.readings[Key("aurora-5", "", "kv_ratio")].value == 0.97


def test_busy_time_is_weighted_by_accelerators() -> None:
    """A pool of 3 at 100 % and one of 1 at 0 % is 75 % busy; sampled rows stand for many."""
    gpu = {"workload": "aurora-5", "modelName": "H200"}
    asic = {"workload": "aurora-5", "modelName": "ASIC"}
    answers = (
        answer("engine", "running", (AURORA, 1.0)),
        answer("accelerator", "accelerators", (gpu, 3.0), (asic, 1.0)),
        answer("accelerator", "busy_ratio", (gpu, 1.0), (asic, 0.0)),
    )
    seen = see(*answers)
    assert seen.readings[Key("aurora-5", "", "busy_ratio")].value == 0.75
    assert seen.readings[Key("aurora-5", "", "accelerators")].value == 4
    pool = Pool(name="a", match={"workload": "aurora-5", "modelName": "ASIC"}, stands_for=9)
    seen = see(*answers, pools=(pool,))
    assert seen.readings[Key("aurora-5", "", "accelerators")].value == 12
    assert seen.readings[Key("aurora-5", "", "busy_ratio")].value == 0.25


def test_accelerators_no_model_claims_are_named() -> None:
    """They count for the fleet, and the workload is named so that a rule can be written."""
    seen = see(
        answer("engine", "running", (AURORA, 1.0)),
        answer("accelerator", "accelerators", ({"workload": "llama-3-70b"}, 2.0), ({}, 1.0)),
    )
    assert seen.readings[Key("", "", "accelerators")].value == 3
    assert Key("aurora-5", "", "accelerators") not in seen.readings
    assert seen.unmatched == ("llama-3-70b",)


def test_rates_being_collected_say_so() -> None:
    """Known models carry `collecting 2/4` instead of an empty cell."""
    seen = see(
        answer("engine", "waiting", (AURORA, 1.0)),
        answer("engine", "queue_wait", kind="histogram", quantiles=(0.99,), collecting=(2, 4)),
    )
    one = seen.readings[Key("aurora-5", "", "queue_wait_p99")]
    assert (one.quality, one.reason.code, one.reason.parameters) == (Quality.MISSING, "collecting", (2, 4))


def test_pool_wide_series_find_their_model() -> None:
    """A pool's saturation belongs to the model of that name."""
    seen = see(
        answer("router", "waiting", (PICKED, 1.0)),
        answer("router", "pool_saturation", ({"inference_pool": "aurora-5-pool"}, 0.9)),
    )
    assert seen.readings[Key("aurora-5", "", "pool_saturation")].value == 0.9


def test_the_map_shows_hosts_faults_and_gaps() -> None:
    """Cells stand in order of their accelerator; an application's XID is no fault of the accelerator."""

    def at(gpu: str, host: str = "n1") -> dict[str, str]:
        return {
            "Hostname": host,
            "gpu": gpu,
            "UUID": f"{host}-{gpu}",
            "workload": "aurora-5",
            "modelName": "H200",
        }

    seen = see(
        answer("engine", "running", (AURORA, 1.0)),
        answer("accelerator", "accelerators", ({"workload": "aurora-5", "modelName": "H200"}, 4.0)),
        answer(
            "heat", "busy_ratio", (at("10"), 0.5), (at("2"), 1.0), (at("1"), math.nan), (at("0", "n0"), 0.04)
        ),
        answer(
            "heat",
            "faults",
            ({k: v for k, v in at("10").items() if k in ("Hostname", "gpu", "UUID")}, 79.0),
            (at("2"), 13.0),
        ),
    )
    assert seen.nodes is not None
    assert [n.name for n in seen.nodes] == ["n0", "n1"]
    assert seen.nodes[1].busy == bytes([MISSING_CELL, 100, 50])
    assert seen.nodes[1].marks == "  X"
    assert seen.nodes[1].models == ("aurora-5",)
    assert seen.readings[Key("", "", "faults")].value == 1
    assert seen.readings[Key("aurora-5", "", "faults")].value == 1


def test_a_poll_without_the_map_leaves_it_alone() -> None:
    """The map is asked seldom: not asked is not empty."""
    assert see(answer("engine", "running", (AURORA, 1.0))).nodes is None


def test_coverage_counts_targets_of_the_model() -> None:
    """One dead replica of two shows as 1 of 2, on its own model."""
    engine = {"model_name": "acme/Aurora-5", "namespace": "s", "workload": "a5"}
    targets = tuple(
        ScrapeTarget(
            {"namespace": "s", "pod": f"a5-7d9f8c6b5-{n}", "job": "vllm"}, up, 100.0, frozenset({"engine"})
        )
        for n, up in (("aaaaa", True), ("bbbbb", False))
    )
    seen = see(answer("engine", "running", (engine, 1.0)), targets=targets)
    assert seen.readings[Key("aurora-5", "", "running")].coverage == (1, 2)
