"""A document as one HTML page that stands alone: no script, nothing from elsewhere, all text escaped."""

import base64
import hashlib
from collections.abc import Iterator
from html import escape
from importlib.resources import files

from collectors.recording.report.charts import drawing
from collectors.recording.report.document import (
    TEXT,
    Block,
    Card,
    Cell,
    Document,
    Figures,
    Paragraph,
    Picture,
    Points,
    Table,
)
from collectors.text import clean

WORD = 24
"""A longer word may be broken anywhere, so that no name makes a table wider than its page."""


def render_page(document: Document) -> str:
    """The whole page. Its policy lets in its own style sheet, known by its digest, and nothing else."""
    style = files("collectors.recording.report").joinpath("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    body = "".join(_body(document))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer"><meta name="color-scheme" content="light dark">'
        f"<title>{_text(document.title)}</title><style>{style}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def _text(text: str) -> str:
    return escape(clean(text, TEXT))


def _body(document: Document) -> Iterator[str]:
    badges = "".join(f'<span class="badge">{_text(badge)}</span>' for badge in document.badges)
    yield f"<header><h1>{_text(document.title)}</h1><p>{_text(document.under)} {badges}</p></header>"
    for number, section in enumerate(document.sections):
        yield f"<section><h2>{_text(section.title)}</h2>"
        for place, block in enumerate(section.blocks):
            yield from _block(block, f"s{number}b{place}")
        yield "</section>"


def _block(block: Block, name: str) -> Iterator[str]:
    if isinstance(block, Paragraph):
        lead = f"<strong>{_text(block.lead)}</strong> " if block.lead else ""
        style = f' class="{block.tone}"' if block.tone else ""
        yield f"<p{style}>{lead}{_text(block.text)}</p>"
    elif isinstance(block, Points):
        yield "<ul>" + "".join(f"<li>{_text(item)}</li>" for item in block.items) + "</ul>"
    elif isinstance(block, Table):
        yield from _table(block)
    elif isinstance(block, Figures):
        yield '<dl class="figures">'
        for one in block.items:
            yield f'<div class="{one.tone}"><dt>{_text(one.label)}</dt><dd>{_text(one.value)}</dd>'
            yield f"<dd>{_text(one.note)}</dd></div>"
        yield "</dl>"
    elif isinstance(block, Card):
        yield f"<article><h3>{_text(block.title)}</h3><p>{_text(block.under)}</p>"
        for place, part in enumerate(block.blocks):
            yield from _block(part, f"{name}c{place}")
        yield "</article>"
    else:
        yield from _picture(block, name)


def _picture(picture: Picture, name: str) -> Iterator[str]:
    yield f"<figure><figcaption>{_text(picture.title)}</figcaption>{drawing(picture, name)}</figure>"


def _table(table: Table) -> Iterator[str]:
    head = "".join(
        f'<th scope="col"{_class("number" if column.is_number else "")}>{_text(column.title)}</th>'
        for column in table.columns
    )
    yield f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>'
    for row in table.rows:
        yield "<tr>"
        for column, cell in zip(table.columns, row, strict=True):
            yield f"<td{_class(_style(cell, is_number=column.is_number))}>{_text(cell.text)}</td>"
        yield "</tr>"
    yield "</tbody></table></div>"


def _style(cell: Cell, *, is_number: bool) -> str:
    is_long = any(len(word) > WORD for word in cell.text.split())
    return " ".join(filter(None, ("number" if is_number else "", cell.tone, "long" if is_long else "")))


def _class(style: str) -> str:
    return f' class="{style}"' if style else ""
