"""A document as Markdown, as GitHub and GitLab read it. No text of the recording can start markup or HTML."""

import unicodedata
from collections.abc import Sequence

from collectors.recording.report.document import (
    TEXT,
    AlertPanel,
    Block,
    Card,
    Document,
    Figures,
    LevelPanel,
    Panel,
    Paragraph,
    Picture,
    Points,
    RatePanel,
    Table,
)
from collectors.recording.report.ledger import BINS
from collectors.recording.report.words import clock, number, seconds
from collectors.text import clean

SPARK, SPARKS = 60, "▁▂▃▄▅▆▇█"


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, and that does nothing in a reader of HTML or of templates.

    `<` and `&` become entities; what could begin markup stands behind a backslash; no address is a link.
    """
    kept = clean(text, TEXT)
    return "".join(_shown(kept, n, character) for n, character in enumerate(kept))


def _shown(text: str, n: int, character: str) -> str:
    if character in _ENTITIES:
        return _ENTITIES[character]
    before, after = text[:n], text[n + 1 : n + 2]
    if character in "\\`*[]{}~|$":
        return f"\\{character}"
    if character == "_":
        return "_" if before[-1:].isalnum() and after.isalnum() else "\\_"
    if character in "+-" and not before.strip() and after in ("", " ", character):
        return f"\\{character}"
    if character in "=#>" and not before.strip():
        return f"\\{character}"
    if character in ".)" and before.strip().isdigit() and after in ("", " "):
        return f"\\{character}"
    if character == ":" and text[n + 1 : n + 3] == "//":
        return ":\\"
    if character == "." and before[-3:].lower() == "www":
        return "\\."
    return character


_ENTITIES = {"<": "&lt;", "&": "&amp;"}


def render_markdown(document: Document) -> str:
    """The whole document, ending in a line break."""
    lines = [f"# {escaped(document.title)}", ""]
    lines += ["".join(f"**{escaped(badge)}** · " for badge in document.badges) + escaped(document.under), ""]
    for section in document.sections:
        lines += [f"## {escaped(section.title)}", ""]
        for block in section.blocks:
            lines += _block(block)
    return "\n".join(lines).rstrip() + "\n"


def _block(block: Block) -> list[str]:
    if isinstance(block, Paragraph):
        lead = f"**{escaped(block.lead)}** " if block.lead else ""
        return [lead + escaped(block.text), ""]
    if isinstance(block, Points):
        return [*(f"- {escaped(item)}" for item in block.items), ""]
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Figures):
        rows = [
            f"| {escaped(one.label)} | **{escaped(one.value)}** | {escaped(one.note)} |"
            for one in block.items
        ]
        return ["| | | |", "|---|---|---|", *rows, ""]
    if isinstance(block, Card):
        lines = [f"### {escaped(block.title)}", "", escaped(block.under), ""]
        for part in block.blocks:
            lines += _block(part)
        return lines
    return _picture(block)


def _table(table: Table) -> list[str]:
    head = "| " + " | ".join(escaped(column.title) for column in table.columns) + " |"
    rule = "|" + "|".join("---:" if column.is_number else "---" for column in table.columns) + "|"
    rows = ["| " + " | ".join(escaped(cell.text) or " " for cell in row) + " |" for row in table.rows]
    return [head, rule, *rows, ""]


def _picture(picture: Picture) -> list[str]:
    """Sparklines in a block of code, in which nothing is markup: names in it lose their backticks."""
    lines = [f"{'':<26} {clock(picture.start)[:5]:<{SPARK - 5}}{clock(picture.end)[:5]}"]
    for panel in picture.panels:
        name = clean(panel.title, 26).replace("`", "'")
        lines.append(f"{name}{' ' * (26 - _width(name))} {_spark(panel, picture)}")
    for pin in picture.pins:
        place = _place(pin.at, picture)
        label = clean(pin.label, 60).replace("`", "'")
        lines.append(f"{'':<26} {' ' * place}^ {pin.number}: {label}")
    told = f"Each row from {clock(picture.start)} to {clock(picture.end)} UTC; a dot: not known."
    return [f"### {escaped(picture.title)}", "", "```text", *lines, "```", "", told, ""]


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _place(at: float, picture: Picture) -> int:
    part = (at - picture.start) / (picture.end - picture.start)
    return min(max(int(part * SPARK), 0), SPARK - 1)


def _spark(panel: Panel, picture: Picture) -> str:
    if isinstance(panel, AlertPanel):
        marks = [" "] * SPARK
        for start, end in panel.spans:
            for n in range(_place(start, picture), _place(end, picture) + 1):
                marks[n] = "■"
        return "".join(marks)
    if isinstance(panel, LevelPanel):
        return _level_spark(panel, picture)
    if isinstance(panel, RatePanel):
        values = _coarse(panel.asked)
        most = max((v for v in values if v is not None), default=0.0)
        return f"{_glyphs(values, most)} most {number(most)}/s"
    values = _coarse([None if p is None else p.estimate for p in panel.points])
    if all(value is None for value in values):
        return f"{_glyphs(values, 0.0)} p99 not known"
    most = max((v for v in values if v is not None), default=0.0)
    promised = f", promised {seconds(panel.objective)}" if panel.objective is not None else ""
    return f"{_glyphs(values, most)} worst p99 {seconds(most)}{promised}"


def _level_spark(panel: LevelPanel, picture: Picture) -> str:
    values: list[float | None] = [None] * SPARK
    ends = [at for at, _ in panel.steps[1:]] + [picture.end]
    for (at, level), end in zip(panel.steps, ends, strict=True):
        for n in range(_place(at, picture), _place(end, picture) + 1):
            values[n] = level
    last = panel.steps[-1][1]
    told = "not known" if last is None else f"admits {last * 100:.3g}%"
    return f"{_glyphs(values, 1.0)} at the end {told}"


def _coarse(values: Sequence[float | None]) -> list[float | None]:
    """As many values as a spark has, the greatest of each part."""
    size = BINS // SPARK
    parts = [[v for v in values[n * size : (n + 1) * size] if v is not None] for n in range(SPARK)]
    return [max(part) if part else None for part in parts]


def _glyphs(values: Sequence[float | None], most: float) -> str:
    return "".join("·" if v is None else SPARKS[min(int(v / most * 8), 7) if most > 0 else 0] for v in values)
