"""One connection pool to one Prometheus: sends a query, returns the body, words every failure.

How it is reached, with which credentials, and why not, is `collectors.endpoint`'s.
"""

import asyncio
import email.utils
import math
import re
import time
from collections.abc import Mapping
from datetime import UTC
from typing import TYPE_CHECKING

from collectors.config import Endpoint
from collectors.daemon import in_daemon
from collectors.endpoint import Access, AccessError
from collectors.prometheus.victoria import FRESH, is_victoria_metrics
from collectors.prometheus.wire import Refused, read_failure
from collectors.readings import believable

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

    place: host, port and path prefix, fit for the screen
    clock_is_strange: its last Date is over ten years from our clock, and was not taken
    is_victoria_metrics: it has answered as one: later queries are asked as it needs them
    queries, received_bytes: since the client was made; bytes as they travelled, headers left out
    """

    def __init__(self, server: Endpoint) -> None:
        self._access = Access(server)
        self.place = self._access.place
        self._timeout_s = server.timeout_s
        self._http: httpx.AsyncClient | None = None
        self._turns = asyncio.Semaphore(CONCURRENT)
        self._offset = (-math.inf, math.inf)
        self.clock_is_strange = False
        self.is_victoria_metrics = False
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
        """Open the pool if it is not, and see to the credentials. raises: Refused if that cannot be done"""
        try:
            if self._http is None:
                # Importing httpx and reading certificates take longer than a frame may.
                self._http = await in_daemon(self._access.opened, connections=CONCURRENT)
            await in_daemon(self._access.credentials)
        except AccessError as error:
            raise _refused(error) from None

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

    async def _ask(self, path: str, parameters: Mapping[str, str]) -> bytes:
        assert self._http is not None
        form = {"timeout": f"{max(1, round(self._timeout_s * 800))}ms", **parameters}
        if self.is_victoria_metrics:
            form |= FRESH
        in_body = len(form.get("query", "")) > MAX_QUERY_IN_URL
        request = self._http.build_request(
            "POST" if in_body else "GET",
            path,
            params=None if in_body else form,
            data=form if in_body else None,
        )
        sent = time.time()
        response = None
        try:
            response = await self._access.send(self._http, request)
            self._learn_clock(response.headers.get("Date", ""), sent)
            self.is_victoria_metrics = self.is_victoria_metrics or is_victoria_metrics(response.headers)
            body = await self._access.body(response, at_most=MAX_BODY_BYTES)
        except AccessError as error:
            raise _refused(error) from None
        finally:
            if response is not None:
                self.received_bytes += response.num_bytes_downloaded
        if response.status_code != 200:
            raise self._failure(response.status_code, response.headers, body)
        if (page := self._access.page(body)) is not None:
            raise _refused(page)
        return body

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

    def without_secrets(self, text: str) -> str:
        """A server's words without what was sent to it."""
        return self._access.without_secrets(text)

    def _failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Refused:
        words = self.without_secrets(read_failure(body)).rstrip(".")
        said = f"refused with HTTP {status}" + (f", {words}" if words else "")
        wait_s = _wait_s(headers.get("Retry-After", ""))
        if status == 429:
            return Refused(said, "It is asked less often now", wait_s=wait_s or 0.0, status=status)
        if status == 503 and wait_s is not None:
            return Refused(said, "It is asked again then", wait_s=wait_s, status=status)
        if limit := re.search(r"err-mimir-[a-z-]+", words):
            mend = f"Name filters in `select`, or have the tenant's limit raised ({limit[0]})"
            return Refused(said, mend, status=status)
        if status in {422, 503} and words:
            return Refused(said, _MEND_TIME, status=status)
        told = self._access.refusal(status, headers, body, words)
        if status == 400 and words and not told.unreachable and "namespace" not in words:
            return Refused(said, "Check the preset of this signal", status=status)
        return _refused(told, status)


def _refused(error: AccessError, status: int = 0) -> Refused:
    return Refused(
        str(error), error.mend, unreachable=error.unreachable, status=status, too_large=error.too_large
    )


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
