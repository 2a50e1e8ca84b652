"""This machine's own NVIDIA accelerators, told by their driver: for a host that no exporter serves.

Through `nvidia-ml-py` (import name `pynvml`), an optional part: `pip install 'tidegate[nvml]'`. The driver
knows processes and not pods: rows name their host as their workload, so an alias of the host's name gives the
model. Source: NVML API reference, https://docs.nvidia.com/deploy/nvml-api.
"""

import asyncio
import math
import platform
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from collectors.daemon import in_daemon
from collectors.fleet import SourceHealth, SourceState
from collectors.signals.catalogue import (
    Answer,
    Definition,
    Detected,
    Metric,
    Poll,
    Preset,
    Row,
    ScrapeTarget,
)
from collectors.text import clean

STACK = "nvml"
INTERVAL_S = 5.0
"""Seconds between two polls: the driver's busy time is a mean over at most the last one."""

TIMEOUT_S = 4.0
"""A driver that takes longer is taken for one that hangs."""

ANY_KERNEL = "any-kernel time"
_HOST = ("Hostname", "workload", "modelName")
_DEVICE = (*_HOST, "gpu", "UUID", "GPU_I_ID")
_DEVICES = ("UUID",)


def _definition(signal: str, call: str, *, rung: str = "", **more: Any) -> Definition:
    metric = Metric(call, rung=rung, factor=more.pop("factor", 1.0))
    keep = _DEVICE if more.get("lane") == "heat" else _HOST
    role = "heat" if more.get("lane") == "heat" else "accelerator"
    return Definition(signal, STACK, role, "gauge", (metric,), keep, **more)  # type: ignore[arg-type]  # `role` is one of two literals


PRESET = Preset(
    STACK,
    "NVIDIA driver of this machine",
    "accelerator",
    (),
    (
        _definition("accelerators", "nvmlDeviceGetCount", aggregate="count", distinct=_DEVICES),
        _definition("slices", "nvmlDeviceGetMigDeviceHandleByIndex", aggregate="count", distinct=_DEVICES),
        _definition(
            "busy_ratio", "nvmlDeviceGetUtilizationRates", aggregate="avg", factor=0.01, rung=ANY_KERNEL
        ),
        _definition("memory_ratio", "nvmlDeviceGetMemoryInfo"),
        _definition("power_w", "nvmlDeviceGetPowerUsage", factor=0.001),
        _definition("temperature_c", "nvmlDeviceGetTemperature", aggregate="max"),
        _definition("busy_ratio", "nvmlDeviceGetUtilizationRates", lane="heat", factor=0.01, rung=ANY_KERNEL),
        _definition("faults", "nvmlDeviceGetRemappedRows", lane="heat"),
    ),
    never={"tensor_ratio": "the driver does not count tensor instructions: run dcgm-exporter"},
)
"""What the driver answers, as definitions: a metric's name is the call that brings it."""

ROW_REMAP_FAILED, DOUBLE_BIT_ERROR, FELL_OFF_THE_BUS = 64.0, 48.0, 79.0
"""XID codes with the same meaning as what the driver says of memory and bus. Source: NVIDIA, "XID Errors"."""


@dataclass(frozen=True, slots=True)
class Device:
    """What the driver said of one accelerator, or of one slice of it; NaN for what it does not tell.

    busy: 0..1; used, total: bytes of memory; power_w: of the whole accelerator, NaN of a slice
    fault: XID code that means the same, 0 for none; why: it was not answered for, "" if it was
    """

    index: int
    uuid: str
    model: str
    slice: str = ""
    busy: float = math.nan
    used: float = math.nan
    total: float = math.nan
    power_w: float = math.nan
    temperature_c: float = math.nan
    fault: float = 0.0
    is_cut: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """One reading of the driver: its version, and every accelerator, each followed by its slices."""

    driver: str
    devices: tuple[Device, ...]


class Untold(Exception):
    """The driver cannot be asked. str() is a sentence with what to do."""


class NvmlPoller:
    """A metrics source like any other: this machine's accelerators.

    host: its name, as rows carry it; timeout_s: what a poll waits for the driver
    read: asks the driver; blocking; may raise `Untold`
    """

    def __init__(
        self,
        *,
        name: str = "nvml",
        host: str = "",
        timeout_s: float = TIMEOUT_S,
        read: Callable[[], Told] | None = None,
    ) -> None:
        self.name = clean(name, 40)
        self._host = clean(host or platform.node() or "localhost")
        self._timeout_s = timeout_s
        self._read = read or Driver().read
        self._reading: asyncio.Task[Told] | None = None
        self._began = 0.0
        self._health = SourceHealth(self.name, "nvml", SourceState.CONNECTING)
        self._skipped = 0

    def __repr__(self) -> str:
        return f"NvmlPoller({self._host!r})"

    async def poll(self) -> Poll:
        """One poll. Never raises for a driver that is absent, hangs or refuses: its health says so.

        A driver that hangs is not asked again until it has answered.
        """
        started = time.monotonic()
        if self._reading is None:
            self._reading, self._began = asyncio.create_task(in_daemon(self._read)), started
        else:
            self._skipped += 1
        done, _ = await asyncio.wait({self._reading}, timeout=self._timeout_s)
        if not done:
            silent_s = time.monotonic() - self._began
            return self._lost(
                f"has not answered for {silent_s:.0f} s: the driver hangs. Try `nvidia-smi`, and look for "
                "Xid in the kernel's log (dmesg)."
            )
        reading, self._reading = self._reading, None
        try:
            told = reading.result()
        except Untold as untold:
            return self._lost(str(untold))
        return self._told(told, time.monotonic() - started)

    async def aclose(self) -> None:
        """Wait for nothing: a driver that hangs must not hold the program's end. Safe to call twice."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    def _told(self, told: Told, latency_s: float) -> Poll:
        now = time.time()
        silent = [device for device in told.devices if device.why]
        whole = [device for device in told.devices if not device.slice]
        error = f"accelerator {silent[0].index}: {silent[0].why}" if silent else ""
        self._health = SourceHealth(
            self.name,
            "nvml",
            SourceState.PARTIAL if silent else SourceState.OK,
            at=now,
            latency_s=latency_s,
            interval_s=INTERVAL_S,
            error=error,
            targets=(len(whole) - len(silent), len(whole)),
            queries=1,
            skipped=self._skipped,
        )
        answers = tuple(Answer(one, rows(one, told.devices, self._host), now) for one in PRESET.definitions)
        detected = Detected(STACK, PRESET.title, PRESET.role, (), (STACK,), f"driver {told.driver}")
        return self._poll(now, answers, (STACK,), (detected,))

    def _lost(self, error: str) -> Poll:
        known = self._health
        self._health = SourceHealth(
            self.name,
            "nvml",
            SourceState.LOST,
            at=known.at,
            latency_s=known.latency_s,
            interval_s=INTERVAL_S,
            error=error,
            targets=known.targets,
            skipped=self._skipped,
        )
        return self._poll(time.time(), (), (), ())

    def _poll(
        self, at: float, answers: tuple[Answer, ...], stacks: tuple[str, ...], detected: tuple[Detected, ...]
    ) -> Poll:
        is_up = self._health.state is not SourceState.LOST
        labels = {"job": STACK, "instance": self._host}
        target = ScrapeTarget(labels, is_up, self._health.at, frozenset({STACK}))
        return Poll(
            self.name,
            at,
            INTERVAL_S,
            answers,
            (target,),
            stacks,
            self._health,
            detected=detected,
        )


def rows(definition: Definition, devices: Iterable[Device], host: str) -> tuple[Row, ...]:
    """What the devices answer to one of `PRESET`'s definitions: of the map one row a device or slice, of the
    others one for each model of accelerator. What nobody told is left out; in the map it is NaN."""
    if definition.lane == "heat":
        return tuple(_mapped(definition, device, host) for device in _shown(definition, devices))
    groups: dict[str, list[Device]] = defaultdict(list)
    for device in devices:
        groups[device.model].append(device)
    found = []
    for model, some in groups.items():
        value = _VALUES[definition.signal]([one for one in some if not one.why])
        if not math.isnan(value):
            labels = {"Hostname": host, "workload": host, "modelName": model}
            found.append(Row(labels, value, definition.metrics[0].rung))
    return tuple(found)


def _shown(definition: Definition, devices: Iterable[Device]) -> Iterable[Device]:
    """Of a cut accelerator its slices; the faulty ones of all."""
    if definition.signal == "faults":
        return (device for device in devices if device.fault)
    return (device for device in devices if not device.is_cut)


def _mapped(definition: Definition, device: Device, host: str) -> Row:
    labels = {
        "Hostname": host,
        "workload": host,
        "modelName": device.model,
        "gpu": str(device.index),
        "UUID": device.uuid,
        "GPU_I_ID": device.slice,
    }
    value = device.fault if definition.signal == "faults" else device.busy
    rung = "" if definition.signal == "faults" else definition.metrics[0].rung
    return Row({name: text for name, text in labels.items() if text}, value, rung)


def _whole(devices: Iterable[Device]) -> list[Device]:
    return [device for device in devices if not device.slice]


def _known(values: Iterable[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _memory(devices: list[Device]) -> float:
    """Of accelerators; of the slices of those that do not tell for the whole."""
    there = [d for d in devices if not math.isnan(d.used)]
    told = {d.index for d in _whole(there)}
    there = [d for d in there if not d.slice or d.index not in told]
    total = sum(d.total for d in there)
    return sum(d.used for d in there) / total if total > 0 else math.nan


_VALUES: Mapping[str, Callable[[list[Device]], float]] = {
    "accelerators": lambda devices: float(len(_whole(devices)) or math.nan),
    "slices": lambda devices: float(sum(bool(d.slice) for d in devices) or math.nan),
    "busy_ratio": lambda devices: _mean(_known(d.busy for d in _whole(devices))),
    "memory_ratio": _memory,
    "power_w": lambda devices: sum(_known(d.power_w for d in _whole(devices))) or math.nan,
    "temperature_c": lambda devices: max(_known(d.temperature_c for d in devices), default=math.nan),
}


class Driver:
    """The driver through `pynvml`. Every call blocks, and may hang with the driver: call it in a thread."""

    def __init__(self) -> None:
        self._is_open = False

    def read(self) -> Told:
        """Everything at once. raises: Untold"""
        try:
            import pynvml
        except ImportError:
            raise Untold(
                "cannot be asked: nvidia-ml-py is not installed. Run: pip install 'tidegate[nvml]'."
            ) from None
        try:
            if not self._is_open:
                pynvml.nvmlInit()
                self._is_open = True
            devices = tuple(_devices(pynvml))
            driver = clean(pynvml.nvmlSystemGetDriverVersion(), 40)
        except pynvml.NVMLError as error:
            self._close(pynvml)
            raise Untold(_sentence(pynvml, error)) from None
        if not devices:
            raise Untold(
                "answers, and finds no accelerator. Check `nvidia-smi -L`; a container needs --gpus."
            )
        return Told(driver, devices)

    def _close(self, pynvml: Any) -> None:
        """Begin anew with the next call: a driver may be loaded, or updated, while we run."""
        if self._is_open:
            self._is_open = False
            with suppress(pynvml.NVMLError):
                pynvml.nvmlShutdown()


def _devices(pynvml: Any) -> Iterable[Device]:
    for index in range(pynvml.nvmlDeviceGetCount()):
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            yield from _device(pynvml, handle, index)
        except pynvml.NVMLError as error:
            lost = error.value in {pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED}
            fault = FELL_OFF_THE_BUS if lost else 0.0
            yield Device(index, "", "", fault=fault, why=_sentence(pynvml, error))


def _device(pynvml: Any, handle: Any, index: int) -> Iterable[Device]:
    model = clean(pynvml.nvmlDeviceGetName(handle))
    uuid = clean(pynvml.nvmlDeviceGetUUID(handle))
    mode = _asked(pynvml, lambda: pynvml.nvmlDeviceGetMigMode(handle))
    is_cut = mode is not None and mode[0] == pynvml.NVML_DEVICE_MIG_ENABLE
    used, total = _bytes(pynvml, handle)
    yield Device(
        index,
        uuid,
        model,
        busy=_busy(pynvml, handle),
        used=used,
        total=total,
        power_w=_number(_asked(pynvml, lambda: pynvml.nvmlDeviceGetPowerUsage(handle)), 0.001),
        temperature_c=_number(
            _asked(pynvml, lambda: pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))
        ),
        fault=_fault(pynvml, handle),
        is_cut=is_cut,
    )
    if is_cut:
        yield from _slices(pynvml, handle, index, model)


def _slices(pynvml: Any, handle: Any, index: int, model: str) -> Iterable[Device]:
    for number in range(_asked(pynvml, lambda: pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)) or 0):
        piece = _asked(pynvml, lambda: pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number))  # noqa: B023  # called at once
        if piece is None:
            continue
        used, total = _bytes(pynvml, piece)
        yield Device(
            index,
            clean(pynvml.nvmlDeviceGetUUID(piece)),
            model,
            slice=str(pynvml.nvmlDeviceGetGpuInstanceId(piece)),
            busy=_busy(pynvml, piece),
            used=used,
            total=total,
        )


def _asked(pynvml: Any, call: Callable[[], Any]) -> Any:
    """The answer; None where this accelerator or driver has no such thing, or may not tell us."""
    try:
        return call()
    except pynvml.NVMLError as error:
        if error.value in _missing(pynvml):
            return None
        raise


def _missing(pynvml: Any) -> frozenset[int]:
    return frozenset(
        {
            pynvml.NVML_ERROR_NOT_SUPPORTED,
            pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
            pynvml.NVML_ERROR_NO_PERMISSION,
            pynvml.NVML_ERROR_NOT_FOUND,
            pynvml.NVML_ERROR_NO_DATA,
            pynvml.NVML_ERROR_INVALID_ARGUMENT,
            pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
        }
    )


def _number(told: float | None, factor: float = 1.0) -> float:
    return math.nan if told is None else told * factor


def _busy(pynvml: Any, handle: Any) -> float:
    found = _asked(pynvml, lambda: pynvml.nvmlDeviceGetUtilizationRates(handle))
    return math.nan if found is None else found.gpu / 100


def _bytes(pynvml: Any, handle: Any) -> tuple[float, float]:
    """(used, total). The second form keeps what the driver reserves apart, the first counts it as used."""
    found = _asked(pynvml, lambda: pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2))
    found = found or _asked(pynvml, lambda: pynvml.nvmlDeviceGetMemoryInfo(handle))
    return (math.nan, math.nan) if found is None else (float(found.used), float(found.total))


def _fault(pynvml: Any, handle: Any) -> float:
    """The XID of what is wrong with its memory since the driver was loaded, 0 for nothing."""
    remapped = _asked(pynvml, lambda: pynvml.nvmlDeviceGetRemappedRows(handle))
    if remapped is not None and remapped[3]:
        return ROW_REMAP_FAILED
    kinds = pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC
    errors = _asked(pynvml, lambda: pynvml.nvmlDeviceGetTotalEccErrors(handle, *kinds))
    return DOUBLE_BIT_ERROR if errors else 0.0


def _sentence(pynvml: Any, error: Any) -> str:
    """What the driver's refusal means, and what to do."""
    sentences = {
        pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "cannot be asked: this machine has no libnvidia-ml.so.1. "
        "Install the NVIDIA driver, or start the container with --gpus all.",
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "cannot be asked: the NVIDIA driver is not loaded. Run "
        "`modprobe nvidia`, and look at `nvidia-smi`.",
        pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "cannot be asked: the driver was updated and the old one "
        "still runs. Reboot this machine.",
        pynvml.NVML_ERROR_NO_PERMISSION: "may not be asked by this user. Join the group of /dev/nvidiactl.",
        pynvml.NVML_ERROR_GPU_IS_LOST: "fell off the bus. Drain this machine and reset or reboot it.",
        pynvml.NVML_ERROR_RESET_REQUIRED: "needs a reset. Drain this machine, then: nvidia-smi --gpu-reset",
    }
    known = sentences.get(error.value)
    return known or f"refused: {clean(str(error), 120)}. Look at `nvidia-smi` and the kernel's log (dmesg)."
