"""The feed listens to any source: one that fails, ends, is slow to close, or never comes."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from collectors.fleet import Frame
from collectors.toml_file import FileError
from tests.frames import healthy_frame
from tui import feed as feed_module
from tui.feed import Feed, sentence_of


class Scripted:
    """A source that yields a few frames, then does what it was told."""

    def __init__(self, frames: int, then: Callable[[], None] | None = None, close_s: float = 0.0) -> None:
        self.left, self.then, self.close_s = frames, then, close_s
        self.closed = 0

    async def frames(self) -> AsyncIterator[Frame]:
        for tick in range(self.left):
            yield replace(healthy_frame(), tick=tick)
        if self.then is not None:
            self.then()
            return
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        self.closed += 1
        await asyncio.sleep(self.close_s)


class Heard:
    """What a feed handed over, and a way to wait for it."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.said: list[tuple[str, bool]] = []
        self.changed = threading.Condition()

    def arrived(self, frame: Frame) -> None:
        with self.changed:
            self.frames.append(frame)
            self.changed.notify_all()

    def spoke(self, sentence: str, trouble: bool) -> None:
        with self.changed:
            self.said.append((sentence, trouble))
            self.changed.notify_all()

    async def until(self, holds: Callable[[], bool]) -> None:
        def wait() -> None:
            with self.changed:
                assert self.changed.wait_for(holds, 60), (len(self.frames), self.said)

        await asyncio.to_thread(wait)

    @property
    def troubles(self) -> list[str]:
        return [sentence for sentence, trouble in self.said if trouble]


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures are tried again at once, not after seconds."""
    monkeypatch.setattr(feed_module, "RETRY_S", (0.01,))


async def test_frames_come_in_order_and_the_source_is_closed() -> None:
    """What is yielded arrives on another thread's time; closing awaits `aclose`."""
    heard, source = Heard(), Scripted(3)
    feed = Feed(lambda: source, heard.arrived, heard.spoke)
    feed.start()
    await heard.until(lambda: len(heard.frames) == 3)
    await feed.close()
    await feed.close()
    assert [frame.tick for frame in heard.frames] == [0, 1, 2]
    assert source.closed == 1
    assert heard.troubles == []


async def test_a_source_that_cannot_connect_is_tried_again() -> None:
    """Whatever `connect` raises becomes a sentence; the next try may work."""
    heard, tries = Heard(), []

    def connect() -> Scripted:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionRefusedError(111, "Connection refused \x1b[31m[/nope]")
        return Scripted(1)

    feed = Feed(connect, heard.arrived, heard.spoke)
    feed.start()
    await heard.until(lambda: len(heard.frames) == 1)
    await feed.close()
    assert len(heard.troubles) == 2
    assert "Connection refused" in heard.troubles[0]
    assert "Trying again in" in heard.troubles[0]
    assert "q quits" in heard.troubles[0]
    assert "\x1b" not in heard.troubles[0]


async def test_a_source_that_raises_midway_is_connected_anew() -> None:
    """A failure after frames is said, the source closed, and a new one asked for."""

    def fail() -> None:
        raise ValueError("bad answer")

    heard, made = Heard(), []

    def connect() -> Scripted:
        made.append(Scripted(1, fail if not made else None))
        return made[-1]

    feed = Feed(connect, heard.arrived, heard.spoke)
    feed.start()
    await heard.until(lambda: len(heard.frames) == 2)
    await feed.close()
    assert [source.closed for source in made] == [1, 1]
    assert heard.troubles[0].startswith("ValueError: bad answer. Trying again")


async def test_a_source_that_ends_is_not_asked_again_until_told() -> None:
    """The end is said; `try_now` connects again."""
    heard = Heard()
    feed = Feed(lambda: Scripted(1, lambda: None), heard.arrived, heard.spoke)
    feed.start()
    await heard.until(lambda: bool(heard.troubles))
    assert "has ended" in heard.troubles[0]
    assert len(heard.frames) == 1
    feed.try_now()
    await heard.until(lambda: len(heard.frames) == 2)
    await feed.close()


async def test_closing_is_bounded_whatever_the_source_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that takes a minute to close is left after the time that is allowed."""
    monkeypatch.setattr(feed_module, "CLOSE_S", 0.05)
    heard = Heard()
    feed = Feed(lambda: Scripted(1, close_s=3600), heard.arrived, heard.spoke)
    feed.start()
    await heard.until(lambda: len(heard.frames) == 1)
    await feed.close()


async def test_closing_does_not_wait_for_a_connect_that_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """An import or a name server that hangs cannot hold the terminal."""
    monkeypatch.setattr(feed_module, "CLOSE_S", 0.05)
    entered, release = threading.Event(), threading.Event()

    def connect() -> Scripted:
        entered.set()
        release.wait()
        return Scripted(0)

    feed = Feed(connect, lambda frame: None, lambda sentence, trouble: None)
    feed.start()
    assert await asyncio.to_thread(entered.wait, 60)
    await feed.close()
    assert not release.is_set()
    release.set()


async def test_closing_before_the_start_is_nothing() -> None:
    """An application that ends before its first paint has nothing to close."""
    await Feed(lambda: Scripted(0), lambda frame: None, lambda sentence, trouble: None).close()


async def test_calls_to_threads_do_not_outlive_the_feed() -> None:
    """A source's thread that hangs is a daemon: the interpreter does not wait for it."""
    heard, daemons = Heard(), []

    class Threaded(Scripted):
        async def frames(self) -> AsyncIterator[Frame]:
            daemons.append(await asyncio.to_thread(lambda: threading.current_thread().daemon))
            with pytest.raises(ZeroDivisionError):
                await asyncio.to_thread(lambda: 1 // 0)
            async for frame in super().frames():
                yield frame

    feed = Feed(lambda: Threaded(1), heard.arrived, heard.spoke)
    feed.start()
    await heard.until(lambda: len(heard.frames) == 1)
    await feed.close()
    assert daemons == [True]


def test_several_mistakes_are_told_apart() -> None:
    """Each line of an error of ours is a part of the sentence; what would steer a terminal is dropped."""
    said = sentence_of(FileError("u.toml: stack: Field required\nu.toml: title: \x1b[2JField required\n"))
    assert said == "u.toml: stack: Field required; u.toml: title: [2JField required."
