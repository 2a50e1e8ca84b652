"""Servers killed, paused and back: the screen keeps its rate, values age and go, recovery needs nobody."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from collectors.config import Context, PrometheusServer
from collectors.control.native import NativePlane
from collectors.fleet import Frame, SourceState
from collectors.prometheus.live import PrometheusPoller
from collectors.readings import Quality
from collectors.scrape.poller import PageTarget, ScrapePoller
from collectors.signals.presets import read_presets
from collectors.watch.lane import Poller
from collectors.watch.loop import Watch
from tests.integration.conftest import Page, StartConfigured, asked, sample, scrape_config, served, until

WITHIN_S = 180.0
MODEL = "llama-3.3-70b-instruct"

pytestmark = pytest.mark.slow


def standing(frame: Frame) -> tuple[SourceState, Quality | None]:
    """What the source's line and the model's cell say."""
    model = next((m for m in frame.models if m.name == MODEL), None)
    return frame.sources[0].state, model.reading("running").quality if model else None


@asynccontextmanager
async def following(
    poller: Poller,
) -> AsyncIterator[Callable[[Callable[[Frame], bool]], "asyncio.Future[Frame]"]]:
    """Frames of one source polled every second; the yielded function waits for one that holds."""
    watched = Watch("t", Context(), [poller], poll_s=1.0)
    async with aclosing(watched.frames()) as frames:  # type: ignore[type-var]  # an async generator

        async def wait(holds: Callable[[Frame], bool]) -> Frame:
            async with asyncio.timeout(WITHIN_S):
                async for frame in frames:
                    if holds(frame):
                        return frame
            raise AssertionError("frames ended")

        yield wait  # type: ignore[misc]  # a coroutine function is what callers await
    await watched.aclose()


@pytest.fixture
def scraped(tmp_path: Path) -> Path:
    """A prometheus.yml that scrapes one engine's page every second."""
    pages = [Page("vllm", sample("vllm"))]
    file = tmp_path / "prometheus.yml"
    file.write_text(scrape_config(pages, served(pages), "1s"), encoding="utf-8")
    return file


async def test_a_paused_prometheus_and_back(scraped: Path, start_configured: StartConfigured) -> None:
    """SIGSTOP: connections hang, not fail. Values turn stale, then go; after SIGCONT they are back."""
    server = start_configured(scraped)
    until(lambda: bool(asked(server.url, "up == 1")), "scraped")
    async with following(
        PrometheusPoller(PrometheusServer(url=server.url, timeout_s=3.0), presets=read_presets())
    ) as wait:
        await wait(lambda f: standing(f) == (SourceState.OK, Quality.GOOD))
        server.process.send_signal(signal.SIGSTOP)
        stale = await wait(lambda f: standing(f)[1] is Quality.STALE)
        assert stale.models[0].reading("running").value is not None
        gone = await wait(lambda f: standing(f) == (SourceState.LOST, Quality.MISSING))
        assert gone.models[0].reading("running").value is None
        assert gone.sources[0].error
        server.process.send_signal(signal.SIGCONT)
        await wait(lambda f: standing(f) == (SourceState.OK, Quality.GOOD))


async def test_a_killed_prometheus_and_back(scraped: Path, start_configured: StartConfigured) -> None:
    """SIGKILL and a new server on the same address, with an empty store: found again without help."""
    server = start_configured(scraped)
    until(lambda: bool(asked(server.url, "up == 1")), "scraped")
    async with following(
        PrometheusPoller(PrometheusServer(url=server.url, timeout_s=3.0), presets=read_presets())
    ) as wait:
        await wait(lambda f: standing(f) == (SourceState.OK, Quality.GOOD))
        server.process.kill()
        server.process.wait()
        lost = await wait(lambda f: standing(f) == (SourceState.LOST, Quality.MISSING))
        assert any(model.name == MODEL for model in lost.models), "the row stays, without its numbers"
        await asyncio.to_thread(start_configured, scraped, server)
        await wait(lambda f: standing(f) == (SourceState.OK, Quality.GOOD))


async def test_a_killed_page_among_two(tmp_path: Path) -> None:
    """Direct scrape: one page dies, its values age and go; the other's stay good; coverage says 1 of 2."""
    vllm, dcgm = served([Page("vllm", sample("vllm"))]), served([Page("dcgm", sample("dcgm-exporter"))])
    targets = [PageTarget(f"http://127.0.0.1:{web.server_address[1]}/0/metrics") for web in (vllm, dcgm)]
    async with following(ScrapePoller(targets, presets=read_presets(), interval_s=1.0)) as wait:
        await wait(lambda f: standing(f) == (SourceState.OK, Quality.GOOD))
        vllm.shutdown()
        vllm.server_close()
        frame = await wait(lambda f: standing(f) == (SourceState.PARTIAL, Quality.MISSING))
        assert frame.sources[0].targets == (1, 2)
        assert frame.totals["accelerators"].quality is Quality.GOOD
    dcgm.shutdown()
    dcgm.server_close()


async def test_an_absent_plane_costs_the_stages_only(tmp_path: Path) -> None:
    """No control plane listens: metrics stay good, and its line says what is wrong."""
    web = served([Page("vllm", sample("vllm"))])
    poller = ScrapePoller(
        [PageTarget(f"http://127.0.0.1:{web.server_address[1]}/0/metrics")], presets=read_presets()
    )
    watched = Watch("t", Context(), [poller], NativePlane("http://127.0.0.1:9", lambda: None), poll_s=1.0)
    async with asyncio.timeout(WITHIN_S):
        async for frame in watched.frames():
            plane = next(s for s in frame.sources if s.kind == "plane")
            if standing(frame) == (SourceState.OK, Quality.GOOD) and plane.state is SourceState.LOST:
                break
    assert "127.0.0.1:9" in plane.error
    await watched.aclose()
    web.shutdown()
    web.server_close()
