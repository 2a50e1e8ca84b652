"""The same definitions on VictoriaMetrics, which speaks the API of a Prometheus and a language of its own.

It scrapes the pages itself. The same pages, at the times at which it says it scraped them, are read here:
gauges, counts and their ratios must be the same. Rates follow MetricsQL's own rule: the last sample before
the window counts too, and nothing is extrapolated. Of a counter that grows steadily that is the same rate; of
others it is near, as `NEAR` says.
"""

import asyncio
import math
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from collectors.config import Context, PrometheusServer
from collectors.fleet import Frame, SourceState
from collectors.prometheus.answer import rows
from collectors.prometheus.live import PrometheusPoller
from collectors.prometheus.wire import Sample
from collectors.readings import Quality
from collectors.scrape.evaluate import evaluate
from collectors.signals.catalogue import Buckets, Definition, Matcher, Poll
from collectors.signals.presets import read_presets
from collectors.signals.promql import render, series_name
from collectors.watch.loop import Watch
from tests.debian_binary import lacking
from tests.integration.conftest import (
    SAMPLES,
    Page,
    asked,
    free_port,
    sample,
    scrape_config,
    served,
    until,
)
from tests.integration.test_scrape_promql import (
    Scraped,
    Told,
    advanced,
    agree,
    churning,
    comparable,
    history,
    restarted,
    seen_of,
)
from tests.victoria_binary import victoria_binary

pytestmark = pytest.mark.slow

SCRAPES = 14
WINDOWS_S = (4.0, 7.5)
STEADY, NEAR = 1e-6, 0.4
"""Largest share by which rates differ: of steady counters, and of those that begin anew or lack samples in a
window of four scrapes."""

JUST_BEFORE = frozenset({3, 4})
"""Scrapes after a restart when it lies between the window's first sample and the one before: there it counts
as a rise from nothing, and here not at all. No bound holds then."""

Rows = Mapping[tuple[tuple[str, str], ...], tuple[object, str]]


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    """A VictoriaMetrics that has scraped every sample, and two that do not grow steadily."""
    pages = [Told(path.stem, advanced) for path in sorted(SAMPLES.glob("*.prom"))]
    pages += [
        Told("vllm", restarted, job="vllm-restarted"),
        Told("llm-d-epp", churning, job="epp-churning"),
        Told("dcgm-exporter", advanced, job="dcgm-pods", labels={"pod": "exporter-7", "namespace": "gpu"}),
    ]
    folder = tmp_path_factory.mktemp("victoria-metrics")
    # The questions of these tests do not say that they want the answer for now.
    with running(folder, [page.page() for page in pages], "-search.latencyOffset=0s") as url:
        until(lambda: is_scraped(url, len(pages)), f"{SCRAPES} scrapes: {folder / 'log'}", 60)
        yield Scraped(url, pages, [seen_of(url, number, page) for number, page in enumerate(pages)])


@contextmanager
def running(folder: Path, pages: Sequence[Page], *options: str) -> Iterator[str]:
    """A VictoriaMetrics that scrapes the pages every second: its base URL."""
    binary, why = victoria_binary()
    if binary is None:
        lacking(why)
    web = served(pages)
    config = folder / "prometheus.yml"
    config.write_text(scrape_config(pages, web, "1s"), encoding="utf-8")
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                str(binary),
                f"-httpListenAddr=127.0.0.1:{port}",
                f"-storageDataPath={folder / 'data'}",
                f"-promscrape.config={config}",
                *options,
            ],
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
        web.shutdown()
        web.server_close()


def is_scraped(url: str, pages: int) -> bool:
    try:
        return len(asked(url, f"count_over_time(up[5m]) >= {SCRAPES}")) == pages
    except OSError:
        return False


def definitions() -> list[Definition]:
    return [one for preset in read_presets() for one in preset.definitions]


def steady(scraped: Scraped, one: Definition) -> list[int]:
    """The pages that grow steadily and carry what the definition is about."""
    names = {metric.name for metric in (*one.metrics, *one.over)}
    return [
        number
        for number, page in enumerate(scraped.pages)
        if page.change is advanced and any(name in page.texts[0] for name in names)
    ]


def both(scraped: Scraped, one: Definition, at: float, window_s: float, number: int) -> tuple[Rows, Rows]:
    """What is read here of one page, and what VictoriaMetrics answers. It takes NaN for no sample at all."""
    page, seen = scraped.pages[number], scraped.seen[number]
    wanted = frozenset(series_name(one, metric) for metric in (*one.metrics, *one.over))
    read = history(page, number, seen, at, wanted)
    mine = comparable(evaluate(one, [read], at, window_s))
    where = [Matcher("instance", "=", read.labels["instance"])]
    query = render(one, window_s=window_s, selector=where, guarded=True)
    theirs = [Sample(e["metric"], tuple(e["value"])) for e in asked(scraped.url, query, at)]
    return {k: v for k, v in mine.items() if not is_nan(v[0])}, comparable(rows(one, theirs))


def is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def apart(mine: object, theirs: object) -> float:
    """The share by which two values differ; of histograms of all observations."""
    if isinstance(mine, Buckets) and isinstance(theirs, Buckets):
        mine, theirs = mine.rates[-1], theirs.rates[-1]
    assert isinstance(mine, float)
    assert isinstance(theirs, float)
    return abs(mine - theirs) / max(abs(mine), abs(theirs), 1e-9)


def moments(scraped: Scraped) -> list[float]:
    """Times that are well between two scrapes, and one soon after."""
    return [scraped.first[11] + 0.437, scraped.first[12] + 0.05]


def test_gauges_and_counts_are_the_same(scraped: Scraped) -> None:
    """Every definition that needs no rate, on every page: the same groups, values and rungs."""
    compared = 0
    for one in (d for d in definitions() if not d.needs_rate):
        for number in steady(scraped, one):
            for at in moments(scraped):
                mine, theirs = both(scraped, one, at, 20.0, number)
                name = f"{scraped.pages[number].name}: {one.stack} {one.signal} {one.lane}"
                assert mine.keys() == theirs.keys(), name
                for key, (value, rung) in mine.items():
                    assert rung == theirs[key][1], name
                    assert agree(value, theirs[key][0]), f"{name}: {value} {theirs[key][0]}"  # type: ignore[arg-type]  # values of rows
                    compared += 1
    assert compared > 150


@pytest.mark.parametrize("window_s", WINDOWS_S)
def test_steady_rates_are_the_same(scraped: Scraped, window_s: float) -> None:
    """Counters, ratios of rates and every bucket of a histogram, where counters grow steadily."""
    compared = 0
    for one in (d for d in definitions() if d.needs_rate):
        for number in steady(scraped, one):
            at = moments(scraped)[0]
            mine, theirs = both(scraped, one, at, window_s, number)
            name = f"{scraped.pages[number].name}: {one.stack} {one.signal} over {window_s} s"
            assert mine.keys() == theirs.keys(), name
            for key, (value, _) in mine.items():
                other = theirs[key][0]
                if isinstance(value, Buckets) and isinstance(other, Buckets):
                    assert value.bounds == other.bounds, name
                    assert value.rates == pytest.approx(other.rates, rel=STEADY, abs=1e-9), name
                assert apart(value, other) <= STEADY, f"{name}: {value} {other}"
                compared += 1
    assert compared > 40


@pytest.mark.parametrize(("job", "stack"), [("vllm-restarted", "vllm"), ("epp-churning", "endpoint-picker")])
def test_other_rates_are_near(scraped: Scraped, job: str, stack: str) -> None:
    """Restarts and gaps: every group that is here is there, and the rate is within `NEAR`."""
    (number,) = (n for n, page in enumerate(scraped.pages) if page.job == job)
    worst = 0.0
    for scraped_at, text in scraped.seen[number][7:13]:
        assert text is not None
        scrape = int(text.rsplit(maxsplit=1)[1])
        for window_s in WINDOWS_S:
            if job == "vllm-restarted" and window_s == WINDOWS_S[0] and scrape % 6 in JUST_BEFORE:
                continue
            for one in (d for d in definitions() if d.needs_rate and d.stack == stack):
                mine, theirs = both(scraped, one, scraped_at + 0.437, window_s, number)
                assert mine.keys() <= theirs.keys(), f"{one.signal} at scrape {scrape}"
                for key, (value, _) in mine.items():
                    worst = max(worst, apart(value, theirs[key][0]))
    assert 0 < worst <= NEAR


async def test_it_is_watched_like_any_other(scraped: Scraped) -> None:
    """Detection, targets and a whole frame: models have good readings, and nothing is refused."""
    server = PrometheusServer(url=scraped.url)
    poller = PrometheusPoller(server, presets=read_presets(), past_s=0)
    watch = Watch("vm", Context(prometheus=(server,)), [poller], tick_s=0.2)
    try:
        async for frame in watch.frames():
            if frame.tick > 50 or is_whole(frame):
                break
    finally:
        await watch.aclose()
    (health,) = frame.sources
    assert health.state is SourceState.OK, health.error
    assert health.error == ""
    assert health.targets == (len(scraped.pages), len(scraped.pages))
    model = next(one for one in frame.models if one.name == "llama-3-70b")
    assert {model.reading(s).quality for s in ("queue_wait_p99", "waiting")} == {Quality.GOOD}
    assert frame.nodes


def is_whole(frame: Frame) -> bool:
    return any(one.reading("queue_wait_p99").value is not None for one in frame.models)


MODEL = "meta-llama/Llama-3.3-70B-Instruct"
POD = {"pod": "llama-3-70b-7d9f8c6b5-abcde", "namespace": "serving"}
BEHIND_S = 8.0
"""What is scraped every second is this old at most: a VictoriaMetrics keeps a moment's samples to itself."""


async def test_an_untouched_one_tells_what_is_so_now(tmp_path: Path) -> None:
    """With its own settings it answers for 30 s ago, and its `label_replace` makes labels up: not to us."""
    pages = [
        Page("podless", sample("vllm").replace(MODEL, "nobodys")),
        Page("vllm", sample("vllm"), labels=POD),
        Page("dcgm", sample("dcgm-exporter"), honor_labels=True),
        Page("dcgm", sample("dcgm-exporter"), labels=POD),
        Page("picker", sample("llm-d-epp")),
    ]
    with running(tmp_path, pages) as url:
        wanted = [p for p in read_presets() if p.stack in {"vllm", "dcgm", "endpoint-picker"}]
        poller = PrometheusPoller(PrometheusServer(url=url), presets=wanted, past_s=0)
        deadline = time.monotonic() + 60
        try:
            until(lambda: is_up(url), "it answers")
            poll = await poller.poll()
            while not is_complete(poll, len(pages)):
                assert time.monotonic() < deadline, poll.health
                await asyncio.sleep(0.2)
                poll = await poller.poll()
        finally:
            await poller.aclose()
    assert poll.health.state is SourceState.OK, poll.health.error
    for target in poll.targets:
        assert target.at is not None
        assert poll.at - target.at < BEHIND_S, target
    found = {
        (row.labels.get("model_name"), row.labels.get("workload"), row.labels.get("exported_workload"))
        for answer in poll.answers
        if answer.definition.stack == "vllm"
        for row in answer.rows
    }
    assert found == {(MODEL, "llama-3-70b", None), ("nobodys", None, None)}
    pods = {
        row.labels.get(label)
        for answer in poll.answers
        if answer.definition.stack == "dcgm"
        for row in answer.rows
        for label in ("workload", "exported_workload")
    }
    assert pods == {"llama-3-70b", "mistral-7b", None}


def is_up(url: str) -> bool:
    try:
        return asked(url, "vector(1)") != []
    except OSError:
        return False


def is_complete(poll: Poll, targets: int) -> bool:
    """All stacks are there, every target was scraped, and rates have their four scrapes."""
    return (
        len(poll.stacks) == 3
        and poll.health.targets == (targets, targets)
        and not any(answer.collecting or answer.error for answer in poll.answers)
        and all(any(a.rows for a in poll.answers if a.definition.stack == one) for one in poll.stacks)
    )
