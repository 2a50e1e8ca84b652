"""Reasons as they are typed: what was half typed in a dialog that was closed, and what was said before."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

SHORTEST, LONGEST = 3, 500
"""Characters of a reason. Source: control contract, section 5."""

OFFERED = 9
"""Reasons that a digit picks: the usual ones of an operation, then own ones."""

TIGHTENING = ("launch spike", "queue too long", "capacity is lost", "abuse", "exercise")
LOOSENING = ("spike is over", "queue is short again", "capacity is back", "planned step", "exercise")
ONWARD = ("planned step", "checks have passed", "fix is in", "capacity is back", "exercise")
RESUMING = ("cause is found", "false alarm", "fix is in", "capacity is back", "exercise")
STOPPING = ("errors rise", "waits rise", "answers got worse", "wrong candidate", "exercise")
OVERRIDING = ("gate is wrong", "known difference", "urgent fix", "exercise")

_BY_OPERATION: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "release.pause": STOPPING,
        "release.abort": STOPPING,
        "release.rollback": STOPPING,
        "release.resume": RESUMING,
        "release.override_gate": OVERRIDING,
    }
)


def usual(operation: str, is_brake: bool) -> Sequence[str]:
    """Reasons that are offered for an operation of the contract, in an order that never changes."""
    if operation.startswith("throttle."):
        return TIGHTENING if is_brake else LOOSENING
    return _BY_OPERATION.get(operation, ONWARD)


_USUAL = frozenset((*TIGHTENING, *LOOSENING, *ONWARD, *RESUMING, *STOPPING, *OVERRIDING))


class Reasons:
    """Kept for the session, and nowhere else. A digit that was learned is pressed unread, and what it picks
    is logged for good: so none changes its reason as long as the session lasts."""

    def __init__(self) -> None:
        self._drafts: dict[str, str] = {}
        self._own: list[str] = []

    def draft(self, key: str) -> str:
        """What was half typed in the dialog named `key`; "" for nothing."""
        return self._drafts.get(key, "")

    def keep(self, key: str, reason: str) -> None:
        """The dialog was closed with this in its row; with nothing there is nothing to keep."""
        self._drafts.pop(key, None)
        if reason:
            self._drafts[key] = reason

    def used(self, key: str, reason: str) -> None:
        """It went out with a decision: no draft any more, and one to offer while a digit is free."""
        self._drafts.pop(key, None)
        if reason not in _USUAL and reason not in self._own and len(self._own) < OFFERED:
            self._own.append(reason)

    def offered(self, usual: Sequence[str]) -> Sequence[str]:
        """For the digits from 1 on: the usual ones, then own ones in the order of their first use."""
        return [*usual, *self._own][:OFFERED]


def typed(reason: str, more: str) -> str:
    """`reason` with `more` behind it, as text from outside is kept, never longer than a reason may be."""
    from collectors.text import clean

    return clean(f"{reason}{' '.join(more.split()) if len(more) > 1 else more}", 4 * LONGEST)[:LONGEST]
