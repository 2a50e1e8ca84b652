"""The past of what is watched, asked for once, beside the polls: none of them waits for it for long."""

import asyncio
from collections.abc import Sequence

from collectors.config import PrometheusServer
from collectors.daemon import in_daemon
from collectors.prometheus.wire import Refused
from collectors.signals.catalogue import Definition, Matcher, PastAnswer
from collectors.text import clean

FIRST_WAIT_S = 1.0
"""The first poll that answers waits so long for the past: a screen that opens with it is read at once."""


class PastAsked:
    """Asks one server for its past, once.

    identity: labels that identity rules read; span_s: how far back, 0 for no past at all
    """

    def __init__(self, server: PrometheusServer, identity: Sequence[str], span_s: float) -> None:
        self._server, self._identity, self._span_s = server, tuple(identity), span_s
        self._asked: asyncio.Task[tuple[PastAnswer, ...]] | None = None
        self._waited = False
        self._given = span_s <= 0

    def start(
        self,
        definitions: Sequence[Definition],
        *,
        selector: Sequence[Matcher],
        replicas: Sequence[str],
        present: frozenset[str],
        guarded: bool = False,
        window_s: float,
        at: float,
    ) -> None:
        """Begin to ask, if it was not begun and something has a past: a wait measured by a histogram."""
        wanted = [one for one in definitions if one.signal == "queue_wait"]
        if self._given or self._asked is not None or not wanted:
            return

        def ask() -> tuple[PastAnswer, ...]:
            # The library takes longer to import than a frame may.
            from collectors.prometheus.history import past

            return past(
                self._server,
                wanted,
                selector=selector,
                replicas=replicas,
                present=present,
                guarded=guarded,
                identity=self._identity,
                window_s=window_s,
                at=at,
                span_s=self._span_s,
            )

        self._asked = asyncio.create_task(in_daemon(ask))

    async def taken(self) -> tuple[tuple[PastAnswer, ...], str]:
        """(the past, "") once it is there, then never again; ("", why not) once if it cannot be had.

        Never raises but when it is cancelled.
        """
        if self._asked is None or self._given:
            return (), ""
        if not self._waited:
            self._waited = True
            await asyncio.wait([self._asked], timeout=FIRST_WAIT_S)
        if not self._asked.done():
            return (), ""
        self._given = True
        try:
            return self._asked.result(), ""
        except Refused as refused:
            return (), f"the past is not shown: asked for it, it {refused}"
        except Exception as error:  # a fault of ours over the past must not take the poll away
            said = clean(f"{type(error).__name__}: {error}", 200)
            return (), f"the past is not shown: a fault of tidegate's own ({said}); please report it"

    def stop(self) -> None:
        """Wait for it no more."""
        if self._asked is not None and not self._asked.cancel() and not self._asked.cancelled():
            # A failure that nobody asks for would be told at the end, over the screen.
            self._asked.exception()
