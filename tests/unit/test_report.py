"""Reports: harm that is never overstated, times, who did what, and text from outside that does nothing."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.fleet import ALL_TIERS, Event, EventKind, Release, Stage
from collectors.readings import Interval, Quality, Reading, Reason, reading
from collectors.recording.layout import RecordingError
from collectors.recording.report.harm import (
    NONE,
    Harm,
    Known,
    Span,
    State,
    excess_over,
    harm_of,
    quantiles,
    share_over,
    state_of,
)
from collectors.recording.report.ledger import BINS
from collectors.recording.report.markdown import render_markdown
from collectors.recording.report.telling import document
from collectors.recording.report.words import between, length, number, seconds
from collectors.sessions import Gap
from tests.reported import (
    AT,
    BUCKETS,
    FRAMES,
    STEP_S,
    Kept,
    applied,
    both,
    facts,
    frame,
    incident,
    kept,
    melting,
    throttling,
    unknown,
)

BOUNDS = (0.0, 0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0, math.inf)
ABOVE = (Known(0.5, 2, 4), Known(0.95, 4, 8), Known(0.99, 8, 16))


def span(start: float, end: float, state: State = State.BREACH, *, asked: float | None = 10.0) -> Span:
    """A stretch in which all quantiles are above the objective of 1 s."""
    return Span(start, end, state, 1.0, ABOVE, asked, 0.0)


def bucket(value: float) -> tuple[float, float]:
    """The bucket (lo, hi] that a value falls in."""
    return next((lo, hi) for lo, hi in pairwise(BOUNDS) if lo < value <= hi)


def words(text: str) -> str:
    """Text without the no-break spaces."""
    return text.replace("\N{NO-BREAK SPACE}", " ")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.001, 60.0), min_size=100, max_size=100), st.floats(0.05, 20.0))
def test_the_bounds_hold_the_truth(waits: list[float], objective: float) -> None:
    """Of waits that are known one by one, bucketed as an exporter does: least <= truth <= most."""
    ordered = sorted(waits)
    known = tuple(Known(p, *bucket(ordered[math.ceil(p * 100) - 1])) for p in (0.5, 0.95, 0.99))
    over = [w - objective for w in ordered if w > objective]
    least, most = share_over(known, objective)
    assert least - 1e-9 <= len(over) / 100 <= most + 1e-9
    excess_least, excess_most = excess_over(known, objective)
    assert excess_least <= sum(over) / 100 + 1e-9
    fastest = sum(max(w - objective, 0) for w in ordered[:99]) / 100
    assert fastest <= excess_most + 1e-9


def test_a_check_value() -> None:
    """By hand: 60 s, 10/s, all above 1 s: .45 x 1 + .04 x 3 + .01 x 7 = .64 s at least for each request."""
    found = harm_of(span(0, 60))
    assert found.excess_least == pytest.approx(600 * 0.64)
    assert found.excess_most == pytest.approx(600 * (0.5 * 3 + 0.45 * 7 + 0.04 * 15))
    assert (found.over_least, found.over_most) == (pytest.approx(300), pytest.approx(600))
    assert found.breach_s == 60


@settings(deadline=None)
@given(st.floats(0, 1e6), st.floats(0, 1e4), st.floats(0, 1e4))
def test_harm_is_additive_over_time(start: float, a: float, b: float) -> None:
    """Cut anywhere, the parts of a stretch cost what the whole does."""
    middle, end = start + a, start + a + b
    parts, whole = harm_of(span(start, middle)) + harm_of(span(middle, end)), harm_of(span(start, end))
    for name in Harm.__slots__:
        assert getattr(parts, name) == pytest.approx(getattr(whole, name), rel=1e-6, abs=1e-3), name


@settings(deadline=None)
@given(st.floats(0, 1e4), st.floats(0.1, 50))
def test_harm_scales_with_arrivals(asked: float, factor: float) -> None:
    """Twice as many requests are twice as much harm, in the same time."""
    one, more = harm_of(span(0, 60, asked=asked)), harm_of(span(0, 60, asked=asked * factor))
    for name in ("over_least", "over_most", "excess_least", "excess_most"):
        assert getattr(more, name) == pytest.approx(getattr(one, name) * factor)
    assert more.breach_s == one.breach_s


@pytest.mark.parametrize("state", [State.KEPT, State.IDLE, State.CLOSED, State.UNKNOWN])
def test_no_harm_where_never_above(state: State) -> None:
    """Time within the objective, or of which nothing is known, costs nothing, whatever quantiles say."""
    found = harm_of(span(0, 60, state))
    assert (found.over_most, found.excess_most, found.breach_s) == (0, 0, 0)
    assert not found.is_harm


def test_what_is_not_known_is_said() -> None:
    """Without arrivals, stalled, past the last bucket, with a p95 alone: no number is made up."""
    assert harm_of(span(0, 60, asked=None)).uncounted_s == 60
    assert harm_of(span(0, 60, State.STALLED)).uncounted_s == 60
    past = replace_known(span(0, 60), (Known(0.99, 8, math.inf),))
    assert harm_of(past).unlimited_s == 60
    assert harm_of(past).excess_most == 0
    assert excess_over((Known(0.95, 8, 16),), 1.0) == (pytest.approx(0.05 * 7), math.inf)
    assert harm_of(span(60, 60)) == harm_of(span(60, 0)) == NONE


def replace_known(one: Span, known: tuple[Known, ...]) -> Span:
    """The span with other quantiles."""
    return one._replace(known=known)


def test_a_straddling_bucket_has_no_least() -> None:
    """Where the objective lies in the bucket nobody surely waited too long; somebody may have."""
    one = Span(0, 60, State.STRADDLES, 10.0, ABOVE, 10.0, 0.0)
    found = harm_of(one)
    assert (found.over_least, found.excess_least) == (0, 0)
    assert found.over_most == pytest.approx(600 * 0.05)


def test_states_of_readings() -> None:
    """Stale, p95 in place of a p99, idle, stalled, not open: each is what it is."""
    model = melting(AT, BUCKETS[1])

    def with_wait(one: Reading) -> State:
        tiers = {"pro": {**model.tiers["pro"], "queue_wait_p99": one}}
        return state_of(replace(model, tiers=tiers), "pro")

    assert state_of(model, "pro") is State.BREACH
    assert state_of(model, "free") is State.KEPT
    assert state_of(unknown(model), "pro") is State.UNKNOWN
    p95 = Reason("p95", (20, 60, 100))
    assert with_wait(reading("queue_wait_p99", Interval(4, 8, 6), AT, reason=p95)) is State.BREACH
    assert with_wait(reading("queue_wait_p99", Interval(0.1, 0.5, 0.2), AT, reason=p95)) is State.UNKNOWN
    assert with_wait(reading("queue_wait_p99", math.nan, AT)) is State.IDLE
    assert with_wait(Reading(None, AT, Quality.GOOD, Reason("stalled", (9,)))) is State.STALLED
    assert with_wait(Reading(None, None, Quality.MISSING, Reason("not-open"))) is State.CLOSED
    tiers = {"pro": {"queue_wait_p99": reading("queue_wait_p99", Interval(4, 8, 6), AT, reason=p95)}}
    assert quantiles(replace(model, tiers=tiers), "pro") == (Known(0.95, 4, 8),)


def test_the_incident_in_figures() -> None:
    """Six minutes above, 100/s, from minute 7 on 20/s turned away; free never was."""
    found = facts()
    tiers = {tier: one.harm for _, tier, one in found.ledger.judged()}
    assert tiers["pro"].breach_s == pytest.approx(360)
    assert tiers["pro"].kept_s == pytest.approx(840)
    assert tiers["free"].breach_s == 0
    assert tiers["free"].excess_least == 0
    # (4, 8] for 4 minutes, of which 3 with 80/s let in, and (8, 16] for two.
    four = 0.01 * 2
    eight = 0.04 * 2 + 0.01 * 6
    assert tiers["pro"].excess_least == pytest.approx(four * (60 * 100 + 180 * 80) + eight * 120 * 100)
    assert tiers["pro"].refused == pytest.approx(20 * 780)


def test_a_gap_is_never_counted() -> None:
    """With minutes 5 to 6 lost, harm is that of the rest, and the time is said to be missing."""
    whole = facts()
    gap = Gap(AT + 300, AT + 360, "1 record is damaged")
    frames = [one for one in incident() if not gap.start <= one.at < gap.end]
    recording = kept(frames)
    recording.gaps = (gap,)
    found = facts(recording)
    one = next(o for _, tier, o in found.ledger.judged() if tier == "pro")
    before = next(o for _, tier, o in whole.ledger.judged() if tier == "pro")
    assert one.harm.breach_s == pytest.approx(300)
    assert before.harm.excess_least - one.harm.excess_least == pytest.approx(0.14 * 6000)
    assert found.unknown_s == 60
    lost = slice(int(300 / 1200 * BINS), int(360 / 1200 * BINS))
    assert set(one.points[lost]) == {None}
    assert (found.ledger.levels["images", "free"][1].at, found.ledger.levels["images", "free"][1].level) == (
        AT + 300,
        None,
    )


def test_a_silent_hole_is_a_gap_too() -> None:
    """Frames that stop for ten minutes hold for ten times their usual distance, and no longer."""
    frames = [one for one in incident() if not AT + 300 < one.at < AT + 900]
    found = facts(kept(frames))
    assert found.gaps == (Gap(AT + 300 + 100, AT + 900, "no frame was recorded"),)


def test_stale_readings_are_not_known() -> None:
    """Time of stale readings is neither above nor within, and no line is drawn through it."""
    frames = [
        replace(one, models=tuple(map(unknown, one.models))) if AT + 300 <= one.at < AT + 360 else one
        for one in incident()
    ]
    pro = next(o for _, tier, o in facts(kept(frames)).ledger.judged() if tier == "pro")
    assert (pro.harm.unknown_s, pro.harm.breach_s) == (pytest.approx(60), pytest.approx(300))
    assert None in pro.points


def test_detect_decide_act() -> None:
    """Above at minute 4, alert at 4.5, opened at 5, asked at 7, applied 2 s later, over at 10."""
    (one,) = facts().episodes
    assert (one.model, one.tiers, one.is_cut) == ("aurora", ("pro",), False)
    times = (one.start, one.alert.at, one.look.at, one.intent.at, one.applied.at, one.end, one.sure)
    assert [t - AT for t in times if t is not None] == [240, 270, 300, 420, 422, 600, 600]


def test_what_did_not_happen_says_so() -> None:
    """No alert, no view, no action: each in its own words, and no time."""
    frames = [replace(one, alerts=(), events=()) for one in incident()]
    (one,) = facts(Kept(frames)).episodes
    assert one.alert == (None, "no alert named it")
    assert one.look == (None, "when it was opened is not recorded")
    assert one.intent == (None, "no action on it is recorded")
    assert one.applied.at is None


def test_a_window_that_begins_above() -> None:
    """The beginning of what began before is not made up; what is above at the end has no end."""
    (one,) = facts(start=AT + 300, end=AT + 500).episodes
    assert one.is_cut
    assert one.end is None
    text, _ = both()
    assert "still above" not in text


def test_a_breach_that_comes_back_soon_is_the_same_episode() -> None:
    """A break of four minutes is part of it; one of six begins another."""

    def found(pause_s: float) -> list[float]:
        calm, again = AT + 300, AT + 300 + pause_s
        frames = [
            frame(n, melting(at, BUCKETS[0] if calm <= at < again else BUCKETS[1]))
            for n in range(FRAMES)
            if (at := AT + n * STEP_S)
        ]
        return [one.start - AT for one in facts(Kept(frames)).episodes]

    assert found(240) == [0]
    assert found(360) == [0, 660]


def test_who_did_what_and_why() -> None:
    """Actor, reason, from and to, outcome, and what the screen showed: by the recording alone."""
    (one,) = facts().decisions
    assert (one.number, one.actor, one.reason, one.ticket) == (1, "alice", "queue over 8 s", "REL-7")
    (aim,) = one.aims
    assert (aim.name, words(aim.asked)) == ("images for free", "admit 100% → admit 30%, for 30 min")
    assert one.kinds == ("applied",)
    assert one.screen is not None
    assert one.screen.waits[0][:2] == ("aurora", "pro")
    assert one.screen.waits[0].is_breach
    assert one.screen.alerts == ("P1 aurora pro: queue p99 6 (4-8) s > 2 s",)
    assert one.screen.looked is not None
    assert one.screen.looked.dialog == "Throttle images"


def test_an_act_that_was_done_elsewhere_is_told_once() -> None:
    """The control plane's log tells bob's throttle; of alice's own it adds nothing."""
    frames = incident()
    bob = Event(AT + 500, EventKind.THROTTLE, "bob", "images/free", "admit 30% → 10%, ttl 1 h, reason: more")
    own = Event(
        AT + 421, EventKind.THROTTLE, "alice", "images/free", "admit 100% → 30%, reason: queue over 8 s"
    )
    expiry = Event(
        AT + 700, EventKind.THROTTLE, "system:expiry", "images/free", "admit 10% → 100%, reason: time"
    )
    frames[50] = replace(frames[50], events=(own, bob, expiry))
    found = facts(kept(frames))
    assert [(one.number, one.actor, one.is_told) for one in found.decisions] == [
        (1, "alice", False),
        (2, "bob", True),
    ]
    assert found.decisions[1].reason == "more"
    told = [one.who for one in found.happened if one.kind == "throttle"]
    assert told == ["system:expiry"]


def test_an_intent_without_an_answer_says_so() -> None:
    """A session that was killed: nobody knows what became of it, and nothing is said to be applied."""
    recording = Kept(incident()).asked(AT + 420, throttling())
    (one,) = facts(recording).decisions
    assert one.kinds == ("no answer recorded",)
    assert one.applied_at is None
    assert "no answer recorded" in both(recording)[0]


def test_an_answer_without_its_intent_stands_for_it() -> None:
    """Of a damaged intent the outcome is left: it says what was asked; who asked is the plane's caller."""
    recording = Kept(incident()).became(AT + 422, applied(throttling(), AT + 422))
    (one,) = facts(recording).decisions
    assert (one.actor, one.reason, one.kinds) == ("alice", "queue over 8 s", ("applied",))


def test_what_is_still_open() -> None:
    """The throttle with level, by whom, until when and to what; who waits at a gate is no trouble."""
    text = words(both()[0])
    row = next(line for line in text.splitlines() if line.startswith("| images for free | admit 30% |"))
    assert row == (
        "| images for free | admit 30% | alice | queue over 8 s | 2026-11-21 14:07:01Z |"
        " 2026-11-21 15:00:00Z | admit 80% |"
    )
    stage = (Stage("pro", "pro", 1.0),)
    one = Release(
        "r", "R", "model", "aurora", 1, "m-1", None, "v2", stage, "paused", 0, (), pause_reason="gate"
    )
    frames = incident()
    frames[-1] = replace(frames[-1], releases=(one, replace(one, id="s", title="S", pause_reason="operator")))
    found = facts(kept(frames))
    assert [r.id for r in found.halted_releases()] == ["s"]
    assert [r.id for r in found.waiting_releases()] == ["r"]


def test_a_calm_recording() -> None:
    """Nothing happened, and that is what it says; nobody is said to have waited."""
    frames = [frame(n, melting(AT + n * STEP_S, BUCKETS[0])) for n in range(30)]
    text, page = both(Kept(frames))
    assert "No user surely waited longer than promised. No action is recorded. Nothing was left open." in text
    assert "Nothing to measure" in text
    assert "<svg" in page


def test_without_objectives() -> None:
    """Without a promise nobody can say who waited too long; waits are drawn all the same."""
    frames = [replace(one, models=tuple(replace(m, objectives={}) for m in one.models)) for one in incident()]
    text, page = both(Kept(frames))
    assert "no tier has an objective" in text
    assert 'class="line"' in page


def test_a_recording_made_from_history() -> None:
    """What a metrics history cannot hold is not said to be absent: it is not recorded."""
    recording = Kept([replace(one, alerts=(), plane=None, throttles=()) for one in incident()])
    recording.facts = {"context": "prod", "source": "backfill"}
    text, _ = both(recording)
    assert "What was done is not recorded." in text
    assert "not recorded, it was made from a metrics history" in text


def test_tiers_that_are_not_told_apart() -> None:
    """`all` is judged where it is the only one, and never beside others: no request counts twice."""
    frames = incident()
    one = frames[0].models[0]
    several = replace(
        one,
        tiers={**one.tiers, ALL_TIERS: one.tiers["pro"]},
        objectives={**one.objectives, ALL_TIERS: 2.0},
    )
    alone = replace(one, tiers={ALL_TIERS: one.tiers["pro"]}, objectives={ALL_TIERS: 2.0})
    found = facts(Kept([replace(f, models=(several,)) for f in frames]))
    assert [tier for _, tier, _ in found.ledger.judged()] == ["free", "pro"]
    found = facts(Kept([replace(f, models=(alone,)) for f in frames]))
    assert [tier for _, tier, _ in found.ledger.judged()] == [ALL_TIERS]


def test_a_stretch_outside_the_recording() -> None:
    """Says what there is, instead of an empty report."""
    with pytest.raises(RecordingError, match="it runs from 2026-11-21 14:00:00Z to 2026-11-21 14:20:00Z"):
        facts(start=AT + 90_000)


def test_a_clock_that_was_set_back() -> None:
    """Frames whose time goes back count nothing twice, and break nothing."""
    frames = incident()
    later = [replace(one, at=one.at - 120) for one in frames[60:]]
    recording = Kept([*frames[:60], *later])
    found = facts(recording)
    assert found.ledger.tiers["aurora", "pro"].harm.breach_s <= 480
    document(found)


def test_quantities_in_words() -> None:
    """Units always; two bounds in one unit; what cannot be told apart is not."""
    assert [words(length(s)) for s in (0, 59, 129, 3600, 11_100)] == [
        "0 s",
        "59 s",
        "2 min 9 s",
        "1 h",
        "3 h 5 min",
    ]
    assert [words(number(v)) for v in (0.25, 3.84, 12.4, 640, 1812, 882_700, 2.56e6)] == [
        "0.25", "3.8", "12", "640", "1 810", "882 700", "2.56 million",
    ]  # fmt: skip
    assert words(between(1200, 4500)) == "1 200 to 4 500"
    assert words(between(882_700, 2.56e6)) == "0.88 to 2.6 million"
    assert words(between(100, 100.2)) == "100"
    assert words(seconds(70, 60, math.inf)) == "over 60 s"
    assert words(seconds(0.05, 0, 0.1)) == "under 0.1 s"
    assert words(seconds(3.6, 3.2, 4.0)) == "3.6 s (3.2 to 4)"


def test_a_long_recording_is_thinned_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more frames than are read, each third one is; harm stays within a few frames of the truth."""
    monkeypatch.setattr("collectors.recording.report.facts.FRAMES_MOST", 50)
    found = facts()
    assert (found.frames, found.every) == (121, 3)
    pro = next(one for _, tier, one in found.ledger.judged() if tier == "pro")
    assert pro.harm.breach_s == pytest.approx(360, abs=2 * 3 * STEP_S)
    assert "one in 3 was read" in render_markdown(document(found))
