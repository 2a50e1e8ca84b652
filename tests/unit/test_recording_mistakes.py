"""Command lines of the recording commands that cannot be carried out: each ends in one sentence."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.recording_commands import AT, frame, recorded, run

Capsys = pytest.CaptureFixture[str]

READERS = (
    ("recording", "info", "{file}"),
    ("recording", "verify", "{file}"),
    ("recording", "trim", "{file}", "--out", "{out}"),
    ("recording", "merge", "{file}", "{minute}", "--out", "{out}"),
    ("recording", "merge", "{minute}", "{file}", "--out", "{out}"),
    ("recording", "export", "{file}", "--format", "csv"),
    ("report", "{file}"),
    ("replay", "{file}"),
)
"""Every command that reads a recording."""

WRITERS = (
    ("recording", "trim", "{minute}", "--out", "{out}"),
    ("recording", "merge", "{minute}", "{other}", "--out", "{out}"),
    ("recording", "export", "{minute}", "--format", "csv", "--out", "{out}"),
    ("recording", "export", "{minute}", "--format", "sqlite", "--out", "{out}"),
    ("report", "{minute}", "--out", "{out}"),
    ("report", "{minute}", "--format", "html", "--out", "{out}"),
)
"""Every command that writes a file from one."""


def name_of(command: tuple[str, ...]) -> str:
    return " ".join(word for word in command if word.isalpha())


def filled(command: tuple[str, ...], **places: Path) -> list[str]:
    return [word.format_map({name: str(place) for name, place in places.items()}) for word in command]


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The developer's own configuration and recordings stay out."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("TIDEGATE_CONFIG", raising=False)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What another operator recorded at the same time."""
    folder = tmp_path_factory.mktemp("other")
    return recorded(folder / "other.tgrec", [frame(AT + n, n) for n in range(20)], host="there")


def one_sentence(capsys: Capsys) -> str:
    """What was said: one line on standard error, nothing on standard output."""
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("tidegate: ") and err.count("\n") == 1
    return err


def letter(file: Path) -> None:
    file.write_text("dear all, " * 20)


def no_permission(file: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("nothing is forbidden to root")
    file.write_bytes(b"")
    file.chmod(0)


@pytest.mark.parametrize("command", READERS, ids=name_of)
@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(lambda file: None, "No such file", id="missing"),
        pytest.param(Path.mkdir, "holds no recording", id="empty folder"),
        pytest.param(lambda file: file.symlink_to("/dev/zero"), "is no regular file", id="device"),
        pytest.param(os.mkfifo, "is no regular file", id="FIFO"),
        pytest.param(letter, "is no recording of tidegate", id="letter"),
        pytest.param(Path.touch, "is no recording of tidegate", id="empty file"),
        pytest.param(lambda file: file.symlink_to(file), "Too many levels", id="link to itself"),
        pytest.param(no_permission, "Permission denied", id="unreadable"),
    ],
)
def test_what_is_no_recording_is_refused(
    command: tuple[str, ...],
    make: Callable[[Path], None],
    said: str,
    minute: Path,
    tmp_path: Path,
    capsys: Capsys,
) -> None:
    """Exit status 1, a sentence that names it, and nothing is written; nothing waits for a FIFO."""
    file, out = tmp_path / "night.tgrec", tmp_path / "out"
    make(file)
    assert run(*filled(command, file=file, minute=minute, out=out)) == 1
    told = one_sentence(capsys)
    assert said in told and str(file) in told
    assert not out.exists()


@pytest.mark.parametrize("command", READERS, ids=name_of)
def test_a_name_that_no_file_can_have_is_refused(
    command: tuple[str, ...], minute: Path, tmp_path: Path, capsys: Capsys
) -> None:
    """Longer than the system takes: it says so itself, wherever it is asked first."""
    file = tmp_path / ("x" * 300)
    assert run(*filled(command, file=file, minute=minute, out=tmp_path / "out")) == 1
    assert "name too long" in one_sentence(capsys)


@pytest.mark.parametrize("command", WRITERS, ids=name_of)
@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("there", "is there, and was not changed"),
        ("none/out", "No such file"),
        ("there/out", "Not a directory"),
        ("folder", "is no regular file"),
        ("fifo", "is no regular file"),
        ("link", "is no regular file"),
        ("x" * 300, "name too long"),
    ],
    ids=lambda text: text[:12],
)
def test_a_place_that_cannot_be_written_is_refused(
    command: tuple[str, ...], place: str, said: str, minute: Path, other: Path, tmp_path: Path, capsys: Capsys
) -> None:
    """Exit status 2 for a name that is taken, 1 for what the system refuses, and a sentence; what was there
    is as it was, and no draft is left behind."""
    (tmp_path / "there").write_text("precious")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    before = sorted(tmp_path.iterdir())
    status = 2 if place in {"there", "folder", "fifo", "link"} else 1
    assert run(*filled(command, minute=minute, other=other, out=tmp_path / place)) == status
    assert said in one_sentence(capsys)
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "there").read_text() == "precious"


@pytest.mark.parametrize(
    "text", ["teatime", "25:61", "", "nan", "inf", "1e999", "9" * 20, "\x1b[31m", "-5 parsecs"], ids=repr
)
def test_what_is_no_time_is_refused(text: str, minute: Path, tmp_path: Path, capsys: Capsys) -> None:
    """Exit status 2, for each option that takes a time, and nothing that a terminal obeys in the sentence."""
    out = str(tmp_path / "out")
    for words in (
        ("replay", str(minute), f"--at={text}"),
        ("report", str(minute), f"--to={text}", "--out", out),
        ("recording", "trim", str(minute), f"--from={text}", "--out", out),
        ("recording", "export", str(minute), "--format", "csv", f"--to={text}", "--out", out),
    ):
        assert run(*words) == 2
        told = one_sentence(capsys)
        assert "is no time" in told and told.rstrip("\n").isprintable()
    assert not Path(out).exists()


def test_options_that_no_command_takes_are_refused(minute: Path, tmp_path: Path, capsys: Capsys) -> None:
    """Exit status 2 and the choices there are; a key that is none is a file that cannot be read: 1."""
    assert run("recording", "export", minute, "--format", "xml") == 2
    assert "'openmetrics'" in capsys.readouterr().err
    assert run("report", minute, "--format", "pdf") == 2
    assert "'html'" in capsys.readouterr().err
    assert run("recording", "trim", minute) == 2
    assert "--out" in capsys.readouterr().err
    key = tmp_path / "operator.pub"
    assert run("recording", "verify", minute, "--key", key) == 1
    assert "cannot be read" in one_sentence(capsys)
    letter(key)
    assert run("recording", "verify", minute, "--key", key) == 1
    assert "no public Ed25519 key" in one_sentence(capsys)


def test_a_stream_that_is_closed_or_full_is_told(
    minute: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closed before it started, with exit status 1; without a standard error nobody can be told."""
    for words in (("info", minute), ("verify", minute), ("export", minute, "--format", "csv")):
        with monkeypatch.context() as closed:
            closed.setattr("sys.stdout", None)
            assert run("recording", *words) == 1
        assert "standard output is closed" in one_sentence(capsys)
    with monkeypatch.context() as closed:
        closed.setattr("sys.stderr", None)
        assert run("recording", "info", minute.parent / "none.tgrec") == 1
    assert not capsys.readouterr().out
