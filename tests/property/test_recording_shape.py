"""Whatever a frame holds comes back from its numbers and state; whatever a file holds becomes a frame."""

import math
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.demo import DemoOptions, DemoSource, start_simulator
from collectors.fleet import (
    Alert,
    Check,
    Exposure,
    Feature,
    Frame,
    LastChange,
    Model,
    Node,
    Release,
    Revert,
    Severity,
    SourceHealth,
    SourceState,
    Stage,
    Throttle,
    Tier,
)
from collectors.intents import Ability, PlaneFacts
from collectors.readings import SIGNALS, Interval, Quality, Reading, Reason, reading
from collectors.recording.built import Builder
from collectors.recording.codec import CLAMP, Exceptions, packed, unpacked
from collectors.recording.layout import BadRecord
from collectors.recording.readings import stem
from collectors.recording.state import applied
from collectors.text import clean
from tests.frames import AT
from tests.operated_frames import operated_frame
from tests.recorded_frames import T0_US, Round, as_replayed

T = TypeVar("T")
NAMES = ("a", "b", "pro", "free", "[/nope]", "北京", "", "a b")
TEXTS = (*NAMES, "x" * 100, "e\u0301", "a\tb", "👩‍👩‍👧")
CODES = ("idle", "never", "few", "stale", "source-lost", "not-open", "newer", "removed", "clamped")
BOUNDS = (0.0, 0.3, 0.5, 1.0, 2.5, 0.00015, 0.123456789, 60.0, 7680.0)


class Maker:
    """Makes frames of every form there can be, of a seed: much faster than a strategy for each part."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def frame(self) -> Frame:
        some, text, name = self.some, self.text, self.name
        return Frame(
            at=self.time(),
            tick=0,
            context=text(),
            tiers=some(lambda: Tier(name(), text())),
            models=some(self.model),
            totals=self.readings(),
            releases=some(self.release),
            throttles=some(self.throttle),
            features=some(lambda: Feature(name(), text(), some(name))),
            nodes=some(self.node),
            alerts=some(self.alert),
            sources=some(self.source),
            notes=some(self.reason),
            plane=self.maybe(self.plane),
            production=self.is_it(),
            simulated=self.is_it(),
        )

    def is_it(self) -> bool:
        return self.random.random() < 0.5

    def some(self, make: Callable[[], T], most: int = 3) -> tuple[T, ...]:
        return tuple(make() for _ in range(self.random.randint(0, most)))

    def maybe(self, make: Callable[[], T]) -> T | None:
        return make() if self.is_it() else None

    def name(self) -> str:
        return self.random.choice(NAMES)

    def text(self) -> str:
        return clean(self.random.choice(TEXTS))

    def time(self) -> float:
        return round(AT + self.random.randint(-100_000, 100_000) / 100, 2)

    def share(self) -> float:
        return self.random.randint(0, 10_000) / 10_000

    def number(self) -> float:
        return self.random.choice(
            (
                self.random.uniform(0, 1e5),
                10 ** self.random.uniform(-12, 0),
                self.random.uniform(-1e6, 1e6),
                0.0,
            )
        )

    def count(self) -> int:
        return self.random.choice((0, 1, self.random.randint(0, CLAMP)))

    def reason(self) -> Reason:
        kinds = (
            lambda: self.random.randint(-5, 2**40),
            lambda: self.random.randint(0, 9),
            self.text,
            self.number,
        )
        return Reason(self.random.choice(CODES), self.some(lambda: self.random.choice(kinds)(), 4))

    def interval(self) -> Interval:
        lo, hi = sorted((self.random.choice(BOUNDS), self.random.choice((*BOUNDS, math.inf))))
        top = lo if hi == math.inf else hi
        return Interval(lo, hi, lo + (top - lo) * self.random.choice((0.0, 1.0, self.random.random())))

    def reading(self, signal: str) -> Reading:
        value: float | Interval | None = self.random.choice((self.number(), self.number(), None, math.nan))
        if stem(signal) and self.random.random() < 0.8:
            value = self.interval()
        reason = self.reason() if self.random.random() < 0.4 else Reason()
        quality = self.random.choice((*Quality, Quality.GOOD, Quality.GOOD))
        if value is not None and quality is Quality.MISSING:
            quality = Quality.STALE
        cover = (self.random.randint(0, 500), self.random.randint(0, 500))
        return reading(signal, value, self.maybe(self.time), quality, reason, self.maybe(lambda: cover))

    def readings(self) -> dict[str, Reading]:
        signals = self.random.sample(sorted(SIGNALS), self.random.randint(0, 7))
        return {signal: self.reading(signal) for signal in signals}

    def by_name(self, make: Callable[[], T]) -> dict[str, T]:
        return {self.name(): make() for _ in range(self.random.randint(0, 3))}

    def model(self) -> Model:
        return Model(
            self.name(),
            self.readings(),
            {tier: one for tier, one in self.by_name(self.readings).items() if tier},
            self.by_name(lambda: self.random.uniform(0.001, 1e4)),
            self.maybe(self.share),
            self.some(self.name),
            self.some(self.reason),
            self.by_name(self.readings),
            self.name(),
            self.by_name(lambda: self.by_name(self.readings)),
        )

    def change(self) -> LastChange:
        return LastChange(self.text(), self.text(), self.text(), self.text(), self.time())

    def exposure(self) -> tuple[Exposure, ...]:
        return self.some(lambda: Exposure(self.name(), self.share(), self.maybe(self.share)))

    def release(self) -> Release:
        text, gate = self.text, self.random.choice(("manual", "auto", "unknown"))
        stages = self.some(lambda: Stage(text(), self.name(), self.random.random(), gate, self.count()))
        return Release(
            self.name(), text(), self.random.choice(("model", "feature")), self.name(),
            self.random.choice((7, 2**53)), text(), self.maybe(text), text(), stages,
            self.random.choice(("pending", "progressing", "unknown")),
            self.random.randrange(len(stages)) if stages and self.is_it() else None, self.exposure(),
            self.maybe(text), self.maybe(self.time), text(), self.random.choice(("open", "closed")),
            self.some(lambda: Check(text(), text(), text(), self.maybe(self.time))), self.exposure(),
            self.some(text), self.maybe(self.change), text(),
        )  # fmt: skip

    def throttle(self) -> Throttle:
        back = Revert(self.maybe(self.share), self.maybe(self.time))
        return Throttle(
            self.name(), self.name(), self.random.choice((0, 2**53)), self.text(),
            self.random.choice((None, 1 / 3, self.share())), self.text(), self.maybe(self.number),
            self.maybe(self.number), self.random.choice(("applied", "ramping")), self.maybe(self.share),
            self.maybe(self.number), self.maybe(self.number), self.maybe(self.time), self.maybe(lambda: back),
            self.maybe(self.change),
        )  # fmt: skip

    def alert(self) -> Alert:
        text = self.text
        return Alert(
            text(), self.random.choice(tuple(Severity)), self.name(), self.name(), self.time(), text(),
            text(), self.maybe(self.time), text(), text(), self.by_name(text), text(), text(), text(), text(),
        )  # fmt: skip

    def source(self) -> SourceHealth:
        pair = (self.count(), self.count())
        seconds = (lambda: self.random.uniform(0, 1e5), lambda: self.random.uniform(0, 4e9))
        return SourceHealth(
            self.name(), self.random.choice(("prometheus", "plane")), self.random.choice(tuple(SourceState)),
            self.maybe(seconds[1]), self.maybe(seconds[0]), self.maybe(seconds[0]), self.text(),
            self.some(self.text), self.maybe(lambda: pair), self.count(), self.count(), self.count(),
        )  # fmt: skip

    def node(self) -> Node:
        marks = "".join(self.some(lambda: self.random.choice("Xte "), 9))
        busy = bytes(self.some(lambda: self.random.randrange(256), 9))
        return Node(self.name(), self.name(), busy, marks, self.some(self.name))

    def plane(self) -> PlaneFacts:
        can = {self.text(): Ability(self.is_it(), self.is_it(), self.text()) for _ in range(3)}
        offset = round(self.random.uniform(-1e9, 1e9), 3)
        return PlaneFacts(
            self.text(), self.text(), can, self.some(self.name), self.maybe(lambda: offset), self.text(),
            self.count(),
        )  # fmt: skip


SEEDS = st.integers(0, 2**32)


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.sampled_from((0, 1, 7, 8192, 8193, 20_000)), st.floats(0, 1))
def test_differences_come_back(seed: int, size: int, share: float) -> None:
    """Of any share of any numbers, modulo 2**32, however many pieces they are packed in."""
    draw = np.random.default_rng(seed)
    base = draw.integers(-(2**31), 2**31, size).astype(np.int32)
    moved = draw.integers(-(2 ** draw.integers(1, 32)), 2**31, size).astype(np.int32)
    numbers = base + np.where(draw.random(size) < share, moved, 0).astype(np.int32)
    block = packed(numbers, base)
    assert block == packed(numbers - base)
    assert np.array_equal(unpacked(block, size) + base, numbers)


@settings(max_examples=80, deadline=None)
@given(SEEDS)
def test_frames_come_back(seed: int) -> None:
    """One after another, with everything that a frame can hold, through one file."""
    path, maker = Round(), Maker(seed)
    for _ in range(4):
        frame = maker.frame()
        assert path.frame(frame) == as_replayed(frame)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.permutations(range(5)))
def test_frames_come_back_in_any_order(seed: int, order: list[int]) -> None:
    """A replay jumps: what was built before is never shown in place of what is there."""
    path, maker = Round(), Maker(seed)
    frames = [maker.frame() for _ in order]
    kept = []
    for frame in frames:
        shaped = path.shaped(frame)
        kept.append((shaped, path.schema, applied({}, path.shaper.state()), dict(path.reasons)))
    builder = Builder()
    for number in order:
        shaped, schema, state, reasons = kept[number]
        built = builder.frame(
            schema, shaped.values, shaped.times, shaped.exceptions, reasons, state, frames[number].at, T0_US
        )
        assert built == as_replayed(frames[number])


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("\x1b]0;x\x07")
)
SHALLOW = st.lists(LEAVES, max_size=5) | st.dictionaries(st.text(max_size=5), LEAVES, max_size=5)
JSON = (
    LEAVES
    | SHALLOW
    | st.lists(SHALLOW, max_size=4)
    | st.dictionaries(st.text(max_size=5), SHALLOW, max_size=3)
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_state_becomes_a_frame(data: st.DataObject) -> None:
    """Parts, items and members replaced by any JSON, and any numbers: a frame, or damage; no other error."""
    state = applied({}, _STATE)
    for _ in range(data.draw(st.integers(1, 4))):
        part = data.draw(st.sampled_from([*_STATE["set"], "order", "new"]))
        keys = sorted(state[part]) if isinstance(state.get(part), dict) else []
        if keys and data.draw(st.booleans()):
            key = data.draw(st.sampled_from(keys) | st.text(max_size=3))
            item = state[part].get(key)
            if isinstance(item, dict) and item and data.draw(st.booleans()):
                member = data.draw(st.sampled_from(sorted(item)))
                item = {**item, member: data.draw(JSON)}
            else:
                item = data.draw(JSON)
            state = {**state, part: {**state[part], key: item}}
        else:
            state = {**state, part: data.draw(JSON)}
    numbers = data.draw(st.integers(-(2**31), 2**31 - 1))
    values = np.full(_SHAPED.schema.size, numbers, np.int32) if data.draw(st.booleans()) else _SHAPED.values
    found = _SHAPED.exceptions
    states = np.full(len(found.places), data.draw(st.integers(0, 255)), np.uint8)
    exceptions = Exceptions(found.places, states, found.reasons) if data.draw(st.booleans()) else found
    try:
        built = _READER.frame(
            _SHAPED.schema, values, _SHAPED.times, exceptions, {1: Reason("x")}, state, AT, T0_US
        )
    except BadRecord:
        return
    told = repr(built)  # where bytes that are numbers can look like half of the sequence, and not like all
    assert "\\x1b]0" not in told and "x\\x07" not in told


_SMALL = replace(operated_frame(), models=operated_frame().models[:2], nodes=operated_frame().nodes[:3])
_PATH = Round()
_SHAPED = _PATH.shaped(_SMALL)
_STATE = _PATH.shaper.state()
_READER = Builder()


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["melting-gpus", "two-operators"])
async def test_the_demo_comes_back(scenario: str) -> None:
    """What a simulated fleet tells, frame by frame, is what a replay shows; in few schemas."""
    options = DemoOptions(scenario, seed=3, speed=30.0)
    source, path, frames = DemoSource(start_simulator(options), options), None, 0
    try:
        async for frame in source.frames():
            if not frame.models:
                continue
            path = path or Round(int(frame.at * 1e6))
            assert path.frame(frame) == as_replayed(frame)
            frames += 1
            if frames >= 12:
                break
    finally:
        await source.aclose()
    assert path is not None and path.schemas < 8
