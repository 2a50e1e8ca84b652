"""Files that were made to do harm: what is read of them is bounded, told, and nothing is changed by it."""

import math
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from collectors.fleet import Event, EventKind, Past
from collectors.readings import Reason
from collectors.recording import noted, parts, places, reader, state_at
from collectors.recording.codec import TEXT_FREE, compressed, unpacked_text
from collectors.recording.draft import LEFT_S, draft
from collectors.recording.exports.table import _plain
from collectors.recording.file import SegmentFile
from collectors.recording.gaps import gaps_of
from collectors.recording.layout import BadRecord, Kind, RecordingError, Tag
from collectors.recording.merge import merge
from collectors.recording.notes import event_json, mark_json
from collectors.recording.reader import Recording
from collectors.recording.report.facts import gather
from collectors.recording.rewriting import origins
from collectors.recording.segment import Segment
from collectors.recording.state import ITEMS_MOST
from collectors.recording.trim import trim
from collectors.recording.verify import verify
from collectors.sessions import Mark
from tests.hostile_recordings import EVIL, HANG_S, chain, claiming, firing, leaping, snapshots
from tests.recording_files import T0, Tape, simple_frame, simple_frames, tape_of
from tests.recording_parts import opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "one.tgrec"


def told(tape: Tape, after: float, kind: EventKind = EventKind.NOTE, text: str = "something") -> None:
    """An event so many seconds after the beginning."""
    tape.at = T0 + after
    tag = Tag.ALERT if kind is EventKind.ALERT else Tag.HAPPENED
    tape.note(tag, event_json(Event(tape.at, kind, "P1", "alpha", text)))


def test_text_unpacks_to_no_more_than_a_recorder_would_write() -> None:
    """A bomb is refused by what it declares; what repeats itself as alerts do is not."""
    with pytest.raises(BadRecord, match="would unpack to 4000000"):
        unpacked_text(compressed(b" " * 4_000_000))
    assert unpacked_text(compressed(b" " * TEXT_FREE)) == b" " * TEXT_FREE
    alerts = b",".join(
        b'{"name":"Queue%d","severity":"P1","labels":{"tier":"free"}}' % n for n in range(9_000)
    )
    assert unpacked_text(compressed(alerts)) == alerts


def test_long_text_of_few_parts_is_cleaned_all_the_same() -> None:
    """Whichever way is quicker, no text of a long body reaches anybody as it is."""
    for body in (
        b'{"tag":0,"a":"\\u001b[31m' + b"x" * 9000 + b'"}',
        b'{"tag":0,"a":["\\u001b"' + b',"b"' * 9000 + b"]}",
    ):
        assert "\x1b" not in str(noted.read_body(body)).replace("\\x1b", "\x1b")


NOTES = (
    b'{"tag":32,"chain":"ab","x":[1,{"y":null}]}',
    b'{"chain":7,"tag":3}',
    b' { "tag" : 16 } ',
    b'{"tag":16,"x":NaN}',
    b'{"tag":16,"x":1e999}',
    b'{"tag":16,"x":"\\ud800"}',
    b'{"tag":256}',
    b'{"tag":true}',
    b'{"tag":01}',
    b'{"tag":1,"tag":3}',
    b'{"tag":1,"tag":null}',
    b'{"tag":1,"\\u0074ag":3}',
    b'{"tag":1,"x":{"tag":3}}',
    b'\x0b{"tag":1}',
    b'{"tag":-1}',
    b'{"tag":1.0}',
    b'{"tag":null}',
    b'{"x":1}',
    b"[]",
    b"",
    b'{"tag":16',
    b'{"tag":16} x',
    b'{"tag":16,"x":"\xff"}',
    b'{"tag":16,"x":"\x01"}',
    b'{"tag":16,"x":' + b"9" * 5_000 + b"}",
    b'{"tag":16,"x":' + b"[" * 100_000,
    b'{"tag":16,"x":[' + b"1," * noted.PARTS_MOST + b"1]}",
)


@pytest.mark.parametrize("data", NOTES, ids=range(len(NOTES)))
def test_what_is_looked_at_quickly_is_what_is_read(data: bytes) -> None:
    """Tag and chain of a note are told, or refused, as by who reads all of it."""
    try:
        body = noted.read_json(data)
        assert isinstance(body, dict)
        tag, chain = noted.tag_of(data), body.get("chain")
    except (AssertionError, BadRecord):
        with pytest.raises(BadRecord):
            noted.told_of(data)
    else:
        assert noted.told_of(data) == (tag, chain if isinstance(chain, str) else None)
        noted.look_at_json(data)


@pytest.mark.parametrize("data", NOTES, ids=range(len(NOTES)))
def test_the_tag_of_a_note_is_that_of_its_body(data: bytes) -> None:
    """By whichever way it is found. What is damaged behind it is for whoever reads the body."""
    try:
        body = noted.read_body(data)
    except BadRecord:
        return
    tag = body.get("tag")
    if type(tag) is int and 0 <= tag < 256:
        assert noted.tag_of(data) == tag
    else:
        with pytest.raises(BadRecord):
            noted.tag_of(data)


def test_a_tag_that_is_no_json_is_none() -> None:
    """It is not the shape of it that counts."""
    with pytest.raises(BadRecord):
        noted.tag_of(b'{"tag":01}')


@pytest.mark.parametrize(
    "number",
    [b"9" * 250 + b"e99", b"9" * 400, b"-" + b"9" * 19, b"1e999", b"9" * 300 + b".5E+20", b"%d" % 2**63],
)
def test_a_number_that_nobody_can_reckon_with_is_none(number: bytes) -> None:
    """Infinite, or more than any counter: it reaches nobody, however it is written."""
    assert noted.read_body(b'{"tag":1,"at":' + number + b"}") == {"tag": 1, "at": None}


def test_parameters_of_a_reason_are_numbers_and_texts() -> None:
    """What cannot be worded is left out, and no sentence fails for it."""
    found = noted.read_reason(1, "impossible", [10**400, True, None, [], "a\x1b", 2, 0.5])
    assert found == (1, Reason("impossible", ("a", 2, 0.5)))


def test_a_past_that_is_none_is_left_out() -> None:
    """Whatever stands where a name, a signal or a number should: the others are read."""
    good = ["alpha", "gold\x1b", "waiting", 5, 1.5]
    strange: tuple[object, ...] = ([], {}, None, True, 1e300, "waiting", math.nan)
    wrong = [[*good[:n], one, *good[n + 1 :]] for n in range(5) for one in strange]
    found = list(noted.past_from({"past": [*wrong, good, good[:4], "x"]}))
    assert Past("alpha", "gold", "waiting", 5.0, 1.5) in found
    assert all(type(one.at) is float and one.signal == "waiting" for one in found)
    assert all(math.isfinite(one.at) and math.isfinite(one.value) for one in found)


def test_how_deep_json_goes_is_known_without_reading_it() -> None:
    """Brackets in texts are none; that it is deep is found, so that what lies deeper is left out."""
    flat = b'{"tag":0,"a":["[[[[","]]]]"' + b',"{[}]"' * 3_000 + b"]}"
    assert noted.read_body(flat)["a"][:3] == ["[[[[", "]]]]", "{[}]"]
    deep = b'{"tag":0,"a":' + b"[" * 40 + b"7" + b"]" * 40 + b',"b":[' + b'"x",' * 3_000 + b'"x"]}'
    assert "7" not in str(noted.read_body(deep)["a"])


def test_what_happened_at_one_time_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than is read is left out, and that is told; the frame is shown."""
    monkeypatch.setattr(parts, "_HAPPENED_BYTES", 2_000)
    tape = tape_of(simple_frames(3))
    for n in range(100):
        told(tape, 5, text=f"event {n}")
    tape.frame(simple_frame(3, T0 + 6))
    recording = opened(tape, path)
    found = recording.frame(3).events
    assert 0 < len(found) < 100 and [event.text for event in found[:2]] == ["event 0", "event 1"]
    assert recording.notices == ("left out, for there are too many: events at one time",)


def test_notes_that_are_too_long_are_none(path: Path) -> None:
    """An event, a mark, a gap of 100 kB was written by nobody; a past is as long."""
    tape = tape_of(simple_frames(3))
    tape.at = T0 + 5
    long = "ab c" * 25_000
    tape.record(Kind.EVENT, f'{{"tag":16,"at":1,"kind":"note","text":"{long}"}}'.encode(), tag=16)
    tape.note(Tag.GAP, {"from": T0, "to": T0 + 1, "why": long})
    values = [["alpha", "gold", "waiting", T0 - n, 1.0] for n in range(5_000)]
    tape.note(Tag.PAST, {"past": values})
    tape.frame(simple_frame(3, T0 + 6))
    recording = opened(tape, path)
    frame = recording.frame(3)
    assert frame.events == () and len(frame.past) == 5_000
    # When it was is known all the same: between the records around it.
    assert [gap.why for gap in gaps_of(recording.segments[0])] == []


def test_reading_on_ends_at_the_allowance(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of notes, ticks and bookmarks: the first ones, and a notice."""
    for name in ("NOTED_BYTES", "THINNED_BYTES", "MARKS_BYTES"):
        monkeypatch.setattr(reader, name, 1_000)
    tape = tape_of(simple_frames(3))
    for n in range(40):
        told(tape, 5 + n, EventKind.ALERT, f"wait {n}")
        tape.note(Tag.BOOKMARK, mark_json(Mark(tape.at, "ada", f"mark {n}")), Kind.MARK)
    tape.frame(simple_frame(3, T0 + 60))
    recording = opened(tape, path)
    assert 3 < len(list(recording.noted(T0, T0 + 60, {Kind.EVENT}))) < 20
    assert 3 < len(recording.marks()) < 20
    assert 3 < len(recording.timeline(5).alerts) < 20
    assert recording.notices == ("left out, for there are too many: events, actions and bookmarks",)


def test_the_latest_notes_come_first(path: Path) -> None:
    """By time, not by place: a clock that was set back does not hide what is nearest."""
    tape = tape_of(simple_frames(1))
    for after in (2, 8, 4, 6, 6):
        told(tape, after, text=str(after))
    tape.frame(simple_frame(1, T0 + 9))
    recording = opened(tape, path)
    found = list(recording.noted_before(T0 + 7, {Kind.EVENT}, {Tag.HAPPENED}))
    assert [one.body["text"] for one in found] == ["6", "6", "4", "2"]
    assert found[0].seq > found[1].seq
    assert list(recording.times_noted(T0 + 3, T0 + 7, {Kind.EVENT}, {Tag.HAPPENED})) == [
        T0 + 4,
        T0 + 6,
        T0 + 6,
    ]


def test_a_search_ends_and_says_how_far_it_came(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among very many other events; from there it can go on."""
    monkeypatch.setattr(places, "LOOKED_AT", 20)
    tape = tape_of(simple_frames(1))
    for n in range(60):
        told(tape, 2 + n)
        tape.frame(simple_frame(n + 1, tape.at))
    told(tape, 70, EventKind.ACTION, "throttled")
    tape.frame(simple_frame(99, T0 + 70))
    recording = opened(tape, path)
    at, steps = T0, []
    while (found := places.found_next(recording, "action", 1, at)) is not None:
        at = found[0]
        steps.append((at - T0, found[1]))
    assert [after for after, _ in steps] == [22, 42, 70]
    assert steps[0][1].startswith("No action among 20 events up to ") and "throttled" in steps[-1][1]
    back = places.found_next(recording, "action", -1, T0 + 61)
    assert back is not None and back[0] < T0 + 61 and "No action among" in back[1]


def test_alerts_of_the_first_frame_can_be_reached(path: Path) -> None:
    """No event tells when they began: they have ticks at the beginning, and a jump back ends there."""
    tape = Tape()
    tape.frame(replace(simple_frame(0, T0), alerts=firing("P2", "P1")))
    told(tape, 20, EventKind.ALERT, "later")
    tape.frame(simple_frame(1, T0 + 20))
    tape.frame(simple_frame(2, T0 + 40))
    recording = opened(tape, path)
    assert [(tick.at - T0, tick.kind) for tick in recording.timeline(4).alerts] == [
        (0, "P2"),
        (0, "P1"),
        (20, "P1"),
    ]
    assert "wait 0, firing when the recording began" in recording.timeline(4).alerts[0].text
    later = places.found_next(recording, "alert", -1, T0 + 40)
    assert later is not None and later[0] == T0 + 20
    first = places.found_next(recording, "alert", -1, T0 + 20)
    assert first is not None and first[0] == T0
    assert "wait 1 and 1 more, firing when the recording began" in first[1]
    assert places.found_next(recording, "alert", -1, T0) is None
    assert places.found_next(recording, "alert", 1, T0) == later


def test_more_items_than_are_kept_are_told(path: Path) -> None:
    """The first 10,000 of a kind, and a notice."""
    alerts = {f"k{n}": {"id": f"k{n}", "severity": "P3", "summary": f"n{n}"} for n in range(ITEMS_MOST + 5)}
    recording = opened(snapshots(alerts, "alerts", 1), path)
    frame = recording.frame(5)
    assert len({alert.id for alert in frame.alerts}) <= ITEMS_MOST
    assert recording.notices == (
        "more than 10,000 alerts, nodes or other items of one kind at one time: the first ones are shown",
    )


def test_changes_without_end_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no number may then be out of date, which the frame says; numbers are as recorded."""
    monkeypatch.setattr(state_at, "_SINCE_PARTS", 2_000)
    tape = tape_of(simple_frames(5))
    for n in range(100):
        tape.note(
            Tag.STATE, {"set": {"models": {f"m{n}": {"objectives": {f"t{k}": 1.0 for k in range(50)}}}}}
        )
    tape.frame(simple_frame(5, T0 + 10))
    recording = opened(tape, path)
    frame = recording.frame(5)
    assert parts.STATE_LOST in frame.notes
    shown = {model.name: model.tiers for model in frame.models}
    assert all(shown[model.name] == model.tiers for model in tape.frames[5].models)
    assert parts.STATE_LOST not in recording.frame(4).notes


def test_a_chain_without_a_key_is_left_quickly(path: Path) -> None:
    """20,000 differences to one another: those that can be decoded are, the others are told as lost."""
    recording = opened(chain(20_000), path)
    began = time.process_time()
    for number in (4, 100, 10_000, 20_004):
        try:
            recording.frame(number)
        except RecordingError:
            assert number > 128
    recording.timeline(50)
    recording.window(19_000, 20_000)
    assert time.process_time() - began < HANG_S


@pytest.mark.parametrize("wall", [0, 253_402_300_799 * 10**6, -(2**63), 2**63 - 1])
def test_times_of_another_age_make_no_second_file(path: Path, tmp_path: Path, wall: int) -> None:
    """A leap of the clock would begin another segment, which nobody would find: it is refused."""
    recording = opened(leaping(wall), path)
    before = path.read_bytes()
    with pytest.raises(RecordingError, match="its clock leaps"):
        trim(recording, recording.start, recording.end, tmp_path / "out.tgrec")
    assert [one.name for one in tmp_path.iterdir()] == ["one.tgrec"]
    assert trim(recording, T0, T0 + 100, tmp_path / "out.tgrec") == ("10 frames",)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["one.tgrec", "out.tgrec"]
    assert path.read_bytes() == before
    gather(recording, "one.tgrec")


def test_a_recording_is_never_written_over_by_itself(path: Path, tmp_path: Path) -> None:
    """By no name of it, though it may be written over."""
    recording = opened(tape_of(simple_frames(5)), path)
    before = path.read_bytes()
    other = tmp_path / "other.tgrec"
    other.hardlink_to(path)
    for out in (path, other):
        with pytest.raises(RecordingError, match="is the recording itself"):
            trim(recording, T0, T0 + 100, out, overwrite=True)
    second = opened(tape_of(simple_frames(5), facts={"recording": "ba9876543210"}), tmp_path / "two.tgrec")
    with pytest.raises(RecordingError, match="is the recording itself"):
        merge(second, recording, other, overwrite=True)
    assert path.read_bytes() == before


def test_drafts_that_a_kill_left_are_removed(tmp_path: Path) -> None:
    """Those that nobody writes to any more; nothing of another name, and no link."""
    old, young, other = (tmp_path / name for name in (".tidegate-a.part", ".tidegate-b.part", "c.part"))
    for one in (old, young, other):
        one.write_text("x")
    (tmp_path / ".tidegate-d.part").symlink_to(other)
    for one in (old, other):
        os.utime(one, (time.time() - LEFT_S - 60,) * 2)
    with draft(tmp_path / "out") as one:
        one.write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".tidegate-b.part",
        ".tidegate-d.part",
        "c.part",
        "out",
    ]


def test_a_draft_ends_with_sigterm(tmp_path: Path) -> None:
    """Nothing is left, and the exit status says so; what the process does on SIGTERM later is as before."""
    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(SystemExit) as ended, draft(tmp_path / "out") as one:
        one.write_text("half")
        os.kill(os.getpid(), signal.SIGTERM)
        signal.sigtimedwait([], 5)
    assert ended.value.code == 143
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_two_files_cannot_be_one_segment(tmp_path: Path) -> None:
    """The one with a segment's name is shown, and the other one told."""
    name = "20240101T000000Z-0123456789ab-0000.tgrec"
    tape_of(simple_frames(5)).write(tmp_path / "a.tgrec")
    tape_of(simple_frames(9)).write(tmp_path / name)
    recording = Recording.open(tmp_path)
    assert recording.frames == 9
    assert recording.notices == (f"a.tgrec claims to be the same segment as {name}, and is left out",)


def test_a_file_that_is_refused_is_not_changed(path: Path) -> None:
    """Its header is looked at first: nothing of it is cut off."""
    tape_of(simple_frames(5)).write(path)
    with path.open("ab") as file:
        file.write(b"rubbish behind it")
    before = path.read_bytes()
    with pytest.raises(RecordingError, match="is of another fleet: choose another name"):
        SegmentFile.reopen(path, lambda _: "is of another fleet")
    assert path.read_bytes() == before
    SegmentFile.reopen(path, lambda _: "").close()
    assert len(path.read_bytes()) == len(before) - 17


@pytest.mark.parametrize(
    "tape", [claiming(Kind.INDEX, 2**20, 20_000, 2**20), claiming(Kind.EVENT, 16 * 2**20, 20_000)]
)
def test_claims_that_overlap_are_not_read_again_and_again(path: Path, tape: Tape) -> None:
    """To go on with such a file ends soon, one way or the other."""
    tape.write(path)
    began = time.process_time()
    try:
        SegmentFile.reopen(path).close()
    except RecordingError as error:
        assert "is damaged" in str(error)
    assert time.process_time() - began < HANG_S


def test_the_same_schema_is_looked_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It follows each INDEX; and of very many different ones not every name."""
    tape = tape_of(simple_frames(3))
    assert tape._schema is not None
    for _ in range(20):
        tape.schema(tape._schema)
    seen: list[object] = []
    monkeypatch.setattr("collectors.recording.verify.from_json", seen.append)
    report = verify(tape.write(path))
    assert report.is_sound
    assert len(seen) == len({str(one) for one in seen}) < len(tape.of_kind(Kind.SCHEMA))


def test_a_table_begins_no_formula() -> None:
    """Nor in the wide forms that some spreadsheets read as the narrow ones."""
    for sign in "=+-@\t＝＋－＠":
        assert _plain(f"{sign}cmd()") == f"'{sign}cmd()"
    assert _plain("llama-70b") == "llama-70b"


def test_where_it_was_made_from_is_told_in_short() -> None:
    """Times of no calendar are left out."""
    found = origins({"made_from": [{"how": "trim", "recording": EVIL, "from": 1e300, "to": -1e300}]})
    assert len(found) == 1 and len(found[0]) < 80 and found[0].isprintable()


def test_a_segment_that_is_refused_lets_go_of_its_file(path: Path) -> None:
    """No descriptor is left open."""
    path.write_bytes(b"nothing")
    count = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(RecordingError):
            Segment(path)
    assert len(list(Path("/proc/self/fd").iterdir())) == count
