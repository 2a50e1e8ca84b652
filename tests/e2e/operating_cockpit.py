"""A cockpit on a terminal as an operator has it: keys by name, words on the screen, commands beside it."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.e2e.terminal import ROOT, Terminal
from tui.guards import REPEAT_S, SETTLE_S

KEYS = {"right": b"\x1b[C", "left": b"\x1b[D", "esc": b"\x1b", "enter": b"\r", "shift+tab": b"\x1b[Z"}
CALM_S = SETTLE_S + 0.03
REASON = r"Reason +(\w[^│]*?) *│"
PHRASE = r"y is off: type (\S+) in the row above"
APPLIES = r"\[ Cancel \] +y apply(?!:)"
"""The button, not the line of keys below it, which is the same whatever is missing."""

TYPING_S = 0.03
"""Between two characters: faster is taken for a paste."""

AGAIN_S = 5.0
"""A key is pressed again after so long where a second one would do something else: a busy machine is slow."""


class Cockpit:
    """Presses keys as a person does, and reads what is on the screen.

    pressed: every key so far, by name
    """

    def __init__(self, terminal: Terminal, environment: Mapping[str, str]) -> None:
        self.terminal, self.environment = terminal, environment
        self.pressed: list[str] = []

    @property
    def text(self) -> str:
        """The screen."""
        return self.terminal.text

    def press(self, *keys: str) -> None:
        """Press them, one after the other."""
        for key in keys:
            self.pressed.append(key)
            self.terminal.press(KEYS.get(key, key.encode()))
            self.read_for(TYPING_S)

    def read_for(self, seconds: float) -> None:
        """Read on for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.terminal.pump(left)

    def see(self, *patterns: str, seconds: float = 60) -> None:
        """Wait until all of them are on the screen; fail with the screen otherwise."""
        self.terminal.until(lambda: all(re.search(one, self.text) for one in patterns), seconds)

    def arm(self) -> None:
        """Writes on."""
        self.press("W")
        self.see(r"\[ARMED ")

    def opened(self, key: str, title: str) -> None:
        """Open a dialog; back when its keys count."""
        self.press_for(key, title, every_s=AGAIN_S)
        # They count so long after it was painted, which is a little later than it was seen.
        self.read_for(CALM_S + 0.07)

    def press_for(self, key: str, pattern: str, every_s: float = 2 * CALM_S) -> None:
        """Press a key until `pattern` is there: one is dropped where what it acts on has just changed."""
        for _ in range(20):
            self.press(key)
            end = time.monotonic() + every_s
            while time.monotonic() < end:
                if re.search(pattern, self.text):
                    return
                self.terminal.pump()
        raise AssertionError(f"{key} did not bring {pattern!r}:\n{self.text}")

    def give_reason(self) -> str:
        """The first reason that is offered, then the phrase, where one is asked for. Returns the reason."""
        self.press_for("1", REASON)
        found = re.search(REASON, self.text)
        assert found
        self.see(rf"{PHRASE}|{APPLIES}")
        if asked := re.search(PHRASE, self.text):
            self.press_for("shift+tab", "›Type ", every_s=AGAIN_S)
            self.press(*asked[1])
            self.see(rf"{re.escape(asked[1])} +✔ typed")
        return found[1]

    def confirm(self) -> None:
        """`y`, once it counts."""
        self.read_for(CALM_S)
        self.see(APPLIES)
        # One that comes sooner behind another can be a key that is held down.
        self.press_for("y", r"SENT by ", every_s=REPEAT_S + CALM_S)

    def closed(self) -> None:
        """Close what is on top."""
        self.press("esc")
        self.terminal.until(lambda: "[ Close ]" not in self.text and "[ Cancel ]" not in self.text)

    def command(self, *arguments: str) -> str:
        """What a command in another terminal of the same user prints."""
        done = subprocess.run(
            [sys.executable, "-m", "tui", *arguments],
            env=os.environ | dict(self.environment),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def audit(self, url: str, *filters: str) -> list[dict[str, Any]]:
        """The plane's log, oldest first."""
        found: list[dict[str, Any]] = json.loads(self.command("audit", "--plane", url, "--json", *filters))
        return found


def own_places(folder: Path) -> dict[str, str]:
    """An environment in which nothing of the user who tests is read or written."""
    return {"XDG_STATE_HOME": str(folder / "state"), "XDG_CONFIG_HOME": str(folder / "config")}
