"""The live poller, asking about the past: the same questions at every step of a grid, answered from ranges.

An instant query at the steps of a grid is a range query, so what `PrometheusPoller` decides (stacks, targets,
windows, records, thinned buckets) is decided here too, by the same code, with the time that is asked about in
place of now. Only three things differ. What there is is learned ahead of time, for the minutes that follow.
Seconds between scrapes come from the samples, as what the server scrapes today says nothing of then. And
where nobody was scraped (filled in, pushed or forwarded data) a reading's time is that of its own samples.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import partial
from statistics import median
from typing import cast

from collectors.config import Override, PrometheusServer
from collectors.prometheus.answer import Labels
from collectors.prometheus.asking import Asking, bounded
from collectors.prometheus.client import Client
from collectors.prometheus.live import PrometheusPoller
from collectors.prometheus.schedule import DETECT_S, Schedule
from collectors.prometheus.targets import DEFAULT_INTERVAL_S, Ask, Scrapes, Targets, scrape_steps
from collectors.prometheus.wire import Refused, Sample, Vector
from collectors.readings import Reading
from collectors.reconstruct import exported
from collectors.reconstruct.alerts import PastAlerts
from collectors.reconstruct.ranges import Ranges
from collectors.signals.catalogue import (
    RATE_SCRAPES,
    Answer,
    Definition,
    Matcher,
    Poll,
    Preset,
    Row,
    ScrapeTarget,
)
from collectors.signals.derive import derived
from collectors.signals.keys import Key
from collectors.signals.promql import braces, duration, native_name, series_name

AHEAD_STEP_S = 60.0
"""What there is is looked for this often: below the look-back of any server."""

KEPT_NOTHING = "kept no series of any stack that is known from this time"

LATE_INTERVALS = 1.5
"""A sample older than so many intervals was followed by none: scrapes are late by less."""

_LOOKED_AT = 8
_RANGE_SELECTOR = re.compile(r"\[[0-9a-z]+\]\s*$")


class PastClient(Client):
    """What the poller takes for its client: its clock is the moment that is asked about."""

    def __init__(self, server: PrometheusServer) -> None:
        super().__init__(server)
        self.at = 0.0

    def now(self) -> float:
        """The moment that is asked about."""
        return self.at

    async def refresh(self) -> None:
        """Nothing to open: ranges have connections of their own."""

    async def ask(self, path: str, parameters: Mapping[str, str], *, deadline: float = 0.0) -> bytes:
        """Of targets as they are today nothing is to be learned. raises: Refused"""
        raise Refused(f"is not asked for {path}", "Samples tell it", status=404)


class PastAsking(Asking):
    """One poll of the past.

    step: the moment's place on the grid; ahead: answers are of the minutes that follow, each series' last
    """

    def __init__(self, client: PastClient, schedule: Schedule, ranges: Ranges, step: int) -> None:
        super().__init__(client, schedule, 0.0)
        self._ranges, self._step = ranges, step
        self._at = ranges.time_of(step)
        self.ahead = False
        self.partial: set[Definition] = set()

    async def vector(self, query: str, at: float | None) -> Vector:
        """What the server would have answered. raises: Refused, Unanswered"""
        if _RANGE_SELECTOR.search(query):
            vector = await self._ranges.instant(query, self._at)
        elif self.ahead:
            pieces = await self._ranges.several(query, self._at, self._at + DETECT_S, AHEAD_STEP_S)
            known = {frozenset(s.metric.items()): s for p in pieces for s in p.last_known(self._at)}
            vector = Vector(list(known.values()), tuple(w for p in pieces for w in p.warnings))
        else:
            piece = await self._ranges.piece(query, self._step)
            vector = Vector(piece.elements(self._step, self._at), piece.warnings)
        self.heard(vector)
        return vector

    async def rows(
        self, query: str, at: float, read: Callable[[Sequence[Sample]], tuple[Row, ...]]
    ) -> tuple[Vector, tuple[Row, ...]]:
        """As `Asking.rows`, without making elements of what is rows soon."""
        piece = await self._ranges.piece(query, self._step)
        known = cast("partial[tuple[Row, ...]]", read)
        found = bounded(lambda: piece.rows(known, self._step, self._at))
        if piece.warnings:
            self.partial.add(known.args[0])
        vector = Vector(piece.elements(self._step, self._at), piece.warnings)
        self.heard(vector)
        return vector, found


class PastSchedule(Schedule):
    """What there is was learned ahead: nothing is gained by looking again because there was nothing."""

    def polled(self, *, empty: bool) -> None:
        """A poll has ended."""
        super().polled(empty=False)


class PastTargets(Targets):
    """Targets of the past; of jobs that nobody scraped, seconds between samples."""

    def __init__(
        self, client: Client, selector: Sequence[Matcher], replicas: Sequence[str] | None = None
    ) -> None:
        super().__init__(client, selector, replicas)
        self.proofs: Mapping[str, Sequence[str]] = {}
        self._jobs: Mapping[str, frozenset[str]] = {}

    async def ask(
        self,
        ask: Ask,
        jobs: Mapping[str, frozenset[str]],
        at: float,
    ) -> Scrapes:
        """As `Targets.ask`. raises: Refused"""
        self._jobs = jobs
        return await super().ask(ask, jobs, at)

    async def _learn_intervals(self, ask: Ask, targets: Sequence[ScrapeTarget], at: float) -> None:
        await super()._learn_intervals(ask, targets, at)
        told = {target.labels.get("job", "") for target in targets}
        for stack, jobs in self._jobs.items():
            for job in sorted(jobs - told - self._intervals.keys()):
                for name in self.proofs.get(stack, ()):
                    of_job = (Matcher("job", "=", job), Matcher("le", "=~", r"|\+Inf"), *self._selector)
                    samples = (await ask(f"{name}{braces(of_job)}[5m]", at)).samples
                    if steps := [step for one in samples[:_LOOKED_AT] for step in scrape_steps(one)]:
                        self._intervals[job] = round(median(steps), 1) or DEFAULT_INTERVAL_S
                        break


class PastPoller(PrometheusPoller):
    """As `PrometheusPoller`, of a grid of moments in the past.

    partial: signals, of histograms their families, whose last answer the server itself called partial
    alerts: those of the server's own rules; None where nobody asks for them
    exported: readings of the last poll that came of a recording's export, and are to be taken as they are
    """

    def __init__(
        self,
        server: PrometheusServer,
        ranges: Ranges,
        *,
        presets: Sequence[Preset],
        name: str = "prometheus",
        overrides: Mapping[str, Override] | None = None,
    ) -> None:
        known = [
            replace(p, definitions=exported.definitions()) if p.stack == exported.STACK else p
            for p in presets
        ]
        super().__init__(server, presets=known, name=name, overrides=overrides, past_s=0.0)
        self._past_client = PastClient(server)
        self._past_targets = PastTargets(self._past_client, self._selector, server.replica_labels)
        self._client, self._targets, self._schedule = self._past_client, self._past_targets, PastSchedule()
        self._ranges = ranges
        self.alerts = PastAlerts(server, ranges) if server.alerts else None
        self.partial: frozenset[str] = frozenset()
        self.exported: Mapping[Key, Reading] = {}
        self._exported: dict[str, Sequence[Row]] = {}
        self._sparse: set[str] = set()

    async def poll_at(self, step: int) -> Poll:
        """What a poll at that step of the grid would have said. raises: Unanswered"""
        at = self._past_client.at = self._ranges.time_of(step)
        self._exported = {}
        asking = PastAsking(self._past_client, self._schedule, self._ranges, step)
        try:
            at = await self._detect(asking, at)
            scrapes = await self._scrapes(asking, at)
            await self._records.listen(asking.vector, at)
            there = [d for p in self._presets if p.stack in self._found.jobs for d in p.definitions]
            await self._thinned.foresee(asking.vector, there, self._scope(at, scrapes))
            answers = await self._answers(asking, at, scrapes)
        except BaseExceptionGroup as group:
            raise _unanswered(group) from None
        poll = await self._result(asking, at, scrapes, answers, 0.0, (0, 0))
        self.partial = frozenset(one.signal for one in asking.partial)
        self.exported = exported.readings(self._exported, at)
        # How long it took, and what it cost, is of now and not of then.
        health = replace(poll.health, latency_s=None, queries=0, received_bytes=0)
        return replace(poll, health=health)

    async def _detect(self, asking: Asking, started: float) -> float:
        past = cast("PastAsking", asking)
        past.ahead = True
        try:
            at = await super()._detect(asking, started)
        finally:
            past.ahead = False
        self._past_targets.proofs = {one.stack: one.proof for one in self._found.detected}
        return at

    async def _scrapes(self, asking: Asking, at: float) -> Scrapes:
        """Targets, of which those that are scraped no more are down: where no mark ends a series, as in what
        was filled in, it is answered with for minutes, and so is its `up`."""
        scrapes = await super()._scrapes(asking, at)
        oldest, targets = dict(scrapes.oldest), list(scrapes.targets)
        self._sparse = set(self._found.jobs) - {stack for target in targets for stack in target.stacks}
        for stack in self._found.jobs:
            late_s = LATE_INTERVALS * self._interval_of(stack)
            its = [target for target in targets if stack in target.stacks]
            fresh = [t.at for t in its if t.up and t.at is not None and at - t.at <= late_s]
            if len(fresh) < len(its):
                self._sparse.add(stack)
            if fresh:
                oldest[stack] = min(fresh)
        late_s = LATE_INTERVALS * max(map(self._interval_of, self._found.jobs), default=0.0)
        targets = [t if t.at is None or at - t.at <= late_s else replace(t, up=False) for t in targets]
        self._scraped.update(oldest)
        return replace(scrapes, targets=tuple(targets), oldest=oldest)

    def _nothing_known(self) -> str:
        return KEPT_NOTHING

    async def _asked(self, asking: Asking, about: Answer, at: float, scrapes: Scrapes) -> Answer:
        found = await super()._asked(asking, about, at, scrapes)
        stack = found.definition.stack
        if stack == exported.STACK:
            self._exported[found.definition.metrics[0].name] = found.rows
            return replace(found, rows=())
        if not found.rows or found.definition.promql or stack not in self._sparse:
            return found
        return await self._sampled(cast("PastAsking", asking), found, at, scrapes)

    async def _sampled(self, asking: PastAsking, found: Answer, at: float, scrapes: Scrapes) -> Answer:
        """The answer with the time of its samples, without rows that have no new one: what is filled in or
        pushed has no mark where it ends, and would be answered with for minutes more. raises: Refused"""
        definition = found.definition
        selector, present = (*self._selector, *scrapes.behind), self._found.present
        query = samples_question(definition, found.window_s, selector, present)
        if not query:
            return found
        times = sample_times(definition, (await asking.vector(query, at)).samples)
        late_s = LATE_INTERVALS * self._interval_of(definition.stack)
        kept = [(row, times.get(tuple(row.labels.items()), -math.inf)) for row in found.rows]
        kept = [(row, sampled) for row, sampled in kept if at - sampled <= late_s]
        return replace(
            found, rows=tuple(row for row, _ in kept), at=min((sampled for _, sampled in kept), default=None)
        )


def samples_question(
    definition: Definition, window_s: float, selector: Sequence[Matcher], present: AbstractSet[str]
) -> str:
    """When the series that a definition reads were sampled last, by the labels that it reads; "" for none.

    Of rates only those that have as many samples in the window as a rate needs: it would read too low.
    """
    raw = dict.fromkeys((*definition.keep, *(derive.source for derive in definition.derive)))
    found = []
    for metric in (*definition.metrics, *definition.over):
        for name in (series_name(definition, metric), native_name(definition, metric)):
            if name and name in present:
                # One bucket stands for all of its histogram.
                one = (Matcher("le", "=~", r"|\+Inf"),) if definition.kind == "histogram" else ()
                series = f"{name}{braces((*metric.where, *one, *selector))}"
                sampled = f"timestamp({series})"
                if definition.needs_rate:
                    enough = f"count_over_time({series}[{duration(window_s)}]) >= {RATE_SCRAPES}"
                    sampled = f"{sampled} and {enough}"
                found.append(f"min by ({', '.join(raw)}) ({sampled})")
    return " or ".join(found)


def sample_times(
    definition: Definition, elements: Iterable[Sample]
) -> dict[tuple[tuple[str, str], ...], float]:
    """The answer to `samples_question`, read: the oldest last sample of each group."""
    labels, derives = Labels(definition), [derived(one) for one in definition.derive]
    found: dict[tuple[tuple[str, str], ...], float] = {}
    for one in elements:
        if one.value is None:
            continue
        metric = dict(one.metric)
        for derive in derives:
            derive(metric)
        group = labels.of(metric)
        found[group] = min(found.get(group, math.inf), one.number)
    return found


def _unanswered(group: BaseExceptionGroup) -> BaseException:
    """The one failure that matters, of queries that were under way together."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
