"""What the commands tell of recordings: gaps, times, who was silent, whose time it is; what they refuse."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from collectors.config import Context
from collectors.fleet import Frame, SourceHealth, SourceState
from collectors.reconstruct.file import Stretch, header_of, prepare
from collectors.reconstruct.plan import Asked, Grid, facts_of
from collectors.recording.layout import RecordingError
from collectors.recording.reader import Recording
from collectors.recording.redact import Redaction
from collectors.recording.ring import RingLimits
from collectors.recording.stream import Stamp, Stream
from collectors.sessions import Mark, RecorderState, View
from tests.recording_commands import AT, acted, frame, happened, recorded, run
from tui import cli, recording_service
from tui.kept import Keeping, SessionRecorder
from tui.output import Printing
from tui.recording_service import _ended, _Newest, line

if TYPE_CHECKING:
    from collectors.recording.source import RecordingSource


Capsys = pytest.CaptureFixture[str]


def test_marks_beside_the_file_count(minute: Path, tmp_path: Path, capsys: Capsys) -> None:
    """A bookmark that was made later is told as one in the file is: as an export has it."""
    file = tmp_path / "m.tgrec"
    file.write_bytes(minute.read_bytes())
    recording = Recording.open(file)
    recording.add_mark(Mark(AT + 40, "ben", "later"))
    recording.close()
    assert run("recording", "info", file) == 0
    assert "2 marks" in capsys.readouterr().out


def test_gaps_of_any_kind_are_told(tmp_path: Path, capsys: Capsys) -> None:
    """A time in which nobody recorded, between two runs, and damage: how many, the longest, and where."""
    file = recorded(tmp_path / "two.tgrec", [frame(AT + n, n) for n in range(20)])
    closed = file.read_bytes()
    recording = Recording.open(file)
    segment = recording.segments[0]
    at = int(segment.table.offset[int(segment.frame_rows[10])])
    recording.close()
    stream = Stream(None, file, RingLimits(), {"context": "prod", "host": "here", "app": "test"}, Redaction())
    stream.claim()
    for n in range(300, 310):
        stream.frame(frame(AT + n, n), Stamp(round((AT + n) * 1e6), n * 10**6))
    stream.close(Stamp(round((AT + 310) * 1e6), 310 * 10**6))
    assert run("recording", "info", file) == 0
    assert "gaps       1, the longest 4 min 41 s" in capsys.readouterr().out
    bad = bytearray(closed)
    bad[at + 4] ^= 255
    file.write_bytes(bad)
    assert run("recording", "info", file) == 0
    said = capsys.readouterr().out
    assert f"damaged at byte {at}, 5 faults: `tidegate recording verify` tells more" in said
    assert "gaps       1, the longest 10 s" in said


def test_a_time_that_begins_with_a_minus_is_one(minute: Path, tmp_path: Path, capsys: Capsys) -> None:
    """As a word of its own, in every command that takes a time."""
    parser = cli.command_line()
    out = str(tmp_path / "o")
    lines = (
        "replay f --at -5m", "report f --from -5m --to -1m", "recording trim f --from -5m --to -1m --out o",
        "recording export f --format csv --from -5m --to -1m", "reconstruct --from -5m --to -1m --out o",
    )  # fmt: skip
    for words in map(str.split, lines):
        args = parser.parse_args(words)
        wanted = (args.at,) if "--at" in words else (args.start, args.end)
        assert wanted == ("-5m", "-1m")[: len(wanted)], words
    assert (
        run(
            "recording",
            "export",
            minute,
            "--format",
            "csv",
            "--from",
            "-10s",
            "--signal",
            "waiting",
            "--out",
            out,
        )
        == 0
    )
    assert len(Path(out).read_text().splitlines()) == 12


def test_a_stretch_outside_of_the_recording_is_refused(minute: Path, tmp_path: Path, capsys: Capsys) -> None:
    """Exit status 2, and a sentence with what there is; a stretch that reaches into it is cut, and told."""
    for times in (("18:00", "19:00"), ("11:00", "12:00")):
        asked = ("--from", times[0], "--to", times[1], "--out", tmp_path / "o")
        for command in (("trim", minute), ("export", minute, "--format", "csv")):
            assert run("recording", *command, *asked) == 2
            said = capsys.readouterr().err
            assert "2026-11-21 14:00:00Z to 2026-11-21 14:00:59Z" in said and len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
    asked = ("--from", "13:00", "--to", "14:00:20", "--out", tmp_path / "o")
    assert run("recording", "trim", minute, *asked) == 0
    assert "before this recording begins" in capsys.readouterr().err


def test_a_cut_says_why_it_begins_earlier(tmp_path: Path, capsys: Capsys) -> None:
    """The frame that was shown at --from is older than that."""
    file = recorded(tmp_path / "r.tgrec", [frame(AT + 3 * n, n) for n in range(10)])
    out = tmp_path / "o.tgrec"
    assert run("recording", "trim", file, "--from", "14:00:05", "--out", out) == 0
    said = capsys.readouterr().out
    assert "9 frames; it begins at 2026-11-21 14:00:03Z, with the whole frame that was shown at" in said
    assert run("recording", "trim", file, "--from", "14:00:06", "--out", out, "--yes") == 0
    assert "it begins at" not in capsys.readouterr().out


def test_an_export_tells_whose_time_it_is_and_what_was_asked(tmp_path: Path) -> None:
    """An event has its own time beside its record's; an action what it was to change, from and to."""
    late = (AT + 8, *happened(AT + 2, "told late")[1:])
    file = recorded(
        tmp_path / "r.tgrec", [frame(AT + n, n) for n in range(20)], [late, *acted(AT + 10, "ann", "k", "a")]
    )
    assert run("recording", "export", file, "--format", "jsonl", "--out", tmp_path / "j") == 0
    lines = [json.loads(line) for line in (tmp_path / "j").read_text().splitlines()]
    told = {line.get("step", line["what"]): line for line in lines}
    times = [told["event"][name] for name in ("at", "recorded_at", "time")]
    assert times == ["2026-11-21T14:00:02.000Z", *["2026-11-21T14:00:08.000Z"] * 2]
    for step in ("intent", "result"):
        assert (told[step]["arguments"], told[step]["seen"]) == ({"level": 0.5}, {"level": 1.0})
    assert run("recording", "export", file, "--format", "sqlite", "--out", tmp_path / "s") == 0
    with sqlite3.connect(tmp_path / "s") as database:
        assert database.execute("SELECT at, recorded_at FROM events").fetchall() == [tuple(times[:2])]
        asked = "SELECT json_extract(arguments, '$.level'), json_extract(seen, '$.level') FROM actions"
        assert database.execute(asked).fetchall() == [(0.5, 1.0)] * 2
    database.close()


def test_verify_of_a_folder_checks_each_recording(minute: Path, tmp_path: Path, capsys: Capsys) -> None:
    """Not the newest alone: a damaged one beside it is found, and what cannot be read is named."""
    recorded(tmp_path / "older.tgrec", [frame(AT - 900 + n, n) for n in range(9)])
    newer = recorded(tmp_path / "newer.tgrec", [frame(AT + n, n) for n in range(9)])
    assert run("recording", "verify", tmp_path) == 0
    said = capsys.readouterr().out
    assert "older.tgrec" in said and "newer.tgrec" in said and "2 recordings were checked: 2 sound" in said
    for damaged in (tmp_path / "older.tgrec", newer):
        whole = damaged.read_bytes()
        damaged.write_bytes(whole[: len(whole) // 2] + b"?" + whole[len(whole) // 2 + 1 :])
        assert run("recording", "verify", tmp_path, "--json") == 1
        assert sorted(one["is_sound"] for one in json.loads(capsys.readouterr().out)) == [False, True]
        damaged.write_bytes(whole)
    (tmp_path / "junk.tgrec").write_bytes(b"no recording at all, however long it may be")
    assert run("recording", "verify", tmp_path) == 1
    assert "junk.tgrec" in capsys.readouterr().err


def test_what_is_not_closed_is_not_signed(minute: Path, tmp_path: Path, capsys: Capsys) -> None:
    """Whoever asks for a signature gets no 'sound' without one."""
    from cryptography.hazmat.primitives import serialization as forms
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = tmp_path / "operator.pub"
    key = Ed25519PrivateKey.generate().public_key()
    public.write_bytes(key.public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo))
    cut = tmp_path / "cut.tgrec"
    cut.write_bytes(minute.read_bytes()[:-200])
    assert run("recording", "verify", cut) == 0
    assert run("recording", "verify", cut, "--key", public) == 1
    said = capsys.readouterr().out
    assert "it is not signed: it was not closed" in said


def test_a_simulated_fleet_is_told_as_one(tmp_path: Path, capsys: Capsys) -> None:
    """Also where its header did not know it: by `info`, in a cut, joined with one whose header does."""
    frames = [replace(frame(AT + n, n), simulated=True) for n in range(20)]
    file = recorded(tmp_path / "r.tgrec", frames)
    out, both = tmp_path / "o.tgrec", tmp_path / "both.tgrec"
    assert run("recording", "trim", file, "--from", "14:00:05", "--out", out) == 0
    cut = Recording.open(out)
    assert cut.header.facts["simulated"] is True
    cut.close()
    assert run("recording", "merge", file, out, "--out", both) == 0
    for one in (file, out, both):
        capsys.readouterr()
        assert run("recording", "info", one) == 0
        assert "SIMULATED" in capsys.readouterr().out


def test_who_never_answered_is_named() -> None:
    """On each line, and at the end, where it is a failure; one that answered once is none."""
    lost = SourceHealth("prom", "prometheus", SourceState.LOST, error="connection refused")
    newest = _Newest()
    newest.take(replace(frame(AT, 1), sources=(lost,)))
    state = RecorderState("f", frames=1, size_bytes=1_200)
    said = line(newest.frame, state, newest.silent)
    assert said.count("connection refused") == 1 and "prom never answered: connection refused" in said
    assert "1 frame, 1.2 kB" in said
    assert _ended(state, None, newest, Printing()) == 1
    newest.take(replace(frame(AT, 1), sources=(replace(lost, state=SourceState.OK, at=AT, error=""),)))
    newest.take(replace(frame(AT, 1), sources=(replace(lost, at=AT),)))
    assert not newest.silent and _ended(state, None, newest, Printing()) == 0
    alerts = replace(lost, name="prom-alerts", kind="alerts")
    newest.take(replace(frame(AT, 1), sources=(replace(lost, at=AT), alerts)))
    assert list(newest.silent) == ["prom-alerts"] and _ended(state, None, newest, Printing()) == 0


class _Slow:
    """Takes its time to close."""

    async def aclose(self) -> None:
        await asyncio.sleep(0.02)


async def test_an_end_that_takes_a_while_is_told(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits knows what for; nothing is said of one that is soon over."""
    source = cast("RecordingSource", _Slow())
    await recording_service._closed(source, Printing())
    assert not capsys.readouterr().out
    monkeypatch.setattr(recording_service, "QUIET_S", 0.001)
    await recording_service._closed(source, Printing())
    assert capsys.readouterr().out == "ending ...\n"


class _Script:
    """A source of a few frames."""

    operator = None

    async def frames(self) -> AsyncIterator[Frame]:
        for n in range(3):
            yield replace(frame(AT + n, n), simulated=True)

    async def aclose(self) -> None:
        """Nothing is open."""


async def test_a_recorded_demo_says_where_it_is(tmp_path: Path) -> None:
    """Frames, how long, and how to see it; or why there is none."""
    file = tmp_path / "try.tgrec"
    recorder = SessionRecorder(Keeping("demo", simulated=True, file=file))
    source = recorder.around(_Script)()
    async for _ in source.frames():
        pass
    await source.aclose()
    told = f"wrote {file}: 3 frames, 2 s; see it with: tidegate replay {file}"
    assert recorder.told() == (told, True)
    other = tmp_path / "letter.txt"
    other.write_text("dear all, " * 20)
    refused = SessionRecorder(Keeping("demo", simulated=True, file=other))
    with pytest.raises(RecordingError):
        refused.around(_Script)()
    said, is_kept = refused.told()
    assert not is_kept and said.startswith(f"{other} was not recorded: ") and len(said) > len(str(other)) + 30


async def test_what_came_before_it_began_is_in_it(tmp_path: Path) -> None:
    """A bookmark and a view from before the first source is connected; later ones go straight to the file."""
    file = tmp_path / "try.tgrec"
    recorder = SessionRecorder(Keeping("demo", simulated=True, file=file))
    marks = [Mark(AT, "ann", "early"), Mark(AT + 1, "ann", "late")]
    recorder.mark(marks[0])
    recorder.view(View("model", "llama"))
    source = recorder.around(_Script)()
    recorder.mark(marks[1])
    async for _ in source.frames():
        pass
    await source.aclose()
    recording = Recording.open(file)
    view = recording.view_at(recording.end)
    assert view is not None and view.subject == "llama"
    assert sorted(one.note for one in recording.marks()) == ["early", "late"]
    recording.close()


def test_a_reconstruction_of_a_simulated_fleet_says_so(tmp_path: Path, capsys: Capsys) -> None:
    """As the context tells: in the head of the file, at once and when it is gone on with."""
    file = tmp_path / "r.tgrec"
    context = Context(prometheus=(), simulated=True)
    asked = Asked("prod", context, (), AT, AT + 10, None, "")
    facts = facts_of(asked, Grid(1000, 0, 10), "1")
    prepare(file, facts, "0123456789ab", AT, 0)
    for is_first in (True, False):
        stretch = Stretch(file, facts, is_first=is_first)
        stretch.put(replace(frame(AT + 5 - is_first, 1), simulated=True))
        stretch.abandon()
    assert run("recording", "info", file) == 0
    assert "SIMULATED" in capsys.readouterr().out
    header = header_of(file)
    assert header is not None and header.facts["simulated"] is True
