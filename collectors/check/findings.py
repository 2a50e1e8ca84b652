"""What `tidegate check` finds, from facts. Pure.

As JSON (`data`) a finding is an object with the fields of its type below, in their order; sets and tuples are
lists, an absent number is null, an infinite one a string. The top level is `Findings`. `format` is 1 and
grows when a field changes its meaning; fields may be added.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Literal

from collectors.check import advice, proposals
from collectors.check.facts import Asked, Facts, Present
from collectors.check.proposals import Proposal, Unmatched
from collectors.fleet import SIGNALS, Reading, SourceState, clean, worded
from collectors.signals.catalogue import Answer, Definition, Detected, Poll, Preset
from collectors.signals.identity import ordered_tiers

FORMAT = 1

WORKINGS = frozenset({"little_population", "little_error", "engine_population"})
"""Signals that only serve to check others: nobody misses them."""

FAR_S = 2.0
"""A clock further from ours than this is worth a word: readings go by the server's own."""

_MOST_TIERS = 12
_TIER_LABELS = ("namespace", "exported_namespace", "inference_pool", "service_tier", "team_alias", "team")


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One source: does it answer, and how.

    state: as in a frame; error: what failed and what to do; times in seconds; targets: (up, known)
    """

    name: str
    kind: str
    place: str
    state: SourceState
    error: str
    latency_s: float | None
    clock_offset_s: float | None
    interval_s: float | None
    targets: tuple[int, int] | None
    queries: int
    received_bytes: int
    firing: int | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PresentLine:
    """What a Prometheus without any known stack does have, and what to add to it.

    targets: (up, known); begins_with: of metric names, the commonest first, with how many
    telling: names that may be of accelerators or engines; scrape_configs: lines of YAML for prometheus.yml
    """

    source: str
    names: int
    jobs: tuple[str, ...]
    targets: tuple[int, int]
    begins_with: tuple[str, ...]
    telling: tuple[str, ...]
    scrape_configs: tuple[str, ...]
    error: str


@dataclass(frozen=True, slots=True)
class StackLine:
    """A stack that is there. proof: metrics that show it; sentences: what its probes found."""

    source: str
    stack: str
    title: str
    role: str
    generation: str
    proof: tuple[str, ...]
    jobs: tuple[str, ...]
    native_histograms: bool
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SignalLine:
    """A measured quantity: what brings it, or why nothing does.

    signal: of a histogram without its quantile; stacks: titles of those that bring it
    models, tiers: how many have a value
    why: what failed, or what would bring it; one sentence each
    """

    signal: str
    title: str
    state: Literal["data", "idle", "collecting", "failed", "absent"]
    stacks: tuple[str, ...]
    models: int
    tiers: int
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """Tiers, or features: which there are, where their names come from, what to do where there are none."""

    names: tuple[str, ...]
    origins: tuple[str, ...]
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReleaseLine:
    """A staged release. read_only: why nothing can be done to it from here; "" where something can"""

    id: str
    subject: str
    phase: str
    read_only: str


@dataclass(frozen=True, slots=True)
class Findings:
    """All that was found.

    without_objective: tiers that are promised nothing
    proposed: lines of TOML, ready to paste into the configuration
    verdict: one line; status: of the command, 0 or 1
    """

    format: int
    context: str
    sources: tuple[SourceLine, ...]
    stacks: tuple[StackLine, ...]
    present: tuple[PresentLine, ...]
    models: tuple[str, ...]
    signals: tuple[SignalLine, ...]
    tiers: Named
    features: Named
    releases: tuple[ReleaseLine, ...]
    without_objective: tuple[str, ...]
    unmatched: tuple[Unmatched, ...]
    proposed: tuple[str, ...]
    verdict: str
    status: int


def findings(facts: Facts) -> Findings:
    """Everything there is to say about what was asked."""
    missing = proposals.unmatched(facts)
    promises = proposals.objectives(facts)
    tiers = _tiers(facts)
    wanted = [one for line in missing for one in line.proposals]
    if not tiers.names:
        wanted += tier_rules(facts)
    signals = tuple(_signal(facts, name) for name in families(facts))
    # A mean is measured where there are no quantiles: elsewhere nobody misses it.
    signals = tuple(one for one in signals if one.state != "absent" or not one.signal.endswith("_mean"))
    verdict, status = _verdict(facts, signals)
    return Findings(
        format=FORMAT,
        context=facts.name,
        sources=tuple(map(_source, facts.sources)),
        stacks=tuple(_stack(source, one) for source, one in facts.detected),
        present=tuple(
            _present(facts, asked, asked.present) for asked in facts.sources if asked.present is not None
        ),
        models=facts.models,
        signals=signals,
        tiers=tiers,
        features=_features(facts),
        releases=tuple(ReleaseLine(r.id, r.subject, r.phase, r.read_only) for r in facts.releases),
        without_objective=tuple(one.key.strip('"') for one in promises),
        unmatched=missing,
        proposed=proposals.tables(facts.name, [*wanted, *promises]),
        verdict=verdict,
        status=status,
    )


def data(found: object) -> object:
    """A finding, or anything in one, as JSON takes it."""
    if is_dataclass(found) and not isinstance(found, type):
        return {field.name: data(getattr(found, field.name)) for field in fields(found)}
    if isinstance(found, Enum):
        return found.value
    if isinstance(found, float) and not math.isfinite(found):
        return str(found)
    if isinstance(found, Mapping):
        return {str(key): data(one) for key, one in found.items()}
    if isinstance(found, tuple | list | frozenset):
        return [data(one) for one in (sorted(found) if isinstance(found, frozenset) else found)]
    return found


def families(facts: Facts) -> tuple[str, ...]:
    """Signals that some stack or query can bring, in a frame's order; of a histogram without quantiles."""
    known = {one.signal for preset in facts.presets for one in preset.definitions} | set(
        facts.context.signals
    )
    wanted = {family(one) for one in known - WORKINGS}
    return tuple(dict.fromkeys(one for one in map(family, SIGNALS) if one in wanted))


def family(signal: str) -> str:
    """A signal, of a histogram without its quantile."""
    return re.sub(r"_p\d+$", "", signal)


def family_title(name: str) -> str:
    """What a signal is called; of a histogram, without its quantile."""
    return next(re.sub(r" p\d+$", "", s.title) for s in SIGNALS.values() if family(s.id) == name)


def tier_rules(facts: Facts) -> list[Proposal]:
    """Labels that may tell tiers apart, as rules: those with a few values on one model's series."""
    values: dict[str, dict[str, set[str]]] = {label: {} for label in _TIER_LABELS}
    for poll in facts.polls:
        names = facts.naming(poll)
        for answer in poll.answers:
            if answer.definition.role not in {"engine", "router", "gateway"}:
                continue
            for row in answer.rows:
                model = names.model_of_row(row, answer.definition.role) or ""
                for label in _TIER_LABELS:
                    if value := row.labels.get(label):
                        values[label].setdefault(model, set()).add(clean(value, 40))
    found = []
    for label, of_models in values.items():
        if any(2 <= len(seen) <= _MOST_TIERS for seen in of_models.values()):
            rule = f'[{{ label = "{label}", regex = "(.+)", tier = "$1" }}]'
            examples = ", ".join(sorted(set().union(*of_models.values()))[:4])
            found.append(Proposal("identity", "tiers", rule, sure=False, note=examples))
    return found


def _source(asked: Asked) -> SourceLine:
    health = asked.health
    offset = asked.clock_offset_s
    warnings = health.warnings
    if offset is not None and abs(offset) > FAR_S:
        way = "ahead of" if offset > 0 else "behind"
        warnings = (f"its clock is {abs(offset):.0f} s {way} ours: ages go by its own", *warnings)
    error = health.error or ("no answer yet" if not asked.answers else "")
    return SourceLine(
        name=health.name,
        kind=health.kind,
        place=asked.place,
        state=health.state,
        error=error,
        latency_s=health.latency_s,
        clock_offset_s=offset,
        interval_s=health.interval_s,
        targets=health.targets,
        queries=health.queries,
        received_bytes=health.received_bytes,
        firing=asked.firing,
        warnings=warnings,
    )


def _present(facts: Facts, asked: Asked, present: Present) -> PresentLine:
    detected = frozenset(one.stack for _, one in facts.detected)
    return PresentLine(
        source=asked.health.name,
        names=len(present.names),
        jobs=tuple(clean(job) for job in sorted(present.jobs)),
        targets=(
            sum(up for up, _ in present.jobs.values()),
            sum(known for _, known in present.jobs.values()),
        ),
        begins_with=advice.families(present.names),
        telling=advice.telling(present.names),
        scrape_configs=advice.scrape_configs(facts.presets, detected),
        error=present.error,
    )


def _stack(source: str, one: Detected) -> StackLine:
    return StackLine(
        source=source,
        stack=one.stack,
        title=one.title,
        role=one.role,
        generation=one.generation,
        proof=one.proof,
        jobs=one.jobs,
        native_histograms=one.native,
        sentences=tuple(probed.sentence for probed in one.probes if probed.sentence),
    )


def _signal(facts: Facts, name: str) -> SignalLine:
    answers = _answers(facts, name)
    readings = {
        (source, key): one
        for source, seen in enumerate(facts.observed)
        for key, one in seen.readings.items()
        if family(key.signal) == name
    }
    valued = [key for (_, key), one in readings.items() if one.value is not None]
    errors = tuple(dict.fromkeys(a.error for a in answers if a.error))
    titles = {preset.stack: preset.title for preset in facts.presets}
    stacks = tuple(
        dict.fromkeys(titles.get(a.definition.stack, a.definition.stack) for a in answers if a.rows)
    )
    state: Literal["data", "idle", "collecting", "failed", "absent"]
    why = errors
    if valued:
        state = "data"
    elif any(a.collecting for a in answers):
        state = "collecting"
        seen, need = min(a.collecting for a in answers if a.collecting)
        why = (*errors, f"{seen} of {need} scrapes so far: give it longer with --within")
    elif errors:
        state = "failed"
    elif readings:
        state = "idle"
        why = _reasons(readings.values())
    else:
        state, why = "absent", absence(facts, name)
    return SignalLine(
        signal=name,
        title=family_title(name),
        state=state,
        stacks=stacks,
        models=len({key.model for key in valued if key.model}),
        tiers=len({key.tier for key in valued if key.tier}),
        why=why,
    )


def _answers(facts: Facts, name: str) -> list[Answer]:
    """Answers about a signal; those for the map of accelerators only where there are no others."""
    every = [a for poll in facts.polls for a in poll.answers if a.definition.signal == name]
    return [a for a in every if a.definition.role != "heat"] or every


def _reasons(readings: Iterable[Reading]) -> tuple[str, ...]:
    """Why there is no value: one sentence for each kind of reason, idle ones last."""
    by_code: dict[str, list[Reading]] = {}
    for one in readings:
        if one.reason.code:
            by_code.setdefault(one.reason.code, []).append(one)
    return tuple(
        worded(ones[0].reason) + (f" (and {len(ones) - 1} more like it)" if len(ones) > 1 else "")
        for _, ones in sorted(by_code.items(), key=lambda pair: pair[0] == "idle")
    )


def absence(facts: Facts, name: str) -> tuple[str, ...]:
    """Why no source brings a signal, and what would: sentences, the nearest remedy first."""
    answers = _answers(facts, name)
    detected = frozenset(one.stack for _, one in facts.detected)
    there = [preset for preset in facts.presets if preset.stack in detected]
    if not facts.polls:
        return ()
    if any(answer.rows for answer in answers):
        return ("its series name no model: join them with an alias, or map a label in identity.models",)
    asked = {answer.definition.stack for answer in answers}
    needs = [
        _said_of(preset, one.needs or _not_there(one, preset.stack in asked))
        for preset in there
        for one in preset.definitions
        if one.signal == name
    ]
    never = [_said_of(preset, preset.never[name]) for preset in there if name in preset.never]
    bringing = "" if needs else advice.bringing(name, facts.presets, detected)
    return tuple(dict.fromkeys(filter(None, (*needs, *never, bringing))))


def _said_of(preset: Preset, sentence: str) -> str:
    return sentence if preset.title in sentence else f"{preset.title}: {sentence}"


def _not_there(one: Definition, asked: bool) -> str:
    names = list(dict.fromkeys(metric.name for metric in one.metrics))
    others = f" or {names[1]}" if len(names) == 2 else " or another name of it" if names[2:] else ""
    filtered = asked and any(metric.where for metric in one.metrics)
    return f"no series of {names[0]}{others}{' that its filters let pass' if filtered else ''}"


def _tiers(facts: Facts) -> Named:
    origins: dict[str, None] = {}
    for poll, answer, labels in _serving(facts):
        tier, rule = facts.naming(poll).explained_tier(labels)
        if tier:
            origins[f"{rule} ({_title(facts, answer)})"] = None
    if facts.tiers:
        plane = facts.plane.tiers if facts.plane else ()
        seen = [t for t in ordered_tiers(facts.context.tiers, plane, facts.tiers) if t in facts.tiers]
        unseen = [t for t in facts.context.tiers if t not in facts.tiers]
        why = tuple(f"tier {t} is configured, and no series names it" for t in unseen)
        return Named(tuple(seen), tuple(origins), why)
    return Named((), (), tuple(_no_tiers(facts)) if facts.models else ())


def _no_tiers(facts: Facts) -> Iterable[str]:
    detected = {one.stack for _, one in facts.detected}
    telling = [p for p in facts.presets if any("priority" in d.keep for d in p.definitions)]
    there = [p.title for p in telling if p.stack in detected]
    if there:
        yield f"{', '.join(there)}: can tell priorities apart, and no series of it names one"
        for _, one in facts.detected:
            yield from (f"{one.title}: {probed.sentence}" for probed in one.probes if probed.sentence)
    else:
        titles = ", ".join(p.title for p in telling)
        yield f"no stack that is there tells tiers apart; with priorities these do: {titles}"
    yield (
        f"any label can: write a rule to [[contexts.{proposals.key_text(facts.name)}.identity.tiers]] with "
        "label, regex, tier; until then there is one column, all"
    )


def _features(facts: Facts) -> Named:
    origins: dict[str, None] = {}
    names: set[str] = set()
    for poll, answer, labels in _serving(facts):
        feature, rule = facts.naming(poll).explained_feature(labels)
        if feature:
            names.add(feature)
            origins[f"{rule} ({_title(facts, answer)})"] = None
    from_plane = [feature.id for feature in facts.plane.features] if facts.plane else []
    if from_plane:
        origins["the control plane"] = None
    why: tuple[str, ...] = ()
    if facts.models and not names:
        rules = bool(facts.context.identity.features)
        said = "no label matches a rule" if rules else "there is no rule"
        why = (
            f"readings are not told apart by feature: {said} in "
            f"[[contexts.{proposals.key_text(facts.name)}.identity.features]]",
        )
    return Named((*sorted(names), *(f for f in from_plane if f not in names)), tuple(origins), why)


def _serving(facts: Facts) -> Iterable[tuple[Poll, Answer, Mapping[str, str]]]:
    for poll in facts.polls:
        for answer in poll.answers:
            if answer.definition.role in {"engine", "router", "gateway", "override"}:
                for row in answer.rows:
                    yield poll, answer, row.labels


def _title(facts: Facts, answer: Answer) -> str:
    stack = answer.definition.stack
    return next((preset.title for preset in facts.presets if preset.stack == stack), stack)


def _verdict(facts: Facts, signals: Sequence[SignalLine]) -> tuple[str, int]:
    silent = [one for one in facts.sources if not one.answers]
    valued = sum(line.state == "data" for line in signals)
    to_show = valued or facts.releases or (facts.plane is not None and facts.plane.throttles)
    if silent:
        names = ", ".join(one.health.name for one in silent)
        rest = f"; {valued} of {len(signals)} signals have data" if valued else ""
        return f"{len(silent)} of {len(facts.sources)} sources not answering: {names}{rest}", 1
    if not to_show:
        return "every source answers, and none has anything to show", 1
    models, tiers = len(facts.models), len(facts.tiers)
    named = f"{_count(tiers, 'tier')}" if tiers else "no tiers"
    released = f", {_count(len(facts.releases), 'release')}" if facts.releases else ""
    have = f"{valued} of {len(signals)} signals have data"
    return f"ready: {_count(models, 'model')}, {named}{released}, {have}", 0


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
