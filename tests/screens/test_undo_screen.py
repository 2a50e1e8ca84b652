"""The screen of own last actions: loading, failing, every size, the way to a dialog and back."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from rich.cells import cell_len
from syrupy.assertion import SnapshotAssertion
from textual.pilot import Pilot

from collectors.fleet import Frame, LastChange, Throttle
from collectors.intents import Intent, Logged, Outcome, OutcomeKind, Rehearsal, Target
from tests.frames import AT, HOSTILE
from tests.screens.test_app import Scripted, plain_environment, press, screen_text, still_clock, until
from tests.unit.test_release_forms import aurora, frame_of
from tui.app import CockpitApp
from tui.dialogs.dialog import DialogScreen
from tui.dialogs.help import HelpScreen
from tui.dialogs.undo import UndoScreen
from tui.screens.fleet import FleetScreen

__all__ = ["plain_environment", "still_clock"]

ACTIONS = (
    Logged(
        "a-41",
        AT - 21,
        "alice",
        "throttle.set",
        Target("throttle", "images", "free"),
        "launch spike",
        "applied",
        before={"level": 0.5, "expires_at": None},
        after={"level": 0.3, "expires_at": "2026-11-21T14:31:50Z"},
    ),
    Logged(
        "a-40",
        AT - 60,
        "alice",
        "release.pause",
        Target("release", "aurora"),
        "wait for the weekend to be over",
        "applied",
        before={"candidate": "r42", "phase": "progressing", "stage": "plus@25"},
        after={"candidate": "r42", "phase": "paused", "stage": "plus@25"},
    ),
    Logged(
        "a-38",
        AT - 90,
        "alice",
        "release.advance",
        Target("release", "aurora"),
        "p99 steady",
        "refused",
        "gate-not-met",
    ),
)


def operated() -> Frame:
    """A throttle and a pause of alice's, both in force."""
    mine = LastChange("a-41", "throttle.set", "alice", "launch spike", AT - 21)
    held = LastChange("a-40", "release.pause", "alice", "wait for the weekend to be over", AT - 60)
    cell = Throttle("images", "free", 8, "t-9", 0.3, expires_at=AT + 1779, last_change=mine)
    return replace(frame_of(aurora("paused by operator", last_change=held)), throttles=(cell,))


class Log:
    """An operator whose log is what it is given, or an error; it answers when it may."""

    def __init__(self, *answers: Sequence[Logged] | Exception, may: asyncio.Event | None = None) -> None:
        self.answers, self.asked, self.may = list(answers), 0, may

    async def own_actions(self, limit: int = 20) -> tuple[Logged, ...]:
        self.asked += 1
        if self.may is not None:
            await self.may.wait()
        answer = self.answers[min(self.asked, len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return tuple(answer[:limit])

    async def rehearse(self, intents: Sequence[Intent]) -> tuple[Rehearsal, ...]:
        return tuple(Rehearsal(one, AT, etag="m-17") for one in intents)

    async def carry_out(self, intents: Sequence[Intent]) -> AsyncIterator[Outcome]:
        for one in intents:
            yield Outcome(one, OutcomeKind.APPLIED, AT, "done")


class Operated(Scripted):
    """A source that can be written to."""

    def __init__(self, frame: Frame, log: Log | None) -> None:
        super().__init__([frame])
        self.operator = log


@asynccontextmanager
async def undoing(
    log: Log | None, size: tuple[int, int] = (120, 40), frame: Frame | None = None, **options: object
) -> AsyncIterator[tuple[CockpitApp, Pilot[int]]]:
    """The application with the screen of own actions on top."""
    first = frame or operated()
    app = CockpitApp(lambda: Operated(first, log), context="us-east", **options)  # type: ignore[arg-type]
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.latest is first)
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, UndoScreen))
        yield app, pilot


def has(app: CockpitApp, text: str) -> bool:
    return text in "\n".join(screen_text(app))


@pytest.mark.parametrize(
    ("size", "glyphs"), [((80, 24), "unicode"), ((120, 40), "unicode"), ((100, 20), "ascii")]
)
async def test_own_actions_at_their_size(
    size: tuple[int, int], glyphs: str, snapshot: SnapshotAssertion
) -> None:
    """Newest first: when, what, on what, from → to, result, time left; the selected one in full."""
    async with undoing(Log(ACTIONS), size, glyphs=glyphs) as (app, pilot):
        await until(pilot, lambda: has(app, "images/free"))
        lines = screen_text(app)
        assert max(map(cell_len, lines)) <= size[0]
        assert "\n".join(lines) == snapshot


async def test_it_says_that_it_asks() -> None:
    """Until the plane answers, nothing is shown as if there were no actions."""
    may = asyncio.Event()
    log = Log(ACTIONS, may=may)
    async with undoing(log) as (app, pilot):
        await until(pilot, lambda: log.asked == 1)
        assert has(app, "Asking the control plane for your last actions.")
        assert not has(app, "nothing yet")
        press(app, "enter")
        assert isinstance(app.screen, UndoScreen)
        app._feed._loop.call_soon_threadsafe(may.set)  # type: ignore[union-attr]  # it runs: frames came
        await until(pilot, lambda: has(app, "images/free"))


async def test_an_error_is_a_sentence_and_can_be_tried_again() -> None:
    """What the plane says against it stands in place of the list; asking again shows the list."""
    log = Log(OSError("connection refused"), ACTIONS)
    async with undoing(log) as (app, pilot):
        await until(pilot, lambda: has(app, "Your last actions are not known: OSError: connection refused."))
        press(app, "ctrl+r")
        await until(pilot, lambda: has(app, "images/free"))
        assert not has(app, "not known")


async def test_without_a_way_to_write_it_says_so() -> None:
    """A source that can only be read: a sentence, no list."""
    async with undoing(None) as (app, pilot):
        await until(pilot, lambda: has(app, "no control plane is connected: nothing can be written."))


async def test_nothing_done_yet() -> None:
    """An empty log is said, and is no error."""
    async with undoing(Log(())) as (app, pilot):
        await until(
            pilot, lambda: has(app, "nothing yet: the log of the control plane holds no action of yours")
        )
        press(app, "enter")
        await until(pilot, lambda: has(app, "nothing to undo here"))


async def test_enter_opens_the_way_back_as_an_ordinary_dialog() -> None:
    """S12: the same dialog as any other; back from it, the log is asked again."""
    log = Log(ACTIONS)
    async with undoing(log) as (app, pilot):
        await until(pilot, lambda: has(app, "images/free"))
        assert log.asked == 1
        press(app, "j")
        press(app, "enter")
        await until(pilot, lambda: isinstance(app.screen, DialogScreen))
        await until(pilot, lambda: has(app, "Resume · aurora-5"))
        app.screen.dismiss()
        await until(pilot, lambda: isinstance(app.screen, UndoScreen) and log.asked == 2)
        press(app, "j")
        press(app, "enter")
        await until(pilot, lambda: has(app, "it was refused (gate-not-met): nothing changed"))
        press(app, "escape")
        await until(pilot, lambda: isinstance(app.screen, FleetScreen))


async def test_the_key_that_throttles_extends() -> None:
    """On a throttle it opens that cell's dialog; on a release it says that there is no end."""
    async with undoing(Log(ACTIONS)) as (app, pilot):
        await until(pilot, lambda: has(app, "images/free"))
        press(app, "t")
        await until(pilot, lambda: isinstance(app.screen, DialogScreen) and has(app, "images"))
        app.screen.dismiss()
        await until(pilot, lambda: isinstance(app.screen, UndoScreen))
        press(app, "j")
        press(app, "t")
        await until(pilot, lambda: has(app, "pause of aurora has no end that could be put off"))


async def test_hints_and_help_are_of_this_screen() -> None:
    """More time is offered on a throttle alone; help names what keys do here, each once."""
    async with undoing(Log(ACTIONS), (120, 80)) as (app, pilot):
        await until(pilot, lambda: has(app, "images/free"))
        assert " t extend " in screen_text(app)[-2]
        press(app, "j")
        await until(pilot, lambda: " t extend " not in screen_text(app)[-2])
        press(app, "?")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        text = "\n".join(screen_text(app))
        assert "open the way back from the action" in text
        assert "open the model" not in text.partition("MARKS")[0]
        assert text.count("give a throttle more time") == 1
        assert "own last actions, and their undoing" not in text


async def test_keys_of_releases_act_on_what_the_action_was_on() -> None:
    """Where a weight or an abort is named as the way, its key works here too."""
    async with undoing(Log(ACTIONS)) as (app, pilot):
        await until(pilot, lambda: has(app, "images/free"))
        press(app, "j")
        press(app, "B")
        await until(pilot, lambda: isinstance(app.screen, DialogScreen) and has(app, "Abort · aurora-5"))


@pytest.mark.parametrize("size", [(2, 2), (10, 3), (20, 6), (79, 9), (300, 80)])
async def test_every_size_with_hostile_text(size: tuple[int, int]) -> None:
    """No size and no name breaks it, and no line is wider than the terminal."""
    actions = [
        replace(
            ACTIONS[0], audit_id=f"a-{n}", reason=text, target=Target("throttle", text or "x", text or "x")
        )
        for n, text in enumerate(HOSTILE)
    ]
    async with undoing(Log(actions), size) as (app, pilot):
        await until(pilot, lambda: app.screen._instead == "")  # type: ignore[attr-defined]  # the undo screen's
        for key in ("j", "G", "k", "pagedown"):
            press(app, key)
            await pilot.pause()
        assert max(map(cell_len, screen_text(app))) <= size[0]
