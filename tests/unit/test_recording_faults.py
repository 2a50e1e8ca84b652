"""Where a recording goes is taken away, shared, read-only or full from the start: told, and gone on with."""

import errno
import fcntl
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from collectors.recording import ring, writer
from collectors.recording.file import HeldError, SegmentFile
from collectors.recording.layout import Kind, RecordingError, Tag
from collectors.recording.ring import RingLimits, segments
from collectors.recording.writer import RecordingWriter
from collectors.sessions import Mark
from tests.frames import AT
from tests.recording_commands import run
from tests.recording_parts import Disk, changing, made, put_all, recording, until, walk


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trouble is looked at again at once."""
    monkeypatch.setattr(writer, "RETRY_S", 0.01)


class ReadOnly:
    """A file system on which nothing can be made or opened for writing, for as long as `is_on`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.is_on, self._folder = True, str(folder)
        self._open, self._mkdir = os.open, os.mkdir
        monkeypatch.setattr(os, "open", self.open)
        monkeypatch.setattr(os, "mkdir", self.mkdir)

    def open(self, path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        self._refuse(path, bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)))
        return self._open(path, flags, *args, **kwargs)

    def mkdir(self, path: Any, *args: Any, **kwargs: Any) -> None:
        self._refuse(path, True)
        self._mkdir(path, *args, **kwargs)

    def _refuse(self, path: Any, writes: bool) -> None:
        if self.is_on and writes and str(path).startswith(self._folder):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))


def goes_on(one: RecordingWriter) -> None:
    """Wait until it is written again, and all that was kept is."""
    until(lambda: "nothing is recorded" not in one.state.trouble)
    one.flush()


def test_a_ring_that_is_removed_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next frame begins another segment in a new folder; that is told for a while, and what was lost is a
    gap in it."""
    folder = tmp_path / "state" / "recordings"
    with recording(folder=folder) as one:
        put_all(one, changing(5))
        lost = one.path
        shutil.rmtree(tmp_path / "state")
        put_all(one, changing(1, first=5))
        assert one.state.trouble == (
            f"{lost} was removed while it was written, and what was in it is gone; another file is begun"
        )
        assert one.state.is_on and one.state.frames == 1
        monkeypatch.setattr(time, "monotonic", lambda later=time.monotonic: later() + writer.TOLD_S)
        assert one.state.trouble == ""
        put_all(one, changing(5, first=6))
        assert one.state.frames == 6
    (left,) = segments(folder)
    found = walk(left.path)
    assert left.path != lost and left.number == 1 and folder.stat().st_mode & 0o777 == 0o700
    assert found.waiting == list(range(105, 111))
    (gap,) = found.tags(Tag.GAP)
    assert (gap.body["from"], gap.body["to"], gap.body["frames"]) == (AT, AT + 5, 5)
    assert gap.body["why"] == "its file was removed"


@pytest.mark.usefixtures("soon")
def test_a_file_whose_folder_is_removed_waits_for_it(tmp_path: Path) -> None:
    """A folder that was named is not made: what to do is told; with it comes the file, under its own name."""
    path = tmp_path / "mine" / "night.tgrec"
    path.parent.mkdir()
    with recording(path) as one:
        put_all(one, changing(3))
        shutil.rmtree(path.parent)
        one.put(next(changing(1, first=3)))
        until(lambda: "No such file or directory; make its folder" in one.state.trouble)
        for frame in changing(3, first=4):
            one.put(frame)
        path.parent.mkdir()
        goes_on(one)
    assert [one.name for one in path.parent.iterdir()] == ["night.tgrec"]
    found = walk(path)
    assert found.waiting == [103, 104, 105, 106]
    assert found.tags(Tag.GAP)[0].body["frames"] == 3 and found.records[-1].kind == Kind.FOOTER
    assert one.state.frames == 4


def test_what_is_removed_at_the_end_is_told(tmp_path: Path) -> None:
    """Nothing is written any more: no file of a footer alone, and nobody is told that frames were kept."""
    path = tmp_path / "night.tgrec"
    with recording(path) as one:
        put_all(one, changing(3))
        path.unlink()
    assert one.state.trouble == f"{path} was removed while it was written, and what was in it is gone"
    assert one.state.frames == 0 and not one.state.is_on and list(tmp_path.iterdir()) == []


def test_an_intent_is_on_the_disk_though_its_file_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request leaves once another file has it; what was lost is still told when all is over."""
    monkeypatch.setattr(writer, "RETRY_S", 60.0)
    path = tmp_path / "night.tgrec"
    with recording(path) as one:
        put_all(one, changing(3))
        path.unlink()
        one.note(Kind.ACTION, Tag.INTENT, {"n": 1}, wait_s=5.0)
        assert [one.body["n"] for one in walk(path).tags(Tag.INTENT)] == [1]
        put_all(one, changing(3, first=3))
    assert walk(path).waiting == [103, 104, 105]
    assert "another file is begun" in one.state.trouble and one.state.frames == 3


@pytest.mark.usefixtures("soon")
def test_another_file_in_its_place_is_left_alone(tmp_path: Path) -> None:
    """Somebody moved theirs to the name that ours had: neither written to nor removed."""
    path, theirs = tmp_path / "night.tgrec", tmp_path / "theirs"
    one = made(path)
    theirs.write_text("precious")
    theirs.replace(path)
    one.close()
    assert path.read_text() == "precious"
    path.unlink()
    with recording(path) as one:
        put_all(one, changing(3))
        theirs.write_text("precious")
        theirs.replace(path)
        one.put(next(changing(1, first=3)))
        one.put(next(changing(1, first=4)))
        until(lambda: one.state.frames == 2)
        goes_on(one)
    assert path.read_text() == "precious"
    assert one.path is not None and walk(one.path).waiting == [103, 104]


def test_two_that_record_into_one_ring_share_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its own segments, both keep it within its limits, neither removes what the other writes."""
    monkeypatch.setattr(ring, "_LEAST_SEGMENT", 10_000)
    limits = RingLimits(max_bytes=40_000)
    with (
        recording(folder=tmp_path, limits=limits) as one,
        recording(folder=tmp_path, limits=limits) as two,
    ):
        for first in range(0, 200, 4):
            put_all(one, changing(4, first=first))
            put_all(two, changing(4, first=first))
        for writing in (one, two):
            assert writing.path is not None and writing.path.exists()
            assert writing.state.trouble == "" and writing.state.frames == 200
    left = segments(tmp_path)
    assert sum(each.size for each in left) <= limits.max_bytes + 2 * limits.segment_most
    assert len({each.recording for each in left}) == 2 and min(each.number for each in left) > 0
    for recorded in {each.recording for each in left}:
        waiting = [n for each in left if each.recording == recorded for n in walk(each.path).waiting]
        assert waiting == list(range(waiting[0], 300))


def asked_to_record(path: Path) -> int:
    """Exit status of a recording that is refused before anybody is asked."""
    return run("record", "--prometheus", "http://127.0.0.1:9", "--for", "1s", "--out", path)


def test_the_second_that_records_into_a_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status and one sentence, at once; what the first one writes is as if nobody had asked."""
    path = tmp_path / "night.tgrec"
    with recording(path) as one:
        for first in (0, 3):
            assert asked_to_record(path) == 2
            told = capsys.readouterr().err
            assert told == f"tidegate: another process records into {path}: choose another name.\n"
            put_all(one, changing(3, first=first))
    assert walk(path).waiting == list(range(100, 106))


def test_a_read_only_file_system_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who named a file is refused; also where the file is there."""
    (tmp_path / "there.tgrec").touch()
    ReadOnly(monkeypatch, tmp_path)
    for path in (tmp_path / "new.tgrec", tmp_path / "there.tgrec"):
        assert asked_to_record(path) == 2
        told = capsys.readouterr().err
        assert (
            told
            == f"tidegate: {path} cannot be recorded into: Read-only file system. Choose another place.\n"
        )


@pytest.mark.usefixtures("soon")
def test_a_ring_on_a_read_only_file_system_is_begun_when_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cockpit goes on and says what to do; once the folder can be made, what was kept is in it."""
    disk, folder = ReadOnly(monkeypatch, tmp_path), tmp_path / "recordings"
    with recording(folder=folder) as one:
        one.mark(Mark(AT, "ada", "begin"))
        for frame in changing(5):
            one.put(frame)
        until(lambda: one.state.trouble != "")
        assert one.state.trouble == (
            f"nothing is recorded: {folder}: Read-only file system; let it be written to, and it goes on by "
            "itself"
        )
        assert one.state.is_on and not folder.exists()
        disk.is_on = False
        goes_on(one)
    (left,) = segments(folder)
    found = walk(left.path)
    assert found.waiting == list(range(100, 105)) and len(found.tags(Tag.BOOKMARK)) == 1


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("is_ring", [True, False], ids=["ring", "file"])
def test_a_disk_that_is_full_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_ring: bool
) -> None:
    """Not even a header fits: no tries are left behind in the folder, and with room all frames are there."""
    disk, folder = Disk(monkeypatch), tmp_path / "recordings"
    folder.mkdir()
    disk.error = errno.ENOSPC
    places = {"folder": folder} if is_ring else {"file": folder / "night.tgrec"}
    with recording(**places) as one:
        for frame in changing(5):
            one.put(frame)
        until(lambda: "No space left on device; free some space there" in one.state.trouble)
        assert one.state.frames == 0
        for _ in range(5):
            disk.entered.clear()
            assert disk.entered.wait(5)
        assert len(list(folder.iterdir())) <= 1
        disk.error = 0
        goes_on(one)
    (path,) = folder.iterdir()
    found = walk(path)
    assert found.waiting == list(range(100, 105)) and found.rest == 0
    assert found.records[0].tag == Tag.RUN_START and found.records[-1].kind == Kind.FOOTER


def test_a_disk_that_stays_full_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end comes in time; no empty file lies about, and the last sentence says why."""
    disk = Disk(monkeypatch)
    disk.error = errno.ENOSPC
    with recording(tmp_path / "night.tgrec") as one:
        one.put(next(changing(1)))
        until(lambda: one.state.trouble != "")
    assert list(tmp_path.iterdir()) == []
    assert "No space left on device" in one.state.trouble and not one.state.is_on


def test_a_folder_that_cannot_be_synchronised_gets_no_empty_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file whose name may not be on the disk is no file: the next try makes another."""

    def failing(opened: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="Input/output error"):
        SegmentFile.create(tmp_path / "a.tgrec")
    with pytest.raises(RecordingError, match="cannot be recorded into: Input/output error"):
        made(tmp_path / "a.tgrec")
    assert list(tmp_path.iterdir()) == []


def test_of_two_that_make_one_file_one_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody opened and locked it between our making and our locking it: it is theirs, and stays."""
    path = tmp_path / "a.tgrec"
    taken: list[SegmentFile] = []
    flock = fcntl.flock

    def late(opened: int, operation: int) -> None:
        if not taken:
            monkeypatch.undo()
            taken.append(SegmentFile.reopen(path))
        flock(opened, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(HeldError, match="another process records"):
        made(path)
    assert path.exists()
    taken[0].close()
