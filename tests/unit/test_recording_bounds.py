"""Files that claim what cannot be: lengths, bombs, JSON, numbers and loops, each refused before it costs."""

import re
import time
from pathlib import Path

import numpy as np
import pytest
import zstandard

from collectors.recording import segment
from collectors.recording.codec import compressed
from collectors.recording.layout import ZSTD, Kind, RecordingError, Tag
from collectors.recording.reader import Recording
from collectors.recording.schema import Axis, Block, Column, Schema
from collectors.recording.walk import Budget
from tests.hostile_recordings import HANG_S, talking
from tests.recording_files import T0, Tape, simple_frame, simple_frames, tape_of, without
from tests.recording_parts import frames_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "one.tgrec"


def survives(path: Path, data: bytes) -> None:
    """Do all that can be done with a file: only a RecordingError may come of it, and it ends."""
    path.write_bytes(data)
    began = time.process_time()
    try:
        recording = Recording.open(path)
        for number in {*range(min(recording.frames, 20)), max(recording.frames - 1, 0)}:
            try:
                frame = recording.frame(number)
            except RecordingError:
                continue
            assert "\x1b" not in repr(frame).replace("\\x1b", "\x1b")
        window = recording.window(0, 300)
        window.values("alpha", "gold", "arrivals")
        window.shares("alpha")
        noted = list(recording.noted(-1e300, 1e300))
        assert "\\x1b" not in repr(noted)
        recording.timeline(50)
        assert "\x1b" not in "".join(recording.notices)
        recording.view_at(1e300)
        recording.index_at(1e300)
        recording.close()
    except RecordingError as error:
        assert "\x1b" not in str(error)
    assert time.process_time() - began < HANG_S


def a_schema(**other: object) -> dict[str, object]:
    return {"schema_id": 1, "header": {}, "sources": [], "blocks": [], **other}


def bomb(size: int) -> bytes:
    return zstandard.ZstdCompressor(level=3, write_content_size=True).compress(bytes(size))


def test_hostile_lengths_are_bounded(path: Path) -> None:
    """Claims of 2**32-1 bytes, of columns, of exceptions, of values: refused before they are believed."""
    tape = tape_of(simple_frames(5))
    most = 2**32 - 1
    tape.record(Kind.DELTA, b"short", stored=most)
    survives(path, bytes(tape.data))
    for words in ((1, most, 0, 0, 0), (1, 1, most, most, 0), (1, 1, 0, 0, most), (most,) * 5):
        tape = tape_of(simple_frames(5))
        head = b"".join(word.to_bytes(4, "little") for word in words)
        tape.record(Kind.KEY, compressed(head), flags=ZSTD)
        tape.record(Kind.DELTA, compressed(head), flags=ZSTD)
        survives(path, bytes(tape.data))
    tape = tape_of(simple_frames(5))
    tape.record(Kind.INDEX, compressed(b"\xff" * 48), flags=ZSTD)
    survives(path, bytes(tape.data))


def test_bombs_are_not_unpacked(path: Path) -> None:
    """A payload that would unpack to 4 GB, or declares no size, costs nothing; one of 15 MB is no frame."""
    for payload in (
        _declaring(2**32),
        zstandard.ZstdCompressor(write_content_size=False).compress(bytes(2**20)),
        bomb(15 * 2**20),
        b"\x28\xb5\x2f\xfd",
        b"",
    ):
        tape = tape_of(simple_frames(5))
        for kind in (Kind.DELTA, Kind.KEY, Kind.SCHEMA, Kind.EVENT, Kind.INDEX, Kind.ACTION, Kind.MARK):
            tape.record(kind, payload, flags=ZSTD)
        survives(path, bytes(tape.data))


def _declaring(size: int) -> bytes:
    """A small zstd frame whose header says that it unpacks to `size`."""
    return b"\x28\xb5\x2f\xfd\xe0" + size.to_bytes(8, "little") + b"\x03\x00\x00" * 50


def test_hostile_json_is_bounded(path: Path) -> None:
    """Deep, wide, huge and senseless JSON in every kind of record that has it."""
    bodies = [
        b'{"tag":13,"set":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
        b"[" * 100_000,
        b'{"tag":0,"set":' + b"[[]," * 400_000 + b"[]",
        b'{"tag":0,"a":' + b"1" * 100_000 + b"}",
        b'{"tag":99999999999999999999999}',
        b'{"tag":13,"set":[1],"order":{"models":7},"reasons":{"a":1}}',
        b'{"tag":0,"set":{"models":{"\\u001b[31mx":{"objectives":{"gold":1e999}}}},"reasons":[[1,2,3],[70000,"a",[]]]}',
        b'{"tag":12,"id":true,"code":[],"parameters":{}}',
        b"\xff\xfe\x00",
    ]
    for body in bodies:
        tape = tape_of(simple_frames(3))
        for kind in (Kind.EVENT, Kind.ACTION, Kind.MARK, Kind.SCHEMA):
            tape.record(kind, compressed(body), flags=ZSTD)
        tape.frame(simple_frame(3, T0 + 6))
        survives(path, bytes(tape.data))


def test_hostile_schemas_are_refused(path: Path) -> None:
    """Rows without end, names of control characters, blocks that overlap: no frame of them is built."""
    wide = [{"name": str(n), "labels": [str(i) for i in range(100)]} for n in range(10)]
    columns = [{"id": f"s{n}"} for n in range(50)]
    for blocks in (
        [{"id": "readings", "axes": wide, "signals": columns}],
        [{"id": "readings", "axes": [], "signals": [{"id": "x", "quantum": 1e-320}]}],
        [{"id": "readings", "axes": [], "signals": [{"id": "x", "quantum": "NaN"}]}] * 2,
        [{"id": "\x1b[31m", "axes": [{"name": "model", "labels": ["\x1b]0;x\x07"] * 9}], "signals": columns}],
        [{"id": "sources", "axes": [{"name": "s", "labels": ["\x1b"]}], "signals": columns}],
        "nonsense",
        [[[[]]]],
    ):
        tape = Tape()
        tape.json(Kind.SCHEMA, a_schema(blocks=blocks))
        schema = Schema(1, (), (Block("readings", (Axis("model", ("a",)),), (Column("x"),)),))
        tape._schema = schema
        tape.note(Tag.SNAPSHOT, {"set": {}, "order": {}, "reasons": []})
        for _ in range(3):
            tape.numbers(np.arange(1, dtype=np.int32))
        survives(path, bytes(tape.data))


def test_hostile_numbers_and_times_are_bounded(path: Path) -> None:
    """Sequence numbers that repeat or leap, references that loop, times of other ages."""
    for other in (
        {"seq": 3},
        {"seq": 2**32 - 1},
        {"ref_seq": 2**32 - 1},
        {"ref_seq": 9_999},
        {"key_seq": 2**32 - 1},
        {"t_wall": 2**63 - 1},
        {"t_wall": -(2**63)},
        {"t_mono": 2**63 - 1},
        {"t_mono": -(2**63)},
    ):
        tape = tape_of(simple_frames(5))
        tape.record(Kind.DELTA, b"", **other)
        tape.record(Kind.EVENT, b'{"tag":16,"at":1e308}', tag=16, **other)
        tape.frame(simple_frame(5, T0 + 10))
        for data in (bytes(tape.data), _closed(tape)):
            survives(path, data)


def _closed(tape: Tape) -> bytes:
    tape.footer()
    return bytes(tape.data)


def test_a_loop_of_indexes_ends(path: Path) -> None:
    """INDEX records that point at themselves, ahead, or at each other are no index."""
    for target in (0, 1, 10**18):
        tape = tape_of(simple_frames(20))
        own = len(tape.data)
        tape._indexes.append(({0: own, 1: own + 1}.get(target, target), 0, 0))
        tape.bare_index()
        tape._indexes.append((len(tape.data), 0, 0))
        tape.bare_index()
        survives(path, bytes(tape.data))
        recording = Recording.open(path)
        assert list(frames_of(recording)) == [without(frame) for frame in tape.frames]


def test_a_file_of_beginnings_ends(path: Path) -> None:
    """Millions of marks that a record begins, and none does."""
    sync = b"\xf5TGREC\r\n"
    tape = tape_of(simple_frames(3))
    survives(path, bytes(tape.data) + sync * 40_000)
    survives(path, bytes(tape.data) + (sync + b"\x08") * 40_000)
    survives(path, sync * 40_000)


def with_budget(headers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a file could hold no more records than so many that no INDEX lists."""
    monkeypatch.setattr(segment, "Budget", lambda: Budget(headers=headers))


@pytest.mark.slow
def test_many_records_without_an_index_are_read(path: Path) -> None:
    """A recorder that was killed before its first INDEX lists none."""
    tape = talking(160_000)
    path.write_bytes(bytes(tape.data))
    recording = Recording.open(path)
    assert recording.notices == ()
    assert recording.frames == 6
    assert recording.segments[0].table.rows == len(tape.entries)


def test_records_without_an_index_are_not_read_without_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not looked at is told as such, not as a record that was cut off, and read at the next look."""
    with_budget(3_000, monkeypatch)
    tape = talking(20_000)
    path.write_bytes(bytes(tape.data))
    recording = Recording.open(path)
    (found,) = recording.segments
    whole = len(tape.data)
    assert found.table.rows >= 3_000
    told = f"not all of it was searched: .* {whole - found.end} bytes are not shown"
    (said,) = recording.notices
    assert re.fullmatch(told, said)
    looks = 0
    while recording.refresh():
        looks += 1
    assert 3 <= looks <= 8
    assert recording.notices == ()
    assert recording.frames == 6
    assert found.table.rows == len(tape.entries)
    assert recording.frame(5).at == pytest.approx(tape.frames[5].at, abs=0.01)


def test_a_budget_that_is_used_up_at_the_end_leaves_nothing_out(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many records as may be looked at, and not one more."""
    tape = talking(3_000)
    path.write_bytes(bytes(tape.data))
    with_budget(len(tape.entries), monkeypatch)
    recording = Recording.open(path)
    assert recording.notices == ()
    assert recording.frames == 6


def test_what_follows_a_long_stretch_that_no_index_lists_is_read_first(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest records are what is looked for; what was left out before a damaged INDEX is told once."""
    with_budget(3_000, monkeypatch)
    tape = talking(20_000)
    at = tape.index().offset
    tape.frame(simple_frame(7, tape.at + 2))
    data = bytearray(tape.data)
    data[at + 100] ^= 1
    path.write_bytes(bytes(data))
    recording = Recording.open(path)
    said, left_out = recording.notices
    assert recording.end == pytest.approx(tape.at, abs=0.01)
    figure = re.fullmatch(r"(\d+) bytes at \d+ are not searched and left out", left_out)
    assert figure
    assert said.endswith(f" {figure[1]} bytes are not shown")


@pytest.mark.parametrize("is_closed", [False, True])
@pytest.mark.parametrize("hole", [0.02, 0.5, 0.98])
def test_bytes_that_are_missing_cost_what_they_held(path: Path, hole: float, is_closed: bool) -> None:
    """A hundred bytes taken out: all behind them stands elsewhere than each INDEX tells, and is whole."""
    tape = tape_of(simple_frames(200), index_every=64)
    if is_closed:
        tape.footer()
    data = bytes(tape.data)
    at = round(len(data) * hole)
    survives(path, data[:at] + data[at + 100 :])
    recording = Recording.open(path)
    (found,) = recording.segments
    # What is hit in its payload still claims all its bytes, and so the next one's header.
    lost = {
        one.seq + more
        for one in tape.entries
        for more in (0, 1)
        if one.offset - 100 < at < one.offset + one.size
    }
    assert {one.seq for one in tape.entries} - set(found.table.seq.tolist()) <= lost


@pytest.mark.parametrize("is_closed", [False, True])
@pytest.mark.parametrize("count", [1, 10, 100])
def test_records_that_are_missing_cost_no_others(path: Path, count: int, is_closed: bool) -> None:
    """Whole ones taken out: what stands behind them is found, and that some are missing is told."""
    tape = tape_of(simple_frames(200), index_every=64)
    if is_closed:
        tape.footer()
    first, behind = tape.entries[70], tape.entries[70 + count]
    data = bytes(tape.data)
    path.write_bytes(data[: first.offset] + data[behind.offset :])
    recording = Recording.open(path)
    (found,) = recording.segments
    kept = {one.seq for one in tape.entries if not first.seq <= one.seq < behind.seq}
    assert set(found.table.seq.tolist()) >= kept - {tape.entries[-1].seq}
    assert found.table.rows <= len(kept)
    assert f"{count} records are missing between others, by their numbers" in recording.notices


def test_a_record_that_was_copied_to_before_its_place_hides_none(path: Path) -> None:
    """Its number is higher than those behind it: it is the one that is left out."""
    tape = tape_of(simple_frames(200), index_every=1000)
    there, later = tape.entries[70], tape.entries[150]
    data = bytes(tape.data)
    copied = data[later.offset : later.offset + later.size]
    path.write_bytes(data[: there.offset] + copied + data[there.offset :])
    recording = Recording.open(path)
    assert recording.segments[0].table.seq.tolist() == [one.seq for one in tape.entries]


def test_damage_in_many_headers_does_not_use_up_what_may_be_looked_at(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is looked at twice near damage is little."""
    with_budget(20_000, monkeypatch)
    tape = talking(5_000)
    data = bytearray(tape.data)
    hit = tape.entries[40::40]
    for one in hit:
        data[one.offset + 20] ^= 1
    path.write_bytes(bytes(data))
    recording = Recording.open(path)
    assert recording.segments[0].table.rows == len(tape.entries) - len(hit)
    assert not [one for one in recording.notices if "searched" in one]


def test_a_file_that_is_written_over_while_it_is_read_is_not_mixed_with_what_it_was(path: Path) -> None:
    """Times and names of one recording would be shown with the numbers of the other."""
    path.write_bytes(bytes(tape_of(simple_frames(40)).data))
    recording = Recording.open(path)
    other = tape_of([simple_frame(n, T0 + 1000 + 2 * n) for n in range(20)])
    path.write_bytes(bytes(other.data))
    with pytest.raises(RecordingError, match="was written over with another recording: open it again"):
        recording.refresh()


def test_a_sparse_file_opens_at_once(path: Path) -> None:
    """10 GB of hole: before, behind and between the records; memory and time do not grow with it."""
    tape = tape_of(simple_frames(100), index_every=64)
    content = bytes(tape.data)
    with path.open("wb") as file:
        file.write(content)
        file.truncate(10 * 2**30)
    began = time.process_time()
    recording = Recording.open(path)
    assert recording.frames == 100
    assert recording.frame(99) == without(tape.frames[99])
    assert recording.notices == (f"tail of {10 * 2**30 - len(content)} bytes ignored",)
    later = tape_of(simple_frames(10, T0 + 1000))
    with path.open("r+b") as file:
        file.seek(9 * 2**30)
        file.write(bytes(later.data[later.first :]))
    recording = Recording.open(path)
    assert recording.frames >= 100
    assert recording.frame(50) == without(tape.frames[50])
    assert time.process_time() - began < HANG_S
