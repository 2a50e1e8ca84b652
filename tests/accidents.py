"""Accidents at a cockpit: keys, pastes and clicks made up from a seed, how they arrive, and who judges them.

Bytes go through the parser that reads the terminal, into the application on top of a real screen. Only two
things are not real: the clock, which stands until a key lets time pass, so that no test waits; and the
operator behind the link, which writes down what it is asked.
"""

import asyncio
import random
import string
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from unittest.mock import patch

from textual._xterm_parser import XTermParser
from textual.message import Message
from textual.pilot import Pilot

from collectors.fleet import Frame
from collectors.intents import Difference, Intent, Logged, Rehearsal
from tests.accident_places import PAUSED, PLACES, UNDONE, Place, accident_frame
from tests.dialog_parts import Recorded
from tests.frames import AT
from tests.screens.test_app import Scripted, screen_text
from tui import guards
from tui.app import CockpitApp
from tui.dialogs.decision import missing
from tui.dialogs.dialog import DialogScreen
from tui.dialogs.drawing import BUTTONS, PHRASE, rows_of
from tui.dialogs.form import Level, Plan
from tui.dialogs.undo import UndoScreen
from tui.link import Link
from tui.messages import FrameArrived
from tui.screens.fleet import FleetScreen

FAST_S = 0.009
"""Longest gap within a paste that is read as keys. `y` waits 10 ms for a key behind it."""

SLOW_S = guards.SETTLE_S - 0.01
"""Longest gap within what trickles in: a paste over a slow line, a key that is held down."""


def would_change(intent: Intent) -> Rehearsal:
    """A dry run that says yes to anything."""
    return Rehearsal(intent, AT, changes=(Difference("it", "before", "after"),), etag=intent.etag or "")


class Witness(Recorded):
    """An operator that records, and that has a log to undo from."""

    def __init__(self) -> None:
        super().__init__(answers=would_change)

    async def own_actions(self, limit: int = 20) -> tuple[Logged, ...]:
        return (UNDONE, PAUSED)


class DirectLink(Link):
    """Asks the operator on the screen's own loop: the feed's thread would have to be waited for."""

    def __init__(self, operator: Recorded, app: CockpitApp) -> None:
        super().__init__(app._feed, app._tell_outcome)
        self._operator = operator

    async def _ask(self, do):  # type: ignore[no-untyped-def,override]  # as the link's own, by what it awaits
        return await do(self._operator)


class LastingApp(CockpitApp):
    """A cockpit that is not left: to quit is no write, and would only end the search for one."""

    quits = 0

    def exit(self, *arguments: object, **options: object) -> None:
        self.quits += 1

    def _suspend(self) -> None:
        pass


@dataclass
class Tally:
    """What came of a number of keys.

    confirmed: decisions that were made as they are meant to be made; accidents: writes that nobody meant,
    each with what was typed before it
    """

    keys: int = 0
    confirmed: int = 0
    accidents: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Count it in."""
        self.keys += other.keys
        self.confirmed += other.confirmed
        self.accidents += other.accidents


class Sitting:
    """Somebody at a cockpit, their hands on the keyboard."""

    def __init__(self, app: LastingApp, pilot: Pilot[int], operator: Witness, armed: bool) -> None:
        self.app, self.pilot, self.operator, self.armed = app, pilot, operator, armed
        self.now = time.monotonic() + 100.0
        self.last_at = self._ticked_at = self.now
        self.typed: list[str] = []
        self.prepared: DialogScreen | None = None
        self._parser = XTermParser()
        # A key that is being handled was typed at its own time, not at the end of its burst.
        app.clock = lambda: max(self.now, app.guard.last_at)

    @property
    def dialog(self) -> DialogScreen | None:
        """The dialog on top."""
        screen = self.app.screen
        return screen if isinstance(screen, DialogScreen) else None

    @property
    def text(self) -> str:
        """What the terminal shows."""
        return "\n".join(screen_text(self.app))

    @property
    def is_harmed(self) -> bool:
        """Whether writes were turned on though nobody was to turn them on."""
        return not self.armed and self.app.is_armed

    def post(self, bytes_of: str, apart_s: float = 0.0) -> None:
        """What a terminal sends, read in one piece: each event `apart_s` after the one before."""
        if len(bytes_of) == 2 and bytes_of[0] == "\x1b":
            # The parser would wait for what might follow an escape.
            found: Iterable[Message] = self._parser._sequence_to_key_events(bytes_of[1], alt=True)
        else:
            found = self._parser.feed(bytes_of)
        for event in found:
            event.time = self.last_at = self.now
            self.app.post_message(event)
            self.now += apart_s
        self.now = self.last_at

    async def settle(self) -> None:
        """Until all that was posted has been handled, screens that were opened are up, and their questions
        answered."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            screen = self.app.screen
            await self._drained()
            if self.app.screen is not screen or not screen.is_mounted:
                await self.pilot.pause()
            elif self.app.link.in_flight or _is_waiting(screen):
                await asyncio.sleep(0.0005)
            else:
                return
        raise AssertionError(f"it never comes to rest: {self.app.screen}")

    async def _drained(self) -> None:
        """Behind what is in the application's queue now, and then in its screen's."""
        done = asyncio.Event()
        screen = self.app.screen
        self.app.call_later(lambda: screen.call_later(done.set) or done.set())
        await asyncio.wait_for(done.wait(), 30)

    async def type(self, *keys: str, quiet_s: float = 1.0) -> None:
        """Bytes of keys as a person types them, each after some quiet, with a tick of the dialog between."""
        for key in keys:
            await self.wait(quiet_s)
            self.post(key)
            self.typed.append(key)
            await self.settle()

    async def wait(self, seconds: float) -> None:
        """Let time pass; a dialog sees that it has."""
        self.now += seconds
        if self.dialog is not None and self.now - self._ticked_at >= 1.0:
            self._ticked_at = self.now
            self.dialog._tick()
            await self.settle()

    def change(self) -> None:
        """Somebody else changes everything."""
        other = 9 if self.app.latest is accident_frame(8) else 8
        self.app.post_message(FrameArrived(accident_frame(other)))

    async def rest(self) -> None:
        """Quiet for as long as guards may last, then writes on or off as this sitting has them."""
        self.now += 2 * guards.SETTLE_S
        frame = self.app.latest
        assert frame is not None
        if self.armed and not self.app.is_armed:
            self.app.arming.arm(frame)
            # As W does: whoever sees it armed sees what is on now.
            self.app.draw_all()
            await self.settle()
        if not self.armed:
            self.app.arming.disarm()

    async def go(self, place: Place) -> None:
        """To the place, from wherever they are."""
        while not isinstance(self.app.screen, FleetScreen):
            await self.app.pop_screen()
        frame = self.app.latest
        assert frame is not None
        if place.form is not None:
            form = place.form(frame)
            assert not isinstance(form, str), f"{place.name}: {form}"
            self.app.open_dialog(form)
        elif place.arms:
            self.app.arming.disarm()
            self.app._arm()
        await self.pilot.pause()
        await self.settle()
        await self.rest()
        if place.keys:
            await self.type(*(BYTES.get(key, key) for key in place.keys))

    async def prepare(self) -> None:
        """All that the dialog on top asks for, but not the `y`."""
        dialog = self.dialog
        if dialog is None or dialog._decision.sent:
            return
        self.prepared = dialog
        await self.to(BUTTONS)
        if not dialog._decision.is_local:
            await self.type("1")
        if not dialog._decision.is_typed:
            await self.to(PHRASE)
            wanted = dialog._decision.wanted_phrase
            await self.type(*["\x7f"] * len(dialog._decision.phrase), *wanted)
        await self.rest()

    async def to(self, row: str) -> None:
        """tab until a row has the keys."""
        for _ in range(20):
            if self.dialog is None or self.dialog._focus == row:
                return
            await self.type("\t")

    def offer(self) -> Plan | None:
        """What `y` would do now, by what the screen says: only where it says that `y` applies, and no phrase
        is wanted but one that was typed."""
        dialog = self.dialog
        if dialog is None or dialog._focus != BUTTONS or missing(dialog._needs()):
            return None
        says = any("y apply" in line and "y apply:" not in line for line in self.text.splitlines())
        return dialog._decision.plan if says and (self.app.is_armed or dialog._decision.is_local) else None


BYTES: Mapping[str, str] = MappingProxyType({"enter": "\r", "escape": "\x1b[27u", "tab": "\t"})

PRINTABLE = [character for character in string.printable if character.isprintable()]
HOT = [*"yyyY12345 WtapBuqhjk?lt", "ä", "京"]
MOVES = ("\t", "\x1b[Z", "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x7f")
WORDS = ("yes", "y\n", "1y", "yyyyyyyy", "y y y y y ", "Wt1y", "kubectl get pods -A\ny\n", "\r\ry\r")


def places(armed: bool) -> tuple[Place, ...]:
    """All there are; where writes are on already, there is no dialog that turns them on."""
    return tuple(place for place in PLACES if not (armed and place.arms))


@asynccontextmanager
async def sitting(
    armed: bool,
    size: tuple[int, int] = (80, 24),
    *,
    frame: Frame | None = None,
    operator: "Witness | None" = None,
    **options: object,
) -> AsyncIterator[Sitting]:
    """A cockpit on the accident frame, with writes on or off; its dialogs ask for dry runs at once."""
    operator, frame = operator or Witness(), frame or accident_frame(8)
    app = LastingApp(lambda: Scripted([frame]), context="us-east", **options)  # type: ignore[arg-type]
    app.link = DirectLink(operator, app)
    rehearse = DialogScreen._rehearse
    at_once = patch.object(DialogScreen, "_rehearse", lambda dialog, wait_s: rehearse(dialog, 0.0))
    with at_once:
        async with app.run_test(size=size) as pilot:
            while app.latest is not frame:
                await pilot.pause(0.01)
            sat = Sitting(app, pilot, operator, armed)
            await sat.rest()
            yield sat


def paste(rng: random.Random, longest: int, phrase: str = "") -> str:
    """Something that was in a clipboard: noise, lines of a shell, what a dialog asks for."""
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice([*WORDS, f"{phrase or 1}y", f"1{phrase}\ty", f"y{phrase}!", f"{phrase}\r\ry"])
    letters = [*PRINTABLE, "\n", "\r", "\t"] if kind < 3 else [*HOT, "\r"]
    return "".join(rng.choices(letters, k=rng.randint(2, max(2, longest))))


async def accidents(sat: Sitting, place: Place, seed: int, keys: int) -> Tally:
    """So many keys and pastes at one place, by a seed; what they confirmed, and what they did wrong.

    A place that was left is gone back to, so that all the keys are typed there. A screen is not gone back
    to before the next paste or thirty keys: what it opens is where its keys lead.
    """
    rng = random.Random(f"{seed} {place.name} {sat.armed}")
    tally = Tally()
    await sat.go(place)
    home, stay = sat.app.screen, 0
    while tally.keys < keys:
        stay -= 1
        lost = sat.app.screen is not home
        if (lost and (place.is_dialog or stay < 0)) or (sat.dialog is not None and sat.dialog._decision.sent):
            await sat.go(place)
            home, stay = sat.app.screen, 30
        await sat.rest()
        kind = rng.choices(("type", "burst", "trickle", "paste", "else"), (60, 12, 8, 12, 8))[0]
        if rng.random() < 0.4:
            await sat.prepare()
        if kind == "type":
            tally.add(await typing(sat, rng, rng.randint(1, 8)))
        else:
            tally.add(await _too_fast(sat, rng, kind, keys - tally.keys))
    for number, text in enumerate(tally.accidents):
        tally.accidents[number] = f"{place.name}, {'armed' if sat.armed else 'unarmed'}, seed {seed}: {text}"
    return tally


async def typing(sat: Sitting, rng: random.Random, number: int) -> Tally:
    """Keys at a person's pace. A decision counts as confirmed only if the screen offered it to `y`."""
    tally = Tally()
    for _ in range(number):
        key = rng.choice(rng.choices((PRINTABLE, HOT, MOVES), (45, 40, 15))[0])
        quiet_s = rng.choice((0.05, 0.2, 0.45, 1.2))
        dialog = sat.dialog
        await sat.wait(quiet_s)
        gone_s = sat.now - sat.last_at
        is_calm = gone_s >= (guards.REPEAT_S if sat.typed[-1:] == ["y"] else guards.SETTLE_S)
        offer = sat.offer() if key == "y" and is_calm else None
        before = len(sat.operator.carried)
        await sat.type(key, quiet_s=0.0)
        tally.keys += 1
        is_typed = dialog is not None and dialog is sat.prepared
        for sent in sat.operator.carried[before:]:
            is_one = len(sat.operator.carried) == before + 1
            if offer is not None and is_one and _is_meant(sent, offer, is_typed):
                tally.confirmed += 1
            else:
                tally.accidents.append(_story(sat, f"{key!r} sent {[str(one.target) for one in sent]}"))
        if sat.is_harmed and offer is not None and is_typed:
            tally.confirmed += 1
            sat.app.arming.disarm()
        elif sat.is_harmed:
            tally.accidents.append(_story(sat, f"{key!r} turned writes on"))
            sat.app.arming.disarm()
    return tally


def _is_meant(sent: Sequence[Intent], offer: Plan, is_typed: bool) -> bool:
    """Whether what left is what was offered, at a level that a key alone may confirm, with a reason.

    is_typed: the phrase that a higher level asks for was typed on purpose
    """
    bare = tuple(replace(one, reason="", key="", decision_id="") for one in sent)
    is_light = not offer.phrase and (offer.is_brake or offer.level is Level.ONE)
    return bare == offer.intents and (is_light or is_typed) and all(len(one.reason) >= 3 for one in sent)


async def _too_fast(sat: Sitting, rng: random.Random, kind: str, left: int) -> Tally:
    """What no person types: never confirms anything, whatever it is and however much is ready for it."""
    before, tally = len(sat.operator.carried), Tally(keys=1)
    longest = rng.choice((8, 60, max(left, 2)))
    phrase = sat.dialog._decision.wanted_phrase if sat.dialog is not None else "images"
    text = paste(rng, longest, phrase)
    if kind == "burst":
        sat.post(text, rng.choice((0.0, 0.001, FAST_S)))
        tally.keys = len(text)
    elif kind == "trickle":
        text = text.lstrip("y")[:20] or "x"
        tally.keys = len(text)
        for place, key in enumerate(text):
            sat.now += rng.uniform(0.011, SLOW_S) if place else 0.0
            sat.post(key)
            await sat.settle()
    elif kind == "paste":
        sat.post(f"\x1b[200~{text}\x1b[201~")
        tally.keys = len(text)
    else:
        text = rng.choice(("\x1b[Iy", "frame"))
        if text == "frame":
            sat.change()
        # The dialog that arms is about no revision: to it a frame is nothing new.
        if text != "frame" or sat.dialog is None or not sat.dialog._decision.is_local:
            sat.post("y" if text == "frame" else text)
    sat.typed.append(f"<{kind}: {text!r}>")
    await sat.settle()
    if len(sat.operator.carried) > before:
        tally.accidents.append(_story(sat, f"a {kind} sent {len(sat.operator.carried) - before} decisions"))
    if sat.is_harmed:
        tally.accidents.append(_story(sat, f"a {kind} turned writes on"))
    return tally


def _story(sat: Sitting, what: str) -> str:
    return f"{what}, after {' '.join(map(repr, sat.typed[-12:]))}, on {sat.app.screen}"


def _is_waiting(screen: object) -> bool:
    """Whether a screen has asked for something, or holds a `y` back."""
    if isinstance(screen, UndoScreen):
        return bool(screen._instead)
    return isinstance(screen, DialogScreen) and (screen._asking.is_under_way or screen._confirming.is_held)


CONTROL = tuple(map(chr, (*range(0x1B), *range(0x1C, 0x20))))
ENTERS = ("\r", "\n", "\x1b\r", "\x1b[13u", "\x1b[13;2u", "\x1b[13;5u", "\x1bOM", "\x1b[57414u")
FUNCTIONS = (
    *(f"\x1bO{letter}" for letter in "PQRS"),
    *(f"\x1b[{number}~" for number in (1, 2, 3, 4, 5, 6, 15, 17, 18, 19, 20, 21, 23, 24, 25, 26, 28, 29)),
    *(f"\x1b[{number};{held}~" for number in (2, 3, 15, 24) for held in (2, 3, 5)),
    *(f"\x1b[1;{held}{letter}" for letter in "ABCDFHPQRS" for held in (2, 3, 5, 6)),
)
ALTS = tuple(f"\x1b{character}" for character in PRINTABLE if character not in "[O]P")
HELD = tuple(f"\x1b[{ord(letter)};{held}u" for letter in string.ascii_lowercase for held in (3, 5, 6, 7, 9))

NEVER = (*CONTROL, *ENTERS, *FUNCTIONS, *ALTS, *HELD)
"""Bytes of keys that write nothing anywhere: Ctrl and Alt with anything, Enter, function keys (S1)."""

NEAR = (
    "\r",
    "\n",
    "\x01",
    "\x02",
    "\x04",
    "\x15",
    "\x17",
    "\x19",
    "\x1a",
    "\x1by",
    "\x1b[121;5u",
    "\x1b[15~",
)
"""Those of them that are likeliest to be pressed by mistake, and those that are likest to `y`."""


async def struck(sat: Sitting, place: Place, keys: Sequence[str], rows: Sequence[str] = ("",)) -> Tally:
    """Each of the keys at each of these rows of a dialog that waits for nothing but `y`; on a screen, as it
    is. "" stands for all rows."""
    tally, home = Tally(), None
    await sat.go(place)
    if sat.dialog is not None and "" in rows:
        rows = rows_of(sat.dialog._decision)
    for row in rows:
        for key in keys:
            if sat.app.screen is not home:
                await sat.go(place)
                home = sat.app.screen
            if sat.dialog is not None:
                if missing(sat.dialog._needs()):
                    await sat.prepare()
                await sat.to(row)
            await sat.rest()
            before = len(sat.operator.carried)
            sat.post(key)
            sat.typed.append(key)
            await sat.settle()
            tally.keys += 1
            if len(sat.operator.carried) > before or (place.arms and sat.app.is_armed):
                tally.accidents.append(_story(sat, f"{place.name}, {row or 'its screen'}: {key!r} wrote"))
    return tally


def clicks(x: int, y: int, button: int = 0) -> str:
    """Bytes of a double click on a cell."""
    at = f"{button};{x + 1};{y + 1}"
    return f"\x1b[<{at}M\x1b[<{at}m" * 2


async def clicked(sat: Sitting, place: Place, step: int) -> Tally:
    """A double click on every `step`th cell, and on all cells of the last four lines; some with other
    buttons, the wheel, or Ctrl held (S16)."""
    tally, home = Tally(), None
    width, height = sat.app.size
    for y in range(height):
        for x in range(y % step, width, 1 if y >= height - 4 else step):
            if sat.app.screen is not home:
                await sat.go(place)
                await sat.prepare()
                await sat.rest()
                home = sat.app.screen
            before = len(sat.operator.carried)
            sat.post(clicks(x, y, (0, 0, 1, 2, 16, 64, 65)[(x + y) % 7]), 0.01)
            tally.keys += 2
            if not place.is_dialog:
                await sat.settle()
        await sat.settle()
        if len(sat.operator.carried) > before or (place.arms and sat.app.is_armed):
            tally.accidents.append(_story(sat, f"{place.name}: a click in line {y + 1} wrote"))
    return tally
