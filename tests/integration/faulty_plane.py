"""A small control plane that keeps its connections open and does to each write what a test tells it to."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

AT = "2026-11-21T17:00:00Z"
CELL = {
    "kind": "throttle",
    "feature": "image-generation",
    "tier": "free",
    "seq": 410,
    "etag": "t-8",
    "level": 0.3,
    "unit": "share",
    "limit": None,
    "baseline": None,
    "state": "applied",
    "effective_level": 0.3,
    "ramp_per_min": None,
    "return_ramp_per_min": 0.1,
    "expires_at": None,
    "last_change": None,
}


@dataclass(frozen=True)
class Request:
    """One request, as it came in. `connection`: number of the one it came by; `at`: when, by the loop."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    connection: int
    at: float

    @property
    def document(self) -> dict[str, Any]:
        """Its body, parsed."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


Step = Callable[["FaultyPlane", Request, asyncio.StreamWriter], Awaitable[None]]
"""What is done about one write."""


@dataclass
class FaultyPlane:
    """Cells by (feature, tier). `steps` are taken by the writes in turn; those after them are well done."""

    cells: dict[tuple[str, str], dict[str, Any]]
    steps: list[Step] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    answers: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    log: list[dict[str, Any]] = field(default_factory=list)
    operations: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    api_version: str = "v1"
    can_dry_run: bool = True
    has_log: bool = True
    is_hidden: bool = False
    time: str = AT
    doubled_reads: int = 0
    url: str = ""
    changed: int = 500

    @property
    def writes(self) -> list[Request]:
        """Every write that came in, dry runs left out."""
        return [one for one in self.requests if one.method == "POST" and not one.query]

    def applied(self, request: Request) -> tuple[bytes, str]:
        """Carry a write out, once for its key; its answer's body and audit id."""
        key = request.headers["idempotency-key"]
        if key not in self.answers:
            feature, tier = request.path.split("/")[3], request.path.split("/")[4].split(":")[0]
            cell, self.changed = self.cells[feature, tier], self.changed + 1
            before = cell["level"]
            audit = f"a-{self.changed}"
            change = {"audit_id": audit, "op": "throttle.set", "actor": "alice", "reason": "why", "at": AT}
            cell |= {"level": request.document["level"], "effective_level": request.document["level"]}
            cell |= {"seq": self.changed, "etag": f"t-{self.changed}", "last_change": change}
            self.answers[key] = json.dumps(cell).encode(), audit
            self.log.append(self.entry(request, audit, before))
        return self.answers[key]

    def entry(self, request: Request, audit: str, before: float, result: str = "applied") -> dict[str, Any]:
        """The line of the log that a write leaves."""
        return {
            "id": audit,
            "seq": self.changed,
            "at": AT,
            "actor": "alice",
            "op": "throttle.set",
            "resource": request.path.split(":")[0],
            "result": result,
            "decision_id": request.document["decision_id"],
            "idempotency_key": request.headers["idempotency-key"],
            "before": {"level": before},
            "after": {"level": request.document["level"]},
        }

    def moved(self, level: float, actor: str = "bob", feature: str = "image-generation") -> None:
        """Somebody else sets a cell."""
        self.changed += 1
        change = {"audit_id": "a-9", "op": "throttle.set", "actor": actor, "reason": "mine", "at": AT}
        cell = self.cells[feature, "free"]
        cell |= {"level": level, "etag": f"t-{self.changed}", "seq": self.changed, "last_change": change}


def answer(body: object, status: str = "200 OK", extra: str = "", kind: str = "application/json") -> bytes:
    """A whole answer on a connection that stays open, with an id of its own."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    number = next(_NUMBERS)
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(text)}\r\n"
    return f"{head}Tidegate-Time: {AT}\r\nTidegate-Request-Id: q-{number}\r\n{extra}\r\n".encode() + text


_NUMBERS = iter(range(1, 1_000_000))


def problem(status: str, code: str, detail: str = "", extra: str = "", **members: Any) -> Step:
    """Answer with a problem, and do nothing."""

    async def step(plane: FaultyPlane, request: Request, writer: asyncio.StreamWriter) -> None:
        body = {"code": code, "detail": detail, "title": code, **members}
        writer.write(answer(body, status, extra, "application/problem+json"))

    return step


async def well(plane: FaultyPlane, request: Request, writer: asyncio.StreamWriter) -> None:
    """Carry it out and answer, as a plane does."""
    is_replay = request.headers["idempotency-key"] in plane.answers
    body, audit = plane.applied(request)
    replayed = "Idempotency-Replayed: true\r\n" if is_replay else ""
    writer.write(answer(body, extra=f"Tidegate-Audit-Id: {audit}\r\n{replayed}"))


async def lost_before(plane: FaultyPlane, request: Request, writer: asyncio.StreamWriter) -> None:
    """The connection ends before anything is done."""
    writer.close()


async def lost_after(plane: FaultyPlane, request: Request, writer: asyncio.StreamWriter) -> None:
    """It is carried out, and the connection ends before the answer."""
    plane.applied(request)
    writer.close()


async def truncated(plane: FaultyPlane, request: Request, writer: asyncio.StreamWriter) -> None:
    """It is carried out, and the answer ends half-way."""
    body, audit = plane.applied(request)
    whole = answer(body, extra=f"Tidegate-Audit-Id: {audit}\r\n")
    writer.write(whole[: len(whole) - len(body) // 2])
    await writer.drain()
    writer.close()


async def reset(plane: FaultyPlane, request: Request, writer: asyncio.StreamWriter) -> None:
    """It is carried out, and the connection is reset."""
    plane.applied(request)
    held: socket.socket = writer.get_extra_info("socket")
    held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def silent(plane: FaultyPlane, request: Request, writer: asyncio.StreamWriter) -> None:
    """It is carried out, and no answer comes for as long as anybody waits."""
    plane.applied(request)
    await asyncio.sleep(0.5)
    writer.close()


async def garbled(plane: FaultyPlane, request: Request, writer: asyncio.StreamWriter) -> None:
    """It is carried out, and a page of something in between is the answer."""
    plane.applied(request)
    writer.write(answer(b"<html>welcome</html>", kind="text/html"))


def accepted(name: str) -> Step:
    """202 with an operation, which ends as `plane.operations[name]` says."""

    async def step(plane: FaultyPlane, request: Request, writer: asyncio.StreamWriter) -> None:
        plane.applied(request)
        body = {"kind": "operation", "id": name, "state": "running"}
        extra = f"Location: /v1/operations/{name}\r\nTidegate-Audit-Id: a-{plane.changed}\r\n"
        writer.write(answer(body, "202 Accepted", extra))

    return step


async def _read(plane: FaultyPlane, request: Request, writer: asyncio.StreamWriter) -> None:
    parts = request.path.strip("/").split("/")
    body: Any = None
    if plane.is_hidden and parts[1] != "capabilities":
        writer.write(answer(b"<html>nothing here</html>", "404 Not Found", kind="text/html"))
        return
    if parts[1] == "capabilities":
        dry = {"supported": plane.can_dry_run, "allowed": plane.can_dry_run}
        operations = {"dry_run": dry, "throttle.set": {"supported": True, "allowed": True}}
        body = {
            "api_version": plane.api_version,
            "actor": "alice",
            "role": "operator",
            "operations": operations,
        }
    elif parts[1] == "throttles" and len(parts) == 4:
        body = plane.cells.get((parts[2], parts[3]))
    elif parts[1] == "operations" and parts[2] in plane.operations:
        states = plane.operations[parts[2]]
        body = {"id": parts[2]} | (states.pop(0) if len(states) > 1 else states[0])
    elif parts[1] == "audit" and plane.has_log:
        wanted = request.query.get("decision_id")
        items = [one for one in reversed(plane.log) if not wanted or one["decision_id"] == wanted[0]]
        body = {"items": items, "seq": 1, "next_page_token": None}
    if body is None:
        problem_body = {"code": "not-found", "detail": "nothing is here"}
        writer.write(answer(problem_body, "404 Not Found", kind="application/problem+json"))
        return
    stamped = answer(body).replace(AT.encode(), plane.time.encode(), 1)
    is_doubled = plane.doubled_reads > 0 and parts[1] == "throttles"
    plane.doubled_reads -= is_doubled
    writer.write(stamped * (2 if is_doubled else 1))


@asynccontextmanager
async def faulty_plane(*steps: Step, cells: int = 1) -> AsyncIterator[FaultyPlane]:
    """Serve a plane with `cells` cells, image-generation/free first, until the block ends."""
    names = ["image-generation", "voice", "chat"][:cells]
    plane = FaultyPlane({(name, "free"): CELL | {"feature": name} for name in names}, list(steps))
    connections = iter(range(1, 10_000))
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, task = next(connections), asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, target, _ = head[0].split(" ")
                headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                parts = urlsplit(target)
                at = asyncio.get_running_loop().time()
                request = Request(method, parts.path, parse_qs(parts.query), headers, body, number, at)
                plane.requests.append(request)
                if method == "GET":
                    await _read(plane, request, writer)
                elif request.query:
                    writer.write(answer({"would_apply": True, "changes": _planned(plane, request)}))
                else:
                    step = plane.steps.pop(0) if plane.steps else well
                    await step(plane, request, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            # The client left, as clients do, or the test is over.
            pass
        finally:
            running.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    plane.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield plane
    finally:
        server.close()
        for task in tuple(running):
            task.cancel()
        if running:
            await asyncio.wait(running)


def _planned(plane: FaultyPlane, request: Request) -> list[dict[str, Any]]:
    now = plane.cells[request.path.split("/")[3], "free"]["level"]
    return [{"path": "/level", "from": now, "to": request.document["level"]}]
