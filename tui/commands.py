"""What each command does, once the command line is understood.

Nothing heavy is imported at the top: the screen is painted first, sources are built on a thread of their own.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from tui.output import say

if TYPE_CHECKING:
    import subprocess

    from collectors.config import Context, Settings
    from collectors.fleet import Source

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


def _fail(sentence: object) -> int:
    print(f"tidegate: {sentence}", file=sys.stderr)
    return USAGE_ERROR


def demo(args: argparse.Namespace) -> int:
    """The cockpit, or a line a second, on a simulated fleet."""
    from collectors.demo import DemoOptions, DemoSource, scenario_error, start_simulator, stop_simulator

    options = DemoOptions(args.scenario, args.seed, args.speed)
    if (wrong := scenario_error(options.scenario)) is not None:
        return _fail(wrong)

    started: list[subprocess.Popen[bytes]] = []

    def connect() -> "Source":
        # Called after the first paint: started before it, the fleet would take a core from it.
        started.append(start_simulator(options))
        return DemoSource(started[-1], options)

    try:
        if args.headless:
            from tui.headless import run_headless

            return run_headless(connect, args.seconds)
        return _screen(connect, "demo", args.theme, args.glyphs, args.seconds)
    finally:
        # The source does so too, on a thread that the end of the process may cut off.
        for child in started:
            stop_simulator(child)


def watch(args: argparse.Namespace) -> int:
    """The cockpit on what the configuration and the options name."""
    from collectors.config import ConfigError, config_file

    try:
        settings = _settings(args)
        if args.bare and not settings.contexts and not any(_given(args)):
            say(_START.format(file=config_file()))
            return USAGE_ERROR
        name, context = _context(args, settings)
    except ConfigError as error:
        return _fail(error)

    def connect() -> "Source":
        from collectors.live import live_source

        return live_source(name, context)

    theme = args.theme or os.environ.get("TIDEGATE_THEME") or settings.theme
    return _screen(connect, name, theme, args.glyphs or settings.glyphs, args.seconds)


def snapshot(args: argparse.Namespace) -> int:
    """One frame on standard output."""
    from collectors.config import ConfigError

    try:
        name, context = _context(args, _settings(args))
    except ConfigError as error:
        return _fail(error)
    from tui.headless import print_snapshot

    return print_snapshot(name, context, args.format, args.within, args.width)


def simulate(args: argparse.Namespace) -> int:
    """A simulated fleet, served until it is told to stop."""
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


def plane_serve(args: argparse.Namespace) -> int:
    """The embedded control plane, served until it is told to stop."""
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
        name, base = "direct", settings.contexts.get("direct", Context())
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
        # What is no URL may be a token put into the wrong place; what holds an @ or a ? may hold one too.
        shown = f" (it is {given!r})" if "://" in given and not {"@", "?"} & set(given) else ""
        raise ConfigError(f"{option}: {said}{shown}") from error
    if not (context.prometheus or context.scrape or context.plane):
        raise ConfigError(
            "nothing to watch: give --prometheus URL or --scrape URL; `tidegate demo` needs neither"
        )
    return name, context


def _glyphs(wanted: str | None) -> Literal["unicode", "ascii"]:
    """ASCII where the terminal is known not to draw blocks (rule of the glyph table).

    The locale is read as it was set: Python answers UTF-8 even under the C locale.
    """
    if wanted == "ascii":
        return "ascii"
    if wanted == "unicode":
        return "unicode"
    set_to = (os.environ.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG"))
    locale = next(filter(None, set_to), "utf-8").lower().replace("-", "")
    plain = "utf8" not in locale or os.environ.get("TERM", "") in {"linux", "dumb", ""}
    return "ascii" if plain else "unicode"


def _screen(
    connect: "Callable[[], Source]",
    context: str,
    theme: str | None,
    glyphs: str | None,
    seconds: float | None,
) -> int:
    # Textual draws on standard error, so that one must be a terminal too.
    # A stream that was closed before we started is None.
    streams: tuple[TextIO | None, ...] = (sys.stdin, sys.stdout, sys.stderr)
    if not all(stream is not None and stream.isatty() for stream in streams):
        return _fail("the cockpit needs a terminal; for scripts there is `tidegate snapshot`")
    from textual.theme import BUILTIN_THEMES

    from themes import THEMES, ThemeError
    from tui.app import CockpitApp
    from tui.keymap import KeymapError

    wanted = theme or os.environ.get("TIDEGATE_THEME") or THEMES[0].stem
    known = [path.stem for path in THEMES]
    if wanted not in known and wanted not in BUILTIN_THEMES:
        return _fail(f"no theme {wanted[:40]!r}; there are: {', '.join((*known, *sorted(BUILTIN_THEMES)))}")
    try:
        app = CockpitApp(
            connect,
            context=context,
            theme=wanted,
            glyphs=_glyphs(glyphs),
            seconds=seconds,
            keymap=_keymap(),
        )
    except (ThemeError, KeymapError) as error:
        return _fail(error)
    return app.run() or app.return_code or 0


def keys(args: argparse.Namespace) -> int:
    """Every key with its action, and where a keymap of one's own would lie."""
    from tui.actions import ACTIONS
    from tui.keymap import KeymapError, key_label, keys_of

    try:
        keymap = _keymap()
    except KeymapError as error:
        return _fail(error)
    for action in ACTIONS.values():
        bound = " ".join(key_label(key) for key in keys_of(action.id, keymap))
        missing = f"  ({action.missing})" if action.missing else ""
        say(f"{bound:14} {action.id:20} {action.label}{missing}")
    say(f'\nBindings of your own go into {_keymap_file()}:\n\n[keys]\nF = "freeze"\nH = "nothing"')
    return 0


def completion(parser: argparse.ArgumentParser, shell: str) -> int:
    """The completion script of a shell."""
    import shtab

    say(shtab.complete(parser, shell=shell))
    return 0


def _keymap_file() -> Path:
    from platformdirs import user_config_path

    return user_config_path("tidegate") / "keymap.toml"


def _keymap() -> "Mapping[str, str]":
    """The operator's keymap where there is one, else the defaults. raises: KeymapError."""
    from tui.keymap import DEFAULT_KEYS, read_keymap

    file = _keymap_file()
    return read_keymap(file) if file.exists() else DEFAULT_KEYS
