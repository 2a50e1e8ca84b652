"""The published client of feature flags against the embedded plane: what an application would obey."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode, OpenFeatureError

from collectors.control.server import ofrep, parsing
from tests.integration.control_serving import FLAGS, OPERATOR, Serving, serving

pytestmark = pytest.mark.slow

USER_1 = EvaluationContext("user-1", {"tier": "free"})
USER_2 = EvaluationContext("user-2", {"tier": "free"})


def provider(plane: Serving, token: str = FLAGS.secret) -> OFREPProvider:
    """The client as an application sets it up, with a token that may evaluate flags and nothing else."""
    return OFREPProvider(plane.url, headers_factory=lambda: {"Authorization": f"Bearer {token}"})


async def asked(question: Callable[..., Any], *arguments: object) -> Any:
    """Ask on a thread: the client blocks, and the server runs on this loop."""
    return await asyncio.to_thread(question, *arguments)


async def test_throttles_are_obeyed_by_the_published_client() -> None:
    """At 30 % it admits user-2 and not user-1, tells the level as a float, and follows the next change."""
    async with serving() as plane:
        client = provider(plane)
        plane.store.set_level(
            "image-generation", "free", 0.3, now=plane.clock(), actor="bob", reason="a test"
        )
        flag = "image-generation"
        one = await asked(client.resolve_boolean_details, flag, True, USER_1)
        two = await asked(client.resolve_boolean_details, flag, False, USER_2)
        level = await asked(client.resolve_float_details, f"{flag}.level", 1.0, USER_1)
        assert (one.value, two.value, level.value) == (False, True, 0.3)
        assert (two.variant, two.flag_metadata["tier"]) == ("on", "free")
        plane.store.set_level("image-generation", "free", 1.0, now=plane.clock(), actor="bob", reason="done")
        assert (await asked(client.resolve_boolean_details, flag, False, USER_1)).value is True
        assert (await asked(client.resolve_float_details, f"{flag}.level", 0.0, USER_1)).value == 1.0


async def test_releases_are_obeyed_by_the_published_client() -> None:
    """The weight is the desired exposure of the tier, and an advance is followed at the next question."""
    async with serving() as plane:
        client = provider(plane)
        release = plane.store.held.releases["llama-70b"]
        before = {one.tier: one.desired for one in release.status.exposure}
        for tier, share in before.items():
            user = EvaluationContext("user-1", {"tier": tier})
            weight = await asked(client.resolve_float_details, "release.llama-70b.weight", 0.5, user)
            assert weight.value == share
        plane.store.move_to(
            "llama-70b", release.stages[-1].id, now=plane.clock(), actor="alice", reason="p99 steady"
        )
        last = release.stages[-1]
        user = EvaluationContext("user-1", {"tier": last.tier})
        opened = await asked(client.resolve_boolean_details, "release.llama-70b", False, user)
        assert opened.value is (ofrep.share_of("release.llama-70b", "user-1") < last.weight)


async def test_whole_levels_reach_the_client_as_floats() -> None:
    """0.0 and 1.0: an integer would make the client fall back to the application's default."""
    async with serving() as plane:
        client = provider(plane)
        for level in (0.0, 1.0):
            plane.store.set_level("voice", "free", level, now=plane.clock(), actor="bob", reason="a test")
            assert (await asked(client.resolve_float_details, "voice.level", 0.5, USER_1)).value == level


async def test_mistakes_reach_the_client_as_its_own_errors() -> None:
    """No such flag, nobody to draw for, a token that is not known: each its own code, never a default."""
    async with serving() as plane:
        client = provider(plane)
        for flag, user, code in (
            ("nothing", USER_1, ErrorCode.FLAG_NOT_FOUND),
            ("release.nothing", USER_1, ErrorCode.FLAG_NOT_FOUND),
            ("voice", None, ErrorCode.TARGETING_KEY_MISSING),
        ):
            with pytest.raises(OpenFeatureError) as raised:
                await asked(client.resolve_boolean_details, flag, True, user)
            assert raised.value.error_code == code
        with pytest.raises(OpenFeatureError) as raised:
            await asked(provider(plane, "wrong").resolve_boolean_details, "voice", True, USER_1)
        assert raised.value.error_code == ErrorCode.GENERAL


async def test_all_flags_at_once_and_again_unchanged() -> None:
    """One answer with every flag; asked again with its tag 304 and no body; another context is no match."""
    async with serving() as plane, httpx.AsyncClient(base_url=plane.url) as client:
        headers = {"X-API-Key": FLAGS.secret}
        body = {"context": {"targetingKey": "user-1", "tier": "free"}}
        first = await client.post(ofrep.PATH, json=body, headers=headers)
        assert first.status_code == 200
        keys = [one["key"] for one in first.json()["flags"]]
        assert keys == list(ofrep.flag_keys(plane.store.held))
        assert all("value" in one and "variant" in one for one in first.json()["flags"])
        tagged = headers | {"If-None-Match": first.headers["etag"]}
        again = await client.post(ofrep.PATH, json=body, headers=tagged)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
        other = {"context": {"targetingKey": "user-2", "tier": "free"}}
        assert (await client.post(ofrep.PATH, json=other, headers=tagged)).status_code == 200
        plane.store.set_level("voice", "free", 0.5, now=plane.clock(), actor="bob", reason="a test")
        changed = await client.post(ofrep.PATH, json=body, headers=tagged)
        assert changed.status_code == 200
        assert changed.json()["metadata"]["seq"] > first.json()["metadata"]["seq"]


async def test_an_applications_token_may_not_read_or_write() -> None:
    """Scope `ofrep` evaluates flags and nothing else; an operator's token may evaluate them too."""
    async with serving() as plane, httpx.AsyncClient(base_url=plane.url) as client:
        flags = {"Authorization": f"Bearer {FLAGS.secret}"}
        assert (await client.get("/v1/throttles", headers=flags)).status_code == 403
        person = {"Authorization": f"Bearer {OPERATOR.secret}"}
        answer = await client.post(f"{ofrep.PATH}/voice.level", json={}, headers=person)
        assert (answer.status_code, answer.json()["value"]) == (200, 1.0)
        too_long = await client.post(ofrep.PATH, content=b" " * 70_000, headers=flags)
        assert too_long.status_code == 413


async def test_a_body_that_does_not_arrive_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """400 once its time is over; and who leaves in the middle is no fault of the server."""
    async with serving() as plane:
        server_log = logging.getLogger("uvicorn.error")
        monkeypatch.setattr(server_log, "level", logging.ERROR)
        monkeypatch.setattr(server_log, "handlers", [caplog.handler])
        host, port = plane.url.removeprefix("http://").split(":")
        head = (
            f"POST {ofrep.PATH}/voice HTTP/1.1\r\nHost: x\r\nX-API-Key: {FLAGS.secret}\r\n"
            "Content-Length: 90\r\n\r\n{"
        )
        _, leaving = await asyncio.open_connection(host, int(port))
        leaving.write(head.encode())
        await leaving.drain()
        leaving.close()
        await leaving.wait_closed()
        monkeypatch.setattr(parsing, "BODY_S", 0.2)
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head.encode())
        async with asyncio.timeout(60):
            assert b" 400 " in await reader.readline()
            assert b"did not arrive within" in await reader.readuntil(b"}")
        writer.close()
    assert not caplog.records
