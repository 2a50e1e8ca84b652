"""The lines around the screen: what is watched and how it stands above, how fresh all that is below."""

from collections.abc import Iterator, Sequence

from collectors.fleet import Frame, Model, Severity, SourceHealth, SourceState
from collectors.readings import worded
from collectors.sessions import RecorderState
from tui.format import (
    UNICODE,
    Glyphs,
    age,
    clock,
    count,
    counted,
    fit,
    latency,
    percent,
    said,
    shown,
    stamp,
    width_of,
)
from tui.widgets.badges import clock_cell, operator_text, place, shorter
from tui.widgets.fleet_row import has_no_data
from tui.widgets.lines import Cell, Line, line_of

PRODUCT = "tidegate"

ROOMY = 120
"""Cells of width from which a date, latencies and a rule below the header are shown."""

_WORST = (SourceState.LOST, SourceState.PARTIAL, SourceState.CONNECTING, SourceState.OK)

CONTEXT_LEAST = 8
"""Cells of the context's name for which badges are shortened."""

NARROW = 60
"""Below this width the time of day has no seconds."""


def header_lines(
    frame: Frame,
    width: int,
    glyphs: Glyphs = UNICODE,
    *,
    writes: Cell = Cell("[READ-ONLY]", "read-only"),  # noqa: B008  # an immutable tuple
) -> tuple[Line, ...]:
    """Product, context, badges, the fleet in numbers, alert counts and the frame's UTC time, in one line;
    from ROOMY on with a rule below. Counts cover the whole fleet, whatever is filtered (D13).

    writes: the badge that says whether writes are on, and for whom
    """
    between = "  " if width >= ROOMY else " "
    time = stamp(frame.at) if width >= ROOMY else clock(frame.at)
    time = time if width >= NARROW else f"{time[:5]}Z"
    counts = _alert_counts(frame, glyphs)
    right = _joined([*counts, Cell(f" {time}" if width >= NARROW else time)], between)
    left = _joined(_left(frame, writes, glyphs, width - _width(right) - 1, between), between)
    if _width(left) + _width(right) >= width:
        right = _joined(counts, between)
    gap = Cell(" " * max(1, width - _width(left) - _width(right)))
    lines = (line_of((*left, gap, *right), width, glyphs=glyphs),)
    rule = Line((Cell(glyphs.rule * width, "muted"),))
    return (*lines, rule) if width >= ROOMY else lines


def status_line(
    frame: Frame,
    width: int,
    glyphs: Glyphs = UNICODE,
    *,
    now: float | None = None,
    frozen_s: float | None = None,
    sort: str = "",
    recorder: RecorderState | None = None,
) -> Line:
    """Mode, every source with its age or its trouble, models without data, whether this is recorded, who we
    are there, and the sort.

    Where not all sources fit, the worst come first and the rest are counted, as `+2` (D13).
    now: the watched clock, which goes on when frames do not; the frame's own time if None
    frozen_s: how long the display has been frozen; None while it is not
    recorder: how the recording of this session stands; None where there is none
    """
    now = frame.at if now is None else now
    mode = Cell(frame.mode, "title") if frozen_s is None else Cell(f"FROZEN {age(frozen_s)}", "armed")
    stale = sum(has_no_data(model) for model in frame.models)
    after = [cell for cell in (clock_cell(frame),) if cell is not None]
    if stale:
        models = counted(str(len(frame.models)), "model")
        after.append(Cell(f"{stale} of {models} stale", "missing"))
    if recorder is not None:
        after.append(recording_cell(recorder, width >= ROOMY, glyphs))
    right = Cell(f"sort:{sort}" if sort else "", "muted")
    room = width - width_of(right.text)
    sources = _told_once(frame.sources)
    cells = _sources(sources, now, room - _width(_joined([mode, *after])), width >= ROOMY, glyphs)
    told = sources if len(cells) == len(sources) else ()
    left = _joined(_with_errors([mode, *cells, *after], told, room, glyphs))
    if you := operator_text(frame.plane, room - _width(left) - 3, glyphs):
        left += [Cell("  "), Cell(you, "muted")]
    room -= _width(left)
    if room < 1:
        return line_of(left, width, glyphs=glyphs)
    return line_of((*left, Cell(" " * room), right), width, glyphs=glyphs)


def recording_cell(recorder: RecorderState, roomy: bool, glyphs: Glyphs = UNICODE) -> Cell:
    """How the recording stands: `rec ● 01:12:44 38 MB`, and what is missing of it; why, `note_lines` says."""
    if recorder.trouble:
        return Cell(f"rec {glyphs.failed} OFF", "unrecorded")
    if not recorder.is_on:
        return Cell(f"rec {glyphs.ellipsis}", "muted")
    whole = int(recorder.seconds)
    text = f"rec {glyphs.recording}"
    if roomy:
        text += f" {whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d} {_size(recorder.size_bytes)}"
    if recorder.dropped:
        return Cell(f"{text} {count(recorder.dropped)} dropped", "unrecorded")
    return Cell(text)


def _size(size_bytes: int) -> str:
    """`412 kB`, `38 MB`, `1.2 GB`."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB")):
        if size_bytes >= 0.9995 * limit:
            many = size_bytes / limit
            return f"{many:.0f} {unit}" if many >= 9.95 else f"{many:.2g} {unit}"
    return f"{size_bytes / 1e3:.0f} kB"


def note_lines(
    frame: Frame, width: int, glyphs: Glyphs = UNICODE, recorder: RecorderState | None = None
) -> tuple[Line, ...]:
    """Why nothing is recorded, what the frame says about the fleet as a whole, and each source's trouble in
    full: a line each."""
    found = [Cell(f"not recorded: {recorder.trouble}", "unrecorded")] if recorder and recorder.trouble else []
    found += [Cell(f"{one.name}: {one.error}", "lost") for one in _told_once(frame.sources) if one.error]
    found += [Cell(f"{one.name}: {text}", "missing") for one in frame.sources for text in one.warnings]
    found += [Cell(worded(note), "muted") for note in frame.notes]
    return tuple(
        line_of((Cell(fit(f" {said(cell.text, glyphs)}", width, glyphs), cell.role),), width)
        for cell in found
    )


def _told_once(sources: Sequence[SourceHealth]) -> Sequence[SourceHealth]:
    """Without the alerts of a Prometheus that is lost itself: both are the same address."""
    lost = {
        one.name.removeprefix("prom ") if one.name.startswith("prom ") else ""
        for one in sources
        if one.kind == "prometheus" and one.state is SourceState.LOST
    }

    def is_told(one: SourceHealth) -> bool:
        name, _, cluster = one.name.partition("@")
        is_lost = one.kind == "alerts" and one.state is SourceState.LOST
        return is_lost and name == "prom-alerts" and cluster in lost

    return tuple(one for one in sources if not is_told(one))


def _left(frame: Frame, writes: Cell, glyphs: Glyphs, room: int, between: str) -> Sequence[Cell]:
    """What fits in `room`. Production, whether writes are on and what is not real are words at every size
    (D15); the numbers that are nice to see come after."""
    known = width_of(place(frame, "", glyphs).text)
    wanted = known + min(width_of(frame.context), CONTEXT_LEAST)
    for badges in _badges(frame, writes):
        kept = sum(len(between) + width_of(badge.text) for badge in badges)
        if wanted + kept <= room:
            break
    for_name = room - kept - known - len(PRODUCT) - len(between)
    product = [Cell(PRODUCT, "title")] if for_name >= min(CONTEXT_LEAST, width_of(frame.context)) else []
    for_name += 0 if product else len(PRODUCT) + len(between)
    name = fit(frame.context, min(width_of(frame.context), max(4, for_name)), glyphs)
    made = [*product, place(frame, name, glyphs), *badges]
    for number in _numbers(frame, glyphs):
        if _width(_joined([*made, number], between)) > room:
            break
        made.append(number)
    return made


def _badges(frame: Frame, writes: Cell) -> Iterator[list[Cell]]:
    """What must be seen, from the longest words for it to the shortest; at least one."""
    for number, text in enumerate(shorter(writes.text)):
        badge = [Cell(text, writes.role)] if text else []
        for told in ("SIMULATED", "SIM") if number == 0 else ("SIM",):
            yield [*badge, *([Cell(told, "simulated")] if frame.simulated else [])]


def _numbers(frame: Frame, glyphs: Glyphs) -> Sequence[Cell]:
    """The fleet in numbers, most wanted first; those nobody measures are left out, unknown ones say so."""
    made = []
    for signal, label in (
        ("accelerators", ""),
        ("busy_ratio", "util {}"),
        ("headroom_ratio", "headroom {}"),
    ):
        one = frame.totals.get(signal)
        if one is None:
            continue
        if one.estimate is None:
            text, role = "UNKNOWN" if signal == "headroom_ratio" else "--", "unknown"
        else:
            text = count(one.estimate) if signal == "accelerators" else percent(one.estimate)
            text, role = shown(one, text, glyphs)
        made.append(Cell(label.format(text) if label else counted(text, "GPU"), role))
    return made


def _alert_counts(frame: Frame, glyphs: Glyphs) -> list[Cell]:
    made = []
    for severity, glyph, role in (
        (Severity.P1, glyphs.p1, "p1"),
        (Severity.P2, glyphs.p2, "p2"),
        (Severity.P3, glyphs.p3, "p3"),
    ):
        if number := sum(one.severity is severity and one.silenced_until is None for one in frame.alerts):
            made.append(Cell(f"{glyph}{number}", role))
    if silent := sum(has_no_data(model) for model in frame.models):
        made.append(Cell(f"{glyphs.no_data}{silent}", "missing"))
    if not made:
        # Calm is said only where somebody looked: nothing measured is no calm.
        looked = any(map(_is_measured, frame.models))
        made.append(Cell("no alerts", "muted") if looked else Cell("no data", "missing"))
    if silenced := sum(one.silenced_until is not None for one in frame.alerts):
        made.append(Cell(f"{glyphs.shelved}{silenced}", "shelved"))
    return made


def _is_measured(model: Model) -> bool:
    return any(model.reading(s).value is not None for s in ("running", "waiting", "served", "busy_ratio"))


def _sources(
    sources: Sequence[SourceHealth], now: float, room: int, roomy: bool, glyphs: Glyphs
) -> list[Cell]:
    """A cell for each source that fits in `room`, with two cells before each."""
    if not sources:
        return [Cell("no source", "missing")]
    for is_roomy in {roomy: None, False: None}:
        cells = [_source(one, now, is_roomy, glyphs) for one in sources]
        if sum(width_of(cell.text) + 2 for cell in cells) <= room:
            return cells
    worst = sorted(sources, key=lambda one: (_WORST.index(one.state), _is_covered(one)))
    cells = [_source(one, now, False, glyphs) for one in worst]
    room -= 2 + width_of(f"+{len(sources)}")
    kept: list[Cell] = []
    for cell in cells:
        if width_of(cell.text) + 2 > room and kept:
            break
        kept.append(cell)
        room -= width_of(cell.text) + 2
    rest = worst[len(kept) :]
    are_well = all(one.state is SourceState.OK and _is_covered(one) for one in rest)
    return [*kept, Cell(f"+{len(rest)}", "muted" if are_well else "missing")] if rest else kept


def _is_covered(one: SourceHealth) -> bool:
    return one.targets is None or one.targets[0] >= one.targets[1]


def _source(one: SourceHealth, now: float, roomy: bool, glyphs: Glyphs) -> Cell:
    since = age(now - one.at) if one.at is not None else "never"
    if one.state is SourceState.LOST:
        return Cell(f"{one.name} LOST {since}", "lost")
    if one.state is SourceState.CONNECTING:
        return Cell(f"{one.name} connecting", "pending")
    text = f"{one.name} {since}"
    if roomy and one.latency_s is not None:
        text += f" ({latency(one.latency_s)})"
    covered = _is_covered(one)
    if one.targets is not None and (roomy or not covered):
        text += f" {one.targets[0]}/{one.targets[1]}"
    if one.state is SourceState.PARTIAL:
        return Cell(f"{text} PARTIAL", "missing")
    return Cell(text, "text" if covered else "missing")


def _with_errors(
    cells: list[Cell], sources: Sequence[SourceHealth], width: int, glyphs: Glyphs
) -> list[Cell]:
    """The cells with the sources' errors put in where there is room left: `note_lines` has them in full."""
    for number, source in enumerate(sources, start=1):
        room = width - _width(_joined(cells)) - 3
        if source.error and room >= 16:
            text = said(source.error, glyphs)
            text = fit(text, min(room, width_of(text)), glyphs)
            cells[number] = Cell(f"{cells[number].text}: {text}", cells[number].role)
    return cells


def _joined(cells: Sequence[Cell], between: str = "  ") -> list[Cell]:
    made: list[Cell] = []
    for cell in cells:
        made += [Cell(between), cell] if made else [cell]
    return made


def _width(cells: Sequence[Cell]) -> int:
    return sum(width_of(cell.text) for cell in cells)
