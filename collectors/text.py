"""Text from outside, and the one gate it passes."""

import unicodedata

LIMIT = 128
"""Longest text from outside that is kept, in characters."""


_NEVER_DRAWN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories: control, format, surrogate, line separator, paragraph separator."""


def clean(text: str, limit: int = LIMIT) -> str:
    """Text from outside, fit to be stored and drawn: the one gate every label, name and reason passes.

    Drops C0, C1, DEL, lone surrogates, separators of lines and paragraphs, and the category "format": tags,
    controls of direction, signs without width. So an emoji that is joined of several falls apart, and text
    that nobody could see is empty. Longer text ends in `…`.
    Idempotent; the result has at most `limit` characters (>= 1) and encodes as UTF-8.
    """
    if text.isascii() and text.isprintable():
        kept = text
    else:
        head = text[: 8 * limit]
        kept = "".join(c for c in head if unicodedata.category(c) not in _NEVER_DRAWN)
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"
