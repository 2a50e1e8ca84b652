"""Definitions as PromQL: the text. That a real server agrees is tested where one runs."""

from dataclasses import replace

import pytest

from collectors.signals.catalogue import Definition, Derive, Matcher, Metric
from collectors.signals.presets import read_presets
from collectors.signals.promql import any_of, duration, quoted, render

GAUGE = Definition("running", "s", "engine", "gauge", (Metric("a"),), ("m",))
DERIVED = replace(GAUGE, derive=(Derive("m", "pod", "(.+)-x", "$1"), Derive("m", "m", "y", "z")))


def test_a_gauge() -> None:
    """Sum by the kept labels."""
    assert render(GAUGE, window_s=60) == "sum by (m) (a)"


def test_a_counter_is_asked_as_a_rate_before_it_is_added_up() -> None:
    """rate first: a restarted pod must not take from the sum."""
    assert render(replace(GAUGE, kind="counter"), window_s=60) == "sum by (m) (rate(a[60s]))"


def test_filters_of_the_metric_and_of_the_source() -> None:
    """Both, with everything that could end the string escaped."""
    one = replace(GAUGE, metrics=(Metric("a", (Matcher("x", "!=", ""),)),))
    selector = [Matcher("cluster", "=", 'eu "1"\\\n')]
    assert render(one, window_s=60, selector=selector) == (
        'sum by (m) (a{x!="",cluster="eu \\"1\\"\\\\\\n"})'
    )


def test_the_first_alternative_wins_for_a_group() -> None:
    """`or on` the kept labels: never both, and a rung or factor does not make another group."""
    one = replace(GAUGE, metrics=(Metric("a"), Metric("b", factor=0.01, rung="as b")))
    assert render(one, window_s=60) == (
        'sum by (m) (a) or on (m) label_replace(sum by (m) (b) * 0.01, "tidegate_alternative", "1", "", "")'
    )


def test_a_histogram_keeps_its_buckets_together() -> None:
    """One query for all quantiles; the alternative gives way for the whole group, whatever its bounds."""
    one = replace(GAUGE, signal="queue_wait", kind="histogram", metrics=(Metric("a"), Metric("b")))
    assert render(one, window_s=20) == (
        "sum by (m, le) (rate(a_bucket[20s])) or on (m) sum by (m, le) (rate(b_bucket[20s]))"
    )


def test_a_ratio_of_rates_is_nought_only_with_traffic() -> None:
    """`0 / b`: 0 where the numerator has no series, NaN where nothing came."""
    one = replace(GAUGE, kind="ratio", of_rates=True, over=(Metric("b"),))
    assert render(one, window_s=60) == (
        "sum by (m) (rate(a[60s])) / sum by (m) (rate(b[60s])) or 0 / sum by (m) (rate(b[60s]))"
    )
    assert render(one, window_s=60, present=frozenset({"b"})) == "0 / sum by (m) (rate(b[60s]))"
    assert render(one, window_s=60, present=frozenset({"a"})) == ""


def test_a_ratio_of_gauges_needs_both() -> None:
    """No numerator, no answer: it must not read as empty memory. Parts are told apart by name."""
    one = replace(GAUGE, kind="ratio", over=(Metric("a"), Metric("b")), distinct=("id",))
    assert render(one, window_s=60) == (
        'sum by (m) (max by (id, m) (a)) / sum by (m) (max by (id, m, __name__) ({__name__=~"a|b"}))'
    )
    assert render(one, window_s=60, present=frozenset({"b"})) == ""


def test_parts_of_a_sum_are_marked_where_names_cannot_tell() -> None:
    """A rate, or a part in another unit, loses its name; without a mark `or` would merge the parts."""
    marked = (
        'label_replace({0}, "tidegate_part", "0", "", "") or label_replace({1}, "tidegate_part", "1", "", "")'
    )
    rates = replace(GAUGE, kind="ratio", of_rates=True, over=(Metric("a"), Metric("b")))
    assert marked.format("rate(a[60s])", "rate(b[60s])") in render(rates, window_s=60)
    scaled = replace(GAUGE, kind="ratio", over=(Metric("a"), Metric("b", factor=2.0)))
    assert marked.format("a", "b * 2.0") in render(scaled, window_s=60)


def test_shared_things_count_once() -> None:
    """The largest of each thing, then the count; a factor does not change a count."""
    one = replace(GAUGE, aggregate="count", distinct=("UUID",), metrics=(Metric("a", factor=2.0),))
    assert render(one, window_s=60) == "count by (m) (max by (UUID, m) (a))"


def test_derived_labels_are_made_before_aggregating() -> None:
    """In order, the later ones around the earlier."""
    assert render(DERIVED, window_s=60) == (
        'sum by (m) (label_replace(label_replace(a, "m", "$1", "pod", "(.+)-x"), "m", "z", "m", "y"))'
    )
    assert render(replace(DERIVED, keep=("n",)), window_s=60) == "sum by (n) (a)"


def test_labels_of_accelerators_are_derived_from_groups() -> None:
    """By what they are made of, which are few: sums of sums and counts; a mean is not the mean of means."""
    one = replace(DERIVED, role="accelerator")
    made = 'label_replace(label_replace({} by (m, pod) (a), "m", "$1", "pod", "(.+)-x"), "m", "z", "m", "y")'
    sums, counts = (f"sum by (m) ({made.format(kind)})" for kind in ("sum", "count"))
    assert render(one, window_s=60) == sums
    assert render(replace(one, aggregate="count"), window_s=60) == counts
    assert render(replace(one, aggregate="avg"), window_s=60) == f"{sums} / {counts}"


def test_faults_of_nought_are_not_asked_for() -> None:
    """A healthy fleet answers with nothing."""
    one = replace(GAUGE, signal="faults", aggregate="max")
    assert render(one, window_s=60) == "(max by (m) (a > 0)) > 0"
    two = replace(one, metrics=(Metric("a"), Metric("b")))
    assert render(two, window_s=60) == "(max by (m) (a > 0) or on (m) max by (m) (b > 0)) > 0"


def test_every_later_alternative_is_marked_where_one_needs_it() -> None:
    """Unmarked means the first: with its rung or bounds a later one would be told as another."""
    mark = 'label_replace(sum by (m) (b), "tidegate_alternative", "1", "", "")'
    one = replace(GAUGE, metrics=(Metric("a", rung="as a"), Metric("b")))
    assert render(one, window_s=60) == f"sum by (m) (a) or on (m) {mark}"
    scaled = replace(
        GAUGE, signal="queue_wait", kind="histogram", metrics=(Metric("a", factor=0.001), Metric("b"))
    )
    assert '"tidegate_alternative", "1"' in render(scaled, window_s=60)


def test_the_largest_of_shared_things_is_the_largest() -> None:
    """Counting once does not change a maximum, so it is not asked for."""
    one = replace(GAUGE, aggregate="max", distinct=("UUID",))
    assert render(one, window_s=60) == "max by (m) (a)"


def test_absent_alternatives_are_left_out() -> None:
    """Old and new names cost nothing where they are not there; nothing there, nothing asked."""
    one = replace(GAUGE, metrics=(Metric("a"), Metric("b"), Metric("c")))
    assert render(one, window_s=60, present=frozenset({"b", "x"})) == "sum by (m) (b)"
    assert render(one, window_s=60, present=frozenset()) == ""
    histogram = replace(one, signal="queue_wait", kind="histogram")
    assert render(histogram, window_s=60, present=frozenset({"x"})) == ""
    assert render(histogram, window_s=60, present=frozenset({"b_bucket"})) != ""


HISTOGRAM = replace(GAUGE, signal="queue_wait", kind="histogram")


def test_a_native_histogram_is_asked_by_its_plain_name() -> None:
    """No `_bucket`, no `le`; what labels are derived from stays, for the reader: the server cannot derive."""
    assert render(HISTOGRAM, window_s=60, present=frozenset({"a"})) == "sum by (m) (rate(a[60s]))"
    one = replace(DERIVED, signal="queue_wait", kind="histogram")
    assert render(one, window_s=60, present=frozenset({"a"})) == "sum by (m, pod) (rate(a[60s]))"


def test_classic_and_native_together_are_both_asked() -> None:
    """During a migration: whoever reads takes the classic one of a group, so nothing is left out here."""
    both = frozenset({"a_bucket", "a"})
    assert render(HISTOGRAM, window_s=60, present=both) == (
        "sum by (m, le) (rate(a_bucket[60s])) or sum by (m) (rate(a[60s]))"
    )


def test_a_later_native_alternative_is_marked() -> None:
    """Its bounds are scaled by the reader, who must know which it was."""
    two = replace(HISTOGRAM, metrics=(Metric("a"), Metric("b", factor=0.001)))
    assert render(two, window_s=60, present=frozenset({"b"})) == (
        'label_replace(sum by (m) (rate(b[60s])), "tidegate_alternative", "1", "", "")'
    )


REPLICAS = ("prometheus_replica", "replica")


def test_equal_prometheus_count_once() -> None:
    """The larger of what both say, before anything is added up; of rates after the rate."""
    once = "max without (prometheus_replica, replica) ({})"
    assert render(GAUGE, window_s=60, replicas=REPLICAS) == f"sum by (m) ({once.format('a')})"
    counter = replace(GAUGE, kind="counter")
    assert render(counter, window_s=60, replicas=REPLICAS) == f"sum by (m) ({once.format('rate(a[60s])')})"
    assert render(HISTOGRAM, window_s=60, replicas=REPLICAS) == (
        f"sum by (m, le) ({once.format('rate(a_bucket[60s])')})"
    )


def test_what_counts_once_anyway_is_not_asked_to() -> None:
    """A maximum, and what `distinct` counts once by itself."""
    largest = replace(GAUGE, aggregate="max")
    distinct = replace(GAUGE, aggregate="count", distinct=("UUID",))
    for one in (largest, distinct):
        assert render(one, window_s=60, replicas=REPLICAS) == render(one, window_s=60)


def test_parts_of_a_ratio_of_equal_prometheus_stay_apart() -> None:
    """`max without` does not look at names: each part is counted once for itself, then marked."""
    one = replace(GAUGE, kind="ratio", over=(Metric("a"), Metric("b")))
    found = render(one, window_s=60, replicas=("r",))
    assert "__name__" not in found
    assert 'label_replace(max without (r) (b), "tidegate_part", "1", "", "")' in found


def test_native_histograms_of_equal_prometheus_are_told_apart() -> None:
    """Prometheus 2.42 has no maximum of histograms: the reader takes one of them."""
    assert render(HISTOGRAM, window_s=60, present=frozenset({"a"}), replicas=("r",)) == (
        "sum by (m, r) (rate(a[60s]))"
    )


def test_an_operators_own_query_is_asked_as_it_is() -> None:
    """Whatever else is given."""
    own = replace(GAUGE, role="override", metrics=(), keep=(), promql="my_waits > 3")
    selector = [Matcher("cluster", "=", "eu")]
    assert (
        render(own, window_s=60, selector=selector, present=frozenset(), replicas=REPLICAS) == "my_waits > 3"
    )


def test_rendering_is_pure() -> None:
    """The same definition gives the same text, whatever was rendered between."""
    for preset in read_presets():
        for definition in preset.definitions:
            first = render(definition, window_s=60)
            render(replace(definition, keep=()), window_s=20)
            assert render(definition, window_s=60) == first


@pytest.mark.parametrize(("seconds", "text"), [(60.0, "60s"), (20.5, "20500ms"), (0.25, "250ms")])
def test_durations(seconds: float, text: str) -> None:
    """Whole seconds as seconds, others as milliseconds: 20.5s is no PromQL."""
    assert duration(seconds) == text


def test_texts_in_expressions() -> None:
    """Strings are escaped, and a list of names matches exactly these."""
    assert quoted('a"b\\c\nd') == '"a\\"b\\\\c\\nd"'
    assert any_of(["a.b", "c|d"]) == r"a\.b|c\|d"
