"""Histograms of waits and answers, filled from exact ages, with the bounds that each exporter uses.

Bounds: vLLM 0.33 (`vllm/v1/metrics`), and the llm-d endpoint picker's flow control and metrics packages. So
that all pages keep to 4,000 lines, bounds between which no observation can lie here are left out.
"""

import math
from typing import Final

import numpy as np

from collectors.simulator.classes import Floats, Ints
from collectors.simulator.cohorts import Popped
from collectors.simulator.scenario import STEP_S

ENGINE_WAIT: Final = (
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0,
    960.0, 1920.0, 7680.0,
)  # fmt: skip
"""vLLM: queue time and end-to-end latency, seconds."""

FIRST_TOKEN: Final = (
    0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0,
    80.0, 160.0, 640.0, 2560.0,
)  # fmt: skip
"""vLLM: time to first token, seconds; two bounds below 10 ms left out."""

TOKEN_GAP: Final = (
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5,
)  # fmt: skip
"""vLLM: time between tokens, seconds; nine bounds above .5 s, twenty times a full batch's, left out."""

PICKER_WAIT: Final = (0.0001, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Endpoint picker: time in flow control, seconds. Waits are whole steps of half a second: the seven bounds
between 0.1 ms and 0.25 s are left out."""

PICKER_ANSWER: Final = (1.0, 4.0, 8.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 120.0, 600.0)
"""Endpoint picker: request duration. A third of its real bounds, so that all pages keep to 4,000 lines."""

WAIT_BOUNDS: Final = tuple(sorted({*ENGINE_WAIT, *PICKER_WAIT}))

_SERVICE_SIGMA = math.sqrt(math.log(2))  # lognormal with the exponential's coefficient of variation, 1
_PREFILL_MEAN_S, _PREFILL_SIGMA = 0.25, 0.6
_GAP_SIGMA = 0.3

AGES = 4096
"""Ages in steps that are looked up; older ones, beyond 34 min, count as this old in answer times."""

_GRID = 256
_NORMAL = np.array([0.5 * (1 + math.erf(i / _GRID / math.sqrt(2))) for i in range(-6 * _GRID, 6 * _GRID + 1)])


def _normal(z: Floats) -> Floats:
    """The standard normal distribution function, by lookup: within 1e-3."""
    place = np.clip(z * _GRID + (6 * _GRID + 0.5), 0, 12 * _GRID).astype(np.int64)
    found: Floats = _NORMAL[place]
    return found


def _logs_of_rest(bounds: tuple[float, ...]) -> Floats:
    """ln(bound - age) for every age, (AGES, bounds): what waiting leaves of a bound; tiny if nothing."""
    rest = np.array(bounds) - STEP_S * np.arange(AGES)[:, None]
    logs: Floats = np.log(np.maximum(rest, 1e-12))
    return logs


class Measures:
    """Observations since the world began, by class.

    waits: (K, bounds + 1) starts in each bucket of `WAIT_BOUNDS`, not cumulative
    answers: (K, bounds) answers at or below each bound of `PICKER_ANSWER`, as users see them
    engine_answers, first_tokens: (K, bounds) the same of `ENGINE_WAIT` and `FIRST_TOKEN`, as engines see
        them: from their own queue on, which is empty where requests wait at the picker
    gaps: (M, bounds) tokens at or below each bound of `TOKEN_GAP`
    *_sum: (K,) or (M,) seconds
    """

    def __init__(self, classes: int, models: int, *, engines_queue: bool) -> None:
        self._engines_queue = engines_queue
        self.waits = np.zeros((classes, len(WAIT_BOUNDS) + 1))
        self.answers = np.zeros((classes, len(PICKER_ANSWER)))
        self.engine_answers = np.zeros((classes, len(ENGINE_WAIT)))
        self.first_tokens = np.zeros((classes, len(FIRST_TOKEN)))
        self.gaps = np.zeros((models, len(TOKEN_GAP)))
        self.waits_sum = np.zeros(classes)
        self.answers_sum = np.zeros(classes)
        self.engine_answers_sum = np.zeros(classes)
        self.first_tokens_sum = np.zeros(classes)
        self.gaps_sum = np.zeros(models)
        self.gaps_count = np.zeros(models)
        self._bucket = np.searchsorted(WAIT_BOUNDS, STEP_S * np.arange(AGES), side="left")
        self._answer_rest = _logs_of_rest(PICKER_ANSWER)
        self._engine_rest = _logs_of_rest(ENGINE_WAIT)
        self._first_rest = _logs_of_rest(FIRST_TOKEN)
        self._gap_logs = np.log(np.array(TOKEN_GAP))

    def started(self, popped: Popped, service_s: Floats) -> None:
        """Requests that left the queue; `service_s`: (K,) mean time their class then takes."""
        at, age, amount = popped
        if not at.size:
            return
        known = np.minimum(age, AGES - 1)
        bucket = np.where(age < AGES, self._bucket[known], np.searchsorted(WAIT_BOUNDS, age * STEP_S))
        cell = at * self.waits.shape[1] + bucket
        self.waits += np.bincount(cell, amount, self.waits.size).reshape(self.waits.shape)
        started = np.bincount(at, amount, len(service_s))
        waited = np.bincount(at, amount * age, len(service_s)) * STEP_S
        self.waits_sum += waited
        served = started * service_s
        self.answers_sum += waited + served
        in_engine = waited if self._engines_queue else np.zeros_like(waited)
        self.engine_answers_sum += in_engine + served
        self.first_tokens_sum += in_engine + started * _PREFILL_MEAN_S

        run = np.flatnonzero(np.diff(at, prepend=-1))

        def below(rest: Floats, logs: Floats, sigma: float) -> Floats:
            """Requests at or below each bound, by class of `run`."""
            shares = _normal((rest - logs[:, None]) * (1 / sigma))
            sums: Floats = np.add.reduceat(shares * amount[:, None], run)
            return sums

        service = np.log(service_s[at]) - _SERVICE_SIGMA**2 / 2
        prefill = np.full(len(at), math.log(_PREFILL_MEAN_S) - _PREFILL_SIGMA**2 / 2)
        here = known if self._engines_queue else np.zeros_like(known)
        self.answers[at[run]] += below(self._answer_rest[known], service, _SERVICE_SIGMA)
        self.engine_answers[at[run]] += below(self._engine_rest[here], service, _SERVICE_SIGMA)
        self.first_tokens[at[run]] += below(self._first_rest[here], prefill, _PREFILL_SIGMA)

    def generated(self, tokens: Floats, step_s: Floats) -> None:
        """Tokens of one step, (M,), at decode steps of `step_s` (M,) seconds."""
        logs = np.log(step_s) - _GAP_SIGMA**2 / 2
        self.gaps += _normal((self._gap_logs - logs[:, None]) * (1 / _GAP_SIGMA)) * tokens[:, None]
        self.gaps_sum += tokens * step_s
        self.gaps_count += tokens


def age_quantiles(pairs: Ints, ages: Ints, amounts: Floats, quantile: float, of: int) -> Floats:
    """The least age, in seconds, at or below which `quantile` of the amounts lie, for each of `of` pairs.

    pairs, ages, amounts: (n,) observations in any order; NaN for a pair without any.
    """
    order = np.lexsort((ages, pairs))
    pairs, ages, amounts = pairs[order], ages[order], amounts[order]
    found = np.full(of, np.nan)
    for pair in np.unique(pairs):
        first, last = np.searchsorted(pairs, [pair, pair + 1])
        mass = np.cumsum(amounts[first:last])
        found[pair] = ages[first + int(np.searchsorted(mass, quantile * mass[-1] * (1 - 1e-12)))] * STEP_S
    return found
