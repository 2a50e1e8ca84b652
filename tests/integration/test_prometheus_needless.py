"""Short queries about accelerators answer what the plain ones do, on a real Prometheus."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from collectors.config import PrometheusServer
from collectors.prometheus import needless
from collectors.prometheus.answer import by_node, rows
from collectors.prometheus.live import PrometheusPoller
from collectors.prometheus.needless import Doubt
from collectors.prometheus.wire import Sample
from collectors.signals.catalogue import Definition, Matcher, Metric
from collectors.signals.presets import read_presets
from collectors.signals.promql import ALTERNATIVE, braces, quoted, render
from tests.integration.conftest import Page, StartPrometheus, asked, until

pytestmark = pytest.mark.slow

(DCGM,) = (preset for preset in read_presets() if preset.stack == "dcgm")
DEFINITIONS = [*DCGM.definitions, *(by_node(d) for d in DCGM.definitions if d.lane == "heat")]
EXPORTER = {"namespace": "monitoring", "pod": "dcgm-exporter-x7k2p"}
POD = "{0}-7d9f8c6b5-{1}"

BIG, SMALL, LONE = POD.format("llama", "abcde"), POD.format("llama", "fghij"), "mistral-0"
PLAIN = [
    *((f'gpu="{n}",UUID="GPU-{n}",Hostname="a",pod="{BIG}",namespace="s"', n) for n in range(4)),
    (f'gpu="0",UUID="GPU-4",Hostname="b",pod="{SMALL}",namespace="s"', 4),
    (f'gpu="1",UUID="GPU-5",Hostname="b",pod="{LONE}",namespace="s"', 5),
    ('gpu="2",UUID="GPU-6",Hostname="b"', 6),
]
SHARED = [
    *PLAIN,
    *((f'gpu="3",UUID="GPU-7",Hostname="b",pod="{p}",namespace="s"', 7) for p in (BIG, SMALL, LONE)),
]
SLICED = [
    *PLAIN,
    (f'gpu="3",UUID="GPU-8",GPU_I_ID="1",Hostname="b",pod="{BIG}",namespace="s"', 8),
    (f'gpu="3",UUID="GPU-8",GPU_I_ID="2",Hostname="b",pod="{SMALL}",namespace="s"', 9),
]
VALUES: dict[str, Callable[[int], float]] = {
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": lambda n: 0.1 + 0.07 * n,
    "DCGM_FI_DEV_GPU_UTIL": lambda n: 11.0 + 7 * n,
    "DCGM_FI_DEV_FB_USED": lambda n: 1000.0 + 100 * n,
    "DCGM_FI_DEV_FB_FREE": lambda n: 500.0 + 7 * n * n,
    "DCGM_FI_DEV_FB_RESERVED": lambda n: 50.0,
    "DCGM_FI_DEV_POWER_USAGE": lambda n: 300.0 + n,
    "DCGM_FI_DEV_GPU_TEMP": lambda n: 40.0 + n,
    "DCGM_FI_DEV_XID_ERRORS": lambda n: 79.0 if n == 5 else 0.0,
}


def page(cards: Sequence[tuple[str, int]], *, without: Callable[[str, str], bool] = lambda *_: False) -> str:
    """Every metric of every card, but for those that are without."""
    return "".join(
        f"{name}{{{labels}}} {value(n)!r}\n"
        for name, value in VALUES.items()
        for labels, n in cards
        if not without(name, labels)
    )


def unprofiled(host: str) -> Callable[[str, str], bool]:
    return lambda name, labels: "PROF" in name and f'Hostname="{host}"' in labels


UUID, SLICE = ("UUID",), ("UUID", "GPU_I_ID")
(WAYS,) = {d.metrics for d in DEFINITIONS if d.signal == "busy_ratio"}
PAGES = {
    "exported": (Page("exported", page(PLAIN), EXPORTER), {UUID, SLICE, WAYS}),
    "plain": (Page("plain", page(PLAIN)), {UUID, SLICE, WAYS, "exported_pod"}),
    "honest": (
        Page("honest", page(PLAIN), EXPORTER, honor_labels=True),
        {UUID, SLICE, WAYS, "exported_pod"},
    ),
    "no pods": (
        Page("no pods", page([c for c in PLAIN if "pod=" not in c[0]])),
        {UUID, SLICE, WAYS, "exported_pod", "pod"},
    ),
    "shared": (Page("shared", page(SHARED), EXPORTER), {WAYS}),
    "sliced": (Page("sliced", page(SLICED), EXPORTER), {SLICE, WAYS}),
    "unprofiled": (Page("unprofiled", page(PLAIN, without=unprofiled("b")), EXPORTER), {UUID, SLICE}),
}


@pytest.fixture(scope="module")
def server(prometheus: StartPrometheus) -> str:
    return prometheus([page for page, _ in PAGES.values()])


def naive(one: Definition, where: Matcher) -> str:
    """The definition word by word: derive on every series, then once each, then together."""

    def series(metric: Metric) -> str:
        vector = metric.name + braces((*metric.where, where))
        for d in one.derive:
            texts = (d.target, d.replacement, d.source, d.regex)
            vector = f"label_replace({vector}, {', '.join(map(quoted, texts))})"
        if one.distinct:
            vector = f"max by ({', '.join((*one.distinct, *one.keep))}) ({vector})"
        return f"{one.aggregate} by ({', '.join(one.keep)}) ({vector})"

    if one.kind == "ratio":
        used, free, reserved = map(series, one.over)
        total = f"({used} + {free} + {reserved})"
        return f"{used} / {total}"
    marked = [
        f'label_replace({series(m)} * {m.factor}, "{ALTERNATIVE}", "{n}", "", "")'
        for n, m in enumerate(one.metrics)
    ]
    expression = f" or on ({', '.join(one.keep)}) ".join(marked)
    return f"({expression}) > 0" if one.signal == "faults" else expression


def answered(
    server: str, one: Definition, query: str
) -> dict[tuple[tuple[str, str], ...], tuple[object, str]]:
    found = rows(one, [Sample(e["metric"], tuple(e["value"])) for e in asked(server, query)])
    return {
        tuple(sorted(row.labels.items())): (pytest.approx(row.value, rel=1e-12), row.rung) for row in found
    }


@pytest.mark.parametrize("name", PAGES)
def test_the_short_form_answers_what_the_naive_one_does(server: str, name: str) -> None:
    """Unequal pods, `exported_` or not, shared cards, slices, cards that are not profiled: row by row."""
    where, present = Matcher("job", "=", name), frozenset(VALUES)
    asking = needless.doubts(DCGM, DEFINITIONS, [where], present)
    spare: set[Doubt] = {doubt for doubt, query in asking.items() if not asked(server, query)}
    # That slices of a card are told apart by its number too follows, and is not told.
    assert spare - {("gpu", *SLICE)} == PAGES[name][1]
    for one in DEFINITIONS:
        plain = answered(server, one, naive(one, where))
        assert (
            plain or one.signal in {"slices", "tensor_ratio"} or (one.signal, name) == ("faults", "no pods")
        )
        for form in (one, needless.shortened(one, spare, present)):
            query = render(form, window_s=20, selector=[where], present=present)
            if not query:
                # Not there, or what the fast lane tells as well.
                assert not plain or (form.metrics == () and one.keep == ())
                continue
            assert answered(server, one, query) == plain, (one.signal, query)


async def test_a_poller_notices_when_what_was_needless_is_needed(
    prometheus: StartPrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two pods of a workload share a card: it counts once. A host without profiling stays on the map."""
    monkeypatch.setattr("collectors.prometheus.live.ACCELERATORS_S", 0.0)
    text = page(PLAIN)
    url = prometheus([Page("gpu", lambda: text)])
    poller = PrometheusPoller(PrometheusServer(url=url), presets=read_presets())

    async def told() -> tuple[object, frozenset[str]]:
        """Accelerators of one workload; hosts that are on the map."""
        poll = await poller.poll()
        assert not poll.health.error
        by = {(a.definition.signal, a.definition.lane): a.rows for a in poll.answers}
        counted = [
            r.value for r in by.get(("accelerators", "fast"), ()) if r.labels.get("workload") == "llama"
        ]
        return sum(counted), frozenset(r.labels["Hostname"] for r in by.get(("busy_ratio", "heat"), ()))  # type: ignore[arg-type]  # counts

    async def until_told(wanted: object, allowed: Sequence[object]) -> None:
        async with asyncio.timeout(60):
            while (found := await told()) != wanted:
                assert found in allowed
                await asyncio.sleep(0.3)

    nothing, both = (0, frozenset[str]()), frozenset("ab")
    await until_told((5, both), [nothing])
    text = page(SHARED)
    await until_told((6, both), [nothing, (5, both)])
    text = page(PLAIN)
    await until_told((5, both), [nothing, (6, both)])
    text = page(PLAIN, without=unprofiled("b"))
    until(lambda: asked(url, "count(DCGM_FI_PROF_GR_ENGINE_ACTIVE)")[0]["value"][1] == "4", "no profiling")
    await until_told((5, both), [nothing])
    await poller.aclose()
