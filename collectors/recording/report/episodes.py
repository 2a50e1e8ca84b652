"""Stretches in which users of a model waited too long, and how fast it was seen, decided and mended. Pure."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from collectors.recording.report.acts import FOLLOWED_S, Decision, Look
from collectors.recording.report.harm import State
from collectors.recording.report.ledger import BINS, Ledger, Run, Shown, Worst
from collectors.recording.report.words import as_told, length
from collectors.sessions import View

PAUSE_S = 300.0
"""A breach that comes back within this time is the same episode."""

BEFORE = "it was on the screen before"
STOOD = "it stood already when this stretch begins"
OPEN = "it was open before the alert"
OPEN_THEN = "it was open already when this stretch begins"
"""Why a moment has no time of its own: what it names came before."""

_BAD = frozenset({State.BREACH, State.STALLED})
_SURE = frozenset({State.KEPT, State.IDLE, State.CLOSED})


class Moment(NamedTuple):
    """When something happened, seconds; None with the words for why there is no time."""

    at: float | None
    words: str = ""


@dataclass(frozen=True, slots=True)
class Episode:
    """One model above an objective, from its first breach in any tier to the end of its last one.

    tiers: those in breach, in the order of the fleet; worst: the longest wait of them, with its
    tier; furthest: the one furthest beyond its promise
    start: its first breach; is_cut: it stood above already when it was first known in the window
    end: when no tier was known to be in breach any more; None if the window ended before
    above_s: seconds of it in which a tier was seen to be in breach: without gaps and breaks
    is_lost: nothing is known from `end` on: it may have lasted longer
    sure: when every tier was surely within its objective after that; None if that was never known
    alert, look, intent, applied: what happened first, in this order, from `start` on
    decision: number of the decision that the intent belongs to, None without
    """

    model: str
    tiers: tuple[str, ...]
    start: float
    is_cut: bool
    end: float | None
    above_s: float
    is_lost: bool
    sure: float | None
    worst: tuple[str, Worst] | None
    furthest: tuple[str, Worst] | None
    alert: Moment
    look: Moment
    intent: Moment
    applied: Moment
    decision: int | None


def episodes(
    ledger: Ledger, decisions: Sequence[Decision], looks: Sequence[Look], *, has_views: bool
) -> tuple[Episode, ...]:
    """All episodes of a window, in order of time.

    has_views: the recording tells what the operator looked at
    """
    by_model: dict[str, dict[str, list[Run]]] = {}
    worst: dict[str, dict[str, Worst | None]] = {}
    for model, tier, one in ledger.judged():
        by_model.setdefault(model, {})[tier] = one.runs
        worst.setdefault(model, {})[tier] = one.worst
    found = []
    for model, tiers in by_model.items():
        names = ledger.names_of(model)
        for start, end in _stretches(tiers.values()):
            hurt = _hurt(tiers, start, end)
            found.append(
                _episode(
                    model, tiers, hurt, start, end, ledger, worst[model], names, decisions, looks,
                    has_views=has_views,
                )
            )  # fmt: skip
    return tuple(sorted(found, key=lambda one: (one.start, one.model)))


def _above_s(tiers: Iterable[Sequence[Run]], start: float, end: float) -> float:
    """Seconds of a stretch in which any tier was in breach."""
    return sum(
        min(until, end) - max(since, start)
        for since, until in _stretches(tiers, 0.0)
        if since < end and until > start
    )


def _stretches(tiers: Iterable[Sequence[Run]], pause_s: float = PAUSE_S) -> list[tuple[float, float]]:
    """When any tier was in breach, joined over pauses no longer than `pause_s`."""
    bad = sorted((run.start, run.end) for runs in tiers for run in runs if run.state in _BAD)
    joined: list[tuple[float, float]] = []
    for start, end in bad:
        if joined and start - joined[-1][1] <= pause_s:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _hurt(tiers: dict[str, list[Run]], start: float, end: float) -> tuple[str, ...]:
    """Tiers in breach in a stretch, the longest first."""
    seconds = {
        tier: sum(
            min(run.end, end) - max(run.start, start)
            for run in runs
            if run.state in _BAD and run.start < end and run.end > start
        )
        for tier, runs in tiers.items()
    }
    return tuple(sorted((t for t, s in seconds.items() if s > 0), key=lambda t: (-seconds[t], t)))


def _episode(
    model: str,
    tiers: dict[str, list[Run]],
    hurt: tuple[str, ...],
    start: float,
    end: float,
    ledger: Ledger,
    worst: dict[str, Worst | None],
    names: set[str],
    decisions: Sequence[Decision],
    looks: Sequence[Look],
    *,
    has_views: bool,
) -> Episode:
    is_open = end >= ledger.end - 1e-6
    known_since = min(runs[0].start for runs in tiers.values() if runs)
    own_worst = {t: _worst_within(ledger, model, t, worst[t], start, end) for t in hurt}
    waits = [
        (as_told(one.point.estimate), _share(ledger, model, t, one), t, one)
        for t in hurt
        if (one := own_worst[t])
    ]
    longest = max(waits, key=lambda w: w[:2], default=None)
    furthest = max(waits, key=lambda w: (w[1], w[0]), default=None)
    # What came after belongs to this episode for as long as it lasts, and to the pause behind it.
    until = ledger.end if is_open else end + PAUSE_S
    is_cut = start <= known_since + 1e-6
    begins = start + 1e-6 if is_cut else ledger.start
    alert = _alert(ledger.alerts.values(), model, hurt, start, until, begins)
    seen_at = alert.at if alert.at is not None else start
    look = _look(looks, names, max(start, seen_at), until, has_views=has_views)
    if is_cut and look.words == OPEN:
        look = Moment(start, OPEN_THEN)
    then = [one for one in decisions if start <= one.at <= until]
    own = [one for one in then if one.subjects & names]
    intent = _intent(own[0]) if own else Moment(None, _no_action(decisions, names, start))
    if not own and then and not any(ledger.served_by.values()):
        own = then[:1]
        about = own[0].aims[0].name if own[0].aims else "something"
        intent = _intent(own[0], f", on {about}; which models serve what is not recorded")
    applied = _applied(own)
    return Episode(
        model,
        ledger.in_order(hurt),
        start,
        is_cut,
        None if is_open else end,
        _above_s(tiers.values(), start, end),
        not is_open and _is_lost(tiers.values(), end),
        None if is_open else _sure_since(tiers.values(), end),
        longest[2:] if longest is not None else None,
        furthest[2:] if furthest is not None else None,
        alert,
        look,
        intent,
        applied,
        own[0].number if own else None,
    )


def _intent(one: Decision, more: str = "") -> Moment:
    """When an action was confirmed, with its number, and how it ended unless it was done."""
    ended = "" if one.applied_at is not None else f", {' and '.join(one.kinds)}"
    return Moment(one.at, f"action {one.number}{ended}{more}")


def _no_action(decisions: Iterable[Decision], names: set[str], start: float) -> str:
    """That none followed; and which one came last before it, for a breach can follow what was done."""
    before = [
        one
        for one in decisions
        if one.subjects & names and one.applied_at is not None and start - FOLLOWED_S <= one.at < start
    ]
    if not before:
        return "no action on it is recorded"
    last = before[-1]
    return f"no later action on it is recorded; action {last.number} was {length(start - last.at)} before"


def _is_lost(tiers: Iterable[Sequence[Run]], end: float) -> bool:
    """Whether of a tier that was in breach until `end` nothing is known behind it."""
    for runs in tiers:
        for run, after in zip(runs, [*runs[1:], None], strict=True):
            if run.state in _BAD and abs(run.end - end) < 1e-6:
                return after is None or after.start - end > 1e-6 or after.state is State.UNKNOWN
    return False


def _worst_within(
    ledger: Ledger, model: str, tier: str, worst: Worst | None, start: float, end: float
) -> Worst | None:
    """The worst wait of a tier in one stretch: that of the whole window, or what the parts of it tell."""
    if worst is None or start <= worst.at <= end:
        return worst
    width = (ledger.end - ledger.start) / BINS
    found = [
        Worst(max(at, start), point)
        for n, point in enumerate(ledger.tiers[model, tier].points)
        if point is not None and (at := ledger.start + n * width) < end and at + width > start
    ]
    return max(found, key=lambda one: one.point.estimate, default=None)


def _share(ledger: Ledger, model: str, tier: str, worst: Worst) -> float:
    """The worst wait by its objective."""
    return worst.point.estimate / (ledger.tiers[model, tier].objective or 1.0)


def _alert(
    alerts: Iterable[Sequence[Shown]],
    model: str,
    hurt: Sequence[str],
    start: float,
    until: float,
    begins: float,
) -> Moment:
    """The first alert of the model since `start`, or one of a tier in breach that was on the screen by then.

    An older one that names no such tier is of something else: it told nobody of this.
    begins: of what is known; when an alert that stood already then was first seen, nobody can tell
    """
    own = [
        shown
        for several in alerts
        for shown in several
        if shown.alert.model == model and shown.first <= until and (shown.gone is None or shown.gone > start)
    ]
    if any(shown.first < start and shown.alert.tier in hurt for shown in own):
        return Moment(start, BEFORE)
    if any(min(shown.first, shown.alert.since) < begins and shown.alert.tier in hurt for shown in own):
        return Moment(start, STOOD)
    first = min((shown.first for shown in own if shown.first >= start), default=None)
    return Moment(first) if first is not None else Moment(None, "no alert named it")


def _look(looks: Sequence[Look], names: set[str], start: float, until: float, *, has_views: bool) -> Moment:
    if not has_views:
        return Moment(None, "when it was opened is not recorded")
    before = [look for look in looks if look.at <= start]
    if before and is_on(before[-1].view, names):
        return Moment(start, OPEN)
    found = next((one for one in looks if start < one.at <= until and is_on(one.view, names)), None)
    return Moment(found.at) if found else Moment(None, "nobody opened its screen")


def is_on(view: View, names: Container[str]) -> bool:
    """Whether a view shows one of `names`: its screen is of it, or its dialog names it in its title."""
    titled = (*view.dialog.split(" · "), *view.dialog.split())
    return view.subject in names or any(part in names for part in titled)


def _applied(own: Sequence[Decision]) -> Moment:
    if not own:
        return Moment(None)
    done = [(at, one.number) for one in own if (at := one.applied_at) is not None]
    if not done:
        return Moment(None, "none was applied, as far as is recorded")
    at, number = min(done)
    return Moment(at, "" if number == own[0].number else f"action {number}")


def _sure_since(tiers: Iterable[Sequence[Run]], end: float) -> float | None:
    """When every tier was surely within its objective at once, from `end` on; None if never."""
    common: list[tuple[float, float]] | None = None
    for runs in tiers:
        sure = [(max(run.start, end), run.end) for run in runs if run.state in _SURE and run.end > end]
        common = sure if common is None else _both(common, sure)
    return common[0][0] if common else None


def _both(a: Sequence[tuple[float, float]], b: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """What two lists of stretches, each in order, have in common."""
    found, i, j = [], 0, 0
    while i < len(a) and j < len(b):
        start, end = max(a[i][0], b[j][0]), min(a[i][1], b[j][1])
        if start < end:
            found.append((start, end))
        if a[i][1] < b[j][1]:
            i += 1
        else:
            j += 1
    return found
