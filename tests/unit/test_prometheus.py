"""The pure parts of asking a Prometheus: reading answers, rows, detection, schedule."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from collectors.config import Override, PrometheusServer
from collectors.prometheus import detect, override, targets
from collectors.prometheus.answer import by_node, rows
from collectors.prometheus.live import PrometheusPoller
from collectors.prometheus.schedule import Schedule
from collectors.prometheus.wire import (
    Refused,
    Sample,
    Vector,
    read_failure,
    read_intervals,
    read_vector,
)
from collectors.readings import Interval
from collectors.signals.catalogue import (
    Buckets,
    Definition,
    Derive,
    Detected,
    Generation,
    Matcher,
    Metric,
    Preset,
    Probe,
    Probed,
    Row,
)
from collectors.signals.presets import read_presets
from collectors.signals.promql import render
from collectors.signals.quantiles import interval, merged, observations

DATA = Path(__file__).parents[1] / "data" / "answers"

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


def test_a_native_histogram_is_no_number() -> None:
    """It comes without a value: of a gauge it is left out, and the rest of the answer stands."""
    result = (
        '{"metric":{"m":"x"},"histogram":[1,{"count":"3","sum":"1","buckets":[[0,"0","1","3"]]}]},'
        '{"metric":{"m":"y"},"value":[1,"2"]}'
    )
    assert rows(GAUGE, read_vector(body(result)).samples) == (Row({"m": "y"}, 2.0),)


def native(labels: str, *populations: str) -> str:
    """One element of an answer, as Prometheus writes a native histogram."""
    listed = ",".join(f"[{one}]" for one in populations)
    return f'{{"metric":{{{labels}}},"histogram":[1,{{"count":"9","sum":"1","buckets":[{listed}]}}]}}'


NATIVE = replace(GAUGE, signal="queue_wait", kind="histogram", metrics=(Metric("a"),))


def native_rows(
    *elements: str, definition: Definition = NATIVE, replicas: Sequence[str] = ()
) -> tuple[Row, ...]:
    return rows(definition, read_vector(body(",".join(elements))).samples, replicas=replicas)


def test_native_buckets_become_cumulative_ones() -> None:
    """What lies between two of them is an empty bucket, so that no quantile is told too widely."""
    (row,) = native_rows(native('"m":"x"', '0,"1","2","4"', '0,"4","8","6"'))
    assert row == Row({"m": "x"}, Buckets((1.0, 2.0, 4.0, 8.0, math.inf), (0.0, 4.0, 4.0, 10.0, 10.0)))
    assert isinstance(row.value, Buckets)
    assert interval(row.value, 0.9) == Interval(4.0, 8.0, pytest.approx(4 + 4 * 5 / 6))


def test_the_bucket_around_nought_begins_there() -> None:
    """Nobody waits less than nothing; where something is negative it is kept as it is."""
    (row,) = native_rows(native("", '3,"-0.001","0.001","5"', '0,"0.5","1","5"'))
    assert row.value == Buckets((0.0, 0.001, 0.5, 1.0, math.inf), (0.0, 5.0, 5.0, 10.0, 10.0))
    (row,) = native_rows(native("", '1,"-2","-1","5"', '3,"-0.001","0.001","5"'))
    assert row.value == Buckets((-2.0, -1.0, -0.001, 0.001, math.inf), (0.0, 5.0, 5.0, 10.0, 10.0))


def test_bounds_of_ones_own_choice_are_read() -> None:
    """Custom buckets of Prometheus 3: the first has no lower end, the last no upper."""
    (row,) = native_rows(native("", '0,"-Inf","0.5","1"', '0,"0.5","5.0","2"', '0,"5.0","+Inf","3"'))
    assert row.value == Buckets((0.5, 5.0, math.inf), (1.0, 3.0, 6.0))


def test_an_idle_native_histogram_is_idle() -> None:
    """No bucket has a population: nothing was seen, and that is known."""
    (row,) = native_rows(native(""))
    assert row.value == Buckets((math.inf,), (0.0,))


def test_what_is_no_population_is_left_out() -> None:
    """NaN, negative, words: the others stand."""
    broken = ('0,"1","2","NaN"', '0,"2","4","-1"', '0,"x","8","1"', '0,"8","4","1"')
    (row,) = native_rows(native("", *broken, '0,"1","2","3"'))
    assert row.value == Buckets((1.0, 2.0, math.inf), (0.0, 3.0, 3.0))


def test_native_histograms_of_two_rows_can_be_added_up() -> None:
    """Each is told at the other's bounds, where it knows: outside of its own buckets."""
    fine = native('"m":"x"', '0,"1","1.5","2"', '0,"1.5","2","2"')
    far = native('"m":"y"', '0,"8","16","4"')
    coarse = native('"m":"z"', '0,"1","4","1"')
    found = [row.value for row in native_rows(fine, far, coarse)]
    assert all(isinstance(one, Buckets) for one in found)
    together = merged([one for one in found if isinstance(one, Buckets)])
    assert together == Buckets((1.0, 4.0, 8.0, 16.0, math.inf), (0.0, 5.0, 5.0, 9.0, 9.0))
    assert found[0] == Buckets((1, 1.5, 2, 4, 8, 16, math.inf), (0, 2, 4, 4, 4, 4, 4))


def test_native_histograms_of_one_group_are_added_up() -> None:
    """By the labels that the reader derives: two pods of one workload."""
    derive = (Derive("n", "pod", "(.+)-[0-9]", "$1"),)
    two = (native(f'"pod":"llama-{n}","m":"x"', '0,"1","2","2"') for n in range(2))
    found = native_rows(*two, definition=replace(NATIVE, derive=derive))
    assert found == (Row({"m": "x", "n": "llama"}, Buckets((1.0, 2.0, math.inf), (0.0, 4.0, 4.0))),)


def test_a_group_with_classic_buckets_has_no_native_ones() -> None:
    """During a migration both are there: one of them counts, by group."""
    classic = ",".join(
        f'{{"metric":{{"m":"x","le":"{le}"}},"value":[1,"{rate}"]}}' for le, rate in (("5.0", 1), ("+Inf", 2))
    )
    found = native_rows(classic, native('"m":"x"', '0,"1","2","9"'), native('"m":"y"', '0,"1","2","3"'))
    assert {row.labels["m"]: row.value for row in found} == {
        "x": Buckets((5.0, math.inf), (1.0, 2.0)),
        "y": Buckets((1.0, 2.0, math.inf), (0.0, 3.0, 3.0)),
    }


def test_a_summary_of_the_same_name_is_no_histogram() -> None:
    """Its quantiles are numbers without `le`."""
    assert native_rows('{"metric":{"m":"x","quantile":"0.5"},"value":[1,"2"]}') == ()


def test_of_equal_prometheus_one_native_histogram_counts() -> None:
    """The one that saw most; two pods are still two."""
    elements = [
        native(f'"m":"x","pod":"{pod}","replica":"{replica}"', f'0,"1","2","{seen}"')
        for pod, replica, seen in (("p", "a", 3), ("p", "b", 4), ("q", "a", 5))
    ]
    (row,) = native_rows(*elements, replicas=("replica",))
    assert isinstance(row.value, Buckets)
    assert observations(row.value) == 9.0


def test_les_of_prometheus_3_are_numbers_too() -> None:
    """An answer in the form that Prometheus 3 documents: `le` is "5.0", and an info stands beside."""
    answer = (DATA / "documented-prometheus-3-buckets.json").read_bytes()
    vector = read_vector(answer)
    (row,) = rows(replace(NATIVE, keep=("model_name",)), vector.samples)
    assert row == Row({"model_name": "m"}, Buckets((0.3, 1.0, 5.0, math.inf), (0.25, 0.5, 0.75, 1.0)))
    assert len(vector.infos) == 1


def test_an_answer_of_prometheus_3_with_native_histograms_is_read() -> None:
    """In the form that its API documents: a bucket around nought, counts that are no whole numbers."""
    vector = read_vector((DATA / "documented-prometheus-3-native.json").read_bytes())
    (row,) = rows(replace(NATIVE, keep=("model_name",)), vector.samples)
    assert row.labels == {"model_name": "m"}
    assert isinstance(row.value, Buckets)
    assert row.value.bounds[:3] == (0.0, 0.001, 0.25)
    assert observations(row.value) == pytest.approx(1.75)
    assert interval(row.value, 0.99) == Interval(4.0, 8.0, pytest.approx(7.72, abs=0.01))


OVERRIDES = {
    "queue_wait": Override(query="sum by (model, le) (rate(w_bucket[1m]))", factor=0.001),
    "queue_wait_p99": Override(query="w99"),
    "running": Override(query="mine", factor=2.0),
}


def test_an_operators_own_queries_are_definitions() -> None:
    """Of a family with the quantiles that are signals; a quantile of one's own is a plain value."""
    found = {one.signal: one for one in override.definitions(OVERRIDES)}
    assert {name: (one.kind, one.quantiles) for name, one in found.items()} == {
        "queue_wait": ("histogram", (0.5, 0.95, 0.99)),
        "queue_wait_p99": ("gauge", ()),
        "running": ("gauge", ()),
    }
    assert {(one.role, one.stack, one.keep, one.metrics) for one in found.values()} == {
        ("override", "override", (), ())
    }
    assert found["running"].promql == "mine"


def test_an_operators_own_query_keeps_all_its_labels() -> None:
    """Cleaned, names too; not its name, nor of buckets their bound."""
    by = {one.signal: one for one in override.definitions(OVERRIDES)}
    sample = Sample({"__name__": "mine", "model": "x\x1b[1m", "tier\x07": "pro", "le": "1"}, (1.0, "3"))
    assert rows(by["running"], [sample], factor=2.0) == (
        Row({"le": "1", "model": "x[1m", "tier": "pro"}, 6.0),
    )
    pairs = [Sample({"model": "x", "le": le}, (1.0, rate)) for le, rate in (("500", "1"), ("+Inf", "2"))]
    assert rows(by["queue_wait"], pairs, factor=0.001) == (
        Row({"model": "x"}, Buckets((0.5, math.inf), (1.0, 2.0))),
    )


def test_what_the_server_says_beside_is_kept() -> None:
    """Warnings mean partial data; infos do not. Both are cleaned, and said once."""
    vector = read_vector(
        body("", ',"warnings":["store \\u001b[31mgone","store \\u001b[31mgone"],"infos":["hm"]')
    )
    assert vector.warnings == ("store [31mgone",)
    assert vector.infos == ("hm",)


NESTED = b"[" * 5000 + b"]" * 5000


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"<html><body>Sign in</body></html>", "a page of HTML"),
        (body('{"metric":{},"value":[1,"2"]}')[:-20], "half an answer"),
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"status":"success","data":{"resultType":"vector","result":[{"metric":3}]}}', "another form"),
        (b'{"status":"error","error":"no"}', "no success"),
        (b'{"status":"success","data":{"resultType":"scalar","result":[]}}', "no vector"),
        (b"[" * 5000, "another form"),
        (b'{"x":' + NESTED + b"}", "nested too deep"),
        (b'{"status":"success","data":{"result":[{"metric":{},"x":' + NESTED + b"}]}}", "nested too deep"),
    ],
    ids=["html", "half", "nothing", "no text", "other form", "error", "scalar", "[[[", "nested", "in it"],
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
    assert read_failure(b'{"error":"x","z":' + NESTED + b"}") == ""


def test_a_list_of_targets_that_is_nested_is_refused() -> None:
    """In words, as any other."""
    with pytest.raises(Refused, match="nested too deep"):
        read_intervals(b'{"data":{"activeTargets":[{"x":' + NESTED + b"}]}}")


def test_what_the_server_says_beside_is_whole() -> None:
    """Secrets are taken out of it before it is cut: they would not be known any more."""
    said = f"refused Bearer {'x' * 2000} for it"
    assert read_vector(body("", f',"warnings":["{said}"]')).warnings == (said,)


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
    heat = [d for d in dcgm.definitions if d.lane == "heat"]
    for definition in (by_node(d) for d in heat if "UUID" in d.keep):
        assert not {"gpu", "UUID", "GPU_I_ID"} & set(definition.keep)
        if not definition.keep:
            continue
        assert "Hostname" in definition.keep
        assert definition.aggregate == ("avg" if definition.signal == "busy_ratio" else "max")
        assert "UUID" in definition.distinct
    assert all(by_node(d) == d for d in heat if "UUID" not in d.keep)


def test_detection_asks_once_for_everything() -> None:
    """Every proof and every alternative, buckets by one bound only, in the source's own selection."""
    presets = read_presets()
    query = detect.question(presets, [Matcher("cluster", "=", "eu")])
    assert query.startswith('count by (__name__, job) ({__name__=~"')
    assert query.endswith(',le=~"|\\\\+Inf",cluster="eu"})')
    for name in ("DCGM_FI_DEV_FB_FREE", "vllm:request_queue_time_seconds_bucket", "inference_extension_info"):
        assert name in query


class Store:
    """What a Prometheus would answer to detection: `names` by job; `passing` what a filter lets through.

    natives, probes: what has an answer; refuse: pieces of queries that are refused
    """

    def __init__(self, names: dict[str, str]) -> None:
        self.names, self.passing = names, dict(names)
        self.natives: set[str] = set()
        self.probes: set[str] = set()
        self.refuse: dict[str, Refused] = {}
        self.asked: list[str] = []

    async def ask(self, query: str, at: float) -> Vector:
        self.asked.append(query)
        for piece, refused in self.refuse.items():
            if piece in query:
                raise refused
        if query.startswith("count by (__name__, job)"):
            return self.counted(self.passing)
        found = []
        for part in query.split(" or label_replace("):
            tag = part.split('"tidegate_asked", "')[1].split('"')[0]
            if tag in self.natives or any(one in part for one in self.probes):
                found.append(Sample({"tidegate_asked": tag}, (at, "1")))
        return Vector(found)

    @staticmethod
    def counted(names: dict[str, str]) -> Vector:
        return Vector([Sample({"__name__": name, "job": job}, (1.0, "1")) for name, job in names.items()])

    async def explained(self, *presets: Preset, selector: Sequence[Matcher] = ()) -> detect.Found:
        names = detect.jobs_by_name(self.counted(self.names).samples)
        return await detect.explained(self.ask, presets or read_presets(), names, selector, 1.0)


RUNNING = Definition("running", "s", "engine", "gauge", (Metric("running"),), ())
WAIT = Definition("queue_wait", "s", "engine", "histogram", (Metric("wait"),), (), quantiles=(0.99,))
SERVED = Definition("served", "s", "engine", "counter", (Metric("wait_count"),), ())
ENGINE = Preset(
    "s",
    "Engine",
    "engine",
    ("running", "wait_count"),
    (RUNNING, WAIT, SERVED),
    generations=(Generation("new", ("running_new",)), Generation("old", ("running",))),
    probes=(Probe("priority", "running", (Matcher("priority", "!=", ""),), "is on", "is off", ("runs",)),),
)


async def test_detection_finds_stacks_by_their_proof() -> None:
    """A name that proves nothing makes no stack; jobs are those of the proof; order is by name."""
    store = Store({"running": "engines", "DCGM_FI_DEV_POWER_USAGE": "gpu"})
    found = await store.explained(*read_presets(), ENGINE)
    assert found.jobs == {"s": {"engines"}}
    assert found.stacks == ("s",)
    assert found.present == {"running", "DCGM_FI_DEV_POWER_USAGE"}


async def test_detection_says_how_it_knows() -> None:
    """Proof, jobs, the newest generation that is there, and what the probes mean."""
    store = Store({"running": "a", "running_new": "b\x1b"})
    store.probes = {"runs{"}
    (one,) = (await store.explained(ENGINE)).detected
    assert one == Detected(
        "s",
        "Engine",
        "engine",
        ("running",),
        ("a",),
        "new",
        (Probed("priority", True, "is on"), Probed("exported-labels", False, "")),
    )
    del store.names["running_new"]
    store.probes = {"exported_namespace"}
    (one,) = (await store.explained(ENGINE)).detected
    assert one.generation == "old"
    assert one.probes == (
        Probed("priority", False, "is off"),
        Probed("exported-labels", True, detect.EXPORTED.present),
    )


async def test_proof_that_fails_the_filter_is_none() -> None:
    """A generic name in another's exporter: no stack, and no series of it is asked for."""
    one = replace(ENGINE, where=(Matcher("make", "=", "x"),))
    store = Store({"running": "nodes"})
    store.passing = {}
    found = await store.explained(one, selector=[Matcher("cluster", "=", "eu")])
    assert (found.jobs, found.detected) == ({}, ())
    assert store.asked == ['count by (__name__, job) ({__name__=~"running",make="x",cluster="eu"})']
    store.passing = {"running": "right"}
    assert (await store.explained(one)).jobs == {"s": {"right"}}


async def test_native_histograms_are_told_from_summaries() -> None:
    """Both have series of the plain name; only one has a count inside."""
    store = Store({"running": "a", "wait": "a"})
    found = await store.explained(ENGINE)
    assert found.present == {"running"}
    assert not found.detected[0].native
    store.natives = {"wait"}
    found = await store.explained(ENGINE)
    assert found.present == {"running", "wait"}
    assert found.detected[0].native


async def test_a_native_histogram_proves_what_its_count_would() -> None:
    """There is no `_count` then; whoever counts it is asked of the histogram."""
    store = Store({"wait": "a"})
    store.natives = {"wait"}
    found = await store.explained(ENGINE)
    assert found.detected[0].proof == ("wait_count",)
    assert found.jobs == {"s": {"a"}}
    query = render(SERVED, window_s=60, present=found.present)
    assert query == "sum by () (histogram_count(rate(wait[60s])))"


async def test_a_server_without_native_histograms_is_understood() -> None:
    """An older one, or another maker's, refuses to count them: then there are none, and nothing is lost."""
    store = Store({"running": "a", "wait": "a"})
    store.refuse = {"histogram_count": Refused("unknown function", "")}
    assert (await store.explained(ENGINE)).present == {"running"}


async def test_refused_probes_say_nothing() -> None:
    """Not that they found nothing. A server that is gone ends the detection."""
    store = Store({"running": "a"})
    store.refuse = {"group(": Refused("too much", "")}
    assert (await store.explained(ENGINE)).detected[0].probes == ()
    store.refuse = {"group(": Refused("gone", "", unreachable=True)}
    with pytest.raises(Refused):
        await store.explained(ENGINE)


def up(value: float = 1.0, **labels: str) -> Sample:
    return Sample({"__name__": "up", **labels}, (1.0, str(value)))


@pytest.mark.parametrize(
    ("series", "replicas"),
    [
        ([{"prometheus_replica": "a"}, {"prometheus_replica": "b"}], ("prometheus_replica",)),
        ([{"replica": "a"}, {"replica": "b"}], ("replica",)),
        ([{"replica": "a", "instance": "x"}, {"replica": "b", "instance": "y"}], ()),
        ([{"replica": "0"}, {"replica": "1"}, {"job": "another"}], ()),
        ([{"prometheus_replica": "a"}, {"job": "another"}], ()),
        (
            [{"prometheus_replica": "a", "replica": "a"}, {"prometheus_replica": "b", "replica": "b"}],
            ("prometheus_replica", "replica"),
        ),
        ([], ()),
    ],
    ids=["operator", "thanos", "two targets", "one's own replicas", "one alone", "both labels", "none"],
)
def test_equal_prometheus_are_known_by_doubled_targets(
    series: list[dict[str, str]], replicas: tuple[str, ...]
) -> None:
    """By labels that alone keep some targets apart; `replica` only where everything has it."""
    assert targets.replica_labels([up(**labels) for labels in series]) == replicas


def test_one_of_two_prometheus_that_fell_behind_is_kept_out() -> None:
    """Its values are old. One that alone knows some target is not: that must grow old on the screen."""
    new, old = up(100.0, r="a", instance="x"), up(40.0, r="b", instance="x")
    assert targets.behind([new, old], ("r",), 30.0) == (Matcher("r", "!=", "b"),)
    assert targets.behind([new, old], ("r",), 60.0) == ()
    assert targets.behind([new, old, up(40.0, r="b", instance="y")], ("r",), 30.0) == ()


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


def test_a_filter_that_is_none_is_refused() -> None:
    """At once, with the form it should have."""
    with pytest.raises(ValueError, match=r"select\.0\n.*is no filter; write it as in PromQL"):
        PrometheusServer(url="http://h", select=("namespace=serving",))


def test_secrets_are_not_shown() -> None:
    """Neither a token nor a header is in the repr."""
    server = PrometheusServer(url="https://prom.example/prefix/", headers={"X-Key": "swordfish"})
    assert repr(PrometheusPoller(server, presets=())) == (
        "PrometheusPoller('prom.example/prefix', name='prometheus')"
    )
