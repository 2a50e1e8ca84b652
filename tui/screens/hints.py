"""The bottom line: which keys help here, or the answer to the last one. It needs no fact of the fleet."""

from collections.abc import Mapping, Sequence

from rich.cells import cell_len, set_cell_size

from tui.keymap import key_label, keys_of
from tui.widgets.lines import Cell, Line

Hint = tuple[str, str]
"""An action's id and the word that stands for it here."""


def text_line(text: str, width: int, glyphs: str = "unicode", role: str = "text") -> Line:
    """`text` as a line of exactly `width` cells, >= 0; cut text ends in an ellipsis (D13)."""
    if cell_len(text) > width:
        dots = "…" if glyphs == "unicode" else ".."
        text = set_cell_size(text, max(width - len(dots), 0)) + dots[:width]
    return Line((Cell(set_cell_size(text, width), role),))


def hint_line(
    hints: Sequence[Hint], keymap: Mapping[str, str], width: int, glyphs: str, right: str = ""
) -> Line:
    """The first key of each action with its word, as many as fit, the first ones first; then `right`."""
    cells: list[Cell] = []
    used, room = 0, width - cell_len(right)
    for action, word in hints:
        keys = keys_of(action, keymap)
        if not keys:
            continue
        key, label = f" {key_label(keys[0], glyphs)}", f" {word} "
        if used + cell_len(key) + cell_len(label) - (not right) > room:
            continue
        label = set_cell_size(label, min(cell_len(label), width - used - cell_len(key)))
        cells += [Cell(key, "key"), Cell(label, "muted")]
        used += cell_len(key) + cell_len(label)
    ending = set_cell_size(right.rjust(max(width - used, 0)), max(width - used, 0))
    return Line((*cells, Cell(ending, "muted")))
