"""What to show when the source is silent, or the operator froze the display."""

from dataclasses import replace

from collectors.fleet import Event, Frame, Model, aged
from tui.store import History

USUAL_INTERVAL_S = 5.0
"""Seconds between samples where no source says."""


def counted_on(frame: Frame, now: float) -> Frame:
    """The frame as it stands at `now` though nothing newer came: readings age and lose their values (D10)."""
    interval_s = max((s.interval_s or 0.0 for s in frame.sources), default=0.0) or USUAL_INTERVAL_S
    return replace(
        frame,
        at=now,
        models=tuple(_aged_model(model, now, interval_s) for model in frame.models),
        totals={signal: aged(one, now, interval_s) for signal, one in frame.totals.items()},
    )


def held(frame: Frame, now: float) -> Frame:
    """A frozen frame at `now`: values as they were, ages counting on."""
    return replace(frame, at=now)


def _aged_model(model: Model, now: float, interval_s: float) -> Model:
    return replace(
        model,
        readings={signal: aged(one, now, interval_s) for signal, one in model.readings.items()},
        tiers={
            tier: {signal: aged(one, now, interval_s) for signal, one in readings.items()}
            for tier, readings in model.tiers.items()
        },
        by_feature={
            feature: {signal: aged(one, now, interval_s) for signal, one in readings.items()}
            for feature, readings in model.by_feature.items()
        },
        cells={
            feature: {
                tier: {signal: aged(one, now, interval_s) for signal, one in readings.items()}
                for tier, readings in tiers.items()
            }
            for feature, tiers in model.cells.items()
        },
    )


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
