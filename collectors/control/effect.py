"""Whether a resource shows what a write asked for. Pure.

A plane that answers "applied" has said so; only the resource tells whether it is. Source: control contract,
sections 3 and 4. Whatever the plane may have done by itself since, as at an automatic gate, is taken as well.
"""

from collectors.control import told
from collectors.fleet import Release, Throttle
from collectors.intents import Intent

Thing = Release | Throttle

_STUCK = frozenset({"aborted", "degraded"})


def lacking(intent: Intent, before: Thing | None, after: Thing) -> str:
    """What `intent` asked for and `after` does not show, in words; "" if it shows all of it.

    before: the resource as it was just before the write; None where it was not there, or not known
    """
    if isinstance(after, Throttle):
        return _of_cell(intent, before if isinstance(before, Throttle) else None, after)
    return _of_release(intent, before if isinstance(before, Release) else None, after)


def is_overtaken(before: Thing | None, now: Thing, audit_id: str) -> bool:
    """Whether something newer than the write of entry `audit_id` was the last to change a resource."""
    newest = now.last_change
    old = None if before is None else before.last_change
    return newest is not None and newest.audit_id != audit_id and newest != old


def _of_cell(intent: Intent, before: Throttle | None, after: Throttle) -> str:
    asked = intent.arguments
    if intent.operation == "throttle.clear":
        return _cleared(intent, before, after)
    level, limit = asked.get("level"), asked.get("limit")
    if level is not None and not _is_equal(level, after.level):
        return f"admit {_percent(level)}"
    if limit is not None and not _is_equal(limit, after.limit):
        return f"admit {limit} {after.unit}"
    has_end = asked.get("ttl_s") is not None or asked.get("expires_at") is not None
    return "a time at which it ends" if has_end and after.expires_at is None else ""


def _cleared(intent: Intent, before: Throttle | None, after: Throttle) -> str:
    if after.level is None:
        # Without a baseline no level says what "open" is, nor what was there before.
        return ""
    if intent.arguments.get("revert_to") == "open":
        return "" if _is_equal(1.0, after.level) else "admit 100%"
    back = None if before is None or before.revert_to is None else before.revert_to.level
    if before is None or _is_equal(1.0, after.level) or (back is not None and _is_equal(back, after.level)):
        return ""
    return f"admit {told.percent(1.0 if back is None else back)}"


def _of_release(intent: Intent, before: Release | None, after: Release) -> str:
    asked, phase = intent.arguments, after.phase
    if intent.operation == "release.rollback":
        revision = asked.get("to_revision") or (after.stable if before is None else before.stable)
        is_ended = phase == "completed" and after.stage_index is None
        return "" if is_ended and after.candidate == revision else f"completed with {revision}"
    candidate = (asked if intent.operation == "release.register" else intent.seen).get("candidate")
    if candidate is not None and candidate != after.candidate:
        return f"candidate {candidate}"
    match intent.operation:
        case "release.advance":
            return _advanced(intent, after)
        case "release.pause":
            # A gate or an analysis that holds it lets go by itself, which is what a pause is to prevent.
            is_held = phase == "paused" and after.pause_reason not in {"gate", "analysis"}
            return "" if is_held else "paused by an operator"
        case "release.resume":
            is_held = phase == "paused" and after.pause_reason == "operator"
            return "resumed" if is_held or phase in _STUCK else _at_least(intent, after)
        case "release.abort":
            return "" if phase == "aborted" and after.stage_index is None else "aborted"
        case "release.retry":
            return "waiting to begin again" if phase in _STUCK else ""
        case "release.set_weight":
            return _weighed(intent, after)
        case "release.register":
            return "" if phase in {"pending", "progressing", "paused"} else "waiting to begin"
    return ""


def _advanced(intent: Intent, after: Release) -> str:
    names = [one.id for one in after.stages]
    start, to = intent.seen.get("stage"), intent.arguments.get("to")
    if to is None and (start is None or start in names):
        target = 0 if start is None else names.index(str(start)) + 1
    else:
        target = names.index(str(to)) if to in names else len(names)
    if target >= len(names):
        return f"stage {to or 'after ' + str(start)}"
    reached = after.stage_index
    # From where it was asked to go, only automatic gates lead on.
    if (
        reached is None
        or reached < target
        or any(one.gate == "manual" for one in after.stages[target:reached])
    ):
        return f"stage {names[target]}"
    return ""


def _weighed(intent: Intent, after: Release) -> str:
    stage, weight = told.stage_id(after), intent.arguments.get("weight")
    if stage != (intent.seen.get("stage") or "none"):
        return _at_least(intent, after)
    tier = "*" if after.stage_index is None else after.stages[after.stage_index].tier
    shares = [one.desired for one in after.exposure if tier in {"*", one.tier}]
    is_set = bool(shares) and all(_is_equal(weight, one) for one in shares)
    return "" if is_set else f"{'everyone' if tier == '*' else tier} at {_percent(weight)}"


def _at_least(intent: Intent, after: Release) -> str:
    """A write that moves no stage leaves the release at its own, or at one that a gate opened since."""
    names, start = [one.id for one in after.stages], intent.seen.get("stage")
    if start is None:
        return ""
    first = names.index(str(start)) if start in names else len(names)
    is_there = after.stage_index is not None and after.stage_index >= first
    return "" if is_there else f"stage {start}"


def _is_equal(asked: object, now: float | None) -> bool:
    """Whether two shares, or limits, are the same as the contract compares them: to 4 decimals."""
    return now is not None and isinstance(asked, int | float) and round(asked, 4) == round(now, 4)


def _percent(share: object) -> str:
    return told.percent(share) if isinstance(share, int | float) else str(share)
