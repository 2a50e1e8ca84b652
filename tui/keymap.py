"""Which key does what: defaults, and the operator's own file, checked when it is read.

A printable key is written as itself (`"/"`, `"G"`), any other by name (`"enter"`, `"pageup"`, `"ctrl+l"`).
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from tui.actions import ACTIONS, CONFIRMING

DEFAULT_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "j": "move.down",
        "down": "move.down",
        "k": "move.up",
        "up": "move.up",
        "pagedown": "move.page_down",
        "pageup": "move.page_up",
        "g": "move.top",
        "home": "move.top",
        "G": "move.bottom",
        "end": "move.bottom",
        "enter": "open",
        "l": "open",
        "escape": "back",
        "h": "back",
        "tab": "panel.next",
        "shift+tab": "panel.previous",
        "/": "filter",
        "n": "hit.next",
        "N": "hit.previous",
        "s": "sort.next",
        "S": "sort.reverse",
        "f": "freeze",
        "]": "replay.step",
        "[": "replay.step_back",
        ")": "heat.next",
        "(": "heat.previous",
        "?": "help",
        "q": "quit",
        "ctrl+c": "quit.ask",
        "ctrl+r": "refresh",
        "ctrl+l": "redraw",
        "ctrl+z": "suspend",
        "t": "throttle.edit",
        "a": "stage.advance",
        "p": "stage.pause",
        "B": "stage.back_out",
        "u": "undo",
        "W": "arm",
        "A": "alert.list",
        "!": "alert.first",
        "x": "alert.acknowledge",
        "z": "alert.shelve",
        "space": "replay",
        ".": "replay.seconds",
        ",": "replay.seconds_back",
        ">": "replay.alert",
        "<": "replay.alert_back",
        "e": "replay.action",
        "E": "replay.action_back",
        "'": "replay.bookmark",
        '"': "replay.bookmark_back",
        "M": "replay.bookmarks",
        "+": "replay.faster",
        "-": "replay.slower",
        "{": "replay.loop_from",
        "}": "replay.loop_to",
        "i": "replay.idle",
        "@": "replay.time",
        "m": "replay.mark",
        "d": "replay.differences",
        "V": "replay.follow",
        "T": "replay.lanes",
        "b": "bookmark",
        "L": "replay.live",
        "H": "heat.mode",
        ":": "command",
    }
)
"""Key to action id, before the operator's own file."""

NAMED_KEYS = frozenset(
    [
        "up",
        "down",
        "left",
        "right",
        "home",
        "end",
        "pageup",
        "pagedown",
        "enter",
        "escape",
        "tab",
        "shift+tab",
        "space",
        "backspace",
        "delete",
        "insert",
    ]
) | {f"f{n}" for n in range(1, 13)}
"""Keys that are written by name, besides `ctrl+` and a letter."""

UNBOUND = "nothing"
"""The action that takes a key away."""

_LABELS = {"pagedown": "PgDn", "pageup": "PgUp", "escape": "esc", "up": "↑", "down": "↓", "enter": "↵"}
_ASCII_LABELS = {"up": "up", "down": "down", "enter": "ret"}
_CONTROL = re.compile(r"ctrl\+[a-z]")


class KeymapError(Exception):
    """A keymap that cannot be used. str() is a sentence a line, each with the file, the key and the mend."""


def pressed(key: str, character: str | None) -> str:
    """A key press as the keymap writes it. `key` and `character` as Textual reports them.

    With Alt held a letter is another key. So it arrives, too, when it was typed right behind esc: what
    follows a cancel must not act.
    """
    if character is not None and character.isprintable() and character != " " and not is_held(key):
        return character
    return key


def is_held(key: str) -> bool:
    """Whether a key came with another one held that makes it something else than its character."""
    return key.startswith(("ctrl+", "alt+", "meta+", "super+", "hyper+"))


def key_label(key: str, glyphs: str = "unicode") -> str:
    """A key as help and hints write it."""
    if glyphs == "ascii" and key in _ASCII_LABELS:
        return _ASCII_LABELS[key]
    return _LABELS.get(key, key.replace("ctrl+", "ctrl-"))


def live_keys(keymap: Mapping[str, str]) -> Mapping[str, str]:
    """The keymap as it is while the screen is live: keys that step in a replay turn pages there."""
    return {key: ACTIONS[action].live or action for key, action in keymap.items()}


def keys_of(action: str, keymap: Mapping[str, str]) -> tuple[str, ...]:
    """The keys bound to `action`, in the keymap's order."""
    return tuple(key for key, bound in keymap.items() if bound == action)


def read_keymap(path: Path) -> Mapping[str, str]:
    """The defaults with the operator's `[keys]` table over them; `"nothing"` takes a key away.

    raises: KeymapError if the file cannot be read or binds anything wrongly.
    """
    import tomllib

    from collectors.text import clean

    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise KeymapError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise KeymapError(f"{path}: not valid TOML: {clean(str(error))}") from error
    keys = found.get("keys", {})
    if extra := sorted(found.keys() - {"keys"}):
        raise KeymapError(f"{path}: {clean(extra[0])!r} is not known here; bindings go into [keys]")
    if not isinstance(keys, dict):
        raise KeymapError(f"{path}: keys: must be a table of key = action; write [keys]")
    return with_keys(keys, str(path))


def with_keys(keys: Mapping[str, object], file: str) -> Mapping[str, str]:
    """The defaults with `keys` over them, checked; `file` names them in errors.

    raises: KeymapError, naming every wrong line at once.
    """
    if wrong := list(_complaints(keys, file)):
        raise KeymapError("\n".join(wrong))
    merged = {**DEFAULT_KEYS, **{key: str(action) for key, action in keys.items()}}
    kept = {key: action for key, action in merged.items() if action != UNBOUND}
    if "quit" not in kept.values():
        raise KeymapError(f"{file}: no key is bound to 'quit'; bind one")
    return kept


def _complaints(keys: Mapping[str, object], file: str) -> Iterable[str]:
    from collectors.text import clean

    for key, action in keys.items():
        place = f"{file}: key {clean(key)!r}"
        if not _is_key(key):
            yield f"{place} is no key{_near(key, NAMED_KEYS)}; printable keys are written as themselves"
        elif not isinstance(action, str):
            yield f"{place} must name an action in quotes"
        elif key == CONFIRMING and action != UNBOUND:
            yield f"{place} may not be bound: it means apply in a dialog, and nothing else"
        elif action != UNBOUND and action not in ACTIONS:
            yield f"{place} is bound to {clean(action)!r}, which is no action{_near(action, ACTIONS)}"
        elif action != UNBOUND and ACTIONS[action].operation and (key == "enter" or _CONTROL.fullmatch(key)):
            yield f"{place} may not be bound to {action!r}: no Enter and no Ctrl-letter changes the fleet"


def _is_key(key: str) -> bool:
    printable = len(key) == 1 and key.isprintable() and key != " "
    return printable or key in NAMED_KEYS or _CONTROL.fullmatch(key) is not None


def _near(word: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(word, sorted(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
