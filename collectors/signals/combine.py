"""How rows of several exporters become one reading: whose word is taken, and how numbers are put together."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from collectors.readings import NO_REASON, Quality, Reading, Reason, impossible, reading
from collectors.signals.catalogue import Buckets
from collectors.signals.keys import Key
from collectors.signals.quantiles import interval, merged, quantile_signal
from collectors.signals.recent import Recent, Seen, judged

# Beyond any queue; a sum of absurd depths may be infinite.
_DEEPEST = 1e15

_WORST = frozenset(
    {"kv_ratio", "pool_saturation", "temperature_c", "errors", "queue_wait_mean", "answer_time_mean"}
)
_WEIGHTED = frozenset({"busy_ratio", "memory_ratio", "tensor_ratio"})
_BOTH = frozenset({"waiting"})

_ENGINE_FIRST = ("engine", "router", "gateway", "cluster")
_ROUTER_FIRST = ("router", "gateway", "engine", "cluster")
_GATEWAY_FIRST = ("gateway", "router", "engine", "cluster")
_ORDER: Mapping[str, tuple[str, ...]] = {
    "queue_wait": _ROUTER_FIRST,
    "queue_wait_mean": _ROUTER_FIRST,
    "arrivals": _ROUTER_FIRST,
    "pool_saturation": _ROUTER_FIRST,
    "replicas": _ROUTER_FIRST,
    "answer_time": _GATEWAY_FIRST,
    "rejected": _GATEWAY_FIRST,
    "errors": _GATEWAY_FIRST,
}
"""Whose word counts first. A gateway sees a request as its user does and what never reached an engine; the
router's queue is where requests wait; an engine knows its own tokens, cache and batches."""


class Entry(NamedTuple):
    """One row that belongs to some key, with what is needed to combine it with others."""

    role: str
    stack: str
    value: float | Buckets
    weight: float
    at: float | None
    rung: str
    quantiles: tuple[float, ...]
    window_s: float = 0.0


def chosen(entries: Sequence[Entry], family: str, *, split: bool) -> list[Entry]:
    """The entries to combine: one role's, so that two exporters of one thing are not added up.

    split: of a tier or feature, which routers and gateways tell apart better than engines
    """
    if own := [e for e in entries if e.role == "override"]:
        return own
    if family in _BOTH:
        # What a gateway holds back until the first token waits in the engine behind it.
        return [e for e in entries if e.role != "gateway"] or list(entries)
    order = _ORDER.get(family, _ROUTER_FIRST if split else _ENGINE_FIRST)
    for role in (*order, "accelerator"):
        if found := [e for e in entries if e.role == role]:
            # Busy time of two kinds makes no mean: what reads higher would stand for what does not.
            return ([e for e in found if not e.rung] or found) if family in _WEIGHTED else found
    return []


def readings(
    key: Key,
    entries: Sequence[Entry],
    covered: tuple[int, int] | None,
    depth: float,
    recent: Recent | None,
) -> Iterable[tuple[Key, Reading]]:
    """The readings of one key's chosen entries: of a histogram one for each quantile.

    depth: requests that wait there; recent: what the polls before saw, where that is remembered
    """
    at = min((e.at for e in entries if e.at is not None), default=None)
    rung = next((e.rung for e in entries if e.rung), "")
    note = Reason("rung", (rung,)) if rung else NO_REASON
    if not isinstance(entries[0].value, Buckets):
        numbers = [(e.value, e.weight) for e in entries if isinstance(e.value, float)]
        yield key, reading(key.signal, combined(key.signal, numbers), at, Quality.GOOD, note, covered)
        return
    together = merged([e.value for e in entries if isinstance(e.value, Buckets)])
    window_s = max(e.window_s for e in entries)
    seen = None
    if window_s > 0 and at is not None and recent is not None and together.bounds[-1:] == (math.inf,):
        seen = recent.seen(key, together, window_s, at)
    for q in sorted({q for e in entries for q in e.quantiles}):
        signal = quantile_signal(key.signal, q)
        one = _quantile(signal, together, q, at, covered, min(depth, _DEEPEST))
        if seen is not None and one.value is not None:
            one = _honest(signal, q, seen, one, window_s)
        yield key._replace(signal=signal), one


def _honest(signal: str, q: float, seen: Seen, one: Reading, window_s: float) -> Reading:
    """The reading as far as its number of observations carries it."""
    allowed, why = judged(signal, q, seen, window_s)
    if allowed is None:
        return Reading(None, one.at, Quality.MISSING, why, one.coverage)
    return reading(signal, interval(seen.buckets, allowed), one.at, Quality.GOOD, why, one.coverage)


def _quantile(
    signal: str, together: Buckets, q: float, at: float | None, covered: tuple[int, int] | None, depth: float
) -> Reading:
    """NaN with an empty queue is idle; with a queue it is stalled, and that is worth a warning.

    Without the last bucket nobody knows how many there were: that is not idle.
    """
    found = interval(together, q)
    if found is not None:
        return reading(signal, found, at, coverage=covered)
    if not together.bounds or together.bounds[-1] != math.inf:
        return reading(signal, None, at, Quality.MISSING, Reason("not-a-number", ("a bucket",)), covered)
    if depth > 0 and signal.startswith("queue_wait"):
        return reading(signal, None, at, Quality.SUSPECT, Reason("stalled", (round(depth),)), covered)
    return reading(signal, None, at, Quality.GOOD, Reason("idle"), covered)


def combined(signal: str, numbers: Sequence[tuple[float, float]]) -> float:
    """Values with their weights as one number. NaN only if every one is: one replica that sends NaN must not
    blank its model.

    An impossible row is the answer, whatever the others say: a sum must not hide it. So is an infinite one
    where no row is finite.
    """
    finite = [(v, w) for v, w in numbers if math.isfinite(v)]
    if not finite:
        return next((v for v, _ in numbers if not math.isnan(v)), math.nan)
    if (wrong := next((v for v, _ in finite if impossible(signal, v)), None)) is not None:
        return wrong
    if signal in _WORST:
        return max(v for v, _ in finite)
    if signal in _WEIGHTED:
        total = sum(w for _, w in finite)
        return sum(v * w for v, w in finite) / total if total > 0 else math.nan
    return sum(v for v, _ in finite)
