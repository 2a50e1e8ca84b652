"""What is no longer as it was seen, and what a write changes, in words for people. Pure.

A level always reads `admit 30%`, never `30%`; a time is the plane's, in UTC.
"""

import msgspec

from collectors.control import told, wire
from collectors.control.decode import cleaned
from collectors.control.refusals import clock_time
from collectors.fleet import LastChange, Release, Throttle
from collectors.intents import ANY_ETAG, Difference, Intent
from collectors.text import clean

Thing = Release | Throttle

_NEVER_ENDS = "never"
_OPEN = "admit 100%"
"""What comes after a setting that remembers no other."""

_TELEMETRY = frozenset(
    {"seq", "etag", "last_change", "entered_at", "message", "observed", "checks", "backend", "stage_index"}
    | {"history"}
)
"""Members of a resource that say nothing, or nothing more, of what was asked for."""


def moved(intent: Intent, now: Thing, then: Thing | None = None) -> tuple[Difference, ...]:
    """What is no longer as `intent` saw it; empty where the plane would take it for fresh.

    then: the resource as it was seen, where it is still known: it tells what else moved
    """
    if intent.etag is None and not intent.seen:
        phase = f"is there, {now.phase}" if isinstance(now, Release) else "is there"
        return (Difference("release", "not there yet", phase), *_by(now.last_change))
    found = list(_unlike(intent, now))
    if intent.etag not in {None, ANY_ETAG} and intent.etag != now.etag:
        if then is not None and then.etag == intent.etag:
            named = {one.what for one in found}
            found += [one for one in changes(then, now) if one.what not in named]
        if not found:
            found.append(Difference("rev", str(intent.etag), now.etag))
    return (*found, *_by(now.last_change)) if found else ()


def changes(before: Thing, after: Thing) -> tuple[Difference, ...]:
    """What differs between two states of one resource, as far as it was asked for and not measured."""
    if isinstance(before, Release) and isinstance(after, Release):
        return _unequal(_facts_of_release(before), _facts_of_release(after))
    if isinstance(before, Throttle) and isinstance(after, Throttle):
        found = _unequal(_facts_of_cell(before), _facts_of_cell(after))
        way = _way(before, after)
        # The way says its pace already.
        return (*(one for one in found if not (way and one.what == "ramp")), *way)
    return ()


def planned(differences: tuple[wire.Difference, ...], now: Thing | None = None) -> tuple[Difference, ...]:
    """A dry run's list of changes, in words. What has no words of ours keeps its path.

    now: the resource, whose tiers the paths only number
    """
    tiers = [one.tier for one in now.exposure] if isinstance(now, Release) else []
    found: list[Difference] = []
    for one in differences[:64]:
        names = [name for name in one.path.split("/") if name]
        if _TELEMETRY.isdisjoint(names):
            found += _in_words(one.path, names, one.before, one.after, tiers)
    level = next((one for one in found if one.what == "level"), None)
    return tuple(
        one
        for one in found
        if one.before != one.after
        # What is in force follows the level at once: said already.
        and not (level is not None and one.what == "in force" and one[1:] == level[1:])
    )


def sentence(differences: tuple[Difference, ...]) -> str:
    """Differences in one line: `stage plus@25 → plus@100, by alice at ...`."""
    return ", ".join(
        f"{one.what} {one.before} → {one.after}" if one.before else f"{one.what} {one.after}"
        for one in differences
    )


def changed(differences: tuple[Difference, ...]) -> str:
    """Why what was decided on what was seen is not done."""
    return f"changed since you looked: {sentence(differences)}; look again"


def standing(thing: Thing) -> str:
    """Where a resource stands, in a few words."""
    if isinstance(thing, Throttle):
        return admitted(thing)
    return f"{_phase(thing)} at stage {told.stage_id(thing)}"


def admitted(cell: Throttle) -> str:
    """What a cell admits: `admit 30%`, or the limit in its own unit."""
    if cell.level is not None:
        return f"admit {told.percent(cell.level)}"
    return "admit unknown" if cell.limit is None else f"admit {cell.limit:g} {cell.unit}"


def _unlike(intent: Intent, now: Thing) -> list[Difference]:
    """The members of `from` that differ, as the plane compares them: shares to 4 decimals."""
    seen, found = intent.seen, []
    if isinstance(now, Release):
        if "candidate" in seen and seen["candidate"] != now.candidate:
            found.append(Difference("candidate", _text(seen["candidate"]), now.candidate))
        stage = told.stage_id(now)
        if "stage" in seen and (seen["stage"] or "none") != stage:
            found.append(Difference("stage", _text(seen["stage"]), stage))
        weight = _weight(now)
        if "weight" in seen and weight is not None and not _is_equal(seen["weight"], weight):
            found.append(Difference("weight", _share(seen["weight"]), told.percent(weight)))
        return found
    if "level" in seen and not _is_equal(seen["level"], now.level):
        was = "admit unknown" if seen["level"] is None else f"admit {_share(seen['level'])}"
        found.append(Difference("level", was, admitted(now)))
    elif "limit" in seen and not _is_equal(seen["limit"], now.limit):
        found.append(Difference("limit", f"admit {_text(seen['limit'])} {now.unit}", admitted(now)))
    return found


def _weight(release: Release) -> float | None:
    """Desired share of the current stage's tier; of "*" all tiers have one, so any tells it."""
    if release.stage_index is None:
        return None
    tier = release.stages[release.stage_index].tier
    if tier == "*":
        return release.exposure[0].desired if release.exposure else None
    return release.desired(tier)


def _is_equal(seen: object, now: float | None) -> bool:
    if seen is None or now is None:
        return seen is now
    return isinstance(seen, int | float) and round(seen, 4) == round(now, 4)


def _facts_of_release(one: Release) -> dict[str, str]:
    facts = {
        "candidate": one.candidate,
        "stable": one.stable or "none",
        "stage": told.stage_id(one),
        "phase": _phase(one),
        "gate": one.gate,
        "stages": " ".join(stage.id for stage in one.stages),
    }
    return facts | {f"{each.tier} opens to": told.percent(each.desired) for each in one.exposure}


def _facts_of_cell(one: Throttle) -> dict[str, str]:
    return {
        "level": admitted(one),
        "ends": _NEVER_ENDS if one.expires_at is None else clock_time(one.expires_at),
        "ramp": _ramp(one.ramp_per_min),
        "way back": _ramp(one.return_ramp_per_min),
        "then": _OPEN if one.revert_to is None else _level(one.revert_to.level),
    }


def _way(before: Throttle, after: Throttle) -> tuple[Difference, ...]:
    """That what is in force only begins to go to the level, from where and how fast."""
    is_news = before.state != "ramping" or before.level != after.level
    if after.state != "ramping" or not is_news:
        return ()
    # Whoever set it gave it a pace; on the way back it has that of the setting which ended.
    pace = after.return_ramp_per_min if after.ramp_per_min is None else after.ramp_per_min
    by = "" if pace is None else f" by {told.percent(pace).removesuffix('%')} %/min"
    return (Difference("ramping", "", f"from {_level(after.effective_level)}{by}"),)


def _unequal(before: dict[str, str], after: dict[str, str]) -> tuple[Difference, ...]:
    names = (*after, *(name for name in before if name not in after))
    return tuple(
        Difference(name, before.get(name, ""), after.get(name, "none"))
        for name in names
        if before.get(name, "") != after.get(name, "")
    )


def _phase(release: Release) -> str:
    return f"{release.phase} ({release.pause_reason})" if release.pause_reason else release.phase


def _ramp(per_min: float | None) -> str:
    return "at once" if per_min is None else f"{told.percent(per_min)} a minute"


def _level(level: object) -> str:
    return "admit unknown" if level is None else f"admit {_share(level)}"


def _share(value: object) -> str:
    return told.percent(value) if isinstance(value, int | float) and abs(value) < 1e6 else _text(value)


def _text(value: object) -> str:
    return "none" if value is None else clean(str(value))


def _by(change: LastChange | None) -> tuple[Difference, ...]:
    if change is None:
        return ()
    why = f" ({change.reason})" if change.reason else ""
    who = f"{change.actor or 'nobody named'} at {clock_time(change.at)}: {change.op}{why}"
    return (Difference("by", "", clean(who, 256)),)


def _in_words(
    path: str, names: list[str], before: object, after: object, tiers: list[str]
) -> list[Difference]:
    match names:
        case []:
            return [Difference("release", "not there yet", _newcomer(after))]
        case ["level"]:
            return [Difference("level", _level(before), _level(after))]
        case ["effective_level"]:
            return [Difference("in force", _level(before), _level(after))]
        case ["limit"]:
            return [Difference("limit", _text(before), _text(after))]
        case ["expires_at"]:
            return [Difference("ends", _time(before), _time(after))]
        case ["ramp_per_min"]:
            return [Difference("ramp", _rate(before), _rate(after))]
        case ["return_ramp_per_min"]:
            return [Difference("way back", _rate(before), _rate(after))]
        case ["revert_to"]:
            return [Difference("then", _setting(before), _setting(after))]
        case ["revert_to", "level"]:
            return [Difference("then", _level(before), _level(after))]
        case ["revert_to", "expires_at"]:
            return [Difference("then ends", _time(before), _time(after))]
        case ["status", ("stage" | "phase" | "pause_reason") as name]:
            return [Difference(name.replace("_", " "), _text(before), _text(after))]
        case ["status", "gate", *rest] if rest in ([], ["state"]):
            return [Difference("gate", _state(before), _state(after))]
        case ["status", "exposure"]:
            was, comes = _exposure(before), _exposure(after)
            return [
                Difference(f"{tier} opens to", was.get(tier, "none"), comes.get(tier, "none"))
                for tier in dict.fromkeys((*was, *comes))
            ]
        case ["status", "exposure", place, "desired"] if place.isdecimal() and int(place) < len(tiers):
            return [Difference(f"{tiers[int(place)]} opens to", _share(before), _share(after))]
        case ["stages"]:
            return [Difference("stages", _names(before), _names(after))]
        case [name] if name in {"candidate", "stable", "title", "phase", "stage", "state"}:
            return [Difference(name, _text(before), _text(after))]
    return [Difference(clean(path, 80), _json(before), _json(after))]


def _newcomer(value: object) -> str:
    if not isinstance(value, dict):
        return "there"
    return f"candidate {_text(value.get('candidate'))}, stages {_names(value.get('stages'))}"


def _time(value: object) -> str:
    if not isinstance(value, str):
        return _NEVER_ENDS
    try:
        return clock_time(wire.read_time(value))
    except ValueError:
        return clean(value, 40)


def _rate(value: object) -> str:
    return _ramp(value) if value is None or isinstance(value, float) else _text(value)


def _state(value: object) -> str:
    return _text(value.get("state") if isinstance(value, dict) else value)


def _setting(value: object) -> str:
    return _OPEN if value is None else _level(value.get("level")) if isinstance(value, dict) else _text(value)


def _exposure(value: object) -> dict[str, str]:
    entries = value[:64] if isinstance(value, list) else []
    return {
        clean(str(one.get("tier", "?"))): _share(one.get("desired"))
        for one in entries
        if isinstance(one, dict)
    }


def _names(value: object) -> str:
    entries = value[:64] if isinstance(value, list) else []
    return " ".join(clean(str(one.get("id", "?")), 64) for one in entries if isinstance(one, dict)) or "none"


def _json(value: object) -> str:
    return clean(msgspec.json.encode(cleaned(value)).decode(), 80)
