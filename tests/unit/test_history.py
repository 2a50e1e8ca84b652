"""What is asked of the past: which definitions, by which labels, in how many steps."""

from dataclasses import replace

import pytest

from collectors.config import PrometheusServer
from collectors.prometheus import history
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
