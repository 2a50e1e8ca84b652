"""Alerts as servers tell them: read without trust, told twice and shown once, given to models and tiers."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from collectors.alerts import sources
from collectors.alerts.matching import matched
from collectors.alerts.sources import Alertmanager, PrometheusAlerts, alert_sources
from collectors.alerts.told import AlertPoll, Told
from collectors.alerts.wire import (
    LINK,
    MAX_KEPT,
    NotAlerts,
    Reader,
    read_alertmanager,
    read_prometheus,
    read_silences,
)
from collectors.changes import changed_alerts
from collectors.config import Context, Endpoint, Identity, PrometheusServer
from collectors.fleet import Alert, Severity, SourceState
from collectors.signals.identity import Names, Workload

AT = 1_795_269_731.0
READER = Reader("prom-alerts")
TIERS = ("pro", "free")


def rule_alert(name: str = "HighWait", state: str = "firing", **labels: str) -> dict[str, Any]:
    """One element of /api/v1/alerts."""
    return {
        "labels": {"alertname": name, **labels},
        "annotations": {},
        "state": state,
        "activeAt": "2026-11-21T13:58:40.123456789Z",
        "value": "1e+00",
    }


def prometheus_body(*alerts: object) -> bytes:
    return json.dumps({"status": "success", "data": {"alerts": alerts}}).encode()


def sent_alert(
    name: str = "HighWait",
    silenced: tuple[str, ...] = (),
    inhibited: tuple[str, ...] = (),
    fingerprint: str = "f0",
    **labels: str,
) -> dict[str, Any]:
    """One element of /api/v2/alerts."""
    return {
        "labels": {"alertname": name, **labels},
        "annotations": {},
        "startsAt": "2026-11-21T13:59:40.123Z",
        "endsAt": "2026-11-21T14:03:40.123Z",
        "fingerprint": fingerprint,
        "receivers": [{"name": "none"}],
        "status": {
            "state": "suppressed" if silenced or inhibited else "active",
            "silencedBy": silenced,
            "inhibitedBy": inhibited,
        },
    }


def silence(id: str = "s1", state: str = "active", ends: str = "2026-11-21T15:00:00.000Z") -> dict[str, Any]:
    return {
        "id": id,
        "status": {"state": state},
        "endsAt": ends,
        "createdBy": "bob",
        "comment": "fan swap booked",
        "matchers": [],
    }


def of_prometheus(*alerts: object) -> tuple[Told, ...]:
    return read_prometheus(prometheus_body(*alerts), READER, AT).told


def of_manager(*alerts: object, silences: bytes = b"[]", source: str = "alertmanager") -> tuple[Told, ...]:
    known = read_silences(silences)
    return read_alertmanager(json.dumps(alerts).encode(), known, Reader(source), AT).told


def names(**identity: object) -> Names:
    """Identity rules that know one engine: aurora-5 in the Deployment of its name."""
    where = Workload("serving", "vllm-aurora")
    return Names(Identity.model_validate(identity), joined={where: "aurora-5"}, known=frozenset({"aurora-5"}))


def shown(*told: Told, known: Names | None = None, models: tuple[str, ...] = ("aurora-5",)) -> list[Alert]:
    return list(matched(told, known or names(), TIERS, models))


def test_a_firing_alert_of_prometheus_is_read() -> None:
    """Labels, time to the second and state; an unknown state is left out."""
    told = of_prometheus(
        rule_alert(severity="page", model_name="aurora-5"), rule_alert("X", "pending"), rule_alert("Y", "?")
    )
    assert [(t.name, t.state) for t in told] == [("HighWait", "firing"), ("X", "pending")]
    assert told[0].since == pytest.approx(1_795_269_520.123457)
    assert told[0].labels["severity"] == "page"


def test_a_silence_says_until_when_and_who() -> None:
    """Of several, the one that lasts longest; expired ones silence nothing."""
    body = json.dumps(
        [
            silence(),
            silence("s2", ends="2026-11-21T16:00:00Z"),
            silence("s3", "expired", "2027-01-01T00:00:00Z"),
        ]
    ).encode()
    told = of_manager(
        sent_alert(silenced=("s1", "s2", "s3")), sent_alert(silenced=("s3",), pod="p"), silences=body
    )
    expired, both = sorted(told, key=lambda t: "pod" not in t.labels)
    assert (both.silenced_until, both.silenced_by) == (1_795_276_800.0, "bob: fan swap booked")
    assert (expired.silenced_until, expired.silenced_by) == (None, "")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>sign in</html>",
        b"[]",
        b"null",
        b'{"status":"success"}',
        b'{"status":"error","error":"x"}',
        b'{"status":"success","data":{"alerts":7}}',
        b'{"status":"success","data":{"alerts":[{"labels":{',
        b"\xff\xfe",
        b"[" * 5000,
    ],
)
def test_what_is_no_answer_is_refused_in_words(body: bytes) -> None:
    """Half an answer, another service, a page of HTML: never an error of another kind."""
    with pytest.raises(NotAlerts, match="answered with"):
        read_prometheus(body, READER, AT)
    if body != b"[]":
        with pytest.raises(NotAlerts, match="answered with"):
            read_alertmanager(body, {}, READER, AT)


def test_one_unreadable_alert_costs_only_itself() -> None:
    """The rest is kept, and how many were left out is said."""
    wrong: list[object] = [{"labels": 3}, 7, None, {"labels": {"a": None}}]
    read = read_prometheus(prometheus_body(*wrong, rule_alert()), READER, AT)
    assert [t.name for t in read.told] == ["HighWait"]
    assert read.unreadable == 4


def test_hostile_text_is_cleaned_and_bounded() -> None:
    """Control characters and 10 kB names never get further; alerts that differ only there stay two."""
    long = "x" * 10_000
    told = of_prometheus(
        rule_alert("[/nope]\x1b[31m\u202e", pod=long + "1"),
        rule_alert("[/nope]\x1b[31m\u202e", pod=long + "2"),
    )
    assert len({t.id for t in told}) == 2
    for alert in shown(*told):
        assert alert.summary.startswith("[/nope][31m pod=xxx")
        assert len(alert.summary) <= 256
        assert alert.id.isascii()
    (many,) = of_prometheus(rule_alert(**{f"l{n}": "v" for n in range(500)}))
    assert len(many.labels) <= 64


@pytest.mark.parametrize("began", ["0001-01-01T00:00:00Z", None, "9999-12-31T23:59:59Z"])
def test_an_alert_without_a_usable_time_began_when_it_was_first_seen(began: str | None) -> None:
    """It keeps that time from poll to poll."""
    body = prometheus_body({**rule_alert(), "activeAt": began})
    (first,) = read_prometheus(body, READER, AT).told
    assert first.since == AT
    (later,) = read_prometheus(body, READER._replace(since={first.id: first.since}), AT + 60).told
    assert later.since == AT


ABSURD = [
    "0001-01-01T00:00:00",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "99999-01-01T00:00:00Z",
    "1e9",
    "",
    17,
    ["x"],
]


@pytest.mark.parametrize("began", ABSURD, ids=str)
def test_an_absurd_time_costs_the_time_alone(began: object) -> None:
    """The alert is told, and began when it was seen; a silence goes on, to no later than now."""
    (told,) = of_prometheus({**rule_alert(), "activeAt": began})
    assert told.since == AT
    ends: Any = began
    before = time.time()
    silences = json.dumps([silence(ends=ends)]).encode()
    (sent,) = of_manager({**sent_alert(silenced=("s1",)), "startsAt": began}, silences=silences)
    assert sent.since == AT
    assert sent.silenced_until is not None
    assert before <= sent.silenced_until <= time.time()


def test_a_time_without_a_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that of this machine."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        (told,) = of_prometheus({**rule_alert(), "activeAt": "2026-11-21T13:59:40"})
    finally:
        monkeypatch.undo()
        time.tzset()
    assert told.since == datetime(2026, 11, 21, 13, 59, 40, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("name", ["\u200b\ufeff", "\U000e0041\U000e0042", "  ", ""])
def test_an_alert_that_nobody_could_see_has_words(name: str) -> None:
    """Signs without width are no name and no summary: no row is blank."""
    sent = {**rule_alert(name), "labels": {"alertname": name}, "annotations": {"summary": name}}
    (alert,) = shown(*of_prometheus(sent))
    assert alert.summary == "an alert without a name"


def test_of_too_many_the_worst_and_oldest_are_kept() -> None:
    """A flood is cut at its least important end, and how much was cut is said."""
    flood = [rule_alert(pod=str(n), severity="info") for n in range(MAX_KEPT + 5)]
    read = read_prometheus(
        prometheus_body(
            *flood, rule_alert("Pending", "pending", severity="page"), rule_alert(severity="page")
        ),
        READER,
        AT,
    )
    assert (len(read.told), read.cut) == (MAX_KEPT, 7)
    assert read.told[0].labels["severity"] == "page"
    assert all(t.state == "firing" for t in read.told)


@pytest.mark.parametrize(
    ("word", "severity"),
    [
        ("page", Severity.P1),
        ("critical", Severity.P1),
        ("CRITICAL", Severity.P1),
        ("P1", Severity.P1),
        ("warning", Severity.P2),
        ("P2", Severity.P2),
        ("info", Severity.P3),
        ("", Severity.P3),
    ],
)
def test_severity_is_by_its_label(word: str, severity: Severity) -> None:
    """As rules write it, in any case; what says nothing is P3."""
    assert [a.severity for a in shown(*of_prometheus(rule_alert(severity=word)))] == [severity]


def test_what_does_not_fire_is_no_alert() -> None:
    """Pending ones, and the one that always fires to test the way."""
    assert shown(*of_prometheus(rule_alert(state="pending"), rule_alert("Watchdog", severity="none"))) == []


@pytest.mark.parametrize(
    ("annotations", "said"),
    [
        ({"summary": " s ", "description": "d"}, "s"),
        ({"summary": "", "description": "d"}, "d"),
        ({"message": "m"}, "m"),
        ({"runbook_url": "http://x"}, "HighWait model_name=aurora-5 pod=p"),
    ],
)
def test_the_summary_is_what_the_rule_says(annotations: dict[str, str], said: str) -> None:
    """Summary, else description, else name and labels without those that are shown elsewhere."""
    labels = {"pod": "p", "model_name": "aurora-5", "severity": "page", "prometheus": "x"}
    told = of_prometheus({**rule_alert(**labels), "annotations": annotations})
    assert [a.summary for a in shown(*told)] == [said]


@pytest.mark.parametrize(
    "labels",
    [
        {"model_name": "acme/Aurora-5"},
        {"model": "aurora-5"},
        {"namespace": "serving", "pod": "vllm-aurora-7d9f8c6b5f-x2x1z"},
        {"namespace": "serving", "deployment": "vllm-aurora"},
        {
            "exported_namespace": "serving",
            "exported_pod": "vllm-aurora-7d9f8c6b5f-x2x1z",
            "pod": "dcgm-abcde",
            "namespace": "gpu",
        },
        {
            "exported_namespace": "serving",
            "deployment": "vllm-aurora",
            "namespace": "monitoring",
            "pod": "ksm-0",
        },
        {"namespace": "x", "statefulset": "aurora-5"},
    ],
    ids=lambda labels: "+".join(labels),
)
def test_an_alert_finds_its_model(labels: dict[str, str]) -> None:
    """By its model label, or through the workload that its pod or Deployment names."""
    assert [a.model for a in shown(*of_prometheus(rule_alert(**labels)))] == ["aurora-5"]


@pytest.mark.parametrize(
    "labels",
    [
        {"model": "Samsung SSD 980"},
        {"job": "node-exporter"},
        {"namespace": "gpu", "pod": "vllm-aurora-7d9f8c6b5f-x2x1z"},
        {},
    ],
    ids=lambda labels: "+".join(labels) or "none",
)
def test_an_alert_of_something_else_names_no_model(labels: dict[str, str]) -> None:
    """A disk has a `model` too, every series a `job`, and another namespace another pod of that name."""
    assert [a.model for a in shown(*of_prometheus(rule_alert(**labels)))] == [""]


def test_rules_of_the_operator_go_first() -> None:
    """A model or tier by an identity rule is taken, known or not."""
    rules = names(
        models=[{"label": "service", "regex": "(.+)-svc", "model": "$1"}],
        tiers=[{"label": "plan", "regex": "(.*)", "tier": "$1"}],
    )
    told = of_prometheus(rule_alert(service="boreal-svc", plan="pro", model="aurora-5"))
    assert [(a.model, a.tier) for a in shown(*told, known=rules)] == [("boreal", "pro")]


@pytest.mark.parametrize(
    ("labels", "tier"), [({"tier": "free"}, "free"), ({"tier": "backend"}, ""), ({"priority": "P1"}, "")]
)
def test_only_a_tier_on_the_screen_is_one(labels: dict[str, str], tier: str) -> None:
    """Kubernetes and pagers use these labels for other things."""
    assert [a.tier for a in shown(*of_prometheus(rule_alert(**labels)))] == [tier]


def test_told_twice_it_is_one_and_the_silence_counts() -> None:
    """Through Prometheus and Alertmanager, with external labels of any name: Alertmanager's word wins."""
    silences = json.dumps([silence()]).encode()
    managed = of_manager(
        sent_alert(silenced=("s1",), pod="a", prometheus="mon/k8s", region="eu"),
        sent_alert(pod="b", prometheus="mon/k8s", region="eu"),
        silences=silences,
    )
    own = of_prometheus(rule_alert(pod="a"), rule_alert(pod="b"), rule_alert(pod="new"))
    found = {a.summary: (a.source, a.silenced_by) for a in shown(*own, *managed)}
    assert found == {
        "HighWait pod=a region=eu": ("alertmanager", "bob: fan swap booked"),
        "HighWait pod=b region=eu": ("alertmanager", ""),
        "HighWait pod=new": ("prom-alerts", ""),
    }


def test_a_pair_of_equal_servers_tells_one() -> None:
    """Replicas of a Prometheus, and Alertmanagers that gossip: ids are equal, whoever tells."""
    first = of_manager(sent_alert(replica="a"), sent_alert(replica="b"))
    second = of_manager(sent_alert(replica="a"), source="alertmanager-2")
    (alone,) = shown(*first, *second)
    assert alone.id == shown(*second)[0].id


def test_two_clusters_are_two_alerts() -> None:
    """The same words from two clusters are never one alert, whoever tells them."""
    eu, us = (
        read_prometheus(prometheus_body(rule_alert()), READER._replace(cluster=c), AT).told[0]
        for c in ("eu", "us")
    )
    assert len(shown(eu, us)) == 2
    assert len({a.id for a in shown(eu, us)}) == 2
    managed = of_manager(sent_alert(cluster="eu"), sent_alert(cluster="us"))
    assert len(shown(*managed)) == 2
    assert [a.source for a in shown(eu, us, *managed[:1])] == ["alertmanager", "prom-alerts"]


def test_the_model_of_a_cluster_is_found() -> None:
    """Where several clusters serve it the alert's cluster decides; where one does, that is it."""
    both, one = ("aurora-5@eu", "aurora-5@us"), ("aurora-5@eu", "boreal@us")
    own = read_prometheus(
        prometheus_body(rule_alert(model="aurora-5")), READER._replace(cluster="us"), AT
    ).told
    assert [a.model for a in shown(*own, models=both)] == ["aurora-5@us"]
    labelled = of_manager(sent_alert(model="aurora-5", cluster="eu"))
    assert [a.model for a in shown(*labelled, models=both)] == ["aurora-5@eu"]
    bare = of_manager(sent_alert(model="aurora-5"))
    assert [a.model for a in shown(*bare, models=one)] == ["aurora-5@eu"]
    assert [a.model for a in shown(*bare, models=both)] == ["aurora-5"]


def test_what_another_alert_keeps_quiet_is_counted_there() -> None:
    """D7: consequences fold under their cause; Prometheus' own copy of one is quiet too."""
    cause = sent_alert("NodeDown", fingerprint="cause")
    quiet = sent_alert("PodDown", inhibited=("cause",), fingerprint="x")
    managed = of_manager(cause, quiet)
    assert [a.summary for a in shown(*managed, *of_prometheus(rule_alert("PodDown")))] == [
        "NodeDown  +1 inhibited"
    ]


def test_a_lost_alertmanager_does_not_unsay_what_prometheus_says() -> None:
    """Its last word is marked, unless a Prometheus that answers says the same."""
    lost = tuple(replace(t, last_known=True) for t in of_manager(sent_alert(pod="a"), sent_alert(pod="b")))
    found = [a.summary for a in shown(*lost, *of_prometheus(rule_alert(pod="a")))]
    assert sorted(found) == ["HighWait pod=a", "last known: HighWait pod=b"]


Reply = tuple[int, Mapping[str, str], bytes]


@contextmanager
def serving(reply: Callable[[str], Reply]) -> Iterator[tuple[str, list[str]]]:
    """(URL, paths asked so far) of a server that answers as it is told."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            status, headers, body = reply(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                return

        def log_message(self, *_: object) -> None:
            return

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{web.server_address[1]}", asked
    finally:
        web.shutdown()
        web.server_close()
        thread.join()


def prometheus_at(url: str, **more: object) -> PrometheusAlerts:
    return PrometheusAlerts(PrometheusServer.model_validate({"url": url, "timeout_s": 2, **more}))


@pytest.mark.parametrize("status", [404, 405, 422, 501])
async def test_a_store_without_rules_is_well_and_asked_seldom(status: int) -> None:
    """Thanos, Mimir, agents: one sentence that says what to do, and no second question."""
    with serving(lambda path: (status, {}, b"not here")) as (url, asked):
        source = prometheus_at(url)
        for _ in range(3):
            poll = await source.poll()
        await source.aclose()
    assert asked == ["/api/v1/alerts"]
    assert poll.health.state is SourceState.OK
    assert "serves no alerts here" in poll.health.warnings[0]
    assert poll.health.error == ""


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ((500, {}, b"boom"), "HTTP 500"),
        ((401, {}, b""), "HTTP 401"),
        ((302, {"Location": "http://elsewhere/"}, b""), "elsewhere"),
        ((200, {}, b"<html><title>Sign in</title></html>"), "Sign in"),
        ((200, {}, b'{"status":"success","data":{"al'), "answered with"),
        ((200, {}, b" " * (8 * 1024 * 1024 + 1)), "more than 8 MB"),
        ((200, {"Content-Encoding": "gzip"}, b"not gzip"), "half an answer"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_lying_server_is_lost_in_words(reply: Reply, said: str) -> None:
    """Never an exception: state, sentence, and what to do."""
    with serving(lambda path: reply) as (url, _):
        for source in (prometheus_at(url), Alertmanager(Endpoint(url=url, timeout_s=2), "am")):
            poll = await source.poll()
            await source.aclose()
            assert poll.health.state is SourceState.LOST
            assert said in poll.health.error
            assert poll.told == ()


async def test_a_server_that_drips_costs_no_more_than_its_time() -> None:
    """A time limit for the whole answer, not for each byte of it."""

    over = asyncio.Event()

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await asyncio.sleep(0.02)
        writer.close()
        over.set()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    source = prometheus_at(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout_s=0.2)
    async with asyncio.timeout(60):
        poll = await source.poll()
    await source.aclose()
    await asyncio.wait_for(over.wait(), 60)
    server.close()
    assert "did not answer within 0.2 s" in poll.health.error


async def test_a_lost_source_keeps_its_last_word_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Marked as the last known, then gone; back again, it is as if nothing had been."""
    answer: list[Reply] = [(200, {}, prometheus_body(rule_alert(pod="a")))]
    with serving(lambda path: answer[0]) as (url, _):
        source = prometheus_at(url)
        good = await source.poll()
        answer[0] = (500, {}, b"")
        lost = await source.poll()
        monkeypatch.setattr(sources, "KEPT_S", 0.0)
        gone = await source.poll()
        answer[0] = (200, {}, prometheus_body(rule_alert(pod="a")))
        back = await source.poll()
        await source.aclose()
    assert summaries(good) == summaries(back) == ["HighWait pod=a"]
    assert summaries(lost) == ["last known: HighWait pod=a"]
    assert (lost.health.state, lost.health.at) == (SourceState.LOST, good.health.at)
    assert summaries(gone) == []


def summaries(poll: AlertPoll) -> list[str]:
    return [a.summary for a in shown(*poll.told)]


async def test_retry_after_is_obeyed() -> None:
    """A server that asks for rest is not asked again at once."""
    with serving(lambda path: (429, {"Retry-After": "30"}, b"slow down")) as (url, asked):
        source = prometheus_at(url)
        await source.poll()
        poll = await source.poll()
        await source.aclose()
    assert len(asked) == 1
    assert poll.health.state is SourceState.LOST


async def test_silences_that_cannot_be_read_hide_nothing() -> None:
    """Their alerts are shown as firing, and the health line says why; without any, nobody asks for them."""
    alerts = json.dumps([sent_alert(silenced=("s1",))]).encode()

    def reply(path: str) -> Reply:
        return (403, {}, b"no") if "silences" in path else (200, {}, alerts)

    with serving(reply) as (url, asked):
        source = Alertmanager(Endpoint(url=url, timeout_s=2), "am")
        poll = await source.poll()
        await source.aclose()
    assert len(asked) == 2
    assert poll.health.state is SourceState.PARTIAL
    assert "silences cannot be read" in poll.health.warnings[0]
    assert [(t.silenced_until, t.silenced_by) for t in poll.told] == [(None, "")]


def test_every_source_of_a_context_has_a_name() -> None:
    """One for each server that is asked for its alerts, and for each Alertmanager."""
    context = Context.model_validate(
        {
            "prometheus": [
                {"url": "http://a", "cluster": "eu"},
                {"url": "http://b", "cluster": "us", "alerts": False},
            ],
            "alertmanager": ["http://c", "http://d"],
        }
    )
    found = alert_sources(context.prometheus, context.alertmanager)
    assert [source.name for source in found] == ["prom-alerts@eu", "alertmanager", "alertmanager-2"]


def test_what_an_alert_is_called_and_where_to_read_stays() -> None:
    """The runbook is found by the rule's name: name, labels, description and links reach the screen."""
    alert = sent_alert("KVCacheNearlyFull", severity="warning", cluster="eu", pod="a") | {
        "annotations": {
            "summary": "KV cache 97 % full",
            "description": "of aurora-5 on a",
            "runbook_url": "https://ops:hunter2@runbooks.example/KVCacheNearlyFull",
        },
        "generatorURL": "http://eu:pw@prometheus.eu:9090/graph?g0.expr=kv+%3E+0.9",
    }
    (one,) = shown(*of_manager(alert))
    assert one.name == "KVCacheNearlyFull"
    assert (one.labels["severity"], one.labels["cluster"]) == ("warning", "eu")
    assert (one.summary, one.description) == ("KV cache 97 % full", "of aurora-5 on a")
    assert one.runbook == "https://runbooks.example/KVCacheNearlyFull"
    assert one.link == "http://prometheus.eu:9090/graph?g0.expr=kv+%3E+0.9"
    own = rule_alert("KVCacheNearlyFull") | {"annotations": {"runbook_url": "wiki/KV"}}
    (bare,) = shown(*of_prometheus(own))
    assert (bare.name, bare.runbook, bare.link, bare.description) == ("KVCacheNearlyFull", "wiki/KV", "", "")
    hash(one)


def test_links_are_text_from_outside() -> None:
    """Escapes are dropped, and 10 kB of address are cut."""
    alert = rule_alert() | {"annotations": {"runbook_url": "\x1b]8;;https://evil\x07x\u202e" + "y" * 10_000}}
    (one,) = shown(*of_prometheus(alert))
    assert not set(one.runbook) & {"\x1b", "\x07", "\u202e"}
    assert len(one.runbook) <= LINK


def test_the_event_of_an_alert_quotes_no_count_of_inhibited_ones() -> None:
    """How many it keeps quiet changes; the line in the events does not."""
    cause, quiet = sent_alert("NodeDown"), sent_alert("PodDown", inhibited=("f0",), fingerprint="f1")
    (one,) = shown(*of_manager(cause, quiet))
    (event,) = changed_alerts((), [one], AT)
    assert (one.summary, event.text) == ("NodeDown  +1 inhibited", "NodeDown")


async def test_an_alertmanager_that_finds_nothing_is_sought_under_its_own_prefix() -> None:
    """Mimir serves an Alertmanager under /alertmanager: the prefix of its metrics leads to no alert."""
    with serving(lambda path: (404, {}, b"not here")) as (url, _):
        source = Alertmanager(Endpoint(url=url))
        poll = await source.poll()
        await source.aclose()
    assert "Mimir and Cortex answer under /alertmanager" in poll.health.error
    assert "/prometheus" not in poll.health.error
