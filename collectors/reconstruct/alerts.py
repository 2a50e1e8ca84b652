"""Alerts of the past: those of its own rules that a Prometheus keeps as series, read as its live ones are.

A series holds an alert's labels and when its condition began to hold, and nothing else: no summary, no link,
no silence. An Alertmanager keeps no past at all. Source: Prometheus, rules/alerting.go, `ALERTS` and
`ALERTS_FOR_STATE`; recorded by Thanos' ruler and vmalert too.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from collectors.alerts.told import OWN_ALERTS, REPLICAS, AlertPoll
from collectors.alerts.wire import Read, Reader, read_prometheus
from collectors.config import PrometheusServer
from collectors.fleet import Alert, SourceHealth, SourceState
from collectors.prometheus.asking import sentence
from collectors.prometheus.wire import MAX_WARNINGS, Refused, Sample
from collectors.reconstruct.ranges import Ranges
from collectors.text import clean

QUERY = (
    'ALERTS_FOR_STATE and ignoring (alertstate) ALERTS{alertstate="firing"}'
    ' or ALERTS{alertstate="firing"} unless ignoring (alertstate) ALERTS_FOR_STATE'
)
"""Alerts that fire: those of which it is kept since when, with that time for a value, and the others.

As of a live server, all of them: what `select` tells apart is the series of engines.
"""

_Fired = tuple[tuple[Mapping[str, str], float | None], ...]
"""Labels, and seconds since the epoch at which the condition began to hold; None where nobody kept it."""


class PastAlerts:
    """What `PrometheusAlerts` would have told, of a grid of moments in the past.

    step: the moment that is asked about
    is_fresh: whether the server heard from anybody then. If not, nothing says that an alert has ended: a
        server answers for minutes with what was the last
    """

    def __init__(self, server: PrometheusServer, ranges: Ranges) -> None:
        self.name = clean(f"{OWN_ALERTS}@{server.cluster}" if server.cluster else OWN_ALERTS, 64)
        self.step, self.is_fresh = 0, True
        self._ranges = ranges
        self._reader = Reader(
            self.name,
            cluster=server.cluster,
            cluster_label=server.cluster_label,
            replicas=REPLICAS | set(server.replica_labels or ()),
        )
        self._last: tuple[_Fired, Read] = ((), Read(()))

    async def poll(self) -> AlertPoll:
        """What fired at that moment. raises: Unanswered where the server answers nothing else either"""
        at = self._ranges.time_of(self.step)
        try:
            piece = await self._ranges.optional(QUERY, self.step)
            read = self._read(piece.elements(self.step, at), at)
        except Refused as refused:
            said = sentence("alerts", refused)
            return AlertPoll(
                at, (), SourceHealth(self.name, "alerts", SourceState.PARTIAL, at=at, error=said)
            )
        warnings = piece.warnings[:MAX_WARNINGS]
        if read.cut:
            warnings += (f"{len(read.told)} of {len(read.told) + read.cut} alerts kept, the worst first",)
        state = SourceState.PARTIAL if warnings else SourceState.OK
        told = read.told if self.is_fresh else tuple(replace(one, last_known=True) for one in read.told)
        return AlertPoll(at, told, SourceHealth(self.name, "alerts", state, at=at, warnings=warnings))

    async def aclose(self) -> None:
        """Nothing to close: the ranges belong to whoever gave them."""

    def resumed(self, before: Iterable[Alert]) -> None:
        """Take the alerts of the frame before: since when they fired, where the server does not keep it."""
        since = {_told_id(one): one.since for one in before if one.source == self.name}
        self._reader, self._last = self._reader._replace(since=since), ((), Read(()))

    def _read(self, elements: Iterable[Sample], at: float) -> Read:
        fired = tuple((one.metric, _began(one)) for one in elements if one.value is not None)
        if fired != self._last[0]:
            since = {**self._reader.since, **{one.id: one.since for one in self._last[1].told}}
            read = read_prometheus(_as_answered(fired), self._reader._replace(since=since), at)
            self._last = fired, read
        return self._last[1]


def _began(one: Sample) -> float | None:
    return None if "alertstate" in one.metric else one.number


def _as_answered(fired: _Fired) -> bytes:
    """As GET /api/v1/alerts would have answered, so that one reader says what an alert is."""
    alerts = [
        {
            "labels": {name: text for name, text in labels.items() if name not in {"__name__", "alertstate"}},
            "state": "firing",
            "activeAt": _date(began),
        }
        for labels, began in fired
    ]
    return json.dumps({"status": "success", "data": {"alerts": alerts}}).encode()


def _date(began: float | None) -> str | None:
    try:
        return None if began is None else datetime.fromtimestamp(began, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return None


def _told_id(alert: Alert) -> str:
    """The id by which its server's alert was told. Source: `matching.matched`"""
    return alert.id.removeprefix("told/").partition("@")[0]
