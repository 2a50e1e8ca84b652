"""One poll under way: its time limit, what the server said beside its answers, and what went wrong so far."""

import time
from collections.abc import Callable, Sequence

from collectors.daemon import in_daemon
from collectors.prometheus.client import Client
from collectors.prometheus.schedule import Schedule
from collectors.prometheus.wire import Refused, Sample, Vector, read_vector
from collectors.signals.catalogue import MAX_ROWS, Row
from collectors.text import clean

BIG_BODY_BYTES = 256 * 1024
"""Longer answers are decoded in a thread: more would hold up a key press."""


class Asking:
    """Asks for one poll.

    deadline: of `time.monotonic()`
    errors, warnings: sentences so far; incomplete: some answer was a partial one
    """

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

    async def rows(
        self, query: str, at: float, read: Callable[[Sequence[Sample]], tuple[Row, ...]]
    ) -> tuple[Vector, tuple[Row, ...]]:
        """The answer to a definition's query, and its rows by `read`. raises: Refused"""
        body = await self._body(query, at)

        def decoded() -> tuple[Vector, tuple[Row, ...]]:
            vector = read_vector(body)
            return vector, bounded(lambda: read(vector.samples))

        vector, found = await in_daemon(decoded) if len(body) > BIG_BODY_BYTES else decoded()
        self.heard(vector)
        return vector, found

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
        said = map(self._client.without_secrets, (*vector.warnings, *vector.infos))
        self.warnings.update(dict.fromkeys(clean(one, 200) for one in said))
        self.incomplete = self.incomplete or bool(vector.warnings)

    def note(self, refused: Refused) -> None:
        """Keep quiet if the server asks for it."""
        if refused.wait_s is not None:
            self._schedule.keep_quiet(time.monotonic(), refused.wait_s)


def bounded(read: Callable[[], tuple[Row, ...]]) -> tuple[Row, ...]:
    """The rows that `read` makes of an answer. raises: Refused for one that makes none, or far too many"""
    try:
        found = read()
    except (ValueError, ArithmeticError, IndexError) as error:
        said = "answered with what cannot be reckoned with"
        raise Refused(said, "Check what stands between here and the server") from error
    if len(found) > MAX_ROWS:
        said = f"answered with {len(found)} groups, and at most {MAX_ROWS} are read"
        raise Refused(said, "Keep fewer labels, or add a recording rule")
    return found


def sentence(what: str, refused: Refused, mend: str = "") -> str:
    """What happened to what, and what to do. Whoever shows it names the source first."""
    asked = f"asked for {what}, it " if what else ""
    return f"{asked}{refused}. {mend or refused.mend}."
