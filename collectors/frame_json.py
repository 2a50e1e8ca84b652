"""A frame as JSON, for scripts and tests: `tidegate snapshot --format json`.

The form follows the types of `fleet.py` and `readings.py`, field by field, under the same names, with these
rules:

- times are seconds since the epoch, durations seconds, shares and ratios 0..1, units as in `SIGNALS`
- a reading is {"value", "at", "quality", "reason", "text", "coverage"}: `value` a number, an interval or null
  (never 0 for missing); `reason` the code with its parameters, `text` the same in words
- an interval is {"lo", "hi", "estimate"}; `hi` is null past the last bucket
- `models` is a list of objects with `readings` (by signal) and `tiers` (by tier, then signal)
- a node's `busy` is a list of percents, null where missing or stale
- unknown fields are to be ignored by readers: later versions add some, and `schema` rises if one changes
"""

import dataclasses
import math
from collections.abc import Mapping
from enum import Enum
from typing import Any

from collectors.fleet import STALE_CELL, Frame, Node
from collectors.readings import Interval, Reading, Reason, worded

SCHEMA = 1


def render_frame(frame: Frame) -> dict[str, Any]:
    """The frame in the form above, made of dicts, lists, strings, finite numbers, booleans and None."""
    return {"schema": SCHEMA, **_rendered_fields(frame)}


def _rendered(value: Any) -> Any:
    if isinstance(value, Reading):
        return _rendered_fields(value) | {"text": worded(value.reason)}
    if isinstance(value, Interval):
        return {"lo": value.lo, "hi": _finite(value.hi), "estimate": value.estimate}
    if isinstance(value, Reason):
        return [value.code, *value.parameters] if value.code else []
    if isinstance(value, Node):
        return _rendered_fields(value) | {"busy": [b if b < STALE_CELL else None for b in value.busy]}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _rendered_fields(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(k): _rendered(v) for k, v in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {k: _rendered(v) for k, v in value._asdict().items()}
    if isinstance(value, tuple | list):
        return [_rendered(v) for v in value]
    return _finite(value) if isinstance(value, float) else value


def _rendered_fields(value: Any) -> dict[str, Any]:
    return {f.name: _rendered(getattr(value, f.name)) for f in dataclasses.fields(value)}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
