"""A write as the store carries it out: who asks for what, on which resource, having seen what.

Shapes are strict: an unknown or misspelt member is refused, so that a misspelt precondition cannot vanish.
Source: control contract, sections 3 to 6.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from collectors.control import wire
from collectors.control.server.access import Caller
from collectors.control.server.seed import TTL_MAX_S, Id, Name, SeedStage, SeedSubject, SeedWeight, Why

Rate = Annotated[float, Meta(gt=0, le=1)]
"""Share a minute that a ramp moves a level by."""

KEY_PATTERN = r"^[A-Za-z0-9._-]{1,128}\Z"
"""Idempotency keys and decision ids."""

SHA256_PATTERN = r"^[0-9a-f]{64}\Z"


class Seen(Struct, frozen=True, forbid_unknown_fields=True):
    """What the operator saw (`from`). What is left out stays UNSET; a stage and a limit may be null."""

    candidate: str | UnsetType = UNSET
    stage: str | UnsetType | None = UNSET
    weight: wire.Share | UnsetType = UNSET
    level: wire.Share | UnsetType | None = UNSET
    limit: float | UnsetType | None = UNSET


class Client(Struct, frozen=True, forbid_unknown_fields=True):
    """Local context, kept in the audit as claimed, never trusted."""

    user: Annotated[str, Meta(max_length=64)] = ""
    host: Annotated[str, Meta(max_length=64)] = ""
    version: Annotated[str, Meta(max_length=64)] = ""


class ClientGate(Struct, frozen=True, forbid_unknown_fields=True):
    """The verdict of the client's own gate, audited and not judged."""

    verdict: Literal["GO", "HOLD", "NO-GO", "UNKNOWN"]
    sha256: Annotated[str, Meta(pattern=SHA256_PATTERN)]


class Write(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every write's body may carry."""

    reason: Why
    seen: Seen | UnsetType = field(name="from", default=UNSET)
    ticket: Annotated[str, Meta(max_length=64)] | None = None
    decision_id: Annotated[str, Meta(pattern=KEY_PATTERN)] | None = None
    client: Client | None = None


class Advance(Write, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One stage on, or to the later stage `to`."""

    to: Id | None = None
    override_gate: bool = False
    client_gate: ClientGate | None = None


class Plain(Write, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pause, resume, abort and retry: no argument of their own."""


class RollBack(Write, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Back to `to_revision` of the history; the stable one by default."""

    to_revision: Name | None = None


class SetWeight(Write, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new weight for the current stage's tier."""

    weight: wire.Share


class SetThrottle(Write, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exactly one of `level`, `limit`; at most one of `ttl_s`, `expires_at`.

    A ramp of null is none: the level applies at once. Left out, the way back has 0.1 a minute.
    """

    level: wire.Share | UnsetType = UNSET
    limit: Annotated[float, Meta(ge=0)] | UnsetType = UNSET
    ttl_s: Annotated[int, Meta(ge=1, le=TTL_MAX_S)] | None = None
    expires_at: str | None = None
    revert_to: Literal["previous", "open"] = "previous"
    ramp_per_min: Rate | None = None
    return_ramp_per_min: Rate | UnsetType | None = UNSET


class ClearThrottle(Write, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Back to the setting before, or, with `open`, no throttle at all."""

    revert_to: Literal["previous", "open"] = "previous"


class Register(Write, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A candidate with its stages: a new release, or one that starts again."""

    id: Id
    subject: SeedSubject
    candidate: Name
    stages: Annotated[tuple[SeedStage, ...], Meta(min_length=1, max_length=64)]
    title: Annotated[str, Meta(max_length=128)] | UnsetType = UNSET
    stable: Name | UnsetType | None = UNSET
    base: tuple[SeedWeight, ...] | UnsetType = UNSET


Body = Advance | Plain | RollBack | SetWeight | SetThrottle | ClearThrottle | Register

BODIES: dict[str, type[Body]] = {
    "release.advance": Advance,
    "release.pause": Plain,
    "release.resume": Plain,
    "release.abort": Plain,
    "release.retry": Plain,
    "release.rollback": RollBack,
    "release.set_weight": SetWeight,
    "release.register": Register,
    "throttle.set": SetThrottle,
    "throttle.clear": ClearThrottle,
}
"""The body of each writing operation."""


class Command(Struct, frozen=True, kw_only=True):
    """One write, whose shape and caller are checked, ready for the store.

    operation: a key of BODIES
    release, feature, tier: what it acts on; of a register, `release` is the body's id
    body: of the operation's type
    caller: who may do it by role (checked); `override_gate` needs its own role, which the store checks
    key, fingerprint: of idempotency; the key is "" in a dry run only
    if_match: the tag without quotes, or "*"; None where the header is absent
    if_none_match: whether `If-None-Match: *` was sent (register)
    """

    operation: str
    body: Body
    caller: Caller
    key: str
    fingerprint: str
    request_id: str
    release: str = ""
    feature: str = ""
    tier: str = ""
    if_match: str | None = None
    if_none_match: bool = False

    @property
    def resource(self) -> str:
        """The resource's path, as the audit names it."""
        if self.operation.startswith("release."):
            return f"/v1/releases/{self.release}"
        return f"/v1/throttles/{self.feature}/{self.tier}"


class Done(Struct, frozen=True, kw_only=True):
    """The answer to a write that was carried out, now or, if `replayed`, when its key was first used.

    status: 200, or 201 for a release that is new; body: the resource as JSON
    """

    status: int
    body: bytes
    etag: str
    audit_id: str
    replayed: bool = False
