"""A dialog as it is seen: its lines in the rows that the terminal has, and what of them scrolls."""

from collections.abc import Mapping
from typing import Literal

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.geometry import Size

from tui.dialogs.drawing import dialog_lines, rule_line
from tui.dialogs.fitting import BOX, TOP, away_words, lines_to, rows_for
from tui.dialogs.shown import Shown
from tui.screens.panel import Panel


class DialogBox(Vertical):
    """The title, what scrolls, and the buttons, which stay (T3).

    glyphs: "ascii" where the terminal draws ambiguous-width characters two cells wide
    """

    DEFAULT_CSS = "DialogBox { height: auto; background: ansi_default; }"

    def __init__(self, glyphs: Literal["unicode", "ascii"]) -> None:
        super().__init__(id="box")
        self._glyphs = glyphs
        self._rows = 0

    def compose(self) -> ComposeResult:
        """A panel for each of the three."""
        yield Panel("head")
        yield Panel("body")
        yield Panel("foot")

    @property
    def body(self) -> Panel:
        """What scrolls."""
        return self._panel("body")

    def show(
        self,
        shown: Shown,
        terminal: Size,
        keymap: Mapping[str, str],
        *,
        is_whole: bool,
        seek: bool = False,
        by: int = 0,
    ) -> None:
        """Draw it, once.

        terminal: its cells; keymap: key to action; is_whole: it takes all of the terminal, for nothing is
        seen below it
        seek: bring the row that has the keys into sight; by: lines to scroll before that
        """
        width, glyphs = terminal.width if is_whole else BOX, self._glyphs
        drawn = dialog_lines(shown, width, glyphs)
        rows = rows_for(drawn, terminal.height, self._rows, is_whole)
        self._rows = sum(rows)
        self.styles.width, self.styles.height = width, self._rows
        self.styles.margin = (0, 0) if is_whole else (TOP, 0)
        body = self.body
        body.set_rows(rows.body)
        body.show((*drawn.body, *[drawn.blank] * (rows.body - len(drawn.body))))
        body.scroll_lines(by)
        if seek:
            body.scroll_lines(lines_to(shown.focus, body.lines, body.hidden))
        away = away_words(body.beyond(), keymap, glyphs) if rows.body else ""
        foot = (rule_line(shown, width, glyphs, away), *drawn.foot[1:])
        for name, lines in (("head", drawn.head[: rows.head]), ("foot", foot[len(foot) - rows.foot :])):
            panel = self._panel(name)
            panel.set_rows(len(lines))
            panel.show(lines)

    def row_at(self, x: int, y: int) -> str:
        """The row that a place on the terminal belongs to; "" where it is none of those that scroll."""
        body = self.body
        index = y - body.region.y + body.hidden[0]
        if not body.region.contains(x, y) or not 0 <= index < len(body.lines):
            return ""
        return body.lines[index].id

    def _panel(self, name: str) -> Panel:
        return self.query_one(f"#{name}", Panel)
