"""A definition as one PromQL expression.

What the expression returns is the contract with whoever evaluates the same definition on pages:

- One element a group, labelled with the definition's `keep`; of a histogram, one for each group and `le`.
- Alternatives: a group that an earlier one has, with whatever value, is never taken from a later one; with
  `either_by` groups that agree in those labels are one. Of a histogram that holds for all buckets of the
  group, so two sets of bounds never mix.
- Where some alternative has a rung, or scales the bounds of a histogram, all but the first mark their
  elements with `ALTERNATIVE`, their index among the definition's metrics: `factor` of a histogram is for the
  reader, who multiplies the bounds by it.
- A ratio of rates is 0 where only the numerator is missing and the denominator is above 0, NaN where that is
  0; a ratio of gauges has no element where either is missing.
- `faults` leaves out elements of value 0: a healthy fleet answers with nothing. Of its alternatives, whose
  maximum is asked, each adds the groups in which it is above 0.
- `distinct` takes the largest of what shares distinct and kept labels, before counting or adding up.
- A histogram that is there as a native one answers with `histogram` elements beside the others. Prometheus
  2.42 empties those that `label_replace` and `max` touch: they keep the labels that the reader derives from,
  and those that tell equal Prometheus apart. The reader prefers what has an `le`, by group. It also stands
  for its `_count` and `_sum` where they are missing.
- An operator's own query is asked as it is.

Labels of accelerators are derived from groups and not from series: on 10,000 series `label_replace` costs a
server more than all the rest.
"""

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from collectors.signals.catalogue import Definition, Derive, Matcher, Metric

ALTERNATIVE = "tidegate_alternative"
"""Label with the index of the metric that answered, on elements where it matters."""

_PART = "tidegate_part"
_PLACE = "tidegate_place"
_PARTS = ("_count", "_sum")


def series_name(definition: Definition, metric: Metric) -> str:
    """Name of the series that are asked for: of a histogram, its buckets."""
    return f"{metric.name}_bucket" if definition.kind == "histogram" else metric.name


def native_name(definition: Definition, metric: Metric) -> str:
    """Name of the native histogram that would tell the same; "" where none could."""
    return metric.name if definition.kind == "histogram" else native_base(metric.name)


def native_base(name: str) -> str:
    """Name of the native histogram that tells what its `_count` or `_sum` would; "" for other names."""
    return name.rsplit("_", 1)[0] if name.endswith(_PARTS) else ""


def render(
    definition: Definition,
    *,
    window_s: float,
    selector: Sequence[Matcher] = (),
    present: frozenset[str] | None = None,
    replicas: Sequence[str] = (),
    guarded: bool = False,
) -> str:
    """The expression; "" when `present` shows that nothing could answer.

    window_s: of rates; >= 4 scrape intervals (`catalogue.window_s`)
    selector: filters for every series, as of one cluster in a shared store
    present: names of series that exist; alternatives without one are left out. None: all are asked. Of a
        histogram the name without `_bucket` says that it is there as a native one
    replicas: labels that tell equal Prometheus apart: of series equal but for them the largest counts
    guarded: for a server whose `label_replace` may give a label that it should not touch a text which other
        series left behind, as VictoriaMetrics up to 1.79: that text is taken away first
    """
    if definition.promql:
        return definition.promql
    asked = _Asked(definition, window_s, selector, present, tuple(replicas), guarded)
    expression = _ratio(asked) if definition.kind == "ratio" else _alternatives(asked)
    return f"({expression}) > 0" if expression and definition.signal == "faults" else expression


def quoted(text: str) -> str:
    """A PromQL string."""
    escaped = text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'"{escaped}"'


def any_of(texts: Iterable[str]) -> str:
    """A regular expression that matches exactly these texts."""
    return "|".join(map(re.escape, texts))


def braces(matchers: Sequence[Matcher]) -> str:
    """Filters as a selector writes them; "" for none."""
    return "{" + ",".join(f"{m.label}{m.op}{quoted(m.value)}" for m in matchers) + "}" if matchers else ""


def duration(seconds: float) -> str:
    """A PromQL duration, to the millisecond."""
    milliseconds = round(seconds * 1000)
    return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What `render` was given."""

    definition: Definition
    window_s: float
    selector: Sequence[Matcher]
    present: frozenset[str] | None
    replicas: tuple[str, ...]
    guarded: bool

    def has(self, metric: Metric) -> bool:
        """Whether its series are there, or a native histogram that tells the same."""
        return (
            self.present is None
            or series_name(self.definition, metric) in self.present
            or self.base(metric) != ""
        )

    def base(self, metric: Metric) -> str:
        """The native histogram that a count or sum comes from, where there is no series of its own."""
        if self.present is None or self.definition.kind == "histogram" or metric.name in self.present:
            return ""
        base = native_base(metric.name)
        return base if base in self.present else ""

    def series(self, metric: Metric, *, rate: bool, name: str | None = None) -> str:
        """One metric's series, or their rates."""
        base = self.base(metric)
        named = base or (series_name(self.definition, metric) if name is None else name)
        vector = named + braces((*metric.where, *self.selector))
        vector = f"rate({vector}[{duration(self.window_s)}])" if rate else vector
        return f"histogram{metric.name.removeprefix(base)}({vector})" if base else vector

    def once(self, vector: str, aggregate: str) -> str:
        """The vector with equal Prometheus counted once; a maximum, or what is counted once by
        `distinct`, needs no help."""
        if not self.replicas or aggregate == "max" or self.definition.distinct:
            return vector
        return f"max without ({', '.join(self.replicas)}) ({vector})"


def natives(definition: Definition, present: frozenset[str] | None) -> tuple[tuple[int, Metric], ...]:
    """The alternatives of a histogram that are there as native ones, with their index."""
    if definition.kind != "histogram" or present is None:
        return ()
    return tuple((index, m) for index, m in enumerate(definition.metrics) if m.name in present)


def _alternatives(asked: _Asked) -> str:
    definition = asked.definition
    histogram = definition.kind == "histogram"
    shown = (*definition.keep, "le") if histogram else definition.keep
    # Elements of two alternatives are one group if these labels agree, whatever their `le` or mark.
    either = f" or on ({', '.join(definition.either_by or definition.keep)}) "
    marks = any(metric.rung or (metric.factor != 1 and histogram) for metric in definition.metrics)
    there = [(index, metric) for index, metric in enumerate(definition.metrics) if asked.has(metric)]
    found = []
    for index, metric in there:
        one = asked.once(asked.series(metric, rate=definition.needs_rate), definition.aggregate)
        if definition.signal == "faults" and definition.aggregate == "max":
            # The healthy ones, nearly all, need not be grouped.
            one = f"{one} > 0"
        one = _aggregated(asked, definition.aggregate, shown, one)
        if metric.factor != 1 and not histogram and definition.aggregate != "count":
            one = f"{one} * {metric.factor!r}"
        if marks and index:
            one = _marked(one, ALTERNATIVE, index)
        found.append(one)
    together = [either.join(found)] if found else []
    for index, metric in natives(definition, asked.present):
        raw = dict.fromkeys(
            (
                *definition.keep,
                *(d.source for d in _needed(definition.keep, definition.derive)),
                *asked.replicas,
            )
        )
        one = f"sum by ({', '.join(raw)}) ({asked.series(metric, rate=True, name=metric.name)})"
        together.append(_marked(one, ALTERNATIVE, index) if marks and index else one)
    return " or ".join(together)


def _ratio(asked: _Asked) -> str:
    definition = asked.definition
    above, below = (_added(asked, metrics) for metrics in (definition.metrics, definition.over))
    if not below:
        return ""
    if not definition.of_rates:
        return f"{above} / {below}" if above else ""
    # `0 / b` is NaN without traffic, so that no traffic does not read as no errors.
    return f"{above} / {below} or 0 / {below}" if above else f"0 / {below}"


def _added(asked: _Asked, metrics: Sequence[Metric]) -> str:
    """The sum of the metrics in each group; one that is missing there adds nothing."""
    definition = asked.definition
    there = [m for m in metrics if asked.has(m)]
    if not there:
        return ""
    if (
        len(there) > 1
        and not definition.of_rates
        and {(m.where, m.factor) for m in there} == {(there[0].where, 1)}
        # `max without` would take series of one thing for the same series: it does not look at names.
        and (definition.distinct or not asked.replicas)
    ):
        # One selector for all, told apart by name: less than half the server's time of the union below.
        named = Matcher("__name__", "=~", any_of(m.name for m in there))
        one = Metric("", (named, *there[0].where))
        part: tuple[str, ...] = ("__name__",)
        inner = asked.series(one, rate=False)
    else:
        parts = [asked.once(asked.series(m, rate=definition.of_rates), "sum") for m in there]
        parts = [
            one if m.factor == 1 else f"{one} * {m.factor!r}" for one, m in zip(parts, there, strict=True)
        ]
        # `or` does not look at names: without a mark it would take series of one thing for the same series.
        marked = [_marked(one, _PART, index) for index, one in enumerate(parts)]
        inner, part = (" or ".join(marked), (_PART,)) if len(parts) > 1 else (parts[0], ())
    return _aggregated(asked, "sum", definition.keep, inner, part)


def _aggregated(
    asked: _Asked, aggregate: str, shown: Sequence[str], vector: str, part: Sequence[str] = ()
) -> str:
    """The vector by `shown`, its labels derived and shared things counted once.

    part: labels that tell series of one thing apart
    """
    definition = asked.definition
    # The largest of the largest is the largest.
    if not definition.distinct or aggregate == "max":
        return _by(asked, aggregate, shown, vector)
    one_each = tuple(dict.fromkeys((*definition.distinct, *shown, *part)))
    return f"{aggregate} by ({', '.join(shown)}) ({_by(asked, 'max', one_each, vector)})"


def _by(asked: _Asked, aggregate: str, labels: Sequence[str], vector: str) -> str:
    """Aggregated by labels, some of them derived.

    Of accelerators first by what labels are derived from, then by themselves: there are fewer pods than
    accelerators. A pod is one engine: to group twice would cost more than it saves.
    """
    definition = asked.definition
    made = _needed(labels, definition.derive)
    if made and definition.role in {"accelerator", "heat"}:
        if aggregate == "avg":
            # Pods differ in size: the mean of their means would be another.
            return " / ".join(_by(asked, one, labels, vector) for one in ("sum", "count"))
        raw = dict.fromkeys((*labels, *(derive.source for derive in made)))
        vector = f"{aggregate} by ({', '.join(raw)}) ({vector})"
        aggregate = "sum" if aggregate == "count" else aggregate
    for _, of_one in itertools.groupby(made, key=lambda derive: derive.target):
        if asked.guarded:
            # A label made last and removed leaves its place behind, empty, to the next that is made.
            vector = _derived(vector, Derive(_PLACE, "", "", ""))
        for derive in of_one:
            vector = _derived(vector, derive)
    return f"{aggregate} by ({', '.join(labels)}) ({vector})"


def _needed(labels: Sequence[str], derives: Sequence[Derive]) -> list[Derive]:
    """The derives that these labels come from, in order."""
    wanted, found = set(labels), []
    for derive in reversed(derives):
        if derive.target in wanted:
            found.append(derive)
            wanted.add(derive.source)
    return found[::-1]


def _derived(vector: str, derive: Derive) -> str:
    texts = (derive.target, derive.replacement, derive.source, derive.regex)
    return f"label_replace({vector}, {', '.join(map(quoted, texts))})"


def _marked(vector: str, label: str, index: int) -> str:
    return _derived(vector, Derive(label, "", "", str(index)))
