"""Who did what and why: intents and what became of them, put together by decision. Pure.

The body of an INTENT is an intent with `actor`; of a RESULT, an outcome. Source: docs/tgrec.md.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import NamedTuple, TypeAlias

from collectors.fleet import Alert, Check, Event, EventKind, Frame, Model, Release
from collectors.intents import Intent, Outcome, OutcomeKind
from collectors.readings import Standing, bounds_of, standing
from collectors.recording.report.asking import ENDED, EXTENDED, SHORTENED, Cells, ask_of
from collectors.recording.report.ledger import Point, point_of
from collectors.recording.report.words import clock, is_machine, seconds
from collectors.sessions import View


class Look(NamedTuple):
    """What the operator looked at, from `at` on."""

    at: float
    view: View


class Answer(NamedTuple):
    """What became of an intent, in the words the operator read. audit_id: of the plane's log, or empty."""

    at: float
    kind: OutcomeKind
    text: str
    is_final: bool
    audit_id: str = ""


@dataclass(frozen=True, slots=True)
class Aim:
    """One target of a decision: what it was, what was asked for, and what became of it.

    name: as a person calls it; verb, more: the change in words, as `asking.Ask` has them
    takes: whether less is admitted than before; answers: in order, none where none is recorded
    """

    name: str
    verb: str
    more: str
    takes: bool = False
    answers: tuple[Answer, ...] = ()

    @property
    def asked(self) -> str:
        """The change in words: `advance to free@50 at stage free@25`."""
        return f"{self.verb} {self.more}".strip()

    @property
    def last(self) -> Answer | None:
        """What became of it in the end; None where no answer is recorded."""
        return self.answers[-1] if self.answers else None


class Wait(NamedTuple):
    """One of the worst waits on a screen, in words; share: of its objective, None without."""

    model: str
    tier: str
    text: str
    share: float | None
    is_breach: bool


@dataclass(frozen=True, slots=True)
class Screen:
    """What there was to see at a moment. at: of the frame; alerts: the gravest first

    gates: of the releases that were acted on, how they and their gates stood
    looked: what the operator looked at; None where that is not recorded
    is_older: the moment itself is not recorded, and this is what was seen last before it
    """

    at: float
    waits: tuple[Wait, ...]
    alerts: tuple[str, ...]
    alert_count: int
    lost: tuple[str, ...]
    gates: tuple[str, ...]
    looked: View | None
    is_older: bool = False


Waits: TypeAlias = Mapping[tuple[str, str], Point]
"""The good p99 waits of a frame, by model and tier."""

FOLLOWED_S = 600.0
"""How long after an action it is looked at how the waits went."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was confirmed with one key: a reason, one or more targets, and their answers.

    number: from 1, in order of time; actor: "" where it is not recorded
    subjects: features and models that it is about; targets: as intents name them
    is_told: it was done elsewhere, and the control plane's log told it here
    recorded_at: when it was recorded, where `at` is the control plane's stamp of it instead
    before, after: waits as it was decided, and FOLLOWED_S later, or at the end; empty where not recorded
    """

    number: int
    at: float
    actor: str
    operation: str
    reason: str
    ticket: str
    aims: tuple[Aim, ...]
    subjects: frozenset[str]
    targets: frozenset[str] = frozenset()
    is_told: bool = False
    recorded_at: float | None = None
    screen: Screen | None = None
    before: Waits = field(default_factory=dict)
    after: Waits = field(default_factory=dict)

    @property
    def seen_at(self) -> float:
        """When it was decided, by the recording's clock."""
        return self.at if self.recorded_at is None else self.recorded_at

    @property
    def applied_at(self) -> float | None:
        """When the last of its targets was applied; None while one is not."""
        times = [
            next((a.at for a in aim.answers if a.kind is OutcomeKind.APPLIED), None) for aim in self.aims
        ]
        return max(at for at in times if at is not None) if times and None not in times else None

    @property
    def deed(self) -> str:
        """What was done, in the past tense, without to whom."""
        verbs = {aim.verb for aim in self.aims}
        if self.operation == "throttle.set" and verbs <= _TIMED.keys():
            return _TIMED[verbs.pop() if len(verbs) == 1 else ENDED]
        return _DEEDS.get(self.operation, "changed")

    @property
    def kinds(self) -> tuple[str, ...]:
        """How its targets ended, each kind once; "no answer" where none is recorded."""
        return tuple(dict.fromkeys(a.last.kind.value if a.last else "no answer recorded" for a in self.aims))


_TIMED: Mapping[str, str] = {
    EXTENDED: "extended the throttle of",
    SHORTENED: "shortened the throttle of",
    ENDED: "set the end of the throttle of",
}
"""What was done to throttles whose level stays."""

_DEEDS: Mapping[str, str] = {
    "throttle.set": "throttled",
    "throttle.clear": "ended the throttle of",
    "release.advance": "advanced",
    "release.pause": "paused",
    "release.resume": "resumed",
    "release.abort": "aborted",
    "release.register": "registered",
    "release.retry": "retried",
    "release.rollback": "rolled back",
    "release.set_weight": "set another weight of",
    "throttle": "changed the throttle of",
    "release": "changed the release of",
}


class Asked(NamedTuple):
    """An intent as it was recorded."""

    at: float
    actor: str
    intent: Intent


class Became(NamedTuple):
    """An outcome as it was recorded: `at` by the recording's clock, which may not be the outcome's own."""

    at: float
    outcome: Outcome


@dataclass(slots=True)
class _Gathered:
    first: Asked
    asked: list[Intent] = field(default_factory=list)
    answers: dict[str, list[Answer]] = field(default_factory=dict)


def decisions(
    asked: Iterable[Asked],
    became: Iterable[Became],
    told: Sequence[Event],
    releases: Mapping[str, Release],
    frame_at: Callable[[float], Frame],
    *,
    simulated: bool = False,
) -> tuple[Decision, ...]:
    """Decisions in order of time, from 1. An answer whose intent was lost stands for it.

    told: events of the control plane's log; those of decisions made here are left out
    releases: by id, to tell what a release is about; frame_at: what there was to see at a time
    simulated: the recording's clock is that of its frames, which lags: the log's stamps are better
    """
    own = _own(asked, became, releases, frame_at)
    if simulated:
        own = [_stamped(one, told) for one in own]
    others = [
        _told(event, releases) for event in told if is_act(event) and not any(repeats(event, d) for d in own)
    ]
    ordered = sorted((*own, *others), key=lambda one: one.at)
    return tuple(replace(one, number=n) for n, one in enumerate(ordered, 1))


def _stamped(one: Decision, told: Iterable[Event]) -> Decision:
    """The decision at the time that the control plane stamped it with, if its log tells it."""
    stamps = [event.at for event in told if is_act(event) and repeats(event, one) and event.at >= one.at]
    if not stamps:
        return one
    at = min(stamps)
    aims = tuple(
        replace(aim, answers=tuple(a._replace(at=max(a.at, at)) for a in aim.answers)) for aim in one.aims
    )
    return replace(one, at=at, aims=aims, recorded_at=one.at)


def is_act(event: Event) -> bool:
    """Whether a person changed a throttle or a release, by the control plane's log."""
    return event.kind in {EventKind.THROTTLE, EventKind.RELEASE} and not is_machine(event.actor)


_SAME_S = 120.0
"""An event of the log this near to a decision, on its target and for its reason, is that decision."""


def repeats(event: Event, one: Decision) -> bool:
    """Whether an event tells what is told already, as `one`."""
    if event.kind not in {EventKind.THROTTLE, EventKind.RELEASE, EventKind.ACTION}:
        return False
    is_same = one.reason[:60] in event.text and abs(event.at - one.at) <= _SAME_S
    return is_same and (
        bool(one.subjects & {event.subject.partition("/")[0]}) or event.subject in one.targets
    )


def _told(event: Event, releases: Mapping[str, Release]) -> Decision:
    asked, _, reason = event.text.partition(", reason: ")
    subject, _, tier = event.subject.partition("/")
    release = releases.get(subject) if event.kind is EventKind.RELEASE else None
    subjects = {subject} if release is None else {release.id, release.subject}
    name = f"{subject} for {tier}" if tier else subject
    answer = Answer(event.at, OutcomeKind.APPLIED, "", True)
    return Decision(
        0, event.at, event.actor, event.kind.value, reason, "", (Aim(name, "", asked, answers=(answer,)),),
        frozenset(subjects), frozenset({event.subject}), is_told=True,
    )  # fmt: skip


def _own(
    asked: Iterable[Asked],
    became: Iterable[Became],
    releases: Mapping[str, Release],
    frame_at: Callable[[float], Frame],
) -> list[Decision]:
    found: dict[str, _Gathered] = {}
    for one in asked:
        _of(found, one).asked.append(one.intent)
    for one_became in became:
        outcome = one_became.outcome
        gathered = _of(found, Asked(one_became.at, "", outcome.intent))
        if all(_key(outcome.intent) != _key(intent) for intent in gathered.asked):
            gathered.asked.append(outcome.intent)
        answer = Answer(one_became.at, outcome.kind, outcome.text, outcome.is_final, outcome.audit_id)
        gathered.answers.setdefault(_key(outcome.intent), []).append(answer)
    return [_decision(one, releases, frame_at) for one in found.values()]


def with_screen(
    one: Decision, frame: Frame, looked: View | None, *, is_older: bool, later: Frame | None
) -> Decision:
    """The decision with what there was to see, and, where its own record does not say it, who made it.

    is_older: the frame is the last one before a gap that the decision fell in
    later: FOLLOWED_S after; None where that is not recorded
    """
    releases = one.subjects if one.operation.startswith("release") else frozenset()
    return replace(
        one,
        actor=one.actor or (frame.plane.actor if frame.plane is not None else ""),
        screen=replace(screen(frame, looked, releases), is_older=is_older),
        before={} if is_older else waits(frame),
        after={} if later is None else waits(later),
    )


def waits(frame: Frame) -> Waits:
    """The good p99 waits that a frame shows."""
    return {
        (model.name, tier): point
        for model in frame.models
        for tier, readings in model.tiers.items()
        if (point := point_of(readings)) is not None
    }


def _key(intent: Intent) -> str:
    return intent.key or f"{intent.operation} {intent.target}"


def _of(found: dict[str, _Gathered], one: Asked) -> _Gathered:
    # A decision id is missing only in a file that somebody else wrote: then each intent stands alone.
    name = one.intent.decision_id or f"{one.at}:{_key(one.intent)}"
    return found.setdefault(name, _Gathered(one))


def _decision(
    one: _Gathered, releases: Mapping[str, Release], frame_at: Callable[[float], Frame]
) -> Decision:
    first = one.first.intent

    @cache
    def cells() -> Cells:
        return {(cell.feature, cell.tier): cell for cell in frame_at(one.first.at).throttles}

    aims = tuple(
        Aim(_name(intent), *ask_of(intent, one.first.at, cells), tuple(one.answers.get(_key(intent), ())))
        for intent in one.asked
    )
    subjects = set()
    for intent in one.asked:
        release = releases.get(intent.target.id) if intent.target.kind == "release" else None
        subjects |= {intent.target.id} if release is None else {release.id, release.subject}
    targets = frozenset(str(intent.target) for intent in one.asked)
    return Decision(
        0, one.first.at, one.first.actor, first.operation, first.reason, first.ticket, aims,
        frozenset(subjects), targets,
    )  # fmt: skip


def _name(intent: Intent) -> str:
    target = intent.target
    return f"{target.id} for {target.tier}" if target.tier else target.id


WAITS_SHOWN, ALERTS_SHOWN = 3, 4


def screen(frame: Frame, looked: View | None, about: Container[str] = ()) -> Screen:
    """The worst that a frame shows: waits by their share of the objective, alerts by severity.

    about: ids of releases of which their gates are told
    """
    found = [one for model in frame.models for one in _waits(model)]
    found.sort(key=lambda w: (-(w[0] if w[0] is not None else -1.0), -w[1], w[2].model, w[2].tier))
    alerts = sorted(frame.alerts, key=lambda a: (a.severity.value, a.since, a.model, a.tier))
    told = tuple(called(alert) for alert in alerts[:ALERTS_SHOWN])
    lost = tuple(s.name for s in frame.sources if s.state.value == "lost")
    worst = tuple(w for _, _, w in found[:WAITS_SHOWN])
    gates = tuple(_gate(release) for release in frame.releases if release.id in about)
    return Screen(frame.at, worst, told, len(alerts), lost, gates, looked)


def stage_of(release: Release) -> str:
    """The stage that a release stands at, in words."""
    at = release.stage_index
    return release.stages[at].id if at is not None and at < len(release.stages) else "before the first"


def _gate(release: Release) -> str:
    """How a release and its gate stood: `llama-5: paused at stage free@25, gate closed (hold: 9 of 60 s)`."""
    held = [f"{check.id}: {_held(check)}" for check in release.checks if check.state != "pass"]
    why = f" ({'; '.join(held)})" if held else ""
    return f"{release.id}: {release.phase}, stage {stage_of(release)}, gate {release.gate}{why}"


def _held(check: Check) -> str:
    # What a hold was counted to is of when the plane last told it.
    is_hold = check.id == "hold" and check.ready_at is not None
    return f"until {clock(check.ready_at or 0.0)}" if is_hold else check.detail or check.state


def called(alert: Alert) -> str:
    """An alert in a line: `P1 aurora-5 free: queue p99 9.3 (5-10) s > 6 s`."""
    about = f"{alert.model} {alert.tier}".strip()
    told = alert.summary or alert.name or alert.id
    return f"{alert.severity.value} {f'{about}: ' if about else ''}{told}"


def _waits(model: Model) -> Iterable[tuple[float | None, float, Wait]]:
    for tier in model.tiers:
        one, objective = model.reading("queue_wait_p99", tier), model.objectives.get(tier)
        estimate = one.estimate
        if estimate is None or one.value is None:
            continue
        share = estimate / objective if objective else None
        lo, hi = bounds_of(one.value)
        kind = "p95" if one.reason.code == "p95" else "p99"
        of = f", promised {seconds(objective)}" if objective else ""
        mark = "" if one.quality.value == "good" else f", {one.quality.value}"
        text = f"{kind} {seconds(estimate, lo, hi)}{of}{mark}"
        is_breach = standing(one, objective) is Standing.BREACH
        yield share, estimate, Wait(model.name, tier, text, share, is_breach)
