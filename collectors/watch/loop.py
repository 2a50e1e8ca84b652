"""The live loop: asks every source in its own time, merges what they say into one frame a second.

A slow source never delays a tick: its readings keep their time, turn stale, then lose their value.
Each source is asked again only when its last answer is in; a poll that overran its turn is dropped.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Literal

from collectors.alerts.derived import NOTHING, derived, remembered, together
from collectors.alerts.matching import matched
from collectors.alerts.told import AlertPoll, AlertSource, Told
from collectors.changes import changed_alerts
from collectors.config import Context
from collectors.control.interface import ControlPlane, PlaneState, PlaneUpdate
from collectors.daemon import in_daemon
from collectors.fleet import Alert, Event, EventKind, Frame, Node, Release, SourceHealth, SourceState
from collectors.intents import Operator, PlaneFacts
from collectors.signals.catalogue import Poll
from collectors.signals.identity import Names
from collectors.text import clean
from collectors.watch.lane import Lane, Poller, faulty
from collectors.watch.operated import ToldOperator
from collectors.watch.shown import Absence, Known, Shown, shown

TICK_S = 1.0
POLL_S = 5.0

SOON_S = 2.0
"""Seconds after an operator's action in which news of the plane does not wait for the tick."""

ALERTS_S = 15.0
"""Seconds between two questions for alerts: rules are evaluated no more often, by all defaults."""

HELD_S = 30.0
"""Longest that a simulated clock stands until its fleet has caught up: one further behind is followed."""


class Watch:
    """A source of live frames: `context` says how to read what `pollers`, `plane` and `alert_sources` answer.

    speed: simulated seconds a real second, where the watched clock is simulated; else 1
    poll_s: real seconds between polls of one source, at least
    absence: why stacks that are there do not tell a signal
    """

    def __init__(
        self,
        name: str,
        context: Context,
        pollers: Sequence[Poller],
        plane: ControlPlane | None = None,
        *,
        alert_sources: Sequence[AlertSource] = (),
        mode: Literal["LIVE", "DEMO"] = "LIVE",
        speed: float = 1.0,
        poll_s: float = POLL_S,
        tick_s: float = TICK_S,
        absence: Absence = lambda signal, stacks: "",
    ) -> None:
        self._name, self._context, self._plane, self._mode = clean(name), context, plane, mode
        self._poll_s, self._tick_s, self._speed, self._absence = poll_s, tick_s, speed, absence
        labels = (server.cluster_label for server in context.prometheus)
        self._names = Names(context.identity, context.pools, cluster_label=next(filter(None, labels), ""))
        kind: Literal["prometheus", "scrape"] = "prometheus" if context.prometheus else "scrape"
        self._lanes = [
            Lane(p, speed, SourceHealth(clean(p.name, 40), kind, SourceState.CONNECTING)) for p in pollers
        ]
        self._plane_state: PlaneState | None = None
        self._plane_health: SourceHealth | None = None
        self._events: list[Event] = []
        self._alert_sources = tuple(alert_sources)
        self._told = {one.name: _not_yet(one) for one in alert_sources}
        self._derived: tuple[Alert, ...] = ()
        self._alerts: tuple[Alert, ...] = ()
        self._matched: tuple[object, tuple[Alert, ...]] = (None, ())
        self._memory = NOTHING
        self._shown = Shown()
        self._dirty = True
        # What the watched clock tells at least.
        self._least = -math.inf
        self._tick = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()
        self._hurried_at = -math.inf
        self._reading = asyncio.Lock()
        operator = plane.operator() if plane is not None else None
        self._operator = (
            ToldOperator(operator, self._tell, self.now, self._hurry) if operator is not None else None
        )
        if plane is not None:
            self._plane_health = SourceHealth("ctl", "plane", SourceState.CONNECTING)

    @property
    def operator(self) -> Operator | None:
        """The way of intents to the plane; what never reached its log is told as an event here."""
        return self._operator

    def now(self) -> float:
        """The watched clock."""
        return self._now(time.monotonic())

    def _tell(self, event: Event) -> None:
        self._events.append(event)

    def _hurry(self) -> None:
        # Whoever acts presses the next key on what they see: it must not be what was before.
        self._hurried_at = time.monotonic()
        if self._dirty:
            self._news.set()

    async def frames(self) -> AsyncIterator[Frame]:
        """One frame at once, one when a source first answers, one when the plane tells of what an operator
        has done here; else one a tick.

        Ticks are fixed in time, and a late one is not repeated.
        """
        self._tasks = [asyncio.create_task(self._ask(lane)) for lane in self._lanes]
        self._tasks += [asyncio.create_task(self._ask_alerts(one)) for one in self._alert_sources]
        if self._plane is not None:
            self._tasks.append(asyncio.create_task(self._follow(self._plane)))
        started = time.monotonic()
        while True:
            self._tick += 1
            yield self._frame(time.monotonic())
            elapsed = time.monotonic() - started
            # Until Python 3.12 `wait_for` loses a cancel that comes together with what it waits for.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._tick_s - elapsed % self._tick_s):
                    await self._news.wait()
            self._news.clear()

    async def aclose(self) -> None:
        """Stop asking, close every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        closing: list[Callable[[], Awaitable[None]]] = [lane.poller.aclose for lane in self._lanes]
        closing += [one.aclose for one in self._alert_sources]
        if self._plane is not None:
            closing.append(self._plane.aclose)
        for close in closing:
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(close(), 1.0)

    async def _ask(self, lane: Lane) -> None:
        """Ask one metrics source for ever: never two polls at once, never one queued behind another."""
        skipped = 0
        while True:
            began, period = time.monotonic(), self._poll_s
            try:
                poll = await lane.poller.poll()
                if poll.health.kind == "prometheus":
                    # More often than it scrapes brings nothing; a page is scraped by the asking.
                    period = max(period, poll.interval_s)
                skipped += max(0, math.ceil((time.monotonic() - began) / period) - 1)
                await self._take(lane, poll, time.monotonic(), skipped)
            except Exception as error:  # a fault of ours over one source must not take the others away
                before = lane.health.state
                lane.health = faulty(lane.health, _said(error))
                self._note_source(lane.health, before, lane.now(time.monotonic()) or time.time())
            await asyncio.sleep(period - (time.monotonic() - began) % period)

    async def _take(self, lane: Lane, poll: Poll, received: float, skipped: int) -> None:
        before = lane.health.state
        lane.health = replace(poll.health, skipped=skipped)
        self._note_source(lane.health, before, poll.at)
        if poll.health.state not in {SourceState.OK, SourceState.PARTIAL}:
            return
        # One after another: each learns names from the last. Of a thousand models it takes seconds, in which
        # ticks go on.
        async with self._reading:
            names, seen = await in_daemon(lane.read, poll, self._names)
            self._names = self._with_subjects(names)
        if not lane.answered:
            self._news.set()
        told, was_set_back = self.now(), lane.at is not None and poll.at < lane.at
        self._events.extend(lane.take(poll, seen, received, self._poll_s * self._speed))
        self._dirty = True
        self._hold(lane, told, was_set_back=was_set_back)

    def _hold(self, lane: Lane, told: float, *, was_set_back: bool) -> None:
        """Have a simulated clock stand, rather than go back, where it ran ahead of a fleet that is slow.

        A busy machine costs a simulated fleet time, which nobody knows of before the next poll. A real clock
        is its server's: where that goes back, it was set.
        """
        self._least = -math.inf
        if lane.simulated and not was_set_back and told - self.now() <= HELD_S * self._speed:
            self._least = told

    async def _ask_alerts(self, source: AlertSource) -> None:
        """Ask one source of alerts for ever."""
        while True:
            before = self._told[source.name].health
            try:
                self._told[source.name] = poll = await source.poll()
                health = poll.health
            except Exception as error:  # as for a metrics source: the numbers stay on the screen
                health = faulty(before, _said(error))
                known = tuple(replace(one, last_known=True) for one in self._told[source.name].told)
                self._told[source.name] = replace(self._told[source.name], told=known, health=health)
            self._note_source(health, before.state, health.at or time.time())
            await asyncio.sleep(max(ALERTS_S, self._poll_s))

    async def _follow(self, plane: ControlPlane) -> None:
        while True:
            try:
                async for update in plane.updates():
                    self._take_update(update)
            except Exception as error:  # as for a metrics source: the numbers stay on the screen
                health = self._plane_health or SourceHealth("ctl", "plane", SourceState.CONNECTING)
                self._plane_health = faulty(health, _said(error))
                self._note_source(self._plane_health, health.state, health.at or time.time())
            await asyncio.sleep(self._poll_s)

    def _take_update(self, update: PlaneUpdate) -> None:
        before = self._plane_health.state if self._plane_health else SourceState.CONNECTING
        self._plane_health = update.health
        if (update.state or update.events) and time.monotonic() - self._hurried_at < SOON_S:
            self._news.set()
        self._note_source(update.health, before, update.health.at or time.time())
        if update.state is not None:
            if self._plane_state is None:
                self._news.set()
            self._plane_state = update.state
            self._names = self._with_subjects(self._names)
            releases = tuple(map(self._named, update.state.releases))
            self._plane_state = replace(update.state, releases=releases)
            self._dirty = True
        self._events.extend(update.events)

    def _with_subjects(self, names: Names) -> Names:
        """The names with those of the plane's models; a feature's subject is no model."""
        releases = self._plane_state.releases if self._plane_state else ()
        return names.learned((), [r.subject for r in releases if r.subject_kind == "model"])

    def _named(self, release: Release) -> Release:
        """The release under its model's name; what is written goes by its id, which stays."""
        name = self._names.subject(release.subject) if release.subject_kind == "model" else release.subject
        return release if name == release.subject else replace(release, subject=name)

    def _note_source(self, health: SourceHealth, before: SourceState, at: float) -> None:
        lost = health.state is SourceState.LOST
        if lost and before is not SourceState.LOST:
            text = health.error or "not answering"
            self._events.append(Event(at, EventKind.SOURCE, health.name, health.name, f"lost: {text}"))
        elif before is SourceState.LOST and not lost:
            self._events.append(Event(at, EventKind.SOURCE, health.name, health.name, "answers again"))

    def _frame(self, monotonic: float) -> Frame:
        now, state = self._now(monotonic), self._plane_state
        releases = self._releases()
        if self._dirty or now >= self._shown.until:
            known = Known(
                self._name,
                self._context,
                self._names,
                self._lanes,
                state,
                self._plane is not None,
                releases,
                self._absence,
            )
            self._shown = shown(known, monotonic, now, self._shown)
            self._dirty = False
        self._renew_alerts(now)
        events, self._events = tuple(self._events), []
        return Frame(
            at=now,
            tick=self._tick,
            context=self._name,
            tiers=self._shown.tiers,
            models=self._shown.models,
            totals=self._shown.totals,
            releases=releases,
            throttles=state.throttles if state else (),
            features=state.features if state else (),
            nodes=self._nodes(monotonic),
            alerts=self._alerts,
            sources=self._sources(),
            events=events,
            notes=self._shown.notes,
            plane=_facts(state),
            past=tuple(one for lane in self._lanes for one in lane.take_past()),
            production=self._context.production,
            simulated=self._context.simulated or any(lane.simulated for lane in self._lanes),
            mode=self._mode,
        )

    def _renew_alerts(self, now: float) -> None:
        models = self._shown.models
        self._memory = remembered(models, now, self._memory)
        releases = self._plane_state.releases if self._plane_state else ()
        self._derived = derived(models, self._sources(), now, self._derived, self._memory, releases)
        alerts = together(self._derived, self._told_alerts(), now) if self._alert_sources else self._derived
        self._events.extend(changed_alerts(self._alerts, alerts, now))
        self._alerts = alerts

    def _told_alerts(self) -> tuple[Alert, ...]:
        """The alerts of servers; matched anew only if one said something new, or a name is."""
        told: tuple[Told, ...] = tuple(one for poll in self._told.values() for one in poll.told)
        tiers = tuple(tier.name for tier in self._shown.tiers)
        models = tuple(model.name for model in self._shown.models)
        of = (told, self._names, tiers, models)
        if self._matched[0] != of:
            self._matched = of, matched(told, self._names, tiers, models)
        return self._matched[1]

    def _releases(self) -> tuple[Release, ...]:
        """The plane's releases; of what it does not release, those that only metrics tell of."""
        from_plane = self._plane_state.releases if self._plane_state else ()
        seen = [r for lane in self._lanes for r in lane.releases]
        if not seen:
            return from_plane
        subjects = {(r.subject_kind, r.subject) for r in from_plane}
        return (*from_plane, *(r for r in seen if (r.subject_kind, r.subject) not in subjects))

    def _now(self, monotonic: float) -> float:
        """The watched clock: the metrics source's own, so that skew makes no reading old or young."""
        known = [now for lane in self._lanes if (now := lane.now(monotonic)) is not None]
        if known:
            return max(*known, self._least)
        return self._plane_state.at if self._plane_state and self._context.simulated else time.time()

    def _sources(self) -> tuple[SourceHealth, ...]:
        lanes = tuple(lane.health for lane in self._lanes)
        told = tuple(poll.health for poll in self._told.values())
        return (*lanes, *told, *((self._plane_health,) if self._plane_health else ()))

    def _nodes(self, monotonic: float) -> tuple[Node, ...]:
        found: tuple[Node, ...] = ()
        for lane in self._lanes:
            found += lane.nodes(monotonic)
        return found


def _facts(state: PlaneState | None) -> PlaneFacts | None:
    if state is None:
        return None
    return PlaneFacts(
        state.actor,
        state.role,
        state.abilities,
        state.tiers,
        None if state.clock_offset_s is None else round(state.clock_offset_s, 3),
        state.api_version,
        state.ttl_max_s,
    )


def _not_yet(source: AlertSource) -> AlertPoll:
    return AlertPoll(0.0, (), SourceHealth(clean(source.name, 40), "alerts", SourceState.CONNECTING))


def _said(error: Exception) -> str:
    return clean(f"{type(error).__name__}: {error}", 200)
