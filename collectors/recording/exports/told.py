"""Events, actions and marks of a recording as flat rows of text."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

EVENT_FIELDS = ("kind", "actor", "subject", "text")
ACTION_FIELDS = (
    "step", "operation", "target", "tier", "operator", "reason", "ticket", "result", "text", "code",
    "decision_id", "key", "audit_id",
)  # fmt: skip
"""step: "intent", before its request left, or "result"; result: as `OutcomeKind`, "" of an intent."""

MARK_FIELDS = ("actor", "note")

What: TypeAlias = Literal["event", "action", "mark"]
FIELDS: Mapping[What, tuple[str, ...]] = {
    "event": EVENT_FIELDS,
    "action": ACTION_FIELDS,
    "mark": MARK_FIELDS,
}


class Told(NamedTuple):
    """Something that happened. fields: one text for each of FIELDS[what]."""

    at: float
    what: What
    fields: tuple[str, ...]
