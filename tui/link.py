"""The way from a dialog to the source's operator: asked on the screen's loop, carried out on the feed's."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collectors.intents import Intent, Logged, Operator, Outcome, Rehearsal
    from tui.feed import Feed

Answer = TypeVar("Answer")


class NoOperator(Exception):
    """There is nothing to write to. str() is a sentence for the screen."""


class Link:
    """Asks the operator of whatever source is connected now.

    told: takes each outcome, on the screen's loop, whether or not its dialog is still open
    refuses: why nothing may be asked now, a sentence; "" while it may
    """

    def __init__(
        self, feed: "Feed", told: "Callable[[Outcome], None]", refuses: Callable[[], str] = lambda: ""
    ) -> None:
        self._feed, self._told, self._refuses = feed, told, refuses
        self._running: set[asyncio.Task[None]] = set()

    @property
    def in_flight(self) -> int:
        """Decisions that have not ended yet."""
        return len(self._running)

    async def rehearse(self, intents: "Sequence[Intent]") -> "tuple[Rehearsal, ...]":
        """Each intent's dry run. raises: NoOperator."""
        return await self._ask(lambda operator: operator.rehearse(intents))

    async def own_actions(self, limit: int = 20) -> "tuple[Logged, ...]":
        """The caller's own newest entries of the log. raises: NoOperator; what the operator raises."""
        return await self._ask(lambda operator: operator.own_actions(limit))

    def carry_out(self, intents: "Sequence[Intent]") -> "asyncio.Task[None]":
        """Carry out one decision. It goes on when its dialog closes; only the end of the program ends it.

        The task raises: NoOperator; whatever is wrong with the intents.
        """
        loop = asyncio.get_running_loop()

        async def all_of(outcomes: "AsyncIterator[Outcome]") -> None:
            async for outcome in outcomes:
                loop.call_soon_threadsafe(self._told, outcome)

        # Not awaited by the dialog: cancelling that must never cancel a write that is under way.
        task = asyncio.create_task(self._ask(lambda operator: all_of(operator.carry_out(intents))))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _ask(self, do: "Callable[[Operator], Awaitable[Answer]]") -> Answer:
        if why := self._refuses():
            raise NoOperator(why)
        return await asyncio.wrap_future(self._feed.submit(do))
