"""The bottom line: which keys help here, or the answer to the last one. It needs no fact of the fleet."""

from collections.abc import Mapping, Sequence

from rich.cells import cell_len, set_cell_size

from tui.format import GLYPHS, said
from tui.keymap import key_label, keys_of
from tui.widgets.lines import Cell, Line

Hint = tuple[str, str]
"""An action's id, or several with spaces between, and the word that stands for them here."""

REPLAY_HINTS: Sequence[Hint] = (
    ("replay", "play"),
    ("replay.step_back replay.step", "frame"),
    ("replay.seconds_back replay.seconds", "10 s"),
    ("replay.alert_back replay.alert", "alert"),
    ("help", "help"),
    ("replay.action replay.action_back", "action"),
    ("replay.faster replay.slower", "speed"),
    ("replay.time", "time"),
    ("replay.loop_from replay.loop_to", "A-B"),
    ("replay.differences", "diff"),
    ("bookmark", "bookmark"),
    ("replay.bookmark_back replay.bookmark replay.bookmarks", "bookmarks"),
    ("replay.follow", "as seen"),
    ("replay.mark", "mark"),
    ("replay.idle", "skip idle"),
    ("open", "open"),
    ("quit", "quit"),
)
"""What the bottom line of a replay offers, the most useful first."""


def replay_hints(screen: str, has_live: bool) -> Sequence[Hint]:
    """Those of a replay on a screen, by its name. has_live: there is a live screen to go back to"""
    back: Sequence[Hint] = () if screen == "fleet" else (("back", "back"),)
    live: Sequence[Hint] = (("replay.live", "live"),) if has_live else ()
    return (*back, REPLAY_HINTS[0], *live, *REPLAY_HINTS[1:])


def text_line(text: str, width: int, glyphs: str = "unicode", role: str = "text") -> Line:
    """`text` in these glyphs, a line of exactly `width` cells, >= 0; cut text ends in an ellipsis (D13)."""
    text = said(text, GLYPHS[glyphs])
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
    for actions, word in hints:
        found = [keys[0] for action in actions.split() if (keys := keys_of(action, keymap))]
        if not found:
            continue
        key, label = f" {' '.join(key_label(one, glyphs) for one in found)}", f" {word} "
        if used + cell_len(key) + cell_len(label) - (not right) > room:
            continue
        label = set_cell_size(label, min(cell_len(label), width - used - cell_len(key)))
        cells += [Cell(key, "key"), Cell(label, "muted")]
        used += cell_len(key) + cell_len(label)
    ending = set_cell_size(right.rjust(max(width - used, 0)), max(width - used, 0))
    return Line((*cells, Cell(ending, "muted")))
