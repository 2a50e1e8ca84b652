"""Scenarios as data: who is served, by what, and what happens when. TOML files, checked on reading.

A scenario names a fleet (`fleets/NAME.toml`), a moment it starts at, and a timeline. To add one, add a file.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from collectors.text import clean
from collectors.toml_file import FileError, read_toml

STEP_S = 0.5
"""Length of a step of the world, in simulated seconds."""

ROWS_PER_NODE = 8

_HERE = Path(__file__).parent
_NAME = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tier(_Strict):
    """A class of customers. `priority`: as the endpoint picker labels it; `objective_s`: p99 queue wait."""

    name: str = Field(pattern=_NAME)
    title: str
    priority: int
    objective_s: Positive


class Kind(_Strict):
    """A kind of accelerator, as its exporter describes it."""

    model_name: str
    memory_mib: int = Field(gt=0)
    power_w: Positive


class Feature(_Strict):
    """What is asked for. `requests`: a second, in proportion to other features; `shares`: of them, by tier.

    tokens: generated; held_kv_tokens: held on average while running; patience_s: mean, exponential
    open: share of a tier it is open to; tiers left out have 1
    """

    title: str
    requests: Positive
    tokens: Positive
    prompt_tokens: Positive
    held_kv_tokens: Positive
    patience_s: Positive = 60.0
    shares: dict[str, Share]
    open: dict[str, Share] = {}


class Pool(_Strict):
    """Accelerators of one kind that serve one model, shown as `nodes` nodes of eight rows."""

    kind: str
    accelerators: int = Field(gt=0)
    nodes: int = Field(gt=0)

    @property
    def stands_for(self) -> float:
        """Accelerators that each exported row stands for."""
        return self.accelerators / (self.nodes * ROWS_PER_NODE)


class Model(_Strict):
    """A served model.

    org, served_as: its name at the engine, `org/served_as`
    copies: more than 1 makes that many models, NAME-01, NAME-02 ...
    base_rho: offered over deliverable work at its opening, with every feature open, before anything happens
    open: share of a tier it is open to; tiers left out have 1
    pages: engine pages it is exported on
    step_s, step_per_request_s: a decode step takes step_s + step_per_request_s * batch
    slots: requests running at once on a replica; kv_tokens: cache of a replica
    error_rate: share of finished requests that failed
    objectives: p99 queue wait by tier where it differs from the fleet's
    """

    org: str
    served_as: str
    copies: int = Field(default=1, ge=1, le=500)
    accelerators_per_replica: int = Field(gt=0)
    features: tuple[str, ...] = Field(min_length=1)
    base_rho: Positive
    open: dict[str, Share] = {}
    pools: tuple[Pool, ...] = Field(min_length=1)
    pages: int = Field(default=1, gt=0, le=64)
    step_s: Positive = 0.012
    step_per_request_s: Positive = 0.00016
    slots: int = Field(default=64, gt=0)
    kv_tokens: Positive = 140_800.0
    error_rate: Share = 0.005
    objectives: dict[str, Positive] = {}

    @property
    def accelerators(self) -> int:
        """Of all pools, before deliveries and faults."""
        return sum(pool.accelerators for pool in self.pools)


class Fleet(_Strict):
    """Who is served, by what.

    flow_control: requests wait at the endpoint picker, which knows tiers, until an engine has a free slot;
        off, as it is by default upstream, they wait in the engines
    releases, throttles: as the control plane's seed document has them
    """

    namespace: str = Field(pattern=_NAME)
    zones: tuple[str, ...] = Field(min_length=1)
    nodes_per_rack: int = Field(default=8, gt=0)
    flow_control: bool = True
    tiers: tuple[Tier, ...] = Field(min_length=1)
    kinds: dict[str, Kind]
    features: dict[str, Feature]
    models: dict[str, Model]
    releases: tuple[dict[str, Any], ...] = ()
    throttles: tuple[dict[str, Any], ...] = ()

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        tiers = {tier.name for tier in self.tiers}
        for name, feature in self.features.items():
            _known(f"features.{name}.shares", feature.shares, tiers, "tier")
            _known(f"features.{name}.open", feature.open, tiers, "tier")
        for name, model in self.models.items():
            if not re.match(_NAME, name):
                raise ValueError(f"models.{name}: a name is lower-case letters, digits and -, at most 40")
            _known(f"models.{name}.open", model.open, tiers, "tier")
            _known(f"models.{name}.objectives", model.objectives, tiers, "tier")
            _known(f"models.{name}.features", model.features, self.features, "feature")
            _known(f"models.{name}.pools", [pool.kind for pool in model.pools], self.kinds, "kind")
        return self

    def served(self) -> Mapping[str, Model]:
        """Every model by name, copies spelt out, in order of name."""
        models: dict[str, Model] = {}
        for name, model in self.models.items():
            if model.copies == 1:
                models[name] = model
            for number in range(1, model.copies + 1) if model.copies > 1 else ():
                called = f"{model.served_as}-{number:02d}"
                models[f"{name}-{number:02d}"] = model.model_copy(update={"served_as": called, "copies": 1})
        return dict(sorted(models.items()))


class _Event(_Strict):
    minute: float = Field(ge=-5, le=100_000)


class Surge(_Event):
    """Demand for a feature rises to `factor` times in `minutes`.

    rise: linear, or logistic (the time constant is a sixth of `minutes`); then it halves every
    `half_life_hours`, if given
    """

    event: Literal["surge"]
    minutes: Positive
    feature: str
    factor: Positive
    models: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    rise: Literal["linear", "logistic"] = "linear"
    half_life_hours: Positive | None = None


class Patch(_Event):
    """A model's decode step gets faster: it delivers (1 + gain) times the tokens."""

    event: Literal["patch"]
    model: str
    gain: float = Field(gt=-1, le=10)


class Delivery(_Event):
    """New accelerators, of which the share `ready` comes into service as 1 - exp(-t/ramp)."""

    event: Literal["delivery"]
    model: str
    kind: str
    accelerators: int = Field(gt=0)
    ready: Share = 0.92
    ramp_minutes: Positive


class Outage(_Event):
    """A share of a model's accelerators is away for some minutes; what runs on them fails."""

    event: Literal["outage"]
    model: str
    share: Share
    minutes: Positive


class Partition(_Event):
    """For some minutes the control plane reaches only the share `reached` of the gateways: the others go on
    as they were told last. At the end all hear the newest."""

    event: Literal["partition"]
    minutes: Positive
    reached: Share = 0.0


class Operator(_Event):
    """Somebody else at the same control plane admits `level` of a cell, for `minutes` if given."""

    event: Literal["operator"]
    actor: str = Field(min_length=1, max_length=64)
    feature: str
    tier: str
    level: Share
    minutes: Positive | None = None
    reason: str = Field(min_length=3, max_length=500)


Event = Annotated[Surge | Patch | Delivery | Outage | Partition | Operator, Field(discriminator="event")]


class Retry(_Strict):
    """What clients do. Shares that come back: after giving up or failing, and after a rejection (four
    times the delay). `deadline_s`: an answer that takes longer is wasted; absent: any answer is welcome."""

    after_failure: Share = 0.5
    after_rejection: Share = 0.1
    delay_s: Positive = 5.0
    deadline_s: Positive | None = None


class Demand(_Strict):
    """noise: deviation of the slow wander of demand (its time constant is noise_s); diurnal: the hour of the
    day counts, with base rho at the mean of the day."""

    noise: NotNegative = 0.05
    noise_s: Positive = 120.0
    diurnal: bool = False


class Faults(_Strict):
    """XID faults; each drains a node of eight accelerators until repaired (lognormal; a fifth: replaced)."""

    per_accelerator_hour: NotNegative = 2e-5
    repair_hours: Positive = 2.0
    replace_hours: Positive = 72.0


class Script(_Strict):
    """A scenario file.

    discipline: who is served first: the oldest; or strictly by tier, then by feature, in the order of the
        fleet's file
    releases: take the place of the fleet's releases of the same ids; others are added
    """

    title: str
    fleet: str = Field(pattern=_NAME)
    starts_at: AwareDatetime
    discipline: Literal["fifo", "strict"] = "fifo"
    demand: Demand = Demand()
    retry: Retry = Retry()
    faults: Faults = Faults()
    releases: tuple[dict[str, Any], ...] = ()
    timeline: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """A script with its fleet."""

    name: str
    script: Script
    fleet: Fleet

    @property
    def starts_at(self) -> datetime:
        """When its minute 0 is."""
        return self.script.starts_at


def scenario_names() -> tuple[str, ...]:
    """Scenarios that come with tidegate, in order of name."""
    return tuple(sorted(file.stem for file in (_HERE / "scenarios").glob("*.toml")))


def read_scenario(name: str) -> Scenario:
    """A scenario by name, or by the path of a TOML file (its fleet lies beside it, in `fleets/`, or is ours).

    raises: FileError, with what is wrong, where, and what there is.
    """
    if name.endswith(".toml"):
        file = Path(name)
    elif name in scenario_names():
        file = _HERE / "scenarios" / f"{name}.toml"
    else:
        near = difflib.get_close_matches(name, scenario_names(), n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise FileError(f"no scenario {clean(name, 60)!r}; {hint}there are: {', '.join(scenario_names())}")
    script = read_toml(file, Script)
    fleets = [file.parent / "fleets", _HERE / "fleets"]
    found = next((f for d in fleets if (f := d / f"{script.fleet}.toml").is_file()), None)
    if found is None:
        raise FileError(f"{file}: fleet {script.fleet!r}: no such file in {fleets[0]} or {fleets[1]}")
    fleet = read_toml(found, Fleet)
    try:
        _check_timeline(script, fleet)
    except ValueError as error:
        raise FileError(f"{file}: {error}") from error
    own = {one.get("id"): one for one in script.releases}
    others = [one for one in fleet.releases if one.get("id") not in own]
    return Scenario(file.stem, script, fleet.model_copy(update={"releases": (*others, *own.values())}))


def seed_document(fleet: Fleet) -> dict[str, Any]:
    """What the embedded control plane starts from: tiers, features, releases, throttles."""
    served = fleet.served()
    return {
        "tiers": [tier.name for tier in fleet.tiers],
        "features": [
            {
                "id": name,
                "title": f.title,
                "models": [m for m, spec in served.items() if name in spec.features],
            }
            for name, f in fleet.features.items()
        ],
        "releases": list(fleet.releases),
        "throttles": list(fleet.throttles),
    }


def _check_timeline(script: Script, fleet: Fleet) -> None:
    served, tiers = fleet.served(), [tier.name for tier in fleet.tiers]
    for number, one in enumerate(script.timeline):
        place = f"timeline.{number}"
        if isinstance(one, Surge):
            _known(f"{place}.feature", [one.feature], fleet.features, "feature")
            _known(f"{place}.models", one.models, served, "model")
            _known(f"{place}.tiers", one.tiers, tiers, "tier")
        elif isinstance(one, Operator):
            _known(f"{place}.feature", [one.feature], fleet.features, "feature")
            _known(f"{place}.tier", [one.tier], tiers, "tier")
        elif not isinstance(one, Partition):
            _known(f"{place}.model", [one.model], served, "model")
        if isinstance(one, Delivery):
            kinds = [pool.kind for pool in served[one.model].pools]
            _known(f"{place}.kind", [one.kind], kinds, "pool of that kind")


def _known(place: str, given: Any, known: Any, what: str) -> None:
    for name in given:
        if name not in known:
            raise ValueError(
                f"{place}: no {what} {clean(str(name))!r}; there are: {', '.join(sorted(known))}"
            )
