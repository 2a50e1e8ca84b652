"""A piece of a range answer: every series at every step, and the rows of a definition at one of them. Pure.

What `Piece.rows` gives is what `prometheus.answer.rows` gives of the same elements, only sooner: labels are
read once a piece and not once a step.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from collectors.prometheus import answer
from collectors.prometheus.wire import NativeHistogram, Refused, Sample
from collectors.signals.catalogue import Buckets, Definition, Row
from collectors.signals.promql import ALTERNATIVE
from collectors.signals.quantiles import buckets

NEAR = 0.25
"""Share of a step that a time may be off: servers round to milliseconds."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The answer to one query at steps `first` up to `last`, which is not part of it.

    values: of each series (row) at each step; there: where there is one: it may be NaN
    histograms: native ones, by (series, step)
    warnings: what the server said beside it: it may not be all
    """

    first: int
    last: int
    metrics: tuple[Mapping[str, str], ...]
    values: NDArray[np.float64]
    there: NDArray[np.bool_]
    histograms: Mapping[tuple[int, int], NativeHistogram]
    warnings: tuple[str, ...] = ()
    _makers: dict[Definition, "_Maker"] = field(default_factory=dict)

    def elements(self, step: int, at: float) -> "Elements":
        """What an instant query at that step would have answered."""
        return Elements(self, step, at)

    def last_known(self, at: float) -> list[Sample]:
        """Each series with the last value that it has in the piece, as if of one moment."""
        found = []
        for series, metric in enumerate(self.metrics):
            steps = np.flatnonzero(self.there[series])
            if len(steps):
                value = repr(float(self.values[series, steps[-1]]))
                found.append(Sample(dict(metric), value=(at, value)))
        return found

    def rows(self, read: "partial[tuple[Row, ...]]", step: int, at: float) -> tuple[Row, ...]:
        """What `read`, which is `answer.rows` with its definition, makes of the elements of one step."""
        definition: Definition = read.args[0]
        # Native histograms depend on each other, and an operator's own query on its labels: rare, and slow.
        if self.histograms or definition.promql:
            return read(self.elements(step, at))
        maker = self._makers.get(definition)
        if maker is None:
            maker = self._makers[definition] = _Maker(self, definition)
        return maker.rows(step - self.first)


class Elements(Sequence[Sample]):
    """The elements of a piece at one step. Made only if somebody looks."""

    def __init__(self, piece: Piece, step: int, at: float) -> None:
        self._piece, self._column, self._step, self._at = piece, step - piece.first, step, at
        self._number = int(np.count_nonzero(piece.there[:, self._column])) + sum(
            one[1] == step for one in piece.histograms
        )

    def __len__(self) -> int:
        return self._number

    def __iter__(self) -> Iterator[Sample]:
        piece = self._piece
        for series in np.flatnonzero(piece.there[:, self._column]).tolist():
            value = repr(float(piece.values[series, self._column]))
            yield Sample(dict(piece.metrics[series]), value=(self._at, value))
        for (series, step), one in piece.histograms.items():
            if step == self._step:
                yield Sample(dict(piece.metrics[series]), histogram=(self._at, one))

    @overload
    def __getitem__(self, place: int) -> Sample: ...

    @overload
    def __getitem__(self, place: slice) -> list[Sample]: ...

    def __getitem__(self, place: int | slice) -> Sample | list[Sample]:
        return list(self)[place]


class _Maker:
    """Rows of one definition from one piece."""

    def __init__(self, piece: Piece, definition: Definition) -> None:
        self._piece, self._definition = piece, definition
        labels = answer.Labels(definition)
        self._is_histogram = definition.kind == "histogram"
        by_group: dict[answer.Group, list[int]] = defaultdict(list)
        self._single: list[tuple[int, Mapping[str, str], str]] = []
        for series, metric in enumerate(piece.metrics):
            if self._is_histogram:
                if "le" in metric:
                    by_group[labels.of(metric)].append(series)
            else:
                rung = answer.rung_of(definition, _alternative(metric))
                self._single.append((series, kept_labels(labels.of(metric)), rung))
        self._groups = [_Group(piece, definition, kept_labels(key), of) for key, of in by_group.items()]

    def rows(self, column: int) -> tuple[Row, ...]:
        if self._is_histogram:
            return tuple(row for group in self._groups if (row := group.row(column)) is not None)
        there, values = self._piece.there[:, column], self._piece.values[:, column].tolist()
        return tuple(
            Row(labels, values[series], rung) for series, labels, rung in self._single if there[series]
        )


class _Group:
    """The buckets of one group."""

    def __init__(
        self, piece: Piece, definition: Definition, labels: Mapping[str, str], series: Sequence[int]
    ) -> None:
        self._definition, self._labels = definition, labels
        self._texts = [piece.metrics[one]["le"] for one in series]
        self._series = series
        self._piece = piece
        self._alternatives = [_alternative(piece.metrics[one]) for one in series]
        numbers = [_bound(text) for text in self._texts]
        order = np.argsort(np.array(numbers), kind="stable")
        self._bounds = tuple(numbers[place] for place in order)
        values = piece.values[np.array(series)[order]]
        there = piece.there[np.array(series)[order]]
        is_plain = len(set(numbers)) == len(numbers) and not any(math.isnan(one) for one in numbers)
        is_one = len(set(self._alternatives)) == 1
        with np.errstate(invalid="ignore"):
            usable = there & (values >= 0) & (values < math.inf)
        self._whole = usable.all(axis=0) & (is_plain and is_one)
        self._some = there.any(axis=0)
        self._rates = np.maximum.accumulate(np.where(usable, values, 0.0), axis=0).T.tolist()

    def row(self, column: int) -> Row | None:
        """The group's row at one step; None where it has no bucket there."""
        if not self._some[column]:
            return None
        if not self._whole[column]:
            return self._by_hand(column)
        return self._made(Buckets(self._bounds, tuple(self._rates[column])), self._alternatives[0])

    def _by_hand(self, column: int) -> Row:
        """Some bucket is missing or no number: as the live watch reads it."""
        present = [place for place, series in enumerate(self._series) if self._piece.there[series, column]]
        pairs = [
            (self._texts[place], float(self._piece.values[self._series[place], column])) for place in present
        ]
        return self._made(buckets(pairs), self._alternatives[present[-1]])

    def _made(self, found: Buckets, alternative: int) -> Row:
        metrics = self._definition.metrics
        factor = metrics[alternative].factor if metrics else 1.0
        return Row(self._labels, answer.scaled(found, factor), answer.rung_of(self._definition, alternative))


@lru_cache(maxsize=65_536)
def kept_labels(group: answer.Group) -> Mapping[str, str]:
    """A group's labels: one object for all pieces, by which whoever reads them can tell them again."""
    return dict(group)


def _alternative(metric: Mapping[str, str]) -> int:
    return int(metric.get(ALTERNATIVE, "0"))


def _bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def piece_of(
    found: Sequence[Mapping[str, Any]],
    first: int,
    last: int,
    time_of: Callable[[int], float],
    step_s: float,
    warnings: Sequence[str] = (),
) -> Piece:
    """The elements of a range answer from step `first` to before `last`.

    time_of: seconds since the epoch of a step. Times that were not asked for are left out
    raises: Refused for what cannot be reckoned with
    """
    width, start = last - first, time_of(first)
    places = _Places(start, step_s, width)
    values = np.zeros((len(found), width))
    there = np.zeros((len(found), width), bool)
    histograms: dict[tuple[int, int], NativeHistogram] = {}
    metrics: list[Mapping[str, str]] = []
    try:
        for series, one in enumerate(found):
            metrics.append({str(name): str(text) for name, text in one["metric"].items()})
            if pairs := one["values"]:
                times, texts = zip(*pairs, strict=True)
                columns, fits = places.of(times)
                values[series, columns] = np.array(list(map(float, texts)))[fits]
                there[series, columns] = True
            for at, histogram in one.get("histograms", ()):
                for column in places.of((at,))[0]:
                    made = msgspec.convert(histogram, NativeHistogram, strict=False)
                    histograms[series, first + int(column)] = made
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        OverflowError,
        msgspec.ValidationError,
    ) as error:
        said = "answered with what cannot be reckoned with"
        raise Refused(said, "Check what stands between here and the server") from error
    return Piece(first, last, tuple(metrics), values, there, histograms, tuple(warnings))


class _Places:
    """Where times lie on the grid of a piece. Nearly all series of an answer have the same times."""

    def __init__(self, start: float, step_s: float, width: int) -> None:
        self._start, self._step_s, self._width = start, step_s, width
        self._last: tuple[tuple[float, ...], NDArray[np.int64], NDArray[np.bool_]] | None = None

    def of(self, times: tuple[float, ...]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(columns of those that were asked for, which of `times` these are)"""
        if self._last is None or self._last[0] != times:
            places = (np.array(times, float) - self._start) / self._step_s
            columns = np.rint(places).astype(np.int64)
            fits = (columns >= 0) & (columns < self._width) & (np.abs(places - columns) <= NEAR)
            self._last = times, columns[fits], fits
        return self._last[1], self._last[2]
