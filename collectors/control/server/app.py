"""The embedded control plane over HTTP: contract v1, reading side.

The app holds no globals and reads no clock but the one it is given, so that a simulated world can mount it.
It needs no lifespan: time's work (expiry, gates) is done before every answer and by every open stream.
"""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from collectors.control import wire
from collectors.control.server import lists, rules
from collectors.control.server.access import OPERATION_ROLES, Access, Caller
from collectors.control.server.exposition import exposition
from collectors.control.server.problems import (
    Envelope,
    Problem,
    answer_http_exception,
    answer_problem,
    invalid,
    not_found,
)
from collectors.control.server.seed import TTL_MAX_S
from collectors.control.server.state import Entry
from collectors.control.server.store import EVENTS_KEPT_S, AuditQuery, Store, StoreError
from collectors.control.server.stream import EventStream, StreamLimits, Streams
from collectors.fleet import clean
from collectors.intents import OPERATIONS

logger = logging.getLogger(__name__)

READS_ONLY = "this version only reads"

_RELEASE_OPERATIONS = ("advance", "pause", "resume", "abort", "retry", "rollback", "set_weight")
_THROTTLE_OPERATIONS = ("set", "clear")
_AUDIT_FILTERS = ("resource", "actor", "op", "result", "decision_id", "since", "until")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server allows, published in its capabilities. The defaults are the contract's."""

    page_max: int = 500
    body_max_bytes: int = 65_536
    writes_per_min: int = 60
    watchers_per_token: int = 8
    ttl_max_s: int = TTL_MAX_S
    confirm_s: int = 10
    idempotency_retention_s: int = 86_400
    event_retention_s: int = int(EVENTS_KEPT_S)


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
    app = Starlette(
        routes=[
            Route("/healthz", plane.health),
            Route("/readyz", plane.readiness),
            Route("/metrics", plane.metrics),
            Route("/v1/capabilities", plane.capabilities),
            Route("/v1/releases", plane.releases),
            Route("/v1/releases", partial(plane.write, operation="release.register"), methods=["POST"]),
            Route("/v1/releases/{id}:{op}", plane.release_write, methods=["POST"]),
            Route("/v1/releases/{id}", plane.release),
            Route("/v1/throttles", plane.throttles),
            Route("/v1/throttles/{feature}/{tier}:{op}", plane.throttle_write, methods=["POST"]),
            Route("/v1/throttles/{feature}/{tier}", plane.throttle),
            Route("/v1/operations/{id}", plane.operation),
            Route("/v1/audit", plane.audit),
            Route("/v1/watch", plane.watch),
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
    problem = Problem(503, "backend-unavailable", "The store cannot be written", str(error))
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
    fault: str = ""
    _writes: defaultdict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))

    async def health(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readiness(self, request: Request) -> Response:
        await self._settle()
        is_ready = bool(self.store.held.config.tiers) and not self.streams.is_closing and not self.fault
        return PlainTextResponse("ready\n" if is_ready else "not ready\n", 200 if is_ready else 503)

    async def metrics(self, request: Request) -> Response:
        await self._reading(request)
        body, media_type = exposition(self.store.held)
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
            limits=asdict(self.limits),
        )
        return _json(wire.render(body))

    async def releases(self, request: Request) -> Response:
        await self._reading(request)
        held, now = self.store.held, self.clock()
        ask = lists.asked(request, (), page_max=self.limits.page_max, now=now)
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
        await self._reading(request)
        lists.single_parameters(request, ())
        found = self.store.held.releases.get(request.path_params["id"])
        if found is None:
            raise not_found(f"no release {clean(request.path_params['id'])}; GET /v1/releases lists them")
        return _json(wire.render(rules.with_gate(found, self.clock())), found.etag)

    async def throttles(self, request: Request) -> Response:
        await self._reading(request)
        held, now = self.store.held, self.clock()
        ask = lists.asked(request, (), page_max=self.limits.page_max, now=now)
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
        ask = lists.asked(request, _AUDIT_FILTERS, page_max=self.limits.page_max, now=now)
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
            since=since,
            clock=self.clock,
            settle=self._settle,
        )

    async def release_write(self, request: Request) -> Response:
        name = request.path_params["op"]
        if name not in _RELEASE_OPERATIONS:
            raise not_found(f"no operation {clean(name)}; there are: {', '.join(_RELEASE_OPERATIONS)}")
        return await self.write(request, operation=f"release.{name}")

    async def throttle_write(self, request: Request) -> Response:
        name = request.path_params["op"]
        if name not in _THROTTLE_OPERATIONS:
            raise not_found(f"no operation {clean(name)}; there are: {', '.join(_THROTTLE_OPERATIONS)}")
        return await self.write(request, operation=f"throttle.{name}")

    async def write(self, request: Request, operation: str) -> Response:
        caller: Caller = request.state.caller
        self._count_write(caller)
        if not caller.may(operation):
            needed = OPERATION_ROLES[operation]
            resource = clean(request.url.path.partition(":")[0], 256)
            entry = Entry(
                caller.actor,
                operation,
                "",
                role=caller.role,
                result="refused",
                code="forbidden",
                request_id=request.state.request_id,
            )
            record = partial(self.store.record, entry, resource, now=self.clock())
            await asyncio.to_thread(record)
            raise _forbidden(f"{operation} needs {needed}; {clean(caller.actor)} is {caller.role}")
        raise Problem(501, "unsupported-operation", "Not supported", f"{operation}: {READS_ONLY}")

    def _count_write(self, caller: Caller) -> None:
        now, times = asyncio.get_running_loop().time(), self._writes[caller.name]
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

    async def _reading(self, request: Request) -> Caller:
        """The caller, who may read; time's work is done first, so that what is read is in force."""
        caller: Caller = request.state.caller
        if caller.scope == "ofrep":
            raise _forbidden("this token may evaluate flags only; use one without the scope ofrep")
        await self._settle()
        return caller

    async def _settle(self) -> None:
        now = self.clock()
        if now < self.store.held.next_due:
            return
        try:
            if self.store.is_file:
                await asyncio.to_thread(self.store.tick, now)
            else:
                self.store.tick(now)
        except StoreError as error:
            # What is held is still what is in force, and may be read; /readyz tells that it cannot change.
            if not self.fault:
                logger.error("%s", error)
            self.fault = str(error)
        else:
            self.fault = ""


def _operation(name: str, caller: Caller) -> wire.Operation:
    if name == "watch":
        return wire.Operation(True, True)
    if name == "dry_run":
        return wire.Operation(False, True, READS_ONLY)
    return wire.Operation(False, caller.may(name), READS_ONLY)


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


def _forbidden(detail: str) -> Problem:
    return Problem(403, "forbidden", "Not allowed", detail)


def _json(body: bytes, etag: str | None = None) -> Response:
    headers = {} if etag is None else {"ETag": f'"{etag}"'}
    return Response(body, headers=headers, media_type="application/json; charset=utf-8")
