"""Accelerators of a poll: what each group weighs, the heat map, and which ones are faulty. Pure."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from collectors.fleet import MISSING_CELL, Node, Reading, clean, impossible, reading
from collectors.signals.catalogue import Answer, Row
from collectors.signals.identity import Names
from collectors.signals.keys import Key

FAULT_XIDS = frozenset({48, 63, 64, 74, 79, 92, 94, 95, 119, 120})
"""XID codes that mean the accelerator, not the application; a starting point, to be confirmed per fleet."""

MAX_NODES = 2048
"""Heat-map hosts kept in a frame; more are cut and the frame says so."""


def weights(
    answers: Sequence[Answer], names: Names, exported: bool
) -> dict[tuple[tuple[str, str], ...], float]:
    """Accelerators behind each group of labels, to weight ratios with."""
    counted = next((a for a in answers if a.definition.signal == "accelerators"), None)
    if counted is None:
        return {}
    return {
        tuple(sorted(row.labels.items())): row.value * stands_for(row, names, exported)
        for row in counted.rows
        if isinstance(row.value, float) and math.isfinite(row.value)
    }


def stands_for(row: Row, names: Names, exported: bool) -> float:
    pool = names.pool(row.labels, exported=exported)
    return pool.stands_for if pool else 1.0


def heat_map(answers: Sequence[Answer], names: Names, exported: bool) -> tuple[tuple[Node, ...] | None, int]:
    """Accelerators by host from the heat lane: busy percent and fault letters, in order of accelerator."""
    heat = [a for a in answers if a.definition.role == "heat"]
    busy = next((a for a in heat if a.definition.signal == "busy_ratio"), None)
    if busy is None:
        return None, 0
    faulty = {_accelerator(row) for row in _faulty(heat)}
    hosts: dict[tuple[str, str], list[tuple[tuple[int, str], int, str, str | None]]] = defaultdict(list)
    for row in busy.rows:
        if not isinstance(row.value, float):
            continue
        pool = names.pool(row.labels, exported=exported)
        kind = pool.kind if pool else clean(row.labels.get("modelName", "") or "accelerators", 40)
        percent = _percent(row.value)
        mark = "X" if _accelerator(row) in faulty else " "
        model = names.model_of_accelerator(row.labels, exported=exported)
        hosts[kind, _host(row)].append((_slot(row), percent, mark, model))
    nodes = []
    for (kind, host), cells in sorted(hosts.items()):
        cells.sort(key=lambda c: c[0])
        nodes.append(
            Node(
                name=host,
                pool=kind,
                busy=bytes(c[1] for c in cells),
                marks="".join(c[2] for c in cells),
                models=tuple(sorted({c[3] for c in cells if c[3]})),
            )
        )
    return tuple(nodes[:MAX_NODES]), len(nodes) if len(nodes) > MAX_NODES else 0


def _percent(busy: float) -> int:
    """A cell of the heat map; what is no number, or impossible, is missing."""
    if not math.isfinite(busy) or impossible("busy_ratio", busy):
        return MISSING_CELL
    return max(0, min(round(100 * busy), 100))


def _host(row: Row) -> str:
    return row.labels.get("Hostname") or row.labels.get("hostname") or row.labels.get("instance") or "?"


def _slot(row: Row) -> tuple[int, str]:
    index = row.labels.get("gpu", "")
    return (int(index) if index.isascii() and index.isdigit() else 0, row.labels.get("GPU_I_ID", ""))


def _accelerator(row: Row) -> tuple[str, str, str]:
    return (_host(row), row.labels.get("gpu", ""), row.labels.get("UUID", ""))


def _faulty(heat: Iterable[Answer]) -> list[Row]:
    """One row for each accelerator whose last XID means the accelerator itself."""
    rows = {
        _accelerator(row): row
        for answer in heat
        if answer.definition.signal == "faults"
        for row in answer.rows
        if isinstance(row.value, float) and math.isfinite(row.value) and int(row.value) in FAULT_XIDS
    }
    return list(rows.values())


def add_faults(readings: dict[Key, Reading], answers: Sequence[Answer], names: Names, exported: bool) -> None:
    """Faulty accelerators by model and in all; zero only where the accelerators themselves were seen.

    A fault's row names the accelerator and not its pod: the busy time's row of the same one does.
    """
    heat = [a for a in answers if a.definition.role == "heat"]
    at = min((a.at for a in heat if a.at is not None), default=None)
    holders = {_accelerator(r): r for a in heat if a.definition.signal == "busy_ratio" for r in a.rows}
    counts: dict[str, int] = defaultdict(int)
    for row in _faulty(heat):
        # Faults are counted as seen, even where rows are a sample: they come one by one, not in proportion.
        counts[""] += 1
        holder = holders.get(_accelerator(row), row)
        if model := names.model_of_accelerator(holder.labels, exported=exported):
            counts[model] += 1
    for model in {k.model for k in readings if k.signal == "accelerators"}:
        readings[Key(model, "", "faults")] = reading("faults", counts[model], at)
