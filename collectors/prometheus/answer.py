"""From the elements of an answer to the rows of a definition. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from collectors.prometheus.native import aligned, counted_once, populations
from collectors.prometheus.wire import Sample
from collectors.signals.accelerators import ONE_ACCELERATOR
from collectors.signals.catalogue import Buckets, Definition, Row
from collectors.signals.derive import derived
from collectors.signals.promql import ALTERNATIVE
from collectors.signals.quantiles import buckets
from collectors.text import clean

Group = tuple[tuple[str, str], ...]
"""Kept labels that are there, in the definition's order."""

_NO_LABELS_OF_ONES_OWN = frozenset({"__name__", ALTERNATIVE})


def rows(
    definition: Definition, samples: Iterable[Sample], *, replicas: Sequence[str] = (), factor: float = 1.0
) -> tuple[Row, ...]:
    """What the server answered to the definition's query, by group.

    replicas: labels that tell equal Prometheus apart, as they were given to `promql.render`
    factor: of an operator's own query: multiplies values and bounds
    """
    if definition.kind == "histogram":
        return _histograms(definition, list(samples), replicas, factor)
    labels = Labels(definition)
    return tuple(
        Row(dict(labels.of(one.metric)), one.number * factor, rung_of(definition, _alternative(one)))
        for one in samples
        if one.value is not None
    )


def by_node(definition: Definition) -> Definition:
    """The same for hosts instead of accelerators, so that a big fleet's map stays small.

    Rows then lack the labels that name an accelerator. Busy time is the mean of the host's accelerators, each
    counted once; other signals are the largest. What keeps none of these labels stays as it is.
    """
    named = tuple(label for label in definition.keep if label in ONE_ACCELERATOR)
    if not named:
        return definition
    return replace(
        definition,
        keep=tuple(label for label in definition.keep if label not in ONE_ACCELERATOR),
        distinct=named,
        aggregate="avg" if definition.signal == "busy_ratio" else "max",
    )


class Labels:
    """Kept labels as pairs, in the definition's order; each text is cleaned once."""

    def __init__(self, definition: Definition) -> None:
        self._keep = None if definition.promql else definition.keep
        self._left_out = _NO_LABELS_OF_ONES_OWN | ({"le"} if definition.kind == "histogram" else set())
        self._clean: dict[str, str] = {}

    def of(self, metric: Mapping[str, str]) -> Group:
        known = self._clean
        names = self._keep
        if names is None:
            names = tuple(sorted(metric.keys() - self._left_out))
        found = []
        for label in names:
            if text := metric.get(label):
                if (cleaned := known.get(text)) is None:
                    cleaned = known[text] = clean(text)
                found.append((label if self._keep is not None else clean(label), cleaned))
        return tuple(found)


def _alternative(sample: Sample) -> int:
    return int(sample.metric.get(ALTERNATIVE, "0"))


def rung_of(definition: Definition, alternative: int) -> str:
    """What the alternative that answered really measures, where it is not the first."""
    return definition.metrics[alternative].rung if definition.metrics else ""


def _histograms(
    definition: Definition, samples: Sequence[Sample], replicas: Sequence[str], factor: float
) -> tuple[Row, ...]:
    """Classic buckets by `le`; native histograms only of groups that have none of those."""
    labels = Labels(definition)
    groups: dict[Group, list[tuple[str, float]]] = defaultdict(list)
    alternatives: dict[Group, int] = {}
    for one in samples:
        # A float without `le` is no bucket: a summary has series of the name that a native histogram has.
        if one.value is not None and "le" in one.metric:
            key = labels.of(one.metric)
            groups[key].append((one.metric["le"], one.number))
            alternatives[key] = _alternative(one)
    found = {key: buckets(pairs) for key, pairs in groups.items()}
    either = _either(definition)
    taken = set(map(either, found))
    for alternative, group in _natives(definition, samples, replicas, labels):
        new = {key: held for key, held in group.items() if either(key) not in taken}
        found.update(new)
        alternatives.update(dict.fromkeys(new, alternative))
        taken.update(map(either, new))
    return tuple(
        Row(
            dict(key),
            scaled(together, definition.metrics[alternatives[key]].factor if definition.metrics else factor),
            rung_of(definition, alternatives[key]),
        )
        for key, together in found.items()
    )


def _natives(
    definition: Definition, samples: Sequence[Sample], replicas: Sequence[str], labels: Labels
) -> list[tuple[int, dict[Group, Buckets]]]:
    """Groups of native histograms by alternative, the first one first."""
    derives = [derived(one) for one in definition.derive]
    by_alternative: dict[int, list[tuple[Group, Sample]]] = defaultdict(list)
    for sample in counted_once(samples, replicas):
        metric = dict(sample.metric)
        for derive in derives:
            derive(metric)
        by_alternative[_alternative(sample)].append((labels.of(metric), sample))
    return [(index, aligned(populations(by_alternative[index]))) for index in sorted(by_alternative)]


def _either(definition: Definition) -> Callable[[Group], Group]:
    """What of a group another must share to give way to it."""
    if not definition.either_by:
        return lambda group: group
    return lambda group: tuple(pair for pair in group if pair[0] in definition.either_by)


def scaled(one: Buckets, factor: float) -> Buckets:
    """The buckets with their bounds multiplied."""
    return one if factor == 1 else Buckets(tuple(bound * factor for bound in one.bounds), one.rates)
