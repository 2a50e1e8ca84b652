"""The readings of a recording as rows: one for each that differs from the one before it of its series.

So no row repeats another, and nothing is lost: between two rows of a series its reading stayed as it was.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from collectors.fleet import Frame, Model
from collectors.readings import Interval, Quality, Reading, Reason, worded

KNOWN = frozenset({Quality.GOOD, Quality.SUSPECT})
"""Qualities whose value counts as a number of its time; any other one is old, or none."""

Readings = Mapping[str, Reading]


class Series(NamedTuple):
    """What a reading is of. tier, feature: "" for the whole model; model: "" for the whole fleet."""

    model: str
    tier: str
    feature: str
    signal: str


class Row(NamedTuple):
    """A reading that is new. at: of the first frame that shows it; None: it is there no more."""

    at: float
    series: Series
    reading: Reading | None


class Choice(NamedTuple):
    """Which readings are wanted: of these signals and models. Empty: of all of them."""

    signals: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()


ALL = Choice()
NOT_RECORDED = Reading(None, None, Quality.UNKNOWN, Reason("not-recorded"))


class Changes:
    """Frames in, rows out. Memory: the newest reading of each series.

    seen: models that were in any frame, wanted or not
    """

    def __init__(self, choice: Choice = ALL) -> None:
        self._choice = choice
        self._newest: dict[tuple[str, str, str], Readings] = {}
        self._models: dict[str, Model] = {}
        self.seen: set[str] = set()

    def rows(self, frame: Frame) -> Iterator[Row]:
        """What is new in this frame, in order of model, tier, feature."""
        if not self._choice.models:
            yield from self._of(frame.at, ("", "", ""), frame.totals)
        models = {model.name: model for model in frame.models}
        self.seen.update(models)
        for name in (*models, *(self._models.keys() - models.keys())):
            if self._choice.models and name not in self._choice.models:
                continue
            before, model = self._models.get(name), models.get(name)
            if model is not before:
                yield from self._of_model(frame.at, name, before, model)
        self._models = models

    def broken_off(self, at: float) -> Iterator[Row]:
        """From then on nothing was recorded: what the next frame shows is all new."""
        for place, readings in self._newest.items():
            for signal in readings:
                if not self._choice.signals or signal in self._choice.signals:
                    yield Row(at, Series(*place, signal), NOT_RECORDED)
        self._newest, self._models = {}, {}

    def _of_model(self, at: float, name: str, before: Model | None, model: Model | None) -> Iterator[Row]:
        old, new = _groups(before), _groups(model)
        for tier, feature in (*new, *(old.keys() - new.keys())):
            yield from self._of(at, (name, tier, feature), new.get((tier, feature), {}))

    def _of(self, at: float, place: tuple[str, str, str], readings: Readings) -> Iterator[Row]:
        before = self._newest.get(place, {})
        if readings is before:
            return
        wanted = self._choice.signals
        for signal, reading in readings.items():
            old = before.get(signal)
            if (old is reading or old == reading) or (wanted and signal not in wanted):
                continue
            yield Row(at, Series(*place, signal), reading)
        for signal in before.keys() - readings.keys():
            if not wanted or signal in wanted:
                yield Row(at, Series(*place, signal), None)
        if readings:
            self._newest[place] = readings
        else:
            self._newest.pop(place, None)


def _groups(model: Model | None) -> dict[tuple[str, str], Readings]:
    """(tier, feature) -> readings."""
    if model is None:
        return {}
    found: dict[tuple[str, str], Readings] = {("", ""): model.readings}
    found |= {(tier, ""): readings for tier, readings in model.tiers.items()}
    found |= {("", feature): readings for feature, readings in model.by_feature.items()}
    return found | {
        (tier, feature): readings
        for feature, tiers in model.cells.items()
        for tier, readings in tiers.items()
    }


class Numbers(NamedTuple):
    """A reading's parts as columns: None for what there is none of.

    value: the number, or a quantile's estimate; lo, hi: of a quantile, between which it lies
    """

    value: float | None
    lo: float | None
    hi: float | None
    quality: str
    reason: str
    measured: float | None
    answered: int | None
    known: int | None


ABSENT = Numbers(None, None, None, "absent", "the frame has no such reading", None, None, None)


def numbers(reading: Reading | None) -> Numbers:
    """The columns of a reading, or those that say that it is gone."""
    if reading is None:
        return ABSENT
    lo = hi = None
    if isinstance(reading.value, Interval):
        lo, hi = reading.value.lo, reading.value.hi
    answered, known = reading.coverage or (None, None)
    reason = worded(reading.reason)
    return Numbers(reading.estimate, lo, hi, reading.quality.value, reason, reading.at, answered, known)


@lru_cache(maxsize=4096)
def utc(at: float | None) -> str:
    """A time as `2026-11-21T14:02:11.000Z`; "" where there is none, or none that a calendar knows."""
    if at is None:
        return ""
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return ""
