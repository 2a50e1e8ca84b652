"""A stretch of a recording as numbers: decoded in one pass, then read series by series."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from collectors.recording.codec import Exceptions, Numbers
from collectors.recording.decode import Decoder
from collectors.recording.layout import BadRecord, Kind
from collectors.recording.readings import (
    FEATURES,
    NO_VALUE,
    READINGS,
    STATE_BITS,
    Scale,
    States,
    scale,
    value_of,
)
from collectors.recording.schema import SEPARATOR, Block, Column, Schema
from collectors.recording.segment import Segment
from collectors.sessions import Gap

MATRIX_BYTES = 48 * 2**20
"""Most memory of a window's numbers: of a longer or wider one, every second, third ... frame is kept."""

WORK_MOST = 60_000_000
"""Most numbers that are decoded for a window: of a longer one, frames that are quick to decode are taken."""

SMALL = 20_000
"""Numbers of a frame that are kept all; of a larger one, those of readings."""

BACK_S = 60.0
"""A clock that goes back by no more was corrected: a window goes on, as a report does."""

HIDDEN = np.int32(-(2**31))
"""Stands in the matrix where there was nothing to show: no stored number is as low."""

_SHOWN = np.zeros(256, np.bool_)
_SHOWN[[States.GOOD, States.SUSPECT, States.CLAMPED]] = True
IS_HIDDEN = ~_SHOWN[np.arange(256) & STATE_BITS] | (np.arange(256) & NO_VALUE != 0)
"""Of each state byte whether the reading is neither good nor suspect, or has no value."""


class Stretch(NamedTuple):
    """Frames of one segment: their numbers in it, rising."""

    segment: Segment
    decoder: Decoder
    wanted: NDArray[np.int64]

    def within(self, numbers: int) -> "Stretch":
        """Of it no more than can be decoded by so many numbers: evenly spaced, all of it if it is short."""
        if not len(self.wanted):
            return self
        try:
            size = self.decoder.frame(int(self.wanted[-1])).schema.size
        except BadRecord:
            return self
        most = max(numbers // max(size, 1), 2)
        if len(self.wanted) <= most:
            return self
        kinds = self.segment.table.kind[self.segment.frame_rows[self.wanted]]
        quick = self.wanted[kinds <= Kind.SUBKEY]
        # A SUBKEY can need its KEY: two are decoded for each.
        spaced = np.linspace(0, len(quick) - 1, min(len(quick), max(most // 2, 1))).astype(np.int64)
        return self._replace(wanted=np.append(quick[spaced], self.wanted[-1:]))


class _Part(NamedTuple):
    """Frames of one schema. places: those of its numbers that are kept, rising; None: all"""

    schema: Schema
    places: NDArray[np.int64] | None
    matrix: Numbers


class Window:
    """Implements `sessions.Series`. Frames that cannot be read are left out; `gaps` tells of them."""

    def __init__(self, stretches: Sequence[Stretch], gaps: Callable[[float, float], tuple[Gap, ...]]) -> None:
        """gaps: those within two times; asked once all is decoded, which can find damage"""
        self._parts: list[_Part] = []
        times: list[float] = []
        for stretch in stretches:
            times += self._decode(stretch, sum(len(one.wanted) for one in stretches))
        self._drop_before_step(times)
        self._gaps = gaps(self.times[0], self.times[-1]) if self.times else ()

    @property
    def times(self) -> Sequence[float]:
        """Recorded time of each frame, rising: after a step of the clock backwards, those since.

        Where the clock went back by little, frames before count as of the time behind it: none is later than
        the last one, which is the one that is shown.
        """
        return self._times

    @property
    def gaps(self) -> Sequence[Gap]:
        """Stretches of which nothing was recorded."""
        return self._gaps

    def values(self, model: str, tier: str, signal: str) -> Sequence[float] | None:
        """As `sessions.Series`."""
        return self._series(READINGS, lambda block: _row(block, {"model": model, "tier": tier}), signal)

    def shares(self, model: str) -> dict[str, Sequence[float]]:
        """As `sessions.Series`."""
        begin = model + SEPARATOR
        labels = {
            label
            for part in self._parts
            if (block := part.schema.block_of.get(FEATURES)) is not None and len(block.axes) == 1
            for label in block.axes[0].labels
            if label.startswith(begin)
        }
        found: dict[str, Sequence[float]] = {}
        for label in sorted(labels):
            series = self._series(FEATURES, lambda block, at=label: _row_of(block, at), "arrivals")  # type: ignore[misc]  # the default binds the label
            if series is not None and not all(value != value for value in series):
                found[label.removeprefix(begin)] = series
        return found

    def _decode(self, stretch: Stretch, frames: int) -> list[float]:
        """Add a stretch; its times."""
        walls = stretch.segment.table.t_wall[stretch.segment.frame_rows[stretch.wanted]]
        times: list[float] = []
        part: _Part | None = None
        count, every = 0, 1
        before = len(self._parts)
        for place, (schema, values, exceptions) in stretch.decoder.numbers(stretch.wanted):
            if part is None or schema is not part.schema:
                self._keep(part, count)
                places = _kept(schema)
                width = schema.size if places is None else len(places)
                every = max(1, -(-frames * width * 4 // MATRIX_BYTES))
                rows = (len(stretch.wanted) - place) // every + 1
                part, count = _Part(schema, places, np.empty((rows, width), np.int32)), 0
            # The last frame is always one of them: what is shown now is not left out.
            if (len(stretch.wanted) - 1 - place) % every:
                continue
            _pick(part.matrix[count], values, exceptions, part.places)
            times.append(int(walls[place]) / 1e6)
            count += 1
        self._keep(part, count)
        assert sum(len(one.matrix) for one in self._parts[before:]) == len(times)
        return times

    def _keep(self, part: _Part | None, count: int) -> None:
        if part is not None and count:
            matrix = part.matrix[:count]
            # A slice would keep all that was set aside for frames of this schema.
            is_small = 2 * count < len(part.matrix)
            self._parts.append(part._replace(matrix=matrix.copy() if is_small else matrix))

    def _drop_before_step(self, times: list[float]) -> None:
        """Keep the frames since the clock last went back by much."""
        begin = max((at for at in range(1, len(times)) if times[at] < times[at - 1] - BACK_S), default=0)
        rising = np.minimum.accumulate(np.array(times[begin:], np.float64)[::-1])[::-1]
        self._times = tuple(rising.tolist())
        while begin and self._parts:
            part = self._parts[0]
            if len(part.matrix) > begin:
                self._parts[0] = part._replace(matrix=part.matrix[begin:])
                return
            begin -= len(part.matrix)
            del self._parts[0]

    def _series(self, name: str, row_of: Callable[[Block], int], signal: str) -> list[float] | None:
        pieces: list[NDArray[np.float64]] = []
        is_known = False
        for part in self._parts:
            block = part.schema.block_of.get(name)
            row = row_of(block) if block is not None else -1
            at = block.column_of.get(signal, -1) if block is not None else -1
            if block is None or row < 0 or at < 0:
                pieces.append(np.full(len(part.matrix), np.nan))
                continue
            is_known = True
            begin = part.schema.starts[name] + row * len(block.columns)
            pieces.append(_estimates(part, begin, at, block))
        return np.concatenate(pieces).tolist() if is_known else None


def _kept(schema: Schema) -> NDArray[np.int64] | None:
    """Places of the numbers that a window can be asked for; None: all."""
    if schema.size <= SMALL:
        return None
    sizes = [(name, schema.block_of[name].size) for name in (READINGS, FEATURES) if name in schema.block_of]
    ranges = [np.arange(schema.starts[name], schema.starts[name] + size) for name, size in sizes]
    return np.sort(np.concatenate(ranges)) if ranges else np.empty(0, np.int64)


def _pick(row: Numbers, values: Numbers, exceptions: Exceptions, places: NDArray[np.int64] | None) -> None:
    """Fill a frame's row of the matrix: hidden where there is nothing to show."""
    gone = exceptions.places[IS_HIDDEN[exceptions.states]]
    if places is None:
        row[:] = values
        row[gone] = HIDDEN
        return
    np.take(values, places, out=row)
    at = np.searchsorted(places, gone)
    is_kept = at < len(places)
    at, gone = at[is_kept], gone[is_kept]
    row[at[places[at] == gone]] = HIDDEN


def _estimates(part: _Part, begin: int, at: int, block: Block) -> NDArray[np.float64]:
    """The readings of one column, as `Reading.estimate`. begin: place of its row's first number"""
    column = block.columns[at]
    ends = [block.column_of.get(f"{column.id}.{end}", -1) for end in ("lo", "hi")]
    entry = at if min(ends) < 0 else min(ends)
    numbers = _column(part, begin + at)
    found = values_of(numbers, scale(column.unit, column.quantum))
    if min(ends) >= 0:
        # The estimate of an interval never leaves it, though it was rounded.
        lo, hi = (_bounds(part, begin + end, block.columns[end]) for end in ends)
        is_between = ~np.isnan(lo) & ~np.isnan(hi)
        found = np.where(is_between, np.fmin(np.fmax(found, lo), hi), found)
    found[_column(part, begin + entry) == HIDDEN] = np.nan
    return found


def _bounds(part: _Part, place: int, column: Column) -> NDArray[np.float64]:
    """Bounds that stored indices point to; NaN where they point to none."""
    numbers = _column(part, place)
    bounds = np.array([*column.bounds, np.nan])
    is_one = (numbers >= 0) & (numbers < len(column.bounds))
    return bounds[np.where(is_one, numbers, len(column.bounds))]


def _column(part: _Part, place: int) -> Numbers:
    at = place if part.places is None else int(np.searchsorted(part.places, place))
    found: Numbers = part.matrix[:, at]
    return found


def values_of(numbers: Numbers, by: Scale) -> NDArray[np.float64]:
    """`readings.value_of` of many numbers; NaN for what is no number at all."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = numbers.astype(np.float64)
        found = found / float(by.parts) if by.parts else found * float(by.quantum)
    if by.is_rate:
        for at in np.flatnonzero(numbers < 0):
            found[at] = value_of(int(numbers[at]), by)
    found[~np.isfinite(found)] = np.nan
    return found


def _row(block: Block, labels: dict[str, str]) -> int:
    """The row of these labels; -1 if there is none."""
    if len(block.axes) != len(labels):
        return -1
    row = 0
    for axis in block.axes:
        wanted = labels.get(axis.name)
        if wanted is None or wanted not in axis.labels:
            return -1
        row = row * len(axis.labels) + axis.labels.index(wanted)
    return row


def _row_of(block: Block, label: str) -> int:
    """The row of a label, of a block of one axis; -1 if there is none."""
    labels = block.axes[0].labels if len(block.axes) == 1 else ()
    return labels.index(label) if label in labels else -1


def runs(walls: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Stretches [first, behind the last) of times that do not fall."""
    steps = (np.flatnonzero(np.diff(walls) < 0) + 1).tolist()
    return list(zip([0, *steps], [*steps, len(walls)], strict=True)) if len(walls) else []
