"""Accelerators of every stack: pages read with the built-in presets, down to readings and the map.

Expected values are worked out by hand from the pages.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from collectors.config import Identity
from collectors.fleet import Node, SourceHealth, SourceState
from collectors.prometheus.answer import by_node
from collectors.readings import Quality
from collectors.scrape.evaluate import evaluate
from collectors.scrape.history import TargetHistory
from collectors.scrape.page import PageReader
from collectors.signals.accelerators import ONE_ACCELERATOR, cards_of, part_of_card
from collectors.signals.assemble import Observed, observed
from collectors.signals.catalogue import Answer, Definition, Metric, Poll, Row
from collectors.signals.identity import Names
from collectors.signals.keys import Key
from collectors.signals.presets import read_presets
from collectors.signals.promql import series_name
from tests.accelerator_pages import KUBERNETES, POD, amd, cards, gaudi, neuron, nvidia_smi, page, tpu

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
PRESETS = {preset.stack: preset for preset in read_presets()}
T0 = 1_700_000_000
EXPORTER = {"namespace": "monitoring", "pod": "exporter-x7k2p", "instance": "10.0.0.1:9400"}


def sample(name: str) -> str:
    return (SAMPLES / f"{name}.prom").read_text(encoding="utf-8")


def read(text: str, labels: Mapping[str, str] | None = None, *, exported: bool = False) -> TargetHistory:
    """The page as one scrape of a target; exported: labels that the target has too are set aside."""
    names = {
        series_name(d, m) for p in PRESETS.values() for d in p.definitions for m in (*d.metrics, *d.over)
    }
    history = TargetHistory(labels if labels is not None else {"instance": "10.0.0.1:9400"})
    if exported:
        text = text.replace("pod=", "exported_pod=").replace("namespace=", "exported_namespace=")
    history.record(PageReader(names).read(text.encode()), T0 * 1000, 600_000)
    return history


def serving(*models: str, namespace: str = "serving") -> Answer:
    """Engines of these models, each in a workload of its name."""
    one = Definition("running", "vllm", "engine", "gauge", (Metric("m"),), ())
    rows = tuple(
        Row({"model_name": model, "namespace": namespace, "workload": model}, 1.0) for model in models
    )
    return Answer(one, rows, T0)


def see(
    *targets: TargetHistory,
    models: Sequence[str] = (),
    stacks: Sequence[str] | None = None,
    by_host: bool = False,
) -> Observed:
    """What a poll of these pages says; by_host: with the map of a fleet too large for one of accelerators."""
    found = [
        by_node(d) if by_host and d.lane == "heat" else d
        for stack in stacks or PRESETS
        for d in PRESETS[stack].definitions
        if d.role in {"accelerator", "heat", "cluster"}
    ]
    answers = [Answer(d, evaluate(d, targets, T0, 20), T0) for d in found]
    asked = (serving(*models), *(a for a in answers if a.rows or a.definition.signal == "faults"))
    health = SourceHealth("p", "scrape", SourceState.OK)
    names = Names(Identity()).learned(asked)
    return observed(Poll("p", T0, 5.0, asked, (), (), health), names)


def value(seen: Observed, signal: str, model: str = "") -> object:
    """The reading's value; "absent" where there is none."""
    found = seen.readings.get(Key(model, "", signal))
    return "absent" if found is None else found.value


def nodes(seen: Observed) -> dict[str, Node]:
    assert seen.nodes is not None
    return {node.name: node for node in seen.nodes}


LLAMA, MISTRAL = "llama-3-70b", "mistral-7b"
DCGM = "dcgm-exporter"


def test_the_sample_fleet() -> None:
    """Four cards and not three or five; slices of 1 and 3 sevenths weigh so, whole cards 1."""
    seen = see(read(sample(DCGM)), models=[LLAMA, MISTRAL])
    assert {s: value(seen, s) for s in ("accelerators", "slices", "power_w", "temperature_c", "faults")} == {
        "accelerators": 4,
        "slices": 2,
        "power_w": 1282,  # 612.184 + 598.020 + 71.330
        "temperature_c": 63,
        "faults": 1,
    }
    assert value(seen, "accelerators", LLAMA) == 2
    assert value(seen, "accelerators", MISTRAL) == 1
    assert value(seen, "busy_ratio", LLAMA) == 0.96
    assert value(seen, "busy_ratio", MISTRAL) == 0.78  # (1 x 0.512 + 3 x 0.871) / 4; the plain mean is 0.69
    assert value(seen, "busy_ratio") == 0.66  # (0.962117 + 0.958803 + 0 + 4/7 x 0.78125) / (3 + 4/7)
    assert value(seen, "tensor_ratio", MISTRAL) == 0.16  # (1 x 0.09 + 3 x 0.18) / 4; the plain mean is 0.135
    assert value(seen, "tensor_ratio", LLAMA) == 0.21
    assert value(seen, "memory_ratio", LLAMA) == 0.92  # 149486 / 163104
    assert value(seen, "memory_ratio", MISTRAL) == 0.7  # 34961 / 50016
    assert value(seen, "memory_ratio") == 0.63  # (2 x 0.91651 + 0.00007 + 4/7 x 0.69900) / (3 + 4/7)
    assert value(seen, "faults", LLAMA) == 0


def test_the_sample_map() -> None:
    """One host; its cards in order, the cut one as its two slices; the dead card idle and marked."""
    (node,) = nodes(see(read(sample(DCGM)), models=[LLAMA, MISTRAL])).values()
    assert (node.name, node.pool) == ("gpu-node-01", "NVIDIA H100 80GB HBM3")
    assert list(node.busy) == [96, 96, 0, 87, 51]
    assert node.marks == "  X  "
    assert node.models == (LLAMA, MISTRAL)


def test_pitfall_7_hosts_by_either_label() -> None:
    """`Hostname` and `hostname` give the same fleet and the same map."""
    old, new = (see(read(sample(name)), models=[LLAMA]) for name in (DCGM, f"{DCGM}-hostname-lower"))
    assert new.nodes == old.nodes
    assert new.readings == old.readings


def test_pitfall_6_exported_labels() -> None:
    """With honor_labels off `pod` is the exporter: the models are found by `exported_pod`."""
    plain = see(read(sample(DCGM)), models=[LLAMA, MISTRAL])
    exported = see(read(sample(DCGM), EXPORTER, exported=True), models=[LLAMA, MISTRAL])
    assert exported.readings == plain.readings
    assert exported.nodes == plain.nodes
    assert exported.unmatched == ()


def test_pitfall_4_slices_have_no_kernel_time() -> None:
    """Without profiling cut cards have no busy time: none is shown, not 0; whole ones say how it was had."""
    text = "".join(line for line in sample(DCGM).splitlines(keepends=True) if "_PROF_" not in line)
    seen = see(read(text), models=[LLAMA, MISTRAL])
    assert value(seen, "busy_ratio", MISTRAL) == "absent"
    assert value(seen, "tensor_ratio", LLAMA) == "absent"
    found = seen.readings[Key(LLAMA, "", "busy_ratio")]
    assert (found.value, found.reason.parameters) == (0.96, ("any-kernel time",))  # (97 + 96) / 2 %
    assert value(seen, "busy_ratio") == 0.64  # (97 + 96 + 0) / 3 %: over the cards that have it
    assert value(seen, "accelerators") == 4


def test_pitfall_5_a_shared_card_counts_once() -> None:
    """Two pods of a model and one of another share a card: 1 for each model, 2 cards in all, not 3 or 4."""
    shared = [("G-1", POD.format("a", n), 0.9) for n in ("aaaaa", "bbbbb")] + [("G-1", "b-0", 0.9)]
    seen = see(read(cards(*shared, ("G-2", "b-1", 0.3))), models=["a", "b"])
    assert (value(seen, "accelerators", "a"), value(seen, "accelerators", "b")) == (1, 2)
    assert (value(seen, "accelerators"), value(seen, "power_w")) == (2, 600)
    assert value(seen, "power_w", "b") == 600
    assert value(seen, "busy_ratio", "b") == 0.6
    assert value(seen, "busy_ratio") == 0.6  # of two cards; of three holders it would be 0.7
    assert value(seen, "memory_ratio") == 0.6
    (node,) = nodes(seen).values()
    assert (list(node.busy), node.models) == ([90, 30], ("a", "b"))


def test_a_shared_card_on_a_map_of_hosts() -> None:
    """A large fleet's map names no card: the counts stay right, the mean is that over holders."""
    text = cards(("G-1", "a-0", 0.9), ("G-1", "b-0", 0.9), ("G-2", "b-1", 0.3))
    seen = see(read(text), models=["a", "b"], by_host=True)
    assert (value(seen, "accelerators"), value(seen, "power_w")) == (2, 600)
    assert value(seen, "memory_ratio") == 0.6
    assert value(seen, "busy_ratio") == 0.7


def test_pitfall_18_a_pod_that_lingers_adds_no_card() -> None:
    """A card has moved to another pod, and the series of the one before is still there."""
    seen = see(read(cards(("G-1", "a-0", 0.5), ("G-1", "b-0", 0.7), ("G-2", "b-1", 0.7))), models=["a", "b"])
    assert value(seen, "accelerators") == 2
    assert value(seen, "busy_ratio") == 0.7


def test_cut_cards_beside_whole_ones() -> None:
    """A model on a whole card and on two slices of another: 1 card at 0.2 and 1/7 + 3/7 of one at 1."""
    whole = 'gpu="0",UUID="G-0",Hostname="a",pod="a-0",namespace="serving"'
    cut = 'gpu="1",UUID="G-1",Hostname="a",pod="a-1",namespace="serving",GPU_I_PROFILE="{0}",GPU_I_ID="{1}"'
    all_ = [(whole, 0.2), (cut.format("1g.10gb", 7), 1.0), (cut.format("3g.40gb+me", 2), 1.0)]
    used = [(labels, 50.0) for labels, _ in all_]
    text = page(
        {"DCGM_FI_PROF_GR_ENGINE_ACTIVE": all_, "DCGM_FI_DEV_FB_USED": used, "DCGM_FI_DEV_FB_FREE": used}
    )
    seen = see(read(text), models=["a"])
    assert value(seen, "accelerators", "a") == 2
    assert value(seen, "busy_ratio", "a") == 0.49  # (0.2 + 4/7) / (1 + 4/7)
    assert value(seen, "busy_ratio") == 0.49


def test_slices_of_two_models_are_one_card() -> None:
    """Each model has a card, and the fleet one; its busy time weighs every slice once."""
    cut = 'gpu="1",UUID="G-1",Hostname="a",pod="{0}-0",namespace="serving",GPU_I_PROFILE="{1}",GPU_I_ID="{2}"'
    all_ = [(cut.format("a", "2g.20gb", 3), 0.4), (cut.format("b", "4g.40gb", 1), 1.0)]
    text = page({"DCGM_FI_PROF_GR_ENGINE_ACTIVE": all_, "DCGM_FI_DEV_FB_USED": all_})
    seen = see(read(text), models=["a", "b"])
    assert [value(seen, "accelerators", model) for model in ("a", "b", "")] == [1, 1, 1]
    assert [value(seen, "slices", model) for model in ("a", "b", "")] == [1, 1, 2]
    assert value(seen, "busy_ratio") == 0.8  # (2 x 0.4 + 4 x 1) / 6


@pytest.mark.parametrize(
    ("profile", "part"),
    [
        ("1g.10gb", 1 / 7),
        ("7g.80gb", 1.0),
        ("1g.5gb+me", 1 / 7),
        ("2c.3g.40gb", 3 / 7),
        ("", 1.0),
        ("9g", 1.0),
    ],
)
def test_what_a_slice_is_of_a_card(profile: str, part: float) -> None:
    """Its sevenths, with or without media engines, of compute instances too; anything else is a card."""
    assert part_of_card(Row({"GPU_I_PROFILE": profile}, 1.0)) == part


def test_virtual_gpus_tell_no_memory_of_cards() -> None:
    """Pods' own shares beside the card's series: the fleet has the card's memory, no model a made-up one."""
    card = 'gpu="0",UUID="G-0",Hostname="a"'
    pods = [f'{card},pod="{pod}-0",namespace="serving",vgpu="{pod}"' for pod in "ab"]
    text = page(
        {
            "DCGM_FI_DEV_FB_USED": [(card, 70.0), (pods[0], 30.0), (pods[1], 40.0)],
            "DCGM_FI_DEV_FB_FREE": [(pods[0], 30.0), (pods[1], 30.0)],
            "DCGM_FI_PROF_GR_ENGINE_ACTIVE": [(pods[0], 0.9), (pods[1], 0.9)],
        }
    )
    seen = see(read(text), models=["a", "b"])
    assert value(seen, "accelerators") == 1
    assert value(seen, "memory_ratio") == 0.7
    found = seen.readings[Key("a", "", "memory_ratio")]
    assert (found.value, found.quality, found.reason.code) == (None, Quality.MISSING, "not-exported")


def test_pitfall_26_two_ways_to_measure_are_never_averaged() -> None:
    """Of two models one has the better metric: the fleet's busy time is its alone, and says of how many."""
    held = [
        f'gpu="{n}",UUID="G-{n}",Hostname="a",pod="{m}-0",namespace="serving"' for n, m in enumerate("aab")
    ]
    text = page(
        {
            "DCGM_FI_DEV_FB_USED": [(labels, 1.0) for labels in held],
            "DCGM_FI_DEV_GPU_UTIL": [(labels, 100.0) for labels in held],
            "DCGM_FI_PROF_GR_ENGINE_ACTIVE": [(labels, 0.5) for labels in held[:2]],
        }
    )
    seen = see(read(text), models=["a", "b"])
    assert value(seen, "busy_ratio", "a") == 0.5
    lesser = seen.readings[Key("b", "", "busy_ratio")]
    assert (lesser.value, lesser.reason.parameters) == (1.0, ("any-kernel time",))
    total = seen.readings[Key("", "", "busy_ratio")]
    assert (total.value, total.reason.parameters) == (0.5, ("engine time on 2 of 3 accelerators",))


def test_pitfall_8_a_changed_xid_is_one_fault() -> None:
    """Every XID is a series of its own, and the old one may linger; an application's error is no fault."""
    card = 'gpu="{0}",UUID="G-{0}",Hostname="a",pod="a-0",namespace="serving"'
    xids = [(f'{card.format(0)},err_code="{code}"', float(code)) for code in (79, 48, 0)]
    xids += [(f'{card.format(1)},err_code="31"', 31.0)]
    held = [(card.format(n), 0.5) for n in range(3)]
    text = page(
        {"DCGM_FI_DEV_XID_ERRORS": xids, "DCGM_FI_PROF_GR_ENGINE_ACTIVE": held, "DCGM_FI_DEV_FB_USED": held}
    )
    seen = see(read(text), models=["a"])
    assert (value(seen, "faults"), value(seen, "faults", "a")) == (1, 1)
    assert nodes(seen)["a"].marks == "X  "


def test_a_card_that_lost_its_rows_is_faulty_whatever_its_last_xid() -> None:
    """Row remapping that failed and double-bit errors are faults; XID 13, newer and an application's, hides
    neither, with the labels of old exporters or of new ones."""
    card = 'gpu="{0}",UUID="G-{0}",Hostname="a",pod="a-0",namespace="serving"'
    held = [(card.format(n), 0.5) for n in range(4)]
    for more in ("", ',err_code="13"'):
        text = page(
            {
                "DCGM_FI_DEV_XID_ERRORS": [(f"{labels}{more}", 13.0) for labels, _ in held],
                "DCGM_FI_DEV_ROW_REMAP_FAILURE": [
                    (labels, float(n == 0)) for n, (labels, _) in enumerate(held)
                ],
                "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": [(held[2][0], 3.0)],
                "DCGM_FI_PROF_GR_ENGINE_ACTIVE": held,
                "DCGM_FI_DEV_FB_USED": held,
            }
        )
        seen = see(read(text), models=["a"])
        assert value(seen, "faults", "a") == 2
        assert nodes(seen)["a"].marks == "e e "


def test_no_faults_are_told_where_nobody_counts_them() -> None:
    """A stack without errors has no faults reading: nought would be a claim. The other stack's stay."""
    tpu = 'make="cloud-tpu",model="tpu7x",accelerator_id="7-{0}",pod="t-0",namespace="serving",node="n"'
    text = page({"duty_cycle": [(tpu.format(0), 40.0)], "memory_total": [(tpu.format(0), 10.0)]})
    alone = see(read(text), models=["t"], stacks=["tpu-gke"])
    assert value(alone, "faults") == value(alone, "faults", "t") == "absent"
    both = see(read(text), read(cards(("G-1", "a-0", 0.5))), models=["t", "a"], stacks=["tpu-gke", "dcgm"])
    assert value(both, "faults", "t") == "absent"
    assert (value(both, "faults", "a"), value(both, "faults")) == (0, 0)
    assert value(both, "accelerators") == 2
    assert {node.pool for node in nodes(both).values()} == {"tpu7x", "H200"}


@pytest.mark.parametrize("prefix", ["", "amd_"])
def test_amd_partitions_are_one_card(prefix: str) -> None:
    """Two cards and not five; partitions that read nought pull no mean down; with the chart's prefix too."""
    seen = see(read(amd(prefix)), models=["a", "b"], stacks=["amd"])
    assert [value(seen, "accelerators", model) for model in ("", "a", "b")] == [2, 1, 1]
    assert [value(seen, "busy_ratio", model) for model in ("", "a", "b")] == [0.7, 0.8, 0.6]
    assert [value(seen, "power_w", model) for model in ("", "b")] == [1200, 500]
    assert [value(seen, "memory_ratio", model) for model in ("a", "b")] == [0.5, 0.25]
    assert value(seen, "temperature_c") == 71
    assert [value(seen, "faults", model) for model in ("", "a", "b")] == [1, 0, 1]
    node = nodes(seen)["h"]
    assert (list(node.busy), node.marks, node.pool) == ([80, 60], " e", "AMD Instinct MI300X OAM")


def test_pitfall_3_gaudi_counts_in_milliwatts() -> None:
    """Percent and milliwatts become shares and watts; cards of two hosts, told by whatever label there is."""
    seen = see(
        read(gaudi(), {"instance": "g1:41611"}), read(gaudi(), {"instance": "g2:41611"}), stacks=["gaudi"]
    )
    assert {s: value(seen, s) for s in ("accelerators", "busy_ratio", "memory_ratio", "power_w")} == {
        "accelerators": 4, "busy_ratio": 0.65, "memory_ratio": 0.5, "power_w": 1725,
    }  # fmt: skip
    assert value(seen, "temperature_c") == 62
    assert {name: list(node.busy) for name, node in nodes(seen).items()} == {
        "g1:41611": [40, 90], "g2:41611": [40, 90],
    }  # fmt: skip
    assert {node.pool for node in nodes(seen).values()} == {"Intel Gaudi"}


def test_nvidia_smi() -> None:
    """Bytes, ratios and watts as they are; busy time is any-kernel time; faults by what the driver keeps."""
    seen = see(read(nvidia_smi()), stacks=["nvidia-smi"])
    assert {s: value(seen, s) for s in ("accelerators", "memory_ratio", "power_w", "faults")} == {
        "accelerators": 2, "memory_ratio": 0.12, "power_w": 100, "faults": 1,
    }  # fmt: skip
    busy = seen.readings[Key("", "", "busy_ratio")]
    assert (busy.value, busy.reason.parameters) == (0.5, ("any-kernel time",))
    node = nodes(seen)["10.0.0.1:9400"]
    assert (list(node.busy), node.marks) == ([25, 75], " X")


def test_neuron_cores() -> None:
    """Cores of two instances; corrected errors and anybody's hardware_ecc_events_total are no faults."""
    seen = see(read(neuron()), stacks=["neuron"])
    assert (value(seen, "accelerators"), value(seen, "faults")) == (8, 1)
    assert value(seen, "busy_ratio") == 0.25  # (0 + 0.1 + 0.2 + 0.3 + 0.8 + 0.1 + 0.2 + 0.3) / 8
    assert {name: list(node.busy) for name, node in nodes(seen).items()} == {
        "i-a": [0, 10, 20, 30],
        "i-b": [80, 10, 20, 30],
    }
    assert {(node.pool, node.marks) for node in nodes(seen).values()} == {("trn1.32xlarge", "    ")}


def test_pitfall_21_a_duty_cycle_of_something_else() -> None:
    """A fan's duty_cycle and a cache's memory_used are no TPU's; the label `model` is no served model."""
    seen = see(read(tpu(), {"instance": "n:2112", "node": "gke-1"}), models=["t"], stacks=["tpu-gke"])
    for model in ("", "t"):
        signals = ("accelerators", "busy_ratio", "tensor_ratio", "memory_ratio")
        assert [value(seen, signal, model) for signal in signals] == [2, 0.3, 0.08, 0.38]  # 0.075, 0.375
    node = nodes(seen)["gke-1"]
    assert (list(node.busy), node.pool, node.models) == ([20, 40], "tpu-v6e-slice", ("t",))
    assert seen.models == {"t"}
    fan = read(page({"duty_cycle": [('fan="1"', 100.0)]}))
    assert not see(fan, stacks=["tpu-gke"]).readings.keys() - {Key("", "", "running")}


def test_what_kubernetes_says_of_workloads_and_nodes() -> None:
    """Replicas by workload, of its own namespace; slices as their part of a card, and AWS devices once."""
    seen = see(read(KUBERNETES), models=["a", "b"], stacks=["kube-state-metrics"])
    assert [value(seen, "replicas_desired", model) for model in ("a", "b")] == [4, 2]
    assert [value(seen, "replicas", model) for model in ("a", "b")] == [3, 2]
    assert value(seen, "accelerators_allocatable") == 32  # 8 + 6 + 7/7 + 2 x 3/7 + 16 = 31.86


def test_pitfall_6_kubernetes_behind_exported_labels() -> None:
    """With honor_labels off `namespace` is the exporter's own, and the workloads are found all the same."""
    labels = {"namespace": "monitoring", "instance": "ksm:8080"}
    text = KUBERNETES.replace("namespace=", "exported_namespace=")
    seen = see(read(text, labels), models=["a", "b"], stacks=["kube-state-metrics"])
    assert [value(seen, "replicas", model) for model in ("a", "b")] == [3, 2]


def test_requests_of_finished_pods_are_not_shown() -> None:
    """kube-state-metrics alone tells no requests; kube-scheduler's metric, without finished pods, does."""
    assert value(see(read(KUBERNETES), stacks=["kube-state-metrics"]), "accelerators_requested") == "absent"
    asked = page(
        {
            "kube_pod_resource_request": [
                ('namespace="serving",pod="a-0",resource="nvidia.com/gpu"', 8.0),
                ('namespace="serving",pod="b-0",resource="nvidia.com/mig-1g.10gb"', 7.0),
                ('namespace="serving",pod="b-0",resource="memory"', 1e12),
            ]
        }
    )
    seen = see(read(KUBERNETES), read(asked), stacks=["kube-state-metrics"])
    assert value(seen, "accelerators_requested") == 9
    (one,) = (d for d in PRESETS["kube-state-metrics"].definitions if d.signal == "accelerators_requested")
    assert "kube-scheduler" in one.needs


@pytest.mark.parametrize(
    ("resource", "cards"),
    [("nvidia_com_gpu", 1.0), ("nvidia_com_mig_2g_20gb", 2 / 7), ("nvidia.com/mig-1g.10gb.me", 1 / 7)],
)
def test_what_a_resource_is_of_a_card(resource: str, cards: float) -> None:
    """Sanitised as kube-state-metrics does, or as Kubernetes writes it."""
    assert cards_of(Row({"resource": resource}, 1.0)) == cards


def test_every_stack_names_its_accelerators_by_known_labels() -> None:
    """What a map keeps to tell cards apart is left out of a map of hosts: else that would grow with them."""
    shared = {"modelName", "GPU_I_PROFILE", "err_code", "namespace", "exported_namespace", "workload"}
    shared |= {"exported_workload", "Hostname", "hostname", "node", "instance", "instance_id"}
    for preset in PRESETS.values():
        for one in preset.definitions:
            if one.lane != "heat":
                continue
            assert set(one.keep) - shared <= ONE_ACCELERATOR, (preset.stack, one.signal)
            assert set(by_node(one).keep) <= shared
            if one.signal == "busy_ratio":
                assert ONE_ACCELERATOR & set(one.keep)


def test_each_accelerator_stack_has_a_map() -> None:
    """And says of every signal that it has not why that is, or what brings it."""
    signals = {"accelerators", "busy_ratio", "tensor_ratio", "memory_ratio", "power_w", "temperature_c"}
    for preset in PRESETS.values():
        if preset.role != "accelerator":
            continue
        assert ("busy_ratio", "heat") in {(d.signal, d.lane) for d in preset.definitions}
        fast = {d.signal for d in preset.definitions if d.lane == "fast"}
        assert fast.isdisjoint(preset.never)
        assert fast | preset.never.keys() >= signals, preset.stack
