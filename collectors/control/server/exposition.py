"""What a plane exports about itself, as a Prometheus page."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from collectors.control.server.state import Held


def exposition(held: Held, writes: Mapping[tuple[str, str], int]) -> tuple[bytes, str]:
    """The page and its media type. What is not known has no sample: missing is not zero.

    writes: how many there were since the process began, by operation and what became of them
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(held, writes))
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4


class _Families(Collector):
    def __init__(self, held: Held, writes: Mapping[tuple[str, str], int]) -> None:
        self._held, self._writes = held, writes

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
            "Share of a tier's requests for a feature that is to be admitted: the setting.",
            labels=["feature", "tier"],
        )
        effective = GaugeMetricFamily(
            "tidegate_throttle_effective_level_ratio",
            "Share that is admitted now: on its way to the setting while that ramps.",
            labels=["feature", "tier"],
        )
        for (feature, tier), cell in self._held.throttles.items():
            if cell.level is not None:
                level.add_metric([feature, tier], cell.level)
            if cell.effective_level is not None:
                effective.add_metric([feature, tier], cell.effective_level)
        writes = CounterMetricFamily(
            "tidegate_plane_writes",
            "Writes asked for, by what became of them; dry runs are not counted.",
            labels=["operation", "result"],
        )
        for (operation, result), count in sorted(self._writes.items()):
            writes.add_metric([operation, result], count)
        yield from (stage, weight, level, effective, writes)
