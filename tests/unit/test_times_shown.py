"""Times that are typed for a replay to show: a whole second is what the screen showed in it."""

from datetime import UTC, datetime

import pytest

from collectors.recording.times import Shown, TimeError, parse_shown


def at(text: str) -> float:
    """Seconds of an ISO time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


START, END = at("2026-11-21 14:00:00.4"), at("2026-11-21 15:30:00.4")
HERE = at("2026-11-21 14:20:00")


def shown(text: str) -> Shown:
    """The answer for a recording of an hour and a half."""
    return parse_shown(text, HERE, START, END)


@pytest.mark.parametrize(
    "text",
    ["14:03:11", " 14:03:11Z ", "14:03:11 utc", "14:03:11UTC", "16:03:11+02:00", "09:33:11 -0430",
     "11-21 14:03:11", "11-21T16:03:11+02:00", "2026-11-21 14:03:11", "2026-11-21T14:03:11Z",
     "20261121T140311", "1795269791", "@1795269791"],
)  # fmt: skip
def test_a_whole_second_is_one(text: str) -> None:
    """However it is written: it is read off a clock that tells no more."""
    assert shown(text) == Shown(at("2026-11-21 14:03:11"), is_second=True)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("14:03", "2026-11-21 14:03:00"),
        ("16:03+02:00", "2026-11-21 14:03:00"),
        ("2026-11-21T14:03Z", "2026-11-21 14:03:00"),
        ("20261121T1403", "2026-11-21 14:03:00"),
        ("14:03:11.5", "2026-11-21 14:03:11.5"),
        ("14:03:11.0", "2026-11-21 14:03:11"),
        ("2026-11-21 14:03:11.5", "2026-11-21 14:03:11.5"),
        ("2026-11-21 14:03:11,5", "2026-11-21 14:03:11.5"),
        ("-5m", "2026-11-21 14:15:00"),
        ("+30s", "2026-11-21 14:20:30"),
        ("3m ago", "2026-11-21 15:27:00.4"),
        ("start", "2026-11-21 14:00:00.4"),
        ("end", "2026-11-21 15:30:00.4"),
        ("1795269791.5", "2026-11-21 14:03:11.5"),
        ("1795269791000", "2026-11-21 14:03:11"),
    ],
)
def test_any_other_time_is_gone_to_exactly(text: str, time: str) -> None:
    """A minute is one of them: who types it wants to watch it from its begin."""
    assert shown(text) == Shown(at(time))


@pytest.mark.parametrize(("text", "second"), [("14:00:00", START), ("15:30:00", END)])
def test_the_seconds_that_a_recording_begins_and_ends_in_are_of_it(text: str, second: float) -> None:
    """A header told them; nothing is to be told of them."""
    assert shown(text) == Shown(second - 0.4, is_second=True)


@pytest.mark.parametrize(
    ("text", "edge", "words"), [("13:59:59", START, "before this"), ("15:30:01", END, "after this")]
)
def test_a_second_outside_of_it_is_its_edge(text: str, edge: float, words: str) -> None:
    """Told, as of any other time."""
    found = shown(text)
    assert (found.at, found.is_second) == (edge, False)
    assert words in found.told


def test_what_is_no_time_is_refused() -> None:
    """As everywhere."""
    with pytest.raises(TimeError, match="is no time"):
        shown("14:03:61")
