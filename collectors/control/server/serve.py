"""The embedded control plane as a process of its own."""

import asyncio
import contextlib
import errno
import ipaddress
import logging
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette

from collectors.config import ConfigError
from collectors.control.server.access import (
    TOKEN_VARIABLE,
    Access,
    Token,
    remove_token_file,
    write_token_file,
)
from collectors.control.server.app import plane_app
from collectors.control.server.observing import Observer
from collectors.control.server.seed import SeedError, read_seed
from collectors.control.server.settings import PlaneSettings, read_plane_settings
from collectors.control.server.store import Store, StoreError
from collectors.control.server.tokens import read_tokens, told_roles
from collectors.text import clean
from collectors.toml_file import FileError

logger = logging.getLogger(__name__)

EXAMPLE_SEED = Path(__file__).with_name("seed-example.json")


@dataclass(frozen=True, slots=True)
class PlaneOptions:
    """listen: HOST:PORT, port 0 for a free one; seed: what to start from; data: SQLite file, None to keep
    everything in memory; allow_remote: listen beyond this machine although there is no TLS; config: a file of
    `PlaneSettings`; tokens: who may do what, else the file that `config` names, else one token is made."""

    listen: str = "127.0.0.1:9911"
    seed: Path | None = None
    data: Path | None = None
    allow_remote: bool = False
    config: Path | None = None
    tokens: Path | None = None


class ServeError(Exception):
    """The plane cannot be started. str() is the sentence for the command line."""


class PlaneServer(uvicorn.Server):
    """A server that says `bye` to open streams first, and lets its caller clean up after a signal."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and SIGINT. The library would raise them again, before a token file is removed."""
        before = {one: signal.signal(one, self.handle_exit) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End streams, then connections."""
        app = self.config.app
        assert isinstance(app, Starlette)  # `run_plane` gives no other
        app.state.streams.close()
        await super().shutdown(sockets)


def run_plane(options: PlaneOptions) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status: 0, or 2 with a sentence on stderr."""
    try:
        with contextlib.ExitStack() as stack:
            host, port = listen_address(options.listen, allow_remote=options.allow_remote)
            settings = PlaneSettings() if options.config is None else read_plane_settings(options.config)
            tokens_file = options.tokens or settings.tokens
            given = None if tokens_file is None else read_tokens(tokens_file)
            seed = None if options.seed is None else read_seed(options.seed)
            store = Store.open(options.data, settings.limits.store())
            stack.callback(store.close)
            if seed is not None:
                store.seed(seed, time.time())
            store.tick(time.time())
            if not store.held.config.tiers:
                raise ServeError(f"nothing to serve: give --seed FILE; {EXAMPLE_SEED} is an example")
            listener = stack.enter_context(_listener(host, port))
            url = _url(host, listener.getsockname()[1])
            tokens = given or (Token.fresh(),)
            app = plane_app(
                store,
                clock=time.time,
                access=Access(tokens),
                limits=settings.limits.edge(),
                stream=settings.limits.stream(),
            )
            server = _server(app)
            # From before the token file is there: a signal must not leave it behind.
            stack.enter_context(server.capture_signals())
            if tokens_file is None:
                (token,) = tokens
                path = _left_token(url, token, stack)
                told = f"token file {path} (yours alone, removed at exit): {token.actor}, {token.role}"
            else:
                told = f"tokens of {tokens_file}: {told_roles(tokens, time.time())}"
            _announce(url, told, options, is_own=tokens_file is None)
            asyncio.run(_serve(server, listener, _observers(settings, store)))
    except (ServeError, SeedError, StoreError, ConfigError, FileError) as error:
        print(f"tidegate: {error}", file=sys.stderr)
        return 2
    return 0


def _left_token(url: str, token: Token, stack: contextlib.ExitStack) -> Path:
    """Leave the token for the command line of this user, until `stack` ends. raises: ServeError"""
    try:
        path = write_token_file(url, token)
    except OSError as error:
        where = error.filename or "the state directory"
        raise ServeError(
            f"no token file can be written: {where}: {error.strerror}; set XDG_STATE_HOME"
        ) from error
    stack.callback(remove_token_file, path, token)
    return path


def _observers(settings: PlaneSettings, store: Store) -> list[Observer]:
    found = []
    for one in settings.observed:
        endpoint = one.prometheus or settings.prometheus
        assert endpoint is not None  # checked with the settings
        found.append(Observer(one, endpoint, store, time.time))
    return found


async def _serve(server: PlaneServer, listener: socket.socket, observers: Sequence[Observer]) -> None:
    following = [asyncio.create_task(one.follow()) for one in observers]
    for task in following:
        task.add_done_callback(_tell_end)
    try:
        await server.serve(sockets=[listener])
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


def _tell_end(task: "asyncio.Task[None]") -> None:
    """A fault of ours in an observer ends that one alone; the plane goes on, and its log says so."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("a release is no longer observed", exc_info=error)


def _server(app: Starlette) -> PlaneServer:
    return PlaneServer(
        uvicorn.Config(
            app,
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=1,
            # As long as clients keep theirs: a write after a dialog of half a minute finds a warm connection.
            timeout_keep_alive=30,
        )
    )


def listen_address(listen: str, *, allow_remote: bool = False) -> tuple[str, int]:
    """(host, port) from HOST:PORT or [V6]:PORT.

    raises: ServeError if it is neither, or reaches beyond this machine without `allow_remote`.
    """
    host, _, port_text = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port_text.isascii() and port_text.isdigit() and int(port_text[:6]) < 65_536):
        raise ServeError(
            f"{clean(listen)!r} is no address to listen at; give HOST:PORT, such as 127.0.0.1:9911"
        )
    if not allow_remote and not _is_loopback(host):
        raise ServeError(
            f"{clean(host)} can be reached from other machines and this server has no TLS: "
            f"listen at 127.0.0.1 behind a proxy that has, or say --allow-remote"
        )
    return host, int(port_text)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listener(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return _bound(family, address)
    except socket.gaierror as error:
        raise ServeError(f"{clean(host)}: no such host ({error.strerror}); give an address") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ServeError(
                f"{_url(host, port)} is taken, perhaps by another plane; stop that one, "
                f"or listen at port 0 for a free one"
            ) from error
        raise ServeError(f"cannot listen at {_url(host, port)}: {error.strerror}; give another") from error


def _bound(family: int, address: Any) -> socket.socket:
    # The protocol is named so that asyncio turns Nagle's algorithm off: else every answer takes 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def _url(host: str, port: int) -> str:
    """The URL to reach it by from this machine, where `host` may mean every address."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # asked for by --allow-remote
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _announce(url: str, tokens: str, options: PlaneOptions, *, is_own: bool) -> None:
    kept = "in memory only: gone when it stops" if options.data is None else f"in {options.data}"
    token = "" if is_own else f"{TOKEN_VARIABLE}=... "
    print(
        f"control plane at {url}\n"
        f"its data is {kept}\n"
        f"{tokens}\n"
        f"roles: viewer reads; operator throttles, pauses, aborts; release-admin advances, registers too\n"
        f"look at it: {token}tidegate watch --plane {url}",
        flush=True,
    )
