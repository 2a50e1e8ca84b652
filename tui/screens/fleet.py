"""The fleet: every model on one screen, the heat map, what alerts, and what happened."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from tui.screens.base import FAR, Selection
from tui.screens.lists import ListScreen

if TYPE_CHECKING:
    from collectors.sessions import View
    from tui.screens.fleet_panels import FleetPanels
    from tui.screens.hints import Hint
    from tui.screens.layout import Rows
    from tui.screens.panel import Panel
    from tui.screens.replay_panel import ReplayPanel
    from tui.widgets.lines import LineView

STILL_S = 2.0
"""Seconds after a key in which no row changes its place (D12)."""

DETAIL_FROM = 280
"""From this width on, the page of the selected model stands beside the fleet."""

PANELS = ("fleet", "alerts", "events")
"""What tab goes round."""

HINTS: "tuple[Hint, ...]" = (
    ("open", "open"),
    ("throttle.edit", "throttle"),
    ("stage.advance", "advance"),
    ("stage.pause", "pause"),
    ("undo", "undo"),
    ("help", "help"),
    ("arm", "arm"),
    ("alert.list", "alerts"),
    ("quit", "quit"),
    ("stage.back_out", "back out"),
    ("filter", "filter"),
    ("sort.next", "sort"),
    ("alert.first", "worst alert"),
    ("hit.next", "next mark"),
    ("freeze", "freeze"),
    ("panel.next", "panel"),
    ("heat.next", "heat page"),
)


def detail_width(width: int) -> int:
    """Cells for the model's page beside the fleet in a terminal of `width` cells; 0 below the widest tier."""
    return 100 if width >= DETAIL_FROM else 0


class FleetScreen(ListScreen):
    """Header, table, heat map, alerts, events, hints and status, in the proportions of `layout`."""

    NAME = "fleet"
    HINTS = HINTS

    def __init__(self) -> None:
        super().__init__()
        self._sort = "name"
        self._is_reversed = False
        self._heat_page = 0
        self._active = "fleet"
        self._key_at = -STILL_S
        self._is_chosen = False
        self._wanted = ""
        self._panels: FleetPanels | None = None
        self._shown: dict[str, Panel] = {}

    def compose(self) -> ComposeResult:
        """Before the first frame, plain text: what draws frames takes longer to import than to wait for."""
        yield Static(id="skeleton", markup=False)

    def panel(self, name: str) -> "Panel":
        """One of the panels by name."""
        return self._shown[name]

    def doing(self) -> Mapping[str, Callable[[], None]]:
        """Moving in the active panel, opening, filter, sort, pages of the heat map."""
        doing: dict[str, Callable[[], None]] = {
            "move.down": lambda: self._move(1),
            "move.up": lambda: self._move(-1),
            "move.page_down": lambda: self._move_page(1),
            "move.page_up": lambda: self._move_page(-1),
            "move.top": lambda: self._move(-FAR),
            "move.bottom": lambda: self._move(FAR),
            "open": lambda: self._open(self._active, self.panel(self._active).cursor_id),
            "back": self._clear,
            "filter": self._type,
            "hit.next": lambda: self._hit(1),
            "hit.previous": lambda: self._hit(-1),
            "alert.first": self.open_first_alert,
            "sort.next": self._sort_next,
            "sort.reverse": self._sort_reverse,
            "panel.next": lambda: self._turn_panel(1),
            "panel.previous": lambda: self._turn_panel(-1),
            "heat.next": lambda: self._turn_heat(1),
            "heat.previous": lambda: self._turn_heat(-1),
        }
        if not self._shown:
            return dict.fromkeys(doing, lambda: self.say("nothing to show yet: waiting for the first frame"))
        return doing

    def selected(self) -> Selection:
        """The model or feature under the cursor; in the alerts, what the alert names."""
        frame = self.cockpit.frame
        if frame is None or not self._shown or self._active == "events":
            return Selection()
        from tui.screens.selecting import selected_alert, selected_feature, selected_model
        from tui.widgets.fleet_table import FEATURE

        id = self.panel(self._active).cursor_id
        if self._active == "alerts":
            return selected_alert(frame, id)
        if id.startswith(FEATURE):
            return selected_feature(frame, id.removeprefix(FEATURE))
        return selected_model(frame, id) if id else Selection()

    def draw(self) -> None:
        """Every panel from the application's frame; before the first one, a skeleton that says so."""
        if not self.has_panels:
            return
        if self.cockpit.frame is None:
            self._draw_skeleton()
            return
        if self._panels is None:
            self._panels = self._mount_panels()
        width, height = self.app.size
        width -= detail_width(width)
        is_still = time.monotonic() - self._key_at < STILL_S
        view = self._panels.view(self._sort, self._is_reversed, self._filter, is_still)
        drawn = self._panels.drawn(self, view, self._heat_page, width, height)
        self._lay_out(drawn.rows)
        self.panel("header").show(drawn.header)
        self.panel("fleet").show(drawn.fleet, header=drawn.pinned)
        self._stay_on_top()
        self.panel("heat").show(drawn.heat)
        self.panel("alerts").show(drawn.alerts, header=1)
        self.panel("events").show(drawn.events, header=1)
        self.panel("own").show(drawn.own)
        self.panel("notes").show(drawn.notes)
        self.panel("replay").show(drawn.replay)
        self.panel("status").show(drawn.status)
        self._go_to_wanted()
        self._draw_detail()
        self.draw_bottom()

    def draw_below(self) -> bool:
        """Under a dialog, live, and no row changes its place (S7)."""
        self._key_at = time.monotonic()
        self.draw()
        return True

    def draw_bottom(self) -> None:
        """The bottom line; before the first frame, the skeleton has it."""
        if not self._shown:
            self.draw()
            return
        self.panel("hints").show((self.bottom_line(self.app.size.width - detail_width(self.app.size.width)),))

    def draw_status(self) -> None:
        """Where the replay stands, alone; live, the line is drawn with the rest."""
        replaying = self.cockpit.replaying
        if self._shown and replaying is not None and (lines := self.panel("replay").lines):
            width = self.app.size.width - detail_width(self.app.size.width)
            self.panel("replay").show(replaying.lines(width, len(lines)))

    def view(self) -> "View":
        """The table as it is sorted and filtered, and where the cursor is."""
        cursor = self.panel(self._active).cursor_id if self._shown else self._wanted
        return replace(
            super().view(),
            cursor=cursor,
            panel=self._active,
            sort=self._sort,
            is_reversed=self._is_reversed,
            heat_page=self._heat_page,
        )

    def look(self, view: "View") -> None:
        """Sort, filter, page and cursor as somebody else had them; what is not known here stays."""
        from tui.widgets.fleet_table import SORTS

        super().look(view)
        self._sort = view.sort if view.sort in SORTS else self._sort
        self._is_reversed, self._heat_page = view.is_reversed, view.heat_page
        self._key_at = -STILL_S
        self._wanted = view.cursor
        panel = view.panel if view.panel in PANELS else "fleet"
        if self._shown:
            self._set_active(panel)
        self._active = panel

    def beyond(self) -> str:
        """How much of the table is scrolled away."""
        return self.panel("fleet").beyond()

    def takes_text(self, key: str, character: str | None) -> bool:
        """Text for the filter while it is typed; whatever the key, rows keep their places for a while."""
        self._key_at = time.monotonic()
        return super().takes_text(key, character)

    def on_line_view_selected(self, message: "LineView.Selected") -> None:
        """A click on a row that has the cursor opens it."""
        message.stop()
        self._open(str(message.view.id), message.id)
        self.looked()

    def on_replay_panel_sought(self, message: "ReplayPanel.Sought") -> None:
        """A click on a lane of a replay goes to the time below it."""
        message.stop()
        if (replaying := self.cockpit.replaying) is not None:
            width = self.app.size.width
            replaying.seek_column(message.x, width - detail_width(width), message.rows)

    def on_line_view_moved(self, message: "LineView.Moved") -> None:
        """Another row has the cursor: the detail follows it, and so does what is said to be scrolled away."""
        message.stop()
        if message.view.id == "fleet":
            self._draw_detail()
            self.draw_bottom()

    def on_panel_pressed(self, message: "Panel.Pressed") -> None:
        """The keys follow the mouse into a panel."""
        message.stop()
        if message.panel.id in PANELS:
            self._set_active(message.panel.id)
            self._choose()
            self.looked()

    def _draw_skeleton(self) -> None:
        app = self.cockpit
        heading = f"tidegate  {app.context}".rstrip()
        waiting = f"connecting to {app.context}" if app.context else "connecting"
        told = app.sentence if app.in_trouble else f"{waiting} ..."
        below = self.answer or "q quits"
        text = Content("\n").join(
            (
                Content.styled(heading, "bold"),
                Content(""),
                Content.styled("   MODEL", "dim"),
                Content(f"   {told}"),
                Content(""),
                Content.styled(f"   {below}", "dim"),
            )
        )
        self.query_one("#skeleton", Static).update(text)

    def _mount_panels(self) -> "FleetPanels":
        """Panels in place of the skeleton; none takes the keyboard's focus: the screen reads the keys."""
        from tui.screens.fleet_panels import FleetPanels
        from tui.screens.layout import Rows
        from tui.screens.panel import Panel
        from tui.screens.replay_panel import ReplayPanel

        pointer = "›" if self.cockpit.glyphs == "unicode" else ">"
        for name in ("detail", *Rows._fields):
            is_list = name in ("fleet", "alerts")
            kind = ReplayPanel if name == "replay" else Panel
            self._shown[name] = kind(name, cursor=is_list, pointer=pointer, active=name == self._active)
        self._shown["detail"].styles.dock = "right"
        self.query_one("#skeleton").display = False
        self.mount_all(self._shown.values())
        return FleetPanels()

    def _stay_on_top(self) -> None:
        """Until somebody chooses a row, the first one is selected, whichever source answers first."""
        table = self.panel("fleet")
        first = next((line.id for line in table.lines if line.id), "")
        if not self._is_chosen and table.cursor_id != first:
            table.go_to(first)

    def _go_to_wanted(self) -> None:
        """The row that somebody else had the cursor on, once it is there."""
        if self._wanted and self._active != "events" and self.panel(self._active).go_to(self._wanted):
            self._is_chosen, self._wanted = True, ""

    def _draw_detail(self) -> None:
        """On a very wide screen, the page of the model under the cursor beside the fleet."""
        width, height = self.app.size
        detail, wide = self._shown["detail"], detail_width(width)
        detail.display = wide > 0
        name = self.panel("fleet").cursor_id
        if not wide or self._panels is None:
            return
        detail.styles.width, detail.styles.height = wide, height
        detail.show(self._panels.detail(self.cockpit, name, wide))

    def _lay_out(self, rows: "Rows") -> None:
        for name, count in rows._asdict().items():
            self.panel(name).set_rows(count)
        if not getattr(rows, self._active):
            self._set_active("fleet")

    def _choose(self) -> None:
        """From now on the selection follows its row (D12)."""
        self._is_chosen = self._is_chosen or self._active == "fleet"

    def _move(self, by: int) -> None:
        self._choose()
        panel = self.panel(self._active)
        if self._active == "events":
            panel.scroll_lines(by)
        else:
            panel.move(by)
        self.draw_bottom()

    def _move_page(self, pages: int) -> None:
        self._choose()
        self.panel(self._active).move_page(pages)
        self.draw_bottom()

    def _open(self, panel: str, id: str) -> None:
        self._choose()
        frame = self.cockpit.frame
        if frame is None or not id:
            self.say("nothing to open here")
            return
        from tui.widgets.fleet_table import FEATURE

        if id.startswith(FEATURE):
            self.open_feature(id.removeprefix(FEATURE))
            return
        alert = next((a for a in frame.alerts if a.id == id), None) if panel == "alerts" else None
        if alert is not None:
            self.open_model(alert.model, alert.tier)
        else:
            self.open_model(id)

    def _clear(self) -> None:
        """Esc: drop the filter, else go back to the table, else from a replay to what is live."""
        if self.drop_filter():
            return
        replaying = self.cockpit.replaying
        if self._active == "fleet" and replaying is not None and replaying.has_live:
            self.cockpit.leave_replay()
        self._set_active("fleet")

    def _type(self) -> None:
        self._set_active("fleet")
        self.type_filter()

    def filter_changed(self) -> None:
        """Draw with rows in new places: it was asked for."""
        self._key_at = -STILL_S
        self.draw()
        self._key_at = time.monotonic()

    def _sort_next(self) -> None:
        from tui.widgets.fleet_table import SORTS

        self._sort = SORTS[(SORTS.index(self._sort) + 1) % len(SORTS)]
        self._is_reversed = False
        self.filter_changed()
        self.say(f"sorted by {self._sort}; S reverses")

    def _sort_reverse(self) -> None:
        self._is_reversed = not self._is_reversed
        self.filter_changed()
        self.say(f"sorted by {self._sort}{', reversed' if self._is_reversed else ''}")

    def _turn_panel(self, by: int) -> None:
        shown = [name for name in PANELS if self.panel(name).display]
        self._set_active(shown[(shown.index(self._active) + by) % len(shown)])
        self.say(f"keys move in: {self._active}")

    def _set_active(self, name: str) -> None:
        self._active = name
        for one in PANELS:
            self.panel(one).set_active(one == name)

    def _turn_heat(self, by: int) -> None:
        self._heat_page += by
        self.draw()

    def _hit(self, by: int) -> None:
        """The next row, that way round, that has a mark."""
        panel = self.panel("fleet")
        frame = self.cockpit.frame
        marked = self._panels.marked(frame) if self._panels is not None and frame else frozenset()
        ids = [line.id for line in panel.lines if line.id]
        here = ids.index(panel.cursor_id) if panel.cursor_id in ids else -1
        around = [ids[(here + by * step) % len(ids)] for step in range(1, len(ids) + 1)]
        hit = next((id for id in around if id in marked), "")
        if hit:
            self._set_active("fleet")
            self._choose()
            panel.go_to(hit)
        else:
            self.say("no row has a mark: nothing needs a look")
