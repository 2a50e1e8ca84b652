"""Recordings of later versions, and damaged ones: what can be shown is, and the rest is told."""

import zlib
from pathlib import Path

import pytest

from collectors.recording.codec import NO_EXCEPTIONS, Payload, compressed, packed_frame
from collectors.recording.layout import REQUIRED, ZSTD, Kind, NewerFormat, Record, RecordingError, Tag
from collectors.recording.reader import STATE_LOST
from tests.recording_files import T0, Tape, simple_frames, tape_of, without
from tests.recording_parts import frames_of, opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "one.tgrec"


@pytest.fixture(scope="module")
def tape() -> Tape:
    """Ten minutes that were closed, with an INDEX in between."""
    made = tape_of(simple_frames(300), index_every=128)
    made.footer()
    return made


def test_a_newer_minor_version_plays(path: Path) -> None:
    """What it adds is skipped, with one notice each: kinds, members, bytes, flags, tags, columns."""
    tape = Tape({"invented": {"deep": [1]}}, version=(1, 3))
    for tick, frame in enumerate(simple_frames(12)):
        tape.frame(frame)
        if tick % 3 == 0:
            tape.record(77, b"who knows", flags=0x40)
            tape.note(200, {"text": "later"})
    recording = opened(tape, path)
    assert list(frames_of(recording)) == [without(frame) for frame in tape.frames]
    assert recording.notices[0].startswith("written in format 1.3, newer than the 1.0")
    assert recording.notices[1] == "4 records of a newer kind skipped"
    assert len(recording.notices) == 2


def test_a_longer_record_header_is_read(path: Path) -> None:
    """A later minor version may put members before the header's CRC, and bytes behind a payload."""
    tape = tape_of(simple_frames(3))
    assert tape._schema is not None
    values, times = tape._last
    payload = Payload(tape._schema.id, values - tape._last[0], times - tape._last[1], NO_EXCEPTIONS)
    stored = compressed(packed_frame(payload) + b"later bytes")
    seq = tape.entries[-1].seq + 1
    head = Record(
        Kind.DELTA,
        ZSTD,
        len(stored),
        seq,
        tape._key_seq,
        seq - 1,
        round((T0 + 6) * 1e6),
        10**9,
        zlib.crc32(stored),
    ).pack()
    longer = bytearray(head[:-4] + b"12345678")
    longer[10:12] = (60).to_bytes(2, "little")
    data = bytes(tape.data) + longer + zlib.crc32(longer).to_bytes(4, "little") + stored
    recording = opened(tape, path, data)
    assert recording.frames == 4
    assert recording.frame(3).models[0].name == "alpha"


def test_a_newer_major_version_is_refused(path: Path) -> None:
    """The version that it needs is named, and nothing is shown; so with a required unknown kind."""
    tape = tape_of(simple_frames(3), version=(2, 1), least=(2, 0))
    with pytest.raises(NewerFormat, match=r"format 2\.1 needs a reader of 2\.0; this one reads 1\.0"):
        opened(tape, path)
    tape = tape_of(simple_frames(3), version=(1, 2))
    tape.record(50, b"", flags=REQUIRED)
    with pytest.raises(NewerFormat, match=r"records of kind 50 .* format 1\.2"):
        opened(tape, path)
    tape.footer()
    with pytest.raises(NewerFormat, match="kind 50"):
        opened(tape, path)


@pytest.mark.parametrize("place", [2, 9, 17, 25, 40, 100])
def test_a_damaged_file_header_is_survived(path: Path, tape: Tape, place: int) -> None:
    """A schema repeats it."""
    data = bytearray(tape.data)
    data[place] ^= 0x10
    recording = opened(tape, path, bytes(data))
    assert (recording.frames, recording.id) == (300, "0123456789ab")
    assert recording.frame(200) == without(tape.frames[200])
    assert "file header is damaged" in recording.notices[0]


def test_a_lost_state_change_is_told(path: Path) -> None:
    """Numbers go on; until the next snapshot the frames say that the rest may be out of date."""
    tape = tape_of(simple_frames(60), index_every=64)
    lost = next(one for one in tape.of_kind(Kind.EVENT) if one.tag == Tag.STATE)
    data = bytearray(tape.data)
    data[lost.offset + lost.size - 3] ^= 1
    recording = opened(tape, path, bytes(data))
    shown = list(frames_of(recording))
    noted = [place for place, frame in enumerate(shown) if STATE_LOST in frame.notes]
    assert noted[0] == 7
    assert 8 < noted[-1] < 59
    assert [frame.models for frame in shown] == [frame.models for frame in tape.frames]


def test_a_lost_schema_copy_costs_nothing(path: Path) -> None:
    """It was written twice, and each INDEX is followed by it."""
    tape = tape_of(simple_frames(30))
    first = tape.of_kind(Kind.SCHEMA)[0]
    data = bytearray(tape.data)
    data[first.offset + 60] ^= 1
    recording = opened(tape, path, bytes(data))
    assert list(frames_of(recording)) == [without(frame) for frame in tape.frames]


def test_a_damaged_index_is_walked_around(path: Path) -> None:
    """Each INDEX in turn, and all of them: every frame is there, found by the records' headers."""
    tape = tape_of(simple_frames(300), index_every=64)
    tape.footer()
    indexes = tape.of_kind(Kind.INDEX)
    assert len(indexes) > 4
    for damaged in [*([one] for one in indexes), indexes]:
        data = bytearray(tape.data)
        for one in damaged:
            data[one.offset + one.size // 2] ^= 4
        recording = opened(tape, path, bytes(data))
        assert recording.frames == 300
        assert recording.frame(299) == without(tape.frames[299])


def test_frames_without_their_schema_are_told(path: Path) -> None:
    """Nothing can be shown of them, and the error says what to do."""
    tape = tape_of(simple_frames(3))
    data = bytearray(tape.data)
    for one in tape.of_kind(Kind.SCHEMA):
        data[one.offset + one.size - 1] ^= 1
    recording = opened(tape, path, bytes(data))
    with pytest.raises(RecordingError, match="no frame near number 1 can be read"):
        recording.frame(0)
    assert [gap.why for gap in recording.gaps] == ["3 frames cannot be read: damaged"]
