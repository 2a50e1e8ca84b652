"""The endpoint picker's page: flow control by model, tier and feature, as llm-d 0.9 exports it; with it, the
counters of the gateway that the picker serves, which tell who got what a release opens.

Each feature is a flow: clients name it in the header `x-llm-d-inference-fairness-id`. Answer times alone are
by model and tier, without a flow, so that all pages keep to 4,000 lines. As counters do, a flow appears with
its first request, an outcome with its first case.
"""

from typing import Any, Final

import numpy as np

from collectors.simulator.classes import Classes, Floats
from collectors.simulator.exposition import Template, Writer, cumulative, whole
from collectors.simulator.gateway import METRIC, Series
from collectors.simulator.measures import PICKER_ANSWER, PICKER_WAIT, WAIT_BOUNDS
from collectors.simulator.world import World

REJECTED_BOUNDS: Final[tuple[float, ...]] = ()
"""A rejection takes less than a millisecond: buckets would say no more than how many there were."""

_REJECTED_S = 0.0004
_FLOW = "llm_d_epp_flow_control"
_WAIT = f"{_FLOW}_request_queue_duration_seconds"
_ANSWER = "llm_d_epp_request_duration_seconds"
_COLUMNS = np.array([WAIT_BOUNDS.index(bound) for bound in PICKER_WAIT])
_OUTCOMES = ("Dispatched", "RejectedCapacity", "EvictedContextCancelled")
_ERRORS = ("InferencePoolResourceExhausted", "ModelServerError")


def _names(model: str, priority: str) -> list[tuple[str, str]]:
    return [("model_name", model), ("target_model_name", model), ("priority", priority)]


class _Flow:
    """Templates of one model, tier and feature."""

    def __init__(self, model: str, priority: str, feature: str) -> None:
        names = [("fairness_id", feature), *_names(model, priority)]
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


class Picker:
    """Writes the page of one picker that serves every pool of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        priorities = [str(tier.priority) for tier in world.scenario.fleet.tiers]
        c = world.classes
        models = c.models
        self._flows = [
            _Flow(models[m], priorities[t], c.features[f])
            for m, t, f in zip(c.model, c.tier, c.feature, strict=True)
        ]
        self._answers = [
            _histogram(_ANSWER, _names(model, priority), PICKER_ANSWER)
            for model in models
            for priority in priorities
        ]
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
        self._decisions: dict[Series, list[Template]] = {}

    def page(self) -> str:
        """The page as it stands after the last step."""
        world, c, m, t = self._world, self._world.classes, self._world.measures, self._world.totals
        attempts, rejected, errors = _columns(t.attempts, t.rejected, t.errors)
        answered = cumulative(c.by_pair(m.answers), c.by_pair(m.waits).sum(axis=1)).tolist()
        answered_s = c.by_pair(m.answers_sum).tolist()
        asked = c.by_pair(t.attempts).tolist()
        seen = [(number, flow) for number, flow in enumerate(self._flows) if attempts[number]]
        page = _Lines()
        page.family("tidegate_simulated_fleet", "gauge")
        page.add(self._mark, 1)
        page.family("llm_d_epp_info", "gauge")
        page.add(self._info, 1)
        self._gateway(page)
        page.family("llm_d_epp_request_total", "counter")
        for n, flow in seen:
            page.add(flow.requests, attempts[n])
        page.family("llm_d_epp_request_error_total", "counter")
        for n, flow in seen:
            for template, count in zip(flow.errors, (rejected[n], errors[n]), strict=True):
                page.add_if(template, count)
        page.family(_ANSWER, "histogram")
        for n, template in enumerate(self._answers):
            if asked[n] >= 1:
                page.add(template, *answered[n], answered_s[n], answered[n][-1])
        page.gauges("llm_d_epp_average_kv_cache_utilization", self._kv, np.round(world.kv_ratio, 4))
        page.gauges("llm_d_epp_ready_endpoints", self._ready, np.rint(world.supply.replicas).astype(np.int64))
        if world.scenario.fleet.flow_control:
            self._flow_control(page, seen)
        return page.text()

    def _gateway(self, page: "_Lines") -> None:
        gateway = self._world.gateway
        if not gateway.series:
            return
        page.family(METRIC, "counter")
        for series, counted in zip(gateway.series, gateway.counts.astype(np.int64).tolist(), strict=True):
            if (templates := self._decisions.get(series)) is None:
                templates = self._decisions[series] = _decisions(series, self._world.classes.tiers)
            for template, count in zip(templates, counted, strict=True):
                page.add_if(template, count)

    def _flow_control(self, page: "_Lines", seen: "list[tuple[int, _Flow]]") -> None:
        world, c, m, t = self._world, self._world.classes, self._world.measures, self._world.totals
        outcomes = _columns(t.started, t.rejected, t.abandoned)
        rejected = outcomes[_OUTCOMES.index("RejectedCapacity")]
        waiting = _shared_out(c, world.waiting)
        waits = np.cumsum(m.waits, axis=1)
        waited = cumulative(waits[:, _COLUMNS], waits[:, -1]).tolist()
        waited_s = m.waits_sum.tolist()
        page.family(_WAIT, "histogram")
        for n, flow in seen:
            dispatched, refused = flow.waits
            page.add(dispatched, *waited[n], waited_s[n], waited[n][-1])
            if rejected[n]:
                page.add(refused, rejected[n], rejected[n] * _REJECTED_S, rejected[n])
        page.family(f"{_FLOW}_requests_total", "counter")
        for n, flow in seen:
            for template, counted in zip(flow.outcomes, outcomes, strict=True):
                page.add_if(template, counted[n])
        page.family(f"{_FLOW}_queue_size", "gauge")
        for n, flow in seen:
            page.add(flow.queue, waiting[n])
        full = np.clip(np.maximum(world.occupancy, world.kv_ratio), 0, 1)
        page.gauges(f"{_FLOW}_pool_saturation", self._saturation, np.round(np.repeat(full, 2), 4))


def _columns(*columns: Floats) -> list[list[int]]:
    """Whole numbers of each class, one list a column."""
    return [whole(one).tolist() for one in columns]


def _shared_out(c: Classes, values: Floats) -> list[int]:
    """Whole numbers of each class, (K,), that add up to what their pair of model and tier has, rounded down.

    For gauges alone: where a share grows, that of its neighbour may fall by one.
    """
    of_pairs = np.zeros((len(c.models) * len(c.tiers), len(c.features)))
    of_pairs[c.pair, c.feature] = values
    shares = np.diff(np.floor(np.cumsum(of_pairs, axis=1)), axis=1, prepend=0.0)
    found: list[int] = shares[c.pair, c.feature].astype(np.int64).tolist()
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


def _decisions(series: Series, tiers: tuple[str, ...]) -> list[Template]:
    """Templates of one decision's counters, one a tier."""
    served_by = [("revision", series.revision)] if series.revision else []
    return [
        _sample(
            METRIC,
            [("subject", series.subject), ("tier", tier), ("decision", series.decision), *served_by],
        )
        for tier in tiers
    ]


def _sample(name: str, labels: list[tuple[str, str]]) -> Template:
    one = Writer()
    one.sample(name, labels)
    return one.template()


def _histogram(name: str, labels: list[tuple[str, str]], bounds: tuple[float, ...]) -> Template:
    one = Writer()
    one.histogram(name, labels, bounds)
    return one.template()
