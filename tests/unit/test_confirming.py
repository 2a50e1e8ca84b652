"""A `y` that waits: it applies once, behind every key that was read by then, or not at all."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest

from tui import guards
from tui.dialogs.confirming import Confirming
from tui.screens.base import CockpitScreen


class Held:
    """A screen on which `y` is held: its queue, and that of its application, are emptied by hand."""

    def __init__(self) -> None:
        self.guard, self.now = guards.KeyGuard(), 100.0
        self.queue: list[Callable[[], None]] = []
        self.is_active, self.applied = True, 0
        self.said: list[str] = []
        self.cockpit = SimpleNamespace(guard=self.guard, clock=lambda: self.now)
        self.app = SimpleNamespace(call_later=self.call_later)
        self.say = self.said.append
        self.confirming = Confirming(cast("CockpitScreen", self), self._apply)

    def call_later(self, do: Callable[..., None], *arguments: object) -> None:
        self.queue.append(lambda: do(*arguments))

    def press(self) -> None:
        """`y`, after some quiet."""
        self.now += 2 * guards.REPEAT_S
        self.guard.note("y", True, self.now)
        self.confirming.hold()

    async def waited(self) -> None:
        """Until the time to wait is over, and the first of the two queues has it."""
        before = len(self.queue)
        async with asyncio.timeout(5):
            while len(self.queue) == before:
                await asyncio.sleep(guards.HOLD_S)

    def emptied(self) -> None:
        """All that is in the queues, and what that puts there."""
        while self.queue:
            self.queue.pop(0)()

    def _apply(self) -> None:
        self.applied += 1


async def test_it_applies_once_behind_what_is_queued() -> None:
    """Not at the press, and not before the keys that were on their way have been handled."""
    screen = Held()
    screen.press()
    assert screen.confirming.is_held
    await screen.waited()
    assert (screen.applied, screen.said) == (0, [])
    screen.emptied()
    assert screen.applied == 1
    assert not screen.confirming.is_held


@pytest.mark.parametrize("queues", [0, 1, 2])
@pytest.mark.parametrize(
    ("key", "said"),
    [("x", "x came right behind y: nothing was sent; press y again"), ("", "nothing was sent")],
)
async def test_what_comes_in_between_drops_it(key: str, said: str, queues: int) -> None:
    """S5: while it waits, and on its way through either queue; it is said once."""
    screen = Held()
    screen.press()
    if queues:
        await screen.waited()
    if queues == 2:
        screen.queue.pop(0)()
    screen.confirming.drop(key)
    screen.confirming.drop(key)
    await asyncio.sleep(2 * guards.HOLD_S)
    screen.emptied()
    assert (screen.applied, screen.said) == (0, [said])


async def test_one_that_was_dropped_does_not_come_back_with_the_next() -> None:
    """The first is in a queue when the second is pressed: only the second applies, behind its own wait."""
    screen = Held()
    screen.press()
    await screen.waited()
    screen.confirming.drop("x")
    screen.press()
    screen.emptied()
    assert screen.applied == 0
    await screen.waited()
    screen.emptied()
    assert screen.applied == 1


async def test_it_needs_quiet_before_it() -> None:
    """S5: no other character of a paste than the first is held at all."""
    screen = Held()
    screen.guard.note("x", True, screen.now)
    screen.now += guards.SETTLE_S / 2
    screen.guard.note("y", True, screen.now)
    screen.confirming.hold()
    assert not screen.confirming.is_held
    assert screen.said == [guards.HURRIED]


async def test_a_screen_that_was_covered_applies_nothing() -> None:
    """What is on top by then is what somebody looks at."""
    screen = Held()
    screen.press()
    await screen.waited()
    screen.is_active = False
    screen.emptied()
    assert screen.applied == 0


async def test_what_changed_holds_keys_back_and_drops_it() -> None:
    """S4: keys of now were meant for what was there before. A screen that is gone says nothing."""
    screen = Held()
    screen.press()
    screen.confirming.hold_keys()
    assert screen.guard.is_early(screen.now)
    assert screen.said == ["nothing was sent"]
    screen.press()
    screen.confirming.end()
    assert not screen.confirming.is_held
    assert screen.said == ["nothing was sent"]
