"""What the commands that look into recordings do: info, verify, trim, merge, export.

Imported to make the command line: whatever is of weight is imported by the command that needs it.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.output import Mistake, OutputError, as_json, fail, in_sentences, no_such, say, warn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.recording.info import Info
    from collectors.recording.reader import Recording
    from collectors.recording.rewriting import Progress
    from collectors.recording.verify import Report

QUIET_S, PROGRESS_S = 1.0, 0.2
"""Nothing is said about progress before, and not more often."""


@in_sentences
def info(args: argparse.Namespace) -> int:
    """What is in a recording, or in each file of a folder. Returns 0; 1 if one cannot be read."""
    from collectors.recording.info import as_dict, files_of
    from collectors.recording.info import info as read
    from collectors.recording.layout import RecordingError

    found: list[Info] = []
    status = 0
    files = files_of(args.file)
    for file in files:
        try:
            found.append(read(file))
        except RecordingError as error:
            status = fail(error, 1)
    if args.json:
        every = [as_dict(each) for each in found]
        say(as_json(every[0] if found and files == (args.file,) else every))
    else:
        for place, each in enumerate(found):
            say(("\n" if place else "") + _told(each))
    return status


def _told(found: "Info") -> str:
    from collectors.recording.rewriting import origins
    from collectors.recording.times import counted, size, span, stamp

    facts = found.facts
    lines = [(found.file, "")]
    if found.start is not None and found.end is not None:
        lines.append(("when", f"{stamp(found.start)} to {stamp(found.end)}, {span(found.end - found.start)}"))
    what = ", ".join(str(facts[name]) for name in ("context", "host") if facts.get(name))
    lines.append(("what", what or "not told"))
    if found.is_simulated:
        lines.append(("", "SIMULATED"))
    lines.append(("recording", f"{facts.get('recording', '?')}, segment {facts.get('segment', '?')}"))
    lines += [("made", text) for text in origins(facts)]
    lines.append(("frames", f"{found.frames:,}"))
    happened = ((found.events, "event"), (found.actions, "action"), (found.marks, "mark"))
    events, *others = (counted(count, word) for count, word in happened)
    lines.append(("told", ", ".join((f"{events} of the fleet", *others))))
    gaps = f"{found.gaps:,}"
    gaps += f", the longest {span(found.longest_gap_s)}" if found.gaps else ""
    gaps += f", and frames were dropped {counted(found.dropped, 'time')}" if found.dropped else ""
    lines.append(("gaps", gaps))
    per_value = found.bytes_per_value
    cost = f", {per_value:.2f} bytes a value" if per_value is not None else ""
    lines.append(("size", f"{size(found.size_bytes)}{cost}"))
    lines.append(("schemas", ", ".join(counted(one, "number") for one in found.schemas) or "none"))
    closed = "closed" if found.is_closed else "not closed (it is still being written, or was cut off)"
    signed = "signed (`tidegate recording verify --key PUB` checks it)" if found.is_signed else "not signed"
    lines.append(("state", f"{closed}; {signed}"))
    lines.append(("redaction", str(facts.get("redaction", "not told"))))
    lines += [("note", one) for one in found.notices]
    return "\n".join(f"{name:10} {text}".rstrip() if text else name for name, text in lines)


@in_sentences
def verify(args: argparse.Namespace) -> int:
    """Whether a recording, or each one in a folder, is whole and as signed.

    Returns 0; 1 if one is not, or cannot be read.
    """
    from collectors.recording.verify import verify as check
    from collectors.recording.verify import verify_all

    head = args.head or ""
    is_folder = args.file.is_dir()
    # A head is of one recording: of a folder's, the newest.
    with progressing() as progress:
        if is_folder and not head:
            checked, unread = verify_all(args.file, args.key, progress=progress)
        else:
            checked, unread = (check(args.file, args.key, head, progress=progress),), ()
    for sentence in unread:
        warn(sentence)
    if args.json:
        every = [_plain(report) for report in checked]
        say(as_json(every if is_folder else every[0]))
    else:
        say("\n\n".join("\n".join(report.lines) for report in checked))
        if head and is_folder:
            say("--head is of one recording: only the folder's newest was checked")
        elif len(checked) > 1:
            sound = sum(report.is_sound for report in checked)
            say(f"\n{len(checked)} recordings were checked: {sound} sound")
    return 0 if not unread and all(report.is_sound for report in checked) else 1


@in_sentences
def trim(args: argparse.Namespace) -> int:
    """Cut a stretch out of a recording, into a new one."""
    from collectors.recording.trim import trim as cut

    with opened(args.file) as recording, progressing() as progress:
        start, end = span_of(args, recording)
        told = cut(recording, start, end, args.out, overwrite=args.yes, progress=progress)
    return say_written(args.out, told)


@in_sentences
def merge(args: argparse.Namespace) -> int:
    """Join two recordings of one incident."""
    from collectors.recording.merge import merge as join

    with opened(args.file) as one, opened(args.other) as other, progressing() as progress:
        told = join(one, other, args.out, overwrite=args.yes, progress=progress)
    return say_written(args.out, told)


@in_sentences
def export(args: argparse.Namespace) -> int:
    """Write a recording in a form for other programs."""
    from collectors.readings import SIGNALS
    from collectors.recording.export import Export, NoSuchModel
    from collectors.recording.export import export as write
    from collectors.recording.exports.readings import STANDS, Choice

    signals, models = frozenset(args.signal or ()), frozenset(args.model or ())
    known = {**SIGNALS, **STANDS}
    if strange := sorted(signals - known.keys()):
        raise Mistake(no_such("signal", strange[0][:60], known))
    if args.format == "sqlite" and args.out is None:
        raise Mistake("--format sqlite needs a file: --out FILE")
    see_to_output(args.out)
    with opened(args.file) as recording, progressing() as progress:
        asked = Export(args.format, *span_of(args, recording), Choice(signals, models))
        try:
            told = write(recording, asked, args.out, overwrite=args.yes, progress=progress)
        except NoSuchModel as error:
            raise Mistake(no_such("model", error.model[:60], error.known)) from error
    return say_written(args.out, told) if args.out is not None else 0


@contextmanager
def opened(path: Path) -> "Iterator[Recording]":
    """The recording, and what there is to be told of it. raises: RecordingError where it cannot be read"""
    from collectors.recording.reader import Recording

    recording = Recording.open(path)
    try:
        for notice in recording.notices:
            warn(notice)
        yield recording
    finally:
        recording.close()


def span_of(args: argparse.Namespace, recording: "Recording") -> tuple[float, float]:
    """From when to when, seconds. raises: Mistake for what is no time, or not of this recording"""
    from collectors.recording.times import TimeError, parse_time, stamp
    from collectors.text import clean

    found, told, is_outside = [], list[str](), False
    start, end = recording.start, recording.end
    for text, default, opposite in ((args.start, start, end), (args.end, end, start)):
        try:
            asked = parse_time(text, end, start, end) if text is not None else None
        except TimeError as error:
            raise Mistake(error) from error
        if asked is not None and asked.told:
            told.append(asked.told)
            # What lies outside was moved to the nearer end: a stretch that begins at the end has nothing.
            is_outside = is_outside or (start < end and asked.at == opposite)
        found.append(default if asked is None else asked.at)
    if is_outside:
        shown = clean(str(args.file), 500)
        raise Mistake(f"nothing was recorded then: {shown} is from {stamp(start)} to {stamp(end)}")
    if found[1] < found[0]:
        raise Mistake("--to is before --from")
    for sentence in told:
        warn(sentence)
    return found[0], found[1]


def see_to_output(out: Path | None) -> None:
    """See that there is a file, or a standard output, to write to. raises: OutputError"""
    if out is None and sys.stdout is None:
        raise OutputError("standard output is closed: --out FILE")


def say_written(out: Path, told: Sequence[str] = ()) -> int:
    """Say what was written where. Returns the exit status. raises: OutputError"""
    from collectors.text import clean

    more = f": {'; '.join(told)}" if told else ""
    say(f"wrote {clean(str(out), 500)} (only you can read it){more}")
    return 0


@contextmanager
def progressing() -> "Iterator[Progress]":
    """What shows how far a long job is, on a terminal, in a line that is taken away at the end."""
    terminal = sys.stderr is not None and sys.stderr.isatty()
    began = shown = time.monotonic()

    def progress(what: str, done: int, most: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if terminal and now - began > QUIET_S and now - shown > PROGRESS_S:
            shown = now
            percent = 100 * done // max(most, 1)
            print(f"\r\x1b[K{percent} % of {most:,} {what} ...", end="", file=sys.stderr, flush=True)

    try:
        yield progress
    finally:
        if terminal and shown > began:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _plain(report: "Report") -> dict[str, Any]:
    """What `verify` found, as plain values."""
    return {
        "path": report.path,
        "is_sound": report.is_sound,
        "is_signed": report.is_signed,
        "head": report.head,
        "counts": dict(report.counts),
        "faults": [fault._asdict() for fault in report.faults],
    }
