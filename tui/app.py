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
from tui.actions import ACTIONS, DIALOGS
from tui.arming import Arming, Writes
from tui.feed import sentence_of
from tui.guards import KeyGuard
from tui.keymap import DEFAULT_KEYS, live_keys
from tui.link import Link, NoOperator
from tui.messages import FrameArrived, OutcomeArrived, SourceSpoke
from tui.screens.base import CockpitScreen
from tui.screens.fleet import FleetScreen
from tui.stream import Stream
from tui.terminal import CockpitDriver, can_suspend

if TYPE_CHECKING:
    from collectors.fleet import Frame, Source
    from collectors.intents import Intent, Outcome, Target
    from collectors.sessions import Position, Recorder, View
    from tui.dialogs.form import Form
    from tui.dialogs.reasons import Reasons
    from tui.replaying import Replaying
    from tui.screens.trends import Trends
    from tui.store import History

TWICE_S = 2.0
"""Seconds within which ctrl-c pressed again quits."""

LATE_S = 2.5
"""Seconds without a frame after which the screen counts on by itself."""

LIVE, REPLAY = "live", "replay"
"""Stacks of screens: each keeps its own, so that what is live is found again as it was left."""


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
    recorder: what records this session; None where nothing does
    replay: opens a recording that is still written, by its path: a source that is a `Replayed` as well.
        Called on a thread of its own; `space` shows it
    is_replay: what `connect` builds is a `Replayed` itself: nothing here is live

    replaying: the replay that the screens show; opening: one that they will show with its first frame
    """

    TITLE = "tidegate"
    ENABLE_COMMAND_PALETTE = False
    DEFAULT_MODE = LIVE
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
        recorder: "Recorder | None" = None,
        replay: "Callable[[str], Source] | None" = None,
        is_replay: bool = False,
    ) -> None:
        super().__init__(driver_class=CockpitDriver, ansi_color=True)
        self.context, self.glyphs = context, glyphs
        self.recorder, self.replay = recorder, replay
        self.live = self.shown = Stream(connect, self.post_message, is_replay=is_replay)
        self.replaying: Replaying | None = None
        self.opening: Replaying | None = None
        self.all_keys, self._live_keys = keymap, live_keys(keymap)
        self._counted: tuple[Frame, Frame] | None = None
        self._seconds = seconds
        self._interrupted_at = -TWICE_S
        self._viewed: View | None = None
        self.left: Position | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self.writes = writes
        self.arming = Arming(writes)
        self.guard = KeyGuard()
        self.clock: Callable[[], float] = time.monotonic
        self.left_screen_at = float("-inf")
        self._reasons: Reasons | None = None
        self._awaited: dict[str, Intent] = {}
        self._asked_to_stay = False
        self._feed = self.live.feed
        self.link = Link(self._feed, self._tell_outcome, self._refuses)
        if is_replay:
            from tui.replaying import whole_replay

            self.replaying = whole_replay(self)
        for path in themes.THEMES:
            if path.stem == theme:
                self.register_theme(themes.to_textual(themes.read_theme(path)))
        self.theme = theme

    def get_default_screen(self) -> FleetScreen:
        """The first screen. An entry of `MODES` would make one too, and have all styles parsed once more."""
        return FleetScreen()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Every role, so that a stock theme of Textual works as well."""
        return themes.role_defaults()

    @property
    def keymap(self) -> Mapping[str, str]:
        """Which key does what now: a few keys turn pages live, and step in a replay."""
        return self._live_keys if self.replaying is None else self.all_keys

    @property
    def latest(self) -> "Frame | None":
        """The newest frame of what is shown: all live, or all of a replay, never of both."""
        return self.shown.latest

    @latest.setter
    def latest(self, frame: "Frame | None") -> None:
        self.shown.latest = frame

    @property
    def frozen(self) -> "Frame | None":
        """The frame at which the display was frozen; None while it is not."""
        return self.shown.frozen

    @property
    def sentence(self) -> str:
        """What the source that is shown has to say of itself."""
        return self.shown.sentence

    @property
    def in_trouble(self) -> bool:
        """Whether that is trouble, or progress."""
        return self.shown.in_trouble

    @property
    def frame(self) -> "Frame | None":
        """The frame to draw: the frozen one, else the latest, as it stands now.

        When frames stop coming, its readings go on ageing, until their values are gone (D10). A frozen one
        keeps its values; its ages count on. A replay's frames come aged.
        """
        if self.shown.is_replay:
            return self.latest
        now = self.now
        if self.latest is None or (self.frozen is None and now - self.latest.at < LATE_S):
            return self.latest
        base = self.frozen or self.latest
        if self._counted is None or self._counted[0] is not base or now - self._counted[1].at >= 1:
            from collectors.ageing import counted_on, held

            self._counted = (base, counted_on(base, now) if self.frozen is None else held(base, now))
        return self._counted[1]

    @property
    def now(self) -> float:
        """The time by the watched clock: live, it goes on when frames do not."""
        return self.shown.now

    @property
    def frozen_s(self) -> float | None:
        """How long the display has been frozen; None while it is not."""
        return None if self.frozen is None else self.now - self.frozen.at

    @property
    def history(self) -> "History":
        """What is remembered of past frames."""
        return self.shown.history

    @property
    def trends(self) -> "Trends":
        """The last ten minutes of each model's readings."""
        return self.shown.trends

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
        replay = self.replaying.doing() if self.replaying is not None else {}
        return {
            **{action: partial(self._open, action) for action in DIALOGS},
            "replay": self._open_replay,
            "replay.live": self.leave_replay,
            "bookmark": self._ask_bookmark,
            "arm": self._arm,
            "freeze": self._freeze,
            "refresh": self._refresh_now,
            "redraw": self._redraw,
            "alert.list": self._list_alerts,
            "suspend": self._suspend,
            "help": self._help,
            "quit": self._quit,
            "quit.ask": self._ask_to_quit,
            **replay,
        }

    def on_mount(self) -> None:
        """Listen once the skeleton is painted, and count on when nothing comes."""
        # Its screens are there already; without a name among the modes, no replay could come back to it.
        self.add_mode(LIVE, FleetScreen)
        self.call_after_refresh(self._feed.start)
        self.set_interval(1.0, self._count_on)
        if self.replaying is not None:
            self.replaying.begin()
        if self._seconds is not None:
            self.set_timer(self._seconds, partial(self.exit, 0))

    async def on_unmount(self) -> None:
        """Close what is listened to; bounded, so that quitting is quick whatever it does."""
        streams = {self.live, self.shown, *([self.opening.stream] if self.opening is not None else [])}
        await asyncio.gather(*(one.feed.close() for one in streams), *self._ending)

    def on_frame_arrived(self, message: FrameArrived) -> None:
        """Draw it, unless the display is frozen; a dialog is about the newest frame all the same.

        What is live goes on behind a replay, and is not drawn. A replay is shown from its first frame on.
        """
        stream, replaying = message.stream or self.live, self.opening or self.replaying
        stream.arrived(message.frame)
        if stream is self.live:
            self.arming.seen(message.frame)
        if replaying is not None and stream is replaying.stream:
            replaying.arrived()
        if stream is not self.shown:
            return
        if self.replaying is not None:
            self.replaying.draw_in_turn()
        elif self.frozen is None:
            self.draw_all()
        elif (top := self.top) is not None and top.SHOWS_NEWEST:
            top.draw()

    def on_source_spoke(self, message: SourceSpoke) -> None:
        """Show what the feed has to say: the screen stays, and tells what to do."""
        stream, opening = message.stream or self.live, self.opening
        stream.sentence, stream.in_trouble = message.sentence, message.trouble
        if stream is self.shown:
            self.draw_all()
        elif message.trouble and opening is not None and stream is opening.stream:
            opening.failed(message.sentence)

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
        if (top := self.top) is not None:
            top.say(sentence)

    @property
    def top(self) -> CockpitScreen | None:
        """The screen that is on top; None while the application ends."""
        stack = self.screen_stack
        return stack[-1] if stack and isinstance(stack[-1], CockpitScreen) else None

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

    def _tell_outcome(self, outcome: "Outcome") -> None:
        self.post_message(OutcomeArrived(outcome))

    def draw_all(self) -> None:
        """Draw whatever is on top, and what is seen below it."""
        if (top := self.top) is not None and top.has_panels:
            top.draw()
        self.note_view()

    def note_view(self) -> None:
        """Record what is looked at, where it is something else than before."""
        if self.recorder is None or self.live.latest is None or self.top is None:
            return
        from tui.viewing import stack_of, view_of

        elsewhere = REPLAY if self.shown is not self.live else ""
        view = view_of(stack_of(self), *self.size, self.frozen is not None, elsewhere=elsewhere)
        if view != self._viewed:
            self._viewed = view
            self.recorder.view(view)

    def _hold_keys(self) -> None:
        self.guard.restart(self.clock())

    def _open(self, action: str) -> None:
        """Open the dialog of an action, for what the cursor stands on."""
        from tui.dialogs.opening import OPENERS

        if why := self._refuses():
            self.say(f"{ACTIONS[action].label}: {why}")
        elif (top := self.top) is not None:
            OPENERS[action](self, top.selected())

    def _arm(self) -> None:
        from tui.dialogs.arm import turn_writes

        if why := self._refuses():
            self.say(f"W: {why}")
            return
        turn_writes(self)
        self.draw_all()

    def _count_on(self) -> None:
        if self.shown.is_replay and self.latest is not None:
            return
        if self.frozen is not None or time.monotonic() - self.shown.arrived_at > LATE_S:
            self.draw_all()

    def _refuses(self) -> str:
        """Why nothing can be written now, whatever the frame says; "" where only that decides."""
        return "a replay cannot write" if self.replaying is not None or self.opening is not None else ""

    def _open_replay(self) -> None:
        from tui.session_replay import open_replay

        open_replay(self)

    def leave_replay(self) -> None:
        """Back to what is live, as it was left."""
        from tui.session_replay import leave_replay

        leave_replay(self)

    def close_stream(self, stream: Stream) -> None:
        """Stop listening to it, without waiting."""
        task = asyncio.create_task(stream.feed.close())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _ask_bookmark(self) -> None:
        from tui.session_replay import ask_bookmark

        ask_bookmark(self)

    def _freeze(self) -> None:
        self.shown.freeze()
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

        if (top := self.top) is not None:
            self.push_screen(HelpScreen(top))


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
