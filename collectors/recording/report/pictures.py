"""Which pictures a report has, as panels of numbers: the models that suffered most, and their levers."""

from collections.abc import Iterable, Iterator

from collectors.recording.report.document import (
    AlertPanel,
    LevelPanel,
    Panel,
    Picture,
    Pin,
    RatePanel,
    WaitPanel,
)
from collectors.recording.report.facts import Facts
from collectors.recording.report.harm import NONE
from collectors.recording.report.ledger import Rate, Tracked
from collectors.recording.report.words import clock, length, listed, seconds
from collectors.sessions import Gap

PICTURES, TIERS, THROTTLES = 4, 6, 6
"""Most models drawn, tiers of a model, and throttles of a model."""

LABEL = 34
"""Longest label of an action, in characters."""


def pictures(facts: Facts) -> tuple[Picture, ...]:
    """Of the models that suffered most, the worst first; without any, of the one with the longest wait."""
    tiers: dict[str, list[tuple[str, Tracked]]] = {}
    for model, tier, one in facts.ledger.judged():
        tiers.setdefault(model, []).append((tier, one))
    if not tiers:
        for (model, tier), one in sorted(facts.ledger.tiers.items(), key=lambda item: item[0]):
            tiers.setdefault(model, []).append((tier, one))
    ranked = sorted(tiers, key=lambda model: (*_rank(tiers[model]), model))
    hurt = [m for m in ranked if any(one.harm.is_harm for _, one in tiers[m])][:PICTURES]
    return tuple(
        _picture(facts, model, tiers[model]) for model in hurt or ranked[:1] if facts.end > facts.start
    )


def _rank(tiers: list[tuple[str, Tracked]]) -> tuple[float, float, float]:
    harm = sum((one.harm for _, one in tiers), NONE)
    worst = max((one.worst.point.estimate for _, one in tiers if one.worst is not None), default=0.0)
    return -harm.excess_least, -harm.breach_s, -worst


def _picture(facts: Facts, model: str, tiers: list[tuple[str, Tracked]]) -> Picture:
    order = [t.name for t in (facts.last.tiers if facts.last else ())]
    tiers = sorted(
        tiers, key=lambda item: (order.index(item[0]) if item[0] in order else len(order), item[0])
    )
    if len(tiers) > TIERS:
        worst = sorted(tiers, key=lambda item: (-item[1].harm.excess_least, -item[1].harm.breach_s))[:TIERS]
        tiers = [item for item in tiers if item in worst]
    panels: list[Panel] = [*_alerts(facts, model)]
    panels += [WaitPanel(tier, one.objective, tuple(one.points)) for tier, one in tiers]
    asked, refused = facts.ledger.asked.get(model, Rate()), facts.ledger.refused.get(model, Rate())
    if any(value is not None for value in asked.means()):
        panels.append(RatePanel("requests a second", asked.means(), refused.means()))
    names = facts.ledger.names_of(model)
    panels += _levels(facts, names)
    pins = tuple(
        Pin(
            one.at,
            one.number,
            _label(f"{one.actor}: {_short(one.aims[0].asked)}" if one.actor else _short(one.aims[0].asked)),
        )
        for one in facts.decisions
        if one.subjects & names and facts.start <= one.at <= facts.end
    )
    return Picture(model, _told(model, tiers, pins), facts.start, facts.end, tuple(panels), pins, facts.gaps)


def _short(asked: str) -> str:
    asked = asked.partition(" instead of ")[0]
    return asked.partition(" → ")[2].partition(",")[0] or asked.partition(",")[0]


def _label(text: str) -> str:
    return text if len(text) <= LABEL else text[: LABEL - 1] + "…"


def _alerts(facts: Facts, model: str) -> Iterator[AlertPanel]:
    by_severity: dict[str, list[tuple[float, float]]] = {}
    for several in facts.ledger.alerts.values():
        for shown in several:
            if shown.alert.model == model:
                gone = shown.gone if shown.gone is not None else facts.end
                by_severity.setdefault(shown.alert.severity.value, []).append((shown.first, gone))
    for severity in sorted(by_severity):
        spans = _without(_joined(by_severity[severity]), facts.gaps)
        yield AlertPanel(f"{severity} alerts", severity, tuple(spans))


def _joined(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _without(spans: list[tuple[float, float]], gaps: Iterable[Gap]) -> list[tuple[float, float]]:
    """Spans less the stretches of which nothing is known."""
    for gap in gaps:
        spans = [
            (start, end)
            for a, b in spans
            for start, end in ((a, min(b, gap.start)), (max(a, gap.end), b))
            if start < end
        ]
    return spans


def _levels(facts: Facts, names: set[str]) -> list[LevelPanel]:
    moved = [
        LevelPanel(f"{feature}, {tier}", tuple((step.at, step.level) for step in steps))
        for (feature, tier), steps in sorted(facts.ledger.levels.items(), key=lambda item: item[0])
        if feature in names and any(step.level is not None and step.level < 1 for step in steps)
    ]
    return moved[:THROTTLES]


def _told(model: str, tiers: list[tuple[str, Tracked]], pins: tuple[Pin, ...]) -> str:
    """The picture in words, for who cannot see it."""
    told = []
    for tier, one in tiers:
        if one.worst is None:
            told.append(f"{tier}: no wait known")
            continue
        text = f"{tier}: p99 wait at most {seconds(*one.worst.point.wait)} at {clock(one.worst.at)}"
        if one.harm.breach_s:
            text += f", above its objective for {length(one.harm.breach_s)}"
        told.append(text)
    acts = listed([f"{pin.number} at {clock(pin.at)}" for pin in pins])
    return f"{model}. {'; '.join(told)}. Actions: {acts}."
