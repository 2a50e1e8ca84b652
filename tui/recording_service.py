"""`tidegate record`: watches without a screen and records, a line a minute, until it is told to stop."""

import argparse
import asyncio
import signal
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from collectors.daemon import DaemonExecutor
from collectors.fleet import Frame, SourceState
from collectors.text import clean
from tui.contexts import context_of, settings_of
from tui.feed import is_own, sentence_of
from tui.kept import Keeping, going_on, new_writer
from tui.output import Printing, fail, warn

if TYPE_CHECKING:
    from collectors.recording.source import RecordingSource
    from collectors.recording.writer import RecordingWriter
    from collectors.sessions import RecorderState

LINE_S = 60.0
"""Seconds between two lines."""

QUIET_S = 1.0
"""Closing says nothing for so long."""


def record(args: argparse.Namespace) -> int:
    """Record until SIGTERM, SIGINT, or the time that was asked for is over.

    Returns 0; 1 when something was not recorded, a source never answered, or one failed; 2 for a
    mistake in what was asked
    """
    from collectors.config import ConfigError
    from collectors.live import live_source
    from collectors.recording.layout import RecordingError
    from collectors.recording.source import RecordingSource

    try:
        settings = settings_of(args)
        name, context = context_of(args, settings)
        if args.append and args.out is None:
            return fail("--append is for a file: give --out FILE as well")
        keeping = Keeping(
            name,
            simulated=context.simulated,
            file=args.out,
            settings=settings.recording,
            append=args.append,
        )
        writer = new_writer(keeping)
    except ConfigError as error:
        return fail(error)
    try:
        goes_on = going_on(keeping)
        source = RecordingSource(live_source(name, context), writer)
        writer.start()
    except Exception as error:
        # Ours, values that a library refuses, files that are not there. Anything else is a fault of ours.
        if not (is_own(error) or isinstance(error, RecordingError | ValueError | OSError)):
            raise
        return fail(sentence_of(error) if is_own(error) else clean(str(error), 500))
    if goes_on:
        warn(goes_on)
    return asyncio.run(_recorded(source, writer, name, args.seconds))


async def _recorded(
    source: "RecordingSource", writer: "RecordingWriter", name: str, seconds: float | None
) -> int:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(DaemonExecutor())
    stop, newest, printing = asyncio.Event(), _Newest(), Printing()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    printing.say(f"recording {name}; SIGTERM or ctrl-c ends it")
    following = asyncio.create_task(_follow(source, newest))
    stopping = asyncio.create_task(stop.wait())
    ends = time.monotonic() + seconds if seconds is not None else None
    try:
        while not (following.done() or stopping.done() or (ends is not None and time.monotonic() >= ends)):
            wait_s = LINE_S if ends is None else max(0.0, min(LINE_S, ends - time.monotonic()))
            await asyncio.wait({following, stopping}, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
            if not (following.done() or stopping.done()):
                printing.say(line(newest.frame, writer.state, newest.silent))
    finally:
        for task in (following, stopping):
            task.cancel()
        failed = (await asyncio.gather(following, return_exceptions=True))[0]
        await _closed(source, printing)
    return _ended(writer.state, failed, newest, printing)


async def _closed(source: "RecordingSource", printing: Printing) -> None:
    """Close it, and say so where that takes a while."""
    closing = asyncio.ensure_future(source.aclose())
    await asyncio.wait({closing}, timeout=QUIET_S)
    if not closing.done():
        printing.say("ending ...")
    await closing


class _Newest:
    """The newest frame, None before the first; answered: names of the sources that ever did."""

    def __init__(self) -> None:
        self.frame: Frame | None = None
        self.answered: set[str] = set()

    def take(self, frame: Frame) -> None:
        """A new one."""
        self.frame = frame
        self.answered |= {one.name for one in frame.sources if one.at is not None or one.state in _ANSWERING}

    @property
    def silent(self) -> dict[str, str]:
        """A sentence on each source that never answered, by its name."""
        sources = self.frame.sources if self.frame is not None else ()
        return {
            one.name: clean(f"{one.name} never answered: {one.error or 'nothing is known of why'}", 500)
            for one in sources
            if one.name not in self.answered
        }

    @property
    def is_silent(self) -> bool:
        """Whether none answered, or one was silent that tells more than alerts: not every server has them."""
        kinds = {one.kind for one in self.frame.sources if one.name in self.silent} if self.frame else set()
        return bool(kinds) and (not self.answered or bool(kinds - {"alerts"}))


_ANSWERING = frozenset({SourceState.OK, SourceState.PARTIAL})
_NONE: Mapping[str, str] = {}


async def _follow(source: "RecordingSource", newest: _Newest) -> None:
    async for frame in source.frames():
        newest.take(frame)


def _ended(state: "RecorderState", failed: object, newest: _Newest, printing: Printing) -> int:
    """Say how it ended. Returns the exit status."""
    status = 0
    if isinstance(failed, Exception):
        if not is_own(failed):
            raise failed
        status = fail(sentence_of(failed), 1)
    printing.say(f"{clean(state.file, 500) or 'nothing'}: {_amount(state)}")
    if printing.error:
        warn(f"what it said could not be printed ({printing.error}); it recorded all the same")
    if state.trouble:
        status = fail(clean(state.trouble, 500), 1)
    if state.dropped:
        status = fail(f"{_dropped(state)}: the disk was too slow", 1)
    if not state.frames:
        why = "no frame came" if newest.frame is None else "no frame could be written"
        status = fail(f"{why}: nothing was recorded", 1)
    for sentence in newest.silent.values():
        warn(sentence)
    return 1 if newest.is_silent else status


def line(frame: Frame | None, state: "RecorderState", silent: Mapping[str, str] = _NONE) -> str:
    """A minute in one line: time, what was recorded, sources, trouble.

    silent: a sentence on each source that never answered, by its name
    """
    from collectors.recording.times import stamp

    if frame is None:
        return clean(f"no frame yet{f'; {state.trouble}' if state.trouble else ''}", 500)
    parts = [stamp(frame.at), _amount(state)]
    parts.append(" ".join(f"{one.name}:{one.state.value}" for one in frame.sources) or "no sources")
    parts += silent.values()
    lost = [one for one in frame.sources if one.state is SourceState.LOST and one.name not in silent]
    parts += [f"{one.name}: {one.error}" for one in lost if one.error]
    parts += [_dropped(state)] if state.dropped else []
    parts += [f"NOT RECORDED: {state.trouble}"] if state.trouble else []
    return clean("  ".join(parts), 1000)


def _dropped(state: "RecorderState") -> str:
    return "1 frame was not recorded" if state.dropped == 1 else f"{state.dropped:,} frames were not recorded"


def _amount(state: "RecorderState") -> str:
    from collectors.recording.times import counted, size, span

    return f"{counted(state.frames, 'frame')}, {size(state.size_bytes)}, {span(state.seconds)}"
