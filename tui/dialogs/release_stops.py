"""What is asked before a release is held, let go on, or taken back. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from collectors import intending
from collectors.fleet import Frame, Release
from tui.dialogs.form import Choice, Field, Level, Option, Plan
from tui.dialogs.release_facts import left_out, openings, paragraph, track
from tui.dialogs.release_form import ReleaseForm, phase_words
from tui.format import GLYPHS
from tui.releases import (
    current_stage,
    exposure_at,
    exposure_now,
    is_outage,
    is_paused_by_operator,
    pauser,
    revisions,
    selected_release,
    stage_weight,
    stage_words,
    why_not,
)

if TYPE_CHECKING:
    from tui.screens.base import Selection
    from tui.widgets.lines import Line

ABORT, ROLL_BACK = "abort", "rollback"


@dataclass(frozen=True, slots=True)
class PauseForm(ReleaseForm):
    """Hold a release where it is, or let it go on. Which of the two is settled when the dialog opens."""

    operation: Literal["release.pause", "release.resume"] = "release.pause"

    @property
    def verb(self) -> str:
        """Pause or resume."""
        return self.operation.partition(".")[2]

    @property
    def fields(self) -> Sequence[Field]:
        """Nothing to choose."""
        return ()

    def with_choice(self, field: str, chosen: tuple[str, ...]) -> "PauseForm":
        """There is no choice."""
        return self

    def plan(self) -> Plan:
        """A brake, or its undoing."""
        if self.is_gone:
            return self._gone()
        release = self.release
        if why := why_not(self.frame, release, self.operation):
            return Plan(problem=f"{self.verb}: {why}")
        at = stage_words(current_stage(release), self.titles)
        if self.operation == "release.pause":
            summary = f"{release.subject}: pause at {at}, nothing advances until it is resumed"
            return Plan((intending.pause(release),), summary, is_brake=True)
        return Plan((intending.resume(release),), f"{release.subject}: resume at {at}, the stage stays")

    def facts(self, width: int, glyphs: str) -> "Sequence[Line]":
        """The track as it is and as it stays."""
        drawn, now = GLYPHS[glyphs], exposure_now(self.release)
        stage = current_stage(self.release)
        told = ["Stage and shares stay as they are: nobody gains it, nobody loses it."]
        if self.operation == "release.pause":
            told.append("Its own steps stop, and advance is barred, until someone resumes it.")
        else:
            told.append(f"It was paused by {pauser(self.release)}.")
            automatic = stage is not None and stage.gate == "auto"
            told.append(
                "Its gate is automatic: it goes on by itself once its checks pass."
                if automatic
                else "It waits until someone advances it."
            )
        head = self._head(now, width, glyphs)
        return [*head, *track(self.release, now, self.titles, width, drawn), *paragraph(told, width, drawn)]


@dataclass(frozen=True, slots=True)
class BackOutForm(ReleaseForm):
    """The ways back: abort the candidate, or roll back to a revision and end the release."""

    way: str = ABORT
    to_revision: str = ""

    @property
    def verb(self) -> str:
        """By the way that is chosen."""
        return "abort" if self.way == ABORT else "roll back"

    @property
    def key(self) -> str:
        """The same for both ways."""
        return f"back out {self.release.id}"

    @property
    def main(self) -> str:
        """The way."""
        return "way"

    @property
    def fields(self) -> Sequence[Field]:
        """The way, and the revision where it goes back to one."""
        phase = phase_words(self.release)
        made: list[Field] = [Choice("way", "Way", self._ways(), (self.way,), note=f"now {phase}")]
        if self.way == ROLL_BACK and (known := revisions(self.release)):
            stable = self.release.stable
            options = tuple(Option(one, f"{one}, stable" if one == stable else one) for one in known)
            made.append(Choice("to", "To", options, (self._revision(),)))
        return made

    def with_choice(self, field: str, chosen: tuple[str, ...]) -> "BackOutForm":
        """Another way, or another revision."""
        if field == "way":
            able = [one.id for one in self._ways() if one.id in chosen and not one.why]
            return replace(self, way=able[0]) if able else self
        known = [one for one in revisions(self.release) if one in chosen]
        return replace(self, to_revision=known[0]) if field == "to" and known else self

    def plan(self) -> Plan:
        """A brake, or the end of the release.

        An abort of a model that leaves requests served by nothing is a brake that asks for the subject to be
        typed: no missing data stops it, and no single key does it.
        """
        if self.is_gone:
            return self._gone()
        release = self.release
        if why := next(one.why for one in self._ways() if one.id == self.way):
            return Plan(problem=f"{self.verb}: {why}")
        changes = self._changes(exposure_at(release, None))
        if self.way == ABORT:
            summary = f"{release.subject}: abort {release.candidate}, {changes}"
            intents = (intending.abort(release),)
            if is_outage(release, exposure_at(release, None)):
                summary += "; nothing serves those who lose it"
                return Plan(intents, summary, level=Level.TWO, is_brake=True, phrase=release.subject)
            return Plan(intents, summary, is_brake=True)
        to = self._revision()
        # Without a name it goes back to the stable revision, which a plane need not list in the history.
        intent = intending.roll_back(release, to_revision=to if to in release.history else None)
        serves = ", which then serves everyone" if release.subject_kind == "model" else ""
        summary = (
            f"{release.subject}: roll back to {to}{serves}; the release ends, {release.candidate}: {changes}"
        )
        return Plan((intent,), summary, level=Level.TWO, phrase=release.subject)

    def facts(self, width: int, glyphs: str) -> "Sequence[Line]":
        """The track there and back, and who loses it."""
        release, drawn, then = self.release, GLYPHS[glyphs], exposure_at(self.release, None)
        rest = self._revision() if self.way == ROLL_BACK and self._rest() is not None else self._rest()
        told = [*openings(release, then, self.titles), *left_out(release, then, self.titles, rest)]
        if self.way == ABORT:
            told += [f"Those who lose it are served {rest}."] if rest is not None else []
            told.append(f"{release.candidate} is kept: it can go again later.")
        else:
            told += [f"{rest} serves everyone then."] if rest is not None else []
            told.append(f"{release.candidate} is given up, the release ends: another one must be registered.")
        if stage_weight(release) and not why_not(self.frame, release, "release.set_weight"):
            told.append("A smaller step back: set the weight of this stage (key a).")
        head = self._head(then, width, glyphs)
        return [*head, *track(release, then, self.titles, width, drawn), *paragraph(told, width, drawn)]

    def _ways(self) -> tuple[Option, ...]:
        release, frame = self.release, self.frame
        return (
            Option(ABORT, "abort", why_not(frame, release, "release.abort")),
            Option(ROLL_BACK, "roll back", why_not(frame, release, "release.rollback")),
        )

    def _revision(self) -> str:
        """The chosen revision while it is known; else the first, which is the stable one if it can be."""
        known = revisions(self.release)
        return self.to_revision if self.to_revision in known or not known else known[0]


def pause_form(frame: Frame, selection: "Selection") -> PauseForm | str:
    """The dialog that pauses the selected release, or resumes it where an operator paused it."""
    release = selected_release(frame, selection)
    return release if isinstance(release, str) else pausing(frame, release)


def pausing(frame: Frame, release: Release, *, note: str = "") -> PauseForm | str:
    """As `pause_form`, of a release."""
    operation: Literal["release.pause", "release.resume"] = "release.pause"
    if is_paused_by_operator(release):
        operation = "release.resume"
    form = PauseForm(frame, release, note=note, operation=operation)
    why = why_not(frame, release, operation)
    return f"{release.subject}: {form.verb}: {why}" if why else form


def back_out_form(frame: Frame, selection: "Selection") -> BackOutForm | str:
    """The dialog that takes the selected release back."""
    release = selected_release(frame, selection)
    return release if isinstance(release, str) else backing_out(frame, release)


def backing_out(frame: Frame, release: Release, *, note: str = "") -> BackOutForm | str:
    """As `back_out_form`, of a release. It opens on abort, the brake, wherever that is possible."""
    form = BackOutForm(frame, release, note=note)
    abort, roll_back = form._ways()
    if abort.why and abort.why == roll_back.why:
        return f"{release.subject}: back out: {abort.why}"
    if abort.why and roll_back.why and release.phase == "aborted":
        return f"{release.subject}: it is aborted already; {roll_back.why}"
    if abort.why and roll_back.why:
        return f"{release.subject}: abort: {abort.why}; roll back: {roll_back.why}"
    return replace(form, way=ROLL_BACK) if abort.why else form
