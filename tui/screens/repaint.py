"""Partial repaints that write only what changed.

Textual 8.2.8 writes a changed span from the left edge of its widget (`ChopsUpdate` crops the right end only),
and so most of a line for one cell at its end. Half of what the fleet screen sent was that.
"""

from rich.console import Console
from rich.control import Control
from textual._compositor import ChopsUpdate, Compositor


class SpanUpdate(ChopsUpdate):
    """The spans and nothing beside them."""

    def render_segments(self, console: Console) -> str:
        """What the terminal is sent: for each span a move and its text."""
        sequences: list[str] = []
        for y, start, stop in self.spans:
            for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=True):
                if strip is None or x >= stop or end <= start:
                    continue
                left, right = max(x, start), min(end, stop)
                sequences.append(Control.move_to(left, y).segment.text)
                sequences.append(strip.crop(left - x, right - x).render(console))
        return "".join(sequences)


class SpanCompositor(Compositor):
    """Textual's compositor with `SpanUpdate` for partial repaints."""

    def render_partial_update(self) -> ChopsUpdate | None:
        """As Textual's, but for the class of what it returns."""
        update = super().render_partial_update()
        return update and SpanUpdate(update.chops, update.spans, update.chop_ends)
