"""What a throttle's dialog is about, for those who tell of it: cells, and the models that they hit. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from collectors.fleet import Feature, Frame, Model, Release, Throttle
from tui.format import Glyphs, said, width_of
from tui.screens.readings import wrapped
from tui.throttles import Move
from tui.widgets.lines import Cell, Line, line_of

LABEL = 11
"""Cells of the words before each paragraph, so that it begins below the options of the dialog."""

WAIT = "queue_wait_p99"


class Hits(NamedTuple):
    """The models that serve some features: as the frame has them, and names of which it knows no more."""

    models: tuple[Model, ...]
    unseen: tuple[str, ...]

    @property
    def number(self) -> int:
        """How many there are."""
        return len(self.models) + len(self.unseen)


def hits(frame: Frame, features: Sequence[Feature]) -> Hits:
    """The models that a throttle of these features hits, in the frame's order.

    A plane may call a model by another name than its metrics do: then the model knows which features it
    serves, and only names that no such model accounts for are unseen.
    """
    wanted = {name for feature in features for name in feature.models}
    found = {model.name for model in frame.models if wanted & {model.name, model.subject}}
    named = {name for model in frame.models if model.name in found for name in (model.name, model.subject)}
    unseen = [name for feature in features for name in dict.fromkeys(feature.models) if name not in named]
    if unseen:
        ids = {feature.id for feature in features if not named.issuperset(feature.models)}
        others = [m for m in frame.models if m.name not in found and ids.intersection(m.features)]
        found |= {model.name for model in others}
        # How many they account for can be told, though not which: all of them, or the names are shown.
        if len({model.subject for model in others}) >= len(set(unseen)):
            unseen = []
    return Hits(tuple(m for m in frame.models if m.name in found), tuple(dict.fromkeys(unseen)))


class Subject(NamedTuple):
    """What a dialog's facts are about.

    features, tiers: that are chosen; moves: their cells, as they are and would be
    changing: how many of the moves change anything
    """

    frame: Frame
    features: tuple[Feature, ...]
    tiers: tuple[str, ...]
    moves: tuple[Move, ...]
    changing: tuple[Move, ...]


def title(frame: Frame, tier: str) -> str:
    """A tier's title; its name where none is known."""
    return next((one.title for one in frame.tiers if one.name == tier), tier)


def name(cell: Throttle) -> str:
    """A cell as it is called: `image-generation/free`."""
    return f"{cell.feature}/{cell.tier}"


def by_subject(frame: Frame) -> Mapping[str, Release]:
    """The releases by what they open: looked up for every model and tier."""
    return {release.subject: release for release in reversed(frame.releases)}


def openness(releases: Mapping[str, Release], model: Model, tier: str) -> float | None:
    """Share of a tier that a model is open to, as its release has it; None where nothing tells."""
    release = releases.get(model.name) or releases.get(model.subject)
    if release is not None:
        return release.desired(tier)
    return 0.0 if model.reading(WAIT, tier).reason.code == "not-open" else None


def paragraph(
    label: str, text: str, width: int, glyphs: Glyphs, role: str = "text", label_role: str = "muted"
) -> Iterator[Line]:
    """`text` wrapped beside its label; nothing is cut, however long it is (D13). Lines of at most `width`."""
    indent = min(LABEL, width // 3)
    for number, part in enumerate(wrapped(said(text, glyphs), max(width - indent, 2))):
        head = said("" if number else label, glyphs)
        head += " " * max(indent - width_of(head), 0)
        yield line_of((Cell(head, label_role), Cell(part, role)), width, glyphs=glyphs)
