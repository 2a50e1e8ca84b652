"""The bookmarks of a recording with their notes, and the way to each."""

import time
from collections.abc import Callable, Mapping, Sequence

from collectors.sessions import Tick, Timeline
from tui.format import GLYPHS, Glyphs, clock, fit, said, stamp, width_of
from tui.screens.hints import Hint
from tui.screens.readings import wrapped
from tui.screens.sheet import SheetScreen
from tui.widgets.lines import Cell, Line, LineView, line_of
from tui.widgets.replay_lines import bookmark_before, bookmarks_until

LISTED_MOST = 200
"""Most that are listed, around the time that is shown; a file from outside can hold ten thousand."""

MARGIN = 3
"""Columns in front of a line: the cursor's, and two."""

NOTE_LEAST = 16
"""Fewest cells for a note beside its time; below that it stands alone."""


def bookmark_lines(
    timeline: Timeline | None, width: int, glyphs: Glyphs, set_by: str, at: float
) -> tuple[Line, ...]:
    """A heading with their number, then each with its time (UTC), who made it, and its note in full.

    timeline: None while the recording is being surveyed; set_by: key that makes one, as hints write it
    at: of too many, those around that time are listed, and the others counted
    A line's id is that of its bookmark; a long note goes on in lines without one.
    """
    marks = timeline.marks if timeline is not None else ()
    number = f"{len(marks)} BOOKMARK{'' if len(marks) == 1 else 'S'}"
    heading = Line((Cell(fit(f" {number} in this recording", width, glyphs), "title"),))
    if timeline is None or not marks:
        none = f"none yet: {set_by} makes one, with a note, at the time that is shown"
        told = "the recording is still being looked through" if timeline is None else none
        return (heading, Line((Cell(fit(f"   {told}", width, glyphs), "muted"),)))
    is_long = time.gmtime(marks[0].at)[:3] != time.gmtime(marks[-1].at)[:3]
    first = min(max(bookmarks_until(timeline, at) - LISTED_MOST // 2, 0), max(len(marks) - LISTED_MOST, 0))
    listed = marks[first : first + LISTED_MOST]
    return (
        heading,
        *_others(first, "earlier", width, glyphs),
        *(line for one in listed for line in _bookmark(one, width, glyphs, is_long)),
        *_others(len(marks) - first - len(listed), "later", width, glyphs),
    )


def _others(number: int, which: str, width: int, glyphs: Glyphs) -> tuple[Line, ...]:
    """That so many more are there on that side; no line for none."""
    if not number:
        return ()
    more = f"   +{number} {which} one{'' if number == 1 else 's'}: jump from one to the next"
    return (Line((Cell(fit(more, width, glyphs), "muted"),)),)


def bookmark_id(one: Tick) -> str:
    """What its line is called: no two of one time say the same."""
    return f"{one.at!r} {one.text}"


def _bookmark(one: Tick, width: int, glyphs: Glyphs, is_long: bool) -> list[Line]:
    moment = f"{'':{MARGIN}}{stamp(one.at) if is_long else clock(one.at)}  "
    is_beside = width >= width_of(moment) + NOTE_LEAST
    indent = width_of(moment) if is_beside else MARGIN
    parts = wrapped(said(one.text, glyphs), max(width - indent, 2))
    beside = parts.pop(0) if is_beside and parts else ""
    rest = max(width - width_of(moment), 0)
    return [
        line_of((Cell(moment, "title"), Cell(fit(beside, rest, glyphs))), width, bookmark_id(one), glyphs),
        *(line_of((Cell(" " * indent), Cell(part)), width, glyphs=glyphs) for part in parts),
    ]


class BookmarksScreen(SheetScreen):
    """A list whose cursor begins at the last one before the time that is shown. Enter goes to that time."""

    NAME = TITLE = "bookmarks"
    OPENER = "replay.bookmarks"
    HAS_CURSOR = True
    HINTS: Sequence[Hint] = (
        ("open", "go there"),
        ("back", "close"),
        ("move.down", "down"),
        ("replay", "play"),
        ("bookmark", "bookmark"),
        ("help", "help"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._is_placed, self._at = False, 0.0
        self._made: tuple[tuple[object, ...], tuple[Line, ...]] = ((), ())

    def doing(self) -> Mapping[str, Callable[[], None]]:
        """As of any such list; enter goes to the time of a bookmark."""
        return {**super().doing(), "open": lambda: self._go(self.sheet.cursor_id)}

    def labels(self) -> Mapping[str, str]:
        """Enter opens no model here."""
        return {"open": "go to the bookmark"}

    def sheet_lines(self, width: int) -> Sequence[Line]:
        """The bookmarks, as the recording has them now: made once, for each frame draws them again."""
        app = self.cockpit
        if app.replaying is None:
            return ()
        if not self._is_placed and (position := app.replaying.position) is not None:
            # From then on the list stands still, whatever is played meanwhile.
            self._at = position.at
        given = (app.replaying.timeline, width, GLYPHS[app.glyphs], app.replaying.key("bookmark"), self._at)
        if self._made[0] != given:
            self._made = given, bookmark_lines(*given)
        return self._made[1]

    def draw(self) -> None:
        """The list; the first time with the cursor where the replay stands."""
        super().draw()
        replaying = self.cockpit.replaying
        if self._is_placed or replaying is None or replaying.timeline is None or replaying.position is None:
            return
        self._is_placed = True
        if (last := bookmark_before(replaying.timeline, self._at)) is not None:
            self.sheet.go_to(bookmark_id(last))

    def on_line_view_selected(self, message: LineView.Selected) -> None:
        """A click on the row that has the cursor goes there."""
        message.stop()
        self._go(message.id)

    def _go(self, id: str) -> None:
        replaying = self.cockpit.replaying
        marks = replaying.timeline.marks if replaying is not None and replaying.timeline is not None else ()
        one = next((mark for mark in marks if bookmark_id(mark) == id), None)
        if replaying is None or one is None:
            self.say("there is no bookmark to go to")
            return
        self.leave()
        replaying.seek_bookmark(one)
