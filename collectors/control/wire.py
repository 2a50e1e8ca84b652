"""The control contract's JSON as structs, in the order of its text: what native client and server share.

Unknown fields are ignored and words outside a list are kept as they came: a newer server must stay readable.
What a server accepts is stricter, see `server/seed.py`. Times are RFC 3339 text; `read_time` and
`render_time` convert. Shares are 0..1 with at most 4 decimals.
"""

from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
"""Up to 2**53, so that every JSON parser reads the same number."""

Shape = TypeVar("Shape")


class Gate(Struct, frozen=True):
    """What guards leaving a stage. `kind`: manual or auto."""

    kind: str = "manual"
    hold_s: Count = 0


class Stage(Struct, frozen=True):
    """Audience and the share of it that gets the candidate."""

    id: str
    tier: str
    weight: Share
    gate: Gate = Gate()


class TierWeight(Struct, frozen=True):
    """A tier that has the subject whatever the stage."""

    tier: str
    weight: Share


class Check(Struct, frozen=True):
    """One check of a gate."""

    id: str
    state: str
    detail: str = ""
    ready_at: str | None = None


class GateState(Struct, frozen=True):
    """`state`: open, closed or unknown."""

    state: str = "unknown"
    checks: tuple[Check, ...] = ()


class Exposure(Struct, frozen=True):
    """Share of a tier asked for, and seen by a metric."""

    tier: str
    desired: Share
    observed: Share | None = None


class Status(Struct, frozen=True):
    """Where a release stands."""

    phase: str = "unknown"
    pause_reason: str | None = None
    stage_index: int | None = None
    stage: str | None = None
    entered_at: str | None = None
    message: str = ""
    gate: GateState = GateState()
    exposure: tuple[Exposure, ...] = ()


class Change(Struct, frozen=True):
    """Who last changed a resource, by the audit."""

    audit_id: str
    op: str
    actor: str
    reason: str
    at: str


class Subject(Struct, frozen=True):
    """What a release opens. `kind`: model or feature."""

    kind: str
    name: str


class Backend(Struct, frozen=True):
    """Where the server has the state from."""

    adapter: str
    ref: str
    observed_at: str | None = None


class Release(Struct, frozen=True, kw_only=True):
    """Section 3 of the contract."""

    kind: str = "release"
    subject: Subject
    id: str
    title: str = ""
    seq: Count
    etag: str
    stable: str | None = None
    candidate: str
    history: tuple[str, ...] = ()
    base: tuple[TierWeight, ...] = ()
    stages: tuple[Stage, ...] = ()
    status: Status = Status()
    last_change: Change | None = None
    backend: Backend | None = None

    @property
    def path(self) -> str:
        """Its resource, as the audit names it."""
        return f"/v1/releases/{self.id}"


class Revert(Struct, frozen=True):
    """The setting a throttle goes back to."""

    level: float | None
    expires_at: str | None = None


class Throttle(Struct, frozen=True, kw_only=True):
    """Section 4 of the contract. `revert_to` is left out where no earlier setting is remembered."""

    kind: str = "throttle"
    feature: str
    tier: str
    seq: Count
    etag: str
    level: Share | None
    unit: str = "share"
    limit: float | None = None
    baseline: float | None = None
    state: str = "applied"
    effective_level: Share | None = None
    ramp_per_min: float | None = None
    return_ramp_per_min: float | None = None
    expires_at: str | None = None
    revert_to: Revert | UnsetType | None = UNSET
    last_change: Change | None = None

    @property
    def path(self) -> str:
        """Its resource, as the audit names it."""
        return f"/v1/throttles/{self.feature}/{self.tier}"


class Audit(Struct, frozen=True, kw_only=True):
    """One entry of the log, section 10. `before` and `after` hold the members that an op changed.

    client: local context as the client claimed it
    previous_sha256, sha256: ours, the chain: `sha256` is of this entry's JSON with `sha256` empty, and so of
        `previous_sha256`, which is the entry before's; both are empty at a server that keeps no chain
    """

    kind: str = "audit"
    id: str
    seq: Count
    at: str
    actor: str = ""
    via: str | None = None
    role: str = ""
    op: str = ""
    resource: str = ""
    reason: str = ""
    ticket: str | None = None
    result: str = "unknown"
    code: str | None = None
    override_gate: bool = False
    client_gate: dict[str, object] | None = None
    client: dict[str, str] | None = None
    decision_id: str | None = None
    idempotency_key: str | None = None
    request_id: str = ""
    before: dict[str, object] | None = None
    after: dict[str, object] | None = None
    previous_sha256: str = ""
    sha256: str = ""


class Operation(Struct, frozen=True, omit_defaults=True):
    """What a caller can do with one operation. Writers set `allowed`; left out, it reads as true."""

    supported: bool
    allowed: bool | UnsetType = UNSET
    why: str = ""


class Feature(Struct, frozen=True):
    """A product capability and the models that serve it."""

    id: str
    title: str = ""
    models: tuple[str, ...] = ()


class Server(Struct, frozen=True):
    """`instance` is ours: it changes when a server starts with nothing, which a `seq` alone cannot tell."""

    name: str = ""
    version: str = ""
    instance: str = ""


class Capabilities(Struct, frozen=True, kw_only=True):
    """Section 8 of the contract."""

    api_version: str
    server: Server = Server()
    adapter: str = ""
    seq: Count = 0
    actor: str = ""
    role: str = ""
    operations: dict[str, Operation] = {}
    tiers: tuple[str, ...] = ()
    default_tier: str = ""
    features: tuple[Feature, ...] = ()
    throttle_units: tuple[str, ...] = ()
    limits: dict[str, int] = {}


class Page(Struct, frozen=True, kw_only=True):
    """A list answer. Items stay undecoded, so that one bad object does not cost the others."""

    items: tuple[msgspec.Raw, ...]
    next_page_token: str | None = None
    seq: Count


class Hello(Struct, frozen=True):
    """First event of a stream."""

    seq: Count = 0
    server_time: str | None = None
    heartbeat_s: float = 15.0
    resumed_from: int | None = None


class Bye(Struct, frozen=True):
    """Last event of a stream."""

    why: str = ""


class Changed(Struct, frozen=True):
    """One event about an object, which is always whole."""

    seq: Count
    object: msgspec.Raw


class Problem(Struct, frozen=True):
    """RFC 9457, as far as a client looks at it.

    outcome: of a 5xx: not_applied or unknown; current: the whole resource, with 409 and 412, else empty
    """

    code: str = ""
    title: str = ""
    detail: str = ""
    retryable: bool = False
    outcome: str = ""
    missing: tuple[str, ...] = ()
    gate: GateState | None = None
    current: msgspec.Raw = msgspec.Raw()


class Difference(Struct, frozen=True):
    """One member that a write would change. `path` is a JSON pointer into the resource."""

    path: str
    before: object = field(name="from", default=None)
    after: object = field(name="to", default=None)


class DryRun(Struct, frozen=True, kw_only=True):
    """What a write would do, section 5: these three members and no more."""

    would_apply: bool
    changes: tuple[Difference, ...] = ()
    warnings: tuple[str, ...] = ()


class RunningOperation(Struct, frozen=True, kw_only=True):
    """A write that its backend has not confirmed yet, section 5.

    state: running, succeeded, failed, unknown
    """

    kind: str = "operation"
    id: str
    op: str = ""
    target: str = ""
    state: str = "unknown"
    started_at: str | None = None
    finished_at: str | None = None
    problem: Problem | None = None


def read(body: bytes | msgspec.Raw, shape: type[Shape]) -> Shape:
    """`body` as `shape`.

    raises: ValueError with one sentence, for whatever JSON, UTF-8 or types are wrong, and for nesting past
        what can be read. Lone surrogates are refused here: they cannot be written again as UTF-8.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"no valid JSON: {error}") from error
    except RecursionError as error:
        raise ValueError("nested too deeply to be read") from error


def render(thing: object) -> bytes:
    """The JSON of a struct, dict or list, in UTF-8."""
    return msgspec.json.encode(thing)


def read_time(text: str) -> float:
    """Seconds since the epoch. raises: ValueError unless `text` is RFC 3339 with an offset or Z."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError("no offset")
        return at.timestamp()
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text[:40]!r} is no RFC 3339 time such as 2026-11-21T17:00:00Z") from error


def render_time(at: float, *, millis: bool = False) -> str:
    """RFC 3339 in UTC ending in Z: in whole seconds where it is one, else (or if `millis`) milliseconds."""
    rounded = round(at * 1000)
    text = datetime.fromtimestamp(rounded // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rounded % 1000:03d}Z" if millis or rounded % 1000 else f"{text}Z"
