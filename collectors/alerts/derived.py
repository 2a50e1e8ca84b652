"""Alerts that follow from readings alone: an objective broken, a queue that stands still, accelerators that
are faulty or idle while requests wait, data that is gone.

An alert keeps the time it began, so the first of a chain stays on top. It ends when a good reading says so:
data that is lost ends no alert, it makes it the last that is known.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

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

IDLE_BUSY = 0.2
"""Busy time of a model's accelerators below which they are idle: serving engines with anything in their batch
launch work most of the time, so a fifth leaves room for a few busy ones among many that do nothing."""

IDLE_S = 60.0
"""Seconds that requests must wait beside idle accelerators: busy time is a mean over a scrape or more, and
lags behind a queue that has just begun."""

LAST_KNOWN = "last known: "


@dataclass(frozen=True, slots=True)
class Memory:
    """What has been true for some time, but not for long enough to be an alert.

    idle_since: model -> when its accelerators were first seen idle while its queue waited, without a break
    """

    idle_since: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


NOTHING = Memory()


def remembered(models: Iterable[Model], now: float, before: Memory = NOTHING) -> Memory:
    """What to remember from this tick on. A break in good data is a break: nobody saw what was in between."""
    since = {m.name: before.idle_since.get(m.name, now) for m in models if _is_idle_beside_a_queue(m)}
    return before if since == before.idle_since else Memory(since)


def derived(
    models: Sequence[Model],
    sources: Iterable[SourceHealth],
    now: float,
    earlier: Iterable[Alert] = (),
    memory: Memory = NOTHING,
) -> tuple[Alert, ...]:
    """Alerts of this tick, the oldest first. None begins from a stale reading (D10), none ends with one.

    earlier: those of the tick before; memory: by `remembered`, of this tick
    """
    before: Mapping[str, Alert] = {alert.id: alert for alert in earlier}
    lost = [s for s in sources if s.state is SourceState.LOST]
    silent_ones = [s for s in lost if s.kind in {"prometheus", "scrape"}]
    found = [*_lost(silent_ones, models), *_untold(s for s in lost if s.kind == "alerts")]
    for model in models:
        found += _waits(model, before)
        found += _stall(model, before)
        found += _idle(model, now, memory, before)
        found += _faults(model, before)
        if not silent_ones and _has_lost_data(model):
            text = "no samples: values removed, not zero"
            found.append(Alert(f"data/{model.name}", Severity.P3, model.name, "", now, text))
    dated = (a if a.id not in before else replace(a, since=before[a.id].since) for a in found)
    return tuple(sorted((replace(a, since=a.since or now) for a in dated), key=lambda a: (a.since, a.id)))


def together(derived: Iterable[Alert], told: Iterable[Alert], now: float | None = None) -> tuple[Alert, ...]:
    """All alerts in first-out order (D7): the oldest first, of one moment the worst; silenced ones last.

    now: by which a silence that has ended silences no more (D8); None leaves them as they are
    """
    return tuple(
        sorted(
            (*derived, *(_unsilenced(alert, now) for alert in told)),
            key=lambda a: (a.silenced_until is not None, a.since, a.severity, a.id),
        )
    )


def _unsilenced(alert: Alert, now: float | None) -> Alert:
    if now is None or alert.silenced_until is None or alert.silenced_until > now:
        return alert
    return replace(alert, silenced_until=None, silenced_by="")


def _last_known(key: str, before: Mapping[str, Alert]) -> Iterator[Alert]:
    """The alert as it was, where there was one: its data is lost."""
    if (old := before.get(key)) is not None:
        yield replace(old, summary=f"{LAST_KNOWN}{old.summary.removeprefix(LAST_KNOWN)}")


def _lost(lost: Sequence[SourceHealth], models: Sequence[Model]) -> Iterator[Alert]:
    """One alert for a source that is gone, not one for each model it fed."""
    silent = sum(_has_lost_data(model) for model in models)
    for source in lost:
        if silent:
            text = f"{source.name} is lost: numbers of {silent} models removed, not zero"
            yield Alert(f"source/{source.name}", Severity.P2, "", "", 0.0, text)


def _untold(lost: Iterable[SourceHealth]) -> Iterator[Alert]:
    """A server of alerts that is gone: without a word of it, no alerts would look like calm."""
    for source in lost:
        text = f"{source.name} is lost: what alerts now, nobody says"
        yield Alert(f"alerts/{source.name}", Severity.P2, "", "", 0.0, text)


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
        elif now is Standing.UNKNOWN and not _is_good(wait):
            yield from _last_known(key, before)


def _is_good(one: Reading) -> bool:
    """True if somebody knows; an idle tier is known to wait for nothing."""
    return one.quality is Quality.GOOD


def _stall(model: Model, before: Mapping[str, Alert]) -> Iterator[Alert]:
    """Requests wait and none leaves: no wait is measured then, and so no objective is seen broken."""
    wait, key = model.reading("queue_wait_p99"), f"stall/{model.name}"
    if wait.reason.code == "stalled" and wait.quality is Quality.SUSPECT:
        text = f"stalled: {wait.reason.parameters[0]} waiting and none leaves the queue"
        yield Alert(key, Severity.P2, model.name, "", 0.0, text)
    elif not _is_good(wait):
        yield from _last_known(key, before)


def _is_idle_beside_a_queue(model: Model) -> bool:
    waiting, busy = model.reading("waiting"), model.reading("busy_ratio")
    if not (_is_good(waiting) and _is_good(busy)) or waiting.estimate is None or busy.estimate is None:
        return False
    return waiting.estimate > 0 and busy.estimate < IDLE_BUSY


def _idle(model: Model, now: float, memory: Memory, before: Mapping[str, Alert]) -> Iterator[Alert]:
    """Capacity that does nothing while users wait: a router, a scheduler or a lock is at fault."""
    key, since = f"idle/{model.name}", memory.idle_since.get(model.name)
    waiting, busy = model.reading("waiting"), model.reading("busy_ratio")
    if since is not None and (now - since >= IDLE_S or key in before):
        text = f"accelerators {busy.estimate or 0:.0%} busy while {waiting.estimate or 0:.0f} wait"
        yield Alert(key, Severity.P2, model.name, "", since, text)
    elif not (_is_good(waiting) and _is_good(busy)):
        yield from _last_known(key, before)


def _faults(model: Model, before: Mapping[str, Alert]) -> Iterator[Alert]:
    faults, key = model.reading("faults"), f"faults/{model.name}"
    if not _is_good(faults):
        yield from _last_known(key, before)
    elif (number := round(faults.estimate or 0)) > 0:
        text = f"{number} faulty accelerator{'s' if number > 1 else ''}"
        yield Alert(key, Severity.P2, model.name, "", 0.0, text)


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
