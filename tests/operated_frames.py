"""A fleet that is being operated: throttles of every kind, a feature that opens, what metrics see of both."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from collectors.fleet import (
    Event,
    EventKind,
    Exposure,
    Feature,
    Frame,
    LastChange,
    Model,
    Release,
    Revert,
    Stage,
    Throttle,
    Tier,
)
from collectors.intents import Ability, PlaneFacts
from collectors.readings import Reading, reading
from collectors.text import clean
from tests.frames import AT, HOSTILE, demo_frame, release, worst_frame

OPERATOR = PlaneFacts(
    actor="alice@example.com",
    role="operator",
    abilities=MappingProxyType(
        {
            "throttle.set": Ability(True),
            "throttle.clear": Ability(True),
            "release.pause": Ability(True),
            "release.resume": Ability(True),
            "release.abort": Ability(True),
            "release.advance": Ability(True, False, "needs release-admin"),
        }
    ),
    tiers=("pro", "plus", "team", "free"),
    clock_offset_s=0.1,
    api_version="v1",
)
"""An operator: may throttle and stop, may not advance."""


def counted(arrivals: float, admitted: float, at: float = AT) -> Mapping[str, Reading]:
    """What a gateway counts of a cell: requests a second, and those of them it refused."""
    return {
        "arrivals": reading("arrivals", arrivals, at),
        "rejected": reading("rejected", arrivals * (1 - admitted), at),
    }


def cell(
    feature: str,
    tier: str,
    level: float | None,
    *,
    ago: float = 252,
    ttl: float | None = None,
    actor: str = "alice@example.com",
    reason: str = "launch spike",
    state: str = "applied",
    effective: float | None = None,
    ramp: float | None = None,
    revert: Revert | None = None,
    at: float = AT,
) -> Throttle:
    """A throttle that somebody set `ago` seconds ago."""
    return Throttle(
        feature,
        tier,
        8,
        "t-9",
        level,
        state=state,
        effective_level=effective,
        ramp_per_min=ramp,
        return_ramp_per_min=0.1,
        expires_at=None if ttl is None else at + ttl,
        revert_to=revert,
        last_change=LastChange("a-9", "throttle.set", actor, reason, at - ago),
    )


def seen_by(model: Model, features: tuple[str, ...], cells: Mapping[str, Mapping[str, float]]) -> Model:
    """The model serving `features`, of whose cells a gateway admits those shares of 640 requests a second."""
    counts = {f: {tier: counted(640, share) for tier, share in tiers.items()} for f, tiers in cells.items()}
    return replace(model, features=features, cells=counts)


def feature_release(observed: float | None = 0.03) -> Release:
    """A feature on its way to the free tier, at 5 %."""
    one = release("deep-research", (1, 1, 1, 0.05), kind="feature")
    stages = (*one.stages[:3], Stage("free-5", "free", 0.05), one.stages[3])
    exposure = (*one.exposure[:3], Exposure("free", 0.05, observed))
    change = LastChange("a-7", "release.advance", "bob", "p99 ok", AT - 600)
    return replace(one, stages=stages, exposure=exposure, entered_at=AT - 600, last_change=change)


def operated_frame(at: float = AT) -> Frame:
    """Alice throttles images: one cell works, one has no effect, one ramps, one has no end, one ends soon."""
    frame = demo_frame(at)
    models = {model.name: model for model in frame.models}
    images = {"free": 0.31, "team": 0.97, "plus": 0.55}
    models["delta-code"] = seen_by(models["delta-code"], ("images", "longctx"), {"images": images})
    models["cirrus-vision"] = seen_by(models["cirrus-vision"], ("images",), {"images": images})
    models["aurora-5"] = seen_by(models["aurora-5"], ("chat", "longctx", "deep-research"), {})
    return replace(
        frame,
        models=tuple(models.values()),
        releases=(*frame.releases, feature_release()),
        throttles=(
            cell("images", "free", 0.3, ttl=1548, revert=Revert(0.5, None), at=at),
            cell("images", "team", 0.3, ttl=1548, at=at),
            cell("images", "plus", 0.3, ttl=252, state="ramping", effective=0.52, ramp=0.1, ago=288, at=at),
            cell("images", "pro", 1.0, at=at),
            cell("longctx", "free", 0.7, ago=266_400, actor="bob", reason="", at=at),
            cell("longctx", "team", 0.5, ttl=100, actor="bob", reason="batch run", at=at),
        ),
        features=(
            *frame.features,
            Feature("deep-research", "Deep research", ("aurora-5",)),
        ),
        events=(
            *frame.events[:2],
            Event(
                at - 252,
                EventKind.THROTTLE,
                "alice@example.com",
                "images/free",
                "admit 50% → 30%, ttl 30 m, reason: launch spike",
            ),
            Event(
                at - 600, EventKind.RELEASE, "bob", "deep-research", "advance, stage free@5, reason: p99 ok"
            ),
        ),
        plane=OPERATOR,
    )


def worst_operated_frame(at: float = AT) -> Frame:
    """Eight tiers, and hostile names in every cell, each of them in trouble."""
    frame = worst_frame(at)
    tiers = (*frame.tiers, Tier("tier-with-a-long-name-7", "Tier seven, the longest"), Tier("t8", "八"))
    names = [clean(name) or "x" for name in HOSTILE]
    states = ("applied", "ramping", "pending", "drifted", "unknown", "applied", "ramping", "drifted")
    throttles = tuple(
        cell(
            name,
            tier.name,
            0.3,
            ttl=(None, 100.0, -600.0, 1548.0)[n % 4],
            actor=names[n],
            reason=names[(n + 1) % 8],
            state=states[n],
            effective=0.9,
            ramp=0.1,
            ago=300_000,
            at=at,
        )
        for n, name in enumerate(names)
        for tier in tiers
    )
    served = {name: {tier.name: counted(640, 0.97) for tier in tiers} for name in names[:4]}
    models = tuple(replace(model, features=tuple(names), cells=served) for model in frame.models)
    return replace(
        frame,
        tiers=tiers,
        models=models,
        throttles=throttles,
        features=tuple(Feature(name, name, tuple(m.name for m in models)) for name in names),
        plane=replace(OPERATOR, actor=clean(HOSTILE[5]), role=clean(HOSTILE[2]), clock_offset_s=3661.0),
    )
