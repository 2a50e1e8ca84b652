"""Asks every source of a context, once or until rates are known: the I/O of `tidegate check`."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from collectors import live
from collectors.alerts.sources import alert_sources
from collectors.alerts.told import AlertSource
from collectors.check.facts import Asked, Facts, Present, latest
from collectors.config import Context, Endpoint, PlaneEndpoint, PrometheusServer, shown_url
from collectors.control.interface import ControlPlane, PlaneError, PlaneState
from collectors.daemon import DaemonExecutor, in_daemon
from collectors.endpoint import Access, AccessError
from collectors.fleet import SourceHealth, SourceState
from collectors.nvml import NvmlPoller
from collectors.prometheus.live import PrometheusPoller
from collectors.prometheus.wire import Refused, read_vector
from collectors.signals.catalogue import Poll
from collectors.watch.lane import Poller
from collectors.watch.loop import POLL_S

TELL_S = 0.5
"""Between two words about what is waited for."""

MAX_BODY_BYTES = 2 * 1024 * 1024
"""Longest answer read about a server's targets."""


@dataclass(slots=True)
class Opened:
    """One source, ready to be asked.

    asked: what it said so far; waiting: for what, in words; plane: what a control plane said
    """

    asked: Asked
    ask: Callable[["Opened"], Coroutine[Any, Any, None]]
    aclose: Callable[[], Awaitable[None]]
    waiting: str = "waiting for an answer"
    plane: PlaneState | None = None


def opened(context: Context) -> tuple[Opened, ...]:
    """Every source of a context; nothing is asked yet.

    raises: what building a source raises: ConfigError, FileError, PlaneError, ValueError
    """
    servers = iter(context.prometheus)
    found = [
        _metrics(poller, next(servers, None) if isinstance(poller, PrometheusPoller) else None, context)
        for poller in live.pollers(context)
    ]
    told = [server for server in context.prometheus if server.alerts]
    sources = alert_sources(context.prometheus, context.alertmanager)
    found += [
        _alerts(source, endpoint)
        for source, endpoint in zip(sources, (*told, *context.alertmanager), strict=True)
    ]
    if context.plane is not None:
        found.append(_of_plane(live.plane(context.plane), context.plane))
    return tuple(found)


async def gathered(
    name: str,
    context: Context,
    sources: Sequence[Opened],
    within_s: float,
    progress: Callable[[str], None] = lambda _: None,
) -> Facts:
    """What the sources say, asked side by side, until no rate is still being collected. They are closed then.

    within_s: a source that takes longer is told with what it said so far, or as not answering
    progress: told about twice a second what is waited for
    """
    # A name server that does not answer must not hold the command past its time.
    asyncio.get_running_loop().set_default_executor(DaemonExecutor())
    deadline = time.monotonic() + within_s
    tasks = {asyncio.create_task(one.ask(one)): one for one in sources}
    try:
        pending = set(tasks)
        while pending and (left_s := deadline - time.monotonic()) > 0:
            done, pending = await asyncio.wait(
                pending, timeout=min(TELL_S, left_s), return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
            waited = [tasks[task] for task in tasks if task in pending]
            progress("; ".join(f"{one.asked.health.name}: {one.waiting}" for one in waited))
        for task in pending:
            tasks[task].asked = _late(tasks[task].asked, within_s)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for one in sources:
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(one.aclose(), 1.0)
    return Facts(
        name=name,
        context=context,
        presets=live.known_presets(context),
        sources=tuple(one.asked for one in sources),
        plane=next((one.plane for one in sources if one.plane is not None), None),
    )


def _late(asked: Asked, within_s: float) -> Asked:
    """A source that was still waited for at the end."""
    if asked.health.state is not SourceState.CONNECTING:
        return asked
    said = f"no answer within {within_s:g} s. Give it longer with --within, or see that it can be reached."
    return replace(asked, health=replace(asked.health, state=SourceState.LOST, error=said))


def _metrics(poller: Poller, server: PrometheusServer | None, context: Context) -> Opened:
    pages = [shown_url(page.url) for page in context.scrape]
    kind: Literal["prometheus", "nvml", "scrape"]
    if server is not None:
        kind, place = "prometheus", shown_url(server.url)
    elif isinstance(poller, NvmlPoller):
        kind, place = "nvml", "this machine"
    else:
        kind, place = "scrape", pages[0] if len(pages) == 1 else f"{len(pages)} pages"
    health = SourceHealth(poller.name, kind, SourceState.CONNECTING)
    return Opened(Asked(health, place), lambda one: _ask_metrics(one, poller, server), poller.aclose)


async def _ask_metrics(one: Opened, poller: Poller, server: PrometheusServer | None) -> None:
    """Poll until no rate is still being collected, or the source does not answer."""
    known: Poll | None = None
    while True:
        began = time.monotonic()
        poll = await poller.poll()
        offset = poller.clock_offset_s if isinstance(poller, PrometheusPoller) else None
        lost = poll.health.state is SourceState.LOST
        # What it said before it was lost is still what it said.
        known = known if lost and known is not None else latest(known, poll)
        one.asked = replace(one.asked, health=poll.health, clock_offset_s=offset, poll=known)
        if lost:
            break
        scrapes = [answer.collecting for answer in known.answers if answer.collecting]
        if not scrapes:
            break
        seen, need = min(scrapes)
        one.waiting = f"collecting {seen}/{need} scrapes"
        period = max(poll.interval_s, 1.0) if server is not None else POLL_S
        await asyncio.sleep(max(0.0, period - (time.monotonic() - began)))
    if server is not None and one.asked.answers and not (known and known.stacks):
        one.waiting = "asking what there is instead"
        one.asked = replace(one.asked, present=await _present(server))


async def _present(server: PrometheusServer) -> Present:
    """What a Prometheus has that has none of the stacks."""
    from collectors.prometheus.history import discover

    try:
        names = await in_daemon(discover, server)
        return Present(names, await _targets(server))
    except (Refused, AccessError) as error:
        return Present(error=f"{error}. {error.mend}.")


async def _targets(server: PrometheusServer) -> Mapping[str, tuple[int, int]]:
    """Targets (up, known) by job. raises: Refused, AccessError"""
    access = Access(server)
    http = await in_daemon(access.opened, connections=1)
    try:
        counts: list[dict[str, int]] = []
        for operator in ("sum", "count"):
            query = f"{operator} by (job) (up{{{','.join(server.select)}}})"
            request = http.build_request("GET", "api/v1/query", params={"query": query})
            response = await access.send(http, request)
            body = await access.body(response, at_most=MAX_BODY_BYTES)
            if response.status_code != 200:
                raise access.refusal(response.status_code, response.headers, body)
            samples = read_vector(body).samples
            counts.append({s.metric.get("job", ""): int(s.number) for s in samples if s.value is not None})
        up, known = counts
        return {job: (up.get(job, 0), number) for job, number in known.items()}
    finally:
        await http.aclose()


def _alerts(source: AlertSource, endpoint: Endpoint) -> Opened:
    health = SourceHealth(source.name, "alerts", SourceState.CONNECTING)
    asked = Asked(health, shown_url(endpoint.url))
    return Opened(asked, lambda one: _ask_alerts(one, source), source.aclose)


async def _ask_alerts(one: Opened, source: AlertSource) -> None:
    poll = await source.poll()
    one.asked = replace(one.asked, health=poll.health, firing=len(poll.told))


def _of_plane(plane: ControlPlane, endpoint: PlaneEndpoint) -> Opened:
    health = SourceHealth("ctl", "plane", SourceState.CONNECTING)
    asked = Asked(health, shown_url(endpoint.url))
    return Opened(asked, lambda one: _ask_plane(one, plane), plane.aclose)


async def _ask_plane(one: Opened, plane: ControlPlane) -> None:
    began = time.monotonic()
    try:
        one.plane = state = await plane.read()
    except PlaneError as error:
        health = replace(one.asked.health, state=SourceState.LOST, error=str(error))
        one.asked = replace(one.asked, health=replace(health, latency_s=time.monotonic() - began))
        return
    health = replace(one.asked.health, state=SourceState.OK, at=state.at, latency_s=time.monotonic() - began)
    one.asked = replace(one.asked, health=health, clock_offset_s=state.clock_offset_s)
