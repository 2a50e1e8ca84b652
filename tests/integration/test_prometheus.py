"""Presets, queries and polls against a real Prometheus that scrapes the sample pages."""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from collectors.config import PrometheusServer
from collectors.fleet import SourceState
from collectors.prometheus.answer import by_node, rows
from collectors.prometheus.live import PrometheusPoller
from collectors.prometheus.wire import Sample
from collectors.readings import Interval
from collectors.signals.catalogue import Buckets, Definition, Matcher, Metric, Poll, Row
from collectors.signals.presets import read_presets
from collectors.signals.promql import render
from collectors.signals.quantiles import interval
from tests.integration.conftest import Page, StartPrometheus, asked, sample, until

pytestmark = pytest.mark.slow

H100 = "NVIDIA H100 80GB HBM3"
LLAMA = "meta-llama/Llama-3.3-70B-Instruct"
EXPORTER = {"namespace": "monitoring", "pod": "dcgm-exporter-x7k2p"}
ENGINE = {"namespace": "serving", "pod": "llama-3-70b-7d9f8c6b5-abcde"}

# Observations a second at or below 1, 2, 5, 10, 30 s, of two engines.
WAITS = ((900, 990, 1000, 1000, 1000, 1000), (0, 0, 20, 80, 100, 100))
BOUNDS = ("1", "2", "5", "10", "30", "+Inf")

DEFINITIONS = [d for p in read_presets() for d in p.definitions]


def growing(model: str, per_second: Mapping[str, float], *waits: tuple[int, ...]) -> Callable[[], str]:
    """A page of vLLM whose counters grow, from one engine for each of `waits`.

    Keys of `per_second` are metric names, with labels after a `|`.
    """
    began = time.time()

    def text() -> str:
        seconds = time.time() - began
        lines = [f'vllm:num_requests_running{{model_name="{model}"}} 3']
        for name, rate in per_second.items():
            metric, _, labels = name.partition("|")
            lines.append(f'{metric}{{model_name="{model}"{labels and "," + labels}}} {seconds * rate!r}')
        for engine, rates in enumerate(waits):
            for bound, rate in zip(BOUNDS, rates, strict=True):
                labels = f'model_name="{model}",engine="{engine}",le="{bound}"'
                lines.append(f"vllm:request_queue_time_seconds_bucket{{{labels}}} {seconds * rate!r}")
        return "\n".join(lines) + "\n"

    return text


def finished(reason: str) -> str:
    return f'vllm:request_success_total|finished_reason="{reason}"'


def without(page: str, pattern: str) -> str:
    """The page without the lines that match."""
    return "".join(line for line in page.splitlines(keepends=True) if not re.search(pattern, line))


def picker(prefix: str, depth: int, bounds: tuple[str, ...]) -> str:
    """A picker's page under one generation of names; old and new differ in bounds to be told apart."""
    flow = f"{prefix}_flow_control"
    labels = 'inference_pool="p",model_name="m",target_model_name="m",priority="1"'
    lines = [f"{prefix}_info 1", f"{flow}_queue_size{{{labels}}} {depth}"]
    for bound in bounds:
        series = f'{flow}_request_queue_duration_seconds_bucket{{{labels},outcome="Dispatched",le="{bound}"}}'
        lines.append(f"{series} 5")
    return "\n".join(lines) + "\n"


PAGES = [
    Page("dcgm", sample("dcgm-exporter"), EXPORTER),
    Page("dcgm-honest", sample("dcgm-exporter"), EXPORTER, honor_labels=True),
    Page("dcgm-lower", sample("dcgm-exporter-hostname-lower")),
    Page("dcgm-no-profiling", without(sample("dcgm-exporter"), "GR_ENGINE_ACTIVE")),
    Page("dcgm-half-profiling", without(sample("dcgm-exporter"), 'GR_ENGINE_ACTIVE{gpu="1"')),
    Page("dcgm-no-reserved", without(sample("dcgm-exporter"), "FB_RESERVED")),
    Page("vllm", sample("vllm"), ENGINE),
    Page(
        "vllm-and-router",
        sample("vllm") + 'vllm:num_requests_running{server="http://10.0.0.1:8000"} 42\n',
        ENGINE,
    ),
    Page("llm-d", sample("llm-d-epp")),
    Page("gie", sample("gie-epp-v1.5")),
    Page(
        "both",
        picker("llm_d_epp", 4, ("1", "2", "+Inf")) + picker("inference_extension", 9, ("1", "3", "+Inf")),
    ),
    Page("old", picker("inference_extension", 9, ("1", "3", "+Inf"))),
    Page(
        "growing",
        growing("busy", {finished("stop"): 8, finished("length"): 1, finished("error"): 1}, *WAITS),
    ),
    Page("growing", growing("flawless", {finished("stop"): 5})),
    Page("growing", growing("idle", {finished("stop"): 0, finished("error"): 0}, (0,) * 6)),
]


@pytest.fixture(scope="module")
def server(prometheus: StartPrometheus) -> str:
    """One server for all pages; each was scraped often enough for a rate."""
    url = prometheus(PAGES)
    until(lambda: len(asked(url, "sum_over_time(up[20s]) >= 2")) == len(PAGES), "every page scraped twice")
    return url


def definition(stack: str, signal: str, lane: str = "fast") -> Definition:
    (found,) = (d for d in DEFINITIONS if (d.stack, d.signal, d.lane) == (stack, signal, lane))
    return found


def answered(server: str, one: Definition, job: str, window_s: float = 20.0) -> tuple[Row, ...]:
    """The rows that a real server answers for one job."""
    query = render(one, window_s=window_s, selector=[Matcher("job", "=", job)])
    return rows(one, [Sample(e["metric"], tuple(e["value"])) for e in asked(server, query)])


def values(found: tuple[Row, ...], *labels: str) -> dict[tuple[str | None, ...], object]:
    """Value by some labels; the rows must differ in them."""
    by = {tuple(row.labels.get(label) for label in labels): row.value for row in found}
    assert len(by) == len(found)
    return by


@pytest.mark.parametrize("one", DEFINITIONS, ids=lambda d: f"{d.stack}-{d.lane}-{d.signal}")
def test_every_query_is_accepted(server: str, one: Definition) -> None:
    """Whole, narrowed to what is there, filtered, of equal servers, by host: valid, with one row a group."""
    present = frozenset(
        e["metric"]["__name__"] for e in asked(server, 'count by (__name__) ({__name__!=""})')
    )
    awkward = [Matcher("job", "!=", 'a"\\b\n')]
    for kind in (one, by_node(one)):
        for options in ({}, {"present": present}, {"selector": awkward}, {"replicas": ("replica", "r")}):
            query = render(kind, window_s=20.5, **options)
            if not query:
                assert "present" in options
                continue
            found = rows(kind, [Sample(e["metric"], tuple(e["value"])) for e in asked(server, query)])
            assert len({tuple(sorted(row.labels.items())) for row in found}) == len(found)


@pytest.mark.parametrize(
    ("job", "workload"),
    [("dcgm", "exported_workload"), ("dcgm-honest", "workload"), ("dcgm-lower", "workload")],
)
def test_accelerators_by_workload(server: str, job: str, workload: str) -> None:
    """4 and not 3: the MIG card has no temperature, and its slices are one card; `exported_` or not."""
    idle = "dcgm-exporter" if job == "dcgm-honest" else None
    fleet = {name: values(answered(server, definition("dcgm", name), job), workload) for name in DCGM}
    busy = values(answered(server, definition("dcgm", "busy_ratio"), job), workload, "GPU_I_PROFILE")
    assert busy == {
        ("llama-3-70b", None): pytest.approx((0.962117 + 0.958803) / 2),
        ("mistral-7b", "1g.10gb"): pytest.approx(0.512),
        ("mistral-7b", "3g.40gb"): pytest.approx(0.871),
        (idle, None): 0,
    }
    assert fleet == {
        "accelerators": {("llama-3-70b",): 2, ("mistral-7b",): 1, (idle,): 1},
        "memory_ratio": {
            ("llama-3-70b",): pytest.approx(149486 / (149486 + 12516 + 1102)),
            ("mistral-7b",): pytest.approx(34961 / (34961 + 15055)),
            (idle,): pytest.approx(6 / 81552),
        },
        "power_w": {("llama-3-70b",): pytest.approx(1210.204), (idle,): 71.33},
        "temperature_c": {("llama-3-70b",): 63, (idle,): 34},
    }


DCGM = ("accelerators", "memory_ratio", "power_w", "temperature_c")


def test_the_exporters_own_labels_stay_beside(server: str) -> None:
    """honor_labels off: `workload` is the exporter, `exported_workload` is who uses the accelerator."""
    (llama,) = (
        r
        for r in answered(server, definition("dcgm", "power_w"), "dcgm")
        if r.value == pytest.approx(1210.204)
    )
    assert llama.labels == {
        "namespace": "monitoring",
        "exported_namespace": "serving",
        "workload": "dcgm-exporter",
        "exported_workload": "llama-3-70b",
        "modelName": H100,
    }


def test_busy_time_says_how_it_was_measured(server: str) -> None:
    """Without the profiling metric: share of time with a kernel, marked so, and nothing for MIG slices."""
    found = answered(server, definition("dcgm", "busy_ratio"), "dcgm-no-profiling")
    assert values(found, "workload") == {("llama-3-70b",): pytest.approx(0.965), (None,): 0}
    assert {row.rung for row in found} == {"any-kernel time"}


def test_two_ways_to_measure_are_never_averaged(server: str) -> None:
    """One of two cards lacks the better metric: the group is the other card, not the mean of two things."""
    found = answered(server, definition("dcgm", "busy_ratio"), "dcgm-half-profiling")
    assert values(found, "workload", "GPU_I_PROFILE")["llama-3-70b", None] == pytest.approx(0.962117)
    assert {row.rung for row in found} == {""}


def test_memory_without_reserved(server: str) -> None:
    """An older exporter has no FB_RESERVED: the total is what there is, and no group is lost."""
    found = values(answered(server, definition("dcgm", "memory_ratio"), "dcgm-no-reserved"), "workload")
    assert found[("llama-3-70b",)] == pytest.approx(149486 / (149486 + 12516))
    assert len(found) == 3


def test_the_map_has_a_row_for_each_accelerator(server: str) -> None:
    """Four cards, one of them two slices; hosts under either label; the fault alone, with its code."""
    busy = answered(server, definition("dcgm", "busy_ratio", "heat"), "dcgm")
    assert values(busy, "Hostname", "gpu", "GPU_I_ID") == {
        ("gpu-node-01", "0", None): 0.962117,
        ("gpu-node-01", "1", None): 0.958803,
        ("gpu-node-01", "2", None): 0.0,
        ("gpu-node-01", "3", "7"): 0.512,
        ("gpu-node-01", "3", "2"): 0.871,
    }
    lower = answered(server, definition("dcgm", "busy_ratio", "heat"), "dcgm-lower")
    assert {row.labels.get("hostname") for row in lower} == {"gpu-node-01"}
    faults = answered(server, definition("dcgm", "faults", "heat"), "dcgm")
    assert values(faults, "gpu", "err_code") == {("2", "79"): 79}


def test_the_map_by_host(server: str) -> None:
    """Of a big fleet: the mean of each workload's cards on the host, no label of a card."""
    found = answered(server, by_node(definition("dcgm", "busy_ratio", "heat")), "dcgm")
    assert values(found, "Hostname", "exported_workload", "GPU_I_PROFILE") == {
        ("gpu-node-01", "llama-3-70b", None): pytest.approx(0.96046),
        ("gpu-node-01", "mistral-7b", "1g.10gb"): pytest.approx(0.512),
        ("gpu-node-01", "mistral-7b", "3g.40gb"): pytest.approx(0.871),
        ("gpu-node-01", None, None): 0,
    }
    assert not {"gpu", "UUID", "GPU_I_ID"} & {label for row in found for label in row.labels}


def test_engine_gauges_join_the_accelerators(server: str) -> None:
    """Model, namespace and workload: the two words that the accelerators' rows have too."""
    expected = {"running": 42, "waiting": 7, "kv_ratio": 0.7312, "replicas": 1}
    for signal, value in expected.items():
        assert answered(server, definition("vllm", signal), "vllm") == (
            Row({"model_name": LLAMA, "namespace": "serving", "workload": "llama-3-70b"}, value),
        )


def test_a_router_that_repeats_engine_metrics_does_not_count(server: str) -> None:
    """The production-stack router exports the same name without a model."""
    for signal, value in (("running", 42), ("replicas", 1)):
        (row,) = answered(server, definition("vllm", signal), "vllm-and-router")
        assert row.value == value


@pytest.mark.parametrize("job", ["llm-d", "gie"])
def test_the_picker_by_priority(server: str, job: str) -> None:
    """The two generations of names say the same."""
    waiting = answered(server, definition("endpoint-picker", "waiting"), job)
    assert values(waiting, "priority") == {("100",): 0, ("0",): 3, ("-10",): 41}
    for signal, value in (("pool_saturation", 0.93), ("kv_ratio", 0.71), ("replicas", 8)):
        found = answered(server, definition("endpoint-picker", signal), job)
        assert found == (Row({"inference_pool": "llama-pool"}, value),)
    wait = answered(server, definition("endpoint-picker", "queue_wait"), job)
    assert {row.labels["priority"] for row in wait} == {"100", "0", "-10"}
    assert all(isinstance(row.value, Buckets) and len(row.value.bounds) == 17 for row in wait)
    rejected = answered(server, definition("endpoint-picker", "rejected"), job)
    assert values(rejected, "priority") == {("100",): 0, ("0",): 0, ("-10",): 0}


def test_old_and_new_names_together_are_not_added_up(server: str) -> None:
    """4 and not 13; and the buckets are those of the new name alone, though the old one has other bounds."""
    for job, depth, bound in (("both", 4, 2.0), ("old", 9, 3.0)):
        (row,) = answered(server, definition("endpoint-picker", "waiting"), job)
        assert row.value == depth
        (row,) = answered(server, definition("endpoint-picker", "queue_wait"), job)
        assert isinstance(row.value, Buckets)
        assert row.value.bounds == (1.0, bound, float("inf"))


def test_errors_are_nought_only_with_traffic(server: str) -> None:
    """1 of 10; 0 where no error was ever counted; NaN where nothing came."""
    one = definition("vllm", "errors")
    until(lambda: len(answered(server, one, "growing")) == 3, "rates of all three models")
    found = values(answered(server, one, "growing"), "model_name")
    assert found[("busy",)] == pytest.approx(0.1)
    assert found[("flawless",)] == 0
    assert found[("idle",)] != found[("idle",)]


def test_quantiles_agree_with_the_server(server: str) -> None:
    """Two engines together, at one time: our estimate is what histogram_quantile says."""
    one = definition("vllm", "queue_wait")
    until(lambda: any(_p99(row) for row in answered(server, one, "growing")), "rates of the buckets")
    query = render(one, window_s=20, selector=[Matcher("job", "=", "growing")])
    at = time.time()
    ours = {
        row.labels["model_name"]: row.value
        for row in rows(one, [Sample(e["metric"], tuple(e["value"])) for e in asked(server, query, at)])
    }
    assert isinstance(ours["busy"], Buckets)
    assert isinstance(ours["idle"], Buckets)
    for q in (0.0, 0.1, 0.5, 0.9, 0.95, 0.99, 1.0):
        theirs = {
            e["metric"]["model_name"]: float(e["value"][1])
            for e in asked(server, f"histogram_quantile({q}, {query})", at)
        }
        mine = interval(ours["busy"], q)
        assert mine is not None
        assert mine.lo <= mine.estimate <= mine.hi
        assert mine.estimate == pytest.approx(theirs["busy"], rel=1e-9)
        assert interval(ours["idle"], q) is None
        assert theirs["idle"] != theirs["idle"]


def _p99(row: Row) -> Interval | None:
    return interval(row.value, 0.99) if isinstance(row.value, Buckets) else None


async def polled(poller: PrometheusPoller, enough: Callable[[Poll], bool]) -> Poll:
    """Polls, until one is enough."""
    async with asyncio.timeout(60):
        while not enough(poll := await poller.poll()):
            await asyncio.sleep(0.2)
    return poll


async def test_a_poll_brings_everything(server: str) -> None:
    """All stacks, all targets, no error; every reading's time is a scrape; rates once they can be had."""
    poller = PrometheusPoller(PrometheusServer(url=server), presets=read_presets())
    poll = await polled(poller, lambda p: not any(a.collecting for a in p.answers))
    await poller.aclose()
    assert poll.health.state is SourceState.OK
    assert poll.health.error == ""
    assert poll.stacks == ("dcgm", "endpoint-picker", "production-stack", "vllm")
    assert tuple(one.stack for one in poll.detected) == poll.stacks
    assert poll.health.targets == (len(PAGES), len(PAGES))
    assert poll.interval_s == 1.0
    assert not [a.definition.signal for a in poll.answers if a.error]
    for answer in poll.answers:
        assert answer.at is not None
        assert 0 <= poll.at - answer.at < 3
    (target,) = (t for t in poll.targets if t.labels["job"] == "vllm")
    assert target.stacks == {"vllm"}
    assert target.labels["pod"] == ENGINE["pod"]
    (wait,) = (a for a in poll.answers if (a.definition.stack, a.definition.signal) == ("vllm", "queue_wait"))
    (busy,) = (r for r in wait.rows if r.labels["model_name"] == "busy")
    found = _p99(busy)
    assert found is not None
    assert (found.lo, found.hi) == (10.0, 30.0)
    assert found.estimate == pytest.approx(19.0)


async def test_a_new_server_collects_and_then_tells_true_rates(prometheus: StartPrometheus) -> None:
    """1 to 3 of 4 scrapes: no rate. Then at once the true rate, though the window is not full yet."""
    page = Page("new", growing("m", {"vllm:generation_tokens_total": 1000}))
    began = time.monotonic()
    poller = PrometheusPoller(PrometheusServer(url=prometheus([page])), presets=read_presets())
    first = await poller.poll()
    tokens = lambda p: next(a for a in p.answers if a.definition.signal == "tokens_out")  # noqa: E731  # one line, used twice
    if time.monotonic() - began < 3:
        assert tokens(first).collecting is not None
        assert tokens(first).rows == ()
    assert next(a for a in first.answers if a.definition.signal == "running").rows
    poll = await polled(poller, lambda p: tokens(p).collecting is None)
    await poller.aclose()
    (row,) = tokens(poll).rows
    assert row.value == pytest.approx(1000, rel=0.15)


async def test_a_target_that_stops_answering_is_known(prometheus: StartPrometheus) -> None:
    """Coverage falls, the time goes on by the live target; under a path prefix, as behind a proxy."""
    up = True

    def flaky() -> str:
        if not up:
            raise OSError("gone")
        return 'vllm:num_requests_running{model_name="m"} 1\n'

    steady = 'vllm:num_requests_running{model_name="m"} 2\n'
    url = prometheus([Page("engines", steady), Page("engines", flaky)], prefix="metrics/prod")
    poller = PrometheusPoller(PrometheusServer(url=url), presets=read_presets())
    poll = await poller.poll()
    assert poll.health.targets == (2, 2)
    up = False
    poll = await polled(poller, lambda p: p.health.targets == (1, 2))
    await poller.aclose()
    assert sorted(t.up for t in poll.targets) == [False, True]
    (live,) = (t for t in poll.targets if t.up)
    running = next(a for a in poll.answers if a.definition.signal == "running")
    assert running.at == live.at
    assert [row.value for row in running.rows] == [2]


async def test_one_cluster_of_a_shared_store(server: str) -> None:
    """A selector keeps the rest out, of targets too."""
    settings = PrometheusServer(url=server, select=('job="llm-d"',), cluster="eu", cluster_label="namespace")
    poller = PrometheusPoller(settings, presets=read_presets())
    poll = await poller.poll()
    await poller.aclose()
    assert poll.stacks == ("endpoint-picker",)
    assert poll.cluster == "eu"
    assert all("namespace" in a.definition.keep for a in poll.answers)
    assert [t.labels["job"] for t in poll.targets] == ["llm-d"]


def test_labels_with_an_empty_keep(server: str) -> None:
    """Nothing kept: one row for all, and alternatives still give way."""
    two = (Metric("llm_d_epp_flow_control_queue_size"), Metric("inference_extension_flow_control_queue_size"))
    one = replace(definition("endpoint-picker", "waiting"), keep=(), derive=(), metrics=two)
    assert answered(server, one, "both") == (Row({}, 4),)
