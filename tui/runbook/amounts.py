"""Shares, durations and times as they are typed on the command line."""

import argparse
import math
import re

UNTIL_CLEARED = "until-cleared"
SPAN_MAX_S = 604_800
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_PIECE = re.compile(r"(\d{1,6})([smhd])")


def share(text: str) -> float:
    """A share of 0 to 1, as 0.3 or 30%. raises: ArgumentTypeError with what was probably meant."""
    is_percent = text.endswith("%")
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = math.nan
    found = number / 100 if is_percent else number
    if not 0 <= found <= 1:
        hint = f"; did you mean {number:g}%?" if not is_percent and 1 < number <= 100 else ""
        raise argparse.ArgumentTypeError(f"{text!r} is no share: give 0 to 1, or 0% to 100%{hint}")
    return round(found, 4)


def level(text: str) -> float:
    """A share as `share` reads it, or the name of a level, T0 to T5. raises: ArgumentTypeError."""
    from tui.format import PRESETS

    named = next((found for found, name in PRESETS.items() if name == text.upper()), None)
    if named is not None:
        return named
    try:
        return share(text)
    except argparse.ArgumentTypeError as error:
        names = ", ".join(f"{name} {found * 100:g}%" for found, name in PRESETS.items())
        raise argparse.ArgumentTypeError(f"{error}; or a level by its name: {names}") from None


def rate(text: str) -> float:
    """A share a minute, above 0. raises: ArgumentTypeError."""
    found = share(text)
    if found == 0:
        raise argparse.ArgumentTypeError(f"{text!r}: a ramp moves by more than 0 a minute, such as 10%")
    return found


def span(text: str) -> int:
    """Seconds of a duration such as 90s, 30m, 1h30m or 2d; at least 1 s. raises: ArgumentTypeError."""
    pieces = _PIECE.findall(text)
    seconds = sum(int(count) * _UNITS[unit] for count, unit in pieces)
    if "".join(count + unit for count, unit in pieces) != text or seconds < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: give one such as 90s, 30m or 1h30m")
    return seconds


def time_to_live(text: str) -> int | None:
    """As `span`, at most seven days; None for `until-cleared`. raises: ArgumentTypeError."""
    if text == UNTIL_CLEARED:
        return None
    seconds = span(text)
    if seconds > SPAN_MAX_S:
        raise argparse.ArgumentTypeError(f"{text!r} is over 7 d, the longest there is; or {UNTIL_CLEARED}")
    return seconds


def identifier(text: str) -> str:
    """An id of the contract: 1 to 63 of a-z 0-9 . _ @ -. raises: ArgumentTypeError."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._@-]{0,62}", text):
        raise argparse.ArgumentTypeError(
            f"{text[:80]!r} is no id: 1 to 63 of a-z 0-9 . _ @ - and begins with a letter or digit"
        )
    return text


def reason(text: str) -> str:
    """Why it is done: 3 to 500 printable characters. raises: ArgumentTypeError."""
    found = text.strip()
    if not 3 <= len(found) <= 500 or not found.isprintable():
        raise argparse.ArgumentTypeError("a reason has 3 to 500 printable characters: it is kept in the log")
    return found
