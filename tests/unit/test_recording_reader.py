"""Reading recordings: frames by number and time, windows, notes, marks; and files that lie."""

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from collectors.fleet import Event, EventKind
from collectors.intents import Intent, Target
from collectors.recording.layout import Kind, RecordingError, Tag
from collectors.recording.marks import MARKS_MOST, sidecar
from collectors.recording.notes import event_json, intent_json, mark_json, view_json
from collectors.recording.reader import Recording
from collectors.sessions import Mark, View
from tests.recording_files import T0, Tape, simple_frame, simple_frames, tape_of, without
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


@pytest.mark.parametrize("is_closed", [True, False])
def test_every_frame_comes_back_as_it_was(path: Path, is_closed: bool) -> None:
    """In order, backwards and by jumps, with a footer and without, across an INDEX."""
    tape = tape_of(simple_frames(150), index_every=64)
    if is_closed:
        tape.footer()
    recording = opened(tape, path)
    assert (recording.frames, recording.is_closed) == (150, is_closed)
    assert (recording.id, recording.start, recording.end) == ("0123456789ab", T0, T0 + 298)
    assert (recording.notices, recording.gaps) == ((), ())
    for number in [*range(150), *range(149, 0, -7), 75, 3, 149]:
        frame = recording.frame(number)
        assert frame == without(tape.frames[number])
        assert recording.time_of(number) == frame.at
    recording.close()


def test_a_number_that_is_none_is_refused(path: Path, tape: Tape) -> None:
    """The error tells how many there are."""
    recording = opened(tape, path)
    for number in (-1, 300):
        with pytest.raises(RecordingError, match="has 300 frames"):
            recording.frame(number)


def test_frames_are_found_by_time(path: Path, tape: Tape) -> None:
    """The last one at or before a time; 0 before the first; also for times that are none."""
    recording = opened(tape, path)
    for at, number in ((T0 - 5, 0), (T0, 0), (T0 + 1.99, 0), (T0 + 2, 1), (T0 + 399.5, 199), (T0 + 9e9, 299)):
        assert recording.index_at(at) == number
    assert recording.index_at(math.nan) == recording.index_at(-math.inf) == 0
    assert recording.index_at(math.inf) == 299
    assert recording.times_at(T0 + 100) == (50,)
    assert recording.times_at(T0 - 1) == ()


def test_a_clock_that_was_set_back_makes_times_ambiguous(path: Path) -> None:
    """Frames stay in order; a time that came twice means the later one, and both are offered."""
    tape = Tape()
    for tick in range(20):
        tape.frame(simple_frame(tick, T0 + tick * 10 - (100 if tick >= 15 else 0)))
    recording = opened(tape, path)
    assert [frame.at for frame in frames_of(recording)] == [frame.at for frame in tape.frames]
    assert recording.times_at(T0 + 62) == (6, 16)
    assert recording.index_at(T0 + 62) == 16
    assert recording.index_at(T0 + 100) == 10
    assert (recording.start, recording.end) == (T0, T0 + 140)
    window = recording.window(10, 19)
    assert list(window.times) == [T0 + 50 + 10 * tick for tick in range(5)]
    assert recording.timeline(4).end == T0 + 140


def test_a_window_is_what_the_frames_say(path: Path, tape: Tape) -> None:
    """Every estimate is the frame's own, NaN where it was stale or missing; None for what never was."""
    recording = opened(tape, path)
    window = recording.window(95, 260)
    shown = tape.frames[95:261]
    assert list(window.times) == [frame.at for frame in shown]
    for place, name in enumerate(("alpha", "beta")):
        for tier, signal in (
            ("gold", "queue_wait_p99"),
            ("gold", "arrivals"),
            ("", "served"),
            ("", "waiting"),
        ):
            found = window.values(name, tier, signal)
            assert found is not None
            for value, frame in zip(found, shown, strict=True):
                model = frame.models[place]
                one = model.reading(signal, tier or None)
                usable = one.quality in ("good", "suspect") and one.value is not None
                assert value == one.estimate if usable else math.isnan(value)
    assert window.values("alpha", "gold", "kv_ratio") is None
    assert window.values("gamma", "gold", "arrivals") is None
    assert window.values("alpha", "none", "arrivals") is None
    assert window.shares("alpha") == {}
    assert len(recording.window(-5, 10**9).times) == 300


def test_a_window_that_is_too_large_is_thinned(
    path: Path, tape: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of long stretches every second, third ... frame is kept, the last one always; values stay exact."""
    recording = opened(tape, path)
    full = recording.window(0, 299)
    numbers = dict(zip(full.times, full.values("alpha", "", "waiting") or (), strict=True))
    for name, limit in (("MATRIX_BYTES", 40_000), ("WORK_MOST", 3_000)):
        monkeypatch.setattr(f"collectors.recording.window.{name}", limit)
        monkeypatch.setattr("collectors.recording.reader.WORK_MOST", limit, raising=True)
        window = recording.window(0, 299)
        assert 2 <= len(window.times) < 200
        assert window.times[-1] == tape.frames[-1].at
        for at, value in zip(window.times, window.values("alpha", "", "waiting") or (), strict=True):
            assert value == numbers[at]
        monkeypatch.undo()


def test_a_wide_schema_keeps_its_readings_alone(
    path: Path, tape: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a frame of very many numbers those that can be asked for are kept, and they are the same."""
    recording = opened(tape, path)
    asked = [("alpha", "gold", "queue_wait_p99"), ("beta", "gold", "arrivals")]
    all_kept = [recording.window(0, 99).values(*one) for one in asked]
    monkeypatch.setattr("collectors.recording.window.SMALL", 1)
    some = recording.window(0, 99)
    for one, whole in zip(asked, all_kept, strict=True):
        np.testing.assert_array_equal(np.array(some.values(*one)), np.array(whole))


def test_what_happened_comes_with_its_frame(path: Path) -> None:
    """Events between two frames are in the later one, as is the past; `noted` finds them all."""
    tape = Tape()
    tape.frame(simple_frame(0, T0))
    fired = Event(T0 + 1, EventKind.ALERT, "P1", "alpha gold", "waits too long")
    cleared = Event(T0 + 3, EventKind.ALERT, "cleared", "alpha gold", "after 2 s")
    tape.at = T0 + 1
    tape.note(Tag.ALERT, event_json(fired))
    tape.frame(simple_frame(1, T0 + 2))
    tape.at = T0 + 3
    tape.note(Tag.ALERT_CLEARED, event_json(cleared))
    intent = Intent("throttle.set", Target("throttle", "chat", "free"), {"level": 0.5}, {}, "*")
    tape.note(Tag.INTENT, intent_json(intent), Kind.ACTION)
    tape.note(Tag.PAST, {"past": [["alpha", "gold", "waiting", T0 - 60, 4.0], ["x"], None]})
    tape.frame(simple_frame(2, T0 + 4))
    recording = opened(tape, path)
    assert [frame.events for frame in frames_of(recording)] == [(), (fired,), (cleared,)]
    assert recording.frame(2).past[0].value == 4.0
    assert [one.tag for one in recording.noted(T0 + 1, T0 + 3, {Kind.EVENT, Kind.ACTION}, {3, 4, 32})] == [
        3,
        4,
        32,
    ]
    assert [one.at for one in recording.noted(T0 + 2, T0 + 9, {Kind.ACTION})] == [T0 + 3]
    line = recording.timeline(4)
    assert [(tick.at, tick.kind) for tick in line.alerts] == [(T0 + 1, "P1"), (T0 + 3, "cleared")]
    assert [(tick.kind, tick.text) for tick in line.actions] == [("action", "throttle.set chat/free")]


def test_the_view_is_the_one_of_that_time(path: Path) -> None:
    """None before the first; the latest one at or before a time after that."""
    tape = Tape()
    tape.frame(simple_frame(0, T0))
    for at, screen in ((T0 + 1, "model"), (T0 + 5, "alerts")):
        tape.at = at
        tape.note(Tag.VIEW, view_json(View(screen=screen)))
        tape.frame(simple_frame(int(at - T0), at + 1))
    recording = opened(tape, path)
    shown = [recording.view_at(T0 + after) for after in (0, 1.5, 4.9, 5, 50)]
    assert [view.screen if view else None for view in shown] == [None, "model", "model", "alerts", "alerts"]


def test_the_timeline_tells_the_worst_wait(path: Path, tape: Tape) -> None:
    """The greatest share of an objective in each part, of every frame of a short recording; parts do not
    overlap."""
    line = opened(tape, path).timeline(10)
    for part, worst in enumerate(line.worst):
        low, high = line.start + part * 59.8, line.start + (part + 1) * 59.8
        waits = [
            (model.tiers["gold"]["queue_wait_p99"].estimate or 0) / 0.5
            for frame in tape.frames
            if low <= frame.at < high
            for model in frame.models
        ]
        assert worst == pytest.approx(max(waits))


def test_the_timeline_holds_a_wait_for_as_long_as_it_was_shown(path: Path) -> None:
    """Fewer frames than parts leave no holes, but where nothing was recorded: an incident is not missed."""
    tape = Tape()
    for number, at in enumerate((0.0, 20.0, 40.0, 100.0)):
        if number == 3:
            tape.at = T0 + 100
            tape.note(Tag.GAP, {"from": T0 + 60, "to": T0 + 100, "why": "the disk was full"})
        tape.frame(simple_frame(number, T0 + at))
    recording = opened(tape, path)
    line = recording.timeline(10)
    assert [gap[:2] for gap in line.gaps] == [(T0 + 60, T0 + 100)]
    assert [value >= 0 for value in line.worst] == [True] * 6 + [False] * 3 + [True]


def test_a_live_file_is_read_on(path: Path) -> None:
    """Complete records alone; an INDEX and a FOOTER may come, and another run behind it."""
    tape = tape_of(simple_frames(5))
    recording = opened(tape, path)
    assert not recording.refresh()
    before = len(tape.data)
    tape.frame(simple_frame(5, T0 + 10))
    tape.write(path, bytes(tape.data[:-3]))
    recording.refresh()
    assert recording.frames == 5
    assert recording.notices == (f"tail of {recording.size_bytes - recording.segments[0].end} bytes ignored",)
    tape.write(path)
    assert recording.refresh()
    assert recording.frame(5) == without(tape.frames[5])
    assert len(tape.data) > before
    tape.footer()
    tape.write(path)
    assert recording.refresh()
    assert recording.is_closed
    tape.at += 100
    tape.note(Tag.RUN_START, {"text": "a recording began"})
    tape._count = 0
    tape.frame(simple_frame(6, T0 + 112))
    tape.write(path)
    assert recording.refresh()
    assert (recording.is_closed, recording.frames) == (False, 7)
    assert recording.frame(6) == without(tape.frames[6])
    assert [(gap.start, gap.end, gap.why) for gap in recording.gaps] == [
        (T0 + 10, T0 + 110, "nobody recorded")
    ]
    fresh = Recording.open(path)
    assert [frame.at for frame in frames_of(fresh)] == [frame.at for frame in tape.frames]
    tape.footer()
    assert [frame.at for frame in frames_of(opened(tape, path))] == [frame.at for frame in tape.frames]


def test_a_gap_is_told_with_its_times(path: Path) -> None:
    """As the recorder says, in its words."""
    tape = tape_of(simple_frames(5))
    tape.at = T0 + 60
    tape.note(Tag.GAP, {"from": T0 + 8, "to": T0 + 60, "why": "nothing could be \x1b[31mwritten"})
    tape.frame(simple_frame(5, T0 + 60))
    (gap,) = opened(tape, path).gaps
    assert gap == (T0 + 8, T0 + 60, "nothing could be [31mwritten")


def test_segments_of_a_recording_are_one(tmp_path: Path) -> None:
    """In order, of the newest recording alone; a broken chain and a missing segment are told."""
    old = tape_of(simple_frames(3, T0 - 9000), facts={"recording": "ba9876543210"})
    old.write(tmp_path / "20230101T000000Z-ba9876543210-0000.tgrec")
    chain, tapes = "", []
    for number in range(5):
        tape = tape_of(
            simple_frames(10, T0 + 20 * number),
            facts={"segment": number, "prev_chain": chain},
            index_every=64,
        )
        tape.footer()
        chain = tape.chain.hex()
        tapes.append(tape)
        tape.write(tmp_path / f"20240101T0000{number:02}Z-0123456789ab-{number:04}.tgrec")
    recording = Recording.open(tmp_path)
    shown = [without(frame) for tape in tapes for frame in tape.frames]
    assert (recording.frames, recording.notices, recording.gaps) == (50, (), ())
    assert not recording.segments[1].is_loaded
    assert list(frames_of(recording)) == shown
    assert recording.index_at(T0 + 45) == 22
    assert list(recording.window(15, 34).times) == [frame.at for frame in shown[15:35]]
    assert len(list(recording.noted(0, 1e11, {Kind.EVENT}, {Tag.SNAPSHOT}))) == 10
    (tmp_path / "20240101T000002Z-0123456789ab-0002.tgrec").unlink()
    other = tape_of(simple_frames(10, T0 + 20), facts={"segment": 1})
    other.footer()
    other.write(tmp_path / "20240101T000001Z-0123456789ab-0001.tgrec")
    recording = Recording.open(tmp_path)
    assert recording.frames == 40
    assert any("does not follow" in notice for notice in recording.notices)
    assert [gap.why for gap in recording.gaps] == ["1 segment is missing"]


def test_a_folder_is_read_on(tmp_path: Path) -> None:
    """A segment that is begun while it is watched goes on with the recording; other recordings do not."""
    first = tape_of(simple_frames(10))
    first.write(tmp_path / "20240101T000000Z-0123456789ab-0000.tgrec")
    recording = Recording.open(tmp_path)
    assert not recording.refresh()
    first.footer()
    first.write(tmp_path / "20240101T000000Z-0123456789ab-0000.tgrec")
    second = tape_of(simple_frames(5, T0 + 20), facts={"segment": 1, "prev_chain": first.chain.hex()})
    second.write(tmp_path / "20240102T000000Z-0123456789ab-0001.tgrec")
    other = tape_of(simple_frames(5, T0 + 20), facts={"recording": "ba9876543210"})
    other.write(tmp_path / "20240103T000000Z-ba9876543210-0000.tgrec")
    assert recording.refresh()
    assert list(frames_of(recording)) == [without(frame) for frame in first.frames + second.frames]
    second.frame(simple_frame(5, T0 + 30))
    second.write(tmp_path / "20240102T000000Z-0123456789ab-0001.tgrec")
    assert recording.refresh()
    assert (recording.frames, recording.notices) == (16, ())


def test_segments_may_have_names_of_their_own(tmp_path: Path) -> None:
    """A file that somebody named goes on in files named after it; the one written last is the newest."""
    for number, name in enumerate(("night.tgrec", "night-0001.tgrec")):
        tape = tape_of(simple_frames(10, T0 + 20 * number), facts={"segment": number})
        os.utime(tape.write(tmp_path / name), (T0 + number, T0 + number))
    old = tape_of(simple_frames(3, T0 - 100), facts={"recording": "ba9876543210"})
    os.utime(old.write(tmp_path / "zebra.tgrec"), (T0 - 50, T0 - 50))
    recording = Recording.open(tmp_path)
    assert [segment.path.name for segment in recording.segments] == ["night.tgrec", "night-0001.tgrec"]
    assert recording.frames == 20


def test_pruning_under_a_reader_is_safe(tmp_path: Path) -> None:
    """A segment that is removed while it is open can be read to its end."""
    for number in range(5):
        tape = tape_of(simple_frames(10, T0 + 20 * number), facts={"segment": number})
        tape.footer()
        tape.write(tmp_path / f"2024010{number}T000000Z-0123456789ab-{number:04}.tgrec")
    recording = Recording.open(tmp_path)
    for one in tmp_path.iterdir():
        one.unlink()
    assert len(list(frames_of(recording))) == 50


def test_bookmarks_are_kept_beside_the_file(path: Path, tape: Tape) -> None:
    """For its owner alone, with the place in the recording; the recording itself is not touched."""
    recording = opened(tape, path)
    mark = Mark(T0 + 101, "ana", "look \x1b[31mhere")
    recording.add_mark(mark)
    recording.add_mark(Mark(T0 + 3, "bob", ""))
    assert recording.marks() == (Mark(T0 + 3, "bob", ""), Mark(T0 + 101, "ana", "look [31mhere"))
    beside = sidecar(path)
    assert beside.name == "one.tgrec.marks.jsonl"
    assert beside.stat().st_mode & 0o777 == 0o600
    told = json.loads(beside.read_text().splitlines()[0])
    assert (told["recording"], told["segment"], told["seq"]) == (
        "0123456789ab",
        0,
        tape.of_kind(2, 3, 4)[50].seq,
    )
    assert path.read_bytes() == tape.data
    assert [tick.text for tick in recording.timeline(3).marks] == ["bob", "ana: look [31mhere"]


def test_marks_in_the_file_are_found(path: Path) -> None:
    """A MARK of the session is listed as one that was made later."""
    tape = tape_of(simple_frames(3))
    tape.note(Tag.BOOKMARK, mark_json(Mark(T0 + 4, "ana", "here")), Kind.MARK)
    assert opened(tape, path).marks() == (Mark(T0 + 4, "ana", "here"),)


def test_a_sidecar_can_do_no_harm(path: Path, tape: Tape, tmp_path: Path) -> None:
    """No link is followed; what is no mark, or another's, is left out; a cut line spoils no other."""
    recording = opened(tape, path)
    target = tmp_path / "victim"
    target.write_text("precious")
    sidecar(path).symlink_to(target)
    with pytest.raises(RecordingError, match="cannot be written"):
        recording.add_mark(Mark(T0, "ana", ""))
    assert (recording.marks(), target.read_text()) == ((), "precious")
    sidecar(path).unlink()
    good = {
        "recording": "0123456789ab",
        "segment": 0,
        "seq": 1,
        "t_mono": 2,
        "at": T0,
        "actor": "a",
        "note": "n",
    }
    lines = [
        "[" * 5000,
        "{}",
        "null",
        json.dumps(good | {"recording": "other"}),
        json.dumps(good | {"at": 1e300}),
    ]
    lines += [json.dumps(good | {"segment": 7}), json.dumps(good | {"seq": -1}), json.dumps(good)[:30]]
    sidecar(path).write_text("\n".join(lines))
    recording.add_mark(Mark(T0 + 1, "ana", "kept"))
    assert recording.marks() == (Mark(T0 + 1, "ana", "kept"),)
    many = "".join(json.dumps(good | {"at": T0 + n, "note": ""}) + "\n" for n in range(MARKS_MOST + 50))
    sidecar(path).write_text(many)
    assert len(recording.marks()) <= MARKS_MOST
    with pytest.raises(RecordingError, match="full"):
        recording.add_mark(Mark(T0, "ana", ""))
    sidecar(path).unlink()
    os.mkfifo(sidecar(path))
    assert recording.marks() == ()
    with pytest.raises(RecordingError, match=r"cannot be written|no regular file"):
        recording.add_mark(Mark(T0, "ana", ""))


@pytest.mark.parametrize("content", [b"", b"x", b"SQLite format 3\0" * 100, b"\x89TGREC\r\n" + bytes(40)])
def test_what_is_no_recording_is_refused(path: Path, content: bytes) -> None:
    """With its name in a sentence."""
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=r"one\.tgrec is no recording"):
        Recording.open(path)


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    """A pipe is not waited for; a folder without a recording and a name without a file are told."""
    pipe = tmp_path / "pipe.tgrec"
    os.mkfifo(pipe)
    with pytest.raises(RecordingError, match="no regular file"):
        Recording.open(pipe)
    with pytest.raises(RecordingError, match="no regular file"):
        Recording.open(Path("/dev/zero"))
    with pytest.raises(RecordingError, match="holds no recording that can be read"):
        Recording.open(tmp_path)
    with pytest.raises(RecordingError, match="No such file"):
        Recording.open(tmp_path / "none")


def test_a_recording_without_frames_opens(path: Path) -> None:
    """One that has just begun: nothing to show yet."""
    tape = Tape()
    tape.note(Tag.RUN_START, {})
    recording = opened(tape, path)
    assert (recording.frames, recording.start, recording.index_at(T0)) == (0, T0, 0)
    assert list(recording.window(0, 10).times) == []
    assert recording.view_at(T0) is None
    assert set(recording.timeline(5).worst) == {-1.0}
    with pytest.raises(RecordingError, match="has 0 frames"):
        recording.frame(0)
    with pytest.raises(RecordingError, match="has 0 frames"):
        recording.add_mark(Mark(T0, "ana", ""))


def test_a_mode_is_always_replay(path: Path) -> None:
    """Whatever the frame was when it was recorded."""
    tape = tape_of([replace(simple_frame(0, T0), mode="LIVE", production=True)])
    frame = opened(tape, path).frame(0)
    assert (frame.mode, frame.production) == ("REPLAY", True)
