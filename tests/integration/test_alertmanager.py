"""A real Alertmanager and a real Prometheus with rules: alerts, silences, what is left when one is lost."""

import asyncio
import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collectors.alerts.derived import LAST_KNOWN, derived, together
from collectors.alerts.matching import matched
from collectors.alerts.sources import Alertmanager, PrometheusAlerts
from collectors.alerts.told import AlertPoll, AlertSource
from collectors.config import Endpoint, Identity, PrometheusServer
from collectors.fleet import Alert, Severity, SourceState
from collectors.signals.identity import Names, Workload
from tests.debian_binary import debian_binary, lacking
from tests.integration.conftest import Configured, StartConfigured, free_port, until

pytestmark = pytest.mark.slow

NAMES = Names(
    Identity(),
    joined={Workload("serving", "vllm-aurora"): "aurora-5"},
    known=frozenset({"aurora-5", "boreal-4"}),
)
RULES = """
groups:
- name: serving
  interval: 1s
  rules:
  - alert: QueueWait
    expr: vector(9) > 5
    labels: {severity: page, model_name: acme/Aurora-5, tier: free}
    annotations: {summary: 'free waits {{ $value }} s'}
  - alert: Later
    expr: vector(1)
    for: 8s
    labels: {model_name: boreal-4}
    annotations: {summary: later}
  - alert: NotYet
    expr: vector(1)
    for: 1h
  - alert: Watchdog
    expr: vector(1)
    labels: {severity: none}
"""


@dataclass
class Manager:
    """A running Alertmanager."""

    url: str
    process: "subprocess.Popen[bytes]"

    def post(self, path: str, body: object) -> Mapping[str, str]:
        """Send JSON to its API v2."""
        request = urllib.request.Request(
            f"{self.url}/api/v2/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else {}  # type: ignore[no-any-return]

    def fire(self, *labels: Mapping[str, str], summary: str = "") -> None:
        """Alerts that begin now."""
        annotations = {"summary": summary} if summary else {}
        self.post("alerts", [{"labels": one, "annotations": annotations} for one in labels])

    def silence(self, by: str, why: str, seconds: float, **match: str) -> datetime:
        """A silence of whatever has these labels; returns its end."""
        now = datetime.now(UTC)
        ends = now + timedelta(seconds=seconds)
        matchers = [{"name": k, "value": v, "isRegex": False, "isEqual": True} for k, v in match.items()]
        times = {"startsAt": now.isoformat(), "endsAt": ends.isoformat()}
        self.post("silences", {"matchers": matchers, "createdBy": by, "comment": why, **times})
        return ends


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """A real Alertmanager that notifies nobody, with a storage of its own."""
    binary, why = debian_binary("prometheus-alertmanager", "Alertmanager")
    if binary is None:
        lacking(why)
    config = tmp_path / "alertmanager.yml"
    config.write_text(
        "route: {receiver: none}\n"
        "receivers: [{name: none}]\n"
        "inhibit_rules:\n"
        "- {source_matchers: [alertname=NodeDown], target_matchers: [alertname=PodDown]}\n",
        encoding="utf-8",
    )
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                binary,
                f"--config.file={config}",
                f"--storage.path={tmp_path / 'am'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--cluster.listen-address=",
            ],
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: is_ready(url, process), "Alertmanager ready")
        yield Manager(url, process)
    finally:
        process.kill()
        process.wait()


def is_ready(url: str, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, "Alertmanager ended"
    with suppress(OSError), urllib.request.urlopen(f"{url}/-/ready", timeout=5):
        return True
    return False


async def polled(source: AlertSource, names: set[str]) -> AlertPoll:
    """The first poll that tells exactly these alerts: a server needs a moment to take them in."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        poll = await source.poll()
        assert poll.health.state is SourceState.OK, poll.health
        if {told.name for told in poll.told} == names:
            return poll
        await asyncio.sleep(0.02)
    raise AssertionError(f"told {[told.name for told in poll.told]}, not {names}")


def shown(*polls: AlertPoll, now: float | None = None) -> dict[str, Alert]:
    """The alerts of the screen by their summary."""
    told = [one for poll in polls for one in poll.told]
    found = matched(told, NAMES, ("pro", "free"), ("aurora-5", "boreal-4"))
    return {alert.summary: alert for alert in together((), found, now)}


async def test_alerts_and_silences_of_a_real_alertmanager(manager: Manager) -> None:
    """What was posted is told, with severity, model, who silenced it until when; and a silence ends."""
    pod = {"namespace": "serving", "pod": "vllm-aurora-7d9f8c6b5f-x2x1z"}
    manager.fire({"alertname": "Slow", "severity": "critical", **pod}, summary="aurora is slow")
    manager.fire({"alertname": "Hot", "severity": "warning", "model": "boreal-4"}, summary="93 °C")
    ends = manager.silence("bob", "fan swap booked", 3600, alertname="Hot")
    source = Alertmanager(Endpoint(url=manager.url), "alertmanager")
    poll = await polled(source, {"Slow", "Hot"})
    await source.aclose()
    found = shown(poll)
    assert list(found) == ["aurora is slow", "93 °C"], "the silenced one is last, though it is as old"
    slow, hot = found.values()
    assert (slow.severity, slow.model, slow.silenced_until) == (Severity.P1, "aurora-5", None)
    assert (hot.severity, hot.model, hot.source) == (Severity.P2, "boreal-4", "alertmanager")
    assert hot.silenced_until == pytest.approx(ends.timestamp(), abs=1)
    assert hot.silenced_by == "bob: fan swap booked"
    assert abs(slow.since - poll.at) < 60
    ended = shown(poll, now=ends.timestamp() + 1)["93 °C"]
    assert (ended.silenced_until, ended.silenced_by) == (None, "")
    assert poll.health.queries == 2
    assert poll.health.received_bytes > 0


async def test_hostile_alerts_of_a_real_alertmanager(manager: Manager) -> None:
    """Markup, escapes and 10 kB values pass a real server; they reach us cleaned, cut and told apart."""
    long = "x" * 10_000
    manager.fire(
        {"alertname": "[/nope]\x1b[31m", "pod": long + "1"},
        {"alertname": "[/nope]\x1b[31m", "pod": long + "2"},
    )
    source = Alertmanager(Endpoint(url=manager.url), "alertmanager")
    poll = await polled(source, {"[/nope][31m"})
    await source.aclose()
    told = poll.told
    assert len({one.id for one in told}) == 2
    assert all(len(value) <= 128 for one in told for value in one.labels.values())


async def test_an_inhibited_alert_folds_under_its_cause(manager: Manager) -> None:
    """D7: the cause counts what it keeps quiet."""
    manager.fire({"alertname": "NodeDown", "severity": "critical"}, {"alertname": "PodDown", "pod": "a"})
    source = Alertmanager(Endpoint(url=manager.url), "alertmanager")
    poll = await polled(source, {"NodeDown", "PodDown"})
    await source.aclose()
    assert list(shown(poll)) == ["NodeDown  +1 inhibited"]


async def test_a_killed_alertmanager_is_lost_and_its_alerts_last_known(manager: Manager) -> None:
    """Its word stays, marked; its health says lost and what to do; and that itself is an alert."""
    manager.fire({"alertname": "Slow", "severity": "page"}, summary="slow")
    source = Alertmanager(Endpoint(url=manager.url, timeout_s=2), "alertmanager")
    before = await polled(source, {"Slow"})
    manager.process.kill()
    manager.process.wait()
    after = await source.poll()
    await source.aclose()
    assert after.health.state is SourceState.LOST
    assert "cannot be reached" in after.health.error
    assert after.health.at == before.health.at
    (kept,) = shown(after).values()
    (was,) = shown(before).values()
    assert (kept.summary, kept.id, kept.since) == (f"{LAST_KNOWN}slow", was.id, was.since)
    assert [a.id for a in derived([], [after.health], after.at)] == ["alerts/alertmanager"]


@pytest.fixture
def ruled(start_configured: StartConfigured, tmp_path: Path, manager: Manager) -> Configured:
    """A real Prometheus whose rules fire at once and reach the Alertmanager."""
    rules = tmp_path / "rules.yml"
    rules.write_text(RULES, encoding="utf-8")
    config = tmp_path / "prometheus.json"
    target = manager.url.removeprefix("http://")
    config.write_text(
        json.dumps(
            {
                "global": {"external_labels": {"region": "eu-1", "prometheus_replica": "a"}},
                "rule_files": [str(rules)],
                "alerting": {"alertmanagers": [{"static_configs": [{"targets": [target]}]}]},
            }
        ),
        encoding="utf-8",
    )
    return start_configured(config)


async def test_alerts_of_a_real_prometheus_and_of_both(ruled: Configured, manager: Manager) -> None:
    """The firing rule alone is an alert, by model and tier; Alertmanager's copy of it is the same one."""
    own = PrometheusAlerts(PrometheusServer(url=ruled.url))

    def asked() -> list[dict[str, str]]:
        with urllib.request.urlopen(f"{ruled.url}/api/v1/alerts", timeout=60) as answer:
            return [one["labels"] for one in json.load(answer)["data"]["alerts"]]

    until(lambda: len(asked()) == 4, "rules evaluated")
    poll = await own.poll()
    assert poll.health.state is SourceState.OK
    assert {told.name for told in poll.told if told.state == "pending"} == {"NotYet", "Later"}
    (alert,) = shown(poll).values()
    assert (alert.summary, alert.severity) == ("free waits 9 s", Severity.P1)
    assert (alert.model, alert.tier, alert.source) == ("aurora-5", "free", "prom-alerts")

    def reached() -> bool:
        with urllib.request.urlopen(f"{manager.url}/api/v2/alerts", timeout=60) as answer:
            return "Later" in answer.read().decode()

    # What fired before the Prometheus found its Alertmanager is sent again only a minute later.
    until(reached, "an alert reached Alertmanager")
    manager.silence("alice", "known", 600, alertname="Later")
    managed = Alertmanager(Endpoint(url=manager.url), "alertmanager")
    both = shown(await own.poll(), await polled(managed, {"Later"}))
    assert list(both) == ["free waits 9 s", "later"]
    later = both["later"]
    assert (later.source, later.silenced_by, later.model) == ("alertmanager", "alice: known", "boreal-4")
    await own.aclose()
    await managed.aclose()
