"""What a poll of scraped pages costs: CPU of reading, evaluating, and of a whole poll over loopback HTTP.

`python -m benchmarks.scrape` prints one JSON object. The pages are the size of the demo fleet's: 17 pages,
about 4,000 lines together, from the sample expositions, every counter moving with every scrape.
"""

import argparse
import asyncio
import json
import multiprocessing
import re
import statistics
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path

from collectors.scrape.evaluate import evaluate
from collectors.scrape.history import TargetHistory
from collectors.scrape.page import PageReader
from collectors.scrape.poller import PageTarget, ScrapePoller
from collectors.signals.catalogue import window_s
from collectors.signals.presets import read_presets
from collectors.signals.promql import series_name

SAMPLES = Path(__file__).parent.parent / "tests" / "data" / "samples"
PARTS = (("vllm", 12), ("llm-d-epp", 1), ("dcgm-exporter", 4))
LINES = 4000

_SAMPLE = re.compile(r"^(\S+(?:\{.*\})?) (\S+)$", re.MULTILINE)


def pages() -> list[str]:
    """Expositions of the demo's size; `{0}` is where a number goes that grows with every scrape."""
    found = []
    for name, count in PARTS:
        text = (SAMPLES / f"{name}.prom").read_text()
        found += [
            re.sub(r'="', f'="{i}-', text) if i % 3 == 2 and name == "vllm" else text for i in range(count)
        ]
    short = LINES - sum(page.count("\n") for page in found)
    # Many accelerators on the last page, as one host of the demo has.
    rows = [line for line in found[-1].splitlines() if line.startswith("DCGM") and "UUID" in line]
    more = [rows[i % len(rows)].replace('UUID="', f'UUID="{i}-') for i in range(max(0, short))]
    found[-1] += "\n".join(more) + "\n"
    return found


def moved(page: str, by: int) -> bytes:
    """The page after `by` scrapes: every sample is larger by one in a thousand of itself."""
    return _SAMPLE.sub(lambda line: f"{line[1]} {float(line[2]) * (1 + by / 1000)!r}", page).encode()


def worked(rounds: int) -> dict[str, float]:
    """CPU of reading and of evaluating, milliseconds a poll, median; wall time of the first reading too."""
    began = time.perf_counter()
    presets = read_presets()
    presets_ms = 1000 * (time.perf_counter() - began)
    wanted = {name for preset in presets for name in preset.proof}
    definitions = [one for preset in presets for one in preset.definitions]
    for one in definitions:
        wanted |= {series_name(one, metric) for metric in (*one.metrics, *one.over)}
    texts = pages()
    histories = [TargetHistory({"instance": f"h{i}:1", "job": "scrape"}) for i in range(len(texts))]
    readers = [PageReader(wanted) for _ in texts]
    reading, evaluating, first = [], [], 0.0
    for number in range(rounds):
        bodies = [moved(text, number) for text in texts]
        at = 1_700_000_000 + number
        began = time.process_time()
        for body, reader, history in zip(bodies, readers, histories, strict=True):
            history.record(reader.read(body), at * 1000, 40_000)
        read = time.process_time()
        rows = sum(len(evaluate(one, histories, at, window_s(1))) for one in definitions)
        done = time.process_time()
        if number == 0:
            first = read - began
        elif number >= rounds // 3:
            reading.append(read - began)
            evaluating.append(done - read)
    return {
        "pages": len(texts),
        "lines": sum(text.count("\n") for text in texts),
        "bytes": sum(map(len, texts)),
        "definitions": len(definitions),
        "rows": rows,
        "presets_ms": presets_ms,
        "first_read_ms": 1000 * first,
        "read_ms": 1000 * statistics.median(reading),
        "evaluate_ms": 1000 * statistics.median(evaluating),
    }


def _serve(pipe: Connection) -> None:
    texts = pages()
    bodies = [[moved(text, number) for number in range(8)] for text in texts]
    served = [0] * len(texts)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            index = int(self.path.rsplit("/", 1)[1])
            body = bodies[index][served[index] % 8]
            served[index] += 1
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    pipe.send((server.server_address[1], len(texts)))
    server.serve_forever()


async def polled(port: int, count: int, rounds: int, interval_s: float) -> dict[str, float]:
    """CPU and wall time of a whole poll, and how long the event loop was kept from other work meanwhile."""
    targets = [PageTarget(f"http://127.0.0.1:{port}/{i}") for i in range(count)]
    poller = ScrapePoller(targets, presets=read_presets(), interval_s=interval_s)
    cpu, wall, late = [], [], []
    watching = True

    async def ticking() -> None:
        while watching:
            began = time.perf_counter()
            await asyncio.sleep(0.002)
            late.append(time.perf_counter() - began - 0.002)

    ticker: asyncio.Task[None] | None = None
    for number in range(rounds):
        began, used = time.perf_counter(), time.process_time()
        await poller.poll()
        if number >= rounds // 3:
            cpu.append(time.process_time() - used)
            wall.append(time.perf_counter() - began)
        await asyncio.sleep(interval_s)
    ticker = asyncio.create_task(ticking())
    for _ in range(rounds // 2):
        await poller.poll()
        await asyncio.sleep(interval_s)
    watching = False
    await ticker
    await poller.aclose()
    late.sort()
    return {
        "poll_cpu_ms": 1000 * statistics.median(cpu),
        "poll_wall_ms": 1000 * statistics.median(wall),
        "loop_late_p99_ms": 1000 * late[int(len(late) * 0.99)],
        "loop_late_max_ms": 1000 * late[-1],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--interval", type=float, default=0.3, help="seconds between polls over HTTP")
    options = parser.parse_args(arguments)
    found = worked(options.rounds)
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    try:
        port, count = ours.recv()
        found |= asyncio.run(polled(port, count, options.rounds, options.interval))
    finally:
        server.terminate()
        server.join()
    print(json.dumps({name: round(value, 2) for name, value in found.items()}, indent=2))


if __name__ == "__main__":
    main()
