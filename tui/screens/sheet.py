"""What lies over the screen of a replay and follows it: one panel, the keys, and where the replay stands."""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult

from tui.screens.base import CockpitScreen
from tui.screens.panel import Panel
from tui.widgets.lines import Line


class SheetScreen(CockpitScreen):
    """A list that fills the screen. Esc, `q`, or the key that opened it, closes it."""

    OPENER: ClassVar[str] = ""
    """The action that opens it, and closes it again."""

    HAS_CURSOR: ClassVar[bool] = False
    """Whether its lines can be chosen; else it scrolls."""

    def compose(self) -> ComposeResult:
        """The list, the keys, and where the replay stands."""
        pointer = "›" if self.cockpit.glyphs == "unicode" else ">"
        yield Panel("sheet", cursor=self.HAS_CURSOR, pointer=pointer, active=True)
        yield Panel("hints")
        yield Panel("status")

    @property
    def sheet(self) -> Panel:
        """The list."""
        return self.query_one("#sheet", Panel)

    def doing(self) -> Mapping[str, Callable[[], None]]:
        """Moving and closing; the replay's keys are the application's."""
        moving = self.moving(self.sheet) if self.HAS_CURSOR else self.scrolling(self.sheet)
        return {**moving, **dict.fromkeys(("back", "quit", self.OPENER), self.leave)}

    def beyond(self) -> str:
        """How much of the list is scrolled away."""
        return self.sheet.beyond()

    def sheet_lines(self, width: int) -> Sequence[Line]:
        """A heading, then the list, each line `width` cells; nothing where there is nothing to show yet."""
        raise NotImplementedError

    def draw(self) -> None:
        """The list for what is shown now."""
        width, height = self.app.size
        if not self.has_panels or not (lines := self.sheet_lines(width)):
            return
        rows = {"hints": int(height > 2), "status": int(height > 3)}
        self.sheet.set_rows(max(height - sum(rows.values()), 1))
        self.sheet.show(lines, header=1)
        for name, number in rows.items():
            self.query_one(f"#{name}", Panel).set_rows(number)
        self.draw_status()
        self.draw_bottom()
