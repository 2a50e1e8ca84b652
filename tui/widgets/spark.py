"""Sparks: a row of blocks, one for each span of time. A full block is the objective (D4)."""

from collections.abc import Sequence
from math import floor, log10

from tui.format import UNICODE, Glyphs
from tui.store import GAP


def spark(values: Sequence[float], objective: float | None = None, glyphs: Glyphs = UNICODE) -> str:
    """One glyph a value: its height as a share of the objective, full at and above it.

    values: >= 0, or GAP, drawn as a gap
    objective: > 0, in the same unit, or None: then a full block is the power of ten at or above the largest
        value, so that the scale holds still while values move
    """
    if objective is None or objective <= 0:
        largest = max(values, default=0.0)
        objective = 1.0 if largest <= 0 else 10.0 ** -floor(-log10(largest))
    blocks = glyphs.spark
    top = len(blocks) - 1
    return "".join(
        # Values come from 32-bit floats: without the margin a value equal to its objective may fall short.
        glyphs.gap if value <= GAP else blocks[min(int(value / objective * top + 1e-5), top)]
        for value in values
    )
