"""The embedded control plane over HTTP: contract v1.

The app holds no globals and reads no clock but the one it is given, so that a simulated world can mount it.
It needs no lifespan: time's work (expiry, gates) is done before every answer and by every open stream.
"""

import asyncio
import logging
import re
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import NoReturn, ParamSpec, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from collectors.control import wire
from collectors.control.server import lists, ofrep, parsing, rules
from collectors.control.server.access import Access, Caller
from collectors.control.server.commands import Done
from collectors.control.server.exposition import exposition
from collectors.control.server.problems import (
    Envelope,
    Problem,
    answer_http_exception,
    answer_problem,
    invalid,
    not_found,
)
from collectors.control.server.seed import ID_PATTERN
from collectors.control.server.state import Entry
from collectors.control.server.store import AuditQuery, Store, StoreError
from collectors.control.server.stream import EventStream, StreamLimits, Streams
from collectors.intents import OPERATIONS
from collectors.text import clean

logger = logging.getLogger(__name__)

_RELEASE_OPERATIONS = ("advance", "pause", "resume", "abort", "retry", "rollback", "set_weight")
_THROTTLE_OPERATIONS = ("set", "clear")
_AUDIT_FILTERS = ("resource", "actor", "op", "result", "decision_id", "since", "until")

_ID, _SEQ = re.compile(ID_PATTERN), re.compile("[0-9]{1,16}")
"""What a page of each list can end with."""

Given = ParamSpec("Given")
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server allows, published in its capabilities beside what its store keeps (`StoreLimits`).

    The defaults are the contract's. confirm_s: this server answers every write at once, with its outcome
    """

    page_max: int = 500
    body_max_bytes: int = 65_536
    writes_per_min: int = 60
    watchers_per_token: int = 8
    confirm_s: int = 10


def plane_app(
    store: Store,
    *,
    clock: Callable[[], float],
    access: Access,
    limits: Limits | None = None,
    stream: StreamLimits | None = None,
    version: str = "0.1.0",
) -> Starlette:
    """The app that serves `store`.

    clock: seconds since the epoch, of the plane: simulated in a demo
    `app.state.streams.close()`, called before the server stops, sends every reader its `bye`.
    """
    limits = limits or Limits()
    stream = stream or StreamLimits(per_token=limits.watchers_per_token)
    plane = _Plane(store, clock, limits, stream, version)
    flags = ofrep.Flags(store, plane.settle, limits.body_max_bytes)
    app = Starlette(
        routes=[
            Route("/healthz", plane.health),
            Route("/readyz", plane.readiness),
            Route("/metrics", plane.metrics),
            Route("/v1/capabilities", plane.capabilities),
            Route("/v1/releases", plane.releases),
            Route("/v1/releases", plane.register, methods=["POST"]),
            Route("/v1/releases/{id}:{op}", plane.release_write, methods=["POST"]),
            Route("/v1/releases/{id}", plane.release),
            Route("/v1/throttles", plane.throttles),
            Route("/v1/throttles/{feature}/{tier}:{op}", plane.throttle_write, methods=["POST"]),
            Route("/v1/throttles/{feature}/{tier}", plane.throttle),
            Route("/v1/operations/{id}", plane.operation),
            Route("/v1/audit", plane.audit),
            Route("/v1/watch", plane.watch),
            Route(ofrep.PATH, flags.bulk, methods=["POST"]),
            Route(f"{ofrep.PATH}/{{key:path}}", flags.single, methods=["POST"]),
        ],
        middleware=[Middleware(Envelope, access=access, clock=clock)],
        exception_handlers={
            Problem: answer_problem,
            HTTPException: answer_http_exception,
            StoreError: _answer_store_error,
        },
    )
    app.state.streams = plane.streams
    return app


async def _answer_store_error(request: Request, error: Exception) -> Response:
    problem = Problem(503, "backend-unavailable", "The store failed", str(error))
    return problem.response(request.scope)


@dataclass(slots=True)
class _Plane:
    """The endpoints, bound to their store and clock."""

    store: Store
    clock: Callable[[], float]
    limits: Limits
    stream: StreamLimits
    version: str
    streams: Streams = field(default_factory=Streams)
    _writes: defaultdict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    _refused: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def health(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readiness(self, request: Request) -> Response:
        await self.settle(is_asked=True)
        is_ready = bool(self.store.held.config.tiers) and not self.streams.is_closing and not self.store.fault
        return PlainTextResponse("ready\n" if is_ready else "not ready\n", 200 if is_ready else 503)

    async def metrics(self, request: Request) -> Response:
        await self._reading(request)
        body, media_type = exposition(self.store.held, self._refused + Counter(self.store.write_counts))
        return Response(body, media_type=media_type)

    async def capabilities(self, request: Request) -> Response:
        caller = await self._reading(request)
        held = self.store.held
        body = wire.Capabilities(
            api_version="v1",
            server=wire.Server("tidegate", self.version, held.config.instance),
            adapter="native",
            seq=held.seq,
            actor=caller.actor,
            role=caller.role,
            operations={name: _operation(name, caller) for name in OPERATIONS},
            tiers=held.config.tiers,
            default_tier=held.config.default_tier,
            features=held.config.features,
            throttle_units=held.config.throttle_units,
            limits=self._published_limits(),
        )
        return _json(wire.render(body))

    async def releases(self, request: Request) -> Response:
        await self._reading(request)
        held, now = self.store.held, self.clock()
        ask = lists.asked(request, (), key=(_ID,), page_max=self.limits.page_max, now=now)
        after = ask.place.key[0] if ask.place else ""
        found = [one for one in held.releases.values() if one.id > after]
        return lists.answer_list(
            request,
            ask,
            found[: ask.limit + 1],
            seq=held.seq,
            now=now,
            key=lambda one: (one.id,),
            body=lambda one: wire.render(rules.with_gate(one, now)),
        )

    async def release(self, request: Request) -> Response:
        _only_posted(request.path_params["id"])
        await self._reading(request)
        lists.single_parameters(request, ())
        found = self.store.held.releases.get(request.path_params["id"])
        if found is None:
            raise not_found(f"no release {clean(request.path_params['id'])}; GET /v1/releases lists them")
        return _json(wire.render(rules.with_gate(found, self.clock())), found.etag)

    async def throttles(self, request: Request) -> Response:
        await self._reading(request)
        held, now = self.store.held, self.clock()
        ask = lists.asked(request, (), key=(_ID, _ID), page_max=self.limits.page_max, now=now)
        after = ask.place.key if ask.place else ("", "")
        found = [cell for key, cell in held.throttles.items() if key > after]
        return lists.answer_list(
            request,
            ask,
            found[: ask.limit + 1],
            seq=held.seq,
            now=now,
            key=lambda cell: (cell.feature, cell.tier),
            body=wire.render,
        )

    async def throttle(self, request: Request) -> Response:
        _only_posted(request.path_params["tier"])
        await self._reading(request)
        lists.single_parameters(request, ())
        feature, tier = request.path_params["feature"], request.path_params["tier"]
        found = self.store.held.throttles.get((feature, tier))
        if found is None:
            raise not_found(f"no cell {clean(f'{feature}/{tier}')}; GET /v1/throttles lists them")
        return _json(wire.render(found), found.etag)

    async def operation(self, request: Request) -> Response:
        await self._reading(request)
        raise not_found("no such operation: this server answers every request at once")

    async def audit(self, request: Request) -> Response:
        await self._reading(request)
        now = self.clock()
        ask = lists.asked(request, _AUDIT_FILTERS, key=(_SEQ,), page_max=self.limits.page_max, now=now)
        seq = self.store.held.seq
        query = _audit_query(ask)
        entries = await asyncio.to_thread(self.store.audit, query, ask.limit + 1)
        return lists.answer_list(
            request,
            ask,
            entries,
            seq=seq,
            now=now,
            key=lambda entry: (str(entry[0]),),
            body=lambda entry: entry[1],
        )

    async def watch(self, request: Request) -> Response:
        caller = await self._reading(request)
        given = lists.single_parameters(request, ("since",)).get("since")
        text = request.headers.get("last-event-id", given)
        since = None
        if text is not None:
            if not (text.isascii() and text.isdigit() and len(text) < 17):
                raise invalid("since", "since and Last-Event-ID are a seq: a whole number")
            since = int(text)
            if not self.store.floor <= since <= self.store.held.seq:
                raise Problem(
                    410,
                    "seq-gone",
                    "Events no longer kept",
                    f"events after {self.store.floor} up to {self.store.held.seq} are kept; list again",
                )
        return EventStream(  # type: ignore[return-value]  # an ASGI response, which is all the router calls
            self.store,
            self.streams,
            self.stream,
            token=caller.name,
            ends_at=caller.expires_at,
            since=since,
            clock=self.clock,
            settle=self.settle,
        )

    async def register(self, request: Request) -> Response:
        return await self.write(request, "release.register")

    async def release_write(self, request: Request) -> Response:
        name = request.path_params["op"]
        if name not in _RELEASE_OPERATIONS:
            raise not_found(f"no operation {clean(name)}; there are: {', '.join(_RELEASE_OPERATIONS)}")
        return await self.write(request, f"release.{name}")

    async def throttle_write(self, request: Request) -> Response:
        name = request.path_params["op"]
        if name not in _THROTTLE_OPERATIONS:
            raise not_found(f"no operation {clean(name)}; there are: {', '.join(_THROTTLE_OPERATIONS)}")
        return await self.write(request, f"throttle.{name}")

    async def write(self, request: Request, operation: str) -> Response:
        """One of the contract's writes, or its dry run."""
        is_tried = request.query_params.get("dry_run") == "true"
        try:
            command = await parsing.command_of(
                request,
                operation,
                await self._writer(request, operation, is_tried=is_tried),
                config=self.store.held.config,
                body_max_bytes=self.limits.body_max_bytes,
                ttl_max_s=self.store.limits.ttl_max_s,
            )
        except Problem:
            if not is_tried:
                self._refused[operation, "refused"] += 1
            raise
        await self.settle()
        if is_tried:
            return _json(await self._stored(self.store.rehearse, command, now=self.clock()))
        done = await self._stored(self.store.apply, command, now=self.clock())
        return _answer(done, request.scope.get("root_path", "") + command.resource)

    async def _writer(self, request: Request, operation: str, *, is_tried: bool) -> Caller:
        """Who writes. raises: Problem 429 and 403; 400 for the name of a person acted for."""
        if not is_tried:
            self._count_write(request)
        caller = await self._known(request, operation, is_logged=not is_tried)
        if why := caller.why_not(operation):
            detail = f"{operation}: {why}; {clean(caller.actor)} is {caller.role}"
            await self._forbid(request, caller, operation, detail, is_logged=not is_tried)
        return caller

    async def _known(self, request: Request, operation: str, *, is_logged: bool = True) -> Caller:
        """The caller, or the person that it acts for. raises: Problem 403, 400"""
        token: Caller = request.state.caller
        try:
            return parsing.acting_caller(token, request)
        except Problem as problem:
            if problem.status == 403:
                await self._forbid(request, token, operation, problem.detail, is_logged=is_logged)
            raise

    async def _forbid(
        self, request: Request, caller: Caller, operation: str, detail: str, *, is_logged: bool
    ) -> NoReturn:
        """Log that the caller may not, and say so. raises: Problem 403; 429 for too many of them"""
        if is_logged:
            # An entry costs what a write costs, whatever was asked: else who may only read fills the log.
            self._count_write(request)
            entry = Entry(
                caller.actor,
                operation,
                "",
                role=caller.role,
                via=caller.via,
                result="refused",
                code="forbidden",
                request_id=request.state.request_id,
            )
            resource = clean(request.url.path.partition(":")[0], 256)
            await self._stored(self.store.record, entry, resource, now=self.clock())
        raise Problem(403, "forbidden", "Not allowed", detail)

    def _count_write(self, request: Request) -> None:
        """Count the request, once. raises: Problem 429"""
        if getattr(request.state, "is_counted", False):
            return
        token: Caller = request.state.caller
        now, times = asyncio.get_running_loop().time(), self._writes[token.name]
        while times and times[0] <= now - 60:
            times.popleft()
        if len(times) >= self.limits.writes_per_min:
            raise Problem(
                429,
                "rate-limited",
                "Too many writes",
                f"{self.limits.writes_per_min} writes a minute are allowed; wait, then repeat",
                headers={"Retry-After": str(int(times[0] + 60 - now) + 1)},
            )
        times.append(now)
        request.state.is_counted = True

    async def _reading(self, request: Request) -> Caller:
        """The caller, who may read; time's work is done first, so that what is read is in force."""
        token: Caller = request.state.caller
        if token.scope == "ofrep":
            detail = "this token may evaluate flags only; use one without the scope ofrep"
            await self._forbid(request, token, "read", detail, is_logged=True)
        caller = await self._known(request, "read")
        await self.settle()
        return caller

    async def _stored(self, call: Callable[Given, Found], *args: Given.args, **kwargs: Given.kwargs) -> Found:
        """What the store answers; where it waits for a disk, not on the event loop."""
        if self.store.is_file:
            # A thread that the process waits for at its end: what was begun is carried out before it ends.
            return await asyncio.to_thread(call, *args, **kwargs)
        return call(*args, **kwargs)

    def _published_limits(self) -> dict[str, int]:
        kept = self.store.limits
        return asdict(self.limits) | {
            "ttl_max_s": kept.ttl_max_s,
            "idempotency_retention_s": int(kept.idempotency_retention_s),
            "event_retention_s": int(kept.event_retention_s),
        }

    async def settle(self, *, is_asked: bool = False) -> None:
        """Do time's work. `is_asked`: and see whether a fault of the store has gone."""
        now, fault = self.clock(), self.store.fault
        if now < self.store.held.next_due and not (is_asked and fault):
            return
        try:
            await self._stored(self.store.tick, now)
        except StoreError as error:
            # What is held is still what is in force, and may be read; /readyz tells that it cannot change.
            if not fault:
                logger.error("%s", error)


def _operation(name: str, caller: Caller) -> wire.Operation:
    why = "" if name == "watch" else caller.why_not(name)
    return wire.Operation(True, not why, why)


def _only_posted(name: str) -> None:
    """raises: HTTPException 405 where an operation's path is asked for: ids hold no colon."""
    if ":" in name:
        raise HTTPException(405, headers={"Allow": "POST"})


def _audit_query(ask: lists.Asked) -> AuditQuery:
    filters: Mapping[str, str] = ask.filters
    times: dict[str, float | None] = {"since": None, "until": None}
    for name in times:
        if name in filters:
            try:
                times[name] = wire.read_time(filters[name])
            except ValueError as error:
                raise invalid(name, str(error)) from error
    return AuditQuery(
        resource=filters.get("resource"),
        actor=filters.get("actor"),
        op=filters.get("op"),
        result=filters.get("result"),
        decision_id=filters.get("decision_id"),
        since=times["since"],
        until=times["until"],
        below=int(ask.place.key[0]) if ask.place else None,
    )


def _answer(done: Done, resource: str) -> Response:
    """What became of a write. `resource`: its path, told where it is new."""
    answer = _json(done.body, done.etag)
    answer.status_code = done.status
    answer.headers["Tidegate-Audit-Id"] = done.audit_id
    if done.status == 201:
        answer.headers["Location"] = resource
    if done.replayed:
        answer.headers["Idempotency-Replayed"] = "true"
    return answer


def _json(body: bytes, etag: str | None = None) -> Response:
    headers = {} if etag is None else {"ETag": f'"{etag}"'}
    return Response(body, headers=headers, media_type="application/json; charset=utf-8")
