"""JSON lines: readings, events, actions and marks, in order of time. For jq, DuckDB, Vector."""

import json
import math
from collections.abc import Iterable
from typing import Any, TextIO

from collectors.recording.exports.readings import Row, numbers, utc
from collectors.recording.exports.told import FIELDS, OF_JSON, Told


def write_lines(file: TextIO, items: Iterable[Row | Told]) -> int:
    """Write one object a line. Returns the number of lines.

    `what` is reading, event, action or mark. `time` and `epoch` are of the record, and so is the order; `at`
    is when it happened, `recorded_at` when that was recorded. Members without a value are left out, but for a
    reading's `value`, which is null then: never 0. `hi` is "+Inf" past the last bucket.
    """
    count = 0
    for count, item in enumerate(items, 1):  # noqa: B007 - the number of lines, wanted behind the loop
        found = _reading(item) if isinstance(item, Row) else _told(item)
        file.write(json.dumps(found, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
        file.write("\n")
    return count


def _reading(row: Row) -> dict[str, Any]:
    one = numbers(row.reading)
    found: dict[str, Any] = {"what": "reading", "time": utc(row.at), "epoch": round(row.at, 6)}
    found |= {name: text for name, text in row.series._asdict().items() if text}
    found["value"] = _finite(one.value)
    found |= {"lo": _finite(one.lo), "hi": _finite(one.hi)} if one.lo is not None else {}
    found["quality"] = one.quality
    more: dict[str, Any] = {"reason": one.reason, "answered": one.answered, "known": one.known}
    more |= {"measured": utc(one.measured), "measured_epoch": one.measured}
    return found | {name: value for name, value in more.items() if value not in ("", None)}


def _finite(value: float | None) -> float | str | None:
    if value is None or math.isfinite(value):
        return value
    return "+Inf" if value > 0 else None


def _told(one: Told) -> dict[str, Any]:
    when = one.at if one.recorded_at is None else one.recorded_at
    found: dict[str, Any] = {"what": one.what, "time": utc(when), "epoch": round(when, 6), "at": utc(one.at)}
    found |= {"recorded_at": utc(one.recorded_at)} if one.recorded_at is not None else {}
    named = zip(FIELDS[one.what], one.fields, strict=True)
    return found | {name: json.loads(text) if name in OF_JSON else text for name, text in named if text}
