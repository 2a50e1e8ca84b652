"""What an operator can do at the cockpit, by name. Which key does it is data: see `keymap`."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Action:
    """Something that can be done.

    label: a few words, for help and hints
    operation: what it leads to: the control plane's operation where that has one; None for what only looks
    missing: why it cannot be done in this version, as a sentence for the screen; empty when it can
    """

    id: str
    label: str
    operation: str | None = None
    missing: str = ""


_SILENCES = "with silences: not in this version"
_REPLAY = "with recordings: not in this version"

ACTIONS: Mapping[str, Action] = MappingProxyType(
    {
        action.id: action
        for action in (
            Action("move.down", "down"),
            Action("move.up", "up"),
            Action("move.page_down", "page down"),
            Action("move.page_up", "page up"),
            Action("move.top", "first row"),
            Action("move.bottom", "last row"),
            Action("open", "open the model"),
            Action("back", "back"),
            Action("panel.next", "next panel"),
            Action("panel.previous", "previous panel"),
            Action("filter", "filter"),
            Action("hit.next", "next row that needs a look"),
            Action("hit.previous", "previous row that needs a look"),
            Action("sort.next", "sort by the next column"),
            Action("sort.reverse", "reverse the order"),
            Action("freeze", "freeze the display, and thaw it"),
            Action("heat.next", "heat map: next page"),
            Action("heat.previous", "heat map: previous page"),
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
            Action("alert.list", "all alerts, and back"),
            Action("alert.first", "open the model of the worst alert that is not silenced"),
            Action(
                "alert.acknowledge", "acknowledge", "alert.acknowledge", f"acknowledging comes {_SILENCES}"
            ),
            Action(
                "alert.shelve",
                "shelve",
                "alert.shelve",
                f"shelving comes {_SILENCES}; a silence made in Alertmanager is shown",
            ),
            Action("replay", "replay the last minutes", missing=f"replay comes {_REPLAY}"),
            Action("replay.live", "back to live", missing=f"replay comes {_REPLAY}; the screen is live"),
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
    ("1-5", "a reason that was given before"),
    ("enter", "at Cancel: cancel, twice behind a typed phrase; in a row: the next one; it never applies"),
    (CONFIRMING, "apply, at Cancel alone, when all that it needs is there"),
    ("ctrl-r", "dry run again"),
    ("?", "all that y needs; again, or esc: close that"),
    ("esc", "cancel"),
)
"""What the keys of a dialog do: they are its own, in every dialog the same."""

DIALOG_HINT = "tab next row   left right change   1-5 reason   y apply   ctrl-r dry run   ? why   esc cancel"
"""The same in one line, for the screen that is seen below a dialog: its own keys do nothing then."""


def dead_key(key: str) -> str:
    """The sentence for a key that is bound to nothing (D16)."""
    from collectors.fleet import clean

    return f"{clean(key, 24)} does nothing here; ? lists the keys"
