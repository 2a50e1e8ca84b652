"""What of a frame is no number, as JSON and back. Pure; whatever comes back is cleaned and bounded.

Times are seconds since the epoch, shares 0..1; a member that is left out has its default. What has no form
that we know becomes its default, or the item is left out: a recording is text from outside.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar, get_args

from collectors import fleet
from collectors.fleet import (
    Alert,
    Check,
    Exposure,
    Feature,
    LastChange,
    Release,
    Severity,
    SourceHealth,
    SourceState,
    Stage,
    Throttle,
)
from collectors.intents import Ability, PlaneFacts
from collectors.readings import Reason
from collectors.recording.codec import CLAMP
from collectors.recording.readings import SHARES
from collectors.text import clean

NAME, SENTENCE, LIST_MOST = 256, 2_000, 4_096
"""Longest name and sentence in characters, longest list within an item, that are kept."""

T = TypeVar("T")
SourceKind = Literal["prometheus", "scrape", "nvml", "alerts", "plane", "synthetic", "recording"]
_KINDS: frozenset[str] = frozenset(get_args(SourceKind))
_LAST_TIME = 1e11


def text(found: object, limit: int = NAME) -> str:
    """Cleaned text; "" for what is none."""
    return clean(found, limit) if isinstance(found, str) else ""


def maybe_text(found: object, limit: int = NAME) -> str | None:
    """Cleaned text, or None."""
    return clean(found, limit) if isinstance(found, str) else None


def number(found: object) -> float | None:
    """A finite number, or None."""
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    if isinstance(found, int):
        return found if abs(found) < 2**63 else None
    return found if math.isfinite(found) else None


def time(found: object) -> float | None:
    """A time that a calendar has, or None."""
    at = number(found)
    return at if at is not None and 0 <= at < _LAST_TIME else None


def whole(found: object, default: int = 0) -> int:
    """A whole number, or the default."""
    known = number(found)
    return known if isinstance(known, int) else default


def listed(found: object, read: Callable[[object], T | None], most: int = LIST_MOST) -> tuple[T, ...]:
    """Every item that can be read."""
    if not isinstance(found, list | tuple):
        return ()
    return tuple(one for each in found[:most] if (one := read(each)) is not None)


def texts(found: object, limit: int = NAME) -> tuple[str, ...]:
    """A list of cleaned texts."""
    return listed(found, lambda one: maybe_text(one, limit))


def members(found: object) -> Mapping[str, Any]:
    """An object's members; none of what is no object."""
    return found if isinstance(found, dict) else {}


def at_place(found: object, place: int) -> Any:
    """An item of a list, None past its end."""
    return found[place] if isinstance(found, list | tuple) and place < len(found) else None


def given(**some: object) -> dict[str, Any]:
    """Members without those that are empty: None, "", (), [], {}; 0 and false are told."""
    return {
        name: one for name, one in some.items() if one is not None and one != "" and one != [] and one != {}
    }


def reason_json(one: Reason) -> list[str | int | float]:
    """[code, parameters ...]"""
    return [one.code, *(_told(each) for each in one.parameters)]


def _told(one: str | int | float) -> str | int | float:
    return one if isinstance(one, str) or math.isfinite(one) else str(one)


def reason_from(found: object) -> Reason | None:
    """The reason; None for what is none."""
    if not isinstance(found, list | tuple) or not found or not isinstance(found[0], str):
        return None
    return Reason(clean(found[0]), listed(found[1:], _parameter, 16))


def _parameter(found: object) -> str | int | float | None:
    return clean(found, SENTENCE) if isinstance(found, str) else number(found)


def reasons_json(some: Iterable[Reason]) -> list[Any]:
    """A list of reasons."""
    return [reason_json(one) for one in some]


def model_json(one: fleet.Model) -> dict[str, Any]:
    """A model without its readings and its level: which of them there are, and what it was promised."""
    return given(
        tiers=list(one.tiers),
        objectives=dict(one.objectives),
        features=list(one.features),
        notes=reasons_json(one.notes),
        by_feature=list(one.by_feature),
        cluster=one.cluster,
        cells=[[feature, *tiers] for feature, tiers in one.cells.items()],
    )


def feature_json(one: Feature) -> list[Any]:
    """[title, models ...]"""
    return [one.title, *one.models]


def feature_from(name: str, found: object) -> Feature | None:
    """The feature of that id."""
    if not isinstance(found, list | tuple):
        return None
    return Feature(name, text(at_place(found, 0)), texts(found[1:]))


def change_json(one: LastChange | None) -> list[Any] | None:
    """[audit id, operation, actor, reason, time]"""
    return None if one is None else list(one)


def change_from(found: object) -> LastChange | None:
    """Who changed it last; None where nothing tells."""
    if not isinstance(found, list | tuple) or len(found) < 5:
        return None
    audit, op, actor, reason, at = found[:5]
    return LastChange(text(audit), text(op), text(actor), text(reason, SENTENCE), time(at) or 0.0)


def release_json(one: Release) -> dict[str, Any]:
    """A release without the numbers of its exposure, and without `seq`, unless it is too large for them."""
    return given(
        title=one.title,
        kind=one.subject_kind,
        subject=one.subject,
        seq=_large(one.seq),
        etag=one.etag,
        stable=None if one.stable is None else [one.stable],
        candidate=one.candidate,
        stages=[list(stage) for stage in one.stages],
        phase=one.phase,
        stage_index=one.stage_index,
        exposure=[each.tier for each in one.exposure],
        pause_reason=None if one.pause_reason is None else [one.pause_reason],
        entered_at=one.entered_at,
        message=one.message,
        gate=one.gate,
        checks=[list(check) for check in one.checks],
        base=[list(each) for each in one.base],
        history=list(one.history),
        last_change=change_json(one.last_change),
        read_only=one.read_only,
    )


def _large(seq: int) -> int | None:
    return None if 0 <= seq <= CLAMP else seq


def release_from(name: str, found: object, seq: int, exposure: tuple[Exposure, ...]) -> Release | None:
    """The release of that id, with the numbers that stood apart."""
    if not isinstance(found, dict):
        return None
    get = found.get
    stages = listed(get("stages"), _stage)
    index = get("stage_index")
    return Release(
        id=name,
        title=text(get("title")),
        subject_kind="feature" if get("kind") == "feature" else "model",
        subject=text(get("subject")),
        seq=whole(get("seq"), seq),
        etag=text(get("etag")),
        stable=maybe_text(at_place(get("stable"), 0)),
        candidate=text(get("candidate")),
        stages=stages,
        phase=text(get("phase")) or "unknown",
        stage_index=index if type(index) is int and 0 <= index < len(stages) else None,
        exposure=exposure,
        pause_reason=maybe_text(at_place(get("pause_reason"), 0)),
        entered_at=time(get("entered_at")),
        message=text(get("message"), SENTENCE),
        gate=text(get("gate")) or "unknown",
        checks=listed(get("checks"), _check),
        base=listed(get("base"), _exposure),
        history=texts(get("history")),
        last_change=change_from(get("last_change")),
        read_only=text(get("read_only"), SENTENCE),
    )


def _stage(found: object) -> Stage | None:
    if not isinstance(found, list | tuple) or len(found) < 5:
        return None
    name, tier, weight, gate, hold_s = found[:5]
    kind: Literal["manual", "auto", "unknown"] = (
        "manual" if gate == "manual" else "auto" if gate == "auto" else "unknown"
    )
    return Stage(text(name), text(tier), number(weight) or 0.0, kind, whole(hold_s))


def _check(found: object) -> Check | None:
    if not isinstance(found, list | tuple) or len(found) < 4:
        return None
    name, state, detail, ready_at = found[:4]
    return Check(text(name), text(state), text(detail, SENTENCE), time(ready_at))


def _exposure(found: object) -> Exposure | None:
    if not isinstance(found, list | tuple) or len(found) < 3:
        return None
    tier, desired, observed = found[:3]
    return Exposure(text(tier), number(desired) or 0.0, number(observed))


def throttle_json(one: Throttle) -> dict[str, Any]:
    """A throttle without its levels and `seq`, unless a block of numbers cannot hold them."""
    back = one.revert_to
    return given(
        seq=_large(one.seq),
        level=None if one.level is None or round(one.level * SHARES) / SHARES == one.level else one.level,
        etag=one.etag,
        unit=one.unit,
        limit=one.limit,
        baseline=one.baseline,
        state=one.state,
        ramp=one.ramp_per_min,
        return_ramp=one.return_ramp_per_min,
        expires_at=one.expires_at,
        revert_to=None if back is None else list(back),
        last_change=change_json(one.last_change),
    )


def throttle_from(
    feature: str, tier: str, found: object, seq: int, level: float | None, effective: float | None
) -> Throttle | None:
    """The throttle of a cell, with the levels that stood apart."""
    if not isinstance(found, dict):
        return None
    get, back = found.get, found.get("revert_to")
    return Throttle(
        feature,
        tier,
        whole(get("seq"), seq),
        text(get("etag")),
        number(get("level")) if "level" in found else level,
        text(get("unit")),
        number(get("limit")),
        number(get("baseline")),
        text(get("state")) or "unknown",
        effective,
        number(get("ramp")),
        number(get("return_ramp")),
        time(get("expires_at")),
        fleet.Revert(number(at_place(back, 0)), time(at_place(back, 1))) if isinstance(back, list) else None,
        change_from(get("last_change")),
    )


def alert_json(one: Alert) -> dict[str, Any]:
    """An alert without its summary, which changes with the numbers in it."""
    return given(
        severity=one.severity.value,
        model=one.model,
        tier=one.tier,
        since=one.since,
        source=one.source,
        silenced_until=one.silenced_until,
        silenced_by=one.silenced_by,
        name=one.name,
        labels=dict(one.labels),
        description=one.description,
        runbook=one.runbook,
        link=one.link,
        event=one.event,
    )


def alert_from(name: str, found: object, summary: str) -> Alert | None:
    """The alert of that id."""
    if not isinstance(found, dict):
        return None
    get, severity = found.get, found.get("severity")
    labels = list(members(get("labels")).items())[:LIST_MOST]
    return Alert(
        id=name,
        severity=Severity(severity) if severity in ("P1", "P2", "P3") else Severity.P3,
        model=text(get("model")),
        tier=text(get("tier")),
        since=time(get("since")) or 0.0,
        summary=summary,
        source=text(get("source")),
        silenced_until=time(get("silenced_until")),
        silenced_by=text(get("silenced_by"), SENTENCE),
        name=text(get("name")),
        labels={text(name): text(value) for name, value in labels},
        description=text(get("description"), SENTENCE),
        runbook=text(get("runbook"), SENTENCE),
        link=text(get("link"), SENTENCE),
        event=text(get("event"), SENTENCE),
    )


def source_json(one: SourceHealth) -> dict[str, Any]:
    """A source's line without its numbers."""
    return given(kind=one.kind, state=one.state.value, error=one.error, warnings=list(one.warnings))


def source_from(name: str, found: object, numbers: Mapping[str, Any]) -> SourceHealth | None:
    """The source's line, with the numbers that stood apart."""
    if not isinstance(found, dict):
        return None
    kind, state = found.get("kind"), found.get("state")
    return SourceHealth(
        name=name,
        kind=kind if isinstance(kind, str) and kind in _KINDS else "recording",  # type: ignore[arg-type]  # one of them
        state=SourceState(state) if state in ("connecting", "ok", "partial", "lost") else SourceState.LOST,
        error=text(found.get("error"), SENTENCE),
        warnings=texts(found.get("warnings"), SENTENCE),
        **numbers,
    )


def offset_ms(one: PlaneFacts) -> int | None:
    """The offset of a plane's clock, where a block of numbers can hold it."""
    found = None if one.clock_offset_s is None else round(one.clock_offset_s * 1000)
    return found if found is not None and abs(found) <= CLAMP else None


def plane_json(one: PlaneFacts) -> dict[str, Any]:
    """A plane's facts; the offset of its clock only if it is too large for a block of numbers."""
    return given(
        actor=one.actor,
        role=one.role,
        tiers=list(one.tiers),
        api_version=one.api_version,
        ttl_max_s=one.ttl_max_s,
        clock_offset_s=one.clock_offset_s if offset_ms(one) is None else None,
    )


def ability_json(one: Ability) -> list[Any]:
    """[supported, allowed, why]"""
    return [one.supported, one.allowed, one.why]


def ability_from(found: object) -> Ability | None:
    """Whether an operation can be done."""
    if not isinstance(found, list | tuple) or len(found) < 3:
        return None
    return Ability(found[0] is True, found[1] is True, text(found[2], SENTENCE))


def plane_from(found: object, abilities: Mapping[str, Ability], offset_s: float | None) -> PlaneFacts | None:
    """A plane's facts, with what stood apart."""
    if not isinstance(found, dict):
        return None
    return PlaneFacts(
        text(found.get("actor")),
        text(found.get("role")),
        abilities,
        texts(found.get("tiers")),
        offset_s if offset_s is not None else number(found.get("clock_offset_s")),
        text(found.get("api_version")),
        whole(found.get("ttl_max_s")),
    )
