"""Render screenshots/report.png: a report of a demo that was recorded while an operator throttled it.

The demo runs as for a user, forty minutes of it at twenty times its speed, and is recorded; what its operator
does goes to its control plane. Then `tidegate report` tells of it, and Chromium draws the page.
"""

import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from collectors import intending
from collectors.daemon import DaemonExecutor
from collectors.demo import DemoOptions, DemoSource, start_simulator
from collectors.fleet import Frame, Source, Throttle
from collectors.intents import Intent, Operator, decided
from collectors.recording.reader import Recording
from collectors.recording.redact import Redaction
from collectors.recording.report.facts import gather
from collectors.recording.report.page import render_page
from collectors.recording.report.telling import document
from collectors.recording.source import RecordingSource
from collectors.recording.writer import RecordingWriter
from collectors.sessions import Mark, View

TARGET = Path(__file__).parent.parent / "screenshots" / "report.png"
OPTIONS = DemoOptions(scenario="melting-gpus", seed=1, speed=20.0)
MINUTES = 40.0
WIDTH, HEIGHT = 1100, 1660
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class Begun:
    """A source without its frames of before anything answered: the demo's own time is not known then."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def operator(self) -> Operator | None:
        """The source's."""
        return self._source.operator

    async def frames(self) -> AsyncIterator[Frame]:
        """The source's, from the first one on that knows a model."""
        async for frame in self._source.frames():
            if frame.models:
                yield frame

    async def aclose(self) -> None:
        """Close the source."""
        await self._source.aclose()


async def recorded(path: Path) -> None:
    """Record the demo, and what an operator does in it."""
    asyncio.get_running_loop().set_default_executor(DaemonExecutor())
    writer = RecordingWriter(
        file=path, facts={"context": "demo", "zone": "UTC"}, redaction=Redaction(), simulated=True
    )
    writer.start()
    source = RecordingSource(Begun(DemoSource(start_simulator(OPTIONS), OPTIONS)), writer)
    steps = [
        (0.0, lambda frame: writer.view(_view())),
        (7.0, lambda frame: writer.view(_view("model", "aurora-5"))),
        (8.5, lambda frame: writer.view(_view("model", "aurora-5", "Throttle image-generation"))),
        (9.0, lambda frame: _throttle(frame, ("free", "team"), 0.3, 1800, "images pile up, paid tiers wait")),
        (9.2, lambda frame: writer.view(_view("model", "aurora-5"))),
        (13.0, lambda frame: writer.mark(Mark(frame.at, "operator", "paid tiers are fine again"))),
        (26.0, lambda frame: _throttle(frame, ("free",), 0.1, 3600, "keep room until the delivery at 17:40")),
    ]
    tasks = []
    try:
        began = 0.0
        async for frame in source.frames():
            began = began or frame.at
            while steps and frame.at - began >= steps[0][0] * 60 and frame.throttles:
                if intents := steps.pop(0)[1](frame):
                    tasks.append(asyncio.create_task(_decide(source, *intents)))
            if frame.at - began >= MINUTES * 60:
                break
        await asyncio.gather(*tasks)
    finally:
        await source.aclose()


def _view(screen: str = "fleet", subject: str = "", dialog: str = "") -> View:
    return View(screen, subject, dialog=dialog, width=120, height=40)


def _throttle(
    frame: Frame, tiers: Sequence[str], level: float, ttl_s: int, reason: str
) -> tuple[list[Intent], str]:
    cells: dict[tuple[str, str], Throttle] = {(one.feature, one.tier): one for one in frame.throttles}
    wanted = [cells["image-generation", tier] for tier in tiers]
    return [intending.set_throttle(one, level=level, ttl_s=ttl_s) for one in wanted], reason


async def _decide(source: RecordingSource, intents: Sequence[Intent], reason: str) -> None:
    operator = source.operator
    assert operator is not None
    seen = await operator.rehearse(intents)
    async for _ in operator.carry_out(decided([one.intent for one in seen], reason)):
        pass


def drawn(page: Path, target: Path, browser: str) -> None:
    """The top of a page as a picture."""
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={target}", page.as_uri(),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    print(target.relative_to(target.parent.parent), flush=True)


if __name__ == "__main__":
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        sys.exit("the picture of a report needs Chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "demo.tgrec")
        asyncio.run(recorded(file))
        recording = Recording.open(file)
        page = file.with_suffix(".html")
        page.write_text(render_page(document(gather(recording, file.name))), encoding="utf-8")
        recording.close()
        drawn(page, TARGET, found)
