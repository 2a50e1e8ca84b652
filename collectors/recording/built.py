"""From a recording's numbers and state back to frames: the other half of `shape`.

What did not change since the frame built before is the same object again: screens tell by identity what to
draw anew. A recording is a file from anybody: whatever it says is cleaned and bounded here.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import is_
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np

from collectors.fleet import (
    Event,
    Exposure,
    Frame,
    Model,
    Node,
    Past,
    Release,
    SourceHealth,
    Throttle,
    Tier,
)
from collectors.intents import Ability, PlaneFacts
from collectors.readings import Reason
from collectors.recording import state_json
from collectors.recording.codec import CLAMP, Exceptions, Numbers
from collectors.recording.layout import BadRecord
from collectors.recording.readings import (
    ACCELERATORS,
    CELLS,
    EXPOSURE,
    FAMILIES,
    FEATURES,
    MODELS,
    PLAIN,
    PLANE,
    READINGS,
    RELEASES,
    SHARES,
    SOURCES,
    THROTTLES,
    TICKS_S,
    TOTALS,
    first_tick,
    keyed,
    named,
)
from collectors.recording.rows import Family, Marks, Readings, Table, Told
from collectors.recording.schema import SEPARATOR, Schema
from collectors.recording.state import ITEMS_MOST, in_order
from collectors.recording.state_json import at_place, listed, members, number, reason_from, text, texts, whole

ROWS_MOST: Final = 200_000
"""Most models, tiers and features of a frame together: what no frame of ours ever has."""

_ERAS_MOST: Final = 1_000
"""More than there are between 1970 and the year 2300."""

T = TypeVar("T")
Row = tuple[str, int | None]
"""Which family of readings, and which row of it; None where it has no such row."""


class _Form(NamedTuple):
    """What is told of a model besides its numbers, of one schema, and where these stand.

    told: the JSON it was read from; rows: of the whole model, then of its tiers, features and cells
    """

    told: object
    rows: tuple[Row, ...]
    level: int | None
    tiers: tuple[str, ...]
    objectives: Mapping[str, float]
    features: tuple[str, ...]
    notes: tuple[Reason, ...]
    by_feature: tuple[str, ...]
    cluster: str
    cells: tuple[tuple[str, tuple[str, ...]], ...]


class Builder:
    """Makes frames of what a reader found, one after another, in any order. One thread at a time."""

    def __init__(self) -> None:
        self._schema: Schema | None = None
        self._families: dict[str, Family] = {}
        self._tables: dict[str, Table] = {}
        self._used: dict[int, Reason | None] = {}
        self._held: dict[str, dict[str, tuple[Any, Any]]] = {}
        self._tuples: dict[str, tuple[Any, ...]] = {}
        self._forms: dict[str, _Form] = {}
        self._marked: tuple[Exceptions, Marks] | None = None
        self._plans: dict[str, dict[str, tuple[object, Any]]] = {}
        self._heat: tuple[object, ...] = ()
        self._first = 0

    def frame(
        self,
        schema: Schema,
        values: Numbers,
        times: Numbers,
        exceptions: Exceptions,
        reasons: Mapping[int, Reason],
        state: Mapping[str, Any],
        at: float,
        t0_wall_us: int,
        events: tuple[Event, ...] = (),
        past: tuple[Past, ...] = (),
    ) -> Frame:
        """The frame at `at`: its mode is "REPLAY", its tick 0.

        reasons: by the ids in `exceptions`; state: part -> key -> value, and "order", as `state.applied`
        makes it; neither is kept
        raises: BadRecord for numbers that are not those of the schema, or more than a frame can have
        """
        if len(values) != schema.size or len(times) != len(schema.sources):
            raise BadRecord(f"a frame of {len(values)} numbers, its schema has {schema.size}")
        if schema is not self._schema:
            self._families = {name: Family(schema, name) for name in FAMILIES}
            self._tables = {name: Table(schema, name) for name in PLAIN}
            self._schema, self._forms, self._marked, self._plans = schema, {}, None, {}
        first = first_tick(t0_wall_us)
        values = values.copy()  # kept to compare with the next ones, and a reader may change its own
        is_redefined = self._is_redefined(exceptions, reasons) or first != self._first
        self._first = first
        told = Told(values, self._marks(exceptions, schema.size), reasons, first, is_redefined)
        for family in self._families.values():
            family.take(told)
        facts = members(state.get("frame"))
        return Frame(
            at=at,
            tick=0,
            context=text(facts.get("context")),
            tiers=self._simple("tiers", state, _tier),
            models=self._models(state, values),
            totals=self._total(),
            releases=self._releases(state, values),
            throttles=self._throttles(state, values),
            features=self._simple("features", state, state_json.feature_from),
            nodes=self._nodes(state, values),
            alerts=self._alerts(state),
            sources=self._sources(state, values, times, first),
            events=events,
            notes=self._kept("notes", list(listed(facts.get("notes"), reason_from))),
            past=past,
            plane=self._plane(state, values),
            production=facts.get("production") is True,
            simulated=facts.get("simulated") is True,
            mode="REPLAY",
        )

    def _marks(self, exceptions: Exceptions, size: int) -> Marks:
        """State and reason of each place; the same again if they are."""
        if self._marked is None or not _is_same(self._marked[0], exceptions):
            self._marked = exceptions, Marks.of(exceptions, size)
        return self._marked[1]

    def _is_redefined(self, exceptions: Exceptions, reasons: Mapping[int, Reason]) -> bool:
        """Whether an id means another reason than in the frame before."""
        used = {one: reasons.get(one) for one in np.unique(exceptions.reasons).tolist()}
        before, self._used = self._used, used
        return any(before[one] != reason for one, reason in used.items() if one in before)

    def _kept(self, part: str, made: list[T]) -> tuple[T, ...]:
        """The items, as the tuple of before where they are the same or equal."""
        before = self._tuples.get(part, ())
        if len(before) == len(made) and (all(map(is_, before, made)) or (before == tuple(made))):
            return before
        self._tuples[part] = found = tuple(made)
        return found

    def _each(
        self, part: str, some: Iterable[tuple[str, tuple[Any, ...]]], make: Callable[..., T | None]
    ) -> tuple[T, ...]:
        """An item for each key, made of what stands with it; of the same as before the same object."""
        before = self._held.get(part, {})
        now: dict[str, tuple[Any, Any]] = {}
        for key, of in some:
            was = before.get(key)
            now[key] = was if was is not None and was[0] == of else (of, make(*of))
        self._held[part] = now
        return self._kept(part, [one for _, one in now.values() if one is not None])

    def _simple(
        self, part: str, state: Mapping[str, Any], make: Callable[[str, Any], T | None]
    ) -> tuple[T, ...]:
        """The items of a part that has no numbers."""
        found = members(state.get(part))
        return self._each(part, ((key, (_name(key), found[key])) for key in in_order(state, part)), make)

    def _row(self, table: str, values: Numbers, *labels: str) -> list[int]:
        """A row of a block of plain numbers; [] where there is none."""
        block = self._tables[table]
        row = block.row(*labels)
        return [] if row is None else block.numbers(values)[row].tolist()

    def _named(self, table: str, values: Numbers, *labels: str) -> dict[str, int]:
        """A row of a block of plain numbers by its columns; {} where there is none."""
        row = self._row(table, values, *labels)
        return {column.id: one for column, one in zip(self._tables[table].columns, row, strict=False)}

    def _total(self) -> Readings:
        family = self._families[TOTALS]
        row = family.table.row()
        family.build([] if row is None else [row])
        return family.readings(row)

    def _models(self, state: Mapping[str, Any], values: Numbers) -> tuple[Model, ...]:
        """raises: BadRecord if they are more than are built"""
        told, before = members(state.get("models")), self._forms
        forms: dict[str, _Form] = {}
        left = ROWS_MOST
        for key in in_order(state, "models"):
            was = before.get(key)
            forms[key] = was if was is not None and was.told == told[key] else self._form(key, told[key])
            left -= len(forms[key].rows)
            if left < 0:
                raise BadRecord(f"more than {ROWS_MOST} tiers and features of models")
        self._forms = forms
        for name in (READINGS, FEATURES, CELLS):
            rows = (row for form in forms.values() for of, row in form.rows if of == name)
            self._families[name].build(row for row in rows if row is not None)
        levels = self._tables[MODELS].numbers(values)

        def parts() -> Iterable[tuple[str, tuple[Any, ...]]]:
            for key, form in forms.items():
                level = None if form.level is None else _share(int(levels[form.level, 0]))
                found = tuple(_Same(self._families[name].readings(row)) for name, row in form.rows)
                yield key, (_name(key), form, level, found)

        return self._each("models", parts(), _model)

    def _form(self, key: str, told: object) -> _Form:
        one = members(told)
        tiers, features = texts(one.get("tiers")), texts(one.get("by_feature"))
        cells = tuple((cell[0], cell[1:]) for cell in listed(one.get("cells"), texts) if cell)
        readings, by_feature, by_cell = (self._families[name].table for name in (READINGS, FEATURES, CELLS))
        rows = (
            *((READINGS, readings.row(key, tier)) for tier in ("", *tiers)),
            *((FEATURES, by_feature.row(f"{key}{SEPARATOR}{feature}")) for feature in features),
            *(
                (CELLS, by_cell.row(SEPARATOR.join((key, feature, tier))))
                for feature, some in cells
                for tier in some
            ),
        )
        objectives = {text(t): s for t, s in members(one.get("objectives")).items() if number(s) is not None}
        return _Form(
            told,
            rows,
            self._tables[MODELS].row(key),
            tiers,
            objectives,
            texts(one.get("features")),
            listed(one.get("notes"), reason_from),
            features,
            text(one.get("cluster")),
            cells,
        )

    def _plan(self, part: str, key: str, told: object, make: Callable[[str, object], T]) -> T:
        """What is read from an item's JSON, of the same JSON and schema only once."""
        plans = self._plans.setdefault(part, {})
        was = plans.get(key)
        if len(plans) > ITEMS_MOST:
            plans.clear()
        if was is None or was[0] != told:
            was = plans[key] = (told, make(key, told))
        found: T = was[1]
        return found

    def _releases(self, state: Mapping[str, Any], values: Numbers) -> tuple[Release, ...]:
        told = members(state.get("releases"))
        shares, seqs = (self._tables[name].numbers(values).tolist() for name in (EXPOSURE, RELEASES))

        def parts() -> Iterable[tuple[str, tuple[Any, ...]]]:
            for key in in_order(state, "releases"):
                seq, rows = self._plan("releases", key, told[key], self._exposed)
                exposure = [
                    Exposure(tier, _share(shares[row][0]) or 0.0, _share(shares[row][1]))
                    for tier, row in rows
                ]
                yield key, (_name(key), told[key], seqs[seq][0] if seq is not None else 0, tuple(exposure))

        return self._each("releases", parts(), state_json.release_from)

    def _exposed(self, key: str, told: object) -> tuple[int | None, list[tuple[str, int]]]:
        """Where a release's numbers stand: the row of its own, and of each tier that it tells."""
        table, tiers = self._tables[EXPOSURE], texts(members(told).get("exposure"))
        if len(table.columns) < 2:
            return None, []
        found = (
            (t, table.row(f"{key}{SEPARATOR}{label}")) for t, label in zip(tiers, keyed(tiers), strict=True)
        )
        own = self._tables[RELEASES]
        return own.row(key) if own.columns else None, [(tier, row) for tier, row in found if row is not None]

    def _throttles(self, state: Mapping[str, Any], values: Numbers) -> tuple[Throttle, ...]:
        told = members(state.get("throttles"))

        def parts() -> Iterable[tuple[str, tuple[Any, ...]]]:
            for key in in_order(state, "throttles"):
                row = self._named(THROTTLES, values, key)
                level, effective = (_share(row.get(name, -1)) for name in ("level", "effective_level"))
                feature, tier = map(text, named(key, 2))
                yield key, (feature, tier, told[key], row.get("seq", 0), level, effective)

        return self._each("throttles", parts(), state_json.throttle_from)

    def _alerts(self, state: Mapping[str, Any]) -> tuple[Any, ...]:
        told, summaries = members(state.get("alerts")), members(state.get("summaries"))

        def parts() -> Iterable[tuple[str, tuple[Any, ...]]]:
            for key in in_order(state, "alerts"):
                yield key, (_name(key), told[key], text(summaries.get(key), state_json.SENTENCE))

        return self._each("alerts", parts(), state_json.alert_from)

    def _sources(
        self, state: Mapping[str, Any], values: Numbers, times: Numbers, first: int
    ) -> tuple[SourceHealth, ...]:
        told = members(state.get("sources"))
        known = dict(zip(self._schema.sources if self._schema else (), times.tolist(), strict=False))

        def parts() -> Iterable[tuple[str, tuple[Any, ...]]]:
            for key in in_order(state, "sources"):
                row = self._named(SOURCES, values, key)
                tick = first + known.get(key, 0) + min(row.get("era", 0), _ERAS_MOST) * CLAMP
                at = tick / TICKS_S if row.get("has_time") and key in known and tick >= 0 else None
                yield key, (_name(key), told[key], _source_numbers(row, at))

        return self._each("sources", parts(), state_json.source_from)

    def _plane(self, state: Mapping[str, Any], values: Numbers) -> PlaneFacts | None:
        facts = members(state.get("plane")).get("facts")
        row = self._named(PLANE, values, "")
        offset = row["clock_offset"] / 1000 if row.get("has_clock_offset") and "clock_offset" in row else None

        def parts() -> Iterable[tuple[str, tuple[Any, ...]]]:
            if facts is not None:
                yield "", (facts, dict(members(state.get("abilities"))), offset)

        return next(iter(self._each("plane", parts(), _plane)), None)

    def _nodes(self, state: Mapping[str, Any], values: Numbers) -> tuple[Node, ...]:
        """raises: BadRecord if the nodes have more accelerators than there are"""
        told, table = members(state.get("nodes")), self._tables[ACCELERATORS]
        keys = in_order(state, "nodes")
        if not keys or len(table.columns) < 2:
            self._heat = ()
            return self._kept("nodes", [])
        numbers = table.numbers(values)
        busy = np.clip(numbers[:, 0], 0, 255).astype(np.uint8).tobytes()
        letters = numbers[:, 1]
        marks = (
            np.where((letters < 32) | (letters > 126), 32, letters).astype(np.uint8).tobytes().decode("ascii")
        )
        basis = (busy, marks, keys, list(map(told.get, keys)))
        if basis == self._heat:
            return self._tuples["nodes"]
        left = table.rows

        def parts() -> Iterable[tuple[str, tuple[Any, ...]]]:
            nonlocal left
            for key in keys:
                pool, name, cells, letters, first, models = self._plan("nodes", key, told[key], self._host)
                left -= max(cells, letters)
                if left < 0:
                    raise BadRecord("more accelerators on nodes than in the frame")
                yield key, (name, pool, busy[first : first + cells], marks[first : first + letters], models)

        found = self._each("nodes", parts(), Node)
        self._heat = basis
        return found

    def _host(self, key: str, told: object) -> tuple[str, str, int, int, int, tuple[str, ...]]:
        """Pool, name, accelerators, letters, first row and models of a node."""
        pool, name = map(text, named(key, 2))
        first = self._tables[ACCELERATORS].row(f"{key}{SEPARATOR}0") or 0
        cells, letters = (max(whole(at_place(told, place)), 0) for place in (0, 1))
        return pool, name, cells, letters, first, texts(told[2:] if isinstance(told, list | tuple) else ())


class _Same:
    """Readings of a row, that are the same only if they are the same object."""

    __slots__ = ("readings",)

    def __init__(self, readings: Readings) -> None:
        self.readings = readings

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.readings is other.readings

    __hash__ = None  # type: ignore[assignment]  # compared, never looked up


def _is_same(one: Exceptions, other: Exceptions) -> bool:
    return (
        np.array_equal(one.places, other.places)
        and np.array_equal(one.states, other.states)
        and np.array_equal(one.reasons, other.reasons)
    )


def _name(key: str) -> str:
    """The name in a key that holds one."""
    return text(named(key)[0], state_json.SENTENCE)


def _tier(name: str, title: object) -> Tier:
    return Tier(name, text(title))


def _share(stored: int) -> float | None:
    return None if stored < 0 else stored / SHARES


def _model(name: str, form: _Form, level: float | None, found: tuple[_Same, ...]) -> Model:
    rows = iter(found)
    return Model(
        name=name,
        readings=next(rows).readings,
        tiers={tier: next(rows).readings for tier in form.tiers},
        objectives=form.objectives,
        throttle=level,
        features=form.features,
        notes=form.notes,
        by_feature={feature: next(rows).readings for feature in form.by_feature},
        cluster=form.cluster,
        cells={feature: {tier: next(rows).readings for tier in tiers} for feature, tiers in form.cells},
    )


def _source_numbers(row: Mapping[str, int], at: float | None) -> dict[str, Any]:
    def known(name: str) -> int | None:
        found = row.get(name, -1)
        return None if found < 0 else found

    up, targets, latency, interval = map(known, ("up", "targets", "latency", "interval"))
    return {
        "at": at,
        "latency_s": None if latency is None else latency / 1000,
        "interval_s": None if interval is None else interval / 1000,
        "targets": None if up is None or targets is None else (up, targets),
        "queries": known("queries") or 0,
        "received_bytes": known("received_bytes") or 0,
        "skipped": known("skipped") or 0,
    }


def _plane(facts: object, can: Mapping[str, Any], offset: float | None) -> PlaneFacts | None:
    abilities: dict[str, Ability] = {}
    for name, told in list(can.items())[: state_json.LIST_MOST]:
        if (ability := state_json.ability_from(told)) is not None:
            abilities[text(name)] = ability
    return state_json.plane_from(facts, abilities, offset)
