"""Render the pictures in screenshots/ from the running program: `make screenshots`.

The demo runs as it does for a user, its simulated fleet in a process of its own, until the surge is at its
height; then the screen is exported and turned into PNG by `rsvg-convert`, with Fira Code.
"""

import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from benchmarks.pages import served
from collectors.config import Context, Page
from collectors.demo import DemoOptions, DemoSource, start_simulator
from collectors.fleet import Frame, Source
from collectors.live import live_source
from collectors.snapshot import lacking
from tui.app import CockpitApp
from tui.commands import replayed
from tui.kept import Keeping, SessionRecorder

FOLDER = Path(__file__).parent.parent / "screenshots"
SIZES = ((80, 24), (120, 40), (200, 60))
OPTIONS = DemoOptions(scenario="melting-gpus", seed=1, speed=12.0)
SURGE_WAIT_S = 20.0
LONGEST_S = 120.0
EFFECT_S = 20.0
"""Real seconds for a throttle to show: four simulated minutes."""


def has_surged(frame: Frame) -> bool:
    """True when the worst wait shows what the story is about, and rates are known."""
    waits = [
        r.estimate
        for m in frame.models
        for t in m.tiers.values()
        if (r := t.get("queue_wait_p99")) is not None
    ]
    return max((w for w in waits if w is not None), default=0.0) > SURGE_WAIT_S


async def demo_pictures() -> None:
    """One run of the demo; the terminal changes its size as a user's would."""

    def connect() -> Source:
        return DemoSource(start_simulator(OPTIONS), OPTIONS)

    folder = Path(tempfile.mkdtemp())
    recorder = SessionRecorder(Keeping("demo", simulated=True, folder=folder))
    app = CockpitApp(recorder.around(connect), context="demo", recorder=recorder, replay=replayed)
    async with app.run_test(size=SIZES[-1]) as pilot:
        await arrived(app, pilot, has_surged)
        for columns, rows in SIZES:
            await picture(app, pilot, f"fleet-{columns}x{rows}", (columns, rows))
        await picture(app, pilot, "help-120x40", (120, 40), "?")
        await picture(app, pilot, "model-120x40", (120, 40), "escape", "enter")
        await pilot.press("escape")
        await typed(pilot, "W", "t", "right", "right", "right", "1")
        await picture(app, pilot, "throttle-120x40", (120, 40))
        await picture(app, pilot, "throttle-80x24", (80, 24))
        await typed(pilot, "y", "escape")
        await pilot.pause(EFFECT_S)
        await picture(app, pilot, "throttled-model-120x40", (120, 40), "enter")
        await typed(pilot, "escape", "space", "space", "less_than_sign")
        await picture(app, pilot, "replay-120x40", (120, 40))
    shutil.rmtree(folder)


async def two_pages_picture() -> None:
    """An engine's page and an exporter's alone: no Prometheus, no plane, no tiers, no objectives."""
    with served("vllm", "dcgm-exporter") as urls:
        context = Context(scrape=tuple(Page(url=url) for url in urls))
        app = CockpitApp(lambda: live_source("direct", context), context="direct")
        async with app.run_test(size=(120, 40)) as pilot:
            await arrived(app, pilot, lambda frame: bool(frame.models) and not lacking(frame))
            await picture(app, pilot, "two-pages-120x40", (120, 40))
            await picture(app, pilot, "two-pages-model-120x40", (120, 40), "enter")


async def typed(pilot: Pilot[int], *keys: str) -> None:
    """Press keys as a person does: a dialog drops what comes too early, and `y` wants quiet before it."""
    for key in keys:
        await pilot.press(key)
        await pilot.pause(0.8)


async def arrived(app: CockpitApp, pilot: Pilot[int], ready: Callable[[Frame], bool]) -> None:
    """Wait for a frame that is `ready`."""
    async with asyncio.timeout(LONGEST_S):
        while app.latest is None or not ready(app.latest):
            await pilot.pause(0.5)


async def picture(app: CockpitApp, pilot: Pilot[int], name: str, size: tuple[int, int], *keys: str) -> None:
    """Resize, press keys, and write `screenshots/NAME.png`."""
    await pilot.resize_terminal(*size)
    for key in keys:
        await pilot.press(key)
    # Two ticks: the layout has settled, and the frame is a live one.
    await pilot.pause(2.0)
    render(app.export_screenshot(title="tidegate"), FOLDER / f"{name}.png")


def render(svg: str, target: Path) -> None:
    """SVG to PNG, one and a half times as large."""
    # rsvg-convert drops the no-break spaces that a line begins with, unless told to keep them, and takes the
    # font's own width, 0.615 of its size, where the picture reckons with 0.61.
    svg = svg.replace("<text ", '<text xml:space="preserve" ').replace("font-size: 20px", "font-size: 19.8px")
    with tempfile.NamedTemporaryFile("w", suffix=".svg", encoding="utf-8") as file:
        file.write(svg)
        file.flush()
        subprocess.run(["rsvg-convert", "--zoom", "1.5", file.name, "-o", str(target)], check=True)
    print(target.relative_to(FOLDER.parent), flush=True)


if __name__ == "__main__":
    if shutil.which("rsvg-convert") is None:
        sys.exit("screenshots need rsvg-convert and Fira Code: apt-get install librsvg2-bin fonts-firacode")
    FOLDER.mkdir(exist_ok=True)
    asyncio.run(demo_pictures())
    asyncio.run(two_pages_picture())
