"""One /metrics page, asked for over HTTP. What goes wrong is a sentence; no address shows its credentials.

Blocking, for a worker thread, on the standard library's client: it is all that a page needs, and for a page
a second from every target it takes a seventh of httpx's CPU. Like Prometheus, it uses no proxy of the
environment.
"""

import io
import socket
import time
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, RemoteDisconnected
from ipaddress import ip_address
from ssl import SSLCertVerificationError, SSLContext
from typing import Any, NamedTuple
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from collectors.config import shown_url
from collectors.scrape.page import MAX_PAGE_BYTES, PageError
from collectors.text import clean

TIME_HEADER = "Tidegate-Time"
"""When a page was true, RFC 3339 in UTC, where it comes from a world with a clock of its own."""

_MAX_REDIRECTS = 3
_CHUNK_BYTES = 256 * 1024
# Plain text first: the other form brings exemplars, which nobody here reads.
_ACCEPT = "text/plain;version=0.0.4, application/openmetrics-text;version=1.0.0;q=0.5, */*;q=0.1"


class Fetched(NamedTuple):
    """A response with its body still packed. at: by `TIME_HEADER`, None without it."""

    body: bytes
    encoding: str
    content_type: str
    at: float | None


def host_port(url: str) -> str:
    """`host:port`, as Prometheus labels an instance.

    raises: ValueError, with a sentence, unless it is an http or https address with a host
    """
    try:
        parts = urlsplit(url)
        port = _port(parts)
    except ValueError:
        # Not its own words: they quote what may be a password.
        raise ValueError("a page's address cannot be read; write it as http://host:port/metrics") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{shown_url(url)!r} is no page's address; write it as http://host:port/metrics")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return clean(f"{host}:{port}")


class PageConnection:
    """Asks for one page again and again, on one connection that is kept open. For one thread at a time."""

    def __init__(self, url: str, timeout_s: float, tls: SSLContext | None) -> None:
        """
        timeout_s: for connection, answer and body together
        tls: for https
        """
        self._url = url
        self._timeout_s = timeout_s
        parts = urlsplit(url)
        assert parts.hostname is not None, "checked by host_port"
        self._http: HTTPConnection = (
            HTTPSConnection(parts.hostname, _port(parts), timeout=timeout_s, context=tls)
            if parts.scheme == "https"
            else HTTPConnection(parts.hostname, _port(parts), timeout=timeout_s)
        )
        self._http.response_class = self._response  # type: ignore[assignment]  # what makes a response, as a class does
        self._headers = _headers(parts)
        self._deadline = 0.0
        self._socket: socket.socket | None = None

    def ask(self) -> Fetched:
        """The page, whole.

        raises: PageError with a sentence that names no address
        """
        self._deadline = time.monotonic() + self._timeout_s
        kept = False
        try:
            fetched = self._asked()
            kept = True
            return fetched
        except TimeoutError as error:
            raise PageError(f"no whole answer within {self._timeout_s:g} s") from error
        except SSLCertVerificationError as error:
            raise PageError(f"its certificate is not trusted: {clean(error.verify_message, 100)}") from error
        except ConnectionRefusedError as error:
            raise PageError("nothing listens there: connection refused") from error
        except socket.gaierror as error:
            raise PageError(f"its host is not known: {clean(error.strerror or str(error), 100)}") from error
        except (HTTPException, ConnectionError) as error:
            raise PageError("the connection broke before the page was whole") from error
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise PageError(f"it cannot be asked: {clean(said, 120)}") from error
        finally:
            if not kept:
                self.close()

    def abort(self) -> None:
        """End a request that takes too long: from any thread; the one that asks gets its error."""
        if (used := self._socket) is not None:
            with suppress(OSError):
                used.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; the next page opens another."""
        self._http.close()
        self._socket = None

    def _asked(self) -> Fetched:
        here = self._url
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._answer(here)
            location = response.headers.get("Location")
            body = self._body(response)
            if response.status // 100 != 3 or location is None:
                return _fetched(response, body)
            try:
                here = urljoin(here, location)
                elsewhere = "" if _origin(here) == _origin(self._url) else shown_url(here)
            except ValueError:
                raise PageError("it redirects to an address that cannot be read") from None
            if elsewhere:
                raise PageError(
                    f"it redirects to {elsewhere}, another server; give that address if you mean it"
                )
        raise PageError(f"it redirects more than {_MAX_REDIRECTS} times")

    def _answer(self, url: str) -> HTTPResponse:
        reused = self._http.sock is not None
        try:
            return self._begun(url)
        except (RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            if not reused:
                raise
            # A server may close an idle connection just as it is used again: once more, on a new one.
            self.close()
            return self._begun(url)

    def _begun(self, url: str) -> HTTPResponse:
        http = self._http
        http.timeout = _left(self._deadline)
        if http.sock is None:
            http.connect()
        self._socket = http.sock
        self._socket.settimeout(_left(self._deadline))
        parts = urlsplit(url)
        query = f"?{parts.query}" if parts.query else ""
        http.request(
            "GET", quote(f"{parts.path or '/'}{query}", safe="/%:=&?~+!$,;'@()*[]"), headers=self._headers
        )
        return http.getresponse()

    def _response(self, sock: socket.socket, *args: Any, **named: Any) -> HTTPResponse:
        """A response whose every read ends by the deadline: not only the silence between two bytes counts."""
        response = HTTPResponse(sock, *args, **named)
        response.fp.close()
        response.fp = io.BufferedReader(_Timely(sock, self._deadline))
        return response

    def _body(self, response: HTTPResponse) -> bytes:
        """Packed as it came: unpacking belongs to the reader, who must notice a cut body."""
        chunks: list[bytes] = []
        received = 0
        while True:
            chunk = response.read1(_CHUNK_BYTES)
            if not chunk:
                break
            chunks.append(chunk)
            received += len(chunk)
            if received > MAX_PAGE_BYTES:
                megabytes = MAX_PAGE_BYTES // 1024 // 1024
                raise PageError(f"it is longer than {megabytes} MB; let it expose fewer series")
        if response.length:
            raise PageError(
                f"the connection broke before the page was whole: {response.length} bytes are missing"
            )
        response.close()
        return b"".join(chunks)


class _Timely(io.RawIOBase):
    """The bytes of a socket until a time of `time.monotonic()`."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock, self._deadline = sock, deadline
        # The socket stays open until this is closed, even where the response ends the connection.
        self._bytes = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(_left(self._deadline))
        return self._bytes.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._bytes.close()
        super().close()


def _fetched(response: HTTPResponse, body: bytes) -> Fetched:
    if response.status != 200:
        hint = "; give it credentials" if response.status in {401, 403} else ""
        raise PageError(f"it answers HTTP {response.status} {clean(response.reason, 40)}{hint}")
    headers = response.headers
    return Fetched(
        body,
        headers.get("Content-Encoding", ""),
        headers.get("Content-Type", ""),
        _time(headers.get(TIME_HEADER)),
    )


def _headers(parts: SplitResult) -> Mapping[str, str]:
    # Packing costs both ends more than a loopback does.
    coding = "identity" if _is_loopback(parts.hostname or "") else "gzip"
    found = {"Accept": _ACCEPT, "Accept-Encoding": coding, "User-Agent": "tidegate"}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        found["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    return found


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _time(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise PageError(f"its header {TIME_HEADER} is no time: {clean(text, 40)!r}")
    return found.timestamp()


def _left(deadline: float) -> float:
    """Seconds left. raises: TimeoutError when there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, _port(parts)
