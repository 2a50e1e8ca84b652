"""What all dialogs about one release have in common. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from collectors.fleet import Frame, Release
from collectors.intents import Rehearsal
from tui.dialogs.form import Plan
from tui.dialogs.release_facts import paragraph, unknown_lines
from tui.format import GLYPHS
from tui.releases import (
    exposure_now,
    is_paused_by_operator,
    left_without,
    pauser,
    rebound,
    served_by,
    share_text,
    tier_titles,
    waiting_words,
)

if TYPE_CHECKING:
    from tui.widgets.lines import Line


@dataclass(frozen=True, slots=True)
class ReleaseForm:
    """What all dialogs about one release have in common.

    release: as it was last told; is_gone: the plane tells of it no more
    note: a sentence that stands first, such as what an undo cannot do
    """

    frame: Frame
    release: Release
    is_gone: bool = False
    note: str = ""

    @property
    def verb(self) -> str:
        """What `y` does to the release, in a word or two."""
        raise NotImplementedError

    @property
    def main(self) -> str:
        """No choice, unless a form has one."""
        return ""

    @property
    def key(self) -> str:
        """By operation and release."""
        return f"{self.verb} {self.release.id}"

    @property
    def title(self) -> str:
        """What, on what, and how many models it hits where that is not one."""
        models = len(served_by(self.frame, self.release))
        hits = f" · {models} models" if models > 1 else ""
        return f"{self.verb.capitalize()} · {self.release.subject}{hits}"

    @property
    def revision(self) -> str:
        """The release's etag."""
        return f"rev {self.release.etag}"

    @property
    def titles(self) -> Mapping[str, str]:
        """Names of the tiers as the screen has them."""
        return tier_titles(self.frame)

    def forecast(self, rehearsals: Mapping[str, Rehearsal], width: int, glyphs: str) -> "Sequence[Line]":
        """Nothing of it can be told without the capacity model."""
        what = ("demand after it", "headroom", "queue p99", "users affected")
        return unknown_lines(what, width, GLYPHS[glyphs])

    def with_text(self, field: str, text: str) -> Self:
        """The same, unless a form has an entry."""
        return self

    def seen(self, frame: Frame) -> Self:
        """The same release by its id. What was chosen stays chosen, greyed once it is not possible any more:
        what `y` does never turns into something else under the operator's hand."""
        found = rebound(frame, self.release)
        return replace(self, frame=frame, release=found or self.release, is_gone=found is None)

    def _gone(self) -> Plan:
        return Plan(problem=f"the control plane no longer tells of {self.release.id}: close this dialog")

    def _rest(self) -> str | None:
        """What those without the subject are served; None where that is nothing."""
        return self.release.stable if self.release.subject_kind == "model" else None

    def _changes(self, then: Mapping[str, float]) -> str:
        now = exposure_now(self.release)
        told = [
            f"{self.titles.get(tier, tier)} {share_text(share)} → {share_text(then.get(tier, share))}"
            for tier, share in now.items()
            if then.get(tier, share) != share
        ]
        return ", ".join(told) or "no tier's share changes"

    def _head(self, then: Mapping[str, float], width: int, glyphs: str) -> "list[Line]":
        """Who would have nothing left, as loud as the worst alert, and the note.

        then: desired share of each tier after it
        """
        drawn = GLYPHS[glyphs]
        lines = (
            paragraph((self._outage(then),), width, drawn, "p1") if left_without(self.release, then) else []
        )
        return [*lines, *(paragraph((self.note,), width, drawn) if self.note else [])]

    def _outage(self, then: Mapping[str, float]) -> str:
        now = exposure_now(self.release)
        lost = ", ".join(
            f"{self.titles.get(tier, tier)} {share_text(now[tier])} → {share_text(then[tier])}"
            for tier in left_without(self.release, then)
        )
        if self.release.subject_kind == "feature":
            return f"CLOSED: {lost}; those who lose it have nothing in its place."
        return f"OUTAGE: {lost}; those who lose it are not served at all: there is no stable revision."


def phase_words(release: Release) -> str:
    """The phase for people: who paused it, or what it waits for."""
    if release.phase != "paused":
        return release.phase
    if is_paused_by_operator(release):
        return f"paused by {pauser(release)}"
    return waiting_words(release) if release.pause_reason else "paused"
