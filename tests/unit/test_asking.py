"""Asking for a dry run: only the newest question has an answer, and what grows old is asked again."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest

from collectors.intents import Intent, Rehearsal
from tests.dialog_parts import CellForm, operated_frame, would_apply
from tui.dialogs.asking import RENEW_S, TOUCHED_S, Asking
from tui.dialogs.decision import DryRun
from tui.screens.base import CockpitScreen

INTENTS = CellForm(operated_frame(), tiers=("team", "free")).plan().intents


class Questions:
    """A screen that asks; its plane answers when told, its queue is emptied by hand."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.asked: list[tuple[Intent, ...]] = []
        self.queue: list[Callable[[], None]] = []
        self.taken: list[DryRun] = []
        self.cockpit = SimpleNamespace(link=self, clock=lambda: 100.0)
        self.asking = Asking(cast("CockpitScreen", self), self.taken.append)

    async def rehearse(self, intents: tuple[Intent, ...]) -> tuple[Rehearsal, ...]:
        self.asked.append(intents)
        await self.may.wait()
        return tuple(map(would_apply, intents))

    def call_later(self, do: Callable[..., None], *arguments: object) -> None:
        self.queue.append(lambda: do(*arguments))

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not holds():
                await asyncio.sleep(0)

    def emptied(self) -> None:
        while self.queue:
            self.queue.pop(0)()


async def test_an_answer_is_taken_once() -> None:
    """By the queue of the screen; then nothing is under way."""
    screen = Questions()
    screen.asking.ask(INTENTS, 0.0)
    screen.may.set()
    await screen.until(lambda: bool(screen.queue))
    assert screen.asking.is_under_way
    screen.emptied()
    assert [run.intents for run in screen.taken] == [INTENTS]
    assert not screen.asking.is_under_way


@pytest.mark.parametrize("is_answered", [False, True])
async def test_only_the_newest_question_counts(is_answered: bool) -> None:
    """Also where the answer to the one before is in the queue already."""
    screen = Questions()
    screen.asking.ask(INTENTS, 0.0)
    await screen.until(lambda: bool(screen.asked))
    if is_answered:
        screen.may.set()
        await screen.until(lambda: bool(screen.queue))
    screen.asking.ask(INTENTS[:1], 0.0)
    screen.may.set()
    await screen.until(lambda: len(screen.asked) == 2 and len(screen.queue) == 1 + is_answered)
    screen.emptied()
    assert [run.intents for run in screen.taken] == [INTENTS[:1]]


async def test_without_a_plan_nothing_is_asked_any_more() -> None:
    """What was on its way is not waited for."""
    screen = Questions()
    screen.asking.ask(INTENTS, 0.0)
    screen.asking.ask((), 0.0)
    assert not screen.asking.is_under_way


async def test_what_grows_old_is_due_while_somebody_is_there() -> None:
    """Once, and not for a dialog that nobody has touched for a while."""
    screen = Questions()
    run = DryRun(INTENTS, (), 100.0)
    assert not screen.asking.is_due(None, 100.0, 200.0)
    assert not screen.asking.is_due(run, 100.0, 100.0 + RENEW_S - 1)
    assert screen.asking.is_due(run, 100.0, 100.0 + RENEW_S)
    assert not screen.asking.is_due(run, 100.0, 100.0 + TOUCHED_S)
    screen.asking.ask(INTENTS, 0.0)
    assert not screen.asking.is_due(run, 100.0, 100.0 + RENEW_S)
    screen.asking.end()
