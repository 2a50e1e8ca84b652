"""One dialog's decision as it stands, and all that `y` still needs. Pure: told the time.

There is one list of needs: the line above the buttons says the first one that is not met, `?` shows all.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from collectors.intents import Difference, Intent, Outcome, PlaneFacts, Rehearsal, Target
from tui.dialogs.form import Form, Plan
from tui.dialogs.reasons import LONGEST, SHORTEST
from tui.format import admit, age, clock, counted

if TYPE_CHECKING:
    from collectors.fleet import Frame, LastChange

FRESH_S = 15.0
"""A dry run older than this no longer says what would happen (S9)."""

MOVED_MOST = 100
"""Changes that are told, the newest: somebody may move a cell every second while a dialog is open."""

NO_WORD = frozenset({"", "unsupported-operation"})
"""Codes of a dry run that could not be had: it says nothing of what the plane would do."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """What the plane said of a plan. `failure`: why it said nothing, a sentence.

    asked_at: when it was asked, seconds by the clock that never goes back: its age is never understated
    """

    intents: tuple[Intent, ...]
    rehearsals: tuple[Rehearsal, ...]
    asked_at: float
    failure: str = ""

    @property
    def refusals(self) -> tuple[Rehearsal, ...]:
        """The targets on which nothing would be done."""
        return tuple(one for one in self.rehearsals if not one.would_apply)


@dataclass(frozen=True, slots=True)
class Decision:
    """What was chosen and typed, what the plane says of it, what was sent, and what became of it.

    plan: the form's, kept because it is asked for at each key
    sent: the decided intents, in order; empty until `y`
    outcomes: the newest of each, by the intent's key
    moved: what changed on the plane's side while the dialog was open
    is_overtaken: it acts on something else than was looked at, and nobody has said yet that this is meant
    is_local: it concerns the cockpit alone, such as arming: no reason, no dry run, nothing sent
    """

    form: Form
    plan: Plan
    reason: str = ""
    phrase: str = ""
    dry_run: DryRun | None = None
    sent: tuple[Intent, ...] = ()
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    moved: tuple[Difference, ...] = ()
    is_overtaken: bool = False
    is_local: bool = False

    @property
    def wanted_phrase(self) -> str:
        """What must be typed; of brakes only where one takes a model from people whom nothing else serves."""
        return self.plan.phrase

    @property
    def is_typed(self) -> bool:
        """Whether the phrase is there, so that its row is locked."""
        return self.phrase == self.wanted_phrase

    @property
    def current_dry_run(self) -> DryRun | None:
        """The dry run of this very plan; None where only another one was asked about."""
        return self.dry_run if self.dry_run and self.dry_run.intents == self.plan.intents else None

    @property
    def is_over(self) -> bool:
        """Whether every target that was sent has its final outcome."""
        found = [self.outcomes.get(one.key) for one in self.sent]
        return bool(found) and all(one is not None and one.is_final for one in found)


class Need(NamedTuple):
    """Something `y` needs. `text`: what holds, or what is missing and what to do."""

    is_met: bool
    text: str


def needs(
    decision: Decision,
    plane: PlaneFacts | None,
    writes_off: str,
    now: float,
    under_way: Collection[Target] = (),
) -> tuple[Need, ...]:
    """All that `y` needs, in the order in which an operator gets there.

    writes_off: why writes are off, with what to do; "" while they are on
    now: seconds by the clock of `DryRun.asked_at`
    under_way: targets of decisions that have not ended: they are blocked until they have (S11)
    """
    plan = decision.plan
    made = [Need(not plan.problem, plan.problem or plan.summary)]
    if not decision.is_local:
        made += [_able(plan, plane), Need(not writes_off, writes_off or "writes are on")]
        made += [_free(plan, under_way), _reasoned(decision.reason)]
    if decision.is_overtaken:
        made.append(Need(False, "somebody changed it: read CHANGED, then ctrl-r takes it as it is now"))
    if phrase := decision.wanted_phrase:
        text = (
            "the phrase is typed"
            if decision.is_typed
            else f"type {phrase} in the row above (shift-tab goes there), then y"
        )
        made.append(Need(decision.is_typed, text))
    if not decision.is_local:
        made.append(_rehearsed(decision, now))
    return tuple(made)


def missing(found: Sequence[Need]) -> str:
    """The first need that is not met; "" when all are."""
    return next((need.text for need in found if not need.is_met), "")


def _able(plan: Plan, plane: PlaneFacts | None) -> Need:
    if plane is None:
        return Need(False, "no control plane is connected: nothing can be sent")
    for operation in dict.fromkeys(one.operation for one in plan.intents):
        if why := ability_refused(plane, operation):
            return Need(False, why)
    return Need(True, f"your role, {plane.role or 'unknown'}, may do it")


def ability_refused(plane: PlaneFacts, operation: str) -> str:
    """Why an operation is closed to this operator, a sentence; "" if it is open (S15)."""
    ability = plane.ability(operation)
    if ability.is_open:
        return ""
    if not ability.supported:
        return ability.why or f"this control plane does not offer {operation}"
    return f"your role, {plane.role or 'unknown'}, may not: {ability.why or f'{operation} is not allowed'}"


def _free(plan: Plan, under_way: Collection[Target]) -> Need:
    held = [str(one.target) for one in plan.intents if one.target in under_way]
    text = f"an earlier action on {', '.join(held)} is still under way: wait for its end"
    return Need(not held, text if held else "no earlier action is under way there")


def _reasoned(reason: str) -> Need:
    length = len(reason.strip())
    if length < SHORTEST:
        if length:
            return Need(False, f"the reason has {length} of at least {SHORTEST} characters")
        return Need(False, "a reason is missing: press 1 to 5, or tab to its row and type one")
    return Need(length <= LONGEST, "there is a reason" if length <= LONGEST else "the reason is too long")


def _rehearsed(decision: Decision, now: float) -> Need:
    run = decision.current_dry_run
    if decision.plan.is_brake and _tells_nothing(run, now):
        return Need(True, "no dry run of it: a brake does not wait for one")
    if run is None:
        return Need(False, "waiting for the dry run of it")
    if run.failure:
        return Need(False, f"no dry run: {run.failure}")
    if run.refusals:
        first = run.refusals[0]
        return Need(False, f"the dry run says no to {first.intent.target}: {first.refusal}")
    if len(run.rehearsals) != len(decision.plan.intents):
        return Need(False, "the dry run does not tell of every target: ctrl-r asks again")
    if now - run.asked_at >= FRESH_S:
        return Need(False, f"the dry run is {age(now - run.asked_at)} old: ctrl-r asks again")
    return Need(True, f"the dry run would apply {counted(str(len(run.rehearsals)), 'target')}")


def _tells_nothing(run: DryRun | None, now: float) -> bool:
    """Whether a dry run is missing, old or without a word of the plane's own: what is not known must not stop
    the safe direction."""
    if run is None or run.failure or now - run.asked_at >= FRESH_S:
        return True
    return bool(run.refusals) and all(one.code in NO_WORD for one in run.refusals)


def moved(was: Sequence[Intent], now: Sequence[Intent]) -> tuple[Difference, ...]:
    """What the same targets' intents saw then and see now: what somebody else changed meanwhile (S8)."""
    seen = {one.target: one for one in was}
    return tuple(
        Difference(f"{one.target} {name}", _worded(name, before), _worded(name, after))
        for one in now
        if one.target in seen
        for name, after in one.seen.items()
        if (before := seen[one.target].seen.get(name)) != after
    )


def changed_by(intents: Sequence[Intent], was: "Frame | None", now: "Frame") -> tuple[Difference, ...]:
    """Who changed the intents' targets between two frames, how and why. Nothing without a frame before."""
    before, after = _last_changes(was or now), _last_changes(now)
    return tuple(
        Difference(
            f"{one.target} by", "", f"{change.actor} at {clock(change.at)}: {change.op} ({change.reason})"
        )
        for one in intents
        if (change := after.get(one.target)) is not None and change != before.get(one.target)
    )


def followed(was: Decision, now: Decision, before: "Frame | None", frame: "Frame") -> Decision:
    """`now`, the decision on a frame in which its targets have moved, with what changed, and whether that
    overtook it (S8). was: the decision as it stood on the frame `before`"""
    found = moved(was.plan.intents, now.plan.intents)
    told = (*was.moved, *found, *changed_by(was.plan.intents, before, frame))
    # A brake is meant wherever the stage is by now, and not for another candidate or level.
    is_overtaken = was.is_overtaken or bool(found) or not was.plan.is_brake
    return replace(now, moved=told[-MOVED_MOST:], is_overtaken=is_overtaken)


def _last_changes(frame: "Frame") -> "dict[Target, LastChange | None]":
    found = {Target("release", one.id): one.last_change for one in frame.releases}
    cells = {Target("throttle", one.feature, one.tier): one.last_change for one in frame.throttles}
    return found | cells


def _worded(name: str, value: str | float | None) -> str:
    if name in {"level", "weight"} and isinstance(value, float | int):
        return admit(value) if name == "level" else f"{value * 100:.3g}%"
    return "none" if value is None else str(value)
