"""A source that puts raw control bytes into errors, and cleaned hostile text into frames, as real ones do."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from collectors.fleet import Alert, Event, EventKind, Frame, Severity
from collectors.text import clean
from tests.frames import AT, demo_frame, worst_frame

RAW = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe\r\n\t\x00[/nope][@click=app.quit]x" + "y" * 10_000
"""What a label, a summary or an error of the world may hold."""


class HostileSource:
    """Two frames, then an error whose text is RAW."""

    async def frames(self) -> AsyncIterator[Frame]:
        yield worst_frame()
        await asyncio.sleep(0.3)
        base = demo_frame(AT + 1)
        text = clean(RAW)
        yield replace(
            base,
            models=tuple(replace(m, name=clean(f"{m.name}{RAW}")) for m in base.models),
            alerts=(Alert(text, Severity.P1, clean(f"delta-code{RAW}"), text, AT, text),),
            events=tuple(Event(AT, kind, text, text, text) for kind in EventKind),
            releases=tuple(replace(r, message=text, pause_reason=text, phase=text) for r in base.releases),
        )
        await asyncio.sleep(0.5)
        raise ValueError(RAW)

    async def aclose(self) -> None:
        return None
