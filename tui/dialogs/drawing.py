"""A dialog as lines: a frame, its rows, what the plane says of it, and the buttons. Pure.

What matters is never cut: it goes on in the next line. Every line is exactly as wide as the dialog.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from collectors.text import clean
from tui.dialogs.decision import Decision, missing
from tui.dialogs.form import Choice, Entry, Field
from tui.dialogs.shown import Cells, Shown, flowed, paragraph
from tui.dialogs.told import becomes, moved_lines, outcomes_lines, told_lines, verdict
from tui.format import GLYPHS, Glyphs, said, width_of
from tui.screens.readings import wrapped
from tui.widgets.lines import Cell, Line, line_of

REASON, PHRASE, BUTTONS = "reason", "phrase", "buttons"
"""Rows that every dialog has besides its form's fields."""

FIELD = "field:"
"""How the name of a field's row begins; its id follows."""

LABEL = 10
"""Columns for a row's label, the gap behind it included."""


class Frame(NamedTuple):
    """The glyphs around a dialog."""

    top_left: str
    top_right: str
    bottom_left: str
    bottom_right: str
    across: str
    down: str


FRAMES: Mapping[tuple[str, bool], Frame] = {
    ("unicode", False): Frame("┌", "┐", "└", "┘", "─", "│"),
    ("unicode", True): Frame("┏", "┓", "┗", "┛", "━", "┃"),
    ("ascii", False): Frame("+", "+", "+", "+", "-", "|"),
    ("ascii", True): Frame("#", "#", "#", "#", "=", "#"),
}
"""By glyph set, and whether it is production: heavy there (D15)."""


class Drawn(NamedTuple):
    """A dialog's lines: head and foot stay, the body scrolls, blanks fill it. A row's lines have its name."""

    head: tuple[Line, ...]
    body: tuple[Line, ...]
    foot: tuple[Line, ...]
    blank: Line


def dialog_lines(shown: Shown, width: int, glyphs: str) -> Drawn:
    """The dialog in `width` cells, >= 1."""
    inner = max(width - 4, 2)
    pen = GLYPHS[glyphs]
    frame = FRAMES[glyphs, shown.is_production]
    body: list[tuple[Cells, str]] = []
    # What `y` needs stands first, so that it is in sight in a small terminal, too.
    for part in (_rows, moved_lines, _facts, told_lines, outcomes_lines, _explained):
        body += part(shown, inner, pen)
    head = _head(shown, width, pen, frame)
    foot = [
        _border(frame, width, "middle"),
        *(_framed(cells, frame, width, pen) for cells in _foot(shown, inner, pen)),
        _border(frame, width, "bottom"),
    ]
    return Drawn(
        tuple(head),
        tuple(_pointed(body, shown.focus, frame, width, pen)),
        tuple(foot),
        _framed([], frame, width, pen),
    )


def _pointed(
    body: Sequence[tuple[Cells, str]], focus: str, frame: Frame, width: int, pen: Glyphs
) -> Iterator[Line]:
    """The body's lines, with the pointer beside the first one of the row that has the keys (D2)."""
    is_found = False
    for cells, id in body:
        pointer = pen.pointer if id == focus and not is_found else " "
        is_found = is_found or id == focus
        yield _framed(cells, frame, width, pen, id, pointer)


def rows_of(decision: Decision) -> list[str]:
    """The rows that can have the keys, from top to bottom; a phrase that is typed is locked."""
    if decision.sent:
        return [BUTTONS]
    rows = [f"{FIELD}{one.id}" for one in decision.form.fields]
    if not decision.is_local:
        rows.append(REASON)
    if not decision.is_typed:
        rows.append(PHRASE)
    return [*rows, BUTTONS]


def _head(shown: Shown, width: int, pen: Glyphs, frame: Frame) -> list[Line]:
    """The title in the frame's first line with the revision at its end; below it, where it does not fit."""
    form = shown.decision.form
    badge = "PROD " if shown.is_production else "SIMULATED " if shown.is_simulated else ""
    title = said(f"{form.title} · {badge}{shown.context}".rstrip(" ·"), pen)
    revision = said(form.revision, pen)
    across = width - width_of(title) - 6
    if across - (width_of(revision) + 3 if revision else 0) >= 0:
        end = f" {revision} {frame.across}" if revision else ""
        rule = frame.across * (across - width_of(end) + 1)
        cells = [
            Cell(f"{frame.top_left} ", "muted"),
            *_badged(title, badge),
            Cell(f" {rule}", "muted"),
            Cell(end, "title"),
            Cell(f"{frame.across}{frame.top_right}", "muted"),
        ]
        return [line_of(cells, width, glyphs=pen)]
    lines = [_border(frame, width, "top")]
    inner = max(width - 4, 2)
    told = wrapped(title, inner)
    # Behind the title's last words if it fits there, else apart: cut in two it would be read as two.
    if revision and width_of(beside := f"{told[-1]}  {revision}") <= inner:
        told[-1] = beside
    elif revision:
        told += wrapped(revision, inner)
    return [*lines, *(_framed(_badged(text, badge), frame, width, pen) for text in told)]


def _badged(title: str, badge: str) -> Cells:
    """The title with the badge of production in its own role (D15)."""
    before, found, after = title.rpartition(badge.strip()) if badge else (title, "", "")
    if not found:
        return [Cell(title, "title")]
    role = "production" if badge == "PROD " else "simulated"
    return [Cell(before, "title"), Cell(found, role), Cell(after, "title")]


def rule_line(shown: Shown, width: int, glyphs: str, beyond: str) -> Line:
    """The line between body and foot, with what it says of lines that are scrolled away (D13)."""
    pen = GLYPHS[glyphs]
    return _border(FRAMES[glyphs, shown.is_production], width, "middle", said(beyond, pen))


def _border(frame: Frame, width: int, side: str, words: str = "") -> Line:
    left, right = {
        "top": (frame.top_left, frame.top_right),
        "middle": (frame.down, frame.down),
        "bottom": (frame.bottom_left, frame.bottom_right),
    }[side]
    across = width - 2 - width_of(f" {words} ") - 1
    if words and across > 0:
        cells = [
            Cell(left + frame.across * across, "muted"),
            Cell(f" {words} ", "title"),
            Cell(frame.across + right, "muted"),
        ]
        return line_of(cells, width)
    return line_of([Cell(left + frame.across * max(width - 2, 0) + right, "muted")], width)


def _framed(
    cells: Sequence[Cell], frame: Frame, width: int, pen: Glyphs, id: str = "", pointer: str = " "
) -> Line:
    """The cells between the sides of the frame, exactly `width` wide."""
    inner = max(width - 4, 0)
    kept = list(line_of(cells, inner, glyphs=pen).cells)
    gap = " " * (inner - sum(width_of(cell.text) for cell in kept))
    left = [Cell(frame.down, "muted"), Cell(pointer, "selected" if pointer.strip() else "text")]
    return line_of([*left, *kept, Cell(gap), Cell(f" {frame.down}", "muted")], width, id, pen)


def _rows(shown: Shown, width: int, pen: Glyphs) -> list[tuple[Cells, str]]:
    """The fields, the reason, the phrase. Once sent: what it was, for the rest grows old."""
    decision = shown.decision
    made: list[tuple[Cells, str]] = []
    if decision.sent:
        for label, text in (("Decided", decision.plan.summary), ("Reason", decision.reason)):
            pieces = [_label(label, False, pen), Cell(f" {said(text, pen)}")]
            made += [(cells, "") for cells in flowed(pieces, width, LABEL)]
        return made
    for field in decision.form.fields:
        row = f"{FIELD}{field.id}"
        made += [(cells, row) for cells in _field(field, shown, width, pen)]
    if not decision.is_local:
        made += [(cells, REASON) for cells in _reason(shown, width, pen)]
    if decision.wanted_phrase:
        made += [(cells, PHRASE) for cells in _phrase(shown, width, pen)]
    return made


def _facts(shown: Shown, width: int, pen: Glyphs) -> list[tuple[Cells, str]]:
    """What the form has to say; once sent, it grows old."""
    if shown.decision.sent:
        return []
    facts = shown.decision.form.facts(width, "unicode" if pen is GLYPHS["unicode"] else "ascii")
    return [(list(line.cells), "") for line in facts]


def _label(text: str, is_focused: bool, pen: Glyphs) -> Cell:
    # A label that is longer than its column keeps a space behind it.
    return Cell(f"{said(text, pen)} ".ljust(LABEL), "title" if is_focused else "muted")


def _field(field: Field, shown: Shown, width: int, pen: Glyphs) -> Iterator[Cells]:
    is_focused = shown.focus == f"{FIELD}{field.id}"
    label = _label(field.label, is_focused, pen)
    if isinstance(field, Entry):
        pieces = [label, *_typed(field.text, is_focused), Cell(said(f"   {field.hint}", pen), "muted")]
        yield from flowed(pieces, width, LABEL)
        if field.wrong:
            yield from paragraph(field.wrong, width, pen, "refused", LABEL)
        return
    pieces = [label, *_options(field, shown, is_focused, pen)]
    if field.note:
        pieces.append(Cell(said(f"  {field.note}", pen), "muted"))
    yield from flowed(pieces, width, LABEL)
    if is_focused:
        for option in field.options:
            if option.why:
                yield from paragraph(f"{option.label}: {option.why}", width, pen, "disabled", LABEL)


def _options(field: Choice, shown: Shown, is_focused: bool, pen: Glyphs) -> Iterator[Cell]:
    marker = shown.markers.get(field.id, 0)
    is_main = shown.focus == BUTTONS and field.id == shown.decision.form.main
    for place, option in enumerate(field.options):
        is_chosen = option.id in field.chosen
        text = said(option.label, pen)
        if field.many:
            text = f"[{'x' if is_chosen else ' '}] {text}"
            is_pointed = is_focused and place == marker
        else:
            is_pointed = is_chosen
        role = "disabled" if option.why else "title" if is_chosen else "text"
        if is_pointed and (is_focused or is_main):
            role = "selected"
        # One piece, so that no line ends between the pointer and what it points at.
        yield Cell(f"{pen.pointer if is_pointed else ' '}{text}", role)
        yield Cell("  ")


def _typed(text: str, is_focused: bool) -> list[Cell]:
    shown = f" {text}_" if is_focused else f" {text or '-'}"
    return [Cell(shown, "title" if is_focused or text else "muted")]


def _reason(shown: Shown, width: int, pen: Glyphs) -> Iterator[Cells]:
    decision = shown.decision
    is_focused = shown.focus == REASON
    pieces = [_label("Reason", is_focused, pen), *_typed(decision.reason, is_focused)]
    yield from flowed(pieces, width, LABEL)
    offered = [Cell(f" {n} {said(one, pen)}  ", "muted") for n, one in enumerate(shown.offered, 1)]
    yield from flowed([Cell(" " * LABEL), *offered], width, LABEL)


def _phrase(shown: Shown, width: int, pen: Glyphs) -> Iterator[Cells]:
    decision = shown.decision
    is_focused = shown.focus == PHRASE
    label = _label("Type", is_focused, pen)
    if decision.is_typed:
        text = f" {decision.wanted_phrase}   {pen.passed} typed"
        yield from flowed([label, Cell(text)], width, LABEL)
        return
    pieces = [label, Cell(f" {decision.wanted_phrase}", "title"), Cell("   to go on:  ", "muted")]
    yield from flowed([*pieces, *_typed(decision.phrase, is_focused)], width, LABEL)


def _explained(shown: Shown, width: int, pen: Glyphs) -> list[tuple[Cells, str]]:
    """What `y` needs, line by line (D16)."""
    if not shown.is_explained or shown.decision.sent:
        return []
    made: list[tuple[Cells, str]] = [([Cell(pen.rule * width, "muted")], "")]
    made.append(([Cell("WHY ", "title"), Cell("y applies when all of this holds:", "muted")], ""))
    for need in shown.needs:
        mark, role = (pen.passed, "text") if need.is_met else (pen.failed, "refused")
        made += [(cells, "") for cells in paragraph(f"{mark} {need.text}", width, pen, role, 2)]
    return made


def _foot(shown: Shown, width: int, pen: Glyphs) -> Iterator[Cells]:
    """What the dry run says, in one line that is always there; what `y` would do, or why it does nothing, or
    the answer to the last key; then the buttons."""
    decision = shown.decision
    why = missing(shown.needs)
    if not decision.is_local and not decision.sent:
        yield verdict(shown, pen)
    if shown.answer:
        yield from paragraph(clean(shown.answer, 400), width, pen)
    elif decision.sent:
        over = becomes(decision) if decision.is_over else "sent: it goes on if this is closed"
        yield from paragraph(over, width, pen, "muted")
    elif why:
        yield from paragraph(f"y is off: {why}", width, pen, "disabled")
    else:
        yield from paragraph(f"y: {decision.plan.summary}", width, pen)
    yield from flowed(list(_buttons(shown, not why, pen)), width, 1)


def _buttons(shown: Shown, can_apply: bool, pen: Glyphs) -> Iterator[Cell]:
    is_focused = shown.focus == BUTTONS
    word = "Close" if shown.decision.sent else "Cancel"
    role = "selected" if is_focused else "text"
    yield Cell(f"{pen.pointer if is_focused else ' '}[ {word} ]", role)
    if shown.decision.sent:
        return
    is_on = can_apply and is_focused
    yield Cell("   y", "key" if is_on else "disabled")
    yield Cell(
        " apply" if is_on else " apply: tab comes here" if can_apply else " apply: off",
        "text" if is_on else "disabled",
    )
    if not shown.decision.is_local:
        yield Cell("   ctrl-r", "key")
        yield Cell(" dry run again")
    yield Cell("   ?", "key")
    yield Cell(" close why" if shown.is_explained else " why")
