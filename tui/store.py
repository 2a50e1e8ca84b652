"""What the cockpit remembers of past frames: short histories for sparks, and the last events.

It is fed each frame before the screen is told, because a message that a newer one replaces is never seen.
"""

import time
from array import array
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from threading import Lock, Thread
from typing import TYPE_CHECKING

from collectors.fleet import ALL_TIERS, Event, Frame, Model, Past
from collectors.readings import Quality, Reading
from tui.format import NEVER_MEASURED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from collectors.sessions import Series
    from tui.ticks import Ticks

SIGNAL, MEAN_SIGNAL = "queue_wait_p99", "queue_wait_mean"
"""The one signal kept: at 500 models and 6 tiers every further one costs 1.7 MB; what may stand for it."""

STEP_S = 5
"""Seconds in one step. Finer is wasted: no spark is wider than the steps, and sources are asked every 5 s."""

STEPS = 120
"""Steps kept: ten minutes."""

BACK_S = 60
"""Going back by no more, a clock was corrected, and what is remembered stays."""

EVENTS = 500
"""Events kept."""

PAST_AT_ONCE = 2_000
"""Values of the past taken in before others get their turn, which takes 2 ms."""

PAST_IN_PLACE = 10_000
"""More values of the past than these, of 50 models with 5 tiers, are taken in on a thread of their own."""

REST_S = 0.001
"""Rest between two such turns: the interpreter is not kept from the thread that draws."""

GAP = -1.0
"""Stands for "no value" among values that are never negative."""

Key = tuple[str, str | None]


def known(one: Reading | None) -> float | None:
    """The estimate that a memory keeps of a reading: of a good or a suspect one, as `Series.values`; else
    None."""
    if one is None or one.quality not in (Quality.GOOD, Quality.SUSPECT):
        return None
    return one.estimate


def judged_tiers(model: Model) -> Collection[str]:
    """Tiers by whose waits a model is judged; `all` holds the others' requests, so only without them."""
    tiers = model.tiers
    if ALL_TIERS not in tiers or len(tiers) == 1:
        return tiers.keys()
    others = [tier for tier in tiers if tier != ALL_TIERS]
    return others if any(_tells_a_wait(tiers[tier]) for tier in others) else (ALL_TIERS,)


def _tells_a_wait(readings: Mapping[str, Reading]) -> bool:
    """Also true where there is no value now, of a queue that is idle or of a source that is lost."""
    found = (readings.get(signal) for signal in (SIGNAL, MEAN_SIGNAL))
    return any(one is not None and one.reason.code not in _UNTOLD for one in found)


_UNTOLD = NEVER_MEASURED | {"not-open"}


class History:
    """Bounded memory of frames. One thread may feed it while another reads.

    Each series is a ring of the worst estimate in every step (D5); a step without a good reading is a gap.
    What a source tells of the time before anybody watched is taken in on a thread of its own.
    """

    def __init__(self) -> None:
        self._rings: dict[Key, array[float]] = {}
        self._seen: dict[str, tuple[Model | None, int]] = {}
        self._taking: list[Thread] = []
        self._scaled: dict[str, bool] = {}
        self._now = -1
        self._asked: dict[Key, dict[int, tuple[float, ...]]] = {}
        self._events: deque[Event] = deque(maxlen=EVENTS)
        self._lock = Lock()

    @property
    def events(self) -> tuple[Event, ...]:
        """The last events, oldest first."""
        with self._lock:
            return tuple(self._events)

    def add(self, frame: Frame) -> None:
        """Take one frame in. Frames may repeat a second, skip some, or go back in time, as a replay does."""
        with self._lock:
            self._events.extend(frame.events)
            self._advance(int(frame.at) // STEP_S)
            slot = self._now % STEPS
            for model in frame.models:
                seen = self._seen.get(model.name)
                if seen is None or seen[0] is not model or seen[1] != self._now:
                    self._seen[model.name] = (model, self._now)
                    self._take(model, slot)
            self._forget_absent(frame)
        if frame.past:
            self._take_past(frame)

    def refill(self, series: "Series", frame: Frame, events: Iterable[Event]) -> None:
        """Forget all, and remember what was before `frame`, as if each frame until then had been added.

        series: readings of the ten minutes up to the frame; events: of before and of it, oldest first
        Worst tiers are judged by the frame's objectives, also in the time before.
        """
        from tui.ticks import ticks_of

        ticks = ticks_of(series, frame, STEP_S)
        now = int(frame.at) // STEP_S
        rings: dict[Key, array[float]] = {}
        for model in frame.models:
            _refill_model(rings, series, model, ticks, now)
        with self._lock:
            self._rings, self._now = rings, now
            self._seen = {model.name: (None, now) for model in frame.models}
            self._scaled = {model.name: bool(model.objectives) for model in frame.models}
            self._events = deque(events, maxlen=EVENTS)
            self._asked.clear()
        if frame.past:
            self._take_past(frame)

    def settle(self) -> None:
        """Wait until all of the past that came so far is taken in: for who draws once and leaves."""
        for one in self._taking:
            one.join()

    def spark_values(self, model: str, tier: str | None, n: int) -> tuple[float, ...]:
        """The last ten minutes in `n` values, oldest first; GAP (-1) where there was no good reading.

        tier: seconds of wait of that tier; None: of the worst tier, as `is_scaled` says in seconds or as a
            share of its objective
        n: 1 to STEPS. Spans are cut at fixed times, so that the picture shifts once a span, not every second.
        """
        with self._lock:
            known = self._asked.setdefault((model, tier), {})
            if n not in known:
                known[n] = self._spans(model, tier, n)
            return known[n]

    def value_at(self, model: str, tier: str, at: float) -> float:
        """Seconds of wait of a tier at a time of the last ten minutes, or up to 10 s before; else GAP."""
        ring, step = self._rings.get((model, tier)), int(at) // STEP_S
        for one in (step, step - 1, step - 2):
            if ring is not None and self._now - STEPS < one <= self._now and ring[one % STEPS] != GAP:
                return ring[one % STEPS]
        return GAP

    def is_scaled(self, model: str) -> bool:
        """Whether the worst tier's values are shares of its objective; without objectives, seconds."""
        return self._scaled.get(model, False)

    def _advance(self, step: int) -> None:
        """Empty the slots between the last step and this one; going back by much, all: they are not past yet.

        A clock that was corrected a little counts as standing until it has caught up.
        """
        skipped = step - self._now
        if -BACK_S // STEP_S <= skipped <= 0:
            return
        slots = range(STEPS) if skipped < 0 or skipped >= STEPS else range(self._now + 1, step + 1)
        for ring in self._rings.values():
            for slot in slots:
                ring[slot % STEPS] = GAP
        self._now = step
        self._asked.clear()

    def _spans(self, model: str, tier: str | None, n: int) -> tuple[float, ...]:
        ring = self._rings.get((model, tier))
        if ring is None:
            return (GAP,) * n
        span = max(1, STEPS // n)
        newest = self._now // span * span
        oldest = newest - (n - 1) * span
        return tuple(self._worst(ring, start, start + span) for start in range(oldest, newest + 1, span))

    def _worst(self, ring: "array[float]", start: int, end: int) -> float:
        start, end = max(start, self._now - STEPS + 1), min(end, self._now + 1)
        if start >= end:
            return GAP
        first, last = start % STEPS, (end - 1) % STEPS
        if first <= last:
            return max(ring[first : last + 1])
        return max(max(ring[first:]), max(ring[: last + 1]))

    def _take(self, model: Model, slot: int) -> None:
        worst, scaled, judged = GAP, bool(model.objectives), judged_tiers(model)
        for tier, readings in model.tiers.items():
            if (estimate := known(readings.get(SIGNAL))) is None:
                continue
            self._put((model.name, tier), slot, estimate)
            if tier not in judged:
                continue
            promised = model.objectives.get(tier)
            if not scaled:
                worst = max(worst, estimate)
            elif promised:
                worst = max(worst, estimate / promised)
        self._scaled[model.name] = scaled
        if worst >= 0:
            self._put((model.name, None), slot, worst)

    def _take_past(self, frame: Frame) -> None:
        """A little in place, for the first picture; more on a thread: who feeds this has more to do."""
        promised = {model.name: model.objectives for model in frame.models}
        judged = {model.name: judged_tiers(model) for model in frame.models if ALL_TIERS in model.tiers}
        arguments = (frame.past, promised, judged)
        if len(frame.past) <= PAST_IN_PLACE:
            self._take_all(*arguments, rest_s=0)
            return
        self._taking = [one for one in self._taking if one.is_alive()]
        self._taking.append(Thread(target=self._take_all, args=arguments, name="tidegate-past", daemon=True))
        self._taking[-1].start()

    def _take_all(
        self,
        past: Sequence[Past],
        promised: Mapping[str, Mapping[str, float]],
        judged: Mapping[str, Collection[str]],
        rest_s: float = REST_S,
    ) -> None:
        for start in range(0, len(past), PAST_AT_ONCE):
            self._take_some(past[start : start + PAST_AT_ONCE], promised, judged)
            if rest_s:
                time.sleep(rest_s)

    def _take_some(
        self,
        past: Iterable[Past],
        promised: Mapping[str, Mapping[str, float]],
        judged: Mapping[str, Collection[str]],
    ) -> None:
        """Put values where they were in time: what is out of the window is dropped, the worst stays (D5)."""
        with self._lock:
            now, rings = self._now, self._rings
            for model, tier, signal, at, value in past:
                step = int(at) // STEP_S
                if signal != SIGNAL or not now - STEPS < step <= now or not value >= 0:
                    continue
                if not tier and model in judged:
                    tier = ALL_TIERS
                slot = step % STEPS
                key = (model, tier)
                ring = rings.get(key)
                if ring is None:
                    if model not in self._seen:
                        self._seen[model] = (None, now)
                    ring = rings[key] = array("f", [GAP]) * STEPS
                if value > ring[slot]:
                    ring[slot] = value
                if (objectives := promised.get(model)) is None or tier not in judged.get(model, (tier,)):
                    continue
                if not objectives:
                    self._put((model, None), slot, value)
                elif limit := objectives.get(tier):
                    self._put((model, None), slot, value / limit)
            self._asked.clear()

    def _put(self, key: Key, slot: int, value: float) -> None:
        ring = self._rings.get(key)
        if ring is None:
            ring = self._rings[key] = array("f", [GAP]) * STEPS
        if value > ring[slot]:
            ring[slot] = value
            self._asked.pop(key, None)

    def _forget_absent(self, frame: Frame) -> None:
        """Drop models not seen for the whole window: names come and go, memory stays bounded."""
        if len(self._seen) <= len(frame.models):
            return
        gone = [name for name, (_, step) in self._seen.items() if not 0 <= self._now - step < STEPS]
        for name in gone:
            del self._seen[name]
            self._scaled.pop(name, None)
        if gone:
            self._drop(gone)

    def _drop(self, names: Iterable[str]) -> None:
        dropped = frozenset(names)
        self._rings = {key: ring for key, ring in self._rings.items() if key[0] not in dropped}


def _refill_model(
    rings: "dict[Key, array[float]]", series: "Series", model: Model, ticks: "Ticks", now: int
) -> None:
    """The rings of one model: each of its tiers, and the worst of those that it is judged by."""
    import numpy as np

    tiers, rows = [], []
    for tier in model.tiers:
        values = series.values(model.name, tier, SIGNAL)
        if values is not None:
            tiers.append(tier)
            rows.append(np.asarray(values, np.float64)[: ticks.frames])
    if not tiers:
        return
    in_time = ticks.steps > now - STEPS
    slots = ticks.steps[in_time] % STEPS
    highest = ticks.highest(np.stack(rows))[:, in_time]
    worst, judged = np.full(len(slots), GAP), judged_tiers(model)
    for tier, row in zip(tiers, highest, strict=True):
        _put_ring(rings, (model.name, tier), slots, row)
        promised = model.objectives.get(tier) if model.objectives else 1.0
        if tier in judged and promised:
            worst = np.maximum(worst, row / promised)
    _put_ring(rings, (model.name, None), slots, np.where(worst >= 0, worst, GAP))


def _put_ring(
    rings: "dict[Key, array[float]]", key: Key, slots: "NDArray[np.intp]", values: "NDArray[np.float64]"
) -> None:
    import numpy as np

    if not (values > GAP).any():
        return
    ring = np.full(STEPS, GAP, np.float32)
    ring[slots] = np.maximum(values, GAP)
    rings[key] = array("f", ring.tobytes())
