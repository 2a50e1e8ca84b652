"""How long a throttle is asked for: the times to choose from, its end, and what is sent for it. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime

from tui.dialogs.form import Choice, Option
from tui.format import duration
from tui.throttles import minutes, moment

TIMES: tuple[tuple[str, int], ...] = (("5m", 300), ("15m", 900), ("30m", 1800), ("1h", 3600))
"""How long a throttle may be asked for, seconds: a temporary limit has an end by default."""

FOR_NOW, UNTIL_CLEARED, REST, LONGEST = "30m", "until-cleared", "rest", "longest"
"""The time that is chosen at first; no end; until a given time; the longest that a plane allows."""


@dataclass(frozen=True, slots=True)
class Timing:
    """A time that is asked for.

    at: now, seconds since the epoch; longest: that the plane allows, seconds
    chosen: id of TIMES or one of the other times; "" as long as nobody chose
    rest_until: the time that REST stands for, seconds since the epoch
    base: an end, seconds since the epoch, that each of TIMES is added to; None adds them to now
    """

    at: float
    longest: int
    chosen: str = ""
    rest_until: float | None = None
    base: float | None = None

    @property
    def id(self) -> str:
        """The time that is chosen, or stands there at first."""
        if self.chosen:
            return self.chosen
        allowed = [id for id, seconds in TIMES if self._is_allowed(seconds)]
        return FOR_NOW if FOR_NOW in allowed else allowed[-1] if allowed else LONGEST

    @property
    def ends_at(self) -> float | None:
        """When its time would be up; None has no end."""
        if self.id == REST:
            return self.rest_until
        if self.id == LONGEST:
            return self.at + self.longest
        seconds = dict(TIMES).get(self.id)
        return None if seconds is None else (self.at if self.base is None else self.base) + seconds

    @property
    def seconds(self) -> int | None:
        """From now on; None without an end."""
        ends = self.ends_at
        return None if ends is None else round(ends - self.at)

    @property
    def by_clock(self) -> str:
        """The end as a time of day, RFC 3339, where that is what is asked for: so the same is asked for a
        second later, and by the clock that gave it. Else empty: seconds from now are."""
        is_added = self.base is not None and self.id in dict(TIMES)
        ends = self.ends_at
        if ends is None or not (is_added or self.id == REST):
            return ""
        return datetime.fromtimestamp(ends, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    @property
    def wrong(self) -> str:
        """Why the time cannot be asked for; "" where it can."""
        seconds = self.seconds
        if seconds is not None and seconds > self.longest:
            return f"this control plane sets a throttle for {minutes(self.longest)} at most"
        if seconds is not None and seconds < 1:
            return "the time that was left of it is over: choose another one"
        return ""

    def row(self, clears: str) -> Choice:
        """The times to choose from. `clears`: why none can be, while it is cleared; else empty."""
        too_long = f"this control plane sets a throttle for {minutes(self.longest)} at most"
        sign = "" if self.base is None else "+"
        options = [
            Option(id, f"{sign}{id}", "" if self._is_allowed(seconds) else too_long) for id, seconds in TIMES
        ]
        if self.id == LONGEST or all(option.why for option in options):
            options.insert(0, Option(LONGEST, minutes(self.longest)))
        if self.rest_until is not None:
            options.insert(0, Option(REST, f"until {moment(self.rest_until)}"))
        options.append(Option(UNTIL_CLEARED, "until cleared"))
        if clears:
            options = [option._replace(why=clears) for option in options]
        note = ""
        if not clears and (ends := self.ends_at) is not None:
            note = f"to {moment(ends)}"
            if self.base is not None:
                note += f", {duration(self.base - self.at)} left now"
        return Choice("for", "For", tuple(options), (self.id,), note=note)

    def _is_allowed(self, seconds: int) -> bool:
        left = 0.0 if self.base is None else self.base - self.at
        return left + seconds <= self.longest
