"""Recordings of every format there was, one file each: what an incident left is read for ever."""

from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from collectors.recording.reader import Recording
from collectors.recording.replay import ReplaySource
from collectors.recording.verify import verify
from tests.faithful import replayed_at
from tests.screens.test_app import plain_environment, screen_text, until
from tui.app import CockpitApp

__all__ = ["plain_environment"]

FOLDER = Path(__file__).parent.parent / "data" / "recordings"
GOLDEN = sorted(FOLDER.glob("*.tgrec"))
SURGE_S = 480.0
"""Seconds from the beginning to where images have gone viral."""


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_it_is_sound_and_whole(file: Path) -> None:
    """Not a byte is objected to, and every frame is there."""
    assert verify(file).is_sound
    found = Recording.open(file)
    try:
        assert not found.notices
        assert not found.gaps
        frames = [found.frame(number) for number in range(found.frames)]
        assert [len(frame.models) for frame in frames] == [7] * found.frames
    finally:
        found.close()


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
async def test_it_is_drawn_as_ever(file: Path, snapshot: SnapshotAssertion) -> None:
    """The fleet eight minutes in, when every tier of aurora-5 waits."""
    app = CockpitApp(lambda: ReplaySource.of(file), context=file.name, is_replay=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.latest is not None)
        assert app.latest is not None
        at = app.latest.at + SURGE_S
        recording = Recording.open(file)
        await replayed_at(app, pilot, at, recording.time_of(recording.index_at(at)))
        recording.close()
        assert "\n".join(screen_text(app)) == snapshot
