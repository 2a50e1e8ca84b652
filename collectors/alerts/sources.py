"""Who tells alerts: a Prometheus those that it evaluates, an Alertmanager those it was sent, and silences."""

import asyncio
import email.utils
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from typing import TYPE_CHECKING

from collectors.alerts.told import ALERTMANAGER, OWN_ALERTS, REPLICAS, AlertPoll, AlertSource, Told
from collectors.alerts.wire import (
    NotAlerts,
    Read,
    Reader,
    Silence,
    read_alertmanager,
    read_prometheus,
    read_silences,
)
from collectors.config import Endpoint, PrometheusServer
from collectors.daemon import in_daemon
from collectors.endpoint import Access, AccessError
from collectors.endpoint.words import ALERTMANAGER_PREFIXES
from collectors.fleet import SourceHealth, SourceState
from collectors.readings import believable
from collectors.text import clean

if TYPE_CHECKING:
    import httpx

MAX_BODY_BYTES = 8 * 1024 * 1024
"""Longest answer read, in bytes, unpacked."""

KEPT_S = 900.0
"""Seconds for which the alerts of a server that is lost are shown as the last known: longer than it takes to
start one again, shorter than it takes to trust them by mistake."""

SELDOM_S = 600.0
"""Seconds between two questions to a server that has no alerts to tell."""

LONGEST_WAIT_S = 300.0
"""Longest that a server's Retry-After is obeyed."""

_HAS_NONE = frozenset({404, 405, 410, 422, 501})
"""What stores of metrics without rules say: Thanos, Mimir and VictoriaMetrics without a ruler, agents."""

_MEND_URL = "Check the URL, with its path prefix"


def alert_sources(
    servers: Sequence[PrometheusServer], alertmanagers: Sequence[Endpoint]
) -> tuple[AlertSource, ...]:
    """The sources of one context, each with a name of its own for the screen."""
    told: list[AlertSource] = [
        PrometheusAlerts(one, f"{OWN_ALERTS}@{one.cluster}" if one.cluster else OWN_ALERTS)
        for one in servers
        if one.alerts
    ]
    for number, manager in enumerate(alertmanagers, start=1):
        told.append(Alertmanager(manager, f"{ALERTMANAGER}-{number}" if number > 1 else ALERTMANAGER))
    return tuple(told)


class _Refused(Exception):
    """No usable answer. str() is what happened; `mend` is what to do.

    status: of the HTTP answer, 0 where there was none; wait_s: the server asked not to be asked for so long
    """

    def __init__(self, said: str, mend: str, *, status: int = 0, wait_s: float = 0.0) -> None:
        self.mend, self.status, self.wait_s = mend, status, wait_s
        super().__init__(said)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a server said. `at`: by its own clock; warnings: what is missing in it, in sentences."""

    at: float
    read: Read
    warnings: tuple[str, ...] = ()


class _Server(ABC):
    """A server that tells alerts: one pool of connections, and what it said last."""

    def __init__(self, endpoint: Endpoint, name: str, access: Access) -> None:
        self.name = clean(name, 64)
        self._access, self._timeout_s = access, endpoint.timeout_s
        self._http: httpx.AsyncClient | None = None
        self._last = AlertPoll(0.0, (), SourceHealth(self.name, "alerts", SourceState.CONNECTING))
        self._answered = self._not_before = -math.inf
        self._queries = self._received = 0

    async def poll(self) -> AlertPoll:
        """Ask once, within the endpoint's time limit for each request. Never raises."""
        began = time.monotonic()
        if began < self._not_before:
            return self._last
        self._queries = self._received = 0
        try:
            answer = await self._ask()
        except _Refused as refused:
            self._last = self._without(refused, began)
        else:
            self._answered = time.monotonic()
            self._last = AlertPoll(answer.at, answer.read.told, self._health(answer, began))
        return self._last

    async def aclose(self) -> None:
        """Close every connection. Safe to call twice."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    @abstractmethod
    async def _ask(self) -> _Answer:
        """raises: _Refused"""

    def _has_no_alerts(self, status: int) -> str:
        """The sentence for a server that has none to tell, by its HTTP status; "" where it is at fault."""
        return ""

    def _began(self) -> Mapping[str, float]:
        return {told.id: told.since for told in self._last.told}

    async def _get(self, path: str) -> tuple[bytes, float]:
        """(the body of a successful answer, the time by the server's clock). raises: _Refused"""
        try:
            if self._http is None:
                # Reading certificates takes longer than a frame may.
                self._http = await in_daemon(self._access.opened, connections=2)
            async with asyncio.timeout(self._timeout_s):
                self._queries += 1
                response = await self._access.send(self._http, self._http.build_request("GET", path))
                try:
                    body = await self._access.body(response, at_most=MAX_BODY_BYTES)
                finally:
                    self._received += response.num_bytes_downloaded
        except TimeoutError:
            said = f"did not answer within {self._timeout_s:g} s"
            raise _Refused(said, "Check its load, or give it more time: timeout_s") from None
        except AccessError as error:
            raise _Refused(str(error), error.mend) from None
        if response.status_code != 200:
            why = self._access.refusal(response.status_code, response.headers, body)
            wait_s = _wait_s(response.headers.get("Retry-After", ""))
            raise _Refused(str(why), why.mend, status=response.status_code, wait_s=wait_s)
        if (page := self._access.page(body)) is not None:
            raise _Refused(str(page), page.mend)
        return body, _clock(response.headers.get("Date", ""))

    def _health(self, answer: _Answer, began: float) -> SourceHealth:
        read, warnings = answer.read, answer.warnings
        if read.cut:
            warnings += (f"{len(read.told)} of {len(read.told) + read.cut} alerts kept, the worst first",)
        if read.unreadable:
            warnings += (f"{read.unreadable} alerts of a form that cannot be read are left out",)
        return SourceHealth(
            self.name,
            "alerts",
            SourceState.PARTIAL if warnings else SourceState.OK,
            at=answer.at,
            latency_s=time.monotonic() - began,
            warnings=warnings,
            queries=self._queries,
            received_bytes=self._received,
        )

    def _without(self, refused: _Refused, began: float) -> AlertPoll:
        """The poll that brought no answer: what was told before, as the last that is known, for a while."""
        if none := self._has_no_alerts(refused.status):
            self._not_before = time.monotonic() + SELDOM_S
            spent = time.monotonic() - began
            health = SourceHealth(
                self.name, "alerts", SourceState.OK, latency_s=spent, warnings=(none,), queries=self._queries
            )
            return AlertPoll(time.time(), (), health)
        self._not_before = time.monotonic() + min(refused.wait_s, LONGEST_WAIT_S)
        error = f"{refused}. {refused.mend}"
        health = replace(
            self._last.health,
            state=SourceState.LOST,
            error=error,
            warnings=(),
            latency_s=None,
            queries=self._queries,
            received_bytes=self._received,
        )
        if time.monotonic() - self._answered > KEPT_S:
            return AlertPoll(time.time(), (), health)
        return AlertPoll(self._last.at, tuple(_last_known(t) for t in self._last.told), health)


class PrometheusAlerts(_Server):
    """The alerts that a Prometheus evaluates itself, from GET /api/v1/alerts. It knows no silences."""

    def __init__(self, server: PrometheusServer, name: str = OWN_ALERTS) -> None:
        super().__init__(server, name, Access(server))
        self._reader = Reader(
            self.name,
            cluster=server.cluster,
            cluster_label=server.cluster_label,
            replicas=REPLICAS | set(server.replica_labels or ()),
        )

    async def _ask(self) -> _Answer:
        body, at = await self._get("api/v1/alerts")
        reader = self._reader._replace(since=self._began())
        try:
            # In a thread, alert by alert: thousands of them would take longer than a frame may.
            return _Answer(at, await in_daemon(read_prometheus, body, reader, at))
        except NotAlerts as error:
            raise _Refused(str(error), _MEND_URL) from None

    def _has_no_alerts(self, status: int) -> str:
        if status not in _HAS_NONE:
            return ""
        mend = 'name its Alertmanager, as alertmanager = "URL", or set alerts = false'
        return f"serves no alerts here (HTTP {status}): {mend}"


class Alertmanager(_Server):
    """The alerts that reached an Alertmanager and the silences that cover them, by its API v2."""

    def __init__(self, endpoint: Endpoint, name: str = ALERTMANAGER) -> None:
        super().__init__(endpoint, name, Access(endpoint, prefixes=ALERTMANAGER_PREFIXES))
        self._reader = Reader(self.name)

    async def _ask(self) -> _Answer:
        body, at = await self._get("api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true")
        warnings: tuple[str, ...] = ()
        silences: Mapping[str, Silence] = {}
        if b'"suppressed"' in body:
            # Asked after the alerts, so that a silence they name is there; few fleets have any.
            try:
                silences = await in_daemon(read_silences, (await self._get("api/v2/silences"))[0])
            except (_Refused, NotAlerts) as error:
                warnings = (f"its silences cannot be read, so none is shown: {error}",)
        reader = self._reader._replace(since=self._began())
        try:
            return _Answer(at, await in_daemon(read_alertmanager, body, silences, reader, at), warnings)
        except NotAlerts as error:
            raise _Refused(str(error), _MEND_URL) from None


def _last_known(told: Told) -> Told:
    return told if told.last_known else replace(told, last_known=True)


def _clock(date: str) -> float:
    """The time by a Date header; ours where it tells none that can be believed."""
    ours = time.time()
    try:
        written = email.utils.parsedate_to_datetime(date)
        theirs = (written if written.tzinfo else written.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return ours
    return theirs if believable(theirs, ours) else ours


def _wait_s(text: str) -> float:
    """Seconds to wait by a Retry-After header in seconds; 0 where there is none."""
    return float(text) if text.strip().isdecimal() and len(text) < 10 else 0.0
