"""Facts as a document: which sections there are, and what stands in them."""

from collections.abc import Sequence

from collectors.recording.report import words
from collectors.recording.report.deeds import done
from collectors.recording.report.document import (
    Cell,
    Column,
    Document,
    Paragraph,
    Picture,
    Points,
    Section,
    Table,
)
from collectors.recording.report.episodes import Episode, Moment
from collectors.recording.report.facts import Facts
from collectors.recording.report.harm_told import harm
from collectors.recording.report.left_open import still_open
from collectors.recording.report.missing import lost, other_runs, span, unread
from collectors.recording.report.pictures import pictures
from collectors.recording.report.summary import EARLIER, in_short
from collectors.recording.report.timeline import timeline
from collectors.recording.report.words import clock, coarse, length, number


def document(facts: Facts) -> Document:
    """The whole report."""
    badges = []
    if facts.last is not None and facts.last.simulated:
        badges.append("SIMULATED")
    if facts.last is not None and facts.last.production:
        badges.append("PRODUCTION")
    if facts.is_reconstructed:
        badges.append("FROM METRICS HISTORY")
    if facts.other_runs:
        badges.append(f"ONE OF {len(facts.other_runs) + 1} RUNS IN THE FILE")
    drawn = pictures(facts)
    sections = [in_short(facts)]
    if drawn:
        sections.append(_drawn(drawn))
    sections += [
        _fast(facts),
        done(facts),
        still_open(facts),
        harm(facts),
        timeline(facts),
        _missing(facts),
        _about(facts),
    ]
    return Document(
        f"Incident report: {facts.context or facts.file}",
        f"{span(facts.start, facts.end)} · {facts.file}",
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
                    if facts.is_read
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
    note = (
        "Above: the lower bound of the p99 was over the objective in any tier of the model; breaks of up to 5"
        " min are part of it. “First opened”: the operator's screen or dialog showed the model or a feature"
        " of it. Times with + are counted from the beginning. “Surely within”: the upper bound was at or"
        " under the objective in every tier. What came after an action need not have come of it."
        + coarse(facts.step_s)
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

    if one.end is None:
        ended = Cell("still above at the end", "bad")
    else:
        ended = Cell(f"+{length(one.end - one.start)}" + (", then not known" if one.is_lost else ""))
    sure = (
        Cell(f"+{length(one.sure - one.start)}", "good")
        if one.sure is not None
        else Cell("–" if one.end is None else "never known", "muted")
    )
    tiers = Cell(f"{one.model}: {words.listed(one.tiers)}")
    return (
        tiers,
        Cell(since),
        after(one.alert),
        after(one.look),
        after(one.intent),
        after(one.applied),
        ended,
        sure,
    )


def _missing(facts: Facts) -> Section:
    items = list(filter(None, [other_runs(facts)]))
    items += [
        f"{clock(g.start)} to {clock(g.end)} ({length(g.end - g.start)}): {g.why}" for g in facts.gaps[:50]
    ]
    if len(facts.gaps) > 50:
        items.append(f"and {len(facts.gaps) - 50} more gaps")
    items += lost(facts)[:20]
    items += [
        f"From {clock(start)} to {clock(end)} throttles, releases and alerts may be out of date: what changed"
        " them is damaged in the file."
        for start, end in facts.ledger.outdated[:20]
    ]
    items += [f"The file: {notice}" for notice in facts.notices[:20]]
    if facts.every > 1:
        items.append(
            f"Of {number(facts.frames)} frames one in {facts.every} was read: what was shorter"
            f" than {facts.every} frames may be missing here. A shorter time is read in full: --from, --to."
        )
    if not facts.is_closed:
        items.append("The recording was not closed: it may still be written, or its end was cut off.")
    items += filter(None, [unread(facts)])
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
    header, host = facts.header, facts.header.get("host")
    if facts.is_reconstructed:
        seen = "made from a metrics history: nobody had it on a screen"
    else:
        seen = "as the operator's screen had it" if facts.is_watched else "as it was read without a screen"
    rows = (
        ("File", facts.file),
        ("Recording", facts.id or "not recorded"),
        (
            "Written by",
            f"{header.get('app') or 'not recorded'}; "
            + (f"on the machine {host}" if host else "on which machine is not recorded"),
        ),
        ("Time zone there", str(header.get("zone") or "not recorded")),
        ("Pictures of the fleet in this time", number(facts.frames)),
        ("Rules that took out secrets", str(header.get("redaction") or "not recorded")),
    )
    table = Table((Column("What"), Column("Which")), tuple((Cell(a), Cell(b)) for a, b in rows))
    note = Paragraph(
        f"All of this is from the recording alone, {seen}; nothing was asked or"
        " corrected afterwards. Whether the file is whole and unchanged, “tidegate recording verify” tells.",
        tone="muted",
    )
    return Section("About this report", (table, note))
