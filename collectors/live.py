"""A context of the configuration, made into a source of live frames."""

from collections.abc import Sequence

from collectors.alerts.sources import alert_sources
from collectors.config import Context, PlaneEndpoint
from collectors.control.native import NativePlane
from collectors.control.server.access import token_for
from collectors.credentials import secret
from collectors.nvml import NvmlPoller
from collectors.prometheus.live import PrometheusPoller
from collectors.scrape.poller import PageTarget, ScrapePoller
from collectors.signals.catalogue import Preset
from collectors.signals.presets import absence, read_presets, with_labels
from collectors.watch.lane import Poller
from collectors.watch.loop import POLL_S, Watch


def live_source(name: str, context: Context) -> Watch:
    """What the context names, ready to be watched; nothing is asked yet.

    raises: FileError for a preset file that cannot be used
    """
    presets = known_presets(context)

    def why(signal: str, stacks: Sequence[str]) -> str:
        return absence(signal, stacks, presets)

    return Watch(
        name,
        context,
        pollers(context),
        plane(context.plane) if context.plane is not None else None,
        alert_sources=alert_sources(context.prometheus, context.alertmanager),
        absence=why,
    )


def known_presets(context: Context) -> tuple[Preset, ...]:
    """The presets that the context's sources are asked by. raises: FileError for a file of no use"""
    identity = context.identity
    return with_labels(read_presets(context.presets), identity.labels(), parts=identity.part_labels())


def pollers(context: Context) -> list[Poller]:
    """The metrics sources of a context; nothing is asked yet. raises: FileError for a preset file"""
    presets = known_presets(context)
    found: list[Poller] = [
        PrometheusPoller(
            server,
            presets=presets,
            name=f"prom {server.cluster}" if server.cluster else "prometheus",
            overrides=context.signals,
            identity=context.identity.labels(),
        )
        for server in context.prometheus
    ]
    if context.scrape:
        targets = [PageTarget(page.url, page.labels) for page in context.scrape]
        found.append(ScrapePoller(targets, presets=presets, interval_s=POLL_S))
    if context.nvml:
        found.append(NvmlPoller())
    return found


def plane(endpoint: PlaneEndpoint) -> NativePlane:
    """The client of a plane: without a configured token, the environment or the plane's own file gives it."""
    credential = endpoint.token
    token = (lambda: secret(credential)) if credential is not None else (lambda: token_for(endpoint.url))
    return NativePlane(endpoint.url, token, verify=str(endpoint.ca_file) if endpoint.ca_file else True)
