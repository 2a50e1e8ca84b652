"""Alerts that follow from what is known: an objective broken, a queue that stands still, accelerators that
are faulty or idle while requests wait, data that is gone, a model that was closed to everyone.

An alert keeps the time it began, so the first of a chain stays on top. It ends when a good reading says so:
data that is lost ends no alert, it makes it the last that is known.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from collectors.alerts.told import OWN_ALERTS
from collectors.fleet import Alert, Model, Release, Severity, SourceHealth, SourceState
from collectors.readings import Interval, Quality, Reading, Standing, standing
from collectors.text import clean

FAR_PAST = 2.0
"""A wait whose lower bound is past this many objectives is P1: users feel it, whatever the estimate."""

IDLE_BUSY = 0.2
"""Busy time of a model's accelerators below which they are idle: serving engines with anything in their batch
launch work most of the time, so a fifth leaves room for a few busy ones among many that do nothing."""

IDLE_S = 60.0
"""Seconds that requests must wait beside idle accelerators: busy time is a mean over a scrape or more, and
lags behind a queue that has just begun."""

SOURCE_NAME = 40
"""Longest name of a source of metrics, in characters."""

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
    releases: Iterable[Release] = (),
) -> tuple[Alert, ...]:
    """Alerts of this tick, the oldest first. None begins from a stale reading (D10), none ends with one.

    earlier: those of the tick before; memory: by `remembered`, of this tick
    releases: as the control plane last said
    """
    before: Mapping[str, Alert] = {alert.id: alert for alert in earlier}
    sources = tuple(sources)
    silent = [s for s in sources if s.state is SourceState.LOST and s.kind in {"prometheus", "scrape"}]
    found = [*_lost(sources, silent, models), *_lost_managers(sources)]
    is_untold = any(s.kind == "plane" and s.state is SourceState.LOST for s in sources)
    for release in releases:
        found += _closed(release, is_untold, before)
    for model in models:
        found += _waits(model, before)
        found += _stall(model, before)
        found += _idle(model, now, memory, before)
        found += _faults(model, before)
        if _has_lost_data(model) and not any(_feeds(one, model) for one in silent):
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


def _lost(
    sources: Sequence[SourceHealth], silent: Sequence[SourceHealth], models: Sequence[Model]
) -> Iterator[Alert]:
    """One alert for a server that is gone, not one for each model it fed, nor one more for its rules."""
    untold = {_server(s): s.name for s in sources if s.state is SourceState.LOST and _is_own(s)}
    is_told = any(_answers(s) and _is_manager(s) for s in sources)
    for server in dict.fromkeys([*(one.name for one in silent), *untold]):
        gone = [one for one in silent if one.name == server]
        number = sum(_has_lost_data(m) for m in models if any(_feeds(one, m) for one in gone))
        if not number and server not in untold:
            continue
        rules = "its own rule alerts are not read" if is_told else "what alerts now, nobody says"
        rules = rules if server in untold else ""
        of = f"numbers of {number} model{'s' if number > 1 else ''} removed, not zero" if number else ""
        steady = "numbers removed, not zero" if number else ""
        name = server if gone else untold[server]
        summary, event = (
            f"{name} is lost: {'; '.join(filter(None, (said, rules)))}" for said in (of, steady)
        )
        severity = Severity.P2 if number or not is_told else Severity.P3
        yield Alert(f"source/{server}", severity, "", "", 0.0, summary, event=event)


def _lost_managers(sources: Sequence[SourceHealth]) -> Iterator[Alert]:
    """An Alertmanager that is gone: without a word of it, no alerts would look like calm."""
    is_told = any(_answers(s) and _is_own(s) for s in sources)
    has_other = any(_answers(s) and _is_manager(s) for s in sources)
    said = (
        "its silences are not read, and it may notify nobody" if is_told else "what alerts now, nobody says"
    )
    for one in sources:
        if one.state is SourceState.LOST and _is_manager(one):
            text = "what only it was sent is not read" if has_other else said
            severity = Severity.P3 if has_other else Severity.P2
            yield Alert(f"alerts/{one.name}", severity, "", "", 0.0, f"{one.name} is lost: {text}")


def _is_own(source: SourceHealth) -> bool:
    """True for a Prometheus that is asked for the alerts of its own rules."""
    return source.kind == "alerts" and source.name.startswith(OWN_ALERTS)


def _is_manager(source: SourceHealth) -> bool:
    return source.kind == "alerts" and not source.name.startswith(OWN_ALERTS)


def _answers(source: SourceHealth) -> bool:
    """True if it tells alerts: a store without rules answers, and has none to tell."""
    return source.state in {SourceState.OK, SourceState.PARTIAL} and source.at is not None


def _server(own: SourceHealth) -> str:
    """What the same Prometheus is called as a source of metrics."""
    cluster = own.name.removeprefix(OWN_ALERTS).removeprefix("@")
    return clean(f"prom {cluster}", SOURCE_NAME) if cluster else "prometheus"


def _feeds(source: SourceHealth, model: Model) -> bool:
    """False for a Prometheus that watches another cluster than the model's."""
    if not model.cluster or not source.name.startswith("prom "):
        return True
    return source.name == clean(f"prom {model.cluster}", SOURCE_NAME)


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
        event = "stalled: requests wait and none leaves the queue"
        yield Alert(key, Severity.P2, model.name, "", 0.0, text, event=event)
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
        event = "accelerators idle while requests wait"
        yield Alert(key, Severity.P2, model.name, "", since, text, event=event)
    elif not (_is_good(waiting) and _is_good(busy)):
        yield from _last_known(key, before)


def _faults(model: Model, before: Mapping[str, Alert]) -> Iterator[Alert]:
    faults, key = model.reading("faults"), f"faults/{model.name}"
    if not _is_good(faults):
        yield from _last_known(key, before)
    elif (number := round(faults.estimate or 0)) > 0:
        text = f"{number} faulty accelerator{'s' if number > 1 else ''}"
        yield Alert(key, Severity.P2, model.name, "", 0.0, text, event="faulty accelerators")


def _closed(release: Release, is_untold: bool, before: Mapping[str, Alert]) -> Iterator[Alert]:
    """A model that an abort left closed to every tier, with no revision to go back to: nobody is served.

    It ends when a tier opens, not with a retry that waits. Source: control contract, section 3.
    """
    key = f"closed/{release.id}"
    exposed = (*release.exposure, *release.base)
    is_closed = release.stable is None and bool(release.exposure) and not any(e.desired for e in exposed)
    if release.subject_kind != "model" or release.read_only or not is_closed:
        return
    if is_untold:
        yield from _last_known(key, before)
    elif release.phase == "aborted":
        change = release.last_change
        by = f" by {change.actor}" if change is not None and change.op == "release.abort" else ""
        at = change.at if change is not None and by else release.entered_at
        since = time.strftime(" since %H:%MZ", time.gmtime(at)) if at is not None else ""
        text = f"closed to every tier{since}: aborted{by}"
        yield Alert(key, Severity.P2, release.subject, "", at or 0.0, text)
    elif (old := before.get(key)) is not None:
        yield replace(old, summary=old.summary.removeprefix(LAST_KNOWN))


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
