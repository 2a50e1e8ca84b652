"""Campaigns against the embedded plane that tests run in short and benchmarks in full."""

import asyncio
import random
from collections import Counter
from dataclasses import replace

from collectors import intending
from collectors.control.native import NativePlane
from collectors.fleet import Release, Throttle
from collectors.intents import Intent, Operator, Outcome, OutcomeKind, decided


async def outcome_of(operator: Operator, intent: Intent, reason: str) -> Outcome:
    """What became of one decision on one target."""
    newest = None
    async for outcome in operator.carry_out(decided([intent], reason)):
        newest = outcome
    assert newest is not None
    assert newest.is_final
    return newest


async def pressed_together(
    operators: dict[str, Operator], intent: Intent, draw: random.Random, most_s: float
) -> dict[str, Outcome]:
    """Every operator confirms the same intent at about one moment."""

    async def one(operator: Operator) -> Outcome:
        await asyncio.sleep(draw.uniform(0, most_s))
        return await outcome_of(operator, intent, "two at once")

    found = await asyncio.gather(*(one(operator) for operator in operators.values()))
    return dict(zip(operators, found, strict=True))


async def race_for_stages(
    planes: dict[str, NativePlane], release_id: str, rounds: int, seed: int
) -> Counter[str]:
    """Two press advance on one stage, `rounds` times; at the last stage it is sent back to begin again.

    Counts: moved (stages, by what the plane says), applied, told (losers who were told the winner's name)
    """
    draw, counts = random.Random(seed), Counter[str]()
    watcher = next(iter(planes.values()))
    operators = {name: plane.operator() for name, plane in planes.items()}
    for _ in range(rounds):
        release = await _ready(watcher, release_id)
        seen = release.stage_index
        outcomes = await pressed_together(operators, intending.advance(release), draw, 0.004)
        winners = [name for name, one in outcomes.items() if one.kind is OutcomeKind.APPLIED]
        losers = [one for one in outcomes.values() if one.kind is OutcomeKind.CONFLICT]
        counts["applied"] += len(winners)
        counts["told"] += sum(any(name in one.text for name in winners) for one in losers)
        after = await _release(watcher, release_id)
        counts["moved"] += _place(after) - _place(release)
        counts["rounds"] += 1
        assert after.stage_index != seen
    return counts


async def race_for_levels(
    planes: dict[str, NativePlane], feature: str, tier: str, rounds: int, seed: int
) -> Counter[str]:
    """Two set one cell to levels of their own at one moment, each having seen the same level.

    Counts: rounds; applied; lost (updates that were applied and overwritten unseen); told
    """
    draw, counts = random.Random(seed), Counter[str]()
    operators = {name: plane.operator() for name, plane in planes.items()}
    watcher = next(iter(planes.values()))
    for number in range(rounds):
        cell = await _cell(watcher, feature, tier)
        levels = {
            name: round(0.1 + 0.001 * ((2 * number + place) % 800), 4) for place, name in enumerate(operators)
        }
        levels = {name: one if one != cell.level else one + 0.0005 for name, one in levels.items()}

        async def one(name: str, cell: Throttle = cell, level: dict[str, float] = levels) -> Outcome:
            await asyncio.sleep(draw.uniform(0, 0.004))
            intent = intending.set_throttle(cell, level=level[name], ttl_s=1800)
            return await outcome_of(operators[name], intent, "two at once")

        found = dict(zip(operators, await asyncio.gather(*map(one, operators)), strict=True))
        winners = [name for name, each in found.items() if each.kind is OutcomeKind.APPLIED]
        counts["rounds"] += 1
        counts["applied"] += len(winners)
        after = await _cell(watcher, feature, tier)
        counts["lost"] += sum(after.level != round(levels[name], 4) for name in winners)
        counts["told"] += sum(
            any(name in each.text for name in winners)
            for each in found.values()
            if each.kind is OutcomeKind.CONFLICT
        )
    return counts


async def _ready(plane: NativePlane, release_id: str) -> Release:
    """The release where it can be advanced: one that has ended or cannot go on begins again."""
    release = await _release(plane, release_id)
    if release.phase == "completed":
        stages = [
            {"id": one.id, "tier": one.tier, "weight": one.weight, "gate": {"kind": "manual", "hold_s": 0}}
            for one in release.stages
        ]
        number = int(release.candidate.removeprefix("r")) + 1
        body = {
            "id": release.id,
            "subject": {"kind": release.subject_kind, "name": release.subject},
            "candidate": f"r{number}",
            "stages": stages,
        }
        intent = intending.register(body, release)
        outcome = await outcome_of(plane.operator(), intent, "begin again")
        assert outcome.kind is OutcomeKind.APPLIED, outcome.text
        release = await _release(plane, release_id)
    return replace(release)


def _place(release: Release) -> int:
    return -1 if release.stage_index is None else release.stage_index


async def _release(plane: NativePlane, release_id: str) -> Release:
    return next(one for one in (await plane.read()).releases if one.id == release_id)


async def _cell(plane: NativePlane, feature: str, tier: str) -> Throttle:
    found = (await plane.read()).throttles
    return next(one for one in found if (one.feature, one.tier) == (feature, tier))
