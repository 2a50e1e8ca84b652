"""Themes: data with meanings, never hues. A theme file names every role once; widgets say `$role-...` only.

A role is what a piece of the screen means (`breach`, `stale`); the file says how that looks: a colour, a
background and text styles. Every state also has a shape of its own, so `NO_COLOR` loses nothing.

The application passes `ansi_color=True` to Textual and returns `role_defaults()` from
`get_theme_variable_defaults`: then the terminal's own background shows through, `NO_COLOR` is honoured
without turning the default colours black, and a stock Textual theme still finds every role.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from textual.theme import Theme as TextualTheme

ROLES: Mapping[str, str] = MappingProxyType(
    {
        "text": "whatever is normal",
        "selected": "what the keys act on, besides its pointer",
        "muted": "labels, rules, objectives and other things beside the facts",
        "title": "headings",
        "graph": "bars and sparks; the cursor does not reverse them, because a reversed block reads as empty",
        "heat": "shades of the heat map",
        "p1": "mark of a P1 alert",
        "p2": "mark of a P2 alert",
        "p3": "mark of a P3 alert",
        "breach": "a value above its objective",
        "straddles": "a value whose bucket spans its objective",
        "stale": "a value older than two scrape intervals",
        "missing": "no value where there could be one",
        "unknown": "a value that nobody can tell yet",
        "suspect": "a value that contradicts another",
        "shelved": "an alert put aside until a time",
        "fault": "an accelerator with an XID or ECC fault",
        "thermal": "an accelerator that slows down for heat",
        "idle": "an accelerator without work while a queue waits",
        "production": "the badge of a production context",
        "simulated": "the badge of a fleet that is not real",
        "replay": "the badge of what is recorded, and not live",
        "unrecorded": "the session should be recorded and is not",
        "read-only": "writes are off",
        "armed": "writes are on",
        "applied": "an intent that took effect",
        "pending": "an intent on its way",
        "refused": "an intent that was turned down",
        "conflict": "an intent that met a newer state",
        "key": "a key hint",
        "disabled": "a key that does nothing now",
        "lost": "a source that does not answer",
    }
)
"""Every role with what it means."""

STYLES = frozenset({"bold", "dim", "italic", "underline", "reverse", "strike"})
"""Text styles a role may combine."""

UI = ("primary", "secondary", "warning", "error", "success", "accent")
"""Colours that Textual's own widgets need, in a file's [ui] table."""

_HEX = re.compile(r"#[0-9a-fA-F]{6}")
_ANSI = frozenset(
    f"ansi_{bright}{hue}"
    for bright in ("", "bright_")
    for hue in ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
) | {"ansi_default"}


class ThemeError(Exception):
    """A theme that cannot be used. str() is one sentence: file, place, what is wrong, what is allowed."""


class Look(NamedTuple):
    """How a role is drawn. `ansi_default` is the terminal's own colour; `style` holds words of STYLES."""

    colour: str = "ansi_default"
    background: str = "ansi_default"
    style: str = "none"


@dataclass(frozen=True, slots=True)
class Theme:
    """A theme as read: `roles` has every name in ROLES, `ui` every name in UI."""

    name: str
    dark: bool
    roles: Mapping[str, Look]
    ui: Mapping[str, str]


def read_theme(path: Path) -> Theme:
    """The theme in a TOML file.

    raises: ThemeError if it cannot be read, misses a role, names an unknown one, or holds a wrong colour.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ThemeError(f"{path}: cannot be read: {why}") from error
    except tomllib.TOMLDecodeError as error:
        raise ThemeError(f"{path}: not valid TOML: {error}") from error
    return _theme(str(path), path.stem, found)


def _theme(file: str, name: str, found: Mapping[str, Any]) -> Theme:
    _same_keys(file, "", found, {"dark", "roles", "ui"})
    if not isinstance(found["dark"], bool):
        raise ThemeError(f"{file}: dark: {found['dark']!r} must be true or false")
    for table in ("roles", "ui"):
        if not isinstance(found[table], dict):
            raise ThemeError(f"{file}: {table}: must be a table")
    _same_keys(file, "roles", found["roles"], ROLES.keys())
    _same_keys(file, "ui", found["ui"], set(UI))
    return Theme(
        name,
        found["dark"],
        MappingProxyType({role: _look(file, role, look) for role, look in found["roles"].items()}),
        MappingProxyType({key: _colour(file, f"ui.{key}", value) for key, value in found["ui"].items()}),
    )


def _same_keys(file: str, table: str, found: Mapping[str, Any], wanted: Any) -> None:
    place = f"{table}." if table else ""
    if missing := sorted(set(wanted) - found.keys()):
        raise ThemeError(f"{file}: missing: {', '.join(place + key for key in missing)}")
    if unknown := sorted(found.keys() - set(wanted)):
        names, allowed = ", ".join(place + key for key in unknown), ", ".join(sorted(wanted))
        raise ThemeError(f"{file}: unknown: {names}; allowed: {allowed}")


def _look(file: str, role: str, found: Any) -> Look:
    place = f"roles.{role}"
    if not isinstance(found, dict) or (found.keys() - {"colour", "background", "style"}):
        raise ThemeError(
            f"{file}: {place}: must be a table of colour, background and style, each of which may be left out"
        )
    style = found.get("style", "none")
    words = style.split() if isinstance(style, str) else [repr(style)]
    if wrong := [word for word in words if word not in STYLES | {"none"}]:
        raise ThemeError(
            f"{file}: {place}.style: {' '.join(wrong)} is no text style; allowed: {', '.join(sorted(STYLES))}"
        )
    return Look(
        _colour(file, f"{place}.colour", found.get("colour", "ansi_default")),
        _colour(file, f"{place}.background", found.get("background", "ansi_default")),
        " ".join(words) or "none",
    )


def _colour(file: str, place: str, found: Any) -> str:
    if isinstance(found, str) and (_HEX.fullmatch(found) or found in _ANSI):
        return found
    raise ThemeError(
        f"{file}: {place}: {found!r} is no colour; "
        "write #rrggbb, ansi_default or one of the sixteen such as ansi_red"
    )


def role_variables(roles: Mapping[str, Look]) -> dict[str, str]:
    """The looks as Textual theme variables: `role-breach`, `role-breach-background`, `role-breach-style`."""
    made: dict[str, str] = {}
    for role, look in roles.items():
        made[f"role-{role}"] = look.colour
        made[f"role-{role}-background"] = look.background
        made[f"role-{role}-style"] = look.style
    return made


def role_defaults() -> dict[str, str]:
    """Every role variable, plain: what a stock Textual theme shows, where shapes alone tell the states."""
    return role_variables(dict.fromkeys(ROLES, Look()))


def to_textual(theme: Theme) -> "TextualTheme":
    """The theme as Textual takes it; the background stays the terminal's own (D1)."""
    from textual.theme import BUILTIN_THEMES
    from textual.theme import Theme as TextualTheme

    # Textual's own widgets ask for variables that only its two ANSI themes define.
    base = BUILTIN_THEMES["ansi-dark" if theme.dark else "ansi-light"].variables
    return TextualTheme(
        name=theme.name,
        primary=theme.ui["primary"],
        secondary=theme.ui["secondary"],
        warning=theme.ui["warning"],
        error=theme.ui["error"],
        success=theme.ui["success"],
        accent=theme.ui["accent"],
        foreground="ansi_default",
        background="ansi_default",
        surface="ansi_default",
        panel="ansi_default",
        boost="ansi_default",
        dark=theme.dark,
        ansi=True,
        variables={**base, "border-blurred": "ansi_default", **role_variables(theme.roles)},
    )


_HERE = Path(__file__).parent
THEMES: tuple[Path, ...] = (_HERE / "tidegate-dark.toml", _HERE / "tidegate-light.toml")
"""The themes that come along; the first is the default."""
