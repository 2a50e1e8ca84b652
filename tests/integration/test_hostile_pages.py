"""Pages from hostile servers: each costs itself alone, in bounded time, and the poll never raises."""

import asyncio
import contextlib
from collections.abc import Iterator

import pytest

from collectors.fleet import SourceState
from collectors.scrape import poller as poller_module
from collectors.scrape.poller import PageTarget
from tests.integration.scrape_site import (
    RUNNING,
    SERVED,
    Clock,
    Handler,
    Site,
    answer,
    page,
    polling,
    sent,
    value,
)


@pytest.fixture
def site() -> Iterator[Site]:
    with contextlib.closing(Site()) as one:
        yield one


@pytest.mark.parametrize("stamp", ["1e400", "9e307"])
async def test_an_absurd_time_costs_its_page(site: Site, stamp: str) -> None:
    """The other page is read; the sentence names the line."""
    site.replies["/good"] = sent(page(2))
    site.replies["/bad"] = sent(f'demo_running{{model="x"}} 1 {stamp}\n'.encode())
    async with polling(PageTarget(site.url("/good")), PageTarget(site.url("/bad"))) as poller:
        poll = await poller.poll()
    assert poll.health.state is SourceState.PARTIAL
    assert "line 1 is no sample" in poll.health.error
    assert value(poll, RUNNING) == 2


async def test_a_fault_in_one_definition_costs_its_answer(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever arithmetic raises: the answer has a sentence, the health tells it, the rest is as it was."""
    site.replies["/a"] = sent(page(2))
    evaluate = poller_module.evaluate

    def failing(definition: object, *rest: object) -> object:
        if definition is RUNNING:
            raise OverflowError("too large")
        return evaluate(definition, *rest)  # type: ignore[arg-type]  # handed on as it came

    monkeypatch.setattr(poller_module, "evaluate", failing)
    clock = Clock()
    async with polling(PageTarget(site.url("/a")), clock=clock) as poller:
        for _ in range(4):
            poll = await poller.poll()
            clock.now += 1
    assert "too large" in answer(poll, RUNNING).error
    assert "running cannot be told" in poll.health.warnings[0]
    assert answer(poll, SERVED).rows


async def test_too_many_groups_cost_their_answer(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than anything can show are not handed on."""
    monkeypatch.setattr(poller_module, "MAX_ROWS", 3)
    site.replies["/a"] = sent(b"".join(page(model=str(i)) for i in range(4)))
    async with polling(PageTarget(site.url("/a"))) as poller:
        poll = await poller.poll()
    assert answer(poll, RUNNING).rows == ()
    assert "4 groups, and at most 3 are read" in poll.health.warnings[0]


@pytest.mark.parametrize("stamp", ["9999-12-31T23:59:58+00:00", "0001-01-01T00:00:00+00:00"])
async def test_a_page_of_another_age_gets_our_time(site: Site, stamp: str) -> None:
    """And the health says so."""
    site.replies["/a"] = sent(page(2), Tidegate_Time=stamp)
    clock = Clock()
    async with polling(PageTarget(site.url("/a")), clock=clock) as poller:
        poll = await poller.poll()
    assert poll.at == clock.now
    assert value(poll, RUNNING) == 2
    assert "over ten years from ours" in poll.health.warnings[0]


@pytest.mark.parametrize("part", ["status", "header", "body"])
async def test_dripping_bytes_do_not_buy_time(site: Site, part: str) -> None:
    """The time limit is for the page, all in all: the thread that asks is free again soon after."""
    lead = {
        "status": b"HTTP/1.1 200 OK",
        "header": b"HTTP/1.1 200 OK\r\nX: ",
        "body": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
    }[part]

    def dripping(handler: Handler) -> None:
        handler.wfile.write(lead)
        while not site.over.wait(0.02):
            handler.wfile.write(b"x")
            handler.wfile.flush()

    site.replies["/a"] = dripping
    async with polling(PageTarget(site.url("/a")), timeout_s=0.3) as poller:
        poll = await poller.poll()
        assert poll.health.error.endswith("no whole answer within 0.3 s")
        job = poller._pages[0].job
        assert job is not None
        # The bytes never end: it is the reading that stops.
        await asyncio.wait([job], timeout=60)
        assert job.done()


@pytest.mark.parametrize(
    "location", ["http://u:sekretpw@[::1", "http://u:sekretpw\u2100@x/", "http://x:99999999/"]
)
async def test_a_redirect_to_nowhere_tells_no_secret(site: Site, location: str) -> None:
    """An address that cannot be read is not repeated."""
    site.replies["/a"] = sent(b"", 302, Location=location.encode().decode("latin-1"))
    async with polling(PageTarget(site.url("/a"))) as poller:
        poll = await poller.poll()
    assert poll.health.state is SourceState.LOST
    assert "sekretpw" not in poll.health.error


async def test_pages_tell_the_models_they_carry(site: Site) -> None:
    """Also one that is down now, by what it said last; so coverage can be told by model."""
    site.replies |= {"/a": sent(page(model="a")), "/b": sent(page(model="b"))}
    clock = Clock()
    async with polling(PageTarget(site.url("/a")), PageTarget(site.url("/b")), clock=clock) as poller:
        await poller.poll()
        clock.now += 1
        site.replies["/b"] = sent(b"", 500)
        poll = await poller.poll()
    assert [(t.up, t.carries) for t in poll.targets] == [
        (True, ({"model": "a"},)),
        (False, ({"model": "b"},)),
    ]
