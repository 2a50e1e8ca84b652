"""The cockpit without a screen: one line a second, or one frame for a script."""

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from collectors.daemon import DaemonExecutor
from collectors.fleet import Frame, Source, SourceState
from collectors.readings import Interval, Reading, worded
from tui.feed import is_own, sentence_of
from tui.format import counted
from tui.output import USAGE_ERROR, OutputError, as_json, fail, say, warn
from tui.store import judged_tiers

if TYPE_CHECKING:
    from collectors.config import Context


def run_headless(connect: Callable[[], Source], seconds: float | None) -> int:
    """Print a line for each frame until `seconds` are over.

    Returns 0; 1 if the source failed; 2 if it could not be built. raises: OutputError
    """
    if (built := _built(connect)) is None:
        return USAGE_ERROR
    source = built

    async def follow() -> None:
        asyncio.get_running_loop().set_default_executor(DaemonExecutor())
        try:
            async with asyncio.timeout(seconds):
                async for frame in source.frames():
                    say(headline(frame))
                    for event in frame.events:
                        say(f"  {event.actor} {event.subject}: {event.text}")
        except TimeoutError:
            pass  # `seconds` are over: that is how it is meant to end
        finally:
            await source.aclose()

    try:
        asyncio.run(follow())
    except OutputError:
        raise
    except Exception as error:
        if not is_own(error):
            raise
        return fail(sentence_of(error), 1)
    return 0


def _built(connect: Callable[[], Source]) -> Source | None:
    """The source; None, once its sentence is said, when what was asked for cannot be followed."""
    try:
        return connect()
    except Exception as error:
        # Ours, values that a library refuses, files that are not there. Anything else is a fault of ours.
        if not (is_own(error) or isinstance(error, ValueError | OSError)):
            raise
        fail(sentence_of(error))
        return None


def headline(frame: Frame) -> str:
    """A frame in one line: time, once it is known; sources, accelerators, and the worst wait there is."""
    time = datetime.fromtimestamp(frame.at, UTC).strftime("%H:%M:%SZ")
    clock = "" if frame.is_before_its_clock else time
    mark = f"{frame.mode} SIMULATED" if frame.simulated else frame.mode
    sources = " ".join(f"{s.name}:{s.state.value}" for s in frame.sources)
    waits = [
        (r.estimate, model.name, tier, r)
        for model in frame.models
        for tier in judged_tiers(model)
        if (r := model.reading("queue_wait_p99", tier)).estimate is not None
    ]
    worst = "worst p99 wait: none yet"
    if waits:
        _, name, tier, one = max(waits, key=lambda w: (w[0], w[1], w[2]))
        worst = f"worst p99 wait {shown(one)} s ({name} {tier})"
    accelerators = frame.totals.get("accelerators")
    there = accelerators.estimate if accelerators else None
    size = counted(f"{there:g}", "accelerator") if there is not None else ""
    models = counted(str(len(frame.models)), "model")
    return "  ".join(filter(None, (clock, mark, sources, size, models, worst)))


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
    if one.value is not None and one.reason.code == "p95":
        text = f"(p95) {text}"
    return f"{text} ~" if one.quality.value == "stale" else text


def print_snapshot(name: str, context: "Context", form: str, within_s: float, width: int) -> int:
    """Print one frame.

    Returns 0; 1 when a source did not answer (what it said goes to standard error); 2 when one could not be
    built. raises: OutputError
    """
    from collectors.live import live_source
    from collectors.snapshot import snapshot

    told = ""

    def progress(text: str) -> None:
        nonlocal told
        if text != told and sys.stderr is not None and sys.stderr.isatty():
            warn(f"{text} ...")
        told = text

    if (built := _built(lambda: live_source(name, context))) is None:
        return USAGE_ERROR
    try:
        frame = asyncio.run(snapshot(built, within_s, progress))
    except TimeoutError:
        return fail(f"no answer within {within_s:g} s", 1)
    except Exception as error:
        if not is_own(error):
            raise
        return fail(sentence_of(error), 1)
    say(_as_json(frame) if form == "json" else _as_table(frame, width))
    silent = [s for s in frame.sources if s.state in {SourceState.LOST, SourceState.CONNECTING}]
    for source in silent:
        warn(f"{source.name}: {source.error or 'no answer yet'}")
    return 1 if silent else 0


def _as_json(frame: Frame) -> str:
    from collectors.frame_json import render_frame

    return as_json(render_frame(frame))


def _as_table(frame: Frame, width: int) -> str:
    from tui.format import UNICODE
    from tui.store import History
    from tui.widgets.fleet_table import FleetView, fleet_lines

    history = History()
    history.add(frame)
    history.settle()
    lines = fleet_lines(frame, history, FleetView(), width, UNICODE)
    return "\n".join("".join(cell.text for cell in line.cells).rstrip() for line in lines)
