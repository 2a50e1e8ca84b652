"""Recording against a real disk and real processes: killed, full, denied, limited."""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collectors.fleet import Event, EventKind
from collectors.recording import writer
from collectors.recording.layout import FRAMES, Kind, Tag
from collectors.recording.ring import RingLimits, segments
from tests.recording_kills import fault, killed
from tests.recording_parts import changing, put_all, recording, until, walk

pytestmark = pytest.mark.slow

KILLS = 20
NOBODY = 65_534


@pytest.mark.parametrize("seed", range(KILLS))
def test_a_kill_loses_nothing_that_was_written(tmp_path: Path, seed: int) -> None:
    """At a random moment: every frame whose write returned is there, and the next run goes on with it."""
    assert fault(killed(tmp_path / "a.tgrec", seed)) == ""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB. Skips where none can be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told at once; the file ends on a record; with room again it goes on by itself, with a gap and a KEY."""
    monkeypatch.setattr(writer, "RETRY_S", 0.02)
    ballast, path = small_disk / "ballast", small_disk / "a.tgrec"
    with recording(path) as one:
        put_all(one, changing(50))
        _fill(ballast)
        number = 50
        while not one.state.trouble:
            one.put(next(changing(1, first=number)))
            one.flush()
            number += 1
        assert "No space left" in one.state.trouble and str(path) in one.state.trouble
        before = walk(path)
        assert before.rest == 0
        for frame in changing(100, first=number):
            one.put(replace(frame, events=(Event(frame.at, EventKind.NOTE, "test", "", "still there"),)))
        ballast.unlink()
        until(lambda: one.state.trouble == "")
        one.flush()
    found = walk(path)
    assert found.rest == 0 and found.records[-1].kind == Kind.FOOTER
    (gap,) = found.tags(Tag.GAP)
    place = found.records.index(gap)
    assert next(one.kind for one in found.records[place:] if one.kind in FRAMES) == Kind.KEY
    # A minute is kept in memory; of what is older, each event is.
    assert found.waiting[: len(before.frames)] == before.waiting
    assert found.waiting[-61:] == list(range(100 + number + 100 - 61, 100 + number + 100))
    assert gap.body["frames"] == one.state.dropped == number + 100 - len(found.frames)
    assert len(found.tags(Tag.HAPPENED)) == 100


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    """RLIMIT_FSIZE: a sentence instead of the end of the process; what is there is whole."""
    path = tmp_path / "a.tgrec"
    done = subprocess.run(
        [sys.executable, "-m", "tests.recording_process", str(path), "300", "0"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000)),
    )
    assert "closed" in done.stdout and "File too large" in done.stdout and done.stderr == ""
    found = walk(path)
    assert found.rest == 0 and 0 < len(found.frames) < 300
    assert path.stat().st_size <= 30_000


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_a_permission_that_was_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that may no longer be written to: told with what to do, and gone on with once it may be."""
    monkeypatch.setattr(writer, "RETRY_S", 0.02)
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o777)
        # Root may write anywhere, so another user does it. This interpreter may not be his to start, nor its
        # modules his to import: they are all in use once.
        with recording(tmp_path / "a.tgrec") as one:
            put_all(one, changing(2))
        child = os.fork()
        if child == 0:  # pragma: no cover - another process
            code = 1
            try:
                os.setgid(NOBODY)
                os.setuid(NOBODY)
                _denied(Path(place) / "ring")
                code = 42
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 42
        found = [walk(one.path) for one in segments(Path(place) / "ring")]
        assert [one.waiting for one in found] == [list(range(start, start + 10)) for start in (100, 110, 120)]
        assert len(found[1].tags(Tag.GAP)) == 1
        assert all(one.records[-1].kind == Kind.FOOTER for one in found)


def _denied(ring: Path) -> None:
    """Between two segments the folder is closed, and opened again. raises: AssertionError"""
    with recording(folder=ring, limits=RingLimits(segment_s=10.0)) as one:
        put_all(one, changing(10))
        ring.chmod(0o500)
        for frame in changing(20, first=10):
            one.put(frame)
            until(lambda: one.state.trouble != "")
        assert "Permission denied" in one.state.trouble and "who may write there" in one.state.trouble
        assert one.state.is_on
        ring.chmod(0o700)
        until(lambda: one.state.trouble == "")


def test_two_processes_share_a_ring(tmp_path: Path) -> None:
    """Each writes a recording of its own; both are whole."""
    command = [sys.executable, "-m", "tests.recording_process", str(tmp_path / "ring"), "200", "0"]
    children = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    for child in children:
        assert child.wait(60) == 0
    found = segments(tmp_path / "ring")
    assert len({one.recording for one in found}) == len(found) == 2
    for one in found:
        assert walk(one.path).waiting == list(range(100, 300))
