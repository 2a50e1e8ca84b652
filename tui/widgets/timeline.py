"""What is wrong and what happened: alerts with the first one on top, events, a strip of marks."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import isfinite
from types import MappingProxyType

from collectors.fleet import Alert, Event, EventKind, Frame, Severity
from tui.effects import NOTHING, After
from tui.format import UNICODE, Glyphs, age, clock, fit, said, width_of
from tui.widgets.lines import Cell, Line, line_of

RATE_S = 600
"""Window of the alarm rate (D9)."""

MARKS: Mapping[EventKind, str] = MappingProxyType(
    {
        EventKind.FAULT: "X",
        EventKind.ALERT: "!",
        EventKind.THROTTLE: "T",
        EventKind.RELEASE: "r",
        EventKind.ACTION: "a",
        EventKind.SOURCE: "~",
        EventKind.CLOCK: "c",
        EventKind.NOTE: "n",
    }
)
"""One letter for each kind of event, those that matter most first: on a strip the first one wins its cell."""

STEP = "s"
"""The letter of a release that went a step."""

LEGEND = "T throttle  s step  r release  X fault  ! alert  ~ source"
"""The letters that tell most, in words."""

_STEPS = ("advance", "retry", "set_weight", "stage ", "register")

ACTED_MOST = 12
"""Newest events of which it is told what followed: more are not on the screen."""

WORDY = 100
"""Cells of width from which the kind of an event is a word."""

ROOMY, SOURCE_MOST = 120, 20
"""Cells of width from which an alert says who told it and who silenced it, and the most for who told it."""

_ROLES = {Severity.P1: "p1", Severity.P2: "p2", Severity.P3: "p3"}


def _nothing_after(event: Event) -> After:
    return NOTHING


def alert_lines(frame: Frame, width: int, height: int, glyphs: Glyphs = UNICODE) -> tuple[Line, ...]:
    """A heading, then alerts by model: the first of each on top, what followed below it (D7); silenced ones
    last, dim, and apart from the count (D8).

    Where not all fit `height`, a model's alerts fold into as many lines as there are rows for, the worst
    models first. Where that is one, it tells of the worst, since the first. What still does not fit is
    counted in the last line (D13). A line's id is its alert's.
    """
    if height < 1:
        return ()
    heading = _alert_heading(frame, width, glyphs)
    groups = _groups([one for one in frame.alerts if one.silenced_until is None])
    groups += _groups([one for one in frame.alerts if one.silenced_until is not None])
    room = height - 1
    spare = max(room - len(groups), 0)
    lines: list[Line] = []
    for group in groups:
        unfolded = min(len(group) - 1, spare)
        spare -= unfolded
        lines += _group_lines(frame, group, 1 + unfolded, width, glyphs)
    if len(lines) > room:
        left = sum(len(group) for group in groups[max(room - 1, 0) :])
        more = line_of((Cell(fit(f"   +{left} more", width, glyphs), "muted"),), width, glyphs=glyphs)
        lines = [*lines[: max(room - 1, 0)], more][:room]
    return (heading, *lines)


def event_lines(
    events: Sequence[Event],
    width: int,
    height: int,
    glyphs: Glyphs = UNICODE,
    *,
    after: Callable[[Event], After] = _nothing_after,
    undo_key: str = "u",
) -> tuple[Line, ...]:
    """A heading, then the newest events that fit `height`, newest first.

    after: what stands behind one of the caller's own actions, and what followed an action; undo_key: its key
    """
    if height < 1:
        return ()
    heading = line_of((Cell(_ruled("EVENTS & AUDIT", width, glyphs), "muted"),), width, glyphs=glyphs)
    newest = sorted(events, key=lambda one: one.at, reverse=True)[: height - 1]
    lines = [
        line
        for number, one in enumerate(newest)
        for line in _event_lines(one, width, glyphs, after(one) if number < ACTED_MOST else NOTHING, undo_key)
    ]
    return (heading, *lines[: height - 1])


def event_line(event: Event, width: int, glyphs: Glyphs, after: After, undo_key: str) -> Line:
    """One event in one line; what followed it only where there is room."""
    return _event_lines(event, width, glyphs, after, undo_key)[0]


def strip_line(
    events: Sequence[Event], at: float, span_s: float, width: int, glyphs: Glyphs = UNICODE
) -> Line:
    """The last `span_s` seconds (> 0) as one cell a span, a letter where something happened; ends now."""
    label, end = f" -{age(span_s)} ", " now"
    room = width - len(label) - len(end)
    if room < 1:
        return line_of((Cell(fit(label, width, glyphs), "muted"),), width, glyphs=glyphs)
    cell_s = span_s / room
    newest = int(at / cell_s)  # cut at fixed times, so that marks do not creep
    ranks = list(MARKS)
    places: dict[int, Event] = {}
    for event in events:
        place = room - 1 - (newest - int(event.at / cell_s))
        if 0 <= place < room and (
            place not in places or ranks.index(event.kind) < ranks.index(places[place].kind)
        ):
            places[place] = event
    text = "".join(mark_of(places[n]) if n in places else glyphs.nothing for n in range(room))
    return line_of((Cell(label, "muted"), Cell(text), Cell(end, "muted")), width, glyphs=glyphs)


def _alert_heading(frame: Frame, width: int, glyphs: Glyphs) -> Line:
    loud = [alert for alert in frame.alerts if alert.silenced_until is None]
    title = f"ALERTS {len(loud)}"
    if silenced := len(frame.alerts) - len(loud):
        title += f" (+{silenced} silenced)"
    if width >= 100:
        recent = sum(frame.at - alert.since <= RATE_S for alert in loud)
        title += f" {glyphs.nothing} rate {recent}/10 min (aim 1, flood > 10)"
    if loud:
        title += f" {glyphs.nothing} first-out on top"
    return line_of((Cell(_ruled(title, width, glyphs), "muted"),), width, glyphs=glyphs)


def _groups(alerts: Sequence[Alert]) -> list[list[Alert]]:
    """Alerts of one model together, oldest first; the worst group first, then the one that began first."""
    found: dict[str, list[Alert]] = {}
    for alert in sorted(alerts, key=lambda one: (one.since, one.id)):
        found.setdefault(alert.model or alert.id, []).append(alert)
    return sorted(found.values(), key=lambda group: (min(one.severity for one in group), group[0].since))


def _group_lines(frame: Frame, group: list[Alert], rows: int, width: int, glyphs: Glyphs) -> list[Line]:
    """`rows` lines, 1 to as many as there are alerts: the first and the worst, in order of time."""
    first, *rest = group
    worst = sorted(rest, key=lambda one: one.severity)[: rows - 1]
    kept = [one for one in group if one is first or one in worst]
    if rows == 1:
        kept = [min(group, key=lambda one: one.severity)]
    return [
        _alert_line(
            frame,
            one,
            width,
            glyphs,
            since=first.since if rows == 1 else one.since,
            folded=len(group) - rows if one is kept[-1] else 0,
            follows=rows > 1 and one is not first,
        )
        for one in kept
    ]


def _alert_line(
    frame: Frame, one: Alert, width: int, glyphs: Glyphs, *, since: float, folded: int, follows: bool
) -> Line:
    mark = {Severity.P1: glyphs.p1, Severity.P2: glyphs.p2, Severity.P3: glyphs.p3}[one.severity]
    role, rest = _ROLES[one.severity], "text"
    if is_silenced := one.silenced_until is not None:
        mark, role, rest = glyphs.shelved, "shelved", "muted"
    name_width = min(max((width_of(a.model) for a in frame.alerts), default=0), max(8, width // 5))
    count = f"  +{folded} folded" if folded else ""
    head = [
        Cell(" "),
        Cell(mark, role),
        Cell(f" {clock(since)} ", rest),
        Cell(fit(age(frame.at - since), 4, glyphs, right=True), rest),
        Cell(f" {glyphs.corner}" if follows else "  ", rest),
        Cell(f"{fit(one.model, name_width, glyphs)} ", rest),
    ]
    used = sum(width_of(cell.text) for cell in head)
    tier = f"{one.tier} " if one.tier else ""
    until = _silence(one, frame.at, width) if is_silenced else ""
    source = ""
    if width >= ROOMY and one.source not in ("", "tidegate"):
        source = f"  {fit(one.source, min(width_of(one.source), SOURCE_MOST), glyphs)}"
    room = max(0, width - used - len(count) - width_of(source))
    text = fit(said(until + tier + one.summary, glyphs), room, glyphs)
    return line_of(
        (*head, Cell(text, rest), Cell(count, "muted"), Cell(source, "muted")), width, one.id, glyphs
    )


def _silence(alert: Alert, now: float, width: int) -> str:
    """For how much longer it is silenced, and by whom where there is room."""
    left = (alert.silenced_until or now) - now
    more = f" {age(left)} more" if isfinite(left) else ""
    by = f" by {alert.silenced_by}" if alert.silenced_by and width >= ROOMY else ""
    return f"silenced{more}{by}: "


@lru_cache(maxsize=1024)
def _event_lines(event: Event, width: int, glyphs: Glyphs, after: After, undo_key: str) -> tuple[Line, ...]:
    """Who did what, then why; at the end what undoes it; what followed, below where it has no room."""
    actor = _actor(event.actor, 8 if width < ROOMY else 12, glyphs)
    subject = _subject(event.subject, min(32, max(10, width // 5)), glyphs)
    kind = f"{event.kind:<8}" if width >= WORDY else mark_of(event)
    head = f" {clock(event.at)} {actor} {kind} {subject} "
    undo = f"{undo_key} {after.undo}" if after.undo else ""
    effect = said(after.effect, glyphs)
    room = max(0, width - width_of(head) - (width_of(undo) + 2 if undo else 0))
    text = said(event.text, glyphs)
    is_inline = bool(effect) and width_of(text) + 2 + width_of(effect) <= room
    role = "fault" if event.kind is EventKind.FAULT else "text"
    told = Cell(fit(text, width_of(text) if is_inline else room, glyphs), role)
    cells = [Cell(head), told, Cell(f"  {effect}" if is_inline else "", "muted")]
    if undo:
        gap = width - sum(width_of(cell.text) for cell in cells) - width_of(undo)
        cells += [Cell(" " * max(gap, 1)), Cell(undo, "key")]
    line = line_of(cells, width, glyphs=glyphs)
    if not effect or is_inline:
        return (line,)
    indent = " " * min(10, width // 8)
    below = fit(f"{indent}{glyphs.corner} {effect}", width, glyphs)
    return line, line_of((Cell(below, "muted"),), width, glyphs=glyphs)


def _subject(subject: str, width: int, glyphs: Glyphs) -> str:
    """What it was done to, in `width` cells; of a cell without room, the feature gives way to the tier."""
    head, slash, tier = subject.rpartition("/")
    room = width - width_of(tier) - 1
    if width_of(subject) <= width or not slash or room < 4:
        return fit(subject, width, glyphs)
    return f"{fit(head, room, glyphs)}/{tier}"


def _actor(actor: str, width: int, glyphs: Glyphs) -> str:
    """A name in `width` cells; of an address that has no room, what is before the `@`."""
    return fit(actor if width_of(actor) <= width else actor.partition("@")[0] or actor, width, glyphs)


def mark_of(event: Event) -> str:
    """The letter of an event: of its kind, but `s` for a release that went a step."""
    is_step = event.kind is EventKind.RELEASE and event.text.startswith(_STEPS)
    return STEP if is_step else MARKS[event.kind]


def _ruled(title: str, width: int, glyphs: Glyphs) -> str:
    line = f"{glyphs.rule} {title} "
    return fit(line + glyphs.rule * max(0, width - width_of(line)), width, glyphs)
