"""The event stream (SSE) of `GET /v1/watch`. Source: control contract, section 11."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from starlette.types import Receive, Scope, Send

from collectors.control import wire
from collectors.control.server.problems import Problem
from collectors.control.server.store import Store

TICK_S = 0.5
"""How often a stream looks whether time alone has changed something: the plane's clock may be simulated."""


@dataclass(slots=True)
class Streams:
    """The streams of one app: how many each token has, and the word that ends them all."""

    open: Counter[str] = field(default_factory=Counter)
    is_closing: bool = False
    _wakers: set[Callable[[], None]] = field(default_factory=set)

    def close(self) -> None:
        """Send every stream its `bye` and end it, and refuse new ones. Call from the app's event loop."""
        self.is_closing = True
        for wake in tuple(self._wakers):
            wake()


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """heartbeat_s: between comments; backlog: events a reader may fall behind; stuck_s: longest it may
    take for the network to accept one piece; per_token: streams of one token."""

    heartbeat_s: float = 15.0
    backlog: int = 1000
    stuck_s: float = 60.0
    per_token: int = 8


class _Ended(Exception):
    """The reader is gone."""


class EventStream:
    """An ASGI response that follows the store from `since`, until the token `ends_at`."""

    def __init__(
        self,
        store: Store,
        streams: Streams,
        limits: StreamLimits,
        *,
        token: str,
        ends_at: float | None,
        since: int | None,
        clock: Callable[[], float],
        settle: Callable[[], Awaitable[None]],
    ) -> None:
        self._store, self._streams, self._limits = store, streams, limits
        self._token, self._ends_at = token, ends_at
        self._since, self._clock, self._settle = since, clock, settle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse one stream too many (429), else send until reader or server ends it."""
        if self._streams.open[self._token] >= self._limits.per_token:
            raise Problem(
                429,
                "rate-limited",
                "Too many streams",
                f"this token has {self._limits.per_token} open streams already; close one, or list and poll",
                headers={"Retry-After": "5"},
            )
        headers = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()

        def wake() -> None:
            # From whichever thread committed; a loop that is closing has no reader left to wake.
            if not loop.is_closed():
                loop.call_soon_threadsafe(changed.set)

        forget = self._store.listen(wake)
        self._streams._wakers.add(wake)
        self._streams.open[self._token] += 1
        gone = asyncio.create_task(_disconnected(receive, changed))
        try:
            await self._follow(send, changed, gone)
        except (_Ended, TimeoutError):
            return
        finally:
            gone.cancel()
            forget()
            self._streams._wakers.discard(wake)
            self._streams.open[self._token] -= 1

    async def _follow(self, send: Send, changed: asyncio.Event, gone: "asyncio.Task[None]") -> None:
        async def write(*pieces: bytes) -> None:
            if gone.done():
                raise _Ended
            async with asyncio.timeout(self._limits.stuck_s):
                await send({"type": "http.response.body", "body": b"".join(pieces), "more_body": True})

        async def end(why: str) -> None:
            await write(_event("bye", wire.render({"why": why})))
            await send({"type": "http.response.body", "body": b""})

        loop = asyncio.get_running_loop()
        held = self._store.held
        config, start = held.config, held.seq
        cursor = start if self._since is None else self._since
        hello = {
            "seq": held.seq,
            "server_time": wire.render_time(self._clock(), millis=True),
            "heartbeat_s": self._limits.heartbeat_s,
            "resumed_from": self._since,
        }
        await write(_event("hello", wire.render(hello)))
        beat = loop.time() + self._limits.heartbeat_s
        while True:
            changed.clear()
            await self._settle()
            if self._streams.is_closing:
                await end("shutdown")
                return
            if self._ends_at is not None and self._clock() >= self._ends_at:
                await end("token-expired")
                return
            waiting = self._store.events_after(cursor)
            # Catching up with what was kept before the stream began is no reader's fault.
            if cursor < self._store.floor or (cursor >= start and len(waiting) > self._limits.backlog):
                await end("slow-consumer")
                return
            if self._store.held.config is not config:
                config = self._store.held.config
                await write(_event("capabilities", b"{}"))
            # A few at a time, so that falling behind is noticed between two pieces.
            for one in waiting[:50]:
                await write(_event(one.kind, one.data, one.seq))
                cursor, beat = one.seq, loop.time() + self._limits.heartbeat_s
            if waiting:
                continue
            if loop.time() >= beat:
                await write(b": hb ", wire.render_time(self._clock(), millis=True).encode(), b"\n\n")
                beat = loop.time() + self._limits.heartbeat_s
            try:
                async with asyncio.timeout(min(TICK_S, max(beat - loop.time(), 0))):
                    await changed.wait()
            except TimeoutError:
                # Time itself may have changed something: look again.
                pass
            if gone.done():
                return


async def _disconnected(receive: Receive, changed: asyncio.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    changed.set()


def _event(kind: str, data: bytes, seq: int | None = None) -> bytes:
    """One event as text. JSON has no raw line breaks, so one data line holds it."""
    return b"%bevent: %b\ndata: %b\n\n" % (b"" if seq is None else b"id: %d\n" % seq, kind.encode(), data)
