"""Requests that a throttle turns away and lets in: what is measured, and what follows from it. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from collectors.readings import NEVER, Quality, Reading
from tui.dialogs.throttle_subject import Subject, by_subject, hits, name, openness, paragraph
from tui.format import Glyphs, percent, rate, shown
from tui.throttles import Move, alike
from tui.widgets.lines import Line

UNKNOWN = "UNKNOWN: "

NAMED_MOST = 6
"""More cells than these are counted, not named, where there is nothing to tell of each."""


class Flow(NamedTuple):
    """Requests a second of one cell over the models that it hits, each sum as one reading.

    models: how many of those that are open to the tier tell of it, (n, m)
    """

    arrivals: Reading
    rejected: Reading
    models: tuple[int, int]


def flows(subject: Subject, moves: Sequence[Move]) -> Iterator[tuple[Move, Flow]]:
    """The requests of each cell, summed over the models that tell of them."""
    releases = by_subject(subject.frame)
    found = {feature.id: hits(subject.frame, (feature,)) for feature in subject.features}
    for move in moves:
        feature, tier = move.cell.feature, move.cell.tier
        cells = [model.cells.get(feature, {}).get(tier, {}) for model in found[feature].models]
        told = [cell for cell in cells if cell.get("arrivals", NEVER).estimate is not None]
        if not told:
            yield move, Flow(NEVER, NEVER, (0, found[feature].number))
            continue
        closed = sum(openness(releases, model, tier) == 0 for model in found[feature].models)
        arrivals = summed(cell["arrivals"] for cell in told)
        rejected = summed(cell.get("rejected", NEVER) for cell in told)
        there = max(found[feature].number - closed, len(told))
        yield move, Flow(arrivals, rejected, (len(told), there))


def summed(readings: Iterable[Reading]) -> Reading:
    """Rates added up, as believable as the worst of them; without a value where one has none."""
    some = list(readings)
    if not some:
        return NEVER
    if any(one.estimate is None for one in some):
        return next(one for one in some if one.estimate is None)
    order = list(Quality)
    worst = max(some, key=lambda one: order.index(one.quality))
    at = min((one.at for one in some if one.at is not None), default=None)
    return Reading(sum(one.estimate or 0.0 for one in some), at, worst.quality, worst.reason)


def rejected_text(subject: Subject, glyphs: Glyphs) -> str:
    """The share of each chosen cell's requests that is turned away now, where that is measured."""
    told: list[str] = []
    untold: list[str] = []
    for move, one in flows(subject, subject.moves):
        arrivals, rejected = one.arrivals.estimate, one.rejected.estimate
        if arrivals is None or rejected is None:
            untold.append(name(move.cell))
            continue
        share = min(rejected / arrivals, 1.0) if arrivals > 0 else 0.0
        value, _ = shown(summed((one.arrivals, one.rejected)), percent(share), glyphs)
        told.append(f"{name(move.cell)} {value} of {rate(arrivals)}/s{_partly(one)}")
    if untold:
        told.append(f"not measured for {_listed(untold)}")
    return "; ".join(told) or "not measured"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= NAMED_MOST else f"{len(names)} cells"


def _partly(one: Flow) -> str:
    n, m = one.models
    return f" on {n} of {m} models" if n < m else ""


def forecast_lines(subject: Subject, width: int, glyphs: Glyphs) -> list[Line]:
    """What is expected of it: unknown, and why, but for what plain arithmetic tells.

    All that is unknown is one paragraph: it is the same whatever is chosen, and there is little room.
    """
    text = let_in_text(subject, glyphs)
    unknown = (
        "wait p99, headroom: no capacity model in this version; users: nothing that is measured counts them"
    )
    if text.startswith(UNKNOWN):
        return [
            *paragraph(
                "UNKNOWN:", f"let in: {text.removeprefix(UNKNOWN)}; {unknown}", width, glyphs, "unknown"
            )
        ]
    lines = [*paragraph("Let in", text, width, glyphs)]
    return [*lines, *paragraph("UNKNOWN:", unknown, width, glyphs, "unknown")]


class _LetIn(NamedTuple):
    """Requests a second that a cell lets in now and would then; `of`: readings they come of."""

    now: float
    then: float
    of: Sequence[Reading]


def let_in_text(subject: Subject, glyphs: Glyphs) -> str:
    """Requests a second that are let in now, and would be at the new levels if demand stays."""
    if not subject.changing:
        return "nothing would change"
    found: list[_LetIn] = []
    partly: list[str] = []
    untold: dict[str, list[str]] = {}
    for move, one in flows(subject, subject.changing):
        made = _let_in(move, one)
        if isinstance(made, str):
            untold.setdefault(made, []).append(name(move.cell))
            continue
        found.append(made)
        partly += [f"{name(move.cell)}{_partly(one)}"] if _partly(one) else []
    missing = "; ".join(f"{why}: {_listed(names)}" for why, names in untold.items())
    if not found:
        return f"{UNKNOWN}{missing}"
    worst = summed(one for cell in found for one in cell.of)
    mark = glyphs.straddles
    before, after = (
        shown(worst, f"{mark}{rate(sum(values))}", glyphs)[0]
        for values in ([one.now for one in found], [one.then for one in found])
    )
    cells = subject.changing
    what = name(cells[0].cell) if len(cells) == 1 else f"{len(found)} of {len(cells)} cells"
    text = f"{what}: {before}/s {glyphs.arrow} {after}/s if demand stays (arithmetic, no model)"
    text += f"; only {_listed(partly)}" if partly else ""
    return f"{text}; UNKNOWN: {missing}" if untold else text


def _let_in(move: Move, one: Flow) -> _LetIn | str:
    """What one cell lets in; why nobody can tell.

    Where a throttle is obeyed before requests are counted, they are those let in already; where after, the
    rejected ones are among them. What is counted less what is rejected is right in both.
    """
    cell, held, level = move.cell, move.cell.in_force, move.level
    arrivals, rejected = one.arrivals.estimate, one.rejected.estimate
    if arrivals is None:
        return "requests are not measured"
    if held is None or level is None or cell.state in {"unknown", "drifted"}:
        return "what is in force is not known"
    if rejected is None:
        # Of an open cell a throttle rejects nothing.
        return (
            _LetIn(arrivals, arrivals * level, (one.arrivals,))
            if alike(held, 1.0)
            else "rejections are not measured"
        )
    of = (one.arrivals, one.rejected)
    admitted = max(arrivals - rejected, 0.0)
    if held > 0:
        return _LetIn(admitted, admitted * level / held, of)
    return _LetIn(0.0, arrivals * level, of) if rejected > 0 else "nothing arrives that could be counted"
