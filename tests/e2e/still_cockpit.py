"""The cockpit on a fleet whose values move, and then stop: started by the pty tests."""

import asyncio
import sys
from collections.abc import AsyncIterator

from collectors.fleet import Frame, Source
from tui.app import CockpitApp


class MovingSource:
    """A frame every 0.1 s whose values differ, so that partial repaints happen between keys."""

    async def frames(self) -> AsyncIterator[Frame]:
        from tests.frames import demo_frame, following

        for frame in following(demo_frame()):
            yield frame
            await asyncio.sleep(0.1)

    async def aclose(self) -> None:
        return None


def connect() -> Source:
    """Late, as the real command does it."""
    return MovingSource()


if __name__ == "__main__":
    sys.exit(CockpitApp(connect, context="pty").run())
