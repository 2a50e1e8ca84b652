"""What is different from the mark: between what was shown there and what a replay shows now."""

from collections.abc import Sequence

from tui.format import GLYPHS
from tui.screens.hints import Hint, text_line
from tui.screens.sheet import SheetScreen
from tui.widgets.frame_changes import change_lines
from tui.widgets.lines import Line


class DifferencesScreen(SheetScreen):
    """A list that scrolls and follows the replay below it."""

    NAME = TITLE = "differences"
    OPENER = "replay.differences"
    HINTS: Sequence[Hint] = (
        ("back", "close"),
        ("move.down", "scroll"),
        ("replay", "play"),
        ("replay.step_back replay.step", "frame"),
        ("replay.mark", "mark"),
        ("help", "help"),
    )

    def sheet_lines(self, width: int) -> Sequence[Line]:
        """Every difference, below its section."""
        app = self.cockpit
        replaying, frame = app.replaying, app.frame
        if frame is None or replaying is None:
            return ()
        if (mark := replaying.mark_frame) is None:
            return (text_line(" no mark is set", width, app.glyphs, "muted"),)
        return change_lines(mark, frame, width, GLYPHS[app.glyphs])[0]
