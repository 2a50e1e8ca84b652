"""Range answers of one server, piece by piece: asked with `prometheus_api_client`, in threads, a few at once.

A piece holds as many steps as an answer should have samples. Where a server allows fewer, of points or of
samples, the piece is halved until it fits, and what was learned holds for the query from then on. While one
piece is read the next is on its way; no more than these two are kept of a query.
"""

import asyncio
import queue
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple, TypeVar

import msgspec

from collectors.config import PrometheusServer
from collectors.daemon import in_daemon
from collectors.endpoint import Access
from collectors.prometheus.history import Connected, connected
from collectors.prometheus.wire import Refused, Sample, Vector
from collectors.reconstruct.matrix import Piece, piece_of

POINTS = 10_000
"""Most steps of one piece: a Prometheus answers with at most 11,000 points a series."""

SAMPLES = 150_000
"""Samples that an answer should have at most: some 4 MB."""

BLOCK = 16
"""Steps that are refused together, from a multiple of it on: wherever pieces begin, the same are refused."""

FIRST_STEPS = BLOCK
"""Steps of the first piece of a query of which nobody knows how many series it has."""

AT_ONCE = 3
"""Queries under way at once."""

PATIENCE_S = (1.0, 3.0, 9.0)
"""Waits before a server that does not answer, or asks for quiet, is asked again."""

LONGEST_QUIET_S = 60.0
"""Longest that a server's wish for quiet is waited out."""

_TOO_MUCH = re.compile(
    "too many|maximum resolution|too large|exceed|limit|timed? ?out|did not (answer|send all) within",
    re.IGNORECASE,
)
REFUSALS = frozenset({400, 422})
"""Statuses by which a server refuses a query, and not whoever asks."""

SILENCES = 2
"""Stretches in a row without an answer after which what can be done without is asked no more."""

_MISSING = "There are none of some minutes"

_ALIVE = "vector(1)"
"""What every server answers at once."""

_AGAIN = frozenset({0, 429, 500, 502, 503, 504})
"""Statuses that may be over in a moment; 0: no answer, or none that can be read."""

Answered = TypeVar("Answered")
TimeOf = Callable[[int], float]
"""Seconds since the epoch of a step."""


class Unanswered(Exception):
    """The server does not answer, or not to us: nothing more can be had of it now. str() is a sentence.

    refused: what became of the question
    """

    def __init__(self, refused: Refused) -> None:
        self.refused = refused
        super().__init__(f"{refused}. {refused.mend}")


def block_end(step: int) -> int:
    """First step of the next block."""
    return step - step % BLOCK + BLOCK


def is_too_much(refused: Refused) -> bool:
    """True where less of the same may be had."""
    return refused.too_large or bool(_TOO_MUCH.search(str(refused)))


class Ranges:
    """One server's answers at the steps of a grid.

    time_of: seconds since the epoch of a step; step_s: between two steps
    """

    def __init__(self, server: PrometheusServer, time_of: TimeOf, step_s: float) -> None:
        self._server, self.time_of, self.step_s = server, time_of, step_s
        self._access = Access(server)
        self._idle: queue.SimpleQueue[tuple[Connected, ExitStack, list[str]]] = queue.SimpleQueue()
        self._turns = threading.Semaphore(AT_ONCE)
        self._strands: dict[str, Strand] = {}
        self._series: dict[str, int] = {}
        self._most: dict[str, int] = {}
        self._silences: dict[str, _Silence] = {}
        self._closing = threading.Event()
        self._end = 0

    def begin(self, end: int) -> None:
        """Ask of no step from `end` on; what was fetched is forgotten, not what was learned."""
        self._end = end
        self._strands.clear()

    async def piece(self, query: str, step: int) -> Piece:
        """The piece with that step. raises: Refused for the query, Unanswered for the server"""
        strand = self._strands.get(query)
        if strand is None:
            strand = self._strands[query] = Strand(self, query)
        return await strand.at(step, self._end)

    async def optional(self, query: str, step: int) -> Piece:
        """As `piece`, of what can be done without: a question that is not answered, while the server answers
        others, is refused up to the next block; after `SILENCES` of them in a row it is asked no more.

        raises: Refused; Unanswered where the server answers nothing at all
        """
        silence = self._silences.get(query)
        if silence is not None and (silence.number >= SILENCES or silence.first <= step < silence.last):
            raise silence.refused
        try:
            piece = await self.piece(query, step)
        except Unanswered as error:
            await self._must_answer(self.time_of(step))
            refused, number = error.refused, silence.number if silence is not None else 0
            # What is too large was answered, and soon: the next stretch may have less.
            number += not refused.too_large
            mend = "It was not asked again: from here on there are none" if number >= SILENCES else _MISSING
            told = Refused(str(refused), mend, status=refused.status, too_large=refused.too_large)
            self._silences[query] = _Silence(step, block_end(step), number, told)
            raise told from None
        self._silences.pop(query, None)
        return piece

    async def _must_answer(self, at: float) -> None:
        """raises: Unanswered if the server does not answer the plainest of questions"""
        with suppress(Refused):
            await self.instant(_ALIVE, at)

    async def instant(self, query: str, at: float) -> Vector:
        """An answer for one moment. raises: as `piece`"""

        def ask(connection: Connected) -> Vector:
            return Vector(
                [msgspec.convert(one, Sample, strict=False) for one in connection.instant(query, at)]
            )

        try:
            vector, warnings = await in_daemon(self._patiently, ask)
        except Refused as refused:
            if refused.status not in REFUSALS:
                raise Unanswered(refused) from None
            raise
        return Vector(vector.samples, tuple(warnings))

    async def several(self, query: str, start: float, end: float, step_s: float) -> list[Piece]:
        """A range with steps of its own, in order, in as many pieces as it takes. raises: as `piece`"""
        time_of = partial(_time, start, step_s)

        def ask() -> list[Piece]:
            first, last, found = 0, int((end - start) / step_s) + 1, list[Piece]()
            while first < last:
                upto = min(last, first + self._most.get(query, POINTS))
                found.append(self._fetched(query, first, upto, time_of, step_s))
                first = found[-1].last
            return found

        return await in_daemon(ask)

    def fetch(self, query: str, first: int, end: int) -> Piece:
        """The piece that begins at `first`. Blocks. raises: as `piece`"""
        series = self._series.get(query)
        steps = FIRST_STEPS if series is None else max(1, SAMPLES // max(series, 1))
        upto = first + min(steps, self._most.get(query, POINTS), POINTS)
        if upto > (block := block_end(first)):
            # What is refused is refused by blocks, wherever a piece begins.
            upto = max(block, upto - upto % BLOCK)
        found = self._fetched(query, first, min(end, upto), self.time_of, self.step_s)
        self._series[query] = max(len(found.metrics), series or 0)
        return found

    def _fetched(self, query: str, first: int, last: int, time_of: TimeOf, step_s: float) -> Piece:
        while True:
            ask = partial(_range, query, time_of(first), time_of(last - 1), step_s)
            try:
                found, warnings = self._patiently(ask)
                return piece_of(found, first, last, time_of, step_s, warnings)
            except Refused as refused:
                if is_too_much(refused) and last - first > 1:
                    last = first + (last - first) // 2
                    self._most[query] = last - first
                elif refused.status in REFUSALS and last > block_end(first):
                    last = block_end(first)
                elif refused.status in REFUSALS:
                    raise
                else:
                    raise Unanswered(refused) from None

    def _patiently(self, ask: Callable[[Connected], Answered]) -> tuple[Answered, list[str]]:
        """An answer, and what was said beside it. raises: Refused, Unanswered"""
        for wait_s in (*PATIENCE_S, None):
            try:
                with self._turns, self._connection() as (connection, warnings):
                    return ask(connection), list(warnings)
            except Refused as refused:
                if refused.status in REFUSALS or is_too_much(refused):
                    raise
                if wait_s is None or not (refused.unreachable or refused.status in _AGAIN):
                    raise Unanswered(refused) from None
                quiet_s = min(refused.wait_s or wait_s, LONGEST_QUIET_S)
            if self._closing.wait(quiet_s):
                raise Unanswered(Refused("was not asked any more", "Run it again"))
        raise AssertionError

    @contextmanager
    def _connection(self) -> Iterator[tuple[Connected, list[str]]]:
        """A connection that nobody else uses now: the library's session is not made for two threads."""
        try:
            held = self._idle.get_nowait()
        except queue.Empty:
            warnings: list[str] = []
            stack = ExitStack()
            found = stack.enter_context(connected(self._server, self._access, warned=warnings.extend))
            held = found, stack, warnings
        held[2].clear()
        try:
            yield held[0], held[2]
        finally:
            self._idle.put(held)

    def close(self) -> None:
        """Close every connection that is idle; wait for nobody."""
        self._closing.set()
        while True:
            try:
                self._idle.get_nowait()[1].close()
            except queue.Empty:
                return


class _Silence(NamedTuple):
    """A stretch at whose steps, `first` up to `last`, a question was not answered.

    number: stretches in a row for which it was waited in vain
    """

    first: int
    last: int
    number: int
    refused: Refused


class Strand:
    """One query's answer along the grid: the piece that is read, and the next one on its way."""

    def __init__(self, ranges: Ranges, query: str) -> None:
        self._ranges, self._query = ranges, query
        self._piece: Piece | None = None
        self._refused: tuple[int, int, Refused] | None = None
        self._next: asyncio.Task[Piece] | None = None

    async def at(self, step: int, end: int) -> Piece:
        """The piece with that step."""
        if self._refused is not None and self._refused[0] <= step < self._refused[1]:
            raise self._refused[2]
        if self._piece is not None and self._piece.first <= step < self._piece.last:
            # Only what is asked again is asked ahead: doubts and counts are asked once.
            if step > self._piece.first and self._next is None and self._piece.last < end:
                ahead = in_daemon(self._ranges.fetch, self._query, self._piece.last, end)
                self._next = asyncio.create_task(ahead)
                self._next.add_done_callback(_seen)
            return self._piece
        try:
            self._piece = await self._fetched(step, end)
        except Refused as refused:
            # What is refused once is, as a rule, refused again: it is not asked at every step.
            self._refused = step, block_end(step), refused
            raise
        return self._piece

    async def _fetched(self, step: int, end: int) -> Piece:
        ahead, self._next = self._next, None
        if ahead is not None and self._piece is not None and self._piece.last == step:
            return await ahead
        return await in_daemon(self._ranges.fetch, self._query, step, end)


def _seen(task: "asyncio.Task[Piece]") -> None:
    """A failure of what nobody came to ask for is no failure."""
    if not task.cancelled():
        task.exception()


def _time(start: float, step_s: float, step: int) -> float:
    return start + step * step_s


def _range(
    query: str, start: float, end: float, step_s: float, connection: Connected
) -> list[Mapping[str, Any]]:
    return connection.range(query, start, end, step_s)
