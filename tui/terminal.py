"""The terminal as the cockpit has it: taken over, given back, and gone, whatever ends the program.

Textual 8.2.8 leaves SIGTERM and SIGHUP to their defaults, reads a terminal that is gone in a loop without
end, ends on a byte that is not UTF-8, and starts a second reader on a SIGCONT that no suspension came before.
"""

import os
import select
import selectors
import signal
import sys
import termios
import threading
import time
from codecs import getincrementaldecoder
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from types import FrameType
from typing import IO, TYPE_CHECKING, Any, cast

from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

if TYPE_CHECKING:
    from tui.app import CockpitApp

ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end the cockpit cleanly, with exit status 128 + their number."""

LEAVE_S = 4.0
"""Longest time to end after a signal: a terminal that takes no output must not keep the program alive."""

RESTORE = (
    b"\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?2004l\x1b[?7h\x1b[<u\x1b[?1049l\x1b[?25h\x1b[?1004l"
)
"""Mouse, paste, wrap, keyboard, screen, cursor and focus as a shell wants them."""

SELECT_S = 0.1
READ_BYTES = 4096


class CockpitDriver(LinuxDriver):
    """Textual's driver, made to leave the terminal as it was found."""

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self._cockpit = cast("CockpitApp", app)
        self._is_on = False
        self._is_gone = False
        self._ends_by: list[tuple[signal.Signals, Any]] = []
        self._file = cast("TextIOWrapper", _Lasting(sys.__stderr__, self._lost))

    def start_application_mode(self) -> None:
        """Take the terminal over, and the signals that would leave it so."""
        self._is_on = True
        for number in ENDING_SIGNALS:
            # What a parent had ignored, as `nohup` does, stays ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._ends_by.append((number, signal.signal(number, self._end_by)))
        super().start_application_mode()  # type: ignore[no-untyped-call]  # Textual leaves it untyped

    def stop_application_mode(self) -> None:
        """Give the terminal back, and the signals."""
        super().stop_application_mode()
        while self._ends_by:
            signal.signal(*self._ends_by.pop())
        self._is_on = False

    def run_input_thread(self) -> None:
        """Hand on what is typed, until told to stop or the terminal is gone."""
        parser = XTermParser(self._debug)
        # A paste from elsewhere may hold any bytes: those that are no UTF-8 are shown as such.
        decode = getincrementaldecoder("utf-8")("replace").decode
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                for _ in selector.select(SELECT_S):
                    if not (read := self._read()):
                        self._lost()
                        return
                    read_at = time.monotonic()
                    # Part of a character makes no text yet; to the parser no text is the end of all.
                    for event in parser.feed(text) if (text := decode(read)) else ():
                        # Typed by then, whatever the first of these keys has done meanwhile.
                        event.time = read_at
                        self.process_message(event)
                for event in parser.tick():
                    self.process_message(event)

    def _run_input_thread(self) -> None:
        """As Textual's, which would print the locals of what failed."""
        try:
            self.run_input_thread()
        except Exception as error:
            self._loop.call_soon_threadsafe(self._cockpit._handle_exception, error)

    def _read(self) -> bytes:
        """What was typed; nothing when the other end of the terminal is closed."""
        try:
            return os.read(self.fileno, READ_BYTES)
        except OSError:
            return b""

    def _lost(self) -> None:
        """From any thread: there is nobody left to draw for."""
        if self._is_gone:
            return
        self._is_gone = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        # What is still written, by whomever, must neither fail nor block.
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        os.close(nowhere)
        self._exit(signal.SIGHUP)

    def _end_by(self, number: int, frame: FrameType | None) -> None:
        last = threading.Timer(LEAVE_S, self._leave_now, (128 + number,))
        last.daemon = True
        last.start()
        self._exit(signal.Signals(number))

    def _exit(self, number: signal.Signals) -> None:
        status = 128 + number
        self._loop.call_soon_threadsafe(self._cockpit.exit, status, status)

    def _leave_now(self, status: int) -> None:
        """The last resort: give back what can be without waiting for anyone."""
        if self.attrs_before is not None:
            with suppress(termios.error):
                termios.tcsetattr(self.fileno, termios.TCSANOW, self.attrs_before)
        if select.select([], [2], [], 0)[1]:
            os.write(2, RESTORE)
        os._exit(status)

    def _sigtstp_application(self, *_: object) -> None:
        """Suspend on the loop: the interrupted code may hold the lock of the queue that is written to."""
        self._loop.call_soon_threadsafe(super()._sigtstp_application)

    def _sigcont_application(self, *_: object) -> None:
        """Resume on the loop."""
        self._loop.call_soon_threadsafe(self._resume)

    def _resume(self) -> None:
        if not self._auto_restart:
            return
        if self._is_on:
            # Stopped by what cannot be caught: whoever had the terminal meanwhile changed its settings.
            self.suspend_application_mode()
            self._must_signal_resume = True
        self.resume_application_mode()


class _Lasting:
    """A stream whose reader may vanish: what cannot be written is dropped, and `lost` is called."""

    def __init__(self, stream: IO[str] | None, lost: Callable[[], None]) -> None:
        assert stream is not None, "the cockpit was started without a terminal"
        self._stream, self._lost = stream, lost

    def write(self, text: str) -> None:
        """Write, if it can be."""
        try:
            self._stream.write(text)
        except OSError:
            self._lost()

    def flush(self) -> None:
        """Flush, if it can be."""
        try:
            self._stream.flush()
        except OSError:
            self._lost()

    def fileno(self) -> int:
        """Of the stream itself."""
        return self._stream.fileno()


def can_suspend() -> bool:
    """True if a shell with job control started us, so that there is someone to bring us back."""
    return os.getpgrp() != os.getsid(0)
