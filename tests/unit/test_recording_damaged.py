"""Recordings of later versions, and damaged ones: what can be shown is, and the rest is told."""

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from collectors.fleet import Event, EventKind
from collectors.recording import segment
from collectors.recording.codec import NO_EXCEPTIONS, Payload, compressed, packed_frame
from collectors.recording.index import Entry
from collectors.recording.layout import REQUIRED, ZSTD, Kind, NewerFormat, Record, RecordingError, Tag
from collectors.recording.notes import event_json
from collectors.recording.parts import STATE_LOST
from collectors.recording.reader import Recording
from collectors.recording.trim import trim
from collectors.recording.walk import Budget
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


class Liar(Tape):
    """A tape whose INDEXes list what `lie` makes of their entries; all else about it is right."""

    lie: Callable[[Sequence[Entry]], Sequence[Entry]]

    def bare_index(self) -> Entry:
        """As of any tape, but for the entries."""
        self._since_index = list(self.lie(self._since_index))
        return super().bare_index()


def _snapshots_as(tag: int) -> Callable[[Sequence[Entry]], Sequence[Entry]]:
    return lambda listed: [
        one._replace(tag=tag) if (one.kind, one.tag) == (Kind.EVENT, Tag.SNAPSHOT) else one for one in listed
    ]


def _actions_as(kind: int, tag: int) -> Callable[[Sequence[Entry]], Sequence[Entry]]:
    return lambda listed: [
        one._replace(kind=kind, tag=tag) if one.kind == Kind.ACTION else one for one in listed
    ]


def _one_frame_as(**other: int) -> Callable[[Sequence[Entry]], Sequence[Entry]]:
    def lie(listed: Sequence[Entry]) -> Sequence[Entry]:
        deltas = [place for place, one in enumerate(listed) if one.kind == Kind.DELTA][3:4]
        return [one._replace(**other) if place in deltas else one for place, one in enumerate(listed)]

    return lie


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param(_snapshots_as(99), id="snapshots are nothing known"),
        pytest.param(_snapshots_as(Tag.STATE), id="snapshots are changes"),
        pytest.param(
            lambda listed: [one._replace(t_wall=one.t_wall + 3600 * 10**6) for one in listed],
            id="all an hour later",
        ),
        pytest.param(_one_frame_as(t_wall=round((T0 + 5000) * 1e6)), id="one frame at another time"),
        pytest.param(_one_frame_as(t_wall=-(2**63)), id="one frame before all time"),
        pytest.param(_one_frame_as(ref_seq=0), id="one frame refers to another"),
        pytest.param(_one_frame_as(kind=Kind.EVENT, tag=99), id="one frame is hidden"),
        pytest.param(_actions_as(Kind.EVENT, 99), id="actions are events"),
        pytest.param(_actions_as(Kind.ACTION, 99), id="actions are nothing known"),
        pytest.param(
            lambda listed: [one for one in listed if one.kind != Kind.ACTION], id="actions are left out"
        ),
        pytest.param(lambda listed: [one for one in listed if one.seq % 9], id="every ninth is left out"),
    ],
)
def test_an_index_that_lies_is_not_believed(
    path: Path, lie: Callable[[Sequence[Entry]], Sequence[Entry]]
) -> None:
    """The records themselves are: every frame, time and action is as it was, and the lie is told."""
    tape = Liar(index_every=25)
    tape.lie = lie
    for tick, frame in enumerate(simple_frames(60)):
        tape.frame(frame)
        if tick % 5 == 0:
            tape.note(Tag.INTENT, {"key": str(tick)}, Kind.ACTION)
    tape.footer()
    recording = opened(tape, path)
    assert [recording.index_at(frame.at) for frame in tape.frames] == list(range(60))
    assert list(frames_of(recording)) == [without(frame) for frame in tape.frames]
    actions = recording.noted(recording.start, recording.end, {Kind.ACTION}, {Tag.INTENT})
    assert [one.body["key"] for one in actions] == [str(tick) for tick in range(0, 60, 5)]
    assert list(recording.window(0, 59).times) == [frame.at for frame in tape.frames]
    assert (recording.start, recording.end, recording.gaps) == (T0, T0 + 118, ())
    assert [one.split(":")[0] for one in recording.notices] == ["its index does not tell what is there"]


@pytest.mark.parametrize("headers", [200, 100_000])
def test_an_index_that_lies_about_one_event_does_not_end_a_copy(
    path: Path, headers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it take frames away that are there, though not all records can be looked at one by one."""
    monkeypatch.setattr(segment, "Budget", lambda: Budget(headers=headers))
    tape = Liar(index_every=25)
    tape.lie = lambda listed: [
        one._replace(tag=Tag.STATE) if one.tag == Tag.HAPPENED and one.seq % 50 == 10 else one
        for one in listed
    ]
    for frame in simple_frames(60):
        tape.frame(frame)
        for text in range(20):
            event = Event(frame.at, EventKind.NOTE, "tidegate", "", f"{frame.tick} {text}")
            tape.note(Tag.HAPPENED, event_json(event))
    tape.footer()
    recording = opened(tape, path)
    assert recording.frames == 60
    out = path.with_name("copy.tgrec")
    trim(recording, recording.start, recording.end, out)
    copy = Recording.open(out)
    assert (recording.frames, copy.frames) == (60, 60)
    assert [copy.time_of(n) for n in range(60)] == [frame.at for frame in tape.frames]
    told = list(copy.noted(copy.start, copy.end, {Kind.EVENT}, {Tag.HAPPENED}))
    is_whole = headers > len(tape.entries)
    assert is_whole == (len(told) == 60 * 20)
    assert [("what follows can be other" in one) for one in recording.notices] == [not is_whole]


def test_an_honest_index_is_believed_where_records_are_damaged(path: Path) -> None:
    """Damage contradicts nothing: it is told as what it is."""
    tape = tape_of(simple_frames(60), index_every=25)
    tape.footer()
    hit = tape.of_kind(Kind.DELTA)[20]
    for place in (hit.offset + 20, hit.offset + hit.size - 2):
        data = bytearray(tape.data)
        data[place] ^= 1
        recording = opened(tape, path, bytes(data))
        assert len(list(frames_of(recording))) == 60
        list(recording.noted(recording.start, recording.end))
        assert recording.gaps
        assert not [one for one in recording.notices if "index" in one]


def _damaged(tape: Tape, some: Sequence[Entry]) -> bytes:
    """The tape's bytes with a bit flipped at the end of each of these records."""
    data = bytearray(tape.data)
    for one in some:
        data[one.offset + one.size - 3] ^= 1
    return bytes(data)


def _snapshots(tape: Tape) -> list[Entry]:
    return [one for one in tape.of_kind(Kind.EVENT) if one.tag == Tag.SNAPSHOT]


@pytest.mark.parametrize("which", [0, 1])
def test_a_first_state_that_is_damaged_costs_no_frame(path: Path, which: int) -> None:
    """It stands twice, for nothing before it tells the same; of what changed since, the other one knows."""
    tape = tape_of(simple_frames(60), index_every=40)
    recording = opened(tape, path, _damaged(tape, [_snapshots(tape)[which]]))
    assert list(frames_of(recording)) == [without(one) for one in tape.frames]


@pytest.mark.parametrize("is_closed", [True, False])
def test_frames_without_their_state_are_no_empty_fleet(path: Path, is_closed: bool) -> None:
    """Where both first snapshots are damaged, no frame up to the next one can be read: they are a gap."""
    tape = tape_of(simple_frames(60), index_every=40)
    if is_closed:
        tape.footer()
    *first, second = _snapshots(tape)[:3]
    recording = opened(tape, path, _damaged(tape, first))
    shown = [recording.frame(number) for number in range(60)]
    assert all(frame.models for frame in shown)
    lost = sum(one.seq < second.seq for one in tape.of_kind(Kind.KEY, Kind.SUBKEY, Kind.DELTA))
    assert 0 < lost < 60
    assert shown[0].at >= tape.frames[lost].at
    assert (recording.gaps[0].start, recording.gaps[0].end > T0) == (T0, True)
    assert shown[59] == without(tape.frames[59])


def test_a_recording_without_any_state_shows_nothing(path: Path) -> None:
    """No fleet is not an empty one."""
    tape = tape_of(simple_frames(10))
    recording = opened(tape, path, _damaged(tape, _snapshots(tape)))
    with pytest.raises(RecordingError, match=r"no frame near .* can be read"):
        recording.frame(5)
