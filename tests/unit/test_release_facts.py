"""What the dialogs about a release tell before anything is decided, and that it fits."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.control import wire
from collectors.control.server import rules
from collectors.fleet import Alert, Check, Exposure, Feature, Frame, Release, Severity, Stage, Tier
from collectors.text import clean
from tests.frames import AT, HOSTILE, lost, model
from tests.unit.test_release_forms import (
    HOLD,
    ON,
    PHASES,
    advancing,
    aurora,
    every_way,
    frame_of,
    plane,
    text_of,
)
from tui.dialogs.release import AdvanceForm, advance_form, back_out_form, pause_form
from tui.dialogs.release_facts import check_words
from tui.dialogs.release_stops import BackOutForm
from tui.format import width_of
from tui.releases import exposure_at, gate_time
from tui.screens.base import Selection

DEEP = Release(
    id="deep",
    title="Deep research",
    subject_kind="feature",
    subject="longctx",
    seq=1,
    etag="m-3",
    stable=None,
    candidate="open-2",
    stages=(Stage("free@5", "free", 0.05), Stage("free@100", "free", 1.0)),
    phase="paused",
    stage_index=0,
    exposure=(Exposure("pro", 1.0), Exposure("plus", 1.0), Exposure("team", 0.0), Exposure("free", 0.05)),
    pause_reason="gate",
    gate="open",
    base=(Exposure("pro", 1.0), Exposure("plus", 1.0)),
)


def test_a_feature_is_open_or_closed() -> None:
    """Who has it whatever the stage, to whom it opens, to whom it stays closed; no word of what is stable."""
    frame = frame_of(DEEP)
    form = advance_form(frame, Selection(feature="longctx"))
    assert isinstance(form, AdvanceForm)
    assert form.title == "Advance · longctx · 2 models"
    said = text_of(form)
    assert "Free: 5% → 100%." in said
    assert "Pro, Plus have it whatever the stage." in said
    assert "Team stays closed." in said
    assert "Last stage: the opening is then complete." in said
    back = back_out_form(frame, Selection(feature="longctx"))
    assert isinstance(back, BackOutForm)
    assert text_of(back).startswith("CLOSED: Free 5% → 0%; those who lose it have nothing in its place.")
    assert (back.plan().is_brake, back.plan().phrase) == (True, "")
    assert "stable" not in said + text_of(back)


def test_the_gate_shows_what_readings_tell_and_blocks_nothing_by_it() -> None:
    """A broken objective, an alert and late data warn; no plan declares them, so the advance can be made."""
    frame = frame_of(aurora(stage_index=3, exposure=tuple(Exposure(t, 1.0) for t in ("pro", "plus", "team"))))
    form = advance_form(frame, ON)
    assert isinstance(form, AdvanceForm)
    said = text_of(form)
    assert "✖  Team queue p99 3.8 (3.2-4.0) s > 3.0 s: warns" in said
    assert "✔  Plus queue p99 2.3 (2.0-2.5) s ≤ 3.0 s" in said
    assert "Free queue p99" not in said, "it is not open there"
    assert "▲  alerts         queue p99 ≈3.8 s > 3.0 s: warns" in said
    assert "capacity       UNKNOWN: needs the capacity model, not in this version; not required" in said
    assert "not required   N+1, errors, trend, overlap, way back: no plan declares them" in said
    assert "─ GATE (the server's) ─" in said
    assert "─ GATE (ours; nothing here blocks in this version): 2 warn, 1 UNKNOWN ─" in said
    assert form.plan().intents
    assert form.plan().summary.endswith("; warnings of our own: 2")
    quiet = replace(frame, models=tuple(lost(m) for m in frame.models), alerts=())
    late = text_of(form.seen(quiet))
    assert "readings late or gone, the oldest 90s old: warns" in late
    assert "~  Team queue p99 UNKNOWN: no sample for 94 s" in late
    assert "✔  alerts         none on it" in late
    nobody = text_of(form.seen(replace(frame, models=())))
    assert "UNKNOWN: no model of this fleet serves it" in nobody


def test_a_silenced_alert_does_not_warn() -> None:
    """D8: what somebody put aside is not told here again."""
    frame = frame_of(aurora())
    shelved = Alert("x", Severity.P1, "aurora-5", "", AT, "hot", silenced_until=AT + 60)
    form = advance_form(replace(frame, alerts=(shelved,)), ON)
    assert isinstance(form, AdvanceForm)
    assert "alerts         none on it" in text_of(form)


def test_nothing_is_forecast() -> None:
    """There is no capacity model: UNKNOWN with the reason, and no number."""
    lines = advancing(aurora()).forecast({}, 100, "unicode")
    said = " ".join(line.text for line in lines)
    assert "UNKNOWN (needs the capacity model, not in this version)" in said
    assert {cell.role for line in lines for cell in line.cells if cell.text.strip()} == {"unknown"}


def test_times_are_by_the_planes_clock() -> None:
    """A gate opens by the server's clock; a simulated fleet and its plane share one."""
    frame = replace(frame_of(), plane=replace(plane(), clock_offset_s=7.0))
    assert gate_time(replace(frame, simulated=False)) == AT + 7
    assert gate_time(replace(frame, simulated=True)) == AT
    assert gate_time(replace(frame, plane=None)) == AT


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (HOLD, "open at 14:06:59Z, in 4m48s"),
        (HOLD._replace(ready_at=AT - 2), "open at 14:02:09Z, which is due"),
        (HOLD._replace(ready_at=None), "612 of 900 s when last told"),
        (HOLD._replace(state="pass", detail="900 of 900 s", ready_at=AT - 2), "900 of 900 s"),
        (Check("bake", "fail", "2 of 3 zones", AT + 60), "2 of 3 zones, open at 14:03:11Z, in 1m00s"),
        (Check("p99", "fail"), "fail"),
    ],
)
def test_a_hold_is_counted_by_the_clock_alone(check: Check, words: str) -> None:
    """What a plane counted it to stands still until it tells something else; its end does not move."""
    assert check_words(check, AT) == words


shares = st.integers(0, 10_000).map(lambda n: n / 10_000)
TIER_NAMES = ("pro", "plus", "team", "free")


@given(
    st.lists(st.tuples(st.sampled_from(("*", *TIER_NAMES)), shares), min_size=1, max_size=12),
    st.dictionaries(st.sampled_from(TIER_NAMES), shares),
    st.integers(-1, 11),
)
def test_exposure_is_the_servers(stages: list[tuple[str, float]], base: dict[str, float], index: int) -> None:
    """What the dialog says opens is what the server's own rule gives, at every stage."""
    at = None if index < 0 else min(index, len(stages) - 1)
    told = tuple(Stage(str(n), tier, weight) for n, (tier, weight) in enumerate(stages))
    release = aurora(stages=told, base=tuple(Exposure(tier, share) for tier, share in base.items()))
    wired = [wire.Stage(str(n), tier, weight) for n, (tier, weight) in enumerate(stages)]
    weights = [wire.TierWeight(tier, share) for tier, share in base.items()]
    expected = {one.tier: one.desired for one in rules.exposure(wired, weights, at, TIER_NAMES)}
    assert dict(exposure_at(release, at)) == expected


NAMES = [clean(name) or "x" for name in HOSTILE]


@st.composite
def worst_releases(draw: st.DrawFn) -> tuple[Frame, Release]:
    """Up to 12 stages over up to 8 tiers with names that break screens, in any phase and place."""
    names = draw(st.lists(st.sampled_from([*NAMES, "pro", "free"]), min_size=1, max_size=8, unique=True))
    tiers = tuple(Tier(name, name) for name in names)
    stages = tuple(
        Stage(f"s{n}", draw(st.sampled_from([*names, "*"])), draw(shares))
        for n in range(draw(st.integers(1, 12)))
    )
    subject = draw(st.sampled_from(NAMES))
    phase = draw(st.sampled_from(PHASES))
    release = aurora(
        phase,
        subject=subject,
        subject_kind=draw(st.sampled_from(("model", "feature"))),
        stages=stages,
        stage_index=draw(st.one_of(st.none(), st.integers(0, len(stages) - 1))),
        exposure=tuple(Exposure(name, draw(shares)) for name in names),
        base=tuple(Exposure(name, draw(shares)) for name in names[:2]),
        candidate=draw(st.sampled_from(NAMES)),
        stable=draw(st.one_of(st.none(), st.sampled_from(NAMES))),
        gate=draw(st.sampled_from(("open", "closed", "unknown"))),
        checks=(Check(NAMES[2], "fail", NAMES[5], AT + 90), Check("metric", "odd", "")),
    )
    waits = ((900.0, float("inf"), 1234.0),) * len(tiers)
    served = model(subject, waits, tiers=tiers, objectives=dict.fromkeys(names, 1.0))
    alert = Alert("a", Severity.P1, subject, "", AT, clean("bad " * 40))
    frame = replace(
        frame_of(release),
        tiers=tiers,
        models=(served, replace(served, name=f"{subject}2")),
        features=(Feature(subject, subject, (subject, f"{subject}2")),),
        alerts=(alert,),
    )
    return frame, release


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worst_releases(), st.integers(2, 160), st.sampled_from(("unicode", "ascii")))
def test_no_line_is_wider_than_it_may_be(made: tuple[Frame, Release], width: int, glyphs: str) -> None:
    """T4: hostile names, 12 stages, 8 tiers, both glyph sets: every line is exactly as wide as asked for."""
    frame, release = made
    for form in (
        make(frame, Selection(release=release.id)) for make in (advance_form, pause_form, back_out_form)
    ):
        for way in every_way(form):
            lines = [*way.facts(width, glyphs), *way.forecast({}, width, glyphs)]
            assert {width_of(line.text) for line in lines} <= {width}
            way.plan()


@pytest.mark.parametrize("phase", PHASES)
def test_ascii_stays_ascii(phase: str) -> None:
    """With plain names no glyph of the other set slips in."""
    frame = frame_of(aurora(phase, gate="closed", checks=(HOLD,)))
    for form in (make(frame, ON) for make in (advance_form, pause_form, back_out_form)):
        for way in every_way(form):
            assert text_of(way, 80, "ascii").isascii()
