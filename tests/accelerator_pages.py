"""Pages of accelerator exporters, made up for tests: labels as upstream has them."""

from collections.abc import Mapping, Sequence

POD = "{0}-7d9f8c6b5-{1}"


def page(series: Mapping[str, Sequence[tuple[str, float]]]) -> str:
    """A page of some metrics, each with (labels, value)."""
    return "".join(
        f"{name}{{{labels}}} {value!r}\n" for name, all_ in series.items() for labels, value in all_
    )


def cards(*given: tuple[str, str, float]) -> str:
    """Cards (UUID, pod, used share) of 100 MiB and 300 W each, busy as they are full."""
    held = [
        (f'gpu="{u[-1]}",UUID="{u}",Hostname="a",modelName="H200",pod="{pod}",namespace="serving"', used)
        for u, pod, used in given
    ]
    return page(
        {
            "DCGM_FI_DEV_FB_USED": [(labels, 100 * used) for labels, used in held],
            "DCGM_FI_DEV_FB_FREE": [(labels, 100 - 100 * used) for labels, used in held],
            "DCGM_FI_PROF_GR_ENGINE_ACTIVE": held,
            "DCGM_FI_DEV_POWER_USAGE": [(labels, 300.0) for labels, _ in held],
            "DCGM_FI_DEV_XID_ERRORS": [(labels, 0.0) for labels, _ in held],
        }
    )


def amd(prefix: str = "") -> str:
    """Two cards; the second in four partitions, of which the first alone has real numbers."""
    card = 'gpu_id="{0}",gpu_partition_id="{1}",serial_number="s{2}",card_model="102-G30211-0C",'
    card += 'card_series="AMD Instinct MI300X OAM",hostname="h",pod="{3}",namespace="serving"'
    whole = card.format(0, 0, 0, POD.format("a", "aaaaa"))
    parts = [card.format(1 + n, n, 1, f"b-{n}") for n in range(4)]
    all_ = [whole, *parts]
    values = {
        "gpu_gfx_activity": (80.0, 60.0, 0.0, 0.0, 0.0),
        "gpu_package_power": (700.0, 500.0, 0.0, 0.0, 0.0),
        "gpu_used_vram": (98_000.0, 49_000.0, 0.0, 0.0, 0.0),
        "gpu_total_vram": (196_000.0,) * 5,
        "gpu_junction_temperature": (55.0, 71.0, 0.0, 0.0, 0.0),
        "gpu_ecc_uncorrect_total": (0.0, 2.0, 0.0, 0.0, 0.0),
    }
    return page(
        {f"{prefix}{name}": list(zip(all_, numbers, strict=True)) for name, numbers in values.items()}
    )


def gaudi() -> str:
    """Two cards of Intel, in percent and milliwatts."""
    card = 'UUID="01P0-HL2080A0-{0}",device="accel{0}"'
    return page(
        {
            "habanalabs_utilization": [(card.format(0), 40.0), (card.format(1), 90.0)],
            "habanalabs_power_mW": [(card.format(0), 350_000.0), (card.format(1), 512_500.0)],
            "habanalabs_memory_used_bytes": [(card.format(0), 24e9), (card.format(1), 72e9)],
            "habanalabs_memory_total_bytes": [(card.format(0), 96e9), (card.format(1), 96e9)],
            "habanalabs_temperature_onchip": [(card.format(0), 51.0), (card.format(1), 62.0)],
        }
    )


def nvidia_smi() -> str:
    """Two cards without DCGM, one of them with an XID of its own and one of an application."""
    return page(
        {
            "nvidia_smi_gpu_info": [(f'uuid="{u}",name="NVIDIA L4",index="{u}"', 1.0) for u in "01"],
            "nvidia_smi_utilization_gpu_ratio": [('uuid="0"', 0.25), ('uuid="1"', 0.75)],
            "nvidia_smi_memory_used_bytes": [('uuid="0"', 1e9), ('uuid="1"', 5e9)],
            "nvidia_smi_memory_total_bytes": [('uuid="0"', 24e9), ('uuid="1"', 24e9)],
            "nvidia_smi_power_draw_watts": [('uuid="0"', 30.4), ('uuid="1"', 70.0)],
            "nvidia_smi_power_draw_instant_watts": [('uuid="0"', 999.0), ('uuid="1"', 999.0)],
            "nvidia_smi_temperature_gpu": [('uuid="0"', 40.0), ('uuid="1"', 66.0)],
            "nvidia_smi_remapped_rows_failure": [('uuid="0"', 0.0), ('uuid="1"', 0.0)],
            "nvidia_smi_xid_errors_total": [('uuid="0",xid="13"', 4.0), ('uuid="1",xid="79"', 1.0)],
        }
    )


def neuron() -> str:
    """Eight cores of two instances, one of them reported by two runtimes; errors of memory and of others."""
    core = 'instance_id="i-{0}",instance_type="trn1.32xlarge",neuroncore="{1}",runtime_tag="367"'
    device = 'instance_id="i-{0}",instance_type="trn1.32xlarge",neuron_device_index="{1}",event_type="{2}"'
    return page(
        {
            "neuroncore_utilization_ratio": [
                *((core.format(i, n), 0.1 * n) for i in "ab" for n in range(4)),
                (core.format("b", 0).replace("367", "368"), 0.8),
            ],
            "hardware_ecc_events_total": [
                (device.format("a", 0, "mem_ecc_corrected"), 9.0),
                (device.format("a", 0, "sram_ecc_uncorrected"), 0.0),
                (device.format("b", 1, "mem_ecc_uncorrected"), 2.0),
                ('job="dimms",event_type="uncorrected"', 7.0),
            ],
        }
    )


def tpu() -> str:
    """Two chips of Google, a fan with a duty_cycle and a cache with memory_used."""
    chip = 'make="cloud-tpu",model="tpu-v6e-slice",accelerator_id="42-{0}",tpu_topology="2x2",'
    chip += f'container="vllm",pod="{POD.format("t", "aaaaa")}",namespace="serving"'
    return page(
        {
            "duty_cycle": [(chip.format(0), 20.0), (chip.format(1), 40.0), ('fan="1",pod="t-0"', 100.0)],
            "tensorcore_utilization": [(chip.format(0), 10.0), (chip.format(1), 5.0)],
            "memory_used": [(chip.format(0), 8e9), (chip.format(1), 16e9), ('cache="a"', 1e15)],
            "memory_total": [(chip.format(0), 32e9), (chip.format(1), 32e9), ('cache="a"', 1e15)],
        }
    )


KUBERNETES = page(
    {
        "kube_deployment_status_replicas_ready": [('namespace="serving",deployment="a"', 3.0)],
        "kube_deployment_spec_replicas": [('namespace="serving",deployment="a"', 4.0)],
        "kube_statefulset_status_replicas_ready": [
            ('namespace="serving",statefulset="b"', 2.0),
            ('namespace="other",statefulset="redis"', 50.0),
        ],
        "kube_statefulset_replicas": [('namespace="serving",statefulset="b"', 2.0)],
        "kube_node_status_allocatable": [
            ('node="n1",resource="nvidia_com_gpu",unit="integer"', 8.0),
            ('node="n2",resource="nvidia_com_gpu",unit="integer"', 6.0),
            ('node="n2",resource="nvidia_com_mig_1g_10gb",unit="integer"', 7.0),
            ('node="n2",resource="nvidia_com_mig_3g_40gb",unit="integer"', 2.0),
            ('node="n3",resource="aws_amazon_com_neuron",unit="integer"', 16.0),
            ('node="n3",resource="aws_amazon_com_neuroncore",unit="integer"', 32.0),
            ('node="n1",resource="cpu",unit="core"', 192.0),
        ],
        "kube_pod_container_resource_requests": [
            ('namespace="serving",pod="finished",resource="nvidia_com_gpu"', 8.0)
        ],
    }
)
