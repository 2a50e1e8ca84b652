"""Which of our recording rules a Prometheus has, and whether they can be believed now.

A record answers in place of a query only where a rule of the same mark was seen, the stack's heartbeat is
fresh, and there is no reason to ask otherwise: a native histogram, or a window that is not full yet.
"""

from collections.abc import Mapping, Sequence

from collectors.prometheus.detect import Ask
from collectors.prometheus.wire import Refused, Sample
from collectors.signals.catalogue import Definition, Matcher, window_s
from collectors.signals.promql import any_of, braces, natives
from collectors.signals.recording import HEARTBEAT, MARK, is_recorded, mark, query, record_name

FRESH_INTERVALS = 2.0
"""A heartbeat older than so many of its stack's intervals is that of a rule that is evaluated no more."""

AHEAD_S = 60.0
"""A heartbeat further ahead of the time it was asked for is no heartbeat: servers' clocks differ by less."""


class Records:
    """What is known of the records of one server.

    label: of the store, that tells clusters apart; the heartbeat has no other label to filter by
    """

    def __init__(self, selector: Sequence[Matcher], label: str) -> None:
        self._selector = tuple(selector)
        self._of_store = tuple(one for one in selector if label and one.label == label)
        self._known: frozenset[tuple[str, str]] = frozenset()
        self._beats: Mapping[str, float] = {}

    async def learn(self, ask: Ask, definitions: Sequence[Definition], at: float) -> None:
        """Learn which rules there are; where that is refused, none. raises: Refused if nobody answers"""
        names = sorted({record_name(one) for one in definitions if is_recorded(one)})
        named = Matcher("__name__", "=~", any_of(names))
        there = braces((named, Matcher(MARK, "!=", ""), *self._selector))
        try:
            vector = await ask(f"count by (__name__, {MARK}) ({there})", at)
        except Refused as refused:
            if refused.unreachable or refused.wait_s is not None:
                raise
            self._known = frozenset()
            return
        self._known = frozenset(
            (s.metric.get("__name__", ""), s.metric.get(MARK, "")) for s in vector.samples
        )

    async def listen(self, ask: Ask, at: float) -> None:
        """Hear the heartbeats, if there is anything to hear of. Without them no record is asked."""
        self._beats = {}
        if not self._known:
            return
        try:
            # Of several the oldest counts: which of them belongs to the records nobody says.
            vector = await ask(f"min by (stack) ({HEARTBEAT}{braces(self._of_store)})", at)
        except Refused as refused:
            if refused.unreachable:
                raise
            return
        beats = ((s.metric.get("stack", ""), _beat(s, at)) for s in vector.samples)
        self._beats = {stack: beat for stack, beat in beats if beat is not None}

    def heartbeat(self, stack: str, interval_s: float, at: float) -> float | None:
        """When the stack's rules were last evaluated; None where that is too long ago, or never was."""
        beat = self._beats.get(stack)
        return beat if beat is not None and abs(at - beat) <= FRESH_INTERVALS * interval_s else None

    def query(
        self,
        definition: Definition,
        interval_s: float,
        *,
        selector: Sequence[Matcher],
        present: frozenset[str],
        replicas: Sequence[str],
    ) -> str:
        """What asks for the definition's record; "" where there is none that says the same."""
        if not self._known or not is_recorded(definition) or natives(definition, present):
            return ""
        wide = window_s(interval_s)
        if (record_name(definition), mark(definition, wide)) not in self._known:
            return ""
        return query(definition, wide, selector, replicas)


def _beat(sample: Sample, at: float) -> float | None:
    """A heartbeat, in seconds since the epoch; None for what is no number, or far ahead of `at`."""
    if sample.value is None:
        return None
    try:
        beat = sample.number
    except Refused:
        return None
    return beat if beat <= at + AHEAD_S else None
