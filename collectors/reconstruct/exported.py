"""Readings that an export of a recording brought into a Prometheus, taken as they are. Pure.

The export has a sample where a reading changes, and NaN where it has no number any more; between two samples
it stayed as it was. So an age proves nothing, up to the look-back of the server. Source: docs/tgrec.md.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from collectors.readings import SIGNALS, Interval, Quality, Reading, Reason, reading
from collectors.signals.catalogue import Definition, Metric, Row
from collectors.signals.keys import Key

STACK = "tidegate-export"
PREFIX = "tidegate_signal_"
LOW, HIGH = "_lo", "_hi"

INTERVAL_S = 150.0
"""Taken for the time between two samples: stale is then what a server does not answer with any more."""

_LABELS = ("model", "tier", "feature")
_NO_NUMBER = Reason("not-recorded")


def definitions() -> tuple[Definition, ...]:
    """One for each signal, and one for each bound of those that may have any."""
    return tuple(
        Definition(
            signal=signal,
            stack=STACK,
            role="router",
            kind="gauge",
            metrics=(Metric(f"{PREFIX}{signal}{ending}"),),
            keep=_LABELS,
            aggregate="max",
        )
        for signal in SIGNALS
        for ending in (("", LOW, HIGH) if "_p" in signal and signal.rpartition("_p")[2].isdigit() else ("",))
    )


def readings(answers: Mapping[str, Sequence[Row]], at: float) -> dict[Key, Reading]:
    """Readings by key, from the rows of each metric's answer at a moment."""
    values = {name: _by_labels(rows) for name, rows in answers.items()}
    found: dict[Key, Reading] = {}
    for signal in SIGNALS:
        name = f"{PREFIX}{signal}"
        lows, highs = values.get(name + LOW, {}), values.get(name + HIGH, {})
        for labels, value in values.get(name, {}).items():
            model, tier, feature = labels
            key = Key(model, tier, signal, feature)
            if math.isnan(value):
                found[key] = Reading(None, at, Quality.MISSING, _NO_NUMBER)
                continue
            low, high = lows.get(labels, math.nan), highs.get(labels, math.nan)
            is_interval = low <= high
            found[key] = reading(signal, Interval(low, high, value) if is_interval else value, at)
    return found


def _by_labels(rows: Iterable[Row]) -> dict[tuple[str, str, str], float]:
    found = {}
    for row in rows:
        model, tier, feature = (row.labels.get(label, "") for label in _LABELS)
        if isinstance(row.value, float):
            found[model, tier, feature] = row.value
    return found
