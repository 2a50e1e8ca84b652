"""Which control plane is meant, and asking it from a command."""

import argparse
import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

from tui.contexts import with_guards
from tui.output import fail

if TYPE_CHECKING:
    from collectors.config import Context
    from collectors.control.native import NativePlane

FAILED = 1


class Plane(NamedTuple):
    """The plane that is meant, with the context it belongs to."""

    name: str
    context: "Context"
    plane: "NativePlane"


def asked(args: argparse.Namespace, do: Callable[[Plane], Awaitable[int]]) -> int:
    """Run `do` on the plane that is meant, and close it. Returns the exit status; mistakes are said."""
    from collectors.config import ConfigError
    from collectors.control.interface import PlaneError
    from collectors.daemon import DaemonExecutor
    from collectors.live import plane

    ended_by: list[int] = []

    async def run() -> int:
        asyncio.get_running_loop().set_default_executor(DaemonExecutor())
        _end_cleanly_on_signals(ended_by)
        name, context = _context_of(args)
        if context.plane is None:
            raise ConfigError(
                f"context {name!r} has no control plane: give --plane URL, set TIDEGATE_PLANE, or write "
                f'plane = "URL" into it'
            )
        found = plane(context.plane)
        try:
            return await do(Plane(name, context, found))
        finally:
            await found.aclose()

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        return 128 + ended_by[0] if ended_by else FAILED
    except ConfigError as error:
        return fail(error)
    except PlaneError as error:
        return fail(error, FAILED)


def _end_cleanly_on_signals(ended_by: list[int]) -> None:
    """Cancel what runs on a termination or hangup, as an interrupt does: what is under way is told."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    if threading.current_thread() is not threading.main_thread():
        return  # signals belong to the main thread, which is another's

    def end(number: int) -> None:
        ended_by.append(number)
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end, number)


def _context_of(args: argparse.Namespace) -> "tuple[str, Context]":
    """The configured context, its plane replaced by the options. raises: ConfigError."""
    from pydantic import ValidationError

    from collectors.config import ConfigError, Context, read_settings
    from collectors.text import clean

    settings = read_settings(args.config)
    wanted = args.context or os.environ.get("TIDEGATE_CONTEXT")
    url = args.plane or os.environ.get("TIDEGATE_PLANE")
    if url and not wanted:
        # What a context says of its plane, such as never to write to it, holds however the plane is named.
        wanted = next((n for n, one in settings.contexts.items() if _is_at(one, url)), None)
    # A plane alone is asked as it is: a default context's marks and token belong to another fleet.
    if wanted or args.config or (settings.contexts and not url):
        name, context = settings.context(wanted)
    else:
        name, context = "direct", Context()
    token = _token(args)
    if url or token:
        is_own = context.plane is not None and (not url or _is_at(context, url))
        base = context.plane.model_dump(exclude_unset=True) if context.plane and is_own else {"url": url}
        try:
            context = Context.model_validate(
                {
                    **context.model_dump(exclude_unset=True),
                    "plane": base | ({"token": token} if token else {}),
                }
            )
        except ValidationError as error:
            first = error.errors()[0]
            raise ConfigError(f"--plane: {clean(first['msg'].removeprefix('Value error, '), 300)}") from error
    return name, with_guards(context, settings)


def _is_at(context: "Context", url: str) -> bool:
    from collectors.config import is_same_server

    return context.plane is not None and is_same_server(context.plane.url, url)


def _token(args: argparse.Namespace) -> dict[str, str] | None:
    if args.token_env:
        return {"env": args.token_env}
    if args.token_command:
        return {"command": args.token_command}
    return {"file": str(args.token_file.expanduser().absolute())} if args.token_file else None
