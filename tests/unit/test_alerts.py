"""Alerts that follow from readings: when they begin, what they say when nobody knows, when they end."""

from dataclasses import replace
from typing import Literal

import pytest

from collectors.alerts.derived import LAST_KNOWN, NOTHING, derived, remembered, together
from collectors.changes import changed_alerts
from collectors.fleet import (
    Alert,
    Exposure,
    LastChange,
    Model,
    Release,
    Severity,
    SourceHealth,
    SourceState,
)
from collectors.readings import Interval, Quality, Reading, Reason

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


def idle(waiting: Reading, busy: Reading, faults: Reading | None = None) -> Model:
    return Model("a", {"waiting": waiting, "busy_ratio": busy, "faults": faults or Reading(0.0, 1.0)}, {})


def over_time(models: list[Model], step_s: float = 20.0) -> list[tuple[Alert, ...]]:
    """The alerts of each model in turn, `step_s` apart."""
    found: list[tuple[Alert, ...]] = []
    alerts: tuple[Alert, ...] = ()
    memory = NOTHING
    for n, one in enumerate(models):
        now = 100.0 + n * step_s
        memory = remembered([one], now, memory)
        alerts = derived([one], [OK], now, alerts, memory)
        found.append(alerts)
    return found


def test_idle_beside_a_queue_for_a_minute_is_an_alert() -> None:
    """Not before the minute; it began when the minute did; it ends with the queue."""
    queue = idle(Reading(12.0, 1.0), Reading(0.05, 1.0))
    found = over_time([queue] * 5 + [idle(Reading(0.0, 1.0), Reading(0.05, 1.0))])
    assert [len(alerts) for alerts in found] == [0, 0, 0, 1, 1, 0]
    (alert,) = found[3]
    assert (alert.severity, alert.since, alert.model) == (Severity.P2, 100.0, "a")
    assert alert.summary == "accelerators 5% busy while 12 wait"


def test_only_good_readings_count_for_idleness() -> None:
    """A break in good data starts the minute anew; lost data keeps a begun alert as last known."""
    queue, busy = Reading(12.0, 1.0), Reading(0.05, 1.0)
    stale = Reading(0.05, 1.0, Quality.STALE)
    good, unseen = idle(queue, busy), idle(queue, stale)
    found = over_time([good, good, unseen, good, good, good, good, unseen, good])
    assert [len(alerts) for alerts in found] == [0, 0, 0, 0, 0, 0, 1, 1, 1]
    assert found[7][0].summary == f"{LAST_KNOWN}{found[6][0].summary}"
    assert not found[8][0].summary.startswith(LAST_KNOWN)
    assert found[8][0].since == found[6][0].since
    assert over_time([idle(queue, Reading(0.2, 1.0))] * 6)[-1] == ()
    assert over_time([idle(queue, REMOVED)] * 6)[-1] == ()


def test_faulty_accelerators_are_an_alert_with_their_number() -> None:
    """One alert a model, its number as it is now; lost data ends it as little as any other."""
    healthy, calm = Reading(0.0, 1.0), Reading(0.9, 1.0)
    models = [idle(healthy, calm, Reading(n, 1.0)) for n in (0.0, 1.0, 3.0)]
    found = over_time([*models, idle(healthy, calm, REMOVED), idle(healthy, calm)])
    texts = [[a.summary for a in alerts] for alerts in found]
    assert texts == [
        [],
        ["1 faulty accelerator"],
        ["3 faulty accelerators"],
        ["last known: 3 faulty accelerators"],
        [],
    ]
    assert (found[2][0].since, found[2][0].severity) == (120.0, Severity.P2)


def test_a_stall_whose_data_is_lost_is_the_last_known() -> None:
    """As for a broken objective: a source that goes away ends nothing."""
    stalled = Reading(None, 1.0, Quality.SUSPECT, Reason("stalled", (7,)))
    first = derived([model(stalled)], [OK], 10.0)
    (kept,) = (a for a in derived([model(REMOVED)], [OK], 20.0, first) if a.id == "stall/a")
    assert (kept.since, kept.summary) == (10.0, f"{LAST_KNOWN}{first[0].summary}")
    assert derived([model(Reading(0.5, 1.0))], [OK], 30.0, [kept]) == ()


def test_a_lost_server_of_alerts_is_an_alert() -> None:
    """Without its word, no alerts would look like calm."""
    lost = SourceHealth("alertmanager", "alerts", SourceState.LOST)
    (alert,) = derived([model(Reading(0.5, 1.0))], [OK, lost], 10.0)
    assert (alert.id, alert.severity) == ("alerts/alertmanager", Severity.P2)
    assert "nobody says" in alert.summary


def placed(cluster: str, name: str, running: Reading = REMOVED) -> Model:
    return replace(model(running, running, name=f"{name}@{cluster}"), cluster=cluster)


def at(state: SourceState, name: str, kind: Literal["prometheus", "alerts"] = "alerts") -> SourceHealth:
    return SourceHealth(name, kind, state, 9.0)


def lost_server(
    *managers: SourceHealth, models: tuple[Model, ...] = (), eu: SourceState = SourceState.LOST
) -> tuple[Alert, ...]:
    """The alerts when the Prometheus of the cluster eu is gone, or only what it says of its rules."""
    metrics = at(eu, "prom eu", "prometheus")
    other = (at(SourceState.OK, "prom us", "prometheus"), at(SourceState.OK, "prom-alerts@us"))
    return derived(models, [metrics, at(SourceState.LOST, "prom-alerts@eu"), *other, *managers], 10.0)


def test_one_dead_prometheus_is_one_alert() -> None:
    """Its metrics and its rules are one server; an Alertmanager that answers tells what alerts."""
    manager = at(SourceState.OK, "alertmanager")
    gone = placed("eu", "a")
    (alert,) = lost_server(manager, models=(gone, placed("us", "a", Reading(1.0, 1.0))))
    assert (alert.id, alert.severity) == ("source/prom eu", Severity.P2)
    assert alert.summary == (
        "prom eu is lost: numbers of 1 model removed, not zero; its own rule alerts are not read"
    )
    (alert,) = lost_server(manager)
    assert (alert.id, alert.severity) == ("source/prom eu", Severity.P3)
    assert alert.summary == "prom eu is lost: its own rule alerts are not read"
    (alert,) = lost_server(at(SourceState.LOST, "alertmanager"), models=(gone,))[-1:]
    assert "what alerts now, nobody says" in alert.summary


def test_without_an_alertmanager_nobody_says() -> None:
    """Then what a lost Prometheus would say of its rules is said by nobody: as bad as lost numbers."""
    for managers in ((), (at(SourceState.CONNECTING, "alertmanager"),)):
        (alert,) = lost_server(*managers)
        assert alert.severity is Severity.P2
        assert alert.summary == "prom eu is lost: what alerts now, nobody says"
    (alert,) = lost_server(eu=SourceState.OK)
    assert (alert.id, alert.summary) == (
        "source/prom eu",
        "prom-alerts@eu is lost: what alerts now, nobody says",
    )
    names = [at(SourceState.LOST, "prometheus", "prometheus"), at(SourceState.LOST, "prom-alerts")]
    assert [a.id for a in derived([model(REMOVED, REMOVED)], names, 10.0)] == ["source/prometheus"]


def test_a_lost_cluster_is_blamed_for_its_own_models_alone() -> None:
    """Models of a cluster whose Prometheus answers lost their data for another reason."""
    models = (placed("eu", "a"), placed("eu", "b"), placed("us", "c"))
    found = {a.id: a for a in lost_server(at(SourceState.OK, "alertmanager"), models=models)}
    assert found.keys() == {"source/prom eu", "data/c@us"}
    assert "numbers of 2 models removed" in found["source/prom eu"].summary


def test_a_lost_alertmanager_is_told_for_what_it_is() -> None:
    """What a Prometheus or another Alertmanager says of alerts is read: only what it knew alone is not."""
    lost = at(SourceState.LOST, "alertmanager-2")
    (alert,) = derived([], [lost, at(SourceState.OK, "prom-alerts")], 10.0)
    assert (alert.severity, "silences are not read" in alert.summary) == (Severity.P2, True)
    (alert,) = derived([], [lost, at(SourceState.OK, "alertmanager")], 10.0)
    assert (alert.severity, "nobody says" in alert.summary) == (Severity.P3, False)


def test_an_event_quotes_no_count_that_changes() -> None:
    """The models go one by one: the event says what is lost, the alert how much of it."""
    (first,) = lost_server(at(SourceState.OK, "alertmanager"), models=(placed("eu", "a"),))
    (event,) = changed_alerts((), [first], 10.0)
    assert event.text == "prom eu is lost: numbers removed, not zero; its own rule alerts are not read"
    stalled = Reading(None, 1.0, Quality.SUSPECT, Reason("stalled", (7,)))
    faulty = idle(Reading(0.0, 1.0), Reading(0.9, 1.0), Reading(3.0, 1.0))
    for one in (model(stalled), faulty):
        (event,) = changed_alerts((), derived([one], [OK], 10.0), 10.0)
        assert not any(character.isdigit() for character in event.text)


def test_together_they_stand_in_first_out_order() -> None:
    """The oldest first, of one moment the worst, silenced ones last until their silence ends."""
    own = [Alert("own", Severity.P2, "a", "", 20.0, "")]
    told = [
        Alert("young", Severity.P1, "a", "", 30.0, ""),
        Alert("worse", Severity.P1, "a", "", 20.0, ""),
        Alert("silent", Severity.P1, "a", "", 10.0, "", "am", 100.0, "bob"),
    ]
    assert [a.id for a in together(own, told, 99.0)] == ["worse", "own", "young", "silent"]
    ended = together(own, told, 100.0)
    assert [a.id for a in ended] == ["silent", "worse", "own", "young"]
    assert (ended[0].silenced_until, ended[0].silenced_by) == (None, "")


def aborted(**changes: object) -> Release:
    """A model that root closed to both tiers at 17:12Z, and that has no stable revision."""
    change = LastChange("a-1", "release.abort", "root", "too slow", 17 * 3600 + 720.0)
    one = Release(
        "r", "R", "model", "a", 1, "m-1", None, "v2", (), "aborted", None,
        (Exposure("pro", 0.0), Exposure("free", 0.0)), last_change=change,
    )  # fmt: skip
    return replace(one, **changes)  # type: ignore[arg-type]  # a Release's fields


def closed(
    release: Release, earlier: tuple[Alert, ...] = (), plane: SourceState = SourceState.OK
) -> list[Alert]:
    """The alerts about it at 18:00Z."""
    sources = [OK, SourceHealth("ctl", "plane", plane)]
    found = derived([model(waits(0, 1))], sources, 18 * 3600.0, earlier, releases=[release])
    return [alert for alert in found if alert.id.startswith("closed/")]


def test_a_model_that_an_abort_closed_to_everyone_is_an_alert() -> None:
    """Nobody is served, and so no wait is measured: the fleet would look well."""
    (alert,) = closed(aborted())
    assert (alert.severity, alert.model, alert.since) == (Severity.P2, "a", 17 * 3600 + 720)
    assert alert.summary == "closed to every tier since 17:12Z: aborted by root"
    by_gate = LastChange("a-2", "release.fail", "gate", "", 1.0)
    (alert,) = closed(aborted(last_change=by_gate, entered_at=None))
    assert alert.summary == "closed to every tier: aborted"


@pytest.mark.parametrize(
    "changes",
    [
        {"stable": "v1"},
        {"exposure": (Exposure("pro", 0.1), Exposure("free", 0.0))},
        {"base": (Exposure("pro", 1.0),)},
        {"exposure": ()},
        {"phase": "pending"},
        {"phase": "unknown"},
        {"subject_kind": "feature"},
        {"read_only": "only its metrics are seen"},
    ],
    ids=str,
)
def test_a_model_that_somebody_has_or_that_never_opened_is_none(changes: dict[str, object]) -> None:
    """Only what the plane says of itself counts: an abort, no stable revision, no tier open."""
    assert closed(aborted(**changes)) == []


def test_a_closed_model_ends_its_alert_only_when_a_tier_opens() -> None:
    """A retry that waits at its gate opens nothing; a plane that is lost makes it the last that is known."""
    first = closed(aborted())
    lost = closed(aborted(), tuple(first), SourceState.LOST)
    assert [a.summary for a in lost] == [f"{LAST_KNOWN}{first[0].summary}"]
    assert closed(aborted(), (), SourceState.LOST) == []
    assert closed(aborted(phase="pending"), tuple(lost)) == first
    opened = aborted(phase="progressing", exposure=(Exposure("pro", 0.1), Exposure("free", 0.0)))
    assert closed(opened, tuple(first)) == []
