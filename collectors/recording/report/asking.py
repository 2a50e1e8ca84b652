"""What an intent asks for, in words: a verb, and what it is done to. Pure."""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple, TypeAlias

from collectors.fleet import Throttle
from collectors.intents import Intent
from collectors.recording.report.words import admitted, clock, day, length, paced, portion, stamp

EXTENDED, SHORTENED, ENDED = "extend", "shorten", "end"
"""Verbs of a throttle whose level stays: it lasts longer, less long, or nobody knows which."""

NEVER = "until cleared"
UNREADABLE = "a time that cannot be read"


Cells: TypeAlias = Mapping[tuple[str, str], Throttle]
"""Throttles by feature and tier."""


class Ask(NamedTuple):
    """What an intent asks for.

    verb: as an order, "" where the words beside it say it all; more: what it is done to, and until when
    takes: whether less is admitted than was seen
    """

    verb: str
    more: str
    takes: bool = False


def ask_of(intent: Intent, at: float, cells: Callable[[], Cells]) -> Ask:
    """What it asks for: `admit 100% → admit 30%, for 30 min`, or to `extend` it `to 18:13:10 instead of ...`.

    at: when it was asked for; cells: gives the throttles that the operator saw
    """
    if intent.target.kind == "release":
        return _of_release(intent)
    seen, arguments = intent.seen, intent.arguments
    before = _setting(seen.get("level"), seen.get("limit"))
    if intent.operation == "throttle.clear":
        then = "open" if arguments.get("revert_to") == "open" else "the setting before"
        return Ask("", f"{before} → {then}")
    after = _setting(arguments.get("level"), arguments.get("limit"))
    ramp = arguments.get("ramp_per_min")
    ramping = paced(float(ramp)) if isinstance(ramp, int | float) else ""
    if before == after:
        verb, until = _end(intent, at, _seen(intent, cells()))
        return Ask(verb, f"{until}, {after} stays{ramping}")
    return Ask("", f"{before} → {after}, {_lasting(intent, at)}{ramping}", _is_less(arguments, seen))


def _setting(level: object, limit: object) -> str:
    return admitted(level) if level is not None else f"limit {limit}"


def _is_less(arguments: Mapping[str, object], seen: Mapping[str, object]) -> bool:
    """Whether less is to be admitted than was seen."""
    pairs = [(arguments.get(name), seen.get(name)) for name in ("level", "limit")]
    return any(
        isinstance(new, int | float) and isinstance(old, int | float) and new < old for new, old in pairs
    )


def _seen(intent: Intent, cells: Cells) -> Throttle | None:
    """The cell as it was seen; None where the recording shows another state of it."""
    cell = cells.get((intent.target.id, intent.target.tier))
    return cell if cell is not None and cell.etag and cell.etag == intent.etag else None


def _lasting(intent: Intent, at: float) -> str:
    """Until when a new level is to hold: `for 30 min`, `until 18:13:10`, `until cleared`."""
    ttl, until = intent.arguments.get("ttl_s"), intent.arguments.get("expires_at")
    if until is not None:
        return f"until {_moment(_time(until), at)}"
    return f"for {length(ttl)}" if isinstance(ttl, int | float) else NEVER


def _end(intent: Intent, at: float, seen: Throttle | None) -> tuple[str, str]:
    """The verb for another end, and the end, with the one that it had where that is known."""
    ttl, until = intent.arguments.get("ttl_s"), intent.arguments.get("expires_at")
    new: float | None = math.inf
    told, alone = NEVER, "when it is cleared"
    if until is not None:
        new = _time(until)
        told, alone = f"to {_moment(new, at)}", f"at {_moment(new, at)}"
    elif isinstance(ttl, int | float):
        new = at + ttl
        told, alone = f"to {length(ttl)} from then", f"after {length(ttl)}"
    if seen is None or new is None:
        return ENDED, alone
    old = math.inf if seen.expires_at is None else seen.expires_at
    if old == new:
        return ENDED, alone
    instead = NEVER if seen.expires_at is None else _moment(old, at)
    return EXTENDED if new > old else SHORTENED, f"{told} instead of {instead}"


def _time(text: object) -> float | None:
    """Seconds of an RFC 3339 time; None for what is none."""
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
        return None if found is None else (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _moment(time: float | None, at: float) -> str:
    """A time of day, with its date where that is not the day of `at`."""
    if time is None:
        return UNREADABLE
    return clock(time) if day(time) == day(at) else stamp(time)


def _of_release(intent: Intent) -> Ask:
    arguments, stage = intent.arguments, intent.seen.get("stage")
    weight = arguments.get("weight")
    share = portion(weight) if isinstance(weight, int | float) else weight
    to = arguments.get("to") or arguments.get("to_revision") or share
    parts = [f"to {to}"] if to is not None else []
    if isinstance(stage, str) and stage:
        parts.append(f"at stage {stage}")
    more = [" ".join(parts), "overriding the gate" if arguments.get("override_gate") else ""]
    return Ask(intent.operation.partition(".")[2].replace("_", " "), ", ".join(filter(None, more)))
