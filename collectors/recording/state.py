"""What of a frame is no number, as it changes: parts of items of JSON, each under its key, in an order.

A reader holds part -> key -> value, and for some parts the order of their keys. A body changes both:
{"set": {part: {key: value, or null where it is gone}}, "order": {part: [keys]}}. Items stand in the order of
the part's list, then, for keys that it does not name, in the order in which they came. Source: docs/tgrec.md.
"""

from collections.abc import Mapping
from typing import Any

ORDER = "order"
"""The key under which a reader's state holds the orders."""

PARTS_MOST, ITEMS_MOST = 64, 10_000
"""Most parts, and items of one part, that a reader keeps."""

Items = Mapping[str, Any]
"""Key -> value, in order."""


class Parts:
    """What a reader holds that saw everything so far, and what it has not been told yet."""

    def __init__(self) -> None:
        self._held: dict[str, Any] = {ORDER: {}}
        self._set: dict[str, dict[str, Any]] = {}
        self._order: dict[str, list[str]] = {}

    def take(self, part: str, items: Items, *, in_any_order: bool = False) -> None:
        """The part is now `items`, in this order unless any will do. No value may be None."""
        held = self._held.get(part, {})
        changed: dict[str, Any] = {key: None for key in held if key not in items}
        for key, value in items.items():
            was = held.get(key)
            if was is not value and was != value:
                changed[key] = value
        body: dict[str, Any] = {"set": {part: changed}} if changed else {}
        applied(self._held, body)
        if not in_any_order and (order := list(items)) != in_order(self._held, part):
            self._order[part] = order
            applied(self._held, {ORDER: {part: order}})
        if changed:
            self._set.setdefault(part, {}).update(changed)

    def changes(self) -> dict[str, Any]:
        """The body of all changes since the last call; empty where there are none."""
        body = {name: told for name, told in (("set", self._set), (ORDER, self._order)) if told}
        self._set, self._order = {}, {}
        return body

    def whole(self) -> dict[str, Any]:
        """The body that makes an empty state this one."""
        return {
            "set": {part: dict(items) for part, items in self._held.items() if part != ORDER},
            ORDER: {part: list(keys) for part, keys in self._held[ORDER].items()},
        }


def applied(state: dict[str, Any], body: object) -> dict[str, Any]:
    """The state after a body; `state` is changed in place and returned. What has another form is ignored."""
    if not isinstance(body, Mapping):
        return state
    changed, orders = body.get("set"), body.get(ORDER)
    if isinstance(changed, Mapping):
        for part, items in changed.items():
            if part != ORDER and isinstance(items, Mapping) and (part in state or len(state) <= PARTS_MOST):
                _apply(state.setdefault(part, {}), items)
    if isinstance(orders, Mapping):
        held = state.setdefault(ORDER, {})
        for part, keys in orders.items():
            if isinstance(keys, list | tuple) and (part in held or len(held) < PARTS_MOST):
                held[part] = [key for key in keys[:ITEMS_MOST] if isinstance(key, str)]
    return state


def _apply(held: dict[str, Any], items: Mapping[str, Any]) -> None:
    for key, value in items.items():
        if value is None:
            held.pop(key, None)
        elif key in held or len(held) < ITEMS_MOST:
            held[key] = value


def in_order(state: Mapping[str, Any], part: str) -> list[str]:
    """Keys of a part, in its order."""
    held = state.get(part)
    if not isinstance(held, Mapping):
        return []
    orders = state.get(ORDER)
    listed = orders.get(part) if isinstance(orders, Mapping) else None
    if not isinstance(listed, list | tuple):
        return list(held)
    first = dict.fromkeys(key for key in listed if isinstance(key, str) and key in held)
    return [*first, *(key for key in held if key not in first)]
