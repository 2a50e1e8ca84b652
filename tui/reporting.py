"""The command `report`: what a recording says about an incident, as Markdown or as one HTML page."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tui.output import USAGE_ERROR, fail, say

if TYPE_CHECKING:
    from collectors.recording.reader import Recording
    from collectors.recording.report.document import Document

Add = Callable[..., argparse.ArgumentParser]
"""Adds a command: group, name, what it runs, summary, more words."""

FORMATS = ("md", "html")


def add_report(group: object, add: Add) -> None:
    """Add `report`. `add` is the command line's own."""
    parser = add(
        group,
        "report",
        report,
        "tell an incident from a recording, for people who were not there",
        "In plain English: what happened and to whom, who did what and why, what the screen showed them,\n"
        "how fast it was seen and mended, what it cost the users of each tier, and what is still open.\n"
        "Only what is in the recording; what is not known says so.\n\n"
        "md: Markdown on standard output. html: one page with pictures, in a file beside the recording;\n"
        "it has no script, asks for nothing from elsewhere, and prints on A4.\n\n"
        "TIME: 14:03, 14:03:11+02:00, 2026-11-21T14:03Z, seconds since 1970; of the recording's days, in\n"
        "UTC where no offset stands.\n\n"
        "Exit status: 0; 1 when it cannot be read or written; 2 for a mistake in what was asked.\n\n"
        "examples:\n"
        "  tidegate report night.tgrec --from 14:00 --to 15:30\n"
        "  tidegate report night.tgrec --format html --out incident.html\n"
        "  tidegate report ~/.local/state/tidegate/recordings     the newest recording of a folder",
    )
    parser.usage = "tidegate report FILE [--from TIME] [--to TIME] [--format md|html] [--out FILE] [--yes]"
    parser.add_argument("file", type=Path, metavar="FILE", help="a .tgrec file, or a folder of them")
    parser.add_argument("--from", dest="start", metavar="TIME", help="from when on (its start)")
    parser.add_argument("--to", dest="end", metavar="TIME", help="until when (its end)")
    parser.add_argument("--format", choices=FORMATS, help="md or html (by the name of --out; else md)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to (md: standard output)")
    parser.add_argument("--yes", action="store_true", help="write over a file that is there")


def report(args: argparse.Namespace) -> int:
    """Tell what a recording says.

    Returns 0; 1 if it cannot be read or written; 2 for a mistake in what was asked. raises: OutputError
    """
    from collectors.recording.layout import RecordingError
    from collectors.recording.report.facts import gather
    from collectors.recording.report.telling import document
    from collectors.text import clean
    from tui.recording_commands import opened, progressing, span_of

    form = args.format or ("html" if args.out is not None and args.out.suffix in {".html", ".htm"} else "md")
    out = args.out if args.out is not None or form == "md" else _beside(args.file)
    if out is None and sys.stdout is None:
        return fail("standard output is closed: --out FILE", 1)
    with opened(args.file) as recording:
        if recording is None:
            return 1
        span = span_of(args, recording)
        if span is None:
            return USAGE_ERROR
        start, end = span
        try:
            with progressing() as progress:
                facts = gather(
                    recording,
                    clean(_named(args.file, recording)),
                    start,
                    end,
                    lambda done, of: progress("frames", done, of),
                )
            text = _written(document(facts), form)
            if out is not None:
                _write(out, text, overwrite=args.yes, sources=recording.paths)
        except RecordingError as error:
            return fail(error, 1)
    if out is None:
        say(text.rstrip("\n"))
    else:
        say(f"wrote {clean(str(out), 500)} (only you can read it)")
    return 0


def _named(file: Path, recording: "Recording") -> str:
    """The file that was read; of a folder, which of its files."""
    if not file.is_dir():
        return file.resolve().name
    names = [one.path.name for one in recording.segments]
    told = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]} ({len(names)} files)"
    return f"{told}, the newest recording in {file.resolve().name}"


def _beside(file: Path) -> Path:
    """Of a recording `night.tgrec`, `night.html`; of a folder, `report.html` in it."""
    return file / "report.html" if file.is_dir() else file.with_suffix(".html")


def _written(found: "Document", form: str) -> str:
    from collectors.recording.report.markdown import render_markdown
    from collectors.recording.report.page import render_page

    return render_page(found) if form == "html" else render_markdown(found)


def _write(out: Path, text: str, *, overwrite: bool, sources: Sequence[Path]) -> None:
    """raises: RecordingError"""
    from collectors.recording.draft import draft

    with draft(out, overwrite=overwrite, sources=sources) as path:
        path.write_text(text, encoding="utf-8")
