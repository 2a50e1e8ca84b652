"""Labels made from others, as PromQL's `label_replace` makes them. Pure."""

import re
from collections.abc import Callable

from collectors.regex import Match, compiled
from collectors.signals.catalogue import Derive

_REFERENCE = re.compile(r"\$(?:\$|\{(\w+)\}|(\w+))", re.ASCII)


def derived(derive: Derive) -> Callable[[dict[str, str]], None]:
    """What changes labels as PromQL's label_replace does; an empty result removes the label.

    raises: ValueError, with a sentence, for a regular expression that does not compile
    """
    matches = compiled(derive.regex).fullmatch

    def change(labels: dict[str, str]) -> None:
        found = matches(labels.get(derive.source, ""))
        if found is None:
            return
        made = _REFERENCE.sub(lambda reference: _expanded(reference, found), derive.replacement)
        if made:
            labels[derive.target] = made
        else:
            labels.pop(derive.target, None)

    return change


def _expanded(reference: re.Match[str], found: Match) -> str:
    """What `$1`, `${1}`, `$name` or `$$` stand for, as in Go's Regexp.Expand: no such group, no text."""
    name = reference[1] or reference[2]
    if name is None:
        return "$"
    try:
        return found[int(name) if name.isdigit() else name] or ""
    except IndexError:
        return ""
