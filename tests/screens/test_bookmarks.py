"""Bookmarks in a replay: their notes are read where the operator looks, listed, and gone to."""

from dataclasses import replace

import pytest
from rich.cells import cell_len
from textual import events
from textual.pilot import Pilot

from collectors.sessions import Tick, Timeline
from tests.frames import AT
from tests.replay_cockpit import replaying, text
from tests.replay_parts import FakeReplay, recorded, timeline
from tests.screens.test_app import plain_environment, press, screen_text, until
from tui.app import CockpitApp
from tui.format import GLYPHS
from tui.guards import BURST_KEYS
from tui.screens.bookmarks import LISTED_MOST, BookmarksScreen, bookmark_id, bookmark_lines
from tui.screens.fleet import FleetScreen

__all__ = ["plain_environment"]

FIRST, CJK = "ann: who answered the page? nobody, for 40 s", "王: キューが上限を超えた " * 8
MARKS = (Tick(AT - 200, "mark", FIRST), Tick(AT - 150, "mark", "bob"), Tick(AT - 40, "mark", CJK))


def marked(at: int = 0, marks: tuple[Tick, ...] = MARKS) -> FakeReplay:
    """A replay with these bookmarks, at so many seconds after its begin."""
    player = FakeReplay(recorded(), at=at)
    player.timeline = replace(timeline(player.all[0].at, player.all[-1].at), marks=marks)
    return player


async def listed(app: CockpitApp, pilot: Pilot[int]) -> list[str]:
    """The lines of the list, opened."""
    press(app, "M")
    await until(pilot, lambda: isinstance(app.screen, BookmarksScreen) and app.screen.has_panels)
    return screen_text(app)


async def test_a_note_is_read_when_it_is_played_past_and_for_a_while_after() -> None:
    """In full on the bottom line, and in the line that every screen has; then it is gone."""
    player = marked(at=39)
    async with replaying(player) as (app, pilot):
        assert FIRST not in text(app)
        player.play()
        player.step(1)
        player.stand(is_playing=True)
        await until(pilot, lambda: f"bookmark at 13:58:51Z: {FIRST}" in screen_text(app)[-1])
        await until(pilot, lambda: f"b {FIRST}" in text(app))
        player.move(11)
        await until(pilot, lambda: app.now == AT - 189)
        await until(pilot, lambda: f"b {FIRST}" not in text(app))


async def test_keys_ask_for_the_next_and_the_last_one() -> None:
    """`'` and `\"`, as the player answers them."""
    async with replaying(marked()) as (app, pilot):
        player = app.live.feed.source
        assert isinstance(player, FakeReplay)
        for key, direction in (("'", 1), ('"', -1)):
            press(app, key)
            await pilot.pause()
            assert player.asked[-1] == ("next", "bookmark", direction)
        await until(pilot, lambda: "no earlier bookmark" in text(app))


async def test_of_several_at_one_time_it_is_told_where_all_are() -> None:
    """They are one stop, and a line has room for the note of one; of one alone its own words are told."""
    both = (Tick(AT - 200, "mark", "ann: one"), Tick(AT - 200, "mark", "bob: two"))
    player = marked(marks=(*both, MARKS[1]))
    stops = [40, 90]

    def stop(target: object, direction: object) -> None:
        player.place = stops.pop(0)
        at = player.all[player.place].at
        player.stand(at=at, told="Bookmark of bob.", tellings=player.position.tellings + 1)

    player.seek_next = stop  # type: ignore[method-assign]
    async with replaying(player) as (app, pilot):
        press(app, "'")
        await until(pilot, lambda: "2 bookmarks here: M lists them" in text(app))
        press(app, "'")
        await until(pilot, lambda: "Bookmark of bob." in text(app))


async def test_the_list_begins_where_the_replay_stands_and_enter_goes_to_one() -> None:
    """With the cursor at the last one before the time that is shown; the note is told there."""
    async with replaying(marked(at=100)) as (app, pilot):
        player = app.live.feed.source
        assert isinstance(player, FakeReplay)
        shown = await listed(app, pilot)
        assert shown[0].rstrip() == " 3 BOOKMARKS in this recording"
        assert shown[1].startswith(f"   13:58:51Z  {FIRST}")
        assert shown[2].startswith("›  13:59:41Z  bob")
        assert "REPLAY" in shown[-1]
        press(app, "k")
        press(app, "enter")
        await until(pilot, lambda: isinstance(app.screen, FleetScreen))
        assert player.asked[-1] == ("seek", AT - 200)
        await until(pilot, lambda: f"bookmark at 13:58:51Z: {FIRST}" in screen_text(app)[-1])
        for key in ("M", "M"):
            press(app, key)
            await pilot.pause()
        assert isinstance(app.screen, FleetScreen)


async def test_a_list_without_bookmarks_tells_how_to_make_one() -> None:
    """And one of a recording that is not surveyed yet tells that; enter goes nowhere."""
    player = marked(marks=())
    async with replaying(player) as (app, pilot):
        assert "none yet: b makes one" in (await listed(app, pilot))[1]
        press(app, "enter")
        await pilot.pause()
        assert "there is no bookmark to go to" in text(app)
        player.timeline = None
        app.draw_all()
        await until(pilot, lambda: "still being looked through" in text(app))


@pytest.mark.parametrize("glyphs", ["unicode", "ascii"])
@pytest.mark.parametrize("width", [1, 12, 24, 40, 80, 200])
def test_every_word_of_a_note_is_in_the_list_at_any_width(width: int, glyphs: str) -> None:
    """What does not fit beside its time goes on below; two-cell glyphs stick out nowhere."""
    seen = Timeline(AT - 240, AT, (), (), (), (*MARKS, Tick(AT, "mark", "")), ())
    lines = bookmark_lines(seen, width, GLYPHS[glyphs], "b", AT)
    assert all(cell_len(line.text) <= width for line in lines)
    assert len([line for line in lines if line.id]) == 4
    if width >= 12:
        joined = "".join(line.text for line in lines).replace(" ", "")
        for note in (FIRST, CJK):
            assert note.replace(" ", "") in joined


MANY = tuple(Tick(AT + n, "mark", f"ann: note {n}") for n in range(3 * LISTED_MOST))


@pytest.mark.parametrize(
    ("after", "first", "more"),
    [
        (-5, 0, ["+400 later ones"]),
        (50, 0, ["+400 later ones"]),
        (300, 201, ["+201 earlier ones", "+199 later ones"]),
        (498, 399, ["+399 earlier ones", "+1 later one"]),
        (9_000, 400, ["+400 earlier ones"]),
    ],
)
def test_of_very_many_those_around_the_time_are_listed_and_the_rest_counted(
    after: float, first: int, more: list[str]
) -> None:
    """D13: none is left out silently, on either side."""
    seen = Timeline(AT, AT, (), (), (), MANY, ())
    heading, *lines = bookmark_lines(seen, 80, GLYPHS["unicode"], "b", AT + after)
    assert heading.text.split()[0] == "600"
    assert [line.id for line in lines if line.id] == [
        bookmark_id(one) for one in MANY[first : first + LISTED_MOST]
    ]
    assert [line.text.strip().partition(":")[0] for line in lines if not line.id] == more


async def test_of_very_many_the_cursor_is_at_the_one_that_was_last() -> None:
    """Also behind the first two hundred."""
    marks = tuple(Tick(AT - 240 + n / 4, "mark", f"ann: note {n}") for n in range(3 * LISTED_MOST))
    async with replaying(marked(at=100, marks=marks)) as (app, pilot):
        shown = await listed(app, pilot)
        (cursor,) = [line for line in shown if line.startswith("›")]
        assert cursor.split()[2:] == ["ann:", "note", "400"]


def test_times_of_several_days_have_their_date() -> None:
    """In a recording of a day it would be noise."""
    far = (Tick(AT - 86_400, "mark", "a"), Tick(AT, "mark", "b"))
    lines = bookmark_lines(Timeline(AT - 86_400, AT, (), (), (), far, ()), 80, GLYPHS["unicode"], "b", AT)
    assert [line.text.split()[0] for line in lines[1:]] == ["2026-11-20", "2026-11-21"]


async def test_enter_right_behind_a_fast_burst_keeps_the_note() -> None:
    """Nothing that is typed there writes to a plane; a key behind it is dropped as that of any paste (S5)."""
    note = "paged bob"
    assert len(note) > BURST_KEYS
    async with replaying(marked()) as (app, pilot):
        player = app.live.feed.source
        assert isinstance(player, FakeReplay)
        press(app, "b")
        names = [("space" if letter == " " else letter, letter) for letter in note]
        began = app.clock()
        for place, (key, letter) in enumerate([*names, ("enter", None), ("q", "q")]):
            event = events.Key(key, letter)
            event.time = began + place * 0.001
            app.screen.post_message(event)
        await pilot.pause()
        assert app.guard.is_pasting
        assert player.asked[-1] == ("bookmark", note)
        assert app.return_code is None
