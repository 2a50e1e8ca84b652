"""`y` between its press and what it does: it waits for the key that may be right behind it (S4, S5)."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from tui import guards

if TYPE_CHECKING:
    from tui.screens.base import CockpitScreen


class Confirming:
    """Holds a `y` back, one at a time, and lets it go unless something came in between.

    screen: on which `y` is pressed; it must still be on top when `y` is let go
    apply: what `y` does; called once for each `y`
    """

    def __init__(self, screen: "CockpitScreen", apply: Callable[[], None]) -> None:
        self._screen, self._apply = screen, apply
        self._held: asyncio.TimerHandle | None = None

    @property
    def is_held(self) -> bool:
        """Whether a `y` waits."""
        return self._held is not None

    def hold(self) -> None:
        """`y` was pressed, and all that it needs is there: let it wait, or say why it does not count."""
        app = self._screen.cockpit
        if haste := app.guard.haste:
            self._screen.say(haste)
            return
        wait_s = app.guard.last_at + guards.HOLD_S - app.clock()
        self._held = asyncio.get_running_loop().call_later(max(wait_s, 0.0), self._let_keys_go_first)

    def drop(self, key: str = "") -> None:
        """Let the `y` that waits do nothing, and say so. key: that came behind it; "" for none"""
        if not self.is_held:
            return
        self.end()
        self._screen.say(
            f"{key} came right behind y: nothing was sent; press y again" if key else "nothing was sent"
        )

    def hold_keys(self) -> None:
        """What keys act on has changed: drop them for a while, and what `y` was about to do (S4)."""
        app = self._screen.cockpit
        app.guard.restart(app.clock())
        self.drop()

    def end(self) -> None:
        """As `drop`, without a word: nobody is there to read it."""
        if self._held is not None:
            self._held.cancel()
            self._held = None

    def _let_keys_go_first(self) -> None:
        """Keys that were read by now are on their way through these two queues."""
        self._screen.app.call_later(self._screen.call_later, self._let_go, self._held)

    def _let_go(self, held: asyncio.TimerHandle | None) -> None:
        if held is None or held is not self._held or not self._screen.is_active:
            return
        self._held = None
        self._apply()
