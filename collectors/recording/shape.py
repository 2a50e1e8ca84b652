"""Frames as numbers and states, as a recording keeps them; `built` makes frames of them again.

Numbers stand in blocks (see `readings` for those of readings); beside them:

- "models": throttle, the level in force (1e-4, -1 for none)
- "exposure": one row for each release and tier: desired, observed (1e-4, -1 for none)
- "releases": seq, where state does not tell it
- "throttles": one row for each feature and tier: level, effective_level (1e-4, -1 for none), and seq, where
  state does not tell them
- "sources": latency and interval (ms), up, targets, queries, received_bytes, skipped (-1 for none), has_time:
  whether its time in the frame's source block is one, and era: 2**30 ticks each to be added to that
- "plane": clock_offset (ms), has_clock_offset: 0 where there is none, or state tells it
- "accelerators": one row each: busy (0..100, 254 stale, 255 missing), mark (an ASCII code)

All else is state: parts of items of JSON (see `state`). Of two items of one name the second is numbered.
Source: docs/tgrec.md.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from collectors.fleet import Frame, Node
from collectors.readings import Reason
from collectors.recording import state_json
from collectors.recording.codec import Exceptions, Numbers
from collectors.recording.families import Reasons, Unplaced
from collectors.recording.readings import first_tick, keyed
from collectors.recording.schema import Schema
from collectors.recording.state import Parts
from collectors.recording.vector import Vector, model_keys, node_keys, release_keys, throttle_keys

T = TypeVar("T")


class Shaped(NamedTuple):
    """A frame as it is written.

    schema: of its numbers; is_new_schema: no frame before had it
    values, times: as `codec.Payload`; the next frame that is taken changes them in place
    reasons: (id, reason) that are told for the first time; to be written before the frame
    changed: body of an EVENT STATE, to be written before the frame; {} if nothing did
    """

    schema: Schema
    is_new_schema: bool
    values: Numbers
    times: Numbers
    exceptions: Exceptions
    reasons: Sequence[tuple[int, Reason]]
    changed: dict[str, Any]


class Shaper:
    """Turns frames into numbers, one after another, for one segment. One thread at a time.

    What did not change since the frame before, by identity, costs nothing.
    """

    def __init__(self, t0_wall_us: int) -> None:
        """t0_wall_us: of the file header: what times count from"""
        self._reasons, self._parts = Reasons(), Parts()
        self._vector = Vector(first_tick(t0_wall_us), self._reasons)
        self._json: dict[str, dict[str, tuple[object, Any]]] = {}
        self._taken: Frame | None = None
        self._kept: Frame | None = None
        self._most: int | None = None

    def take(self, frame: Frame) -> Shaped:
        """The frame's numbers, and what else is new."""
        vector, kept = self._vector, self._within(frame)
        is_new = self._taken is None
        if not is_new:
            try:
                vector.fill(kept)
            except Unplaced:
                is_new = True
        if is_new:
            most = vector.grow(frame)
            self._most = most if most < len(frame.models) else None
            kept = self._within(frame)
            vector.fill(kept)
        self._take_state(kept)
        self._taken, self._kept = frame, kept
        return Shaped(
            vector.schema,
            is_new,
            vector.values,
            vector.times,
            vector.exceptions,
            self._reasons.news(),
            self._parts.changes(),
        )

    def state(self) -> dict[str, Any]:
        """All that a reader has to know before the next frame, for a snapshot, which then has to be written:
        reasons that are not in use are forgotten, and told anew when they are used again.

        returns: {"set", "order", "reasons": [[id, code, [parameters]], ...]}
        """
        kept = self._reasons.keep(self._vector.exceptions.reasons.tolist())
        told = [[one, reason.code, state_json.reason_json(reason)[1:]] for one, reason in kept]
        return {**self._parts.whole(), "reasons": told}

    def is_new(self, frame: Frame) -> bool:
        """Whether anything besides `at` and `tick` differs from the last frame taken."""
        last = self._taken
        if last is None or frame.events or frame.past:
            return True
        return frame is not last and _content(frame) != _content(last)

    def _within(self, frame: Frame) -> Frame:
        """The frame with as many models as a schema holds; what is left out is told."""
        there = len(frame.models)
        if self._most is None or there <= self._most:
            return frame
        cut = Reason("models-cut", (self._most, there))
        return replace(frame, models=frame.models[: self._most], notes=(*frame.notes, cut))

    def _take_state(self, frame: Frame) -> None:
        last, parts = self._kept, self._parts
        if last is None or frame.tiers is not last.tiers:
            names = keyed(one.name for one in frame.tiers)
            parts.take("tiers", dict(zip(names, [one.title for one in frame.tiers], strict=True)))
        if last is None or frame.models is not last.models:
            self._take("models", model_keys(frame.models), frame.models, state_json.model_json)
        if last is None or frame.releases is not last.releases:
            self._take("releases", release_keys(frame), frame.releases, state_json.release_json)
        if last is None or frame.throttles is not last.throttles:
            self._take("throttles", throttle_keys(frame), frame.throttles, state_json.throttle_json)
        if last is None or frame.features is not last.features:
            features = keyed(one.id for one in frame.features)
            self._take("features", features, frame.features, state_json.feature_json)
        if last is None or frame.nodes is not last.nodes:
            self._take("nodes", node_keys(frame.nodes), frame.nodes, _node_json)
        if last is None or frame.sources is not last.sources:
            sources = keyed(one.name for one in frame.sources)
            self._take("sources", sources, frame.sources, state_json.source_json)
        if last is None or frame.alerts is not last.alerts:
            alerts = list(keyed(one.id for one in frame.alerts))
            self._take("alerts", alerts, frame.alerts, state_json.alert_json)
            summaries = dict(zip(alerts, [one.summary for one in frame.alerts], strict=True))
            parts.take("summaries", summaries, in_any_order=True)
        self._take_facts(frame, last)

    def _take_facts(self, frame: Frame, last: Frame | None) -> None:
        plane = frame.plane
        if last is None or plane is not last.plane:
            facts = {} if plane is None else {"facts": state_json.plane_json(plane)}
            can = {} if plane is None else {n: state_json.ability_json(a) for n, a in plane.abilities.items()}
            self._parts.take("plane", facts)
            self._parts.take("abilities", can, in_any_order=True)
        told = {
            "context": frame.context,
            "production": frame.production,
            "simulated": frame.simulated,
            "notes": [state_json.reason_json(one) for one in frame.notes],
        }
        self._parts.take("frame", told, in_any_order=True)

    def _take(self, part: str, keys: Iterable[str], items: Sequence[T], json: Callable[[T], Any]) -> None:
        """A part's items; of the same object the JSON that was made before."""
        before = self._json.get(part, {})
        now: dict[str, tuple[object, Any]] = {}
        for key, one in zip(keys, items, strict=True):
            was = before.get(key)
            now[key] = was if was is not None and was[0] is one else (one, json(one))
        self._json[part] = now
        self._parts.take(part, {key: told for key, (_, told) in now.items()})


def _content(frame: Frame) -> tuple[object, ...]:
    return (
        frame.models, frame.nodes, frame.sources, frame.alerts, frame.totals, frame.releases, frame.throttles,
        frame.features, frame.tiers, frame.notes, frame.plane, frame.context, frame.production,
        frame.simulated,
    )  # fmt: skip


def _node_json(one: Node) -> list[Any]:
    """[accelerators, letters, models ...]"""
    return [len(one.busy), len(one.marks), *one.models]
