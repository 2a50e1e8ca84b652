"""What watching costs a real Prometheus: queries, bytes and server CPU a poll, with 10,000 accelerators.

    python -m benchmarks.prometheus [--scenario S] [--polls N]

Starts `tidegate simulate` and Debian's Prometheus on it (5 s scrapes), then polls as the live loop does. The
server's CPU while nobody asks (its own scraping) is measured in the same run and taken off.
"""

import argparse
import asyncio
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from collectors.config import PrometheusServer
from collectors.prometheus.live import PrometheusPoller
from collectors.signals.presets import read_presets

START_S = 60.0
"""A process that is not ready by then never will be."""

SCRAPES = 6
"""Scrapes of each target before anything is measured: rates need four."""

SCRAPE_S, POLL_S = 5.0, 5.0


def free_port() -> int:
    """A loopback port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(is_so: Callable[[], bool], what: str, *, within_s: float, by: subprocess.Popen[bytes]) -> None:
    """Wait until something is so. by: the process that makes it so

    raises: TimeoutError where it takes longer, RuntimeError where that process has ended; both say `what`
    """
    deadline = time.monotonic() + within_s
    while not is_so():
        if by.poll() is not None:
            raise RuntimeError(f"{what}: the process ended with status {by.returncode}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not so after {within_s:g} s")
        time.sleep(0.1)


def let_pass(seconds: float) -> None:
    """Let a span of time go by that something is measured over."""
    time.sleep(seconds)


@contextmanager
def server_on(config: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A Prometheus with that configuration, once it answers: its URL and process. Its data lies beside it."""
    port = free_port()
    server = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={config.parent}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: is_ready(url), "Prometheus answers", within_s=START_S, by=server)
        yield url, server
    finally:
        server.kill()
        server.wait()


@contextmanager
def fleet_and_server(scenario: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A simulated fleet and a Prometheus that scrapes it: the server's URL and process."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "prometheus.yml"
        fleet = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "collectors.simulator",
                "--listen",
                f"127.0.0.1:{free_port()}",
                "--scenario",
                scenario,
                "--write",
                folder,
            ],
            stdout=subprocess.DEVNULL,
        )
        try:
            until(config.exists, "the simulated fleet is there", within_s=START_S, by=fleet)
            with server_on(config) as (url, server):
                yield url, server
        finally:
            fleet.kill()
            fleet.wait()


def is_ready(url: str) -> bool:
    """True once the server answers."""
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def number(url: str, query: str) -> float:
    """The first value of an answer; 0 where it has none."""
    form = urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(f"{url}/api/v1/query?{form}", timeout=30) as answer:
        found = json.load(answer)["data"]["result"]
    return float(found[0]["value"][1]) if found else 0.0


def until_scraped(url: str, server: subprocess.Popen[bytes], times: int, within_s: float) -> None:
    """Wait until every target was scraped so often. raises: as `until`"""
    query = "min(count_over_time(up[1h]))"
    until(
        lambda: number(url, query) >= times, f"{times} scrapes of each target", within_s=within_s, by=server
    )


def rest_cores(process: psutil.Process, seconds: float) -> float:
    """Cores that the server uses while nobody asks, over so many seconds."""
    used, began = cpu_s(process), time.monotonic()
    let_pass(seconds)
    return (cpu_s(process) - used) / (time.monotonic() - began)


async def next_poll(began: float) -> None:
    """Wait until the poll after the one that began then is due."""
    await asyncio.sleep(max(0.0, POLL_S - (time.monotonic() - began)))


def cpu_s(process: psutil.Process) -> float:
    """CPU seconds the process has used."""
    used = process.cpu_times()
    return float(used.user + used.system)


async def polled(url: str, server: psutil.Process, polls: int, idle_cores: float) -> list[dict[str, float]]:
    """One row a poll; polls stand 5 s apart, as in the live loop."""
    poller = PrometheusPoller(PrometheusServer(url=url, timeout_s=30), presets=read_presets(), past_s=0)
    rows = []
    for _ in range(polls):
        began, used, own = time.monotonic(), cpu_s(server), time.process_time()
        poll = await poller.poll()
        own = time.process_time() - own
        await next_poll(began)
        spent = cpu_s(server) - used - idle_cores * (time.monotonic() - began)
        rows.append(
            {
                "queries": poll.health.queries,
                "received_bytes": poll.health.received_bytes,
                "server_cpu_ms": 1000 * max(0.0, spent),
                "own_cpu_ms": 1000 * own,
                "latency_ms": 1000 * (poll.health.latency_s or 0.0),
                "with_accelerators": any(a.definition.role == "heat" for a in poll.answers),
            }
        )
    await poller.aclose()
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Measure and print: a table, then one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenario", default="bench-50x5-10k", metavar="S", help="(bench-50x5-10k)")
    parser.add_argument("--polls", type=int, default=12, metavar="N", help="polls measured (12)")
    given = parser.parse_args(arguments)
    if shutil.which("prometheus") is None:
        print(
            "benchmarks.prometheus: no Prometheus on this machine: apt-get install prometheus",
            file=sys.stderr,
        )
        return 2
    with fleet_and_server(given.scenario) as (url, server):
        print(f"until each target was scraped {SCRAPES} times ...", file=sys.stderr, flush=True)
        until_scraped(url, server, SCRAPES, START_S + 2 * SCRAPES * SCRAPE_S)
        process = psutil.Process(server.pid)
        idle_cores = rest_cores(process, 4 * POLL_S)
        # The first poll also detects what there is.
        rows = asyncio.run(polled(url, process, given.polls + 1, idle_cores))[1:]
    report: dict[str, dict[str, float]] = {}
    for name, wanted in (("usual poll", False), ("poll with accelerators", True)):
        some = [row for row in rows if row["with_accelerators"] is wanted]
        if not some:
            continue
        report[name] = {k: statistics.fmean(r[k] for r in some) for k in some[0] if k != "with_accelerators"}
        shown = "  ".join(f"{k} {v:,.0f}" for k, v in report[name].items())
        print(f"{name:24} {shown}")
    print(f"server at rest           {100 * idle_cores:.1f} % of a core")
    print(json.dumps({"scenario": given.scenario, "idle_cores": idle_cores, "polls": report}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
