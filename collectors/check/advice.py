"""What to run, and how to scrape it, where a stack is missing. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from collectors.signals.catalogue import Preset, Role
from collectors.text import clean

LOOKED_FOR: Mapping[Role, str] = {
    "engine": "no engine",
    "router": "no endpoint picker",
    "gateway": "no gateway that tells tiers or teams apart",
    "accelerator": "no accelerator exporter",
    "cluster": "no kube-state-metrics",
    "rollout": "no rollout controller",
}
"""What is missing where no stack of a role was seen, in order of how much it would bring."""

_HINTS = ("gpu", "nvidia", "dcgm", "amd_", "vllm", "sglang", "llm", "inference", "token", "triton", "tpu")


class _Exporter(NamedTuple):
    """How a stack is scraped unless told otherwise. source: the documentation of each project"""

    port: int
    path: str = "/metrics"


# The commonest first.
_EXPORTERS: Mapping[str, _Exporter] = {
    "dcgm": _Exporter(9400),
    "nvidia-smi": _Exporter(9835),
    "amd": _Exporter(5000),
    "gaudi": _Exporter(41611),
    "vllm": _Exporter(8000),
    "sglang": _Exporter(30000),
    "triton": _Exporter(8002),
    "trtllm-serve": _Exporter(8000, "/prometheus/metrics"),
    "llama-cpp": _Exporter(8080),
    "endpoint-picker": _Exporter(9090),
    "litellm": _Exporter(4000),
    "argo-rollouts": _Exporter(8090),
    "kube-state-metrics": _Exporter(8080),
}


def bringing(family: str, presets: Sequence[Preset], detected: frozenset[str]) -> str:
    """A sentence: which kind of stack would bring a signal that no detected one has; "" for none known.

    family: the signal, of a histogram without its quantile
    detected: stacks that are there
    """
    by_role: dict[Role, list[str]] = {}
    seen = {preset.role for preset in presets if preset.stack in detected}
    commonest = list(_EXPORTERS)
    for preset in sorted(
        presets, key=lambda p: commonest.index(p.stack) if p.stack in _EXPORTERS else len(commonest)
    ):
        if preset.stack not in detected and any(one.signal == family for one in preset.definitions):
            by_role.setdefault(preset.role, []).append(preset.title)
    for role, missing in LOOKED_FOR.items():
        if role in by_role and role not in seen:
            titles = by_role[role]
            would = f"{titles[0]} would bring it" if len(titles) == 1 else f"these would: {_listed(titles)}"
            return f"{missing} is scraped: {would}"
    others = [title for role in LOOKED_FOR for title in by_role.get(role, ())]
    return f"of the stacks that are there none has it; these would: {_listed(others)}" if others else ""


def scrape_configs(presets: Sequence[Preset], detected: frozenset[str]) -> tuple[str, ...]:
    """Lines of YAML for prometheus.yml: a job for one stack of each role that matters and is missing."""
    lines: list[str] = []
    seen = {preset.role for preset in presets if preset.stack in detected}
    for role in ("accelerator", "engine"):
        if role in seen:
            continue
        for stack in _EXPORTERS:
            preset = next((p for p in presets if p.stack == stack and p.role == role), None)
            if preset is None:
                continue
            exporter = _EXPORTERS[stack]
            lines.append(f"  - job_name: {preset.stack}   # {preset.title}")
            if exporter.path != "/metrics":
                lines.append(f"    metrics_path: {exporter.path}")
            lines.append(f'    static_configs: [{{ targets: ["HOST:{exporter.port}"] }}]')
            break
    return ("scrape_configs:", *lines) if lines else ()


def telling(names: Iterable[str], most: int = 8) -> tuple[str, ...]:
    """Metric names that may be of accelerators or engines tidegate does not know, in order of name."""
    found = sorted(name for name in names if any(hint in name.lower() for hint in _HINTS))
    return tuple(clean(name, 80) for name in found[:most])


def families(names: Iterable[str], most: int = 6) -> tuple[str, ...]:
    """What metric names begin with, the commonest first: `node_` (312)."""
    counts: dict[str, int] = {}
    for name in names:
        cut = min((at for mark in "_:" if (at := name.find(mark)) > 0), default=len(name))
        prefix = clean(name[: cut + 1], 40)
        counts[prefix] = counts.get(prefix, 0) + 1
    commonest = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(f"{prefix} ({count})" for prefix, count in commonest[:most])


def _listed(titles: Sequence[str], most: int = 3) -> str:
    more = f" and {len(titles) - most} more" if len(titles) > most else ""
    return ", ".join(titles[:most]) + more
