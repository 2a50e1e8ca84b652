"""A fleet made of arithmetic: the load that the budgets of the screen are measured under.

50 models in 5 tiers on 10,000 accelerators, one frame a second, a tenth of the values changing in each,
the same in every run.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace

from collectors.fleet import (
    Alert,
    Event,
    EventKind,
    Exposure,
    Feature,
    Frame,
    LastChange,
    Model,
    Node,
    Release,
    Severity,
    SourceHealth,
    SourceState,
    Stage,
    Throttle,
    Tier,
)
from collectors.readings import Interval, Quality, Reading, Reason, reading

TIERS = tuple(Tier(name, name.title()) for name in ("pro", "plus", "team", "edu", "free"))
OBJECTIVES = dict(zip((tier.name for tier in TIERS), (2.0, 3.0, 3.0, 4.0, 6.0), strict=True))
BUCKETS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0)
CHANGING = 0.1
"""Share of the values that differ from one frame to the next."""

START = 1_790_000_000.0
"""The first frame's time: fixed, so that two runs draw the same screens."""

_FAMILIES = ("aurora", "boreal", "cirrus", "delta", "embed", "fable", "gale", "harbor", "iris", "juniper")
_KINDS = ("5", "5-mini", "vision", "code", "voice")
_UNKNOWN = Reading(None, None, Quality.UNKNOWN, Reason("no-capacity-model"))
_PLAIN: Mapping[str, tuple[float, float]] = {
    "waiting": (0, 900),
    "running": (20, 900),
    "arrivals": (50, 700),
    "served": (50, 700),
    "errors": (0, 0.002),
    "preemptions": (0, 0.4),
    "tokens_in": (5_000, 90_000),
    "tokens_out": (2_000, 40_000),
    "kv_ratio": (0.2, 0.97),
    "busy_ratio": (0.3, 0.99),
    "memory_ratio": (0.5, 0.96),
    "power_w": (9_000, 130_000),
    "temperature_c": (45, 83),
    "first_token_p99": (0.2, 6),
    "token_gap_p99": (0.02, 0.06),
}
_TIERED: Mapping[str, tuple[float, float]] = {
    "queue_wait_p50": (0.05, 1.5),
    "queue_wait_p95": (0.2, 3.5),
    "queue_wait_p99": (0.3, 6.5),
    "waiting": (0, 300),
    "arrivals": (5, 200),
    "served": (5, 200),
}
_QUANTILES = frozenset(signal for signal in (*_PLAIN, *_TIERED) if signal[-4:-2] == "_p")


@dataclass(frozen=True, slots=True)
class Size:
    """How large a fleet: nodes of 8 accelerators each."""

    models: int = 50
    nodes: int = 1_250


class SyntheticSource:
    """Frames of an invented fleet, one every `interval_s` (0: as fast as they are taken)."""

    def __init__(self, size: Size | None = None, *, interval_s: float = 1.0, seed: int = 7) -> None:
        self._size = size or Size()
        self._interval_s = interval_s
        self._random = random.Random(seed)
        self._closed = asyncio.Event()
        self._values = [self._drawn_values() for _ in range(self._size.models)]
        self._names = sorted(_names(self._size.models))
        self._nodes = [self._node(i) for i in range(self._size.nodes)]
        self._releases = tuple(
            _release(name, i) for i, name in enumerate(self._names) if i < 50 and i % 3 == 0
        )

    async def frames(self) -> AsyncIterator[Frame]:
        """Frames in order of time, by a clock of their own, until closed."""
        tick, due = 0, time.monotonic()
        while not self._closed.is_set():
            yield self.frame(tick)
            tick, due = tick + 1, due + self._interval_s
            try:
                await asyncio.wait_for(self._closed.wait(), max(0.0, due - time.monotonic()))
            except TimeoutError:
                continue

    async def aclose(self) -> None:
        """Stop after the frame that is out."""
        self._closed.set()

    def frame(self, tick: int) -> Frame:
        """The next frame, as number `tick`."""
        at = START + tick
        if tick:
            self._move()
        models = tuple(self._model(i, at) for i in range(self._size.models))
        return Frame(
            at=at,
            tick=tick,
            context="synthetic",
            tiers=TIERS,
            models=models,
            totals={
                "accelerators": reading("accelerators", 8.0 * self._size.nodes, at),
                "busy_ratio": reading("busy_ratio", _mean(v["busy_ratio"] for v in self._values), at),
                "headroom_ratio": _UNKNOWN,
            },
            releases=self._releases,
            throttles=_throttles(),
            features=tuple(
                Feature(f, f.replace("-", " "), tuple(self._names[i::4])) for i, f in enumerate(_FEATURES)
            ),
            nodes=tuple(self._nodes),
            alerts=self._alerts(),
            sources=(
                SourceHealth(
                    "synthetic",
                    "synthetic",
                    SourceState.OK,
                    at,
                    0.02,
                    1.0,
                    targets=(1_250, 1_250),
                    queries=30,
                ),
            ),
            events=self._events(tick, at),
        )

    def _drawn_values(self) -> dict[str, float]:
        keys = [*_PLAIN.items()]
        keys += [(f"{tier.name}.{signal}", span) for tier in TIERS for signal, span in _TIERED.items()]
        return {key: self._random.uniform(*span) for key, span in keys}

    def _move(self) -> None:
        for values in self._values:
            for key in self._random.sample(sorted(values), max(1, round(CHANGING * len(values)))):
                signal = key.rpartition(".")[2] if "." in key else key
                low, high = (_TIERED if "." in key else _PLAIN)[signal]
                step = self._random.uniform(-0.25, 0.25) * (high - low)
                values[key] = min(max(values[key] + step, low), high)
        for index in self._random.sample(range(len(self._nodes)), round(CHANGING * len(self._nodes))):
            node = self._nodes[index]
            busy = bytes(
                min(max(b + self._random.randint(-40, 40), 0), 100) if b <= 100 else b for b in node.busy
            )
            self._nodes[index] = replace(node, busy=busy)

    def _model(self, index: int, at: float) -> Model:
        values = self._values[index]
        plain = {signal: _reading(signal, values[signal], at) for signal in _PLAIN}
        plain["replicas"] = reading("replicas", 4 + index % 29, at)
        plain["accelerators"] = reading("accelerators", 8 * (4 + index % 29), at)
        plain["saturation_rho"] = plain["headroom_ratio"] = _UNKNOWN
        tiers = {
            tier.name: {s: _reading(s, values[f"{tier.name}.{s}"], at) for s in _TIERED} for tier in TIERS
        }
        return Model(
            self._names[index],
            plain,
            tiers,
            OBJECTIVES,
            throttle=(None, 1.0, 0.5, 0.3)[index % 4],
            features=(_FEATURES[index % 4],),
        )

    def _node(self, index: int) -> Node:
        busy = bytes(self._random.randint(30, 100) for _ in range(8))
        marks = " " * 8
        if index % 97 == 5:
            marks = "XX      "
        elif index % 131 == 7:
            marks = "  tttt  "
        elif index % 211 == 3:
            busy = bytes([254] * 8)
        name = self._names[index % len(self._names)]
        return Node(
            f"r{index // 14:02d}-n{index % 14:02d}",
            f"zone-{'abc'[index * 3 // self._size.nodes]}",
            busy,
            marks,
            (name,),
        )

    def _alerts(self) -> tuple[Alert, ...]:
        first, second = self._names[0], self._names[1]
        return (
            Alert("a1", Severity.P1, first, "free", START - 211, "queue wait p99 14.9 s above 6.0 s"),
            Alert("a2", Severity.P2, second, "team", START - 129, "queue wait p99 3.8 s above 3.0 s"),
            Alert("a3", Severity.P3, second, "", START - 40, "KV cache 97 % full"),
        )

    def _events(self, tick: int, at: float) -> tuple[Event, ...]:
        if tick % 7:
            return ()
        name = self._names[tick % len(self._names)]
        return (Event(at, EventKind.THROTTLE, "alice", name, f"image-generation/free admit 30% ({tick})"),)


_FEATURES = ("chat", "image-generation", "deep-research", "voice")


def _names(count: int) -> Iterator[str]:
    for i in range(count):
        family, kind = _FAMILIES[i % len(_FAMILIES)], _KINDS[i // len(_FAMILIES) % len(_KINDS)]
        yield f"{family}-{kind}" if i < 50 else f"{family}-{kind}-{i // 50}"


def _reading(signal: str, value: float, at: float) -> Reading:
    if signal not in _QUANTILES:
        return reading(signal, value, at, coverage=(4, 4))
    low = max((bound for bound in BUCKETS if bound < value), default=0.0)
    high = min((bound for bound in BUCKETS if bound >= value), default=float("inf"))
    return reading(signal, Interval(low, high, value), at, coverage=(4, 4))


def _release(name: str, index: int) -> Release:
    open_stages = 1 + index % len(TIERS)
    return Release(
        id=f"release-{name}",
        title=name,
        subject_kind="model",
        subject=name,
        seq=17,
        etag=f"m-{17 + index}",
        stable="v1",
        candidate="v2",
        stages=tuple(Stage(f"s{i}", tier.name, 1.0) for i, tier in enumerate(TIERS)),
        phase="progressing" if open_stages < len(TIERS) else "completed",
        stage_index=open_stages - 1,
        exposure=tuple(
            Exposure(tier.name, 1.0 if i < open_stages - 1 else 0.25 if i == open_stages - 1 else 0.0)
            for i, tier in enumerate(TIERS)
        ),
        entered_at=START - 720,
        gate="open",
    )


def _throttles() -> tuple[Throttle, ...]:
    change = LastChange("t-9", "throttle.set", "alice", "launch spike", START - 60)
    return (
        Throttle("image-generation", "free", 9, "t-9", 0.3, expires_at=START + 1_800, last_change=change),
        Throttle("deep-research", "team", 4, "t-4", 0.5, last_change=change),
    )


def _mean(values: Iterator[float]) -> float:
    kept = list(values)
    return sum(kept) / len(kept)
