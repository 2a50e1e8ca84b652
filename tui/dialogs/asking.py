"""Asking the plane what a plan would do: how often, and what is made of no answer."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from collectors.intents import Intent
from tui.dialogs.decision import DryRun
from tui.feed import sentence_of
from tui.link import NoOperator

if TYPE_CHECKING:
    from tui.link import Link
    from tui.screens.base import CockpitScreen

DEBOUNCE_S = 0.15
"""Seconds that a plan must stand before the plane is asked about it."""

RENEW_S = 10.0
"""Age at which a dry run is asked again, so that `y` seldom meets one that is too old."""

TOUCHED_S = 60.0
"""Seconds without a key after which a dialog asks no more by itself."""


class Asking:
    """The question on its way: only the newest one counts.

    screen: that asks; take: shows the answer, as a message of the screen's own
    """

    def __init__(self, screen: "CockpitScreen", take: Callable[[DryRun], None]) -> None:
        self._screen, self._take = screen, take
        self._task: asyncio.Task[None] | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether an answer is still to come."""
        return self._task is not None

    def ask(self, intents: tuple[Intent, ...], wait_s: float) -> None:
        """What the intents would do, once they have stood for `wait_s` seconds; nothing for none."""
        self.end()
        if intents:
            self._task = asyncio.create_task(self._ask(intents, wait_s))

    def is_due(self, run: DryRun | None, touched_at: float, now: float) -> bool:
        """Whether a dry run grows old while somebody is there, and is not asked for already.

        touched_at, now: seconds by the clock of the dry run
        """
        if run is None or self.is_under_way:
            return False
        return now - run.asked_at >= RENEW_S and now - touched_at < TOUCHED_S

    def end(self) -> None:
        """Nobody waits for the answer any more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _ask(self, intents: tuple[Intent, ...], wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        app = self._screen.cockpit
        run = await dry_run(app.link, intents, app.clock())
        # By the queue: an error of ours in showing it must not be lost in a task that nobody awaits.
        self._screen.call_later(self._tell, asyncio.current_task(), run)

    def _tell(self, asked: "asyncio.Task[None] | None", run: DryRun) -> None:
        if asked is self._task:
            self._task = None
            self._take(run)


async def dry_run(link: "Link", intents: tuple[Intent, ...], asked_at: float) -> DryRun:
    """What the plane says of the intents; asked_at: now, seconds by the clock of the dialog."""
    try:
        return DryRun(intents, tuple(await link.rehearse(intents)), asked_at)
    except NoOperator as error:
        return DryRun(intents, (), asked_at, str(error))
    except Exception as error:  # whatever an operator raises is shown; it must not end the cockpit
        return DryRun(intents, (), asked_at, sentence_of(error))
