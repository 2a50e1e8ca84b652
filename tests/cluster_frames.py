"""A fleet as real clusters make it: two Prometheus servers, one of them lost, few observations, features."""

from collections.abc import Mapping
from dataclasses import replace

from collectors.fleet import Alert, Frame, Model, Severity, SourceHealth, SourceState
from collectors.readings import Interval, Quality, Reading, Reason, reading
from tests.frames import AT, OBJECTIVES, TIERS, demo_frame, lost, model, sources

CALM = ((0.2, 0.3, 0.25), (0.4, 0.5, 0.45), (0.8, 1.0, 0.9), (1.3, 1.6, 1.4))

FEW = Reading(None, AT, Quality.MISSING, Reason("few", (37, 300, 200)))
"""37 observations: no quantile."""

DRIFTING = Reading(None, AT, Quality.UNKNOWN, Reason("drifting"))
"""Little's law does not hold while the population moves."""


def p95(estimate: float, signal: str = "queue_wait_p99") -> Reading:
    """412 observations: the p95 in place of the p99."""
    bucket = Interval(estimate * 0.9, estimate * 1.1, estimate)
    return reading(signal, bucket, AT, reason=Reason("p95", (412, 60, 1000)))


def longer(estimate: float) -> Reading:
    """A p99 of the last five minutes instead of the last one."""
    bucket = Interval(estimate * 0.9, estimate * 1.1, estimate)
    return reading("queue_wait_p99", bucket, AT, reason=Reason("longer", (300, 1012)))


def little(error: float) -> Reading:
    """An error of Little's law, as the check grades it."""
    if error <= 0.25:
        return reading("little_error", error, AT)
    return reading("little_error", error, AT, Quality.SUSPECT, Reason("little", (round(error * 100),)))


def having(one: Model, **readings: Reading) -> Model:
    """The model with these readings of the whole of it."""
    return replace(one, readings={**one.readings, **readings})


def having_in(one: Model, tier: str, **readings: Reading) -> Model:
    """The model with these readings of a tier."""
    return replace(one, tiers={**one.tiers, tier: {**one.tiers.get(tier, {}), **readings}})


def served_by(one: Model, cluster: str) -> Model:
    """The model as one of several clusters serves it."""
    return replace(one, name=f"{one.name}@{cluster}", cluster=cluster)


def with_means(name: str) -> Model:
    """A model of a server that exports sums and counts alone: no quantile, a mean."""
    none = Reading(None, None, Quality.MISSING, Reason("no-metric", ("triton", "queue_wait")))
    mean = reading("queue_wait_mean", 0.42, AT)
    tiers = {tier.name: {"queue_wait_p99": none, "queue_wait_mean": mean} for tier in TIERS}
    return Model(name, {"waiting": reading("waiting", 3, AT), "little_error": DRIFTING}, tiers, OBJECTIVES)


def features() -> Mapping[str, Mapping[str, Reading]]:
    """Three features: one as usual, one with few observations, one with hardly any."""
    return {
        name: {
            "arrivals": reading("arrivals", arrivals, AT),
            "queue_wait_p99": waits,
            "rejected": reading("rejected", rejected, AT),
        }
        for name, arrivals, waits, rejected in (
            ("chat", 410.2, longer(0.45), 0.0),
            ("image-generation", 212.0, p95(3.8), 14.2),
            ("voice", 3.1, FEW, 0.0),
        )
    }


def watched(name: str, error: float) -> Model:
    """A model with all that its engines and its gateway tell."""
    made = having(
        model(name, CALM, busy=0.98),
        little_error=little(error),
        little_population=reading("little_population", 812 * (1 - error), AT),
        engine_population=reading("engine_population", 812, AT),
        running=reading("running", 780, AT),
        waiting=reading("waiting", 32, AT),
        arrivals=reading("arrivals", 640, AT),
        tensor_ratio=reading("tensor_ratio", 0.04, AT),
        replicas=reading("replicas", 38, AT),
        replicas_desired=reading("replicas_desired", 40, AT),
    )
    for tier in TIERS:
        made = having_in(
            made,
            tier.name,
            answer_time_p50=reading("answer_time_p50", Interval(4.0, 5.0, 4.4), AT),
            answer_time_p99=reading("answer_time_p99", Interval(20.0, 30.0, 24.0), AT),
            arrivals=reading("arrivals", 160, AT),
            served=reading("served", 158, AT),
            waiting=reading("waiting", 8, AT),
        )
    for tier_name, waits in (("pro", p95(0.25)), ("plus", FEW), ("team", longer(0.9))):
        made = having_in(made, tier_name, queue_wait_p99=waits)
    return made


def clusters_frame(at: float = AT) -> Frame:
    """Two clusters, one of which does not answer; every grade; a silenced alert; a release only seen."""
    frame = demo_frame(at)
    llama = having(model("llama-3-70b-instruct", CALM), little_error=little(0.02))
    models = (
        replace(watched("aurora-5", 0.04), by_feature=features()),
        watched("boreal-4", 0.18),
        watched("cirrus-vision", 0.41),
        served_by(llama, "eu-west-1"),
        lost(served_by(llama, "us-east-2")),
        with_means("triton-embed"),
    )
    seen = replace(frame.releases[0], read_only="Argo Rollouts is seen by its metrics alone", etag="")
    refused = "connection refused by https://prom.us-east-2.internal:9090"
    prometheuses = tuple(
        SourceHealth(f"prom {cluster}", "prometheus", state, at - age, 0.04, 5.0, error, targets=(57, 57))
        for cluster, state, age, error in (
            ("eu-west-1", SourceState.OK, 2, ""),
            ("us-east-2", SourceState.LOST, 94, refused),
            ("ap-south-1", SourceState.OK, 2, ""),
        )
    )
    accelerators = reading("accelerators", 2464, at, reason=Reason("part-lost", ("prom us-east-2",)))
    return replace(
        frame,
        models=models,
        totals={**frame.totals, "accelerators": accelerators},
        releases=(seen, *frame.releases[1:]),
        alerts=(
            frame.alerts[0],
            Alert(
                "b1",
                Severity.P2,
                "aurora-5",
                "free",
                at - 300,
                "TTFT burn rate 14x over 1 h",
                "alertmanager eu-west",
            ),
            Alert(
                "b2", Severity.P2, "boreal-4", "", at - 3000, "GPU is hot", "prom", at + 1069, "bob: fan swap"
            ),
        ),
        sources=(
            *prometheuses,
            SourceHealth("alertmanager eu", "alerts", SourceState.OK, at - 1, 0.02, 10.0),
            SourceHealth("nvml", "nvml", SourceState.OK, at, 0.001, 1.0),
            sources(at)[1],
        ),
    )
