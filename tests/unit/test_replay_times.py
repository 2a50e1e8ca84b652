"""Times as people type them, for a replay to go to."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.recording.times import Asked, TimeError, clock, parse_time, span, stamp
from tui.parser import with_times


def at(text: str) -> float:
    """Seconds of an ISO time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


START, END = at("2026-11-21 14:00:00"), at("2026-11-21 15:30:00")
HERE = at("2026-11-21 14:20:00")


def asked(text: str, *, here: float = HERE, start: float = START, end: float = END, **more: object) -> Asked:
    """The answer for a recording of an hour and a half."""
    return parse_time(text, here, start, end, **more)  # type: ignore[arg-type]  # now and runs, by their names


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("14:03", "2026-11-21 14:03:00"),
        ("14:03:11", "2026-11-21 14:03:11"),
        ("14:03:11.5", "2026-11-21 14:03:11.5"),
        ("14:03Z", "2026-11-21 14:03:00"),
        (" 14:03 utc ", "2026-11-21 14:03:00"),
        ("16:03+02:00", "2026-11-21 14:03:00"),
        ("09:33 -0430", "2026-11-21 14:03:00"),
        ("01:03+11", "2026-11-21 14:03:00"),
        ("11-21 14:03", "2026-11-21 14:03:00"),
        ("11-21T16:03+02:00", "2026-11-21 14:03:00"),
        ("2026-11-21 14:03", "2026-11-21 14:03:00"),
        ("2026-11-21T14:03:11Z", "2026-11-21 14:03:11"),
        ("2026-11-21 14:03 UTC", "2026-11-21 14:03:00"),
        ("2026-11-21T16:03:11+02:00", "2026-11-21 14:03:11"),
        ("20261121T1403", "2026-11-21 14:03:00"),
        ("-5m", "2026-11-21 14:15:00"),
        ("+30s", "2026-11-21 14:20:30"),
        ("- 90 s", "2026-11-21 14:18:30"),
        ("+1h5m", "2026-11-21 15:25:00"),
        ("3m ago", "2026-11-21 15:27:00"),
        ("1h 3 min ago", "2026-11-21 14:27:00"),
        ("start", "2026-11-21 14:00:00"),
        ("END", "2026-11-21 15:30:00"),
        ("1795269731", "2026-11-21 14:02:11"),
        ("@1795269731.5", "2026-11-21 14:02:11.5"),
        ("1795269731000", "2026-11-21 14:02:11"),
    ],
)
def test_every_form_of_a_time(text: str, time: str) -> None:
    """Exactly the time meant, with nothing to tell of it."""
    assert asked(text) == Asked(at(time))


@pytest.mark.parametrize(
    "text",
    ["", "soon", "25:00", "14:60", "14:03:60", "14:03+25:00", "2026-13-01", "02-30 14:00", "-5", "+m", "5m",
     "14:03 ago", "-", "1" * 65, "٣:٠٠", "1e9", "nan", "14:03:11.1234567", "2026-11-21T14:03:11+99:00"],
)  # fmt: skip
def test_what_is_no_time_is_refused_with_what_can_be_typed(text: str) -> None:
    """The sentence lists the forms; it is short, whatever was typed."""
    with pytest.raises(TimeError, match="14:03, 14:03:11") as caught:
        asked(text)
    assert len(str(caught.value)) < 250


def test_what_was_typed_cannot_reach_the_terminal() -> None:
    """An escape sequence in a paste stays out of the sentence."""
    with pytest.raises(TimeError) as caught:
        asked("\x1b[31m14:03")
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown", "told"),
    [
        ("13:59", START, "2026-11-21 13:59:00Z is before this recording begins"),
        ("23:59", END, "2026-11-21 23:59:00Z is after this recording ends"),
        ("03:00", START, "2026-11-21 03:00:00Z is before"),
        ("-2h", START, "before"),
        ("+2h", END, "after"),
        ("2026-11-20", START, "2026-11-20 00:00:00Z is before"),
        ("2027-01-01 00:00", END, "is after"),
        ("11-22 01:00", END, "2026-11-22 01:00:00Z is after"),
        ("11-20 01:00", START, "2026-11-20 01:00:00Z is before"),
        ("02-29 01:00", END, "2028-02-29 01:00:00Z is after"),
        ("100000000", START, "1973-03-03"),
    ],
)
def test_outside_the_recording_is_its_edge_and_says_so(text: str, shown: float, told: str) -> None:
    """Never silently another time than the one asked for."""
    found = asked(text)
    assert found.at == shown
    assert told in found.told
    assert stamp(shown) in found.told


def test_a_time_of_day_that_occurs_twice_names_both() -> None:
    """In 30 hours 14:03 is on two days: whoever typed it is asked which one."""
    with pytest.raises(TimeError) as caught:
        asked("14:03", start=at("2026-11-20 12:00:00"), end=at("2026-11-21 18:00:00"))
    assert "2026-11-20 14:03:00Z and 2026-11-21 14:03:00Z" in str(caught.value)
    assert "with its date" in str(caught.value)
    assert asked("11:59", start=at("2026-11-20 12:00:00"), end=at("2026-11-21 18:00:00")).told == ""


def test_a_day_that_occurs_in_two_years_names_both() -> None:
    """Dates without a year, in a recording over more than one."""
    with pytest.raises(TimeError, match="2025-11-21 14:03:00Z and 2026-11-21 14:03:00Z"):
        asked("11-21 14:03", start=at("2025-11-01 00:00:00"), end=at("2026-12-01 00:00:00"))


def test_a_time_before_and_after_the_clock_was_set_back_names_both() -> None:
    """The same time to the second, twice: only counting from near it tells which."""
    runs = ((START, at("2026-11-21 15:00:00")), (at("2026-11-21 14:10:00"), END))
    with pytest.raises(TimeError) as caught:
        asked("14:30", runs=runs)
    assert "2026-11-21 15:00:00Z to 2026-11-21 14:10:00Z" in str(caught.value)
    assert asked("14:05", runs=runs) == Asked(at("2026-11-21 14:05:00"))
    assert asked("-5m", runs=runs) == Asked(at("2026-11-21 14:15:00"))


def test_ago_counts_from_now_where_there_is_one() -> None:
    """Beside a live cockpit; of a file alone it counts from its end."""
    assert asked("3m ago", now=END + 60).at == END - 120
    assert asked("3m ago").at == END - 180


@given(st.text(max_size=80), st.floats(0, 4e9), st.floats(0, 1e7))
def test_whatever_is_typed_it_is_a_time_of_the_recording_or_refused(
    text: str, start: float, s: float
) -> None:
    """Nothing else is raised, and nothing outside is answered."""
    try:
        found = parse_time(text, start, start, start + s)
    except TimeError:
        return
    assert start <= found.at <= start + s


@given(st.from_regex(r"[0-2]?[0-9]:[0-5][0-9]", fullmatch=True), st.floats(1e9, 3e9), st.floats(0, 80_000))
def test_a_time_of_day_within_a_day_is_found_where_it_is(text: str, start: float, length: float) -> None:
    """Inside the recording it is exact to the second; else the edge is told."""
    try:
        found = parse_time(text, start, start, start + length)
    except TimeError:
        assert int(text.split(":")[0]) > 23
        return
    if not found.told:
        assert clock(found.at)[:5] == f"{text:0>5}"
        assert clock(found.at)[6:] == "00Z"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0 s"), (42.4, "42 s"), (185, "3 min 5 s"), (3600, "1 h"), (7805, "2 h 10 min"), (97_200, "1 d 3 h"),
     (-5, "0 s"), (float("inf"), "0 s")],
)  # fmt: skip
def test_a_length_of_time_is_told_in_two_units(seconds: float, told: str) -> None:
    """The two largest, none of them zero."""
    assert span(seconds) == told


@pytest.mark.parametrize("far", [1e18, -1e18, 1e300])
def test_a_time_that_no_calendar_has_is_still_told(far: float) -> None:
    """A hostile file's times raise nothing."""
    texts: Sequence[str] = (stamp(far), clock(far))
    assert all("since 1970" in text for text in texts)


def test_a_time_with_a_sign_is_the_time_of_its_option() -> None:
    """`--at -5m`, as help writes it; any other option and file stays as it is."""
    given = ["replay", "a.tgrec", "--at", "-5m", "--from", "- 3 min", "--follow", "--to", "--json", "-1"]
    made = ["replay", "a.tgrec", "--at=-5m", "--from=- 3 min", "--follow", "--to", "--json", "-1"]
    assert with_times(given) == made
