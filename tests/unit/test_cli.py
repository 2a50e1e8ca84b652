"""What the command line refuses, and the sentence it refuses with."""

import json
import re
import sys
from pathlib import Path

import pytest

from collectors import live
from collectors.check import run
from collectors.config import ConfigError, Context, read_settings
from collectors.control.interface import PlaneError
from collectors.fleet import Source
from collectors.live import known_presets
from collectors.prometheus.live import PrometheusPoller
from collectors.signals.catalogue import window_s
from collectors.signals.recording import mark
from tui.cli import main
from tui.commands import _glyphs
from tui.headless import run_headless


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration, no environment of the developer's own."""
    for name in ("CONFIG", "CONTEXT", "PROMETHEUS", "PLANE", "TOKEN", "THEME"):
        monkeypatch.delenv(f"TIDEGATE_{name}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_alone_it_says_how_to_start(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing configured: the three ways to start, and where the configuration would lie."""
    assert main([]) == 2
    said = capsys.readouterr().out
    for command in ("demo", "watch", "check", "init"):
        assert f"tidegate {command}" in said
    assert "config.toml" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["watch", "--prometheus", "localhost:9090"], "must be a URL"),
        (["watch", "--prometheus", "http://u:hunter2@h"], "must not hold a user name or password"),
        (["watch", "--prometheus", "hunter2"], "must be a URL"),
        (["watch", "--plane", "ftp://h/?token=hunter2"], "--plane"),
        (["watch", "--context", "prod"], "no context 'prod'"),
        (["watch"], "nothing to watch"),
        (["watch", "--config", "/no/such/file.toml"], "cannot be read"),
        (["snapshot", "--scrape", "ftp://h"], "must be a URL"),
        (["watch", "--alertmanager", "am:9093", "--prometheus", "http://p"], "--alertmanager: must be a URL"),
        (["watch", "--prometheus", "http://a", "--prometheus", "http://b"], "several servers need names"),
        (
            ["watch", "--prometheus", "a=http://a", "--prometheus", "a=http://b"],
            "--prometheus: several servers",
        ),
        (["watch", "--prometheus", "eu=hunter2"], "--prometheus: must be a URL"),
        (["check"], "nothing to watch"),
        (["check", "--context", "prod"], "no context 'prod'"),
        (["rules"], "give --prometheus URL"),
        (["rules", "--scrape", "http://h/metrics"], "give --prometheus URL"),
        (["demo", "--scenario", "melting"], "did you mean 'melting-gpus'?"),
        (["demo", "--scenario", "none.toml"], "no scenario file"),
        (["demo"], "needs a terminal"),
    ],
)
def test_a_mistake_is_one_sentence(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, the sentence on standard error, and no password in it."""
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert says in said
    assert "hunter2" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["demo", "--speed", "0"],
        ["demo", "--seed", "-1"],
        ["fly"],
        ["check", "--format", "xml"],
        ["rules", "--all", "--interval", "0"],
        ["init", "--token-env", "A", "--token-file", "b"],
    ],
)
def test_a_wrong_value_shows_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The parser's own refusals end with status 2 as well."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["wach"], "did you mean watch?"),
        (["watch", "--promtheus", "http://h"], "did you mean --prometheus?"),
        (["watch", "--promtheus=http://h"], "did you mean --prometheus?"),
        (["check", "--explan", "m"], "did you mean --explain?"),
        (["plane", "serv"], "did you mean serve?"),
        (["check", "--format", "jsn"], "did you mean json?"),
        (["--vresion"], "did you mean --version?"),
    ],
)
def test_what_was_meant_is_said(arguments: list[str], meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A command, option or choice that there is not: the nearest one that there is."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.rstrip().endswith(meant)


@pytest.mark.parametrize("arguments", [["zzz"], ["watch", "--zzz"], ["keys", "zzz"], ["demo", "--seed", "x"]])
def test_nothing_is_guessed_where_nothing_is_near(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A word that is like no other gets no suggestion."""
    with pytest.raises(SystemExit):
        main(arguments)
    assert "did you mean" not in capsys.readouterr().err


def test_keys_lists_every_action(capsys: pytest.CaptureFixture[str]) -> None:
    """What is bound, to what, and what is not in this version."""
    assert main(["keys"]) == 0
    said = capsys.readouterr().out
    assert "throttle.edit" in said
    assert "keymap.toml" in said


def test_a_keymap_with_a_mistake_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """File, key and a near name."""
    folder = tmp_path / "tidegate"
    folder.mkdir()
    (folder / "keymap.toml").write_text('[keys]\nx = "freze"\n')
    assert main(["keys"]) == 2
    assert "freeze" in capsys.readouterr().err


def test_completion_knows_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """The script is made from the parser, so it cannot fall behind."""
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    for word in ("snapshot", "check", "init", "rules", "--explain", "--alertmanager"):
        assert word in script


def test_help_lists_every_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the summary that its own help begins with, though its options are not made yet."""
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = re.findall(r"^    (\S+) +(\S.*)$", capsys.readouterr().out, re.MULTILINE)
    assert {"demo", "record", "recording", "report", "throttle", "plane"} <= {name for name, _ in listed}
    for name, summary in listed:
        with pytest.raises(SystemExit):
            main([name, "--help"])
        assert f"\n{summary[0].upper()}{summary[1:]}.\n" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["watch", "snapshot", "check", "init", "rules", "keys"])
def test_help_teaches_by_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What it does, and lines that can be typed as they stand."""
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    assert f"  tidegate {command}" in said.split("examples:")[1]


def test_options_make_a_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clusters by name, pages beside them, an Alertmanager, this machine's accelerators."""
    seen: list[Context] = []

    def opened(context: Context) -> tuple[()]:
        seen.append(context)
        raise ConfigError("that will do")

    monkeypatch.setattr(run, "opened", opened)
    options = ["--prometheus", "eu=http://eu:9090/", "--prometheus", "us=http://us:9090", "--nvml"]
    assert main(["check", *options, "--alertmanager", "http://am:9093", "--scrape", "http://e/metrics"]) == 2
    assert [(one.cluster, one.url) for one in seen[0].prometheus] == [
        ("eu", "http://eu:9090"),
        ("us", "http://us:9090"),
    ]
    assert (seen[0].nvml, seen[0].alertmanager[0].url) == (True, "http://am:9093")
    assert seen[0].scrape[0].url == "http://e/metrics"


def test_rules_for_all_ask_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    """Every stack, at the interval that was given."""
    assert main(["rules", "--all", "--interval", "30"]) == 0
    said = capsys.readouterr().out
    assert '"tidegate-vllm"' in said
    assert "interval: 30s" in said


def test_a_check_of_nobody_fails_with_findings(capsys: pytest.CaptureFixture[str]) -> None:
    """A page that is not there: status 1, its sentence on the page; as data too."""
    nobody = ["--scrape", "http://127.0.0.1:9/metrics", "--within", "4"]
    assert main(["check", *nobody]) == 1
    assert "127.0.0.1:9" in capsys.readouterr().out
    assert main(["check", "--format", "json", *nobody]) == 1
    assert json.loads(capsys.readouterr().out)["sources"][0]["state"] == "lost"


def test_a_snapshot_of_nobody_fails_with_a_frame(capsys: pytest.CaptureFixture[str]) -> None:
    """A server that is not there: status 1, its sentence, and still valid JSON that says so."""
    assert main(["snapshot", "--scrape", "http://127.0.0.1:9/metrics", "--within", "4"]) == 1
    told = capsys.readouterr()
    frame = json.loads(told.out)
    assert frame["sources"][0]["state"] == "lost"
    assert "127.0.0.1:9" in told.err


REFUSALS = (PlaneError("no token for the plane"), ConfigError("a bad file"), ValueError("a bad header"))


@pytest.mark.parametrize("error", [*REFUSALS, FileNotFoundError(2, "No such file", "ca.pem")], ids=repr)
def test_a_source_that_cannot_be_built_is_a_sentence(
    error: Exception, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 2 and what it said, from a snapshot and from the line a second alike."""

    def fail(*_: object) -> Source:
        raise error

    monkeypatch.setattr(live, "live_source", fail)
    assert main(["snapshot", "--scrape", "http://127.0.0.1:9/metrics"]) == 2
    assert run_headless(fail, 1) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert said[0] == said[1]
    assert str(error) in said[0]


def test_a_fault_of_our_own_is_not_blamed_on_the_settings() -> None:
    """Only errors that were written to be read, or that values and files cause, become a sentence."""

    def fail() -> Source:
        raise KeyError("x")

    with pytest.raises(KeyError):
        run_headless(fail, 1)


def test_closed_streams_are_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python has None for a stream that was closed before it started."""
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["demo"]) == 2
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["keys"]) == 1
    said = capsys.readouterr().err
    assert "needs a terminal" in said
    assert "standard output is closed" in said


@pytest.mark.parametrize(
    ("set_to", "expected"),
    [
        ({}, "unicode"),
        ({"LC_ALL": "C"}, "ascii"),
        ({"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, "ascii"),
        ({"LC_ALL": "C.UTF-8"}, "unicode"),
        ({"LC_ALL": "", "LC_CTYPE": "UTF-8"}, "unicode"),
        ({"LANG": "en_US.utf8"}, "unicode"),
        ({"LANG": "en_US.ISO-8859-1"}, "ascii"),
        ({"LANG": "de_DE"}, "ascii"),
        ({"TERM": "linux"}, "ascii"),
        ({"LC_ALL": "C.UTF-8", "TERM": "dumb"}, "ascii"),
    ],
    ids=str,
)
def test_the_locale_decides_the_glyphs(
    set_to: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it was set: Python answers UTF-8 under the C locale too. An option wins over it."""
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"TERM": "xterm"} | set_to).items():
        monkeypatch.setenv(name, value)
    assert _glyphs(None) == expected
    assert _glyphs("ascii") == "ascii"
    assert _glyphs("unicode") == "unicode"


def test_rules_bear_the_marks_that_the_poller_looks_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Labels of identity rules and of clusters are in the printed rules: else none would ever be used."""
    file = tmp_path / "c.toml"
    file.write_text(
        '[contexts.a]\nprometheus = { url = "http://h:1", cluster_label = "cluster" }\n'
        '[[contexts.a.identity.tiers]]\nlabel = "team"\nregex = ".*"\ntier = "x"\n'
    )
    assert main(["rules", "--all", "--config", str(file), "--interval", "15"]) == 0
    printed = capsys.readouterr().out
    context = read_settings(file).contexts["a"]
    asked = PrometheusPoller(context.prometheus[0], presets=known_presets(context))
    vllm = next(p for p in asked._presets if p.stack == "vllm")
    waits = next(d for d in vllm.definitions if d.signal == "queue_wait")
    assert {"team", "cluster"} <= set(waits.keep)
    assert mark(waits, window_s(15)) in printed


CLUSTERS = """
[contexts.a]
prometheus = [
  { cluster = "eu", url = "http://eu:1" },
  { cluster = "us", url = "http://us:1", cluster_label = "place" },
]
[[contexts.a.identity.tiers]]
label = "team_alias"
regex = "(.+)"
tier = "$1"
"""


def test_rules_of_one_cluster_have_the_labels_of_the_context(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its name: what its poller keeps is in the rules, and nothing that only another one's keeps."""
    file = tmp_path / "c.toml"
    file.write_text(CLUSTERS, encoding="utf-8")
    context = read_settings(file).contexts["a"]
    for server in context.prometheus:
        assert main(["rules", "--all", "--config", str(file), "--cluster", server.cluster]) == 0
        printed = capsys.readouterr().out
        asked = PrometheusPoller(server, presets=known_presets(context))
        vllm = next(p for p in asked._presets if p.stack == "vllm")
        waits = next(d for d in vllm.definitions if d.signal == "queue_wait")
        assert "team_alias" in waits.keep
        assert mark(waits, window_s(15)) in printed


def test_rules_of_several_clusters_need_a_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error names the way that works: a URL alone would lose the labels of the context."""
    file = tmp_path / "c.toml"
    file.write_text(CLUSTERS, encoding="utf-8")
    assert main(["rules", "--config", str(file)]) == 2
    said = capsys.readouterr().err
    assert "one for each of eu, us: name one with --cluster NAME" in said
    assert main(["rules", "--config", str(file), "--cluster", "ap"]) == 2
    assert "no Prometheus of cluster 'ap'; there are: eu, us" in capsys.readouterr().err


def test_rules_for_a_url_that_a_context_has_say_whose_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A URL alone has no labels: that these rules do not fit the context is said beside them."""
    (tmp_path / "tidegate").mkdir()
    text = CLUSTERS.replace("http://us:1", "http://127.0.0.1:9")
    (tmp_path / "tidegate" / "config.toml").write_text(text, encoding="utf-8")
    assert main(["rules", "--prometheus", "http://127.0.0.1:9", "--within", "2"]) == 1
    assert "for context a: tidegate rules --context a --cluster us" in capsys.readouterr().err


def test_a_preset_that_cannot_be_read_is_placed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """File, line and key that name it, as for any other mistake, and why."""
    file = tmp_path / "c.toml"
    file.write_text('[contexts.a]\nprometheus = "http://h:1"\npresets = ["none.toml"]\n', encoding="utf-8")
    for command in (["check"], ["rules", "--all"], ["watch"]):
        assert main([*command, "--config", str(file)]) == 2
        said = capsys.readouterr().err
        assert f"{file}:3: contexts.a.presets: {tmp_path / 'none.toml'} cannot be read: No such file" in said
