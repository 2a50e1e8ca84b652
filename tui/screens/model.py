"""One model: its queue, how it serves, what throttles it, how far its release is, why a cell is empty."""

from collections.abc import Callable, Mapping, Sequence

from textual.app import ComposeResult

from tui.screens.base import CockpitScreen
from tui.screens.hints import Hint
from tui.screens.model_page import ModelPage
from tui.screens.panel import Panel


class ModelScreen(CockpitScreen):
    """The page of one model. Esc goes back to the row it was opened from.

    tier: name of the tier to point at, where an alert that named one was opened
    """

    NAME = "model"
    HINTS: Sequence[Hint] = (
        ("back", "back to the fleet"),
        ("move.down", "scroll"),
        ("freeze", "freeze"),
        ("help", "help"),
        ("quit", "quit"),
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

    def doing(self) -> Mapping[str, Callable[[], None]]:
        """Scrolling, pages of the heat map, going back."""
        return {
            **self.scrolling(self.query_one("#page", Panel)),
            "back": self._back,
            "heat.next": lambda: self._turn_heat(1),
            "heat.previous": lambda: self._turn_heat(-1),
        }

    def draw(self) -> None:
        """The page from the application's frame."""
        if not self.is_mounted:
            return
        width, height = self.app.size
        header, lines = self._page.lines(
            self.cockpit, self._model, width, tier=self._tier, heat_page=self._heat_page
        )
        rows = {"header": min(len(header), max(height - 2, 0)), "hints": 1 if height > 2 else 0}
        rows["page"] = height - rows["header"] - rows["hints"]
        for name, shown in (("header", header), ("page", lines)):
            panel = self.query_one(f"#{name}", Panel)
            panel.set_rows(rows[name])
            panel.show(shown)
        self.query_one("#hints", Panel).set_rows(rows["hints"])
        self.draw_bottom()

    def beyond(self) -> str:
        """How much of the page is scrolled away."""
        return self.query_one("#page", Panel).beyond()

    def _turn_heat(self, by: int) -> None:
        self._heat_page += by
        self.draw()

    def _back(self) -> None:
        self.dismiss()
