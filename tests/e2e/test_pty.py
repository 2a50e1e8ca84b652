"""The cockpit on a real pseudo-terminal: raw bytes, exit status, and the terminal as it was before."""

import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from fcntl import ioctl
from pathlib import Path

import pyte
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SEQUENCE = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1bP.*?\x1b\\|\x1b[ -/]*[0-~]", re.S
)
NOT_FOR_PYTE = re.compile(
    rb"\x1b\[[<=>?][0-9;:]*[ -/]*[@-gi-km-~]|\x1b\[[0-9;:]*[!-/]+[@-~]|\x1bP.*?\x1b\\", re.S
)


class Terminal:
    """A command on its own pseudo-terminal; everything it wrote is kept."""

    def __init__(self, command: list[str], size: tuple[int, int] = (120, 40)) -> None:
        self.fd, child = pty.openpty()
        ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.before = termios.tcgetattr(child)
        self.raw = b""
        self.screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self.screen)
        environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
        environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
        self.process = subprocess.Popen(
            command,
            stdin=child,
            stdout=child,
            stderr=child,
            env=environment,
            cwd=ROOT,
            start_new_session=True,
        )
        self.child = child

    def pump(self, seconds: float = 0.02) -> bool:
        """Read what there is; True when something came."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        data = os.read(self.fd, 65_536)
        self.raw += data
        self._stream.feed(NOT_FOR_PYTE.sub(b"", data))
        return bool(data)

    @property
    def text(self) -> str:
        """The screen."""
        return "\n".join(self.screen.display)

    def until(self, holds: Callable[[], bool], seconds: float = 15) -> None:
        """Read until `holds`; fail with the screen otherwise."""
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, self.text
            self.pump()

    def quiet(self, seconds: float = 0.2) -> None:
        """Read until nothing came for so long."""
        while self.pump(seconds):
            pass

    def press(self, keys: bytes) -> None:
        """Send keys as a terminal does."""
        os.write(self.fd, keys)

    def ended(self) -> int:
        """Exit status; reads on, so that the process is not held by a full terminal."""
        self.until(lambda: self.process.poll() is not None)
        self.quiet(0.05)
        return int(self.process.returncode)

    def close(self) -> None:
        """End what is left."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(5)
        os.close(self.fd)
        os.close(self.child)


@pytest.fixture
def start() -> Iterator[Callable[..., Terminal]]:
    """Starts commands on terminals and ends them all."""
    started: list[Terminal] = []

    def begin(*arguments: str, size: tuple[int, int] = (120, 40)) -> Terminal:
        started.append(Terminal([sys.executable, *arguments], size))
        return started[-1]

    yield begin
    for terminal in started:
        terminal.close()


def test_q_ends_with_status_0_and_restores_the_terminal(start: Callable[..., Terminal]) -> None:
    """Alternate screen left, cursor shown, mouse and modes off, line settings as before."""
    terminal = start("-m", "benchmarks.synthetic", "--models", "8")
    terminal.until(lambda: "boreal-5" in terminal.text)
    terminal.press(b"q")
    assert terminal.ended() == 0
    for on in (b"1049", b"1000", b"1003", b"2004"):
        assert terminal.raw.rfind(b"\x1b[?" + on + b"h") < terminal.raw.rfind(b"\x1b[?" + on + b"l"), on
    assert terminal.raw.rfind(b"\x1b[?25l") < terminal.raw.rfind(b"\x1b[?25h")
    assert termios.tcgetattr(terminal.child) == terminal.before


def test_a_signal_restores_the_terminal_too(start: Callable[..., Terminal]) -> None:
    """ctrl-c twice, as bytes from a terminal, is a quit."""
    terminal = start("-m", "benchmarks.synthetic", "--models", "8")
    terminal.until(lambda: "boreal-5" in terminal.text)
    terminal.press(b"\x03")
    terminal.until(lambda: "ctrl-c again quits" in terminal.text)
    terminal.press(b"\x03")
    assert terminal.ended() == 0
    assert termios.tcgetattr(terminal.child) == terminal.before


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
