"""What a reconstruction is made of: grids, pieces of ranges, sidecars, the plane's log; what it refuses."""

import argparse
import json
import math
import os
import random
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from collectors.alerts.matching import matched
from collectors.alerts.told import AlertPoll
from collectors.alerts.wire import Reader, read_prometheus
from collectors.config import Context, Identity, PrometheusServer
from collectors.fleet import Alert, Severity, SourceState
from collectors.prometheus.answer import rows
from collectors.prometheus.wire import Refused, Sample
from collectors.readings import Interval, Quality
from collectors.reconstruct import progress
from collectors.reconstruct.alerts import PastAlerts
from collectors.reconstruct.audit import LogError, read_log
from collectors.reconstruct.exported import definitions, readings
from collectors.reconstruct.matrix import Piece, kept_labels, piece_of
from collectors.reconstruct.naming import PastNames
from collectors.reconstruct.plan import Asked, Grid, PlanError, checked, cost
from collectors.reconstruct.poller import sample_times, samples_question
from collectors.reconstruct.ranges import BLOCK, Ranges, Unanswered, is_too_much
from collectors.signals.catalogue import Answer, Definition, Row
from collectors.signals.identity import Names
from collectors.signals.keys import Key
from collectors.signals.presets import read_presets
from collectors.signals.promql import ALTERNATIVE
from tui.cli import command_line
from tui.reconstructing import reconstruct

NOON = 1_795_000_000.0


def definition(stack: str, signal: str) -> Definition:
    return next(d for p in read_presets() if p.stack == stack for d in p.definitions if d.signal == signal)


def test_moments_are_whole_multiples_of_the_step() -> None:
    """Both ends included, in stretches that cover all of them once."""
    grid = Grid.between(1000.0, 1060.5, 15.0)
    assert [grid.time_of(step) for step in range(grid.first, grid.last)] == [1005, 1020, 1035, 1050]
    assert list(grid.stretches(3)) == [(grid.first, grid.first + 3), (grid.first + 3, grid.last)]
    assert Grid.between(1000.0, 1001.0, 15.0).frames == 0
    day = Grid.between(0.0, 86_400.0, 15.0)
    assert [last - first for first, last in day.stretches()] == [240] * 24 + [1]


@pytest.mark.parametrize(
    ("start", "end", "step", "said"),
    [
        (20.0, 10.0, None, "not before --to"),
        (10.0, 10.0, None, "not before --to"),
        (0.0, NOON + 60, None, "in the future"),
        (NOON - 200 * 86_400, NOON, None, "200 days, and one file holds at most 99"),
        (0.0, 10.0, 0.5, "--step is from 1 to 3600"),
    ],
)
def test_spans_that_cannot_be_had_are_refused(
    start: float, end: float, step: float | None, said: str
) -> None:
    """Each with a sentence, before anybody is asked."""
    with pytest.raises(PlanError, match=said):
        checked(start, end, NOON, step)


def test_what_would_be_much_is_told() -> None:
    """Thirty days at a second are; two hours at 15 s are not."""
    much = cost(2_592_000, 2_400, 0.1)
    assert much.is_much
    assert "2,592,000 frames of about 2,400 readings: some 9.3 GB and 72.0 hours" in much.sentence()
    assert not cost(480, 2_400, 0.1).is_much


def asked(**changed: object) -> Asked:
    context = Context(prometheus=(PrometheusServer(url="http://p"),))
    return Asked("prod", context, read_presets(), 1.0, 2.0, None)._replace(**changed)  # type: ignore[arg-type]  # of the named tuple


def test_the_digest_is_of_everything_that_changes_the_file() -> None:
    """Same arguments, same digest; another time, step, log, context or version, another one."""
    known = asked().digest("1")
    assert asked().digest("1") == known
    other = Context(prometheus=(PrometheusServer(url="http://q"),))
    for changed in (
        {"start": 0.5}, {"end": 3.0}, {"step_s": 15.0}, {"log": "[]"}, {"name": "test"}, {"context": other},
    ):  # fmt: skip
        assert asked(**changed).digest("1") != known
    assert asked().digest("2") != known


def random_range(random_: random.Random, known: Definition) -> list[dict[str, object]]:
    """Elements of a range of 12 steps, of some groups, with what exporters and servers really send."""
    found: list[dict[str, object]] = []
    for pod in range(4):
        bounds = ["0.1", "1", "5", "+Inf"] if pod else ["0.5", "1.0", "+Inf", "x"]
        for le in bounds if known.kind == "histogram" else [""]:
            metric = {"model_name": f"m-{pod}", "namespace": "a" if pod < 3 else ""}
            if le:
                metric["le"] = le
            if pod == 2 and len(known.metrics) > 1:
                metric[ALTERNATIVE] = "1"
            values = [
                [
                    NOON + 15 * step,
                    random_.choice(["NaN", "+Inf", "-1", "0", f"{random_.random():.17g}", "7"]),
                ]
                for step in range(12)
                if random_.random() < 0.8
            ]
            if values:
                found.append({"metric": metric, "values": values})
    return found


@pytest.mark.parametrize("signal", ["waiting", "kv_ratio", "queue_wait", "token_gap"])
def test_rows_of_a_piece_are_the_rows_of_its_elements(signal: str) -> None:
    """As the live watch reads them, at every step: gaps, NaN, other bounds, alternatives."""
    known = definition("vllm", signal)
    for seed in range(30):
        elements = random_range(random.Random(seed), known)
        piece = piece_of(elements, 100, 112, lambda step: NOON + 15 * (step - 100), 15.0)
        for step in range(100, 112):
            at = NOON + 15 * (step - 100)
            samples = [
                Sample(dict(one["metric"]), value=(at, text))  # type: ignore[call-overload]  # a dict, above
                for one in elements
                for moment, text in one["values"]  # type: ignore[attr-defined]  # a list, above
                if moment == at
            ]
            read = partial(rows, known)
            theirs = sorted(map(repr, read(samples)))
            assert sorted(map(repr, piece.rows(read, step, at))) == theirs
            assert sorted(map(repr, read(list(piece.elements(step, at))))) == theirs
            assert len(piece.elements(step, at)) == len(samples)


def test_times_that_were_not_asked_for_are_left_out() -> None:
    """And what is no number is no answer."""
    elements = [{"metric": {"a": "b"}, "values": [[NOON + 15, "1"], [NOON + 22, "2"], [NOON + 900, "3"]]}]
    piece = piece_of(elements, 0, 4, lambda step: NOON + 15 * step, 15.0)
    assert piece.there.tolist() == [[False, True, False, False]]
    with pytest.raises(Refused, match="cannot be reckoned with"):
        piece_of([{"metric": {}, "values": [[NOON, "many"]]}], 0, 1, lambda step: NOON, 15.0)


@pytest.mark.parametrize("at", [10**400, "x", [1]], ids=["large", "text", "list"])
def test_times_that_cannot_be_reckoned_with_are_refused(at: object) -> None:
    """Whatever a server calls a time."""
    with pytest.raises(Refused, match="cannot be reckoned with"):
        piece_of([{"metric": {}, "values": [[at, "1"]]}], 0, 4, lambda step: NOON + step * 15.0, 15.0)


def test_native_histograms_are_read_too() -> None:
    """They stand beside the values, and make rows as live ones do."""
    histogram = {"count": "4", "sum": "2", "buckets": [[0, "0.5", "1", "4"]]}
    elements = [{"metric": {"model_name": "m"}, "values": [], "histograms": [[NOON, histogram]]}]
    piece = piece_of(elements, 0, 2, lambda step: NOON + 15 * step, 15.0)
    known = definition("vllm", "queue_wait")
    (row,) = piece.rows(partial(rows, known), 0, NOON)
    assert isinstance(row, Row)
    assert row.labels == {"model_name": "m"}
    assert piece.rows(partial(rows, known), 1, NOON + 15) == ()


class Scripted(Ranges):
    """Ranges whose server is a function of (first step, last step); it records what it was asked."""

    def __init__(self, answer: "partial[list[dict[str, object]]]") -> None:
        super().__init__(PrometheusServer(url="http://127.0.0.1:9"), lambda step: step * 15.0, 15.0)
        self.asked: list[tuple[int, int]] = []
        self._answer = answer

    def _patiently(self, ask: object) -> object:  # type: ignore[override]  # stands for the network alone
        assert isinstance(ask, partial)
        _, start, end, _ = ask.args
        first, last = round(start / 15), round(end / 15)
        self.asked.append((first, last))
        return self._answer(first, last), []


def flat(first: int, last: int) -> list[dict[str, object]]:
    return [{"metric": {}, "values": [[step * 15.0, "1"] for step in range(first, last + 1)]}]


async def test_a_server_with_a_limit_is_asked_for_less() -> None:
    """Halved until it fits; what was learned holds, and every step is answered once."""

    def limited(first: int, last: int) -> list[dict[str, object]]:
        if last - first + 1 > 5:
            raise Refused(
                "refused with HTTP 422, execution: query processing would load too many samples",
                "",
                status=422,
            )
        return flat(first, last)

    ranges = Scripted(limited)  # type: ignore[arg-type]  # called like it
    ranges.begin(64)
    for step in range(0, 64):
        piece = await ranges.piece("q", step)
        assert piece.first <= step < piece.last
        assert len(piece.elements(step, 0.0)) == 1
    assert [last - first + 1 for first, last in ranges.asked[:3]] == [16, 8, 4]
    assert all(last - first + 1 <= 5 for first, last in ranges.asked[3:])


async def test_a_server_that_is_slow_is_asked_for_less() -> None:
    """A time limit is a limit like any other; where a single moment is too much, it is the server's fault."""

    def slow(first: int, last: int) -> list[dict[str, object]]:
        if last - first + 1 > fits:
            raise Refused("did not answer within 10 s", "Ask later")
        return flat(first, last)

    fits = 3
    ranges = Scripted(slow)  # type: ignore[arg-type]  # called like it
    ranges.begin(64)
    assert [(await ranges.piece("q", step)).first <= step for step in range(64)] == [True] * 64
    fits = 0
    ranges.begin(128)
    with pytest.raises(Unanswered, match=r"did not answer within 10 s\. Ask later"):
        await ranges.piece("q", 64)


async def test_what_is_refused_is_refused_by_blocks() -> None:
    """A query that cannot be answered at some steps is missing there, however pieces happen to lie."""

    def clashing(first: int, last: int) -> list[dict[str, object]]:
        if first <= 70 <= last:
            raise Refused(
                "refused with HTTP 422, execution: many-to-many matching not allowed", "", status=422
            )
        return flat(first, last)

    refused = []
    for begin in (0, 3, 37):
        ranges = Scripted(clashing)  # type: ignore[arg-type]  # called like it
        ranges.begin(200)
        missing = []
        for step in range(begin, 200):
            try:
                await ranges.piece("q", step)
            except Refused:
                missing.append(step)
        refused.append(missing)
    block = list(range(70 - 70 % BLOCK, 70 - 70 % BLOCK + BLOCK))
    assert refused == [block] * 3


def firing(labels: dict[str, str], first: int, last: int, began: float | None = None) -> dict[str, object]:
    """An element of the query for alerts; without `began` one of which only that it fires is kept."""
    name = {"__name__": "ALERTS"} if began is None else {"__name__": "ALERTS_FOR_STATE"}
    state = {"alertstate": "firing"} if began is None else {}
    value = "1" if began is None else f"{began}"
    values = [[step * 15.0, value] for step in range(first, last + 1)]
    return {"metric": {**name, **state, **labels}, "values": values}


async def told_at(alerts: PastAlerts, step: int, *, is_fresh: bool = True) -> AlertPoll:
    alerts.step, alerts.is_fresh = step, is_fresh
    return await alerts.poll()


async def test_alerts_of_the_past_are_those_that_live_ones_were() -> None:
    """The same id and words as of a live answer; since when, by what is kept, else by the first look."""
    hot = {"alertname": "TooHot", "severity": "page", "model_name": "acme/m-00"}
    flat_tyre = {"alertname": "Flat\x1b[31m", "severity": "warning"}

    def answer(first: int, last: int) -> list[dict[str, object]]:
        return [firing(hot, 12, last, 100.0), firing(flat_tyre, 14, last)]

    alerts = PastAlerts(PrometheusServer(url="http://p"), Scripted(answer))  # type: ignore[arg-type]  # called like it
    alerts._ranges.begin(64)
    assert (await told_at(alerts, 11)).told == ()
    live = json.dumps(
        {"status": "success", "data": {"alerts": [
            {"labels": hot, "state": "firing", "activeAt": "1970-01-01T00:01:40Z"}]}}
    ).encode()  # fmt: skip
    assert (await told_at(alerts, 12)).told == read_prometheus(live, Reader("prom-alerts"), 180.0).told
    for step in (14, 20):
        _, other = (await told_at(alerts, step)).told
        assert (other.name, other.since) == ("Flat[31m", 14 * 15.0)
    poll = await told_at(alerts, 21, is_fresh=False)
    assert [one.last_known for one in poll.told] == [True, True]
    assert (poll.health.state, poll.health.name, poll.at) == (SourceState.OK, "prom-alerts", 21 * 15.0)
    (before,) = [one for one in matched(poll.told, Names(Identity()), ()) if one.name == "Flat[31m"]
    alerts.resumed([replace(before, since=7.0)])
    _, other = (await told_at(alerts, 22)).told
    assert other.since == 7.0


async def test_alerts_that_are_refused_cost_themselves_alone() -> None:
    """The source says so; it was not lost then, and nobody says that nothing fired."""

    def refused(first: int, last: int) -> list[dict[str, object]]:
        raise Refused("refused with HTTP 422, execution: no", "Mend it", status=422)

    alerts = PastAlerts(PrometheusServer(url="http://p"), Scripted(refused))  # type: ignore[arg-type]  # called like it
    alerts._ranges.begin(64)
    poll = await told_at(alerts, 3)
    assert (poll.told, poll.health.state) == ((), SourceState.PARTIAL)
    assert poll.health.error == "asked for alerts, it refused with HTTP 422, execution: no. Mend it."


def test_names_are_looked_up_once_and_are_the_same() -> None:
    """Of labels that are the same object; what is learned is learned anew when other labels come."""
    identity = Identity.model_validate({"tiers": [{"label": "namespace", "regex": "(.+)", "tier": "$1"}]})
    plain, past = Names(identity), PastNames(identity)
    known = definition("vllm", "waiting")
    labels = kept_labels((("model_name", "acme/m"), ("namespace", "gold"), ("pod", "m-7d9f5b6c48-abcde")))
    assert kept_labels(tuple(labels.items())) is labels
    rows_ = (Row(labels, 1.0),)
    taught = past.learned([Answer(known, rows_, 1.0)])
    assert isinstance(taught, PastNames)
    assert (taught.joined, taught.known) == (
        plain.learned([Answer(known, rows_, 1.0)]).joined,
        frozenset({"m"}),
    )
    for _ in range(2):
        assert taught.learned([Answer(known, (Row(labels, 2.0),), 2.0)]) is taught
        assert taught.model_of_row(rows_[0], "engine") == plain.model_of_row(rows_[0], "engine") == "m"
        assert (taught.tier(labels), taught.feature(labels)) == ("gold", None)
    more = taught.learned([Answer(known, (Row({"model_name": "n"}, 1.0),), 2.0)])
    assert more.known == {"m", "n"}
    assert taught.learned((), ["o"]).known == {"m", "o"}


async def test_a_server_that_refuses_whoever_asks_ends_it() -> None:
    """Nothing is recorded as lost for that: the rest can be had with the right token."""

    def forbidden(first: int, last: int) -> list[dict[str, object]]:
        raise Refused("refused with HTTP 401", "Give a token", status=401)

    ranges = Scripted(forbidden)  # type: ignore[arg-type]  # called like it
    ranges.begin(10)
    with pytest.raises(Unanswered, match=r"HTTP 401\. Give a token"):
        await ranges.piece("q", 0)


def test_words_of_limits_are_known() -> None:
    """Of Prometheus, Mimir, proxies and ours."""
    for said in (
        "exceeded maximum resolution of 11,000 points per timeseries",
        "query processing would load too many samples into memory",
        "the query exceeded the maximum number of chunks (err-mimir-max-chunks-per-query)",
        "did not answer within 10 s",
        "query timed out in expression evaluation",
    ):
        assert is_too_much(Refused(said, ""))
    assert not is_too_much(Refused("parse error: unexpected identifier", ""))


def test_where_nothing_was_scraped_samples_tell_their_time() -> None:
    """One question a definition; rates only of what has samples enough; the oldest of a group counts."""
    waiting, wait = definition("vllm", "waiting"), definition("vllm", "queue_wait")
    gauge = samples_question(waiting, 60, (), frozenset({"vllm:num_requests_waiting"}))
    assert gauge.startswith("min by (model_name, namespace, exported_namespace, workload,")
    assert "timestamp(vllm:num_requests_waiting{" in gauge
    rate = samples_question(wait, 60, (), frozenset({"vllm:request_queue_time_seconds_bucket"}))
    assert 'le=~"|\\\\+Inf"' in rate
    assert "[60s]) >= 4" in rate
    assert samples_question(waiting, 60, (), frozenset()) == ""
    times = sample_times(
        waiting,
        [
            Sample({"model_name": "m", "pod": "m-7d9f5b6c48-abcde"}, value=(0.0, "50")),
            Sample({"model_name": "m", "pod": "m-7d9f5b6c48-fghij"}, value=(0.0, "40")),
        ],
    )
    assert times == {(("model_name", "m"), ("workload", "m")): 40.0}


def test_an_export_is_read_as_it_was_written() -> None:
    """Values, intervals with their bounds, features; NaN is no number, and not zero."""
    names = {d.metrics[0].name for d in definitions()}
    assert {"tidegate_signal_waiting", "tidegate_signal_queue_wait_p99_hi"} <= names
    assert "tidegate_signal_waiting_lo" not in names
    of_tier = {"model": "m", "tier": "gold"}
    found = readings(
        {
            "tidegate_signal_queue_wait_p99": [Row(of_tier, 2.36), Row({"model": "m"}, math.nan)],
            "tidegate_signal_queue_wait_p99_lo": [Row(of_tier, 2.0)],
            "tidegate_signal_queue_wait_p99_hi": [Row(of_tier, math.inf)],
            "tidegate_signal_arrivals": [Row({"model": "m", "feature": "voice"}, 3.0), Row({}, 9.0)],
        },
        NOON,
    )
    assert found[Key("m", "gold", "queue_wait_p99")].value == Interval(2.0, math.inf, 2.36)
    assert found[Key("m", "", "queue_wait_p99")].value is None
    assert found[Key("m", "", "queue_wait_p99")].quality is Quality.MISSING
    assert found[Key("m", "", "arrivals", "voice")].value == 3.0
    assert found[Key("", "", "arrivals")].value == 9.0


def test_a_sidecar_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """With its alerts; it is its owner's alone, and what is none is told."""
    file = tmp_path / "a.tgrec"
    assert progress.read(file) is None
    alert = Alert("wait/m/gold", Severity.P1, "m", "gold", NOON, "queue p99 9 > 2 s", labels={"a": "b"})
    written = progress.Progress(
        "d", ["1h ago", "now"], 1.0, 2.0, 15_000, 3, 9, 2, 77, [alert], ["it refused"]
    )
    progress.write(file, written)
    assert progress.read(file) == written
    assert progress.sidecar(file).stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["a.tgrec.progress"]
    progress.remove(file)
    assert progress.read(file) is None
    for strange in (b"", b"{}", b"[1]", b"\xff", b'{"asked": 3}'):
        progress.sidecar(file).write_bytes(strange)
        with pytest.raises(ValueError, match="no progress of tidegate's"):
            progress.read(file)


def entry(at: str, resource: str, before: object, after: object, **more: object) -> dict[str, object]:
    op = "throttle.set" if "throttles" in resource else "release.advance"
    return {
        "kind": "audit", "id": f"a-{at}", "seq": 1, "at": f"2026-11-21T{at}:00Z", "actor": "ann", "op": op,
        "resource": resource, "reason": "because", "result": "applied", "before": before, "after": after,
        **more,
    }  # fmt: skip


LOG = [
    entry("10:30", "/v1/releases/aurora", {"candidate": "r2", "phase": "progressing", "stage": None},
          {"candidate": "r2", "phase": "paused", "stage": "pro@25", "desired": {"pro": 0.25, "free": 0.0}}),
    entry("10:00", "/v1/throttles/voice/free", {"level": 1.0, "expires_at": None},
          {"level": 0.3, "expires_at": "2026-11-21T11:00:00Z"}),
    entry("10:10", "/v1/throttles/voice/free", None, None, result="refused", code="stale"),
]  # fmt: skip
TEN = 1_795_255_200.0


@pytest.mark.parametrize("text", [json.dumps(LOG), "\n".join(map(json.dumps, LOG))])
def test_the_log_tells_what_stood_when(text: str) -> None:
    """Before the first entry too; after its time a throttle is gone, and nothing is made up."""
    log = read_log(text)
    (before,), (during,), (after,) = (log.throttles(TEN + at) for at in (-60.0, 60.0, 3660.0))
    assert (before.level, during.level, after.level) == (1.0, 0.3, 1.0)
    assert during.expires_at == TEN + 3600
    assert during.last_change is not None
    assert during.last_change.actor == "ann"
    (early,), (late,) = log.releases(TEN), log.releases(TEN + 1860)
    assert (early.phase, early.exposure) == ("progressing", ())
    assert (late.phase, late.message, late.desired("pro")) == ("paused", "stands at stage pro@25", 0.25)
    assert late.read_only
    assert log.throttles(TEN + 60) is not None
    assert log.throttles(TEN + 70)[0] is log.throttles(TEN + 60)[0], "what did not change is the same object"
    assert [event.subject for event in log.events(TEN - 1, TEN)] == ["voice/free"]
    assert "refused" in log.events(TEN, TEN + 600)[0].text
    assert log.events(TEN + 1800, TEN + 9999) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[{", "is no JSON"),
        ('{"id": "a"}', "line 1: "),
        (json.dumps([{**LOG[0], "at": "noon"}]), "entry 'a-10:30'"),
        ("[" * 100_000, "is no JSON"),
    ],
)
def test_a_log_that_cannot_be_read_is_refused(text: str, said: str) -> None:
    """With the place of what is wrong."""
    with pytest.raises(LogError, match=said):
        read_log(text)


def parsed(*options: str) -> argparse.Namespace:
    return command_line().parse_args(["reconstruct", *options])


@pytest.fixture(autouse=True)
def no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The developer's own configuration and servers stay out of the tests."""
    for name in ("TIDEGATE_CONFIG", "TIDEGATE_CONTEXT", "TIDEGATE_PROMETHEUS", "TIDEGATE_PLANE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--from", "@1700000000", "--to", "@1690000000"), "--from is not before --to"),
        (("--from", "yesterday-ish", "--to", "now"), "--from: "),
        (("--from", "1h ago", "--to", "2099-01-01T00:00Z"), "in the future"),
        (("--from", "2h ago", "--to", "1h ago", "--audit", "/nowhere"), "--audit: /nowhere cannot be read"),
        (("--from", "2h ago", "--to", "1h ago", "--prometheus", "nonsense"), "--prometheus: must be a URL"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(
    options: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, one sentence, before anybody is asked."""
    out = tmp_path / "a.tgrec"
    given = options if "--prometheus" in options else (*options, "--prometheus", "http://127.0.0.1:9")
    assert reconstruct(parsed(*given, "--out", str(out))) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_pages_have_no_past(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only a Prometheus keeps one."""
    options = ("--from", "2h ago", "--to", "1h ago", "--scrape", "http://127.0.0.1:9/metrics")
    assert reconstruct(parsed(*options, "--out", str(tmp_path / "a.tgrec"))) == 2
    assert "only a Prometheus keeps a past" in capsys.readouterr().err


def test_a_file_of_somebody_elses_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever it is: nothing is written over, and nobody is asked."""
    out = tmp_path / "a.tgrec"
    out.write_bytes(b"mine")
    options = ("--from", "2h ago", "--to", "1h ago", "--prometheus", "http://127.0.0.1:9")
    assert reconstruct(parsed(*options, "--out", str(out))) == 2
    assert "is there, and was not changed" in capsys.readouterr().err
    assert out.read_bytes() == b"mine"


def test_a_sidecar_of_other_arguments_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With what it was begun with."""
    out = tmp_path / "a.tgrec"
    progress.write(out, progress.Progress("other", ["9:00", "10:00"], 1.0, 2.0, 15_000, 3, 9))
    options = ("--from", "2h ago", "--to", "1h ago", "--prometheus", "http://127.0.0.1:9")
    assert reconstruct(parsed(*options, "--out", str(out))) == 2
    said = capsys.readouterr().err
    assert "was begun with other arguments (--from 9:00 --to 10:00" in said


@pytest.mark.parametrize(
    ("out", "said"),
    [
        (".", "is there and is no file"),
        ("pipe", "is there and is no file"),
        ("nowhere/a.tgrec", "its folder is not there"),
        ("file/a.tgrec", "cannot be written: Not a directory"),
        ("/proc/a.tgrec", "cannot be written: "),
    ],
)
def test_a_file_that_cannot_be_written_is_told_before_anybody_is_asked(
    out: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2: asked, this server would have ended it with 1."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    options = ("--from", "2h ago", "--to", "1h ago", "--prometheus", "http://127.0.0.1:9")
    assert reconstruct(parsed(*options, "--out", str(tmp_path / out))) == 2
    assert said in capsys.readouterr().err
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "pipe"]


def test_makers_are_by_definition_and_not_by_place() -> None:
    """Two definitions of one query never share what was read for one of them."""
    elements = [{"metric": {"model_name": "m", "namespace": "n"}, "values": [[NOON, "1"]]}]
    piece: Piece = piece_of(elements, 0, 1, lambda step: NOON, 15.0)
    known = definition("vllm", "waiting")
    assert piece.rows(partial(rows, known), 0, NOON)[0].labels == {"model_name": "m", "namespace": "n"}
    fewer = replace(known, keep=("model_name",))
    assert piece.rows(partial(rows, fewer), 0, NOON)[0].labels == {"model_name": "m"}
    assert np.count_nonzero(piece.there) == 1
