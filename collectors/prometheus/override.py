"""An operator's own queries, as definitions: asked as they are, with all their labels kept. Pure."""

import re
from collections.abc import Mapping

from collectors.config import Override
from collectors.fleet import SIGNALS
from collectors.signals.catalogue import Definition
from collectors.signals.presets import FAMILIES

STACK = "override"
"""Stands for the stack of every such definition."""


def definitions(overrides: Mapping[str, Override]) -> tuple[Definition, ...]:
    """One definition for each override, by its signal, or by its family where a histogram measures it."""
    return tuple(_definition(signal, override) for signal, override in sorted(overrides.items()))


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
