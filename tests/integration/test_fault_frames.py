"""The fault table: what the screen gets while a Prometheus is slow, half there or lying, and after it."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager

import pytest

from collectors.config import Context
from collectors.fleet import Frame, SourceState
from collectors.prometheus.client import CONCURRENT
from collectors.prometheus.live import PrometheusPoller
from collectors.readings import Quality, Reading, Reason, worded
from collectors.signals.presets import read_presets
from collectors.watch.loop import Watch
from tests.integration.scripted_prometheus import Reply, Request, Scripted, vector

pytestmark = pytest.mark.slow

PRESETS = read_presets()
INTERVAL_S = 0.2
TICK_S = 0.05
WITHIN_S = 20.0

Wait = Callable[[Callable[[Frame], bool]], Awaitable[Frame]]


@pytest.fixture
def server() -> Iterator[Scripted]:
    """Scraped five times a second, just before each query: values grow stale and go within a second."""
    scripted = Scripted()
    scripted.interval, scripted.scraped_ago_s = f"{INTERVAL_S * 1000:.0f}ms", 0.01
    yield scripted
    scripted.close()


@asynccontextmanager
async def closed(watched: Watch) -> AsyncIterator[AsyncIterator[Frame]]:
    """Its frames; connections are closed whatever becomes of the test."""
    try:
        async with aclosing(watched.frames()) as frames:  # type: ignore[type-var]  # an async generator
            yield frames
    finally:
        await watched.aclose()


@asynccontextmanager
async def watching(server: Scripted, *, timeout_s: float = 5.0) -> AsyncIterator[Wait]:
    """The frames of one server; what is yielded waits for one that holds. All must be true to their time."""
    poller = PrometheusPoller(server.server(timeout_s=timeout_s), presets=PRESETS, past_s=0)
    watched = Watch("t", Context(prometheus=(server.server(),)), [poller], poll_s=INTERVAL_S, tick_s=TICK_S)
    async with closed(watched) as frames:

        async def wait(holds: Callable[[Frame], bool]) -> Frame:
            async with asyncio.timeout(WITHIN_S):
                async for frame in frames:
                    assert_no_invention(frame)
                    if holds(frame):
                        return frame
            raise AssertionError("frames ended")

        yield wait


def assert_no_invention(frame: Frame) -> None:
    """Whatever the fault: 7 a server that is up, stale or nothing; never zero, never without a time."""
    for one in (
        waiting(frame),
        frame.totals.get("waiting", Reading(None, None, Quality.MISSING, Reason("never"))),
    ):
        assert one.value in {None, 7.0, 14.0}
        assert one.value is None or one.at is not None
        assert one.value is not None or one.reason.code, f"nothing, and no word why: {frame}"


def waiting(frame: Frame) -> Reading:
    """Requests that wait at the one model there is."""
    model = next((m for m in frame.models if m.name == "m"), None)
    return model.reading("waiting") if model else Reading(None, None, Quality.MISSING, Reason("never"))


def health(frame: Frame) -> SourceState:
    return frame.sources[0].state


def is_good(frame: Frame) -> bool:
    return health(frame) is SourceState.OK and waiting(frame).quality is Quality.GOOD


BODY = vector(({"model_name": "m"}, "7"))
EVERYTHING = {
    "broken": (Reply(500, b"panic"), "HTTP 500, panic"),
    "a page of HTML": (Reply(200, b"<html><title>Sign in</title>"), "a page of HTML titled 'Sign in'"),
    "half a body": (Reply(body=BODY[:50]), "half an answer"),
    "cut in the body": (Reply(body=BODY, cut=50), "cut the connection"),
    "gzip cut short": (
        Reply(body=gzip.compress(BODY)[:-20], headers={"Content-Encoding": "gzip"}),
        "half an answer",
    ),
    "too many samples": (
        Reply(422, b'{"status":"error","errorType":"execution","error":"too many samples"}'),
        "HTTP 422, execution: too many samples",
    ),
    "bad gateway": (Reply(502, b"<html><title>502 Bad Gateway</title>"), "HTTP 502"),
    "forbidden": (Reply(403, b"no"), "HTTP 403"),
}


@pytest.mark.parametrize("fault", EVERYTHING)
async def test_values_age_and_go_while_everything_fails(server: Scripted, fault: str) -> None:
    """Lost is said at once and why; the last values turn stale, then go; afterwards all is well again."""
    reply, said = EVERYTHING[fault]
    async with watching(server) as wait:
        await wait(is_good)
        server.replies["/"] = reply
        lost = await wait(lambda f: health(f) is SourceState.LOST)
        assert said in lost.sources[0].error
        told = await wait(lambda f: bool(f.events)) if not lost.events else lost
        assert any("lost: " in event.text and said in event.text for event in told.events)
        stale = await wait(lambda f: waiting(f).quality is Quality.STALE)
        assert waiting(stale).value == 7.0
        gone = await wait(lambda f: waiting(f).quality is Quality.MISSING)
        assert waiting(gone).value is None
        assert gone.totals["waiting"].value is None
        server.replies.clear()
        await wait(is_good)


async def test_one_refused_query_costs_one_signal(server: Scripted) -> None:
    """422 for one of many: its value ages and goes, the source says which, all others stay good."""
    async with watching(server) as wait:
        await wait(is_good)
        server.replies["vllm:num_requests_waiting"] = EVERYTHING["too many samples"][0]
        gone = await wait(lambda f: waiting(f).quality is Quality.MISSING)
        assert health(gone) is SourceState.PARTIAL
        assert "asked for waiting" in gone.sources[0].error
        running = next(m for m in gone.models if m.name == "m").reading("running")
        assert (running.quality, running.value) == (Quality.GOOD, 7.0)


async def test_a_partial_answer_is_called_so(server: Scripted) -> None:
    """Thanos without a store: HTTP 200 and warnings. The value is shown, and the source says partial."""
    async with watching(server) as wait:
        await wait(is_good)
        body = vector(({"model_name": "m"}, "7"), warnings=["no store for eu-west"])
        server.replies["vllm:num_requests_waiting"] = Reply(body=body)
        frame = await wait(lambda f: health(f) is SourceState.PARTIAL)
        assert frame.sources[0].warnings == ("no store for eu-west",)
        server.replies.clear()
        await wait(is_good)


async def test_quiet_is_kept(server: Scripted) -> None:
    """429 with Retry-After: nothing is sent until then; values age meanwhile, and it is said why."""
    async with watching(server) as wait:
        await wait(is_good)
        server.replies["/"] = Reply(429, b"slow down", {"Retry-After": "4"})
        sent_before = len(server.requests)
        while not any("asked for quiet" in s.error for s in (await wait(lambda f: True)).sources):
            pass
        # Those that were under way together were all refused.
        sent = len(server.requests)
        assert sent - sent_before <= 2 * CONCURRENT
        server.replies.clear()
        await wait(lambda f: waiting(f).quality is Quality.MISSING)
        assert len(server.requests) == sent
        await wait(is_good)


async def test_slow_answers_are_given_up_and_none_is_queued(server: Scripted) -> None:
    """Every answer takes 30 s: the poll ends by its limit, those that were due meanwhile are left out."""
    async with watching(server, timeout_s=0.5) as wait:
        await wait(is_good)
        server.replies["/"] = Reply(body=BODY, delay_s=30.0)
        lost = await wait(lambda f: health(f) is SourceState.LOST)
        assert "did not answer within 0.5 s" in lost.sources[0].error
        sent = len(server.requests)
        skipping = await wait(lambda f: f.sources[0].skipped >= lost.sources[0].skipped + 4)
        # Each of these polls left out at least one turn.
        polls = skipping.sources[0].skipped - lost.sources[0].skipped
        assert len(server.requests) - sent <= (polls + 1) * CONCURRENT, "polls were queued"
        assert waiting(skipping).value is None
        server.replies.clear()
        await wait(is_good)


@pytest.mark.parametrize("ahead_s", [3600.0, -3600.0])
async def test_ages_are_right_by_a_clock_an_hour_off(server: Scripted, ahead_s: float) -> None:
    """The server's clock decides: a value just scraped is good, and is as old as there."""
    server.date_offset_s = ahead_s
    async with watching(server) as wait:
        frame = await wait(is_good)
        at = waiting(frame).at
        assert at is not None
        assert 0 <= frame.at - at < 1.0
        assert frame.at - time.time() == pytest.approx(ahead_s, abs=60)
        server.replies["/"] = Reply(500)
        await wait(lambda f: waiting(f).quality is Quality.STALE)


async def test_values_grow_old_without_word_of_their_scrapes(server: Scripted) -> None:
    """`up` is refused: nobody knows when the values were true, so they age since that was last known."""
    async with watching(server) as wait:
        await wait(is_good)
        server.replies["up{"] = server.replies["timestamp(up"] = Reply(422, b"")
        stale = await wait(lambda f: waiting(f).quality is Quality.STALE)
        assert health(stale) is SourceState.PARTIAL
        assert "asked for targets" in stale.sources[0].error
        await wait(lambda f: waiting(f).quality is Quality.MISSING)
        server.replies.clear()
        await wait(is_good)


async def test_a_label_that_vanishes_takes_its_value_away(server: Scripted) -> None:
    """A series loses the label that names its model: its value ages and goes, and is not spread or zero."""
    async with watching(server) as wait:
        await wait(is_good)
        server.replies["vllm:num_requests_waiting"] = Reply(body=vector(({"namespace": "serving"}, "7")))
        stale = await wait(lambda f: waiting(f).quality is Quality.STALE)
        assert health(stale) is SourceState.OK
        gone = await wait(lambda f: waiting(f).quality is Quality.MISSING)
        assert gone.totals["waiting"].value is None
        server.replies.clear()
        await wait(is_good)


async def test_a_dead_target_is_no_calm(server: Scripted) -> None:
    """One of two servers dies: the sum falls by half, and says that it lacks one; so does the fleet's."""
    server.instances = {"a:1": True, "b:1": True}
    async with watching(server) as wait:
        whole = await wait(lambda f: waiting(f).value == 14.0)
        assert waiting(whole).reason.code == ""
        server.instances = {"a:1": True, "b:1": False}
        frame = await wait(lambda f: waiting(f).value == 7.0)
        assert frame.sources[0].targets == (1, 2)
        for one in (waiting(frame), frame.totals["waiting"]):
            assert one.coverage == (1, 2)
            assert worded(one.reason) == "1 of 2 targets answer"
        server.instances = {"a:1": True, "b:1": True}
        back = await wait(lambda f: waiting(f).value == 14.0)
        assert waiting(back).reason.code == back.totals["waiting"].reason.code == ""


async def test_no_secret_reaches_a_frame(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server repeats the token in errors, warnings and pages: no line, event or reading has it."""
    monkeypatch.setenv("SOME_TOKEN", "hunter22")
    told = ("Bearer hunter22", "hunter22")

    def echo(request: Request) -> Reply:
        if "waiting" in request.query:
            return Reply(body=vector(({"model_name": "m"}, "7"), warnings=list(told)))
        if "running" in request.query:
            return Reply(body=b'{"status":"hunter22","data":{"resultType":"hunter22","result":[]}}')
        words = "".join(f"{k}: {v}\n" for k, v in request.headers.items())
        return Reply(500, f'{{"status":"error","errorType":"{told[0]}","error":"{told[1]}"}}{words}'.encode())

    poller = PrometheusPoller(server.server(token={"env": "SOME_TOKEN"}), presets=PRESETS, past_s=0)
    watched = Watch("t", Context(prometheus=(server.server(),)), [poller], poll_s=INTERVAL_S, tick_s=TICK_S)
    states: set[SourceState] = set()
    async with closed(watched) as frames, asyncio.timeout(WITHIN_S):
        async for frame in frames:
            assert "hunter22" not in repr(frame)
            states.add(health(frame))
            if health(frame) is SourceState.OK:
                server.replies["up{"] = Reply(body=server_up(server))
                server.replies["/"] = echo
            elif health(frame) is SourceState.PARTIAL and frame.sources[0].warnings:
                server.replies.clear()
                server.replies["/"] = Reply(401, b'{"error": "token hunter22 has ended"}')
            elif health(frame) is SourceState.LOST:
                break
    assert states >= {SourceState.OK, SourceState.PARTIAL, SourceState.LOST}


def server_up(server: Scripted) -> bytes:
    return vector(*(({"__name__": "up", "job": "engines", "instance": i}, "1") for i in server.instances))
