"""After a jump in a replay, memories answer as if every frame before it had been fed to them."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from collectors.fleet import Event, EventKind, Frame, Model, Past
from collectors.readings import Quality, Reading
from collectors.sessions import Gap
from tests.frames import AT
from tests.replay_frames import BARE, START, Fleet, watched
from tui.screens.shares import Shares
from tui.screens.trends import SIGNALS, Trends
from tui.store import GAP, SIGNAL, STEPS, History


class FramesSeries:
    """The readings of these frames as numbers."""

    def __init__(self, frames: Sequence[Frame], gaps: Sequence[Gap] = ()) -> None:
        self.times = [frame.at for frame in frames]
        self.gaps = tuple(gaps)
        self._models = [{model.name: model for model in frame.models} for frame in frames]

    def values(self, model: str, tier: str, signal: str) -> Sequence[float] | None:
        """Estimates of what is good or suspect."""
        found = [self._number(one.get(model), tier, signal) for one in self._models]
        return None if all(map(math.isnan, found)) else found

    def shares(self, model: str) -> dict[str, Sequence[float]]:
        """Arrivals of each feature."""
        found: dict[str, list[float]] = {}
        for place, models in enumerate(self._models):
            by_feature = models[model].by_feature if model in models else {}
            for feature, readings in by_feature.items():
                row = found.setdefault(feature, [math.nan] * len(self._models))
                estimate = readings["arrivals"].estimate
                row[place] = math.nan if estimate is None else estimate
        return dict(found)

    @staticmethod
    def _number(model: Model | None, tier: str, signal: str) -> float:
        if model is None:
            return math.nan
        one = model.reading(signal, tier or None)
        usable = one.quality in (Quality.GOOD, Quality.SUSPECT)
        return one.estimate if usable and one.estimate is not None else math.nan


def same_answers(filled: tuple[History, Trends], fed: tuple[History, Trends], frame: Frame) -> None:
    """Both answer alike whatever a screen asks."""
    for model in frame.models:
        for tier in (*model.tiers, None):
            for n in (24, STEPS):
                answers = [one[0].spark_values(model.name, tier, n) for one in (filled, fed)]
                assert answers[0] == answers[1], (model.name, tier, n)
        assert filled[0].is_scaled(model.name) == fed[0].is_scaled(model.name)
        for back in range(0, 640, 31):
            at = frame.at - back
            assert filled[0].value_at(model.name, "pro", at) == fed[0].value_at(model.name, "pro", at)
        for signal in SIGNALS:
            answers_of = [one[1].span(model.name, signal, 60) for one in (filled, fed)]
            assert answers_of[0] == answers_of[1], (model.name, signal)


def fed_with(frames: Sequence[Frame]) -> tuple[History, Trends]:
    """As a live watch feeds them."""
    history, trends = History(), Trends()
    for frame in frames:
        history.add(frame)
        trends.add(frame)
    return history, trends


def filled_with(
    frames: Sequence[Frame], shown: Frame, gaps: Sequence[Gap] = (), events: Sequence[Event] = ()
) -> tuple[History, Trends]:
    """As a replay fills them, over what they held before."""
    history, trends = fed_with([Fleet(99).frame(shown.at + 300)[0]])
    series = FramesSeries([frame for frame in frames if frame.at <= shown.at], gaps)
    history.refill(series, shown, events)
    trends.refill(series, shown)
    return history, trends


@pytest.mark.parametrize(("seed", "change"), [(1, 1.0), (2, 0.5), (3, 0.15), (4, 0.02), (5, 0.005), (6, 0.2)])
def test_a_refilled_memory_answers_as_one_that_was_fed(seed: int, change: float) -> None:
    """Also where little changed: what stood on the screen goes on in steps without a new frame."""
    live, kept = watched(seed, 700, change)
    same_answers(filled_with(kept, live[-1]), fed_with(live), live[-1])


@pytest.mark.parametrize(("seed", "seconds"), [(11, 1), (12, 8), (13, 95)])
def test_near_the_begin_the_rest_is_empty(seed: int, seconds: int) -> None:
    """Nothing is made up for the time before the recording."""
    live, kept = watched(seed, seconds, 0.3)
    same_answers(filled_with(kept, live[-1]), fed_with(live), live[-1])


@pytest.mark.parametrize(("seed", "change"), [(21, 0.2), (22, 0.9), (23, 1.0)])
def test_it_goes_on_from_there_as_if_it_had_never_jumped(seed: int, change: float) -> None:
    """Frames after the jump meet the same rings."""
    live, kept = watched(seed, 760, change)
    shown = live[659]  # the next one begins a step
    filled, fed = filled_with(kept, shown), fed_with(live[:660])
    for frame in live[660:]:
        for memory in (*filled, *fed):
            memory.add(frame)
    same_answers(filled, fed, live[-1])


def test_a_gap_stays_empty_and_nothing_is_carried_over_it() -> None:
    """What was not recorded is not drawn: a step within a gap has no value, whatever stood before it."""
    fleet = Fleet(31)
    before = [fleet.frame(START + n)[0] for n in range(60)]
    after = [fleet.frame(START + n)[0] for n in range(240, 301)]
    history, trends = filled_with([*before, *after], after[-1], [Gap(START + 60, START + 240, "stopped")])
    values = history.spark_values("m0", "pro", STEPS)
    (first, _), (second, later) = fed_with(before), fed_with(after)
    assert values[-61:-49] == first.spark_values("m0", "pro", STEPS)[-12:]
    assert values[-49:-13] == (GAP,) * 36
    assert values[-13:] == second.spark_values("m0", "pro", STEPS)[-13:]
    for signal in SIGNALS:
        span, alone = trends.span("m0", signal, 60), later.span("m0", signal, 60)
        assert span is not None
        assert alone is not None
        assert span.highs[-25:] == alone.highs[-25:]
        assert span.highs[-31:-25] != (GAP,) * 6


def test_a_step_in_which_a_gap_begins_keeps_what_was_seen_in_it() -> None:
    """A frame stood until the recording stopped, and not after."""
    frame, _ = Fleet(32).frame(START + 1)
    one = replace(frame.models[0], tiers={"pro": {SIGNAL: Reading(2.0, AT)}}, objectives={})
    frame = replace(frame, models=(one,))
    shown = replace(frame, at=START + 100)
    history, _ = filled_with([frame], shown, [Gap(START + 13, START + 400, "stopped")])
    values = history.spark_values("m0", "pro", STEPS)[-21:]
    assert values == (2.0, 2.0, 2.0, *(GAP,) * 18)


def test_what_comes_after_the_moment_shown_is_not_known() -> None:
    """A series that is longer than the jump gives nothing away."""
    live, kept = watched(41, 400, 0.5)
    shown = live[200]
    history, trends = History(), Trends()
    history.refill(FramesSeries(kept), shown, ())
    trends.refill(FramesSeries(kept), shown)
    same_answers((history, trends), fed_with(live[:201]), shown)


def test_a_demo_that_runs_fast_has_fewer_ticks() -> None:
    """Ten simulated seconds a tick: steps between two of them stay empty, as when it was watched."""
    fleet = Fleet(51)
    live = [replace(fleet.frame(START + 0.4 + 10 * n)[0], simulated=True) for n in range(70)]
    same_answers(filled_with(live, live[-1]), fed_with(live), live[-1])


def test_events_are_those_that_it_is_given() -> None:
    """The list of what happened is that of the moment shown, without what came later."""
    live, kept = watched(61, 20, 0.5)
    history, _ = fed_with(live)
    happened = tuple(Event(n, EventKind.NOTE, "a", "b", str(n)) for n in range(620))
    history.refill(FramesSeries(kept), live[3], happened)
    assert history.events == happened[-500:]
    late = Event(700, EventKind.NOTE, "a", "b", "late")
    history.add(replace(live[4], events=(late,)))
    assert history.events[-2:] == (happened[-1], late)


def test_the_past_that_a_source_told_comes_back_too() -> None:
    """A jump to just after the begin draws what was before anybody watched."""
    live, kept = watched(71, 30, 0.5)
    past = tuple(Past("m0", "pro", SIGNAL, START - 15 * n, 4.5) for n in range(1, 30))
    history, fed = History(), History()
    history.refill(FramesSeries(kept), replace(live[-1], past=past), ())
    for number, frame in enumerate(live):
        fed.add(replace(frame, past=past) if not number else frame)
    assert history.spark_values("m0", "pro", 60) == fed.spark_values("m0", "pro", 60)
    assert 4.5 in history.spark_values("m0", "pro", 60)


def test_a_series_of_nothing_is_an_empty_memory() -> None:
    """Models that were never recorded, and no times at all."""
    frame, _ = Fleet(81).frame(AT)
    history, trends = filled_with([], frame)
    assert history.spark_values("m0", "pro", 10) == (GAP,) * 10
    assert trends.span("m0", "waiting", 10) is None
    assert trends.shares.oldest("m1", "chat") is None


@pytest.mark.parametrize("seed", [91, 92, 93, 94])
def test_shares_of_features_are_those_that_were_fed(seed: int) -> None:
    """The first of each minute that tells them; of nothing where one is not known and may be most."""
    live, kept = watched(seed, 420, 0.3)
    fed, filled = Shares(), Shares()
    for frame in live:
        fed.add(frame)
    filled.refill(FramesSeries(kept), live[-1])
    assert filled._rings == fed._rings
    assert (filled._taken, filled._step, filled._begun) == (fed._taken, fed._step, fed._begun)
    assert {model for model, _ in filled._rings} == {"m1"}


def test_arrays_of_a_large_fleet_are_filled_in() -> None:
    """50 models of 5 tiers, a frame a second, told as a recording tells them."""
    import numpy as np

    names, numbers = [f"m{n}" for n in range(50)], np.random.default_rng(1).random(600)

    class Numbers(FramesSeries):
        def values(self, model: str, tier: str, signal: str) -> Sequence[float] | None:
            return numbers  # type: ignore[return-value]  # an array is a sequence of floats in all that is asked

    readings = {SIGNAL: Reading(1.0, AT)}
    tiers = {f"t{n}": readings for n in range(5)}
    models = tuple(Model(name, readings, tiers, dict.fromkeys(tiers, 2.0)) for name in names)
    frame = replace(BARE, at=START + 600, models=models)
    series = Numbers([replace(frame, at=START + n) for n in range(600)])
    history, trends = History(), Trends()
    history.refill(series, frame, ())
    trends.refill(series, frame)
    assert max(history.spark_values("m7", None, STEPS)) == pytest.approx(numbers[1:].max() / 2)
    span = trends.span("m7", SIGNALS[0], 1)
    assert span is not None
    assert span.high == pytest.approx(numbers[1:].max())
