"""The first configuration: what it holds, that it can be read, and how it is written."""

import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from collectors.check.facts import Facts
from collectors.check.findings import findings
from collectors.check.first_config import first_config
from collectors.config import ConfigError, Context, read_settings
from tests.unit.test_check import answer, asked, engine_and_picker, facts
from tui.cli import main
from tui.first_steps import write_config

TEXT = '[contexts.main]\nprometheus = "http://h:9090"\n'


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration, no environment of the developer's own."""
    for name in ("CONFIG", "CONTEXT", "PROMETHEUS", "PLANE"):
        monkeypatch.delenv(f"TIDEGATE_{name}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def read(text: str, tmp_path: Path) -> Context:
    """The context of a configuration, checked as it is when it is used."""
    file = tmp_path / "read.toml"
    file.write_text(text, encoding="utf-8")
    return read_settings(file).context(None)[1]


def of(context: Mapping[str, object]) -> Facts:
    """An engine, a picker and accelerators, in this context."""
    return facts(engine_and_picker(), context=Context.model_validate(context))


def test_it_can_be_read_and_joins_what_was_seen(tmp_path: Path) -> None:
    """Sources, tiers by number, aliases: with it the same answers are one model."""
    context = read(first_config(of({"prometheus": "http://prom:9090/prefix"})), tmp_path)
    assert context.prometheus[0].url == "http://prom:9090/prefix"
    assert context.tiers == ("100", "0", "-10")
    assert findings(facts(engine_and_picker(), context=context)).models == ("llama-3.3-70b-instruct",)


def test_its_comments_are_settings_too(tmp_path: Path) -> None:
    """Names of priorities and promises: taken out of their comments, with tiers renamed, they are read."""
    text = first_config(of({"prometheus": "http://prom:9090"}))
    text = text.replace('tiers = ["100", "0", "-10"]', 'tiers = ["pro", "plus", "team"]')
    for line in ('# "100" = "pro"', '# "0" = "plus"', '# "-10" = "team"'):
        assert line in text
        text = text.replace(line, line[2:])
    text = text.replace("# 100 = 2.0", "pro = 2.0")
    context = read(text, tmp_path)
    assert context.identity.priority == {"100": "pro", "0": "plus", "-10": "team"}
    assert context.objectives.of("") == {"pro": 2.0}


def test_several_clusters_pages_and_the_rest(tmp_path: Path) -> None:
    """Every kind of source is written as it was given; a token only by reference."""
    given = {
        "prometheus": [
            {"url": "http://eu:9090", "cluster": "eu", "token": {"env": "PROM_TOKEN"}},
            {"url": "http://us:9090", "cluster": "us", "token": {"file": "/etc/tok en"}},
        ],
        "scrape": ["http://engine:8000/metrics"],
        "alertmanager": ["http://am-1:9093", "http://am-2:9093"],
        "plane": "http://plane:9911",
        "nvml": True,
    }
    wanted = Context.model_validate(given)
    context = read(first_config(of(given)), tmp_path)
    for field in ("prometheus", "scrape", "alertmanager", "plane", "nvml"):
        assert getattr(context, field) == getattr(wanted, field), field


def test_what_may_be_a_secret_is_not_written(tmp_path: Path) -> None:
    """A page's query may hold a token: its owner writes it."""
    given = {"prometheus": "http://p:9090", "scrape": ["http://h/metrics?token=hunter2"]}
    text = first_config(of(given))
    assert "hunter2" not in text
    assert read(text, tmp_path).scrape == ()


def test_without_tiers_an_example_shows_how(tmp_path: Path) -> None:
    """Nothing is named that was not seen; the examples are comments."""
    one = asked([answer("vllm", "running", ({"model_name": "m"}, 1.0))])
    text = first_config(facts(one, context=Context.model_validate({"prometheus": "http://p:9090"})))
    context = read(text, tmp_path)
    assert context.tiers == ()
    assert '# tiers = ["pro"' in text
    assert context.identity.aliases == {}


def test_hostile_names_make_no_settings(tmp_path: Path) -> None:
    """A pod that is called like TOML stays a name."""
    evil = 'x"\n[contexts.evil]\nplane = "http://evil"\n#'
    rows = asked(
        [
            answer("vllm", "running", ({"model_name": 'm"]\nproduction = true'}, 1.0)),
            answer("dcgm", "accelerators", ({"exported_workload": evil}, 8.0)),
        ]
    )
    text = first_config(facts(rows, context=Context.model_validate({"prometheus": "http://p:9090"})))
    settings = tomllib.loads(text)
    assert set(settings["contexts"]) == {"prod"}
    assert "production" not in settings["contexts"]["prod"]
    assert "plane" not in settings["contexts"]["prod"]


def test_it_is_written_for_its_owner_alone(tmp_path: Path) -> None:
    """Mode 600, in a folder that is made, with nothing left beside it."""
    file = tmp_path / "new" / "config.toml"
    write_config(file, TEXT, overwrite=False)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_a_file_that_is_there_is_not_touched(tmp_path: Path) -> None:
    """Not even one that came after it was looked for; --yes replaces it whole."""
    file = tmp_path / "config.toml"
    file.write_text("# mine\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="was not changed"):
        write_config(file, TEXT, overwrite=False)
    assert file.read_text(encoding="utf-8") == "# mine\n"
    write_config(file, TEXT, overwrite=True)
    assert file.read_text(encoding="utf-8") == TEXT
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """It counts as a file that is there; --yes writes what it leads to, as where files are kept together."""
    kept, file = tmp_path / "dotfiles" / "tidegate.toml", tmp_path / "config.toml"
    kept.parent.mkdir()
    kept.write_text("# mine\n", encoding="utf-8")
    file.symlink_to(kept)
    with pytest.raises(ConfigError, match="was not changed"):
        write_config(file, TEXT, overwrite=False)
    assert kept.read_text(encoding="utf-8") == "# mine\n"
    write_config(file, TEXT, overwrite=True)
    assert file.is_symlink()
    assert kept.read_text(encoding="utf-8") == TEXT
    assert list(kept.parent.iterdir()) == [kept]


@pytest.mark.parametrize("kind", ["pipe", "folder", "link to a pipe", "ring"])
@pytest.mark.parametrize("overwrite", [True, False])
def test_what_is_no_regular_file_is_never_replaced(kind: str, overwrite: bool, tmp_path: Path) -> None:
    """Not with --yes either: a pipe, a device or a folder is somebody else's."""
    file, pipe = tmp_path / "config.toml", tmp_path / "pipe"
    if kind == "ring":
        file.symlink_to(file)
    elif kind == "folder":
        file.mkdir()
    else:
        os.mkfifo(pipe)
        file.symlink_to(pipe) if kind == "link to a pipe" else os.mkfifo(file)
    before = {one: one.lstat() for one in tmp_path.iterdir()}
    with pytest.raises(ConfigError, match=r"is no regular file, and was not changed|links lead nowhere"):
        write_config(file, TEXT, overwrite=overwrite)
    assert {one: one.lstat() for one in tmp_path.iterdir()} == before


def test_a_pipe_is_refused_before_anyone_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2; a name that holds an escape sequence is printed without it."""
    file = tmp_path / "con\x1b[2Jfig.toml"
    os.mkfifo(file)
    assert main(["init", "--yes", "--output", str(file), "--prometheus", "http://127.0.0.1:9"]) == 2
    said = capsys.readouterr().err
    assert "is no regular file" in said
    assert "\x1b" not in said
    assert stat.S_ISFIFO(file.stat().st_mode)


def test_what_could_not_be_read_is_not_written(tmp_path: Path) -> None:
    """A fault of ours leaves no file that stops the next start."""
    with pytest.raises(ConfigError):
        write_config(tmp_path / "config.toml", "[contexts.main]\nno_such_key = 1\n", overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    """A file where the folder should be: which, and why."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be written to"):
        write_config(tmp_path / "file" / "config.toml", TEXT, overwrite=False)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["init"], "give --prometheus URL"),
        (["init", "--prometheus", "localhost:9090"], "--prometheus: must be a URL"),
        (["init", "--prometheus", "http://a", "--prometheus", "http://b"], "several servers need names"),
    ],
)
def test_a_mistake_is_one_sentence(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, what to give, and nothing written."""
    assert main(arguments) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "config").exists()
