"""Where a replay stands, its lanes and axis, as lines: at any width, of any recording, in both glyph sets."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from syrupy.assertion import SnapshotAssertion

from collectors.sessions import Gap, Position, Tick, Timeline
from tests.frames import AT
from tests.replay_parts import FILE, timeline
from tui.format import GLYPHS
from tui.replaying import HELD_EVERY, HELD_MOST, held_step
from tui.widgets.replay_lines import (
    LANES,
    ReplayFacts,
    lane_marks,
    replay_line,
    replay_lines,
    replay_rows,
    time_of_column,
)

HOUR = 3600.0
START = AT - 4364
POSITION = Position(FILE, AT - 220, START, AT, 4144, 4364, is_playing=True, speed=4.0)
FACTS = ReplayFacts(POSITION, timeline(START, AT))


def text(facts: ReplayFacts, width: int, rows: int = LANES, glyphs: str = "unicode") -> list[str]:
    return [line.text for line in replay_lines(facts, width, rows, GLYPHS[glyphs])]


@pytest.mark.parametrize("glyphs", ["unicode", "ascii"])
@pytest.mark.parametrize(("width", "rows"), [(80, 2), (120, LANES), (200, LANES), (60, 1)])
def test_lines_at_every_tier(width: int, rows: int, glyphs: str, snapshot: SnapshotAssertion) -> None:
    """The mock-up, character by character; an ASCII terminal is sent nothing else."""
    lines = text(FACTS, width, rows, glyphs)
    assert {cell_len(line) for line in lines} == {width}
    assert glyphs == "unicode" or all(line.isascii() for line in lines)
    assert "\n".join(lines) == snapshot


def test_the_mode_state_and_time_are_never_left_out() -> None:
    """Whatever has no room: it is a replay, whether it plays, and of when."""
    for width in range(26, 200):
        line = replay_line(FACTS, width).text
        assert "REPLAY" in line, width
        assert "▶ 4x" in line, width
        assert "13:58:31Z" in line, width
    for width in range(52, 200):
        assert "WRITES OFF" in replay_line(FACTS, width).text
    assert [cell.role for cell in replay_line(FACTS, 120).cells if "REPLAY" in cell.text] == ["replay"]


def test_what_it_does_is_a_word() -> None:
    """Playing, paused, at the end, skipping: never a glyph alone."""
    standing = replace(POSITION, is_playing=False)
    assert "▮▮ paused" in replay_line(ReplayFacts(standing), 120).text
    assert "▮▮ at the end" in replay_line(ReplayFacts(replace(standing, is_at_end=True)), 120).text
    assert "▶ 0.25x" in replay_line(ReplayFacts(replace(POSITION, speed=0.25)), 120).text
    assert "skips idle" in replay_line(ReplayFacts(replace(POSITION, skips_idle=True)), 120).text
    looped = replace(POSITION, loop_from=AT - 300)
    assert "loop 13:57:11Z-?" in replay_line(ReplayFacts(looped), 200).text


def test_the_distance_is_to_now_where_the_screen_is_live_behind_it() -> None:
    """A closed file has an end; a session that goes on has a now."""
    assert "(-00:03:40 from end)" in replay_line(FACTS, 120).text
    assert "(-00:04:20 from now)" in replay_line(replace(FACTS, live_now=AT + 40), 120).text
    far = replace(POSITION, end=AT + 2 * 86_400)
    assert "(-2d 00:03:40 from end)" in replay_line(ReplayFacts(far), 120).text


def test_what_was_open_at_the_time_is_told_before_the_file_is() -> None:
    """A dialog that the operator had open is not drawn again: it is named."""
    line = replay_line(replace(FACTS, seen="dialog Throttle · images · 2 models, 100x30"), 120).text
    assert "dialog Throttle · images" in line
    assert "WRITES OFF" in line
    assert "incident-2026" not in line


def test_a_gap_however_short_is_drawn_and_is_no_data() -> None:
    """Three seconds of a day are seen, on the lane and where there is only one."""
    short = Timeline(AT, AT + 86_400, (0.5,) * 240, (), (), (), (Gap(AT + 43_200, AT + 43_203, ""),))
    facts = ReplayFacts(replace(POSITION, start=AT, end=AT + 86_400, at=AT + 100), short)
    data = next(line for line in text(facts, 120) if line.startswith(" data"))
    assert data[:100].count("░") == 1
    assert text(facts, 80, 2)[1].count("░") == 1
    ascii_data = next(line for line in text(facts, 120, glyphs="ascii") if line.startswith(" data"))
    assert ascii_data[10:100].count(":") == 1


def test_the_worst_of_several_ticks_in_a_column_is_drawn() -> None:
    """A P1 is never hidden by what came with it."""
    ticks = tuple(Tick(AT + n / 10, kind, "") for n, kind in enumerate(("P3", "P1", "cleared", "P2")))
    facts = ReplayFacts(POSITION, Timeline(START, AT + HOUR, (), ticks, (), (), ()))
    alerts = text(facts, 120)[2]
    assert alerts.count("■") == 2  # and in the legend
    assert alerts[:100].count("▲") == alerts[:100].count("▼") == 0


def test_what_came_since_the_lanes_were_read_is_marked_so() -> None:
    """It is not that there was no wait, nor that nothing happened."""
    grown = replace(POSITION, end=AT + 4364)
    for facts, rows in ((replace(FACTS, position=grown), LANES), (ReplayFacts(POSITION), LANES)):
        for lane in text(facts, 80, rows)[1:4]:
            assert lane[78] == "?", lane
    lanes = text(replace(FACTS, position=grown), 80)
    assert all(lane[10:44].count("?") == 0 for lane in lanes[1:4])
    assert lanes[4][78] == "█"
    alone = text(replace(FACTS, position=grown), 80, 2)[1]
    assert "?" in alone
    assert "?" not in text(FACTS, 80, 2)[1]
    assert not any("?" in lane for lane in text(FACTS, 80))


def test_the_speed_is_told_while_it_stands() -> None:
    """What `+` and `-` chose is seen before it plays."""
    for width in (80, 120, 200):
        assert (
            "▮▮ paused  16x  "
            in replay_line(ReplayFacts(replace(POSITION, is_playing=False, speed=16.0)), width).text
        )
    assert "1x" not in replay_line(ReplayFacts(replace(POSITION, is_playing=False, speed=1.0)), 120).text


def test_a_passed_objective_is_full_and_says_so() -> None:
    """D4: the full block is the objective; above it the role tells."""
    facts = ReplayFacts(POSITION, Timeline(START, AT, (1.0, 1.5), (), (), (), ()))
    lane = replay_lines(facts, 120, LANES)[1]
    roles = [cell.role for cell in lane.cells if "█" in cell.text]
    assert roles == ["graph", "breach"]


def test_where_it_stands_is_on_the_axis_and_no_label_is_cut_by_it() -> None:
    """The cursor, the loop's ends and the mark; times that they would cut are left out."""
    for at in range(int(START), int(AT), 61):
        axis = text(replace(FACTS, position=replace(POSITION, at=float(at))), 120)[-1]
        assert axis.count("▼") == 1
        assert all(len(word) in (1, 5) for word in axis.split()), axis
    marked = replace(POSITION, mark=AT - 3000, loop_from=AT - 2000, loop_to=AT - 1000)
    axis = text(ReplayFacts(marked), 120)[-1]
    assert [axis.index(letter) for letter in "mAB"] == sorted(axis.index(letter) for letter in "mAB")


def test_a_click_goes_to_the_time_that_is_drawn_there() -> None:
    """To and fro: the column of a time is the column that goes to it."""
    for rows, width in ((LANES, 120), (2, 80), (LANES, 200), (2, 40)):
        for x in range(width):
            at = time_of_column(FACTS, x, width, rows)
            if at is None:
                continue
            line = text(replace(FACTS, position=replace(POSITION, at=at)), width, rows)[-1]
            assert line.index("▼" if rows == LANES else "┃") == x
        assert time_of_column(FACTS, 0, width, rows) is None or width < 24
    assert time_of_column(FACTS, 119, 120, LANES) is None


def test_rows_by_height() -> None:
    """Every lane where there is room, one at 80x24, none below."""
    assert [replay_rows(height) for height in (60, 40, 32, 31, 24, 19, 4, 3)] == [6, 6, 6, 2, 2, 1, 1, 0]


def test_the_distance_is_told_wherever_the_time_is() -> None:
    """Without its words where there is little room: sooner than the file's name."""
    position = replace(POSITION, is_playing=False)
    for live, words in ((None, "-00:03:40"), (AT + 20, "-00:04:00")):
        facts = ReplayFacts(position, FACTS.timeline, live_now=live)
        for width in (200, 120, 80, 60, 46, 42):
            assert words in replay_line(facts, width).text, width
    assert "(-00:03:40 from end)" in replay_line(ReplayFacts(position), 80).text


def test_a_time_of_which_nothing_was_recorded_says_so() -> None:
    """As long as it is shown, and in the line that every screen has."""
    gap = replace(timeline(START, AT), gaps=(Gap(AT - 300, AT - 200, "the disk was full"),))
    assert "NOT RECORDED HERE" in replay_line(replace(FACTS, timeline=gap), 80).text
    assert "NOT RECORDED" not in replay_line(FACTS, 200).text


def test_a_note_stands_for_a_while_after_its_time_at_any_speed() -> None:
    """Ten seconds of the operator's; in 80 columns the distance gives up its words for it."""
    note = Tick(AT - 220, "mark", "ann: who answered the page?")
    seen = replace(timeline(START, AT), marks=(Tick(AT - 2000, "mark", "bob"), note))

    def shown(after: float, speed: float = 1.0, width: int = 120) -> str:
        position = replace(POSITION, at=AT - 220 + after, speed=speed, is_playing=False)
        return replay_line(ReplayFacts(position, seen), width).text

    assert "b ann: who answered the page?" in shown(0)
    assert "b ann" in shown(9.9)
    assert "b ann" not in shown(10) + shown(-0.1)
    assert "b ann" in shown(39.9, 4.0)
    assert "b ann" not in shown(40, 4.0)
    narrow = shown(0, width=80)
    assert "-00:03:40" in narrow
    assert "b ann: who" in narrow
    assert "WRITES OFF" in narrow


@pytest.mark.parametrize("glyphs", ["unicode", "ascii"])
def test_every_mark_of_the_lanes_is_explained(glyphs: str) -> None:
    """What the legend beside them shows, and what stands on the axis, has its words in the help."""
    explained = " ".join(mark for mark, _ in lane_marks(GLYPHS[glyphs])).split()
    legends = [line[-14:].split() for line in text(FACTS, 120, LANES, glyphs)[2:4]]
    gap = text(FACTS, 120, LANES, glyphs)[4][-14:].split()[0]
    assert {*legends[0], *legends[1], gap, "m", "A", "B", "?"} <= set(explained)
    meanings = {mark: told for mark, told in lane_marks(GLYPHS[glyphs]) if "p99 max: not known" in told}
    assert list(meanings) == ["·" if glyphs == "unicode" else "blank"]


def test_a_key_that_is_held_steps_ever_further() -> None:
    """The first presses go a frame each; then it doubles, up to a bound."""
    steps = [held_step(count) for count in range(1, 2000)]
    assert steps[:HELD_EVERY] == [1] * HELD_EVERY
    assert steps == sorted(steps)
    assert steps[-1] == HELD_MOST


_time = st.floats(-9e12, 9e12)
_any = st.one_of(_time, st.sampled_from([float("inf"), float("-inf"), float("nan"), 1e300]))
_tick = st.builds(Tick, _any, st.sampled_from(["P1", "lost", "cleared", "action", "mark", "?"]), st.text())
_timelines = st.builds(
    Timeline,
    _time,
    _time,
    st.lists(st.floats(-1, 1e9), max_size=30).map(tuple),
    st.lists(_tick, max_size=5).map(tuple),
    st.lists(_tick, max_size=5).map(tuple),
    st.lists(_tick, max_size=5).map(tuple),
    st.lists(st.builds(Gap, _any, _any, st.text()), max_size=3).map(tuple),
)
_positions = st.builds(Position, st.text(), _time, _time, _time, st.integers(0, 10**9), st.integers(0, 10**9))


@given(_positions, st.none() | _timelines, st.text(max_size=60), st.integers(1, 220), st.integers(1, LANES))
def test_any_recording_is_drawn_at_any_width(
    position: Position, seen: Timeline | None, told: str, width: int, rows: int
) -> None:
    """A file is from outside: whatever it says, each line is exactly as wide as it may be."""
    facts = ReplayFacts(position, seen, seen=told)
    for glyphs in GLYPHS.values():
        lines = replay_lines(facts, width, rows, glyphs)
        assert {cell_len(line.text) for line in lines} == {width}
    time_of_column(facts, width // 2, width, rows)
