"""This machine's accelerators: what the driver's answers become, and what is said where it gives none.

The real library asks a driver that is made of `tests/data/nvml/*.json`: it fills the library's own structures
as libnvidia-ml.so.1 does. The values are invented; the forms are those of the API.
"""

import asyncio
import ctypes
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pynvml
import pytest

from collectors.config import Identity
from collectors.fleet import MISSING_CELL, SourceState
from collectors.nvml import NvmlPoller, Told
from collectors.signals.assemble import observed
from collectors.signals.catalogue import Poll, Row
from collectors.signals.identity import Names
from collectors.signals.keys import Key

DATA = Path(__file__).parents[1] / "data" / "nvml"


class Recorded:
    """A driver's shared library, as `ctypes` loads it: functions that fill structures and return a code."""

    def __init__(self, name: str) -> None:
        told = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
        self.driver: str = told["driver"]
        self.devices: list[dict[str, Any]] = told["devices"]
        self.opened = self.closed = 0
        self.refuses: dict[str, int] = {}
        # Handles are addresses to the library: only we know what stands behind them.
        self._behind: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        answer = getattr(type(self), f"_{name.removesuffix('_v2')}", None)
        if not name.startswith("nvml") or answer is None:
            raise AttributeError(name)

        def call(*arguments: Any) -> int:
            if code := self.refuses.get(name.removesuffix("_v2")):
                return code
            return answer(self, *arguments) or pynvml.NVML_SUCCESS

        return call

    def _nvmlInitWithFlags(self, _: int) -> None:
        self.opened += 1

    def _nvmlShutdown(self) -> None:
        self.closed += 1

    def _nvmlSystemGetDriverVersion(self, text: Any, _: Any) -> None:
        text.value = self.driver.encode()

    def _nvmlDeviceGetCount(self, count: Any) -> None:
        count._obj.value = len(self.devices)

    def _nvmlDeviceGetHandleByIndex(self, index: Any, handle: Any) -> int:
        return self._handed(handle, self.devices[index.value])

    def _nvmlDeviceGetMigMode(self, handle: Any, current: Any, pending: Any) -> int:
        if (mode := self._of(handle).get("mig")) is None:
            return int(pynvml.NVML_ERROR_NOT_SUPPORTED)
        current._obj.value = pending._obj.value = mode
        return 0

    def _nvmlDeviceGetMaxMigDeviceCount(self, handle: Any, count: Any) -> None:
        count._obj.value = len(self._of(handle).get("slices", ()))

    def _nvmlDeviceGetMigDeviceHandleByIndex(self, handle: Any, index: Any, piece: Any) -> int:
        found = self._of(handle)["slices"][index.value]
        return int(pynvml.NVML_ERROR_NOT_FOUND) if found is None else self._handed(piece, found)

    def _nvmlDeviceGetGpuInstanceId(self, handle: Any, number: Any) -> None:
        number._obj.value = self._of(handle)["instance"]

    def _nvmlDeviceGetName(self, handle: Any, text: Any, _: Any) -> None:
        text.value = self._of(handle)["name"].encode()

    def _nvmlDeviceGetUUID(self, handle: Any, text: Any, _: Any) -> None:
        text.value = self._of(handle)["uuid"].encode()

    def _nvmlDeviceGetUtilizationRates(self, handle: Any, rates: Any) -> int:
        return self._filled(rates, handle, "busy", "gpu")

    def _nvmlDeviceGetPowerUsage(self, handle: Any, milliwatts: Any) -> int:
        return self._filled(milliwatts, handle, "milliwatts", "value")

    def _nvmlDeviceGetTemperature(self, handle: Any, sensor: Any, celsius: Any) -> int:
        return self._filled(celsius, handle, "celsius", "value")

    def _nvmlDeviceGetTotalEccErrors(self, handle: Any, kind: Any, since: Any, count: Any) -> int:
        return self._filled(count, handle, "uncorrected", "value")

    def _nvmlDeviceGetMemoryInfo(self, handle: Any, memory: Any) -> None:
        for field, value in self._of(handle)["memory"].items():
            setattr(memory._obj, field, value)

    def _nvmlDeviceGetRemappedRows(self, handle: Any, *counts: Any) -> int:
        if (rows := self._of(handle).get("remapped")) is None:
            return int(pynvml.NVML_ERROR_NOT_SUPPORTED)
        for count, value in zip(counts, rows, strict=True):
            count._obj.value = value
        return 0

    def _filled(self, place: Any, handle: Any, key: str, field: str) -> int:
        if (value := self._of(handle).get(key)) is None:
            return int(pynvml.NVML_ERROR_NOT_SUPPORTED)
        setattr(place._obj, field, value)
        return 0

    def _handed(self, handle: Any, device: dict[str, Any]) -> int:
        if "lost" in device:
            return int(pynvml.NVML_ERROR_GPU_IS_LOST)
        self._behind.append(device)
        ctypes.cast(handle, ctypes.POINTER(ctypes.c_void_p))[0] = len(self._behind)
        return 0

    def _of(self, handle: Any) -> dict[str, Any]:
        number = ctypes.cast(handle, ctypes.c_void_p).value
        assert number is not None
        return self._behind[number - 1]


@pytest.fixture
def driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    """A recorded driver in place of the machine's."""
    made = Recorded(getattr(request, "param", "h100x2"))
    monkeypatch.setattr(pynvml, "nvmlLib", made)
    pynvml._nvmlGetFunctionPointer_cache.clear()
    yield made
    pynvml._nvmlGetFunctionPointer_cache.clear()


async def polled(host: str = "node-7") -> Poll:
    poller = NvmlPoller(host=host)
    try:
        return await poller.poll()
    finally:
        await poller.aclose()


def answered(poll: Poll, signal: str, lane: str = "fast") -> tuple[Row, ...]:
    (rows,) = (
        one.rows for one in poll.answers if (one.definition.signal, one.definition.lane) == (signal, lane)
    )
    return rows


async def test_units_are_the_signals(driver: Recorded) -> None:
    """Percent, milliwatts and bytes become shares, watts, a ratio; the hottest counts, the mean is busy."""
    poll = await polled()
    values = {
        one.definition.signal: one.rows[0].value
        for one in poll.answers
        if one.definition.lane == "fast" and one.rows
    }
    assert values == {
        "accelerators": 2.0,
        "busy_ratio": pytest.approx(0.50),
        "memory_ratio": pytest.approx((76235669504 + 1048576) / (2 * 85520809984)),
        "power_w": pytest.approx(583.52),
        "temperature_c": 61.0,
    }
    assert answered(poll, "busy_ratio")[0].rung == "any-kernel time"
    assert answered(poll, "busy_ratio")[0].labels == {
        "Hostname": "node-7",
        "workload": "node-7",
        "modelName": "NVIDIA H100 80GB HBM3",
    }
    assert (poll.health.state, poll.health.targets, poll.health.error) == (SourceState.OK, (2, 2), "")
    assert poll.detected[0].generation == "driver 550.54.15"


async def test_the_map_has_a_cell_for_each(driver: Recorded) -> None:
    """Busy percent by accelerator, and the one that could not remap a bad row is marked faulty."""
    seen = observed(await polled(), Names(Identity()))
    assert seen.nodes is not None
    (node,) = seen.nodes
    assert (node.name, node.pool, node.busy, node.marks) == (
        "node-7",
        "NVIDIA H100 80GB HBM3",
        b"\x61\x03",
        " X",
    )
    assert seen.readings[Key("", "", "accelerators")].value == 2


async def test_a_host_without_a_model_is_named(driver: Recorded) -> None:
    """Nobody knows which pod holds them: they are unmatched by the host's name, and an alias is enough."""
    poll = await polled()
    assert observed(poll, Names(Identity())).unmatched == ("node-7",)
    aliased = Names(Identity(aliases={"node-7": "aurora-5"}))
    seen = observed(poll, aliased)
    assert not seen.unmatched
    assert seen.readings[Key("aurora-5", "", "power_w")].value == 584


@pytest.mark.parametrize("driver", ["a100-mig"], indirect=True)
async def test_slices_are_listed(driver: Recorded) -> None:
    """A cut accelerator is one with several slices; busy time that no slice tells is missing, not 0."""
    poll = await polled()
    assert [row.value for row in answered(poll, "accelerators")] == [1.0]
    assert [row.value for row in answered(poll, "slices")] == [2.0]
    assert [row.value for row in answered(poll, "memory_ratio")] == [0.25]
    assert not answered(poll, "busy_ratio")
    heat = answered(poll, "busy_ratio", "heat")
    assert [row.labels["GPU_I_ID"] for row in heat] == ["2", "9"]
    seen = observed(poll, Names(Identity()))
    assert seen.nodes is not None
    assert seen.nodes[0].busy == bytes([MISSING_CELL, MISSING_CELL])


@pytest.mark.parametrize("driver", ["a100-mig"], indirect=True)
async def test_memory_of_slices_stands_in(driver: Recorded) -> None:
    """Where the whole may not be asked, its slices tell the memory."""
    real = driver._nvmlDeviceGetMemoryInfo

    def only_slices(handle: Any, memory: Any) -> int:
        if "slices" in driver._of(handle):
            return int(pynvml.NVML_ERROR_NO_PERMISSION)
        real(handle, memory)
        return 0

    driver.__dict__["nvmlDeviceGetMemoryInfo_v2"] = driver.__dict__["nvmlDeviceGetMemoryInfo"] = only_slices
    pynvml._nvmlGetFunctionPointer_cache.clear()
    (row,) = answered(await polled(), "memory_ratio")
    assert row.value == pytest.approx(10468982784 / (20937965568 + 5100273664))


async def test_an_accelerator_that_fell_off_the_bus(driver: Recorded) -> None:
    """It is told as lost and as a fault, the other goes on, and it is no longer counted as there."""
    driver.devices[1] = {"lost": True}
    poll = await polled()
    assert poll.health.state is SourceState.PARTIAL
    assert poll.health.error.startswith("accelerator 1: fell off the bus.")
    assert poll.health.targets == (1, 2)
    assert answered(poll, "accelerators")[0].value == 1.0
    assert [row.value for row in answered(poll, "faults", "heat")] == [79.0]


async def test_old_drivers_tell_less(driver: Recorded) -> None:
    """Without the newer functions memory comes in the older form, and nothing is said of faults."""
    missing = pynvml.NVML_ERROR_FUNCTION_NOT_FOUND
    driver.refuses = {"nvmlDeviceGetRemappedRows": missing, "nvmlDeviceGetTotalEccErrors": missing}
    driver.devices[1]["remapped"] = [0, 0, 0, 0]
    poll = await polled()
    assert poll.health.state is SourceState.OK
    assert not answered(poll, "faults", "heat")


async def test_errors_of_memory_are_a_fault(driver: Recorded) -> None:
    """An uncorrected error since the driver was loaded is what XID 48 says."""
    driver.devices[0]["uncorrected"] = 2
    values = [row.value for row in answered(await polled(), "faults", "heat")]
    assert values == [48.0, 64.0]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "the NVIDIA driver is not loaded"),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "Reboot this machine"),
        (pynvml.NVML_ERROR_NO_PERMISSION, "may not be asked by this user"),
        (pynvml.NVML_ERROR_UNKNOWN, "refused: Unknown Error. Look at `nvidia-smi`"),
    ],
)
async def test_a_refusal_says_what_to_do(driver: Recorded, code: int, said: str) -> None:
    """Each of the driver's refusals ends the poll as lost, with its remedy, and the next poll begins anew."""
    driver.refuses = {"nvmlDeviceGetCount": code}
    poller = NvmlPoller(host="node-7")
    poll = await poller.poll()
    assert poll.health.state is SourceState.LOST
    assert said in poll.health.error
    assert (poll.answers, poll.stacks) == ((), ())
    driver.refuses = {}
    assert (await poller.poll()).health.state is SourceState.OK
    assert (driver.opened, driver.closed) == (2, 1)
    await poller.aclose()


async def test_a_machine_without_accelerators(driver: Recorded) -> None:
    """A driver that finds none is lost, not a fleet of nought."""
    driver.devices = []
    poll = await polled()
    assert poll.health.state is SourceState.LOST
    assert "finds no accelerator" in poll.health.error


async def test_a_machine_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real library, on a machine that has no driver's: what to install."""

    def absent(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(pynvml, "CDLL", absent)
    pynvml._nvmlGetFunctionPointer_cache.clear()
    poll = await polled()
    assert poll.health.state is SourceState.LOST
    assert "no libnvidia-ml.so.1. Install the NVIDIA driver" in poll.health.error


async def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The optional part is named, with the command that brings it."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    poll = await polled()
    assert poll.health.error.endswith("Run: pip install 'tidegate[nvml]'.")


async def test_a_driver_that_hangs_holds_nobody() -> None:
    """The poll ends in time and says so; nobody asks again until it answered; closing waits for nothing."""
    asked, let_go = [], threading.Event()

    def hangs() -> Told:
        asked.append(1)
        let_go.wait()
        return Told("1", ())

    poller = NvmlPoller(host="node-7", timeout_s=0.05, read=hangs)
    first, second = await poller.poll(), await poller.poll()
    assert "the driver hangs" in first.health.error
    assert (second.health.state, second.health.skipped, len(asked)) == (SourceState.LOST, 1, 1)
    let_go.set()
    async with asyncio.timeout(60):
        while (await poller.poll()).health.state is not SourceState.OK:
            await asyncio.sleep(0.01)
    hung = NvmlPoller(host="node-7", timeout_s=0.01, read=lambda: let_go.wait() and Told("1", ()))
    let_go.clear()
    await hung.poll()
    await hung.aclose()
    await hung.aclose()
    let_go.set()
    await poller.aclose()
