"""Asks a Prometheus, again and again, for what the presets define.

A poll costs: `up` and `timestamp(up)` of the jobs that matter, one count of scrapes for each rate window and
one query a definition, all at one evaluation time; every 5 minutes the detection queries. Histograms with
more buckets than one answer holds are asked for fewer of them (`thinned`). Where recording rules of ours are
evaluated their records are asked instead, after one query for the time of that. Where accelerators are asked,
their series are counted first: if there are as many as before, their queries are shortened by what was
learned then (`needless`), and otherwise it is learned anew. Polls never overlap.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from collectors.config import ConfigError, Override, PrometheusServer
from collectors.fleet import SourceHealth, SourceState
from collectors.prometheus import detect, needless, override, thinned, victoria
from collectors.prometheus.answer import by_node, rows
from collectors.prometheus.asking import Asking, sentence
from collectors.prometheus.client import Client
from collectors.prometheus.past import PastAsked
from collectors.prometheus.records import Records
from collectors.prometheus.schedule import ACCELERATORS_S, Schedule
from collectors.prometheus.targets import Scrapes, Targets
from collectors.prometheus.thinned import Scope, Thinned
from collectors.prometheus.wire import MAX_WARNINGS, Refused, Vector
from collectors.signals.catalogue import (
    RATE_SCRAPES,
    Answer,
    Definition,
    Matcher,
    Poll,
    Preset,
    Row,
    window_s,
)
from collectors.signals.presets import read_matcher, with_labels
from collectors.signals.promql import render
from collectors.signals.recording import record_name
from collectors.text import clean

BY_NODE_ABOVE = 2048
"""With more accelerators than this the map is asked by host."""

POLL_BUDGETS = 2.0
"""A poll may take this many query time limits; what was not asked by then says so."""


class PrometheusPoller:
    """One Prometheus, or what speaks its HTTP API.

    server: where it is, and what of it to ask for
    presets: what to look for (`read_presets`)
    overrides: an operator's own queries, by signal; they are asked whatever is found
    identity: labels that identity rules read: of the past they are kept
    past_s: how much of the past to ask for once, in seconds; 0 for none
    raises: ConfigError for a filter of `server.select` that is none
    """

    def __init__(
        self,
        server: PrometheusServer,
        *,
        presets: Sequence[Preset],
        name: str = "prometheus",
        overrides: Mapping[str, Override] | None = None,
        identity: Sequence[str] = (),
        past_s: float = 600.0,
    ) -> None:
        self.name = clean(name, 40)
        self._server = server
        self._presets = with_labels(
            presets, [server.cluster_label] if server.cluster_label else [], apart=True
        )
        self._selector = tuple(map(_filter, server.select))
        self._overrides = dict(overrides or {})
        self._client = Client(server)
        self._found = detect.Found()
        self._needless: dict[str, tuple[float, frozenset[needless.Doubt]]] = {}
        self._targets = Targets(self._client, self._selector, server.replica_labels)
        self._records = Records(self._selector, server.cluster_label)
        self._thinned = Thinned()
        self._makes_labels_up = False
        self._past = PastAsked(server, identity, past_s)
        self._schedule = Schedule()
        self._health = SourceHealth(self.name, "prometheus", SourceState.CONNECTING)
        self._scraped: dict[str, float] = {}
        self._polling = False
        self._skipped = 0

    def __repr__(self) -> str:
        return f"PrometheusPoller({self._client.place!r}, name={self.name!r})"

    @property
    def interval_s(self) -> float:
        """Seconds between scrapes of the fastest job that is asked; 15 until it is known."""
        found = (self._targets.interval_of(jobs) for jobs in self._found.jobs.values())
        return min(found, default=self._targets.interval_of(()))

    @property
    def intervals(self) -> Mapping[str, float]:
        """Seconds between two answers by stack: the scrapes of its slowest job; for accelerators ours too.

        Staleness of a stack goes by its own.
        """
        devices = {p.stack for p in self._presets if p.role == "accelerator"}
        known = {
            stack: max(self._targets.interval_of(jobs), ACCELERATORS_S if stack in devices else 0.0)
            for stack, jobs in self._found.jobs.items()
        }
        if self._overrides:
            # Their time is the oldest scrape of all.
            known[override.STACK] = max(
                map(self._targets.interval_of, self._found.jobs.values()), default=self.interval_s
            )
        return known

    @property
    def clock_offset_s(self) -> float:
        """Seconds that the server's clock is ahead of ours; 0 where they may agree."""
        return self._client.offset_s

    async def poll(self) -> Poll:
        """One poll. Never raises for a server that is slow, absent or lying: health and answers say so.

        While one poll is under way another returns at once with nothing, and is counted as skipped. While the
        server asked for quiet (429, or 503 with Retry-After) nothing is sent.
        """
        if self._polling:
            self._skipped += 1
            return self._nothing(self._health.state, self._health.error)
        self._polling = True
        try:
            return await self._poll(time.monotonic())
        finally:
            self._polling = False

    async def aclose(self) -> None:
        """Close connections. Safe to call twice."""
        self._past.stop()
        await self._client.aclose()

    async def _poll(self, started: float) -> Poll:
        if (quiet_s := self._schedule.quiet_s(started)) > 0:
            said = f"asked for quiet: it is asked again in {quiet_s:.0f} s, and less often from now on."
            return self._nothing(SourceState.LOST, said)
        before = self._client.queries, self._client.received_bytes
        asking = Asking(self._client, self._schedule, started + POLL_BUDGETS * self._server.timeout_s)
        try:
            await self._client.refresh()
            at = await self._detect(asking, started)
            scrapes = await self._scrapes(asking, at)
            await self._records.listen(asking.vector, at)
            there = [d for p in self._presets if p.stack in self._found.jobs for d in p.definitions]
            await self._thinned.foresee(asking.vector, there, self._scope(at, scrapes))
        except Refused as refused:
            asking.note(refused)
            return self._nothing(SourceState.LOST, sentence("", refused), started, before)
        self._start_past(at, scrapes)
        answers = await self._answers(asking, at, scrapes)
        return await self._result(asking, at, scrapes, answers, started, before)

    async def _detect(self, asking: Asking, started: float) -> float:
        """Find out what there is, if that is due. Returns the evaluation time of all that is asked after."""
        if not self._schedule.detection_due(started):
            return self._client.now()
        at: float | None = None
        try:
            vector = await asking.vector(detect.question(self._presets, self._selector), None)
            # The first answer of all tells the server's clock.
            at = self._client.now()
            names = detect.jobs_by_name(vector.samples)
            if self._client.is_victoria_metrics:
                made = await asking.vector(victoria.LABEL_QUESTION, at)
                self._makes_labels_up = victoria.makes_labels_up(made.samples)
            self._found = await detect.explained(asking.vector, self._presets, names, self._selector, at)
            if self._found.jobs:
                there = [d for p in self._presets if p.stack in self._found.jobs for d in p.definitions]
                wanted = [*there, *(by_node(d) for d in there if d.lane == "heat")]
                await self._records.learn(asking.vector, wanted, at)
        except Refused as refused:
            if refused.unreachable or not self._found.jobs:
                raise
            asking.errors.append(sentence("what there is", refused))
            return self._client.now() if at is None else at
        self._needless.clear()
        self._targets.forget()
        self._thinned.detected(detect.series_by_name(vector.samples))
        self._schedule.detected(started)
        return at

    def _start_past(self, at: float, scrapes: Scrapes) -> None:
        """Ask for the past of the waits, once there are any. One's own query has none that would fit it."""
        if not scrapes.targets or {"queue_wait", "queue_wait_p99"} & self._overrides.keys():
            return
        stacks = [p for p in self._presets if p.stack in self._found.jobs]
        waits = [d for p in stacks for d in p.definitions if d.signal == "queue_wait"]
        self._past.start(
            waits,
            selector=(*self._selector, *scrapes.behind),
            replicas=scrapes.replicas,
            present=self._found.present,
            guarded=self._makes_labels_up,
            window_s=max((window_s(self._interval_of(d.stack)) for d in waits), default=window_s(0)),
            at=at,
        )

    def _interval_of(self, stack: str) -> float:
        return self._targets.interval_of(self._found.jobs[stack])

    async def _scrapes(self, asking: Asking, at: float) -> Scrapes:
        """Targets and their scrapes; without them the poll goes on, unless nobody answers at all."""
        if not self._found.jobs:
            return Scrapes()
        try:
            scrapes = await self._targets.ask(asking.vector, self._found.jobs, at)
        except Refused as refused:
            if refused.unreachable:
                raise
            asking.errors.append(sentence("targets", refused))
            # What counts once must go on counting once.
            return Scrapes(replicas=self._targets.last.replicas, behind=self._targets.last.behind)
        self._scraped.update(scrapes.oldest)
        return scrapes

    async def _answers(self, asking: Asking, at: float, scrapes: Scrapes) -> tuple[Answer, ...]:
        there = [p for p in self._presets if p.stack in self._found.jobs]
        devices = [p for p in there if p.role == "accelerator"]
        if devices and not self._schedule.accelerators_due(at, max(self.intervals[p.stack] for p in devices)):
            there = [p for p in there if p.role != "accelerator"]
        else:
            for preset in devices:
                await self._learn_needless(asking, preset, at, scrapes)
        fast = [d for p in there for d in p.definitions if d.lane == "fast"]
        fast += override.definitions(self._overrides)
        answers = await self._all(asking, fast, at, scrapes)
        if heat := [d for p in there for d in p.definitions if d.lane == "heat"]:
            if _accelerators(answers) > BY_NODE_ABOVE:
                heat = [by_node(d) for d in heat]
            answers += await self._all(asking, heat, at, scrapes)
        return answers

    async def _learn_needless(self, asking: Asking, preset: Preset, at: float, scrapes: Scrapes) -> None:
        """Learn what a stack's queries can leave out, if its series are not as many as before.

        What is recorded is not asked so. Where that is refused nothing is left out: the answers stay true,
        only dearer.
        """
        whole = [*preset.definitions, *(by_node(d) for d in preset.definitions if d.lane == "heat")]
        whole = [one for one in whole if not self._recorded(one, at, scrapes)]
        if not whole:
            return
        of = preset, whole, (*self._selector, *scrapes.behind), self._found.present
        learned = self._needless.pop(preset.stack, None)
        try:
            counted = await asking.vector(needless.size(*of), at)
            size = next((one.number for one in counted.samples if one.value is not None), 0.0)
            if learned is None or learned[0] != size:
                found = set()
                for doubt, query in needless.doubts(*of).items():
                    if not (await asking.vector(query, at)).samples:
                        found.add(doubt)
                learned = size, frozenset(found)
        except (Refused, ValueError):
            return
        self._needless[preset.stack] = learned

    async def _all(
        self, asking: Asking, definitions: Sequence[Definition], at: float, scrapes: Scrapes
    ) -> tuple[Answer, ...]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._answer(asking, d, at, scrapes)) for d in definitions]
        return tuple(answer for task in tasks if (answer := task.result()) is not None)

    async def _answer(
        self, asking: Asking, definition: Definition, at: float, scrapes: Scrapes
    ) -> Answer | None:
        """None if no series of the definition exists: then it is not asked."""
        if definition.promql:
            return await self._overridden(asking, definition, at, scrapes)
        stack = definition.stack
        seen = scrapes.seen.get(stack, 0)
        _, spare = self._needless.get(stack, (0.0, frozenset()))
        window = self._window_s(stack, seen)
        scope = self._scope(at, scrapes)
        query = render(
            needless.shortened(definition, spare, self._found.present),
            window_s=window,
            selector=(*scope.selector, *self._thinned.filters(definition, scope.present)),
            present=scope.present,
            replicas=scope.replicas,
            guarded=self._makes_labels_up,
        )
        if not query:
            return None
        # Without a time a value would never grow old.
        when = scrapes.oldest.get(stack, self._scraped.get(stack, at))
        about = Answer(definition, (), when, window_s=window if definition.needs_rate else 0.0, query=query)
        if definition.needs_rate and stack in scrapes.collecting:
            return replace(about, collecting=(seen, RATE_SCRAPES))
        try:
            return await self._asked(asking, about, at, scrapes)
        except Refused as refused:
            if not refused.too_large or not await self._thinned.thin(asking.vector, definition, scope):
                mend = thinned.MEND if refused.too_large and definition.kind == "histogram" else ""
                return replace(about, error=sentence(definition.signal, refused, mend))
        return await self._answer(asking, definition, at, scrapes)

    async def _asked(self, asking: Asking, about: Answer, at: float, scrapes: Scrapes) -> Answer:
        """The answer of its record, where that can be believed, or of its query. raises: Refused"""
        definition, stack = about.definition, about.definition.stack
        vector = Vector([])
        found: tuple[Row, ...] = ()
        if record := self._recorded(definition, at, scrapes):
            vector, found = await asking.rows(record, at, partial(rows, definition))
        # A rule that is gone leaves nothing behind, and so does one that found nothing.
        if found and about.at is not None:
            beat = self._records.heartbeat(stack, self._interval_of(stack), at)
            oldest = about.at if beat is None else min(about.at, beat)
            about = replace(about, at=oldest, query=record, recorded=record_name(definition))
        else:
            read = partial(rows, definition, replicas=scrapes.replicas)
            vector, found = await asking.rows(about.query, at, read)
        if len(vector.samples) > thinned.MAX_SAMPLES:
            # What is here is whole: fewer are asked for from the next poll on.
            await self._thinned.thin(asking.vector, definition, self._scope(at, scrapes))
        return replace(about, rows=thinned.honest(found))

    def _scope(self, at: float, scrapes: Scrapes) -> Scope:
        return Scope((*self._selector, *scrapes.behind), self._found.present, scrapes.replicas, at)

    async def _overridden(
        self, asking: Asking, definition: Definition, at: float, scrapes: Scrapes
    ) -> Answer:
        """The answer to an operator's own query. Nobody says what feeds it: its time is the oldest scrape."""
        signal = definition.signal
        known = (scrapes.oldest.get(stack, self._scraped.get(stack)) for stack in self._found.jobs)
        when = min((one for one in known if one is not None), default=at)
        over_s = override.window_s(definition.promql) if definition.kind == "histogram" else 0.0
        about = Answer(definition, (), when, query=definition.promql, window_s=over_s)
        try:
            read = partial(rows, definition, factor=self._overrides[signal].factor)
            _, found = await asking.rows(definition.promql, at, read)
        except Refused as refused:
            mend = f"Mend signals.{signal} of this context" if refused.status in {400, 422} else ""
            return replace(about, error=sentence(f"signals.{signal}", refused, mend))
        return replace(about, rows=found)

    def _recorded(self, definition: Definition, at: float, scrapes: Scrapes) -> str:
        """What asks for the definition's record; "" where there is none that can be believed now.

        A rule divides by its whole window: while scrapes do not fill it yet it reads too low.
        """
        stack, interval_s = definition.stack, self._interval_of(definition.stack)
        if self._records.heartbeat(stack, interval_s, at) is None:
            return ""
        if definition.needs_rate and self._window_s(stack, scrapes.seen.get(stack, 0)) < window_s(interval_s):
            return ""
        if self._makes_labels_up and definition.derive:
            # Its rules are evaluated by a server that makes labels up.
            return ""
        return self._records.query(
            definition,
            interval_s,
            selector=(
                *self._selector,
                *scrapes.behind,
                *self._thinned.filters(definition, self._found.present),
            ),
            present=self._found.present,
            replicas=scrapes.replicas,
        )

    def _window_s(self, stack: str, seen: int) -> float:
        """The rate window of a stack.

        A rate divides by its whole window: while scrapes do not fill it yet it would read too low.
        """
        interval_s = self._interval_of(stack)
        full = window_s(interval_s)
        return min(full, seen * interval_s) if seen >= RATE_SCRAPES else full

    async def _result(
        self,
        asking: Asking,
        at: float,
        scrapes: Scrapes,
        answers: tuple[Answer, ...],
        started: float,
        before: tuple[int, int],
    ) -> Poll:
        failed = [a.error for a in answers if a.error]
        errors = [*asking.errors, *failed]
        lost = bool(failed) and len(failed) == len(answers)
        own = [a for a in answers if a.definition.promql]
        if not self._found.jobs and not any(a.rows for a in own):
            errors.append(self._nothing_known())
        past, pastless = await self._past.taken()
        if pastless:
            asking.warnings[pastless] = None
        some = bool(errors) or asking.incomplete
        state = SourceState.LOST if lost else SourceState.PARTIAL if some else SourceState.OK
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        asked = [a for a in answers if not a.definition.promql]
        self._schedule.polled(empty=not any(a.rows or a.error or a.collecting for a in asked))
        self._health = SourceHealth(
            self.name,
            "prometheus",
            state,
            at=self._health.at if lost else at,
            latency_s=time.monotonic() - started,
            interval_s=self.interval_s,
            error=f"{errors[0]}{more}" if errors else "",
            warnings=(*self._clock_warning(), *self._thinned.warnings, *asking.warnings)[:MAX_WARNINGS],
            targets=scrapes.counts,
            queries=self._client.queries - before[0],
            received_bytes=self._client.received_bytes - before[1],
            skipped=self._skipped,
        )
        return Poll(
            self.name,
            at,
            self.interval_s,
            answers,
            scrapes.targets,
            self._found.stacks,
            self._health,
            self.intervals,
            self._found.detected,
            self._server.cluster,
            past,
        )

    def _nothing_known(self) -> str:
        engines = [p.title for p in self._presets if p.role == "engine"]
        more = len(self._presets) - len(engines)
        known = ", ".join(engines) + (f" and {more} more stacks" if more else "")
        return f"has no series of {known}. Check that it scrapes them and that this is its URL."

    def _clock_warning(self) -> tuple[str, ...]:
        strange = self._client.clock_is_strange
        return ("its clock is over ten years from ours: ours is used instead",) if strange else ()

    def _nothing(
        self,
        state: SourceState,
        error: str,
        started: float | None = None,
        before: tuple[int, int] | None = None,
    ) -> Poll:
        """A poll without answers. What was known of the stacks stays known."""
        known = self._health
        self._health = SourceHealth(
            self.name,
            "prometheus",
            state,
            at=known.at,
            latency_s=known.latency_s if started is None else time.monotonic() - started,
            interval_s=self.interval_s,
            error=error,
            warnings=self._clock_warning(),
            targets=known.targets,
            queries=self._client.queries - before[0] if before else 0,
            received_bytes=self._client.received_bytes - before[1] if before else 0,
            skipped=self._skipped,
        )
        return Poll(
            self.name,
            self._client.now(),
            self.interval_s,
            (),
            (),
            self._found.stacks,
            self._health,
            detected=self._found.detected,
            cluster=self._server.cluster,
        )


def _filter(text: str) -> Matcher:
    try:
        return read_matcher(text)
    except ValueError as error:
        raise ConfigError(f"prometheus.select: {clean(text, 60)!r} {error}") from None


def _accelerators(answers: Sequence[Answer]) -> float:
    return sum(
        row.value
        for answer in answers
        if answer.definition.signal == "accelerators"
        for row in answer.rows
        if isinstance(row.value, float)
    )
