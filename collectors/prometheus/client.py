"""One connection pool to one Prometheus: sends a query, returns the body, words every failure.

httpx is imported when the first query is sent: it takes longer to import than the screen takes to paint.
"""

import asyncio
import email.utils
import math
import ssl
import time
from collections.abc import Callable, Mapping
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from collectors.config import ConfigError
from collectors.daemon import in_daemon
from collectors.fleet import believable, clean
from collectors.prometheus.wire import Refused, read_failure

if TYPE_CHECKING:
    import httpx

MAX_BODY_BYTES = 8 * 1024 * 1024
"""Longest answer read, in bytes, unpacked."""

MAX_QUERY_IN_URL = 1500
"""Longer queries travel in the body: proxies refuse long URLs."""

CONCURRENT = 4
"""Queries under way at once: a Prometheus answers fewer a second at 8 than at 4."""

LONGEST_WAIT_S = 300.0
_MEND_TIME = "Ask for fewer series, or give the server more time"


class Client:
    """Asks one server.

    url: with a path prefix if there is one; `user:password@` in it is sent as basic authentication
    auth: headers of this moment, called before every poll, in a thread
    clock_is_strange: its last Date is over ten years from our clock, and was not taken
    queries, received_bytes: since the client was made; bytes as they travelled, headers left out
    raises: ValueError for a URL that is none
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        verify: bool | Path,
        auth: Callable[[], Mapping[str, str]] | None,
        timeout_s: float,
    ) -> None:
        self._base, self.place, self._basic = _parted(url)
        self._headers, self._verify, self._auth, self._timeout_s = dict(headers), verify, auth, timeout_s
        self._fresh: dict[str, str] = {}
        self._http: httpx.AsyncClient | None = None
        self._turns = asyncio.Semaphore(CONCURRENT)
        self._offset = (-math.inf, math.inf)
        self.clock_is_strange = False
        self.queries = 0
        self.received_bytes = 0

    def __repr__(self) -> str:
        return f"Client({self.place!r})"

    @property
    def offset_s(self) -> float:
        """Seconds that the server's clock is ahead of ours, by its Date headers; 0 where they may agree."""
        low, high = self._offset
        return 0.0 if low <= 0 <= high else (low + high) / 2

    def now(self) -> float:
        """The time by the server's clock."""
        return time.time() + self.offset_s

    async def refresh(self) -> None:
        """Open the pool if it is not, and read the credentials anew.

        raises: Refused if they cannot be read
        """
        if self._http is None:
            try:
                # Reading certificates takes longer than a frame may.
                self._http = await in_daemon(self._opened)
            except UnicodeEncodeError:
                raise self._bad_header() from None
            except OSError as error:
                why = f"{self._verify}: {error.strerror or 'no certificates in it'}"
                raise Refused(f"was not asked: {clean(why)}", "Mend ca_file of this context") from error
            except (ValueError, ImportError) as error:
                mend = "Mend HTTP_PROXY, HTTPS_PROXY and ALL_PROXY of the environment"
                raise Refused("was not asked: the proxy cannot be used", mend) from error
        if self._auth is not None:
            try:
                self._fresh = dict(await in_daemon(self._auth))
            except ConfigError as error:
                raise Refused(f"was not asked: {error}", "Mend the credential of this context") from error

    async def ask(self, path: str, parameters: Mapping[str, str], *, deadline: float = math.inf) -> bytes:
        """The body of a successful answer. Waits its turn: the time limit begins with the request.

        deadline: of `time.monotonic()`, when the poll must end
        raises: Refused
        """
        async with self._turns:
            limit = min(deadline - time.monotonic(), self._timeout_s)
            if limit <= 0:
                raise Refused("was not asked: the poll ran out of time", _MEND_TIME)
            self.queries += 1
            try:
                async with asyncio.timeout(limit):
                    return await self._ask(path, parameters)
            except TimeoutError as error:
                raise Refused(f"did not answer within {limit:.2g} s", _MEND_TIME) from error

    async def aclose(self) -> None:
        """Close every connection. Safe to call twice."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    def _opened(self) -> "httpx.AsyncClient":
        import httpx

        verify: bool | ssl.SSLContext = (
            ssl.create_default_context(cafile=str(self._verify))
            if isinstance(self._verify, Path)
            else self._verify
        )
        return httpx.AsyncClient(
            base_url=self._base,
            verify=verify,
            auth=self._basic,
            headers={"Accept": "application/json", "Accept-Encoding": "gzip", **self._headers},
            timeout=httpx.Timeout(self._timeout_s),
            limits=httpx.Limits(max_connections=CONCURRENT, max_keepalive_connections=CONCURRENT),
        )

    async def _ask(self, path: str, parameters: Mapping[str, str]) -> bytes:
        import httpx

        assert self._http is not None
        form = {"timeout": f"{max(1, round(self._timeout_s * 800))}ms", **parameters}
        in_body = len(form.get("query", "")) > MAX_QUERY_IN_URL
        try:
            request = self._http.build_request(
                "POST" if in_body else "GET",
                path,
                params=None if in_body else form,
                data=form if in_body else None,
                headers=self._fresh,
            )
        except UnicodeEncodeError:
            raise self._bad_header() from None
        sent = time.time()
        response = None
        try:
            response = await self._http.send(request, stream=True)
            self._learn_clock(response.headers.get("Date", ""), sent)
            body = await self._body(response)
        except httpx.TransportError as error:
            raise self._transport(error) from None  # the chain holds headers, and so the token
        except httpx.DecodingError as error:
            raise Refused("sent half an answer", "Something cut it; the next poll asks again") from error
        finally:
            if response is not None:
                self.received_bytes += response.num_bytes_downloaded
                await response.aclose()
        if response.status_code != 200:
            raise self._failure(response.status_code, response.headers, body)
        return body

    @staticmethod
    async def _body(response: "httpx.Response") -> bytes:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                megabytes = MAX_BODY_BYTES // 1024 // 1024
                raise Refused(f"sent more than {megabytes} MB", "Keep fewer labels, or add a recording rule")
        return bytes(body)

    def _learn_clock(self, date: str, sent: float) -> None:
        """Narrow down the offset: Date is cut to the second, and was written between `sent` and now."""
        try:
            written = email.utils.parsedate_to_datetime(date)
            second = (written if written.tzinfo else written.replace(tzinfo=UTC)).timestamp()
        except ValueError:
            return
        except OverflowError:
            self.clock_is_strange = True
            return
        self.clock_is_strange = not believable(second, sent)
        if self.clock_is_strange:
            return
        low, high = second - time.time(), second + 1 - sent
        narrowed = max(low, self._offset[0]), min(high, self._offset[1])
        # Nothing fits any more: one of the clocks was set.
        self._offset = narrowed if narrowed[0] <= narrowed[1] else (low, high)

    def _transport(self, error: "httpx.TransportError") -> Refused:
        import httpx

        if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
            return Refused(f"does not answer at {self.place}", _reach(self.place), unreachable=True)
        if isinstance(error, httpx.TimeoutException):
            return Refused(f"did not answer within {self._timeout_s:g} s", _MEND_TIME)
        if isinstance(error, httpx.ConnectError):
            # Words of the system or of TLS: about the address, never about what would have been sent.
            said = f"cannot be reached at {self.place}: {error}"
            return Refused(said, _reach(self.place), unreachable=True)
        if isinstance(error, httpx.LocalProtocolError):
            return self._bad_header()
        return Refused("cut the connection", "The next poll asks again")

    @staticmethod
    def _bad_header() -> Refused:
        return Refused("was not asked: a header is not valid", "Mend the headers of this context")

    def _failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Refused:
        words = self._without_secrets(read_failure(body))
        said = f"refused with HTTP {status}" + (f", {words}" if words else "")
        wait_s = _wait_s(headers.get("Retry-After", ""))
        if status in {401, 403}:
            return Refused(said, "Check the token and headers of this context", status=status)
        if status == 429:
            return Refused(said, "It is asked less often now", wait_s=wait_s or 0.0, status=status)
        if status == 503 and wait_s is not None:
            return Refused(said, "It is asked again then", wait_s=wait_s, status=status)
        if status in {422, 503} and words:
            return Refused(said, _MEND_TIME, status=status)
        if status == 400:
            return Refused(said, "Check the preset of this signal", status=status)
        if status in {301, 302, 303, 307, 308}:
            return Refused(said, "It points elsewhere: give the URL it leads to", status=status)
        if status == 404:
            return Refused(said, "Check the URL, with its path prefix", status=status)
        return Refused(said, "See the log of the server, or of the proxy before it", status=status)

    def _without_secrets(self, text: str) -> str:
        basic = [self._basic[1]] if self._basic else []
        for secret in [*self._headers.values(), *self._fresh.values(), *basic]:
            for part in (secret, *secret.split()):
                if len(part) >= 4:
                    text = text.replace(part, "…")
        return text


def _parted(url: str) -> tuple[str, str, tuple[str, str] | None]:
    """(URL without credentials, what to call the place, basic credentials)."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        raise ValueError("a Prometheus URL that cannot be read; write http://HOST:PORT") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("a Prometheus URL needs a scheme and a host; write http://HOST:PORT")
    if parts.query or parts.fragment:
        raise ValueError("a Prometheus URL must not hold a query or fragment; write http://HOST:PORT")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    place = f"{host}{port}{parts.path.rstrip('/')}"
    basic = (unquote(parts.username or ""), unquote(parts.password or "")) if "@" in parts.netloc else None
    return f"{parts.scheme}://{place}/", clean(place), basic


def _reach(place: str) -> str:
    return f"Check that it runs and can be reached from here: curl {place}/-/healthy"


def _wait_s(text: str) -> float | None:
    """Seconds to wait by a Retry-After header, in seconds or as a date; None where there is none."""
    if not text:
        return None
    if text.strip().isdecimal():
        return min(float(text), LONGEST_WAIT_S)
    try:
        until = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(until - time.time(), 0.0), LONGEST_WAIT_S)
