"""Samples how late an application's event loop is, from inside."""

import asyncio
import json
import statistics
import time
from pathlib import Path
from typing import Any

from textual.app import App

STEP_S = 0.005
START_UP_S = 3.0
"""Left out: the budget speaks of the time after start-up."""


async def _sample(delays_ms: list[float]) -> None:
    await asyncio.sleep(START_UP_S)
    while True:
        begin = time.perf_counter()
        await asyncio.sleep(STEP_S)
        delays_ms.append((time.perf_counter() - begin - STEP_S) * 1000)


def run_sampled(app: App[int], report: str) -> int:
    """Run `app` with a sampling task beside it; write p50, p99 and max in milliseconds to `report`."""
    delays_ms: list[float] = []

    async def run() -> Any:
        task = asyncio.create_task(_sample(delays_ms))
        try:
            return await app.run_async()
        finally:
            task.cancel()

    status = asyncio.run(run())
    cuts = statistics.quantiles(delays_ms, n=100)
    found = {"p50_ms": cuts[49], "p99_ms": cuts[98], "max_ms": max(delays_ms), "samples": len(delays_ms)}
    Path(report).write_text(json.dumps(found), encoding="utf-8")
    return int(status or 0)
