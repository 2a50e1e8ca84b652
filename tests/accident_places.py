"""Where accidents happen at a cockpit: every screen and every dialog, on a fleet where all can be done."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

from collectors.fleet import Frame, LastChange
from collectors.intents import Logged, Target
from tests.frames import AT
from tests.throttle_frames import cell, throttled
from tests.unit.test_release_forms import HOLD, aurora, frame_of
from tui.dialogs.form import Form
from tui.dialogs.release import RETRY, WEIGHT, advance_form, advancing
from tui.dialogs.release_stops import back_out_form, pause_form
from tui.dialogs.throttle import extend_form, throttle_form, throttle_inverse
from tui.dialogs.throttle_form import ALL
from tui.screens.base import Selection

UNDONE = Logged(
    "a-41",
    AT - 21,
    "alice",
    "throttle.set",
    Target("throttle", "images", "team"),
    "launch spike",
    "applied",
    before={"level": 0.7, "expires_at": None},
    after={"level": 0.5, "expires_at": None},
)
PAUSED = replace(UNDONE, audit_id="a-40", operation="release.pause", target=Target("release", "embed"))


@cache
def accident_frame(revision: int) -> Frame:
    """A production fleet on which every operation there is can be done, at one of its revisions."""
    found = {
        ("aurora", "aurora-5"): aurora("paused"),
        ("delta", "delta-code"): aurora("paused", gate="closed", checks=(HOLD,)),
        ("embed", "embed-2"): aurora("paused by operator"),
        ("boreal", "boreal-4"): aurora("aborted"),
        ("cirrus", "cirrus-vision"): aurora("progressing"),
    }
    etag = f"m-{revision}"
    releases = [replace(one, id=id, subject=subject, etag=etag) for (id, subject), one in found.items()]
    change = LastChange("a-41", "throttle.set", "alice", "launch spike", AT - 21)
    frame = frame_of(*releases)
    cells = (
        cell("images", "free", 0.5),
        cell("images", "team", 0.5, last_change=change),
        cell("longctx", "free", 0.3, expires_at=AT + 600),
    )
    frame = throttled(*cells, frame=frame, of=frame.plane)
    moved = tuple(replace(one, etag=f"{one.etag}-{revision}") for one in frame.throttles)
    return replace(
        frame, throttles=moved, mode="LIVE", simulated=False, production=True, nodes=frame.nodes[:40]
    )


FormOf = Callable[[Frame], Form | str]


@dataclass(frozen=True)
class Place:
    """A screen or a dialog.

    keys: lead there from the fleet; form: makes the dialog's form; arms: it is the dialog that arms
    """

    name: str
    keys: tuple[str, ...] = ()
    form: FormOf | None = None
    arms: bool = False

    @property
    def is_dialog(self) -> bool:
        """Whether something is decided here."""
        return self.form is not None or self.arms


def _throttle(level: str, *tiers: str, feature: str = "images") -> FormOf:
    def made(frame: Frame) -> Form | str:
        form = throttle_form(frame, Selection(feature="images", tier="free"), None)
        if isinstance(form, str):
            return form
        return (
            form.with_choice("feature", (feature,)).with_choice("tier", tiers).with_choice("admit", (level,))
        )

    return made


def _release(id: str, step: str = "", weight: str = "", *, overrides: bool = False) -> FormOf:
    def made(frame: Frame) -> Form | str:
        found = next(one for one in frame.releases if one.id == id)
        form = advancing(frame, found, step=step, weight=weight)
        if overrides and not isinstance(form, str):
            return form.with_choice("gate", ("override",))
        return form

    return made


def _rolled_back(frame: Frame) -> Form | str:
    form = back_out_form(frame, Selection(model="aurora-5"))
    return form if isinstance(form, str) else form.with_choice("way", ("rollback",))


SCREENS = (
    Place("fleet"),
    Place("model page", ("enter",)),
    Place("feature page", ("G", "enter")),
    Place("alerts", ("A",)),
    Place("help", ("?",)),
    Place("own actions", ("u",)),
)

DIALOGS = (
    Place("throttle tighter", form=_throttle("T3", "free")),
    Place("throttle looser", form=_throttle("T0", "free")),
    Place("several looser", form=_throttle("T0", "team", "free")),
    Place("fleet-wide tighter", form=_throttle("T5", "free", feature=ALL)),
    Place("fleet-wide looser", form=_throttle("T0", "free", feature=ALL)),
    Place("extend", form=lambda frame: extend_form(frame, Target("throttle", "longctx", "free"))),
    Place("undo", form=lambda frame: throttle_inverse(frame, UNDONE)),
    Place("advance", form=lambda frame: advance_form(frame, Selection(model="aurora-5"))),
    Place("override", form=_release("delta", overrides=True)),
    Place("weight up", form=_release("aurora", WEIGHT, "50")),
    Place("weight down", form=_release("aurora", WEIGHT, "5")),
    Place("pause", form=lambda frame: pause_form(frame, Selection(model="cirrus-vision"))),
    Place("resume", form=lambda frame: pause_form(frame, Selection(model="embed-2"))),
    Place("abort", form=lambda frame: back_out_form(frame, Selection(model="aurora-5"))),
    Place("roll back", form=_rolled_back),
    Place("retry", form=_release("boreal", RETRY)),
    Place("arm", arms=True),
)

PLACES = (*SCREENS, *DIALOGS)
