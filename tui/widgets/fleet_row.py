"""One model of the fleet table: how much it needs a look, and its line."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from collectors.fleet import Frame, Model, Release, Severity, Tier
from collectors.readings import NEVER, NO_REASON, Quality, Reading, Standing, standing, worded
from tui.format import (
    MEAN,
    NEVER_MEASURED,
    Glyphs,
    absent,
    age,
    bar,
    bound,
    bounds,
    count,
    fit,
    objective,
    percent,
    quantile,
    shown,
    signed,
    stands_in,
    wait,
    width_of,
)
from tui.store import judged_tiers
from tui.widgets.fleet_columns import Column, Columns
from tui.widgets.lines import Cell, Line, line_of
from tui.widgets.name import name_cells
from tui.widgets.plane_cells import stage_cells, throttle_cells, weight_cells
from tui.widgets.spark import spark
from tui.widgets.tier_names import tier_codes

IDLE = 0.10
"""Busy time below which an accelerator does nothing to speak of: abnormal while a queue waits (D3)."""

WAIT, MEAN_WAIT = "queue_wait_p99", "queue_wait_mean"
SORT_SIGNALS: Mapping[str, str] = MappingProxyType(
    {"waiting": "waiting", "kv": "kv_ratio", "busy": "busy_ratio", "saturation": "pool_saturation"}
)
"""Sorts that go by one reading of the whole model."""

_VITAL = (WAIT, MEAN_WAIT, "waiting", "running", "kv_ratio")
_ANSWERED = frozenset({"idle", "not-open", "few", "not-exported"})
"""Reasons to have no value though the source answers: no sign that it is gone."""

_GAP = Cell(" ")
_DECIMALS = re.compile(r"\.\d+")
_SEVERITIES = {Severity.P1: "p1", Severity.P2: "p2", Severity.P3: "p3"}
_ROLES = {Standing.BREACH: "breach", Standing.STRADDLES: "straddles"}


class Alerts(NamedTuple):
    """The alerts of one model: the worst severity, and the worst of each tier they name."""

    worst: Severity | None = None
    tiers: tuple[tuple[str, Severity], ...] = ()


class Inputs(NamedTuple):
    """All that a model's line is drawn from, but for the time.

    values: of each spark, in the order of its columns; scaled: whether the worst tier's are shares
    untold: the control plane is lost, so stage, weight and throttle are what it said last
    ramping: its lowest throttle is on its way to another level
    parted: a throttle of a feature it serves does not do what was set
    """

    model: Model
    release: Release | None
    alerts: Alerts
    values: tuple[tuple[float, ...], ...]
    scaled: bool
    tiers: tuple[Tier, ...]
    columns: Columns
    width: int
    glyphs: Glyphs
    untold: bool = False
    ramping: bool = False
    parted: bool = False

    def same(self, other: "Inputs") -> bool:
        """Model and release by identity: comparing all their readings costs as much as drawing them."""
        return self.model is other.model and self.release is other.release and self[2:] == other[2:]


class Row(NamedTuple):
    """A drawn model: its line, how bad it is, what it was drawn from, and whether it ages by itself.

    worst: its worst wait as a share of the objective, in seconds without one; -1 when there is none
    """

    line: Line
    severity: int
    worst: float
    inputs: Inputs
    ages: bool

    def key(self, sort: str) -> float:
        """What to sort it by: the larger, the higher up; -1 where nothing is known."""
        if sort in ("severity", "worst"):
            return float(self.severity) if sort == "severity" else self.worst
        model = self.inputs.model
        if sort == "throttle":
            return -1.0 if model.throttle is None else 1 - model.throttle
        value = model.reading(SORT_SIGNALS[sort]).estimate
        return -1.0 if value is None else value


RowCache = dict[str, Row]
"""Rows by model name, kept between frames by whoever draws."""

_MARKS = (
    ("", ""),
    ("straddles", "straddles"),
    ("over", "breach"),
    ("p3", "p3"),
    ("no_data", "missing"),
    ("p2", "p2"),
    ("p1", "p1"),
)
"""Glyph and role of each severity."""

NO_ALERTS = Alerts()
"""Of a model without alerts."""


class TierWait(NamedTuple):
    """A tier's queue wait against what it was promised. `instead`: what it is in place of a p99."""

    reading: Reading
    promised: float | None
    standing: Standing
    instead: str = ""


_NO_WAIT = TierWait(NEVER, None, Standing.UNKNOWN)


def severity_of(model: Model, alerts: Alerts) -> int:
    """How much a model needs a look, 6 to 0: P1, P2, no data, P3, above an objective, straddles, none."""
    return _severity(alerts, has_no_data(model), _judged(model, _waits(model)))


def alerts_by_model(frame: Frame) -> dict[str, Alerts]:
    """The alerts of every model that has any that is not silenced, by the name that the alert gives it."""
    found: dict[str, dict[str, Severity]] = {}
    for alert in frame.alerts:
        if alert.silenced_until is not None:
            continue
        tiers = found.setdefault(alert.model, {})
        tiers[alert.tier] = min(alert.severity, tiers.get(alert.tier, Severity.P3))
    return {name: Alerts(min(tiers.values()), tuple(tiers.items())) for name, tiers in found.items()}


def alerts_of(model: Model, found: Mapping[str, Alerts]) -> Alerts:
    """A model's alerts; one that names no cluster is about the model in each of them."""
    own = found.get(model.name, NO_ALERTS)
    if not model.cluster or (everywhere := found.get(model.subject)) is None:
        return own
    tiers = dict(everywhere.tiers)
    for tier, severity in own.tiers:
        tiers[tier] = min(severity, tiers.get(tier, severity))
    return Alerts(min(tiers.values()), tuple(tiers.items()))


def has_no_data(model: Model) -> bool:
    """True if all that tells how it serves is stale or gone, and some of it was there before."""
    was_there = False
    by_tier = ((readings, (WAIT, MEAN_WAIT)) for readings in model.tiers.values())
    for readings, signals in (*by_tier, (model.readings, _VITAL)):
        for signal in signals:
            one = readings.get(signal)
            if one is None:
                continue
            if one.value is not None and one.quality is not Quality.STALE:
                return False
            was_there = was_there or (one.at is not None and one.reason.code not in _ANSWERED)
    return was_there


def _waits(model: Model) -> dict[str, TierWait]:
    return {tier: tier_wait(readings, model.objectives.get(tier)) for tier, readings in model.tiers.items()}


def _judged(model: Model, waits: Mapping[str, TierWait]) -> Mapping[str, TierWait]:
    judged = judged_tiers(model)
    return waits if len(judged) == len(waits) else {tier: waits[tier] for tier in judged}


def tier_wait(readings: Mapping[str, Reading], promised: float | None) -> TierWait:
    """The p99; where nothing measures one, the mean, which nothing was promised about."""
    one = readings.get(WAIT, NEVER)
    if one.value is None and one.reason.code in NEVER_MEASURED:
        mean = readings.get(MEAN_WAIT)
        if mean is not None and mean.reason.code not in NEVER_MEASURED:
            return TierWait(mean, None, Standing.UNKNOWN, MEAN)
    instead = "" if one.reason is NO_REASON else stands_in(one)
    return TierWait(one, promised, standing(one, promised), instead)


def _severity(alerts: Alerts, no_data: bool, waits: Mapping[str, TierWait]) -> int:
    if alerts.worst is Severity.P1 or alerts.worst is Severity.P2:
        return 6 if alerts.worst is Severity.P1 else 5
    if no_data or alerts.worst is Severity.P3:
        return 4 if no_data else 3
    found = {Standing.BREACH if _is_stalled(one.reading) else one.standing for one in waits.values()}
    return 2 if Standing.BREACH in found else 1 if Standing.STRADDLES in found else 0


def _is_stalled(one: Reading) -> bool:
    return one.reason.code == "stalled"


class ModelRow:
    """Draws one model at a time `at`; the functions in `_DRAW` give the cells of each column."""

    def __init__(self, inputs: Inputs, at: float) -> None:
        model, self.release, self.alerts, self.values, self.scaled, self.tiers, *_ = inputs
        self.inputs, self.model, self.at, self.glyphs = inputs, model, at, inputs.glyphs
        self.waits = _waits(model)
        self.judged = _judged(model, self.waits)
        self.no_data = has_no_data(model)
        self.severity = _severity(self.alerts, self.no_data, self.judged)
        self.worst = self._worst_tier()

    def row(self) -> Row:
        """The line, and what to sort it by."""
        cells = [_GAP, self._mark(), _GAP]
        sparks = iter(self.values)
        for number, column in enumerate(self.inputs.columns.all):
            if number:
                cells.append(_GAP)
            if column.id == "spark":
                cells += self._spark_or_age(column, next(sparks))
            elif column.id == "tier-wide":
                cells += self._tier_wide(column, next(sparks))
            else:
                cells += _DRAW[column.id](self, column)
        line = line_of(cells, self.inputs.width, self.model.name, self.glyphs)
        return Row(line, self.severity, self._worst_share(), self.inputs, self.no_data)

    def _worst_share(self) -> float:
        one, promised, *_ = self._worst_wait()
        if _is_stalled(one):
            return 1e9
        return -1.0 if one.estimate is None else one.estimate / (promised or 1.0)

    def _worst_wait(self) -> TierWait:
        if self.worst:
            return self.waits[self.worst]
        return tier_wait(self.model.readings, None)

    def _mark(self) -> Cell:
        name, role = _MARKS[self.severity]
        return Cell(getattr(self.glyphs, name), role) if name else _GAP

    def _worst_tier(self) -> str:
        """The tier worst against its objective (D5); without values, the one whose reason says most."""
        best, best_rank = "", (-1, -1.0)
        for tier in self.tiers:
            if (found := self.judged.get(tier.name)) is None:
                continue
            one, promised, stands, _ = found
            estimate = one.estimate
            if estimate is None:
                rank = (4 if _is_stalled(one) else 0 if one.reason.code == "not-open" else 1, 0.0)
            else:
                rank = (3 if stands is Standing.BREACH else 2, estimate / (promised or 1.0))
            if rank > best_rank:
                best, best_rank = tier.name, rank
        return best

    def _name(self, column: Column) -> list[Cell]:
        return name_cells(self.model, column.width, self.glyphs, no_data=self.no_data)

    def _number(self, signal: str, column: Column, written: Callable[[float], str]) -> list[Cell]:
        one = self.model.reading(signal)
        if one.estimate is None:
            text, role = absent(one, self.glyphs)
        else:
            text, role = shown(one, written(one.estimate), self.glyphs)
            if len(text) > column.width:  # a stale or suspect sign: it matters more than the last digit
                text = _DECIMALS.sub("", text.replace(" ", "").replace("%", ""))
        return [Cell(fit(text, column.width, self.glyphs, right=True), role)]

    def _busy(self, column: Column) -> list[Cell]:
        if self._is_idle():
            text = shown(self.model.reading("busy_ratio"), percent(self._busy_ratio()), self.glyphs)[0]
            return [Cell("i" + fit(text, column.width - 1, right=True), "idle")]
        return self._number("busy_ratio", column, percent)

    def _bar(self, column: Column) -> list[Cell]:
        one = self.model.reading("busy_ratio")
        if one.estimate is not None:
            role = "idle" if self._is_idle() else shown(one, "")[1]
            return [Cell(bar(one.estimate, column.width, self.glyphs), "graph" if role == "text" else role)]
        text = self.glyphs.no_data if self.no_data else " "
        return [Cell(text * column.width, "stale")]

    def _busy_ratio(self) -> float:
        return self.model.reading("busy_ratio").estimate or 0.0

    def _is_idle(self) -> bool:
        busy, waiting = self.model.reading("busy_ratio"), self.model.reading("waiting")
        if busy.estimate is None or busy.quality is not Quality.GOOD:
            return False
        return busy.estimate < IDLE and (waiting.estimate or 0) > 0 and waiting.quality is Quality.GOOD

    def _worst(self, column: Column) -> list[Cell]:
        found = self._worst_wait()
        one, promised = found.reading, found.promised
        if one.value is None and (self.no_data or one.reason.code == "collecting"):
            said = f"{self.glyphs.no_data} no data {self._age()}"
            text, role = (said, "missing") if self.no_data else (worded(one.reason), "muted")
            return [Cell(fit(text.removesuffix(" scrapes"), column.width, self.glyphs), role)]
        codes = dict(zip((t.name for t in self.tiers), tier_codes(self.tiers), strict=True))
        wide = max(map(width_of, codes.values()), default=2)
        text, role = self._wait(found, 6)
        is_judged = one.value is not None or _is_stalled(one)
        limit = f"/{objective(promised)}" if promised is not None and is_judged else ""
        return [
            Cell(fit(codes.get(self.worst, ""), wide + 1)),
            Cell(fit(text, 6, self.glyphs, right=True), role),
            Cell(fit(limit, column.width - wide - 7, self.glyphs)),
        ]

    def _age(self) -> str:
        times = [
            r.at for readings in self.model.tiers.values() for r in readings.values() if r.at is not None
        ]
        times += [r.at for r in self.model.readings.values() if r.at is not None]
        return age(self.at - max(times)) if times else ""

    def _wait(self, found: TierWait, room: int) -> tuple[str, str]:
        one = found.reading
        if one.value is None:
            return absent(one, self.glyphs)
        text = quantile(one.value, self.glyphs)
        text, role = shown(one, text, self.glyphs, room=room, instead=found.instead)
        return text, _ROLES.get(found.standing, role)

    def _tier_mark(self, tier: str, found: TierWait) -> Cell:
        for name, severity in self.alerts.tiers:
            if name == tier:
                return Cell(getattr(self.glyphs, _SEVERITIES[severity]), _SEVERITIES[severity])
        if found.standing is Standing.BREACH:
            return Cell(self.glyphs.over, "breach")
        # What stands in for a p99 says of itself that it decides nothing.
        straddles = found.standing is Standing.STRADDLES and not found.instead
        return Cell(self.glyphs.straddles, "straddles") if straddles else _GAP

    def _tier(self, column: Column) -> list[Cell]:
        tier = self.tiers[column.tier].name
        found = self.waits.get(tier, _NO_WAIT)
        text, role = self._wait(found, column.width - 1)
        return [
            self._tier_mark(tier, found),
            Cell(fit(text, column.width - 1, self.glyphs, right=True), role),
        ]

    def _tier_wide(self, column: Column, values: tuple[float, ...]) -> list[Cell]:
        tier = self.tiers[column.tier].name
        found = self.waits.get(tier, _NO_WAIT)
        one, promised = found.reading, found.promised
        median = self.model.reading("queue_wait_p50", tier)
        text, role = self._wait(found, 0)
        beside, between = "", "" if one.value is None else bounds(one.value)
        if found.instead and one.value is not None:
            # What it is in place of a p99 matters more than between which bounds it lies.
            text, between = signed(one, quantile(one.value, self.glyphs), self.glyphs)[0], found.instead
        elif between and one.estimate is not None:
            text = shown(one, wait(one.estimate), self.glyphs)[0]
        elif one.at is not None and one.reason.code == "removed":
            beside = f"{age(self.at - one.at)} old"
        left, left_role = absent(median, self.glyphs) if median.value is None else self._median(median)
        width = max(4, min(width_of(text), 5))
        return [
            Cell(self.glyphs.column, "muted"),
            Cell(fit(left, 4, self.glyphs, right=True), left_role),
            Cell(" "),
            self._tier_mark(tier, found),
            Cell(fit(text, width, self.glyphs, right=True), role),
            Cell(fit("", 5 - width)),
            Cell(fit(between or beside, 9, self.glyphs), role),
            Cell(" "),
            Cell(self._spark(values, promised), "graph"),
        ]

    def _median(self, one: Reading) -> tuple[str, str]:
        assert one.value is not None and one.estimate is not None
        exact = quantile(one.value, self.glyphs)
        lead = exact[: len(exact) - len(exact.lstrip("≈=<>≥"))]
        # From the most exact to what always fits; the sign of its quality is the last to go.
        for text in (exact, lead + bound(one.estimate), bound(one.estimate)):
            told, role = shown(one, text, self.glyphs)
            if width_of(told) <= 4:
                break
        return told, role

    def _spark_or_age(self, column: Column, values: tuple[float, ...]) -> list[Cell]:
        if not self.no_data:
            return [Cell(self._spark(values, None), "graph")]
        text = f"{self.glyphs.no_data} {self._age()} old"
        text = text if len(text) <= column.width else text.removesuffix(" old")
        return [Cell(fit(text, column.width, self.glyphs), "missing")]

    def _spark(self, values: tuple[float, ...], promised: float | None) -> str:
        if promised is None and self.scaled:
            promised = 1.0
        return spark(values, promised, self.glyphs)


_DRAW: Mapping[str, Callable[[ModelRow, Column], list[Cell]]] = {
    "name": ModelRow._name,
    "stage": lambda row, column: stage_cells(row.release, row.tiers, column, row.glyphs, row.inputs.untold),
    "track": lambda row, column: stage_cells(row.release, row.tiers, column, row.glyphs, row.inputs.untold),
    "weight": lambda row, column: weight_cells(row.release, row.tiers, column, row.glyphs, row.inputs.untold),
    "accelerators": lambda row, column: row._number("accelerators", column, count),
    "busy": ModelRow._busy,
    "bar": ModelRow._bar,
    "headroom": lambda row, column: row._number("headroom_ratio", column, percent),
    "waiting": lambda row, column: row._number("waiting", column, count),
    "kv": lambda row, column: row._number("kv_ratio", column, percent),
    "saturation": lambda row, column: row._number("pool_saturation", column, percent),
    "worst": ModelRow._worst,
    "tier": ModelRow._tier,
    "more": lambda row, column: [Cell(" " * column.width)],
    "throttle": lambda row, column: throttle_cells(
        row.model.throttle, column, row.glyphs, row.inputs.untold, row.inputs.ramping, row.inputs.parted
    ),
}
