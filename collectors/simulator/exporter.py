"""The fleet's /metrics pages: engines (vLLM), one endpoint picker (llm-d), accelerators (dcgm-exporter).

Names differ between exporters on purpose, as they do in life: an engine says `acme/Aurora-5`, the picker
`aurora-5`, an accelerator only which pod holds it. Labels and bounds: vLLM 0.33, llm-d router 0.9.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from collectors.simulator.accelerators import Accelerators
from collectors.simulator.classes import Floats, Ints
from collectors.simulator.exposition import Template, Writer, cumulative, part, whole
from collectors.simulator.layout import deployed, generated, layout_of
from collectors.simulator.measures import ENGINE_WAIT, FIRST_TOKEN, TOKEN_GAP, WAIT_BOUNDS
from collectors.simulator.picker import Picker
from collectors.simulator.world import World

_ENGINE_COLUMNS = np.array([WAIT_BOUNDS.index(bound) for bound in ENGINE_WAIT])

_LENGTH = 0.1  # share of answers that end at the length limit


@dataclass(frozen=True, slots=True)
class Page:
    """One /metrics page, and the labels that service discovery gives its target."""

    job: str
    name: str
    labels: dict[str, str]

    @property
    def path(self) -> str:
        """Where it is served."""
        return f"/pages/{self.job}/{self.name}/metrics"


@dataclass(frozen=True, slots=True)
class _Models:
    """Engine numbers of every model at one tick: (M, ...) whole numbers, and sums in seconds."""

    whole: Ints
    waits: Ints
    answers: Ints
    first_tokens: Ints
    gaps: Ints
    sums: Floats


class Exporter:
    """Pages of a world. Each is written anew when asked for; what they share is worked out once a step."""

    def __init__(self, world: World) -> None:
        self._world = world
        fleet, c = world.scenario.fleet, world.classes
        layout = layout_of(fleet, c, world.supply.pools)
        self._accelerators = Accelerators(world, layout, fleet.namespace)
        self._engines: dict[str, tuple[int, int, Template]] = {}
        pages: list[Page] = []
        for model, (name, spec) in enumerate(zip(c.models, c.specs, strict=True)):
            for number, pod in enumerate(layout.pods[name]):
                template = _engine_template(f"{spec.org}/{spec.served_as}")
                self._engines[pod] = (model, number, template)
                pages.append(Page("vllm", pod, _target("vllm", fleet.namespace, pod, "vllm", 8000)))
        self._picker = Picker(world)
        picker = deployed("endpoint-picker")
        pages.append(Page("llm-d-epp", picker, _target("llm-d-epp", fleet.namespace, picker, "epp", 9090)))
        self._zones: dict[str, str] = {}
        for zone in layout.rows:
            pod = generated("dcgm-exporter", zone)
            self._zones[pod] = zone
            labels = _target("dcgm-exporter", "gpu-operator", pod, "dcgm-exporter", 9400)
            pages.append(Page("dcgm-exporter", pod, labels))
        self.pages = tuple(pages)
        self._models_at: tuple[int, _Models] | None = None

    def text(self, page: Page) -> str:
        """The page as it stands after the last step."""
        if page.job == "vllm":
            return self._engine_page(*self._engines[page.name])
        if page.job == "llm-d-epp":
            return self._picker.page()
        return self._accelerators.page(self._zones[page.name])

    def _engine_page(self, model: int, number: int, template: Template) -> str:
        found = self._models()
        pages = self._world.classes.specs[model].pages
        counts = part(found.whole[model], number, pages).tolist()
        values: list[Any] = [*counts[:2], round(float(self._world.kv_ratio[model]), 6), *counts[2:]]
        histograms = (found.waits, found.answers, found.first_tokens, found.gaps)
        for buckets, total in zip(histograms, found.sums[:, model].tolist(), strict=True):
            shares = part(buckets[model], number, pages).tolist()
            values += [*shares, total / pages, shares[-1]]
        return template.filled(values)

    def _models(self) -> _Models:
        if self._models_at is not None and self._models_at[0] == self._world.tick:
            return self._models_at[1]
        world, c, m, totals = self._world, self._world.classes, self._world.measures, self._world.totals
        queues = 0.0 if world.scenario.fleet.flow_control else 1.0
        counted = c.by_model(
            np.column_stack(
                (
                    world.running,
                    world.waiting * queues,
                    totals.prompt_tokens,
                    totals.tokens,
                    totals.ok * (1 - _LENGTH),
                    totals.ok * _LENGTH,
                    totals.wasted + totals.abandoned * queues,
                    totals.errors,
                )
            )
        )
        # Nobody repeats himself, and nothing is preempted: the cache holds every full batch.
        none = np.zeros((len(c.models), 2))
        waits = np.cumsum(c.by_model(m.waits), axis=1)
        started = waits[:, -1]
        waited = (
            waits[:, _ENGINE_COLUMNS] if queues else np.repeat(started[:, None], len(ENGINE_WAIT), axis=1)
        )
        found = _Models(
            whole=whole(np.column_stack((counted, none))),
            waits=cumulative(waited, started),
            answers=cumulative(c.by_model(m.engine_answers), started),
            first_tokens=cumulative(c.by_model(m.first_tokens), started),
            gaps=cumulative(m.gaps, m.gaps_count),
            sums=np.stack(
                (
                    c.by_model(m.waits_sum) * queues,
                    c.by_model(m.engine_answers_sum),
                    c.by_model(m.first_tokens_sum),
                    m.gaps_sum,
                )
            ),
        )
        self._models_at = (world.tick, found)
        return found


def _engine_template(model_name: str) -> Template:
    page, labels = Writer(), [("engine", "0"), ("model_name", model_name)]
    for name in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc"):
        page.family(f"vllm:{name}", "gauge")
        page.sample(f"vllm:{name}", labels)
    for name in ("prompt_tokens_total", "generation_tokens_total"):
        page.family(f"vllm:{name}", "counter")
        page.sample(f"vllm:{name}", labels)
    page.family("vllm:request_success_total", "counter")
    for reason in ("stop", "length", "abort", "error", "repetition"):
        page.sample("vllm:request_success_total", [*labels, ("finished_reason", reason)])
    page.family("vllm:num_preemptions_total", "counter")
    page.sample("vllm:num_preemptions_total", labels)
    for name, bounds in (
        ("request_queue_time_seconds", ENGINE_WAIT),
        ("e2e_request_latency_seconds", ENGINE_WAIT),
        ("time_to_first_token_seconds", FIRST_TOKEN),
        ("inter_token_latency_seconds", TOKEN_GAP),
    ):
        page.family(f"vllm:{name}", "histogram")
        page.histogram(f"vllm:{name}", labels, bounds)
    return page.template()


def _target(job: str, namespace: str, pod: str, container: str, port: int) -> dict[str, str]:
    """Labels as Kubernetes service discovery gives them."""
    return {
        "job": job,
        "instance": f"{pod}:{port}",
        "namespace": namespace,
        "pod": pod,
        "container": container,
    }
