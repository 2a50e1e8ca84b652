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

from collectors.demo import DemoOptions, DemoSource, start_simulator
from collectors.fleet import Frame, Source
from tui.app import CockpitApp

FOLDER = Path(__file__).parent.parent / "screenshots"
SIZES = ((80, 24), (120, 40), (200, 60))
OPTIONS = DemoOptions(scenario="melting-gpus", seed=1, speed=30.0)
SURGE_WAIT_S = 20.0
LONGEST_S = 120.0


def has_surged(frame: Frame) -> bool:
    """True when the worst wait shows what the story is about, and rates are known."""
    waits = [
        r.estimate
        for m in frame.models
        for t in m.tiers.values()
        if (r := t.get("queue_wait_p99")) is not None
    ]
    return max((w for w in waits if w is not None), default=0.0) > SURGE_WAIT_S


async def picture(
    name: str,
    size: tuple[int, int],
    keys: tuple[str, ...],
    connect: Callable[[], Source],
    ready: Callable[[Frame], bool],
) -> None:
    """Run the cockpit at `size` until `ready`, press `keys`, and write `screenshots/NAME.png`."""
    app = CockpitApp(connect, context="demo")
    async with app.run_test(size=size) as pilot:
        async with asyncio.timeout(LONGEST_S):
            while app.latest is None or not ready(app.latest):
                await asyncio.sleep(0.1)
        for key in keys:
            await pilot.press(key)
        await pilot.pause(1.2)
        svg = app.export_screenshot(title="tidegate")
    render(svg, FOLDER / f"{name}.png")


def render(svg: str, target: Path) -> None:
    """SVG to PNG at twice the size."""
    # rsvg-convert drops the no-break spaces that a line begins with, unless told to keep them.
    svg = svg.replace("<text ", '<text xml:space="preserve" ')
    with tempfile.NamedTemporaryFile("w", suffix=".svg", encoding="utf-8") as file:
        file.write(svg)
        file.flush()
        subprocess.run(["rsvg-convert", "--zoom", "1.5", file.name, "-o", str(target)], check=True)
    print(target.relative_to(FOLDER.parent), flush=True)


async def main() -> None:
    """All pictures, one after the other."""

    def connect() -> Source:
        return DemoSource(start_simulator(OPTIONS), OPTIONS)

    for columns, rows in SIZES:
        await picture(f"fleet-{columns}x{rows}", (columns, rows), (), connect, has_surged)
    await picture("model-120x40", (120, 40), ("enter",), connect, has_surged)
    await picture("help-120x40", (120, 40), ("?",), connect, has_surged)


if __name__ == "__main__":
    if shutil.which("rsvg-convert") is None:
        sys.exit("screenshots need rsvg-convert and Fira Code: apt-get install librsvg2-bin fonts-firacode")
    FOLDER.mkdir(exist_ok=True)
    asyncio.run(main())
