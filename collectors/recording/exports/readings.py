"""The readings of a recording as rows: one for each that differs from the one before it of its series.

So no row repeats another, and nothing is lost: between two rows of a series its reading stayed as it was.
What a throttle or a release opens is a number over time as well, and stands among them as a signal does.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from collectors.fleet import Frame, Model, Release, Throttle
from collectors.readings import NO_REASON, SIGNALS, Interval, Quality, Reading, Reason, worded

KNOWN = frozenset({Quality.GOOD, Quality.SUSPECT})
"""Qualities whose value counts as a number of its time; any other one is old, or none."""

Readings = Mapping[str, Reading]

STANDS: Mapping[str, tuple[str, str]] = {
    "throttle_level": ("share that a throttle is set to admit", "ratio"),
    "throttle_in_force": ("share that a throttle admits now", "ratio"),
    "throttle_limit": ("limit of a throttle, in its own unit", ""),
    "release_desired": ("share of a tier that a release should have", "ratio"),
    "release_observed": ("share of a tier that a release is seen to have", "ratio"),
}
"""What is no signal but stands as one in exports: title and unit. A throttle's rows name feature and tier, a
release's its id, in the place of the model, and the tier."""


def title_of(signal: str) -> str:
    """What a row's number is, for people; "" for a signal of a newer version."""
    return SIGNALS[signal].title if signal in SIGNALS else STANDS.get(signal, ("", ""))[0]


def unit_of(signal: str) -> str:
    """The unit of a row's number; "" where it is not known."""
    return SIGNALS[signal].unit if signal in SIGNALS else STANDS.get(signal, ("", ""))[1]


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


Place = tuple[str, str, str, str]
"""Model or release, tier, feature; and "release" where it is one: models can have the same name."""

_RELEASE = "release"


class Changes:
    """Frames in, rows out. Memory: the newest reading of each series."""

    def __init__(self, choice: Choice = ALL) -> None:
        self._choice = choice
        self._newest: dict[Place, Readings] = {}
        self._models: dict[str, Model] = {}
        self._throttles: tuple[Throttle, ...] = ()
        self._releases: tuple[Release, ...] = ()

    def rows(self, frame: Frame) -> Iterator[Row]:
        """What is new in this frame: the fleet's totals, models, throttles, releases."""
        if not self._choice.models:
            yield from self._of(frame.at, ("", "", "", ""), frame.totals)
        models = {model.name: model for model in frame.models}
        for name in (*models, *(self._models.keys() - models.keys())):
            if self._choice.models and name not in self._choice.models:
                continue
            before, model = self._models.get(name), models.get(name)
            if model is not before:
                yield from self._of_model(frame.at, name, before, model)
        self._models = models
        if frame.throttles is not self._throttles and not self._choice.models:
            yield from self._of_group(frame.at, _throttled(self._throttles), _throttled(frame.throttles))
        if frame.releases is not self._releases:
            chosen = self._choice.models
            was = _opened(self._releases, chosen)
            yield from self._of_group(frame.at, was, _opened(frame.releases, chosen))
        self._throttles, self._releases = frame.throttles, frame.releases

    def broken_off(self, at: float) -> Iterator[Row]:
        """From then on nothing was recorded: what the next frame shows is all new."""
        for place, readings in self._newest.items():
            for signal in readings:
                if not self._choice.signals or signal in self._choice.signals:
                    yield Row(at, Series(*place[:3], signal), NOT_RECORDED)
        self._newest, self._models, self._throttles, self._releases = {}, {}, (), ()

    def _of_model(self, at: float, name: str, before: Model | None, model: Model | None) -> Iterator[Row]:
        return self._of_group(at, _groups(name, before), _groups(name, model))

    def _of_group(
        self, at: float, old: Mapping[Place, Readings], new: Mapping[Place, Readings]
    ) -> Iterator[Row]:
        for place in (*new, *sorted(old.keys() - new.keys())):
            yield from self._of(at, place, new.get(place, {}))

    def _of(self, at: float, place: Place, readings: Readings) -> Iterator[Row]:
        before = self._newest.get(place, {})
        if readings is before:
            return
        wanted = self._choice.signals
        for signal, reading in readings.items():
            old = before.get(signal)
            if (old is reading or old == reading) or (wanted and signal not in wanted):
                continue
            yield Row(at, Series(*place[:3], signal), reading)
        for signal in sorted(before.keys() - readings.keys()):
            if not wanted or signal in wanted:
                yield Row(at, Series(*place[:3], signal), None)
        if readings:
            self._newest[place] = readings
        else:
            self._newest.pop(place, None)


def _groups(name: str, model: Model | None) -> dict[Place, Readings]:
    if model is None:
        return {}
    found: dict[Place, Readings] = {(name, "", "", ""): model.readings}
    found |= {(name, tier, "", ""): readings for tier, readings in model.tiers.items()}
    found |= {(name, "", feature, ""): readings for feature, readings in model.by_feature.items()}
    return found | {
        (name, tier, feature, ""): readings
        for feature, tiers in model.cells.items()
        for tier, readings in tiers.items()
    }


def _throttled(throttles: Iterable[Throttle]) -> dict[Place, Readings]:
    found: dict[Place, Readings] = {}
    for one in throttles:
        limit = {} if one.limit is None else {"throttle_limit": _standing(one.limit)}
        shares = {"throttle_level": _standing(one.level), "throttle_in_force": _standing(one.in_force)}
        found["", one.tier, one.feature, ""] = shares | limit
    return found


def _opened(releases: Iterable[Release], chosen: Collection[str]) -> dict[Place, Readings]:
    return {
        (one.id, open_to.tier, "", _RELEASE): {
            "release_desired": _standing(open_to.desired),
            "release_observed": _standing(open_to.observed),
        }
        for one in releases
        if not chosen or one.id in chosen
        for open_to in one.exposure
    }


def _standing(value: float | None) -> Reading:
    """What a control plane says. It says no time of it: the row's own is when it was first seen."""
    return Reading(value, None, Quality.UNKNOWN if value is None else Quality.GOOD)


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
    reason = "" if reading.reason is NO_REASON else worded(reading.reason)
    return Numbers(reading.estimate, lo, hi, reading.quality.value, reason, reading.at, answered, known)


@lru_cache(maxsize=4096)
def utc(at: float | None) -> str:
    """A time as `2026-11-21T14:02:11.000Z`; "" where there is none, or none that a calendar knows."""
    if at is None:
        return ""
    try:
        # Rounded first: a calendar cuts off, and the same time stands beside it as a rounded number.
        return (
            datetime.fromtimestamp(round(at, 3), UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
        )
    except (ValueError, OverflowError, OSError):
        return ""
