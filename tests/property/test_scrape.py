"""Scraped pages: our reader against prometheus_client's, our rates and sums against plain arithmetic."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from collectors.scrape.evaluate import evaluate
from collectors.scrape.history import TargetHistory
from collectors.scrape.page import PageError, PageReader, read_page
from collectors.signals.catalogue import Buckets, Definition, Metric

NAMES = ("m", "a:b_total", "_x", "h_bucket")
label_names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,6}", fullmatch=True).filter(
    lambda name: not name.startswith("__")
)
label_values = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.one_of(
    st.floats(width=64).map(repr),
    st.integers(-(10**6), 10**12).map(str),
    st.sampled_from(["NaN", "+Inf", "-Inf", "1e3", "0.5E-7"]),
)
blanks = st.sampled_from([" ", "  ", "\t", " \t "])


def escaped(text: str) -> str:
    """A label value as the text format writes it."""
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


@st.composite
def lines(draw: st.DrawFn) -> str:
    """A sample line of any allowed form."""
    labels = draw(st.dictionaries(label_names, label_values, max_size=4))
    loose = draw(st.booleans())
    between = draw(blanks) if loose and draw(st.booleans()) else ""
    inside = ",".join(f'{between}{name}{between}="{escaped(value)}"' for name, value in labels.items())
    braces = (
        f"{{{inside}{',' if inside and draw(st.booleans()) else ''}}}"
        if labels or draw(st.booleans())
        else ""
    )
    gap = draw(blanks) if loose else " "
    stamp = f"{gap}{draw(st.integers(0, 2**42))}" if draw(st.integers(0, 4)) == 0 else ""
    return f"{draw(st.sampled_from(NAMES))}{braces}{gap}{draw(numbers)}{stamp}"


def told(value: float) -> float | str:
    """A value that equals itself."""
    return "NaN" if math.isnan(value) else value


def by_library(line: str) -> tuple[str, dict[str, str], float | str, float | None]:
    (family,) = text_string_to_metric_families(line)
    (sample,) = family.samples
    labels = {name: value for name, value in sample.labels.items() if value}
    return sample.name, labels, told(float(sample.value)), sample.timestamp


@given(st.lists(lines(), max_size=12))
def test_reader_agrees_with_the_library(page: list[str]) -> None:
    """Line by line the same names, labels, values and times; at first sight and when all series are known."""
    expected = [by_library(line) for line in page]
    body = ("# TYPE m counter\n" + "\n".join(page) + "\n").encode()
    reader = PageReader(NAMES)
    for _ in range(2):
        found = [(one.name, one.labels, told(value), at) for one, value, at in reader.read(body)]
        assert found == expected


@given(st.lists(lines(), min_size=2, max_size=2, unique=True))
def test_identity_tells_series_apart(page: list[str]) -> None:
    """Two lines have one identity exactly if they have one name and one set of labels."""
    (a, *_), (b, *_) = PageReader(NAMES).read("\n".join(page).encode())
    assert (a.identity == b.identity) == ((a.name, a.labels) == (b.name, b.labels))


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    """No page raises anything but its own error."""
    try:
        read_page(text.encode("utf-8", "replace"), NAMES)
    except PageError as error:
        assert str(error).isprintable()


@dataclass(frozen=True)
class Scrape:
    """at: seconds; page: value by (model, engine), or None for a scrape that failed."""

    at: float
    page: dict[tuple[str, str], float] | None


@st.composite
def scrapes(draw: st.DrawFn) -> list[Scrape]:
    """Counters that grow, restart, pause, come and go; scrapes that are late, or fail."""
    series = draw(
        st.lists(
            st.tuples(st.sampled_from("xyz"), st.sampled_from("01")), min_size=1, max_size=4, unique=True
        )
    )
    totals = {one: float(draw(st.integers(0, 1000))) for one in series}
    found, at = [], 1_700_000_000.0
    for _ in range(draw(st.integers(1, 12))):
        at += draw(st.integers(1, 9000)) / 1000
        page: dict[tuple[str, str], float] = {}
        for one in series:
            event = draw(st.integers(0, 9))
            totals[one] = 0.0 if event == 0 else totals[one] + draw(st.integers(0, 500))
            if event != 1:
                page[one] = math.nan if event == 2 else totals[one]
        found.append(Scrape(at, None if draw(st.integers(0, 9)) == 0 else page))
    return found


def plain_rate(samples: Sequence[tuple[float, float]], start: float, end: float) -> float | None:
    """rate() from its description, slowly. Times in whole milliseconds."""
    inside = [(t, v) for t, v in samples if start <= t <= end]
    if len(inside) < 2:
        return None
    (t0, v0), (t1, v1) = inside[0], inside[-1]
    increase = v1 - v0
    for (_, before), (_, after) in itertools.pairwise(inside):
        if after < before:
            increase += before
    covered = (t1 - t0) / 1000
    gap = covered / (len(inside) - 1)
    to_start, to_end = (t0 - start) / 1000, (end - t1) / 1000
    if increase > 0 and v0 >= 0:
        to_start = min(to_start, covered * v0 / increase)
    for missing in (to_start, to_end):
        covered += missing if missing < 1.1 * gap else gap / 2
    return increase * covered / ((t1 - t0) / 1000) / ((end - start) / 1000)


def recorded(found: Sequence[Scrape], name: str) -> TargetHistory:
    history = TargetHistory({"instance": "i"})
    reader = PageReader({name})
    for scrape in found:
        if scrape.page is None:
            history.fail()
            continue
        text = "".join(f'{name}{{model="{m}",engine="{e}"}} {v!r}\n' for (m, e), v in scrape.page.items())
        history.record(reader.read(text.encode()), round(scrape.at * 1000), 600_000)
    return history


@settings(max_examples=300)
@given(scrapes(), st.integers(1, 60_000), st.integers(0, 20_000))
def test_rates_are_those_of_plain_arithmetic(found: list[Scrape], window_ms: int, later_ms: int) -> None:
    """Whatever resets, gaps, NaN and churn there are, a counter's rows are the sums of plain rates."""
    definition = Definition("served", "s", "engine", "counter", (Metric("m"),), ("model",))
    end = round(found[-1].at * 1000) + later_ms
    expected: dict[str, list[float]] = {}
    for one in {key for scrape in found if scrape.page for key in scrape.page}:
        samples = [(round(s.at * 1000), s.page[one]) for s in found if s.page and one in s.page]
        if (rate := plain_rate(samples, end - window_ms, end)) is not None:
            expected.setdefault(one[0], []).append(rate)
    rows = evaluate(definition, [recorded(found, "m")], end / 1000, window_ms / 1000)
    assert {row.labels["model"]: row.value for row in rows} == {
        model: pytest.approx(sum(rates), rel=1e-9, abs=1e-9, nan_ok=True) for model, rates in expected.items()
    }


@given(scrapes())
def test_gauges_are_those_of_the_newest_scrape(found: list[Scrape]) -> None:
    """Only the newest scrape speaks, and if it failed nobody does."""
    definition = Definition("running", "s", "engine", "gauge", (Metric("m"),), ("model", "engine"))
    rows = evaluate(definition, [recorded(found, "m")], found[-1].at, 20)
    newest = found[-1].page or {}
    assert {
        (r.labels["model"], r.labels["engine"]): told(r.value) for r in rows if isinstance(r.value, float)
    } == {key: told(value) for key, value in newest.items()}


@given(st.lists(st.lists(st.integers(0, 50), min_size=3, max_size=3), min_size=2, max_size=8))
def test_buckets_never_decrease(increments: list[list[int]]) -> None:
    """Whatever the page does, bounds ascend, rates do not decrease, and the last bound is infinite."""
    history = TargetHistory({})
    reader = PageReader({"h_bucket"})
    totals = [0, 0, 0]
    for number, steps in enumerate(increments):
        totals = [total + step for total, step in zip(totals, steps, strict=True)]
        text = "".join(
            f'h_bucket{{le="{le}"}} {total}\n' for le, total in zip(("1", "2.5", "+Inf"), totals, strict=True)
        )
        history.record(reader.read(text.encode()), 1000 * (number + 1), 600_000)
    definition = Definition("queue_wait", "s", "engine", "histogram", (Metric("h"),), (), quantiles=(0.5,))
    (row,) = evaluate(definition, [history], float(len(increments)), 20)
    assert isinstance(row.value, Buckets)
    assert row.value.bounds == (1.0, 2.5, math.inf)
    assert list(row.value.rates) == sorted(row.value.rates)
