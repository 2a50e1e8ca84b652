"""Definitions evaluated on pages: one rule of the catalogue a test."""

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from collectors.scrape.evaluate import evaluate
from collectors.scrape.history import TargetHistory
from collectors.scrape.page import PageReader
from collectors.signals.catalogue import Buckets, Definition, Derive, Matcher, Metric, Row

T0 = 1_700_000_000
GAUGE = Definition("running", "stack", "engine", "gauge", (Metric("m"),), ("model",))
COUNTER = replace(GAUGE, signal="served", kind="counter")
NAMES = frozenset({"m", "n", "o", "h_bucket", "k_bucket"})


def target(*texts: str | None, labels: Mapping[str, str] | None = None, every_s: int = 5) -> TargetHistory:
    """A target that was scraped once a text, from T0 on; None is a scrape that failed."""
    history = TargetHistory({"instance": "i:1"} if labels is None else labels)
    reader = PageReader(NAMES)
    for number, text in enumerate(texts):
        if text is None:
            history.fail()
        else:
            history.record(reader.read(text.encode()), (T0 + number * every_s) * 1000, 600_000)
    return history


def values(
    definition: Definition, *targets: TargetHistory, at: float = T0, window_s: float = 20.0
) -> dict[tuple[str, ...], object]:
    """Value by kept labels."""
    rows = evaluate(definition, targets, at, window_s)
    return {tuple(row.labels.get(name, "") for name in definition.keep): row.value for row in rows}


def test_sum_over_what_shares_the_kept_labels() -> None:
    """Series of several targets add up; a label that nobody has is left out of the row."""
    a = target('m{model="x",engine="0"} 1\nm{model="x",engine="1"} 2\nm{model="y"} 5\nm 7\n')
    b = target('m{model="x"} 10\n')
    assert values(GAUGE, a, b) == {("x",): 13.0, ("y",): 5.0, ("",): 7.0}
    assert evaluate(GAUGE, [a, b], T0, 20)[0] == Row({}, 7.0)


@pytest.mark.parametrize(
    ("aggregate", "value"), [("sum", 60.0), ("avg", 20.0), ("max", 30.0), ("count", 3.0)]
)
def test_aggregates(aggregate: str, value: float) -> None:
    """The four ways to make one of many; a factor scales values, not a count of them."""
    page = target('m{i="1"} 10\nm{i="2"} 20\nm{i="3"} 30\n')
    one = replace(GAUGE, aggregate=aggregate)
    assert values(one, page) == {("",): value}
    scaled = value if aggregate == "count" else value / 2
    assert values(replace(one, metrics=(Metric("m", factor=0.5),)), page) == {("",): scaled}


def test_nan_in_aggregates() -> None:
    """As in PromQL: a sum with NaN is NaN, max passes it over, a count counts it."""
    page = target('m{i="1"} NaN\nm{i="2"} 20\n')
    assert math.isnan(values(GAUGE, page)[("",)])  # type: ignore[arg-type]  # a float, as the definition is a gauge
    assert values(replace(GAUGE, aggregate="max"), page) == {("",): 20.0}
    assert values(replace(GAUGE, aggregate="count"), page) == {("",): 2.0}
    only = values(replace(GAUGE, aggregate="max"), target("m NaN\n"))
    assert math.isnan(only[("",)])  # type: ignore[arg-type]  # a float, as the definition is a gauge


@pytest.mark.parametrize(
    ("op", "value", "passed"),
    [
        ("=", "b", "b"),
        ("!=", "b", "a-c"),
        ("=~", "b|c", "bc"),
        ("=~", ".", "bc"),
        ("!~", "b|c", "a-"),
        ("=", "", "-"),
        ("!=", "", "abc"),
        ("=~", "", "-"),
        ("=~", "b?", "b-"),
        ("!~", ".+", "-"),
    ],
)
def test_matchers(op: str, value: str, passed: str) -> None:
    """All four operators; a regex matches the whole value; a missing label is the empty text."""
    page = target('m{x="a!"} 1\nm{x="b"} 1\nm{x="c"} 1\nm 1\n')
    one = replace(GAUGE, keep=("x",), metrics=(Metric("m", (Matcher("x", op, value),)),))  # type: ignore[arg-type]  # the four operators
    assert {key[0] or "-" for key in values(one, page)} == {"a!" if p == "a" else p for p in passed}


@pytest.mark.parametrize(
    ("regex", "replacement", "made"),
    [
        ("(.+)-[a-z0-9]{5}", "$1", "llama-7d9f"),
        ("(.+?)-.*", "${1}x", "llamax"),
        ("(?P<first>[a-z]+)-.*", "$first/$$/$2/$nope", "llama/$//"),
        ("(.+)-[a-z0-9]{5}", "$1x", ""),
        ("llama", "never", "kept"),
        (".*", "", ""),
    ],
)
def test_derive(regex: str, replacement: str, made: str) -> None:
    """As label_replace: anchored, groups by number and name, untouched without a match, empty removes."""
    page = target('m{pod="llama-7d9f-abcde",workload="kept"} 1\n')
    one = replace(GAUGE, keep=("workload",), derive=(Derive("workload", "pod", regex, replacement),))
    assert values(one, page) == {(made,): 1.0}


def test_derived_labels_build_on_each_other() -> None:
    """A later one may read what an earlier one made; a missing source is the empty text."""
    page = target("m 1\n")
    one = replace(
        GAUGE, keep=("b",), derive=(Derive("a", "pod", "", "made"), Derive("b", "a", "(.)ade", "$1"))
    )
    assert values(one, page) == {("m",): 1.0}


def test_distinct_counts_a_shared_thing_once() -> None:
    """What `distinct` calls one thing is one, at its largest, before anything is counted or added up."""
    text = 'm{UUID="1",pod="a"} 1\nm{UUID="1",pod="b"} 3\nm{UUID="2",pod="a"} 5\n'
    one = replace(GAUGE, keep=(), distinct=("UUID",))
    assert values(one, target(text)) == {(): 8.0}
    assert values(replace(one, aggregate="count"), target(text), target(text)) == {(): 2.0}
    assert values(replace(one, keep=("pod",)), target(text)) == {("a",): 6.0, ("b",): 3.0}
    for first, second in (("NaN", "4"), ("4", "NaN")):
        assert values(one, target(f'm{{UUID="1",pod="a"}} {first}\nm{{UUID="1"}} {second}\n')) == {(): 4.0}


def test_first_alternative_that_answers_for_a_group() -> None:
    """A later metric fills only groups that the earlier ones lack, never adds to them, and says its rung."""
    page = target('m{model="x"} 1\nn{model="x"} 90\nn{model="y"} 50\no{model="y"} 7\no{model="z"} 7\n')
    one = replace(GAUGE, metrics=(Metric("m"), Metric("n", factor=0.01, rung="as n"), Metric("o")))
    assert evaluate(one, [page], T0, 20) == (
        Row({"model": "x"}, 1.0),
        Row({"model": "y"}, 0.5, "as n"),
        Row({"model": "z"}, 7.0),
    )


def test_nan_of_an_earlier_alternative_is_an_answer() -> None:
    """A group that the first metric has, with whatever value, is never taken from the second."""
    one = replace(GAUGE, metrics=(Metric("m"), Metric("n")))
    (row,) = evaluate(one, [target("m NaN\nn 5\n")], T0, 20)
    assert isinstance(row.value, float)
    assert math.isnan(row.value)


def test_gauge_is_of_the_newest_scrape_only() -> None:
    """A series missing from the newest page is gone at once, and so is all of a target that is down."""
    assert values(GAUGE, target('m{model="x"} 1\n', 'm{model="y"} 2\n'), at=T0 + 5) == {("y",): 2.0}
    assert values(GAUGE, target("m 1\n", None), at=T0 + 5) == {}


def test_gauge_that_is_too_old_is_no_answer() -> None:
    """Past the look-back of five minutes nothing is shown, even of a target that was up when last asked."""
    assert values(GAUGE, target("m 1\n"), at=T0 + 299) == {("",): 1.0}
    assert values(GAUGE, target("m 1\n"), at=T0 + 300) == {}


def test_counter_is_a_sum_of_rates() -> None:
    """Rate first, then sum: a restarted engine does not take from the others."""
    a = target(*(f"m {v}\n" for v in (100, 150, 200, 250, 300)))
    b = target(*(f"m {v}\n" for v in (1000, 1050, 10, 60, 110)))
    assert values(COUNTER, a, b, at=T0 + 20) == {("",): pytest.approx(10 + (110 - 1000 + 1050) / 20)}


def test_rate_outlives_the_scrape_that_failed() -> None:
    """One lost scrape does not end a rate; a single sample makes none."""
    assert values(COUNTER, target("m 0\n", "m 50\n", None), at=T0 + 10, window_s=10) == {
        ("",): pytest.approx(50 * (5 + 5) / 5 / 10)
    }
    assert values(COUNTER, target("m 1\n"), at=T0) == {}


def test_histogram_merges_buckets() -> None:
    """Rates of buckets add up by bound over targets, never decrease, and bounds take the unit's factor."""
    text = 'h_bucket{{le="100"}} {0}\nh_bucket{{le="200.0"}} {1}\nh_bucket{{le="+Inf"}} {2}\n'
    a = target(text.format(0, 0, 0), text.format(10, 5, 20))
    b = target(text.format(0, 0, 0).replace("200.0", "200"), text.format(5, 10, 15).replace("200.0", "200"))
    one = replace(GAUGE, signal="queue_wait", kind="histogram", metrics=(Metric("h", factor=0.001),))
    (row,) = evaluate(one, [a, b], T0 + 5, 5)
    assert row.value == Buckets((0.1, 0.2, math.inf), (3.0, 3.0, 7.0))


def test_histogram_alternatives_never_mix_bounds() -> None:
    """A group's buckets come from one metric alone."""
    text = (
        'h_bucket{{le="1"}} {0}\nh_bucket{{le="+Inf"}} {0}\n'
        'k_bucket{{le="2"}} {0}\nk_bucket{{le="+Inf"}} {0}\n'
    )
    page = target(text.format(0), text.format(10))
    one = replace(GAUGE, signal="queue_wait", kind="histogram", metrics=(Metric("h"), Metric("k")))
    (row,) = evaluate(one, [page], T0 + 5, 5)
    assert row.value == Buckets((1.0, math.inf), (2.0, 2.0))


def test_ratio_of_gauges() -> None:
    """Sums over sums, parts that exist; a group without a numerator is no answer and not empty."""
    page = target(
        'm{model="x",i="1"} 30\nm{model="x",i="2"} 10\n'
        'n{model="x",i="1"} 40\no{model="x"} 20\nn{model="y"} 5\n'
    )
    one = replace(GAUGE, kind="ratio", metrics=(Metric("m"),), over=(Metric("m"), Metric("n"), Metric("o")))
    assert values(one, page) == {("x",): 0.4}


def test_ratio_of_rates() -> None:
    """No numerator is 0 where there is traffic; no traffic is NaN, never 0; no denominator is no answer."""
    text = (
        'm{{model="x"}} {0}\nn{{model="x"}} {1}\nn{{model="y"}} {1}\nn{{model="z"}} 4\nm{{model="w"}} {0}\n'
    )
    page = target(text.format(0, 0), text.format(5, 50))
    one = replace(GAUGE, kind="ratio", of_rates=True, over=(Metric("n"),))
    found = values(one, page, at=T0 + 5, window_s=5)
    assert math.isnan(found.pop(("z",)))  # type: ignore[arg-type]  # a float, as the definition is a ratio
    assert found == {("x",): pytest.approx(0.1), ("y",): 0.0}


@pytest.mark.parametrize(
    ("above", "below", "value"),
    [("1", "0", math.inf), ("-1", "0", -math.inf), ("0", "0", math.nan), ("NaN", "0", math.nan)],
)
def test_division_by_nothing(above: str, below: str, value: float) -> None:
    """As IEEE 754 and Prometheus divide."""
    one = replace(GAUGE, kind="ratio", over=(Metric("n"),))
    assert values(one, target(f"m {above}\nn {below}\n")) == {("",): pytest.approx(value, nan_ok=True)}


def test_faults_of_value_0_are_left_out() -> None:
    """A healthy fleet answers with nothing."""
    one = replace(GAUGE, signal="faults", aggregate="max", keep=("gpu",))
    assert values(one, target('m{gpu="0"} 0\nm{gpu="1"} 79\nm{gpu="2"} NaN\n')) == {("1",): 79.0}


def test_target_labels_are_part_of_a_series() -> None:
    """Definitions can keep and filter by them; the page's own label of that name is `exported_`."""
    page = target('m{pod="user-1"} 1\n', labels={"job": "dcgm", "pod": "exporter-7"})
    one = replace(GAUGE, keep=("pod", "exported_pod", "job"))
    assert values(one, page) == {("exporter-7", "user-1", "dcgm"): 1.0}


def test_text_from_pages_is_cleaned() -> None:
    """Control characters and endless texts stop here."""
    (row,) = evaluate(GAUGE, [target('m{model="a\x1b[2J' + "x" * 10_000 + '"} 1\n')], T0, 20)
    assert len(row.labels["model"]) == 128
    assert row.labels["model"].startswith("a[2Jxxx")


def test_new_and_vanished_series_are_seen_at_once() -> None:
    """What is kept between evaluations never hides a series that came or shows one that went."""
    history = TargetHistory({})
    reader = PageReader(NAMES)
    for number, (text, models) in enumerate(
        [
            ('m{model="x"} 1\n', {"x"}),
            ('m{model="x"} 1\nm{model="y"} 1\n', {"x", "y"}),
            ('m{model="y"} 1\n', {"y"}),
        ]
        * 8
    ):
        history.record(reader.read(text.encode()), (T0 + number) * 1000, 3000)
        assert {row.labels["model"] for row in evaluate(GAUGE, [history], T0 + number, 20)} == models


def test_wrong_regular_expression_is_a_sentence() -> None:
    """It names the expression; only the definition that holds it fails."""
    one = replace(GAUGE, metrics=(Metric("m", (Matcher("x", "=~", "("),)),))
    with pytest.raises(ValueError, match=r"'\(' is no regular expression: "):
        evaluate(one, [target("m 1\n")], T0, 20)
