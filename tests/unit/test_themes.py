"""Themes: read, refused, and given to Textual."""

from pathlib import Path

import pytest
from textual.theme import BUILTIN_THEMES

from themes import ROLES, THEMES, ThemeError, read_theme, role_defaults, role_variables, to_textual


@pytest.mark.parametrize("path", THEMES, ids=lambda path: path.stem)
def test_the_themes_that_come_along_are_complete(path: Path) -> None:
    """Every role, none besides, and Textual takes it."""
    theme = read_theme(path)
    assert theme.roles.keys() == ROLES.keys()
    made = to_textual(theme)
    assert made.name == path.stem
    assert made.background == "ansi_default"
    assert role_variables(theme.roles).items() <= made.variables.items()
    assert BUILTIN_THEMES["ansi-dark"].variables.keys() <= made.variables.keys() or not theme.dark


@pytest.mark.parametrize("path", THEMES, ids=lambda path: path.stem)
def test_what_is_normal_has_no_colour(path: Path) -> None:
    """D1: only roles that mean something abnormal may have one."""
    theme = read_theme(path)
    for role in ("text", "muted", "title", "stale", "unknown", "straddles", "production", "simulated", "key"):
        assert theme.roles[role].colour == theme.roles[role].background == "ansi_default", role


def test_stock_themes_still_find_every_role() -> None:
    """Three variables for each role."""
    assert len(role_defaults()) == 3 * len(ROLES)


def changed(tmp_path: Path, old: str, new: str) -> Path:
    """The dark theme with one piece of its text replaced."""
    text = THEMES[0].read_text()
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new))
    return path


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("shelved = ", "sheIved = ", "missing: roles.shelved"),
        ("[roles]", "[roles]\nhot = {}", "unknown: roles.hot; allowed: applied"),
        ('"#5fafff" }', '"blue" }', "roles.shelved.colour: 'blue' is no colour; write #rrggbb"),
        ('style = "italic"', 'style = "wavy"', "roles.pending.style: wavy is no text style; allowed: bold"),
        ("text = {}", 'text = "red"', "roles.text: must be a table of colour, background and style"),
        ("text = {}", 'text = { color = "#ffffff" }', "roles.text: must be a table of colour, background"),
        ("dark = true", 'dark = "yes"', "dark: 'yes' must be true or false"),
        ('error = "#ff5f5f"', "", "missing: ui.error"),
        ("[ui]", "[ui", "not valid TOML"),
    ],
)
def test_a_wrong_theme_is_refused_in_a_sentence(tmp_path: Path, old: str, new: str, says: str) -> None:
    """The sentence names the file, the place, and what is allowed."""
    with pytest.raises(ThemeError, match=r"mine\.toml") as refused:
        read_theme(changed(tmp_path, old, new))
    assert says in str(refused.value)


def test_a_theme_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """No traceback for a wrong path."""
    with pytest.raises(ThemeError, match=r"none\.toml: cannot be read: No such file"):
        read_theme(tmp_path / "none.toml")
