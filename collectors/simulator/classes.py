"""Classes of requests (model, tier, feature) and what is constant about each, as arrays.

Classes stand in order of (model, tier, feature), so that sums over a model, or over a (model, tier) pair,
are sums over a run of neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from collectors.simulator.scenario import Fleet, Model

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def ratio(part: Floats, of: Floats, empty: float = 0.0) -> Floats:
    """`part / of`, and `empty` where `of` is 0."""
    quotient: Floats = np.divide(part, of, out=np.full_like(of, empty), where=of != 0)
    return quotient


def full_batch_tokens(model: Model, replicas: float) -> float:
    """Deliverable work, tokens a second, of `replicas` at full batch. Source: X = R S / tau(S)."""
    return replicas * model.slots / (model.step_s + model.step_per_request_s * model.slots)


@dataclass(frozen=True, slots=True)
class Classes:
    """K classes of M models, T tiers, F features; P = M*T pairs of model and tier.

    model, tier, feature: (K,) indices; pair: (K,) model * T + tier
    full_rate: (K,) first attempts a second if model and feature were open to the whole tier
    open: (M, T) share of the tier a model is open to before any release says otherwise; opened: (F, T)
        likewise of a feature
    """

    models: tuple[str, ...]
    tiers: tuple[str, ...]
    features: tuple[str, ...]
    specs: tuple[Model, ...]
    model: Ints
    tier: Ints
    feature: Ints
    pair: Ints
    tokens: Floats
    prompt: Floats
    held_kv: Floats
    patience_s: Floats
    full_rate: Floats
    open: Floats
    opened: Floats
    _model_start: Ints
    _pair_start: Ints

    def __len__(self) -> int:
        return len(self.model)

    def names(self) -> list[str]:
        """`model/tier/feature` of every class, in order."""
        return [
            f"{self.models[m]}/{self.tiers[t]}/{self.features[f]}"
            for m, t, f in zip(self.model, self.tier, self.feature, strict=True)
        ]

    def by_model(self, values: Any) -> Any:
        """Sums of (K, ...) values over each model: (M, ...)."""
        return np.add.reduceat(values, self._model_start, axis=0)

    def by_pair(self, values: Any) -> Any:
        """Sums of (K, ...) values over each pair of model and tier: (P, ...)."""
        return np.add.reduceat(values, self._pair_start, axis=0)

    def of_models(self, attribute: str) -> Floats:
        """One number of each model's specification: (M,)."""
        return np.array([float(getattr(spec, attribute)) for spec in self.specs])


def classes_of(fleet: Fleet) -> Classes:
    """The classes of a fleet, with rates scaled so that each model offers its base rho at its opening, were
    every feature open."""
    served = fleet.served()
    tiers = tuple(tier.name for tier in fleet.tiers)
    features = tuple(fleet.features)
    rows = [
        (m, t, features.index(name))
        for m, spec in enumerate(served.values())
        for t in range(len(tiers))
        for name in spec.features
    ]
    model, tier, feature = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    opened = np.array([[spec.open.get(name, 1.0) for name in tiers] for spec in served.values()])
    known = list(fleet.features.values())
    features_opened = np.array([[one.open.get(name, 1.0) for name in tiers] for one in known])
    rates = np.array([known[f].requests * known[f].shares.get(tiers[t], 0.0) for _, t, f in rows])
    tokens = _of(known, "tokens")[feature]
    starts = np.flatnonzero(np.r_[True, np.diff(model) > 0])
    work = np.add.reduceat(rates * opened[model, tier] * tokens, starts)
    wanted = [
        spec.base_rho * full_batch_tokens(spec, spec.accelerators / spec.accelerators_per_replica)
        for spec in served.values()
    ]
    scale = ratio(np.array(wanted), work)
    pair = model * len(tiers) + tier
    return Classes(
        models=tuple(served),
        tiers=tiers,
        features=features,
        specs=tuple(served.values()),
        model=model,
        tier=tier,
        feature=feature,
        pair=pair,
        tokens=tokens,
        prompt=_of(known, "prompt_tokens")[feature],
        held_kv=_of(known, "held_kv_tokens")[feature],
        patience_s=_of(known, "patience_s")[feature],
        full_rate=rates * scale[model],
        open=opened,
        opened=features_opened,
        _model_start=starts,
        _pair_start=np.flatnonzero(np.r_[True, np.diff(pair) > 0]),
    )


def _of(things: Sequence[object], attribute: str) -> Floats:
    return np.array([float(getattr(thing, attribute)) for thing in things])
