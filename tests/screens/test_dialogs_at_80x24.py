"""Every dialog with its worst texts in a small terminal: nothing that matters is cut, all can be reached."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import accumulate

import pytest
from rich.cells import cell_len
from syrupy.assertion import SnapshotAssertion

from collectors.intents import Intent, Outcome, OutcomeKind
from tests.accident_places import Place
from tests.accidents import Sitting, Witness, sitting
from tests.frames import AT
from tests.screens.test_app import plain_environment, screen_text, still_clock
from tests.worst_dialogs import (
    CANDIDATE,
    CONTEXT,
    MODELS,
    REASON_500,
    REFUSAL,
    TIERS,
    WARNINGS,
    WORST,
    became,
    refused,
    rehearsed,
    worst,
)
from tui.dialogs.drawing import BUTTONS, PHRASE, REASON
from tui.messages import FrameArrived
from tui.screens.panel import Panel

__all__ = ["plain_environment", "still_clock"]

SIZES = [
    pytest.param(size, marks=() if size == (80, 24) else pytest.mark.slow, id=f"{size[0]}x{size[1]}")
    for size in ((80, 24), (60, 18), (120, 40))
]


@asynccontextmanager
async def opened(
    name: str, size: tuple[int, int], operator: Witness | None = None, **options: object
) -> AsyncIterator[Sitting]:
    """A cockpit with one of the worst dialogs on top."""
    what, operator = WORST[name], operator or Witness()
    if operator.answers is Witness().answers:
        operator.answers = rehearsed
    frame = worst(what.phase)
    async with sitting(what.form is not None, size, frame=frame, operator=operator, **options) as sat:
        await sat.go(Place(name, form=what.form, arms=what.form is None))
        yield sat


async def box(sat: Sitting) -> list[str]:
    """The dialog's own lines as they are on the terminal; none is wider than it, or cut short by it."""
    await sat.pilot.pause()  # the layout follows what is shown
    lines = screen_text(sat.app)
    assert len(lines) == sat.app.size.height
    assert max(map(cell_len, lines)) <= sat.app.size.width
    assert sat.dialog is not None
    region = sat.dialog.query_one("#box").region
    shown = [cut(line, region.x, region.right) for line in lines[region.y : region.bottom]]
    assert {cell_len(line) for line in shown} == {region.width}, "\n".join(shown)
    return shown


def cut(line: str, start: int, end: int) -> str:
    """The columns of a line from `start` to `end`."""
    columns = list(accumulate(map(cell_len, line), initial=0))
    return "".join(c for c, column in zip(line, columns, strict=False) if start <= column < end)


def squashed(lines: Iterable[str]) -> str:
    """The words without frame and white space, so that what goes on in the next line is found as well."""
    return "".join("".join(line.strip("┃│|#").split()) for line in lines)


async def scrolled(sat: Sitting) -> str:
    """All that scrolling shows, from top to bottom; the buttons stay in sight all the way."""
    assert sat.dialog is not None
    body = sat.dialog.query_one("#body", Panel)
    await sat.type("\x1b[H")
    assert body.hidden[0] == 0
    seen: list[str] = []
    for _ in range(400):
        lines = await box(sat)
        assert "[Cancel]" in squashed(lines[-3:]) or "[Close]" in squashed(lines[-3:])
        above, below = body.hidden
        page = lines[body.region.y - sat.dialog.query_one("#box").region.y :][: body.region.height]
        seen += page[len(seen) - above :]
        if not below:
            return squashed(seen)
        await sat.type("\x1b[6~", quiet_s=0.5)
    raise AssertionError("scrolling never comes to an end")


async def head_of(sat: Sitting) -> str:
    """Title and revision, wherever the first one ends."""
    assert sat.dialog is not None
    lines = await box(sat)
    rows = sat.dialog.query_one("#head", Panel).region.height
    return squashed(line.strip("┏┓━ ") for line in lines[:rows])


async def foot_of(sat: Sitting) -> str:
    """What stands at the bottom, whatever is scrolled."""
    assert sat.dialog is not None
    lines = await box(sat)
    return squashed(lines[-sat.dialog.query_one("#foot", Panel).region.height :])


def words(*texts: str) -> list[str]:
    """As `squashed` has them."""
    return ["".join(text.split()) for text in texts]


def missing_from(found: str, *texts: str) -> list[str]:
    """Which of the texts are not there in full."""
    return [text for text in words(*texts) if text not in found]


@pytest.mark.parametrize("name", WORST)
async def test_its_picture(name: str, snapshot: SnapshotAssertion) -> None:
    """T4: as it opens at 80x24, character by character."""
    async with opened(name, (80, 24)) as sat:
        assert "\n".join(await box(sat)) == snapshot


@pytest.mark.parametrize("name", ["throttle-all", "override", "abort", "arm"])
@pytest.mark.parametrize(
    ("size", "glyphs"), [((60, 18), "unicode"), ((120, 40), "unicode"), ((80, 24), "ascii")]
)
async def test_its_picture_elsewhere(
    name: str, size: tuple[int, int], glyphs: str, snapshot: SnapshotAssertion
) -> None:
    """Smaller, above the fleet, and in ASCII."""
    async with opened(name, size, glyphs=glyphs) as sat:
        assert "\n".join(await box(sat)) == snapshot


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", WORST)
async def test_nothing_that_matters_is_cut(name: str, size: tuple[int, int]) -> None:
    """T3, D13: title and rev stand whole, the buttons stay in sight, all else is reached by scrolling: every
    model that is hit, every tier, the phrase, every change and warning of the dry run."""
    async with opened(name, size) as sat:
        assert sat.dialog is not None
        decision = sat.dialog._decision
        form = decision.form
        context = f"PROD {CONTEXT}"
        assert not missing_from(await head_of(sat), form.title, context, form.revision)
        await sat.type(*"12"[: 0 if decision.is_local else 2])
        if phrase := decision.wanted_phrase:
            assert not missing_from(await foot_of(sat), f"y is off: type {phrase} in the row above")
        found = await scrolled(sat)
        assert not missing_from(found, phrase)
        if not decision.is_local:
            run = sat.dialog._decision.current_dry_run
            assert run is not None
            assert not missing_from(found, *WARNINGS, "member 3: before 3", "after 3 企业版")
        if name in ("throttle", "throttle-several", "throttle-all", "extend", "undo"):
            assert not missing_from(found, *MODELS, *(tier.title for tier in TIERS))
        elif not decision.is_local and not name.startswith(("pause", "resume")):
            assert not missing_from(found, CANDIDATE, *(tier.title for tier in TIERS))
        if name in ("override", "weight"):
            whole = 22 if size >= (80, 24) else 15
            assert not missing_from(found, *(f"check-{n}-of-the-plane"[:whole] for n in range(6)))
            assert not missing_from(found, *(f"detail {n}: {'d' * 70} end" for n in range(6)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["throttle", "throttle-several", "override", "abort"])
async def test_a_refusal_stands_in_full(name: str, size: tuple[int, int]) -> None:
    """S9: the plane's words to the last one, with what moved; the foot does not push all else away."""
    operator = Witness()
    operator.answers = refused
    async with opened(name, size, operator) as sat:
        await sat.prepare()
        assert not sat.operator.carried
        found = await scrolled(sat)
        assert sat.dialog is not None
        targets = [str(one.target) for one in sat.dialog._decision.plan.intents]
        assert not missing_from(found, *(f"{target}: {REFUSAL}" for target in targets))
        assert found.count("level:admit50%→admit10%") == len(targets)
        assert sat.dialog.query_one("#body", Panel).region.height >= (1 if size < (80, 24) else 4)
        assert not missing_from(
            await foot_of(sat), f"y is off: the dry run says no to {targets[0]}: {REFUSAL}"
        )


@pytest.mark.parametrize("size", SIZES)
async def test_every_end_of_every_target_is_told(size: tuple[int, int]) -> None:
    """S10, S11: sixteen cells, every kind of end, unknown among them, and a conflict with its differences."""
    operator = Witness()
    ends: list[Outcome] = []

    def outcomes(intent: Intent) -> list[Outcome]:
        ends.append(became(len(ends), intent))
        return [ends[-1]]

    operator.outcomes = outcomes
    async with opened("throttle-all", size, operator) as sat:
        await sat.prepare()
        await sat.type("y")
        assert len(ends) == 16
        found = await scrolled(sat)
        assert not missing_from(found, *(f"{one.intent.target}" for one in ends))
        assert not missing_from(found, *(one.text for one in ends))
        for word in ("UNKNOWN", "conflict", "refused", "pending", "applied", "not sent:"):
            assert not missing_from(found, word)
        conflicts = sum(one.kind is OutcomeKind.CONFLICT for one in ends)
        assert found.count("level:admit50%→admit10%") == conflicts > 0


@pytest.mark.parametrize("size", SIZES)
async def test_a_long_reason_is_shown_whole(size: tuple[int, int]) -> None:
    """500 characters of it: as typed, and once it was sent; the row that has the keys stays in sight."""
    async with opened("pause", size) as sat:
        await sat.to(REASON)
        sat.post(f"\x1b[200~{REASON_500}\x1b[201~")
        await sat.settle()
        assert not missing_from(squashed(await box(sat)), f"{REASON_500[-40:]}_")
        await sat.to(BUTTONS)
        found = await scrolled(sat)
        assert not missing_from(found, f"Reason {REASON_500}")
        await sat.rest()
        await sat.type("y")
        assert sat.operator.carried[0][0].reason == REASON_500
        assert not missing_from(await scrolled(sat), f"Reason {REASON_500}")


@pytest.mark.parametrize("size", SIZES)
async def test_what_somebody_else_changed_is_told_cell_by_cell(size: tuple[int, int]) -> None:
    """S8: sixteen cells at once; each is told, and the revision is the new one."""
    async with opened("throttle-all", size) as sat:
        frame = sat.app.latest
        assert frame is not None
        cells = tuple(replace(one, level=0.2, etag=f"{one.etag}-new") for one in frame.throttles)
        before = await head_of(sat)
        sat.app.post_message(FrameArrived(replace(frame, at=AT + 1, throttles=cells)))
        await sat.settle()
        assert await head_of(sat) != before
        told = [f"{one.feature}/{one.tier} level: admit 40% → admit 20%" for one in cells]
        assert not missing_from(await scrolled(sat), "CHANGED while this was open", *told)


@pytest.mark.parametrize("size", SIZES)
async def test_the_row_that_is_typed_in_is_in_sight(size: tuple[int, int]) -> None:
    """T3: however long it is, its end is on the screen, where it is typed, and the buttons are as well."""
    async with opened("override", size) as sat:
        assert sat.dialog is not None
        wanted = sat.dialog._decision.wanted_phrase
        await sat.to(PHRASE)
        await sat.type(*wanted[:-1])
        assert not missing_from(squashed(await box(sat)), f"{wanted} to go on:", f"{wanted[:-1]}_")
        await sat.to(REASON)
        text = "a spike that has a long story "
        for place in range(1, 9):
            sat.post(f"\x1b[200~{text} {place}\x1b[201~")
            await sat.settle()
            assert not missing_from(await foot_of(sat), "[ Cancel ]")
            assert f"{place}_" in sat.text
        await sat.type("\x7f", "9")
        assert "9_" in sat.text
