"""`tidegate check`, `init` and `rules` against a real Prometheus, and against what stands in its place."""

import json
import os
import pty
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from collectors.check.findings import Findings, findings
from collectors.check.run import gathered, opened
from collectors.config import Context, read_settings
from tests.integration.certificates import authority
from tests.integration.conftest import Page, StartPrometheus, asked, free_port, sample, until
from tests.integration.control_serving import VIEWER, serving
from tests.integration.replayer import replayed
from tests.integration.scripted_prometheus import Reply, Scripted
from tui.cli import main

pytestmark = pytest.mark.slow

FLEET = ("vllm", "dcgm-exporter", "llm-d-epp")
POD = {"namespace": "serving", "pod": "llama-3-70b-7d9f8c6b5-abcde"}
EXPORTER = {"namespace": "monitoring", "pod": "dcgm-exporter-x7k2p"}
LLAMA = "llama-3.3-70b-instruct"

SAMPLES: Mapping[str, tuple[str, tuple[str, ...], str, str]] = {
    "vllm": ("vLLM", (), "queue_wait", "busy_ratio"),
    "sglang": ("SGLang", ("10", "0"), "kv_ratio", "busy_ratio"),
    "tgi": ("Text Generation Inference", (), "waiting", "kv_ratio"),
    "triton": ("Triton", (), "waiting", "first_token"),
    "ray-serve": ("Ray Serve", (), "running", "busy_ratio"),
    "llm-d-epp": ("endpoint picker", ("100", "0", "-10"), "queue_wait", "tokens_out"),
    "gie-epp-v1.5": ("endpoint picker", ("100", "0", "-10"), "queue_wait", "tokens_out"),
    "litellm": ("LiteLLM", (), "answer_time", "waiting"),
    "dcgm-exporter": ("NVIDIA DCGM exporter", (), "busy_ratio", "queue_wait"),
    "dcgm-exporter-hostname-lower": ("NVIDIA DCGM exporter", (), "busy_ratio", "queue_wait"),
    "argo-rollouts": ("Argo Rollouts", (), "", "queue_wait"),
}
"""Sample -> title of its stack, its tiers, a signal that it brings ("" for none), one that it does not."""


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration, environment or proxy of the developer's own."""
    for name in ("CONFIG", "CONTEXT", "PROMETHEUS", "PLANE", "TOKEN", "THEME"):
        monkeypatch.delenv(f"TIDEGATE_{name}", raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="module")
def url(prometheus: StartPrometheus) -> str:
    """A Prometheus that scrapes every sample as a job of its name, long enough for rates."""
    places = {"vllm": POD, "dcgm-exporter": EXPORTER, "dcgm-exporter-hostname-lower": EXPORTER}
    pages = [Page(name, replayed(sample(name)), places.get(name, {})) for name in SAMPLES]
    found = prometheus(pages)
    counted = "min(count_over_time(up[20s]))"
    until(lambda: float(asked(found, counted)[0]["value"][1]) >= 6, "six scrapes of each page")
    return found


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    yield server
    server.close()


Capsys = pytest.CaptureFixture[str]


def only(url: str, tmp_path: Path, *jobs: str, more: str = "") -> list[str]:
    """Options for a context that sees these jobs of the Prometheus alone."""
    file = tmp_path / "only.toml"
    table = json.dumps(f'job=~"{"|".join(jobs)}"')
    file.write_text(
        f'[contexts.prod]\nprometheus = {{ url = "{url}", select = [{table}], alerts = false }}\n{more}',
        encoding="utf-8",
    )
    return ["--config", str(file)]


def found_by(capsys: Capsys, *arguments: str, status: int = 0) -> dict[str, Any]:
    """The findings of a check, as data."""
    assert main(["check", "--format", "json", *arguments]) == status
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def signal(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in found["signals"] if one["signal"] == name)


@pytest.mark.parametrize("name", SAMPLES)
def test_each_sample_is_recognised(name: str, url: str, tmp_path: Path, capsys: Capsys) -> None:
    """Its stack by title, its tiers in order, a signal that it brings, and why another is not there."""
    title, tiers, there, absent = SAMPLES[name]
    found = found_by(capsys, *only(url, tmp_path, name))
    stack = found["stacks"][0]
    assert (stack["title"], stack["jobs"]) == (title, [name])
    assert stack["proof"]
    assert tuple(found["tiers"]["names"]) == tiers
    if there:
        assert signal(found, there)["state"] == "data"
    else:
        assert found["releases"][0]["phase"]
    assert signal(found, absent)["state"] == "absent"
    assert signal(found, absent)["why"], "the setting or exporter that would bring it"


def test_a_whole_fleet_in_words(url: str, tmp_path: Path, capsys: Capsys) -> None:
    """Sources, stacks, signals, names and rules on one page of 100 columns; it ends with a verdict."""
    assert main(["check", *only(url, tmp_path, *FLEET)]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    text = " ".join(said.split())
    expected = (
        "scraped every 1 s", "3/3 targets of the known stacks up", "vLLM", "endpoint picker",
        "NVIDIA DCGM exporter", "MIG slices", "exported_pod", "Flow control is on",
        "by label priority, as it is",
    )  # fmt: skip
    assert [words for words in expected if words not in text] == []
    assert max(map(len, said.split("Rules to paste")[0].splitlines())) <= 100
    assert said.splitlines()[-1].startswith("ready: ")


def test_proposed_rules_mend_what_they_were_proposed_for(url: str, tmp_path: Path, capsys: Capsys) -> None:
    """Pasted as they are: the picker's name and its pool then mean the engine's model."""
    options = only(url, tmp_path, *FLEET)
    before = found_by(capsys, *options)
    assert {"router", "pool"} <= {one["kind"] for one in before["unmatched"]}
    assert set(before["models"]) == {"llama-3-70b", LLAMA}
    options = only(url, tmp_path, *FLEET, more="\n".join(before["proposed"]))
    after = found_by(capsys, *options)
    assert after["models"] == [LLAMA]
    assert not {"router", "pool", "engine"} & {one["kind"] for one in after["unmatched"]}
    assert signal(after, "pool_saturation")["state"] == "data"


def test_a_model_is_explained(url: str, tmp_path: Path, capsys: Capsys) -> None:
    """Query, labels, rule: enough to find the number again by hand, which is done here."""
    options = only(url, tmp_path, *FLEET)
    assert main(["check", "--explain", LLAMA, "--format", "json", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    running = next(one for one in found["readings"] if one["signal"] == "running" and not one["tier"])
    feed = next(one for one in running["feeds"] if one["used"])
    again = asked(url, feed["query"])
    assert sum(float(element["value"][1]) for element in again) == running["value"]
    assert feed["rows"][0]["labels"]["model_name"] == "meta-llama/Llama-3.3-70B-Instruct"
    assert feed["rows"][0]["model_rule"] == "label model_name"
    assert main(["check", "--explain", "llama", *options]) == 1
    assert "there are: llama-3-70b, llama-3.3-70b-instruct" in capsys.readouterr().err


def test_an_empty_prometheus_is_told_what_to_scrape(prometheus: StartPrometheus, capsys: Capsys) -> None:
    """Reachable, and nothing in it: status 1, lines for prometheus.yml."""
    found = found_by(capsys, "--prometheus", prometheus([]), status=1)
    assert found["verdict"] == "every source answers, and none has anything to show"
    assert found["present"][0]["targets"] == [0, 0]
    assert found["present"][0]["scrape_configs"][0] == "scrape_configs:"


def test_a_prometheus_of_something_else_says_what_it_has(prometheus: StartPrometheus, capsys: Capsys) -> None:
    """Its jobs, what its names begin with, and those that may be of accelerators."""
    text = "node_load1 1\nnode_load5 1\nacme_gpu_power_watts 300\n"
    server = prometheus([Page("node", text), Page("broken", "node_load1 1")])
    assert main(["check", "--prometheus", server]) == 1
    said = capsys.readouterr().out
    assert "2 targets, 2 up; jobs: broken, node" in said
    assert "node_ (2)" in said
    assert "acme_gpu_power_watts" in said
    assert 'static_configs: [{ targets: ["HOST:9400"] }]' in said


FAULTS: Mapping[str, tuple[Reply, str]] = {
    "401": (Reply(401, b"no", {"WWW-Authenticate": "Bearer"}), "HTTP 401"),
    "a page of HTML": (Reply(body=b"<html>Sign in</html>"), "a page of HTML"),
    "Mimir wants a tenant": (Reply(401, b"no org id"), "X-Scope-OrgID"),
    "a wrong path": (Reply(404, b"404 page not found"), "path prefix"),
    "a proxy's 502": (Reply(502, b"<html>bad gateway</html>"), "HTTP 502"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_can_be_acted_on(fault: str, scripted: Scripted, capsys: Capsys) -> None:
    """What it is and what to do; status 1."""
    reply, says = FAULTS[fault]
    scripted.replies["/"] = reply
    found = found_by(capsys, "--prometheus", scripted.url, status=1)
    assert found["sources"][0]["state"] == "lost"
    assert says in found["sources"][0]["error"]
    assert "not answering: prometheus" in found["verdict"]


def test_nobody_there_can_be_acted_on(capsys: Capsys) -> None:
    """A wrong URL: which address, and how to try it."""
    found = found_by(capsys, "--prometheus", f"http://127.0.0.1:{free_port()}", status=1)
    assert "cannot be reached" in found["sources"][0]["error"]


def test_an_expired_certificate_is_called_so(tmp_path: Path, capsys: Capsys) -> None:
    """Of a CA that is trusted, and past its end."""
    ca = authority(tmp_path / "ca")
    server = Scripted(ca.serving("old", days=-1))
    try:
        file = tmp_path / "tls.toml"
        file.write_text(
            f'[contexts.prod]\nprometheus = {{ url = "{server.url}", ca_file = "{ca.file}" }}\n',
            encoding="utf-8",
        )
        found = found_by(capsys, "--config", str(file), status=1)
    finally:
        server.close()
    assert "expired" in found["sources"][0]["error"]


def test_a_server_that_hangs_ends_in_time(scripted: Scripted, capsys: Capsys) -> None:
    """--within holds, whatever a server does."""
    scripted.replies["/"] = Reply(delay_s=6.0)
    found = found_by(capsys, "--prometheus", scripted.url, "--within", "1", status=1)
    assert "no answer within 1 s" in found["sources"][0]["error"]


def test_waiting_is_told_on_a_terminal(scripted: Scripted) -> None:
    """After a second a line says what is waited for, and is taken away again."""
    scripted.replies["/"] = Reply(delay_s=6.0)
    arguments = ["check", "--prometheus", scripted.url, "--within", "2.5"]
    ended, said = at_a_terminal("", arguments, {}, errors_too=True)
    assert ended == 1
    assert "prometheus: no answer yet" in said
    assert said.rindex("\r\x1b[K") > said.rindex("no answer yet")


def test_waiting_is_told_in_a_pipe(scripted: Scripted) -> None:
    """One plain line, once, with the longest it can take: whoever reads a log knows that nothing hangs."""
    scripted.replies["/"] = Reply(delay_s=6.0)
    done = run("-m", "tui", "check", "--prometheus", scripted.url, "--within", "2.5")
    [told] = done.stderr.splitlines()
    assert told.startswith("waiting for prometheus: no answer yet; ")
    assert told.endswith("; at most 2.5 s")


def test_a_first_configuration_works(url: str, tmp_path: Path, capsys: Capsys) -> None:
    """A file that reads, for its owner alone; a check with it joins the names; a second init is refused."""
    file = tmp_path / "config" / "tidegate" / "config.toml"
    assert main(["init", "--prometheus", url, "--context", "prod"]) == 0
    assert str(file) in capsys.readouterr().out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["config.toml"]
    settings = read_settings()
    assert settings.default_context == "prod"
    assert settings.contexts["prod"].tiers[0] == "100"
    assert settings.contexts["prod"].identity.aliases["llama-3-70b"] == LLAMA
    found = found_by(capsys)
    assert found["context"] == "prod"
    assert "llama-3-70b" not in found["models"]
    written = file.read_text(encoding="utf-8")
    assert main(["init", "--prometheus", url]) == 2
    assert "was not changed" in capsys.readouterr().err
    assert file.read_text(encoding="utf-8") == written
    assert main(["init", "--prometheus", url, "--yes"]) == 0
    assert read_settings().default_context == "main"


def test_a_first_configuration_needs_an_answer(tmp_path: Path, capsys: Capsys) -> None:
    """A server that does not answer: its sentence, and no file."""
    assert main(["init", "--prometheus", f"http://127.0.0.1:{free_port()}"]) == 1
    said = capsys.readouterr().err
    assert "cannot be reached" in said
    assert "nothing was written" in said
    assert not (tmp_path / "config").exists()


def test_a_token_is_asked_for_by_reference(scripted: Scripted, tmp_path: Path) -> None:
    """On a terminal: the URL, then where the token is. The token itself is never in the file."""
    scripted.replies["/"] = lambda request: (
        Reply(body=scripted.healthy(request))
        if request.headers.get("Authorization") == "Bearer hunter2hunter2"
        else Reply(401, b"no")
    )
    typed = f"{scripted.url}\nPROM_TOKEN\n"
    ended, said = at_a_terminal(typed, ["init"], {"PROM_TOKEN": "hunter2hunter2"})
    assert ended == 0, said
    assert "URL of your Prometheus" in said
    file = tmp_path / "config" / "tidegate" / "config.toml"
    written = file.read_text(encoding="utf-8")
    assert 'token = { env = "PROM_TOKEN" }' in written
    assert "hunter2" not in written + said
    assert read_settings().context(None)[0] == "main"


def at_a_terminal(
    typed: str, arguments: list[str], environment: Mapping[str, str], *, errors_too: bool = False
) -> tuple[int, str]:
    """(exit status, what it said) of a command whose keyboard is a terminal; with `errors_too` standard error
    is that terminal as well, and what it said there is told alone."""
    ours, theirs = pty.openpty()
    os.write(ours, typed.encode())
    done = subprocess.run(
        [sys.executable, "-m", "tui", *arguments],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs if errors_too else subprocess.STDOUT,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )
    said = os.read(ours, 65_536) if errors_too else done.stdout
    os.close(theirs)
    os.close(ours)
    return done.returncode, said.decode()


def test_rules_are_ones_that_prometheus_takes(url: str, tmp_path: Path, capsys: Capsys) -> None:
    """For the stacks that are there, and for all: promtool reads both."""
    assert main(["rules", *only(url, tmp_path, *FLEET)]) == 0
    there = capsys.readouterr().out
    assert main(["rules", "--all"]) == 0
    every = capsys.readouterr().out
    assert "tidegate-vllm" in there
    assert "tidegate-sglang" not in there
    assert "tidegate-sglang" in every
    for text in (there, every):
        file = tmp_path / "rules.yml"
        file.write_text(text, encoding="utf-8")
        subprocess.run(["promtool", "check", "rules", str(file)], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["check"], 0, "ready: "),
        (["check", "--explain", LLAMA], 0, "query: "),
        (["rules"], 0, "groups:"),
    ],
    ids=lambda one: str(one),
)
def test_the_command_itself(arguments: list[str], status: int, says: str, url: str, tmp_path: Path) -> None:
    """As it is typed: nothing on standard error, but for one line where it takes longer than a second."""
    done = run("-m", "tui", *arguments, *only(url, tmp_path, *FLEET))
    told = [line for line in done.stderr.splitlines() if not line.startswith("waiting for prometheus: ")]
    assert (done.returncode, told) == (status, [])
    assert says in done.stdout


def test_a_wrong_url_of_the_command_itself() -> None:
    """Status 1, words on the page, and no traceback."""
    done = run("-m", "tui", "check", "--prometheus", f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert "LOST" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


async def test_a_control_plane_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its releases and features beside what metrics say; without a token, what to do about it."""
    async with serving() as plane:
        monkeypatch.setenv("PLANE_TOKEN", VIEWER.secret)
        endpoint = {"url": plane.url, "token": {"env": "PLANE_TOKEN"}}
        found = await plane_findings({"plane": endpoint})
        assert (found.status, found.sources[0].kind) == (0, "plane")
        assert found.releases
        assert found.features.origins == ("the control plane",)
        monkeypatch.setenv("PLANE_TOKEN", "of-nobody")
        found = await plane_findings({"plane": endpoint})
    assert found.status == 1
    assert "token" in found.sources[0].error


async def plane_findings(settings: dict[str, object]) -> Findings:
    context = Context.model_validate(settings)
    return findings(await gathered("prod", context, opened(context), 10.0))


def test_several_clusters_are_told_apart(url: str, capsys: Capsys) -> None:
    """Two servers by name: a model of each, and one line for each."""
    found = found_by(capsys, "--prometheus", f"eu={url}", "--prometheus", f"us={url}")
    assert f"{LLAMA}@eu" in found["models"]
    assert f"{LLAMA}@us" in found["models"]
    assert sum(one["kind"] == "prometheus" for one in found["sources"]) == 2
