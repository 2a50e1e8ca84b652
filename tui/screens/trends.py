"""The last ten minutes of what the model page shows of a whole model."""

from array import array
from typing import TYPE_CHECKING, NamedTuple

from collectors.fleet import Frame, Model
from tui.screens.shares import Shares
from tui.store import BACK_S, known

if TYPE_CHECKING:
    from collectors.sessions import Series

SIGNALS = (
    "waiting",
    "running",
    "busy_ratio",
    "tensor_ratio",
    "kv_ratio",
    "memory_ratio",
    "first_token_p99",
    "token_gap_p99",
    "preemptions",
    "errors",
    "tokens_in",
    "tokens_out",
    "power_w",
)
"""The signals kept, for every model."""

STEP_S = 10
STEPS = 60
"""Ten minutes in steps of ten seconds; 500 models take 3 MB."""

GAP = -1.0
_PLACES = {signal: place * STEPS for place, signal in enumerate(SIGNALS)}


class Span(NamedTuple):
    """Lowest and highest estimate of the window, and the highest of each part (GAP: none)."""

    low: float
    high: float
    highs: tuple[float, ...]


class Trends:
    """Bounded memory: per model two rings a signal, lowest and highest known estimate in every step.

    Fed by one thread and read by another: each value is one item of an array, so a reader sees it before or
    after, never half.

    shares: of each feature in a model's requests, fed along
    """

    def __init__(self) -> None:
        self.shares = Shares()
        self._rings: dict[str, tuple[array[float], array[float]]] = {}
        self._seen: dict[str, Model] = {}
        self._step = -1

    def add(self, frame: Frame) -> None:
        """Take one frame in. Time that goes back by over a minute, as in a replay, starts afresh."""
        self.shares.add(frame)
        step = int(frame.at) // STEP_S
        if self._step - BACK_S // STEP_S <= step < self._step:
            step = self._step  # a clock that was corrected a little stands until it has caught up
        if step < self._step or step >= self._step + STEPS:
            self._rings, self._seen = {}, {}
        elif step > self._step:
            self._clear(step)
        self._step = step
        for model in frame.models:
            if self._seen.get(model.name) is not model:
                self._seen[model.name] = model
                self._take(model, step % STEPS)
        if len(self._seen) > len(frame.models):
            names = {model.name for model in frame.models}
            self._rings = {name: rings for name, rings in self._rings.items() if name in names}
            self._seen = {name: model for name, model in self._seen.items() if name in names}

    def refill(self, series: "Series", frame: Frame) -> None:
        """Forget all, and remember the ten minutes before `frame`, as if each frame had been added."""
        import numpy as np

        from tui.ticks import ticks_of

        self.shares.refill(series, frame)
        ticks = ticks_of(series, frame, STEP_S, counts_before=True)
        step = int(frame.at) // STEP_S
        in_time = ticks.steps > step - STEPS
        slots = ticks.steps[in_time] % STEPS
        nothing = np.full(len(series.times), np.nan)
        made = {}
        for model in frame.models:
            found = [series.values(model.name, "", signal) for signal in SIGNALS]
            values = np.stack([np.asarray(nothing if one is None else one, np.float64) for one in found])
            rings = np.full((2, len(SIGNALS), STEPS), GAP, np.float32)
            for ring, part in zip(rings, (ticks.lowest(values), ticks.highest(values)), strict=True):
                ring[:, slots] = np.where(np.isfinite(part), part, GAP)[:, in_time]
            made[model.name] = (array("f", rings[0].tobytes()), array("f", rings[1].tobytes()))
        self._rings, self._step = made, step
        self._seen = {model.name: model for model in frame.models}

    def span(self, model: str, signal: str, parts: int) -> Span | None:
        """What is known of the window, in `parts` parts (a divisor of STEPS); None if nothing is."""
        rings, place = self._rings.get(model), _PLACES.get(signal)
        if rings is None or place is None:
            return None
        slots = [place + (self._step + 1 + n) % STEPS for n in range(STEPS)]
        lows = [value for slot in slots if (value := rings[0][slot]) != GAP]
        highs = [rings[1][slot] for slot in slots]
        if not lows:
            return None
        size = STEPS // parts
        return Span(
            min(lows), max(highs), tuple(max(highs[n : n + size]) for n in range(0, size * parts, size))
        )

    def _clear(self, step: int) -> None:
        """Empty the steps between the last frame and this one; a model unchanged since carries on."""
        for past in range(self._step + 1, step + 1):
            for rings in self._rings.values():
                for place in _PLACES.values():
                    for ring in rings:
                        ring[place + past % STEPS] = GAP
        for name, model in self._seen.items():
            self._take_into(self._rings[name], model, step % STEPS)

    def _take(self, model: Model, slot: int) -> None:
        rings = self._rings.get(model.name)
        if rings is None:
            empty = array("f", [GAP]) * (len(SIGNALS) * STEPS)
            rings = self._rings[model.name] = (empty, empty[:])
        self._take_into(rings, model, slot)

    @staticmethod
    def _take_into(rings: "tuple[array[float], array[float]]", model: Model, slot: int) -> None:
        lows, highs = rings
        for signal, place in _PLACES.items():
            if (value := known(model.readings.get(signal))) is None:
                continue
            at = place + slot
            if highs[at] == GAP or value < lows[at]:
                lows[at] = value
            if value > highs[at]:
                highs[at] = value
