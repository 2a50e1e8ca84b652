"""Alerts that follow from readings alone: an objective broken, a queue that stands still, data that is gone.

An alert keeps the time it was first seen, so the first of a chain stays on top. It ends when a good reading
says so: data that is lost ends no alert, it makes it the last that is known.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from collectors.fleet import (
    Alert,
    Interval,
    Model,
    Quality,
    Reading,
    Severity,
    SourceHealth,
    SourceState,
    Standing,
    standing,
)

FAR_PAST = 2.0
"""A wait whose lower bound is past this many objectives is P1: users feel it, whatever the estimate."""

LAST_KNOWN = "last known: "


def derived(
    models: Sequence[Model], sources: Iterable[SourceHealth], now: float, earlier: Iterable[Alert] = ()
) -> tuple[Alert, ...]:
    """Alerts of this tick, the oldest first. None begins from a stale reading (D10), none ends with one."""
    before: Mapping[str, Alert] = {alert.id: alert for alert in earlier}
    lost = [s for s in sources if s.kind in {"prometheus", "scrape"} and s.state is SourceState.LOST]
    found = list(_lost(lost, models))
    for model in models:
        found += _waits(model, before)
        found += _stall(model)
        if not lost and _has_lost_data(model):
            text = "no samples: values removed, not zero"
            found.append(Alert(f"data/{model.name}", Severity.P3, model.name, "", now, text))
    dated = (a if a.id not in before else _since(a, before[a.id].since) for a in found)
    return tuple(sorted((_since(a, a.since or now) for a in dated), key=lambda a: (a.since, a.id)))


def _since(alert: Alert, at: float) -> Alert:
    return Alert(alert.id, alert.severity, alert.model, alert.tier, at, alert.summary)


def _lost(lost: Sequence[SourceHealth], models: Sequence[Model]) -> Iterator[Alert]:
    """One alert for a source that is gone, not one for each model it fed."""
    silent = sum(_has_lost_data(model) for model in models)
    for source in lost:
        if silent:
            text = f"{source.name} is lost: numbers of {silent} models removed, not zero"
            yield Alert(f"source/{source.name}", Severity.P2, "", "", 0.0, text)


def _waits(model: Model, before: Mapping[str, Alert]) -> Iterator[Alert]:
    for tier, objective in model.objectives.items():
        wait = model.reading("queue_wait_p99", tier)
        key = f"wait/{model.name}/{tier}"
        now = standing(wait, objective)
        if now is Standing.BREACH:
            lo, shown = _bounds(wait)
            severity = Severity.P1 if lo > FAR_PAST * objective else Severity.P2
            text = f"queue p99 {shown} > {objective:g} s"
            yield Alert(key, severity, model.name, tier, 0.0, text)
        elif now is Standing.UNKNOWN and key in before and _is_unknown(wait):
            old = before[key]
            text = f"{LAST_KNOWN}{old.summary.removeprefix(LAST_KNOWN)}"
            yield Alert(key, old.severity, model.name, tier, old.since, text)


def _is_unknown(wait: Reading) -> bool:
    """True if nobody knows; an idle tier is known to wait for nothing."""
    return wait.quality is not Quality.GOOD


def _stall(model: Model) -> Iterator[Alert]:
    """Requests wait and none leaves: no wait is measured then, and so no objective is seen broken."""
    wait = model.reading("queue_wait_p99")
    if wait.reason.code == "stalled" and wait.quality is Quality.SUSPECT:
        text = f"stalled: {wait.reason.parameters[0]} waiting and none leaves the queue"
        yield Alert(f"stall/{model.name}", Severity.P2, model.name, "", 0.0, text)


def _bounds(wait: Reading) -> tuple[float, str]:
    if isinstance(wait.value, Interval):
        lo, hi = wait.value.lo, wait.value.hi
        shown = f">={lo:g} s" if hi == float("inf") else f"{wait.value.estimate:.2g} ({lo:g}-{hi:g}) s"
        return lo, shown
    value = wait.value or 0.0
    return value, f"{value:.2g} s"


def _has_lost_data(model: Model) -> bool:
    """True if what was once measured is gone: a model that was never measured raises no alert."""
    return any(
        r.quality is Quality.MISSING and r.reason.code == "removed"
        for r in (model.reading("waiting"), model.reading("running"))
    )
