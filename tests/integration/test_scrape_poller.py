"""A poller over real HTTP servers: what a poll says, and when."""

import asyncio
import gzip
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from collectors.fleet import SourceState
from collectors.scrape.poller import PageTarget, ScrapePoller
from collectors.signals.catalogue import Definition, Matcher, Metric, Preset
from tests.integration.scrape_site import (
    DEMO,
    RUNNING,
    SERVED,
    Clock,
    Handler,
    Site,
    answer,
    closing,
    one_poll,
    page,
    polling,
    sent,
    value,
)


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()
    yield found
    found.close()


async def test_rates_after_four_scrapes(site: Site) -> None:
    """Gauges at once; rates say how many scrapes are in, then are right from the fourth on, not ramped up."""
    clock = Clock()
    async with polling(PageTarget(site.url("/a")), clock=clock) as poller:
        for scrape in range(1, 8):
            site.replies["/a"] = sent(page(running=scrape, served=50.0 + 10 * scrape))
            poll = await poller.poll()
            assert value(poll, RUNNING) == scrape
            assert answer(poll, RUNNING).at == poll.at == clock.now
            served = answer(poll, SERVED)
            if scrape < 4:
                assert (served.rows, served.collecting) == ((), (scrape, 4))
            else:
                assert served.collecting is None
                assert value(poll, SERVED) == pytest.approx(10.0, rel=1e-9)
            clock.now += 1
    assert poll.health.state is SourceState.OK
    assert (poll.health.error, poll.health.targets, poll.health.queries) == ("", (1, 1), 1)
    assert poll.health.received_bytes == len(page(served=120.0))
    assert (poll.stacks, poll.targets[0].stacks) == (("demo",), {"demo"})
    assert {port for _, _, port in site.asked} == {site.asked[0][2]}, "one connection, kept open"


async def test_one_lost_scrape_does_not_end_a_rate(site: Site) -> None:
    """The target is down and its gauges are gone, the rate goes on, also if the next scrape comes late."""
    clock = Clock()
    async with polling(PageTarget(site.url("/a")), clock=clock, interval_s=5.0) as poller:
        for scrape in range(9):
            lost = scrape == 6
            site.replies["/a"] = sent(b"", 500) if lost else sent(page(served=10 * (clock.now % 1e6)))
            poll = await poller.poll()
            if lost:
                assert poll.health.state is SourceState.LOST
                assert answer(poll, RUNNING).rows == ()
                assert (poll.at, answer(poll, SERVED).at) == (clock.now - 5, clock.now - 5)
            if scrape >= 4:
                assert value(poll, SERVED) == pytest.approx(10.0, rel=1e-6)
            clock.now += 5.3 if lost else 5


async def test_the_clock_of_the_pages(site: Site) -> None:
    """Pages that say their time set the poll's time and interval, at whatever speed their world runs."""
    clock = Clock()
    async with polling(PageTarget(site.url("/a")), PageTarget(site.url("/b")), clock=clock) as poller:
        for scrape in range(8):
            at = 1_500_000_000 + 60 * scrape
            for path, behind in (("/a", 0), ("/b", 10)):
                stamp = datetime.fromtimestamp(at - behind, UTC).isoformat().replace("+00:00", "Z")
                site.replies[path] = sent(page(served=600.0 * scrape), Tidegate_Time=stamp)
            poll = await poller.poll()
            clock.now += 1.004
    assert (poll.at, poll.interval_s, poll.health.interval_s) == (1_500_000_420, 60.0, 60.0)
    assert answer(poll, SERVED).at == 1_500_000_410
    assert [target.at for target in poll.targets] == [1_500_000_420, 1_500_000_410]
    assert value(poll, SERVED) == pytest.approx(20.0, rel=0.05)


async def test_interval_does_not_creep(site: Site) -> None:
    """Who polls at the reported interval, always a little late, keeps the interval; a real overrun shows."""
    clock = Clock()
    site.replies["/a"] = sent(page())
    async with polling(PageTarget(site.url("/a")), clock=clock) as poller:
        interval = 1.0
        for _ in range(30):
            interval = (await poller.poll()).interval_s
            clock.now += interval + 0.04
        assert interval == 1.0
        for _ in range(10):
            interval = (await poller.poll()).interval_s
            clock.now += 3.1
        assert interval == 3.0


async def test_one_target_dead(site: Site) -> None:
    """The others answer; the health names the dead one without its secrets; its series are gone at once."""
    site.replies["/a?token=s3cret"] = sent(page(2))
    dead = Site()
    dead.replies["/b?token=s3cret"] = closing(sent(page(40)))
    secret = PageTarget(dead.url("/b?token=s3cret").replace("//", "//user:s3cret@"))
    async with polling(PageTarget(site.url("/a?token=s3cret")), secret) as poller:
        assert value(await poller.poll(), RUNNING) == 42
        assert dead.asked[0][1] == "Basic dXNlcjpzM2NyZXQ="
        dead.close()
        poll = await poller.poll()
        assert value(poll, RUNNING) == 2
        assert (poll.health.state, poll.health.targets) == (SourceState.PARTIAL, (1, 2))
        assert poll.health.error.startswith(f"http://127.0.0.1:{dead.port}/b: ")
        assert poll.health.error.endswith("; 1 of 2 pages cannot be read")
        assert [target.up for target in poll.targets] == [True, False]
        assert poll.targets[1].stacks == {"demo"}
        assert "s3cret" not in repr((poll, secret))
        del site.replies["/a?token=s3cret"]
        assert (await poller.poll()).health.state is SourceState.LOST


async def test_redirect_on_the_same_server(site: Site) -> None:
    """/metrics that moved to /metrics/ is followed."""
    site.replies |= {"/metrics": sent(b"", 307, Location="/metrics/"), "/metrics/": sent(page(9))}
    assert value(await one_poll(site.url("/metrics")), RUNNING) == 9


async def test_gzip_and_no_length(site: Site) -> None:
    """A packed body and one that ends with the connection are read."""

    def until_closed(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(page(4))
        handler.close_connection = True

    site.replies |= {"/a": sent(gzip.compress(page(3)), Content_Encoding="gzip"), "/b": until_closed}
    poll = await one_poll(site.url("/a"), site.url("/b"))
    assert (poll.health.error, value(poll, RUNNING)) == ("", 7)


async def test_a_connection_closed_while_idle_is_opened_again(site: Site) -> None:
    """Servers drop idle connections: the next poll must not report that as a failure."""

    site.replies["/a"] = closing(sent(page(3)))
    async with polling(PageTarget(site.url("/a"))) as poller:
        for _ in range(3):
            assert (await poller.poll()).health.error == ""
    assert len({port for _, _, port in site.asked}) == 3


async def test_a_poll_within_a_poll_is_skipped(site: Site) -> None:
    """The second is never queued: it returns at once, without answers, and is counted."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(handler: Handler) -> None:
        begun.set()
        assert go_on.wait(60)
        sent(page(1))(handler)

    site.replies["/a"] = slow
    async with polling(PageTarget(site.url("/a"))) as poller:
        first = asyncio.create_task(poller.poll())
        await asyncio.to_thread(begun.wait, 60)
        second = await poller.poll()
        assert not first.done()
        go_on.set()
        assert (second.answers, second.health.skipped, second.health.state) == ((), 1, SourceState.CONNECTING)
        assert value(await first, RUNNING) == 1
        assert len(site.asked) == 1


async def test_a_cancelled_poll_does_not_harm_the_next(site: Site) -> None:
    """Cancelling leaves nothing locked; what the page still answers belongs to nobody."""
    begun = threading.Event()

    def slow(handler: Handler) -> None:
        begun.set()
        site.over.wait(0.2)
        sent(page(1))(handler)

    site.replies |= {"/a": slow, "/b": sent(page(2, model="b"))}
    async with polling(PageTarget(site.url("/a")), PageTarget(site.url("/b"))) as poller:
        task = asyncio.create_task(poller.poll())
        await asyncio.to_thread(begun.wait, 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        poll = await poller.poll()
        assert value(poll, RUNNING, "b") == 2
        while poll.health.error:
            poll = await poller.poll()
        assert value(poll, RUNNING) == 1


async def test_labels_of_targets(site: Site) -> None:
    """instance and job as in Prometheus; pages of one server stay apart; given labels win; all cleaned."""
    site.replies |= {path: sent(page()) for path in ("/a", "/b", "/c")}
    async with polling(
        PageTarget(site.url("/a")),
        PageTarget(site.url("/b"), {"job": "vllm", "pod": "llama-\x1b0"}),
        PageTarget(site.url("/c"), {"instance": "mine"}),
    ) as poller:
        labels = [dict(target.labels) for target in (await poller.poll()).targets]
    here = f"127.0.0.1:{site.port}"
    assert labels == [
        {"instance": f"{here}/a", "job": "scrape"},
        {"instance": f"{here}/b", "job": "vllm", "pod": "llama-0"},
        {"instance": "mine", "job": "scrape"},
    ]
    async with polling(PageTarget(site.url("/a"))) as poller:
        assert (await poller.poll()).targets[0].labels["instance"] == here


async def test_a_page_without_a_known_metric(site: Site) -> None:
    """It is up, but a warning says that it is of no use; only detected stacks are asked."""
    site.replies |= {"/a": sent(page()), "/b": sent(b"go_goroutines 7\n")}
    poll = await one_poll(site.url("/a"), site.url("/b"))
    assert poll.health.warnings == (f"{site.url('/b')} exports no metric that a preset knows",)
    assert poll.health.state is SourceState.OK
    assert {one.definition.stack for one in poll.answers} == {"demo"}


async def test_pages_that_disagree_about_the_time(site: Site) -> None:
    """A page whose clock is far behind the others is named."""
    site.replies |= {
        "/a": sent(page(), Tidegate_Time="2026-01-01T00:10:00Z"),
        "/b": sent(page(), Tidegate_Time="2026-01-01T00:00:00.000Z"),
    }
    poll = await one_poll(site.url("/a"), site.url("/b"))
    assert poll.health.warnings == (f"{site.url('/b')} is 600 s behind the other pages by its own clock",)


async def test_a_definition_that_cannot_be_evaluated(site: Site) -> None:
    """Its answer holds the sentence; the others are not affected."""
    site.replies["/a"] = sent(page())
    wrong = Definition(
        "waiting", "demo", "engine", "gauge", (Metric("demo_running", (Matcher("x", "=~", "["),)),), ()
    )
    preset = Preset("demo", "Demo", "engine", ("demo_running",), (wrong, RUNNING))
    poller = ScrapePoller([PageTarget(site.url("/a"))], presets=[preset])
    poll = await poller.poll()
    await poller.aclose()
    assert answer(poll, wrong).error.startswith("'[' is no regular expression")
    assert value(poll, RUNNING) == 3


@pytest.mark.parametrize(
    "url", ["ftp://host/metrics", "host:9400/metrics", "http:///metrics", "http://h:99999/"]
)
def test_an_address_that_is_none(url: str) -> None:
    """Said before anything is asked."""
    with pytest.raises(ValueError, match="address"):
        ScrapePoller([PageTarget(url)], presets=(DEMO,))
    with pytest.raises(ValueError, match="no pages to scrape"):
        ScrapePoller([], presets=(DEMO,))


async def test_closing(site: Site) -> None:
    """Twice is safe, also before the first poll; its threads end, and none could hold the program's end."""
    begun = threading.Event()

    def silent(_: Handler) -> None:
        begun.set()
        site.over.wait()

    site.replies["/a"] = silent
    async with polling(PageTarget(site.url("/a"))) as poller:
        polled = asyncio.create_task(poller.poll())
        await asyncio.to_thread(begun.wait, 60)
        workers = [thread for thread in threading.enumerate() if thread.name.startswith("scrape")]
        assert workers
        assert all(worker.daemon for worker in workers)
        await poller.aclose()
        assert (await polled).health.state is SourceState.LOST
    for worker in workers:
        await asyncio.to_thread(worker.join, 60)
        assert not worker.is_alive()


def test_importing_the_poller_is_light() -> None:
    """Start-up time is counted: the HTTP and parser libraries are not loaded before they are needed."""
    code = (
        "import sys, collectors.scrape.poller;"
        "print([m for m in ('httpx', 'prometheus_client', 'textual', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
