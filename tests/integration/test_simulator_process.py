"""The simulator as a process: it announces itself, serves, obeys its control plane, and ends when told."""

import http.client
import itertools
import json
import signal
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from collectors.config import Settings
from collectors.control import wire
from tests.debian_binary import lacking
from tests.integration.conftest import asked, until
from tests.prometheus_binary import prometheus_binary

Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run() -> Iterator[Run]:
    """Starts simulators; all of them end with the test."""
    children: list[subprocess.Popen[str]] = []

    def start(*arguments: str, stdin: int = subprocess.PIPE) -> "subprocess.Popen[str]":
        child = subprocess.Popen(
            [sys.executable, "-m", "collectors.simulator", *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe is not None:
                pipe.close()


def announced(child: "subprocess.Popen[str]") -> dict[str, Any]:
    """What the child says when it listens."""
    assert child.stdout is not None
    line = child.stdout.readline()
    assert line, child.stderr.read() if child.stderr else ""
    found: dict[str, Any] = json.loads(line)
    return found


def get(url: str, token: str = "") -> tuple[http.client.HTTPMessage, bytes]:
    """Headers and body of an answer."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.headers, answer.read()


def status(url: str, token: str = "") -> int:
    """Status of a refusal."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(url, token)
    refused.value.close()
    return refused.value.code


def demo(run: Run, *more: str) -> "tuple[subprocess.Popen[str], dict[str, Any]]":
    """A demo's child and its announcement."""
    child = run(
        "--listen", "127.0.0.1:0", "--scenario", "melting-gpus", "--announce", "--epoch", "scenario", *more
    )
    return child, announced(child)


def test_it_announces_what_it_serves(run: Run) -> None:
    """One JSON line: targets that answer, a plane that takes the token, a context that the settings take."""
    _, told = demo(run, "--seed", "3")
    assert (told["scenario"], told["seed"], told["speed"], told["plane"]) == (
        "melting-gpus", 3, 1.0, told["base"]
    )  # fmt: skip
    assert json.loads(get(f"{told['base']}/targets")[1]) == told["targets"]
    names = set()
    for target in told["targets"]:
        headers, body = get(target["url"])
        assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert headers["Tidegate-Simulated"] == "melting-gpus/3"
        assert headers["Tidegate-Time"].startswith("2026-03-25T17:00:")
        names |= {family.name for family in text_string_to_metric_families(body.decode())}
    assert {"vllm:num_requests_running", "llm_d_epp_info", "DCGM_FI_DEV_XID_ERRORS"} <= names
    Settings.model_validate(tomllib.loads(told["context"]))
    headers, body = get(f"{told['plane']}/v1/releases", told["token"])
    assert {one["id"] for one in json.loads(body)["items"]} >= {"aurora-5", "cirrus-vision", "delta-code"}
    assert headers["Tidegate-Simulated"] == "melting-gpus/3"
    assert wire.read_time(headers["Tidegate-Time"]) % 0.5 == 0
    assert status(f"{told['plane']}/v1/releases", "wrong") == 401
    assert status(f"{told['base']}/pages/vllm/nobody/metrics") == 404


def test_it_ends_with_its_input(run: Run) -> None:
    """Whoever started it is gone: it ends by itself, even with a reader of its events."""
    child, told = demo(run)
    reader = http.client.HTTPConnection(told["base"].removeprefix("http://"), timeout=60)
    reader.request("GET", "/v1/watch", headers={"Authorization": f"Bearer {told['token']}"})
    events = reader.getresponse()
    assert events.status == 200
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(60) == 0
    events.close()
    reader.close()
    assert child.stderr is not None
    assert child.stderr.read() == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told(run: Run, number: signal.Signals) -> None:
    """With status 0 and without a word."""
    child, _ = demo(run)
    child.send_signal(number)
    assert child.wait(60) == 0
    assert child.stderr is not None
    assert child.stderr.read() == ""


def test_its_clock_runs_at_its_speed(run: Run) -> None:
    """At speed 60 two simulated minutes pass within one: without it they would take two."""
    _, told = demo(run, "--speed", "60")

    def simulated() -> float:
        return wire.read_time(get(f"{told['base']}/targets")[0]["Tidegate-Time"])

    first = simulated()
    until(lambda: simulated() >= first + 120, "two simulated minutes", within_s=60)


def test_truth_is_written(run: Run, tmp_path: Path) -> None:
    """A line a step from the pre-warming on, each half a second after the one before."""
    truth = tmp_path / "truth.jsonl"
    child, _ = demo(run, "--truth", str(truth))
    child.send_signal(signal.SIGTERM)
    assert child.wait(60) == 0
    lines = [json.loads(line) for line in truth.read_text().splitlines()]
    assert len(lines) >= 600
    times = [line["t"] for line in lines]
    assert {b - a for a, b in itertools.pairwise(times)} == {0.5}
    last = lines[-1]
    assert set(last["classes"]["aurora-5/free/image-generation"]) == {"n", "Q", "lambda", "W", "x", "rho"}
    assert set(last["models"]["aurora-5"]) == {"R", "X", "err", "accelerators", "busy"}
    assert last["models"]["aurora-5"]["accelerators"] == 8000
    assert last["pairs"]["aurora-5/pro"] == {"p50": 0.0, "p99": 0.0}
    assert last["pairs"]["fable-voice/free"] == {"p50": None, "p99": None}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--listen", "0.0.0.0:0"], "0.0.0.0 is not the loopback"),
        (["--listen", "9900"], "'9900' is no HOST:PORT; give for example 127.0.0.1:9900"),
        (["--listen", "example.org:80"], "'example.org' is no address"),
        (["--scenario", "melting"], "no scenario 'melting'; did you mean 'melting-gpus'?"),
        (["--speed", "10"], "--speed 10 needs --epoch scenario"),
        (["--speed", "500", "--epoch", "scenario"], "--speed 500 is not between 1 and 120"),
        (["--listen", "127.0.0.1:0", "--truth", "/nowhere/t"], "--truth: /nowhere/t cannot be written"),
    ],
)
def test_mistakes_are_one_sentence(run: Run, arguments: list[str], said: str) -> None:
    """Status 2, one line, no traceback."""
    child = run(*arguments)
    _, error = child.communicate(timeout=60)
    assert child.returncode == 2
    assert said in error
    assert error.count("\n") == 1


def test_a_taken_port(run: Run) -> None:
    """The second one on a port says so, and the first goes on."""
    _, told = demo(run)
    address = told["base"].removeprefix("http://")
    child = run("--listen", address)
    _, error = child.communicate(timeout=60)
    assert child.returncode == 2
    assert error.startswith(f"tidegate simulate: cannot listen on {address}: Address already in use; give ")
    assert error.count("\n") == 1
    get(f"{told['base']}/targets")


@pytest.mark.slow
def test_a_real_prometheus_scrapes_it(run: Run, tmp_path: Path) -> None:
    """Given the prometheus.yml that is written, a Prometheus has every page, and a pod under two names where
    the exporter is one and its user the other."""
    binary, why = prometheus_binary()
    if binary is None:
        lacking(why)
    file = tmp_path / "prometheus.yml"
    child = run("--listen", "127.0.0.1:0", "--write", str(file.parent))
    assert child.stdout is not None
    said = child.stdout.readline()
    assert said.startswith("SIMULATED fleet, scenario calm, seed 1: http://127.0.0.1:")
    assert file.exists()
    # Scraped more often than the file says, for the test to be short.
    file.write_text(file.read_text().replace("scrape_interval: 5s", "scrape_interval: 1s"))
    port = "127.0.0.1:0"
    with subprocess.Popen(
        [
            binary,
            f"--config.file={file}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address={port}",
        ],
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stderr is not None
            url = ""
            for line in server.stderr:
                if "Listening on" in line:
                    url = f"http://{line.split('address=')[1].split()[0]}"
                if "ready to receive web requests" in line:
                    break
            until(lambda: len(asked(url, "up == 1")) == 17, "17 pages scraped")
            waiting = asked(
                url, "count(count by (exported_pod) (DCGM_FI_DEV_FB_USED{pod=~'dcgm-exporter-.*'}))"
            )
            assert float(waiting[0]["value"][1]) == 16
            until(
                lambda: len(asked(url, "rate(vllm:generation_tokens_total[5s]) > 0")) == 12,
                "tokens of every engine page",
            )
        finally:
            server.kill()


def post(told: dict[str, Any], path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Write to the plane as an operator's client does, on the state it has just read."""
    resource = path.partition(":")[0]
    headers, _ = get(f"{told['plane']}{resource}", told["token"])
    request = urllib.request.Request(
        f"{told['plane']}{path}",
        data=json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {told['token']}",
            "Content-Type": "application/json",
            "Idempotency-Key": str(uuid.uuid4()),
            "If-Match": headers["ETag"],
        },
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


def counters(told: dict[str, Any]) -> dict[tuple[str, ...], float]:
    """Requests asked of and refused to free images, and decisions about Delta Code in the free tier."""
    url = next(target["url"] for target in told["targets"] if target["labels"]["job"] == "llm-d-epp")
    found: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(get(url)[1].decode()):
        for sample in family.samples:
            labels, name = sample.labels, sample.name
            if name == "gateway_requests_total" and labels["subject"] == "delta-code":
                found[name, labels["tier"], labels["decision"]] = sample.value
            cell = labels.get("fairness_id"), labels.get("priority"), labels.get("model_name")
            if cell == ("image-generation", "-10", "aurora-5"):
                if name == "llm_d_epp_request_total":
                    found["asked",] = sample.value
                elif name.endswith("queue_duration_seconds_count"):
                    found["started" if labels["outcome"] == "Dispatched" else "refused",] = sample.value
    return found


@pytest.mark.slow
def test_a_write_changes_what_the_fleet_does(run: Run) -> None:
    """Set by an operator's request, a throttle and a stage are what the pages count from then on, and what
    the plane says was seen of the stage follows the pages."""
    _, told = demo(run, "--speed", "20")

    def gained(before: dict[tuple[str, ...], float]) -> dict[tuple[str, ...], float]:
        return {key: value - before.get(key, 0.0) for key, value in counters(told).items()}

    def share(before: dict[tuple[str, ...], float]) -> float:
        one = gained(before)
        got, closed = (
            one.get(("gateway_requests_total", "free", decision), 0) for decision in ("candidate", "closed")
        )
        return got / (got + closed)

    def seen() -> float | None:
        release = json.loads(get(f"{told['plane']}/v1/releases/delta-code", told["token"])[1])
        observed: float | None = release["status"]["exposure"][3]["observed"]
        return observed

    before = counters(told)
    until(lambda: gained(before)["asked",] > 2000, "two thousand free images")
    assert ("refused",) not in gained(before)
    assert share(before) == pytest.approx(0.25, abs=0.06)
    cell = post(
        told,
        "/v1/throttles/image-generation/free:set",
        {"from": {"level": 1.0}, "level": 0.3, "reason": "queues grow"},
    )
    release = post(
        told,
        "/v1/releases/delta-code:advance",
        {"from": {"candidate": "r19", "stage": "free@25"}, "to": "free@100", "reason": "steady"},
    )
    assert (cell["level"], release["status"]["stage"]) == (0.3, "free@100")
    assert seen() == pytest.approx(0.25, abs=0.05), "what was asked for is not what was seen"
    before = counters(told)
    until(lambda: gained(before)["asked",] > 2000, "two thousand more")
    after = gained(before)
    assert after["refused",] / after["asked",] == pytest.approx(0.7, abs=0.01)
    assert share(before) == 1.0
    until(lambda: seen() == 1.0, "seen to be open to all")
