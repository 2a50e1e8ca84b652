"""What is different from the mark: between what was shown there and what a replay shows now."""

from collections.abc import Callable, Mapping, Sequence

from textual.app import ComposeResult

from tui.format import GLYPHS
from tui.screens.base import CockpitScreen
from tui.screens.hints import Hint, text_line
from tui.screens.panel import Panel
from tui.widgets.frame_changes import change_lines


class DifferencesScreen(CockpitScreen):
    """A list that scrolls and follows the replay below it. Esc, or the key that opened it, closes it."""

    NAME = "differences"
    TITLE = "differences"
    HINTS: Sequence[Hint] = (
        ("back", "close"),
        ("move.down", "scroll"),
        ("replay", "play"),
        ("replay.step_back replay.step", "frame"),
        ("replay.mark", "mark"),
        ("help", "help"),
    )

    def compose(self) -> ComposeResult:
        """The list, the keys, and where the replay stands."""
        yield Panel("changes")
        yield Panel("hints")
        yield Panel("status")

    def doing(self) -> Mapping[str, Callable[[], None]]:
        """Scrolling and closing; the replay's keys are the application's."""
        return {
            **self.scrolling(self.query_one("#changes", Panel)),
            **dict.fromkeys(("back", "replay.differences", "quit"), self.leave),
        }

    def beyond(self) -> str:
        """How much of the list is scrolled away."""
        return self.query_one("#changes", Panel).beyond()

    def draw(self) -> None:
        """The list for what is shown now."""
        app, (width, height) = self.cockpit, self.app.size
        replaying, frame = app.replaying, app.frame
        if not self.is_mounted or frame is None or replaying is None:
            return
        panel, mark = self.query_one("#changes", Panel), replaying.mark_frame
        rows = {"hints": 1 if height > 2 else 0, "status": 1 if height > 3 else 0}
        panel.set_rows(max(height - sum(rows.values()), 1))
        if mark is None:
            panel.show((text_line(" no mark is set", width, app.glyphs, "muted"),))
        else:
            panel.show(change_lines(mark, frame, width, GLYPHS[app.glyphs])[0], header=1)
        for name, number in rows.items():
            self.query_one(f"#{name}", Panel).set_rows(number)
        self.draw_status()
        self.draw_bottom()
