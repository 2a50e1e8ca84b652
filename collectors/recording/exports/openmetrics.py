"""OpenMetrics text, as `promtool tsdb create-blocks-from openmetrics` reads it.

Each signal is a gauge `tidegate_signal_<id>` with the labels model, tier and feature, as far as it has them;
a quantile has its bounds beside it, `_lo` and `_hi`. A sample stands at the time of the frame that showed it.
Where a series stops having a number (stale, missing, gone) one NaN says so: else a query would go on with the
last one for minutes.

A family's series follow one another, each in order of time, as the format demands, while a recording is read
by time. So samples are gathered in a file on the way, in pieces, each with the place of the one before it of
its series: memory is one chain for each series, however long the recording.
"""

import math
import struct
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, BinaryIO, NamedTuple

from collectors.readings import Interval
from collectors.recording.exports.readings import KNOWN, Row, Series, title_of, unit_of
from collectors.recording.rewriting import Progress, no_progress

PREFIX = "tidegate_signal_"
BUFFERED_MOST = 16 * 2**20
"""Bytes of samples that are gathered in memory before they go to the file on the way."""

NO_NUMBER = "NaN"
BEAT_S = 120.0
"""A number that stays is said again after so long: a query looks back five minutes and no further."""

_PIECE = struct.Struct("<qI")


class Written(NamedTuple):
    """What was written: samples; and those that were left out because the clock had been set back."""

    samples: int
    left_out: int


@dataclass(slots=True)
class _Chain:
    """One series. last: place of its newest piece in the file on the way, -1 for none."""

    labels: str
    at: float = -math.inf
    value: str = NO_NUMBER
    buffer: bytearray = field(default_factory=bytearray)
    last: int = -1


def write_openmetrics(
    file: BinaryIO, rows: Iterable[Row], folder: str, progress: Progress = no_progress
) -> Written:
    """Write the text, `# EOF` included.

    folder: where the file on the way may lie; it has no name there
    progress: told of the families that are written, once all rows are read
    """
    families: dict[str, dict[Series, _Chain]] = {}
    with tempfile.TemporaryFile(dir=folder) as way:
        written = _gathered(rows, families, way)
        for done, name in enumerate(sorted(families)):
            progress("signals", done, len(families))
            signal = next(iter(families[name])).signal
            unit = unit_of(signal)
            help_text = title_of(signal) + (f", {unit}" if unit else "") or "a signal of a newer version"
            file.write(f"# HELP {name} {_escaped(help_text)}\n# TYPE {name} gauge\n".encode())
            for series in sorted(families[name]):
                chain = families[name][series]
                start = f"{name}{chain.labels}".encode()
                for piece in _pieces(way, chain):
                    file.write(start + piece[:-1].replace(b"\n", b"\n" + start) + b"\n")
    file.write(b"# EOF\n")
    return written


def _gathered(rows: Iterable[Row], families: dict[str, dict[Series, _Chain]], way: IO[bytes]) -> Written:
    samples = left_out = buffered = 0
    now = beaten_at = -math.inf
    for row in rows:
        if row.at > now:
            beaten_at = row.at if now == -math.inf else beaten_at
            if now - beaten_at >= BEAT_S:
                added = sum(_beat(family, now) for family in families.values())
                samples, buffered, beaten_at = samples + added, buffered + 32 * added, now
            now = row.at
        if not row.series.signal.isidentifier() or not row.series.signal.isascii():
            continue  # no name of a metric; signals of ours all are
        for ending, value in _samples(row):
            name = f"{PREFIX}{row.series.signal}{ending}"
            chain = families.get(name, {}).get(row.series)
            if value == NO_NUMBER and (chain is None or chain.value == NO_NUMBER):
                continue
            if chain is None:
                chain = _Chain(_labels(row.series))
                families.setdefault(name, {})[row.series] = chain
            if row.at <= chain.at:
                left_out += 1
                continue
            samples, buffered = samples + 1, buffered + _add(chain, value, row.at)
        if buffered > BUFFERED_MOST:
            _flush(families, way)
            buffered = 0
    return Written(samples, left_out)


def _add(chain: _Chain, value: str, at: float) -> int:
    """Returns the bytes that were added."""
    sample = f" {value} {at:.3f}\n".encode()
    chain.at, chain.value = at, value
    chain.buffer += sample
    return len(sample)


def _beat(family: dict[Series, _Chain], at: float) -> int:
    """Say numbers again that stayed as they were up to `at`, all of which was read. Returns how many."""
    late = [one for one in family.values() if one.value != NO_NUMBER and at - one.at >= BEAT_S / 2]
    for chain in late:
        _add(chain, chain.value, at)
    return len(late)


def _samples(row: Row) -> Iterator[tuple[str, str]]:
    """(ending of the family's name, value) of a row."""
    one = row.reading
    if one is None or one.value is None or one.quality not in KNOWN:
        yield from (("", NO_NUMBER), ("_lo", NO_NUMBER), ("_hi", NO_NUMBER))
    elif isinstance(one.value, Interval):
        yield from (("", _number(one.value.estimate)), ("_lo", _number(one.value.lo)))
        yield "_hi", _number(one.value.hi)
    else:
        yield from (("", _number(one.value)), ("_lo", NO_NUMBER), ("_hi", NO_NUMBER))


def _flush(families: dict[str, dict[Series, _Chain]], way: IO[bytes]) -> None:
    for family in families.values():
        for chain in family.values():
            if chain.buffer:
                at = way.tell()
                way.write(_PIECE.pack(chain.last, len(chain.buffer)) + chain.buffer)
                chain.last, chain.buffer = at, bytearray()


def _pieces(way: IO[bytes], chain: _Chain) -> Iterator[bytes]:
    """A series' samples in order of time: what lies in the file, then what is still in memory."""
    places, at = [], chain.last
    while at >= 0:
        way.seek(at)
        before, size = _PIECE.unpack(way.read(_PIECE.size))
        places.append((at + _PIECE.size, size))
        at = before
    for place, size in reversed(places):
        way.seek(place)
        yield way.read(size)
    if chain.buffer:
        yield bytes(chain.buffer)


def _labels(series: Series) -> str:
    named = zip(("model", "tier", "feature"), series, strict=False)
    shown = ",".join(f'{name}="{_escaped(text)}"' for name, text in named if text)
    return f"{{{shown}}}" if shown else ""


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if math.isnan(value):
        return NO_NUMBER
    return repr(value) if math.isfinite(value) else "+Inf" if value > 0 else "-Inf"
