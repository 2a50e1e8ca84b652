"""The pure parts of asking a Prometheus: reading answers, rows, detection, schedule."""

import math
from dataclasses import replace

import pytest

from collectors.prometheus import detect
from collectors.prometheus.answer import by_node, rows
from collectors.prometheus.live import PrometheusPoller
from collectors.prometheus.schedule import Schedule
from collectors.prometheus.wire import Refused, Sample, read_failure, read_intervals, read_vector
from collectors.signals.catalogue import Buckets, Definition, Matcher, Metric, Row
from collectors.signals.presets import read_presets

GAUGE = Definition("running", "s", "engine", "gauge", (Metric("a"), Metric("b", rung="as b")), ("m", "n"))


def body(result: str, extra: str = "", kind: str = "vector") -> bytes:
    text = f'{{"status":"success","data":{{"resultType":"{kind}","result":[{result}]}}{extra}}}'
    return text.encode()


def test_values_that_are_words_are_numbers() -> None:
    """NaN and infinities arrive as text, like every value."""
    texts = ["NaN", "+Inf", "-Inf", "1e-3", "42"]
    result = ",".join(f'{{"metric":{{}},"value":[1.5,"{text}"]}}' for text in texts)
    numbers = [sample.number for sample in read_vector(body(result)).samples]
    assert math.isnan(numbers[0])
    assert numbers[1:] == [math.inf, -math.inf, 0.001, 42.0]


def test_native_histograms_are_left_out() -> None:
    """They come without a value; the rest of the answer stands."""
    result = (
        '{"metric":{"m":"x"},"histogram":[1,{"count":"3","sum":"1","buckets":[[0,"0","1","3"]]}]},'
        '{"metric":{"m":"y"},"value":[1,"2"]}'
    )
    assert rows(GAUGE, read_vector(body(result)).samples) == (Row({"m": "y"}, 2.0),)


def test_what_the_server_says_beside_is_kept() -> None:
    """Warnings mean partial data; infos do not. Both are cleaned, and said once."""
    vector = read_vector(
        body("", ',"warnings":["store \\u001b[31mgone","store \\u001b[31mgone"],"infos":["hm"]')
    )
    assert vector.warnings == ("store [31mgone",)
    assert vector.infos == ("hm",)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"<html><body>Sign in</body></html>", "a page of HTML"),
        (body('{"metric":{},"value":[1,"2"]}')[:-20], "half an answer"),
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"status":"success","data":{"resultType":"vector","result":[{"metric":3}]}}', "another form"),
        (b'{"status":"error","error":"no"}', "status 'error'"),
        (b'{"status":"success","data":{"resultType":"scalar","result":[]}}', "no vector"),
    ],
    ids=["html", "half", "nothing", "no text", "other form", "error", "scalar"],
)
def test_an_answer_that_is_none_is_refused(answer: bytes, said: str) -> None:
    """In words, with what to do."""
    with pytest.raises(Refused, match=said) as refused:
        read_vector(answer)
    assert refused.value.mend


def test_failures_are_told_in_the_servers_words() -> None:
    """Type and text; nothing where a proxy answered."""
    assert (
        read_failure(b'{"status":"error","errorType":"execution","error":"too many"}')
        == "execution: too many"
    )
    assert read_failure(b"<h1>502</h1>") == ""


def test_intervals_are_read_from_the_list_of_targets() -> None:
    """Durations as Prometheus writes them; of one job the longest."""
    target = '{{"discoveredLabels":{{}},"labels":{{"job":"{0}"}},"scrapeInterval":"{1}","health":"up"}}'
    some = [("a", "15s"), ("a", "1m30s"), ("b", "500ms"), ("c", "soon"), ("d", "1h")]
    listed = ",".join(target.format(*one) for one in some)
    found = read_intervals(f'{{"status":"success","data":{{"activeTargets":[{listed}]}}}}'.encode())
    assert found == {"a": 90.0, "b": 0.5, "d": 3600.0}


def test_labels_are_kept_cleaned_and_in_order() -> None:
    """Only kept labels, without control characters; absent and empty ones are left out."""
    sample = Sample({"n": "\x1b[31mred", "m": "", "other": "x"}, (1.0, "3"))
    assert rows(GAUGE, [sample]) == (Row({"n": "[31mred"}, 3.0),)


def test_the_rung_that_answered_is_told() -> None:
    """The mark says which alternative it was."""
    sample = Sample({"m": "x", "tidegate_alternative": "1"}, (1.0, "3"))
    assert rows(GAUGE, [sample]) == (Row({"m": "x"}, 3.0, "as b"),)


def test_buckets_are_gathered_by_group() -> None:
    """One row a group, bounds scaled to the signal's unit."""
    definition = replace(
        GAUGE, signal="queue_wait", kind="histogram", metrics=(Metric("a"), Metric("a_ms", factor=0.001))
    )
    samples = [
        Sample({"m": "x", "le": "+Inf"}, (1.0, "4")),
        Sample({"m": "x", "le": "0.5"}, (1.0, "1")),
        Sample({"m": "y", "le": "500", "tidegate_alternative": "1"}, (1.0, "2")),
        Sample({"m": "y", "le": "+Inf", "tidegate_alternative": "1"}, (1.0, "2")),
    ]
    assert rows(definition, samples) == (
        Row({"m": "x"}, Buckets((0.5, math.inf), (1.0, 4.0))),
        Row({"m": "y"}, Buckets((0.5, math.inf), (2.0, 2.0))),
    )


def test_by_node_names_no_accelerator() -> None:
    """Hosts and what runs on them stay; each accelerator counts once in the mean."""
    (dcgm,) = (p for p in read_presets() if p.stack == "dcgm")
    for definition in (by_node(d) for d in dcgm.definitions if d.lane == "heat"):
        assert not {"gpu", "UUID", "GPU_I_ID"} & set(definition.keep)
        assert "Hostname" in definition.keep
        assert definition.aggregate == ("avg" if definition.signal == "busy_ratio" else "max")
        assert "UUID" in definition.distinct


def test_detection_asks_once_for_everything() -> None:
    """Every proof and every alternative, buckets by one bound only, in the source's own selection."""
    presets = read_presets()
    query = detect.question(presets, [Matcher("cluster", "=", "eu")])
    assert query.startswith('count by (__name__, job) ({__name__=~"')
    assert query.endswith(',le=~"|\\\\+Inf",cluster="eu"})')
    for name in ("DCGM_FI_DEV_FB_FREE", "vllm:request_queue_time_seconds_bucket", "inference_extension_info"):
        assert name in query


def test_detection_finds_stacks_by_their_proof() -> None:
    """A name that proves nothing makes no stack; jobs are those of the proof."""
    samples = [
        Sample({"__name__": "vllm:num_requests_running", "job": "engines"}, (1.0, "2")),
        Sample({"__name__": "vllm:num_requests_running", "job": "more"}, (1.0, "1")),
        Sample({"__name__": "DCGM_FI_DEV_POWER_USAGE", "job": "gpu"}, (1.0, "1")),
    ]
    found = detect.found(read_presets(), samples)
    assert found.jobs == {"vllm": {"engines", "more"}}
    assert found.jobs_of(["vllm"]) == ("engines", "more")
    assert found.present == {"vllm:num_requests_running", "DCGM_FI_DEV_POWER_USAGE"}


def test_detection_is_repeated() -> None:
    """At start, after 300 s, and after 3 polls in a row that brought nothing."""
    schedule = Schedule()
    assert schedule.detection_due(0)
    schedule.detected(0)
    assert not schedule.detection_due(299)
    assert schedule.detection_due(300)
    for empty in (True, True, False, True, True):
        schedule.polled(empty=empty)
        assert not schedule.detection_due(10)
    schedule.polled(empty=True)
    assert schedule.detection_due(10)


def test_the_map_is_asked_seldom() -> None:
    """Every 15 s or scrape interval; at once after the clock was set back."""
    schedule = Schedule()
    assert [at for at in range(0, 61, 5) if schedule.accelerators_due(at, 15.0)] == [0, 15, 30, 45, 60]
    assert not schedule.accelerators_due(80, 30.0)
    assert schedule.accelerators_due(90, 30.0)
    assert schedule.accelerators_due(50, 30.0)


def test_quiet_is_kept() -> None:
    """As long as asked; with no time given 5 s, 10 s, 20 s, until a poll goes well."""
    schedule = Schedule()
    schedule.keep_quiet(0, 7.0)
    assert schedule.quiet_s(3) == 4.0
    assert schedule.quiet_s(7) == 0.0
    schedule = Schedule()
    for begin, wait_s in ((0, 5), (10, 10), (30, 20)):
        schedule.keep_quiet(begin, 0.0)
        assert schedule.quiet_s(begin) == wait_s
    schedule.polled(empty=False)
    schedule.keep_quiet(100, 0.0)
    assert schedule.quiet_s(100) == 5.0


@pytest.mark.parametrize("url", ["prometheus:9090", "ftp://x", "http://", "http://u:hunter2@[x"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    """At once, with the form it should have, and without the secret that may be in it."""
    with pytest.raises(ValueError, match="http://HOST:PORT") as refused:
        PrometheusPoller(url, presets=())
    assert "hunter2" not in str(refused.value)


def test_secrets_are_not_shown() -> None:
    """Neither the URL's password nor a header is in the repr."""
    poller = PrometheusPoller(
        "https://u:hunter2@prom.example/prefix/", presets=(), headers={"Authorization": "Bearer swordfish"}
    )
    assert repr(poller) == "PrometheusPoller('prom.example/prefix', name='prometheus')"
