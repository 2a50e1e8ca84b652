"""A replay on a terminal: it reaches no plane, whatever is pressed, and leaves nothing behind."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.operating_cockpit import Cockpit
from tests.e2e.operating_plane import Plane
from tests.e2e.operating_proxy import RecordingProxy
from tests.e2e.terminal import Terminal

pytestmark = pytest.mark.slow

WRITING = ("W", "t", "a", "p", "B", "u", "x", "z")
DIALOG = ("y", "1", "y")
PLAYING = (*" .,][><eE+-{}im'\"MMA", "esc", "R")


def press_all(cockpit: Cockpit) -> None:
    """Every key that writes where it may, and those of the dialog that it would open; then the player's."""
    for key in WRITING:
        cockpit.press(key)
        cockpit.see("a replay cannot write|not in this version|with silences")
        cockpit.press(*DIALOG)
        cockpit.see("REPLAY")
    cockpit.press(*PLAYING)


def test_no_request_of_a_replay_reaches_the_plane(
    start: Callable[..., Terminal], plane: Plane, tmp_path: Path
) -> None:
    """S14: of a session that was armed, `space` takes the writes away, and nothing but what the live screen
    behind it reads passes by. A replay of its file opens no connection, starts no process, and writes a
    bookmark's file and no other."""
    proxy = RecordingProxy(plane.address)
    environment = plane.environment("alice")
    with proxy.serving() as url:
        terminal = start("-m", "tui", "watch", "--plane", url, environment=environment)
        cockpit = Cockpit(terminal, environment)
        cockpit.see("llama-70b ", "you: ", "rec ●")
        cockpit.arm()
        cockpit.press(" ")
        cockpit.see("REPLAY ", r"\[ALL WRITES OFF\]", "from now")
        before = len(proxy.requests)
        press_all(cockpit)
        assert [one.line for one in proxy.requests[before:] if not one.line.startswith("GET ")] == []
        cockpit.press("L")
        cockpit.see(r"\[READ-ONLY\]", "rec ●")
        assert "REPLAY" not in cockpit.text
        cockpit.press("q")
        assert terminal.ended() == 0
        assert terminal.is_restored()

        known, told = len(proxy.requests), tmp_path / "audited"
        audited = environment | {"AUDITED": str(told), "PYTHONDONTWRITEBYTECODE": "1"}
        terminal = start("-m", "tests.e2e.audited_cockpit", "replay", "--at", "end", environment=audited)
        cockpit = Cockpit(terminal, audited)
        cockpit.see("llama-70b ", "REPLAY ", "from end")
        press_all(cockpit)
        cockpit.press("b", "x", "enter")
        cockpit.see(r"Marked \d\d:\d\d:\d\dZ: x")
        cockpit.press("q")
        assert terminal.ended() == 0
        assert terminal.is_restored()
        assert len(proxy.requests) == known
        lines = told.read_text().splitlines()
        assert [line for line in lines if not line.startswith("write ")] == []
        written = [line for line in lines if "/dev/" not in line]
        assert written
        assert all(".marks.jsonl" in line for line in written), written


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGHUP])
def test_a_replay_that_is_ended_while_it_plays_leaves_nothing(
    by: int, start: Callable[..., Terminal], plane: Plane
) -> None:
    """The terminal is as it was, and no process of it is left; the status tells the signal."""
    environment = plane.environment("alice")
    live = start("-m", "tui", "watch", "--plane", plane.url, environment=environment)
    live.until(lambda: "rec ●" in live.text)
    terminal = start("-m", "tui", "replay", "--follow", environment=environment)
    cockpit = Cockpit(terminal, environment)
    cockpit.see("REPLAY ", "▶ 1x")
    cockpit.press("+", "+", "+")
    cockpit.see("▶ 8x")
    os.kill(terminal.process.pid, by)
    assert terminal.ended() in (128 + by, -by)
    assert terminal.is_restored()
    live.until(lambda: bool(re.search(r"rec ● \d", live.text)))
    live.press(b"q")
    assert live.ended() == 0
