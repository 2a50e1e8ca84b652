"""The options of the commands that make recordings and look into them."""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tui import recording_commands as commands
from tui.runbook import amounts

Add = Callable[..., argparse.ArgumentParser]
"""Adds a command: group, name, what it runs, summary, more words."""

Sources = Callable[[argparse.ArgumentParser], object]
"""Adds the options that name what is watched."""

FORMATS = ("csv", "jsonl", "openmetrics", "sqlite")
_TIMES = (
    "TIME: 14:03, 14:03:11+02:00, 2026-11-21T14:03Z, seconds since 1970; of the recording's days, in UTC\n"
    "where no offset stands."
)
_STATUSES = "Exit status: 0; 1 when it cannot be read or written; 2 for a mistake in what was asked."


TIME_OPTIONS = ("--at", "--from", "--to")
"""Options that take a time."""


def with_times(args: Sequence[str] | None) -> list[str]:
    """The arguments, those of the command line for None, with a time such as `-5m` joined to its option:
    argparse takes it for an option of its own."""
    made: list[str] = []
    for one in sys.argv[1:] if args is None else args:
        if made and made[-1] in TIME_OPTIONS and re.match(r"-\s*\d", one):
            made[-1] += f"={one}"
        else:
            made.append(one)
    return made


def add_recordings(
    group: object, add: Add, usage: Callable[[argparse.ArgumentParser], int], sources: Sources
) -> None:
    """Add `record` and `recording`. `add`, `usage` and `sources` are the command line's own."""
    _add_record(group, add, sources)
    recording: argparse.ArgumentParser = add(
        group, "recording", lambda args: usage(recording), "look into recordings, cut, join and export them"
    )
    actions = recording.add_subparsers(title="commands", metavar="COMMAND")
    _add_info(actions, add)
    _add_verify(actions, add)
    _add_trim(actions, add)
    _add_merge(actions, add)
    _add_export(actions, add)


def _add_record(group: object, add: Add, sources: Sources) -> None:
    record = add(
        group,
        "record",
        commands.record,
        "record a fleet without a screen, as a service does",
        "Watches what `tidegate watch` would, and writes it to a file, or to the ring of files that live\n"
        "sessions are kept in. Says a line a minute: time, frames, size, sources, trouble if there is any.\n"
        "SIGTERM and SIGINT end it cleanly; it never writes to a control plane.\n\n"
        "Exit status: 0 when it ended as asked; 1 when something was not recorded, a source never answered\n"
        "or cannot be followed any more; 2 for a mistake in options or settings.\n\n"
        "examples:\n"
        "  tidegate record --context prod                        until it is told to stop, into the ring\n"
        "  tidegate record --prometheus http://localhost:9090 --for 8h --out night.tgrec\n"
        "  tidegate replay night.tgrec                           see it as it was\n\n"
        "As a service: docs/tidegate-record.service.",
    )
    record.add_argument(
        "--for", dest="seconds", type=amounts.span, metavar="T", help="how long: 90s, 30m, 8h"
    )
    record.add_argument("--out", type=Path, metavar="FILE", help="one file (the ring of the configuration)")
    sources(record)


def _add_info(actions: object, add: Add) -> None:
    info = add(
        actions,
        "info",
        commands.info,
        "say what is in a recording",
        "What was watched, when and how long; frames, events, actions, marks and gaps; size, and bytes a\n"
        f"value; whether it was closed and signed. Of a folder: of each recording in it.\n\n{_STATUSES}\n\n"
        "examples:\n"
        "  tidegate recording info night.tgrec\n"
        "  tidegate recording info ~/.local/state/tidegate/recordings\n"
        "  tidegate recording info night.tgrec --json | jq .bytes_per_value",
    )
    _add_file(info, "a .tgrec file, or a folder of them")
    _add_json(info)


def _add_verify(actions: object, add: Add) -> None:
    verify = add(
        actions,
        "verify",
        commands.verify,
        "check every checksum, the chain of hashes and the signature",
        "Says what is damaged, where and of which time, and what proves that nothing was changed: a\n"
        "signature (--key), or the chain's head that was noted elsewhere (--head). Without either the chain\n"
        "shows that the file is whole, but whoever forges a file can compute it anew. Of a folder: of each\n"
        "recording in it; with --head, of the newest. With --key a file without a signature is not sound.\n\n"
        "Exit status: 0 sound; 1 damaged, not as signed, or not to be read; 2 a mistake in what was\n"
        "asked.\n\n"
        "examples:\n"
        "  tidegate recording verify night.tgrec\n"
        "  tidegate recording verify night.tgrec --key operator.pub",
    )
    _add_file(verify)
    verify.add_argument("--key", type=Path, metavar="PUB", help="file with the public key (PEM)")
    verify.add_argument("--head", type=_hexadecimal, metavar="HEX", help="the chain's last value")
    _add_json(verify)


def _add_trim(actions: object, add: Add) -> None:
    trim = add(
        actions,
        "trim",
        commands.trim,
        "cut a stretch out of a recording, into a new one",
        "Frames, events, actions and marks from --from to --to, written anew. The new file has an id of its\n"
        "own, says what it was cut from, and is not signed: it cannot stand for the original.\n\n"
        f"{_TIMES}\n\n{_STATUSES}\n\n"
        "example:\n"
        "  tidegate recording trim day.tgrec --from 14:00 --to 14:45 --out incident.tgrec",
    )
    _add_file(trim)
    _add_span(trim)
    _add_out(trim, required=True)


def _add_merge(actions: object, add: Add) -> None:
    merge = add(
        actions,
        "merge",
        commands.merge,
        "join two operators' recordings of one incident on one timeline",
        "Events, actions and marks of both, in order, each action with its operator; what both recorded of\n"
        "one thing stands once. Numbers are of one recording at any time: of the one that covers more, and\n"
        "of the other where the first has a gap. How far the two clocks were apart is found from actions\n"
        f"that both saw, and told.\n\n{_STATUSES}\n\n"
        "example:\n"
        "  tidegate recording merge ann.tgrec ben.tgrec --out incident.tgrec",
    )
    merge.add_argument("file", type=Path, metavar="A", help="a .tgrec file, or a folder of segments")
    merge.add_argument("other", type=Path, metavar="B", help="the other one")
    _add_out(merge, required=True)


def _add_export(actions: object, add: Add) -> None:
    export = add(
        actions,
        "export",
        commands.export,
        "write a recording as CSV, JSON lines, OpenMetrics or SQLite",
        "A row or line stands for each reading that differs from the one before it of its series. A value\n"
        "that is not there is empty or null, never 0; qualities and reasons stand beside it. Of an event or\n"
        "action `at` is its own time, `recorded_at` that of its record.\n\n"
        "  csv          readings in long form\n"
        "  jsonl        readings, events, actions and marks in order of time, an object a line\n"
        "  openmetrics  gauges tidegate_signal_<id> with model, tier, feature; bounds of quantiles as _lo\n"
        "               and _hi; NaN once where a number ends\n"
        "  sqlite       tables readings, events, actions, marks and facts\n\n"
        f"{_TIMES}\n\n{_STATUSES}\n\n"
        "examples:\n"
        "  tidegate recording export day.tgrec --out day.db --format sqlite\n"
        "  tidegate recording export day.tgrec --format csv --signal queue_wait_p99 > waits.csv\n"
        "  tidegate recording export day.tgrec --format openmetrics --out day.om\n"
        "  promtool tsdb create-blocks-from openmetrics day.om blocks/",
    )
    _add_file(export)
    export.add_argument("--format", choices=FORMATS, required=True, help="csv, jsonl, openmetrics or sqlite")
    export.add_argument("--signal", action="append", metavar="ID", help="this signal alone; again for more")
    export.add_argument("--model", action="append", metavar="NAME", help="this model alone; again for more")
    _add_span(export)
    _add_out(export, required=False)


def _add_file(parser: argparse.ArgumentParser, what: str = "a .tgrec file, or a folder of segments") -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help=what)


def _add_span(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="start", metavar="TIME", help="from then on (its start)")
    parser.add_argument("--to", dest="end", metavar="TIME", help="up to then (its end)")


def _add_out(parser: argparse.ArgumentParser, *, required: bool) -> None:
    where = "" if required else " (standard output)"
    parser.add_argument("--out", type=Path, required=required, metavar="FILE", help=f"where to{where}")
    parser.add_argument("--yes", action="store_true", help="write over a file that is there")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for scripts")


def _hexadecimal(text: str) -> str:
    found = text.strip().lower()
    if len(found) != 64 or not all(c in "0123456789abcdef" for c in found):
        raise argparse.ArgumentTypeError(f"{text[:80]!r}: the head of a chain has 64 hexadecimal digits")
    return found
