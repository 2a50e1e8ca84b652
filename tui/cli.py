"""The command `tidegate`: what can be asked for on the command line, and how it is started.

Nothing heavy is imported here: the screen is painted first, sources are built on a thread of their own.
"""

import argparse
import locale
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collectors.config import Context, Settings
    from collectors.fleet import Source

VERSION = "0.1.0"
USAGE_ERROR = 2

_START = """tidegate has nothing to watch yet. Any of these starts it:

  tidegate demo                                  a simulated fleet; nothing else is needed
  tidegate watch --prometheus http://HOST:9090   your Prometheus
  tidegate watch --scrape http://HOST:8000/metrics --scrape http://HOST:9400/metrics
                                                 pages of engines and exporters, without a Prometheus

To keep such a choice, and to map tiers and names, write a context to
  {file}

  [contexts.prod]
  prometheus = "http://HOST:9090"
  plane = "http://HOST:9911"
"""

_EPILOG = """examples:
  tidegate demo                                   watch a simulated fleet melt, and see where it hurts
  tidegate watch --prometheus http://localhost:9090 --plane http://localhost:9911
  tidegate snapshot --prometheus http://localhost:9090 --format json | jq '.models[].name'

keys: ? shows them all; enter opens a model, esc returns, / filters, s sorts, f freezes, q quits.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit status: 0, or 2 for a mistake in arguments or settings."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.run is None:
        args = parser.parse_args(["watch", *(argv or ())])
        args.bare = True
    try:
        status: int = args.run(args)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output went away: nothing to say to it, and no traceback at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tidegate",
        description="The terminal cockpit for GPU serving capacity: utilisation, queue waits and release\n"
        "stages of every model on one screen.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tidegate {VERSION}")
    parser.set_defaults(run=None, bare=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_demo(commands)
    _add_watch(commands)
    _add_snapshot(commands)
    _add_simulate(commands)
    _add_plane(commands)
    return parser


_Commands = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
    more: str = "",
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.\n\n{more}".strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _add_demo(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _add(
        commands,
        "demo",
        _demo,
        "watch a simulated fleet; nothing else is needed",
        "The fleet is simulated in a process of its own: seven models, four tiers, 10,000 accelerators.\n"
        "Scenario melting-gpus: an image feature goes viral three minutes in, and every wait grows.",
    )
    parser.add_argument("--scenario", default="melting-gpus", metavar="S", help="what happens (melting-gpus)")
    parser.add_argument("--seed", type=_seed, default=1, metavar="N", help="of every random number (1)")
    parser.add_argument(
        "--speed", type=_speed, default=1.0, metavar="X", help="simulated seconds a second, 1 to 120 (1)"
    )
    parser.add_argument("--seconds", type=_positive, metavar="N", help="quit after N seconds")
    parser.add_argument(
        "--headless", action="store_true", help="no screen: a line a second on standard output"
    )
    _add_looks(parser)


def _add_watch(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _add(
        commands,
        "watch",
        _watch,
        "watch a fleet: a Prometheus or /metrics pages, and a control plane",
        "Without options the default context of the configuration is watched. Options win over it.",
    )
    parser.add_argument("--seconds", type=_positive, metavar="N", help="quit after N seconds")
    _add_sources(parser)
    _add_looks(parser)


def _add_snapshot(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _add(
        commands,
        "snapshot",
        _snapshot,
        "print one frame, for scripts",
        "Waits until every source has answered and rates are known, at most --within seconds.\n"
        "Exit status: 0; 1 when a source did not answer; 2 for a mistake in options or settings.",
    )
    parser.add_argument("--format", choices=("json", "table"), default="json", help="json (default) or table")
    parser.add_argument(
        "--within", type=_positive, default=45.0, metavar="N", help="seconds to wait at most (45)"
    )
    parser.add_argument("--width", type=int, default=160, metavar="N", help="columns of the table (160)")
    _add_sources(parser)


def _add_simulate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _add(
        commands,
        "simulate",
        _simulate,
        "serve a simulated fleet's /metrics pages and control plane",
        "Prints a prometheus.yml for any Prometheus, and what to run next.",
    )
    parser.add_argument(
        "--listen", default="127.0.0.1:9900", metavar="HOST:PORT", help="where to serve (127.0.0.1:9900)"
    )
    parser.add_argument("--scenario", default="calm", metavar="S", help="what happens (calm)")
    parser.add_argument("--seed", type=_seed, default=1, metavar="N", help="of every random number (1)")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="write the world's state after each step")
    parser.add_argument(
        "--write", type=Path, metavar="FOLDER", help="write a prometheus.yml and a tidegate.toml to FOLDER"
    )


def _add_plane(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    plane = commands.add_parser("plane", help="the embedded control plane")
    plane.set_defaults(run=lambda args: _usage(plane))
    actions = plane.add_subparsers(title="commands", metavar="COMMAND")
    serve = _add(
        actions,
        "serve",
        _plane_serve,
        "serve the embedded control plane: releases and throttles over HTTP",
        "It listens on the loopback and writes its address and token to a file only you can read,\n"
        "where `tidegate watch --plane URL` finds it.",
    )
    serve.add_argument("--listen", default="127.0.0.1:9911", metavar="HOST:PORT", help="(127.0.0.1:9911)")
    serve.add_argument("--seed", type=Path, metavar="FILE", help="JSON: tiers, features, releases, throttles")
    serve.add_argument("--data", type=Path, metavar="FILE", help="SQLite file to keep state in (memory)")
    serve.add_argument(
        "--allow-remote", action="store_true", help="listen on other than the loopback, without TLS"
    )


def _usage(parser: argparse.ArgumentParser) -> int:
    parser.print_help()
    return USAGE_ERROR


def _add_sources(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("where to ask")
    group.add_argument("--prometheus", metavar="URL", help="a Prometheus (environment: TIDEGATE_PROMETHEUS)")
    group.add_argument(
        "--scrape",
        metavar="URL",
        action="append",
        help="a /metrics page, read directly; give it again for more",
    )
    group.add_argument("--plane", metavar="URL", help="a control plane (environment: TIDEGATE_PLANE)")
    group.add_argument(
        "--context", metavar="NAME", help="of the configuration (environment: TIDEGATE_CONTEXT)"
    )
    group.add_argument(
        "--config", type=Path, metavar="FILE", help="configuration file (environment: TIDEGATE_CONFIG)"
    )


def _add_looks(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how it looks")
    group.add_argument("--theme", metavar="NAME", help="tidegate-dark, tidegate-light, or one of Textual's")
    group.add_argument(
        "--glyphs",
        choices=("auto", "unicode", "ascii"),
        help="ascii where blocks and lines look broken (auto)",
    )


def _seed(text: str) -> int:
    if not text.isdigit() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number from 0 to {2**32 - 1}")
    return int(text)


def _speed(text: str) -> float:
    return _number(text, 1.0, 120.0)


def _positive(text: str) -> float:
    return _number(text, 0.1, 1e7)


def _number(text: str, lowest: float, highest: float) -> float:
    try:
        found = float(text)
    except ValueError:
        found = float("nan")
    if not lowest <= found <= highest:
        raise argparse.ArgumentTypeError(f"{text!r}: a number from {lowest:g} to {highest:g}")
    return found


def _fail(sentence: object) -> int:
    print(f"tidegate: {sentence}", file=sys.stderr)
    return USAGE_ERROR


def _demo(args: argparse.Namespace) -> int:
    from collectors.demo import DemoOptions, DemoSource, scenario_error, start_simulator

    options = DemoOptions(args.scenario, args.seed, args.speed)
    if (wrong := scenario_error(options.scenario)) is not None:
        return _fail(wrong)
    # Started before the screen is imported: the two come up side by side.
    first = [start_simulator(options)]

    def connect() -> "Source":
        return DemoSource(first.pop() if first else start_simulator(options), options)

    if args.headless:
        from tui.headless import run_headless

        return run_headless(connect, args.seconds)
    return _screen(connect, "demo", args.theme, args.glyphs, args.seconds)


def _watch(args: argparse.Namespace) -> int:
    from collectors.config import ConfigError, config_file

    try:
        settings = _settings(args)
        if args.bare and not settings.contexts and not any(_given(args)):
            print(_START.format(file=config_file()))
            return USAGE_ERROR
        name, context = _context(args, settings)
    except ConfigError as error:
        return _fail(error)

    def connect() -> "Source":
        from collectors.live import live_source

        return live_source(name, context)

    theme = args.theme or os.environ.get("TIDEGATE_THEME") or settings.theme
    return _screen(connect, name, theme, args.glyphs or settings.glyphs, args.seconds)


def _snapshot(args: argparse.Namespace) -> int:
    from collectors.config import ConfigError

    try:
        name, context = _context(args, _settings(args))
    except ConfigError as error:
        return _fail(error)
    from tui.headless import print_snapshot

    return print_snapshot(name, context, args.format, args.within, args.width)


def _simulate(args: argparse.Namespace) -> int:
    from collectors.demo import scenario_error

    if (wrong := scenario_error(args.scenario)) is not None:
        return _fail(wrong)
    from collectors.simulator.serve import SimulatorOptions, run_simulator

    return run_simulator(
        SimulatorOptions(
            listen=args.listen,
            scenario=args.scenario,
            seed=args.seed,
            truth=args.truth,
            write=args.write,
        )
    )


def _plane_serve(args: argparse.Namespace) -> int:
    from collectors.control.server.serve import PlaneOptions, run_plane

    return run_plane(PlaneOptions(args.listen, args.seed, args.data, args.allow_remote))


def _settings(args: argparse.Namespace) -> "Settings":
    from collectors.config import read_settings

    return read_settings(args.config)


def _given(args: argparse.Namespace) -> tuple[str | None, list[str], str | None]:
    """(prometheus, scrape, plane) by option or environment; the option wins."""
    prometheus = args.prometheus or (None if args.scrape else os.environ.get("TIDEGATE_PROMETHEUS"))
    return prometheus, args.scrape or [], args.plane or os.environ.get("TIDEGATE_PLANE")


def _context(args: argparse.Namespace, settings: "Settings") -> tuple[str, "Context"]:
    """The context to watch: the configured one, with what the options change. raises: ConfigError."""
    from pydantic import ValidationError

    from collectors.config import ConfigError, Context
    from collectors.fleet import clean

    wanted = args.context or os.environ.get("TIDEGATE_CONTEXT")
    prometheus, pages, plane = _given(args)
    # Sources alone are watched as they are: a default context's tiers and plane belong to another fleet.
    if wanted or args.config or (settings.contexts and not (prometheus or pages)):
        name, base = settings.context(wanted)
    else:
        name, base = "direct", Context()
    changed: dict[str, object] = {}
    if prometheus:
        changed |= {"prometheus": prometheus, "scrape": []}
    elif pages:
        changed |= {"scrape": pages, "prometheus": None}
    if plane:
        changed["plane"] = plane
    try:
        context = Context.model_validate({**base.model_dump(exclude_unset=True), **changed})
    except ValidationError as error:
        first = error.errors()[0]
        option = {"prometheus": "--prometheus", "scrape": "--scrape", "plane": "--plane"}.get(
            str(first["loc"][0]) if first["loc"] else "", "the options"
        )
        said = first["msg"].removeprefix("Value error, ")
        given = clean(str(first.get("input", "")), 80)
        # What holds an @ may hold a password.
        shown = "" if "@" in given else f" (it is {given!r})"
        raise ConfigError(f"{option}: {said}{shown}") from error
    if not (context.prometheus or context.scrape or context.plane):
        raise ConfigError(
            "nothing to watch: give --prometheus URL or --scrape URL; `tidegate demo` needs neither"
        )
    return name, context


def _glyphs(wanted: str | None) -> Literal["unicode", "ascii"]:
    """ASCII where the terminal is known not to draw blocks (rule of the glyph table)."""
    if wanted == "ascii":
        return "ascii"
    if wanted == "unicode":
        return "unicode"
    encoding = (locale.getpreferredencoding(False) or "").lower().replace("-", "")
    plain = encoding not in {"utf8", "utf_8"} or os.environ.get("TERM", "") in {"linux", "dumb", ""}
    return "ascii" if plain else "unicode"


def _screen(
    connect: "Callable[[], Source]",
    context: str,
    theme: str | None,
    glyphs: str | None,
    seconds: float | None,
) -> int:
    # Textual draws on standard error, so that one must be a terminal too.
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        return _fail("the cockpit needs a terminal; for scripts there is `tidegate snapshot`")
    from themes import ThemeError
    from tui.app import CockpitApp

    try:
        app = CockpitApp(
            connect,
            context=context,
            theme=theme or os.environ.get("TIDEGATE_THEME") or "tidegate-dark",
            glyphs=_glyphs(glyphs),
            seconds=seconds,
        )
    except ThemeError as error:
        return _fail(error)
    return app.run() or app.return_code or 0
