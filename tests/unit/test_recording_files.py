"""The files of recordings: gone on with, refused, named, one after another, and kept within bounds."""

import os
import random
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from collectors.keeping import RecordingSettings
from collectors.recording import layout, ring
from collectors.recording.file import HeldError, SegmentFile
from collectors.recording.layout import (
    DIRECTORY,
    FOOTER,
    HLEN,
    Footer,
    Kind,
    RecordingError,
    Tag,
)
from collectors.recording.redact import Redaction
from collectors.recording.ring import RingLimits, prune, segment_name, segments
from collectors.recording.writer import RecordingWriter
from collectors.sessions import View
from tests.frames import AT
from tests.recording_parts import Walk, changing, made, put_all, recording, until, walk


def crashed(path: Path, frames: int = 20, **kwargs: Any) -> bytes:
    """A file whose writer ended without a word; returns its bytes."""
    one = made(path, **kwargs)
    put_all(one, changing(frames))
    data = path.read_bytes()
    one.close()
    path.write_bytes(data)
    return data


def continued(path: Path, frames: int = 20, first: int = 50) -> Walk:
    """The file, after another run appended to it."""
    with recording(path) as one:
        put_all(one, changing(frames, first=first))
    return walk(path)


@pytest.mark.parametrize("frames", [3, 700])
def test_a_killed_recording_goes_on_in_the_same_file(tmp_path: Path, frames: int) -> None:
    """Nothing of it is lost; the run start is followed by schema, state and a KEY, and the chain holds."""
    path = tmp_path / "a.tgrec"
    crashed(path, frames)
    found = continued(path, first=800)
    assert found.waiting == [*range(100, 100 + frames), *range(900, 920)]
    start = found.records.index(found.tags(Tag.RUN_START)[1])
    assert [one.kind for one in found.records[start + 1 : start + 6]] == [
        Kind.SCHEMA,
        Kind.SCHEMA,
        Kind.EVENT,
        Kind.EVENT,
        Kind.KEY,
    ]
    assert not found.tags(Tag.TAIL_DROPPED)
    ids = [one.body["schema_id"] for one in found.records if one.kind == Kind.SCHEMA]
    assert ids == sorted(ids) and len(set(ids)) == 2
    footer = Footer.unpack(path.read_bytes())
    assert (footer.frames, footer.records) == (len(found.frames), len(found.records) - 1)
    assert footer.indexes == sum(one.kind == Kind.INDEX for one in found.records)


def test_a_closed_recording_goes_on_behind_its_footer(tmp_path: Path) -> None:
    """The last footer counts all of it, and names every INDEX."""
    path = tmp_path / "a.tgrec"
    for first in (0, 1000):
        found = continued(path, 520, first)
    assert len(found.frames) == 1040
    footer = Footer.unpack(path.read_bytes())
    assert (footer.frames, footer.records) == (1040, len(found.records) - 1)
    directory = found.records[-1].payload[: -FOOTER.size]
    assert [one[0] for one in DIRECTORY.iter_unpack(directory)] == [
        one.offset for one in found.records if one.kind == Kind.INDEX
    ]


def test_recording_time_goes_on_by_what_passed(tmp_path: Path) -> None:
    """After a restart: the last value and the time in between; never less, whatever the clock says."""
    path = tmp_path / "a.tgrec"
    crashed(path, 10)
    found = continued(path, 1, first=3600)
    assert found.frames[-1].record.t_mono == 3600 * 1_000_000
    found = continued(path, 1, first=0)
    assert found.frames[-1].record.t_mono >= 3600 * 1_000_000


def test_only_an_incomplete_tail_is_dropped(tmp_path: Path) -> None:
    """Cut anywhere in the last two records: what is whole stays, and the file tells how much was dropped."""
    path = tmp_path / "a.tgrec"
    data = crashed(path, 6)
    before = walk(path)
    ends = [one.offset for one in before.records[-2:]] + [len(data)]
    for cut in (*ends, *range(ends[0] + 1, ends[2], 97)):
        path.write_bytes(data[:cut])
        found = continued(path, 1)
        whole = max(end for end in ends if end <= cut)
        kept = sum(one.offset + one.record.size <= cut for one in before.frames)
        assert found.waiting == [*range(100, 100 + kept), 150]
        told = [one.body["bytes"] for one in found.tags(Tag.TAIL_DROPPED)]
        assert told == ([cut - whole] if cut > whole else [])


@pytest.mark.parametrize("tail", [b"\0" * 5000, b"\xf5TGREC\r\n" * 100, random.Random(1).randbytes(3000)])
def test_a_tail_of_anything_is_dropped(tmp_path: Path, tail: bytes) -> None:
    """Zeros and half a page after a power cut: no whole record is behind it, so it is no part of the file."""
    path = tmp_path / "a.tgrec"
    path.write_bytes(crashed(path, 6) + tail)
    assert continued(path, 1).waiting == [*range(100, 106), 150]


def test_a_file_that_is_damaged_inside_is_not_touched(tmp_path: Path) -> None:
    """Whole records behind the damage: refused with the place of it, and not a byte is changed."""
    path = tmp_path / "a.tgrec"
    data = bytearray(crashed(path, 20))
    place = walk(path).frames[8]
    data[place.offset + HLEN + 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(RecordingError, match=f"damaged at byte {place.offset}"):
        made(path)
    assert path.read_bytes() == data


def other_version(data: bytes, minor: int) -> bytes:
    """The file, as a later version would have begun it."""
    header, end = layout.FileHeader.unpack(data)
    return replace(header, minor=minor).pack() + data[end:]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"hello, world, this is no recording at all", "does not begin as one"),
        (b"\x89TGREC\r\n" + bytes(30), "damaged"),
    ],
)
def test_a_file_that_is_no_recording_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    """It is left as it is, and the sentence says why."""
    path = tmp_path / "a.tgrec"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=said):
        made(path)
    assert path.read_bytes() == content


def test_what_is_of_another_version_or_context_is_refused(tmp_path: Path) -> None:
    """Never append across versions, nor another fleet to this one's."""
    path = tmp_path / "a.tgrec"
    data = crashed(path, 3)
    path.write_bytes(other_version(data, 1))
    with pytest.raises(RecordingError, match=r"format 1\.1"):
        made(path)
    path.write_bytes(data)
    other = RecordingWriter(file=path, facts={"context": "staging"}, redaction=Redaction(), simulated=True)
    with pytest.raises(RecordingError, match="records 'prod-eu', not 'staging'"):
        other.start()
    with pytest.raises(RecordingError, match="is redacted by 'tidegate-1', not"):
        made(path, extra=("ACME",))
    with pytest.raises(RecordingError, match="another kind of clock"):
        made(path, simulated=False)
    assert path.read_bytes() == data


def test_a_file_that_is_being_written_is_refused(tmp_path: Path) -> None:
    """One file, one writer; a ring begins another recording instead."""
    with recording(tmp_path / "a.tgrec") as one:
        one.put(next(changing(1)))
        with pytest.raises(HeldError, match="another process records"):
            made(tmp_path / "a.tgrec")
    at = time.time()
    with recording(folder=tmp_path / "ring", simulated=False) as one:
        put_all(one, changing(3, start=at))
        with recording(folder=tmp_path / "ring", simulated=False) as two:
            put_all(two, changing(3, start=at))
            assert two.path != one.path
    assert len({one.recording for one in segments(tmp_path / "ring")}) == 2


def test_links_are_not_followed(tmp_path: Path) -> None:
    """Neither at the name of the file, nor in place of the ring's folder; nor is a pipe waited for."""
    target = tmp_path / "target"
    target.write_text("precious")
    (tmp_path / "a.tgrec").symlink_to(target)
    with pytest.raises(RecordingError, match="symbolic link"):
        made(tmp_path / "a.tgrec")
    (tmp_path / "dangling.tgrec").symlink_to(tmp_path / "new")
    with pytest.raises(RecordingError, match="symbolic link"):
        made(tmp_path / "dangling.tgrec")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RecordingError, match="regular file"):
        made(tmp_path / "pipe")
    assert target.read_text() == "precious" and not (tmp_path / "new").exists()
    (tmp_path / "real").mkdir()
    (tmp_path / "ring").symlink_to(tmp_path / "real")
    with recording(folder=tmp_path / "ring") as one:
        one.put(next(changing(1)))
        until(lambda: "symbolic link" in one.state.trouble)
    assert list((tmp_path / "real").iterdir()) == []


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    """0600 and 0700, whatever the umask; a file that was opened up is closed again."""
    before = os.umask(0)
    try:
        with recording(folder=tmp_path / "deep" / "ring") as one:
            put_all(one, changing(2))
            assert one.path is not None
            assert one.path.stat().st_mode & 0o777 == 0o600
            assert one.path.parent.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)
    path = tmp_path / "a.tgrec"
    crashed(path, 3)
    path.chmod(0o644)
    continued(path, 1)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_place_that_does_not_exist_is_told(tmp_path: Path) -> None:
    """A file in a folder that is not there, a folder in place of a file: sentences, no traceback."""
    with pytest.raises(RecordingError, match="No such file or directory"):
        made(tmp_path / "no" / "a.tgrec")
    with pytest.raises(RecordingError, match=r"directory|regular"):
        made(tmp_path)


def test_names_tell_when_which_and_where(tmp_path: Path) -> None:
    """UTC start, recording, number; other files in the folder are none of the ring's business."""
    assert segment_name(AT, "0123456789ab", 3) == "20261121T140211Z-0123456789ab-0003.tgrec"
    with recording(folder=tmp_path) as one:
        put_all(one, changing(1))
    (tmp_path / "notes.tgrec").write_text("mine")
    (tmp_path / "20261121T140211Z-0123456789ab-0003.tgrec").symlink_to(tmp_path / "notes.tgrec")
    (found,) = segments(tmp_path)
    assert found.start == datetime(2026, 11, 21, 14, 2, 11, tzinfo=UTC).timestamp()
    assert found.recording == walk(found.path).header.facts["recording"]


def test_a_live_session_goes_on_with_its_last_segment(tmp_path: Path) -> None:
    """The next start of the same context appends; a demo, whose clock begins anew, does not."""
    at = time.time()
    for first in (0, 10):
        with recording(folder=tmp_path / "live", simulated=False) as one:
            put_all(one, changing(3, first=first, start=at))
    (found,) = segments(tmp_path / "live")
    assert walk(found.path).waiting == [100, 101, 102, 110, 111, 112]
    for _ in range(2):
        with recording(folder=tmp_path / "demo") as one:
            put_all(one, changing(3))
    assert len(segments(tmp_path / "demo")) == 2


def test_a_segment_ends_when_it_is_old_or_long(tmp_path: Path) -> None:
    """Each one is closed, stands for itself, and hangs on the chain of the one before."""
    limits = RingLimits(segment_s=100.0)
    with recording(folder=tmp_path, limits=limits) as one:
        put_all(one, changing(250))
        one.view(View(screen="model"))
    found = [walk(one.path) for one in segments(tmp_path)]
    assert [len(one.frames) for one in found] == [100, 100, 50]
    assert [one.header.facts["segment"] for one in found] == [0, 1, 2]
    assert found[1].header.facts["prev_chain"] == found[0].chain.hex()
    assert all(one.frames[0].kind == Kind.KEY and one.records[-1].kind == Kind.FOOTER for one in found)
    assert [len(one.tags(Tag.RUN_START)) for one in found] == [1, 0, 0]
    assert [one.frames[0].record.t_mono for one in found] == [0, 100_000_000, 200_000_000]


def test_the_ring_keeps_to_its_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of a quarter of the ring at most; the oldest go, and never the one being written."""
    monkeypatch.setattr(ring, "_LEAST_SEGMENT", 20_000)
    limits = RingLimits(max_bytes=80_000)
    with recording(folder=tmp_path, limits=limits) as one:
        put_all(one, changing(700))
        found = segments(tmp_path)
        assert sum(one.size for one in found) <= 80_000 + limits.segment_most
        assert found[-1].path == one.path and found[0].number > 0
        assert walk(found[-1].path).waiting[-1] == 799


def test_without_a_configuration_the_limits_are_its_own() -> None:
    """A demo keeps as much as a configuration that says nothing of it, and needs no library to know."""
    settings, limits = RecordingSettings(), RingLimits()
    assert limits.max_bytes == settings.max_megabytes * 10**6
    assert limits.max_age_s == settings.max_days * 86_400
    begun = "from tui.kept import Keeping, new_writer; new_writer(Keeping('demo'))"
    code = f"{begun}\nimport sys; print({{'pydantic', 're2'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def sized(folder: Path, number: int, size: int, age_s: float) -> Path:
    """A segment of so many bytes, last written so long ago, with bookmarks."""
    path = folder / segment_name(AT + number, "0123456789ab", number)
    path.write_bytes(bytes(size))
    path.with_name(path.name + ring.MARKS).write_text("{}")
    os.utime(path, (time.time() - age_s, time.time() - age_s))
    return path


def test_pruning_removes_whole_segments_the_oldest_first(tmp_path: Path) -> None:
    """Over the size: from the oldest on, until it fits; over the age: all of them; bookmarks go along."""
    paths = [sized(tmp_path, n, 1000, 100 - n) for n in range(6)]
    assert prune(tmp_path, RingLimits(max_bytes=3500)) == paths[:3]
    assert sorted(tmp_path.iterdir()) == sorted(
        [*paths[3:], *(one.with_name(one.name + ring.MARKS) for one in paths[3:])]
    )
    old = sized(tmp_path, 7, 1000, 10_000)
    assert prune(tmp_path, RingLimits(max_age_s=5_000.0), keep=paths[5]) == [old]


def test_what_is_locked_or_being_written_stays(tmp_path: Path) -> None:
    """Also where that leaves the ring over its limits."""
    paths = [sized(tmp_path, n, 1000, 100 - n) for n in range(3)]
    written = SegmentFile.create(tmp_path / segment_name(AT, "ba9876543210", 0))
    try:
        gone = prune(tmp_path, RingLimits(max_bytes=0, max_age_s=-10.0), keep=paths[1])
    finally:
        written.close()
    assert gone == [paths[0], paths[2]]
    assert written.path.exists() and paths[1].exists()


@pytest.mark.parametrize(
    ("kind", "is_told"), [("nfs4", True), ("cifs", True), ("ext4", False), ("tmpfs", False)]
)
def test_a_network_file_system_is_warned_of(tmp_path: Path, kind: str, is_told: bool) -> None:
    """By the mount that the folder is on, which is the longest that fits."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        f"1 0 8:1 / / rw - ext4 /dev/root rw\n2 1 8:2 / {tmp_path} rw shared:1 - {kind} server:/x rw\n"
    )
    assert ("network file system" in ring.warning(tmp_path, mounts)) is is_told
