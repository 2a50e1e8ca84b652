"""Who is scraped, how often, and when last: what makes the time of a reading true."""

import itertools
import math
import statistics
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from collectors.fleet import believable, clean
from collectors.prometheus.client import Client
from collectors.prometheus.wire import Refused, Sample, Vector, read_intervals
from collectors.signals.catalogue import RATE_SCRAPES, Matcher, ScrapeTarget, window_s
from collectors.signals.promql import any_of, braces, duration

DEFAULT_INTERVAL_S = 15.0
"""Until it is known. Prometheus itself says 1 minute, most who run it say 15 s."""

_FORBIDDEN = frozenset({401, 403, 404, 405, 501})
_MAX_JOBS_ASKED = 16


@dataclass(frozen=True, slots=True)
class Scrapes:
    """targets: of every job that matters; oldest: by stack, the oldest scrape among its live targets
    seen: by stack, scrapes that succeeded in its rate window; collecting: stacks with too few for a rate
    """

    targets: tuple[ScrapeTarget, ...] = ()
    oldest: Mapping[str, float] = field(default_factory=dict)
    seen: Mapping[str, int] = field(default_factory=dict)
    collecting: frozenset[str] = frozenset()

    @property
    def counts(self) -> tuple[int, int] | None:
        """(up, known); None where none is known."""
        return (sum(t.up for t in self.targets), len(self.targets)) if self.targets else None


class Targets:
    """Asks for targets. Remembers what changes seldom: intervals, and which stacks have enough scrapes."""

    def __init__(self, client: Client, selector: Sequence[Matcher]) -> None:
        self._client, self._selector = client, selector
        self._intervals: dict[str, float] = {}
        self._list_is_forbidden = False
        self._settled: set[str] = set()
        self._intervals_known = False

    def forget(self) -> None:
        """Learn the intervals anew, keeping the old ones until then."""
        self._intervals_known = False

    def interval_of(self, jobs: Iterable[str]) -> float:
        """Seconds between scrapes of the slowest of these jobs; 15 where none is known."""
        known = [self._intervals[job] for job in jobs if job in self._intervals]
        return max(known, default=DEFAULT_INTERVAL_S)

    async def ask(
        self,
        ask: Callable[[str, float], Awaitable[Vector]],
        jobs: Mapping[str, frozenset[str]],
        at: float,
    ) -> Scrapes:
        """Targets of the stacks' jobs at a time. `ask` sends a query. raises: Refused"""
        wanted = tuple(sorted(set().union(*jobs.values())))
        where = braces((Matcher("job", "=~", any_of(wanted)), *self._selector))
        ups = await ask(f"up{where}", at)
        scraped = await ask(f"timestamp(up{where})", at)
        targets = _targets(ups.samples, scraped.samples, jobs, at)
        if not self._intervals_known:
            await self._learn_intervals(ask, targets, at)
        oldest = {
            stack: min(times)
            for stack in jobs
            if (times := [t.at for t in targets if t.up and t.at is not None and stack in t.stacks])
        }
        seen = await self._seen(ask, jobs, at)
        return Scrapes(targets, oldest, seen, frozenset(seen) - self._settled)

    async def _seen(
        self,
        ask: Callable[[str, float], Awaitable[Vector]],
        jobs: Mapping[str, frozenset[str]],
        at: float,
    ) -> dict[str, int]:
        """Scrapes seen in each stack's window; a stack that has had enough is noted as settled.

        It is not new again for a lost scrape, only when no rate can be had.
        """
        windows: dict[float, list[str]] = {}
        for stack, its in jobs.items():
            windows.setdefault(window_s(self.interval_of(its)), []).append(stack)
        found = {}
        for window, stacks in windows.items():
            some = any_of(sorted(set().union(*(jobs[stack] for stack in stacks))))
            where = braces((Matcher("job", "=~", some), *self._selector))
            vector = await ask(f"max by (job) (sum_over_time(up{where}[{duration(window)}]))", at)
            seen = {
                s.metric.get("job", ""): s.number
                for s in vector.samples
                if s.value is not None and math.isfinite(s.number)
            }
            for stack in stacks:
                counts = [seen[job] for job in jobs[stack] if job in seen]
                if not counts:
                    continue
                found[stack] = int(max(counts))
                if found[stack] >= RATE_SCRAPES:
                    self._settled.add(stack)
                elif found[stack] < 2:
                    self._settled.discard(stack)
        return found

    async def _learn_intervals(
        self, ask: Callable[[str, float], Awaitable[Vector]], targets: Sequence[ScrapeTarget], at: float
    ) -> None:
        """From the list of targets where that is allowed, otherwise from the times of scrapes."""
        if not self._list_is_forbidden:
            try:
                listed = read_intervals(await self._client.ask("api/v1/targets", {"state": "active"}))
            except Refused as refused:
                if refused.unreachable or refused.wait_s is not None:
                    raise
                self._list_is_forbidden = refused.status in _FORBIDDEN
            else:
                self._intervals.update(listed)
                self._intervals_known = all(t.labels.get("job", "") in listed for t in targets)
        if self._intervals_known:
            return
        # One live target stands for its job: the times of all would be a large answer.
        one_each = {t.labels.get("job", ""): t for t in targets if t.up}
        for job, target in list(one_each.items())[:_MAX_JOBS_ASKED]:
            same = tuple(Matcher(label, "=", text) for label, text in target.labels.items())
            times = await ask(f"up{braces((*same, *self._selector))}[5m]", at)
            if steps := [step for one in times.samples for step in _steps(one)]:
                self._intervals[job] = round(statistics.median(steps), 1) or DEFAULT_INTERVAL_S
        self._intervals_known = all(job in self._intervals for job in one_each)


def _steps(sample: Sample) -> list[float]:
    moments = [moment for moment, _ in sample.values]
    return [later - sooner for sooner, later in itertools.pairwise(moments) if later > sooner]


def _targets(
    ups: Sequence[Sample], times: Sequence[Sample], jobs: Mapping[str, frozenset[str]], now: float
) -> tuple[ScrapeTarget, ...]:
    """A time that cannot be believed counts as now, so that readings still grow old."""
    scraped = {_labels(one): one.number for one in times if one.value is not None}
    found = []
    for one in ups:
        if one.value is None:
            continue
        labels = _labels(one)
        at = scraped.get(labels)
        if at is not None and not believable(at, now):
            at = now
        job = dict(labels).get("job", "")
        found.append(
            ScrapeTarget(
                labels={clean(name): clean(text) for name, text in labels},
                up=one.number == 1,
                at=at,
                stacks=frozenset(stack for stack, its in jobs.items() if job in its),
            )
        )
    return tuple(found)


def _labels(sample: Sample) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, text) for name, text in sample.metric.items() if name != "__name__"))
