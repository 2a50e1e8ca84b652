"""The name of a model as cells: which cluster serves it, and whether its counts and times belong together."""

from collectors.fleet import Model
from collectors.readings import GRADE_A, GRADE_B, Quality, Reading
from tui.format import UNICODE, Glyphs, fit, width_of
from tui.widgets.lines import Cell

MODEL_LEAST, CLUSTER_LEAST = 12, 7
"""Cells that a model keeps before its cluster is cut, and that one, its `@` included, before both are."""

NO_ROOM = 10
"""In a narrower column the name has every cell, and no mark stands behind it."""


def name_cells(model: Model, width: int, glyphs: Glyphs = UNICODE, *, no_data: bool = False) -> list[Cell]:
    """The model's name in `width` cells, its cluster dim, the truth mark in the last cell if it has one."""
    mark = truth_mark(model.readings.get("little_error"), glyphs)
    marked = mark is not None and width >= NO_ROOM
    head, tail = named(model.name, model.cluster, width - marked, glyphs)
    role = "stale" if no_data else "text"
    cells = [Cell(head, role), Cell(tail, role if no_data else "muted")]
    return [*cells, mark] if marked and mark is not None else cells


def name_width(model: Model) -> int:
    """Cells that the name and its mark would fill."""
    return width_of(model.name) + ("little_error" in model.readings)


def truth_mark(one: Reading | None, glyphs: Glyphs = UNICODE) -> Cell | None:
    """How a model's counts and times agree by Little's law, in one cell; None if nobody checked.

    `=` within 10 %, `≃` within 25 %, `≠` beyond, `~` for a check that is old, `?` where the load moves too
    fast for the law to hold. A blank: it was checked and is gone, or is still collecting.
    """
    if one is None:
        return None
    if one.quality is Quality.UNKNOWN:
        return Cell("?", "unknown")
    if one.value is None:
        return Cell(" ")
    if one.quality is Quality.STALE:
        return Cell(glyphs.no_data, "stale")
    told = grade(one)
    if not told:
        return Cell(glyphs.differs, "suspect")
    return Cell(glyphs.agrees if told == "A" else glyphs.nearly, "muted")


def grade(one: Reading) -> str:
    """`A` or `B` for an error of Little's law that can be lived with; empty for one that cannot, or none.

    source: capacity rules 1.3 and formula 2.2
    """
    error = one.estimate
    if error is None or one.quality is Quality.SUSPECT or error > GRADE_B:
        return ""
    return "A" if error <= GRADE_A else "B"


def named(name: str, cluster: str, width: int, glyphs: Glyphs = UNICODE) -> tuple[str, str]:
    """A model's name in `width` cells: what comes before its cluster, then `@cluster` and what pads.

    Where both do not fit, the model is cut down to MODEL_LEAST cells; then the cluster, at its front, for
    clusters differ in their endings, to CLUSTER_LEAST; then the model again: both can be told apart.
    cluster: "" where there is one; else the name ends in `@cluster`
    """
    tail = f"@{cluster}"
    if not cluster or not name.endswith(tail):
        return fit(name, width, glyphs), ""
    head = name.removesuffix(tail)
    least = min(width_of(tail), CLUSTER_LEAST, width // 2)
    room = max(min(width_of(tail), width - min(width_of(head), MODEL_LEAST)), least)
    kept = fit(head, min(width_of(head), width - room), glyphs)
    left = width - width_of(kept)
    return kept, fit(_ending(tail, left, glyphs), left, glyphs)


def _ending(tail: str, width: int, glyphs: Glyphs) -> str:
    """`@…st-1`: as much of the cluster's end as fits."""
    if width_of(tail) <= width:
        return tail
    lead = f"@{glyphs.ellipsis}"
    return next(
        (lead + tail[start:] for start in range(2, len(tail)) if width_of(lead + tail[start:]) <= width), tail
    )
