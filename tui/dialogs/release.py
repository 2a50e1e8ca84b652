"""What is asked before a release moves on: advance it, go again, set a weight. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from collectors import intending
from collectors.fleet import Frame, Release, Stage
from tui.dialogs.form import Choice, Entry, Field, Level, Option, Plan
from tui.dialogs.release_facts import (
    check_words,
    gate_lines,
    left_out,
    openings,
    paragraph,
    track,
    warnings,
)
from tui.dialogs.release_form import ReleaseForm, phase_words
from tui.dialogs.release_stops import back_out_form, pause_form
from tui.format import GLYPHS
from tui.releases import (
    VERBS,
    current_stage,
    exposure_at,
    exposure_now,
    exposure_weighed,
    gate_time,
    is_outage,
    later_stages,
    rebound,
    selected_release,
    share_text,
    stage_weight,
    stage_words,
    why_not,
)

if TYPE_CHECKING:
    from tui.screens.base import Selection
    from tui.widgets.lines import Line

__all__ = ["RETRY", "WEIGHT", "AdvanceForm", "advance_form", "advancing", "back_out_form", "pause_form"]

WEIGHT, RETRY = ":weight", ":retry"
"""Steps that are no stage. An id in the contract never holds a colon, so no stage is called so."""

OBEY, OVERRIDE = "obey", "override"


@dataclass(frozen=True, slots=True)
class AdvanceForm(ReleaseForm):
    """To the next stage or a later one, another weight for this one, or, once aborted, from the start.

    step: `stage:ID`, WEIGHT or RETRY; weight: what was typed, in percent
    """

    step: str = ""
    weight: str = ""
    is_overriding: bool = False

    @property
    def verb(self) -> str:
        """By the step that is chosen."""
        return VERBS[_operation(self.step)]

    @property
    def key(self) -> str:
        """The same whatever step is chosen, so that a reason is not lost by looking at another."""
        return f"advance {self.release.id}"

    @property
    def main(self) -> str:
        """The step."""
        return "step"

    @property
    def fields(self) -> Sequence[Field]:
        """The step, the weight where one is set, the gate where it is not open."""
        release = self.release
        at = f"now at {stage_words(current_stage(release), self.titles)}, {phase_words(release)}"
        made: list[Field] = [Choice("step", "Step", self._options(), (self.step,), note=at)]
        if self.step == WEIGHT:
            made.append(Entry("weight", "Weight", self.weight, self._weight_hint(), self._weight_wrong()))
        elif self._target() is not None and release.gate != "open":
            why = why_not(self.frame, release, "release.advance") or self._why_no_override()
            options = (Option(OBEY, "wait for it"), Option(OVERRIDE, "override", why))
            chosen = OVERRIDE if self.is_overriding else OBEY
            made.append(Choice("gate", "Gate", options, (chosen,), note=f"server gate {release.gate}"))
        return made

    def with_choice(self, field: str, chosen: tuple[str, ...]) -> "AdvanceForm":
        """Another step, or the gate obeyed or overridden."""
        able = [one.id for one in self._open_options(field) if one.id in chosen]
        if not able:
            return self
        if field == "gate":
            return replace(self, is_overriding=able[0] == OVERRIDE)
        return replace(self, step=able[0])

    def with_text(self, field: str, text: str) -> "AdvanceForm":
        """Another weight, as it is typed."""
        return replace(self, weight=text) if field == "weight" else self

    def seen(self, frame: Frame) -> "AdvanceForm":
        """The same release by its id. A stage that was reached meanwhile gives way to the next one, and what
        was chosen about one stage's gate is not carried over to another's."""
        found = rebound(frame, self.release)
        if found is None:
            return replace(self, frame=frame, is_gone=True)
        old = self.release
        is_same_gate = (found.stage_index, found.candidate, found.stages) == (
            old.stage_index,
            old.candidate,
            old.stages,
        )
        return replace(
            self,
            frame=frame,
            release=found,
            is_gone=False,
            step=_followed(self.step, found),
            is_overriding=self.is_overriding and is_same_gate and found.gate != "open",
        )

    def plan(self) -> Plan:
        """By the step."""
        if self.is_gone:
            return self._gone()
        chosen = next((one for one in self._options() if one.id == self.step), None)
        if chosen is None or chosen.why:
            why = chosen.why if chosen else "choose a step"
            return Plan(problem=f"{self.verb}: {why}")
        if self.step == WEIGHT:
            return self._weighing()
        release = self.release
        if self.step == RETRY:
            summary = (
                f"{release.subject}: go again with {release.candidate}; no tier opens until it is advanced"
            )
            return Plan((intending.retry(release),), summary, level=Level.TWO, phrase=release.subject)
        return self._advancing()

    def facts(self, width: int, glyphs: str) -> "Sequence[Line]":
        """The track, who opens, and the gate."""
        then, drawn, release = self._then(), GLYPHS[glyphs], self.release
        told = openings(release, then, self.titles)
        if self._is_last():
            told.append(f"Last stage: {self._ending()}.")
        # A model's last stage leaves nobody on the revision before.
        if not self._is_last() or release.subject_kind == "feature":
            told += left_out(release, then, self.titles, self._rest())
        if self.step == RETRY:
            told.append(self._starting())
        lines = [*self._head(then, width, glyphs), *track(release, then, self.titles, width, drawn)]
        lines += paragraph((self._revisions(), *told), width, drawn)
        lines += gate_lines(
            self.frame,
            release,
            width,
            drawn,
            guards=self._target() is not None,
            is_overridden=self._target() is not None and self.is_overriding,
        )
        return lines

    def _options(self) -> tuple[Option, ...]:
        """What the phase allows; what is chosen stays among them, greyed once it is not possible any more."""
        release, frame = self.release, self.frame
        made = []
        if release.phase in ("aborted", "degraded"):
            made.append(
                Option(RETRY, f"go again with {release.candidate}", why_not(frame, release, "release.retry"))
            )
        elif release.phase in ("pending", "progressing", "paused"):
            why = why_not(frame, release, "release.advance")
            made += [Option(f"stage:{s.id}", stage_words(s, self.titles), why) for s in later_stages(release)]
            if current_stage(release) is not None:
                why = why_not(frame, release, "release.set_weight")
                made.append(Option(WEIGHT, "set weight of this stage", why))
        if self.step not in {one.id for one in made}:
            why = why_not(frame, release, _operation(self.step)) or "that stage is behind it"
            made.append(Option(self.step, _step_words(self.step), why))
        return tuple(made)

    def _open_options(self, field: str) -> list[Option]:
        choice = next((one for one in self.fields if isinstance(one, Choice) and one.id == field), None)
        return [one for one in choice.options if not one.why] if choice else []

    def _why_no_override(self) -> str:
        ability = self.frame.plane.ability("release.override_gate") if self.frame.plane is not None else None
        if ability is None or ability.is_open:
            return ""
        return ability.why or "this control plane does not let you"

    def _target(self) -> Stage | None:
        return next((s for s in later_stages(self.release) if f"stage:{s.id}" == self.step), None)

    def _then(self) -> Mapping[str, float]:
        release, target = self.release, self._target()
        if target is not None:
            return exposure_at(release, release.stages.index(target))
        if self.step == WEIGHT and (share := _share(self.weight)) is not None:
            return exposure_weighed(release, share)
        return exposure_at(release, None) if self.step == RETRY else exposure_now(release)

    def _advancing(self) -> Plan:
        release, target = self.release, self._target()
        if target is None:
            return Plan(problem="advance: that stage is behind it")
        is_closed = release.gate != "open"
        if is_closed and not self.is_overriding:
            return Plan(
                problem=f"the server's gate is {release.gate}{self._gate_why()}: wait, {self._way_past()}"
            )
        if is_closed and (why := self._why_no_override()):
            return Plan(problem=f"override: {why}")
        intent = intending.advance(release, to=target.id, override_gate=is_closed)
        before = stage_words(current_stage(release), self.titles)
        summary = f"{release.subject}: advance {before} → {stage_words(target, self.titles)}"
        if self._is_last():
            summary += f"; {self._ending()}"
        if is_closed:
            summary += f"; OVERRIDES the {release.gate} gate"
        if warning := warnings(self.frame, release):
            summary += f"; warnings of our own: {warning}"
        if is_closed:
            return Plan(
                (intent,),
                summary,
                level=Level.THREE,
                phrase=f"override {release.subject} {self.frame.context}",
            )
        return Plan((intent,), summary, level=Level.TWO, phrase=release.subject)

    def _weighing(self) -> Plan:
        release, now, share = self.release, stage_weight(self.release), _share(self.weight)
        stage = current_stage(release)
        if wrong := self._weight_wrong():
            return Plan(problem=f"weight: {wrong}")
        if now is None or share is None or stage is None:
            return Plan(problem="weight: type the share in percent")
        title = self.titles.get(stage.tier, stage.tier)
        change = f"weight of {title} {share_text(now)} → {share_text(share)}"
        summary = f"{release.subject}: {change} until the next stage"
        intents = (intending.set_weight(release, share),)
        if share < now and is_outage(release, exposure_weighed(release, share)):
            summary += "; nothing serves those who lose it"
            return Plan(intents, summary, level=Level.TWO, is_brake=True, phrase=release.subject)
        if share < now:
            return Plan(intents, summary, is_brake=True)
        return Plan(intents, summary, level=Level.TWO, phrase=release.subject)

    def _weight_hint(self) -> str:
        stage, now = current_stage(self.release), stage_weight(self.release)
        if stage is None or now is None:
            return "%"
        return f"% of {self.titles.get(stage.tier, stage.tier)}, now {share_text(now)}"

    def _weight_wrong(self) -> str:
        share, now = _share(self.weight), stage_weight(self.release)
        if not self.weight.strip():
            return "type the share in percent, 0 to 100"
        if share is None:
            return "no percentage from 0 to 100 with two decimals at most"
        return f"it is {share_text(share)} already" if share == now else ""

    def _gate_why(self) -> str:
        now = gate_time(self.frame)
        failing = [f"{c.id}: {check_words(c, now)}" for c in self.release.checks if c.state != "pass"]
        return f" ({'; '.join(failing)})" if failing else ""

    def _way_past(self) -> str:
        why = self._why_no_override()
        return f"you cannot override it: {why}" if why else "or choose to override it"

    def _is_last(self) -> bool:
        return self._target() is not None and self._target() == self.release.stages[-1]

    def _ending(self) -> str:
        if self.release.subject_kind == "feature":
            return "the opening is then complete"
        return f"full promotion, {self.release.candidate} becomes stable and serves everyone"

    def _starting(self) -> str:
        first = stage_words(self.release.stages[0], self.titles) if self.release.stages else "nothing"
        return (
            f"It starts before its first stage; the next advance would open {first},"
            " unless its plane starts it at once."
        )

    def _revisions(self) -> str:
        release = self.release
        if release.subject_kind == "feature":
            return f"Opening {release.candidate}."
        return f"Candidate {release.candidate}, stable {release.stable or 'none: nobody else is served'}."


def advance_form(frame: Frame, selection: "Selection") -> AdvanceForm | str:
    """The dialog that moves the selected release on; the sentence why not, where it cannot be moved."""
    release = selected_release(frame, selection)
    return release if isinstance(release, str) else advancing(frame, release)


def advancing(
    frame: Frame, release: Release, *, step: str = "", weight: str = "", note: str = ""
) -> AdvanceForm | str:
    """As `advance_form`, of a release, with a step that is chosen already."""
    later = later_stages(release)
    onward = f"stage:{later[0].id}" if later else WEIGHT
    usual = RETRY if release.phase in ("aborted", "degraded") else onward
    form = AdvanceForm(frame, release, note=note, step=step or usual, weight=weight)
    options = form._options()
    if all(one.why for one in options):
        why = next(one.why for one in options if one.id == form.step)
        return f"{release.subject}: {form.verb}: {why}"
    return form


def _followed(step: str, release: Release) -> str:
    """The step on a newer state: a stage that is behind, or is there no more, gives way to the next one."""
    ids = [f"stage:{stage.id}" for stage in later_stages(release)]
    if not step.startswith("stage:") or step in ids or not ids:
        return step
    return ids[0] if release.phase in ("pending", "progressing", "paused") else step


def _operation(step: str) -> str:
    return {WEIGHT: "release.set_weight", RETRY: "release.retry"}.get(step, "release.advance")


def _step_words(step: str) -> str:
    return VERBS[_operation(step)] if step in (WEIGHT, RETRY) else f"stage {step.partition(':')[2]}"


def _share(text: str) -> float | None:
    """A typed percentage as a share with 4 decimals at most; None for what is none."""
    typed = text.strip().removesuffix("%").strip()
    whole, _, decimals = typed.partition(".")
    # `isdecimal` alone takes digits of other scripts, which float() would read as well.
    digits = whole + decimals
    if not typed.isascii() or not digits.isdecimal() or len(whole) > 3 or len(decimals) > 2:
        return None
    share = round(float(typed) / 100, 4)
    return share if share <= 1 else None
