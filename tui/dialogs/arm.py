"""Turning writes on: at once, or in production after its name is typed (S6)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.dialogs.form import Field, Level, Plan

if TYPE_CHECKING:
    from collectors.fleet import Frame
    from collectors.intents import Rehearsal
    from tui.app import CockpitApp
    from tui.widgets.lines import Line


@dataclass(frozen=True, slots=True)
class ArmForm:
    """Asks for the name of the context. It sends nothing: a dialog with it is local."""

    context: str
    actor: str
    role: str

    key = "arm"
    title = "Arm writes"
    revision = ""
    main = ""

    @property
    def fields(self) -> Sequence[Field]:
        """None but the phrase."""
        return ()

    def with_choice(self, field: str, chosen: tuple[str, ...]) -> "ArmForm":
        """It has no choice."""
        return self

    def with_text(self, field: str, text: str) -> "ArmForm":
        """It has no entry."""
        return self

    def seen(self, frame: "Frame") -> "ArmForm":
        """What was asked stays: another context ends it all."""
        return self

    def plan(self) -> Plan:
        """Arming, after the name."""
        who = f" as {self.actor} ({self.role})" if self.actor else ""
        return Plan(
            summary=f"writes on in {self.context} for 10 min{who}; W ends it",
            level=Level.TWO,
            phrase=self.context,
        )

    def facts(self, width: int, glyphs: str) -> "Sequence[Line]":
        """The title tells it all."""
        return ()

    def forecast(self, rehearsals: "Mapping[str, Rehearsal]", width: int, glyphs: str) -> "Sequence[Line]":
        """Nothing is expected of it."""
        return ()


def turn_writes(app: "CockpitApp") -> None:
    """`W`: on, or off again, or why neither."""
    arming, frame = app.arming, app.latest
    if arming.writes == "on" and not arming.refused(frame):
        app.say('writes are always on here: writes = "on" in the configuration')
    elif arming.left_s > 0:
        arming.disarm()
        app.say("writes are off")
    elif why := arming.refused(frame):
        app.say(f"W: {why}")
    elif frame is not None and frame.production:
        from tui.dialogs.dialog import DialogScreen

        plane = frame.plane
        assert plane is not None
        form = ArmForm(frame.context or "production", plane.actor, plane.role)
        app.push_screen(DialogScreen(form, done=lambda: _armed(app, form.context)))
    elif frame is not None:
        _armed(app, frame.context)


def _armed(app: "CockpitApp", context: str) -> None:
    # The context may have been left while its name was typed.
    frame = app.latest
    if frame is None or (frame.context or "production") != context or app.arming.refused(frame):
        app.say("writes stay off: this is another context now")
        return
    app.arming.arm(frame)
    app.say("writes are on for 10 min; W ends it")
