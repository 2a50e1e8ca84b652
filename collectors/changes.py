"""What changed from one look to the next, told as events; and what did not, kept as the same object."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from collectors.fleet import STALE_CELL, Alert, Event, EventKind, Node


def changed_alerts(before: Sequence[Alert], after: Sequence[Alert], at: float) -> Iterator[Event]:
    """Alerts that began, rose or fell, and ended: each is an event, so that none vanishes silently (D13)."""
    old, new = {a.id: a for a in before}, {a.id: a for a in after}
    for key, alert in new.items():
        was = old.get(key)
        if was is None or was.severity is not alert.severity:
            yield Event(
                at, EventKind.ALERT, alert.severity.value, _subject(alert), alert.event or alert.summary
            )
    for key, alert in old.items():
        if key not in new:
            forgotten = alert.source != "tidegate" and alert.summary.startswith("last known: ")
            said = "forgotten" if forgotten else "cleared"
            yield Event(at, EventKind.ALERT, said, _subject(alert), f"after {round(at - alert.since)} s")


def _subject(alert: Alert) -> str:
    """What an alert is about; a rule's own, which names no model, is called by who tells it."""
    about = f"{alert.model} {alert.tier}".strip()
    return about or (alert.id if alert.source == "tidegate" else alert.source)


def kept_nodes(before: Sequence[Node], after: Sequence[Node]) -> tuple[Node, ...]:
    """The new nodes, with the old object where nothing changed, so that drawing can tell at a glance."""
    old = {(n.pool, n.name): n for n in before}
    return tuple(was if (was := old.get((n.pool, n.name))) == n else n for n in after)


def stale_nodes(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """The nodes with every cell stale: where they are is still true, how busy they are nobody knows."""
    return tuple(replace(node, busy=bytes([STALE_CELL]) * len(node.busy)) for node in nodes)


def new_faults(before: Sequence[Node], after: Sequence[Node], at: float, limit: int = 5) -> list[Event]:
    """One event for each host with a fault that was not there before; none at the first look."""
    if not before:
        return []
    old = {(n.pool, n.name): n.marks for n in before}
    found = [
        Event(at, EventKind.FAULT, "gpu", node.name, f"fault on accelerator {', '.join(new[:8])}")
        for node in after
        if (new := _fresh_marks(old.get((node.pool, node.name), ""), node.marks))
    ]
    return found[:limit]


def _fresh_marks(before: str, after: str) -> list[str]:
    was = before.ljust(len(after))
    return [str(i) for i, (a, b) in enumerate(zip(was, after, strict=False)) if b == "X" and a != "X"]
