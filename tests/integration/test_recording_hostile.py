"""Hostile recordings through the real commands: seconds, memory, what they print and leave behind."""

import csv
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from collectors.recording.reader import Recording
from tests.hostile_recordings import FILES, NEVER_SHOWN, chain, closed
from tests.recording_files import simple_frames, tape_of

pytestmark = pytest.mark.slow

SECONDS, MEMORY_MB = 2.0, 256.0
"""Most that a hostile file may cost, of CPU, with the start of the program."""

LOOKING = (("recording", "info"), ("recording", "verify"))
PASSING = (
    ("recording", "trim", "out.tgrec"),
    ("recording", "export", "--format", "csv", "out.csv"),
    ("recording", "export", "--format", "jsonl", "out.jsonl"),
    ("recording", "export", "--format", "openmetrics", "out.om"),
    ("report", "out.md"),
    ("report", "--format", "html", "out.html"),
)
REPLAYED = """
import sys
from pathlib import Path
from collectors.recording.layout import RecordingError
from collectors.recording.places import events_before, found_next, past_told
from collectors.recording.reader import Recording

try:
    recording = Recording.open(Path(sys.argv[1]))
    for number in {0, recording.frames // 2, recording.frames - 1}:
        recording.frame(number)
    recording.timeline(120)
    recording.window(max(recording.frames - 300, 0), recording.frames - 1)
    recording.view_at(recording.end)
    events_before(recording, recording.end)
    past_told(recording, recording.end - 600, recording.end)
    for target in ("alert", "action", "mark"):
        found_next(recording, target, -1, recording.end)
        found_next(recording, target, 1, recording.start - 1)
    print(*recording.notices, *recording.gaps, *recording.marks(), sep="\\n")
except RecordingError as error:
    print(error)
"""


MEASURED = """
import json, os, sys

child = os.fork()
if not child:
    os.execv(sys.argv[2], sys.argv[2:])
_, status, used = os.wait4(child, 0)
with open(sys.argv[1], "w") as told:
    json.dump([os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss], told)
"""
"""Runs a program from a small process: a child counts the memory of the one that it came from as its own."""


class Ran(NamedTuple):
    """How a command went. seconds: of CPU; megabytes: at its largest"""

    status: int
    seconds: float
    megabytes: float
    said: str


def ran(folder: Path, *command: str) -> Ran:
    """A command of tidegate, or with "-c" a program, to its end."""
    start = [sys.executable] if command[0] == "-c" else [sys.executable, "-m", "tui"]
    told = folder / "told"
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(told), *start, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "XDG_STATE_HOME": str(folder / "state")},
        check=True,
    )
    status, seconds, kilobytes = json.loads(told.read_text())
    told.unlink()
    return Ran(status, seconds, kilobytes / 1024, done.stdout.decode("utf-8", "replace"))


def is_clean(text: str) -> bool:
    """Whether a terminal would do nothing but show it."""
    return not NEVER_SHOWN & set(text) and re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", text) is None


@pytest.fixture(scope="module", params=sorted(FILES))
def hostile(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of the files, alone in a folder."""
    folder = tmp_path_factory.mktemp("hostile")
    ((_, data),) = closed(iter([request.param]))
    path = folder / "evil.tgrec"
    path.write_bytes(data)
    return path


def test_looking_at_it_costs_little_and_does_nothing(hostile: Path) -> None:
    """info, verify, and all that a replay asks: 2 s, 256 MB, clean text, no byte of it changed."""
    before = hostile.read_bytes()
    for command in (*((*one, str(hostile)) for one in LOOKING), ("-c", REPLAYED, str(hostile))):
        found = ran(hostile.parent, *command)
        assert found.status in {0, 1}, found
        assert found.seconds < SECONDS and found.megabytes < MEMORY_MB, (command[:2], found[:3])
        assert "Traceback" not in found.said and is_clean(found.said), found.said
    assert hostile.read_bytes() == before
    assert [one.name for one in hostile.parent.iterdir()] == [hostile.name]


PASS_FILES = ("obeyed", "year 9999", "before all time", "events of 4 MB", "deep", "past without end")


@pytest.mark.parametrize("name", PASS_FILES)
def test_going_through_it_does_nothing_else(tmp_path: Path, name: str) -> None:
    """trim, export and report: what was asked for is there, whole or not at all, and nothing beside it."""
    ((_, data),) = closed(iter([name]))
    path = tmp_path / "evil.tgrec"
    path.write_bytes(data)
    for *command, out in PASSING:
        found = ran(tmp_path, *command, str(path), "--out", str(tmp_path / out))
        assert found.megabytes < MEMORY_MB and "Traceback" not in found.said and is_clean(found.said), found
        names = {one.name for one in tmp_path.iterdir()}
        assert names == ({path.name, out} if not found.status else {path.name})
        if not found.status and not out.endswith(".tgrec"):
            text = (tmp_path / out).read_text()
            assert is_clean(text), out
            assert out != "out.csv" or not any(
                _is_formula(cell) for row in csv.reader(text.splitlines()) for cell in row
            )
            assert out != "out.html" or "<script" not in text
        (tmp_path / out).unlink(missing_ok=True)


def _is_formula(cell: str) -> bool:
    return cell.startswith(("=", "+", "-", "@")) and re.fullmatch(r"-?[\d.e+-]+", cell) is None


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 kB. Skips where none can be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_fills_up_leaves_nothing_behind(tmp_path: Path, small_disk: Path) -> None:
    """Each command tells it, and takes away what it had written."""
    path = tape_of(simple_frames(1500)).write(tmp_path / "long.tgrec")
    for *command, out in (*PASSING[:4], ("recording", "export", "--format", "sqlite", "out.db"), PASSING[5]):
        found = ran(tmp_path, *command, str(path), "--out", str(small_disk / out))
        assert found.status == 1 and "cannot be written" in found.said and "Traceback" not in found.said
        assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_command_that_is_ended_leaves_no_half_file(tmp_path: Path, number: signal.Signals) -> None:
    """SIGTERM: nothing at all; SIGKILL: nothing under the name that was asked for."""
    path = chain(100).write(tmp_path / "long.tgrec", bytes(tape_of(simple_frames(6000)).data))
    command = [
        sys.executable,
        "-m",
        "tui",
        "recording",
        "trim",
        str(path),
        "--out",
        str(tmp_path / "out.tgrec"),
    ]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while not any(one.stat().st_size > 20_000 for one in tmp_path.glob(".tidegate-*.part")):
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        child.send_signal(number)
        assert child.wait(10) in {-number, 128 + number}
    finally:
        child.kill()
    left = {one.name for one in tmp_path.iterdir()} - {path.name}
    assert "out.tgrec" not in left
    assert not left if number == signal.SIGTERM else all(name.endswith(".part") for name in left)


def test_a_limit_on_memory_is_enough(tmp_path: Path) -> None:
    """Nothing is set aside by what a file claims: it opens in an address space of 1.5 GB."""
    path = tape_of(simple_frames(5)).write(tmp_path / "a.tgrec")
    with path.open("r+b") as file:
        file.truncate(10 * 2**30)
    code = (
        "import resource, sys; from pathlib import Path; import numpy, zstandard;"
        f"resource.setrlimit(resource.RLIMIT_AS, ({3 * 2**29},) * 2);"
        "from collectors.recording.reader import Recording;"
        "print(Recording.open(Path(sys.argv[1])).frames)"
    )
    found = ran(tmp_path, "-c", code, str(path))
    assert found.said.strip() == "5", found.said
    assert resource.getrlimit(resource.RLIMIT_AS)[0] != 3 * 2**29
    assert Recording.open(path).frames == 5
