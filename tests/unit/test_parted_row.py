"""Rows of the fleet table whose throttle does not do what was set."""

from dataclasses import replace

import pytest

from collectors.fleet import SourceHealth, SourceState
from tests.frames import AT
from tests.operated_frames import cell, operated_frame
from tui.format import ASCII, UNICODE, Glyphs, level
from tui.store import History
from tui.three_states import parted_features
from tui.widgets.fleet_table import FEATURE, FleetView, fleet_lines


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_throttle_that_does_nothing_is_marked(width: int) -> None:
    """What was set and what is seen have parted for a minute: the row of the model and the feature say so."""
    frame = operated_frame()
    team = next(t for t in frame.throttles if (t.feature, t.tier) == ("images", "team"))
    only = replace(frame, throttles=(team,))

    def ends(now: float, glyphs: Glyphs = UNICODE) -> list[str]:
        lines = fleet_lines(only, History(), FleetView(), width, glyphs, parted=parted_features(only, now))
        wanted = ("cirrus-vision", "aurora-5", FEATURE + "images")
        return [line.text.split()[-1] for line in lines if line.id in wanted]

    models = {m.name: level(m.throttle) for m in only.models}
    other, shown = models["aurora-5"], models["cirrus-vision"]
    assert ends(AT) == [other, f"{shown}≠", "T3≠"]
    assert ends(AT, ASCII)[1:] == [f"{shown}/", "T3/"]
    set_at = AT - 252
    assert ends(set_at + 59) == [other, shown, "T3"]
    lost = replace(only, sources=(SourceHealth("ctl", "plane", SourceState.LOST),))
    assert parted_features(lost, AT) == frozenset()


@pytest.mark.parametrize(
    ("state", "level", "ago", "has_parted"),
    [
        ("pending", 0.3, 61, True),
        ("pending", 0.3, 59, False),
        ("drifted", 0.3, 1, True),
        ("unknown", 0.3, 61, False),
        ("applied", 1.0, 61, False),
    ],
)
def test_a_throttle_that_is_not_in_force_has_parted(
    state: str, level: float, ago: float, has_parted: bool
) -> None:
    """A drift at once, what waits after a minute; what nobody knows, and what is open, has not."""
    one = cell("chat", "free", level, state=state, ago=ago)
    frame = replace(operated_frame(), throttles=(one,))
    assert parted_features(frame, AT) == (frozenset({"chat"}) if has_parted else frozenset())
