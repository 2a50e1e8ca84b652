"""The past of a real Prometheus, and every way in which a server can fail to tell it."""

import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from collectors.config import PrometheusServer
from collectors.prometheus.history import discover, past
from collectors.prometheus.wire import Refused
from collectors.signals.catalogue import Definition, Matcher
from collectors.signals.presets import read_presets
from collectors.signals.promql import render
from tests.integration.certificates import authority
from tests.integration.conftest import Page, StartPrometheus, asked, free_port, until
from tests.integration.scripted_prometheus import Reply, Request, Scripted, vector

pytestmark = pytest.mark.slow

WINDOW_S = 4.0
SPAN_S = 7.0


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The developer's own proxies stay out of the tests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    yield server
    server.close()


def definitions() -> list[Definition]:
    return [d for p in read_presets() if p.stack in {"vllm", "endpoint-picker"} for d in p.definitions]


def refused(server: PrometheusServer) -> Refused:
    """What is said where the past cannot be told. Whoever shows it adds the stop."""
    with pytest.raises(Refused) as caught:
        past(server, definitions(), window_s=20.0, at=time.time())
    assert not str(caught.value).endswith(".")
    assert caught.value.mend
    assert not caught.value.mend.endswith(".")
    return caught.value


def moving() -> Callable[[], str]:
    """A page of two pods of one model; waits grow from one scrape to the next, and a second model is idle."""
    number = count()

    def text() -> str:
        at = next(number)
        lines = ["# TYPE vllm:request_queue_time_seconds histogram"]
        for model, pod, share in (
            ("acme/Aurora-5", "a-1", at),
            ("acme/Aurora-5", "a-2", 3 * at),
            ("idle", "b-1", 0),
        ):
            labels = f'model_name="{model}",pod="{pod}",namespace="serving"'
            slow = share * at
            for le, below in (
                ("0.3", share),
                ("1.0", share * 2),
                ("5.0", share * 2 + slow),
                ("+Inf", share * 2 + slow),
            ):
                lines.append(f'vllm:request_queue_time_seconds_bucket{{{labels},le="{le}"}} {below}')
            lines.append(f"vllm:num_requests_running{{{labels}}} 1")
        return "\n".join(lines) + "\n"

    return text


@pytest.fixture(scope="module")
def kept(prometheus: StartPrometheus) -> str:
    """A Prometheus, behind a path prefix, that has scraped long enough for a past."""
    url = prometheus([Page("vllm", moving(), {"cluster": "eu"})], interval="1s", prefix="metrics/api")
    until(lambda: bool(asked(url, "count_over_time(up[5m]) >= 11")), "11 scrapes", 60)
    return url


def test_the_past_is_what_the_server_says(kept: str) -> None:
    """At each moment the p99 of all pods of the model together; idle models and moments have no row."""
    at = float(asked(kept, "time()")[1])  # type: ignore[arg-type]  # a scalar is (time, text)
    found = past(
        PrometheusServer(url=kept), definitions(), window_s=WINDOW_S, at=at, span_s=SPAN_S,
        selector=[Matcher("cluster", "=", "eu")],
    )  # fmt: skip
    (answer,) = found
    assert answer.definition.signal == "queue_wait"
    assert len(answer.moments) >= 6
    assert answer.moments[-1][0] == pytest.approx(at, abs=0.002)
    assert [moment for moment, _ in answer.moments] == sorted(moment for moment, _ in answer.moments)
    assert answer.moments[1][0] - answer.moments[0][0] == pytest.approx(1.0, abs=0.01)
    for moment, rows in answer.moments:
        query = f"histogram_quantile(0.99, {render(answer.definition, window_s=WINDOW_S)})"
        theirs = {
            e["metric"]["model_name"]: float(e["value"][1])
            for e in asked(kept, query, moment)
            if e["value"][1] != "NaN"
        }
        assert {row.labels["model_name"]: row.value for row in rows} == pytest.approx(theirs)
        assert all(set(row.labels) == {"model_name"} for row in rows)
        assert "idle" not in theirs
    values = [rows[0].value for _, rows in answer.moments]
    assert len(set(values)) > 1, "it moves"


def test_a_filter_that_fits_nothing_has_no_past(kept: str) -> None:
    """No series, no answer, no failure."""
    found = past(
        PrometheusServer(url=kept), definitions(), window_s=WINDOW_S, at=time.time(), span_s=SPAN_S,
        selector=[Matcher("cluster", "=", "us")],
    )  # fmt: skip
    assert found == ()


def test_names_are_discovered(kept: str) -> None:
    """Names of this server, for who asks what it has."""
    assert {"up", "vllm:request_queue_time_seconds_bucket"} <= discover(PrometheusServer(url=kept))


def test_credentials_and_headers_are_sent(scripted: Scripted, tmp_path: Path) -> None:
    """The token, and the tenant's header; nothing of ~/.netrc, which belongs to other programs."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password theirs\n", encoding="utf-8")
    netrc.chmod(0o600)
    token = tmp_path / "token"
    token.write_text("s3cret-token\n", encoding="utf-8")
    token.chmod(0o600)
    scripted.replies["__name__"] = Reply(body=b'{"status":"success","data":["up"]}')
    before = os.environ.get("NETRC")
    os.environ["NETRC"] = str(netrc)
    try:
        discover(scripted.server(token={"file": str(token)}, headers={"X-Scope-OrgID": "team"}))
        discover(scripted.server())
    finally:
        os.environ.pop("NETRC")
        if before is not None:
            os.environ["NETRC"] = before
    first, second = (request.headers for request in scripted.of_the_past)
    assert first["Authorization"] == "Bearer s3cret-token"
    assert first["X-Scope-OrgID"] == "team"
    assert "Authorization" not in second


def test_a_private_ca_is_trusted_and_no_other(tmp_path: Path) -> None:
    """With its file the answer comes; without, it says whom not to trust, and what to set."""
    ca = authority(tmp_path / "ca")
    server = Scripted(ca.serving("good"))
    server.replies["__name__"] = Reply(body=b'{"status":"success","data":["up"]}')
    try:
        assert discover(server.server(ca_file=ca.file)) == {"up"}
        said = refused(server.server())
        assert said.unreachable
        assert "ca_file" in said.mend
    finally:
        server.close()


def test_a_client_certificate_is_shown(tmp_path: Path) -> None:
    """Where the server wants one."""
    ca = authority(tmp_path / "ca")
    serving = ca.serving("good")
    serving.verify_mode = ssl.CERT_REQUIRED
    serving.load_verify_locations(ca.file)
    server = Scripted(serving)
    server.replies["__name__"] = Reply(body=b'{"status":"success","data":["up"]}')
    certificate, key = ca.signed("us")
    try:
        ours = server.server(ca_file=ca.file, cert_file=certificate, key_file=key)
        assert discover(ours) == {"up"}
        with pytest.raises(Refused):
            discover(server.server(ca_file=ca.file))
    finally:
        server.close()


def test_nobody_there() -> None:
    """A port that nobody listens on: with the address and how to look."""
    said = refused(PrometheusServer(url=f"http://127.0.0.1:{free_port()}"))
    assert said.unreachable
    assert "Connection refused" in str(said)
    assert "curl 127.0.0.1" in said.mend


def test_a_server_that_does_not_answer() -> None:
    """One that listens and stays silent costs its time limit once, not four times with pauses."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said = refused(PrometheusServer(url=f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.3))
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):  # it was asked once
            silent.accept()
    assert "within 0.3 s" in str(said)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(401, b"Unauthorized"), "401"),
        (Reply(503, b"busy"), "503"),
        (Reply(429, b"slow down"), "429"),
        (
            Reply(422, b'{"status":"error","errorType":"execution","error":"too many samples"}'),
            "too many samples",
        ),
        (Reply(302, b"", {"Location": "/login"}), "302|redirect|elsewhere|points"),
        (Reply(200, b"<html><body>Please log in</body></html>", {"Content-Type": "text/html"}), "HTML|page"),
        (Reply(200, b"hello"), "no answer of a Prometheus"),
        (Reply(200, b'{"status":"success"}'), "no answer of a Prometheus"),
        (
            Reply(200, b'{"status":"success","data":{"result":[{"value":["x","y"]}]}}'),
            "no answer of a Prometheus",
        ),
        (Reply(200, b'{"status":"success","data":[1]}'), "no answer of a Prometheus"),
        (Reply(200, b"[" * 100_000), "no answer of a Prometheus"),
        (Reply(200, b'{"status":"success","data":' + b" " * 900, cut=500), "half an answer|cut"),
        (Reply(200, b" " * (9 << 20)), "more than 8 MB"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_every_failure_is_one_sentence(scripted: Scripted, reply: Reply, said: str) -> None:
    """Whatever stands at that address, it is Refused, asked once, with what to do."""
    scripted.replies["api/v1/query"] = reply
    found = refused(scripted.server())
    assert any(one in str(found) for one in said.split("|")), str(found)
    assert len(scripted.of_the_past) == 1


def test_a_partial_answer_is_no_past(scripted: Scripted) -> None:
    """The library drops `warnings`; a past without some of its stores would be drawn as if it were all."""
    body = vector(({}, "3"), warnings=["store eu-2 did not answer"])
    scripted.replies["api/v1/query"] = Reply(body=body)
    assert "partial answer: store eu-2 did not answer" in str(refused(scripted.server()))


def test_a_secret_in_the_servers_words_is_taken_out(scripted: Scripted, tmp_path: Path) -> None:
    """A server that repeats the token: it reaches no screen."""
    token = tmp_path / "token"
    token.write_text("s3cret-token", encoding="utf-8")
    token.chmod(0o600)
    said = b'{"status":"error","errorType":"x","error":"bad Bearer s3cret-token"}'
    scripted.replies["api/v1/query"] = Reply(400, said)
    found = refused(scripted.server(token={"file": str(token)}))
    assert "s3cret" not in f"{found}{found.mend}{found.__cause__}"


@pytest.mark.parametrize("bytes_sent", [100, 1])
def test_a_server_that_trickles_is_left(bytes_sent: int) -> None:
    """A byte now and then keeps every read in time, and the whole without end: the limit holds for all.

    So it does for one that begins an answer and then says no more.
    """
    with socket.create_server(("127.0.0.1", 0)) as trickling:
        trickling.settimeout(5)
        url = f"http://127.0.0.1:{trickling.getsockname()[1]}"

        def serve() -> None:
            connection, _ = trickling.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for _ in range(bytes_sent):
                    try:
                        connection.sendall(b"1\r\n \r\n")
                    except OSError:
                        return
                    time.sleep(0.05)
                connection.settimeout(2)
                connection.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        assert "within 0.3 s" in str(refused(PrometheusServer(url=url, timeout_s=0.3)))
        thread.join(5)


def test_one_count_and_one_range_a_definition(scripted: Scripted) -> None:
    """What is not there costs one count; what is, one range, of whole answers, at exact times."""

    def answered(request: Request) -> Reply:
        if request.path.endswith("query_range"):
            element = {"metric": {"model_name": "m"}, "values": [[request.form["end"], "2.5"]]}
            data = {"resultType": "matrix", "result": [element]}
            return Reply(body=json.dumps({"status": "success", "data": data}).encode())
        return Reply(body=vector(({}, "3")) if "vllm" in request.query else vector())

    scripted.replies["api/v1/query"] = answered
    (found,) = past(scripted.server(), definitions(), window_s=60.0, at=1_700_000_000.25)
    assert found.moments == ((1_700_000_000.25, found.moments[0][1]),)
    paths = [request.path.rsplit("/", 1)[1] for request in scripted.of_the_past]
    assert paths == ["query", "query", "query_range"]
    form = scripted.of_the_past[-1].form
    assert (form["start"], form["end"], form["step"]) == ("1699999400.250", "1700000000.250", "15.000")
    assert form["timeout"] == "8000ms"
