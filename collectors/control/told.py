"""What happened at a plane, each in one line: from its log, and from changes nobody logged."""

from collectors import fleet
from collectors.control import wire
from collectors.fleet import Event, EventKind
from collectors.text import clean

_LINE = 256


def logged(entry: wire.Audit) -> Event:
    """The line of one entry of the log. raises: ValueError for a time that cannot be read."""
    at = wire.read_time(entry.at)
    before, after = entry.before or {}, entry.after or {}
    verb = (entry.op.partition(".")[2] or entry.op or "change").replace("_", " ")
    is_throttle = entry.op.startswith("throttle.")
    what = _admitted(before, after, at) if is_throttle else _moved(verb, before, after)
    if entry.result not in {"applied", ""}:
        code = f" ({entry.code})" if entry.code else ""
        outcome = "outcome unknown" if entry.result == "unknown" else entry.result
        what = f"{verb} {outcome}{code}" + (f": {what}" if what not in {"", verb} else "")
    gate = ", gate overridden" if entry.override_gate else ""
    reason = f"{gate}, reason: {entry.reason}" if entry.reason else gate
    actor = f"{entry.actor} via {entry.via}" if entry.via else entry.actor
    kind = EventKind.THROTTLE if is_throttle else EventKind.RELEASE
    return Event(
        at, kind, clean(actor) or "?", _subject(entry.resource), clean((what or verb) + reason, _LINE)
    )


def changed_release(old: fleet.Release, new: fleet.Release, at: float) -> Event | None:
    """What changed in a release, for changes that no log tells, such as a gate that opened. None if nothing
    that a person would want to know."""
    parts = []
    if (old.phase, old.pause_reason) != (new.phase, new.pause_reason):
        why = f" ({new.pause_reason})" if new.pause_reason else ""
        parts.append(f"{old.phase} → {new.phase}{why}")
    if stage_id(old) != stage_id(new):
        parts.append(f"stage {stage_id(old)} → {stage_id(new)}")
    if old.candidate != new.candidate:
        parts.append(f"candidate {old.candidate} → {new.candidate}")
    if not parts and old.gate != new.gate:
        where = f" of stage {stage_id(new)}" if new.stage_index is not None else ""
        parts.append(f"gate{where} is {new.gate}")
        at = _opened_at(old, new, at)
    if parts and new.message and new.message != old.message:
        parts.append(new.message)
    return _event(EventKind.RELEASE, new.subject, parts, old.last_change, new.last_change, at)


def _opened_at(old: fleet.Release, new: fleet.Release, at: float) -> float:
    """When a gate opened: once the last check that held it passed, where the plane tells that of each of
    them; else `at`, when it was first seen open."""
    # Between two answers the clock of a simulated plane leaps, so that `at` may be minutes behind.
    held = {check.id for check in old.checks if check.state != "pass"}
    ready = [check.ready_at for check in new.checks if check.id in held and check.state == "pass"]
    times = [one for one in ready if one is not None]
    return max(times) if new.gate == "open" and times and len(times) == len(held) else at


def changed_throttle(old: fleet.Throttle, new: fleet.Throttle, at: float) -> Event | None:
    """As `changed_release`, for a cell. Steps of a ramp are not told."""
    parts = []
    if (old.level, old.limit) != (new.level, new.limit):
        before, after = _setting(old.level, old.limit, old.unit), _setting(new.level, new.limit, new.unit)
        parts.append(f"admit {before} → {after}")
    if old.state != new.state and new.state in {"drifted", "unknown"}:
        parts.append(f"{new.state}: {_setting(new.effective_level, None, '')} in force")
    return _event(
        EventKind.THROTTLE, f"{new.feature}/{new.tier}", parts, old.last_change, new.last_change, at
    )


def _event(
    kind: EventKind,
    subject: str,
    parts: list[str],
    old: fleet.LastChange | None,
    new: fleet.LastChange | None,
    at: float,
) -> Event | None:
    if not parts:
        return None
    if new is not None and new != old:
        reason = [f"reason: {new.reason}"] if new.reason else []
        return Event(new.at, kind, new.actor, subject, clean(", ".join(parts + reason), _LINE))
    return Event(at, kind, "ctl", subject, clean(", ".join(parts), _LINE))


def percent(level: float) -> str:
    """A share for people: 0.3 is 30%."""
    return f"{round(level * 100, 2):g}%"


def span(seconds: float) -> str:
    """A duration for people, in its two largest units: `45 s`, `30 m`, `1 h 30 m`."""
    whole = max(round(seconds), 0)
    units = (("d", whole // 86_400), ("h", whole // 3600 % 24), ("m", whole // 60 % 60), ("s", whole % 60))
    first = next((place for place, (_, count) in enumerate(units) if count), 3)
    shown = [f"{count} {unit}" for unit, count in units[first : first + 2] if count]
    return " ".join(shown) or "0 s"


def _admitted(before: dict[str, object], after: dict[str, object], at: float) -> str:
    parts = []
    if "level" in after or "limit" in after:
        old, new = _from_log(before), _from_log(after)
        parts.append(f"admit {new}" if old == new or not before else f"admit {old} → {new}")
    expires = after.get("expires_at")
    if isinstance(expires, str):
        parts.append(_ttl(expires, at))
    ramp = _number(after.get("ramp_per_min"))
    if ramp is not None:
        parts.append(f"ramp {percent(ramp)} a minute")
    return ", ".join(parts)


def _ttl(expires: str, at: float) -> str:
    try:
        return f"ttl {span(wire.read_time(expires) - at)}"
    except ValueError:
        # One strange member must not cost the entry.
        return "ttl that cannot be read"


def _moved(verb: str, before: dict[str, object], after: dict[str, object]) -> str:
    parts = [verb]
    for name in ("candidate", "stage", "phase"):
        if name in after and after[name] != before.get(name):
            old, new = _word(before.get(name)), _word(after[name])
            parts.append(f"{name} {new}" if before.get(name) is None else f"{name} {old} → {new}")
    if len(parts) == 1:
        # A stage says what it opens; a weight of its own has to be told.
        parts += _opened(before.get("desired"), after.get("desired"))
    return f"{parts[0]} {', '.join(parts[1:])}".strip()


def _word(fact: object) -> str:
    """An id or a phase of the log; what is neither is not written out, however large it is."""
    if fact is None or fact == "":
        return "none"
    return clean(fact) if isinstance(fact, str) else "?"


def _opened(before: object, after: object) -> list[str]:
    """What changed of the share that each tier should have."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return []
    shares = [(tier, _number(before.get(tier)), _number(share)) for tier, share in list(after.items())[:64]]
    return [
        f"{tier} {percent(old)} → {percent(new)}"
        for tier, old, new in shares
        if old is not None and new is not None and old != new
    ]


def _from_log(facts: dict[str, object]) -> str:
    return _setting(_number(facts.get("level")), _number(facts.get("limit")), "")


def _number(fact: object) -> float | None:
    # A whole number in JSON may be too large for a float.
    return float(fact) if isinstance(fact, int | float) and abs(fact) < 1e15 else None


def _setting(level: float | None, limit: float | None, unit: str) -> str:
    if level is not None:
        return percent(level)
    return "unknown" if limit is None else f"{limit:g} {unit}".strip()


def _subject(resource: str) -> str:
    for prefix in ("/v1/releases/", "/v1/throttles/"):
        if resource.startswith(prefix):
            return clean(resource.removeprefix(prefix))
    return clean(resource) or "?"


def stage_id(release: fleet.Release) -> str:
    """Id of the stage a release stands at, or `none`."""
    return "none" if release.stage_index is None else release.stages[release.stage_index].id
