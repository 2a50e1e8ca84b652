"""The options of the commands that make recordings and look into them."""

import argparse
from pathlib import Path

from tui import recording_commands as commands
from tui.parser import Command, Parser, add_append, add_sources, number
from tui.runbook import amounts

_TIMES = (
    "TIME: 14:03, 14:03:11+02:00, 2026-11-21T14:03Z, seconds since 1970; of the recording's days, in UTC\n"
    "where no offset stands."
)
_STATUSES = (
    "Exit status: 0; 1 when it cannot be read or written; 2 for a mistake in what was asked, such as the\n"
    "name of a file that is there."
)


def record(parser: Parser) -> None:
    """Of `record`."""
    from tui.recording_service import record as run

    parser.runs(
        run,
        "Watches what `tidegate watch` would, and writes it to a file, or to the ring of files that live\n"
        "sessions are kept in. Says a line a minute: time, frames, size, sources, trouble if there is any.\n"
        "SIGTERM and SIGINT end it cleanly; it never writes to a control plane. A FILE that was not closed,\n"
        "for its recorder was killed, is gone on with; one that was closed, with --append alone.\n\n"
        "Exit status: 0 when it ended as asked; 1 when something was not recorded, a source never answered\n"
        "or cannot be followed any more; 2 for a mistake in options or settings.\n\n"
        "examples:\n"
        "  tidegate record --context prod                        until it is told to stop, into the ring\n"
        "  tidegate record --prometheus http://localhost:9090 --for 8h --out night.tgrec\n"
        "  tidegate replay night.tgrec                           see it as it was\n\n"
        "As a service: docs/tidegate-record.service.",
    )
    parser.add_argument(
        "--for", dest="seconds", type=amounts.span, metavar="T", help="how long: 90s, 30m, 8h"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="one file (the ring of the configuration)")
    add_append(parser, "--out")
    add_sources(parser)


def recording(parser: Parser) -> None:
    """Of `recording` and its commands."""
    parser.add_commands(
        (
            Command("info", "say what is in a recording", _info),
            Command("verify", "check every checksum, the chain of hashes and the signature", _verify),
            Command("trim", "cut a stretch out of a recording, into a new one", _trim),
            Command("merge", "join two operators' recordings of one incident on one timeline", _merge),
            Command("export", "write a recording as CSV, JSON lines, OpenMetrics or SQLite", _export),
        )
    )


def _info(parser: Parser) -> None:
    parser.runs(
        commands.info,
        "What was watched, when and how long; frames, events, actions, marks and gaps; size, and bytes a\n"
        f"value; whether it was closed and signed. Of a folder: of each recording in it.\n\n{_STATUSES}\n\n"
        "examples:\n"
        "  tidegate recording info night.tgrec\n"
        "  tidegate recording info ~/.local/state/tidegate/recordings\n"
        "  tidegate recording info night.tgrec --json | jq .bytes_per_value",
    )
    _add_file(parser, "a .tgrec file, or a folder of them")
    _add_json(parser)


def _verify(parser: Parser) -> None:
    parser.runs(
        commands.verify,
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
    _add_file(parser)
    parser.add_argument("--key", type=Path, metavar="PUB", help="file with the public key (PEM)")
    parser.add_argument("--head", type=_hexadecimal, metavar="HEX", help="the chain's last value")
    _add_json(parser)


def _trim(parser: Parser) -> None:
    parser.runs(
        commands.trim,
        "Frames, events, actions and marks from --from to --to, written anew. The new file has an id of its\n"
        "own, says what it was cut from, and is not signed: it cannot stand for the original.\n\n"
        f"{_TIMES}\n\n{_STATUSES}\n\n"
        "example:\n"
        "  tidegate recording trim day.tgrec --from 14:00 --to 14:45 --out incident.tgrec",
    )
    _add_file(parser)
    _add_span(parser)
    _add_out(parser, required=True)


def _merge(parser: Parser) -> None:
    parser.runs(
        commands.merge,
        "Events, actions and marks of both, in order, each action with its operator; what both recorded of\n"
        "one thing stands once. Numbers are of one recording at any time: of the one that covers more, and\n"
        "of the other where the first has a gap. How far the two clocks were apart is found from actions\n"
        f"that both saw, and told.\n\n{_STATUSES}\n\n"
        "example:\n"
        "  tidegate recording merge ann.tgrec ben.tgrec --out incident.tgrec",
    )
    parser.add_argument("file", type=Path, metavar="A", help="a .tgrec file, or a folder of segments")
    parser.add_argument("other", type=Path, metavar="B", help="the other one")
    _add_out(parser, required=True)


def _export(parser: Parser) -> None:
    parser.runs(
        commands.export,
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
    _add_file(parser)
    parser.add_argument(
        "--format",
        choices=("csv", "jsonl", "openmetrics", "sqlite"),
        required=True,
        help="csv, jsonl, openmetrics or sqlite",
    )
    parser.add_argument("--signal", action="append", metavar="ID", help="this signal alone; again for more")
    parser.add_argument("--model", action="append", metavar="NAME", help="this model alone; again for more")
    _add_span(parser)
    _add_out(parser, required=False)


def report(parser: Parser) -> None:
    """Of `report`."""
    from tui.reporting import report as run

    parser.runs(
        run,
        "In plain English: what happened and to whom, who did what and why, what the screen showed them,\n"
        "how fast it was seen and mended, what it cost the users of each tier, and what is still open.\n"
        "Only what is in the recording; what is not known says so.\n\n"
        "md: Markdown on standard output. html: one page with pictures, in a file beside the recording;\n"
        "it has no script, asks for nothing from elsewhere, and prints on A4.\n\n"
        f"{_TIMES}\n\n{_STATUSES}\n\n"
        "examples:\n"
        "  tidegate report night.tgrec --from 14:00 --to 15:30\n"
        "  tidegate report night.tgrec --format html --out incident.html\n"
        "  tidegate report ~/.local/state/tidegate/recordings     the newest recording of a folder",
    )
    parser.usage = "tidegate report FILE [--from TIME] [--to TIME] [--format md|html] [--out FILE] [--yes]"
    _add_file(parser, "a .tgrec file, or a folder of them")
    _add_span(parser)
    parser.add_argument("--format", choices=("md", "html"), help="md or html (by the name of --out; else md)")
    _add_out(parser, required=False, without="md: standard output")


def reconstruct(parser: Parser) -> None:
    """Of `reconstruct`."""
    from tui.reconstructing import reconstruct as run

    parser.runs(
        run,
        "Asks a Prometheus for what it kept of the time between --from and --to, by the queries of `watch`,\n"
        "and writes a recording for `replay`, `report` and `recording`. What the plane did is not in a\n"
        "Prometheus: --audit adds its log.\n\n"
        "Stopped or killed, it goes on where it was when it is run again with the same arguments, and the\n"
        "file is the same in the end. Times are UTC unless they say otherwise.\n\n"
        "Exit status: 0; 1 where the server does not answer, or some of it could not be had; 2 for a\n"
        "mistake in what was asked, such as the name of a file that is there; 130 when ctrl-c ended it.\n\n"
        "examples:\n"
        "  tidegate reconstruct --from 2026-11-21T13:00Z --to 2026-11-21T15:00Z --out incident.tgrec\n"
        '  tidegate reconstruct --from "3h ago" --to "1h ago" --out morning.tgrec --context prod\n'
        "  tidegate audit --json --limit 1000 > log.json\n"
        "  tidegate reconstruct --from 13:00 --to 15:00 --out incident.tgrec --audit log.json",
    )
    parser.add_argument("--from", dest="start", required=True, metavar="T", help="14:03, 3h ago, ISO, epoch")
    parser.add_argument("--to", dest="end", required=True, metavar="T", help="likewise; now for now")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="recording to write")
    parser.add_argument(
        "--step", type=_step, metavar="S", help="seconds from frame to frame (as often as it was scraped)"
    )
    parser.add_argument(
        "--audit", metavar="LOG", help="the plane's log: its URL, or a file of `tidegate audit --json`"
    )
    parser.add_argument("--yes", action="store_true", help="also where it is a great deal")
    add_sources(parser)


def _add_file(parser: Parser, what: str = "a .tgrec file, or a folder of segments") -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help=what)


def _add_span(parser: Parser) -> None:
    parser.add_argument("--from", dest="start", metavar="TIME", help="from then on (its start)")
    parser.add_argument("--to", dest="end", metavar="TIME", help="up to then (its end)")


def _add_out(parser: Parser, *, required: bool, without: str = "standard output") -> None:
    where = "where to" if required else f"where to ({without})"
    parser.add_argument("--out", type=Path, required=required, metavar="FILE", help=where)
    parser.add_argument("--yes", action="store_true", help="write over a file that is there")


def _add_json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="for scripts")


def _hexadecimal(text: str) -> str:
    found = text.strip().lower()
    if len(found) != 64 or not all(c in "0123456789abcdef" for c in found):
        raise argparse.ArgumentTypeError(f"{text[:80]!r}: the head of a chain has 64 hexadecimal digits")
    return found


def _step(text: str) -> float:
    return number(text, 1.0, 3600.0)
