"""The endpoint picker's page: flow control by model and tier, as llm-d 0.9 exports it.

As counters do, a pair of model and tier appears with its first request, an outcome with its first case.
"""

from typing import Any, Final

import numpy as np

from collectors.simulator.classes import Floats
from collectors.simulator.exposition import Template, Writer, cumulative, whole
from collectors.simulator.measures import PICKER_ANSWER, PICKER_WAIT, WAIT_BOUNDS
from collectors.simulator.world import World

REJECTED_BOUNDS: Final = (0.001,)
"""A rejection takes less than a millisecond: more buckets would say no more."""

_REJECTED_S = 0.0004
_FLOW = "llm_d_epp_flow_control"
_WAIT = f"{_FLOW}_request_queue_duration_seconds"
_COLUMNS = np.array([WAIT_BOUNDS.index(bound) for bound in PICKER_WAIT])
_OUTCOMES = ("Dispatched", "RejectedCapacity", "EvictedContextCancelled")
_ERRORS = ("InferencePoolResourceExhausted", "ModelServerError")


class _Pair:
    """Templates of one model and tier."""

    def __init__(self, model: str, priority: str) -> None:
        names = [
            ("fairness_id", "default-flow"),
            ("model_name", model),
            ("target_model_name", model),
            ("priority", priority),
        ]
        pool = [("inference_pool", f"{model}-pool"), *names]
        self.requests = _sample("llm_d_epp_request_total", names)
        self.errors = [
            _sample("llm_d_epp_request_error_total", [("error_code", code), *names]) for code in _ERRORS
        ]
        self.waits = [
            _histogram(_WAIT, [*pool, ("outcome", outcome)], bounds)
            for outcome, bounds in zip(_OUTCOMES, (PICKER_WAIT, REJECTED_BOUNDS), strict=False)
        ]
        self.outcomes = [_sample(f"{_FLOW}_requests_total", [*pool, ("outcome", one)]) for one in _OUTCOMES]
        self.queue = _sample(f"{_FLOW}_queue_size", pool)
        self.answers = _histogram("llm_d_epp_request_duration_seconds", names, PICKER_ANSWER)


class Picker:
    """Writes the page of one picker that serves every pool of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        priorities = [str(tier.priority) for tier in world.scenario.fleet.tiers]
        models = world.classes.models
        self._pairs = [_Pair(model, priority) for model in models for priority in priorities]
        # Whoever scrapes these pages, the screen that shows their numbers must say SIMULATED.
        self._mark = _sample("tidegate_simulated_fleet", [("scenario", world.scenario.name)])
        self._info = _sample("llm_d_epp_info", [("build_ref", "v0.9.0"), ("commit", "simulated")])
        self._saturation = [
            _sample(f"{_FLOW}_pool_saturation", [("inference_pool", f"{model}-pool"), ("stage", stage)])
            for model in models
            for stage in ("decode", "effective")
        ]
        self._kv = [
            _sample("llm_d_epp_average_kv_cache_utilization", [("name", f"{m}-pool")]) for m in models
        ]
        self._ready = [_sample("llm_d_epp_ready_endpoints", [("name", f"{m}-pool")]) for m in models]

    def page(self) -> str:
        """The page as it stands after the last step."""
        world, c, m, t = self._world, self._world.classes, self._world.measures, self._world.totals
        attempts, rejected, errors = _by_pair(world, t.attempts, t.rejected, t.errors)
        answered = cumulative(c.by_pair(m.answers), c.by_pair(m.waits).sum(axis=1)).tolist()
        answered_s = c.by_pair(m.answers_sum).tolist()
        seen = [(number, pair) for number, pair in enumerate(self._pairs) if attempts[number]]
        page = _Lines()
        page.family("tidegate_simulated_fleet", "gauge")
        page.add(self._mark, 1)
        page.family("llm_d_epp_info", "gauge")
        page.add(self._info, 1)
        page.family("llm_d_epp_request_total", "counter")
        for n, pair in seen:
            page.add(pair.requests, attempts[n])
        page.family("llm_d_epp_request_error_total", "counter")
        for n, pair in seen:
            for template, count in zip(pair.errors, (rejected[n], errors[n]), strict=True):
                page.add_if(template, count)
        page.family("llm_d_epp_request_duration_seconds", "histogram")
        for n, pair in seen:
            page.add(pair.answers, *answered[n], answered_s[n], answered[n][-1])
        page.gauges("llm_d_epp_average_kv_cache_utilization", self._kv, np.round(world.kv_ratio, 4))
        page.gauges("llm_d_epp_ready_endpoints", self._ready, np.rint(world.supply.replicas).astype(np.int64))
        if world.scenario.fleet.flow_control:
            self._flow_control(page, seen)
        return page.text()

    def _flow_control(self, page: "_Lines", seen: "list[tuple[int, _Pair]]") -> None:
        world, c, m, t = self._world, self._world.classes, self._world.measures, self._world.totals
        *outcomes, waiting = _by_pair(world, t.started, t.rejected, t.abandoned, world.waiting)
        rejected = outcomes[_OUTCOMES.index("RejectedCapacity")]
        waits = np.cumsum(c.by_pair(m.waits), axis=1)
        waited = cumulative(waits[:, _COLUMNS], waits[:, -1]).tolist()
        waited_s = c.by_pair(m.waits_sum).tolist()
        page.family(_WAIT, "histogram")
        for n, pair in seen:
            dispatched, refused = pair.waits
            page.add(dispatched, *waited[n], waited_s[n], waited[n][-1])
            if rejected[n]:
                page.add(refused, rejected[n], rejected[n], rejected[n] * _REJECTED_S, rejected[n])
        page.family(f"{_FLOW}_requests_total", "counter")
        for n, pair in seen:
            for template, counted in zip(pair.outcomes, outcomes, strict=True):
                page.add_if(template, counted[n])
        page.family(f"{_FLOW}_queue_size", "gauge")
        for n, pair in seen:
            page.add(pair.queue, waiting[n])
        full = np.clip(np.maximum(world.occupancy, world.kv_ratio), 0, 1)
        page.gauges(f"{_FLOW}_pool_saturation", self._saturation, np.round(np.repeat(full, 2), 4))


def _by_pair(world: World, *columns: Floats) -> list[list[int]]:
    """Whole numbers of each pair, one list a column."""
    found: list[list[int]] = whole(world.classes.by_pair(np.column_stack(columns))).T.tolist()
    return found


class _Lines:
    def __init__(self) -> None:
        self._parts: list[str] = []

    def family(self, name: str, kind: str) -> None:
        self._parts.append(f"# TYPE {name} {kind}\n")

    def add(self, template: Template, *values: Any) -> None:
        self._parts.append(template.filled(values))

    def add_if(self, template: Template, count: int) -> None:
        if count:
            self.add(template, count)

    def gauges(self, name: str, templates: list[Template], values: Any) -> None:
        self.family(name, "gauge")
        for template, value in zip(templates, values.tolist(), strict=True):
            self.add(template, value)

    def text(self) -> str:
        return "".join(self._parts)


def _sample(name: str, labels: list[tuple[str, str]]) -> Template:
    one = Writer()
    one.sample(name, labels)
    return one.template()


def _histogram(name: str, labels: list[tuple[str, str]], bounds: tuple[float, ...]) -> Template:
    one = Writer()
    one.histogram(name, labels, bounds)
    return one.template()
