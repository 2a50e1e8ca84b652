"""Which share of a model's requests each feature has, now and up to two hours ago."""

from array import array
from collections.abc import Mapping
from threading import Lock
from typing import TYPE_CHECKING

from collectors.fleet import Frame, Model
from collectors.readings import NEVER, Quality
from tui.store import BACK_S

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from collectors.sessions import Series

STEP_S = 60
STEPS = 120
"""Two hours in steps of one minute, so that a surge is still seen as one an hour into it: 500 models with
four features take a megabyte."""

GAP = -1.0


def feature_shares(model: Model) -> Mapping[str, float]:
    """Share (0..1) of the model's arrivals of each feature; empty where it is not known of what."""
    arrivals = {feature: found.get("arrivals", NEVER) for feature, found in model.by_feature.items()}
    known = {
        feature: one.estimate
        for feature, one in arrivals.items()
        if one.estimate is not None and one.quality in (Quality.GOOD, Quality.STALE)
    }
    whole, total = model.reading("arrivals"), sum(known.values())
    everything = None if whole.quality is Quality.SUSPECT else whole.estimate
    if len(known) < len(arrivals) and (everything is None or everything < total):
        # A feature whose arrivals are not known may be most of them.
        return {}
    of = max(total, everything or 0.0)
    return {feature: value / of for feature, value in known.items()} if of > 0 else {}


class Shares:
    """Bounded memory: one share a minute of every feature of every model.

    One thread may feed it while another reads.
    """

    def __init__(self) -> None:
        self._rings: dict[tuple[str, str], array[float]] = {}
        self._taken: dict[str, int] = {}
        self._step = self._begun = -1
        self._lock = Lock()

    def add(self, frame: Frame) -> None:
        """Take one frame in. Time that goes back by over a minute, as in a replay, starts afresh."""
        step = int(frame.at) // STEP_S
        with self._lock:
            if self._step - BACK_S // STEP_S <= step < self._step:
                step = self._step  # a clock that was corrected a little stands until it has caught up
            if step < self._step or step >= self._step + STEPS:
                self._rings, self._taken, self._begun = {}, {}, step
            elif step > self._step:
                self._clear(step)
            self._step = step
            for model in frame.models:
                if model.by_feature and self._taken.get(model.name) != step:
                    self._take(model, step)

    def refill(self, series: "Series", frame: Frame) -> None:
        """Forget all, and remember the ten minutes before `frame`, as if each frame had been added."""
        import numpy as np

        from tui.ticks import ticks_of

        ticks = ticks_of(series, frame, STEP_S)
        step = int(frame.at) // STEP_S
        rings: dict[tuple[str, str], array[float]] = {}
        taken: dict[str, int] = {}
        for model in frame.models:
            shares = _shares_of(series, model.name) if model.by_feature else {}
            known = np.zeros(len(series.times), np.bool_)
            for values in shares.values():
                known |= ~np.isnan(values)
            # The first of each step that tells them.
            telling = np.flatnonzero(known[ticks.places])
            steps, first = np.unique(np.repeat(ticks.steps, ticks.lengths)[telling], return_index=True)
            places = ticks.places[telling[first]]
            for feature, values in shares.items():
                ring = np.full(STEPS, GAP, np.float32)
                ring[steps % STEPS] = np.where(np.isnan(values[places]), GAP, values[places])
                if (ring != GAP).any():
                    rings[model.name, feature] = array("f", ring.tobytes())
            if len(steps):
                taken[model.name] = int(steps[-1])
        with self._lock:
            self._rings, self._taken, self._step = rings, taken, step
            self._begun = int(ticks.steps[0]) if len(ticks.steps) else step

    def oldest(self, model: str, feature: str) -> float | None:
        """The feature's share two hours ago, or where it is known for less, the first one."""
        with self._lock:
            ring = self._rings.get((model, feature))
            if ring is None:
                return None
            # Nothing is older than the first frame: the one looked for is nearly always the first looked at.
            first = max(self._step + 1 - STEPS, self._begun)
            values = (ring[step % STEPS] for step in range(first, self._step + 1))
            return next((value for value in values if value != GAP), None)

    def _clear(self, step: int) -> None:
        """Empty the steps between the last frame and this one; what is in none any more is forgotten."""
        for past in range(self._step + 1, step + 1):
            for ring in self._rings.values():
                ring[past % STEPS] = GAP
        self._rings = {key: ring for key, ring in self._rings.items() if any(one != GAP for one in ring)}
        kept = {model for model, _ in self._rings}
        self._taken = {model: taken for model, taken in self._taken.items() if model in kept}

    def _take(self, model: Model, step: int) -> None:
        shares = feature_shares(model)
        for feature, share in shares.items():
            ring = self._rings.get((model.name, feature))
            if ring is None:
                ring = self._rings[model.name, feature] = array("f", [GAP]) * STEPS
            ring[step % STEPS] = share
        if shares:
            self._taken[model.name] = step


def _shares_of(series: "Series", model: str) -> "dict[str, NDArray[np.float64]]":
    """As `feature_shares`, at each time of the series; NaN where it is not known."""
    import numpy as np

    arrivals = {f: np.asarray(found, np.float64) for f, found in series.shares(model).items()}
    if not arrivals:
        return {}
    total = np.zeros(len(series.times))
    is_whole = np.ones(len(series.times), np.bool_)
    for values in arrivals.values():
        is_known = ~np.isnan(values)
        total = total + np.where(is_known, values, 0.0)
        is_whole &= is_known
    told = series.values(model, "", "arrivals")
    everything = np.zeros_like(total) if told is None else np.nan_to_num(np.asarray(told, np.float64))
    of = np.maximum(total, everything)
    # A feature whose arrivals are not known may be most of them.
    of[~is_whole & ((everything < total) | ~(everything > 0))] = 0.0
    return {f: np.divide(v, of, out=np.full_like(v, np.nan), where=of > 0) for f, v in arrivals.items()}
