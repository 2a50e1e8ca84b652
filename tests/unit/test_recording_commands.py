"""`tidegate recording ...`: what it prints, what it writes, what it refuses."""

import csv
import json
import sqlite3
import stat
import struct
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import shtab

from benchmarks import recording_rivals
from collectors.fleet import Model, SourceHealth, SourceState
from collectors.recording.draft import draft
from collectors.recording.export import Export, export
from collectors.recording.layout import Kind, RecordingError, Tag
from collectors.recording.merge import merge, offset_of
from collectors.recording.notes import event_from
from collectors.recording.reader import Recording
from collectors.recording.redact import Redaction
from collectors.recording.ring import RingLimits
from collectors.recording.stream import Stamp, Stream
from collectors.recording.trim import trim
from collectors.sessions import Mark, RecorderState
from tests.recording_commands import AT, acted, frame, happened, recorded, run
from tui import cli
from tui.recording_service import line

Capsys = pytest.CaptureFixture[str]


def test_info_tells_what_is_in_it(minute: Path, capsys: Capsys) -> None:
    """In words, and as JSON with the same figures."""
    assert run("recording", "info", minute) == 0
    said = capsys.readouterr().out
    for part in ("2026-11-21 14:00:00Z to 2026-11-21 14:00:59Z", "60", "prod, here", "closed; not signed"):
        assert part in said
    assert "1 event of the fleet, 1 action, 1 mark\n" in said
    assert run("recording", "info", minute, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["frames"], found["events"], found["actions"], found["marks"]) == (60, 1, 1, 1)
    assert found["size_bytes"] == minute.stat().st_size and found["is_closed"] and not found["is_signed"]
    assert found["bytes_per_value"] == pytest.approx(found["size_bytes"] / (60 * found["schemas"][0]))


def test_info_of_a_folder_and_of_nothing(minute: Path, tmp_path: Path, capsys: Capsys) -> None:
    """Each file of a folder; a sentence where there is none, or what is there is none."""
    (tmp_path / "a.tgrec").write_bytes(minute.read_bytes())
    (tmp_path / "b.tgrec").write_bytes(b"no recording at all, however long it may be")
    assert run("recording", "info", tmp_path, "--json") == 1
    out, err = capsys.readouterr()
    assert len(json.loads(out)) == 1 and "b.tgrec" in err and "Traceback" not in err
    assert run("recording", "info", tmp_path / "none.tgrec") == 1
    empty = tmp_path / "empty"
    empty.mkdir()
    assert run("recording", "info", empty) == 1
    assert "holds no recording" in capsys.readouterr().err


def test_info_of_a_file_that_was_cut(minute: Path, tmp_path: Path, capsys: Capsys) -> None:
    """What can be read is told, and that the rest is not there."""
    cut = tmp_path / "cut.tgrec"
    cut.write_bytes(minute.read_bytes()[:-200])
    assert run("recording", "info", cut) == 0
    said = capsys.readouterr().out
    assert "state      not closed (it is still being written, or was cut off); not signed\n" in said
    assert "bytes ignored" in said


def test_trim_keeps_the_stretch_alone(minute: Path, tmp_path: Path, capsys: Capsys) -> None:
    """Frames are as they were; the event before it is not there, action, mark and view are."""
    out = tmp_path / "cut.tgrec"
    assert run("recording", "trim", minute, "--from", "14:00:15", "--to", "14:00:40", "--out", out) == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    whole, cut = Recording.open(minute), Recording.open(out)
    assert cut.frames == 26 and (cut.start, cut.end) == (AT + 15, AT + 40)
    for number in range(26):
        assert replace(cut.frame(number), events=()) == replace(whole.frame(15 + number), events=())
    tags = [one.tag for one in cut.noted(AT, AT + 60) if one.tag in {Tag.HAPPENED, Tag.INTENT, Tag.RESULT}]
    assert tags == [Tag.INTENT, Tag.RESULT]
    assert cut.marks() == (Mark(AT + 30, "ann", "here"),)
    view = cut.view_at(AT + 15)
    assert view is not None and view.subject == "llama"
    assert cut.id != whole.id and cut.header.facts["made_from"][0]["recording"] == whole.id
    capsys.readouterr()
    assert run("recording", "info", out) == 0
    assert f"cut from recording {whole.id}" in capsys.readouterr().out
    whole.close()
    cut.close()


def test_trim_says_what_time_it_did_not_understand(minute: Path, tmp_path: Path, capsys: Capsys) -> None:
    """Exit status 2, a sentence, and no file."""
    out = tmp_path / "cut.tgrec"
    assert run("recording", "trim", minute, "--from", "teatime", "--out", out) == 2
    assert "teatime" in capsys.readouterr().err
    assert run("recording", "trim", minute, "--from", "14:00:40", "--to", "14:00:10", "--out", out) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_frame_becomes_a_gap(minute: Path, tmp_path: Path) -> None:
    """What cannot be read is not replaced by its neighbour."""
    bad = tmp_path / "bad.tgrec"
    data = bytearray(minute.read_bytes())
    whole = Recording.open(minute)
    segment = whole.segments[0]
    row = int(segment.frame_rows[25])
    data[int(segment.table.offset[row]) + 60] ^= 1
    whole.close()
    bad.write_bytes(data)
    recording = Recording.open(bad)
    told = trim(recording, AT, AT + 59, tmp_path / "out.tgrec")
    recording.close()
    out = Recording.open(tmp_path / "out.tgrec")
    assert "could not be read" in told[1] and 50 <= out.frames < 60
    shown = [out.frame(n).models[0].readings["waiting"].value for n in range(out.frames)]
    assert shown == [out.time_of(n) - AT for n in range(out.frames)]
    assert any("damaged" in gap.why and gap.start <= AT + 25 <= gap.end for gap in out.gaps)
    out.close()


def test_a_clock_that_was_set_back_stays_so(tmp_path: Path) -> None:
    """A cut keeps every frame in its order, and tells of the step once."""
    file = tmp_path / "back.tgrec"
    stream = Stream(None, file, RingLimits(), {"context": "prod"}, Redaction())
    stream.claim()
    walls = [*(AT + n for n in range(20)), *(AT - 3600 + n for n in range(20, 40))]
    for n, at in enumerate(walls):
        if n in {10, 30}:
            stream.note(*happened(at, f"event {n}")[1:], Stamp(round(at * 1e6), n * 10**6))
        stream.frame(frame(at, n), Stamp(round(at * 1e6), n * 10**6))
    stream.close(Stamp(round(walls[-1] * 1e6), 40 * 10**6))
    whole = Recording.open(file)
    trim(whole, whole.start, whole.end, tmp_path / "cut.tgrec")
    kinds = {Tag.CLOCK_STEP, Tag.HAPPENED}
    cut = Recording.open(tmp_path / "cut.tgrec")
    for recording in (whole, cut):
        shown = [recording.frame(n).models[0].readings["waiting"].value for n in range(recording.frames)]
        assert [recording.time_of(n) for n in range(recording.frames)] == walls[-len(shown) :]
        tags = [one.tag for one in recording.noted(AT - 7200, AT + 7200, {Kind.EVENT}, kinds)]
        assert tags == [Tag.HAPPENED, Tag.CLOCK_STEP, Tag.HAPPENED]
        recording.close()
    assert shown == list(range(40))


def test_merge_puts_two_operators_on_one_timeline(tmp_path: Path) -> None:
    """Ben's clock is 30 s ahead. What both saw stands once; each action names who did it; Ben's numbers fill
    Ann's gap and nothing else."""
    ann_frames = [frame(AT + n, n, "a-1" if n >= 20 else "") for n in range(60) if not 30 <= n < 45]
    ben_frames = [frame(AT + 30 + n, 1000 + n, "a-1" if n >= 20 else "") for n in range(10, 50)]
    ann = recorded(
        tmp_path / "ann.tgrec",
        ann_frames,
        [
            happened(AT + 12, "both saw it"),
            happened(AT + 25, "ann alone"),
            *acted(AT + 20, "ann", "k1", "a-1"),
        ],
        host="ann-laptop",
    )
    ben = recorded(
        tmp_path / "ben.tgrec",
        ben_frames,
        [happened(AT + 30 + 13, "both saw it"), *acted(AT + 30 + 40, "ben", "k2", "a-2")],
        host="ben-laptop",
    )
    one, other = Recording.open(ann), Recording.open(ben)
    offset = offset_of(one, other)
    assert offset.shared >= 1 and offset.seconds == pytest.approx(30, abs=1)
    out = tmp_path / "both.tgrec"
    told = merge(one, other, out)
    assert "30.0 s ahead" in told[0] or "29." in told[0]
    one.close()
    other.close()
    both = Recording.open(out)
    shown = [
        (round(both.time_of(n) - AT), both.frame(n).models[0].readings["waiting"].value)
        for n in range(both.frames)
    ]
    for at, waiting in shown:
        is_of_ben = 29 < at < 45
        assert isinstance(waiting, float | int) and (waiting >= 1000) == is_of_ben, (at, waiting)
    assert [at for at, _ in shown] == sorted(at for at, _ in shown) and len(shown) >= 58
    assert not both.gaps
    notes = list(both.noted(AT - 60, AT + 120))
    texts = [event.text for one in notes if (event := event_from(one.body)) and one.tag == Tag.HAPPENED]
    assert texts.count("both saw it") == 1 and "ann alone" in texts
    actors = [(one.tag, one.body["actor"]) for one in notes if one.kind == Kind.ACTION]
    assert actors == [
        (Tag.INTENT, "ann"),
        (Tag.RESULT, "ann"),
        (Tag.INTENT, "ben"),
        (Tag.RESULT, "ben"),
    ]
    both.close()


def test_one_recording_is_not_merged_with_itself(minute: Path, tmp_path: Path, capsys: Capsys) -> None:
    """The same file twice is a mistake, told."""
    assert run("recording", "merge", minute, minute, "--out", tmp_path / "o.tgrec") == 1
    assert "the same recording" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_export_writes_each_form(minute: Path, tmp_path: Path, capsys: Capsys) -> None:
    """Sixty values of one reading, in a file that only its owner can read."""
    for form in ("csv", "jsonl", "openmetrics", "sqlite"):
        out = tmp_path / form
        assert run("recording", "export", minute, "--format", form, "--out", out) == 0
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
    with (tmp_path / "csv").open() as file:
        values = [row["value"] for row in csv.DictReader(file) if row["signal"] == "waiting"]
    assert values == [f"{n}.0" for n in range(60)]
    lines = [json.loads(line) for line in (tmp_path / "jsonl").read_text().splitlines()]
    assert [line["what"] for line in lines if line["what"] != "reading"] == [
        "event",
        "action",
        "action",
        "mark",
    ]
    assert [line["operator"] for line in lines if line["what"] == "action"] == ["ann", "ann"]
    assert (tmp_path / "openmetrics").read_text().count("tidegate_signal_waiting{") == 60
    with sqlite3.connect(tmp_path / "sqlite") as database:
        waiting = "SELECT count(*), sum(value) FROM readings WHERE signal = 'waiting'"
        assert database.execute(waiting).fetchone() == (60, 59 * 30)
        row = database.execute("SELECT step, result, audit_id, key FROM actions ORDER BY epoch").fetchall()
        assert row == [("intent", "", "", "k1"), ("result", "applied", "a-1", "k1")]
        assert database.execute("SELECT actor, note FROM marks").fetchall() == [("ann", "here")]
    database.close()


def test_export_to_standard_output(minute: Path, capsys: Capsys) -> None:
    """Without --out it goes there, and nothing else does."""
    asked = ("--from", "14:00:10", "--to", "14:00:19", "--signal", "waiting", "--model", "llama")
    assert run("recording", "export", minute, "--format", "csv", *asked) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 11 and not err


def test_export_names_what_there_is(minute: Path, tmp_path: Path, capsys: Capsys) -> None:
    """A signal or model that there is not: the nearest name, exit status 2, and no file."""
    out = tmp_path / "o.csv"
    for option, wrong, near in (
        ("--signal", "wating", "waiting"),
        ("--signal", "throtle_level", "throttle_level"),
        ("--model", "lama", "llama"),
    ):
        assert run("recording", "export", minute, "--format", "csv", option, wrong, "--out", out) == 2
        assert f"did you mean '{near}'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert run("recording", "export", minute, "--format", "sqlite") == 2
    capsys.readouterr()
    assert run("recording", "export", minute, "--format", "csv", "--signal", "throttle_level") == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert rows and all(",throttle_level," in row for row in rows)


def test_nothing_is_written_over_by_accident(minute: Path, tmp_path: Path, capsys: Capsys) -> None:
    """--yes writes over a file; a link or a folder is never replaced."""
    out = tmp_path / "o.csv"
    out.write_text("precious")
    assert run("recording", "export", minute, "--format", "csv", "--out", out) == 2
    assert out.read_text() == "precious" and "--yes" in capsys.readouterr().err
    assert run("recording", "export", minute, "--format", "csv", "--out", out, "--yes") == 0
    assert out.read_text() != "precious"
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    for place in (link, tmp_path):
        assert run("recording", "export", minute, "--format", "csv", "--out", place, "--yes") == 2
        assert "no regular file" in capsys.readouterr().err
    assert not (tmp_path / "elsewhere").exists()
    assert run("recording", "export", minute, "--format", "csv", "--out", tmp_path / "no" / "o.csv") == 1


def test_a_draft_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Half a file never gets its name, and one that came meanwhile is kept."""
    out = tmp_path / "o"
    with pytest.raises(ValueError, match="half"), draft(out) as path:
        path.write_text("half")
        raise ValueError("half")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RecordingError, match="came meanwhile"), draft(out) as path:
        out.write_text("theirs")
    assert [one.read_text() for one in tmp_path.iterdir()] == ["theirs"]


def test_verify_tells_sound_from_damaged(minute: Path, tmp_path: Path, capsys: Capsys) -> None:
    """Exit status 0 and 1; a head that is no head is a mistake."""
    assert run("recording", "verify", minute) == 0
    capsys.readouterr()
    assert run("recording", "verify", minute, "--json") == 0
    assert json.loads(capsys.readouterr().out)["is_sound"] is True
    bad = tmp_path / "bad.tgrec"
    data = bytearray(minute.read_bytes())
    data[len(data) // 2] ^= 1
    bad.write_bytes(data)
    assert run("recording", "verify", bad) == 1
    assert run("recording", "verify", minute, "--head", "0" * 64) == 1
    assert run("recording", "verify", minute, "--head", "xyz") == 2


@pytest.mark.parametrize(
    "words",
    [
        "record",
        "report",
        "reconstruct",
        *(f"recording {one}" for one in ["info", "verify", "trim", "merge", "export"]),
    ],
)
def test_help_teaches_by_example(words: str, capsys: Capsys) -> None:
    """Every command's help has an example that begins with its name."""
    assert run(*words.split(), "--help") == 0
    assert f"  tidegate {words} " in capsys.readouterr().out


def test_a_shell_completes_them() -> None:
    """The parser alone makes the completion: every command and option is in it."""
    script = shtab.complete(cli.command_line().whole(), shell="bash")
    for word in ("record", "verify", "--signal", "openmetrics", "--head"):
        assert word in script


def test_a_minute_of_recording_is_one_line() -> None:
    """Time, what was recorded, each source, and trouble, without anything that a terminal obeys."""
    lost = SourceHealth("prom\x1b[31m", "prometheus", SourceState.LOST, error="no route to host")
    state = RecorderState("f", True, AT, 90.0, 1_500_000, 45, 2, "the disk is full")
    said = line(replace(frame(AT, 1), sources=(lost,)), state)
    assert said.startswith("2026-11-21 14:00:00Z  45 frames, 1.5 MB, 1 min 30 s  prom")
    for part in ("lost", "no route to host", "2 frames were not recorded", "NOT RECORDED: the disk is full"):
        assert part in said
    assert said.isprintable() and "no frame yet" in line(None, state)


def test_gorilla_is_counted_to_the_bit() -> None:
    """As a plain encoder does, value after value, with each series by itself."""
    chance = np.random.default_rng(3)
    some = np.cumsum(chance.integers(-2, 3, (40, 60)) * chance.choice([0, 1, 900], (40, 60)), axis=0)
    some = some.astype(np.int32)
    assert recording_rivals.gorilla(some) * 8 == sum(map(_gorilla_bits, some.T.tolist()))


def _gorilla_bits(values: Sequence[int]) -> int:
    words = [struct.unpack("<Q", struct.pack("<d", value))[0] for value in values]
    bits, window = 64, None
    for before, now in pairwise(words):
        differs = before ^ now
        if not differs:
            bits += 1
            continue
        text = f"{differs:064b}"
        lead, trail = min(len(text) - len(text.lstrip("0")), 31), len(text) - len(text.rstrip("0"))
        if window is not None and lead >= window[0] and trail >= window[1]:
            bits += 2 + 64 - sum(window)
        else:
            window = lead, trail
            bits += 2 + 5 + 6 + 64 - lead - trail
    return bits


def test_a_reading_that_was_never_taken_costs_nothing(tmp_path: Path) -> None:
    """An export of a recording without the model's readings has the heading alone."""
    file = recorded(
        tmp_path / "r.tgrec", [replace(frame(AT, 1), models=(Model("m", {}, {}),), totals={}, throttles=())]
    )
    recording = Recording.open(file)
    export(recording, Export("csv", AT, AT), tmp_path / "o.csv")
    recording.close()
    assert len((tmp_path / "o.csv").read_text().splitlines()) == 1
