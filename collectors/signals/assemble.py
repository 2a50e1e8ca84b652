"""From answers to readings: one poll of one metrics source, resolved to models, tiers and nodes.

Pure: what a poll says depends on the poll and the names, never on a clock or on earlier polls.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from collectors.fleet import (
    NO_REASON,
    Interval,
    Node,
    Quality,
    Reading,
    Reason,
    impossible,
    reading,
)
from collectors.signals.accelerators import add_faults, heat_map, stands_for, weights
from collectors.signals.catalogue import Answer, Buckets, Poll, ScrapeTarget
from collectors.signals.identity import Names, has_exported, workload
from collectors.signals.keys import Key
from collectors.signals.quantiles import interval, merged, quantile_signal

MAX_MODELS = 2000
"""Models kept of one poll, by name; more are cut and the frame says so."""

# Beyond any queue; a sum of absurd depths may be infinite.
_DEEPEST = 1e15

_WORST = frozenset({"kv_ratio", "pool_saturation", "temperature_c", "errors"})
_WEIGHTED = frozenset({"busy_ratio", "memory_ratio"})
_ROUTER_FIRST = frozenset(
    {"queue_wait", "answer_time", "arrivals", "rejected", "errors", "pool_saturation", "replicas"}
)
_BOTH = frozenset({"waiting"})


@dataclass(frozen=True, slots=True)
class Observed:
    """What one poll says.

    readings: by key; only what this poll answered
    tiers: every tier that some series names
    models: every model that some series names
    nodes: for the heat map, or None if the map was not asked this time
    unmatched: workloads that hold accelerators and match no model
    intervals: seconds until a reading's stack is asked again, where that is not the poll's own interval
    truncated: hosts there are, where more than `MAX_NODES`; else 0
    truncated_models: models there are, where more than `MAX_MODELS`; else 0
    """

    readings: Mapping[Key, Reading]
    tiers: frozenset[str]
    models: frozenset[str]
    nodes: tuple[Node, ...] | None
    unmatched: tuple[str, ...]
    intervals: Mapping[Key, float]
    truncated: int = 0
    truncated_models: int = 0


def observed(poll: Poll, names: Names) -> Observed:
    """Readings of one poll.

    Engines and the router measure different queues: requests wait at the router, then in an engine, so
    waiting is their sum, while the wait and the answer time are the router's where there is one: it sees the
    request as its user does. Other signals come from the engine first. Quantiles come from merged buckets,
    never from quantiles.
    """
    exported = has_exported(
        r for a in poll.answers if a.definition.role in {"accelerator", "heat"} for r in a.rows
    )
    gathered = _gathered(poll.answers, names, exported)
    known = sorted({model for model, _, _ in gathered.groups if model})
    kept = {"", *known[:MAX_MODELS]}
    coverage = _coverage(poll.targets, names)
    readings: dict[Key, Reading] = {}
    intervals: dict[Key, float] = {}
    for (model, tier, family), entries in gathered.groups.items():
        if model not in kept:
            continue
        for chosen in _chosen(entries, family, tier):
            at = min((e.at for e in chosen if e.at is not None), default=None)
            covered = _covered(coverage, model, {e.stack for e in chosen})
            slowest = max((poll.intervals.get(e.stack, poll.interval_s) for e in chosen), default=0.0)
            for key, one in _readings(Key(model, tier, family), chosen, at, covered, gathered.waiting):
                readings[key], intervals[key] = _lacking(one), slowest
    _add_totals(readings, poll)
    nodes, truncated = heat_map(poll.answers, names, exported)
    if nodes is not None:
        add_faults(readings, poll.answers, names, exported)
    return Observed(
        readings=readings,
        tiers=frozenset(gathered.tiers),
        models=frozenset(k.model for k in readings if k.model),
        nodes=nodes,
        unmatched=tuple(sorted(gathered.unmatched)),
        intervals=intervals,
        truncated=truncated,
        truncated_models=len(known) if len(known) > MAX_MODELS else 0,
    )


class _Entry(NamedTuple):
    """One row that belongs to some key, with what is needed to combine it with others."""

    role: str
    stack: str
    value: float | Buckets
    weight: float
    at: float | None
    rung: str
    quantiles: tuple[float, ...]


@dataclass(slots=True)
class _Gathered:
    groups: dict[tuple[str, str, str], list[_Entry]]
    tiers: set[str]
    unmatched: set[str]
    waiting: dict[tuple[str, str], float]


def _gathered(answers: Sequence[Answer], names: Names, exported: bool) -> _Gathered:
    found = _Gathered(defaultdict(list), set(), set(), defaultdict(float))
    behind = weights(answers, names, exported)
    for answer in answers:
        role = answer.definition.role
        if role == "heat":
            continue
        if role == "accelerator":
            _gather_accelerators(answer, names, exported, behind, found)
        else:
            _gather_serving(answer, names, found)
    return found


def _gather_serving(answer: Answer, names: Names, found: _Gathered) -> None:
    definition = answer.definition
    for row in answer.rows:
        model = names.model(row.labels)
        if model is None and (pool := row.labels.get("inference_pool") or row.labels.get("name")):
            model = _model_of_pool(pool, names)
        if model is None:
            continue
        entry = _Entry(
            definition.role, definition.stack, row.value, 1.0, answer.at, row.rung, definition.quantiles
        )
        found.groups[model, "", definition.signal].append(entry)
        if tier := names.tier(row.labels):
            found.tiers.add(tier)
            found.groups[model, tier, definition.signal].append(entry)
        if definition.signal == "waiting" and isinstance(row.value, float) and 0 <= row.value < math.inf:
            found.waiting[model, ""] += row.value
            if tier:
                found.waiting[model, tier] += row.value


def _model_of_pool(pool: str, names: Names) -> str | None:
    """Pool-wide series name no model: the pool's own name, less a `-pool` ending, may be one."""
    for name in (pool, pool.removesuffix("-pool")):
        if alias := names.identity.aliases.get(name):
            return alias
        if name in names.known:
            return name
    return None


def _gather_accelerators(
    answer: Answer,
    names: Names,
    exported: bool,
    weights: Mapping[tuple[tuple[str, str], ...], float],
    found: _Gathered,
) -> None:
    definition = answer.definition
    for row in answer.rows:
        if not isinstance(row.value, float):
            continue
        behind = weights.get(tuple(sorted(row.labels.items())), 1.0)
        value, weight = row.value, behind
        if definition.signal in {"accelerators", "power_w"}:
            value, weight = row.value * stands_for(row, names, exported), 1.0
        entry = _Entry(definition.role, definition.stack, value, weight, answer.at, row.rung, ())
        found.groups["", "", definition.signal].append(entry)
        model = names.model_of_accelerator(row.labels, exported=exported)
        if model is not None:
            found.groups[model, "", definition.signal].append(entry)
        elif where := workload(row.labels, exported=exported).name:
            found.unmatched.add(where)


def _chosen(entries: list[_Entry], family: str, tier: str) -> Iterable[list[_Entry]]:
    """The entries to combine: one role's, so that two exporters of one thing are not added up."""
    if family in _BOTH:
        return [entries]
    roles = ("router", "engine") if family in _ROUTER_FIRST or tier else ("engine", "router")
    for role in (*roles, "accelerator"):
        if found := [e for e in entries if e.role == role]:
            return [found]
    return []


def _readings(
    key: Key,
    entries: list[_Entry],
    at: float | None,
    covered: tuple[int, int] | None,
    waiting: Mapping[tuple[str, str], float],
) -> Iterable[tuple[Key, Reading]]:
    rung = next((e.rung for e in entries if e.rung), "")
    note = Reason("rung", (rung,)) if rung else NO_REASON
    if isinstance(entries[0].value, Buckets):
        together = merged([e.value for e in entries if isinstance(e.value, Buckets)])
        depth = min(waiting.get((key.model, key.tier), 0.0), _DEEPEST)
        for q in entries[0].quantiles:
            signal = quantile_signal(key.signal, q)
            yield key._replace(signal=signal), _quantile(signal, together, q, at, covered, depth)
        return
    numbers = [(e.value, e.weight) for e in entries if isinstance(e.value, float)]
    value = _combined(key.signal, numbers)
    yield key, reading(key.signal, value, at, Quality.GOOD, note, covered)


def _quantile(
    signal: str, together: Buckets, q: float, at: float | None, covered: tuple[int, int] | None, depth: float
) -> Reading:
    """NaN with an empty queue is idle; with a queue it is stalled, and that is worth a warning.

    Without the last bucket nobody knows how many there were: that is not idle.
    """
    found: Interval | None = interval(together, q)
    if found is not None:
        return reading(signal, found, at, coverage=covered)
    if not together.bounds or together.bounds[-1] != math.inf:
        return Reading(None, at, Quality.MISSING, Reason("not-a-number", ("a bucket",)), covered)
    if depth > 0 and signal.startswith("queue_wait"):
        return Reading(None, at, Quality.SUSPECT, Reason("stalled", (round(depth),)), covered)
    return Reading(None, at, Quality.GOOD, Reason("idle"), covered)


def _combined(signal: str, numbers: Sequence[tuple[float, float]]) -> float:
    """NaN only if every row is: one replica that sends NaN must not blank its model.

    An impossible row is the answer, whatever the others say: a sum must not hide it. So is an infinite one
    where no row is finite.
    """
    finite = [(v, w) for v, w in numbers if math.isfinite(v)]
    if not finite:
        return next((v for v, _ in numbers if not math.isnan(v)), math.nan)
    if (wrong := next((v for v, _ in finite if impossible(signal, v)), None)) is not None:
        return wrong
    if signal in _WORST:
        return max(v for v, _ in finite)
    if signal in _WEIGHTED:
        total = sum(w for _, w in finite)
        return sum(v * w for v, w in finite) / total if total > 0 else math.nan
    return sum(v for v, _ in finite)


def _add_totals(readings: dict[Key, Reading], poll: Poll) -> None:
    """Fleet-wide sums of what models have, and words for rates that are still being collected."""
    for signal in ("waiting", "running", "served", "tokens_out"):
        parts = [r for k, r in readings.items() if k.model and not k.tier and k.signal == signal]
        values = [r.estimate for r in parts if r.estimate is not None]
        if values:
            at = min((r.at for r in parts if r.at is not None), default=None)
            readings[Key("", "", signal)] = reading(signal, sum(values), at)
    known = {(k.model, k.tier) for k in readings if k.model}
    for answer in poll.answers:
        if answer.collecting is None:
            continue
        signal = answer.definition.signal
        signals = [quantile_signal(signal, q) for q in answer.definition.quantiles] or [signal]
        why = Reading(None, answer.at, Quality.MISSING, Reason("collecting", answer.collecting))
        for model, tier in known:
            # Only a router tells tiers apart; a tier it never names of a model is not being collected.
            if not tier or answer.definition.role == "router":
                for one in signals:
                    readings.setdefault(Key(model, tier, one), why)


def _coverage(targets: Sequence[ScrapeTarget], names: Names) -> dict[tuple[str, str], tuple[int, int]]:
    """(up, known) targets by (stack, model); model "" is the whole stack.

    A target's models are told by its pod, or by what a page read directly carried itself.
    """
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for target in targets:
        joined = names.joined.get(workload(target.labels, exported=False))
        models = {joined} if joined else {names.model(labels) for labels in target.carries}
        for stack in target.stacks:
            for key in {(stack, ""), *((stack, model) for model in models if model)}:
                counts[key][0] += target.up
                counts[key][1] += 1
    return {key: (up, known) for key, (up, known) in counts.items()}


def _covered(
    coverage: Mapping[tuple[str, str], tuple[int, int]], model: str, stacks: Iterable[str]
) -> tuple[int, int] | None:
    """Of the stacks that feed a reading, the one with the smallest share of its targets up."""
    of_stacks = (coverage.get((stack, model)) or coverage.get((stack, "")) for stack in stacks)
    return min((one for one in of_stacks if one is not None), key=lambda c: c[0] / c[1], default=None)


def _lacking(one: Reading) -> Reading:
    """A good value that lacks a target which does not answer says so."""
    if one.value is None or one.quality is not Quality.GOOD or one.coverage is None:
        return one
    return replace(one, reason=Reason("coverage", one.coverage)) if one.coverage[0] < one.coverage[1] else one
