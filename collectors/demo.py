"""The demo: a simulated fleet in a process of its own, watched like any other.

Its pages are read over HTTP, its control plane is asked over HTTP: nothing is handed over in memory,
so the demo shows what a real fleet would. The child ends when its standard input closes, so even a
killed cockpit leaves no process behind.
"""

import asyncio
import difflib
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # The command line imports this module before the first paint: nothing of weight here.
    from collectors.fleet import Frame
    from collectors.intents import Operator
    from collectors.watch.loop import Watch

READY_S = 30.0
"""Seconds within which the child must announce itself."""

END_S = 0.5
"""Seconds that the child has to end by itself."""

POLL_S = 1.0


class DemoError(Exception):
    """The simulated fleet could not be started: what it said, and what to do."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """scenario: by name; seed: of every random number; speed: simulated seconds a real second, 1..120."""

    scenario: str = "melting-gpus"
    seed: int = 1
    speed: float = 1.0


def start_simulator(options: DemoOptions) -> "subprocess.Popen[bytes]":
    """The simulator's process, just started: it announces itself in one line when it listens."""
    # -P: without it the working directory comes first, and a `collectors` folder there would be run.
    command = [
        sys.executable, "-P", "-m", "collectors.simulator", "--listen", "127.0.0.1:0", "--announce",
        "--scenario", options.scenario, "--seed", str(options.seed), "--speed", str(options.speed),
        "--epoch", "scenario",
    ]  # fmt: skip
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


class DemoSource:
    """Frames of the simulated fleet. Takes over the child process and ends it when closed."""

    def __init__(self, child: "subprocess.Popen[bytes]", options: DemoOptions) -> None:
        self._child, self._options = child, options
        self._watch: Watch | None = None

    @property
    def operator(self) -> "Operator | None":
        """As `Watch.operator`, once the child listens."""
        return self._watch.operator if self._watch is not None else None

    async def frames(self) -> "AsyncIterator[Frame]":
        """As `Watch.frames`, once the child listens; an event tells where its plane can be asked.

        raises: DemoError if it does not start.
        """
        announced = await _announced(self._child)
        self._watch = _watch(announced, self._options)
        is_told = False
        async for frame in self._watch.frames():
            if self._child.poll() is not None:
                raise DemoError("the simulated fleet ended by itself: start the demo again")
            if frame.plane is not None and not is_told:
                is_told = True
                frame = _with_place(frame, str(announced["plane"]))
            yield frame

    async def aclose(self) -> None:
        """Stop watching and end the child."""
        try:
            if self._watch is not None:
                await self._watch.aclose()
        finally:
            await asyncio.to_thread(stop_simulator, self._child)


def stop_simulator(child: "subprocess.Popen[bytes]") -> None:
    """End the child: by closing its input, then by force, which ends even a stopped one. Safe twice."""
    _end(child)
    for pipe in (child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()


def _end(child: "subprocess.Popen[bytes]") -> None:
    if child.stdin is not None:
        with suppress(OSError):
            child.stdin.close()
    try:
        child.wait(END_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


async def _announced(child: "subprocess.Popen[bytes]") -> dict[str, Any]:
    """The child's announcement. raises: DemoError with what it said instead, if it said anything in time."""
    try:
        line = await asyncio.wait_for(_first_line(child), READY_S)
    except TimeoutError:
        raise DemoError(f"the simulated fleet did not start within {READY_S:g} s: start it again") from None
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    said = (await asyncio.to_thread(_last_words, child)).decode(errors="replace").strip().splitlines()
    raise DemoError(f"the simulated fleet did not start: {said[-1] if said else 'it said nothing'}")


async def _first_line(child: "subprocess.Popen[bytes]") -> bytes:
    """What the child printed first. On the loop: a thread that waits for it would outlive a cancel."""
    assert child.stdout is not None
    fd, readable, line = child.stdout.fileno(), asyncio.Event(), b""
    loop = asyncio.get_running_loop()
    loop.add_reader(fd, readable.set)
    try:
        while not line.endswith(b"\n"):
            await readable.wait()
            readable.clear()
            if not (piece := os.read(fd, 65_536)):
                break
            line += piece
    finally:
        loop.remove_reader(fd)
    return line


def _last_words(child: "subprocess.Popen[bytes]") -> bytes:
    _end(child)
    assert child.stderr is not None
    return child.stderr.read(4096)


def _with_place(frame: "Frame", url: str) -> "Frame":
    """The frame with an event that names the plane, for commands in another terminal."""
    from collectors.fleet import Event, EventKind

    text = f"plane at {url} (tidegate audit --plane URL)"
    told = Event(frame.at, EventKind.NOTE, "demo", "ctl", text)
    return replace(frame, events=(told, *frame.events))


def _watch(announced: dict[str, Any], options: DemoOptions) -> "Watch":
    from collectors.config import Settings
    from collectors.control.native import NativePlane
    from collectors.scrape.poller import PageTarget, ScrapePoller
    from collectors.signals.presets import read_presets, with_labels
    from collectors.watch.loop import Watch

    name, context = Settings.model_validate(tomllib.loads(announced["context"])).context(None)
    identity = context.identity
    presets = with_labels(read_presets(), identity.labels(), parts=identity.part_labels())
    targets = [PageTarget(t["url"], t["labels"]) for t in announced["targets"]]
    token = announced["token"]
    if options.speed != 1:
        name = f"{name} x{options.speed:g}"
    return Watch(
        name,
        context,
        [ScrapePoller(targets, presets=presets, name="sim", interval_s=POLL_S)],
        NativePlane(announced["plane"], lambda: token),
        mode="DEMO",
        speed=options.speed,
        poll_s=POLL_S,
    )


def scenario_error(name: str) -> str | None:
    """A sentence if there is no such scenario; looked up by file name, so that it costs nothing."""
    if name.endswith(".toml"):
        return None if Path(name).is_file() else f"no scenario file {name[:200]!r}"
    folder = Path(__file__).with_name("simulator") / "scenarios"
    known = sorted(path.stem for path in folder.glob("*.toml"))
    if name in known:
        return None
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"no scenario {name[:40]!r}; {hint}there are: {', '.join(known)}"
