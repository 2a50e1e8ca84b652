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
from collectors.check.naming import Named, features_of, tier_rules, tiers_of
from collectors.check.proposals import Unmatched
from collectors.check.rules import ruled
from collectors.fleet import SourceState
from collectors.readings import SIGNALS, Reading, worded
from collectors.signals.catalogue import Answer, Definition, Detected, Preset
from collectors.text import clean

FORMAT = 1

WORKINGS = frozenset({"little_population", "little_error", "engine_population"})
"""Signals that only serve to check others: nobody misses them."""

FAR_S = 2.0
"""A clock further from ours than this is worth a word: readings go by the server's own."""


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One source: does it answer, and how.

    state: as in a frame; error: what failed and what to do; times in seconds
    targets: (up, known) of the stacks that are known; down: of other jobs, how many targets are down, by job
    rules: (answers that came from recording rules, answers that could); None where nothing could be recorded
    misfits: stacks whose rules are evaluated while some of their answers fit none of them
    """

    name: str
    kind: str
    place: str
    cluster: str
    state: SourceState
    error: str
    latency_s: float | None
    clock_offset_s: float | None
    interval_s: float | None
    targets: tuple[int, int] | None
    down: Mapping[str, int]
    rules: tuple[int, int] | None
    misfits: tuple[str, ...]
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
    tiers = tiers_of(facts)
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
        sources=tuple(_source(facts, asked) for asked in facts.sources),
        stacks=tuple(_stack(source, one) for source, one in facts.detected),
        present=tuple(
            _present(facts, asked, asked.present) for asked in facts.sources if asked.present is not None
        ),
        models=facts.models,
        signals=signals,
        tiers=tiers,
        features=features_of(facts),
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


def _source(facts: Facts, asked: Asked) -> SourceLine:
    health = asked.health
    offset = asked.clock_offset_s
    warnings = health.warnings
    if offset is not None and abs(offset) > FAR_S:
        way = "ahead of" if offset > 0 else "behind"
        warnings = (f"its clock is {abs(offset):.0f} s {way} ours: ages go by its own", *warnings)
    error = health.error or ("no answer yet" if not asked.answers else "")
    rules = ruled(asked, facts.context.prometheus)
    # Until its targets are known nobody knows how often they are scraped.
    unknown = health.kind == "prometheus" and asked.poll is not None and not asked.poll.stacks
    known = {t.labels.get("job", "") for t in asked.poll.targets} if asked.poll is not None else set()
    return SourceLine(
        name=health.name,
        kind=health.kind,
        place=asked.place,
        cluster=asked.poll.cluster if asked.poll is not None else "",
        state=health.state,
        error=error,
        latency_s=health.latency_s,
        clock_offset_s=offset,
        interval_s=None if unknown else health.interval_s,
        targets=health.targets,
        down={clean(job, 60): n for job, n in asked.beside.down.items() if job not in known},
        rules=(rules.used, rules.could) if rules else None,
        misfits=rules.misfits if rules else (),
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
        # A median that is known must not hide that the rest is not.
        why = (*errors, *_reasons(one for one in readings.values() if one.reason.code == "few"))
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


def _verdict(facts: Facts, signals: Sequence[SignalLine]) -> tuple[str, int]:
    silent = [one for one in facts.sources if not one.answers]
    valued = sum(line.state == "data" for line in signals)
    to_show = valued or facts.releases or (facts.plane is not None and facts.plane.throttles)
    if silent:
        names = ", ".join(one.health.name for one in silent)
        rest = f"; {valued} of {len(signals)} signals have data" if valued else ""
        return f"{len(silent)} of {_count(len(facts.sources), 'source')} not answering: {names}{rest}", 1
    if not to_show:
        return "every source answers, and none has anything to show", 1
    models, tiers = len(facts.models), len(facts.tiers)
    named = f"{_count(tiers, 'tier')}" if tiers else "no tiers"
    released = f", {_count(len(facts.releases), 'release')}" if facts.releases else ""
    have = f"{valued} of {len(signals)} signals have data"
    return f"ready: {_count(models, 'model')}, {named}{released}, {have}", 0


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
