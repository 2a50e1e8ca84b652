"""The help as lines: what can be done first, then the marks, then what cannot be done yet; nothing is cut."""

import pytest
from rich.cells import cell_len

from tui.actions import ACTIONS, DIALOG_KEYS
from tui.dialogs.help import help_lines
from tui.format import GLYPHS
from tui.keymap import DEFAULT_KEYS
from tui.widgets.marks import marks

HERE = [name for name, action in ACTIONS.items() if not action.missing]


def shown(width: int, glyphs: str = "unicode") -> list[str]:
    return [line.text for line in help_lines("fleet", HERE, DEFAULT_KEYS, width, glyphs)]


def words_of(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def test_the_marks_stand_before_what_is_missing() -> None:
    """Somebody who asks what a mark means need not scroll past keys that do nothing."""
    lines = shown(80)
    heads = ("KEYS", "IN A DIALOG", "MARKS", "NOT IN")
    places = [next(n for n, line in enumerate(lines) if head in line) for head in heads]
    assert places == sorted(places)
    assert len(lines) - places[-1] <= 4


def test_the_keys_of_a_dialog_are_told() -> None:
    """They are not in the keymap, and the same in every dialog."""
    text = words_of(shown(80))
    for keys, words in DIALOG_KEYS:
        assert words_of([f"{keys} {words}"]) in text


@pytest.mark.parametrize("glyphs", ["unicode", "ascii"])
@pytest.mark.parametrize("width", [50, 80, 120, 200])
def test_no_line_is_cut(width: int, glyphs: str) -> None:
    """What is longer than a line goes on in the next one."""
    lines = shown(width, glyphs)
    assert {cell_len(line) for line in lines} == {width}
    assert not [line for line in lines if line.rstrip().endswith(("…", ".."))]
    if width < 110:
        text = words_of(lines)
        for said in (*(ACTIONS[one].label for one in HERE), *(m for _, m in marks(GLYPHS[glyphs]))):
            assert words_of([said]) in text, said
    for action in ACTIONS.values():
        assert action.label.split()[-1] in words_of(lines)


@pytest.mark.parametrize("width", [1, 2, 3, 10, 20, 35])
def test_any_width_is_drawn(width: int) -> None:
    """T1: no width is refused, and nothing sticks out."""
    assert {cell_len(line) for line in shown(width)} == {width}
