"""`tidegate reconstruct`: a recording of what nobody recorded, from what a Prometheus kept."""

import argparse
import asyncio
import gc
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from collectors.recording.times import counted, size, stamp
from tui.contexts import context_of, settings_of
from tui.output import USAGE_ERROR, fail, say, warn

if TYPE_CHECKING:
    from collectors.config import Context
    from collectors.reconstruct.audit import Log
    from collectors.reconstruct.plan import Cost
    from collectors.reconstruct.run import Done, Step

INTERRUPTED = 130
"""Exit status of whatever ctrl-c ended."""

DAY_S = 86_400.0
AUDIT_MOST = 256 * 2**20
TOLD_EVERY = 0.1
"""Without a terminal, how far it is is told at every tenth."""

_URL = re.compile(r"https?://", re.IGNORECASE)
_TIME_OF_DAY = re.compile(r"\s*\d{1,2}:\d{2}")


def reconstruct(args: argparse.Namespace) -> int:
    """Write a recording of the past. Returns 0, 1, 2 or 130; says why on standard error.

    raises: OutputError
    """
    from collectors.config import ConfigError
    from collectors.control.interface import PlaneError
    from collectors.live import known_presets
    from collectors.reconstruct.plan import Asked, PlanError, checked
    from collectors.reconstruct.ranges import Unanswered
    from collectors.reconstruct.run import FileError, Reconstruction
    from collectors.signals.presets import absence
    from collectors.toml_file import FileError as PresetError
    from tui.cli import VERSION

    try:
        name, context = context_of(args, settings_of(args))
        if not context.prometheus:
            return fail("only a Prometheus keeps a past: give --prometheus URL, or a context that has one")
        presets = known_presets(context)
        start, end = _span(args)
        checked(start, end, time.time(), args.step)
        text, log = _log(args.audit, context, end)
        asked = Asked(name, context, presets, start, end, args.step, text)
        work = Reconstruction(
            asked,
            args.out,
            version=VERSION,
            absence=lambda signal, stacks: absence(signal, stacks, presets),
            plane=log,
            typed=(args.start, args.end),
        )
        # Frames make many objects that live long and hold no cycles: looking for some is a tenth of the time.
        gc.set_threshold(100_000, 20, 50)
        with _shown() as step:
            done = asyncio.run(work.run(step, lambda cost, first: _agreed(args, cost, first, start)))
    except (ConfigError, PresetError, PlanError, FileError, ValueError) as error:
        return fail(error)
    except PlaneError as error:
        return fail(f"--audit: {error}", 1)
    except Unanswered as error:
        again = "" if not args.out.exists() else ". Run it again with the same arguments: it goes on"
        return fail(f"{_named(context)}: {str(error).rstrip('.')}{again}", 1)
    except KeyboardInterrupt:
        return fail("stopped. Run it again with the same arguments: it goes on", INTERRUPTED)
    if done is None:
        return USAGE_ERROR
    return _told(args.out, done)


def _told(out: Path, done: "Done") -> int:
    from collectors.text import clean

    shown = clean(str(out), 500)
    if done.was_whole:
        say(f"{shown} is there already, from the same arguments: nothing was done")
        return 0
    for sentence in done.troubles:
        warn(sentence)
    moments = f"{counted(done.frames, 'moment')} from {stamp(done.start)} to {stamp(done.end)}"
    say(f"wrote {shown}: {moments}, {size(done.size_bytes)}")
    if done.troubles:
        return fail("some of it could not be had, as said above: the recording says where", 1)
    say(f"  tidegate replay {shown}")
    return 0


def _agreed(args: argparse.Namespace, cost: "Cost", first: float, start: float) -> bool:
    """Say what it will be, and whether that is meant."""
    if first > start + 1:
        warn(f"there is data only from {stamp(first)}: what was before is not kept")
    if cost.is_much and not args.yes:
        fail(f"{cost.sentence()}. --yes does it; a longer --step, or a shorter span, is less")
        return False
    if sys.stderr is not None:
        print(cost.sentence(), file=sys.stderr, flush=True)
    return True


def _span(args: argparse.Namespace) -> tuple[float, float]:
    """--from and --to. Of a run that goes on, what they meant when it began. raises: ValueError"""
    from collectors.reconstruct import progress

    try:
        begun = progress.read(args.out)
    except (OSError, ValueError):
        begun = None  # told when it is gone on from
    if begun is not None and begun.typed == [args.start, args.end]:
        return begun.start, begun.end
    now = time.time()
    return _time("--from", args.start, now), _time("--to", args.end, now)


def _time(option: str, text: str, now: float) -> float:
    from collectors.recording.times import TimeError, parse_time

    # A time of day is that of the last 24 hours; anything else may be of any time.
    begin = now - DAY_S + 1 if _TIME_OF_DAY.match(text) else 0.0
    last = now if _TIME_OF_DAY.match(text) else now + 366 * DAY_S
    try:
        return now if text.strip().lower() == "now" else parse_time(text, now, begin, last, now=now).at
    except TimeError as error:
        raise ValueError(f"{option}: {error}") from error


def _log(given: str | None, context: "Context", end: float) -> "tuple[str, Log | None]":
    """The log's text and what it tells. raises: ValueError, PlaneError"""
    if given is None:
        return "", None
    from collectors.reconstruct.audit import LogError, read_log
    from collectors.text import clean

    if _URL.match(given):
        shown, text = "the plane's log", asyncio.run(_asked_log(given, context, end))
    else:
        shown = clean(given, 300)
        text = _read(Path(given), shown)
    try:
        return text, read_log(text)
    except LogError as error:
        raise ValueError(f"--audit: {shown}: {error}") from error


def _read(file: Path, shown: str) -> str:
    try:
        with file.open(encoding="utf-8") as found:
            text = found.read(AUDIT_MOST + 1)
    except OSError as error:
        raise ValueError(f"--audit: {shown} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"--audit: {shown} is no text") from error
    if len(text) > AUDIT_MOST:
        raise ValueError(f"--audit: {shown} is over {AUDIT_MOST // 2**20} MB: give a part of the log")
    return text


async def _asked_log(url: str, context: "Context", end: float) -> str:
    """The log of a plane up to a time: what comes later must not make another file of the same arguments.

    raises: PlaneError, ValueError
    """
    from pydantic import ValidationError

    from collectors.config import PlaneEndpoint, is_same_server
    from collectors.control.wire import render_time
    from collectors.daemon import DaemonExecutor
    from collectors.live import plane

    asyncio.get_running_loop().set_default_executor(DaemonExecutor())
    own = context.plane
    try:
        endpoint = own if own is not None and is_same_server(own.url, url) else PlaneEndpoint(url=url)
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ValueError(f"--audit: {said}") from None
    found = plane(endpoint)
    try:
        entries = await found.log({"until": render_time(end)}, None)
    finally:
        await found.aclose()
    return "[" + ",".join(bytes(one).decode(errors="replace") for one in reversed(entries)) + "]"


def _named(context: "Context") -> str:
    from collectors.config import shown_url

    return ", ".join(shown_url(server.url) for server in context.prometheus)


@contextmanager
def _shown() -> "Iterator[Callable[[Step], None]]":
    """What shows how far it is, on standard error: a bar on a terminal, a line at every tenth elsewhere."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield _line_by_line()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("asking", total=None)

        def step(one: "Step") -> None:
            # The bar reckons by its own clock from where this run began, not from where the file does.
            bar.update(
                task,
                total=one.of - one.before,
                completed=one.done - one.before,
                description=stamp(one.at),
            )

        yield step


def _line_by_line() -> "Callable[[Step], None]":
    told, began = 0, time.monotonic()

    def step(one: "Step") -> None:
        nonlocal told
        tenths = int(one.done / one.of / TOLD_EVERY)
        if tenths <= told or sys.stderr is None:
            return
        told = tenths
        passed = time.monotonic() - began
        left = passed / max(one.done - one.before, 1) * (one.of - one.done)
        print(f"{one.done / one.of:.0%}  {stamp(one.at)}  {left:.0f} s left", file=sys.stderr, flush=True)

    return step
