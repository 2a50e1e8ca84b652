"""What a dialog tells of its plan: what others changed, dry run, forecast, and what became of it. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from collectors.intents import Difference, Intent, Outcome, OutcomeKind
from tui.dialogs.decision import Decision, DryRun
from tui.dialogs.form import differences
from tui.dialogs.shown import Cells, Shown, flowed, paragraph
from tui.format import GLYPHS, Glyphs, age, counted, said, width_of
from tui.widgets.lines import Cell, Line

ROLES: Mapping[OutcomeKind, str] = {
    OutcomeKind.APPLIED: "applied",
    OutcomeKind.PENDING: "pending",
    OutcomeKind.REFUSED: "refused",
    OutcomeKind.CONFLICT: "conflict",
    OutcomeKind.UNKNOWN: "unknown",
}


def moved_lines(shown: Shown, width: int, pen: Glyphs) -> list[tuple[Cells, str]]:
    """What somebody else changed while the dialog was open (S8)."""
    if not shown.decision.moved or shown.decision.sent:
        return []
    heading = Cell(said("CHANGED while this was open; ctrl-r takes it as it is now:", pen), "conflict")
    return [([heading], ""), *_differences(shown.decision.moved, width, pen)]


def _differences(changes: Sequence[Difference], width: int, pen: Glyphs) -> list[tuple[Cells, str]]:
    return [
        (cells, "")
        for what, before, after in changes
        for cells in paragraph(
            f"{what}: {before} {pen.arrow} {after}" if before else f"{what}: {after}", width, pen, indent=2
        )
    ]


def told_lines(shown: Shown, width: int, pen: Glyphs) -> list[tuple[Cells, str]]:
    """The dry run by the plane, then what the client expects."""
    decision = shown.decision
    if decision.is_local or decision.sent:
        return []
    rule: tuple[Cells, str] = ([Cell(pen.rule * width, "muted")], "")
    made = [rule, *((cells, "") for cells in _dry_run(shown, width, pen))]
    run = decision.current_dry_run
    rehearsals = {str(one.intent.target): one for one in run.rehearsals} if run else {}
    glyphs = "unicode" if pen is GLYPHS["unicode"] else "ascii"
    forecast = decision.form.forecast(rehearsals, width, glyphs)
    return [*made, *((cells, "") for cells in _forecast(forecast, width))]


def _forecast(lines: Sequence[Line], width: int) -> list[Cells]:
    """What the client expects; a single line stands behind the heading, where there is room."""
    if not lines:
        return []
    heading = Cell("FORECAST ", "title")
    if len(lines) == 1 and (cells := lines[0].cells):
        first = Cell(cells[0].text.lstrip(), cells[0].role)
        row = [heading, Cell("(client) ", "muted"), first, *cells[1:]]
        if sum(width_of(cell.text) for cell in row) <= width:
            return [row]
    return [[heading, Cell("(client; may read UNKNOWN)", "muted")], *(list(line.cells) for line in lines)]


def _dry_run(shown: Shown, width: int, pen: Glyphs) -> Iterator[Cells]:
    """The changes, refusals and warnings of a dry run, in full. The foot has its verdict."""
    run = shown.decision.current_dry_run
    if run is None:
        return
    etags = ", ".join(dict.fromkeys(f"rev {one.etag}" for one in run.rehearsals if one.etag))
    server = f"(server{', ' if etags else ''}{etags})"
    yield from flowed([Cell("DRY RUN ", "title"), Cell(said(server, pen), "muted")], width, 2)
    if run.failure:
        yield from paragraph(run.failure, width, pen, "refused", 2)
    for cells, _ in _differences(differences([one for one in run.rehearsals if one.would_apply]), width, pen):
        yield cells
    for one in run.rehearsals:
        yield from _rehearsal(one.intent, one.refusal, one.moved, one.warnings, width, pen)


def verdict(shown: Shown, pen: Glyphs) -> Cells:
    """What the dry run says, in one line: how old it is, and whether the plane would do it."""
    run = shown.decision.current_dry_run
    if shown.decision.plan.problem:
        return [
            Cell("DRY RUN ", "title"),
            Cell(said("not asked: nothing to do as it stands", pen), "muted"),
        ]
    if run is None:
        return [Cell("DRY RUN ", "title"), Cell(said("asking the control plane…", pen), "muted")]
    again = ", asking again" if shown.is_asking else ""
    words, role = _verdict(run)
    return [
        Cell("DRY RUN ", "title"),
        Cell(f"{age(shown.now - run.asked_at)} ago{again}: ", "muted"),
        Cell(said(words, pen), role),
    ]


def _verdict(run: DryRun) -> tuple[str, str]:
    """The words and their role."""
    if run.failure:
        return f"no answer: {run.failure}", "refused"
    if refused := run.refusals:
        of = f" {len(refused)} of {len(run.rehearsals)}" if len(run.rehearsals) > 1 else ""
        return f"would be refused{of}: {refused[0].intent.target}: {refused[0].refusal}", "refused"
    warnings = sum(len(one.warnings) for one in run.rehearsals)
    found = sum(len(one.changes) for one in run.rehearsals)
    changes = f"{counted(str(found), 'change')}, " if found else ""
    own = f"{counted(str(warnings), 'warning') if warnings else 'no warnings'} of its own"
    return f"the plane would apply it: {changes}{own}", "straddles" if warnings else "text"


def _rehearsal(
    intent: Intent,
    refusal: str,
    changed: Sequence[Difference],
    warnings: Sequence[str],
    width: int,
    pen: Glyphs,
) -> Iterator[Cells]:
    if refusal:
        yield from paragraph(f"{intent.target}: {refusal}", width, pen, "refused", 2)
        for cells, _ in _differences(changed, width, pen):
            yield cells
    for warning in warnings:
        yield from paragraph(f"{intent.target}: warning: {warning}", width, pen, "conflict", 2)


def outcomes_lines(shown: Shown, width: int, pen: Glyphs) -> list[tuple[Cells, str]]:
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
        made += [(cells, "") for cells in paragraph(f"{intent.target}  {text}", width, pen, role, 2)]
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


def becomes(decision: Decision) -> str:
    """How a dialog is closed whose decision is over, and, if it was applied, where its effect is told."""
    done = "done: esc closes"
    kinds = {one.target.kind for one in decision.sent if _is_applied(decision.outcomes.get(one.key))}
    if not kinds:
        return done
    return f"{done}; {'the events tell' if kinds == {'throttle'} else 'its page shows'} what follows"


def _is_applied(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.kind is OutcomeKind.APPLIED
