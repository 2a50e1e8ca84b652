"""What the commands that look into recordings do: info, verify, trim, merge, export; and `record`.

Imported with the command line: whatever is of weight is imported by the command that needs it.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.output import USAGE_ERROR, as_json, fail, no_such, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.recording.info import Info
    from collectors.recording.reader import Recording
    from collectors.recording.rewriting import Progress
    from collectors.recording.verify import Report

QUIET_S, PROGRESS_S = 1.0, 0.2
"""Nothing is said about progress before, and not more often."""


def record(args: argparse.Namespace) -> int:
    """Record what a context names until told to stop."""
    from tui.recording_service import record as run

    return run(args)


def info(args: argparse.Namespace) -> int:
    """What is in a recording, or in each file of a folder. Returns 0; 1 if one cannot be read."""
    from collectors.recording.info import as_dict, files_of
    from collectors.recording.info import info as read
    from collectors.recording.layout import RecordingError

    found: list[Info] = []
    status = 0
    try:
        files = files_of(args.file)
    except RecordingError as error:
        return fail(error, 1)
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
    lines.append(("told", ", ".join(counted(count, word) for count, word in happened)))
    gaps = f"{found.gaps:,}"
    gaps += f", the longest {span(found.longest_gap_s)}" if found.gaps else ""
    gaps += f", and frames were dropped {counted(found.dropped, 'time')}" if found.dropped else ""
    lines.append(("gaps", gaps))
    per_value = found.bytes_per_value
    cost = f", {per_value:.2f} bytes a value" if per_value is not None else ""
    lines.append(("size", f"{size(found.size_bytes)}{cost}"))
    lines.append(("schemas", ", ".join(counted(one, "number") for one in found.schemas) or "none"))
    closed = "closed" if found.is_closed else "not closed: still being written, or cut off"
    signed = "signed (`tidegate recording verify --key PUB` checks it)" if found.is_signed else "not signed"
    lines.append(("state", f"{closed}, {signed}"))
    lines.append(("redaction", str(facts.get("redaction", "not told"))))
    lines += [("note", one) for one in found.notices]
    return "\n".join(f"{name:10} {text}".rstrip() if text else name for name, text in lines)


def verify(args: argparse.Namespace) -> int:
    """Whether a recording, or each one in a folder, is whole and as signed.

    Returns 0; 1 if one is not, or cannot be read.
    """
    from collectors.recording.layout import RecordingError
    from collectors.recording.verify import verify as check
    from collectors.recording.verify import verify_all

    head = args.head or ""
    is_folder = args.file.is_dir()
    try:
        # A head is of one recording: of a folder's, the newest.
        if is_folder and not head:
            checked, unread = verify_all(args.file, args.key)
        else:
            checked, unread = (check(args.file, args.key, head),), ()
    except RecordingError as error:
        return fail(error, 1)
    for sentence in unread:
        fail(sentence)
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


def trim(args: argparse.Namespace) -> int:
    """Cut a stretch out of a recording, into a new one."""
    from collectors.recording.trim import trim as cut

    with opened(args.file) as recording:
        if recording is None:
            return 1
        span = span_of(args, recording)
        if span is None:
            return USAGE_ERROR
        return _made(
            args.out, lambda progress: cut(recording, *span, args.out, overwrite=args.yes, progress=progress)
        )


def merge(args: argparse.Namespace) -> int:
    """Join two recordings of one incident."""
    from collectors.recording.merge import merge as join

    with opened(args.file) as one, opened(args.other) as other:
        if one is None or other is None:
            return 1
        return _made(
            args.out, lambda progress: join(one, other, args.out, overwrite=args.yes, progress=progress)
        )


def export(args: argparse.Namespace) -> int:
    """Write a recording in a form for other programs."""
    from collectors.readings import SIGNALS
    from collectors.recording.export import Export, NoSuchModel
    from collectors.recording.export import export as write
    from collectors.recording.exports.readings import Choice
    from collectors.recording.layout import RecordingError
    from collectors.text import clean

    signals, models = frozenset(args.signal or ()), frozenset(args.model or ())
    if strange := sorted(signals - SIGNALS.keys()):
        return fail(no_such("signal", strange[0][:60], SIGNALS))
    if args.format == "sqlite" and args.out is None:
        return fail("--format sqlite needs a file: --out FILE")
    if args.out is None and sys.stdout is None:
        return fail("standard output is closed: --out FILE", 1)
    with opened(args.file) as recording:
        if recording is None:
            return 1
        span = span_of(args, recording)
        if span is None:
            return USAGE_ERROR
        asked = Export(args.format, *span, Choice(signals, models))
        with progressing() as progress:
            try:
                told = write(recording, asked, args.out, overwrite=args.yes, progress=progress)
            except NoSuchModel as error:
                return fail(no_such("model", error.model[:60], error.known))
            except RecordingError as error:
                return fail(error, 1)
    if args.out is not None:
        say(f"wrote {clean(str(args.out), 500)} (only you can read it): {'; '.join(told)}")
    return 0


@contextmanager
def opened(path: Path) -> "Iterator[Recording | None]":
    """The recording; None, once it is said why, where it cannot be read."""
    from collectors.recording.layout import RecordingError
    from collectors.recording.reader import Recording

    try:
        recording = Recording.open(path)
    except RecordingError as error:
        fail(error)
        yield None
        return
    try:
        for notice in recording.notices:
            fail(notice)
        yield recording
    finally:
        recording.close()


def span_of(args: argparse.Namespace, recording: "Recording") -> tuple[float, float] | None:
    """From when to when, seconds; None, once it is said why, for what is no time."""
    from collectors.recording.times import TimeError, parse_time, stamp
    from collectors.text import clean

    found, told, is_outside = [], list[str](), False
    start, end = recording.start, recording.end
    for text, default, opposite in ((args.start, start, end), (args.end, end, start)):
        try:
            asked = parse_time(text, end, start, end) if text is not None else None
        except TimeError as error:
            fail(error)
            return None
        if asked is not None and asked.told:
            told.append(asked.told)
            # What lies outside was moved to the nearer end: a stretch that begins at the end has nothing.
            is_outside = is_outside or (start < end and asked.at == opposite)
        found.append(default if asked is None else asked.at)
    if is_outside:
        fail(
            f"nothing was recorded then: {clean(str(args.file), 500)} is from {stamp(start)} to {stamp(end)}"
        )
        return None
    for sentence in told:
        fail(sentence)
    if found[1] < found[0]:
        fail("--to is before --from")
        return None
    return found[0], found[1]


def _made(out: Path, make: "Callable[[Progress], Sequence[str]]") -> int:
    from collectors.recording.layout import RecordingError
    from collectors.text import clean

    with progressing() as progress:
        try:
            told = make(progress)
        except RecordingError as error:
            return fail(error, 1)
    say(f"wrote {clean(str(out), 500)} (only you can read it): {'; '.join(told)}")
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
