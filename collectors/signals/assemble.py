"""From answers to readings: one poll of one metrics source, resolved to models, tiers, features and nodes.

What a poll says depends on the poll, the names, and the memory of the same source's last minutes that is
handed in; on no clock.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from collectors.fleet import Node, Past, Release
from collectors.readings import Quality, Reading, Reason, quantised, reading
from collectors.signals.accelerators import add_faults, cards_of, count_once, heat_map, stands_for, weights
from collectors.signals.catalogue import Answer, Buckets, PastAnswer, Poll, Row, ScrapeTarget
from collectors.signals.combine import Entry, chosen, readings
from collectors.signals.identity import Names, has_exported, workload
from collectors.signals.keys import Key
from collectors.signals.quantiles import observations, quantile_signal
from collectors.signals.recent import Recent
from collectors.signals.rollouts import releases

MAX_MODELS = 2000
"""Models kept of one poll, by name; more are cut and the frame says so."""

MAX_FEATURES = 32
"""Features kept of one model: rules make them, and a rule may name one for each customer."""

_LONGEST_S = 1e9
"""No wait is longer than thirty years."""

_COUNTED = frozenset({"accelerators", "power_w", "slices"})
_OF_NODES = frozenset({"accelerators_allocatable", "accelerators_requested"})
_OF_CELLS = frozenset({"arrivals", "rejected"})
_SUMMED = ("waiting", "running", "arrivals", "served", "rejected", "tokens_in", "tokens_out")


@dataclass(frozen=True, slots=True)
class Observed:
    """What one poll says.

    readings: by key; only what this poll answered
    tiers: every tier that some series names
    models: every model that some series names
    nodes: for the heat map, or None if the map was not asked this time
    unmatched: workloads that hold accelerators and match no model; None if accelerators were not asked
    intervals: seconds until a reading's stack is asked again, where that is not the poll's own interval
    releases: staged releases that only metrics tell of
    past: what the source kept of before the watch began
    truncated: hosts there are, where more than `MAX_NODES`; else 0
    truncated_models: models there are, where more than `MAX_MODELS`; else 0
    """

    readings: Mapping[Key, Reading]
    tiers: frozenset[str]
    models: frozenset[str]
    nodes: tuple[Node, ...] | None
    unmatched: tuple[str, ...] | None
    intervals: Mapping[Key, float]
    releases: tuple[Release, ...] = ()
    past: tuple[Past, ...] = ()
    truncated: int = 0
    truncated_models: int = 0


def observed(poll: Poll, names: Names, recent: Recent | None = None) -> Observed:
    """Readings of one poll.

    Engines and the router measure different queues: requests wait at the router, then in an engine, so
    waiting is their sum, while the wait is the router's where there is one, and the answer time that of
    whoever is nearest to the user. Other signals come from the engine first. Quantiles come from merged
    buckets, never from quantiles; with few observations the windows before are added (`recent`).
    """
    names = names.within(poll.cluster)
    exported = has_exported(
        r for a in poll.answers if a.definition.role in {"accelerator", "heat"} for r in a.rows
    )
    gathered = _gathered(poll.answers, names, exported)
    known = sorted({key.model for key in gathered.groups if key.model})
    kept = {"", *known[:MAX_MODELS]}
    coverage = _coverage(poll.targets, names)
    found: dict[Key, Reading] = {}
    intervals: dict[Key, float] = {}
    for group, entries in gathered.groups.items():
        if group.model not in kept:
            continue
        some = chosen(entries, group.signal, split=bool(group.tier or group.feature))
        if not some or _is_of_another_queue(group, some, gathered):
            continue
        covered = _covered(coverage, group.model, {e.stack for e in some})
        slowest = max(poll.intervals.get(e.stack, poll.interval_s) for e in some)
        depth = gathered.waiting.get(group._replace(signal="waiting"), 0.0)
        for key, one in readings(group, some, covered, depth, recent):
            found[key], intervals[key] = _lacking(one), slowest
    if recent is not None:
        _add_little(found, gathered, recent)
        recent.forget(poll.at)
    _add_totals(found, poll)
    nodes, truncated = heat_map(poll.answers, names, exported)
    if nodes is not None:
        add_faults(found, poll.answers, names, exported)
        slowest = max(
            (
                poll.intervals.get(a.definition.stack, 0.0)
                for a in poll.answers
                if a.definition.role == "heat"
            ),
            default=0.0,
        )
        intervals.update({key: slowest for key in found if key.signal == "faults"})
    count_once(found, poll.answers, names, exported)
    return Observed(
        readings=found,
        tiers=frozenset(gathered.tiers),
        models=frozenset(k.model for k in found if k.model),
        nodes=nodes,
        unmatched=tuple(sorted(gathered.unmatched)) if _asked_of_accelerators(poll) else None,
        intervals=intervals,
        releases=releases(poll.answers, names),
        past=_past(poll.past, names),
        truncated=truncated,
        truncated_models=len(known) if len(known) > MAX_MODELS else 0,
    )


@dataclass(slots=True)
class _Gathered:
    """waiting: requests that wait, by the key of their signal; features: of each model"""

    groups: dict[Key, list[Entry]]
    features: dict[str, set[str]]
    tiers: set[str]
    unmatched: set[str]
    waiting: dict[Key, float]


def _gathered(answers: Sequence[Answer], names: Names, exported: bool) -> _Gathered:
    found = _Gathered(defaultdict(list), defaultdict(set), set(), set(), defaultdict(float))
    behind = weights(answers, names, exported)
    for answer in answers:
        role = answer.definition.role
        if role == "accelerator":
            _gather_accelerators(answer, names, exported, behind, found)
        elif role == "cluster":
            _gather_cluster(answer, names, found)
        elif role not in {"heat", "rollout"}:
            _gather_serving(answer, names, found)
    return found


def _asked_of_accelerators(poll: Poll) -> bool:
    return any(a.definition.role == "accelerator" and not a.error for a in poll.answers)


def _is_of_another_queue(group: Key, some: Sequence[Entry], gathered: "_Gathered") -> bool:
    """True for an engine's mean wait where requests wait at a router: it would stand beside that one's."""
    if group.signal != "queue_wait_mean" or some[0].role != "engine":
        return False
    return any(e.role == "router" for e in gathered.groups.get(group._replace(signal="queue_wait"), ()))


def _entry(answer: Answer, row: Row, value: float | Buckets, weight: float = 1.0) -> Entry:
    definition = answer.definition
    return Entry(
        definition.role,
        definition.stack,
        value,
        weight,
        answer.at,
        row.rung,
        definition.quantiles,
        answer.window_s,
    )


def _gather_serving(answer: Answer, names: Names, found: _Gathered) -> None:
    definition = answer.definition
    totals = has_totals(answer)
    for row in answer.rows:
        model = names.model_of_row(row, definition.role)
        if model is None and (pool := row.labels.get("inference_pool") or row.labels.get("name")):
            model = names.model_of_pool(pool, row.labels)
        if model is None and definition.role != "override":
            continue
        tier = names.tier(row.labels) if model else None
        feature = _feature(row, model, names, found) if model else None
        entry = _entry(answer, row, row.value)
        keys = [] if totals and row.labels.get("priority") else [Key(model or "", "", definition.signal)]
        if tier:
            found.tiers.add(tier)
            keys.append(Key(model or "", tier, definition.signal))
        if feature:
            keys.append(Key(model or "", "", definition.signal, feature))
            if tier and definition.signal in _OF_CELLS:
                keys.append(Key(model or "", tier, definition.signal, feature))
        for key in keys:
            found.groups[key].append(entry)
            if definition.signal == "waiting" and isinstance(row.value, float) and 0 <= row.value < math.inf:
                found.waiting[key] += row.value


def _feature(row: Row, model: str, names: Names, found: _Gathered) -> str | None:
    """The feature of a row, unless its model has too many: what is left out is part of the total."""
    feature, known = names.feature(row.labels), found.features[model]
    if feature is None or (feature not in known and len(known) >= MAX_FEATURES):
        return None
    known.add(feature)
    return feature


def has_totals(answer: Answer) -> bool:
    """True if an engine tells classes and their total in one metric: SGLang's total has no priority."""
    definition = answer.definition
    # Of a preset with `either_by` the total stands aside; no counter has one beside its classes.
    if definition.role != "engine" or definition.kind != "gauge" or definition.either_by:
        return False
    with_priority = [bool(row.labels.get("priority")) for row in answer.rows]
    return any(with_priority) and not all(with_priority)


def _gather_cluster(answer: Answer, names: Names, found: _Gathered) -> None:
    """What the orchestrator says: of nodes for the whole fleet, of workloads for the models they run."""
    signal = answer.definition.signal
    for row in answer.rows:
        if not isinstance(row.value, float):
            continue
        entry = _entry(answer, row, row.value * (cards_of(row) if signal in _OF_NODES else 1.0))
        if signal in _OF_NODES:
            found.groups[Key("", "", signal)].append(entry)
        elif model := names.model_of_accelerator(row.labels, exported=has_exported((row,))):
            found.groups[Key(model, "", signal)].append(entry)


def _gather_accelerators(
    answer: Answer,
    names: Names,
    exported: bool,
    behind: Mapping[tuple[tuple[str, str], ...], float],
    found: _Gathered,
) -> None:
    signal = answer.definition.signal
    for row in answer.rows:
        if not isinstance(row.value, float):
            continue
        if signal in _COUNTED:
            entry = _entry(answer, row, row.value * stands_for(row, names, exported))
        else:
            entry = _entry(answer, row, row.value, behind.get(tuple(sorted(row.labels.items())), 1.0))
        found.groups[Key("", "", signal)].append(entry)
        model = names.model_of_accelerator(row.labels, exported=exported)
        if model is not None:
            found.groups[Key(model, "", signal)].append(entry)
        elif where := workload(row.labels, exported=exported).name:
            found.unmatched.add(where)


def _add_little(found: dict[Key, Reading], gathered: _Gathered, recent: Recent) -> None:
    """The check of counts against times, of engines alone: one population, one pair of clocks."""
    for key, entries in gathered.groups.items():
        if key.signal != "little_population" or not key.model:
            continue
        law = [e for e in entries if e.role == "engine" and isinstance(e.value, float)]
        at = min((e.at for e in law if e.at is not None), default=None)
        window_s = max((e.window_s for e in law), default=0.0)
        present = [
            e.value
            for signal in ("running", "waiting")
            for e in gathered.groups.get(key._replace(signal=signal), ())
            if e.role == "engine" and isinstance(e.value, float)
        ]
        leaving = sum(
            observations(e.value)
            for e in gathered.groups.get(key._replace(signal="answer_time"), ())
            if e.role == "engine" and isinstance(e.value, Buckets)
        )
        by_law = sum(e.value for e in law if isinstance(e.value, float))
        if at is None or window_s <= 0 or not present or leaving <= 0:
            continue
        one = recent.little(key.model, sum(present), by_law, leaving, window_s, at)
        found[key._replace(signal="engine_population")] = reading("engine_population", sum(present), at)
        if one is not None:
            found[key._replace(signal="little_error")] = one


def _past(answers: Iterable[PastAnswer], names: Names) -> tuple[Past, ...]:
    """The worst of what a model's rows say at each moment: quantiles of parts make none of the whole."""
    worst: dict[tuple[float, str, str, str], float] = {}
    for answer in answers:
        signal = quantile_signal(answer.definition.signal, max(answer.definition.quantiles, default=0.99))
        for at, rows in answer.moments:
            for row in rows:
                model = names.model_of_row(row, answer.definition.role)
                if model is None or not isinstance(row.value, float) or not 0 <= row.value < _LONGEST_S:
                    continue
                for tier in {"", names.tier(row.labels) or ""}:
                    key = (at, model, tier, signal)
                    worst[key] = max(worst.get(key, 0.0), row.value)
    return tuple(
        Past(model, tier, signal, at, quantised(signal, value))
        for (at, model, tier, signal), value in sorted(worst.items())
    )


def _add_totals(found: dict[Key, Reading], poll: Poll) -> None:
    """Fleet-wide sums of what models have, and words for rates that are still being collected."""
    summed: dict[str, list[Reading]] = {signal: [] for signal in _SUMMED}
    for key, one in found.items():
        if key.signal in summed and key.model and not key.tier and not key.feature:
            summed[key.signal].append(one)
    for signal, parts in summed.items():
        values = [r.estimate for r in parts if r.estimate is not None]
        total = Key("", "", signal)
        if values and total not in found:
            at = min((r.at for r in parts if r.at is not None), default=None)
            found[total] = _lacking(reading(signal, sum(values), at, coverage=_least(parts)))
    known = {(k.model, k.tier) for k in found if k.model and not k.feature}
    for answer in poll.answers:
        if answer.collecting is None:
            continue
        signal = answer.definition.signal
        signals = [quantile_signal(signal, q) for q in answer.definition.quantiles] or [signal]
        why = reading(signal, None, answer.at, Quality.MISSING, Reason("collecting", answer.collecting))
        for model, tier in known:
            # Only a router tells tiers apart; a tier it never names of a model is not being collected.
            if not tier or answer.definition.role == "router":
                for late in signals:
                    found.setdefault(Key(model, tier, late), why)


def _least(parts: Iterable[Reading]) -> tuple[int, int] | None:
    """Of the parts of a sum, the coverage of the one that lacks most: a target that is gone takes its queue
    out of the total, which must not look like calm."""
    lacking = [r.coverage for r in parts if r.coverage is not None and r.coverage[0] < r.coverage[1]]
    return min(lacking, key=lambda c: c[0] / c[1], default=None)


def _coverage(targets: Sequence[ScrapeTarget], names: Names) -> dict[tuple[str, str], tuple[int, int]]:
    """(up, known) targets by (stack, model); model "" is the whole stack.

    A target's models are told by its pod, or by what a page read directly carried itself.
    """
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for target in targets:
        joined = names.model_of_target(target.labels)
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
    if not coverage:
        return None
    of_stacks = (coverage.get((stack, model)) or coverage.get((stack, "")) for stack in stacks)
    return min((one for one in of_stacks if one is not None), key=lambda c: c[0] / c[1], default=None)


def _lacking(one: Reading) -> Reading:
    """A good value that lacks a target which does not answer says so."""
    if one.value is None or one.quality is not Quality.GOOD or one.coverage is None:
        return one
    return replace(one, reason=Reason("coverage", one.coverage)) if one.coverage[0] < one.coverage[1] else one
