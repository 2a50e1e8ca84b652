"""Who waits for a model: each tier against what it was promised, and each feature's share of the demand."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from collectors.fleet import Tier
from collectors.readings import NEVER, Quality, Reading, Standing
from tui.format import (
    Glyphs,
    absent,
    bar,
    count,
    fit,
    objective,
    percent,
    quantile,
    rate,
    shown,
    wide_quantile,
    width_of,
)
from tui.screens.page import Page, heading, padded, told, whole
from tui.screens.readings import age_text, marked_longer
from tui.store import GAP
from tui.widgets.fleet_row import TierWait, alerts_by_model, alerts_of, tier_wait
from tui.widgets.lines import Cell, Line
from tui.widgets.spark import spark

QUEUE = ("queue_wait_p50", "queue_wait_p95", "queue_wait_p99", "waiting", "arrivals", "served")
"""What the section QUEUE shows of every tier."""

ANSWERS = ("answer_time_p50", "answer_time_p99")
"""Shown of every tier where something measures them."""

TWO_COLUMNS = 140
"""From this width on, throttles and release stand beside the readings."""

BAR, BAR_OVER = 12, 4
"""Cells of the in-range bar up to the objective, and past it."""

BAR_OVER_SHARE = 0.5
"""Share of the objective that the cells past it stand for; beyond, the bar ends in its mark."""

SPARK = 12
"""Parts of the last ten minutes in a tier's spark."""

OTHER_SHARE = 0.01
"""Share of a model's arrivals that may be of no feature before it is shown as `other`."""

FEATURE_MOST = 24
"""Cells for the name of a feature."""

_JUDGED = {Standing.BREACH: "breach", Standing.STRADDLES: "straddles"}
_FEATURE_SIGNALS = (
    ("queue_wait_p99", "wait p99"),
    ("rejected", "reject/s"),
    ("answer_time_p99", "ans p99"),
    ("first_token_p99", "TTFT p99"),
    ("waiting", "waiting"),
)


class _Columns(NamedTuple):
    """Cells of each column of the section QUEUE; 0 leaves one out."""

    name: int
    value: int
    p99: int
    promised: int
    bar: int
    waiting: int
    rate: int
    answer: int
    age: int
    spark: int

    @property
    def width(self) -> int:
        numbers = self.waiting + 2 * self.rate + 2 * self.answer + self.age
        return 3 + self.name + 2 * self.value + self.p99 + self.promised + self.bar + numbers + self.spark


def _columns(page: Page) -> _Columns:
    """Roomy where all of it fits; then closer; then without what can be seen elsewhere."""
    tiers, width = page.frame.tiers, page.width
    name = min(max([4, *(width_of(tier.title) for tier in tiers)]), 14)
    value = 15 if width >= TWO_COLUMNS else 7
    answer = 8 if _is_told(page, ANSWERS) else 0
    roomy = _Columns(name, value, value + 1, 10, BAR + BAR_OVER + 4, 9, 9, answer, 6, SPARK + 2)
    close = roomy._replace(p99=value, promised=9, waiting=8, rate=7, age=5)
    for one in (roomy, close, roomy._replace(spark=0), close._replace(spark=0)):
        if one.width <= width:
            return one
    bare = (roomy._replace(spark=0, bar=0), close._replace(spark=0, bar=0))
    return next((one for one in bare if one.width <= width), bare[1]._replace(answer=0))


def _is_told(page: Page, signals: Sequence[str]) -> bool:
    return any(signal in readings for readings in page.model.tiers.values() for signal in signals)


def queue_lines(page: Page) -> Iterator[Line]:
    """Each tier's waits beside what it was promised, how many wait, come and go, how long answers take."""
    glyphs, columns = page.glyphs, _columns(page)
    yield heading("QUEUE: how long each tier waits", page)
    titles = [
        ("p50", columns.value),
        ("p95", columns.value),
        ("p99", columns.p99),
        ("promised", columns.promised),
    ]
    head = [Cell(" " * (columns.name + 3))]
    head += [Cell(fit(text, wide, glyphs, right=True), "muted") for text, wide in titles]
    if columns.bar:
        head.append(Cell(fit("  of promised", columns.bar, glyphs), "muted"))
    arrive, serve = ("arrive/s", "serve/s") if columns.rate > 8 else ("arr/s", "srv/s")
    titles = [("waiting", columns.waiting), (arrive, columns.rate), (serve, columns.rate)]
    titles += [("ans p50", columns.answer), ("ans p99", columns.answer)] if columns.answer else []
    titles += [("age", columns.age)]
    head += [Cell(fit(text, wide, glyphs, right=True), "muted") for text, wide in titles]
    if columns.spark:
        head.append(Cell(fit("  10m p99", columns.spark, glyphs), "muted"))
    yield whole(head, page)
    alerts = dict(alerts_of(page.model, alerts_by_model(page.frame)).tiers)
    model = page.model
    known = {*model.tiers, *model.objectives, page.tier}
    # A row of nothing for each tier that others tell apart, and this model does not, says less than none.
    for tier in [one for one in page.frame.tiers if one.name in known] or page.frame.tiers:
        severity = alerts.get(tier.name)
        yield whole(_tier(page, tier, columns, severity.value if severity else ""), page)


def _tier(page: Page, tier: Tier, columns: _Columns, severity: str) -> list[Cell]:
    model, glyphs = page.model, page.glyphs
    promised = model.objectives.get(tier.name)
    found = tier_wait(model.tiers.get(tier.name, {}), promised)
    mark, role = _mark(found.standing, severity, glyphs)
    at = glyphs.pointer if tier.name == page.tier else " "
    value_role = _JUDGED.get(found.standing, "")
    cells = [Cell(at), Cell(mark, role), Cell(f" {fit(tier.title, columns.name, glyphs)}")]
    cells += [seconds_cell(model.reading(signal, tier.name), columns.value, glyphs) for signal in QUEUE[:2]]
    cells.append(seconds_cell(found.reading, columns.p99, glyphs, value_role, found.instead))
    text = f"{objective(promised)} s" if promised is not None else "none"
    cells.append(Cell(fit(text, columns.promised, glyphs, right=True), "muted"))
    if columns.bar:
        cells.append(Cell(f"  {_in_range(found, glyphs)}  ", value_role or "text"))
    for signal, wide in zip(QUEUE[3:], (columns.waiting, columns.rate, columns.rate), strict=True):
        cells.append(number_cell(signal, model.reading(signal, tier.name), wide, glyphs))
    if columns.answer:
        cells += [
            seconds_cell(model.reading(signal, tier.name), columns.answer, glyphs) for signal in ANSWERS
        ]
    cells.append(Cell(fit(age_text(found.reading, page.now), columns.age, glyphs, right=True), "muted"))
    if columns.spark:
        values = page.waits(tier.name, SPARK) or (GAP,) * SPARK
        cells.append(Cell(f"  {spark(values, promised, glyphs)}", "graph"))
    return cells


def seconds_cell(one: Reading, width: int, glyphs: Glyphs, role: str = "", instead: str = "") -> Cell:
    """A wait or an answer time, with its bucket where the column is wide; `role` is that of a good one."""
    if one.value is None:
        text, own = absent(one, glyphs)
    else:
        text = (wide_quantile if width >= 15 else quantile)(one.value, glyphs)
        text, own = shown(one, text, glyphs, room=width - 1, instead=instead)
        text = marked_longer(one, text, glyphs)
    return Cell(fit(text, width, glyphs, right=True), role if role and own == "text" else own)


def number_cell(signal: str, one: Reading, width: int, glyphs: Glyphs) -> Cell:
    """A number of things, or things a second, right-aligned."""
    shape = count if signal == "waiting" else rate
    text, own = absent(one, glyphs) if one.estimate is None else shown(one, shape(one.estimate), glyphs)
    return Cell(fit(text, width, glyphs, right=True), own)


def _mark(judged: Standing, severity: str, glyphs: Glyphs) -> tuple[str, str]:
    """The tier's worst alert, else how its wait stands to what was promised (D2: a shape for each)."""
    if severity:
        return {"P1": glyphs.p1, "P2": glyphs.p2, "P3": glyphs.p3}[severity], severity.lower()
    if judged is Standing.BREACH:
        return glyphs.over, "breach"
    return (glyphs.straddles, "straddles") if judged is Standing.STRADDLES else (" ", "text")


def _in_range(found: TierWait, glyphs: Glyphs) -> str:
    """A bar that fills up to the promised wait and a little past it: limit beside value (D4)."""
    promised, estimate = found.promised, found.reading.estimate
    if promised is None or promised <= 0 or estimate is None:
        return " " * (BAR + 1 + BAR_OVER)
    share = estimate / promised
    full = min(round(share * BAR), BAR)
    past = min(round(max(share - 1, 0) / BAR_OVER_SHARE * BAR_OVER), BAR_OVER)
    over = glyphs.bar * past + " " * (BAR_OVER - past)
    if share > 1 + BAR_OVER_SHARE:
        over = over[:-1] + glyphs.over
    return glyphs.bar * full + glyphs.bar_rest * (BAR - full) + glyphs.column + over


def feature_lines(page: Page) -> Iterator[Line]:
    """Whose requests the model serves: each feature's share of them, how long it waits, what is refused."""
    yield heading("FEATURES: whose requests these are", page)
    found, glyphs = page.model.by_feature, page.glyphs
    if not found:
        where = f"[[contexts.{page.frame.context}.identity.features]]"
        yield told(f"no features: map a label in {where}, by label, regex and feature", page)
        return
    signals = [
        (signal, title)
        for place, (signal, title) in enumerate(_FEATURE_SIGNALS)
        if place < 2 or any(signal in readings for readings in found.values())
    ]
    name = min(max(7, *(width_of(feature) for feature in found)), FEATURE_MOST)
    head = [
        Cell(fit("   feature", name + 3, glyphs), "muted"),
        Cell(fit("share", BAR + 6, glyphs, right=True), "muted"),
    ]
    head += [
        Cell(fit(text, 10, glyphs, right=True), "muted") for text in ("arrive/s", *(t for _, t in signals))
    ]
    yield whole([*head, Cell(fit("age", 6, glyphs, right=True), "muted")], page)
    demand = _demand(page.model.reading("arrivals"), found)
    for feature in sorted(found):
        readings = found[feature]
        arrivals = readings.get("arrivals", NEVER)
        cells = [Cell(f"   {fit(feature, name, glyphs)}"), *_share_cells(arrivals, demand.of, glyphs)]
        cells.append(number_cell("arrivals", arrivals, 10, glyphs))
        for signal, _ in signals:
            one = readings.get(signal, NEVER)
            made = number_cell if signal in ("rejected", "waiting") else None
            cells.append(made(signal, one, 10, glyphs) if made else seconds_cell(one, 10, glyphs))
        cells.append(Cell(fit(age_text(arrivals, page.now), 6, glyphs, right=True), "muted"))
        yield whole(cells, page)
    if demand.other is not None:
        cells = [Cell(f"   {fit('other', name, glyphs)}", "muted")]
        cells += _share_cells(demand.other, demand.of, glyphs)
        cells.append(number_cell("arrivals", demand.other, 10, glyphs))
        yield padded([*cells, Cell("  of no feature that a rule names", "muted")], page)


class _Demand(NamedTuple):
    """Arrivals of all features together, requests/s, None where some are not known; and those of none."""

    of: float | None
    other: Reading | None


def _demand(whole_model: Reading, found: Mapping[str, Mapping[str, Reading]]) -> _Demand:
    """What shares are of: the model's own arrivals where they are known and no less than the features'.

    A feature whose arrivals are not known leaves no remainder to call `other`: it may be all of it.
    """
    arrivals = [readings.get("arrivals", NEVER) for readings in found.values()]
    known = [one.estimate for one in arrivals if one.estimate is not None]
    total, everything = sum(known), whole_model.estimate
    if everything is None or whole_model.quality is Quality.SUSPECT:
        return _Demand(total if len(known) == len(arrivals) else None, None)
    if everything <= total * (1 + OTHER_SHARE) and everything * (1 - OTHER_SHARE) <= total:
        return _Demand(total, None)
    if everything < total:
        return _Demand(total if len(known) == len(arrivals) else None, None)
    rest = everything - total
    stale = Quality.STALE in (whole_model.quality, *(one.quality for one in arrivals))
    other = Reading(rest, whole_model.at, Quality.STALE if stale else whole_model.quality)
    return _Demand(everything, other if len(known) == len(arrivals) else None)


def _share_cells(arrivals: Reading, demand: float | None, glyphs: Glyphs) -> list[Cell]:
    """A bar and a percentage; blank where the share is not known."""
    if arrivals.estimate is None or demand is None:
        return [
            Cell(fit("?" if arrivals.estimate is not None else "", BAR + 6, glyphs, right=True), "unknown")
        ]
    share = min(arrivals.estimate / demand, 1.0) if demand > 0 else 0.0
    text, role = shown(arrivals, percent(share), glyphs)
    drawn = bar(share, BAR, glyphs)
    return [
        Cell(f" {drawn}", "graph" if role == "text" else role),
        Cell(fit(text, 5, glyphs, right=True), role),
    ]
