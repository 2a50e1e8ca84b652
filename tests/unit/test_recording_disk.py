"""A disk that is slow, full, stuck or lying: what is told, what is kept, and how it goes on."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from collectors.fleet import Event, EventKind, Frame
from collectors.recording import layout, writer
from collectors.recording.layout import Kind, Tag
from collectors.recording.ring import segments
from collectors.recording.shape import Shaper
from collectors.recording.writer import QUEUE_FRAMES, RecordingWriter
from collectors.sessions import Mark, View
from tests.frames import AT
from tests.recording_parts import Disk, changing, made, put_all, recording, until, walk


def fill_up(one: RecordingWriter, disk: Disk) -> None:
    """Five frames, and a disk that has no room for the sixth."""
    put_all(one, changing(5))
    disk.error = errno.ENOSPC
    one.put(next(changing(1, first=5)))
    until(lambda: one.state.trouble != "")


def make_room(one: RecordingWriter, disk: Disk) -> None:
    """The disk takes everything again, and does."""
    disk.error = 0
    until(lambda: one.state.trouble == "")
    one.flush()


def test_a_slow_disk_drops_the_oldest_frames_and_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten frames wait; older ones are counted and told in the file; every event is there."""
    disk = Disk(monkeypatch)
    with recording(tmp_path / "a.tgrec") as one:
        frames = [
            replace(frame, events=(Event(frame.at, EventKind.NOTE, "test", "", f"event {n}"),))
            for n, frame in enumerate(changing(30))
        ]
        one.put(frames[0])
        one.flush()
        disk.open.clear()
        disk.entered.clear()
        one.put(frames[1])
        assert disk.entered.wait(5)
        for frame in frames[2:]:  # and none waits for the disk, which takes nothing yet
            one.put(frame)
        assert one.state.dropped == len(frames) - 1 - QUEUE_FRAMES
        disk.open.set()
        one.flush()
    found = walk(tmp_path / "a.tgrec")
    assert found.waiting == [100, *range(130 - QUEUE_FRAMES, 130)]
    assert len(found.tags(Tag.HAPPENED)) == 30
    (dropped,) = found.tags(Tag.DROPPED)
    assert dropped.body["frames"] == one.state.dropped
    assert (dropped.body["from"], dropped.body["to"]) == (AT, AT + 30 - QUEUE_FRAMES)


def test_a_full_disk_is_told_and_recording_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file ends on a record, trouble says what to do, frames wait in memory, and all is written after."""
    monkeypatch.setattr(writer, "RETRY_S", 0.01)
    disk, path = Disk(monkeypatch), tmp_path / "a.tgrec"
    with recording(path) as one:
        fill_up(one, disk)
        for frame in changing(39, first=6):
            one.put(frame)
        assert "No space left" in one.state.trouble and "goes on by itself" in one.state.trouble
        assert one.state.is_on
        assert walk(path).rest == 0
        make_room(one, disk)
    found = walk(path)
    assert found.waiting == list(range(100, 145))
    gap = found.records.index(found.tags(Tag.GAP)[0])
    following = next(one for one in found.records[gap:] if one.kind in layout.FRAMES)
    assert following.kind == Kind.KEY
    assert found.tags(Tag.GAP)[0].body["frames"] == 0


def test_a_frame_that_is_being_written_is_not_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is on its way: of those behind it the oldest go."""
    disk = Disk(monkeypatch)
    with recording(tmp_path / "a.tgrec") as one:
        put_all(one, changing(1))
        disk.open.clear()
        disk.entered.clear()
        one.put(next(changing(1, first=1)))
        assert disk.entered.wait(5)
        for frame in changing(20, first=2):
            one.put(frame)
        disk.open.set()
        one.flush()
        assert one.state.dropped == 21 - QUEUE_FRAMES
    assert walk(tmp_path / "a.tgrec").waiting == [100, 101, *range(122 - QUEUE_FRAMES + 1, 122)]


def test_room_for_a_note_is_no_room_for_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Notes are written as far as they fit, trouble stays told, and the gap is told once, with its frame."""
    monkeypatch.setattr(writer, "RETRY_S", 0.005)
    disk, path = Disk(monkeypatch), tmp_path / "a.tgrec"
    with recording(path) as one:
        put_all(one, changing(5))
        disk.error = errno.ENOSPC
        one.note(Kind.MARK, Tag.BOOKMARK, {"note": "does not fit"})
        until(lambda: one.state.trouble != "")
        disk.room = 350
        for frame in changing(30, first=5):
            one.put(frame)
            one.mark(Mark(frame.at, "ada", ""))
        until(lambda: len(walk(path).tags(Tag.BOOKMARK)) == 1)
        (mark,) = walk(path).tags(Tag.BOOKMARK)
        for _ in range(20):
            disk.entered.clear()
            assert disk.entered.wait(5)
            assert one.state.trouble != ""
        # What half a try left is cut off again: none of them makes the file longer.
        until(lambda: path.stat().st_size == mark.offset + mark.record.size)
        make_room(one, disk)
    found = walk(path)
    assert found.waiting == list(range(100, 135))
    assert len(found.tags(Tag.GAP)) == 1 and len(found.tags(Tag.BOOKMARK)) == 31
    assert found.frames[5].kind == Kind.KEY


def test_a_minute_is_kept_while_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older frames go, and the gap says from when to when and how many; every event is there."""
    monkeypatch.setattr(writer, "RETRY_S", 0.01)
    disk, path = Disk(monkeypatch), tmp_path / "a.tgrec"
    with recording(path) as one:
        fill_up(one, disk)
        for frame in changing(195, first=6):
            one.put(replace(frame, events=(Event(frame.at, EventKind.NOTE, "test", "", "x"),)))
        make_room(one, disk)
    found = walk(path)
    assert found.waiting == [*range(100, 105), *range(240, 301)]
    (gap,) = found.tags(Tag.GAP)
    assert (gap.body["from"], gap.body["to"], gap.body["frames"]) == (AT + 4, AT + 140, 135)
    assert len(found.tags(Tag.HAPPENED)) == 195
    assert one.state.dropped == 135


def test_nobody_waits_for_a_disk_in_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An action goes on at once, and is recorded when the disk comes back."""
    monkeypatch.setattr(writer, "RETRY_S", 0.01)
    disk = Disk(monkeypatch)
    with recording(tmp_path / "a.tgrec") as one:
        put_all(one, changing(2))
        disk.error = errno.EIO
        waiting = one.append(Kind.ACTION, Tag.INTENT, {"n": 1})
        waiting.result(5)
        until(lambda: one.state.trouble != "")
        assert one.append(Kind.ACTION, Tag.INTENT, {"n": 2}).done()
        disk.error = 0
        until(lambda: one.state.trouble == "")
        put_all(one, changing(1, first=2))
    found = walk(tmp_path / "a.tgrec")
    assert [one.body["n"] for one in found.tags(Tag.INTENT)] == [1, 2]
    assert [one.kind for one in found.frames] == [Kind.KEY, Kind.DELTA, Kind.KEY]


def test_a_stuck_disk_holds_an_action_up_for_so_long_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that does not return: the wait is over after what was asked for, and so is the end."""
    monkeypatch.setattr(writer, "CLOSE_S", 0.05)
    disk = Disk(monkeypatch)
    one = made(tmp_path / "a.tgrec")
    put_all(one, changing(2))
    disk.open.clear()
    one.note(Kind.ACTION, Tag.INTENT, {}, wait_s=0.05)
    one.close()
    assert one._thread.is_alive()
    disk.open.set()
    one._thread.join(5)
    assert not one._thread.is_alive()


def test_after_a_failed_sync_another_segment_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows what is on the disk: the old segment is left as it is, the new one hangs on its chain."""
    fdatasync, fails = os.fdatasync, [False]

    def failing(opened: int) -> None:
        if fails[0]:
            fails[0] = False
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fdatasync(opened)

    monkeypatch.setattr(os, "fdatasync", failing)
    with recording(folder=tmp_path / "ring") as one:
        put_all(one, changing(3))
        one.view(View(screen="model"))
        fails[0] = True
        one.note(Kind.ACTION, Tag.INTENT, {}, wait_s=5.0)
        put_all(one, changing(3, first=3))
    first, second = (walk(one.path) for one in segments(tmp_path / "ring"))
    assert second.header.facts["segment"] == 1
    assert second.header.facts["recording"] == first.header.facts["recording"]
    assert second.header.facts["prev_chain"] == first.chain.hex()
    assert first.waiting + second.waiting == list(range(100, 106))
    assert second.records[0].tag == Tag.VIEW


def test_a_file_that_somebody_removed_is_followed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written into a file without a name is lost: the next frame begins a segment."""
    monkeypatch.setattr(writer, "SYNC_S", 0.0)
    with recording(folder=tmp_path / "ring") as one:
        put_all(one, changing(3))
        assert one.path is not None
        one.path.unlink()
        one.note(Kind.ACTION, Tag.INTENT, {}, wait_s=5.0)
        put_all(one, changing(3, first=3))
        assert one.path.exists()
    (left,) = segments(tmp_path / "ring")
    assert walk(left.path).waiting[-3:] == [103, 104, 105]


def test_a_fault_of_ours_is_told_and_takes_nothing_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread ends with a sentence; frames, notes and the end go on as if there were no recording."""

    def broken(self: Shaper, frame: Frame) -> None:
        raise KeyError("quantum")

    with recording(tmp_path / "a.tgrec") as one:
        put_all(one, changing(2))
        monkeypatch.setattr(Shaper, "take", broken)
        one.put(next(changing(1, first=2)))
        until(lambda: not one.state.is_on)
        assert "by a fault of tidegate (KeyError" in one.state.trouble
        one.put(next(changing(1, first=3)))
        one.note(Kind.ACTION, Tag.INTENT, {}, wait_s=5.0)
        one.flush()
    assert walk(tmp_path / "a.tgrec").waiting == [100, 101]
