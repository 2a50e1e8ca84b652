"""The page of one model from what the application knows: for its own screen, and beside the fleet."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.format import GLYPHS
from tui.screens.hints import text_line
from tui.screens.model_lines import events_of, model_header, model_lines
from tui.screens.page import Page
from tui.widgets.heat_map import HeatCache, heat_height, heat_lines
from tui.widgets.lines import Line

if TYPE_CHECKING:
    from tui.app import CockpitApp

HEAT_MOST = 12
"""Most rows of the heat map on the page, its heading included."""


class ModelPage:
    """Draws pages, and keeps what the next frame can use again."""

    def __init__(self) -> None:
        self._heat: HeatCache = {}

    def lines(
        self, app: "CockpitApp", name: str, width: int, *, tier: str = "", heat_page: int = 0
    ) -> tuple[Sequence[Line], Sequence[Line]]:
        """Header and sections of the model `name`, each line `width` cells; one that is gone is said to be.

        tier: name of the tier to point at; heat_page: of the map of its nodes
        """
        frame = app.frame
        model = next((m for m in frame.models if m.name == name), None) if frame else None
        if frame is None or model is None:
            gone = f" {name}: not in the fleet any more; esc goes back"
            return (text_line(gone, width, app.glyphs, "missing"),), ()
        glyphs, trends = GLYPHS[app.glyphs], app.trends
        page = Page(
            frame=frame,
            model=model,
            now=app.now,
            events=events_of(model, app.history.events),
            trend=lambda signal, parts: trends.span(name, signal, parts),
            width=width,
            glyphs=glyphs,
            tier=tier,
            waits=lambda tier, parts: app.history.spark_values(name, tier, parts),
        )
        nodes = [node for node in frame.nodes if name in node.models]
        waits = frozenset({name} if model.reading("waiting").estimate else ())
        rows = min(heat_height(nodes, width), HEAT_MOST)
        heat = heat_lines(nodes, width, rows, glyphs, heat_page, waits, self._heat)
        return model_header(page), model_lines(page, heat)
