"""A server whose pages answer as a test says, and a poller that reads them."""

import contextlib
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from collectors.scrape.poller import PageTarget, ScrapePoller
from collectors.signals.catalogue import Answer, Definition, Metric, Poll, Preset

RUNNING = Definition("running", "demo", "engine", "gauge", (Metric("demo_running"),), ("model",))
SERVED = Definition("served", "demo", "engine", "counter", (Metric("demo_served_total"),), ("model",))
DEMO = Preset("demo", "Demo engine", "engine", ("demo_running",), (RUNNING, SERVED))
OTHER = Preset(
    "other",
    "Other",
    "router",
    ("other_up",),
    (Definition("waiting", "other", "router", "gauge", (Metric("other_up"),), ()),),
)

Handler = BaseHTTPRequestHandler
Reply = Callable[[Handler], None]


def page(running: int = 3, served: float = 0.0, model: str = "m") -> bytes:
    return (
        f'demo_running{{model="{model}"}} {running}\ndemo_served_total{{model="{model}"}} {served}\n'.encode()
    )


def sent(body: bytes, status: int = 200, length: int | None = None, **headers: str) -> Reply:
    """A reply of these bytes; `length` is what the header claims."""

    def reply(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)
        if length is not None:
            handler.close_connection = True

    return reply


def closing(reply: Reply) -> Reply:
    """The same, and the server ends the connection without having said so."""

    def closes(handler: Handler) -> None:
        reply(handler)
        handler.close_connection = True

    return closes


class Site:
    """A server whose paths answer as the test says. asked: (path, Authorization, connection) of each."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.scheme = "https" if tls else "http"
        self.replies: dict[str, Reply] = {}
        self.asked: list[tuple[str, str | None, int]] = []
        self.over = threading.Event()
        site = self

        class Answering(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle(self) -> None:
                with contextlib.suppress(ssl.SSLError):
                    super().handle()

            def do_GET(self) -> None:
                authorization = self.headers.get("Authorization")
                site.asked.append((self.path, authorization, self.client_address[1]))
                reply = site.replies.get(self.path, sent(b"", 404))
                with contextlib.suppress(ConnectionError):
                    reply(self)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.server.daemon_threads = True
        if tls is not None:
            # The handshake belongs to the thread of its connection: a refused one must not end the server.
            self.server.socket = tls.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def url(self, path: str) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    def close(self) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


class Clock:
    """A clock that the test moves."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def polling(
    *targets: PageTarget, clock: Callable[[], float] | None = None, **options: float
) -> AsyncIterator[ScrapePoller]:
    poller = ScrapePoller(
        targets,
        presets=(DEMO, OTHER),
        interval_s=options.get("interval_s", 1.0),
        timeout_s=options.get("timeout_s", 5.0),
        clock=clock or Clock(),
    )
    try:
        yield poller
    finally:
        await poller.aclose()


async def one_poll(*urls: str, timeout_s: float = 5.0) -> Poll:
    async with polling(*map(PageTarget, urls), timeout_s=timeout_s) as poller:
        return await poller.poll()


def answer(poll: Poll, definition: Definition) -> Answer:
    return next(one for one in poll.answers if one.definition is definition)


def value(poll: Poll, definition: Definition, model: str = "m") -> object:
    return next(
        (row.value for row in answer(poll, definition).rows if row.labels.get("model") == model), None
    )
