"""The page of a feature as lines: its stages, its throttles in every tier, the models that serve it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from collectors.fleet import Frame, Model
from collectors.readings import NEVER
from tui.format import fit, width_of
from tui.screens.control_lines import release_lines, throttle_lines
from tui.screens.model_lines import event_lines_of
from tui.screens.page import Page, beside, heading, told, whole
from tui.screens.waiting_lines import TWO_COLUMNS, number_cell, seconds_cell
from tui.widgets.fleet_table import feature_names
from tui.widgets.lines import Cell, Line
from tui.widgets.tier_names import short_titles

NAME_MOST = 30
COUNT, WAIT = 10, 9
"""Columns of what comes and of how long tiers wait."""


def feature_model(frame: Frame, feature: str) -> Model | None:
    """The feature in the form that a page is drawn from; None if nothing tells of it."""
    if feature not in feature_names(frame) and all(feature != one.id for one in frame.features):
        return None
    return Model(feature, {}, {}, features=(feature,))


def feature_page_lines(page: Page) -> tuple[Line, ...]:
    """Every section, from throttles to events."""
    title = "THROTTLES, fleet-wide"
    features = page.model.features
    if page.width >= TWO_COLUMNS:
        half = page.width // 2
        left, right = replace(page, width=half), replace(page, width=page.width - half)
        throttles = list(throttle_lines(left, features, title))
        lines = beside(throttles, list(release_lines(right)), left, right)
    else:
        lines = [*throttle_lines(page, features, title), *release_lines(page)]
    return (*lines, *_models(page), *event_lines_of(page))


def serving(frame: Frame, feature: str) -> tuple[Model, ...]:
    """Models that the plane, or a metric, says serve the feature."""
    return tuple(m for m in frame.models if feature in m.features or feature in m.by_feature)


def _models(page: Page) -> Iterator[Line]:
    """What comes of the feature to each model, what is rejected, and how long that model's tiers wait."""
    frame, glyphs, feature = page.frame, page.glyphs, page.model.name
    models = serving(frame, feature)
    yield heading("MODELS that serve it: its requests, and how long each tier waits there", page)
    if not models:
        yield told("no model is known to serve it", page)
        return
    name = min(max(width_of(model.name) for model in models), NAME_MOST)
    yield whole(_titles(page, name), page)
    for model in models:
        found = model.by_feature.get(feature, {})
        cells = [Cell(f"   {fit(model.name, name, glyphs)}")]
        cells += [
            number_cell(signal, found.get(signal, NEVER), COUNT, glyphs)
            for signal in ("arrivals", "rejected")
        ]
        cells += [
            seconds_cell(model.reading("queue_wait_p99", tier.name), WAIT, glyphs) for tier in frame.tiers
        ]
        yield whole(cells, page)


def _titles(page: Page, name: int) -> Sequence[Cell]:
    titles = [("arrive/s", COUNT), ("reject/s", COUNT)]
    titles += [(f"{short} p99", WAIT) for short in short_titles(page.frame.tiers)]
    cells = [Cell(fit("   model", name + 3, page.glyphs), "muted")]
    return [*cells, *(Cell(fit(text, wide, page.glyphs, right=True), "muted") for text, wide in titles)]
