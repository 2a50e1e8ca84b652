"""The pages are what the real exporters say, and they add up to the world."""

import contextlib
import copy
import dataclasses
import itertools
import math
import re
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from collectors.control.server.store import Store
from collectors.simulator.exporter import Exporter, Page
from collectors.simulator.gateway import METRIC
from collectors.simulator.measures import age_quantiles
from collectors.simulator.orders import orders_of
from collectors.simulator.scenario import read_scenario, seed_document
from collectors.simulator.supply import Fault
from collectors.simulator.world import PREWARM_STEPS, Orders, World

Labels = tuple[tuple[str, str], ...]
Samples = dict[str, dict[Labels, float]]

POD = re.compile(r"^[a-z0-9-]+-[bcdfghjklmnpqrstvwxz2456789]{9}-[bcdfghjklmnpqrstvwxz2456789]{5}$")


@pytest.fixture(scope="module")
def gated_off() -> tuple[World, Exporter]:
    """The same ten minutes where the picker has no flow control."""
    found = read_scenario("melting-gpus")
    fleet = found.fleet.model_copy(update={"flow_control": False})
    world = World(dataclasses.replace(found, fleet=fleet), 1)
    for _ in range(PREWARM_STEPS + 1200):
        world.advance(world.open_orders())
    return world, Exporter(world)


def read(text: str) -> Samples:
    """Samples by name and labels; a label set that is there twice is an error."""
    found: Samples = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            assert labels not in found[sample.name], (sample.name, labels)
            found[sample.name][labels] = sample.value
    return found


def texts(exporter: Exporter, job: str) -> Iterator[tuple[Page, str]]:
    """Pages of one kind of exporter."""
    return ((page, exporter.text(page)) for page in exporter.pages if page.job == job)


def warmed(name: str, steps: int = PREWARM_STEPS, orders: Orders | None = None) -> World:
    """A world that has run for some steps."""
    world = World(read_scenario(name), 1)
    for _ in range(steps):
        world.advance(orders or world.open_orders())
    return world


def seeded_orders(world: World) -> Orders:
    """Orders of a plane that has just taken the seed."""
    store = Store.open(None)
    store.seed(seed_document(world.scenario.fleet), 0.0)
    with contextlib.closing(store):
        return orders_of(world, store.held)


@pytest.fixture(scope="module")
def molten() -> tuple[World, Exporter]:
    """The demo ten minutes in, free images cut for the last of them."""
    world = World(read_scenario("melting-gpus"), 1)
    exporter = Exporter(world)
    orders = seeded_orders(world)
    for step in range(PREWARM_STEPS + 1200):
        if step == PREWARM_STEPS + 1080:
            orders.level[world.classes.features.index("image-generation"), 3] = 0.5
        world.advance(orders)
    return world, exporter


def test_pages_and_their_targets(molten: tuple[World, Exporter]) -> None:
    """Twelve engines, one picker, one accelerator exporter a zone; labels as Kubernetes gives them."""
    _, exporter = molten
    jobs = [page.job for page in exporter.pages]
    assert {job: jobs.count(job) for job in jobs} == {"vllm": 12, "llm-d-epp": 1, "dcgm-exporter": 4}
    assert len({page.path for page in exporter.pages}) == 17
    for page in exporter.pages:
        assert set(page.labels) == {"job", "instance", "namespace", "pod", "container"}
    engines = [page.labels["pod"] for page in exporter.pages if page.job == "vllm"]
    assert all(POD.match(pod) for pod in engines)
    assert len({pod.rsplit("-", 2)[0] for pod in engines}) == 7


def test_every_page_parses(molten: tuple[World, Exporter]) -> None:
    """prometheus_client's parser takes every page, and every family has its type."""
    _, exporter = molten
    for page in exporter.pages:
        for family in text_string_to_metric_families(exporter.text(page)):
            assert family.type in {"gauge", "counter", "histogram"}, family.name


def test_few_enough_lines() -> None:
    """At most 4,000 lines, all pages together, and at most 256 accelerator rows: even with every tier open,
    every outcome seen of every feature, every decision of the gateway, and the delivery in place."""
    world = World(read_scenario("melting-gpus"), 1)
    exporter = Exporter(world)
    seeded = seeded_orders(world)
    orders = Orders(
        np.full_like(seeded.level, 0.5),
        np.ones_like(seeded.exposure),
        np.ones_like(seeded.opened),
        seeded.routes,
    )
    for _ in range(PREWARM_STEPS):
        world.advance(orders)
    world.supply.advance(60 * 60)
    for counted in (*vars(world.totals).values(), world.gateway.counts):
        counted += 1
    pages = [exporter.text(page) for page in exporter.pages]
    lines = sum(text.count("\n") for text in pages)
    assert 3500 < lines <= 4000
    assert 128 < sum(text.count("\nDCGM_FI_DEV_FB_USED{") for text in pages) <= 256
    waits = "llm_d_epp_flow_control_request_queue_duration_seconds_count"
    assert sum(text.count(waits) for text in pages) == 2 * len(world.classes) == 2 * 44


def test_counters_never_fall(molten: tuple[World, Exporter]) -> None:
    """From step to step no counter, bucket or sum gets smaller, and none goes away."""
    world, exporter = copy.deepcopy(molten)
    kinds = ("_total", "_bucket", "_sum", "_count")
    before: dict[str, Samples] = {}
    for step in range(6):
        for page in exporter.pages:
            now = read(exporter.text(page))
            for name, series in before.get(page.path, {}).items():
                if name.endswith(kinds):
                    assert series.keys() <= now[name].keys()
                    assert all(value <= now[name][labels] for labels, value in series.items()), name
            before[page.path] = now
        orders = world.open_orders()
        orders.level[:] = 0.5 if step % 2 else 1.0
        world.advance(orders)


@pytest.mark.parametrize("job", ["vllm", "llm-d-epp"])
def test_histograms_are_cumulative(molten: tuple[World, Exporter], job: str) -> None:
    """Buckets rise with their bounds, `+Inf` is the count, and the sum lies between what buckets allow."""
    _, exporter = molten
    for _, text in texts(exporter, job):
        samples = read(text)
        for name in [name for name in samples if name.endswith("_bucket")]:
            series: dict[Labels, list[tuple[float, float]]] = defaultdict(list)
            for labels, value in samples[name].items():
                rest = tuple(pair for pair in labels if pair[0] != "le")
                series[rest].append((float(dict(labels)["le"]), value))
            for labels, buckets in series.items():
                buckets.sort()
                counts = [count for _, count in buckets]
                assert counts == sorted(counts)
                assert buckets[-1][0] == math.inf
                assert counts[-1] == samples[name.replace("_bucket", "_count")][labels]
                total = samples[name.replace("_bucket", "_sum")][labels]
                steps = list(zip([(0.0, 0.0), *buckets], buckets, strict=False))
                least = sum((b[1] - a[1]) * a[0] for a, b in steps)
                # Counts are rounded down, and parts of pages besides: a few requests of slack.
                assert total >= least * 0.98 - 1


def test_bounds_are_the_exporters_own(molten: tuple[World, Exporter]) -> None:
    """vLLM's waits begin at 0.3 s and end at 7,680 s; the picker's go from 0.1 ms to 60 s, without those in
    the first half second, in which no wait of this world can end."""
    _, exporter = molten

    def bounds(job: str, name: str) -> list[float]:
        samples = read(next(texts(exporter, job))[1])[f"{name}_bucket"]
        kept = [
            dict(labels) for labels in samples if dict(labels).get("outcome", "Dispatched") == "Dispatched"
        ]
        return sorted({float(labels["le"]) for labels in kept})

    waits = bounds("vllm", "vllm:request_queue_time_seconds")
    assert (waits[0], waits[-2], len(waits)) == (0.3, 7680.0, 22)
    assert bounds("vllm", "vllm:e2e_request_latency_seconds") == waits
    picker = bounds("llm-d-epp", "llm_d_epp_flow_control_request_queue_duration_seconds")
    assert picker == [0.0001, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, math.inf]


def test_engine_pages_add_up_exactly(molten: tuple[World, Exporter]) -> None:
    """A model's pages together say what its model does, to the request."""
    world, exporter = molten
    summed: dict[tuple[str, Labels], float] = defaultdict(float)
    for _, text in texts(exporter, "vllm"):
        for name, series in read(text).items():
            for labels, value in series.items():
                summed[name, labels] += value
    c = world.classes
    for number, (name, spec) in enumerate(zip(c.models, c.specs, strict=True)):
        labels = (("engine", "0"), ("model_name", f"{spec.org}/{spec.served_as}"))
        assert spec.served_as.lower() == name
        assert summed["vllm:num_requests_running", labels] == math.floor(c.by_model(world.running)[number])
        assert summed["vllm:num_requests_waiting", labels] == 0
        tokens = math.floor(c.by_model(world.totals.tokens)[number])
        assert summed["vllm:generation_tokens_total", labels] == tokens
        started = summed["vllm:request_queue_time_seconds_count", labels]
        assert started == pytest.approx(c.by_model(world.totals.started)[number], abs=1)
        kv = summed["vllm:kv_cache_usage_perc", labels] / spec.pages
        assert kv == pytest.approx(world.kv_ratio[number], abs=1e-6)


def test_the_picker_knows_tiers(molten: tuple[World, Exporter]) -> None:
    """Waiting by priority is the world's, rejections are told apart, closed tiers are absent."""
    world, exporter = molten
    c, samples = world.classes, read(next(texts(exporter, "llm-d-epp"))[1])
    queues: dict[tuple[str, str], float] = defaultdict(float)
    for labels, value in samples["llm_d_epp_flow_control_queue_size"].items():
        queues[dict(labels)["model_name"], dict(labels)["priority"]] += value
    waiting = c.by_pair(world.waiting).reshape(len(c.models), -1)
    priorities = ["100", "50", "0", "-10"]
    for (model, priority), value in queues.items():
        assert value == math.floor(waiting[c.models.index(model), priorities.index(priority)])
    assert queues["aurora-5", "-10"] > 1000
    assert ("cirrus-vision", "-10") not in queues and ("delta-code", "-10") in queues
    refused = {
        dict(labels)["model_name"]
        for labels in samples["llm_d_epp_flow_control_requests_total"]
        if dict(labels)["outcome"] == "RejectedCapacity"
    }
    assert refused == {"aurora-5"}
    ready = samples["llm_d_epp_ready_endpoints"][(("name", "aurora-5-pool"),)]
    assert ready == pytest.approx(world.supply.replicas[0], abs=0.5)


def test_the_picker_knows_features(molten: tuple[World, Exporter]) -> None:
    """A flow is a feature: what it asked for, what was refused and what waits is the world's, less than one
    request apart; a throttled feature alone is refused; answer times are told without flows."""
    world, exporter = molten
    c, samples = world.classes, read(next(texts(exporter, "llm-d-epp"))[1])
    priorities = ["100", "50", "0", "-10"]

    def known(name: str, **wanted: str) -> dict[int, float]:
        """Values of a family by class."""
        found = {}
        for labels, value in samples[name].items():
            one = dict(labels)
            if all(one[key] == what for key, what in wanted.items()):
                where = (one["model_name"], priorities.index(one["priority"]), one["fairness_id"])
                found[at[where]] = value
        return found

    at = {
        (c.models[m], int(t), c.features[f]): k
        for k, (m, t, f) in enumerate(zip(c.model, c.tier, c.feature, strict=True))
    }
    totals, started = world.totals, "llm_d_epp_flow_control_request_queue_duration_seconds_count"
    for found, exact in (
        (known("llm_d_epp_request_total"), totals.attempts),
        (known(started, outcome="Dispatched"), totals.started),
        (known(started, outcome="RejectedCapacity"), totals.rejected),
        (known("llm_d_epp_flow_control_requests_total", outcome="Dispatched"), totals.started),
        (known("llm_d_epp_request_error_total", error_code="ModelServerError"), totals.errors),
    ):
        assert found == {k: math.floor(value) for k, value in enumerate(exact) if value >= 1}
    for k, value in known("llm_d_epp_flow_control_queue_size").items():
        assert abs(value - world.waiting[k]) < 1
    refused = known(started, outcome="RejectedCapacity")
    assert {(c.names()[k]) for k in refused} == {"aurora-5/free/image-generation"}
    assert not any("fairness_id" in dict(k) for k in samples["llm_d_epp_request_duration_seconds_count"])


def test_the_gateway_s_counters(molten: tuple[World, Exporter]) -> None:
    """Who got what a release opens, to the request; a tier that nobody asked for, or that always got it, has
    no series of the other decision."""
    world, exporter = molten
    found = read(next(texts(exporter, "llm-d-epp"))[1])[METRIC]
    exact = {
        (one.subject, tier, one.decision, one.revision): world.gateway.counts[row, number]
        for one, row in world.gateway.series.items()
        for number, tier in enumerate(world.classes.tiers)
    }
    told = {
        (one["subject"], one["tier"], one["decision"], one.get("revision", "")): value
        for one, value in ((dict(labels), value) for labels, value in found.items())
    }
    assert told == {key: value for key, value in exact.items() if value}
    assert {key[0] for key in told} == {
        "aurora-5", "cirrus-vision", "deep-research", "delta-code", "fable-voice"
    }  # fmt: skip
    free = {key[2:] for key in told if key[:2] == ("delta-code", "free")}
    assert free == {("candidate", "r19"), ("closed", "")}
    assert {key[2:] for key in told if key[0] == "aurora-5"} == {("candidate", "r42")}
    assert {key[1:] for key in told if key[0] == "deep-research"} == {
        ("pro", "open", ""), ("plus", "open", ""), ("team", "open", ""), ("free", "closed", "")
    }  # fmt: skip


def test_the_admitted_share_of_a_cell_can_be_told(molten: tuple[World, Exporter]) -> None:
    """Rejected over asked, by the picker's own labels of feature and tier, summed over models."""
    world, exporter = copy.deepcopy(molten)
    asked, refused = "llm_d_epp_request_total", "llm_d_epp_flow_control_request_queue_duration_seconds_count"

    def counted(name: str, **wanted: str) -> float:
        samples = read(next(texts(exporter, "llm-d-epp"))[1])[name]
        return sum(v for k, v in samples.items() if wanted.items() <= dict(k).items())

    def admitted(feature: str, priority: str) -> float:
        cell = {"fairness_id": feature, "priority": priority}
        return 1 - (
            (counted(refused, outcome="RejectedCapacity", **cell) - before[feature, priority][1])
            / (counted(asked, **cell) - before[feature, priority][0])
        )

    cells = [(feature, priority) for feature in world.classes.features[:2] for priority in ("0", "-10")]
    before = {
        (feature, priority): (
            counted(asked, fairness_id=feature, priority=priority),
            counted(refused, outcome="RejectedCapacity", fairness_id=feature, priority=priority),
        )
        for feature, priority in cells
    }
    orders = world.open_orders()
    orders.level[world.classes.features.index("image-generation"), 3] = 0.3
    for _ in range(20):
        world.advance(orders)
    found = {cell: admitted(*cell) for cell in cells}
    assert found.pop(("image-generation", "-10")) == pytest.approx(0.3, abs=0.002)
    assert set(found.values()) == {1.0}


def test_without_flow_control_engines_queue(gated_off: tuple[World, Exporter]) -> None:
    """A request waits in one place only: in the engines, where the picker has no queue."""
    world, exporter = gated_off
    c, picker = world.classes, read(next(texts(exporter, "llm-d-epp"))[1])
    assert not [name for name in picker if "flow_control" in name]
    assert "llm_d_epp_request_duration_seconds_count" in picker
    waiting = sum(
        sum(read(text)["vllm:num_requests_waiting"].values()) for _, text in texts(exporter, "vllm")
    )
    assert waiting == pytest.approx(world.waiting.sum(), abs=len(c.models))
    assert waiting > 10_000


def intervals(
    before: Samples, after: Samples, name: str, keys: tuple[str, ...]
) -> dict[str, tuple[float, float]]:
    """(lo, hi] of the p99 of what a histogram gained, by labels, where that is at least 1,000 requests."""
    gained: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for labels, value in after[f"{name}_bucket"].items():
        known = dict(labels)
        if known.get("outcome", "Dispatched") == "Dispatched":
            key = "/".join(known[one] for one in keys)
            gained[key][float(known["le"])] += value - before[f"{name}_bucket"][labels]
    found = {}
    for key, buckets in gained.items():
        below = 0.0
        for bound, count in sorted(buckets.items()):
            if count >= 0.99 * buckets[math.inf]:
                break
            below = bound
        if buckets[math.inf] >= 1000:
            found[key] = (below, bound)
    return found


def samples(exporter: Exporter, job: str) -> Samples:
    """Samples of all pages of one kind; those of the same labels are added up."""
    found: Samples = defaultdict(lambda: defaultdict(float))
    for _, text in texts(exporter, job):
        for name, series in read(text).items():
            for labels, value in series.items():
                found[name][labels] += value
    return found


@pytest.mark.parametrize(
    ("fixture", "job", "name", "keys", "named"),
    [
        (
            "molten",
            "llm-d-epp",
            "llm_d_epp_flow_control_request_queue_duration_seconds",
            ("model_name", "priority"),
            ["aurora-5/100", "aurora-5/50", "aurora-5/0", "aurora-5/-10"],
        ),
        ("gated_off", "vllm", "vllm:request_queue_time_seconds", ("model_name",), ["acme/Aurora-5"]),
    ],
)
def test_truth_lies_in_the_exported_interval(
    request: pytest.FixtureRequest, fixture: str, job: str, name: str, keys: tuple[str, ...], named: list[str]
) -> None:
    """The exact p99 of a minute's waits lies in the bucket that a minute's growth of the histogram gives."""
    world, exporter = copy.deepcopy(request.getfixturevalue(fixture))
    c = world.classes
    before, parts = samples(exporter, job), []
    for _ in range(120):
        world.advance(world.open_orders())
        parts.append(world.popped)
    found = intervals(before, samples(exporter, job), name, keys)
    at, age, amount = (np.concatenate(column) for column in zip(*parts, strict=True))
    group, of = (c.pair, len(c.models) * 4) if len(keys) == 2 else (c.model, len(c.models))
    exact = age_quantiles(group[at], age, amount, 0.99, of)
    labels = {
        "model_name": [
            spec.served_as.lower() if job == "llm-d-epp" else f"{spec.org}/{spec.served_as}"
            for spec in c.specs
        ],
        "priority": ["100", "50", "0", "-10"],
    }
    every = ["/".join(names) for names in itertools.product(*(labels[key] for key in keys))]
    p99 = dict(zip(every, exact.tolist(), strict=True))
    for key, (lo, hi) in found.items():
        assert lo < p99[key] <= hi or lo == p99[key] == 0, key
    assert all(p99[key] > 20 for key in named)
    assert set(named) <= set(found)


def test_rows_are_as_busy_as_their_model() -> None:
    """On average over all rows; a broken one says why, and weighs no more than another."""
    world = warmed("calm")
    world.supply.faults = (Fault(0, 0.30, 79, 1e9), Fault(4, 0.99, 94, 1e9))
    exporter = Exporter(world)
    busy: dict[str, list[float]] = defaultdict(list)
    broken = {}
    for _, text in texts(exporter, "dcgm-exporter"):
        samples = read(text)
        xid = {dict(labels)["UUID"]: (labels, v) for labels, v in samples["DCGM_FI_DEV_XID_ERRORS"].items()}
        for labels, value in samples["DCGM_FI_PROF_GR_ENGINE_ACTIVE"].items():
            row = dict(labels)
            assert set(row) == {"gpu", "UUID", "modelName", "Hostname", "container", "namespace", "pod"}
            assert re.match(r"^e1[a-d]-r\d+-n\d\d$", row["Hostname"])
            assert 0 <= value <= 1
            busy[row["pod"].rsplit("-", 2)[0]].append(value)
            if xid[row["UUID"]][1]:
                broken[row["pod"].rsplit("-", 2)[0]] = dict(xid[row["UUID"]][0])
    c = world.classes
    for number, model in enumerate(c.models):
        assert np.mean(busy[model]) == pytest.approx(world.busy[number], abs=2e-6)
        assert len(set(busy[model])) > 1
    assert sum(map(len, busy.values())) == 128
    assert set(broken) == {"aurora-5", "cirrus-vision"}
    told = broken["aurora-5"]
    assert (told["err_code"], told["err_msg"]) == ("79", "GPU has fallen off the bus")


def test_rows_stand_for_the_fleet() -> None:
    """Rows times what each stands for are the accelerators in service but for less than one row, also after a
    delivery."""
    world = World(read_scenario("melting-gpus"), 1)
    exporter = Exporter(world)
    row = re.compile(
        r'^DCGM_FI_DEV_FB_USED{.*modelName="NVIDIA H200".*pod="aurora-5-\w{9}-\w{5}"', re.MULTILINE
    )
    pool_of_aurora = 0
    for minute in (0, 41, 45, 60):
        world.supply.advance(minute * 60.0)
        world.tick = minute * 120
        rows = sum(len(row.findall(text)) for _, text in texts(exporter, "dcgm-exporter"))
        pool = world.supply.pools[pool_of_aurora]
        assert (world.classes.models[pool.model], pool.kind) == ("aurora-5", "gpu")
        assert 0 <= pool.accelerators - rows * pool.stands_for < pool.stands_for
        assert rows == 64 or minute


def test_pages_repeat_themselves() -> None:
    """Same scenario, seed and orders: the same bytes."""
    one, two = (Exporter(warmed("melting-gpus", 900)) for _ in range(2))
    assert [one.text(page) for page in one.pages] == [two.text(page) for page in two.pages]


def test_the_large_fleet() -> None:
    """50 models, 5 tiers, 10,000 rows of one accelerator each."""
    world = warmed("bench-50x5-10k", 20)
    exporter = Exporter(world)
    rows = sum(text.count("\nDCGM_FI_DEV_FB_USED{") for _, text in texts(exporter, "dcgm-exporter"))
    assert rows == 10_000
    samples = read(next(texts(exporter, "llm-d-epp"))[1])
    pairs = samples["llm_d_epp_flow_control_queue_size"]
    assert len({dict(labels)["model_name"] for labels in pairs}) == 50
    assert len({dict(labels)["priority"] for labels in pairs}) == 5
