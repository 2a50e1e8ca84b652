"""What drawing a frame costs, without a terminal: the builders alone, and the widget that shows their lines.

    python -m benchmarks.drawing [--frames N]

Prints a table and one JSON line: medians, in CPU milliseconds, each with its budget. A tenth of the models
and nodes moves in every frame. Exit status 1 if a budget does not hold; `noise` above 1.2 means that even
CPU times are too high.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, repeat
from typing import NamedTuple, cast

import numpy as np
from textual.app import App, ComposeResult

import themes
from benchmarks.ptymeter import noise
from benchmarks.screen import Figure
from collectors.fleet import Frame
from collectors.sessions import Gap
from tests.frames import big_frame, following
from tui.format import UNICODE
from tui.screens.trends import Trends
from tui.store import History
from tui.widgets.fleet_row import RowCache
from tui.widgets.fleet_table import FleetView, fleet_lines
from tui.widgets.freshness import header_lines, status_line
from tui.widgets.heat_map import HeatCache, heat_lines
from tui.widgets.lines import LineView

WIDTH, HEIGHT = 120, 40


def timed(frames: Iterator[Frame], count: int, work: Callable[[Frame], object]) -> float:
    """Median CPU milliseconds of `work` over `count` frames; the first two fill the caches."""
    times = []
    for frame in islice(frames, count + 2):
        begin = time.process_time()
        work(frame)
        times.append((time.process_time() - begin) * 1000)
    return statistics.median(times[2:])


def table_ms(models: int, tiers: int, count: int, *, kept: bool) -> float:
    """One fleet table. kept: with rows of the frame before; else every row is drawn anew."""
    start = big_frame(models, tiers, 8)
    history, cache = History(), RowCache()

    def work(frame: Frame) -> None:
        fleet_lines(frame, history, FleetView(), WIDTH, UNICODE, cache if kept else None)

    def fed() -> Iterator[Frame]:
        for frame in following(start):
            history.add(frame)
            yield frame

    return timed(fed(), count, work)


def history_ms(models: int, tiers: int, count: int) -> float:
    """Taking one frame into the history."""
    history = History()
    return timed(following(big_frame(models, tiers, 8)), count, history.add)


class Numbers(NamedTuple):
    """A recording's ten minutes, each of its series the same."""

    times: list[float]
    numbers: "np.ndarray[tuple[int], np.dtype[np.float64]]"
    gaps: tuple[Gap, ...] = ()

    def values(self, model: str, tier: str, signal: str) -> Sequence[float]:
        """An array is a sequence of floats in all that is asked."""
        return cast("Sequence[float]", self.numbers)

    def shares(self, model: str) -> dict[str, Sequence[float]]:
        """None is told by feature."""
        return {}


def refill_ms(models: int, tiers: int, count: int) -> float:
    """Filling sparks and trends after a jump in a replay, of a frame a second."""
    start = big_frame(models, tiers, 8)
    series = Numbers([start.at - 600 + n for n in range(601)], np.random.default_rng(1).random(601))

    def refilled(frame: Frame) -> None:
        History().refill(series, frame, ())
        Trends().refill(series, frame)

    return timed(repeat(start), count, refilled)


def heat_ms(accelerators: int, width: int, height: int, count: int) -> float:
    """One heat map."""
    cache = HeatCache()
    start = big_frame(1, 1, accelerators)
    return timed(
        following(start),
        count,
        lambda frame: heat_lines(frame.nodes, width, height, UNICODE, 0, frozenset(), cache),
    )


class Bench(App[None]):
    """Header, table, heat map and status, as large as the screen."""

    CSS = "LineView { height: 1; } #fleet { height: 27; } #heat { height: 10; }"

    def __init__(self) -> None:
        super().__init__(ansi_color=True)
        self.register_theme(themes.to_textual(themes.read_theme(themes.THEMES[0])))
        self.theme = "tidegate-dark"

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Every role."""
        return themes.role_defaults()

    def compose(self) -> ComposeResult:
        """Four views."""
        for name in ("header", "fleet", "heat", "status"):
            yield LineView(id=name, cursor=name == "fleet")


async def screen_ms(count: int) -> tuple[float, float]:
    """CPU milliseconds and bytes of a frame of 50 models, 5 tiers and 10,000 accelerators, painted."""
    app = Bench()
    history, rows, heat = History(), RowCache(), HeatCache()
    async with app.run_test(size=(WIDTH, HEIGHT)) as pilot:
        views = {name: app.query_one(f"#{name}", LineView) for name in ("header", "fleet", "heat", "status")}
        await pilot.pause()
        spent, written = [], []
        for frame in islice(following(replace(big_frame(50, 5, 10_000), alerts=())), count + 2):
            begin = time.process_time()
            history.add(frame)
            views["header"].show(header_lines(frame, WIDTH)[:1])
            views["fleet"].show(fleet_lines(frame, history, FleetView(), WIDTH, UNICODE, rows), header=1)
            views["heat"].show(heat_lines(frame.nodes, WIDTH, 10, UNICODE, 0, frozenset(), heat))
            views["status"].show([status_line(frame, WIDTH)])
            update = _update(app, list(views.values()))
            written.append(len(update.encode()))
            spent.append((time.process_time() - begin) * 1000)
            await asyncio.sleep(0)
        return statistics.median(spent[2:]), statistics.median(written[2:])


def _update(app: App[None], views: Sequence[LineView]) -> str:
    """What the compositor would write for the dirty regions of the views, as Textual builds it."""
    compositor = app.screen._compositor
    compositor.update_widgets(set(views))
    update = compositor.render_update(screen_stack=app._background_screens)
    return "" if update is None else update.render_segments(app.console)  # type: ignore[union-attr]  # its own class


def measure(count: int) -> list[Figure]:
    """Every figure with its budget."""
    screen, written = asyncio.run(screen_ms(count))
    return [
        Figure("table 50x5, a tenth moved", table_ms(50, 5, count, kept=True), "ms", 4),
        Figure("table 50x5, all drawn", table_ms(50, 5, count, kept=False), "ms", 4),
        Figure("table 500x6, a tenth moved", table_ms(500, 6, count, kept=True), "ms", 15),
        Figure("history 500x6", history_ms(500, 6, count), "ms", 5),
        Figure("jump of a replay, 50x5", refill_ms(50, 5, count), "ms", 50),
        Figure("heat map 10,000 at 120x12", heat_ms(10_000, 120, 12, count), "ms", 5),
        Figure("heat map 10,000 at 200x40", heat_ms(10_000, 200, 40, count), "ms", 5),
        Figure("screen 50x5 and 10,000, CPU", screen, "ms", 50),
        Figure("screen 50x5 and 10,000, written", written, "bytes", 8000),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=30, metavar="N", help="frames for each figure (30)")
    given = parser.parse_args(arguments)
    before = noise()
    figures = measure(given.frames)
    unquiet = max(before, noise())
    for one in figures:
        held = "ok" if one.holds else "OVER"
        print(f"{one.name:<34}{one.value:>10.2f} {one.unit:<6} budget {one.budget:>6g}  {held}")
    report = {
        one.name: {"value": round(one.value, 3), "unit": one.unit, "budget": one.budget} for one in figures
    }
    print(json.dumps({"noise": round(unquiet, 2), "figures": report}))
    return 0 if all(one.holds for one in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
