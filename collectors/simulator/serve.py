"""The simulated fleet as a process: pages and control plane on one loopback port.

Paths: `/targets` lists the pages, `/pages/JOB/NAME/metrics` are they, everything else is the control plane's.
Every answer carries `Tidegate-Time`, the simulated time, and `Tidegate-Simulated: SCENARIO/SEED`.
"""

import asyncio
import contextlib
import ipaddress
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collectors.control import wire
from collectors.control.server.access import Access, Token, remove_token_file, write_token_file
from collectors.control.server.app import plane_app
from collectors.simulator.context import context_toml, prometheus_yaml
from collectors.simulator.exporter import Exporter
from collectors.simulator.scenario import read_scenario
from collectors.simulator.simulation import Simulation
from collectors.simulator.truth import Truth
from collectors.text import clean
from collectors.toml_file import FileError

USAGE_ERROR = 2
SPEEDS = (1.0, 120.0)
_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LAST_CALL_S = 0.4


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """What to simulate and where to serve it.

    listen: HOST:PORT, loopback only; port 0 takes a free one
    speed: simulated seconds a real second, 1 to 120; other than 1 only with epoch `scenario`
    epoch: when minute 0 is: `wall`, now, as a real Prometheus needs; `scenario`, when the scenario says
    truth: file to write, see `Truth`
    write: folder for a prometheus.yml that scrapes the fleet, and a tidegate.toml that watches it
    announce: print one JSON line when listening, and end when standard input closes
    """

    listen: str = "127.0.0.1:9900"
    scenario: str = "calm"
    seed: int = 1
    speed: float = 1.0
    epoch: Literal["scenario", "wall"] = "wall"
    truth: Path | None = None
    write: Path | None = None
    announce: bool = False


class UsageError(Exception):
    """Options that cannot be followed: one sentence, with what to do."""


def run_simulator(options: SimulatorOptions) -> int:
    """Serve until told to stop. Returns the exit status: 0, or 2 with a sentence on standard error."""
    try:
        _check(options)
        scenario = read_scenario(options.scenario)
        with contextlib.closing(_bound(options.listen)) as listener:
            simulation = Simulation(scenario, options.seed, options.epoch, options.speed)
            with contextlib.closing(simulation):
                simulation.truth = _truth(simulation, options.truth)
                simulation.prewarm(None if options.announce else _Progress())
                asyncio.run(_serve(simulation, listener, options))
    except (UsageError, FileError) as error:
        print(f"tidegate simulate: {error}", file=sys.stderr)
        return USAGE_ERROR
    except OSError as error:
        print(f"tidegate simulate: stopped: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def simulator_app(simulation: Simulation, exporter: Exporter, base: str, access: Access) -> Starlette:
    """Pages, their list, and the control plane, whose app is `state.plane`. `base`: URL it is served at."""
    by_path = {page.path: page for page in exporter.pages}

    async def targets(request: Request) -> Response:
        return JSONResponse(_targets(exporter, base))

    async def page(request: Request) -> Response:
        found = by_path.get(request.url.path)
        if found is None:
            return PlainTextResponse("no such page: /targets lists them\n", 404)
        return Response(exporter.text(found), media_type=_MEDIA_TYPE)

    plane = plane_app(simulation.store, clock=simulation.now, access=access)
    app = Starlette(
        routes=[
            Route("/targets", targets),
            Route("/pages/{job}/{name}/metrics", page),
            Mount("/", app=plane),
        ]
    )
    app.state.plane = plane
    return app


class Stamped:
    """Adds the simulated time, and the word that all this is simulated, to every answer."""

    def __init__(self, app: ASGIApp, simulation: Simulation) -> None:
        self._app, self._simulation = app, simulation
        self._name = f"{simulation.scenario.name}/{simulation.seed}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Tidegate-Time"] = wire.render_time(self._simulation.now(), millis=True)
                headers["Tidegate-Simulated"] = self._name
            await send(message)

        await self._app(scope, receive, stamped)


class _Server(uvicorn.Server):
    """A server that leaves signals to us and says when it listens."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._listening = listening

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self._listening()


async def _serve(simulation: Simulation, listener: socket.socket, options: SimulatorOptions) -> None:
    address = _address(listener)
    base = f"http://{address}"
    token = Token.fresh()
    exporter = Exporter(simulation.world)
    app = simulator_app(simulation, exporter, base, Access([token]))
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.announce:
        threading.Thread(target=_wait_for_end_of_input, args=(loop, stop), daemon=True).start()
    config = uvicorn.Config(
        Stamped(app, simulation),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=1,
    )
    written: list[Path] = []

    files = _write_files(simulation, exporter, address, options.write)

    def listening() -> None:
        # Before anybody is told where it is: whoever was told may ask at once.
        written.extend(_token_file(base, token))
        if options.announce:
            _announce(simulation, exporter, base, token)
        else:
            _tell(simulation, exporter, address, files)

    server = _Server(config, listening)
    tasks = [
        asyncio.create_task(server.serve([listener])),
        asyncio.create_task(simulation.run()),
        asyncio.create_task(stop.wait()),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        # First of all: whoever ends us may not wait until every answer is out.
        _take_away(written, token)
        app.state.plane.state.streams.close()
        server.should_exit = True
        loop.call_later(_LAST_CALL_S, _hurry, server)
        await tasks[0]
        for task in done:
            task.result()
    finally:
        for task in tasks[1:]:
            task.cancel()
        _take_away(written, token)


def _take_away(files: list[Path], token: Token) -> None:
    while files:
        remove_token_file(files.pop(), token)


def _hurry(server: uvicorn.Server) -> None:
    server.force_exit = True


def _wait_for_end_of_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Whoever started us holds the other end: when that is gone, nobody needs us."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    with contextlib.suppress(RuntimeError):  # the loop is closed: we are ending already
        loop.call_soon_threadsafe(stop.set)


def _check(options: SimulatorOptions) -> None:
    if not SPEEDS[0] <= options.speed <= SPEEDS[1]:
        raise UsageError(f"--speed {options.speed:g} is not between 1 and 120; give one that is")
    if options.epoch == "wall" and options.speed != 1:
        raise UsageError(
            f"--speed {options.speed:g} needs --epoch scenario: a real Prometheus has its own clock, which "
            "runs at speed 1"
        )
    if options.seed < 0:
        raise UsageError(f"--seed {options.seed} is negative; give 0 or more")


def _bound(listen: str) -> socket.socket:
    """A socket bound to HOST:PORT. raises: UsageError, one sentence."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise UsageError(f"--listen {clean(listen, 60)!r} is no HOST:PORT; give for example 127.0.0.1:9900")
    try:
        ip = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise UsageError(f"--listen: {clean(host, 60)!r} is no address; give 127.0.0.1 or [::1]") from None
    if not ip.is_loopback:
        raise UsageError(
            f"--listen: {host} is not the loopback; a simulated fleet serves 127.0.0.1 or [::1] only"
        )
    family = socket.AF_INET6 if ip.version == 6 else socket.AF_INET
    # The protocol is named so that asyncio turns Nagle's algorithm off: else every answer takes 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((str(ip), int(port)))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise UsageError(f"cannot listen on {listen}: {error.strerror}; give --listen another port") from None
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _truth(simulation: Simulation, path: Path | None) -> Truth | None:
    if path is None:
        return None
    try:
        return Truth.open(simulation.world, path)
    except OSError as error:
        raise UsageError(f"--truth: {path} cannot be written: {error.strerror}; give another file") from None


def _targets(exporter: Exporter, base: str) -> list[dict[str, Any]]:
    return [{"url": f"{base}{page.path}", "labels": page.labels} for page in exporter.pages]


def _announce(simulation: Simulation, exporter: Exporter, base: str, token: Token) -> None:
    line = {
        "base": base,
        "targets": _targets(exporter, base),
        "plane": base,
        "token": token.secret,
        "scenario": simulation.scenario.name,
        "seed": simulation.seed,
        "speed": simulation.speed,
        "context": context_toml(simulation.scenario, base),
    }
    print(json.dumps(line), flush=True)


def _token_file(base: str, token: Token) -> list[Path]:
    """Leave the token where `tidegate watch --plane URL` looks for it. Returns the file, if there is one."""
    try:
        return [write_token_file(base, token)]
    except OSError as error:
        print(
            f"tidegate simulate: no token file: {error.strerror}; `tidegate watch` cannot ask the plane",
            file=sys.stderr,
        )
        return []


def _write_files(
    simulation: Simulation, exporter: Exporter, address: str, folder: Path | None
) -> tuple[Path, Path] | None:
    """Write what a Prometheus and `tidegate watch` need. raises: UsageError."""
    if folder is None:
        return None
    config, context = folder / "prometheus.yml", folder / "tidegate.toml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        config.write_text(prometheus_yaml(exporter.pages, address), encoding="utf-8")
        context.write_text(context_toml(simulation.scenario, f"http://{address}"), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--write: {folder}: {error.strerror}; give another folder") from None
    return config, context


def _tell(simulation: Simulation, exporter: Exporter, address: str, files: tuple[Path, Path] | None) -> None:
    """Say what is served, what to give a Prometheus, and what to run next."""
    base = f"http://{address}"
    config, context = files or (Path("prometheus.yml"), Path("tidegate.toml"))
    print(f"SIMULATED fleet, scenario {simulation.scenario.name}, seed {simulation.seed}: {base}/targets")
    if files is None:
        print(f"\n# {config} (--write FOLDER writes it)\n{prometheus_yaml(exporter.pages, address)}")
        print(f"# {context}\n{context_toml(simulation.scenario, base)}")
    print(
        f"Next, each in a terminal of its own:\n"
        f"  prometheus --config.file={config} --storage.tsdb.path=$(mktemp -d)\n"
        f"  tidegate watch --config {context} --prometheus http://127.0.0.1:9090\n"
        "Stop with ctrl-c.",
        flush=True,
    )


class _Progress:
    """Says how far the pre-warming is, once it takes more than a second."""

    def __init__(self) -> None:
        self._said_at = time.monotonic()

    def __call__(self, share: float) -> None:
        if time.monotonic() - self._said_at > 1.0:
            self._said_at = time.monotonic()
            print(f"living through the five minutes before: {share:.0%}", file=sys.stderr)
