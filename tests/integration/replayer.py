"""A sample page that lives: gauges stay as they are, whatever only grows goes on growing.

Every counter, and every bucket, sum and count, grows by a thousandth of the sample's value each second, so
that what a rate must be can be read from the sample, and no quantile moves.
"""

import re
import time
from collections.abc import Callable

SHARE = 1e-3
"""Growth in a second, of the value in the sample."""

_TYPE = re.compile(r"# TYPE (\S+) (\S+)")
_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (\S+)")
_GROWS = {
    "counter": ("", "_total"),
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
}


def replayed(text: str, clock: Callable[[], float] = time.time) -> Callable[[], str]:
    """What serves the page as it is at the moment of each scrape, on from now.

    clock: seconds; raises: ValueError for a line that is no sample of the text format
    """
    parts: list[tuple[str, float | None]] = []
    growing: frozenset[str] = frozenset()
    for line in text.splitlines():
        if line.startswith("#") or not line:
            if told := _TYPE.match(line):
                growing |= {told[1] + ending for ending in _GROWS.get(told[2], ())}
            parts.append((line, None))
        elif found := _SAMPLE.fullmatch(line):
            grows = found[1] in growing
            parts.append((line.rpartition(" ")[0] if grows else line, float(found[3]) if grows else None))
        else:
            raise ValueError(f"no sample: {line}")
    began = clock()

    def page() -> str:
        grown = 1 + (clock() - began) * SHARE
        return "".join(
            f"{part}\n" if value is None else f"{part} {value * grown!r}\n" for part, value in parts
        )

    return page
