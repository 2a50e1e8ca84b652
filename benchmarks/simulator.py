"""What the simulated fleet costs: a step, a scrape of all pages, the way from exec to listening, its process.

`python -m benchmarks.simulator` prints one JSON object. Steps are measured for the demo's 44 classes and for
1,000, with idle queues and in overload; waits for a page while the world runs at 120 times its speed.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

import httpx
import numpy as np
import psutil

from collectors.simulator.exporter import Exporter
from collectors.simulator.scenario import read_scenario
from collectors.simulator.world import PREWARM_STEPS, World

OVERLOAD = 2.0


def stepped(name: str, overload: float, steps: int) -> tuple[float, float]:
    """Median and p99 of a step, milliseconds, after pre-warming at `overload` times the usual demand."""
    world = World(read_scenario(name), 1)
    orders = world.open_orders()
    orders.opened[:] = overload
    for _ in range(PREWARM_STEPS):
        world.advance(orders)
    times = []
    for _ in range(steps):
        began = time.perf_counter()
        world.advance(orders)
        times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times), float(np.quantile(times, 0.99))


def scraped(name: str, rounds: int) -> tuple[float, float, int]:
    """Median milliseconds to write every page, and the slowest single page; lines of all pages."""
    world = World(read_scenario(name), 1)
    exporter, orders = Exporter(world), world.open_orders()
    world.advance(orders)
    lines = sum(exporter.text(page).count("\n") for page in exporter.pages)
    whole, slowest = [], 0.0
    for _ in range(rounds):
        world.advance(orders)
        times = []
        for page in exporter.pages:
            began = time.perf_counter()
            exporter.text(page)
            times.append(1e3 * (time.perf_counter() - began))
        whole.append(sum(times))
        slowest = max(slowest, *times)
    return statistics.median(whole), slowest, lines


def started(speed: float) -> "tuple[float, subprocess.Popen[bytes], list[str]]":
    """Seconds from exec to the announcement, the process, and the pages' URLs."""
    command = [
        sys.executable, "-m", "collectors.simulator", "--listen", "127.0.0.1:0", "--scenario", "melting-gpus",
        "--epoch", "scenario", "--announce", "--speed", str(speed),
    ]  # fmt: skip
    began = time.perf_counter()
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    announced = json.loads(child.stdout.readline())
    return time.perf_counter() - began, child, [target["url"] for target in announced["targets"]]


def ended(child: "subprocess.Popen[bytes]") -> float:
    """Seconds it takes to end."""
    began = time.perf_counter()
    child.communicate()
    return time.perf_counter() - began


async def served(urls: list[str], seconds: float) -> list[float]:
    """Milliseconds of single requests for pages, one after another."""
    times = []
    async with httpx.AsyncClient() as client:
        for url in urls:
            await client.get(url)
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            for url in urls:
                began = time.perf_counter()
                await client.get(url)
                times.append(1e3 * (time.perf_counter() - began))
                await asyncio.sleep(0.005)
    return times


def process(speed: float, seconds: float) -> tuple[float, float, float, float]:
    """CPU in per cent of a core, resident MB, median and p99 milliseconds of a page, while scraped."""
    _, child, urls = started(speed)
    watched = psutil.Process(child.pid)
    before, began = sum(watched.cpu_times()[:2]), time.perf_counter()
    times = asyncio.run(served(urls, seconds))
    cpu = 100 * (sum(watched.cpu_times()[:2]) - before) / (time.perf_counter() - began)
    resident = watched.memory_info().rss / 1e6
    ended(child)
    return cpu, resident, statistics.median(times), float(np.quantile(times, 0.99))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seconds", type=float, default=4.0, help="of serving, at each speed")
    options = parser.parse_args(arguments)
    found: dict[str, float] = {}
    for label, name in (("44_classes", "calm"), ("1000_classes", "bench-50x5-10k")):
        for kind, overload in (("idle", 1.0), ("overload", OVERLOAD)):
            median, worst = stepped(name, overload, options.steps)
            found[f"step_{label}_{kind}_ms"], found[f"step_{label}_{kind}_p99_ms"] = median, worst
        whole, slowest, lines = scraped(name, 20)
        found[f"pages_{label}_ms"], found[f"page_{label}_worst_ms"] = whole, slowest
        found[f"lines_{label}"] = lines
    starts, ends = [], []
    for _ in range(5):
        start_s, child, _ = started(1.0)
        starts.append(start_s)
        ends.append(ended(child))
    found["exec_to_listening_s"], found["told_to_ended_s"] = (
        statistics.median(starts),
        statistics.median(ends),
    )
    for speed in (1.0, 120.0):
        cpu, resident, median, worst = process(speed, options.seconds)
        found |= {
            f"cpu_percent_speed_{speed:g}": cpu,
            f"rss_mb_speed_{speed:g}": resident,
            f"page_over_http_speed_{speed:g}_ms": median,
            f"page_over_http_speed_{speed:g}_p99_ms": worst,
        }
    print(json.dumps({name: round(value, 2) for name, value in found.items()}, indent=2))


if __name__ == "__main__":
    main()
