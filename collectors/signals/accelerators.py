"""Accelerators of a poll: what each group weighs, the heat map, which are faulty, which are shared. Pure.

A row stands for a card, a slice of one, or many of either. A card that several pods hold, or that is cut into
slices for several, is in each one's row; in the fleet it counts once.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from collectors.fleet import MISSING_CELL, Node
from collectors.readings import Quality, Reading, Reason, impossible, reading
from collectors.signals.catalogue import Answer, Row
from collectors.signals.identity import Names, workload
from collectors.signals.keys import Key
from collectors.text import clean

FAULT_XIDS = frozenset({48, 63, 64, 74, 79, 92, 94, 95, 119, 120})
"""XID codes that mean the accelerator, not the application; a starting point, to be confirmed per fleet."""

MAX_NODES = 2048
"""Heat-map hosts kept in a frame; more are cut and the frame says so."""

SLICES_OF_A_CARD = 7
"""A MIG profile such as 3g.40gb is so many of a card's seven parts."""

_PROFILE = "GPU_I_PROFILE"
_HOSTS = ("Hostname", "hostname", "node", "instance_id", "instance")
_IDS = ("UUID", "uuid", "gpu_uuid", "serial_number")
_PLACES = ("gpu", "gpu_id", "neuroncore", "neuron_device_index", "module_id", "accelerator_id", "device")
_PARTS = ("GPU_I_ID", "gpu_instance_id", "gpu_partition_id")

ONE_ACCELERATOR = frozenset((*_IDS, *_PLACES, *_PARTS))
"""Labels that name one accelerator or a part of it, of any stack. The profile of a slice is none: slices of
one size on a host may be averaged, those of two may not."""

_NUMBER = re.compile(r"[0-9]+$")
_SLICE = re.compile(r"(?:[0-9]+c\.)?([1-7])g\.[0-9]+gb.*")
_SLICE_RESOURCE = re.compile(r"nvidia_com_mig_([1-7])g_[0-9]+gb.*")

_Labels = tuple[tuple[str, str], ...]


def weights(answers: Sequence[Answer], names: Names, exported: bool) -> dict[_Labels, float]:
    """Accelerators behind each group of labels, to weight ratios with.

    A row of slices, told by its profile, weighs its parts of a card; beside it stands a row for the whole
    cards of the group alone. A group of slices only weighs what they add up to.
    """
    behind: defaultdict[_Labels, float] = defaultdict(float)
    parts: defaultdict[_Labels, float] = defaultdict(float)
    cut: dict[_Labels, float] = {}
    for answer in answers:
        signal, role = answer.definition.signal, answer.definition.role
        if signal not in {"accelerators", "slices"}:
            continue
        for row, value in _finite(answer.rows):
            key, value = _key(row.labels), value * stands_for(row, names, exported)
            if signal == "accelerators" and role != "heat":
                behind[key] += value
            elif signal == "slices" and role == "heat":
                cut[key] = value
            elif signal == "slices":
                behind[key] += value * part_of_card(row)
                parts[_key(row.labels, without=_PROFILE)] += value * part_of_card(row)
    for key, cards in cut.items():
        whole = behind.get(key, 0.0) - cards
        behind[key] = whole if whole > 0 else parts.get(key, behind.get(key, 0.0))
    return dict(behind)


def stands_for(row: Row, names: Names, exported: bool) -> float:
    """Accelerators that an exported one stands for: 1 unless its pool says that the exporter samples."""
    pool = names.pool(row.labels, exported=exported)
    return pool.stands_for if pool else 1.0


def part_of_card(row: Row) -> float:
    """Share of a card that a slice is, by its MIG profile: `1g.10gb` is a seventh; 1 for anything else."""
    found = _SLICE.fullmatch(row.labels.get(_PROFILE, ""))
    return int(found[1]) / SLICES_OF_A_CARD if found else 1.0


def cards_of(row: Row) -> float:
    """Accelerators that one unit of a Kubernetes resource is: of a MIG slice its part of a card, else 1."""
    resource = re.sub(r"[^A-Za-z0-9]", "_", row.labels.get("resource", ""))
    found = _SLICE_RESOURCE.fullmatch(resource)
    return int(found[1]) / SLICES_OF_A_CARD if found else 1.0


def heat_map(answers: Sequence[Answer], names: Names, exported: bool) -> tuple[tuple[Node, ...] | None, int]:
    """Accelerators by host from the heat lane: busy percent and fault letters, in order of accelerator.

    A letter is X for an XID, e for memory errors. Returns no nodes where the map was not asked, and how many
    hosts there are where that is more than `MAX_NODES`.
    """
    busy = [a for a in _heat(answers) if a.definition.signal == "busy_ratio"]
    if not busy:
        return None, 0
    faulty = _faulty(answers)
    hosts: defaultdict[tuple[str, str], list[tuple[Row, float]]] = defaultdict(list)
    for row, value in _cells(busy):
        pool = names.pool(row.labels, exported=exported)
        kind = pool.kind if pool else clean(row.labels.get("modelName", "") or "accelerators", 40)
        hosts[kind, _host(row)].append((row, value))
    nodes = []
    for (kind, host), cells in sorted(hosts.items()):
        cells.sort(key=lambda cell: _slot(cell[0]))
        models = {names.model_of_accelerator(row.labels, exported=exported) for row, _ in cells}
        drawn = _once_each(cells)
        nodes.append(
            Node(
                name=host,
                pool=kind,
                busy=bytes(_percent(value) for _, value in drawn),
                marks="".join(_mark(faulty.get(_accelerator(row))) for row, _ in drawn),
                models=tuple(sorted(model for model in models if model)),
            )
        )
    return tuple(nodes[:MAX_NODES]), len(nodes) if len(nodes) > MAX_NODES else 0


def add_faults(readings: dict[Key, Reading], answers: Sequence[Answer], names: Names, exported: bool) -> None:
    """Faulty accelerators by model and in all; zero only where accelerators were seen by a stack that tells
    faults.

    A fault's row names the accelerator and may lack its pod: the busy time's row of the same one has it. A
    card with several faults, or with labels that changed with them, counts once.
    """
    heat = _heat(answers)
    telling = {a.definition.stack for a in heat if a.definition.signal == "faults" and not a.error}
    if not telling:
        return
    at = min((a.at for a in heat if a.at is not None), default=None)
    seen = [a for a in heat if a.definition.signal == "busy_ratio" and a.definition.stack in telling]
    holders: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for answer in seen:
        for row in answer.rows:
            if model := names.model_of_accelerator(row.labels, exported=exported):
                holders[_accelerator(row)].add(model)
    counts: dict[str, int] = dict.fromkeys({"", *(m for models in holders.values() for m in models)}, 0)
    for accelerator, row in _faulty(answers).items():
        # Faults are counted as seen, even where rows are a sample: they come one by one, not in proportion.
        counts[""] += 1
        own = names.model_of_accelerator(row.labels, exported=exported)
        for model in holders.get(accelerator) or ({own} if own else set()):
            counts[model] = counts.get(model, 0) + 1
    for model, count in counts.items():
        if Key(model, "", "accelerators") in readings:
            readings[Key(model, "", "faults")] = reading("faults", count, at)


def count_once(readings: dict[Key, Reading], answers: Sequence[Answer], names: Names, exported: bool) -> None:
    """Make the fleet's readings count each accelerator once, and say where only some are comparable.

    Sums over the models count a shared card for each of them. Where the map names every card its busy time is
    averaged anew; on a fleet too large for that, a shared card keeps the weight of all its holders.
    """
    shared = [stack for stack in _stacks(answers) if _excess(answers, stack, "accelerators") > 0]
    behind = weights(answers, names, exported)
    for signal in ("accelerators", "power_w"):
        _less(readings, signal, sum(_excess(answers, stack, signal) for stack in shared))
    if shared:
        for signal in ("memory_ratio", "busy_ratio"):
            _mean_of_cards(readings, signal, answers, shared, behind)
        _unknown_shares(readings, answers, shared, names, exported)
    _partly_measured(readings, answers, behind, names, exported)


def _less(readings: dict[Key, Reading], signal: str, excess: float) -> None:
    found = readings.get(Key("", "", signal))
    if excess > 0 and found is not None and found.estimate is not None:
        total = max(0.0, found.estimate - excess)
        readings[Key("", "", signal)] = reading(
            signal, total, found.at, found.quality, found.reason, found.coverage
        )


def _excess(answers: Sequence[Answer], stack: str, signal: str) -> float:
    """By how much the sum over groups is more than that over accelerators; 0 where nobody counted these."""
    groups = [a for a in answers if _is(a, stack, signal) and a.definition.role != "heat"]
    once = [a for a in answers if _is(a, stack, signal) and a.definition.role == "heat"]
    if not groups or not once or not (rows := _finite(once[0].rows)):
        return 0.0
    return sum(value for _, value in _finite(groups[0].rows)) - sum(value for _, value in rows)


def _mean_of_cards(
    readings: dict[Key, Reading],
    signal: str,
    answers: Sequence[Answer],
    shared: Sequence[str],
    behind: Mapping[_Labels, float],
) -> None:
    """The fleet's mean of a ratio, over accelerators instead of over their holders."""
    total = readings.get(Key("", "", signal))
    if total is None or total.estimate is None:
        return
    parts: list[tuple[float, float, str]] = []
    for stack in _stacks(answers):
        of_stack = [a for a in answers if _is(a, stack, signal) and a.definition.role != "heat"]
        single = [a for a in _heat(answers) if _is(a, stack, signal)] if stack in shared else []
        if signal == "busy_ratio" and any(not _names_one(row) for a in single for row in a.rows):
            return
        if single and signal == "busy_ratio":
            cells = _once_each(_finite(row for answer in single for row in answer.rows))
            parts += [(value, part_of_card(row), row.rung) for row, value in cells]
            continue
        of_rows = _cards(answers, stack) if single else behind
        for row, value in _finite(row for answer in single or of_stack for row in answer.rows):
            parts.append((value, of_rows.get(_key(row.labels), 1.0), row.rung))
    parts = [part for part in parts if not part[2]] or parts
    if (weight := sum(part[1] for part in parts)) > 0:
        mean = sum(value * share for value, share, _ in parts) / weight
        readings[Key("", "", signal)] = reading(
            signal, mean, total.at, total.quality, total.reason, total.coverage
        )


def _unknown_shares(
    readings: dict[Key, Reading],
    answers: Sequence[Answer],
    shared: Sequence[str],
    names: Names,
    exported: bool,
) -> None:
    """Drop what is no memory of cards. With virtual GPUs dcgm-exporter tells a pod's own share of the used
    memory, and beside it the card's own without a pod and without what is free: that reads exactly full."""
    why = Reason("not-exported", ("virtual GPUs: a pod's own memory is told, and not that of its card",))
    for answer in answers:
        if answer.definition.signal != "memory_ratio" or answer.definition.role == "heat":
            continue
        full = [
            r for r, v in _finite(answer.rows) if v == 1.0 and not workload(r.labels, exported=exported).name
        ]
        if answer.definition.stack not in shared or not full:
            continue
        for row in answer.rows:
            model = names.model_of_accelerator(row.labels, exported=exported)
            if model and (found := readings.get(Key(model, "", "memory_ratio"))) is not None:
                readings[Key(model, "", "memory_ratio")] = Reading(
                    None, found.at, Quality.MISSING, why, found.coverage
                )


def _partly_measured(
    readings: dict[Key, Reading],
    answers: Sequence[Answer],
    behind: Mapping[_Labels, float],
    names: Names,
    exported: bool,
) -> None:
    """Say of how many accelerators a busy time is, where it leaves out those with a lesser metric only."""
    weighed: defaultdict[str, dict[bool, float]] = defaultdict(lambda: {True: 0.0, False: 0.0})
    for answer in answers:
        if answer.definition.signal != "busy_ratio" or answer.definition.role != "accelerator":
            continue
        for row, _ in _finite(answer.rows):
            model = names.model_of_accelerator(row.labels, exported=exported)
            for name in {"", model or ""}:
                weighed[name][not row.rung] += behind.get(_key(row.labels), 1.0)
    for model, by in weighed.items():
        key = Key(model, "", "busy_ratio")
        if by[True] and by[False] and (found := readings.get(key)) is not None and not found.reason.code:
            said = f"engine time on {by[True]:.3g} of {by[True] + by[False]:.3g} accelerators"
            readings[key] = replace(found, reason=Reason("rung", (said,)))


def _is(answer: Answer, stack: str, signal: str) -> bool:
    return answer.definition.stack == stack and answer.definition.signal == signal


def _cards(answers: Sequence[Answer], stack: str) -> dict[_Labels, float]:
    """Accelerators of a stack, each once, by the labels that are kept of all."""
    counted = [a for a in _heat(answers) if _is(a, stack, "accelerators")]
    return {_key(row.labels): value for answer in counted for row, value in _finite(answer.rows)}


def _stacks(answers: Sequence[Answer]) -> list[str]:
    return list(dict.fromkeys(a.definition.stack for a in answers if a.definition.role == "accelerator"))


def _heat(answers: Sequence[Answer]) -> list[Answer]:
    return [answer for answer in answers if answer.definition.role == "heat"]


def _finite(rows: Iterable[Row]) -> list[tuple[Row, float]]:
    return [(r, r.value) for r in rows if isinstance(r.value, float) and math.isfinite(r.value)]


def _cells(busy: Iterable[Answer]) -> list[tuple[Row, float]]:
    """Rows of the map with their value, NaN included: that cell is missing and not absent."""
    return [(row, row.value) for answer in busy for row in answer.rows if isinstance(row.value, float)]


def _key(labels: Mapping[str, str], without: str = "") -> _Labels:
    return tuple(sorted((name, value) for name, value in labels.items() if name != without))


def _percent(busy: float) -> int:
    """A cell of the heat map; what is no number, or impossible, is missing."""
    if not math.isfinite(busy) or impossible("busy_ratio", busy):
        return MISSING_CELL
    return max(0, min(round(100 * busy), 100))


def _mark(fault: Row | None) -> str:
    if fault is None:
        return " "
    return "e" if "ECC" in fault.rung or "row" in fault.rung else "X"


def _first(row: Row, labels: Sequence[str]) -> str:
    return next((value for label in labels if (value := row.labels.get(label))), "")


def _host(row: Row) -> str:
    return _first(row, _HOSTS) or "?"


def _slot(row: Row) -> tuple[int, str, str]:
    """Order on a host: by the number of the card, which may end its name, then by its part."""
    place = _first(row, _PLACES)
    number = _NUMBER.search(place) if place.isascii() else None
    # An index is short; the digits of a hostile name may be many.
    return (int(number[0][-9:]) if number else 0, _first(row, _IDS), _first(row, _PARTS))


def _accelerator(row: Row) -> tuple[str, ...]:
    # By which label too: the second core of a host is not its second device.
    label = next((one for one in _PLACES if row.labels.get(one)), "")
    return (_host(row), label, row.labels.get(label, ""), _first(row, _IDS))


def _names_one(row: Row) -> bool:
    return not ONE_ACCELERATOR.isdisjoint(row.labels)


def _once_each(cells: Sequence[tuple[Row, float]]) -> list[tuple[Row, float]]:
    """Of rows that name the same accelerator, and part of it, the largest; rows for many stay as they are."""
    found: dict[tuple[str, ...], tuple[Row, float]] = {}
    for number, (row, value) in enumerate(cells):
        name = (*_accelerator(row), _first(row, _PARTS)) if _names_one(row) else (str(number),)
        if name not in found or math.isnan(found[name][1]) or value > found[name][1]:
            found[name] = (row, value)
    return list(found.values())


def _faulty(answers: Iterable[Answer]) -> dict[tuple[str, ...], Row]:
    """One row for each faulty accelerator: its last XID means the accelerator itself, or something else that
    is no XID, as its rung says, counts above 0."""
    rows: dict[tuple[str, ...], Row] = {}
    for answer in answers:
        if answer.definition.role != "heat" or answer.definition.signal != "faults":
            continue
        for row, value in _finite(answer.rows):
            if value > 0 if row.rung else int(value) in FAULT_XIDS:
                known = rows.get(_accelerator(row))
                if known is None or (known.rung and not row.rung):
                    rows[_accelerator(row)] = row
    return rows
