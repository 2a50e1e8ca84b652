"""A context of the configuration, made into a source of live frames."""

from collections.abc import Callable, Mapping

from collectors.config import Context, Credential, Endpoint, secret
from collectors.control.native import NativePlane
from collectors.control.server.access import token_for
from collectors.prometheus.live import PrometheusPoller
from collectors.scrape.poller import PageTarget, ScrapePoller
from collectors.signals.presets import read_presets, with_labels
from collectors.watch import POLL_S, Poller, Watch


def live_source(name: str, context: Context) -> Watch:
    """What the context names, ready to be watched; nothing is asked yet."""
    presets = with_labels(read_presets(context.presets), context.identity.labels())
    pollers: list[Poller] = [
        PrometheusPoller(
            server.url,
            presets=presets,
            headers={k: v for k, v in server.headers.items() if isinstance(v, str)},
            verify=server.ca_file or True,
            auth=_bearer(server.token) if server.token else None,
        )
        for server in context.prometheus
    ]
    if context.scrape:
        targets = [PageTarget(page.url, page.labels) for page in context.scrape]
        pollers.append(ScrapePoller(targets, presets=presets, interval_s=POLL_S))
    plane = _plane(context.plane) if context.plane is not None else None
    return Watch(name, context, pollers, plane)


def _bearer(token: Credential) -> Callable[[], Mapping[str, str]]:
    """Headers of the moment: read anew each time, so that a rotated token is the one that is sent."""
    return lambda: {"Authorization": f"Bearer {secret(token)}"}


def _plane(endpoint: Endpoint) -> NativePlane:
    """The client of a plane: without a configured token, the environment or the plane's own file gives it."""
    credential = endpoint.token
    token = (lambda: secret(credential)) if credential is not None else (lambda: token_for(endpoint.url))
    return NativePlane(endpoint.url, token, verify=str(endpoint.ca_file) if endpoint.ca_file else True)
