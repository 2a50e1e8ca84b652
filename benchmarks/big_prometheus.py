"""What a very large fleet costs: 1,000 models of 6 tiers and 10,000 accelerators on one real Prometheus.

    python -m benchmarks.big_prometheus [--models N] [--tiers N] [--accelerators N] [--interval S] [--polls N]

Serves the pages, starts Debian's Prometheus on them and polls as the live loop does: the fleet with its first
2,000 accelerators only, the fleet whole, and the fleet whole with our recording rules. The bytes of the fleet
screen (all but the heat map's) must not grow with the accelerators: exit status 1 if they do, or if a query
fails.
"""

import argparse
import asyncio
import gzip
import json
import multiprocessing
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.large_pages import Fleet, serve
from benchmarks.prometheus import (
    START_S,
    cpu_s,
    next_poll,
    number,
    rest_cores,
    server_on,
    until,
    until_scraped,
)
from collectors.config import Identity, PrometheusServer
from collectors.prometheus.answer import by_node
from collectors.prometheus.live import PrometheusPoller
from collectors.signals.assemble import observed
from collectors.signals.catalogue import Answer, Poll
from collectors.signals.identity import Names
from collectors.signals.presets import read_presets
from collectors.signals.recording import groups, rendered

FEW = 2_000
SCRAPES, EVALUATIONS = 6, 3
"""Of each target, and of the rules, before anything is measured."""

MOST_POLLS = 10
"""Polls for each that is measured, at most: accelerators are asked for in every third."""

GROWTH_ALLOWED = 1.05
"""Bytes of the fleet screen with all accelerators over those with the first 2,000, at most."""

STACKS = ("dcgm", "endpoint-picker", "vllm")


@dataclass(frozen=True)
class Running:
    """A Prometheus that scrapes the fleet. rules: the file that it reads its rules from, if there is one."""

    url: str
    server: subprocess.Popen[bytes]
    process: psutil.Process
    rules: Path
    series: int


@contextmanager
def fleet_and_server(fleet: Fleet, interval_s: float) -> Iterator[Running]:
    """The fleet's pages and a Prometheus on them, until the block ends."""
    ours, theirs = multiprocessing.Pipe()
    web = multiprocessing.get_context("spawn").Process(target=serve, args=(fleet, theirs), daemon=True)
    web.start()
    with tempfile.TemporaryDirectory() as folder:
        try:
            if not ours.poll(START_S):
                raise TimeoutError(f"the fleet's pages are not served after {START_S:g} s")
            port, labels, series = ours.recv()
            file, rules = Path(folder) / "prometheus.yml", Path(folder) / "rules.yml"
            file.write_text(json.dumps(configuration(port, labels, rules, interval_s)), encoding="utf-8")
            with server_on(file) as (url, server):
                yield Running(url, server, psutil.Process(server.pid), rules, series)
        finally:
            web.terminate()
            web.join()


def configuration(
    port: int, labels: Sequence[Mapping[str, str]], rules: Path, interval_s: float
) -> dict[str, object]:
    """Prometheus's configuration: a job for each kind of page, and rules from a file that may come later."""
    interval = f"{round(interval_s * 1000)}ms"
    jobs = [
        {
            "job_name": str(number),
            "metrics_path": f"/{number}/metrics",
            "honor_labels": True,
            "static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": dict(one)}],
        }
        for number, one in enumerate(labels)
    ]
    times = {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval}
    return {"global": times, "rule_files": [f"{rules.parent}/rule*.yml"], "scrape_configs": jobs}


def rules(interval_s: float) -> str:
    """Our rules for what the fleet has."""
    presets = [one for one in read_presets() if one.stack in STACKS]
    heat = [by_node(d) for one in presets for d in one.definitions if d.lane == "heat"]
    return rendered(groups(presets, dict.fromkeys(STACKS, interval_s), heat))


def until_evaluated(running: Running, within_s: float) -> None:
    """Wait until the rules were evaluated some times. raises: as `until`"""
    query = 'max(count_over_time({__name__=~"tidegate:.+"}[1h]))'
    what = f"{EVALUATIONS} evaluations of the rules"
    until(lambda: number(running.url, query) >= EVALUATIONS, what, within_s=within_s, by=running.server)


def heat_bytes(url: str, answers: Sequence[Answer]) -> int:
    """Bytes of the heat map's answers, packed as they travel."""
    total = 0
    for one in answers:
        if one.definition.role == "heat":
            form = urllib.parse.urlencode({"query": one.query}).encode()
            asked = urllib.request.Request(f"{url}/api/v1/query", form, {"Accept-Encoding": "gzip"})
            with urllib.request.urlopen(asked, timeout=60) as answer:
                body = answer.read()
                total += len(body if answer.headers.get("Content-Encoding") else gzip.compress(body))
    return total


async def polled(
    running: Running, polls: int, rest: float, select: tuple[str, ...]
) -> dict[str, float | list[str]]:
    """Means over the polls that asked for accelerators too, after one that also detects."""
    server = PrometheusServer(url=running.url, timeout_s=60, select=select)
    poller = PrometheusPoller(server, presets=read_presets(), past_s=0)
    names = Names(Identity())
    rows: list[dict[str, float]] = []
    errors: dict[str, None] = {}
    warnings: dict[str, None] = {}
    last: Poll | None = None
    await poller.poll()
    for _ in range(MOST_POLLS * polls):
        if len(rows) == polls:
            break
        began, used, own = time.monotonic(), cpu_s(running.process), time.process_time()
        poll = await poller.poll()
        asked = time.process_time()
        names = names.learned(poll.answers)
        seen = observed(poll, names)
        done = time.process_time()
        spent = cpu_s(running.process) - used - rest * (time.monotonic() - began)
        errors.update(dict.fromkeys(one.error for one in poll.answers if one.error))
        if poll.health.error:
            errors[poll.health.error] = None
        warnings.update(dict.fromkeys(poll.health.warnings))
        if any(one.definition.role == "heat" for one in poll.answers):
            last = poll
            rows.append(
                {
                    "queries": poll.health.queries,
                    "received_bytes": poll.health.received_bytes,
                    "server_cpu_ms": 1000 * max(0.0, spent),
                    "poll_cpu_ms": 1000 * (asked - own),
                    "assemble_cpu_ms": 1000 * (done - asked),
                    "latency_ms": 1000 * (poll.health.latency_s or 0.0),
                    "models": len(seen.models),
                    "recorded": sum(bool(one.recorded) for one in poll.answers),
                }
            )
        await next_poll(began)
    await poller.aclose()
    if last is None:
        said = "; ".join(errors) or "no error was told"
        raise RuntimeError(f"none of {MOST_POLLS * polls} polls asked for accelerators: {said}")
    found: dict[str, float | list[str]] = {
        name: statistics.fmean(row[name] for row in rows) for name in rows[0]
    }
    heat = await asyncio.to_thread(heat_bytes, running.url, last.answers)
    found["heat_bytes"] = heat
    found["fleet_bytes"] = statistics.fmean(row["received_bytes"] for row in rows) - heat
    found["errors"], found["warnings"] = list(errors), list(warnings)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Measure and print: a table, then one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=int, default=1000, metavar="N", help="(1000)")
    parser.add_argument("--tiers", type=int, default=6, metavar="N", help="(6)")
    parser.add_argument("--accelerators", type=int, default=10_000, metavar="N", help="(10000)")
    parser.add_argument("--interval", type=float, default=30.0, metavar="S", help="between scrapes (30)")
    parser.add_argument("--polls", type=int, default=4, metavar="N", help="polls measured each time (4)")
    given = parser.parse_args(arguments)
    if shutil.which("prometheus") is None:
        said = "no Prometheus on this machine: apt-get install prometheus"
        print(f"benchmarks.big_prometheus: {said}", file=sys.stderr)
        return 2
    fleet = Fleet(given.models, given.tiers, given.accelerators, min(FEW, given.accelerators // 2))
    report: dict[str, dict[str, float | list[str]]] = {}
    rest: dict[str, float] = {}
    with fleet_and_server(fleet, given.interval) as running:
        print(f"scraping {running.series:,} series ...", file=sys.stderr, flush=True)
        until_scraped(running.url, running.server, SCRAPES, START_S + 2 * SCRAPES * given.interval)
        few, whole = (f"{n:,} accelerators" for n in (fleet.first, fleet.accelerators))
        rest["without rules"] = rest_cores(running.process, 2 * given.interval)
        for name, select in ((few, ('block!="rest"',)), (whole, ())):
            report[name] = asyncio.run(polled(running, given.polls, rest["without rules"], select))
        running.rules.write_text(rules(given.interval), encoding="utf-8")
        running.process.send_signal(signal.SIGHUP)
        until_evaluated(running, START_S + 2 * EVALUATIONS * given.interval)
        rest["with rules"] = rest_cores(running.process, 2 * given.interval)
        report[f"{whole}, with rules"] = asyncio.run(polled(running, given.polls, rest["with rules"], ()))
        size_bytes = running.process.memory_info().rss
    for name, row in report.items():
        shown = "  ".join(f"{k} {v:,.0f}" for k, v in row.items() if isinstance(v, float | int))
        print(f"{name:38} {shown}")
        for what in ("errors", "warnings"):
            print("".join(f"  {what}: {text}\n" for text in row[what]), end="")  # type: ignore[union-attr]  # the lists
    for name, cores in rest.items():
        print(f"server at rest, {name:22} {100 * cores:.1f} % of a core")
    print(f"server memory {size_bytes / 2**20:,.0f} MiB, {running.series:,} series scraped")
    grown = _number(report[whole]["fleet_bytes"]) / _number(report[few]["fleet_bytes"])
    print(f"fleet screen's bytes, all accelerators over the first: {grown:.3f}, at most {GROWTH_ALLOWED}")
    print(json.dumps({"fleet": vars(given), "series": running.series, "rest_cores": rest, "polls": report}))
    failed = any(row["errors"] for row in report.values())
    return 1 if failed or grown > GROWTH_ALLOWED else 0


def _number(found: float | list[str]) -> float:
    assert not isinstance(found, list)
    return found


if __name__ == "__main__":
    sys.exit(main())
