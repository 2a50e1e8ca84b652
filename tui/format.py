"""Quantities as text: pure, and coarse on purpose, so that a steady fleet draws the same characters.

Widths are cells on the screen, as `rich.cells` counts them. Two glyph sets exist, and the whole set switches:
in terminals that draw ambiguous glyphs two cells wide, a single one out of place shifts its line.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isinf

from rich.cells import cell_len, set_cell_size

from collectors.readings import NO_REASON, Interval, Quality, Reading


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The glyphs of one set; each is one cell wide unless its name says otherwise.

    some: behind a value that only some of its targets went into; longer: behind one over a longer time
    agrees, nearly, differs: how counts and times agree by Little's law, beside the model's name
    heat, spark: shades and heights, lowest first; over: above its objective, with no alert for it
    playing, standing: of a replay, standing is two cells; cursor: on its axis of time
    ramping, waits: a throttle on its way, and one that is not confirmed; edge: either side of a badge
    arrow, at_least, at_most, ellipsis, passed, failed: one or two cells
    """

    p1: str
    p2: str
    p3: str
    no_data: str
    some: str
    longer: str
    agrees: str
    nearly: str
    differs: str
    shelved: str
    straddles: str
    over: str
    released: str
    partial: str
    paused: str
    closed: str
    heat: str
    spark: str
    bar: str
    bar_rest: str
    drained: str
    nothing: str
    gap: str
    dash: str
    pointer: str
    arrow: str
    enter: str
    passed: str
    failed: str
    ellipsis: str
    at_least: str
    at_most: str
    rule: str
    column: str
    corner: str
    limit: str
    recording: str
    ramping: str
    waits: str
    edge: str
    playing: str
    standing: str
    cursor: str


UNICODE = Glyphs(
    p1="■",
    p2="▲",
    p3="▼",
    no_data="~",
    some="*",
    longer="'",
    agrees="=",
    nearly="≃",
    differs="≠",
    shelved="z",
    straddles="≈",
    over="»",
    released="●",
    partial="◐",
    paused="◇",
    closed="○",
    heat=" ░▒▓█",
    spark="▁▂▃▄▅▆▇█",
    bar="█",
    bar_rest="·",
    drained="·",
    nothing="·",
    gap="·",
    dash="–",
    pointer="›",
    arrow="→",
    enter="↵",
    passed="✔",
    failed="✖",
    ellipsis="…",
    at_least="≥",
    at_most="≤",
    rule="─",
    column="│",
    corner="└",
    limit="┄",
    recording="●",
    ramping="/",
    waits="…",
    edge="┃",
    playing="▶",
    standing="▮▮",
    cursor="▼",
)
ASCII = Glyphs(
    p1="!",
    p2="*",
    p3="v",
    no_data="~",
    some="&",
    longer="'",
    agrees="=",
    nearly="%",
    differs="/",
    shelved="z",
    straddles="=",
    over=">",
    released="#",
    partial="+",
    paused="-",
    closed=".",
    heat=".:-=#",
    spark="_.,-=+*#",
    bar="#",
    bar_rest=".",
    drained="_",
    nothing=".",
    gap=" ",
    dash="-",
    pointer=">",
    arrow="->",
    enter="ret",
    passed="ok",
    failed="X",
    ellipsis="..",
    at_least=">=",
    at_most="<=",
    rule="-",
    column="|",
    corner="+",
    limit="-",
    recording="o",
    ramping="^",
    waits=",",
    edge="|",
    playing=">",
    standing="||",
    cursor="v",
)
GLYPHS: Mapping[str, Glyphs] = {"unicode": UNICODE, "ascii": ASCII}
"""The two sets by the name that `--glyphs` takes."""

_PLAIN = str.maketrans(
    {
        "≈": "=",
        "≃": "%",
        "≠": "/",
        "→": "->",
        "–": "-",
        "—": "-",
        "…": "..",
        "·": ".",
        "≥": ">=",
        "≤": "<=",
        "±": "+-",
        "×": "x",
        "°": " ",
        "│": "|",
        "┃": "|",
        "─": "-",
        "»": ">",
        "›": ">",
        "■": "!",
        "▲": "*",
        "▼": "v",
    }
)


def said(text: str, glyphs: Glyphs) -> str:
    """A sentence of ours for this glyph set; text in other scripts stays as it is."""
    return text if glyphs is UNICODE or text.isascii() else text.translate(_PLAIN)


def width_of(text: str) -> int:
    """Cells that `text` takes on the screen."""
    return len(text) if text.isascii() else cell_len(text)


def fit(text: str, width: int, glyphs: Glyphs = UNICODE, *, right: bool = False) -> str:
    """`text` in exactly `width` cells: padded, or cut and ended by `…` (D13). `right` aligns right."""
    if width <= 0:
        return ""
    taken = width_of(text)
    if taken <= width:
        padding = " " * (width - taken)
        return padding + text if right else text + padding
    end = glyphs.ellipsis
    if width <= len(end):
        return set_cell_size(text, width)
    # A cut through a wide glyph leaves a blank, so the ellipsis is put after what is really there.
    return fit(set_cell_size(text, width - len(end)).rstrip() + end, width, glyphs, right=right)


FINEST_S = 0.01
"""Waits are not told apart below this."""


def wait(value: float) -> str:
    """Seconds of a wait or an answer, at most four cells: `0.04`, `3.8`, `14.9`, `120`, `17m`, `3h`."""
    if value < 0.095:
        return "0.0" if value < 0.005 else f"{value:.2f}"
    if value < 99.95:
        return f"{value:.1f}"
    return f"{value:.0f}" if value < 999.5 else _coarse(value)


def objective(value: float) -> str:
    """A promised wait, exact enough to compare with, in at most four cells: `2.0`, `0.25`, `.125`, `60`."""
    if value >= 999.5:
        return _coarse(value)
    if value < 0.1:
        return f"{value:.3f}".removeprefix("0")
    text = f"{value:.1f}" if value < 10 and round(value, 1) == value else f"{value:.3g}"
    return text.removeprefix("0") if len(text) > 4 else text


def bound(value: float) -> str:
    """A bucket's bound, in at most four cells: `0`, `.05`, `0.3`, `16`, `17m`."""
    if value <= 0:
        return "0"
    if value < 0.095:
        return f"{value:.2f}"[1:]
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}" if value < 999.5 else _coarse(value)


def _coarse(seconds: float) -> str:
    if seconds < 5970:
        return f"{seconds / 60:.0f}m"
    return f"{seconds / 3600:.0f}h" if seconds < 356_400 else f"{min(seconds / 86_400, 999):.0f}d"


def quantile(value: float | Interval, glyphs: Glyphs = UNICODE) -> str:
    """A quantile on a narrow screen (D18): `≈3.8`, `<0.3` below the first bucket, `≥60` past the last."""
    if not isinstance(value, Interval):
        return wait(value)
    if isinf(value.hi):
        return glyphs.at_least + bound(value.lo)
    if _is_below(value):
        return "<" + bound(max(value.hi, FINEST_S))
    return glyphs.straddles + wait(value.estimate)


def _is_below(value: Interval) -> bool:
    """True where only an upper bound is worth showing: the first bucket, or finer than the screen tells."""
    return value.lo <= 0 or value.hi < FINEST_S


def bounds(value: float | Interval) -> str:
    """The bucket beside the estimate on a wide screen: `(3.2-4.0)`; empty where `quantile` says it."""
    if not isinstance(value, Interval) or isinf(value.hi) or _is_below(value):
        return ""
    return f"({bound(value.lo)}-{bound(value.hi)})"


def wide_quantile(value: float | Interval, glyphs: Glyphs = UNICODE) -> str:
    """A quantile on a wide screen (D18): `3.8 (3.2-4.0)`."""
    between = bounds(value)
    return (
        f"{wait(value.estimate)} {between}"
        if between and isinstance(value, Interval)
        else quantile(value, glyphs)
    )


def percent(ratio: float) -> str:
    """A share: `91%`, `-3%`, and what is past two or three digits `>999%`, `<-99%`; at most five cells."""
    whole = round(ratio * 100) if abs(ratio) < 100 else ratio * 100
    return ">999%" if whole > 999 else "<-99%" if whole < -99 else f"{whole}%"


def count(value: float) -> str:
    """A number of things, at most five cells: `640`, `1 812`, `12.3k`, `12.3M`."""
    whole = round(value)
    if abs(whole) < 1000:
        return str(whole)
    if 0 < whole < 10_000:
        return f"{whole // 1000} {whole % 1000:03d}"
    for limit, unit in ((1e6, "k"), (1e9, "M"), (1e12, "G")):
        if abs(value) < limit * 0.9995:
            scaled = value / limit * 1000
            return f"{scaled:.1f}{unit}" if abs(scaled) < 99.95 else f"{scaled:.0f}{unit}"
    return ">999G"


def rate(value: float) -> str:
    """Things a second: `0.4`, `640`, `12.3k`; few are not none: `<0.1`, and `0` for none at all."""
    if 0 <= value < 0.05:
        return "<0.1" if value else "0"
    return f"{value:.1f}" if abs(value) < 99.95 else count(value)


def counted(text: str, word: str) -> str:
    """A number, however it is marked, with what it counts: `1 replica`, `~2 replicas`."""
    return f"{text} {word}" if text.strip(_SIGNS) == "1" else f"{text} {word}s"


_SIGNS = "".join({UNICODE.some, ASCII.some, UNICODE.no_data, ASCII.no_data, "?"})


def duration(seconds: float) -> str:
    """A length of time in two units at most: `12s`, `2m09s`, `3h05m`, `2d04h`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02d}h"


def age(seconds: float) -> str:
    """How long ago, in steps that grow with it, so that ageing text seldom changes: `3s`, `90s`, `12m`, `3h`.

    Steps: 1 s below 10 s, 5 s below 2 min, 1 min below 2 h, 1 h below 2 days. A time ahead of ours is `0s`.
    """
    whole = max(0, int(seconds))
    if whole < 10:
        return f"{whole}s"
    if whole < 120:
        return f"{whole // 5 * 5}s"
    if whole < 7200:
        return f"{whole // 60}m"
    return f"{whole // 3600}h" if whole < 172_800 else f"{whole // 86_400}d"


def latency(seconds: float) -> str:
    """How long an answer took, in one digit: `4ms`, `40ms`, `0.3s`, `12s`."""
    if seconds >= 9.5:
        return f"{seconds:.0f}s"
    if seconds >= 0.095:
        return f"{seconds:.1f}s"
    milliseconds = seconds * 1000
    return f"{round(milliseconds, -1):.0f}ms" if milliseconds >= 9.5 else f"{max(milliseconds, 1):.0f}ms"


@lru_cache(maxsize=256)
def clock(at: float) -> str:
    """Time of day in UTC (D11): `14:02:11Z`."""
    return time.strftime("%H:%M:%SZ", time.gmtime(at))


def stamp(at: float) -> str:
    """Date and time in UTC (D11): `2026-11-21 14:02:11Z`."""
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at))


PRESETS: Mapping[float, str] = {1.0: "T0", 0.7: "T1", 0.5: "T2", 0.3: "T3", 0.1: "T4", 0.0: "T5"}
"""Throttle levels that have a name."""


def level(share: float | None, glyphs: Glyphs = UNICODE) -> str:
    """A throttle level in a column: `T3`, an exact `37%`, a dash when open, `?` when nobody knows."""
    if share is None:
        return "?"
    if share >= 1:
        return glyphs.dash
    return PRESETS.get(round(share, 4)) or percent(share)


def admit(share: float | None) -> str:
    """A throttle level in a sentence: `admit 30%` (T5)."""
    return "admission unknown" if share is None else f"admit {share * 100:.3g}%"


def bar(ratio: float, width: int, glyphs: Glyphs = UNICODE) -> str:
    """A bar whose end is the limit, 1: `█████·`."""
    full = min(max(round(ratio * width), 0), width)
    return glyphs.bar * full + glyphs.bar_rest * (width - full)


NEVER_MEASURED = frozenset(
    {
        "never",
        "no-metric",
        "no-source",
        "no-tiers",
        "no-tier",
        "no-objective",
        "no-plane",
        "no-accelerators",
        "not-observed",
        "not-exported",
        "unmatched",
    }
)
"""Reasons why a reading does not exist here at all: no trouble, so no colour."""


def absent(one: Reading, glyphs: Glyphs = UNICODE) -> tuple[str, str]:
    """Text and role of a reading without a value: each reason to have none has a shape of its own (D2)."""
    code = one.reason.code
    if code == "not-open":
        return glyphs.nothing, "muted"
    if code == "idle":
        return glyphs.dash, "muted"
    if code == "stalled":
        return "stall", "breach"
    if code == "collecting":
        return glyphs.ellipsis, "muted"
    if code == "few":
        return "few", "muted"
    if one.quality is Quality.UNKNOWN:
        return "?", "unknown"
    return "--", "muted" if code in NEVER_MEASURED else "missing"


def is_partial(one: Reading) -> bool:
    """True for a value that only some of the targets there are went into."""
    n, m = one.coverage or (0, 0)
    return one.value is not None and (n < m or one.reason.code in ("coverage", "part-lost"))


MEAN = "avg"
"""What a mean is called in a column of quantiles."""


def stands_in(one: Reading) -> str:
    """What a reading is in place of its signal: `p95` where too few observations allow a p99; else empty."""
    return "p95" if one.reason.code == "p95" and one.value is not None else ""


def shown(
    one: Reading, text: str, glyphs: Glyphs = UNICODE, *, room: int = 0, instead: str = ""
) -> tuple[str, str]:
    """A value's text and role as its quality has it: stale `~3.8` and dim, suspect `3.8?`, good unchanged,
    but for one that only some of its targets went into: `3.8*`.

    room: cells there are; a p95 in place of a p99 says `p95 3.8` where that fits, else `p3.8`
    instead: what the reading is in place of its signal, such as `avg`, where it does not say so itself
    """
    n, m = one.coverage or (0, 0)
    if one.reason is NO_REASON and one.quality is Quality.GOOD and n >= m and not instead:
        return text, "text"  # nearly all of them, by the thousand: the rest need not be asked
    if text and (kind := instead or stands_in(one)):
        plain = text.lstrip("≈=").replace(">=", ">")
        long, short = (signed(one, f"{lead}{plain}", glyphs) for lead in (f"{kind} ", kind[0]))
        return long if width_of(long[0]) <= room else short
    return signed(one, text, glyphs)


def signed(one: Reading, text: str, glyphs: Glyphs = UNICODE) -> tuple[str, str]:
    """As `shown`, but for what the reading is in place of its signal: for where that stands beside it."""
    if one.quality is Quality.STALE:
        return "~" + text.lstrip("≈="), "stale"
    if one.quality is Quality.SUSPECT:
        return text + "?", "suspect"
    if one.quality in (Quality.UNKNOWN, Quality.MISSING):
        return text + "?", "unknown"
    return text + glyphs.some if text and is_partial(one) else text, "text"


def joined(parts: Sequence[str], width: int, glyphs: Glyphs = UNICODE, between: str = "  ") -> str:
    """As many of `parts` as fit, in order; what is left out is counted, as `+2` (D13)."""
    if not parts:
        return ""
    text = between.join(parts)
    for kept in range(len(parts), 0, -1):
        text = between.join(parts[:kept])
        if kept < len(parts):
            text += f"{between}+{len(parts) - kept}"
        if width_of(text) <= width:
            return text
    return fit(text, width, glyphs)
