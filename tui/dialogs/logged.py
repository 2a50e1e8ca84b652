"""What an entry of the control plane's log tells of a target: values of any kind and size, for no type is
promised there. Pure."""

from collections.abc import Mapping

LIMIT_MOST = 1e12
"""No limit of requests is larger than this: what is, is no limit."""


def share_in(facts: Mapping[str, object], name: str) -> float | None:
    """The logged share of that name, 0..1; None where there is none."""
    return _number(facts.get(name), 1.0)


def limit_in(facts: Mapping[str, object]) -> float | None:
    """The logged limit of a cell that is not enforced by share, >= 0; None where there is none."""
    return _number(facts.get("limit"), LIMIT_MOST)


def _number(value: object, most: float) -> float | None:
    # Compared before it is converted: JSON has integers that no float holds.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        return None
    return float(value)
