"""Where a replay goes when asked for the next alert, action or bookmark, a second, or a time told twice."""

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collectors.fleet import Event, EventKind
from collectors.intents import Intent, Outcome, OutcomeKind
from collectors.intents import Target as On
from collectors.recording.layout import Kind, Tag
from collectors.recording.notes import event_json, intent_json, outcome_json, view_json
from collectors.recording.playing import Standing
from collectors.recording.reader import Recording
from collectors.recording.redact import Redaction
from collectors.recording.showing import AGAIN_S, Showing
from collectors.recording.writer import RecordingWriter
from collectors.sessions import Mark, View
from tests.frames import AT
from tests.recording_files import T0, simple_frame
from tests.recording_files import Tape as FileTape
from tests.replay_tape import Deck, Noted, Tape, shot
from tui.format import clock


def test_alerts_actions_and_bookmarks_are_gone_to_in_both_directions() -> None:
    """To the frame that first shows them; each once; the end of the line is told, and nothing moves."""
    kinds = {10.0: EventKind.ALERT, 30.0: EventKind.ACTION, 2000.0: EventKind.ALERT, 4000.0: EventKind.ALERT}
    tape = Tape(*shot(0, 10, 30, 31, 2000, 4000, events=kinds))
    intent = Intent("throttle.set", On("throttle", "chat", "pro"), {"level": 0.3}, {"level": 0.5}, None)
    tape.others = [Noted(AT + 29.5, Kind.ACTION, Tag.INTENT, intent_json(intent))]
    tape.others.append(Noted(AT + 30.5, Kind.ACTION, Tag.RESULT, {}))
    tape.kept = [Mark(AT + 20, "ann", "look here"), Mark(AT + 40, "bob", "")]
    deck = Deck(tape)
    deck.turn()

    def went(target: Any, direction: Any) -> tuple[float, str]:
        deck.turn(1.0, lambda one: one.seek_next(target, direction))
        return deck.after, deck.told

    assert went("alert", 1) == (10.0, f"Alert at {clock(AT + 10)}: m: at 10")
    assert [went("alert", 1)[0] for _ in range(2)] == [2000.0, 4000.0]
    assert went("alert", 1) == (4000.0, "There is no later alert in this recording.")
    assert [went("alert", -1)[0] for _ in range(2)] == [2000.0, 10.0]
    assert went("alert", -1) == (10.0, "There is no earlier alert in this recording.")
    assert went("action", 1) == (30.0, f"Action at {clock(AT + 29.5)}: chat/pro: asked to admit 50% → 30%")
    assert went("action", 1)[0] == 31.0
    assert went("action", -1)[0] == 30.0
    none = "There is no earlier action of an operator of this cockpit in this recording."
    assert went("action", -1) == (30.0, none)
    assert went("bookmark", -1) == (20.0, f"Bookmark of ann at {clock(AT + 20)}: look here.")
    assert went("bookmark", 1)[0] == 40.0
    assert went("bookmark", 1)[1] == "There is no later bookmark in this recording."


def test_an_action_is_told_by_its_own_time_with_what_it_was_done_to() -> None:
    """The frame that first shows it may come seconds later; words are those of the events."""
    tape = Tape(*shot(0, 10, 20, 30, 40))
    cell, release = On("throttle", "images", "free"), On("release", "aurora-5")
    cleared = Intent("throttle.clear", cell, {}, {"level": 0.3}, None)
    weight = Intent("release.set_weight", release, {"weight": 5.0}, {}, None)
    applied = Outcome(cleared, OutcomeKind.APPLIED, AT + 13, "admit 30% → 100%")
    refused = Event(AT + 36, EventKind.ACTION, "you", "chat/pro", "set refused: no such tier")
    tape.others = [
        Noted(AT + 6, Kind.ACTION, Tag.INTENT, intent_json(cleared)),
        Noted(AT + 14, Kind.ACTION, Tag.RESULT, outcome_json(applied)),
        Noted(AT + 26, Kind.ACTION, Tag.INTENT, intent_json(weight)),
        Noted(AT + 37, Kind.EVENT, Tag.HAPPENED, event_json(refused)),
    ]
    deck = Deck(tape)
    deck.turn()
    told = []
    for _ in tape.others:
        deck.turn(1.0, lambda one: one.seek_next("action", 1))
        told.append((deck.after, deck.told))
    assert told == [
        (10.0, f"Action at {clock(AT + 6)}: images/free: asked to clear"),
        (20.0, f"Action at {clock(AT + 14)}: images/free: applied: admit 30% → 100%"),
        (30.0, f"Action at {clock(AT + 26)}: aurora-5: asked to set weight"),
        (40.0, f"Action at {clock(AT + 36)}: chat/pro: set refused: no such tier"),
    ]


@pytest.mark.parametrize("speed", [1.0, 64.0])
@pytest.mark.parametrize("target", ["alert", "action", "bookmark"])
def test_the_one_before_again_goes_one_further_back_while_it_plays(target: Any, speed: float) -> None:
    """Pressed again soon after it landed there, it is not the same place for having played on a little."""
    places = [10.0, 300.0, 600.0, 900.0]
    kind = EventKind.ALERT if target == "alert" else EventKind.ACTION
    times = sorted({*places, *(float(n) for n in range(0, 1200, 50))})
    tape = Tape(*shot(*times, events=dict.fromkeys(places, kind) if target != "bookmark" else None))
    tape.kept = [Mark(AT + at, "ann", "") for at in places if target == "bookmark"]
    deck = Deck(tape, at=AT + 1000, is_playing=True, speed=speed)
    deck.turn()
    went = []
    for _ in places:
        deck.turn(1.0, lambda one: one.seek_next(target, -1))
        went.append(deck.after)
        deck.turn(AGAIN_S / 2)
        assert deck.after > went[-1]
    assert went == places[::-1]
    assert deck.turn(0.5, lambda one: one.seek_next(target, -1)) is not None
    assert deck.told.startswith("There is no earlier")


def test_the_one_before_is_the_same_place_once_that_is_some_time_ago_or_it_was_left() -> None:
    """Who has watched on for a while, or went on by another key, is after it: it is gone to again."""
    tape = Tape(*shot(*range(0, 60), events=dict.fromkeys((10.0, 20.0, 30.0), EventKind.ALERT)))
    deck = Deck(tape, at=AT + 31, is_playing=True)
    deck.turn()

    def back(seconds: float, *before: Callable[[Showing], None]) -> float:
        deck.turn(seconds, *before, lambda one: one.seek_next("alert", -1))
        return deck.after

    assert back(0.0) == 30
    for _ in range(round(AGAIN_S) + 1):
        deck.turn(1.0)
    assert back(0.0) == 30
    assert back(0.5) == 20
    assert back(0.5, lambda one: one.move(5.0)) == 20
    assert back(0.5, lambda one: one.step(1), Showing.play) == 20
    assert back(0.5) == 10
    deck.turn(0.5, lambda one: one.seek_next("alert", 1))
    assert deck.after == 20
    assert back(0.5) == 10


def test_a_second_is_gone_to_as_it_was_seen() -> None:
    """To the last frame in it, whose clock the screen told then; where none is in it, to its begin."""
    deck = Deck(Tape(*shot(0, 1.4, 1.9, 2.4, 5), end=AT + 9))
    deck.turn()
    for after, shown, number in (
        (0, 0.0, 1),
        (1, 1.9, 3),
        (2, 2.4, 4),
        (3, 3.0, 4),
        (5, 5.0, 5),
        (7, 7.0, 5),
    ):
        deck.turn(0.0, lambda one, at=AT + after: one.seek_second(at))  # type: ignore[misc]  # the default binds it
        assert (deck.after, deck.showing.position.frame, deck.told) == (shown, number, ""), after
    early = Deck(Tape(*shot(0.4, 0.7, 3)))
    early.turn(0.0, lambda one: one.seek_second(AT))
    assert (early.after, early.told) == (0.7, "")


def test_of_a_second_that_was_told_twice_it_is_the_later_one_first() -> None:
    """As with any time: asked for again it is the one before, to that clock."""
    deck = Deck(Tape(*shot(0, 10.4, 20), *shot(5, 10.6, 15)))
    deck.turn()
    frames = []
    for _ in range(2):
        deck.turn(0.0, lambda one: one.seek_second(AT + 10))
        frames.append(deck.showing.position.frame)
        assert "came 2 times" in deck.told
    assert frames == [5, 2]


def test_an_action_is_gone_to_where_it_is_seen(tmp_path: Path) -> None:
    """The demo's clock stands still between two frames: what was noted behind one is seen in the next."""
    cell = On("throttle", "chat", "pro")
    intent = Intent("throttle.set", cell, {"level": 0.3}, {"level": 0.5}, None)
    writer = RecordingWriter(file=tmp_path / "a.tgrec", facts={}, redaction=Redaction(), simulated=True)
    writer.start()
    for number in range(5):
        writer.put(simple_frame(number, T0 + 20 * number))
        if number in (1, 4):
            outcome = Outcome(intent, OutcomeKind.APPLIED, T0 + 20 * number, f"applied {number}")
            writer.append(Kind.ACTION, Tag.INTENT, intent_json(intent))
            writer.append(Kind.ACTION, Tag.RESULT, outcome_json(outcome))
    writer.close()
    recording = Recording.open(tmp_path / "a.tgrec")
    asked = deque[Callable[[Showing], None]]()
    showing = Showing(recording, Standing(), None, asked)

    def went(direction: Any) -> tuple[float, str]:
        asked.append(lambda one: one.seek_next("action", direction))
        showing.turn()
        return showing.position.at - T0, showing.position.told

    at, told = went(1)
    assert (at, told) == (40, f"Action at {clock(T0 + 20)}: chat/pro: asked to admit 50% → 30%")
    assert went(1)[0] == 80, "behind the last frame: there is none later"
    assert went(-1) == (40, f"Action at {clock(T0 + 20)}: chat/pro: applied: applied 1")
    assert went(-1)[1].startswith("There is no earlier")
    asked.append(lambda one: one.seek(T0 + 30))
    showing.turn()
    assert went(1)[0] == 40, "it lies ahead of the frame that is shown"
    recording.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"level": 0.3, "ttl_s": 900}, "keep admit 30%, to 15 min from then"),
        ({"level": 0.3, "expires_at": "2026-11-21T15:00:00.000Z"}, "keep admit 30%, to 15:00:00Z"),
        ({"level": 0.3, "expires_at": "soon"}, "keep admit 30%, to a time that cannot be read"),
        ({"level": 0.3}, "keep admit 30%, until cleared"),
        ({"level": 0.2, "ttl_s": 900}, "admit 30% → 20%"),
    ],
)
def test_a_throttle_whose_level_stays_is_asked_to_be_longer(arguments: dict[str, object], words: str) -> None:
    """From 30% to 30% would say that nothing was asked for."""
    tape = Tape(*shot(0, 10))
    intent = Intent("throttle.set", On("throttle", "images", "free"), arguments, {"level": 0.3}, None)
    tape.others = [Noted(AT + 6, Kind.ACTION, Tag.INTENT, intent_json(intent))]
    deck = Deck(tape)
    deck.turn()
    deck.turn(1.0, lambda one: one.seek_next("action", 1))
    assert deck.told == f"Action at {clock(AT + 6)}: images/free: asked to {words}"


@pytest.mark.parametrize(
    ("actor", "tag", "words"),
    [("P2", Tag.ALERT, "Alert P2"), ("cleared", Tag.ALERT_CLEARED, "Alert cleared")],
)
def test_the_end_of_an_alert_is_told_to_be_one(actor: str, tag: Tag, words: str) -> None:
    """What it went to is no new alert where it is the end of one."""
    tape = Tape(*shot(0, 10))
    ended = Event(AT + 10, EventKind.ALERT, actor, "aurora-5 team", "after 42 s")
    tape.others = [Noted(AT + 10, Kind.EVENT, tag, event_json(ended))]
    deck = Deck(tape)
    deck.turn()
    deck.turn(1.0, lambda one: one.seek_next("alert", 1))
    assert deck.told == f"{words} at {clock(AT + 10)}: aurora-5 team: after 42 s"


def test_of_a_time_that_was_told_twice_the_view_and_the_bookmark_are_those_of_the_run_shown() -> None:
    """The recorded view, and where a bookmark is kept, are looked up by the frame, not by its clock."""
    tape = Tape(*shot(0, 10, 20), *shot(5, 15))
    tape.view_at = lambda at, number=None: View(subject=str(number))  # type: ignore[method-assign]
    kept: list[int | None] = []
    tape.add_mark = lambda mark, number=None: kept.append(number)  # type: ignore[method-assign]
    deck = Deck(tape)
    deck.turn()
    for number in (4, 1):
        deck.turn(0.0, lambda one: one.seek(AT + 15), lambda one: one.bookmark(""))
        assert (deck.after, deck.showing.position.view) == (15.0, View(subject=str(number)))
    assert kept == [4, 1]


def test_a_file_has_a_view_of_each_run_of_its_clock(tmp_path: Path) -> None:
    """The clock goes back eight seconds: of the same time the page of a model was seen, then the alerts."""
    tape = FileTape()
    for run, screen in enumerate(("model", "alerts")):
        for tick in range(5):
            tape.at = T0 + 2 * tick + run
            tape.note(Tag.VIEW, view_json(View(screen=screen)))
            tape.frame(simple_frame(5 * run + tick, tape.at))
    tape.footer()
    recording = Recording.open(tape.write(tmp_path / "one.tgrec"))
    asked = deque[Callable[[Showing], None]]()
    showing = Showing(recording, Standing(), None, asked)
    for number, screen in ((6, "alerts"), (2, "model")):
        asked.append(lambda one: one.seek(T0 + 4.5))
        showing.turn()
        view = showing.position.view
        assert (showing.now.number, view.screen if view else None) == (number, screen)
    recording.close()
