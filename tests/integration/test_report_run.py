"""`tidegate report` on real recordings: what it prints and writes, and what it refuses."""

import csv
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from collectors import intending
from collectors.fleet import Frame
from collectors.intents import Intent, decided
from collectors.recording.layout import Kind, Tag
from collectors.recording.notes import intent_json, outcome_json
from collectors.recording.redact import Redaction
from collectors.recording.writer import RecordingWriter
from collectors.sessions import Mark, View
from tests.reported import ABORTED, AGAIN, AT, CELL, OPEN, applied, going, incident, throttling
from tui.cli import main


def written(path: Path, frames: Sequence[Frame], asked: Intent | None = None) -> Path:
    """A real recording of `frames`, with what the operator looked at, asked for, was told, and marked."""
    writer = RecordingWriter(file=path, facts={"context": "prod"}, redaction=Redaction(), simulated=True)
    writer.start()
    intent = asked or throttling()
    for one in frames:
        writer.put(one)
        if one.at == AT + 300:
            writer.view(View("model", "aurora", width=120, height=40))
        if one.at == AT + 420:
            writer.note(Kind.ACTION, Tag.INTENT, intent_json(intent) | {"actor": "alice"}, wait_s=1)
        if one.at == AT + 430:
            body = outcome_json(applied(intent, AT + 430)) | {"actor": "alice"}
            writer.note(Kind.ACTION, Tag.RESULT, body, wait_s=1)
        if one.at == AT + 600:
            writer.mark(Mark(AT + 600, "alice", "pro is fine again"))
        writer.flush()
    writer.close()
    return path


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The incident, recorded and closed."""
    return written(tmp_path_factory.mktemp("recorded") / "night.tgrec", incident())


def run(*words: str | Path) -> int:
    """The command, as the command line runs it."""
    return main(["report", *map(str, words)])


def test_markdown_on_standard_output(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole story is in it, and nothing is written anywhere."""
    before = set(recording.parent.iterdir())
    assert run(recording) == 0
    told = capsys.readouterr().out.replace("\N{NO-BREAK SPACE}", " ")
    for said in (
        "# Incident report: prod",
        "For 6 min from 14:04:00 users of aurora waited longer than promised",
        "At 14:07:00 alice throttled images for free (admit 100% → admit 30%, for 30 min): applied",
        "Ticket REL-7",
        "| aurora: pro | 14:04:00 | +30 s | +1 min | +3 min (action 1) | +3 min 10 s | +6 min | +6 min |",
        "alice was on the model screen of aurora, at 120 by 40 characters.",
        "| images for free | admit 30% | alice |",
        "| 14:10:00 | bookmark | alice |",
    ):
        assert said in told, said
    assert set(recording.parent.iterdir()) == before


def test_a_page_beside_the_recording(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its name is told, only its owner can read it, and it is not written over unless that is asked for."""
    page = recording.with_suffix(".html")
    assert run(recording, "--format", "html") == 0
    assert str(page) in capsys.readouterr().out
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    page.write_text("mine")
    assert run(recording, "--format", "html") == 2
    assert "was not changed" in capsys.readouterr().err
    assert page.read_text() == "mine"
    assert run(recording, "--format", "html", "--yes") == 0
    assert page.read_text().startswith("<!doctype html>")
    page.unlink()


def test_the_name_of_the_file_tells_the_form(recording: Path, tmp_path: Path) -> None:
    """`--out x.html` is a page, `--out x.md` is Markdown; nothing is left beside them."""
    assert run(recording, "--out", tmp_path / "x.html") == 0
    assert run(recording, "--out", tmp_path / "x.md") == 0
    assert (tmp_path / "x.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "x.md").read_text().startswith("# Incident report")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["x.html", "x.md"]


def test_a_stretch(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From 14:11 on nothing was above; the throttle is still open."""
    assert run(recording, "--from", "14:11", "--to", "14:15") == 0
    told = capsys.readouterr().out
    assert "No user surely waited longer than promised." in told
    assert "images for free | admit 30% | alice" in told
    assert "The whole recording runs from 2026-11-21 14:00:00Z" in told


@pytest.mark.parametrize(
    ("words", "status"),
    [(("--from", "yesterday-ish"), 2), (("--from", "14:15", "--to", "14:05"), 2)],
)
def test_a_mistake_in_what_is_asked(
    recording: Path, words: Sequence[str], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence on standard error, nothing on standard output."""
    assert run(recording, *words) == status
    told = capsys.readouterr()
    assert told.err.startswith("tidegate: ")
    assert not told.out


def test_no_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of what is not there, or is no recording, it says so; no traceback."""
    other = tmp_path / "notes.txt"
    other.write_text("no recording")
    assert run(tmp_path / "none.tgrec") == 1
    assert run(other) == 1
    assert run(other, "--format", "html") == 1
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "notes.html").exists()


def test_a_cut_recording_tells_of_its_end(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a recording whose writer was killed: all that is there, and that it was not closed."""
    cut = tmp_path / "cut.tgrec"
    data = recording.read_bytes()
    cut.write_bytes(data[: len(data) * 2 // 3])
    assert run(cut) == 0
    told = capsys.readouterr().out
    assert "The recording was not closed" in told
    assert "users of aurora waited longer than promised" in told


def test_a_damaged_recording_has_a_gap(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bytes lost in the middle are a gap in the report, and it says what was lost."""
    hurt = tmp_path / "hurt.tgrec"
    data = bytearray(recording.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    hurt.write_bytes(data)
    assert run(hurt) == 0
    told = capsys.readouterr().out.replace("\N{NO-BREAK SPACE}", " ")
    assert "were not recorded, in" in told
    assert "damaged" in told


def test_the_same_recording_gives_the_same_report(recording: Path, tmp_path: Path) -> None:
    """Byte by byte, from another process, with other hashes and another time zone."""
    code = "import sys; from tests.integration.test_report_run import run; sys.exit(run(*sys.argv[1:]))"
    made = []
    for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo")):
        out = tmp_path / f"{seed}.html"
        environment = os.environ | {"PYTHONHASHSEED": seed, "TZ": zone}
        command = [sys.executable, "-c", code, str(recording), "--out", str(out)]
        subprocess.run(command, check=True, env=environment, cwd=Path(__file__).parents[2])
        made.append(out.read_bytes())
    assert made[0] == made[1]


def test_no_thread_is_left(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The recording is closed, and nothing runs on."""
    before = threading.active_count()
    assert run(recording) == 0
    assert threading.active_count() == before
    capsys.readouterr()


def test_a_time_before_the_end(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--from -5m` is a time, by the real command line, and no option."""
    assert main(["report", str(recording), "--from", "-5m", "--to", "-1m"]) == 0
    assert "2026-11-21 14:15:00 to 14:19:00 UTC" in capsys.readouterr().out


def test_a_folder_names_the_file(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a folder, which of its files was read."""
    assert run(recording.parent) == 0
    assert f"| File | night.tgrec, the newest recording in {recording.parent.name}" in (
        capsys.readouterr().out.replace("\\", "")
    )


def raw(recording: Path, folder: Path, tier: str) -> list[tuple[float, float, dict[str, tuple[float, ...]]]]:
    """Of a tier the stretches in which its numbers stayed, and these: (value, lo, hi), from an export."""
    out = folder / "raw.csv"
    assert main(["recording", "export", str(recording), "--format", "csv", "--out", str(out)]) == 0
    with out.open() as file:
        rows = [row for row in csv.DictReader(file) if row["model"] == "aurora" and row["tier"] == tier]
    newest: dict[str, tuple[float, ...]] = {}
    found = []
    times = sorted({float(row["epoch"]) for row in rows})
    for start, end in pairwise([*times, AT + 1200]):
        for row in rows:
            if float(row["epoch"]) == start and row["quality"] == "good":
                newest[row["signal"]] = tuple(float(row[name] or "nan") for name in ("value", "lo", "hi"))
        found.append((start, end, dict(newest)))
    return found


def test_harm_is_what_the_raw_numbers_add_up_to(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Plain arithmetic on the exported numbers gives what the report prints of a tier, figure by figure.

    While the p99 was surely above the promise of 2 s: at least 1, 5 or 50 of 100 that were let in waited
    longer, each by at least as far as the lower bound of its quantile is above it; at most all that came but
    those whose quantile is surely within, each by at most the upper bound of the next quantile, the slowest
    one of 100 left aside.
    """
    promised, above, turned = 2.0, 0.0, 0.0
    least, most, seconds_least, seconds_most = 0.0, 0.0, 0.0, 0.0
    for start, end, now in raw(recording, tmp_path, "pro"):
        came, away = now["arrivals"][0] * (end - start), now["rejected"][0] * (end - start)
        turned += away
        (_, lo50, hi50), (_, lo95, hi95), (_, lo99, hi99) = (now[f"queue_wait_p{p}"] for p in (50, 95, 99))
        if lo99 <= promised:
            continue
        above += end - start
        least += (came - away) * (0.50 if lo50 > promised else 0.05 if lo95 > promised else 0.01)
        most += came * (
            0.01 if hi99 <= promised else 0.05 if hi95 <= promised else 0.5 if hi50 <= promised else 1
        )
        over = [max(bound - promised, 0) for bound in (lo50, lo95, lo99, hi50, hi95, hi99)]
        seconds_least += (came - away) * (0.45 * over[0] + 0.04 * over[1] + 0.01 * over[2])
        seconds_most += came * (0.50 * over[3] + 0.45 * over[4] + 0.04 * over[5])
    assert (above, turned, least, most) == pytest.approx((360, 15_600, 804, 24_000))
    assert (seconds_least, seconds_most) == pytest.approx((2_088, 78_480))
    capsys.readouterr()
    assert run(recording) == 0
    told = capsys.readouterr().out.replace("\N{NO-BREAK SPACE}", " ")
    row = next(one for one in told.splitlines() if one.startswith("| aurora, pro |"))
    assert row == (
        "| aurora, pro | 2 s | 12 s (8 to 16) | 6 min | – | – | 804 to 24 000 | 2 090 to 78 500 | 15 600 |"
    )
    assert "At least 804 and at most 24 000 requests waited longer than promised, by at least 2 090" in told


def test_what_an_operator_took_is_told_from_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a real recording: a throttle that was extended, and tiers that lost a feature for good."""
    cell = replace(CELL, etag="t-7", level=0.3, expires_at=AT + 1800)
    asked = intending.set_throttle(cell, level=0.3)
    longer = replace(asked, arguments={**asked.arguments, "expires_at": "2026-11-21T15:00:00.000Z"})
    frames = [replace(one, throttles=(cell,)) for one in going((0, OPEN), (300, ABORTED), (600, AGAIN))]
    path = written(tmp_path / "taken.tgrec", frames, decided([longer], "launch spike")[0])
    assert run(path) == 0
    told = capsys.readouterr().out.replace("\N{NO-BREAK SPACE}", " ")
    assert (
        "At 14:07:00 alice extended the throttle of images for free (to 15:00:00 instead of 14:30:00, admit"
        " 30% stays): applied; reason given: “launch spike”."
    ) in told
    assert "until cleared" not in told
    assert "| research | pending | before the first | plus 100% → 0%, free 5% → 0% |" in told


def test_a_dash_is_no_file(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--out -` makes no file of that name: it is told how to write to standard output."""
    monkeypatch.chdir(tmp_path)
    assert main(["recording", "export", str(recording), "--format", "csv", "--out", "-"]) == 1
    told = capsys.readouterr()
    assert "leave --out away, and it goes to standard output" in told.err
    assert not told.out
    assert list(tmp_path.iterdir()) == []
