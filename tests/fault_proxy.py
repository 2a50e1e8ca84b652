"""A proxy before a server that loses, delays, doubles and cuts requests and replies, by a seeded draw.

It reads HTTP/1.1 as our own client and server speak it: one message at a time, its length in a header.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple, TypeVar

Address = tuple[str, int]
Found = TypeVar("Found")


class Odds(NamedTuple):
    """How often each fault befalls a request, of one. What is left passes unharmed.

    lose_request: never reaches the server
    cut_request: the server gets a part of it, and then the end of the connection
    late_request: the client hears nothing; the server gets it later, by up to `late_s`
    lose_reply: the server has it, the client's connection ends
    hold_reply: the server has it, the client hears nothing on a connection that stays
    cut_reply: the client gets a part of the reply
    double_reply: the client gets the reply twice, the second time by up to `delay_s` later
    double: the server gets the request twice, one after the other; twin: twice at one moment
    delay: it arrives late, by up to `delay_s`; delay_reply: so does its reply
    """

    lose_request: float = 0.0
    cut_request: float = 0.0
    late_request: float = 0.0
    lose_reply: float = 0.0
    hold_reply: float = 0.0
    cut_reply: float = 0.0
    double_reply: float = 0.0
    double: float = 0.0
    twin: float = 0.0
    delay: float = 0.0
    delay_reply: float = 0.0
    delay_s: float = 0.05
    late_s: float = 0.15


FAULTS = tuple(name for name in Odds._fields if not name.endswith("_s"))
NO_FAULTS = Odds()


class FaultProxy:
    """Passes requests on to `server`, with faults by `odds`. All of them may be changed while it runs.

    reads: the odds of what only asks (GET), where they are others
    done: requests by method and fault, "none" among them; "no_server" counts those that found none
    sending: set each time that a POST goes to the server; whoever waits for the next one clears it
    """

    def __init__(self, server: Address, seed: int, odds: Odds, reads: Odds | None = None) -> None:
        self.server, self.odds, self.reads = server, odds, odds if reads is None else reads
        self.done: Counter[tuple[str, str]] = Counter()
        self.sending = asyncio.Event()
        self._random = random.Random(seed)
        self._tasks: set[asyncio.Task[Any]] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Its URL, while the block lasts."""
        listening = await asyncio.start_server(self._client, "127.0.0.1", 0)
        host, port = listening.sockets[0].getsockname()[:2]
        try:
            yield f"http://{host}:{port}"
        finally:
            listening.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def quiet(self) -> None:
        """Wait until nothing is under way to the server any more, whoever waits for it."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while request := await _message(reader):
                    if not await self._later(self._passed(request, reader, writer)):
                        break
        finally:
            writer.close()

    async def _passed(
        self, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Pass one request on. False if the client's connection is to be closed."""
        method = request[: request.index(b" ")].decode()
        odds = self.reads if method == "GET" else self.odds
        fault = self._fault(odds)
        self.done[method, fault] += 1
        if fault == "lose_request":
            return False
        if fault == "cut_request":
            await self._asked(request[: self._random.randrange(len(request))], is_whole=False)
            return False
        if fault == "late_request":
            self._later(self._asked_late(request, self._random.uniform(0, odds.late_s)))
            return False
        if fault == "delay":
            await asyncio.sleep(self._random.uniform(0, odds.delay_s))
        twin = self._later(self._asked(request)) if fault == "twin" else None
        reply = await self._asked(request)
        if fault == "double":
            reply = await self._asked(request)
        if twin is not None:
            await twin
        if not reply:
            self.done[method, "no_server"] += 1
        if not reply or fault == "lose_reply":
            return False
        if fault == "hold_reply":
            # The client gives up, which ends the connection.
            await reader.read(1)
            return False
        if fault == "delay_reply":
            await asyncio.sleep(self._random.uniform(0, odds.delay_s))
        if fault == "cut_reply":
            reply = reply[: self._random.randrange(len(reply))]
        writer.write(reply)
        await writer.drain()
        if fault == "double_reply":
            await asyncio.sleep(self._random.choice((0.0, self._random.uniform(0, odds.delay_s))))
            writer.write(reply)
            await writer.drain()
        return fault != "cut_reply"

    def _fault(self, odds: Odds) -> str:
        drawn = self._random.random()
        for name in FAULTS:
            share: float = getattr(odds, name)
            if drawn < share:
                return name
            drawn -= share
        return "none"

    def _later(self, work: Coroutine[object, object, Found]) -> "asyncio.Task[Found]":
        # Held here: where its client has left, nothing else holds it.
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _asked_late(self, request: bytes, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        await self._asked(request)

    async def _asked(self, request: bytes, *, is_whole: bool = True) -> bytes:
        """The server's reply; nothing where it is not there, or dies on the way."""
        try:
            reader, writer = await asyncio.open_connection(*self.server)
        except OSError:
            return b""
        try:
            writer.write(request)
            if request.startswith(b"POST"):
                self.sending.set()
            await writer.drain()
            if not is_whole:
                writer.write_eof()
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
