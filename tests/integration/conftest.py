"""Real servers for the tests: a Prometheus that scrapes pages which the test decides."""

import json
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.debian_binary import lacking
from tests.prometheus_binary import prometheus_binary

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
START_S = 60.0


@dataclass(frozen=True)
class Page:
    """One /metrics page to be scraped as its own job.

    text: of the page, or what makes it at every scrape; OSError from it fails the scrape
    labels: target labels, as service discovery would add
    """

    job: str
    text: str | Callable[[], str]
    labels: Mapping[str, str] = field(default_factory=dict)
    honor_labels: bool = False
    interval: str = ""


class StartPrometheus(Protocol):
    """Starts a Prometheus that scrapes the pages, waits until each was scraped, returns its base URL."""

    def __call__(self, pages: Sequence[Page], *, interval: str = "1s", prefix: str = "") -> str: ...


def sample(name: str) -> str:
    """The text of one sample page."""
    return (SAMPLES / f"{name}.prom").read_text(encoding="utf-8")


def asked(url: str, query: str, at: float | None = None) -> list[dict[str, Any]]:
    """The elements of an instant query's answer. raises: AssertionError with the server's words"""
    form = {"query": query} if at is None else {"query": query, "time": str(at)}
    body = urllib.parse.urlencode(form).encode()
    try:
        with urllib.request.urlopen(f"{url}/api/v1/query", body, timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{error.code}: {error.read().decode()}\n{query}") from error


def until(true: Callable[[], bool], what: str, within_s: float = START_S) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartPrometheus]:
    """Starts real Prometheus servers; all of them end with the module: each scrapes this very process."""
    binary = _binary()
    running: list[tuple[subprocess.Popen[bytes], ThreadingHTTPServer]] = []

    def start(pages: Sequence[Page], *, interval: str = "1s", prefix: str = "") -> str:
        folder = tmp_path_factory.mktemp("prometheus")
        web = served(pages)
        process, url = _start(binary, folder, scrape_config(pages, web, interval), prefix)
        running.append((process, web))
        until(lambda: len(asked(url, "up == 1")) == len(pages), "every page scraped")
        return url

    yield start
    for process, web in running:
        process.kill()
        process.wait()
        web.shutdown()
        web.server_close()


@dataclass(frozen=True)
class Configured:
    """A Prometheus of a test's own: its process, to be stopped and killed, and its base URL."""

    process: "subprocess.Popen[bytes]"
    url: str


class StartConfigured(Protocol):
    """Starts a Prometheus with the configuration of a file; on the address of one that was, if asked.

    options: more of its command line
    """

    def __call__(
        self, config: Path, again: Configured | None = None, *, options: Sequence[str] = ()
    ) -> Configured: ...


@pytest.fixture
def start_configured(tmp_path: Path) -> Iterator[StartConfigured]:
    """Starts real Prometheus servers for one test, with their own configuration."""
    binary = _binary()
    running: list[subprocess.Popen[bytes]] = []

    def start(config: Path, again: Configured | None = None, *, options: Sequence[str] = ()) -> Configured:
        folder = tmp_path / f"prometheus-{len(running)}"
        folder.mkdir()
        port = int(again.url.rsplit(":", 1)[1]) if again else None
        process, url = _start(binary, folder, config.read_text(encoding="utf-8"), "", port, options)
        running.append(process)
        return Configured(process, url)

    yield start
    for process in running:
        process.kill()
        process.wait()


def _binary() -> str:
    """A Prometheus, or the test is skipped with a sentence; where CI runs it fails instead."""
    binary, why = prometheus_binary()
    if binary is None:
        lacking(why)
    return str(binary)


def served(pages: Sequence[Page]) -> ThreadingHTTPServer:
    """Serves the pages on a loopback port, until it is shut down."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages[int(self.path.split("/")[1])]
            try:
                body = (page.text if isinstance(page.text, str) else page.text()).encode()
            except OSError as error:
                self.send_error(503, str(error))
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=web.serve_forever, args=(0.02,), daemon=True).start()
    return web


def scrape_config(pages: Sequence[Page], web: ThreadingHTTPServer, interval: str) -> str:
    """A Prometheus's configuration that scrapes the pages that `web` serves."""
    # Jobs may share a name in the labels but not in the file; JSON is YAML.
    jobs = [
        {
            "job_name": f"{number}",
            "metrics_path": f"/{number}/metrics",
            "scrape_interval": page.interval or interval,
            "scrape_timeout": page.interval or interval,
            "honor_labels": page.honor_labels,
            "static_configs": [
                {
                    "targets": [f"127.0.0.1:{web.server_address[1]}"],
                    "labels": {"job": page.job, "instance": f"{page.job}:{number}", **page.labels},
                }
            ],
        }
        for number, page in enumerate(pages)
    ]
    return json.dumps(
        {"global": {"scrape_interval": interval, "scrape_timeout": interval}, "scrape_configs": jobs}
    )


def _start(
    binary: str,
    folder: Path,
    config: str,
    prefix: str,
    given_port: int | None = None,
    options: Sequence[str] = (),
) -> tuple[subprocess.Popen[bytes], str]:
    (folder / "prometheus.yml").write_text(config, encoding="utf-8")
    for _ in range(5):
        port = given_port or free_port()
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    binary,
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                    f"--web.route-prefix=/{prefix}",
                    *options,
                ],
                stdout=log,
                stderr=log,
            )
        url = f"http://127.0.0.1:{port}" + (f"/{prefix}" if prefix else "")
        until(lambda: process.poll() is not None or _is_ready(url), f"ready: {folder / 'log'}")  # noqa: B023  # called before the loop goes on
        if process.poll() is None:
            return process, url
    raise AssertionError((folder / "log").read_text(encoding="utf-8"))


def free_port() -> int:
    """A loopback port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=30):
            return True
    except OSError:
        return False
