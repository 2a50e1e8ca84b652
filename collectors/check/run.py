"""Asks every source of a context, once or until rates are known: the I/O of `tidegate check`."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from collectors import live
from collectors.alerts.sources import alert_sources
from collectors.alerts.told import AlertSource
from collectors.check.beside import beside, present, taken_for
from collectors.check.facts import Asked, Facts, latest
from collectors.config import Context, Endpoint, PlaneEndpoint, PrometheusServer, shown_url
from collectors.control.interface import ControlPlane, PlaneError, PlaneState
from collectors.daemon import DaemonExecutor
from collectors.fleet import SourceHealth, SourceState
from collectors.nvml import NvmlPoller
from collectors.prometheus.live import PrometheusPoller
from collectors.signals.catalogue import Poll
from collectors.text import clean
from collectors.watch.lane import Poller
from collectors.watch.loop import POLL_S

TELL_S = 0.5
"""Between two words about what is waited for."""


@dataclass(slots=True)
class Opened:
    """One source, ready to be asked.

    asked: what it said so far; waiting: for what, in words; plane: what a control plane said
    """

    asked: Asked
    ask: Callable[["Opened"], Coroutine[Any, Any, None]]
    aclose: Callable[[], Awaitable[None]]
    waiting: str = "no answer yet"
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
                if (error := task.exception()) is not None:
                    tasks[task].asked = _faulty(tasks[task].asked, error)
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


def _faulty(asked: Asked, error: BaseException) -> Asked:
    """A source over which tidegate itself stumbled: the others are still told."""
    said = clean(f"{type(error).__name__}: {error}", 200)
    text = f"a fault of tidegate's own while reading it ({said}); please report it"
    return replace(asked, health=replace(asked.health, state=SourceState.LOST, error=text))


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
    return Opened(Asked(health, place), lambda one: _ask_metrics(one, poller, server, context), poller.aclose)


async def _ask_metrics(
    one: Opened, poller: Poller, server: PrometheusServer | None, context: Context
) -> None:
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
    if server is None:
        return
    if not one.asked.answers:
        await _ask_what_it_is(one, server, "prometheus")
    elif known and known.stacks:
        one.waiting = "asking what else there is"
        taken = context.identity.labels()
        found = await beside(server, known.detected, live.known_presets(context), taken)
        one.asked = replace(one.asked, beside=found)
    else:
        one.waiting = "asking what there is instead"
        one.asked = replace(one.asked, present=await present(server))


async def _ask_what_it_is(one: Opened, endpoint: Endpoint, wanted: str) -> None:
    """Where a server answers, but not as what it was given as: what it is, in place of what was wrong."""
    if "HTTP 404" in one.asked.health.error or "HTTP 410" in one.asked.health.error:
        one.waiting = "asking what it is"
        if looks := await taken_for(endpoint, wanted):
            said = f"{one.asked.place} {looks}"
            one.asked = replace(one.asked, health=replace(one.asked.health, error=said))


def _alerts(source: AlertSource, endpoint: Endpoint) -> Opened:
    health = SourceHealth(source.name, "alerts", SourceState.CONNECTING)
    asked = Asked(health, shown_url(endpoint.url))
    return Opened(asked, lambda one: _ask_alerts(one, source, endpoint), source.aclose)


async def _ask_alerts(one: Opened, source: AlertSource, endpoint: Endpoint) -> None:
    poll = await source.poll()
    one.asked = replace(one.asked, health=poll.health, firing=len(poll.told))
    if not one.asked.answers and not isinstance(endpoint, PrometheusServer):
        await _ask_what_it_is(one, endpoint, "alertmanager")


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
