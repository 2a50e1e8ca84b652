"""What a plane exports about itself, as a Prometheus page."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from collectors.control.server.state import Held


def exposition(held: Held) -> tuple[bytes, str]:
    """The page and its media type. What is not known has no sample: missing is not zero."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(held))
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4


class _Families(Collector):
    def __init__(self, held: Held) -> None:
        self._held = held

    def collect(self) -> Iterator[Metric]:
        stage = GaugeMetricFamily(
            "tidegate_release_stage_index",
            "Stage a release stands at, counted from 0; no sample before the first stage.",
            labels=["subject"],
        )
        weight = GaugeMetricFamily(
            "tidegate_release_weight_ratio",
            "Share of a tier that should have the subject (desired) or was seen to have it (observed).",
            labels=["subject", "tier", "kind"],
        )
        for release in self._held.releases.values():
            subject = release.subject.name
            if release.status.stage_index is not None:
                stage.add_metric([subject], release.status.stage_index)
            for one in release.status.exposure:
                weight.add_metric([subject, one.tier, "desired"], one.desired)
                if one.observed is not None:
                    weight.add_metric([subject, one.tier, "observed"], one.observed)
        level = GaugeMetricFamily(
            "tidegate_throttle_level_ratio",
            "Share of a tier's requests for a feature that is admitted.",
            labels=["feature", "tier"],
        )
        for (feature, tier), cell in self._held.throttles.items():
            if cell.level is not None:
                level.add_metric([feature, tier], cell.level)
        yield from (stage, weight, level)
