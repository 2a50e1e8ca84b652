"""What a dialog asks: its fields, what it would do as it is filled in, and what it has to say. Pure.

`DialogScreen` draws any form, reads its keys and carries it out; a form knows no screen and no network.
Forms are immutable: each change gives a new one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from collectors.intents import Difference, Intent, Rehearsal

if TYPE_CHECKING:
    from collectors.fleet import Frame
    from tui.widgets.lines import Line


class Level(IntEnum):
    """How much harm a mistake would do, and so what a dialog asks for.

    ONE: reversible, one cell or release: `y`. TWO: hard to reverse, or wider: a phrase and a reason, then
    `y`. THREE: global: a phrase with count and context, a reason and the role, then `y`.
    """

    ONE = 1
    TWO = 2
    THREE = 3


class Option(NamedTuple):
    """One thing to choose. `why` it cannot be chosen: a sentence; "" where it can."""

    id: str
    label: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A row of options: one of them, or, if `many`, any number (space ticks them).

    note: words behind the options, such as what is set now
    """

    id: str
    label: str
    options: tuple[Option, ...]
    chosen: tuple[str, ...]
    many: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row to type in. `hint` stands behind the text; `wrong`: why the text is of no use, "" if it is."""

    id: str
    label: str
    text: str
    hint: str = ""
    wrong: str = ""


Field = Choice | Entry


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done with the form as it stands.

    intents: one for each target, not yet `decided`; empty where there is a problem
    summary: what `y` does, in one line of plain words: "images/free: admit 50% → admit 30% for 30 min"
    problem: why nothing can be done as it stands, and what to do; "" where something can
    is_brake: it only tightens, pauses or aborts: no missing data stops it, and it needs no phrase, unless it
        takes a model from people whom nothing else serves
    phrase: what must be typed before `y`; "" for nothing
    """

    intents: tuple[Intent, ...] = ()
    summary: str = ""
    problem: str = ""
    level: Level = Level.ONE
    is_brake: bool = False
    phrase: str = ""


class Form(Protocol):
    """One dialog's content. Reason, typed phrase, dry run and buttons are the dialog's own: it adds them."""

    @property
    def key(self) -> str:
        """Names the dialog and its subject, such as "throttle image-generation": a reason that was half typed
        is found again by it."""
        ...

    @property
    def title(self) -> str:
        """The dialog's title: what, on what, and how many models it hits. The dialog adds the context."""
        ...

    @property
    def revision(self) -> str:
        """The etags that are bound, for people (`rev t-8`): if it changes, keys are held back anew (S4)."""
        ...

    @property
    def fields(self) -> Sequence[Field]:
        """The rows, from top to bottom."""
        ...

    @property
    def main(self) -> str:
        """Id of the choice that ←/→ change while the buttons have the focus; "" for none."""
        ...

    def with_choice(self, field: str, chosen: tuple[str, ...]) -> "Form":
        """With other options chosen; ones that may not be are left out."""
        ...

    def with_text(self, field: str, text: str) -> "Form":
        """With another text in an entry."""
        ...

    def seen(self, frame: "Frame") -> "Form":
        """On a newer frame: bound to the same ids (S7), with the etags and values of now."""
        ...

    def plan(self) -> Plan:
        """What would be done."""
        ...

    def facts(self, width: int, glyphs: str) -> Sequence["Line"]:
        """What is to be known before deciding, below the fields: every model hit, the stages, who opens."""
        ...

    def forecast(self, rehearsals: Mapping[str, Rehearsal], width: int, glyphs: str) -> Sequence["Line"]:
        """What the client expects of it; UNKNOWN with the reason where no model tells.

        rehearsals: the newest dry run of each target, by its text
        """
        ...


def differences(rehearsals: Sequence[Rehearsal]) -> tuple[Difference, ...]:
    """All changes of several dry runs, named by their target where there is more than one."""
    several = len(rehearsals) > 1
    return tuple(
        Difference(f"{one.intent.target} {change.what}" if several else change.what, *change[1:])
        for one in rehearsals
        for change in one.changes
    )
