"""Where a reading belongs."""

from typing import NamedTuple


class Key(NamedTuple):
    """Where a reading belongs. `model` "" is the whole fleet, `tier` "" the whole model; `feature` "" every
    feature of it."""

    model: str
    tier: str
    signal: str
    feature: str = ""
