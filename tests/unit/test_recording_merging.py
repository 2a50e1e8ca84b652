"""Two recordings on one timeline: clocks that differ, holes, damage, and what does not belong together."""

import shutil
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from collectors.fleet import Frame
from collectors.recording.layout import Kind, RecordingError, Tag
from collectors.recording.merge import _moved, merge
from collectors.recording.noted import Noted
from collectors.recording.reader import Recording
from collectors.sessions import Mark
from tests.recording_commands import AT, acted, frame, happened, recorded

BEN = 1000.0
"""What is added to each number of the second recording, to know whose it is."""


def seconds(some: Iterable[int], ahead: float = 0.0, more: float = 0.0, audit: str = "") -> list[Frame]:
    """A frame for each second, by a clock that is so far ahead; each shows its second."""
    return [frame(AT + ahead + n, more + n, audit) for n in some]


def merged(folder: Path, one: Path, other: Path) -> tuple[Recording, tuple[str, ...]]:
    """Both as one recording, and what was told of it."""
    first, second = Recording.open(one), Recording.open(other)
    try:
        told = merge(first, second, folder / "both.tgrec")
    finally:
        first.close()
        second.close()
    return Recording.open(folder / "both.tgrec"), told


def shown(recording: Recording) -> list[tuple[float, float]]:
    """Second and number of each frame."""
    found = []
    for number in range(recording.frames):
        picture = recording.picture(number)
        value = picture.models[0].readings["waiting"].value
        assert isinstance(value, float | int)
        found.append((round(picture.at - AT, 3), float(value)))
    return found


def texts(recording: Recording) -> list[str]:
    """What happened, in order, without whose numbers are shown."""
    found = recording.noted(AT - 100, AT + 1000, {Kind.EVENT}, {Tag.HAPPENED})
    return [one.body["text"] for one in found if not one.body["text"].startswith("numbers from here on")]


def test_a_clock_that_is_seven_seconds_ahead_is_set(tmp_path: Path) -> None:
    """By an action that both saw. The second fills the first one's hole, at the first one's times; what both
    told stands once."""
    ann = recorded(
        tmp_path / "ann.tgrec",
        [
            *seconds(range(10)),
            *seconds(range(10, 21), audit="a-1"),
            *seconds(range(40, 81), audit="a-1"),
        ],
        [
            *acted(AT + 10, "ann", "k1", "a-1"),
            happened(AT + 12, "both saw it"),
            happened(AT + 15, "ann saw it"),
        ],
        host="ann-laptop",
    )
    ben = recorded(
        tmp_path / "ben.tgrec",
        # Ben is told of Ann's change when it is in force: the plane's word, by Ben's clock.
        [*seconds(range(5, 10), 7, BEN), *seconds(range(10, 50), 7, BEN, audit="a-1")],
        [
            happened(AT + 7 + 12.5, "both saw it"),
            happened(AT + 7 + 30, "ben saw it"),
            (AT + 7 + 30, Kind.MARK, Tag.BOOKMARK, Mark(AT + 7 + 30, "ben", "here")._asdict()),
        ],
        host="ben-laptop",
    )
    both, told = merged(tmp_path, ann, ben)
    assert told[0] == (
        "the second clock is 7.0 s ahead of the first, by 1 action that both saw: it was set to the first"
    )
    assert shown(both) == [(n, n + (BEN if 20 < n < 40 else 0)) for n in range(81)]
    assert both.gaps == ()
    assert texts(both) == ["both saw it", "ann saw it", "ben saw it"]
    (mark,) = both.marks()
    assert (mark.actor, mark.at) == ("ben", AT + 30)
    both.close()


def test_recordings_that_do_not_overlap_have_a_gap_between(tmp_path: Path) -> None:
    """In whichever order they are given: one after the other, and nothing is made up in between."""
    night = recorded(tmp_path / "night.tgrec", seconds(range(30)), [happened(AT + 3, "at night")])
    day = recorded(tmp_path / "day.tgrec", seconds(range(100, 120), 0, BEN), [happened(AT + 103, "by day")])
    for place, (one, other) in enumerate(((night, day), (day, night))):
        folder = tmp_path / str(place)
        folder.mkdir()
        both, told = merged(folder, one, other)
        assert told[0] == "no action that both saw: their clocks are taken as one"
        assert shown(both) == [
            *((n, float(n)) for n in range(30)),
            *((n, BEN + n) for n in range(100, 120)),
        ]
        (gap,) = both.gaps
        assert gap == (AT + 29, AT + 100, "neither recording has it")
        assert texts(both) == ["at night", "by day"]
        both.close()


def test_one_that_lies_within_the_other_adds_what_happened_alone(tmp_path: Path) -> None:
    """Numbers are of the one that covers more."""
    long = recorded(tmp_path / "long.tgrec", seconds(range(60)))
    short = recorded(tmp_path / "short.tgrec", seconds(range(20, 40), 0, BEN), [happened(AT + 30, "seen")])
    both, told = merged(tmp_path, short, long)
    assert shown(both) == [(n, float(n)) for n in range(60)] and texts(both) == ["seen"]
    assert told[-1] == "60 frames, 60 of them of recording B (here)"
    both.close()


def test_times_that_are_no_whole_microseconds_lose_no_frame(tmp_path: Path) -> None:
    """Edges of gaps are told in seconds, frames stand at whole microseconds."""
    step = 1 / 3 + 1e-7
    frames = [frame(AT + n * step, n) for n in range(200)]
    holes = [one for n, one in enumerate(frames) if n % 50 < 30]
    ann = recorded(tmp_path / "ann.tgrec", holes, gap_s=1.0)
    ben = recorded(tmp_path / "ben.tgrec", [frame(AT + n * step, BEN + n) for n in range(190)], gap_s=1.0)
    both, _ = merged(tmp_path, ben, ann)
    assert [value % BEN for _, value in shown(both)] == [*range(180 + 10)]
    both.close()
    (tmp_path / "both.tgrec").unlink()
    one = recorded(tmp_path / "one.tgrec", holes, gap_s=1.0)
    other = recorded(
        tmp_path / "other.tgrec", [one for n, one in enumerate(frames) if n % 50 >= 30], gap_s=1.0
    )
    both, _ = merged(tmp_path, one, other)
    assert [value for _, value in shown(both)] == [*range(200)]
    both.close()


def test_other_contexts_need_an_action_that_both_saw(tmp_path: Path) -> None:
    """Two fleets on one timeline would be nonsense; one fleet can have two names."""
    paths = {
        name: recorded(
            tmp_path / f"{name}.tgrec",
            seconds(range(30), 0, more, audit),
            acted(AT + 5, "ann", "k1", audit) if audit else (),
            context=context,
        )
        for name, more, audit, context in (
            ("ann", 0.0, "a-1", "prod"),
            ("ben", BEN, "a-1", "prod-eu"),
            ("eve", BEN, "", "staging"),
        )
    }
    with pytest.raises(
        RecordingError, match=r"of context prod, the other of staging, and no action was seen"
    ):
        merged(tmp_path, paths["ann"], paths["eve"])
    assert not (tmp_path / "both.tgrec").exists()
    both, told = merged(tmp_path, paths["ann"], paths["ben"])
    assert told[1] == "their contexts are prod and prod-eu: both saw the same actions"
    assert both.header.facts["context"] == "prod"
    both.close()


def test_the_same_recording_is_refused_by_any_name(tmp_path: Path) -> None:
    """A copy, a hard link, and a link to it."""
    path = recorded(tmp_path / "a.tgrec", seconds(range(10)))
    copy, hard, soft = (tmp_path / f"{name}.tgrec" for name in ("copy", "hard", "soft"))
    shutil.copy(path, copy)
    hard.hardlink_to(path)
    soft.symlink_to(path)
    for other in (path, copy, hard, soft):
        with pytest.raises(RecordingError, match="both are the same recording"):
            merged(tmp_path, path, other)
    assert not (tmp_path / "both.tgrec").exists()


def damaged(path: Path, number: int) -> Path:
    """A bit of a frame's payload flipped: it is lost, and those that refer to it."""
    with closing(Recording.open(path)) as found:
        segment = found.segments[0]
        row = segment.frame_rows[number]
        place = int(segment.table.offset[row] + segment.table.size[row]) - 2
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    path.write_bytes(data)
    return path


def test_where_one_is_damaged_the_other_stands(tmp_path: Path) -> None:
    """Frames that cannot be read are no numbers of the first one's; where nobody has any is a gap."""
    ann = damaged(recorded(tmp_path / "ann.tgrec", seconds(range(60))), 35)
    ben = recorded(tmp_path / "ben.tgrec", seconds(range(10, 50), 0, BEN))
    both, told = merged(tmp_path, ann, ben)
    assert [second for second, value in shown(both) if value >= BEN] == [35, 36, 37, 38, 39]
    assert [second for second, _ in shown(both)] == [*range(60)]
    assert both.gaps == () and told[-1] == "5 frames could not be read"
    both.close()
    (tmp_path / "both.tgrec").unlink()
    both, told = merged(tmp_path, ann, damaged(ben, 27))
    assert [second for second, value in shown(both) if value >= BEN] == [35, 36]
    (gap,) = both.gaps
    assert (gap.start, gap.end) == (AT + 36, AT + 40) and told[-1] == "8 frames could not be read"
    both.close()


def test_a_simulated_fleet_is_none_of_ours(tmp_path: Path) -> None:
    """Never with a real one, whichever way its recording says so; two of them make a simulated one."""
    real = recorded(tmp_path / "real.tgrec", seconds(range(10)))
    by_header = recorded(tmp_path / "a.tgrec", seconds(range(10), 0, BEN), simulated=True)
    frames = [replace(one, simulated=True) for one in seconds(range(20), 0, BEN)]
    by_frames = recorded(tmp_path / "b.tgrec", frames)
    for simulated in (by_header, by_frames):
        for pair in ((real, simulated), (simulated, real)):
            with pytest.raises(RecordingError, match="one of them is of a simulated fleet, the other is not"):
                merged(tmp_path, *pair)
    both, _ = merged(tmp_path, by_header, by_frames)
    assert both.header.facts["simulated"] is True and both.frames == 20
    both.close()


def test_a_time_that_is_none_is_left_as_it_is(tmp_path: Path) -> None:
    """An event tells any number for its time: one that cannot be set to the other clock stays."""
    odd = [True, 1e300, -5, "soon", 10**400]
    notes = [
        (AT + 7 + 12, Kind.EVENT, Tag.HAPPENED, {**happened(AT, f"odd {n}")[3], "at": at})
        for n, at in enumerate(odd)
    ]
    ann = recorded(tmp_path / "ann.tgrec", seconds(range(20), audit="a-1"), acted(AT + 5, "ann", "k", "a-1"))
    ben = recorded(
        tmp_path / "ben.tgrec",
        [*seconds(range(10), 7, BEN), *seconds(range(10, 30), 7, BEN, audit="a-1")],
        [*acted(AT + 7 + 5, "ann", "k", "a-1"), *notes],
    )
    moved = [_moved(Noted(AT, Kind.EVENT, Tag.HAPPENED, 0, note[3]), 7.0).body["at"] for note in notes]
    assert moved == odd
    both, told = merged(tmp_path, ann, ben)
    assert "by 1 action that both saw: it was set to the first" in told[0]
    assert [text for text in texts(both) if text.startswith("odd")] == [f"odd {n}" for n in range(len(odd))]
    both.close()
