"""Alerts as servers tell them, and what every source of them does."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, Protocol

from collectors.fleet import Severity, SourceHealth

OWN_ALERTS, ALERTMANAGER = "prom-alerts", "alertmanager"
"""How names of sources begin: a Prometheus asked for the alerts of its own rules, and an Alertmanager."""

REPLICAS = frozenset({"replica", "prometheus_replica", "__replica__", "ruler_replica", "thanos_replica"})
"""External labels that only tell a pair of equal servers apart, by their usual names."""

_SEVERITIES: Mapping[str, Severity] = MappingProxyType(
    {
        "page": Severity.P1,
        "critical": Severity.P1,
        "p1": Severity.P1,
        "warning": Severity.P2,
        "p2": Severity.P2,
    }
)


def severity_of(labels: Mapping[str, str]) -> Severity:
    """By the label `severity`, as rules write it; what says nothing of it is P3."""
    return _SEVERITIES.get(labels.get("severity", "").lower(), Severity.P3)


@dataclass(frozen=True, slots=True)
class Told:
    """An alert as a server tells it. All text is cleaned.

    id: made of its labels less those of replicas: the same whoever tells it, and after any restart
    annotations: summary, description, message and runbook_url, those there are
    link: where the server that evaluates its rule shows it, without credentials
    since: when it began to fire; of a Prometheus, when its condition began to hold
    silenced_until, silenced_by: of the silence that lasts longest, where any is active
    inhibited: another alert keeps it quiet, being its cause; inhibits: how many it keeps quiet itself
    source: the server's name; kind: what that is; cluster: that the server watches, "" where nobody says
    last_known: the server does not answer any more: it said so before
    """

    id: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    since: float
    state: Literal["firing", "pending"] = "firing"
    silenced_until: float | None = None
    silenced_by: str = ""
    inhibited: bool = False
    inhibits: int = 0
    source: str = ""
    kind: Literal["prometheus", "alertmanager"] = "prometheus"
    cluster: str = ""
    link: str = ""
    last_known: bool = False

    @property
    def name(self) -> str:
        """The alert's name by its rule."""
        return self.labels.get("alertname", "")


@dataclass(frozen=True, slots=True)
class AlertPoll:
    """What one source of alerts said, the worst first. `at`: by the server's clock, where it told it."""

    at: float
    told: tuple[Told, ...]
    health: SourceHealth


class AlertSource(Protocol):
    """A server that can be asked for its alerts."""

    name: str

    async def poll(self) -> AlertPoll:
        """One poll. Never raises for a server that is slow, absent or lying: its health says so."""
        ...

    async def aclose(self) -> None:
        """Close connections. Safe to call twice."""
        ...
