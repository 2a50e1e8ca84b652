"""Throttles and releases in lines of text, for people who read a terminal or a log."""

from collections.abc import Iterator

from collectors.control.refusals import clock_time
from collectors.control.told import percent, span
from collectors.fleet import Check, Release, Throttle
from collectors.intending import stage_id


def throttle_line(cell: Throttle, now: float) -> str:
    """A cell in one line: what is admitted, until when, then what, by whom and why.

    now: the plane's time
    """
    parts = [f"{cell.feature}/{cell.tier}  {_admitted(cell.level, cell.limit, cell.unit)}"]
    if cell.state != "applied":
        in_force = "" if cell.effective_level is None else f", admit {percent(cell.effective_level)} in force"
        parts.append(f"{cell.state}{in_force}")
    if cell.expires_at is not None:
        back = cell.revert_to
        then = f", then {_admitted(back.level, None, cell.unit) if back else 'admit 100%'}"
        parts.append(f"ends in {span(cell.expires_at - now)}{then}")
    elif cell.level != 1.0:
        parts.append("no end")
    if (change := cell.last_change) is not None:
        parts.append(f"{change.actor}, {span(now - change.at)} ago: {change.reason}")
    return "  ".join(parts)


def release_lines(release: Release, now: float, *, in_full: bool) -> Iterator[str]:
    """A release in one line, or in full: stages, shares asked for and seen, what holds it."""
    at = stage_id(release) or "before its first stage"
    why = f" ({release.pause_reason})" if release.pause_reason else ""
    since = "" if release.entered_at is None else f" for {span(now - release.entered_at)}"
    yield f"{release.id}  {release.phase}{why}  {at}{since}  gate {release.gate}  rev {release.etag}"
    if not in_full:
        return
    stable = release.stable or "none"
    yield f"  {release.subject_kind} {release.subject}  candidate {release.candidate}  stable {stable}"
    for number, stage in enumerate(release.stages):
        here = "›" if number == release.stage_index else " "
        hold = f", holds {span(stage.hold_s)}" if stage.hold_s else ""
        yield f"  {here} {stage.id}  {stage.tier} {percent(stage.weight)}  {stage.gate} gate{hold}"
    for one in release.exposure:
        seen = "not seen by any metric" if one.observed is None else f"seen {percent(one.observed)}"
        yield f"    {one.tier}  asked for {percent(one.desired or 0.0)}, {seen}"
    for check in release.checks:
        yield f"    {_checked(check)}"
    if (change := release.last_change) is not None:
        yield f"    {change.op} by {change.actor}, {span(now - change.at)} ago: {change.reason}"


def _checked(check: Check) -> str:
    """A check of the gate. That a time is not over yet is no failure of anything."""
    if check.id != "hold":
        return f"check {check.id}: {check.state} {check.detail}".rstrip()
    opens = ""
    if check.state != "pass" and check.ready_at is not None:
        opens = f", open at {clock_time(check.ready_at)}"
    return f"hold: {check.detail or check.state}{opens}"


def _admitted(level: float | None, limit: float | None, unit: str) -> str:
    if level is not None:
        return f"admit {percent(level)}"
    return "level unknown" if limit is None else f"{limit:g} {unit}"
