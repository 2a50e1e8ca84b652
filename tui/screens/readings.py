"""Readings of one model as cells: value, mark, trend, age, coverage, and why one is empty."""

from collections.abc import Iterable, Mapping, Sequence

from rich.cells import set_cell_size

from collectors.readings import SIGNALS, Interval, Quality, Reading, worded
from tui.format import (
    UNICODE,
    Glyphs,
    absent,
    age,
    count,
    fit,
    is_partial,
    percent,
    quantile,
    rate,
    said,
    shown,
    width_of,
)
from tui.screens.trends import Span
from tui.widgets.lines import Cell
from tui.widgets.spark import spark

TITLE, NOW, RANGE, SPARK, AGE, COVERAGE = 26, 10, 18, 13, 6, 10
"""Columns of a reading's row, the gap to the next one included."""

SPARK_PARTS = 12

_SAID = frozenset({"p95", "longer"})
"""Reasons of good readings that stand beside them."""


def amount(signal: str, value: float | Interval, glyphs: Glyphs) -> str:
    """A value in the unit of its signal: `≈0.4s`, `41ms`, `93%`, `0.02%`, `12.3k/s`, `8.1kW`.

    raises: KeyError for an unknown signal.
    """
    unit = SIGNALS[signal].unit
    if unit == "s":
        return _seconds(value, glyphs)
    number = value.estimate if isinstance(value, Interval) else value
    if unit == "ratio":
        return percent(number) if SIGNALS[signal].quantum >= 0.01 else f"{number * 100:.2f}%"
    if unit == "W":
        return _power(number)
    if unit == "°C":
        return f"{number:.0f}C" if glyphs.ellipsis.isascii() else f"{number:.0f}°C"
    if unit == "1/s":
        return f"{rate(number)}/s"
    return f"{count(number)}/s" if unit == "tok/s" else count(number)


def _power(watts: float) -> str:
    if watts < 999.5:
        return f"{watts:.0f}W"
    return f"{watts / 1000:.1f}kW" if watts < 999_950 else f"{watts / 1e6:.1f}MW"


def _seconds(value: float | Interval, glyphs: Glyphs) -> str:
    highest = value.hi if isinstance(value, Interval) else value
    if highest > 0.3:
        return f"{quantile(value, glyphs)}s"
    if isinstance(value, Interval):
        mark = "<" if value.lo <= 0 else glyphs.straddles
        return f"{mark}{(value.hi if value.lo <= 0 else value.estimate) * 1000:.0f}ms"
    return f"{value * 1000:.0f}ms"


def now_cell(signal: str, one: Reading, width: int, glyphs: Glyphs, role: str = "") -> Cell:
    """The value as its quality has it, right-aligned; `role` overrides that of a good one."""
    if one.value is None:
        text, own = absent(one, glyphs)
    else:
        text, own = shown(one, amount(signal, one.value, glyphs), glyphs, room=width - 1)
        text = marked_longer(one, text, glyphs)
    return Cell(fit(text, width, glyphs, right=True), role if role and own == "text" else own)


def marked_longer(one: Reading, text: str, glyphs: Glyphs) -> str:
    """The value with a quiet mark where it took longer than usual to have enough observations."""
    return text + glyphs.longer if one.reason.code == "longer" else text


def age_text(one: Reading, now: float) -> str:
    """How old a reading is; empty if it was never taken."""
    return "" if one.at is None else age(now - one.at)


def coverage_text(one: Reading) -> str:
    """Targets that answered of those there are: `57/57`."""
    return "" if one.coverage is None else "{}/{}".format(*one.coverage)


def reading_row(
    signal: str, one: Reading, trend: Span | None, now: float, width: int, glyphs: Glyphs
) -> tuple[Cell, ...]:
    """One signal across `width`: title, value, range and spark of ten minutes, age, coverage, and a reason.

    Columns that do not fit are left out from the right. Without a value the reason takes their place.
    """
    cells = [Cell(fit(f"   {SIGNALS[signal].title}", TITLE, glyphs)), now_cell(signal, one, NOW, glyphs)]
    left = width - TITLE - NOW
    is_said = one.quality is not Quality.GOOD or one.value is None or is_partial(one)
    is_said = is_said or one.reason.code in _SAID
    why = said(worded(one.reason), glyphs) if is_said else ""
    if one.value is None:
        return (*cells, Cell(fit(f"  {why}", left, glyphs), "muted"))
    between, line = _trend(signal, trend, glyphs)
    for text, columns in (
        (f"  {between}", RANGE),
        (f" {line}", SPARK),
        (f"  {age_text(one, now)}", AGE),
        (f" {coverage_text(one)}", COVERAGE),
    ):
        if columns <= left:
            cells.append(Cell(fit(text, columns, glyphs), "muted"))
            left -= columns
    return (*cells, Cell(fit(f" {why}" if why else "", left, glyphs), "muted"))


def _trend(signal: str, trend: Span | None, glyphs: Glyphs) -> tuple[str, str]:
    if trend is None:
        return "", ""
    low, high = (amount(signal, value, glyphs).lstrip("≈=") for value in (trend.low, trend.high))
    limit = 1.0 if SIGNALS[signal].unit == "ratio" and SIGNALS[signal].quantum >= 0.01 else None
    return (low if low == high else f"{low.removesuffix('/s')}..{high}"), spark(trend.highs, limit, glyphs)


def explained(
    readings: Iterable[tuple[str, str, Reading]], glyphs: Glyphs = UNICODE
) -> list[tuple[str, str]]:
    """Why readings are not simply good, as (quality, sentence): one entry a cause, naming what it concerns.

    Behind the quality stands the mark that such a value has on the screen, if it has one.
    readings: signal id, tier title (empty: the whole model), reading
    """
    causes: dict[tuple[str, str], dict[str, list[str]]] = {}
    for signal, tier, one in readings:
        if one.quality is Quality.GOOD and not one.reason.code:
            continue
        mark = _mark(one, glyphs)
        cause = (
            f"{one.quality.value} {mark}" if mark else one.quality.value,
            worded(one.reason) or "no reason given",
        )
        causes.setdefault(cause, {}).setdefault(signal, []).append(tier)
    return [(quality, f"{why}: {_concerned(tiers)}") for (quality, why), tiers in causes.items()]


def _mark(one: Reading, glyphs: Glyphs) -> str:
    marks = {"p95": "p", "longer": glyphs.longer, "little": glyphs.differs}
    return glyphs.some if is_partial(one) else marks.get(one.reason.code, "")


def _concerned(tiers_of: Mapping[str, Sequence[str]]) -> str:
    """Signals with the tiers they miss in common: `power; of Pro, Free: queue wait p95, waiting`."""
    signals_of: dict[tuple[str, ...], list[str]] = {}
    for signal, tiers in tiers_of.items():
        if "" in tiers:
            signals_of.setdefault(("",), []).append(SIGNALS[signal].title)
        if named := tuple(tier for tier in tiers if tier):
            signals_of.setdefault(named, []).append(SIGNALS[signal].title)
    return "; ".join(
        f"of {', '.join(tiers)}: {', '.join(titles)}" if tiers != ("",) else ", ".join(titles)
        for tiers, titles in signals_of.items()
    )


def wrapped(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` cells, >= 2, broken at spaces, or inside a word that is wider."""
    lines, line = [], ""
    for word in text.split():
        # Of a long word no more is measured than what can fit: else it would be once for each line.
        while len(word) > 2 * width or width_of(word) > width:
            room = width - width_of(line) - 1 if line else width
            if room < 2:
                lines.append(line)
                line, room = "", width
            piece = set_cell_size(word[: 2 * room], room).rstrip() or word[:1]
            lines.append(f"{line} {piece}" if line else piece)
            line, word = "", word[len(piece) :]
        if line and width_of(line) + 1 + width_of(word) > width:
            lines.append(line)
            line = ""
        line = f"{line} {word}" if line else word
    return [*lines, line] if line or not lines else lines
