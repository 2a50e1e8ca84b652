"""Presets of engines, routers and gateways: what each says, on small pages whose answers are plain."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from collectors.config import FeatureRule, Identity, TierRule
from collectors.fleet import SourceHealth, SourceState
from collectors.readings import Reading
from collectors.scrape.evaluate import evaluate
from collectors.scrape.found import detected
from collectors.scrape.history import TargetHistory
from collectors.scrape.page import PageReader
from collectors.signals.assemble import observed
from collectors.signals.catalogue import Answer, Buckets, Definition, Detected, Poll, Preset, Row
from collectors.signals.identity import Names
from collectors.signals.keys import Key
from collectors.signals.presets import read_presets, with_labels
from collectors.signals.promql import render, series_name
from collectors.signals.quantiles import interval
from collectors.toml_file import FileError
from tests.integration.replayer import replayed

PRESETS = {p.stack: p for p in read_presets() if p.role in {"engine", "router", "gateway"} and p.definitions}
ENGINES = ("llama-cpp", "ray-serve", "sglang", "tgi", "triton", "trtllm-serve", "vllm")
GATEWAYS = ("dynamo", "envoy-ai-gateway", "litellm", "production-stack")
ASKED_OF_ALL = (
    "queue_wait", "answer_time", "first_token", "token_gap", "waiting", "running", "tokens_in", "tokens_out",
    "errors", "rejected", "kv_ratio", "preemptions", "replicas", "pool_saturation",
)  # fmt: skip
POD = {"job": "serving", "instance": "10.0.0.1:8000", "namespace": "ns", "pod": "m-7d9f8c6b5-abcde"}
PLACE = {"namespace": "ns", "workload": "m"}


def history(text: str, labels: Mapping[str, str] = POD) -> TargetHistory:
    """A page read five times, 5 s apart, whose counters grow by a thousandth of their value a second."""
    now = [1_700_000_000.0]
    page, found = replayed(text, lambda: now[0]), TargetHistory(labels)
    wanted = {
        name
        for p in PRESETS.values()
        for d in p.definitions
        for m in (*d.metrics, *d.over)
        for name in (series_name(d, m), *p.proof, *(one.metric for one in p.probes))
    }
    wanted |= {name for p in PRESETS.values() for g in p.generations for name in g.proof}
    wanted |= {name for p in PRESETS.values() for probe in p.probes for name in probe.or_metrics}
    reader = PageReader(wanted)
    for _ in range(5):
        found.record(reader.read(page().encode()), round(now[0] * 1000), 600_000)
        now[0] += 5
    return found


def definition(stack: str, signal: str) -> Definition:
    (one,) = (d for d in PRESETS[stack].definitions if d.signal == signal)
    return one


def read(stack: str, signal: str, *pages: TargetHistory) -> tuple[Row, ...]:
    return evaluate(definition(stack, signal), pages, 1_700_000_020.0, 20.0)


def value(stack: str, signal: str, *pages: TargetHistory, **labels: str) -> float:
    """The number of the one row, or of the one with these labels; of a rate, what the page has."""
    rows = [row for row in read(stack, signal, *pages) if labels.items() <= row.labels.items()]
    (row,) = rows
    assert isinstance(row.value, float)
    one = definition(stack, signal)
    return round(row.value * (1000 if one.kind == "counter" else 1), 9)


def total(stack: str, signal: str, page: TargetHistory) -> float:
    return sum(row.value for row in read(stack, signal, page) if not isinstance(row.value, Buckets))


def readings(*asked: tuple[str, str, TargetHistory]) -> Mapping[Key, Reading]:
    """What is shown of signals of stacks on pages."""
    answers = tuple(Answer(definition(s, signal), read(s, signal, page), 1.0) for s, signal, page in asked)
    poll = Poll("p", 1.0, 5.0, answers, (), (), SourceHealth("p", "prometheus", SourceState.OK))
    return observed(poll, Names(Identity()).learned(answers)).readings


def bucket(stack: str, signal: str, q: float, *pages: TargetHistory) -> tuple[float, float]:
    (row,) = read(stack, signal, *pages)
    assert isinstance(row.value, Buckets)
    found = interval(row.value, q)
    assert found is not None
    return found.lo, found.hi


def named(*pages: TargetHistory) -> dict[str, Detected]:
    return {one.stack: one for one in detected(PRESETS.values(), pages)}


def waits(name: str, labels: str, counts: Mapping[str, int]) -> str:
    """A histogram's text: `counts` are at or below each bound."""
    lines = [f"# TYPE {name} histogram"]
    lines += [f'{name}_bucket{{{labels},le="{bound}"}} {count}' for bound, count in counts.items()]
    return "\n".join([*lines, f"{name}_sum{{{labels}}} 60", f"{name}_count{{{labels}}} {counts['+Inf']}", ""])


def test_roles() -> None:
    """The picker routes; what stands before it is a gateway; the rest are engines."""
    assert {s for s, p in PRESETS.items() if p.role == "engine"} == set(ENGINES)
    assert {s for s, p in PRESETS.items() if p.role == "gateway"} == set(GATEWAYS)
    assert {s for s, p in PRESETS.items() if p.role == "router"} == {"endpoint-picker"}


@pytest.mark.parametrize("stack", sorted(PRESETS))
def test_a_stack_measures_a_signal_or_says_why_not(stack: str) -> None:
    """All that the screens ask of every model has a definition or a sentence, and never both."""
    preset = PRESETS[stack]
    measured = {d.signal for d in preset.definitions}
    assert set(ASKED_OF_ALL) <= measured | preset.never.keys()
    assert measured & {"arrivals", "served"} or {"arrivals", "served"} <= preset.never.keys()
    assert not measured & preset.never.keys()


@pytest.mark.parametrize("stack", sorted(PRESETS))
def test_what_a_preset_says_is_a_sentence(stack: str) -> None:
    """Each begins with a capital or the stack's own name, ends with a full stop, and is not long."""
    preset = PRESETS[stack]
    said = [*preset.never.values(), *(d.needs for d in preset.definitions if d.needs)]
    said += [text for p in preset.probes for text in (p.present, p.absent) if text]
    for text in said:
        assert re.fullmatch(r"(?:[A-Z0-9]|llama\.cpp|trtllm-serve|vLLM).*\.", text), text
        assert len(text) <= 240, text


@pytest.mark.parametrize("stack", [s for s, p in PRESETS.items() if p.role != "router"])
def test_generations_are_told_by_names_that_differ(stack: str) -> None:
    """No name proves two generations of a stack."""
    proofs = [name for one in PRESETS[stack].generations for name in one.proof]
    assert len(proofs) == len(set(proofs))


def test_labels_of_persons_are_never_kept() -> None:
    """There may be millions of them, and a name is nobody's business here."""
    personal = {"user", "end_user", "user_email", "hashed_api_key", "client_ip", "user_agent", "fairness_id"}
    for preset in PRESETS.values():
        for one in preset.definitions:
            assert not personal & {*one.keep, *one.distinct, *(d.source for d in one.derive)}


def test_vllm_with_parallel_engines_and_older_names() -> None:
    """Each data-parallel rank is a replica: counts add up, the KV cache is the fullest; both names of it."""
    text = "\n".join(
        f'vllm:num_requests_running{{model_name="m",engine="{rank}"}} {3 + rank}\n'
        f'vllm:gpu_cache_usage_perc{{model_name="m",engine="{rank}"}} 0.{rank + 4}'
        for rank in range(2)
    )
    page = history(text + "\n")
    assert value("vllm", "running", page) == 7
    assert value("vllm", "replicas", page) == 2
    assert value("vllm", "kv_ratio", page) == 0.5
    assert named(page)["vllm"].generation == "older, with gpu_cache_usage_perc"


def test_the_law_of_little_is_the_growth_of_time() -> None:
    """60 s of requests finished in 1000 s: 0.06 requests were there on average, with no word of how many."""
    page = history(waits("vllm:e2e_request_latency_seconds", 'model_name="m"', {"1": 6, "+Inf": 12}))
    assert value("vllm", "little_population", page) == 60
    assert definition("vllm", "little_population").aggregate == "sum"


def test_the_router_of_production_stack_is_not_an_engine() -> None:
    """Its copies make no vLLM, where both are there nothing counts twice; what it has by model is read."""
    copies = 'vllm:num_requests_running{server="http://10.0.0.1:8000"} 42\n'
    router = history(
        copies
        + '# TYPE vllm:num_incoming_requests counter\nvllm:num_incoming_requests_total{model="a/M"} 50\n'
        + "# TYPE vllm:request_errors counter\n"
        + 'vllm:request_errors_total{server="s",model="a/M",error_type="timeout"} 5\n',
        {"job": "router", "instance": "r:1"},
    )
    assert named(router).keys() == {"production-stack"}
    engine = history('vllm:num_requests_running{model_name="a/M"} 42\n')
    both = named(router, engine)
    assert both.keys() == {"production-stack", "vllm"}
    assert both["vllm"].jobs == ("serving",)
    assert value("vllm", "running", router, engine) == 42
    assert read("production-stack", "arrivals", router)[0].labels == {"model_name": "a/M"}
    assert value("production-stack", "arrivals", router) == 50
    assert value("production-stack", "errors", router) == pytest.approx(0.1)


def test_sglang_without_priorities() -> None:
    """No class, one total, of either prefix; ranks that say the same count once, data-parallel ones add."""
    for prefix in ("sglang:", "sglang_"):
        text = "".join(
            f'{prefix}num_running_reqs{{model_name="m",tp_rank="{tp}",dp_rank="{dp}"}} {5 + dp}\n'
            for tp in range(4)
            for dp in range(2)
        )
        page = history(text)
        (row,) = read("sglang", "running", page)
        assert (row.value, row.labels) == (11, {"model_name": "m", **PLACE})
        assert value("sglang", "replicas", page) == 2
        one = named(page)["sglang"]
        assert one.generation == prefix
        assert [p.sentence for p in one.probes if not p.found] == [
            "SGLang tells no tiers: start it with --enable-priority-scheduling, or let a gateway or a tier "
            "rule on another label tell them."
        ]


def test_two_models_of_sglang_one_with_priorities() -> None:
    """The total stands aside where there are classes, and only there."""
    page = history(
        'sglang:num_queue_reqs{model_name="a",priority=""} 9\n'
        'sglang:num_queue_reqs{model_name="a",priority="0"} 8\n'
        'sglang:num_queue_reqs{model_name="a",priority="10"} 1\n'
        'sglang:num_queue_reqs{model_name="b"} 4\n'
    )
    rows = {
        (r.labels["model_name"], r.labels.get("priority")): r.value for r in read("sglang", "waiting", page)
    }
    assert rows == {("a", "0"): 8, ("a", "10"): 1, ("b", None): 4}
    seen = readings(("sglang", "waiting", page))
    assert {(k.model, k.tier): r.value for k, r in seen.items() if k.model} == {
        ("a", ""): 9,
        ("a", "0"): 8,
        ("a", "10"): 1,
        ("b", ""): 4,
    }


def test_old_and_new_names_of_the_picker_of_other_labels() -> None:
    """The oldest names tell no priority. Where the new ones are there too, they alone count."""
    new = "".join(
        f'llm_d_epp_request_running{{model_name="m",target_model_name="m",priority="{p}"}} {n}\n'
        for p, n in (("0", 4), ("100", 6))
    )
    old = 'inference_objective_running_requests{model_name="m"} 10\n'
    assert total("endpoint-picker", "running", history(new + old)) == 10
    assert value("endpoint-picker", "running", history(old)) == 10
    middle = 'llm_d_router_epp_running_requests{model_name="m",target_model_name="m",priority="0"} 7\n'
    assert value("endpoint-picker", "running", history(middle + old)) == 7


@pytest.mark.parametrize("prefix", ["llm_d_epp", "llm_d_router_epp", "inference_objective"])
def test_each_generation_of_the_picker_measures_first_tokens(prefix: str) -> None:
    """The histogram of any of the three names."""
    labels = 'model_name="m",target_model_name="m"'
    page = history(waits(f"{prefix}_request_ttft_seconds", labels, {"1": 1, "2": 100, "+Inf": 100}))
    assert bucket("endpoint-picker", "first_token", 0.99, page) == (1, 2)


def test_the_picker_says_whether_flow_control_is_on() -> None:
    """Of every generation; and what to turn on where it is off."""
    for info, size in (
        ("llm_d_epp_info", "llm_d_epp_flow_control_queue_size"),
        ("llm_d_router_epp_info", "llm_d_router_epp_flow_control_queue_size"),
        ("inference_extension_info", "inference_extension_flow_control_queue_size"),
    ):
        off = named(history(f"{info} 1\n"))["endpoint-picker"]
        on = named(history(f'{info} 1\n{size}{{priority="0"}} 1\n'))["endpoint-picker"]
        assert "Turn on the gate flowControl" in next(
            p.sentence for p in off.probes if p.id == "flow-control"
        )
        assert next(p.found for p in on.probes if p.id == "flow-control")


def test_trtllm_serve() -> None:
    """Depth, KV cache, waits with a first bucket to 0.3 s and the mean beside, errors of all that ended."""
    labels = 'model_name="m",engine_type="trtllm"'
    page = history(
        f"trtllm_num_requests_running{{{labels}}} 3\ntrtllm_num_requests_waiting{{{labels}}} 2\n"
        f"trtllm_kv_cache_utilization{{{labels}}} 0.25\n"
        + waits("trtllm_request_queue_time_seconds", labels, {"0.3": 600, "0.5": 600, "+Inf": 600})
        + f"# TYPE trtllm_request_success counter\ntrtllm_request_success_total{{{labels}}} 90\n"
        f"# TYPE trtllm_request_error counter\ntrtllm_request_error_total{{{labels}}} 10\n"
    )
    assert named(page).keys() == {"trtllm-serve"}
    assert (value("trtllm-serve", "running", page), value("trtllm-serve", "waiting", page)) == (3, 2)
    assert value("trtllm-serve", "kv_ratio", page) == 0.25
    assert bucket("trtllm-serve", "queue_wait", 0.99, page) == (0, 0.3)
    assert value("trtllm-serve", "queue_wait_mean", page) == pytest.approx(0.1)
    assert value("trtllm-serve", "errors", page) == pytest.approx(0.1)


def test_dynamo_stands_before_the_engines_it_passes_through() -> None:
    """A worker shows vLLM's own metrics: two stacks, two roles, so that no request counts twice."""
    frontend = history(
        'dynamo_frontend_inflight_requests{model="m"} 12\n'
        "# TYPE dynamo_frontend_requests_total counter\n"
        'dynamo_frontend_requests_total{model="m",status="success",error_type=""} 95\n'
        'dynamo_frontend_requests_total{model="m",status="error",error_type="internal"} 3\n'
        'dynamo_frontend_requests_total{model="m",status="error",error_type="cancelled"} 2\n',
        {"job": "frontend", "instance": "f:1"},
    )
    worker = history(
        'vllm:num_requests_running{model="m",model_name="m"} 9\n'
        'dynamo_component_gpu_cache_usage_percent{model="m"} 0.5\n'
    )
    found = named(frontend, worker)
    assert {s: one.role for s, one in found.items()} == {"dynamo": "gateway", "vllm": "engine"}
    assert value("dynamo", "running", frontend) == 12
    assert value("dynamo", "errors", frontend) == pytest.approx(0.03)
    assert value("dynamo", "rejected", frontend) == 0
    assert value("dynamo", "kv_ratio", worker) == 0.5
    seen = readings(
        ("dynamo", "waiting", history('dynamo_frontend_queued_requests{model="m"} 12\n')),
        ("vllm", "waiting", history('vllm:num_requests_waiting{model_name="m"} 9\n')),
    )
    assert seen[Key("m", "", "waiting")].value == 9


def test_llama_cpp_is_called_as_its_pod_or_job() -> None:
    """It names no model: its workload or job stands in, until an alias names it."""
    page = history("llamacpp:requests_processing 2\nllamacpp:requests_deferred 1\n")
    (row,) = read("llama-cpp", "running", page)
    assert (row.value, row.labels) == (2, {"job": "serving", **PLACE})
    assert Names(Identity()).model_of_row(row, "engine") == "m"
    assert value("llama-cpp", "waiting", page) == 1
    assert named(page).keys() == {"llama-cpp"}


def test_an_engine_that_names_its_model_in_some_series_only() -> None:
    """SGLang's HTTP counters name none: they belong to the model whose engine runs in the same pod."""
    page = history(
        'sglang:num_running_reqs{model_name="a/Q"} 1\n# TYPE sglang:http_responses_total counter\n'
        'sglang:http_responses_total{endpoint="/v1/chat/completions",status_code="200"} 90\n'
        'sglang:http_responses_total{endpoint="/v1/chat/completions",status_code="503"} 10\n'
        'sglang:http_responses_total{endpoint="/metrics",status_code="200"} 900\n'
    )
    (errors,) = read("sglang", "errors", page)
    assert errors.value == pytest.approx(0.1)
    answers = [
        Answer(definition("sglang", signal), read("sglang", signal, page), 1.0)
        for signal in ("errors", "running")
    ]
    names = Names(Identity()).learned(answers)
    assert names.known == {"q"}
    assert names.model_of_row(errors, "engine") == "q"


def test_ray_serve_with_vllm_inside() -> None:
    """One model under both names; the ingress is no model; health checks are not served; ms are s."""
    deployment = 'application="app",deployment="LLMServer:meta-llama--Llama-3"'
    page = history(
        f"ray_serve_replica_processing_queries{{{deployment}}} 4\n"
        'ray_serve_replica_processing_queries{application="app",deployment="OpenAiIngress"} 4\n'
        'ray_vllm_kv_cache_usage_perc{model_name="meta-llama/Llama-3"} 0.5\n'
        "# TYPE ray_serve_deployment_request_counter_total counter\n"
        f'ray_serve_deployment_request_counter_total{{{deployment},route="/v1"}} 100\n'
        f'ray_serve_deployment_request_counter_total{{{deployment},route="/-/healthz"}} 900\n'
        + waits("ray_serve_request_router_fulfillment_time_ms", deployment, {"5": 0, "10": 100, "+Inf": 100})
    )
    (row,) = read("ray-serve", "running", page)
    assert (row.value, row.labels["model_name"]) == (4, "Llama-3")
    names = Names(Identity())
    (kv,) = read("ray-serve", "kv_ratio", page)
    assert names.model_of_row(row, "engine") == names.model_of_row(kv, "engine") == "llama-3"
    assert value("ray-serve", "served", page) == 100
    assert bucket("ray-serve", "queue_wait", 0.5, page) == (0.005, 0.01)
    assert read("ray-serve", "queue_wait", page)[0].rung == "until a replica"


@pytest.mark.parametrize(("unit", "tokens"), [("_seconds", "_token"), ("", ""), ("_seconds", "_tokens")])
def test_envoy_ai_gateway_with_units_in_names_or_without(unit: str, tokens: str) -> None:
    """The exporter decides about the suffix; the signal is the same."""
    labels = 'gen_ai_operation_name="chat",gen_ai_request_model="m"'
    wrong = f'{labels},error_type="_OTHER"'
    name = f"gen_ai_server_request_duration{unit}"
    page = history(
        waits(name, labels, {"0.16": 0, "0.32": 90, "+Inf": 90})
        + waits(name, wrong, {"0.16": 0, "0.32": 10, "+Inf": 10})
        + waits(
            f"gen_ai_client_token_usage{tokens}", f'{labels},gen_ai_token_type="output"', {"1": 5, "+Inf": 5}
        )
    )
    assert named(page).keys() == {"envoy-ai-gateway"}
    assert read("envoy-ai-gateway", "answer_time", page)[0].labels == {"model_name": "m"}
    assert bucket("envoy-ai-gateway", "answer_time", 0.99, page) == (0.16, 0.32)
    assert value("envoy-ai-gateway", "errors", page) == pytest.approx(0.1)
    assert value("envoy-ai-gateway", "arrivals", page) == 100
    assert value("envoy-ai-gateway", "tokens_out", page) == 60
    assert read("envoy-ai-gateway", "tokens_in", page) == ()


def test_litellm_by_team_through_a_rule() -> None:
    """A tier rule makes teams tiers; a team that was never limited reads 0; no team is no tier."""
    failed = 'litellm_proxy_failed_requests_metric_total{requested_model="m",team_alias="free"'
    page = history(
        "# TYPE litellm_proxy_total_requests_metric_total counter\n"
        'litellm_proxy_total_requests_metric_total{requested_model="m",team_alias="gold",end_user="u1"} 70\n'
        'litellm_proxy_total_requests_metric_total{requested_model="m",team_alias="free",end_user="u2"} 20\n'
        'litellm_proxy_total_requests_metric_total{requested_model="m",team_alias="None",end_user="u3"} 10\n'
        'litellm_proxy_total_requests_metric_total{requested_model="None",team_alias="None"} 5\n'
        "# TYPE litellm_proxy_failed_requests_metric_total counter\n"
        f'{failed},exception_status="429"}} 4\n{failed},exception_status="500"}} 2\n'
    )
    rules = Identity(tiers=(TierRule(label="team_alias", regex="(.+)", tier="$1"),))
    (preset,) = with_labels([PRESETS["litellm"]], rules.labels())
    by = {d.signal: d for d in preset.definitions}

    def tiers(signal: str) -> dict[str | None, object]:
        rows = evaluate(by[signal], [page], 1_700_000_020.0, 20.0)
        assert {row.labels["model_name"] for row in rows} == {"m"}
        return {Names(rules).tier(r.labels): pytest.approx(r.value) for r in rows}

    assert tiers("rejected") == {"gold": 0, "free": 0.004, None: 0}
    assert tiers("errors") == {"gold": 0, "free": 0.3, None: 0}
    assert tiers("arrivals") == {"gold": 0.07, "free": 0.02, None: 0.01}


def test_errors_stay_whole_where_features_are_told_apart() -> None:
    """Flows are features: requests are counted by flow, the error ratio is that of all flows together."""
    page = history(
        "# TYPE llm_d_epp_request_total counter\n"
        'llm_d_epp_request_total{fairness_id="chat",model_name="m",priority="0"} 90\n'
        'llm_d_epp_request_total{fairness_id="images",model_name="m",priority="0"} 10\n'
        "# TYPE llm_d_epp_request_error_total counter\n"
        'llm_d_epp_request_error_total{fairness_id="images",model_name="m",priority="0"} 5\n'
    )
    rules = Identity(features=(FeatureRule(label="fairness_id", regex="(.+)", feature="$1"),))
    (preset,) = with_labels([PRESETS["endpoint-picker"]], rules.labels(), parts=rules.part_labels())
    by = {d.signal: d for d in preset.definitions}
    arrivals = evaluate(by["arrivals"], [page], 1_700_000_020.0, 20.0)
    assert {row.labels["fairness_id"] for row in arrivals} == {"chat", "images"}
    (errors,) = evaluate(by["errors"], [page], 1_700_000_020.0, 20.0)
    assert errors.value == pytest.approx(0.05)


def test_triton_tells_means_in_seconds() -> None:
    """Microseconds of a counter over requests; the first response of streamed models where it is measured."""
    page = history(
        "# TYPE nv_inference_request_success counter\n"
        'nv_inference_request_success{model="m",version="1"} 10\n'
        'nv_inference_request_success{model="m",version="2"} 10\n'
        "# TYPE nv_inference_queue_duration_us counter\n"
        'nv_inference_queue_duration_us{model="m",version="1"} 4000000\n'
        'nv_inference_queue_duration_us{model="m",version="2"} 6000000\n'
        + waits("nv_inference_first_response_histogram_ms", 'model="m"', {"100": 0, "500": 9, "+Inf": 9})
    )
    assert value("triton", "queue_wait_mean", page) == pytest.approx(0.5)
    assert value("triton", "rejected", page) == 0
    assert bucket("triton", "first_token", 0.99, page) == (0.1, 0.5)
    assert read("triton", "first_token", page)[0].rung == "first chunk"


def test_the_mean_wait_of_two_deployments_is_no_sum() -> None:
    """One model in two workloads, 0.1 s and 0.3 s: the worse is shown."""
    slow = waits("vllm:request_queue_time_seconds", 'model_name="m"', {"0.3": 200, "+Inf": 200})
    quick = waits("vllm:request_queue_time_seconds", 'model_name="m"', {"0.3": 600, "+Inf": 600})
    seen = readings(
        ("vllm", "queue_wait_mean", history(slow)),
        ("vllm", "queue_wait_mean", history(quick, {**POD, "pod": "other-7d9f8c6b5-abcde"})),
    )
    assert seen[Key("m", "", "queue_wait_mean")].value == pytest.approx(0.3)


def test_alternatives_may_give_way_by_fewer_labels() -> None:
    """The rendered query says so; a ratio or a label that is not kept is refused, with the place."""
    running = definition("sglang", "running")
    assert " or on (model_name, namespace, exported_namespace, workload, exported_workload) " in render(
        running, window_s=20
    )
    assert "priority" in running.keep
    ((sglang,), (apart,)) = (
        with_labels([PRESETS["sglang"]], ["cluster"], apart=apart) for apart in (False, True)
    )
    for preset, by in ((sglang, running.either_by), (apart, (*running.either_by, "cluster"))):
        (one,) = (d for d in preset.definitions if d.signal == "running")
        assert (one.either_by, one.keep[-1]) == (by, "cluster")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'kind = "gauge"\nmetrics = ["a"]\neither_by = ["tier"]\n',
            "running: either_by names tier, which it does not keep",
        ),
        (
            'kind = "ratio"\nmetrics = ["a"]\nover = ["b"]\neither_by = ["model"]\n',
            "`either_by` is for alternatives",
        ),
    ],
)
def test_alternatives_that_cannot_be_told_apart_are_refused(tmp_path: Path, text: str, said: str) -> None:
    """The mistake is named with its file."""
    file = tmp_path / "mine.toml"
    head = 'stack = "mine"\ntitle = "Mine"\nrole = "engine"\nproof = ["a"]\nkeep = ["model"]\n\n'
    file.write_text(f"{head}[signals.running]\n{text}", encoding="utf-8")
    with pytest.raises(FileError, match=f"mine.toml.*{re.escape(said)}"):
        read_presets([file])


def test_no_two_presets_claim_one_page() -> None:
    """Only the router's copies of vLLM's names prove two stacks, apart by their labels."""
    claims: dict[str, list[Preset]] = {}
    for preset in PRESETS.values():
        for name in preset.proof:
            claims.setdefault(name, []).append(preset)
    twice = {name: {p.stack for p in those} for name, those in claims.items() if len(those) > 1}
    assert twice == {"vllm:num_requests_running": {"vllm", "production-stack"}}
    assert all(p.where for those in twice.values() for p in PRESETS.values() if p.stack in those)
