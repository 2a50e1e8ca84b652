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
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from collectors.config import PrometheusServer
from collectors.prometheus.live import PrometheusPoller
from collectors.signals.presets import read_presets

SETTLE_S = 30.0
POLL_S = 5.0


def free_port() -> int:
    """A loopback port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def fleet_and_server(scenario: str) -> Iterator[tuple[str, psutil.Process]]:
    """A simulated fleet and a Prometheus that scrapes it: the server's URL and process."""
    with tempfile.TemporaryDirectory() as folder:
        config, port = Path(folder) / "prometheus.yml", free_port()
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
        server = None
        try:
            while not config.exists():
                if fleet.poll() is not None:
                    raise RuntimeError("the simulated fleet did not start")
                time.sleep(0.1)
            server = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={config}",
                    f"--storage.tsdb.path={folder}/data",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stderr=subprocess.DEVNULL,
            )
            url = f"http://127.0.0.1:{port}"
            while not is_ready(url):
                time.sleep(0.1)
            yield url, psutil.Process(server.pid)
        finally:
            for process in (fleet, server):
                if process is not None:
                    process.kill()
                    process.wait()


def is_ready(url: str) -> bool:
    """True once the server answers."""
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


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
        await asyncio.sleep(max(0.0, POLL_S - (time.monotonic() - began)))
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
        print(f"scraping for {SETTLE_S:.0f} s ...", file=sys.stderr, flush=True)
        time.sleep(SETTLE_S)
        used, began = cpu_s(server), time.monotonic()
        time.sleep(4 * POLL_S)
        idle_cores = (cpu_s(server) - used) / (time.monotonic() - began)
        # The first poll also detects what there is.
        rows = asyncio.run(polled(url, server, given.polls + 1, idle_cores))[1:]
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
