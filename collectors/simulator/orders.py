"""What the fleet is to do by its control plane's state, or by an older one that is all it has heard of."""

import numpy as np

from collectors.control.server.state import Held
from collectors.simulator.classes import Floats
from collectors.simulator.gateway import Route
from collectors.simulator.world import Orders, World


def orders_of(world: World, held: Held) -> Orders:
    """What the fleet is to do, by the control plane's state.

    Outside its exposure a model that has a stable revision serves that one: it stays open. Cells that say
    nothing, and models without a release, are as the scenario has them.
    """
    c, orders = world.classes, world.open_orders()
    tiers = {name: number for number, name in enumerate(c.tiers)}
    features = {name: number for number, name in enumerate(c.features)}
    models = {name: number for number, name in enumerate(c.models)}
    for (feature, tier), cell in held.throttles.items():
        level = cell.level if cell.effective_level is None else cell.effective_level
        if feature in features and tier in tiers and level is not None:
            orders.level[features[feature], tiers[tier]] = level
    routes = []
    for release in held.releases.values():
        kind, name = release.subject.kind, release.subject.name
        shares = {one.tier: one.desired for one in release.status.exposure}
        for tier, share in shares.items():
            if tier not in tiers:
                continue
            if kind == "feature" and name in features:
                orders.opened[features[name], tiers[tier]] = share
            elif kind == "model" and name in models:
                orders.exposure[models[name], tiers[tier]] = 1.0 if release.stable is not None else share
        if kind in {"model", "feature"}:
            known = tuple(shares.get(tier, 0.0) for tier in c.tiers)
            routes.append(Route(name, kind, release.candidate, release.stable, known))
    return Orders(orders.level, orders.exposure, orders.opened, tuple(routes))


def mixed(old: Orders, new: Orders, reached: float) -> Orders:
    """What the fleet does when only a share of its gateways, 0..1, has heard of the new orders.

    A subject that is new to the old gateways, or has another candidate, stays as they know it: routed by one
    gateway in three, a revision is not yet served.
    """

    def between(before: Floats, after: Floats) -> Floats:
        return before + reached * (after - before)

    told = {(route.subject, route.candidate): route for route in new.routes}
    routes = []
    for route in old.routes:
        now = told.get((route.subject, route.candidate), route)
        shares = between(np.array(route.shares), np.array(now.shares))
        routes.append(route._replace(shares=tuple(shares.tolist())))
    return Orders(
        between(old.level, new.level),
        between(old.exposure, new.exposure),
        between(old.opened, new.opened),
        tuple(routes),
    )
