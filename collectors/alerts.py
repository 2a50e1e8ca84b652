"""Alerts that follow from readings alone: an objective broken, a model without data.

An alert keeps the time it was first seen, so the first of a chain stays on top.
"""

from collections.abc import Iterable, Mapping, Sequence

from collectors.fleet import Alert, Interval, Model, Quality, Reading, Severity, Standing, standing

FAR_PAST = 2.0
"""A wait whose lower bound is past this many objectives is P1: users feel it, whatever the estimate."""


def derived(models: Sequence[Model], now: float, earlier: Iterable[Alert] = ()) -> tuple[Alert, ...]:
    """Alerts of this tick, the oldest first. No alert comes from a stale reading (D10)."""
    since: Mapping[str, float] = {alert.id: alert.since for alert in earlier}
    found = [alert for model in models for alert in _of_model(model, now, since)]
    return tuple(sorted(found, key=lambda a: (a.since, a.id)))


def _of_model(model: Model, now: float, since: Mapping[str, float]) -> Iterable[Alert]:
    for tier, objective in model.objectives.items():
        wait = model.reading("queue_wait_p99", tier)
        if standing(wait, objective) is not Standing.BREACH:
            continue
        lo, shown = _bounds(wait)
        key = f"wait/{model.name}/{tier}"
        severity = Severity.P1 if lo > FAR_PAST * objective else Severity.P2
        text = f"queue p99 {shown} > {objective:g} s"
        yield Alert(key, severity, model.name, tier, since.get(key, now), text)
    if _has_lost_data(model):
        key = f"data/{model.name}"
        yield Alert(
            key, Severity.P3, model.name, "", since.get(key, now), "no samples: values removed, not zero"
        )


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
