"""What tidegate says of the simulated fleet, held against the world's own record of the same moment."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from collectors.control.wire import read_time
from collectors.simulator.simulation import BEHIND_S
from tests.integration.conftest import StartConfigured, asked, until

HOT = Path(__file__).parents[1] / "data" / "simulator" / "hot.toml"
MODELS = {"aurora-5", "aurora-5-mini", "boreal-4", "cirrus-vision", "delta-code", "embed-2", "fable-voice"}
WINDOW_S = 60.0
RATE_S = 20.0
STEP_S = 0.5

pytestmark = pytest.mark.slow

Seen = Callable[[float, float], list[dict[str, Any]]]
"""The steps that scrapes between two times can have seen."""


@dataclass
class Fleet:
    """A running simulator: where it is, and the file with its truth."""

    process: "subprocess.Popen[str]"
    announced: dict[str, Any]
    truth: Path
    context: Path
    prometheus_yml: Path

    def behind_s(self) -> float:
        """Most that a page of late can be older than its scrape, seconds: what a busy machine cost the world
        for good, and what it makes good again."""
        told = httpx.get(f"{self.announced['base']}/targets").headers["Tidegate-Time"]
        return max(time.time() - read_time(told), 0.0) + BEHIND_S

    def stop(self) -> dict[float, dict[str, Any]]:
        """End it; its truth by time."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        lines = [json.loads(line) for line in self.truth.read_text(encoding="utf-8").splitlines()]
        return {line["t"]: line for line in lines}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """The demo fleet with images gone viral, on the wall clock, as `tidegate simulate` serves it."""
    truth, yml = tmp_path / "truth.jsonl", tmp_path / "written" / "prometheus.yml"
    process = subprocess.Popen(
        [sys.executable, "-m", "collectors.simulator", "--listen", "127.0.0.1:0", "--scenario", str(HOT),
         "--truth", str(truth), "--write", str(tmp_path / "written"), "--announce"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    announced = json.loads(process.stdout.readline())
    context = tmp_path / "config.toml"
    yield Fleet(process, announced, truth, context, yml)
    process.kill()
    process.communicate()


def snapshot(fleet: Fleet, source: str) -> dict[str, Any]:
    """One frame, by the command a script would use; the plane's token travels in the environment."""
    told = fleet.announced["context"].replace("[contexts.demo]", source, 1)
    fleet.context.write_text(told, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "tui", "snapshot", "--config", str(fleet.context), "--context", "demo"],
        env={**os.environ, "TIDEGATE_TOKEN": fleet.announced["token"]},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    frame: dict[str, Any] = json.loads(done.stdout)
    return frame


def agrees(fleet: Fleet, frame: dict[str, Any], spread_s: float) -> None:
    """Every model is one row; busy time within 2 points, counts whole, the true wait inside the interval.

    fleet: is ended
    spread_s: time between the first and the last page of one round of scrapes; what moves meanwhile lies
        between its least and its most
    """
    behind_s = fleet.behind_s()
    truth = fleet.stop()

    def seen(first: float, last: float) -> list[dict[str, Any]]:
        return within(truth, first - behind_s, last)

    models = {m["name"]: m for m in frame["models"]}
    assert set(models) == MODELS
    for name, model in models.items():
        readings = model["readings"]
        for signal_name, letter in (("running", "n"), ("waiting", "Q")):
            one = readings[signal_name]
            true = [in_model(line, name, letter) for line in seen(one["at"], one["at"] + spread_s)]
            # Each tier of the picker and each engine's page rounds down: less than one is lost in each.
            lost = len(model["tiers"]) + one["coverage"][1]
            assert min(true) - lost <= one["value"] <= max(true) + 0.5, (name, signal_name, one, true)
        at = readings["accelerators"]["at"]
        worlds = [line["models"][name] for line in seen(at, at)]
        assert readings["accelerators"]["value"] in {world["accelerators"] for world in worlds}, name
        assert readings["replicas"]["value"] in {round(world["R"]) for world in worlds}, name
        assert min(abs(readings["busy_ratio"]["value"] - world["busy"]) for world in worlds) <= 0.02, name
        for tier, found in model["tiers"].items():
            wait = found.get("queue_wait_p99")
            if wait and wait["value"]:
                holds_the_true_wait(wait, seen, f"{name}/{tier}")
    assert models["aurora-5"]["tiers"]["free"]["queue_wait_p99"]["value"]["lo"] >= 5, "the scenario is hot"
    features_share_as_in_truth(models["aurora-5"], seen, spread_s)
    assert {"aurora-5", "delta-code"} <= {r["subject"] for r in frame["releases"]}
    assert frame["simulated"]


def within(truth: dict[float, dict[str, Any]], first: float, last: float) -> list[dict[str, Any]]:
    """The steps between two times, and the one before the first."""
    begin = max(t for t in truth if t <= first)
    return [truth[t] for t in sorted(truth) if begin <= t <= last]


def in_model(line: dict[str, Any], model: str, letter: str) -> float:
    return sum(c[letter] for key, c in line["classes"].items() if key.startswith(f"{model}/"))


def features_share_as_in_truth(model: dict[str, Any], seen: Seen, spread_s: float) -> None:
    """Each feature's part of the arrivals within 2 points of the truth's over the same window."""
    arrivals = {name: found["arrivals"] for name, found in model["by_feature"].items()}
    at = min(one["at"] for one in arrivals.values())
    true: dict[str, float] = {}
    for line in seen(at - RATE_S, at + spread_s):
        for key, one in line["classes"].items():
            of, _, feature = key.split("/")
            if of == model["name"]:
                true[feature] = true.get(feature, 0.0) + one["lambda"]
    assert set(arrivals) == set(true) == {"chat", "image-generation", "deep-research", "voice"}
    total = sum(one["value"] for one in arrivals.values())
    for feature, one in arrivals.items():
        assert abs(one["value"] / total - true[feature] / sum(true.values())) <= 0.02, (
            feature,
            arrivals,
            true,
        )
    assert total == pytest.approx(model["readings"]["arrivals"]["value"], rel=0.01)
    assert arrivals["image-generation"]["value"] / total > 0.2, "images have gone viral"


def holds_the_true_wait(wait: dict[str, Any], seen: Seen, pair: str) -> None:
    """The quantile moves while its window does: some moment of the window has it inside the interval."""
    lo, hi = wait["value"]["lo"], wait["value"]["hi"]
    steps = seen(wait["at"] - WINDOW_S, wait["at"] + WINDOW_S / 4)
    true = [p99 for line in steps if (p99 := line["pairs"][pair]["p99"]) is not None]
    assert any(lo - STEP_S <= p99 <= (hi or float("inf")) + STEP_S for p99 in true), (pair, wait, true[-1:])


def test_direct_scrape_agrees_with_the_truth(fleet: Fleet) -> None:
    """Pages read directly, no Prometheus: one row a model, in spite of names that differ on every page."""
    pages = [{"url": t["url"], "labels": t["labels"]} for t in fleet.announced["targets"]]
    source = f"[contexts.demo]\nscrape = {toml(pages)}"
    frame = snapshot(fleet, source)
    agrees(fleet, frame, spread_s=2.0)


def test_a_real_prometheus_agrees_with_the_truth(fleet: Fleet, start_configured: StartConfigured) -> None:
    """The whole way: simulated pages, a real Prometheus that scrapes every 5 s, one JSON frame."""
    url = start_configured(fleet.prometheus_yml).url
    # Rates need four scrapes; the quantile's window is then full as well.
    until(lambda: bool(asked(url, 'min(count_over_time(up{job="vllm"}[30s])) >= 6')), "six scrapes", 90)
    frame = snapshot(fleet, f'[contexts.demo]\nprometheus = "{url}"')
    agrees(fleet, frame, spread_s=5.5)


def toml(pages: list[dict[str, Any]]) -> str:
    """Pages as TOML writes them; JSON strings are TOML strings."""
    tables = []
    for page in pages:
        labels = ", ".join(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in page["labels"].items())
        tables.append(f"{{ url = {json.dumps(page['url'])}, labels = {{ {labels} }} }}")
    return f"[{', '.join(tables)}]"
