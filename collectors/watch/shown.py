"""Models, tiers and totals as they stand at one moment, from what every source last said. Pure."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from collectors.config import Context
from collectors.control.interface import PlaneState
from collectors.fleet import ALL_TIERS, Model, Release, Tier
from collectors.readings import (
    REMOVED_INTERVALS,
    STALE_INTERVALS,
    Quality,
    Reading,
    Reason,
    aged,
    is_timed,
    reading,
)
from collectors.signals.combine import combined
from collectors.signals.identity import Names, ordered_tiers
from collectors.watch.lane import Held, Lane

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
_WAITS = frozenset({"queue_wait_p99", "queue_wait_mean"})
_WEIGHTS = {"busy_ratio": "accelerators", "memory_ratio": "accelerators", "tensor_ratio": "accelerators"}

_Parts = Mapping[tuple[str, str], Mapping[str, Reading]]
"""What is known of a model: (tier, feature) -> signal -> reading; both are "" of the whole."""

Absence = Callable[[str, Sequence[str]], str]
"""Why stacks that are there do not tell a signal, and what would bring it; "" where nothing is known."""


@dataclass(slots=True)
class Shown:
    """What the last frame was built from, so that an unchanged part is the same object again."""

    models: tuple[Model, ...] = ()
    tiers: tuple[Tier, ...] = ()
    totals: Mapping[str, Reading] = field(default_factory=dict)
    notes: tuple[Reason, ...] = ()
    until: float = -math.inf


@dataclass(frozen=True, slots=True)
class Known:
    """Everything that the sources last said.

    releases: the plane's, then those that only metrics tell of
    """

    name: str
    context: Context
    names: Names
    lanes: Sequence[Lane]
    state: PlaneState | None
    has_plane: bool
    releases: Sequence[Release]
    absence: Absence


def shown(known: Known, monotonic: float, now: float, before: Shown) -> Shown:
    """Models, tiers and totals now, and until when that stays true."""
    until = math.inf
    totals: defaultdict[str, list[tuple[Lane, Reading]]] = defaultdict(list)
    by_model: dict[str, dict[tuple[str, str], dict[str, Reading]]] = {}
    clusters: dict[str, str] = {}
    for lane in known.lanes:
        lane_now = lane.now(monotonic)
        for key, held in lane.held.items():
            one = held.reading if lane_now is None else aged(held.reading, lane_now, held.interval_s)
            until = min(until, _next_change(held, now if lane_now is None else lane_now, now))
            if not key.model:
                totals[key.signal].append((lane, one))
                continue
            where = by_model.setdefault(key.model, {}).setdefault((key.tier, key.feature), {})
            if key.signal not in where or one.value is not None:
                where[key.signal] = one
            if (lane.cluster or known.names.cluster_label) and "@" in key.model:
                clusters[key.model] = key.model.rpartition("@")[2]
    measured = {name.removesuffix(f"@{clusters[name]}") if name in clusters else name for name in by_model}
    for subject in _subjects(known):
        if subject not in measured:
            by_model[subject] = {}
    tiers = _tiers(known, by_model)
    models = tuple(
        _model(known, name, clusters.get(name, ""), by_model[name], tiers)
        for name in sorted(by_model, key=lambda n: (n.lower(), n))
    )
    whole = {signal: _total(signal, parts, totals) for signal, parts in totals.items()}
    return Shown(models, tiers, {**whole, **_UNKNOWN_YET}, _notes(known, tiers, len(before.models)), until)


def _total(
    signal: str, parts: Sequence[tuple[Lane, Reading]], totals: Mapping[str, Sequence[tuple[Lane, Reading]]]
) -> Reading:
    """A signal of the whole fleet: what every source says of its part, together."""
    if len(parts) == 1:
        return parts[0][1]
    weights = {id(lane): one.estimate for lane, one in totals.get(_WEIGHTS.get(signal, ""), ())}
    numbers = [
        (one.estimate, weights.get(id(lane)) or 1.0) for lane, one in parts if one.estimate is not None
    ]
    at = min((one.at for _, one in parts if one.at is not None), default=None)
    if not numbers:
        return parts[0][1]
    value = combined(signal, numbers)
    if gone := [lane.health.name for lane, one in parts if one.value is None and lane.lost()]:
        return reading(signal, value, at, Quality.SUSPECT, Reason("part-lost", (", ".join(gone),)))
    worst = next((one for _, one in parts if one.quality is not Quality.GOOD), parts[0][1])
    return reading(signal, value, at, worst.quality, worst.reason, worst.coverage)


def _subjects(known: Known) -> Iterable[str]:
    """Models that releases open: on the screen even before any metric names them."""
    return [known.names.subject(r.subject) for r in known.releases if r.subject_kind == "model"]


def _tiers(known: Known, by_model: Mapping[str, _Parts]) -> tuple[Tier, ...]:
    seen = set().union(*(lane.tiers for lane in known.lanes)) if known.lanes else set()
    names = ordered_tiers(known.context.tiers, known.state.tiers if known.state else (), seen)
    untold = not seen and by_model and any(lane.answered for lane in known.lanes)
    if untold or any(map(_waits_as_a_whole, by_model.values())):
        # Tiers that no metric tells apart still have stages; their waits stand in one column.
        names = (*names, ALL_TIERS)
    titles = known.context.tier_titles
    return tuple(Tier(n, titles.get(n) or _title(n)) for n in names)


def _waits_as_a_whole(parts: _Parts) -> bool:
    """True for a model whose wait is known, but of none of its tiers: SGLang and TGI beside a gateway of
    others."""
    waits = [where for where, some in parts.items() if not where[1] and _WAITS & some.keys()]
    return waits == [("", "")]


def _model(
    known: Known,
    name: str,
    cluster: str,
    parts: _Parts,
    tiers: Sequence[Tier],
) -> Model:
    subject = name.removesuffix(f"@{cluster}") if cluster else name
    lanes = [lane for lane in known.lanes if not cluster or lane.cluster in {"", cluster}]
    whole = dict(parts.get(("", ""), {}))
    for signal in _EXPECTED:
        if signal not in whole:
            whole[signal] = _absent(known, signal, lanes)
    whole.update(_UNKNOWN_YET)
    by_tier: dict[str, Mapping[str, Reading]] = {
        tier: r for (tier, feature), r in parts.items() if tier and not feature
    }
    for tier in _closed_tiers(known, subject):
        by_tier[tier] = {**_NOT_OPEN, **by_tier.get(tier, {})}
    if any(t.name == ALL_TIERS for t in tiers):
        by_tier[ALL_TIERS] = {s: r for s, r in whole.items() if s.startswith(_BY_TIER)}
    features, throttle = _throttle(known, subject)
    tells_tiers = any(lane.tiers for lane in known.lanes)
    return Model(
        name=name,
        readings=whole,
        tiers=by_tier,
        objectives=known.context.objectives.of(subject),
        throttle=throttle,
        features=features,
        notes=() if tells_tiers or not whole else (Reason("no-tier", (name,)),),
        by_feature={feature: r for (tier, feature), r in parts.items() if feature and not tier},
        cluster=cluster,
        cells=_cells(parts),
    )


def _cells(parts: _Parts) -> Mapping[str, Mapping[str, Mapping[str, Reading]]]:
    """What is known of each feature in each tier."""
    found: dict[str, dict[str, Mapping[str, Reading]]] = {}
    for (tier, feature), readings in parts.items():
        if tier and feature:
            found.setdefault(feature, {})[tier] = readings
    return found


def _closed_tiers(known: Known, subject: str) -> Iterable[str]:
    """Tiers that the model's release does not open: no reading is expected of them."""
    for release in known.releases:
        if release.subject_kind == "model" and known.names.subject(release.subject) == subject:
            return [e.tier for e in release.exposure if e.desired == 0]
    return ()


def _absent(known: Known, signal: str, lanes: Sequence[Lane]) -> Reading:
    """Why a reading every model should have is not there."""
    lost = next((lane for lane in lanes if lane.lost()), None)
    if lost is not None:
        return Reading(None, None, Quality.MISSING, Reason("source-lost", (lost.health.name,)))
    if not any(lane.answered for lane in lanes):
        return Reading(None, None, Quality.MISSING, Reason("never"))
    if sentence := known.absence(signal, [d.stack for lane in lanes for d in lane.detected]):
        return Reading(None, None, Quality.MISSING, Reason("not-exported", (sentence,)))
    if signal in _OF_ACCELERATORS:
        return Reading(None, None, Quality.MISSING, Reason("no-accelerators"))
    return Reading(None, None, Quality.MISSING, Reason("no-source", (signal.replace("_", " "),)))


def _throttle(known: Known, subject: str) -> tuple[tuple[str, ...], float | None]:
    """Features the model serves, and the lowest level in force among them."""
    if known.state is None:
        return (), None
    served = tuple(
        f.id for f in known.state.features if subject in {known.names.subject(m) for m in f.models}
    )
    levels = [t.in_force for t in known.state.throttles if t.feature in served]
    there = [level for level in levels if level is not None]
    if len(there) < len(levels):
        return served, None
    return served, min(there, default=1.0)


def _notes(known: Known, tiers: Sequence[Tier], models: int) -> tuple[Reason, ...]:
    notes = [Reason("unmatched", (w, known.name)) for lane in known.lanes for w in lane.unmatched[:3]]
    if any(t.name == ALL_TIERS for t in tiers) and not any(lane.tiers for lane in known.lanes):
        notes.append(Reason("no-tiers", (known.name,)))
    objectives = known.context.objectives
    if not known.lanes:
        notes.append(Reason("no-metrics"))
    elif not objectives.models and not objectives.of(""):
        notes.append(Reason("no-objective", (known.name,)))
    if not known.has_plane:
        notes.append(Reason("no-plane"))
    if sampled := sum(pool.stands_for != 1 for pool in known.context.pools):
        notes.append(Reason("sampled", (sampled,)))
    for lane in known.lanes:
        if lane.models_there:
            notes.append(Reason("models-cut", (models, lane.models_there)))
        if lane.truncated:
            notes.append(Reason("truncated", (lane.hosts, lane.truncated)))
    return tuple(notes)


def _title(tier: str) -> str:
    """A bare priority says that it is one: `100 p99` would read as a percentile."""
    return f"prio {tier}" if tier.removeprefix("-").isdigit() else tier.capitalize()


def _next_change(held: Held, lane_now: float, now: float) -> float:
    """When the reading will next look different, by the frame's clock, if nothing new is said."""
    if held.reading.at is None or not is_timed(held.reading):
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
