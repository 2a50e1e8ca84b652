"""A recorded source: frames before they are shown, intents before they are sent, outcomes after."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from collectors.fleet import Frame
from collectors.intents import (
    Intent,
    Logged,
    Operator,
    Outcome,
    OutcomeKind,
    PlaneFacts,
    Rehearsal,
    Target,
    decided,
)
from collectors.recording import source as recording_source
from collectors.recording.layout import FRAMES, Kind, Tag
from collectors.recording.notes import intent_from, outcome_from
from collectors.recording.source import RecordingSource
from collectors.recording.writer import RecordingWriter
from tests.frames import AT
from tests.recording_parts import Disk, changing, made, walk

INTENTS = decided(
    [
        Intent("release.pause", Target("release", "llama-70b"), {}, {"phase": "progressing"}, "*"),
        Intent("throttle.set", Target("throttle", "chat", "free"), {"level": 0.5}, {"level": 1.0}, "t-7"),
    ],
    "it melts",
)


class Plane:
    """An operator who does what is asked, and notes what of the file is there when it is asked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.size_when_asked = 0
        self.rehearsed = 0

    async def rehearse(self, intents: Sequence[Intent]) -> tuple[Rehearsal, ...]:
        self.rehearsed += 1
        return tuple(Rehearsal(one, AT) for one in intents)

    async def carry_out(self, intents: Sequence[Intent]) -> AsyncIterator[Outcome]:
        self.size_when_asked = self._path.stat().st_size
        for one in intents:
            yield Outcome(one, OutcomeKind.PENDING, AT, "on its way", is_final=False)
            yield Outcome(one, OutcomeKind.APPLIED, AT, "done", audit_id="a-1")

    async def own_actions(self, limit: int = 20) -> tuple[Logged, ...]:
        return ()


class Frames:
    """A source of given frames, with an operator once the first one came."""

    def __init__(self, frames: Sequence[Frame], operator: Operator | None) -> None:
        self._frames, self._operator = frames, operator
        self.operator: Operator | None = None
        self.closed = 0

    async def frames(self) -> AsyncIterator[Frame]:
        for frame in self._frames:
            self.operator = self._operator
            yield frame

    async def aclose(self) -> None:
        self.closed += 1


def frames(count: int = 5) -> list[Frame]:
    """Frames that tell who the caller is."""
    return [
        replace(one, plane=PlaneFacts(actor="ada@example.com", role="operator")) for one in changing(count)
    ]


def recorded(path: Path, operator: Operator | None = None) -> tuple[RecordingSource, RecordingWriter, Frames]:
    """A source that is recorded into a file."""
    writer, inner = made(path), Frames(frames(), operator)
    return RecordingSource(inner, writer), writer, inner


async def test_every_frame_is_taken_before_it_is_shown(tmp_path: Path) -> None:
    """Also where the screen stops in the middle: what it saw is in the file; closing closes both."""
    source, writer, inner = recorded(tmp_path / "a.tgrec")
    shown = []
    async for frame in source.frames():
        shown.append(frame)
        assert writer.state.since == AT
        if len(shown) == 3:
            break
    await source.aclose()
    await source.aclose()
    assert inner.closed == 2 and not source.recorder.state.is_on
    assert walk(tmp_path / "a.tgrec").waiting == [100, 101, 102]


async def test_without_an_operator_there_is_none(tmp_path: Path) -> None:
    """A source that cannot be written to stays one."""
    source, _, _ = recorded(tmp_path / "a.tgrec")
    async for _frame in source.frames():
        assert source.operator is None
    await source.aclose()


async def test_intents_are_on_the_disk_before_the_request_leaves(tmp_path: Path) -> None:
    """All of a decision, with who asked; each outcome follows, one record each, in order."""
    path = tmp_path / "a.tgrec"
    plane = Plane(path)
    source, _, _ = recorded(path, plane)
    async for _frame in source.frames():
        pass
    operator = source.operator
    assert operator is not None and source.operator is operator
    assert len(await operator.rehearse(INTENTS)) == 2 and plane.rehearsed == 1
    outcomes = [one async for one in operator.carry_out(INTENTS)]
    assert len(outcomes) == 4 and await operator.own_actions() == ()
    await source.aclose()
    found = walk(path)
    actions = [one for one in found.records if one.kind == Kind.ACTION]
    assert [one.tag for one in actions] == [Tag.INTENT] * 2 + [Tag.RESULT] * 4
    assert all(one.offset + one.record.size <= plane.size_when_asked for one in actions[:2])
    assert [intent_from(one.body) for one in actions[:2]] == list(INTENTS)
    assert [outcome_from(one.body) for one in actions[2:]] == outcomes
    assert {one.body["actor"] for one in actions} == {"ada@example.com"}
    assert all(one.body["intent"]["key"] in {each.key for each in INTENTS} for one in actions[2:])


async def test_a_disk_that_does_not_answer_holds_no_action_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request leaves after the longest wait, and the loop ran all the while; the record comes later."""
    monkeypatch.setattr(recording_source, "INTENT_S", 0.05)
    path, disk = tmp_path / "a.tgrec", Disk(monkeypatch)
    source, writer, _ = recorded(path, Plane(path))
    async for _frame in source.frames():
        pass
    await asyncio.to_thread(writer.flush)
    operator = source.operator
    assert operator is not None
    disk.open.clear()
    ticks = 0

    async def ticking() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    beside = asyncio.create_task(ticking())
    async with asyncio.timeout(5):
        outcomes = [one async for one in operator.carry_out(INTENTS)]
    beside.cancel()
    assert len(outcomes) == 4 and ticks >= 3
    disk.open.set()
    await source.aclose()
    tags = [one.tag for one in walk(path).records if one.kind == Kind.ACTION]
    assert tags == [Tag.INTENT] * 2 + [Tag.RESULT] * 4


async def test_a_recording_closes_though_its_source_fails(tmp_path: Path) -> None:
    """What the source raises is passed on; the file is complete."""
    source, _, inner = recorded(tmp_path / "a.tgrec")

    async def failing() -> None:
        raise OSError("no way to close it")

    inner.aclose = failing  # type: ignore[method-assign]  # a source that cannot be closed
    async for _frame in source.frames():
        pass
    with pytest.raises(OSError, match="no way"):
        await source.aclose()
    found = walk(tmp_path / "a.tgrec")
    assert found.records[-1].kind == Kind.FOOTER
    assert sum(one.kind in FRAMES for one in found.records) == 5
