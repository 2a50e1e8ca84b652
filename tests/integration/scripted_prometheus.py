"""A server that answers like a Prometheus, but for what a test makes it say."""

import contextlib
import email.utils
import functools
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from collectors.config import PrometheusServer
from collectors.signals.catalogue import Preset
from collectors.signals.presets import read_presets
from collectors.signals.promql import braces


@functools.cache
def _presets() -> tuple[Preset, ...]:
    return tuple(read_presets())


@dataclass(frozen=True)
class Reply:
    """What the server sends. cut: so many bytes of the body, then the connection ends."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    delay_s: float = 0.0


@dataclass
class Request:
    method: str
    path: str
    form: dict[str, str]
    headers: dict[str, str]

    @property
    def query(self) -> str:
        return self.form.get("query", "")


def vector(*samples: tuple[dict[str, str], str], **extra: list[str]) -> bytes:
    result = [{"metric": metric, "value": [time.time(), value]} for metric, value in samples]
    data = {"resultType": "vector", "result": result}
    return json.dumps({"status": "success", "data": data, **extra}).encode()


class Scripted:
    """Answers like a healthy Prometheus that scrapes one vLLM; `replies` says what to send instead.

    replies: by a piece of the query or path, of the detection query by its beginning; the first that fits
    requests, most_at_once: without those of the past, which another library asks and no poll waits for
    tls: serve HTTPS so
    interval: between scrapes; scraped_ago_s: how long before the query the last one was
    instances: of the engines, and whether each is up: of those that are not, nothing is counted
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.replies: dict[str, Reply | Callable[[Request], Reply]] = {}
        self.requests: list[Request] = []
        self.of_the_past: list[Request] = []
        self.stacks = {"vllm"}
        self.date_offset_s = 0.0
        self.interval, self.scraped_ago_s = "5s", 2.0
        self.instances = {"a:1": True}
        self.most_at_once = 0
        self._at_once = 0
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                scripted._handle(self)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                return

            def date_time_string(self, timestamp: float | None = None) -> str:
                now = time.time() if timestamp is None else timestamp
                return email.utils.formatdate(now + scripted.date_offset_s, usegmt=True)

        self.web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.web.daemon_threads = True
        self._scheme = "http" if tls is None else "https"
        if tls is not None:
            self.web.socket = tls.wrap_socket(self.web.socket, server_side=True)
        threading.Thread(target=self.web.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.web.server_address[1]}"

    def server(self, **settings: object) -> PrometheusServer:
        """The settings that lead here, with more of them."""
        return PrometheusServer.model_validate({"url": self.url, **settings})

    @property
    def queries(self) -> list[str]:
        return [request.query for request in self.requests]

    def close(self) -> None:
        """Stop listening, and end the connections that are open."""
        self.web.shutdown()
        self.web.server_close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        self._connections.add(handler.connection)
        parts = urlsplit(handler.path)
        text = parts.query
        if length := int(handler.headers.get("Content-Length") or 0):
            text = handler.rfile.read(length).decode()
        form = {name: values[0] for name, values in parse_qs(text).items()}
        request = Request(handler.command, parts.path, form, dict(handler.headers))
        with self._lock:
            of_poll = "requests" not in request.headers.get("User-Agent", "")
            (self.requests if of_poll else self.of_the_past).append(request)
            self._at_once += of_poll
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            self._send(handler, self._reply(request))
        finally:
            with self._lock:
                self._at_once -= of_poll

    def _reply(self, request: Request) -> Reply:
        # The detection query names every metric there is.
        text = request.query[:20] if request.query.startswith("count by (__name__") else request.query
        for piece, reply in self.replies.items():
            if piece in text or piece in request.path:
                return reply(request) if callable(reply) else reply
        return Reply(body=self.healthy(request))

    def healthy(self, request: Request) -> bytes:
        query = request.query
        if request.path.endswith("/query_range"):
            return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": []}}).encode()
        if request.path.endswith("/targets"):
            target = {"labels": {"job": "engines"}, "scrapeInterval": self.interval}
            return json.dumps({"status": "success", "data": {"activeTargets": [target]}}).encode()
        if query.startswith("count by (__name__"):
            filters = [braces(p.where)[1:-1] for p in _presets() if p.where and p.stack not in self.stacks]
            if any(one in query for one in filters):
                return vector()
            names = {
                f"{m.name}{'_bucket' if d.kind == 'histogram' else ''}"
                for p in _presets()
                if p.stack in self.stacks
                for d in p.definitions
                for m in (*d.metrics, *d.over)
            }
            return vector(*(({"__name__": name, "job": "engines"}, "1") for name in names))
        if query.startswith("label_replace("):
            return vector()
        targets = [({"job": "engines", "instance": name}, up) for name, up in self.instances.items()]
        if query.startswith("up{"):
            return vector(*(({"__name__": "up", **labels}, str(int(up))) for labels, up in targets))
        if query.startswith("timestamp(up"):
            scraped = str(float(request.form["time"]) - self.scraped_ago_s)
            return vector(*((labels, scraped) for labels, _ in targets))
        if query.startswith("max by (job)"):
            return vector(({"job": "engines"}, "4"))
        if "_bucket" in query:
            return vector(
                *(({"model_name": "m", "le": le}, rate) for le, rate in (("1", "3"), ("+Inf", "4")))
            )
        return vector(({"model_name": "m"}, str(7 * sum(self.instances.values()))))

    @staticmethod
    def _send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        time.sleep(reply.delay_s)
        try:
            handler.send_response(reply.status)
            for name, text in reply.headers.items():
                handler.send_header(name, text)
            handler.send_header("Content-Length", str(len(reply.body)))
            handler.end_headers()
            handler.wfile.write(reply.body if reply.cut is None else reply.body[: reply.cut])
        except OSError:
            return
        handler.close_connection = handler.close_connection or reply.cut is not None
