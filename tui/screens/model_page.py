"""The page of one model or feature from what the application knows: for its own screen, beside the fleet."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from collectors.fleet import Event, Frame, Model
from tui.effects import After, Effects
from tui.format import GLYPHS
from tui.keymap import key_label, keys_of
from tui.screens.feature_lines import feature_model, feature_page_lines
from tui.screens.hints import text_line
from tui.screens.model_lines import events_of, model_header, model_lines
from tui.screens.page import Page
from tui.three_states import plane_time
from tui.widgets.badges import writes_badge
from tui.widgets.ending import ending_lines
from tui.widgets.heat_map import HeatCache, heat_height, heat_lines
from tui.widgets.lines import Line

if TYPE_CHECKING:
    from tui.app import CockpitApp

HEAT_MOST = 12
"""Most rows of the heat map on the page, its heading included."""

EXTENDING = ("undo", "throttle.edit")
"""Actions that let a throttle go on (S12)."""


def extending_keys(app: "CockpitApp") -> tuple[str, ...]:
    """The first key of each action that extends a throttle, as hints write it."""
    found = (keys_of(action, app.keymap) for action in EXTENDING)
    return tuple(key_label(keys[0], app.glyphs) for keys in found if keys)


def banner(app: "CockpitApp", frame: Frame, width: int) -> tuple[Line, ...]:
    """What is about to end, for the header of a screen; nothing where nothing is."""
    now = plane_time(frame, app.now, time.time())
    return ending_lines(frame, now, width, GLYPHS[app.glyphs], extending_keys(app))


def undo_key(app: "CockpitApp") -> str:
    """The key of the caller's own last actions, as hints write it."""
    keys = keys_of("undo", app.keymap)
    return key_label(keys[0], app.glyphs) if keys else ""


class ModelPage:
    """Draws pages, and keeps what the next frame can use again."""

    def __init__(self) -> None:
        self._heat: HeatCache = {}
        self._effects = Effects()

    def lines(
        self,
        app: "CockpitApp",
        name: str,
        width: int,
        *,
        tier: str = "",
        heat_page: int = 0,
        alone: bool = True,
    ) -> tuple[Sequence[Line], Sequence[Line]]:
        """Header and sections of the model `name`, each line `width` cells; one that is gone is said to be.

        tier: name of the tier to point at; heat_page: of the map of its nodes
        alone: it has the screen for itself, and so tells in its header what a screen must
        """
        frame = app.frame
        model = next((m for m in frame.models if m.name == name), None) if frame else None
        if frame is None or model is None:
            return self._gone(app, name, width)
        page = self._page(app, frame, model, width, tier, alone)
        nodes = [node for node in frame.nodes if name in node.models]
        waits = frozenset({name} if model.reading("waiting").estimate else ())
        rows = min(heat_height(nodes, width), HEAT_MOST)
        heat = heat_lines(nodes, width, rows, page.glyphs, heat_page, waits, self._heat)
        return self._header(app, page, alone), model_lines(page, heat)

    def feature(
        self, app: "CockpitApp", feature: str, width: int, *, alone: bool = True
    ) -> tuple[Sequence[Line], Sequence[Line]]:
        """As `lines`, of a feature."""
        frame = app.frame
        model = feature_model(frame, feature) if frame else None
        if frame is None or model is None:
            return self._gone(app, feature, width)
        page = self._page(app, frame, model, width, "", alone, is_feature=True)
        return self._header(app, page, alone), feature_page_lines(page)

    def _page(
        self,
        app: "CockpitApp",
        frame: Frame,
        model: Model,
        width: int,
        tier: str,
        alone: bool,
        *,
        is_feature: bool = False,
    ) -> Page:
        name, trends, glyphs = model.name, app.trends, GLYPHS[app.glyphs]
        now = plane_time(frame, app.now, time.time())

        def after(event: Event) -> After:
            return self._effects.of(event, frame, app.history, now, glyphs)

        return Page(
            frame=frame,
            model=model,
            now=app.now,
            events=events_of(model, app.history.events),
            trend=lambda signal, parts: trends.span(name, signal, parts),
            width=width,
            glyphs=glyphs,
            tier=tier,
            waits=lambda tier, parts: app.history.spark_values(name, tier, parts),
            kind="feature" if is_feature else "model",
            writes=writes_badge(app.armed_text if alone else ""),
            plane_now=now,
            after=after,
            undo_key=undo_key(app),
        )

    def _header(self, app: "CockpitApp", page: Page, alone: bool) -> Sequence[Line]:
        return (*model_header(page), *(banner(app, page.frame, page.width) if alone else ()))

    def _gone(self, app: "CockpitApp", name: str, width: int) -> tuple[Sequence[Line], Sequence[Line]]:
        gone = f" {name}: not in the fleet any more; esc goes back"
        return (text_line(gone, width, app.glyphs, "missing"),), ()
