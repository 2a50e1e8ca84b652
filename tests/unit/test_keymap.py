"""Keys are data: the defaults are sound, and an operator's file is checked before it is used."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.actions import ACTIONS
from tui.keymap import (
    DEFAULT_KEYS,
    KeymapError,
    key_label,
    keys_of,
    live_keys,
    pressed,
    read_keymap,
    with_keys,
)


def test_every_default_names_an_action() -> None:
    """The defaults pass the check that an operator's file has to pass."""
    assert with_keys(DEFAULT_KEYS, "defaults") == DEFAULT_KEYS


def test_no_ctrl_letter_and_no_enter_changes_the_fleet() -> None:
    """S1: only looking is bound to them, and only these four Ctrl-letters at most are bound at all."""
    bound = {key for key in DEFAULT_KEYS if key.startswith("ctrl+")}
    assert bound <= {"ctrl+p", "ctrl+c", "ctrl+r", "ctrl+l", "ctrl+z"}
    assert all(ACTIONS[DEFAULT_KEYS[key]].operation is None for key in (*bound, "enter"))


@pytest.mark.parametrize("key", ["enter", "ctrl+t"])
def test_a_file_cannot_bind_them_either(key: str) -> None:
    """S1 holds for the operator's own file as well."""
    with pytest.raises(
        KeymapError, match=r"may not be bound to 'throttle.edit': no Enter and no Ctrl-letter"
    ):
        with_keys({key: "throttle.edit"}, "keymap.toml")


@pytest.mark.parametrize("action", ["open", "throttle.edit", "quit"])
def test_the_key_that_applies_means_nothing_else(action: str) -> None:
    """S2: no action can be put on it; to take it away is harmless, for it has none."""
    with pytest.raises(KeymapError, match="key 'y' may not be bound: it means apply in a dialog"):
        with_keys({"y": action}, "keymap.toml")
    assert "y" not in with_keys({"y": "nothing"}, "keymap.toml")


@pytest.mark.parametrize("action", sorted(action.id for action in ACTIONS.values() if action.operation))
@pytest.mark.parametrize("key", ["enter", "ctrl+w"])
def test_nothing_that_leads_to_a_write_is_on_enter_or_ctrl(action: str, key: str) -> None:
    """S1: arming included."""
    with pytest.raises(KeymapError, match="no Enter and no Ctrl-letter changes the fleet"):
        with_keys({key: action}, "keymap.toml")


def test_a_wrong_name_is_answered_with_the_near_one(tmp_path: Path) -> None:
    """File, key, what is wrong and what was probably meant; all of it at once."""
    file = tmp_path / "keymap.toml"
    file.write_text('[keys]\n"x" = "filtre"\n"entre" = "open"\n"y" = 3\n', encoding="utf-8")
    with pytest.raises(KeymapError) as caught:
        read_keymap(file)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{file}: key 'x' is bound to 'filtre', which is no action; did you mean 'filter'?"
    assert lines[1].startswith(f"{file}: key 'entre' is no key; did you mean 'enter'?")
    assert lines[2] == f"{file}: key 'y' must name an action in quotes"


def test_a_file_goes_over_the_defaults(tmp_path: Path) -> None:
    """Named keys change, `nothing` takes one away, the rest stays."""
    file = tmp_path / "keymap.toml"
    file.write_text('[keys]\n"ctrl+l" = "nothing"\n"o" = "open"\n', encoding="utf-8")
    keymap = read_keymap(file)
    assert keymap["o"] == "open"
    assert "ctrl+l" not in keymap
    assert keymap["q"] == "quit"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("keys = 3", "must be a table"),
        ("[keys", "not valid TOML"),
        ("[kees]\nx = 'open'", "'kees' is not known here"),
        ("[keys]\nq = 'nothing'\n", "no key is bound to 'quit'"),
    ],
)
def test_a_broken_file_is_refused_with_its_name(tmp_path: Path, text: str, said: str) -> None:
    """Never a traceback for a slip in a file."""
    file = tmp_path / "keymap.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(KeymapError, match=said) as caught:
        read_keymap(file)
    assert str(file) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The operator learns which file could not be read, and why."""
    with pytest.raises(KeymapError, match=r"none\.toml: cannot be read: No such file"):
        read_keymap(tmp_path / "none.toml")


@given(st.dictionaries(st.text(max_size=8), st.one_of(st.text(max_size=12), st.integers()), max_size=4))
def test_any_table_is_taken_or_refused_in_words(keys: dict[str, object]) -> None:
    """No binding, however odd, ends in anything but a keymap or a KeymapError."""
    try:
        taken = with_keys(keys, "keymap.toml")
    except KeymapError as error:
        assert "keymap.toml" in str(error)
    else:
        assert set(taken.values()) <= ACTIONS.keys()


def test_keys_are_written_as_typed() -> None:
    """Printable keys as themselves, others by name."""
    assert pressed("slash", "/") == "/"
    assert pressed("G", "G") == "G"
    assert pressed("space", " ") == "space"
    assert pressed("enter", "\r") == "enter"
    assert pressed("ctrl+c", "\x03") == "ctrl+c"
    assert pressed("alt+y", "y") == "alt+y"
    assert pressed("plus", "+") == pressed("+", "+") == "+"


def test_only_the_stepping_keys_differ_while_live() -> None:
    """They turn the pages of the heat map there; an operator's own key for a page turns it in both modes."""
    live = live_keys(with_keys({"f2": "heat.next"}, "keymap.toml"))
    assert {key for key in DEFAULT_KEYS if live[key] != DEFAULT_KEYS[key]} == {"[", "]"}
    assert (live["["], live["]"], live["f2"]) == ("heat.previous", "heat.next", "heat.next")


def test_labels_follow_the_glyph_set() -> None:
    """An ASCII terminal is shown no arrows."""
    assert key_label("enter") == "↵"
    assert key_label("enter", "ascii") == "ret"
    assert all(key_label(key, "ascii").isascii() for key in DEFAULT_KEYS)
    assert keys_of("open", DEFAULT_KEYS) == ("enter", "l")
