"""A definition as one PromQL expression.

What the expression returns is the contract with whoever evaluates the same definition on pages:

- One element a group, labelled with the definition's `keep`; of a histogram, one for each group and `le`.
- Alternatives: a group that an earlier one has, with whatever value, is never taken from a later one. Of a
  histogram that holds for all buckets of the group, so two sets of bounds never mix.
- Where some alternative has a rung, or scales the bounds of a histogram, all but the first mark their
  elements with `ALTERNATIVE`, their index among the definition's metrics: `factor` of a histogram is for the
  reader, who multiplies the bounds by it.
- A ratio of rates is 0 where only the numerator is missing and the denominator is above 0, NaN where that is
  0; a ratio of gauges has no element where either is missing.
- `faults` leaves out elements of value 0: a healthy fleet answers with nothing.
- `distinct` takes the largest of what shares distinct and kept labels, before counting or adding up.

Labels of accelerators are derived from groups and not from series: on 10,000 series `label_replace` costs a
server more than all the rest.
"""

import re
from collections.abc import Iterable, Sequence

from collectors.signals.catalogue import Definition, Derive, Matcher, Metric

ALTERNATIVE = "tidegate_alternative"
"""Label with the index of the metric that answered, on elements where it matters."""

_PART = "tidegate_part"


def series_name(definition: Definition, metric: Metric) -> str:
    """Name of the series that are asked for: of a histogram, its buckets."""
    return f"{metric.name}_bucket" if definition.kind == "histogram" else metric.name


def render(
    definition: Definition,
    *,
    window_s: float,
    selector: Sequence[Matcher] = (),
    present: frozenset[str] | None = None,
) -> str:
    """The expression; "" when `present` shows that nothing could answer.

    window_s: of rates; >= 4 scrape intervals (`catalogue.window_s`)
    selector: filters for every series, as of one cluster in a shared store
    present: names of series that exist; alternatives without one are left out. None: all are asked
    """
    expression = (
        _ratio(definition, window_s, selector, present)
        if definition.kind == "ratio"
        else _alternatives(definition, window_s, selector, present)
    )
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


def _alternatives(
    definition: Definition, window_s: float, selector: Sequence[Matcher], present: frozenset[str] | None
) -> str:
    histogram = definition.kind == "histogram"
    shown = (*definition.keep, "le") if histogram else definition.keep
    # Elements of two alternatives are one group if their kept labels agree, whatever their `le` or mark.
    either = f" or on ({', '.join(definition.keep)}) "
    marks = any(metric.rung or (metric.factor != 1 and histogram) for metric in definition.metrics)
    there = [
        (index, metric)
        for index, metric in enumerate(definition.metrics)
        if present is None or series_name(definition, metric) in present
    ]
    found = []
    for index, metric in there:
        one = _series(definition, metric, window_s, selector, rate=definition.needs_rate)
        if definition.signal == "faults" and definition.aggregate == "max" and len(there) == 1:
            # The healthy ones, nearly all, need not be grouped. A later alternative would need to know them.
            one = f"{one} > 0"
        one = _aggregated(definition, definition.aggregate, shown, one)
        if metric.factor != 1 and not histogram and definition.aggregate != "count":
            one = f"{one} * {metric.factor!r}"
        if marks and index:
            one = _marked(one, ALTERNATIVE, index)
        found.append(one)
    return either.join(found)


def _ratio(
    definition: Definition, window_s: float, selector: Sequence[Matcher], present: frozenset[str] | None
) -> str:
    above, below = (
        _added(definition, metrics, window_s, selector, present)
        for metrics in (definition.metrics, definition.over)
    )
    if not below:
        return ""
    if not definition.of_rates:
        return f"{above} / {below}" if above else ""
    # `0 / b` is NaN without traffic, so that no traffic does not read as no errors.
    return f"{above} / {below} or 0 / {below}" if above else f"0 / {below}"


def _added(
    definition: Definition,
    metrics: Sequence[Metric],
    window_s: float,
    selector: Sequence[Matcher],
    present: frozenset[str] | None,
) -> str:
    """The sum of the metrics in each group; one that is missing there adds nothing."""
    there = [m for m in metrics if present is None or series_name(definition, m) in present]
    if not there:
        return ""
    if (
        len(there) > 1
        and not definition.of_rates
        and {(m.where, m.factor) for m in there} == {(there[0].where, 1)}
    ):
        # One selector for all, told apart by name: less than half the server's time of the union below.
        named = Matcher("__name__", "=~", any_of(m.name for m in there))
        one = Metric("", (named, *there[0].where))
        part: tuple[str, ...] = ("__name__",)
        inner = _series(definition, one, window_s, selector, rate=False)
    else:
        parts = [_series(definition, m, window_s, selector, rate=definition.of_rates) for m in there]
        parts = [
            one if m.factor == 1 else f"{one} * {m.factor!r}" for one, m in zip(parts, there, strict=True)
        ]
        # `or` does not look at names: without a mark it would take series of one thing for the same series.
        marked = [_marked(one, _PART, index) for index, one in enumerate(parts)]
        inner, part = (" or ".join(marked), (_PART,)) if len(parts) > 1 else (parts[0], ())
    return _aggregated(definition, "sum", definition.keep, inner, part)


def _aggregated(
    definition: Definition, aggregate: str, shown: Sequence[str], vector: str, part: Sequence[str] = ()
) -> str:
    """The vector by `shown`, its labels derived and shared things counted once.

    part: labels that tell series of one thing apart
    """
    # The largest of the largest is the largest.
    if not definition.distinct or aggregate == "max":
        return _by(definition, aggregate, shown, vector)
    one_each = tuple(dict.fromkeys((*definition.distinct, *shown, *part)))
    return f"{aggregate} by ({', '.join(shown)}) ({_by(definition, 'max', one_each, vector)})"


def _by(definition: Definition, aggregate: str, labels: Sequence[str], vector: str) -> str:
    """Aggregated by labels, some of them derived.

    Of accelerators first by what labels are derived from, then by themselves: there are fewer pods than
    accelerators. A pod is one engine: to group twice would cost more than it saves.
    """
    made = _needed(labels, definition.derive)
    if made and definition.role in {"accelerator", "heat"}:
        if aggregate == "avg":
            # Pods differ in size: the mean of their means would be another.
            return " / ".join(_by(definition, one, labels, vector) for one in ("sum", "count"))
        raw = dict.fromkeys((*labels, *(derive.source for derive in made)))
        vector = f"{aggregate} by ({', '.join(raw)}) ({vector})"
        aggregate = "sum" if aggregate == "count" else aggregate
    for derive in made:
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


def _series(
    definition: Definition, metric: Metric, window_s: float, selector: Sequence[Matcher], *, rate: bool
) -> str:
    vector = series_name(definition, metric) + braces((*metric.where, *selector))
    return f"rate({vector}[{duration(window_s)}])" if rate else vector


def _derived(vector: str, derive: Derive) -> str:
    texts = (derive.target, derive.replacement, derive.source, derive.regex)
    return f"label_replace({vector}, {', '.join(map(quoted, texts))})"


def _marked(vector: str, label: str, index: int) -> str:
    return _derived(vector, Derive(label, "", "", str(index)))
