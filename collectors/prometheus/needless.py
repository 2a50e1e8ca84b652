"""What the queries about accelerators can leave out on one server and still have the same answer. Pure.

With ten thousand accelerators each part costs the server as much as the whole rest of a poll: a label derived
from one that nothing has, counting once what is there only once, a second way to measure what the first
already measures. A doubt is asked about by a query that answers with nothing where it is unfounded.
"""

import re
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from collectors.signals.accelerators import ONE_ACCELERATOR
from collectors.signals.catalogue import Definition, Matcher, Metric, Preset
from collectors.signals.promql import any_of, braces, series_name

Doubt = str | tuple[str, ...] | tuple[Metric, ...]
"""Is there a series with this label; are there two series of one thing, by these labels; does a later one of
these alternatives have a series that the first has not."""


_TOTALS = frozenset({"accelerators", "power_w", "memory_ratio"})


def doubts(
    preset: Preset, definitions: Iterable[Definition], selector: Sequence[Matcher], present: AbstractSet[str]
) -> dict[Doubt, str]:
    """What to ask to learn what is needless in these definitions of a stack; present: names that exist.

    Labels are looked for on the stack's proof: they come from the exporter and its scrape, for all its names.
    """
    proof = _any(sorted(present & set(preset.proof)))
    asked: dict[Doubt, str] = {}
    for one in definitions:
        for derive in one.derive:
            if _reads_only_what_is_there(one, derive.source, derive.regex):
                some = braces((proof, Matcher(derive.source, "!=", ""), *selector))
                asked[derive.source] = f"group({some})"
        if one.distinct:
            by = ", ".join(("__name__", *one.distinct))
            asked[one.distinct] = f"group(count by ({by}) ({braces((proof, *selector))}) > 1)"
        ways = _ways(one, present)
        if len(ways) > 1:
            first, *later = (series_name(one, m) + braces((*m.where, *selector)) for m in ways)
            asked[one.metrics] = f"group(({' or '.join(later)}) unless {first})"
    return asked


def size(
    preset: Preset, definitions: Iterable[Definition], selector: Sequence[Matcher], present: AbstractSet[str]
) -> str:
    """How many series there are. While that stays the same, so do the answers to doubts.

    Counted is the first of some alternatives: it changes also where one accelerator loses it.
    """
    firsts = (ways[0].name for one in definitions if len(ways := _ways(one, present)) > 1)
    name = next(firsts, min(present & set(preset.proof)))
    return f"count({braces((_any([name]), *selector))})"


def shortened(definition: Definition, needless: AbstractSet[Doubt], present: AbstractSet[str]) -> Definition:
    """The definition without what is needless. Alternatives keep their index."""
    # What is there once by some labels is there once by more of them.
    once = any(isinstance(d, tuple) and set(d) <= set(definition.distinct) for d in needless)
    metrics = definition.metrics
    if once and _counts_the_fleet(definition):
        metrics = ()
    elif metrics in needless:
        metrics = metrics[: metrics.index(_ways(definition, present)[0]) + 1]
    return replace(
        definition,
        metrics=metrics,
        distinct=() if once else definition.distinct,
        derive=tuple(
            derive
            for derive in definition.derive
            if derive.source not in needless
            or not _reads_only_what_is_there(definition, derive.source, derive.regex)
        ),
    )


def _ways(definition: Definition, present: AbstractSet[str]) -> list[Metric]:
    """The alternatives that there are; those of a ratio are none, and of faults each tells more."""
    if definition.kind == "ratio" or definition.signal == "faults":
        return []
    return [m for m in definition.metrics if series_name(definition, m) in present]


def _counts_the_fleet(definition: Definition) -> bool:
    """True if the fast lane's groups add up to the same where each accelerator is in one of them."""
    named = ONE_ACCELERATOR.intersection(definition.keep)
    return definition.role == "heat" and definition.signal in _TOTALS and not named


def _reads_only_what_is_there(definition: Definition, source: str, regex: str) -> bool:
    """True if without the source nothing is derived."""
    made = {derive.target for derive in definition.derive if derive.source != derive.target}
    return source not in made and re.fullmatch(regex, "") is None


def _any(names: Sequence[str]) -> Matcher:
    return Matcher("__name__", "=~" if len(names) > 1 else "=", any_of(names))
