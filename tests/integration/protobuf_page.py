"""Pages of metrics as protobuf, the only form in which Prometheus 2.42 is told of native histograms.

Source of the fields: io/prometheus/client/metrics.proto of prometheus/client_model; of the encoding:
protobuf's own documentation. Families follow one another, each after its length.
"""

import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

CONTENT_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
GAUGE, HISTOGRAM = 1, 4


class Native(NamedTuple):
    """A native histogram of schema 0: `counts[i]` observations in (2**(i-1), 2**i], `zeros` around nought."""

    labels: Mapping[str, str]
    counts: Sequence[int]
    zeros: int = 0
    total: float = 0.0


def gauges(name: str, values: Mapping[tuple[tuple[str, str], ...], float]) -> bytes:
    """A family of gauges by their labels."""
    return _family(
        name, GAUGE, [_labels(dict(key)) + _message(2, _double(1, one)) for key, one in values.items()]
    )


def natives(name: str, histograms: Sequence[Native]) -> bytes:
    """A family of native histograms."""
    return _family(
        name, HISTOGRAM, [_labels(one.labels) + _message(7, _histogram(one)) for one in histograms]
    )


def served_protobuf(page: Callable[[], bytes]) -> ThreadingHTTPServer:
    """Serves the page on a loopback port, until it is shut down."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page()
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=web.serve_forever, args=(0.02,), daemon=True).start()
    return web


def _histogram(one: Native) -> bytes:
    deltas = [count - before for before, count in zip((0, *one.counts), one.counts)]  # noqa: B905  # one shorter
    span = _varint_field(1, _zigzag(0)) + _varint_field(2, len(one.counts))
    return b"".join(
        (
            _varint_field(1, sum(one.counts) + one.zeros),
            _double(2, one.total),
            _varint_field(5, _zigzag(0)),
            _double(6, 0.001),
            _varint_field(7, one.zeros),
            _message(12, span),
            _message(13, b"".join(_varint(_zigzag(delta)) for delta in deltas)),
        )
    )


def _family(name: str, kind: int, metrics: Sequence[bytes]) -> bytes:
    body = _message(1, name.encode()) + _varint_field(3, kind) + b"".join(_message(4, one) for one in metrics)
    return _varint(len(body)) + body


def _labels(labels: Mapping[str, str]) -> bytes:
    return b"".join(
        _message(1, _message(1, name.encode()) + _message(2, text.encode())) for name, text in labels.items()
    )


def _message(number: int, body: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(body)) + body


def _double(number: int, value: float) -> bytes:
    return _varint(number << 3 | 1) + struct.pack("<d", value)


def _varint_field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*found, value))


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1
