"""The command `tidegate`: what can be asked for on the command line, and how it is started.

Nothing heavy is imported here: the screen is painted first, sources are built on a thread of their own.
Modules of other commands than the cockpit's own are imported by the function that adds their options.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from tui import commands
from tui.output import OutputError, fail, silence
from tui.parser import Command, Parser, add_append, add_sources, add_urls, number

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
    """Run the command.

    Returns the exit status: 0; 1 for a failure; 2 for a mistake in what was asked; more of the command's own;
    130 after an interrupt; 141 where the reader of its output went away, as a shell has it of any program
    """
    parser = command_line()
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
        return fail(error, 1)
    return status


def command_line() -> Parser:
    """What `tidegate` understands."""
    parser = Parser(
        prog="tidegate",
        description="The terminal cockpit for GPU serving capacity: utilisation, queue waits and release\n"
        "stages of every model on one screen.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"tidegate {VERSION}")
    parser.add_commands(
        (
            Command("demo", "watch a simulated fleet; nothing else is needed", _demo),
            Command("watch", "watch a fleet: a Prometheus or /metrics pages, and a control plane", _watch),
            Command("replay", "show a recorded session again, on the same screens", _replay),
            Command("snapshot", "print one frame, for scripts", _snapshot),
            Command("check", "say what can be seen, what is missing, and what to do about it", _check),
            Command("init", "write a first configuration from what a Prometheus has", _init),
            Command("rules", "print recording rules for a Prometheus", _rules),
            Command("simulate", "serve a simulated fleet's /metrics pages and control plane", _simulate),
            Command("throttle", "set, clear and list throttles", _throttle),
            Command("release", "look at staged releases, and move them", _release),
            Command("wait", "wait until a release stands at a stage", _wait),
            Command("audit", "who did what, when and why, by the control plane's log", _audit),
            Command("record", "record a fleet without a screen, as a service does", _record),
            Command("recording", "look into recordings, cut, join and export them", _recording),
            Command("report", "tell an incident from a recording, for people who were not there", _report),
            Command("reconstruct", "make a recording of a time in which nobody recorded", _reconstruct),
            Command("plane", "the embedded control plane", _plane),
            Command("keys", "list every key, and the action it is bound to", _keys),
            Command("completion", "print a completion script for your shell", _completion),
        )
    )
    parser.set_defaults(run=None, bare=False)
    return parser


def _demo(parser: Parser) -> None:
    parser.runs(
        commands.demo,
        "The fleet is simulated in a process of its own: seven models, four tiers, 10,000 accelerators.\n"
        "Scenario melting-gpus: an image feature goes viral three minutes in, and every wait grows.\n\n"
        "--record FILE: one that is there and was closed is refused, for the simulated clock begins anew;\n"
        "--append goes on in it all the same. One that was not closed, for its recorder was killed, is gone\n"
        "on with.",
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
    add_append(parser, "--record")
    _add_read_only(parser)
    _add_looks(parser)


def _watch(parser: Parser) -> None:
    parser.runs(
        commands.watch,
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
    add_sources(parser)
    _add_looks(parser)


def _replay(parser: Parser) -> None:
    parser.runs(
        commands.replay,
        "FILE is a recording, or a folder of them: then the newest. Without FILE, this machine's newest.\n"
        "Nothing can be written from a replay. Keys: space plays and pauses, [ ] step, @ goes to a time,\n"
        "< > previous and next alert, e E next and previous action, ? shows them all.\n\n"
        "Exit status: 0; 1 when it cannot be read; 2 for a mistake in what was asked.\n\n"
        "examples:\n"
        "  tidegate replay                                       the newest session of this machine\n"
        "  tidegate replay incident.tgrec --at 14:03             or -5m from its end, or a full date\n"
        "  tidegate demo --record try.tgrec && tidegate replay try.tgrec",
    )
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="recording, or a folder of them")
    parser.add_argument("--at", metavar="TIME", help="where to begin: 14:03, -5m, 2026-11-21T14:03Z")
    parser.add_argument("--follow", action="store_true", help="go on as a session that still runs grows")
    _add_looks(parser)


def _snapshot(parser: Parser) -> None:
    parser.runs(
        commands.snapshot,
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
    add_sources(parser)


def _check(parser: Parser) -> None:
    from tui.first_steps import check

    parser.runs(
        check,
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
    add_sources(parser)


def _init(parser: Parser) -> None:
    from tui.first_steps import init

    parser.runs(
        init,
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
    token = add_urls(parser).add_mutually_exclusive_group()
    token.add_argument(
        "--token-env", metavar="NAME", help="environment variable with the token of Prometheus"
    )
    token.add_argument("--token-file", type=Path, metavar="FILE", help="file with the token of Prometheus")


def _rules(parser: Parser) -> None:
    from tui.first_steps import rules

    parser.runs(
        rules,
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
    add_sources(parser)


def _simulate(parser: Parser) -> None:
    parser.runs(
        commands.simulate,
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


def _throttle(parser: Parser) -> None:
    from tui.runbook.options import throttle

    throttle(parser)


def _release(parser: Parser) -> None:
    from tui.runbook.options import release

    release(parser)


def _wait(parser: Parser) -> None:
    from tui.runbook.options import wait

    wait(parser)


def _audit(parser: Parser) -> None:
    from tui.runbook.options import audit

    audit(parser)


def _record(parser: Parser) -> None:
    from tui.recordings import record

    record(parser)


def _recording(parser: Parser) -> None:
    from tui.recordings import recording

    recording(parser)


def _report(parser: Parser) -> None:
    from tui.recordings import report

    report(parser)


def _reconstruct(parser: Parser) -> None:
    from tui.recordings import reconstruct

    reconstruct(parser)


def _plane(parser: Parser) -> None:
    from tui.runbook.options import load

    parser.add_commands(
        (
            Command("load", "register candidates with their stages, from a file", load),
            Command("serve", "serve the embedded control plane: releases and throttles over HTTP", _serve),
        )
    )


def _serve(parser: Parser) -> None:
    parser.runs(
        commands.plane_serve,
        "It keeps who is throttled to what share and which release stands at which stage, carries out what\n"
        "operators ask for, each write once, and logs who changed what and why.\n\n"
        "Without --tokens it makes one token, release-admin, in a file only you can read, where\n"
        "`tidegate watch --plane URL` finds it. Roles: viewer reads; operator throttles, pauses, aborts;\n"
        "release-admin advances, sets weights, rolls back and registers too.",
    )
    parser.epilog = _PLANE_EPILOG
    parser.add_argument("--listen", default="127.0.0.1:9911", metavar="HOST:PORT", help="(127.0.0.1:9911)")
    parser.add_argument(
        "--seed", type=Path, metavar="FILE", help="JSON: tiers, features, releases, throttles"
    )
    parser.add_argument("--data", type=Path, metavar="FILE", help="SQLite file to keep state in (memory)")
    parser.add_argument(
        "--tokens", type=Path, metavar="FILE", help="TOML: who may do what (one token is made)"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML: limits, tokens, and metrics that observe releases"
    )
    parser.add_argument(
        "--allow-remote", action="store_true", help="listen on other than the loopback, without TLS"
    )


def _keys(parser: Parser) -> None:
    parser.runs(
        commands.keys,
        "Bindings of your own go into a file: its place is told at the end of the list.\n\n"
        "examples:\n"
        "  tidegate keys\n"
        "  tidegate keys | grep stage",
    )


def _completion(parser: Parser) -> None:
    parser.runs(
        lambda args: commands.completion(command_line().whole(), args.shell),
        "bash:  tidegate completion bash > ~/.local/share/bash-completion/completions/tidegate\n"
        "zsh:   tidegate completion zsh > ~/.zfunc/_tidegate, with ~/.zfunc in $fpath",
    )
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"))


def _add_within(parser: Parser) -> None:
    parser.add_argument(
        "--within", type=_positive, default=45.0, metavar="S", help="seconds to wait at most (45)"
    )


def _add_read_only(parser: Parser) -> None:
    parser.add_argument("--read-only", action="store_true", help="no key writes anything, armed or not")


def _add_looks(parser: Parser) -> None:
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
    return number(text, 1.0, 120.0)


def _interval(text: str) -> float:
    return number(text, 1.0, 600.0)


def _positive(text: str) -> float:
    return number(text, 0.1, 1e7)
