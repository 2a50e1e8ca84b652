"""Own last actions: what each changed, how it stands now, and the way back from it."""

import re
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.fleet import Exposure, Frame, LastChange, Release, Stage, Throttle
from collectors.intents import Logged, Target
from collectors.text import clean
from tests.frames import AT, HOSTILE
from tests.unit.test_release_forms import aurora, frame_of, only_intent, plane, text_of
from tui.dialogs.form import Level
from tui.dialogs.throttle import ThrottleForm
from tui.dialogs.undo import action_rows, changed, detail_lines, left, row_id
from tui.dialogs.ways_back import extension, inverse
from tui.format import ASCII, UNICODE, width_of
from tui.releases import tier_titles

ON_RELEASE, ON_CELL = Target("release", "aurora"), Target("throttle", "images", "free")
AT_STAGE: Mapping[str, object] = {"candidate": "r42", "phase": "paused", "stage": "plus@25"}


def logged(operation: str, target: Target = ON_RELEASE, **changes: object) -> Logged:
    """An applied action of alice's."""
    made = Logged("a-40", AT - 30, "alice", operation, target, "queue empty", "applied")
    return replace(made, **changes)  # type: ignore[arg-type]  # members by name, in tests only


def cell(level: float = 0.3, **changes: object) -> Throttle:
    """The cell as alice's action left it."""
    last = LastChange("a-40", "throttle.set", "alice", "queue empty", AT - 30)
    made = Throttle("images", "free", 8, "t-9", level, expires_at=AT + 1779, last_change=last)
    return replace(made, **changes)  # type: ignore[arg-type]  # members by name, in tests only


@pytest.mark.parametrize(
    ("operation", "phase", "way"),
    [
        ("release.advance", "paused", "release.abort"),
        ("release.advance", "completed", "release.rollback"),
        ("release.register", "pending", "release.abort"),
        ("release.retry", "pending", "release.abort"),
        ("release.pause", "paused by operator", "release.resume"),
        ("release.resume", "progressing", "release.pause"),
        ("release.abort", "aborted", "release.retry"),
    ],
)
def test_each_action_has_its_inverse(operation: str, phase: str, way: str) -> None:
    """An ordinary dialog, bound to the release as it is now."""
    release = aurora(phase, candidate="r41" if phase == "completed" else "r42")
    form = inverse(frame_of(release), logged(operation))
    assert not isinstance(form, str)
    assert only_intent(form).operation == way
    assert form.revision == "rev m-17"


@pytest.mark.parametrize("value", [10**400, -1, 1.5, True, float("nan"), "x", None, [], {"a": 1}])
@pytest.mark.parametrize("name", ["level", "limit", "weight", "desired", "stage", "expires_at"])
def test_a_log_may_hold_anything(name: str, value: object) -> None:
    """Values come as the plane's log has them, of any type and size: none makes a share, none a crash."""
    shares = dict.fromkeys(("pro", "plus", "team", "free"), value)
    facts: Mapping[str, object] = {"level": 0.5, "desired": shares} | {name: value}
    frame = replace(frame_of(aurora("paused")), throttles=(cell(),))
    for operation, target in (
        ("throttle.set", ON_CELL),
        ("release.advance", ON_RELEASE),
        ("release.set_weight", ON_RELEASE),
    ):
        for before, after in ((facts, {}), ({}, facts), (facts, facts)):
            one = logged(operation, target, before=before, after=after)
            inverse(frame, one)
            text = " ".join(line.text for line in detail_lines(frame, one, AT, 80, 6, UNICODE))
            assert not re.search(r"admit (-|nan|1e|150)", text), text


def test_a_stage_cannot_be_un_advanced() -> None:
    """The dialog that backs out says so first: it takes back every stage, not one."""
    form = inverse(frame_of(aurora()), logged("release.advance"))
    assert not isinstance(form, str)
    assert text_of(form).startswith("A stage cannot be un-advanced: this takes back all of them.")


HALVES = (
    Stage("pro@100", "pro", 1.0),
    Stage("plus@25", "plus", 0.25),
    Stage("plus@50", "plus", 0.5),
    Stage("free@100", "free", 1.0),
)


def advanced(before: Mapping[str, float] | None = None, **after: object) -> Logged:
    """An advance from plus@25 to plus@50, as the plane logs it, or without the shares."""
    told = {"desired": before} if before is not None else {}
    return logged(
        "release.advance",
        before={**AT_STAGE, **told},
        after={**AT_STAGE, "stage": "plus@50", **after},
    )


def at_half(**changes: object) -> Release:
    exposure = (Exposure("pro", 1.0), Exposure("plus", 0.5), Exposure("free", 0.0))
    made = aurora(stages=HALVES, stage_index=2, exposure=exposure)
    return replace(made, **changes)  # type: ignore[arg-type]  # members by name, in tests only


WAS = {"pro": 1.0, "plus": 0.25, "free": 0.0}


@pytest.mark.parametrize("before", [WAS, None])
@pytest.mark.parametrize("stable", ["r41", None])
def test_an_advance_within_a_tier_is_undone_by_its_weight(
    before: Mapping[str, float] | None, stable: str | None
) -> None:
    """Plus had 25 % before: that is filled in, and nobody else loses anything; it only lowers. The subject is
    typed where nothing serves those who lose it."""
    form = inverse(frame_of(at_half(stable=stable)), advanced(before))
    assert not isinstance(form, str)
    assert only_intent(form).operation == "release.set_weight"
    assert only_intent(form).arguments == {"weight": 0.25}
    assert (form.plan().phrase, form.plan().is_brake) == ("" if stable else "aurora-5", True)
    assert "It stays at the stage Plus 50%, with the weight that Plus had before." in text_of(form)


def test_a_share_that_was_set_is_what_it_goes_back_to() -> None:
    """Not the stage's own weight, where the log tells of another."""
    form = inverse(frame_of(at_half()), advanced({**WAS, "plus": 0.4}))
    assert not isinstance(form, str)
    assert only_intent(form).arguments == {"weight": 0.4}


def test_an_automatic_stage_goes_on_unless_it_is_paused() -> None:
    """The weight alone does not hold it: that is said."""
    stages = (*HALVES[:2], HALVES[2]._replace(gate="auto"), HALVES[3])
    form = inverse(frame_of(at_half(stages=stages, phase="progressing")), advanced(WAS))
    assert not isinstance(form, str)
    assert "Its gate is automatic: pause it too, or it goes on by itself." in text_of(form)


def test_an_advance_to_another_tier_takes_the_whole_way_back() -> None:
    """No weight gives everyone back what they had: then it is the abort, which says what it would end."""
    opened = {"pro": 1.0, "plus": 0.0, "free": 0.0}
    wider = inverse(frame_of(at_half()), advanced({**WAS, "pro": 0.5}))
    for form in (inverse(frame_of(at_half()), advanced(opened)), wider):
        assert not isinstance(form, str)
        assert only_intent(form).operation == "release.abort"
        assert text_of(form).startswith("A stage cannot be un-advanced")
    bare = inverse(frame_of(at_half(stable=None)), advanced(opened))
    assert not isinstance(bare, str)
    assert text_of(bare).startswith("OUTAGE: Pro 100% → 0%, Plus 50% → 0%;")
    assert bare.plan().phrase == "aurora-5"


def test_an_advance_that_others_came_after_is_not_undone_blindly() -> None:
    """Another stage or another weight since: a sentence with what to do instead."""
    moved = inverse(frame_of(at_half(stage_index=1)), advanced(WAS))
    assert moved == (
        "aurora-5 has left that stage since: a sets the weight of the one it is at, B takes all of it back"
    )
    again = inverse(frame_of(at_half()), advanced(WAS, desired={**WAS, "plus": 0.6}))
    assert again == "the weight was set again since, and is 50%: set it from there"


@pytest.mark.parametrize(
    ("operation", "phase", "why"),
    [
        ("release.advance", "aborted", "aurora-5 was aborted since: nothing of it is left to undo"),
        ("release.pause", "progressing", "aurora-5 is not paused any more"),
        ("release.resume", "paused by operator", "aurora-5 is paused again already"),
        ("release.abort", "progressing", "aurora-5 is not aborted any more: it is progressing"),
        ("release.rollback", "completed", "a roll back ends the release"),
        ("release.explode", "paused", "nothing is known that takes release.explode back"),
        ("release.set_weight", "pending", "aurora-5 has left that stage since"),
    ],
)
def test_what_is_past_says_so(operation: str, phase: str, why: str) -> None:
    """Somebody was there since, or there is no way back: a sentence, no dialog."""
    way = inverse(frame_of(aurora(phase)), logged(operation))
    assert isinstance(way, str)
    assert way.startswith(why)


@pytest.mark.parametrize(
    ("result", "why"),
    [
        ("refused", "it was refused (stale-stage): nothing changed, so there is nothing to undo"),
        ("failed", "it failed (stale-stage): nothing changed"),
        ("unknown", "nobody knows whether it landed: look at aurora first"),
    ],
)
def test_what_did_not_land_is_not_undone(result: str, why: str) -> None:
    """Refused changed nothing; unknown may have."""
    one = logged("release.advance", result=result, code="stale-stage")
    way = inverse(frame_of(aurora()), one)
    assert isinstance(way, str)
    assert way.startswith(why)
    assert left(frame_of(aurora()), one, AT) == ""


def weighed(before: float = 0.25, after: float = 0.5) -> Logged:
    """A weight that was set at plus@25, as the plane logs it."""
    return logged(
        "release.set_weight",
        before={**AT_STAGE, "desired": {"pro": 1.0, "plus": before}},
        after={**AT_STAGE, "desired": {"pro": 1.0, "plus": after}},
    )


def at_weight(share: float, **changes: object) -> Frame:
    exposure = (Exposure("pro", 1.0), Exposure("plus", share))
    return frame_of(replace(aurora(exposure=exposure), **changes))  # type: ignore[arg-type]  # by name


def test_a_weight_is_set_back_to_what_it_was() -> None:
    """While the release is at that stage and that weight; a lower one is a brake."""
    form = inverse(at_weight(0.5), weighed())
    assert not isinstance(form, str)
    assert only_intent(form).arguments == {"weight": 0.25}
    assert form.plan().is_brake
    raised = inverse(at_weight(0.125), weighed(0.25, 0.125))
    assert not isinstance(raised, str)
    assert raised.plan().level is Level.TWO
    assert isinstance(inverse(at_weight(0.5, stage_index=2), weighed()), str)
    assert isinstance(inverse(at_weight(0.5, candidate="r43"), weighed()), str)
    again = inverse(at_weight(0.7), weighed())
    assert again == "the weight was set again since, and is 70%: set it from there"
    untold = inverse(at_weight(0.5), logged("release.set_weight", after=AT_STAGE))
    assert untold == "the log does not tell what the weight was before"


def test_a_throttle_goes_back_and_can_be_extended() -> None:
    """Through the throttle's own dialog; a release has no end to put off."""
    frame = replace(frame_of(aurora()), throttles=(cell(),))
    one = logged(
        "throttle.set",
        ON_CELL,
        before={"level": 0.5, "expires_at": None},
        after={"level": 0.3, "expires_at": "2026-11-21T14:31:50Z"},
    )
    form = inverse(frame, one)
    assert isinstance(form, ThrottleForm)
    assert only_intent(form).arguments["level"] == 0.5
    assert isinstance(extension(frame, one), ThrottleForm)
    assert extension(frame, logged("release.pause")) == "pause of aurora has no end that could be put off"


def test_without_a_plane_nothing_is_undone() -> None:
    """The same sentence as everywhere."""
    assert (
        inverse(replace(frame_of(), plane=None), logged("release.pause"))
        == "no control plane: give --plane URL"
    )
    assert (
        inverse(frame_of(), logged("release.pause"))
        == "the control plane tells of no release aurora any more"
    )


def held(until: str | None) -> Mapping[str, object]:
    """Images at 30 % until that time of day, as the log has it."""
    return {"level": 0.3, "expires_at": until and f"2026-11-21T{until}Z"}


@pytest.mark.parametrize(
    ("before", "after", "target", "said"),
    [
        ({"level": 0.5}, {"level": 0.3}, ON_CELL, "admit 50% → admit 30%"),
        ({"level": 0.3}, {"level": 0.3, "expires_at": "later"}, ON_CELL, "admit 30%"),
        (held("17:43:10"), held("18:13:10"), ON_CELL, "extended to 18:13:10Z, admit 30%"),
        (held("17:43:10"), held("17:13:10"), ON_CELL, "shortened to 17:13:10Z, admit 30%"),
        (held("17:43:10"), held("17:43:10.4"), ON_CELL, "admit 30%"),
        (held("17:43:10"), held(None), ON_CELL, "extended to no end, admit 30%"),
        (held(None), held("18:13:10"), ON_CELL, "shortened to 18:13:10Z, admit 30%"),
        (held(None), held(None), ON_CELL, "admit 30%"),
        (held("17:43:10"), {"level": 0.1, "expires_at": None}, ON_CELL, "admit 30% → admit 10%"),
        ({}, held("18:13:10"), ON_CELL, "admit 30%"),
        ({"level": 0.3}, held("18:13:10"), ON_CELL, "admit 30%"),
        ({"limit": 100}, {"limit": 50.5}, ON_CELL, "limit 100 → limit 50.5"),
        ({"level": "lots"}, {}, ON_CELL, ""),
        (
            {"stage": None, "phase": "pending"},
            {"stage": "a", "phase": "paused"},
            ON_RELEASE,
            "none → a, pending → paused",
        ),
        (
            {**AT_STAGE, "desired": {"plus": 0.25}},
            {**AT_STAGE, "desired": {"plus": 0.5}},
            ON_RELEASE,
            "Plus 25% → 50%",
        ),
        ({"desired": {"plus": "x"}}, {"desired": {"plus": 0.5, "pro": 1}}, ON_RELEASE, ""),
        ({}, {}, ON_RELEASE, ""),
    ],
)
def test_what_changed_is_told_from_to(
    before: Mapping[str, object], after: Mapping[str, object], target: Target, said: str
) -> None:
    """Whatever a plane logs: what is there is worded, what is odd is left out."""
    one = logged("throttle.set", target, before=before, after=after)
    assert changed(one, tier_titles(frame_of())) == said


@pytest.mark.parametrize(
    ("throttle", "said"),
    [
        (cell(), "29m39s left"),
        (cell(expires_at=None), "stands, no end"),
        (cell(expires_at=AT - 1), "runs out now"),
        (cell(last_change=LastChange("a-41", "throttle.clear", "bob", "", AT)), "changed since by bob"),
        (cell(last_change=LastChange("a-41", "expiry", "system:expiry", "", AT)), "expired"),
        (cell(tier="pro"), "not there any more"),
    ],
)
def test_what_is_left_is_the_cells_own(throttle: Throttle, said: str) -> None:
    """The time of the cell as it is now, and only while it is this action that stands there."""
    frame = replace(frame_of(), throttles=(throttle,))
    assert left(frame, logged("throttle.set", ON_CELL), AT) == said


def test_a_release_stands_until_somebody_moves_it() -> None:
    """Told by the last change of the release."""
    mine: Release = aurora(last_change=LastChange("a-40", "release.advance", "alice", "", AT))
    assert left(frame_of(mine), logged("release.advance"), AT) == "stands"
    moved = replace(mine, last_change=LastChange("a-44", "release.abort", "bob", "", AT))
    assert left(frame_of(moved), logged("release.advance"), AT) == "changed since by bob"


names = st.sampled_from([clean(name) or "x" for name in HOSTILE])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(names, names, names), max_size=4),
    st.integers(2, 220),
    st.sampled_from((UNICODE, ASCII)),
)
def test_rows_are_as_wide_as_the_screen(rows: list[tuple[str, str, str]], width: int, glyphs: object) -> None:
    """T4: whatever names and reasons the log holds, the list and the detail fit."""
    drawn = UNICODE if glyphs is UNICODE else ASCII
    frame = frame_of(aurora())
    actions = [
        logged(
            "throttle.set", Target("throttle", one, two), reason=why, audit_id=f"a-{n}", before={"level": 1}
        )
        for n, (one, two, why) in enumerate(rows)
    ]
    lines = action_rows(frame, actions, AT, width, drawn)
    assert [line.id for line in lines[1:]] == ([row_id(actions, n) for n in range(len(actions))] or [""])
    for action in actions:
        lines += detail_lines(frame, action, AT, width, 6, drawn)
    assert {width_of(line.text) for line in lines} <= {width}


def test_the_detail_says_what_enter_would_open() -> None:
    """What the way back would do, or why there is none, before the key is pressed."""
    frame = frame_of(aurora("paused by operator"))
    first = detail_lines(frame, logged("release.pause"), AT, 80, 6, UNICODE)[1]
    assert first.text.strip() == "way back: aurora-5: resume at Plus 25%, the stage stays"
    refused = detail_lines(frame, logged("release.pause", result="refused"), AT, 80, 6, UNICODE)[1]
    assert refused.text.strip().startswith("no way back: it was refused")


def test_a_role_that_may_not_says_so() -> None:
    """An operator who aborted cannot go again: that needs the release-admin."""
    way = inverse(frame_of(aurora("aborted"), facts=plane("operator")), logged("release.abort"))
    assert way == "aurora-5: go again: needs another role than operator"
