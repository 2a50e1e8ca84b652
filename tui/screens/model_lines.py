"""The model page as lines: pure, so that every row can be tested without a terminal."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from collectors.fleet import ALL_TIERS, Event, Model
from collectors.readings import NEVER, SIGNALS, Reading, Reason, worded
from tui.format import (
    Glyphs,
    absent,
    age,
    count,
    counted,
    fit,
    percent,
    said,
    shown,
    width_of,
)
from tui.screens.control_lines import has_plane, release_lines, throttle_lines
from tui.screens.page import Page, beside, heading, padded, told
from tui.screens.readings import NOW, SPARK_PARTS, TITLE, explained, reading_row, wrapped
from tui.screens.waiting_lines import QUEUE, TWO_COLUMNS, feature_lines, queue_lines
from tui.widgets.badges import page_badges
from tui.widgets.lines import Cell, Line
from tui.widgets.name import grade, named, truth_mark
from tui.widgets.stage_track import EVERYONE, stage_glyphs, staged_tiers
from tui.widgets.timeline import LEGEND, event_lines, strip_line

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

NAME_LEAST = 12
"""Cells that a name keeps before badges are shortened."""

STRIP_S = 1800.0
"""Seconds on the strip of marks."""

ALL = 10_000
"""More lines than there are events."""

ROOMY = 120
"""From this width on, sentences are spelled out."""


def model_lines(page: Page, heat: Sequence[Line] = ()) -> tuple[Line, ...]:
    """Every section of the page, from the queue to the events; `heat` is put in as the section NODES."""
    lines = [*queue_lines(page), *feature_lines(page)]
    if page.width >= TWO_COLUMNS:
        half = page.width // 2
        left, right = replace(page, width=half), replace(page, width=page.width - half)
        lines += beside(
            [*_serving(left)], [*_throttles(right), *release_lines(right), *_capacity(right)], left, right
        )
    else:
        lines += [*_throttles(page), *release_lines(page), *_serving(page), *_capacity(page)]
    lines += [*_doubts(page), *(heat or _no_nodes(page)), *event_lines_of(page)]
    return tuple(lines)


def model_header(page: Page) -> tuple[Line, ...]:
    """Name, badges and size of the model; below, its stages with phase, gate and revision.

    The badges are words at every width (D15): a long name, and then the size, give way.
    """
    frame, model, glyphs = page.frame, page.model, page.glyphs
    size = [*_sizes(model, glyphs), _use(model, glyphs)]
    serves = f"serves {', '.join(model.features)}" if page.kind == "model" and model.features else ""
    kind = "feature" if page.kind == "feature" else ""
    about = said("  ".join(filter(None, (kind, *size, serves))), glyphs)
    least = min(width_of(model.name), NAME_LEAST) + 3
    badges = page_badges(frame, page.writes, page.width - least, glyphs)
    room = max(page.width - least - sum(width_of(badge.text) + 2 for badge in badges), 0)
    name = min(width_of(model.name), NAME_LEAST + room)
    first = [Cell(" "), *(Cell(text, role) for text, role in _named(model, name, glyphs))]
    for badge in badges:
        first += [Cell("  "), badge]
    return (
        padded([*first, Cell("  "), Cell(about, "muted")], page),
        padded([Cell(" "), *_track(page)], page),
    )


def _named(model: Model, width: int, glyphs: Glyphs) -> list[tuple[str, str]]:
    """The name in `width` cells, its cluster dim."""
    head, tail = named(model.name, model.cluster, width, glyphs)
    return [(head, "title"), (tail, "muted")] if tail else [(head, "title")]


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
        why = (
            f"no release opens this {page.kind} in stages" if has_plane(frame) else worded(Reason("no-plane"))
        )
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
        if signal == "errors" and (page.model.reading("rejected").estimate or 0) > 0:
            # Or a throttle that works would read as one that broke something.
            note = said("   what is turned away may count among the errors: see rejected", page.glyphs)
            yield padded([Cell(fit(note, page.width, page.glyphs), "muted")], page)


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
    return throttle_lines(page, page.model.features, "THROTTLES of its features, fleet-wide")


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


def event_lines_of(page: Page) -> Iterator[Line]:
    """The last half hour as a strip of marks, then each event."""
    yield heading(f"EVENTS of this {page.kind}, newest first", page)
    if not page.events:
        yield told("none since the screen was opened", page)
        return
    strip = strip_line(page.events, page.now, STRIP_S, page.width, page.glyphs)
    yield padded(strip.cells, page)
    if page.width >= len(LEGEND) + 3:
        yield told(LEGEND, page)
    after, key = page.after, page.undo_key
    for line in event_lines(page.events, page.width, ALL, page.glyphs, after=after, undo_key=key)[1:]:
        yield padded(line.cells, page)


def events_of(model: Model, events: Sequence[Event]) -> tuple[Event, ...]:
    """Those about the model or a feature it serves, newest first."""
    subjects = {model.name, model.subject, *model.features}
    found = (event for event in events if event.subject.partition("/")[0] in subjects)
    return tuple(sorted(found, key=lambda event: event.at, reverse=True))


def _plain(one: Reading, glyphs: Glyphs) -> str:
    return shown(one, count(one.estimate), glyphs)[0] if one.estimate is not None else absent(one, glyphs)[0]
