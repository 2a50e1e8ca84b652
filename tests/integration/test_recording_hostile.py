"""Hostile recordings through the real commands: seconds, memory, what they print and leave behind."""

import csv
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.recording.reader import Recording
from tests.hostile_commands import LOOKING, is_clean, ran
from tests.hostile_recordings import FILES, HANG_S, chain, closed
from tests.recording_files import simple_frames, tape_of

pytestmark = pytest.mark.slow

MEMORY_MB = 256.0
"""Most that a hostile file may cost."""

PASSING = (
    ("recording", "trim", "out.tgrec"),
    ("recording", "export", "--format", "csv", "out.csv"),
    ("recording", "export", "--format", "jsonl", "out.jsonl"),
    ("recording", "export", "--format", "openmetrics", "out.om"),
    ("report", "out.md"),
    ("report", "--format", "html", "out.html"),
)


@pytest.fixture(scope="module", params=sorted(FILES))
def hostile(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of the files, alone in a folder."""
    folder = tmp_path_factory.mktemp("hostile")
    ((_, data),) = closed(iter([request.param]))
    path = folder / "evil.tgrec"
    path.write_bytes(data)
    return path


def test_looking_at_it_costs_little_and_does_nothing(hostile: Path) -> None:
    """info, verify, and all that a replay asks: it ends, within 256 MB; clean text, no byte of it changed."""
    before = hostile.read_bytes()
    for name, command in LOOKING.items():
        found = ran(hostile.parent, *command, str(hostile))
        assert found.status in {0, 1}, found
        assert found.seconds < HANG_S and found.megabytes < MEMORY_MB, (name, found[:3])
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
