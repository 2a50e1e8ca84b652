"""What a command prints, with an end that is said when it cannot be printed or done."""

import argparse
import dataclasses
import difflib
import json
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import wraps
from typing import Any

USAGE_ERROR = 2
"""Exit status for a mistake in what was asked, in options or in files."""


class OutputError(Exception):
    """Standard output takes nothing more. str() says why; `silence` keeps the interpreter's exit quiet."""


class Mistake(Exception):
    """What was asked for cannot be. str() is the sentence."""


def in_sentences(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """A command on recordings that says what went wrong: with exit status 2 for a mistake in what was asked,
    with 1 where a file cannot be read or written."""

    @wraps(run)
    def command(args: argparse.Namespace) -> int:
        from collectors.recording.layout import RecordingError, TakenError
        from collectors.text import clean

        try:
            return run(args)
        except (Mistake, TakenError) as error:
            return fail(error)
        except RecordingError as error:
            return fail(error, 1)
        except BrokenPipeError:
            raise
        except OSError as error:
            why = error.strerror or error
            if error.filename is None:
                # Standard output, unless a disk fails: in either case nothing more should go there.
                raise OutputError(f"reading or writing failed: {why}") from error
            return fail(f"{clean(str(error.filename), 500)} cannot be read or written: {why}", 1)

    return command


def say(text: str) -> None:
    """Print `text` and a line break, at once. raises: OutputError, BrokenPipeError."""
    if sys.stdout is None:
        raise OutputError("standard output is closed: nothing was printed")
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output cannot be written: {error.strerror or error}") from error


def fail(sentence: object, status: int = USAGE_ERROR) -> int:
    """Say on standard error why a command ends, and return its exit status."""
    warn(sentence)
    return status


def warn(sentence: object) -> None:
    """Say it on standard error, if that can be written to: what is asked for goes on."""
    if sys.stderr is not None:
        with suppress(OSError):
            print(f"tidegate: {sentence}", file=sys.stderr, flush=True)


class Printing:
    """Prints while it can: what is under way must not stop half-way because nobody reads any more.

    error: why it cannot; "" while it can
    """

    def __init__(self) -> None:
        self.error = ""

    def say(self, line: str) -> None:
        """Print a line, unless that failed before."""
        if self.error:
            return
        try:
            say(line)
        except BrokenPipeError:
            self.error = "its reader went away"
        except OutputError as error:
            self.error = str(error)
        if self.error:
            silence()


def silence() -> None:
    """Send what is still buffered nowhere: writing it at exit would fail once more."""
    if sys.stdout is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def no_such(what: str, name: str, known: Iterable[str]) -> str:
    """The sentence about a name that there is not, with the nearest one and all there are."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"no {what} {name!r}; {hint}there are: {', '.join(names) or 'none'}"


def as_json(found: object) -> str:
    """Dicts, lists and plain values as readable JSON."""
    return json.dumps(found, ensure_ascii=False, indent=1, allow_nan=False)


def fields_of(thing: Any) -> dict[str, Any]:
    """A dataclass as a dict, and those in it."""
    return dataclasses.asdict(thing)
