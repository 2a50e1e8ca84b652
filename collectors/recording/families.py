"""The places of a frame's numbers: which rows and signals there are, and readings on their way into them.

Rows, signals and bounds only grow, so that a schema is seldom new: what a frame does not have is absent.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from collectors.readings import NO_REASON, SIGNALS, Interval, Quality, Reading, Reason
from collectors.recording.codec import CLAMP, Numbers
from collectors.recording.readings import (
    ABSENT,
    BOUNDS_MOST,
    NO_TIME,
    NO_VALUE,
    PARAMETERS,
    SIDES,
    STATE_BITS,
    USUAL_BOUNDS,
    Scale,
    States,
    clamped,
    counts,
    estimate_steps,
    reason_kept,
    scale_of,
    state_of,
    stem,
    steps,
    ticks,
)
from collectors.recording.schema import Axis, Block, Column

_REASONS_MOST = 0xFFFF
_NO_COUNTS = (0,) * PARAMETERS
_NONE: frozenset[str] = frozenset()
_EMPTY: Mapping[str, Reading] = MappingProxyType({})


class Unplaced(Exception):
    """Something has no place in the schema: it has to grow."""


@dataclass(slots=True)
class Sink:
    """What changed: numbers by place, and states with reasons by place."""

    places: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    spots: list[int] = field(default_factory=list)
    states: list[int] = field(default_factory=list)
    reasons: list[int] = field(default_factory=list)

    def clear(self) -> None:
        """It is all stored."""
        for one in (self.places, self.numbers, self.spots, self.states, self.reasons):
            one.clear()


class Reasons:
    """Ids of reasons. Those in use keep theirs; others are forgotten at a snapshot, and then told anew."""

    def __init__(self) -> None:
        self._ids: dict[tuple[Reason, tuple[type, ...]], int] = {}
        self._used: set[int] = set()
        self._last = 0
        self._new: list[tuple[int, Reason]] = []

    def id_of(self, reason: Reason) -> int:
        """The id; 0 for none, and where all ids are in use."""
        if reason == NO_REASON:
            return 0
        # 1 and 1.0 are equal and read differently.
        key = (reason, tuple(map(type, reason.parameters)))
        known = self._ids.get(key)
        if known is not None:
            return known
        if len(self._ids) >= _REASONS_MOST:
            return 0
        self._last = self._last % _REASONS_MOST + 1
        while self._last in self._used:
            self._last = self._last % _REASONS_MOST + 1
        self._ids[key] = self._last
        self._used.add(self._last)
        self._new.append((self._last, reason))
        return self._last

    def news(self) -> list[tuple[int, Reason]]:
        """Those since the last call."""
        new, self._new = self._new, []
        return new

    def keep(self, used: Iterable[int]) -> list[tuple[int, Reason]]:
        """Forget all others; returns those that are kept."""
        self._used = set(used)
        self._ids = {key: one for key, one in self._ids.items() if one in self._used}
        return [(one, reason) for (reason, _), one in self._ids.items()]


class Place(NamedTuple):
    """Where a signal stands in a row.

    offset: of its first number; side: of its time and coverage; bounds: bound -> index, of a quantile
    """

    offset: int
    side: int
    scale: Scale
    bounds: Mapping[float, int] | None


class Family:
    """Readings of one kind: their rows, signals and bounds; which reading each cell last had, and whether it
    was simply good.

    signals: signal -> whether it has bounds; labels: of the rows seen; rows: label -> place
    """

    def __init__(self, name: str, bounds: dict[str, set[float]]) -> None:
        self.name = name
        self.signals: dict[str, bool] = {}
        self.labels: dict[str, None] = {}
        self.rows: dict[str, int] = {}
        self._bounds = bounds
        self._places: dict[str, Place] = {}
        # The frame's own mappings: a copy of a large fleet's would take 7 MB.
        self._held: list[Mapping[str, Reading]] = []
        self._odd: dict[int, AbstractSet[str]] = {}
        self._start = self._width = 0
        self._sides: list[int] = []
        # Of each signal of each row whether its reason's parameters are not 0.
        self._counted = bytearray()

    def learn(self, readings: Mapping[str, Reading]) -> None:
        """Make room for these signals and their bounds."""
        for signal, one in readings.items():
            family = stem(signal)
            if isinstance(one.value, Interval):
                self.signals[signal] = True
                known = self._bounds.setdefault(family or signal, set(USUAL_BOUNDS))
                known |= {bound for bound in (one.value.lo, one.value.hi) if bound > -math.inf}
            else:
                self.signals.setdefault(signal, bool(family))

    def laid_out(self, axes: tuple[Axis, ...], start: int) -> Block:
        """The block, beginning at `start`; what the cells held is forgotten."""
        columns: list[Column] = []
        self._places = {}
        for side, (signal, has_bounds) in enumerate(self.signals.items()):
            known = SIGNALS.get(signal)
            unit, quantum = (known.unit, known.quantum) if known else ("count", 1.0)
            bounds = (
                tuple(sorted(self._bounds.get(stem(signal) or signal, ()))[:BOUNDS_MOST])
                if has_bounds
                else ()
            )
            index = {bound: at for at, bound in enumerate(bounds)} if has_bounds else None
            self._places[signal] = Place(len(columns), side, scale_of(signal), index)
            if has_bounds:
                columns += [Column(f"{signal}.{end}", "index", bounds=bounds) for end in ("lo", "hi")]
            columns.append(Column(signal, unit, quantum))
        block = Block(self.name, axes, tuple(columns))
        self._held, self._odd = [_EMPTY] * block.rows, {}
        self._start, self._width = start, len(columns)
        self._counted = bytearray(block.rows * len(self.signals))
        return block

    def beside(self, axes: tuple[Axis, ...], start: int) -> list[Block]:
        """The blocks of times, coverage and parameters, beginning at `start`."""
        units = ("ticks", *["count"] * (len(SIDES) - 1))
        blocks = [
            Block(f"{self.name}.{side}", axes, tuple(Column(signal, unit) for signal in self.signals))
            for side, unit in zip(SIDES, units, strict=True)
        ]
        self._sides = [start + n * blocks[0].size for n in range(len(SIDES))]
        return blocks

    def place(self, labels: Iterable[str]) -> None:
        """The rows are these, in this order."""
        self.rows = {label: row for row, label in enumerate(labels)}

    def clear_all(self, states: NDArray[np.uint8]) -> None:
        """Mark every reading as absent."""
        firsts = np.array([place.offset for place in self._places.values()], np.intp)
        rows = np.arange(len(self._held), dtype=np.intp) * self._width + self._start
        states[(rows[:, None] + firsts[None, :]).ravel()] = ABSENT

    def take(
        self, row: int, readings: Mapping[str, Reading], sink: Sink, reasons: Reasons, first_tick: int
    ) -> None:
        """A row's readings are now these. raises: Unplaced"""
        held, odd = self._held[row], self._odd.get(row, _NONE)
        still_odd: set[str] = set()
        start, width = self._start + row * self._width, len(self._places)
        at_0, answered_0, known_0, *parameters_0 = (side + row * width for side in self._sides)
        places, numbers, counted_0 = sink.places, sink.numbers, row * width
        at, tick = math.nan, 0
        for signal, one in readings.items():
            was = held.get(signal)
            if was is one:
                if signal in odd:
                    still_odd.add(signal)
                continue
            place = self._places.get(signal)
            if place is None:
                raise Unplaced(signal)
            spot, side = start + place.offset, place.side
            state, reason = self._number(one, place, spot, sink), one.reason
            if one.at is None:
                state |= NO_TIME
            else:
                if one.at != at:
                    at, tick = one.at, ticks(one.at) - first_tick
                places.append(at_0 + side)
                numbers.append(clamped(tick))
                if abs(tick) > CLAMP:
                    state = state & ~STATE_BITS | States.CLAMPED
            if was is None or was.coverage != one.coverage:
                places += (answered_0 + side, known_0 + side)
                numbers += map(clamped, one.coverage or (-1, -1))
            is_good = not state and reason == NO_REASON
            if not is_good:
                still_odd.add(signal)
            if not is_good or was is None or signal in odd:
                counted = counts(reason)
                kept = Reason(reason.code) if counted else reason_kept(one, state & STATE_BITS)
                sink.spots.append(spot)
                sink.states.append(state)
                sink.reasons.append(reasons.id_of(kept))
                # Those of most are never anything but 0: what nobody writes to takes no memory.
                if counted or self._counted[counted_0 + side]:
                    self._counted[counted_0 + side] = bool(counted)
                    places += [first + side for first in parameters_0]
                    numbers += [*counted, *_NO_COUNTS[len(counted) :]]
        if gone := held.keys() - readings.keys():
            self._remove(gone, row, sink)
        self._held[row] = readings
        if still_odd:
            self._odd[row] = still_odd
        elif odd:
            del self._odd[row]

    def clear(self, row: int, sink: Sink) -> None:
        """The row has no readings any more."""
        self._remove(self._held[row], row, sink)
        self._held[row] = _EMPTY
        self._odd.pop(row, None)

    def _remove(self, signals: Iterable[str], row: int, sink: Sink) -> None:
        for signal in signals:
            sink.spots.append(self._start + row * self._width + self._places[signal].offset)
            sink.states.append(ABSENT)
            sink.reasons.append(0)

    def _number(self, one: Reading, place: Place, spot: int, sink: Sink) -> int:
        """Store the value; returns the state."""
        state = 0 if one.quality is Quality.GOOD else state_of(one)
        value, bounds, by = one.value, place.bounds, place.scale
        if value is None:
            return state | NO_VALUE
        if isinstance(value, Interval):
            if bounds is None:
                raise Unplaced(spot)
            lo, hi = bounds.get(value.lo, -1), bounds.get(value.hi, -1)
            found = round(value.estimate * by.parts) if by.parts else 0
            if not by.parts or found / by.parts != value.estimate or by.is_rate:
                found = estimate_steps(value, by)
            if lo < 0 or hi < 0:
                if len(bounds) < BOUNDS_MOST and value.lo > -math.inf and value.hi > -math.inf:
                    raise Unplaced(spot)
                lo, hi, state = -1, -1, States.CLAMPED
            sink.places += (spot, spot + 1, spot + 2)
            sink.numbers += (lo, hi, found if -CLAMP <= found <= CLAMP else clamped(found))
        else:
            found = steps(value, by)
            if bounds is None:
                sink.places.append(spot)
                sink.numbers.append(found if -CLAMP <= found <= CLAMP else clamped(found))
            else:
                sink.places += (spot, spot + 1, spot + 2)
                sink.numbers += (-1, -1, clamped(found))
        return state if -CLAMP <= found <= CLAMP else States.CLAMPED


class Rows:
    """A block of plain numbers, one row for each label; labels only grow."""

    def __init__(self, name: str, axis: str, columns: tuple[Column, ...]) -> None:
        self.name, self.axis, self.columns = name, axis, columns
        self.labels: dict[str, int] = {}
        self.start = 0

    def learn(self, labels: Iterable[str]) -> None:
        """Make room for these rows."""
        for label in labels:
            self.labels.setdefault(label, len(self.labels))

    def laid_out(self, start: int) -> Block:
        """The block, beginning at `start`."""
        self.start = start
        return Block(self.name, (Axis(self.axis, tuple(self.labels)),), self.columns)

    def take(self, values: Numbers, rows: Iterable[tuple[str, Sequence[int]]]) -> None:
        """Store rows. raises: Unplaced"""
        width = len(self.columns)
        for label, numbers in rows:
            row = self.labels.get(label)
            if row is None:
                raise Unplaced(label)
            at = self.start + row * width
            values[at : at + width] = numbers
