"""The model page as lines: pure, so that every row can be tested without a terminal."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from collectors.fleet import (
    ALL_TIERS,
    NEVER,
    SIGNALS,
    Event,
    Frame,
    Model,
    Reading,
    Reason,
    Release,
    Throttle,
    worded,
)
from tui.format import (
    Glyphs,
    absent,
    admit,
    age,
    clock,
    count,
    counted,
    duration,
    fit,
    level,
    percent,
    said,
    shown,
    width_of,
)
from tui.screens.page import Page, beside, heading, padded, told
from tui.screens.readings import NOW, SPARK_PARTS, TITLE, explained, reading_row, wrapped
from tui.screens.waiting_lines import QUEUE, TWO_COLUMNS, feature_lines, queue_lines
from tui.widgets.lines import Cell, Line
from tui.widgets.name import grade, truth_mark
from tui.widgets.stage_track import EVERYONE, stage_glyphs, staged_tiers

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

OPTIONAL = (
    "queue_wait_mean",
    "answer_time_mean",
    "answer_time_p50",
    "answer_time_p99",
    "rejected",
    "pool_saturation",
    "slices",
)
"""Shown only where something measures it: few stacks do, and the rest need not be told."""

ROOMY = 120
"""From this width on, sentences are spelled out."""


def model_lines(page: Page, heat: Sequence[Line] = ()) -> tuple[Line, ...]:
    """Every section of the page, from the queue to the events; `heat` is put in as the section NODES."""
    lines = [*queue_lines(page), *feature_lines(page)]
    if page.width >= TWO_COLUMNS:
        half = page.width // 2
        left, right = replace(page, width=half), replace(page, width=page.width - half)
        lines += beside(
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
    size = [*_sizes(model, glyphs), _use(model, glyphs)]
    serves = f"serves {', '.join(model.features)}" if model.features else ""
    about = said("  ".join(filter(None, (*size, serves))), glyphs)
    tail = f"@{model.cluster}" if model.cluster else ""
    name = [Cell(f" {model.subject}", "title"), Cell(tail, "muted")]
    first = [*(cell for cell in name if cell.text), Cell("  "), *badges, Cell(about, "muted")]
    return (padded(first, page), padded([Cell(" "), *_track(page)], page))


def _sizes(model: Model, glyphs: Glyphs) -> list[str]:
    """Accelerators, and replicas of those that there should be: `38/40 replicas`."""
    made = []
    wanted = model.reading("replicas_desired")
    for signal in ("accelerators", "replicas"):
        one = model.reading(signal)
        is_counted = signal == "replicas" and wanted.value is not None
        of = f"/{_plain(wanted, glyphs)}" if is_counted else ""
        if one.value is not None:
            made.append(counted(f"{_plain(one, glyphs)}{of}", signal.removesuffix("s")))
    return made


def _use(model: Model, glyphs: Glyphs) -> str:
    """Busy time beside the work of the tensor cores: busy without work is waste."""
    busy, tensor = model.reading("busy_ratio"), model.reading("tensor_ratio")
    if busy.estimate is None or tensor.estimate is None:
        return ""
    told = [shown(one, percent(one.estimate or 0), glyphs)[0] for one in (busy, tensor)]
    return f"busy {told[0]}, tensor {told[1]}"


def _track(page: Page) -> list[Cell]:
    frame, glyphs = page.frame, page.glyphs
    release = page.release
    if release is None:
        why = "no release opens this model in stages" if _has_plane(frame) else worded(Reason("no-plane"))
        return [Cell(said(why, glyphs), "muted")]
    cells: list[Cell] = []
    tiers, everyone = staged_tiers(frame.tiers), release.desired(EVERYONE)
    for glyph, tier in zip(stage_glyphs(release, tiers, glyphs), tiers, strict=True):
        share = release.desired(tier.name)
        share = everyone if share is None else share
        part = f" {percent(share)}" if share is not None and 0 < share < 1 else ""
        cells.append(Cell(f"{glyphs.rule * 2 if cells else ''}{glyph}{tier.title}{part}"))
    stage = ""
    if release.stage_index is not None:
        stage = f"stage {release.stage_index + 1} of {len(release.stages)}  "
    since = f" for {age(page.now - release.entered_at)}" if release.entered_at is not None else ""
    revision = f"   rev {release.etag}" if release.etag else ""
    only = "   only seen from here" if release.read_only else f"   gate {release.gate}"
    facts = f"   {stage}{release.phase}{since}{only}{revision}"
    return [*cells, Cell(said(facts, glyphs), "muted")]


def _serving(page: Page) -> Iterator[Line]:
    yield heading("SERVING: now, and the last ten minutes", page)
    readings = page.model.readings
    yield from _little(page)
    signals = [*SERVING, *(signal for signal in OPTIONAL if signal in readings)]
    if "tensor_ratio" in readings:
        signals.insert(signals.index("busy_ratio") + 1, "tensor_ratio")
    for signal in signals:
        one, trend = page.model.reading(signal), page.trend(signal, SPARK_PARTS)
        yield padded(reading_row(signal, one, trend, page.now, page.width, page.glyphs), page)


def _little(page: Page) -> Iterator[Line]:
    """How far counts and times are apart, with both: `4% off  grade A: 812 in engines, 780 rate x time`."""
    model, glyphs = page.model, page.glyphs
    one = model.readings.get("little_error")
    if one is None:
        return
    mark = truth_mark(one, glyphs) or Cell(" ")
    title = Cell(fit("   Little's law", TITLE, glyphs))
    if one.estimate is None:
        text, role = absent(one, glyphs)
        yield padded(
            [title, Cell(fit(text, NOW, right=True), role), Cell(f"  {_why(one, glyphs)}", "muted")], page
        )
        return
    text = f"{mark.text} {percent(one.estimate)} off"
    judged = grade(one)
    facts = f"grade {judged}" if judged else "suspect"
    present = model.reading("engine_population").estimate
    by_law = model.reading("little_population").estimate
    if by_law is not None and present is not None:
        wide = page.width >= ROOMY
        counted = "in engines now" if wide else "in engines"
        facts += f": {count(present)} {counted}, {count(by_law)} {'by ' if wide else ''}rate x time"
    role = "text" if mark.role == "muted" else mark.role
    now = max(NOW, width_of(text))
    title = Cell(fit("   Little's law", TITLE + NOW - now, glyphs))
    yield padded(
        [title, Cell(fit(text, now, right=True), role), Cell(f"  {said(facts, glyphs)}", "muted")], page
    )


def _why(one: Reading, glyphs: Glyphs) -> str:
    return said(worded(one.reason), glyphs)


def _throttles(page: Page) -> Iterator[Line]:
    """The cells of the features this model serves: level, who, until when, why."""
    frame, model = page.frame, page.model
    yield heading("THROTTLES of its features, fleet-wide", page)
    if not _has_plane(frame):
        yield told(worded(Reason("no-plane")), page)
        return
    if not model.features:
        yield told("no feature is known to be served by it", page)
    order = {tier.name: place for place, tier in enumerate(frame.tiers)}
    for feature in model.features:
        cells = [throttle for throttle in frame.throttles if throttle.feature == feature]
        for throttle in sorted(cells, key=lambda cell: order.get(cell.tier, len(order))):
            if not _is_open(throttle):
                yield from _throttle(throttle, page)
        if opened := [order.get(t.tier, len(order)) for t in cells if _is_open(t)]:
            titles = [frame.tiers[place].title for place in sorted(opened) if place < len(order)]
            everyone = len(opened) == len(cells)
            yield told(f"{feature}  open to {'every tier' if everyone else ', '.join(titles)}", page)
        elif not cells:
            yield told(f"{feature}  not throttled anywhere", page)


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
    yield padded([Cell(name), Cell(preset, role), Cell(said(text, glyphs), role)], page)
    if change is not None:
        why = f"by {change.actor} at {clock(change.at)}" + (f": {change.reason}" if change.reason else "")
        yield padded([Cell(" " * place + "    "), Cell(said(why, glyphs), "muted")], page)


def _release(page: Page) -> Iterator[Line]:
    """Stages with what was asked for and what is seen, then the gate with its checks."""
    frame, glyphs = page.frame, page.glyphs
    yield heading("RELEASE: stages and gate", page)
    release = page.release
    if release is None:
        yield told(
            "no release opens this model in stages" if _has_plane(frame) else worded(Reason("no-plane")), page
        )
        return
    if release.read_only:
        yield told(f"nothing can be done to it from here: {release.read_only}", page)
    for number, stage in enumerate(release.stages):
        tier = "everyone" if stage.tier == EVERYONE else stage.tier
        at = glyphs.pointer if number == release.stage_index else " "
        observed = release.observed(stage.tier)
        seen = percent(observed) if observed is not None else "not observed"
        asked = release.desired(stage.tier)
        shares = f"asked {percent(asked) if asked is not None else '?':>4}, seen {seen:>4}"
        hold = f", holds {duration(stage.hold_s)}" if stage.hold_s else ""
        text = f" {at} {fit(tier, 12, glyphs)} to {percent(stage.weight):>4}  {shares}  {stage.gate}{hold}"
        yield padded([Cell(said(text, glyphs))], page)
    yield from _gate(release, page)


def _gate(release: Release, page: Page) -> Iterator[Line]:
    glyphs = page.glyphs
    yield padded([Cell(f"   gate {release.gate}", "text" if release.gate == "open" else "pending")], page)
    shapes = {"pass": glyphs.passed, "passed": glyphs.passed, "ok": glyphs.passed, "open": glyphs.passed}
    shapes |= {"fail": glyphs.failed, "failed": glyphs.failed, "closed": glyphs.failed}
    for check in release.checks:
        mark = shapes.get(check.state, glyphs.no_data)
        role = "refused" if mark == glyphs.failed else "text"
        ready = f"  ready in {duration(check.ready_at - page.now)}" if check.ready_at is not None else ""
        text = f"   {mark} {fit(check.id, 18, glyphs)} {check.state}{ready}  {check.detail}"
        yield padded([Cell(said(text.rstrip(), glyphs), role)], page)
    paused = f"paused: {release.pause_reason}" if release.pause_reason else ""
    for text in (paused, release.message):
        if text:
            yield told(text, page)
    if (change := release.last_change) is not None:
        why = f": {change.reason}" if change.reason else ""
        yield told(f"{change.op} by {change.actor} at {clock(change.at)}{why}", page)


def _capacity(page: Page) -> Iterator[Line]:
    yield heading("CAPACITY: would the next step fit", page)
    for signal in ("saturation_rho", "headroom_ratio"):
        one = page.model.reading(signal)
        yield padded(reading_row(signal, one, None, page.now, page.width, page.glyphs), page)


def _doubts(page: Page) -> Iterator[Line]:
    """Each reading that is not simply good, with its reason in full: why a cell is empty or marked."""
    model, width = page.model, page.width
    yield heading("DATA: why a cell is empty or marked", page)
    for note in model.notes:
        yield told(worded(note), page)
    signals = [signal for signal in dict.fromkeys((*SERVING, *model.readings)) if signal in SIGNALS]
    taken = [(signal, "", model.reading(signal)) for signal in signals]
    for tier in page.frame.tiers:
        found, title = model.tiers.get(tier.name, {}), fit(tier.title, 14, page.glyphs).rstrip()
        once = set(signals) if tier.name == ALL_TIERS else set()  # told as the model's own
        taken += [
            (signal, title, found.get(signal, NEVER))
            for signal in dict.fromkeys((*QUEUE, *found))
            if signal in SIGNALS and signal not in once
        ]
    for feature, found in sorted(model.by_feature.items()):
        title = fit(f"feature {feature}", 32, page.glyphs).rstrip()
        taken += [(signal, title, one) for signal, one in found.items() if signal in SIGNALS]
    causes = explained(taken, page.glyphs)
    if not causes and not model.notes:
        yield told("every reading is good", page)
    for quality, sentence in causes:
        for number, row in enumerate(wrapped(said(sentence, page.glyphs), max(width - 14, 10))):
            label = f"   {quality}" if number == 0 else ""
            yield padded([Cell(fit(label, 13)), Cell(row, "muted")], page)


def _no_nodes(page: Page) -> list[Line]:
    reason = next((n for n in page.model.notes if n.code == "no-accelerators"), Reason("no-accelerators"))
    return [heading("NODES", page), told(worded(reason), page)]


def _events(page: Page) -> Iterator[Line]:
    yield heading("EVENTS of this model, newest first", page)
    if not page.events:
        yield told("none since the screen was opened", page)
    for event in page.events:
        who, what = fit(event.actor, 8, page.glyphs), fit(event.kind.value, 8, page.glyphs)
        text = f" {clock(event.at)}  {who} {what} {event.subject}  {event.text}"
        yield padded([Cell(said(text, page.glyphs))], page)


def events_of(model: Model, events: Sequence[Event]) -> tuple[Event, ...]:
    """Those about the model or a feature it serves, newest first."""
    subjects = {model.name, model.subject, *model.features}
    found = (event for event in events if event.subject.partition("/")[0] in subjects)
    return tuple(sorted(found, key=lambda event: event.at, reverse=True))


def _has_plane(frame: Frame) -> bool:
    return bool(frame.releases or frame.throttles) or any(s.kind == "plane" for s in frame.sources)


def _plain(one: Reading, glyphs: Glyphs) -> str:
    return shown(one, count(one.estimate), glyphs)[0] if one.estimate is not None else absent(one, glyphs)[0]
