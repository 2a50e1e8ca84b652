"""What the panels of the fleet screen show. Imported with the first source, after the first paint."""

import time
from typing import TYPE_CHECKING, NamedTuple

from collectors.fleet import Event, Frame
from collectors.readings import NEVER
from tui.effects import OWN_S, After, Effects, last_own
from tui.format import GLYPHS, Glyphs, fit
from tui.screens.hints import text_line
from tui.screens.layout import Rows, Wants, panel_rows
from tui.screens.model_page import ModelPage, banner, undo_key
from tui.three_states import parted_features, plane_time
from tui.widgets.badges import writes_badge
from tui.widgets.fleet_row import RowCache, alerts_by_model, alerts_of, severity_of
from tui.widgets.fleet_table import FEATURE, FleetView, fleet_lines
from tui.widgets.freshness import header_lines, note_lines
from tui.widgets.heat_map import HeatCache, heat_height, heat_lines
from tui.widgets.lines import Cell, Line
from tui.widgets.timeline import alert_lines, event_line, event_lines

if TYPE_CHECKING:
    from tui.app import CockpitApp
    from tui.screens.fleet import FleetScreen

NOTES_MOST = 3
"""Most lines for what is to be said about the fleet and its sources; the status line has the worst anyway."""

ALL = 10_000
"""More lines than any list has: asks a builder for all of it."""


class Drawn(NamedTuple):
    """Lines of each panel, and the rows each gets."""

    rows: Rows
    header: tuple[Line, ...]
    fleet: tuple[Line, ...]
    pinned: int
    heat: tuple[Line, ...]
    alerts: tuple[Line, ...]
    events: tuple[Line, ...]
    own: tuple[Line, ...]
    notes: tuple[Line, ...]
    replay: tuple[Line, ...]
    status: tuple[Line, ...]


def _pinned(lines: tuple[Line, ...]) -> tuple[int, tuple[Line, ...]]:
    """The table with what was promised right below its heading, and how many lines do not scroll.

    Where the models fill the screen, the objectives below them would be out of sight (D4).
    """
    for place, line in enumerate(lines):
        if place and not line.id and line.text.startswith("   SLO"):
            return 2, (lines[0], line, *lines[1:place], *lines[place + 1 :])
    return 1, lines


def _first_notes(notes: tuple[Line, ...], rows: int, width: int, glyphs: Glyphs) -> tuple[Line, ...]:
    """As many notes as there are rows, the last of them counting those left out (D13)."""
    if rows == 0 or len(notes) <= rows:
        return notes
    left = f"  (+{len(notes) - rows} more)"
    last = fit(notes[rows - 1].text.rstrip(), width - len(left), glyphs).rstrip() + left
    role = next((cell.role for cell in notes[rows - 1].cells if cell.text.strip()), "muted")
    return (*notes[: rows - 1], Line((Cell(fit(last, width, glyphs), role),)))


def _rows(width: int, height: int, wants: Wants, own: tuple[Line, ...], events: tuple[Line, ...]) -> Rows:
    """The rows of each panel; the own last action has one where the events do not show it."""
    rows = panel_rows(width, height, wants)
    if not own or own[0] in events[: rows.events]:
        return rows
    return panel_rows(width, height, wants._replace(own=1))


def _heat(
    frame: Frame, page: int, width: int, rows: int, glyphs: Glyphs, cache: HeatCache
) -> tuple[Line, ...]:
    queued = frozenset(m.name for m in frame.models if m.reading("waiting").estimate)
    there, slices = (frame.totals.get(signal, NEVER).estimate for signal in ("accelerators", "slices"))
    return heat_lines(frame.nodes, width, rows, glyphs, page, queued, cache, there, slices or 0)


class FleetPanels:
    """Draws the panels, and keeps what the next frame can use again."""

    def __init__(self) -> None:
        self._row_cache: RowCache = {}
        self._heat_cache: HeatCache = {}
        self._order: tuple[str, ...] = ()
        self._page = ModelPage()
        self._effects = Effects()
        self._parted: tuple[Frame | None, frozenset[str]] = (None, frozenset())

    def view(self, sort: str, reverse: bool, text: str, is_still: bool) -> FleetView:
        """How the operator wants the table; while `is_still`, rows keep the order they had."""
        return FleetView(sort, reverse, text, self._order if is_still else ())

    def drawn(
        self, fleet_screen: "FleetScreen", view: FleetView, heat_page: int, width: int, height: int
    ) -> Drawn:
        """Every panel for a terminal of `width` x `height` cells. The application has a frame."""
        app = fleet_screen.cockpit
        frame = app.frame
        assert frame is not None, "drawn before the first frame"
        glyphs = GLYPHS[app.glyphs]
        now = plane_time(frame, app.now, time.time())
        writes = writes_badge(app.armed_text)
        header = (*header_lines(frame, width, glyphs, writes=writes), *banner(app, frame, width))
        parted = self._parted_of(frame, now)
        table = fleet_lines(frame, app.history, view, width, glyphs, self._row_cache, parted)
        pinned, fleet = _pinned(table)
        models = {model.name for model in frame.models}
        self._order = tuple(line.id for line in fleet if line.id in models)
        key = undo_key(app)

        def after(event: Event) -> After:
            return self._effects.of(event, frame, app.history, now, glyphs)

        events = event_lines(app.history.events, width, ALL, glyphs, after=after, undo_key=key)
        last = last_own(app.history.events, frame)
        own: tuple[Line, ...] = ()
        if last is not None and ((followed := after(last)).undo or now - last.at <= OWN_S):
            own = (event_line(last, width, glyphs, followed, key),)
        is_quiet = len(events) == 1
        recorder = app.recorder.state if app.recorder is not None and app.replaying is None else None
        notes = note_lines(frame, width, glyphs, recorder)
        wants = Wants(
            header=len(header),
            fleet=len(fleet),
            heat=heat_height(frame.nodes, width),
            alerts=1 + len(frame.alerts),
            events=len(events) + is_quiet,
            notes=min(len(notes), NOTES_MOST),
            replay=app.replaying.rows(height) if app.replaying is not None else 0,
        )
        since = "recorded up to here" if app.replaying is not None else "since the screen was opened"
        quiet = (text_line(f"   nothing {since}", width, role="muted"),) * is_quiet
        rows = _rows(width, height, wants, own, events)
        heat = _heat(frame, heat_page, width, rows.heat, glyphs, self._heat_cache)
        if len(heat) < rows.heat:
            # A coarser cell was enough: its rows go to others.
            rows = _rows(width, height, wants._replace(heat=len(heat)), own, events)
        return Drawn(
            rows=rows,
            header=header,
            fleet=fleet,
            pinned=pinned,
            heat=heat,
            alerts=alert_lines(frame, width, rows.alerts, glyphs),
            events=events + quiet if rows.events else (),
            own=own if rows.own else (),
            notes=_first_notes(notes, rows.notes, width, glyphs),
            replay=app.replaying.lines(width, rows.replay) if app.replaying and rows.replay else (),
            status=(fleet_screen.status(width, self._sorted(frame, view)),) if rows.status else (),
        )

    def detail(self, app: "CockpitApp", name: str, width: int) -> tuple[Line, ...]:
        """The page of a row by its id, `width` cells wide, with a rule down its left side."""
        if name.startswith(FEATURE):
            header, lines = self._page.feature(app, name.removeprefix(FEATURE), width - 2, alone=False)
        else:
            header, lines = self._page.lines(app, name, width - 2, alone=False)
        rule = Cell(f"{GLYPHS[app.glyphs].column} ", "muted")
        return tuple(Line((rule, *line.cells)) for line in (*header, *lines))

    def marked(self, frame: Frame) -> frozenset[str]:
        """Names of the models whose row has a mark."""
        alerts = alerts_by_model(frame)
        return frozenset(m.name for m in frame.models if severity_of(m, alerts_of(m, alerts)))

    def _parted_of(self, frame: Frame, now: float) -> frozenset[str]:
        """As `parted_features`, once a frame: keys draw the same frame again and again."""
        if self._parted[0] is not frame:
            self._parted = frame, parted_features(frame, now)
        return self._parted[1]

    def _sorted(self, frame: Frame, view: FleetView) -> str:
        """For the status line: the sort, and what the filter leaves of the fleet (D13)."""
        sort = f"{view.sort} reversed" if view.reverse else view.sort
        return f"{sort}  /{view.filter} {len(self._order)} of {len(frame.models)}" if view.filter else sort
