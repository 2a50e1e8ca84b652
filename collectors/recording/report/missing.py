"""What a recording does not tell: gaps, damage, waits that were not read, other runs of the same time."""

from collections.abc import Iterable

from collectors.readings import REASONS
from collectors.recording.report.episodes import Episode
from collectors.recording.report.facts import Facts
from collectors.recording.report.ledger import Tracked
from collectors.recording.report.words import clock, day, length, listed, plural, share, stamp

WORST = 3
"""Tiers without a good reading of their wait that are named; the rest is in the sum."""

LEAST_S = 0.5
"""A shorter time is told as 0 s: nothing is said of it."""


def span(start: float, end: float) -> str:
    """A stretch of time in words, the date once."""
    if day(start) == day(end):
        return f"{day(start)} {clock(start)} to {clock(end)} UTC"
    return f"{stamp(start)} to {stamp(end)}"


def within(one: Episode, facts: Facts) -> float:
    """Seconds of an episode that were not recorded."""
    end = one.end if one.end is not None else facts.end
    return sum(max(min(gap.end, end) - max(gap.start, one.start), 0.0) for gap in facts.gaps)


def lacking(facts: Facts, longest: Episode | None) -> str:
    """For the headline: how much is missing of the longest episode, and of the rest; empty if nothing."""
    inside = within(longest, facts) if longest is not None else 0.0
    told = f" {length(inside)} between were not recorded." if inside >= LEAST_S else ""
    outside = facts.unknown_s - inside
    if outside >= LEAST_S:
        more = " more" if told else ""
        told += f" {length(outside)}{more} of {length(facts.end - facts.start)} were not recorded."
    if any("damaged" in text for text in (*facts.notices, *(gap.why for gap in facts.gaps))):
        told += " Part of the file is damaged."
    return told


def lost(facts: Facts) -> list[str]:
    """Stretches in which a source gave nothing, a sentence each."""
    told = []
    for one in facts.ledger.lost:
        end = one.end if one.end is not None else facts.end
        why = f" ({one.error})" if one.error else ""
        told.append(
            f"From {one.source} nothing was read for {length(end - one.start)}, from {clock(one.start)} to"
            f" {clock(end)}: source lost{why}."
        )
    return told


def other_runs(facts: Facts) -> str:
    """That the clock went back in the file, and what of the same time this is not about; or empty."""
    if not facts.other_runs:
        return ""
    others = [
        f"{span(one.start, one.end)} ({plural(one.frames, 'picture')} of the fleet)"
        for one in facts.other_runs
    ]
    is_one = len(others) == 1
    return (
        f"The clock goes back in this file: it holds {len(others) + 1} runs of this time, and this report"
        f" tells one of them. {'The other one is' if is_one else 'The others are'} {listed(others)}: "
        f"{'its' if is_one else 'their'} waits are not told here, only what was done and said then. A replay"
        f" shows {'both' if is_one else 'all'}."
    )


def unread(facts: Facts) -> str:
    """For which part of the time no good reading of a wait was there; empty where one always was.

    Tiers that nobody could use in all of this time have no wait to know: they are left out.
    """
    used = [
        (f"{model} {tier}", one)
        for model, tier, one in facts.ledger.judged()
        if one.harm.unknown_s + one.harm.judged_s > 0
    ]
    unknown = sum(one.harm.unknown_s for _, one in used)
    if unknown < LEAST_S:
        return ""
    known = sum(one.harm.judged_s for _, one in used)
    worst = sorted(used, key=lambda pair: (-pair[1].harm.unknown_s, pair[0]))[:WORST]
    named = _by_reason([(name, one) for name, one in worst if one.harm.unknown_s >= LEAST_S])
    spent = part(unknown / (unknown + known))
    if len(used) == 1:
        return f"For {spent} of the time no good reading of the wait was there: {named}."
    return (
        f"For {spent} of the time of the {len(used)} tiers that somebody could use, taken together, no good"
        f" reading of the wait was there. It was longest for {named}."
    )


def part(of: float) -> str:
    """A share of time that is not none of it, nor, unless it is, all of it."""
    return "under 0.1%" if of < 0.001 else "over 99%" if 0.99 < of < 1 else share(of)


def _by_reason(tiers: Iterable[tuple[str, Tracked]]) -> str:
    """Tiers with how long their wait was not known, those with the same reason together."""
    found: dict[str, list[str]] = {}
    for name, one in tiers:
        found.setdefault(_why(one), []).append(f"{name} ({length(one.harm.unknown_s)})")
    return "; ".join(f"{listed(names)}: {why}" for why, names in found.items())


def _why(one: Tracked) -> str:
    """For what reason a tier's wait was not known, the one that lasted longest."""
    code, _ = max(one.unread.items(), key=_lasting, default=("", 0.0))
    plain = REASONS.get(code, code)
    return _WHY.get(code) or (code if "{" in plain else plain) or "no reason is recorded"


def _lasting(item: tuple[str, float]) -> tuple[float, str]:
    return item[1], item[0]


_WHY = {
    "collecting": "too few scrapes yet",
    "few": "too few requests to tell",
    "missing": "there was no reading of it",
    "p95": "too few requests, of which only the p95 was known",
    "removed": "no sample for a while",
    "source-lost": "its source did not answer",
    "stale": "its readings were too old",
}
"""Why a wait is not known, without the numbers that change from one reading to the next."""


def in_sentences(facts: Facts) -> str:
    """All of it in a few sentences."""
    told = [other_runs(facts)]
    if facts.gaps:
        told.append(
            f"{length(facts.unknown_s)} of {length(facts.end - facts.start)} were not recorded, in"
            f" {plural(len(facts.gaps), 'gap')}; nothing is assumed about them."
        )
    if not facts.is_closed:
        told.append("The recording was not closed: what came after its last moment is not in it.")
    if facts.notices:
        told.append(f"The file itself: {'; '.join(facts.notices[:3])}.")
    told += lost(facts)[:3]
    still = facts.lost_sources()
    if still:
        told.append(f"At the end {listed([s.name for s in still])} did not answer.")
    if not facts.has_views:
        told.append("What the operator looked at was not recorded.")
    told.append(unread(facts))
    return _joined(told) or "Nothing is missing: every second of it is recorded."


def _joined(sentences: Iterable[str]) -> str:
    return " ".join(filter(None, sentences))
