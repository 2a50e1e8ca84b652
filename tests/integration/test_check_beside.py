"""What `tidegate check` asks beside its polls, of real servers: rules, targets, labels, and mistaken URLs."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from collectors.signals.recording import HEARTBEAT
from tests.integration.conftest import (
    Page,
    StartConfigured,
    StartPrometheus,
    asked,
    sample,
    scrape_config,
    served,
    until,
)
from tests.integration.replayer import replayed
from tests.integration.scripted_prometheus import Reply, Scripted, vector
from tests.integration.test_alertmanager import Manager, manager  # noqa: F401  # a fixture
from tui.cli import main

pytestmark = pytest.mark.slow

Capsys = pytest.CaptureFixture[str]
TEAMS = '[[contexts.prod.identity.tiers]]\nlabel = "team_alias"\nregex = "(.+)"\ntier = "$1"\n'


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration, environment or proxy of the developer's own."""
    for name in ("CONFIG", "CONTEXT", "PROMETHEUS", "PLANE", "TOKEN", "THEME"):
        monkeypatch.delenv(f"TIDEGATE_{name}", raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def source_of(capsys: Capsys, *arguments: str, status: int = 0) -> dict[str, Any]:
    """The line of the first source of a check."""
    assert main(["check", "--format", "json", *arguments]) == status
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    line: dict[str, Any] = found["sources"][0]
    return line


def written(file: Path, servers: Mapping[str, str], more: str = "") -> list[str]:
    """Options for a context with these clusters and rules of identity."""
    listed = ", ".join(f'{{ cluster = "{n}", url = "{u}", alerts = false }}' for n, u in servers.items())
    file.write_text(f"[contexts.prod]\nprometheus = [{listed}]\n{more}", encoding="utf-8")
    return ["--config", str(file)]


def test_printed_rules_are_used_until_labels_change(
    start_configured: StartConfigured, tmp_path: Path, capsys: Capsys
) -> None:
    """Rules of one cluster, as the command prints them, are in use; with another rule of identity few fit,
    and the check says what prints those that do."""
    options = written(tmp_path / "a.toml", {"eu": "http://eu:1", "us": "http://us:1"}, TEAMS)
    assert main(["rules", "--all", "--interval", "1", "--cluster", "us", *options]) == 0
    rules = tmp_path / "rules.yml"
    rules.write_text(capsys.readouterr().out, encoding="utf-8")
    with scraped([Page("dcgm", replayed(sample("dcgm-exporter")))], tmp_path, rules) as config:
        url = start_configured(config).url
        until(lambda: bool(asked(url, f'{HEARTBEAT}{{stack="dcgm"}}')), "an evaluation")
        until(lambda: bool(asked(url, "tidegate:dcgm:accelerators")), "a record")
        options = written(tmp_path / "b.toml", {"us": url}, TEAMS)
        found = source_of(capsys, *options)
        in_use, could = found["rules"]
        assert in_use == could > 1
        assert found["misfits"] == []
        options = written(tmp_path / "c.toml", {"us": url}, TEAMS.replace("team_alias", "team"))
        found = source_of(capsys, *options)
        assert found["rules"][0] < in_use
        assert found["misfits"] == ["dcgm"]
        assert main(["check", *options]) == 0
        text = " ".join(capsys.readouterr().out.split())
        assert "print them again with `tidegate rules --context prod --cluster us`" in text


@contextmanager
def scraped(pages: list[Page], folder: Path, rules: Path) -> Iterator[Path]:
    """The configuration of a Prometheus that scrapes pages and evaluates rules each second."""
    web = served(pages)
    config = {**json.loads(scrape_config(pages, web, "1s")), "rule_files": [str(rules)]}
    file = folder / "prometheus.yml"
    file.write_text(json.dumps(config), encoding="utf-8")
    try:
        yield file
    finally:
        web.shutdown()
        web.server_close()


def test_labels_and_targets_beside_the_stacks(
    prometheus: StartPrometheus, tmp_path: Path, capsys: Capsys
) -> None:
    """A gateway's teams and routes become rules to uncomment; a target of another job is down, and named."""
    ups = iter(["node_load1 1\n"])

    def once() -> str:
        try:
            return next(ups)
        except StopIteration:
            raise OSError("gone") from None

    text = replayed(sample("litellm"))
    url = prometheus([Page("litellm", text), Page("node", once)])
    until(lambda: bool(asked(url, 'up{job="node"} == 0')), "a target that is down")
    found = source_of(capsys, "--prometheus", url)
    assert (found["targets"], found["down"]) == ([1, 1], {"node": 1})
    file = tmp_path / "first.toml"
    assert main(["init", "--prometheus", url, "--output", str(file)]) == 0
    told = file.read_text(encoding="utf-8")
    assert "LiteLLM has the label team_alias: gold" in told
    assert '# label = "route"' in told


@pytest.mark.parametrize(
    "reply", [Reply(403, b"no"), Reply(body=b"<html>"), Reply(body=vector(({"job": "a"}, "x")))]
)
def test_what_is_refused_beside_the_polls_fails_nothing(reply: Reply, capsys: Capsys) -> None:
    """A server that answers its polls and none of the rest: nothing is said of the rest."""
    server = Scripted()
    server.replies |= {"topk(": reply, "count by (stack)": reply}
    try:
        found = source_of(capsys, "--prometheus", server.url)
    finally:
        server.close()
    assert (found["state"], found["down"], found["misfits"]) == ("ok", {}, [])


def test_an_alertmanager_is_no_prometheus(manager: Manager, capsys: Capsys) -> None:  # noqa: F811  # the fixture
    """Given as one it says so, with the option that is right."""
    found = source_of(capsys, "--prometheus", manager.url, status=1)
    assert "looks like an Alertmanager: give it as --alertmanager" in found["error"]


def test_a_prometheus_is_no_alertmanager(prometheus: StartPrometheus, capsys: Capsys) -> None:
    """And the other way round."""
    url = prometheus([])
    assert main(["check", "--format", "json", "--prometheus", url, "--alertmanager", url]) == 1
    found = json.loads(capsys.readouterr().out)["sources"]
    told = next(one for one in found if one["name"] == "alertmanager")
    assert "looks like a Prometheus: give it as --prometheus" in told["error"]
