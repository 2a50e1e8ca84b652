"""Events, intents, outcomes, views and marks as bodies of records: all come back, and no file breaks them."""

import json
from typing import Any

import pytest

from collectors.fleet import Event, EventKind
from collectors.intents import Difference, Intent, Outcome, OutcomeKind, Target
from collectors.recording.notes import (
    event_from,
    event_json,
    intent_from,
    intent_json,
    mark_from,
    mark_json,
    outcome_from,
    outcome_json,
    plain,
    view_from,
    view_json,
)
from collectors.sessions import Mark, View
from tests.frames import AT

INTENT = Intent(
    "throttle.set",
    Target("throttle", "images", "free"),
    {"level": 0.3, "ttl_s": 1800, "ramp": {"per_min": 0.1, "steps": [1, 2]}, "note": None, "is": True},
    {"level": 0.5, "state": "applied", "limit": None},
    "t-9",
    "launch spike",
    "key-1",
    "decision-1",
    "OPS-7",
)
OUTCOME = Outcome(
    INTENT,
    OutcomeKind.CONFLICT,
    AT,
    "images/free moved",
    "moved",
    "a-9",
    (Difference("level", "50 %", "30 %"),),
    is_final=False,
    was_sent=False,
)
VIEW = View("model", "aurora-5", "free", "row-7", "heat", "aur", "wait", True, 3, "Throttle", True, 240, 67)


def stored(body: dict[str, Any]) -> Any:
    return json.loads(json.dumps({"tag": 1, "at": 0.0, **body, "added": {"later": 1}}))


@pytest.mark.parametrize("kind", EventKind)
def test_events_come_back(kind: EventKind) -> None:
    """Its own time and kind, not those of its record."""
    event = Event(AT - 12.34, kind, "alice", "images/free", "admit 50% → 30%")
    assert event_from(stored(event_json(event))) == event


@pytest.mark.parametrize(
    "intent",
    [
        INTENT,
        Intent("release.pause", Target("release", "r"), {}, {"candidate": "v2"}, "*"),
        Intent("release.register", Target("release", "r"), {"stages": [{"tier": "pro"}]}, {}, None),
    ],
)
def test_intents_come_back(intent: Intent) -> None:
    """What was asked for, what was seen, by which key, decision and ticket; also without an etag."""
    assert intent_from(stored({**intent_json(intent), "actor": "alice"})) == intent


@pytest.mark.parametrize("kind", OutcomeKind)
def test_outcomes_come_back(kind: OutcomeKind) -> None:
    """What became of it, with the intent, and what had moved."""
    outcome = Outcome(INTENT, kind, AT, "done")
    assert outcome_from(stored(outcome_json(outcome))) == outcome
    assert outcome_from(stored(outcome_json(OUTCOME))) == OUTCOME


def test_views_and_marks_come_back() -> None:
    """What the operator looked at, and what they marked."""
    assert view_from(stored(view_json(VIEW))) == VIEW
    assert view_from(stored(view_json(View()))) == View()
    mark = Mark(AT, "alice", "it begins here")
    assert mark_from(stored(mark_json(mark))) == mark


READERS = (
    (event_json(Event(AT, EventKind.NOTE, "a", "b", "c")), event_from),
    (intent_json(INTENT), intent_from),
    (outcome_json(OUTCOME), outcome_from),
    (view_json(VIEW), view_from),
    (mark_json(Mark(AT, "a", "b")), mark_from),
)
ANYTHING: tuple[Any, ...] = (
    None, 0, -1, 1e400, 2**80, "", "\x1b[2J\x07" * 5000, [], [["\x1b"]] * 99, {},
    {"\x1b": {"\x1b": "\x1b"}}, True,
)  # fmt: skip


@pytest.mark.parametrize("value", ANYTHING)
def test_no_body_can_break_a_reader(value: object) -> None:
    """Any value at any member: something cleaned and bounded comes of it, or None."""
    for body, read in READERS:
        bodies = [value, *({**body, member: value} for member in body), *({member: value} for member in body)]
        bodies += [{k: v for k, v in body.items() if k != member} for member in body]
        if "intent" in body:
            bodies += [{**body, "intent": {**body["intent"], member: value}} for member in body["intent"]]
        for one in bodies:
            found = repr(read(one))
            assert "\\x1b" not in found and len(found) < 300_000


def test_words_of_newer_versions() -> None:
    """A kind of event that is not known is a note; an outcome that is not known is unknown, not applied."""
    event, outcome = event_json(Event(AT, EventKind.FAULT, "a", "b", "c")), outcome_json(OUTCOME)
    assert event_from({**event, "kind": "newer"}) == Event(AT, EventKind.NOTE, "a", "b", "c")
    newer = outcome_from({**outcome, "kind": "newer"})
    assert newer is not None and newer.kind is OutcomeKind.UNKNOWN


def test_what_is_no_such_thing() -> None:
    """Without a time there is no event and no mark; without a target no intent, and so no outcome."""
    assert event_from({"kind": "note", "text": "x"}) is None
    assert event_from({"kind": "note", "at": 1e12}) is None
    assert mark_from({"note": "x"}) is None
    assert intent_from({**intent_json(INTENT), "target": {"kind": "universe", "id": "x"}}) is None
    assert outcome_from({**outcome_json(OUTCOME), "intent": None}) is None
    assert view_from({"subject": "x"}) is None


def test_values_are_plain_and_bounded() -> None:
    """Depth, members and texts of a value have an end; numbers that are none are left out."""
    deep: Any = "x"
    for _ in range(40):
        deep = {"in": deep}
    assert str(plain(deep)).count("in") <= 9
    assert len(plain({str(n): n for n in range(500)})) == 64
    assert plain(float("nan")) is None and plain(("a\x1b", 1, True, None)) == ["a", 1, True, None]
