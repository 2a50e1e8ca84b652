"""A proxy before a server that loses, delays, doubles and cuts requests and replies, by a seeded draw.

It reads HTTP/1.1 as our own client and server speak it: one message at a time, its length in a header.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

Address = tuple[str, int]


class Odds(NamedTuple):
    """How often each fault befalls a request, of one. What is left passes unharmed.

    lose_request: never reaches the server; lose_reply: the server has it, the client hears nothing
    cut_reply: the client gets a part of the reply; double: the server gets the request twice
    delay: it arrives late, by up to `delay_s`
    """

    lose_request: float = 0.0
    lose_reply: float = 0.0
    cut_reply: float = 0.0
    double: float = 0.0
    delay: float = 0.0
    delay_s: float = 0.05


class FaultProxy:
    """Passes requests on to `server`, with faults by `odds`. Both may be changed while it runs."""

    def __init__(self, server: Address, seed: int, odds: Odds) -> None:
        self.server, self.odds = server, odds
        self.done: Counter[str] = Counter()
        self._random = random.Random(seed)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Its URL, while the block lasts."""
        listening = await asyncio.start_server(self._client, "127.0.0.1", 0)
        host, port = listening.sockets[0].getsockname()[:2]
        try:
            yield f"http://{host}:{port}"
        finally:
            listening.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while (request := await _message(reader)) and await self._passed(request, writer):
                pass
        writer.close()

    async def _passed(self, request: bytes, writer: asyncio.StreamWriter) -> bool:
        """Pass one request on. False if the client's connection is to be closed."""
        fault = self._fault()
        self.done[fault] += 1
        if fault == "lose_request":
            return False
        if fault == "delay":
            await asyncio.sleep(self._random.uniform(0, self.odds.delay_s))
        reply = await self._asked(request)
        if fault == "double":
            reply = await self._asked(request)
        if not reply or fault == "lose_reply":
            return False
        if fault == "cut_reply":
            reply = reply[: self._random.randrange(len(reply))]
        writer.write(reply)
        await writer.drain()
        return fault != "cut_reply"

    def _fault(self) -> str:
        drawn, odds = self._random.random(), self.odds
        for name in ("lose_request", "lose_reply", "cut_reply", "double", "delay"):
            share: float = getattr(odds, name)
            if drawn < share:
                return name
            drawn -= share
        return "none"

    async def _asked(self, request: bytes) -> bytes:
        """The server's reply; nothing where it is not there, or dies on the way."""
        try:
            reader, writer = await asyncio.open_connection(*self.server)
        except OSError:
            return b""
        try:
            writer.write(request)
            await writer.drain()
            return await _message(reader)
        except (OSError, asyncio.IncompleteReadError):
            return b""
        finally:
            writer.close()


async def _message(reader: asyncio.StreamReader) -> bytes:
    """One HTTP message with its body; nothing at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return b""
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return head + await reader.readexactly(length)
