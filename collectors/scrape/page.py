"""One /metrics page, read: series and their values.

`PageReader` is for a page that is read again and again: it knows a line's series by its text, so that only
the value is parsed anew. Lines of the usual form are read here; any other goes to prometheus_client, whose
verdict stands. Source of the forms: Prometheus exposition formats, text 0.0.4 and OpenMetrics 1.0.
"""

import re
import time
import zlib
from collections.abc import Collection, Iterator
from typing import NamedTuple, TypeAlias

from collectors.text import clean

MAX_PAGE_BYTES = 16 * 1024 * 1024
"""Longest page read, in bytes, unpacked."""

MAX_LINE_CHARACTERS = 65_536
"""Longest line read. The careful parser takes time in the square of the length."""

MAX_SERIES = 50_000
"""Most series taken from one page, of the metrics that are wanted."""

MAX_READ_S = 2.0
"""Longest time that reading one page may keep a processor busy."""

_SLICE_BYTES = 64 * 1024
# Seconds since the epoch, beyond which a time has no use: the year 5138.
_LAST_TIME = 1e11
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\.)*"'
_KEY = rf"({_NAME})(?:\{{((?:{_LABEL},)*(?:{_LABEL})?)\}})?"
_LINE = re.compile(rf"({_KEY})[ \t]+([^\s{{]\S*)(?:[ \t]+(-?[0-9.eE+-]+))?[ \t]*(?:# \{{.*)?")
_PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r'\\([\\n"])')
_HTML = re.compile(rb"\s*<(!doctype|html|head|body|\?xml)", re.IGNORECASE)


class PageError(Exception):
    """A page that cannot be used. str() is a sentence without the address: who asked for the page adds it."""


class Exposed(NamedTuple):
    """A series as the page shows it.

    identity: the same text for the same name and labels, whatever their order on the page
    labels: without `__name__`; labels of empty value are left out, as they mean the same as none
    """

    identity: str
    name: str
    labels: dict[str, str]


Sampled: TypeAlias = tuple[Exposed, float, float | None]
"""A value on a page: (series, value, its own time in seconds where the page gives one: few do)."""


def unpacked(body: bytes, encoding: str = "") -> bytes:
    """The body of a response, gunzipped where `encoding` (the header Content-Encoding) says so.

    raises: PageError for another encoding, a damaged or cut body, or more than `MAX_PAGE_BYTES`
    """
    coding = encoding.strip().lower()
    if coding in {"", "identity"}:
        plain = body
    elif coding in {"gzip", "x-gzip"}:
        unzip = zlib.decompressobj(wbits=31)
        try:
            plain = unzip.decompress(body, MAX_PAGE_BYTES + 1)
        except zlib.error as error:
            raise PageError("its gzip body is damaged") from error
        if not unzip.eof and len(plain) <= MAX_PAGE_BYTES:
            raise PageError("its gzip body is cut short")
    else:
        raise PageError(f"it answers in encoding {clean(coding, 40)!r}; only gzip and plain text are read")
    if len(plain) > MAX_PAGE_BYTES:
        raise PageError(f"it is longer than {MAX_PAGE_BYTES // 1024 // 1024} MB; let it expose fewer series")
    return plain


class PageReader:
    """Reads one target's page, scrape after scrape. Not for two threads at once.

    wanted: names of the metrics to read; the lines of others are checked for form once and then skipped
    """

    def __init__(self, wanted: Collection[str]) -> None:
        self._wanted = frozenset(wanted)
        self._known: dict[str, Exposed | None] = {}
        self._until = 0.0

    def read(self, body: bytes, content_type: str = "") -> list[Sampled]:
        """Every wanted sample, in the page's order.

        A series that is there twice is returned twice.
        raises: PageError if any line is broken (with its number), and for HTML, what is no UTF-8, bodies
            that end too soon, and pages with more than `MAX_SERIES` or that take longer than `MAX_READ_S`;
            nothing of such a page counts
        """
        kind = content_type.partition(";")[0].strip().lower()
        if kind in {"text/html", "application/xhtml+xml"} or _HTML.match(body):
            raise PageError("this is no metrics page: it answers HTML; give the address of /metrics itself")
        is_open = kind == "application/openmetrics-text"
        found: list[Sampled] = []
        number, ended = 0, False
        # Of this thread alone: who else is busy is not the page's fault.
        self._until = time.thread_time() + MAX_READ_S
        for lines in _slices(body):
            self._in_time(number)
            self._read_slice(lines, number, found, is_open=is_open)
            number += len(lines)
            if len(found) > MAX_SERIES:
                raise PageError(
                    f"it has more than {MAX_SERIES} series of metrics that are read; let it expose fewer, "
                    f"or name a Prometheus that sums them up"
                )
            ended = "# EOF" in lines
            if len(body) > _SLICE_BYTES:
                # A long page, read on a thread: let the screen's thread in between.
                time.sleep(0)
        if is_open and not ended:
            raise PageError(f"its body is cut short: no '# EOF' in {number} lines")
        if len(self._known) > 4 * number + 1000:
            # Labels come and go: what was known of old series must not grow without end.
            self._known.clear()
        return found

    def _read_slice(self, lines: list[str], before: int, found: list[Sampled], *, is_open: bool) -> None:
        known = self._known
        add = found.append
        for number, line in enumerate(lines, before + 1):
            if not line or line[0] == "#":
                continue
            key, _, text = line.rpartition(" ")
            if key in known:
                series = known[key]
                if series is None:
                    continue
                if (value := _value(text)) is not None:
                    add((series, value, None))
                    continue
            if (sampled := self._read_line(line, number, is_open=is_open)) is not None:
                add(sampled)

    def _read_line(self, line: str, number: int, *, is_open: bool) -> Sampled | None:
        """A line whose text before the last space is not known."""
        line = line.strip()
        if not line or line[0] == "#":
            return None
        if len(line) > MAX_LINE_CHARACTERS:
            raise PageError(
                f"line {number} has {len(line)} characters; at most {MAX_LINE_CHARACTERS} are read"
            )
        if (whole := _LINE.fullmatch(line)) is None:
            return self._read_odd(line, number, is_open=is_open)
        key, name, inside, value, stamp = whole.groups()
        if key in self._known:
            series = self._known[key]
        else:
            wanted = name in self._wanted
            series = _exposed(name, _labels(inside or "", number, line)) if wanted else None
            self._known[key] = series
        if series is None:
            return None
        if (measured := _value(value)) is None or (stamped := _value(stamp or "0")) is None:
            raise _broken(number, line)
        at = None if stamp is None else stamped / (1 if is_open else 1000)
        if at is not None and not abs(at) < _LAST_TIME:
            raise _broken(number, line)
        return series, measured, at

    def _in_time(self, number: int) -> None:
        if time.thread_time() > self._until:
            raise PageError(
                f"reading it took longer than {MAX_READ_S:g} s, up to line {number}; let it expose fewer "
                f"series, in the plain form of Prometheus"
            )

    def _read_odd(self, line: str, number: int, *, is_open: bool) -> Sampled | None:
        """A line of unusual form (quoted names, inner spaces), by the library's parser."""
        # Imported here: most sessions never meet such a line, and start-up time is counted.
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open
        from prometheus_client.parser import text_string_to_metric_families as read_text

        self._in_time(number)
        try:
            families = list(read_open(f"{line}\n# EOF\n") if is_open else read_text(line))  # type: ignore[no-untyped-call]  # the library gives no types here
            sample = families[0].samples[0]
            at = None if sample.timestamp is None else float(sample.timestamp)
        except (ValueError, ArithmeticError, LookupError, RecursionError) as error:
            raise _broken(number, line) from error
        if at is not None and not abs(at) < _LAST_TIME:
            raise _broken(number, line)
        labels = {name: value for name, value in sample.labels.items() if value}
        series = _exposed(sample.name, labels) if sample.name in self._wanted else None
        value = float(sample.value)
        key, _, text = line.rpartition(" ")
        if at is None and "#" not in key and _value(text) == value:
            self._known[key] = series
        return None if series is None else (series, value, at)


def read_page(body: bytes, wanted: Collection[str], content_type: str = "") -> list[Sampled]:
    """A page that is read once. Errors as `PageReader.read`."""
    return PageReader(wanted).read(body, content_type)


def _slices(body: bytes) -> Iterator[list[str]]:
    """The page's lines, some 64 KiB at a time, so that no single step takes long."""
    start = 0
    while start < len(body):
        end = body.find(b"\n", min(start + _SLICE_BYTES, len(body)))
        end = len(body) if end < 0 else end
        try:
            text = body[start:end].decode("utf-8")
        except UnicodeDecodeError as error:
            raise PageError("it is no UTF-8 text") from error
        yield text.split("\n")
        start = end + 1


def _labels(inside: str, number: int, line: str) -> dict[str, str]:
    pairs = _PAIR.findall(inside)
    labels = dict(pairs)
    if len(labels) != len(pairs):
        raise PageError(f"line {number} names a label twice: {clean(line, 80)!r}")
    if "\\" in inside:
        labels = {name: _ESCAPE.sub(_unescaped, value) for name, value in labels.items()}
    return {name: value for name, value in labels.items() if value}


def _unescaped(found: re.Match[str]) -> str:
    return "\n" if found[1] == "n" else found[1]


def _exposed(name: str, labels: dict[str, str]) -> Exposed:
    # The separators cannot be part of UTF-8 text, so no two label sets share an identity.
    written = "\udcff".join(f"{label}\udcfe{labels[label]}" for label in sorted(labels))
    return Exposed(f"{name}\udcff{written}", name, labels)


def _value(text: str) -> float | None:
    """A number as expositions write it, or None."""
    try:
        # float() takes digits grouped by "_", which no exposition has.
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _broken(number: int, line: str) -> PageError:
    return PageError(f"line {number} is no sample: {clean(line, 80)!r}")
