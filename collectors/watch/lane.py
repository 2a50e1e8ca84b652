"""One metrics source: the last it said, and how that ages until it says something new."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from collectors.changes import kept_nodes, new_faults, stale_nodes
from collectors.fleet import Event, Node, Past, Release, SourceHealth, SourceState
from collectors.readings import Reading
from collectors.signals.assemble import Observed, observed
from collectors.signals.catalogue import Detected, Poll
from collectors.signals.identity import Names
from collectors.signals.keys import Key
from collectors.signals.recent import Recent

FORGET_S = 600.0
"""A model no source has named for this long, while the source itself answers, leaves the screen."""

SIMULATED_STACK = "simulated-fleet"
"""The preset whose proof the simulated fleet's pages carry, whoever scrapes them."""

NODES_STALE_S, NODES_GONE_S = 30.0, 75.0
"""Accelerators are asked about every 15 s: two such intervals make the heat map stale, five end it (D10)."""


class Poller(Protocol):
    """A metrics source that can be asked: a Prometheus, pages, or this machine's accelerators."""

    name: str

    async def poll(self) -> Poll:
        """One poll. Never raises for a server that is slow, absent or lying: its health says so."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...


@dataclass(slots=True)
class Held:
    """A reading as it was polled, and how often its source is sampled."""

    reading: Reading
    interval_s: float


@dataclass(slots=True, eq=False)
class Lane:
    """One metrics source and the last it said. `now` is by the source's own clock.

    cluster: that it watches, where it is one of several
    past: of before the watch began, until a frame has taken it
    """

    poller: Poller
    speed: float
    health: SourceHealth
    cluster: str = ""
    at: float | None = None
    received: float = 0.0
    answered: bool = False
    simulated: bool = False
    held: dict[Key, Held] = field(default_factory=dict)
    tiers: set[str] = field(default_factory=set)
    releases: tuple[Release, ...] = ()
    detected: tuple[Detected, ...] = ()
    past: tuple[Past, ...] = ()
    unmatched: tuple[str, ...] = ()
    truncated: int = 0
    models_there: int = 0
    _nodes: tuple[Node, ...] = ()
    _nodes_at: float | None = None
    _nodes_stale: bool = False
    _recent: Recent = field(default_factory=Recent)
    _mentioned: dict[str, float] = field(default_factory=dict)

    def now(self, monotonic: float) -> float | None:
        """The watched clock, None before the first answer."""
        return None if self.at is None else self.at + (monotonic - self.received) * self.speed

    def read(self, poll: Poll, names: Names) -> tuple[Names, Observed]:
        """What a poll says, and the names with what it told of them. One call at a time, on any thread."""
        learned = names.within(poll.cluster).learned(poll.answers).within("")
        return learned, observed(poll, learned, self._recent)

    def take(self, poll: Poll, seen: Observed, received: float, least_s: float) -> Sequence[Event]:
        """Keep what a poll brought. received: of `time.monotonic()`; least_s: seconds between two polls

        returns: faults that were not there before
        """
        running, self.simulated = self.now(received), SIMULATED_STACK in poll.stacks
        self.at, self.received, self.answered = poll.at, received, True
        if running is not None and not self.simulated:
            # A poll is of when it was asked for. One that took long sets no clock back.
            self.at = min(max(running, poll.at), poll.at + (poll.health.latency_s or 0.0))
        self.cluster, self.detected = poll.cluster, poll.detected
        # Scraped every second but polled every five, a reading is not stale between two polls.
        least_s = max(poll.interval_s, least_s)
        for key, one in seen.readings.items():
            if one.value is None and one.reason.code == "collecting" and self._has_value(key):
                continue
            self.held[key] = Held(one, max(least_s, seen.intervals.get(key, 0.0)))
        # What is no longer being collected is known now, or will never come.
        self.held = {k: h for k, h in self.held.items() if not _was_collecting(k, h, seen)}
        self.tiers |= seen.tiers
        for model in seen.models:
            self._mentioned[model] = poll.at
        self._forget(poll.at)
        self.releases, self.past = seen.releases, (*self.past, *seen.past)
        self.models_there = seen.truncated_models
        if seen.unmatched is not None:
            self.unmatched = seen.unmatched
        return () if seen.nodes is None else self._take_nodes(seen.nodes, seen.truncated, poll.at)

    def nodes(self, monotonic: float) -> tuple[Node, ...]:
        """The heat map as it stands now: stale, then none, if nobody renews it."""
        now = self.now(monotonic)
        if now is None or self._nodes_at is None or now - self._nodes_at > NODES_GONE_S * self.speed:
            return ()
        if not self._nodes_stale and now - self._nodes_at > NODES_STALE_S * self.speed:
            self._nodes, self._nodes_stale = stale_nodes(self._nodes), True
        return self._nodes

    @property
    def hosts(self) -> int:
        """Hosts on the heat map."""
        return len(self._nodes)

    def take_past(self) -> tuple[Past, ...]:
        """What was before the watch began, once."""
        past, self.past = self.past, ()
        return past

    def lost(self) -> bool:
        """True if it does not answer now."""
        return self.health.state is SourceState.LOST

    def _has_value(self, key: Key) -> bool:
        held = self.held.get(key)
        return held is not None and held.reading.value is not None

    def _take_nodes(self, nodes: tuple[Node, ...], truncated: int, at: float) -> Sequence[Event]:
        faults = new_faults(self._nodes, nodes, at)
        self._nodes, self._nodes_at, self._nodes_stale = kept_nodes(self._nodes, nodes), at, False
        self.truncated = truncated
        return faults

    def _forget(self, now: float) -> None:
        gone = {model for model, at in self._mentioned.items() if now - at > FORGET_S}
        if gone:
            self._mentioned = {m: at for m, at in self._mentioned.items() if m not in gone}
            self.held = {key: held for key, held in self.held.items() if key.model not in gone}


def faulty(health: SourceHealth, said: str) -> SourceHealth:
    """The health of a source over which tidegate itself stumbled."""
    text = f"a fault of tidegate's own while reading it ({said}): its readings turn stale; please report it"
    return replace(health, state=SourceState.LOST, error=text)


def _was_collecting(key: Key, held: Held, seen: Observed) -> bool:
    return held.reading.reason.code == "collecting" and key not in seen.readings
