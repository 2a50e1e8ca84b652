"""The embedded plane as a process: starting, refusing to, stopping, and being killed."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from collectors.control import wire
from collectors.control.http import Timing
from collectors.control.native import NativePlane
from collectors.control.server.access import login_name, token_for
from collectors.control.server.serve import EXAMPLE_SEED, PlaneOptions, run_plane
from collectors.control.server.store import Store
from collectors.fleet import SourceState
from tests.integration.control_serving import has_state, until

pytestmark = pytest.mark.slow

QUICK = Timing(first_retry_s=0.05, last_retry_s=0.2, health_s=0.2)
MAIN = """
import sys
from pathlib import Path
from collectors.control.server.serve import PlaneOptions, run_plane
listen, seed, data, config = sys.argv[1:]
files = [Path(one) if one else None for one in (seed, data, config)]
sys.exit(run_plane(PlaneOptions(listen, files[0], files[1], config=files[2])))
"""

Start = Callable[..., tuple[subprocess.Popen[str], str, str]]


@pytest.fixture
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of the test's own, and no token from outside."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("TIDEGATE_TOKEN", raising=False)
    return tmp_path / "state"


@pytest.fixture
def start(state_home: Path) -> Iterator[Start]:
    """Starts a plane and waits for its last line: the process, its URL, what it said."""
    running: list[subprocess.Popen[str]] = []

    def one(
        listen: str = "127.0.0.1:0", data: Path | None = None, config: Path | None = None
    ) -> tuple[subprocess.Popen[str], str, str]:
        process = subprocess.Popen(
            [sys.executable, "-c", MAIN, listen, str(EXAMPLE_SEED), str(data or ""), str(config or "")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"XDG_STATE_HOME": str(state_home)},
        )
        running.append(process)
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if line.startswith("look at it:"):
                break
        found = re.search(r"http://\S+", said)
        assert found, (said, process.stderr.read() if process.stderr else "")
        return process, found[0], said

    yield one
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_it_says_where_it_is_and_never_the_token(start: Start, state_home: Path) -> None:
    """URL, token file of mode 0600, next command; after SIGTERM it is gone, file too."""
    process, url, said = start()
    token = token_for(url)
    assert token
    assert token not in said
    assert f"look at it: tidegate watch --plane {url}" in said
    assert f"{login_name()}, release-admin" in said
    assert "roles: viewer reads; operator throttles" in said
    (file,) = (state_home / "tidegate").iterdir()
    assert str(file) in said
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert set(json.loads(file.read_text())) == {"url", "token", "actor", "role"}
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert not file.exists()


async def test_who_watches_is_told_when_it_stops(start: Start) -> None:
    """SIGINT with a stream open: bye first, and gone all the same."""
    process, url, _ = start()
    client = NativePlane(url, lambda: token_for(url), timing=QUICK)
    async with aclosing(client), aclosing(client.updates()) as updates:
        await until(updates, lambda one: one.health.interval_s == 15)
        process.send_signal(signal.SIGINT)
        lost = await until(updates, lambda one: one.health.state is SourceState.LOST)
        assert "ended the stream (shutdown)" in lost.health.error
        assert process.wait(60) == 0


async def test_a_killed_plane_comes_back_and_the_client_with_it(start: Start, tmp_path: Path) -> None:
    """SIGKILL, then a new start on the same data: lost, then well, with its state and its new token."""
    data = tmp_path / "plane.db"
    process, url, _ = start(data=data)
    async with aclosing(NativePlane(url, lambda: token_for(url), timing=QUICK)) as client:
        async with aclosing(client.updates()) as updates:
            before = (await until(updates, has_state)).state
            await until(updates, lambda one: one.health.interval_s == 15)
            process.kill()
            process.wait()
            lost = await until(updates, lambda one: one.health.state is SourceState.LOST)
            assert lost.health.error
            start(url.removeprefix("http://"), data)
            await until(updates, lambda one: one.health.state is SourceState.OK and not one.health.error)
        after = await client.read()
    assert before is not None
    # Seconds may have gone by, which the check of a hold counts.
    assert [replace(one, checks=()) for one in after.releases] == [
        replace(one, checks=()) for one in before.releases
    ]
    assert after.throttles == before.throttles
    assert after.seq == before.seq


def test_what_was_committed_survives_sigkill(tmp_path: Path) -> None:
    """Killed in the middle of writing: everything it had confirmed is there, and whole."""
    data = tmp_path / "plane.db"
    writer = """
import json, sys, time
from pathlib import Path
from collectors.control.server.store import Store
store = Store.open(Path(sys.argv[1]))
store.seed(json.loads(Path(sys.argv[2]).read_text()), time.time())
number = 0
while True:
    number += 1
    cell = store.set_level("voice", "free", number % 1000 / 1000, now=time.time(), actor="a", reason="load")
    print(number, cell.seq, flush=True)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", writer, str(data), str(EXAMPLE_SEED)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    confirmed = [process.stdout.readline() for _ in range(50)]
    process.kill()
    confirmed += process.stdout.read().splitlines()
    process.wait()
    process.stdout.close()
    whole = [line.split() for line in confirmed if len(line.split()) == 2]
    number, seq = (int(word) for word in whole[-1])
    store = Store.open(data)
    cell = store.held.throttles["voice", "free"]
    # The last answer may have been on its way: one change more than was confirmed is right too.
    assert cell.level in {number % 1000 / 1000, (number + 1) % 1000 / 1000}
    assert cell.seq in {seq, seq + 2}
    assert store.held.seq == cell.seq + 1
    last = store.events_after(store.held.seq - 1)[0]
    assert (last.seq, last.kind) == (store.held.seq, "audit")
    assert cell.last_change is not None
    assert wire.read(wire.read(last.data, wire.Changed).object, wire.Audit).id == cell.last_change.audit_id
    store.close()


class Writer:
    """Sets one cell again and again, each time with what it was answered last, until nobody answers."""

    def __init__(self, client: httpx.AsyncClient, feature: str, tier: str) -> None:
        self.client, self.path = client, f"/v1/throttles/{feature}/{tier}"
        self.sent: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[httpx.Response] = []

    async def write(self) -> None:
        """Until the connection is lost: then the last of `sent` has no answer."""
        before = (await self.client.get(self.path)).json()
        with contextlib.suppress(httpx.TransportError):
            while True:
                level = round(0.01 + len(self.sent) % 90 / 100, 4)
                body = {"from": {"level": before["level"]}, "level": level, "reason": "load", "ttl_s": 600}
                head = {
                    "Content-Type": "application/json",
                    "Idempotency-Key": f"{self.path.replace('/', '-')}-{len(self.sent)}",
                    "If-Match": f'"{before["etag"]}"',
                }
                self.sent.append((head, json.dumps(body).encode()))
                answer = await self.repeat(-1, self.client)
                assert answer.status_code == 200, answer.text
                self.answers.append(answer)
                before = answer.json()

    async def repeat(self, number: int, client: httpx.AsyncClient) -> httpx.Response:
        """Send one of them (again)."""
        head, body = self.sent[number]
        return await client.post(f"{self.path}:set", content=body, headers=head)


async def test_no_write_is_lost_or_made_twice_by_sigkill(start: Start, tmp_path: Path) -> None:
    """Killed in the middle of writes from four sides: what was answered is there, byte by byte by its key;
    what was under way is carried out once, by repeating it; the log has each key once."""
    config = tmp_path / "plane.toml"
    config.write_text("[limits]\nwrites_per_min = 100000\n")
    data = tmp_path / "plane.db"
    process, url, _ = start(data=data, config=config)

    def asking() -> httpx.AsyncClient:
        head = {"Authorization": f"Bearer {token_for(url)}"}
        return httpx.AsyncClient(base_url=url, headers=head, trust_env=False)

    async with asking() as client:
        features = ("chat", "deep-research", "image-generation", "voice")
        writers = [Writer(client, feature, "free") for feature in features]
        tasks = [asyncio.create_task(one.write()) for one in writers]
        async with asyncio.timeout(20):
            while not all(len(one.answers) >= 10 for one in writers):
                await asyncio.sleep(0.01)
        process.kill()
        process.wait()
        await asyncio.gather(*tasks)
    start(url.removeprefix("http://"), data, config)
    async with asking() as client:
        for one in writers:
            for number, before in list(enumerate(one.answers))[-5:]:
                again = await one.repeat(number, client)
                assert again.headers.get("idempotency-replayed") == "true"
                assert again.content == before.content
                assert again.headers["etag"] == before.headers["etag"]
            for _ in one.sent[len(one.answers) :]:
                last = await one.repeat(-1, client)
                assert last.status_code == 200, last.text
            now = (await client.get(one.path)).json()
            assert now["level"] == json.loads(one.sent[-1][1])["level"]
            entries = await client.get("/v1/audit", params={"resource": one.path, "limit": "500"})
            keys = [entry["idempotency_key"] for entry in entries.json()["items"]]
            mine = [key for key in keys if key is not None]
            assert sorted(mine) == sorted(head["Idempotency-Key"] for head, _ in one.sent)


async def test_tokens_and_limits_of_a_configuration(start: Start, tmp_path: Path, state_home: Path) -> None:
    """Those tokens and no other; no token file is left; limits are published as they were given."""
    tokens = tmp_path / "tokens.toml"
    tokens.write_text('[[token]]\nactor = "bob"\nrole = "operator"\nsecret = "a-long-enough-secret"\n')
    tokens.chmod(0o600)
    config = tmp_path / "plane.toml"
    config.write_text('tokens = "tokens.toml"\n[limits]\nwrites_per_min = 7\nidempotency_retention_s = 90\n')
    _, url, said = start(config=config)
    assert f"tokens of {tokens}: 1 operator" in said
    assert "a-long-enough-secret" not in said
    assert f"TIDEGATE_TOKEN=... tidegate watch --plane {url}" in said
    assert not (state_home / "tidegate").exists()
    head = {"Authorization": "Bearer a-long-enough-secret"}
    async with httpx.AsyncClient(base_url=url, headers=head, trust_env=False) as client:
        told = (await client.get("/v1/capabilities")).json()
    assert (told["actor"], told["role"]) == ("bob", "operator")
    assert (told["limits"]["writes_per_min"], told["limits"]["idempotency_retention_s"]) == (7, 90)


def refused(options: PlaneOptions, capsys: pytest.CaptureFixture[str]) -> str:
    """The sentence with which it does not start."""
    assert run_plane(options) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


def test_what_it_refuses_is_one_sentence(
    state_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A taken port, a wrong seed, an address, nothing to serve, other machines: exit status 2, and why."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert "is taken, perhaps by another plane" in refused(PlaneOptions(address, EXAMPLE_SEED), capsys)
    remote = refused(PlaneOptions("0.0.0.0:0", EXAMPLE_SEED), capsys)
    assert "has no TLS" in remote
    assert "--allow-remote" in remote
    assert "give HOST:PORT" in refused(PlaneOptions("nonsense", EXAMPLE_SEED), capsys)
    assert "give HOST:PORT" in refused(PlaneOptions("127.0.0.1:99999", EXAMPLE_SEED), capsys)
    assert "no such host" in refused(PlaneOptions("no.such.invalid:1", EXAMPLE_SEED, None, True), capsys)
    assert "nothing to serve: give --seed FILE" in refused(PlaneOptions("127.0.0.1:0"), capsys)
    seed = tmp_path / "seed.json"
    seed.write_text('{"tiers": ["a"],\n\n "features": }')
    assert f"{seed}:3: no valid JSON" in refused(PlaneOptions("127.0.0.1:0", seed), capsys)
    seed.write_text('{"tiers": ["a"], "features": [{"id": "x", "modles": []}]}')
    said = refused(PlaneOptions("127.0.0.1:0", seed), capsys)
    assert (
        f"{seed}: /features/0: no such key 'modles'; did you mean 'models'? allowed here: id, title" in said
    )
    busy = Store.open(tmp_path / "busy.db")
    said = refused(PlaneOptions("127.0.0.1:0", EXAMPLE_SEED, tmp_path / "busy.db"), capsys)
    assert "another plane is using it" in said
    busy.close()
    config = tmp_path / "plane.toml"
    config.write_text("[limits]\nwrite_per_min = 5\n")
    said = refused(PlaneOptions("127.0.0.1:0", EXAMPLE_SEED, config=config), capsys)
    assert f"{config}:2: limits.write_per_min: no such key; did you mean 'writes_per_min'?" in said
    config.write_text('tokens = "tokens.toml"\n')
    said = refused(PlaneOptions("127.0.0.1:0", EXAMPLE_SEED, config=config), capsys)
    assert f"{tmp_path / 'tokens.toml'} cannot be read: No such file" in said
    tokens = tmp_path / "tokens.toml"
    tokens.write_text('[[token]]\nactor = "a"\nrole = "viewer"\nsecret = "a-long-enough-secret"\n')
    tokens.chmod(0o644)
    said = refused(PlaneOptions("127.0.0.1:0", EXAMPLE_SEED, tokens=tokens), capsys)
    assert f"{tokens} can be read by others: run `chmod 600 {tokens}`" in said
    assert not (state_home / "tidegate").exists()
