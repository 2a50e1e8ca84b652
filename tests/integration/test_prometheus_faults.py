"""A Prometheus that is slow, absent or lying, over real HTTP: what a poll says then."""

import asyncio
import email.utils
import gzip
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.config import PrometheusServer
from collectors.fleet import SourceState
from collectors.prometheus.asking import BIG_BODY_BYTES
from collectors.prometheus.client import CONCURRENT, MAX_BODY_BYTES, MAX_QUERY_IN_URL
from collectors.prometheus.live import BY_NODE_ABOVE, PrometheusPoller
from collectors.prometheus.wire import Vector, read_vector
from collectors.readings import ticked
from collectors.signals.catalogue import Answer, Poll
from collectors.signals.presets import read_presets
from tests.integration.scripted_prometheus import Reply, Request, Scripted, vector

SLOW_S = 0.4
"""A short time limit: a reply that waits longer is too late."""

PRESETS = read_presets()


@pytest.fixture
def server() -> Iterator[Scripted]:
    scripted = Scripted()
    yield scripted
    scripted.close()


def poller(server: Scripted, **settings: object) -> PrometheusPoller:
    return PrometheusPoller(server.server(**settings), presets=PRESETS, past_s=0)


def answer(poll: Poll, signal: str, lane: str = "fast") -> Answer:
    (found,) = (a for a in poll.answers if a.definition.signal == signal and a.definition.lane == lane)
    return found


async def test_a_healthy_server_is_asked_at_one_time(server: Scripted) -> None:
    """Every query of a poll has the same time and a limit below ours; long ones travel in the body."""
    one = poller(server)
    poll = await one.poll()
    await one.aclose()
    assert poll.health.state is SourceState.OK
    assert poll.health.error == ""
    assert (poll.interval_s, one.interval_s, one.intervals) == (5.0, 5.0, {"vllm": 5.0})
    assert poll.health.targets == (1, 1)
    assert poll.health.queries == len(server.requests)
    assert poll.health.received_bytes > 1000
    assert [row.value for row in answer(poll, "running").rows] == [7.0]
    assert answer(poll, "running").at == pytest.approx(poll.at - 2, abs=0.002)
    asked = [r for r in server.requests if r.path == "/api/v1/query"][1:]
    assert {r.form["time"] for r in asked} == {f"{poll.at:.3f}"}
    assert all(r.form["timeout"] == "8000ms" for r in asked)
    assert all("gzip" in r.headers["Accept-Encoding"] for r in asked)
    assert {r.method == "POST" for r in asked if len(r.query) > MAX_QUERY_IN_URL} <= {True}
    assert {r.method == "GET" for r in asked if len(r.query) <= MAX_QUERY_IN_URL} == {True}


async def test_a_long_query_travels_in_the_body(server: Scripted) -> None:
    """Detection names everything at once: too long for the URL of a proxy."""
    one = poller(server)
    await one.poll()
    await one.aclose()
    assert server.requests[0].method == "POST"
    assert len(server.requests[0].query) > MAX_QUERY_IN_URL


async def test_no_more_than_four_at_once(server: Scripted) -> None:
    """A Prometheus answers fewer a second at eight."""
    server.replies["vllm:"] = lambda request: Reply(body=server.healthy(request), delay_s=0.02)
    one = poller(server)
    await one.poll()
    await one.aclose()
    assert 1 < server.most_at_once <= CONCURRENT


FAULTS = {
    "bad query": (
        Reply(400, b'{"status":"error","errorType":"bad_data","error":"parse"}'),
        "HTTP 400, bad_data",
    ),
    "too many samples": (
        Reply(422, b'{"status":"error","errorType":"execution","error":"max"}'),
        "HTTP 422, exec",
    ),
    "too slow inside": (
        Reply(503, b'{"status":"error","errorType":"timeout","error":"t"}'),
        "HTTP 503, timeout",
    ),
    "broken inside": (Reply(500, b"panic"), "HTTP 500, panic"),
    "no backend": (Reply(502, b"<html>bad gateway</html>"), "HTTP 502"),
    "no backend, gzipped": (
        Reply(503, gzip.compress(b"<html></html>"), {"Content-Encoding": "gzip"}),
        "HTTP 503",
    ),
    "sign in": (Reply(200, b"<!doctype html><title>Sign in</title>"), "a page of HTML"),
    "redirect": (Reply(302, b"", {"Location": "/login"}), "HTTP 302"),
    "half an answer": (Reply(body=vector(({"a": "b"}, "1"))[:40]), "half an answer"),
    "cut in the body": (Reply(body=vector(({"a": "b"}, "1")), cut=30), "cut the connection"),
    "gzip cut short": (
        Reply(body=gzip.compress(vector(({"a": "b"}, "1")))[:-20], headers={"Content-Encoding": "gzip"}),
        "half an answer",
    ),
    "no gzip at all": (
        Reply(body=vector(({"a": "b"}, "1")), headers={"Content-Encoding": "gzip"}),
        "half an answer",
    ),
    "too late": (Reply(body=vector(), delay_s=2 * SLOW_S), "did not answer within 0."),
    "too much": (Reply(body=b'{"status":"' + b"x" * (MAX_BODY_BYTES + 1)), "more than 8 MB"),
    "a value that is none": (Reply(body=vector(({"a": "b"}, "many"))), "no number"),
    "a word for a time": (Reply(body=b'{"status":"success","data":[]}'), "another form"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_costs_one_signal(server: Scripted, fault: str) -> None:
    """The answer says what, which signal, and what to do; all others are as they were."""
    reply, said = FAULTS[fault]
    server.replies["vllm:num_requests_waiting"] = reply
    one = poller(server, timeout_s=SLOW_S) if fault == "too late" else poller(server)
    poll = await one.poll()
    await one.aclose()
    wrong = answer(poll, "waiting")
    assert wrong.rows == ()
    assert said in wrong.error
    assert wrong.error.startswith("asked for waiting, it ")
    assert wrong.error.endswith(".")
    assert wrong.error.count(". ") >= 1, "no word on what to do"
    assert [a.definition.signal for a in poll.answers if a.error] == ["waiting"]
    assert all(a.rows for a in poll.answers if not a.error)
    assert poll.health.state is SourceState.PARTIAL
    assert poll.health.error == wrong.error


async def test_nobody_there() -> None:
    """Lost, with the place and what to do; no answers; and the next poll tries again."""
    gone = Scripted()
    one = poller(gone)
    gone.close()
    for _ in range(2):
        poll = await one.poll()
        assert poll.health.state is SourceState.LOST
        assert poll.answers == ()
        assert f"cannot be reached at 127.0.0.1:{gone.web.server_address[1]}" in poll.health.error
        assert "curl" in poll.health.error
    await one.aclose()


async def test_a_server_that_goes_keeps_its_last_time(server: Scripted) -> None:
    """Lost: no answers, but the time of the last good one."""
    one = poller(server)
    good = await one.poll()
    server.close()
    lost = await one.poll()
    await one.aclose()
    assert lost.health.state is SourceState.LOST
    assert lost.answers == ()
    assert lost.health.at == ticked(good.at)
    assert lost.stacks == ("vllm",)


async def test_a_server_that_answers_nothing_does_not_hold_the_poll(server: Scripted) -> None:
    """Everything hangs: the poll ends all the same, and says that it lost the source."""
    server.replies["vllm:"] = Reply(body=vector(), delay_s=3600.0)
    one = poller(server, timeout_s=SLOW_S)
    await one.poll()
    poll = await one.poll()
    await one.aclose()
    assert poll.health.state is SourceState.LOST


async def test_too_many_requests_are_not_followed_by_more(server: Scripted) -> None:
    """429: the poll ends, and until the time is up nothing is sent."""
    server.replies["vllm:num_requests_waiting"] = Reply(429, b"slow down", {"Retry-After": "3"})
    one = poller(server)
    first = await one.poll()
    assert "HTTP 429" in answer(first, "waiting").error
    sent = len(server.requests)
    second = await one.poll()
    assert len(server.requests) == sent
    assert second.health.state is SourceState.LOST
    assert "asked for quiet" in second.health.error
    assert second.answers == ()
    server.replies.clear()
    async with asyncio.timeout(60):
        while (await one.poll()).health.state is not SourceState.OK:
            await asyncio.sleep(0.1)
    await one.aclose()


async def test_unavailable_with_a_time_is_waited_for(server: Scripted) -> None:
    """503 with Retry-After as a date, at the first query of all."""
    when = email.utils.formatdate(time.time() + 60, usegmt=True)
    server.replies["count by (__name__"] = Reply(503, b"", {"Retry-After": when})
    one = poller(server)
    for _ in range(3):
        poll = await one.poll()
        assert poll.health.state is SourceState.LOST
    await one.aclose()
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_token_is_said_without_it(
    server: Scripted, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server repeats the token in its error; nobody else does."""
    monkeypatch.setenv("SOME_TOKEN", "hunter22")

    def refuse(request: Request) -> Reply:
        words = f"bad header {request.headers['Authorization']} {request.headers['X-Key']}"
        return Reply(
            status, json.dumps({"status": "error", "errorType": "unauthorized", "error": words}).encode()
        )

    server.replies["/"] = refuse
    one = poller(server, headers={"X-Key": "swordfish"}, token={"env": "SOME_TOKEN"})
    poll = await one.poll()
    await one.aclose()
    assert poll.health.state is SourceState.LOST
    assert f"HTTP {status}, unauthorized" in poll.health.error
    assert "Check the token" in poll.health.error
    assert not any(secret in repr((poll, one)) for secret in ("hunter22", "swordfish"))


async def test_warnings_hold_no_secret(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store behind the server repeats what it was asked with, beside a good answer."""
    monkeypatch.setenv("SOME_TOKEN", "hunter22")
    body = vector(({"model_name": "m"}, "7"), warnings=["store said: Bearer hunter22"], infos=["hunter22"])
    server.replies["vllm:num_requests_waiting"] = Reply(body=body)
    one = poller(server, token={"env": "SOME_TOKEN"})
    poll = await one.poll()
    await one.aclose()
    assert poll.health.warnings[0].startswith("store said")
    assert "hunter22" not in repr(poll)


async def test_a_path_prefix_is_kept_for_every_question(server: Scripted) -> None:
    """Queries and the list of targets go below it."""
    one = PrometheusPoller(PrometheusServer(url=f"{server.url}/up/"), presets=PRESETS, past_s=0)
    poll = await one.poll()
    await one.aclose()
    assert poll.health.state is SourceState.OK
    assert {r.path for r in server.requests} == {"/up/api/v1/query", "/up/api/v1/targets"}


async def test_a_credential_that_cannot_be_read_is_said(server: Scripted) -> None:
    """The poll does not raise; nothing is sent without it."""
    one = poller(server, token={"env": "NOT_SET_ANYWHERE"})
    poll = await one.poll()
    await one.aclose()
    assert poll.health.state is SourceState.LOST
    assert "environment variable NOT_SET_ANYWHERE gave no credential" in poll.health.error
    assert server.requests == []


async def test_a_token_that_ends_costs_no_poll(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused in the middle of a poll: read anew, the same queries repeated, and every answer is there."""
    monkeypatch.setattr("collectors.endpoint.access.LOOK_S", 60.0)
    token = tmp_path / "token"
    token.write_text("token-1", encoding="utf-8")
    token.chmod(0o600)

    def gate(request: Request) -> Reply:
        is_good = request.headers["Authorization"].removeprefix("Bearer ") == token.read_text()
        return Reply(body=server.healthy(request)) if is_good else Reply(401, b"token expired")

    server.replies["/"] = gate
    one = poller(server, token={"file": token})
    assert (await one.poll()).health.state is SourceState.OK
    rotated = False

    def rotate(request: Request) -> Reply:
        nonlocal rotated
        if not rotated:
            rotated = True
            token.write_text("token-2", encoding="utf-8")
        return gate(request)

    server.replies = {"vllm:num_requests_waiting": rotate, "/": gate}
    poll = await one.poll()
    await one.aclose()
    assert rotated
    assert poll.health.state is SourceState.OK, poll.health.error
    assert not [a.error for a in poll.answers if a.error]


async def test_warnings_make_the_answer_partial(server: Scripted) -> None:
    """HTTP 200 with warnings: values are used, the source says partial. Infos alone do not."""
    server.replies["vllm:num_requests_waiting"] = Reply(
        body=vector(({"model_name": "m"}, "7"), warnings=["store eu \x1b gone"])
    )
    one = poller(server)
    poll = await one.poll()
    assert [row.value for row in answer(poll, "waiting").rows] == [7.0]
    assert poll.health.state is SourceState.PARTIAL
    assert poll.health.warnings == ("store eu  gone",)
    server.replies["vllm:num_requests_waiting"] = Reply(body=vector(({"model_name": "m"}, "7"), infos=["hm"]))
    poll = await one.poll()
    await one.aclose()
    assert poll.health.state is SourceState.OK
    assert poll.health.warnings == ("hm",)


@pytest.mark.parametrize("ahead_s", [-90.0, 0.0, 3600.0])
async def test_the_servers_clock_is_used(server: Scripted, ahead_s: float) -> None:
    """By its Date header, to the second it is cut to; a clock that may agree is taken to agree."""
    server.date_offset_s = ahead_s
    one = poller(server)
    poll = await one.poll()
    await one.aclose()
    assert one.clock_offset_s == pytest.approx(ahead_s, abs=1.1 if ahead_s else 0)
    assert poll.at == pytest.approx(time.time() + ahead_s, abs=30)
    asked = [r for r in server.requests if "time" in r.form]
    assert float(asked[0].form["time"]) == pytest.approx(poll.at, abs=0.001)


async def test_a_poll_within_a_poll_is_skipped(server: Scripted) -> None:
    """It returns at once with nothing, is counted, and the first goes on."""
    one = poller(server)
    first = asyncio.create_task(one.poll())
    await asyncio.sleep(0)
    second = await one.poll()
    assert second.answers == ()
    assert second.health.skipped == 1
    poll = await first
    await one.aclose()
    assert poll.health.state is SourceState.OK
    assert poll.health.skipped == 1
    assert sum(query.startswith("up{") for query in server.queries) == 1


async def test_rates_wait_for_four_scrapes(server: Scripted) -> None:
    """Until then rates say how many there are and are not asked; a lost scrape does not begin it anew."""
    one = poller(server)
    for seen in ("1", "3"):
        server.replies["max by (job)"] = Reply(body=vector(({"job": "engines"}, seen)))
        poll = await one.poll()
        assert answer(poll, "tokens_out").collecting == (int(seen), 4)
        assert answer(poll, "queue_wait").rows == ()
        assert answer(poll, "running").rows
    assert not any("generation_tokens" in query and "sum by" in query for query in server.queries)
    for seen in ("4", "3", "2"):
        server.replies["max by (job)"] = Reply(body=vector(({"job": "engines"}, seen)))
        assert answer(await one.poll(), "tokens_out").collecting is None
    server.replies["max by (job)"] = Reply(body=vector(({"job": "engines"}, "1")))
    assert answer(await one.poll(), "tokens_out").collecting == (1, 4)
    await one.aclose()


async def test_intervals_are_learned_from_scrapes_where_the_list_is_forbidden(server: Scripted) -> None:
    """The list of targets answers 403: the times of the samples of `up` tell as well."""
    server.replies["/targets"] = Reply(403, b"no")
    now = time.time()
    values = [[now - 30 * i, "1"] for i in range(5, 0, -1)]
    result = {"resultType": "matrix", "result": [{"metric": {"__name__": "up"}, "values": values}]}
    server.replies["[5m]"] = Reply(body=json.dumps({"status": "success", "data": result}).encode())
    one = poller(server)
    poll = await one.poll()
    assert poll.health.state is SourceState.OK
    assert poll.interval_s == 30.0
    assert any("[120s]" in query for query in server.queries)
    await one.poll()
    await one.aclose()
    assert sum(r.path.endswith("/targets") for r in server.requests) == 1
    assert sum("[5m]" in query for query in server.queries) == 1


async def test_values_have_a_time_where_nothing_tells_scrapes(server: Scripted) -> None:
    """Pushed samples have no `up`: the time is that of the question, so that values can grow old."""
    server.replies["up{"] = server.replies["timestamp(up"] = Reply(body=vector())
    one = poller(server)
    poll = await one.poll()
    await one.aclose()
    assert poll.targets == ()
    assert answer(poll, "waiting").rows
    assert {a.at for a in poll.answers} == {poll.at}


async def test_no_known_metric_is_said(server: Scripted) -> None:
    """It answers and has nothing for us: which stacks were looked for, and where to look."""
    server.stacks = set()
    one = poller(server)
    poll = await one.poll()
    await one.aclose()
    assert (poll.stacks, poll.answers, poll.targets) == ((), (), ())
    assert poll.health.state is SourceState.PARTIAL
    assert "vLLM" in poll.health.error
    assert len(server.requests) == 1


async def test_a_failed_repeat_of_detection_keeps_what_is_known(server: Scripted) -> None:
    """After three empty polls it is asked again; if that fails the poll goes on."""
    one = poller(server)
    await one.poll()
    server.replies["count by (__name__"] = Reply(422, b"{}")
    server.replies["vllm:"] = Reply(body=vector())
    for _ in range(4):
        poll = await one.poll()
    await one.aclose()
    assert poll.stacks == ("vllm",)
    assert poll.health.state is SourceState.PARTIAL
    assert "asked for what there is" in poll.health.error
    assert sum(query.startswith("count by (__name__") and "le=~" in query for query in server.queries) == 2


async def test_a_big_fleet_is_mapped_by_host(server: Scripted) -> None:
    """Above 2,048 accelerators the map has no accelerator's label, so the answer does not grow with them."""
    server.stacks = {"dcgm"}
    one = poller(server)
    small = await one.poll()
    assert "UUID" in answer(small, "busy_ratio", "heat").definition.keep
    await one.aclose()
    server.replies["count by (namespace"] = Reply(body=vector(({"modelName": "x"}, str(BY_NODE_ABOVE + 1))))
    one = poller(server)
    big = await one.poll()
    heat = [a for a in big.answers if a.definition.lane == "heat"]
    assert {a.definition.signal for a in heat} >= {"busy_ratio", "faults"}
    assert all("gpu" not in a.definition.keep for a in heat)
    assert not [a for a in (await one.poll()).answers if a.definition.lane == "heat"]
    await one.aclose()


async def test_a_long_answer_does_not_hold_the_loop(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """25,000 rows are read on another thread than the loop's; short answers are read where they arrive."""
    body = vector(
        *(
            ({"model_name": f"model-{i}", "namespace": "n" * 40, "workload": "w" * 40}, "1")
            for i in range(25_000)
        )
    )
    server.replies["vllm:num_requests_waiting"] = Reply(body=body)
    threads: dict[bool, set[int]] = {True: set(), False: set()}

    def noted(body: bytes) -> Vector:
        threads[len(body) > BIG_BODY_BYTES].add(threading.get_ident())
        return read_vector(body)

    monkeypatch.setattr("collectors.prometheus.asking.read_vector", noted)
    one = poller(server)
    poll = await one.poll()
    await one.aclose()
    assert len(answer(poll, "waiting").rows) == 25_000
    assert threads[True]
    assert threading.get_ident() not in threads[True]
    assert threads[False] == {threading.get_ident()}
