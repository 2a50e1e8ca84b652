"""What the metrics of real clusters trip a reader with, one test each, by the numbers of the list of them.

Pages are scraped by a real Prometheus and polled as the cockpit does. Of accelerators and rollouts (4 to 8,
18, 21, 26, and the units of accelerators in 3) the tests are in `tests/unit/test_accelerators.py` and
`tests/unit/test_rollouts.py`, under the same numbers.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from collectors.config import Identity, PrometheusServer, TierRule
from collectors.fleet import SourceState
from collectors.prometheus.live import PrometheusPoller
from collectors.readings import Interval, Quality, Reading, ticked
from collectors.signals.assemble import Observed, observed
from collectors.signals.catalogue import Answer, Buckets, Poll, Preset, Row, window_s
from collectors.signals.identity import Names
from collectors.signals.keys import Key
from collectors.signals.presets import read_presets, with_labels
from collectors.signals.quantiles import interval
from tests.integration.conftest import Page, StartPrometheus, asked, sample, until
from tests.integration.replayer import replayed
from tests.integration.scripted_prometheus import Reply, Scripted, vector

pytestmark = pytest.mark.slow

PRESETS = read_presets()
RULES = Identity()
ENGINE = {"namespace": "serving", "pod": "m-7d9f8c6b5-abcde"}
WAIT = "vllm:request_queue_time_seconds"
NEAR = 0.05
"""A page is made a moment after the scrape is timed, and a window of a few scrapes shows it."""


def grows(per_second: Callable[[float], str]) -> Callable[[], str]:
    """A page by its age in seconds."""
    began = time.time()
    return lambda: per_second(time.time() - began)


def waits(model: str, age: float, *rates: tuple[str, float]) -> str:
    """vLLM's waits after so many seconds: observations a second at or below each bound."""
    return "".join(f'{WAIT}_bucket{{model_name="{model}",le="{le}"}} {age * n!r}\n' for le, n in rates)


def running(model: str, number: object = 1) -> str:
    return f'vllm:num_requests_running{{model_name="{model}"}} {number}\n'


def waiting(model: str, number: int) -> str:
    return f'vllm:num_requests_waiting{{model_name="{model}"}} {number}\n'


def edges(age: float) -> str:
    """A model whose waits all end in the first bucket, one whose waits all pass the last bound."""
    return (
        running("quick")
        + waits("quick", age, ("0.3", 500), ("0.5", 500), ("60.0", 500), ("+Inf", 500))
        + running("slow")
        + waits("slow", age, ("0.3", 0), ("0.5", 0), ("60.0", 0), ("+Inf", 500))
    )


def survivors(age: float) -> str:
    """Two models from which nothing has come for a while: requests wait for one of them."""
    still = waits("stuck", 1, ("0.3", 9), ("+Inf", 9)) + waits("idle", 1, ("0.3", 9), ("+Inf", 9))
    return running("stuck", 0) + waiting("stuck", 7) + running("idle", 0) + waiting("idle", 0) + still


def restarting(age: float) -> str:
    """10 requests a second from an engine that begins anew every 4 seconds."""
    return running("again") + (
        "# TYPE vllm:request_success counter\n"
        f'vllm:request_success_total{{model_name="again",finished_reason="stop"}} {age % 4 * 10!r}\n'
    )


def first_request(age: float) -> str:
    """A canary: its counter is there from its first request on, and stays at one."""
    counted = 'vllm:request_success_total{model_name="canary",finished_reason="stop"} 1\n' if age > 2 else ""
    return running("canary") + counted


def pair(age: float) -> str:
    """Two engines, one quick and one slow: 900 of 1000, then 0 of 100, end within a second."""
    bounds = ("1", "2", "5", "10", "30", "+Inf")
    lines = [running("pair")]
    for engine, rates in enumerate(((900, 990, 1000, 1000, 1000, 1000), (0, 0, 20, 80, 100, 100))):
        lines += [
            f'{WAIT}_bucket{{model_name="pair",engine="{engine}",le="{le}"}} {age * n!r}\n'
            for le, n in zip(bounds, rates, strict=True)
        ]
    return "".join(lines)


def picker(prefix: str, flow: bool) -> str:
    extension = "inference_extension" if prefix == "inference" else prefix
    objective = "inference_objective" if prefix == "inference" else prefix
    labels = 'model_name="m",target_model_name="m",priority="0"'
    text = f"{extension}_info 1\n# TYPE {objective}_request_total counter\n"
    text += f"{objective}_request_total{{{labels}}} 5000\n"
    if flow:
        text += f'{extension}_flow_control_queue_size{{inference_pool="p",{labels}}} 4\n'
        text += f'{extension}_flow_control_pool_saturation{{inference_pool="m-pool"}} 1.0\n'
    return text


PAGES = [
    Page(
        "words",
        running("odd", "NaN") + running("many", "+Inf") + 'vllm:kv_cache_usage_perc{model_name="odd"} 0.5\n',
    ),
    Page("cells", running("m", 0) + waiting("m", 0)),
    *(Page(name, replayed(sample(name))) for name in ("tgi", "triton", "ray-serve", "vllm", "sglang")),
    *(Page(name, replayed(sample(name))) for name in ("llm-d-epp", "litellm")),
    Page("router", 'vllm:num_requests_running{server="http://e:8000"} 42\nvllm:current_qps{server="e"} 1\n'),
    Page("engine", running("m", 42), ENGINE),
    Page("both", replayed(picker("llm_d_epp", flow=True) + picker("inference", flow=True))),
    Page("gate-off", replayed(picker("llm_d_router_epp", flow=False))),
    Page("gate-on", replayed(picker("inference", flow=True))),
    Page("edges", grows(edges)),
    Page("survivors", grows(survivors)),
    Page("slow-job", running("m"), interval="3s"),
    Page("restarting", grows(restarting)),
    Page("first", grows(first_request)),
    Page(
        "aliases",
        "llm_d_epp_info 1\n"
        + 'llm_d_epp_request_running{model_name="tuned",target_model_name="acme/Aurora-5"} 3\n'
        + 'vllm:num_requests_running{model_name="/models/aurora-5-fp8"} 2\n',
    ),
    Page("pair", grows(pair)),
    *(
        Page("ha", running("m", 42), {"instance": "e:8000", "prometheus_replica": replica})
        for replica in ("prometheus-0", "prometheus-1")
    ),
    Page(
        "saturated",
        picker("llm_d_epp", flow=True) + 'llm_d_epp_flow_control_stale_endpoints{detector="u"} 3\n',
    ),
    Page("hostile", running("\u001b[2J[/nope]\u202e", 7)),
]


@pytest.fixture(scope="module")
def server(prometheus: StartPrometheus) -> str:
    """One server that scrapes every page, each job for itself; long enough for a rate."""
    url = prometheus(PAGES)
    enough = "count_over_time(up{job!='slow-job'}[20s]) >= 7"
    until(lambda: len(asked(url, enough)) == len(PAGES) - 1, "seven scrapes of each page")
    return url


async def polled(server: str, job: str, presets: Sequence[Preset] = PRESETS) -> Poll:
    poller = PrometheusPoller(
        PrometheusServer(url=server, select=(f'job=~"{job}"',)), presets=presets, past_s=0
    )
    try:
        return await poller.poll()
    finally:
        await poller.aclose()


def answer(poll: Poll, signal: str) -> Answer:
    (found,) = (one for one in poll.answers if one.definition.signal == signal)
    return found


def numbers(poll: Poll, signal: str) -> dict[str, float]:
    """Values by model name as the series has it."""
    return {
        row.labels["model_name"]: row.value
        for row in answer(poll, signal).rows
        if isinstance(row.value, float | int)
    }


def seen(poll: Poll, rules: Identity = RULES) -> Observed:
    return observed(poll, Names(rules).learned(poll.answers))


def quantile(row: Row, q: float) -> Interval:
    assert isinstance(row.value, Buckets)
    found = interval(row.value, q)
    assert found is not None
    return found


async def test_pitfall_01_values_that_are_words(server: str) -> None:
    """NaN and +Inf come as words in JSON: they are numbers here, and no reading shows either."""
    poll = await polled(server, "words")
    values = numbers(poll, "running")
    assert math.isnan(values["odd"])
    assert values["many"] == math.inf
    readings = seen(poll).readings
    for model in ("odd", "many"):
        assert readings[Key(model, "", "running")].value is None
    assert readings[Key("odd", "", "kv_ratio")].value == 0.5


async def test_pitfall_02_nothing_an_error_and_nought(server: str) -> None:
    """Three cells: 0 that was measured, what nobody exports, and what could not be asked."""
    poll = await polled(server, "cells")
    readings = seen(poll).readings
    assert readings[Key("m", "", "waiting")] == Reading(
        0.0, ticked(answer(poll, "waiting").at), coverage=(1, 1)
    )
    assert Key("m", "", "kv_ratio") not in readings
    assert not [a for a in poll.answers if a.definition.signal == "kv_ratio"]
    scripted = Scripted()
    scripted.replies["kv_cache_usage_perc"] = Reply(503, b'{"status":"error","error":"too slow"}')
    try:
        poller = PrometheusPoller(scripted.server(), presets=PRESETS, past_s=0)
        failed = await poller.poll()
        await poller.aclose()
    finally:
        scripted.close()
    assert answer(failed, "kv_ratio").error
    assert answer(failed, "kv_ratio").rows == ()
    assert answer(failed, "waiting").rows
    assert failed.health.state is SourceState.PARTIAL


async def test_pitfall_03_units(server: str) -> None:
    """Seconds without a suffix, microseconds, milliseconds, a share called percent: one unit each here."""
    (tgi,) = answer(await polled(server, "tgi"), "answer_time").rows
    assert 5.6 < quantile(tgi, 0.99).lo < 5.7
    (triton,) = answer(await polled(server, "triton"), "queue_wait_mean").rows
    assert triton.value == pytest.approx(0.0776, rel=NEAR)
    (ray,) = answer(await polled(server, "ray-serve"), "queue_wait").rows
    assert (quantile(ray, 0.99).lo, quantile(ray, 0.99).hi) == (2.0, 5.0)
    assert list(numbers(await polled(server, "vllm"), "kv_ratio").values()) == [0.7312]


async def test_pitfall_09_a_router_that_repeats_its_engines(server: str) -> None:
    """42 run, not 84; the router alone is no vLLM."""
    poll = await polled(server, "router|engine")
    assert poll.stacks == ("production-stack", "vllm")
    assert seen(poll).readings[Key("m", "", "running")].value == 42
    assert (await polled(server, "router")).stacks == ("production-stack",)


async def test_pitfall_10_a_total_among_its_classes(server: str) -> None:
    """SGLang's empty priority is the sum of the others: 9 wait, not 18, and each class has its own."""
    readings = seen(await polled(server, "sglang")).readings
    assert readings[Key("qwen3-235b-a22b", "", "waiting")].value == 9
    assert readings[Key("qwen3-235b-a22b", "", "running")].value == 31
    assert readings[Key("qwen3-235b-a22b", "0", "waiting")].value == 8
    assert readings[Key("qwen3-235b-a22b", "10", "waiting")].value == 1


async def test_pitfall_11_a_picker_in_two_languages(server: str) -> None:
    """Old and new names together are one queue; with its gate off it says what to turn on, and with its page
    closed how to open it."""
    both = await polled(server, "both")
    assert numbers(both, "waiting") == {"m": 4}
    assert numbers(both, "arrivals") == {"m": pytest.approx(5, rel=NEAR)}
    assert both.detected[0].generation.startswith("llm_d_epp_")
    for job, is_on, generation in (
        ("gate-off", False, "llm_d_router_epp_"),
        ("gate-on", True, "inference_"),
    ):
        (picker_found,) = (await polled(server, job)).detected
        assert picker_found.generation.startswith(generation)
        (flow,) = (p for p in picker_found.probes if p.id == "flow-control")
        assert flow.found is is_on
        assert ("Turn on the gate flowControl" in flow.sentence) is not is_on
    (preset,) = (p for p in PRESETS if p.stack == "endpoint-picker")
    (arrivals,) = (d for d in preset.definitions if d.signal == "arrivals")
    assert "--metrics-endpoint-auth" in arrivals.needs


async def test_pitfall_12_only_dispatched_requests_waited(server: str) -> None:
    """The 77 rejections took no time and are not in the wait of their class: they are counted beside it."""
    poll = await polled(server, "llm-d-epp")
    waits_by = {row.labels["priority"]: row.value for row in answer(poll, "queue_wait").rows}
    batch = waits_by["-10"]
    assert isinstance(batch, Buckets)
    assert batch.rates[-1] == pytest.approx(5.110, rel=0.01)
    rejected = {row.labels["priority"]: row.value for row in answer(poll, "rejected").rows}
    assert rejected == {"100": 0, "0": 0, "-10": pytest.approx(0.077, rel=NEAR)}


async def test_pitfall_13_the_first_and_the_last_bucket(server: str) -> None:
    """Waits of 5 ms are "below 0.3 s" and no 0.15; what passed the last bound has no upper one."""
    poll = await polled(server, "edges")
    quick = seen(poll).readings[Key("quick", "", "queue_wait_p50")].value
    slow = seen(poll).readings[Key("slow", "", "queue_wait_p50")].value
    assert isinstance(quick, Interval)
    assert (quick.lo, quick.hi) == (0, 0.3)
    assert isinstance(slow, Interval)
    assert (slow.lo, slow.hi, slow.estimate) == (60, math.inf, 60)


async def test_pitfall_14_only_those_that_left_were_timed(server: str) -> None:
    """No wait was told: with requests waiting that is a stall and suspect, with none it is idleness."""
    readings = seen(await polled(server, "survivors")).readings
    stuck, idle = (readings[Key(model, "", "queue_wait_p99")] for model in ("stuck", "idle"))
    assert (stuck.value, stuck.quality, stuck.reason.code) == (None, Quality.SUSPECT, "stalled")
    assert (idle.value, idle.quality, idle.reason.code) == (None, Quality.GOOD, "idle")


async def test_pitfall_15_the_window_follows_the_scrapes(server: str) -> None:
    """The interval of each job is learned from the server; a window holds at least four scrapes."""
    assert (await polled(server, "engine")).interval_s == 1
    assert (await polled(server, "slow-job")).interval_s == 3
    assert [window_s(interval_s) for interval_s in (1, 5, 15, 30)] == [20, 20, 60, 120]
    until(lambda: bool(asked(server, "count_over_time(up{job='slow-job'}[20s]) >= 2")), "two slow scrapes")


async def test_pitfall_16_a_counter_that_begins_anew(server: str) -> None:
    """An engine that restarts amid a rollout serves no negative number of requests, nor a leap."""
    served = numbers(await polled(server, "restarting"), "served")["again"]
    assert 5 < served < 15


async def test_pitfall_17_the_first_request_of_a_canary(server: str) -> None:
    """What makes a series appear is never in its rate: 0 a second was seen, which is no error and no wait."""
    until(
        lambda: bool(asked(server, 'count_over_time(vllm:request_success_total{job="first"}[20s]) >= 4')),
        "four scrapes of the canary's counter",
    )
    readings = seen(await polled(server, "first")).readings
    assert readings[Key("canary", "", "served")].value == 0
    assert readings[Key("canary", "", "errors")].value is None


async def test_pitfall_19_one_model_of_many_names(server: str) -> None:
    """The served model counts and not the adapter that was asked for; a path and an alias lead to it too."""
    rules = Identity(aliases={"aurora-5-fp8": "aurora-5"})
    found = seen(await polled(server, "aliases"), rules)
    assert found.models == {"aurora-5"}
    assert found.readings[Key("aurora-5", "", "running")].value == 2
    rules = Identity(aliases={"llama-3-70b": "llama", "llama-3.3-70b-instruct": "llama"})
    assert seen(await polled(server, "litellm|vllm"), rules).models == {"llama"}


async def test_pitfall_20_labels_without_a_value(server: str) -> None:
    """LiteLLM's "None" is nobody, and its labels of persons are not asked for; many workers are warned of."""
    rules = Identity(tiers=(TierRule(label="end_user", regex="(.+)", tier="$1"),))
    poll = await polled(server, "litellm", with_labels(PRESETS, rules.labels()))
    assert seen(poll, rules).tiers == frozenset()
    plain = await polled(server, "litellm")
    assert {label for a in plain.answers for row in a.rows for label in row.labels} == {"model_name"}
    assert any("PROMETHEUS_MULTIPROC_DIR" in p.sentence for p in plain.detected[0].probes)


async def test_pitfall_22_two_prometheus_that_saw_the_same(server: str) -> None:
    """A pair kept for safety is one: 42 run on one engine."""
    poll = await polled(server, "ha")
    readings = seen(poll).readings
    assert readings[Key("m", "", "running")].value == 42
    assert readings[Key("m", "", "replicas")].value == 1
    assert poll.health.targets == (1, 1)


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    found = Scripted()
    yield found
    found.close()


async def test_pitfall_23_part_of_an_answer(scripted: Scripted) -> None:
    """Thanos answers 200 with a warning where a store is missing: it is not passed off as whole."""
    partial = vector(({"model_name": "m"}, "3"), warnings=["store 10.0.0.9 is away"])
    scripted.replies["num_requests_waiting"] = Reply(body=partial)
    poller = PrometheusPoller(scripted.server(), presets=PRESETS, past_s=0)
    poll = await poller.poll()
    await poller.aclose()
    assert poll.health.state is SourceState.PARTIAL
    assert any("store 10.0.0.9 is away" in warning for warning in poll.health.warnings)


@pytest.mark.parametrize("ahead_s", [-3600.0, 3600.0])
async def test_pitfall_24_the_servers_clock(scripted: Scripted, ahead_s: float) -> None:
    """A server whose clock is an hour off is asked at its own time: ages are by one clock."""
    scripted.date_offset_s = ahead_s
    poller = PrometheusPoller(scripted.server(), presets=PRESETS, past_s=0)
    for _ in range(2):
        poll = await poller.poll()
    await poller.aclose()
    assert poll.at == pytest.approx(time.time() + ahead_s, abs=60)
    assert 0 <= poll.at - (answer(poll, "running").at or 0) < 5


async def test_pitfall_25_quantiles_of_all_and_not_their_mean(server: str) -> None:
    """1100 waits a second of two engines: the p99 is rank 1089, in (10, 30], and no mean of 2 s and 29 s."""
    (row,) = answer(await polled(server, "pair"), "queue_wait").rows
    assert isinstance(row.value, Buckets)
    merged = quantile(row, 0.99)
    assert (merged.lo, merged.hi) == (10, 30)
    assert merged.estimate == pytest.approx(10 + 20 * (1089 - 1080) / 20, rel=0.01)
    assert all(low <= high for low, high in itertools.pairwise(row.value.rates))


async def test_pitfall_27_a_saturation_of_exactly_one(server: str) -> None:
    """An empty pool and stale endpoints read 1.0 too: it is told which metric tells them apart."""
    poll = await polled(server, "saturated")
    (row,) = answer(poll, "pool_saturation").rows
    assert row.value == 1.0
    (stale,) = (p for p in poll.detected[0].probes if p.id == "stale-endpoints")
    assert stale.found
    assert "llm_d_epp_flow_control_stale_endpoints" in stale.sentence


async def test_pitfall_28_label_text_is_not_trusted(server: str) -> None:
    """Control characters and turns of direction are dropped before anything is drawn; brackets stay text."""
    (row,) = answer(await polled(server, "hostile"), "running").rows
    assert row.value == 7
    assert row.labels["model_name"] == "[2J[/nope]"
    (model,) = seen(await polled(server, "hostile")).models
    assert model.isprintable()
