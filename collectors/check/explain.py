"""How each reading of a model came to be: `tidegate check --explain MODEL`. Pure.

As JSON (`findings.data`) it is the types below, in their order.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from collectors.check.facts import Facts
from collectors.check.findings import WORKINGS, absence, families, family, family_title
from collectors.readings import SIGNALS, Interval, Quality, Reading, worded
from collectors.signals.assemble import has_totals
from collectors.signals.catalogue import Answer, Buckets, Poll, Row
from collectors.signals.combine import Entry, chosen
from collectors.signals.identity import Explained, Names, has_exported, ordered_tiers
from collectors.signals.keys import Key
from collectors.text import clean

MOST_ROWS = 8
"""Rows told one by one; of more, only how many."""


@dataclass(frozen=True, slots=True)
class FeedingRow:
    """One group of series that fed a reading: its labels and value, and the rules that gave it its names.

    value: in the signal's unit, or of a histogram its rate; factor and rung are applied already
    """

    labels: Mapping[str, str]
    value: str
    model_rule: str
    tier_rule: str
    feature_rule: str


@dataclass(frozen=True, slots=True)
class Feed:
    """One answer that fed a reading, or that was left aside.

    used: False where another stack's word counts first
    metrics: names, in order of preference; query: what was asked, "" of a page; recorded: rule that answered
    described: where upstream describes the metric; rows: of the model, `more` are not listed
    """

    source: str
    stack: str
    used: bool
    metrics: tuple[str, ...]
    query: str
    recorded: str
    window_s: float
    described: str
    rows: tuple[FeedingRow, ...]
    more: int


@dataclass(frozen=True, slots=True)
class ReadingLine:
    """A reading. tier, feature: "" for the whole model; reason: in words; coverage: (targets up, known)"""

    signal: str
    title: str
    tier: str
    feature: str
    value: float | Interval | None
    unit: str
    quality: Quality
    reason: str
    at: float | None
    coverage: tuple[int, int] | None
    feeds: tuple[Feed, ...]


@dataclass(frozen=True, slots=True)
class Absent:
    """A signal that this model has no reading of, and why."""

    signal: str
    title: str
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """All of one model."""

    context: str
    model: str
    readings: tuple[ReadingLine, ...]
    absent: tuple[Absent, ...]


def explanation(facts: Facts, wanted: str) -> Explanation | None:
    """How the readings of a model came to be; None if no series names it.

    wanted: its name, or one that an alias or an exporter has for it
    """
    model = resolved(facts, wanted)
    if model is None:
        return None
    lines = [
        _line(key, one, poll, facts.naming(poll))
        for poll, seen in zip(facts.polls, facts.observed, strict=True)
        for key, one in seen.readings.items()
        if key.model == model and key.signal not in WORKINGS
    ]
    signals, tiers = list(families(facts)), ordered_tiers(facts.context.tiers, (), facts.tiers)
    lines.sort(
        key=lambda line: (
            signals.index(family(line.signal)) if family(line.signal) in signals else len(signals),
            tiers.index(line.tier) + 1 if line.tier else 0,
            line.feature,
            line.signal,
        )
    )
    there = {family(line.signal) for line in lines}
    absent = tuple(
        Absent(one, family_title(one), _why(facts, one)) for one in families(facts) if one not in there
    )
    return Explanation(facts.name, model, tuple(lines), absent)


def resolved(facts: Facts, wanted: str) -> str | None:
    """The model that is meant by a name; None if there is none."""
    for name in (wanted, facts.names.subject(wanted)):
        if name in facts.models:
            return name
    folded = [model for model in facts.models if model.casefold() == wanted.casefold()]
    return folded[0] if folded else None


def near(facts: Facts, wanted: str) -> tuple[str, ...]:
    """Models with a name like the one that was wanted, the likest first; else the first few there are."""
    by_case = {model.casefold(): model for model in facts.models}
    folded = wanted.casefold()
    like = [one for one in by_case if folded and folded in one]
    like += difflib.get_close_matches(folded, by_case, n=3, cutoff=0.4)
    return tuple(by_case[one] for one in dict.fromkeys(like))[:5] or facts.models[:5]


def _why(facts: Facts, name: str) -> tuple[str, ...]:
    others = {
        key.model
        for seen in facts.observed
        for key in seen.readings
        if family(key.signal) == name and key.model
    }
    if others:
        return (f"no series of it names this model; of others there are: {', '.join(sorted(others)[:3])}",)
    return absence(facts, name)


def _line(key: Key, one: Reading, poll: Poll, names: Names) -> ReadingLine:
    signal = SIGNALS[key.signal]
    return ReadingLine(
        signal=key.signal,
        title=signal.title,
        tier=key.tier,
        feature=key.feature,
        value=one.value,
        unit=signal.unit,
        quality=one.quality,
        reason=worded(one.reason),
        at=one.at,
        coverage=one.coverage,
        feeds=tuple(_feeds(key, poll, names)),
    )


def _feeds(key: Key, poll: Poll, names: Names) -> Iterator[Feed]:
    """The answers that have rows of this key, those that were used first."""
    exported = has_exported(
        r for a in poll.answers if a.definition.role in {"accelerator", "heat"} for r in a.rows
    )
    found: list[tuple[Answer, list[tuple[FeedingRow, Entry]]]] = []
    for answer in poll.answers:
        # Faults are counted on the map of accelerators; nothing else of a model is.
        if answer.definition.signal == family(key.signal) and (
            answer.definition.role != "heat" or key.signal == "faults"
        ):
            rows = list(_rows(key, answer, names, exported))
            # No fault is an answer too.
            if rows or answer.collecting or answer.error or key.signal == "faults":
                found.append((answer, rows))
    entries = [entry for _, rows in found for _, entry in rows]
    used = chosen(entries, family(key.signal), split=bool(key.tier or key.feature))
    kept = {id(one) for one in (entries if key.signal == "faults" else used)}
    for answer, rows in sorted(found, key=lambda one: not any(id(entry) in kept for _, entry in one[1])):
        definition = answer.definition
        metrics = tuple(dict.fromkeys(one.name for one in (*definition.metrics, *definition.over)))
        yield Feed(
            source=poll.source,
            stack=definition.stack,
            used=any(id(entry) in kept for _, entry in rows) or (key.signal == "faults" and not answer.error),
            metrics=metrics,
            query=answer.query,
            recorded=answer.recorded,
            window_s=answer.window_s,
            described=definition.source,
            rows=tuple(row for row, _ in rows[:MOST_ROWS]),
            more=max(0, len(rows) - MOST_ROWS),
        )


def _rows(key: Key, answer: Answer, names: Names, exported: bool) -> Iterable[tuple[FeedingRow, Entry]]:
    apart = has_totals(answer)
    for row in answer.rows:
        model = _model(row, answer.definition.role, names, exported)
        if model.name != key.model:
            continue
        tier, feature = names.explained_tier(row.labels), names.explained_feature(row.labels)
        if key.tier and tier.name != key.tier:
            continue
        if key.feature and feature.name != key.feature:
            continue
        if not (key.tier or key.feature) and apart and row.labels.get("priority"):
            continue
        line = FeedingRow(
            labels={name: clean(value) for name, value in sorted(row.labels.items())},
            value=_value(row),
            model_rule=model.rule,
            tier_rule=tier.rule if key.tier else "",
            feature_rule=feature.rule if key.feature else "",
        )
        entry = Entry(
            answer.definition.role, answer.definition.stack, row.value, 1.0, answer.at, row.rung, ()
        )
        yield line, entry


def _model(row: Row, role: str, names: Names, exported: bool) -> Explained:
    """The model of a row, and the rule that says so."""
    if role in {"accelerator", "heat"}:
        return names.explained_accelerator(row.labels, exported=exported)
    if role == "cluster":
        return names.explained_accelerator(row.labels, exported=has_exported((row,)))
    named = names.explained_model(row.labels)
    model = names.model_of_row(row, role)
    if model is not None:
        return named if named.name == model else Explained(model, "")
    pool = row.labels.get("inference_pool") or row.labels.get("name") or ""
    by_pool = names.model_of_pool(pool, row.labels) if pool else None
    return Explained(by_pool, f"the pool's name, {clean(pool, 60)}" if by_pool else "")


def _value(row: Row) -> str:
    if isinstance(row.value, Buckets):
        rate = row.value.rates[-1] if row.value.rates else 0.0
        number = len(row.value.bounds)
        return f"{rate:.4g}/s in {number} bucket{'' if number == 1 else 's'}"
    return f"{row.value:g}" + (f", measured as {row.rung}" if row.rung else "")
