"""Observed exposure: from a Prometheus into a release, and out of it again when nothing is measured."""

import asyncio
import logging
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import pytest

from collectors.config import Endpoint
from collectors.control.server.observing import Observer
from collectors.control.server.settings import Observed
from collectors.control.server.store import Store
from tests.integration.conftest import Page, StartPrometheus
from tests.integration.control_serving import NOW, answering, response, seeded
from tests.promtool import promtool
from tests.unit.test_control_settings import vector

pytestmark = pytest.mark.slow

PAGE = """# TYPE served_share gauge
served_share{tier="pro",revision="r42"} 0.998
served_share{tier="plus",revision="r42"} 0.246
served_share{tier="free",revision="r41"} 1
"""


def observed(store: Store) -> dict[str, float | None]:
    """What is shown as seen, by tier."""
    return {one.tier: one.observed for one in store.held.releases["llama-70b"].status.exposure}


@asynccontextmanager
async def observing(
    store: Store, url: str, *, query: str = "x", stale_s: float = 60.0
) -> AsyncIterator[None]:
    """An observer that asks again at once, on a clock that lets each answer be published."""
    settings = Observed.model_construct(
        release="llama-70b", query=query, tier_label="tier", every_s=0.05, stale_s=stale_s
    )
    times = iter(range(10**6))
    endpoint = Endpoint(url=url, timeout_s=5.0)
    task = asyncio.create_task(Observer(settings, endpoint, store, lambda: NOW + 10 * next(times)).follow())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.02)


async def test_what_a_prometheus_measures_is_observed(prometheus: StartPrometheus) -> None:
    """Share by tier of the candidate of the moment; another revision's is not it; desired stays as it was."""
    url = prometheus([Page("gateway", PAGE)])
    store = seeded()
    desired = [one.desired for one in store.held.releases["llama-70b"].status.exposure]
    for query in (
        "served_share{revision='$candidate'}  # as it is",
        "max by (tier) (served_share{revision='$candidate'})",
        "served_share{revision='$candidate'} * 2 - served_share",
    ):
        store = seeded()
        async with observing(store, url, query=query):
            await until(lambda: observed(store)["pro"] is not None)  # noqa: B023  # awaited in this round
            assert observed(store) == {"pro": 0.998, "plus": 0.246, "free": None}
    assert [one.desired for one in store.held.releases["llama-70b"].status.exposure] == desired
    # A sample is up to a second old here, so none is as young as a millisecond for long.
    async with observing(store, url, query="served_share{revision='r42'}", stale_s=0.001):
        await until(lambda: set(observed(store).values()) == {None})


async def test_what_is_no_longer_measured_is_null(caplog: pytest.LogCaptureFixture) -> None:
    """A tier that drops out of the answer at once; all of them when no answer is believed any longer."""
    answers = [vector(("pro", "1"), ("plus", "0.25"))]
    asked: list[str] = []

    async def reply(head: str, writer: asyncio.StreamWriter) -> None:
        asked.append(parse_qs(urlsplit(head.split(" ")[1]).query)["query"][0])
        writer.write(response(answers[0]))

    store = seeded()
    with caplog.at_level(logging.WARNING):
        async with answering(reply) as url, observing(store, url, query="'$candidate'", stale_s=0.5):
            await until(lambda: observed(store) == {"pro": 1.0, "plus": 0.25, "free": None})
            answers[0] = vector(("pro", "0.5"))
            await until(lambda: observed(store) == {"pro": 0.5, "plus": None, "free": None})
            answers[0] = vector(("pro", "50"))
            await until(lambda: observed(store)["pro"] is None)
            answers[0] = vector(("pro", "0.5"))
            await until(lambda: observed(store)["pro"] == 0.5)
    assert all("label_replace('r42'" in one for one in asked)
    (said,) = {one.getMessage() for one in caplog.records if "tier pro has 50" in one.getMessage()}
    assert said.startswith("observed share of llama-70b: tier pro has 50, which is no share")
    assert len([one for one in caplog.records if "tier pro has 50" in one.getMessage()]) == 1


async def test_a_prometheus_that_is_not_there_shows_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """What a run before left in the data goes at the first failure, and the log names who did not answer."""
    store = seeded()
    store.observe("llama-70b", {"pro": 0.9}, now=NOW - 100)
    with caplog.at_level(logging.WARNING):
        async with observing(store, "http://127.0.0.1:9"):
            await until(lambda: observed(store)["pro"] is None)
    assert any("127.0.0.1:9" in one.getMessage() for one in caplog.records)


def test_the_planes_own_page_is_clean() -> None:
    """promtool finds nothing to say about any of its families."""
    from collectors.control.server.exposition import exposition

    store = seeded()
    store.observe("llama-70b", {"plus": 0.246}, now=NOW)
    page, _ = exposition(store.held, {("throttle.set", "applied"): 3, ("release.advance", "refused"): 1})
    assert page.count(b"# HELP") == 5
    found = subprocess.run([promtool(), "check", "metrics"], input=page, capture_output=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, b"", b"")
