"""A recording at a glance: the worst wait over time, and what happened when."""

import bisect
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from collectors.fleet import EventKind
from collectors.recording.codec import Exceptions, Numbers
from collectors.recording.layout import Kind, RecordingError, Tag
from collectors.recording.noted import Allowance, Noted
from collectors.recording.notes import event_from, intent_from
from collectors.recording.readings import READINGS, scale
from collectors.recording.schema import Schema
from collectors.recording.window import IS_HIDDEN, values_of
from collectors.sessions import NOTE_MOST, Gap, Mark, Tick, Timeline
from collectors.text import clean

if TYPE_CHECKING:
    from collectors.recording.parts import Part
    from collectors.recording.reader import Recording

WAIT = "queue_wait_p99"
SAMPLES_MOST = 2_000
"""Frames that are decoded."""

WORK_MOST = 40_000_000
"""Numbers that are decoded."""

SNAPSHOTS_MOST = 24
"""Snapshots that objectives are taken from."""

TICKS_MOST = 2_000
"""Ticks of one lane: of more, every second, third ... is drawn."""

OBJECTIVES_MOST, SNAPSHOT_BYTES = 100_000, 10 * 2**20
"""Objectives of all these snapshots together, and JSON that is read for them."""

Objectives = Mapping[str, Mapping[str, float]]


def timeline(recording: "Recording", parts: int) -> Timeline:
    """The recording in `parts` equal parts, 1 and more. raises: RecordingError"""
    start, end = recording.start, recording.end
    parts = min(max(parts, 1), 10_000)
    worst = np.full(parts, -1.0)
    for part, wanted in _samples(recording, parts):
        _fill(worst, part, wanted, start, end, recording.gaps)
    alerts, actions = _ticks(recording, start, end)
    alerts = (*_firing(recording), *alerts)
    return Timeline(
        start,
        end,
        tuple(worst.tolist()),
        alerts,
        actions,
        tuple(Tick(mark.at, "mark", _bookmark(mark)) for mark in recording.marks()),
        recording.gaps,
    )


def _bookmark(mark: Mark) -> str:
    actor, note = clean(mark.actor), clean(mark.note, NOTE_MOST)
    return f"{actor}: {note}" if note else actor


def _samples(recording: "Recording", parts: int) -> "Iterator[tuple[Part, NDArray[np.int64]]]":
    """Of each segment all frames; of too many, those that are quick to decode, evenly spaced."""
    total = max(recording.frames, 1)
    for part in recording.parts:
        kinds = part.segment.table.kind[part.segment.frame_rows]
        quick = np.flatnonzero(kinds <= Kind.SUBKEY)
        if not len(quick):
            continue
        size = part.size_of(int(quick[-1]))
        share = len(kinds) / total
        most = max(int(min(SAMPLES_MOST, WORK_MOST // max(size, 1)) * share), 2)
        if len(kinds) <= most:
            yield part, np.arange(len(kinds), dtype=np.int64)
            continue
        spaced = np.linspace(0, len(quick) - 1, min(len(quick), most)).astype(np.int64)
        yield part, quick[np.unique(spaced)]


def _fill(
    worst: NDArray[np.float64],
    part: "Part",
    wanted: NDArray[np.int64],
    start: float,
    end: float,
    gaps: Sequence[Gap],
) -> None:
    """Put in the worst share of each of these frames, for as long as it was shown."""
    told = _objectives(part)
    limits: tuple[Schema | None, int, NDArray[np.float64]] = (None, -1, np.empty(0))
    length = max(end - start, 1e-6)
    begins = [gap.start for gap in gaps]

    def slot_of(seconds: float) -> int:
        return min(max(int((seconds - start) / length * len(worst)), 0), len(worst) - 1)

    def put(share: float, since: float, until: float) -> None:
        # A frame is shown until the next one, or until nothing was recorded any more.
        gap = bisect.bisect_left(begins, since)
        until = min(until, begins[gap] if gap < len(begins) else until)
        first, last = slot_of(since), len(worst) if until >= end else slot_of(until)
        within = worst[first : max(last, first + 1)]
        np.maximum(within, share, out=within)

    shown: tuple[float, float] = (-1.0, start)
    for place, held in part.decoder.numbers(wanted):
        row = int(part.segment.frame_rows[wanted[place]])
        at = max(sum(1 for known, _ in told if known <= row) - 1, 0)
        if limits[0] is not held.schema or limits[1] != at:
            limits = held.schema, at, _limits(held.schema, told[at][1] if told else {})
        waits = _waits(held.schema, held.values, held.exceptions)
        is_told = len(waits) and len(waits) == len(limits[2])
        shares = waits / limits[2] if is_told else waits[:0]
        shares = shares[~np.isnan(shares)]
        seconds = int(part.segment.table.t_wall[row]) / 1e6
        put(*shown, max(seconds, shown[1]))
        shown = float(shares.max()) if len(shares) else -1.0, seconds
    put(*shown, max(part.span[1], shown[1]))


def _waits(schema: Schema, values: Numbers, exceptions: Exceptions) -> NDArray[np.float64]:
    """The wait of each row of readings, seconds; NaN where there is nothing to show."""
    block = schema.block_of.get(READINGS)
    at = block.column_of.get(WAIT, -1) if block is not None else -1
    if block is None or at < 0:
        return np.empty(0)
    begin, width = schema.starts[READINGS], len(block.columns)
    places = begin + at + width * np.arange(block.rows)
    column = block.columns[at]
    found = values_of(values[places], scale(column.unit, column.quantum))
    entry = begin + block.column_of.get(f"{WAIT}.lo", at)
    gone = exceptions.places[IS_HIDDEN[exceptions.states]].astype(np.int64) - entry
    gone = gone[(gone >= 0) & (gone % width == 0) & (gone // width < block.rows)]
    found[gone // width] = np.nan
    return found


def _limits(schema: Schema, objectives: Objectives) -> NDArray[np.float64]:
    """What the wait of each row is a share of: its objective; without any at all, one second."""
    block = schema.block_of.get(READINGS)
    if block is None or [axis.name for axis in block.axes] != ["model", "tier"]:
        return np.empty(0)
    made = np.full(block.rows, np.nan if objectives else 1.0)
    tiers = block.axes[1].labels
    for row, model in enumerate(block.axes[0].labels):
        for tier, limit in objectives.get(model, {}).items():
            if tier in tiers and limit > 0:
                made[row * len(tiers) + tiers.index(tier)] = limit
    return made


def _objectives(part: "Part") -> list[tuple[int, Objectives]]:
    """Objectives by model and tier, with the rows of the snapshots that they stand in."""
    rows = part.states.snapshots()
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), SNAPSHOTS_MOST)).astype(np.int64))]
    found: list[tuple[int, Objectives]] = []
    count = 0
    allowance = Allowance(SNAPSHOT_BYTES)
    for row in chosen.tolist():
        told = _objectives_in(part.states.snapshot(row, allowance))
        if allowance.is_spent:
            break
        if found and told == found[-1][1]:
            continue
        if (count := count + len(told)) > OBJECTIVES_MOST:
            break
        found.append((row, told))
    return found


def _objectives_in(state: Mapping[str, Any]) -> Objectives:
    models = state.get("models")
    found: dict[str, dict[str, float]] = {}
    for name, told in models.items() if isinstance(models, dict) else ():
        limits = told.get("objectives") if isinstance(told, dict) else None
        if isinstance(limits, dict):
            kept = {
                tier: float(limit)
                for tier, limit in limits.items()
                if isinstance(limit, int | float) and 0 < limit < 1e9
            }
            if kept:
                found[name] = kept
    return found


def _ticks(recording: "Recording", start: float, end: float) -> tuple[tuple[Tick, ...], tuple[Tick, ...]]:
    """What stands on the lanes of alerts and of actions."""
    alerts: list[Tick] = []
    actions: list[Tick] = []
    told = {Tag.ALERT, Tag.ALERT_CLEARED, Tag.STAGE, Tag.POLL_FAILURE, Tag.HAPPENED, Tag.INTENT}
    for one in recording.thinned(start, end, {Kind.EVENT, Kind.ACTION}, told, 2 * TICKS_MOST):
        lane, tick = _tick(one)
        if tick is not None:
            (alerts if lane == "alerts" else actions).append(tick)
    return _thinned(alerts), _thinned(actions)


def _firing(recording: "Recording") -> Iterator[Tick]:
    """The alerts of the first frame: no event tells when they began to fire."""
    if not recording.frames:
        return
    try:
        frame = recording.picture(0)
    except RecordingError:
        return
    for alert in frame.alerts[:TICKS_MOST]:
        text = f"{alert.summary}, firing when the recording began"
        yield Tick(recording.time_of(0), alert.severity.value, clean(text, 256))


def _tick(one: Noted) -> tuple[str, Tick | None]:
    """The lane of a record, and its tick; None if it has none."""
    if one.kind == Kind.ACTION:
        intent = intent_from(one.body)
        text = clean(f"{intent.operation} {intent.target}", 256) if intent is not None else "an action"
        return "actions", Tick(one.at, "action", text)
    event = event_from(one.body)
    if event is None:
        return "", None
    text = clean(f"{event.subject}: {event.text}" if event.subject else event.text, 256)
    if event.kind is EventKind.ALERT:
        kind = event.actor if event.actor in {"P1", "P2", "P3"} else "cleared"
        return "alerts", Tick(one.at, kind, text)
    if one.tag == Tag.POLL_FAILURE:
        return "alerts", Tick(one.at, "lost", text)
    if event.kind is EventKind.RELEASE:
        return "actions", Tick(one.at, "stage", text)
    if event.kind is EventKind.THROTTLE:
        return "actions", Tick(one.at, "throttle", text)
    return "", None


def _thinned(ticks: Sequence[Tick]) -> tuple[Tick, ...]:
    return tuple(sorted(ticks)[:: max(1, -(-len(ticks) // TICKS_MOST))])
