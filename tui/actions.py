"""What an operator can do at the cockpit, by name. Which key does it is data: see `keymap`."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Action:
    """Something that can be done.

    label: a few words, for help and hints
    replay_label: what it does in a replay, where that is not what it does live
    operation: what it leads to: the control plane's operation where that has one; None for what only looks
    missing: why it cannot be done in this version, as a sentence for the screen; empty when it can
    live: the action that its keys do while the screen is live; "" for itself
    in_replay: it can be done in a replay alone
    looks: it changes where the operator looks, so that they do not follow the recorded one any more
    """

    id: str
    label: str
    operation: str | None = None
    missing: str = ""
    replay_label: str = ""
    live: str = ""
    in_replay: bool = False
    looks: bool = False


_SILENCES = "with silences: not in this version"

ACTIONS: Mapping[str, Action] = MappingProxyType(
    {
        action.id: action
        for action in (
            Action("move.down", "down", looks=True),
            Action("move.up", "up", looks=True),
            Action("move.page_down", "page down", looks=True),
            Action("move.page_up", "page up", looks=True),
            Action("move.top", "first row", looks=True),
            Action("move.bottom", "last row", looks=True),
            Action("open", "open the model", looks=True),
            Action("back", "back", looks=True),
            Action("panel.next", "next panel", looks=True),
            Action("panel.previous", "previous panel", looks=True),
            Action("filter", "filter", looks=True),
            Action("hit.next", "next row that needs a look", looks=True),
            Action("hit.previous", "previous row that needs a look", looks=True),
            Action("sort.next", "sort by the next column", looks=True),
            Action("sort.reverse", "reverse the order", looks=True),
            Action("freeze", "freeze the display, and thaw it"),
            Action("heat.next", "heat map: next page", looks=True),
            Action("heat.previous", "heat map: previous page", looks=True),
            Action("refresh", "try the source again now; draw again"),
            Action("redraw", "draw again"),
            Action("suspend", "suspend; fg in the shell returns"),
            Action("help", "keys of this screen"),
            Action("quit", "quit"),
            Action("quit.ask", "quit, pressed twice"),
            Action("throttle.edit", "throttle", "throttle.set"),
            Action("stage.advance", "advance", "release.advance"),
            Action("stage.pause", "pause or resume", "release.pause"),
            Action("stage.back_out", "back out: abort or roll back", "release.abort"),
            Action("undo", "own last actions, and their undoing", "audit.undo"),
            Action("arm", "arm writes for 10 min, and disarm", "arm"),
            Action("alert.list", "all alerts, and back", looks=True),
            Action("alert.first", "open the model of the worst alert that is not silenced", looks=True),
            Action(
                "alert.acknowledge", "acknowledge", "alert.acknowledge", f"acknowledging comes {_SILENCES}"
            ),
            Action(
                "alert.shelve",
                "shelve",
                "alert.shelve",
                f"shelving comes {_SILENCES}; a silence made in Alertmanager is shown",
            ),
            Action("replay", "replay the last minutes", replay_label="play or pause"),
            Action("replay.live", "back to live"),
            Action("replay.step", "step a frame; held, ever more", live="heat.next", in_replay=True),
            Action("replay.step_back", "step a frame back", live="heat.previous", in_replay=True),
            Action("replay.seconds", "10 s on", in_replay=True),
            Action("replay.seconds_back", "10 s back", in_replay=True),
            Action("replay.alert", "next alert", in_replay=True),
            Action("replay.alert_back", "previous alert", in_replay=True),
            Action("replay.action", "next action of an operator of this cockpit", in_replay=True),
            Action("replay.action_back", "previous action of an operator of this cockpit", in_replay=True),
            Action("replay.bookmark", "next bookmark", in_replay=True),
            Action("replay.bookmark_back", "previous bookmark", in_replay=True),
            Action("replay.bookmarks", "all bookmarks with their notes", in_replay=True),
            Action("replay.faster", "faster", in_replay=True),
            Action("replay.slower", "slower", in_replay=True),
            Action("replay.loop_from", "start of a loop; again at the same place: no loop", in_replay=True),
            Action("replay.loop_to", "end of a loop; again at the same place: no loop", in_replay=True),
            Action("replay.idle", "skip what is idle, and not", in_replay=True),
            Action("replay.time", "go to a time", in_replay=True),
            Action("replay.mark", "set the mark that differences are told against", in_replay=True),
            Action("replay.differences", "what is different from the mark", in_replay=True),
            Action(
                "replay.lanes",
                "hide the lanes: every row as it stood live; show them",
                in_replay=True,
            ),
            Action("replay.follow", "as the operator saw it, and free look", in_replay=True),
            Action("bookmark", "bookmark, with a note"),
            Action(
                "heat.mode",
                "heat mode",
                missing="the heat map shows busy time; other modes: not in this version",
            ),
            Action("command", "commands", missing="commands by name: not in this version; ? lists the keys"),
        )
    }
)
"""Every action by id."""


DIALOGS = ("throttle.edit", "stage.advance", "stage.pause", "stage.back_out", "undo")
"""Actions that open a dialog, for what the cursor stands on, and do nothing else."""

CONFIRMING = "y"
"""The key that means apply in a dialog, and nothing else in the product (S2)."""

DIALOG_KEYS: tuple[tuple[str, str], ...] = (
    ("tab up down", "go from row to row; it opens at Cancel"),
    ("left right", "change the row's choice; at Cancel, the main one"),
    ("space", "tick, in a row of boxes"),
    ("1-9", "a reason that is offered"),
    ("enter", "at Cancel: cancel, twice behind a typed phrase; in a row: the next one; it never applies"),
    (CONFIRMING, "apply, at Cancel alone, when all that it needs is there"),
    ("ctrl-r", "dry run again"),
    ("?", "all that y needs; again, or esc: close that"),
    ("esc", "cancel"),
)
"""What the keys of a dialog do: they are its own, in every dialog the same."""

DIALOG_HINT = "tab next row   left right change   1-9 reason   y apply   ctrl-r dry run   ? why   esc cancel"
"""The same in one line, for the screen that is seen below a dialog: its own keys do nothing then."""


def dead_key(key: str) -> str:
    """The sentence for a key that is bound to nothing (D16)."""
    from collectors.text import clean

    return f"{clean(key, 24)} does nothing here; ? lists the keys"
