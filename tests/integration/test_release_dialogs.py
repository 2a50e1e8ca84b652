"""What the dialogs about a release send, on the embedded plane over a real socket, and back again."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import pytest

from collectors.control.interface import PlaneState
from collectors.control.native import NativePlane
from collectors.control.operator import PlaneOperator
from collectors.fleet import Frame, Release, Tier
from collectors.intents import OutcomeKind, PlaneFacts
from tests.integration.control_serving import NOW, Serving, serving
from tests.integration.operating import SWIFT, outcomes
from tui.dialogs.form import Form
from tui.dialogs.release import RETRY, WEIGHT, advance_form, back_out_form, pause_form
from tui.dialogs.undo import changed, left
from tui.dialogs.ways_back import inverse
from tui.releases import tier_titles
from tui.screens.base import Selection

pytestmark = pytest.mark.slow

ON = Selection(release="llama-70b")


@dataclass
class Walk:
    """One plane, its client and its operator."""

    served: Serving
    client: NativePlane
    operator: PlaneOperator

    async def frame(self) -> Frame:
        """What a screen would be drawn from now."""
        state = await self.client.read()
        tiers = tuple(Tier(name, name.title()) for name in state.tiers)
        return Frame(
            at=self.served.clock.now,
            tick=1,
            context="test",
            tiers=tiers,
            models=(),
            releases=state.releases,
            throttles=state.throttles,
            features=state.features,
            plane=facts(state),
            simulated=True,
        )

    async def release(self) -> Release:
        return next(one for one in (await self.frame()).releases if one.id == ON.release)

    async def confirm(self, form: Form | str) -> Release:
        """The dialog's plan, rehearsed and carried out; the release as it is then."""
        assert not isinstance(form, str), form
        plan = form.plan()
        assert not plan.problem, plan.problem
        (rehearsal,) = await self.operator.rehearse(plan.intents)
        assert rehearsal.would_apply, rehearsal.refusal
        *_, last = await outcomes(self.operator, *plan.intents)
        assert last.kind is OutcomeKind.APPLIED, last.text
        return await self.release()

    async def undo(self) -> Form | str:
        """The way back from the newest action."""
        newest, *_ = await self.operator.own_actions()
        return inverse(await self.frame(), newest)


def facts(state: PlaneState) -> PlaneFacts:
    """What a frame tells of the plane."""
    return PlaneFacts(state.actor, state.role, state.abilities, state.tiers, state.clock_offset_s)


@asynccontextmanager
async def walking(secret: str = "secret-of-alice") -> AsyncIterator[Walk]:
    """A walk with the example plane, whose clock stands."""
    async with serving() as served:
        client = NativePlane(served.url, lambda: secret, timing=SWIFT, clock=lambda: NOW)
        async with aclosing(client):
            yield Walk(served, client, client.operator())


async def test_every_dialog_does_what_it_says() -> None:
    """Override, weigh, pause, resume, abort, go again, roll back: each plan lands, and its undo does."""
    async with walking() as walk:
        start = await walk.release()
        assert (start.phase, start.gate) == ("paused", "closed")
        form = advance_form(await walk.frame(), ON)
        assert not isinstance(form, str)
        assert form.plan().problem.startswith("the server's gate is closed (hold: ")
        moved = await walk.confirm(form.with_choice("gate", ("override",)))
        assert moved.stage_index == (start.stage_index or 0) + 1

        form = advance_form(await walk.frame(), ON)
        assert not isinstance(form, str)
        before = moved.desired(moved.stages[moved.stage_index].tier)
        weighed = await walk.confirm(form.with_choice("step", (WEIGHT,)).with_text("weight", "40"))
        assert weighed.desired(moved.stages[moved.stage_index].tier) == 0.4
        back = await walk.confirm(await walk.undo())
        assert back.desired(moved.stages[moved.stage_index].tier) == before

        assert (await walk.confirm(pause_form(await walk.frame(), ON))).pause_reason == "operator"
        assert (await walk.confirm(await walk.undo())).pause_reason != "operator"
        assert (await walk.confirm(await walk.undo())).pause_reason == "operator"
        aborted = await walk.confirm(back_out_form(await walk.frame(), ON))
        assert (aborted.phase, aborted.stage_index) == ("aborted", None)
        again = await walk.confirm(await walk.undo())
        assert (again.phase, again.candidate) == ("pending", start.candidate)

        back_out = back_out_form(await walk.frame(), ON)
        assert not isinstance(back_out, str)
        ended = await walk.confirm(back_out.with_choice("way", ("rollback",)))
        assert (ended.phase, ended.candidate) == ("completed", start.stable)
        assert isinstance(await walk.undo(), str), "a roll back has no inverse"


async def test_an_advance_is_undone_by_the_weight_that_its_tier_had() -> None:
    """From the plane's own log: plus goes back to a quarter at its new stage, pro keeps what it has."""
    async with walking() as walk:
        start = await walk.release()
        form = advance_form(await walk.frame(), ON)
        assert not isinstance(form, str)
        moved = await walk.confirm(form.with_choice("gate", ("override",)))
        assert (moved.desired("pro"), moved.desired("plus")) == (1.0, 1.0)
        back = await walk.confirm(await walk.undo())
        assert [one.desired for one in back.exposure] == [one.desired for one in start.exposure]
        assert back.stage_index == moved.stage_index


async def test_an_operator_may_stop_and_undo_a_stop() -> None:
    """By the plane's own word: abort and pause are offered, advance and going again are not."""
    async with walking("secret-of-bob") as walk:
        assert advance_form(await walk.frame(), ON) == "llama-70b: advance: needs release-admin"
        await walk.confirm(pause_form(await walk.frame(), ON))
        await walk.confirm(await walk.undo())
        await walk.confirm(back_out_form(await walk.frame(), ON))
        assert await walk.undo() == "llama-70b: go again: needs release-admin"
        held = advance_form(await walk.frame(), ON)
        assert isinstance(held, str)
        assert RETRY not in held


async def test_the_log_tells_what_was_done() -> None:
    """Own actions as the plane logs them: from → to, and whether they still stand."""
    async with walking() as walk:
        await walk.confirm(pause_form(await walk.frame(), ON))
        await walk.confirm(back_out_form(await walk.frame(), ON))
        frame = await walk.frame()
        aborted, paused, *_ = await walk.operator.own_actions()
        titles = tier_titles(frame)
        assert changed(aborted, titles) == "plus@25 → none, paused → aborted"
        assert (aborted.operation, left(frame, aborted, frame.at)) == ("release.abort", "stands")
        assert left(frame, paused, frame.at) == "changed since by alice"
