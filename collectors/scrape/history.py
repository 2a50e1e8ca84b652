"""What one scraped target said lately: every series with its samples, for instant values and rates.

Times are whole milliseconds since the epoch here, as Prometheus keeps them, so that a window's edges mean the
same.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from typing import Any

from collectors.scrape.page import Sampled

LOOKBACK_S = 300.0
"""Oldest sample that still counts as a value now, as Prometheus has it by default."""

MAX_SCRAPES = 512
"""Most samples kept of one series, however fast it is polled."""


class Series:
    """A series as Prometheus would store it: the page's labels and the target's, and its samples by time.

    reset_ms: time of the newest sample below the one before it: before that, no rate need look for resets
    scrape: number of the newest scrape that carried it
    """

    __slots__ = ("labels", "name", "reset_ms", "scrape", "times_ms", "values")

    def __init__(self, name: str, labels: Mapping[str, str]) -> None:
        self.name = name
        self.labels = labels
        self.times_ms: list[int] = []
        self.values: list[float] = []
        self.reset_ms = -1
        self.scrape = -1

    def add(self, at_ms: int, value: float) -> None:
        """The next sample. One that is not newer than the last is dropped, as Prometheus does."""
        if self.times_ms:
            if at_ms <= self.times_ms[-1]:
                return
            if value < self.values[-1]:
                self.reset_ms = at_ms
        self.times_ms.append(at_ms)
        self.values.append(value)

    def value_at(self, at_ms: int) -> float | None:
        """The newest sample at or before a time, unless it is `LOOKBACK_S` old."""
        times = self.times_ms
        newest = len(times) - 1 if times[-1] <= at_ms else bisect_right(times, at_ms) - 1
        if newest < 0 or at_ms - times[newest] >= LOOKBACK_S * 1000:
            return None
        return self.values[newest]

    def rate(self, start_ms: int, end_ms: int) -> float | None:
        """Increase a second of a counter over a window, edges included; None with fewer than two samples.

        Resets count as restarts from 0. What is missing towards an edge is extrapolated: all of it if less
        than 1.1 mean gaps, else half a gap, and never to before the counter was 0.
        source: Prometheus 2.42, promql/functions.go, extrapolatedRate, in its order of operations
        """
        times, values = self.times_ms, self.values
        first, last = 0, len(times) - 1
        if times[0] < start_ms:
            first = bisect_left(times, start_ms)
        if times[last] > end_ms:
            last = bisect_right(times, end_ms) - 1
        gaps = last - first
        if gaps < 1:
            return None
        increase = values[last] - values[first]
        if self.reset_ms >= start_ms:
            for i in range(first, last):
                if values[i + 1] < values[i]:
                    increase += values[i]
        to_start = (times[first] - start_ms) / 1000
        to_end = (end_ms - times[last]) / 1000
        sampled = (times[last] - times[first]) / 1000
        gap = sampled / gaps
        if increase > 0 and values[first] >= 0:
            to_start = min(to_start, sampled * (values[first] / increase))
        near = gap * 1.1
        covered = (
            sampled + (to_start if to_start < near else gap / 2) + (to_end if to_end < near else gap / 2)
        )
        return increase * (covered / sampled / ((end_ms - start_ms) / 1000))


class TargetHistory:
    """The scrapes of one target, bounded in age and number.

    labels: the target's own (job, instance, ...); they win over the page's
    up: its newest scrape succeeded
    at_ms, scrape: time and number of its newest good scrape, 0 before the first
    plans: what readers worked out of the set of series; emptied whenever a series comes or goes
    """

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.labels = dict(labels)
        self.up = False
        self.at_ms = 0
        self.scrape = 0
        self.plans: dict[object, Any] = {}
        self._scrapes_ms: list[int] = []
        self._by_identity: dict[str, Series] = {}
        self._by_name: dict[str, list[Series]] = {}

    def named(self, name: str) -> list[Series]:
        """Series of a metric that have a sample in the history, also those that the newest scrape lacks."""
        return self._by_name.get(name, [])

    def carries(self, name: str) -> bool:
        """True if the newest good scrape had a series of the metric."""
        return any(series.scrape == self.scrape for series in self.named(name))

    def scrapes_since(self, start_ms: int) -> list[int]:
        """Times of the good scrapes at or after a time, oldest first."""
        return self._scrapes_ms[bisect_left(self._scrapes_ms, start_ms) :]

    def record(self, samples: Iterable[Sampled], at_ms: int, keep_ms: int) -> None:
        """A good scrape. Samples older than `keep_ms` before it are forgotten.

        Of two samples of one series the first counts. A scrape of the same time as the last brings nothing
        new; an earlier one means that the clock was set back or the world began anew: so does the history.
        """
        self.up = True
        if at_ms == self.at_ms and self.scrape:
            return
        if at_ms < self.at_ms:
            self._forget()
        self.at_ms = at_ms
        self.scrape += 1
        self._scrapes_ms.append(at_ms)
        number, known = self.scrape, self._by_identity
        for exposed, value, own_s in samples:
            series = known.get(exposed.identity)
            if series is None:
                series = Series(exposed.name, merged_labels(exposed.labels, self.labels))
                known[exposed.identity] = series
                self._by_name.setdefault(exposed.name, []).append(series)
                self.plans.clear()
            series.scrape = number
            series.add(at_ms if own_s is None else round(own_s * 1000), value)
        self._trim(at_ms - keep_ms)

    def fail(self) -> None:
        """A scrape that failed: the target is down, and none of its series is current."""
        self.up = False

    def _forget(self) -> None:
        self._by_identity.clear()
        self._by_name.clear()
        self._scrapes_ms.clear()
        self.plans.clear()

    def _trim(self, oldest_ms: int) -> None:
        # Every eighth scrape is enough to stay bounded, and costs an eighth.
        if self.scrape % 8 and len(self._scrapes_ms) < MAX_SCRAPES:
            return
        kept = [at for at in self._scrapes_ms if at >= oldest_ms][-MAX_SCRAPES // 2 :]
        if len(kept) < len(self._scrapes_ms):
            # A page may stamp its samples earlier than its first scrape: only then must they go with it.
            self._scrapes_ms, oldest_ms = kept, kept[0]
        gone = set()
        for identity, series in self._by_identity.items():
            times = series.times_ms
            keep = next((i for i, at in enumerate(times) if at >= oldest_ms), len(times))
            if keep == len(times) and series.scrape != self.scrape:
                gone.add(identity)
            elif keep:
                # The last sample stays: a page may stamp a current value with an old time.
                keep = min(keep, len(times) - 1)
                del times[:keep], series.values[:keep]
        if gone:
            self._by_identity = {i: s for i, s in self._by_identity.items() if i not in gone}
            self._by_name = {}
            for series in self._by_identity.values():
                self._by_name.setdefault(series.name, []).append(series)
            self.plans.clear()


def merged_labels(exposed: Mapping[str, str], target: Mapping[str, str]) -> dict[str, str]:
    """Labels of a stored series: the target's win, and a clashing exposed one becomes `exported_<label>`.

    Source: Prometheus scrape/scrape.go, mutateSampleLabels with honor_labels off.
    """
    labels = {**exposed, **{name: value for name, value in target.items() if value}}
    for name in sorted((n for n in exposed if target.get(n)), key=len):
        free = f"exported_{name}"
        while free in labels:
            free = f"exported_{free}"
        labels[free] = exposed[name]
    return labels
