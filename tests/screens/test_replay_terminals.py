"""A replay where a terminal has little: no colour, plain ASCII, 80 columns for eight tiers and long names."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from rich.cells import cell_len
from textual.pilot import Pilot

from collectors.fleet import Alert, Frame, Severity, Tier
from collectors.sessions import Tick, View
from tests.frames import AT, model
from tests.replay_cockpit import replaying
from tests.replay_parts import FakeReplay, recorded, timeline
from tests.screens.test_app import plain_environment, press, screen_text, until
from tui.app import CockpitApp
from tui.format import GLYPHS

__all__ = ["plain_environment"]

SCREENS = {
    "fleet": "",
    "model": "enter",
    "alerts": "A",
    "help": "?",
    "differences": "d",
    "bookmarks": "M",
    "time": "@",
    "note": "b",
}
"""Every screen of a replay, and the key from the fleet to it."""

TIERS = tuple(
    Tier(name, name)
    for name in ("企業", "無料", "enterprise-with-a-long-name", "pro", "plus", "team", "free", "batch")
)
NAMES = ("北京-大模型-推理服务-七十亿-参数", "aurora-5-" + "very-" * 12 + "long", "小", "delta-code")
NOTE = "王: キューが上限を超えた、誰が応答したか " * 4


def crowded(at: float) -> Frame:
    """Eight tiers and four models, one of them in trouble in every tier; names of two-cell glyphs."""
    waits = [(10.0 + n, 30.0, 20.0 + n) if n % 3 else None for n in range(len(TIERS))]
    objectives = {tier.name: 2.0 for tier in TIERS}
    base = recorded(1)[0]
    return replace(
        base,
        at=at,
        context="本番-東京-" + "x" * 60,
        tiers=TIERS,
        models=tuple(model(name, waits, at=at, tiers=TIERS, objectives=objectives) for name in NAMES),
        alerts=tuple(
            Alert(str(n), Severity.P1, name, TIERS[n].name, at - n, f"{name}: 待ち時間が 20 s > 2 s")
            for n, name in enumerate(NAMES)
        ),
        releases=(),
        throttles=(),
    )


def crowded_replay() -> FakeReplay:
    """A recording of that, with a note and a view of the same names."""
    frames = [crowded(AT - 60 + n) for n in range(60)]
    view = View(
        "fleet", cursor=NAMES[1], panel="fleet", dialog=f"Throttle · {NAMES[0]}", width=300, height=80
    )
    player = FakeReplay(frames, view, at=30)
    marks = (Tick(frames[29].at, "mark", NOTE),)
    player.timeline = replace(timeline(frames[0].at, frames[-1].at), marks=marks)
    return player


async def each_screen(app: CockpitApp, pilot: Pilot[int]) -> AsyncIterator[tuple[str, list[str]]]:
    """Every one of SCREENS with its lines; a mark is set, so that there are differences to tell."""
    replaying = app.replaying
    assert replaying is not None
    press(app, "m")
    await until(pilot, lambda: replaying.mark_frame is not None)
    fleet = app.screen
    for name, key in SCREENS.items():
        if key:
            app.screen.press(key)  # type: ignore[attr-defined]
            await pilot.pause()
        yield name, screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is fleet)


@pytest.mark.parametrize("glyphs", ["unicode", "ascii"])
async def test_eight_tiers_and_long_names_fit_80_columns(glyphs: str) -> None:
    """No line sticks out, no row is missing, the mode is told; an ASCII terminal gets no glyph of ours."""
    values = (getattr(GLYPHS["unicode"], name) for name in GLYPHS["unicode"].__slots__)
    ours = {glyph for value in values for glyph in value if not glyph.isascii()}
    async with replaying(crowded_replay(), (80, 24), glyphs=glyphs) as (app, pilot):
        async for name, lines in each_screen(app, pilot):
            assert len(lines) == 24, name
            assert [line for line in lines if cell_len(line) > 80] == [], name
            told = next(line for line in lines if line.startswith("REPLAY"))
            for words in ("paused", "14:01:41Z", "-00:00:29", "WRITES OFF"):
                assert words in told, name
            assert glyphs == "unicode" or not ours & set("".join(lines)), name


async def test_without_colour_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """D2: the same characters on the same places, none with a colour; what is selected is still reversed."""

    async def drawn(**environment: str) -> dict[str, tuple[list[str], set[str]]]:
        player, found = FakeReplay(recorded(), at=200), {}
        with monkeypatch.context() as patch:
            for variable, value in environment.items():
                patch.setenv(variable, value)
            app = CockpitApp(lambda: player, context="incident", is_replay=True)
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: app.latest is not None)
            async for name, lines in each_screen(app, pilot):
                found[name] = (lines, colours(app))
        return found

    with_colour, without = await drawn(), await drawn(NO_COLOR="1")
    for name, (lines, some) in with_colour.items():
        assert without[name] == (lines, set()), name
        assert some, name


def colours(app: CockpitApp) -> set[str]:
    """Names of the colours on the screen; the word of the mode is told apart without any."""
    segments = [one for strip in app.screen._compositor.render_strips() for one in strip]
    modes = [one.style for one in segments if "REPLAY" in one.text]
    assert any(style is not None and style.reverse for style in modes)
    styles = [one.style for one in segments if one.style is not None]
    used = [colour for style in styles for colour in (style.color, style.bgcolor) if colour is not None]
    return {colour.name for colour in used if not colour.is_default}
