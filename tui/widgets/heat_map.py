"""The heat map: a cell an accelerator, a node or a rack, shaded by busy time, a letter where it is abnormal.

Busy is not bad (D3), so shades have no colour; letters and `~` do. What is drawn of a node is kept while the
node is the same object, so a frame costs what changed in it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from collectors.fleet import MISSING_CELL, STALE_CELL, Node
from tui.format import UNICODE, Glyphs, fit, width_of
from tui.widgets.lines import Cell, Line, line_of

Grain = Literal["accelerator", "node", "rack"]

STEP = 20
"""Percent of busy time in one of the five shades."""

MARGIN = 3
"""Percent past a shade's edge before the cell changes: jitter around an edge draws nothing (D17)."""

IDLE = 10
"""Percent busy below which an accelerator is marked `i` while its model has a queue (D3)."""

FINE_WIDTH = 100
"""Cells of width from which one cell can be one accelerator."""

PAGES = 4
"""More pages than that, and the next coarser cell is used."""

LABEL_MOST = 12

ROLES: Mapping[str, str] = {"X": "fault", "e": "fault", "t": "thermal", "i": "idle", "~": "missing"}
"""Marks from worst to least, with their roles."""

_WORST = "Xeti~"
_MEANING = {"X": "fault", "e": "ECC", "t": "thermal", "i": "idle, queue waits", "~": "stale"}
_ENDING = re.compile(r"[-_./:]?[A-Za-z]{0,4}\d+$")
_PORT = re.compile(r":\d+$")


class DrawnNode(NamedTuple):
    """What a node looks like: one character an accelerator, its one cell as a node, its marks counted."""

    node: Node
    queued: bool
    shades: bytes
    cells: str
    one: str
    marks: tuple[tuple[str, int], ...]


HeatCache = dict[str, DrawnNode]
"""Drawn nodes by name, kept between frames by whoever draws."""


def heat_lines(
    nodes: Sequence[Node],
    width: int,
    height: int,
    glyphs: Glyphs = UNICODE,
    page: int = 0,
    queued: frozenset[str] = frozenset(),
    cache: HeatCache | None = None,
) -> tuple[Line, ...]:
    """A heading, then the page of the map that fits `height` lines in all; nothing without nodes or height.

    page: 0 is the first; numbers past the last wrap around; queued: names of models with requests waiting
    """
    if not nodes or height < 2 or width < 8:
        return ()
    drawn = _drawn(nodes, queued, {} if cache is None else cache)
    racks = _racks(tuple(node.name for node in nodes), tuple(node.pool for node in nodes))
    grain, rows = _rows(nodes, racks, width, height - 1)
    pages = -(-len(rows) // (height - 1))
    page %= pages
    here = rows[page * (height - 1) : (page + 1) * (height - 1)]
    seen = {number for row in here for part in row.parts for number in part.nodes}
    outside = _counted(one for number, one in enumerate(drawn) if number not in seen)
    present = _counted(drawn)
    heading = _heading(grain, len(here), page * (height - 1), len(rows), outside, present, width, glyphs)
    return (heading, *(_row_line(row, drawn, grain, width, glyphs) for row in here))


def heat_height(nodes: Sequence[Node], width: int) -> int:
    """Lines of the whole map at the finest cell this width allows, with its heading; 0 without nodes."""
    if not nodes or width < 8:
        return 0
    racks = _racks(tuple(node.name for node in nodes), tuple(node.pool for node in nodes))
    return 1 + len(_flow(_sizes(nodes), racks, "accelerator" if width >= FINE_WIDTH else "node", width))


class _Part(NamedTuple):
    """A stretch of one rack on one row: which nodes, and which of their cells if one is wider than a row."""

    nodes: tuple[int, ...]
    cells: slice


class _HeatRow(NamedTuple):
    """One row of the map."""

    label: str
    parts: tuple[_Part, ...]


class _Rack(NamedTuple):
    """Nodes that share a pool and the beginning of their names."""

    label: str
    pool: str
    nodes: tuple[int, ...]


def _drawn(nodes: Sequence[Node], queued: frozenset[str], cache: HeatCache) -> list[DrawnNode]:
    made = []
    for node in nodes:
        waits = bool(queued) and not queued.isdisjoint(node.models)
        known = cache.get(node.name)
        if known is None or known.node is not node or known.queued != waits:
            known = cache[node.name] = _draw(node, waits, known)
        made.append(known)
    if len(cache) > 2 * len(nodes):
        for name in cache.keys() - {node.name for node in nodes}:
            del cache[name]
    return made


def _draw(node: Node, queued: bool, before: DrawnNode | None) -> DrawnNode:
    shades = node.busy.translate(_SHADE)
    if before is not None and len(before.shades) == len(shades) and before.shades != shades:
        shades = bytes(map(_kept, node.busy, shades, before.shades))
    cells = "".join(map(_CHARACTER.__getitem__, shades))
    if queued and any(busy < IDLE for busy in node.busy):
        cells = "".join("i" if busy < IDLE else cell for busy, cell in zip(node.busy, cells, strict=True))
    if node.marks.strip():
        pairs = zip(cells, node.marks.ljust(len(cells)), strict=False)
        cells = "".join(mark if mark in "Xet" else cell for cell, mark in pairs)
    worst = next((mark for mark in _WORST if mark in cells), "")
    marks = tuple((mark, cells.count(mark)) for mark in _WORST if mark in cells) if worst else ()
    return DrawnNode(node, queued, shades, cells, worst or _mean_shade(node), marks)


_SHADE = bytes(
    5 if busy == STALE_CELL else 6 if busy == MISSING_CELL else min(busy // STEP, 4) for busy in range(256)
)
_CHARACTER = "01234~."
"""Of each shade: 0 to 4, stale, drained. Glyphs are put in when the line is made."""


def _kept(busy: int, new: int, old: int) -> int:
    """The old shade while the value has not left it by the margin; stale and drained cells change at once."""
    if new > 4 or old > 4:
        return new
    return old if old * STEP - MARGIN <= busy < (old + 1) * STEP + MARGIN else new


def _mean_shade(node: Node) -> str:
    """Of a node without marks: the mean, because busy has no worst; abnormal cells are marks already."""
    known = [busy for busy in node.busy if busy < STALE_CELL]
    return _CHARACTER[_SHADE[sum(known) // len(known)]] if known else "."


@lru_cache(maxsize=8)
def _racks(names: tuple[str, ...], pools: tuple[str, ...]) -> tuple[_Rack, ...]:
    """Nodes in racks, by pool and by name without its last number; by pool alone where that tells nothing."""
    found: dict[tuple[str, str], list[int]] = {}
    for number, (name, pool) in enumerate(zip(names, pools, strict=True)):
        found.setdefault((pool, _prefix(name)), []).append(number)
    if len(found) > 8 and len(names) < 2 * len(found):
        found = {}
        for number, pool in enumerate(pools):
            found.setdefault((pool, pool), []).append(number)
    return tuple(_Rack(label, pool, tuple(numbers)) for (pool, label), numbers in found.items())


def _prefix(name: str) -> str:
    host = _PORT.sub("", name)
    if not host.replace(".", "").isdigit():
        host = host.split(".", 1)[0]
    return _ENDING.sub("", host) or host


def _sizes(nodes: Sequence[Node]) -> tuple[int, ...]:
    return tuple(len(node.busy) for node in nodes)


def _rows(
    nodes: Sequence[Node], racks: tuple[_Rack, ...], width: int, height: int
) -> tuple[Grain, tuple[_HeatRow, ...]]:
    """The finest cell that needs few pages (T2), and the rows of the map with it."""
    sizes = _sizes(nodes)
    grains: tuple[Grain, ...] = ("accelerator", "node", "rack") if width >= FINE_WIDTH else ("node", "rack")
    rows: tuple[_HeatRow, ...] = ()
    for grain in grains:
        rows = _flow(sizes, racks, grain, width)
        if len(rows) <= PAGES * height:
            return grain, rows
    return "rack", rows


@lru_cache(maxsize=16)
def _flow(sizes: tuple[int, ...], racks: tuple[_Rack, ...], grain: Grain, width: int) -> tuple[_HeatRow, ...]:
    """Racks laid out in rows: several on one while they fit, a long one over several."""
    label_width = min(max(width_of(rack.label) for rack in racks), LABEL_MOST, max(2, width // 5))
    room = width - label_width - 1
    rows: list[_HeatRow] = []
    label, pool, used = "", "", 0
    parts: list[_Part] = []

    def end() -> None:
        nonlocal used, parts
        if parts:
            rows.append(_HeatRow(_end_of(label, label_width), tuple(parts)))
        used, parts = 0, []

    if grain == "rack":
        for rack in racks:
            if rack.pool != pool or used >= room:
                end()
                label = pool = rack.pool
            parts.append(_Part(rack.nodes, slice(0, 1)))
            used += 1
        end()
        return tuple(rows)
    for rack in racks:
        wide = sum(sizes[n] if grain == "accelerator" else 1 for n in rack.nodes)
        if rack.pool != pool or used + 1 + wide > room:
            end()
            label, pool = rack.label, rack.pool
        for part in _cut(rack.nodes, sizes, grain, room):
            taken = part.cells.stop - part.cells.start
            if used and used + 1 + taken > room:
                end()
                label = rack.label if part.nodes[0] == rack.nodes[0] and part.cells.start == 0 else ""
            used += taken + (1 if used else 0)
            parts.append(part)
    end()
    return tuple(rows)


def _cut(nodes: tuple[int, ...], sizes: tuple[int, ...], grain: Grain, room: int) -> Iterable[_Part]:
    """A rack in stretches of at most `room` cells; a node is cut only where it is wider than a row itself."""
    taken: list[int] = []
    used = 0
    for number in nodes:
        size = sizes[number] if grain == "accelerator" else 1
        if used and used + size > room:
            yield _Part(tuple(taken), slice(0, used))
            taken, used = [], 0
        if size > room:
            for start in range(0, size, room):
                yield _Part((number,), slice(start, min(start + room, size)))
            continue
        taken.append(number)
        used += size
    if taken:
        yield _Part(tuple(taken), slice(0, used))


def _end_of(label: str, width: int) -> str:
    """The label in `width` cells; a long one keeps its end, which tells racks apart."""
    if width_of(label) > width:
        label = label[len(label) - min(len(label), width) :]
        while width_of(label) > width:
            label = label[1:]
    return fit(label, width)


def _row_line(row: _HeatRow, drawn: Sequence[DrawnNode], grain: Grain, width: int, glyphs: Glyphs) -> Line:
    cells = [Cell(f"{row.label} ", "muted")]
    between = "" if grain == "rack" else " "
    texts = []
    for part in row.parts:
        if grain == "accelerator":
            texts.append("".join(drawn[n].cells for n in part.nodes)[part.cells])
        elif grain == "node":
            texts.append("".join(drawn[n].one for n in part.nodes))
        else:
            texts.append(_rack_cell([drawn[n] for n in part.nodes]))
    cells += _with_roles(between.join(texts), glyphs)
    return line_of(cells, width, glyphs=glyphs)


def _rack_cell(nodes: Sequence[DrawnNode]) -> str:
    ones = [node.one for node in nodes]
    worst = next((mark for mark in _WORST if mark in ones), "")
    shades = [int(one) for one in ones if one.isdigit()]
    return worst or (str(round(sum(shades) / len(shades))) if shades else ".")


_MARKS = re.compile("([Xeti~]+)")


def _with_roles(text: str, glyphs: Glyphs) -> Iterable[Cell]:
    """Runs of marks and of shades; every mark has a letter of its own, so colour adds nothing new (D2)."""
    table = _glyph_table(glyphs)
    for run in _MARKS.split(text):
        if not run:
            continue
        if run[0] not in ROLES:
            yield Cell(run.translate(table), "heat")
            continue
        for mark in _same_runs(run):
            yield Cell(mark, ROLES[mark[0]])


def _same_runs(text: str) -> list[str]:
    return [found.group() for found in re.finditer(r"(.)\1*", text)]


@lru_cache(maxsize=4)
def _glyph_table(glyphs: Glyphs) -> dict[int, str]:
    return {**{ord(str(shade)): glyph for shade, glyph in enumerate(glyphs.heat)}, ord("."): glyphs.drained}


def _counted(nodes: Iterable[DrawnNode]) -> dict[str, int]:
    found: dict[str, int] = {}
    for node in nodes:
        for mark, number in node.marks:
            found[mark] = found.get(mark, 0) + number
    return found


def _heading(
    grain: Grain,
    here: int,
    first: int,
    rows: int,
    outside: Mapping[str, int],
    present: Iterable[str],
    width: int,
    glyphs: Glyphs,
) -> Line:
    """What a cell is, where the page is, the marks on other pages (T2), and what the marks in use mean."""
    dot = f" {glyphs.nothing} "
    unit = "one a cell" if grain == "accelerator" else f"cell = {grain}"
    cells = [Cell(f"{glyphs.rule} ACCELERATORS{dot}{unit}", "muted")]
    if here < rows:
        cells.append(Cell(f"{dot}rows {first + 1}-{first + here} of {rows}", "muted"))
    if outside:
        cells.append(Cell(f"{dot}off page", "muted"))
        for mark in _WORST:
            if mark in outside:
                cells += [Cell(" "), Cell(f"{mark} {outside[mark]}", ROLES[mark])]
    meaning = "  ".join(f"{mark} {_MEANING[mark]}" for mark in _WORST if mark in present)
    for text in (dot + meaning if meaning else "", f"{dot}shade = busy time", " "):
        if width_of(text) <= width - sum(width_of(cell.text) for cell in cells):
            cells.append(Cell(text, "muted"))
    used = sum(width_of(cell.text) for cell in cells)
    cells.append(Cell(glyphs.rule * max(0, width - used), "muted"))
    return line_of(cells, width, glyphs=glyphs)
