"""What whoever writes must have seen: the checks from 428 to `wrong-phase`.

Source: control contract, section 5. Each of these returns the problem, or None where the check passes.
"""

from msgspec import UNSET, Raw

from collectors.control import wire
from collectors.control.server import rules
from collectors.control.server.commands import ClearThrottle, Command, Register, Seen, SetThrottle
from collectors.control.server.problems import Problem
from collectors.control.told import percent
from collectors.text import clean

BRAKES = frozenset({"release.pause", "release.abort"})
"""They need the candidate alone, and take `If-Match: *`: a brake is never refused as stale."""

_DONE = {
    "release.advance": "advanced",
    "release.pause": "paused",
    "release.resume": "resumed",
    "release.abort": "aborted",
    "release.retry": "retried",
    "release.rollback": "rolled back",
    "release.set_weight": "weight set",
    "release.register": "registered",
    "throttle.set": "set",
    "throttle.clear": "cleared",
}

Resource = wire.Release | wire.Throttle


def absent(command: Command, current: Resource | None) -> Problem | None:
    """428: what the write must carry and does not."""
    is_new = command.operation == "release.register" and (command.if_none_match or current is None)
    if is_new:
        if command.if_none_match:
            return None
        return _required(["If-None-Match"], "send If-None-Match: * for a release that is new")
    missing = []
    if command.if_match is None or (command.if_match == "*" and command.operation not in BRAKES):
        missing.append("If-Match")
    if command.body.seen is UNSET:
        missing.append("from")
    else:
        missing += [f"from.{name}" for name in _needed(command, current) if not _has(command.body.seen, name)]
    if not missing:
        return None
    hint = "; * is for pause and abort" if command.if_match == "*" and "If-Match" in missing else ""
    return _required(missing, f"send {' and '.join(missing)}{hint}")


def stale_seen(command: Command, current: Resource) -> Problem | None:
    """409: what was seen is no longer so."""
    if command.body.seen is UNSET:
        return None
    seen = command.body.seen
    return (
        _stale_setting(seen, current)
        if isinstance(current, wire.Throttle)
        else _stale_release(command, seen, current)
    )


def stale_etag(command: Command, current: Resource) -> Problem | None:
    """412: something else of the resource changed."""
    sent = command.if_match
    if sent is None or sent in {"*", current.etag}:
        return None
    detail = f"sent {clean(sent, 64)}, now {current.etag}: {_what_happened(current)}"
    return with_current(412, "stale-etag", "Resource changed since you looked", detail, current)


def wrong_phase(command: Command, current: wire.Release) -> Problem | None:
    """409: the operation has no place in the phase that the release is in."""
    name, status = command.operation.removeprefix("release."), current.status
    legal = rules.LEGAL_PHASES[command.operation]
    by_operator = status.phase == "paused" and status.pause_reason == "operator"
    if status.phase not in legal:
        why = f"{current.id} is {status.phase}; {name} needs {' or '.join(legal)}"
    elif name == "advance" and by_operator:
        why = f"{current.id} is {_paused_by(current)}; resume it first"
    elif name == "resume" and not by_operator:
        why = f"{current.id} waits for its {status.pause_reason}; resume ends an operator's pause only"
    else:
        return None
    return with_current(409, "wrong-phase", "Not in this phase", why, current)


def with_current(status: int, code: str, title: str, detail: str, current: Resource) -> Problem:
    """A problem that shows the whole resource as it is now."""
    return Problem(
        status,
        code,
        title,
        detail,
        headers={"ETag": f'"{current.etag}"'},
        members={"current": Raw(wire.render(current))},
    )


def needless(command: Command) -> list[str]:
    """Members of `from` that say nothing about what the write is for: as good as misspelt."""
    body = command.body
    is_throttle = isinstance(body, SetThrottle | ClearThrottle)
    allowed = {"level", "limit"} if is_throttle else {"candidate", "stage", "weight"}
    if body.seen is UNSET:
        return []
    return [name for name in Seen.__struct_fields__ if name not in allowed and _has(body.seen, name)]


def _needed(command: Command, current: Resource | None) -> tuple[str, ...]:
    if isinstance(current, wire.Throttle):
        return ("limit",) if current.level is None else ("level",)
    if command.operation in BRAKES:
        return ("candidate",)
    if command.operation == "release.set_weight":
        return ("candidate", "stage", "weight")
    return ("candidate", "stage")


def _has(seen: Seen, name: str) -> bool:
    return getattr(seen, name) is not UNSET


def _required(missing: list[str], detail: str) -> Problem:
    members = {"missing": missing}
    return Problem(428, "precondition-required", "Precondition required", detail, members=members)


def _stale_release(command: Command, seen: Seen, current: wire.Release) -> Problem | None:
    id, status = current.id, current.status
    tail = _tail(current)
    if seen.candidate not in {UNSET, current.candidate}:
        detail = f"{id} has candidate {current.candidate}; you saw {clean(str(seen.candidate))}{tail}"
        return with_current(409, "stale-release", "Candidate changed since you looked", detail, current)
    if command.operation in BRAKES:
        return None
    if seen.stage not in {UNSET, status.stage}:
        verb = "asked to leave" if command.operation == "release.advance" else "saw it at"
        detail = (
            f"{id} is at {status.stage or 'no stage'}; you {verb} {clean(seen.stage or 'no stage')}{tail}"
        )
        return with_current(409, "stale-stage", "Stage changed since you looked", detail, current)
    body, weight = command.body, rules.stage_weight(current)
    if isinstance(body, Register) and body.stable not in {UNSET, current.stable}:
        detail = f"{id} has stable {current.stable or 'none'}, not {clean(body.stable or 'none')}{tail}"
        return with_current(409, "stale-release", "Stable revision differs", detail, current)
    if weight is not None and seen.weight is not UNSET and rules.share(seen.weight) != weight:
        detail = f"{id} has weight {percent(weight)} at {status.stage}; you saw {percent(seen.weight)}{tail}"
        return with_current(409, "stale-level", "Weight changed since you looked", detail, current)
    return None


def _stale_setting(seen: Seen, current: wire.Throttle) -> Problem | None:
    name = f"{current.feature}/{current.tier}"
    if current.level is None:
        if current.limit == seen.limit:
            return None
        detail = f"{name} has limit {current.limit}; you saw {seen.limit}"
    else:
        level = seen.level if isinstance(seen.level, float) else None
        if level is not None and rules.share(level) == rules.share(current.level):
            return None
        saw = "no level" if level is None else f"admit {percent(level)}"
        detail = f"{name} is at admit {percent(current.level)}; you saw {saw}"
    return with_current(
        409, "stale-level", "Level changed since you looked", detail + _tail(current), current
    )


def _tail(current: Resource) -> str:
    change = current.last_change
    return "" if change is None else f"; {_DONE.get(change.op, change.op)} by {change.actor}"


def _what_happened(current: Resource) -> str:
    """What gave the resource its etag: its last change, unless the gate moved since."""
    change = current.last_change
    # Seq of the etag, and of the log entry that follows its change.
    if change is None or int(change.audit_id[2:]) < int(current.etag[2:]):
        gate = current.status.gate.state if isinstance(current, wire.Release) else "unknown"
        return f"its gate is {gate} now"
    return f"{_DONE.get(change.op, change.op)} by {change.actor}"


def _paused_by(current: wire.Release) -> str:
    change = current.last_change
    is_pause = change is not None and change.op == "release.pause"
    return f"paused by {change.actor}" if change and is_pause else "paused by an operator"
