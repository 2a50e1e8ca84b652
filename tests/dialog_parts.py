"""Parts for tests of dialogs: a plane that says what it is told, an operator that records, a small form."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from textual import events
from textual.pilot import Pilot

from collectors.fleet import Frame, Throttle
from collectors.intents import (
    OPERATIONS,
    Ability,
    Difference,
    Intent,
    Logged,
    Outcome,
    OutcomeKind,
    PlaneFacts,
    Rehearsal,
    Target,
)
from tests.frames import AT, demo_frame
from tests.screens.test_app import Scripted, screen_text, until
from tui import guards
from tui.app import CockpitApp
from tui.dialogs.dialog import DialogScreen
from tui.dialogs.form import Choice, Entry, Field, Level, Option, Plan
from tui.format import admit
from tui.widgets.lines import Cell, Line

ALL_ABILITIES = MappingProxyType(dict.fromkeys(OPERATIONS, Ability(True)))
OPERATOR = PlaneFacts("alice@example.com", "release-admin", ALL_ABILITIES, ("pro", "plus", "team", "free"))
VIEWER = PlaneFacts(
    "vera",
    "viewer",
    {
        name: Ability(True, name in ("watch", "dry_run"), "" if name == "watch" else "needs operator")
        for name in OPERATIONS
    },
)


def operated_frame(
    level: float = 0.5, etag: str = "t-8", *, plane: PlaneFacts | None = OPERATOR, production: bool = False
) -> Frame:
    """The demo fleet with a plane, and one cell of the feature `images` as told."""
    cells = tuple(Throttle("images", tier, 1, f"{etag}{tier}", level) for tier in ("team", "free"))
    return replace(
        demo_frame(AT), plane=plane, production=production, simulated=False, mode="LIVE", throttles=cells
    )


@dataclass(frozen=True)
class CellForm:
    """Sets cells of one feature: which tiers, which level, and for how long as text."""

    frame: Frame
    tiers: tuple[str, ...] = ("free",)
    level: float = 0.3
    minutes: str = "30"
    phrase: str = ""
    is_brake: bool = False
    told: str = "delta-code serves it too"

    key = "throttle images"
    title = "Throttle · images · 2 models"
    main = "level"

    @property
    def cells(self) -> list[Throttle]:
        return [one for one in self.frame.throttles if one.tier in self.tiers]

    @property
    def revision(self) -> str:
        return f"rev {'+'.join(one.etag for one in self.cells)}"

    @property
    def fields(self) -> Sequence[Field]:
        tiers = (Option("pro", "Pro", "not open there"), Option("team", "Team"), Option("free", "Free"))
        levels = tuple(Option(str(one), f"{one:.0%}") for one in (1.0, 0.5, 0.3, 0.1))
        return (
            Choice("tiers", "Tier", tiers, self.tiers, many=True),
            Choice("level", "Admit", levels, (str(self.level),), note="now 50%"),
            Entry("for", "For", self.minutes, "minutes", "" if self.minutes.isdecimal() else "no number"),
        )

    def with_choice(self, field: str, chosen: tuple[str, ...]) -> "CellForm":
        return replace(self, tiers=chosen) if field == "tiers" else replace(self, level=float(chosen[0]))

    def with_text(self, field: str, text: str) -> "CellForm":
        return replace(self, minutes=text)

    def seen(self, frame: Frame) -> "CellForm":
        return replace(self, frame=frame)

    def plan(self) -> Plan:
        if not self.tiers:
            return Plan(problem="no tier is ticked: tick one")
        intents = tuple(
            Intent(
                "throttle.set",
                Target("throttle", cell.feature, cell.tier),
                {"level": self.level, "ttl_s": self.minutes},
                {"level": cell.level},
                cell.etag,
            )
            for cell in self.cells
        )
        summary = f"images: {admit(self.level)} for {self.minutes} min"
        return Plan(intents, summary, "", Level.ONE, self.is_brake, self.phrase)

    def facts(self, width: int, glyphs: str) -> Sequence[Line]:
        return (Line((Cell(self.told[:width]),)),)

    def forecast(self, rehearsals: Mapping[str, Rehearsal], width: int, glyphs: str) -> Sequence[Line]:
        return (Line((Cell(f"  arrivals UNKNOWN, {len(rehearsals)} dry runs"),)),)


def would_apply(intent: Intent) -> Rehearsal:
    """A dry run that says yes."""
    level = intent.arguments["level"]
    assert isinstance(level, float)
    before = intent.seen["level"]
    change = Difference("level", admit(before if isinstance(before, float) else None), admit(level))
    return Rehearsal(intent, AT, changes=(change,), etag=intent.etag or "")


@dataclass
class Recorded:
    """An operator that writes down what it is asked, and answers as it is told to.

    answers: gives the dry run of an intent
    outcomes: gives the outcomes of an intent; each waits for `go` first
    """

    answers: Callable[[Intent], Rehearsal] = would_apply
    outcomes: Callable[[Intent], Iterable[Outcome]] = lambda intent: [ended(intent)]
    rehearsed: list[tuple[Intent, ...]] = field(default_factory=list)
    carried: list[tuple[Intent, ...]] = field(default_factory=list)
    ended: int = 0
    go: asyncio.Event | None = None
    loop: asyncio.AbstractEventLoop | None = None
    is_held: bool = False

    async def rehearse(self, intents: Sequence[Intent]) -> tuple[Rehearsal, ...]:
        self.rehearsed.append(tuple(intents))
        return tuple(self.answers(one) for one in intents)

    async def carry_out(self, intents: Sequence[Intent]) -> AsyncIterator[Outcome]:
        self.carried.append(tuple(intents))
        self.loop, self.go = asyncio.get_running_loop(), asyncio.Event()
        for intent in intents:
            for outcome in self.outcomes(intent):
                if self.is_held:
                    await self.go.wait()
                yield outcome
        self.ended += 1

    def release(self) -> None:
        """Let what is held go on, from any thread."""
        assert self.loop is not None
        assert self.go is not None
        self.loop.call_soon_threadsafe(self.go.set)

    async def own_actions(self, limit: int = 20) -> tuple[Logged, ...]:
        return ()


def ended(
    intent: Intent,
    kind: OutcomeKind = OutcomeKind.APPLIED,
    text: str = "admit 30% until 14:32:11Z",
    *,
    is_final: bool = True,
) -> Outcome:
    """An outcome of an intent."""
    return Outcome(intent, kind, AT, text, is_final=is_final)


class Operated(Scripted):
    """A scripted source that can be written to."""

    def __init__(self, frames: Iterable[Frame], operator: Recorded | None) -> None:
        super().__init__(frames)
        self.operator = operator


class Opened:
    """A cockpit with one dialog on top."""

    def __init__(self, app: CockpitApp, pilot: Pilot[int], source: Operated, operator: Recorded) -> None:
        self.app, self.pilot, self.source, self.operator = app, pilot, source, operator

    @property
    def dialog(self) -> DialogScreen:
        screen = self.app.screen
        assert isinstance(screen, DialogScreen), screen
        return screen

    @property
    def text(self) -> str:
        return "\n".join(screen_text(self.app))

    async def keys(self, *keys: str) -> None:
        """Keys as a person types them: each after a second of quiet."""
        for key in keys:
            self.app.guard = calm(self.app.guard)
            await self.pilot.press(key)
            await self.pilot.pause()

    async def burst(self, text: str, apart_s: float = 0.001, start: float | None = None) -> None:
        """Keys as a terminal without bracketed paste delivers them."""
        at = self.app.clock() if start is None else start
        for place, character in enumerate(text):
            key = {"\n": "enter", " ": "space"}.get(character, character)
            event = events.Key(key, character)
            event.time = at + place * apart_s
            self.app.post_message(event)
        await self.pilot.pause()

    async def until(self, holds: Callable[[], bool]) -> None:
        await until(self.pilot, holds)

    async def ready(self) -> None:
        """Until the dry run is there and keys count."""
        await self.until(lambda: "would apply" in self.text)
        self.app.guard = calm(self.app.guard)


def calm(guard: guards.KeyGuard) -> guards.KeyGuard:
    """A guard for which all that was is long ago."""
    del guard
    return guards.KeyGuard()


@asynccontextmanager
async def opened(
    form: Callable[[Frame], CellForm] = CellForm,
    *,
    frame: Frame | None = None,
    operator: Recorded | None = None,
    size: tuple[int, int] = (120, 40),
    armed: bool = True,
    **options: object,
) -> AsyncIterator[Opened]:
    """The fleet with the dialog of `form` on top, its dry run answered."""
    frame, operator = frame or operated_frame(), operator or Recorded()
    source = Operated([frame], operator)
    app = CockpitApp(lambda: source, context="us-east", **options)  # type: ignore[arg-type]
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.latest is frame)
        if armed:
            app.arming.arm(frame)
        app.open_dialog(form(frame))
        await until(pilot, lambda: isinstance(app.screen, DialogScreen))
        found = Opened(app, pilot, source, operator)
        await found.until(lambda: "DRY RUN" in found.text and "asking the" not in found.text)
        app.guard = calm(app.guard)
        yield found
