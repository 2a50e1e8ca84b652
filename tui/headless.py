"""The cockpit without a screen: one line a second, or one frame for a script."""

import asyncio
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from collectors.fleet import Frame, Interval, Reading, Source, SourceState, worded

if TYPE_CHECKING:
    from collectors.config import Context


def run_headless(connect: Callable[[], Source], seconds: float | None) -> int:
    """Print a line for each frame until `seconds` are over. Returns 0, or 1 if the source failed."""

    async def follow() -> None:
        source = connect()
        try:
            async with asyncio.timeout(seconds):
                async for frame in source.frames():
                    print(headline(frame), flush=True)
                    for event in frame.events:
                        print(f"  {event.actor} {event.subject}: {event.text}", flush=True)
        except TimeoutError:
            pass  # `seconds` are over: that is how it is meant to end
        finally:
            await source.aclose()

    from collectors.demo import DemoError

    try:
        asyncio.run(follow())
    except DemoError as error:
        print(f"tidegate: {error}", file=sys.stderr)
        return 1
    return 0


def headline(frame: Frame) -> str:
    """A frame in one line: time, sources, accelerators, and the worst wait there is."""
    clock = datetime.fromtimestamp(frame.at, UTC).strftime("%H:%M:%SZ")
    mark = f"{frame.mode} SIMULATED" if frame.simulated else frame.mode
    sources = " ".join(f"{s.name}:{s.state.value}" for s in frame.sources)
    waits = [
        (r.estimate, model.name, tier, r)
        for model in frame.models
        for tier, readings in model.tiers.items()
        if (r := readings.get("queue_wait_p99")) is not None and r.estimate is not None
    ]
    worst = "worst p99 wait: none yet"
    if waits:
        _, name, tier, one = max(waits, key=lambda w: (w[0], w[1], w[2]))
        worst = f"worst p99 wait {shown(one)} s ({name} {tier})"
    accelerators = frame.totals.get("accelerators")
    count = f"{accelerators.value:g} accelerators" if accelerators and accelerators.value is not None else ""
    return "  ".join(filter(None, (clock, mark, sources, count, f"{len(frame.models)} models", worst)))


def shown(one: Reading) -> str:
    """A reading as text: a number, an interval with its bounds, or why there is none."""
    if isinstance(one.value, Interval):
        past = one.value.hi == float("inf")
        text = (
            f">={one.value.lo:g}" if past else f"{one.value.estimate:.2g} ({one.value.lo:g}-{one.value.hi:g})"
        )
    elif one.value is None:
        return f"- ({worded(one.reason)})" if one.reason.code else "-"
    else:
        text = f"{one.value:g}"
    return f"{text} ~" if one.quality.value == "stale" else text


def print_snapshot(name: str, context: "Context", form: str, within_s: float, width: int) -> int:
    """Print one frame. Returns 0, or 1 when a source did not answer (what it said goes to standard error)."""
    from collectors.live import live_source
    from collectors.snapshot import snapshot

    told = ""

    def progress(text: str) -> None:
        nonlocal told
        if text != told and sys.stderr.isatty():
            print(f"tidegate: {text} ...", file=sys.stderr)
        told = text

    try:
        frame = asyncio.run(snapshot(live_source(name, context), within_s, progress))
    except TimeoutError:
        print(f"tidegate: no answer within {within_s:g} s", file=sys.stderr)
        return 1
    print(_as_json(frame) if form == "json" else _as_table(frame, width))
    silent = [s for s in frame.sources if s.state in {SourceState.LOST, SourceState.CONNECTING}]
    for source in silent:
        print(f"tidegate: {source.name}: {source.error or 'no answer yet'}", file=sys.stderr)
    return 1 if silent else 0


def _as_json(frame: Frame) -> str:
    from collectors.frame_json import render_frame

    return json.dumps(render_frame(frame), ensure_ascii=False, indent=1, allow_nan=False)


def _as_table(frame: Frame, width: int) -> str:
    from tui.format import UNICODE
    from tui.store import History
    from tui.widgets.fleet_table import FleetView, fleet_lines

    history = History()
    history.add(frame)
    lines = fleet_lines(frame, history, FleetView(), width, UNICODE)
    return "\n".join("".join(cell.text for cell in line.cells).rstrip() for line in lines)
