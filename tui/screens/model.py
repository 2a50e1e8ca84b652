"""One model: its queue, how it serves, what throttles it, its release, why a cell is empty. And one
feature: what throttles it, how far its release is, which models serve it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.app import ComposeResult

from tui.screens.base import CockpitScreen, Selection
from tui.screens.hints import Hint
from tui.screens.model_page import ModelPage
from tui.screens.panel import Panel
from tui.screens.selecting import selected_feature, selected_model
from tui.widgets.lines import Line

if TYPE_CHECKING:
    from collectors.sessions import View


class ModelScreen(CockpitScreen):
    """The page of one model. Esc goes back to the row it was opened from.

    tier: name of the tier to point at, where an alert that named one was opened
    """

    NAME = "model"
    HINTS: Sequence[Hint] = (
        ("back", "back"),
        ("throttle.edit", "throttle"),
        ("stage.advance", "advance"),
        ("stage.pause", "pause"),
        ("undo", "undo"),
        ("arm", "arm"),
        ("help", "help"),
        ("stage.back_out", "back out"),
        ("quit", "quit"),
        ("move.down", "scroll"),
        ("freeze", "freeze"),
    )

    def __init__(self, name: str, tier: str = "") -> None:
        super().__init__()
        self._model, self._tier = name, tier
        self._page = ModelPage()
        self._heat_page = 0

    def compose(self) -> ComposeResult:
        """The name and the stages stay; the sections scroll."""
        yield Panel("header")
        yield Panel("page")
        yield Panel("hints")
        yield Panel("status")

    def doing(self) -> Mapping[str, Callable[[], None]]:
        """Scrolling, pages of the heat map, going back."""
        return {
            **self.scrolling(self.query_one("#page", Panel)),
            "back": self.leave,
            "heat.next": lambda: self._turn_heat(1),
            "heat.previous": lambda: self._turn_heat(-1),
        }

    def selected(self) -> Selection:
        """The model, the tier that is pointed at, and its release."""
        frame = self.cockpit.frame
        return Selection() if frame is None else selected_model(frame, self._model, self._tier)

    def page_lines(self, width: int) -> tuple[Sequence[Line], Sequence[Line]]:
        """Header and sections, `width` cells wide."""
        return self._page.lines(self.cockpit, self._model, width, tier=self._tier, heat_page=self._heat_page)

    def draw(self) -> None:
        """The page from the application's frame."""
        if not self.has_panels:
            return
        width, height = self.app.size
        header, lines = self.page_lines(width)
        rows = {"header": min(len(header), max(height - 3, 0)), "hints": 1 if height > 2 else 0}
        rows["status"] = 1 if height > 3 else 0
        rows["page"] = height - sum(rows.values())
        for name, shown in (("header", header), ("page", lines)):
            panel = self.query_one(f"#{name}", Panel)
            panel.set_rows(rows[name])
            panel.show(shown)
        for name in ("hints", "status"):
            self.query_one(f"#{name}", Panel).set_rows(rows[name])
        self.draw_status()
        self.draw_bottom()

    def draw_below(self) -> bool:
        """Under a dialog: nothing of it changes its place."""
        self.draw()
        return True

    def beyond(self) -> str:
        """How much of the page is scrolled away."""
        return self.query_one("#page", Panel).beyond()

    def view(self) -> "View":
        """The page, the tier that is pointed at, and the page of its heat map."""
        return replace(super().view(), subject=self._model, tier=self._tier, heat_page=self._heat_page)

    def look(self, view: "View") -> None:
        """The page of the heat map that somebody else had."""
        self._heat_page = view.heat_page

    def _turn_heat(self, by: int) -> None:
        self._heat_page += by
        self.draw()


class FeatureScreen(ModelScreen):
    """The page of one feature."""

    NAME = "feature"

    def selected(self) -> Selection:
        """The feature, and the release of its own that it may have."""
        frame = self.cockpit.frame
        return Selection() if frame is None else selected_feature(frame, self._model)

    def page_lines(self, width: int) -> tuple[Sequence[Line], Sequence[Line]]:
        """Header and sections, `width` cells wide."""
        return self._page.feature(self.cockpit, self._model, width)
