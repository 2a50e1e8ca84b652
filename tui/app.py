"""The cockpit as an application: it composes, binds and routes. What is drawn lives in screens and widgets.

Importing this module costs what a bare Textual application costs: sources, and the libraries they need,
are imported on the feed's thread after the first paint.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

from rich.console import RenderableType
from rich.text import Text
from textual import on
from textual.app import App
from textual.driver import Driver

import themes
from tui.actions import DIALOGS
from tui.arming import Arming, Writes
from tui.feed import Feed, sentence_of
from tui.guards import KeyGuard
from tui.keymap import DEFAULT_KEYS
from tui.link import Link, NoOperator
from tui.messages import FrameArrived, OutcomeArrived, SourceSpoke
from tui.screens.base import CockpitScreen
from tui.screens.fleet import FleetScreen
from tui.terminal import CockpitDriver, can_suspend

if TYPE_CHECKING:
    from collectors.fleet import Frame, Source
    from collectors.intents import Intent, Outcome, Target
    from tui.dialogs.form import Form
    from tui.dialogs.reasons import Reasons
    from tui.screens.trends import Trends
    from tui.store import History

TWICE_S = 2.0
"""Seconds within which ctrl-c pressed again quits."""

LATE_S = 2.5
"""Seconds without a frame after which the screen counts on by itself."""


class CockpitApp(App[int], inherit_bindings=False):
    """The terminal cockpit on any source.

    connect: builds the source. Called on a thread of its own after the first paint; whatever it raises is
        shown in a sentence, and it is called again
    context: name of what is watched, shown until the first frame tells
    theme: the name of a theme that comes along, or of one of Textual's
    glyphs: "ascii" where the terminal draws ambiguous-width characters two cells wide
    seconds: quit after that long, with exit status 0; None stays
    keymap: key to action id, as `read_keymap` gives it
    writes: whether anything can be written: never, after arming, or at once
    """

    TITLE = "tidegate"
    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    CSS = "Screen { layout: vertical; overflow: hidden; background: ansi_default; }"

    def __init__(
        self,
        connect: "Callable[[], Source]",
        *,
        context: str = "",
        theme: str = "tidegate-dark",
        glyphs: Literal["unicode", "ascii"] = "unicode",
        seconds: float | None = None,
        keymap: Mapping[str, str] = DEFAULT_KEYS,
        writes: Writes = "arm",
    ) -> None:
        super().__init__(driver_class=CockpitDriver, ansi_color=True)
        self.context, self.glyphs, self.keymap = context, glyphs, keymap
        self.latest: Frame | None = None
        self.frozen: Frame | None = None
        self.sentence = ""
        self.in_trouble = False
        self._counted: tuple[Frame, Frame] | None = None
        self._connect = connect
        self._seconds = seconds
        self._arrived_at = 0.0
        self._interrupted_at = -TWICE_S
        self._history: History | None = None
        self._still: History | None = None
        self._trends: Trends | None = None
        self.writes = writes
        self.arming = Arming(writes)
        self.guard = KeyGuard()
        self.clock: Callable[[], float] = time.monotonic
        self._reasons: Reasons | None = None
        self._awaited: dict[str, Intent] = {}
        self._asked_to_stay = False
        self._feed = Feed(self._connect_late, self._hand_over, self._speak)
        self.link = Link(self._feed, self._tell_outcome)
        for path in themes.THEMES:
            if path.stem == theme:
                self.register_theme(themes.to_textual(themes.read_theme(path)))
        self.theme = theme

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Every role, so that a stock theme of Textual works as well."""
        return themes.role_defaults()

    def get_default_screen(self) -> FleetScreen:
        """The fleet is the first screen, and the one below all others."""
        return FleetScreen()

    @property
    def frame(self) -> "Frame | None":
        """The frame to draw: the frozen one, else the latest, as it stands now.

        When frames stop coming, its readings go on ageing, until their values are gone (D10). A frozen one
        keeps its values; its ages count on.
        """
        now = self.now
        if self.latest is None or (self.frozen is None and now - self.latest.at < LATE_S):
            return self.latest
        base = self.frozen or self.latest
        if self._counted is None or self._counted[0] is not base or now - self._counted[1].at >= 1:
            from tui.screens.late import counted_on, held

            self._counted = (base, counted_on(base, now) if self.frozen is None else held(base, now))
        return self._counted[1]

    @property
    def now(self) -> float:
        """The time by the watched clock: it goes on when frames do not."""
        if self.latest is None:
            return time.time()
        return self.latest.at + max(0.0, time.monotonic() - self._arrived_at)

    @property
    def frozen_s(self) -> float | None:
        """How long the display has been frozen; None while it is not."""
        return None if self.frozen is None else self.now - self.frozen.at

    @property
    def history(self) -> "History":
        """What is remembered of past frames; while the display is frozen, its sparks stand still as well."""
        history = self._still or self._history
        assert history is not None, "asked before the source was connected"
        return history

    @property
    def trends(self) -> "Trends":
        """The last ten minutes of each model's readings."""
        assert self._trends is not None, "asked before the source was connected"
        return self._trends

    @property
    def reasons(self) -> "Reasons":
        """What was typed as a reason in this session."""
        if self._reasons is None:
            from tui.dialogs.reasons import Reasons

            self._reasons = Reasons()
        return self._reasons

    @property
    def armed_text(self) -> str:
        """The header's badge of writes: `[READ-ONLY]`, `[ARMED alice 09:12 left]`."""
        return self.arming.badge(self.latest)

    @property
    def is_armed(self) -> bool:
        """Whether writes are on now."""
        return not self.arming.off(self.latest)

    def doing(self) -> Mapping[str, Callable[[], None]]:
        """What can be done on every screen, by action id."""
        return {
            **{action: partial(self._open, action) for action in DIALOGS},
            "arm": self._arm,
            "freeze": self._freeze,
            "refresh": self._refresh_now,
            "redraw": self._redraw,
            "alert.list": self._list_alerts,
            "suspend": self._suspend,
            "help": self._help,
            "quit": self._quit,
            "quit.ask": self._ask_to_quit,
        }

    def on_mount(self) -> None:
        """Listen once the skeleton is painted, and count on when nothing comes."""
        self.call_after_refresh(self._feed.start)
        self.set_interval(1.0, self._count_on)
        if self._seconds is not None:
            self.set_timer(self._seconds, partial(self.exit, 0))

    async def on_unmount(self) -> None:
        """Close the source; bounded, so that quitting is quick whatever it does."""
        await self._feed.close()

    def on_frame_arrived(self, message: FrameArrived) -> None:
        """Draw it, unless the display is frozen; a dialog is about the newest frame all the same."""
        self.latest, self._arrived_at = message.frame, time.monotonic()
        self.sentence, self.in_trouble = "", False
        self.arming.seen(message.frame)
        if self.frozen is None:
            self.draw_all()
        elif isinstance(self.screen, CockpitScreen) and self.screen.SHOWS_NEWEST:
            self.screen.draw()

    def on_source_spoke(self, message: SourceSpoke) -> None:
        """Show what the feed has to say: the screen stays, and tells what to do."""
        self.sentence, self.in_trouble = message.sentence, message.trouble
        self.draw_all()

    def on_outcome_arrived(self, message: OutcomeArrived) -> None:
        """To the dialog it belongs to; where that is closed, its end is told on whatever screen is on top."""
        outcome = message.outcome
        if outcome.is_final:
            self._awaited.pop(outcome.intent.key, None)
        screens = [one for one in self.screen_stack if isinstance(one, CockpitScreen)]
        if not any(one.takes_outcome(outcome) for one in screens) and outcome.is_final:
            self.say(f"{outcome.intent.target}: {outcome.kind.value}: {outcome.text}")

    def on_app_focus(self) -> None:
        """Somebody looks at this terminal again: what they typed was for another one (S4)."""
        self._hold_keys()

    def open_dialog(self, form: "Form") -> None:
        """Ask for a decision."""
        from tui.dialogs.dialog import DialogScreen

        self.push_screen(DialogScreen(form))

    def say(self, sentence: str) -> None:
        """Tell it on the bottom line of whatever screen is on top."""
        if isinstance(self.screen, CockpitScreen):
            self.screen.say(sentence)

    @property
    def under_way(self) -> "frozenset[Target]":
        """What decisions act on that were sent and have not ended."""
        return frozenset(one.target for one in self._awaited.values())

    def carry_out(self, intents: "Sequence[Intent]") -> None:
        """Send a decision: every target of it gets a final outcome, whatever happens on the way."""
        self._awaited.update({one.key: one for one in intents})
        self._asked_to_stay = False
        task = self.link.carry_out(intents)
        # Behind the outcomes that are on their way through the queue.
        task.add_done_callback(lambda done: self.call_later(self._carried_out, intents, done))

    def _carried_out(self, intents: "Sequence[Intent]", task: "asyncio.Task[None]") -> None:
        left = [one for one in intents if one.key in self._awaited]
        if task.cancelled() or not (left or task.exception()):
            return
        from collectors.intents import Outcome, OutcomeKind

        error = task.exception()
        is_unsent = isinstance(error, NoOperator)
        kind = OutcomeKind.REFUSED if is_unsent else OutcomeKind.UNKNOWN
        why = sentence_of(error) if isinstance(error, Exception) else "It ended without a word."
        text = why if is_unsent else f"{why} Look whether it landed before doing it again."
        for one in left:
            self.post_message(OutcomeArrived(Outcome(one, kind, time.time(), text, was_sent=not is_unsent)))

    def _connect_late(self) -> "Source":
        """On the feed's thread: import what draws frames, then build the source."""
        import tui.screens.fleet_panels  # noqa: F401  # so that the first frame finds it imported
        from tui.screens.trends import Trends
        from tui.store import History

        if self._history is None:
            self._history, self._trends = History(), Trends()
        return self._connect()

    def _hand_over(self, frame: "Frame") -> None:
        """On the feed's thread. Memory is fed before the message: a replaced message is never seen."""
        assert self._history is not None
        assert self._trends is not None
        self._history.add(frame)
        self._trends.add(frame)
        self.post_message(FrameArrived(frame))

    def _speak(self, sentence: str, trouble: bool) -> None:
        self.post_message(SourceSpoke(sentence, trouble))

    def _tell_outcome(self, outcome: "Outcome") -> None:
        self.post_message(OutcomeArrived(outcome))

    def draw_all(self) -> None:
        """Draw whatever is on top, and what is seen below it."""
        if isinstance(self.screen, CockpitScreen):
            self.screen.draw()

    def _hold_keys(self) -> None:
        self.guard.restart(self.clock())

    def _open(self, action: str) -> None:
        """Open the dialog of an action, for what the cursor stands on."""
        from tui.dialogs.opening import OPENERS

        if isinstance(self.screen, CockpitScreen):
            OPENERS[action](self, self.screen.selected())

    def _arm(self) -> None:
        from tui.dialogs.arm import turn_writes

        turn_writes(self)
        self.draw_all()

    def _count_on(self) -> None:
        if self.frozen is not None or time.monotonic() - self._arrived_at > LATE_S:
            self.draw_all()

    def _freeze(self) -> None:
        if self.frozen is not None or self._history is None:
            self.frozen = self._still = None
        else:
            from tui.screens.late import StillHistory

            self.frozen, self._still = self.latest, StillHistory(self._history)
        self._counted = None
        self.draw_all()

    def _refresh_now(self) -> None:
        self._feed.try_now()
        self.draw_all()

    def _redraw(self) -> None:
        self.refresh(layout=True)

    def _suspend(self) -> None:
        if can_suspend():
            self.action_suspend_process()
        else:
            self.say("no shell with job control started tidegate: nothing to suspend to")

    @on(Driver.SignalResume)
    def _resumed(self) -> None:
        """Back from the shell: the terminal shows nothing of ours any more, and keys were for the shell."""
        self._hold_keys()
        self._redraw()

    def _fatal_error(self) -> None:
        """End with one sentence. Textual's own traceback shows the locals of every frame, and so secrets."""
        self.panic()

    def panic(self, *renderables: RenderableType) -> None:
        """End after an error of our own, with exit status 1; what Textual would print is not printed."""
        self._return_code = 1
        if not self._exit_renderables:
            self._exit_renderables.append(Text(crash_sentence(self._exception)))
        self._close_messages_no_wait()

    def _quit(self) -> None:
        """Quit; while an action is under way, ask once."""
        if self.link.in_flight and not self._asked_to_stay:
            self._asked_to_stay = True
            self.say("an action is under way: q again quits without seeing how it ends")
            return
        self.exit(0)

    def _ask_to_quit(self) -> None:
        now = time.monotonic()
        if now - self._interrupted_at <= TWICE_S:
            self.exit(0)
            return
        self._interrupted_at = now
        self.say("ctrl-c again quits" + (", though an action is under way" if self.link.in_flight else ""))

    def _list_alerts(self) -> None:
        """The list of alerts on top; where it is below already, back to it."""
        if self.frame is None:
            self.say("nothing to show yet: waiting for the first frame")
            return
        from tui.screens.alerts import AlertsScreen

        if not any(isinstance(screen, AlertsScreen) for screen in self.screen_stack):
            self.push_screen(AlertsScreen())
            return
        while not isinstance(self.screen, AlertsScreen):
            self.pop_screen()

    def _help(self) -> None:
        from tui.dialogs.help import HelpScreen

        if isinstance(self.screen, CockpitScreen):
            self.push_screen(HelpScreen(self.screen))


def crash_sentence(error: BaseException | None) -> str:
    """An error of our own in one sentence: its type, and the innermost place in our code. Never its text."""
    kind, place = type(error).__name__, "an unknown place"
    frame = error.__traceback__ if error is not None else None
    is_ours = False
    while frame is not None:
        module = str(frame.tb_frame.f_globals.get("__name__", "?"))
        ours = module.partition(".")[0] in ("tui", "collectors", "themes")
        if ours or not is_ours:
            place, is_ours = f"{module}:{frame.tb_lineno}", is_ours or ours
        frame = frame.tb_next
    return f"tidegate ended on an error of its own: {kind} in {place}; please report it"
