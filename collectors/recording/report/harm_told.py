"""What waits cost, in sentences and tier by tier in a table."""

from collections.abc import Sequence

from collectors.recording.report import words
from collectors.recording.report.document import Block, Cell, Column, Paragraph, Section, Table
from collectors.recording.report.facts import Facts
from collectors.recording.report.harm import NONE, Harm
from collectors.recording.report.ledger import Level, Tracked
from collectors.recording.report.words import admitted, clock, length, listed, number, seconds, share

ROWS = 40
"""Tiers listed in the table, those that suffered first; the rest is counted."""


def total(facts: Facts) -> Harm:
    """The harm of all tiers that have an objective."""
    return sum((one.harm for _, _, one in facts.ledger.judged()), NONE)


def cost(facts: Facts) -> str:
    """How many waited too long, and how much longer, and how many were turned away."""
    harm = total(facts)
    if not harm.judged_s:
        return "Not known: no wait of a tier with an objective was recorded."
    if not harm.breach_s and not harm.straddles_s and not harm.stalled_s:
        return f"Nothing beyond what was promised, for as long as it is known. {_turned(facts)}"
    told = (
        f"At least {number(harm.over_least)} and at most {number(harm.over_most)} requests waited longer than"
        f" promised, by at least {number(harm.excess_least)} request-seconds in all"
    )
    if harm.unlimited_s:
        told += f"; for {length(harm.unlimited_s)}, added up over the tiers, nothing limits the most"
    elif harm.excess_most:
        told += f" and at most {number(harm.excess_most)}, the slowest 1% left aside"
    told += f" (a request that waits a second too long is one request-second). {_turned(facts)}"
    if harm.uncounted_s:
        told += (
            f" For {length(harm.uncounted_s)} above an objective, added up over the tiers, nobody knows how"
            " many came: the true cost is higher."
        )
    return told


def _turned(facts: Facts) -> str:
    """How many were turned away, of whose requests, and which throttle was in force then."""
    harm = total(facts)
    if not harm.refused_known_s:
        return "How many requests were turned away is not known."
    if not harm.refused:
        return "No request is known to have been turned away."
    told = f"{number(harm.refused)} requests were turned away"
    tiers = [(one.harm, f"{model} {tier}") for model, tier, one in facts.ledger.judged() if one.harm.refused]
    most, name = max(tiers, key=lambda pair: pair[0].refused)
    told += f", {'all' if len(tiers) == 1 else f'{number(most.refused)} of them'} of {name}"
    then = most.asked_then
    told += f": {share(most.refused / then)} of what came for it in that time." if then else "."
    cells = sorted(facts.ledger.turned.items(), key=lambda item: (-item[1].refused, item[0]))
    if cells:
        (model, feature, tier), cell = cells[0]
        told += (
            f" Of the {feature} requests of {tier} for {model}, {share(cell.refused / cell.asked)} were"
            " turned away while any were."
        )
    return told + _by_throttles(facts)


def _by_throttles(facts: Facts) -> str:
    """Which throttles held something back while requests were turned away."""
    held = [
        f"{feature} for {tier} (down to {admitted(min(levels))}, {_since(steps, facts)})"
        for (feature, tier), steps in sorted(facts.ledger.levels.items(), key=lambda item: item[0])
        if (levels := [step.level for step in steps if step.level is not None and step.level < 1])
    ]
    if not held:
        return " No throttle is recorded that did it."
    return (
        f" What a throttle does not admit is turned away; in force {'was' if len(held) == 1 else 'were'}"
        f" {listed(held)}. Who else may have turned some away is not recorded."
    )


def _since(steps: Sequence[Level], facts: Facts) -> str:
    before: Level | None = None
    for step in steps:
        if step.level is not None and step.level < 1:
            break
        before = step
    if step.at <= facts.start:
        return "already when this stretch begins"
    # Behind a gap it may have stood for some time.
    latest = " at the latest" if before is not None and before.level is None else ""
    return f"from {clock(step.at)} on{latest}"


_Judged = tuple[str, str, Tracked]


def harm(facts: Facts) -> Section:
    """Tier by tier: for how long above, how many requests, how many request-seconds, how it is reckoned."""
    title = "Harm, tier by tier"
    judged = list(facts.ledger.judged())
    if not judged:
        return Section(
            title, (Paragraph("No tier has an objective in this recording, so nothing can be said."),)
        )
    judged.sort(key=lambda row: (-row[2].harm.excess_least, -row[2].harm.breach_s, row[0], row[1]))
    hurt = [row for row in judged if row[2].harm.is_harm or row[2].harm.straddles_s or row[2].harm.refused]
    shown = hurt[:ROWS]
    blocks: list[Block] = []
    if shown:
        rows = [_row(f"{model}, {tier}", one, facts) for model, tier, one in shown]
        blocks.append(Table(_COLUMNS, (*rows, *_sums(shown, facts))))
    if rest := len(judged) - len(shown):
        blocks.append(Paragraph(_others(rest, hurt, facts)))
    if shown:
        blocks.append(Paragraph(_METHOD, "How this is reckoned.", "muted"))
    return Section(title, tuple(blocks))


_COLUMNS = (
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


def _others(rest: int, hurt: Sequence[_Judged], facts: Facts) -> str:
    """What is to be said of the tiers that have no row."""
    tiers = words.plural(rest, "more tier" if hurt else "tier")
    if len(hurt) > ROWS:
        return f"{tiers} not shown."
    return f"{tiers}: never above, as far as is known." if facts.is_read else f"{tiers}: no wait is known."


def _sums(shown: Sequence[_Judged], facts: Facts) -> list[tuple[Cell, ...]]:
    """For each tier of customers that has several rows, what it cost them in all."""
    by_tier: dict[str, list[Tracked]] = {}
    for _, tier, one in shown:
        by_tier.setdefault(tier, []).append(one)
    rows: list[tuple[Cell, ...]] = []
    for tier, several in by_tier.items():
        if len(several) > 1:
            added = sum((one.harm for one in several), NONE)
            over, seconds_over, turned = _amounts(added)
            blank = Cell("")
            name = Cell(f"all of these, {tier}", "strong")
            rows.append((name, blank, blank, blank, blank, blank, over, seconds_over, turned))
    return rows


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


def _row(name: str, one: Tracked, facts: Facts) -> tuple[Cell, ...]:
    harm = one.harm
    unknown = max(facts.end - facts.start - harm.judged_s - harm.closed_s, 0.0)
    worst = one.worst.point if one.worst is not None else None
    stands_in = " (p95)" if worst is not None and worst.is_p95 else ""
    above = harm.breach_s + harm.stalled_s
    return (
        Cell(name),
        Cell(seconds(one.objective or 0)),
        Cell(f"{seconds(*worst.wait)}{stands_in}" if worst else "not known"),
        Cell(length(above) if above else "–", "bad" if above else ""),
        Cell(length(harm.straddles_s) if harm.straddles_s else "–"),
        Cell(length(unknown) if unknown >= 0.5 else "–", "muted"),
        *_amounts(harm),
    )


def _amounts(harm: Harm) -> tuple[Cell, Cell, Cell]:
    """Requests over, request-seconds over, requests turned away."""
    over = _between(harm.over_least, harm.over_most)
    seconds_over = _between(harm.excess_least, harm.excess_most, is_limited=not harm.unlimited_s)
    star = " *" if harm.uncounted_s else ""
    turned = Cell(number(harm.refused) if harm.refused else "–")
    return (
        Cell(over + star),
        Cell(seconds_over + star),
        turned if harm.refused_known_s else Cell("not known", "muted"),
    )


def _between(least: float, most: float, *, is_limited: bool = True) -> str:
    if not is_limited:
        return f"{number(least)} or more, no limit"
    return words.between(least, most) if most else "–"
