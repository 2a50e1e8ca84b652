"""An operator with short waits, and the decisions that tests make it carry out."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

from collectors import intending
from collectors.control.http import Timing
from collectors.control.native import NativePlane
from collectors.control.operator import PlaneOperator
from collectors.fleet import Throttle
from collectors.intents import Intent, Outcome, OutcomeKind, decided
from tests.integration.control_serving import NOW

SWIFT = Timing(read_s=0.3, connect_s=1, repeat_s=0.01, operation_s=0.02, settle_s=0.4)
SECRET = "secret-of-alice"
CELL = Throttle("image-generation", "free", 410, "t-8", 0.3)
VOICE = replace(CELL, feature="voice")
CHAT = replace(CELL, feature="chat")
A, P, R, C, U = (
    OutcomeKind.APPLIED,
    OutcomeKind.PENDING,
    OutcomeKind.REFUSED,
    OutcomeKind.CONFLICT,
    OutcomeKind.UNKNOWN,
)


def ten(cell: Throttle = CELL) -> Intent:
    """Admit 10%."""
    return intending.set_throttle(cell, level=0.1)


@asynccontextmanager
async def operating(url: str, *, timing: Timing = SWIFT, now: float = NOW) -> AsyncIterator[PlaneOperator]:
    """An operator with short waits, whose clock stands."""
    plane = NativePlane(url, lambda: SECRET, timing=timing, clock=lambda: now)
    async with aclosing(plane):
        yield plane.operator()


async def outcomes(operator: PlaneOperator, *intents: Intent) -> list[Outcome]:
    """Every outcome of one decision."""
    return [one async for one in operator.carry_out(decided(intents, "queue p99 over 20 s", "REL-311"))]


def kinds(found: list[Outcome]) -> list[OutcomeKind]:
    """Their kinds."""
    return [one.kind for one in found]


async def own_cell(client: NativePlane, feature: str = "voice") -> Throttle:
    """A cell as the client sees it now."""
    (found,) = [
        one for one in (await client.read()).throttles if (one.feature, one.tier) == (feature, "free")
    ]
    return found
