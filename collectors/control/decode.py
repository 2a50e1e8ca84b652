"""The contract's objects as the words of tidegate. Pure; every text is cleaned here.

Words outside the contract's lists become "unknown": a newer server must not look like a known state.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from msgspec import UNSET

from collectors import fleet
from collectors.control import wire
from collectors.intents import OPERATIONS, Ability, Logged, Target
from collectors.text import clean

PHASES = frozenset({"pending", "progressing", "paused", "completed", "aborted", "degraded", "unknown"})
PAUSE_REASONS = frozenset({"gate", "operator", "analysis", "other"})
GATE_STATES = frozenset({"open", "closed", "unknown"})
THROTTLE_STATES = frozenset({"applied", "pending", "ramping", "drifted", "unknown"})
UNITS = frozenset({"share", "rpm", "tpm", "priority"})
REASON_LIMIT = 500
ETAG = re.compile(r"(?!\*$)[!#-~]{1,128}")
"""A rev that can be sent as a precondition. `*` would turn it off. Source: RFC 9110, section 8.8.3."""
RESULTS = frozenset({"applied", "refused", "failed", "unknown"})
_MOST_MEMBERS, _DEEPEST = 64, 6


def release(one: wire.Release) -> fleet.Release:
    """A release from its object. raises: ValueError for a time or subject kind that cannot be read."""
    if one.subject.kind not in {"model", "feature"}:
        raise ValueError(f"its subject is a {clean(one.subject.kind, 40)!r}, neither model nor feature")
    status, stages = one.status, tuple(_stage(stage) for stage in one.stages)
    index = status.stage_index
    return fleet.Release(
        id=clean(one.id),
        title=clean(one.title) or clean(one.id),
        subject_kind="model" if one.subject.kind == "model" else "feature",
        subject=clean(one.subject.name),
        seq=one.seq,
        etag=_etag(one.etag),
        stable=None if one.stable is None else clean(one.stable),
        candidate=clean(one.candidate),
        stages=stages,
        phase=_known(status.phase, PHASES),
        # An index past the stages would name a stage that is not there.
        stage_index=index if index is not None and 0 <= index < len(stages) else None,
        exposure=tuple(
            fleet.Exposure(clean(each.tier), _shown(each.desired), _maybe_shown(each.observed))
            for each in status.exposure
        ),
        pause_reason=None if status.pause_reason is None else _known(status.pause_reason, PAUSE_REASONS),
        entered_at=_time(status.entered_at),
        message=clean(status.message, REASON_LIMIT),
        gate=_known(status.gate.state, GATE_STATES),
        checks=tuple(
            fleet.Check(clean(each.id), clean(each.state), clean(each.detail, 256), _time(each.ready_at))
            for each in status.gate.checks
        ),
        base=tuple(fleet.Exposure(clean(each.tier), each.weight) for each in one.base),
        history=tuple(clean(each) for each in one.history),
        last_change=_change(one.last_change),
    )


def throttle(one: wire.Throttle) -> fleet.Throttle:
    """A throttle cell from its object. raises: ValueError for a time that cannot be read."""
    back = None if one.revert_to is UNSET else one.revert_to
    return fleet.Throttle(
        feature=clean(one.feature),
        tier=clean(one.tier),
        seq=one.seq,
        etag=_etag(one.etag),
        level=one.level,
        unit=_known(one.unit, UNITS),
        limit=one.limit,
        baseline=one.baseline,
        state=_known(one.state, THROTTLE_STATES),
        effective_level=_maybe_shown(one.effective_level),
        ramp_per_min=one.ramp_per_min,
        return_ramp_per_min=one.return_ramp_per_min,
        expires_at=_time(one.expires_at),
        revert_to=None if back is None else fleet.Revert(back.level, _time(back.expires_at)),
        last_change=_change(one.last_change),
    )


def _shown(share: float) -> float:
    """A share to 4 digits, as the contract writes it. Not of what is sent back as seen: that stays exact."""
    return round(share, 4)


def _maybe_shown(share: float | None) -> float | None:
    return None if share is None else _shown(share)


def features(found: wire.Capabilities) -> tuple[fleet.Feature, ...]:
    """The features of a plane."""
    return tuple(
        fleet.Feature(clean(one.id), clean(one.title) or clean(one.id), tuple(clean(m) for m in one.models))
        for one in found.features
    )


def logged(entry: wire.Audit) -> Logged:
    """An entry of the log. raises: ValueError for a time that cannot be read, or a resource that is none."""
    return Logged(
        audit_id=clean(entry.id),
        at=wire.read_time(entry.at),
        actor=clean(entry.actor),
        operation=clean(entry.op),
        target=target(entry.resource),
        reason=clean(entry.reason, REASON_LIMIT),
        result=_known(entry.result, RESULTS),
        code=clean(entry.code or "", 60),
        before={clean(name): cleaned(value) for name, value in _first(entry.before)},
        after={clean(name): cleaned(value) for name, value in _first(entry.after)},
        decision_id=clean(entry.decision_id or ""),
    )


def target(resource: str) -> Target:
    """What a path of the contract names. raises: ValueError for one that names no release and no cell."""
    parts = [clean(part) for part in resource.split("/")]
    match parts:
        case ["", "v1", "releases", name] if name:
            return Target("release", name)
        case ["", "v1", "throttles", feature, tier] if feature and tier:
            return Target("throttle", feature, tier)
    raise ValueError(f"{clean(resource, 80)!r} names no release and no throttle")


def cleaned(value: object, depth: int = 0) -> object:
    """A value of JSON with every text in it cleaned; what is nested deeper than anything of ours is left
    out, and so is what comes after the first few dozen members."""
    if isinstance(value, str):
        return clean(value, REASON_LIMIT)
    if depth >= _DEEPEST:
        return None
    if isinstance(value, Mapping):
        return {clean(str(name)): cleaned(one, depth + 1) for name, one in _first(value)}
    if isinstance(value, list | tuple):
        return [cleaned(one, depth + 1) for one in value[:_MOST_MEMBERS]]
    return value


def _first(members: Mapping[str, object] | None) -> list[tuple[str, object]]:
    return list((members or {}).items())[:_MOST_MEMBERS]


def abilities(found: wire.Capabilities) -> Mapping[str, Ability]:
    """Every operation by name; what the server leaves out is not supported. Names we do not know are kept."""
    missing = Ability(False, False, "this control plane does not offer it")
    known = {clean(name): _ability(one) for name, one in found.operations.items()}
    return MappingProxyType(dict.fromkeys(OPERATIONS, missing) | known)


def _ability(one: wire.Operation) -> Ability:
    allowed = True if one.allowed is UNSET else one.allowed
    why = clean(one.why, 256)
    if not why and not (one.supported and allowed):
        why = "your role does not allow it" if one.supported else "this control plane does not offer it"
    return Ability(one.supported, allowed, why)


def _stage(one: wire.Stage) -> fleet.Stage:
    kind = one.gate.kind
    return fleet.Stage(
        clean(one.id),
        clean(one.tier),
        one.weight,
        "manual" if kind == "manual" else "auto" if kind == "auto" else "unknown",
        one.gate.hold_s,
    )


def _change(one: wire.Change | None) -> fleet.LastChange | None:
    if one is None:
        return None
    return fleet.LastChange(
        clean(one.audit_id),
        clean(one.op),
        clean(one.actor),
        clean(one.reason, REASON_LIMIT),
        wire.read_time(one.at),
    )


def _etag(text: str) -> str:
    """A rev as it came, or none: one that was mended would be another's."""
    return text if ETAG.fullmatch(text) else ""


def _time(text: str | None) -> float | None:
    return None if text is None else wire.read_time(text)


def _known(word: str, known: frozenset[str]) -> str:
    return word if word in known else "unknown"
