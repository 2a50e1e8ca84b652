"""A ring whose oldest segments are removed while somebody looks at them."""

from pathlib import Path

import pytest

from collectors.recording import ring
from collectors.recording.layout import RecordingError
from collectors.recording.reader import Recording
from collectors.recording.ring import RingLimits
from collectors.sessions import Mark
from tests.frames import AT
from tests.recording_parts import changing, put_all, recording

pytestmark = pytest.mark.slow


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> RingLimits:
    """Of a ring that is full after a few hundred frames, so that four segments stay."""
    monkeypatch.setattr(ring, "_LEAST_SEGMENT", 20_000)
    return RingLimits(max_bytes=80_000)


def waiting(found: Recording) -> list[float | None]:
    """What each frame shows: `changing` counts it up from 100."""
    return [found.frame(number).totals["waiting"].estimate for number in range(found.frames)]


def test_pruning_under_a_reader_is_told_and_harms_nothing(tmp_path: Path, limits: RingLimits) -> None:
    """What is open can be read to its end, what is written meanwhile is read on, and what went is told."""
    with recording(folder=tmp_path, limits=limits) as one:
        put_all(one, changing(150))
        attached = Recording.open(tmp_path)
        assert waiting(attached) == [100 + n for n in range(150)]
        assert not attached.notices
        done = 150
        while all(path.exists() for path in attached.paths):
            put_all(one, changing(50, first=done))
            done += 50
            attached.refresh()
        assert waiting(attached) == [100 + n for n in range(done)]
        assert attached.gaps == ()
        gone = [path.name for path in attached.paths if not path.exists()]
        assert [notice for notice in attached.notices if "was removed" in notice] == [
            f"{name}: its file was removed: it can be looked at until this is closed" for name in gone
        ]
        with pytest.raises(RecordingError, match="was removed: no bookmark can be kept beside it"):
            attached.add_mark(Mark(AT, "ana", "too late"))
        attached.add_mark(Mark(AT + done - 1, "ana", "here"))
        assert [mark.note for mark in attached.marks()] == ["here"]
        assert attached.timeline(20).worst and len(attached.window(0, done - 1).times) == done
        attached.close()


def test_segments_that_came_and_went_unseen_are_a_gap(tmp_path: Path, limits: RingLimits) -> None:
    """A reader that looked away for longer than the ring is long goes on with what there is."""
    with recording(folder=tmp_path, limits=limits) as one:
        put_all(one, changing(50))
        attached = Recording.open(tmp_path)
        put_all(one, changing(950, first=50))
        assert attached.refresh()
        shown = waiting(attached)
        # Its own segment was brought to its end before it went.
        assert shown == sorted(set(shown), key=lambda found: found or 0) and shown[:50] == [
            100 + n for n in range(50)
        ]
        assert shown[-1] == 1099 and len(shown) < 1000
        (gap,) = attached.gaps
        before = next(n for n in range(attached.frames) if attached.time_of(n) >= gap.end) - 1
        assert "segments are missing" in gap.why
        assert attached.time_of(before) <= gap.start < gap.end <= attached.time_of(before + 1)
        # Who opens it now sees what is there, without a word of what went: a ring is no damage.
        fresh = Recording.open(tmp_path)
        assert fresh.notices == () and fresh.gaps == () and waiting(fresh)[-1] == 1099
        fresh.close()
        attached.close()
