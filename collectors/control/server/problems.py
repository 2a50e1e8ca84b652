"""Errors as `application/problem+json`, and what every answer carries. Source: contract, 1 and 12."""

import secrets
from collections.abc import Callable, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collectors.control import wire
from collectors.control.server.access import Access
from collectors.text import clean

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
FLAG_PATHS = "/ofrep/"
RETRYABLE = frozenset(
    {"in-progress", "rate-limited", "backend-error", "backend-unavailable", "backend-timeout"}
)

_CODES = {400: "invalid-request", 404: "not-found", 405: "method-not-allowed", 413: "too-large"}


class Problem(Exception):
    """An answer that is an error. `code` is what clients switch on; `detail` is for people."""

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, object] | None = None,
    ) -> None:
        self.status, self.code, self.title, self.detail = status, code, title, detail
        self.headers, self.members = headers, members or {}
        super().__init__(f"{status} {code}: {detail}")

    def response(self, scope: Scope) -> Response:
        """The answer to the request of `scope`."""
        body: dict[str, object] = {
            "type": f"urn:tidegate:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "instance": clean(scope["path"], 256),
            "request_id": scope.get("state", {}).get("request_id", ""),
            "retryable": self.code in RETRYABLE,
        }
        if self.status >= 500:
            body["outcome"] = "not_applied"
        return Response(
            wire.render(body | dict(self.members)),
            self.status,
            self.headers,
            media_type="application/problem+json",
        )


def invalid(pointer: str, detail: str) -> Problem:
    """400 about one member or query parameter."""
    what = [{"pointer": clean(pointer), "detail": detail}]
    return Problem(400, "invalid-request", "Invalid request", detail, members={"errors": what})


def not_found(detail: str) -> Problem:
    """404 with what was looked for."""
    return Problem(404, "not-found", "Not found", detail)


async def answer_problem(request: Request, error: Exception) -> Response:
    """Exception handler for `Problem`."""
    assert isinstance(error, Problem)
    return error.response(request.scope)


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """Exception handler for what the router raises: unknown path, wrong method."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(sorted(_methods(request)))
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=headers)
    code = _CODES.get(error.status_code, "invalid-request")
    why = "nothing is here" if error.status_code == 404 else str(error.detail).lower()
    detail = f"{request.method} {clean(request.url.path)}: {why}; the API is below /v1"
    return Problem(error.status_code, code, str(error.detail), detail, headers=headers).response(
        request.scope
    )


def _methods(request: Request) -> set[str]:
    """What can be done at the request's path. That of an operation is posted to, and nothing else."""
    routes = (one for one in request.app.routes if isinstance(one, Route))
    found = (one.methods or set() for one in routes if one.matches(request.scope)[0] is not Match.NONE)
    methods = {"OPTIONS"}.union(*found)
    return methods - {"GET", "HEAD"} if ":" in request.url.path else methods


def _unauthenticated(expired_at: float | None) -> Problem:
    detail = (
        "send Authorization: Bearer TOKEN with a token of this server"
        if expired_at is None
        else f"this token expired at {wire.render_time(expired_at)}; ask who runs the server for a new one"
    )
    return Problem(
        401,
        "unauthenticated",
        "No valid token" if expired_at is None else "The token has expired",
        detail,
        headers={"WWW-Authenticate": 'Bearer error="invalid_token"' if expired_at else "Bearer"},
    )


def _credential(headers: Headers, path: str) -> str | None:
    """The Authorization header, or what clients of feature flags, and they alone, send in its place."""
    key = headers.get("x-api-key") if path.startswith(FLAG_PATHS) else None
    return headers.get("authorization") or (None if key is None else f"Bearer {key}")


class Envelope:
    """Around every request: who asks, its id, the server's time, and never a cache.

    The caller is put into the request's state; without a known token the answer is 401.
    """

    def __init__(self, app: ASGIApp, *, access: Access, clock: Callable[[], float]) -> None:
        self._app, self._access, self._clock = app, access, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"q-{secrets.token_hex(6)}"
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def stamped(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["Tidegate-Time"] = wire.render_time(self._clock(), millis=True)
                headers["Tidegate-Request-Id"] = request_id
                headers["Cache-Control"] = "no-store"
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path not in OPEN_PATHS:
            caller = self._access.caller(_credential(Headers(scope=scope), path))
            now = self._clock()
            if caller is None or (caller.expires_at is not None and caller.expires_at <= now):
                problem = _unauthenticated(None if caller is None else caller.expires_at)
                await problem.response(scope)(scope, receive, stamped)
                return
            scope["state"]["caller"] = caller
        try:
            await self._app(scope, receive, stamped)
        except Exception:
            # Answered here, so that a fault of ours is a problem too; raised on, so that it is logged.
            if not started:
                # Where the fault struck is not known, so nor is whether a write came before it.
                problem = Problem(
                    500,
                    "internal-error",
                    "Internal error",
                    "see the server's log",
                    members={"outcome": "unknown"},
                )
                await problem.response(scope)(scope, receive, stamped)
            raise
