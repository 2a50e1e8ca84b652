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
    from collectors.recording.times import span, stamp

    facts = found.facts
    lines = [(found.file, "")]
    if found.start is not None and found.end is not None:
        lines.append(("when", f"{stamp(found.start)} to {stamp(found.end)}, {span(found.end - found.start)}"))
    what = ", ".join(str(facts[name]) for name in ("context", "host") if facts.get(name))
    lines.append(("what", what or "not told"))
    if facts.get("simulated"):
        lines.append(("", "SIMULATED"))
    lines.append(("recording", f"{facts.get('recording', '?')}, segment {facts.get('segment', '?')}"))
    lines += [("made", text) for text in origins(facts)]
    lines.append(("frames", f"{found.frames:,}"))
    lines.append(("told", f"{found.events:,} events, {found.actions:,} actions, {found.marks:,} marks"))
    gaps = f"{found.gaps:,}" + (f", and frames were dropped {found.dropped} times" if found.dropped else "")
    lines.append(("gaps", gaps))
    per_value = found.bytes_per_value
    cost = f", {per_value:.2f} bytes a value" if per_value is not None else ""
    lines.append(("size", f"{_bytes(found.size_bytes)}{cost}"))
    lines.append(("schemas", ", ".join(f"{size:,} numbers" for size in found.schemas) or "none"))
    closed = "closed" if found.is_closed else "not closed: still being written, or cut off"
    signed = "signed (`tidegate recording verify --key PUB` checks it)" if found.is_signed else "not signed"
    lines.append(("state", f"{closed}, {signed}"))
    lines.append(("redaction", str(facts.get("redaction", "not told"))))
    lines += [("note", one) for one in found.notices]
    return "\n".join(f"{name:10} {text}".rstrip() if text else name for name, text in lines)


def verify(args: argparse.Namespace) -> int:
    """Whether a recording is whole and as signed. Returns 0; 1 if not, or if it cannot be read."""
    from collectors.recording.layout import RecordingError
    from collectors.recording.verify import verify as check

    try:
        report = check(args.file, args.key, args.head or "")
    except RecordingError as error:
        return fail(error, 1)
    say(as_json(_plain(report)) if args.json else "\n".join(report.lines))
    return 0 if report.is_sound else 1


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
    from collectors.fleet import SIGNALS, clean
    from collectors.recording.export import Export, NoSuchModel
    from collectors.recording.export import export as write
    from collectors.recording.exports.readings import Choice
    from collectors.recording.layout import RecordingError

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
    from collectors.recording.times import TimeError, parse_time

    found = []
    start, end = recording.start, recording.end
    for text, default in ((args.start, start), (args.end, end)):
        try:
            asked = parse_time(text, end, start, end) if text is not None else None
        except TimeError as error:
            fail(error)
            return None
        if asked is not None and asked.told:
            fail(asked.told)
        found.append(default if asked is None else asked.at)
    if found[1] < found[0]:
        fail("--to is before --from")
        return None
    return found[0], found[1]


def _made(out: Path, make: "Callable[[Progress], Sequence[str]]") -> int:
    from collectors.fleet import clean
    from collectors.recording.layout import RecordingError

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


def _bytes(size: int) -> str:
    for unit, least in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= least:
            return f"{size / least:.1f} {unit}"
    return f"{size} bytes"
