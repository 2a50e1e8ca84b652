"""Native histograms from a real Prometheus, scraped as protobuf: read as classic buckets are."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from collectors.config import PrometheusServer
from collectors.fleet import SourceState
from collectors.prometheus.live import PrometheusPoller
from collectors.signals.catalogue import Answer, Buckets, Poll
from collectors.signals.presets import read_presets
from collectors.signals.quantiles import interval, observations
from tests.integration.conftest import Page, StartConfigured, asked, served, until
from tests.integration.protobuf_page import Native, gauges, natives, served_protobuf

pytestmark = pytest.mark.slow

WAITS = "vllm:request_queue_time_seconds"
RUNNING = "vllm:num_requests_running"
PER_SECOND = (10, 20, 0, 30, 40)
"""Observations a second up to 1, 2, 4, 8, 16 s, and 100 around nought."""


@pytest.fixture
def engines() -> Iterator[Callable[..., str]]:
    """Serves pages of engines that grow from now on; returns the address of one.

    natively: as native histograms; otherwise with classic buckets
    """
    began, serving = time.time(), []

    def start(model: str, *pods: str, natively: bool = True) -> str:
        def page() -> bytes:
            seconds = int((time.time() - began) * 10) / 10
            counts = [int(seconds * one) for one in PER_SECOND]
            some = [Native({"model_name": model, "pod": pod}, counts, int(seconds * 100)) for pod in pods]
            labels = {(("model_name", model), ("pod", pod)): 3.0 for pod in pods}
            return gauges(RUNNING, labels) + natives(WAITS, some)

        def text() -> str:
            seconds = time.time() - began
            lines = [f'{RUNNING}{{model_name="{model}",pod="{pod}"}} 3' for pod in pods]
            lines += [
                f'{WAITS}_bucket{{model_name="{model}",pod="{pod}",le="{le}"}} {seconds * rate!r}'
                for pod in pods
                for le, rate in (("1", 50), ("+Inf", 100))
            ]
            return "\n".join(lines) + "\n"

        web = served_protobuf(page) if natively else served([Page("x", text)])
        serving.append(web)
        return f"127.0.0.1:{web.server_address[1]}"

    yield start
    for web in serving:
        web.shutdown()
        web.server_close()


def configuration(folder: Path, *addresses: tuple[str, str]) -> Path:
    """A prometheus.yml that scrapes the addresses every second; each with the value of a label `replica`."""
    jobs = [
        {
            "job_name": f"{number}",
            "metrics_path": "/0/metrics",
            "static_configs": [
                {
                    "targets": [address],
                    "labels": {"job": "engines", "instance": address, **({"replica": one} if one else {})},
                }
            ],
        }
        for number, (address, one) in enumerate(addresses)
    ]
    file = folder / "prometheus.yml"
    text = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs}
    file.write_text(json.dumps(text), encoding="utf-8")
    return file


async def polled(server: PrometheusServer, enough: Callable[[Answer], bool]) -> tuple[Poll, Answer]:
    """Polls until the waits are told."""
    poller = PrometheusPoller(server, presets=read_presets(), past_s=0)
    async with asyncio.timeout(30), aclosing(poller):
        while True:
            poll = await poller.poll()
            found = [a for a in poll.answers if a.definition.signal == "queue_wait"]
            if found and found[0].rows and enough(found[0]):
                break
            await asyncio.sleep(0.3)
    return poll, found[0]


def only(answer: Answer) -> Buckets:
    (row,) = answer.rows
    assert isinstance(row.value, Buckets)
    return row.value


NATIVELY = ("--enable-feature=native-histograms",)


async def test_waits_of_native_histograms_alone(
    tmp_path: Path, start_configured: StartConfigured, engines: Callable[..., str]
) -> None:
    """Two pods of one workload are one row; its quantiles are what the server itself makes of them."""
    file = configuration(tmp_path, (engines("m", "llama-0", "llama-1"), ""))
    server = start_configured(file, options=NATIVELY)
    poll, answer = await polled(PrometheusServer(url=server.url), lambda a: observations(_first(a)) > 100)
    assert poll.health.state is SourceState.OK
    assert poll.health.error == ""
    (stack,) = poll.detected
    assert (stack.stack, stack.native) == ("vllm", True)
    assert "_bucket" not in answer.query
    (row,) = answer.rows
    assert row.labels == {"model_name": "m", "workload": "llama"}
    found = only(answer)
    assert found.bounds == (0.0, 0.001, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, float("inf"))
    assert observations(found) == pytest.approx(2 * (100 + sum(PER_SECOND)), rel=0.3)
    wait_s = f"sum(rate({WAITS}[{answer.window_s:g}s]))"
    for q, bounds in ((0.3, (0.0, 0.001)), (0.6, (1.0, 2.0)), (0.99, (8.0, 16.0))):
        mine = interval(found, q)
        assert mine is not None
        assert (mine.lo, mine.hi) == bounds
        (theirs,) = asked(server.url, f"histogram_quantile({q}, {wait_s})", poll.at)
        assert mine.estimate == pytest.approx(float(theirs["value"][1]), rel=1e-6)


def _first(answer: Answer) -> Buckets:
    value = answer.rows[0].value
    assert isinstance(value, Buckets)
    return value


async def test_classic_buckets_come_first_in_a_group(
    tmp_path: Path, start_configured: StartConfigured, engines: Callable[..., str]
) -> None:
    """Half way through a migration: one workload has both, and counts once; another only the new form."""
    addresses = [engines("m", "llama-0"), engines("m", "llama-0", natively=False), engines("m", "qwen-0")]
    file = configuration(tmp_path, *((one, "") for one in addresses))
    server = start_configured(file, options=NATIVELY)
    await asyncio.to_thread(until, lambda: bool(asked(server.url, f"rate({WAITS}_bucket[3s])")), "rates")
    _, answer = await polled(PrometheusServer(url=server.url), lambda a: len(a.rows) == 2)
    found = {row.labels["workload"]: row.value for row in answer.rows}
    assert isinstance(found["llama"], Buckets)
    assert found["llama"].bounds == (1.0, float("inf"))
    assert isinstance(found["qwen"], Buckets)
    assert found["qwen"].bounds[-2] == 16.0


async def test_of_two_equal_prometheus_one_native_histogram_counts(
    tmp_path: Path, start_configured: StartConfigured, engines: Callable[..., str]
) -> None:
    """The same page under two values of `replica`: the rate is that of one."""
    address = engines("m", "llama-0")
    file = configuration(tmp_path, (address, "a"), (address, "b"))
    server = start_configured(file, options=NATIVELY)
    _, answer = await polled(PrometheusServer(url=server.url), lambda a: observations(_first(a)) > 100)
    assert "replica" not in answer.rows[0].labels
    assert observations(only(answer)) == pytest.approx(100 + sum(PER_SECOND), rel=0.3)
