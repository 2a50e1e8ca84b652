"""The command `report`: what a recording says about an incident, as Markdown or as one HTML page."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tui.output import in_sentences, say
from tui.recording_commands import opened, progressing, say_written, see_to_output, span_of

if TYPE_CHECKING:
    from collectors.recording.reader import Recording
    from collectors.recording.report.document import Document


@in_sentences
def report(args: argparse.Namespace) -> int:
    """Tell what a recording says.

    Returns 0; 1 if it cannot be read or written; 2 for a mistake in what was asked. raises: OutputError
    """
    from collectors.recording.report.facts import gather
    from collectors.recording.report.telling import document
    from collectors.text import clean

    form = args.format or ("html" if args.out is not None and args.out.suffix in {".html", ".htm"} else "md")
    out = args.out if args.out is not None or form == "md" else _beside(args.file)
    see_to_output(out)
    with opened(args.file) as recording, progressing() as progress:
        start, end = span_of(args, recording)
        name = clean(_named(args.file, recording))
        facts = gather(recording, name, start, end, lambda done, of: progress("frames", done, of))
        text = _written(document(facts), form)
        if out is not None:
            _write(out, text, overwrite=args.yes, sources=recording.paths)
    if out is not None:
        return say_written(out)
    say(text.rstrip("\n"))
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
