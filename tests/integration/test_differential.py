"""Pages that nobody thought of: two evaluators, one answer, judged by a real server.

Hypothesis makes batches of series with restarts, gaps, NaN, infinities, changing labels and failed scrapes. A
real Prometheus scrapes each batch as it unfolds; the same pages are read here, at the times at which the
server says that it scraped them. Every definition must have the same groups with the same values.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from collectors.prometheus.answer import rows
from collectors.prometheus.wire import Sample
from collectors.scrape.evaluate import evaluate
from collectors.scrape.history import TargetHistory
from collectors.scrape.page import PageReader
from collectors.signals.catalogue import Definition, Derive, Matcher, Metric
from collectors.signals.promql import render, series_name
from tests.integration.conftest import Page, StartPrometheus, asked, until
from tests.integration.test_scrape_promql import NUMBER, agree, comparable

pytestmark = pytest.mark.slow

INTERVAL_S = 0.25
SCRAPES = 12
CASES = 40
EXAMPLES = 2
WINDOWS_S = (0.6, 1.0, 2.0)
BOUNDS = ("0.1", "1.0", "+Inf")

REQUESTS, FAILURES = Metric("differential_requests_total"), Metric("differential_failures_total")
LEVEL, LIMIT = Metric("differential_level"), Metric("differential_limit")
WAIT = Metric("differential_wait_seconds")
CASE = ("case",)


def _definition(signal: str, kind: str, *metrics: Metric, **more: object) -> Definition:
    settings = {"keep": CASE, **more}
    return Definition(signal, "made", "engine", kind, metrics, **settings)  # type: ignore[arg-type]  # as the fields are


DEFINITIONS = (
    _definition("served", "counter", REQUESTS),
    _definition("arrivals", "counter", REQUESTS, keep=("case", "pod"), aggregate="max"),
    _definition("tokens_in", "counter", Metric(FAILURES.name, factor=2.0, rung="failures"), REQUESTS),
    _definition("errors", "ratio", FAILURES, over=(REQUESTS,), of_rates=True),
    _definition("queue_wait", "histogram", WAIT, quantiles=(0.5,)),
    _definition("running", "gauge", LEVEL),
    _definition("waiting", "gauge", LEVEL, aggregate="avg"),
    _definition("power_w", "gauge", Metric(LEVEL.name, factor=0.5), LIMIT, aggregate="max"),
    _definition("replicas", "gauge", LEVEL, aggregate="count"),
    _definition("accelerators", "gauge", LEVEL, aggregate="count", distinct=("pod",)),
    _definition("memory_ratio", "ratio", LEVEL, over=(LEVEL, LIMIT), distinct=("pod",)),
    _definition(
        "temperature_c", "gauge", LIMIT, keep=("family",), aggregate="max",
        derive=(Derive("family", "case", "([0-9])([0-9]*)", "of-$2$1"),),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Batch:
    """Series and their values, one for each scrape; None where the page lacks the line.

    failed: scrapes that bring nothing at all
    """

    series: tuple[tuple[str, tuple[str | None, ...]], ...]
    failed: frozenset[int]

    def text(self, scrape: int, number: int) -> str:
        told = ((one, values[scrape]) for one, values in self.series)
        batch = f'{{batch="{number}",'
        lines = [f"{one.replace('{', batch)} {value}" for one, value in told if value]
        return "".join(f"{line}\n" for line in lines)


def counted(steps: bytes) -> tuple[str | None, ...]:
    """A counter that rises, stays, begins anew, is missing or is no number, by a byte each."""
    value, found = 0.0, []
    for step in steps:
        if step >= 236:
            found.append(None)
        elif step >= 230:
            found.append("NaN")
        else:
            value = step % 8 / 4 if step >= 200 else value + step**2 / 64
            found.append(repr(value))
    return tuple(found)


def measured(steps: bytes) -> tuple[str | None, ...]:
    """A gauge of any sign, missing, no number or infinite, by a byte each."""
    special = {255: "+Inf", 254: "-Inf", 253: "NaN"}
    return tuple(special.get(step, repr((step - 110) / 4) if step < 226 else None) for step in steps)


def batch_of(seed: int) -> Batch:
    """Some dozens of cases, most of two pods whose lines come and go."""
    chance = random.Random(seed)
    series: list[tuple[str, tuple[str | None, ...]]] = []
    for case in range(CASES):
        pods = ("a", "b") if case % 3 else ("a",)
        for pod in pods:
            where = f'{{case="{case}",pod="{pod}"}}'
            series += [(f"{REQUESTS.name}{where}", counted(chance.randbytes(SCRAPES)))]
            series += [(f"{LEVEL.name}{where}", measured(chance.randbytes(SCRAPES)))]
        where = f'{{case="{case}"}}'
        series += [(f"{FAILURES.name}{where}", counted(chance.randbytes(SCRAPES)))]
        series += [(f"{LIMIT.name}{where}", measured(chance.randbytes(SCRAPES)))]
        wait = chance.randbytes(SCRAPES)
        for shift, bound in enumerate(BOUNDS):
            turned = wait[shift * (case % 2) :] + wait[: shift * (case % 2)]
            series += [(f'{WAIT.name}_bucket{{case="{case}",le="{bound}"}}', counted(turned))]
    failed = chance.sample(range(1, SCRAPES), chance.randrange(3))
    return Batch(tuple(series), frozenset(failed))


class Site:
    """A page on which batch after batch unfolds, and the server that scrapes it."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.batch: Batch | None = None
        self.batches = 0
        self.begun = 0
        self.url = ""

    def __repr__(self) -> str:
        return f"{self.url}, batch {self.batches}"

    def text(self) -> str:
        """What the next scrape brings. raises: OSError for one that fails"""
        number = len(self.texts)
        scrape = number - self.begun
        batch = self.batch if scrape < SCRAPES else None
        body = batch.text(scrape, self.batches) if batch is not None else ""
        self.texts.append(f"{body}{NUMBER} {number}\n")
        if batch is not None and scrape in batch.failed:
            raise OSError("as the batch wants it")
        return self.texts[-1]

    def unfold(self, batch: Batch) -> list[tuple[float, str | None]]:
        """Serve a batch to its end: every scrape of it, with the text that it brought."""
        self.batches += 1
        self.begun, self.batch = len(self.texts), batch
        last = self.begun + SCRAPES
        until(lambda: bool(asked(self.url, f"{NUMBER} > {last}")), "the batch scraped to its end")
        (up,) = asked(self.url, "up[1m]")
        (numbers,) = asked(self.url, f"{NUMBER}[1m]")
        numbered = {float(at): int(value) for at, value in numbers["values"]}
        first = min(at for at, number in numbered.items() if number >= self.begun)
        return [
            (float(at), self.texts[numbered[float(at)]] if value == "1" else None)
            for at, value in up["values"]
            if float(at) >= first and numbered.get(float(at), 0) <= last
        ]


@pytest.fixture(scope="module")
def site(prometheus: StartPrometheus) -> Iterator[Site]:
    made = Site()
    made.url = prometheus([Page("made", made.text)], interval=f"{round(INTERVAL_S * 1000)}ms")
    yield made


def read(seen: Sequence[tuple[float, str | None]], at: float) -> TargetHistory:
    """The page as it was read here until `at`."""
    wanted = frozenset(series_name(d, m) for d in DEFINITIONS for m in (*d.metrics, *d.over))
    found = TargetHistory({"job": "made", "instance": "made:0"})
    reader = PageReader(wanted)
    for when, text in seen:
        if when > at:
            break
        if text is None:
            found.fail()
        else:
            found.record(reader.read(text.encode()), round(when * 1000), 600_000)
    return found


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    # A smaller seed makes no smaller batch.
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.integers(0, 2**32 - 1))
def test_whatever_a_page_says(site: Site, seed: int) -> None:
    """Hundreds of cases at once: on a scrape, a millisecond beside it, between two, after a failed one."""
    seen = site.unfold(batch_of(seed))
    times = [at for at, _ in seen]
    moments = [times[5], times[7] + 0.001, times[8] - 0.001, times[9] + 0.1, times[-2] + 0.2]
    moments += [at + 0.05 for at, text in seen if text is None]
    only = [Matcher("batch", "=", str(site.batches))]
    wrong, compared = [], 0
    for at in moments:
        mine_at = read(seen, at)
        for one in DEFINITIONS:
            for window_s in WINDOWS_S if one.needs_rate else WINDOWS_S[:1]:
                query = render(one, window_s=window_s, selector=only)
                samples = [Sample(e["metric"], tuple(e["value"])) for e in asked(site.url, query, at)]
                theirs = comparable(rows(one, samples))
                mine = comparable(evaluate(one, [mine_at], at, window_s))
                name = f"{one.signal} at scrape {at - times[0]:.3f} s over {window_s} s"
                if mine.keys() != theirs.keys():
                    alone = mine.keys() - theirs.keys(), theirs.keys() - mine.keys()
                    wrong.append(f"{name}: only here {alone[0]}, only there {alone[1]}")
                for key in mine.keys() & theirs.keys():
                    compared += 1
                    if mine[key][1] != theirs[key][1] or not agree(mine[key][0], theirs[key][0]):  # type: ignore[arg-type]  # values of rows
                        wrong.append(f"{name} {dict(key)}: {mine[key]} here, {theirs[key]} there")
    assert not wrong, "\n".join(wrong[:20])
    assert compared > 10 * CASES


def test_the_batches_hold_what_they_should() -> None:
    """Rises, restarts, gaps, NaN and infinities do come of bytes."""
    assert counted(bytes([8, 206, 255, 230, 16])) == ("1.0", "1.5", None, "NaN", "5.5")
    assert measured(bytes([255, 254, 253, 230, 110])) == ("+Inf", "-Inf", "NaN", None, "0.0")
