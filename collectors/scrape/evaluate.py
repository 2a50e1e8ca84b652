"""Signal definitions evaluated on scraped pages: what a Prometheus would answer, without one.

Pure functions of the targets' histories. The semantics are PromQL's, as `signals/promql.py` renders a
definition; tests hold both against a real server.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from collectors.regex import compiled
from collectors.scrape.history import Series, TargetHistory
from collectors.signals.catalogue import Buckets, Definition, Matcher, Metric, Row
from collectors.signals.derive import derived
from collectors.signals.promql import series_name
from collectors.signals.quantiles import buckets
from collectors.text import clean

Group = tuple[str, ...]
"""Values of the kept labels, in their order; "" where absent."""


class _Place(NamedTuple):
    """Where a series of one target counts. one: values of `distinct`; bound: its `le`, of a histogram."""

    series: Series
    group: Group
    one: Group
    bound: str


class _Selection:
    """One metric of a definition, made ready: which series it takes, and where each of them counts."""

    def __init__(self, definition: Definition, metric: Metric) -> None:
        self.metric = metric
        self._is_histogram = definition.kind == "histogram"
        self._is_rate = definition.needs_rate
        self._name = series_name(definition, metric)
        self._accepts = [accepts(matcher) for matcher in metric.where]
        self._derives = [derived(one) for one in definition.derive]
        self._keep = definition.keep
        self._distinct = definition.distinct

    def samples(
        self, targets: Iterable[TargetHistory], at_ms: int, start_ms: int
    ) -> Iterator[tuple[_Place, float]]:
        """Every series that has a value now, or a rate over the window."""
        for target in targets:
            places = target.plans.get(self)
            if places is None:
                # Where a series counts costs more to work out than its rate, and seldom changes.
                found = (self._place(series) for series in target.named(self._name))
                places = target.plans[self] = [place for place in found if place is not None]
            if self._is_rate:
                for place in places:
                    if (rate := place.series.rate(start_ms, at_ms)) is not None:
                        yield place, rate
            elif target.up:
                for place in places:
                    series = place.series
                    if series.scrape == target.scrape and (value := series.value_at(at_ms)) is not None:
                        yield place, value

    def _place(self, series: Series) -> _Place | None:
        labels: Mapping[str, str] = series.labels
        if not all(test(labels) for test in self._accepts):
            return None
        if self._derives:
            changed = dict(labels)
            for derive in self._derives:
                derive(changed)
            labels = changed
        return _Place(
            series,
            tuple(labels.get(name, "") for name in self._keep),
            tuple(labels.get(name, "") for name in self._distinct),
            labels.get("le", "") if self._is_histogram else "",
        )


class _Query(NamedTuple):
    metrics: tuple[_Selection, ...]
    over: tuple[_Selection, ...]


@lru_cache(maxsize=1024)
def _query(definition: Definition) -> _Query:
    return _Query(
        tuple(_Selection(definition, metric) for metric in definition.metrics),
        tuple(_Selection(definition, metric) for metric in definition.over),
    )


def evaluate(
    definition: Definition, targets: Sequence[TargetHistory], at: float, window_s: float
) -> tuple[Row, ...]:
    """The definition's answer at a time, over every target; rows in order of their labels.

    at: seconds since the epoch, by the clock that timed the scrapes; window_s: of rates, > 0
    A group is answered by the first of the alternatives that has it; a ratio adds up all of its metrics.
    Faults of value 0 are left out, of each alternative: a healthy fleet answers with nothing.
    raises: ValueError, with a sentence, for a regular expression that does not compile
    """
    at_ms = round(at * 1000)
    start_ms = at_ms - round(window_s * 1000)
    query = _query(definition)
    found: dict[Group, tuple[float | Buckets, str]] = {}
    if definition.kind == "ratio":
        found = {
            group: (value, "") for group, value in _ratio(query, definition, targets, at_ms, start_ms).items()
        }
    else:
        answer = _histogram if definition.kind == "histogram" else _numbers
        taken: set[Group] = set()
        either = _either(definition)
        for selection in query.metrics:
            groups = answer(definition, selection, targets, at_ms, start_ms)
            if definition.signal == "faults":
                groups = {g: value for g, value in groups.items() if isinstance(value, float) and value > 0}
            for group, value in groups.items():
                if either(group) not in taken:
                    found[group] = (value, selection.metric.rung)
            taken.update(map(either, groups))
    return tuple(
        Row({n: clean(v) for n, v in zip(definition.keep, group, strict=True) if v}, value, rung)
        for group, (value, rung) in sorted(found.items(), key=lambda item: item[0])
    )


def _either(definition: Definition) -> Callable[[Group], Group]:
    """What of a group its alternatives must share for the later one to give way."""
    if not definition.either_by:
        return lambda group: group
    places = [definition.keep.index(label) for label in definition.either_by]
    return lambda group: tuple(group[place] for place in places)


def _numbers(
    definition: Definition, selection: _Selection, targets: Sequence[TargetHistory], at_ms: int, start_ms: int
) -> Mapping[Group, float | Buckets]:
    aggregate = _AGGREGATES[definition.aggregate]
    factor = 1.0 if definition.aggregate == "count" else selection.metric.factor
    values = _once(definition, selection, targets, at_ms, start_ms)
    return {group: aggregate(many) * factor for group, many in values.items()}


def _once(
    definition: Definition, selection: _Selection, targets: Sequence[TargetHistory], at_ms: int, start_ms: int
) -> Mapping[Group, list[float]]:
    """Values by group; of what `distinct` calls one thing, only the largest."""
    values: defaultdict[Group, list[float]] = defaultdict(list)
    if not definition.distinct:
        for place, value in selection.samples(targets, at_ms, start_ms):
            values[place.group].append(value)
        return values
    largest: dict[tuple[Group, Group], float] = {}
    for place, value in selection.samples(targets, at_ms, start_ms):
        one = (place.group, place.one)
        largest[one] = _larger(largest[one], value) if one in largest else value
    for (group, _), value in largest.items():
        values[group].append(value)
    return values


def _histogram(
    definition: Definition, selection: _Selection, targets: Sequence[TargetHistory], at_ms: int, start_ms: int
) -> Mapping[Group, float | Buckets]:
    merged: defaultdict[Group, dict[str, float]] = defaultdict(dict)
    for place, rate in selection.samples(targets, at_ms, start_ms):
        rates = merged[place.group]
        rates[place.bound] = rates.get(place.bound, 0.0) + rate
    factor = selection.metric.factor
    found: dict[Group, float | Buckets] = {}
    for group, rates in merged.items():
        one = buckets(rates.items())
        found[group] = one if factor == 1.0 else Buckets(tuple(b * factor for b in one.bounds), one.rates)
    return found


def _ratio(
    query: _Query, definition: Definition, targets: Sequence[TargetHistory], at_ms: int, start_ms: int
) -> Mapping[Group, float]:
    """Groups with something to divide by. Of rates, no numerator is 0 of it; of gauges, it is no answer."""
    above, below = (
        _total(definition, selections, targets, at_ms, start_ms) for selections in (query.metrics, query.over)
    )
    return {
        group: _quotient(above.get(group, 0.0), divisor)
        for group, divisor in below.items()
        if definition.of_rates or group in above
    }


def _total(
    definition: Definition,
    selections: Iterable[_Selection],
    targets: Sequence[TargetHistory],
    at_ms: int,
    start_ms: int,
) -> Mapping[Group, float]:
    totals: dict[Group, float] = {}
    for selection in selections:
        for group, many in _once(definition, selection, targets, at_ms, start_ms).items():
            totals[group] = totals.get(group, 0.0) + sum(many) * selection.metric.factor
    return totals


def _quotient(above: float, below: float) -> float:
    """As IEEE 754 divides, and Prometheus: x/0 is infinite, 0/0 is NaN."""
    if below:
        return above / below
    if above == 0 or math.isnan(above):
        return math.nan
    return math.copysign(math.inf, above) * math.copysign(1.0, below)


def _larger(a: float, b: float) -> float:
    """The larger; NaN only if both are."""
    return b if math.isnan(a) or b > a else a


def _max(values: Iterable[float]) -> float:
    return max((value for value in values if not math.isnan(value)), default=math.nan)


def _avg(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _count(values: Sequence[float]) -> float:
    return float(len(values))


_AGGREGATES: Mapping[str, Callable[[Sequence[float]], float]] = {
    "sum": lambda values: float(sum(values)),
    "avg": _avg,
    "max": _max,
    "count": _count,
}


def accepts(matcher: Matcher) -> Callable[[Mapping[str, str]], bool]:
    """Whether labels pass a matcher. As in PromQL a missing label is ""; a regex matches the whole value."""
    label, op, value = matcher
    if op == "=":
        return lambda labels: labels.get(label, "") == value
    if op == "!=":
        return lambda labels: labels.get(label, "") != value
    matches = compiled(value).fullmatch
    if op == "=~":
        return lambda labels: matches(labels.get(label, "")) is not None
    return lambda labels: matches(labels.get(label, "")) is None
