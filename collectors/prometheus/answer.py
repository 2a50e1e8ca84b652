"""From the elements of an answer to the rows of a definition. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from collectors.fleet import clean
from collectors.prometheus.wire import Sample
from collectors.signals.catalogue import Buckets, Definition, Row
from collectors.signals.promql import ALTERNATIVE
from collectors.signals.quantiles import buckets

_ONE_ACCELERATOR = frozenset({"gpu", "UUID", "GPU_I_ID"})


def rows(definition: Definition, samples: Iterable[Sample]) -> tuple[Row, ...]:
    """What the server answered to the definition's query, by group. Native histograms are left out."""
    usable = [sample for sample in samples if sample.value is not None]
    if definition.kind == "histogram":
        return _histograms(definition, usable)
    labels = _Labels(definition.keep)
    return tuple(
        Row(dict(labels.of(one)), one.number, definition.metrics[_alternative(one)].rung) for one in usable
    )


def by_node(definition: Definition) -> Definition:
    """The same for hosts instead of accelerators, so that a big fleet's map stays small.

    Rows then lack the labels `gpu`, `UUID` and `GPU_I_ID`. Busy time is the mean of the host's accelerators,
    each counted once; other signals are the largest.
    """
    named = tuple(label for label in definition.keep if label in _ONE_ACCELERATOR)
    return replace(
        definition,
        keep=tuple(label for label in definition.keep if label not in _ONE_ACCELERATOR),
        distinct=named,
        aggregate="avg" if definition.signal == "busy_ratio" else "max",
    )


class _Labels:
    """Kept labels of a sample as pairs, in the definition's order; each text is cleaned once."""

    def __init__(self, keep: Sequence[str]) -> None:
        self._keep = keep
        self._clean: dict[str, str] = {}

    def of(self, sample: Sample) -> tuple[tuple[str, str], ...]:
        metric, known = sample.metric, self._clean
        found = []
        for label in self._keep:
            if text := metric.get(label):
                if (cleaned := known.get(text)) is None:
                    cleaned = known[text] = clean(text)
                found.append((label, cleaned))
        return tuple(found)


def _alternative(sample: Sample) -> int:
    return int(sample.metric.get(ALTERNATIVE, "0"))


def _histograms(definition: Definition, samples: Iterable[Sample]) -> tuple[Row, ...]:
    labels = _Labels(definition.keep)
    groups: dict[tuple[tuple[str, str], ...], list[tuple[str, float]]] = defaultdict(list)
    alternatives: dict[tuple[tuple[str, str], ...], int] = {}
    for one in samples:
        key = labels.of(one)
        groups[key].append((one.metric.get("le", ""), one.number))
        alternatives[key] = _alternative(one)
    found = []
    for key, pairs in groups.items():
        metric = definition.metrics[alternatives[key]]
        together = buckets(pairs)
        if metric.factor != 1:
            together = Buckets(tuple(bound * metric.factor for bound in together.bounds), together.rates)
        found.append(Row(dict(key), together, metric.rung))
    return tuple(found)
