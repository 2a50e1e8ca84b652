"""An operator's own queries, as definitions: asked as they are, with all their labels kept. Pure."""

import re
from collections.abc import Mapping

from collectors.config import Override
from collectors.readings import SIGNALS
from collectors.signals.catalogue import Definition
from collectors.signals.presets import FAMILIES

STACK = "override"
"""Stands for the stack of every such definition."""


def definitions(overrides: Mapping[str, Override]) -> tuple[Definition, ...]:
    """One definition for each override, by its signal, or by its family where a histogram measures it."""
    return tuple(_definition(signal, override) for signal, override in sorted(overrides.items()))


def window_s(query: str) -> float:
    """Seconds of the longest range in a query: how long its rates are of, and so how many observations they
    stand for. A query without one asks for what a rule has recorded, by habit over five minutes; the shorter
    minute is taken, so that a quantile of few is not taken for one of many.
    """
    ranges = (_RANGE.findall(query[start : start + 40]) for start in _starts(query))
    found = [sum(float(n) * _UNITS_S[unit] for n, unit in _PART.findall(one[0])) for one in ranges if one]
    return max(found, default=_ASSUMED_S)


def _starts(query: str) -> list[int]:
    return [place for place, letter in enumerate(query) if letter == "["]


_RANGE = re.compile(r"^\[\s*((?:[0-9]+(?:ms|[smhdwy]))+)\s*[\]:]")
_PART = re.compile(r"([0-9]+)(ms|[smhdwy])")
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0, "y": 31_536_000.0}
_ASSUMED_S = 60.0


def _definition(signal: str, override: Override) -> Definition:
    quantiles = _quantiles(signal) if signal in FAMILIES else ()
    return Definition(
        signal=signal,
        stack=STACK,
        role="override",
        kind="histogram" if quantiles else "gauge",
        metrics=(),
        keep=(),
        quantiles=quantiles,
        promql=override.query,
    )


def _quantiles(family: str) -> tuple[float, ...]:
    """Those of its quantiles that are signals."""
    found = (re.fullmatch(rf"{family}_p(\d+)", signal) for signal in SIGNALS)
    return tuple(sorted(int(one[1]) / 100 for one in found if one))
