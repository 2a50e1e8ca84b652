"""A context of the configuration, made into a source of live frames."""

from collectors.config import Context, Credential, Endpoint, secret
from collectors.control.access import token_for
from collectors.control.interface import ControlPlane
from collectors.control.native import NativePlane
from collectors.prometheus.live import PrometheusPoller
from collectors.scrape.poller import PageTarget, ScrapePoller
from collectors.signals.presets import read_presets
from collectors.watch import POLL_S, Poller, Watch


def live_source(name: str, context: Context) -> Watch:
    """What the context names, ready to be watched; nothing is asked yet."""
    pollers: list[Poller] = []
    presets = read_presets()
    if context.prometheus is not None:
        pollers.append(_prometheus(context.prometheus))
    if context.scrape:
        targets = [PageTarget(page.url, page.labels) for page in context.scrape]
        pollers.append(ScrapePoller(targets, presets=presets, name="scrape", interval_s=POLL_S))
    return Watch(name, context, pollers, _plane(context.plane) if context.plane else None)
