"""Which buckets of a histogram are asked for where all of them would be too much for one answer.

Cumulative buckets stay exact when bounds between them are left out: how many observations there were is the
same, and a quantile falls into a wider interval. The server touches fewer series, and so does its record.
Questions and what their answers mean; pure but for `Thinned`, which asks them.
"""

import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from collectors.prometheus.wire import Refused, Sample, Vector
from collectors.signals.catalogue import Buckets, Definition, Matcher, Metric, Row
from collectors.signals.promql import any_of, braces, natives, render, series_name

MAX_SAMPLES = 60_000
"""Most elements that an answer should have: some 6 MB, and a quarter of a second to decode."""

KEPT = (24, 12, 9, 6)
"""Finite bounds that are asked for instead of all: few steps, so that intervals seldom change."""

MOST_BOUNDS = 36
"""No stack that is known has more in one histogram."""

STEADY = 0.9
"""With this share of the series that were too much once, they still are."""

MEND = "Narrow down what is asked for with `select`: it is too much with the fewest buckets too"

Ask = Callable[[str, float], Awaitable[Vector]]


@dataclass(frozen=True, slots=True)
class Scope:
    """What is asked for, as of `promql.render`, and when."""

    selector: tuple[Matcher, ...]
    present: frozenset[str]
    replicas: tuple[str, ...]
    at: float


@dataclass(frozen=True, slots=True)
class Cut:
    """What is asked of one definition: `texts` of `le`, for `most` of its `bounds` finite bounds.

    series: histograms that there were; proven: an answer was too much then, and not only foreseen to be
    """

    most: int
    bounds: int
    texts: frozenset[str]
    series: float
    proven: bool


def evenly(many: Sequence[float], most: int) -> list[float]:
    """So many, spread evenly by their place, always the first and the last; all of them if they are fewer."""
    if len(many) <= most:
        return list(many)
    if most < 2:
        return list(many[:most])
    return [many[round(step * (len(many) - 1) / (most - 1))] for step in range(most)]


def kept(counts: Mapping[str, float], most: int) -> frozenset[str]:
    """The texts of `le` to ask for: of so many finite bounds, in every spelling, and of the infinite one.

    counts: how many histograms have each text. Bounds that all of them have come first: where versions with
        other bounds are side by side each keeps some
    """
    spellings = _spellings(counts)
    finite = _finite(spellings)
    of = {bound: sum(counts[text] for text in texts) for bound, texts in spellings.items()}
    all_of_them = of.get(math.inf, max(of.values(), default=0.0))
    shared = [bound for bound in finite if of[bound] >= all_of_them]
    if len(shared) >= most:
        chosen = evenly(shared, most)
    else:
        chosen = [*shared, *evenly([one for one in finite if one not in shared], most - len(shared))]
    return frozenset(text for bound in (*chosen, math.inf) for text in spellings.get(bound, ()))


def _spellings(texts: Iterable[str]) -> dict[float, list[str]]:
    found: dict[float, list[str]] = defaultdict(list)
    for text in texts:
        try:
            bound = float(text)
        except ValueError:
            continue
        if not math.isnan(bound):
            found[bound].append(text)
    return found


def _finite(bounds: Iterable[float]) -> list[float]:
    return sorted(bound for bound in bounds if math.isfinite(bound))


def groups_question(definition: Definition, scope: Scope) -> str:
    """How many groups the definition's answer has, at the cost of one bucket of each histogram."""
    infinite = Matcher("le", "=", "+Inf")
    metrics = tuple(Metric(series_name(definition, m), (*m.where, infinite)) for m in definition.metrics)
    counted = replace(definition, kind="gauge", aggregate="count", metrics=metrics, quantiles=())
    query = render(
        counted, window_s=0, selector=scope.selector, present=scope.present, replicas=scope.replicas
    )
    return f"count({query})" if query else ""


def bounds_question(definition: Definition, scope: Scope) -> str:
    """How many histograms have which bounds, by name."""
    names = [name for m in definition.metrics if (name := series_name(definition, m)) in scope.present]
    named = Matcher("__name__", "=~", any_of(names))
    return f"count by (__name__, le) ({braces((named, *scope.selector))})" if names else ""


def bounds_by_name(samples: Iterable[Sample]) -> dict[str, dict[str, float]]:
    """The answer to `bounds_question`, read: how many have each text of `le`, by name. raises: Refused"""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for one in samples:
        if one.value is not None and "le" in one.metric:
            found[one.metric.get("__name__", "")][one.metric["le"]] = one.number
    return found


def honest(found: Sequence[Row]) -> tuple[Row, ...]:
    """The rows of a thinned answer. Of a group that has none of the bounds that were asked for nobody knows
    where its observations fell: it must not pass for idle."""
    blind = (math.inf,)
    return tuple(
        replace(row, value=Buckets((), ()))
        if isinstance(row.value, Buckets) and row.value.bounds == blind and row.value.rates[-1] > 0
        else row
        for row in found
    )


class Thinned:
    """What is thinned on one server, learned anew after every detection."""

    def __init__(self) -> None:
        self._cuts: dict[Definition, Cut] = {}
        self._series: Mapping[str, float] = {}
        self._due = False

    def detected(self, series: Mapping[str, float]) -> None:
        """Detection has counted histograms: so many of each name."""
        self._series, self._due = series, True

    def filters(self, definition: Definition, present: frozenset[str]) -> tuple[Matcher, ...]:
        """What to add to the selector of a definition's series, and of its record."""
        if (cut := self._cuts.get(definition)) is None:
            return ()
        # A native histogram has no `le`, and there is no other reason to let pass what has none.
        others = ("",) if natives(definition, present) else ()
        return (Matcher("le", "=~", any_of((*others, *sorted(cut.texts)))),)

    async def foresee(self, ask: Ask, definitions: Iterable[Definition], scope: Scope) -> None:
        """Thin what would clearly be too much before it is asked for the first time since detection.

        ask: sends a query. Where it is refused all stays as it was. raises: Refused if nobody answers
        """
        if not self._due:
            return
        self._due = False
        wanted = {one for one in definitions if one.kind == "histogram" and not one.promql}
        self._cuts = {one: cut for one, cut in self._cuts.items() if one in wanted}
        for one in wanted:
            try:
                await self._foreseen(ask, one, scope)
            except Refused as refused:
                if refused.unreachable or refused.wait_s is not None:
                    raise

    async def thin(self, ask: Ask, definition: Definition, scope: Scope) -> bool:
        """Ask for fewer from now on, after an answer that was too much.

        False if there are no fewer, or if it could not be learned which there are.
        """
        if definition.kind != "histogram" or definition.promql:
            return False
        now = self._cuts.get(definition)
        try:
            return await self._cut(ask, definition, scope, below=now.most if now else math.inf, proven=True)
        except Refused:
            return False

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence for what is asked with as many of as many buckets."""
        by_size: dict[tuple[int, int], set[str]] = defaultdict(set)
        for definition, cut in self._cuts.items():
            by_size[cut.most, cut.bounds].add(definition.signal)
        return tuple(
            f"{', '.join(sorted(signals))}: asked with {most + 1} of {bounds + 1} buckets, as all are too "
            "much for one answer. Counts stay exact, intervals of quantiles are wider. Filters in `select` "
            "bring the others back; recording rules do not"
            for (most, bounds), signals in sorted(by_size.items())
        )

    async def _foreseen(self, ask: Ask, definition: Definition, scope: Scope) -> None:
        old, series = self._cuts.get(definition), self._count(definition)
        if old is not None and old.proven and series >= STEADY * old.series:
            if not await self._cut(ask, definition, scope, fit=old.most, proven=True, series=old.series):
                del self._cuts[definition]
            return
        if series * (MOST_BOUNDS + 1) <= MAX_SAMPLES or not (question := groups_question(definition, scope)):
            self._cuts.pop(definition, None)
            return
        counted = (await ask(question, scope.at)).samples
        groups = next((one.number for one in counted if one.value is not None), 0.0)
        fit = MAX_SAMPLES / groups - 1 if groups > 0 else math.inf
        if fit >= MOST_BOUNDS or not await self._cut(ask, definition, scope, fit=fit):
            self._cuts.pop(definition, None)

    async def _cut(
        self,
        ask: Ask,
        definition: Definition,
        scope: Scope,
        *,
        below: float = math.inf,
        fit: float = math.inf,
        proven: bool = False,
        series: float | None = None,
    ) -> bool:
        """Learn the bounds and keep fewer of them; False if there are no fewer, or all fit.

        below: so many were too much, so half of them are tried; fit: how many will fit
        series: so many were too much before. raises: Refused
        """
        if not (question := bounds_question(definition, scope)):
            return False
        by_name = bounds_by_name((await ask(question, scope.at)).samples)
        bounds = max((len(_finite(_spellings(one))) for one in by_name.values()), default=0)
        fewer = [one for one in KEPT if one < min(below, bounds)]
        if not fewer or bounds <= fit < math.inf:
            return False
        enough = min(below, bounds) / 2 if fit == math.inf else fit
        most = next((one for one in fewer if one <= enough), fewer[-1])
        texts = frozenset(text for one in by_name.values() for text in kept(one, most))
        series = self._count(definition) if series is None else series
        self._cuts[definition] = Cut(most, bounds, texts, series, proven)
        return True

    def _count(self, definition: Definition) -> float:
        return sum(self._series.get(series_name(definition, metric), 0.0) for metric in definition.metrics)
