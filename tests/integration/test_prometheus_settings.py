"""An operator's own queries, recording rules and the past, through the poller, on a real Prometheus."""

import asyncio
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from collectors.config import Override, PrometheusServer
from collectors.fleet import SourceState
from collectors.prometheus.live import PrometheusPoller
from collectors.signals.catalogue import Answer, Buckets, Poll
from collectors.signals.presets import read_presets
from collectors.signals.recording import groups, rendered
from tests.integration.conftest import (
    Page,
    StartConfigured,
    StartPrometheus,
    asked,
    sample,
    scrape_config,
    served,
    until,
)
from tests.integration.scripted_prometheus import Reply, Request, Scripted

pytestmark = pytest.mark.slow

BEGAN = time.time()


def waits() -> str:
    """A gateway of one's own, whose waits are in milliseconds, and an engine that is known."""
    seconds = time.time() - BEGAN
    lines = ['my_depth{svc="chat",class="pro\x07"} 3', 'my_depth{svc="chat",class="free"} 4']
    lines += [
        f'my_wait_ms_bucket{{svc="chat",le="{le}"}} {seconds * rate!r}'
        for le, rate in (("500", 5), ("2000", 9), ("+Inf", 10))
    ]
    return "\n".join(lines) + "\n"


def engine() -> str:
    seconds = time.time() - BEGAN
    lines = ['vllm:num_requests_running{model_name="m"} 3', 'vllm:num_requests_waiting{model_name="m"} 1']
    lines += [
        f'vllm:request_queue_time_seconds_bucket{{model_name="m",le="{le}"}} {seconds * rate!r}'
        for le, rate in (("1", 5), ("5", 9), ("+Inf", 10))
    ]
    return "\n".join(lines) + "\n"


OVERRIDES = {
    "waiting": Override(query="my_depth", factor=2.0),
    "queue_wait": Override(query="sum by (svc, le) (rate(my_wait_ms_bucket[10s]))", factor=0.001),
    "answer_time_p99": Override(query='my_depth{class="free"} / 8'),
    "running": Override(query="sum(my_depth"),
}


def own(poll: Poll) -> Mapping[str, Answer]:
    return {a.definition.signal: a for a in poll.answers if a.definition.role == "override"}


@pytest.mark.parametrize("known", [False, True], ids=["alone", "beside an engine"])
async def test_ones_own_queries_are_asked_as_they_are(prometheus: StartPrometheus, known: bool) -> None:
    """Whether any stack is there or not; with all labels; the one that is wrong costs its signal alone."""
    pages = [Page("mine", waits), *([Page("engines", engine)] if known else [])]
    url = await asyncio.to_thread(prometheus, pages)
    until(lambda: bool(asked(url, "rate(my_wait_ms_bucket[10s]) > 0")), "rates of the waits")
    poller = PrometheusPoller(
        PrometheusServer(url=url), presets=read_presets(), overrides=OVERRIDES, past_s=0
    )
    poll = await poller.poll()
    await poller.aclose()
    found = own(poll)
    assert found.keys() == OVERRIDES.keys()
    assert {row.labels["class"]: row.value for row in found["waiting"].rows} == {"pro": 6.0, "free": 8.0}
    assert found["waiting"].rows[0].labels.keys() == {"svc", "class", "job", "instance"}
    assert found["waiting"].query == "my_depth"
    (wait,) = found["queue_wait"].rows
    assert isinstance(wait.value, Buckets)
    assert wait.labels == {"svc": "chat"}
    assert wait.value.bounds == (0.5, 2.0, float("inf"))
    assert found["queue_wait"].definition.quantiles == (0.5, 0.95, 0.99)
    (p99,) = found["answer_time_p99"].rows
    assert p99.value == 0.5
    wrong = found["running"]
    assert wrong.rows == ()
    assert wrong.error.startswith("asked for signals.running, it refused with HTTP 400")
    assert wrong.error.endswith("Mend signals.running of this context.")
    assert poll.health.error == wrong.error
    assert poll.health.state is SourceState.PARTIAL
    assert all(a.at is not None and 0 <= poll.at - a.at < 3 for a in found.values())
    presets = {a.definition.signal for a in poll.answers if a.definition.role != "override"}
    assert ("waiting" in presets) == known
    assert poll.intervals["override"] == (1.0 if known else 15.0)


@pytest.fixture
def ruled(start_configured: StartConfigured, tmp_path: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """A Prometheus that records what the poller would ask; and what takes the rules away."""
    pages = [Page("vllm", sample("vllm")), Page("dcgm", sample("dcgm-exporter"))]
    presets = [p for p in read_presets() if p.stack in {"vllm", "dcgm"}]
    rules = tmp_path / "tidegate.yml"
    rules.write_text(rendered(groups(presets, {"vllm": 1.0, "dcgm": 1.0})), encoding="utf-8")
    web = served(pages)
    scraped = json.loads(scrape_config(pages, web, "1s"))
    file = tmp_path / "prometheus.yml"
    file.write_text(json.dumps({**scraped, "rule_files": [str(rules)]}), encoding="utf-8")
    server = start_configured(file)
    loaded = tmp_path / "prometheus-0" / "prometheus.yml"

    def without() -> None:
        loaded.write_text(json.dumps(scraped), encoding="utf-8")
        server.process.send_signal(signal.SIGHUP)

    until(lambda: bool(asked(server.url, "tidegate:dcgm:power_w")), "evaluated after a scrape")
    yield server.url, without
    web.shutdown()
    web.server_close()


def told(poll: Poll) -> dict[tuple[str, ...], tuple[str, object]]:
    """(record, value) by stack, signal and labels, of what the accelerators' answers say."""
    return {
        (a.definition.signal, a.definition.lane, *sorted(map("=".join, row.labels.items()))): (
            a.recorded,
            row.value,
        )
        for a in poll.answers
        if a.definition.stack == "dcgm"
        for row in a.rows
    }


async def test_records_stand_for_queries_while_they_are_made(
    ruled: tuple[str, Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same rows, with the rule's name and the time it was evaluated; without rules at once as before.

    Other labels, which identity rules read, are other rules: those are asked as they are.
    """
    monkeypatch.setattr("collectors.prometheus.live.ACCELERATORS_S", 0.0)
    url, without = ruled
    poller = PrometheusPoller(PrometheusServer(url=url), presets=read_presets(), past_s=0)
    poll = await poller.poll()
    by_rule = told(poll)
    assert {record for record, _ in by_rule.values()} >= {
        "tidegate:dcgm:accelerators",
        "tidegate:dcgm:power_w",
    }
    of_rule = next(a for a in poll.answers if a.recorded)
    assert of_rule.at is not None
    assert 0 <= poll.at - of_rule.at < 3
    assert of_rule.recorded in of_rule.query
    other = PrometheusPoller(
        PrometheusServer(url=url, cluster_label="cluster"), presets=read_presets(), past_s=0
    )
    assert not any(a.recorded for a in (await other.poll()).answers)
    await other.aclose()
    without()
    await asyncio.to_thread(until, lambda: not asked(url, "tidegate:recorded_at"), "no rules any more")
    poll = await poller.poll()
    await poller.aclose()
    assert not any(a.recorded for a in poll.answers)
    plain = told(poll)
    assert {key: pytest.approx(value) for key, (_, value) in plain.items()} == {
        key: value for key, (_, value) in by_rule.items()
    }


async def test_the_past_is_handed_over_once(prometheus: StartPrometheus) -> None:
    """With the first poll or the next, then never again."""
    url = await asyncio.to_thread(prometheus, [Page("engines", engine)])
    until(lambda: len(asked(url, "sum_over_time(up[20s]) >= 5")) == 1, "scraped five times")
    poller = PrometheusPoller(PrometheusServer(url=url), presets=read_presets(), past_s=60.0)
    polls = [await poller.poll() for _ in range(2)]
    async with asyncio.timeout(60):
        while not any(poll.past for poll in polls):
            await asyncio.sleep(0.2)
            polls.append(await poller.poll())
    polls.append(await poller.poll())
    await poller.aclose()
    (past,) = [one for poll in polls for one in poll.past]
    assert past.definition.signal == "queue_wait"
    assert [at for at, _ in past.moments] == sorted(at for at, _ in past.moments)
    (row,) = past.moments[-1][1]
    assert row.labels["model_name"] == "m"
    assert isinstance(row.value, float)
    assert 1.0 < row.value <= 5.0


@pytest.mark.parametrize("is_late", [False, True], ids=["refused", "late"])
async def test_a_past_that_cannot_be_had_costs_one_sentence(is_late: bool) -> None:
    """Said once, beside the readings; no poll waits until it is there."""
    server, go_on = Scripted(), threading.Event()

    def late(_: Request) -> Reply:
        assert not is_late or go_on.wait(60)
        return Reply(500, b"{}")

    server.replies["count(histogram_quantile"] = late
    poller = PrometheusPoller(server.server(), presets=read_presets())
    warnings: list[str] = []
    async with asyncio.timeout(60):
        while not warnings:
            poll = await poller.poll()
            assert any(a.rows for a in poll.answers)
            warnings += poll.health.warnings
            assert not warnings or go_on.is_set() or not is_late
            go_on.set()
            await asyncio.sleep(0.1)
    (said,) = warnings
    assert said.startswith("the past is not shown: asked for it, it refused with HTTP 500")
    assert (await poller.poll()).health.warnings == ()
    await poller.aclose()
    server.close()


async def test_ones_own_wait_has_no_past_of_another(prometheus: StartPrometheus) -> None:
    """The past would be the preset's, and what is watched is not."""
    server = Scripted()
    overrides = {"queue_wait_p99": Override(query="w99")}
    poller = PrometheusPoller(server.server(), presets=read_presets(), overrides=overrides)
    await poller.poll()
    await poller.aclose()
    assert not any("histogram_quantile" in query for query in server.queries)
    server.close()
