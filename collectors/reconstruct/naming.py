"""Names of the past: what labels mean is looked up once, for it is asked anew at every step.

Rows of a stretch carry the same labels from step to step, and of one meaning the very same object
(`matrix.kept_labels`): of these a lookup costs less than reading rules and patterns again.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TypeVar

from collectors.signals.catalogue import Answer, Row
from collectors.signals.identity import Names

MOST_KEPT = 50_000
"""Lookups that are kept: with more it begins anew. Labels that are new at each step would fill the memory."""

_Labels = Mapping[str, str]
Found = TypeVar("Found")


class PastNames(Names):
    """As `Names`, which says what each lookup means."""

    def model_of_row(self, row: Row, role: str) -> str | None:
        """The model a serving stack's row belongs to."""
        return self._once(role, row.labels, lambda: super(PastNames, self).model_of_row(row, role))

    def tier(self, labels: _Labels) -> str | None:
        """The tier a series belongs to."""
        return self._once("tier", labels, lambda: super(PastNames, self).tier(labels))

    def feature(self, labels: _Labels) -> str | None:
        """The feature a series belongs to."""
        return self._once("feature", labels, lambda: super(PastNames, self).feature(labels))

    def learned(self, answers: Sequence[Answer], subjects: Iterable[str] = ()) -> Names:
        """The same rules, with joins and names from one poll; at once, where it names what the last did."""
        subjects = tuple(subjects)
        told = [(a.definition.role, [row.labels for row in a.rows]) for a in answers]
        if not subjects and told == self._taught:
            return self
        found = super().learned(answers, subjects)
        if found is self and answers:
            self._taught[:] = told
        return found

    @cached_property
    def _taught(self) -> list[tuple[str, list[_Labels]]]:
        return []

    @cached_property
    def _kept(self) -> dict[tuple[str, int], tuple[_Labels, str | None]]:
        return {}

    def _once(self, what: str, labels: _Labels, look: Callable[[], str | None]) -> str | None:
        # By identity, which holds while the labels are kept beside what they mean.
        found = self._kept.get((what, id(labels)))
        if found is None:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            found = self._kept[what, id(labels)] = labels, look()
        return found[1]
