"""What operators of the fault campaign decide on: a seeded draw of intents on what they see. Pure."""

import random
from collections.abc import Callable, Mapping
from typing import NamedTuple

from collectors import intending
from collectors.fleet import Release, Throttle
from collectors.intents import Intent, Target

TIERS = ("pro", "plus", "free")
LEVELS = (0.0, 0.1, 0.3, 0.5, 0.7, 1.0)
EXTRAS = 8
"""How many releases are registered anew beside those of the seed."""

_LEGAL: Mapping[str, tuple[str, ...]] = {
    "pending": ("advance", "advance", "advance", "abort", "rollback"),
    "progressing": ("advance", "pause", "pause", "set_weight", "abort"),
    "paused": ("advance", "advance", "advance", "pause", "set_weight", "resume", "abort", "rollback"),
    "completed": ("register", "register", "register", "rollback"),
    "aborted": ("retry", "retry", "register", "rollback"),
}
_EVERY = ("advance", "pause", "resume", "abort", "retry", "rollback", "set_weight", "register")


class View(NamedTuple):
    """What an operator sees of the plane: now, or a while ago."""

    releases: tuple[Release, ...]
    cells: tuple[Throttle, ...]

    @property
    def targets(self) -> tuple[Target, ...]:
        """Everything that can be acted on."""
        cells = (Target("throttle", one.feature, one.tier) for one in self.cells)
        return (*(Target("release", one.id) for one in self.releases), *cells)

    def release(self, target: Target) -> Release | None:
        """One release, if it is in view."""
        return next((one for one in self.releases if one.id == target.id), None)

    def cell(self, target: Target) -> Throttle | None:
        """One cell, if it is in view."""
        return next((one for one in self.cells if (one.feature, one.tier) == target[1:]), None)


class Move(NamedTuple):
    """An intent, and the members of the log's `after` that it has to bring where they change."""

    intent: Intent
    expected: Mapping[str, object]


def seed_document() -> dict[str, object]:
    """What the plane starts from: a release of a model and one of a feature, with every kind of gate."""
    return {
        "tiers": list(TIERS),
        "features": [
            {"id": name, "title": name, "models": ["alpha"]} for name in ("chat", "images", "voice")
        ],
        "releases": [
            {
                "id": "alpha",
                "subject": {"kind": "model", "name": "alpha"},
                "stable": "r0",
                "candidate": "r1",
                "stages": _STAGES,
            },
            {
                "id": "voice-opening",
                "subject": {"kind": "feature", "name": "voice"},
                "candidate": "open-1",
                "base": [{"tier": "pro", "weight": 1.0}],
                "stages": _STAGES[1:4],
            },
        ],
    }


def moves(view: View, target: Target, draw: random.Random, step: int) -> list[Move]:
    """One decision on a target of the view: an intent, or several where it is for more cells."""
    if target.kind == "throttle":
        found = [view.cell(target)]
        if draw.random() < 0.15:
            found += draw.sample(view.cells, 2)
        cells = {(one.feature, one.tier): one for one in found if one is not None}
        make = _throttling(draw)
        return [make(one) for one in cells.values()]
    release = view.release(target)
    if draw.random() < 0.04:
        new = f"extra-{len(view.releases) - 1}"
        if len(view.releases) < EXTRAS + 2:
            return [
                Move(intending.register(_body(new, "model", new, f"r{step}"), None), {"phase": "pending"})
            ]
    if release is None:
        return []
    names = _EVERY if draw.random() < 0.15 else _LEGAL.get(release.phase, _EVERY)
    move = _released(release, draw.choice(names), draw, step)
    return [] if move is None else [move]


def _throttling(draw: random.Random) -> Callable[[Throttle], Move]:
    if draw.random() < 0.25:
        to_open = draw.random() < 0.5
        back = "open" if to_open else "previous"
        expected = {"level": 1.0, "expires_at": None} if to_open else {}
        return lambda cell: Move(intending.clear_throttle(cell, revert_to=back), expected)
    level = draw.choice((*LEVELS, round(draw.random(), 4)))
    ttl_s, ramp = draw.choice((None, None, 1, 2, 30)), draw.choice((None, None, 0.5, 1.0))
    back = draw.choice(("previous", "open"))
    return lambda cell: Move(
        intending.set_throttle(cell, level=level, ttl_s=ttl_s, ramp_per_min=ramp, revert_to=back),
        {"level": level, "ramp_per_min": ramp} | ({"expires_at": None} if ttl_s is None else {}),
    )


def _released(release: Release, name: str, draw: random.Random, step: int) -> Move | None:
    """One operation on a release; None where it cannot even be formed."""
    match name:
        case "advance":
            index = -1 if release.stage_index is None else release.stage_index
            later = [one.id for one in release.stages[index + 1 :]]
            if not later:
                return None
            to = draw.choice((later[0], None, None, later[-1]))
            passes = release.gate != "open" and draw.random() < 0.5
            intent = intending.advance(release, to=to, override_gate=passes)
            return Move(intent, {"stage": to or later[0], "candidate": release.candidate})
        case "pause":
            return Move(intending.pause(release), {"phase": "paused", "pause_reason": "operator"})
        case "resume":
            return Move(intending.resume(release), {"stage": intending.stage_id(release)})
        case "abort":
            return Move(intending.abort(release), {"phase": "aborted", "stage": None})
        case "retry":
            return Move(intending.retry(release), {"phase": "pending", "stage": None})
        case "rollback":
            to = draw.choice(release.history) if release.history and draw.random() < 0.7 else None
            expected = {"phase": "completed", "stage": None, "candidate": to or release.stable}
            return Move(intending.roll_back(release, to_revision=to), expected)
        case "register":
            body = _body(release.id, release.subject_kind, release.subject, f"r{step}")
            expected = {"phase": "pending", "stage": None, "candidate": f"r{step}"}
            return Move(intending.register(body, release), expected)
    if release.stage_index is None:
        return None
    weight, tier = draw.choice((0.05, 0.2, 0.6)), release.stages[release.stage_index].tier
    desired = {one.tier: weight if tier in {"*", one.tier} else one.desired for one in release.exposure}
    return Move(intending.set_weight(release, weight), {"desired": desired})


def _body(name: str, kind: str, subject: str, candidate: str) -> dict[str, object]:
    stages = _STAGES if kind == "model" else _STAGES[1:4]
    return {
        "id": name,
        "subject": {"kind": kind, "name": subject},
        "candidate": candidate,
        "stages": stages,
    }


def _stage(name: str, tier: str, weight: float, kind: str = "manual", hold_s: int = 0) -> dict[str, object]:
    return {"id": name, "tier": tier, "weight": weight, "gate": {"kind": kind, "hold_s": hold_s}}


_STAGES = [
    _stage("pro@100", "pro", 1.0),
    _stage("plus@25", "plus", 0.25, hold_s=1),
    _stage("plus@100", "plus", 1.0, "auto", 1),
    _stage("free@50", "free", 0.5),
    _stage("all", "*", 1.0),
]
