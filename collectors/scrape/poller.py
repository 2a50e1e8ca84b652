"""Polls /metrics pages and answers signal definitions from them, as a Prometheus would.

A world with a clock of its own (a simulation, maybe sped up) stamps its pages; times, windows and intervals
then run on that clock.
"""

import asyncio
import statistics
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from ssl import CERT_NONE, SSLContext, create_default_context
from threading import Lock
from typing import NamedTuple, cast
from urllib.parse import urlsplit

from collectors.config import shown_url
from collectors.daemon import DaemonExecutor
from collectors.fleet import SourceHealth, SourceState
from collectors.readings import STALE_INTERVALS, believable
from collectors.scrape.evaluate import evaluate
from collectors.scrape.fetch import PageConnection, host_port
from collectors.scrape.found import detected, proves
from collectors.scrape.history import TargetHistory
from collectors.scrape.page import PageError, PageReader, Sampled, unpacked
from collectors.signals.catalogue import (
    MAX_ROWS,
    RATE_SCRAPES,
    Answer,
    Definition,
    Detected,
    Poll,
    Preset,
    ScrapeTarget,
    window_s,
)
from collectors.signals.promql import series_name
from collectors.text import clean

MAX_AT_ONCE = 8
"""Pages asked for at the same time."""

MAX_CARRIED = 256
"""A page with more sets of labels than this is not looked through for the models it carries."""

_CLOSE_S = 0.5
# What values that no exporter means to send can raise on their way through arithmetic.
_UNREADABLE = (ValueError, ArithmeticError, RecursionError)
# A simulated clock ticks in steps, so that a speed of 1 is not measured as 1.
_SAME_SPEED = 0.2


@dataclass(frozen=True, slots=True, repr=False)
class PageTarget:
    """A page to scrape. labels: as service discovery would add; `instance` and `job` have defaults."""

    url: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"PageTarget({shown_url(self.url)!r})"


class _Scraped(NamedTuple):
    """A page's word in one poll. asked_at: our clock at the moment that `at`, by the page's, is true of."""

    samples: list[Sampled]
    at: float
    asked_at: float
    received_bytes: int


class _Moment(NamedTuple):
    """A poll's time by the pages' clock, and the same moment by ours."""

    at: float
    asked_at: float


class _Page:
    """A target with what is known of it.

    error: of its newest scrape, a sentence; "" when fine
    strange_clock: its own time was not believed
    carries: labels of its series that may name a model; () where they are too many
    job: its newest scrape, which may outlast the poll that started it
    """

    def __init__(self, url: str, labels: Mapping[str, str], wanted: frozenset[str]) -> None:
        self.url = url
        self.labels = labels
        self.history = TargetHistory(labels)
        self.reader = PageReader(wanted)
        self.connection: PageConnection | None = None
        self.job: asyncio.Future[_Scraped | str] | None = None
        self.stacks: frozenset[str] = frozenset()
        self.error = ""
        self.strange_clock = False
        self.carries: tuple[Mapping[str, str], ...] = ()
        self.asked_at = 0.0
        self.received_bytes = 0


class ScrapePoller:
    """Scrapes its targets once a poll and evaluates the definitions of every stack it has seen."""

    def __init__(
        self,
        targets: Sequence[PageTarget],
        *,
        presets: Sequence[Preset],
        name: str = "scrape",
        interval_s: float = 5.0,
        timeout_s: float = 4.0,
        verify: bool | SSLContext = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        interval_s: between polls, by our clock
        timeout_s: for one page, all in all
        raises: ValueError, with a sentence, without targets or for an address that is none
        """
        if not targets:
            raise ValueError(f"{name}: no pages to scrape; give at least one address")
        self.name = name
        self._presets = tuple(presets)
        wanted = frozenset(_wanted(self._presets))
        self._pages = tuple(_Page(t.url, labels, wanted) for t, labels in _labelled(targets))
        self._timeout_s = timeout_s
        self._verify = verify
        self._clock = clock
        self._wanted_s = self._interval_s = interval_s
        self._moments: deque[_Moment] = deque(maxlen=10)
        self._at: float | None = None
        self._detected: tuple[Detected, ...] = ()
        self._skipped = 0
        self._is_polling = False
        self._last: Poll | None = None
        self._tls: SSLContext | None = None
        self._at_once = asyncio.Semaphore(MAX_AT_ONCE)
        # At most one a page, and one that answers. One may be stuck, in a name server's time and not in ours.
        self._threads = DaemonExecutor(thread_name_prefix="scrape")
        # Threads wait together and work one by one: the screen's thread then has one rival, not eight.
        self._alone = Lock()

    async def poll(self) -> Poll:
        """Scrape every page and answer. What fails is told in the poll's health, never raised.

        A poll asked for while one runs is skipped: it brings the last one's targets and no answers.
        """
        if self._is_polling:
            self._skipped += 1
            last = self._last or self._assembled((), self._clock(), 0.0)
            return replace(last, answers=(), health=replace(last.health, skipped=self._skipped))
        self._is_polling = True
        try:
            self._last = await self._polled()
            return self._last
        finally:
            self._is_polling = False

    async def aclose(self) -> None:
        """Close connections and end the threads. Safe to call twice."""
        running = {page.job for page in self._pages if page.job is not None and not page.job.done()}
        for page in self._pages:
            if page.connection is not None:
                page.connection.abort()
        if running:
            await asyncio.wait(running, timeout=_CLOSE_S)
        for page in self._pages:
            if page.connection is not None and page.job is not None and page.job.done():
                page.connection.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _polled(self) -> Poll:
        started = time.monotonic()
        scraped = await asyncio.gather(*map(self._scraped, self._pages))
        loop = asyncio.get_running_loop()
        at, answers = await loop.run_in_executor(self._threads, self._digested, scraped)
        return self._assembled(answers, at, time.monotonic() - started)

    async def _scraped(self, page: _Page) -> _Scraped | str:
        """What the page said, or a sentence about why it did not."""
        async with self._at_once:
            if page.job is None or page.job.done():
                loop = asyncio.get_running_loop()
                page.job = loop.run_in_executor(self._threads, self._asked, page)
            # Half a second more than the thread gives itself: its own word says more.
            done, _ = await asyncio.wait({page.job}, timeout=self._timeout_s + 0.5)
            if done:
                return page.job.result()
            if page.connection is not None:
                page.connection.abort()
            return f"no whole answer within {self._timeout_s:g} s"

    def _asked(self, page: _Page) -> _Scraped | str:
        try:
            return self._answer(page)
        except PageError as error:
            return str(error)
        except _UNREADABLE as error:
            return _no_use(error)

    def _answer(self, page: _Page) -> _Scraped:
        if page.connection is None:
            page.connection = PageConnection(page.url, self._timeout_s, self._trusted(page.url))
        # The start, as Prometheus has it: a value cannot be older than its time says.
        began = self._clock()
        fetched = page.connection.ask()
        ended = self._clock()
        with self._alone:
            samples = page.reader.read(unpacked(fetched.body, fetched.encoding), fetched.content_type)
        page.strange_clock = fetched.at is not None and not believable(fetched.at, ended)
        if fetched.at is None or page.strange_clock:
            return _Scraped(samples, began, began, len(fetched.body))
        return _Scraped(samples, fetched.at, ended, len(fetched.body))

    def _trusted(self, url: str) -> SSLContext | None:
        if not url.startswith("https:"):
            return None
        with self._alone:
            if self._tls is None:
                # Reading the system's certificates takes long: once, and only where a page needs them.
                self._tls = self._verify if isinstance(self._verify, SSLContext) else _tls(self._verify)
            return self._tls

    def _digested(self, scraped: Sequence[_Scraped | str]) -> tuple[float, tuple[Answer, ...]]:
        with self._alone:
            for page, one in zip(self._pages, scraped, strict=True):
                self._record(page, one)
            at = self._advanced()
            self._detected = detected(self._presets, self._histories)
            return at, self._answers(at)

    def _record(self, page: _Page, one: _Scraped | str) -> None:
        if not isinstance(one, str):
            try:
                self._keep(page, one)
                return
            except _UNREADABLE as error:
                one = _no_use(error)
        page.history.fail()
        page.error, page.received_bytes = one, 0

    def _keep(self, page: _Page, one: _Scraped) -> None:
        page.error, page.received_bytes, page.asked_at = "", one.received_bytes, one.asked_at
        page.history.record(one.samples, round(one.at * 1000), round(2000 * window_s(self._interval_s)))
        page.stacks = frozenset(preset.stack for preset in self._presets if proves(preset, page.history))
        page.carries = _carried(page.history, [p for p in self._presets if p.stack in page.stacks])

    def _advanced(self) -> float:
        """The poll's time: of the newest page; without one, the last poll's, or now."""
        live = [page for page in self._pages if page.history.up]
        if not live:
            return self._clock() if self._at is None else self._at
        newest = max(live, key=lambda page: page.history.at_ms)
        self._at = at = newest.history.at_ms / 1000
        if self._moments and at < self._moments[-1].at:
            self._moments.clear()
        if not self._moments or at > self._moments[-1].at:
            self._moments.append(_Moment(at, newest.asked_at))
        self._interval_s = _interval(self._wanted_s, self._moments)
        return at

    @property
    def _histories(self) -> list[TargetHistory]:
        return [page.history for page in self._pages]

    def _answers(self, at: float) -> tuple[Answer, ...]:
        answers: list[Answer] = []
        for preset in self._presets:
            pages = [page for page in self._pages if preset.stack in page.stacks]
            if pages:
                answers.extend(self._answered(preset.definitions, [p.history for p in pages], at))
        return tuple(answers)

    def _answered(
        self, definitions: Iterable[Definition], stack: Sequence[TargetHistory], at: float
    ) -> Iterable[Answer]:
        # Half an interval of grace: one late scrape must not make a rate blink.
        since = at - window_s(self._interval_s) - self._interval_s / 2
        scrapes = [times for history in stack if (times := history.scrapes_since(round(since * 1000)))]
        seen = max(map(len, scrapes), default=0)
        # A young history is not an idle one: the window is what its scrapes cover.
        window = at - min((times[0] for times in scrapes), default=0) / 1000
        live = [history.at_ms for history in stack if history.up]
        oldest = (min(live) if live else max(history.at_ms for history in stack)) / 1000
        for definition in definitions:
            if definition.signal == "faults" and not any(
                history.carries(series_name(definition, m)) for history in stack for m in definition.metrics
            ):
                # No row means no fault: where nothing tells faults, there must be no answer either.
                continue
            if definition.needs_rate and seen < RATE_SCRAPES:
                yield Answer(definition, (), oldest, collecting=(seen, RATE_SCRAPES))
                continue
            try:
                rows = evaluate(definition, self._histories, at, window)
                if len(rows) > MAX_ROWS:
                    raise ValueError(f"{len(rows)} groups, and at most {MAX_ROWS} are read")
                yield Answer(definition, rows, oldest, window_s=window if definition.needs_rate else 0.0)
            except ValueError as error:
                yield Answer(definition, (), oldest, error=str(error))
            except ArithmeticError as error:
                yield Answer(definition, (), oldest, error=f"its values cannot be reckoned with: {error}")

    def _assembled(self, answers: tuple[Answer, ...], at: float, latency_s: float) -> Poll:
        pages = self._pages
        up = sum(page.history.up for page in pages)
        failed = [page for page in pages if page.error]
        if failed or up == len(pages):
            state = SourceState.OK if not failed else SourceState.PARTIAL if up else SourceState.LOST
        else:
            state = SourceState.CONNECTING
        stacks = frozenset[str]().union(*(page.stacks for page in pages))
        return Poll(
            source=self.name,
            at=at,
            interval_s=self._interval_s,
            answers=answers,
            targets=tuple(
                ScrapeTarget(
                    page.labels,
                    page.history.up,
                    page.history.at_ms / 1000 if page.history.scrape else None,
                    page.stacks,
                    page.carries,
                )
                for page in pages
            ),
            stacks=tuple(sorted(stacks)),
            detected=self._detected,
            health=SourceHealth(
                name=self.name,
                kind="scrape",
                state=state,
                at=self._at,
                latency_s=latency_s,
                interval_s=self._interval_s,
                error=_failure(failed, len(pages)),
                warnings=_warnings(pages, answers, at, self._interval_s),
                targets=(up, len(pages)),
                queries=len(pages),
                received_bytes=sum(page.received_bytes for page in pages),
                skipped=self._skipped,
            ),
        )


def _no_use(error: Exception) -> str:
    return f"its values cannot be used ({clean(str(error), 80)}); look at the page for absurd ones"


def _tls(verify: bool) -> SSLContext:
    context = create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = CERT_NONE
    return context


def _interval(wanted_s: float, moments: Sequence[_Moment]) -> float:
    """Time between polls by the pages' clock: as wanted, or the multiple of it that is really kept.

    The measured gap is never reported as it is. Who polls at that interval is always a little late, and would
    be a little later every time.
    """
    if len(moments) < 2:
        return wanted_s
    first, last = moments[0], moments[-1]
    ours = last.asked_at - first.asked_at
    speed = (last.at - first.at) / ours if ours > 0 else 1.0
    if abs(speed - 1) > _SAME_SPEED:
        wanted_s *= float(f"{speed:.2g}")
    if len(moments) <= RATE_SCRAPES:
        return wanted_s
    gap = statistics.median(after.at - before.at for before, after in pairwise(moments))
    return wanted_s * max(1, round(gap / wanted_s))


def _failure(failed: Sequence[_Page], known: int) -> str:
    if not failed:
        return ""
    first = failed[0]
    others = f"; {len(failed)} of {known} pages cannot be read" if known > 1 else ""
    return clean(f"{shown_url(first.url)}: {first.error}{others}", 400)


def _warnings(
    pages: Sequence[_Page], answers: Sequence[Answer], at: float, interval_s: float
) -> tuple[str, ...]:
    live = [page for page in pages if page.history.up]
    strange = [page for page in live if not page.stacks]
    mistimed = [page for page in live if page.strange_clock]
    late = [page for page in live if at - page.history.at_ms / 1000 > STALE_INTERVALS * interval_s]
    found = []
    if strange:
        found.append(f"{_first(strange)} exports no metric that a preset knows")
    if mistimed:
        found.append(f"{_first(mistimed)} has a clock over ten years from ours: ours is used instead")
    if late:
        behind = round(at - late[0].history.at_ms / 1000)
        found.append(f"{_first(late)} is {behind} s behind the other pages by its own clock")
    if wrong := [answer for answer in answers if answer.error]:
        others = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        found.append(f"{wrong[0].definition.signal} cannot be told: {wrong[0].error}{others}")
    return tuple(found)


def _first(pages: Sequence[_Page]) -> str:
    others = f" (and {len(pages) - 1} more)" if len(pages) > 1 else ""
    return f"{shown_url(pages[0].url)}{others}"


def _carried(history: TargetHistory, presets: Sequence[Preset]) -> tuple[Mapping[str, str], ...]:
    """The sets of labels, as the stacks' definitions keep them, of what proves the stacks on a page."""
    key = "carried", *(preset.stack for preset in presets)
    if (known := history.plans.get(key)) is not None:
        return cast("tuple[Mapping[str, str], ...]", known)
    found: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}
    for preset in presets:
        if preset.role == "accelerator":
            continue
        names = {series_name(d, m) for d in preset.definitions for m in d.metrics if d.kind == "gauge"}
        kept = {label for definition in preset.definitions for label in definition.keep}
        for series in (one for name in sorted(names) for one in history.named(name)):
            labels = {label: clean(text) for label in kept if (text := series.labels.get(label))}
            found[tuple(sorted(labels.items()))] = labels
            if len(found) > MAX_CARRIED:
                history.plans[key] = ()
                return ()
    history.plans[key] = carried = tuple(found.values())
    return carried


def _wanted(presets: Iterable[Preset]) -> Iterable[str]:
    for preset in presets:
        yield from preset.proof
        yield from (name for probe in preset.probes for name in (probe.metric, *probe.or_metrics))
        yield from (name for generation in preset.generations for name in generation.proof)
        for definition in preset.definitions:
            for metric in (*definition.metrics, *definition.over):
                yield series_name(definition, metric)


def _labelled(targets: Sequence[PageTarget]) -> list[tuple[PageTarget, Mapping[str, str]]]:
    """Every target with its labels. The pages of one server differ in path, which then tells them apart."""
    named = [(target, host_port(target.url)) for target in targets]
    shared = Counter(instance for _, instance in named)
    return [
        (
            target,
            {
                "instance": instance
                if shared[instance] == 1
                else clean(instance + urlsplit(target.url).path),
                "job": "scrape",
                **{clean(label): clean(value) for label, value in target.labels.items()},
            },
        )
        for target, instance in named
    ]
