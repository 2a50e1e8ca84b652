"""The whole application on scripted sources: every size, every key, trouble, and hostile text."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from rich.cells import cell_len
from syrupy.assertion import SnapshotAssertion
from textual.pilot import Pilot

from collectors.fleet import Frame, Model, SourceHealth, SourceState
from tests.cluster_frames import clusters_frame
from tests.frames import AT, bare_frame, big_frame, demo_frame, healthy_frame, worst_frame
from tui import feed
from tui.actions import ACTIONS
from tui.app import CockpitApp
from tui.dialogs.help import HelpScreen
from tui.keymap import DEFAULT_KEYS
from tui.screens.base import CockpitScreen
from tui.screens.fleet import FleetScreen
from tui.screens.model import ModelScreen

SIZES = [(80, 24), (120, 40), (200, 60), (60, 18), (300, 80)]
ODD_SIZES = [(2, 2), (10, 3), (20, 5), (79, 24), (80, 23), (81, 25), (119, 31), (279, 50), (500, 20)]


class Scripted:
    """Yields what it is given as fast as it is taken, then stays silent, or does as told."""

    def __init__(self, frames: Iterable[Frame], then: Callable[[], None] | None = None) -> None:
        self.script, self.then = list(frames), then
        self.more: asyncio.Queue[Frame] = asyncio.Queue()
        self.is_closed = threading.Event()
        self.loop: asyncio.AbstractEventLoop | None = None

    async def frames(self) -> AsyncIterator[Frame]:
        self.loop = asyncio.get_running_loop()
        for frame in self.script:
            yield frame
        if self.then is not None:
            self.then()
            return
        while True:
            yield await self.more.get()

    def send(self, frame: Frame) -> None:
        """One more frame, from any thread."""
        assert self.loop is not None
        self.loop.call_soon_threadsafe(self.more.put_nowait, frame)

    async def aclose(self) -> None:
        self.is_closed.set()


def screen_text(app: CockpitApp) -> list[str]:
    """What the terminal shows, line by line, without colours."""
    strips = app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip).rstrip() for strip in strips]


def press(app: CockpitApp, key: str) -> None:
    """A key by its name in the keymap, without the terminal's way to it."""
    assert isinstance(app.screen, CockpitScreen)
    app.screen.press(key)


async def until(pilot: Pilot[int], holds: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a condition; fail with the screen when it never holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "\n".join(screen_text(pilot.app))  # type: ignore[arg-type]
        await pilot.pause(0.01)
    await pilot.pause()


@asynccontextmanager
async def cockpit(
    frames: Sequence[Frame], size: tuple[int, int] = (120, 40), **options: object
) -> AsyncIterator[tuple[CockpitApp, Pilot[int], Scripted]]:
    """The application with all of `frames` drawn."""
    source = Scripted(frames)
    app = CockpitApp(lambda: source, context="us-east", **options)  # type: ignore[arg-type]
    async with app.run_test(size=size, notifications=True, tooltips=True) as pilot:
        await until(pilot, lambda: app.latest is frames[-1])
        yield app, pilot, source


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The developer's own settings do not reach the screen."""
    for name in ("NO_COLOR", "TEXTUAL_THEME", "TEXTUAL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(feed, "RETRY_S", (0.01,))


@pytest.fixture(autouse=True)
def still_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ages do not depend on how long a test takes: the screen's time is its frame's."""
    monkeypatch.setattr(CockpitApp, "now", property(lambda self: self.latest.at if self.latest else AT))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_fleet_at_every_tier(size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    """T4: the fleet screen as it is at each size, character by character, and no wider."""
    async with cockpit([demo_frame()], size) as (app, _, _):
        lines = screen_text(app)
        assert len(lines) == size[1]
        assert max(map(cell_len, lines)) <= size[0]
        assert "\n".join(lines) == snapshot


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_model_page_at_every_tier(size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    """The page of one model as it is at each size."""
    async with cockpit([demo_frame()], size) as (app, pilot, _):
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ModelScreen))
        assert "\n".join(screen_text(app)) == snapshot


@pytest.mark.parametrize(
    "frame", [bare_frame, healthy_frame, worst_frame, clusters_frame], ids=lambda make: make.__name__
)
async def test_other_fleets_at_the_usual_size(
    frame: Callable[[], Frame], snapshot: SnapshotAssertion
) -> None:
    """A first day without tiers or plane, a healthy fleet, and everything wrong at once."""
    async with cockpit([frame()]) as (app, _, _):
        assert "\n".join(screen_text(app)) == snapshot


@pytest.mark.parametrize("size", SIZES)
async def test_a_frame_with_nothing_in_it_is_drawn(size: tuple[int, int]) -> None:
    """The first frames of a real cluster: no model, no tier, no host, a source that has not answered."""
    connecting = SourceHealth("prometheus", "prometheus", SourceState.CONNECTING)
    empty = Frame(at=1.0, tick=1, context="direct", tiers=(), models=(), sources=(connecting,))
    async with cockpit([empty], size=size) as (app, pilot, _):
        for key in ("A", "escape", "question_mark", "escape", "exclamation_mark", "enter"):
            await pilot.press(key)
            await pilot.pause()
        assert app.return_code is None
        assert all(len(line) <= size[0] for line in screen_text(app))


async def test_ascii_draws_ascii(snapshot: SnapshotAssertion) -> None:
    """Where glyphs may be two cells wide, the whole set switches: no other character is left."""
    async with cockpit([demo_frame()], glyphs="ascii") as (app, pilot, _):
        lines = screen_text(app)
        assert all(line.isascii() for line in lines), [line for line in lines if not line.isascii()]
        for key in ("enter", "?"):
            await pilot.press(key)
            await pilot.pause()
            lines = screen_text(app)
            assert all(line.isascii() for line in lines), [line for line in lines if not line.isascii()]


@pytest.mark.parametrize("size", [(1, 1), (40, 9), (500, 20)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_any_size_starts_and_fits(size: tuple[int, int]) -> None:
    """T1: it never refuses to start, and nothing sticks out, at sizes nobody planned for."""
    async with cockpit([demo_frame(), worst_frame()], size) as (app, pilot, _):
        for key in ("j", "enter", "G", "escape", "?", "escape", "tab", "/", "escape"):
            press(app, key)
            await pilot.pause()
            lines = screen_text(app)
            assert len(lines) == size[1]
            assert max(map(cell_len, lines)) <= size[0]


@pytest.mark.parametrize("opener", ["", "enter", "?"], ids=["fleet", "model", "help"])
async def test_any_resize_fits(opener: str) -> None:
    """T3: each screen follows the terminal to sizes nobody planned for."""
    async with cockpit([demo_frame(), worst_frame()]) as (app, pilot, _):
        if opener:
            press(app, opener)
        for width, height in ODD_SIZES:
            await pilot.resize_terminal(width, height)
            await pilot.pause()
            lines = screen_text(app)
            assert len(lines) == height
            assert max(map(cell_len, lines)) <= width


@pytest.mark.parametrize("opener", ["", "enter", "?"], ids=["fleet", "model", "help"])
async def test_every_key_answers(opener: str) -> None:
    """D16: on each screen, each bound key does something or says why not; none ends in an error."""
    async with cockpit([demo_frame()]) as (app, pilot, _):
        home = app.screen
        for action, key in {action: key for key, action in DEFAULT_KEYS.items()}.items():
            if action in ("quit", "quit.ask"):
                continue
            while app.screen is not home:
                await app.pop_screen()
            if opener:
                press(app, opener)
                await pilot.pause()
            press(app, key)
            await pilot.pause()
            if ACTIONS[action].missing:
                assert "not in this version" in "\n".join(screen_text(app)[-2:]), key
            press(app, "escape")
            press(app, "escape")
        assert app.return_code is None


async def test_an_unbound_key_says_so() -> None:
    """D16 for keys that nothing is bound to."""
    async with cockpit([demo_frame()]) as (app, pilot, _):
        await pilot.press("y")
        assert "y does nothing here; ? lists the keys" in screen_text(app)[-2]
        await pilot.press("ctrl+q")
        await pilot.pause()
        assert "ctrl+q does nothing here" in screen_text(app)[-2]
        assert app.return_code is None


async def test_ctrl_c_twice_quits() -> None:
    """The first press says what the second does."""
    async with cockpit([demo_frame()]) as (app, pilot, source):
        await pilot.press("ctrl+c")
        assert "ctrl-c again quits" in screen_text(app)[-2]
        assert app.return_code is None
        await pilot.press("ctrl+c")
        await pilot.pause()
    assert app.return_code == 0
    assert app.return_value == 0
    assert source.is_closed.is_set()


async def test_q_quits_and_closes_the_source() -> None:
    """Exit status 0, source closed, thread gone."""
    before = set(threading.enumerate())
    async with cockpit([demo_frame()]) as (app, pilot, source):
        await pilot.press("q")
        end = time.monotonic() + 60
        while app.return_code is None and time.monotonic() < end:
            await asyncio.sleep(0.01)
    assert app.return_code == 0
    assert source.is_closed.wait(60)
    own = [t for t in set(threading.enumerate()) - before if t.name == "tidegate-feed"]
    for thread in own:
        thread.join(60)
        assert not thread.is_alive()


async def test_it_ends_after_the_seconds_it_was_given() -> None:
    """`seconds` quits by itself, with status 0."""
    app = CockpitApp(lambda: Scripted([demo_frame()]), seconds=0.05)
    async with app.run_test():
        end = time.monotonic() + 60
        while app.return_code is None and time.monotonic() < end:
            await asyncio.sleep(0.01)
    assert app.return_code == 0


async def test_before_the_first_frame_the_screen_says_what_it_does() -> None:
    """Skeleton, context, connecting; keys that need a frame say that they wait for one."""
    hold = threading.Event()

    def connect() -> Scripted:
        hold.wait(60)
        return Scripted([demo_frame()])

    app = CockpitApp(connect, context="us-east")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: any("connecting to us-east" in line for line in screen_text(app)))
        for key in ("j", "enter", "slash", "n", "s", "right_square_bracket", "tab", "G", "escape"):
            await pilot.press(key)
            assert any("waiting for the first frame" in line for line in screen_text(app)), key
        await pilot.press("f", "ctrl+l", "ctrl+r", "question_mark")
        assert isinstance(app.screen, HelpScreen)
        await pilot.press("escape")
        hold.set()
        await until(pilot, lambda: "aurora-5" in "\n".join(screen_text(app)))
        assert "connecting" not in "\n".join(screen_text(app))


async def test_a_source_that_cannot_connect_is_told_and_tried_again() -> None:
    """Never a traceback: a sentence with what happens next; then the fleet, once it works."""
    is_up = threading.Event()

    def connect() -> Scripted:
        if not is_up.is_set():
            raise ConnectionRefusedError(111, "Connection refused [/nope] \x1b[31m")
        return Scripted([demo_frame()])

    app = CockpitApp(connect, context="us-east")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "Connection refused [/nope]" in "\n".join(screen_text(app)))
        assert "q quits" in "\n".join(screen_text(app))
        is_up.set()
        await until(pilot, lambda: "aurora-5" in "\n".join(screen_text(app)))
        assert "refused" not in "\n".join(screen_text(app))


async def test_a_source_that_raises_keeps_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last frame stays, with the sentence below it."""
    monkeypatch.setattr(feed, "RETRY_S", (60.0,))

    def fail() -> None:
        raise ValueError("bad answer")

    app = CockpitApp(lambda: Scripted([demo_frame()], fail))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "ValueError: bad answer. Trying again" in "\n".join(screen_text(app)))
        assert "delta-code" in "\n".join(screen_text(app))


async def test_a_source_that_ends_is_told() -> None:
    """Nothing newer will come, and how to ask again."""
    app = CockpitApp(lambda: Scripted([demo_frame()], lambda: None))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "The source has ended" in "\n".join(screen_text(app)))
        assert "delta-code" in "\n".join(screen_text(app))


async def test_silence_ages_and_then_hides_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """D10: with no new frame, values turn stale, then go; never frozen as if they were true."""
    late = 0.0
    monkeypatch.setattr(
        CockpitApp, "now", property(lambda self: (self.latest.at if self.latest else AT) + late)
    )
    async with cockpit([demo_frame()], (120, 40)) as (app, pilot, _):
        assert "≈14.9" in "\n".join(screen_text(app))
        late = 15
        app.screen.draw()  # type: ignore[attr-defined]
        await pilot.pause()
        assert "~14.9" in "\n".join(screen_text(app))
        late = 60
        app.screen.draw()  # type: ignore[attr-defined]
        await pilot.pause()
        table = "\n".join(screen_text(app)[:12])
        assert "14.9" not in table
        assert " 96%" not in table


async def test_freeze_holds_values_and_counts_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """`f`: newer frames do not show, the badge counts, thawing shows the newest."""
    async with cockpit([demo_frame()]) as (app, pilot, source):
        await pilot.press("f")
        later = healthy_frame(AT + 12)
        source.send(later)
        await until(pilot, lambda: app.latest is later)
        app.screen.draw()  # type: ignore[attr-defined]
        await pilot.pause()
        text = "\n".join(screen_text(app))
        assert "FROZEN 10s" in text
        assert "≈14.9" in text
        await pilot.press("f")
        await pilot.pause()
        text = "\n".join(screen_text(app))
        assert "FROZEN" not in text
        assert "delta-code" not in text


async def test_filter_is_live_and_counted() -> None:
    """Typing narrows the table at once; the status line says how many of how many; esc clears."""
    async with cockpit([demo_frame()]) as (app, pilot, _):
        await pilot.press("slash", "a", "u", "r")
        assert isinstance(app.screen, FleetScreen)
        text = "\n".join(screen_text(app))
        assert "/aur 2 of 7" in text
        assert "/aur_" in text
        assert [line.id for line in app.screen.panel("fleet").lines if line.id] == [
            "aurora-5",
            "aurora-5-mini",
        ]
        await pilot.press("backspace", "enter")
        assert "/au 2 of 7" in "\n".join(screen_text(app))
        await pilot.press("j")
        assert isinstance(app.screen, FleetScreen)
        await pilot.press("escape")
        assert "embed-2" in "\n".join(screen_text(app))
        assert " of 7" not in screen_text(app)[-1].replace("of 7 models", "")


async def test_letters_in_the_filter_are_text() -> None:
    """S3: while the field is open, no letter is a command, and pasted text is only text (S5)."""
    async with cockpit([demo_frame()]) as (app, pilot, _):
        await pilot.press("slash", "q", "f", "question_mark")
        assert app.return_code is None
        assert app.frozen is None
        assert "/qf?_" in "\n".join(screen_text(app))
        assert "no model matches the filter" in "\n".join(screen_text(app))


async def test_resize_keeps_cursor_and_filter() -> None:
    """T3: the selected model stays selected whatever the terminal becomes."""
    async with cockpit([big_frame(50)], (120, 40)) as (app, pilot, _):
        await pilot.press(*["j"] * 30)
        assert isinstance(app.screen, FleetScreen)
        chosen = app.screen.panel("fleet").cursor_id
        assert chosen == "model-030"
        for size in ((60, 18), (300, 80), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            assert app.screen.panel("fleet").cursor_id == chosen
            assert any(chosen in line for line in screen_text(app)), size


async def test_the_cursor_follows_the_model_not_the_row() -> None:
    """D12: rows that change places do not change what is selected."""
    first = demo_frame()
    swapped = tuple(reversed(first.models))
    async with cockpit([first]) as (app, pilot, source):
        await pilot.press("j", "j", "s")
        assert isinstance(app.screen, FleetScreen)
        chosen = app.screen.panel("fleet").cursor_id
        later = replace(first, at=AT + 5, models=swapped)
        source.send(later)
        await until(pilot, lambda: app.latest is later)
        assert app.screen.panel("fleet").cursor_id == chosen


async def test_no_row_moves_right_after_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """D12: within two seconds of a key a frame does not reorder the table; later it does."""

    def busy(model: Model, share: float) -> Model:
        one = model.readings["busy_ratio"]
        return replace(model, readings={**model.readings, "busy_ratio": replace(one, value=share)})

    def order(app: CockpitApp) -> list[str]:
        assert isinstance(app.screen, FleetScreen)
        return [line.id for line in app.screen.panel("fleet").lines if line.id]

    first = replace(demo_frame(), releases=(), throttles=())
    turned = replace(first, models=tuple(busy(m, n / 10) for n, m in enumerate(first.models)), at=AT + 1)
    async with cockpit([first]) as (app, pilot, source):
        while "sorted by busy" not in screen_text(app)[-2]:
            await pilot.press("s")
        before = order(app)
        source.send(turned)
        await until(pilot, lambda: app.latest is turned)
        assert order(app) == before
        app.screen._key_at -= 3  # type: ignore[attr-defined]
        app.screen.draw()  # type: ignore[attr-defined]
        assert order(app) == [m.name for m in reversed(turned.models)]


async def test_enter_on_an_alert_opens_its_model_and_esc_returns() -> None:
    """D6: from the alert to the model and tier in one key, and back to the same row."""
    async with cockpit([demo_frame()]) as (app, pilot, _):
        await pilot.press("tab", "j")
        assert isinstance(app.screen, FleetScreen)
        chosen = app.screen.panel("alerts").cursor_id
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ModelScreen))
        lines = screen_text(app)
        assert "delta-code" in lines[0]
        assert next(line for line in lines if line.startswith("›")).split()[1] == "Team"
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, FleetScreen))
        assert app.screen.panel("alerts").cursor_id == chosen


async def test_next_mark_goes_round_the_rows_that_have_one() -> None:
    """`n` and `N` visit what needs a look, and say so when nothing does."""
    async with cockpit([demo_frame()]) as (app, pilot, _):
        assert isinstance(app.screen, FleetScreen)
        seen = []
        for key in ("n", "n", "n", "N"):
            await pilot.press(key)
            seen.append(app.screen.panel("fleet").cursor_id)
        assert seen[:3] == ["delta-code", "fable-voice", "aurora-5"]
        assert seen[3] == "fable-voice"
    async with cockpit([healthy_frame()]) as (app, pilot, _):
        await pilot.press("n")
        assert "no row has a mark" in screen_text(app)[-2]


async def test_the_mouse_selects_opens_and_never_more() -> None:
    """S16: a click selects, a click on the selected row opens its page."""
    async with cockpit([demo_frame()]) as (app, pilot, _):
        row = next(n for n, line in enumerate(screen_text(app)) if "delta-code" in line)
        await pilot.click(offset=(20, row))
        assert isinstance(app.screen, FleetScreen)
        assert app.screen.panel("fleet").cursor_id == "delta-code"
        await pilot.click(offset=(20, row))
        await until(pilot, lambda: isinstance(app.screen, ModelScreen))
        await pilot.press("escape")
        row = next(n for n, line in enumerate(screen_text(app)) if "queue p99 ≈3.8" in line)
        await pilot.click(offset=(20, row))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ModelScreen))
        assert "aurora-5" in screen_text(app)[0]


async def test_a_model_that_left_is_said_to_be_gone() -> None:
    """Its page says so; esc goes back to what is there."""
    async with cockpit([demo_frame()]) as (app, pilot, source):
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ModelScreen))
        later = replace(demo_frame(AT + 1), models=())
        source.send(later)
        await until(pilot, lambda: app.latest is later)
        assert "aurora-5: not in the fleet any more; esc goes back" in screen_text(app)[0]
        await pilot.press("escape")
        await pilot.pause()
        assert "no model seen yet" in "\n".join(screen_text(app))


async def test_a_replaced_message_loses_no_history() -> None:
    """Frames faster than the screen: history has each of them, and every event."""
    base = demo_frame()
    frames = [replace(base, at=AT + n, tick=n) for n in range(50)]
    async with cockpit(frames) as (app, _, _):
        assert len(app.history.events) == 50 * len(base.events)


async def test_a_stock_theme_works() -> None:
    """Any of Textual's themes has every role: switching cannot break the screen."""
    async with cockpit([demo_frame()], theme="nord") as (app, pilot, _):
        app.theme = "textual-light"
        await pilot.pause()
        assert "delta-code" in "\n".join(screen_text(app))
