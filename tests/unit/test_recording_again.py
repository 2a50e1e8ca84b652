"""Recording into a file that is there: one that was closed is left as it is, unless that is asked for."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from collectors.fleet import Frame
from collectors.reconstruct.run import Reconstruction
from collectors.recording import succession
from collectors.recording.info import info
from collectors.recording.layout import TakenError
from collectors.recording.succession import own_facts
from collectors.recording.verify import verify
from tests.recording_commands import AT, a_minute, frame, recorded, run
from tests.recording_parts import changing, recording
from tui.kept import Keeping, SessionRecorder, going_on

Capsys = pytest.CaptureFixture[str]
PROMETHEUS = ("--prometheus", "http://127.0.0.1:9")


class Script:
    """Three frames of a simulated fleet, whose clock begins anew with each."""

    operator = None

    async def frames(self) -> AsyncIterator[Frame]:
        for n in range(3):
            yield replace(frame(AT + n, n), simulated=True, context="demo")

    async def aclose(self) -> None:
        """Nothing is open."""


async def kept(recorder: SessionRecorder) -> None:
    """A whole run of the script."""
    source = recorder.around(Script)()
    async for _ in source.frames():
        pass
    await source.aclose()


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """Three frames of the demo, closed."""
    frames = [replace(frame(AT + n, n), simulated=True) for n in range(3)]
    return recorded(tmp_path / "try.tgrec", frames, context="demo", simulated=True)


def refusal(file: Path) -> str:
    return f"{file} is there and was closed: give another name, or --append to go on in it"


@pytest.mark.parametrize(
    "words",
    [
        ("demo", "--record"),
        ("demo", "--headless", "--record"),
        ("record", *PROMETHEUS, "--for", "1s", "--out"),
    ],
    ids=" ".join,
)
def test_a_file_that_was_closed_is_refused(words: tuple[str, ...], closed: Path, capsys: Capsys) -> None:
    """Exit status 2, one sentence, before a screen or a fleet; nothing of the file is changed."""
    before, mode = closed.read_bytes(), 0o640
    closed.chmod(mode)
    assert run(*words, closed) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"tidegate: {refusal(closed)}.\n")
    assert closed.read_bytes() == before and closed.stat().st_mode & 0o777 == mode


async def test_it_is_refused_by_whoever_opens_it(closed: Path) -> None:
    """Also where it was closed only after it was looked at."""
    recorder = SessionRecorder(Keeping("demo", simulated=True, file=closed))
    with pytest.raises(TakenError, match="or --append to go on in it"):
        await kept(recorder)
    assert info(closed).frames == 3


async def test_with_append_it_goes_on(closed: Path) -> None:
    """Says what it held; and `info` tells of both runs, whose times lie over one another."""
    keeping = Keeping("demo", simulated=True, file=closed, append=True)
    assert going_on(keeping) == f"goes on in {closed}, which held 3 frames until 2026-11-21 14:00:02Z"
    await kept(SessionRecorder(keeping))
    found = info(closed)
    assert found.frames == 6 and found.is_closed and verify(closed).is_sound
    run_times = "2026-11-21 14:00:00Z to 2026-11-21 14:00:02Z"
    told = f"it holds 2 runs, and the clock goes back between them: {run_times}; {run_times}"
    assert told in found.notices


async def test_what_was_not_closed_goes_on_by_itself(closed: Path) -> None:
    """Its recorder was killed: before the footer, or while it wrote the first record behind one."""
    keeping = Keeping("demo", simulated=True, file=closed)
    whole = closed.read_bytes()
    for data in (whole[:-40], whole + whole[-100:-60]):
        closed.write_bytes(data)
        assert going_on(keeping).startswith(
            f"goes on in {closed}, which was not closed and held 3 frames until "
        )
        assert closed.read_bytes() == data
        await kept(SessionRecorder(keeping))
        assert info(closed).frames == 6 and verify(closed).is_sound


def test_of_a_new_file_nothing_is_said(tmp_path: Path) -> None:
    """Nor of an empty one, a folder, or what is no recording: what is wrong is said when it is opened."""
    (tmp_path / "empty").touch()
    (tmp_path / "letter").write_text("dear all, " * 20)
    for name in ("new", "empty", "letter", "", "x" * 300):
        assert going_on(Keeping("demo", simulated=True, file=tmp_path / name)) == ""


def test_a_file_that_is_written_now_is_refused_before_the_screen(tmp_path: Path, capsys: Capsys) -> None:
    """Nobody goes on in it while another does."""
    path = tmp_path / "night.tgrec"
    with recording(path) as one:
        for each in changing(3):
            one.put(each)
        one.flush()
        assert run("demo", "--record", path) == 2
    assert capsys.readouterr().err == f"tidegate: another process records into {path}: choose another name.\n"


async def test_a_session_that_connects_anew_goes_on_in_its_own_file(tmp_path: Path) -> None:
    """It has closed it itself."""
    recorder = SessionRecorder(Keeping("demo", simulated=True, file=tmp_path / "try.tgrec"))
    await kept(recorder)
    await kept(recorder)
    assert info(tmp_path / "try.tgrec").frames == 6


@pytest.mark.parametrize(
    ("words", "option"), [(("demo",), "--record"), (("record", *PROMETHEUS, "--for", "1s"), "--out")]
)
def test_append_needs_a_file(words: tuple[str, ...], option: str, capsys: Capsys) -> None:
    """There is nothing to go on in."""
    assert run(*words, "--append") == 2
    assert f"give {option} FILE as well" in capsys.readouterr().err


def test_one_run_after_another_is_no_matter(tmp_path: Path) -> None:
    """Two runs of a clock that goes on; and one whose own clock was set back is one run."""
    file = tmp_path / "night.tgrec"
    for start in (AT, AT + 60):
        recorded(file, [frame(start + n, n) for n in range(3)])
    assert info(file).notices == () and info(file).frames == 6
    back = recorded(tmp_path / "back.tgrec", [frame(AT + n, abs(n)) for n in (0, 1, -30, -29)])
    assert info(back).notices == () and (info(back).start, info(back).end) == (AT - 30, AT + 1)


def test_info_says_what_it_counts(tmp_path: Path, capsys: Capsys) -> None:
    """Records that tell of the recording itself are no events of the fleet."""
    assert run("recording", "info", a_minute(tmp_path / "minute.tgrec")) == 0
    said = capsys.readouterr().out
    assert "told       1 event of the fleet, 1 action, 1 mark\n" in said
    assert "state      closed; not signed\n" in said


def test_no_header_stands_before_a_mistake(tmp_path: Path, capsys: Capsys) -> None:
    """A model that there is not is told before the first line; also beside one that there is."""
    file = a_minute(tmp_path / "minute.tgrec")
    for form in ("csv", "jsonl", "openmetrics"):
        for models in (("--model", "nosuch"), ("--model", "llama", "--model", "nosuch")):
            assert run("recording", "export", file, "--format", form, *models) == 2
            out, err = capsys.readouterr()
            assert out == "" and "no model 'nosuch'; there are: llama" in err


def test_ctrl_c_ends_a_reconstruction_with_its_own_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    """130, as of every command; what there is to do is said."""

    async def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Reconstruction, "run", stopped)
    span = ("--from", "2h ago", "--to", "1h ago")
    assert run("reconstruct", *PROMETHEUS, *span, "--out", tmp_path / "past.tgrec") == 130
    assert "stopped. Run it again with the same arguments: it goes on" in capsys.readouterr().err


def test_without_a_recording_a_replay_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    """The demo alone keeps none; nor is there one where the ring let the last one go."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for _ in range(2):
        assert run("replay") == 2
        assert "make one: tidegate demo --record FILE\n" in capsys.readouterr().err
        (tmp_path / "tidegate" / "recordings").mkdir(parents=True, exist_ok=True)


def test_the_head_of_a_file_tells_the_time_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its IANA name, as the process was told or as the machine has it; else what the system calls it."""
    link = tmp_path / "localtime"
    monkeypatch.setattr(succession, "_LOCALTIME", link)
    monkeypatch.setenv("TZ", ":Asia/Tokyo")
    assert own_facts()["zone"] == "Asia/Tokyo"
    monkeypatch.delenv("TZ")
    assert own_facts()["zone"] == time.tzname[0]
    link.symlink_to("/usr/share/zoneinfo/Europe/Berlin")
    assert own_facts()["zone"] == "Europe/Berlin"
