"""What `tidegate check` asks of a server beside its polls: what it has instead, which of its targets are
down, whose rules it evaluates, which labels may tell tiers and features, and what it is where it is not what
it was taken for.

All of it is worth a word and no more: where a question is refused, nothing is said of it.
"""

import json
import math
from collections.abc import Mapping, Sequence

from collectors.check.facts import FEATURE_LABELS, MOST_VALUES, TIER_LABELS, Beside, Present
from collectors.config import Endpoint, PrometheusServer
from collectors.daemon import in_daemon
from collectors.endpoint import Access, AccessError
from collectors.prometheus.wire import Refused, Sample, read_vector
from collectors.signals.catalogue import Detected, Matcher, Preset
from collectors.signals.promql import any_of, braces
from collectors.signals.recording import HEARTBEAT

MAX_BODY_BYTES = 2 * 1024 * 1024
"""Longest answer read, in bytes, unpacked."""

MOST_JOBS = 5
"""Jobs with targets that are down, that are asked for."""


async def present(server: PrometheusServer) -> Present:
    """What a Prometheus has that has none of the stacks."""
    from collectors.prometheus.history import discover

    try:
        names = await in_daemon(discover, server)
        up, known = await _asked(server, [f"{o} by (job) (up{_filters(server)})" for o in ("sum", "count")])
    except (Refused, AccessError) as error:
        return Present(error=f"{error}. {error.mend}.")
    if up is None or known is None:
        return Present(names, error="it does not tell its targets.")
    counts = _by("job", up)
    return Present(names, {job: (counts.get(job, 0), number) for job, number in _by("job", known).items()})


async def beside(
    server: PrometheusServer, detected: Sequence[Detected], presets: Sequence[Preset], taken: Sequence[str]
) -> Beside:
    """What is worth knowing of a Prometheus that has some of the stacks.

    taken: labels that identity rules read already
    """
    gateways = {one.stack: one.title for one in detected if one.role in {"gateway", "router"}}
    metrics = {p.stack: _metrics(p) for p in presets if p.stack in gateways}
    pairs = [
        (stack, label) for stack in metrics for label in (*TIER_LABELS, *FEATURE_LABELS) if label not in taken
    ]
    queries = [
        f"topk({MOST_JOBS}, count by (job) (up{_filters(server)} == 0))",
        f"count by (stack) ({HEARTBEAT})",
        *(_values(label, metrics[stack], server) for stack, label in pairs),
    ]
    try:
        down, beats, *values = await _asked(server, queries)
    except AccessError:
        return Beside()
    labels = {
        (gateways[stack], label): tuple(sorted(_by(label, found)))
        for (stack, label), found in zip(pairs, values, strict=True)
        if found
    }
    return Beside(down=_by("job", down), ruled=frozenset(_by("stack", beats)), labels=labels)


async def taken_for(endpoint: Endpoint, wanted: str) -> str:
    """What a server is that is not the one that is wanted, and how to give it; "" where that cannot be told.

    wanted: prometheus or alertmanager
    source: Prometheus' HTTP API, "Build Information"; Alertmanager's API v2, GET /status
    """
    if wanted == "prometheus":
        told = await _told(endpoint, "api/v2/status")
        if {"versionInfo", "cluster", "uptime"} <= told.keys():
            return "looks like an Alertmanager: give it as --alertmanager (`alertmanager` of the context)"
        return ""
    told = await _told(endpoint, "api/v1/status/buildinfo")
    data = told.get("data")
    if told.get("status") == "success" and isinstance(data, dict) and "version" in data:
        return "looks like a Prometheus: give it as --prometheus (`prometheus` of the context)"
    return ""


def _metrics(preset: Preset) -> tuple[str, ...]:
    """Names of its counters and gauges; of histograms that of their count."""
    return tuple(
        sorted(
            {
                f"{metric.name}_count" if one.kind == "histogram" else metric.name
                for one in preset.definitions
                for metric in one.metrics
            }
        )
    )


def _values(label: str, metrics: Sequence[str], server: PrometheusServer) -> str:
    told = (Matcher("__name__", "=~", any_of(metrics)), Matcher(label, "!~", "|None"))
    where = ",".join((braces(told)[1:-1], *server.select))
    return f"topk({MOST_VALUES}, count by ({label}) ({{{where}}}))"


def _filters(server: PrometheusServer) -> str:
    return f"{{{','.join(server.select)}}}"


def _by(label: str, samples: Sequence[Sample] | None) -> dict[str, int]:
    """Numbers by the value of a label; without what has none."""
    return {name: int(one.number) for one in samples or () if (name := one.metric.get(label, ""))}


async def _asked(server: PrometheusServer, queries: Sequence[str]) -> list[Sequence[Sample] | None]:
    """Elements of the answer to each query; None where it is refused. raises: AccessError for no answer"""
    bodies = await _bodies(server, [("api/v1/query", {"query": one}) for one in queries])
    return [_samples(one) for one in bodies]


def _samples(body: bytes | AccessError) -> Sequence[Sample] | None:
    if isinstance(body, AccessError):
        return None
    try:
        samples = read_vector(body).samples
        # What is no number is found out here, and not by who reads it.
        return [one for one in samples if one.value is not None and math.isfinite(one.number)]
    except Refused:
        return None


async def _told(endpoint: Endpoint, path: str) -> dict[str, object]:
    """What a server answers, as JSON; {} for anything else."""
    try:
        [body] = await _bodies(endpoint, [(path, {})])
        found = {} if isinstance(body, AccessError) else json.loads(body)
    except (AccessError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


async def _bodies(
    endpoint: Endpoint, requests: Sequence[tuple[str, Mapping[str, str]]]
) -> list[bytes | AccessError]:
    """What is answered, one after the other, or why that is refused. raises: AccessError if nobody answers"""
    access = Access(endpoint)
    http = await in_daemon(access.opened, connections=1)
    found: list[bytes | AccessError] = []
    try:
        for path, parameters in requests:
            response = await access.send(http, http.build_request("GET", path, params=dict(parameters)))
            body = await access.body(response, at_most=MAX_BODY_BYTES)
            is_refused = response.status_code != 200
            found.append(access.refusal(response.status_code, response.headers, body) if is_refused else body)
    finally:
        await http.aclose()
    return found
