"""The model page as lines: pure, so that every row can be tested without a terminal."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from collectors.fleet import (
    NEVER,
    SIGNALS,
    Event,
    Frame,
    Model,
    Reading,
    Reason,
    Release,
    Standing,
    Throttle,
    standing,
    worded,
)
from tui.format import (
    Glyphs,
    absent,
    admit,
    age,
    clock,
    count,
    duration,
    fit,
    level,
    objective,
    percent,
    quantile,
    rate,
    said,
    shown,
    wide_quantile,
    width_of,
)
from tui.screens.readings import SPARK_PARTS, age_text, explained, reading_row, wrapped
from tui.screens.trends import Span
from tui.widgets.lines import Cell, Line
from tui.widgets.stage_track import stage_glyphs

QUEUE = ("queue_wait_p50", "queue_wait_p95", "queue_wait_p99", "waiting", "arrivals", "served")
"""What the section QUEUE shows of every tier."""

SERVING = (
    "busy_ratio",
    "memory_ratio",
    "kv_ratio",
    "waiting",
    "running",
    "first_token_p99",
    "token_gap_p99",
    "preemptions",
    "errors",
    "tokens_in",
    "tokens_out",
    "power_w",
    "temperature_c",
    "faults",
)
"""What the section SERVING shows, measured or not."""

OPTIONAL = ("rejected", "answer_time_p99", "pool_saturation")
"""Shown only where something measures it: few stacks do, and the rest need not be told."""

TWO_COLUMNS = 140
"""From this width on, throttles and release stand beside the readings."""

BAR, BAR_OVER = 12, 4
"""Cells of the in-range bar up to the objective, and past it."""

BAR_OVER_SHARE = 0.5
"""Share of the objective that the cells past it stand for; beyond, the bar ends in its mark."""


_JUDGED = {Standing.BREACH: "breach", Standing.STRADDLES: "straddles"}


@dataclass(frozen=True, slots=True)
class Page:
    """What the page is drawn from.

    now: by the frame's clock, seconds since the epoch; events: newest first; width: cells, >= 1
    trend: (signal, parts) -> the last ten minutes of this model; tier: name of one to point at
    """

    frame: Frame
    model: Model
    now: float
    events: Sequence[Event]
    trend: Callable[[str, int], Span | None]
    width: int
    glyphs: Glyphs
    tier: str = ""


def model_lines(page: Page, heat: Sequence[Line] = ()) -> tuple[Line, ...]:
    """Every section of the page, from the queue to the events; `heat` is put in as the section NODES."""
    lines = [*_queue(page)]
    if page.width >= TWO_COLUMNS:
        half = page.width // 2
        left, right = replace(page, width=half), replace(page, width=page.width - half)
        lines += _beside(
            [*_serving(left)], [*_throttles(right), *_release(right), *_capacity(right)], left, right
        )
    else:
        lines += [*_serving(page), *_throttles(page), *_release(page), *_capacity(page)]
    lines += [*_doubts(page), *(heat or _no_nodes(page)), *_events(page)]
    return tuple(lines)


def model_header(page: Page) -> tuple[Line, ...]:
    """Name, context and size of the model; below, its stages with phase, gate and revision."""
    frame, model, glyphs = page.frame, page.model, page.glyphs
    place = f"PROD/{frame.context}" if frame.production else frame.context
    badges = [Cell(said(place, glyphs), "production" if frame.production else "muted"), Cell("  ")]
    badges += [Cell("SIMULATED", "simulated"), Cell("  ")] if frame.simulated else []
    size = [
        f"{_plain(model.reading(signal), glyphs)} {signal}"
        for signal in ("accelerators", "replicas")
        if model.reading(signal).value is not None
    ]
    serves = f"serves {', '.join(model.features)}" if model.features else ""
    about = said("  ".join(filter(None, (*size, serves))), glyphs)
    first = [Cell(f" {model.name}", "title"), Cell("  "), *badges, Cell(about, "muted")]
    return (_line(first, page), _line([Cell(" "), *_track(page)], page))


def _track(page: Page) -> list[Cell]:
    frame, glyphs = page.frame, page.glyphs
    release = frame.release_of(page.model.name)
    if release is None:
        why = "no release opens this model in stages" if _has_plane(frame) else worded(Reason("no-plane"))
        return [Cell(said(why, glyphs), "muted")]
    cells: list[Cell] = []
    for glyph, tier in zip(stage_glyphs(release, frame.tiers, glyphs), frame.tiers, strict=True):
        share = release.desired(tier.name)
        part = f" {percent(share)}" if share is not None and 0 < share < 1 else ""
        cells.append(Cell(f"{glyphs.rule * 2 if cells else ''}{glyph}{tier.title}{part}"))
    stage = ""
    if release.stage_index is not None:
        stage = f"stage {release.stage_index + 1} of {len(release.stages)}  "
    since = f" for {age(page.now - release.entered_at)}" if release.entered_at is not None else ""
    facts = f"   {stage}{release.phase}{since}   gate {release.gate}   rev {release.etag}"
    return [*cells, Cell(said(facts, glyphs), "muted")]


def _queue(page: Page) -> Iterator[Line]:
    frame, model, glyphs = page.frame, page.model, page.glyphs
    tiers, wide = frame.tiers, page.width >= TWO_COLUMNS
    name = min(max([4, *(width_of(tier.title) for tier in tiers)]), 14)
    value = 15 if wide else 7
    bar = page.width >= name + 3 * value + 46 + BAR + BAR_OVER + 4
    yield _heading("QUEUE: how long each tier waits", page)
    heads = ["p50", "p95", "p99"]
    head = [Cell(fit("", name + 3)), *(Cell(fit(text, value, glyphs, right=True), "muted") for text in heads)]
    head.append(Cell(fit("promised", 10, glyphs, right=True), "muted"))
    if bar:
        head.append(Cell(fit("  of promised", BAR + BAR_OVER + 4, glyphs), "muted"))
    head += [Cell(fit(text, 9, glyphs, right=True), "muted") for text in ("waiting", "arrive/s", "serve/s")]
    head.append(Cell(fit("age", 6, glyphs, right=True), "muted"))
    yield _whole(head, page)
    for tier in tiers:
        promised = model.objectives.get(tier.name)
        worst = model.reading("queue_wait_p99", tier.name)
        judged = standing(worst, promised)
        mark, role = _mark(page, tier.name, judged)
        at = glyphs.pointer if tier.name == page.tier else " "
        value_role = _JUDGED.get(judged, "")
        cells = [Cell(at), Cell(mark, role), Cell(f" {fit(tier.title, name, glyphs)}")]
        for signal in QUEUE[:3]:
            one = model.reading(signal, tier.name)
            cells.append(_wait_cell(one, value, wide, glyphs, value_role if one is worst else ""))
        text = f"{objective(promised)} s" if promised is not None else "none"
        cells.append(Cell(fit(text, 10, glyphs, right=True), "muted"))
        if bar:
            cells.append(Cell(f"  {_in_range(worst, promised, glyphs)}  ", value_role or "text"))
        for signal in QUEUE[3:]:
            one = model.reading(signal, tier.name)
            shape = count if signal == "waiting" else rate
            text, own = (
                absent(one, glyphs) if one.estimate is None else shown(one, shape(one.estimate), glyphs)
            )
            cells.append(Cell(fit(text, 9, glyphs, right=True), own))
        cells.append(Cell(fit(age_text(worst, page.now), 6, glyphs, right=True), "muted"))
        yield _whole(cells, page)


def _wait_cell(one: Reading, width: int, wide: bool, glyphs: Glyphs, role: str) -> Cell:
    if one.value is None:
        text, own = absent(one, glyphs)
    else:
        text, own = shown(one, (wide_quantile if wide else quantile)(one.value, glyphs), glyphs)
    return Cell(fit(text, width, glyphs, right=True), role if role and own == "text" else own)


def _mark(page: Page, tier: str, judged: Standing) -> tuple[str, str]:
    """The tier's worst alert, else how its wait stands to what was promised (D2: a shape for each)."""
    glyphs = page.glyphs
    shapes = {"P1": glyphs.p1, "P2": glyphs.p2, "P3": glyphs.p3}
    alerts = [a.severity.value for a in page.frame.alerts if (a.model, a.tier) == (page.model.name, tier)]
    if alerts:
        return shapes[min(alerts)], min(alerts).lower()
    if judged is Standing.BREACH:
        return glyphs.over, "breach"
    return (glyphs.straddles, "straddles") if judged is Standing.STRADDLES else (" ", "text")


def _in_range(one: Reading, promised: float | None, glyphs: Glyphs) -> str:
    """A bar that fills up to the promised wait and a little past it: limit beside value (D4)."""
    if promised is None or promised <= 0 or one.estimate is None:
        return " " * (BAR + 1 + BAR_OVER)
    share = one.estimate / promised
    full = min(round(share * BAR), BAR)
    past = min(round(max(share - 1, 0) / BAR_OVER_SHARE * BAR_OVER), BAR_OVER)
    over = glyphs.bar * past + " " * (BAR_OVER - past)
    if share > 1 + BAR_OVER_SHARE:
        over = over[:-1] + glyphs.over
    return glyphs.bar * full + glyphs.bar_rest * (BAR - full) + glyphs.column + over


def _serving(page: Page) -> Iterator[Line]:
    yield _heading("SERVING: now, and the last ten minutes", page)
    readings = page.model.readings
    for signal in (*SERVING, *(signal for signal in OPTIONAL if signal in readings)):
        one, trend = page.model.reading(signal), page.trend(signal, SPARK_PARTS)
        yield _line(reading_row(signal, one, trend, page.now, page.width, page.glyphs), page)


def _throttles(page: Page) -> Iterator[Line]:
    """The cells of the features this model serves: level, who, until when, why."""
    frame, model = page.frame, page.model
    yield _heading("THROTTLES of its features, fleet-wide", page)
    if not _has_plane(frame):
        yield _told(worded(Reason("no-plane")), page)
        return
    if not model.features:
        yield _told("no feature is known to be served by it", page)
    order = {tier.name: place for place, tier in enumerate(frame.tiers)}
    for feature in model.features:
        cells = [throttle for throttle in frame.throttles if throttle.feature == feature]
        for throttle in sorted(cells, key=lambda cell: order.get(cell.tier, len(order))):
            if not _is_open(throttle):
                yield from _throttle(throttle, page)
        if opened := [order.get(t.tier, len(order)) for t in cells if _is_open(t)]:
            titles = [frame.tiers[place].title for place in sorted(opened) if place < len(order)]
            everyone = len(opened) == len(cells)
            yield _told(f"{feature}  open to {'every tier' if everyone else ', '.join(titles)}", page)
        elif not cells:
            yield _told(f"{feature}  not throttled anywhere", page)


def _is_open(throttle: Throttle) -> bool:
    """Everyone is let in, and nothing is on its way to change that."""
    return throttle.in_force == 1 and throttle.state == "applied"


def _throttle(throttle: Throttle, page: Page) -> Iterator[Line]:
    share, change, glyphs = throttle.in_force, throttle.last_change, page.glyphs
    ends = "no end set"
    if throttle.expires_at is not None:
        ends = f"{duration(throttle.expires_at - page.now)} left"
        if throttle.revert_to is not None:
            ends += f", then {admit(throttle.revert_to.level)}"
    state = "" if throttle.state == "applied" else f"  {throttle.state}"
    text = f"{admit(share)}{state}  {ends}  rev {throttle.etag}"
    role = "text" if throttle.state == "applied" else "pending"
    place = min(28, page.width // 2)
    name = fit(f"   {throttle.feature}/{throttle.tier}", place, glyphs)
    preset = fit(level(share, glyphs), 4, glyphs)
    yield _line([Cell(name), Cell(preset, role), Cell(said(text, glyphs), role)], page)
    if change is not None:
        why = f"by {change.actor} at {clock(change.at)}" + (f": {change.reason}" if change.reason else "")
        yield _line([Cell(" " * place + "    "), Cell(said(why, glyphs), "muted")], page)


def _release(page: Page) -> Iterator[Line]:
    """Stages with what was asked for and what is seen, then the gate with its checks."""
    frame, glyphs = page.frame, page.glyphs
    yield _heading("RELEASE: stages and gate", page)
    release = frame.release_of(page.model.name)
    if release is None:
        yield _told(
            "no release opens this model in stages" if _has_plane(frame) else worded(Reason("no-plane")), page
        )
        return
    for number, stage in enumerate(release.stages):
        tier = "everyone" if stage.tier == "*" else stage.tier
        at = glyphs.pointer if number == release.stage_index else " "
        observed = release.observed(stage.tier)
        seen = percent(observed) if observed is not None else "not observed"
        asked = release.desired(stage.tier)
        shares = f"asked {percent(asked) if asked is not None else '?':>4}, seen {seen:>4}"
        hold = f", holds {duration(stage.hold_s)}" if stage.hold_s else ""
        text = f" {at} {fit(tier, 12, glyphs)} to {percent(stage.weight):>4}  {shares}  {stage.gate}{hold}"
        yield _line([Cell(said(text, glyphs))], page)
    yield from _gate(release, page)


def _gate(release: Release, page: Page) -> Iterator[Line]:
    glyphs = page.glyphs
    yield _line([Cell(f"   gate {release.gate}", "text" if release.gate == "open" else "pending")], page)
    shapes = {"pass": glyphs.passed, "passed": glyphs.passed, "ok": glyphs.passed, "open": glyphs.passed}
    shapes |= {"fail": glyphs.failed, "failed": glyphs.failed, "closed": glyphs.failed}
    for check in release.checks:
        mark = shapes.get(check.state, glyphs.no_data)
        role = "refused" if mark == glyphs.failed else "text"
        ready = f"  ready in {duration(check.ready_at - page.now)}" if check.ready_at is not None else ""
        text = f"   {mark} {fit(check.id, 18, glyphs)} {check.state}{ready}  {check.detail}"
        yield _line([Cell(said(text.rstrip(), glyphs), role)], page)
    paused = f"paused: {release.pause_reason}" if release.pause_reason else ""
    for text in (paused, release.message):
        if text:
            yield _told(text, page)
    if (change := release.last_change) is not None:
        why = f": {change.reason}" if change.reason else ""
        yield _told(f"{change.op} by {change.actor} at {clock(change.at)}{why}", page)


def _capacity(page: Page) -> Iterator[Line]:
    yield _heading("CAPACITY: would the next step fit", page)
    for signal in ("saturation_rho", "headroom_ratio"):
        one = page.model.reading(signal)
        yield _line(reading_row(signal, one, None, page.now, page.width, page.glyphs), page)


def _doubts(page: Page) -> Iterator[Line]:
    """Each reading that is not simply good, with its reason in full: why a cell is empty or marked."""
    model, width = page.model, page.width
    yield _heading("DATA: why a cell is empty or marked", page)
    for note in model.notes:
        yield _told(worded(note), page)
    signals = [signal for signal in dict.fromkeys((*SERVING, *model.readings)) if signal in SIGNALS]
    taken = [(signal, "", model.reading(signal)) for signal in signals]
    for tier in page.frame.tiers:
        found, title = model.tiers.get(tier.name, {}), fit(tier.title, 14, page.glyphs).rstrip()
        taken += [
            (signal, title, found.get(signal, NEVER))
            for signal in dict.fromkeys((*QUEUE, *found))
            if signal in SIGNALS
        ]
    causes = explained(taken)
    if not causes and not model.notes:
        yield _told("every reading is good", page)
    for quality, sentence in causes:
        for number, row in enumerate(wrapped(said(sentence, page.glyphs), max(width - 13, 10))):
            label = f"   {quality}" if number == 0 else ""
            yield _line([Cell(fit(label, 12)), Cell(row, "muted")], page)


def _no_nodes(page: Page) -> list[Line]:
    reason = next((n for n in page.model.notes if n.code == "no-accelerators"), Reason("no-accelerators"))
    return [_heading("NODES", page), _told(worded(reason), page)]


def _events(page: Page) -> Iterator[Line]:
    yield _heading("EVENTS of this model, newest first", page)
    if not page.events:
        yield _told("none since the screen was opened", page)
    for event in page.events:
        who, what = fit(event.actor, 8, page.glyphs), fit(event.kind.value, 8, page.glyphs)
        text = f" {clock(event.at)}  {who} {what} {event.subject}  {event.text}"
        yield _line([Cell(said(text, page.glyphs))], page)


def events_of(model: Model, events: Sequence[Event]) -> tuple[Event, ...]:
    """Those about the model or a feature it serves, newest first."""
    subjects = {model.name, *model.features}
    found = (event for event in events if event.subject.partition("/")[0] in subjects)
    return tuple(sorted(found, key=lambda event: event.at, reverse=True))


def _has_plane(frame: Frame) -> bool:
    return bool(frame.releases or frame.throttles) or any(s.kind == "plane" for s in frame.sources)


def _plain(one: Reading, glyphs: Glyphs) -> str:
    return shown(one, count(one.estimate), glyphs)[0] if one.estimate is not None else absent(one, glyphs)[0]


def _heading(text: str, page: Page) -> Line:
    rule = page.glyphs.rule
    text = f"{rule} {said(text, page.glyphs)} "
    return _line([Cell(text + rule * max(page.width - width_of(text), 0), "muted")], page)


def _told(sentence: str, page: Page) -> Line:
    return _line([Cell(f"   {said(sentence, page.glyphs)}", "muted")], page)


def _whole(cells: Sequence[Cell], page: Page) -> Line:
    """As `_line`, but columns that do not fit are left out as a whole."""
    kept: list[Cell] = []
    used = 0
    for cell in cells:
        used += width_of(cell.text)
        if used > page.width:
            break
        kept.append(cell)
    return _line(kept, page)


def _line(cells: Sequence[Cell], page: Page) -> Line:
    """The cells as a line exactly as wide as the page: padded, or cut with an ellipsis in its cell."""
    made: list[Cell] = []
    left = page.width
    for cell in cells:
        wide = width_of(cell.text)
        if wide >= left:
            made.append(Cell(fit(cell.text, left, page.glyphs), cell.role))
            left = 0
            break
        made.append(cell)
        left -= wide
    if left:
        made.append(Cell(" " * left))
    return Line(tuple(made))


def _beside(left: list[Line], right: list[Line], one: Page, other: Page) -> list[Line]:
    blank_left, blank_right = _line([], one), _line([], other)
    return [Line((*(a or blank_left).cells, *(b or blank_right).cells)) for a, b in zip_longest(left, right)]
