"""How many rows each panel of the fleet screen gets: the proportions of the mock-ups, at any size."""

from typing import NamedTuple

SMALL_WIDTH, SMALL_HEIGHT = 80, 24
"""Below either, only the fleet table and what tells of trouble is kept (T1)."""

EVENTS_HEIGHT = 32
"""From this height on, events have rows of their own; below, they get what is spare."""


class Wants(NamedTuple):
    """Rows each panel would fill, its heading included; 0 for a panel with nothing to show.

    own: the caller's own last action, where the events do not show it
    replay: what tells of a replay; it stands where else the status does
    """

    header: int
    fleet: int
    heat: int = 0
    alerts: int = 0
    events: int = 0
    notes: int = 0
    own: int = 0
    replay: int = 0


class Rows(NamedTuple):
    """Rows each panel gets, from top to bottom; 0 hides it. They add up to the height of the screen."""

    header: int
    fleet: int
    heat: int
    alerts: int
    events: int
    own: int
    notes: int
    replay: int
    hints: int
    status: int


def panel_rows(width: int, height: int, wants: Wants) -> Rows:
    """The rows of every panel in a terminal of `width` x `height` cells, each >= 1.

    The table has what the shares of the others leave. Rows that it does not want go to notes, alerts,
    events, and the heat map, in this order (T4). What is left when all are served stays empty at the bottom.
    """
    is_small = width < SMALL_WIDTH or height < SMALL_HEIGHT
    header = min(wants.header, max(height - 1, 0)) if height >= 3 else 0
    status = 1 if height >= 4 and not wants.replay else 0
    replay = min(wants.replay, max(height - header - 1, 0))
    hints = 1 if height >= 10 else 0
    notes = 0 if is_small else min(wants.notes, max(1, height // 24))
    own = 0 if is_small else wants.own
    free = height - header - status - replay - hints - notes - own
    heat = alerts = events = 0
    if not is_small:
        heat = _panel(min(wants.heat, round(0.28 * free)))
        alerts = _panel(min(wants.alerts, max(3, round(0.14 * free))))
        if height >= EVENTS_HEIGHT:
            events = _panel(min(wants.events, max(3, round(0.1 * free))))
    fleet = min(wants.fleet, free - heat - alerts - events)
    spare = free - fleet - heat - alerts - events
    if not is_small:
        more = min(wants.notes - notes, spare)
        notes, spare = notes + more, spare - more
    alerts, spare = _grown(alerts, wants.alerts, spare)
    events, spare = _grown(events, wants.events, spare)
    if not is_small:
        heat, spare = _grown(heat, wants.heat, spare)
    if events:
        events += spare
    elif alerts:
        alerts += spare
    elif heat:
        heat += spare
    else:
        fleet += spare
    return Rows(header, fleet, heat, alerts, events, own, notes, replay, hints, status)


def _panel(rows: int) -> int:
    """A heading alone is no panel."""
    return rows if rows >= 2 else 0


def _grown(rows: int, wanted: int, spare: int) -> tuple[int, int]:
    """`rows` with as much of `spare` as wanted, and what is left."""
    grown = _panel(rows + min(max(wanted - rows, 0), spare))
    return (grown, spare - (grown - rows)) if grown else (rows, spare)
