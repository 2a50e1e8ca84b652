"""Accelerators, Kubernetes and rollouts through a real Prometheus: detection, queries, readings.

Every page is a job of one server and is polled by itself. What is expected is worked out by hand from the
pages; each is also read directly, and must say the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from collectors.config import Identity, PrometheusServer
from collectors.fleet import Exposure
from collectors.prometheus.live import PrometheusPoller
from collectors.scrape.evaluate import evaluate
from collectors.scrape.history import TargetHistory
from collectors.scrape.page import PageReader
from collectors.scrape.poller import PageTarget, ScrapePoller
from collectors.signals.assemble import Observed, observed
from collectors.signals.catalogue import Answer, Definition, Metric, Poll, Row
from collectors.signals.identity import Names
from collectors.signals.presets import read_presets
from collectors.signals.promql import series_name
from tests.accelerator_pages import KUBERNETES, POD, amd, cards, gaudi, neuron, nvidia_smi, page, tpu
from tests.integration.conftest import Page, StartPrometheus, sample
from tests.integration.scrape_site import Site, sent

pytestmark = pytest.mark.slow

EXPORTER = {"namespace": "monitoring", "pod": "exporter-x7k2p"}
LLAMA, MISTRAL = "llama-3-70b", "mistral-7b"
SHARED = cards(
    ("G-1", POD.format("a", "aaaaa"), 0.9),
    ("G-1", POD.format("a", "bbbbb"), 0.9),
    ("G-1", "b-0", 0.9),
    ("G-2", "b-1", 0.3),
)
FLAGGER = page(
    {
        "flagger_canary_status": [('name="a",namespace="serving"', 0.0)],
        "flagger_canary_weight": [
            ('workload="a",namespace="serving"', 35.0),
            ('workload="a-primary",namespace="serving"', 65.0),
        ],
    }
)

Expected = Mapping[tuple[str, str], float]
"""(model, signal) -> value as it is shown; model "" is the fleet."""


@dataclass(frozen=True)
class Case:
    """One page, what it is found to be, what it says of these models, and the map: host -> busy, marks."""

    text: str
    stack: str
    expected: Expected
    nodes: Mapping[str, tuple[Sequence[int], str]] = field(default_factory=dict)
    models: Sequence[str] = ("a", "b")
    labels: Mapping[str, str] = field(default_factory=dict)
    instance: str = ""


SAMPLE: Expected = {
    ("", "accelerators"): 4,
    ("", "slices"): 2,
    ("", "busy_ratio"): 0.66,
    ("", "memory_ratio"): 0.63,
    ("", "power_w"): 1282,
    ("", "temperature_c"): 63,
    ("", "faults"): 1,
    (LLAMA, "accelerators"): 2,
    (LLAMA, "busy_ratio"): 0.96,
    (LLAMA, "tensor_ratio"): 0.21,
    (LLAMA, "memory_ratio"): 0.92,
    (LLAMA, "power_w"): 1210,
    (LLAMA, "faults"): 0,
    (MISTRAL, "accelerators"): 1,
    (MISTRAL, "busy_ratio"): 0.78,
    (MISTRAL, "tensor_ratio"): 0.16,
    (MISTRAL, "memory_ratio"): 0.7,
}
SAMPLE_MAP = {"gpu-node-01": ([96, 96, 0, 87, 51], "  X  ")}
CASES = {
    "dcgm": Case(sample("dcgm-exporter"), "dcgm", SAMPLE, SAMPLE_MAP, (LLAMA, MISTRAL)),
    "dcgm-exported": Case(sample("dcgm-exporter"), "dcgm", SAMPLE, SAMPLE_MAP, (LLAMA, MISTRAL), EXPORTER),
    "dcgm-lower": Case(sample("dcgm-exporter-hostname-lower"), "dcgm", SAMPLE, SAMPLE_MAP, (LLAMA, MISTRAL)),
    "dcgm-shared": Case(
        SHARED,
        "dcgm",
        {
            ("", "accelerators"): 2,
            ("a", "accelerators"): 1,
            ("b", "accelerators"): 2,
            ("", "power_w"): 600,
            ("", "busy_ratio"): 0.6,
            ("", "memory_ratio"): 0.6,
            ("b", "busy_ratio"): 0.6,
            ("", "faults"): 0,
        },
        {"a": ([90, 30], "  ")},
    ),
    "amd": Case(
        amd(),
        "amd",
        {
            ("", "accelerators"): 2,
            ("", "busy_ratio"): 0.7,
            ("a", "busy_ratio"): 0.8,
            ("b", "busy_ratio"): 0.6,
            ("", "power_w"): 1200,
            ("b", "memory_ratio"): 0.25,
            ("b", "faults"): 1,
        },
        {"h": ([80, 60], " e")},
        labels={"namespace": "monitoring"},
    ),
    "gaudi": Case(
        gaudi(),
        "gaudi",
        {
            ("", "accelerators"): 2,
            ("", "busy_ratio"): 0.65,
            ("", "power_w"): 862,
            ("", "memory_ratio"): 0.5,
            ("", "temperature_c"): 62,
        },
        {"g1:41611": ([40, 90], "  ")},
        instance="g1:41611",
    ),
    "neuron": Case(
        neuron(),
        "neuron",
        {("", "accelerators"): 8, ("", "busy_ratio"): 0.25, ("", "faults"): 1},
        {"i-a": ([0, 10, 20, 30], "    "), "i-b": ([80, 10, 20, 30], "    ")},
    ),
    "nvidia-smi": Case(
        nvidia_smi(),
        "nvidia-smi",
        {
            ("", "accelerators"): 2,
            ("", "busy_ratio"): 0.5,
            ("", "memory_ratio"): 0.12,
            ("", "power_w"): 100,
            ("", "faults"): 1,
        },
        {"s1:9835": ([25, 75], " X")},
        instance="s1:9835",
    ),
    "tpu": Case(
        tpu(),
        "tpu-gke",
        {
            ("", "accelerators"): 2,
            ("t", "accelerators"): 2,
            ("t", "busy_ratio"): 0.3,
            ("t", "tensor_ratio"): 0.08,
            ("t", "memory_ratio"): 0.38,
        },
        {"gke-1": ([20, 40], "  ")},
        ("t",),
        {"node": "gke-1"},
    ),
    "kubernetes": Case(
        KUBERNETES,
        "kube-state-metrics",
        {
            ("a", "replicas"): 3,
            ("b", "replicas"): 2,
            ("a", "replicas_desired"): 4,
            ("", "accelerators_allocatable"): 32,
        },
        labels={"namespace": "monitoring"},
    ),
    "argo": Case(sample("argo-rollouts"), "argo-rollouts", {}, labels={"namespace": "argo-rollouts"}),
    "flagger": Case(FLAGGER, "flagger", {}),
    "fan": Case(page({"duty_cycle": [('fan="1"', 100.0)]}), "", {}),
}


@pytest.fixture(scope="module")
def server(prometheus: StartPrometheus) -> str:
    return prometheus(
        [
            Page(name, case.text, {**case.labels, "instance": case.instance or f"{name}:1"})
            for name, case in CASES.items()
        ]
    )


def told(poll: Poll, models: Sequence[str]) -> Observed:
    """The poll's readings, where engines of these models run in workloads of their names."""
    one = Definition("running", "vllm", "engine", "gauge", (Metric("m"),), ())
    rows = tuple(Row({"model_name": m, "namespace": "serving", "workload": m}, 1.0) for m in models)
    names = Names(Identity()).learned((Answer(one, rows, poll.at), *poll.answers))
    return observed(poll, names)


async def polled(server: str, name: str) -> Poll:
    """One poll of one page's job."""
    wanted = PrometheusServer(url=server, select=(f'job="{name}"',))
    poller = PrometheusPoller(wanted, presets=read_presets(), past_s=0)
    try:
        return await poller.poll()
    finally:
        await poller.aclose()


def shown(seen: Observed) -> dict[tuple[str, str], float | None]:
    return {(key.model, key.signal): one.estimate for key, one in seen.readings.items()}


@pytest.mark.parametrize("name", CASES)
async def test_a_page_is_found_and_says_what_it_should(server: str, name: str) -> None:
    """The stack by its proof, its values, and its map; no query is refused."""
    case = CASES[name]
    poll = await polled(server, name)
    assert poll.stacks == ((case.stack,) if case.stack else ())
    assert not [a.error for a in poll.answers if a.error]
    seen = told(poll, case.models)
    found = shown(seen)
    assert {key: found.get(key) for key in case.expected} == dict(case.expected)
    assert {n.name: (list(n.busy), n.marks) for n in seen.nodes or ()} == dict(case.nodes)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.stack])
async def test_a_page_read_directly_says_the_same(server: str, name: str) -> None:
    """The same readings, map and releases as through Prometheus."""
    case, poll = CASES[name], await polled(server, name)
    definitions = [d for p in read_presets() if p.stack == case.stack for d in p.definitions]
    wanted = {series_name(d, m) for d in definitions for m in (*d.metrics, *d.over)}
    target = TargetHistory({**case.labels, "job": name, "instance": case.instance or f"{name}:1"})
    target.record(PageReader(wanted).read(case.text.encode()), round(poll.at * 1000), 600_000)
    present = wanted & {line.split("{")[0] for line in case.text.splitlines()}
    answers = tuple(
        Answer(d, evaluate(d, [target], poll.at, 20), poll.at)
        for d in definitions
        if any(series_name(d, m) in present for m in d.metrics)
    )
    direct = told(Poll("p", poll.at, 1.0, answers, (), (), poll.health), case.models)
    asked = told(poll, case.models)
    assert shown(direct) == shown(asked)
    assert direct.nodes == asked.nodes
    assert direct.releases == asked.releases


async def test_rollouts_through_prometheus(server: str) -> None:
    """Argo's phases without a weight, in the rollout's own namespace; Flagger's weight."""
    argo = told(await polled(server, "argo"), ())
    assert {r.id: r.phase for r in argo.releases} == {
        "argo/serving/embed-v2": "completed",
        "argo/serving/llama-3-70b": "paused",
        "argo/serving/mistral-7b": "progressing",
    }
    (canary,) = told(await polled(server, "flagger"), ()).releases
    assert (canary.id, canary.phase) == ("flagger/serving/a", "progressing")
    assert canary.exposure == (Exposure("*", 0.35),)


async def test_what_is_known_about_the_exporter(server: str) -> None:
    """The probes tell cut cards, profiling, the labels' case and whose labels they are."""
    found = {name: (await polled(server, name)).detected for name in ("dcgm", "dcgm-exported", "dcgm-lower")}
    probed = {name: {p.id: p.found for p in one.probes} for name, (one,) in found.items()}
    common = {"profiling": True, "mig": True, "shared": False}
    assert probed["dcgm"] == {**common, "exported": False, "holders": True, "hostname": False}
    assert probed["dcgm-exported"] == {**common, "exported": True, "holders": True, "hostname": False}
    assert probed["dcgm-lower"] == {**common, "exported": False, "holders": True, "hostname": True}


async def test_what_is_not_shared_is_not_asked_about_again(server: str) -> None:
    """The fleet's own counts cost a query only where cards are shared or cut."""
    for name, totals in (("amd", set()), ("dcgm-shared", {"accelerators", "power_w", "memory_ratio"})):
        poll = await polled(server, name)
        asked = {a.definition.signal for a in poll.answers if a.definition.role == "heat" and a.rows}
        assert asked - {"busy_ratio", "faults"} == totals


@pytest.mark.parametrize("told_faults", [True, False])
async def test_pages_read_directly_claim_no_health_unseen(told_faults: bool) -> None:
    """Cards whose page has no metric of errors have no count of faults; with one of them it is nought."""
    site = Site()
    text = "".join(
        line for line in SHARED.splitlines(keepends=True) if told_faults or "XID_ERRORS" not in line
    )
    site.replies["/metrics"] = sent(text.encode())
    poller = ScrapePoller([PageTarget(site.url("/metrics"))], presets=read_presets(), interval_s=5.0)
    try:
        found = shown(told(await poller.poll(), ("a", "b")))
    finally:
        await poller.aclose()
        site.close()
    assert (found["", "accelerators"], found["", "busy_ratio"]) == (2, 0.6)
    assert [found.get((model, "faults")) for model in ("", "a")] == ([0, 0] if told_faults else [None, None])
