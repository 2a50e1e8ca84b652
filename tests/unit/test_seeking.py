"""Where a replay goes when it is asked for the next alert, action or bookmark, or for a time told twice."""

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
from collectors.recording.showing import Showing
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
