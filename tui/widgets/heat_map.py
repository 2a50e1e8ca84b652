"""The heat map: a cell an accelerator, a node or a rack, shaded by busy time, a letter where it is abnormal.

Busy is not bad (D3), so shades have no colour; letters and `~` do. What is drawn of a node is kept while the
node is the same object, so a frame costs what changed in it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from collectors.fleet import BUSY_STEP, MISSING_CELL, STALE_CELL, Node
from tui.format import UNICODE, Glyphs, count, counted, fit, width_of
from tui.widgets.lines import Cell, Line, line_of

Grain = Literal["accelerator", "node", "rack"]

IDLE = 10
"""Percent busy below which an accelerator is marked `i` while its model has a queue (D3)."""

FINE_WIDTH = 100
"""Cells of width from which one cell can be one accelerator."""

PAGES = 4
"""More pages than that, and the next coarser cell is used."""

LABEL_MOST = 12

NAMED_ROWS = 6
"""Most rows for a map that names every host, or sets each apart; a larger fleet is told by its racks."""

NAME_MOST = 28
"""Cells for the name of a host that has its own place."""

BESIDE = 2
"""Cells between two hosts that have their own places, and between racks whose hosts stand apart."""

ROLES: Mapping[str, str] = {"X": "fault", "e": "fault", "t": "thermal", "i": "idle", "~": "missing"}
"""Marks from worst to least, with their roles."""

_WORST = "Xeti~"
_LETTERS = "Xet"
"""Marks that say something is wrong with the accelerator itself: who has one is named."""

NAMED_MOST = 4
"""Most hosts named for one mark."""

_MEANING = {"X": "fault", "e": "ECC", "t": "thermal", "i": "idle, queue waits", "~": "stale"}
_ENDING = re.compile(r"[-_./:]?[A-Za-z]{0,4}\d+$")
_PORT = re.compile(r":\d+$")


class DrawnNode(NamedTuple):
    """What a node looks like: one character an accelerator, its one cell as a node, its marks counted."""

    node: Node
    queued: bool
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
    accelerators: float | None = None,
    slices: float = 0,
) -> tuple[Line, ...]:
    """A heading, then the page of the map that fits `height` lines in all; nothing without nodes or height.

    page: 0 is the first; numbers past the last wrap around; queued: names of models with requests waiting
    accelerators: how many there are, where that is known: cells may be slices of them, or some of them
    slices: how many of the cells are parts of an accelerator
    """
    if not nodes or height < 2 or width < 8:
        return ()
    drawn = _drawn(nodes, queued, {} if cache is None else cache)
    grain, rows = _rows(nodes, width, height - 1)
    pages = -(-len(rows) // (height - 1))
    page %= pages
    here = rows[page * (height - 1) : (page + 1) * (height - 1)]
    seen = {number for row in here for part in row.parts for number in part.nodes}
    outside = _counted(one for number, one in enumerate(drawn) if number not in seen)
    unit = _unit(grain, sum(_sizes(nodes)), accelerators, slices)
    place = f"rows {page * (height - 1) + 1}-{page * (height - 1) + len(here)} of {len(rows)}"
    told = _Told(unit, place if len(here) < len(rows) else "", outside, _counted(drawn))
    heading = _heading(told, _faulty(drawn, is_numbered=not slices), width, glyphs)
    return (heading, *(_row_line(row, drawn, grain, width, glyphs) for row in here))


def heat_height(nodes: Sequence[Node], width: int) -> int:
    """Lines of the whole map at the finest cell this width allows, with its heading; 0 without nodes."""
    if not nodes or width < 8:
        return 0
    if rows := _apart(nodes, width, NAMED_ROWS):
        return 1 + len(rows)
    grain: Grain = "accelerator" if width >= FINE_WIDTH else "node"
    return 1 + len(_flow(_sizes(nodes), _racks_of(nodes), grain, width))


class _Part(NamedTuple):
    """A stretch of one rack on one row: which nodes, and which of their cells if one is wider than a row.

    name: of its one node, with a rule behind it, where it has a place of its own; `wide`: cells of the place
    """

    nodes: tuple[int, ...]
    cells: slice
    name: str = ""
    wide: int = 0


class _HeatRow(NamedTuple):
    """One row of the map. gap: cells between the nodes of a part."""

    label: str
    parts: tuple[_Part, ...]
    gap: int = 0


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
            known = cache[node.name] = _draw(node, waits)
        made.append(known)
    if len(cache) > 2 * len(nodes):
        for name in cache.keys() - {node.name for node in nodes}:
            del cache[name]
    return made


def _draw(node: Node, queued: bool) -> DrawnNode:
    cells = "".join(map(_CHARACTER.__getitem__, node.busy.translate(_SHADE)))
    if queued and any(busy < IDLE for busy in node.busy):
        cells = "".join("i" if busy < IDLE else cell for busy, cell in zip(node.busy, cells, strict=True))
    if node.marks.strip():
        pairs = zip(cells, node.marks.ljust(len(cells)), strict=False)
        cells = "".join(mark if mark in _LETTERS else cell for cell, mark in pairs)
    worst = next((mark for mark in _WORST if mark in cells), "")
    marks = tuple((mark, cells.count(mark)) for mark in _WORST if mark in cells) if worst else ()
    return DrawnNode(node, queued, cells, worst or _mean_shade(node), marks)


_SHADE = bytes(
    5 if busy == STALE_CELL else 6 if busy == MISSING_CELL else min(busy // BUSY_STEP, 4)
    for busy in range(256)
)
_CHARACTER = "01234~."
"""Of each shade: 0 to 4, stale, drained. Glyphs are put in when the line is made."""


def _mean_shade(node: Node) -> str:
    """Of a node without marks: the mean, because busy has no worst; abnormal cells are marks already."""
    known = [busy for busy in node.busy if busy < STALE_CELL]
    return _CHARACTER[_SHADE[sum(known) // len(known)]] if known else "."


def _racks_of(nodes: Sequence[Node]) -> tuple[_Rack, ...]:
    return _racks(tuple(node.name for node in nodes), tuple(node.pool for node in nodes))


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


def _host(name: str) -> str:
    """The name of a host without a port, and without its domain unless it is an address."""
    host = _PORT.sub("", name)
    return host if host.replace(".", "").isdigit() else host.split(".", 1)[0]


def _prefix(name: str) -> str:
    host = _host(name)
    return _ENDING.sub("", host) or host


def _sizes(nodes: Sequence[Node]) -> tuple[int, ...]:
    return tuple(len(node.busy) for node in nodes)


def _rows(nodes: Sequence[Node], width: int, height: int) -> tuple[Grain, tuple[_HeatRow, ...]]:
    """The finest cell that needs few pages (T2), and the rows of the map with it."""
    if rows := _apart(nodes, width, min(height, NAMED_ROWS)):
        return "accelerator", rows
    sizes, racks = _sizes(nodes), _racks_of(nodes)
    grains: tuple[Grain, ...] = ("accelerator", "node", "rack") if width >= FINE_WIDTH else ("node", "rack")
    fits = width >= FINE_WIDTH and sum(sizes) + len(sizes) <= height * width
    if fits and len(rows := _flow(sizes, racks, "accelerator", width, 1)) <= height:
        return "accelerator", rows
    rows = ()
    for grain in grains:
        rows = _flow(sizes, racks, grain, width)
        if len(rows) <= PAGES * height:
            return grain, rows
    return "rack", rows


def _apart(nodes: Sequence[Node], width: int, most: int) -> tuple[_HeatRow, ...]:
    """Rows in which each node can be told from its neighbour, by its name or else by a gap; none where that
    takes more than `most` rows."""
    if len(nodes) * 2 > most * width:
        return ()
    names, pools = tuple(node.name for node in nodes), tuple(node.pool for node in nodes)
    if len(rows := _named(names, pools, _sizes(nodes), width)) <= most:
        return rows
    if width < FINE_WIDTH:
        return ()
    rows = _flow(_sizes(nodes), _racks(names, pools), "accelerator", width, 1)
    return rows if len(rows) <= most else ()


@lru_cache(maxsize=16)
def _named(
    names: tuple[str, ...], pools: tuple[str, ...], sizes: tuple[int, ...], width: int
) -> tuple[_HeatRow, ...]:
    """A place for each node, all of one width, with its name before its cells; none where one is too wide."""
    hosts = [_host(name) for name in names]
    label = min(max(map(width_of, hosts)), NAME_MOST)
    wide = label + max(sizes) + 2
    if wide > width:
        return ()
    a_row = (width + BESIDE) // (wide + BESIDE)
    rows: list[list[_Part]] = []
    for number, host in enumerate(hosts):
        if not number or pools[number] != pools[number - 1] or len(rows[-1]) == a_row:
            rows.append([])
        rows[-1].append(_Part((number,), slice(0, sizes[number]), _end_of(host, label), wide))
    return tuple(_HeatRow("", tuple(parts)) for parts in rows)


@lru_cache(maxsize=16)
def _flow(
    sizes: tuple[int, ...], racks: tuple[_Rack, ...], grain: Grain, width: int, gap: int = 0
) -> tuple[_HeatRow, ...]:
    """Racks laid out in rows: several on one while they fit, a long one over several.

    gap: cells between two nodes; racks then stand further apart
    """
    beside = BESIDE if gap else 1
    label_width = min(max(width_of(rack.label) for rack in racks), LABEL_MOST, max(2, width // 5))
    room = width - label_width - 1
    rows: list[_HeatRow] = []
    label, pool, used = "", "", 0
    parts: list[_Part] = []

    def end() -> None:
        nonlocal used, parts
        if parts:
            rows.append(_HeatRow(_end_of(label, label_width), tuple(parts), gap))
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
        wide += gap * (len(rack.nodes) - 1)
        if rack.pool != pool or used + beside + wide > room:
            end()
            label, pool = rack.label, rack.pool
        for part in _cut(rack.nodes, sizes, grain, room, gap):
            taken = part.cells.stop - part.cells.start
            if used and used + beside + taken > room:
                end()
                label = rack.label if part.nodes[0] == rack.nodes[0] and part.cells.start == 0 else ""
            used += taken + (beside if used else 0)
            parts.append(part)
    end()
    return tuple(rows)


def _cut(
    nodes: tuple[int, ...], sizes: tuple[int, ...], grain: Grain, room: int, gap: int
) -> Iterable[_Part]:
    """A rack in stretches of at most `room` cells; a node is cut only where it is wider than a row itself."""
    taken: list[int] = []
    used = 0
    for number in nodes:
        size = sizes[number] if grain == "accelerator" else 1
        if used and used + gap + size > room:
            yield _Part(tuple(taken), slice(0, used))
            taken, used = [], 0
        if size > room:
            for start in range(0, size, room):
                yield _Part((number,), slice(start, min(start + room, size)))
            continue
        used += size + (gap if taken else 0)
        taken.append(number)
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
    if row.parts[0].name:
        return line_of(_placed(row, drawn, glyphs), width, glyphs=glyphs)
    cells = [Cell(f"{row.label} ", "muted")]
    between = "" if grain == "rack" else " " * BESIDE if row.gap else " "
    texts = []
    for part in row.parts:
        if grain == "accelerator":
            texts.append((" " * row.gap).join(drawn[n].cells for n in part.nodes)[part.cells])
        elif grain == "node":
            texts.append("".join(drawn[n].one for n in part.nodes))
        else:
            texts.append(_rack_cell([drawn[n] for n in part.nodes]))
    cells += _with_roles(between.join(texts), glyphs)
    return line_of(cells, width, glyphs=glyphs)


def _placed(row: _HeatRow, drawn: Sequence[DrawnNode], glyphs: Glyphs) -> list[Cell]:
    """Names and cells, each host between two rules: the shade of an idle accelerator is a blank."""
    cells: list[Cell] = []
    for part in row.parts:
        shown = drawn[part.nodes[0]].cells
        cells += [Cell(f"{part.name}{glyphs.column}", "muted"), *_with_roles(shown, glyphs)]
        rest = part.wide - width_of(part.name) - 2 - len(shown) + BESIDE
        cells.append(Cell(f"{glyphs.column}{' ' * rest}", "muted"))
    cells[-1] = Cell(glyphs.column, "muted")
    return cells


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


class _Told(NamedTuple):
    """What the heading says: what a cell is, which rows these are, marks on other pages, and marks in use."""

    unit: str
    place: str
    outside: Mapping[str, int]
    present: Iterable[str]


def _unit(grain: Grain, cells: int, accelerators: float | None, slices: float) -> str:
    """What a cell is; where cells and accelerators are not as many, how many there are of each."""
    if grain != "accelerator":
        return f"cell = {grain}"
    unit = "one a cell, slices too" if slices else "one a cell"
    if accelerators is None or round(accelerators) == cells:
        return unit
    return f"{unit}: {counted(count(cells), 'cell')}, {counted(count(accelerators), 'GPU')}"


def _faulty(drawn: Iterable[DrawnNode], *, is_numbered: bool) -> Mapping[str, list[str]]:
    """Where each mark of trouble is: `gpu-node-03/2,5`, the host and the places among its cells, from 0.

    is_numbered: whether the place is that of an accelerator; among slices it is not, and goes unsaid
    """
    found: dict[str, list[str]] = {}
    for one in drawn:
        for mark, _ in one.marks:
            if mark not in _LETTERS:
                continue
            host = _host(one.node.name)
            places = ",".join(str(place) for place, cell in enumerate(one.cells) if cell == mark)
            found.setdefault(mark, []).append(f"{host}/{places}" if is_numbered else host)
    return found


def _heading(told: _Told, faulty: Mapping[str, Sequence[str]], width: int, glyphs: Glyphs) -> Line:
    """What a cell is, where the page is, the marks on other pages (T2), what marks mean, and who has them."""
    dot = f" {glyphs.nothing} "
    cells = [Cell(f"{glyphs.rule} ACCELERATORS{dot}{told.unit}", "muted")]
    if told.place:
        cells.append(Cell(f"{dot}{told.place}", "muted"))
    if told.outside:
        cells.append(Cell(f"{dot}off page", "muted"))
        for mark in _WORST:
            if mark in told.outside:
                cells += [Cell(" "), Cell(f"{mark} {told.outside[mark]}", ROLES[mark])]
    meanings = [f"{mark} {_MEANING[mark]}" for mark in _WORST if mark in told.present]
    room = width - sum(width_of(cell.text) for cell in cells) - len(dot) - 1
    room -= width_of("  ".join(meanings))
    if meanings and room >= 0:
        for number, meaning in enumerate(meanings):
            cells.append(Cell(f"{'  ' if number else dot}{meaning}", "muted"))
            where = _who(faulty.get(meaning[0], ()), room)
            room -= width_of(where)
            if where:
                cells.append(Cell(where))
    for text in (f"{dot}shade = busy time", " "):
        if width_of(text) <= width - sum(width_of(cell.text) for cell in cells):
            cells.append(Cell(text, "muted"))
    used = sum(width_of(cell.text) for cell in cells)
    cells.append(Cell(glyphs.rule * max(0, width - used), "muted"))
    return line_of(cells, width, glyphs=glyphs)


def _who(names: Sequence[str], room: int) -> str:
    """As many of the names as fit, the rest counted (D13); nothing where not even one does."""
    for kept in range(min(len(names), NAMED_MOST), 0, -1):
        more = f" +{len(names) - kept}" if len(names) > kept else ""
        text = f" {' '.join(names[:kept])}{more}"
        if width_of(text) <= room:
            return text
    return ""
