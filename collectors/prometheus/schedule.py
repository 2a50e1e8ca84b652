"""When to ask what: detection, the accelerators, and the quiet that a server asked for. Pure."""

from collectors.prometheus.client import LONGEST_WAIT_S

DETECT_S = 300.0
EMPTY_POLLS = 3
ACCELERATORS_S = 15.0
"""Accelerators are asked about no more often: each query costs the server time for every one of them, and
dcgm-exporter itself samples every 30 s."""

FIRST_WAIT_S = 5.0
_SLACK_S = 0.5


class Schedule:
    """Times are seconds of one clock that only goes forward, except of the map: the server's own."""

    def __init__(self) -> None:
        self._detected: float | None = None
        self._empty = 0
        self._accelerators: float | None = None
        self._quiet_until = 0.0
        self._quiets = 0

    def detection_due(self, now: float) -> bool:
        """At start, every 5 minutes, and after 3 polls in a row without a row."""
        return self._detected is None or self._empty >= EMPTY_POLLS or now - self._detected >= DETECT_S

    def detected(self, now: float) -> None:
        """Detection has answered."""
        self._detected, self._empty = now, 0

    def polled(self, *, empty: bool) -> None:
        """A poll has ended."""
        self._empty = self._empty + 1 if empty else 0
        if not empty:
            self._quiets = 0

    def accelerators_due(self, at: float, interval_s: float) -> bool:
        """True once in `interval_s`; that it was asked is noted. A clock set back is due."""
        if self._accelerators is not None and 0 <= at - self._accelerators < interval_s - _SLACK_S:
            return False
        self._accelerators = at
        return True

    def keep_quiet(self, now: float, wait_s: float) -> None:
        """Ask nothing for so long. 0, no time given: 5 s, and twice that with every time it is said again."""
        if now < self._quiet_until:
            return
        self._quiet_until = now + (wait_s or min(FIRST_WAIT_S * 2**self._quiets, LONGEST_WAIT_S))
        self._quiets = min(self._quiets + 1, 10)

    def quiet_s(self, now: float) -> float:
        """Seconds of quiet left; 0 for none."""
        return max(0.0, self._quiet_until - now)
