"""Frames of the past, one for each step of a grid, as the live watch would have built them.

What the watch remembers of the minutes before (ages, quantiles over several windows, alerts) is not carried
from one stretch of the grid to the next: each stretch is begun some minutes early, and those are not shown.
So a stretch is the same whether the one before was built a moment ago or by a process that was killed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Protocol

from collectors.config import Context
from collectors.fleet import Alert, Event, Frame, Release, Throttle
from collectors.readings import STALE_INTERVALS, Quality, Reading, Reason
from collectors.reconstruct import exported
from collectors.reconstruct.naming import PastNames
from collectors.reconstruct.poller import PastPoller
from collectors.signals.assemble import Observed
from collectors.signals.catalogue import Answer, Poll, window_s
from collectors.signals.keys import Key
from collectors.watch.loop import Watch
from collectors.watch.shown import Absence

LEAD_S = 600.0
"""How much earlier a stretch is begun: as long as the watch remembers anything."""

ALERT_LEAD_S = 120.0
"""Frames of so much of it are built: alerts wait for a minute before they begin."""

NOT_RECORDED = Reason("plane-not-recorded")


class Plane(Protocol):
    """What a log tells of the control plane."""

    def releases(self, at: float) -> tuple[Release, ...]:
        """Releases as they stood."""
        ...

    def throttles(self, at: float) -> tuple[Throttle, ...]:
        """Cells as they stood."""
        ...

    def events(self, after: float, upto: float) -> tuple[Event, ...]:
        """What happened in between."""
        ...


class PastWatch(Watch):
    """The live watch, led through a stretch of the past step by step.

    window_s: of rates, by the last poll; has_data: any source had an answer to it
    """

    def __init__(
        self,
        name: str,
        context: Context,
        pollers: Sequence[PastPoller],
        *,
        step_s: float,
        plane: Plane | None,
        absence: Absence,
    ) -> None:
        # Asked of each model at each step, and the same each time.
        kept = lru_cache(maxsize=1024)(absence)
        super().__init__(
            name,
            context,
            pollers,
            absence=lambda signal, stacks: kept(signal, tuple(stacks)),
            poll_s=step_s,
            alert_sources=[one.alerts for one in pollers if one.alerts is not None],
        )
        self._names = PastNames(context.identity, context.pools, cluster_label=self._names.cluster_label)
        self._past_pollers, self._past_plane = tuple(pollers), plane
        self.window_s = step_s
        self.has_data = False

    async def poll(self, step: int) -> None:
        """Hear what every source would have said at that step. raises: Unanswered"""
        self.has_data = False
        for lane, poller in zip(self._lanes, self._past_pollers, strict=True):
            poll = await poller.poll_at(step)
            is_fresh = bool(poller.exported) or any(_is_fresh(one, poll) for one in poll.answers)
            self.has_data |= is_fresh
            if (alerts := poller.alerts) is not None:
                alerts.step, alerts.is_fresh = step, is_fresh
                self._told[alerts.name] = await alerts.poll()
            self.window_s = window_s(poll.interval_s)
            lane.health = poll.health
            names, seen = lane.read(poll, self._names)
            self._names = self._with_subjects(names)
            seen = _marked(_with_exported(seen, poller.exported), poller.partial, poll.health.warnings)
            self._events.extend(lane.take(poll, seen, poll.at, self._poll_s))
        self._dirty = True

    def frame(self, at: float, tick: int, since: float) -> Frame:
        """The frame of that moment, and what happened since the one before."""
        found = self._frame(at)
        plane = self._past_plane
        notes = tuple(NOT_RECORDED if note.code == "no-plane" else note for note in found.notes)
        events = found.events
        if plane is not None:
            events = tuple(sorted((*events, *plane.events(since, at)), key=lambda one: one.at))
        return replace(
            found,
            at=at,
            tick=tick,
            events=events,
            notes=notes if plane is None else tuple(n for n in notes if n != NOT_RECORDED),
            throttles=() if plane is None else plane.throttles(at),
        )

    def alerted(self, before: Sequence[Alert]) -> None:
        """Take the alerts that the frame before this stretch had for those of the last one built."""
        for poller in self._past_pollers:
            if poller.alerts is not None:
                poller.alerts.resumed(before)
        since = {one.id: one.since for one in before}
        self._alerts = tuple(before)
        self._derived = tuple(
            replace(one, since=since[one.id]) if one.id in since else one for one in self._derived
        )
        self._events = []

    def _releases(self) -> tuple[Release, ...]:
        seen = super()._releases()
        if self._past_plane is None:
            return seen
        told = tuple(map(self._named, self._past_plane.releases(self._lanes[0].at or 0.0)))
        subjects = {(one.subject_kind, one.subject) for one in told}
        return (*told, *(one for one in seen if (one.subject_kind, one.subject) not in subjects))


def _is_fresh(answer: Answer, poll: Poll) -> bool:
    """True if something was sampled lately: a server answers for minutes with what was the last."""
    interval_s = poll.intervals.get(answer.definition.stack, poll.interval_s)
    return bool(answer.rows) and answer.at is not None and poll.at - answer.at <= STALE_INTERVALS * interval_s


def _with_exported(seen: Observed, readings: Mapping[Key, Reading]) -> Observed:
    """With readings that are taken as they are."""
    if not readings:
        return seen
    return replace(
        seen,
        readings={**seen.readings, **readings},
        intervals={**seen.intervals, **dict.fromkeys(readings, exported.INTERVAL_S)},
        models=seen.models | {key.model for key in readings if key.model},
        tiers=seen.tiers | {key.tier for key in readings if key.tier},
    )


def _marked(seen: Observed, partial: frozenset[str], warnings: Sequence[str]) -> Observed:
    """With a word on every good reading of an answer that its server called partial."""
    if not partial:
        return seen
    why = Reason("partial", (warnings[0] if warnings else "its server says so",))

    def marked(key: Key, one: Reading) -> Reading:
        family = key.signal.rpartition("_p")[0]
        if one.value is None or one.quality is not Quality.GOOD or not {key.signal, family} & partial:
            return one
        return replace(one, quality=Quality.SUSPECT, reason=why)

    return replace(seen, readings={key: marked(key, one) for key, one in seen.readings.items()})
