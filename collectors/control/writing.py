"""One write on the wire: an intent as a request, and what an answer to it says. Pure.

Source: control contract, sections 5, 6 and 12.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from collectors.control import decode, refusals, wire
from collectors.control.http import Reply
from collectors.fleet import Release, Throttle
from collectors.intents import BRAKES, Intent, Target
from collectors.text import clean

IN_PROGRESS_S = 1.0
"""Wait before a key whose first request still runs is repeated, where the plane names none."""

_ID = re.compile(r"[a-z0-9][a-z0-9._@-]{0,62}")
_KEY = re.compile(r"[A-Za-z0-9._-]{1,128}")
_OPERATION_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

_BEFORE_THE_KEY = frozenset({400, 401, 403, 413, 415, 429})
"""Checked before the key is looked up: on a repeat they say nothing of the first request."""

_DECIDED = frozenset(
    {
        "not-found",
        "unsupported-operation",
        "precondition-required",
        "gate-not-met",
        "no-baseline",
        "backend-error",
        "backend-unavailable",
        "backend-timeout",
    }
)
"""Answers of a plane that has looked its keys up and found nothing under this one, so that an earlier request
under it was not applied. What has no such code may come of something in between."""


class Fate(StrEnum):
    """What an answer says. IN_PROGRESS: the first request of its key still runs; LOST: nothing for sure."""

    APPLIED = "applied"
    PENDING = "pending"
    REFUSED = "refused"
    CONFLICT = "conflict"
    IN_PROGRESS = "in progress"
    LOST = "lost"


class Verdict(NamedTuple):
    """What an answer says of a write.

    why: of a refusal, a conflict or a loss, a sentence; resource: as applied, or as it stands in a conflict
    operation: id to ask about while pending; wait_s: before the same key is sent again
    is_replay: the plane had stored this answer, and the resource may have changed since
    """

    fate: Fate
    why: str = ""
    code: str = ""
    audit_id: str = ""
    resource: Release | Throttle | None = None
    operation: str = ""
    wait_s: float = 0.0
    is_replay: bool = False


class _Said(Struct, frozen=True):
    """The least of a problem: what it is switched on, and what is shown."""

    code: str = ""
    title: str = ""
    detail: str = ""
    outcome: str = ""


class Request(NamedTuple):
    """A write as it is sent, the same each time: another body under one key would be refused."""

    path: str
    body: bytes
    headers: Mapping[str, str]


def unfit(intent: Intent) -> str:
    """Why an intent cannot be put on the wire as it is; "" if it can."""
    names = [intent.target.id] if intent.target.kind == "release" else [intent.target.id, intent.target.tier]
    for name in names:
        if not _ID.fullmatch(name):
            return f"{clean(name, 80)!r} is no id of the control contract, so nothing can be sent about it"
    if intent.key and not _KEY.fullmatch(intent.key):
        return "its idempotency key has characters that the control contract does not know"
    # A brake names no rev, whatever the resource has for one.
    if intent.operation in BRAKES or intent.etag is None or decode.ETAG.fullmatch(intent.etag):
        return ""
    return (
        f"its rev cannot be used ({clean(intent.etag, 40) or 'none that is fit'}): it would guard nothing; "
        f"only a pause or an abort can be sent until the plane is mended"
    )


def request(intent: Intent, client: Mapping[str, str]) -> Request:
    """The write of an intent; of one that is not decided, the dry run of it.

    client: user, host and version, told as they are claimed
    """
    verb, path = intent.operation.partition(".")[2], intent.target.path
    members: dict[str, object] = dict(intent.arguments)
    if intent.seen:
        members["from"] = dict(intent.seen)
    # A dry run comes before anybody has said why; its reason is not kept.
    members["reason"] = intent.reason or "dry run"
    if intent.ticket:
        members["ticket"] = intent.ticket
    if intent.decision_id:
        members["decision_id"] = intent.decision_id
    members["client"] = dict(client)
    headers = {"Idempotency-Key": intent.key} if intent.key else {}
    if intent.etag is None:
        headers["If-None-Match"] = "*"
    else:
        headers["If-Match"] = intent.etag if intent.etag == "*" else f'"{intent.etag}"'
    is_new = intent.operation == "release.register"
    return Request("/v1/releases" if is_new else f"{path}:{verb}", wire.render(members), headers)


def verdict(intent: Intent, reply: Reply, *, is_repeat: bool = False, role: str = "") -> Verdict:
    """What an answer says of the write, by its status, its code and whether it is about our target at all.

    is_repeat: an earlier request under this key got no answer, so not every refusal speaks of that one too
    """
    status, audit_id = reply.status, clean(reply.headers.get("tidegate-audit-id", ""), 63)
    if 300 <= status < 400:
        # Something in between: whatever it names is no entry of the plane's.
        audit_id = ""
    if status in {200, 201}:
        return _applied(intent, reply, audit_id)
    if status == 202:
        return _pending(reply, audit_id)
    problem = read_problem(reply.body)
    code = clean(problem.code, 60)
    wait_s = refusals.retry_after_s(reply.headers)
    why = refusals.unwritten(intent.operation, status, problem, role=role, wait_s=wait_s)
    if status in {409, 412}:
        if code == "in-progress":
            wait_s = IN_PROGRESS_S if wait_s is None else wait_s
            return Verdict(Fate.IN_PROGRESS, why, code, audit_id, wait_s=wait_s)
        if status == 409 and not code:
            return Verdict(Fate.LOST, "its answer, 409, does not say what it means", audit_id=audit_id)
        detail = clean(problem.detail or problem.title, 256)
        return Verdict(Fate.CONFLICT, detail, code, audit_id, _current(intent.target, problem))
    is_undone = problem.outcome == "not_applied" or code == "unsupported-operation"
    is_refusal = 400 <= status < 500 or (status >= 500 and is_undone)
    if is_refusal and (not is_repeat or (code in _DECIDED and status not in _BEFORE_THE_KEY)):
        return Verdict(Fate.REFUSED, why, code, audit_id)
    if is_refusal:
        return Verdict(Fate.LOST, f"a repeat was refused: {why}", code, audit_id, wait_s=wait_s or 0.0)
    said = clean(problem.detail or problem.title, 200)
    why = f"the plane answers {status}{f': {said}' if said else ''}"
    return Verdict(Fate.LOST, why, code, audit_id, wait_s=wait_s or 0.0)


def read_problem(body: bytes) -> wire.Problem:
    """The problem of an answer, as far as it can be read."""
    try:
        return wire.read(body, wire.Problem)
    except ValueError:
        # Something of it is not as we know it, or it is a page of whatever stands in between.
        pass
    try:
        said = wire.read(body, _Said)
    except ValueError:
        return wire.Problem()
    return wire.Problem(said.code, said.title, said.detail, outcome=said.outcome)


def read_resource(target: Target, body: bytes) -> Release | Throttle:
    """The resource of `target`. raises: ValueError if it is none, or another's."""
    thing: Release | Throttle
    if target.kind == "release":
        thing = decode.release(wire.read(body, wire.Release))
        found = Target("release", thing.id)
    else:
        thing = decode.throttle(wire.read(body, wire.Throttle))
        found = Target("throttle", thing.feature, thing.tier)
    if found != target:
        raise ValueError(f"it is about {found}, and {target} was asked for")
    return thing


def _applied(intent: Intent, reply: Reply, audit_id: str) -> Verdict:
    try:
        resource = read_resource(intent.target, reply.body)
    except ValueError as error:
        return Verdict(Fate.LOST, f"its answer cannot be read: {clean(str(error), 200)}")
    if not audit_id:
        # Every write's answer has one; the answer to a read, sent twice, has none.
        return Verdict(Fate.LOST, "its answer names no entry of the log, as a write's does")
    is_replay = reply.headers.get("idempotency-replayed", "").lower() == "true"
    return Verdict(Fate.APPLIED, "", "", audit_id, resource, is_replay=is_replay)


def _pending(reply: Reply, audit_id: str) -> Verdict:
    try:
        running = wire.read(reply.body, wire.RunningOperation)
    except ValueError as error:
        return Verdict(Fate.LOST, f"its answer cannot be read: {clean(str(error), 200)}", audit_id=audit_id)
    if not _OPERATION_ID.fullmatch(running.id):
        return Verdict(Fate.LOST, "it names no operation to ask about", audit_id=audit_id)
    return Verdict(Fate.PENDING, "", "", audit_id, operation=running.id)


def _current(target: Target, problem: wire.Problem) -> Release | Throttle | None:
    try:
        return read_resource(target, bytes(problem.current))
    except ValueError:
        # Left out, or nothing that can be read: whoever needs it looks again.
        return None
