"""All keys of a screen, in words: drawn from the keymap and the actions, so it cannot be out of date."""

from collections.abc import Callable, Mapping, Sequence

from rich.cells import cell_len
from textual.app import ComposeResult

from tui.actions import ACTIONS, Action
from tui.format import GLYPHS
from tui.keymap import key_label, keys_of
from tui.screens.base import CockpitScreen
from tui.screens.hints import Hint, text_line
from tui.screens.panel import Panel
from tui.widgets.lines import Cell, Line
from tui.widgets.marks import marks

KEYS_WIDTH = 16
"""Columns for the keys of one action."""

TWO_COLUMNS = 110
"""From this width on, actions stand in two columns."""


def help_lines(
    name: str, here: Sequence[str], keymap: Mapping[str, str], width: int, glyphs: str
) -> tuple[Line, ...]:
    """A heading, what can be done here, then what cannot yet and why. `here` holds action ids.

    Every line is exactly `width` cells.
    """
    able = [entry for action in here if (entry := _entry(ACTIONS[action], keymap, glyphs))]
    later = [
        entry for action in ACTIONS.values() if action.missing and (entry := _entry(action, keymap, glyphs))
    ]
    columns = 2 if width >= TWO_COLUMNS else 1
    lines = [text_line(f" KEYS of the {name} screen", width, glyphs, "title")]
    half, wide = -(-len(able) // columns), width // columns
    for number in range(half):
        right = able[half + number] if columns > 1 and half + number < len(able) else None
        cells = _cells(able[number], wide, glyphs)
        rest = width - wide
        if rest:
            cells += _cells(right, rest, glyphs) if right else (Cell(" " * rest),)
        lines.append(Line(cells))
    lines += [
        text_line("", width),
        text_line(" TAKEN, for what is not in this version", width, glyphs, "title"),
    ]
    lines += [Line(_cells(entry, width, glyphs, "disabled")) for entry in later]
    lines += [text_line("", width), text_line(" MARKS", width, glyphs, "title")]
    lines += [Line(_cells(entry, width, glyphs)) for entry in marks(GLYPHS[glyphs])]
    return tuple(lines)


def _entry(action: Action, keymap: Mapping[str, str], glyphs: str) -> tuple[str, str] | None:
    keys = " ".join(key_label(key, glyphs) for key in keys_of(action.id, keymap))
    return (keys, action.missing or action.label) if keys else None


def _cells(entry: tuple[str, str], width: int, glyphs: str, role: str = "text") -> tuple[Cell, ...]:
    keys, label = entry
    keys_width = min(max(KEYS_WIDTH, cell_len(keys) + 2), width)
    named = text_line(f"  {keys}", keys_width, glyphs, "key")
    said = text_line(f" {label}", width - keys_width, glyphs, role)
    return (*named.cells, *said.cells)


class HelpScreen(CockpitScreen):
    """The keys of the screen below. Esc, `?` or `q` closes it."""

    NAME = "help"
    HINTS: Sequence[Hint] = (("back", "close"), ("move.down", "scroll"))

    def __init__(self, below: CockpitScreen) -> None:
        super().__init__()
        self._below = below

    def compose(self) -> ComposeResult:
        """One panel that scrolls."""
        yield Panel("help")
        yield Panel("hints")

    def doing(self) -> Mapping[str, Callable[[], None]]:
        """Closing and scrolling, nothing else."""
        return {
            **self.scrolling(self.query_one("#help", Panel)),
            **dict.fromkeys(("back", "help", "quit", "open"), self.leave),
        }

    def beyond(self) -> str:
        """How much of the list is scrolled away."""
        return self.query_one("#help", Panel).beyond()

    def draw(self) -> None:
        """The keys, for the size there is."""
        if not self.is_mounted:
            return
        app, (width, height) = self.cockpit, self.app.size
        actions = [*self._below.doing(), *app.doing()]
        panel = self.query_one("#help", Panel)
        panel.set_rows(max(height - 1, 1))
        panel.show(help_lines(self._below.NAME, actions, app.keymap, width, app.glyphs), header=1)
        self.query_one("#hints", Panel).set_rows(1 if height > 1 else 0)
        self.draw_bottom()
