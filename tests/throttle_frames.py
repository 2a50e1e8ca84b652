"""Frames with a control plane that throttles: every cell there is, and requests counted cell by cell."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from collectors.fleet import Frame, Model, Throttle
from collectors.intents import OPERATIONS, Ability, PlaneFacts
from collectors.readings import reading
from tests.frames import AT, demo_frame

NOTHING: Mapping[str, str] = MappingProxyType({})
TIERS = ("pro", "plus", "team", "free")


def plane(*, closed: Mapping[str, str] = NOTHING, ttl_max_s: int = 604_800) -> PlaneFacts:
    """A plane that offers everything but what is `closed`: operation -> why."""
    abilities = {name: Ability(True, name not in closed, closed.get(name, "")) for name in OPERATIONS}
    return PlaneFacts("alice", "operator", abilities, TIERS, 0.0, "v1", ttl_max_s)


def cell(feature: str, tier: str, level: float | None = 1.0, **members: object) -> Throttle:
    """A cell; its etag tells which one it is."""
    made = Throttle(feature, tier, 1, f"t-{feature}-{tier}", level, effective_level=level)
    return replace(made, **members)


def throttled(*cells: Throttle, frame: Frame | None = None, of: PlaneFacts | None = None) -> Frame:
    """The demo fleet with every cell open but these, and a plane that may do all."""
    frame = frame or demo_frame()
    facts = of or plane()
    given = {(one.feature, one.tier): one for one in cells}
    every = tuple(
        given.get((feature.id, tier)) or cell(feature.id, tier)
        for feature in frame.features
        for tier in facts.tiers
    )
    return replace(frame, plane=facts, throttles=every, alerts=())


def counting(
    frame: Frame, feature: str, tier: str, arrivals: float, rejected: float | None, *, on: Sequence[str]
) -> Frame:
    """The frame with so many requests of a cell on each of these models."""

    def counted(model: Model) -> Model:
        if model.name not in on:
            return model
        found = {"arrivals": reading("arrivals", arrivals, AT)}
        if rejected is not None:
            found["rejected"] = reading("rejected", rejected, AT)
        return replace(model, cells={**model.cells, feature: {**model.cells.get(feature, {}), tier: found}})

    return replace(frame, models=tuple(map(counted, frame.models)))


def sharing(frame: Frame, model: str, **arrivals: float) -> Frame:
    """The frame with so many requests of each feature on one model, and no others."""
    by_feature = {name: {"arrivals": reading("arrivals", rate, frame.at)} for name, rate in arrivals.items()}
    models = (replace(m, by_feature=by_feature) if m.name == model else m for m in frame.models)
    return replace(frame, models=tuple(models))
