"""Which keys count: what was typed ahead, or pasted, must never confirm anything (S4, S5). Pure.

`y` is held to more than other keys, because it is the one that writes:

- It counts only after `SETTLE_S` without any key before it. So no character of a paste but the first can be
  the `y` that applies.
- Behind another `y` it counts only after `REPEAT_S`: a key that is held down waits longer than `SETTLE_S`
  before it repeats itself, and a `y` that was dropped, or that ended a typed name, must not come back so.
- It then waits `HOLD_S` for a key behind it. A paste that begins with `y` comes in one piece, so the next
  character is there well before; a person's next key is not. Waiting for the whole of `BURST_S` would cost
  more than the way to the control plane may take in all (20 ms).
"""

from collections import deque

SETTLE_S = 0.4
"""Seconds in which keys are dropped after what they act on changed; also the quiet that ends a paste."""

REPEAT_S = 1.2
"""Seconds after which the same key again was pressed again: a key held down begins to repeat itself after
0.66 s on X11 as it comes, 0.5 s on macOS, and 1 s on Windows at its slowest."""

BURST_KEYS, BURST_KINDS, BURST_S = 8, 3, 0.05
"""So many printable keys, so many of them different, within so many seconds are no typing: a paste."""

HOLD_S = 0.01
"""Seconds that `y` waits for a key behind it."""

PASTED = "that came too fast for typing: taken for a paste, and its keys dropped"
EARLY = "came too early and was dropped: press it again"
HURRIED = f"apply needs {SETTLE_S:g} s without a key before it: press y again"
HELD = f"y right after y can be one that is held down: let go, and press y again in {REPEAT_S:g} s"


class KeyGuard:
    """What the latest keys looked like. Times are seconds by one clock that never goes back."""

    def __init__(self) -> None:
        self._counts_from = float("-inf")
        self._last_at = float("-inf")
        self._last_key = ""
        self._quiet_s = float("inf")
        self._is_repeated = False
        self._recent: deque[tuple[float, str]] = deque(maxlen=BURST_KEYS)
        self._is_pasting = False

    def restart(self, now: float) -> None:
        """What keys act on has changed, or is looked at again only now: drop keys for a while (S4)."""
        self._counts_from = max(self._counts_from, now + SETTLE_S)

    def note(self, key: str, is_printable: bool, at: float) -> None:
        """A key was typed, or a paste began. Every one is to be noted, dropped ones too, in order of time."""
        self._quiet_s = at - self._last_at
        self._is_repeated = key == self._last_key and self._quiet_s < REPEAT_S
        self._last_at, self._last_key = max(at, self._last_at), key
        if self._quiet_s >= SETTLE_S:
            self._is_pasting = False
        if not is_printable:
            return
        self._recent.append((at, key))
        if len(self._recent) == BURST_KEYS and at - self._recent[0][0] <= BURST_S:
            kinds = {typed for _, typed in self._recent}
            self._is_pasting = self._is_pasting or len(kinds) >= BURST_KINDS

    @property
    def is_pasting(self) -> bool:
        """Whether the key noted last belongs to a paste."""
        return self._is_pasting

    @property
    def haste(self) -> str:
        """Why the key noted last may not confirm, a sentence: no quiet was before it. "" if there was."""
        if self._quiet_s < SETTLE_S:
            return HURRIED
        return HELD if self._is_repeated else ""

    @property
    def last_at(self) -> float:
        """When the latest key came."""
        return self._last_at

    def is_early(self, at: float) -> bool:
        """Whether a key typed at `at` was meant for something that is no longer there (S4)."""
        return at < self._counts_from
