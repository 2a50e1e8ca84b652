"""Which buckets are asked for where all would be too much: the choice, and when it is made."""

import math
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.prometheus import thinned
from collectors.prometheus.thinned import Scope, Thinned, evenly, honest, kept
from collectors.prometheus.wire import Refused, Sample, Vector
from collectors.signals.catalogue import Buckets, Definition, Matcher, Metric, Row
from collectors.signals.quantiles import buckets, interval, observations

WAIT = Definition(
    "queue_wait", "s", "engine", "histogram", (Metric("wait"), Metric("older")), ("model",), quantiles=(0.99,)
)
SCOPE = Scope((Matcher("cluster", "=", "eu"),), frozenset({"wait_bucket"}), (), 7.0)
BOUNDS = [f"{2**n / 100:g}" for n in range(35)]
ALL = dict.fromkeys([*BOUNDS, "+Inf"], 100.0)


class Server:
    """Answers the two questions: so many groups, these bounds. refused: what it answers instead."""

    def __init__(
        self, groups: float, bounds: Mapping[str, float] = ALL, refused: Refused | None = None
    ) -> None:
        self.groups, self.bounds, self.refused = groups, bounds, refused
        self.asked: list[str] = []

    async def ask(self, query: str, at: float) -> Vector:
        assert at == SCOPE.at
        self.asked.append(query)
        if self.refused is not None:
            raise self.refused
        if query.startswith("count by (__name__, le)"):
            metrics = [({"__name__": "wait_bucket", "le": text}, n) for text, n in self.bounds.items()]
            return Vector([Sample(metric, (1.0, str(n))) for metric, n in metrics])
        return Vector([Sample({}, (1.0, str(self.groups)))])


def asked_for(one: Thinned, present: frozenset[str] = SCOPE.present) -> set[str]:
    """The texts of `le` that the filter lets pass; none without a filter."""
    matchers = one.filters(WAIT, present)
    return {text.replace("\\", "") for matcher in matchers for text in matcher.value.split("|")}


@pytest.mark.parametrize(
    ("many", "most", "chosen"),
    [
        ([1, 2, 3], 5, [1, 2, 3]),
        ([], 3, []),
        (list(range(11)), 3, [0, 5, 10]),
        (list(range(35)), 6, [0, 7, 14, 20, 27, 34]),
        (list(range(13)), 12, [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12]),
        ([1, 2, 3], 1, [1]),
    ],
)
def test_bounds_are_spread_by_their_place(many: Sequence[float], most: int, chosen: list[float]) -> None:
    """The first and the last stay, the others lie evenly between."""
    assert evenly(many, most) == chosen


def test_both_spellings_of_a_bound_are_asked_for() -> None:
    """Exporters write 5 or 5.0: a bound that is kept is kept from both, and the infinite one always."""
    counts = {
        "1": 1.0,
        "1.0": 1.0,
        "2": 2.0,
        "3.0": 2.0,
        "3": 2.0,
        "+Inf": 2.0,
        "Inf": 1.0,
        "none": 9.0,
        "NaN": 9.0,
    }
    assert kept(counts, 2) == {"1", "1.0", "3", "3.0", "+Inf", "Inf"}


def test_histograms_with_other_bounds_keep_some_too() -> None:
    """Bounds that all have come first; where they share none, either keeps its part."""
    old = {f"{n}.5": 50.0 for n in range(12)}
    new = {f"{n}": 50.0 for n in range(1, 25)}
    shared = {"100": 100.0, "200": 100.0}
    chosen = kept({**old, **new, **shared, "+Inf": 100.0}, 6)
    assert chosen >= {"100", "200", "+Inf"}
    assert len(chosen) == 7
    assert chosen & old.keys()
    assert chosen & new.keys()


@given(
    st.lists(st.floats(0, 1e6, width=32), min_size=2, max_size=40, unique=True),
    st.lists(st.floats(0, 1e4), min_size=41, max_size=41),
    st.sampled_from([*thinned.KEPT, 2, 3]),
    st.floats(0, 1),
)
def test_a_thinned_interval_holds_the_whole_one(
    bounds: list[float], rates: list[float], most: int, q: float
) -> None:
    """The same observations; the quantile's interval may be wider, and never misses what all buckets say."""
    texts = [*map(repr, sorted(bounds)), "+Inf"]
    total, rows = 0.0, []
    for text, rate in zip(texts, rates, strict=False):
        total += rate
        rows.append((text, total))
    whole = buckets(rows)
    chosen = kept(dict.fromkeys(texts, 3.0), most)
    thin = buckets([row for row in rows if row[0] in chosen])
    assert len(thin.bounds) == min(most, len(bounds)) + 1
    assert observations(thin) == observations(whole)
    exact, wider = interval(whole, q), interval(thin, q)
    assert (exact is None) == (wider is None)
    if exact is not None and wider is not None:
        assert wider.lo <= exact.lo
        # Past the last bound that is kept, which is the last of all.
        assert wider.hi >= exact.hi


def test_what_fell_nowhere_is_not_idle() -> None:
    """A group with none of the bounds that were asked for is unknown; one without observations is idle."""
    unknown, idle, known = (
        Buckets((math.inf,), (3.0,)),
        Buckets((math.inf,), (0.0,)),
        Buckets((1.0, math.inf), (1.0, 3.0)),
    )
    found = honest([Row({}, one) for one in (unknown, idle, known)] + [Row({}, 4.0)])
    assert [row.value for row in found] == [Buckets((), ()), idle, known, 4.0]


async def test_what_would_be_too_much_is_thinned_before_it_is_asked() -> None:
    """From the number of histograms, then of groups: nothing is asked that need not be."""
    one, server = Thinned(), Server(2_000)
    one.detected({"wait_bucket": 1_000.0})
    await one.foresee(server.ask, [WAIT], SCOPE)
    assert not server.asked
    assert one.filters(WAIT, SCOPE.present) == ()

    one.detected({"wait_bucket": 6_000.0})
    await one.foresee(server.ask, [WAIT], SCOPE)
    count, bounds = server.asked
    assert count == 'count(count by (model) (wait_bucket{le="+Inf",cluster="eu"}))'
    assert bounds == 'count by (__name__, le) ({__name__=~"wait_bucket",cluster="eu"})'
    assert asked_for(one) == {*evenly_texts(24), "+Inf"}
    await one.foresee(server.ask, [WAIT], SCOPE)
    assert len(server.asked) == 2

    for server.groups, most in ((4_000, 12), (6_000, 9), (20_000, 6)):
        one.detected({"wait_bucket": 20_000.0})
        await one.foresee(server.ask, [WAIT], SCOPE)
        assert asked_for(one) == {*evenly_texts(most), "+Inf"}


def evenly_texts(most: int) -> list[str]:
    return [BOUNDS[int(place)] for place in evenly(range(len(BOUNDS)), most)]


@pytest.mark.parametrize(
    ("groups", "bounds"), [(1_500.0, ALL), (4_000.0, {"1": 1.0, "2": 1.0, "5": 1.0, "+Inf": 1.0}), (0.0, ALL)]
)
async def test_what_is_not_too_much_is_asked_whole(groups: float, bounds: dict[str, float]) -> None:
    """Few groups of many histograms, or few bounds: all of them are asked for, again as well."""
    one = Thinned()
    one.detected({"wait_bucket": 6_000.0})
    await one.foresee(Server(6_000).ask, [WAIT], SCOPE)
    assert asked_for(one)
    one.detected({"wait_bucket": 6_000.0})
    await one.foresee(Server(groups, bounds).ask, [WAIT], SCOPE)
    assert not asked_for(one)
    assert one.warnings == ()


async def test_what_was_too_much_is_thinned_step_by_step() -> None:
    """By half, and then no fewer; the next detection keeps that while there is as much."""
    one, server = Thinned(), Server(100)
    one.detected({"wait_bucket": 1_000.0})
    for most in (12, 6):
        assert await one.thin(server.ask, WAIT, SCOPE)
        assert asked_for(one) == {*evenly_texts(most), "+Inf"}
    assert not await one.thin(server.ask, WAIT, SCOPE)

    for series, still in ((950.0, True), (600.0, False)):
        one.detected({"wait_bucket": series})
        await one.foresee(server.ask, [WAIT], SCOPE)
        assert asked_for(one) == ({*evenly_texts(6), "+Inf"} if still else set())


async def test_only_histograms_with_more_bounds_are_thinned() -> None:
    """A counter, few bounds, a name that is not there, a question that is refused: no."""
    one, server = Thinned(), Server(1)
    counter = Definition("served", "s", "engine", "counter", (Metric("served"),), ())
    assert not await one.thin(server.ask, counter, SCOPE)
    assert not await one.thin(Server(1, {"1": 1.0, "+Inf": 1.0}).ask, WAIT, SCOPE)
    assert not await one.thin(server.ask, WAIT, Scope((), frozenset(), (), 7.0))
    assert not await one.thin(Server(1, refused=Refused("no", "")).ask, WAIT, SCOPE)
    assert one.warnings == ()


async def test_a_refused_question_changes_nothing() -> None:
    """What was thinned stays so; only where nobody answers is that told."""
    one = Thinned()
    await one.thin(Server(1).ask, WAIT, SCOPE)
    before = asked_for(one)
    one.detected({"wait_bucket": 9_000.0})
    await one.foresee(Server(1, refused=Refused("no", "")).ask, [WAIT], SCOPE)
    assert asked_for(one) == before
    one.detected({"wait_bucket": 9_000.0})
    with pytest.raises(Refused):
        await one.foresee(Server(1, refused=Refused("gone", "", unreachable=True)).ask, [WAIT], SCOPE)


async def test_native_histograms_pass() -> None:
    """They have no `le`: where there are some, what has none is asked for too."""
    one = Thinned()
    await one.thin(Server(1).ask, WAIT, SCOPE)
    assert "" not in asked_for(one)
    assert "" in asked_for(one, frozenset({"wait", "wait_bucket"}))


async def test_the_sentence_says_how_many_are_left() -> None:
    """One for what is thinned alike: what, how far, what stays true, what to do."""
    one = Thinned()
    await one.thin(Server(1).ask, WAIT, SCOPE)
    (said,) = one.warnings
    assert said.startswith("queue_wait: asked with 13 of 36 buckets")
    assert "`select`" in said
    assert len(said) <= 240
