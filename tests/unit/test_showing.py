"""What a replay shows at each turn, by a clock that goes only when it is told to."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from collectors.fleet import EventKind, Frame, Past
from collectors.readings import Quality
from collectors.recording.layout import Kind, RecordingError, Tag
from collectors.recording.notes import mark_json
from collectors.recording.places import passed
from collectors.recording.reader import Recording
from collectors.recording.showing import Showing
from collectors.recording.timeline import timeline
from collectors.sessions import NOTE_MOST, Gap, Mark, View
from tests.frames import AT
from tests.recording_commands import frame, recorded
from tests.replay_tape import BARE, Deck, Noted, Stretch, Tape, shot
from tui.format import clock


def played(deck: Deck, seconds: float, every: float) -> list[Frame]:
    """What is shown, at a turn each so many real seconds."""
    turns = (deck.turn(every) for _ in range(round(seconds / every)))
    return [frame for frame in turns if frame is not None]


def test_a_frame_at_once_then_one_whenever_there_is_a_new_one() -> None:
    """At the recorded pace; in between, ages count on once a second and nothing happens twice."""
    tape = Tape(*shot(0, 1, 4, events={0: EventKind.NOTE, 4: EventKind.NOTE}), end=AT + 5)
    deck = Deck(tape, is_playing=True)
    first = deck.turn()
    assert first is not None
    assert (first.at, first.mode, first.tick, first.events) == (AT, "REPLAY", 0, tape.shot[0].events)
    frames = played(deck, 5.5, 0.125)
    assert [(round(one.at - AT, 1), one.tick, len(one.events)) for one in frames] == [
        (1.0, 1, 0),
        (2.0, 1, 0),
        (3.0, 1, 0),
        (4.0, 2, 1),
        (5.0, 2, 0),
    ]
    assert all(one.models is frames[0].models for one in frames[:3])
    end = deck.showing.position
    assert (end.at, end.is_at_end, end.is_playing, end.frame, end.frames) == (AT + 5, True, False, 3, 3)
    assert end.view == View("model")


def test_nothing_vanishes_however_fast_it_plays() -> None:
    """At 64x several frames are passed at once: what happened in them is in the frame they lead to."""
    times = [float(n) for n in range(300)]
    tape = Tape(*shot(*times, events=dict.fromkeys(times, EventKind.NOTE)))
    deck = Deck(tape, is_playing=True, speed=64.0)
    first = deck.turn()
    assert first is not None
    frames = [first, *played(deck, 6.0, 0.1)]
    assert len(frames) < 60
    texts = [one.text for frame in frames for one in frame.events]
    assert texts == [f"at {after:g}" for after in times]


def test_a_pause_shows_nothing_more() -> None:
    """Only commands change what is shown then."""
    deck = Deck(Tape(*shot(0, 1, 2)))
    assert deck.turn() is not None
    assert played(deck, 5.0, 0.5) == []
    assert deck.showing.due_s() is None
    again = deck.turn(1.0, lambda one: one.set(speed=2.0))
    assert again is not None
    assert (again.events, deck.showing.position.speed) == ((), 2.0)


def test_playing_begins_from_when_it_was_asked_for() -> None:
    """The time that it stood still does not count."""
    deck = Deck(Tape(*shot(0, 1, 2, 30)))
    deck.turn()
    deck.turn(20.0, Showing.play)
    assert deck.after == 0.0
    deck.turn(0.5)
    assert deck.showing.position.at == AT
    deck.turn(0.5)
    assert deck.after == 1.0


def test_in_a_gap_readings_age_and_it_is_told() -> None:
    """The last frame stays with its values' ages counting on, until they are gone; nothing looks good."""
    gap = Gap(AT + 2, AT + 602, "nobody recorded")
    deck = Deck(Tape(*shot(0, 1, 602), gaps=[gap]))
    deck.turn()
    inside = deck.turn(1.0, lambda one: one.seek(AT + 300))
    assert inside is not None
    assert deck.told == "Nothing was recorded from 14:02:13Z to 14:12:13Z: nobody recorded."
    assert inside.at == AT + 300
    waits = [one for model in inside.models for one in model.readings.values() if one.at is not None]
    assert waits
    assert {one.quality for one in waits} == {Quality.MISSING}
    before = deck.turn(1.0, lambda one: one.seek(AT + 1.5))
    assert before is not None
    assert deck.told == ""
    assert before.models[0] is BARE.models[0]
    deck.turn(1.0, lambda one: one.seek(AT + 602))
    assert deck.told == ""


def test_a_step_back_is_a_jump_and_a_step_on_is_not() -> None:
    """Steps stand still; what was before is asked for again only where it cannot follow by itself."""
    deck = Deck(Tape(*shot(0, 1, 2, 3, 4, events={2: EventKind.NOTE, 3: EventKind.NOTE})), is_playing=True)
    deck.turn()
    deck.showing.remember()
    on = deck.turn(0.0, lambda one: one.step(1))
    assert on is not None
    assert (deck.after, deck.showing.position.is_playing, deck.showing.is_series_due) == (1.0, False, False)
    far = deck.turn(0.0, lambda one: one.step(2))
    assert far is not None
    assert ([one.text for one in far.events], deck.showing.is_series_due) == (["at 2", "at 3"], True)
    deck.showing.remember()
    back = deck.turn(0.0, lambda one: one.step(-1))
    assert back is not None
    assert (deck.after, deck.showing.is_series_due) == (2.0, True)
    deck.turn(0.0, lambda one: one.step(-9))
    assert (deck.after, deck.told) == (0.0, "")
    deck.turn(0.0, lambda one: one.step(-1))
    assert deck.told == "This is the first frame."
    deck.turn(0.0, lambda one: one.step(9), lambda one: one.step(1))
    assert (deck.after, deck.told, deck.showing.position.is_at_end) == (4.0, "This is the last frame.", True)


def test_at_the_end_it_stays() -> None:
    """Playing on from there says so, and moves nothing."""
    deck = Deck(Tape(*shot(0, 1)), at=AT + 1)
    deck.turn()
    deck.turn(0.0, Showing.play)
    position = deck.showing.position
    assert (position.is_playing, position.is_at_end, position.told) == (
        False,
        True,
        "This is the end of the recording.",
    )
    deck.turn(0.0, lambda one: one.seek(AT + 99))
    assert "after the end" in deck.told
    deck.turn(0.0, lambda one: one.seek(AT - 99))
    assert "before the recording begins" in deck.told
    assert deck.after == 0.0


def test_a_loop_shows_its_begin_again() -> None:
    """It is a jump: what was before is asked for again."""
    deck = Deck(Tape(*shot(0, 1, 2, 3, 4)), is_playing=True)
    deck.turn()
    deck.turn(
        0.0, lambda one: one.set_loop(AT + 3, is_start=True), lambda one: one.set_loop(AT + 1, is_start=False)
    )
    assert deck.after == 1.0
    deck.showing.remember()
    frames = played(deck, 3.0, 0.5)
    assert [round(one.at - AT, 1) for one in frames] == [2.0, 1.0, 2.0]
    assert deck.showing.is_series_due
    deck.turn(0.0, lambda one: one.set_loop(AT + 1, is_start=True))
    assert (deck.told, deck.showing.position.loop_to) == ("No loop any more.", None)


def test_each_key_moves_its_end_of_a_loop_and_again_at_the_same_place_ends_it() -> None:
    """Within a frame that is the same place; also where A and B changed places."""
    deck = Deck(Tape(*shot(*range(60))))
    deck.turn()

    def pressed(after: float, *, is_start: bool) -> tuple[str, float | None, float | None]:
        deck.turn(0.0, lambda one: one.set_loop(AT + after, is_start=is_start))
        at = deck.showing.position
        start, end = (None if one is None else one - AT for one in (at.loop_from, at.loop_to))
        return deck.told, start, end

    assert pressed(10, is_start=True) == ("The start of a loop is set; its end makes it one.", 10, None)
    assert pressed(20, is_start=False) == (f"Loop {clock(AT + 10)} to {clock(AT + 20)}.", 10, 20)
    assert pressed(30, is_start=False)[1:] == (10, 30)
    assert pressed(5, is_start=True)[1:] == (5, 30)
    assert pressed(30, is_start=True)[0].startswith("A loop of less than 1 s")
    assert pressed(20, is_start=True)[1:] == (20, 30)
    assert pressed(30.5, is_start=False) == ("No loop any more.", None, None)
    pressed(10, is_start=False)
    assert pressed(10, is_start=False) == ("No loop any more.", None, None)
    pressed(10, is_start=False)
    assert pressed(20, is_start=True)[1:] == (10, 20)
    assert pressed(20, is_start=True) == ("No loop any more.", None, None)


def test_an_end_of_a_loop_that_is_refused_is_not_kept() -> None:
    """What is not told is not there: the next press sets it."""
    deck = Deck(Tape(*shot(*range(60))))
    deck.turn()
    deck.turn(0.0, lambda one: one.set_loop(AT + 10, is_start=False))
    assert deck.told == "The end of a loop is set; its start makes it one."
    for _ in range(2):
        deck.turn(0.0, lambda one: one.set_loop(AT + 10, is_start=True))
        assert "less than 1 s" in deck.told
        assert (deck.showing.position.loop_from, deck.showing.position.loop_to) == (None, AT + 10)
    deck.turn(0.0, lambda one: one.set_loop(AT + 5, is_start=True))
    assert (deck.showing.position.loop_from, deck.showing.position.loop_to) == (AT + 5, AT + 10)


def test_mark_and_loop_of_a_replay_that_was_left_come_back_and_nothing_moves() -> None:
    """Outside of the loop it stays there; what is not in this recording, or cannot be read, is let go."""
    deck = Deck(Tape(*shot(*range(60))), at=AT + 40, is_playing=True)
    deck.turn(0.0, lambda one: one.restore(AT + 3, AT + 10, AT + 20))
    at = deck.showing.position
    assert (deck.after, at.is_playing, at.mark, at.loop_from, at.loop_to) == (
        40.0,
        True,
        AT + 3,
        AT + 10,
        AT + 20,
    )
    assert deck.showing.mark_frame is not None
    other = Deck(Tape(*shot(*range(60))))
    other.turn(0.0, lambda one: one.restore(AT - 3, AT + 10, AT + 200))
    at = other.showing.position
    assert (at.mark, at.loop_from, at.loop_to) == (None, None, None)
    tape = Tape(*shot(*range(60)))
    tape.unreadable = {3}
    damaged = Deck(tape)
    assert damaged.turn(0.0, lambda one: one.restore(AT + 3, None, None)) is not None
    assert "frame 3 is damaged" in damaged.told


def test_a_loop_of_no_length_is_refused() -> None:
    """Both ends at one time: the first one stays, and a later second one makes the loop."""
    deck = Deck(Tape(*shot(0, 1, 2, 3, 4)))
    deck.turn()
    deck.turn(0.0, lambda one: one.set_loop(AT, is_start=True), lambda one: one.set_loop(AT, is_start=False))
    assert deck.told.endswith("set its start and its end further apart.")
    assert (deck.showing.position.loop_from, deck.showing.position.loop_to) == (AT, None)
    deck.turn(0.0, lambda one: one.set_loop(AT + 2, is_start=False))
    assert (deck.showing.position.loop_from, deck.showing.position.loop_to) == (AT, AT + 2)


def test_keys_that_come_faster_than_turns_all_count() -> None:
    """Each is from where the one before it led, not from what was shown when it was pressed."""
    deck = Deck(Tape(*shot(*range(200))))
    deck.turn()
    deck.turn(0.0, *[lambda one: one.move(10.0)] * 6)
    assert deck.after == 60.0
    deck.turn(0.0, *[lambda one: one.move(-10.0)] * 2, *[lambda one: one.change_speed(1)] * 3)
    assert (deck.after, deck.showing.position.speed) == (40.0, 8.0)
    deck.turn(0.0, Showing.play_or_pause, Showing.play_or_pause)
    assert not deck.showing.position.is_playing
    deck.turn(0.0, *[lambda one: one.change_speed(1)] * 9)
    assert (deck.showing.position.speed, deck.told) == (64.0, "64x is the fastest there is.")
    deck.turn(0.0, lambda one: one.move(1000.0))
    assert (deck.after, deck.told) == (199.0, "This is the end of the recording.")
    deck.turn(0.0, lambda one: one.move(-1000.0))
    assert (deck.after, deck.told) == (0.0, "This is the start of the recording.")


def test_a_sentence_is_told_each_time_that_it_is_asked_for() -> None:
    """The same answer twice is two tellings, and a frame each, so that the second key is answered as well."""
    deck = Deck(Tape(*shot(0, 1)))
    deck.turn()
    tellings = []
    for _ in range(2):
        assert deck.turn(0.0, lambda one: one.seek_next("alert", 1)) is not None
        assert deck.told == "There is no later alert in this recording."
        tellings.append(deck.showing.position.tellings)
    assert tellings[1] > tellings[0]


def test_moving_stays_in_its_run_of_the_clock() -> None:
    """10 s on from a time that the clock told again later is 10 s on, and back is back."""
    deck = Deck(Tape(*shot(0, 10, 20, 0, 10, 20, 30)))
    deck.turn()
    numbers = []
    for seconds in (10.0, 10.0, 10.0, -10.0, -10.0):
        deck.turn(0.0, lambda one, by=seconds: one.move(by))  # type: ignore[misc]  # the default binds it
        numbers.append(deck.showing.position.frame)
    assert numbers == [2, 4, 5, 4, 2]


def test_a_replay_of_what_is_still_written_goes_on_where_it_had_its_end() -> None:
    """It stops there by itself; asked to go on, it looks whether there is more by now."""
    tape = Tape(*shot(0, 1))
    deck = Deck(tape, is_playing=True)
    played(deck, 3.0, 0.5)
    assert deck.showing.position.is_at_end
    tape.more = shot(2, 3)
    assert played(deck, 3.0, 0.5) == []
    deck.turn(1.0, Showing.play_or_pause)
    assert (deck.showing.position.is_playing, deck.showing.position.frames) == (True, 4)
    played(deck, 3.0, 0.5)
    assert deck.after == 3.0


def test_idle_stretches_are_skipped_and_told() -> None:
    """To the next frame or event; what is skipped of a gap is told as such."""
    tape = Tape(*shot(0, 100, 101, 4000), gaps=[Gap(AT + 101, AT + 4000, "")])
    tape.others = [Noted(AT + 60, Kind.ACTION, Tag.INTENT, {})]
    deck = Deck(tape, is_playing=True, skips_idle=True)
    deck.turn()
    assert (deck.after, deck.told) == (60.0, "Skipped 1 min in which nothing changed.")
    deck.turn(0.1)
    assert (deck.after, deck.told) == (100.0, "Skipped 40 s in which nothing changed.")
    deck.turn(1.0)
    assert (deck.after, deck.told) == (4000.0, "Skipped 1 h 4 min of which nothing was recorded.")


def test_the_mark_keeps_what_was_shown_there() -> None:
    """For the differences; it has nothing that happened, and goes with the mark."""
    deck = Deck(Tape(*shot(0, 1, 2, events={1: EventKind.NOTE})))
    deck.turn()
    deck.turn(0.0, lambda one: one.set_mark(AT + 1.5))
    kept = deck.showing.mark_frame
    assert kept is not None
    assert (kept.at, kept.tick, kept.events, kept.mode) == (AT + 1.5, 1, (), "REPLAY")
    assert deck.showing.position.mark == AT + 1.5
    deck.turn(0.0, lambda one: one.seek(AT + 2), lambda one: one.set(speed=64.0, skips_idle=True))
    assert deck.showing.position.mark == AT + 1.5
    deck.turn(0.0, lambda one: one.set_mark(None))
    assert deck.showing.mark_frame is None
    assert deck.showing.position.mark is None


def test_a_bookmark_has_the_time_shown_and_a_clean_note() -> None:
    """Text that is typed is text from outside as well."""
    tape = Tape(*shot(0, 1))
    deck = Deck(tape)
    deck.turn()
    deck.turn(0.0, lambda one: one.seek(AT + 0.5), lambda one: one.bookmark(" here\x1b[2J it began "))
    (mark,) = tape.kept
    assert (mark.at, mark.note) == (AT + 0.5, "here[2J it began")
    assert mark.actor
    assert deck.told == f"Marked {clock(AT)}: here[2J it began."


def test_an_unreadable_frame_is_told_and_the_replay_goes_on() -> None:
    """The frame before stays and ages; a jump there does not happen; what follows is shown."""
    tape = Tape(*shot(0, 1, 2, 60))
    tape.unreadable = {1}
    deck = Deck(tape, is_playing=True)
    deck.turn()
    damaged = deck.turn(1.0)
    assert damaged is not None
    assert (damaged.at, damaged.tick, deck.told) == (AT + 1, 0, "frame 1 is damaged: verify tells more.")
    after = deck.turn(1.0)
    assert after is not None
    assert after.tick == 2
    deck.turn(0.0, lambda one: one.seek(AT + 1.5))
    assert deck.after == 2.0
    assert deck.told == "frame 1 is damaged: verify tells more."
    assert deck.turn(0.0, lambda one: one.set(speed=2.0)) is not None
    assert deck.after == 2.0
    assert deck.turn(0.0, lambda one: one.seek(AT)) is not None
    assert deck.after == 0.0


def test_damage_at_the_begin_is_passed_over() -> None:
    """The first frame that can be read is shown, and why it is that; without any the error is raised."""
    tape = Tape(*shot(0, 1, 2))
    tape.unreadable = {0, 1}
    deck = Deck(tape)
    frame = deck.turn()
    assert frame is not None
    assert (frame.tick, deck.after, deck.told) == (2, 2.0, "frame 0 is damaged: verify tells more.")
    tape.unreadable = {0, 1, 2}
    with pytest.raises(RecordingError, match="frame 0"):
        Deck(tape).turn()


@pytest.mark.parametrize("failing", ["noted", "add_mark", "refresh", "view_at"])
def test_no_error_of_the_recording_ends_a_replay(failing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was taken away: told once, and it stands still where it was."""
    tape = Tape(*shot(0, 1, 2, 3))
    deck = Deck(tape, is_playing=True, follows=True)
    deck.turn()

    def fails(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(tape, failing, fails)
    commands = (lambda one: one.seek_next("alert", 1), lambda one: one.bookmark("x"))
    if failing == "view_at":
        monkeypatch.setattr(
            deck.showing.recording, "view_at", lambda at, number: fails() if at > AT else None
        )
    frame = deck.turn(1.0, *commands)
    assert frame is not None
    assert "Input/output error" in deck.told
    assert deck.showing.position.is_playing is False
    monkeypatch.undo()
    deck.asked.clear()
    deck.turn(1.0, lambda one: one.set(speed=2.0))
    assert (deck.after, deck.showing.position.frame) == (0.0, 1)
    deck.turn(1.0, lambda one: one.seek(AT + 2))
    assert deck.after == 2.0


def test_what_was_before_a_jump_is_read_at_once() -> None:
    """Ten minutes of readings, the last 500 events, and what a source told of the time before."""
    times = [float(n) for n in range(0, 3000, 4)]
    tape = Tape(*shot(*times, events=dict.fromkeys(times, EventKind.NOTE)))
    tape.shot[0] = replace(tape.shot[0], past=(Past("m", "", "waiting", AT - 5, 1.0),))
    deck = Deck(tape)
    deck.turn()
    deck.turn(0.0, lambda one: one.seek(AT + 2401))
    found = deck.showing.remember()
    assert found is not None
    series, events, past = found
    assert isinstance(series, Stretch)
    assert (series.times[0] - AT, series.times[-1] - AT, past) == (1800.0, 2400.0, ())
    assert [one.text for one in events] == [f"at {after}" for after in range(404, 2401, 4)]
    deck.turn(0.0, lambda one: one.seek(AT + 8))
    found = deck.showing.remember()
    assert found is not None
    assert found[2] == tape.shot[0].past
    assert [one.text for one in found[1]] == ["at 0", "at 4", "at 8"]


def test_newer_commands_spare_the_frames_in_between_but_not_for_long() -> None:
    """A key that is held shows where it has come to, four times a second."""
    tape = Tape(*shot(*range(100)))
    deck = Deck(tape)
    deck.turn()
    # Each decoding finds another press of the key.
    tape.reading = lambda number: deck.asked.append(lambda one: one.seek(AT + number + 1))
    deck.asked.append(lambda one: one.seek(AT + 1))
    shown = [frame.tick for _ in range(40) if (frame := deck.turn(0.0625)) is not None]
    assert shown == [4 * n for n in range(1, 11)]


def test_events_between_two_frames_are_those_of_neither() -> None:
    """What the shown frames tell themselves is not told twice."""
    tape = Tape(*shot(0, 1, 2, 3, events=dict.fromkeys((0.0, 1.0, 2.0, 3.0), EventKind.NOTE)))
    assert [one.text for one in passed(tape, 0, 3)] == ["at 1", "at 2"]
    assert passed(tape, 2, 3) == ()
    assert passed(tape, 3, 0) == ()


def test_a_time_before_and_after_the_clock_was_set_back_can_both_be_seen() -> None:
    """Going there again shows the other one; what was before it is of its own run."""
    tape = Tape(*shot(0, 100, 700, 800, 50, 100, 900))
    deck = Deck(tape)
    deck.turn()
    seen = []
    for _ in range(3):
        frame = deck.turn(0.0, lambda one: one.seek(AT + 100))
        assert frame is not None
        seen.append((deck.after, frame.tick))
    assert seen == [(100.0, 5), (100.0, 1), (100.0, 5)]
    assert "came 2 times" in deck.told
    assert "time 2 of 2" in deck.told
    deck.turn(0.0, lambda one: one.seek(AT + 710), lambda one: one.seek(AT + 710))
    found = deck.showing.remember()
    assert found is not None
    assert isinstance(found[0], Stretch)
    assert (found[0].first, found[0].last) == (1, 2)


@pytest.mark.parametrize("length", [NOTE_MOST, NOTE_MOST + 1, 3_000])
def test_a_bookmarks_note_is_kept_up_to_its_limit_and_a_cut_is_told(length: int) -> None:
    """Before the note itself, of which a line shows the beginning."""
    tape = Tape(*shot(0, 1))
    deck = Deck(tape)
    deck.turn()
    deck.turn(0.1, lambda showing: showing.bookmark(" " + "n" * length))
    (mark,) = tape.marks()
    is_cut = length > NOTE_MOST
    assert mark.note == ("n" * (NOTE_MOST - 1) + "…" if is_cut else "n" * length)
    assert deck.told.partition(": ")[0].endswith("; its note was cut to 1,024 characters") == is_cut


def test_a_note_is_listed_as_it_is_kept(tmp_path: Path) -> None:
    """Whole, behind who made it."""
    note = "n" * NOTE_MOST
    body = mark_json(Mark(AT, "ann", note))
    file = recorded(tmp_path / "x.tgrec", [frame(AT, 1)], [(AT, Kind.MARK, Tag.BOOKMARK, body)])
    with closing(Recording.open(file)) as recording:
        assert [one.text for one in timeline(recording, 10).marks] == [f"ann: {note}"]
