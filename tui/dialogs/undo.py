"""The operator's own last actions, newest first, and the way back from each: an ordinary dialog (S12)."""

import time
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING

from textual.app import ComposeResult

from collectors.fleet import Frame, Release, Throttle
from tui.dialogs.logged import limit_in, share_in
from tui.dialogs.throttle import setting_in
from tui.dialogs.ways_back import extension, inverse, verb_of
from tui.format import GLYPHS, Glyphs, admit, clock, duration, fit, said, width_of
from tui.releases import share_text, tier_titles
from tui.screens.base import CockpitScreen, Selection
from tui.screens.hints import Hint
from tui.screens.panel import Panel
from tui.screens.readings import wrapped
from tui.three_states import left_s, plane_time
from tui.widgets.badges import writes_badge
from tui.widgets.freshness import header_lines
from tui.widgets.lines import Cell, Line, LineView, line_of

if TYPE_CHECKING:
    from collectors.intents import Logged, Outcome
    from tui.dialogs.form import Form

ASKED = 20
"""Actions that are asked for."""

RESULT_FROM, REASON_FROM = 60, 110
"""Widths from which a row has the result, and the reason; the detail below always has both."""

DETAIL_ROWS = 6
"""Lines for the selected action; on a low screen they are fewer."""

_RESULT_ROLES = {"applied": "text", "refused": "refused", "failed": "refused", "unknown": "unknown"}


def changed(logged: "Logged", titles: Mapping[str, str]) -> str:
    """What an action changed, from → to; empty where the log tells of no change."""
    before, after = logged.before, logged.after
    if logged.target.kind == "throttle":
        old, new = _setting(before), _setting(after)
        # What was done stands first: in a narrow column the end is cut.
        end = _other_end(before, after)
        return (f"{end}, {new}" if end else new) if old in ("", new) else f"{old} → {new}"
    parts = [
        f"{_or_none(before.get(name))} → {_or_none(after.get(name))}"
        for name in ("candidate", "stage", "phase")
        if name in after and name in before and before[name] != after[name]
    ]
    old_shares, new_shares = before.get("desired"), after.get("desired")
    if not parts and isinstance(old_shares, Mapping) and isinstance(new_shares, Mapping):
        parts = [
            f"{titles.get(tier, tier)} {share_text(share)} → {share_text(now)}"
            for tier in new_shares
            if (share := share_in(old_shares, tier)) is not None
            and (now := share_in(new_shares, tier)) is not None
            and share != now
        ]
    return ", ".join(parts)


def _other_end(before: Mapping[str, object], after: Mapping[str, object]) -> str:
    """That a throttle got more time or less, and until when; "" where its end stays, or nothing tells."""
    was, now = setting_in(before), setting_in(after)
    if was is None or now is None or not all("expires_at" in told for told in (before, after)):
        return ""
    old, new = (inf if one.ends_at is None else one.ends_at for one in (was, now))
    if old == new or abs(new - old) < 1:
        return ""
    return f"{'extended' if new > old else 'shortened'} to {'no end' if new == inf else clock(new)}"


def _setting(facts: Mapping[str, object]) -> str:
    if (level := share_in(facts, "level")) is not None:
        return admit(level)
    limit = limit_in(facts)
    return "" if limit is None else f"limit {limit:g}"


def _or_none(value: object) -> str:
    return value if isinstance(value, str) else "none" if value is None else str(value)


def left(frame: Frame, logged: "Logged", now: float) -> str:
    """How an applied action stands now: the time it has left, or that something came after it.

    now: by the plane's clock
    """
    if logged.result != "applied":
        return ""
    found: Release | Throttle | None
    if logged.target.kind == "release":
        found = next((r for r in frame.releases if r.id == logged.target.id), None)
    else:
        wanted = (logged.target.id, logged.target.tier)
        found = next((t for t in frame.throttles if (t.feature, t.tier) == wanted), None)
    if found is None:
        return "not there any more"
    last = found.last_change
    if last is not None and last.audit_id != logged.audit_id:
        return "expired" if last.actor == "system:expiry" else f"changed since by {last.actor or '?'}"
    if isinstance(found, Release):
        return "stands"
    remaining = left_s(found, now)
    if remaining is None:
        return "stands, no end"
    return f"{duration(remaining)} left" if remaining > 0 else "runs out now"


def action_rows(
    frame: Frame, actions: Sequence["Logged"], now: float, width: int, glyphs: Glyphs
) -> list[Line]:
    """A heading, then a line for each action: when, what, on what, from → to, result, time left, reason.

    now: by the plane's clock
    """
    actor = frame.plane.actor if frame.plane is not None else ""
    title = f"{glyphs.rule} OWN LAST ACTIONS{f' {glyphs.nothing} {actor}' if actor else ''} {glyphs.nothing}"
    title = f"{title} newest first "
    heading = fit(title + glyphs.rule * max(width - width_of(title), 0), width, glyphs)
    lines = [line_of((Cell(heading, "muted"),), width, glyphs=glyphs)]
    if not actions:
        nothing = "nothing yet: the log of the control plane holds no action of yours"
        return [*lines, _line(f"   {nothing}", "muted", width, glyphs)]
    titles = tier_titles(frame)
    rows = [(verb_of(one), str(one.target), changed(one, titles), left(frame, one, now)) for one in actions]
    # What changed is what is looked for, so it may take most.
    most = (max(width // 6, 8), max(width // 5, 8), max(width // 3, 8), max(width // 5, 8))
    columns = [
        min(max(map(width_of, column)), widest)
        for column, widest in zip(zip(*rows, strict=True), most, strict=True)
    ]
    for place, (one, texts) in enumerate(zip(actions, rows, strict=True)):
        lines.append(_action_row(one, texts, columns, width, glyphs, row_id(actions, place)))
    return lines


def _action_row(
    one: "Logged", texts: Sequence[str], columns: Sequence[int], width: int, glyphs: Glyphs, id: str
) -> Line:
    verb, target, what, remains = (
        fit(said(text, glyphs), column, glyphs) for text, column in zip(texts, columns, strict=True)
    )
    cells = [
        Cell(f" {clock(one.at)} ", "muted"),
        Cell(f"{verb} "),
        Cell(f"{target} ", "title"),
        Cell(f"{what} "),
    ]
    if width >= RESULT_FROM:
        cells.append(Cell(fit(one.result, 8, glyphs), _RESULT_ROLES.get(one.result, "unknown")))
    cells.append(Cell(f" {remains}", "muted"))
    if width >= REASON_FROM:
        cells.append(Cell(f" {said(one.reason, glyphs)}", "muted"))
    used = sum(width_of(cell.text) for cell in cells)
    return line_of((*cells, Cell(" " * max(width - used, 0))), width, id, glyphs)


def row_id(actions: Sequence["Logged"], place: int) -> str:
    """What the cursor follows: the log's own id; entries without one are told apart by their place."""
    return actions[place].audit_id or f"#{place}"


def detail_lines(
    frame: Frame, logged: "Logged | None", now: float, width: int, rows: int, glyphs: Glyphs
) -> list[Line]:
    """The selected action in full and what enter would open, in at most `rows` lines.

    now: by the plane's clock
    """
    lines = [line_of((Cell(glyphs.rule * width, "muted"),), width, glyphs=glyphs)]
    if logged is None or rows < 2:
        return lines[:rows]
    way = inverse(frame, logged)
    undo = f"no way back: {way}" if isinstance(way, str) else f"way back: {_told_of(way)}"
    code = f" ({logged.code})" if logged.code else ""
    what = " ".join(
        part for part in (verb_of(logged), str(logged.target), changed(logged, tier_titles(frame))) if part
    )
    told = [
        (undo, "disabled" if isinstance(way, str) else "key"),
        (f"{what}: {logged.result}{code}; {left(frame, logged, now) or 'nothing stands'}", "text"),
        (f"reason: {logged.reason or 'none told'}", "text"),
        (f"log entry {logged.audit_id or 'without id'}, {clock(logged.at)}", "muted"),
    ]
    for text, role in told:
        lines += [_line(f"   {piece}", role, width, glyphs) for piece in _pieces(text, width - 4, glyphs)]
    return lines[:rows]


def _told_of(way: "Form") -> str:
    """What the dialog would do as it opens; its title where something has still to be chosen."""
    return way.plan().summary or way.title


def _line(text: str, role: str, width: int, glyphs: Glyphs) -> Line:
    return line_of((Cell(fit(text, width, glyphs), role),), width, glyphs=glyphs)


def _pieces(text: str, width: int, glyphs: Glyphs) -> list[str]:
    return wrapped(said(text, glyphs), max(width, 2))


_EXTEND: Hint = ("throttle.edit", "extend")


class UndoScreen(CockpitScreen):
    """Own last actions as a list. Enter opens the way back from one as an ordinary dialog; the key that
    throttles gives a throttle more time; those of releases act on what the action was on."""

    NAME = TITLE = "own actions"
    HINTS: Sequence[Hint] = (
        ("open", "undo"),
        _EXTEND,
        ("back", "back"),
        ("move.down", "down"),
        ("refresh", "ask again"),
        ("help", "help"),
        ("quit", "quit"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._actions: tuple[Logged, ...] = ()
        self._instead = "Asking the control plane for your last actions."

    def compose(self) -> ComposeResult:
        """The fleet in numbers, the list, the selected action in full, hints, and how fresh all that is."""
        yield Panel("header")
        yield Panel(
            "list", cursor=True, pointer="›" if self.cockpit.glyphs == "unicode" else ">", active=True
        )
        yield Panel("detail")
        yield Panel("hints")
        yield Panel("status")

    def doing(self) -> Mapping[str, Callable[[], None]]:
        """Moving, undoing, asking again, going back."""
        panel = self.query_one("#list", Panel)
        return {
            **self.moving(panel),
            "open": lambda: self._open(panel.cursor_id, inverse),
            "throttle.edit": lambda: self._open(panel.cursor_id, extension),
            "back": self.leave,
            "undo": self.leave,
            "refresh": self._ask,
        }

    def labels(self) -> Mapping[str, str]:
        """Here keys open ways back, or act on what the selected action was on."""
        return {
            "open": "open the way back from the action",
            "throttle.edit": "give a throttle more time",
            "stage.advance": "advance the action's release",
            "stage.pause": "pause or resume the action's release",
            "stage.back_out": "abort or roll back the action's release",
            "undo": "back, as esc",
            "refresh": "ask the control plane again",
        }

    def hints(self) -> Sequence[Hint]:
        """Without more time where the selected action has no end that could be put off."""
        logged = self._logged(self._panel("list").cursor_id)
        has_end = logged is not None and logged.target.kind == "throttle"
        return [hint for hint in self.HINTS if has_end or hint != _EXTEND]

    def selected(self) -> Selection:
        """The release that the selected action was on, or the feature."""
        logged = self._logged(self._panel("list").cursor_id)
        if logged is None or self._instead:
            return Selection()
        if logged.target.kind == "release":
            return Selection(release=logged.target.id)
        return Selection(feature=logged.target.id, tier=logged.target.tier)

    def on_screen_resume(self) -> None:
        """On top, for the first time or after a dialog: ask what has been done by now."""
        super().on_screen_resume()
        self._ask()

    def takes_outcome(self, outcome: "Outcome") -> bool:
        """Not shown here, but the log has one entry more."""
        if outcome.is_final and self.is_mounted:
            self._ask()
        return False

    def draw(self) -> None:
        """The list against the newest frame: what is left of each action, and how it can be taken back."""
        frame = self.cockpit.frame
        if not self.has_panels or frame is None:
            return
        width, height = self.app.size
        glyphs = GLYPHS[self.cockpit.glyphs]
        rows = {"header": 1 if height >= 3 else 0, "hints": 1 if height >= 5 else 0}
        rows["status"] = 1 if height >= 4 else 0
        rows["detail"] = min(DETAIL_ROWS, max((height - 6) // 2, 0))
        rows["list"] = height - sum(rows.values())
        for name, number in rows.items():
            self._panel(name).set_rows(number)
        lines = action_rows(frame, self._actions, self._plane_now(frame), width, glyphs)
        if self._instead:
            lines[1:] = [
                _line(f"   {part}", "text", width, glyphs)
                for part in _pieces(self._instead, width - 4, glyphs)
            ]
        writes = writes_badge(self.cockpit.armed_text)
        self._panel("header").show(header_lines(frame, width, glyphs, writes=writes)[:1])
        self._panel("list").show(lines, header=1)
        self.draw_status()
        self._draw_detail()
        self.draw_bottom()

    def beyond(self) -> str:
        """How much of the list is scrolled away."""
        return self._panel("list").beyond()

    def on_line_view_selected(self, message: LineView.Selected) -> None:
        """A click on the row that has the cursor opens its way back."""
        message.stop()
        self._open(message.id, inverse)

    def on_line_view_moved(self, message: LineView.Moved) -> None:
        """Another row has the cursor: what stands below follows it."""
        message.stop()
        self._draw_detail()
        self.draw_bottom()

    def _plane_now(self, frame: Frame) -> float:
        return plane_time(frame, self.cockpit.now, time.time())

    def _panel(self, name: str) -> Panel:
        return self.query_one(f"#{name}", Panel)

    def _ask(self) -> None:
        # Exclusive: a newer question ends the one before, whose answer would be older.
        self.run_worker(self._take(), exclusive=True)

    async def _take(self) -> None:
        from tui.feed import sentence_of

        actions: tuple[Logged, ...] = ()
        instead = ""
        try:
            actions = await self.cockpit.link.own_actions(ASKED)
        except Exception as error:  # whatever the way to the plane raises is shown; the screen must stay
            instead = f"Your last actions are not known: {sentence_of(error)} ctrl-r asks again."
        self._actions, self._instead = actions, instead
        if self.is_active:
            self.draw()

    def _logged(self, id: str) -> "Logged | None":
        return next((one for n, one in enumerate(self._actions) if row_id(self._actions, n) == id), None)

    def _draw_detail(self) -> None:
        frame = self.cockpit.frame
        if frame is None or not self.has_panels:
            return
        (width, height), glyphs = self.app.size, GLYPHS[self.cockpit.glyphs]
        rows = min(DETAIL_ROWS, max((height - 6) // 2, 0))
        logged = None if self._instead else self._logged(self._panel("list").cursor_id)
        self._panel("detail").show(detail_lines(frame, logged, self._plane_now(frame), width, rows, glyphs))

    def _open(self, id: str, form_of: "Callable[[Frame, Logged], Form | str]") -> None:
        """What follows from the action as a dialog, or the sentence why there is none (D16).

        On the newest frame, never on a frozen one.
        """
        frame, logged = self.cockpit.latest, self._logged(id)
        if frame is None or logged is None or self._instead:
            self.say(self._instead or "nothing to undo here")
            return
        way = form_of(frame, logged)
        if isinstance(way, str):
            self.say(way)
        else:
            self.cockpit.open_dialog(way)
