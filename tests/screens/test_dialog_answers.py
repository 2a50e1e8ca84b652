"""What the plane says to a dialog: dry runs, what others changed meanwhile, what became of a decision."""

from dataclasses import replace

import pytest

from collectors.intents import Difference, Intent, Outcome, OutcomeKind, Rehearsal
from tests.dialog_parts import CellForm, Recorded, ended, opened, operated_frame, would_apply
from tests.screens.test_app import plain_environment, still_clock
from tui.dialogs import asking
from tui.screens.fleet import FleetScreen

__all__ = ["plain_environment", "still_clock"]


async def test_y_sends_one_decision_and_shows_what_became_of_it() -> None:
    """A digit picks the reason; each target has its key, all have one decision id; the result stays."""
    async with opened(lambda frame: CellForm(frame, tiers=("team", "free"))) as d:
        await d.keys("2", "y")
        await d.until(lambda: "images/free  sent" in d.text or d.text.count("applied") == 2)
        await d.until(lambda: d.text.count("✔ applied: admit 30% until 14:32:11Z") == 2)
        (sent,) = d.operator.carried
        assert [str(one.target) for one in sent] == ["images/team", "images/free"]
        assert {one.reason for one in sent} == {"queue is short again"}
        assert len({one.key for one in sent}) == 2
        assert len({one.decision_id for one in sent}) == 1
        assert "done: esc closes" in d.text
        await d.keys("y")
        assert "sent already: it is never sent twice" in d.text
        await d.keys("enter")
        assert isinstance(d.app.screen, FleetScreen)
        assert len(d.operator.carried) == 1


@pytest.mark.parametrize(
    "keys", [("y", "y"), ("y", "enter", "y"), ("y", "ctrl+r", "y"), ("y", "1", "y", "y")]
)
async def test_nothing_sends_twice(keys: tuple[str, ...]) -> None:
    """Whatever is pressed behind `y`, while it is on its way and after: one decision."""
    operator = Recorded(is_held=True)
    async with opened(operator=operator) as d:
        await d.keys("1", keys[0])
        await d.until(lambda: bool(operator.carried))
        await d.keys(*keys[1:])
        operator.release()
        await d.until(lambda: operator.ended == 1)
        await d.keys("y")
        assert len(operator.carried) == 1


async def test_what_somebody_else_changed_is_shown_and_asked_again() -> None:
    """S8: keys are held back, the difference is shown, the dry run is of the new rev."""
    async with opened() as d:
        await d.keys("1")
        later = operated_frame(0.2, "t-9")
        d.source.send(later)
        await d.until(lambda: "CHANGED while this was open" in d.text)
        assert "images/free level: admit 50% → admit 20%" in d.text
        assert "rev t-9free ──┐" in d.text
        await d.pilot.press("y")
        assert "y came too early" in d.text
        await d.until(lambda: "(server, rev t-9free)" in d.text)
        assert d.operator.rehearsed[-1][0].etag == "t-9free"
        await d.keys("y")
        assert "somebody changed it" in d.text
        assert d.operator.carried == []
        await d.keys("ctrl+r", "y")
        await d.until(lambda: bool(d.operator.carried))
        assert d.operator.carried[0][0].etag == "t-9free"


def refusing(intent: Intent) -> Rehearsal:
    moved = (Difference("level", "admit 50%", "admit 10%"),)
    return replace(would_apply(intent), refusal="bob moved it; look again", code="stale-level", moved=moved)


async def test_a_dry_run_that_would_not_apply_keeps_y_off() -> None:
    """S9: the plane's sentence, and what moved, before and now."""
    async with opened(operator=Recorded(answers=refusing)) as d:
        assert "would be refused" in d.text
        assert "images/free: bob moved it; look again" in d.text
        assert "level: admit 50% → admit 10%" in d.text
        await d.keys("1", "y")
        assert "the dry run says no to images/free" in d.text
        assert d.operator.carried == []


async def test_an_old_dry_run_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """S9: by itself while somebody is there, by ctrl-r always; an old one keeps `y` off."""
    monkeypatch.setattr(asking, "TOUCHED_S", 30.0)
    async with opened() as d:
        await d.keys("1")
        real, late = d.app.clock, 0.0
        d.app.clock = lambda: real() + late
        asked = len(d.operator.rehearsed)
        late = 12.0
        d.dialog._tick()
        await d.until(lambda: len(d.operator.rehearsed) == asked + 1)
        late = 100.0
        d.dialog._tick()
        await d.pilot.pause()
        assert len(d.operator.rehearsed) == asked + 1
        assert "y is off: the dry run is" in d.text
        assert "old: ctrl-r asks again" in d.text
        await d.keys("ctrl+r")
        await d.until(lambda: len(d.operator.rehearsed) == asked + 2)
        await d.until(lambda: "0s ago" in d.text)


def failing(intent: Intent) -> Rehearsal:
    raise RuntimeError("broken in here")


async def test_a_dry_run_that_breaks_is_shown() -> None:
    """Whatever an operator raises: a sentence, the cockpit stays, `y` is off."""
    async with opened(operator=Recorded(answers=failing)) as d:
        assert "RuntimeError: broken in here." in d.text
        await d.keys("1", "y")
        assert "y is off: no dry run" in d.text


async def test_targets_are_told_one_by_one() -> None:
    """S10, S11: the first unknown while it is looked for, then conflict; the second was not sent."""

    def outcomes(intent: Intent) -> list[Outcome]:
        if intent.target.tier == "free":
            return [replace(ended(intent, OutcomeKind.REFUSED, "the one before ended so"), was_sent=False)]
        return [
            ended(intent, OutcomeKind.UNKNOWN, "no answer in 20 s", is_final=False),
            replace(
                ended(intent, OutcomeKind.CONFLICT, "bob was first"),
                moved=(Difference("level", "admit 50%", "admit 10%"),),
            ),
        ]

    operator = Recorded(outcomes=outcomes)
    async with opened(lambda frame: CellForm(frame, tiers=("team", "free")), operator=operator) as d:
        await d.keys("1", "y")
        await d.until(lambda: "done: esc closes" in d.text)
        assert "images/team sent → ✖ conflict: bob was first" in d.text
        assert "level: admit 50% → admit 10%" in d.text
        assert "images/free not sent: ✖ refused: the one before ended so" in d.text


async def test_closing_leaves_what_is_on_its_way() -> None:
    """How it ends is told on whatever screen is on top, and `q` asks once while it lasts."""
    operator = Recorded(is_held=True)
    async with opened(operator=operator) as d:
        await d.keys("1", "y")
        await d.until(lambda: bool(operator.carried))
        assert "sent: it goes on if this is closed" in d.text
        await d.keys("escape")
        await d.until(lambda: isinstance(d.app.screen, FleetScreen))
        await d.keys("q")
        assert "an action is under way: q again quits" in d.text
        assert d.app.return_code is None
        d.app.open_dialog(CellForm(operated_frame()))
        await d.ready()
        await d.keys("1", "y")
        assert "an earlier action on images/free is still under way" in d.text
        await d.keys("escape")
        operator.release()
        await d.until(lambda: "images/free: applied: admit 30% until 14:32:11Z" in d.text)
        assert d.app.link.in_flight == 0
        assert d.app.under_way == frozenset()
        assert len(operator.carried) == 1


async def test_without_an_operator_nothing_was_sent() -> None:
    """A source that went away between dry run and `y`: refused in words, not unknown."""
    async with opened() as d:
        await d.keys("1")
        d.source.operator = None
        await d.keys("y")
        await d.until(lambda: "not sent: ✖ refused: no control plane is connected" in d.text)
        assert d.operator.carried == []


def breaking(intent: Intent) -> list[Outcome]:
    raise RuntimeError("broken in here")


async def test_an_operator_that_breaks_leaves_the_target_unknown() -> None:
    """Nobody knows whether it landed: never said to have failed."""
    async with opened(operator=Recorded(outcomes=breaking)) as d:
        await d.keys("1", "y")
        await d.until(lambda: "? UNKNOWN: RuntimeError: broken in here." in d.text)
        assert "Look whether it landed" in d.text
