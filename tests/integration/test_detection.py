"""What a real Prometheus has, found out and explained: stacks, generations, probes; old and new together."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from collectors.config import PrometheusServer
from collectors.prometheus import detect
from collectors.prometheus.live import PrometheusPoller
from collectors.signals.catalogue import Detected, Poll
from collectors.signals.presets import read_presets
from tests.integration.conftest import Page, StartPrometheus, sample

pytestmark = pytest.mark.slow

EXPORTER = {"namespace": "monitoring", "pod": "exporter-x7k2p"}
ROUTER = 'vllm:num_requests_running{server="http://10.0.0.1:8000"} 42\n'
OLD = 'vllm:num_requests_running{model_name="old"} 1\nvllm:gpu_cache_usage_perc{model_name="old"} 0.25\n'
NEW = 'vllm:num_requests_running{model_name="new"} 1\nvllm:kv_cache_usage_perc{model_name="new"} 0.75\n'
PLAIN_SGLANG = "".join(line for line in sample("sglang").splitlines(True) if 'priority="1' not in line)


async def found(url: str, **settings: object) -> tuple[Poll, Mapping[str, Detected]]:
    """The first poll, and what it detected by stack."""
    server = PrometheusServer.model_validate({"url": url, **settings})
    poller = PrometheusPoller(server, presets=read_presets(), past_s=0)
    poll = await poller.poll()
    await poller.aclose()
    return poll, {one.stack: one for one in poll.detected}


@pytest.fixture(scope="module")
def mixed(prometheus: StartPrometheus) -> str:
    """Many stacks in one server: two generations of one, a router's copies, other people's metrics."""
    return prometheus(
        [
            Page("new", NEW),
            Page("old", OLD),
            Page("router", ROUTER),
            Page("gpu", sample("dcgm-exporter"), EXPORTER),
            Page("gpu-honest", sample("dcgm-exporter"), EXPORTER, honor_labels=True),
            Page("classes", sample("sglang")),
            Page("node", 'duty_cycle{fan="1"} 40\ngpu_gfx_activity{core="0"} 3\n'),
            Page("gie", sample("gie-epp-v1.5")),
            Page("llm-d", sample("llm-d-epp")),
        ]
    )


async def test_each_stack_says_how_it_is_known(mixed: str) -> None:
    """Proof, jobs and titles; nothing of a stack whose proof is not there."""
    poll, stacks = await found(mixed)
    assert tuple(stacks) == poll.stacks == tuple(sorted(stacks))
    assert set(stacks) == {"dcgm", "endpoint-picker", "production-stack", "sglang", "vllm"}
    assert stacks["vllm"].proof == ("vllm:num_requests_running",)
    assert stacks["vllm"].jobs == ("new", "old")
    assert stacks["dcgm"].jobs == ("gpu", "gpu-honest")
    assert (stacks["dcgm"].title, stacks["dcgm"].role) == ("NVIDIA DCGM exporter", "accelerator")
    assert not any(one.native for one in stacks.values())


async def test_a_router_that_repeats_an_engine_is_no_engine(mixed: str) -> None:
    """One name, two stacks: the filters of their proofs tell whose it is."""
    _, stacks = await found(mixed, select=['job="router"'])
    assert set(stacks) == {"production-stack"}
    assert stacks["production-stack"].jobs == ("router",)


async def test_generic_names_prove_nothing(mixed: str) -> None:
    """`duty_cycle` is a TPU's only with its make, `gpu_gfx_activity` AMD's only with a card."""
    poll, stacks = await found(mixed, select=['job="node"'])
    assert stacks == {}
    assert poll.answers == ()
    assert "has no series of" in poll.health.error


async def test_the_newest_generation_is_what_a_stack_is(mixed: str) -> None:
    """Where builds of two releases are side by side; each release's values are read under its own name."""
    poll, stacks = await found(mixed)
    assert stacks["vllm"].generation == "with kv_cache_usage_perc"
    assert stacks["endpoint-picker"].generation.startswith("llm_d_epp_")
    (kv,) = (a for a in poll.answers if (a.definition.stack, a.definition.signal) == ("vllm", "kv_ratio"))
    assert {row.labels["model_name"]: row.value for row in kv.rows} == {"new": 0.75, "old": 0.25}
    _, stacks = await found(mixed, select=['job=~"old|gie"'])
    assert stacks["vllm"].generation == "older, with gpu_cache_usage_perc"
    assert stacks["endpoint-picker"].generation.startswith("inference_")


async def test_probes_say_what_is_on(mixed: str) -> None:
    """Priority scheduling, flow control, labels that were renamed: yes or no, each with its sentence."""

    def answers(one: Detected) -> dict[str, bool]:
        return {probe.id: probe.found for probe in one.probes}

    _, stacks = await found(mixed)
    assert answers(stacks["sglang"])["priority-scheduling"] is True
    assert answers(stacks["endpoint-picker"])["flow-control"] is True
    assert answers(stacks["dcgm"])["exported"] is True
    assert answers(stacks["vllm"])[detect.EXPORTED.id] is False
    sentences = [probe.sentence for one in stacks.values() for probe in one.probes if probe.sentence]
    assert len(sentences) >= 4
    assert all(sentence.endswith(".") for sentence in sentences)
    _, stacks = await found(mixed, select=['job="gpu-honest"'])
    assert answers(stacks["dcgm"])["exported"] is False


async def until(poller: PrometheusPoller, enough: Callable[[Poll], bool]) -> int:
    """Polls until one is enough; how many that took."""
    async with asyncio.timeout(40):
        for polls in range(1, 1000):
            if enough(await poller.poll()):
                return polls
            await asyncio.sleep(0.3)
    raise AssertionError


async def test_a_stack_that_goes_is_gone_and_one_that_comes_is_found(
    prometheus: StartPrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three polls without a row, or five minutes: then it is found out again. Both at once are both there."""
    text = NEW
    url = await asyncio.to_thread(prometheus, [Page("engines", lambda: text)])
    poller = PrometheusPoller(PrometheusServer(url=url), presets=read_presets(), past_s=0)
    await until(poller, lambda poll: poll.stacks == ("vllm",))
    text = "up_and_running 1\n"
    await until(poller, lambda poll: poll.stacks == () and poll.detected == ())
    text = sample("llm-d-epp")
    await until(poller, lambda poll: poll.stacks == ("endpoint-picker",))
    text += NEW
    assert (await poller.poll()).stacks == ("endpoint-picker",), "not before its time"
    monkeypatch.setattr("collectors.prometheus.schedule.DETECT_S", 0.5)
    await until(poller, lambda poll: poll.stacks == ("endpoint-picker", "vllm"))
    await poller.aclose()
