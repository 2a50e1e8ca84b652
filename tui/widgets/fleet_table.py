"""The fleet table: one line a model, then the objectives, then the features that have a release of their own.

Pure but for the cache it may be given: a model whose inputs are the same objects keeps its line.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from collectors.fleet import Frame
from collectors.readings import Reason, worded
from tui.format import UNICODE, Glyphs, fit, objective, said, width_of
from tui.store import History
from tui.three_states import is_open, is_untold
from tui.widgets.fleet_columns import LEAD, Columns, fleet_columns
from tui.widgets.fleet_row import Inputs, ModelRow, Row, RowCache, alerts_by_model, alerts_of
from tui.widgets.lines import Cell, Line, line_of
from tui.widgets.name import name_width
from tui.widgets.plane_cells import (
    Lowest,
    is_ramping,
    is_staged,
    is_throttled,
    lowest_levels,
    stage_cells,
    throttle_cells,
    weight_cells,
)

SORTS = ("name", "severity", "worst", "waiting", "kv", "busy", "saturation", "throttle")
"""What the table can be sorted by; all but the name put the largest first."""

_OPEN = Lowest(1.0, False)

FEATURE = "feature:"
"""How the id of a feature's row begins; a model's row has the model's name."""


@dataclass(frozen=True, slots=True)
class FleetView:
    """How the operator wants the table.

    filter: part of a name, whatever the case; empty shows all
    order: names that keep this order whatever the sort says, others after them: while a dialog is open or a
        key was just pressed, nothing moves (D12)
    """

    sort: str = "name"
    reverse: bool = False
    filter: str = ""
    order: tuple[str, ...] = ()


def fleet_lines(
    frame: Frame,
    history: History,
    view: FleetView,
    width: int,
    glyphs: Glyphs = UNICODE,
    cache: RowCache | None = None,
    parted: frozenset[str] = frozenset(),
) -> tuple[Line, ...]:
    """The table: a heading (does not scroll), models by `view`, objectives, features. None exceeds `width`.

    width: cells, >= 1; cache: rows of earlier frames, brought up to date here
    parted: features with a throttle that does not do what was set, by `parted_features`
    """
    longest = max([0, *map(width_of, feature_names(frame)), *map(name_width, frame.models)])
    clustered = any(model.cluster for model in frame.models)
    columns = fleet_columns(
        width,
        frame.tiers,
        longest,
        clustered,
        staged=is_staged(frame),
        throttled=is_throttled(frame),
    )
    rows = _rows(frame, history, view, width, columns, glyphs, {} if cache is None else cache, parted)
    lines = [_heading(frame, view, len(rows), columns, width, glyphs), *(row.line for row in rows)]
    if not rows:
        lines.append(line_of((Cell(_nothing(frame, view), "muted"),), width, glyphs=glyphs))
    if objectives := _objective_line(frame, columns, width, glyphs):
        lines.append(objectives)
    return (*lines, *_feature_lines(frame, view, columns, width, glyphs, parted))


def _rows(
    frame: Frame,
    history: History,
    view: FleetView,
    width: int,
    columns: Columns,
    glyphs: Glyphs,
    cache: RowCache,
    parted: frozenset[str],
) -> list[Row]:
    alerts = alerts_by_model(frame)
    releases = {r.subject: r for r in reversed(frame.releases) if r.subject_kind == "model"}
    wanted = view.filter.casefold()
    sparks = [
        (c.width if c.id == "spark" else 4, c.tier) for c in columns.all if c.id in ("spark", "tier-wide")
    ]
    lowest, untold = lowest_levels(frame.throttles), is_untold(frame)
    made: list[Row] = []
    for model in frame.models:
        name = model.name
        if wanted and wanted not in name.casefold():
            continue
        values = tuple(
            history.spark_values(name, frame.tiers[tier].name if tier >= 0 else None, n) for n, tier in sparks
        )
        inputs = Inputs(
            model,
            releases.get(name) or releases.get(model.subject),
            alerts_of(model, alerts),
            values,
            history.is_scaled(name),
            frame.tiers,
            columns,
            width,
            glyphs,
            untold,
            is_ramping(model, lowest),
            not parted.isdisjoint(model.features),
        )
        row = cache.get(name)
        if row is None or row.ages or not row.inputs.same(inputs):
            row = cache[name] = ModelRow(inputs, frame.at).row()
        made.append(row)
    if len(cache) > 2 * len(frame.models) + 16:
        for name in cache.keys() - {model.name for model in frame.models}:
            del cache[name]
    return _sorted(made, view)


def _sorted(rows: list[Row], view: FleetView) -> list[Row]:
    rows.sort(key=lambda row: row.line.id, reverse=view.reverse and view.sort == "name")
    if view.sort != "name":
        rows.sort(key=lambda row: row.key(view.sort), reverse=not view.reverse)
    if view.order:
        places = {name: place for place, name in enumerate(view.order)}
        rows.sort(key=lambda row: places.get(row.line.id, len(places)))
    return rows


def _heading(
    frame: Frame, view: FleetView, shown_rows: int, columns: Columns, width: int, glyphs: Glyphs
) -> Line:
    cells = [Cell(" " * LEAD)]
    for number, column in enumerate(columns.all):
        title = column.title
        if column.id == "name" and view.filter:
            title = f"MODEL {shown_rows} of {len(frame.models)}"
        if column.id == "tier-wide":
            title = glyphs.column + title
        if number:
            cells.append(Cell(" ", "muted"))
        cells.append(Cell(fit(title, column.width, glyphs, right=column.right), "muted"))
    return line_of(cells, width, glyphs=glyphs)


def _nothing(frame: Frame, view: FleetView) -> str:
    if view.filter and frame.models:
        return f"   no model matches the filter; {len(frame.models)} hidden"
    return "   no model seen yet"


def _objective_line(frame: Frame, columns: Columns, width: int, glyphs: Glyphs) -> Line | None:
    """What is promised, below the columns it belongs to: the commonest objective, and who differs."""
    if not any(model.objectives for model in frame.models):
        if not frame.models:
            return None
        unmeasured = next((note for note in frame.notes if note.code == "no-metrics"), None)
        hint = said(worded(unmeasured or Reason("no-objective", (frame.context,))), glyphs)
        return line_of((Cell(fit(f"   {hint}", width, glyphs), "muted"),), width, glyphs=glyphs)
    tiers = [column for column in columns.all if column.tier >= 0]
    if not tiers:
        return None
    usual = {tier.name: _commonest(frame, tier.name) for tier in frame.tiers}
    first = LEAD
    for column in columns.all:
        if column.tier >= 0:
            break
        first += column.width + 1
    cells = [Cell(fit(f"   SLO p99, s  {_exceptions(frame, usual)}".rstrip(), first, glyphs), "muted")]
    for column in tiers:
        promised = usual[frame.tiers[column.tier].name]
        text = "" if promised is None else objective(promised)
        if column.id == "tier-wide":
            text = f"{glyphs.column}{fit(text, 10, glyphs, right=True)}"
            cells.append(Cell(fit(text, column.width + 1, glyphs), "muted"))
        else:
            cells.append(Cell(fit(text, column.width, glyphs, right=True) + " ", "muted"))
    return line_of(cells, width, glyphs=glyphs)


def _commonest(frame: Frame, tier: str) -> float | None:
    found = [model.objectives[tier] for model in frame.models if tier in model.objectives]
    return max(sorted(set(found)), key=found.count, default=None)


def _exceptions(frame: Frame, usual: Mapping[str, float | None]) -> str:
    differing = []
    promised = sum(value is not None for value in usual.values())
    for model in frame.models:
        other = {value for tier, value in model.objectives.items() if value != usual.get(tier)}
        if len(other) == 1 and len(model.objectives) == promised:
            differing.append(f"{model.name}: {objective(other.pop())}")
        elif other:
            differing.append(f"{model.name} differs")
    if not differing:
        return ""
    more = f" +{len(differing) - 1}" if len(differing) > 1 else ""
    return f"({differing[0]}{more})"


def feature_names(frame: Frame) -> tuple[str, ...]:
    """Features with a row: those with a release of their own, and those that somebody throttles."""
    staged = {r.subject for r in frame.releases if r.subject_kind == "feature"}
    return tuple(sorted(staged | {t.feature for t in frame.throttles if not is_open(t)}))


def _feature_lines(
    frame: Frame, view: FleetView, columns: Columns, width: int, glyphs: Glyphs, parted: frozenset[str]
) -> list[Line]:
    names = feature_names(frame)
    if not names:
        return []
    wanted, lowest = view.filter.casefold(), lowest_levels(frame.throttles)
    shown = [name for name in names if wanted in name.casefold()]
    title = f"{glyphs.rule} FEATURES {glyphs.nothing} with a release or a throttle of their own"
    if wanted:
        title = f"{glyphs.rule} FEATURES {len(shown)} of {len(names)}"
    title += f"; THR = lowest level among {'its' if wanted else 'their'} tiers" if width >= 100 else ""
    return [
        line_of((Cell(_ruled(title, width, glyphs), "muted"),), width, glyphs=glyphs),
        *(
            _feature_line(frame, name, lowest.get(name, _OPEN), columns, width, glyphs, name in parted)
            for name in shown
        ),
    ]


def _ruled(title: str, width: int, glyphs: Glyphs) -> str:
    return fit(f"{title} {glyphs.rule * (width - width_of(title) - 1)}", width, glyphs)


def _feature_line(
    frame: Frame,
    name: str,
    lowest: Lowest,
    columns: Columns,
    width: int,
    glyphs: Glyphs,
    has_parted: bool,
) -> Line:
    release = next((r for r in frame.releases if r.subject_kind == "feature" and r.subject == name), None)
    untold = is_untold(frame)
    cells = [Cell(" " * LEAD)]
    for number, column in enumerate(columns.all):
        if number:
            cells.append(Cell(" "))
        if column.id == "name":
            cells.append(Cell(fit(name, column.width, glyphs)))
        elif column.id in ("stage", "track"):
            cells += stage_cells(release, frame.tiers, column, glyphs, untold)
        elif column.id == "weight":
            cells += weight_cells(release, frame.tiers, column, glyphs, untold)
        elif column.id == "throttle":
            cells += throttle_cells(lowest.share, column, glyphs, untold, lowest.ramping, has_parted)
        elif column.id == "tier-wide":
            cells.append(Cell(fit(f"{glyphs.column}   {glyphs.nothing}", column.width), "muted"))
        else:
            text = "" if column.id == "more" else glyphs.nothing
            cells.append(Cell(fit(text, column.width, right=column.right), "muted"))
    return line_of(cells, width, FEATURE + name, glyphs)
