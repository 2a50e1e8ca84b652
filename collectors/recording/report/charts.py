"""Pictures as SVG: no script, no style of their own, nothing from elsewhere. Colours are the page's.

Sizes are in units of the drawing, 960 across; a printed A4 page has about five to the millimetre.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape

from collectors.recording.report.document import (
    TEXT,
    AlertPanel,
    LevelPanel,
    Panel,
    Picture,
    Pin,
    RatePanel,
    WaitPanel,
)
from collectors.recording.report.ledger import BINS, Point
from collectors.recording.report.words import clock, number
from collectors.text import clean

WIDTH, LEFT, RIGHT = 960.0, 152.0, 88.0
SPACE = 12.0
HEIGHTS = {WaitPanel: 66.0, RatePanel: 60.0, LevelPanel: 26.0, AlertPanel: 9.0}
PIN_ROW, AXIS = 20.0, 26.0
CHARACTER = 6.3
"""Width of a character of the labels, about."""

_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
_TICKS = 9


def drawing(picture: Picture, name: str) -> str:
    """The picture as an `svg` element. name: of letters and digits, unique in the page."""
    return "".join(_Drawing(picture, name).parts())


class _Drawing:
    """One picture: where things are, and the elements that draw them, from back to front."""

    def __init__(self, picture: Picture, name: str) -> None:
        self.picture, self.name = picture, name
        self.rows = _rows(picture.pins, self._x)
        self.top = 6.0 + PIN_ROW * (max(self.rows, default=-1) + 1)
        tops, at = [], self.top
        for panel in picture.panels:
            tops.append(at)
            at += HEIGHTS[type(panel)] + (4.0 if isinstance(panel, AlertPanel) else SPACE)
        self.tops, self.bottom = tops, at
        self.height = at + AXIS

    def _x(self, at: float) -> float:
        part = (at - self.picture.start) / (self.picture.end - self.picture.start)
        return LEFT + min(max(part, 0.0), 1.0) * (WIDTH - LEFT - RIGHT)

    def parts(self) -> Iterator[str]:
        told = _inert(self.picture.told)
        box = f"0 0 {WIDTH:.0f} {self.height:.0f}"
        yield f'<svg class="chart" viewBox="{box}" role="img" aria-label="{told}">'
        yield f"<title>{told}</title>"
        yield (
            f'<defs><pattern id="{self.name}h" width="6" height="6" patternUnits="userSpaceOnUse"'
            ' patternTransform="rotate(45)"><path d="M0 0V6" class="hatch"/></pattern></defs>'
        )
        yield from self._axis()
        for n, (panel, top) in enumerate(zip(self.picture.panels, self.tops, strict=True)):
            yield from self._panel(panel, top, f"{self.name}p{n}")
        yield from self._gaps()
        yield from self._pins()
        yield "</svg>"

    def _axis(self) -> Iterator[str]:
        start, end = self.picture.start, self.picture.end
        step = next((s for s in _STEPS_S if (end - start) / s <= _TICKS), math.ceil((end - start) / _TICKS))
        at = math.ceil(start / step) * step
        while at <= end:
            x = self._x(at)
            yield f'<path class="grid" d="M{x:.1f} {self.top:.1f}V{self.bottom - 4:.1f}"/>'
            text = clock(at) if step < 60 else clock(at)[:5]
            yield _text("tick", x, self.bottom + 10, text, "middle")
            at += step
        yield _text("tick", WIDTH - 4, self.bottom + 10, "UTC", "end")

    def _panel(self, panel: Panel, top: float, name: str) -> Iterator[str]:
        height = HEIGHTS[type(panel)]
        yield from self._title(panel, top + height / 2)
        if isinstance(panel, WaitPanel):
            yield from self._wait(panel, top, height, name)
        elif isinstance(panel, RatePanel):
            yield from self._rate(panel, top, height)
        elif isinstance(panel, LevelPanel):
            yield from self._level(panel, top, height)
        else:
            for start, end in panel.spans:
                left, right = self._x(start), self._x(end)
                yield (
                    f'<rect class="alert {_inert(panel.severity.lower())}" x="{left:.1f}" y="{top:.1f}"'
                    f' width="{max(right - left, 1.5):.1f}" height="{height:.1f}"/>'
                )

    def _title(self, panel: Panel, middle: float) -> Iterator[str]:
        """The panel's name on the left, in lines short enough for the room there."""
        is_small = isinstance(panel, AlertPanel | LevelPanel)
        style, most = ("name small", 21) if is_small else ("name", 14)
        lines = [_cut(line, most) for line in panel.title.split(", ", 1)]
        if len(lines) == 1 and len(panel.title) > most and " " in panel.title:
            first, _, rest = panel.title.partition(" ")
            lines = [_cut(first, most), _cut(rest, most)]
        apart = 12.0 if is_small else 15.0
        for n, line in enumerate(lines):
            y = middle + 4 + apart * (n - (len(lines) - 1) / 2)
            yield _text(style, 2, y, line)

    def _frame(self, top: float, height: float, most: float, unit: str = "") -> Iterator[str]:
        bottom = top + height
        yield f'<path class="base" d="M{LEFT:.1f} {bottom:.1f}H{WIDTH - RIGHT:.1f}"/>'
        yield _text("tick", LEFT - 5, top + 8, f"{number(most)}{unit}", "end")
        yield _text("tick", LEFT - 5, bottom, "0", "end")

    def _wait(self, panel: WaitPanel, top: float, height: float, name: str) -> Iterator[str]:
        known = [p.estimate for p in panel.points if p is not None]
        most = _round_up(max([*known, (panel.objective or 0.0) * 1.25, 0.1]))
        bottom = top + height

        def y(value: float) -> float:
            return bottom - min(max(value, 0.0), most) / most * height

        yield from self._frame(top, height, most, " s")
        for places in _stretches(panel.points):
            points = [panel.points[n] for n in places]
            edges = _edges(places)
            if panel.objective is not None:
                # Only what is surely above: up to the lower bound. The band on top of it may be, or may not.
                limit = y(panel.objective)
                left, right = edges[0], edges[-1]
                surely = _steps([p.lo for p in points if p is not None], edges, y)
                over = f"{surely}V{bottom:.1f}H{left:.1f}Z"
                clip = f"{name}c{places[0]}"
                yield (
                    f'<clipPath id="{clip}"><rect x="{left:.1f}" y="{top - 1:.1f}" width="{right - left:.1f}"'
                    f' height="{max(limit - top + 1, 0):.1f}"/></clipPath>'
                    f'<path class="over" clip-path="url(#{clip})" d="{over}"/>'
                )
            band = _band([(p.lo, p.hi) for p in points if p is not None], edges, y)
            line = _steps([p.estimate for p in points if p is not None], edges, y)
            yield f'<path class="band" d="{band}"/><path class="line" d="{line}"/>'
        if not known:
            yield _text("tick", LEFT + 8, top + height / 2 + 4, "no good reading was recorded")
        if panel.objective is not None:
            limit = y(panel.objective)
            yield f'<path class="objective" d="M{LEFT:.1f} {limit:.1f}H{WIDTH - RIGHT:.1f}"/>'
            yield _text("promised", WIDTH - RIGHT + 5, limit + 4, f"{number(panel.objective)} s promised")

    def _rate(self, panel: RatePanel, top: float, height: float) -> Iterator[str]:
        known = [v for v in panel.asked if v is not None]
        most = _round_up(max([*known, 0.1]))
        bottom = top + height

        def y(value: float) -> float:
            return bottom - min(max(value, 0.0), most) / most * height

        yield from self._frame(top, height, most)
        last: float | None = None
        for places in _stretches(panel.asked):
            edges = _edges(places)
            line = _steps([panel.asked[n] or 0.0 for n in places], edges, y)
            yield f'<path class="asked" d="{line}V{bottom:.1f}H{edges[0]:.1f}Z"/>'
            yield f'<path class="line" d="{line}"/>'
            last = y(panel.asked[places[-1]] or 0.0)
        for places in _stretches(panel.refused):
            edges = _edges(places)
            line = _steps([panel.refused[n] or 0.0 for n in places], edges, y)
            yield f'<path class="refused" d="{line}V{bottom:.1f}H{edges[0]:.1f}Z"/>'
        if last is not None:
            yield _text("asks", WIDTH - RIGHT + 5, top + 10, "came")
        if any(v for v in panel.refused if v is not None):
            yield _text("refuses", WIDTH - RIGHT + 5, bottom - 3, "turned away")

    def _level(self, panel: LevelPanel, top: float, height: float) -> Iterator[str]:
        bottom = top + height
        yield f'<path class="base" d="M{LEFT:.1f} {bottom:.1f}H{WIDTH - RIGHT:.1f}"/>'
        yield f'<path class="full" d="M{LEFT:.1f} {top:.1f}H{WIDTH - RIGHT:.1f}"/>'
        ends = [at for at, _ in panel.steps[1:]] + [self.picture.end]
        level: float | None = None
        for (at, level), end in zip(panel.steps, ends, strict=True):
            left, right = self._x(at), self._x(end)
            if level is None or right <= left:
                continue
            high = min(max(level, 0.0), 1.0) * height
            style = "admitted held" if level < 1 else "admitted"
            yield (
                f'<rect class="{style}" x="{left:.1f}" y="{bottom - high:.1f}" width="{right - left:.1f}"'
                f' height="{max(high, 0.8):.1f}"/>'
            )
            if level < 1 and right - left > 34:
                above = bottom - high - 3 if high < height - 12 else bottom - high + 11
                yield _text("level", left + 4, above, f"{level * 100:.3g}%")
        told = "not known" if level is None else f"admits {level * 100:.3g}%"
        yield _text("tick", WIDTH - RIGHT + 5, top + height / 2 + 4, told)

    def _gaps(self) -> Iterator[str]:
        for gap in self.picture.gaps:
            left, right = self._x(gap.start), self._x(gap.end)
            width = max(right - left, 1.0)
            yield (
                f"<g><title>{_inert(f'not recorded: {gap.why}')}</title>"
                f'<rect class="blank" x="{left:.1f}" y="{self.top:.1f}" width="{width:.1f}"'
                f' height="{self.bottom - self.top - 4:.1f}"/>'
                f'<rect class="gap" x="{left:.1f}" y="{self.top:.1f}" width="{width:.1f}"'
                f' height="{self.bottom - self.top - 4:.1f}" fill="url(#{self.name}h)"/></g>'
            )
            if width > 80:
                yield _text("gapped", (left + right) / 2, self.top + 24, "not recorded", "middle")

    def _pins(self) -> Iterator[str]:
        for pin, row in zip(self.picture.pins, self.rows, strict=True):
            x, y = self._x(pin.at), 4.0 + PIN_ROW * row + 8
            yield f'<path class="pin" d="M{x:.1f} {y + 8:.1f}V{self.bottom - 4:.1f}"/>'
            yield f'<circle class="pin" cx="{x:.1f}" cy="{y:.1f}" r="8"/>'
            yield _text("pinned", x, y + 3.8, str(pin.number), "middle")
            at, anchor = (x + 12, "start") if _fits(x, pin.label) else (x - 12, "end")
            yield _text("did", at, y + 4, pin.label, anchor)


def _inert(text: str) -> str:
    return escape(clean(text, TEXT))


def _text(style: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_inert(text)}</text>'


def _edges(places: Sequence[int]) -> list[float]:
    """Left edges of neighbouring points, and the right edge of the last."""
    width = (WIDTH - LEFT - RIGHT) / BINS
    return [LEFT + n * width for n in (*places, places[-1] + 1)]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _fits(x: float, label: str) -> bool:
    return x + 12 + len(label) * CHARACTER < WIDTH


def _rows(pins: Sequence[Pin], place: Callable[[float], float]) -> list[int]:
    """For each pin a row in which its label touches no other one."""
    ends: list[list[tuple[float, float]]] = []
    rows = []
    for pin in pins:
        x, size = place(pin.at), len(pin.label) * CHARACTER
        left, right = (x - 10, x + 16 + size) if _fits(x, pin.label) else (x - 16 - size, x + 10)
        row = next(
            (n for n, taken in enumerate(ends) if all(right < a or left > b for a, b in taken)), len(ends)
        )
        if row == len(ends):
            ends.append([])
        ends[row].append((left, right))
        rows.append(row)
    return rows


def _stretches(points: Sequence[Point | float | None]) -> Iterator[list[int]]:
    """Places of neighbouring points that are known."""
    places: list[int] = []
    for n, point in enumerate(points):
        if point is not None:
            places.append(n)
        elif places:
            yield places
            places = []
    if places:
        yield places


def _steps(values: Sequence[float], edges: Sequence[float], y: Callable[[float], float]) -> str:
    """A line of steps, for the readings hold until the next one."""
    parts = [f"M{edges[0]:.1f} {y(values[0]):.1f}"]
    for n, value in enumerate(values):
        parts.append(f"V{y(value):.1f}H{edges[n + 1]:.1f}")
    return "".join(parts)


def _band(bounds: Sequence[tuple[float, float]], edges: Sequence[float], y: Callable[[float], float]) -> str:
    there = _steps([hi for _, hi in bounds], edges, y)
    back = [f"V{y(bounds[n][0]):.1f}H{edges[n]:.1f}" for n in reversed(range(len(bounds)))]
    return there + "".join(back) + "Z"


def _round_up(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten: the end of an axis."""
    if not math.isfinite(value) or value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(
        (step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= value * 0.999), 10 * power
    )
