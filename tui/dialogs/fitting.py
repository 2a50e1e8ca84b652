"""How a dialog fits a terminal: the cells it takes, and what it says of lines scrolled away. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tui.dialogs.drawing import Drawn
from tui.keymap import key_label, keys_of
from tui.widgets.lines import Line

BOX, BOX_FROM = 88, 104
"""Cells of a dialog above the screen below it, and the width of a terminal from which that is seen."""

TOP = 2
"""Rows of the screen below that stay visible above such a dialog: its header."""


class Rows(NamedTuple):
    """Rows of a dialog, from top to bottom. The foot stays longest: it has what `y` does."""

    head: int
    body: int
    foot: int


def rows_for(drawn: Drawn, height: int, was: int, is_whole: bool) -> Rows:
    """In a terminal of `height` rows, for a dialog that had `was`: it grows but never shrinks, so that
    nothing jumps while it is looked at (D12)."""
    room = height if is_whole else height - 2 * TOP
    foot = min(len(drawn.foot), room)
    head = min(len(drawn.head), max(room - foot - 1, 0))
    body = min(len(drawn.body), room - foot - head)
    all_rows = room if is_whole else min(max(was, head + body + foot), room)
    return Rows(head, all_rows - head - foot, foot)


def lines_to(row: str, lines: Sequence[Line], hidden: tuple[int, int]) -> int:
    """Lines to scroll until all of a row is in sight, or its end where it is taller than what is seen: there
    it is typed. hidden: lines that are scrolled away, above and below; 0 for a row without a line."""
    places = [place for place, line in enumerate(lines) if line.id == row]
    if not places:
        return 0
    above, below = hidden
    least = places[-1] + 1 - (len(lines) - below - above)
    return min(max(above, least), max(places[0], least)) - above


def away_words(away: str, keymap: Mapping[str, str], glyphs: str) -> str:
    """What is scrolled away, `2 above, 12 below`, with the keys that go there (D13); "" for nothing."""
    actions = [f"move.page_{way}" for way, where in (("up", "above"), ("down", "below")) if where in away]
    keys = [key_label(keys[0], glyphs) for one in actions if (keys := keys_of(one, keymap))]
    return f"{away} · {' '.join(keys)}" if keys else away
