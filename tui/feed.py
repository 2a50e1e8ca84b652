"""Listens to a source on a thread with an event loop of its own, so that nothing it does delays a key."""

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from tui.link import Answer, NoOperator

if TYPE_CHECKING:
    from collectors.fleet import Frame, Source
    from collectors.intents import Operator

RETRY_S = (1.0, 2.0, 5.0, 10.0)
"""Seconds before the next try to connect, after each failure in a row; the last one repeats."""

HANDOVER_S = 0.001
"""Longest that the screen's thread keeps the interpreter from the feed's, and the other way round. Python's
own 5 ms, several times over on the way of one key to the plane, are most of what that way may take."""

CLOSE_S = 1.0
"""Longest wait for a source to close."""


class Feed:
    """Calls `connect` and hands on what the source yields, again and again until closed.

    connect: builds the source; called on the feed's thread, so it may import and block
    arrived: takes each frame; said: takes a sentence and whether it means trouble. Both are called on the
        feed's thread and must return at once.
    once: end with the first trouble, in place of trying again
    """

    def __init__(
        self,
        connect: "Callable[[], Source]",
        arrived: "Callable[[Frame], None]",
        said: Callable[[str, bool], None],
        *,
        once: bool = False,
    ) -> None:
        self._connect, self._arrived, self._said, self._once = connect, arrived, said, once
        self._thread = threading.Thread(target=self._run, name="tidegate-feed", daemon=True)
        self._closing = threading.Event()
        self._ended: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._hurry: asyncio.Event | None = None
        self._yielded = False
        self._source: Source | None = None

    def start(self) -> None:
        """Begin to listen."""
        sys.setswitchinterval(HANDOVER_S)
        self._thread.start()

    @property
    def source(self) -> "Source | None":
        """What is listened to now; None while nothing is connected."""
        return self._source

    def tell(self, do: Callable[[], None]) -> None:
        """Let the feed's loop do something that returns at once, if there is a loop. From any thread."""
        if self._loop is not None and not self._ended.done():
            try:
                self._loop.call_soon_threadsafe(do)
            except RuntimeError:
                pass  # the loop closed in between: there is nothing left to tell

    def submit(self, do: "Callable[[Operator], Awaitable[Answer]]") -> "Future[Answer]":
        """Let the source's operator do something, on the feed's loop. From any thread.

        raises: NoOperator if no source is connected, or it is one that cannot be written to
        """
        loop, source = self._loop, self._source
        operator = source.operator if source is not None else None
        if loop is None or operator is None or self._ended.done():
            raise NoOperator("no control plane is connected: nothing can be written")

        async def done() -> Answer:
            return await do(operator)

        return asyncio.run_coroutine_threadsafe(done(), loop)

    def try_now(self) -> None:
        """Cut short the wait before the next try, if there is one."""
        if self._hurry is not None:
            self.tell(self._hurry.set)

    async def close(self) -> None:
        """Stop listening, close the source, wait a bounded time. Safe to call twice, or before `start`."""
        self._closing.set()
        if not self._thread.ident:
            return
        loop, task = self._loop, self._task
        if loop is not None and task is not None and not self._ended.done():
            try:
                loop.call_soon_threadsafe(task.cancel)
            except RuntimeError:
                pass  # the loop closed in between: it has ended
        # A thread stuck in an import or a library is left behind: it is a daemon and dies with the process.
        await asyncio.wait([asyncio.wrap_future(self._ended)], timeout=CLOSE_S + 0.5)

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._listen())
        except asyncio.CancelledError:
            pass  # how `close` ends it
        finally:
            self._ended.set_result(None)

    async def _listen(self) -> None:
        # Imported here: nothing of the collectors before the first paint.
        from collectors.daemon import DaemonExecutor

        loop = asyncio.get_running_loop()
        loop.set_default_executor(DaemonExecutor())
        self._hurry, self._task = asyncio.Event(), asyncio.current_task()
        self._loop = loop  # last: `close` reads it first
        failures = 0
        while not self._closing.is_set():
            self._said("Connecting.", False)
            try:
                await self._follow()
            except Exception as error:  # whatever a source raises is shown; it must not end the cockpit
                if self._once:
                    self._said(sentence_of(error), True)
                    return
                failures = 1 if self._yielded else failures + 1
                wait: float | None = RETRY_S[min(failures, len(RETRY_S)) - 1]
                self._said(
                    f"{sentence_of(error)} Trying again in {wait:g} s; ctrl-r tries now, q quits.", True
                )
            else:
                wait = None
                self._said(
                    "The source has ended: nothing newer will come. ctrl-r connects again, q quits.", True
                )
            self._hurry.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._hurry.wait()
            except TimeoutError:
                continue

    async def _follow(self) -> None:
        """One source from connect to end."""
        self._yielded = False
        source = self._source = self._connect()
        try:
            async for frame in source.frames():
                self._yielded = True
                self._arrived(frame)
        finally:
            self._source = None
            try:
                await asyncio.wait_for(source.aclose(), CLOSE_S)
            except TimeoutError:
                self._said("The source did not close in time and was left behind.", True)


def is_own(error: Exception) -> bool:
    """True for an error of ours: its text was written to be read."""
    return type(error).__module__.startswith(("collectors", "tui"))


def sentence_of(error: Exception) -> str:
    """What to show for `error`: the text of an error that was written to be read, else its kind as well."""
    from collectors.text import clean

    lines = (clean(line, 300).strip() for line in str(error).splitlines())
    text = clean("; ".join(line for line in lines if line), 600)
    sentence = (
        text
        if is_own(error) and text
        else f"{type(error).__name__}: {text}"
        if text
        else type(error).__name__
    )
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
