"""A segment's schema as frames make it grow, and the numbers of the frame that was last put into it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from collectors.fleet import Frame, Model, Node, Release, SourceHealth
from collectors.readings import Reading
from collectors.recording.codec import NO_EXCEPTIONS, Exceptions, Numbers
from collectors.recording.families import Family, Reasons, Rows, Sink, Unplaced
from collectors.recording.readings import (
    ACCELERATORS,
    BOUNDS_MOST,
    CELLS,
    EXPOSURE,
    FAMILIES,
    FEATURES,
    MODELS,
    PLANE,
    READINGS,
    RELEASES,
    SHARES,
    SOURCES,
    THROTTLES,
    TOTALS,
    clamped,
    era_of,
    keyed,
    ticks,
)
from collectors.recording.schema import NAMES_MOST, SEPARATOR, VALUES_MOST, Axis, Block, Column, Schema
from collectors.recording.state_json import offset_ms

_SHARE = 1 / SHARES
_AT_ONCE = 10_000
"""Numbers of a frame that are kept as a list at most before they are stored."""

_SOURCE_COLUMNS = (
    Column("latency", "s", 0.001),
    Column("interval", "s", 0.001),
    *map(Column, ("up", "targets", "queries", "received_bytes", "skipped", "has_time", "era")),
)
_ACCELERATOR_COLUMNS = (Column("busy"), Column("mark", "code"))


def model_keys(models: Iterable[Model]) -> list[str]:
    """Key of each model: its name."""
    return list(keyed(one.name for one in models))


def node_keys(nodes: Iterable[Node]) -> list[str]:
    """Key of each node: pool and name."""
    return list(keyed(f"{one.pool}{SEPARATOR}{one.name}" for one in nodes))


def release_keys(frame: Frame) -> list[str]:
    """Key of each release: its id."""
    return list(keyed(one.id for one in frame.releases))


def throttle_keys(frame: Frame) -> list[str]:
    """Key of each throttle: feature and tier."""
    return list(keyed(f"{one.feature}{SEPARATOR}{one.tier}" for one in frame.throttles))


class Vector:
    """Where everything stands, and what stands there now.

    schema: of all that was ever seen, unless it had to be begun anew; 0 before the first
    """

    def __init__(self, first_tick: int, reasons: Reasons) -> None:
        self._first_tick, self._reasons = first_tick, reasons
        self.schema = Schema(0, (), ())
        self.values: Numbers = np.zeros(0, np.int32)
        self.times: Numbers = np.zeros(0, np.int32)
        self.exceptions: Exceptions = NO_EXCEPTIONS
        self._states: NDArray[np.uint8] = np.zeros(0, np.uint8)
        self._ids: NDArray[np.uint16] = np.zeros(0, np.uint16)
        self._must_list = True
        self._begin()

    def _begin(self) -> None:
        """Forget all that was seen."""
        self._bounds: dict[str, set[float]] = {}
        self._families = {name: Family(name, self._bounds) for name in FAMILIES}
        self._models: dict[str, None] = {}
        self._tiers: dict[str, None] = {"": None}
        shares = (Column("desired", "ratio", _SHARE), Column("observed", "ratio", _SHARE))
        levels = (Column("level", "ratio", _SHARE), Column("effective_level", "ratio", _SHARE), Column("seq"))
        self._releases = Rows(RELEASES, "release", (Column("seq"),))
        self._of_models = Rows(MODELS, "model", (Column("throttle", "ratio", _SHARE),))
        self._exposure = Rows(EXPOSURE, "cell", shares)
        self._throttles = Rows(THROTTLES, "cell", levels)
        self._sources = Rows(SOURCES, "source", _SOURCE_COLUMNS)
        self._plane = Rows(PLANE, "plane", (Column("clock_offset", "s", 0.001), Column("has_clock_offset")))
        self._plane.learn([""])
        self._slots: dict[str, int] = {}
        self._first_rows: dict[str, int] = {}
        self._accelerators_at = 0
        self._unfilled()

    def _unfilled(self) -> None:
        self._last: Frame | None = None
        self._held: dict[str, Model] = {}
        self._arrangement: list[tuple[str, tuple[int, int]]] = []
        self._busy_at = self._marks_at = np.zeros(0, np.intp)

    def grow(self, frame: Frame) -> int:
        """A new schema, with room for a frame; returns how many of its models have a place in it."""
        most = len(frame.models)
        self._learn(frame, most)
        while not self._is_possible():
            self._begin()
            self._learn(frame, most)
            if self._is_possible() or not most:
                break
            most //= 2
        if self._has_many_bounds():
            self._bounds.clear()
            self._learn(frame, most)
        self._lay_out()
        return most

    def _has_many_bounds(self) -> bool:
        return any(len(known) >= BOUNDS_MOST for known in self._bounds.values())

    def fill(self, frame: Frame) -> None:
        """Put a frame into its places. raises: Unplaced if it has none, and then it has to `grow`"""
        last, sink, values = self._last, Sink(), self.values
        if last is None or frame.models is not last.models:
            self._fill_models(frame.models, sink)
        if last is None or frame.totals is not last.totals:
            self._fill_row(TOTALS, "", frame.totals, sink)
        if last is None or frame.releases is not last.releases:
            self._exposure.take(values, _exposures(frame.releases))
            seqs = [(clamped(one.seq),) for one in frame.releases]
            self._releases.take(values, zip(release_keys(frame), seqs, strict=True))
        if last is None or frame.throttles is not last.throttles:
            levels = [
                (_share(one.level), _share(one.effective_level), clamped(one.seq)) for one in frame.throttles
            ]
            self._throttles.take(values, zip(throttle_keys(frame), levels, strict=True))
        if last is None or frame.nodes is not last.nodes:
            self._fill_nodes(frame.nodes)
        if last is None or frame.sources is not last.sources:
            self._fill_sources(frame.sources)
        if frame.plane is not None and (last is None or frame.plane is not last.plane):
            offset = offset_ms(frame.plane)
            self._plane.take(values, [("", (offset or 0, offset is not None))])
        self._last = frame
        self._settle(sink)

    def _store(self, sink: Sink) -> None:
        """Put what was taken so far into its places: all of a large fleet at once, as lists, takes 20 MB."""
        self.values[sink.places] = sink.numbers
        if sink.spots:
            self._states[sink.spots] = sink.states
            self._ids[sink.spots] = sink.reasons
            self._must_list = True
        sink.clear()

    def _settle(self, sink: Sink) -> None:
        self._store(sink)
        if self._must_list:
            places = np.flatnonzero((self._states != 0) | (self._ids != 0)).astype(np.uint32)
            self.exceptions = Exceptions(places, self._states[places], self._ids[places])
            self._must_list = False

    def _learn(self, frame: Frame, most: int) -> None:
        models = frame.models[:most]
        for key, model in zip(model_keys(models), models, strict=True):
            self._models.setdefault(key)
            self._tiers.update(dict.fromkeys(model.tiers))
            for (name, label), found in _rows(key, model):
                self._families[name].learn(found)
                if name != READINGS:  # whose rows are those of its two axes
                    self._families[name].labels.setdefault(label)
        self._families[TOTALS].learn(frame.totals)
        self._of_models.learn(self._models)
        self._exposure.learn(label for label, _ in _exposures(frame.releases))
        self._releases.learn(release_keys(frame))
        self._throttles.learn(throttle_keys(frame))
        self._sources.learn(keyed(one.name for one in frame.sources))
        for key, node in zip(node_keys(frame.nodes), frame.nodes, strict=True):
            self._slots[key] = max(self._slots.get(key, 0), len(node.busy), len(node.marks))

    def _is_possible(self) -> bool:
        """Whether a reader would take the schema."""
        rows = {name: len(family.labels) for name, family in self._families.items()}
        rows |= {READINGS: len(self._models) * len(self._tiers), TOTALS: 1}
        numbers = sum(9 * len(self._families[name].signals) * rows[name] for name in FAMILIES)
        plain = 10 * (len(self._exposure.labels) + len(self._throttles.labels) + len(self._sources.labels))
        numbers += plain + len(self._models) + 2 * sum(self._slots.values())
        return numbers < VALUES_MOST and sum(rows.values()) < NAMES_MOST

    def _lay_out(self) -> None:
        families = self._families
        axes = {
            READINGS: (Axis("model", tuple(self._models)), Axis("tier", tuple(self._tiers))),
            FEATURES: (Axis("cell", tuple(families[FEATURES].labels)),),
            CELLS: (Axis("cell", tuple(families[CELLS].labels)),),
            TOTALS: (),
        }
        families[READINGS].place(
            f"{model}{SEPARATOR}{tier}" for model in self._models for tier in self._tiers
        )
        for name in (FEATURES, CELLS):
            families[name].place(families[name].labels)
        families[TOTALS].place([""])
        blocks: list[Block] = []
        at = 0
        for name, family in families.items():
            blocks.append(family.laid_out(axes[name], at))
            at += blocks[-1].size
        # Only readings can be exceptional: they come first, and of all else no state is kept.
        self._states, self._ids = np.zeros(at, np.uint8), np.zeros(at, np.uint16)
        for name, family in families.items():
            family.clear_all(self._states)
            beside = family.beside(axes[name], at)
            at += sum(block.size for block in beside)
            blocks += beside
        for rows in (
            self._of_models,
            self._releases,
            self._exposure,
            self._throttles,
            self._sources,
            self._plane,
        ):
            blocks.append(rows.laid_out(at))
            at += blocks[-1].size
        blocks.append(self._accelerators_laid_out(at))
        at += blocks[-1].size
        self.schema = Schema(self.schema.id + 1, tuple(self._sources.labels), tuple(blocks))
        self.values, self.times = np.zeros(at, np.int32), np.zeros(len(self._sources.labels), np.int32)
        self._must_list = True
        self._unfilled()

    def _accelerators_laid_out(self, start: int) -> Block:
        labels: list[str] = []
        for key, slots in self._slots.items():
            self._first_rows[key] = len(labels)
            labels += (f"{key}{SEPARATOR}{slot}" for slot in range(slots))
        self._accelerators_at = start
        return Block(ACCELERATORS, (Axis("accelerator", tuple(labels)),), _ACCELERATOR_COLUMNS)

    def _fill_models(self, models: Sequence[Model], sink: Sink) -> None:
        held, now = self._held, dict(zip(model_keys(models), models, strict=True))
        for key, model in now.items():
            was = held.get(key)
            if was is model:
                continue
            for (name, label), found in _rows(key, model):
                self._fill_row(name, label, found, sink)
            if len(sink.places) > _AT_ONCE:
                self._store(sink)
            self._of_models.take(self.values, [(key, (_share(model.throttle),))])
            if was is not None and not _has_same_rows(was, model):
                self._clear(_places(key, was) - _places(key, model), sink)
        for key in held.keys() - now.keys():
            self._clear(_places(key, held[key]), sink)
        self._held = now

    def _fill_row(self, name: str, label: str, readings: Mapping[str, Reading], sink: Sink) -> None:
        family = self._families[name]
        row = family.rows.get(label)
        if row is None:
            raise Unplaced(label)
        family.take(row, readings, sink, self._reasons, self._first_tick)

    def _clear(self, rows: Iterable[tuple[str, str]], sink: Sink) -> None:
        for name, label in rows:
            family = self._families[name]
            family.clear(family.rows[label], sink)

    def _fill_sources(self, sources: Sequence[SourceHealth]) -> None:
        for key, one in zip(keyed(one.name for one in sources), sources, strict=True):
            # A plane of the demo has another clock than its fleet, months away.
            era, tick = (0, 0) if one.at is None else era_of(ticks(one.at) - self._first_tick)
            self._sources.take(self.values, [(key, (*_source_row(one), era))])
            if one.at is not None:
                self.times[self._sources.labels[key]] = tick

    def _fill_nodes(self, nodes: Sequence[Node]) -> None:
        """All at once: ten thousand accelerators change together."""
        sizes = [(len(node.busy), len(node.marks)) for node in nodes]
        arrangement = list(zip(node_keys(nodes), sizes, strict=True))
        if arrangement != self._arrangement:
            if any(self._slots.get(key, -1) < max(size) for key, size in arrangement):
                raise Unplaced(ACCELERATORS)
            self._arrangement = arrangement
            firsts = [self._first_rows[key] for key, _ in arrangement]
            self._busy_at, self._marks_at = (
                _spread(firsts, [size[which] for size in sizes], self._accelerators_at + which)
                for which in (0, 1)
            )
        busy = b"".join(node.busy for node in nodes)
        marks = "".join(node.marks for node in nodes).encode("ascii", "replace")
        self.values[self._busy_at] = np.frombuffer(busy, np.uint8)
        self.values[self._marks_at] = np.frombuffer(marks, np.uint8)


def _rows(key: str, model: Model) -> Iterator[tuple[tuple[str, str], Mapping[str, Reading]]]:
    """(family, label) of each row of a model, with its readings."""
    yield (READINGS, f"{key}{SEPARATOR}"), model.readings
    for tier, found in model.tiers.items():
        yield (READINGS, f"{key}{SEPARATOR}{tier}"), found
    for feature, found in model.by_feature.items():
        yield (FEATURES, f"{key}{SEPARATOR}{feature}"), found
    for feature, tiers in model.cells.items():
        for tier, found in tiers.items():
            yield (CELLS, SEPARATOR.join((key, feature, tier))), found


def _places(key: str, model: Model) -> set[tuple[str, str]]:
    """(family, label) of each row of a model."""
    return {place for place, _ in _rows(key, model)}


def _has_same_rows(one: Model, other: Model) -> bool:
    """Whether the two have the same tiers, features and cells: those of one object mostly have, all day."""
    return (
        one.tiers.keys() == other.tiers.keys()
        and one.by_feature.keys() == other.by_feature.keys()
        and one.cells.keys() == other.cells.keys()
        and all(cells.keys() == other.cells[feature].keys() for feature, cells in one.cells.items())
    )


def _spread(firsts: Sequence[int], sizes: Sequence[int], start: int) -> NDArray[np.intp]:
    """Place of each accelerator's number, two numbers a row, of nodes that begin at those rows."""
    each = np.asarray(sizes, np.intp)
    begin = np.asarray(firsts, np.intp) - (np.cumsum(each) - each)
    return (np.repeat(begin, each) + np.arange(each.sum(), dtype=np.intp)) * 2 + start


def _share(value: float | None) -> int:
    return -1 if value is None else clamped(round(max(value, 0.0) * SHARES))


def _ms(value: float | None) -> int:
    return -1 if value is None else clamped(round(max(value, 0.0) * 1000))


def _exposures(releases: Sequence[Release]) -> Iterator[tuple[str, tuple[int, int]]]:
    for key, release in zip(keyed(one.id for one in releases), releases, strict=True):
        for tier, one in zip(keyed(one.tier for one in release.exposure), release.exposure, strict=True):
            yield f"{key}{SEPARATOR}{tier}", (_share(one.desired), _share(one.observed))


def _source_row(one: SourceHealth) -> tuple[int, ...]:
    up, targets = one.targets or (-1, -1)
    counts = (up, targets, one.queries, one.received_bytes, one.skipped)
    return (_ms(one.latency_s), _ms(one.interval_s), *map(clamped, counts), one.at is not None)
