"""The live loop: asks every source in its own time, merges what they say into one frame a second.

A slow source never delays a tick: its readings keep their time, turn stale, then lose their value.
Each source is asked again only when its last answer is in; a poll that overran its turn is dropped.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from collectors.alerts.derived import derived
from collectors.changes import changed_alerts, kept_nodes, new_faults, stale_nodes
from collectors.config import Context
from collectors.control.interface import ControlPlane, PlaneState, PlaneUpdate
from collectors.fleet import (
    ALL_TIERS,
    REMOVED_INTERVALS,
    STALE_INTERVALS,
    Alert,
    Event,
    EventKind,
    Frame,
    Model,
    Node,
    Quality,
    Reading,
    Reason,
    Release,
    SourceHealth,
    SourceState,
    Tier,
    aged,
    clean,
)
from collectors.signals.assemble import Observed, observed
from collectors.signals.catalogue import Poll
from collectors.signals.identity import Names, ordered_tiers
from collectors.signals.keys import Key

TICK_S = 1.0
POLL_S = 5.0
FORGET_S = 600.0
"""A model no source has named for this long, while the source itself answers, leaves the screen."""

SIMULATED_STACK = "simulated-fleet"
"""The preset whose proof the simulated fleet's pages carry, whoever scrapes them."""

NODES_STALE_S, NODES_GONE_S = 30.0, 75.0
"""Accelerators are asked about every 15 s: two such intervals make the heat map stale, five end it (D10)."""

_UNKNOWN_YET = {
    signal: Reading(None, None, Quality.UNKNOWN, Reason("no-capacity-model"))
    for signal in ("saturation_rho", "headroom_ratio")
}
_OF_ACCELERATORS = ("accelerators", "busy_ratio", "memory_ratio", "power_w", "temperature_c", "faults")
_BY_TIER = ("queue_wait_", "answer_time_", "waiting", "arrivals", "served", "rejected")
_NOT_OPEN = {
    signal: Reading(None, None, Quality.MISSING, Reason("not-open"))
    for signal in ("queue_wait_p50", "queue_wait_p95", "queue_wait_p99", "waiting", "arrivals")
}
_EXPECTED = (
    *_OF_ACCELERATORS, "waiting", "running", "kv_ratio", "queue_wait_p99", "answer_time_p99", "tokens_out",
)  # fmt: skip


class Poller(Protocol):
    """A metrics source that can be asked: a Prometheus, or pages read directly."""

    name: str

    async def poll(self) -> Poll:
        """One poll. Never raises for a server that is slow, absent or lying: its health says so."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...


@dataclass(slots=True)
class _Held:
    """A reading as it was polled, and how often its source is sampled."""

    reading: Reading
    interval_s: float
    lane: "_Lane"


@dataclass(slots=True, eq=False)
class _Lane:
    """One metrics source and the last it said. `now` is by the source's own clock."""

    poller: Poller
    speed: float
    health: SourceHealth
    at: float | None = None
    received: float = 0.0
    nodes: tuple[Node, ...] = ()
    nodes_at: float | None = None
    nodes_stale: bool = False
    truncated: int = 0
    models_there: int = 0
    unmatched: tuple[str, ...] = ()
    answered: bool = False
    simulated: bool = False

    def now(self, monotonic: float) -> float | None:
        return None if self.at is None else self.at + (monotonic - self.received) * self.speed


@dataclass(slots=True)
class _Shown:
    """What the last frame was built from, so that an unchanged part is the same object again."""

    models: tuple[Model, ...] = ()
    tiers: tuple[Tier, ...] = ()
    totals: Mapping[str, Reading] = field(default_factory=dict)
    notes: tuple[Reason, ...] = ()
    until: float = -math.inf


class Watch:
    """A source of live frames: `context` says how to read what `pollers` and `plane` answer.

    speed: simulated seconds a real second, where the watched clock is simulated; else 1
    poll_s: real seconds between polls of one source, at least
    """

    def __init__(
        self,
        name: str,
        context: Context,
        pollers: Sequence[Poller],
        plane: ControlPlane | None = None,
        *,
        mode: Literal["LIVE", "DEMO"] = "LIVE",
        speed: float = 1.0,
        poll_s: float = POLL_S,
        tick_s: float = TICK_S,
    ) -> None:
        self._name, self._context, self._plane, self._mode = clean(name), context, plane, mode
        self._poll_s, self._tick_s, self._speed = poll_s, tick_s, speed
        self._names = Names(context.identity, context.pools)
        kind: Literal["prometheus", "scrape"] = "prometheus" if context.prometheus else "scrape"
        self._lanes = [
            _Lane(p, speed, SourceHealth(clean(p.name, 40), kind, SourceState.CONNECTING)) for p in pollers
        ]
        self._held: dict[Key, _Held] = {}
        self._mentioned: dict[str, float] = {}
        self._seen_tiers: set[str] = set()
        self._plane_state: PlaneState | None = None
        self._plane_health: SourceHealth | None = None
        self._events: list[Event] = []
        self._alerts: tuple[Alert, ...] = ()
        self._shown = _Shown()
        self._dirty = True
        self._tick = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._first_word = asyncio.Event()
        if plane is not None:
            self._plane_health = SourceHealth("ctl", "plane", SourceState.CONNECTING)

    async def frames(self) -> AsyncIterator[Frame]:
        """One frame at once, one when a source first answers, then one a tick.

        Ticks are fixed in time, and a late one is not repeated.
        """
        self._tasks = [asyncio.create_task(self._ask(lane)) for lane in self._lanes]
        if self._plane is not None:
            self._tasks.append(asyncio.create_task(self._follow(self._plane)))
        started = time.monotonic()
        while True:
            self._tick += 1
            yield self._frame(time.monotonic())
            elapsed = time.monotonic() - started
            with suppress(TimeoutError):
                await asyncio.wait_for(self._first_word.wait(), self._tick_s - elapsed % self._tick_s)
            self._first_word.clear()

    async def aclose(self) -> None:
        """Stop asking, close every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        closing: list[Callable[[], Awaitable[None]]] = [lane.poller.aclose for lane in self._lanes]
        if self._plane is not None:
            closing.append(self._plane.aclose)
        for close in closing:
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(close(), 1.0)

    async def _ask(self, lane: _Lane) -> None:
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
                self._take(lane, poll, time.monotonic(), skipped)
            except Exception as error:  # a fault of ours over one source must not take the others away
                before = lane.health.state
                lane.health = _faulty(lane.health, error)
                self._note_source(lane.health, before, lane.now(time.monotonic()) or time.time())
            await asyncio.sleep(period - (time.monotonic() - began) % period)

    def _take(self, lane: _Lane, poll: Poll, received: float, skipped: int) -> None:
        before = lane.health.state
        lane.health = replace(poll.health, skipped=skipped)
        self._note_source(lane.health, before, poll.at)
        if poll.health.state not in {SourceState.OK, SourceState.PARTIAL}:
            return
        if not lane.answered:
            self._first_word.set()
        lane.at, lane.received, lane.answered = poll.at, received, True
        lane.simulated = SIMULATED_STACK in poll.stacks
        # The plane's subjects were learned when it named them; a feature's is no model.
        self._names = self._names.learned(poll.answers)
        seen = observed(poll, self._names)
        # Scraped every second but polled every five, a reading is not stale between two polls.
        least_s = max(poll.interval_s, self._poll_s * self._speed)
        for key, one in seen.readings.items():
            held = self._held.get(key)
            if (
                one.value is None
                and one.reason.code == "collecting"
                and held
                and held.reading.value is not None
            ):
                continue
            self._held[key] = _Held(one, max(least_s, seen.intervals.get(key, 0.0)), lane)
        # What is no longer being collected is known now, or will never come.
        self._held = {
            k: h for k, h in self._held.items() if not (h.lane is lane and _was_collecting(k, h, seen))
        }
        self._seen_tiers |= seen.tiers
        for model in seen.models:
            self._mentioned[model] = poll.at
        self._forget(poll.at)
        lane.unmatched, lane.models_there = seen.unmatched, seen.truncated_models
        if seen.nodes is not None:
            self._events.extend(new_faults(lane.nodes, seen.nodes, poll.at))
            lane.nodes_stale = False
            lane.nodes, lane.nodes_at, lane.truncated = (
                kept_nodes(lane.nodes, seen.nodes),
                poll.at,
                seen.truncated,
            )
        self._dirty = True

    def _forget(self, now: float) -> None:
        gone = {model for model, at in self._mentioned.items() if now - at > FORGET_S}
        if gone:
            self._mentioned = {m: at for m, at in self._mentioned.items() if m not in gone}
            self._held = {key: held for key, held in self._held.items() if key.model not in gone}

    async def _follow(self, plane: ControlPlane) -> None:
        while True:
            try:
                async for update in plane.updates():
                    self._take_update(update)
            except Exception as error:  # as for a metrics source: the numbers stay on the screen
                health = self._plane_health or SourceHealth("ctl", "plane", SourceState.CONNECTING)
                self._plane_health = _faulty(health, error)
                self._note_source(self._plane_health, health.state, health.at or time.time())
            await asyncio.sleep(self._poll_s)

    def _take_update(self, update: PlaneUpdate) -> None:
        before = self._plane_health.state if self._plane_health else SourceState.CONNECTING
        self._plane_health = update.health
        self._note_source(update.health, before, update.health.at or time.time())
        if update.state is not None:
            if self._plane_state is None:
                self._first_word.set()
            subjects = [r.subject for r in update.state.releases if r.subject_kind == "model"]
            self._names = self._names.learned((), subjects)
            releases = tuple(map(self._named, update.state.releases))
            self._plane_state = replace(update.state, releases=releases)
            self._dirty = True
        self._events.extend(update.events)

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
        now = self._now(monotonic)
        if self._dirty or now >= self._shown.until:
            self._shown = self._assembled(monotonic, now)
            self._dirty = False
        earlier, self._alerts = self._alerts, derived(self._shown.models, self._sources(), now, self._alerts)
        self._events.extend(changed_alerts(earlier, self._alerts, now))
        events, self._events = tuple(self._events), []
        state = self._plane_state
        return Frame(
            at=now,
            tick=self._tick,
            context=self._name,
            tiers=self._shown.tiers,
            models=self._shown.models,
            totals=self._shown.totals,
            releases=state.releases if state else (),
            throttles=state.throttles if state else (),
            features=state.features if state else (),
            nodes=self._nodes(monotonic),
            alerts=self._alerts,
            sources=self._sources(),
            events=events,
            notes=self._shown.notes,
            production=self._context.production,
            simulated=self._context.simulated or any(lane.simulated for lane in self._lanes),
            mode=self._mode,
        )

    def _now(self, monotonic: float) -> float:
        """The watched clock: the metrics source's own, so that skew makes no reading old or young."""
        known = [now for lane in self._lanes if (now := lane.now(monotonic)) is not None]
        if known:
            return max(known)
        return self._plane_state.at if self._plane_state and self._context.simulated else time.time()

    def _sources(self) -> tuple[SourceHealth, ...]:
        lanes = tuple(lane.health for lane in self._lanes)
        return (*lanes, self._plane_health) if self._plane_health else lanes

    def _nodes(self, monotonic: float) -> tuple[Node, ...]:
        found: tuple[Node, ...] = ()
        for lane in self._lanes:
            now = lane.now(monotonic)
            if now is None or lane.nodes_at is None or now - lane.nodes_at > NODES_GONE_S * self._speed:
                continue
            if not lane.nodes_stale and now - lane.nodes_at > NODES_STALE_S * self._speed:
                lane.nodes, lane.nodes_stale = stale_nodes(lane.nodes), True
            found += lane.nodes
        return found

    def _assembled(self, monotonic: float, now: float) -> _Shown:
        """Models, tiers and totals as they stand now, and until when that stays true."""
        until = math.inf
        totals: dict[str, Reading] = {}
        by_model: dict[str, dict[str, dict[str, Reading]]] = {m: {} for m in self._subjects()}
        for key, held in self._held.items():
            lane_now = held.lane.now(monotonic)
            one = held.reading if lane_now is None else aged(held.reading, lane_now, held.interval_s)
            until = min(until, _next_change(held, now if lane_now is None else lane_now, now))
            if key.model:
                by_model.setdefault(key.model, {}).setdefault(key.tier, {})[key.signal] = one
            else:
                totals[key.signal] = one
        tiers = self._tiers()
        totals.update(_UNKNOWN_YET)
        models = tuple(
            self._model(name, by_model[name], tiers)
            for name in sorted(by_model, key=lambda n: (n.lower(), n))
        )
        return _Shown(models, tiers, totals, self._notes(tiers), until)

    def _subjects(self) -> Iterable[str]:
        """Models the control plane releases: on the screen even before any metric names them."""
        if self._plane_state is None:
            return ()
        return [
            self._names.subject(r.subject) for r in self._plane_state.releases if r.subject_kind == "model"
        ]

    def _tiers(self) -> tuple[Tier, ...]:
        from_plane = self._plane_state.tiers if self._plane_state else ()
        names = ordered_tiers(self._context.tiers, from_plane, self._seen_tiers)
        if not self._seen_tiers and any(key.model for key in self._held):
            # Tiers that no metric tells apart still have stages; their waits stand in one column.
            names = (*names, ALL_TIERS)
        titles = self._context.tier_titles
        return tuple(Tier(n, titles.get(n) or _title(n)) for n in names)

    def _model(self, name: str, by_tier: Mapping[str, Mapping[str, Reading]], tiers: Sequence[Tier]) -> Model:
        whole = dict(by_tier.get("", {}))
        for signal in _EXPECTED:
            if signal not in whole:
                whole[signal] = self._absent(signal)
        whole.update(_UNKNOWN_YET)
        readings_by_tier: dict[str, Mapping[str, Reading]] = {t: r for t, r in by_tier.items() if t}
        for tier in self._closed_tiers(name):
            readings_by_tier[tier] = {**_NOT_OPEN, **readings_by_tier.get(tier, {})}
        if any(t.name == ALL_TIERS for t in tiers):
            readings_by_tier[ALL_TIERS] = {s: r for s, r in whole.items() if s.startswith(_BY_TIER)}
        features, throttle = self._throttle(name)
        notes = () if self._seen_tiers or not whole else (Reason("no-tier", (name,)),)
        return Model(
            name=name,
            readings=whole,
            tiers=readings_by_tier,
            objectives=self._context.objectives.of(name),
            throttle=throttle,
            features=features,
            notes=notes,
        )

    def _closed_tiers(self, name: str) -> Iterable[str]:
        """Tiers that the model's release does not open: no reading is expected of them."""
        releases = self._plane_state.releases if self._plane_state else ()
        for release in releases:
            if release.subject_kind == "model" and self._names.subject(release.subject) == name:
                return [e.tier for e in release.exposure if e.desired == 0]
        return ()

    def _absent(self, signal: str) -> Reading:
        """Why a reading every model should have is not there."""
        lost = next((lane for lane in self._lanes if lane.health.state is SourceState.LOST), None)
        if lost is not None:
            return Reading(None, None, Quality.MISSING, Reason("source-lost", (lost.health.name,)))
        if not any(lane.answered for lane in self._lanes):
            return Reading(None, None, Quality.MISSING, Reason("never"))
        if signal in _OF_ACCELERATORS:
            return Reading(None, None, Quality.MISSING, Reason("no-accelerators"))
        return Reading(None, None, Quality.MISSING, Reason("no-source", (signal.replace("_", " "),)))

    def _throttle(self, model: str) -> tuple[tuple[str, ...], float | None]:
        """Features the model serves, and the lowest level in force among them."""
        state = self._plane_state
        if state is None:
            return (), None
        served = tuple(f.id for f in state.features if model in {self._names.subject(m) for m in f.models})
        levels = [t.in_force for t in state.throttles if t.feature in served]
        known = [level for level in levels if level is not None]
        if len(known) < len(levels):
            return served, None
        return served, min(known, default=1.0)

    def _notes(self, tiers: Sequence[Tier]) -> tuple[Reason, ...]:
        notes = [Reason("unmatched", (w, self._name)) for lane in self._lanes for w in lane.unmatched[:3]]
        if any(t.name == ALL_TIERS for t in tiers):
            notes.append(Reason("no-tiers", (self._name,)))
        objectives = self._context.objectives
        if not objectives.models and not objectives.of(""):
            notes.append(Reason("no-objective", (self._name,)))
        if self._plane is None:
            notes.append(Reason("no-plane"))
        if sampled := sum(pool.stands_for != 1 for pool in self._context.pools):
            notes.append(Reason("sampled", (sampled,)))
        notes += [
            Reason("models-cut", (len(self._shown.models), lane.models_there))
            for lane in self._lanes
            if lane.models_there
        ]
        notes += [
            Reason("truncated", (len(lane.nodes), lane.truncated)) for lane in self._lanes if lane.truncated
        ]
        return tuple(notes)


def _title(tier: str) -> str:
    """A bare priority says that it is one: `100 p99` would read as a percentile."""
    return f"prio {tier}" if tier.removeprefix("-").isdigit() else tier.capitalize()


def _faulty(health: SourceHealth, error: Exception) -> SourceHealth:
    said = clean(f"{type(error).__name__}: {error}", 200)
    text = f"a fault of tidegate's own while reading it ({said}): its readings turn stale; please report it"
    return replace(health, state=SourceState.LOST, error=text)


def _was_collecting(key: Key, held: _Held, seen: Observed) -> bool:
    return held.reading.reason.code == "collecting" and key not in seen.readings


def _next_change(held: _Held, lane_now: float, now: float) -> float:
    """When the reading will next look different, by the frame's clock, if nothing new is said."""
    if held.reading.at is None or held.reading.value is None:
        return math.inf
    age = lane_now - held.reading.at
    stale_after = STALE_INTERVALS * held.interval_s
    removed_after = REMOVED_INTERVALS * held.interval_s
    if age <= stale_after:
        wait = stale_after - age
    elif age <= removed_after:
        # A stale age is told in whole seconds.
        wait = min(1.0, removed_after - age)
    else:
        wait = 1.0 if age < 60 else 10.0
    return now + wait
