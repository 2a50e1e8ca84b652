"""A replay as a source of frames: it shows what was recorded, when it was, and writes to nothing."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable

import pytest

from collectors.fleet import EventKind, Frame, Source
from collectors.recording.layout import RecordingError
from collectors.recording.replay import TIMELINE_S, ReplaySource
from collectors.sessions import Player, Series
from tests.frames import AT
from tests.replay_tape import Stretch, Tape, shot


def opens(tape: Tape) -> Callable[[], Tape]:
    """Opens it; whoever opens it once more has one of their own."""
    left = [tape]
    return lambda: left.pop() if left else Tape(*tape.shot)


async def next_of(frames: AsyncIterator[Frame]) -> Frame:
    """Within a bounded time."""
    async with asyncio.timeout(5):
        return await anext(frames)


async def until(frames: AsyncIterator[Frame], holds: Callable[[Frame], bool]) -> Frame:
    """The first frame of which that holds."""
    while True:
        frame = await next_of(frames)
        if holds(frame):
            return frame


async def test_it_is_a_source_and_a_player_and_has_no_operator() -> None:
    """S14: there is no way to write from a replay."""
    source = ReplaySource(lambda: Tape(*shot(0, 1)))
    as_source: Source = source
    as_player: Player = source
    assert as_source.operator is None
    assert as_player.position.frames == 0
    assert not hasattr(source, "recorder")
    await source.aclose()
    await source.aclose()


async def test_a_jump_paints_the_frame_first_then_what_was_before_it() -> None:
    """The frame comes at once; then it comes again with its series, and nothing in it happens again."""
    tape = Tape(*shot(0, 1, 700, events={700: EventKind.NOTE}))
    source = ReplaySource(opens(tape))
    frames = source.frames()
    first = await next_of(frames)
    assert (first.at, source.jumps, source.series) == (AT, 0, None)
    second = await until(frames, lambda one: source.jumps == 1)
    assert (second.at, second.events) == (AT, ())
    if source.timeline is None:
        await until(frames, lambda one: source.timeline is not None)
    source.seek(AT + 700)
    jumped = await until(frames, lambda one: one.at == AT + 700)
    assert (len(jumped.events), source.jumps, source.event_history) == (1, 1, ())
    again = await until(frames, lambda one: source.jumps == 2)
    assert (again.at, again.events) == (AT + 700, ())
    assert isinstance(source.series, Stretch)
    assert (source.series.first, source.series.last) == (1, 2)
    assert source.event_history == jumped.events
    await source.aclose()
    assert tape.is_closed


async def test_what_was_before_is_not_shown_where_something_newer_was_asked_for() -> None:
    """The window of a jump that was followed by another one is dropped."""
    tape = Tape(*shot(*range(200)))
    source = ReplaySource(opens(tape))
    frames = source.frames()
    window, asked = tape.window, [AT + 50]

    def slow(first: int, last: int) -> Series:
        if asked:
            source.seek(asked.pop())
        return window(first, last)

    tape.window = slow  # type: ignore[method-assign]  # reading takes long: a command comes meanwhile
    await until(frames, lambda one: source.jumps == 1)
    assert isinstance(source.series, Stretch)
    assert source.series.last == 50
    await source.aclose()


async def test_commands_come_from_another_thread_and_the_last_seek_wins() -> None:
    """Of many while one is being decoded, only the newest is shown."""
    tape = Tape(*shot(*range(200)))
    source = ReplaySource(opens(tape))
    frames = source.frames()
    await next_of(frames)
    decoding, go_on = threading.Event(), threading.Event()

    def slow(number: int) -> None:
        if number == 10:
            decoding.set()
            assert go_on.wait(5)

    tape.reading = slow

    def ask() -> None:
        source.seek(AT + 10)
        assert decoding.wait(5)
        for number in range(20, 150):
            source.seek(AT + number)
        go_on.set()

    thread = threading.Thread(target=ask)
    thread.start()
    shown = [await next_of(frames)]
    while shown[-1].at != AT + 149:
        shown.append(await next_of(frames))
    thread.join()
    assert [one.at - AT for one in shown if one.at > AT] == [149.0]
    assert 30 not in tape.decoded
    await source.aclose()


async def test_it_plays_by_the_clock() -> None:
    """At 64x twenty seconds take a third of one; it stops at the end."""
    source = ReplaySource(lambda: Tape(*shot(*range(21))), playing=True)
    source.change_speed(9)
    frames, began = source.frames(), time.monotonic()
    last = await until(frames, lambda one: source.position.is_at_end)
    assert last.at == AT + 20
    assert time.monotonic() - began > 20 / 64
    assert source.jumps >= 1
    await source.aclose()


async def test_a_file_that_grows_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits at the end, playing, and shows what is written."""
    monkeypatch.setattr("collectors.recording.showing.COUNT_S", 0.05)
    tape = Tape(*shot(0, 1))
    source = ReplaySource(opens(tape), follow=True, playing=True)
    frames = source.frames()
    assert (await next_of(frames)).at == AT + 1
    tape.more = shot(0, 1, 1.25)[2:]
    assert (await until(frames, lambda one: one.tick == 2)).at == AT + 1.25
    assert source.position.is_playing
    await source.aclose()


async def test_an_empty_recording_is_refused_or_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds nothing cannot be replayed; one that is followed may only just begin."""
    monkeypatch.setattr("collectors.recording.replay.COUNT_S", 0.02)
    empty = Tape()
    with pytest.raises(RecordingError, match=r"monday\.tgrec holds no frame"):
        await next_of(ReplaySource(lambda: empty).frames())
    assert empty.is_closed
    tapes = [Tape(), Tape(), Tape(*shot(0)), Tape(*shot(0))]
    source = ReplaySource(lambda: tapes.pop(0), follow=True)
    assert (await next_of(source.frames())).at == AT
    await source.aclose()


async def test_the_timeline_comes_when_it_is_known() -> None:
    """Made beside, of the recording opened once more, and told by a frame; after a bookmark again."""
    opened: list[Tape] = []

    def tape() -> Tape:
        opened.append(Tape(*shot(0, 1)))
        return opened[-1]

    source = ReplaySource(tape)
    frames = source.frames()
    await until(frames, lambda one: source.timeline is not None)
    first = source.timeline
    assert first is not None
    assert len(first.worst) == 240
    assert [one.is_closed for one in opened] == [False, True]
    source.bookmark("x")
    await until(frames, lambda one: source.timeline is not first)
    await source.aclose()
    assert all(one.is_closed for one in opened)


async def test_the_timeline_grows_with_the_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the replay stands still by then: no other key brings it."""
    assert TIMELINE_S <= 5
    monkeypatch.setattr("collectors.recording.replay.TIMELINE_S", 0.3)
    monkeypatch.setattr("collectors.recording.showing.COUNT_S", 0.0)
    tape = Tape(*shot(0, 1))
    source = ReplaySource(opens(tape))
    frames = source.frames()
    await until(frames, lambda one: source.timeline is not None)
    tape.more = shot(0, 1, 30)[2:]
    source.step(1)
    await until(frames, lambda one: source.timeline is not None and source.timeline.end == AT + 30)
    await source.aclose()


async def test_closing_waits_for_what_is_being_read() -> None:
    """The file is not closed under whoever reads it, and nothing is read after."""
    tape = Tape(*shot(0, 1))
    source = ReplaySource(opens(tape))
    frames = source.frames()
    await next_of(frames)
    await next_of(frames)
    decoding, go_on = threading.Event(), threading.Event()

    def slow(number: int) -> None:
        decoding.set()
        assert go_on.wait(5)
        assert not tape.is_closed

    tape.reading = slow
    source.seek(AT + 1)
    listening = asyncio.create_task(next_of(frames))
    assert await asyncio.to_thread(decoding.wait, 5)
    closing = asyncio.create_task(source.aclose())
    await asyncio.sleep(0)
    assert not closing.done()
    go_on.set()
    await closing
    with pytest.raises(StopAsyncIteration):
        await listening
    source.seek(AT)
    assert tape.is_closed
