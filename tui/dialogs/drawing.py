"""A dialog as lines: a frame, its rows, what the plane says of it, and the buttons. Pure.

What matters is never cut: it goes on in the next line. Every line is exactly as wide as the dialog.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from collectors.fleet import clean
from collectors.intents import Difference, Intent, Outcome, OutcomeKind
from tui.dialogs.decision import Decision, DryRun, Need, missing
from tui.dialogs.form import Choice, Entry, Field, differences
from tui.format import GLYPHS, Glyphs, age, counted, said, width_of
from tui.screens.readings import wrapped
from tui.widgets.lines import Cell, Line, line_of

REASON, PHRASE, BUTTONS = "reason", "phrase", "buttons"
"""Rows that every dialog has besides its form's fields."""

FIELD = "field:"
"""How the name of a field's row begins; its id follows."""

LABEL = 10
"""Columns for a row's label, the gap behind it included."""

ROLES: Mapping[OutcomeKind, str] = {
    OutcomeKind.APPLIED: "applied",
    OutcomeKind.PENDING: "pending",
    OutcomeKind.REFUSED: "refused",
    OutcomeKind.CONFLICT: "conflict",
    OutcomeKind.UNKNOWN: "unknown",
}


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


@dataclass(frozen=True, slots=True)
class Shown:
    """What a dialog is drawn from.

    focus: the row that has the keys; markers: which option is pointed at, in choices of many, by field
    context: where it acts; offered: reasons for the keys 1 to 5; needs: of `y`
    is_asking: a dry run is on its way; is_explained: show all needs; answer: to the last key
    now: seconds by the clock of the dry run; actor: who acts, by the plane
    """

    decision: Decision
    focus: str
    markers: Mapping[str, int]
    context: str
    is_production: bool
    is_simulated: bool
    offered: Sequence[str]
    needs: Sequence[Need]
    is_asking: bool
    is_explained: bool
    answer: str
    now: float
    actor: str = ""


class Drawn(NamedTuple):
    """A dialog's lines: head and foot stay, the body scrolls, blanks fill it. A row's lines have its name."""

    head: tuple[Line, ...]
    body: tuple[Line, ...]
    foot: tuple[Line, ...]
    blank: Line


Cells = list[Cell]


def dialog_lines(shown: Shown, width: int, glyphs: str) -> Drawn:
    """The dialog in `width` cells, >= 1."""
    inner = max(width - 4, 2)
    pen = GLYPHS[glyphs]
    frame = FRAMES[glyphs, shown.is_production]
    body: list[tuple[Cells, str]] = []
    for part in (_rows, _moved, _told, _outcomes, _explained):
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
    told = wrapped(f"{title}  {revision}", max(width - 4, 2))
    return [*lines, *(_framed(_badged(text, badge), frame, width, pen) for text in told)]


def _badged(title: str, badge: str) -> Cells:
    """The title with the badge of production in its own role (D15)."""
    before, found, after = title.rpartition(badge.strip()) if badge else (title, "", "")
    if not found:
        return [Cell(title, "title")]
    role = "production" if badge == "PROD " else "simulated"
    return [Cell(before, "title"), Cell(found, role), Cell(after, "title")]


def _border(frame: Frame, width: int, side: str) -> Line:
    left, right = {
        "top": (frame.top_left, frame.top_right),
        "middle": (frame.down, frame.down),
        "bottom": (frame.bottom_left, frame.bottom_right),
    }[side]
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


def _flowed(pieces: Sequence[Cell], width: int, indent: int) -> list[Cells]:
    """Pieces one after another; what does not fit goes on in the next line, indented; none is cut."""
    lines: list[Cells] = [[]]
    used = 0
    for piece in pieces:
        if used + width_of(piece.text.rstrip()) > width and used > indent:
            lines.append([Cell(" " * indent)])
            used = indent
        room = max(width - used, 2)
        if width_of(piece.text.rstrip()) > room:
            first, *rest = wrapped(piece.text, room)
            lines[-1].append(Cell(first, piece.role))
            lines += [[Cell(" " * min(indent, width - room)), Cell(text, piece.role)] for text in rest]
            used = width
            continue
        lines[-1].append(piece)
        used += width_of(piece.text)
    return lines


def _paragraph(text: str, width: int, pen: Glyphs, role: str = "text", indent: int = 0) -> list[Cells]:
    indent = min(indent, max(width - 2, 0))
    return [
        [Cell(" " * indent), Cell(line, role)] for line in wrapped(said(text, pen), max(width - indent, 2))
    ]


def _rows(shown: Shown, width: int, pen: Glyphs) -> list[tuple[Cells, str]]:
    """The fields, the facts, the reason, the phrase. Once sent: what it was, for the rest grows old."""
    decision = shown.decision
    made: list[tuple[Cells, str]] = []
    if decision.sent:
        for label, text in (("Decided", decision.plan.summary), ("Reason", decision.reason)):
            pieces = [_label(label, False, pen), Cell(f" {said(text, pen)}")]
            made += [(cells, "") for cells in _flowed(pieces, width, LABEL)]
        return made
    for field in decision.form.fields:
        row = f"{FIELD}{field.id}"
        made += [(cells, row) for cells in _field(field, shown, width, pen)]
    facts = decision.form.facts(width, "unicode" if pen is GLYPHS["unicode"] else "ascii")
    made += [(list(line.cells), "") for line in facts]
    if not decision.is_local:
        made += [(cells, REASON) for cells in _reason(shown, width, pen)]
    if decision.wanted_phrase:
        made += [(cells, PHRASE) for cells in _phrase(shown, width, pen)]
    return made


def _label(text: str, is_focused: bool, pen: Glyphs) -> Cell:
    # A label that is longer than its column keeps a space behind it.
    return Cell(f"{said(text, pen)} ".ljust(LABEL), "title" if is_focused else "muted")


def _field(field: Field, shown: Shown, width: int, pen: Glyphs) -> Iterator[Cells]:
    is_focused = shown.focus == f"{FIELD}{field.id}"
    label = _label(field.label, is_focused, pen)
    if isinstance(field, Entry):
        pieces = [label, *_typed(field.text, is_focused), Cell(said(f"   {field.hint}", pen), "muted")]
        yield from _flowed(pieces, width, LABEL)
        if field.wrong:
            yield from _paragraph(field.wrong, width, pen, "refused", LABEL)
        return
    pieces = [label, *_options(field, shown, is_focused, pen)]
    if field.note:
        pieces.append(Cell(said(f"  {field.note}", pen), "muted"))
    yield from _flowed(pieces, width, LABEL)
    if is_focused:
        for option in field.options:
            if option.why:
                yield from _paragraph(f"{option.label}: {option.why}", width, pen, "disabled", LABEL)


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
        yield Cell(pen.pointer if is_pointed else " ", role)
        yield Cell(f"{text}", role)
        yield Cell("  ")


def _typed(text: str, is_focused: bool) -> list[Cell]:
    shown = f" {text}_" if is_focused else f" {text or '-'}"
    return [Cell(shown, "title" if is_focused or text else "muted")]


def _reason(shown: Shown, width: int, pen: Glyphs) -> Iterator[Cells]:
    decision = shown.decision
    is_focused = shown.focus == REASON
    pieces = [_label("Reason", is_focused, pen), *_typed(decision.reason, is_focused)]
    yield from _flowed(pieces, width, LABEL)
    offered = [Cell(f" {n} {said(one, pen)}  ", "muted") for n, one in enumerate(shown.offered, 1)]
    yield from _flowed([Cell(" " * LABEL), *offered], width, LABEL)


def _phrase(shown: Shown, width: int, pen: Glyphs) -> Iterator[Cells]:
    decision = shown.decision
    is_focused = shown.focus == PHRASE
    label = _label("Type", is_focused, pen)
    if decision.is_typed:
        text = f" {decision.wanted_phrase}   {pen.passed} typed"
        yield from _flowed([label, Cell(text)], width, LABEL)
        return
    pieces = [label, Cell(f" {decision.wanted_phrase}", "title"), Cell("   to go on:  ", "muted")]
    yield from _flowed([*pieces, *_typed(decision.phrase, is_focused)], width, LABEL)


def _moved(shown: Shown, width: int, pen: Glyphs) -> list[tuple[Cells, str]]:
    """What somebody else changed while the dialog was open (S8)."""
    if not shown.decision.moved or shown.decision.sent:
        return []
    return [
        ([Cell(said("CHANGED since this dialog was opened; look again:", pen), "conflict")], ""),
        *_differences(shown.decision.moved, width, pen),
    ]


def _differences(changes: Sequence[Difference], width: int, pen: Glyphs) -> list[tuple[Cells, str]]:
    return [
        (cells, "")
        for what, before, after in changes
        for cells in _paragraph(f"{what}: {before} {pen.arrow} {after}", width, pen, indent=2)
    ]


def _told(shown: Shown, width: int, pen: Glyphs) -> list[tuple[Cells, str]]:
    """The dry run by the plane, then what the client expects."""
    decision = shown.decision
    if decision.is_local or decision.sent:
        return []
    rule: tuple[Cells, str] = ([Cell(pen.rule * width, "muted")], "")
    made = [rule, *((cells, "") for cells in _dry_run(shown, width, pen))]
    run = decision.current_dry_run
    rehearsals = {str(one.intent.target): one for one in run.rehearsals} if run else {}
    glyphs = "unicode" if pen is GLYPHS["unicode"] else "ascii"
    if forecast := decision.form.forecast(rehearsals, width, glyphs):
        made.append(([Cell("FORECAST ", "title"), Cell("(client; may read UNKNOWN)", "muted")], ""))
        made += [(list(line.cells), "") for line in forecast]
    return made


def _dry_run(shown: Shown, width: int, pen: Glyphs) -> Iterator[Cells]:
    decision, run = shown.decision, shown.decision.current_dry_run
    heading = Cell("DRY RUN ", "title")
    if decision.plan.problem:
        yield from _flowed(
            [heading, Cell(said("not asked: nothing to do as it stands", pen), "muted")], width, 2
        )
        return
    if run is None:
        yield from _flowed([heading, Cell(said("asking the control plane…", pen), "muted")], width, 2)
        return
    old = f", {age(shown.now - run.asked_at)} ago{', asking again' if shown.is_asking else ''}"
    etags = ", ".join(dict.fromkeys(f"rev {one.etag}" for one in run.rehearsals if one.etag))
    pieces = [
        heading,
        Cell(said(f"(server{', ' if etags else ''}{etags}{old})   ", pen), "muted"),
        _verdict(run, pen),
    ]
    yield from _flowed(pieces, width, 2)
    if run.failure:
        yield from _paragraph(run.failure, width, pen, "refused", 2)
    for cells, _ in _differences(differences([one for one in run.rehearsals if one.would_apply]), width, pen):
        yield cells
    for one in run.rehearsals:
        yield from _rehearsal(one.intent, one.refusal, one.moved, one.warnings, width, pen)


def _verdict(run: DryRun, pen: Glyphs) -> Cell:
    if run.failure:
        return Cell("no answer", "refused")
    if refused := run.refusals:
        of = f" {len(refused)} of {len(run.rehearsals)}" if len(run.rehearsals) > 1 else ""
        return Cell(said(f"would be refused{of}", pen), "refused")
    warnings = sum(len(one.warnings) for one in run.rehearsals)
    return Cell(f"would apply, {counted(str(warnings), 'warning')}", "straddles" if warnings else "text")


def _rehearsal(
    intent: Intent,
    refusal: str,
    changed: Sequence[Difference],
    warnings: Sequence[str],
    width: int,
    pen: Glyphs,
) -> Iterator[Cells]:
    if refusal:
        yield from _paragraph(f"{intent.target}: {refusal}", width, pen, "refused", 2)
        for cells, _ in _differences(changed, width, pen):
            yield cells
    for warning in warnings:
        yield from _paragraph(f"{intent.target}: warning: {warning}", width, pen, "conflict", 2)


def _outcomes(shown: Shown, width: int, pen: Glyphs) -> list[tuple[Cells, str]]:
    """One line for each target: sent, and what became of it (S10)."""
    decision = shown.decision
    if not decision.sent:
        return []
    made: list[tuple[Cells, str]] = [([Cell(pen.rule * width, "muted")], "")]
    by = f" by {shown.actor}" if shown.actor else ""
    made.append(([Cell("SENT", "title"), Cell(f"{by}, one decision", "muted")], ""))
    is_first = True
    for intent in decision.sent:
        outcome = decision.outcomes.get(intent.key)
        text, role = _became(outcome, is_first, pen)
        is_first = is_first and outcome is not None and outcome.is_final
        made += [(cells, "") for cells in _paragraph(f"{intent.target}  {text}", width, pen, role, 2)]
        if outcome is not None:
            made += _differences(outcome.moved, width, pen)
    return made


def _became(outcome: Outcome | None, is_next: bool, pen: Glyphs) -> tuple[str, str]:
    if outcome is None:
        return ("sent…", "pending") if is_next else ("waits for the target before it", "muted")
    if not outcome.is_final and outcome.kind is OutcomeKind.UNKNOWN:
        return f"sent {pen.arrow} no answer yet: looking… {outcome.text}", "unknown"
    mark = {OutcomeKind.APPLIED: pen.passed, OutcomeKind.PENDING: pen.ellipsis, OutcomeKind.UNKNOWN: "?"}
    word = "UNKNOWN" if outcome.kind is OutcomeKind.UNKNOWN else outcome.kind.value
    start = f"sent {pen.arrow} " if outcome.was_sent else "not sent: "
    return f"{start}{mark.get(outcome.kind, pen.failed)} {word}: {outcome.text}", ROLES[outcome.kind]


def _explained(shown: Shown, width: int, pen: Glyphs) -> list[tuple[Cells, str]]:
    """What `y` needs, line by line (D16)."""
    if not shown.is_explained or shown.decision.sent:
        return []
    made: list[tuple[Cells, str]] = [([Cell(pen.rule * width, "muted")], "")]
    made.append(([Cell("WHY ", "title"), Cell("y applies when all of this holds:", "muted")], ""))
    for need in shown.needs:
        mark, role = (pen.passed, "text") if need.is_met else (pen.failed, "refused")
        made += [(cells, "") for cells in _paragraph(f"{mark} {need.text}", width, pen, role, 2)]
    return made


def _foot(shown: Shown, width: int, pen: Glyphs) -> Iterator[Cells]:
    """What `y` would do, or why it does nothing, or the answer to the last key; then the buttons."""
    decision = shown.decision
    why = missing(shown.needs)
    if shown.answer:
        yield from _paragraph(clean(shown.answer, 400), width, pen)
    elif decision.sent:
        over = "done: esc closes" if decision.is_over else "sent: it goes on if this is closed"
        yield from _paragraph(over, width, pen, "muted")
    elif why:
        yield from _paragraph(f"y is off: {why}", width, pen, "disabled")
    else:
        yield from _paragraph(f"y: {decision.plan.summary}", width, pen)
    yield from _flowed(list(_buttons(shown, not why, pen)), width, 1)


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
    yield Cell(" why")
