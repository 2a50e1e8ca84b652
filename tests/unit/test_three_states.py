"""What was set, what is in force and what is seen, never one in place of another."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from collectors.fleet import Exposure, Frame, LastChange, Release, Revert, SourceState, Stage, Throttle
from collectors.readings import Quality, Reading, Reason, reading
from tests.frames import AT, TIERS, demo_frame, model, release
from tests.operated_frames import OPERATOR, cell, counted, feature_release, operated_frame, seen_by
from tui.three_states import (
    admitted,
    by_ramp,
    is_endless,
    is_open,
    is_overdue,
    of_exposure,
    of_throttle,
    plane_time,
    returns_to,
)

WAITS = ((0.2, 0.3, 0.25),) * 4


def watched(share: float, per_s: float = 640, **changed: Reading) -> Frame:
    """One model that serves images, of whose free tier a gateway admits `share`."""
    one = seen_by(model("delta-code", WAITS), ("images",), {})
    cells = {"images": {"free": {**counted(per_s, share), **changed}}}
    return replace(demo_frame(), models=(replace(one, cells=cells),))


def test_each_state_has_its_own_source() -> None:
    """Set by the operator, in force by the plane, seen by a gateway: three numbers."""
    ramping = cell("images", "free", 0.3, state="ramping", effective=0.62, ramp=0.1, ago=228)
    states = of_throttle(watched(0.66), ramping, AT)
    assert states.desired == 0.3
    assert (states.applied.share, states.applied.state) == (0.62, "ramping")
    assert states.observed.share == pytest.approx(0.66, abs=0.001)
    assert states.observed.requests == 640
    assert states.since_s == 228


def test_a_ramp_tells_when_it_arrives() -> None:
    """From 52 % to 30 % by 10 % a minute: 2 min 12 s; the way back goes by its own ramp."""
    down = cell("images", "free", 0.3, state="ramping", effective=0.52, ramp=0.1)
    assert of_throttle(watched(0.5), down, AT).applied.to_go_s == pytest.approx(132)
    back = cell("images", "free", 1.0, state="ramping", effective=0.5, ramp=None)
    applied = of_throttle(watched(0.5), back, AT).applied
    assert applied.per_min == 0.1
    assert applied.to_go_s == pytest.approx(300)


@pytest.mark.parametrize(
    ("seen", "ago", "parted"),
    [(0.31, 300, False), (0.97, 30, False), (0.97, 60, False), (0.97, 61, True), (0.1, 300, True)],
)
def test_they_part_only_when_there_was_time(seen: float, ago: float, parted: bool) -> None:
    """Sixty seconds after the write, either way; before that nothing is said."""
    states = of_throttle(watched(seen), cell("images", "free", 0.3, ago=ago), AT)
    assert states.has_parted is parted
    assert bool(states.complaint) is parted


def test_no_effect_is_said_with_both_numbers() -> None:
    """What is applied, what is seen, since when."""
    states = of_throttle(watched(0.97), cell("images", "free", 0.3, ago=65), AT)
    assert states.complaint == "applied 30%, seen 97%: no effect seen, 65s after the write"
    states = of_throttle(watched(0.55), cell("images", "free", 0.3, ago=65), AT)
    assert states.complaint == "applied 30%, seen 55%: they differ, 65s after the write"


def test_few_requests_decide_nothing() -> None:
    """Ten requests in the window may all be let in by chance; thousands may not."""
    throttle = cell("images", "free", 0.3)
    assert not of_throttle(watched(0.97, 0.5), throttle, AT).has_parted
    assert of_throttle(watched(0.97, 3.0), throttle, AT).has_parted
    assert not of_throttle(watched(0.45, 3.0), throttle, AT).has_parted
    assert of_throttle(watched(0.45, 640), throttle, AT).has_parted


def test_a_rate_may_lag_behind_a_ramp() -> None:
    """While it ramps, and just after, what is seen is of a minute ago; long after, it counts."""
    frame = watched(0.41)
    ramping = cell("images", "free", 0.3, state="ramping", effective=0.32, ramp=0.1)
    assert not of_throttle(frame, ramping, AT).has_parted
    arrived = replace(ramping, state="applied", effective_level=0.3)
    assert not of_throttle(frame, arrived, AT).has_parted
    assert of_throttle(frame, arrived, AT + 700).has_parted


@pytest.mark.parametrize("state", ["pending", "drifted", "unknown"])
def test_what_the_plane_does_not_vouch_for_is_not_held_against_a_metric(state: str) -> None:
    """Only what is applied or on its way has an effect to look for."""
    states = of_throttle(watched(0.97), cell("images", "free", 0.3, state=state, effective=0.9), AT)
    assert not states.has_parted
    assert states.complaint == ("drifted: set to admit 30%, in force 90%" if state == "drifted" else "")


def test_other_units_are_not_shares_of_requests() -> None:
    """A limit of requests a minute admits any share of what comes."""
    rpm = replace(cell("images", "free", 0.3), unit="rpm", limit=300, baseline=1000)
    assert not of_throttle(watched(0.97), rpm, AT).has_parted


def test_a_lost_plane_vouches_for_nothing() -> None:
    """What it said last is kept, and marked."""
    frame = watched(0.97)
    lost = tuple(replace(s, state=SourceState.LOST) if s.kind == "plane" else s for s in frame.sources)
    states = of_throttle(replace(frame, sources=lost), cell("images", "free", 0.3), AT)
    assert states.applied.state == "untold"
    assert not states.has_parted


@pytest.mark.parametrize("quality", [Quality.STALE, Quality.SUSPECT])
def test_nothing_is_concluded_from_doubtful_readings(quality: Quality) -> None:
    """D10: no colour ever comes from stale data."""
    old = Reading(640.0, AT - 31, quality, Reason("stale", (31, 10)))
    states = of_throttle(watched(0.97), cell("images", "free", 0.3), AT)
    assert states.has_parted
    frame = watched(0.97, arrivals=old)
    states = of_throttle(frame, cell("images", "free", 0.3), AT)
    assert states.observed.quality is quality
    assert not states.has_parted


def test_nothing_seen_says_why() -> None:
    """Missing is not zero, and never what was asked for."""
    frame = demo_frame()
    assert admitted(frame, "images", "free").why == "no metric tells features apart"
    idle = watched(1.0, 0.0)
    assert admitted(idle, "images", "free").why == "no request of it in the window"
    gone = Reading(None, AT - 94, Quality.MISSING, Reason("removed", (94,)))
    assert admitted(watched(1, rejected=gone), "images", "free").why == "no sample for 94 s"
    more = watched(1, rejected=reading("rejected", 900, AT))
    assert admitted(more, "images", "free").why == "more rejections than requests are counted"
    alone = replace(idle.models[0], cells={"images": {"free": {"arrivals": reading("arrivals", 9, AT)}}})
    assert admitted(replace(idle, models=(alone,)), "images", "free").why == "no metric counts its rejections"
    assert admitted(watched(0.5), "images", "pro").why == "no metric tells features apart"
    split = replace(idle.models[0], cells={}, by_feature={"images": counted(9, 1), "chat": counted(9, 1)})
    why = admitted(replace(idle, models=(split,)), "images", "free").why
    assert why == "no metric tells its feature and tier together"
    for one in (frame, idle, watched(1, rejected=gone), more):
        assert admitted(one, "images", "free").share is None


def test_a_model_that_serves_one_feature_alone_tells_its_cells() -> None:
    """Then a reading of the tier is one of the cell; beside another feature it is not."""
    one = replace(model("voice-1", WAITS), features=("voice",))
    one = replace(one, tiers={**one.tiers, "free": counted(100, 0.25)})
    frame = replace(demo_frame(), models=(one,))
    assert admitted(frame, "voice", "free").share == pytest.approx(0.25)
    both = replace(one, features=("voice", "chat"))
    assert admitted(replace(frame, models=(both,)), "voice", "free").share is None


def test_a_cell_is_seen_over_all_models_that_serve_it() -> None:
    """Weighted by what came: a throttle is fleet-wide."""
    many = replace(watched(0.0, 900).models[0], name="a")
    few = replace(watched(1.0, 100).models[0], name="b")
    seen = admitted(replace(demo_frame(), models=(many, few)), "images", "free")
    assert seen.share == pytest.approx(0.1)
    assert seen.requests == 1000


def test_a_release_is_seen_by_its_metric_alone() -> None:
    """Desired and observed apart for each tier; an unreadable backend has nothing in force."""
    frame, one = operated_frame(), feature_release(0.03)
    free = one.exposure[3]
    states = of_exposure(frame, one, free, AT)
    assert (states.desired, states.applied.share, states.observed.share) == (0.05, 0.05, 0.03)
    assert states.since_s == 600
    assert not states.has_parted
    parted = of_exposure(frame, one, free._replace(observed=0.6), AT)
    assert parted.complaint == "applied 5%, seen 60%: they differ, 10m after the write"
    unseen = of_exposure(frame, one, Exposure("free", 0.05), AT)
    assert (unseen.observed.share, unseen.observed.why) == (None, "no metric observes it")
    unknown = of_exposure(frame, replace(one, phase="degraded"), free._replace(observed=0.9), AT)
    assert (unknown.applied.share, unknown.has_parted) == (None, False)


STEPS = (
    Stage("pro@100", "pro", 1.0),
    Stage("free@5", "free", 0.05),
    Stage("free@50", "free", 0.5),
    Stage("all", "*", 1.0),
)


def opening(index: int | None, op: str = "release.advance", *, free: float = 0.05) -> Release:
    """A feature that Team has whatever the stage, at one of `STEPS` for ten minutes, changed a minute ago."""
    shares = {"pro": 1.0, "plus": 0.0, "team": 1.0, "free": free}
    return replace(
        feature_release(),
        stages=STEPS,
        stage_index=index,
        base=(Exposure("team", 1.0),),
        exposure=tuple(Exposure(tier, share) for tier, share in shares.items()),
        entered_at=None if index is None else AT - 600,
        last_change=LastChange("a-8", op, "bob", "", AT - 60),
    )


EVERYONES = replace(opening(3), exposure=tuple(Exposure(tier.name, 1.0) for tier in TIERS))


@pytest.mark.parametrize(
    ("one", "since"),
    [
        (opening(0), {"pro": 600}),
        (opening(1), {"free": 600}),
        (opening(1, "release.pause"), {"free": 600}),
        (opening(1, "release.set_weight", free=0.02), {"free": 60}),
        (opening(1, "release.pause", free=0.02), {}),
        (opening(2, free=0.5), {"free": 600}),
        (EVERYONES, {"plus": 600, "free": 600}),
        (opening(None, "release.abort"), {}),
    ],
)
def test_a_share_is_as_old_as_what_set_it(one: Release, since: Mapping[str, float]) -> None:
    """Only of the tiers that the stage opened, or whose weight was set: of others nobody tells since when."""
    states = {each.tier: of_exposure(operated_frame(), one, each, AT) for each in one.exposure}
    assert {tier: found.since_s for tier, found in states.items() if found.since_s is not None} == since


def test_what_is_seen_has_time_to_follow_any_change_of_its_release() -> None:
    """An abort takes shares away from tiers of which nobody tells whose they were."""
    one = replace(opening(None), last_change=LastChange("a-8", "release.abort", "bob", "", AT - 30))
    assert not of_exposure(operated_frame(), one, Exposure("free", 0.0, 0.9), AT).has_parted
    parted = of_exposure(operated_frame(), one, Exposure("free", 0.0, 0.9), AT + 60)
    assert parted.complaint == "applied 0%, seen 90%: they differ"


def test_a_small_stage_that_nobody_gets_is_noticed_when_it_can_be() -> None:
    """Without a count the tolerance is wide: 5 % beside nothing says nothing, 25 % does."""
    one = release("longctx", (1, 1, 0.25, 0.05), kind="feature")
    frame = demo_frame()
    assert not of_exposure(frame, one, Exposure("free", 0.05, 0.0), AT).has_parted
    assert of_exposure(frame, one, Exposure("team", 0.25, 0.0), AT).has_parted


def test_what_a_throttle_goes_back_to() -> None:
    """The setting before, for what is left of its own time; else open. Source: control contract, 4."""
    ending = cell("images", "free", 0.1, ttl=600)
    assert returns_to(ending) == 1.0
    assert returns_to(replace(ending, revert_to=Revert(0.5, None))) == 0.5
    assert returns_to(replace(ending, revert_to=Revert(0.5, AT + 900))) == 0.5
    assert returns_to(replace(ending, revert_to=Revert(0.5, AT + 300))) == 1.0
    assert (by_ramp(0.1), by_ramp(0.025), by_ramp(None)) == ("by 10 %/min", "by 2.5 %/min", "at once")


def test_throttles_that_never_end_and_those_that_should_have() -> None:
    """A trap of the trade: listed, with what makes them so."""
    assert is_endless(cell("images", "free", 0.3, ago=90_000), AT)
    assert not is_endless(cell("images", "free", 0.3, ago=80_000), AT)
    assert not is_endless(cell("images", "free", 1.0, ago=90_000), AT)
    assert is_endless(Throttle("images", "free", 1, "t", 0.3), AT)
    assert is_overdue(cell("images", "free", 0.3, ttl=-60), AT)
    assert not is_overdue(cell("images", "free", 0.3, ttl=-5), AT)
    assert not is_open(cell("images", "free", 1.0, state="ramping", effective=0.4))


def test_countdowns_go_by_the_planes_clock() -> None:
    """Its offset from ours is told with every answer; a simulated fleet has one clock alone."""
    real = replace(demo_frame(), simulated=False)
    skewed = replace(OPERATOR, clock_offset_s=3661.0)
    assert plane_time(real, AT, 1000.0) == AT
    assert plane_time(replace(real, plane=skewed), AT, 1000.0) == 4661.0
    assert plane_time(replace(real, plane=skewed, simulated=True), AT, 1000.0) == AT
    assert plane_time(replace(real, plane=skewed, mode="REPLAY"), AT, 1000.0) == AT


def test_tiers_of_the_fleet_are_those_of_the_cells() -> None:
    """The frames of these tests name real tiers."""
    assert {t.tier for t in operated_frame().throttles} <= {tier.name for tier in TIERS}
