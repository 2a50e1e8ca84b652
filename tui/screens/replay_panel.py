"""The rows of the fleet screen that tell of a replay: a click on a lane goes to the time below it."""

from dataclasses import dataclass

from textual import events
from textual.message import Message

from tui.screens.panel import Panel


class ReplayPanel(Panel):
    """A panel whose columns are times."""

    @dataclass
    class Sought(Message):
        """A lane was clicked, in column `x`; `rows`: how many the panel has."""

        x: int
        rows: int

    def on_click(self, event: events.Click) -> None:
        """The first row is words, and no time."""
        at = event.get_content_offset(self)
        if at is not None and at.y > 0:
            self.post_message(self.Sought(at.x, len(self.lines)))
