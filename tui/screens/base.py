"""What every screen of the cockpit has in common: keys by name, a line to answer in, frames to show."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from rich.cells import cell_len
from textual import events
from textual.screen import Screen

from tui.actions import ACTIONS, Action, dead_key
from tui.guards import PASTED
from tui.keymap import is_held, key_label, keys_of, pressed
from tui.screens.repaint import SpanCompositor

if TYPE_CHECKING:
    from collectors.intents import Outcome
    from collectors.sessions import View
    from tui.app import CockpitApp
    from tui.screens.hints import Hint
    from tui.widgets.lines import Line, LineView

FAR = 1_000_000
"""More lines than there can be: moves to an end."""

ANSWER_S = 6.0
"""Seconds that an answer to a key stays, unless another key comes first."""


TYPED_MOST = 200
"""Most characters of a line that is typed in, where nothing else is said."""

TYPED_LEAST, AROUND = 12, 8
"""Cells of it that are seen in any case; those between it and what stands around it."""


class Selection(NamedTuple):
    """Ids of what the cursor stands on: what a dialog opens for. "" where it stands on none of the kind."""

    model: str = ""
    feature: str = ""
    tier: str = ""
    release: str = ""


class Prompt(NamedTuple):
    """A line that is typed in.

    asked: what for, in front of it; hint: behind it
    done: takes the text, and gives the sentence why it cannot be used, "" when it was
    closed: called when the line is gone, whether it was used or not
    most: characters that it takes
    """

    asked: str
    hint: str
    done: Callable[[str], str]
    closed: Callable[[], None]
    most: int = TYPED_MOST
    text: str = ""
    wrong: str = ""


def _end_of(text: str, width: int, glyphs: str) -> str:
    """Its last `width` cells: where the next letter goes is to be seen."""
    dots = "…" if glyphs == "unicode" else ".."
    if cell_len(text) <= width:
        return text
    # The rest is measured once for each letter that goes: letters that are not seen anyhow go at once.
    text = text[-2 * max(width, 1) :]
    while text and cell_len(text) > width - len(dots):
        text = text[1:]
    return dots + text


class CockpitScreen(Screen[None], inherit_bindings=False):
    """A screen whose keys are actions by name (see `actions`), and which draws the frame it is given."""

    AUTO_FOCUS = ""
    ALLOW_SELECT = False
    NAME = ""
    """How help calls the screen."""

    SHOWS_NEWEST = False
    """Whether it is about the newest frame although the display is frozen."""

    HINTS: "Sequence[Hint]" = ()
    """What the bottom line offers, the most useful first."""

    def __init__(self) -> None:
        super().__init__()
        self._compositor = SpanCompositor()
        self._answer = ""
        self._answered_at = 0.0
        self._prompt: Prompt | None = None

    @property
    def cockpit(self) -> "CockpitApp":
        """The application, as its own type."""
        return cast("CockpitApp", self.app)

    @property
    def has_panels(self) -> bool:
        """Whether there is anything to draw in: a screen that is just being closed has lost it."""
        return self.is_mounted and bool(self.children)

    @property
    def answer(self) -> str:
        """What the last key was answered with; empty after a while, or when there was nothing to say."""
        return self._answer if time.monotonic() - self._answered_at < ANSWER_S else ""

    def doing(self) -> Mapping[str, Callable[[], None]]:
        """What this screen can do, by action id, besides what the application can do everywhere."""
        return {}

    def labels(self) -> Mapping[str, str]:
        """What keys do here where that is not what their action is called, by action id: help says it."""
        return {}

    def hints(self) -> "Sequence[Hint]":
        """What the bottom line offers now."""
        return self.HINTS

    def selected(self) -> Selection:
        """What the cursor stands on."""
        return Selection()

    def view(self) -> "View":
        """What is looked at here; size and what lies over it are not its matter."""
        from collectors.sessions import View

        return View(screen=self.NAME)

    def look(self, view: "View") -> None:
        """Look at it as somebody else did, who had this screen."""

    def draw(self) -> None:
        """Draw the application's frame anew; only what changed is painted."""
        raise NotImplementedError

    def draw_below(self) -> bool:
        """Draw under a dialog, with every row in its place (S7). False where that cannot be promised: then
        the dialog takes the whole screen."""
        return False

    def takes_outcome(self, outcome: "Outcome") -> bool:
        """Whether an outcome is of something that was decided here, and is shown here."""
        return False

    def bottom_line_text(self) -> str:
        """What the screen wants in place of the hints; empty for nothing."""
        if self._prompt is None:
            return ""
        asked, hint, *_, typed, wrong = self._prompt
        told = wrong or hint
        room = max(self.app.size.width - cell_len(asked) - cell_len(told) - AROUND, TYPED_LEAST)
        return f"{asked}: {_end_of(typed, room, self.cockpit.glyphs)}_   {told}"

    @property
    def is_asking(self) -> bool:
        """Whether a line is being typed."""
        return self._prompt is not None

    def ask(
        self,
        asked: str,
        hint: str,
        done: Callable[[str], str],
        closed: Callable[[], None] = lambda: None,
        *,
        most: int = TYPED_MOST,
    ) -> None:
        """Let a line be typed in place of the hints; see `Prompt`."""
        self._prompt = Prompt(asked, hint, done, closed, most)
        self.draw_bottom()

    def bottom_line(self, width: int) -> "Line":
        """A field that is typed in, else the last key's answer, else the source's trouble, else hints."""
        from tui.screens.hints import hint_line, text_line

        app = self.cockpit
        if typed := self.bottom_line_text():
            return text_line(f" {typed}", width, app.glyphs, "key")
        if self.answer:
            return text_line(f" {self.answer}", width, app.glyphs)
        if app.in_trouble and app.frame is not None:
            return text_line(f" {app.sentence}", width, app.glyphs, "lost")
        if (top := app.screen) is not self:
            told = top.keys_below() if isinstance(top, CockpitScreen) else ""
            return text_line(f" {told}", width, app.glyphs, "muted")
        return hint_line(self._hints_now(), app.keymap, width, app.glyphs, self.beyond())

    def _hints_now(self) -> "Sequence[Hint]":
        """Those of the screen, or of the replay that it shows."""
        app = self.cockpit
        if app.replaying is not None and not self.title:
            from tui.screens.hints import replay_hints

            return replay_hints(self.NAME, app.replaying.has_live)
        can_disarm = app.is_armed and app.arming.writes == "arm"
        return [
            (action, "disarm" if action == "arm" and can_disarm else word) for action, word in self.hints()
        ]

    def status(self, width: int, sort: str = "") -> "Line":
        """Live, frozen or recorded, and what that stands on: a page without it would look live whatever
        happened (D10). The application has a frame. sort: what is said of the order of rows
        """
        from tui.format import GLYPHS
        from tui.widgets.freshness import status_line

        app = self.cockpit
        if app.replaying is not None:
            return app.replaying.lines(width, 1)[0]
        frame = app.frame
        assert frame is not None, "drawn before the first frame"
        return status_line(
            frame,
            width,
            GLYPHS[app.glyphs],
            now=app.now,
            frozen_s=app.frozen_s,
            sort=sort,
            recorder=app.recorder.state if app.recorder is not None else None,
        )

    def draw_status(self) -> None:
        """The line that says whether this is live, alone."""
        from tui.widgets.lines import LineView

        if self.cockpit.frame is not None:
            for panel in self.query("#status").results(LineView):
                panel.show((self.status(self.app.size.width),))

    def keys_below(self) -> str:
        """What the bottom line of the screen below says while this one is over it and has the keys."""
        return ""

    def beyond(self) -> str:
        """What the bottom line says of rows that are scrolled away (D13)."""
        return ""

    def draw_bottom(self) -> None:
        """The bottom line alone: what a key changes most often."""
        from tui.widgets.lines import LineView

        if self.has_panels:
            self.query_one("#hints", LineView).show((self.bottom_line(self.app.size.width),))

    def scrolling(self, view: "LineView") -> Mapping[str, Callable[[], None]]:
        """The keys that move, for a view without a cursor."""

        def scroll(by: int) -> Callable[[], None]:
            def do() -> None:
                view.scroll_lines(by)
                self.draw_bottom()

            return do

        return {
            "move.down": scroll(1),
            "move.up": scroll(-1),
            "move.page_down": scroll(max(1, view.size.height - 1)),
            "move.page_up": scroll(-max(1, view.size.height - 1)),
            "move.top": scroll(-FAR),
            "move.bottom": scroll(FAR),
        }

    def moving(self, view: "LineView") -> Mapping[str, Callable[[], None]]:
        """The keys that move, for a view with a cursor."""
        return {
            "move.down": lambda: view.move(1),
            "move.up": lambda: view.move(-1),
            "move.page_down": lambda: view.move_page(1),
            "move.page_up": lambda: view.move_page(-1),
            "move.top": lambda: view.move(-FAR),
            "move.bottom": lambda: view.move(FAR),
        }

    def say(self, sentence: str) -> None:
        """Answer a key in one line."""
        self._answer, self._answered_at = sentence, time.monotonic()
        self.draw_bottom()

    def leave(self) -> None:
        """Go back to the screen below, once."""
        if self.is_active:
            self.cockpit.left_screen_at = self.cockpit.clock()
            self.dismiss()

    def takes_text(self, key: str, character: str | None) -> bool:
        """Whether the key was text for a field, and is used up by it: enter uses the text, esc leaves it."""
        prompt = self._prompt
        if prompt is None:
            return False
        if key in ("escape", "enter"):
            wrong = prompt.done(prompt.text) if key == "enter" else ""
            self._prompt = prompt._replace(wrong=wrong) if wrong else None
            if not wrong:
                prompt.closed()
        elif key == "backspace":
            self._prompt = prompt._replace(text=prompt.text[:-1], wrong="")
        elif character is not None and character.isprintable() and not is_held(key):
            self._add(prompt, character)
        self.draw_bottom()
        return True

    def _add(self, prompt: Prompt, text: str) -> None:
        from collectors.text import clean

        self._prompt = prompt._replace(text=clean(prompt.text + text, prompt.most), wrong="")

    def on_paste(self, event: events.Paste) -> None:
        """Pasted text only ever becomes text; it never presses keys (S5)."""
        event.stop()
        if self._prompt is not None:
            self._add(self._prompt, event.text)
            self.draw_bottom()

    def on_key(self, event: events.Key) -> None:
        """Do what the key is bound to, or say why it does nothing (D16).

        Keys that came with the one that closed or covered this screen are dropped: they meant what is on top.
        So are those of a paste, unless they are text for a field (S5), or end a line that is typed in: what
        is asked for there writes to no plane.
        """
        event.stop()
        event.prevent_default()
        guard = self.cockpit.guard
        guard.note(event.key, event.is_printable, event.time)
        if not self.is_active or event.time < self.cockpit.left_screen_at:
            return
        if guard.is_pasting:
            is_for_field = event.is_printable or self.is_asking
            is_text = is_for_field and self.takes_text(event.key, event.character)
            if not is_text and self._answer != PASTED:
                self.say(PASTED)
            return
        if self._answer:
            self._answer = ""
            self.draw_bottom()
        if not self.takes_text(event.key, event.character):
            self.press(pressed(event.key, event.character))
        self.cockpit.note_view()

    def press(self, key: str) -> None:
        """Carry out the action bound to `key`."""
        action = ACTIONS.get(self.cockpit.keymap.get(key, ""))
        if action is None:
            self.say(dead_key(key))
        elif action.missing:
            self.say(f"{key}: {action.missing}")
        elif do := self.doing().get(action.id) or self.cockpit.doing().get(action.id):
            do()
            if action.looks:
                self.looked()
        else:
            self.say(f"{key}: {action.label}: {self._why_not(action)}")

    def _why_not(self, action: Action) -> str:
        app = self.cockpit
        if action.in_replay and app.replaying is None:
            opening = keys_of("replay", app.keymap)
            opens = f"{key_label(opening[0], app.glyphs)} opens one" if opening else "no key opens one"
            return f"in a replay; {opens}"
        return "not on this screen; ? lists its keys"

    def looked(self) -> None:
        """The operator chose what to look at: in a replay, not what the recorded one looked at any more."""
        replaying = self.cockpit.replaying
        if replaying is not None and replaying.is_following and not self.title:
            replaying.look_freely()

    def on_screen_resume(self) -> None:
        """Back on top: show what has come since."""
        self._draw_on_top()
        self.cockpit.note_view()

    def on_resize(self) -> None:
        """Another size: draw for it."""
        self._draw_on_top()

    def _draw_on_top(self) -> None:
        """Draw, unless the screen is covered or closed by now: a closed one has no panels any more."""
        if self.is_active:
            self.draw()
