"""Which keys are a dialog's own, and what can be done in it besides. Pure."""

from collections.abc import Mapping
from types import MappingProxyType

from tui.dialogs.decision import Decision

EVERYWHERE = frozenset(["arm", "redraw", "suspend", "quit.ask"])
"""What the application can do in a dialog, too. Only to arm may ask something on top of what is decided."""

FIXED = frozenset(["tab", "shift+tab", "up", "down", "left", "right", "space", "enter", "escape", "y", "?"])
"""Keys that are the dialog's own, whatever the keymap says."""

BOUND: Mapping[str, str] = MappingProxyType({"ctrl+r": "refresh"})
"""Key to action, in every dialog whatever the keymap says: a dialog's own words name the key."""

ENTER_AGAIN = "enter again or esc cancels"
"""What the first Enter behind a typed phrase does: it belongs to the typing."""

PHRASE_PASTED = "the phrase is to be typed, not pasted: nothing of it was taken"


def everywhere(decision: Decision) -> frozenset[str]:
    """As EVERYWHERE; the dialog that arms, which is local, does not open once more on top of itself: to
    cancel the upper one would leave a lower one, with its phrase typed."""
    return EVERYWHERE - {"arm"} if decision.is_local else EVERYWHERE


def closes(key: str, action: str) -> bool:
    """Whether a key closes a dialog whose decision is over: any but those that scroll, and `y`, for nobody
    shall press that twice. action: what the keymap says of the key; "" for nothing."""
    if key == "y" or key in ("up", "down") or action.startswith("move."):
        return False
    return action not in ("redraw", "suspend", "quit.ask")
