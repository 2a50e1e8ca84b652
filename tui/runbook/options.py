"""The options of the commands that read and write a control plane."""

import argparse
from functools import partial
from pathlib import Path

from tui.parser import Command, Parser, add_context, add_plane
from tui.runbook import amounts, commands

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


def load(parser: Parser) -> None:
    """Of `plane load`."""
    parser.runs(
        commands.load,
        "FILE holds the body of a register as JSON, or a list of them. A release that is there already and\n"
        f"has ended starts again with its new candidate; one that runs is left alone.\n\n{STATUSES}\n\n"
        "example:\n  tidegate plane load releases.json --plane http://localhost:9911 --yes\n\n"
        f"a body, in JSON:\n{_BODY}\n\n"
        "Longer ones: the example seed that comes with it, collectors/control/server/seed-example.json.",
    )
    _short_usage(parser, "FILE [--reason R] [--dry-run] [--yes]")
    parser.add_argument("file", type=Path, metavar="FILE", help="JSON: one body, or a list")
    parser.add_argument("--reason", type=amounts.reason, metavar="R", help="for bodies that have none")
    _add_writing(parser)


def throttle(parser: Parser) -> None:
    """Of `throttle` and its commands."""
    parser.add_commands(
        (
            Command("set", "admit a share of the requests of a feature and tier", _set),
            Command("clear", "end a throttle before its time", _clear),
            Command("list", "what is throttled, by whom, until when", _list),
        )
    )


def _set(parser: Parser) -> None:
    parser.runs(
        commands.throttle_set,
        "It holds for every model that serves the feature, ends by itself, and goes back to what was set.\n\n"
        f"{STATUSES}\n\n{WHERE}\n\n"
        "examples:\n"
        "  tidegate throttle set --plane http://localhost:9911 --feature image-generation --tier free \\\n"
        '      --level 0.3 --for 30m --reason "queue over 20 s" --yes\n'
        "  tidegate throttle set --feature voice --tier free --tier team --level 50% --reason test --dry-run",
    )
    _short_usage(parser, "--feature F --tier T --level X --reason R [--for T] [--dry-run] [--yes]")
    _add_cells(parser)
    parser.add_argument(
        "--level", type=amounts.level, required=True, metavar="X", help="share admitted: 0.3, 30%% or T3"
    )
    parser.add_argument(
        "--for",
        dest="ttl_s",
        type=amounts.time_to_live,
        default=1800,
        metavar="T",
        help="how long: 90s, 30m, 1h30m, or until-cleared (30m)",
    )
    parser.add_argument("--ramp", type=amounts.rate, metavar="X", help="by a share a minute: 10%% (at once)")
    parser.add_argument("--if-level", type=amounts.level, metavar="X", help="only if it stands there now")
    parser.add_argument(
        "--then",
        choices=("previous", "open"),
        default="previous",
        help="what follows: the setting that this one replaces (previous), or no throttle (open)",
    )
    _add_writing(parser, needs_reason=True)


def _clear(parser: Parser) -> None:
    parser.runs(
        commands.throttle_clear,
        "It goes back to the previous setting: the one that it replaced, for what is left of its time. One\n"
        "earlier setting is remembered, not more; without one it is open. Where the previous setting admits\n"
        "less than what is in force now, nothing is done unless --then says which is meant.\n\n"
        f"{STATUSES}\n\n{WHERE}\n\n"
        "example:\n"
        "  tidegate throttle clear --feature image-generation --tier free --then open --reason drained --yes",
    )
    _short_usage(parser, "--feature F --tier T --reason R [--then open] [--dry-run] [--yes]")
    _add_cells(parser)
    parser.add_argument("--if-level", type=amounts.level, metavar="X", help="only if it stands there now")
    parser.add_argument(
        "--then",
        choices=("previous", "open"),
        help="back to the setting before, even to less (previous), or no throttle (open)",
    )
    _add_writing(parser, needs_reason=True)


def _list(parser: Parser) -> None:
    parser.runs(commands.throttle_list)
    parser.add_argument("--all", action="store_true", help="cells that are open as well")
    _add_reading(parser)


def release(parser: Parser) -> None:
    """Of `release` and its commands."""
    parser.add_commands(
        (
            Command("advance", "open the next stage, or the later one of --to", _advance),
            Command("pause", "stop automatic movement; the stage stays", partial(_plain_move, name="pause")),
            Command("resume", "undo an operator's pause", partial(_plain_move, name="resume")),
            Command(
                "abort", "back to the exposure before its first stage", partial(_plain_move, name="abort")
            ),
            Command("retry", "let an aborted release begin again", partial(_plain_move, name="retry")),
            Command(
                "rollback", "replace the candidate by an earlier revision, and end the release", _roll_back
            ),
            Command("set-weight", "another share for the tier of the current stage", _set_weight),
            Command("status", "where releases stand, and what holds them", _status),
        )
    )


def _move(parser: Parser, name: str, needs: str = "", example: str = "") -> None:
    """Begin a command that moves a release; what writes follows its own options.

    needs, example: an option of its own that must be given, for its usage and its example
    """
    parser.runs(
        commands.release_write,
        f"{STATUSES}\n\n{WHERE}\n\nexample:\n"
        f'  tidegate release {name} --release llama-70b --reason "p99 steady" --if-stage plus@25{example}',
    )
    _short_usage(parser, f"--release R --reason R{needs} [--if-stage S] [--dry-run] [--yes]")
    parser.set_defaults(operation=name.replace("-", "_"), to=None, to_revision=None, override_gate=False)
    parser.add_argument("--release", type=amounts.identifier, required=True, metavar="R", help="its id")
    parser.add_argument(
        "--if-stage", metavar="S", help="only if it stands at this stage now (none: before the first)"
    )


def _plain_move(parser: Parser, name: str) -> None:
    _move(parser, name)
    _add_writing(parser, needs_reason=True)


def _advance(parser: Parser) -> None:
    _move(parser, "advance")
    parser.add_argument("--to", type=amounts.identifier, metavar="S", help="a later stage (the next)")
    parser.add_argument(
        "--override-gate", action="store_true", help="although the gate is closed, as release-admin"
    )
    _add_writing(parser, needs_reason=True)


def _roll_back(parser: Parser) -> None:
    _move(parser, "rollback")
    parser.add_argument("--to-revision", metavar="REV", help="of its history (the stable one)")
    _add_writing(parser, needs_reason=True)


def _set_weight(parser: Parser) -> None:
    _move(parser, "set-weight", needs=" --weight X", example=" --weight 50%")
    parser.add_argument("--weight", type=amounts.share, required=True, metavar="X", help="as 50%%")
    _add_writing(parser, needs_reason=True)


def _status(parser: Parser) -> None:
    parser.runs(commands.release_status)
    parser.add_argument("--release", type=amounts.identifier, metavar="R", help="one alone, in full")
    _add_reading(parser)


def wait(parser: Parser) -> None:
    """Of `wait`."""
    parser.runs(
        commands.wait,
        "Exit status: 0 at the stage or a later one; 1 the plane could not be asked; 2 a mistake; 3 not\n"
        "within --timeout; 4 it was aborted, rolled back or started again meanwhile.\n\n"
        "example:\n  tidegate wait --release llama-70b --stage plus@25 --timeout 30m && ./announce",
    )
    parser.add_argument("--release", type=amounts.identifier, required=True, metavar="R", help="its id")
    parser.add_argument("--stage", type=amounts.identifier, required=True, metavar="S", help="the stage's id")
    parser.add_argument(
        "--timeout", type=amounts.span, default=1800, metavar="T", help="how long: 90s, 30m, 2h (30m)"
    )
    _add_reading(parser)


def audit(parser: Parser) -> None:
    """Of `audit`."""
    parser.runs(
        commands.audit,
        "Oldest first. With --verify the whole log is read and its chain of hashes checked: exit status 4\n"
        "where it is broken.\n\n"
        "examples:\n"
        "  tidegate audit --limit 20\n"
        "  tidegate audit --feature image-generation\n"
        "  tidegate audit --feature image-generation --tier free\n"
        "  tidegate audit --verify",
    )
    parser.add_argument("--limit", type=_count, default=50, metavar="N", help="the newest N (50)")
    parser.add_argument("--release", type=amounts.identifier, metavar="R", help="of a release")
    parser.add_argument("--feature", type=amounts.identifier, metavar="F", help="of a feature")
    parser.add_argument("--tier", type=amounts.identifier, metavar="T", help="of a tier")
    parser.add_argument("--actor", metavar="WHO", help="by one person")
    parser.add_argument("--result", choices=("applied", "refused", "failed", "unknown"), help="that ended so")
    parser.add_argument("--decision", metavar="ID", help="of one decision on several targets")
    parser.add_argument("--since", metavar="TIME", help="RFC 3339: 2026-11-21T17:00:00Z")
    parser.add_argument("--until", metavar="TIME", help="RFC 3339")
    parser.add_argument("--verify", action="store_true", help="check the chain of the whole log")
    _add_reading(parser)


def _short_usage(parser: Parser, arguments: str) -> None:
    """One line, which is all that stands above a mistake; `--help` lists every option below it."""
    parser.usage = f"%(prog)s {arguments}; all options: --help"


def _add_cells(parser: Parser) -> None:
    parser.add_argument("--feature", type=amounts.identifier, required=True, metavar="F", help="its id")
    parser.add_argument(
        "--tier", type=amounts.identifier, required=True, action="append", metavar="T", help="again for more"
    )


def _add_writing(parser: Parser, *, needs_reason: bool = False) -> None:
    if needs_reason:
        parser.add_argument(
            "--reason", type=amounts.reason, required=True, metavar="R", help="why; kept in the log"
        )
    parser.add_argument("--ticket", default="", metavar="ID", help="of an incident or change")
    parser.add_argument("--dry-run", action="store_true", help="only say what would change")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    _add_reading(parser)


def _add_reading(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="for scripts, in a documented form")
    group = parser.add_argument_group("where to ask")
    add_plane(group)
    add_context(group)
    token = group.add_mutually_exclusive_group()
    token.add_argument("--token-env", metavar="NAME", help="environment variable with the token")
    token.add_argument("--token-file", type=Path, metavar="FILE", help="file with the token, yours alone")
    token.add_argument("--token-command", metavar="CMD", help="command that prints the token")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 100_000):
        raise argparse.ArgumentTypeError(f"{text[:40]!r}: a whole number from 1 to 100000")
    return int(text)
