"""Asks a Prometheus, again and again, for what the presets define.

A poll costs: `up` and `timestamp(up)` of the jobs that matter, one count of scrapes for each rate window and
one query a definition, all at one evaluation time; every 5 minutes the detection query. Where accelerators
are asked, their series are counted first: if there are as many as before, their queries are shortened by what
was learned then (`needless`), and otherwise it is learned anew. Polls never overlap.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from collectors.daemon import in_daemon
from collectors.fleet import SourceHealth, SourceState, clean
from collectors.prometheus import detect, needless
from collectors.prometheus.answer import by_node, rows
from collectors.prometheus.client import Client
from collectors.prometheus.schedule import ACCELERATORS_S, Schedule
from collectors.prometheus.targets import Scrapes, Targets
from collectors.prometheus.wire import MAX_WARNINGS, Refused, Vector, read_vector
from collectors.signals.catalogue import (
    MAX_ROWS,
    RATE_SCRAPES,
    Answer,
    Definition,
    Matcher,
    Poll,
    Preset,
    Row,
    window_s,
)
from collectors.signals.promql import render

BY_NODE_ABOVE = 2048
"""With more accelerators than this the map is asked by host."""

BIG_BODY_BYTES = 256 * 1024
"""Longer answers are decoded in a thread: more would hold up a key press."""

POLL_BUDGETS = 2.0
"""A poll may take this many query time limits; what was not asked by then says so."""


class PrometheusPoller:
    """One Prometheus, or what speaks its HTTP API.

    url: with a path prefix if there is one; `user:password@` in it is sent as basic authentication
    presets: what to look for (`read_presets`)
    headers: sent with every query; verify: True, False or the file of a private CA
    auth: gives headers of the moment (a token that changes), called before every poll in a thread; may raise
        `config.ConfigError`
    timeout_s: of one query
    selector: filters for every series, as of one cluster in a shared store
    raises: ValueError for a URL that is none
    """

    def __init__(
        self,
        url: str,
        *,
        presets: Sequence[Preset],
        name: str = "prometheus",
        headers: Mapping[str, str] | None = None,
        verify: bool | Path = True,
        auth: Callable[[], Mapping[str, str]] | None = None,
        timeout_s: float = 10.0,
        selector: Sequence[Matcher] = (),
    ) -> None:
        self.name = clean(name, 40)
        self._presets, self._selector, self._timeout_s = tuple(presets), tuple(selector), timeout_s
        self._client = Client(url, headers=headers or {}, verify=verify, auth=auth, timeout_s=timeout_s)
        self._found = detect.Found()
        self._needless: dict[str, tuple[float, frozenset[needless.Doubt]]] = {}
        self._targets = Targets(self._client, self._selector)
        self._schedule = Schedule()
        self._health = SourceHealth(self.name, "prometheus", SourceState.CONNECTING)
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
        return {
            stack: max(self._targets.interval_of(jobs), ACCELERATORS_S if stack in devices else 0.0)
            for stack, jobs in self._found.jobs.items()
        }

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
        await self._client.aclose()

    async def _poll(self, started: float) -> Poll:
        if (quiet_s := self._schedule.quiet_s(started)) > 0:
            said = f"asked for quiet: it is asked again in {quiet_s:.0f} s, and less often from now on."
            return self._nothing(SourceState.LOST, said)
        before = self._client.queries, self._client.received_bytes
        asking = _Asking(self._client, self._schedule, started + POLL_BUDGETS * self._timeout_s)
        try:
            await self._client.refresh()
            await self._detect(asking, started)
            at = self._client.now()
            scrapes = await self._scrapes(asking, at)
        except Refused as refused:
            asking.note(refused)
            return self._nothing(SourceState.LOST, asking.sentence("", refused), started, before)
        answers = await self._answers(asking, at, scrapes)
        return self._result(asking, at, scrapes, answers, started, before)

    async def _detect(self, asking: "_Asking", now: float) -> None:
        if not self._schedule.detection_due(now):
            return
        try:
            vector = await asking.vector(detect.question(self._presets, self._selector), None)
        except Refused as refused:
            if refused.unreachable or not self._found.jobs:
                raise
            asking.errors.append(asking.sentence("what there is", refused))
            return
        self._found = detect.found(self._presets, vector.samples)
        self._needless.clear()
        self._targets.forget()
        self._schedule.detected(now)

    async def _scrapes(self, asking: "_Asking", at: float) -> Scrapes:
        """Targets and their scrapes; without them the poll goes on, unless nobody answers at all."""
        if not self._found.jobs:
            return Scrapes()
        try:
            return await self._targets.ask(asking.vector, self._found.jobs, at)
        except Refused as refused:
            if refused.unreachable:
                raise
            asking.errors.append(asking.sentence("targets", refused))
            return Scrapes()

    async def _answers(self, asking: "_Asking", at: float, scrapes: Scrapes) -> tuple[Answer, ...]:
        there = [p for p in self._presets if p.stack in self._found.jobs]
        devices = [p for p in there if p.role == "accelerator"]
        if devices and not self._schedule.accelerators_due(at, max(self.intervals[p.stack] for p in devices)):
            there = [p for p in there if p.role != "accelerator"]
        else:
            for preset in devices:
                await self._learn_needless(asking, preset, at)
        fast = [d for p in there for d in p.definitions if d.lane == "fast"]
        answers = await self._all(asking, fast, at, scrapes)
        if heat := [d for p in there for d in p.definitions if d.lane == "heat"]:
            if _accelerators(answers) > BY_NODE_ABOVE:
                heat = [by_node(d) for d in heat]
            answers += await self._all(asking, heat, at, scrapes)
        return answers

    async def _learn_needless(self, asking: "_Asking", preset: Preset, at: float) -> None:
        """Learn what a stack's queries can leave out, if its series are not as many as before.

        Where that is refused nothing is left out: the answers stay true, only dearer.
        """
        whole = [*preset.definitions, *(by_node(d) for d in preset.definitions if d.lane == "heat")]
        of = preset, whole, self._selector, self._found.present
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
        self, asking: "_Asking", definitions: Sequence[Definition], at: float, scrapes: Scrapes
    ) -> tuple[Answer, ...]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._answer(asking, d, at, scrapes)) for d in definitions]
        return tuple(answer for task in tasks if (answer := task.result()) is not None)

    async def _answer(
        self, asking: "_Asking", definition: Definition, at: float, scrapes: Scrapes
    ) -> Answer | None:
        """None if no series of the definition exists: then it is not asked."""
        stack = definition.stack
        seen = scrapes.seen.get(stack, 0)
        _, spare = self._needless.get(stack, (0.0, frozenset()))
        query = render(
            needless.shortened(definition, spare, self._found.present),
            window_s=self._window_s(stack, seen),
            selector=self._selector,
            present=self._found.present,
        )
        if not query:
            return None
        when = scrapes.oldest.get(stack)
        if definition.needs_rate and stack in scrapes.collecting:
            return Answer(definition, (), when, collecting=(seen, RATE_SCRAPES))
        try:
            vector, found = await asking.rows(query, at, definition)
        except Refused as refused:
            return Answer(definition, (), when, error=asking.sentence(definition.signal, refused))
        asking.heard(vector)
        return Answer(definition, found, when)

    def _window_s(self, stack: str, seen: int) -> float:
        """The rate window of a stack.

        A rate divides by its whole window: while scrapes do not fill it yet it would read too low.
        """
        interval_s = self._targets.interval_of(self._found.jobs[stack])
        full = window_s(interval_s)
        return min(full, seen * interval_s) if seen >= RATE_SCRAPES else full

    def _result(
        self,
        asking: "_Asking",
        at: float,
        scrapes: Scrapes,
        answers: tuple[Answer, ...],
        started: float,
        before: tuple[int, int],
    ) -> Poll:
        failed = [a.error for a in answers if a.error]
        errors = [*asking.errors, *failed]
        lost = bool(failed) and len(failed) == len(answers)
        if not self._found.jobs:
            titles = ", ".join(p.title for p in self._presets)
            errors.append(f"has no series of {titles}. Check that it scrapes them and that this is its URL.")
        partial = bool(errors) or asking.incomplete
        state = SourceState.LOST if lost else SourceState.PARTIAL if partial else SourceState.OK
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        self._schedule.polled(empty=not any(a.rows or a.error or a.collecting for a in answers))
        self._health = SourceHealth(
            self.name,
            "prometheus",
            state,
            at=self._health.at if lost else at,
            latency_s=time.monotonic() - started,
            interval_s=self.interval_s,
            error=f"{errors[0]}{more}" if errors else "",
            warnings=(*self._clock_warning(), *asking.warnings)[:MAX_WARNINGS],
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
        )

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
        return Poll(self.name, self._client.now(), self.interval_s, (), (), self._found.stacks, self._health)


class _Asking:
    """One poll under way: its time limit, and what went wrong so far."""

    def __init__(self, client: Client, schedule: Schedule, deadline: float) -> None:
        self._client, self._schedule, self._deadline = client, schedule, deadline
        self.errors: list[str] = []
        self.warnings: dict[str, None] = {}
        self.incomplete = False

    async def vector(self, query: str, at: float | None) -> Vector:
        """The answer to a query at a time; None is the server's now. raises: Refused"""
        vector = read_vector(await self._body(query, at))
        self.heard(vector)
        return vector

    async def rows(self, query: str, at: float, definition: Definition) -> tuple[Vector, tuple[Row, ...]]:
        """The answer to a definition's query, and its rows. raises: Refused"""
        body = await self._body(query, at)

        def decoded() -> tuple[Vector, tuple[Row, ...]]:
            vector = read_vector(body)
            try:
                found = rows(definition, vector.samples)
            except (ValueError, ArithmeticError, IndexError) as error:
                said = "answered with what cannot be reckoned with"
                raise Refused(said, "Check what stands between here and the server") from error
            if len(found) > MAX_ROWS:
                said = f"answered with {len(found)} groups, and at most {MAX_ROWS} are read"
                raise Refused(said, "Keep fewer labels, or add a recording rule")
            return vector, found

        return await in_daemon(decoded) if len(body) > BIG_BODY_BYTES else decoded()

    async def _body(self, query: str, at: float | None) -> bytes:
        if (quiet_s := self._schedule.quiet_s(time.monotonic())) > 0:
            raise Refused(
                f"was not asked: the server wants quiet for {quiet_s:.0f} s", "It is asked again then"
            )
        parameters = {"query": query} if at is None else {"query": query, "time": f"{at:.3f}"}
        try:
            return await self._client.ask("api/v1/query", parameters, deadline=self._deadline)
        except Refused as refused:
            self.note(refused)
            raise

    def heard(self, vector: Vector) -> None:
        """Keep what the server said beside its answer. Only its warnings mean that something is missing."""
        self.warnings.update(dict.fromkeys((*vector.warnings, *vector.infos)))
        self.incomplete = self.incomplete or bool(vector.warnings)

    def note(self, refused: Refused) -> None:
        """Keep quiet if the server asks for it."""
        if refused.wait_s is not None:
            self._schedule.keep_quiet(time.monotonic(), refused.wait_s)

    def sentence(self, what: str, refused: Refused) -> str:
        """What happened to what, and what to do. Whoever shows it names the source first."""
        asked = f"asked for {what}, it " if what else ""
        return f"{asked}{refused}. {refused.mend}."


def _accelerators(answers: Sequence[Answer]) -> float:
    return sum(
        row.value
        for answer in answers
        if answer.definition.signal == "accelerators"
        for row in answer.rows
        if isinstance(row.value, float)
    )
