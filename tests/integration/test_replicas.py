"""A pair of equal Prometheus in one store, told apart by a label: nothing counts twice (pitfall 22)."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing

import pytest

from collectors.config import PrometheusServer
from collectors.fleet import SourceState
from collectors.prometheus.live import PrometheusPoller
from collectors.signals.catalogue import Buckets, Poll
from collectors.signals.presets import read_presets
from tests.integration.conftest import Page, StartPrometheus, sample
from tests.integration.scripted_prometheus import Reply, Scripted, vector

BEGAN = time.time()

Values = dict[tuple[str, str, str], dict[tuple[tuple[str, str], ...], object]]


def growing() -> str:
    """An engine whose counters and waits grow."""
    seconds = time.time() - BEGAN
    lines = ['vllm:num_requests_running{model_name="busy"} 3']
    lines.append(f'vllm:generation_tokens_total{{model_name="busy"}} {seconds * 1000!r}')
    for le, rate in (("1", 4), ("5", 8), ("+Inf", 10)):
        lines.append(
            f'vllm:request_queue_time_seconds_bucket{{model_name="busy",le="{le}"}} {seconds * rate!r}'
        )
    return "\n".join(lines) + "\n"


PAGES = {
    "vllm": sample("vllm"),
    "growing": growing,
    "dcgm": sample("dcgm-exporter"),
    "picker": sample("llm-d-epp"),
    "router": sample("vllm").replace("model_name=", 'server="a",model='),
}
STATIC = ("waiting", "running", "accelerators", "power_w", "memory_ratio", "busy_ratio", "replicas")


def pages(label: str, *replicas: str) -> list[Page]:
    """Every page once for each replica, which alone tells the series apart."""
    return [
        Page(job, text, {"instance": job, label: replica})
        for job, text in PAGES.items()
        for replica in replicas
    ]


async def settled(server: PrometheusServer) -> tuple[Poll, Values]:
    """The first poll whose rates fill their window, and the last values of all polls until then."""
    found: Values = {}
    poller = PrometheusPoller(server, presets=read_presets(), past_s=0)
    async with asyncio.timeout(40), aclosing(poller):
        while True:
            poll = await poller.poll()
            found |= values(poll)
            full = [a.window_s for a in poll.answers if a.window_s]
            if full and min(full) >= 8 and not any(a.collecting for a in poll.answers):
                break
            await asyncio.sleep(0.5)
    return poll, found


def values(poll: Poll) -> Values:
    """By definition, then by labels; of buckets the rates."""
    return {
        (a.definition.stack, a.definition.signal, a.definition.lane): {
            tuple(sorted(row.labels.items())): row.value.rates
            if isinstance(row.value, Buckets)
            else row.value
            for row in a.rows
        }
        for a in poll.answers
    }


@pytest.mark.slow
async def test_nothing_counts_twice(prometheus: StartPrometheus) -> None:
    """Gauges, rates, buckets, ratios, accelerators, targets: as one Prometheus alone would tell them."""
    alone, pair, odd = await asyncio.gather(
        asyncio.to_thread(prometheus, pages("prometheus_replica", "a")),
        asyncio.to_thread(prometheus, pages("prometheus_replica", "a", "b")),
        asyncio.to_thread(prometheus, pages("another", "a", "b")),
    )
    (_, expected), *others = await asyncio.gather(
        settled(PrometheusServer(url=alone)),
        settled(PrometheusServer(url=pair)),
        settled(PrometheusServer(url=odd, replica_labels=("another",))),
    )
    assert len(expected) > 30
    for poll, found in others:
        assert poll.health.state is SourceState.OK
        assert not [a.error for a in poll.answers if a.error]
        assert poll.health.targets == (len(PAGES), len(PAGES))
        assert all(not {"prometheus_replica", "another"} & t.labels.keys() for t in poll.targets)
        # What is counted by two may be asked in one query more.
        assert found.keys() >= expected.keys()
        for name, rows in expected.items():
            assert found[name].keys() == rows.keys(), name
            # Rates are of other moments; what stands still is exactly the same.
            within = 1e-9 if name[1] in STATIC else 0.35
            for labels, value in rows.items():
                assert found[name][labels] == pytest.approx(value, rel=within, abs=1e-9, nan_ok=True), name


@pytest.mark.slow
async def test_a_pair_that_is_no_pair_counts_twice(prometheus: StartPrometheus) -> None:
    """The setting says that no label tells equal Prometheus apart: then both are counted."""
    url = await asyncio.to_thread(prometheus, pages("prometheus_replica", "a", "b"))
    poller = PrometheusPoller(PrometheusServer(url=url, replica_labels=()), presets=read_presets(), past_s=0)
    poll = await poller.poll()
    await poller.aclose()
    running = next(
        a for a in poll.answers if (a.definition.stack, a.definition.signal) == ("vllm", "running")
    )
    assert {row.labels["model_name"]: row.value for row in running.rows}["busy"] == 6
    assert poll.health.targets == (2 * len(PAGES), 2 * len(PAGES))


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    yield server
    server.close()


def pair(ago_s: Callable[[str], float], at: float) -> tuple[bytes, bytes]:
    """What `up` and its times answer where each of two Prometheus last scraped so long ago."""
    both = [{"job": "engines", "instance": "a:1", "prometheus_replica": one} for one in "ab"]
    ups = vector(*(({"__name__": "up", **labels}, "1") for labels in both))
    return ups, vector(*((labels, str(at - ago_s(labels["prometheus_replica"]))) for labels in both))


async def test_the_one_that_fell_behind_is_not_asked(scripted: Scripted) -> None:
    """Its values are old, and the larger of the two would be believed: the other's alone are asked, and its
    time is the readings'. Once it is back both are asked again."""
    lag = {"a": 1.0, "b": 1.0}
    scripted.replies["up{"] = lambda r: Reply(body=pair(lag.__getitem__, 0)[0])
    scripted.replies["timestamp(up"] = lambda r: Reply(body=pair(lag.__getitem__, float(r.form["time"]))[1])
    scripted.replies = dict(reversed(scripted.replies.items()))
    poller = PrometheusPoller(scripted.server(), presets=read_presets(), past_s=0)

    async def asked() -> tuple[str, Poll]:
        poll = await poller.poll()
        return next(a.query for a in poll.answers if a.definition.signal == "waiting"), poll

    query, poll = await asked()
    assert "max without (prometheus_replica)" in query
    assert poll.health.targets == (1, 1)
    lag["b"] = 40.0
    query, poll = await asked()
    assert 'prometheus_replica!="b"' in query
    (target,) = poll.targets
    assert target.at == pytest.approx(poll.at - 1.0, abs=0.01)
    lag["b"] = 2.0
    query, poll = await asked()
    assert "prometheus_replica!=" not in query
    scripted.replies = {"up{": Reply(422, b"{}")}
    query, poll = await asked()
    assert "max without (prometheus_replica)" in query, "what counted once goes on counting once"
    assert "asked for targets" in poll.health.error
    scripted.replies = {}
    assert "max without" not in (await asked())[0]
    await poller.aclose()
