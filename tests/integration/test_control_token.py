"""When the token is looked up: not on the way of a decision, and at once when the plane wants another."""

from contextlib import aclosing

import pytest

from collectors import intending
from collectors.control.interface import PlaneError
from collectors.control.native import NativePlane
from collectors.intents import OutcomeKind, decided
from tests.integration.control_serving import NOW, OPERATOR, serving
from tests.integration.operating import own_cell

pytestmark = pytest.mark.slow


class Tokens:
    """Gives a token, and counts how often it is asked for."""

    def __init__(self, secret: str) -> None:
        self.secret, self.asked = secret, 0

    def __call__(self) -> str:
        self.asked += 1
        return self.secret


async def test_a_decision_goes_with_the_token_of_its_dry_run() -> None:
    """The dry run looks it up, whatever was kept; the write behind it does not wait for it."""
    tokens = Tokens(OPERATOR.secret)
    async with (
        serving() as served,
        aclosing(NativePlane(served.url, tokens, clock=lambda: NOW)) as plane,
    ):
        operator, intent = plane.operator(), intending.set_throttle(await own_cell(plane), level=0.2)
        asked = tokens.asked
        await operator.rehearse([intent])
        assert tokens.asked > asked
        asked = tokens.asked
        found = [one async for one in operator.carry_out(decided([intent], "exercise"))]
        assert [one.kind for one in found] == [OutcomeKind.APPLIED]
        assert tokens.asked == asked


@pytest.mark.parametrize("before", ["secret-of-mallory", "line\nbreak"], ids=["refused", "unfit"])
async def test_one_that_is_of_no_use_is_not_kept(before: str) -> None:
    """Once it is corrected, the next question goes with the new one."""
    tokens = Tokens(before)
    async with (
        serving() as served,
        aclosing(NativePlane(served.url, tokens, clock=lambda: NOW)) as plane,
    ):
        with pytest.raises(PlaneError):
            await plane.read()
        tokens.secret = OPERATOR.secret
        assert (await plane.read()).actor == "bob"
