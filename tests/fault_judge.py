"""What must hold of a plane's log, its state, and what operators were told. Pure.

Every function returns sentences, one for each fault; none where all is well.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec import UNSET

from collectors.control import chain, wire
from collectors.intents import BRAKES, Intent, Outcome, OutcomeKind

Resource = wire.Release | wire.Throttle

_FINALS = frozenset(OutcomeKind) - {OutcomeKind.PENDING}


@dataclass
class Made:
    """One intent that an operator decided on, and what became of it.

    expected: members of the log's `after` that it has to bring, where they are there
    outcomes: as they were told; empty, or without a final one, where nobody listened to the end
    """

    step: int
    actor: str
    intent: Intent
    expected: Mapping[str, object]
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def final(self) -> Outcome | None:
        """Its last word, if it was heard."""
        return self.outcomes[-1] if self.outcomes and self.outcomes[-1].is_final else None

    def __str__(self) -> str:
        one = self.intent
        what = " ".join(f"{name}={value}" for name, value in one.arguments.items() if name != "stages")
        told = " | ".join(f"{each.kind} {each.text[:110]}" for each in self.outcomes) or "nobody listened"
        return f"{self.step} {self.actor} {one.operation} {one.target} {what} [{one.key[:8]}]: {told}"


class Claim(NamedTuple):
    """What an operator was told later of a write whose answer never came. about: which it can have been."""

    what: str
    about: tuple[Made, ...]


def log_faults(bodies: Sequence[bytes]) -> list[str]:
    """The whole log, oldest first, as it came: its chain, and every key applied once at most."""
    broken = chain.verify(bodies, "")
    keys = Counter((one.actor, one.idempotency_key) for one in _applied(entries(bodies)))
    twice = [f"{actor}'s key {key} was applied {times} times" for (actor, key), times in keys.items()
             if key is not None and times > 1]  # fmt: skip
    return [*([broken] if broken else []), *twice]


def entries(bodies: Iterable[bytes]) -> list[wire.Audit]:
    """The entries of a log."""
    return [wire.read(one, wire.Audit) for one in bodies]


def state_faults(log: Sequence[wire.Audit], resources: Sequence[Resource]) -> list[str]:
    """The state is what the applied entries make of each other, in order; none more than it says."""
    held: dict[str, dict[str, object]] = {}
    found = []
    for entry in _applied(log):
        state = held.setdefault(entry.resource, {})
        if entry.before is None and state:
            found.append(f"{entry.id}: {entry.resource} was made a second time")
        for name, value in (entry.before or {}).items():
            if name in state and state[name] != value:
                found.append(f"{entry.id}: {entry.resource} {name} was {state[name]} and is {value} before")
        state |= entry.after or {}
    ids = {entry.id for entry in _applied(log)}
    for one in resources:
        now, said = _facts(one), held.get(one.path, {})
        found += [
            f"{one.path} {name} is {now[name]}, and by the log {value}"
            for name, value in said.items()
            if now[name] != value
        ]
        if one.last_change is not None and one.last_change.audit_id not in ids:
            found.append(f"{one.path} was changed by {one.last_change.audit_id}, which the log has not")
    return found


def told_faults(made: Sequence[Made], log: Sequence[wire.Audit]) -> Iterator[tuple[Made, str]]:
    """What operators were told is so, and every write that was applied did what was asked for, seen as asked.

    log: when nothing is under way any more
    """
    applied = {(one.actor, one.idempotency_key): one for one in _applied(log)}
    known = {(one.actor, one.idempotency_key) for one in log}
    for one in made:
        key = (one.actor, one.intent.key)
        entry, final = applied.get(key), one.final
        if entry is not None and (why := _effect_fault(one, entry)):
            yield one, f"{entry.id} {why}"
        if final is None:
            continue
        if final.kind not in _FINALS:
            yield one, f"ended {final.kind}, which this plane never says"
        elif final.kind is OutcomeKind.APPLIED and entry is None:
            yield one, "was told applied, and it is not"
        elif final.kind is OutcomeKind.APPLIED and entry is not None and entry.id != final.audit_id:
            yield one, f"was told applied by {final.audit_id}, and it was {entry.id}"
        elif final.kind in {OutcomeKind.REFUSED, OutcomeKind.CONFLICT} and entry is not None:
            yield one, f"was told {final.kind}, and it is applied ({entry.id})"
        if not final.was_sent and key in known:
            yield one, "was told that it was not sent, and the log has it"
    mine = {(one.actor, one.intent.key) for one in made}
    for key in applied.keys() - mine:
        if key[1] is not None and made:
            yield made[-1], f"{key[0]}'s key {key[1]} was applied, and nobody asked for it"


def claim_faults(claims: Sequence[Claim], log: Sequence[wire.Audit]) -> Iterator[tuple[Made, str]]:
    """What a later look said of a write without an answer is so."""
    applied = {(one.actor, one.idempotency_key) for one in _applied(log)}
    for what, about in claims:
        said = what == "was applied"
        if about and not any(((one.actor, one.intent.key) in applied) == said for one in about):
            yield about[0], f"settled as {what!r}, and it is {'not ' if said else ''}applied"


class Witness:
    """Looks at the plane's lists over time: seq never goes back, and an etag is of one state alone."""

    def __init__(self) -> None:
        self.seq = 0
        self.faults: list[str] = []
        self._states: dict[str, dict[str, object]] = {}
        self._newest: dict[str, Resource] = {}

    @property
    def etags(self) -> int:
        """How many were seen."""
        return sum(map(len, self._states.values()))

    def saw(self, seq: int) -> None:
        """A seq that the plane told, later than those before."""
        if seq < self.seq:
            self.faults.append(f"seq went back from {self.seq} to {seq}")
        self.seq = max(seq, self.seq)

    def look(self, seq: int, resources: Sequence[Resource]) -> None:
        """The lists as they are now."""
        self.saw(seq)
        for one in resources:
            states, before = self._states.setdefault(one.path, {}), self._newest.get(one.path)
            state = _controlled(one)
            if states.setdefault(one.etag, state) != state:
                self.faults.append(f"{one.path} has etag {one.etag} for another state than before")
            if before is not None and one.seq < before.seq:
                self.faults.append(f"{one.path} went back from seq {before.seq} to {one.seq}")
            if before is not None and one.etag != before.etag and int(one.etag[2:]) < int(before.etag[2:]):
                self.faults.append(f"{one.path} went back from etag {before.etag} to {one.etag}")
            self._newest[one.path] = one
        for path in self._newest.keys() - {one.path for one in resources}:
            self.faults.append(f"{path} is no longer there")


def _applied(log: Iterable[wire.Audit]) -> Iterator[wire.Audit]:
    return (one for one in log if one.result == "applied")


def _effect_fault(made: Made, entry: wire.Audit) -> str:
    """What is wrong with what an applied write did; "" where it did what was asked for."""
    intent, before, after = made.intent, entry.before or {}, entry.after or {}
    if (entry.op, entry.resource) != (intent.operation, intent.target.path):
        return f"is {entry.op} of {entry.resource}: another write under this key"
    if entry.decision_id != intent.decision_id or entry.reason != intent.reason:
        return "has another decision or reason"
    for name, value in intent.seen.items():
        is_told = name in before and not (intent.operation in BRAKES and name != "candidate")
        if is_told and before[name] != value:
            return f"was applied where {name} was {before[name]}, and {value} was seen"
    for name, value in made.expected.items():
        if name in after and after[name] != value:
            return f"made {name} {after[name]}, and {value} was asked for"
    return ""


def _facts(one: Resource) -> dict[str, object]:
    """A resource in the words of the log."""
    if isinstance(one, wire.Throttle):
        back = one.revert_to if isinstance(one.revert_to, wire.Revert) else None
        return {
            "level": one.level,
            "expires_at": one.expires_at,
            "limit": one.limit,
            "ramp_per_min": one.ramp_per_min,
            "return_ramp_per_min": one.return_ramp_per_min,
            "revert_to": back and {"level": back.level, "expires_at": back.expires_at},
        }
    return {
        "candidate": one.candidate,
        "phase": one.status.phase,
        "stage": one.status.stage,
        "stable": one.stable,
        "pause_reason": one.status.pause_reason,
        "desired": {each.tier: each.desired for each in one.status.exposure},
    }


def _controlled(one: Resource) -> object:
    """What an etag stands for. Source: control contract, section 5."""
    if isinstance(one, wire.Throttle):
        remembered = None if one.revert_to is UNSET else one.revert_to
        return (one.level, one.limit, one.baseline, one.unit, one.ramp_per_min, one.return_ramp_per_min,
                one.expires_at, remembered)  # fmt: skip
    status = one.status
    desired = tuple((each.tier, each.desired) for each in status.exposure)
    return (one.base, one.stages, one.candidate, one.stable, status.phase, status.pause_reason, status.stage,
            desired, status.gate.state)  # fmt: skip
