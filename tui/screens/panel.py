"""A view of lines as a part of a screen: it has its rows, and one of several has the keys."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.cells import cell_len
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip

from tui.widgets.lines import Cell, Line, LineView

GAP = 6
"""Columns that did not change and are painted all the same: going round them costs as many bytes."""


class Panel(LineView):
    """A `LineView` that a screen lays out, activates and reads the keys for.

    Within a line it repaints the characters that differ, not all between the first and the last: in a map of
    thousands of cells that is most of what goes to the terminal.
    """

    DEFAULT_CSS = "Panel { height: 1; }"

    @dataclass
    class Pressed(Message):
        """The mouse was pressed in the panel: keys may follow it there."""

        panel: "Panel"

    def __init__(self, id: str, *, cursor: bool = False, pointer: str = "›", active: bool = False) -> None:
        super().__init__(id=id, cursor=cursor, pointer=pointer)
        self.can_focus = False  # the screen reads the keys, whatever was clicked
        self._active = active
        self._rows = 0

    def on_mouse_down(self) -> None:
        """Tell the screen, before the view puts its cursor."""
        self.post_message(self.Pressed(self))

    def set_active(self, active: bool) -> None:
        """Whether the keys move this panel's cursor: only then it is drawn, so that one row is selected."""
        if active != self._active:
            self._active = active
            self._strips.clear()
            self._refresh_index(self._cursor)

    def set_rows(self, rows: int) -> None:
        """Height in cells; 0 takes the panel off the screen."""
        if self.display != (rows > 0):
            self.display = rows > 0
        if rows and rows != self._rows:
            self._rows = self.styles.height = rows

    def beyond(self) -> str:
        """How many lines are scrolled away, and where: `12 above, 31 below`."""
        above = self._top
        below = max(0, len(self._lines) - above - self._rows)  # by the rows it gets, before it is laid out
        return ", ".join(f"{n} {where}" for n, where in ((above, "above"), (below, "below")) if n)

    def _drawn(self, line: Line, cursor: bool, pointer: str) -> Strip:
        return super()._drawn(line, cursor and self._active, pointer)

    def _refresh_differences(self, old: tuple[Line, ...], old_cursor: int) -> None:
        width = self.size.width
        for y in range(self.size.height):
            index = self._index_at(y)
            was = old[index] if index < len(old) else None
            now = self._lines[index] if index < len(self._lines) else None
            if was is now and (index == old_cursor) == (index == self._cursor):
                continue
            if was is None or now is None or index in (old_cursor, self._cursor):
                self.refresh(Region(0, y, width, 1))
            elif regions := [
                Region(x, y, end - x, 1) for x, end in changed_spans(was.cells, now.cells, width)
            ]:
                self.refresh(*regions)


def changed_spans(was: tuple[Cell, ...], now: tuple[Cell, ...], width: int) -> list[tuple[int, int]]:
    """The columns [start, end) that differ, from left to right; near ones as one.

    Where widths moved, all from there to `width`.
    """
    spans: list[tuple[int, int]] = []
    for start, end in _changes(was, now, width):
        if spans and start - spans[-1][1] <= GAP:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans


def _changes(was: tuple[Cell, ...], now: tuple[Cell, ...], width: int) -> Iterator[tuple[int, int]]:
    before, after = _columns(was), _columns(now)
    if before is None or after is None or len(before) != len(after):
        yield 0, width
        return
    for x, (a, b) in enumerate(zip(before, after, strict=True)):
        if a != b:
            yield x, x + 1


def _columns(cells: tuple[Cell, ...]) -> list[tuple[str, str]] | None:
    """Character and role of each column; None where a glyph is not one column wide."""
    found: list[tuple[str, str]] = []
    for text, role in cells:
        if not text.isascii() and cell_len(text) != len(text):
            return None
        found += [(character, role) for character in text]
    return found
