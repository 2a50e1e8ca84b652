"""Exported accelerators: what dcgm-exporter says about each row, drawn on demand from the model it serves.

Values differ from row to row by a hash of (accelerator, slow time); the rows of a model are, on average,
exactly as busy as the model. Source of names and labels: dcgm-exporter 4.5.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from collectors.simulator.classes import Flags, Floats, Ints
from collectors.simulator.exposition import Template, Writer
from collectors.simulator.layout import Layout
from collectors.simulator.world import World

XID_TEXT: Final[Mapping[int, str]] = {
    0: "No Error",
    48: "Double Bit ECC Error",
    63: "ECC page retirement or row remapping recording event",
    74: "NVLINK Error",
    79: "GPU has fallen off the bus",
    94: "Contained ECC error",
    95: "Uncontained ECC error",
}

_FAMILIES = (
    "DCGM_FI_DEV_GPU_UTIL",
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
    "DCGM_FI_DEV_FB_USED",
    "DCGM_FI_DEV_FB_FREE",
    "DCGM_FI_DEV_FB_RESERVED",
    "DCGM_FI_DEV_POWER_USAGE",
    "DCGM_FI_DEV_GPU_TEMP",
    "DCGM_FI_DEV_XID_ERRORS",
)
_RESERVED_MIB = 551
_SPREAD = 0.08
_WAVE_S = 30.0


class Accelerators:
    """Rows of all pages, by zone."""

    def __init__(self, world: World, layout: Layout, namespace: str) -> None:
        self._world, self._layout, self._namespace = world, layout, namespace
        rows = [row for found in layout.rows.values() for row in found]
        self._rows = rows
        ends = np.cumsum([len(found) for found in layout.rows.values()])
        self._zone = {
            zone: slice(end - len(found), end)
            for (zone, found), end in zip(layout.rows.items(), ends.tolist(), strict=True)
        }
        self._pool = np.array([row.pool for row in rows], dtype=np.int64)
        self._number = np.array([row.number for row in rows], dtype=np.int64)
        self._seed = np.array([int(row.uuid[4:12], 16) for row in rows], dtype=np.uint64)
        self._first_rows = [pool.rows for pool in world.supply.pools]
        fleet = world.scenario.fleet
        kinds = [fleet.kinds[pool.kind] for pool in world.supply.pools]
        self._kinds = kinds
        self._model = np.array([pool.model for pool in world.supply.pools], dtype=np.int64)[self._pool]
        self._watts = np.array([kind.power_w for kind in kinds])[self._pool]
        memory = np.array([kind.memory_mib for kind in kinds], dtype=np.int64)[self._pool]
        # Engines take their cache when they start: used memory is no measure of load.
        self._used = (memory * (0.9 + 0.03 * self._hash(0, 7))).astype(np.int64)
        self._free = memory - self._used - _RESERVED_MIB
        self._templates: dict[str, tuple[bytes, Template]] = {}
        self._values: tuple[int, list[list[object]], Flags] | None = None

    def page(self, zone: str) -> str:
        """The page of one zone's exporter."""
        values, visible = self._drawn()
        here = self._zone[zone]
        shown = visible[here]
        held = self._templates.get(zone)
        if held is None or held[0] != shown.tobytes():
            held = (shown.tobytes(), self._template(zone, shown))
            self._templates[zone] = held
        numbers = np.flatnonzero(shown) + here.start
        out: list[object] = []
        for family in values[:-1]:
            out += [family[n] for n in numbers]
        for n in numbers:
            code = values[-1][n]
            out += [code, XID_TEXT[int(str(code))], code]
        return held[1].filled(out)

    def _template(self, zone: str, shown: Flags) -> Template:
        page = Writer()
        rows = [row for row, is_shown in zip(self._layout.rows[zone], shown, strict=True) if is_shown]
        for family in _FAMILIES:
            page.family(family, "gauge")
            for row in rows:
                labels = [
                    ("gpu", str(row.gpu)),
                    ("UUID", row.uuid),
                    ("modelName", self._kinds[row.pool].model_name),
                    ("Hostname", row.node),
                    ("container", "vllm"),
                    ("namespace", self._namespace),
                    ("pod", row.pod),
                ]
                page.sample(family, labels, 'err_code="%s",err_msg="%s"' if "XID" in family else "")
        return page.template()

    def _drawn(self) -> tuple[list[list[object]], Flags]:
        """Values of every row by family, in order, and which rows are in service."""
        world = self._world
        if self._values is not None and self._values[0] == world.tick:
            return self._values[1], self._values[2]
        visible = self._number < np.array([pool.rows for pool in world.supply.pools])[self._pool]
        xid = self._xid()
        # A row stands for many: a broken one, at 0, would weigh as much as all that it stands for.
        wave = self._wave(1)
        count = np.bincount(self._model[visible], minlength=len(world.busy))
        mean = np.bincount(self._model[visible], wave[visible], minlength=len(world.busy)) / np.maximum(
            count, 1
        )
        spread = np.minimum(_SPREAD, np.minimum(world.busy, 1 - world.busy))
        # The mean is taken out, so that rows differ and their average does not.
        busy = np.where(visible, (world.busy + spread * -mean)[self._model] + spread[self._model] * wave, 0.0)
        load = np.where(visible, 0.35 * busy + 0.45 * world.occupancy[self._model], 0.0)
        watts = self._watts * (0.13 + load + 0.04 * self._wave(2))
        heat = 32 + 48 * load + 6 * (self._hash(0, 3) + 0.5) + 2 * self._wave(4)
        util = np.where(visible, np.minimum(100.0, np.ceil(100 * busy) + 1), 0.0)
        values: list[list[object]] = [
            util.astype(np.int64).tolist(),
            np.round(busy, 6).tolist(),
            self._used.tolist(),
            self._free.tolist(),
            [_RESERVED_MIB] * len(busy),
            np.round(watts, 3).tolist(),
            np.rint(heat).astype(np.int64).tolist(),
            xid.tolist(),
        ]
        self._values = (world.tick, values, visible)
        return values, visible

    def _xid(self) -> Ints:
        """Last XID of each row, (n,); it stays until the accelerator is repaired."""
        codes = np.zeros(len(self._rows), dtype=np.int64)
        for fault in self._world.supply.faults:
            number = int(fault.place * self._first_rows[fault.pool])
            codes[(self._pool == fault.pool) & (self._number == number)] = fault.xid
        return codes

    def _wave(self, salt: int) -> Floats:
        """Slow noise of each row, -.5 .. .5: hashes half a minute apart, joined by lines."""
        slot, rest = divmod(self._world.time_s, _WAVE_S)
        part = rest / _WAVE_S
        now: Floats = self._hash(int(slot), salt) * (1 - part) + self._hash(int(slot) + 1, salt) * part
        return now

    def _hash(self, slot: int, salt: int) -> Floats:
        """A number in -.5 .. .5 for each row. Source of the mixing: SplitMix64."""
        mask = (1 << 64) - 1
        mixed = self._seed + np.uint64(((slot * 0x9E3779B97F4A7C15) ^ (salt * 0xD1B54A32D192ED03)) & mask)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) / 2.0**53 - 0.5
