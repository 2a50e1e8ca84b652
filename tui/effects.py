"""What can be told after an operator's action: the time left to undo it, and what followed. No forecast."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from collectors.fleet import Event, EventKind, Frame, Throttle
from collectors.readings import Quality
from tui.format import Glyphs, age, duration, percent, wait
from tui.store import GAP, STEP_S, STEPS, History
from tui.three_states import SETTLE_S, left_s, of_throttle

KEPT_S = float(STEP_S * STEPS)
"""What was before an action is known for so long."""

OWN_S = 1800.0
"""For so long somebody's own last action stays in sight, and as long as its throttle is in force."""

UNLOGGED = "you"
"""Who did what was refused here, or never reached the control plane's log."""

_DONE = (EventKind.THROTTLE, EventKind.RELEASE, EventKind.ACTION)

SAME_S = 1.0
"""Seconds by which a log's time and its resource's may differ."""


LEAST_WAIT_S = 0.05
"""A wait that was and stays below this says nothing."""


class After(NamedTuple):
    """What stands behind an event: `undo` with the time left, and `effect` once there was time for one."""

    undo: str = ""
    effect: str = ""


NOTHING = After()


class Worst(NamedTuple):
    """The wait that was worst against its objective when something was done; seconds."""

    model: str
    tier: str
    before: float


class Effects:
    """Tells what followed actions; keeps what was before each, which does not change any more."""

    def __init__(self) -> None:
        self._worst: dict[Event, Worst | None] = {}

    def of(self, event: Event, frame: Frame, history: History, now: float, glyphs: Glyphs) -> After:
        """Of one event; nothing where somebody acted on its cell again. now: by the plane's clock."""
        cell = _cell(event, frame)
        if cell is None:
            return NOTHING
        effect = ""
        if SETTLE_S <= now - event.at <= KEPT_S:
            effect = ", ".join(self._parts(event, cell, frame, history, now, glyphs))
        effect = f"after {age(now - event.at)}: {effect}" if effect else ""
        return After(_undo(event, cell, frame, now), effect)

    def _parts(
        self, event: Event, cell: Throttle, frame: Frame, history: History, now: float, glyphs: Glyphs
    ) -> Iterator[str]:
        states = of_throttle(frame, cell, now)
        seen = states.observed
        if seen.share is not None and seen.quality is Quality.GOOD:
            share = percent(seen.share)
            no_effect = states.complaint.partition(": ")[2].partition(",")[0]
            yield f"{no_effect}: {share} admitted" if no_effect else f"{share} admitted"
        if event not in self._worst:
            if len(self._worst) > 100:
                self._worst.clear()
            self._worst[event] = worst_at(frame, history, cell.feature, event.at)
        worst = self._worst[event]
        here = history.value_at(worst.model, worst.tier, frame.at) if worst is not None else GAP
        if worst is not None and here != GAP and max(worst.before, here) >= LEAST_WAIT_S:
            title = next((t.title for t in frame.tiers if t.name == worst.tier), worst.tier)
            yield f"{worst.model} {title} p99 {wait(worst.before)} {glyphs.arrow} {wait(here)} s"


def last_own(events: Iterable[Event], frame: Frame) -> Event | None:
    """The newest of the caller's own actions, also of those that no log tells."""
    own = (e for e in events if e.kind in _DONE and (e.actor == UNLOGGED or _is_own(e, frame)))
    return max(own, key=lambda one: one.at, default=None)


def _is_own(event: Event, frame: Frame) -> bool:
    actor = frame.plane.actor if frame.plane is not None else ""
    return bool(actor) and event.actor.partition(" via ")[0] == actor


def worst_at(frame: Frame, history: History, feature: str, at: float) -> Worst | None:
    """Of the models that serve `feature`, the wait that was worst against its objective at `at`."""
    found: list[tuple[float, Worst]] = []
    for model in frame.models:
        if feature not in model.features:
            continue
        for tier in model.tiers:
            before = history.value_at(model.name, tier, at)
            if before != GAP:
                found.append((before / (model.objectives.get(tier) or 1.0), Worst(model.name, tier, before)))
    return max(found)[1] if found else None


def _cell(event: Event, frame: Frame) -> Throttle | None:
    """The cell that the event is about, as long as that was the last anybody did to it."""
    if event.kind not in (EventKind.THROTTLE, EventKind.ACTION):
        return None
    for one in frame.throttles:
        if event.subject == f"{one.feature}/{one.tier}" and one.last_change is not None:
            change = one.last_change
            same = abs(change.at - event.at) < SAME_S and event.actor.startswith(change.actor)
            return one if same else None
    return None


def _undo(event: Event, cell: Throttle, frame: Frame, now: float) -> str:
    """For the caller's own actions alone; without an end, the time is not told."""
    if not _is_own(event, frame):
        return ""
    left = left_s(cell, now)
    return "undo" if left is None else f"undo {duration(left)}" if left > 0 else ""
