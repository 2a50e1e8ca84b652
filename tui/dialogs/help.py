"""All keys of a screen, in words: drawn from the keymap and the actions, so it cannot be out of date."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest

from rich.cells import cell_len
from textual.app import ComposeResult

from tui.actions import ACTIONS, DIALOG_KEYS, Action
from tui.format import GLYPHS
from tui.keymap import key_label, keys_of, live_keys
from tui.screens.base import CockpitScreen
from tui.screens.hints import Hint, text_line
from tui.screens.panel import Panel
from tui.screens.readings import wrapped
from tui.widgets.lines import Line
from tui.widgets.marks import marks
from tui.widgets.replay_lines import lane_marks

Entry = tuple[str, str]
"""Keys, or a mark, and what they do or what it means."""

KEYS_WIDTH = 16
"""Columns for the keys of one action."""

TWO_COLUMNS = 110
"""From this width on, entries stand in two columns."""


def help_lines(
    name: str,
    here: Sequence[str],
    all_keys: Mapping[str, str],
    width: int,
    glyphs: str,
    labels: Mapping[str, str] | None = None,
    *,
    in_replay: bool = False,
) -> tuple[Line, ...]:
    """A heading, what can be done here, what the marks mean, then what cannot be done yet. `here` holds
    action ids; `labels` what some of them do on this screen, in place of what they are called.

    all_keys: the keymap, of which some keys do one thing live and another in a replay
    in_replay: the screen shows a replay: what would write is told apart, and its keys have its meanings
    Every line is exactly `width` cells; what is longer goes on in the next one.
    """
    own, keymap = labels or {}, all_keys if in_replay else live_keys(all_keys)
    # What a screen does itself and the application does everywhere is one key.
    once = [ACTIONS[action] for action in dict.fromkeys(here)]
    off = [action for action in once if in_replay and action.operation]
    once = [action for action in once if action not in off and (in_replay or not action.in_replay)]
    if in_replay:
        own = {**{action.id: action.replay_label for action in once if action.replay_label}, **own}
    named = [replace(action, label=own.get(action.id, action.label)) for action in once]
    missing = [action for action in ACTIONS.values() if action.missing]
    of_replay = [action for action in named if in_replay and _is_player(action)]
    of_screen = [action for action in named if action not in of_replay]
    # What moves a replay comes first: it is what somebody asks for who has one before them.
    sections = [
        ("KEYS of the replay", _keys(of_replay, keymap, width, glyphs)),
        (f"KEYS of the {name} screen", _keys(of_screen, keymap, width, glyphs)),
    ]
    if in_replay:
        sections += [
            ("OFF: a replay cannot write", _in_rows(off, keymap, width, glyphs)),
            ("LANES", _table(lane_marks(GLYPHS[glyphs]), width, glyphs)),
        ]
    else:
        there = [action for action in ACTIONS.values() if action.in_replay]
        sections += [
            ("IN A REPLAY", _keys(there, all_keys, width, glyphs)),
            ("IN A DIALOG", _table(DIALOG_KEYS, width, glyphs)),
        ]
    sections += [
        ("MARKS", _table(marks(GLYPHS[glyphs]), width, glyphs)),
        ("NOT IN THIS VERSION: these keys are kept for it", _in_rows(missing, keymap, width, glyphs)),
    ]
    told = [
        (text_line("", width), text_line(f" {heading}", width, glyphs, "title"), *rows)
        for heading, rows in sections
        if rows
    ]
    return tuple(line for section in told for line in section)[1:]


def _in_rows(actions: Sequence[Action], keymap: Mapping[str, str], width: int, glyphs: str) -> list[Line]:
    """What cannot be done: keys and labels one after another; nothing where no key is bound to it."""
    entries = [" ".join(entry) for action in actions if (entry := _entry(action, keymap, glyphs))]
    rows = _in_a_row(entries, max(width - 4, 2)) if entries else []
    return [text_line(f"  {row}", width, glyphs, "disabled") for row in rows]


def _is_player(action: Action) -> bool:
    """Whether it is a matter of the replay, and not of the screen."""
    return action.in_replay or bool(action.replay_label) or action.id in ("replay.live", "bookmark")


def _keys(actions: Sequence[Action], keymap: Mapping[str, str], width: int, glyphs: str) -> list[Line]:
    """What keys are bound to, of these actions."""
    entries = [entry for action in actions if (entry := _entry(action, keymap, glyphs))]
    return _table(entries, width, glyphs)


def _entry(action: Action, keymap: Mapping[str, str], glyphs: str) -> Entry | None:
    keys = " ".join(key_label(key, glyphs) for key in keys_of(action.id, keymap))
    return (keys, action.label) if keys else None


def _table(entries: Sequence[Entry], width: int, glyphs: str) -> list[Line]:
    """The entries, in two columns where there is room, read down the first one first."""
    if width < TWO_COLUMNS:
        return [line for entry in entries for line in _lines(entry, width, glyphs)]
    half, wide = -(-len(entries) // 2), width // 2
    left = [line for entry in entries[:half] for line in _lines(entry, wide, glyphs)]
    right = [line for entry in entries[half:] for line in _lines(entry, width - wide, glyphs)]
    return [
        Line((a or text_line("", wide)).cells + (b or text_line("", width - wide)).cells)
        for a, b in zip_longest(left, right)
    ]


def _in_a_row(parts: Sequence[str], width: int) -> list[str]:
    """Short parts one after another, as many in a line as fit; one that is wider has lines of its own."""
    lines = [""]
    for part in parts:
        added = f"{lines[-1]}, {part}" if lines[-1] else part
        if cell_len(added) <= width:
            lines[-1] = added
        else:
            lines = [*lines[:-1], *([f"{lines[-1]},"] if lines[-1] else []), *wrapped(part, width)]
    return lines


def _lines(entry: Entry, width: int, glyphs: str) -> list[Line]:
    """Keys or marks with what they do or mean, wrapped beside them."""
    keys, label = entry
    keys_width = min(max(KEYS_WIDTH, cell_len(keys) + 2), width)
    lines = []
    for number, part in enumerate(wrapped(label, max(width - keys_width - 2, 2))):
        named = text_line("" if number else f"  {keys}", keys_width, glyphs, "key")
        lines.append(Line((*named.cells, *text_line(f" {part}", width - keys_width, glyphs).cells)))
    return lines


class HelpScreen(CockpitScreen):
    """The keys of the screen below. Esc, `?` or `q` closes it."""

    NAME = TITLE = "help"
    HINTS: Sequence[Hint] = (("back", "close"), ("move.down", "scroll"))

    def __init__(self, below: CockpitScreen) -> None:
        super().__init__()
        self._below = below

    def compose(self) -> ComposeResult:
        """One panel that scrolls, the keys, and in a replay where that stands."""
        yield Panel("help")
        yield Panel("hints")
        yield Panel("status")

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
        if not self.has_panels:
            return
        app, (width, height) = self.cockpit, self.app.size
        actions, labels = [*self._below.doing(), *app.doing()], self._below.labels()
        # What leads nowhere here is no key of this screen.
        nowhere = {"freeze"} if app.replaying is not None else {"replay.live"}
        if app.replaying is not None and not app.replaying.has_live:
            nowhere.add("replay.live")
        actions = [one for one in actions if one not in nowhere]
        panel = self.query_one("#help", Panel)
        rows = {"hints": int(height > 1), "status": int(app.replaying is not None and height > 3)}
        panel.set_rows(max(height - sum(rows.values()), 1))
        lines = help_lines(
            self._below.NAME,
            actions,
            app.all_keys,
            width,
            app.glyphs,
            labels,
            in_replay=app.replaying is not None,
        )
        panel.show(lines, header=1)
        for name, number in rows.items():
            self.query_one(f"#{name}", Panel).set_rows(number)
        if rows["status"]:
            self.draw_status()
        self.draw_bottom()
