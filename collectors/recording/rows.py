"""From numbers of a frame to readings: by row of a block, of unchanged rows the same mappings again."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collectors.readings import NO_REASON, Interval, Quality, Reading, Reason
from collectors.recording.codec import Exceptions, Numbers
from collectors.recording.layout import BadRecord
from collectors.recording.readings import (
    NO_TIME,
    NO_VALUE,
    QUALITY_OF,
    REASON_OF,
    SIDES,
    STATE_BITS,
    TICKS_S,
    UNTOLD,
    VALUELESS,
    Scale,
    States,
    scale,
    value_of,
)
from collectors.recording.schema import Column, Schema

READINGS_MOST: Final = 300_000
"""Most readings of a frame that are built: what no frame of ours ever has."""

COLUMNS_MOST: Final = 4_096
"""Most columns of a block."""

LABELS_MOST: Final = 200_000
"""Most labels of an axis that are looked up."""

Readings = Mapping[str, Reading]

_LEAST, _MOST = 1e-9, 1e9


class Marks(NamedTuple):
    """State and reason of every place of a vector."""

    states: NDArray[np.uint8]
    reasons: NDArray[np.uint16]

    @classmethod
    def of(cls, found: Exceptions, size: int) -> "Marks":
        """From what is exceptional."""
        marks = cls(np.zeros(size, np.uint8), np.zeros(size, np.uint16))
        marks.states[found.places] = found.states
        marks.reasons[found.places] = found.reasons
        return marks


class Told(NamedTuple):
    """A frame's numbers, with what they need to be read.

    is_redefined: an id means another reason than in the frame before, or ticks count from another time
    """

    values: Numbers
    marks: Marks
    reasons: Mapping[int, Reason]
    first_tick: int
    is_redefined: bool


class Table:
    """A block of a schema, as rows by label. One that the schema lacks has no rows and no columns."""

    def __init__(self, schema: Schema, name: str) -> None:
        """raises: BadRecord if it has more rows or columns than are looked up"""
        block = schema.block_of.get(name)
        self.columns: tuple[Column, ...] = block.columns if block is not None else ()
        self.column_of: Mapping[str, int] = block.column_of if block is not None else {}
        self.rows = block.rows if block is not None else 0
        axes = block.axes if block is not None else ()
        if any(len(axis.labels) > LABELS_MOST for axis in axes) or len(self.columns) > COLUMNS_MOST:
            raise BadRecord(f"a block of {self.rows} rows by {len(self.columns)} columns")
        self._start = schema.starts.get(name, 0)
        self._axes = [{label: place for place, label in enumerate(axis.labels)} for axis in axes]

    def row(self, *labels: str) -> int | None:
        """The row of a label of each axis."""
        if len(labels) != len(self._axes) or not self.rows:
            return None
        found = 0
        for axis, label in zip(self._axes, labels, strict=True):
            place = axis.get(label)
            if place is None:
                return None
            found = found * len(axis) + place
        return found if found < self.rows else None

    def numbers(self, values: Numbers) -> Numbers:
        """Its numbers: rows by columns."""
        width = len(self.columns)
        return values[self._start : self._start + self.rows * width].reshape(self.rows, width)

    def marked(self, marks: NDArray[Any]) -> NDArray[Any]:
        """States or reasons of its places: rows by columns."""
        width = len(self.columns)
        return marks[self._start : self._start + self.rows * width].reshape(self.rows, width)


@dataclass(frozen=True, slots=True)
class _Signal:
    """first: column of the reading's first number, where its state stands; estimate: column of its value"""

    name: str
    first: int
    estimate: int
    scale: Scale
    bounds: tuple[float, ...]


class Family:
    """The readings of one kind, and those that were built from frames before."""

    def __init__(self, schema: Schema, name: str) -> None:
        """raises: BadRecord if it has more rows or columns than are looked up"""
        self.table = Table(schema, name)
        self._signals = _signals(self.table)
        self._firsts = np.array([one.first for one in self._signals], np.intp)
        self._estimates = np.array([one.estimate for one in self._signals], np.intp)
        self._lows = np.array([one.first if one.bounds else -1 for one in self._signals], np.intp)
        parts = [one.scale.parts for one in self._signals]
        self._parts = np.array([p or 1 for p in parts], np.float64)
        self._quanta = np.array(
            [1.0 if p else s.scale.quantum for p, s in zip(parts, self._signals, strict=True)]
        )
        self._sides = [self._side(schema, f"{name}.{side}") for side in SIDES]
        self._before: list[NDArray[np.int32] | NDArray[np.uint16]] = []
        self._built: dict[int, Readings] = {}
        self._told: Told | None = None

    def _side(self, schema: Schema, name: str) -> tuple[Table, NDArray[np.intp]] | None:
        """A block beside, and the column of each signal in it; None if it does not fit."""
        table = Table(schema, name)
        places = [table.column_of.get(one.name, -1) for one in self._signals]
        if table.rows != self.table.rows or -1 in places:
            return None
        return table, np.array(places, np.intp)

    def take(self, told: Told) -> None:
        """The numbers are now these: forget the rows that changed."""
        if self._told is not None and self._is_same(self._told, told):
            return
        self._told, table = told, self.table
        now: list[NDArray[np.int32] | NDArray[np.uint16]] = [
            table.numbers(told.values),
            table.marked(told.marks.states)[:, self._firsts],
            table.marked(told.marks.reasons)[:, self._firsts],
            *(side[0].numbers(told.values) for side in self._sides if side is not None),
        ]
        if not self._before or told.is_redefined:
            self._built = {}
        else:
            changed = np.zeros(table.rows, np.bool_)
            for was, one in zip(self._before, now, strict=True):
                changed |= (was != one).any(axis=1)
            for row in np.flatnonzero(changed).tolist():
                self._built.pop(row, None)
        self._before = now

    def _is_same(self, was: Told, told: Told) -> bool:
        """Whether no number, state or reason of its blocks changed: quick, for that is most of the time."""
        if told.is_redefined:
            return False
        tables = (self.table, *(side[0] for side in self._sides if side is not None))
        if not all(np.array_equal(one.numbers(was.values), one.numbers(told.values)) for one in tables):
            return False
        before, now, of = was.marks, told.marks, self.table.marked
        return before is now or (
            np.array_equal(of(before.states), of(now.states))
            and np.array_equal(of(before.reasons), of(now.reasons))
        )

    def build(self, wanted: Iterable[int]) -> None:
        """Make the readings of these rows, unless they are there. raises: BadRecord if they are too many"""
        rows = [row for row in dict.fromkeys(wanted) if row not in self._built]
        told = self._told
        if not rows or not self._signals or told is None:
            return
        numbers = self._before[0][rows]
        states, ids = self._before[1][rows], self._before[2][rows]
        there = np.nonzero((states & STATE_BITS) != States.ABSENT)
        if len(there[0]) > READINGS_MOST:
            raise BadRecord(f"a frame of {len(there[0])} readings")
        which = there[1]
        stored = numbers[there[0], self._estimates[which]]
        values = stored / self._parts[which] * self._quanta[which]
        lows = self._lows[which]
        low = np.where(lows < 0, -1, numbers[there[0], lows])
        high = np.where(lows < 0, -1, numbers[there[0], lows + 1])
        beside = [self._beside(side, told, rows, there) for side in self._sides]
        at = [None if tick is None else (told.first_tick + tick) / TICKS_S for tick in beside[0]]
        made: list[dict[str, Reading]] = [{} for _ in rows]
        for place, signal, state, reason, number, value, lo, hi, when, n, m, one, two, three in zip(
            there[0].tolist(),
            which.tolist(),
            states[there].tolist(),
            ids[there].tolist(),
            stored.tolist(),
            values.tolist(),
            low.tolist(),
            high.tolist(),
            at,
            *beside[1:],
            strict=True,
        ):
            kind = self._signals[signal]
            coverage = None if n is None or m is None or n < 0 or m < 0 else (n, m)
            if not state and not reason:
                of = value if lo < 0 and number >= 0 else _value(kind, number, value, lo, hi)
                made[place][kind.name] = Reading(of, when, Quality.GOOD, NO_REASON, coverage)
                continue
            code = state & STATE_BITS
            why = told.reasons.get(reason, UNTOLD) if reason else REASON_OF.get(code, NO_REASON)
            if reason and one:
                why = _with(why, (one, two, three))
            made[place][kind.name] = Reading(
                None if state & NO_VALUE or code in VALUELESS else _value(kind, number, value, lo, hi),
                None if state & NO_TIME else when,
                QUALITY_OF.get(code, Quality.UNKNOWN),
                why,
                coverage,
            )
        self._built.update(zip(rows, made, strict=True))

    def _beside(
        self,
        side: tuple[Table, NDArray[np.intp]] | None,
        told: Told,
        rows: list[int],
        there: tuple[NDArray[np.intp], ...],
    ) -> list[int | None]:
        if side is None:
            return [None] * len(there[0])
        table, places = side
        found: list[int | None] = table.numbers(told.values)[rows][there[0], places[there[1]]].tolist()
        return found

    def readings(self, row: int | None) -> Readings:
        """Of a row that was built: the same object as long as nothing in it changed."""
        return self._built.get(row, _NOTHING) if row is not None else _NOTHING


_NOTHING: Readings = {}


def _with(reason: Reason, counts: Iterable[int | None]) -> Reason:
    """The reason with the numbers that stood apart from it."""
    return Reason(
        reason.code, (*reason.parameters, *(one - 1 for one in counts if one is not None and one > 0))
    )


def _value(kind: _Signal, number: int, value: float, lo: int, hi: int) -> float | Interval:
    if number < 0 and kind.scale.is_rate:
        value = value_of(number, kind.scale)
    if 0 <= lo < len(kind.bounds) and 0 <= hi < len(kind.bounds):
        low, high = kind.bounds[lo], kind.bounds[hi]
        if math.isfinite(low) and low <= high:
            return Interval(low, high, min(max(value, low), high))
    return value


def _signals(table: Table) -> list[_Signal]:
    """The signals of a block's columns: those of quantiles have three."""
    ends = {f"{one.id}{end}" for one in table.columns for end in (".lo", ".hi")}
    found = []
    for place, column in enumerate(table.columns):
        if column.id in ends:
            continue
        low = table.columns[place - 2] if place >= 2 else column
        is_quantile = low.id == f"{column.id}.lo"
        quantum = column.quantum if _LEAST <= column.quantum <= _MOST else 1.0
        by, first = scale(column.unit, quantum), place - 2 if is_quantile else place
        found.append(_Signal(column.id, first, place, by, low.bounds if is_quantile else ()))
    return found
