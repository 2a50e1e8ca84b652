"""What `y` costs: from the key to the fresh look on the wire, to the write, to the outcome on the screen.

    python -m benchmarks.key_to_write [--presses N]

The cockpit runs on a pseudo-terminal and watches a simulated fleet that runs at the speed of the clock: its
pages and its plane, the plane through a proxy that writes down when each request's first byte came by. A
throttle is set up and down in turn, each time by the dialog. All figures hold the time that `y` waits for a
key behind it (`tui.guards.HOLD_S`). Exit status 1 if a budget is missed. `noise` above 1.2 means that the
machine is busy: then the clock tells more of that than of the cockpit.
"""

import argparse
import json
import math
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.ptymeter import ANY_SEQUENCE, Terminal, noise
from benchmarks.screen import Figure
from tests.e2e.operating_proxy import RecordingProxy, Request
from tui import guards

ROOT = Path(__file__).parent.parent
CELL = r"/v1/throttles/[^/?]+/[^/?]+"
CALM_S = 0.45
"""A little longer than the quiet that `y` needs before it."""

DRAWN_S = 2.0
"""Until then a key has shown what it does, on a busy machine too: before, it is not pressed again."""

SHIFT_TAB = b"\x1b[Z"
PATIENCE_S = 20.0
BUDGETS_MS = {"fresh look": 20.0, "write": 80.0, "outcome painted": 200.0}


class Confirmed(NamedTuple):
    """One confirmation, milliseconds from `y`: to the first byte of each on the wire, and on the screen."""

    look: float
    write: float
    painted: float


class Cockpit:
    """The cockpit on its terminal. What the terminal shows is worked out only while nothing is timed."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self.terminal = Terminal(list(command), 120, 40, os.environ | environment)

    def until(self, holds: Callable[[str], bool]) -> str:
        """The screen, once it `holds`. raises: RuntimeError with the screen if it never does."""
        end = time.monotonic() + PATIENCE_S
        while not holds(text := self.terminal.text()):
            if self.terminal.closed or time.monotonic() > end:
                raise RuntimeError(f"this screen was not waited for:\n{text}")
            self.terminal.pump(0.02)
        return text

    def read_for(self, seconds: float) -> None:
        """Read on for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.terminal.pump(left)

    def pressed(self, key: str, holds: Callable[[str], bool]) -> None:
        """Press a key until the screen `holds`: one that came just when its dialog changed is dropped."""
        end = time.monotonic() + PATIENCE_S
        while not holds(text := self.terminal.text()):
            if self.terminal.closed or time.monotonic() > end:
                raise RuntimeError(f"{key} did not do it:\n{text}")
            self.terminal.press(key)
            drawn = time.monotonic() + DRAWN_S
            self.read_for(CALM_S)
            while time.monotonic() < drawn and not holds(text := self.terminal.text()):
                if guards.EARLY in text:
                    break
                self.terminal.pump(0.02)

    def typed(self, phrase: str) -> None:
        """Type it in the row above the buttons, no faster than a person: what a busy cockpit reads at once is
        taken for a paste."""
        self.terminal.write(SHIFT_TAB)
        for character in phrase:
            self.read_for(0.1)
            self.terminal.press(character)

    def until_painted(self, word: bytes) -> float:
        """When the program had written `word`, by `time.monotonic`. raises: RuntimeError if it does not."""
        end, found = time.monotonic() + PATIENCE_S, b""
        while word not in found:
            if time.monotonic() > end or not self.terminal.pump(PATIENCE_S):
                raise RuntimeError(f"{word!r} was not painted:\n{self.terminal.text()}")
            # Of what came since; the terminal's emulator sees it afterwards.
            found = ANY_SEQUENCE.sub(b"", self.terminal._unseen)
        return time.monotonic()


def confirmed(cockpit: Cockpit, proxy: RecordingProxy, key: str, now: str, level: str) -> Confirmed:
    """Open the dialog, choose the level that `key` leads to, give a reason, and time `y`."""
    cockpit.pressed("t", lambda text: "Throttle ·" in text)
    # What was set last shows with the next frame.
    cockpit.until(lambda text: f"›{now} " in text)
    cockpit.pressed(key, lambda text: f"›{level} " in text)
    cockpit.pressed("1", lambda text: re.search(r"Reason +\w", text) is not None)
    if phrase := re.search(r"y is off: type (\S+) in the row above", cockpit.terminal.text()):
        cockpit.typed(phrase[1])
    # At no fixed distance from the second's tick, and after the quiet that `y` needs.
    cockpit.read_for(CALM_S + random.random())
    cockpit.until(lambda text: "y apply " in text)
    seen, began = len(proxy.requests), time.monotonic()
    cockpit.terminal.press("y")
    painted = cockpit.until_painted("✔ applied".encode())
    requests = proxy.requests[seen:]
    look = first(requests, f"GET {CELL}")
    write = first(requests, f"POST {CELL}:set")
    cockpit.pressed("esc", lambda text: "Throttle ·" not in text)
    return Confirmed(*(1000 * (at - began) for at in (look, write, painted)))


def first(requests: Sequence[Request], pattern: str) -> float:
    """When the first request like `pattern` came by. raises: RuntimeError if none did."""
    for request in requests:
        if re.fullmatch(pattern, request.line):
            return request.at
    raise RuntimeError(f"no such request among {[request.line for request in requests]}")


@contextmanager
def simulated(folder: Path, environment: dict[str, str]) -> Iterator[tuple[RecordingProxy, str]]:
    """A simulated fleet at the speed of the clock, and the name of a configuration that watches it.

    Its pages are asked directly, its plane through the proxy.
    """
    command = [sys.executable, "-m", "tui", "simulate", "--listen", "127.0.0.1:0", "--write", str(folder)]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | environment, cwd=ROOT
    )
    try:
        assert child.stdout is not None
        said = "".join(iter(child.stdout.readline, "Stop with ctrl-c.\n"))
        base = said.partition("http://")[2].partition("/targets")[0]
        host, _, port = base.rpartition(":")
        proxy = RecordingProxy((host, int(port)))
        with proxy.serving() as url, urllib.request.urlopen(f"http://{base}/targets") as answer:
            file = folder / "tidegate.toml"
            text = file.read_text(encoding="utf-8").replace(f"http://{base}", url)
            file.write_text(text + "".join(map(scraped, json.load(answer))), encoding="utf-8")
            yield proxy, str(file)
    finally:
        child.terminate()
        child.communicate()


def scraped(target: Mapping[str, Any]) -> str:
    """A page to scrape, as the configuration writes it."""
    labels = ", ".join(f"{name} = {json.dumps(value)}" for name, value in target["labels"].items())
    return f"[[contexts.demo.scrape]]\nurl = {json.dumps(target['url'])}\nlabels = {{ {labels} }}\n"


def measure(presses: int) -> list[Confirmed]:
    """So many confirmations, down and up in turn. raises: RuntimeError if one does not come about."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        environment = {
            "TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8",
            "XDG_STATE_HOME": place, "XDG_CONFIG_HOME": place,
        }  # fmt: skip
        with simulated(folder, environment) as (proxy, file):
            (token,) = (folder / "tidegate").glob("plane-*.json")
            environment["TIDEGATE_TOKEN"] = json.loads(token.read_text(encoding="utf-8"))["token"]
            command = [sys.executable, "-m", "tui", "watch", "--config", file]
            cockpit = Cockpit(command, environment)
            try:
                # Its rates are known, so that every cell is drawn as on any other day.
                cockpit.until(lambda text: re.search(r"aurora-5 .*\d%", text) is not None)
                cockpit.pressed("W", lambda text: "ARMED" in text)
                # A feature's own row, so that the dialog is about that one.
                cockpit.pressed("G", lambda text: re.search(r"›\s+deep-research", text) is not None)
                steps = (("right", "T0", "T1"), ("left", "T1", "T0"))
                return [confirmed(cockpit, proxy, *steps[number % 2]) for number in range(presses)]
            finally:
                cockpit.terminal.close("q")


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--presses", type=int, default=40, metavar="N", help="confirmations (40)")
    given = parser.parse_args(arguments)
    noise_before = noise()
    found = measure(given.presses)
    noises = (noise_before, noise())
    figures, medians = [], {}
    for (name, budget), values in zip(BUDGETS_MS.items(), zip(*found, strict=True), strict=True):
        ranked = sorted(values)
        median = medians[name] = statistics.median(ranked)
        figures.append(Figure(f"y to {name}, p95", ranked[math.ceil(0.95 * len(ranked)) - 1], "ms", budget))
        label = f"y to {name}, p50"
        print(f"{label:29} {median:8.1f} ms      least {ranked[0]:.1f}, most {ranked[-1]:.1f}")
    for figure in figures:
        verdict = "ok" if figure.holds else "MISSED"
        print(f"{figure.name:29} {figure.value:8.1f} {figure.unit:7} budget {figure.budget:6.1f}  {verdict}")
    print(f"{len(found)} confirmations; noise {noises[0]:.2f} before, {noises[1]:.2f} after")
    report = [{**figure._asdict(), "holds": figure.holds} for figure in figures]
    raw = [one._asdict() for one in found]
    print(json.dumps({"figures": report, "p50_ms": medians, "noise": noises, "raw": raw}))
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
