"""Observed exposure: a release's share of each tier, as a Prometheus measures it, never as it was asked for.

Source: control contract, section 3: fed from the metric that the server's configuration names; null without
one, or when its sample is stale.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from collectors.config import Endpoint
from collectors.control import wire
from collectors.control.server.settings import Observed
from collectors.control.server.store import Store, StoreError
from collectors.daemon import in_daemon
from collectors.endpoint.access import Access
from collectors.endpoint.words import AccessError
from collectors.text import clean

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)

MOST_BYTES = 1_000_000
"""Longest answer: a sample for each of a few tiers is under a kilobyte each."""

ROUNDING = 1e-6
"""How far beyond 0..1 a quotient of rates may be by rounding alone."""


_PART = "tidegate_part"


class ObservedError(Exception):
    """An answer that gives no shares. str() says what it was and what to do."""

    mend = ""


class _Sample(Struct, frozen=True):
    metric: dict[str, str] = {}
    value: tuple[float, str] = (0.0, "NaN")


class _Data(Struct, frozen=True, rename="camel"):
    result_type: str = ""
    result: tuple[_Sample, ...] = ()


class _Answer(Struct, frozen=True):
    status: str = ""
    data: _Data = _Data()
    error: str = ""


def dated(query: str) -> str:
    """The query with the time of each sample beside its value, as of one moment.

    Prometheus repeats a series for 5 minutes after its last sample. `timestamp` is that sample's own time if
    the query is a selector, such as a recording rule's name; else it is the time of asking.
    """
    # A line break ends a comment that the query may end in.
    parts = {"share": f"{query}\n", "at": f"timestamp({query}\n)"}
    return " or ".join(f'label_replace({of}, "{_PART}", "{name}", "", "")' for name, of in parts.items())


def read_shares(body: bytes, tier_label: str, tiers: Sequence[str], stale_s: float) -> dict[str, float]:
    """Share by tier, 0..1, of the answer to a `dated` query.

    A tier without a number, or whose sample is older than `stale_s`, is left out.
    raises: ObservedError for what is no vector with one sample a tier, each 0..1
    """
    try:
        answer = wire.read(body, _Answer)
    except ValueError as error:
        raise ObservedError(f"the answer is none of a Prometheus: {clean(str(error), 100)}") from error
    if answer.status != "success":
        raise ObservedError(f"the query was refused: {clean(answer.error, 200)}")
    if answer.data.result_type != "vector":
        found = clean(answer.data.result_type, 20)
        raise ObservedError(f"the query gives a {found}; write one that gives a sample for each tier")
    shares: dict[str, float] = {}
    ages: dict[str, float] = {}
    for sample in answer.data.result:
        tier = sample.metric.get(tier_label)
        if tier is None:
            raise ObservedError(f"a sample has no label {tier_label!r}; keep it: sum by ({tier_label}) (...)")
        if tier not in tiers:
            continue
        asked_at, text = sample.value
        if sample.metric.get(_PART) == "at":
            ages[tier] = asked_at - _number(text, tier)
            continue
        if tier in shares:
            raise ObservedError(f"tier {tier} has several samples; write sum by ({tier_label}) (...)")
        shares[tier] = _share(text, tier)
    return {
        tier: share
        for tier, share in shares.items()
        if not math.isnan(share) and ages.get(tier, math.inf) <= stale_s
    }


def _quoted(text: str) -> str:
    """As it is written inside a string of PromQL, whichever quotes that has."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("'", "\\'")


def _share(text: str, tier: str) -> float:
    """NaN is 0 requests of 0: nothing was seen."""
    value = _number(text, tier)
    if math.isnan(value):
        return value
    if not -ROUNDING <= value <= 1 + ROUNDING:
        raise ObservedError(f"tier {tier} has {value:g}, which is no share; write a query of 0 to 1")
    return min(max(value, 0.0), 1.0)


def _number(text: str, tier: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ObservedError(f"tier {tier} has no number: {clean(text, 20)!r}") from error


class Observer:
    """Asks one query again and again, and keeps what it says in the store."""

    def __init__(
        self, settings: Observed, endpoint: Endpoint, store: Store, clock: Callable[[], float]
    ) -> None:
        self._settings, self._store, self._clock = settings, store, clock
        self._access = Access(endpoint)
        self._trouble = ""

    async def follow(self) -> None:
        """Until cancelled. Trouble is logged when it changes, and the shares are null once they are stale."""
        loop, seen_at = asyncio.get_running_loop(), -math.inf
        http = None
        try:
            while True:
                try:
                    if http is None:
                        http = await in_daemon(self._access.opened, connections=1)
                    await self._look(http)
                    seen_at = loop.time()
                except (AccessError, ObservedError) as error:
                    self._tell(f"Prometheus {error}. {error.mend}" if error.mend else str(error))
                    if loop.time() - seen_at >= self._settings.stale_s:
                        await self._keep({})
                await asyncio.sleep(self._settings.every_s)
        finally:
            if http is not None:
                await http.aclose()

    async def _look(self, http: "httpx.AsyncClient") -> None:
        """raises: AccessError, ObservedError"""
        release = self._release()
        if release is None:
            self._tell("no such release is registered")
            return
        shares = await self._ask(http, release.candidate)
        now = self._release()
        # The answer about a candidate that has been replaced meanwhile says nothing about the new one.
        if now is not None and now.candidate == release.candidate:
            self._tell("")
            await self._keep(shares)

    def _release(self) -> wire.Release | None:
        return self._store.held.releases.get(self._settings.release)

    async def _ask(self, http: "httpx.AsyncClient", candidate: str) -> dict[str, float]:
        """raises: AccessError, ObservedError"""
        parameters = {
            "query": dated(self._settings.query.replace("$candidate", _quoted(candidate))),
            # Since Prometheus 2.44; older ones ignore it.
            "lookback_delta": f"{max(round(self._settings.stale_s * 1000), 1)}ms",
        }
        request = http.build_request("GET", "api/v1/query", params=parameters)
        response = await self._access.send(http, request)
        body = await self._access.body(response, at_most=MOST_BYTES)
        if response.status_code != 200:
            raise self._access.refusal(response.status_code, response.headers, body)
        tiers = self._store.held.config.tiers
        return read_shares(body, self._settings.tier_label, tiers, self._settings.stale_s)

    async def _keep(self, shares: Mapping[str, float]) -> None:
        if self._release() is None:
            return
        try:
            await asyncio.to_thread(
                self._store.observe, self._settings.release, dict(shares), now=self._clock()
            )
        except StoreError as error:
            self._tell(str(error))

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            logger.warning("observed share of %s: %s", self._settings.release, trouble)
        self._trouble = trouble
