"""Regular expressions of the operator's and of presets, by the engine that Prometheus uses as well.

RE2 takes time in proportion to the text, whatever the expression: `(a+)+$` on a long label would hold
Python's own for hours. It knows neither look-around nor references to groups, and nor does Prometheus.
"""

from functools import lru_cache
from typing import Any, Protocol

import re2

from collectors.text import clean


class Match(Protocol):
    """What an expression found."""

    def groups(self) -> tuple[str | None, ...]:
        """The groups' texts, None for one that took no part."""
        ...

    def __getitem__(self, group: int | str) -> str | None:
        """A group's text, by number or name. raises: IndexError where there is none"""
        ...


class Pattern(Protocol):
    """A compiled expression."""

    def fullmatch(self, text: str) -> Match | None:
        """The match of the whole text."""
        ...


@lru_cache(maxsize=1024)
def compiled(text: str) -> Pattern:
    """The expression. raises: ValueError, with a sentence"""
    options = re2.Options()
    # It would write to standard error, which is the screen.
    options.log_errors = False
    try:
        pattern: Pattern = re2.compile(text, options=options)
    except re2.error as error:
        raise ValueError(f"{clean(text, 60)!r} is no regular expression: {_words(error)}") from error
    return pattern


def _words(error: Any) -> str:
    said = error.args[0] if error.args else ""
    return clean(said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said), 100)
