"""Asking a control plane over HTTP, and writing to it: bounded answers, the server's clock, errors as
sentences."""

import asyncio
import math
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from collectors.config import shown_url
from collectors.control import refusals, wire
from collectors.control.interface import PlaneError
from collectors.daemon import in_daemon
from collectors.readings import believable
from collectors.text import clean

if TYPE_CHECKING:
    import httpx

PROBLEM_LIMIT = 65_536
TOKEN_S = 20.0
"""How long a token is used before it is looked up again: longer than a dry run lasts, so that a decision goes
with the token of that, and does not wait for a file or a command."""

KEEP_S = 30.0
"""How long an idle connection is kept, so that a decision finds one open: longer than a dry run lasts."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_GOES_ON = "check the plane and the network if it goes on"

Shape = TypeVar("Shape")


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds a client waits. The defaults are the contract's.

    dead_s: silence after which a stream counts as dead; first_retry_s doubles up to last_retry_s
    watch_retry_s: how long to poll, where there is no stream to be had, before asking for one again
    health_s: longest time between two updates
    repeat_s: before a write without an answer is repeated, doubled each time
    operation_s: between two looks at a write that its backend has yet to confirm
    settle_s: how long such a write is waited for
    """

    connect_s: float = 3.0
    read_s: float = 20.0
    dead_s: float = 45.0
    first_retry_s: float = 1.0
    last_retry_s: float = 30.0
    watch_retry_s: float = 60.0
    health_s: float = 5.0
    repeat_s: float = 1.0
    operation_s: float = 1.0
    settle_s: float = 60.0


class Answer(NamedTuple):
    """A good answer. `body` is empty for 304."""

    status: int
    body: bytes
    etag: str | None


class Reply(NamedTuple):
    """The answer to a POST, whole, whatever its status. `headers`: by lower-case name."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class LostReply(PlaneError):
    """A request left for the plane, and no answer, or no whole one, came: nobody knows what became of it."""


class DoubledAnswer(PlaneError):
    """A connection brought an answer that was another request's: it was sent twice."""


class _Sending:
    """Whether any byte of a request has left, told by the library as it happens."""

    def __init__(self) -> None:
        self.has_left = False

    async def __call__(self, name: str, info: Mapping[str, Any]) -> None:
        # Before the first byte: whatever fails from here on may have been heard. A tunnel through a proxy is
        # asked for first, by a request of its own.
        if name.endswith("send_request_headers.started") and info["request"].method == b"POST":
            self.has_left = True


class ServerClock:
    """What time it is at the server. Source: contract, section 12.

    is_strange: the last time it told is over ten years from ours, and was not taken
    is_simulated: it says itself that its time is a simulated one
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=10)
        self.newest: float | None = None
        self.is_strange = False
        self.is_simulated = False

    @property
    def offset_s(self) -> float | None:
        """The server's clock less ours, by the sample with the shortest round trip."""
        return min(self._samples)[1] if self._samples else None

    def now(self, ours: float) -> float:
        """The server's time when our clock shows `ours`: by the offset, and not before its newest word."""
        known = [one for one in (self.newest, None if self.offset_s is None else ours + self.offset_s) if one]
        return max(known, default=ours)

    def sample(self, stamp: str | None, sent: float, received: float) -> None:
        """Take the `Tidegate-Time` of an answer. One that cannot be read or believed tells nothing."""
        at = self._read(stamp, received)
        # A round trip below zero: our own clock was set back meanwhile.
        if at is not None and received >= sent:
            self._samples.append((received - sent, at - (sent + received) / 2))

    def sample_stream(self, stamp: str | None, received: float) -> None:
        """Take a time told in a stream. It has no round trip, so it counts only if a clock was stepped."""
        at = self._read(stamp, received)
        offset = self.offset_s
        if at is not None and (offset is None or abs(at - received - offset) > 1.0):
            self._samples.clear()
            self._samples.append((1.0, at - received))

    def _read(self, stamp: str | None, ours: float) -> float | None:
        if stamp is None:
            return None
        try:
            at = wire.read_time(stamp)
        except ValueError:
            return None
        self.is_strange = not believable(at, ours)
        if self.is_strange:
            return None
        self.newest = at
        return at


class PlaneHTTP:
    """Requests to one plane. Holds no state of it but its clock and what the asking cost."""

    def __init__(
        self,
        url: str,
        token: Callable[[], str | None],
        *,
        verify: bool | str,
        name: str,
        clock: Callable[[], float],
        timing: Timing,
        max_bytes: int,
    ) -> None:
        self.url, self.name, self.clock, self.timing, self.max_bytes = (
            checked_url(url),
            name,
            clock,
            timing,
            max_bytes,
        )
        self.server_clock = ServerClock()
        self.latency_s: float | None = None
        self.queries = 0
        self.received_bytes = 0
        self._token, self._verify = token, verify
        self._secret: str | None = None
        self._token_at = -math.inf
        self._client: httpx.AsyncClient | None = None
        self._opening = asyncio.Lock()
        self._answers: deque[str] = deque(maxlen=256)

    def warnings(self) -> tuple[str, ...]:
        """What is unsafe about the connection as it was asked for, and a clock that is not believed."""
        parts = urlsplit(self.url)
        found = []
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            found.append(f"the token travels to {parts.hostname} unencrypted: use https")
        if parts.scheme == "https" and self._verify is False:
            found.append("the server's certificate is not checked")
        if self.server_clock.is_strange:
            found.append("its clock is over ten years from ours: ours is used instead")
        return tuple(found)

    async def ask(
        self, path: str, parameters: Mapping[str, str] | None = None, *, etag: str | None = None
    ) -> Answer:
        """GET `path`: an answer 200, or 304 if `etag` still holds. raises: PlaneError for anything else."""
        try:
            return await self._asked(path, parameters, etag)
        except DoubledAnswer:
            # Its connection is closed by now; what was asked is on another.
            return await self._asked(path, parameters, etag)

    async def _asked(self, path: str, parameters: Mapping[str, str] | None, etag: str | None) -> Answer:
        headers = {} if etag is None else {"If-None-Match": etag}
        limit_s = self.timing.connect_s + self.timing.read_s
        try:
            async with asyncio.timeout(limit_s), self.stream(path, parameters, headers) as response:
                status, tag = response.status_code, response.headers.get("etag", etag)
                body = b""
                if status != 304:
                    self.check_type(response, "application/json")
                    body = await self._bounded(response, self.max_bytes)
        except TimeoutError as error:
            raise self.error(f"took longer than {limit_s:g} s over {path}; {_GOES_ON}") from error
        return Answer(status, body, tag)

    async def send(
        self,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        parameters: Mapping[str, str] | None = None,
    ) -> Reply:
        """POST `body`, which is JSON, to `path`: the whole answer, whatever its status.

        raises: LostReply once a byte has left and no whole answer came; PlaneError if none has.
        """
        limit_s = self.timing.connect_s + self.timing.read_s
        headers = {"Content-Type": "application/json", **headers}
        if parameters:
            # A dry run has the time to look the token up.
            self._token_at = -math.inf
        sending = _Sending()
        try:
            async with (
                asyncio.timeout(limit_s),
                self._exchange("POST", path, parameters, headers, body=body, sending=sending) as response,
            ):
                whole = await self._bounded(response, self.max_bytes)
                if self._secret:
                    # An echo of it must not get into what is said of the answer.
                    whole = whole.replace(self._secret.encode(), b"(token)")
                return Reply(response.status_code, whole, dict(response.headers))
        except TimeoutError as error:
            said = self.error(f"took longer than {limit_s:g} s over {path}; {_GOES_ON}")
            raise self._lost(said) if sending.has_left else said from error
        except PlaneError as error:
            if sending.has_left:
                raise self._lost(error) from error
            raise

    def decoded(self, path: str, body: bytes, shape: type[Shape]) -> Shape:
        """`body` as `shape`. raises: PlaneError saying what is wrong with it."""
        try:
            return wire.read(body, shape)
        except ValueError as error:
            raise self.error(
                f"answers {path} with something this tidegate cannot read ({clean(str(error), 200)}); "
                f"check that the URL is a control plane, and update whichever of the two is older"
            ) from error

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        read_s: float | None = None,
    ) -> "AsyncIterator[httpx.Response]":
        """GET `path`, its body yet to be read. raises: PlaneError unless the status is 200 or 304."""
        async with self._exchange("GET", path, parameters, headers or {}, read_s=read_s) as response:
            if response.status_code not in {200, 304}:
                raise await self._refusal(path, response)
            yield response

    @asynccontextmanager
    async def _exchange(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str] | None,
        headers: Mapping[str, str],
        *,
        read_s: float | None = None,
        body: bytes | None = None,
        sending: _Sending | None = None,
    ) -> "AsyncIterator[httpx.Response]":
        """One request, the body of its answer yet to be read. raises: PlaneError if no answer begins or it
        breaks off."""
        client = await self._opened()
        import httpx

        timeout = httpx.Timeout(read_s or self.timing.read_s, connect=self.timing.connect_s)
        headers = await self._headers() | dict(headers)
        self.queries += 1
        sent = self.clock()
        try:
            async with client.stream(
                method,
                f"{self.url}{path}",
                params=dict(parameters or {}),
                headers=headers,
                content=body,
                timeout=timeout,
                extensions={} if sending is None else {"trace": sending},
            ) as response:
                if response.status_code == 401:
                    self._token_at = -math.inf
                received = self.clock()
                self.server_clock.sample(response.headers.get("tidegate-time"), sent, received)
                self.server_clock.is_simulated = "tidegate-simulated" in response.headers
                if sending is None:
                    # A write may wait for its backend: that is no measure of the way to the plane.
                    self.latency_s = max(received - sent, 0.0)
                self._know(response, path)
                yield response
        except httpx.TimeoutException as error:
            is_connecting = isinstance(error, httpx.ConnectTimeout)
            said = (
                f"took no connection within {self.timing.connect_s:g} s; is the host up, and reachable?"
                if is_connecting
                else f"was silent for {read_s or self.timing.read_s:g} s on {path}; {_GOES_ON}"
            )
            raise self.error(said) from error
        except httpx.ConnectError as error:
            raise self.error(refusals.no_connection(error)) from error
        except (httpx.InvalidURL, UnicodeError) as error:
            raise self.error("has a URL that cannot be used; give http://HOST:PORT") from error
        except (httpx.HTTPError, httpx.StreamError, ssl.SSLError) as error:
            raise self.error(f"broke off on {path} ({type(error).__name__}); {_GOES_ON}") from error

    def _know(self, response: "httpx.Response", path: str) -> None:
        """raises: DoubledAnswer for one that was an earlier request's: a connection on which one comes twice
        passes it off as the next one's."""
        answer = response.headers.get("tidegate-request-id", "")[:128]
        if answer and answer in self._answers:
            error = self.error(f"answered {path} with an answer it had given before; {_GOES_ON}")
            raise DoubledAnswer(str(error))
        self._answers.append(answer)

    def _lost(self, error: PlaneError) -> LostReply:
        return LostReply(str(error), code=error.code, status=error.status)

    def check_type(self, response: "httpx.Response", wanted: str) -> None:
        """raises: PlaneError unless the answer is of type `wanted`, uncompressed."""
        given = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if given != wanted:
            page = "a web page" if given == "text/html" else clean(given, 60) or "no content type"
            raise self.error(
                f"answers with {page} where {wanted} is due: it is no control plane, or a login page stands "
                f"before it; correct the URL"
            )
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise self.error("answers compressed although told not to; take the proxy between out")

    def error(self, said: str, *, code: str = "", status: int = 0) -> PlaneError:
        """A PlaneError that names the plane and never its token, whatever the server echoed."""
        sentence = f"{self.name} at {clean(self.url, 100)} {said}"
        if self._secret:
            sentence = sentence.replace(self._secret, "(token)")
        return PlaneError(clean(sentence, 500), code=code, status=status)

    async def aclose(self) -> None:
        """Close every connection. Safe to call twice."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _opened(self) -> "httpx.AsyncClient":
        async with self._opening:
            if self._client is None:
                # Importing httpx and reading CA files takes longer than one picture: off the loop.
                self._client = await in_daemon(self._make_client)
            return self._client

    def _make_client(self) -> "httpx.AsyncClient":
        import httpx

        verify: bool | ssl.SSLContext = self._verify is not False
        if isinstance(self._verify, str):
            try:
                verify = ssl.create_default_context(cafile=self._verify)
            except (OSError, ssl.SSLError) as error:
                raise self.error(
                    f"cannot be verified: CA file {clean(self._verify, 200)} is not usable "
                    f"({clean(str(error), 100)}); correct its path"
                ) from error
        is_local = urlsplit(self.url).hostname in _LOOPBACK
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=KEEP_S)
        return httpx.AsyncClient(verify=verify, trust_env=not is_local, follow_redirects=False, limits=limits)

    async def _headers(self) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity", "User-Agent": "tidegate"}
        token = await self._token_of_now()
        if token is not None:
            if not (token.isascii() and token.isprintable() and token and " " not in token):
                self._token_at = -math.inf
                raise self.error(
                    "was not asked: the token has characters that no header can carry; set it anew"
                )
            headers["Authorization"] = f"Bearer {token}"
        return headers

    async def _token_of_now(self) -> str | None:
        """The token, looked up anew once it was kept for TOKEN_S, or once the plane wanted another one."""
        now = asyncio.get_running_loop().time()
        if now - self._token_at >= TOKEN_S:
            # It may read a file or run a command.
            self._secret, self._token_at = await in_daemon(self._token), now
        return self._secret

    async def _bounded(self, response: "httpx.Response", limit: int) -> bytes:
        parts, size = [], 0
        async for chunk in response.aiter_raw():
            size += len(chunk)
            self.received_bytes += len(chunk)
            if size > limit:
                raise self.error(
                    f"sent more than {limit} bytes in one answer, which is refused; lower its pages"
                )
            parts.append(chunk)
        return b"".join(parts)

    async def _refusal(self, path: str, response: "httpx.Response") -> PlaneError:
        status, problem = response.status_code, wire.Problem()
        if response.headers.get("content-type", "").startswith("application/problem+json"):
            try:
                problem = wire.read(await self._bounded(response, PROBLEM_LIMIT), wire.Problem)
            except (ValueError, PlaneError):
                # Whatever it meant to explain, the status says enough.
                problem = wire.Problem()
        sentence = refusals.unread(
            path,
            status,
            problem,
            has_token=bool(self._secret),
            location=response.headers.get("location", ""),
        )
        return self.error(sentence, code=clean(problem.code, 60), status=status)


def checked_url(url: str) -> str:
    """The base URL without a slash at its end. raises: PlaneError for one that is no plane's address."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        # Not its own words: they quote what may be a password.
        raise PlaneError("the plane's URL cannot be read; give http://HOST:PORT") from None
    if "@" in parts.netloc:
        raise PlaneError("the plane's URL holds a user or password; leave them out and set TIDEGATE_TOKEN")
    if "?" in url or "#" in url:
        raise PlaneError(
            "the plane's URL holds a query or fragment; leave out what follows the ? or #, and set "
            "TIDEGATE_TOKEN"
        )
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise PlaneError(f"{shown_url(url)!r} is no plane's URL; give http://HOST:PORT or https://HOST")
    return url.rstrip("/").removesuffix("/v1")
