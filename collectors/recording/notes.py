"""What happened, what was asked for, what was looked at and marked, as bodies of records, and back.

Bodies are JSON objects under the names of the types in `fleet`, `intents` and `sessions`; a reader ignores
members it does not know. What comes back is cleaned and bounded; what is no such thing is None, never an
exception: a recording is text from outside. Source: docs/tgrec.md, "EVENT, ACTION, MARK".
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from collectors.fleet import Event, EventKind
from collectors.intents import Difference, Intent, Outcome, OutcomeKind, Target
from collectors.recording.state_json import (
    SENTENCE,
    listed,
    maybe_text,
    members,
    number,
    text,
    time,
    whole,
)
from collectors.sessions import Mark, View

_KINDS: Final = frozenset(kind.value for kind in EventKind)
_OUTCOMES: Final = frozenset(kind.value for kind in OutcomeKind)
_MEMBERS_MOST: Final = 64
_DEEPEST: Final = 8
_CELLS_MOST: Final = 100_000


def event_json(one: Event) -> dict[str, Any]:
    """{"at", "kind", "actor", "subject", "text"}"""
    return {
        "at": one.at,
        "kind": one.kind.value,
        "actor": one.actor,
        "subject": one.subject,
        "text": one.text,
    }


def event_from(found: object) -> Event | None:
    """The event; of a kind that a newer version tells, a note."""
    body = members(found)
    kind, at = body.get("kind"), time(body.get("at"))
    if not isinstance(kind, str) or at is None:
        return None
    return Event(
        at,
        EventKind(kind) if kind in _KINDS else EventKind.NOTE,
        text(body.get("actor")),
        text(body.get("subject")),
        text(body.get("text"), SENTENCE),
    )


def intent_json(one: Intent) -> dict[str, Any]:
    """{"operation", "target": {"kind", "id", "tier"}, "arguments", "seen", "etag", "reason", "key",
    "decision_id", "ticket"}; `seen` is before, `arguments` what was to be after. Whoever writes it adds
    "actor"."""
    return {
        "operation": one.operation,
        "target": one.target._asdict(),
        "arguments": plain(one.arguments),
        "seen": plain(one.seen),
        "etag": one.etag,
        "reason": one.reason,
        "key": one.key,
        "decision_id": one.decision_id,
        "ticket": one.ticket,
    }


def intent_from(found: object) -> Intent | None:
    """The intent."""
    body = members(found)
    target = _target(body.get("target"))
    operation = text(body.get("operation"))
    if target is None or not operation:
        return None
    seen = {text(name): _seen(value) for name, value in _first(body.get("seen"))}
    return Intent(
        operation,
        target,
        {text(name): plain(value) for name, value in _first(body.get("arguments"))},
        seen,
        maybe_text(body.get("etag")),
        text(body.get("reason"), SENTENCE),
        text(body.get("key")),
        text(body.get("decision_id")),
        text(body.get("ticket")),
    )


def outcome_json(one: Outcome) -> dict[str, Any]:
    """{"kind", "at", "text", "code", "audit_id", "moved": [[what, before, after], ...], "is_final",
    "was_sent", "intent"}"""
    return {
        "kind": one.kind.value,
        "at": one.at,
        "text": one.text,
        "code": one.code,
        "audit_id": one.audit_id,
        "moved": [list(each) for each in one.moved],
        "is_final": one.is_final,
        "was_sent": one.was_sent,
        "intent": intent_json(one.intent),
    }


def outcome_from(found: object) -> Outcome | None:
    """The outcome; of a kind that a newer version tells, unknown."""
    body = members(found)
    intent, kind = intent_from(body.get("intent")), body.get("kind")
    if intent is None or not isinstance(kind, str):
        return None
    return Outcome(
        intent,
        OutcomeKind(kind) if kind in _OUTCOMES else OutcomeKind.UNKNOWN,
        time(body.get("at")) or 0.0,
        text(body.get("text"), SENTENCE),
        text(body.get("code")),
        text(body.get("audit_id")),
        listed(body.get("moved"), _difference, _MEMBERS_MOST),
        body.get("is_final") is not False,
        body.get("was_sent") is not False,
    )


def view_json(one: View) -> dict[str, Any]:
    """The view's members."""
    return asdict(one)


def view_from(found: object) -> View | None:
    """The view."""
    body = members(found)
    if not isinstance(body.get("screen"), str):
        return None
    return View(
        screen=text(body["screen"]),
        subject=text(body.get("subject")),
        tier=text(body.get("tier")),
        cursor=text(body.get("cursor"), SENTENCE),
        panel=text(body.get("panel")),
        filter=text(body.get("filter"), SENTENCE),
        sort=text(body.get("sort")),
        is_reversed=body.get("is_reversed") is True,
        heat_page=_cells(body.get("heat_page")),
        dialog=text(body.get("dialog"), SENTENCE),
        is_frozen=body.get("is_frozen") is True,
        width=_cells(body.get("width")),
        height=_cells(body.get("height")),
    )


def mark_json(one: Mark) -> dict[str, Any]:
    """{"at", "actor", "note"}"""
    return one._asdict()


def mark_from(found: object) -> Mark | None:
    """The bookmark."""
    body = members(found)
    at = time(body.get("at"))
    return None if at is None else Mark(at, text(body.get("actor")), text(body.get("note"), SENTENCE))


def plain(found: object, depth: int = _DEEPEST) -> Any:
    """A value as JSON holds it, every text in it cleaned; what lies deeper than anything of ours, or behind
    the first few dozen members, is left out."""
    if isinstance(found, str):
        return text(found, SENTENCE)
    if isinstance(found, bool) or found is None:
        return found
    if isinstance(found, Mapping) and depth:
        return {text(name): plain(value, depth - 1) for name, value in _first(found)}
    if isinstance(found, list | tuple) and depth:
        return [plain(value, depth - 1) for value in found[:_MEMBERS_MOST]]
    return number(found)


def _first(found: object) -> list[tuple[object, object]]:
    return list(found.items())[:_MEMBERS_MOST] if isinstance(found, Mapping) else []


def _seen(found: object) -> str | float | None:
    return text(found, SENTENCE) if isinstance(found, str) else number(found)


def _target(found: object) -> Target | None:
    body = members(found)
    kind, name = body.get("kind"), text(body.get("id"))
    if kind not in ("release", "throttle") or not name:
        return None
    return Target("release" if kind == "release" else "throttle", name, text(body.get("tier")))


def _difference(found: object) -> Difference | None:
    if not isinstance(found, list | tuple) or len(found) < 3:
        return None
    return Difference(*(text(one, SENTENCE) for one in found[:3]))


def _cells(found: object) -> int:
    return min(max(whole(found), 0), _CELLS_MOST)
