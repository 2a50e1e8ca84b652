"""What an operator asks for and what became of it, as types: what dialogs, commands and planes share.

Frozen and of standard-library parts, as `fleet`. Source of names and rules: control contract, 5 and 8.
"""

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol

OPERATIONS = (
    "release.advance",
    "release.pause",
    "release.resume",
    "release.abort",
    "release.register",
    "release.retry",
    "release.rollback",
    "release.set_weight",
    "release.override_gate",
    "throttle.set",
    "throttle.clear",
    "throttle.ramp",
    "watch",
    "dry_run",
)
"""Every operation a plane speaks about, by its name in the contract."""

BRAKES = frozenset({"release.pause", "release.abort"})
"""Operations that are never refused as stale: `If-Match: *`, only the candidate must be the one seen.

Tightening a throttle is a brake for the operator (S: it needs `y` only), but names the level it replaces.
"""

ANY_ETAG = "*"


@dataclass(frozen=True, slots=True)
class Ability:
    """Whether one operation can be done here, and by this caller. `why`: the sentence of a greyed key."""

    supported: bool
    allowed: bool = True
    why: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it can be done."""
        return self.supported and self.allowed


@dataclass(frozen=True, slots=True)
class PlaneFacts:
    """What a control plane says of itself and of its caller.

    abilities: every name of OPERATIONS
    tiers: from most to least privileged
    clock_offset_s: the plane's clock less ours; None if untold
    ttl_max_s: longest time a throttle may be set for
    """

    actor: str = ""
    role: str = ""
    abilities: Mapping[str, Ability] = field(default_factory=lambda: MappingProxyType({}))
    tiers: tuple[str, ...] = ()
    clock_offset_s: float | None = None
    api_version: str = ""
    ttl_max_s: int = 604_800

    def ability(self, operation: str) -> Ability:
        """Of one operation; one that the plane does not name is not supported."""
        return self.abilities.get(operation, Ability(False, False, "this control plane does not offer it"))


class Target(NamedTuple):
    """What an intent acts on: a release by id, or a throttle cell (feature, tier)."""

    kind: Literal["release", "throttle"]
    id: str
    tier: str = ""

    @property
    def path(self) -> str:
        """Its resource in the contract. Ids are checked by whoever makes them: they hold no slash."""
        return f"/v1/releases/{self.id}" if self.kind == "release" else f"/v1/throttles/{self.id}/{self.tier}"

    def __str__(self) -> str:
        return f"{self.id}/{self.tier}" if self.tier else self.id


@dataclass(frozen=True, slots=True)
class Intent:
    """What the operator asks for, on one target, and what they saw when asking.

    operation: as in the contract's capabilities, e.g. "release.advance", "throttle.set"
    arguments: members of the body besides `from`, `reason`, `decision_id`, `client`
    seen: the precondition `from`
    etag: of what was seen; ANY_ETAG for a brake; None for a release that must not exist yet
    reason, key, decision_id: "" until it is `decided`; key: of idempotency, one for each target
    """

    operation: str
    target: Target
    arguments: Mapping[str, object]
    seen: Mapping[str, str | float | None]
    etag: str | None
    reason: str = ""
    key: str = ""
    decision_id: str = ""
    ticket: str = ""


def decided(intents: Sequence[Intent], reason: str, ticket: str = "") -> tuple[Intent, ...]:
    """The intents of one confirmed decision: one fresh key each, and one decision id for all."""
    decision = str(uuid.uuid4())
    return tuple(
        replace(one, reason=reason, ticket=ticket, key=str(uuid.uuid4()), decision_id=decision)
        for one in intents
    )


class Difference(NamedTuple):
    """One thing that changes, or that is no longer as it was seen. `what` and values are words for people."""

    what: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What one intent would do, by the plane's dry run just now.

    at: our clock, seconds since the epoch
    refusal: why it would not be applied, a sentence with what to do; "" if it would
    code: the contract's problem code of the refusal, "" without one
    changes: what would change; moved: what is no longer as the intent saw it (then it is refused)
    etag: of the resource as it is now
    """

    intent: Intent
    at: float
    refusal: str = ""
    code: str = ""
    changes: tuple[Difference, ...] = ()
    warnings: tuple[str, ...] = ()
    moved: tuple[Difference, ...] = ()
    etag: str = ""

    @property
    def would_apply(self) -> bool:
        """Whether the plane would do it."""
        return not self.refusal


class OutcomeKind(StrEnum):
    """What became of an intent."""

    APPLIED = "applied"
    PENDING = "pending"
    REFUSED = "refused"
    CONFLICT = "conflict"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an intent, on its one target. `text` says it in words fit for the screen.

    at: our clock, seconds since the epoch
    moved: what was no longer as the intent saw it
    is_final: False while it is still being settled (pending, or a reply that was lost): another one follows
    was_sent: False where nothing left for the plane, so that nothing can have changed
    code: the contract's problem code; audit_id: of the plane's log, "" where it logged nothing
    """

    intent: Intent
    kind: OutcomeKind
    at: float
    text: str
    code: str = ""
    audit_id: str = ""
    moved: tuple[Difference, ...] = ()
    is_final: bool = True
    was_sent: bool = True


@dataclass(frozen=True, slots=True)
class Logged:
    """One entry of the plane's log of actions.

    before, after: the members the operation changed, as the plane logged them (shares 0..1, times RFC 3339)
    result: applied, refused, failed or unknown; code: of a refusal
    """

    audit_id: str
    at: float
    actor: str
    operation: str
    target: Target
    reason: str
    result: str
    code: str = ""
    before: Mapping[str, object] = field(default_factory=dict)
    after: Mapping[str, object] = field(default_factory=dict)
    decision_id: str = ""


class Operator(Protocol):
    """The way of intents to a control plane. Made by a live source; a replay has none at all."""

    async def rehearse(self, intents: Sequence[Intent]) -> tuple[Rehearsal, ...]:
        """Each intent's dry run, after a fresh look at its target. Never raises for what the plane does:
        an absent plane is a refusal in words."""
        ...

    def carry_out(self, intents: Sequence[Intent]) -> AsyncIterator[Outcome]:
        """Carry out one decision, target by target, in order: look again, compare, write, settle.

        Yields one or more outcomes of each target, the last one final. It stops after the first target that
        ended neither applied nor pending; the targets behind it yield `refused`, not sent. The intents must
        be `decided`. raises: ValueError otherwise.
        """
        ...

    async def own_actions(self, limit: int = 20) -> tuple[Logged, ...]:
        """The caller's own newest entries of the log, newest first. raises: PlaneError."""
        ...
