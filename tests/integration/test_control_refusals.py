"""What the embedded plane refuses to take for a write, over a real socket: contract, sections 5, 6, 12."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from collectors.control.server.app import Limits
from collectors.control.server.store import Store, StoreLimits
from tests.integration.control_serving import ADMIN, NOW, OPERATOR, VIEWER, example, serving
from tests.integration.test_control_server import asking, assert_problem
from tests.integration.test_control_writing import CELL, NEW, etag_of, post

pytestmark = pytest.mark.slow


async def test_what_a_register_gets_wrong_is_placed() -> None:
    """Unknown tiers and features, stages given twice, a reserved name: 400 with a JSON pointer."""
    stages = NEW["stages"]
    wrong: list[tuple[dict[str, Any], str, str]] = [
        ({"stages": [stages[0] | {"tier": "prp"}]}, "/stages/0/tier", "did you mean 'pro'?"),
        ({"stages": [stages[0], stages[0]]}, "/stages/1", "there twice"),
        ({"stages": []}, "/stages", "length >= 1"),
        ({"base": [{"tier": "gold", "weight": 1}]}, "/base/0/tier", "no tier 'gold'"),
        ({"subject": {"kind": "model", "name": "x.weight"}}, "/subject/name", "'.weight'"),
        ({"subject": {"kind": "feature", "name": "voise"}}, "/subject/name", "did you mean 'voice'?"),
        ({"from": {"candidate": "r1", "stage": None}}, "/from", "new"),
    ]
    async with serving() as plane, asking(plane, ADMIN) as client:
        seq = plane.store.held.seq
        for change, pointer, words in wrong:
            answer = await post(client, "/v1/releases", NEW | change, headers={"If-None-Match": "*"})
            error = assert_problem(answer, 400, "invalid-request")["errors"][0]
            assert (error["pointer"], words in error["detail"]) == (pointer, True), error
        assert plane.store.held.seq == seq


HEADERS: list[tuple[dict[str, str], int, str]] = [
    ({"Content-Type": "text/plain"}, 415, "bad-media-type"),
    ({"Content-Type": ""}, 415, "bad-media-type"),
    ({"Content-Type": "application/json; charset=latin-1"}, 415, "bad-media-type"),
    ({"Content-Encoding": "gzip"}, 415, "bad-media-type"),
    ({"Idempotency-Key": "with space"}, 400, "invalid-request"),
    ({"Idempotency-Key": "k" * 129}, 400, "invalid-request"),
    ({"Idempotency-Key": ""}, 400, "invalid-request"),
    ({"If-Match": "m-1"}, 400, "invalid-request"),
    ({"If-Match": 'W/"m-1"'}, 400, "invalid-request"),
    ({"If-Match": '"m-1", "m-2"'}, 400, "invalid-request"),
    ({"If-Match": ""}, 400, "invalid-request"),
    ({"If-None-Match": "*"}, 400, "invalid-request"),
    ({"Tidegate-On-Behalf-Of": "eve"}, 403, "forbidden"),
]


@pytest.mark.parametrize(("headers", "status", "code"), HEADERS, ids=lambda one: str(one)[:40])
async def test_a_wrong_header_is_refused(headers: dict[str, str], status: int, code: str) -> None:
    """One strong tag or *, a key by its pattern, JSON: whatever else is named, and nothing is written."""
    async with serving() as plane, asking(plane, OPERATOR) as client:
        level = plane.store.held.throttles["image-generation", "free"].level
        body = {"from": {"level": 0.3}, "level": 0.1, "reason": "load"}
        answer = await post(client, f"{CELL}:set", body, "t-1", headers=headers)
        assert_problem(answer, status, code)
        assert plane.store.held.throttles["image-generation", "free"].level == level


async def test_the_key_is_asked_for_after_the_body_and_before_the_resource() -> None:
    """400 for the body first, then for the key, then 404: the contract's order."""
    async with serving() as plane, asking(plane, OPERATOR) as client:
        json_type = {"Content-Type": "application/json"}
        nowhere = "/v1/throttles/voice/nobody:set"
        first = await client.post(nowhere, content=b"{}", headers=json_type)
        assert_problem(first, 400, "invalid-request")
        body = b'{"reason":"load","level":0.5}'
        second = await client.post(nowhere, content=body, headers=json_type)
        assert_problem(second, 400, "idempotency-key-missing")
        assert_problem(await post(client, nowhere, body), 404, "not-found")
        assert_problem(await post(client, "/v1/throttles/voice/a%2Fb:set", body), 404, "not-found")
        assert_problem(await post(client, "/v1/throttles/voice/%1b%5bx:set", body), 404, "not-found")


async def test_throttle_bodies_that_make_no_sense_are_placed() -> None:
    """Both or neither of two members, times that are none or past, limits without a baseline."""
    wrong: list[tuple[dict[str, Any], int, str, str]] = [
        ({}, 400, "invalid-request", "/level"),
        ({"level": 0.1, "limit": 5}, 400, "invalid-request", "/level"),
        (
            {"level": 0.1, "ttl_s": 5, "expires_at": "2026-11-21T18:00:00Z"},
            400,
            "invalid-request",
            "/expires_at",
        ),
        ({"level": 0.1, "ttl_s": 601}, 400, "invalid-request", "/ttl_s"),
        ({"level": 0.1, "expires_at": "tomorrow"}, 400, "invalid-request", "/expires_at"),
        ({"level": 0.1, "expires_at": "2026-11-21T18:00:00"}, 400, "invalid-request", "/expires_at"),
        ({"level": 0.1, "expires_at": "2026-11-21T19:00:00+01:00"}, 400, "invalid-request", "/expires_at"),
        ({"level": 0.1, "expires_at": "2026-13-21T18:00:00Z"}, 400, "invalid-request", "/expires_at"),
        ({"level": 0.1, "expires_at": "2026-11-21T16:59:59Z"}, 400, "invalid-request", "/expires_at"),
        ({"level": 0.1, "from": {"candidate": "r1"}}, 400, "invalid-request", "/from/candidate"),
        ({"limit": 5}, 422, "no-baseline", ""),
    ]
    store = Store.open(None, StoreLimits(ttl_max_s=600))
    store.seed(example(), NOW)
    async with serving(store) as plane, asking(plane, OPERATOR) as client:
        etag = await etag_of(client, CELL)
        assert (await client.get("/v1/capabilities")).json()["limits"]["ttl_max_s"] == 600
        for members, status, code, pointer in wrong:
            body = {"from": {"level": 0.3}, "reason": "load"} | members
            problem = assert_problem(await post(client, f"{CELL}:set", body, etag), status, code)
            assert problem.get("errors", [{"pointer": ""}])[0]["pointer"] == pointer, members


async def test_a_body_too_large_is_not_read() -> None:
    """413 by its announced length, and, sent in chunks without one, as soon as it is too long."""
    async with serving(limits=Limits(body_max_bytes=1024)) as plane, asking(plane, OPERATOR) as client:
        assert_problem(await post(client, f"{CELL}:set", b" " * 1025), 413, "too-large")
        host, port = plane.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = (
            f"POST {CELL}:set HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {OPERATOR.secret}\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        # The last chunk never comes: whoever waited for it would hang.
        writer.write(head.encode() + b"401\r\n" + b" " * 1025 + b"\r\n")
        async with asyncio.timeout(60):
            assert b" 413 " in await reader.readline()
        writer.close()

        async def pieces() -> AsyncIterator[bytes]:
            for piece in (b'{"from":{"level":0.3},', b'"level":0.1,"reason":"load"}'):
                yield piece

        whole = await client.post(
            f"{CELL}:set",
            content=pieces(),
            headers={
                "Content-Type": "application/json",
                "Idempotency-Key": "k",
                "If-Match": f'"{await etag_of(client, CELL)}"',
            },
        )
        assert whole.status_code == 200


async def test_who_leaves_in_the_middle_of_a_body_harms_nobody() -> None:
    """A connection that ends before its body is here changes nothing, and is no fault of the server."""
    async with serving() as plane, asking(plane, OPERATOR) as client:
        seq = plane.store.held.seq
        host, port = plane.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            f"POST {CELL}:set HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {OPERATOR.secret}\r\n"
            f'Content-Type: application/json\r\nContent-Length: 90\r\n\r\n{{"level"'.encode()
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert (await client.get(CELL)).status_code == 200
        assert plane.store.held.seq == seq


async def test_what_fills_the_log_is_counted_as_a_write() -> None:
    """A refusal that is logged costs one, whoever asks and whatever for; then it is 429, and not logged."""
    async with serving(limits=Limits(writes_per_min=3)) as plane, asking(plane, VIEWER) as client:
        seq = plane.store.held.seq
        named = {"Tidegate-On-Behalf-Of": "x"}
        for path in ("/v1/releases", "/v1/audit", "/metrics"):
            assert_problem(await client.get(path, headers=named), 403, "forbidden")
        for path in ("/v1/releases", "/v1/capabilities"):
            answer = await client.get(path, headers=named)
            assert_problem(answer, 429, "rate-limited")
            assert int(answer.headers["retry-after"]) > 0
        assert plane.store.held.seq == seq + 3
        assert (await client.get("/v1/releases")).status_code == 200


def page_token(key: object, seq: object = 1, issued_at: object = NOW, of: str = "/v1/audit") -> str:
    """A page token as no list gave it out."""
    return base64.urlsafe_b64encode(json.dumps([of, issued_at, seq, key]).encode()).decode().rstrip("=")


async def test_numbers_of_a_list_that_nobody_counts_to_are_refused() -> None:
    """400 for a limit with zeros in front or digits without end, and for a place that no list has."""
    async with serving() as plane, asking(plane, VIEWER) as client:
        for limit in ("000000001" + "0" * 5000, "0000000019999999999999999999", "01", "0", "501", "١", "1_0"):
            answer = await client.get("/v1/audit", params={"limit": limit})
            assert_problem(answer, 400, "invalid-request")
        tokens = [page_token(key) for key in ([], ["1", "2"], ["x"], ["-1"], ["9" * 5000], ["9" * 20], [""])]
        tokens += [page_token(["1"], seq=10**30), page_token(["1"], seq=-1), page_token("1")]
        for token in tokens:
            answer = await client.get("/v1/audit", params={"page_token": token})
            assert_problem(answer, 400, "invalid-request")
        cells: list[list[str]] = [[], ["voice"], ["voice", "free", "x"], ["voice", "f" * 5000], ["A", "B"]]
        for key in cells:
            token = page_token(key, of="/v1/throttles")
            answer = await client.get("/v1/throttles", params={"page_token": token})
            assert_problem(answer, 400, "invalid-request")
        for at in (1e300, -1e300):
            answer = await client.get("/v1/audit", params={"page_token": page_token(["1"], issued_at=at)})
            assert_problem(answer, 410, "page-expired")
        answer = await client.get("/v1/audit", params={"page_token": page_token(["9" * 16])})
        assert answer.json()["items"]


async def test_a_key_of_applications_opens_flags_alone() -> None:
    """X-API-Key is no credential elsewhere, not even an operator's token."""
    async with serving() as plane, asking(plane, None) as client:
        headers = {"X-API-Key": OPERATOR.secret}
        for path in ("/v1/releases", "/metrics", "/v1/ofrep/"):
            assert_problem(await client.get(path, headers=headers), 401, "unauthenticated")
        answer = await client.post("/ofrep/v1/evaluate/flags/voice.level", json={}, headers=headers)
        assert answer.status_code == 200


async def test_a_log_that_cannot_be_read_is_no_fault_of_the_request() -> None:
    """503, which may be asked again, and not a 500."""
    async with serving() as plane, asking(plane, VIEWER) as client:
        plane.store._database.execute("ALTER TABLE audit RENAME TO lost")
        problem = assert_problem(await client.get("/v1/audit"), 503, "backend-unavailable")
        assert "the log cannot be read" in problem["detail"]


async def test_a_plane_that_cannot_write_is_not_ready(tmp_path: Path) -> None:
    """From the first write that failed, a refusal that could not be logged too, until the disk takes one."""
    store = Store.open(tmp_path / "plane.db")
    store.seed(example(), NOW)
    async with serving(store) as plane, asking(plane, OPERATOR) as client, asking(plane, VIEWER) as viewer:
        body = {"from": {"level": 0.3}, "level": 0.1, "reason": "load"}
        etag = await etag_of(client, CELL)
        writes = ((client, etag), (viewer, etag))
        for asker, tag in writes:
            store._database.execute("PRAGMA query_only=ON")
            answer = await post(asker, f"{CELL}:set", body, tag)
            assert_problem(answer, 503, "backend-unavailable")
            for _ in range(2):
                assert (await client.get("/readyz")).status_code == 503
            assert (await client.get(CELL)).status_code == 200
            store._database.execute("PRAGMA query_only=OFF")
            assert (await client.get("/readyz")).status_code == 200
        assert (await post(client, f"{CELL}:set", body, etag)).status_code == 200
    store.close()
