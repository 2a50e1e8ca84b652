"""The embedded plane over a real socket: contract v1, reading side. Writing has a file of its own."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import httpx

from collectors.control.server.access import Token
from collectors.control.server.app import Limits
from collectors.control.server.store import AuditQuery, Store
from collectors.control.server.stream import StreamLimits
from collectors.intents import OPERATIONS
from collectors.text import clean
from tests.integration.control_serving import ADMIN, FLAGS, NOW, OPERATOR, VIEWER, Serving, example, serving

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Made once: each client would else read every certificate of this machine, for connections without TLS."""


def asking(plane: Serving, token: Token | None = VIEWER) -> httpx.AsyncClient:
    """A client of the plane."""
    headers = {} if token is None else {"Authorization": f"Bearer {token.secret}"}
    return httpx.AsyncClient(base_url=plane.url, headers=headers, trust_env=False, verify=NO_TLS)


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The answer is that problem, whole."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["code"] == code
    assert body["type"] == f"urn:tidegate:problem:{code}"
    assert body["status"] == status
    assert body["instance"] == clean(answer.request.url.path)
    assert body["request_id"] == answer.headers["tidegate-request-id"]
    assert set(body) >= {"title", "detail", "retryable"}
    assert ("outcome" in body) == (status >= 500)
    return body


async def test_every_answer_is_stamped_and_never_cached() -> None:
    """Errors and open pages too carry the server's time and a request id."""
    async with serving() as plane, asking(plane) as client:
        for path in ("/healthz", "/v1/releases", "/nope", "/v1/releases?x=1", "/metrics"):
            answer = await client.get(path)
            assert answer.headers["tidegate-time"] == "2026-11-21T17:00:00.000Z"
            assert answer.headers["tidegate-request-id"]
            assert answer.headers["cache-control"] == "no-store"


async def test_capabilities_tell_the_truth_for_each_role() -> None:
    """What the role may not is told with the role it needs; limits are published as they are in force."""
    async with serving(limits=Limits(page_max=50)) as plane, asking(plane, OPERATOR) as client:
        body = (await client.get("/v1/capabilities")).json()
        assert (body["api_version"], body["actor"], body["role"]) == ("v1", "bob", "operator")
        assert body["operations"]["watch"] == {"supported": True, "allowed": True}
        assert set(body["operations"]) == set(OPERATIONS)
        for name in ("throttle.set", "throttle.ramp", "release.pause", "dry_run"):
            assert body["operations"][name] == {"supported": True, "allowed": True}
        for name in ("release.advance", "release.override_gate", "release.register"):
            needed = {"supported": True, "allowed": False, "why": "needs release-admin"}
            assert body["operations"][name] == needed
        async with asking(plane, VIEWER) as viewer:
            theirs = (await viewer.get("/v1/capabilities")).json()["operations"]
        assert theirs["dry_run"] == {"supported": True, "allowed": False, "why": "needs operator"}
        assert theirs["watch"] == {"supported": True, "allowed": True}
        assert body["tiers"] == ["pro", "plus", "free"]
        assert body["limits"] == {
            "page_max": 50,
            "body_max_bytes": 65_536,
            "writes_per_min": 60,
            "watchers_per_token": 8,
            "ttl_max_s": 604_800,
            "confirm_s": 10,
            "idempotency_retention_s": 86_400,
            "event_retention_s": 600,
        }
        assert body["features"][0] == {"id": "chat", "title": "Chat", "models": ["llama-70b"]}


async def test_who_is_not_known_gets_nothing_but_health() -> None:
    """401 on unknown paths and writes too; /healthz and /readyz are open; flag tokens read nothing."""
    async with serving() as plane, asking(plane, None) as client:
        for path in ("/v1/capabilities", "/v1/watch", "/metrics", "/nope", "/"):
            answer = await client.get(path)
            assert_problem(answer, 401, "unauthenticated")
            assert answer.headers["www-authenticate"] == "Bearer"
        assert_problem(await client.post("/v1/throttles/voice/free:set"), 401, "unauthenticated")
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 200
        wrong = {"Authorization": f"Bearer {VIEWER.secret}x"}
        assert_problem(await client.get("/v1/releases", headers=wrong), 401, "unauthenticated")
    async with serving() as plane, asking(plane, FLAGS) as client:
        assert_problem(await client.get("/v1/releases"), 403, "forbidden")
        assert_problem(await client.get("/metrics"), 403, "forbidden")
        entry = plane.store.audit(AuditQuery(actor="app"), 1)[0][1]
        assert b'"op":"read","resource":"/metrics"' in entry


async def test_lists_page_in_order_and_say_when_nothing_changed() -> None:
    """Every cell once, in order of (feature, tier), over pages that repeat the first page's seq; then 304."""
    async with serving() as plane, asking(plane) as client:
        found, token, seqs = [], None, set()
        for _ in range(10):
            parameters = {"limit": "5"} | ({"page_token": token} if token else {})
            body = (await client.get("/v1/throttles", params=parameters)).json()
            found += [(one["feature"], one["tier"]) for one in body["items"]]
            seqs.add(body["seq"])
            token = body["next_page_token"]
            plane.store.set_level("voice", "free", 0.5 + len(found) / 100, now=NOW, actor="a", reason="load")
            if token is None:
                break
        assert found == sorted(plane.store.held.throttles)
        assert len(seqs) == 1
        first = await client.get("/v1/releases")
        tag = first.headers["etag"]
        assert tag == f'W/"{plane.store.held.seq}"'
        again = await client.get("/v1/releases", headers={"If-None-Match": tag})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        plane.store.observe("llama-70b", {"pro": 0.9}, now=NOW)
        assert (await client.get("/v1/releases", headers={"If-None-Match": tag})).status_code == 200


async def test_page_tokens_age_and_belong_to_their_list() -> None:
    """410 after 10 minutes; 400 for another list's, other filters' or nobody's."""
    async with serving() as plane, asking(plane) as client:
        token = (await client.get("/v1/throttles?limit=1")).json()["next_page_token"]
        assert_problem(await client.get(f"/v1/releases?page_token={token}"), 400, "invalid-request")
        assert_problem(await client.get("/v1/throttles?page_token=nonsense"), 400, "invalid-request")
        assert_problem(await client.get("/v1/throttles?page_token=%FF%FE"), 400, "invalid-request")
        plane.clock.now += 600
        assert (await client.get(f"/v1/throttles?page_token={token}")).status_code == 200
        plane.clock.now += 1
        assert_problem(await client.get(f"/v1/throttles?page_token={token}"), 410, "page-expired")


WRONG_PARAMETERS = [
    ("/v1/releases?limit=0", "limit"),
    ("/v1/releases?limit=501", "limit"),
    ("/v1/releases?limit=-1", "limit"),
    ("/v1/releases?limit=٣", "limit"),
    ("/v1/releases?limit=" + "9" * 5000, "limit"),
    ("/v1/releases?lmit=1", "lmit"),
    ("/v1/releases?limit=1&limit=2", "limit"),
    ("/v1/releases/llama-70b?fields=id", "fields"),
    ("/v1/audit?since=yesterday", "since"),
    ("/v1/watch?since=-1", "since"),
    ("/v1/watch?since=1e3", "since"),
]


async def test_a_wrong_parameter_is_named() -> None:
    """400 with the parameter and what is allowed, so that a misspelt one cannot vanish."""
    async with serving() as plane, asking(plane) as client:
        for path, pointer in WRONG_PARAMETERS:
            body = assert_problem(await client.get(path), 400, "invalid-request")
            assert body["errors"][0]["pointer"] == pointer
            assert body["errors"][0]["detail"]


async def test_one_resource_and_its_strong_tag() -> None:
    """The header is the body's etag in quotes; telemetry moves neither; a change of the setting does."""
    async with serving() as plane, asking(plane) as client:
        first = await client.get("/v1/releases/llama-70b")
        assert first.headers["etag"] == f'"{first.json()["etag"]}"'
        plane.store.observe("llama-70b", {"pro": 0.9}, now=NOW)
        plane.clock.now += 60
        later = await client.get("/v1/releases/llama-70b", headers={"If-None-Match": first.headers["etag"]})
        assert later.status_code == 200
        assert later.headers["etag"] == first.headers["etag"]
        assert later.json()["status"]["gate"]["checks"][0]["detail"] == "60 of 900 s"
        cell = await client.get("/v1/throttles/image-generation/free")
        assert (cell.json()["level"], cell.json()["expires_at"]) == (0.3, "2026-11-21T19:00:00Z")
        plane.clock.now = NOW + 7200
        opened = await client.get("/v1/throttles/image-generation/free")
        assert opened.json()["level"] == 1.0
        assert opened.headers["etag"] != cell.headers["etag"]
        assert "revert_to" not in opened.json()


NOT_THERE = [
    "/v1/releases/none",
    "/v1/throttles/voice/nobody",
    "/v1/throttles/voice",
    "/v1/operations/op-1",
    "/v2",
    "/v1/releases/%1b%5b31m",
]


async def test_what_is_not_there_is_a_problem() -> None:
    """404 as a problem, with the name cleaned."""
    async with serving() as plane, asking(plane) as client:
        for path in NOT_THERE:
            body = assert_problem(await client.get(path), 404, "not-found")
            assert "\x1b" not in body["detail"]


async def test_writes_are_refused_in_the_contracts_order() -> None:
    """429 before 403 before 415; a 403 is in the log; wrong methods and operations are problems."""
    async with serving(limits=Limits(writes_per_min=4)) as plane:
        async with asking(plane, ADMIN) as client:
            for path in ("/v1/releases", "/v1/releases/llama-70b:advance", "/v1/throttles/voice/free:set"):
                assert_problem(await client.post(path), 415, "bad-media-type")
            assert_problem(await client.put("/v1/throttles/voice/free"), 405, "method-not-allowed")
            assert_problem(await client.post("/v1/releases/llama-70b:launch"), 404, "not-found")
        async with asking(plane, OPERATOR) as client:
            assert_problem(await client.post("/v1/throttles/voice/free:clear"), 415, "bad-media-type")
            for _ in range(3):
                assert_problem(await client.post("/v1/releases/llama-70b:advance"), 403, "forbidden")
            limited = await client.post("/v1/releases/llama-70b:advance")
            assert assert_problem(limited, 429, "rate-limited")["retryable"] is True
            assert 1 <= int(limited.headers["retry-after"]) <= 61
            entry = (await client.get("/v1/audit?result=refused&limit=1")).json()["items"][0]
            assert (entry["actor"], entry["op"], entry["code"]) == ("bob", "release.advance", "forbidden")
            assert entry["resource"] == "/v1/releases/llama-70b"


async def test_the_log_is_read_newest_first_with_filters_and_pages() -> None:
    """Seeds are in it; filters narrow it; pages go on where they stopped."""
    async with serving() as plane, asking(plane) as client:
        plane.store.set_level("voice", "free", 0.5, now=NOW + 60, actor="bob", reason="load")
        items = (await client.get("/v1/audit")).json()["items"]
        assert [one["seq"] for one in items] == sorted((one["seq"] for one in items), reverse=True)
        assert items[0]["actor"] == "bob"
        assert {one["actor"] for one in items[1:]} == {"system:seed"}
        page = (await client.get("/v1/audit?limit=2")).json()
        second = (await client.get(f"/v1/audit?limit=2&page_token={page['next_page_token']}")).json()
        assert [one["id"] for one in page["items"] + second["items"]] == [one["id"] for one in items[:4]]
        found = (await client.get("/v1/audit", params={"resource": "/v1/throttles/voice/free"})).json()
        assert [one["id"] for one in found["items"]] == [items[0]["id"]]
        found = (await client.get("/v1/audit", params={"since": "2026-11-21T17:00:30Z"})).json()
        assert len(found["items"]) == 1


async def test_metrics_for_prometheus() -> None:
    """Stage, desired and observed weight apart, and levels; what was not seen has no sample."""
    async with serving() as plane, asking(plane) as client:
        plane.store.observe("llama-70b", {"plus": 0.246}, now=NOW)
        answer = await client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        lines = answer.text.splitlines()
        assert 'tidegate_release_stage_index{subject="llama-70b"} 1.0' in lines
        assert not any('stage_index{subject="deep-research"' in line for line in lines)
        weights = 'tidegate_release_weight_ratio{kind="%s",subject="llama-70b",tier="plus"} %s'
        assert weights % ("desired", "0.25") in lines
        assert weights % ("observed", "0.246") in lines
        assert not any('kind="observed"' in line and 'tier="free"' in line for line in lines)
        assert 'tidegate_throttle_level_ratio{feature="image-generation",tier="free"} 0.3' in lines


async def events(answer: httpx.Response, count: int) -> list[str]:
    """The next pieces of a stream, up to the blank line each."""
    text, pieces = "", list[str]()
    async with asyncio.timeout(60):
        async for chunk in answer.aiter_text():
            text += chunk
            *whole, text = text.split("\n\n")
            pieces += whole
            if len(pieces) >= count:
                return pieces
    raise AssertionError(f"the stream ended after {pieces}")


async def test_the_stream_says_hello_and_then_what_changes() -> None:
    """Without `since` only what is new; ids are seqs; objects are whole; a heartbeat in silence."""
    async with serving(stream=StreamLimits(heartbeat_s=0.3)) as plane, asking(plane) as client:
        seq = plane.store.held.seq
        async with client.stream("GET", "/v1/watch") as answer:
            assert answer.headers["content-type"] == "text/event-stream"
            plane.store.set_level("voice", "free", 0.5, now=NOW, actor="bob", reason="load")
            hello, throttle, audit, beat = (await events(answer, 4))[:4]
        assert hello.startswith("event: hello\ndata: ")
        assert f'"seq":{seq}' in hello
        assert throttle.startswith(f"id: {seq + 1}\nevent: throttle\n")
        assert '"return_ramp_per_min":0.1' in throttle
        assert audit.startswith(f"id: {seq + 2}\nevent: audit\n")
        assert beat == ": hb 2026-11-21T17:00:00.000Z"


async def test_a_stream_resumes_and_refuses_what_is_gone() -> None:
    """Last-Event-ID wins over `since`; below the floor and above its own seq: 410."""
    async with serving() as plane, asking(plane) as client:
        seq = plane.store.held.seq
        head = {"Last-Event-ID": str(seq - 2)}
        async with client.stream("GET", "/v1/watch?since=0", headers=head) as answer:
            hello, one, two = (await events(answer, 3))[:3]
        assert f'"resumed_from":{seq - 2}' in hello
        assert (one.split("\n")[0], two.split("\n")[0]) == (f"id: {seq - 1}", f"id: {seq}")
        assert_problem(await client.get(f"/v1/watch?since={seq + 1}"), 410, "seq-gone")
        for number in range(1000):
            plane.store.set_level("voice", "free", number % 7 / 7, now=NOW + 1, actor="a", reason="load")
        plane.store.set_level("voice", "free", 1.0, now=NOW + 1000, actor="a", reason="load")
        assert_problem(await client.get("/v1/watch?since=0"), 410, "seq-gone")


async def test_time_alone_reaches_the_stream() -> None:
    """A throttle that runs out is told to who watches, though nobody asks anything."""
    async with serving() as plane, asking(plane) as client, client.stream("GET", "/v1/watch") as answer:
        plane.clock.now = NOW + 7200
        pieces = await events(answer, 3)
        assert any('"actor":"system:expiry"' in piece for piece in pieces)


async def test_a_store_that_cannot_write_is_still_read(tmp_path: Path) -> None:
    """What is held is in force and served; /readyz says that it cannot change; when it can again, it does."""
    store = Store.open(tmp_path / "plane.db")
    store.seed(example(), NOW)
    async with serving(store) as plane, asking(plane) as client:
        store._database.execute("PRAGMA query_only=ON")
        plane.clock.now = NOW + 7200
        answer = await client.get("/v1/throttles/image-generation/free")
        assert (answer.status_code, answer.json()["level"]) == (200, 0.3)
        assert (await client.get("/readyz")).status_code == 503
        store._database.execute("PRAGMA query_only=OFF")
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.get("/v1/throttles/image-generation/free")).json()["level"] == 1.0
    store.close()


async def test_one_stream_too_many_is_refused_and_a_closed_one_gives_its_place() -> None:
    """429 with Retry-After beyond the limit; after one ended there is room again."""
    limits = StreamLimits(per_token=2)
    async with serving(stream=limits) as plane, asking(plane) as client:
        async with client.stream("GET", "/v1/watch") as first, client.stream("GET", "/v1/watch") as second:
            await events(first, 1)
            await events(second, 1)
            refused = await client.get("/v1/watch")
            assert_problem(refused, 429, "rate-limited")
            assert refused.headers["retry-after"]
            async with asking(plane, ADMIN) as other, other.stream("GET", "/v1/watch") as third:
                assert third.status_code == 200
        async with asyncio.timeout(60):
            while plane.app.state.streams.open.total():
                await asyncio.sleep(0.01)
        async with client.stream("GET", "/v1/watch") as again:
            assert again.status_code == 200


async def test_a_reader_that_falls_behind_is_sent_away() -> None:
    """Its stream ends with bye, slow-consumer, instead of costing memory without end."""
    async with serving(stream=StreamLimits(backlog=50)) as plane, asking(plane) as client:
        async with client.stream("GET", "/v1/watch") as answer:
            # More than the sockets' buffers hold, while nobody reads.
            for number in range(300):
                plane.store.set_level(
                    "voice", "free", number % 7 / 7, now=NOW, actor="a", reason="x" * 50_000
                )
                await asyncio.sleep(0)
            text = b""
            async with asyncio.timeout(60):
                async for chunk in answer.aiter_raw():
                    text = text[-200:] + chunk
        assert text.endswith(b'event: bye\ndata: {"why":"slow-consumer"}\n\n')


async def test_stopping_says_bye() -> None:
    """Who watches is told why the stream ends, at once."""
    async with asyncio.timeout(60):
        async with serving() as plane, asking(plane) as client:
            async with client.stream("GET", "/v1/watch") as answer:
                plane.app.state.streams.close()
                assert (await events(answer, 2))[-1] == 'event: bye\ndata: {"why":"shutdown"}'
            assert (await client.get("/readyz")).status_code == 503
