"""Who is scraped, by which of several equal Prometheus, how often, and when last: what makes the time of a
reading true.
"""

import itertools
import math
import re
import statistics
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from collectors.prometheus.client import Client
from collectors.prometheus.wire import Refused, Sample, Vector, read_intervals
from collectors.readings import STALE_INTERVALS, believable
from collectors.signals.catalogue import RATE_SCRAPES, Matcher, ScrapeTarget, window_s
from collectors.signals.promql import any_of, braces, duration
from collectors.text import clean

DEFAULT_INTERVAL_S = 15.0
"""Until it is known. Prometheus itself says 1 minute, most who run it say 15 s."""

REPLICA_LABELS = ("prometheus_replica", "replica", "__replica__")
"""Labels by which a pair of equal Prometheus is told apart: the operator's, Thanos', and Mimir's."""

Ask = Callable[[str, float], Awaitable[Vector]]
"""Sends a query about a time. raises: Refused"""

_FORBIDDEN = frozenset({401, 403, 404, 405, 501})
_MAX_JOBS_ASKED = 16


@dataclass(frozen=True, slots=True)
class Scrapes:
    """targets: of every job that matters; oldest: by stack, the oldest scrape among its live targets
    seen: by stack, scrapes that succeeded in its rate window; collecting: stacks with too few for a rate
    replicas: labels that tell equal Prometheus apart, () where there is only one
    behind: filters that keep out those of them that fell behind the others: their word is old
    """

    targets: tuple[ScrapeTarget, ...] = ()
    oldest: Mapping[str, float] = field(default_factory=dict)
    seen: Mapping[str, int] = field(default_factory=dict)
    collecting: frozenset[str] = frozenset()
    replicas: tuple[str, ...] = ()
    behind: tuple[Matcher, ...] = ()

    @property
    def counts(self) -> tuple[int, int] | None:
        """(up, known); None where none is known."""
        return (sum(t.up for t in self.targets), len(self.targets)) if self.targets else None


class Targets:
    """Asks for targets. Remembers what changes seldom: intervals, and which stacks have enough scrapes.

    replicas: labels that tell equal Prometheus apart; None: they are learned
    last: what was said when it was asked last
    """

    def __init__(
        self, client: Client, selector: Sequence[Matcher], replicas: Sequence[str] | None = None
    ) -> None:
        self._client, self._selector = client, selector
        self._replicas = None if replicas is None else tuple(replicas)
        self.last = Scrapes(replicas=self._replicas or ())
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
        ask: Ask,
        jobs: Mapping[str, frozenset[str]],
        at: float,
    ) -> Scrapes:
        """Targets of the stacks' jobs at a time. `ask` sends a query. raises: Refused"""
        wanted = tuple(sorted(set().union(*jobs.values())))
        where = braces((Matcher("job", "=~", any_of(wanted)), *self._selector))
        ups = await ask(f"up{where}", at)
        scraped = await ask(f"timestamp(up{where})", at)
        replicas = replica_labels(ups.samples) if self._replicas is None else self._replicas
        late = behind(scraped.samples, replicas, STALE_INTERVALS * self.interval_of(wanted))
        targets = _targets(ups.samples, scraped.samples, jobs, at, replicas, late)
        if not self._intervals_known:
            await self._learn_intervals(ask, targets, at)
        oldest = {
            stack: min(times)
            for stack in jobs
            if (times := [t.at for t in targets if t.up and t.at is not None and stack in t.stacks])
        }
        seen = await self._seen(ask, jobs, at)
        self.last = Scrapes(targets, oldest, seen, frozenset(seen) - self._settled, replicas, late)
        return self.last

    async def _seen(
        self,
        ask: Ask,
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

    async def _learn_intervals(self, ask: Ask, targets: Sequence[ScrapeTarget], at: float) -> None:
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
            same = tuple(
                Matcher(label, "=", text) for label, text in target.labels.items() if _PLAIN.fullmatch(label)
            )
            times = await ask(f"up{braces((*same, *self._selector))}[5m]", at)
            if steps := [step for one in times.samples for step in scrape_steps(one)]:
                self._intervals[job] = round(statistics.median(steps), 1) or DEFAULT_INTERVAL_S
        self._intervals_known = all(job in self._intervals for job in one_each)


def scrape_steps(sample: Sample) -> list[float]:
    """Seconds between the samples of one series, one after the other."""
    moments = [moment for moment, _ in sample.values]
    return [later - sooner for sooner, later in itertools.pairwise(moments) if later > sooner]


def replica_labels(ups: Sequence[Sample]) -> tuple[str, ...]:
    """Labels that tell equal Prometheus apart: without them some series of `up` are the same.

    `replica` is also what people call their own things: it must be on all of them, as a label that a
    Prometheus adds is.
    """
    there = tuple(label for label in REPLICA_LABELS if any(label in one.metric for one in ups))
    fit = tuple(label for label in there if label != "replica" or all(label in one.metric for one in ups))
    alone = tuple(label for label in fit if _doubled(ups, (label,)))
    return alone or (fit if len(fit) > 1 and _doubled(ups, fit) else ())


def _doubled(ups: Sequence[Sample], labels: Sequence[str]) -> bool:
    some = [_labels(one, labels) for one in ups if any(label in one.metric for label in labels)]
    return len(set(some)) < len(some)


def behind(times: Sequence[Sample], replicas: Sequence[str], late_s: float) -> tuple[Matcher, ...]:
    """Filters that keep out each Prometheus whose newest scrape is so much older than the newest of all.

    Only if others scrape all of its targets: what it alone knows must grow old on the screen, not vanish.
    """
    found = []
    for label in replicas:
        newest: dict[str, float] = defaultdict(lambda: -math.inf)
        scrapes: dict[str, set[tuple[tuple[str, str], ...]]] = defaultdict(set)
        for one in times:
            if one.value is not None and math.isfinite(one.number):
                text = one.metric.get(label, "")
                newest[text] = max(newest[text], one.number)
                scrapes[text].add(_labels(one, replicas))
        last = max(newest.values(), default=0.0)
        late = sorted(text for text, at in newest.items() if last - at > late_s)
        others = set().union(*(its for text, its in scrapes.items() if text not in late))
        found += [Matcher(label, "!=", text) for text in late if scrapes[text] <= others]
    return tuple(found)


def _targets(
    ups: Sequence[Sample],
    times: Sequence[Sample],
    jobs: Mapping[str, frozenset[str]],
    now: float,
    replicas: Sequence[str],
    behind: Sequence[Matcher],
) -> tuple[ScrapeTarget, ...]:
    """A time that cannot be believed counts as now, so that readings still grow old.

    A target that several equal Prometheus scrape is one: it is up if any of them says so, and the oldest of
    their successful scrapes is its time.
    """
    scraped = {_labels(one): one.number for one in times if one.value is not None}
    several: dict[tuple[tuple[str, str], ...], list[tuple[bool, float | None]]] = defaultdict(list)
    for one in ups:
        if one.value is None or any(one.metric.get(label, "") == text for label, _, text in behind):
            continue
        at = scraped.get(_labels(one))
        if at is not None and not believable(at, now):
            at = now
        several[_labels(one, replicas)].append((one.number == 1, at))
    found = []
    for labels, said in several.items():
        up = any(is_up for is_up, _ in said)
        job = dict(labels).get("job", "")
        found.append(
            ScrapeTarget(
                labels={clean(name): clean(text) for name, text in labels},
                up=up,
                at=min((at for is_up, at in said if at is not None and is_up == up), default=None),
                stacks=frozenset(stack for stack, its in jobs.items() if job in its),
            )
        )
    return tuple(found)


def _labels(sample: Sample, without: Sequence[str] = ()) -> tuple[tuple[str, str], ...]:
    return tuple(
        sorted(
            (name, text) for name, text in sample.metric.items() if name != "__name__" and name not in without
        )
    )


_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
