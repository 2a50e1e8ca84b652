"""What stands behind an operator's action: the way back with the time left, and what followed."""

from collections.abc import Collection, Mapping
from dataclasses import replace

import pytest

from collectors.fleet import Event, EventKind, Frame, LastChange
from collectors.readings import reading
from tests.frames import AT
from tests.operated_frames import OPERATOR, operated_frame
from tui.effects import NOTHING, Effects, worst_at
from tui.format import ASCII, UNICODE, width_of
from tui.store import History
from tui.widgets.timeline import event_lines, mark_of, strip_line

DONE = AT - 252
SET = operated_frame().events[2]
"""Alice's throttle of images for the free tier, 252 s ago."""


def remembered(before: float = 14.9, after: float = 7.2, done: float = DONE) -> tuple[Frame, History]:
    """Ten minutes in which delta-code's free tier waited `before` until it was throttled, `after` since."""
    frame, history = operated_frame(), History()
    for step in range(120):
        at = AT - 595 + 5 * step
        frame = waiting(frame, {"free": before if at <= done else after}, ("delta-code",))
        history.add(replace(frame, at=at, events=()))
    return frame, history


def waiting(frame: Frame, waits: Mapping[str, float], names: Collection[str] = ()) -> Frame:
    """The frame in which models, those of `names` or all, wait so long, and the others tell nothing."""
    tiers = {tier: {"queue_wait_p99": reading("queue_wait_p99", wait, AT)} for tier, wait in waits.items()}
    models = (replace(m, tiers=tiers if not names or m.name in names else {}) for m in frame.models)
    return replace(frame, models=tuple(models))


def test_after_a_minute_it_is_told_what_followed() -> None:
    """The share that is let in, and the wait that was worst, before and now: facts, no forecast."""
    frame, history = remembered()
    after = Effects().of(SET, frame, history, AT, UNICODE)
    assert after.effect == "after 4m: 31% admitted, delta-code Free p99 14.9 → 7.2 s"
    assert Effects().of(SET, frame, history, AT, ASCII).effect.isascii()


def test_before_a_minute_and_after_ten_nothing_is_told() -> None:
    """Too early to tell, and too late to know what was before."""
    frame, history = remembered()
    for at in (AT - 30, AT - 700):
        change = LastChange("a", "throttle.set", SET.actor, "", at)
        cells = (replace(frame.throttles[0], last_change=change), *frame.throttles[1:])
        moved = replace(frame, throttles=cells)
        assert Effects().of(replace(SET, at=at), moved, history, AT, UNICODE).effect == ""


def test_no_effect_is_told_as_such() -> None:
    """Nearly everything is still let in: that is what the line says first."""
    frame, history = remembered()
    after = Effects().of(replace(SET, subject="images/team"), frame, history, AT, UNICODE)
    assert after.effect.startswith("after 4m: no effect seen: 97% admitted")


def test_what_is_not_known_is_left_out() -> None:
    """No reading before, no wait worth a word, nothing counted: each part is left out, not guessed."""
    frame, history = remembered()
    blind = replace(frame, models=tuple(replace(m, cells={}) for m in frame.models))
    assert "admitted" not in Effects().of(SET, blind, history, AT, UNICODE).effect
    assert Effects().of(SET, blind, History(), AT, UNICODE).effect == ""
    calm, short = remembered(0.01, 0.02)
    assert Effects().of(SET, calm, short, AT, UNICODE).effect == "after 4m: 31% admitted"


def test_the_worst_is_by_its_objective() -> None:
    """Of the models that serve the feature alone; 4 s where 2 were promised is worse than 5 where 6 were."""
    frame, history = waiting(operated_frame(), {"pro": 4.0, "free": 5.0}), History()
    history.add(frame)
    worst = worst_at(frame, history, "images", AT)
    assert worst is not None
    assert (worst.tier, worst.before) == ("pro", 4.0)
    assert worst.model in {"delta-code", "cirrus-vision"}
    assert worst_at(frame, history, "nothing", AT) is None


def test_ones_own_actions_can_be_undone_for_so_long() -> None:
    """With the time left; not those of others, not those that somebody acted upon since."""
    frame, history = remembered()
    assert Effects().of(SET, frame, history, AT, UNICODE).undo == "undo 25m48s"
    bob = replace(frame, plane=replace(OPERATOR, actor="bob"))
    assert Effects().of(SET, bob, history, AT, UNICODE).undo == ""
    assert Effects().of(replace(SET, at=AT - 900), frame, history, AT, UNICODE) == NOTHING
    endless = replace(frame.throttles[0], expires_at=None)
    assert Effects().of(SET, replace(frame, throttles=(endless,)), history, AT, UNICODE).undo == "undo"


@pytest.mark.parametrize("width", [80, 120, 200])
def test_an_action_reads_well_at_every_size(width: int) -> None:
    """Who, on what, from what to what, for how long, and the way back, whole; the reason where it fits."""
    frame, history = remembered()
    effects = Effects()
    lines = event_lines((SET,), width, 9, after=lambda one: effects.of(one, frame, history, AT, UNICODE))
    text = lines[1].text
    assert "alice" in text and "images/free" in text
    assert "admit 50% → 30%, ttl 30 m" in text
    assert text.endswith("u undo 25m48s")
    assert ("reason: launch spike" in text) is (width >= 120)
    told = " ".join(line.text for line in lines)
    assert "31% admitted, delta-code Free p99 14.9 → 7.2 s" in told
    assert len(lines) == (2 if width == 200 else 3)
    assert all(width_of(line.text) <= width for line in lines)


def test_a_cell_keeps_its_tier_where_there_is_no_room() -> None:
    """The tier says more than the end of a long name."""
    long = replace(SET, subject="image-generation-of-great-length/free")
    assert "/free " in event_lines((long,), 80, 2)[1].text
    assert "… " not in event_lines((SET,), 80, 2)[1].text.partition("admit")[0]


def test_steps_have_a_mark_of_their_own() -> None:
    """T for a throttle, s for a step, r for what else happens to a release."""
    step, pause = (
        Event(AT - 60, EventKind.RELEASE, "bob", "aurora-5", text)
        for text in ("advance, stage plus@25 → plus@100, reason: p99 ok", "pause, phase progressing → paused")
    )
    assert [mark_of(one) for one in (step, pause, SET)] == ["s", "r", "T"]
    assert strip_line((step, SET), AT, 1800, 70).text.count("s") == 1
