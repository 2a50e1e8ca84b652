"""What is repainted: the columns that differ, and no more of a line than that."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.screens.hints import hint_line, text_line
from tui.screens.panel import GAP, changed_spans
from tui.screens.repaint import SpanUpdate
from tui.widgets.lines import Cell


def cells(*texts: str) -> tuple[Cell, ...]:
    """Plain cells."""
    return tuple(Cell(text) for text in texts)


def test_one_character_is_one_column() -> None:
    """A cell of the heat map that changes repaints itself only."""
    assert changed_spans(cells("▓▓▓▓▓▓"), cells("▓▓▒▓▓▓"), 6) == [(2, 3)]


def test_a_new_role_is_a_change() -> None:
    """The same letter in another meaning is drawn anew."""
    assert changed_spans((Cell("ab"),), (Cell("a"), Cell("b", "breach")), 2) == [(1, 2)]


def test_near_changes_are_one_far_ones_two() -> None:
    """Going round a few columns costs more than painting them."""
    now = "y" + "x" * GAP + "y" + "x" * 40 + "y"
    was = "x" * len(now)
    assert changed_spans(cells(was), cells(now), 99) == [(0, GAP + 2), (GAP + 42, GAP + 43)]


def test_wide_glyphs_and_moved_widths_repaint_the_line() -> None:
    """Columns cannot be told from characters there."""
    assert changed_spans(cells("北京 1"), cells("北京 2"), 80) == [(0, 80)]
    assert changed_spans(cells("ab"), cells("abc"), 80) == [(0, 80)]


@given(st.text("ab▓█ ", max_size=40), st.data())
def test_painting_the_spans_gives_the_new_line(was: str, data: st.DataObject) -> None:
    """Whatever changes, the spans cover it, in order and apart."""
    now = data.draw(st.text("ab▓█ ", min_size=len(was), max_size=len(was)))
    spans = changed_spans(cells(was), cells(now), len(was))
    painted = list(was)
    for start, end in spans:
        painted[start:end] = now[start:end]
    assert "".join(painted) == now
    assert all(b[0] - a[1] > GAP for a, b in pairwise(spans))


def test_the_terminal_is_sent_the_span_and_nothing_beside_it() -> None:
    """Column 10 to 12 of a line: a move there and two characters."""
    strip = Strip([Segment("0123456789ab", Style()), Segment("cdef", Style(bold=True))])
    update = SpanUpdate([{0: strip}], [(0, 10, 13)], [[16]])
    sent = update.render_segments(Console(color_system=None, force_terminal=True))
    assert sent.startswith("\x1b[1;11H")
    assert "ab" in sent
    assert "c" in sent
    assert "9" not in sent
    assert "d" not in sent


def test_hints_fit_and_keep_their_order() -> None:
    """What does not fit is left out; what is said at the right end stays."""
    keymap = {"enter": "open", "?": "help", "q": "quit"}
    hints = (("open", "open"), ("help", "help"), ("quit", "quit"), ("filter", "filter"))
    assert (
        hint_line(hints, keymap, 40, "unicode", "9 below").text == " ↵ open  ? help  q quit          9 below"
    )
    assert hint_line(hints, keymap, 16, "ascii", "9 below").text == " ? help  9 below"
    assert hint_line(hints, keymap, 9, "unicode").text == " ↵ open  "
    assert hint_line(hints, keymap, 15, "unicode").text == " ↵ open  ? help", "the last blank need not fit"


@given(st.text(max_size=50), st.integers(0, 40))
def test_a_sentence_is_cut_to_the_screen(text: str, width: int) -> None:
    """Exactly as wide as asked, in any script."""
    from rich.cells import cell_len

    assert cell_len(text_line(text, width).text) == width
