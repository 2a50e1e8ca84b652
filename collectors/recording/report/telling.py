"""Facts as a document: which sections there are, and what stands in them."""

from collections.abc import Sequence

from collectors.fleet import Release, Throttle
from collectors.recording.report import words
from collectors.recording.report.acts import Decision, Screen, called
from collectors.recording.report.document import (
    Block,
    Card,
    Cell,
    Column,
    Document,
    Paragraph,
    Picture,
    Points,
    Section,
    Table,
    Tone,
)
from collectors.recording.report.effect import effect
from collectors.recording.report.episodes import Episode, Moment
from collectors.recording.report.facts import Facts
from collectors.recording.report.ledger import Tracked
from collectors.recording.report.pictures import pictures
from collectors.recording.report.summary import EARLIER, NO_PLANE, in_short, is_read, lost, span
from collectors.recording.report.timeline import timeline
from collectors.recording.report.words import clock, length, number, seconds, stamp
from collectors.sessions import View

HARM_ROWS = 40
"""Tiers listed in the table of harm, those that suffered first; the rest is counted."""


def document(facts: Facts) -> Document:
    """The whole report."""
    context = str(facts.header.get("context") or "") or (facts.last.context if facts.last else "")
    badges = []
    if facts.last is not None and facts.last.simulated:
        badges.append("SIMULATED")
    if facts.last is not None and facts.last.production:
        badges.append("PRODUCTION")
    if facts.is_reconstructed:
        badges.append("FROM METRICS HISTORY")
    drawn = pictures(facts)
    sections = [in_short(facts)]
    if drawn:
        sections.append(_drawn(drawn))
    sections += [
        _fast(facts),
        _done(facts),
        _open(facts),
        _harm(facts),
        timeline(facts),
        _missing(facts),
        _about(facts),
    ]
    return Document(
        f"Incident report: {context or facts.file}",
        span(facts.start, facts.end),
        tuple(badges),
        tuple(sections),
    )


def _drawn(drawn: Sequence[Picture]) -> Section:
    first = Paragraph(
        "Each line is the p99 of the queue wait: the slowest 1% of the requests waited longer. The band is"
        " the bucket it was measured in, so the truth lies somewhere in it; the dashed line is what was"
        " promised, and what is filled above it is surely too long."
        " Where nothing is drawn nothing good is known. Numbers in circles are actions. Times are UTC."
    )
    return Section("How it went", (first, *drawn))


def _fast(facts: Facts) -> Section:
    if not facts.episodes:
        return Section(
            "How fast it was seen and mended",
            (
                Paragraph(
                    "Nothing to measure: no tier was surely above its objective in this time."
                    if is_read(facts)
                    else "Not known: no wait was read in this time."
                ),
            ),
        )
    columns = (
        Column("Model and tiers"),
        Column("Above from"),
        Column("First alert"),
        Column("First opened"),
        Column("First action"),
        Column("Applied"),
        Column("Last known above"),
        Column("Surely within"),
    )
    rows = [_fast_row(one, facts.step_s) for one in facts.episodes]
    watched = (
        ""
        if not facts.is_reconstructed
        else " Nobody watched then: an alert is one that would have been there."
    )
    coarse = (
        f" Times are to the nearest {length(facts.step_s)}: frames came that far apart."
        if facts.step_s >= words.COARSE_S
        else ""
    )
    note = (
        "Above: the lower bound of the p99 was over the objective in any tier of the model; breaks of up to 5"
        " min are part of it. “First opened”: the operator's screen or dialog showed the model or a feature"
        " of it. Times with + are counted from the beginning. “Surely within”: the upper bound was at or"
        " under the objective in every tier. What came after an action need not have come of it."
        + coarse
        + watched
    )
    return Section(
        "How fast it was seen and mended", (Table(columns, tuple(rows)), Paragraph(note, tone="muted"))
    )


def _fast_row(one: Episode, step_s: float) -> tuple[Cell, ...]:
    since = f"{clock(one.start)}" + (" or before" if one.is_cut else "")

    def after(moment: Moment) -> Cell:
        if moment.at is None:
            return Cell(moment.words or "–", "muted")
        if moment.words in EARLIER:
            return Cell(moment.words)
        since = moment.at - one.start
        if since < step_s and step_s >= words.COARSE_S:
            told = f"within {length(step_s)}"
        else:
            told = f"+{length(since)}" if since >= 0.5 else "at once"
        return Cell(f"{told} ({moment.words})" if moment.words else told)

    intent = after(one.intent)
    if one.decision is not None:
        intent = Cell(f"{intent.text} (action {one.decision})")
    ended = (
        Cell("still above at the end", "bad") if one.end is None else Cell(f"+{length(one.end - one.start)}")
    )
    sure = (
        Cell(f"+{length(one.sure - one.start)}", "good")
        if one.sure is not None
        else Cell("–" if one.end is None else "never known", "muted")
    )
    tiers = Cell(f"{one.model}: {words.listed(one.tiers)}")
    return tiers, Cell(since), after(one.alert), after(one.look), intent, after(one.applied), ended, sure


def _done(facts: Facts) -> Section:
    title = "What was done, and what the screen showed then"
    if not facts.decisions:
        why = (
            "Not recorded: a metrics history holds no actions."
            if facts.is_reconstructed and not facts.has_log
            else "No action from this cockpit is recorded, and no control plane told of one elsewhere."
        )
        return Section(title, (Paragraph(why),))
    return Section(title, tuple(_card(one, facts) for one in facts.decisions))


def _card(one: Decision, facts: Facts) -> Card:
    who = one.actor or "Somebody, not recorded who"
    names = words.listed([aim.name for aim in one.aims], 3)
    title = f"{one.number}. {clock(one.at)}: {who} {one.deed} {names}"
    ticket = f" Ticket {one.ticket}." if one.ticket else ""
    reason = f"Reason given: “{one.reason}”.{ticket}" if one.reason else f"No reason is recorded.{ticket}"
    rows = []
    for aim in one.aims:
        last = aim.last
        if last is None:
            outcome, when = Cell("no answer recorded", "warn"), Cell("–", "muted")
        else:
            outcome = Cell(
                f"{last.kind.value}: {last.text}" if last.text else last.kind.value, _tone(last.kind.value)
            )
            when = Cell(f"+{length(last.at - one.at)}")
        rows.append((Cell(aim.name), Cell(aim.asked), outcome, when))
    columns = (Column("Target"), Column("Asked for"), Column("What became of it"), Column("After"))
    blocks: list[Paragraph | Points | Table] = [Table(columns, tuple(rows))]
    if one.is_told:
        blocks.append(
            Paragraph(
                "Told by the control plane's log; not done from this cockpit, or not recorded by it.",
                tone="muted",
            )
        )
    blocks += _shown(one.screen, is_reconstructed=facts.is_reconstructed)
    followed = effect(one, facts)
    if followed:
        blocks.append(Paragraph(followed, "What followed."))
    return Card(title, reason, tuple(blocks))


def _tone(kind: str) -> Tone:
    return "good" if kind == "applied" else "warn" if kind == "pending" else "bad"


def _shown(shown: Screen | None, *, is_reconstructed: bool) -> list[Paragraph | Points | Table]:
    if shown is None:
        return []
    waits = [f"{w.model} {w.tier}, {w.text}" + (", above" if w.is_breach else "") for w in shown.waits]
    items = [f"The worst waits: {'; '.join(waits)}." if waits else "No wait was known."]
    if shown.alert_count:
        more = shown.alert_count - len(shown.alerts)
        items.append(f"Alerts: {'; '.join(shown.alerts)}" + (f"; and {more} more." if more else "."))
    else:
        items.append("No alert was open.")
    if shown.lost:
        items.append(f"Not answering: {words.listed(shown.lost)}.")
    items.append(_looked(shown.looked))
    lead = "On the screen then," if not is_reconstructed else "There would have been on a screen,"
    return [Paragraph(f"as of {clock(shown.at)}:", lead), Points(tuple(items))]


def _looked(view: View | None) -> str:
    if view is None:
        return "What the operator looked at is not recorded."
    told = f"The operator was on the {view.screen} screen"
    told += f" of {view.subject}" if view.subject else ""
    told += f", with the dialog “{view.dialog}” open" if view.dialog else ""
    told += f", filtered by “{view.filter}”" if view.filter else ""
    told += ", its picture frozen" if view.is_frozen else ""
    return told + (f", at {view.width} by {view.height} cells." if view.width and view.height else ".")


def _open(facts: Facts) -> Section:
    blocks: list[Block] = []
    throttles = facts.open_throttles()
    if throttles:
        columns = (
            Column("Throttle"), Column("Admits"), Column("Set by"), Column("Reason"), Column("Since"),
            Column("Until"), Column("Then"),
        )  # fmt: skip
        blocks.append(Table(columns, tuple(_throttle_row(t, facts) for t in throttles)))
    releases = facts.halted_releases()
    if releases:
        stands = (Column("Release"), Column("Stands"), Column("At stage"), Column("By"), Column("Why"))
        blocks.append(Table(stands, tuple(_release_row(r) for r in releases)))
    waiting = facts.waiting_releases()
    if waiting:
        names = words.listed([r.title or r.id for r in waiting])
        blocks.append(Paragraph(f"Waiting at the gate of a stage, as planned: {names}.", tone="muted"))
    alerts = facts.open_alerts()
    if alerts:
        told = tuple(
            f"{called(a)} (since {stamp(a.since)}{', before this stretch' if a.since < facts.start else ''},"
            f" told by {a.source})"
            + (f", silenced until {stamp(a.silenced_until)}" if a.silenced_until is not None else "")
            for a in alerts[:20]
        )
        blocks.append(Paragraph(f"{words.plural(len(alerts), 'alert')} stood at the end:"))
        blocks.append(Points(told + ((f"and {len(alerts) - 20} more",) if len(alerts) > 20 else ())))
    above = [e for e in facts.episodes if e.end is None]
    if above:
        names = words.listed([f"{e.model} ({words.listed(e.tiers)})" for e in above])
        blocks.append(Paragraph(f"Still above an objective at the end: {names}."))
    if not is_read(facts):
        blocks.append(Paragraph("Whether anybody still waited too long is not known: no wait was read."))
    if not blocks:
        blocks.append(Paragraph("Nothing: no throttle, no halted release, no alert, no breach at the end."))
    if facts.last is not None and facts.last.plane is None and not facts.has_log:
        blocks.append(Paragraph(NO_PLANE))
    return Section(f"Still open at {clock(facts.end)} UTC", tuple(blocks))


OPEN_AGAIN = "fully open again"


def _throttle_row(one: Throttle, facts: Facts) -> tuple[Cell, ...]:
    last = one.last_change
    until = stamp(one.expires_at) if one.expires_at is not None else "no end"
    # One that is on its way to fully open needs no end.
    never_ends = one.expires_at is None and one.level != 1
    overdue = one.expires_at is not None and one.expires_at < facts.end
    then = one.revert_to
    after = words.admitted(then.level) if then is not None else OPEN_AGAIN
    if then is not None and then.expires_at is not None:
        # A setting whose own time runs out first is not gone back to. Source: control contract, section 4.
        runs_out = one.expires_at is not None and then.expires_at <= one.expires_at
        after = OPEN_AGAIN if runs_out else f"{after} until {clock(then.expires_at)}"
    level = words.admitted(one.in_force)
    state = "" if one.state == "applied" else f" ({one.state})"
    if one.state == "ramping":
        state = f", ramping to {words.admitted(one.level)}"
    return (
        Cell(f"{one.feature} for {one.tier}"),
        Cell(level + state, "warn"),
        Cell(last.actor if last else "not recorded"),
        Cell(last.reason if last and last.reason else "not recorded"),
        Cell(stamp(last.at) if last else "not recorded"),
        Cell(f"{until}, overdue" if overdue else until, "bad" if overdue or never_ends else ""),
        Cell(after if one.expires_at is not None else "–"),
    )


def _release_row(one: Release) -> tuple[Cell, ...]:
    last = one.last_change
    stage = (
        one.stages[one.stage_index].id
        if one.stage_index is not None and one.stage_index < len(one.stages)
        else "before the first"
    )
    return (
        Cell(one.title or one.id),
        Cell(one.phase, "warn"),
        Cell(stage),
        Cell(last.actor if last else "not recorded"),
        Cell(one.pause_reason or one.message or (last.reason if last else "") or "not recorded"),
    )


def _harm(facts: Facts) -> Section:
    title = "Harm, tier by tier"
    judged = list(facts.ledger.judged())
    if not judged:
        return Section(
            title, (Paragraph("No tier has an objective in this recording, so nothing can be said."),)
        )
    judged.sort(key=lambda row: (-row[2].harm.excess_least, -row[2].harm.breach_s, row[0], row[1]))
    shown = [row for row in judged if row[2].harm.is_harm or row[2].harm.straddles_s or row[2].harm.refused]
    rest = len(judged) - len(shown[:HARM_ROWS])
    columns = (
        Column("Model and tier"),
        Column("Promised", True),
        Column("Worst p99", True),
        Column("Above", True),
        Column("Undecided", True),
        Column("Unknown", True),
        Column("Requests over", True),
        Column("Request-seconds over", True),
        Column("Turned away", True),
    )
    blocks: list[Block] = []
    if shown:
        blocks.append(Table(columns, tuple(_harm_row(m, t, one, facts) for m, t, one in shown[:HARM_ROWS])))
    if rest:
        blocks.append(
            Paragraph(
                f"{words.plural(rest, 'more tier')}: "
                + (
                    "never above, as far as is known."
                    if is_read(facts)
                    else "nothing is known of their waits."
                )
                if len(shown) <= HARM_ROWS
                else f"{words.plural(rest, 'more tier')} not shown."
            )
        )
    blocks.append(Paragraph(_METHOD, "How this is reckoned.", "muted"))
    return Section(title, tuple(blocks))


_METHOD = (
    "W is the wait of a request, O its tier's objective. Requests over: the integral over time of r × P(W >"
    " O). Request-seconds over: the integral of r × E[max(W − O, 0)]. r is arrivals a second; for the least,"
    " less those turned away. The p50, p95 and p99 are known as buckets (lo, hi]. The least takes each"
    " request at the lo of the nearest known quantile below it: E ≥ .45 (p50.lo − O)⁺ + .04 (p95.lo − O)⁺ +"
    " .01 (p99.lo − O)⁺. The most takes it at the hi of the nearest one above: E ≤ .50 (p50.hi − O)⁺ + .45"
    " (p95.hi − O)⁺ + .04 (p99.hi − O)⁺, and leaves out the slowest 1%, which no quantile limits. “No limit”:"
    " a wait was past the last bucket, or a p95 stood in for the p99. Above: the p99's lo was over O, or"
    " requests waited and none left the queue. Undecided: O lay within its bucket. Only these two count;"
    " while the p99 is surely within O, the slowest 1% are within the promise. Unknown: gaps, and readings"
    " that were stale or missing; they never count. Quantiles are of requests that left the queue in the last"
    " minutes: they come late, and tell nothing of those that gave up or still wait. A reading holds until"
    " the next one."
)


def _harm_row(model: str, tier: str, one: Tracked, facts: Facts) -> tuple[Cell, ...]:
    harm = one.harm
    unknown = max(facts.end - facts.start - harm.judged_s - harm.closed_s, 0.0)
    worst = one.worst.point if one.worst is not None else None
    above = harm.breach_s + harm.stalled_s
    seconds_over = _between(harm.excess_least, harm.excess_most, is_limited=not harm.unlimited_s)
    over = _between(harm.over_least, harm.over_most)
    if harm.uncounted_s:
        over, seconds_over = f"{over} *", f"{seconds_over} *"
    return (
        Cell(f"{model}, {tier}"),
        Cell(seconds(one.objective or 0)),
        Cell(seconds(worst.estimate, worst.lo, worst.hi) if worst else "not known"),
        Cell(length(above) if above else "–", "bad" if above else ""),
        Cell(length(harm.straddles_s) if harm.straddles_s else "–"),
        Cell(length(unknown) if unknown >= 0.5 else "–", "muted"),
        Cell(over),
        Cell(seconds_over),
        Cell(number(harm.refused) if harm.refused else "–")
        if harm.refused_known_s
        else Cell("not known", "muted"),
    )


def _between(least: float, most: float, *, is_limited: bool = True) -> str:
    if not is_limited:
        return f"{number(least)} or more, no limit"
    return words.between(least, most) if most else "–"


def _missing(facts: Facts) -> Section:
    items: list[str] = []
    items += [
        f"{clock(g.start)} to {clock(g.end)} ({length(g.end - g.start)}): {g.why}" for g in facts.gaps[:50]
    ]
    if len(facts.gaps) > 50:
        items.append(f"and {len(facts.gaps) - 50} more gaps")
    items += [f"{sentence[0].upper()}{sentence[1:]}." for sentence in lost(facts)[:20]]
    items += [f"The file: {notice}" for notice in facts.notices[:20]]
    if facts.every > 1:
        items.append(
            f"Of {number(facts.frames)} frames one in {facts.every} was read: what was shorter"
            f" than {facts.every} frames may be missing here. A shorter time is read in full: --from, --to."
        )
    if not facts.is_closed:
        items.append("The recording was not closed: it may still be written, or its end was cut off.")
    if not facts.has_views:
        items.append("What the operator looked at: not recorded.")
    if facts.is_reconstructed:
        items.append("Alerts: reckoned afterwards from the metrics; whether anybody saw one is not recorded.")
        if not facts.has_log:
            items.append("Actions and throttles: not recorded, it was made from a metrics history.")
    if any(one.harm.uncounted_s for _, _, one in facts.ledger.judged()):
        items.append(
            "* Requests of a tier while it was above: in part not known, so its cost is higher than said."
        )
    if not items:
        return Section("Not recorded", (Paragraph("No gap: all of this time is recorded."),))
    return Section("Not recorded", (Points(tuple(items)),))


def _about(facts: Facts) -> Section:
    header = facts.header
    rows = (
        ("File", facts.file),
        ("Recording", facts.id or "not recorded"),
        (
            "Written by",
            f"{header.get('app') or 'not recorded'}, on the machine {header.get('host') or 'not recorded'}",
        ),
        ("Time zone there", str(header.get("zone") or "not recorded")),
        ("Frames in this time", number(facts.frames)),
        ("Redaction", str(header.get("redaction") or "not recorded")),
    )
    table = Table((Column("What"), Column("Which")), tuple((Cell(a), Cell(b)) for a, b in rows))
    note = Paragraph(
        "All of this is from the recording alone, as the operator's screen had it; nothing was asked or"
        " corrected afterwards. Whether the file is whole and unchanged, “tidegate recording verify” tells.",
        tone="muted",
    )
    return Section("About this report", (table, note))
