"""The cockpit on a real pseudo-terminal: raw bytes, exit status, and the terminal as it was before."""

import os
import re
import signal
import struct
import termios
import time
from collections.abc import Callable
from fcntl import ioctl

import pytest

from tests.e2e.terminal import SEQUENCE, Terminal

pytestmark = pytest.mark.slow


def test_q_ends_with_status_0_and_restores_the_terminal(start: Callable[..., Terminal]) -> None:
    """Alternate screen left, cursor shown, mouse and modes off, line settings as before."""
    terminal = start("-m", "benchmarks.synthetic", "--models", "8")
    terminal.until(lambda: "boreal-5" in terminal.text)
    terminal.press(b"q")
    assert terminal.ended() == 0
    assert terminal.is_restored()


def test_ctrl_c_twice_restores_the_terminal_too(start: Callable[..., Terminal]) -> None:
    """ctrl-c twice, as bytes from a terminal, is a quit."""
    terminal = start("-m", "benchmarks.synthetic", "--models", "8")
    terminal.until(lambda: "boreal-5" in terminal.text)
    terminal.press(b"\x03")
    terminal.until(lambda: "ctrl-c again quits" in terminal.text)
    terminal.press(b"\x03")
    assert terminal.ended() == 0
    assert terminal.is_restored()


def test_no_control_byte_of_the_world_reaches_the_terminal(start: Callable[..., Terminal]) -> None:
    """Names, summaries, events and errors with escapes in them: none is obeyed, none comes through."""
    terminal = start("-m", "tests.e2e.hostile_cockpit")
    terminal.until(lambda: "delta-code" in terminal.text)
    for keys in (b"j", b"\r", b"G", b"\x1b", b"\t", b"\r", b"\x1b", b"?", b"\x1b"):
        terminal.press(keys)
        terminal.quiet(0.1)
    terminal.until(lambda: "Trying again" in terminal.text or "ValueError" in terminal.text)
    terminal.quiet()
    written = terminal.raw
    assert b"owned" in SEQUENCE.sub(b"", written)
    for sequence in SEQUENCE.findall(written):
        assert b"owned" not in sequence
        assert sequence != b"\x1b[2J" or written.startswith(sequence)
    left = SEQUENCE.sub(b"", written).decode("utf-8")
    assert {c for c in left if ord(c) < 32 or 127 <= ord(c) < 160} <= {"\n", "\r"}
    assert not set("\u202e\u2066\u200f") & set(left)
    terminal.press(b"q")
    assert terminal.ended() == 0


def test_partial_repaints_leave_the_screen_a_full_one_draws(start: Callable[..., Terminal]) -> None:
    """After frames of changes, drawing all again (ctrl-l, display frozen) changes nothing but the clock."""
    terminal = start("-m", "benchmarks.synthetic", "--models", "20", size=(120, 40))
    terminal.until(lambda: "boreal-5" in terminal.text)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        terminal.pump(0.1)
    terminal.press(b"f")
    terminal.until(lambda: "FROZEN" in terminal.text)
    terminal.quiet(0.1)
    lines = terminal.text.splitlines()[1:-1]
    size = len(terminal.raw)
    terminal.press(b"\x0c")
    terminal.until(lambda: len(terminal.raw) > size + 4_000)
    terminal.quiet(0.1)
    assert terminal.text.splitlines()[1:-1] == lines


def test_resizing_the_terminal_redraws_and_keeps_the_cursor(start: Callable[..., Terminal]) -> None:
    """SIGWINCH: smaller and back; the selected row is still marked."""
    terminal = start("-m", "benchmarks.synthetic", "--models", "20")
    terminal.until(lambda: "boreal-5" in terminal.text)
    terminal.press(b"jjj")
    terminal.until(
        lambda: any(line.startswith("›") and "boreal-5" in line for line in terminal.screen.display)
    )
    for columns, rows in ((60, 18), (120, 40)):
        terminal.screen.resize(rows, columns)
        ioctl(terminal.child, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.killpg(terminal.process.pid, signal.SIGWINCH)
        terminal.quiet(0.3)
        terminal.until(
            lambda: any(line.startswith("›") and "boreal-5" in line for line in terminal.screen.display)
        )
    terminal.press(b"q")
    assert terminal.ended() == 0


WALKS = (
    (b"/", b"d", b"\x1b"),
    (b"/", b"a", b"u", b"\r", b"G", b"\x1b"),
    (b"s", b"s", b"s", b"S", b"j", b"j"),
    (b"G", b"\r", b"j", b"G", b"g", b"\x1b", b"g"),
    (b"?", b"\x1b", b"\t", b"j", b"\t", b"\t"),
    (b"/", b"x", b"x", b"x", b"\x7f", b"\x7f", b"\x7f", b"\x1b"),
)
"""Keys after which the screen was once wrong, and others that move, hide and scroll."""


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
def test_partial_repaints_leave_what_a_full_one_would(
    start: Callable[..., Terminal], size: tuple[int, int]
) -> None:
    """Whatever was pressed while values moved: drawing everything again changes nothing but ages."""
    terminal = start("-m", "tests.e2e.still_cockpit", size=size)
    terminal.until(lambda: "delta-code" in terminal.text)
    for walk in WALKS:
        for key in walk:
            terminal.press(key)
            # Escape must stand alone, or it begins a sequence; and frames must come between the keys.
            read_for(terminal, 0.2)
        terminal.press(b"f")
        terminal.until(lambda: "FROZEN" in terminal.text)
        terminal.quiet(0.3)
        before = without_ages(terminal)
        terminal.press(b"\x0c")
        terminal.quiet(0.3)
        assert without_ages(terminal) == before, walk
        terminal.press(b"f")
        terminal.until(lambda: "FROZEN" not in terminal.text)


def read_for(terminal: Terminal, seconds: float) -> None:
    """Read what comes in that time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        terminal.pump(0.02)


def without_ages(terminal: Terminal) -> list[str]:
    """The screen less its clock and status, with ages blanked: those count on while frozen."""
    return [re.sub(r"\d+(m\d\ds|[smh])\b", "#", line) for line in terminal.screen.display[1:-2]]
