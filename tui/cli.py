"""The command `tidegate`: what can be asked for on the command line, and how it is started.

Nothing heavy is imported here: the screen is painted first, sources are built on a thread of their own.
"""

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, TypeAlias

from tui import commands, first_steps
from tui.output import USAGE_ERROR, OutputError, silence
from tui.reconstructing import add_reconstruct
from tui.recordings import add_recordings, with_times
from tui.reporting import add_report
from tui.runbook.options import add_load, add_runbook

VERSION = "0.1.0"
_EPILOG = """examples:
  tidegate demo                                   watch a simulated fleet melt, and see where it hurts
  tidegate check --prometheus http://localhost:9090     what can be seen there, what is missing, what to do
  tidegate init --prometheus http://localhost:9090      write a first configuration from what is there
  tidegate watch --prometheus http://localhost:9090 --plane http://localhost:9911
  tidegate snapshot --prometheus http://localhost:9090 --format json | jq '.models[].name'
  tidegate replay                                 what was on this machine's screen last; space plays

keys: ? shows them all; enter opens a model, esc returns, / filters, s sorts, f freezes, q quits.
"""

_PLANE_EPILOG = """examples:
  tidegate plane serve --seed plane.json                       try it: all in memory
  tidegate plane serve --data plane.db --config plane.toml     keep it: a restart goes on where it was

FILE of --seed, in JSON:
  {"tiers": ["pro", "free"], "features": [{"id": "voice", "title": "Voice", "models": ["voice-1"]}]}

FILE of --tokens (chmod 600), in TOML; give a secret as it is, or its SHA-256:
  [[token]]
  actor = "alice@example.com"
  role = "operator"                      # viewer, operator or release-admin
  sha256 = "9f86..."                     # printf %s TOKEN | sha256sum; or: secret = "..."
  expires_at = 2027-01-01T00:00:00Z      # optional; so are delegate = true and scope = "ofrep"

FILE of --config, in TOML; all of it is optional:
  tokens = "tokens.toml"
  [limits]                               # page_max, body_max_bytes, writes_per_min, watchers_per_token,
  writes_per_min = 120                   # ttl_max_s, idempotency_retention_s, event_retention_s, heartbeat_s
  [prometheus]
  url = "http://127.0.0.1:9090"
  [[observed]]                           # which share of each tier was seen to have a release's candidate
  release = "llama-70b"
  query = "sum by (tier) (rate(served{revision='$candidate'}[1m])) / sum by (tier) (rate(served[1m]))"
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit status: 0; 1 for a failure; 2 for a mistake in what was asked."""
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
        silence()
        return 141
    except OutputError as error:
        silence()
        print(f"tidegate: {error}", file=sys.stderr)
        return 1
    return status


class _Parser(argparse.ArgumentParser):
    """Says what was probably meant by a command or an option that there is not."""

    def error(self, message: str) -> NoReturn:
        """Usage, the mistake, what was probably meant. Never returns: exit status 2."""
        choice = re.search(r"invalid choice: '?([^' ]+)'? \(choose from (.+)\)", message)
        if choice:
            wrong, known = choice[1], re.findall(r"[\w.-]+", choice[2])
        else:
            unknown = re.search(r"unrecognized arguments: .*?(--[^\s=]+)", message)
            wrong, known = unknown[1] if unknown else "", sorted(self._known_options())
        near = difflib.get_close_matches(wrong, known, n=1) if wrong else []
        super().error(f"{message}; did you mean {near[0]}?" if near else message)

    def parse_known_args(  # type: ignore[override]  # the overloads of the base say no more
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As the base does; a command refuses what it does not know itself: it has the nearest names."""
        found, unknown = super().parse_known_args(with_times(args), namespace)
        if unknown and " " in self.prog:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def _known_options(self) -> set[str]:
        return {one for one in self._option_string_actions if one.startswith("--")}


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tidegate",
        description="The terminal cockpit for GPU serving capacity: utilisation, queue waits and release\n"
        "stages of every model on one screen.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tidegate {VERSION}")
    parser.set_defaults(run=None, bare=False)
    group = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_demo(group)
    _add_watch(group)
    _add_replay(group)
    _add_snapshot(group)
    _add_check(group)
    _add_init(group)
    _add_rules(group)
    _add_simulate(group)
    add_runbook(group, _add, _usage)
    add_recordings(group, _add, _usage, _add_sources)
    add_report(group, _add)
    add_reconstruct(group, _add, _add_sources)
    _add_plane(group)
    _add_helpers(group)
    return parser


_Group: TypeAlias = "argparse._SubParsersAction[_Parser]"


def _add(
    group: _Group,
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
    more: str = "",
) -> argparse.ArgumentParser:
    parser = group.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.\n\n{more}".strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _add_demo(group: _Group) -> None:
    parser = _add(
        group,
        "demo",
        commands.demo,
        "watch a simulated fleet; nothing else is needed",
        "The fleet is simulated in a process of its own: seven models, four tiers, 10,000 accelerators.\n"
        "Scenario melting-gpus: an image feature goes viral three minutes in, and every wait grows.",
    )
    parser.add_argument(
        "--scenario",
        default="melting-gpus",
        metavar="S",
        help="melting-gpus (default), calm, feature-opening, control-partition, two-operators",
    )
    parser.add_argument("--seed", type=_seed, default=1, metavar="N", help="of every random number (1)")
    parser.add_argument(
        "--speed", type=_speed, default=1.0, metavar="X", help="simulated seconds a second, 1 to 120 (1)"
    )
    parser.add_argument("--seconds", type=_positive, metavar="N", help="quit after N seconds")
    parser.add_argument(
        "--headless", action="store_true", help="no screen: a line a second on standard output"
    )
    parser.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        help="record it in FILE, for `tidegate replay FILE`; without, its recording ends with it",
    )
    _add_read_only(parser)
    _add_looks(parser)


def _add_watch(group: _Group) -> None:
    parser = _add(
        group,
        "watch",
        commands.watch,
        "watch a fleet: a Prometheus or /metrics pages, and a control plane",
        "Without options the default context of the configuration is watched. Options win over it.\n\n"
        "examples:\n"
        "  tidegate watch                                        the default context\n"
        "  tidegate watch --context prod\n"
        "  tidegate watch --prometheus eu=http://eu:9090 --prometheus us=http://us:9090\n"
        "  tidegate watch --scrape http://HOST:8000/metrics      an engine, without a Prometheus",
    )
    parser.add_argument("--seconds", type=_positive, metavar="N", help="quit after N seconds")
    parser.add_argument(
        "--no-record", action="store_true", help="do not record this session; see [recording] for always"
    )
    _add_read_only(parser)
    _add_sources(parser)
    _add_looks(parser)


def _add_replay(group: _Group) -> None:
    parser = _add(
        group,
        "replay",
        commands.replay,
        "show a recorded session again, on the same screens",
        "FILE is a recording, or a folder of them: then the newest. Without FILE, this machine's newest.\n"
        "Nothing can be written from a replay. Keys: space plays and pauses, [ ] step, @ goes to a time,\n"
        "< > previous and next alert, e E next and previous action, ? shows them all.\n\n"
        "examples:\n"
        "  tidegate replay                                       the newest session of this machine\n"
        "  tidegate replay incident.tgrec --at 14:03             or -5m from its end, or a full date\n"
        "  tidegate demo --record try.tgrec && tidegate replay try.tgrec",
    )
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="recording, or a folder of them")
    parser.add_argument("--at", metavar="TIME", help="where to begin: 14:03, -5m, 2026-11-21T14:03Z")
    parser.add_argument("--follow", action="store_true", help="go on as a session that still runs grows")
    _add_looks(parser)


def _add_snapshot(group: _Group) -> None:
    parser = _add(
        group,
        "snapshot",
        commands.snapshot,
        "print one frame, for scripts",
        "Waits until every source has answered and rates are known, at most --within seconds.\n"
        "Exit status: 0; 1 when a source did not answer; 2 for a mistake in options or settings.\n\n"
        "examples:\n"
        "  tidegate snapshot --format table\n"
        "  tidegate snapshot --prometheus http://localhost:9090 | jq '.models[].name'\n"
        "  tidegate snapshot --context prod --within 20 > frame.json",
    )
    parser.add_argument("--format", choices=("json", "table"), default="json", help="json (default) or table")
    _add_within(parser)
    parser.add_argument("--width", type=int, default=160, metavar="N", help="columns of the table (160)")
    _add_sources(parser)


def _add_check(group: _Group) -> None:
    parser = _add(
        group,
        "check",
        first_steps.check,
        "say what can be seen, what is missing, and what to do about it",
        "Asks every source once, or until rates are known, and prints: which sources answer and how;\n"
        "which stacks are there; which signals have data, and the setting that would bring the others;\n"
        "where tiers come from; names that nothing joins, with rules to paste.\n\n"
        "Exit status: 0 when every source answers and there is something to show; 1 when not; 2 for a\n"
        "mistake in options or settings.\n\n"
        "examples:\n"
        "  tidegate check                                        the default context\n"
        "  tidegate check --prometheus http://localhost:9090\n"
        "  tidegate check --explain llama-70b                    how each of its numbers came to be\n"
        "  tidegate check --format json | jq '.signals[] | select(.state == \"absent\")'",
    )
    parser.add_argument(
        "--explain", metavar="MODEL", help="each reading of a model: query, labels, rule of identity"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="text (default) or json")
    _add_within(parser)
    _add_sources(parser)


def _add_init(group: _Group) -> None:
    parser = _add(
        group,
        "init",
        first_steps.init,
        "write a first configuration from what a Prometheus has",
        "Asks the sources, then writes one context: where to ask, the tiers that were seen, aliases for\n"
        "names that nothing joins, and comments on the rest. On a terminal it asks for a URL where none is\n"
        "given. No secret is written: a token is named by the variable or file that holds it.\n\n"
        "examples:\n"
        "  tidegate init --prometheus http://localhost:9090\n"
        "  tidegate init --prometheus https://prom.example --token-env PROM_TOKEN --context prod\n"
        "  tidegate init --prometheus eu=http://eu:9090 --prometheus us=http://us:9090 --output fleet.toml",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="where to write (the configuration file; see TIDEGATE_CONFIG)",
    )
    parser.add_argument("--yes", action="store_true", help="overwrite a file that is there")
    parser.add_argument("--context", metavar="NAME", help="what to call the context (main)")
    _add_within(parser)
    group_of_sources = _add_urls(parser)
    token = group_of_sources.add_mutually_exclusive_group()
    token.add_argument(
        "--token-env", metavar="NAME", help="environment variable with the token of Prometheus"
    )
    token.add_argument("--token-file", type=Path, metavar="FILE", help="file with the token of Prometheus")


def _add_rules(group: _Group) -> None:
    parser = _add(
        group,
        "rules",
        first_steps.rules,
        "print recording rules for a Prometheus",
        "A rule is worked out once by the server, however many watch, and tidegate reads it where it is\n"
        "there. Rules are made for the stacks that the server has; --all asks nobody and makes them all.\n\n"
        "examples:\n"
        "  tidegate rules --prometheus http://localhost:9090 > tidegate-rules.yml\n"
        "  promtool check rules tidegate-rules.yml\n"
        "  tidegate rules --context prod --cluster us            of several, the one of a cluster\n"
        "  tidegate rules --all --interval 30 > tidegate-rules.yml",
    )
    parser.add_argument("--all", action="store_true", help="for every stack, without asking a server")
    parser.add_argument("--cluster", metavar="NAME", help="of several Prometheus, the one of this cluster")
    parser.add_argument(
        "--interval",
        type=_interval,
        default=15.0,
        metavar="S",
        help="with --all: seconds between scrapes (15)",
    )
    _add_within(parser)
    _add_sources(parser)


def _add_simulate(group: _Group) -> None:
    parser = _add(
        group,
        "simulate",
        commands.simulate,
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


def _add_plane(group: _Group) -> None:
    plane = group.add_parser("plane", help="the embedded control plane")
    plane.set_defaults(run=lambda args: _usage(plane))
    actions = plane.add_subparsers(title="commands", metavar="COMMAND")
    add_load(actions, _add)
    serve = _add(
        actions,
        "serve",
        commands.plane_serve,
        "serve the embedded control plane: releases and throttles over HTTP",
        "It keeps who is throttled to what share and which release stands at which stage, carries out what\n"
        "operators ask for, each write once, and logs who changed what and why.\n\n"
        "Without --tokens it makes one token, release-admin, in a file only you can read, where\n"
        "`tidegate watch --plane URL` finds it. Roles: viewer reads; operator throttles, pauses, aborts;\n"
        "release-admin advances, sets weights, rolls back and registers too.",
    )
    serve.epilog = _PLANE_EPILOG
    serve.add_argument("--listen", default="127.0.0.1:9911", metavar="HOST:PORT", help="(127.0.0.1:9911)")
    serve.add_argument("--seed", type=Path, metavar="FILE", help="JSON: tiers, features, releases, throttles")
    serve.add_argument("--data", type=Path, metavar="FILE", help="SQLite file to keep state in (memory)")
    serve.add_argument(
        "--tokens", type=Path, metavar="FILE", help="TOML: who may do what (one token is made)"
    )
    serve.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML: limits, tokens, and metrics that observe releases"
    )
    serve.add_argument(
        "--allow-remote", action="store_true", help="listen on other than the loopback, without TLS"
    )


def _add_helpers(group: _Group) -> None:
    _add(
        group,
        "keys",
        commands.keys,
        "list every key, and the action it is bound to",
        "Bindings of your own go into a file: its place is told at the end of the list.\n\n"
        "examples:\n"
        "  tidegate keys\n"
        "  tidegate keys | grep stage",
    )
    completion = _add(
        group,
        "completion",
        lambda args: commands.completion(_parser(), args.shell),
        "print a completion script for your shell",
        "bash:  tidegate completion bash > ~/.local/share/bash-completion/completions/tidegate\n"
        "zsh:   tidegate completion zsh > ~/.zfunc/_tidegate, with ~/.zfunc in $fpath",
    )
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"))


def _usage(parser: argparse.ArgumentParser) -> int:
    parser.print_help()
    return USAGE_ERROR


def _add_within(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--within", type=_positive, default=45.0, metavar="S", help="seconds to wait at most (45)"
    )


def _add_sources(parser: argparse.ArgumentParser) -> None:
    group = _add_urls(parser)
    group.add_argument(
        "--context", metavar="NAME", help="of the configuration (environment: TIDEGATE_CONTEXT)"
    )
    group.add_argument(
        "--config", type=Path, metavar="FILE", help="configuration file (environment: TIDEGATE_CONFIG)"
    )


def _add_urls(parser: argparse.ArgumentParser) -> "argparse._ArgumentGroup":
    group = parser.add_argument_group("where to ask")
    group.add_argument(
        "--prometheus",
        metavar="URL",
        action="append",
        help="a Prometheus (environment: TIDEGATE_PROMETHEUS); of several clusters, one NAME=URL for each",
    )
    group.add_argument(
        "--scrape",
        metavar="URL",
        action="append",
        help="a /metrics page, read directly; give it again for more",
    )
    group.add_argument("--plane", metavar="URL", help="a control plane (environment: TIDEGATE_PLANE)")
    group.add_argument(
        "--alertmanager",
        metavar="URL",
        action="append",
        help="an Alertmanager: alerts and who silenced them; give it again for more",
    )
    group.add_argument(
        "--nvml", action="store_true", help="this machine's own NVIDIA accelerators, without an exporter"
    )
    return group


def _add_read_only(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--read-only", action="store_true", help="no key writes anything, armed or not")


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


def _interval(text: str) -> float:
    return _number(text, 1.0, 600.0)


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
