"""One write: whether it may, and what it makes of the resource. Source: control contract, sections 3 to 5.

The order of the checks is the contract's: `forbidden`, `shape_problem`, then the key (the store's),
`early_problem`, and the rest in `carry_out`. What `carry_out` refuses has reached the `from` check, and is
for the log.
"""

import unicodedata
from typing import NamedTuple

from msgspec import UNSET, to_builtins
from msgspec.structs import replace

from collectors.control import wire
from collectors.control.server import rules, throttling
from collectors.control.server.commands import (
    Advance,
    ClearThrottle,
    Command,
    Register,
    RollBack,
    SetThrottle,
    SetWeight,
)
from collectors.control.server.preconditions import (
    Resource,
    absent,
    needless,
    stale_etag,
    stale_seen,
    with_current,
    wrong_phase,
)
from collectors.control.server.problems import Problem, invalid, not_found
from collectors.control.server.seed import TOO_FINE, SeedRelease, is_fine, release_faults
from collectors.control.server.state import Batch, Config, Entry, facts, registered
from collectors.text import clean

_UNSHOWN = frozenset(
    map(chr, (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), 0x2800, 0x3164, 0xFFA0))
) | frozenset(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
"""What Unicode takes for letters, signs or marks and no font shows."""


class Landed(NamedTuple):
    """A write that was carried out. `before`: None if the resource is new; `audit_id`: of its entry."""

    status: int
    before: Resource | None
    after: Resource
    audit_id: str


def entry_of(command: Command, problem: Problem | None = None) -> Entry:
    """What the log says of a write: carried out, or refused with `problem`."""
    body, caller = command.body, command.caller
    gate = body.client_gate if isinstance(body, Advance) else None
    return Entry(
        caller.actor,
        command.operation,
        body.reason,
        role=caller.role,
        result="applied" if problem is None else "refused",
        code=None if problem is None else problem.code,
        request_id=command.request_id,
        via=caller.via,
        ticket=body.ticket,
        client=None if body.client is None else to_builtins(body.client),
        client_gate=None if gate is None else to_builtins(gate),
        override_gate=isinstance(body, Advance) and body.override_gate,
        decision_id=body.decision_id,
        idempotency_key=command.key or None,
    )


def forbidden(command: Command) -> Problem | None:
    """403 for passing a gate without the role for that; the operation's own role was looked at before."""
    body, caller = command.body, command.caller
    if not (isinstance(body, Advance) and body.override_gate) or caller.may("release.override_gate"):
        return None
    detail = f"override_gate: {clean(caller.actor)} {caller.why_not('release.override_gate')}"
    return Problem(403, "forbidden", "Not allowed", detail)


def shape_problem(command: Command, config: Config, ttl_max_s: int) -> Problem | None:
    """400: what makes no sense whatever the state, beyond what the shapes refuse."""
    body = command.body
    for name in needless(command):
        return invalid(f"/from/{name}", f"{command.operation} does not look at it")
    if sum(map(_is_visible, body.reason)) < 3:
        return invalid("/reason", "give at least 3 characters that can be seen")
    if isinstance(body, SetWeight) and is_fine(body.weight):
        return invalid("/weight", TOO_FINE)
    if isinstance(body, SetThrottle):
        if body.level is not UNSET and is_fine(body.level):
            return invalid("/level", TOO_FINE)
        if (body.level is UNSET) == (body.limit is UNSET):
            return invalid("/level", "give exactly one of level and limit")
        if body.ttl_s is not None and body.expires_at is not None:
            return invalid("/expires_at", "give at most one of ttl_s and expires_at")
        if body.ttl_s is not None and body.ttl_s > ttl_max_s:
            return invalid("/ttl_s", f"at most {ttl_max_s} s here")
    if isinstance(body, Register):
        if command.if_none_match and command.if_match is not None:
            return invalid("If-None-Match", "give If-Match or If-None-Match, not both")
        if command.if_none_match and body.seen is not UNSET:
            return invalid("/from", "a release that is new has no from")
        features = [one.id for one in config.features]
        base = () if body.base is UNSET else body.base
        for pointer, what in release_faults(body.subject, body.stages, base, config.tiers, features):
            return invalid(pointer, what)
    return None


def _is_visible(character: str) -> bool:
    """Whether a screen shows something for it. Marks count: in many scripts they are the vowels."""
    return unicodedata.category(character)[0] in "LMNPS" and character not in _UNSHOWN


def early_problem(command: Command, batch: Batch) -> Problem | None:
    """404, 400 for a time that is past, and 428: what is refused before anything is compared."""
    current = current_of(command, batch)
    if current is None and not (command.operation == "release.register" and command.if_match is None):
        if command.operation.startswith("throttle."):
            cell = clean(f"{command.feature}/{command.tier}")
            return not_found(f"no cell {cell}; GET /v1/throttles lists them")
        return not_found(f"no release {clean(command.release)}; GET /v1/releases lists them")
    if isinstance(command.body, SetThrottle):
        try:
            _ends(command.body, batch.now)
        except ValueError as error:
            return invalid("/expires_at", str(error))
    return absent(command, current)


def current_of(command: Command, batch: Batch) -> Resource | None:
    """What the write is about, as it stands at the batch's time."""
    if command.operation.startswith("throttle."):
        return batch.throttles.get((command.feature, command.tier))
    release = batch.releases.get(command.release)
    return None if release is None else rules.with_gate(release, batch.now)


def carry_out(command: Command, batch: Batch) -> Landed:
    """Check what was seen, and make the change in `batch`, with its log entry.

    A change that would change nothing leaves the resource as it is, and is logged.
    raises: Problem: 409, 412, 422, and 400 for what this resource does not have.
    """
    current = current_of(command, batch)
    if current is None or command.if_none_match:
        return _created(command, current, batch)
    problem = stale_seen(command, current) or stale_etag(command, current)
    if problem is None and isinstance(current, wire.Release):
        problem = wrong_phase(command, current)
    if problem:
        raise problem
    entry = entry_of(command)
    if isinstance(current, wire.Throttle):
        running = batch.ramps.get((current.feature, current.tier))
        cell, ramp = _set(command, current, running, batch.now)
        if (cell, ramp) == (current, running):
            return _untouched(current, entry, batch)
        return _landed(200, current, batch.put_throttle(cell, entry, ramp), batch)
    wanted = rules.with_gate(_moved(command, current, batch), batch.now)
    if wanted == current:
        return _untouched(current, entry, batch)
    return _landed(200, current, batch.put_release(wanted, entry), batch)


def _untouched(current: Resource, entry: Entry, batch: Batch) -> Landed:
    batch.audit(entry, current.path, *facts(current, current))
    return _landed(200, current, current, batch)


def _landed(status: int, before: Resource | None, after: Resource, batch: Batch) -> Landed:
    # The log entry of a write is the last thing it adds.
    return Landed(status, before, after, f"a-{batch.seq}")


def _created(command: Command, current: Resource | None, batch: Batch) -> Landed:
    body = command.body
    assert isinstance(body, Register)
    if current is not None:
        detail = f"{current.path} exists; send If-Match and from to start it again"
        raise with_current(412, "stale-etag", "The release exists", detail, current)
    for other in batch.releases.values():
        if other.subject.name == body.subject.name:
            detail = f"{clean(body.subject.name)} is the subject of release {other.id}"
            raise Problem(409, "subject-taken", "Subject is taken", detail)
    release = registered(_as_seed(body), batch.config.tiers, batch.now)
    return _landed(201, None, batch.put_release(release, entry_of(command)), batch)


def _moved(command: Command, current: wire.Release, batch: Batch) -> wire.Release:
    """The release after the operation; its gate is yet to be looked at. raises: Problem: 400, 422."""
    body, tiers = command.body, batch.config.tiers
    if isinstance(body, Advance):
        return _advanced(body, current, batch)
    if isinstance(body, RollBack):
        return rules.rolled_back(current, _revision(body, current), tiers)
    if isinstance(body, SetWeight):
        return rules.weighed(current, body.weight)
    if isinstance(body, Register):
        return _started_again(body, current, batch)
    match command.operation:
        case "release.pause":
            return rules.paused(current)
        case "release.resume":
            return rules.resumed(current)
        case "release.abort":
            return rules.at_base(current, "aborted", tiers)
        case "release.retry":
            return rules.at_base(current, "pending", tiers)
    raise ValueError(f"no operation {command.operation!r} of a release")


def _advanced(body: Advance, current: wire.Release, batch: Batch) -> wire.Release:
    index = current.status.stage_index
    following = 0 if index is None else index + 1
    later = [stage.id for stage in current.stages[following:]]
    if body.to is not None and body.to not in later:
        raise invalid("/to", f"no later stage {clean(body.to)}; there are: {', '.join(later) or 'none'}")
    gate = current.status.gate
    if gate.state != "open" and not body.override_gate:
        failing = [f"{one.id}: {one.detail}" for one in gate.checks if one.state != "pass"]
        detail = "; ".join(failing) or f"the gate is {gate.state}"
        raise Problem(422, "gate-not-met", "Gate is closed", detail, members={"gate": gate})
    to = following if body.to is None else following + later.index(body.to)
    return rules.entered(current, to, batch.config.tiers, batch.now)


def _revision(body: RollBack, current: wire.Release) -> str:
    if current.stable is None:
        raise invalid("/to_revision", f"{current.id} has no stable revision to return to; abort instead")
    if body.to_revision is None:
        if current.status.phase == "completed":
            known = ", ".join(current.history)
            raise invalid("/to_revision", f"required of a completed release; there are: {known}")
        return current.stable
    if body.to_revision not in current.history:
        known = ", ".join(current.history) or "none"
        raise invalid("/to_revision", f"{clean(body.to_revision)} is not in the history; there are: {known}")
    return body.to_revision


def _started_again(body: Register, current: wire.Release, batch: Batch) -> wire.Release:
    if (body.subject.kind, body.subject.name) != (current.subject.kind, current.subject.name):
        held = f"{current.subject.kind} {current.subject.name}"
        raise invalid("/subject", f"release {current.id} is of {held}; its subject does not change")
    fresh = registered(_as_seed(body), batch.config.tiers, batch.now)
    base = fresh.base
    if body.base is UNSET and current.subject.kind == "feature":
        # Whoever has the feature keeps it while its next release opens it to others.
        base = tuple(
            wire.TierWeight(one.tier, one.desired) for one in current.status.exposure if one.desired > 0
        )
    again = replace(
        current,
        title=current.title if body.title is UNSET else fresh.title,
        candidate=fresh.candidate,
        stages=fresh.stages,
        base=base,
    )
    return rules.at_base(again, "pending", batch.config.tiers)


def _as_seed(body: Register) -> SeedRelease:
    return SeedRelease(
        id=body.id,
        subject=body.subject,
        candidate=body.candidate,
        stages=body.stages,
        title="" if body.title is UNSET else body.title,
        stable=None if body.stable is UNSET else body.stable,
        base=() if body.base is UNSET else body.base,
    )


def _set(
    command: Command, current: wire.Throttle, running: throttling.Ramp | None, now: float
) -> tuple[wire.Throttle, throttling.Ramp | None]:
    """The cell after a set or clear, and its ramp. raises: Problem: 400, 422."""
    body = command.body
    if isinstance(body, ClearThrottle):
        if current.level is None:
            raise _no_baseline(current)
        back = throttling.reverted(current, now, to_open=body.revert_to == "open")
        return throttling.set_off(current, back, current.return_ramp_per_min, now, running)
    assert isinstance(body, SetThrottle)
    cell = throttling.throttled(
        current,
        _level(body, current),
        expires_at=_ends(body, now),
        revert_to=body.revert_to,
        ramp_per_min=body.ramp_per_min,
        return_ramp_per_min=body.return_ramp_per_min,
    )
    if body.limit is not UNSET:
        cell = replace(cell, limit=body.limit)
    return throttling.set_off(current, cell, body.ramp_per_min, now, running)


def _level(body: SetThrottle, current: wire.Throttle) -> float:
    if body.level is not UNSET and (current.level is not None or current.baseline is not None):
        return body.level
    if body.limit is UNSET or not current.baseline:
        raise _no_baseline(current)
    if body.limit > current.baseline:
        raise invalid("/limit", f"at most the baseline, {current.baseline:g} {current.unit}")
    return body.limit / current.baseline


def _no_baseline(current: wire.Throttle) -> Problem:
    name = f"{current.feature}/{current.tier}"
    detail = f"{name} has no baseline, so a limit and a level say nothing of each other"
    return Problem(422, "no-baseline", "No baseline", detail)


def _ends(body: SetThrottle, now: float) -> str | None:
    """When the setting ends. raises: ValueError for a time that is none, or is past."""
    if body.ttl_s is not None:
        return wire.render_time(now + body.ttl_s)
    if body.expires_at is None:
        return None
    at = wire.read_time(body.expires_at)
    if at <= now:
        raise ValueError(f"{clean(body.expires_at, 40)} is past: it is {wire.render_time(now)} here")
    return wire.render_time(at)
