"""What is to be known before a throttle is set: who is hit, what is set, who waits, what is let in. Pure."""

from collections.abc import Iterator, Sequence
from math import inf

from collectors.fleet import Frame, Model, Throttle
from collectors.readings import NEVER, Standing, worded
from tui.dialogs.throttle_flow import rejected_text
from tui.dialogs.throttle_subject import (
    WAIT,
    Hits,
    Subject,
    by_subject,
    hits,
    name,
    openness,
    paragraph,
    title,
)
from tui.format import Glyphs, absent, clock, counted, duration, objective, percent, quantile, shown
from tui.screens.readings import age_text
from tui.three_states import is_untold
from tui.throttles import Move, admits, afterwards, in_force, moment, named_level
from tui.widgets.fleet_row import TierWait, tier_wait
from tui.widgets.lines import Line

NAMED_MOST = 4
"""More cells of other features than these are counted, not told."""


def fact_lines(subject: Subject, story: Sequence[str], width: int, glyphs: Glyphs) -> list[Line]:
    """Everything known that speaks for or against it; `story`: sentences to begin with."""
    frame, found = subject.frame, hits(subject.frame, subject.features)
    lines: list[Line] = []
    for sentence in story:
        lines += paragraph("Note", sentence, width, glyphs)
    if is_untold(frame):
        text = "the control plane does not answer: settings are as it last told them"
        lines += paragraph("Note", text, width, glyphs, "lost")
    lines += paragraph("Hits", hit_text(subject, found), width, glyphs)
    changing = {id(move) for move in subject.changing}
    for number, move in enumerate(subject.moves):
        is_changed = id(move) in changing
        lines += paragraph("" if number else "Now", cell_text(move.cell, frame.at), width, glyphs)
        if len(subject.moves) > 1 and changing:
            text = change_text(move) if is_changed else "stays as it is"
            lines += paragraph("", f"   {glyphs.arrow} {text}", width, glyphs, "muted")
        if is_changed and move.later_rise is not None:
            text = f"from {moment(move.later_rise)} on this admits more than what is planned now"
            lines += paragraph("", f"   {text}", width, glyphs, "pending")
    if text := already_text(subject, found):
        lines += paragraph("Already", text, width, glyphs, "pending")
    lines += wait_lines(subject, found, width, glyphs)
    lines += paragraph("Rejected", rejected_text(subject, glyphs), width, glyphs)
    return lines


def hit_text(subject: Subject, found: Hits) -> str:
    """Every model by name, with the tiers that it is not wholly open to."""
    frame, tiers, releases = subject.frame, subject.tiers, by_subject(subject.frame)
    names = []
    for model in found.models:
        shares = [(tier, openness(releases, model, tier)) for tier in tiers]
        told = _closed(frame, shares)
        names.append(f"{model.name} ({told} there)" if told else model.name)
    for unseen in found.unseen:
        release = releases.get(unseen)
        told = _closed(frame, [(tier, release.desired(tier)) for tier in tiers]) if release else ""
        names.append(f"{unseen} (no metric of it{f', {told} there' if told else ''})")
    text = ", ".join(names) or "no model is known to serve it"
    for feature in subject.features:
        release = releases.get(feature.id)
        if release and (told := _closed(frame, [(tier, release.desired(tier)) for tier in tiers])):
            text += f". {feature.id} is itself released: {told}"
    return text


def _closed(frame: Frame, shares: Sequence[tuple[str, float | None]]) -> str:
    """Tiers that are not wholly open: `Plus, Team not open, Free 25% open`."""
    closed = [title(frame, tier) for tier, share in shares if share is not None and share <= 0]
    partly = [
        f"{title(frame, tier)} {percent(share)} open"
        for tier, share in shares
        if share is not None and 0 < share < 1
    ]
    return ", ".join(([f"{', '.join(closed)} not open"] if closed else []) + partly)


def cell_text(cell: Throttle, now: float) -> str:
    """What is set in a cell, what of it is in force, until when, who set it and why."""
    parts = [f"{name(cell)} {named_level(cell.level)}"]
    if cell.state == "ramping":
        held = f"in force {admits(cell.effective_level)}"
        parts = [f"{name(cell)} {held}, ramping to {named_level(cell.level)}"]
    if cell.unit != "share":
        limit = "an unknown limit" if cell.limit is None else f"{cell.limit:g} {cell.unit}"
        of = "no baseline" if cell.baseline is None else f"{cell.baseline:g} is all"
        parts.append(f"enforced as {limit}, {of}")
    if cell.state not in {"applied", "ramping"}:
        held = "what is in force is unknown"
        if cell.effective_level is not None:
            held = f"{admits(cell.effective_level)} in force"
        parts.append(f"{cell.state}: {held}" if cell.state != "unknown" else f"state unknown: {held}")
    if cell.expires_at is not None:
        parts.append(f"{duration(cell.expires_at - now)} left, to {moment(cell.expires_at)}")
        level = 1.0 if cell.revert_to is None else cell.revert_to.level
        parts.append(f"then {admits(level)}")
    elif in_force(cell):
        parts.append("no end set")
    if (change := cell.last_change) is not None:
        parts.append(
            f"by {change.actor} at {clock(change.at)}" + (f": {change.reason}" if change.reason else "")
        )
    return ", ".join(parts)


def already_text(subject: Subject, found: Hits) -> str:
    """Other features on the models that are hit which are throttled already, by whom, for how long."""
    own = {feature.id for feature in subject.features}
    names = {each for model in found.models for each in (model.name, model.subject)} | {*found.unseen}
    beside = {one.id for one in subject.frame.features if one.id not in own and names & {*one.models}}
    told = []
    for cell in subject.frame.throttles:
        is_ramping = cell.state == "ramping"
        if cell.feature not in beside or not (in_force(cell) or is_ramping):
            continue
        held = f"in force {admits(cell.effective_level)}, ramping to {admits(cell.level)}"
        parts = [f"{name(cell)} is {held}" if is_ramping else f"{name(cell)} is at {named_level(cell.level)}"]
        parts += [f"by {cell.last_change.actor}"] if cell.last_change is not None else []
        parts += (
            [f"{duration(cell.expires_at - subject.frame.at)} left"] if cell.expires_at is not None else []
        )
        told.append(", ".join(parts))
    more = [f"and {counted(str(len(told) - NAMED_MOST), 'cell')} more"] if len(told) > NAMED_MOST else []
    return "; ".join((*told[:NAMED_MOST], *more))


def change_text(move: Move) -> str:
    """What a cell would be, in words."""
    first = move.course[0]
    until = f" until {moment(first.until)}" if len(move.course) > 1 else ""
    return ", ".join(
        filter(None, (f"{admits(first.level)}{until}", afterwards(move.course, move.cell.level)))
    )


def wait_lines(subject: Subject, found: Hits, width: int, glyphs: Glyphs) -> Iterator[Line]:
    """The worst wait of each chosen tier among the models that are hit, then that of the other features
    there: who else would be helped."""
    frame = subject.frame
    for number, tier in enumerate(subject.tiers):
        waits = [
            (model, tier_wait(model.tiers.get(tier, {}), model.objectives.get(tier)))
            for model in found.models
        ]
        text, role = _worst(waits, frame.at, glyphs)
        yield from paragraph(
            "" if number else "Wait p99", f"{title(frame, tier)} {text}", width, glyphs, role
        )
    own = {feature.id for feature in subject.features}
    others = sorted({feature for model in found.models for feature in model.by_feature} - own)
    for number, feature in enumerate(others):
        waits = [
            (model, TierWait(model.by_feature[feature].get(WAIT, NEVER), None, Standing.UNKNOWN))
            for model in found.models
            if feature in model.by_feature
        ]
        text, role = _worst(waits, frame.at, glyphs, promised=False)
        yield from paragraph("" if number else "Beside it", f"{feature} {text}", width, glyphs, role)


def _worst(
    waits: Sequence[tuple[Model, TierWait]], now: float, glyphs: Glyphs, *, promised: bool = True
) -> tuple[str, str]:
    """The worst of some waits in words, and its role; why there is none, where there is none."""
    known = [(model, one) for model, one in waits if _badness(one) >= 0]
    if not known:
        why = next((worded(one.reading.reason) for _, one in waits if one.reading.reason.code), "")
        return f"not known: {why or 'nothing measures it'}", "muted"
    # A wait without a promise cannot be compared with those that have one, unless nothing moves there at all.
    judged = [pair for pair in known if pair[1].promised or _badness(pair[1]) == inf] or known
    model, worst = max(judged, key=lambda pair: _badness(pair[1]))
    one = worst.reading
    if one.value is None:
        value, role = absent(one, glyphs)
        text = f"{value}: {worded(one.reason)}, on {model.name}"
    else:
        value, role = shown(one, quantile(one.value, glyphs), glyphs, room=20, instead=worst.instead)
        text = f"{value} s on {model.name}"
    if worst.promised is not None:
        text += f", promised {objective(worst.promised)} s"
        if worst.standing is not Standing.UNKNOWN:
            text += {Standing.OK: "", Standing.BREACH: ": above it", Standing.STRADDLES: ": undecided"}[
                worst.standing
            ]
            role = "breach" if worst.standing is Standing.BREACH and role == "text" else role
    elif promised:
        text += ", nothing promised"
    text += f", {age} old" if (age := age_text(one, now)) else ""
    lacking = sum(_badness(each) < 0 and each.reading.reason.code != "not-open" for _, each in waits)
    return (f"{text}; not known on {counted(str(lacking), 'model')}" if lacking else text), role


def _badness(found: TierWait) -> float:
    """How bad a wait is, >= 0: as a share of what was promised, else in seconds; -1 where there is none."""
    one = found.reading
    if one.estimate is None:
        return inf if one.reason.code == "stalled" else -1.0
    return one.estimate / found.promised if found.promised else one.estimate
