"""A control plane served in the test's own event loop, a server that says what a test tells it to, and a
client that follows either."""

import asyncio
import json
import math
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette

from collectors.control.http import Timing
from collectors.control.interface import PlaneState, PlaneUpdate
from collectors.control.native import NativePlane
from collectors.control.server.access import Access, Token
from collectors.control.server.app import Limits, plane_app
from collectors.control.server.serve import EXAMPLE_SEED, PlaneServer
from collectors.control.server.store import Store
from collectors.control.server.stream import StreamLimits

NOW = 1795280400.0
ADMIN = Token("secret-of-alice", "alice", "release-admin")
OPERATOR = Token("secret-of-bob", "bob", "operator")
VIEWER = Token("secret-of-carol", "carol", "viewer")
FLAGS = Token("secret-of-app", "app", "viewer", "ofrep")


@dataclass
class Clock:
    """A plane's clock that moves when told."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Serving:
    """A plane being served."""

    url: str
    store: Store
    clock: Clock
    app: Starlette


def example() -> dict[str, Any]:
    """The seed that the package brings, parsed."""
    document: dict[str, Any] = json.loads(EXAMPLE_SEED.read_text())
    return document


def seeded() -> Store:
    """A store in memory with the example seed."""
    store = Store.open(None)
    store.seed(example(), NOW)
    return store


@asynccontextmanager
async def serving(
    store: Store | None = None,
    *,
    port: int = 0,
    limits: Limits | None = None,
    stream: StreamLimits | None = None,
    tokens: Sequence[Token] = (),
) -> AsyncIterator[Serving]:
    """Serve `store` (the example by default) on 127.0.0.1 until the block ends. `tokens`: more of them."""
    held, clock = store or seeded(), Clock()
    app = plane_app(
        held,
        clock=clock,
        access=Access([ADMIN, OPERATOR, VIEWER, FLAGS, *tokens]),
        limits=limits,
        stream=stream,
    )
    # The protocol is named so that asyncio turns Nagle's algorithm off: else every answer takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_level="critical",
        access_log=False,
        ws="none",
        timeout_graceful_shutdown=1,
    )
    server = PlaneServer(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield Serving(f"http://127.0.0.1:{listener.getsockname()[1]}", held, clock, app)
    finally:
        server.should_exit = True
        await task


Reply = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def answering(reply: Reply) -> AsyncIterator[str]:
    """A server that answers every request by `reply(head of the request, writer)`; yields its URL."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            await reply(head, writer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            # The client left, as clients do.
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def response(
    body: bytes, content_type: str = "application/json", status: str = "200 OK", extra: str = ""
) -> bytes:
    """A whole HTTP answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{extra}"
    return f"{head}Connection: close\r\n\r\n".encode() + body


QUICK = Timing(first_retry_s=0.05, last_retry_s=0.2, watch_retry_s=60, health_s=0.3, read_s=2, dead_s=2)


def followed(
    url: str, *, token: str | None = VIEWER.secret, timing: Timing = QUICK, **more: Any
) -> NativePlane:
    """A client with short waits."""
    return NativePlane(url, lambda: token, timing=timing, poll_s=0.05, **more)


@asynccontextmanager
async def following(url: str, **more: Any) -> AsyncIterator[AsyncIterator[PlaneUpdate]]:
    """The updates of a client that lives as long as the block."""
    async with aclosing(followed(url, **more)) as client, aclosing(client.updates()) as updates:
        yield updates


async def until(
    updates: AsyncIterator[PlaneUpdate], holds: Callable[[PlaneUpdate], bool], within_s: float = 60
) -> PlaneUpdate:
    """The first update for which `holds`."""
    seen: list[PlaneUpdate] = []
    try:
        async with asyncio.timeout(within_s):
            async for update in updates:
                seen.append(update)
                if holds(update):
                    return update
    except TimeoutError:
        raise AssertionError(f"never; the last was {seen[-1:]}") from None
    raise AssertionError("the updates ended")


def has_state(update: PlaneUpdate) -> bool:
    """Whether it brings a state."""
    return update.state is not None


def state_of(update: PlaneUpdate) -> PlaneState:
    """Its state, which is there."""
    assert update.state is not None
    return update.state


def level(update: PlaneUpdate, feature: str = "voice", tier: str = "free") -> float | None:
    """The level of a cell in an update's state; NaN where it brings none."""
    if update.state is None:
        return math.nan
    return next(one.level for one in update.state.throttles if (one.feature, one.tier) == (feature, tier))


def scripted(
    *,
    throttles: list[dict[str, Any]] | None = None,
    releases: list[dict[str, Any]] | None = None,
    stream: str | None = None,
    seq: int = 5,
    requests: list[str] | None = None,
) -> AbstractAsyncContextManager[str]:
    """A plane in a few lines: its lists, no log, and one stream (None: it has none)."""

    async def reply(head: str, writer: asyncio.StreamWriter) -> None:
        path = head.split(" ")[1].split("?")[0]
        if requests is not None:
            requests.append(head)
        if path == "/v1/watch":
            if stream is None:
                writer.write(response(b"{}", "application/problem+json", "501 Not Implemented"))
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
            writer.write(stream.encode())
            await writer.drain()
            await asyncio.sleep(1)
            return
        items: list[dict[str, Any]] = {"/v1/releases": releases, "/v1/throttles": throttles}.get(path) or []
        bodies: dict[str, Any] = {
            "/v1/capabilities": {
                "api_version": "v1",
                "operations": {"watch": {"supported": True, "allowed": True}},
            },
            "/v1/audit": None,
        }
        body = bodies.get(path, {"items": items, "seq": seq, "next_page_token": None})
        if body is None:
            writer.write(response(b"{}", "application/problem+json", "404 Not Found"))
        else:
            writer.write(response(json.dumps(body).encode()))

    return answering(reply)
