"""A recording that was written by the recorder, replayed from its file."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from collectors.fleet import Event, EventKind, Frame
from collectors.recording.redact import Redaction
from collectors.recording.replay import ReplaySource
from collectors.recording.times import clock
from collectors.recording.writer import RecordingWriter
from tests.replay_frames import watched
from tui import commands
from tui.screens.trends import SIGNALS, Trends
from tui.store import STEPS, History

pytestmark = pytest.mark.slow


def happening(count: int, change: float) -> tuple[list[Frame], list[Frame]]:
    """As `watched`, with something happening now and then in what is kept."""
    live, kept = watched(1, count, change)
    events = {
        frame.at: (Event(frame.at, EventKind.NOTE if n % 5 else EventKind.ALERT, "a", "m", f"event {n}"),)
        for n, frame in enumerate(kept[::7])
    }
    told = [replace(frame, events=events.get(frame.at, ())) for frame in live]
    places = {frame.at for frame in kept}
    return told, [frame for frame in told if frame.at in places]


def writer(path: Path) -> RecordingWriter:
    """One that was begun."""
    made = RecordingWriter(file=path, facts={"context": "prod"}, redaction=Redaction(), simulated=True)
    made.start()
    return made


def recorded(path: Path, frames: Sequence[Frame]) -> Path:
    """The file of these frames, closed."""
    one = writer(path)
    for number, frame in enumerate(frames):
        one.put(frame)
        if number % 4 == 3:
            one.flush()
    one.close()
    assert one.state.dropped == 0
    return path


async def until(frames: AsyncIterator[Frame], holds: Callable[[Frame], bool]) -> Frame:
    """The first frame of which that holds, within a bounded time."""
    async with asyncio.timeout(20):
        while True:
            frame = await anext(frames)
            if holds(frame):
                return frame


async def test_every_step_shows_what_was_watched(tmp_path: Path) -> None:
    """Frame for frame, with what happened, as it was on the live screen."""
    live, kept = happening(90, 0.5)
    source = ReplaySource.of(recorded(tmp_path / "a.tgrec", live))
    frames = source.frames()
    shown = [await until(frames, lambda one: True)]
    while source.position.frame < source.position.frames:
        number = source.position.frame
        source.step(1)
        shown.append(await until(frames, lambda one, was=number: source.position.frame > was))  # type: ignore[misc]  # the default binds the number
    await source.aclose()
    assert [replace(one, tick=0) for one in shown] == [replace(one, mode="REPLAY", tick=0) for one in kept]


async def test_a_jump_fills_what_a_screen_remembers(tmp_path: Path) -> None:
    """Sparks, trends and events are those of who watched until then, and go on when it plays."""
    live, kept = happening(700, 0.4)
    source = ReplaySource.of(recorded(tmp_path / "a.tgrec", live))
    frames = source.frames()
    await until(frames, lambda one: source.jumps == 1)
    here, following = kept[150], kept[151]
    source.seek(here.at)
    shown = await until(frames, lambda one: source.jumps == 2)
    assert source.series is not None
    history, trends, fed, trends_fed = History(), Trends(), History(), Trends()
    history.refill(source.series, shown, source.event_history)
    trends.refill(source.series, shown)
    for frame in (one for one in live if one.at <= here.at):
        fed.add(frame)
        trends_fed.add(frame)
    source.step(1)
    on = await until(frames, lambda one: source.position.frame == 152)
    for memory, frame in ((history, on), (trends, on), (fed, following), (trends_fed, following)):
        memory.add(frame)
    await source.aclose()
    assert history.events == fed.events
    for model in on.models:
        for tier in (*model.tiers, None):
            args = (model.name, tier, STEPS)
            assert history.spark_values(*args) == fed.spark_values(*args), args
        for signal in SIGNALS:
            assert trends.span(model.name, signal, 60) == trends_fed.span(model.name, signal, 60), signal


async def test_fast_playing_tells_all_that_happened(tmp_path: Path) -> None:
    """Each event once, in order; then back from alert to alert."""
    live, kept = happening(300, 1.0)
    source = ReplaySource.of(recorded(tmp_path / "a.tgrec", live), playing=True)
    source.change_speed(9)
    frames, told, count = source.frames(), [], 0
    while not source.position.is_at_end:
        frame = await until(frames, lambda one: True)
        told += [one.text for one in frame.events]
        count += 1
    assert told == [f"event {n}" for n in range(len(kept[::7]))]
    assert count < 100
    alerts = kept[::35]
    for expected in alerts[: -len(alerts) - 1 : -1][:3]:
        here = source.position.at
        source.seek_next("alert", -1)
        await until(frames, lambda one, was=here: source.position.at < was)  # type: ignore[misc]  # the default binds the time
        assert source.position.at == pytest.approx(expected.at, abs=1e-5)
    assert f"m: event {len(kept[::7]) // 5 * 5 - 10}" in source.position.told
    marked = source.position.at
    source.bookmark("here")
    await until(frames, lambda one: source.position.told.startswith("Marked"))
    source.seek(live[-1].at)
    source.seek_next("bookmark", -1)
    back = await until(frames, lambda one: "Bookmark of" in source.position.told)
    assert back.at == marked
    await until(frames, lambda one: source.timeline is not None and len(source.timeline.marks) == 1)
    await source.aclose()


@pytest.mark.parametrize("edge", ["first", "midst", "last"])
async def test_the_time_read_off_a_header_shows_what_was_seen_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edge: str
) -> None:
    """`--at HH:MM:SS`: the last frame of that second, also of those that it begins and ends in."""
    _, kept = happening(40, 1.0)
    begin = float(int(kept[0].at))
    frames = [replace(one, at=begin + n * 2 + 0.4) for n, one in enumerate(kept)]
    seen = frames[{"first": 0, "midst": len(kept) // 2, "last": -1}[edge]]
    path, connects = recorded(tmp_path / "a.tgrec", frames), list[Callable[[], ReplaySource]]()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(commands, "_screen", lambda connect, *_, **__: connects.append(connect) or 0)
    asked = argparse.Namespace(file=path, at=clock(seen.at), follow=False, theme=None, glyphs=None)
    assert commands.replay(asked) == 0
    source = connects[0]()
    shown = await anext(aiter(source.frames()))
    assert shown.at == pytest.approx(seen.at, abs=1e-5)
    assert source.position.told == ""
    await source.aclose()


async def test_what_is_wrong_with_a_file_is_told_on_the_screen(tmp_path: Path) -> None:
    """A replay of a damaged recording says that it is one; a record that was cut off is no news."""
    _, kept = happening(40, 1.0)
    path = recorded(tmp_path / "a.tgrec", kept)
    data = path.read_bytes()
    for content, told in (
        (data[:-20], ""),
        (data[: len(data) // 2] + data[len(data) // 2 + 300 :], "Its index does not tell what is there"),
        (bytes(64) + data[64:], "Its file header is damaged"),
    ):
        path.write_bytes(content)
        source = ReplaySource.of(path)

        def is_told(_: Frame, source: ReplaySource = source, told: str = told) -> bool:
            return source.timeline is not None and told in source.position.told

        await until(source.frames(), is_told)
        assert bool(told) == bool(source.position.told)
        await source.aclose()


async def test_a_recording_is_followed_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the recorder writes is shown, and it plays on."""
    monkeypatch.setattr("collectors.recording.showing.COUNT_S", 0.05)
    live, path = happening(40, 1.0)[1], tmp_path / "a.tgrec"
    one = writer(path)
    for frame in live[:5]:
        one.put(frame)
    one.flush()
    source = ReplaySource.of(path, follow=True, playing=True)
    source.change_speed(9)
    frames = source.frames()
    assert (await until(frames, lambda one: True)).at == pytest.approx(live[4].at, abs=1e-5)
    for number in range(5, len(live)):
        one.put(live[number])
        if number % 5 == 4:
            one.flush()
            await until(frames, lambda one, at=live[number].at: abs(one.at - at) < 1e-5)  # type: ignore[misc]  # the default binds the time
    assert source.position.is_playing
    assert not source.position.is_at_end
    one.close()
    await source.aclose()
