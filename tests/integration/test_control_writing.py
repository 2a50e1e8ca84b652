"""Writing to the embedded plane over a real socket: contract v1, sections 5 to 12 and the examples of 14."""

import asyncio
import json
import threading
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from collectors.control.server.access import OPERATION_ROLES, RANK, Token
from collectors.control.server.app import Limits
from collectors.control.server.commands import BODIES
from collectors.control.server.store import Store
from tests.integration.control_serving import (
    ADMIN,
    FLAGS,
    NOW,
    OPERATOR,
    VIEWER,
    example,
    serving,
)
from tests.integration.test_control_server import asking, assert_problem, events

pytestmark = pytest.mark.slow

CELL = "/v1/throttles/image-generation/free"
RELEASE = "/v1/releases/llama-70b"
DELEGATE = Token("secret-of-robot", "robot", "operator", delegate=True)
SHORT_LIVED = Token("secret-of-dave", "dave", "operator", expires_at=NOW + 60)

NEW: dict[str, Any] = {
    "id": "voice-2",
    "title": "Voice 2",
    "subject": {"kind": "model", "name": "voice-2"},
    "stable": None,
    "candidate": "r1",
    "stages": [
        {"id": "pro@100", "tier": "pro", "weight": 1.0, "gate": {"kind": "manual", "hold_s": 60}},
        {"id": "all", "tier": "*", "weight": 1.0, "gate": {"kind": "manual", "hold_s": 0}},
    ],
    "reason": "first of its kind",
}


async def post(
    client: httpx.AsyncClient,
    path: str,
    body: object,
    etag: str | None = None,
    *,
    key: str | None = None,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """A write with a key, a new one unless given; `etag` goes into If-Match as it has to be there."""
    given = {"Idempotency-Key": key or str(uuid.uuid4()), "Content-Type": "application/json"}
    if etag is not None:
        given["If-Match"] = etag if etag == "*" else f'"{etag}"'
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await client.post(path, content=content, headers=given | (headers or {}))


async def etag_of(client: httpx.AsyncClient, path: str) -> str:
    """The resource's tag as it is now."""
    tag: str = (await client.get(path)).json()["etag"]
    return tag


async def log(client: httpx.AsyncClient, **filters: str) -> list[dict[str, Any]]:
    """Entries of the log, newest first."""
    items: list[dict[str, Any]] = (await client.get("/v1/audit", params=filters)).json()["items"]
    return items


async def test_an_advance_its_repeat_and_who_came_second() -> None:
    """Applied once; the repeat is byte-identical; the second operator reads the new stage, not a bare 412."""
    async with serving() as plane, asking(plane, ADMIN) as client:
        plane.clock.now = NOW + 960
        old = await etag_of(client, RELEASE)
        body = {
            "from": {"candidate": "r42", "stage": "plus@25"},
            "to": "plus@100",
            "reason": "p99 steady for 15 min",
            "ticket": "REL-311",
        }
        key = str(uuid.uuid4())
        done = await post(client, f"{RELEASE}:advance", body, old, key=key)
        assert done.status_code == 200, done.text
        told = done.json()
        assert done.headers["content-type"] == "application/json; charset=utf-8"
        assert done.headers["etag"] == f'"{told["etag"]}"' != f'"{old}"'
        assert done.headers["tidegate-time"] == "2026-11-21T17:16:00.000Z"
        assert "idempotency-replayed" not in done.headers
        assert (told["status"]["phase"], told["status"]["stage"]) == ("progressing", "plus@100")
        assert told["last_change"]["audit_id"] == done.headers["tidegate-audit-id"]
        seq = plane.store.held.seq
        again = await post(client, f"{RELEASE}:advance", body, old, key=key)
        assert again.content == done.content
        assert again.headers["idempotency-replayed"] == "true"
        for name in ("etag", "tidegate-audit-id"):
            assert again.headers[name] == done.headers[name]
        assert plane.store.held.seq == seq
        second = await post(client, f"{RELEASE}:advance", body, old)
        problem = assert_problem(second, 409, "stale-stage")
        assert problem["current"] == told
        assert second.headers["etag"] == done.headers["etag"]
        assert "plus@100" in problem["detail"]
        entries = await log(client, resource=RELEASE, limit="2")
        assert [(one["result"], one["code"]) for one in entries] == [
            ("refused", "stale-stage"),
            ("applied", None),
        ]
        assert (entries[1]["ticket"], entries[1]["idempotency_key"]) == ("REL-311", key)


async def test_an_old_tag_a_missing_one_and_a_closed_gate() -> None:
    """412 names what changed since; 428 names what is missing; 422 shows the gate. None of them writes."""
    async with serving() as plane, asking(plane, ADMIN) as client:
        old = await etag_of(client, RELEASE)
        body = {"from": {"candidate": "r42", "stage": "plus@25"}, "reason": "p99 steady"}
        closed = assert_problem(await post(client, f"{RELEASE}:advance", body, old), 422, "gate-not-met")
        assert closed["gate"]["state"] == "closed"
        assert closed["gate"]["checks"][0]["id"] == "hold"
        bare = assert_problem(await post(client, f"{RELEASE}:advance", body), 428, "precondition-required")
        assert bare["missing"] == ["If-Match"]
        blind = await post(client, f"{RELEASE}:advance", {"reason": "go on"}, old)
        assert "from" in assert_problem(blind, 428, "precondition-required")["missing"]
        star = await post(client, f"{RELEASE}:advance", body, "*")
        assert_problem(star, 428, "precondition-required")
        paused = await post(client, f"{RELEASE}:pause", {"from": {"candidate": "r42"}, "reason": "wait"}, "*")
        assert paused.status_code == 200
        assert paused.json()["status"]["pause_reason"] == "operator"
        stale = await post(client, f"{RELEASE}:advance", body, old)
        problem = assert_problem(stale, 412, "stale-etag")
        assert old in problem["detail"] and "alice" in problem["detail"]
        assert problem["current"]["etag"] == paused.json()["etag"]
        wrong = await post(client, f"{RELEASE}:advance", body, paused.json()["etag"])
        assert_problem(wrong, 409, "wrong-phase")
        assert (await client.get(RELEASE)).json()["status"]["stage"] == "plus@25"


async def test_a_throttle_is_set_for_a_time_and_lifted() -> None:
    """The ttl runs on the server's clock, the setting before is remembered, the way back is ramped."""
    async with serving() as plane, asking(plane, OPERATOR) as client:
        plane.clock.now = NOW + 1200
        body = {
            "from": {"level": 0.3},
            "level": 0.1,
            "ttl_s": 1800,
            "reason": "queue p99 over 20 s",
            "decision_id": "c3f1a6d2-8e0b-4f57-9a64-2d9be1f0a7c5",
            "client": {"user": "bob", "host": "ops-1", "version": "0.3.0"},
        }
        cut = await post(client, f"{CELL}:set", body, await etag_of(client, CELL))
        assert cut.status_code == 200, cut.text
        told = cut.json()
        assert (told["level"], told["effective_level"], told["state"]) == (0.1, 0.1, "applied")
        assert told["expires_at"] == "2026-11-21T17:50:00Z"
        assert told["revert_to"] == {"level": 0.3, "expires_at": "2026-11-21T19:00:00Z"}
        assert told["last_change"]["actor"] == "bob"
        plane.clock.now = NOW + 1860
        lift = {"from": {"level": 0.1}, "revert_to": "open", "reason": "queue drained"}
        lifted = (await post(client, f"{CELL}:clear", lift, told["etag"])).json()
        assert (lifted["level"], lifted["effective_level"], lifted["state"]) == (1.0, 0.1, "ramping")
        assert (lifted["expires_at"], lifted["return_ramp_per_min"]) == (None, 0.1)
        assert "revert_to" not in lifted
        entry = (await log(client, decision_id="c3f1a6d2-8e0b-4f57-9a64-2d9be1f0a7c5"))[0]
        assert (entry["op"], entry["role"], entry["via"]) == ("throttle.set", "operator", None)
        assert entry["client"] == body["client"]


async def test_a_release_is_registered_and_a_completed_one_starts_again() -> None:
    """201 with its place, `pending`; 412 where the id is taken; the same POST with If-Match starts again."""
    async with serving() as plane, asking(plane, ADMIN) as client:
        star = {"If-None-Match": "*"}
        made = await post(client, "/v1/releases", NEW, headers=star)
        assert made.status_code == 201, made.text
        assert made.headers["location"] == "/v1/releases/voice-2"
        assert made.json()["status"]["phase"] == "pending"
        assert (made.json()["status"]["stage"], made.json()["history"]) == (None, [])
        assert (await client.get(made.headers["location"])).json() == made.json()
        taken = await post(client, "/v1/releases", NEW, headers=star)
        assert assert_problem(taken, 412, "stale-etag")["current"] == made.json()
        subject = NEW | {"id": "voice-3"}
        assert_problem(await post(client, "/v1/releases", subject, headers=star), 409, "subject-taken")
        assert_problem(await post(client, "/v1/releases", NEW), 428, "precondition-required")
        path, etag = "/v1/releases/voice-2", made.json()["etag"]
        forward = {"from": {"candidate": "r1", "stage": None}, "to": "all", "reason": "all at once"}
        whole = await post(client, f"{path}:advance", forward, etag)
        assert whole.json()["status"]["phase"] == "completed", whole.text
        anew = {name: value for name, value in NEW.items() if name not in {"stable", "title"}}
        anew |= {"from": {"candidate": "r1", "stage": "all"}, "candidate": "r2", "reason": "r2 passed"}
        again = await post(client, "/v1/releases", anew, whole.json()["etag"])
        assert again.status_code == 200, again.text
        told = again.json()
        assert (told["stable"], told["candidate"], told["status"]["phase"]) == ("r1", "r2", "pending")
        assert told["history"][0] == "r1"


PATHS = {
    name: "/v1/releases" if name == "release.register" else f"{RELEASE}:{name.partition('.')[2]}"
    for name in BODIES
    if name.startswith("release.")
} | {"throttle.set": f"{CELL}:set", "throttle.clear": f"{CELL}:clear"}


@pytest.mark.parametrize("token", [VIEWER, OPERATOR, ADMIN, FLAGS], ids=lambda one: one.scope or one.role)
async def test_roles_may_what_capabilities_say(token: Token) -> None:
    """Each operation: 403, logged, exactly where capabilities say so; the flag token may nothing at all."""
    async with serving() as plane, asking(plane, token) as client, asking(plane, ADMIN) as reader:
        capabilities = await client.get("/v1/capabilities")
        known = capabilities.json().get("operations", {})
        for operation, path in PATHS.items():
            may = not token.scope and RANK[token.role] >= RANK[OPERATION_ROLES[operation]]
            seq = plane.store.held.seq
            answer = await post(client, path, {})
            dry = await post(client, f"{path}?dry_run=true", {})
            if may:
                assert_problem(answer, 400, "invalid-request")
                assert_problem(dry, 400, "invalid-request")
                assert known[operation] == {"supported": True, "allowed": True}
                assert plane.store.held.seq == seq
            else:
                problem = assert_problem(answer, 403, "forbidden")
                assert_problem(dry, 403, "forbidden")
                (entry, *_) = await log(reader, result="refused", limit="1")
                assert (entry["op"], entry["actor"], entry["code"]) == (operation, token.actor, "forbidden")
                assert entry["request_id"] == problem["request_id"]
                assert plane.store.held.seq == seq + 1
                if not token.scope:
                    needed = {
                        "supported": True,
                        "allowed": False,
                        "why": f"needs {OPERATION_ROLES[operation]}",
                    }
                    assert known[operation] == needed


async def test_a_share_is_kept_with_four_decimals_and_no_minus() -> None:
    """What arithmetic adds behind the fourth decimal goes, and so does the sign of a zero."""
    async with serving() as plane, asking(plane, OPERATOR) as client:
        for sent, kept in ((b"0.30000000000000004", b'"level":0.3,'), (b"-0.0", b'"level":0.0,')):
            body = b'{"from":{"level":%b},"level":%b,"reason":"load"}' % (b"0.3", sent)
            done = await post(client, f"{CELL}:set", body, await etag_of(client, CELL))
            assert kept in done.content, done.text


async def test_headers_of_a_newer_client_do_no_harm() -> None:
    """A header that is not known is ignored; so is a parameter of the media type."""
    async with serving() as plane, asking(plane, OPERATOR) as client:
        body = {"from": {"level": 0.3}, "level": 0.1, "reason": "load"}
        more = {"Tidegate-Approval": "two", "Content-Type": 'application/json; charset="UTF-8"; profile=x'}
        done = await post(client, f"{CELL}:set", body, await etag_of(client, CELL), headers=more)
        assert done.status_code == 200


async def test_a_dry_run_tells_and_leaves_no_trace() -> None:
    """The three members, or the error the write would give: no key, no log, no change, no write counted."""
    async with serving(limits=Limits(writes_per_min=1)) as plane, asking(plane, ADMIN) as client:
        plane.clock.now = NOW + 960
        etag = await etag_of(client, RELEASE)
        json_type = {"Content-Type": "application/json", "If-Match": f'"{etag}"'}
        body = {"from": {"candidate": "r42", "stage": "plus@25"}, "to": "plus@100", "reason": "p99 steady"}
        seq = plane.store.held.seq
        for _ in range(3):
            path = f"{RELEASE}:advance?dry_run=true"
            told = await client.post(path, content=json.dumps(body), headers=json_type)
            assert told.status_code == 200, told.text
            assert set(told.json()) == {"would_apply", "changes", "warnings"}
            assert told.json()["would_apply"] is True
            assert {"path": "/status/stage", "from": "plus@25", "to": "plus@100"} in told.json()["changes"]
            assert "tidegate-audit-id" not in told.headers
        stale = body | {"from": {"candidate": "r42", "stage": "pro@100"}}
        refused = await client.post(path, content=json.dumps(stale), headers=json_type)
        assert_problem(refused, 409, "stale-stage")
        assert plane.store.held.seq == seq
        for query in ("dry_run=false", "dry_run=1", "dry_run", "dryrun=true", "dry_run=true&dry_run=true"):
            seen = await post(client, f"{RELEASE}:advance?{query}", body, etag)
            # The second of them that counts as a write is one too many: the limit is looked at first.
            assert seen.status_code in {400, 429}, query
        assert (await client.get(RELEASE)).json()["status"]["stage"] == "plus@25"


@pytest.mark.parametrize("in_file", [False, True])
async def test_of_many_at_once_one_moves_the_release(tmp_path: Path, in_file: bool) -> None:
    """Twelve operators press at the same moment: one stage, one entry applied, and the others are told."""
    store = Store.open(tmp_path / "plane.db" if in_file else None)
    store.seed(example(), NOW)
    async with serving(store) as plane, asking(plane, ADMIN) as client:
        plane.clock.now = NOW + 960
        etag = await etag_of(client, RELEASE)
        body = {"from": {"candidate": "r42", "stage": "plus@25"}, "reason": "p99 steady"}
        answers = await asyncio.gather(*(post(client, f"{RELEASE}:advance", body, etag) for _ in range(12)))
        assert sorted(one.status_code for one in answers) == [200] + [409] * 11
        assert (await client.get(RELEASE)).json()["status"]["stage"] == "plus@100"
        assert len(await log(client, op="release.advance", result="applied")) == 1
    store.close()


@pytest.mark.parametrize("in_file", [False, True])
async def test_one_key_at_once_has_one_effect(tmp_path: Path, in_file: bool) -> None:
    """The same request many times in flight: one change, the same bytes for all; another body is refused."""
    store = Store.open(tmp_path / "plane.db" if in_file else None)
    store.seed(example(), NOW)
    async with serving(store) as plane, asking(plane, OPERATOR) as client:
        etag = await etag_of(client, CELL)
        body = {"from": {"level": 0.3}, "level": 0.1, "reason": "load"}
        answers = await asyncio.gather(
            *(post(client, f"{CELL}:set", body, etag, key="one") for _ in range(8))
        )
        assert {one.status_code for one in answers} <= {200, 409}
        done = [one for one in answers if one.status_code == 200]
        assert len({one.content for one in done}) == 1
        assert sum("idempotency-replayed" not in one.headers for one in done) == 1
        assert len(await log(client, resource=CELL, result="applied", op="throttle.set", actor="bob")) == 1
        other = await post(client, f"{CELL}:set", body | {"level": 0.2}, etag, key="one")
        assert_problem(other, 422, "idempotency-key-reused")
        async with asking(plane, ADMIN) as alice:
            theirs = await post(alice, f"{CELL}:set", body, etag, key="one")
            assert_problem(theirs, 409, "stale-level")
    store.close()


async def test_a_delegate_acts_for_a_person_and_both_are_logged() -> None:
    """The person is the actor, the token's own name is `via`; no delegate may be what is no person."""
    async with serving(tokens=[DELEGATE]) as plane, asking(plane, DELEGATE) as client:
        named = {"Tidegate-On-Behalf-Of": "alice@example.com"}
        assert (await client.get("/v1/capabilities", headers=named)).json()["actor"] == "alice@example.com"
        body = {"from": {"level": 0.3}, "level": 0.1, "reason": "load"}
        done = await post(client, f"{CELL}:set", body, await etag_of(client, CELL), headers=named)
        assert done.json()["last_change"]["actor"] == "alice@example.com"
        assert_problem(await post(client, f"{RELEASE}:advance", body, headers=named), 403, "forbidden")
        refused, applied, *_ = await log(client, actor="alice@example.com")
        assert (applied["via"], applied["role"], applied["result"]) == ("robot", "operator", "applied")
        assert (refused["via"], refused["op"], refused["code"]) == ("robot", "release.advance", "forbidden")
        for name in (
            b"system:expiry",
            b"System:expiry",
            b"EXTERNAL",
            b"external",
            b"",
            b"a" * 129,
            "café".encode(),
        ):
            answer = await client.get("/v1/releases", headers={b"Tidegate-On-Behalf-Of": name})
            assert_problem(answer, 400, "invalid-request")


async def test_an_expired_token_is_told_since_when_and_its_stream_ends() -> None:
    """401 that names the time; who watches gets bye, token-expired."""
    async with serving(tokens=[SHORT_LIVED]) as plane, asking(plane, SHORT_LIVED) as client:
        async with client.stream("GET", "/v1/watch") as answer:
            plane.clock.now = NOW + 60
            assert (await events(answer, 2))[-1] == 'event: bye\ndata: {"why":"token-expired"}'
        refused = await client.get("/v1/releases")
        problem = assert_problem(refused, 401, "unauthenticated")
        assert "expired at 2026-11-21T17:01:00Z" in problem["detail"]
        assert "invalid_token" in refused.headers["www-authenticate"]
        assert_problem(await post(client, f"{CELL}:set", {}), 401, "unauthenticated")


async def test_what_can_be_done_at_a_path_is_told() -> None:
    """OPTIONS and 405 name the methods; an operation is posted to; HEAD has the headers and no body."""
    async with serving() as plane, asking(plane, ADMIN) as client:
        for path, allowed in (
            ("/v1/releases", "GET, HEAD, OPTIONS, POST"),
            (RELEASE, "GET, HEAD, OPTIONS"),
            (f"{RELEASE}:advance", "OPTIONS, POST"),
            (f"{CELL}:set", "OPTIONS, POST"),
        ):
            told = await client.options(path)
            assert (told.status_code, told.headers["allow"], told.content) == (204, allowed, b"")
            wrong = await client.delete(path)
            assert_problem(wrong, 405, "method-not-allowed")
            assert wrong.headers["allow"] == allowed
        for path in (f"{RELEASE}:advance", f"{CELL}:set"):
            assert_problem(await client.get(path), 405, "method-not-allowed")
        head = await client.head(RELEASE)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["etag"] == f'"{await etag_of(client, RELEASE)}"'


async def test_every_write_is_counted_by_what_became_of_it() -> None:
    """Applied, replayed, refused by the edge and by the store; a dry run is none."""
    async with serving() as plane, asking(plane, OPERATOR) as client:
        etag = await etag_of(client, CELL)
        body = {"from": {"level": 0.3}, "level": 0.1, "ramp_per_min": 0.1, "reason": "load"}
        await post(client, f"{CELL}:set?dry_run=true", body, etag)
        await post(client, f"{CELL}:set", body, etag, key="a")
        await post(client, f"{CELL}:set", body, etag, key="a")
        await post(client, f"{CELL}:set", {}, etag)
        await post(client, f"{RELEASE}:advance", {}, etag)
        lines = (await client.get("/metrics")).text.splitlines()
        counts = {
            line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in lines if "writes_total{" in line
        }
        name = 'tidegate_plane_writes_total{operation="%s",result="%s"}'
        assert counts == {
            name % ("throttle.set", "applied"): "1.0",
            name % ("throttle.set", "replayed"): "1.0",
            name % ("throttle.set", "refused"): "1.0",
            name % ("release.advance", "refused"): "1.0",
        }
        level = 'level_ratio{feature="image-generation",tier="free"}'
        assert f"tidegate_throttle_{level} 0.1" in lines
        assert f"tidegate_throttle_effective_{level} 0.3" in lines


async def test_a_change_reaches_who_watches_with_its_entry() -> None:
    """The object whole and the entry of the log, each with a seq of its own, in order."""
    async with serving() as plane, asking(plane, OPERATOR) as client:
        etag, seq = await etag_of(client, CELL), plane.store.held.seq
        async with client.stream("GET", "/v1/watch", headers={"Last-Event-ID": str(seq)}) as answer:
            body = {"from": {"level": 0.3}, "level": 0.1, "reason": "load"}
            done = await post(client, f"{CELL}:set", body, etag)
            _, throttle, entry = (await events(answer, 3))[:3]
        assert throttle.split("\n")[:2] == [f"id: {done.json()['seq']}", "event: throttle"]
        assert json.loads(throttle.partition("data: ")[2])["object"] == done.json()
        assert json.loads(entry.partition("data: ")[2])["object"]["id"] == done.headers["tidegate-audit-id"]


async def test_a_disk_that_refuses_changes_nothing_and_says_so(tmp_path: Path) -> None:
    """503, not applied, to be repeated with the same key: then it is carried out."""
    store = Store.open(tmp_path / "plane.db")
    store.seed(example(), NOW)
    async with serving(store) as plane, asking(plane, OPERATOR) as client:
        etag = await etag_of(client, CELL)
        body = {"from": {"level": 0.3}, "level": 0.1, "reason": "load"}
        store._database.execute("PRAGMA query_only=ON")
        failed = await post(client, f"{CELL}:set", body, etag, key="k")
        problem = assert_problem(failed, 503, "backend-unavailable")
        assert (problem["outcome"], problem["retryable"]) == ("not_applied", True)
        assert (await client.get(CELL)).json()["level"] == 0.3
        store._database.execute("PRAGMA query_only=OFF")
        done = await post(client, f"{CELL}:set", body, etag, key="k")
        assert (done.status_code, done.json()["level"]) == (200, 0.1)
        assert "idempotency-replayed" not in done.headers
    store.close()


async def test_a_slow_disk_holds_no_reader(tmp_path: Path) -> None:
    """While a write waits for its commit, others are answered: the loop is not what waits."""
    store = Store.open(tmp_path / "plane.db")
    store.seed(example(), NOW)
    async with serving(store) as plane, asking(plane, OPERATOR) as client:
        etag = await etag_of(client, CELL)
        body = {"from": {"level": 0.3}, "level": 0.1, "reason": "load"}
        store._lock.acquire()
        # A loop that waits for it would wait for ever: it gets free by itself, and the test then fails.
        freed = threading.Timer(3, store._lock.release)
        freed.start()
        writing = asyncio.create_task(post(client, f"{CELL}:set", body, etag))
        for _ in range(5):
            assert (await client.get(CELL)).json()["level"] == 0.3
        assert not writing.done()
        freed.cancel()
        store._lock.release()
        assert (await writing).status_code == 200
    store.close()
