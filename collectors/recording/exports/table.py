"""CSV in long form: a line for each reading that is new. For spreadsheets, pandas, DuckDB."""

import csv
import math
from collections.abc import Iterable
from functools import lru_cache
from typing import TextIO

from collectors.recording.exports.readings import Row, numbers, unit_of, utc

HEADINGS = (
    "time", "epoch", "model", "tier", "feature", "signal", "unit", "value", "lo", "hi", "quality", "reason",
    "measured", "measured_epoch", "answered", "known",
)  # fmt: skip
"""time, epoch: of the frame that first showed it; measured: when it was true, by the oldest sample in it."""

_BEGINS_A_FORMULA = tuple("=+-@＝＋－＠\t")


def write_csv(file: TextIO, rows: Iterable[Row]) -> int:
    """Write heading and lines. Returns the number of lines below the heading.

    An upper bound past the last bucket is `inf`. Text that a spreadsheet would take for a formula gets an
    apostrophe before it.
    """
    writer, count = csv.writer(file, lineterminator="\n"), 0
    writer.writerow(HEADINGS)
    for count, row in enumerate(rows, 1):  # noqa: B007 - it is the number of rows, wanted behind the loop
        one, series = numbers(row.reading), row.series
        names = map(_plain, (series.model, series.tier, series.feature, series.signal))
        writer.writerow(
            (
                utc(row.at), f"{row.at:.3f}", *names, unit_of(series.signal),
                _number(one.value), _number(one.lo), _number(one.hi), one.quality, _plain(one.reason),
                utc(one.measured), "" if one.measured is None else f"{one.measured:.3f}",
                one.answered, one.known,
            )
        )  # fmt: skip
    return count


@lru_cache(maxsize=65_536)
def _plain(text: str) -> str:
    return f"'{text}" if text.startswith(_BEGINS_A_FORMULA) else text


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:g}" if math.isinf(value) else repr(value)
