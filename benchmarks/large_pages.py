"""Pages of a very large fleet: endpoint pickers, vLLM pods and accelerators, with counters that advance.

Made from the tests' sample expositions: every model has a picker's series for each tier, one engine and its
share of the accelerators. A simulated world of that size would need the machine for itself.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

SAMPLES = Path(__file__).parent.parent / "tests" / "data" / "samples"
MODELS_A_PAGE = 50
HOSTS_A_PAGE = 50
ACCELERATORS_A_HOST = 8
GROWTH_PER_S = 0.001
"""Share of its first value by which a counter grows each second."""

Item = TypeVar("Item")

_LINE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)\{(.*)\} (\S+)$")
_GROWS = re.compile(r"_(total|bucket|sum|count)$")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Fleet:
    """How many of what. first: accelerators on pages of the label `block="first"`; the others have "rest"."""

    models: int
    tiers: int
    accelerators: int
    first: int


@dataclass(frozen=True)
class LargePage:
    """One page, and the labels of its target: job, instance and block."""

    labels: Mapping[str, str]
    lines: Sequence[tuple[str, float, bool]]

    def text(self, elapsed_s: float) -> str:
        """The exposition so long after the start."""
        grown = 1 + GROWTH_PER_S * elapsed_s
        return "".join(
            f"{name} {value * grown if grows else value:.3f}\n" for name, value, grows in self.lines
        )


def pages(fleet: Fleet) -> list[LargePage]:
    """Every page of the fleet."""
    picker, engine = _template("llm-d-epp", "100"), _template("vllm", None)
    found = []
    for number, models in enumerate(_parted(range(fleet.models), MODELS_A_PAGE)):
        lines = [line for model in models for line in _picker(picker, model, fleet.tiers)]
        found.append(_page("picker", number, "serving", lines))
        found.append(
            _page("engine", number, "serving", [one for model in models for one in _engine(engine, model)])
        )
    for block, accelerators in (
        ("first", range(fleet.first)),
        ("rest", range(fleet.first, fleet.accelerators)),
    ):
        hosts = _parted(accelerators, ACCELERATORS_A_HOST)
        for number, some in enumerate(_parted(hosts, HOSTS_A_PAGE)):
            share = max(1, len(accelerators) // fleet.models)
            lines = [
                line
                for host in some
                for index in host
                for line in _accelerator(index, (index - accelerators.start) // share % fleet.models)
            ]
            found.append(_page("accelerator", number, block, lines))
    return found


def serve(fleet: Fleet, pipe: Connection) -> None:
    """Serve the fleet's pages for ever; their port and target labels are sent first. To run in a process."""
    made = pages(fleet)
    began = time.monotonic()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = made[int(self.path.split("/")[1])].text(time.monotonic() - began).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    pipe.send((web.server_address[1], [page.labels for page in made], sum(len(page.lines) for page in made)))
    web.serve_forever()


def _page(job: str, number: int, block: str, lines: Sequence[tuple[str, float, bool]]) -> LargePage:
    return LargePage({"job": job, "instance": f"{job}-{block}-{number}", "block": block}, lines)


_Line = tuple[str, dict[str, str], float]


def _template(sample: str, priority: str | None) -> list[_Line]:
    """Lines of a sample: name, labels and value; of those with a priority, only that one's."""
    found = []
    for text in (SAMPLES / f"{sample}.prom").read_text(encoding="utf-8").splitlines():
        if (line := _LINE.match(text)) is None:
            continue
        labels = dict(_LABEL.findall(line[2]))
        if labels.get("priority", priority) in {priority, "0"}:
            found.append((line[1], labels, float(line[3])))
    return found


def _picker(template: Sequence[_Line], model: int, tiers: int) -> Iterator[tuple[str, float, bool]]:
    seen = set()
    for name, labels, value in template:
        own = {"inference_pool": f"pool-{model}", "model_name": f"model-{model}"}
        own["target_model_name"] = f"model-{model}"
        if "name" in labels:
            own["name"] = f"pool-{model}"
        for tier in range(tiers) if "priority" in labels else (None,):
            told = {**labels, **{k: v for k, v in own.items() if k in labels}}
            if tier is not None:
                told["priority"] = str(100 - 20 * tier)
            series = _series(name, told)
            # The sample has some series for two priorities: here they would be one.
            if series not in seen:
                seen.add(series)
                yield series, value, _GROWS.search(name) is not None


def _engine(template: Sequence[_Line], model: int) -> Iterator[tuple[str, float, bool]]:
    pod = {"pod": f"model-{model}-7d9f8c6b5-abcde", "namespace": "serving"}
    for name, labels, value in template:
        named = {"model_name": f"acme/Model-{model}"} if "model_name" in labels else {}
        yield _series(name, {**labels, **named, **pod}), value, _GROWS.search(name) is not None


def _accelerator(index: int, model: int) -> Iterator[tuple[str, float, bool]]:
    labels = {
        "gpu": str(index % ACCELERATORS_A_HOST),
        "UUID": f"GPU-{index:08x}",
        "pci_bus_id": f"00000000:{index % 256:02X}:00.0",
        "device": f"nvidia{index % ACCELERATORS_A_HOST}",
        "modelName": "NVIDIA H200",
        "Hostname": f"node-{index // ACCELERATORS_A_HOST}",
        "DCGM_FI_DRIVER_VERSION": "550.90.07",
        "container": "engine",
        "namespace": "serving",
        "pod": f"model-{model}-7d9f8c6b5-{'bcdfghjklm'[index % 10]}{index % 10000:04}",
    }
    values = {
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE": 0.5 + index % 50 / 100,
        "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": 0.2,
        "DCGM_FI_DEV_GPU_UTIL": 50 + index % 50,
        "DCGM_FI_DEV_FB_USED": 120_000,
        "DCGM_FI_DEV_FB_FREE": 20_000,
        "DCGM_FI_DEV_FB_RESERVED": 500,
        "DCGM_FI_DEV_POWER_USAGE": 600,
        "DCGM_FI_DEV_GPU_TEMP": 55,
        "DCGM_FI_DEV_XID_ERRORS": 0,
    }
    for name, value in values.items():
        yield _series(name, labels), value, False


def _series(name: str, labels: Mapping[str, str]) -> str:
    return f"{name}{{{','.join(f'{label}={chr(34)}{text}{chr(34)}' for label, text in labels.items())}}}"


def _parted(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
