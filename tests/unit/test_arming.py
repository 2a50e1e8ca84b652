"""Writes are off at start, on for ten minutes, in one context, and never in a replay."""

from dataclasses import replace

import pytest

from collectors.fleet import Frame
from collectors.intents import PlaneFacts
from tests.dialog_parts import OPERATOR, VIEWER, operated_frame
from tui.arming import ARMED_S, Arming, Writes, awake_or_asleep_s

FRAME = operated_frame()
REPLAY = replace(FRAME, mode="REPLAY")


class Clock:
    """Seconds that go on when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def armed(writes: Writes = "arm") -> tuple[Arming, Clock]:
    clock = Clock()
    arming = Arming(writes, clock)
    arming.arm(FRAME)
    return arming, clock


def test_writes_are_off_at_start() -> None:
    """S6: and the sentence says what turns them on."""
    arming = Arming("arm", Clock())
    assert arming.off(FRAME) == "writes are off: W arms them for 10 min"
    assert arming.badge(FRAME) == "[READ-ONLY]"


def test_arming_ends_by_itself() -> None:
    """After ten minutes, to the second; the badge counts down."""
    arming, clock = armed()
    assert arming.off(FRAME) == ""
    assert arming.badge(FRAME) == "[ARMED alice 10:00 left]"
    clock.now += 48
    assert arming.badge(FRAME) == "[ARMED alice 09:12 left]"
    clock.now += ARMED_S - 48.001
    assert arming.off(FRAME) == ""
    clock.now += 0.001
    assert arming.left_s == 0
    assert arming.off(FRAME) != ""
    assert arming.badge(FRAME) == "[READ-ONLY]"


@pytest.mark.parametrize(
    "other",
    [replace(FRAME, context="eu-west"), replace(FRAME, production=True), REPLAY],
    ids=["context", "production", "replay"],
)
def test_arming_ends_with_its_context(other: Frame) -> None:
    """Another context, one that turns out to be production, a replay: nothing is on there, nor afterwards."""
    arming, _ = armed()
    assert arming.off(other) != ""
    arming.seen(other)
    assert arming.off(FRAME) != ""


def test_disarming_is_at_once() -> None:
    """`W` again."""
    arming, _ = armed()
    arming.disarm()
    assert arming.left_s == 0
    assert arming.off(FRAME) != ""


@pytest.mark.parametrize(
    ("writes", "frame", "why", "badge"),
    [
        ("arm", None, "waiting for the first frame", "[READ-ONLY]"),
        ("never", FRAME, 'only watched: writes = "never"', "[WRITES OFF: config]"),
        ("arm", REPLAY, "a replay cannot write", "[ALL WRITES OFF]"),
        ("on", REPLAY, "a replay cannot write", "[ALL WRITES OFF]"),
        ("arm", operated_frame(plane=None), "no control plane", "[READ-ONLY]"),
        ("on", operated_frame(plane=None), "no control plane", "[READ-ONLY]"),
        ("arm", operated_frame(plane=VIEWER), "your role here, viewer", "[WRITES OFF: role viewer]"),
        ("on", operated_frame(plane=VIEWER), "your role here, viewer", "[WRITES OFF: role viewer]"),
        ("arm", operated_frame(plane=PlaneFacts()), "your role here, unknown", "[WRITES OFF: role unknown]"),
    ],
)
def test_what_cannot_be_armed_says_why(writes: Writes, frame: Frame | None, why: str, badge: str) -> None:
    """Arming it changes nothing; the badge has the reason in short."""
    arming = Arming(writes, Clock())
    if frame is not None:
        arming.arm(frame)
    assert why in arming.refused(frame)
    assert why in arming.off(frame)
    assert arming.badge(frame) == badge


def test_always_on_is_always_on() -> None:
    """`writes = "on"` needs no arming, in production neither, and does not end."""
    arming = Arming("on", Clock())
    production = replace(FRAME, production=True)
    arming.seen(FRAME)
    arming.seen(production)
    assert arming.off(production) == ""
    assert arming.badge(production) == "[WRITES ON alice]"


def test_a_nameless_operator_is_left_out() -> None:
    """The badge has no gap where there is no name, and bounds a long one."""
    for actor, badge in (("", "[ARMED 10:00 left]"), ("a" * 40, f"[ARMED {'a' * 12} 10:00 left]")):
        arming, _ = armed()
        assert arming.badge(replace(FRAME, plane=replace(OPERATOR, actor=actor))) == badge


def test_the_clock_goes_on() -> None:
    """The real one never goes back."""
    assert awake_or_asleep_s() <= awake_or_asleep_s()
