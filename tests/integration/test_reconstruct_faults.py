"""Reconstructions from a server that allows little, says half, refuses, or goes away."""

import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import pytest

from collectors.fleet import EventKind, Frame, Severity, SourceState
from collectors.readings import Quality
from collectors.reconstruct import progress
from collectors.reconstruct.ranges import Unanswered
from collectors.recording.reader import Recording
from tests.backfill import Fleet, context_toml, remembering
from tests.reconstructed import (
    FLEET,
    START,
    STEP_S,
    TIERS,
    frames_of,
    made,
    no_surroundings,  # noqa: F401  # a fixture
    reconstruction,
)
from tui.cli import main

pytestmark = pytest.mark.slow

HOT, LATE = (START + 600, START + 1200), START + 900
"""From when to when an alert fires of which it is kept since when; from when one of which it is not."""


def rules(times: Iterable[float]) -> Iterator[str]:
    """The series that a Prometheus keeps of two alerts of its rules."""
    hot = 'alertname="TooHot",severity="page",model_name="acme/m-00",namespace="gold"'
    late = 'alertname="Late",severity="warning"'
    moments = list(times)
    yield "# TYPE ALERTS gauge"
    for at in moments:
        if HOT[0] <= at < HOT[1]:
            state = "firing" if at >= HOT[0] + 60 else "pending"
            yield f'ALERTS{{{hot},alertstate="{state}"}} 1 {at:.3f}'
    for at in moments:
        if at >= LATE:
            yield f'ALERTS{{{late},alertstate="firing"}} 1 {at:.3f}'
    yield "# TYPE ALERTS_FOR_STATE gauge"
    for at in moments:
        if HOT[0] <= at < HOT[1]:
            yield f"ALERTS_FOR_STATE{{{hot}}} {HOT[0]:.0f} {at:.3f}"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Half an hour of the fleet, with alerts."""
    short = Fleet(3, TIERS, START, 1800)
    with remembering(tmp_path_factory.mktemp("past"), (*short.lines(), *rules(short.times()))) as base:
        yield base


@contextmanager
def between(url: str, change: Callable[[dict[str, list[str]], bytes], tuple[int, bytes]]) -> Iterator[str]:
    """A proxy before a server: `change` makes (status, body) of the parameters and the server's body."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            posted = self.rfile.read(length)
            query = urllib.parse.urlsplit(self.path).query or posted.decode()
            try:
                with urllib.request.urlopen(url + self.path, posted or None) as answer:
                    body = answer.read()
            except urllib.error.HTTPError as error:
                body = error.read()
            status, body = change(urllib.parse.parse_qs(query), body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            return

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=web.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{web.server_address[1]}"
    finally:
        web.shutdown()
        web.server_close()


def refusal(said: str) -> bytes:
    return json.dumps({"status": "error", "errorType": "execution", "error": said}).encode()


def test_a_server_that_allows_little_is_asked_for_little(url: str, tmp_path: Path) -> None:
    """At most 12 points an answer, and now and then no answer at all: the same readings, frame by frame."""
    numbers: list[int] = []

    def change(form: dict[str, list[str]], body: bytes) -> tuple[int, bytes]:
        if "start" in form:
            points = (float(form["end"][0]) - float(form["start"][0])) / float(form["step"][0]) + 1
            if points > 12.5:
                return 422, refusal("exceeded maximum resolution of 12 points per timeseries")
            numbers.append(round(points))
        return 200, body

    plain, little = tmp_path / "plain.tgrec", tmp_path / "little.tgrec"
    made(reconstruction(url, plain, START + 900, START + 1500))
    with between(url, change) as slow:
        made(reconstruction(slow, little, START + 900, START + 1500, step=STEP_S))
    assert max(numbers) <= 12
    ours, theirs = frames_of(little), frames_of(plain)
    assert len(ours) == 41
    assert [frame.models for frame in ours] == [frame.models for frame in theirs]


def test_partial_answers_are_marked(url: str, tmp_path: Path) -> None:
    """On the readings they gave and on the source, and in the end."""

    def change(form: dict[str, list[str]], body: bytes) -> tuple[int, bytes]:
        if (
            "num_requests_waiting" in form.get("query", [""])[0]
            and "step" in form
            and "timestamp" not in body.decode()
        ):
            found = json.loads(body)
            if found["status"] == "success" and "count by" not in form["query"][0]:
                found["warnings"] = ["store eu-1 did not answer"]
                return 200, json.dumps(found).encode()
        return 200, body

    out = tmp_path / "partial.tgrec"
    with between(url, change) as some:
        done = made(reconstruction(some, out, START + 900, START + 1100))
    assert any("store eu-1 did not answer" in one for one in done.troubles)
    for frame in frames_of(out):
        source, alerts = frame.sources
        assert (source.state, alerts.state) == (SourceState.PARTIAL, SourceState.OK)
        waiting = frame.models[0].tiers["gold"]["waiting"]
        assert (waiting.quality, waiting.reason.code) == (Quality.SUSPECT, "partial")
        assert frame.models[0].tiers["gold"]["running"].quality is Quality.GOOD


def test_a_refused_query_costs_its_own_signal_alone(url: str, tmp_path: Path) -> None:
    """What it said is in the recording and told in the end; the rest is as true as before."""

    def change(form: dict[str, list[str]], body: bytes) -> tuple[int, bytes]:
        query = form.get("query", [""])[0]
        if "num_requests_waiting" in query and "count by" not in query and "step" in form:
            return 422, refusal("found duplicate series for the match group")
        return 200, body

    out = tmp_path / "refused.tgrec"
    with between(url, change) as some:
        done = made(reconstruction(some, out, START + 900, START + 1000))
    assert any("asked for waiting" in one and "duplicate series" in one for one in done.troubles)
    frame = frames_of(out)[-1]
    assert "waiting" not in frame.models[0].tiers["gold"]
    assert frame.models[0].tiers["gold"]["running"].value == FLEET.running(0, 0, frame.at)


def test_a_server_that_is_gone_leaves_what_can_be_gone_on_from(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a sentence, and not as a source that was lost then; the next run ends with the same file."""
    monkeypatch.setattr("collectors.reconstruct.ranges.PATIENCE_S", (0.01,))
    out, whole = tmp_path / "x.tgrec", tmp_path / "y" / "x.tgrec"
    whole.parent.mkdir()
    served = 0

    def change(form: dict[str, list[str]], body: bytes) -> tuple[int, bytes]:
        nonlocal served
        served += 1
        return (200, body) if served < 120 else (503, b"gone")

    with between(url, change) as some:
        context_url = some
        with pytest.raises(Unanswered, match="HTTP 503"):
            made(reconstruction(some, out, START, START + 1200, stretch=20))
        known = progress.read(out)
        assert known is not None
        assert known.done >= 1
        served = -100_000
        made(reconstruction(some, out, START, START + 1200, stretch=20))
        made(reconstruction(context_url, whole, START, START + 1200, stretch=20))
    assert out.read_bytes() == whole.read_bytes()


def test_the_command_ends_with_a_sentence_and_goes_on(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1 and what to do, while the server is gone; 0 and the same file once it is back."""
    monkeypatch.setattr("collectors.reconstruct.ranges.PATIENCE_S", (0.01,))
    monkeypatch.setattr("collectors.reconstruct.plan.STRETCH_S", 300.0)
    monkeypatch.setattr("collectors.reconstruct.plan.STRETCH_STEPS", 20)
    is_there, served = True, 0

    def change(form: dict[str, list[str]], body: bytes) -> tuple[int, bytes]:
        nonlocal served
        served += 1
        return (200, body) if is_there or served < 90 else (503, b"gone")

    def run(out: Path) -> tuple[int, str]:
        span = ("--from", f"@{START:.0f}", "--to", f"@{START + 1200:.0f}", "--config", str(config))
        return main(["reconstruct", *span, "--out", str(out)]), capsys.readouterr().err

    config, out, whole = tmp_path / "context.toml", tmp_path / "x.tgrec", tmp_path / "y.tgrec"
    with between(url, change) as some:
        config.write_text(context_toml(some, TIERS), encoding="utf-8")
        is_there = False
        status, said = run(out)
        assert status == 1
        assert "HTTP 503" in said.splitlines()[-1]
        assert "Run it again with the same arguments: it goes on" in said.splitlines()[-1]
        begun = progress.read(out)
        assert begun is not None
        assert begun.done >= 1
        is_there = True
        assert run(out)[0] == 0
        assert run(whole)[0] == 0
    assert out.read_bytes() == whole.read_bytes()


def test_alerts_of_rules_are_told_as_they_were(url: str, tmp_path: Path) -> None:
    """Since when, by what is kept; by model and tier; once as an event. Those that wait do not fire."""
    out = tmp_path / "alerts.tgrec"
    made(reconstruction(url, out, START + 300, START + 1800, stretch=20))
    frames = frames_of(out)

    def told(frame: Frame) -> dict[str, tuple[object, ...]]:
        return {a.name: (a.severity, a.model, a.tier, a.since) for a in frame.alerts if a.name}

    hot, late = (Severity.P1, "m-00", "gold", HOT[0]), (Severity.P2, "", "", LATE)
    for frame in frames:
        # Nothing marks the end of what is filled in: the server answers for five minutes with the last.
        lasts = HOT[0] + 60 <= frame.at < HOT[1] + 300
        ends = HOT[1] <= frame.at <= HOT[1] + 300
        if not ends:
            assert told(frame).get("TooHot") == (hot if lasts else None), frame.at - START
        assert told(frame).get("Late") == (late if frame.at >= LATE else None), frame.at - START
        assert [source.name for source in frame.sources] == ["prometheus", "prom-alerts"]
    began = [
        (event.at, event.actor, event.subject)
        for frame in frames
        for event in frame.events
        if event.kind is EventKind.ALERT and event.actor in {"P1", "P2"}
    ]
    assert (HOT[0] + 60, "P1", "m-00 gold") in began
    assert (LATE, "P2", "prom-alerts") in began
    assert len([one for one in began if one[1:] == ("P2", "prom-alerts")]) == 1, "no stretch begins it again"


def test_a_hole_of_an_hour_is_a_gap_and_no_calm(tmp_path: Path) -> None:
    """Whole stretches lie in it: no value and no model in it, and all is as before behind it."""
    hole = (START + 1800, START + 5400)
    fleet = Fleet(1, TIERS, START, 7200, gaps=[hole])
    out = tmp_path / "hole.tgrec"
    with remembering(tmp_path / "past", fleet.lines()) as url:
        done = made(reconstruction(url, out, START, START + 7000, step=30, stretch=40))
    assert done.troubles == ()
    frames = frames_of(out)
    assert (len(frames), done.end) == (234, START + 6990), "a step that is no divisor ends before --to"
    for frame in frames:
        waits = [model.tiers["gold"]["waiting"].value for model in frame.models]
        if not hole[0] <= frame.at < hole[1]:
            assert waits == [fleet.waiting(0, 0, frame.at)]
        elif frame.at > hole[0] + 5 * 30:
            assert waits in ([], [None])
    recording = Recording.open(out)
    gaps = recording.gaps
    recording.close()
    assert hole[0] <= gaps[0].start <= hole[0] + 60
    assert gaps[-1].end == hole[1]
    assert all(later.start - sooner.end <= 30 for sooner, later in pairwise(gaps))
