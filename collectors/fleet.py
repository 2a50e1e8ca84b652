"""The words of tidegate as types: what screen, record and replay share. Readings have a module of their own.

Everything is frozen and made of standard-library parts, so importing this module costs nothing.
Times are seconds since the epoch (UTC) by the clock of whoever measured; durations are seconds;
shares and ratios are 0..1. The JSON form is documented in `frame_json.py`.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NamedTuple, Protocol

from collectors.intents import Operator, PlaneFacts
from collectors.readings import NEVER, Reading, Reason, ticked

ALL_TIERS = "all"
"""The one tier shown where no metric tells tiers apart."""


@dataclass(frozen=True, slots=True)
class Tier:
    """Class of customers, in order of priority: the first one is served first."""

    name: str
    title: str


@dataclass(frozen=True, slots=True)
class Model:
    """A served model at one tick: its readings, and what it was promised.

    readings: signal id -> reading of the whole model
    tiers: tier name -> signal id -> reading; a tier with no entry was never measured
    objectives: tier name -> promised p99 queue wait, seconds; absent tiers have none
    throttle: lowest level in force among the features it serves; None when unknown
    notes: sentences about the model as a whole (no tier data, no accelerators)
    by_feature: feature -> signal id -> reading, where a label of a gateway or router tells features apart
    cells: feature -> tier -> signal id -> reading, of arrivals and rejections alone: what a throttle does
    cluster: which of several clusters serves it; "" where there is one. `name` then ends in `@cluster`
    """

    name: str
    readings: Mapping[str, Reading]
    tiers: Mapping[str, Mapping[str, Reading]]
    objectives: Mapping[str, float] = field(default_factory=dict)
    throttle: float | None = None
    features: tuple[str, ...] = ()
    notes: tuple[Reason, ...] = ()
    by_feature: Mapping[str, Mapping[str, Reading]] = field(default_factory=dict)
    cluster: str = ""
    cells: Mapping[str, Mapping[str, Mapping[str, Reading]]] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        """The model's name without its cluster: what a release or a feature calls it."""
        return self.name.removesuffix(f"@{self.cluster}") if self.cluster else self.name

    def reading(self, signal: str, tier: str | None = None) -> Reading:
        """The reading, or one that says it was never taken."""
        where = self.readings if tier is None else self.tiers.get(tier, {})
        return where.get(signal, NEVER)


class Stage(NamedTuple):
    """One step of a staged release: it opens `tier` ("*" = everyone) at `weight`."""

    id: str
    tier: str
    weight: float
    gate: Literal["manual", "auto", "unknown"] = "manual"
    hold_s: int = 0


class Exposure(NamedTuple):
    """Share of a tier that has the subject: asked for, and seen by a metric (None: not seen)."""

    tier: str
    desired: float
    observed: float | None = None


class Check(NamedTuple):
    """One check of the server's gate."""

    id: str
    state: str
    detail: str = ""
    ready_at: float | None = None


class LastChange(NamedTuple):
    """Who last changed a resource, by the control plane's audit."""

    audit_id: str
    op: str
    actor: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class Release:
    """The staged opening of a subject (a model, or a feature), as the control plane last said.

    phase: pending, progressing, paused, completed, aborted, degraded, unknown
    gate: open, closed, unknown; source: control contract, section 3
    read_only: why nothing can be done to it from here (only its metrics are seen); "" where something can
    """

    id: str
    title: str
    subject_kind: Literal["model", "feature"]
    subject: str
    seq: int
    etag: str
    stable: str | None
    candidate: str
    stages: tuple[Stage, ...]
    phase: str
    stage_index: int | None
    exposure: tuple[Exposure, ...]
    pause_reason: str | None = None
    entered_at: float | None = None
    message: str = ""
    gate: str = "unknown"
    checks: tuple[Check, ...] = ()
    base: tuple[Exposure, ...] = ()
    history: tuple[str, ...] = ()
    last_change: LastChange | None = None
    read_only: str = ""

    def desired(self, tier: str) -> float | None:
        """Share of `tier` that should have the subject now; None if the release does not name it."""
        return next((e.desired for e in self.exposure if e.tier == tier), None)

    def observed(self, tier: str) -> float | None:
        """Share of `tier` seen to have it; None if no metric tells."""
        return next((e.observed for e in self.exposure if e.tier == tier), None)


class Revert(NamedTuple):
    """What a throttle goes back to when its time is up."""

    level: float | None
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class Throttle:
    """A fleet-wide cell (feature, tier). `level` is the share admitted: 1 is open, 0 lets nothing pass.

    state: applied, pending, ramping, drifted, unknown; source: control contract, section 4
    """

    feature: str
    tier: str
    seq: int
    etag: str
    level: float | None
    unit: str = "share"
    limit: float | None = None
    baseline: float | None = None
    state: str = "applied"
    effective_level: float | None = None
    ramp_per_min: float | None = None
    return_ramp_per_min: float | None = None
    expires_at: float | None = None
    revert_to: Revert | None = None
    last_change: LastChange | None = None

    @property
    def in_force(self) -> float | None:
        """Share admitted now: the effective level while it ramps, else the level."""
        return self.effective_level if self.state == "ramping" else self.level


class Feature(NamedTuple):
    """A product capability that can be throttled, and the models that serve it."""

    id: str
    title: str
    models: tuple[str, ...]


MISSING_CELL, STALE_CELL = 255, 254

BUSY_STEP = 20
"""Percent of busy time in one shade of the heat map; 100 is of the last."""


@dataclass(frozen=True, slots=True)
class Node:
    """Accelerators of one host, for the heat map.

    busy: one byte an accelerator: 0..100 percent busy time, 254 stale, 255 missing. A little past the edge of
        a shade it is told as at that edge, on the side where it was, see `changes.kept_nodes`
    marks: one letter an accelerator: X fault, t thermal, e ECC, or a space
    """

    name: str
    pool: str
    busy: bytes
    marks: str
    models: tuple[str, ...] = ()


class Severity(StrEnum):
    """P1 to P3, as on the screen: reverse red, amber, yellow."""

    P1 = "P1"
    P2 = "P2"
    P3 = "P3"


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that wants a person. `model` and `tier` are empty where it names none.

    since: when it began to fire, by whoever says so
    source: "tidegate" for a derived one, else the name of the Prometheus or Alertmanager that told it
    silenced_until: end of the silence that covers it, None where there is none
    silenced_by: who silenced it and why, in one cleaned line
    name, labels: of the rule's alert, as its server tells them; empty for a derived one
    description: what the rule says besides the summary; runbook, link: what it says to read, and where it
        can be seen as a graph; all are text from outside, cleaned
    event: the summary without numbers that change, for the event that tells of it; "" where it has none
    """

    id: str
    severity: Severity
    model: str
    tier: str
    since: float
    summary: str
    source: str = "tidegate"
    silenced_until: float | None = None
    silenced_by: str = ""
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    description: str = ""
    runbook: str = ""
    link: str = ""
    event: str = ""


class EventKind(StrEnum):
    """What kind of thing happened."""

    ACTION = "action"
    RELEASE = "release"
    THROTTLE = "throttle"
    ALERT = "alert"
    SOURCE = "source"
    FAULT = "fault"
    CLOCK = "clock"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, in one cleaned line. `actor` is a person, `ctl`, or a source."""

    at: float
    kind: EventKind
    actor: str
    subject: str
    text: str


class SourceState(StrEnum):
    """Whether a source answers."""

    CONNECTING = "connecting"
    OK = "ok"
    PARTIAL = "partial"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """One source's line: is it there, how old is its word, what did it cost.

    at: time of its last good answer; None before the first
    latency_s: of the last poll; interval_s: time between its samples
    error: a sentence with what to do, empty when fine; warnings: partial answers, in its own words
    targets: (up, known); queries and received_bytes: of the last poll; skipped: polls dropped as overrun

    Times are kept to 10 ms, durations to 1 ms.
    """

    name: str
    kind: Literal["prometheus", "scrape", "nvml", "alerts", "plane", "synthetic", "recording"]
    state: SourceState
    at: float | None = None
    latency_s: float | None = None
    interval_s: float | None = None
    error: str = ""
    warnings: tuple[str, ...] = ()
    targets: tuple[int, int] | None = None
    queries: int = 0
    received_bytes: int = 0
    skipped: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", ticked(self.at))
        for name in ("latency_s", "interval_s"):
            known = getattr(self, name)
            object.__setattr__(self, name, None if known is None else round(known, 3))


class Past(NamedTuple):
    """What a signal was before anybody watched, as the metrics source kept it; `value` in its unit."""

    model: str
    tier: str
    signal: str
    at: float
    value: float


@dataclass(frozen=True, slots=True)
class Frame:
    """Everything known at one tick.

    at: the tick's time, by the clock of what is watched (simulated in the demo)
    totals: signal id -> reading of the whole fleet
    models: in order of name; releases and throttles as the control plane last said
    nodes: for the heat map, in order of (pool, name); may be fewer than the fleet has: see notes
    events: of this tick only; screens and recorders keep their own history
    notes: sentences about the fleet as a whole (no tiers, no plane, unmatched names)
    past: of this tick only, once a source: readings of before the watch began, oldest first
    plane: what the control plane says of itself and of us, as it last did; None where there is none
    """

    at: float
    tick: int
    context: str
    tiers: tuple[Tier, ...]
    models: tuple[Model, ...]
    totals: Mapping[str, Reading] = field(default_factory=dict)
    releases: tuple[Release, ...] = ()
    throttles: tuple[Throttle, ...] = ()
    features: tuple[Feature, ...] = ()
    nodes: tuple[Node, ...] = ()
    alerts: tuple[Alert, ...] = ()
    sources: tuple[SourceHealth, ...] = ()
    events: tuple[Event, ...] = ()
    notes: tuple[Reason, ...] = ()
    past: tuple[Past, ...] = ()
    plane: PlaneFacts | None = None
    production: bool = False
    simulated: bool = False
    mode: Literal["LIVE", "DEMO", "REPLAY"] = "LIVE"

    @property
    def is_before_its_clock(self) -> bool:
        """Whether it stands at the real time because nobody has told the simulated one yet: it is empty."""
        return self.simulated and not (self.models or self.events or self.plane is not None)

    def release_of(self, subject: str) -> Release | None:
        """The release that opens `subject`, if there is one."""
        return next((r for r in self.releases if r.subject == subject), None)


class Source(Protocol):
    """Anything that yields frames: live, demo and replay differ here and in nothing that draws."""

    @property
    def operator(self) -> Operator | None:
        """The way of intents to the control plane; None where there is none to write to, as in a replay."""
        ...

    def frames(self) -> AsyncIterator[Frame]:
        """Frames in order of time, about one a second, until closed."""
        ...

    async def aclose(self) -> None:
        """Stop asking and free what is held. Safe to call twice."""
        ...
