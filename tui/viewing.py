"""What the operator looks at, as it is recorded, and a screen that looks at what somebody else did."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from collectors.sessions import View
from collectors.text import clean

if TYPE_CHECKING:
    from tui.app import CockpitApp
    from tui.screens.base import CockpitScreen

FLEET, MODEL, FEATURE, ALERTS = "fleet", "model", "feature", "alerts"
"""Names of the screens that a view can be of."""


def view_of(
    stack: "Sequence[CockpitScreen]", width: int, height: int, is_frozen: bool, *, elsewhere: str = ""
) -> View:
    """The view on a stack of screens, the lowest first: of the topmost that is no dialog, with the title of
    the dialog over it. What is typed there is no part of it.

    width, height: cells of the terminal; elsewhere: what is looked at in place of the live screens
    """
    if elsewhere:
        return View(screen=elsewhere, width=width, height=height)
    places = [screen for screen in stack if not screen.title]
    over = stack[-1].title if stack else ""
    view = places[-1].view() if places else View()
    return replace(view, dialog=clean(over or ""), is_frozen=is_frozen, width=width, height=height)


def stack_of(app: "CockpitApp") -> "list[CockpitScreen]":
    """The screens that are shown, the lowest first."""
    from tui.screens.base import CockpitScreen

    return [screen for screen in app.screen_stack if isinstance(screen, CockpitScreen)]


def look_at(app: "CockpitApp", view: View) -> None:
    """Bring the screens to a view. One of a kind that is not known here leaves them as they are."""
    if view.screen not in (FLEET, MODEL, FEATURE, ALERTS):
        return
    if not _is_there(app, view):
        while len(app.screen_stack) > 1:
            app.pop_screen()
        if (screen := _screen_for(view)) is not None:
            app.push_screen(screen)
    stack_of(app)[-1].look(view)


def _is_there(app: "CockpitApp", view: View) -> bool:
    top = stack_of(app)[-1]
    there = top.view()
    if top.title or there.screen != view.screen:
        return False
    return view.screen in (FLEET, ALERTS) or (there.subject, there.tier) == (view.subject, view.tier)


def _screen_for(view: View) -> "CockpitScreen | None":
    if view.screen == ALERTS:
        from tui.screens.alerts import AlertsScreen

        return AlertsScreen()
    if view.screen == FLEET:
        return None
    from tui.screens.model import FeatureScreen, ModelScreen

    return ModelScreen(view.subject, view.tier) if view.screen == MODEL else FeatureScreen(view.subject)
