"""What the page of a model is drawn from, and how its lines are made exactly as wide as it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from collectors.fleet import Event, Frame, Model, Release
from tui.format import Glyphs, fit, said, width_of
from tui.screens.trends import Span
from tui.widgets.lines import Cell, Line


def _nothing_kept(tier: str, parts: int) -> Sequence[float]:
    return ()


@dataclass(frozen=True, slots=True)
class Page:
    """What the page is drawn from.

    now: by the frame's clock, seconds since the epoch; events: newest first; width: cells, >= 1
    trend: (signal, parts) -> the last ten minutes of this model; tier: name of one to point at
    waits: (tier, parts) -> its p99 queue wait in the last ten minutes, as `History.spark_values` gives it
    """

    frame: Frame
    model: Model
    now: float
    events: Sequence[Event]
    trend: Callable[[str, int], Span | None]
    width: int
    glyphs: Glyphs
    tier: str = ""
    waits: Callable[[str, int], Sequence[float]] = _nothing_kept

    @property
    def release(self) -> Release | None:
        """The release that opens this model; a plane knows the model without its cluster."""
        return self.frame.release_of(self.model.name) or self.frame.release_of(self.model.subject)


def heading(text: str, page: Page) -> Line:
    """The title of a section, with a rule to the end of the line."""
    rule = page.glyphs.rule
    text = f"{rule} {said(text, page.glyphs)} "
    return padded([Cell(text + rule * max(page.width - width_of(text), 0), "muted")], page)


def told(sentence: str, page: Page) -> Line:
    """A quiet sentence in place of what is not there."""
    return padded([Cell(f"   {said(sentence, page.glyphs)}", "muted")], page)


def whole(cells: Sequence[Cell], page: Page) -> Line:
    """As `padded`, but columns that do not fit are left out as a whole."""
    kept: list[Cell] = []
    used = 0
    for cell in cells:
        used += width_of(cell.text)
        if used > page.width:
            break
        kept.append(cell)
    return padded(kept, page)


def padded(cells: Sequence[Cell], page: Page) -> Line:
    """The cells as a line exactly as wide as the page: padded, or cut with an ellipsis in its cell."""
    made: list[Cell] = []
    left = page.width
    for cell in cells:
        wide = width_of(cell.text)
        if wide >= left:
            made.append(Cell(fit(cell.text, left, page.glyphs), cell.role))
            left = 0
            break
        made.append(cell)
        left -= wide
    if left:
        made.append(Cell(" " * left))
    return Line(tuple(made))


def beside(left: list[Line], right: list[Line], one: Page, other: Page) -> list[Line]:
    """Two columns of lines as one, as wide as both pages together."""
    blank_left, blank_right = padded([], one), padded([], other)
    return [Line((*(a or blank_left).cells, *(b or blank_right).cells)) for a, b in zip_longest(left, right)]
