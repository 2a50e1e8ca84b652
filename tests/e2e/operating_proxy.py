"""A proxy before a control plane that writes down when each request came by, and can keep a reply to itself.

Threads and blocking sockets: what it adds to a request is tens of microseconds, and the same each time.
"""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

_METHODS = (b"GET ", b"POST ")
_KEY = re.compile(rb"\r\nidempotency-key: *([^\r]+)", re.IGNORECASE)


class Request(NamedTuple):
    """A request. at: `time.monotonic` of its first bytes; line: method and path; key: of idempotency."""

    at: float
    line: str
    key: str


class RecordingProxy:
    """Passes on what comes, byte for byte.

    requests: all so far, in the order they came
    swallows: told each request's line: whether its reply is to be kept from the client
    drops_requests: such a request does not even reach the server
    swallowed: set once the first byte of such a reply was there, so that the plane has carried it out; or
        once such a request was dropped
    """

    def __init__(self, server: tuple[str, int]) -> None:
        self.server = server
        self.requests: list[Request] = []
        self.swallows: Callable[[str], bool] = lambda line: False
        self.drops_requests = False
        self.swallowed = threading.Event()

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Its URL, while the block lasts."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
            try:
                yield "http://{}:{}".format(*listener.getsockname())
            finally:
                with suppress(OSError):
                    listener.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(self.server, 3) as server:
            for side in (client, server):
                side.settimeout(None)
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            is_kept = threading.Event()
            back = threading.Thread(target=self._back, args=(server, client, is_kept), daemon=True)
            back.start()
            with suppress(OSError):
                while piece := client.recv(65_536):
                    self._note(piece, is_kept)
                    if is_kept.is_set() and self.drops_requests:
                        self.swallowed.set()
                    else:
                        server.sendall(piece)
            _end(server)
            back.join()

    def _note(self, piece: bytes, is_kept: threading.Event) -> None:
        at = time.monotonic()
        if not piece.startswith(_METHODS):
            return
        line = piece.split(b" HTTP/", 1)[0].decode(errors="replace")
        key = _KEY.search(piece)
        self.requests.append(Request(at, line, key[1].decode() if key else ""))
        (is_kept.set if self.swallows(line) else is_kept.clear)()

    def _back(self, server: socket.socket, client: socket.socket, is_kept: threading.Event) -> None:
        with suppress(OSError):
            while piece := server.recv(65_536):
                if is_kept.is_set():
                    self.swallowed.set()
                else:
                    client.sendall(piece)
        _end(client)


def _end(side: socket.socket) -> None:
    with suppress(OSError):
        side.shutdown(socket.SHUT_RDWR)
