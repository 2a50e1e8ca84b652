"""A reconstruction from its first question to the last byte, and on from where a killed one was."""

import asyncio
import errno
import math
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from collectors.daemon import DaemonExecutor
from collectors.fleet import Alert, Frame, SourceState
from collectors.reconstruct import progress as sidecars
from collectors.reconstruct.file import Stretch, header_of, must_be_writable, prepare
from collectors.reconstruct.frames import ALERT_LEAD_S, LEAD_S, PastWatch, Plane
from collectors.reconstruct.plan import Asked, Cost, Grid, PlanError, facts_of
from collectors.reconstruct.poller import KEPT_NOTHING, PastPoller
from collectors.reconstruct.progress import Progress
from collectors.reconstruct.ranges import Ranges
from collectors.reconstruct.survey import surveyed
from collectors.recording.layout import TAIL, RecordingError
from collectors.text import clean
from collectors.watch.shown import Absence

TROUBLES_MOST = 20


class FileError(Exception):
    """The file cannot be written, or is another's: what, where, what to do."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far it is: `done` of `of` moments, of which `before` were there already when it began."""

    done: int
    of: int
    before: int
    at: float


@dataclass(frozen=True, slots=True)
class Done:
    """What became of it. start, end: times of the first and last frame

    troubles: sentences about what was refused, or partial
    was_whole: the file was there already, from the same arguments: nothing was done
    """

    frames: int
    size_bytes: int
    start: float
    end: float
    troubles: tuple[str, ...] = ()
    was_whole: bool = False


class Reconstruction:
    """One file of the past. Use it once.

    version: of tidegate, which the file tells
    agreed: asked before anything of weight is begun, with what it will cost; False ends it
    """

    def __init__(
        self,
        asked: Asked,
        out: Path,
        *,
        version: str,
        absence: Absence,
        plane: Plane | None = None,
        typed: Sequence[str] = (),
        stretch_steps: int = 0,
    ) -> None:
        self._asked, self._out, self._version = asked, out, version
        self._absence, self._plane = absence, plane
        self._typed, self._stretch_steps = list(typed), stretch_steps
        self._digest = asked.digest(version)
        self._ranges: list[Ranges] = []

    @property
    def recording(self) -> str:
        """Id of the recording: the same for the same arguments."""
        return self._digest[:12]

    async def run(
        self, progress: Callable[[Step], None], agreed: Callable[[Cost, float], bool]
    ) -> Done | None:
        """Make the file, or make it whole. None if it was not agreed to; nothing is written then.

        raises: PlanError, FileError; Unanswered where a server is gone: what was done stays to go on from
        """
        asyncio.get_running_loop().set_default_executor(DaemonExecutor())
        try:
            before = self._begun()
            if before is None and (whole := self._whole()) is not None:
                return whole
            # Now, and not after minutes of asking.
            must_be_writable(self._out)
        except OSError as error:
            raise FileError(_cannot(self._out, error)) from error
        if before is None:
            grid, cost, first = await surveyed(
                self._asked.context,
                self._asked.presets,
                self._asked.start,
                self._asked.end,
                self._asked.step_s,
            )
            if not agreed(cost, first):
                return None
            before = Progress(
                self._digest,
                self._typed,
                self._asked.start,
                self._asked.end,
                grid.step_ms,
                grid.first,
                grid.last,
            )
        grid = Grid(before.step_ms, before.first, before.last)
        if not grid.frames:
            raise PlanError(
                "not one moment lies between the two times: give a shorter --step, or a longer span"
            )
        try:
            return await self._write(grid, before, progress)
        except OSError as error:
            raise FileError(_cannot(self._out, error)) from error
        except RecordingError as error:
            raise FileError(str(error)) from error
        finally:
            for one in self._ranges:
                one.close()

    async def _write(self, grid: Grid, before: Progress, progress: Callable[[Step], None]) -> Done:
        facts, start = facts_of(self._asked, grid, self._version), grid.time_of(grid.first)
        if not before.done:
            # Before the file: whoever finds the one knows what the other is.
            sidecars.write(self._out, before)
        prepare(self._out, facts, self.recording, start, before.size)
        now, there = before, 0
        for number, (first, last) in enumerate(grid.stretches(self._stretch_steps)):
            if number < before.done:
                there = last - grid.first
                continue
            stretch = Stretch(self._out, facts, is_first=not number)
            try:
                now = await self._stretch(grid, first, last, stretch, now, there, progress)
            finally:
                stretch.abandon()
            sidecars.write(self._out, now)
        end = grid.time_of(grid.last - 1)
        last_of_all = Stretch(self._out, facts, is_first=False)
        try:
            last_of_all.end(end)
        finally:
            last_of_all.abandon()
        sidecars.remove(self._out)
        size = self._out.stat().st_size
        return Done(grid.frames, size, start, end, tuple(now.troubles))

    async def _stretch(
        self,
        grid: Grid,
        first: int,
        last: int,
        stretch: Stretch,
        before: Progress,
        there: int,
        progress: Callable[[Step], None],
    ) -> Progress:
        """Write a stretch. Returns what is done once it is on the disk."""
        troubles, nothing_since, frame = list(before.troubles), math.inf, None
        async for frame, has_data in self._frames(grid, first, last, before.alerts):
            if has_data and nothing_since < math.inf:
                stretch.tell_gap(nothing_since, frame.at)
            nothing_since = math.inf if has_data else min(nothing_since, frame.at)
            stretch.put(frame)
            _note(troubles, frame)
            progress(Step(frame.tick, grid.frames, there, frame.at))
        assert frame is not None
        if nothing_since < frame.at:
            stretch.tell_gap(nothing_since, frame.at)
        stretch.sync()
        return msgspec.structs.replace(
            before,
            done=before.done + 1,
            size=stretch.size,
            alerts=list(frame.alerts),
            troubles=troubles,
        )

    async def _frames(
        self, grid: Grid, first: int, last: int, alerts: Sequence[Alert]
    ) -> AsyncIterator[tuple[Frame, bool]]:
        """The frames of a stretch, which is begun early, and whether any source had something to say."""
        context, name = self._asked.context, self._asked.name
        if not self._ranges:
            self._ranges = [Ranges(server, grid.time_of, grid.step_s) for server in context.prometheus]
        pollers = [
            PastPoller(
                server,
                ranges,
                presets=self._asked.presets,
                name=f"prom {server.cluster}" if server.cluster else "prometheus",
                overrides=context.signals,
            )
            for server, ranges in zip(context.prometheus, self._ranges, strict=True)
        ]
        for ranges in self._ranges:
            ranges.begin(last)
        watch = PastWatch(
            name, context, pollers, step_s=grid.step_s, plane=self._plane, absence=self._absence
        )
        shown_from = first - round(ALERT_LEAD_S / grid.step_s)
        step = first - round(LEAD_S / grid.step_s)
        while step < first:
            await watch.poll(step)
            if step >= shown_from:
                watch.frame(grid.time_of(step), step, grid.time_of(step - 1))
                step += 1
            else:
                # Quantiles over several windows need one poll a window of the time before.
                step = min(step + max(1, int(watch.window_s / grid.step_s)), shown_from)
        if first > grid.first:
            watch.alerted(alerts)
        for step in range(first, last):
            await watch.poll(step)
            frame = watch.frame(grid.time_of(step), step + 1 - grid.first, grid.time_of(step - 1))
            yield frame, watch.has_data

    def _begun(self) -> Progress | None:
        """What a killed run left; None where there is nothing. raises: FileError if it is another's"""
        try:
            found = sidecars.read(self._out)
        except ValueError as error:
            raise FileError(f"{error}. Remove it, and what it is of, or name another file") from error
        if found is None:
            return None
        if found.asked != self._digest:
            typed = " ".join(
                f"--{word} {one}" for word, one in zip(("from", "to"), found.typed, strict=False)
            )
            raise FileError(
                f"{self._shown} was begun with other arguments ({clean(typed, 200)}, or another "
                f"configuration or version). Give those to go on, or another file; or remove it and "
                f"{sidecars.sidecar(self._out).name}"
            )
        header, size = header_of(self._out), self._out.stat().st_size if self._out.exists() else 0
        if found.size > size or (
            found.size and (header is None or header.facts.get("recording") != self.recording)
        ):
            raise FileError(
                f"{self._shown} is not what {sidecars.sidecar(self._out).name} tells of. "
                "Remove both, and begin again"
            )
        return found

    def _whole(self) -> Done | None:
        """The file as it is, if it is whole and of the same arguments. raises: FileError if it is not"""
        if not self._out.exists() and not self._out.is_symlink():
            return None
        if not self._out.is_file():
            raise FileError(f"{self._shown} is there and is no file: name another with --out")
        header = header_of(self._out)
        if header is None or header.facts.get("recording") != self.recording:
            raise FileError(
                f"{self._shown} is there, and was not changed. Name another file with --out, or remove it"
            )
        if not _is_closed(self._out):
            raise FileError(
                f"{self._shown} is not whole, and {sidecars.sidecar(self._out).name} is not there to go on "
                "from: remove it, and begin again"
            )
        size = self._out.stat().st_size
        return Done(0, size, self._asked.start, self._asked.end, was_whole=True)

    @property
    def _shown(self) -> str:
        return clean(str(self._out), 500)


def _note(troubles: list[str], frame: Frame) -> None:
    """Remember what a source said that keeps the recording from being whole."""
    for source in frame.sources:
        if source.state in {SourceState.PARTIAL, SourceState.LOST}:
            said = source.error or "; ".join(source.warnings)
            sentence = f"{source.name} {said}" if said else ""
            is_gap = source.error == KEPT_NOTHING
            if sentence and not is_gap and sentence not in troubles and len(troubles) < TROUBLES_MOST:
                troubles.append(sentence)


def _is_closed(file: Path) -> bool:
    with file.open("rb") as found:
        found.seek(0, 2)
        found.seek(max(0, found.tell() - len(TAIL)))
        return found.read() == TAIL


def _cannot(file: Path, error: OSError) -> str:
    shown = clean(str(file), 500)
    if error.errno == errno.ENOSPC:
        return f"{shown}: the disk is full. Make room and run it again with the same arguments: it goes on"
    if error.errno == errno.ENOENT:
        return f"{shown} cannot be written: its folder is not there. Make it, or name another file with --out"
    return f"{shown} cannot be written: {error.strerror or error}. Name another file with --out"
