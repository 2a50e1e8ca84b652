"""Reports never say more than a recording holds, and nothing that another part of them denies."""

from dataclasses import replace

import pytest

from collectors import intending
from collectors.fleet import (
    Check,
    Event,
    EventKind,
    Feature,
    Frame,
    LastChange,
    Model,
    Release,
    Revert,
    SourceHealth,
    SourceState,
    Stage,
)
from collectors.intents import OutcomeKind, decided
from collectors.readings import Reason, reading
from collectors.recording.parts import STATE_LOST
from collectors.recording.report.facts import gather
from collectors.recording.report.markdown import escaped, render_markdown
from collectors.recording.report.telling import document
from collectors.sessions import Gap, View
from tests.reported import (
    AT,
    BUCKETS,
    CELL,
    FRAMES,
    STEP_S,
    Kept,
    applied,
    both,
    frame,
    incident,
    kept,
    melting,
    throttling,
    wait,
)

THROTTLED = Event(
    AT + 438, EventKind.THROTTLE, "alice", "images/free", "admit 100% → 30%, reason: queue over 8 s"
)


def told(recording: Kept, start: float | None = None, end: float | None = None) -> str:
    """The report as Markdown, without no-break spaces."""
    found = document(gather(recording, "night.tgrec", start, end))
    return render_markdown(found).replace("\N{NO-BREAK SPACE}", " ")


def line(text: str, begins: str) -> str:
    """The first line that begins so."""
    return next(one for one in text.splitlines() if one.startswith(begins))


def with_free(one: Frame, lo: float, hi: float) -> Frame:
    """The frame with free's p99 in another bucket."""
    model = one.models[0]
    tiers = {**model.tiers, "free": {**model.tiers["free"], **wait(lo, hi, one.at)}}
    return replace(one, models=(replace(model, tiers=tiers),))


def with_cells(one: Frame, asked: float, refused: float) -> Frame:
    """The frame with what came and was turned away of images for free."""
    cells = {
        "images": {
            "free": {
                "arrivals": reading("arrivals", asked, one.at),
                "rejected": reading("rejected", refused, one.at),
            }
        }
    }
    return replace(one, models=tuple(replace(m, cells=cells) for m in one.models))


def reconstructed(frames: list[Frame]) -> Kept:
    """A recording that was made from a metrics history: no views, no features, no control plane."""
    bare = [
        replace(f, plane=None, features=(), models=tuple(replace(m, features=()) for m in f.models))
        for f in frames
    ]
    return Kept(bare, facts={"context": "prod", "source": "backfill"})


def unread() -> Kept:
    """Three minutes in which the only source never answered."""
    lost = SourceHealth("prom", "prometheus", SourceState.LOST, None, error="connection refused")
    never = Model("aurora", {}, {"pro": {}, "free": {}}, {"pro": 2.0, "free": 6.0})
    return Kept([frame(n, never, sources=(lost,), plane=None, throttles=()) for n in range(19)])


def test_the_longest_wait_is_told_first() -> None:
    """Free waits longest, pro is furthest beyond its promise: both are told, each as what it is."""
    frames = [with_free(one, 16, 24) if AT + 300 <= one.at < AT + 420 else one for one in incident()]
    text = told(kept(frames))
    assert line(text, "| longest p99 wait") == (
        "| longest p99 wait | **20 s** | aurora, free, at 14:05:00; promised 6 s."
        " Furthest beyond its promise: 12 s, aurora, pro, at 14:05:00; promised 2 s |"
    )
    assert (
        "at worst the slowest 1% of tier free waited over 16 s, about 20 s by estimate, where 6 s is"
        " promised; furthest beyond its promise, the slowest 1% of tier pro waited over 8 s, about 12 s by"
        " estimate, where 2 s is promised."
    ) in text
    assert "furthest" not in told(kept())


def test_a_reconstructed_recording_with_its_log() -> None:
    """What the log told is told everywhere; whether the feature is the model's own is said to be unknown."""
    frames = incident()
    frames[45] = replace(frames[45], events=(THROTTLED,))
    text = told(reconstructed(frames))
    assert "1 action was taken" in text
    assert "a metrics history holds no actions" not in text
    assert "not recorded, it was made" not in text
    assert "no action on it is recorded" not in text
    assert "which models serve what is not recorded" in text
    assert "the first alert would have been on the screen after 30 s" in text
    assert "elsewhere" not in line(text, "**What was done.**")


def test_a_feature_that_only_its_own_list_names() -> None:
    """Models that say nothing of their features are found by what features say of their models."""
    frames = [
        replace(f, features=(Feature("images", "Images", ("aurora",)),), models=(replace(m, features=()),))
        for f in incident()
        for m in f.models
    ]
    (one,) = gather(kept(frames), "x").episodes
    assert one.intent.at == AT + 420


def test_nothing_was_read() -> None:
    """Of a source that never answered comes no number, no zero, and no all-clear."""
    text = told(unread())
    assert "Nobody can say who waited too long: no wait was read in this time." in text
    assert line(text, "| turned away").startswith("| turned away | **not known**")
    assert line(text, "| waited too long").startswith("| waited too long | **not known**")
    assert line(text, "| still open").startswith("| still open | **not known**")
    assert "What was left open is not known." in text
    assert "Nothing to measure" not in text
    assert "never above" not in text
    assert "Nothing was left open" not in text
    assert "p99 0 s" not in text
    assert "p99 not known" in text
    missing = text.partition("## Not recorded")[2].partition("##")[0]
    assert (
        "- From prom nothing was read for 3 min, from 14:00:00 to 14:03:00: source lost (connection refused)."
        in missing
    )


def test_a_source_that_was_lost_for_a_while() -> None:
    """Its stretch is told, and ends when it answered again."""
    lost = SourceHealth("prom", "prometheus", SourceState.LOST, AT)
    frames = [replace(one, sources=(lost,)) if AT + 60 <= one.at < AT + 80 else one for one in incident()]
    assert "nothing was read for 20 s, from 14:01:00 to 14:01:20: source lost." in told(kept(frames))


def test_a_simulated_clock_gives_way_to_the_planes_stamp() -> None:
    """The clock is that of the last frame: the log's stamp is when it was; what was seen, before."""
    frames = incident()
    frames[45] = replace(frames[45], events=(THROTTLED,))
    recording = kept(frames)
    recording.facts = {"context": "prod", "simulated": True}
    (one,) = gather(recording, "x").decisions
    assert (one.at, one.applied_at) == (AT + 438, AT + 438)
    assert one.screen is not None
    assert one.screen.at == AT + 420
    recording.facts = {"context": "prod"}
    (one,) = gather(recording, "x").decisions
    assert (one.at, one.applied_at) == (AT + 420, AT + 422)


def test_times_are_no_finer_than_frames() -> None:
    """What lies between two frames is within their distance, not at the same moment; that is said."""
    recording = Kept(incident()).asked(AT + 242, throttling()).became(AT + 243, applied(throttling(), AT))
    text = told(recording)
    assert "the first action was confirmed within the same 10 s" in text
    assert "These times are to the nearest 10 s: frames came that far apart." in text
    assert "at the same moment" not in text


def test_what_followed_tells_the_peak() -> None:
    """A wait that is longer in between than before and after is not told as if it only fell."""
    frames = [with_free(one, 20, 30) if AT + 450 <= one.at < AT + 500 else one for one in incident()]
    effect = line(
        told(kept([with_free(f, 4, 8) if f.at <= AT + 430 else f for f in frames])), "**What followed"
    )
    assert "aurora free from 6 s (4 to 8) to under 0.5 s" not in effect
    assert "aurora free from 6 s (4 to 8) to 0.3 s (0.1 to 0.5), with 25 s (20 to 30) in between" in effect


def test_who_was_turned_away_and_by_what() -> None:
    """Model and tier, their own requests as the whole, the feature if it is told apart, the throttle."""
    frames = [with_cells(one, 30.0, 18.0) if one.at >= AT + 420 else one for one in incident()]
    free = []
    for one in frames:
        model = one.models[0]
        tiers = {**model.tiers, "pro": {**model.tiers["pro"], "rejected": reading("rejected", 0.0, one.at)}}
        free.append(replace(one, models=(replace(model, tiers=tiers),)))
    cost = line(told(kept(free)), "**What it cost")
    assert (
        "15 600 requests were turned away, all of aurora free: 20% of what came for it in that time." in cost
    )
    assert "Of the images requests of free for aurora, 60% were turned away" in cost
    assert "in force was images for free (down to admit 30%, from 14:07:00 on)" in cost


def test_a_dialog_that_was_open_before_the_alert() -> None:
    """A dialog that names a feature of the model is a look at it; before the alert is before."""
    view = View("fleet", dialog="Throttle · images · 2 models", width=120, height=40)
    recording = Kept(incident()).looked(AT + 200, view).looked(AT + 400, View("model", "aurora"))
    assert "somebody had it open before the alert" in told(recording)
    other = Kept(incident()).looked(AT + 200, replace(view, dialog="Throttle · voice · 2 models"))
    assert "before the alert" not in told(other)


def test_a_window_that_begins_after_the_alert() -> None:
    """An alert that stood already is not one that came at the same moment."""
    text = told(kept(), AT + 360, AT + 900)
    assert "an alert of it stood already when this stretch begins" in text
    assert "somebody had it open already when this stretch begins" in text
    assert "the first alert was" not in text


def test_a_name_without_waits_is_no_model() -> None:
    """A release of a feature has a row among the models: of nobody's wait, so nobody counts it."""
    row = Model("images", {}, {"free": {}}, {"free": 6.0})
    text = told(kept([replace(one, models=(*one.models, row)) for one in incident()]))
    assert "Users of 1 of 1 model waited" in text


def test_what_stands_at_the_end_is_counted_apart() -> None:
    """Things and alerts, each by its number; what comes after a throttle is said in words."""
    text = told(kept(incident()[:50]))
    assert "2 things were still open, and 1 alert stood at the end." in text
    assert "tier-time" not in text
    assert "surely above 6" not in text
    assert "it was not known to be above any more" in told(kept())


def test_markdown_can_be_read_as_it_is() -> None:
    """Addresses and arrows keep their look where nothing but a backslash keeps them inert."""
    assert escaped("plane at http://x:1/") == "plane at http:\\//x:1/"
    assert escaped("9 s > 2 s") == "9 s > 2 s"
    assert escaped("> quote") == "\\> quote"
    assert "\\`" not in both()[0]


@pytest.mark.parametrize("bucket", BUCKETS)
def test_no_peak_where_nothing_rose(bucket: tuple[float, float]) -> None:
    """A wait that stays as it is has no peak."""
    steady = [frame(n, melting(AT + n * STEP_S, bucket)) for n in range(FRAMES)]
    assert "in between" not in told(kept(steady))


def test_an_episode_has_its_own_worst() -> None:
    """Of two episodes of one model, the milder one is not told with the other's wait."""
    frames = []
    for n in range(FRAMES):
        minute = n * STEP_S / 60
        bucket = BUCKETS[2] if minute < 2 else BUCKETS[1] if 10 <= minute < 15 else BUCKETS[0]
        frames.append(frame(n, melting(AT + n * STEP_S, bucket)))
    first, second = gather(Kept(frames), "x").episodes
    assert first.worst is not None
    assert second.worst is not None
    assert (first.worst[1].point.hi, second.worst[1].point.hi) == (16.0, 8.0)
    assert AT + 600 <= second.worst[1].at < AT + 900


def test_waits_that_read_the_same_are_the_same() -> None:
    """Of two waits told in the same digits, the one further beyond its promise is the longest."""
    frames = [with_free(one, 8, 16.02) if AT + 300 <= one.at < AT + 420 else one for one in incident()]
    text = told(kept(frames))
    assert ": at worst the slowest 1% of tier pro waited over 8 s, about 12 s by estimate, where" in text
    assert "furthest" not in text.lower()


def test_a_breach_that_ends_in_a_gap_lasted_at_least_so_long() -> None:
    """Of what came behind the gap nothing is known: no end is made up, and no cost."""
    gap = Gap(AT + 500, AT + 700, "1 record is damaged")
    recording = kept([one for one in incident() if not gap.start <= one.at < gap.end])
    recording.gaps = (gap,)
    text = told(recording)
    assert "For at least 4 min 20 s from 14:04:00 users of aurora waited longer" in text
    assert "until 14:08:20 at least, and of what came next nothing is known" in text
    assert "after 4 min 20 s nothing more is known of it" in text
    assert "| +4 min 20 s, then not known |" in text
    (one,) = gather(kept(), "x").episodes
    assert not one.is_lost
    assert "at least 6 min" not in told(kept())


def test_a_moment_in_a_gap_has_no_screen_of_its_own() -> None:
    """What was seen last before is told as such, and nothing is said to have followed from it."""
    gap = Gap(AT + 400, AT + 430, "1 record is damaged")
    recording = kept([one for one in incident() if not gap.start <= one.at < gap.end])
    recording.gaps = (gap,)
    card = told(recording).partition("### 1")[2].partition("\n## ")[0]
    assert "**On the screen before; that of the moment itself is not recorded,** as of 14:06:30:" in card
    assert "On the screen then" not in card
    assert "What followed" not in card


def test_what_followed_begins_with_what_the_screen_showed() -> None:
    """The wait before is that of the moment, in a day's recording as in a minute's: no older one is in it."""
    frames = [with_free(one, 20, 30) if AT + 370 <= one.at < AT + 400 else one for one in incident()]
    day = [*frames, *(frame(n, melting(AT + n * STEP_S, BUCKETS[0])) for n in range(FRAMES, 24 * 360, 60))]
    for one in (frames, day):
        card = told(kept(one)).partition("### 1")[2].partition("\n## ")[0]
        assert "aurora pro from 6 s (4 to 8) to 0.3 s (0.1 to 0.5)" in card
        assert "25 s (20 to 30)" not in card


def test_what_was_done_before_a_breach_is_named() -> None:
    """A breach that begins after an action has no later one; the action before it is told, and when."""
    frames = [frame(n, melting(AT + n * STEP_S, BUCKETS[n >= 48])) for n in range(FRAMES)]
    text = told(kept(frames))
    assert "no later action on it is recorded; action 1 was 1 min before" in text
    (one,) = gather(kept(frames), "x").episodes
    assert one.decision is None


def test_an_action_that_was_refused_is_told_as_such() -> None:
    """The first action of an episode may have changed nothing: then that is said beside its time."""
    refused = replace(applied(throttling(), AT + 301), kind=OutcomeKind.REFUSED, text="stale")
    recording = Kept(incident()).asked(AT + 300, refused.intent).became(AT + 301, refused)
    second = throttling("queue over 8 s")
    text = told(recording.asked(AT + 420, second).became(AT + 422, applied(second, AT + 422)))
    assert "| +1 min (action 1, refused) | +3 min 2 s (action 2) |" in text
    assert "the first action was confirmed after 1 min (action 1, refused)" in text


@pytest.mark.parametrize(
    ("ready_at", "words"), [(None, "9 of 60 s"), (AT + 171, "until 14:02:51")], ids=["count", "end"]
)
def test_a_release_is_told_with_its_gate(ready_at: float | None, words: str) -> None:
    """What the gate said when a stage was opened, and what had not passed, stands beside the decision; of a
    hold its end, for its count is of when the plane last told it."""
    hold = Check("hold", "fail", "9 of 60 s", ready_at)
    stages = (Stage("free@25", "free", 0.25), Stage("free@50", "free", 0.5))
    one = Release(
        "aurora", "Aurora", "model", "aurora", 1, "m-1", None, "v2", stages, "paused", 0, (),
        pause_reason="gate", gate="closed", checks=(Check("slo", "pass", "fine"), hold),
    )  # fmt: skip
    (intent,) = decided([intending.advance(one, override_gate=True)], "launch")
    frames = [replace(f, releases=(one,)) for f in incident()]
    text = told(Kept(frames).asked(AT + 120, intent).became(AT + 121, applied(intent, AT + 121)))
    assert f"- The release aurora: paused, stage free@25, gate closed (hold: {words})." in text
    assert "advance at stage free@25, overriding the gate" in text


def test_what_damage_made_old_is_said_to_be() -> None:
    """Behind a lost change throttles and alerts may be out of date: that is told where they are."""
    frames = [replace(one, notes=(STATE_LOST,)) if one.at >= AT + 900 else one for one in incident()]
    text = told(kept(frames))
    still = text.partition("## Still open")[2].partition("\n## ")[0]
    assert "may be out of date" in still
    assert "Some of this may be out of date" in line(text, "**What is still open.**")
    assert "- From 14:15:00 to 14:20:00 throttles, releases and alerts may be out of date" in text
    early = [replace(one, notes=(STATE_LOST,)) if AT + 60 <= one.at < AT + 90 else one for one in incident()]
    text = told(kept(early))
    assert "- From 14:01:00 to 14:01:30 throttles" in text
    assert "out of date" not in text.partition("## Still open")[2].partition("\n## ")[0]


def test_nobody_is_not_surely_nobody() -> None:
    """Where a bucket spans the promise, somebody may have waited too long: how many at most is told."""
    spanning = [frame(n, melting(AT + n * STEP_S, (1.0, 4.0))) for n in range(30)]
    text = told(kept(spanning))
    assert line(text, "| waited too long").startswith("| waited too long | **at most ")
    assert "nobody" not in text
    calm = told(Kept([frame(n, melting(AT + n * STEP_S, BUCKETS[0])) for n in range(30)]))
    assert line(calm, "| waited too long").startswith("| waited too long | **none known** |")
    assert "2 tiers: never above, as far as is known." in calm
    assert "more tiers" not in calm
    assert "How this is reckoned" not in calm


def test_a_wait_that_is_too_small_to_tell_is_not_zero() -> None:
    """An estimate of 0 s in a bucket from 0 is told as what is known: that it is less than 0.01 s."""
    frames = [frame(n, melting(AT + n * STEP_S, (0.0, 0.0001))) for n in range(30)]
    free = [with_free(one, 0.0, 0.0001) for one in frames]
    text = told(Kept(free))
    assert line(text, "| longest p99 wait").startswith("| longest p99 wait | **under 0.01 s** |")
    assert "**0 s**" not in text


def test_a_p95_in_place_of_a_p99_is_told_as_such() -> None:
    """Of too few requests only the p95 is known: it is never called the slowest 1 %."""
    frames = []
    for one in incident():
        model = one.models[0]
        pro = model.tiers["pro"]
        p95 = replace(pro["queue_wait_p99"], reason=Reason("p95", (20, 60, 100)))
        frames.append(
            replace(
                one, models=(replace(model, tiers={**model.tiers, "pro": {**pro, "queue_wait_p99": p95}}),)
            )
        )
    text = told(kept(frames))
    assert "at worst the slowest 5% of tier pro waited over 8 s, about 12 s by estimate," in text
    assert line(text, "| longest p95 wait").startswith("| longest p95 wait | **12 s** |")
    assert "| 12 s (8 to 16) (p95) |" in line(text, "| aurora, pro |")


def test_several_models_are_added_up_by_tier() -> None:
    """A tier that suffered in two models has a line of its own, with what both cost it."""
    frames = []
    for one in incident():
        other = replace(one.models[0], name="borealis")
        frames.append(replace(one, models=(*one.models, other)))
    text = told(kept(frames))
    assert line(text, "| aurora, pro |").split(" | ")[6] == "804 to 24 000"
    assert line(text, "| all of these, pro |").split(" | ")[6] == "1 610 to 48 000"
    assert "all of these" not in told(kept())


def test_who_is_no_person_is_called_what_it_is() -> None:
    """A throttle whose time ran out was changed by the control plane, in words that need no glossary."""
    last = LastChange("a-9", "throttle.clear", "system:expiry", "its time ran out", AT + 1100)
    ramping = replace(CELL, level=1.0, effective_level=0.4, state="ramping", last_change=last)
    before = replace(
        CELL, level=0.1, expires_at=AT + 3600, revert_to=Revert(0.3, AT + 1800), last_change=last
    )
    ended = Event(AT + 1200, EventKind.THROTTLE, "system:expiry", "images/free", "admit 30% → 100%")
    frames = incident()
    frames[-1] = replace(frames[-1], throttles=(ramping, replace(before, tier="pro")), events=(ended,))
    text = told(kept(frames))
    assert "| images for free | admit 40%, ramping to admit 100% | the control plane (expiry) |" in text
    assert "| 2026-11-21 15:00:00Z | fully open |" in text
    assert "| 14:20:00 | throttle | the control plane (expiry) |" in text
    assert "system:" not in text


def test_a_simulated_throttle_holds_from_its_decision_on() -> None:
    """The clock of a simulation lags behind its control plane: no throttle is in force before it is set."""
    last = LastChange("a-7", "throttle.set", "alice", "queue over 8 s", AT + 438)
    held = replace(CELL, level=0.3, last_change=last)
    frames = [
        replace(one, simulated=True, throttles=(held,) if one.at >= AT + 420 else (CELL,))
        for one in incident()
    ]
    steps = gather(Kept(frames), "x").ledger.levels["images", "free"]
    assert [(step.at - AT, step.level) for step in steps] == [(0, 1.0), (438, 0.3)]
