"""The timeline: who did what, alerts, stages, sources, clock and bookmarks, in order of time."""

from collections.abc import Iterator

from collectors.recording.report.document import Block, Cell, Column, Paragraph, Section, Table, Tone
from collectors.recording.report.facts import Facts
from collectors.recording.report.left_open import became
from collectors.recording.report.words import clock, day, length, who

ROWS = 400
"""Rows of the timeline: what was only looked at, then what cleared, is left out first, and counted."""

_LEAST_FIRST = ("look", "cleared", "note", "alert P3", "alert P2", "source", "fault", "alert P1")
_TONES: dict[str, Tone] = {
    "alert P1": "bad",
    "alert P2": "warn",
    "action": "strong",
    "lost": "warn",
    "source": "warn",
    "clock": "warn",
    "gap": "warn",
    "fault": "bad",
    "look": "muted",
    "cleared": "good",
}
_TITLES = {
    "action": "action",
    "look": "looked at",
    "gap": "not recorded",
    "run": "recording",
    "lost": "recording",
    "mark": "bookmark",
}

Row = tuple[float, str, str, str, str]
"""When, kind, who, about what, and the words."""


def timeline(facts: Facts) -> Section:
    """Everything that happened, one row each."""
    rows = sorted(_rows(facts), key=lambda row: row[0])
    left_out = 0
    for kind in _LEAST_FIRST:
        if len(rows) <= ROWS:
            break
        kept = [row for row in rows if row[1] != kind]
        spare = max(ROWS - len(kept), 0)
        own = [row for row in rows if row[1] == kind]
        left_out += len(own) - len(own[:spare])
        rows = sorted(kept + own[:spare], key=lambda row: row[0])
    left_out += len(rows[ROWS:])
    rows = rows[:ROWS]
    columns = (Column("UTC"), Column("What"), Column("Who"), Column("About"), Column("In words"))
    cells = []
    is_several_days = day(facts.start) != day(facts.end)
    for at, kind, name, subject, text in rows:
        when = f"{day(at)} {clock(at)}" if is_several_days else clock(at)
        title = Cell(_TITLES.get(kind, kind), _TONES.get(kind, ""))
        cells.append((Cell(when), title, Cell(name), Cell(subject), Cell(text)))
    blocks: list[Block] = (
        [Table(columns, tuple(cells))] if cells else [Paragraph("Nothing happened, as far as is recorded.")]
    )
    if left_out or facts.left_out:
        count = left_out + facts.left_out
        blocks.append(Paragraph(f"{count} lesser rows are left out: replay the recording to see them all."))
    return Section("Timeline", tuple(blocks))


def _rows(facts: Facts) -> Iterator[Row]:
    for one in facts.decisions:
        asked = "; ".join(f"{aim.name}: {aim.asked}" for aim in one.aims)
        reason = f" Reason: {one.reason}" if one.reason else ""
        yield one.at, "action", one.actor or "not recorded", f"action {one.number}", f"{asked}.{reason}"
        for aim in one.aims:
            for answer in aim.answers:
                if answer.is_final:
                    name = one.actor or "not recorded"
                    yield answer.at, "action", name, aim.name, became(answer, facts)
    for happened in facts.happened:
        name = who(happened.who) if happened.who else ""
        yield happened.at, happened.kind, name, happened.subject, happened.text
    for mark in facts.marks:
        yield mark.at, "mark", mark.actor or "not recorded", "", mark.note or "(no note)"
    for gap in facts.gaps:
        yield gap.start, "gap", "tidegate", "", f"nothing for {length(gap.end - gap.start)}: {gap.why}"
    seen = None
    for look in facts.looks:
        view = look.view
        now = (view.screen, view.subject, view.dialog)
        if now != seen and (view.subject or view.dialog or seen is not None):
            dialog = f", dialog “{view.dialog}”" if view.dialog else ""
            yield look.at, "look", facts.operator or "operator", view.subject, f"{view.screen} screen{dialog}"
        seen = now
