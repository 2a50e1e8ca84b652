"""One source as the screen knows it: its newest frame, what is remembered of its past, what it says."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from textual.message import Message

from tui.feed import Feed
from tui.messages import FrameArrived, SourceSpoke

if TYPE_CHECKING:
    from collectors.fleet import Frame, Source
    from tui.replaying import Replayed
    from tui.screens.trends import Trends
    from tui.store import History


class Stream:
    """A feed with a memory of its own: what is live and what is recorded never share one.

    connect: builds the source, on the feed's thread
    post: takes messages for the screen, from any thread
    is_replay: the source is a `Replayed`: its time is the recording's, and it jumps
    once: end with the first trouble, in place of trying again
    """

    def __init__(
        self,
        connect: "Callable[[], Source]",
        post: Callable[[Message], object],
        *,
        is_replay: bool = False,
        once: bool = False,
    ) -> None:
        self.is_replay = is_replay
        self.latest: Frame | None = None
        self.frozen: Frame | None = None
        self.sentence, self.in_trouble = "", False
        self.arrived_at = 0.0
        self.feed = Feed(self._connect_late, self._take, self._speak, once=once)
        self._connect, self._post = connect, post
        self._history: History | None = None
        self._still: History | None = None
        self._trends: Trends | None = None
        self._jumps = 0

    @property
    def is_fed(self) -> bool:
        """Whether there is anything that remembers yet."""
        return self._history is not None

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
    def now(self) -> float:
        """The time by the watched clock: live, it goes on when frames do not; in a replay, the frame's."""
        if self.latest is None:
            return time.time()
        if self.is_replay:
            return self.latest.at
        return self.latest.at + max(0.0, time.monotonic() - self.arrived_at)

    def arrived(self, frame: "Frame") -> None:
        """A newer frame, on the screen's thread."""
        self.latest, self.arrived_at = frame, time.monotonic()
        self.sentence, self.in_trouble = "", False

    def freeze(self) -> None:
        """Stand still, or go on again."""
        if self.frozen is not None or self._history is None:
            self.frozen = self._still = None
        else:
            from tui.screens.late import StillHistory

            self.frozen, self._still = self.latest, StillHistory(self._history)

    def _connect_late(self) -> "Source":
        """On the feed's thread: import what draws frames, then build the source."""
        import tui.screens.fleet_panels  # noqa: F401  # so that the first frame finds it imported
        from tui.screens.trends import Trends
        from tui.store import History

        if self._history is None or self.is_replay:
            self._history, self._trends = History(), Trends()
        self._jumps = 0
        return self._connect()

    def _take(self, frame: "Frame") -> None:
        """On the feed's thread. Memory is fed before the message: a replaced message is never seen."""
        if not self._jumped(frame):
            self._history_of_feed.add(frame)
            self.trends.add(frame)
        self._post(FrameArrived(frame, self))

    @property
    def _history_of_feed(self) -> "History":
        assert self._history is not None
        return self._history

    def _jumped(self, frame: "Frame") -> bool:
        """Whether this frame does not follow the last one; then memory is filled with what was before it."""
        source = self.feed.source
        if not self.is_replay or source is None:
            return False
        replayed = cast("Replayed", source)
        if replayed.jumps == self._jumps or replayed.series is None:
            return False
        jumps = replayed.jumps
        self._history_of_feed.refill(replayed.series, frame, replayed.event_history)
        self.trends.refill(replayed.series, frame)
        self._jumps = jumps
        return True

    def _speak(self, sentence: str, trouble: bool) -> None:
        self._post(SourceSpoke(sentence, trouble, self))
