"""What changed from one look to the next, told as events; and what did not, kept as the same object."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from collectors.fleet import BUSY_STEP, STALE_CELL, Alert, Event, EventKind, Node

BUSY_MARGIN = 3
"""Percent past a shade's edge before a cell has the next one: jitter around an edge draws nothing (D17)."""


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
    """The new nodes, with the old object where nothing changed, so that drawing can tell at a glance.

    An accelerator keeps its shade until its busy time is past the edge by `BUSY_MARGIN`: here, where frames
    are made, so that whoever draws one needs to know none before it, and a replay looks as live did.
    """
    old = {(n.pool, n.name): n for n in before}
    return tuple(_kept(old.get((n.pool, n.name)), n) for n in after)


def _kept(was: Node | None, now: Node) -> Node:
    if was is None:
        return now
    shades, before = now.busy.translate(_SHADE), was.busy.translate(_SHADE)
    if shades == before or len(shades) != len(before):
        return now
    held = replace(now, busy=bytes(map(_held, now.busy, before)))
    return was if was == held else held


_NO_SHADE = 255
_SHADE = bytes(min(busy, 99) // BUSY_STEP if busy <= 100 else _NO_SHADE for busy in range(256))


def _held(busy: int, shade: int) -> int:
    """The busy time, or the edge of the shade before that it is not past by the margin."""
    if busy > 100 or shade == _NO_SHADE:
        return busy
    low, high = shade * BUSY_STEP, (shade + 1) * BUSY_STEP
    if low - BUSY_MARGIN <= busy < low:
        return low
    return high - 1 if high <= busy < high + BUSY_MARGIN and high < 100 else busy


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
