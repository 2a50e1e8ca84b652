"""Recording rules on a real Prometheus: what they record is what would have been asked, and it is used."""

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from collectors.config import PrometheusServer
from collectors.prometheus.answer import by_node, rows
from collectors.prometheus.live import PrometheusPoller
from collectors.prometheus.wire import Sample
from collectors.signals.catalogue import Definition, Preset, window_s
from collectors.signals.presets import read_presets
from collectors.signals.promql import render
from collectors.signals.recording import HEARTBEAT, groups, heartbeat, is_recorded, query, rendered
from tests.integration.conftest import (
    Page,
    StartConfigured,
    asked,
    sample,
    scrape_config,
    served,
    until,
)
from tests.integration.test_scrape_promql import advanced, agree, comparable

pytestmark = pytest.mark.slow

STACKS = {"vllm": "vllm", "dcgm": "dcgm-exporter", "endpoint-picker": "llm-d-epp"}
RULES_S = 1.3
"""Other than the second between scrapes: evaluations then fall on every moment between two of them."""

EVALUATIONS = 10
CLEAR_S = 0.08
"""A rule evaluated so soon after a scrape began may not see it yet, while a query later does."""


@dataclass(frozen=True)
class Recorded:
    url: str
    presets: tuple[Preset, ...]

    def definitions(self) -> list[Definition]:
        """All that have a rule."""
        whole = [d for p in self.presets for d in p.definitions]
        heat = [by_node(d) for d in whole if d.lane == "heat"]
        return [d for d in (*whole, *heat) if is_recorded(d)]

    def moments(self, stack: str) -> list[float]:
        """Times of evaluations that no scrape was near."""
        (beats,) = asked(self.url, f"{heartbeat(stack)}[1m]")
        scrapes = [float(at) for one in asked(self.url, "up[1m]") for at, _ in one["values"]]
        found = [float(at) for at, _ in beats["values"]]
        # The last may be of a round that is not done with its other rules, the first lack scrapes.
        return [at for at in found[4:-1] if not any(0 <= at - scrape < CLEAR_S for scrape in scrapes)]


@pytest.fixture
def recorded(start_configured: StartConfigured, tmp_path: Path) -> Iterator[Recorded]:
    """A Prometheus that scrapes three stacks and evaluates their rules."""
    numbers = {name: itertools.count() for name in STACKS.values()}
    pages = [
        Page(stack, lambda name=name: advanced(sample(name), next(numbers[name])))  # type: ignore[misc]  # bound now
        for stack, name in STACKS.items()
    ]
    presets = tuple(p for p in read_presets() if p.stack in STACKS)
    heat = [by_node(d) for p in presets for d in p.definitions if d.lane == "heat"]
    rules = tmp_path / "tidegate.yml"
    rules.write_text(rendered(groups(presets, dict.fromkeys(STACKS, RULES_S), heat)), encoding="utf-8")
    web = served(pages)
    config = {**json.loads(scrape_config(pages, web, "1s")), "rule_files": [str(rules)]}
    file = tmp_path / "prometheus.yml"
    file.write_text(json.dumps(config), encoding="utf-8")
    started = start_configured(file)
    try:
        until(
            lambda: (
                len(asked(started.url, f"count_over_time({HEARTBEAT}[5m]) > {EVALUATIONS}")) == len(STACKS)
            ),
            f"{EVALUATIONS} evaluations",
            60,
        )
        yield Recorded(started.url, presets)
    finally:
        web.shutdown()
        web.server_close()


def element(found: Sequence[dict[str, object]]) -> list[Sample]:
    return [Sample(e["metric"], tuple(e["value"])) for e in found]  # type: ignore[arg-type]  # as the API has them


async def test_what_is_recorded_is_what_would_be_asked(recorded: Recorded) -> None:
    """Same groups, buckets, rungs and values at moments of evaluation; the poller then asks the records."""
    compared = 0
    for definition in recorded.definitions():
        window = window_s(RULES_S)
        moments = recorded.moments(definition.stack)[-4:]
        assert len(moments) >= 2, "evaluations between scrapes"
        for at in moments:
            raw = element(asked(recorded.url, render(definition, window_s=window), at))
            kept = element(asked(recorded.url, query(definition, window), at))
            labels = [{frozenset(one.metric.items()) for one in some} for some in (kept, raw)]
            assert labels[0] == labels[1], "no label more than the definition's own query gives"
            mine, theirs = comparable(rows(definition, kept)), comparable(rows(definition, raw))
            name = f"{definition.stack} {definition.signal} {definition.lane} at {at}"
            assert mine.keys() == theirs.keys(), name
            for key, (value, rung) in mine.items():
                assert rung == theirs[key][1], name
                assert agree(value, theirs[key][0]), f"{name}: {value} != {theirs[key][0]}"  # type: ignore[arg-type]  # values of rows
                compared += 1
    assert compared > 60

    (beat,) = asked(recorded.url, heartbeat("vllm"))
    assert float(beat["value"][1]) == pytest.approx(float(beat["value"][0]), abs=RULES_S * 2)

    of_rates = next(d for d in recorded.definitions() if d.needs_rate)
    assert asked(recorded.url, query(of_rates, 20.0))
    assert not asked(recorded.url, query(of_rates, 60.0)), "another window is another rule"

    poller = PrometheusPoller(PrometheusServer(url=recorded.url), presets=recorded.presets, past_s=0)
    try:
        poll = await poller.poll()
    finally:
        await poller.aclose()
    used = {a.recorded for a in poll.answers if a.recorded}
    assert "tidegate:dcgm:busy_ratio" in used
    # A rule divides by its whole window, which scrapes do not fill yet.
    assert not any(a.recorded for a in poll.answers if a.definition.needs_rate)
    assert not re.search("error", poll.health.error), poll.health.error
