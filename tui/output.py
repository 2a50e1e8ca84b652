"""What a command prints, with an end that is said when it cannot be printed."""

import dataclasses
import difflib
import json
import os
import sys
from collections.abc import Iterable
from typing import Any

USAGE_ERROR = 2
"""Exit status for a mistake in what was asked, in options or in files."""


class OutputError(Exception):
    """Standard output takes nothing more. str() says why; `silence` keeps the interpreter's exit quiet."""


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
    print(f"tidegate: {sentence}", file=sys.stderr)
    return status


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
