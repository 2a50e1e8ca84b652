"""Histograms that are too much for one answer, on a real Prometheus: fewer bounds, the same observations."""

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from collectors.config import PrometheusServer
from collectors.fleet import SourceState
from collectors.prometheus import client, thinned
from collectors.prometheus.answer import rows
from collectors.prometheus.live import PrometheusPoller
from collectors.prometheus.wire import Sample
from collectors.signals.catalogue import Answer, Buckets, Poll, window_s
from collectors.signals.presets import read_presets
from collectors.signals.promql import render
from collectors.signals.quantiles import interval, observations
from collectors.signals.recording import groups, rendered
from tests.integration.conftest import (
    Page,
    StartConfigured,
    StartPrometheus,
    asked,
    scrape_config,
    served,
    until,
)

pytestmark = pytest.mark.slow

MODELS, TIERS = 20, 6
BOUNDS = [round(0.02 * 1.35**n, 3) for n in range(35)]
GROUPS, WHOLE = MODELS * TIERS, MODELS * TIERS * (len(BOUNDS) + 1)
NAMES = {
    "queue_wait": "llm_d_epp_flow_control_request_queue_duration_seconds",
    "first_token": "llm_d_epp_request_ttft_seconds",
}
PICKER = tuple(p for p in read_presets() if p.stack == "endpoint-picker")


def page(spelling: Callable[[float], str]) -> Callable[[], str]:
    """What an endpoint picker tells of many models; every scrape brings observations in many buckets.

    spelling: of bounds, as the exporter's language writes them
    """
    scrape = itertools.count(1)
    texts = [spelling(bound) for bound in BOUNDS]

    def text() -> str:
        so_far, lines = next(scrape), ["llm_d_epp_info 1"]
        for name, model, tier in itertools.product(NAMES.values(), range(MODELS), range(TIERS)):
            labels = (
                f'model_name="m-{model}",target_model_name="m-{model}",inference_pool="p",priority="{tier}",'
                'outcome="Dispatched"'
            )
            total = 0
            for place, le in enumerate((*texts, "+Inf")):
                # Each model and tier has another shape, so that quantiles lie everywhere.
                total += so_far * (1 + (place * 7 + model * 5 + tier * 11) % 13 * (place % (tier + 2) == 0))
                lines.append(f'{name}_bucket{{{labels},le="{le}"}} {total}')
            lines.append(f"{name}_count{{{labels}}} {total}")
        return "\n".join(lines) + "\n"

    return text


def pages() -> list[Page]:
    """The same fleet behind two exporters, one of which writes 5 and the other 5.0 where a bound is whole."""
    return [Page("go", page(lambda bound: f"{bound:g}")), Page("other", page(lambda bound: f"{bound:.3f}"))]


@pytest.fixture(scope="module")
def server(prometheus: StartPrometheus) -> str:
    url = prometheus(pages())
    until(lambda: len(asked(url, "count_over_time(up[1m]) >= 5")) == len(pages()), "scrapes")
    return url


def poller(url: str) -> PrometheusPoller:
    return PrometheusPoller(PrometheusServer(url=url), presets=PICKER, past_s=0)


async def polled(url: str, count: int) -> list[Poll]:
    """So many polls, one after the other, of times at which the server has all that it is going to have: a
    scrape or a rule is dated when it begins, and is stored when it is done."""
    for _ in range(20):
        one = poller(url)
        try:
            polls = [await one.poll() for _ in range(count)]
        finally:
            await one.aclose()
        if all(is_settled(url, poll) for poll in polls):
            return polls
    raise AssertionError("the server stored something behind every poll")


def is_settled(url: str, poll: Poll) -> bool:
    """Whether the same questions of the same moment have the same answers now."""
    return all(
        list(answer.rows) == list(rows(answer.definition, samples(url, answer.query, poll.at)))
        for answer in histograms(poll).values()
    )


def samples(url: str, query: str, at: float) -> list[Sample]:
    return [Sample(e["metric"], tuple(e["value"])) for e in asked(url, query, at)]


def histograms(poll: Poll) -> dict[str, Answer]:
    found = {a.definition.signal: a for a in poll.answers if a.definition.signal in NAMES}
    assert found.keys() == NAMES.keys(), poll.health.error
    return found


def of_groups(answer: Answer) -> dict[frozenset[tuple[str, str]], Buckets]:
    found = {frozenset(row.labels.items()): row.value for row in answer.rows}
    assert all(isinstance(one, Buckets) for one in found.values())
    return found  # type: ignore[return-value]  # checked above


def exact(url: str, answer: Answer, at: float) -> Answer:
    """The same answer with all buckets, from the server itself."""
    query = render(answer.definition, window_s=answer.window_s, present=None)
    return Answer(answer.definition, rows(answer.definition, samples(url, query, at)), at)


def is_truthful(thin: Mapping[frozenset[tuple[str, str]], Buckets], whole: Answer) -> None:
    """Every group is there, with all its observations, and each interval holds what all buckets say."""
    full = of_groups(whole)
    assert thin.keys() == full.keys()
    wider = 0
    for group, one in full.items():
        assert observations(thin[group]) == pytest.approx(observations(one))
        assert len(thin[group].bounds) < len(one.bounds)
        for q in (0.5, 0.9, 0.95, 0.99):
            mine, theirs = interval(thin[group], q), interval(one, q)
            assert mine is not None
            assert theirs is not None
            assert mine.lo <= theirs.lo
            assert mine.hi >= theirs.hi
            wider += mine.hi - mine.lo > theirs.hi - theirs.lo
    assert wider > GROUPS


async def test_what_is_foreseen_to_be_too_much_is_never_asked(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first poll on with 13 buckets, told in one sentence; the next does not count again."""
    monkeypatch.setattr(thinned, "MAX_SAMPLES", WHOLE // 2)
    first, second = await polled(server, 2)
    for poll in (first, second):
        assert poll.health.state is SourceState.OK, poll.health.error
        (said,) = poll.health.warnings
        assert said.startswith("first_token, queue_wait: asked with 13 of 36 buckets")
        for answer in histograms(poll).values():
            found = of_groups(answer)
            assert len(found) == GROUPS
            assert {len(one.bounds) for one in found.values()} == {13}
            assert {(one.bounds[0], one.bounds[-2]) for one in found.values()} == {(BOUNDS[0], BOUNDS[-1])}
            is_truthful(found, exact(server, answer, poll.at))
    assert second.health.queries < first.health.queries


async def test_what_is_refused_as_too_large_is_asked_again_at_once(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No signal is lost in the poll that finds out, and the next asks for fewer from the start."""
    monkeypatch.setattr(client, "MAX_BODY_BYTES", WHOLE * 60)
    first, second = await polled(server, 2)
    for poll in (first, second):
        assert poll.health.state is SourceState.OK, poll.health.error
        for answer in histograms(poll).values():
            is_truthful(of_groups(answer), exact(server, answer, poll.at))
    plain = len(second.answers) + 3
    assert second.health.queries <= plain, "targets twice, scrapes, and one for each answer"
    assert second.health.received_bytes < first.health.received_bytes


async def test_where_the_fewest_are_too_much_that_is_said(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal fails with what to do about it; others go on."""
    monkeypatch.setattr(client, "MAX_BODY_BYTES", GROUPS * 60)
    one = poller(server)
    try:
        poll = await one.poll()
    finally:
        await one.aclose()
    for answer in histograms(poll).values():
        assert re.search(r"sent more than .* `select`", answer.error), answer.error


async def test_an_answer_that_fits_is_taken_and_thinned_after(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not foreseen and still came whole is shown whole once."""
    monkeypatch.setattr(thinned, "MAX_SAMPLES", WHOLE // 2)
    monkeypatch.setattr(thinned, "MOST_BOUNDS", 2)
    one = poller(server)
    try:
        first, second = await one.poll(), await one.poll()
    finally:
        await one.aclose()
    sizes = [
        {len(b.bounds) for a in histograms(poll).values() for b in of_groups(a).values()}
        for poll in (first, second)
    ]
    assert sizes == [{36}, {13}]


@pytest.fixture
def recorded(start_configured: StartConfigured, tmp_path: Path) -> Iterator[str]:
    """A Prometheus that evaluates our rules for those pages, its rate windows full."""
    rules = tmp_path / "tidegate.yml"
    rules.write_text(rendered(groups(PICKER, {"endpoint-picker": 1.0})), encoding="utf-8")
    web = served(pages())
    config = {**json.loads(scrape_config(pages(), web, "1s")), "rule_files": [str(rules)]}
    file = tmp_path / "prometheus.yml"
    file.write_text(json.dumps(config), encoding="utf-8")
    started = start_configured(file)
    try:
        full = f"count_over_time(up[1m]) > {window_s(1.0) + 2}"
        until(lambda: len(asked(started.url, full)) == len(pages()), "a full window", 60)
        yield started.url
    finally:
        web.shutdown()
        web.server_close()


async def test_records_are_thinned_too(recorded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record has the same buckets, so it is asked for the same few."""
    monkeypatch.setattr(thinned, "MAX_SAMPLES", WHOLE // 2)
    (poll,) = await polled(recorded, 1)
    for signal, answer in histograms(poll).items():
        assert answer.recorded.endswith(signal), (answer.error, poll.health)
        assert "le=~" in answer.query
        whole = re.sub(r',?le=~"[^"]*"', "", answer.query)
        full = Answer(answer.definition, rows(answer.definition, samples(recorded, whole, poll.at)), poll.at)
        is_truthful(of_groups(answer), full)
