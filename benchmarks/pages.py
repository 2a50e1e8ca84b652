"""Sample pages of the tests, served with counters that advance."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SAMPLES = Path(__file__).parent.parent / "tests" / "data" / "samples"
GROWTH = 0.002
"""Share by which every counter grows from one scrape to the next."""

_COUNTER = re.compile(r"^(\S*?(?:_total|_bucket|_sum|_count)(?:\{.*\})?) (\S+)$", re.MULTILINE)


def advanced(text: str, scrapes: int) -> str:
    """The page after so many scrapes; gauges stay, quantiles stay, rates are steady."""
    return _COUNTER.sub(lambda m: f"{m[1]} {float(m[2]) * (1 + GROWTH * scrapes):.3f}", text)


@contextmanager
def served(*names: str) -> Iterator[list[str]]:
    """URLs of the named samples, served on the loopback until the block ends."""
    texts = {name: (SAMPLES / f"{name}.prom").read_text(encoding="utf-8") for name in names}
    scrapes = dict.fromkeys(names, 0)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.split("/")[1]
            scrapes[name] += 1
            body = advanced(texts[name], scrapes[name]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        yield [f"http://127.0.0.1:{web.server_address[1]}/{name}/metrics" for name in names]
    finally:
        web.shutdown()
        web.server_close()
