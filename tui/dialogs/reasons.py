"""Reasons as they are typed: what was half typed in a dialog that was closed, and what was said before."""

from collections.abc import Sequence

SHORTEST, LONGEST = 3, 500
"""Characters of a reason. Source: control contract, section 5."""

OFFERED = 5
"""Reasons that a digit picks."""

USUAL = ("launch spike", "queue too long", "capacity is back", "planned step", "exercise")
"""Offered until there are own ones."""


class Reasons:
    """Kept for the session, and nowhere else."""

    def __init__(self) -> None:
        self._drafts: dict[str, str] = {}
        self._recent: list[str] = []

    def draft(self, key: str) -> str:
        """What was half typed in the dialog named `key`; "" for nothing."""
        return self._drafts.get(key, "")

    def keep(self, key: str, reason: str) -> None:
        """The dialog was closed with this in its row."""
        self._drafts[key] = reason

    def used(self, key: str, reason: str) -> None:
        """It went out with a decision: no draft any more, but the first to offer."""
        self._drafts.pop(key, None)
        self._recent = [reason, *(one for one in self._recent if one != reason)][:OFFERED]

    def offered(self) -> Sequence[str]:
        """For the keys 1 to 5: own ones first, the latest first, then the usual ones."""
        return [*self._recent, *(one for one in USUAL if one not in self._recent)][:OFFERED]


def typed(reason: str, more: str) -> str:
    """`reason` with `more` behind it, as text from outside is kept, never longer than a reason may be."""
    from collectors.fleet import clean

    return clean(f"{reason}{' '.join(more.split()) if len(more) > 1 else more}", 4 * LONGEST)[:LONGEST]
