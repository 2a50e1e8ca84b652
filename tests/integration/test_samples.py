"""Every sample page as it is read: which stack it is, and what each of its readings must be.

The tables in `tests/data/expected` are written by hand from the sample pages. A real Prometheus scrapes the
pages while they live, and the same pages are read directly: both must give what the tables say, row by row,
and nothing beside it.
"""

import asyncio
import itertools
import math
import time
import tomllib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from collectors.config import Identity, PrometheusServer, TierRule
from collectors.prometheus import detect
from collectors.prometheus.live import PrometheusPoller
from collectors.prometheus.wire import Sample
from collectors.scrape.poller import PageTarget, ScrapePoller
from collectors.signals.assemble import observed
from collectors.signals.catalogue import Answer, Buckets, Poll, Row
from collectors.signals.identity import Names
from collectors.signals.keys import Key
from collectors.signals.presets import read_presets, with_labels
from collectors.signals.quantiles import interval, observations
from tests.integration.conftest import SAMPLES, Page, StartPrometheus, asked, sample, until
from tests.integration.replayer import replayed
from tests.integration.scrape_site import Clock, Site, sent

pytestmark = pytest.mark.slow

TABLES = SAMPLES.parent / "expected"
NAMES = sorted(path.stem for path in SAMPLES.glob("*.prom"))
PRESETS = read_presets()
OF_SERVER = 0.03
"""A real scrape is timed when it begins and the page is made a little later: rates may be off by so much."""


@dataclass(frozen=True)
class Expected:
    """A sample's table.

    labels: of its rows, unless one says its own; a row's priority is its tier
    """

    stack: str
    generation: str
    target: Mapping[str, str]
    readings: Sequence[Mapping[str, Any]]
    empty: Mapping[str, str]
    detected_only: bool


def expected(name: str) -> Expected:
    table = tomllib.loads((TABLES / f"{name}.toml").read_text(encoding="utf-8"))
    usual = {key: table[key] for key in ("labels", "model") if key in table}
    readings = []
    for one in table.get("reading", ()):
        whole = {"tier": "", "rung": "", **usual, **one}
        if whole["tier"]:
            whole["labels"] = {**whole["labels"], "priority": whole["tier"]}
        readings.append(whole)
    return Expected(
        stack=table["stack"],
        generation=table.get("generation", ""),
        target=table.get("target", {}),
        readings=readings,
        empty={one["signal"]: one["why"] for one in table.get("empty", ())},
        detected_only=table.get("detected_only", False),
    )


WITH_READINGS = [name for name in NAMES if not expected(name).detected_only]


@pytest.fixture(scope="module")
def server(prometheus: StartPrometheus) -> str:
    """One server that scrapes every sample, each as a job; long enough for a rate."""
    pages = [Page(name, replayed(sample(name)), expected(name).target) for name in NAMES]
    url = prometheus(pages)
    until(lambda: len(asked(url, "count_over_time(up[20s]) >= 6")) == len(NAMES), "six scrapes of each page")
    return url


def asking(url: str, job: str) -> PrometheusPoller:
    return PrometheusPoller(PrometheusServer(url=url, select=(f'job=~"{job}"',)), presets=PRESETS)


async def asked_poll(url: str, job: str) -> Poll:
    """One poll of a server whose pages were scraped often enough."""
    poller = asking(url, job)
    try:
        return await poller.poll()
    finally:
        await poller.aclose()


@asynccontextmanager
async def reading_pages(names: Sequence[str], clock: Clock) -> AsyncIterator[tuple[Site, ScrapePoller]]:
    """The samples as pages of one site, read directly, on a clock that the test moves."""
    site = Site()
    targets = []
    for name in names:
        page = replayed(sample(name), clock)
        site.replies[f"/{name}"] = lambda handler, page=page: sent(page().encode())(handler)  # type: ignore[misc]  # a default
        targets.append(PageTarget(site.url(f"/{name}"), {"job": name, **expected(name).target}))
    poller = ScrapePoller(targets, presets=PRESETS, interval_s=5.0, clock=clock)
    try:
        yield site, poller
    finally:
        await poller.aclose()
        site.close()


async def read_poll(*names: str) -> Poll:
    """The sixth poll of the pages, 5 s after the fifth."""
    clock = Clock()
    async with reading_pages(names, clock) as (_, poller):
        for _ in range(5):
            await poller.poll()
            clock.now += 5
        return await poller.poll()


@pytest.mark.parametrize("name", NAMES)
async def test_a_sample_is_named_for_what_it_is(server: str, name: str) -> None:
    """Its stack and nothing else, of its generation, with what proves it; the same by both readers."""
    table = expected(name)
    for poll in (await asked_poll(server, name), await read_poll(name)):
        assert poll.stacks == (table.stack,)
        (one,) = poll.detected
        assert one.stack == table.stack
        assert table.detected_only or one.generation == table.generation
        assert one.jobs == (name,)
        assert one.proof
        assert not one.native


async def test_a_mixture_is_named_for_all_that_is_in_it(server: str) -> None:
    """Two stacks in one server are two; what reads an old picker and a new one says the newer."""
    for mixture, stacks in (
        (("vllm", "litellm"), ("litellm", "vllm")),
        (("sglang", "dcgm-exporter"), ("dcgm", "sglang")),
        (("llm-d-epp", "gie-epp-v1.5", "triton"), ("endpoint-picker", "triton")),
    ):
        for poll in (await asked_poll(server, "|".join(mixture)), await read_poll(*mixture)):
            assert poll.stacks == stacks
            if "gie-epp-v1.5" in mixture:
                assert poll.detected[0].generation == expected("llm-d-epp").generation


async def test_everything_together_is_every_stack(server: str) -> None:
    """All samples in one server: each stack once, and no other."""
    poll = await asked_poll(server, ".+")
    assert poll.stacks == tuple(sorted({expected(name).stack for name in NAMES}))


@pytest.mark.parametrize("name", NAMES)
async def test_a_stack_that_went_away_is_not_found(server: str, name: str) -> None:
    """Ten minutes after its last scrape nothing is left that proves it, though its names are still listed."""
    question = detect.question(PRESETS, ())
    found = asked(server, question, time.time() + 600)
    assert not detect.jobs_by_name(Sample(e["metric"], tuple(e["value"])) for e in found)
    clock = Clock()
    async with reading_pages([name], clock) as (site, poller):
        assert (await poller.poll()).stacks == (expected(name).stack,)
        clock.now += 600
        site.replies[f"/{name}"] = sent(b"up_and_empty 1\n")
        assert (await poller.poll()).stacks == ()


@pytest.mark.parametrize("name", WITH_READINGS)
async def test_a_sample_gives_what_its_table_says(server: str, name: str) -> None:
    """Row by row, by a real Prometheus: values, buckets, models, tiers; what has no row has a reason."""
    compare(expected(name), await asked_poll(server, name), OF_SERVER)


@pytest.mark.parametrize("name", WITH_READINGS)
async def test_a_page_gives_what_its_table_says(name: str) -> None:
    """The same, read from the page without a Prometheus, on an exact clock."""
    compare(expected(name), await read_poll(name), 1e-5)


@pytest.mark.parametrize("name", WITH_READINGS)
def test_a_table_leaves_nothing_out(name: str) -> None:
    """Every signal that the stack's preset measures is there, with a value or a reason for none."""
    table = expected(name)
    (preset,) = (p for p in PRESETS if p.stack == table.stack)
    told = {one["signal"] for one in table.readings}
    measured = {one.signal for one in preset.definitions}
    assert not told & table.empty.keys()
    assert measured <= told | table.empty.keys() <= measured | preset.never.keys()
    for one in preset.definitions:
        assert one.signal in told or one.needs, f"{one.signal} is missing, and nobody learns what brings it"


def compare(table: Expected, poll: Poll, tolerance: float) -> None:
    """Hold a poll to a table. raises: AssertionError"""
    assert poll.health.error == ""
    answers = {answer.definition.signal: answer for answer in poll.answers}
    assert not [a.definition.signal for a in poll.answers if a.error or a.collecting]
    names = Names(Identity()).learned(poll.answers)
    for signal, readings in itertools.groupby(
        sorted(table.readings, key=lambda one: str(one["signal"])), lambda one: str(one["signal"])
    ):
        answer, wanted = answers[signal], list(readings)
        assert len(answer.rows) == len(wanted), (signal, answer.rows)
        for one in wanted:
            rows = [row for row in answer.rows if row.labels == one["labels"]]
            assert len(rows) == 1, (signal, one["labels"], [row.labels for row in answer.rows])
            check(one, rows[0], answer, names, tolerance)
    for signal, why in table.empty.items():
        rows_of = answers[signal].rows if signal in answers else ()
        assert not rows_of, (signal, why)
    assert answers.keys() <= {one["signal"] for one in table.readings} | table.empty.keys()


def check(one: Mapping[str, Any], row: Row, answer: Answer, names: Names, tolerance: float) -> None:
    """Hold a row to its line of the table."""
    signal = one["signal"]
    assert (names.model_of_row(row, answer.definition.role) or "") == one["model"], signal
    assert (names.tier(row.labels) or "") == one["tier"], signal
    assert row.rung == one["rung"], signal
    if not isinstance(row.value, Buckets):
        assert row.value == pytest.approx(one["value"], rel=tolerance, abs=1e-12), signal
        return
    assert observations(row.value) == pytest.approx(one["observations"], rel=tolerance), signal
    assert answer.definition.quantiles == tuple(q / 100 for q in (50, 95, 99) if f"p{q}" in one), signal
    for q in answer.definition.quantiles:
        found, wanted = interval(row.value, q), one[f"p{round(q * 100)}"]
        assert found is not None, signal
        if isinstance(wanted, list):
            assert [found.lo, found.hi] == wanted, (signal, q)
            assert found.lo <= found.estimate <= found.hi
        else:
            assert found.estimate == pytest.approx(wanted, rel=tolerance), (signal, q)


async def test_what_is_read_becomes_models_and_tiers(server: str) -> None:
    """Through identity: the picker's and SGLang's classes, and LiteLLM's teams by a rule, are tiers."""
    rules = Identity(
        aliases={"qwen3-235b-a22b": "qwen", "llama-3.3-70b-instruct": "llama-3-70b"},
        priority={"100": "gold", "0": "standard", "-10": "batch", "10": "gold"},
        tiers=(TierRule(label="team_alias", regex="(.+)", tier="team-$1"),),
    )
    presets = with_labels(PRESETS, rules.labels())
    jobs = 'job=~"vllm|sglang|llm-d-epp|litellm"'
    poller = PrometheusPoller(PrometheusServer(url=server, select=(jobs,)), presets=presets)
    poll = await poller.poll()
    await poller.aclose()
    seen = observed(poll, Names(rules).learned(poll.answers))
    assert seen.models == {"llama-3-70b", "qwen"}
    assert seen.tiers == {"gold", "standard", "batch", "team-gold"}

    def value(model: str, tier: str, signal: str) -> float:
        one = seen.readings[Key(model, tier, signal)].estimate
        assert one is not None, (model, tier, signal)
        return one

    # The picker's queue and the engine's: 44 + 7.
    assert value("llama-3-70b", "", "waiting") == 51
    assert value("llama-3-70b", "batch", "waiting") == 41
    assert value("llama-3-70b", "", "running") == 42
    assert value("llama-3-70b", "", "arrivals") == pytest.approx(55.33, rel=OF_SERVER, abs=0.1)
    assert value("llama-3-70b", "team-gold", "rejected") == pytest.approx(0.2, abs=0.051)
    assert value("qwen", "", "waiting") == 9
    assert value("qwen", "standard", "waiting") == 8
    assert value("qwen", "gold", "running") == 11
    # Its HTTP counters name no model.
    assert value("qwen", "", "errors") == pytest.approx(0.0001, abs=1e-4)
    assert Key("qwen", "gold", "queue_wait_p99") not in seen.readings
    for q, bounds in ((50, (0.01, 0.025)), (95, (0.5, 1.0)), (99, (1.0, 2.5))):
        wait = seen.readings[Key("llama-3-70b", "gold", f"queue_wait_p{q}")].value
        assert wait is not None
        assert not isinstance(wait, float)
        assert (wait.lo, wait.hi) == bounds


async def test_two_readers_of_one_living_page_agree(server: str) -> None:
    """The same stack by both readers at once: as many rows of each signal, with the same labels."""
    for name in WITH_READINGS:
        theirs, ours = await asyncio.gather(asked_poll(server, name), read_poll(name))
        shape = [
            sorted(
                (a.definition.signal, sorted(row.labels.items()), math.isnan(number(row)))
                for a in poll.answers
                for row in a.rows
            )
            for poll in (theirs, ours)
        ]
        assert shape[0] == shape[1], name


def number(row: Row) -> float:
    return observations(row.value) if isinstance(row.value, Buckets) else row.value
