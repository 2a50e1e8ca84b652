"""Presets: data that is checked, with the place of every mistake."""

import re
from collections import Counter
from pathlib import Path

import pytest

from collectors.readings import SIGNALS
from collectors.signals.catalogue import Matcher, Metric
from collectors.signals.presets import BUILT_IN, FAMILIES, ROLLOUT_SIGNALS, read_presets
from collectors.signals.quantiles import quantile_signal
from collectors.toml_file import FileError

PRESET = """\
stack = "mine"
title = "Mine"
role = "engine"
proof = ["mine_up"]
where = ['model!=""']
keep = ["model"]

[signals.running]
kind = "gauge"
metrics = ["mine_running", { name = "mine_busy", where = ['state=~"a|b"'], factor = 0.01, rung = "busy" }]
"""


def written(folder: Path, text: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_stacks_are_known() -> None:
    """By role and name, with the simulated fleet's mark; each signal once a lane."""
    presets = read_presets()
    roles: dict[str, set[str]] = {}
    for preset in presets:
        roles.setdefault(preset.role, set()).add(preset.stack)
    assert roles == {
        "engine": {"llama-cpp", "ray-serve", "sglang", "tgi", "triton", "trtllm-serve", "vllm"},
        "router": {"endpoint-picker", "simulated-fleet", "tidegate-export"},
        "gateway": {"dynamo", "envoy-ai-gateway", "litellm", "production-stack"},
        "accelerator": {"amd", "dcgm", "gaudi", "neuron", "nvidia-smi", "tpu-gke"},
        "cluster": {"kube-state-metrics"},
        "rollout": {"argo-rollouts", "flagger"},
    }
    for preset in presets:
        assert preset.proof
        if not preset.definitions:
            continue
        assert set(Counter((d.signal, d.lane) for d in preset.definitions).values()) == {1}
        assert all(d.stack == preset.stack for d in preset.definitions)
        assert all(d.role == ("heat" if d.lane == "heat" else preset.role) for d in preset.definitions)


def test_every_definition_measures_a_known_signal() -> None:
    """Ids are those of the fleet; quantiles of a family too."""
    for preset in read_presets():
        for definition in preset.definitions:
            signals = [quantile_signal(definition.signal, q) for q in definition.quantiles]
            known = ROLLOUT_SIGNALS if preset.role == "rollout" else SIGNALS
            assert all(one in known for one in signals or [definition.signal])
            assert (definition.signal in FAMILIES) == (definition.kind == "histogram")


def test_serving_signals_of_the_issue_are_there() -> None:
    """What the fleet screen shows has a definition in each stack that can tell."""
    by_stack = {p.stack: {d.signal for d in p.definitions if d.lane == "fast"} for p in read_presets()}
    assert by_stack["vllm"] >= {
        "running", "waiting", "kv_ratio", "tokens_in", "tokens_out", "served", "errors", "preemptions",
        "queue_wait", "answer_time", "first_token", "token_gap", "replicas",
    }  # fmt: skip
    assert by_stack["endpoint-picker"] >= {
        "queue_wait", "waiting", "arrivals", "rejected", "errors", "answer_time", "pool_saturation",
        "kv_ratio", "replicas",
    }  # fmt: skip
    assert by_stack["dcgm"] >= {"accelerators", "busy_ratio", "memory_ratio", "power_w", "temperature_c"}


def test_newer_names_come_first() -> None:
    """llm-d 0.9, then the name of May, then the inference extension; of a ratio the order does not matter."""
    order = ["llm_d_epp_", "llm_d_router_epp_", "inference_"]
    (picker,) = (p for p in read_presets() if p.stack == "endpoint-picker")
    for definition in picker.definitions:
        for where in {m.where for m in definition.metrics}:
            ages = [
                next(i for i, start in enumerate(order) if m.name.startswith(start))
                for m in definition.metrics
                if m.where == where
            ]
            assert ages == sorted(ages), definition.signal


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        ("llama-3-70b-7d9f8c6b5-abcde", "llama-3-70b"),
        ("mistral-7b-0", "mistral-7b"),
        ("dcgm-exporter-x7k2p", "dcgm-exporter"),
        ("llama-3-70b", "llama-3-70b"),
        ("vllm", "vllm"),
        ("a-5d4f8c7b9d-12345", "a"),
    ],
)
def test_a_pods_name_loses_what_its_controller_added(pod: str, workload: str) -> None:
    """Deployment, StatefulSet, DaemonSet; a name without such an ending stays whole. One rule for all."""
    derives = {
        d for p in read_presets() for one in p.definitions for d in one.derive if d.source.endswith("pod")
    }
    assert {(d.target, d.source) for d in derives} == {
        ("workload", "pod"),
        ("exported_workload", "exported_pod"),
    }
    assert len({d.regex for d in derives}) == 1
    for derive in derives:
        found = re.fullmatch(derive.regex, pod)
        assert found is not None
        assert found[1] == workload


def test_no_answer_grows_with_the_number_of_accelerators() -> None:
    """Outside the map nothing keeps a label that names one accelerator or one pod."""
    single = {"gpu", "UUID", "GPU_I_ID", "pod", "exported_pod", "instance", "Hostname", "hostname"}
    for preset in read_presets():
        for definition in preset.definitions:
            assert definition.lane == "heat" or not single & set(definition.keep)


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    """Filters of the file and of the metric come together; a plain name is a metric."""
    presets = read_presets([written(tmp_path, PRESET)])
    (mine,) = (p for p in presets if p.stack == "mine")
    (running,) = mine.definitions
    everywhere = Matcher("model", "!=", "")
    assert running.metrics == (
        Metric("mine_running", (everywhere,)),
        Metric("mine_busy", (everywhere, Matcher("state", "=~", "a|b")), 0.01, "busy"),
    )
    assert running.keep == ("model",)
    assert len(presets) == len(read_presets()) + 1


def test_a_file_takes_the_place_of_a_built_in_stack(tmp_path: Path) -> None:
    """The same stack again replaces it; twice in the files given is a mistake."""
    one = written(tmp_path, PRESET.replace('"mine"', '"vllm"'))
    presets = read_presets([one])
    assert [p.title for p in presets if p.stack == "vllm"] == ["Mine"]
    other = written(tmp_path, PRESET.replace('"mine"', '"vllm"'), "other.toml")
    with pytest.raises(FileError, match=r"other\.toml: stack: 'vllm' was already read from .*mine\.toml"):
        read_presets([one, other])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[signals.running]", "[signals.runing]", r"mine.toml:8: signals.runing: .*is no signal; allowed: "),
        ("[signals.running]", "[signals.queue_wait]", r"mine.toml:8: signals.queue_wait: .*'histogram'"),
        ('kind = "gauge"', 'kind = "gague"', r"mine.toml:9: signals.running.kind: .*'gauge'"),
        ("keep =", "kepp =", r"mine.toml:6: kepp: no such key; did you mean 'keep'"),
        ("mine_running", "mine-running", r"mine.toml:10: signals.running.metrics.0.name: is no metric name"),
        ("state=~", "state~", r"mine.toml:10: .*is no filter; write it as in PromQL"),
        ("a|b", "a|(b", r"mine.toml:10: .*is no regular expression"),
        ('["model"]', '["model-name"]', r"mine.toml:6: keep.0: is no label name"),
        ('kind = "gauge"', 'kind = "ratio"', r"mine.toml:8: signals.running: `over` is what a ratio"),
        ('kind = "gauge"', 'kind = "counter"\nquantiles = [0.5]', r"mine.toml:8: .*`quantiles` are asked of"),
        ('role = "engine"', 'role = "motor"', r"mine.toml:3: role: .*'engine'"),
        ('stack = "mine"', "", r"mine.toml: stack: Field required"),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    """File, line, key, what is allowed."""
    assert old in PRESET
    with pytest.raises(FileError, match=said):
        read_presets([written(tmp_path, PRESET.replace(old, new))])


def test_a_quantile_without_a_signal_is_refused(tmp_path: Path) -> None:
    """p42 is shown nowhere, so asking for it is a mistake."""
    text = PRESET.replace("[signals.running]", "[signals.first_token]")
    text = text.replace('kind = "gauge"', 'kind = "histogram"\nquantiles = [0.42]')
    with pytest.raises(FileError, match=r"quantile 0.42 is no signal; its quantiles are first_token_p99"):
        read_presets([written(tmp_path, text)])


def test_built_in_presets_are_read_once() -> None:
    """What is asked for again is what was read before."""
    assert all(one is again for one, again in zip(read_presets(), read_presets(), strict=True))


def test_no_file_is_left_out() -> None:
    """Every TOML file in the folder is a preset."""
    assert len(list(BUILT_IN.glob("*.toml"))) == len(read_presets())


@pytest.mark.parametrize(
    ("was", "now", "line", "key"),
    [
        ('proof = ["mine_up"]', 'proof = ["up) or vector(1"]', 4, "proof.0"),
        (
            "[signals.running]",
            '[[generations]]\nname = "2"\nproof = ["a", "1b"]\n[signals.running]',
            10,
            "generations.0.proof.1",
        ),
        (
            "[signals.running]",
            '[[probes]]\nid = "p"\nmetric = "a{b}"\n[signals.running]',
            10,
            "probes.0.metric",
        ),
        (
            "[signals.running]",
            '[[probes]]\nid = "p"\nmetric = "a"\nor_metrics = ["b", ""]\n[signals.running]',
            11,
            "probes.0.or_metrics.1",
        ),
    ],
)
def test_only_a_name_is_asked_for(was: str, now: str, line: int, key: str, tmp_path: Path) -> None:
    """Proofs and probes are names of metrics, never an expression of the file's own."""
    with pytest.raises(FileError) as caught:
        read_presets([written(tmp_path, PRESET.replace(was, now))])
    assert f"mine.toml:{line}: {key}: is no metric name" in str(caught.value)
