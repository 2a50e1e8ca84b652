"""Clocks that do not run as one would think: a leap second that is smeared, and a change of summer time."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from collectors.recording.layout import Kind, Tag
from collectors.recording.reader import Recording
from collectors.recording.redact import Redaction
from collectors.recording.ring import RingLimits
from collectors.recording.stream import Stamp, Stream
from collectors.recording.times import TimeError, parse_time
from tests.frames import AT
from tests.recording_parts import FACTS, changing

SMEAR = 1 / 86_400
"""A leap second that is spread over a day: 11.6 millionths."""


def recorded(path: Path, walls: Sequence[float], every_s: float) -> Recording:
    """Frames at these times, of a clock that is never set `every_s` apart."""
    stream = Stream(None, path, RingLimits(), FACTS, Redaction())
    stream.claim()
    for n, (at, frame) in enumerate(zip(walls, changing(len(walls)), strict=True)):
        stream.frame(replace(frame, at=at), Stamp(round(at * 1e6), round(n * every_s * 1e6)))
    stream.close(Stamp(round(walls[-1] * 1e6), round(len(walls) * every_s * 1e6)))
    return Recording.open(path)


@pytest.mark.parametrize("way", [-1, 1])
def test_a_leap_second_that_is_smeared_is_no_step(tmp_path: Path, way: int) -> None:
    """A day of a clock that is 11.6 ppm slow, or fast: a second in all, and never told as one."""
    walls = [AT + n * 120.0 * (1 + way * SMEAR) for n in range(721)]
    found = recorded(tmp_path / "a.tgrec", walls, 120.0)
    assert abs(walls[-1] - walls[0] - 86_400) == pytest.approx(1.0, abs=1e-3)
    assert not list(found.noted(AT - 1, AT + 90_000, {Kind.EVENT}, {Tag.CLOCK_STEP}))
    table = found.segments[0].table
    assert (np.diff(table.t_wall) >= 0).all() and (np.diff(table.t_mono) >= 0).all()
    for number in (0, 359, 360, 361, 720):
        assert found.times_at(walls[number]) == (number,)
    assert found.gaps == ()
    found.close()


def test_a_step_is_told_all_the_same(tmp_path: Path) -> None:
    """One second at once, in the midst of a smear: told once, with how far it went."""
    walls = [AT + n * (1 - SMEAR) + (n >= 30) for n in range(60)]
    found = recorded(tmp_path / "a.tgrec", walls, 1.0)
    (step,) = found.noted(AT, AT + 90, {Kind.EVENT}, {Tag.CLOCK_STEP})
    assert step.body["step_s"] == pytest.approx(1.0, abs=1e-3)
    found.close()


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_an_hour_that_comes_twice_is_two(tmp_path: Path) -> None:
    """Berlin sets its clocks back at 01:00Z: 02:30 comes twice, and each has an offset that names it.

    Times are UTC unless they say otherwise, so a zone in the header makes none of them ambiguous.
    """
    start, end = utc("2026-10-25T00:00"), utc("2026-10-25T03:00")
    found = recorded(tmp_path / "a.tgrec", [start + 600 * n for n in range(19)], 600.0)
    assert found.header.facts["zone"] == "Europe/Berlin"
    asked = {text: parse_time(text, end, start, end) for text in ("02:30+02:00", "02:30+01:00", "02:30")}
    assert [one.at for one in asked.values()] == [
        utc("2026-10-25T00:30"),
        utc("2026-10-25T01:30"),
        utc("2026-10-25T02:30"),
    ]
    assert all(one.told == "" for one in asked.values())
    assert [found.times_at(one.at) for one in asked.values()] == [(3,), (9,), (15,)]
    assert not list(found.noted(start, end, {Kind.EVENT}, {Tag.CLOCK_STEP}))
    found.close()


def test_an_hour_that_never_came_is_told(tmp_path: Path) -> None:
    """Berlin sets its clocks forward at 01:00Z: no 02:30 in either offset is another time than it says."""
    start, end = utc("2026-03-29T00:40"), utc("2026-03-29T01:20")
    found = recorded(tmp_path / "a.tgrec", [start + 600 * n for n in range(5)], 600.0)
    before, after = (parse_time(text, end, start, end) for text in ("02:30+02:00", "02:30+01:00"))
    assert (before.at, after.at) == (start, end)
    assert "before this recording begins" in before.told and "after this recording ends" in after.told
    assert parse_time("01:50+01:00", end, start, end).at == utc("2026-03-29T00:50")
    assert parse_time("03:10+02:00", end, start, end).at == utc("2026-03-29T01:10")
    with pytest.raises(TimeError, match="is no time"):
        parse_time("02:30 Europe/Berlin", end, start, end)
    found.close()
