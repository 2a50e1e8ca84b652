"""What a dialog is drawn from, and how pieces of text become lines of it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tui.dialogs.decision import Decision, Need
from tui.format import Glyphs, said, width_of
from tui.screens.readings import wrapped
from tui.widgets.lines import Cell

Cells = list[Cell]
"""A line inside the frame."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a dialog is drawn from.

    focus: the row that has the keys; markers: which option is pointed at, in choices of many, by field
    context: where it acts; offered: reasons for the keys from 1 on; needs: of `y`
    is_asking: a dry run is on its way; is_explained: show all needs; answer: to the last key
    now: seconds by the clock of the dry run; actor: who acts, by the plane
    """

    decision: Decision
    focus: str
    markers: Mapping[str, int]
    context: str
    is_production: bool
    is_simulated: bool
    offered: Sequence[str]
    needs: Sequence[Need]
    is_asking: bool
    is_explained: bool
    answer: str
    now: float
    actor: str = ""


def flowed(pieces: Sequence[Cell], width: int, indent: int) -> list[Cells]:
    """Pieces one after another; what does not fit goes on in the next line, indented; none is cut.

    A piece that begins with a space keeps one at the start of a line: it is the column of pointers.
    """
    lines: list[Cells] = [[]]
    used = 0
    for text, role in pieces:
        if used + width_of(text.rstrip()) > width and used > indent:
            lines.append([Cell(" " * indent)])
            used = indent
            if text.startswith(" "):
                text = f" {text.lstrip()}"
        room = max(width - used, 2)
        if width_of(text.rstrip()) > room:
            pointer = " " if text.startswith(" ") and room > 3 else ""
            first, *rest = wrapped(text.strip(), room - len(pointer))
            lines[-1].append(Cell(pointer + first, role))
            lines += [[Cell(" " * min(indent, width - room)), Cell(pointer + part, role)] for part in rest]
            used = width
            continue
        # Its gap to the next one is no text: it must not be what makes the line too long.
        fits = used + width_of(text) <= width
        lines[-1].append(Cell(text if fits else text.rstrip(), role))
        used += width_of(text)
    return lines


def paragraph(text: str, width: int, pen: Glyphs, role: str = "text", indent: int = 0) -> list[Cells]:
    """One text over as many lines as it needs, all of them indented."""
    indent = min(indent, max(width - 2, 0))
    return [
        [Cell(" " * indent), Cell(line, role)] for line in wrapped(said(text, pen), max(width - indent, 2))
    ]
