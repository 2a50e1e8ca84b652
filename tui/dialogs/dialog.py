"""The one dialog: it draws any form, reads its keys, rehearses and carries out what it says (S1 to S10)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from textual import events
from textual.app import ComposeResult

from collectors.intents import Outcome, decided
from tui import guards
from tui.actions import ACTIONS, DIALOG_HINT, dead_key
from tui.dialogs.asking import DEBOUNCE_S, Asking
from tui.dialogs.box import DialogBox
from tui.dialogs.changing import NOTHING, field_of, ticked, turned
from tui.dialogs.confirming import Confirming
from tui.dialogs.decision import Decision, DryRun, Need, followed, missing, needs
from tui.dialogs.drawing import BUTTONS, FIELD, PHRASE, REASON, rows_of
from tui.dialogs.fitting import BOX_FROM
from tui.dialogs.form import Choice, Entry, Form
from tui.dialogs.keys import BOUND, ENTER_AGAIN, FIXED, PHRASE_PASTED, closes, everywhere
from tui.dialogs.reasons import typed, usual
from tui.dialogs.shown import Shown
from tui.keymap import is_held
from tui.screens.base import FAR, CockpitScreen

if TYPE_CHECKING:
    from collectors.fleet import Frame

SENDING_S = 0.02
"""Seconds that the picture of a sent decision waits: drawing would hold up the thread that sends."""


class DialogScreen(CockpitScreen):
    """Shows a form; nothing else in the product carries anything out.

    done: for a form that concerns the cockpit alone: called by `y` in place of sending its plan
    """

    NAME = "dialog"
    SHOWS_NEWEST = True
    DEFAULT_CSS = "DialogScreen { align-horizontal: center; }"

    def __init__(self, form: Form, done: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._done, self.title = done, form.title
        self._decision = Decision(form, form.plan(), is_local=done is not None)
        self._focus = BUTTONS
        self._markers: dict[str, int] = {}
        self._offered: Sequence[str] = ()
        self._frame: Frame | None = None
        self._asking = Asking(self, self._take_dry_run)
        self._confirming = Confirming(self, self._apply)
        self._touched_at = 0.0
        self._is_explained = False
        self._is_enter_told = False
        self._is_whole = True

    def compose(self) -> ComposeResult:
        """The dialog itself; what is seen around it is the screen below."""
        yield DialogBox(self.cockpit.glyphs)

    def on_mount(self) -> None:
        """Bring back what was half typed; ask what would happen, armed or not (S6)."""
        draft = self.cockpit.reasons.draft(self._decision.form.key)
        self._decision = replace(self._decision, reason=draft)
        self._offer()
        self._touched_at = self.cockpit.clock()
        self._confirming.hold_keys()
        # Typed before it was seen is typed ahead, however long the first picture took.
        self.call_after_refresh(self._confirming.hold_keys)
        self._rehearse(0.0)
        self.set_interval(1.0, self._tick)

    def on_unmount(self) -> None:
        """Nobody waits for the dry run any more; a decision that was sent goes on."""
        self._asking.end()
        self._confirming.end()

    def on_screen_resume(self) -> None:
        """Back on top, from the dialog that arms: keys are held back as at opening."""
        self._confirming.hold_keys()
        super().on_screen_resume()

    def on_resize(self) -> None:
        """The row that has the keys stays in sight (T3)."""
        super().on_resize()
        self.call_after_refresh(partial(self.draw_bottom, seek=True))

    def doing(self) -> Mapping[str, Callable[[], None]]:
        """What the keymap's keys do here, while no row takes them as text."""
        return {
            **self.scrolling(self._box.body),
            "move.down": lambda: self._turn(1),
            "move.up": lambda: self._turn(-1),
            "refresh": self._rehearse_again,
            "back": self.cancel,
            "quit": self.cancel,
            **{id: do for id, do in self.cockpit.doing().items() if id in everywhere(self._decision)},
        }

    def draw(self) -> None:
        """What is seen of the screen below, and the dialog, on the newest frame and never on a frozen one."""
        if not self.has_panels:
            return
        below = self._below()
        is_wide = self.app.size.width >= BOX_FROM
        self._is_whole = not (is_wide and below is not None and below.draw_below())
        # In place, for the application's own style sheet makes every screen opaque.
        self.styles.background = "ansi_default" if self._is_whole else "transparent"
        if (frame := self.cockpit.latest) is not None:
            self._see(frame)
        self.draw_bottom()

    def draw_below(self) -> bool:
        """Under another dialog."""
        self.draw()
        return not self._is_whole

    def draw_bottom(self, *, seek: bool = False, by: int = 0) -> None:
        """All of the dialog, once: an answer stands in its foot, and its rows are few.

        seek: bring the row that has the keys into sight; by: lines to scroll before that
        """
        if self.has_panels:
            size, keymap = self.app.size, self.cockpit.keymap
            self._box.show(self._shown(), size, keymap, is_whole=self._is_whole, seek=seek, by=by)

    def keys_below(self) -> str:
        """The keys of now, for whoever looks for them at the bottom of the terminal."""
        return "" if self._decision.sent else DIALOG_HINT

    def takes_outcome(self, outcome: Outcome) -> bool:
        """Show what became of a target, if it is of this decision."""
        decision = self._decision
        if not any(one.key == outcome.intent.key for one in decision.sent):
            return False
        self._decision = replace(decision, outcomes={**decision.outcomes, outcome.intent.key: outcome})
        if self._decision.is_over:
            self._confirming.hold_keys()  # the next key was meant for what was on its way
        self.draw_bottom()
        return True

    def takes_text(self, key: str, character: str | None) -> bool:
        """Text for the row that has the keys; `space` and digits are text only there (S3)."""
        self._touched_at = self.cockpit.clock()
        row = self._focus
        if row == BUTTONS or isinstance(self._field(), Choice) or self._decision.sent:
            return False
        if key == "backspace":
            self._set_text(self._text()[:-1])
        elif character is not None and character.isprintable() and not is_held(key):
            if row == PHRASE and self.cockpit.guard.is_pasting:
                self._set_text("")  # S5: what confirms is typed, not pasted
                self.say(PHRASE_PASTED)
                return True
            self._set_text(typed(self._text(), character))
        else:
            return False
        return True

    def on_paste(self, event: events.Paste) -> None:
        """A paste presses no keys: only a row of text takes it, and not the one that confirms (S5)."""
        event.stop()
        self.cockpit.guard.note("paste", False, event.time)
        self._confirming.drop()
        if self._focus == REASON or isinstance(self._field(), Entry):
            self._set_text(typed(self._text(), f" {event.text}" if self._text() else event.text))
        elif self._focus == PHRASE:
            self.say(PHRASE_PASTED)
        else:
            self.say("a paste presses no keys; tab to the reason to paste it there")

    def press(self, key: str) -> None:
        """A key that is no text: the dialog's own first, then the keymap's."""
        guard = self.cockpit.guard
        self._confirming.drop(key)
        self._is_enter_told = self._is_enter_told and key == "enter"
        if key == "escape" or key.startswith("alt+"):  # esc, with another key right behind it
            self._explain(False) if self._is_explained and not self._decision.sent else self.cancel()
        elif guard.is_early(guard.last_at):
            self.say(f"{key} {guards.EARLY}")
        elif self._decision.is_over and closes(key, self.cockpit.keymap.get(key, "")):
            self.cancel()
        elif key in FIXED:
            self._press_fixed(key)
        elif key.isdecimal() and self._focus not in (REASON, PHRASE) and not isinstance(self._field(), Entry):
            self._pick(int(key))
        elif len(key) > 1 or self._focus == BUTTONS:
            action = ACTIONS.get(BOUND.get(key) or self.cockpit.keymap.get(key, ""))
            do = self.doing().get(action.id) if action else None
            if do:
                do()
            else:
                self.say(f"{key}: {action.label}: not in a dialog" if action else dead_key(key))
        else:
            self.say(f"{key}: letters count at the buttons only; tab goes there")

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """The mouse gives a row the keys; it never applies (S16)."""
        row = self._box.row_at(event.screen_x, event.screen_y)
        if row in rows_of(self._decision):
            self._focus_on(row)

    def cancel(self) -> None:
        """Close it. What was half typed is kept; what was sent goes on."""
        decision = self._decision
        if not decision.sent:
            self.cockpit.reasons.keep(decision.form.key, decision.reason)
        self.leave()

    def _press_fixed(self, key: str) -> None:
        field = self._field()
        if key in ("tab", "down", "shift+tab", "up"):
            self._turn(1 if key in ("tab", "down") else -1)
        elif key == "enter":
            self._enter() if self._focus == BUTTONS else self._turn(1)
        elif key in ("left", "right"):
            self._change(-1 if key == "left" else 1)
        elif key == "space":
            place = self._markers.get(field.id, 0) if field else 0
            self._take(ticked(self._decision.form, field, place))
        elif key == "?":
            self._explain(not self._is_explained)
        else:
            self._confirm()

    def _enter(self) -> None:
        """Cancel; behind a phrase only the second time in a row: the first Enter belongs to its typing."""
        decision = self._decision
        if self._is_enter_told or not decision.wanted_phrase or not decision.is_typed or decision.sent:
            self.cancel()
            return
        self._is_enter_told = True
        why = missing(self._needs())
        self.say(f"{ENTER_AGAIN}; y is off: {why}" if why else f"y applies; {ENTER_AGAIN}")

    def _explain(self, is_explained: bool) -> None:
        """Show all that `y` needs, below the rest, or the rest alone."""
        self._is_explained = is_explained
        if self._decision.sent:
            self.draw_bottom()
        else:
            self.draw_bottom(seek=True, by=FAR if is_explained else -FAR)

    def _confirm(self) -> None:
        """`y`: everything must hold, now and when no key has come behind it."""
        if why := self._why_off():
            self.say(why)
        else:
            self._confirming.hold()

    def _why_off(self) -> str:
        """Why `y` does nothing now, and what to do; "" where it applies."""
        if self._decision.sent:
            return "sent already: it is never sent twice"
        if self._focus != BUTTONS:
            return "y applies at the buttons only; tab goes there"
        why = missing(self._needs())
        return f"y is off: {why}" if why else ""

    def _apply(self) -> None:
        """Send the decision, once."""
        if why := self._why_off():
            self.say(why)
            return
        if self._done is not None:
            self.leave()
            self._done()
            return
        decision = self._decision
        reason = decision.reason.strip()
        sent = decided(decision.plan.intents, reason)
        self._decision = replace(decision, sent=sent, reason=reason)
        self.cockpit.carry_out(sent)
        self._asking.end()
        self.cockpit.reasons.used(decision.form.key, reason)
        self._confirming.hold_keys()
        self.set_timer(SENDING_S, self.draw_bottom)

    def _see(self, frame: "Frame") -> None:
        """The form on a newer frame; once sent, it stays as it was sent."""
        if frame is self._frame or self._decision.sent:
            return
        was, before, self._frame = self._decision, self._frame, frame
        form = was.form.seen(frame)
        has_moved = form.revision != was.form.revision
        self._set_form(form, 0.0 if has_moved else DEBOUNCE_S)
        if has_moved:
            self._decision = followed(was, self._decision, before, frame)
            self._confirming.hold_keys()

    def _set_form(self, form: Form, wait_s: float = DEBOUNCE_S) -> None:
        """Another content; where that makes another plan, what was typed to confirm the old one goes."""
        was = self._decision
        self._decision = replace(was, form=form, plan=form.plan())
        if self._decision.plan.intents != was.plan.intents:
            self._confirming.drop()
            self._decision = replace(self._decision, phrase="")
            self._offer()
            self._rehearse(wait_s)
        if self._focus not in rows_of(self._decision):
            self._focus = BUTTONS

    def _rehearse_again(self) -> None:
        if not self._decision.sent:
            self._decision = replace(self._decision, is_overtaken=False)
            self._rehearse(0.0)
        self.draw_bottom()

    def _rehearse(self, wait_s: float) -> None:
        """Ask what the plan would do, in place of what was asked before."""
        decision = self._decision
        self._asking.ask(() if decision.is_local else decision.plan.intents, wait_s)

    def _take_dry_run(self, run: DryRun) -> None:
        self._decision = replace(self._decision, dry_run=run)
        self.draw_bottom()

    def _tick(self) -> None:
        """Ages count on, and what grows old is asked again while somebody is there."""
        decision = self._decision
        if not decision.sent and self._asking.is_due(
            decision.dry_run, self._touched_at, self.cockpit.clock()
        ):
            self._rehearse(0.0)
        self.draw_bottom()

    def _needs(self) -> tuple[Need, ...]:
        app = self.cockpit
        plane = app.latest.plane if app.latest else None
        return needs(self._decision, plane, app.arming.off(app.latest), app.clock(), app.under_way)

    def _shown(self) -> Shown:
        app, frame = self.cockpit, self.cockpit.latest
        return Shown(
            decision=self._decision,
            focus=self._focus,
            markers=self._markers,
            context=frame.context if frame else app.context,
            is_production=bool(frame and frame.production),
            is_simulated=bool(frame and frame.simulated),
            offered=self._offered,
            needs=self._needs(),
            is_asking=self._asking.is_under_way,
            is_explained=self._is_explained,
            answer=self.answer,
            now=app.clock(),
            actor=frame.plane.actor if frame and frame.plane else "",
        )

    @property
    def _box(self) -> DialogBox:
        return self.query_one(DialogBox)

    def _below(self) -> CockpitScreen | None:
        stack = self.app.screen_stack
        place = stack.index(self) if self in stack else 0
        below = stack[place - 1] if place else None
        return below if isinstance(below, CockpitScreen) else None

    def _field(self) -> Choice | Entry | None:
        """The form's field that has the keys."""
        row = self._focus
        return field_of(self._decision.form, row.removeprefix(FIELD)) if row.startswith(FIELD) else None

    def _text(self) -> str:
        field = self._field()
        if isinstance(field, Entry):
            return field.text
        return self._decision.phrase if self._focus == PHRASE else self._decision.reason

    def _set_text(self, text: str) -> None:
        field = self._field()
        if isinstance(field, Entry):
            self._set_form(self._decision.form.with_text(field.id, text))
        elif self._focus == REASON:
            self._decision = replace(self._decision, reason=text)
        else:
            self._decision = replace(self._decision, phrase=text)
            if self._decision.is_typed:
                self._focus = BUTTONS
                self._confirming.hold_keys()
        self.draw_bottom(seek=True)

    def _turn(self, by: int) -> None:
        """The next row has the keys; after the last one, the first."""
        rows = rows_of(self._decision)
        if len(rows) > 1:
            self._focus_on(rows[(rows.index(self._focus) + by) % len(rows)])
        else:
            self._box.body.scroll_lines(by)

    def _focus_on(self, row: str) -> None:
        self._confirming.drop()
        self._focus = row
        self.draw_bottom(seek=True)

    def _change(self, by: int) -> None:
        """←/→: another option, or the next one to tick."""
        form = self._decision.form
        field = field_of(form, form.main) if self._focus == BUTTONS else self._field()
        if not isinstance(field, Choice) or self._decision.sent:
            self.say(NOTHING)
        elif field.many:
            place = self._markers.get(field.id, 0) + by
            self._markers[field.id] = max(0, min(place, len(field.options) - 1))
            self.draw_bottom()
        else:
            self._take(turned(form, field, by))

    def _take(self, changed: Form | str) -> None:
        """What a key made of the form, or why it made nothing."""
        if isinstance(changed, str):
            self.say(changed)
        else:
            self._set_form(changed)
            self.draw_bottom()

    def _offer(self) -> None:
        """Reasons that fit what would be done."""
        plan = self._decision.plan
        if plan.intents:
            self._offered = self.cockpit.reasons.offered(usual(plan.intents[0].operation, plan.is_brake))

    def _pick(self, number: int) -> None:
        """A digit: one of the reasons that are offered."""
        if self._decision.is_local or self._decision.sent or not 1 <= number <= len(self._offered):
            self.say(dead_key(str(number)))
            return
        self._decision = replace(self._decision, reason=self._offered[number - 1])
        self.draw_bottom()
