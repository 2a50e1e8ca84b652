"""Prometheus text, written fast: names and labels are put together once, values filled in at each scrape."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from collectors.simulator.classes import Floats, Ints


@dataclass(frozen=True, slots=True)
class Template:
    """A page without its values."""

    text: str

    def filled(self, values: Iterable[Any]) -> str:
        """The page. `values`: one for each sample, in order."""
        return self.text % tuple(values)


class Writer:
    """Collects the lines of a template."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def family(self, name: str, kind: str) -> None:
        """What follows are samples of `name`. No HELP line: half of all comment lines tell nothing new."""
        self._lines.append(f"# TYPE {_safe(name)} {kind}")

    def sample(self, name: str, labels: Sequence[tuple[str, str]], extra: str = "") -> None:
        """One sample; `extra`: labels to be filled in, after the others, with their placeholders."""
        known = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels)
        both = ",".join(part for part in (_safe(known), extra) if part)
        self._lines.append(f"{_safe(name)}{{{both}}} %s")

    def histogram(self, name: str, labels: Sequence[tuple[str, str]], bounds: Sequence[float]) -> None:
        """Buckets, `+Inf`, sum and count of one histogram."""
        for bound in (*map(_bound, bounds), "+Inf"):
            self.sample(f"{name}_bucket", (*labels, ("le", bound)))
        self.sample(f"{name}_sum", labels)
        self.sample(f"{name}_count", labels)

    def template(self) -> Template:
        """Everything so far, as one page."""
        return Template("\n".join(self._lines) + "\n")


def whole(values: Any) -> Ints:
    """Whole numbers not above `values`, for counters: they grow where the values grow."""
    floors: Ints = np.floor(values).astype(np.int64)
    return floors


def cumulative(below: Floats, total: Floats) -> Ints:
    """Bucket counts with `+Inf` last, (n, bounds + 1), from (n, bounds) below each bound and (n,) in all.

    The rounding of sums must not put more in a bucket than in all.
    """
    return whole(np.column_stack((np.minimum(below, total[:, None]), total)))


def part(totals: Ints, number: int, parts: int) -> Ints:
    """Share `number` of `parts` of whole numbers: shares add up exactly, and grow where the totals grow."""
    return (totals + number) // parts


def _bound(bound: float) -> str:
    return repr(bound)


def _safe(text: str) -> str:
    return text.replace("%", "%%")


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
