"""Where a replay stands, in words, and the whole recording at a glance: lanes with one axis of time. Pure."""

import math
import time
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePath
from types import MappingProxyType

from collectors.sessions import Position, Tick, Timeline
from collectors.text import clean
from tui.format import UNICODE, Glyphs, clock, fit, said, stamp, width_of
from tui.widgets.lines import Cell, Line, line_of
from tui.widgets.spark import spark

LABEL = 10
"""Columns in front of a lane: its name, or the axis' margin."""

LEGEND_FROM, LEGEND = 100, 14
"""Width from which a lane tells what its marks mean, and the columns for that."""

LANES_FROM, LANES = 32, 6
"""Height from which every lane has a row, and the rows then: where it stands, four lanes, the axis."""

ONE_LANE_FROM = 20
"""Height from which one lane stands below where the replay stands."""

EDGE_FORMS = ((600.0, "%H:%M:%S"), (86_400.0, "%H:%M"), (float("inf"), "%m-%d"))
"""How the times at either end of the one lane are written, of a recording up to so many seconds long."""

_LEAST, _MOST = {"file": 10, "seen": 12, "bookmark": 16}, {"file": 40}

BOOKMARK_S = 10.0
"""Real seconds that a bookmark's note stands once its time is shown; recorded ones, at up to 1x."""

SLIGHT_S = 1e-3
"""Times that differ by less are one: both are rounded on their way."""

STAMP_FROM = 150
"""Width from which the time has its date."""

DAY_S = 86_400.0

AXIS_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
"""Seconds that may lie between two times of the axis; from there on, whole days."""

AXIS_EVERY = 16
"""Fewest columns between two times of the axis."""

UNREAD = "?"
"""In a lane: recorded since the lanes were read, or not read at all yet."""

_ACTIONS: Mapping[str, str] = MappingProxyType({"throttle": "T", "stage": "s", "action": "a", "mark": "b"})
"""The letters of what operators did, what matters most first: of several in a cell, that one is drawn."""


@dataclass(frozen=True, slots=True)
class ReplayFacts:
    """What the lines of a replay are drawn from.

    timeline: None until the recording is surveyed
    live_now: the time by the live screen behind it; None where there is none
    look: whose view is shown, in a word or two; seen: what of the recorded view the screen does not show
    """

    position: Position
    timeline: Timeline | None = None
    live_now: float | None = None
    look: str = ""
    seen: str = ""


def replay_rows(height: int) -> int:
    """Rows for a replay on the fleet screen of a terminal `height` cells high: 6, 2, 1, or 0."""
    if height >= LANES_FROM:
        return LANES
    return 2 if height >= ONE_LANE_FROM else 1 if height >= 4 else 0


def replay_lines(facts: ReplayFacts, width: int, rows: int, glyphs: Glyphs = UNICODE) -> tuple[Line, ...]:
    """Where the replay stands, then lanes: `rows` lines (>= 1), each exactly `width` cells wide.

    Every lane and the axis from LANES rows on, else one lane that has all in it.
    """
    first = replay_line(facts, width, glyphs)
    if rows < 2:
        return (first,)
    if rows < LANES:
        return (first, _one_lane(facts, width, glyphs))
    return (first, *_lanes(facts, width, glyphs))


def replay_line(facts: ReplayFacts, width: int, glyphs: Glyphs = UNICODE) -> Line:
    """REPLAY, the file, whether it plays, the time and how far that is from the end, the frame, and that
    nothing can be written. What has no room is left out, the file first; never the mode, state and time."""
    at = facts.position
    moment = stamp(at.at) if width >= STAMP_FROM else clock(at.at)
    right = Cell("ALL WRITES OFF" if width >= 72 else "WRITES OFF" if width >= 52 else "", "read-only")
    parts: dict[str, Cell] = {
        "mode": Cell("REPLAY", "replay"),
        "state": Cell(_state(at, glyphs), "title"),
        "time": Cell(moment),
    }
    room = width - width_of(right.text) - sum(width_of(cell.text) + 2 for cell in parts.values())
    note = _bookmark(facts)
    # A note matters more than the words of the distance.
    kept = min(width_of(note), _LEAST["bookmark"]) + 2 if note else 0
    spare = {
        "distance": Cell(_distance(facts, room - 2 - kept)),
        "speed": Cell(f"{at.speed:g}x" if at.speed != 1 and not at.is_playing else "", "title"),
        "gap": Cell("NOT RECORDED HERE" if _is_in_gap(facts) else "", "missing"),
        "bookmark": Cell(note),
        "seen": Cell(clean(facts.seen)),
        "frame": Cell(_frame(at, width), "muted"),
        "file": Cell(clean(PurePath(at.file).name)),
        "look": Cell(facts.look, "muted"),
        "loop": Cell(_loop(at), "muted"),
    }
    for name, (text, role) in spare.items():
        words = said(text, glyphs)
        wide = min(width_of(words), _MOST.get(name, width))
        if name in _LEAST and wide + 2 > room >= _LEAST[name] + 2:
            wide = room - 2
        if words and wide + 2 <= room:
            parts[name] = Cell(fit(words, wide, glyphs), role)
            room -= wide + 2
    order = (
        "mode",
        "file",
        "state",
        "speed",
        "time",
        "distance",
        "gap",
        "frame",
        "bookmark",
        "loop",
        "look",
        "seen",
    )
    cells = [parts[name] for name in order if name in parts]
    made = [piece for cell in cells for piece in (cell, Cell("  "))][:-1]
    gap = width - width_of(right.text) - sum(width_of(cell.text) for cell in made)
    return _exactly([*made, Cell(" " * max(gap, 1)), right], width, glyphs)


def bookmark_before(timeline: Timeline, at: float) -> Tick | None:
    """The last bookmark at or before a time."""
    number = bookmarks_until(timeline, at)
    return timeline.marks[number - 1] if number else None


def bookmarks_until(timeline: Timeline, at: float) -> int:
    """How many bookmarks there are at or before a time."""
    return bisect_right(timeline.marks, at + SLIGHT_S, key=lambda mark: mark.at)


def bookmark_shown(facts: ReplayFacts) -> Tick | None:
    """The bookmark whose note is told: the last one, for a while after its time."""
    at = facts.position
    last = bookmark_before(facts.timeline, at.at) if facts.timeline is not None else None
    return last if last is not None and at.at - last.at < BOOKMARK_S * max(at.speed, 1.0) else None


def lane_marks(glyphs: Glyphs) -> tuple[tuple[str, str], ...]:
    """Each mark of the lanes and of the axis with its meaning, for the help."""
    letters = _ACTIONS
    return (
        (f"{glyphs.spark[0]} {glyphs.spark[-1]}", "p99 max: the worst wait; a full block is its objective"),
        (glyphs.gap.strip() or "blank", "p99 max: not known: no wait was told, or nothing recorded"),
        (UNREAD, "lanes: recorded, and not read yet; they are read again every few seconds"),
        (f"{glyphs.p1} {glyphs.p2} {glyphs.p3}", "alerts: P1, P2, P3 began"),
        (glyphs.no_data, "alerts: a source was lost"),
        (letters["throttle"], "actions: a throttle was changed"),
        (letters["stage"], "actions: a step of a release"),
        (letters["action"], "actions: asked for at the cockpit that was recorded"),
        (letters["mark"], "actions: a bookmark"),
        (glyphs.heat[1], "data: a gap, nothing was recorded"),
        (f"{glyphs.cursor} {glyphs.edge}", "where the replay stands: below the lanes; in a lane alone"),
        ("m A B", "below the lanes: the mark of differences, start and end of a loop"),
    )


def time_of_column(facts: ReplayFacts, x: int, width: int, rows: int) -> float | None:
    """The recorded time below column `x` of a lane, its middle; None beside the lanes."""
    left, columns = _area(facts, width, rows)
    if not left <= x < left + columns:
        return None
    start, end = _range(facts)
    return start + (x - left + 0.5) / columns * (end - start)


def _state(at: Position, glyphs: Glyphs) -> str:
    if at.is_playing:
        skips = " skips idle" if at.skips_idle else ""
        return f"{glyphs.playing} {at.speed:g}x{skips}"
    return f"{glyphs.standing} {'at the end' if at.is_at_end else 'paused'}"


def _distance(facts: ReplayFacts, room: int) -> str:
    """How far from the end, or from now where a live screen goes on behind: `(-00:03:40 from end)`; in little
    room without the words."""
    at, live = facts.position, facts.live_now
    away = (at.end if live is None else live) - at.at
    short = f"{'-' if away > -1 else '+'}{_long(abs(away))}"
    told = f"({short} from {'end' if live is None else 'now'})"
    return told if width_of(told) <= room else short


def _bookmark(facts: ReplayFacts) -> str:
    shown = bookmark_shown(facts)
    return f"{_ACTIONS['mark']} {clean(shown.text)}" if shown is not None else ""


def _is_in_gap(facts: ReplayFacts) -> bool:
    at, seen = facts.position.at, facts.timeline
    return seen is not None and any(gap.start < at < gap.end for gap in seen.gaps)


def _long(seconds: float) -> str:
    whole = int(seconds)
    days, rest = divmod(whole, 86_400)
    text = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{days}d {text}" if days else text


def _frame(at: Position, width: int) -> str:
    number, total = (f"{n:,}".replace(",", " ") for n in (at.frame, at.frames))
    return f"frame {number} / {total}" if width >= LEGEND_FROM else f"{number}/{total}"


def _loop(at: Position) -> str:
    if at.loop_from is None and at.loop_to is None:
        return ""
    start, end = (clock(one) if one is not None else "?" for one in (at.loop_from, at.loop_to))
    return f"loop {start}-{end}"


def _area(facts: ReplayFacts, width: int, rows: int) -> tuple[int, int]:
    """First column and number of columns of the lanes."""
    if rows < LANES:
        edge = width_of(_edges(facts)[0]) + 1
        edge = edge if width >= 4 * edge else 0
        return edge, max(width - 2 * edge, 0)
    left = LABEL if width >= 3 * LABEL else 0
    return left, max(width - left - (LEGEND if width >= LEGEND_FROM else 0), 0)


def _edges(facts: ReplayFacts) -> tuple[str, str]:
    """The times at either end of the one lane, of one width."""
    start, end = _range(facts)
    form = next(form for most, form in EDGE_FORMS if end - start <= most)
    first, last = (time.strftime(form, time.gmtime(one)) for one in (start, end))
    return first, last


def _range(facts: ReplayFacts) -> tuple[float, float]:
    at, seen = facts.position, facts.timeline
    start = at.start if seen is None else min(at.start, seen.start)
    end = at.end if seen is None else max(at.end, seen.end)
    return start, max(end, start + 1.0)


def _column(at: float, facts: ReplayFacts, columns: int) -> int:
    start, end = _range(facts)
    share = (at - start) / (end - start)
    return min(int(share * columns), columns - 1) if 0 <= share < 1 else 0 if not share >= 1 else columns - 1


def _lanes(facts: ReplayFacts, width: int, glyphs: Glyphs) -> tuple[Line, ...]:
    left, columns = _area(facts, width, LANES)
    alert_glyphs = _alert_glyphs(glyphs)
    marks = f"{glyphs.p1} {glyphs.p2} {glyphs.p3} {glyphs.no_data}"
    letters = " ".join(_ACTIONS.values())
    lanes = (
        (" p99 max", _worst(facts, columns, glyphs), "fleet worst"),
        (" alerts", _ticked(facts, columns, glyphs, alert_glyphs), marks),
        (" actions", _ticked(facts, columns, glyphs, _ACTIONS), letters),
        (" data", _data(facts, columns, glyphs), f"{glyphs.heat[1]} = gap"),
    )
    made = [
        _exactly(
            [Cell(fit(name, left, glyphs), "muted"), *_joined(cells), Cell(f"  {legend}", "muted")],
            width,
            glyphs,
        )
        for name, cells, legend in lanes
    ]
    return (*made, _axis(facts, left, columns, width, glyphs))


def _one_lane(facts: ReplayFacts, width: int, glyphs: Glyphs) -> Line:
    """Alerts, actions, gaps and waits in one row, the most pressing of each column, and where it stands."""
    edge, columns = _area(facts, width, 2)
    if not columns:
        return _exactly([], width, glyphs)
    cells = _worst(facts, columns, glyphs)
    gaps = _data(facts, columns, glyphs)
    for ticked in (
        [cell if cell.role == "missing" else None for cell in gaps],
        _found(facts, columns, _ACTIONS),
        _found(facts, columns, _alert_glyphs(glyphs)),
    ):
        cells = [over or below for over, below in zip(ticked, cells, strict=True)]
    cells[_column(facts.position.at, facts, columns)] = Cell(glyphs.edge, "selected")
    first, last = _edges(facts)
    ends = [Cell(f"{first:<{edge}}"[:edge], "muted"), Cell(f"{last:>{edge}}"[:edge], "muted")]
    return _exactly([ends[0], *_joined(cells), ends[1]], width, glyphs)


def _worst(facts: ReplayFacts, columns: int, glyphs: Glyphs) -> list[Cell]:
    """The worst share of an objective below each column: a full block is the objective, and it is said where
    it is passed (D4)."""
    seen, read = facts.timeline, _read(facts, columns)
    if seen is None or not seen.worst:
        return [Cell(glyphs.nothing if n < read else UNREAD, "muted") for n in range(columns)]
    start, end = _range(facts)
    part_s, column_s = (seen.end - seen.start) / len(seen.worst), (end - start) / columns
    values = []
    for column in range(columns):
        first = (start + column * column_s - seen.start) / max(part_s, 1e-9)
        last = first + column_s / max(part_s, 1e-9)
        within = seen.worst[max(int(first), 0) : max(int(first) + 1, int(last + 0.999999))]
        values.append(max(within, default=-1.0))
    made = [
        Cell(glyph, "breach" if value > 1 else "muted" if value < 0 else "graph")
        for glyph, value in zip(spark(values, 1.0, glyphs), values, strict=True)
    ]
    return [*made[:read], *[Cell(UNREAD, "muted")] * (columns - read)]


def _read(facts: ReplayFacts, columns: int) -> int:
    """How many columns the lanes were read for: of a recording that grows, all but what has come since."""
    seen, (start, end) = facts.timeline, _range(facts)
    if seen is None:
        return 0
    return math.ceil(min(max((seen.end - start) / (end - start), 0.0), 1.0) * columns)


def _alert_glyphs(glyphs: Glyphs) -> Mapping[str, str]:
    return {"P1": glyphs.p1, "P2": glyphs.p2, "P3": glyphs.p3, "lost": glyphs.no_data}


def _ticked(facts: ReplayFacts, columns: int, glyphs: Glyphs, kinds: Mapping[str, str]) -> list[Cell]:
    found = _found(facts, columns, kinds)
    read = _read(facts, columns)
    return [cell or Cell(glyphs.nothing if n < read else UNREAD, "muted") for n, cell in enumerate(found)]


def _found(facts: ReplayFacts, columns: int, kinds: Mapping[str, str]) -> list[Cell | None]:
    """The tick of each column, of several the one whose kind comes first; None where there is none."""
    ranks = list(kinds)
    best: dict[int, str] = {}
    for tick in _ticks(facts.timeline):
        if tick.kind in kinds:
            column = _column(tick.at, facts, columns)
            if column not in best or ranks.index(tick.kind) < ranks.index(best[column]):
                best[column] = tick.kind
    roles = {"P1": "p1", "P2": "p2", "P3": "p3", "lost": "missing"}
    return [Cell(kinds[best[n]], roles.get(best[n], "text")) if n in best else None for n in range(columns)]


def _ticks(timeline: Timeline | None) -> Iterable[Tick]:
    return () if timeline is None else (*timeline.alerts, *timeline.actions, *timeline.marks)


def _data(facts: ReplayFacts, columns: int, glyphs: Glyphs) -> list[Cell]:
    """Where something was recorded; a gap, however short, is seen."""
    cells = [Cell(glyphs.bar, "graph")] * columns
    for gap in facts.timeline.gaps if facts.timeline is not None else ():
        first, last = (_column(one, facts, columns) for one in (gap.start, gap.end))
        for column in range(first, last + 1):
            cells[column] = Cell(glyphs.heat[1], "missing")
    return cells


def _axis(facts: ReplayFacts, left: int, columns: int, width: int, glyphs: Glyphs) -> Line:
    """Times (UTC), where it stands, A and B of the loop and the mark; a time that these would cut is left
    out."""
    at = facts.position
    start, end = _range(facts)
    placed: dict[int, Cell] = {}
    for moment, letter in ((at.mark, "m"), (at.loop_from, "A"), (at.loop_to, "B")):
        if moment is not None:
            placed[_column(moment, facts, columns)] = Cell(letter, "title")
    placed[_column(at.at, facts, columns)] = Cell(glyphs.cursor, "title")
    cells = [Cell(" ")] * columns
    for moment, text in _times(start, end, columns):
        first = _column(moment, facts, columns)
        taken = range(first - 1, first + len(text) + 1)
        if first + len(text) <= columns and not placed.keys() & set(taken):
            cells[first : first + len(text)] = [Cell(letter, "muted") for letter in text]
    for column, cell in placed.items():
        cells[column] = cell
    return _exactly([Cell(" " * left), *_joined(cells)], width, glyphs)


def _times(start: float, end: float, columns: int) -> list[tuple[float, str]]:
    """Round times with their texts, far enough from each other to be read."""
    least = (end - start) * AXIS_EVERY / max(columns, 1)
    step = next((float(one) for one in AXIS_STEPS if one >= least), 0.0)
    step = step or DAY_S * -(-least // DAY_S)
    form = "%m-%d %H:%M" if end - start > DAY_S else "%H:%M:%S" if step < 60 else "%H:%M"
    first = -(-start // step) * step
    count = min(int((end - first) / step) + 1, columns) if end >= first else 0
    return [(first + n * step, time.strftime(form, time.gmtime(first + n * step))) for n in range(count)]


def _joined(cells: Sequence[Cell]) -> list[Cell]:
    """Neighbours of one role as one cell."""
    return [
        Cell("".join(cell.text for cell in group), role)
        for role, group in groupby(cells, key=lambda cell: cell.role)
    ]


def _exactly(cells: Sequence[Cell], width: int, glyphs: Glyphs) -> Line:
    line = line_of(cells, width, glyphs=glyphs)
    left = width - width_of(line.text)
    return Line((*line.cells, Cell(" " * left))) if left > 0 else line
