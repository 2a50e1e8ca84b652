"""Throttles, releases and the log from scripts, on the embedded plane: what is said, and each exit status."""

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fault_proxy import NO_FAULTS, FaultProxy, Odds
from tests.integration.control_serving import ADMIN, OPERATOR, VIEWER, Serving, answering, response, serving
from tui.cli import main

pytestmark = pytest.mark.slow

Run = Callable[..., Awaitable[tuple[int, str, str]]]

SET = ("throttle", "set", "--feature", "image-generation", "--tier", "free", "--reason", "queue over 20 s")
ADVANCE = ("release", "advance", "--release", "llama-70b", "--reason", "p99 steady", "--yes")


@pytest.fixture
async def plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Serving]:
    """A plane with the example's releases, and a user without any configuration, who is alice."""
    for name in ("TIDEGATE_PLANE", "TIDEGATE_CONTEXT", "TIDEGATE_CONFIG", "TIDEGATE_PROMETHEUS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("TIDEGATE_TOKEN", ADMIN.secret)
    async with serving() as served:
        yield served


@pytest.fixture
def run(plane: Serving, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command against the plane: its exit status and what it printed."""

    async def do(*argv: str, url: str = "") -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            status = await asyncio.to_thread(main, [*argv, "--plane", url or plane.url])
        except SystemExit as error:
            status = int(error.code or 0)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return do


def level(plane: Serving, tier: str = "free") -> float | None:
    """What the plane admits of images now."""
    return plane.store.held.throttles["image-generation", tier].level


async def test_a_throttle_is_set_listed_and_cleared(run: Run, plane: Serving) -> None:
    """Applied with its log entry; listed with who, why and until when; cleared to what was there."""
    before = level(plane)
    status, said, _ = await run(*SET, "--level", "10%", "--for", "30m", "--yes")
    assert (status, level(plane)) == (0, 0.1)
    assert "applied" in said
    assert "admit 10%" in said
    _, listed, _ = await run("throttle", "list")
    assert "image-generation/free  admit 10%  ends in 30 m" in listed
    assert "alice" in listed
    assert "queue over 20 s" in listed
    status, _, _ = await run(
        "throttle", "clear", "--feature", "image-generation", "--tier", "free", "--reason", "drained", "--yes"
    )
    assert (status, level(plane)) == (0, before)


CLEAR = (
    "throttle",
    "clear",
    "--feature",
    "image-generation",
    "--tier",
    "free",
    "--reason",
    "drained",
    "--yes",
)


async def test_a_clear_never_tightens_unasked(run: Run, plane: Serving) -> None:
    """Where the setting before admits less, nothing is sent: which is meant is said by --then."""
    await run(*SET, "--level", "T4", "--for", "30m", "--yes")
    await run(*SET, "--level", "20%", "--for", "30m", "--yes")
    seq = plane.store.held.seq
    status, _, error = await run(*CLEAR)
    assert (status, plane.store.held.seq, level(plane)) == (4, seq, 0.2)
    assert "would go back to the setting before, admit 10%, which is less than the admit 20% of now" in error
    assert "--then open" in error
    assert "--then previous" in error
    status, said, _ = await run(*CLEAR, "--json")
    assert status == 4
    assert "admit 10%" in json.loads(said)["error"]
    status, said, _ = await run(*CLEAR, "--then", "previous", "--dry-run")
    assert status == 0
    assert "then: admit 10% → admit 100%" in said
    status, said, _ = await run(*CLEAR, "--then", "open")
    assert (status, level(plane)) == (0, 1.0)
    assert "level admit 20% → admit 100%" in said
    assert "ramping from admit 20% by 10 %/min" in said


async def test_a_mistake_has_one_line_of_usage(run: Run) -> None:
    """And what is wrong in the last one."""
    status, _, error = await run(*SET[:-1], "a", "--level", "0.1")
    assert status == 2
    usage, mistake = error.splitlines()
    assert usage.startswith("usage: tidegate throttle set --feature F")
    assert "--help" in usage
    assert "3 to 500 printable characters" in mistake


async def test_the_log_of_a_feature_is_found_in_all_its_tiers(run: Run) -> None:
    """Of the newest that fit, as many as were asked for, however much lies between."""
    for tier in ("plus", "free"):
        voice = ("--feature", "voice", "--tier", tier, "--level", "0.5")
        await run("throttle", "set", *voice, "--reason", "too much", "--yes")
    for number in range(4):
        await run(*SET, "--level", f"0.{number + 1}", "--yes")
    _, log, _ = await run("audit", "--feature", "voice", "--limit", "2", "--json")
    assert [one["resource"] for one in json.loads(log)] == [
        "/v1/throttles/voice/plus",
        "/v1/throttles/voice/free",
    ]
    _, log, _ = await run("audit", "--feature", "voice", "--limit", "1", "--json")
    assert [one["resource"] for one in json.loads(log)] == ["/v1/throttles/voice/free"]
    _, log, _ = await run("audit", "--tier", "plus", "--json")
    assert {one["resource"].rpartition("/")[2] for one in json.loads(log)} == {"plus"}
    assert "no entry" in (await run("audit", "--feature", "nothing"))[1]


async def test_a_hold_that_is_not_over_is_no_failure(run: Run) -> None:
    """How long it stood, of how long, and when it opens."""
    _, said, _ = await run("release", "status", "--release", "llama-70b")
    assert re.search(r"\n    hold: \d+ of 900 s, open at \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ\n", said), said


async def test_a_dry_run_changes_nothing(run: Run, plane: Serving) -> None:
    """It says what would change, and the plane's count stays."""
    seq = plane.store.held.seq
    status, said, _ = await run(*SET, "--level", "0.1", "--dry-run")
    assert status == 0
    assert "would apply" in said
    assert "→ admit 10%" in said
    assert plane.store.held.seq == seq


async def test_nobody_to_ask_is_no_consent(run: Run, plane: Serving) -> None:
    """Without --yes and without a terminal nothing is sent."""
    before = level(plane)
    status, _, error = await run(*SET, "--level", "0.1")
    assert (status, level(plane)) == (2, before)
    assert "--yes" in error


async def test_several_tiers_are_one_decision(run: Run, plane: Serving) -> None:
    """Each target has its outcome, under one decision id, which the log keeps."""
    status, said, _ = await run(*SET, "--tier", "plus", "--level", "0.5", "--yes", "--json")
    found = json.loads(said)
    assert status == 0
    assert [one["outcome"] for one in found["outcomes"]] == ["applied", "applied"]
    _, log, _ = await run("audit", "--decision", found["decision_id"], "--json")
    assert {one["id"] for one in json.loads(log)} == {one["audit_id"] for one in found["outcomes"]}


async def test_a_condition_that_does_not_hold_is_a_conflict(run: Run, plane: Serving) -> None:
    """--if-level and --if-stage: exit status 5, what is so instead, and nothing sent."""
    seq = plane.store.held.seq
    status, _, error = await run(*SET, "--level", "0.1", "--if-level", "0.9", "--yes")
    assert status == 5
    assert "nothing was sent" in error
    status, _, error = await run(*ADVANCE, "--if-stage", "free@100")
    assert status == 5
    assert "stands at" in error
    assert plane.store.held.seq == seq


async def test_roles_are_told_and_refused(run: Run, plane: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """A viewer throttles nothing, an operator advances nothing: exit status 4, and what role it takes."""
    before = level(plane)
    monkeypatch.setenv("TIDEGATE_TOKEN", VIEWER.secret)
    status, said, _ = await run(*SET, "--level", "0.1", "--yes")
    assert (status, level(plane)) == (4, before)
    assert "operator" in said
    monkeypatch.setenv("TIDEGATE_TOKEN", OPERATOR.secret)
    status, said, _ = await run(*ADVANCE)
    assert status == 4
    assert "release-admin" in said


async def test_a_wrong_token_or_no_plane_is_a_failure(
    run: Run, plane: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit status 1 with a sentence; the token is in none of them."""
    monkeypatch.setenv("TIDEGATE_TOKEN", "tg-not-the-right-one-at-all")
    status, said, error = await run("throttle", "list")
    assert status == 1
    assert "token" in error
    assert "tg-not" not in said + error
    status, _, error = await run("throttle", "list", url="http://127.0.0.1:9")
    assert status == 1
    assert "refuses the connection" in error


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (("--feature", "image-generatoin", "--tier", "free"), "did you mean 'image-generation'"),
        (("--feature", "image-generation", "--tier", "fre"), "did you mean 'free'"),
    ],
)
async def test_names_that_there_are_not(run: Run, plane: Serving, argv: tuple[str, ...], named: str) -> None:
    """Exit status 2 with the nearest name and all there are; nothing is sent."""
    seq = plane.store.held.seq
    status, _, error = await run("throttle", "set", *argv, "--level", "0.1", "--reason", "a test", "--yes")
    assert status == 2
    assert named in error
    assert plane.store.held.seq == seq


async def test_a_release_is_moved_and_every_move_is_in_the_log(run: Run, plane: Serving) -> None:
    """Pause, resume, weight, override, abort, retry and roll back, and the chain of the log holds."""
    moves: list[tuple[str, ...]] = [
        ("pause",),
        ("resume",),
        ("set-weight", "--weight", "50%"),
        ("advance", "--override-gate"),
        ("abort",),
        ("retry",),
        ("rollback",),
    ]
    for name, *more in moves:
        status, said, error = await run(
            "release", name, *more, "--release", "llama-70b", "--reason", f"test {name}", "--yes"
        )
        assert status == 0, (name, said, error)
    _, log, _ = await run("audit", "--release", "llama-70b", "--json")
    operations = [one["op"].partition(".")[2] for one in json.loads(log)]
    assert operations[-len(moves) :] == [one[0].replace("-", "_") for one in moves]
    status, said, _ = await run("audit", "--verify")
    assert status == 0
    assert "every hash follows" in said
    status, said, _ = await run("release", "status", "--release", "llama-70b")
    assert status == 0
    assert "completed" in said


async def test_waiting_ends_at_the_stage_in_time_or_by_an_abort(run: Run, plane: Serving) -> None:
    """0 at the stage, 3 when time is over, 4 when it is aborted; a stage there is not is a mistake."""
    here = plane.store.held.releases["llama-70b"]
    stages = [one.id for one in here.stages]
    place = here.status.stage_index or 0
    status, said, _ = await run("wait", "--release", "llama-70b", "--stage", stages[place], "--timeout", "5s")
    assert (status, here.id in said) == (0, True)
    ahead = ("wait", "--release", "llama-70b", "--stage", stages[-1], "--timeout")
    assert (await run(*ahead, "1s"))[0] == 3
    waiting = asyncio.create_task(run(*ahead, "30s"))
    plane.store.move_to("llama-70b", stages[place + 1], now=plane.clock(), actor="bob", reason="go on")
    plane.store.move_to("llama-70b", stages[-1], now=plane.clock(), actor="bob", reason="go on")
    assert (await waiting)[0] == 0
    assert (await run("wait", "--release", "llama-70b", "--stage", "nowhere"))[0] == 2


async def test_a_candidate_is_loaded_from_a_file(run: Run, plane: Serving, tmp_path: Path) -> None:
    """A new release is registered; a file that is none is a mistake; one that runs already is a conflict."""
    body: dict[str, Any] = {
        "id": "embed-9",
        "subject": {"kind": "model", "name": "embed-9"},
        "candidate": "r1",
        "stages": [{"id": "all", "tier": "*", "weight": 1.0, "gate": {"kind": "manual", "hold_s": 0}}],
        "reason": "a new model",
    }
    file = tmp_path / "releases.json"
    file.write_text(json.dumps([body]))
    status, said, error = await run("plane", "load", str(file), "--yes")
    assert status == 0, (said, error)
    assert plane.store.held.releases["embed-9"].status.phase == "pending"
    status, _, error = await run("plane", "load", str(file), "--yes")
    assert status == 5
    assert "embed-9 runs already, pending at its begin, before its first stage" in error
    assert "it can start again once completed or aborted" in error
    for options in (("--yes",), ("--dry-run",)):
        stages = [{**body["stages"][0], "weight": 7}]
        file.write_text(json.dumps({**body, "id": "embed-8", "stages": stages}))
        status, said, error = await run("plane", "load", str(file), *options)
        assert status == 4
        assert f"the body of embed-8 in {file}: " in said + error
        assert "/stages/0/weight" in said + error
        assert "whichever" not in said + error
    file.write_text("[1]")
    status, _, error = await run("plane", "load", str(file), "--yes")
    assert status == 2
    assert str(file) in error


async def test_a_context_that_is_never_written_to_holds_by_its_url_as_well(
    run: Run, plane: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`writes = "never"` is no matter of how the plane is named."""
    config = tmp_path / "config.toml"
    config.write_text(f'[contexts.prod]\nplane = "{plane.url}"\nwrites = "never"\n')
    monkeypatch.setenv("TIDEGATE_CONFIG", str(config))
    before = level(plane)
    status, _, error = await run(*SET, "--level", "0.1", "--yes")
    assert (status, level(plane)) == (4, before)
    assert 'writes = "never"' in error


async def test_a_newer_contract_is_told_and_not_written_to(run: Run) -> None:
    """What speaks another version is asked for nothing more: update tidegate."""
    posts: list[str] = []

    async def reply(head: str, writer: asyncio.StreamWriter) -> None:
        if head.startswith("POST"):
            posts.append(head)
        writer.write(response(b'{"api_version":"v2"}'))

    async with answering(reply) as url:
        status, _, error = await run(*SET, "--level", "0.1", "--yes", url=url)
    assert status == 1
    assert "update tidegate" in error
    assert not posts


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
async def test_an_interrupt_in_the_middle_of_a_write_is_told(
    plane: Serving, number: signal.Signals, status: int
) -> None:
    """What was sent and not answered is unknown: the sentence names the decision to look for in the log."""
    host, _, port = plane.url.removeprefix("http://").partition(":")
    proxy = FaultProxy((host, int(port)), 1, Odds(hold_reply=1.0), reads=NO_FAULTS)
    async with proxy.serving() as url:
        running = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "tui", *SET, "--level", "0.1", "--yes", "--plane", url,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(20):
            await proxy.sending.wait()
            running.send_signal(number)
            _, error = await running.communicate()
    assert running.returncode == status
    assert b"unknown whether it was applied to image-generation/free" in error
    assert b"tidegate audit --decision" in error
    assert b"Traceback" not in error


async def test_a_reader_that_goes_away_does_not_stop_a_decision(plane: Serving) -> None:
    """Every target gets its write, and the exit status is the write's own."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "tui", *SET, "--tier", "plus", "--level", "0.1", "--yes",
        "--plane", plane.url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout._transport.close()  # type: ignore[attr-defined]  # as `| true` does
    async with asyncio.timeout(20):
        error = await running.stderr.read()
        status = await running.wait()
    assert (level(plane, "free"), level(plane, "plus")) == (0.1, 0.1)
    assert status == 0, error
    assert b"could not be printed" in error
