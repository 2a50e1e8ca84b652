"""Threads that nothing waits for: what hangs in a library never holds the program's end."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

Given = ParamSpec("Given")
Found = TypeVar("Found")


class DaemonExecutor(ThreadPoolExecutor):
    """Runs each call on a daemon thread of its own, at once.

    The interpreter waits for the threads of a pool at exit, so that a name server that does not answer, or a
    page that takes long to read, would hold the terminal long after the end. Callers bound their number.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # handed to whoever waits for the future
                future.set_exception(error)

        threading.Thread(target=run, name=self._thread_name_prefix, daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing to wait for."""


_EXECUTOR = DaemonExecutor()


async def in_daemon(call: Callable[Given, Found], *args: Given.args, **kwargs: Given.kwargs) -> Found:
    """As `asyncio.to_thread`, on a thread that the program's end does not wait for."""
    return await asyncio.wrap_future(_EXECUTOR.submit(call, *args, **kwargs))
