"""However the cockpit ends, the terminal is given back, no process stays, and the exit status is true."""

import os
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path

import psutil
import pytest

from collectors.demo import DemoOptions, _announced, start_simulator, stop_simulator
from tests.e2e.terminal import ROOT, SEQUENCE, Terminal

pytestmark = pytest.mark.slow

SYNTHETIC = ("-m", "benchmarks.synthetic", "--models", "8")


def written(terminal: Terminal) -> str:
    """What came, less the sequences, in one line."""
    return " ".join(SEQUENCE.sub(b"", terminal.raw).decode(errors="replace").split())


def opened(start: Callable[..., Terminal], *arguments: str, **options: object) -> Terminal:
    """A cockpit that has drawn its first frame."""
    terminal = start(*(arguments or SYNTHETIC), **options)
    terminal.until(lambda: "boreal-5" in terminal.text or "delta-code" in terminal.text)
    return terminal


def simulator_of(terminal: Terminal) -> psutil.Process:
    """The demo's child."""
    cockpit = psutil.Process(terminal.process.pid)
    terminal.until(lambda: bool(cockpit.children()))
    return cockpit.children()[0]


def is_gone(process: psutil.Process) -> bool:
    """True once the process has ended."""
    return not psutil.wait_procs([process], timeout=60)[1]


@pytest.mark.parametrize("keys", [b"?qq", b"\r\x1b\x1b\x1b", b"\r\r\x1b\x1b", b"??????", b"?\x03"], ids=repr)
def test_keys_in_one_batch_pop_no_screen_twice(start: Callable[..., Terminal], keys: bytes) -> None:
    """Keys that were typed before a screen could close are not its keys."""
    terminal = opened(start)
    for _ in range(3):
        terminal.press(keys)
        terminal.quiet(0.3)
    assert terminal.process.poll() is None, written(terminal)[-300:]
    terminal.press(b"\x1b")
    terminal.quiet(0.3)
    terminal.press(b"\x1b")
    terminal.quiet(0.3)
    terminal.press(b"q")
    assert terminal.ended() == 0


@pytest.mark.parametrize("where", ["handler", "input"])
def test_an_error_of_our_own_is_one_sentence(start: Callable[..., Terminal], where: str) -> None:
    """Status 1, the terminal as before, type and place; no locals and no text, which may hold secrets."""
    terminal = opened(start, "-m", "tests.e2e.crashing_cockpit", where)
    terminal.press(b"f")
    assert terminal.ended() == 1
    assert terminal.is_restored()
    said = written(terminal)
    assert re.search(r"tidegate ended on an error of its own: ValueError in \S+:\d+; please report it$", said)
    assert "hunter2" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_gives_the_terminal_back(start: Callable[..., Terminal], number: int, status: int) -> None:
    """The demo: screen, cursor, mouse and line settings as before, the simulator gone, 128 + the number."""
    terminal = start("-m", "tui", "demo")
    terminal.until(lambda: "aurora-5" in terminal.text)
    child = simulator_of(terminal)
    os.kill(terminal.process.pid, number)
    assert terminal.ended() == status
    assert terminal.is_restored()
    assert is_gone(child)


def test_a_signal_ends_it_when_nobody_reads_its_output(start: Callable[..., Terminal]) -> None:
    """A terminal that takes no output, as over a dead line, does not make it unkillable."""
    terminal = opened(start)
    for _ in range(80):
        terminal.press(b"\x0c")
    wait_until_full(terminal)
    os.kill(terminal.process.pid, signal.SIGTERM)
    assert terminal.process.wait(60) == 143


def wait_until_full(terminal: Terminal, within_s: float = 60.0) -> None:
    """Until what waits to be read has not grown for half a second, though a redraw is always due: the writer
    is blocked then."""
    end, size, since = time.monotonic() + within_s, -1, time.monotonic()
    while time.monotonic() - since < 0.5 or size <= 0:
        assert time.monotonic() < end, f"{size} bytes wait, and still more come"
        now = int.from_bytes(ioctl(terminal.fd, termios.FIONREAD, b"\0" * 4), sys.byteorder)
        if now != size:
            size, since = now, time.monotonic()
        time.sleep(0.02)


@pytest.mark.parametrize("controls", [False, True], ids=["no-hangup", "hangup"])
def test_a_vanished_terminal_ends_it(start: Callable[..., Terminal], controls: bool) -> None:
    """Also without the signal, in a session whose terminal it is not: nothing is left to spin."""
    terminal = opened(start, controls=controls)
    terminal.vanish()
    assert terminal.process.wait(60) == 129


def test_bytes_that_are_no_utf_8_are_typed_characters(start: Callable[..., Terminal]) -> None:
    """Typed and pasted: the cockpit stays, and characters around them arrive."""
    terminal = opened(start)
    terminal.press(b"\xff")
    terminal.quiet(0.2)
    terminal.press(b"/bo\xffr\xe6\xa8")
    terminal.quiet(0.2)
    terminal.press(b"\xa1\x1b[200~a\xc3\x28b\x1b[201~")
    terminal.until(lambda: "/bo\ufffdr模a\ufffd(b" in terminal.text.replace("模 ", "模"))
    terminal.press(b"\x1b")
    terminal.quiet(0.2)
    terminal.press(b"q")
    assert terminal.ended() == 0


def test_a_stopped_simulator_does_not_outlive_the_demo(start: Callable[..., Terminal]) -> None:
    """SIGSTOP on the child, then q: it ends, and nobody is left behind in state T."""
    terminal = start("-m", "tui", "demo")
    terminal.until(lambda: "aurora-5" in terminal.text)
    child = simulator_of(terminal)
    child.suspend()
    terminal.press(b"q")
    assert terminal.ended() == 0
    assert is_gone(child)


def test_a_simulator_stopped_at_birth_does_not_hold_the_demo(start: Callable[..., Terminal]) -> None:
    """It never announces itself: q still ends both."""
    terminal = start("-m", "tui", "demo")
    child = simulator_of(terminal)
    child.suspend()
    terminal.until(lambda: "connecting" in terminal.text)
    terminal.press(b"q")
    assert terminal.ended() == 0
    assert is_gone(child)


def has_prompt(terminal: Terminal) -> bool:
    """Whether the shell waits for a command, on its own screen again: what is typed before may be dropped."""
    left = terminal.raw.rfind(b"\x1b[?1049l")
    return terminal.raw.rfind(b"\x1b[?1049h") < left < terminal.raw.rfind(b"bash-")


def test_ctrl_z_goes_to_the_shell_and_fg_returns(start: Callable[..., Terminal]) -> None:
    """A shell with job control: its own screen and settings meanwhile, then all is drawn again."""
    terminal = start("--norc", "--noprofile", "-i", program="/bin/bash", controls=True)
    terminal.until(lambda: "bash" in terminal.text)
    command = f"{sys.executable} {' '.join(SYNTHETIC)}"
    terminal.press(f"{command}\r".encode())
    terminal.until(lambda: "boreal-5" in terminal.text)
    terminal.press(b"\x1a")
    terminal.until(lambda: b"Stopped" in terminal.raw)
    terminal.until(lambda: has_prompt(terminal))
    terminal.press(b"echo a''b\r")
    terminal.until(lambda: b"ab\r\n" in terminal.raw)
    terminal.until(lambda: terminal.raw.rfind(b"bash-") > terminal.raw.rfind(b"ab\r\n"))
    back = len(terminal.raw)
    terminal.press(b"fg\r")
    terminal.until(lambda: b"boreal-5" in terminal.raw[back:] and b"1049h" in terminal.raw[back:])
    terminal.press(b"?")
    terminal.until(lambda: "KEYS" in terminal.text)
    terminal.press(b"\x1b")
    terminal.until(lambda: "KEYS" not in terminal.text)
    terminal.press(b"q")
    terminal.until(lambda: has_prompt(terminal))
    terminal.press(b"echo status=$?\r")
    terminal.until(lambda: b"status=0" in terminal.raw)


def test_ctrl_z_without_a_shell_says_so(start: Callable[..., Terminal]) -> None:
    """Started straight on the terminal: stopping would leave nobody to start it again."""
    terminal = opened(start)
    terminal.press(b"\x1a")
    terminal.until(lambda: "no shell with job control" in terminal.text)
    terminal.press(b"q")
    assert terminal.ended() == 0


def test_a_stop_that_cannot_be_caught_leaves_one_reader(start: Callable[..., Terminal]) -> None:
    """SIGSTOP and SIGCONT: keys still arrive whole, and the end restores the settings of the beginning."""
    terminal = opened(start)
    for _ in range(2):
        os.kill(terminal.process.pid, signal.SIGSTOP)
        terminal.quiet(0.2)
        os.kill(terminal.process.pid, signal.SIGCONT)
        terminal.quiet(0.5)
    terminal.press(b"?")
    terminal.until(lambda: "KEYS" in terminal.text)
    terminal.press(b"\x1b")
    terminal.until(lambda: "KEYS" not in terminal.text)
    terminal.press(b"q")
    assert terminal.ended() == 0
    assert terminal.is_restored()


SNAPSHOT = "snapshot --scrape http://127.0.0.1:9/metrics --within 4"


@pytest.mark.parametrize(
    ("line", "status", "says"),
    [
        ("watch --scrape http://127.0.0.1:9/metrics <&-", 2, "needs a terminal"),
        (f"{SNAPSHOT} >/dev/full", 1, "standard output cannot be written: No space left on device"),
        (f"{SNAPSHOT} >&-", 1, "standard output is closed"),
        ("demo --headless --seconds 20 >/dev/full", 1, "cannot be written: No space left on device"),
        ("demo --headless --seconds 20 >&-", 1, "standard output is closed"),
        ("keys >/dev/full", 1, "cannot be written: No space left on device"),
    ],
)
def test_output_that_cannot_be_written_is_a_sentence(line: str, status: int, says: str) -> None:
    """No traceback, no silence, no success."""
    command = f"exec {sys.executable} -m tui {line}"
    done = subprocess.run(["/bin/sh", "-c", command], stderr=subprocess.PIPE, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == status, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


async def test_the_demo_runs_no_code_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder named as ours, or as a library of ours, is not what the child imports."""
    for name in ("collectors", "numpy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("open('ran', 'w').close(); raise SystemExit(7)\n")
    monkeypatch.chdir(tmp_path)
    child = start_simulator(DemoOptions())
    try:
        assert (await _announced(child))["plane"].startswith("http://127.0.0.1:")
    finally:
        stop_simulator(child)
    assert not (tmp_path / "ran").exists()
