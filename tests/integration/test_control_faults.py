"""What the native plane says when there is no plane, or one that lies: sentences, never an exception."""

import asyncio
import json
import re
import socket
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any

import pytest

from collectors.control.http import Timing
from collectors.control.interface import PlaneError
from collectors.fleet import SourceState
from collectors.text import LIMIT
from tests.integration.control_serving import (
    ADMIN,
    FLAGS,
    answering,
    followed,
    following,
    has_state,
    level,
    response,
    scripted,
    serving,
    state_of,
    until,
)


def health_error(url: str, **more: Any) -> Coroutine[Any, Any, str]:
    """The sentence a following client shows first."""

    async def asked() -> str:
        async with aclosing(followed(url, **more)) as client, aclosing(client.updates()) as updates:
            update = await until(updates, lambda one: one.health.state is SourceState.LOST)
            assert update.state is None
            with pytest.raises(PlaneError, match=re.escape(update.health.error[:20])):
                await client.read()
            return update.health.error

    return asked()


async def test_a_wrong_or_missing_token_is_a_sentence() -> None:
    """401 with and without a token, 403; each with what to do, none with the token."""
    async with serving() as plane:
        wrong = await health_error(plane.url, token="secret-of-mallory")
        assert "401" in wrong
        assert "TIDEGATE_TOKEN" in wrong
        assert "mallory" not in wrong
        assert "no token was found" in await health_error(plane.url, token=None)
        assert "ask for the role viewer" in await health_error(plane.url, token=FLAGS.secret)
        unfit = await health_error(plane.url, token="line\nbreak")
        assert "characters that no header can carry" in unfit
        assert "break" not in unfit


async def test_an_echoed_token_is_not_shown() -> None:
    """A server that puts the token into its problem does not get it onto the screen."""

    async def reply(head: str, writer: asyncio.StreamWriter) -> None:
        body = json.dumps({"code": "forbidden", "detail": f"you sent {ADMIN.secret}"}).encode()
        writer.write(response(body, "application/problem+json", "500 Oops"))

    async with answering(reply) as url:
        error = await health_error(url, token=ADMIN.secret)
    assert "you sent (token)" in error
    assert ADMIN.secret not in error
    assert ADMIN.secret not in repr(followed(url, token=ADMIN.secret))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (response(b"<html>login</html>", "text/html"), "a web page where application/json is due"),
        (
            response(b"", "text/html", "302 Found", "Location: http://sso/login\r\n"),
            "sends us on to http://sso/login",
        ),
        (response(b"not json"), "something this tidegate cannot read"),
        (response(b'{"api_version":"v1","actor":"\\ud800"}'), "something this tidegate cannot read"),
        (response(b'{"api_version":"v1","x":' + b"[" * 100_000), "nested too deeply"),
        (response(b"[]"), "something this tidegate cannot read"),
        (response(b'{"api_version":"v2"}'), "speaks 'v2' and this tidegate v1; update tidegate"),
        (response(b"x" * 3_000_000), "more than 2097152 bytes"),
        (response(b"{}", extra="Content-Encoding: gzip\r\n"), "compressed although told not to"),
        (response(b"nope", "text/plain", "404 Not Found"), "check that the URL is a control plane"),
        (response(b"nope", "text/plain", "503 Busy"), "answers /v1/capabilities with 503"),
        (response(b"{", "application/problem+json", "500 Oops"), "answers /v1/capabilities with 500"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "broke off"),
        (b"", "broke off"),
    ],
    ids=lambda one: str(one)[:12] if isinstance(one, str) else "",
)
async def test_what_is_no_plane_is_a_sentence(answer: bytes, said: str) -> None:
    """Web pages, redirects, garbage, other versions, floods and other protocols: named, with the mend."""

    async def reply(head: str, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    async with answering(reply) as url:
        error = await health_error(url)
    assert said in error
    assert error.startswith(f"ctl at {url} ")
    assert len(error) <= 500


async def test_nobody_there_is_a_sentence(free_port: int) -> None:
    """A closed port, a name that is none, TLS where there is none, silence."""
    assert "refuses the connection: nothing listens there" in await health_error(
        f"http://127.0.0.1:{free_port}"
    )
    assert "cannot be resolved" in await health_error("http://no-such-host.invalid")
    assert "cannot be used" in await health_error("https://xn--")
    assert "cannot be used" in await health_error("http://☃..")
    async with serving() as plane:
        error = await health_error(plane.url.replace("http:", "https:"))
        assert "does not speak TLS" in error

    async def silent(head: str, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1)

    async with answering(silent) as url:
        timing = Timing(read_s=0.1, health_s=0.2)
        assert "was silent for 0.1 s on /v1/capabilities" in await health_error(url, timing=timing)


@pytest.fixture
def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:9911",
        "ftp://x",
        "http://",
        "http://u:p4ss@host",
        "http://h:99999",
        "http://h/?q=1",
        "http://[::1",
    ],
)
def test_a_url_that_is_none_is_refused_at_once(url: str) -> None:
    """Before anything is asked, with an example, and without a password that was in it."""
    with pytest.raises(PlaneError, match=r"http://|TIDEGATE_TOKEN") as caught:
        followed(url)
    assert "p4ss" not in str(caught.value)


async def test_one_bad_object_does_not_cost_the_others() -> None:
    """What cannot be read is left out and named; the rest is shown; health says partial."""
    good = {"feature": "f", "tier": "t", "seq": 5, "etag": "e", "level": 0.5}
    bad = [good | {"tier": "u", "level": 30}, good | {"tier": "v", "expires_at": "soon"}, {"feature": "w"}, 5]
    release = {"id": "r", "seq": 5, "etag": "e", "candidate": "c", "subject": {"kind": "planet", "name": "x"}}
    cells: list[Any] = [good, *bad]
    async with scripted(throttles=cells, releases=[release]) as url, following(url) as updates:
        update = await until(updates, has_state)
    assert [(one.feature, one.tier) for one in state_of(update).throttles] == [("f", "t")]
    assert state_of(update).releases == ()
    assert update.health.state is SourceState.PARTIAL
    said = "\n".join(update.health.warnings)
    assert "a throttle f/u is left out" in said
    assert "a release r is left out: its subject is a 'planet'" in said


async def test_hostile_text_is_cleaned_wherever_it_comes_in() -> None:
    """Escapes and a megabyte of name in lists and streams reach nobody's terminal."""
    evil = "\x1b[2J\u202e" + "n" * 1_000_000
    cell = {"feature": evil, "tier": "t", "seq": 5, "etag": evil[:9], "level": 0.5, "unit": evil[:9]}
    async with scripted(throttles=[cell]) as url, aclosing(followed(url)) as client:
        state = await client.read()
    shown = state.throttles[0]
    assert shown.unit == "unknown"
    # A rev that could not be sent back as it came is none.
    assert shown.etag == ""
    assert shown.feature == "[2J" + "n" * (LIMIT - 4) + "…"


@pytest.mark.parametrize(
    "stream",
    [
        "event: throttle\ndata: oops\n\n",
        'event: throttle\ndata: {"seq":6,"object":{"feature":"f"}}\n\nevent: bye\ndata: {"why":"x"}\n\n',
        "data: " + "x" * 1_200_000,
        "event: bye\ndata: 7\n\n",
        'event: hello\ndata: {"seq":1}\n\n',
        "\x00\x01\x02",
    ],
)
async def test_a_stream_of_garbage_is_survived(stream: str) -> None:
    """The state stays, health says why it is lost, and the plane is asked again."""
    cell = {"feature": "f", "tier": "t", "seq": 5, "etag": "e", "level": 0.5}
    requests: list[str] = []
    async with scripted(throttles=[cell], stream=stream, requests=requests) as url, following(url) as updates:
        assert level(await until(updates, has_state), "f", "t") == 0.5
        lost = await until(updates, lambda one: one.health.state is SourceState.LOST)
        assert lost.health.error
        assert len(lost.health.error) <= 500
        await until(updates, lambda one: sum("/v1/watch" in head for head in requests) >= 2)


async def test_endless_pages_are_refused() -> None:
    """A list that never ends costs a bounded number of requests."""

    async def reply(head: str, writer: asyncio.StreamWriter) -> None:
        body = {"items": [], "seq": 1, "next_page_token": "again"}
        if "/v1/capabilities" in head:
            body = {"api_version": "v1"}
        writer.write(response(json.dumps(body).encode()))

    async with answering(reply) as url, aclosing(followed(url)) as client:
        with pytest.raises(PlaneError, match="lists /v1/releases without end"):
            await client.read()


def test_warnings_about_an_unsafe_connection() -> None:
    """A token over plain http beyond this machine is said, as is a certificate nobody checks."""
    assert followed("http://10.0.0.1:9911")._http.warnings() == (
        "the token travels to 10.0.0.1 unencrypted: use https",
    )
    assert followed("http://127.0.0.1:9911")._http.warnings() == ()
    assert "not checked" in followed("https://h", verify=False)._http.warnings()[0]
