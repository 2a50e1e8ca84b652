"""A command on a pseudo-terminal of its own, read and typed to as a terminal emulator does."""

import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path

import pyte

ROOT = Path(__file__).parents[2]
SEQUENCE = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1bP.*?\x1b\\|\x1b[ -/]*[0-~]", re.S
)
NOT_FOR_PYTE = re.compile(
    rb"\x1b\[[<=>?][0-9;:]*[ -/]*[@-gi-km-~]|\x1b\[[0-9;:]*[!-/]+[@-~]|\x1bP.*?\x1b\\", re.S
)


class Terminal:
    """A command on its own pseudo-terminal; everything it wrote is kept."""

    def __init__(
        self,
        command: list[str],
        size: tuple[int, int] = (120, 40),
        environment: Mapping[str, str] | None = None,
        controls: bool = False,
    ) -> None:
        """environment: over that of the tests; controls: it is the command's controlling terminal."""
        self.fd, child = pty.openpty()
        ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.before = termios.tcgetattr(child)
        self.raw = b""
        self.screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self.screen)
        usual = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
        usual |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
        self.process = subprocess.Popen(
            command,
            stdin=child,
            stdout=child,
            stderr=child,
            env=usual | dict(environment or {}),
            cwd=ROOT,
            start_new_session=True,
            preexec_fn=(lambda: ioctl(0, termios.TIOCSCTTY, 0)) if controls else None,
        )
        self.child = child

    def pump(self, seconds: float = 0.02) -> bool:
        """Read what there is; True when something came."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 65_536)
        except OSError:
            return False  # nobody has the other end open any more
        self.raw += data
        self._stream.feed(NOT_FOR_PYTE.sub(b"", data))
        return bool(data)

    @property
    def text(self) -> str:
        """The screen."""
        return "\n".join(self.screen.display)

    def until(self, holds: Callable[[], bool], seconds: float = 60) -> None:
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

    def is_restored(self) -> bool:
        """Alternate screen left, mouse and paste off, cursor shown, line settings as before."""
        for on in (b"1049", b"1000", b"1003", b"2004"):
            if self.raw.rfind(b"\x1b[?" + on + b"h") >= self.raw.rfind(b"\x1b[?" + on + b"l"):
                return False
        is_shown = self.raw.rfind(b"\x1b[?25l") < self.raw.rfind(b"\x1b[?25h")
        return is_shown and termios.tcgetattr(self.child) == self.before

    def vanish(self) -> None:
        """Close both ends, as an emulator that is killed."""
        for end in (self.fd, self.child):
            os.close(end)
        self.fd = self.child = -1

    def close(self) -> None:
        """End what is left."""
        with suppress(ProcessLookupError):  # what it left behind is in its group
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(60)
        for end in (self.fd, self.child):
            if end >= 0:
                os.close(end)
