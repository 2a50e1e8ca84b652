"""A frame as it stands later, though nothing newer came."""

from dataclasses import replace

from collectors.fleet import Frame, Model
from collectors.readings import aged

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
