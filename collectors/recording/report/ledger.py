"""What frames add up to as they go by: how each tier stood and for how long, alerts, throttles, lines.

Frames are taken one after another and forgotten, so that a day costs no more memory than an hour. What a
frame says holds until the next one, as a replay shows it.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from collectors.fleet import ALL_TIERS, Alert, Frame, Model, Release, SourceHealth, SourceState, Throttle
from collectors.readings import Quality, Reading, Reason, bounds_of
from collectors.recording.parts import STATE_LOST
from collectors.recording.report.harm import Harm, Span, State, good, parts_of, span_of
from collectors.recording.report.taken import Shifts
from collectors.text import clean

BINS = 240
"""Points of a line in a chart: about one for each millimetre and a half of a printed page, twice over."""

CHANGES_MOST, REASONS_MOST = 20_000, 16
"""Changes of throttles, and reasons of one tier, that are kept: a file from outside may hold any number."""


class Run(NamedTuple):
    """A stretch in which a tier stood as `state`."""

    start: float
    end: float
    state: State


class Point(NamedTuple):
    """The worst wait in one part of the window: its bucket and estimate, seconds. `is_p95`: of the p95."""

    lo: float
    hi: float
    estimate: float
    is_p95: bool = False

    @property
    def wait(self) -> tuple[float, float, float]:
        """Estimate and bucket, as a wait is told."""
        return self.estimate, self.lo, self.hi


class Worst(NamedTuple):
    """The worst wait of all, and when it was first seen."""

    at: float
    point: Point


class Level(NamedTuple):
    """A step of a throttle: from `at` on, `level` was admitted (None: nobody knew)."""

    at: float
    level: float | None


@dataclass(slots=True)
class Tracked:
    """One tier of a model over the window. points: one for each bin, None where there was no good reading.

    unread: seconds without a good reading of its wait, by the code of the reason
    """

    objective: float | None = None
    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(Harm.__slots__, 0.0))
    runs: list[Run] = field(default_factory=list)
    worst: Worst | None = None
    points: list[Point | None] = field(default_factory=lambda: [None] * BINS)
    unread: dict[str, float] = field(default_factory=dict)

    @property
    def harm(self) -> Harm:
        """What it cost, so far."""
        return Harm(**self.sums)


@dataclass(slots=True)
class Rate:
    """A rate over the window: sums of value x seconds and of seconds, by bin."""

    sums: list[float] = field(default_factory=lambda: [0.0] * BINS)
    seconds: list[float] = field(default_factory=lambda: [0.0] * BINS)

    def means(self) -> tuple[float | None, ...]:
        """Mean of each bin; None where it was not known."""
        return tuple(s / t if t > 0 else None for s, t in zip(self.sums, self.seconds, strict=True))


@dataclass(slots=True)
class Shown:
    """An alert on the screen with one severity: from `first` on, until `gone` (None: still there)."""

    alert: Alert
    first: float
    gone: float | None = None


@dataclass(slots=True)
class Lost:
    """A source that did not answer: from `start` until `end` (None: still so), and what it said."""

    source: str
    start: float
    end: float | None
    error: str


@dataclass(slots=True)
class Turned:
    """Requests of one cell (model, feature, tier), while some of them were turned away."""

    asked: float = 0.0
    refused: float = 0.0


@dataclass(slots=True)
class _Open:
    model: Model
    since: float


class Ledger:
    """Adds up frames of one window of time, `start` to `end`, seconds.

    changed: throttles as they first stood after a change, by its id in the control plane's audit
    shifts: what changed of what releases open
    """

    def __init__(self, start: float, end: float) -> None:
        self.start, self.end = start, end
        self.tiers: dict[tuple[str, str], Tracked] = {}
        self.asked: dict[str, Rate] = {}
        self.refused: dict[str, Rate] = {}
        self.alerts: dict[str, list[Shown]] = {}
        self.levels: dict[tuple[str, str], list[Level]] = {}
        self.changed: dict[str, Throttle] = {}
        self.shifts = Shifts()
        self.served_by: dict[str, tuple[str, ...]] = {}
        self.lost: list[Lost] = []
        self.turned: dict[tuple[str, str, str], Turned] = {}
        self.first: Frame | None = None
        self.last: Frame | None = None
        self._open: dict[str, _Open] = {}
        self._alerts: tuple[Alert, ...] | None = None
        self._throttles: tuple[Throttle, ...] | None = None
        self._releases: tuple[Release, ...] | None = None
        self._out: dict[str, Lost] = {}
        self.outdated: list[tuple[float, float]] = []
        self._outdated_from: float | None = None

    def take(self, frame: Frame, at: float) -> None:
        """What is true from `at` on, until the next frame or a pause."""
        self.first = self.first or frame
        self.last = frame
        names = set()
        for model in frame.models:
            names.add(model.name)
            before = self._open.get(model.name)
            if before is not None and before.model is model:
                continue
            if before is not None:
                self._close(before, at)
            self._open[model.name] = _Open(model, at)
            by_feature = [f.id for f in frame.features if model.subject in f.models]
            self.served_by[model.name] = tuple(
                dict.fromkeys((*model.features, *by_feature, *model.by_feature))
            )
        for name in self._open.keys() - names:
            self._close(self._open.pop(name), at)
        if frame.alerts is not self._alerts:
            self._take_alerts(frame.alerts, at)
        if frame.throttles is not self._throttles:
            self._take_throttles(frame, at)
        if frame.releases is not self._releases:
            self.shifts.take(frame.releases, at, is_late=self._releases is None)
        self._take_sources(frame.sources, at)
        self._take_notes(frame.notes, at)
        self._alerts, self._throttles, self._releases = frame.alerts, frame.throttles, frame.releases

    def pause(self, at: float) -> None:
        """Nothing is known from `at` on: a gap, or the end of the window."""
        for one in self._open.values():
            self._close(one, at)
        self._open.clear()
        for lost in self._out.values():
            lost.end = at
        self._out.clear()
        self._take_notes((), at)
        if at < self.end:
            self._throttles = self._releases = None
            for steps in self.levels.values():
                if steps[-1].level is not None:
                    steps.append(Level(at, None))

    def names_of(self, model: str) -> set[str]:
        """What a model is acted on and looked at by: its name, with and without its place, its features."""
        return {model, model.partition("@")[0], *self.served_by.get(model, ())}

    def in_order(self, tiers: Iterable[str]) -> tuple[str, ...]:
        """Names of tiers in the order of the fleet, those that it does not name last."""
        place = {tier.name: n for n, tier in enumerate(self.last.tiers if self.last else ())}
        return tuple(sorted(tiers, key=lambda name: (place.get(name, len(place)), name)))

    def judged(self) -> Iterator[tuple[str, str, Tracked]]:
        """Tiers that have an objective, by model and tier; `all` only of models that tell no others apart."""
        told_apart = {
            name
            for (name, tier), one in self.tiers.items()
            if tier != ALL_TIERS and one.objective is not None and one.harm.judged_s > 0
        }
        for (name, tier), one in sorted(self.tiers.items(), key=lambda item: item[0]):
            if one.objective is not None and (tier != ALL_TIERS or name not in told_apart):
                yield name, tier, one

    def _take_sources(self, sources: Iterable[SourceHealth], at: float) -> None:
        names = {one.name: one for one in sources if one.state is SourceState.LOST}
        for name in self._out.keys() - names.keys():
            self._out.pop(name).end = at
        for name, one in names.items():
            if name not in self._out:
                self._out[name] = Lost(name, at, None, one.error)
                self.lost.append(self._out[name])

    def _take_notes(self, notes: Iterable[Reason], at: float) -> None:
        """Stretches in which what is no number may be out of date, for what changed it is lost."""
        is_outdated = STATE_LOST in notes
        if is_outdated and self._outdated_from is None:
            self._outdated_from = at
        elif not is_outdated and self._outdated_from is not None:
            self.outdated.append((self._outdated_from, at))
            self._outdated_from = None

    def _take_alerts(self, alerts: Iterable[Alert], at: float) -> None:
        seen = set()
        for alert in alerts:
            seen.add(alert.id)
            known = self.alerts.setdefault(alert.id, [])
            if known and known[-1].gone is None:
                if known[-1].alert.severity is alert.severity:
                    known[-1].alert = alert
                    continue
                known[-1].gone = at
            known.append(Shown(alert, at))
        for name, known in self.alerts.items():
            if name not in seen and known[-1].gone is None:
                known[-1].gone = at

    def _take_throttles(self, frame: Frame, at: float) -> None:
        for cell in frame.throttles:
            if cell.last_change is not None and len(self.changed) < CHANGES_MOST:
                self.changed.setdefault(cell.last_change.audit_id, cell)
            steps = self.levels.setdefault((cell.feature, cell.tier), [])
            if not steps or steps[-1].level != cell.in_force:
                # The clock of a simulation is that of its frames, which lags: the plane's stamp is better.
                changed = cell.last_change.at if frame.simulated and cell.last_change is not None else at
                steps.append(Level(min(max(at, changed), self.end), cell.in_force))

    def _close(self, one: _Open, at: float) -> None:
        if not at > one.since:
            return
        model, since = one.model, one.since
        for tier, readings in model.tiers.items():
            tracked = self.tiers.setdefault((model.name, tier), Tracked())
            span = span_of(model, tier, since, at)
            tracked.objective = span.objective if span.objective is not None else tracked.objective
            for name, part in parts_of(span).items():
                tracked.sums[name] += part
            _lengthen(tracked.runs, span)
            if span.state is State.UNKNOWN:
                _add_unread(tracked.unread, model.reading("queue_wait_p99", tier), at - since)
            if (point := point_of(readings)) is not None:
                self._draw(tracked, point, since, at)
        for feature, tiers in model.cells.items():
            for tier, readings in tiers.items():
                came, turned = (
                    good(readings[s]) if s in readings else None for s in ("arrivals", "rejected")
                )
                if came and turned:
                    cell = self.turned.setdefault((model.name, feature, tier), Turned())
                    cell.asked += came * (at - since)
                    cell.refused += min(turned, came) * (at - since)
        for signal, rates in (("arrivals", self.asked), ("rejected", self.refused)):
            value = good(model.reading(signal))
            if value is not None:
                self._add(rates.setdefault(model.name, Rate()), value, since, at)

    def _draw(self, tracked: Tracked, point: Point, since: float, until: float) -> None:
        if tracked.worst is None or point.estimate > tracked.worst.point.estimate:
            tracked.worst = Worst(since, point)
        for n, _ in self._bins(since, until):
            before = tracked.points[n]
            if before is None or point.estimate > before.estimate:
                tracked.points[n] = point

    def _add(self, rate: Rate, value: float, since: float, until: float) -> None:
        for n, seconds in self._bins(since, until):
            rate.sums[n] += value * seconds
            rate.seconds[n] += seconds

    def _bins(self, since: float, until: float) -> Iterator[tuple[int, float]]:
        """Bins that a stretch touches, and for how long."""
        width = (self.end - self.start) / BINS
        if not width > 0:
            return
        first = max(0, int((since - self.start) / width))
        last = min(BINS - 1, int((until - self.start) / width))
        for n in range(first, last + 1):
            left = self.start + n * width
            seconds = min(until, left + width) - max(since, left)
            if seconds > 0:
                yield n, seconds


def point_of(readings: Mapping[str, Reading]) -> Point | None:
    """The p99 wait of a tier; None without a good reading of it."""
    one = readings.get("queue_wait_p99")
    if one is None or one.value is None or one.quality is not Quality.GOOD:
        return None
    lo, hi = bounds_of(one.value)
    estimate = one.estimate
    assert estimate is not None
    return Point(lo, hi, estimate, one.reason.code == "p95")


def _add_unread(unread: dict[str, float], one: Reading, seconds: float) -> None:
    """Count a stretch without a good reading by the code of its reason, or by its quality."""
    code = clean(one.reason.code or one.quality.value)
    if code in unread or len(unread) < REASONS_MOST:
        unread[code] = unread.get(code, 0.0) + seconds


def _lengthen(runs: list[Run], span: Span) -> None:
    """Add a span to runs in order; one that goes on in the same state makes the last one longer."""
    if runs and runs[-1].state is span.state and math.isclose(runs[-1].end, span.start, abs_tol=1e-6):
        runs[-1] = runs[-1]._replace(end=span.end)
    else:
        runs.append(Run(span.start, span.end, span.state))
