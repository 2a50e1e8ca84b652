"""What the page of a model is drawn from, and how its lines are made exactly as wide as it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from collectors.fleet import Event, Frame, Model, Release
from tui.effects import NOTHING, After
from tui.format import Glyphs, fit, said, width_of
from tui.screens.trends import Span
from tui.widgets.lines import Cell, Line


def _nothing_kept(tier: str, parts: int) -> Sequence[float]:
    return ()


def _nothing_after(event: Event) -> After:
    return NOTHING


@dataclass(frozen=True, slots=True)
class Page:
    """What the page is drawn from.

    now: by the frame's clock, seconds since the epoch; events: newest first; width: cells, >= 1
    trend: (signal, parts) -> the last ten minutes of this model; tier: name of one to point at
    kind: what `model` is: a feature has a page of the same parts, made of a model without readings
    after: what stands behind an event, and what followed; undo_key: the key of the first
    writes: the badge that says whether writes are on; plane_now: by the plane's clock, None if it agrees
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
    kind: Literal["model", "feature"] = "model"
    writes: Cell = Cell("")  # noqa: RUF009  # an immutable tuple
    plane_now: float | None = None
    after: Callable[[Event], After] = _nothing_after
    undo_key: str = "u"

    @property
    def plane_time(self) -> float:
        """The plane's clock: throttles expire by it."""
        return self.now if self.plane_now is None else self.plane_now

    @property
    def release(self) -> Release | None:
        """The release that opens this subject; a plane knows a model without its cluster."""
        names = (self.model.name, self.model.subject)
        found = [r for r in self.frame.releases if r.subject_kind == self.kind and r.subject in names]
        return min(found, key=lambda release: names.index(release.subject), default=None)


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
