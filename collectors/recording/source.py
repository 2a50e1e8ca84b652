"""A source whose frames are recorded as they come, with all that its operator asks for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from typing import Any

from collectors.daemon import in_daemon
from collectors.fleet import Frame, Source
from collectors.intents import Intent, Logged, Operator, Outcome, Rehearsal
from collectors.recording.layout import Kind, Tag
from collectors.recording.notes import intent_json, outcome_json
from collectors.recording.writer import RecordingWriter
from collectors.sessions import Recorder

INTENT_S = 0.1
"""Longest that a request waits for its intent to be on the disk."""


class RecordingSource:
    """Any source, recorded. The writer is begun by whoever made it, and closed with the source."""

    def __init__(self, source: Source, writer: RecordingWriter) -> None:
        self._source, self._writer = source, writer
        self._operator: RecordedOperator | None = None
        self._actor = ""

    @property
    def recorder(self) -> Recorder:
        """Where views and bookmarks go, and how the recording stands."""
        return self._writer

    @property
    def operator(self) -> Operator | None:
        """As the source's, with all it does recorded; None where the source has none."""
        operator = self._source.operator
        if operator is None:
            return None
        if self._operator is None or self._operator.inner is not operator:
            self._operator = RecordedOperator(operator, self._note)
        return self._operator

    async def frames(self) -> AsyncIterator[Frame]:
        """As the source's; each is handed to the writer before it is yielded, for a screen may miss it."""
        async for frame in self._source.frames():
            if frame.plane is not None:
                self._actor = frame.plane.actor
            # Recorded, it would tear the recording in two.
            if not frame.is_before_its_clock:
                self._writer.put(frame)
            yield frame

    async def aclose(self) -> None:
        """Close the source, then the recording: what was still under way is recorded too."""
        try:
            await self._source.aclose()
        finally:
            await in_daemon(self._writer.close)

    def _note(self, tag: Tag, body: dict[str, Any]) -> "Future[None]":
        return self._writer.append(Kind.ACTION, tag, {**body, "actor": self._actor})


class RecordedOperator:
    """An operator whose every intent is on the disk before its request leaves, and every outcome after it.

    inner: who does it
    """

    def __init__(self, inner: Operator, note: "Callable[[Tag, dict[str, Any]], Future[None]]") -> None:
        self.inner, self._note = inner, note

    async def rehearse(self, intents: Sequence[Intent]) -> tuple[Rehearsal, ...]:
        """As the operator does: a dry run changes nothing."""
        return await self.inner.rehearse(intents)

    async def carry_out(self, intents: Sequence[Intent]) -> AsyncIterator[Outcome]:
        """As the operator does. A disk that does not answer holds nothing up for longer than 100 ms."""
        noted = [asyncio.wrap_future(self._note(Tag.INTENT, intent_json(one))) for one in intents]
        if noted:
            _, late = await asyncio.wait(noted, timeout=INTENT_S)
            for one in late:
                one.cancel()
        async for outcome in self.inner.carry_out(intents):
            self._note(Tag.RESULT, outcome_json(outcome))
            yield outcome

    async def own_actions(self, limit: int = 20) -> tuple[Logged, ...]:
        """As the operator does."""
        return await self.inner.own_actions(limit)
