"""One frame for scripts: watch until everything that can be known is known, then stop."""

import asyncio
from collections.abc import Callable

from collectors.daemon import DaemonExecutor
from collectors.fleet import Frame, Source, SourceState


async def snapshot(source: Source, within_s: float, progress: Callable[[str], None]) -> Frame:
    """The first frame in which every source has answered and no rate is still being collected.

    within_s: after this long the last frame is returned as it is: its readings say what they lack
    progress: told in words what is being waited for, when that changes
    raises: TimeoutError if not even one frame came
    """
    last: Frame | None = None
    # A name server that does not answer must not hold the command past its time.
    asyncio.get_running_loop().set_default_executor(DaemonExecutor())

    async def complete() -> Frame:
        nonlocal last
        async for frame in source.frames():
            last = frame
            missing = lacking(frame)
            if not missing:
                return frame
            progress(missing)
        raise TimeoutError("the source ended before a first full frame")

    try:
        return await asyncio.wait_for(complete(), within_s)
    except TimeoutError:
        if last is None:
            raise
        return last
    finally:
        await source.aclose()


def lacking(frame: Frame) -> str:
    """What a frame still waits for, in words; empty when it is complete."""
    waiting = [s.name for s in frame.sources if s.state is SourceState.CONNECTING]
    if waiting:
        return f"waiting for {', '.join(waiting)}"
    if any(s.state is SourceState.LOST for s in frame.sources):
        return ""
    rates = [
        r.reason.parameters
        for m in frame.models
        for readings in (m.readings, *m.tiers.values())
        for r in readings.values()
        if r.reason.code == "collecting"
    ]
    if rates:
        seen, need = min(rates)
        return f"collecting {seen}/{need} scrapes"
    return ""
