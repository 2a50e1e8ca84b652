"""A report as content without form: sentences, tables and pictures, that each writer writes its way.

Every text is plain: names and reasons of the recording stand in it as they are, and writers make them inert.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from collectors.recording.report.ledger import Point
from collectors.sessions import Gap

TEXT = 2000
"""Longest text that is written, in characters."""

Tone = Literal["", "bad", "warn", "good", "muted", "lead", "strong"]
"""What a text means; the words say it too, so that a reader without colours loses nothing."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table, or one figure."""

    text: str
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A few sentences. `lead`: a word or two in front of them, written bold."""

    text: str
    lead: str = ""
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Points:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A column's title; numbers stand on the right."""

    title: str
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells, as many in each as there are columns."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """A number to see first: what it is, how much, and what to know of it."""

    label: str
    value: str
    note: str
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """Numbers side by side."""

    items: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Pin:
    """Something done at a moment, drawn through every panel. number: of the action."""

    at: float
    number: int
    label: str


@dataclass(frozen=True, slots=True)
class WaitPanel:
    """The p99 wait of a tier over time, with its bucket, against what was promised (None: nothing)."""

    title: str
    objective: float | None
    points: tuple[Point | None, ...]


@dataclass(frozen=True, slots=True)
class RatePanel:
    """Requests a second that came, and of these turned away."""

    title: str
    asked: tuple[float | None, ...]
    refused: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class LevelPanel:
    """The share that a throttle admits, as steps: from each time on, a level (None: nobody knew)."""

    title: str
    steps: tuple[tuple[float, float | None], ...]


@dataclass(frozen=True, slots=True)
class AlertPanel:
    """Stretches in which alerts of one severity were on the screen."""

    title: str
    severity: str
    spans: tuple[tuple[float, float], ...]


Panel: TypeAlias = WaitPanel | RatePanel | LevelPanel | AlertPanel


@dataclass(frozen=True, slots=True)
class Picture:
    """Panels over the same time, one below the other. `told`: the picture in a sentence."""

    title: str
    told: str
    start: float
    end: float
    panels: tuple[Panel, ...]
    pins: tuple[Pin, ...]
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """Something with a headline, a line under it, and what belongs to it."""

    title: str
    under: str
    blocks: "tuple[Paragraph | Points | Table, ...]"


Block: TypeAlias = Paragraph | Points | Table | Figures | Picture | Card


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks under a title."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report. badges: what to know before reading, such as SIMULATED."""

    title: str
    under: str
    badges: tuple[str, ...]
    sections: tuple[Section, ...]
