"""From a key to its dialog: whether it may be opened here, and on what the cursor stands."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from collectors.intents import OPERATIONS, PlaneFacts
from tui.actions import ACTIONS
from tui.dialogs.decision import ability_refused
from tui.dialogs.form import Form
from tui.screens.base import Selection

if TYPE_CHECKING:
    from collectors.fleet import Frame
    from tui.app import CockpitApp


def open_throttle(app: "CockpitApp", selection: Selection) -> None:
    """`t`: throttle a feature."""

    def form(frame: "Frame") -> Form | str:
        from tui.dialogs.throttle import throttle_form

        return throttle_form(frame, selection, app.trends)

    _open(app, "throttle.edit", form)


def open_advance(app: "CockpitApp", selection: Selection) -> None:
    """`a`: advance a release by a stage."""

    def form(frame: "Frame") -> Form | str:
        from tui.dialogs.release import advance_form

        return advance_form(frame, selection)

    _open(app, "stage.advance", form)


def open_pause(app: "CockpitApp", selection: Selection) -> None:
    """`p`: pause a release, or resume it."""

    def form(frame: "Frame") -> Form | str:
        from tui.dialogs.release import pause_form

        return pause_form(frame, selection)

    _open(app, "stage.pause", form)


def open_back_out(app: "CockpitApp", selection: Selection) -> None:
    """`B`: abort a release, or roll it back."""

    def form(frame: "Frame") -> Form | str:
        from tui.dialogs.release import back_out_form

        return back_out_form(frame, selection)

    _open(app, "stage.back_out", form)


def open_undo(app: "CockpitApp", selection: Selection) -> None:
    """`u`: the operator's own last actions, wherever the cursor stands."""
    if why := _closed(app.latest, "undo"):
        app.say(why)
        return
    from tui.dialogs.undo import UndoScreen

    if isinstance(app.screen, UndoScreen):
        app.say("these are your own last actions")
    else:
        app.push_screen(UndoScreen())


OPENERS: "Mapping[str, Callable[[CockpitApp, Selection], None]]" = MappingProxyType(
    {
        "throttle.edit": open_throttle,
        "stage.advance": open_advance,
        "stage.pause": open_pause,
        "stage.back_out": open_back_out,
        "undo": open_undo,
    }
)
"""What opens the dialog of each action."""


def _open(app: "CockpitApp", action: str, form_of: "Callable[[Frame], Form | str]") -> None:
    """Open the dialog, or say why there is none (D16). It opens unarmed, too: for its dry run (S6)."""
    frame = app.latest
    if why := _closed(frame, action):
        app.say(why)
        return
    assert frame is not None
    form = form_of(frame)
    if isinstance(form, str):
        app.say(form)
    else:
        app.open_dialog(form)


def _closed(frame: "Frame | None", action: str) -> str:
    label = ACTIONS[action].label
    if frame is None:
        return f"{label}: waiting for the first frame"
    if frame.mode == "REPLAY":
        return f"{label}: a replay cannot write"
    if frame.plane is None:
        return f"{label}: no control plane is connected; give one with --plane URL"
    why = refused(frame.plane, action)
    return f"{label}: {why}" if why else ""


def refused(plane: PlaneFacts, action: str) -> str:
    """Why an action is greyed for this operator on this plane, a sentence; "" where it is not (S15)."""
    operation = ACTIONS[action].operation
    return ability_refused(plane, operation) if operation in OPERATIONS else ""
