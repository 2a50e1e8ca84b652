"""Presets: how each stack exports each signal, as checked data.

A preset is one TOML file. `where`, `keep` and `derive` at the top hold for every signal of the file; of the
last two a signal may say its own. `[signals.ID]` is asked at every poll, `[heat.ID]` seldom, one row an
accelerator. A metric is a name, or a table with `name`, `where`, `factor` and `rung`. A filter is written as
in PromQL: `outcome="Dispatched"`. The fields mean what `catalogue.Definition`, `Preset` and `Probe` say.
A sentence says what is so and what to do about it: it is shown to whoever asks why a reading is missing.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from collectors.notation import label_name, metric_name, read_filter
from collectors.readings import SIGNALS
from collectors.regex import compiled
from collectors.signals.catalogue import (
    Definition,
    Derive,
    Generation,
    Kind,
    Matcher,
    Metric,
    Preset,
    Probe,
    Role,
)
from collectors.signals.quantiles import quantile_signal
from collectors.toml_file import FileError, read_toml

BUILT_IN = Path(__file__).parent / "presets"

FAMILIES = ("queue_wait", "answer_time", "first_token", "token_gap")
"""Signals that are measured as histograms; each of their quantiles is a signal of its own."""

ROLLOUT_SIGNALS = (
    "rollout_phase",
    "rollout_weight",
    "rollout_desired",
    "rollout_updated",
    "rollout_available",
)
"""What a rollout's metrics say. They are no readings of a model: `rollouts.py` makes releases of them."""


def _matcher(found: Any) -> Any:
    return read_matcher(found) if isinstance(found, str) else found


def read_matcher(text: str) -> Matcher:
    """A filter, from the text that PromQL has for it: 'namespace="serving"'.

    raises: ValueError, with what is allowed
    """
    return Matcher(*read_filter(text))


def _regex(text: str) -> str:
    compiled(text)
    return text


def _metric(found: Any) -> Any:
    return {"name": found} if isinstance(found, str) else found


_OF_FAMILY = re.compile(rf"(?:{'|'.join(FAMILIES)})_p\d+")
_PLAIN = tuple(one for one in SIGNALS if not _OF_FAMILY.fullmatch(one))


Label = Annotated[str, BeforeValidator(lambda text: label_name(text) if isinstance(text, str) else text)]
Where = Annotated[Matcher, BeforeValidator(_matcher)]
MetricName = Annotated[str, AfterValidator(metric_name)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Metric(_Table):
    name: MetricName
    where: list[Where] = []
    factor: float = Field(1.0, allow_inf_nan=False)
    rung: str = Field("", max_length=40)


class _Derive(_Table):
    target: Label
    source: Label
    regex: Annotated[str, BeforeValidator(lambda text: _regex(text) if isinstance(text, str) else text)]
    replacement: str


class _Signal(_Table):
    # Told by the table's name: no key to be written.
    id: str = Field(exclude=True)
    kind: Kind
    metrics: list[Annotated[_Metric, BeforeValidator(_metric)]] = Field(min_length=1)
    over: list[Annotated[_Metric, BeforeValidator(_metric)]] = []
    of_rates: bool = False
    aggregate: Literal["sum", "avg", "max", "count"] = "sum"
    keep: list[Label] | None = None
    derive: list[_Derive] | None = None
    distinct: list[Label] = []
    quantiles: list[float] = []
    either_by: list[Label] = []
    source: str = ""
    needs: str = Field("", max_length=240)

    @model_validator(mode="after")
    def _whole(self) -> "_Signal":
        if (self.id in FAMILIES) != (self.kind == "histogram"):
            raise ValueError(f"kind = 'histogram' is for {', '.join(FAMILIES)}, and for no other signal")
        plain = (*_PLAIN, *ROLLOUT_SIGNALS)
        if self.id not in FAMILIES and self.id not in plain:
            raise ValueError(f"is no signal; allowed: {', '.join((*FAMILIES, *plain))}")
        if (self.kind == "ratio") != bool(self.over):
            raise ValueError("`over` is what a ratio divides by: a ratio needs it, no other kind has it")
        if self.of_rates and self.kind != "ratio":
            raise ValueError("`of_rates` is for a ratio of counters")
        if (self.kind == "histogram") != bool(self.quantiles):
            raise ValueError("`quantiles` are asked of a histogram: it needs them, no other kind has them")
        known = [one for one in SIGNALS if one.startswith(f"{self.id}_p")]
        if unknown := [q for q in self.quantiles if quantile_signal(self.id, q) not in known]:
            raise ValueError(f"quantile {unknown[0]} is no signal; its quantiles are {', '.join(known)}")
        if self.kind in {"histogram", "ratio"} and self.aggregate != "sum":
            raise ValueError("a histogram or ratio is made of sums: leave `aggregate` out")
        if self.either_by and self.kind == "ratio":
            raise ValueError("`either_by` is for alternatives: of a ratio all metrics are added up")
        if self.kind == "histogram" and self.distinct:
            raise ValueError("a histogram's buckets are added up: leave `distinct` out")
        return self


class _Generation(_Table):
    name: str = Field(min_length=1, max_length=60)
    proof: list[MetricName] = Field(min_length=1)


class _Probe(_Table):
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=40)
    metric: MetricName
    or_metrics: list[MetricName] = []
    where: list[Where] = []
    present: str = Field("", max_length=240)
    absent: str = Field("", max_length=240)


class _Preset(_Table):
    stack: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=40)
    title: str = Field(min_length=1, max_length=60)
    role: Role
    proof: list[MetricName] = Field(min_length=1)
    proof_where: list[Where] = []
    where: list[Where] = []
    keep: list[Label]
    derive: list[_Derive] = []
    generations: list[_Generation] = []
    probes: list[_Probe] = []
    never: dict[str, str] = {}
    signals: dict[str, _Signal] = {}
    heat: dict[str, _Signal] = {}

    @field_validator("never")
    @classmethod
    def _signals(cls, given: dict[str, str]) -> dict[str, str]:
        known = (*FAMILIES, *_PLAIN)
        if strange := sorted(given.keys() - set(known)):
            raise ValueError(f"{strange[0]!r} is no signal; allowed: {', '.join(known)}")
        return given

    @model_validator(mode="after")
    def _kept(self) -> "_Preset":
        for one in (*self.signals.values(), *self.heat.values()):
            keep = self.keep if one.keep is None else one.keep
            if strange := [label for label in one.either_by if label not in keep]:
                raise ValueError(f"{one.id}: either_by names {strange[0]}, which it does not keep")
        return self

    @field_validator("signals", "heat", mode="before")
    @classmethod
    def _named(cls, found: Any) -> Any:
        """Tell every table its own name, so that a wrong one is reported with its line."""
        if not isinstance(found, dict):
            return found
        return {k: {**table, "id": k} if isinstance(table, dict) else table for k, table in found.items()}


def with_labels(
    presets: Sequence[Preset], labels: Sequence[str], *, parts: Sequence[str] = (), apart: bool = False
) -> tuple[Preset, ...]:
    """The presets with labels kept that identity rules read, or that tell clusters apart.

    parts: those of `labels` that no ratio keeps, for the ratios of parts tell nothing of the whole's
    apart: what differs in these labels has nothing to do with each other, so no alternative gives way
    A label that a stack does not have costs nothing: grouping by it changes no group.
    """
    if not labels:
        return tuple(presets)
    of_ratios = [label for label in labels if label not in parts]
    return tuple(
        replace(
            preset,
            definitions=tuple(
                replace(
                    one,
                    keep=tuple(dict.fromkeys((*one.keep, *(of_ratios if one.kind == "ratio" else labels)))),
                    either_by=tuple(dict.fromkeys((*one.either_by, *labels)))
                    if apart and one.either_by
                    else one.either_by,
                )
                for one in preset.definitions
            ),
        )
        for preset in presets
    )


def absence(signal: str, stacks: Sequence[str], presets: Sequence[Preset]) -> str:
    """Why no stack that is there tells a signal, and what would bring it; "" where nothing is known.

    What a setting can bring is told before what a stack can not do.
    """
    family = signal.rsplit("_p", 1)[0] if _OF_FAMILY.fullmatch(signal) else signal
    # A gateway is asked last: it explains what it lacks, where an engine is what would have it.
    there = sorted((p for p in presets if p.stack in stacks), key=lambda p: p.role == "gateway")
    needs = (d.needs for preset in there for d in preset.definitions if d.signal == family and d.needs)
    return next(needs, "") or next((p.never[family] for p in there if family in p.never), "")


def read_presets(extra: Sequence[Path] = ()) -> tuple[Preset, ...]:
    """The built-in presets and those of the files in `extra`, in order of stack name.

    A file of a stack that exists already takes its place. Built-in files are read once.
    raises: FileError for a file that cannot be read or used, with file, line, key and what is allowed.
    """
    found = {preset.stack: preset for preset in _built_in()}
    read: dict[str, Path] = {}
    for path in extra:
        preset = _read(path)
        if preset.stack in read:
            raise FileError(f"{path}: stack: {preset.stack!r} was already read from {read[preset.stack]}")
        read[preset.stack] = path
        found[preset.stack] = preset
    return tuple(found[stack] for stack in sorted(found))


@cache
def _built_in() -> tuple[Preset, ...]:
    return tuple(_read(path) for path in sorted(BUILT_IN.glob("*.toml")))


def _read(path: Path) -> Preset:
    file = read_toml(path, _Preset)
    definitions = tuple(
        _definition(file, name, signal, heat=table is file.heat)
        for table in (file.signals, file.heat)
        for name, signal in table.items()
    )
    return Preset(
        file.stack,
        file.title,
        file.role,
        tuple(file.proof),
        definitions,
        where=tuple(file.proof_where),
        generations=tuple(Generation(one.name, tuple(one.proof)) for one in file.generations),
        probes=tuple(
            Probe(p.id, p.metric, tuple(p.where), p.present, p.absent, tuple(p.or_metrics))
            for p in file.probes
        ),
        never=file.never,
    )


def _definition(file: _Preset, name: str, signal: _Signal, *, heat: bool) -> Definition:
    derive = file.derive if signal.derive is None else signal.derive
    keep = tuple(file.keep if signal.keep is None else signal.keep)
    return Definition(
        signal=name,
        stack=file.stack,
        role="heat" if heat else file.role,
        kind=signal.kind,
        metrics=tuple(_filtered(file, one) for one in signal.metrics),
        keep=keep,
        aggregate=signal.aggregate,
        derive=tuple(
            Derive(d.target, d.source, d.regex, d.replacement)
            for d in derive
            # A label that nobody reads costs the server time for every series.
            if d.target in keep or d.target in signal.distinct
        ),
        distinct=tuple(signal.distinct),
        over=tuple(_filtered(file, one) for one in signal.over),
        of_rates=signal.of_rates,
        quantiles=tuple(signal.quantiles),
        lane="heat" if heat else "fast",
        source=signal.source,
        needs=signal.needs,
        either_by=tuple(signal.either_by),
    )


def _filtered(file: _Preset, metric: _Metric) -> Metric:
    return Metric(metric.name, (*file.where, *metric.where), metric.factor, metric.rung)
