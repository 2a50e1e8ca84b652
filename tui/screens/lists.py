"""What screens with rows share: a filter typed into the bottom line, and the way to a model's page."""

from dataclasses import replace
from typing import TYPE_CHECKING

from textual import events

from tui.keymap import is_held
from tui.screens.base import CockpitScreen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collectors.fleet import Alert
    from collectors.sessions import View


class ListScreen(CockpitScreen):
    """A screen whose rows can be filtered, and opened as a model's page."""

    def __init__(self) -> None:
        super().__init__()
        self._filter = ""
        self._is_typing = False

    def filter_changed(self) -> None:
        """Draw what the filter leaves."""
        self.draw()

    def bottom_line_text(self) -> str:
        """The filter while it is typed."""
        typed = f"/{self._filter}_   enter keeps it, esc clears it" if self._is_typing else ""
        return typed or super().bottom_line_text()

    def takes_text(self, key: str, character: str | None) -> bool:
        """While the filter is typed, keys are its text: enter keeps it, esc clears it, the rest moves on."""
        if not self._is_typing:
            return super().takes_text(key, character)
        if key == "escape":
            self.drop_filter()
        elif key == "enter":
            self._is_typing = False
            self.draw()
        elif key == "backspace":
            self._set_filter(self._filter[:-1])
        elif character is not None and character.isprintable() and not is_held(key):
            self._set_filter(self._filter + character)
        else:
            return False
        return True

    def on_paste(self, event: events.Paste) -> None:
        """Pasted text only ever becomes filter text; it never presses keys (S5)."""
        event.stop()
        if self._is_typing:
            self._set_filter(self._filter + event.text)

    def view(self) -> "View":
        """As of any screen, with the filter."""
        return replace(super().view(), filter=self._filter)

    def look(self, view: "View") -> None:
        """Show what somebody looked at who had this screen."""
        self._filter, self._is_typing = view.filter, False

    @property
    def is_asking(self) -> bool:
        """Whether a line is being typed: the filter, or an answer."""
        return self._is_typing or super().is_asking

    def type_filter(self) -> None:
        """The next keys are the filter's text."""
        self._is_typing = True
        self.draw()

    def drop_filter(self) -> bool:
        """Leave the field and show every row. False if there was nothing to drop."""
        if not (self._is_typing or self._filter):
            return False
        self._is_typing = False
        self._set_filter("")
        return True

    def open_model(self, name: str, tier: str = "") -> None:
        """The page of the model `name`; one that names no cluster is the first of those it runs in."""
        from tui.screens.model import ModelScreen

        frame = self.cockpit.frame
        models = frame.models if frame else ()
        found = next((m for m in models if m.name == name), None)
        found = found or next((m for m in models if name and m.subject == name), None)
        if found is not None:
            self.app.push_screen(ModelScreen(found.name, tier))
        else:
            self.say("no model stands behind this row, so there is no page to open")

    def open_feature(self, name: str) -> None:
        """The page of a feature."""
        from tui.screens.model import FeatureScreen

        self.app.push_screen(FeatureScreen(name))

    def open_first_alert(self) -> None:
        """The model of the worst alert that nobody has silenced, the oldest of its kind (D6)."""
        alerts = worst_first(self.cockpit.frame.alerts) if self.cockpit.frame else ()
        alert = next((a for a in alerts if a.model), None)
        if alert is not None:
            self.open_model(alert.model, alert.tier)
        elif alerts:
            self.say("no alert names a model; A lists them all")
        else:
            self.say("no alert that is not silenced: nothing to open")

    def _set_filter(self, text: str) -> None:
        from collectors.text import clean

        self._filter = clean(text)
        self.filter_changed()


def worst_first(alerts: "Sequence[Alert]") -> "Sequence[Alert]":
    """Those that nobody has silenced, the worst first, of one severity the oldest."""
    return sorted((a for a in alerts if a.silenced_until is None), key=lambda a: (a.severity, a.since, a.id))
