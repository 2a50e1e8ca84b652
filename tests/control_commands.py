"""Writes as the store takes them, made short for tests."""

import itertools
import json
from typing import Any

import msgspec

from collectors.control import wire
from collectors.control.server.access import Caller, Role
from collectors.control.server.commands import BODIES, Command
from collectors.control.server.problems import Problem
from collectors.control.server.serve import EXAMPLE_SEED
from collectors.control.server.store import AuditQuery, Store

NOW = 1795280400.0
LLAMA, FEATURE, IMAGES, VOICE = "llama-70b", "deep-research", "image-generation/free", "voice/free"

OPEN = NOW + 900
"""When the gate of the stage where the example stands is open."""

ADVANCE, PAUSE, ABORT = "release.advance", "release.pause", "release.abort"
SET, CLEAR, REGISTER = "throttle.set", "throttle.clear", "release.register"

_KEYS = itertools.count()


def example() -> dict[str, Any]:
    """The seed that the package brings."""
    document: dict[str, Any] = json.loads(EXAMPLE_SEED.read_text())
    return document


def seeded() -> Store:
    """The example in memory."""
    made = Store.open(None)
    made.seed(example(), NOW)
    return made


def person(name: str = "alice", role: Role = "release-admin") -> Caller:
    """Somebody with a token."""
    return Caller(f"token-{name}", name, role)


def resource(store: Store, on: str) -> wire.Release | wire.Throttle:
    """A release by its id, or a cell by `feature/tier`."""
    if "/" not in on:
        return store.held.releases[on]
    feature, tier = on.split("/")
    return store.held.throttles[feature, tier]


def seen_of(operation: str, thing: wire.Release | wire.Throttle) -> dict[str, Any]:
    """The `from` of somebody who sees the resource as it is."""
    if isinstance(thing, wire.Throttle):
        return {"level": thing.level}
    status = thing.status
    seen: dict[str, Any] = {"candidate": thing.candidate}
    if operation not in {"release.pause", "release.abort"}:
        seen["stage"] = status.stage
    if operation == "release.set_weight":
        tier = "*" if status.stage_index is None else thing.stages[status.stage_index].tier
        seen["weight"] = next(one.desired for one in status.exposure if tier in {"*", one.tier})
    return seen


def command(store: Store, operation: str, on: str, caller: Caller | None = None, **given: Any) -> Command:
    """A write by somebody who sees the resource as it is, with members of the body, and of the command:
    `if_match`, `if_none_match`, `key`, `fingerprint`. `seen` stands for `from`; None leaves it out."""
    members = {
        name: given.pop(name) for name in ("if_match", "if_none_match", "key", "fingerprint") if name in given
    }
    is_new = members.get("if_none_match", False)
    if not is_new:
        thing = resource(store, on)
        members.setdefault("if_match", thing.etag)
        given.setdefault("seen", seen_of(operation, thing))
    if (seen := given.pop("seen", None)) is not None:
        given["from"] = seen
    given.setdefault("reason", "for a test")
    feature, _, tier = on.partition("/")
    target = {"feature": feature, "tier": tier} if tier else {"release": on}
    return Command(
        operation=operation,
        body=msgspec.convert(given, BODIES[operation]),
        caller=caller or person(),
        request_id="q-1",
        **({"key": f"key-{next(_KEYS)}", "fingerprint": repr((operation, on, given))} | members),
        **target,
    )


def do(store: Store, operation: str, on: str, now: float = NOW, **given: Any) -> wire.Release | wire.Throttle:
    """The resource after a write by somebody who sees it as it is at `now`."""
    store.tick(now)
    done = store.apply(command(store, operation, on, **given), now=now)
    kept = resource(store, on)
    assert done.etag == kept.etag
    return wire.read(done.body, type(kept))


def release(store: Store, operation: str, on: str = LLAMA, now: float = NOW, **given: Any) -> wire.Release:
    """As `do`, of a release."""
    got = do(store, operation, on, now, **given)
    assert isinstance(got, wire.Release)
    return got


def cell(store: Store, operation: str, on: str = VOICE, now: float = NOW, **given: Any) -> wire.Throttle:
    """As `do`, of a cell."""
    got = do(store, operation, on, now, **given)
    assert isinstance(got, wire.Throttle)
    return got


def desired(one: wire.Release) -> list[float]:
    """Desired exposure by tier: pro, plus, free."""
    return [share.desired for share in one.status.exposure]


def stands(one: wire.Release) -> tuple[str, str | None, str | None]:
    """Phase, pause reason and stage."""
    return one.status.phase, one.status.pause_reason, one.status.stage


def restarted(subject: str = LLAMA, **given: Any) -> dict[str, Any]:
    """The body of a register."""
    kind = "model" if subject == LLAMA else "feature"
    body = {
        "id": subject,
        "subject": {"kind": kind, "name": subject},
        "candidate": "r43",
        "stages": [
            {"id": "pro@100", "tier": "pro", "weight": 1.0},
            {"id": "all", "tier": "*", "weight": 1.0},
        ],
    }
    return body | given


def refusal(store: Store, command: Command, now: float = NOW) -> Problem:
    """The problem a write meets; a dry run meets the same, first and without a trace."""
    before = store.held
    told = None
    try:
        store.rehearse(command, now=now)
    except Problem as problem:
        told = problem
    assert store.held is before
    try:
        store.apply(command, now=now)
    except Problem as problem:
        if problem.code != "idempotency-key-reused":
            assert told is not None
            assert (problem.status, problem.code, problem.detail) == (told.status, told.code, told.detail)
        return problem
    raise AssertionError("it was carried out")


def log(store: Store, query: AuditQuery | None = None) -> list[wire.Audit]:
    """The log, newest first."""
    return [wire.read(body, wire.Audit) for _, body in store.audit(query or AuditQuery(), 100_000)]
