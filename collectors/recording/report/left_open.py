"""What was still open when the recording ends: throttles, releases, alerts, waits above an objective."""

from collectors.fleet import Alert, Release, Throttle
from collectors.recording.report.acts import Answer, called, stage_of
from collectors.recording.report.document import Block, Cell, Column, Paragraph, Points, Section, Table
from collectors.recording.report.facts import Facts
from collectors.recording.report.taken import Taken
from collectors.recording.report.words import admitted, clock, listed, paced, plural, stamp, who

ALERTS = 20
"""Most alerts that are listed; the rest is counted."""

EDGE_S = 1.0
"""What is first seen so soon after a recording or its next part begins may have been there before."""

NOTHING = "Nothing: no throttle, no release halted or taken back, no alert, no breach at the end."
NO_PLANE = "Throttles are not recorded: no control plane was connected."
OPEN = "fully open"


def count(facts: Facts) -> int:
    """How many throttles, releases and models above an objective were left, alerts aside."""
    above = [e for e in facts.episodes if e.end is None]
    releases = {r.id for r in facts.halted_releases()} | {one.release.id for one in facts.taken_back()}
    return len(facts.open_throttles()) + len(releases) + len(above)


def counted(facts: Facts) -> str:
    """What is open at the end: `1 thing was still open, and 2 alerts stood`; empty if nothing."""
    things, alerts = count(facts), len(facts.open_alerts())
    told = []
    if things:
        told.append(f"{plural(things, 'thing')} {'was' if things == 1 else 'were'} still open")
    if alerts:
        told.append(f"{plural(alerts, 'alert')} stood")
    return ", and ".join(told)


def in_sentences(facts: Facts) -> str:
    """All of it in a few sentences."""
    told = []
    above = [e.model for e in facts.episodes if e.end is None]
    if above:
        told.append(f"{listed(above)} {'is' if len(above) == 1 else 'are'} still above an objective.")
    throttles = facts.open_throttles()
    if throttles:
        cells = [f"{t.feature} for {t.tier} ({_state(t)}, {_until(t)})" for t in throttles]
        told.append(f"{plural(len(throttles), 'throttle')} still in force: {listed(cells)}.")
    taken = facts.taken_back()
    if taken:
        told.append(f"Taken back and not given again: {'; '.join(map(_taken, taken))}.")
    releases = _otherwise_halted(facts)
    if releases:
        told.append(f"Stopped releases: {listed([f'{r.id} ({r.phase})' for r in releases])}.")
    alerts = facts.open_alerts()
    if alerts:
        told.append(f"{plural(len(alerts), 'alert')} still standing.")
    if facts.last is not None and facts.last.plane is None and not throttles and not facts.has_log:
        told.append(NO_PLANE)
    if not facts.is_read:
        told.append("Whether anybody still waited too long is not known.")
    if facts.is_outdated:
        told.append("Some of this may be out of date: the recording is damaged before its end.")
    return " ".join(told) or NOTHING


def still_open(facts: Facts) -> Section:
    """All of it, one row or line each."""
    blocks: list[Block] = []
    if facts.is_outdated:
        blocks.append(
            Paragraph(
                "Part of the recording is damaged before its end: what changed in it is lost, and what is"
                " told here of throttles, releases and alerts may be out of date."
            )
        )
    throttles = facts.open_throttles()
    if throttles:
        blocks.append(Table(_THROTTLES, tuple(_throttle_row(t, facts) for t in throttles)))
    taken = facts.taken_back()
    rows = [*map(_taken_row, taken), *map(_release_row, _otherwise_halted(facts))]
    if rows:
        blocks.append(Table(_RELEASES, tuple(rows)))
    less = {one.release.id for one in taken}
    waiting = [r.id for r in facts.waiting_releases() if r.id not in less]
    if waiting:
        names = listed(waiting)
        blocks.append(Paragraph(f"Waiting at the gate of a stage, as planned: {names}.", tone="muted"))
    alerts = facts.open_alerts()
    if alerts:
        told = [_alert(a, facts) for a in alerts[:ALERTS]]
        told += [f"and {len(alerts) - ALERTS} more"] if len(alerts) > ALERTS else []
        blocks.append(Paragraph(f"{plural(len(alerts), 'alert')} stood at the end:"))
        blocks.append(Points(tuple(told)))
    above = [e for e in facts.episodes if e.end is None]
    if above:
        names = listed([f"{e.model} ({listed(e.tiers)})" for e in above])
        blocks.append(Paragraph(f"Still above an objective at the end: {names}."))
    if not facts.is_read:
        blocks.append(Paragraph("Whether anybody still waited too long is not known: no wait was read."))
    if not blocks:
        blocks.append(Paragraph(NOTHING))
    if facts.last is not None and facts.last.plane is None and not facts.has_log:
        blocks.append(Paragraph(NO_PLANE))
    return Section(f"Still open at {clock(facts.end)} UTC", tuple(blocks))


_THROTTLES = (
    Column("Throttle"),
    Column("State"),
    Column("Set by"),
    Column("Reason"),
    Column("Since"),
    Column("Until"),
    Column("Then"),
)
_RELEASES = (
    Column("Release"),
    Column("Stands"),
    Column("At stage"),
    Column("Taken back"),
    Column("Since"),
    Column("By"),
    Column("Why"),
)


def _state(one: Throttle) -> str:
    """What it admits now, and where it is going."""
    if one.state == "ramping":
        return f"{admitted(one.in_force)}, ramping to {admitted(one.level)}"
    return admitted(one.in_force) + ("" if one.state == "applied" else f" ({one.state})")


def _until(one: Throttle) -> str:
    by = f"set by {who(one.last_change.actor)}" if one.last_change is not None else "not recorded by whom"
    if one.expires_at is not None:
        return f"{by}, until {clock(one.expires_at)}"
    return by if _is_opening(one) else f"{by}, without an end"


def _is_opening(one: Throttle) -> bool:
    """Whether it is on its way to fully open: then it needs no end."""
    return one.level == 1


def _throttle_row(one: Throttle, facts: Facts) -> tuple[Cell, ...]:
    last = one.last_change
    never_ends = one.expires_at is None and not _is_opening(one)
    overdue = one.expires_at is not None and one.expires_at < facts.end
    until = "no end" if never_ends else stamp(one.expires_at) if one.expires_at is not None else "–"
    return (
        Cell(f"{one.feature} for {one.tier}"),
        Cell(_state(one), "warn"),
        Cell(who(last.actor) if last else "not recorded"),
        Cell(last.reason if last and last.reason else "not recorded"),
        Cell(stamp(last.at) if last else "not recorded"),
        Cell(f"{until}, overdue" if overdue else until, "bad" if overdue or never_ends else ""),
        Cell(afterwards(one) if one.expires_at is not None else "–"),
    )


def afterwards(one: Throttle) -> str:
    """What a throttle goes back to when its time is up, and how fast: `fully open, by 10% a minute`."""
    then, pace = one.revert_to, paced(one.return_ramp_per_min)
    # A setting whose own time runs out first is not gone back to. Source: control contract, section 4.
    has_run_out = (
        then is not None
        and then.expires_at is not None
        and one.expires_at is not None
        and then.expires_at <= one.expires_at
    )
    if then is None or then.level == 1 or has_run_out:
        return f"{OPEN}{pace}"
    until = "" if then.expires_at is None else f" until {clock(then.expires_at)}"
    return f"{admitted(then.level)}{until}{pace}"


def became(answer: Answer, facts: Facts) -> str:
    """What became of an intent: its kind and words, with what comes after a throttle as it comes to pass.

    The operator's words name the setting that is remembered, even one whose own time runs out first.
    """
    cell = facts.ledger.changed.get(answer.audit_id) if answer.audit_id else None
    text = answer.text
    if cell is not None and cell.expires_at is not None:
        parts = [part for part in text.split(", ") if not part.startswith("then ")]
        ends = next((n for n, part in enumerate(parts, 1) if part.startswith("ends ")), len(parts))
        text = ", ".join([*parts[:ends], f"then {afterwards(cell)}", *parts[ends:]])
    return f"{answer.kind.value}: {text}" if text else answer.kind.value


def _otherwise_halted(facts: Facts) -> tuple[Release, ...]:
    """Releases that are halted, less those of which it is told already that they were aborted."""
    told = {(one.release.id, one.shift.audit_id) for one in facts.taken_back() if one.shift.audit_id}
    return tuple(
        r
        for r in facts.halted_releases()
        if r.phase != "aborted" or r.last_change is None or (r.id, r.last_change.audit_id) not in told
    )


def _served(one: Taken) -> str:
    """What serves those who lost a model; empty where nobody does, or it is a feature."""
    release = one.release
    return release.stable or "" if release.subject_kind == "model" else ""


def _taken(one: Taken) -> str:
    """`deep-research (pending) from plus (100% → 0%), since 17:58:43 by root`."""
    release, shift, served = one.release, one.shift, _served(one)
    named = f"{release.id} {shift.candidate}" if served else release.id
    tiers = listed([f"{share.tier} ({share.told})" for share in one.shares])
    instead = f", {served} serves them instead" if served else ""
    late = " at the latest" if shift.is_late else ""
    by = f" by {who(shift.actor)}" if shift.actor else ", not recorded by whom"
    return f"{named} ({release.phase}) from {tiers}{instead}, since {clock(shift.at)}{late}{by}"


def _taken_row(one: Taken) -> tuple[Cell, ...]:
    release, shift, served = one.release, one.shift, _served(one)
    instead = f" of {shift.candidate}; {served} serves them instead" if served else ""
    late = " at the latest" if shift.is_late else ""
    return (
        Cell(release.id),
        Cell(release.phase, "warn"),
        Cell(stage_of(release)),
        Cell(", ".join(map(str, one.shares)) + instead, "bad"),
        Cell(stamp(shift.at) + late),
        Cell(who(shift.actor)),
        Cell(shift.reason or "not recorded"),
    )


def _release_row(one: Release) -> tuple[Cell, ...]:
    last = one.last_change
    return (
        Cell(one.id),
        Cell(one.phase, "warn"),
        Cell(stage_of(one)),
        Cell("–"),
        Cell(stamp(last.at) if last else "not recorded"),
        Cell(who(last.actor) if last else "not recorded"),
        Cell(one.pause_reason or one.message or (last.reason if last else "") or "not recorded"),
    )


def _alert(one: Alert, facts: Facts) -> str:
    # Within the second that is told, before and after are not told apart.
    is_older = one.since < facts.start and stamp(one.since) != stamp(facts.start)
    silenced = f", silenced until {stamp(one.silenced_until)}" if one.silenced_until is not None else ""
    before = ", before this stretch" if is_older else ""
    since = f"since {_first_known(one.since, facts)}{before}"
    shown = facts.ledger.alerts.get(one.id, ())
    if len(shown) > 1 and shown[-2].gone == shown[-1].first:
        since = f"{one.severity.value} since {_first_known(shown[-1].first, facts)}, an alert {since}"
    return f"{called(one)} ({since}, told by {one.source}){silenced}"


def _first_known(at: float, facts: Facts) -> str:
    """When something began; `or before` where the moment before that is not recorded."""
    edges = (facts.recorded[0], *(gap.end for gap in facts.gaps))
    return stamp(at) + (" or before" if any(abs(at - edge) <= EDGE_S for edge in edges) else "")
