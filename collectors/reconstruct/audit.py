"""What the plane's log tells of releases and throttles as they stood, as far as it does. Pure.

An entry tells a resource before and after a change, so the first one tells of the time before it too. A step
of a ramp, a gate and a stage that ended by itself without an entry are not in the log.
"""

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from collectors.control import decode, told, wire
from collectors.fleet import Event, Exposure, LastChange, Release, Throttle
from collectors.text import clean

READ_ONLY = "reconstructed from the plane's log: its stages are not in it"
MOST_BYTES = 256 * 2**20


class LogError(ValueError):
    """A log that cannot be read: which line, and what is wrong with it."""


class _Change(NamedTuple):
    at: float
    before: Mapping[str, Any] | None
    after: Mapping[str, Any]
    change: LastChange


class _History:
    """One resource's changes; after each of them, its members as far as they were told until then."""

    def __init__(self, changes: Sequence[_Change]) -> None:
        self._changes = sorted(changes, key=lambda one: one.at)
        self._times = [one.at for one in self._changes]
        self._after: list[Mapping[str, Any]] = []
        facts: dict[str, Any] = {}
        for one in self._changes:
            facts = {**facts, **(one.before or {}), **one.after}
            self._after.append(facts)

    def known(self, at: float) -> "_Known | None":
        """How it stood; None before it was made."""
        past = bisect_right(self._times, at)
        if past:
            return _Known(self._after[past - 1], self._changes[past - 1].change, at)
        before = self._changes[0].before
        return None if before is None else _Known(before, None, at)


class Log:
    """The log's entries that were applied, by resource, and all of them as events."""

    def __init__(self, entries: Sequence[wire.Audit]) -> None:
        """raises: LogError for an entry whose time cannot be read"""
        changes: dict[str, list[_Change]] = defaultdict(list)
        events = []
        for entry in entries:
            try:
                events.append(told.logged(entry))
                at = wire.read_time(entry.at)
            except ValueError as error:
                raise LogError(f"entry {clean(entry.id, 60)!r}: {error}") from error
            if entry.result == "applied" and entry.after is not None:
                by = LastChange(
                    clean(entry.id), clean(entry.op), clean(entry.actor), clean(entry.reason, 500), at
                )
                changes[entry.resource].append(_Change(at, entry.before, entry.after, by))
        self._events = sorted(events, key=lambda event: event.at)
        self._times = [event.at for event in self._events]
        self._histories = {name: _History(changes[name]) for name in sorted(changes)}

    def events(self, after: float, upto: float) -> tuple[Event, ...]:
        """What happened since `after`, up to and with `upto`."""
        return tuple(self._events[bisect_right(self._times, after) : bisect_right(self._times, upto)])

    def throttles(self, at: float) -> tuple[Throttle, ...]:
        """Cells as they stood, in order of feature and tier."""
        return tuple(self._each("/v1/throttles/", at, _throttle))

    def releases(self, at: float) -> tuple[Release, ...]:
        """Releases as they stood, in order of id. What was not made yet is not there."""
        return tuple(self._each("/v1/releases/", at, _release))

    def _each(self, prefix: str, at: float, make: "Callable[[Sequence[str], _Known], Any]") -> Iterator[Any]:
        for name, history in self._histories.items():
            if name.startswith(prefix) and (known := history.known(at)) is not None:
                yield make(tuple(clean(part) for part in name.removeprefix(prefix).split("/")), known)


class _Known(NamedTuple):
    """The members of a resource at a time, and who changed it last."""

    facts: Mapping[str, Any]
    change: LastChange | None
    at: float


def _throttle(name: Sequence[str], known: _Known) -> Throttle:
    """After its time a cell goes back to what the log says it goes back to, else it is open."""
    level, expires = _number(known.facts.get("level")), _time(known.facts.get("expires_at"))
    if expires is not None and expires <= known.at:
        back = known.facts.get("revert_to")
        level = _number(back.get("level")) if isinstance(back, dict) else 1.0
        expires = _time(back.get("expires_at")) if isinstance(back, dict) else None
    feature, tier = (*name, "", "")[:2]
    ramp = _number(known.facts.get("ramp_per_min"))
    return _kept_throttle(
        feature, tier, level, expires, ramp, _number(known.facts.get("limit")), known.change
    )


@lru_cache(maxsize=4096)
def _kept_throttle(
    feature: str,
    tier: str,
    level: float | None,
    expires: float | None,
    ramp: float | None,
    limit: float | None,
    change: LastChange | None,
) -> Throttle:
    """The same object for the same facts, so that what did not change costs a frame nothing."""
    return Throttle(
        feature, tier, 0, "", level, limit=limit, expires_at=expires, ramp_per_min=ramp, last_change=change
    )


def _release(name: Sequence[str], known: _Known) -> Release:
    desired = known.facts.get("desired")
    shares = [
        (clean(tier), share)
        for tier, each in (list(desired.items())[:64] if isinstance(desired, dict) else ())
        if (share := _number(each)) is not None
    ]
    stage = _text(known.facts.get("stage"))
    return _kept_release(
        name[0],
        _text(known.facts.get("candidate")) or "",
        _text(known.facts.get("stable")),
        _text(known.facts.get("phase")) or "unknown",
        _text(known.facts.get("pause_reason")),
        f"stands at stage {stage}" if stage else "",
        tuple(shares),
        known.change,
    )


@lru_cache(maxsize=4096)
def _kept_release(
    name: str,
    candidate: str,
    stable: str | None,
    phase: str,
    pause_reason: str | None,
    message: str,
    shares: tuple[tuple[str, float], ...],
    change: LastChange | None,
) -> Release:
    return Release(
        id=name,
        title=name,
        subject_kind="model",
        subject=name,
        seq=0,
        etag="",
        stable=stable,
        candidate=candidate,
        stages=(),
        phase=phase if phase in decode.PHASES else "unknown",
        stage_index=None,
        exposure=tuple(Exposure(tier, share) for tier, share in shares),
        pause_reason=pause_reason,
        message=message,
        last_change=change,
        read_only=READ_ONLY,
    )


def _number(fact: object) -> float | None:
    return (
        float(fact)
        if isinstance(fact, int | float) and not isinstance(fact, bool) and abs(fact) < 1e15
        else None
    )


def _text(fact: object) -> str | None:
    return clean(fact) if isinstance(fact, str) and fact else None


def _time(fact: object) -> float | None:
    if not isinstance(fact, str):
        return None
    try:
        return wire.read_time(fact)
    except ValueError:
        return None


def read_log(text: str) -> Log:
    """A log as `tidegate audit --json` prints it, or one entry a line. raises: LogError"""
    try:
        whole = json.loads(text) if text.lstrip()[:1] == "[" else None
    except (ValueError, RecursionError) as error:
        raise LogError(f"is no JSON: {error}") from error
    if isinstance(whole, list):
        return Log([_entry(json.dumps(one), f"entry {number}") for number, one in enumerate(whole, 1)])
    lines = enumerate(text.splitlines(), 1)
    return Log([_entry(line.strip().rstrip(","), f"line {number}") for number, line in lines if line.strip()])


def _entry(text: str, where: str) -> wire.Audit:
    try:
        return wire.read(text.encode(), wire.Audit)
    except (ValueError, RecursionError) as error:
        raise LogError(f"{where}: {clean(str(error), 200)}") from error
