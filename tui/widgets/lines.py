"""One widget for everything the cockpit draws: lines of cells, repainted only where they changed.

Builders (pure functions beside this module) make `Line`s; `LineView` shows them through Textual's line API.
Text reaches the terminal as Segments, never as markup, so a label like `[/nope]` is only a label.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.format import UNICODE, Glyphs, fit, width_of

CACHED_STRIPS = 1024
"""Strips kept: several screens of 60 lines, with and without the cursor."""


class Cell(NamedTuple):
    """A piece of a line: text exactly as wide as it is drawn, and a role: a meaning, never a colour."""

    text: str
    role: str = "text"


class Line(NamedTuple):
    """One line of the screen. A line with an id can hold the cursor; its first column is kept free for it."""

    cells: tuple[Cell, ...]
    id: str = ""

    @property
    def text(self) -> str:
        """The line without its roles."""
        return "".join(cell.text for cell in self.cells)


class LineView(Widget, can_focus=True, inherit_bindings=False):
    """Lines, an optional cursor that follows an id (D12), and scrolling by whole lines without motion.

    It scrolls by itself instead of being a ScrollView: there a changed number of lines lays out the whole
    screen again, and a scroll bar takes a column from the builders. Roles are looked up in the theme's
    variables instead of being component classes: Textual styles each of those twice before the first paint,
    which for several views of 25 roles takes longer than all else until then.
    """

    DEFAULT_CSS = "LineView { height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select", "Open", show=False)]
    ALLOW_SELECT = False

    @dataclass
    class Selected(Message):
        """Enter, or a click on the line that has the cursor already."""

        view: "LineView"
        id: str

        @property
        def control(self) -> "LineView":
            """The view it came from, for `@on` selectors."""
            return self.view

    @dataclass
    class Moved(Message):
        """The cursor went to another id, by key, mouse, or because its line is gone."""

        view: "LineView"
        id: str

        @property
        def control(self) -> "LineView":
            """The view it came from, for `@on` selectors."""
            return self.view

    def __init__(
        self, *, cursor: bool = False, pointer: str = "›", id: str | None = None, classes: str | None = None
    ) -> None:
        """cursor: whether lines with an id can be selected; pointer: one cell, drawn over column 0."""
        super().__init__(id=id, classes=classes)
        self.can_focus = cursor
        self._has_cursor = cursor
        self._pointer = pointer
        self._lines: tuple[Line, ...] = ()
        self._header = 0
        self._top = 0
        self._cursor = -1
        self._places: dict[str, int] = {}
        self._strips: LRUCache[tuple[Line, bool, str], Strip] = LRUCache(CACHED_STRIPS)
        self._styles: dict[str, Style] = {}

    @property
    def lines(self) -> tuple[Line, ...]:
        """What is shown, the part that is scrolled away included."""
        return self._lines

    @property
    def cursor_id(self) -> str:
        """Id under the cursor; empty when no line has one."""
        return self._lines[self._cursor].id if 0 <= self._cursor < len(self._lines) else ""

    @property
    def hidden(self) -> tuple[int, int]:
        """Lines scrolled away above and below: to be counted on the screen, never hidden silently (D13)."""
        above = self._top
        return above, max(0, len(self._lines) - self._header - above - self._body_height)

    @property
    def _body_height(self) -> int:
        return max(0, self.size.height - self._header)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Height under `height: auto`: all the lines."""
        return len(self._lines)

    def set_pointer(self, pointer: str) -> None:
        """Change the glyph of the cursor: with the glyph set, so all of it."""
        self._pointer = pointer
        self._refresh_index(self._cursor)

    def show(self, lines: Sequence[Line], header: int = 0) -> None:
        """Show `lines`; the first `header` of them do not scroll. Only what differs is repainted."""
        old_lines, old_cursor, old_top, old_header = self._lines, self._cursor, self._top, self._header
        in_view = self._is_in_view(old_cursor)
        wanted = self.cursor_id
        self._lines, self._header = tuple(lines), header
        self._places = {line.id: index for index, line in enumerate(self._lines) if line.id}
        if self._has_cursor:
            self._cursor = self._places.get(wanted, -1)
            if self._cursor < 0:
                self._cursor = self._nearest(max(old_cursor, 0))
        self._top = self._clamped(self._top)
        if in_view:
            self._bring_into_view()
        if self.styles.height is not None and self.styles.height.is_auto and len(old_lines) != len(lines):
            self.refresh(layout=True)
        elif (self._top, self._header) != (old_top, old_header):
            self.refresh()
        else:
            self._refresh_differences(old_lines, old_cursor)
        if self._has_cursor and self.cursor_id != wanted and self.is_mounted:
            self.post_message(self.Moved(self, self.cursor_id))

    def move(self, by: int) -> None:
        """Move the cursor over `by` lines that can hold it; stops at the ends."""
        stops = sorted(self._places.values())
        if not self._has_cursor or not stops:
            return
        here = next((n for n, index in enumerate(stops) if index >= self._cursor), len(stops) - 1)
        self._put(stops[min(max(here + by, 0), len(stops) - 1)])

    def move_page(self, pages: int) -> None:
        """Move the cursor by whole pages of what is visible, or scroll where there is no cursor."""
        step = max(1, self._body_height - 1)
        if self._has_cursor:
            self.move(pages * step)
        else:
            self.scroll_lines(pages * step)

    def go_to(self, id: str) -> bool:
        """Put the cursor on `id` and bring it into view. False, and no move, if no line has it."""
        if not self._has_cursor or id not in self._places:
            return False
        self._put(self._places[id])
        return True

    def scroll_lines(self, by: int) -> None:
        """Scroll by whole lines, at once: no motion (D12)."""
        top = self._clamped(self._top + by)
        if top != self._top:
            self._top = top
            self.refresh()

    def action_select(self) -> None:
        """Say that the line under the cursor was chosen."""
        if self.cursor_id:
            self.post_message(self.Selected(self, self.cursor_id))

    def on_click(self, event: events.Click) -> None:
        """The mouse puts the cursor; on the line that has it already it opens. It never applies (S16)."""
        at = event.get_content_offset(self)
        if at is None or not self._has_cursor:
            return
        index = self._index_at(at.y)
        if index >= len(self._lines) or not self._lines[index].id:
            return
        if index == self._cursor:
            self.action_select()
        else:
            self._put(index)

    def on_mouse_scroll_down(self) -> None:
        """Scroll towards the end."""
        self.scroll_lines(3)

    def on_mouse_scroll_up(self) -> None:
        """Scroll towards the start."""
        self.scroll_lines(-3)

    def on_resize(self) -> None:
        """Keep the cursor in view: what was selected stays selected and visible (T3)."""
        before = self._top
        self._top = self._clamped(before)
        self._bring_into_view()
        if self._top != before:
            self.refresh()

    def notify_style_update(self) -> None:
        """The theme is not in the strips' key, so it empties the cache."""
        self._strips.clear()
        self._styles.clear()
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        """The strip at `y` of the visible part."""
        width = self.size.width
        index = self._index_at(y)
        if index >= len(self._lines):
            return Strip.blank(width, self._style("text"))
        key = (self._lines[index], index == self._cursor and self._has_cursor, self._pointer)
        strip = self._strips.get(key)
        if strip is None:
            strip = self._strips[key] = self._drawn(*key)
        return strip.adjust_cell_length(width, self._style("text"))

    def _drawn(self, line: Line, cursor: bool, pointer: str) -> Strip:
        cells = line.cells
        over = Style.null()
        if cursor:
            over = Style(reverse=True)
            if cells and cells[0].text.startswith(" "):
                cells = (Cell(pointer, cells[0].role), Cell(cells[0].text[1:], cells[0].role), *cells[1:])
        return Strip(
            Segment(text, self._style(role) if role == "graph" else self._style(role) + over)
            for role, group in groupby(cells, key=lambda cell: cell.role)
            if (text := "".join(cell.text for cell in group))
        )

    def _style(self, role: str) -> Style:
        if (known := self._styles.get(role)) is None:
            known = self._styles[role] = _look(self.app.theme_variables, role)
        return known

    def _refresh_differences(self, old: tuple[Line, ...], old_cursor: int) -> None:
        width = self.size.width
        for y in range(self.size.height):
            index = self._index_at(y)
            was = old[index] if index < len(old) else None
            now = self._lines[index] if index < len(self._lines) else None
            if was is None or now is None or (index == old_cursor) != (index == self._cursor):
                if was is not now or index in (old_cursor, self._cursor):
                    self.refresh(Region(0, y, width, 1))
            elif was is not now and was.cells != now.cells:
                self.refresh(_span(was.cells, now.cells, width).translate((0, y)))

    def _put(self, index: int) -> None:
        if index == self._cursor:
            self._bring_into_view()
            return
        self._refresh_index(self._cursor)
        self._cursor = index
        self._refresh_index(index)
        self._bring_into_view()
        self.post_message(self.Moved(self, self.cursor_id))

    def _index_at(self, y: int) -> int:
        return y if y < self._header else self._top + y

    def _refresh_index(self, index: int) -> None:
        y = index if index < self._header else index - self._top
        if index >= 0 and 0 <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def _is_in_view(self, index: int) -> bool:
        return index >= 0 and self._top <= index - self._header < self._top + self._body_height

    def _bring_into_view(self) -> None:
        if self._cursor < self._header or self._body_height == 0:
            return
        body = self._cursor - self._header
        top = min(max(self._top, body - self._body_height + 1), body)
        if top != self._top:
            self._top = self._clamped(top)
            self.refresh()

    def _clamped(self, top: int) -> int:
        return max(0, min(top, len(self._lines) - self._header - self._body_height))

    def _nearest(self, index: int) -> int:
        return min(self._places.values(), key=lambda place: abs(place - index), default=-1)


def _look(variables: Mapping[str, str], role: str) -> Style:
    """A role's style without the terminal's own colours: a plain cell needs no escape code (D1).

    raises: KeyError for a role that is not in `themes.ROLES`
    """
    words = variables[f"role-{role}-style"].split()
    return Style(
        color=_colour(variables[f"role-{role}"]),
        bgcolor=_colour(variables[f"role-{role}-background"]),
        bold="bold" in words or None,
        dim="dim" in words or None,
        italic="italic" in words or None,
        underline="underline" in words or None,
        reverse="reverse" in words or None,
        strike="strike" in words or None,
    )


def _colour(value: str) -> str | None:
    """A theme's colour as rich calls it; None for the terminal's own."""
    name = value.removeprefix("ansi_")
    return None if name == "default" else name


def _span(was: tuple[Cell, ...], now: tuple[Cell, ...], width: int) -> Region:
    """The columns between the first and the last cell that differ, one line high."""
    if len(was) != len(now):
        return Region(0, 0, width, 1)
    x, first, last = 0, -1, 0
    for a, b in zip(was, now, strict=True):
        wide = cell_len(b.text)  # columns on the screen, not characters: a CJK glyph takes two
        if a != b:
            if cell_len(a.text) != wide:
                return Region(x if first < 0 else first, 0, width, 1)
            first = x if first < 0 else first
            last = x + wide
        x += wide
    return Region(max(first, 0), 0, last - max(first, 0), 1)


def line_of(cells: Iterable[Cell], width: int, id: str = "", glyphs: Glyphs = UNICODE) -> Line:
    """The cells as a line that never exceeds `width`: what would stick out is cut off."""
    kept = [cell for cell in cells if cell.text]
    if width_of("".join([cell.text for cell in kept])) <= width:
        return Line(tuple(kept), id)
    room = width
    for place, cell in enumerate(kept):
        wide = width_of(cell.text)
        if wide > room:
            end = (Cell(fit(cell.text, room, glyphs), cell.role),) if room > 0 else ()
            return Line((*kept[:place], *end), id)
        room -= wide
    return Line(tuple(kept), id)
