"""Every alert, the first one on top: what it says, since when, who told it, who silenced it until when."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING

from textual.app import ComposeResult

from collectors.fleet import Alert, Frame, Severity
from tui.format import GLYPHS, UNICODE, Glyphs, age, clock, fit, said, width_of
from tui.screens.base import Selection
from tui.screens.hints import Hint
from tui.screens.lists import ListScreen
from tui.screens.panel import Panel
from tui.screens.readings import wrapped
from tui.screens.selecting import selected_alert
from tui.widgets.badges import writes_badge
from tui.widgets.freshness import header_lines
from tui.widgets.lines import Cell, Line, LineView, line_of
from tui.widgets.timeline import RATE_S

if TYPE_CHECKING:
    from collectors.sessions import View

CLOCK_FROM, SOURCE_FROM, NAME_FROM = 80, 100, 120
"""Widths from which a row has the time it began, who told it, and what its rule is called."""

DETAIL_FROM = 16
"""Height from which the selected alert stands in full below the list."""

DETAIL_LEAST, DETAIL_MOST = 4, 14
LABEL = 9
"""Columns for what a line of the detail is about."""

DAY_S = 86_400.0

_ROLES = {Severity.P1: "p1", Severity.P2: "p2", Severity.P3: "p3"}


def first_out(alerts: Sequence[Alert]) -> list[Alert]:
    """The oldest first, of one moment the worst; those that are silenced last (D7, D8)."""
    return sorted(alerts, key=lambda a: (a.silenced_until is not None, a.since, a.severity, a.id))


def counted(alerts: Sequence[Alert]) -> str:
    """How many there are, and how many of them are silenced: `3 alerts, 1 silenced`."""
    number = len(alerts)
    silenced = sum(a.silenced_until is not None for a in alerts)
    told = "no alerts" if not number else f"{number} alert{'s' if number > 1 else ''}"
    return f"{told}, {silenced} silenced" if silenced else told


def alert_list(frame: Frame, width: int, glyphs: Glyphs = UNICODE, filter: str = "") -> tuple[Line, ...]:
    """A heading that counts all alerts, whatever the filter leaves (D8), then a line for each, by its id.

    filter: part of what a line says, whatever the case; empty shows all
    """
    wanted = filter.casefold()
    shown = [a for a in first_out(frame.alerts) if not wanted or wanted in _words(a).casefold()]
    model_width = min(max((width_of(_where(a)) for a in shown), default=0), max(12, width // 4))
    source_width = min(max((width_of(a.source) for a in shown), default=0), 16) if width >= SOURCE_FROM else 0
    widths = (model_width, source_width)
    lines = [
        _alert_line(a, age(frame.at - a.since), _silence(a, frame.at), widths, width, glyphs) for a in shown
    ]
    if not lines:
        text = "no alert matches the filter" if frame.alerts else _calm(frame)
        lines = [line_of((Cell(fit(f"   {text}", width, glyphs), "muted"),), width, glyphs=glyphs)]
    return (_heading(frame, len(shown), filter, width, glyphs), *lines)


def detail_lines(alert: Alert | None, frame: Frame, width: int, rows: int, glyphs: Glyphs) -> list[Line]:
    """A rule, then the alert in full, in at most `rows` lines (>= 1): what comes first matters most, and the
    last line ends in an ellipsis where something does not fit."""
    lines = [line_of((Cell(fit(glyphs.rule * width, width, glyphs), "muted"),), width, glyphs=glyphs)]
    room = max(rows - 1, 0)
    if alert is None or not room:
        return lines
    parts = [
        Cell(fit(f"   {part}", width, glyphs), role)
        for label, text, role in _detail(alert, frame.at)
        for part in _labelled(label, said(text, glyphs), width - 4)
    ]
    if len(parts) > room:
        text, role = parts[room - 1]
        cut = text.rstrip()[: max(width - 3 - len(glyphs.ellipsis), 0)]
        parts = [*parts[: room - 1], Cell(fit(f"{cut} {glyphs.ellipsis}", width, glyphs), role)]
    return lines + [line_of((part,), width, glyphs=glyphs) for part in parts]


def _detail(alert: Alert, now: float) -> Iterator[tuple[str, str, str]]:
    """What there is to say of an alert, the most wanted first: (label, text, role)."""
    severity = alert.labels.get("severity", "")
    if alert.name:
        yield "", f"{alert.name} (severity {severity})" if severity else alert.name, "title"
    yield "", alert.summary, "text"
    if alert.silenced_until is not None:
        by = f" by {alert.silenced_by}" if alert.silenced_by else ""
        yield "", f"silenced {_until(alert.silenced_until, now)}{by}", "text"
    yield "", f"since {clock(alert.since)} ({age(now - alert.since)}), told by {alert.source}", "text"
    if alert.runbook:
        yield "runbook", alert.runbook, "text"
    rest = {name: value for name, value in alert.labels.items() if name not in ("alertname", "severity")}
    if rest:
        yield "labels", ", ".join(f"{name}={value}" for name, value in sorted(rest.items())), "muted"
    if alert.link:
        yield "graph", alert.link, "muted"
    if alert.description:
        yield "", alert.description, "text"


def _labelled(label: str, text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` cells, below each other right of its label."""
    indent = LABEL if label and width > 2 * LABEL else 0
    first, *more = wrapped(text, max(width - indent, 2))
    return [f"{label:<{indent}}{first}" if indent else first, *(f"{'':{indent}}{line}" for line in more)]


def _detail_rows(height: int) -> int:
    """Lines for the selected alert: a third of the screen, so that the list stays the larger part."""
    return min(max(height // 3, DETAIL_LEAST), DETAIL_MOST) if height >= DETAIL_FROM else 0


def _words(alert: Alert) -> str:
    told = (alert.severity, alert.model, alert.tier, alert.summary, alert.source, alert.silenced_by)
    return " ".join((*told, alert.name, *(f"{name}={value}" for name, value in alert.labels.items())))


def _where(alert: Alert) -> str:
    return f"{alert.model} {alert.tier}".strip()


def _calm(frame: Frame) -> str:
    """Why there is none: calm is told of those who were asked."""
    if any(source.kind == "alerts" for source in frame.sources):
        return "nothing alerts"
    return "nothing alerts by tidegate's own rules; no Prometheus and no Alertmanager is asked for theirs"


def _heading(frame: Frame, shown: int, filter: str, width: int, glyphs: Glyphs) -> Line:
    parts = [counted(frame.alerts)]
    if filter:
        parts.append(f"/{filter} {shown} of {len(frame.alerts)}")
    recent = sum(a.silenced_until is None and frame.at - a.since <= RATE_S for a in frame.alerts)
    parts.append(f"{recent} in 10 min" if width < SOURCE_FROM else f"{recent} in 10 min (aim 1, flood > 10)")
    if frame.alerts:
        parts.append("first-out on top")
    title = f"{glyphs.rule} {f' {glyphs.nothing} '.join(parts)} "
    text = fit(title + glyphs.rule * max(0, width - width_of(title)), width, glyphs)
    return line_of((Cell(text, "muted"),), width, glyphs=glyphs)


@lru_cache(maxsize=4096)
def _alert_line(
    alert: Alert, ago: str, silence: str, widths: tuple[int, int], width: int, glyphs: Glyphs
) -> Line:
    """The same object while nothing of it changes, so that the list can tell at a glance."""
    model_width, source_width = widths
    is_silenced = alert.silenced_until is not None
    mark = {Severity.P1: glyphs.p1, Severity.P2: glyphs.p2, Severity.P3: glyphs.p3}[alert.severity]
    role = "muted" if is_silenced else "text"
    head = [
        Cell(" "),
        Cell(glyphs.shelved, "shelved") if is_silenced else Cell(mark, _ROLES[alert.severity]),
        Cell(f" {alert.severity.value} ", role),
        Cell(f"{clock(alert.since)} " if width >= CLOCK_FROM else "", role),
        Cell(f"{fit(ago, 4, glyphs, right=True)} ", role),
        Cell(f"{fit(_where(alert), model_width, glyphs)} " if model_width else "", role),
    ]
    source = f" {fit(alert.source, source_width, glyphs)}" if source_width else ""
    room = width - sum(width_of(cell.text) for cell in head) - width_of(source)
    silence = said(silence, glyphs)
    # The silence must be seen, but not in place of what is silenced.
    silence = fit(silence, min(width_of(silence), room // 2), glyphs)
    text = fit(
        said(_named(alert) if width >= NAME_FROM else alert.summary, glyphs), room - width_of(silence), glyphs
    )
    return line_of(
        (*head, Cell(text, role), Cell(silence, "muted"), Cell(source, "muted")), width, alert.id, glyphs
    )


def _named(alert: Alert) -> str:
    """The summary behind the name of its rule; where a rule says nothing, its name is there already."""
    if not alert.name or alert.summary.removeprefix("last known: ").startswith(alert.name):
        return alert.summary
    return f"{alert.name}: {alert.summary}"


def _silence(alert: Alert, now: float) -> str:
    if alert.silenced_until is None:
        return ""
    by = f", {alert.silenced_by}" if alert.silenced_by else ""
    return f"  {_until(alert.silenced_until, now)}{by}"


def _until(until: float, now: float) -> str:
    """The end of a silence: the time of day within a day of now, else the date (UTC)."""
    if not isfinite(until):
        return "until nobody says when"
    form = "%H:%MZ" if abs(until - now) < DAY_S else "%Y-%m-%d"
    return f"until {time.strftime(form, time.gmtime(until))}"


class AlertsScreen(ListScreen):
    """All alerts as a list. Enter opens the model and tier that one names; esc returns to its row."""

    NAME = "alerts"
    HINTS: Sequence[Hint] = (
        ("open", "open"),
        ("back", "back"),
        ("throttle.edit", "throttle"),
        ("stage.advance", "advance"),
        ("stage.pause", "pause"),
        ("undo", "undo"),
        ("arm", "arm"),
        ("help", "help"),
        ("filter", "filter"),
        ("stage.back_out", "back out"),
        ("quit", "quit"),
        ("move.down", "down"),
        ("freeze", "freeze"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._wanted = ""

    def compose(self) -> ComposeResult:
        """The fleet in numbers, the list, the selected alert in full, hints, and how fresh all that is."""
        pointer = "›" if self.cockpit.glyphs == "unicode" else ">"
        yield Panel("header")
        yield Panel("list", cursor=True, pointer=pointer, active=True)
        yield Panel("detail")
        yield Panel("hints")
        yield Panel("status")

    def doing(self) -> Mapping[str, Callable[[], None]]:
        """Moving, opening, filtering, going back."""
        return {
            **self.moving(self._panel("list")),
            "open": lambda: self._open(self._panel("list").cursor_id),
            "back": lambda: None if self.drop_filter() else self.leave(),
            "filter": self.type_filter,
            "alert.first": self.open_first_alert,
            "alert.list": self.leave,
        }

    def selected(self) -> Selection:
        """The model and tier that the alert under the cursor names."""
        frame = self.cockpit.frame
        return Selection() if frame is None else selected_alert(frame, self._panel("list").cursor_id)

    def view(self) -> "View":
        """The list as it is filtered, and the alert under the cursor."""
        cursor = self._panel("list").cursor_id if self.has_panels else self._wanted
        return replace(super().view(), cursor=cursor)

    def look(self, view: "View") -> None:
        """The filter and the alert that somebody else had."""
        super().look(view)
        self._wanted = view.cursor

    def draw(self) -> None:
        """The list from the application's frame; only what changed is painted."""
        frame = self.cockpit.frame
        if not self.has_panels or frame is None:
            return
        width, height = self.app.size
        glyphs = GLYPHS[self.cockpit.glyphs]
        rows = {"header": 1 if height >= 3 else 0, "hints": 1 if height >= 5 else 0}
        rows["status"] = 1 if height >= 4 else 0
        rows["detail"] = _detail_rows(height)
        rows["list"] = height - sum(rows.values())
        for name, count in rows.items():
            self._panel(name).set_rows(count)
        writes = writes_badge(self.cockpit.armed_text)
        self._panel("header").show(header_lines(frame, width, glyphs, writes=writes)[:1])
        self._panel("list").show(alert_list(frame, width, glyphs, self._filter), header=1)
        if self._wanted and self._panel("list").go_to(self._wanted):
            self._wanted = ""
        self.draw_status()
        self._draw_detail()
        self.draw_bottom()

    def beyond(self) -> str:
        """How much of the list is scrolled away."""
        return self._panel("list").beyond()

    def on_line_view_selected(self, message: LineView.Selected) -> None:
        """A click on the row that has the cursor opens it."""
        message.stop()
        self._open(message.id)
        self.looked()

    def on_line_view_moved(self, message: LineView.Moved) -> None:
        """Another row has the cursor: what stands below follows it."""
        message.stop()
        self._draw_detail()
        self.draw_bottom()

    def _panel(self, name: str) -> Panel:
        return self.query_one(f"#{name}", Panel)

    def _alert(self, id: str) -> Alert | None:
        frame = self.cockpit.frame
        return next((a for a in frame.alerts if a.id == id), None) if frame else None

    def _draw_detail(self) -> None:
        frame = self.cockpit.frame
        if frame is None or not self.has_panels:
            return
        width, height = self.app.size
        alert, glyphs = self._alert(self._panel("list").cursor_id), GLYPHS[self.cockpit.glyphs]
        self._panel("detail").show(detail_lines(alert, frame, width, _detail_rows(height), glyphs))

    def _open(self, id: str) -> None:
        alert = self._alert(id)
        if alert is None:
            self.say("nothing to open here")
        elif not alert.model:
            self.say("this alert names no model, so there is no page to open")
        else:
            self.open_model(alert.model, alert.tier)
