"""The options of the commands that read and write a control plane."""

import argparse
from collections.abc import Callable
from pathlib import Path

from tui.runbook import amounts, commands

Add = Callable[..., argparse.ArgumentParser]
"""Adds a command: group, name, what it runs, summary, more words."""

STATUSES = (
    "Exit status: 0 applied; 1 the plane could not be asked, or refused the token; 2 a mistake in what was\n"
    "asked; 4 refused; 5 it is not, or no longer, as it has to be for this; 6 unknown: no answer came, look\n"
    "before you do it again."
)
WHERE = (
    "The token is the configuration's, else TIDEGATE_TOKEN, else of the file that a plane of this machine\n"
    "leaves for its user. It is never an argument."
)


_BODY = """  {"id": "voice-1", "subject": {"kind": "model", "name": "voice-1"},
   "candidate": "r2", "stable": "r1",
   "stages": [{"id": "pro@25", "tier": "pro", "weight": 0.25, "gate": {"kind": "manual", "hold_s": 600}},
              {"id": "all", "tier": "*", "weight": 1.0, "gate": {"kind": "manual", "hold_s": 0}}],
   "reason": "passed evaluation"}"""


def add_runbook(group: object, add: Add, usage: Callable[[argparse.ArgumentParser], int]) -> None:
    """Add `throttle`, `release`, `wait` and `audit`. `add` and `usage` are the command line's own."""
    _add_throttle(group, add, usage)
    _add_release(group, add, usage)
    _add_wait(group, add)
    _add_audit(group, add)


def add_load(group: object, add: Add) -> None:
    """Add `plane load`."""
    load = add(
        group,
        "load",
        commands.load,
        "register candidates with their stages, from a file",
        "FILE holds the body of a register as JSON, or a list of them. A release that is there already and\n"
        f"has ended starts again with its new candidate; one that runs is left alone.\n\n{STATUSES}\n\n"
        "example:\n  tidegate plane load releases.json --plane http://localhost:9911 --yes\n\n"
        f"a body, in JSON:\n{_BODY}\n\n"
        "Longer ones: the example seed that comes with it, collectors/control/server/seed-example.json.",
    )
    _short_usage(load, "FILE [--reason R] [--dry-run] [--yes]")
    load.add_argument("file", type=Path, metavar="FILE", help="JSON: one body, or a list")
    load.add_argument("--reason", type=amounts.reason, metavar="R", help="for bodies that have none")
    _add_writing(load)


def _add_throttle(group: object, add: Add, usage: Callable[[argparse.ArgumentParser], int]) -> None:
    throttle: argparse.ArgumentParser = add(
        group, "throttle", lambda args: usage(throttle), "set, clear and list throttles"
    )
    actions = throttle.add_subparsers(title="commands", metavar="COMMAND")
    setting = add(
        actions,
        "set",
        commands.throttle_set,
        "admit a share of the requests of a feature and tier",
        "It holds for every model that serves the feature, ends by itself, and goes back to what was set.\n\n"
        f"{STATUSES}\n\n{WHERE}\n\n"
        "examples:\n"
        "  tidegate throttle set --plane http://localhost:9911 --feature image-generation --tier free \\\n"
        '      --level 0.3 --for 30m --reason "queue over 20 s" --yes\n'
        "  tidegate throttle set --feature voice --tier free --tier team --level 50% --reason test --dry-run",
    )
    _short_usage(setting, "--feature F --tier T --level X --reason R [--for T] [--dry-run] [--yes]")
    _add_cells(setting)
    setting.add_argument(
        "--level", type=amounts.level, required=True, metavar="X", help="share admitted: 0.3, 30%% or T3"
    )
    setting.add_argument(
        "--for",
        dest="ttl_s",
        type=amounts.time_to_live,
        default=1800,
        metavar="T",
        help="how long: 90s, 30m, 1h30m, or until-cleared (30m)",
    )
    setting.add_argument("--ramp", type=amounts.rate, metavar="X", help="by a share a minute: 10%% (at once)")
    setting.add_argument("--if-level", type=amounts.level, metavar="X", help="only if it stands there now")
    setting.add_argument(
        "--then",
        choices=("previous", "open"),
        default="previous",
        help="what follows: the setting that this one replaces (previous), or no throttle (open)",
    )
    _add_writing(setting, needs_reason=True)
    clearing = add(
        actions,
        "clear",
        commands.throttle_clear,
        "end a throttle before its time",
        "It goes back to the previous setting: the one that it replaced, for what is left of its time. One\n"
        "earlier setting is remembered, not more; without one it is open. Where the previous setting admits\n"
        "less than what is in force now, nothing is done unless --then says which is meant.\n\n"
        f"{STATUSES}\n\n{WHERE}\n\n"
        "example:\n"
        "  tidegate throttle clear --feature image-generation --tier free --then open --reason drained --yes",
    )
    _short_usage(clearing, "--feature F --tier T --reason R [--then open] [--dry-run] [--yes]")
    _add_cells(clearing)
    clearing.add_argument("--if-level", type=amounts.level, metavar="X", help="only if it stands there now")
    clearing.add_argument(
        "--then",
        choices=("previous", "open"),
        help="back to the setting before, even to less (previous), or no throttle (open)",
    )
    _add_writing(clearing, needs_reason=True)
    listing = add(actions, "list", commands.throttle_list, "what is throttled, by whom, until when")
    listing.add_argument("--all", action="store_true", help="cells that are open as well")
    _add_reading(listing)


def _add_release(group: object, add: Add, usage: Callable[[argparse.ArgumentParser], int]) -> None:
    release: argparse.ArgumentParser = add(
        group, "release", lambda args: usage(release), "look at staged releases, and move them"
    )
    actions = release.add_subparsers(title="commands", metavar="COMMAND")
    words = {
        "advance": "open the next stage, or the later one of --to",
        "pause": "stop automatic movement; the stage stays",
        "resume": "undo an operator's pause",
        "abort": "back to the exposure before its first stage",
        "retry": "let an aborted release begin again",
        "rollback": "replace the candidate by an earlier revision, and end the release",
        "set-weight": "another share for the tier of the current stage",
    }
    for name, summary in words.items():
        example = f'  tidegate release {name} --release llama-70b --reason "p99 steady" --if-stage plus@25'
        if name == "set-weight":
            example += " --weight 50%%".replace("%%", "%")
        parser = add(
            actions, name, commands.release_write, summary, f"{STATUSES}\n\n{WHERE}\n\nexample:\n{example}"
        )
        weight = " --weight X" if name == "set-weight" else ""
        _short_usage(parser, f"--release R --reason R{weight} [--if-stage S] [--dry-run] [--yes]")
        parser.set_defaults(operation=name.replace("-", "_"), to=None, to_revision=None, override_gate=False)
        parser.add_argument("--release", type=amounts.identifier, required=True, metavar="R", help="its id")
        parser.add_argument(
            "--if-stage", metavar="S", help="only if it stands at this stage now (none: before the first)"
        )
        if name == "advance":
            parser.add_argument("--to", type=amounts.identifier, metavar="S", help="a later stage (the next)")
            parser.add_argument(
                "--override-gate",
                action="store_true",
                help="although the gate is closed, as release-admin",
            )
        if name == "rollback":
            parser.add_argument("--to-revision", metavar="REV", help="of its history (the stable one)")
        if name == "set-weight":
            parser.add_argument("--weight", type=amounts.share, required=True, metavar="X", help="as 50%%")
        _add_writing(parser, needs_reason=True)
    status = add(actions, "status", commands.release_status, "where releases stand, and what holds them")
    status.add_argument("--release", type=amounts.identifier, metavar="R", help="one alone, in full")
    _add_reading(status)


def _add_wait(group: object, add: Add) -> None:
    wait = add(
        group,
        "wait",
        commands.wait,
        "wait until a release stands at a stage",
        "Exit status: 0 at the stage or a later one; 1 the plane could not be asked; 2 a mistake; 3 not\n"
        "within --timeout; 4 it was aborted, rolled back or started again meanwhile.\n\n"
        "example:\n  tidegate wait --release llama-70b --stage plus@25 --timeout 30m && ./announce",
    )
    wait.add_argument("--release", type=amounts.identifier, required=True, metavar="R", help="its id")
    wait.add_argument("--stage", type=amounts.identifier, required=True, metavar="S", help="the stage's id")
    wait.add_argument(
        "--timeout", type=amounts.span, default=1800, metavar="T", help="how long: 90s, 30m, 2h (30m)"
    )
    _add_reading(wait)


def _add_audit(group: object, add: Add) -> None:
    audit = add(
        group,
        "audit",
        commands.audit,
        "who did what, when and why, by the control plane's log",
        "Oldest first. With --verify the whole log is read and its chain of hashes checked: exit status 4\n"
        "where it is broken.\n\n"
        "examples:\n"
        "  tidegate audit --limit 20\n"
        "  tidegate audit --feature image-generation\n"
        "  tidegate audit --feature image-generation --tier free\n"
        "  tidegate audit --verify",
    )
    audit.add_argument("--limit", type=_count, default=50, metavar="N", help="the newest N (50)")
    audit.add_argument("--release", type=amounts.identifier, metavar="R", help="of a release")
    audit.add_argument("--feature", type=amounts.identifier, metavar="F", help="of a feature")
    audit.add_argument("--tier", type=amounts.identifier, metavar="T", help="of a tier")
    audit.add_argument("--actor", metavar="WHO", help="by one person")
    audit.add_argument("--result", choices=("applied", "refused", "failed", "unknown"), help="that ended so")
    audit.add_argument("--decision", metavar="ID", help="of one decision on several targets")
    audit.add_argument("--since", metavar="TIME", help="RFC 3339: 2026-11-21T17:00:00Z")
    audit.add_argument("--until", metavar="TIME", help="RFC 3339")
    audit.add_argument("--verify", action="store_true", help="check the chain of the whole log")
    _add_reading(audit)


def _short_usage(parser: argparse.ArgumentParser, arguments: str) -> None:
    """One line, which is all that stands above a mistake; `--help` lists every option below it."""
    parser.usage = f"%(prog)s {arguments}; all options: --help"


def _add_cells(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--feature", type=amounts.identifier, required=True, metavar="F", help="its id")
    parser.add_argument(
        "--tier", type=amounts.identifier, required=True, action="append", metavar="T", help="again for more"
    )


def _add_writing(parser: argparse.ArgumentParser, *, needs_reason: bool = False) -> None:
    if needs_reason:
        parser.add_argument(
            "--reason", type=amounts.reason, required=True, metavar="R", help="why; kept in the log"
        )
    parser.add_argument("--ticket", default="", metavar="ID", help="of an incident or change")
    parser.add_argument("--dry-run", action="store_true", help="only say what would change")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    _add_reading(parser)


def _add_reading(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for scripts, in a documented form")
    group = parser.add_argument_group("where to ask")
    group.add_argument("--plane", metavar="URL", help="a control plane (environment: TIDEGATE_PLANE)")
    group.add_argument(
        "--context", metavar="NAME", help="of the configuration (environment: TIDEGATE_CONTEXT)"
    )
    group.add_argument(
        "--config", type=Path, metavar="FILE", help="configuration file (environment: TIDEGATE_CONFIG)"
    )
    token = group.add_mutually_exclusive_group()
    token.add_argument("--token-env", metavar="NAME", help="environment variable with the token")
    token.add_argument("--token-file", type=Path, metavar="FILE", help="file with the token, yours alone")
    token.add_argument("--token-command", metavar="CMD", help="command that prints the token")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 100_000):
        raise argparse.ArgumentTypeError(f"{text[:40]!r}: a whole number from 1 to 100000")
    return int(text)
