"""Alerts that follow from readings: when they begin, what they say when nobody knows, when they end."""

import pytest

from collectors.alerts.derived import LAST_KNOWN, derived
from collectors.changes import changed_alerts
from collectors.fleet import (
    Interval,
    Model,
    Quality,
    Reading,
    Reason,
    Severity,
    SourceHealth,
    SourceState,
)

OK = SourceHealth("prometheus", "prometheus", SourceState.OK)
LOST = SourceHealth("prometheus", "prometheus", SourceState.LOST)
REMOVED = Reading(None, 1.0, Quality.MISSING, Reason("removed", (30,)))


def model(wait: Reading, running: Reading | None = None, name: str = "a") -> Model:
    whole = {"running": running or Reading(1.0, 1.0), "queue_wait_p99": wait}
    return Model(name, whole, {"pro": {"queue_wait_p99": wait}}, {"pro": 2.0})


def waits(lo: float, hi: float) -> Reading:
    return Reading(Interval(lo, hi, hi), 1.0)


@pytest.mark.parametrize(
    ("wait", "severity"),
    [
        (waits(2.5, 5.0), Severity.P2),
        (waits(5.0, 10.0), Severity.P1),
        (waits(1.0, 2.5), None),
        (waits(0, 2), None),
    ],
)
def test_a_broken_objective_is_an_alert(wait: Reading, severity: Severity | None) -> None:
    """Past it P2, past twice of it P1; a bucket that spans it is no alert (D18)."""
    found = derived([model(wait)], [OK], 10.0)
    assert [a.severity for a in found] == ([severity] if severity else [])


def test_lost_data_ends_no_alert() -> None:
    """Source gone, value stale, removed, then collecting: the alert stays as last known, with its time."""
    first = derived([model(waits(5.0, 10.0))], [OK], 10.0)
    stale = Reading(Interval(5.0, 10.0, 9.0), 1.0, Quality.STALE, Reason("stale", (12, 5)))
    collecting = Reading(None, 1.0, Quality.MISSING, Reason("collecting", (1, 4)))
    alerts = first
    for now, wait in ((20.0, stale), (30.0, REMOVED), (40.0, collecting)):
        alerts = derived([model(wait)], [LOST], now, alerts)
        kept = next(a for a in alerts if a.id == first[0].id)
        assert (kept.since, kept.severity) == (10.0, Severity.P1)
        assert kept.summary == f"{LAST_KNOWN}{first[0].summary}"
    assert derived([model(waits(0.0, 1.0))], [OK], 50.0, alerts) == ()


def test_no_alert_begins_from_stale_data() -> None:
    """A stale breach that was never seen good is no alert (D10)."""
    stale = Reading(Interval(5.0, 10.0, 9.0), 1.0, Quality.STALE)
    assert derived([model(stale)], [OK], 10.0) == ()


def test_one_lost_source_is_one_alert() -> None:
    """Fifty models without data have one cause, and it is what the panel names."""
    models = [model(REMOVED, REMOVED, name=str(n)) for n in range(50)]
    found = derived(models, [LOST], 10.0)
    assert [a.id for a in found] == ["source/prometheus"]
    assert "50 models" in found[0].summary
    assert len(derived(models, [OK], 10.0)) == 50, (
        "a source that answers without them: each model has its own"
    )


def test_a_stall_is_an_alert() -> None:
    """Requests wait and none leaves: no wait is measured, and so no objective is seen broken."""
    stalled = Reading(None, 1.0, Quality.SUSPECT, Reason("stalled", (7,)))
    found = derived([model(stalled)], [OK], 10.0)
    assert [a.summary for a in found] == ["stalled: 7 waiting and none leaves the queue"]


def test_every_change_of_an_alert_is_an_event() -> None:
    """Begun, risen and ended are told; standing is not."""
    low, high = derived([model(waits(2.5, 5.0))], [OK], 10.0), derived([model(waits(5.0, 9.0))], [OK], 10.0)
    assert [e.actor for e in changed_alerts((), low, 10.0)] == ["P2"]
    assert [e.actor for e in changed_alerts(low, high, 20.0)] == ["P1"]
    assert list(changed_alerts(high, high, 30.0)) == []
    (ended,) = changed_alerts(high, (), 40.0)
    assert (ended.actor, ended.subject, ended.text) == ("cleared", "a pro", "after 30 s")
