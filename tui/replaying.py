"""A replay at the cockpit: what its keys do, what it tells of itself, and the way there and back to live."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, Protocol, cast

from tui.keymap import key_label, keys_of
from tui.stream import Stream

if TYPE_CHECKING:
    from textual.timer import Timer

    from collectors.fleet import Event, Frame
    from collectors.sessions import Player, Position, Series, Target, Tick, Timeline, View
    from tui.app import CockpitApp
    from tui.screens.base import CockpitScreen
    from tui.widgets.lines import Line
    from tui.widgets.replay_lines import ReplayFacts

TICK_S = 0.25
"""Seconds between two looks at where a replay stands."""

SECONDS = 10.0
"""What `,` and `.` go back and on by."""

HELD_S = 0.25
"""A step this soon after the last one comes of a key that is held down."""

HELD_EVERY, HELD_MOST = 8, 64
"""A held key doubles its step after so many of them, up to so many frames."""

BOOKMARK = ("bookmark", "a note, or none; enter keeps it, esc does not")
"""What is asked for a bookmark's note, and the hint behind it."""

NOTED_MOST = 2048
"""Most characters that can be typed there: more than are kept, so that whoever keeps it sees what is cut."""

ELSEWHERE = "replay"
"""What the recorded view says while the operator looked at a replay: nothing of what was live."""


class Replayed(Protocol):
    """What a replay's source is besides a `Source` and a `Player`; see `recording.replay`.

    jumps: how often `series` (readings of the ten minutes before) and `event_history` were renewed
    mark_frame: what was shown at the mark; timeline: of the whole recording, None until it is known
    """

    series: "Series | None"
    event_history: "tuple[Event, ...]"
    jumps: int
    mark_frame: "Frame | None"
    timeline: "Timeline | None"


def held_step(count: int) -> int:
    """Frames that the `count`-th step (from 1) of a key that is held goes: ever more of them."""
    return min(1 << min(max(count - 1, 0) // HELD_EVERY, 30), HELD_MOST)


class Replaying:
    """The replay that is shown, or about to be.

    has_live: a live screen goes on behind it
    has_disarmed: writes were armed until it was opened
    shows_lanes: whether lanes take rows from the panels; without them, each stands where it stood live
    """

    def __init__(
        self, app: "CockpitApp", stream: Stream, *, has_live: bool, has_disarmed: bool = False
    ) -> None:
        self.stream, self.has_live, self._has_disarmed = stream, has_live, has_disarmed
        self.is_following = not has_live
        self.shows_lanes = True
        self._app = app
        self._steps = 0
        self._stepped_at = float("-inf")
        self._looked: View | None = None
        self._told = (0, "")
        self._passed: Tick | None = None
        self._bookmark_from: float | None = None
        self._answer = ""
        self._drawn: tuple[object, ...] = ()
        self._is_resting = self._is_behind = False
        self._ticking: Timer | None = None

    @property
    def is_shown(self) -> bool:
        """Whether it is on the screen, or only being opened."""
        return self._app.shown is self.stream and self.stream.latest is not None

    @property
    def position(self) -> "Position | None":
        """Where it stands; None before there is a recording."""
        player = self._player
        return player.position if player is not None else None

    @property
    def timeline(self) -> "Timeline | None":
        """The recording at a glance, once it is surveyed."""
        source = self._source
        return source.timeline if source is not None else None

    @property
    def mark_frame(self) -> "Frame | None":
        """What was shown at the mark."""
        source = self._source
        return source.mark_frame if source is not None else None

    @property
    def _source(self) -> Replayed | None:
        source = self.stream.feed.source
        return cast("Replayed", source) if source is not None else None

    @property
    def _player(self) -> "Player | None":
        source = self.stream.feed.source
        return cast("Player", source) if source is not None else None

    def doing(self) -> Mapping[str, Callable[[], None]]:
        """What a replay's keys do, by action id."""
        return {
            "replay": lambda: self._do(lambda player, _: player.play_or_pause()),
            "replay.step": lambda: self._step(1),
            "replay.step_back": lambda: self._step(-1),
            "replay.seconds": lambda: self._do(lambda player, _: player.move(SECONDS)),
            "replay.seconds_back": lambda: self._do(lambda player, _: player.move(-SECONDS)),
            "replay.alert": lambda: self._seek_next("alert", 1),
            "replay.alert_back": lambda: self._seek_next("alert", -1),
            "replay.action": lambda: self._seek_next("action", 1),
            "replay.action_back": lambda: self._seek_next("action", -1),
            "replay.bookmark": lambda: self._seek_next("bookmark", 1),
            "replay.bookmark_back": lambda: self._seek_next("bookmark", -1),
            "replay.bookmarks": self._list_bookmarks,
            "replay.faster": lambda: self._do(lambda player, _: player.change_speed(1)),
            "replay.slower": lambda: self._do(lambda player, _: player.change_speed(-1)),
            "replay.loop_from": lambda: self._do(lambda player, at: player.set_loop(at.at, is_start=True)),
            "replay.loop_to": lambda: self._do(lambda player, at: player.set_loop(at.at, is_start=False)),
            "replay.idle": lambda: self._do(lambda player, _: player.turn_skipping()),
            "replay.time": self._ask_time,
            "replay.mark": self._set_mark,
            "replay.differences": self._show_differences,
            "replay.follow": self._turn_following,
            "replay.lanes": self._turn_lanes,
            "bookmark": self._ask_bookmark,
            "freeze": lambda: self._app.say("a replay stands still by itself: space pauses it"),
        }

    def lines(self, width: int, rows: int) -> "tuple[Line, ...]":
        """Where it stands, and lanes where there are `rows` for them; each line `width` cells."""
        from tui.format import GLYPHS
        from tui.screens.hints import text_line
        from tui.widgets.replay_lines import replay_lines

        facts = self._facts()
        if facts is None:
            told = "the recording is not open" if self.stream.in_trouble else "opening the recording"
            first = text_line(f"REPLAY  {told}", width, self._app.glyphs, "replay")
            return (first, *[text_line("", width)] * (rows - 1))
        return replay_lines(facts, width, rows, GLYPHS[self._app.glyphs])

    def rows(self, height: int) -> int:
        """Rows it takes of a fleet screen `height` cells high."""
        from tui.widgets.replay_lines import replay_rows

        return replay_rows(height) if self.shows_lanes else min(1, replay_rows(height))

    def seek_column(self, x: int, width: int, rows: int) -> None:
        """Go to the time below a column of the lanes."""
        from tui.widgets.replay_lines import time_of_column

        facts = self._facts()
        at = time_of_column(facts, x, width, rows) if facts is not None else None
        if at is not None:
            self._do(lambda player, position: player.seek(at))

    def seek_bookmark(self, bookmark: "Tick") -> None:
        """Go to the time of a bookmark, and tell its note."""
        self._do(lambda player, _: player.seek(bookmark.at))
        self._tell_bookmark(bookmark)

    def begin(self) -> None:
        """It is on the screen from now on."""
        self._ticking = self._app.set_interval(TICK_S, self._tick)

    def end(self) -> None:
        """It is not any more."""
        if self._ticking is not None:
            self._ticking.stop()

    def arrived(self) -> None:
        """A frame of it came: with the first one it is shown. Follow the recorded view, and tell what there
        is to be told."""
        top = self._app.top
        if self._app.shown is not self.stream:
            if top is not None and top.is_asking:
                return  # a line is being typed, and its letters would be keys there: with the next frame
            self._show()
        position = self.position
        if position is None:
            return
        self._follow(position.view)
        passed, self._passed = self._passed, self._bookmark()
        told = (position.tellings, position.told)
        if told != self._told:
            self._told = told
            if position.told:
                self._app.say(self._bookmarks_here(position) or position.told)
        elif position.is_playing and self._passed is not None and self._passed != passed:
            # Its line has little room for a note, and at a high speed none of the time to read it.
            self._tell_bookmark(self._passed)

    def _bookmarks_here(self, position: "Position") -> str:
        """That there are several, where a key went to the next one: they are one stop; "" for any other."""
        begun, self._bookmark_from = self._bookmark_from, None
        timeline = self.timeline
        if begun is None or timeline is None or position.at == begun:
            return ""
        from tui.widgets.replay_lines import SLIGHT_S

        count = sum(1 for mark in timeline.marks if abs(mark.at - position.at) < SLIGHT_S)
        return f"{count} bookmarks here: {self.key('replay.bookmarks')} lists them" if count > 1 else ""

    def draw_in_turn(self) -> None:
        """Draw what it shows, and rest for as long as that took: played fast, its frames come so often that
        keys would have no turn where each takes long to draw."""
        if self._is_resting:
            self._is_behind = True
            return
        began = time.monotonic()
        self._app.draw_all()
        self._is_resting, self._is_behind = True, False
        self._app.set_timer(time.monotonic() - began, self._rested)

    def _rested(self) -> None:
        self._is_resting = False
        if self._is_behind and self.is_shown:
            self.draw_in_turn()

    def _follow(self, view: "View | None") -> None:
        top = self._app.top
        if not self.is_following or view is None or view == self._looked or top is None:
            return
        # What lies over the screen (help, differences) and what is typed is the reviewer's own: it stays.
        if not top.title and not top.is_asking:
            from tui.viewing import look_at

            self._looked = view
            look_at(self._app, view)

    def failed(self, sentence: str) -> None:
        """It could not be opened: the screen stays live."""
        self._app.opening = None
        self._app.close_stream(self.stream)
        self._app.say(self.with_arming(f"no replay: {sentence}"))

    def with_arming(self, told: str) -> str:
        """What is told on the way back to live, behind what became of writes that were armed before."""
        if not self._has_disarmed:
            return told
        why = f"writes were disarmed when the replay opened; {self.key('arm')} arms them"
        return f"{why}; {told}" if told else why

    def _show(self) -> None:
        """From now on all that is drawn is recorded; the screens of what is live stay as they are."""
        from tui.app import REPLAY
        from tui.screens.fleet import FleetScreen
        from tui.viewing import look_at, stack_of, view_of

        app = self._app
        view = view_of(stack_of(app), *app.size, is_frozen=False)
        app.say("")  # what it said last is not to be found again when it comes back
        app.opening, app.replaying = None, self
        app.shown = self.stream
        app.add_mode(REPLAY, FleetScreen)
        app.switch_mode(REPLAY)
        look_at(app, view)
        self.begin()

    def _turn_lanes(self) -> None:
        from tui.screens.fleet import FleetScreen

        self.shows_lanes = not self.shows_lanes
        self._app.draw_all()
        if not isinstance(self._app.top, FleetScreen):
            self._app.say(f"the lanes of the fleet screen are {'shown' if self.shows_lanes else 'hidden'}")

    def look_freely(self) -> None:
        """Stay where the operator looks now, whatever the recorded one looked at."""
        self.is_following, self._looked = False, None
        position, top = self.position, self._app.top
        if position is None or position.view is None:
            return
        answer = top.answer if top is not None else ""
        self._app.say(
            f"{f'{answer}; ' if answer else ''}free look: {self.key('replay.follow')} follows again"
        )

    def _tick(self) -> None:
        """Draw its lines again where what they say has changed, and the answer to a key that has stood for
        long enough: nothing else draws while it stands still."""
        top = self._app.top
        if not self.is_shown or top is None:
            return
        facts = self._facts()
        drawn = (facts, self.is_following)
        if drawn != self._drawn:
            self._drawn = drawn
            top.draw_status()
        if top.answer != self._answer:
            self._answer = top.answer
            top.draw_bottom()

    def _bookmark(self) -> "Tick | None":
        from tui.widgets.replay_lines import bookmark_shown

        facts = self._facts()
        return bookmark_shown(facts) if facts is not None else None

    def _tell_bookmark(self, bookmark: "Tick") -> None:
        from tui.format import clock

        self._app.say(f"bookmark at {clock(bookmark.at)}: {bookmark.text}")

    def _facts(self) -> "ReplayFacts | None":
        from tui.widgets.replay_lines import ReplayFacts

        position, source = self.position, self._source
        if position is None or source is None or not position.frames:
            return None
        # Whole seconds: a tenth would draw the line again ten times as often.
        live = float(int(self._app.live.now)) if self.has_live else None
        look = "as seen" if self.is_following else "free look"
        return ReplayFacts(
            position, source.timeline, live, look if position.view else "", self._seen(position.view)
        )

    def _seen(self, view: "View | None") -> str:
        """What is told of the recorded view: what the screens here do not show of it themselves."""
        if not self.is_following or view is None:
            return ""
        told = []
        if view.screen == ELSEWHERE:
            told.append("in a replay")
        if view.dialog:
            told.append(f"dialog {view.dialog}")
        if view.is_frozen:
            told.append("frozen")
        if view.width and (view.width, view.height) != tuple(self._app.size):
            told.append(f"{view.width}x{view.height}")
        return f"seen: {', '.join(told)}" if told else ""

    def _do(self, do: "Callable[[Player, Position], object]") -> None:
        player = self._player
        if player is None:
            self._app.say("the recording is not open")
        else:
            do(player, player.position)

    def _step(self, direction: Literal[1, -1]) -> None:
        now = self._app.clock()
        is_held = now - self._stepped_at < HELD_S and self._steps * direction > 0
        self._steps = self._steps + direction if is_held else direction
        self._stepped_at = now
        frames = direction * held_step(abs(self._steps))
        self._do(lambda player, _: player.step(frames))

    def _seek_next(self, target: "Target", direction: Literal[1, -1]) -> None:
        self._bookmark_from = self.position.at if target == "bookmark" and self.position is not None else None
        self._do(lambda player, _: player.seek_next(target, direction))

    def _ask_time(self) -> None:
        def go(text: str) -> str:
            from collectors.recording.times import TimeError, parse_shown

            position = self.position
            if not text.strip() or position is None:
                return ""
            live = self._app.live.now if self.has_live else None
            try:
                asked = parse_shown(text, position.at, position.start, position.end, now=live)
            except TimeError as error:
                return str(error)
            self._do(lambda player, _: (player.seek_second if asked.is_second else player.seek)(asked.at))
            if asked.told:
                self._app.say(asked.told)
            return ""

        self._screen.ask("go to", "14:03, -5m, 3m ago, 2026-11-21T14:03Z; enter goes, esc stays", go)

    def _ask_bookmark(self) -> None:
        was_playing = self.position is not None and self.position.is_playing

        def keep(text: str) -> str:
            self._do(lambda player, _: player.bookmark(text))
            return ""

        def go_on() -> None:
            if was_playing:
                self._do(lambda player, _: player.play())

        # It marks the time that is seen, not the one that it would play on to while a note is typed.
        self._do(lambda player, _: player.pause())
        self._screen.ask(*BOOKMARK, keep, go_on, most=NOTED_MOST)

    def _set_mark(self) -> None:
        def mark(player: "Player", position: "Position") -> None:
            player.set_mark(position.at)
            self._app.say(f"mark set; {self.key('replay.differences')} tells what is different from it")

        self._do(mark)

    def _show_differences(self) -> None:
        if self.mark_frame is None:
            self._app.say(f"no mark yet: {self.key('replay.mark')} sets one at the time that is shown")
            return
        from tui.screens.differences import DifferencesScreen

        if not isinstance(self._app.screen, DifferencesScreen):
            self._app.push_screen(DifferencesScreen())

    def _list_bookmarks(self) -> None:
        from tui.screens.bookmarks import BookmarksScreen

        if not isinstance(self._app.screen, BookmarksScreen):
            self._app.push_screen(BookmarksScreen())

    def _turn_following(self) -> None:
        if self.is_following:
            self.look_freely()
            return
        position = self.position
        if position is None or position.view is None:
            self._app.say("what the operator looked at was not recorded at this time")
            return
        self.is_following = True
        self.arrived()
        self._app.draw_all()
        top = self._app.top
        below = f", below this: {self.key('back')} closes it" if top is not None and top.title else ""
        self._app.say(f"as the operator saw it{below}")

    def key(self, action: str) -> str:
        """The first key of an action, as hints write it."""
        keys = keys_of(action, self._app.keymap)
        return key_label(keys[0], self._app.glyphs) if keys else f"the key of {action}"

    @property
    def _screen(self) -> "CockpitScreen":
        return cast("CockpitScreen", self._app.screen)


def whole_replay(app: "CockpitApp") -> Replaying:
    """Of an application that shows a recording and nothing else."""
    return Replaying(app, app.live, has_live=False)
