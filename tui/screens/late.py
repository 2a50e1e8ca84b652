"""What to show while the operator froze the display."""

from collectors.fleet import Event
from tui.store import History


class StillHistory(History):
    """A history that answers as it first did: it goes on behind a frozen display."""

    def __init__(self, live: History) -> None:
        super().__init__()
        self._live = live
        self._events_then = live.events
        self._answers: dict[tuple[str, str | None, int], tuple[float, ...]] = {}

    @property
    def events(self) -> tuple[Event, ...]:
        """Those there were when it stopped."""
        return self._events_then

    def spark_values(self, model: str, tier: str | None, n: int) -> tuple[float, ...]:
        """The values at the first time of asking."""
        key = (model, tier, n)
        if key not in self._answers:
            self._answers[key] = self._live.spark_values(model, tier, n)
        return self._answers[key]

    def value_at(self, model: str, tier: str, at: float) -> float:
        """As in the live one: what was does not change."""
        return self._live.value_at(model, tier, at)

    def is_scaled(self, model: str) -> bool:
        """As in the live one."""
        return self._live.is_scaled(model)
