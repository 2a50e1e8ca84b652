"""Whatever is lost, late, doubled or cut, and whenever the plane dies: each write once, and told as it is.

`python -m benchmarks operating` runs the same campaign with 2,000 steps.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from collectors import intending
from collectors.control.http import Timing
from collectors.control.native import NativePlane
from collectors.control.operator import PlaneOperator
from collectors.fleet import Release, Throttle
from collectors.intents import Intent, Outcome, OutcomeKind, decided
from tests.fault_campaign import run_campaign
from tests.fault_proxy import NO_FAULTS, FaultProxy, Odds
from tests.integration.control_serving import ADMIN, Serving, serving
from tests.integration.operating import outcomes

pytestmark = pytest.mark.slow

STEPS = 200
SEED = 7
HURRIED = Timing(connect_s=1.0, read_s=0.3, repeat_s=0.01, settle_s=1.0)


async def test_each_write_once_and_told_as_it_is(tmp_path: Path) -> None:
    """Two operators, proxies that harm, SIGKILL at any moment: nothing twice, nothing told that is not so."""
    found = await run_campaign(tmp_path, steps=STEPS, seed=SEED)
    assert found.faults == [], found.told()
    assert found.kills >= 3, found.figures()
    assert found.chains_verified == found.kills + 1
    assert found.outcomes["applied"] > STEPS / 3, found.figures()
    assert found.outcomes["conflict"] > 0, found.figures()
    assert sum(found.harmed.values()) > STEPS / 2, found.figures()


@asynccontextmanager
async def harmed(proxy: FaultProxy) -> AsyncIterator[PlaneOperator]:
    """An operator that reaches the plane through the proxy alone."""
    async with (
        proxy.serving() as url,
        aclosing(NativePlane(url, lambda: ADMIN.secret, timing=HURRIED)) as client,
    ):
        yield client.operator()


def proxy_of(plane: Serving, odds: Odds, reads: Odds = NO_FAULTS) -> FaultProxy:
    """A proxy before a plane of this process."""
    host, _, port = plane.url.rpartition("//")[2].rpartition(":")
    return FaultProxy((host, int(port)), 1, odds, reads)


async def seen(plane: Serving) -> tuple[dict[str, Release], dict[tuple[str, str], Throttle]]:
    """Everything as it is now, past any proxy."""
    async with aclosing(NativePlane(plane.url, lambda: ADMIN.secret)) as client:
        state = await client.read()
    return {one.id: one for one in state.releases}, {(one.feature, one.tier): one for one in state.throttles}


async def final(operator: PlaneOperator, *intents: Intent) -> Outcome:
    """The last word on one decision."""
    return (await outcomes(operator, *intents))[-1]


async def test_a_brake_is_not_called_refused_while_it_may_still_land() -> None:
    """Its first request is held up on the way and its repeat refused: unknown, and it lands after all."""
    async with serving() as plane:
        late = Held(proxy_of(plane, NO_FAULTS).server, 1, Odds(late_request=1.0), NO_FAULTS)
        release = (await seen(plane))[0]["deep-research"]
        assert release.phase == "pending"
        async with harmed(late) as ann, harmed(proxy_of(plane, NO_FAULTS)) as ben:
            told = []
            async for outcome in ann.carry_out(decided([intending.pause(release)], "wait for numbers")):
                late.odds = NO_FAULTS
                told.append(outcome)
            assert told[-1].kind is OutcomeKind.UNKNOWN
            assert "a repeat was refused: deep-research is pending; pause needs" in told[-1].text
            (look,) = await ann.rehearse([intending.advance(release)])
            assert "nobody knows yet whether the release.pause before was applied" in look.refusal
            assert (await final(ben, intending.advance(release))).kind is OutcomeKind.APPLIED
            late.let_go.set()
            await late.quiet()
            (look,) = await ann.rehearse([intending.advance(release)])
            assert look.warnings[0] == "the release.pause without an answer was applied"
        assert (await seen(plane))[0]["deep-research"].pause_reason == "operator"


async def test_a_brake_that_never_landed_is_told_so_in_the_end() -> None:
    """Its first request was lost and its repeat refused: once nothing can be under way, it was refused."""
    async with serving() as plane:
        losing = proxy_of(plane, Odds(lose_request=1.0))
        release = (await seen(plane))[0]["deep-research"]
        async with harmed(losing) as ann:
            told = []
            async for outcome in ann.carry_out(decided([intending.pause(release)], "wait for numbers")):
                losing.odds = NO_FAULTS
                told.append(outcome)
            assert told[-1].kind is OutcomeKind.UNKNOWN
            async with asyncio.timeout(60):
                while (look := (await ann.rehearse([intending.advance(release)]))[0]).code == "in-progress":
                    await asyncio.sleep(0.02)
            assert look.warnings[0] == "the release.pause without an answer was refused"


async def test_a_doubled_page_of_the_log_is_not_taken_for_another() -> None:
    """Replies to reads come twice: no write that was applied is called unheard of."""
    async with serving() as plane:
        proxy = proxy_of(plane, Odds(lose_reply=1.0))
        cells = list((await seen(plane))[1].values())
        intents = [intending.set_throttle(one, level=0.25) for one in cells]
        async with harmed(proxy) as operator:
            finals = await asyncio.gather(*(final(operator, one) for one in intents))
            assert {one.kind for one in finals} == {OutcomeKind.UNKNOWN}
            await asyncio.sleep(HURRIED.read_s)
            proxy.odds, proxy.reads = NO_FAULTS, Odds(double_reply=1.0, delay_s=0.02)
            said: list[str] = []
            async with asyncio.timeout(60):
                while len(said) < len(cells):
                    looks = await operator.rehearse(intents)
                    said += [one for look in looks for one in look.warnings if "without an answer" in one]
        assert set(said) == {"the throttle.set without an answer was applied"}


async def test_a_log_that_cannot_be_read_just_now_settles_nothing() -> None:
    """A brake that was applied, and a log that does not answer: nobody knows, however long ago it was."""
    async with serving() as plane:
        proxy = Unlogged(proxy_of(plane, NO_FAULTS).server, 1, Odds(lose_reply=1.0), NO_FAULTS)
        release = (await seen(plane))[0]["llama-70b"]
        async with harmed(proxy) as operator:
            assert (await final(operator, intending.abort(release))).kind is OutcomeKind.UNKNOWN
            proxy.odds = NO_FAULTS
            await asyncio.sleep(HURRIED.read_s)
            (look,) = await operator.rehearse([intending.retry(release)])
            assert "nobody knows yet whether the release.abort before was applied" in look.refusal
            proxy.is_silent = False
            (look,) = await operator.rehearse([intending.retry(release)])
            assert look.warnings[0] == "the release.abort without an answer was applied"


class Held(FaultProxy):
    """A proxy whose late requests arrive when they are let go."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.let_go = asyncio.Event()

    async def _asked_late(self, request: bytes, wait_s: float) -> None:
        await self.let_go.wait()
        await self._asked(request)


class Unlogged(FaultProxy):
    """A proxy that loses every request for the log, for a while."""

    is_silent = True

    async def _passed(
        self, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        if self.is_silent and request.startswith(b"GET /v1/audit"):
            return False
        return await super()._passed(request, reader, writer)
