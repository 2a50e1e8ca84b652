"""What is asked of the past: which definitions, by which labels, in how many steps."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from collectors.config import PrometheusServer
from collectors.prometheus import history
from collectors.prometheus.past import PastAsked
from collectors.prometheus.wire import Refused
from collectors.signals.catalogue import Definition, Row
from collectors.signals.presets import read_presets
from collectors.signals.promql import ALTERNATIVE


def queue_wait(stack: str) -> Definition:
    preset = next(one for one in read_presets() if one.stack == stack)
    return next(one for one in preset.definitions if one.signal == "queue_wait")


def test_places_are_left_out_where_a_label_names_the_model() -> None:
    """The past is one line a model and tier, not one a pod; what an identity rule reads stays."""
    cut = history._by_model(queue_wait("vllm"), ())
    assert "model_name" in cut.keep
    assert not {"namespace", "workload", "exported_workload"} & set(cut.keep)
    ruled = history._by_model(queue_wait("vllm"), ("namespace",))
    assert "namespace" in ruled.keep
    assert "workload" not in ruled.keep
    assert "priority" in history._by_model(queue_wait("endpoint-picker"), ()).keep


def test_without_a_label_of_the_model_its_place_names_it() -> None:
    """An engine that does not say its model is named by its workload: the places stay."""
    nameless = replace(queue_wait("vllm"), keep=("namespace", "workload"))
    assert history._by_model(nameless, ()) == nameless


def test_steps_are_no_finer_than_scrapes() -> None:
    """A window of four scrapes of 15 s, over ten minutes: one point a scrape."""
    assert history._steps(600.0, 60.0, series=250, evaluated_s=0.001, timeout_s=10.0) == 40


def test_points_are_bounded() -> None:
    """6,000 series leave ten steps, whatever the interval."""
    assert history._steps(600.0, 20.0, series=6000, evaluated_s=0.001, timeout_s=10.0) == 10


def test_a_server_that_is_slow_is_asked_for_less() -> None:
    """A step costs what counting did, at most: half the time limit is spent, and too little is refused."""
    assert history._steps(600.0, 60.0, series=10, evaluated_s=0.5, timeout_s=10.0) == 10
    with pytest.raises(Refused, match="took 1 s to count"):
        history._steps(600.0, 60.0, series=10, evaluated_s=1.0, timeout_s=10.0)
    with pytest.raises(Refused, match="9000 series"):
        history._steps(600.0, 60.0, series=9000, evaluated_s=0.001, timeout_s=10.0)


def test_rows_by_time() -> None:
    """Idle moments have no row; times ascend; units and rungs are those of the alternative that answered."""
    plain = queue_wait("vllm")
    ray = replace(plain.metrics[0], name="x_ms", factor=0.001, rung="router")
    two = replace(plain, metrics=(plain.metrics[0], ray), keep=("model_name",))
    elements = [
        {"metric": {"model_name": "a\x1b"}, "values": [(20.0, "2"), (10.0, "NaN"), (30.0, "+Inf")]},
        {"metric": {"model_name": "b", ALTERNATIVE: "1"}, "values": [(10.0, "1500")]},
    ]
    assert history._moments(two, elements) == (
        (10.0, (Row({"model_name": "b"}, 1.5, "router"),)),
        (20.0, (Row({"model_name": "a"}, 2.0),)),
    )


def test_of_two_equal_servers_the_longer_wait_counts() -> None:
    """Two elements of one group are never two rows."""
    two = replace(queue_wait("vllm"), keep=("model_name",))
    elements = [
        {"metric": {"model_name": "a", "replica": r}, "values": [(10.0, v)]}
        for r, v in (("0", "1"), ("1", "3"), ("2", "2"))
    ]
    assert history._moments(two, elements) == ((10.0, (Row({"model_name": "a"}, 3.0),)),)


def test_what_is_not_asked() -> None:
    """Other signals are not; and nothing is where an operator's own query measures the wait."""
    server = PrometheusServer(url="http://127.0.0.1:9")
    other = replace(queue_wait("vllm"), signal="answer_time")
    own = replace(queue_wait("vllm"), role="override", metrics=(), promql="sum by (le) (rate(x[1m]))")
    for definitions in ([other], [own, queue_wait("vllm")], []):
        assert history.past(server, definitions, window_s=60.0, at=0.0) == ()


def test_a_query_too_long_for_a_url_is_not_sent() -> None:
    """The library sends queries in the URL, and a proxy would refuse it in words of its own."""
    server = PrometheusServer(url="http://127.0.0.1:9")
    long = replace(queue_wait("vllm"), keep=tuple(f"model_{i}" * 20 for i in range(50)))
    with pytest.raises(Refused, match="a URL of over 7000 bytes"):
        history.past(server, [long], window_s=60.0, at=0.0)


@pytest.mark.parametrize(
    "stack", [p.stack for p in read_presets() if any(d.signal == "queue_wait" for d in p.definitions)]
)
def test_the_queries_of_every_preset_are_short_enough(stack: str) -> None:
    """Also where nobody knows which metrics exist."""
    one = queue_wait(stack)
    if one.kind == "histogram":
        query = history._quantile(history._by_model(one, ()), 60.0, (), None, ())
        assert len(history.quote(f"count({query})")) < history.MAX_URL_BYTES


def test_a_credential_that_cannot_be_read_is_said() -> None:
    """Before anything is sent, by the name of its reference."""
    server = PrometheusServer.model_validate(
        {"url": "http://127.0.0.1:9", "token": {"env": "TIDEGATE_NO_SUCH_VARIABLE"}}
    )
    with pytest.raises(Refused, match="TIDEGATE_NO_SUCH_VARIABLE"):
        history.discover(server)


Lie = Callable[[dict[str, object]], object]


@contextmanager
def lying(lie: Lie, count: str = "3", headers: dict[str, str] | None = None) -> Iterator[PrometheusServer]:
    """A server that counts well, and lies about the range: `lie` changes its element or gives a body."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            element: dict[str, object] = {"metric": {"model_name": "m"}, "value": [1000.0, count]}
            if "query_range" in self.path:
                element = {"metric": {"model_name": "m"}, "values": [[990.0, "1"], [1000.0, "2"]]}
                changed = lie(element)
                element = changed if isinstance(changed, dict) else element
            body = lie({}) if headers else None
            if not isinstance(body, bytes):
                data = {"resultType": "vector", "result": [element]}
                body = json.dumps({"status": "success", "data": data}).encode()
            self.send_response(200)
            for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield PrometheusServer(url=f"http://127.0.0.1:{web.server_address[1]}")
    finally:
        web.shutdown()
        web.server_close()
        thread.join()


def past_of(server: PrometheusServer) -> tuple[object, ...]:
    return history.past(server, [queue_wait("vllm")], window_s=60.0, at=1000.0)


LIES: dict[str, Lie] = {
    "shape": lambda e: {**e, "values": [[1], [2, 3, 4], 5]},
    "nested": lambda e: {**e, "values": [[1000.0, [[1]]]]},
    "text": lambda e: {**e, "values": [[1000.0, "abc"]]},
    "alternative": lambda e: {**e, "metric": {"model_name": "m", ALTERNATIVE: "99"}},
    "no alternative": lambda e: {**e, "metric": {"model_name": "m", ALTERNATIVE: "x"}},
    "null": lambda e: {**e, "values": [[1000.0, None]]},
    "no metric": lambda e: {"values": [[1000.0, "1"]]},
    "labels": lambda e: {**e, "metric": {"model_name": [1]}, "values": 7},
    "another age": lambda e: {**e, "values": [[1e308, "1"]]},
    "before": lambda e: {**e, "values": [[-62135596800, "1"]]},
    "no time": lambda e: {**e, "values": [["NaN", "1"]]},
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_lie_about_the_past_is_one_sentence(lie: Lie) -> None:
    """Whatever the form: Refused, and nothing of it is drawn; an honest server is believed."""
    with lying(lambda element: element) as server:
        assert len(past_of(server)) == 1
    with lying(lie) as server, pytest.raises(Refused, match="no answer of a Prometheus") as refused:
        past_of(server)
    assert refused.value.mend


@pytest.mark.parametrize("count", ["+Inf", "NaN", "1e308", "-1", "abc"])
def test_a_count_that_is_none_is_one_sentence(count: str) -> None:
    """It is what says how many points may be asked for."""
    with lying(lambda element: element, count) as server, pytest.raises(Refused):
        past_of(server)


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br"])
def test_a_past_packed_twice_is_refused(encoding: str) -> None:
    """The library would unpack it without any bound."""
    headers = {"Content-Encoding": encoding}
    with lying(lambda _: b"x", headers=headers) as server, pytest.raises(Refused, match="packed"):
        past_of(server)


def test_half_a_packed_past_is_refused() -> None:
    """As of a poll."""
    headers, half = {"Content-Encoding": "gzip"}, b"\x1f\x8b\x08"
    with lying(lambda _: half, headers=headers) as server, pytest.raises(Refused, match="half an answer"):
        past_of(server)


def test_a_token_in_a_warning_of_the_past_is_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the words are cut: of one that is cut off nobody would know it."""
    token = "eyJ" + "".join(f"{n:04x}" for n in range(500))
    monkeypatch.setenv("SOME_TOKEN", token)
    body = json.dumps({"status": "success", "warnings": [f"{'x' * 20} {token}"], "data": {}}).encode()
    with lying(lambda _: body, headers={"X-A": "b"}) as server:
        known = PrometheusServer.model_validate({"url": server.url, "token": {"env": "SOME_TOKEN"}})
        with pytest.raises(Refused, match=r"sent a partial answer: x{20} …") as refused:
            past_of(known)
    assert token[:8] not in str(refused.value)


def test_files_under_ones_home_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A CA and certificate that serve the polls serve the past too."""
    monkeypatch.setenv("HOME", str(tmp_path))
    server = PrometheusServer.model_validate(
        {"url": "https://p", "ca_file": "~/ca.pem", "cert_file": "~/our.pem", "key_file": "~/our.key"}
    )
    with history.connected(server, None) as connected:
        session = connected._connection._session
        assert session.verify == str(tmp_path / "ca.pem")
        assert session.cert == (str(tmp_path / "our.pem"), str(tmp_path / "our.key"))


async def test_a_fault_of_our_own_costs_the_past_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The poll goes on, and says whose fault it is."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr(history, "past", broken)
    asked = PastAsked(PrometheusServer(url="http://127.0.0.1:9"), (), 600.0)
    asked.start([queue_wait("vllm")], selector=(), replicas=(), present=frozenset(), window_s=60.0, at=1000.0)
    answers, said = await asked.taken()
    assert answers == ()
    assert "tidegate's own (ZeroDivisionError: of ours)" in said
    assert await asked.taken() == ((), "")
