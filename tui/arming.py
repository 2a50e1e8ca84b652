"""Whether writes are on, for how long, and why not (S6). Pure: told the frame and the clock."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collectors.fleet import Frame
    from collectors.intents import PlaneFacts

ARMED_S = 600.0
"""Seconds that arming lasts."""

NAME_ROOM = 12
"""Characters of the operator's name in the badge."""

Writes = Literal["never", "arm", "on"]


def awake_or_asleep_s() -> float:
    """Seconds that never go back and go on while the machine sleeps: a closed lid must not prolong arming."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Arming:
    """Writes are off at start, and on for `ARMED_S` after `arm`, in one context.

    writes: "never" for a context that is only watched; "on" where writes are always on: then nothing is
        typed, in production neither, for whoever configured it decided so
    clock: seconds that never go back
    """

    def __init__(self, writes: Writes, clock: Callable[[], float] = awake_or_asleep_s) -> None:
        self.writes, self._clock = writes, clock
        self._until = float("-inf")
        self._context: tuple[str, bool] | None = None

    @property
    def left_s(self) -> float:
        """Seconds until arming ends by itself; 0 when not armed; infinite where writes are always on."""
        return float("inf") if self.writes == "on" else max(0.0, self._until - self._clock())

    def seen(self, frame: "Frame") -> None:
        """A newer frame: arming ends with its context, and with a replay."""
        if self._context not in (None, (frame.context, frame.production)) or frame.mode == "REPLAY":
            self.disarm()

    def arm(self, frame: "Frame") -> None:
        """Writes are on in the frame's context from now."""
        if self.writes == "arm" and not self.refused(frame):
            self._until, self._context = self._clock() + ARMED_S, (frame.context, frame.production)

    def disarm(self) -> None:
        """Writes are off from now."""
        self._until, self._context = float("-inf"), None

    def refused(self, frame: "Frame | None") -> str:
        """Why writes cannot be turned on, a sentence; "" if they can."""
        if frame is None:
            return "nothing to write to yet: waiting for the first frame"
        if frame.mode == "REPLAY":
            return "a replay cannot write"
        if self.writes == "never":
            return 'this context is only watched: writes = "never"'
        if frame.plane is None:
            return "no control plane is connected: nothing to write to"
        if not _may_write(frame.plane):
            return f"your role here, {frame.plane.role or 'unknown'}, may change nothing"
        return ""

    def off(self, frame: "Frame | None") -> str:
        """Why nothing can be written now, and what to do; "" while writes are on."""
        if why := self.refused(frame):
            return why
        assert frame is not None
        if self.left_s > 0 and self._context in (None, (frame.context, frame.production)):
            return ""
        return "writes are off: W arms them for 10 min"

    def badge(self, frame: "Frame | None") -> str:
        """For the header: `[READ-ONLY]`, `[ARMED alice 09:12 left]`, `[WRITES ON alice]`, and why not."""
        if self.off(frame):
            return f"[{_why_short(self.writes, frame)}]"
        assert frame is not None
        assert frame.plane is not None
        actor = frame.plane.actor.partition("@")[0][:NAME_ROOM]
        who = f" {actor}" if actor else ""
        if self.writes == "on":
            return f"[WRITES ON{who}]"
        left = int(self.left_s)
        return f"[ARMED{who} {left // 60:02d}:{left % 60:02d} left]"


def _why_short(writes: Writes, frame: "Frame | None") -> str:
    if frame is not None and frame.mode == "REPLAY":
        return "ALL WRITES OFF"
    if writes == "never":
        return "WRITES OFF: config"
    if frame is not None and frame.plane is not None and not _may_write(frame.plane):
        return f"WRITES OFF: role {frame.plane.role or 'unknown'}"
    return "READ-ONLY"


def _may_write(plane: "PlaneFacts") -> bool:
    reads = ("watch", "dry_run")
    return any(ability.is_open for name, ability in plane.abilities.items() if name not in reads)
