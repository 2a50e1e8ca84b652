"""What each command does, once the command line is understood.

Nothing heavy is imported at the top: the screen is painted first, sources are built on a thread of their own.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TextIO

from tui.kept import Keeping, SessionRecorder, going_on, ring_folder
from tui.output import USAGE_ERROR, Mistake, fail, in_sentences, say, warn

if TYPE_CHECKING:
    import subprocess

    from collectors.config import Settings
    from collectors.fleet import Source

Writes = Literal["never", "arm", "on"]
"""Whether the cockpit may write: never, after arming, or at once."""

_START = """tidegate has nothing to watch yet. Any of these starts it:

  tidegate demo                                  a simulated fleet; nothing else is needed
  tidegate watch --prometheus http://HOST:9090   your Prometheus
  tidegate watch --scrape http://HOST:8000/metrics --scrape http://HOST:9400/metrics
                                                 pages of engines and exporters, without a Prometheus

To see what your Prometheus has, what is missing, and what to do about it:

  tidegate check --prometheus http://HOST:9090

To keep such a choice, and to map tiers and names, let it write what it finds to
  {file}

  tidegate init --prometheus http://HOST:9090
"""


def demo(args: argparse.Namespace) -> int:
    """The cockpit, or a line a second, on a simulated fleet."""
    from collectors.demo import DemoOptions, DemoSource, scenario_error, start_simulator

    options = DemoOptions(args.scenario, args.seed, args.speed)
    if (wrong := scenario_error(options.scenario)) is not None:
        return fail(wrong)
    if args.append and args.record is None:
        return fail("--append says how to record: give --record FILE as well")

    started: list[subprocess.Popen[bytes]] = []

    def connect() -> "Source":
        # Called after the first paint: started before it, the fleet would take a core from it.
        started.append(start_simulator(options))
        return DemoSource(started[-1], options)

    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="tidegate-", ignore_cleanup_errors=True) as folder:
        return _demo(args, connect, started, Path(folder))


def _demo(
    args: argparse.Namespace,
    connect: "Callable[[], Source]",
    started: "list[subprocess.Popen[bytes]]",
    folder: Path,
) -> int:
    """Recorded in the file that was asked for, else in a folder that goes with the demo."""
    from collectors.demo import stop_simulator

    keeping = Keeping("demo", simulated=True, file=args.record, folder=folder, append=args.append)
    if args.record is not None:
        from collectors.recording.layout import RecordingError
        from tui.feed import sentence_of

        # Before the screen, which would hide it, and before a fleet is started.
        try:
            goes_on = going_on(keeping)
        except RecordingError as error:
            return fail(sentence_of(error))
        if goes_on:
            warn(goes_on)
    recorder = SessionRecorder(keeping)
    try:
        if args.headless:
            from tui.headless import run_headless

            status = run_headless(recorder.around(connect) if args.record else connect, args.seconds)
        else:
            writes: Writes = "never" if args.read_only else "arm"
            look = _look(args, None, args.seconds)
            status = _screen(recorder.around(connect), "demo", look, writes, recorder)
        if args.record is None or not started or (args.headless and status):
            return status
        told, is_kept = recorder.told()
        if is_kept:
            say(told)
            return status
        return fail(told, status or 1)
    finally:
        # The source does so too, on a thread that the end of the process may cut off.
        for child in started:
            stop_simulator(child)


def watch(args: argparse.Namespace) -> int:
    """The cockpit on what the configuration and the options name."""
    from collectors.config import ConfigError, config_file
    from tui.contexts import context_of, given, settings_of

    try:
        settings = settings_of(args)
        if args.bare and not settings.contexts and not any(given(args)):
            say(_START.format(file=config_file()))
            return USAGE_ERROR
        name, context = context_of(args, settings)
    except ConfigError as error:
        return fail(error)

    def connect() -> "Source":
        from collectors.live import live_source

        return live_source(name, context)

    writes: Writes = "never" if args.read_only else context.writes
    look = _look(args, settings, args.seconds)
    if args.no_record or not settings.recording.on:
        return _screen(connect, name, look, writes)
    recorder = SessionRecorder(Keeping(name, simulated=context.simulated, settings=settings.recording))
    return _screen(recorder.around(connect), name, look, writes, recorder)


@in_sentences
def replay(args: argparse.Namespace) -> int:
    """A recording on the same screens. It is opened before the screen: what is wrong with it is said here."""
    from collectors.config import ConfigError, read_settings
    from collectors.recording.reader import Recording
    from collectors.recording.replay import ReplaySource
    from collectors.recording.ring import SUFFIX
    from collectors.recording.times import TimeError, parse_shown

    try:
        settings = read_settings(None)
    except ConfigError as error:
        return fail(error)
    path = args.file or ring_folder(settings.recording)
    if args.file is None and not any(path.glob(f"*{SUFFIX}")):
        return fail(
            f"no session has been recorded here yet ({path}): give a FILE, or make one: "
            "tidegate demo --record FILE"
        )
    with closing(Recording.open(path)) as found:
        try:
            asked = parse_shown(args.at, found.end, found.start, found.end) if args.at is not None else None
        except TimeError as error:
            raise Mistake(error) from error

    def connect() -> "Source":
        source = ReplaySource.of(path, follow=args.follow, playing=args.follow)
        if asked is not None:
            (source.seek_second if asked.is_second else source.seek)(asked.at)
            if asked.told:
                source.tell(asked.told)
        return source

    return _screen(connect, path.name, _look(args, settings), "never", is_replay=True)


def snapshot(args: argparse.Namespace) -> int:
    """One frame on standard output."""
    from collectors.config import ConfigError
    from tui.contexts import context_of, settings_of

    try:
        name, context = context_of(args, settings_of(args))
    except ConfigError as error:
        return fail(error)
    from tui.headless import print_snapshot

    return print_snapshot(name, context, args.format, args.within, args.width)


def simulate(args: argparse.Namespace) -> int:
    """A simulated fleet, served until it is told to stop."""
    from collectors.demo import scenario_error

    if (wrong := scenario_error(args.scenario)) is not None:
        return fail(wrong)
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

    return run_plane(
        PlaneOptions(
            listen=args.listen,
            seed=args.seed,
            data=args.data,
            allow_remote=args.allow_remote,
            config=args.config,
            tokens=args.tokens,
        )
    )


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


class Look(NamedTuple):
    """How the screen was asked for: theme, glyphs, and seconds after which it quits."""

    theme: str | None
    glyphs: str | None
    seconds: float | None


def _look(args: argparse.Namespace, settings: "Settings | None", seconds: float | None = None) -> Look:
    """Options win over the environment, and that over the configuration."""
    theme = args.theme or os.environ.get("TIDEGATE_THEME") or (settings.theme if settings else None)
    return Look(theme, args.glyphs or (settings.glyphs if settings else None), seconds)


def replayed(file: str) -> "Source":
    """A recording that is still written, a few minutes back. Imports libraries of weight."""
    from collectors.recording.replay import ReplaySource

    return ReplaySource.of(Path(file), None)


def _screen(
    connect: "Callable[[], Source]",
    context: str,
    look: Look,
    writes: Writes,
    recorder: SessionRecorder | None = None,
    *,
    is_replay: bool = False,
) -> int:
    # Textual draws on standard error, so that one must be a terminal too.
    # A stream that was closed before we started is None.
    streams: tuple[TextIO | None, ...] = (sys.stdin, sys.stdout, sys.stderr)
    if not all(stream is not None and stream.isatty() for stream in streams):
        return fail("the cockpit needs a terminal; for scripts there is `tidegate snapshot`")
    from textual.theme import BUILTIN_THEMES

    from themes import THEMES, ThemeError
    from tui.app import CockpitApp
    from tui.keymap import KeymapError

    wanted = look.theme or THEMES[0].stem
    known = [path.stem for path in THEMES]
    if wanted not in known and wanted not in BUILTIN_THEMES:
        return fail(f"no theme {wanted[:40]!r}; there are: {', '.join((*known, *sorted(BUILTIN_THEMES)))}")
    try:
        app = CockpitApp(
            connect,
            context=context,
            theme=wanted,
            glyphs=_glyphs(look.glyphs),
            seconds=look.seconds,
            keymap=_keymap(),
            writes=writes,
            recorder=recorder,
            replay=replayed,
            is_replay=is_replay,
        )
    except (ThemeError, KeymapError) as error:
        return fail(error)
    return app.run() or app.return_code or 0


def keys(args: argparse.Namespace) -> int:
    """Every key with its action, and where a keymap of one's own would lie."""
    from tui.actions import ACTIONS
    from tui.keymap import KeymapError, key_label, keys_of

    try:
        keymap = _keymap()
    except KeymapError as error:
        return fail(error)
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
