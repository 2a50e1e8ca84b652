"""Names of nodes, accelerators and pods: what of the fleet is exported, and as what.

Pods are named as a Kubernetes Deployment names them, nodes so that zone and rack can be read from them.
Everything follows from the fleet alone, so it is the same in every run.
"""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

from collectors.simulator.classes import Classes
from collectors.simulator.scenario import ROWS_PER_NODE, Fleet
from collectors.simulator.supply import PoolState

_SAFE = "bcdfghjklmnpqrstvwxz2456789"  # what Kubernetes makes generated names of


class Row(NamedTuple):
    """One exported accelerator. `number`: its place among the rows of its pool."""

    pool: int
    number: int
    node: str
    gpu: int
    uuid: str
    pod: str


@dataclass(frozen=True, slots=True)
class Layout:
    """rows: by zone, in order of (node, gpu), with those of later deliveries; pods: of each model's pages."""

    rows: dict[str, tuple[Row, ...]]
    pods: dict[str, tuple[str, ...]]


def layout_of(fleet: Fleet, classes: Classes, pools: tuple[PoolState, ...]) -> Layout:
    """Places for every row that the fleet will ever export. Nodes go round the zones in turn."""
    nodes: list[tuple[int, int, int]] = []  # (pool, number of its first row, rows)
    later: list[tuple[int, int, int]] = []
    for index, pool in enumerate(pools):
        for start in range(0, pool.rows_at_most, ROWS_PER_NODE):
            where = nodes if start < pool.rows else later
            where.append((index, start, min(ROWS_PER_NODE, pool.rows_at_most - start)))
    rows: dict[str, list[Row]] = {zone: [] for zone in fleet.zones}
    pods: dict[str, list[str]] = {name: [] for name in classes.models}
    for number, (index, start, count) in enumerate([*nodes, *later]):
        zone, place = fleet.zones[number % len(fleet.zones)], number // len(fleet.zones)
        node = f"{zone}-r{place // fleet.nodes_per_rack + 1}-n{place % fleet.nodes_per_rack + 1:02d}"
        model = classes.models[pools[index].model]
        pod = _pod(model, node)
        pods[model].append(pod)
        rows[zone] += [Row(index, start + gpu, node, gpu, _uuid(node, gpu), pod) for gpu in range(count)]
    engines = {
        name: tuple((pods[name] + [_pod(name, f"page-{n}") for n in range(spec.pages)])[: spec.pages])
        for name, spec in zip(classes.models, classes.specs, strict=True)
    }
    return Layout(
        {zone: tuple(sorted(found, key=lambda r: (r.node, r.gpu))) for zone, found in rows.items() if found},
        engines,
    )


def generated(prefix: str, *seeds: str) -> str:
    """`prefix` and five letters, as a DaemonSet or ReplicaSet names its pods."""
    return f"{prefix}-{_letters('/'.join((prefix, *seeds)), 5)}"


def deployed(name: str, *seeds: str) -> str:
    """A pod of the Deployment `name`: its ReplicaSet's nine letters, then five of its own."""
    return generated(f"{name}-{_letters(name, 9)}", *seeds)


def _pod(model: str, node: str) -> str:
    return deployed(model, node)


def _letters(seed: str, count: int) -> str:
    digest = int.from_bytes(hashlib.blake2b(seed.encode(), digest_size=16).digest())
    return "".join(_SAFE[digest // len(_SAFE) ** place % len(_SAFE)] for place in range(count))


def _uuid(node: str, gpu: int) -> str:
    text = hashlib.blake2b(f"{node}/{gpu}".encode(), digest_size=16).hexdigest()
    return f"GPU-{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
