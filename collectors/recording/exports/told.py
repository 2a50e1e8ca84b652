"""Events, actions and marks of a recording as flat rows of text."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

EVENT_FIELDS = ("kind", "actor", "subject", "text")
ACTION_FIELDS = (
    "step", "operation", "target", "tier", "operator", "reason", "ticket", "result", "text", "code",
    "decision_id", "key", "audit_id", "arguments", "seen", "moved",
)  # fmt: skip
"""step: "intent", before its request left, or "result"; result: as `OutcomeKind`, "" of an intent

arguments: what was asked for (level, duration, ramp); seen: what stood before; moved: [what, before, after]
of a result; each as JSON
"""

OF_JSON = frozenset({"arguments", "seen", "moved"})
"""Fields that hold JSON."""

MARK_FIELDS = ("actor", "note")

What: TypeAlias = Literal["event", "action", "mark"]
FIELDS: Mapping[What, tuple[str, ...]] = {
    "event": EVENT_FIELDS,
    "action": ACTION_FIELDS,
    "mark": MARK_FIELDS,
}


class Told(NamedTuple):
    """Something that happened. at: its own time, as whoever told it stamped it

    recorded_at: its record's time; None of a bookmark, which can be made later

    fields: one text for each of FIELDS[what]
    """

    at: float
    recorded_at: float | None
    what: What
    fields: tuple[str, ...]
